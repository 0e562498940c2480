//! What a scanner leaves of a value: where its text stands, and of what kind it is.
//!
//! Scanning goes row by row and converting column by column, so that no row pays for a choice between types.

use super::numbers::Misfit;

/// The text of one value within the bytes that were scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub start: u32,
    pub end: u32,
    pub kind: CellKind,
}

/// What stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub const MISSING: Self = Self { start: 0, end: 0, kind: CellKind::Missing };
    pub const NULL: Self = Self { start: 0, end: 0, kind: CellKind::Null };

    /// A value at `start .. end`. Chunks are far smaller than 4 GiB, which the decoders check once.
    pub fn new(kind: CellKind, start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32, kind }
    }

    /// Its text.
    pub fn text<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start as usize..self.end as usize]
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
}
