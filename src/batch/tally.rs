//! What a batch has read and written so far, for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::stream::Total;

/// Counts that the partitions of a batch share.
#[derive(Debug, Default)]
pub struct Tally {
    rows_in: AtomicU64,
    bytes_in: AtomicU64,
    bytes_total: Total,
    rows_out: AtomicU64,
    skipped: AtomicU64,
}

impl Tally {
    /// Rows read from all tables, with those that were skipped.
    pub fn rows_in(&self) -> u64 {
        self.rows_in.load(Ordering::Relaxed)
    }

    /// Bytes of undecoded rows read.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// How many there are, if all tables know.
    pub fn bytes_total(&self) -> Option<u64> {
        self.bytes_total.get()
    }

    /// Rows of the result.
    pub fn rows_out(&self) -> u64 {
        self.rows_out.load(Ordering::Relaxed)
    }

    /// Rows that could not be read and were skipped.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// A table will be read.
    pub(super) fn expect_table(&self) {
        self.bytes_total.expect_part();
    }

    /// How many bytes a table holds, if that is known.
    pub(super) fn table_holds(&self, bytes: Option<u64>) {
        self.bytes_total.add(bytes);
    }

    pub(super) fn read(&self, rows: usize, skipped: usize, bytes: usize) {
        self.rows_in.fetch_add((rows + skipped) as u64, Ordering::Relaxed);
        self.skipped.fetch_add(skipped as u64, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, rows: usize) {
        self.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
    }
}
