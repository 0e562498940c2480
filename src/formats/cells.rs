//! What a scanner leaves of a value: where its text stands, and of what kind it is.
//!
//! Scanning goes row by row and converting column by column, so that no row pays for a choice between types.

use std::fmt;

use super::numbers::Misfit;

/// Bytes that are scanned at once; far more than any chunk has.
pub(super) const LONGEST_SCANNED: usize = 1 << 30;

/// The text of one value within the bytes that were scanned, in one word: kind, length, start. A struct of three
/// would be put together in memory time and again, which costs more than finding the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell(u64);

/// What stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum CellKind {
    /// Nothing: the field is absent.
    Missing,
    /// A null.
    Null,
    /// JSON's `true`.
    True,
    /// JSON's `false`.
    False,
    /// A JSON number.
    Number,
    /// Text as it stands, without quotes.
    Text,
    /// Text that holds escapes or doubled quotes.
    Escaped,
    /// A JSON object or array, with its brackets.
    Nested,
}

impl Cell {
    pub const MISSING: Self = Self(0);
    pub const NULL: Self = Self((CellKind::Null as u64) << 60);

    /// A value at `start .. end` of at most [`LONGEST_SCANNED`] bytes.
    #[inline]
    pub fn new(kind: CellKind, start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= LONGEST_SCANNED, "decoders check the length of a chunk");
        Self(((kind as u64) << 60) | (((end - start) as u64) << 30) | start as u64)
    }

    #[inline]
    pub fn kind(self) -> CellKind {
        match self.0 >> 60 {
            0 => CellKind::Missing,
            1 => CellKind::Null,
            2 => CellKind::True,
            3 => CellKind::False,
            4 => CellKind::Number,
            5 => CellKind::Text,
            6 => CellKind::Escaped,
            _ => CellKind::Nested,
        }
    }

    /// Where its text begins.
    #[inline]
    pub fn start(self) -> usize {
        self.0 as usize & (LONGEST_SCANNED - 1)
    }

    /// How long its text is.
    #[inline]
    pub fn len(self) -> usize {
        (self.0 >> 30) as usize & (LONGEST_SCANNED - 1)
    }

    /// Its text.
    #[inline]
    pub fn text(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start()..self.start() + self.len()]
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} at {} + {}", self.kind(), self.start(), self.len())
    }
}

/// What differs between formats once the values of a row have been found.
pub(super) trait Notation {
    /// Appends the meaning of an [`CellKind::Escaped`] text.
    fn unescape(&self, text: &[u8], to: &mut Vec<u8>);
    /// Appends a nested value as text, for a STRING column.
    fn nested_text(&self, text: &[u8], to: &mut Vec<u8>);
    /// Appends a cell for each element of an ARRAY.
    fn elements(&self, bytes: &[u8], cell: Cell, scratch: &mut Vec<u8>, to: &mut Vec<Cell>) -> Result<(), Misfit>;
    /// Appends a cell for each key and each value of a MAP, in turn.
    fn entries(&self, bytes: &[u8], cell: Cell, to: &mut Vec<Cell>) -> Result<(), Misfit>;
    /// Appends a cell for each of `names`, the fields of a ROW; on an error, nothing.
    fn fields(
        &self,
        bytes: &[u8],
        cell: Cell,
        names: &[String],
        scratch: &mut Vec<u8>,
        to: &mut Vec<Cell>,
    ) -> Result<(), Misfit>;
    /// Whether the cells within ARRAY and ROW point into `scratch` and not into the bytes around them.
    const NESTED_IN_SCRATCH: bool;
    /// How an empty text is read as NULL, said behind the error about one.
    const EMPTY_AS_NULL: &'static str;
}
