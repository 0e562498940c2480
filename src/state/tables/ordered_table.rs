//! Rows that are unique by their first columns and lie in the order of these: what a key remembers in an order.
//!
//! ```text
//!   schema   ┌ key ┐┌ order ┐┌ values ┐
//!              a       3        …       the rows of a key are a range, those of a key between two times are one, and so
//!              a       9        …       are all keys before a time where the time is the first of the unique columns
//!              b       2        …
//! ```

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;

use super::batch_of;
use super::row_bytes::RowBytes;
use super::row_order::{RowOrder, RowRange, Scan, ScanBudget};
use super::sorted_rows::SortedRows;
use crate::error::{Error, Result};
use crate::state::{SnapshotWriter, StateTable, TableKind, TableSpec};

/// Rows of one batch of state at most.
const SAVE_ROWS: usize = 64 * 1024;
/// Encoded bytes of one batch of state, which its last row may pass.
const SAVE_BYTES: usize = 64 << 20;

/// A state table in order of its unique columns.
#[derive(Debug)]
pub struct OrderedTable {
    name: String,
    schema: SchemaRef,
    key: Vec<usize>,
    /// The unique columns.
    order: RowOrder,
    /// The columns behind them.
    values: RowOrder,
    rows: SortedRows,
}

/// Rows that one step of a scan has found.
#[derive(Debug)]
pub struct Scanned {
    /// `[n]` rows with the table's columns: range by range, of each in the direction of the scan.
    pub rows: RecordBatch,
    /// `[n]`: the index of the range, or of the key, that each row was found in.
    pub ranges: Vec<u32>,
}

impl OrderedTable {
    /// An empty table. The first `order.len()` columns of `schema`, at least one, are unique, and rows lie in their
    /// order, each column in its own direction. The columns `key` of these give the key group.
    pub fn new(name: impl Into<String>, schema: SchemaRef, key: Vec<usize>, order: &[SortOptions]) -> Result<Self> {
        let unique = order.len();
        if unique == 0 || unique > schema.fields().len() || key.iter().any(|column| *column >= unique) {
            return Err(Error::bug("an ordered table is given unique columns, its key among them"));
        }
        let types = || schema.fields().iter().map(|field| field.data_type().clone());
        let values = types().skip(unique).map(|data_type| (data_type, SortOptions::default()));
        Ok(Self {
            order: RowOrder::new(types().zip(order.iter().copied()))?,
            values: RowOrder::new(values)?,
            name: name.into(),
            schema,
            key,
            rows: SortedRows::default(),
        })
    }

    /// Rows in the table.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts `[n]` rows with the table's columns, each in place of the row with the same unique columns.
    pub fn put(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.each_row(columns, SortedRows::put)
    }

    /// Deletes the rows with these unique columns, of `[n]` each; those that are not there are of no account.
    pub fn delete(&mut self, unique: &[ArrayRef]) -> Result<()> {
        for row in &self.order.encode(unique)? {
            self.rows.delete(row.data());
        }
        Ok(())
    }

    /// Deletes the rows of a range; returns how many there were. The next barrier still names each of them.
    pub fn delete_range(&mut self, range: &RowRange) -> usize {
        self.rows.delete_range(range)
    }

    /// A range for each of `rows` rows of bounds. A bound is `[rows]` of some leading unique columns, maybe of none:
    /// `Included` takes all rows that agree with it, `Excluded` none of them. With the same included columns at both
    /// ends it is the rows that begin with these, with all unique columns a single row.
    pub fn ranges(&self, rows: usize, from: Bound<&[ArrayRef]>, to: Bound<&[ArrayRef]>) -> Result<Vec<RowRange>> {
        self.order.ranges(rows, from, to)
    }

    /// The next rows of a scan: at least one where there is one. Until the scan is done, it may be taken up again,
    /// whatever was put or deleted meanwhile.
    pub fn scan(&self, scan: &mut Scan, budget: ScanBudget) -> Result<Scanned> {
        let (found, ranges) = self.rows.scan(scan, budget);
        let mut columns = self.order.decode(found.iter().map(|(row, _)| *row))?;
        columns.extend(self.values.decode(found.iter().map(|(_, values)| values.as_slice()))?);
        Ok(Scanned { rows: batch_of(&self.schema, columns, ranges.len())?, ranges })
    }

    /// Encodes rows and does something with each.
    fn each_row(&mut self, columns: &[ArrayRef], mut work: impl FnMut(&mut SortedRows, &[u8], RowBytes)) -> Result<()> {
        let (unique, values) = columns.split_at(self.order.columns().min(columns.len()));
        let rows = self.order.encode(unique)?;
        if self.values.columns() == 0 {
            rows.iter().for_each(|row| work(&mut self.rows, row.data(), RowBytes::new(&[])));
            return Ok(());
        }
        for (row, values) in rows.iter().zip(&self.values.encode(values)?) {
            work(&mut self.rows, row.data(), RowBytes::new(values.data()));
        }
        Ok(())
    }
}

impl StateTable for OrderedTable {
    fn spec(&self) -> TableSpec {
        TableSpec {
            name: self.name.clone(),
            schema: Arc::clone(&self.schema),
            key: self.key.clone(),
            kind: TableKind::Keyed { unique: self.order.columns() },
        }
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        let (changed, gone) = self.rows.take_changes();
        let values = |row: &RowBytes| self.rows.get(row).map_or(&[][..], RowBytes::as_slice);
        let width = |row: &RowBytes| row.as_slice().len() + values(row).len();
        for rows in pieces(&changed, width) {
            let mut columns = self.order.decode(rows.iter().map(RowBytes::as_slice))?;
            columns.extend(self.values.decode(rows.iter().map(values))?);
            to.put(batch_of(&self.schema, columns, rows.len())?);
        }
        save_gone(&self.order, &self.schema, gone, to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        for batch in rows {
            self.each_row(batch?.columns(), SortedRows::load)?;
        }
        Ok(())
    }

    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }
}

/// Hands over the rows that have gone, as the leading columns of `schema` in which they lie.
fn save_gone(order: &RowOrder, schema: &SchemaRef, gone: BTreeSet<RowBytes>, to: &mut SnapshotWriter) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    let schema = Arc::new(schema.project(&(0..order.columns()).collect::<Vec<_>>())?);
    let gone: Vec<RowBytes> = gone.into_iter().collect();
    for rows in pieces(&gone, |row| row.as_slice().len()) {
        to.delete(batch_of(&schema, order.decode(rows.iter().map(RowBytes::as_slice))?, rows.len())?);
    }
    Ok(())
}

/// Cuts rows into pieces that fit into a batch.
pub(super) fn pieces(rows: &[RowBytes], width: impl Fn(&RowBytes) -> usize) -> impl Iterator<Item = &[RowBytes]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |row: &&RowBytes| {
            let is_full = bytes >= SAVE_BYTES;
            bytes += width(row);
            !is_full
        };
        let length = rest.iter().take(SAVE_ROWS).take_while(fits).count();
        let (piece, behind) = rest.split_at(length);
        rest = behind;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

#[cfg(test)]
mod tests;
