//! Rows to lines of JSON, letter for letter as Flink's json format writes them.

use arrow::array::Array;
use arrow::datatypes::TimeUnit;
use arrow::record_batch::RecordBatch;

use super::super::RowWriter;
use super::super::base64;
use super::super::numbers::{append_decimal, append_double, append_float, append_stripped_decimal};
use super::super::spelling::{self, Spelling, Texts};
use super::super::times::{Standard, append_timestamp};
use crate::error::Result;

/// What the options say about writing.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonWriter {
    pub standard: Standard,
    pub plain_decimals: bool,
    pub leave_out_nulls: bool,
}

impl RowWriter for JsonWriter {
    fn header(&self) -> Vec<u8> {
        Vec::new()
    }

    fn encode(&self, batch: &RecordBatch, to: &mut Vec<u8>) -> Result<()> {
        let columns =
            batch.columns().iter().map(|column| spelling::texts(self, column.as_ref())).collect::<Result<Vec<_>>>()?;
        let names: Vec<Vec<u8>> = batch
            .schema()
            .fields()
            .iter()
            .map(|field| {
                let mut name = Vec::new();
                append_string(field.name(), &mut name);
                name.push(b':');
                name
            })
            .collect();
        let names_length: usize = names.iter().map(|name| name.len() + 1).sum();
        to.reserve(columns.iter().map(Texts::len).sum::<usize>() + batch.num_rows() * (names_length + 2));
        for row in 0..batch.num_rows() {
            let mut separator = b'{';
            for ((name, texts), array) in names.iter().zip(&columns).zip(batch.columns()) {
                if self.leave_out_nulls && array.is_null(row) {
                    continue;
                }
                to.push(separator);
                separator = b',';
                to.extend_from_slice(name);
                to.extend_from_slice(texts.row(row));
            }
            if separator == b'{' {
                to.push(b'{');
            }
            to.extend_from_slice(b"}\n");
        }
        Ok(())
    }

    fn extension(&self) -> &'static str {
        "json"
    }
}

impl Spelling for JsonWriter {
    type Inner = Self;

    fn inner(&self) -> Self {
        *self
    }

    fn null(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"null");
    }

    fn text(&self, text: &str, to: &mut Vec<u8>) {
        append_string(text, to);
    }

    fn quote(&self, start: usize, to: &mut Vec<u8>) {
        to.insert(start, b'"');
        to.push(b'"');
    }

    fn binary(&self, bytes: &[u8], to: &mut Vec<u8>) {
        to.push(b'"');
        base64::append(bytes, to);
        to.push(b'"');
    }

    fn float(&self, value: f32, to: &mut Vec<u8>) {
        let start = to.len();
        append_float(value, to);
        if !value.is_finite() {
            self.quote(start, to);
        }
    }

    fn double(&self, value: f64, to: &mut Vec<u8>) {
        let start = to.len();
        append_double(value, to);
        if !value.is_finite() {
            self.quote(start, to);
        }
    }

    fn decimal(&self, unscaled: i128, scale: i8, to: &mut Vec<u8>) {
        match self.plain_decimals {
            true => append_decimal(unscaled, scale, to),
            false => append_stripped_decimal(unscaled, scale, to),
        }
    }

    fn timestamp(&self, units: i64, unit: TimeUnit, utc: bool, to: &mut Vec<u8>) {
        append_timestamp(units, unit, if self.standard == Standard::Sql { b' ' } else { b'T' }, to);
        if utc {
            to.push(b'Z');
        }
    }

    fn list<'a>(&self, elements: impl Iterator<Item = &'a [u8]>, to: &mut Vec<u8>) {
        to.push(b'[');
        for (index, element) in elements.enumerate() {
            if index > 0 {
                to.push(b',');
            }
            to.extend_from_slice(element);
        }
        to.push(b']');
    }

    fn map<'a>(&self, entries: impl Iterator<Item = (&'a [u8], &'a [u8])>, text_keys: bool, to: &mut Vec<u8>) {
        to.push(b'{');
        for (index, (key, value)) in entries.enumerate() {
            if index > 0 {
                to.push(b',');
            }
            // Names of fields are strings; times and bytes have their quotes already.
            if text_keys || key.first() == Some(&b'"') {
                to.extend_from_slice(key);
            } else {
                to.push(b'"');
                to.extend_from_slice(key);
                to.push(b'"');
            }
            to.push(b':');
            to.extend_from_slice(value);
        }
        to.push(b'}');
    }

    fn row<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a [u8], bool)>, to: &mut Vec<u8>) {
        to.push(b'{');
        let mut first = true;
        for (name, value, null) in fields {
            if null && self.leave_out_nulls {
                continue;
            }
            if !first {
                to.push(b',');
            }
            first = false;
            append_string(name, to);
            to.push(b':');
            to.extend_from_slice(value);
        }
        to.push(b'}');
    }
}

/// Appends a string in quotes, with the escapes that Java's Jackson uses: nothing but what must be escaped.
pub(super) fn append_string(text: &str, to: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    to.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        to.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        let short = match byte {
            b'"' | b'\\' => *byte,
            0x08 => b'b',
            0x0C => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                to.extend_from_slice(b"\\u00");
                to.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                continue;
            }
        };
        to.extend([b'\\', short]);
    }
    to.extend_from_slice(&bytes[start..]);
    to.push(b'"');
}
