//! PRINTF: values in a format of Java's.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};

use super::function::{Call, Function, Nulls};
use super::java_format::{Format, Unusable, Value};
use super::show::Shown;
use super::types::{is_integer, type_name};
use super::typing::{Argument, Typing};
use crate::error::{Error, Result};

/// The list.
pub const FUNCTIONS: &[Function] = &[Function {
    nulls: Nulls::Possible,
    fallible: true,
    takes_constants: true,
    ..Function::strict(
        "PRINTF",
        "PRINTF(format, value, …): the values in a format of Java's, such as '%05d %s'; NULL where they do not fit it",
        typing,
        printf,
    )
    .example("PRINTF('%05d %s', 42, 'a')", "00042 a")
}];

fn typing(arguments: &[Argument]) -> Result<Typing, String> {
    let [format, values @ ..] = arguments else { return Err("it takes a format".into()) };
    if !matches!(format.data_type, DataType::Utf8 | DataType::Null) {
        return Err(format!("its format is a text, not {}", type_name(&format.data_type)));
    }
    if let Some(format) = &format.text {
        compiled(format).map_err(|said| said.unwrap_or_else(|| format!("the format '{format}' cannot be read")))?;
    }
    for value in values {
        match &value.data_type {
            DataType::Null | DataType::Utf8 | DataType::Boolean | DataType::Float32 | DataType::Float64 => {}
            DataType::Decimal128(..) => {}
            number if is_integer(number) => {}
            other => return Err(format!("it does not write {}; use CAST(… AS STRING)", type_name(other))),
        }
    }
    let values = values.iter().map(|value| value.data_type.clone());
    Ok(Typing::new(std::iter::once(DataType::Utf8).chain(values).collect(), DataType::Utf8))
}

/// A format; none where Java has no such format either, or what of it is not built.
fn compiled(format: &str) -> Result<Format, Option<String>> {
    Format::compile(format).map_err(|error| match error {
        Unusable::Invalid => None,
        Unusable::NotBuilt(letter) => Some(format!("%{letter} in the format '{format}' is not built yet")),
    })
}

/// A column of values in the shape that a format takes.
struct Column<'a> {
    values: &'a ArrayRef,
    /// Whole numbers, and the bits of their type.
    integers: Option<(ArrayRef, u32)>,
    /// The texts of numbers that are not whole.
    texts: Option<StringArray>,
}

impl<'a> Column<'a> {
    fn new(values: &'a ArrayRef) -> Result<Self> {
        let bits = match values.data_type() {
            DataType::Int8 => Some(8),
            DataType::Int16 => Some(16),
            DataType::Int32 => Some(32),
            DataType::Int64 => Some(64),
            _ => None,
        };
        let integers = match bits {
            Some(bits) => Some((arrow::compute::cast(values, &DataType::Int64)?, bits)),
            None => None,
        };
        let texts = match values.data_type() {
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => Some(shown(values)?),
            _ => None,
        };
        Ok(Self { values, integers, texts })
    }

    fn value(&self, row: usize) -> Value<'_> {
        let row = if self.values.len() == 1 { 0 } else { row };
        if self.values.is_null(row) {
            return Value::Null;
        }
        if let Some((integers, bits)) = &self.integers {
            return Value::Integer(integers.as_primitive::<Int64Type>().value(row), *bits);
        }
        let text = self.texts.as_ref().map_or("", |texts| texts.value(row));
        match self.values.data_type() {
            DataType::Boolean => Value::Boolean(self.values.as_boolean().value(row)),
            DataType::Utf8 => Value::Text(self.values.as_string::<i32>().value(row)),
            DataType::Float32 => Value::Float(self.values.as_primitive::<Float32Type>().value(row), text),
            DataType::Float64 => Value::Double(self.values.as_primitive::<Float64Type>().value(row), text),
            DataType::Null => Value::Null,
            _ => Value::Text(text),
        }
    }
}

/// The numbers as CAST writes them.
fn shown(values: &ArrayRef) -> Result<StringArray> {
    let shown = Shown::new(values, None)?;
    let mut out = StringBuilder::with_capacity(values.len(), 8 * values.len());
    let mut text = String::new();
    for row in 0..values.len() {
        text.clear();
        if values.is_valid(row) {
            shown.write(row, &mut text);
        }
        out.append_value(&text);
    }
    Ok(out.finish())
}

fn printf(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let formats = arguments[0].as_string::<i32>();
    let columns = arguments[1..].iter().map(Column::new).collect::<Result<Vec<_>>>()?;
    let mut out = StringBuilder::with_capacity(rows, 16 * rows);
    let mut text = String::new();
    let mut known: Option<(&str, Option<Format>)> = None;
    for row in 0..rows {
        let at = if formats.len() == 1 { 0 } else { row };
        if formats.is_null(at) {
            out.append_null();
            continue;
        }
        let written = formats.value(at);
        let format = match &known {
            Some((last, format)) if *last == written => format,
            _ => {
                let format = match compiled(written) {
                    Ok(format) => Some(format),
                    Err(None) => None,
                    Err(Some(said)) => return Err(Error::data(format!("PRINTF: {said}"))),
                };
                &known.insert((written, format)).1
            }
        };
        text.clear();
        let is_written = format
            .as_ref()
            .and_then(|format| format.write(|index| columns.get(index).map(|column| column.value(row)), &mut text));
        out.append_option(is_written.map(|()| &text));
    }
    Ok(Arc::new(out.finish()))
}
