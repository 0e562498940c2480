//! Texts and bytes in other codings: base 64, hexadecimal and binary digits, character sets.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::charset::{Charset, replaced};
use super::function::{Call, Function, Nulls};
use super::strings::shape;
use super::types::{is_integer, type_name};
use super::typing::{Argument, Typing, count};
use crate::error::{Error, Result};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict("BIN", "BIN(number): its binary digits; of a negative one all 64", number_to_text, |_, a, _| {
        digits(&a[0], |number, out| write!(out, "{number:b}"))
    })
    .example("BIN(10)", "1010"),
    Function {
        fallible: true,
        ..Function::strict("DECODE", "DECODE(bytes, charset): the text that they are", decode_typing, decode)
            .example("DECODE(X'C3BC', 'UTF-8')", "ü")
    },
    Function {
        fallible: true,
        ..Function::strict(
            "ENCODE",
            "ENCODE(text, charset): its bytes; a character that the charset lacks is ?",
            encode_typing,
            encode,
        )
        .example("ENCODE('ü', 'UTF-8')", "c3bc")
    },
    Function {
        fallible: true,
        ..Function::strict(
            "FROM_BASE64",
            "FROM_BASE64(text): what was written in base 64, as text",
            one_value,
            |_, a, _| from_base64(&a[0]),
        )
        .example("FROM_BASE64('aGVsbG8=')", "hello")
    },
    Function::strict(
        "HEX",
        "HEX(number or text): the number, or the text's bytes, in hexadecimal digits",
        hex_typing,
        hex,
    )
    .example("HEX('abc')", "616263"),
    Function::strict("TO_BASE64", "TO_BASE64(text): its bytes in base 64", one_value, |_, a, _| to_base64(&a[0]))
        .example("TO_BASE64('hello')", "aGVsbG8="),
    Function {
        nulls: Nulls::Possible,
        ..Function::strict(
            "UNHEX",
            "UNHEX(text): the bytes of its hexadecimal digits; NULL if others are in it",
            |arguments| shape(arguments, (1, 1), (0, 0), DataType::Binary),
            unhex,
        )
        .example("UNHEX('616263')", "616263")
    },
];

/// As Java reads base 64: with the signs that fill the end, or without any.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The type that an argument of text or bytes is taken in.
pub(super) fn is_text_or_bytes(argument: &Argument) -> Result<DataType, String> {
    match &argument.data_type {
        DataType::Null => Ok(DataType::Utf8),
        one @ (DataType::Utf8 | DataType::Binary) => Ok(one.clone()),
        other => Err(format!("it takes text or bytes, not {}; use CAST(… AS STRING)", type_name(other))),
    }
}

/// The bytes of texts, or bytes as they are; nothing is copied.
pub(super) fn as_bytes(values: &ArrayRef) -> BinaryArray {
    match values.as_string_opt::<i32>() {
        Some(texts) => texts.clone().into(),
        None => values.as_binary::<i32>().clone(),
    }
}

fn one_value(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    Ok(Typing::new(vec![is_text_or_bytes(&arguments[0])?], DataType::Utf8))
}

fn number_to_text(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    match &arguments[0].data_type {
        other if is_integer(other) || *other == DataType::Null => {
            Ok(Typing::new(vec![DataType::Int64], DataType::Utf8))
        }
        other => Err(format!("it takes a whole number, not {}", type_name(other))),
    }
}

fn hex_typing(arguments: &[Argument]) -> Result<Typing, String> {
    match arguments {
        [Argument { data_type: DataType::Utf8, .. }] => Ok(Typing::new(vec![DataType::Utf8], DataType::Utf8)),
        _ => number_to_text(arguments),
    }
}

fn encode_typing(arguments: &[Argument]) -> Result<Typing, String> {
    checked_charset(arguments)?;
    shape(arguments, (2, 2), (0, 0), DataType::Binary)
}

fn decode_typing(arguments: &[Argument]) -> Result<Typing, String> {
    checked_charset(arguments)?;
    let [bytes, charset] = arguments else { return shape(arguments, (2, 2), (0, 0), DataType::Utf8) };
    if !matches!(bytes.data_type, DataType::Binary | DataType::Null) {
        return Err(format!("it takes bytes, not {}", type_name(&bytes.data_type)));
    }
    shape(std::slice::from_ref(charset), (1, 1), (0, 0), DataType::Utf8)?;
    Ok(Typing::new(vec![DataType::Binary, DataType::Utf8], DataType::Utf8))
}

/// A charset that is written in the query is looked up at once.
fn checked_charset(arguments: &[Argument]) -> Result<(), String> {
    match arguments.get(1).and_then(|charset| charset.text.as_deref()) {
        Some(name) => Charset::named(name).map(|_| ()),
        None => Ok(()),
    }
}

fn digits(numbers: &ArrayRef, write: fn(i64, &mut StringBuilder) -> std::fmt::Result) -> Result<ArrayRef> {
    let numbers = numbers.as_primitive::<Int64Type>();
    let mut out = StringBuilder::with_capacity(numbers.len(), 8 * numbers.len());
    for number in numbers {
        match number {
            Some(number) => {
                // A builder takes any text.
                let _ = write(number, &mut out);
                out.append_value("");
            }
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn hex(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let Some(texts) = arguments[0].as_string_opt::<i32>() else {
        return digits(&arguments[0], |number, out| write!(out, "{number:X}"));
    };
    let mut out = StringBuilder::with_capacity(rows, 2 * texts.value_data().len());
    for text in texts {
        match text {
            Some(text) => {
                for byte in text.bytes() {
                    let _ = write!(out, "{byte:02X}");
                }
                out.append_value("");
            }
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn unhex(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let mut out = BinaryBuilder::with_capacity(rows, texts.value_data().len() / 2);
    let mut bytes = Vec::new();
    for text in texts {
        let is_read = text.is_some_and(|text| {
            bytes.clear();
            let (first, pairs) = text.as_bytes().split_at(text.len() % 2);
            // Of an odd number of digits Flink makes the first a byte 0, whichever it is.
            if !first.is_empty() {
                bytes.push(0);
            }
            let mut read = pairs.chunks(2).map(number);
            number(first).is_some() && read.all(|byte| byte.inspect(|byte| bytes.push(*byte)).is_some())
        });
        out.append_option(is_read.then_some(&bytes));
    }
    Ok(Arc::new(out.finish()))
}

/// The number of up to two hexadecimal digits.
fn number(digits: &[u8]) -> Option<u8> {
    digits
        .iter()
        .try_fold(0_u8, |number, digit| Some(number << 4 | u8::try_from(char::from(*digit).to_digit(16)?).ok()?))
}

fn to_base64(values: &ArrayRef) -> Result<ArrayRef> {
    let values = as_bytes(values);
    let mut out = StringBuilder::with_capacity(values.len(), values.values().len() / 3 * 4 + 4 * values.len());
    let mut text = String::new();
    for value in &values {
        out.append_option(value.map(|value| {
            text.clear();
            STANDARD.encode_string(value, &mut text);
            &text
        }));
    }
    Ok(Arc::new(out.finish()))
}

fn from_base64(values: &ArrayRef) -> Result<ArrayRef> {
    let values = as_bytes(values);
    let mut out = StringBuilder::with_capacity(values.len(), values.values().len());
    let mut bytes = Vec::new();
    for value in &values {
        let Some(value) = value else {
            out.append_null();
            continue;
        };
        bytes.clear();
        let is_filled_wrongly = value.ends_with(b"=") && !value.len().is_multiple_of(4);
        if is_filled_wrongly || LENIENT.decode_vec(value, &mut bytes).is_err() {
            let shown = String::from_utf8_lossy(value);
            return Err(Error::data(format!("FROM_BASE64: '{shown}' is not written in base 64")));
        }
        out.append_value(replaced(&bytes));
    }
    Ok(Arc::new(out.finish()))
}

/// Calls `apply` with the row and its charset, looked up once for all rows in a row that share it; none with a NULL.
fn each_charset(arguments: &[ArrayRef], rows: usize, mut apply: impl FnMut(usize, Option<Charset>)) -> Result<()> {
    let names = arguments[1].as_string::<i32>();
    let mut known: Option<(&str, Charset)> = None;
    for row in 0..rows {
        if super::strings::any_null(arguments, row) {
            apply(row, None);
            continue;
        }
        let name = names.value(row);
        let charset = match known {
            Some((last, charset)) if last == name => charset,
            _ => Charset::named(name).map_err(Error::data)?,
        };
        known = Some((name, charset));
        apply(row, Some(charset));
    }
    Ok(())
}

fn encode(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let mut out = BinaryBuilder::with_capacity(rows, texts.value_data().len());
    let mut bytes = Vec::new();
    each_charset(arguments, rows, |row, charset| {
        out.append_option(charset.map(|charset| {
            bytes.clear();
            charset.encode(texts.value(row), &mut bytes);
            &bytes
        }));
    })?;
    Ok(Arc::new(out.finish()))
}

fn decode(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let values = arguments[0].as_binary::<i32>();
    let mut out = StringBuilder::with_capacity(rows, values.value_data().len());
    each_charset(arguments, rows, |row, charset| {
        let text: Option<Cow<str>> = charset.map(|charset| charset.decode(values.value(row)));
        out.append_option(text);
    })?;
    Ok(Arc::new(out.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn base_64_is_read_with_and_without_its_end() {
        let read = from_base64(&texts(&["YWJj", "YQ==", "YQ", "YR", ""])).unwrap();
        assert_eq!(read.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["abc", "a", "a", "a", ""]);
        for broken in ["Y", "YQ=", "YQ==YQ==", "a-_b", "YWJj=", "=", "==", "Y Q", "é"] {
            assert!(from_base64(&texts(&[broken])).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_base_64_writes_it_reads() {
        for length in 0..50 {
            let text: String = ('a'..='z').cycle().take(length).collect();
            let there = to_base64(&texts(&[&text])).unwrap();
            assert_eq!(from_base64(&there).unwrap().as_string::<i32>().value(0), text);
        }
    }

    #[test]
    fn hexadecimal_digits_are_pairs_and_a_first_one_is_nothing() {
        let call = Call::new(&FUNCTIONS[0], DataType::Binary, true, Vec::new());
        let read = unhex(&call, &[texts(&["FFF", "", "zz", "6 1", "é"])], 5).unwrap();
        let read: Vec<_> = read.as_binary::<i32>().iter().collect();
        assert_eq!(read, [Some(&[0, 0xff][..]), Some(&[]), None, None, None]);
    }
}
