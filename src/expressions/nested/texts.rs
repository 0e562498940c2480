//! Arrays and maps of the parts of a text: SPLIT, STR_TO_MAP, REGEXP_EXTRACT_ALL.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanBufferBuilder, ListBuilder, StringBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int32Type};

use super::entries::deduplicated;
use super::{item, list_of, map_of, offsets_of};
use crate::error::Result;
use crate::expressions::function::{Call, Function};
use crate::expressions::patterns::{Splitter, each_groups, extract_typing, pattern_function};
use crate::expressions::strings::{any_null, shape};
use crate::expressions::typing::{Argument, Typing};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    pattern_function(
        "REGEXP_EXTRACT_ALL",
        "REGEXP_EXTRACT_ALL(text, pattern [, group]): group 1, or another one, of each match, as an array",
        |arguments| {
            let typing = extract_typing(arguments)?;
            Ok(Typing { output: list_of(DataType::Utf8), ..typing })
        },
        extracted,
    ).example("REGEXP_EXTRACT_ALL('a1b2', '([0-9])')", "[1,2]"),
    Function::strict(
        "SPLIT",
        "SPLIT(text, separator): its parts as an array; without a separator its characters",
        |arguments| shape(arguments, (2, 2), (0, 0), list_of(DataType::Utf8)),
        split,
    )
    .example("SPLIT('a,b', ',')", "[a,b]"),
    pattern_function(
        "STR_TO_MAP",
        "STR_TO_MAP(text [, between entries, behind keys]): a map of its entries, 'a=1,b=2' or by patterns of one's own",
        to_map_typing,
        to_map,
    ).example("STR_TO_MAP('a=1,b=2')", "{a=1, b=2}"),
];

/// The parts of a column between semicolons, for tests.
#[cfg(test)]
pub fn parts(input: &arrow::datatypes::Schema, column: &str) -> crate::expressions::Scalar {
    use datafusion::prelude::{col, lit};
    let known = datafusion::common::DFSchema::try_from(input.clone()).expect("a schema");
    let function = FUNCTIONS.iter().find(|function| function.name == "SPLIT").expect("it is in the list");
    let call = Call::new(function, list_of(DataType::Utf8), true, Vec::new());
    crate::expressions::compile(&call.on(vec![col(column), lit(";")]), &known).expect("a column of text")
}

fn to_map_typing(arguments: &[Argument]) -> Result<Typing, String> {
    if arguments.len() == 2 {
        return Err("it takes one text, or a text and two patterns".into());
    }
    shape(arguments, (1, 3), (0, 0), map_of(DataType::Utf8, DataType::Utf8))
}

fn texts_builder(rows: usize, bytes: usize) -> ListBuilder<StringBuilder> {
    ListBuilder::with_capacity(StringBuilder::with_capacity(rows, bytes), rows).with_field(item(DataType::Utf8))
}

fn split(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (texts, separators) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let mut out = texts_builder(rows, texts.value_data().len());
    for row in 0..rows {
        if any_null(arguments, row) {
            out.append_null();
            continue;
        }
        let (text, separator) = (texts.value(row), separators.value(row));
        if text.is_empty() {
            // The empty text has no part.
        } else if separator.is_empty() {
            let ends = text.char_indices().map(|(start, character)| (start, start + character.len_utf8()));
            ends.for_each(|(start, end)| out.values().append_value(&text[start..end]));
        } else {
            text.split(separator).for_each(|part| out.values().append_value(part));
        }
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

fn to_map(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let patterns = |index: usize| arguments.get(index).map(|patterns| patterns.as_string::<i32>());
    let (between, behind) = (patterns(1), patterns(2));
    let (mut entries, mut pairs) = (Splitter::default(), Splitter::default());
    let mut keys = StringBuilder::with_capacity(rows, texts.value_data().len());
    let mut values = StringBuilder::with_capacity(rows, texts.value_data().len());
    let mut lengths = Vec::with_capacity(rows);
    let mut is_there = BooleanBufferBuilder::new(rows);
    for row in 0..rows {
        let is_null = any_null(arguments, row);
        is_there.append(!is_null);
        let mut length = 0;
        if !is_null && !texts.value(row).is_empty() {
            let between = between.map_or(",", |between| between.value(row));
            let behind = behind.map_or("=", |behind| behind.value(row));
            for entry in entries.split(texts.value(row), between, 0)? {
                let mut parts = pairs.split(entry, behind, 2)?.into_iter();
                keys.append_option(parts.next());
                values.append_option(parts.next());
                length += 1;
            }
        }
        lengths.push(length);
    }
    let nulls = Some(NullBuffer::new(is_there.finish())).filter(|nulls| nulls.null_count() > 0);
    let (keys, values): (ArrayRef, ArrayRef) = (Arc::new(keys.finish()), Arc::new(values.finish()));
    deduplicated(&offsets_of(lengths.into_iter())?, &keys, &values, nulls)
}

/// NULL where the pattern has no such group, or cannot be read.
fn extracted(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let groups = arguments.get(2).map(|groups| groups.as_primitive::<Int32Type>());
    let mut out = texts_builder(rows, texts.value_data().len());
    each_groups(arguments, rows, |row, pattern| {
        let group = usize::try_from(groups.map_or(1, |groups| groups.value(row))).ok();
        let pattern = pattern.and_then(|pattern| Some((group.filter(|group| *group < pattern.count)?, pattern.find)));
        let Some((group, find)) = pattern else {
            out.append_null();
            return;
        };
        let text = texts.value(row);
        let mut from = 0;
        while let Some((whole, part)) = find(text, from, group) {
            out.values().append_option(part.map(|part| &text[part]));
            from = whole.end;
            if whole.is_empty() {
                // The empty match right behind another counts, as in Java.
                let Some(next) = text[from..].chars().next() else { break };
                from += next.len_utf8();
            }
        }
        out.append(true);
    })?;
    Ok(Arc::new(out.finish()))
}
