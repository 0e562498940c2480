//! Functions that change parts of a text or take it apart: LPAD, INITCAP, SPLIT_INDEX, OVERLAY and their like.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, StringBuilder};
use arrow::datatypes::{DataType, Int32Type};

use super::function::{Call, Function};
use super::strings::{any_null, shape};
use super::types::is_integer;
use super::typing::{Argument, Typing, count};
use crate::error::Result;

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict("ASCII", "ASCII(text): its first byte in UTF-8 as a number; 0 if it is empty", text_to_int, ascii)
        .example("ASCII('Abc')", "65"),
    Function::strict(
        "CHR",
        "CHR(number): the character of that number, modulo 256",
        one_number,
        |_, arguments, rows| {
            let numbers = arguments[0].as_primitive::<Int32Type>();
            write(arguments, rows, |row, out| {
                let number = numbers.value(row);
                // Below 0 there is none; the first 256 of Unicode are one byte in Java.
                out.extend(u8::try_from(number.rem_euclid(256)).ok().filter(|_| number >= 0).map(char::from));
                true
            })
        },
    )
    .example("CHR(65)", "A"),
    Function::strict(
        "ENDSWITH",
        "ENDSWITH(text, part): whether it ends with the part",
        two_texts_to_truth,
        |_, arguments, rows| compare(arguments, rows, |text, part| text.ends_with(part)),
    )
    .example("ENDSWITH('flink', 'ink')", "true"),
    Function::strict(
        "INITCAP",
        "INITCAP(text): every word begins with a capital letter",
        one_text,
        |_, arguments, rows| {
            let texts = arguments[0].as_string::<i32>();
            write(arguments, rows, |row, out| {
                capitalise(texts.value(row), out);
                true
            })
        },
    )
    .example("INITCAP('hello world')", "Hello World"),
    Function::strict(
        "INSTR",
        "INSTR(text, part): where the part begins, from 1; 0 if nowhere",
        two_texts_to_int,
        |_, a, rows| {
            let (texts, parts) = (a[0].as_string::<i32>(), a[1].as_string::<i32>());
            let places: Int32Array = (0..rows)
                .map(|row| {
                    let text = (!any_null(a, row)).then(|| texts.value(row))?;
                    let byte = text.find(parts.value(row));
                    let place = byte.map_or(0, |byte| text[..byte].chars().count() + 1);
                    Some(i32::try_from(place).unwrap_or(i32::MAX))
                })
                .collect();
            Ok(Arc::new(places))
        },
    )
    .example("INSTR('banana', 'na')", "3"),
    Function::possibly(
        "LPAD",
        "LPAD(text, length, fill): filled at the start, or cut, to that length",
        padded,
        |_, a, rows| pad(a, rows, true),
    )
    .example("LPAD('7', 3, '0')", "007"),
    Function::strict(
        "OVERLAY",
        "OVERLAY(text PLACING part FROM start [FOR length]): the part instead of what stands there",
        overlay_typing,
        overlay,
    )
    .example("OVERLAY('abcdef' PLACING 'XY' FROM 3)", "abXYef"),
    Function::possibly(
        "RPAD",
        "RPAD(text, length, fill): filled at the end, or cut, to that length",
        padded,
        |_, a, rows| pad(a, rows, false),
    )
    .example("RPAD('a', 3, '-')", "a--"),
    Function::possibly(
        "SPLIT_INDEX",
        "SPLIT_INDEX(text, separator, index): the part of that index, counted from 0; NULL if there is none",
        split_typing,
        split,
    )
    .example("SPLIT_INDEX('a,b', ',', 1)", "b"),
    Function::strict(
        "STARTSWITH",
        "STARTSWITH(text, part): whether it begins with the part",
        two_texts_to_truth,
        |_, arguments, rows| compare(arguments, rows, |text, part| text.starts_with(part)),
    )
    .example("STARTSWITH('flink', 'fl')", "true"),
    Function::strict(
        "TRANSLATE",
        "TRANSLATE(text, from, to): each character of from replaced by the one at its place in to, or left out",
        |arguments| shape(arguments, (3, 3), (0, 0), DataType::Utf8),
        translate,
    )
    .example("TRANSLATE('abc', 'ab', 'x')", "xc"),
    Function::strict(
        "TRANSLATE3",
        "TRANSLATE3(text, from, to): as TRANSLATE",
        |arguments| shape(arguments, (3, 3), (0, 0), DataType::Utf8),
        translate,
    )
    .example("TRANSLATE3('abc', 'ab', 'xy')", "xyc"),
];

fn one_text(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, 1), (0, 0), DataType::Utf8)
}

fn text_to_int(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, 1), (0, 0), DataType::Int32)
}

fn two_texts_to_int(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (2, 2), (0, 0), DataType::Int32)
}

fn two_texts_to_truth(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (2, 2), (0, 0), DataType::Boolean)
}

fn one_number(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (0, 0), (1, 1), DataType::Utf8)
}

/// A text, a length, a text.
fn padded(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 3, 3)?;
    let [text, length, fill] = [0, 1, 2].map(|index| arguments[index].clone());
    let mut typing = shape(&[text, fill, length], (2, 2), (1, 1), DataType::Utf8)?;
    typing.arguments.swap(1, 2);
    Ok(typing)
}

fn overlay_typing(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (2, 2), (1, 2), DataType::Utf8)
}

/// The separator may be the number of a character.
fn split_typing(arguments: &[Argument]) -> Result<Typing, String> {
    match arguments {
        [_, separator, _] if is_integer(&separator.data_type) => shape(arguments, (1, 1), (2, 2), DataType::Utf8),
        _ => shape(arguments, (2, 2), (1, 1), DataType::Utf8),
    }
}

/// Texts written row by row; a row for which `of` says no is NULL, and so is one with a NULL.
pub(super) fn write(
    arguments: &[ArrayRef],
    rows: usize,
    mut of: impl FnMut(usize, &mut String) -> bool,
) -> Result<ArrayRef> {
    let mut builder = StringBuilder::with_capacity(rows, 8 * rows);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        let is_there = !any_null(arguments, row) && of(row, &mut text);
        builder.append_option(is_there.then_some(&text));
    }
    Ok(Arc::new(builder.finish()))
}

fn compare(arguments: &[ArrayRef], rows: usize, of: impl Fn(&str, &str) -> bool) -> Result<ArrayRef> {
    let (texts, parts) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let found: BooleanArray =
        (0..rows).map(|row| (!any_null(arguments, row)).then(|| of(texts.value(row), parts.value(row)))).collect();
    Ok(Arc::new(found))
}

/// Java's byte is signed.
fn ascii(_: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let first: Int32Array = texts
        .iter()
        .map(|text| text.map(|text| text.bytes().next().map_or(0, |byte| i32::from(byte.cast_signed()))))
        .collect();
    Ok(Arc::new(first))
}

/// Flink knows letters and digits of ASCII only; all other characters stay, and separate words.
fn capitalise(text: &str, out: &mut String) {
    let mut inside = false;
    for character in text.chars() {
        out.push(if inside { character.to_ascii_lowercase() } else { character.to_ascii_uppercase() });
        inside = character.is_ascii_alphanumeric();
    }
}

fn pad(arguments: &[ArrayRef], rows: usize, at_start: bool) -> Result<ArrayRef> {
    let (texts, fills) = (arguments[0].as_string::<i32>(), arguments[2].as_string::<i32>());
    let lengths = arguments[1].as_primitive::<Int32Type>();
    write(arguments, rows, |row, out| {
        let (text, fill) = (texts.value(row), fills.value(row));
        let Ok(length) = usize::try_from(lengths.value(row)) else { return false };
        if fill.is_empty() {
            return false;
        }
        let missing = length.saturating_sub(text.chars().count());
        if at_start {
            out.extend(fill.chars().cycle().take(missing));
        }
        out.extend(text.chars().take(length));
        if !at_start {
            out.extend(fill.chars().cycle().take(missing));
        }
        true
    })
}

fn split(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let indices = arguments[2].as_primitive::<Int32Type>();
    let mut buffer = [0_u8; 4];
    write(arguments, rows, |row, out| {
        let separator = match arguments[1].as_string_opt::<i32>() {
            Some(separators) => separators.value(row),
            None => {
                let number = arguments[1].as_primitive::<Int32Type>().value(row);
                let Some(character) = u8::try_from(number).ok().filter(|number| *number > 0) else { return false };
                char::from(character).encode_utf8(&mut buffer)
            }
        };
        let (text, Ok(index)) = (texts.value(row), usize::try_from(indices.value(row))) else { return false };
        // Of an empty text there is no part; the empty separator separates nothing.
        let part = match text {
            "" => None,
            _ if separator.is_empty() => Some(text).filter(|_| index == 0),
            _ => text.split(separator).nth(index),
        };
        part.inspect(|part| out.push_str(part)).is_some()
    })
}

/// A start that is not in the text changes nothing.
fn overlay(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (texts, parts) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let starts = arguments[2].as_primitive::<Int32Type>();
    let lengths = arguments.get(3).map(|array| array.as_primitive::<Int32Type>());
    write(arguments, rows, |row, out| {
        let (text, part) = (texts.value(row), parts.value(row));
        let whole = text.chars().count();
        let start = usize::try_from(starts.value(row)).unwrap_or(0);
        if start == 0 || start > whole {
            out.push_str(text);
            return true;
        }
        let part_length = part.chars().count();
        // A length that is not positive takes away all that follows, as in Flink.
        let length = lengths.map_or(part_length, |lengths| {
            usize::try_from(lengths.value(row)).ok().filter(|length| *length > 0).unwrap_or(whole)
        });
        out.extend(text.chars().take(start - 1));
        out.push_str(part);
        out.extend(text.chars().skip((start - 1).saturating_add(length)));
        true
    })
}

fn translate(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let [texts, from, to] = [0, 1, 2].map(|index| arguments[index].as_string::<i32>());
    write(arguments, rows, |row, out| {
        for character in texts.value(row).chars() {
            match from.value(row).chars().position(|known| known == character) {
                None => out.push(character),
                Some(place) => out.extend(to.value(row).chars().nth(place)),
            }
        }
        true
    })
}
