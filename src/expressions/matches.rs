//! How often and where a regular expression matches: REGEXP_COUNT, REGEXP_INSTR, REGEXP_SUBSTR.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, StringBuilder};
use arrow::datatypes::DataType;

use super::function::{Call, Function};
use super::patterns::{each_match, each_pattern, pattern_function, typing};
use crate::error::Result;

/// The list.
pub const FUNCTIONS: &[Function] = &[
    pattern_function(
        "REGEXP_COUNT",
        "REGEXP_COUNT(text, pattern): how often the pattern matches",
        |arguments| typing(arguments, 2, 2, DataType::Int32),
        counted,
    )
    .example("REGEXP_COUNT('banana', 'an')", "2"),
    pattern_function(
        "REGEXP_INSTR",
        "REGEXP_INSTR(text, pattern): where the first match begins, from 1; 0 if there is none",
        |arguments| typing(arguments, 2, 2, DataType::Int32),
        placed,
    )
    .example("REGEXP_INSTR('banana', 'n.')", "3"),
    pattern_function(
        "REGEXP_SUBSTR",
        "REGEXP_SUBSTR(text, pattern): the first match; NULL if there is none",
        |arguments| typing(arguments, 2, 2, DataType::Utf8),
        first,
    )
    .example("REGEXP_SUBSTR('banana', 'n.')", "na"),
];

fn counted(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let mut counts = Int32Array::builder(rows);
    each_pattern(arguments, rows, |row, pattern| {
        counts.append_option(pattern.map(|pattern| {
            let mut matches = 0_i32;
            each_match(texts.value(row), pattern, |_, _| matches = matches.saturating_add(1));
            matches
        }));
    })?;
    Ok(Arc::new(counts.finish()))
}

/// Counts in units of UTF-16, as Java does.
fn placed(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let mut places = Int32Array::builder(rows);
    each_pattern(arguments, rows, |row, pattern| {
        places.append_option(pattern.map(|pattern| {
            let text = texts.value(row);
            let place = pattern(text, 0).map_or(0, |(start, _)| text[..start].encode_utf16().count() + 1);
            i32::try_from(place).unwrap_or(i32::MAX)
        }));
    })?;
    Ok(Arc::new(places.finish()))
}

fn first(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let mut out = StringBuilder::with_capacity(rows, texts.value_data().len());
    each_pattern(arguments, rows, |row, pattern| {
        let text = texts.value(row);
        let found = pattern.and_then(|pattern| pattern(text, 0));
        out.append_option(found.map(|(start, end)| &text[start..end]));
    })?;
    Ok(Arc::new(out.finish()))
}
