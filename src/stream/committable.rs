//! What a sink stages at a barrier, and the files that a checkpoint names: the words that sinks, checkpoints and the
//! log share.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Epoch;

/// What a sink put into the checkpoint so that a commit can be made, or made again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Committable {
    /// The sink's name within the plan.
    pub sink: String,
    /// The sink task that wrote it.
    pub task: usize,
    /// The epoch that its rows belong to.
    pub epoch: Epoch,
    /// Rows that become public.
    pub rows: u64,
    /// Files in the job's directory that hold the rows until they are public: they are kept as long as a checkpoint
    /// names them here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileState>,
    /// What the committer needs, in the connector's own words.
    pub payload: serde_json::Value,
}

/// A file in the job's directory that a checkpoint needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// Relative to the job's directory.
    pub path: String,
    /// The epoch that it was written for.
    pub epoch: Epoch,
    /// The least and the greatest key group of its rows; both 0 where they belong to no key.
    pub groups: (u16, u16),
    pub rows: u64,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the bytes, hexadecimal.
    pub digest: String,
    /// The greatest time of a row, milliseconds, where rows go once their time has been retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<i64>,
    /// It holds all that is left of its key groups' keys: older files of these groups have nothing to say any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

impl FileState {
    /// Whether some row may belong to a range of key groups.
    pub fn overlaps(&self, groups: &Range<u16>) -> bool {
        self.groups.0 < groups.end && self.groups.1 >= groups.start
    }

    /// Whether this file says all that an older one of the same table could.
    pub fn supersedes(&self, older: &Self) -> bool {
        self.whole && self.groups.0 <= older.groups.0 && older.groups.1 <= self.groups.1
    }
}
