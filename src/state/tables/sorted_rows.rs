//! Encoded rows in order, each with its encoded values, of which a barrier hands over those that changed.
//!
//! ```text
//!   rows      tree:  bytes of a row ──▶ value, changed?, saved?
//!   changed   list:  rows that were put since the last barrier; those that have gone again are found stale
//!   gone      tree:  rows that a barrier has seen and that were deleted since
//! ```
//!
//! A row that goes away before any barrier has seen it leaves no trace, however many of them come and go.

use std::collections::btree_map::{self, Entry};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::row_bytes::RowBytes;
use super::row_order::{RowRange, Scan, ScanBudget, ScanDirection};

/// Stale entries that are not worth a walk through the list of changes.
const FEW_STALE: usize = 1024;

/// Rows in order of their bytes.
#[derive(Debug, Default)]
pub(super) struct SortedRows {
    rows: BTreeMap<RowBytes, Row>,
    /// Bytes that were allocated for rows and values.
    heap_bytes: usize,
    unsaved: Unsaved,
}

#[derive(Debug)]
struct Row {
    value: RowBytes,
    /// The row stands in the list of changes.
    is_changed: bool,
    /// A barrier has handed the row over.
    is_saved: bool,
}

/// What the next barrier has to hand over.
#[derive(Debug, Default)]
struct Unsaved {
    changed: Vec<RowBytes>,
    /// Entries of `changed` whose row has gone since.
    stale: usize,
    gone: BTreeSet<RowBytes>,
    heap_bytes: usize,
}

impl SortedRows {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, bytes: &RowBytes) -> Option<&RowBytes> {
        self.rows.get(bytes).map(|row| &row.value)
    }

    /// Puts a row in place of that with the same bytes.
    pub(super) fn put(&mut self, bytes: &[u8], value: RowBytes) {
        self.heap_bytes += value.heap_bytes();
        match self.rows.entry(RowBytes::new(bytes)) {
            Entry::Occupied(mut entry) => {
                let row = entry.get_mut();
                self.heap_bytes -= row.value.heap_bytes();
                row.value = value;
                self.unsaved.note(bytes, &mut row.is_changed);
            }
            Entry::Vacant(entry) => {
                self.heap_bytes += entry.key().heap_bytes();
                let row = self.unsaved.new_row(entry.key(), value);
                entry.insert(row);
            }
        }
    }

    /// Deletes a row, if it is there.
    pub(super) fn delete(&mut self, bytes: &[u8]) {
        if let Some((bytes, row)) = self.rows.remove_entry(&RowBytes::new(bytes)) {
            self.heap_bytes -= bytes.heap_bytes() + row.value.heap_bytes();
            self.unsaved.note_gone(bytes, &row);
            self.drop_stale();
        }
    }

    /// Deletes the rows of a range; returns how many there were.
    pub(super) fn delete_range(&mut self, range: &RowRange) -> usize {
        if range.is_empty() {
            return 0;
        }
        let to = range.to.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let before = self.rows.len();
        for (bytes, row) in self.rows.extract_if((Bound::Included(range.from.clone()), to), |_, _| true) {
            self.heap_bytes -= bytes.heap_bytes() + row.value.heap_bytes();
            self.unsaved.note_gone(bytes, &row);
        }
        self.drop_stale();
        before - self.rows.len()
    }

    /// Puts back a row that was saved.
    pub(super) fn load(&mut self, bytes: &[u8], value: RowBytes) {
        let bytes = RowBytes::new(bytes);
        self.heap_bytes += bytes.heap_bytes() + value.heap_bytes();
        self.rows.insert(bytes, Row { value, is_changed: false, is_saved: true });
    }

    /// The rows that were put and those that were deleted since the last call, in order.
    pub(super) fn take_changes(&mut self) -> (Vec<RowBytes>, BTreeSet<RowBytes>) {
        let Unsaved { mut changed, gone, .. } = std::mem::take(&mut self.unsaved);
        changed.sort_unstable();
        changed.retain(|bytes| {
            self.rows.get_mut(bytes).is_some_and(|row| {
                row.is_saved = true;
                std::mem::take(&mut row.is_changed)
            })
        });
        (changed, gone)
    }

    /// The next rows of a scan, and for each the range that it was found in.
    pub(super) fn scan(&self, scan: &mut Scan, budget: ScanBudget) -> (Vec<(&[u8], &RowBytes)>, Vec<u32>) {
        let mut found = Found { rows: Vec::new(), ranges: Vec::new(), bytes: 0 };
        while !scan.is_done() {
            if let Some(rows) = self.range(&scan.ranges[scan.range]) {
                let stopped_behind = match scan.direction {
                    ScanDirection::Forward => found.extend(rows, scan, budget),
                    ScanDirection::Backward => found.extend(rows.rev(), scan, budget),
                };
                if let Some(last) = stopped_behind {
                    scan.ranges[scan.range].go_behind(last, scan.direction);
                    break;
                }
            }
            scan.next_range();
        }
        (found.rows, found.ranges)
    }

    /// Bytes held. The nodes of a tree are about two thirds full.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.rows.len() * size_of::<(RowBytes, Row)>() * 3 / 2;
        let gone = self.unsaved.gone.len() * size_of::<RowBytes>() * 3 / 2;
        let changed = self.unsaved.changed.capacity() * size_of::<RowBytes>();
        rows + gone + changed + self.heap_bytes + self.unsaved.heap_bytes
    }

    /// The rows of a range, if it can hold any.
    fn range(&self, range: &RowRange) -> Option<btree_map::Range<'_, RowBytes, Row>> {
        let to = range.to.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        (!range.is_empty()).then(|| self.rows.range((Bound::Included(&range.from), to)))
    }

    /// Shortens the list of changes once most of it is stale.
    fn drop_stale(&mut self) {
        let Unsaved { changed, stale, heap_bytes, .. } = &mut self.unsaved;
        if *stale < FEW_STALE || *stale * 2 < changed.len() {
            return;
        }
        *stale = 0;
        let listed: usize = changed.iter().map(RowBytes::heap_bytes).sum();
        changed.sort_unstable();
        changed.dedup();
        changed.retain(|bytes| self.rows.get(bytes).is_some_and(|row| row.is_changed));
        *heap_bytes = *heap_bytes + changed.iter().map(RowBytes::heap_bytes).sum::<usize>() - listed;
    }
}

impl Unsaved {
    /// A row was put.
    fn note(&mut self, bytes: &[u8], is_changed: &mut bool) {
        if !std::mem::replace(is_changed, true) {
            let bytes = RowBytes::new(bytes);
            self.heap_bytes += bytes.heap_bytes();
            self.changed.push(bytes);
        }
    }

    /// A row that was not there is put.
    fn new_row(&mut self, bytes: &RowBytes, value: RowBytes) -> Row {
        let gone = self.gone.take(bytes);
        self.heap_bytes -= gone.as_ref().map_or(0, RowBytes::heap_bytes);
        let mut row = Row { value, is_changed: false, is_saved: gone.is_some() };
        self.note(bytes.as_slice(), &mut row.is_changed);
        row
    }

    /// A row was deleted.
    fn note_gone(&mut self, bytes: RowBytes, row: &Row) {
        self.stale += usize::from(row.is_changed);
        if row.is_saved {
            self.heap_bytes += bytes.heap_bytes();
            self.gone.insert(bytes);
        }
    }
}

/// What a step of a scan has found.
struct Found<'a> {
    rows: Vec<(&'a [u8], &'a RowBytes)>,
    ranges: Vec<u32>,
    bytes: usize,
}

impl<'a> Found<'a> {
    fn is_full(&self, budget: ScanBudget) -> bool {
        self.rows.len() >= budget.rows || self.bytes >= budget.bytes
    }

    /// Adds the rows of the scan's present range; the last one where the budget ended before the range.
    fn extend(
        &mut self,
        rows: impl Iterator<Item = (&'a RowBytes, &'a Row)>,
        scan: &mut Scan,
        budget: ScanBudget,
    ) -> Option<&'a RowBytes> {
        for (bytes, row) in rows {
            if scan.found == scan.each {
                return None;
            }
            scan.found += 1;
            self.rows.push((bytes.as_slice(), &row.value));
            self.ranges.push(scan.range as u32);
            self.bytes += bytes.as_slice().len() + row.value.as_slice().len();
            if self.is_full(budget) {
                return Some(bytes);
            }
        }
        None
    }
}
