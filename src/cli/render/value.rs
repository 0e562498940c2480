//! The text of one value: as Flink's client shows it in a table, as a csv field, or as JSON.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use crate::error::Result;
use crate::stream::Zone;

/// Whom the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// People: `TRUE`, `x'0aff'`, `[1, 2]`, `{k=v}`, `(a, b)`; instants in the session's zone.
    Table,
    /// Programs that read csv: `true`, base64, nested values as JSON; instants in UTC with a `Z`.
    Csv,
    /// Programs that read JSON: the same, strings quoted.
    Json,
}

/// Writes values in one style.
#[derive(Debug, Clone)]
pub struct ValueWriter {
    style: Style,
    zone: Zone,
}

impl ValueWriter {
    /// A writer that shows instants in `zone`.
    pub fn new(style: Style, zone: Zone) -> Self {
        Self { style, zone }
    }

    /// Appends the value of `row`; `NULL` or `null` where there is none.
    pub fn write(&self, array: &dyn Array, row: usize, out: &mut String) -> Result<()> {
        if array.is_null(row) {
            out.push_str(if self.style == Style::Json { "null" } else { "NULL" });
            return Ok(());
        }
        match array.data_type() {
            DataType::Boolean => match (array.as_boolean().value(row), self.style) {
                (true, Style::Table) => out.push_str("TRUE"),
                (false, Style::Table) => out.push_str("FALSE"),
                (value, _) => display(out, value),
            },
            DataType::Int8 => display(out, array.as_primitive::<Int8Type>().value(row)),
            DataType::Int16 => display(out, array.as_primitive::<Int16Type>().value(row)),
            DataType::Int32 => display(out, array.as_primitive::<Int32Type>().value(row)),
            DataType::Int64 => display(out, array.as_primitive::<Int64Type>().value(row)),
            DataType::UInt8 => display(out, array.as_primitive::<UInt8Type>().value(row)),
            DataType::UInt16 => display(out, array.as_primitive::<UInt16Type>().value(row)),
            DataType::UInt32 => display(out, array.as_primitive::<UInt32Type>().value(row)),
            DataType::UInt64 => display(out, array.as_primitive::<UInt64Type>().value(row)),
            DataType::Float32 => {
                let value = array.as_primitive::<Float32Type>().value(row);
                self.float(out, f64::from(value), &format!("{value:?}"), &format!("{value:e}"));
            }
            DataType::Float64 => {
                let value = array.as_primitive::<Float64Type>().value(row);
                self.float(out, value, &format!("{value:?}"), &format!("{value:e}"));
            }
            DataType::Decimal128(..) => out.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
            DataType::Utf8 => self.text(out, array.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => self.text(out, array.as_string::<i64>().value(row)),
            DataType::Utf8View => self.text(out, array.as_string_view().value(row)),
            DataType::Binary => self.bytes(out, array.as_binary::<i32>().value(row)),
            DataType::LargeBinary => self.bytes(out, array.as_binary::<i64>().value(row)),
            DataType::BinaryView => self.bytes(out, array.as_binary_view().value(row)),
            DataType::FixedSizeBinary(_) => self.bytes(out, array.as_fixed_size_binary().value(row)),
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().value(row);
                match DateTime::UNIX_EPOCH.date_naive().checked_add_signed(TimeDelta::days(days.into())) {
                    Some(date) => self.text(out, &date.format("%Y-%m-%d").to_string()),
                    None => display(out, days),
                }
            }
            DataType::Time32(TimeUnit::Second) => {
                self.time(out, i64::from(array.as_primitive::<Time32SecondType>().value(row)) * 1_000_000_000);
            }
            DataType::Time32(_) => {
                self.time(out, i64::from(array.as_primitive::<Time32MillisecondType>().value(row)) * 1_000_000);
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                self.time(out, array.as_primitive::<Time64MicrosecondType>().value(row) * 1_000);
            }
            DataType::Time64(_) => self.time(out, array.as_primitive::<Time64NanosecondType>().value(row)),
            DataType::Timestamp(unit, zone) => self.timestamp(array, row, *unit, zone.is_some(), out),
            DataType::List(_) => self.list(&array.as_list::<i32>().value(row), out)?,
            DataType::LargeList(_) => self.list(&array.as_list::<i64>().value(row), out)?,
            DataType::FixedSizeList(..) => self.list(&array.as_fixed_size_list().value(row), out)?,
            DataType::Map(..) => {
                let entries = array.as_map().value(row);
                self.map(entries.column(0), entries.column(1), out)?;
            }
            DataType::Struct(_) => self.row(array, row, out)?,
            _ => {
                let formatter = ArrayFormatter::try_new(array, &FormatOptions::default())?;
                self.text(out, &formatter.value(row).to_string());
            }
        }
        Ok(())
    }

    /// A string: quoted in JSON, as it is elsewhere.
    fn text(&self, out: &mut String, text: &str) {
        match self.style {
            Style::Json => write_json_string(out, text),
            Style::Table | Style::Csv => out.push_str(text),
        }
    }

    /// As Java writes it: plain from 0.001 up to ten million, else with an exponent. JSON has no text for the rest.
    fn float(&self, out: &mut String, value: f64, plain: &str, scientific: &str) {
        if value.is_nan() {
            return self.text(out, "NaN");
        }
        if value.is_infinite() {
            return self.text(out, if value > 0.0 { "Infinity" } else { "-Infinity" });
        }
        if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
            out.push_str(plain);
            return;
        }
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
        out.push_str(mantissa);
        out.push_str(if mantissa.contains('.') { "E" } else { ".0E" });
        out.push_str(exponent);
    }

    fn bytes(&self, out: &mut String, bytes: &[u8]) {
        if self.style == Style::Table {
            out.push_str("x'");
            bytes.iter().for_each(|byte| append(out, format_args!("{byte:02x}")));
            out.push('\'');
        } else {
            self.text(out, &base64(bytes));
        }
    }

    /// `05:00:00`, with a fraction only where there is one.
    fn time(&self, out: &mut String, nanoseconds: i64) {
        let seconds = nanoseconds.div_euclid(1_000_000_000);
        let mut text = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let fraction = nanoseconds.rem_euclid(1_000_000_000);
        if fraction > 0 {
            append(&mut text, format_args!(".{}", format!("{fraction:09}").trim_end_matches('0')));
        }
        self.text(out, &text);
    }

    /// `2013-01-01 05:00:00.000`, with as many digits as the column holds.
    fn timestamp(&self, array: &dyn Array, row: usize, unit: TimeUnit, is_instant: bool, out: &mut String) {
        let (raw, time, format) = match unit {
            TimeUnit::Second => {
                let raw = array.as_primitive::<TimestampSecondType>().value(row);
                (raw, DateTime::from_timestamp(raw, 0), "%Y-%m-%d %H:%M:%S")
            }
            TimeUnit::Millisecond => {
                let raw = array.as_primitive::<TimestampMillisecondType>().value(row);
                (raw, DateTime::from_timestamp_millis(raw), "%Y-%m-%d %H:%M:%S%.3f")
            }
            TimeUnit::Microsecond => {
                let raw = array.as_primitive::<TimestampMicrosecondType>().value(row);
                (raw, DateTime::from_timestamp_micros(raw), "%Y-%m-%d %H:%M:%S%.6f")
            }
            TimeUnit::Nanosecond => {
                let raw = array.as_primitive::<TimestampNanosecondType>().value(row);
                (raw, Some(DateTime::from_timestamp_nanos(raw)), "%Y-%m-%d %H:%M:%S%.9f")
            }
        };
        let Some(time) = time else { return display(out, raw) };
        let mut text = self.shown(time, is_instant).format(format).to_string();
        if is_instant && self.style != Style::Table {
            text.push('Z');
        }
        self.text(out, &text);
    }

    /// What stands on the clock: the session's for an instant in a table, UTC otherwise.
    fn shown(&self, time: DateTime<Utc>, is_instant: bool) -> NaiveDateTime {
        if is_instant && self.style == Style::Table {
            time.naive_utc() + TimeDelta::seconds(self.zone.offset(time.timestamp()))
        } else {
            time.naive_utc()
        }
    }

    fn list(&self, values: &ArrayRef, out: &mut String) -> Result<()> {
        let inner = self.inner();
        out.push('[');
        for index in 0..values.len() {
            inner.separate(index, out);
            inner.write(values, index, out)?;
        }
        out.push(']');
        Ok(())
    }

    fn map(&self, keys: &ArrayRef, values: &ArrayRef, out: &mut String) -> Result<()> {
        let inner = self.inner();
        out.push('{');
        for index in 0..keys.len() {
            inner.separate(index, out);
            if inner.style == Style::Json {
                // JSON's names are strings, whatever the key's type.
                let mut key = String::new();
                Self { style: Style::Csv, zone: self.zone }.write(keys, index, &mut key)?;
                write_json_string(out, &key);
                out.push(':');
            } else {
                inner.write(keys, index, out)?;
                out.push('=');
            }
            inner.write(values, index, out)?;
        }
        out.push('}');
        Ok(())
    }

    fn row(&self, array: &dyn Array, row: usize, out: &mut String) -> Result<()> {
        let inner = self.inner();
        let fields = array.as_struct();
        let is_json = inner.style == Style::Json;
        out.push(if is_json { '{' } else { '(' });
        for (index, (name, column)) in fields.column_names().into_iter().zip(fields.columns()).enumerate() {
            inner.separate(index, out);
            if is_json {
                write_json_string(out, name);
                out.push(':');
            }
            inner.write(column, row, out)?;
        }
        out.push(if is_json { '}' } else { ')' });
        Ok(())
    }

    /// The writer of what stands inside a nested value: JSON, but in tables.
    fn inner(&self) -> Self {
        let style = if self.style == Style::Table { Style::Table } else { Style::Json };
        Self { style, zone: self.zone }
    }

    fn separate(&self, index: usize, out: &mut String) {
        if index > 0 {
            out.push_str(if self.style == Style::Json { "," } else { ", " });
        }
    }
}

/// Appends `text` as a JSON string.
pub fn write_json_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => append(out, format_args!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn display(out: &mut String, value: impl std::fmt::Display) {
    append(out, format_args!("{value}"));
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every text");
}

/// RFC 4648 with padding, as Flink's json and csv formats write BYTES.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let byte = |index: usize| u32::from(part.get(index).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for digit in 0..4 {
            if digit <= part.len() {
                text.push(char::from(DIGITS[((bits >> (18 - 6 * digit)) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Builder, ListBuilder,
        MapBuilder, StringArray, StringBuilder, StructArray, Time32MillisecondArray, TimestampMillisecondArray,
    };
    use arrow::datatypes::Field;

    use super::*;

    fn text(style: Style, array: &dyn Array) -> String {
        let writer = ValueWriter::new(style, Zone::parse("+02:00").unwrap());
        let mut texts = Vec::new();
        for row in 0..array.len() {
            let mut out = String::new();
            writer.write(array, row, &mut out).unwrap();
            texts.push(out);
        }
        texts.join(" | ")
    }

    #[test]
    fn times() {
        let millis = TimestampMillisecondArray::from(vec![Some(1_357_016_400_000), None, Some(-1)]);
        assert_eq!(text(Style::Table, &millis), "2013-01-01 05:00:00.000 | NULL | 1969-12-31 23:59:59.999");
        assert_eq!(text(Style::Json, &millis), "\"2013-01-01 05:00:00.000\" | null | \"1969-12-31 23:59:59.999\"");
        let instant = millis.slice(0, 1).with_timezone("UTC");
        assert_eq!(text(Style::Table, &instant), "2013-01-01 07:00:00.000");
        assert_eq!(text(Style::Csv, &instant), "2013-01-01 05:00:00.000Z");
        assert_eq!(text(Style::Csv, &Date32Array::from(vec![15_706])), "2013-01-01");
        let times = Time32MillisecondArray::from(vec![18_000_000, 18_000_120]);
        assert_eq!(text(Style::Table, &times), "05:00:00 | 05:00:00.12");
    }

    #[test]
    fn numbers_as_java_writes_them() {
        let doubles = Float64Array::from(vec![1.0, -0.5, 1e7, 1.25e-4, 9_999_999.5, 0.0, f64::NAN, f64::INFINITY]);
        assert_eq!(text(Style::Table, &doubles), "1.0 | -0.5 | 1.0E7 | 1.25E-4 | 9999999.5 | 0.0 | NaN | Infinity");
        assert_eq!(text(Style::Json, &doubles.slice(6, 2)), "\"NaN\" | \"Infinity\"");
        assert_eq!(text(Style::Csv, &Float32Array::from(vec![0.1, 3.4e10])), "0.1 | 3.4E10");
        let decimals = Decimal128Array::from(vec![1_250, -5]).with_precision_and_scale(10, 2).unwrap();
        assert_eq!(text(Style::Json, &decimals), "12.50 | -0.05");
    }

    #[test]
    fn words_and_bytes() {
        let booleans = BooleanArray::from(vec![true, false]);
        assert_eq!(text(Style::Table, &booleans), "TRUE | FALSE");
        assert_eq!(text(Style::Json, &booleans), "true | false");
        assert_eq!(text(Style::Json, &StringArray::from(vec!["a\"\\\n\u{1}é"])), "\"a\\\"\\\\\\n\\u0001é\"");
        let bytes = BinaryArray::from(vec![&b"\x00\xff"[..], b"Man", b"M"]);
        assert_eq!(text(Style::Table, &bytes), "x'00ff' | x'4d616e' | x'4d'");
        assert_eq!(text(Style::Csv, &bytes), "AP8= | TWFu | TQ==");
    }

    #[test]
    fn nested_values() {
        let mut list = ListBuilder::new(Int32Builder::new());
        list.append_value([Some(1), None]);
        let list = list.finish();
        assert_eq!(text(Style::Table, &list), "[1, NULL]");
        assert_eq!(text(Style::Csv, &list), "[1,null]");
        let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
        map.keys().append_value("k");
        map.values().append_value(7);
        map.append(true).unwrap();
        let map = map.finish();
        assert_eq!(text(Style::Table, &map), "{k=7}");
        assert_eq!(text(Style::Json, &map), "{\"k\":7}");
        let row = StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["x"])) as ArrayRef,
        )]);
        assert_eq!(text(Style::Table, &row), "(x)");
        assert_eq!(text(Style::Csv, &row), "{\"a\":\"x\"}");
    }
}
