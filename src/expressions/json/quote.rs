//! JSON_QUOTE, JSON_UNQUOTE and JSON_STRING: single values to JSON and back.

use std::fmt::Write;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType;

use super::build::{ValueWriter, is_writable};
use super::document::{short_escape, unescaped};
use crate::error::Result;
use crate::expressions::editing::write;
use crate::expressions::function::{Call, Function};
use crate::expressions::nested::canonical;
use crate::expressions::strings::shape;
use crate::expressions::typing::{Argument, Typing, count};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict("JSON_QUOTE", "JSON_QUOTE(text): in quotes, in characters of ASCII", one_text, |_, a, rows| {
        let texts = a[0].as_string::<i32>();
        write(a, rows, |row, out| {
            quote(texts.value(row), out);
            true
        })
    })
    .example(r#"JSON_QUOTE('say "hi"')"#, r#""say \"hi\"""#),
    Function::strict("JSON_STRING", "JSON_STRING(value): the value in JSON", one_value, json_string)
        .example("JSON_STRING(ARRAY[1, 2])", "[1,2]"),
    Function::strict(
        "JSON_UNQUOTE",
        "JSON_UNQUOTE(text): what a text in quotes stands for; any other text as it is",
        one_text,
        |_, a, rows| {
            let texts = a[0].as_string::<i32>();
            write(a, rows, |row, out| {
                unquote(texts.value(row), out);
                true
            })
        },
    )
    .example(r#"JSON_UNQUOTE('"abc"')"#, "abc"),
];

fn one_text(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, 1), (0, 0), DataType::Utf8)
}

fn one_value(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    is_writable(&arguments[0].data_type)?;
    Ok(Typing::new(vec![arguments[0].data_type.clone()], DataType::Utf8))
}

fn json_string(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let values = canonical(&arguments[0])?;
    let writer = ValueWriter::new(&values)?;
    write(arguments, rows, |row, out| {
        writer.write(row, out);
        true
    })
}

/// A character beyond the first 65,536 is written by its number and the second half of its pair, as Flink does it.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match u8::try_from(character).ok().filter(u8::is_ascii) {
            Some(b'/') => out.push_str("\\/"),
            Some(byte) => match short_escape(byte) {
                Some(letter) => out.extend(['\\', letter]),
                None => out.push(character),
            },
            None => {
                // A string takes any text.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
                let mut units = [0; 2];
                if let [_, low] = character.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{low:04x}");
                }
            }
        }
    }
    out.push('"');
}

fn unquote(text: &str, out: &mut String) {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let plain = inner.filter(|inner| inner.bytes().all(|byte| byte >= b' ')).and_then(unescaped);
    out.push_str(plain.as_deref().unwrap_or(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_unquoted() {
        for text in ["", "a\"b", "é/\\", "\u{8}\n\t\u{c}\r\u{2028}"] {
            let (mut quoted, mut plain) = (String::new(), String::new());
            quote(text, &mut quoted);
            unquote(&quoted, &mut plain);
            assert_eq!(plain, text);
        }
        for text in ["abc", "\"a", "\"", "\"a\\x\"", "\"a\\\"", " \"a\"", "\"\\u12\""] {
            let mut plain = String::new();
            unquote(text, &mut plain);
            assert_eq!(plain, text);
        }
    }
}
