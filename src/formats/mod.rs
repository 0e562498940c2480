//! Bytes to rows and back, one format a file, all in one list.
//!
//! A decoder takes a chunk of whole rows and returns the good ones and, apart, each bad one with its place and its
//! raw bytes. A bad row never costs its neighbours.

mod base64;
mod cells;
mod columns;
mod csv;
pub(crate) mod java;
mod json;
mod lines;
mod numbers;
mod raw;
pub(crate) mod spelling;
#[cfg(test)]
pub(crate) mod tests;
mod times;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use crate::error::Result;
use crate::options::{OptionSpec, Options};

/// All formats there are.
pub fn all() -> &'static [&'static dyn Format] {
    &[&csv::Csv, &json::Json, &raw::Raw]
}

/// The format of this name.
pub fn find(name: &str) -> Option<&'static dyn Format> {
    all().iter().copied().find(|format| format.name() == name)
}

/// One kind of encoding, such as `csv`.
pub trait Format: Debug + Send + Sync {
    /// The value of `'format'`, and the prefix of its options.
    fn name(&self) -> &'static str;
    /// Two or three sentences for the documentation.
    fn doc(&self) -> &'static str;
    /// Its options, without the prefix.
    fn options(&self) -> &'static [OptionSpec];
    /// Its settings: `SET 'beadline.…'` keys, in full.
    fn settings(&self) -> &'static [OptionSpec] {
        &[]
    }
    /// How to read: `schema` is the table's physical columns; `options` have the prefix removed; `settings` are the
    /// `beadline.*` settings of the table.
    fn reader(&self, schema: &SchemaRef, options: &Options, settings: &Options) -> Result<Arc<dyn RowReader>>;
    /// How to write rows of `schema`.
    fn writer(&self, schema: &SchemaRef, options: &Options, settings: &Options) -> Result<Arc<dyn RowWriter>>;
}

/// A configured way to read. Shared by all workers.
pub trait RowReader: Debug + Send + Sync {
    /// Bytes at the start of a file that are no rows (a header line), `None` if more bytes are needed to know.
    fn skip_header(&self, start_of_file: &[u8], at_end: bool) -> Option<usize>;
    /// Finds the longest prefix of `bytes` that is made of whole rows, at most `rows` of them (if `at_end`, the last
    /// row needs no line end). `bytes` begins at the start of a row.
    fn cut(&self, bytes: &[u8], rows: usize, at_end: bool) -> Cut;
    /// A decoder of the columns `projection` of the table, in that order.
    fn decoder(&self, projection: &[usize]) -> Result<Box<dyn Decoder>>;
}

/// Where whole rows end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of whole rows; 0 when there is not even one.
    pub bytes: usize,
    /// Lines in them (not rows: a quoted value may span lines).
    pub lines: u64,
}

/// Turns chunks into rows.
pub trait Decoder: Send {
    /// Decodes all rows of a chunk; the columns are those of the projection. `first_line` counts from 1.
    fn decode(&mut self, bytes: &Bytes, first_line: u64) -> Result<Decoded>;
}

/// What a chunk held.
#[derive(Debug)]
pub struct Decoded {
    /// The rows that could be read, in order.
    pub rows: RecordBatch,
    /// The rows that could not, in order.
    pub bad: Vec<BadRow>,
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The line it starts at, from 1.
    pub line: u64,
    /// Its bytes, cut to 1,000.
    pub raw: Bytes,
    /// What is wrong, naming the column.
    pub error: String,
    /// Whether the format's own options say to skip it in silence (`ignore-parse-errors`); it is counted all the same.
    pub ignorable: bool,
}

/// A configured way to write.
pub trait RowWriter: Debug + Send + Sync {
    /// What a new file begins with (a header line), empty for nothing.
    fn header(&self) -> Vec<u8>;
    /// Appends all rows of `batch`.
    fn encode(&self, batch: &RecordBatch, to: &mut Vec<u8>) -> Result<()>;
    /// The ending of file names, without dot.
    fn extension(&self) -> &'static str;
}
