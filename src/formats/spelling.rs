//! Arrow columns to text, one column at a time; a format says only what differs.
//!
//! Each column is spelled out as a whole, nested ones by way of their children; the writer of a format then stitches
//! the texts of a row together.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};

use super::columns::type_name;
use super::numbers::{append_double, append_float, append_integer};
use super::times::{append_date, append_time};
use crate::error::{Error, Result};

/// The texts of a column, row after row.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    /// The text of `row`.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }

    /// Bytes of all rows.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// How a format spells values.
pub(crate) trait Spelling {
    /// How values within ARRAY, MAP and ROW are spelled.
    type Inner: Spelling;
    /// How values within ARRAY, MAP and ROW are spelled.
    fn inner(&self) -> Self::Inner;
    /// A NULL.
    fn null(&self, to: &mut Vec<u8>);
    /// A string.
    fn text(&self, text: &str, to: &mut Vec<u8>);
    /// A value other than a string whose text stands at the end of `to`, from `start`: adds quotes if it needs any.
    fn quote(&self, start: usize, to: &mut Vec<u8>);
    /// BYTES.
    fn binary(&self, bytes: &[u8], to: &mut Vec<u8>);
    /// A FLOAT.
    fn float(&self, value: f32, to: &mut Vec<u8>) {
        append_float(value, to);
    }
    /// A DOUBLE.
    fn double(&self, value: f64, to: &mut Vec<u8>) {
        append_double(value, to);
    }
    /// A DECIMAL.
    fn decimal(&self, unscaled: i128, scale: i8, to: &mut Vec<u8>);
    /// A TIMESTAMP or, with `utc`, TIMESTAMP_LTZ, before quotes are added.
    fn timestamp(&self, units: i64, unit: TimeUnit, utc: bool, to: &mut Vec<u8>);
    /// A TIME, before quotes are added.
    fn time(&self, units: i64, unit: TimeUnit, to: &mut Vec<u8>) {
        append_time(units, unit, to);
    }
    /// An ARRAY of these elements.
    fn list<'a>(&self, elements: impl Iterator<Item = &'a [u8]>, to: &mut Vec<u8>);
    /// A MAP; keys that are no strings have `text_keys` false.
    fn map<'a>(&self, entries: impl Iterator<Item = (&'a [u8], &'a [u8])>, text_keys: bool, to: &mut Vec<u8>);
    /// A ROW: name, text, and whether it is NULL.
    fn row<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a [u8], bool)>, to: &mut Vec<u8>);
}

/// Spells out all rows of a column.
pub(crate) fn texts<S: Spelling>(spelling: &S, array: &dyn Array) -> Result<Texts> {
    let column = Column { spelling, array };
    macro_rules! integers {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>();
            column.each(|row, to| append_integer(values.value(row).into(), to))
        }};
    }
    macro_rules! times {
        ($type:ty, $unit:expr) => {{
            let values = array.as_primitive::<$type>();
            column.quoted(|row, to| spelling.time(values.value(row).into(), $unit, to))
        }};
    }
    macro_rules! timestamps {
        ($type:ty, $unit:expr, $zone:expr) => {{
            let values = array.as_primitive::<$type>();
            column.quoted(|row, to| spelling.timestamp(values.value(row), $unit, $zone.is_some(), to))
        }};
    }
    Ok(match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean();
            column.each(|row, to| to.extend_from_slice(if values.value(row) { b"true" } else { b"false" }))
        }
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            column.each(|row, to| spelling.float(values.value(row), to))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            column.each(|row, to| spelling.double(values.value(row), to))
        }
        DataType::Decimal128(_, scale) => {
            let values = array.as_primitive::<Decimal128Type>();
            column.each(|row, to| spelling.decimal(values.value(row), *scale, to))
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            column.each(|row, to| spelling.text(values.value(row), to))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            column.each(|row, to| spelling.text(values.value(row), to))
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            column.each(|row, to| spelling.text(values.value(row), to))
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            column.each(|row, to| spelling.binary(values.value(row), to))
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>();
            column.quoted(|row, to| append_date(values.value(row).into(), to))
        }
        DataType::Time32(TimeUnit::Millisecond) => times!(Time32MillisecondType, TimeUnit::Millisecond),
        DataType::Time64(TimeUnit::Microsecond) => times!(Time64MicrosecondType, TimeUnit::Microsecond),
        DataType::Time64(_) => times!(Time64NanosecondType, TimeUnit::Nanosecond),
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            timestamps!(TimestampMillisecondType, TimeUnit::Millisecond, zone)
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            timestamps!(TimestampMicrosecondType, TimeUnit::Microsecond, zone)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            timestamps!(TimestampNanosecondType, TimeUnit::Nanosecond, zone)
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let elements = texts(&spelling.inner(), list.values().as_ref())?;
            let offsets = list.value_offsets();
            column.each(|row, to| {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                spelling.list(range.map(|element| elements.row(element)), to);
            })
        }
        DataType::Struct(fields) => {
            let values = array.as_struct();
            let inner = spelling.inner();
            let columns =
                values.columns().iter().map(|column| texts(&inner, column.as_ref())).collect::<Result<Vec<_>>>()?;
            column.each(|row, to| {
                let parts = fields.iter().zip(&columns).zip(values.columns());
                spelling.row(
                    parts.map(|((field, text), array)| (field.name().as_str(), text.row(row), array.is_null(row))),
                    to,
                );
            })
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            let inner = spelling.inner();
            let keys = texts(&inner, map.keys().as_ref())?;
            let values = texts(&inner, map.values().as_ref())?;
            let text_keys = matches!(map.keys().data_type(), DataType::Utf8);
            let offsets = map.value_offsets();
            column.each(|row, to| {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                spelling.map(range.map(|entry| (keys.row(entry), values.row(entry))), text_keys, to);
            })
        }
        other => return Err(Error::bug(format!("a column of type {} cannot be written as text", type_name(other)))),
    })
}

struct Column<'a, S> {
    spelling: &'a S,
    array: &'a dyn Array,
}

impl<S: Spelling> Column<'_, S> {
    /// The text of each row that is not NULL by `append`.
    fn each(&self, mut append: impl FnMut(usize, &mut Vec<u8>)) -> Texts {
        let rows = self.array.len();
        let mut texts = Texts { bytes: Vec::with_capacity(rows * 8), ends: Vec::with_capacity(rows) };
        match self.array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => {
                for row in 0..rows {
                    append(row, &mut texts.bytes);
                    texts.ends.push(texts.bytes.len());
                }
            }
            Some(nulls) => {
                for row in 0..rows {
                    if nulls.is_valid(row) {
                        append(row, &mut texts.bytes);
                    } else {
                        self.spelling.null(&mut texts.bytes);
                    }
                    texts.ends.push(texts.bytes.len());
                }
            }
        }
        texts
    }

    /// The same for text that a format may put into quotes.
    fn quoted(&self, mut append: impl FnMut(usize, &mut Vec<u8>)) -> Texts {
        self.each(|row, to| {
            let start = to.len();
            append(row, to);
            self.spelling.quote(start, to);
        })
    }
}
