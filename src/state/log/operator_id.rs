//! The identity of an operator: what a checkpoint finds its state by, wherever in a plan it runs.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::state::path_name;

/// `GroupAggregate-1f0c22ab`, `Source-flights`, and `….2` for the second of those that are alike. Safe in file names.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperatorId(String);

impl OperatorId {
    /// The first of the operators of a kind that do the same: the signature's hash is frozen.
    pub fn of(kind: &str, signature: &str) -> Self {
        Self(format!("{}-{:08x}", path_name(kind), xxh3_64(signature.as_bytes()) >> 32))
    }

    /// The first of the sources or sinks of a table: still the same when the table is declared otherwise.
    pub fn of_table(kind: &str, table: &str) -> Self {
        Self(format!("{}-{}", path_name(kind), path_name(table)))
    }

    /// The operator with this ordinal, from 1, among those that are alike.
    pub fn nth(&self, ordinal: usize) -> Self {
        if ordinal <= 1 { self.clone() } else { Self(format!("{}.{ordinal}", self.0)) }
    }

    /// Which one this is of those like `first`; `None` if it is not like it.
    pub fn ordinal_of(&self, first: &Self) -> Option<usize> {
        match self.0.strip_prefix(&first.0)? {
            "" => Some(1),
            rest => rest.strip_prefix('.')?.parse().ok(),
        }
    }

    /// Of a source or sink: its table, as it stands in the identity; of others all of it.
    pub fn table(&self) -> &str {
        ["Source-", "Sink-"].iter().find_map(|kind| self.0.strip_prefix(kind)).unwrap_or(&self.0)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperatorId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checkpoints on disk bear these texts.
    #[test]
    fn the_text_of_an_operator_never_changes() {
        let count = OperatorId::of("GroupAggregate", "COUNT(*) BY city");
        assert_eq!(count.as_str(), "GroupAggregate-521becbd");
        assert_eq!(count.nth(1), count);
        assert_eq!(count.nth(2).as_str(), "GroupAggregate-521becbd.2");
        let flights = OperatorId::of_table("Source", "my flights.2");
        assert_eq!(flights.as_str(), "Source-my%20flights%2E2");
        assert_eq!((flights.table(), count.table()), ("my%20flights%2E2", count.as_str()));
    }

    #[test]
    fn ordinals_are_read_off_the_text() {
        let first = OperatorId::of_table("Sink", "a");
        assert_eq!(first.ordinal_of(&first), Some(1));
        assert_eq!(first.nth(12).ordinal_of(&first), Some(12));
        assert_eq!(OperatorId::of_table("Sink", "ab").ordinal_of(&first), None);
        assert_eq!(OperatorId::of_table("Sink", "a.2").ordinal_of(&first), None, "another table");
    }
}
