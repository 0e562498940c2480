//! What an operator counts, so that every row is accounted for: read = used + filtered + skipped + late.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of the things that are counted, in Flink's spelling where Flink has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Counter {
    /// Rows that came in.
    NumRecordsIn,
    /// Rows that went out on the main output.
    NumRecordsOut,
    /// Rows that a WHERE or HAVING did not let through.
    NumRecordsFiltered,
    /// Rows that could not be read and were skipped by the table's error policy.
    NumRecordsSkipped,
    /// Rows refused because every window of theirs had closed.
    NumLateRecordsDropped,
    /// Rows refused because their time lies too far in the future.
    NumFutureRecordsDropped,
    /// (row, window) pairs of all rows that came to a window operator.
    WindowPairsAssigned,
    /// (row, window) pairs that were counted.
    WindowPairsCounted,
    /// (row, window) pairs of late rows.
    WindowPairsLate,
    /// (row, window) pairs that were closed, of rows with another window still open.
    WindowPairsPartiallyLate,
    /// Bytes read from a source.
    NumBytesIn,
    /// Rows whose NULL in a NOT NULL column was dropped by the enforcer.
    NumNullsDropped,
}

/// Counts by name; absent is zero. Part of each checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counters(BTreeMap<Counter, u64>);

impl Counters {
    /// Adds `by` to `counter`.
    pub fn add(&mut self, counter: Counter, by: u64) {
        if by > 0 {
            *self.0.entry(counter).or_insert(0) += by;
        }
    }

    /// The count so far.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(&counter).copied().unwrap_or(0)
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Counters) {
        for (counter, by) in &other.0 {
            self.add(*counter, *by);
        }
    }

    /// All counts that are not zero, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        self.0.iter().map(|(counter, value)| (*counter, *value))
    }
}
