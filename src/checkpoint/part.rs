//! What tasks contribute to a checkpoint.

use std::collections::BTreeMap;

use crate::state::{OperatorId, Retired, SplitState, TableKind};
use crate::stream::{Committable, Counters, Epoch, FileState};

/// One task of the plan: its node's name and its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    pub node: String,
    pub task: usize,
}

/// What one task contributes to a checkpoint, durable by the time it is acknowledged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskPart {
    /// The operators of the chain; a source or a sink is one.
    pub operators: Vec<OperatorPart>,
    /// First and last key group that the task's watermarks are for: its own behind a hash exchange, else all. `None` for
    /// sources, which have positions instead.
    pub groups: Option<(u16, u16)>,
    /// Whether all tasks of the node must have met the same watermarks: those behind a hash exchange, who hear the same
    /// from everybody. Others may have heard in another order that an input fell idle.
    pub shares_watermark: bool,
    /// A sink's prepared commit.
    pub committable: Option<Committable>,
}

/// One operator's part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperatorPart {
    pub id: OperatorId,
    pub name: String,
    pub signature: String,
    /// This and the two below as in [`OperatorState`](crate::state::OperatorState).
    pub query: String,
    pub reaches: Vec<String>,
    pub surroundings: String,
    /// The watermark that the operator had been told.
    pub watermark: Option<i64>,
    /// A source's splits.
    pub splits: BTreeMap<String, SplitState>,
    /// Counted since the job's first start: totals of this task, including what it was restored with.
    pub counters: Counters,
    pub tables: Vec<TablePart>,
}

/// One table's part: the files that this task wrote for this barrier and for others that were not complete when this one
/// was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePart {
    pub name: String,
    pub schema: Vec<String>,
    pub kind: TableKind,
    /// As in [`TableState`](crate::state::TableState).
    pub key: Vec<usize>,
    /// What is gone of the task's key groups.
    pub retired: Option<Retired>,
    pub files: Vec<FileState>,
}

impl TablePart {
    /// The files that a checkpoint does not have which was complete by then: it may have completed only after the barrier
    /// of this part was sent.
    pub(super) fn files_after(&self, covered: Epoch) -> impl Iterator<Item = FileState> {
        self.files.iter().filter(move |file| file.epoch > covered).cloned()
    }
}
