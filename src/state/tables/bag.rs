//! The rows of one key of a [`BagTable`](super::BagTable), encoded and in order, each with its weight.
//!
//! ```text
//!   few    a sorted list:  row │ weight │ flags          most keys have few rows, and a list of them is small
//!   many   a tree of the same, and which of its rows changed
//! ```
//!
//! A row that a barrier has seen stays with weight 0 until the next one has recorded that it is gone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use super::row_bytes::RowBytes;
use super::row_order::ScanDirection;

/// The row stands in what changed since the last barrier.
const CHANGED: u8 = 1;
/// A barrier has handed the row over.
const SAVED: u8 = 2;
/// Rows of a list at most.
const FEW: usize = 32;
/// Entries of a list of changes that are not worth a walk through it.
const FEW_STALE: usize = 1024;

/// Bytes of a row in memory but for its allocation: lists and nodes of trees are about two thirds full.
pub(super) const ROW_BYTES: usize = size_of::<(RowBytes, Weight)>() * 3 / 2;

/// Rows of one key.
#[derive(Debug)]
pub(super) enum Bag {
    Few(Vec<(RowBytes, Weight)>),
    Many(Box<ManyRows>),
}

#[derive(Debug)]
pub(super) struct ManyRows {
    tree: BTreeMap<RowBytes, Weight>,
    /// Rows that changed; some may have gone again or stand here twice.
    pub(super) changed: Vec<RowBytes>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    weight: i64,
    flags: u8,
}

/// What an addition does to the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    New,
    Known,
    /// The row has left without a trace.
    Gone,
}

impl Default for Bag {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Bag {
    /// Whether nothing is left of it, not even what the next barrier has to say.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(rows) => rows.is_empty(),
            Self::Many(rows) => rows.tree.is_empty(),
        }
    }

    /// Adds to the weight of a row; `by` is not 0.
    pub(super) fn add(&mut self, row: RowBytes, by: i64) -> Added {
        let new = Weight { weight: by, flags: CHANGED };
        match self {
            Self::Few(rows) => match rows.binary_search_by(|(other, _)| other.cmp(&row)) {
                Ok(at) if rows[at].1.add(by) => Added::Known,
                Ok(at) => {
                    rows.remove(at);
                    Added::Gone
                }
                Err(at) => {
                    rows.insert(at, (row, new));
                    self.grow();
                    Added::New
                }
            },
            Self::Many(rows) => rows.add(row, by, new),
        }
    }

    /// Lets all rows go; returns what left without a trace: how many rows, and their allocated bytes.
    pub(super) fn clear(&mut self) -> (usize, usize) {
        let (mut gone, mut bytes) = (0, 0);
        let mut keep = |row: &RowBytes, weight: &mut Weight| {
            (weight.weight, weight.flags) = (0, weight.flags | CHANGED);
            let is_kept = weight.flags & SAVED != 0;
            if !is_kept {
                (gone, bytes) = (gone + 1, bytes + row.heap_bytes());
            }
            is_kept
        };
        match self {
            Self::Few(rows) => rows.retain_mut(|(row, weight)| keep(row, weight)),
            Self::Many(rows) => {
                rows.tree.retain(&mut keep);
                rows.changed = rows.tree.keys().cloned().collect();
            }
        }
        (gone, bytes)
    }

    /// Puts back a row that was saved.
    pub(super) fn load(&mut self, row: RowBytes, weight: i64) {
        let weight = Weight { weight, flags: SAVED };
        match self {
            Self::Few(rows) => {
                let at = rows.partition_point(|(other, _)| *other < row);
                rows.insert(at, (row, weight));
                self.grow();
            }
            Self::Many(rows) => drop(rows.tree.insert(row, weight)),
        }
    }

    /// Hands over what changed since the last call: rows that are there with their weights, and rows that have gone.
    pub(super) fn save(&mut self, mut put: impl FnMut(&RowBytes, i64), mut gone: impl FnMut(RowBytes)) {
        match self {
            Self::Few(rows) => rows.retain_mut(|(row, weight)| {
                if weight.flags & CHANGED != 0 {
                    match weight.weight {
                        0 => gone(row.clone()),
                        sum => put(row, sum),
                    }
                }
                weight.flags = SAVED;
                weight.weight != 0
            }),
            Self::Many(rows) => {
                let mut changed = std::mem::take(&mut rows.changed);
                changed.sort_unstable();
                changed.dedup();
                for row in changed {
                    let Some(weight) = rows.tree.get_mut(&row) else { continue };
                    weight.flags = SAVED;
                    match weight.weight {
                        0 => {
                            rows.tree.remove(&row);
                            gone(row);
                        }
                        sum => put(&row, sum),
                    }
                }
            }
        }
    }

    /// The rows and their weights, behind one of them or from the start, in this direction.
    pub(super) fn rows<'a>(
        &'a self,
        behind: Option<&RowBytes>,
        direction: ScanDirection,
    ) -> Box<dyn Iterator<Item = (&'a RowBytes, i64)> + 'a> {
        let there = |(row, weight): (&'a RowBytes, &'a Weight)| (weight.weight != 0).then_some((row, weight.weight));
        match (self, direction) {
            (Self::Few(rows), ScanDirection::Forward) => {
                let from = behind.map_or(0, |behind| rows.partition_point(|(row, _)| row <= behind));
                Box::new(rows[from..].iter().map(|(row, weight)| (row, weight)).filter_map(there))
            }
            (Self::Few(rows), ScanDirection::Backward) => {
                let to = behind.map_or(rows.len(), |behind| rows.partition_point(|(row, _)| row < behind));
                Box::new(rows[..to].iter().rev().map(|(row, weight)| (row, weight)).filter_map(there))
            }
            (Self::Many(rows), ScanDirection::Forward) => {
                let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
                Box::new(rows.tree.range((from, Bound::Unbounded)).filter_map(there))
            }
            (Self::Many(rows), ScanDirection::Backward) => {
                let to = behind.map_or(Bound::Unbounded, Bound::Excluded);
                Box::new(rows.tree.range((Bound::Unbounded, to)).rev().filter_map(there))
            }
        }
    }

    /// The first row of positive weight from that end.
    pub(super) fn first(&self, from: ScanDirection) -> Option<&RowBytes> {
        let is_there = |weight: &Weight| weight.weight > 0;
        match (self, from) {
            (Self::Few(rows), ScanDirection::Forward) => rows.iter().find(|(_, weight)| is_there(weight)),
            (Self::Few(rows), ScanDirection::Backward) => rows.iter().rfind(|(_, weight)| is_there(weight)),
            (Self::Many(rows), ScanDirection::Forward) => {
                return rows.tree.iter().find(|(_, weight)| is_there(weight)).map(|(row, _)| row);
            }
            (Self::Many(rows), ScanDirection::Backward) => {
                return rows.tree.iter().rfind(|(_, weight)| is_there(weight)).map(|(row, _)| row);
            }
        }
        .map(|(row, _)| row)
    }

    /// A list that has become long is a tree from now on.
    fn grow(&mut self) {
        if let Self::Few(rows) = self
            && rows.len() > FEW
        {
            let changed = rows.iter().filter(|(_, weight)| weight.flags & CHANGED != 0);
            let changed = changed.map(|(row, _)| row.clone()).collect();
            *self = Self::Many(Box::new(ManyRows { tree: std::mem::take(rows).into_iter().collect(), changed }));
        }
    }
}

impl ManyRows {
    fn add(&mut self, row: RowBytes, by: i64, new: Weight) -> Added {
        match self.tree.entry(row) {
            Entry::Occupied(mut entry) => {
                let was_changed = entry.get().flags & CHANGED != 0;
                if !entry.get_mut().add(by) {
                    entry.remove();
                    return Added::Gone;
                }
                if !was_changed {
                    self.changed.push(entry.key().clone());
                }
                Added::Known
            }
            Entry::Vacant(entry) => {
                self.changed.push(entry.key().clone());
                entry.insert(new);
                self.drop_stale();
                Added::New
            }
        }
    }

    /// Shortens the list of changes once most of it is stale.
    fn drop_stale(&mut self) {
        if self.changed.len() > FEW_STALE + 2 * self.tree.len() {
            self.changed.sort_unstable();
            self.changed.dedup();
            self.changed.retain(|row| self.tree.get(row).is_some_and(|weight| weight.flags & CHANGED != 0));
        }
    }
}

impl Weight {
    /// Whether something is left of the row.
    fn add(&mut self, by: i64) -> bool {
        self.weight += by;
        self.flags |= CHANGED;
        self.weight != 0 || self.flags & SAVED != 0
    }
}
