//! JSON_OBJECT and JSON_ARRAY: values of a row put together to a document.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::{Node, write_text};
use super::{json_function, number, place};
use crate::error::{Error, Result};
use crate::expressions::function::{Call, Function, Nulls};
use crate::expressions::nested::{canonical, key_and_value};
use crate::expressions::show::Shown;
use crate::expressions::types::{is_numeric, type_name};

/// `JSON_OBJECT(name, value, …)`: the parameters are whether a NULL is left out, then the [`Part`] of each value.
pub static JSON_OBJECT: Function = Function { nulls: Nulls::Strict, ..json_function("JSON_OBJECT", object) };

/// `JSON_ARRAY(value, …)`: the same.
pub static JSON_ARRAY: Function = Function { nulls: Nulls::Strict, ..json_function("JSON_ARRAY", array) };

/// How a value becomes a part of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A value of SQL.
    Value,
    /// A text that is JSON, from a call of JSON_OBJECT or JSON_ARRAY.
    Built,
    /// A text that has to be JSON: the argument of JSON(…).
    Read,
}

/// Whether a value of that type can be written in JSON.
pub fn is_writable(data_type: &DataType) -> Result<(), String> {
    match data_type {
        DataType::Null | DataType::Boolean | DataType::Utf8 | DataType::Binary | DataType::Timestamp(..) => Ok(()),
        number if is_numeric(number) => Ok(()),
        DataType::List(element) => is_writable(element.data_type()),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| is_writable(field.data_type())),
        DataType::Map(..) => match key_and_value(data_type) {
            Some((DataType::Utf8, value)) => is_writable(value),
            _ => Err(format!("{} cannot be written in JSON: its keys are no texts", type_name(data_type))),
        },
        other => Err(format!("{} cannot be written in JSON; use CAST(… AS STRING)", type_name(other))),
    }
}

/// Writes the values of a column in JSON. The entries of maps are in the order in which they are to stand.
pub(super) struct ValueWriter<'a> {
    values: &'a ArrayRef,
    /// Of types that are written as CAST writes them.
    shown: Option<Shown<'a>>,
    /// What the values are made of: the fields of rows with their names, in the order of those.
    parts: Vec<(&'a str, ValueWriter<'a>)>,
}

impl<'a> ValueWriter<'a> {
    pub(super) fn new(values: &'a ArrayRef) -> Result<Self> {
        let mut parts: Vec<(&str, &ArrayRef)> = match values.data_type() {
            DataType::List(_) => vec![("", values.as_list::<i32>().values())],
            DataType::Map(..) => vec![("", values.as_map().keys()), ("", values.as_map().values())],
            DataType::Struct(fields) => {
                let names = fields.iter().map(|field| field.name().as_str());
                names.zip(values.as_struct().columns()).collect()
            }
            _ => Vec::new(),
        };
        if matches!(values.data_type(), DataType::Struct(_)) {
            parts.sort_by(|(one, _), (other, _)| by_units(one, other));
        }
        let is_shown = parts.is_empty() && !matches!(values.data_type(), DataType::Null | DataType::Binary);
        let parts = parts.into_iter().map(|(name, part)| Ok((name, Self::new(part)?))).collect::<Result<_>>()?;
        Ok(Self { values, shown: is_shown.then(|| Shown::new(values, None)).transpose()?, parts })
    }

    fn write_part(&self, part: usize, row: usize, out: &mut String) {
        let (_, part) = &self.parts[part];
        match part.values.is_null(row) {
            true => out.push_str("null"),
            false => part.write(row, out),
        }
    }

    fn show(&self, row: usize, out: &mut String) {
        if let Some(shown) = &self.shown {
            shown.write(row, out);
        }
    }

    /// Appends the value of a row, which is not NULL.
    pub(super) fn write(&self, row: usize, out: &mut String) {
        let mut text = String::new();
        match self.values.data_type() {
            DataType::Boolean => out.push_str(if self.values.as_boolean().value(row) { "true" } else { "false" }),
            DataType::Utf8 => write_text(self.values.as_string::<i32>().value(row), out),
            DataType::List(_) => {
                let offsets = self.values.as_list::<i32>().value_offsets();
                out.push('[');
                for (index, element) in (offsets[row]..offsets[row + 1]).enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    self.write_part(0, element as usize, out);
                }
                out.push(']');
            }
            DataType::Map(..) => {
                let offsets = self.values.as_map().value_offsets();
                out.push('{');
                for (index, entry) in (offsets[row]..offsets[row + 1]).enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    self.write_part(0, entry as usize, out);
                    out.push(':');
                    self.write_part(1, entry as usize, out);
                }
                out.push('}');
            }
            DataType::Struct(_) => {
                out.push('{');
                for (index, (name, _)) in self.parts.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    write_text(name, out);
                    out.push(':');
                    self.write_part(index, row, out);
                }
                out.push('}');
            }
            DataType::Binary => {
                out.push('"');
                STANDARD.encode_string(self.values.as_binary::<i32>().value(row), out);
                out.push('"');
            }
            DataType::Float32 => write_double(self.values.as_primitive::<Float32Type>().value(row).into(), out),
            DataType::Float64 => write_double(self.values.as_primitive::<Float64Type>().value(row), out),
            DataType::Timestamp(_, zone) => {
                self.show(row, &mut text);
                let text = match text.contains('.') {
                    true => text.trim_end_matches('0').trim_end_matches('.'),
                    false => &text,
                };
                out.push('"');
                out.push_str(&text.replacen(' ', "T", 1));
                out.push_str(if zone.is_some() { "Z\"" } else { "\"" });
            }
            _ => {
                self.show(row, &mut text);
                number::write(&text, out);
            }
        }
    }
}

/// The order of Java's texts.
fn by_units(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

/// As Java's `BigDecimal.valueOf` writes it; what is no number there is a text.
fn write_double(value: f64, out: &mut String) {
    if value.is_nan() {
        out.push_str("\"NaN\"");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else {
        // Between 10^-3 and 10^7 Java writes no exponent.
        let plain = value == 0.0 || (1e-3..1e7).contains(&value.abs());
        let text = if plain { format!("{value:?}") } else { format!("{value:e}") };
        match text.split_once('e') {
            Some((mantissa, exponent)) if !mantissa.contains('.') => {
                number::write(&format!("{mantissa}.0e{exponent}"), out)
            }
            _ => number::write(&text, out),
        }
    }
}

/// The columns of a document and how each is written.
struct Parts<'a> {
    parts: Vec<(ValueWriter<'a>, Part)>,
    leaves_out_nulls: bool,
}

impl<'a> Parts<'a> {
    fn new(call: &Call, values: impl Iterator<Item = &'a ArrayRef>) -> Result<Self> {
        let Some((leaves_out_nulls, kinds)) = call.parameters.split_first() else {
            return Err(Error::bug(format!("{} lacks a parameter", call.function.name)));
        };
        let part = |kind: &i64| match kind {
            1 => Part::Built,
            2 => Part::Read,
            _ => Part::Value,
        };
        let parts = values.zip(kinds).map(|(values, kind)| Ok((ValueWriter::new(values)?, part(kind))));
        Ok(Self { parts: parts.collect::<Result<_>>()?, leaves_out_nulls: *leaves_out_nulls == 1 })
    }

    /// Appends one value of a row; whether there is one.
    fn write(&self, index: usize, row: usize, out: &mut String) -> Result<bool> {
        let (writer, part) = &self.parts[index];
        let row = place(writer.values, row);
        if writer.values.is_null(row) || *writer.values.data_type() == DataType::Null {
            if !self.leaves_out_nulls {
                out.push_str("null");
            }
            return Ok(!self.leaves_out_nulls);
        }
        match part {
            Part::Value => writer.write(row, out),
            Part::Built => out.push_str(writer.values.as_string::<i32>().value(row)),
            Part::Read => {
                let text = writer.values.as_string::<i32>().value(row);
                let node = Node::read(text).ok_or_else(|| Error::data(format!("JSON: '{text}' is no JSON")))?;
                node.write(out);
            }
        }
        Ok(true)
    }
}

fn array(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let arguments = arguments.iter().map(canonical).collect::<Result<Vec<_>>>()?;
    let parts = Parts::new(call, arguments.iter())?;
    let mut out = StringBuilder::with_capacity(rows, 16 * rows);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        text.push('[');
        for index in 0..parts.parts.len() {
            let before = text.len();
            text.push_str(if before > 1 { "," } else { "" });
            if !parts.write(index, row, &mut text)? {
                text.truncate(before);
            }
        }
        text.push(']');
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}

/// Members stand in the order of their names; of two with one name the last counts.
fn object(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let names: Vec<_> = arguments.iter().step_by(2).map(|array| array.as_string::<i32>()).collect();
    let values = arguments.iter().skip(1).step_by(2).map(canonical).collect::<Result<Vec<_>>>()?;
    let parts = Parts::new(call, values.iter())?;
    let mut out = StringBuilder::with_capacity(rows, 16 * rows);
    let (mut text, mut value) = (String::new(), String::new());
    let mut members: Vec<(&str, std::ops::Range<usize>)> = Vec::with_capacity(names.len());
    for row in 0..rows {
        text.clear();
        value.clear();
        members.clear();
        for (index, names) in names.iter().enumerate() {
            let at = place(names, row);
            if names.is_null(at) {
                return Err(Error::data("JSON_OBJECT: the name of a member is NULL"));
            }
            let (name, start) = (names.value(at), value.len());
            if parts.write(index, row, &mut value)? {
                match members.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, range)) => *range = start..value.len(),
                    None => members.push((name, start..value.len())),
                }
            }
        }
        members.sort_by(|(one, _), (other, _)| by_units(one, other));
        text.push('{');
        for (index, (name, range)) in members.iter().enumerate() {
            text.push_str(if index > 0 { "," } else { "" });
            write_text(name, &mut text);
            text.push(':');
            text.push_str(&value[range.clone()]);
        }
        text.push('}');
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}
