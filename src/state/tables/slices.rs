//! Cuts a batch into rows of the same slice. A slice holds the rows of a pane that are counted from the same window
//! on: one slice a pane, and further ones where rows came after the pane's first windows had fired.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use crate::error::{Error, Result};

/// A slice. The order is that in which slices begin to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slice {
    /// The end of the first window that counts the rows.
    pub open_from: i64,
    /// The start of the pane.
    pub pane: i64,
}

/// Columns of a slice's rows before their keys: the pane and the first open window.
pub const SLICE_COLUMNS: usize = 2;

/// Runs of this many rows on average are worth a visit of their own; shorter ones are sorted together first.
const LONG_RUN: usize = 256;

/// The rows of each slice, in the order of the rows. Rows in order of time are cut without a copy.
pub fn cut_slices(batch: &RecordBatch, pane: usize, open_from: usize) -> Result<Vec<(Slice, RecordBatch)>> {
    let panes = integers(batch.column(pane))?;
    let open = integers(batch.column(open_from))?;
    let runs = runs(panes, open);
    if runs.len() <= 4 || runs.len() * LONG_RUN <= batch.num_rows() {
        return Ok(pieces(batch, &runs));
    }
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by_key(|row| (open[*row as usize], panes[*row as usize]));
    let sorted = take_record_batch(batch, &UInt32Array::from(order))?;
    let runs = self::runs(integers(sorted.column(pane))?, integers(sorted.column(open_from))?);
    Ok(pieces(&sorted, &runs))
}

/// A hidden column of numbers.
pub fn integers(column: &ArrayRef) -> Result<&[i64]> {
    let numbers = column.as_any().downcast_ref::<Int64Array>();
    numbers.map(|numbers| &numbers.values()[..]).ok_or_else(|| Error::bug("a hidden column is no BIGINT"))
}

/// Where each stretch of equal slices starts.
fn runs(panes: &[i64], open: &[i64]) -> Vec<(Slice, usize)> {
    let mut runs: Vec<(Slice, usize)> = Vec::new();
    let mut row = 0;
    while row < panes.len() {
        let slice = Slice { open_from: open[row], pane: panes[row] };
        runs.push((slice, row));
        let same = panes[row..].iter().zip(&open[row..]);
        row += same.take_while(|(pane, open)| **pane == slice.pane && **open == slice.open_from).count();
    }
    runs
}

fn pieces(batch: &RecordBatch, runs: &[(Slice, usize)]) -> Vec<(Slice, RecordBatch)> {
    let ends = runs.iter().skip(1).map(|(_, start)| *start).chain([batch.num_rows()]);
    let piece = |((slice, start), end): (&(Slice, usize), usize)| match runs.len() {
        1 => (*slice, batch.clone()),
        _ => (*slice, batch.slice(*start, end - start)),
    };
    runs.iter().zip(ends).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[test]
    fn every_row_lands_in_its_slice_in_order() {
        for length in [0_i64, 1, 7, 500] {
            let panes: Vec<i64> = (0..length).map(|row| row * 7 % 3 * 10).collect();
            let open: Vec<i64> = (0..length).map(|row| panes[row as usize] + 10 + row % 2 * 10).collect();
            let rows: Vec<i64> = (0..length).collect();
            let column = |values: &Vec<i64>| Arc::new(Int64Array::from(values.clone())) as ArrayRef;
            let columns = [("n", column(&rows)), ("p", column(&panes)), ("o", column(&open))];
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            let mut found: BTreeMap<Slice, Vec<i64>> = BTreeMap::new();
            for (slice, piece) in cut_slices(&batch, 1, 2).unwrap() {
                found.entry(slice).or_default().extend(integers(piece.column(0)).unwrap());
            }
            let mut wanted: BTreeMap<Slice, Vec<i64>> = BTreeMap::new();
            for row in rows {
                let slice = Slice { pane: panes[row as usize], open_from: open[row as usize] };
                wanted.entry(slice).or_default().push(row);
            }
            assert_eq!(found, wanted);
        }
    }
}
