//! Which state files are put together behind the back of the running job, and when a manifest may name the result.
//!
//! ```text
//!   manifest 7   a b c d e      a..d are too many: compacted in the background, while 8 and 9 are made
//!   manifest 9   a b c d e f g
//!   manifest 10  A e f g h      the run a..d is replaced in place, where it still stands
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::state::OperatorId;
use crate::stream::FileState;

/// A table of the job: its operator's id and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableId {
    pub operator: OperatorId,
    pub table: String,
}

/// Compactions that run, and those whose result no complete checkpoint names yet. One at a time per table.
#[derive(Debug, Default)]
pub(super) struct Compactions {
    running: BTreeSet<TableId>,
    finished: BTreeMap<TableId, Replacement>,
}

/// A run of files and what holds the same rows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Replacement {
    replaced: Vec<FileState>,
    by: Vec<FileState>,
}

impl Compactions {
    /// Begins the compaction of a table unless one is on its way; true if it is to run.
    pub fn begin(&mut self, table: &TableId) -> bool {
        !self.finished.contains_key(table) && self.running.insert(table.clone())
    }

    /// Whether one runs, or has a result that no complete checkpoint names.
    pub fn is_under_way(&self, table: &TableId) -> bool {
        self.running.contains(table) || self.finished.contains_key(table)
    }

    /// The tables of which files are being put together.
    pub fn running(&self) -> impl Iterator<Item = &TableId> {
        self.running.iter()
    }

    /// One has ended well.
    pub fn finish(&mut self, table: TableId, replaced: Vec<FileState>, by: Vec<FileState>) -> Result<()> {
        self.end(&table)?;
        if replaced.is_empty() {
            return Err(Error::bug(format!("nothing of table {} was compacted", table.table)));
        }
        self.finished.insert(table, Replacement { replaced, by });
        Ok(())
    }

    /// One has ended without a result; the table stays as it is, and its turn may come again.
    pub fn end(&mut self, table: &TableId) -> Result<()> {
        match self.running.remove(table) {
            true => Ok(()),
            false => Err(Error::bug(format!("table {} was not being compacted", table.table))),
        }
    }

    /// Replaces the run of files of a table for which there is a result. Files only come behind those that a manifest
    /// has, so that the run stands where it stood.
    pub fn apply(&self, table: &TableId, files: &mut Vec<FileState>) -> Result<()> {
        let Some(Replacement { replaced, by }) = self.finished.get(table) else { return Ok(()) };
        let at = files.windows(replaced.len()).position(|run| run == replaced).ok_or_else(|| {
            Error::bug(format!("the files of table {} that were compacted are not in its list", table.table))
        })?;
        files.splice(at..at + replaced.len(), by.iter().cloned());
        Ok(())
    }

    /// The tables for which a manifest that is written now has the result.
    pub fn applied(&self) -> Vec<TableId> {
        self.finished.keys().cloned().collect()
    }

    /// That manifest is complete.
    pub fn complete(&mut self, applied: &[TableId]) {
        self.finished.retain(|table, _| !applied.contains(table));
    }
}
