//! The manifest of a checkpoint and the other entries of a job's log, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::TableKind;
use crate::stream::{Committable, Counters, Epoch, FileState, Generation};

/// The format of log entries; a newer one is refused (`BL-STATE-VERSION`).
pub const FORMAT_VERSION: u32 = 1;

/// One entry of `<dir>/<job>/log/<number>.json`. Each is written by put-if-absent under the next number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum LogEntry {
    /// A start takes the job over. Never deleted, so that an older process always loses its next write.
    Claim(Claim),
    /// A completed checkpoint: its presence is completion.
    Checkpoint(Box<Manifest>),
    /// The commits of a checkpoint are done (written at stop; otherwise the next manifest says so).
    Confirm { epoch: Epoch },
    /// All input was read and every sink has confirmed: a later start does nothing.
    Finished { epoch: Epoch },
}

/// Who runs the job from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub format: u32,
    pub job: String,
    /// 32 hexadecimal digits; a new one with `--fresh`.
    pub lineage: String,
    pub generation: Generation,
    pub parallelism: usize,
    /// Names of the plan's sinks, so that `--fresh` knows where to clear up.
    pub sinks: Vec<String>,
}

/// Everything that a restart needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Version of the program that wrote it.
    pub build: String,
    pub job: String,
    pub lineage: String,
    pub generation: Generation,
    pub epoch: Epoch,
    /// Digest of the manifest before it in the lineage, empty for the first.
    pub parent: String,
    /// Names the frozen hash of key groups.
    pub hash_id: String,
    pub max_parallelism: u32,
    pub parallelism: usize,
    /// By node name: state, counters and time of each node of the plan.
    pub nodes: BTreeMap<String, NodeState>,
    /// Prepared by this epoch or an earlier one, not known to be committed, in order of epochs.
    pub pending: Vec<Committable>,
    /// Whether it is a savepoint, which is kept whatever else is removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Digest of this text with this field empty.
    pub digest: String,
}

/// What a checkpoint holds of one node of the plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// Of the node's operators, in chain order.
    pub operators: Vec<OperatorState>,
    /// The watermark that the node's tasks had met, milliseconds; absent for sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark: Option<i64>,
    /// A source's splits by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub splits: BTreeMap<String, SplitState>,
    /// What the node had counted, by operator name (or `source`, `sink`).
    #[serde(default)]
    pub counters: BTreeMap<String, Counters>,
}

/// Where a split was left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitState {
    pub position: serde_json::Value,
    /// Milliseconds; absent before the first watermark.
    pub watermark: Option<i64>,
    /// Whether all of it has been read.
    pub ended: bool,
    pub idle: bool,
}

/// One operator of a chain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OperatorState {
    /// Its kind, for messages.
    pub name: String,
    /// What a restore compares; operators without one have no state and are passed over.
    pub signature: String,
    /// Of a sink whose rows only add: the query that made them, which may change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    pub tables: Vec<TableState>,
}

impl NodeState {
    /// The operators that a restore looks at, in chain order.
    pub fn signed(&self) -> impl Iterator<Item = &OperatorState> {
        self.operators.iter().filter(|operator| !operator.signature.is_empty())
    }
}

/// A table's rows: those of its files, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableState {
    pub name: String,
    /// `name type` per column, as text of ours.
    pub schema: Vec<String>,
    pub kind: TableKind,
    /// Rows below this time (first column) are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_before: Option<i64>,
    /// Parquet files, own or inherited.
    pub files: Vec<FileState>,
}
