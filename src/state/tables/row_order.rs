//! Rows as byte strings whose order is that of their columns, and stretches of them.
//!
//! The bytes of a row are those of its columns one behind the other, and no value's bytes begin with another's. So the
//! rows that agree in some leading columns lie side by side, and a stretch is told by two byte strings:
//!
//! ```text
//!   key  order        from: key = b                  to: key = b, order < 7
//!   a 3 │ a 9 │ b 2 │ b 5 │ b 7 │ c 1
//!             └── from ───────┘ to
//! ```

use std::ops::Bound;

use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};

use super::row_bytes::RowBytes;
use crate::error::Result;

/// Columns in the order in which rows are sorted by them.
#[derive(Debug)]
pub(super) struct RowOrder {
    fields: Vec<SortField>,
    converter: RowConverter,
}

/// Rows that lie side by side in the order of a table: from the first that is not before `from` to the last that is
/// before `to`. It speaks of values and not of places, so it stays right whatever is put and deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRange {
    pub(super) from: RowBytes,
    /// `None`: to the end of the table.
    pub(super) to: Option<RowBytes>,
}

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanDirection {
    /// In the order of the table.
    Forward,
    /// Against it.
    Backward,
}

/// A walk through ranges that may stop after any row and be taken up again, in this call or a later one.
#[derive(Debug, Clone)]
pub struct Scan {
    /// What is left of each.
    pub(super) ranges: Vec<RowRange>,
    pub(super) direction: ScanDirection,
    /// Rows of a range at most.
    pub(super) each: usize,
    /// The range that is being walked through.
    pub(super) range: usize,
    /// Rows of it that were found.
    pub(super) found: usize,
}

/// How much one step of a scan may find. A row that is wider than `bytes` is found all the same.
#[derive(Debug, Clone, Copy)]
pub struct ScanBudget {
    /// Rows at most.
    pub rows: usize,
    /// Encoded bytes of them, which the last row may pass.
    pub bytes: usize,
}

impl Scan {
    /// Through all rows of `ranges`, one range behind the other.
    pub fn new(ranges: Vec<RowRange>, direction: ScanDirection) -> Self {
        Self { ranges, direction, each: usize::MAX, range: 0, found: 0 }
    }

    /// Through the first `rows` rows of each range: with `Backward` those that are last in order.
    #[must_use]
    pub fn at_most_each(self, rows: usize) -> Self {
        Self { each: rows, ..self }
    }

    /// Whether all ranges have been walked through.
    pub fn is_done(&self) -> bool {
        self.range == self.ranges.len()
    }

    /// Goes on to the next range.
    pub(super) fn next_range(&mut self) {
        self.range += 1;
        self.found = 0;
    }
}

impl RowRange {
    /// Leaves out the rows up to `last`, in a scan of this direction.
    pub(super) fn go_behind(&mut self, last: &RowBytes, direction: ScanDirection) {
        match (direction, RowBytes::behind(last.as_slice())) {
            (ScanDirection::Backward, _) => self.to = Some(last.clone()),
            (ScanDirection::Forward, Some(behind)) => self.from = behind,
            // Nothing lies behind the greatest of all byte strings.
            (ScanDirection::Forward, None) => self.to = Some(self.from.clone()),
        }
    }

    /// Whether it can hold no row.
    pub(super) fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }
}

impl RowOrder {
    /// For columns of these types, each in its own direction.
    pub(super) fn new(columns: impl IntoIterator<Item = (DataType, SortOptions)>) -> Result<Self> {
        let fields = columns.into_iter().map(|(data_type, order)| SortField::new_with_options(data_type, order));
        let fields: Vec<SortField> = fields.collect();
        Ok(Self { converter: RowConverter::new(fields.clone())?, fields })
    }

    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        self.fields.len()
    }

    /// The rows of `columns` as byte strings. There must be a column.
    pub(super) fn encode(&self, columns: &[ArrayRef]) -> Result<Rows> {
        Ok(self.converter.convert_columns(columns)?)
    }

    /// The columns of rows.
    pub(super) fn decode<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        if self.fields.is_empty() {
            return Ok(Vec::new());
        }
        let parser = self.converter.parser();
        // A parser's rows live no longer than itself.
        let rows = rows.into_iter().map(|row| parser.parse(row));
        Ok(self.converter.convert_rows(rows)?)
    }

    /// A range for each of `rows` rows of bounds. A bound is some leading columns, maybe none: `Included` are all rows
    /// that agree with it, `Excluded` none of them.
    pub(super) fn ranges(
        &self,
        rows: usize,
        from: Bound<&[ArrayRef]>,
        to: Bound<&[ArrayRef]>,
    ) -> Result<Vec<RowRange>> {
        let start = self.ends(rows, from, |bytes, is_included| match is_included {
            true => Some(RowBytes::new(bytes)),
            false => RowBytes::behind(bytes),
        })?;
        let end = self.ends(rows, to, |bytes, is_included| match is_included {
            true => RowBytes::behind(bytes),
            false => Some(RowBytes::new(bytes)),
        })?;
        let first = RowBytes::new(&[]);
        let nothing = || RowRange { from: first.clone(), to: Some(first.clone()) };
        let is_unbounded = from == Bound::Unbounded;
        let range = |(start, to): (Option<RowBytes>, Option<RowBytes>)| match start {
            Some(from) => RowRange { from, to },
            None if is_unbounded => RowRange { from: first.clone(), to },
            None => nothing(),
        };
        Ok(start.into_iter().zip(end).map(range).collect())
    }

    /// One end of each range; `None` where nothing lies there.
    fn ends(
        &self,
        rows: usize,
        bound: Bound<&[ArrayRef]>,
        end: impl Fn(&[u8], bool) -> Option<RowBytes>,
    ) -> Result<Vec<Option<RowBytes>>> {
        let (columns, is_included) = match bound {
            Bound::Unbounded => return Ok(vec![None; rows]),
            Bound::Included(columns) => (columns, true),
            Bound::Excluded(columns) => (columns, false),
        };
        if columns.is_empty() {
            return Ok(vec![end(&[], is_included); rows]);
        }
        let leading = RowConverter::new(self.fields[..columns.len().min(self.fields.len())].to_vec())?;
        Ok(leading.convert_columns(columns)?.iter().map(|row| end(row.data(), is_included)).collect())
    }
}
