//! Rows to csv, letter for letter as Flink's csv format (Jackson) writes them.

use arrow::datatypes::{SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;

use super::super::RowWriter;
use super::super::base64;
use super::super::numbers::append_stripped_decimal;
use super::super::spelling::{self, Spelling, Texts};
use super::super::times::append_timestamp;
use crate::error::Result;

/// Longer texts are put into quotes without being looked at.
const LONGEST_UNQUOTED: usize = 24;

/// What the options say about writing.
#[derive(Debug, Clone)]
pub(super) struct CsvWriter {
    pub delimiter: u8,
    pub quote: Option<u8>,
    pub escape: Option<u8>,
    pub null_literal: Vec<u8>,
    pub element_delimiter: Vec<u8>,
    /// The names of the columns, if files begin with them.
    pub header: Option<SchemaRef>,
}

impl RowWriter for CsvWriter {
    fn header(&self) -> Vec<u8> {
        let mut line = Vec::new();
        for (index, field) in self.header.iter().flat_map(|schema| schema.fields()).enumerate() {
            if index > 0 {
                line.push(self.delimiter);
            }
            self.text(field.name(), &mut line);
        }
        if self.header.is_some() {
            line.push(b'\n');
        }
        line
    }

    fn encode(&self, batch: &RecordBatch, to: &mut Vec<u8>) -> Result<()> {
        let columns =
            batch.columns().iter().map(|column| spelling::texts(self, column.as_ref())).collect::<Result<Vec<_>>>()?;
        to.reserve(columns.iter().map(Texts::len).sum::<usize>() + batch.num_rows() * columns.len());
        for row in 0..batch.num_rows() {
            for (index, texts) in columns.iter().enumerate() {
                if index > 0 {
                    to.push(self.delimiter);
                }
                to.extend_from_slice(texts.row(row));
            }
            to.push(b'\n');
        }
        Ok(())
    }

    fn extension(&self) -> &'static str {
        "csv"
    }
}

impl CsvWriter {
    /// Whether a text has to stand in quotes, by Jackson's rule: it is long, or holds a character that is not above
    /// all those that mean something.
    fn needs_quotes(&self, text: &[u8]) -> bool {
        let Some(quote) = self.quote else {
            return false;
        };
        if text.len() > LONGEST_UNQUOTED {
            // Java counts UTF-16 units: one for each character, and one more where UTF-8 needs four bytes.
            let units = |text: &[u8]| {
                text.iter().map(|byte| usize::from(*byte & 0xC0 != 0x80) + usize::from(*byte >= 0xF0)).sum::<usize>()
            };
            if text.len() > 4 * LONGEST_UNQUOTED || units(text) > LONGEST_UNQUOTED {
                return true;
            }
        }
        let last_unsafe = self.delimiter.max(quote).max(b'\n').max(self.escape.unwrap_or(0));
        // A backslash counts as an escape where none is set.
        let escape = self.escape.unwrap_or(b'\\');
        text.iter().any(|byte| *byte <= last_unsafe || *byte == escape)
    }

    fn append_quoted(&self, text: &[u8], quote: u8, to: &mut Vec<u8>) {
        to.push(quote);
        let mut rest = text;
        // Stretches between characters that must be doubled are copied whole.
        while let Some(found) = memchr::memchr2(quote, self.escape.unwrap_or(quote), rest) {
            to.extend_from_slice(&rest[..=found]);
            to.push(rest[found]);
            rest = &rest[found + 1..];
        }
        to.extend_from_slice(rest);
        to.push(quote);
    }

    fn append(&self, text: &[u8], to: &mut Vec<u8>) {
        match self.quote {
            Some(quote) if self.needs_quotes(text) => self.append_quoted(text, quote, to),
            _ => to.extend_from_slice(text),
        }
    }
}

impl Spelling for CsvWriter {
    type Inner = Element;

    fn inner(&self) -> Element {
        Element { null_literal: self.null_literal.clone(), delimiter: self.element_delimiter.clone() }
    }

    fn null(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.null_literal);
    }

    fn text(&self, text: &str, to: &mut Vec<u8>) {
        self.append(text.as_bytes(), to);
    }

    fn quote(&self, start: usize, to: &mut Vec<u8>) {
        if !self.needs_quotes(&to[start..]) {
            return;
        }
        let Some(quote) = self.quote else {
            return;
        };
        if to[start..].iter().any(|byte| *byte == quote || Some(*byte) == self.escape) {
            let text = to.split_off(start);
            return self.append_quoted(&text, quote, to);
        }
        to.insert(start, quote);
        to.push(quote);
    }

    fn binary(&self, bytes: &[u8], to: &mut Vec<u8>) {
        let start = to.len();
        base64::append(bytes, to);
        self.quote(start, to);
    }

    fn decimal(&self, unscaled: i128, scale: i8, to: &mut Vec<u8>) {
        append_stripped_decimal(unscaled, scale, to);
    }

    fn timestamp(&self, units: i64, unit: TimeUnit, utc: bool, to: &mut Vec<u8>) {
        append_timestamp(units, unit, b' ', to);
        if utc {
            to.push(b'Z');
        }
    }

    fn list<'a>(&self, elements: impl Iterator<Item = &'a [u8]>, to: &mut Vec<u8>) {
        let start = to.len();
        join(elements, &self.element_delimiter, to);
        self.quote(start, to);
    }

    fn map<'a>(&self, entries: impl Iterator<Item = (&'a [u8], &'a [u8])>, _text_keys: bool, to: &mut Vec<u8>) {
        let start = to.len();
        join(entries.flat_map(|(key, value)| [key, value]), &self.element_delimiter, to);
        self.quote(start, to);
    }

    fn row<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a [u8], bool)>, to: &mut Vec<u8>) {
        self.list(fields.map(|(_, value, _)| value), to);
    }
}

/// The spelling of an element of an ARRAY or a field of a ROW: never in quotes of its own.
#[derive(Debug, Clone)]
pub(super) struct Element {
    null_literal: Vec<u8>,
    delimiter: Vec<u8>,
}

impl Spelling for Element {
    type Inner = Self;

    fn inner(&self) -> Self {
        self.clone()
    }

    fn null(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.null_literal);
    }

    fn text(&self, text: &str, to: &mut Vec<u8>) {
        to.extend_from_slice(text.as_bytes());
    }

    fn quote(&self, _start: usize, _to: &mut Vec<u8>) {}

    fn binary(&self, bytes: &[u8], to: &mut Vec<u8>) {
        base64::append(bytes, to);
    }

    fn decimal(&self, unscaled: i128, scale: i8, to: &mut Vec<u8>) {
        append_stripped_decimal(unscaled, scale, to);
    }

    fn timestamp(&self, units: i64, unit: TimeUnit, utc: bool, to: &mut Vec<u8>) {
        append_timestamp(units, unit, b' ', to);
        if utc {
            to.push(b'Z');
        }
    }

    fn list<'a>(&self, elements: impl Iterator<Item = &'a [u8]>, to: &mut Vec<u8>) {
        join(elements, &self.delimiter, to);
    }

    fn map<'a>(&self, entries: impl Iterator<Item = (&'a [u8], &'a [u8])>, _text_keys: bool, to: &mut Vec<u8>) {
        join(entries.flat_map(|(key, value)| [key, value]), &self.delimiter, to);
    }

    fn row<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a [u8], bool)>, to: &mut Vec<u8>) {
        join(fields.map(|(_, value, _)| value), &self.delimiter, to);
    }
}

fn join<'a>(parts: impl Iterator<Item = &'a [u8]>, delimiter: &[u8], to: &mut Vec<u8>) {
    for (index, part) in parts.enumerate() {
        if index > 0 {
            to.extend_from_slice(delimiter);
        }
        to.extend_from_slice(part);
    }
}
