//! The manifest of a checkpoint and the other entries of a job's log, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::ScriptId;
use crate::state::{OperatorId, TableKind};
use crate::stream::{Committable, Counters, Epoch, FileState, Generation};

/// The format of log entries; a newer one is refused (`BL-STATE-VERSION`).
pub const FORMAT_VERSION: u32 = 2;

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
    /// The checkpoints before it are gone but for savepoints: the job was stopped, or has failed, and they were not to outlast
    /// that. A later start begins anew and knows nothing of what was made public.
    Discarded,
}

impl LogEntry {
    /// The claim, if it is one.
    pub fn claim(&self) -> Option<&Claim> {
        match self {
            Self::Claim(claim) => Some(claim),
            _ => None,
        }
    }
}

/// Who runs the job from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub format: u32,
    pub job: String,
    /// The script that the job is from, if it stands in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<ScriptId>,
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
    /// State, positions, counters and time of each operator of the plan, sources and sinks among them.
    pub operators: BTreeMap<OperatorId, OperatorState>,
    /// By the sink's id: what it is known to have made public.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, SinkState>,
    /// Prepared by this epoch or an earlier one, not known to be committed, in order of epochs.
    pub pending: Vec<Committable>,
    /// Whether it is a savepoint, which is kept whatever else is removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Whether time had ended before its barrier although sources could have gone on: a stop that drained. Whoever goes on
    /// from it reads nothing more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// Digest of this text with this field empty.
    pub digest: String,
}

impl Manifest {
    /// The state files that it names.
    pub fn state_files(&self) -> impl Iterator<Item = &FileState> {
        self.operators.values().flat_map(OperatorState::files)
    }

    /// Takes note that these, which were pending, are public.
    pub fn confirm(&mut self, committed: &[Committable]) {
        for committed in committed {
            self.sinks.entry(committed.sink.clone()).or_default().confirm(committed);
        }
    }
}

/// What a sink is known to have made public.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkState {
    /// By task: the last epoch for which it prepared rows that are known to be public. A task without one has never
    /// written, or its first rows are pending.
    #[serde(deserialize_with = "by_task")]
    pub confirmed: BTreeMap<usize, Epoch>,
}

/// JSON has its keys as text, and an entry of the log is read by its tag, which leaves them so.
fn by_task<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<usize, Epoch>, D::Error> {
    let by_text = BTreeMap::<String, Epoch>::deserialize(from)?;
    by_text.into_iter().map(|(task, epoch)| Ok((task.parse().map_err(D::Error::custom)?, epoch))).collect()
}

impl SinkState {
    /// Takes note that this is public.
    pub fn confirm(&mut self, committed: &Committable) {
        let confirmed = self.confirmed.entry(committed.task).or_insert(committed.epoch);
        *confirmed = committed.epoch.max(*confirmed);
    }

    /// The last epoch with public rows of any task.
    pub fn last_confirmed(&self) -> Option<Epoch> {
        self.confirmed.values().max().copied()
    }
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

/// One operator, wherever it runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OperatorState {
    /// Its kind, for messages.
    pub name: String,
    /// What a restore compares; operators without one have no state and may come and go.
    pub signature: String,
    /// Of a sink whose rows only add: the query that made them, which may change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// The tables that its rows reach: with `surroundings`, what tells it from others that are alike.
    pub reaches: Vec<String>,
    /// Digest of all that lies before and behind it.
    pub surroundings: String,
    /// The watermark that it had been told, by ascending key range; empty for sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watermarks: Vec<RangeWatermark>,
    /// A source's splits by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub splits: BTreeMap<String, SplitState>,
    /// What it had counted since the job's first start.
    #[serde(default)]
    pub counters: Counters,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableState>,
}

/// The watermark of an operator's tasks for the key groups of one range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeWatermark {
    /// First and last key group.
    pub groups: (u16, u16),
    /// Milliseconds; absent before the first watermark.
    pub watermark: Option<i64>,
}

impl OperatorState {
    /// The files of its tables.
    pub fn files(&self) -> impl Iterator<Item = &FileState> {
        self.tables.iter().flat_map(|table| &table.files)
    }

    /// The watermark that tasks with these key groups (first and last) go on from: the least of those that they had.
    pub fn watermark_of(&self, groups: (u16, u16)) -> Option<i64> {
        let overlapping =
            self.watermarks.iter().filter(|range| range.groups.0 <= groups.1 && groups.0 <= range.groups.1);
        overlapping.map(|range| range.watermark).min().flatten()
    }
}

/// A table's rows: those of its files, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableState {
    pub name: String,
    /// `name type` per column, as text of ours.
    pub schema: Vec<String>,
    pub kind: TableKind,
    /// The columns, by index, that the key group is computed from.
    pub key: Vec<usize>,
    /// Rows that are gone though files hold them: those below a time (first column). By key group, without overlaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Retired>,
    pub files: Vec<FileState>,
}

impl TableState {
    /// Leaves out files that a younger one supersedes, but for those that say of keys in older files that they are gone
    /// or have changed: these go together or not at all.
    pub fn drop_superseded(&mut self) {
        let mut kept: Vec<FileState> = Vec::with_capacity(self.files.len());
        let mut files = std::mem::take(&mut self.files).into_iter();
        while let Some(file) = files.next() {
            let groups = file.groups.0..file.groups.1.saturating_add(1);
            let is_superseded = files.as_slice().iter().any(|younger| younger.supersedes(&file));
            if !is_superseded || kept.iter().any(|older| older.overlaps(&groups)) {
                kept.push(file);
            }
        }
        self.files = kept;
    }
}

/// Rows of these key groups whose time is below `before` are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// The first and the last key group.
    pub groups: (u16, u16),
    /// Milliseconds.
    pub before: i64,
}

impl Retired {
    /// Whether all rows of a file are gone by one of these.
    pub fn covers(all: &[Retired], file: &FileState) -> bool {
        let covers = |retired: &Retired| {
            retired.groups.0 <= file.groups.0
                && file.groups.1 <= retired.groups.1
                && file.newest.is_some_and(|newest| newest < retired.before)
        };
        all.iter().any(covers)
    }

    /// What is gone by any of `all`: in order, without overlaps, neighbours that agree as one.
    pub fn combined(all: impl IntoIterator<Item = Retired>) -> Vec<Retired> {
        let all: Vec<Retired> = all.into_iter().collect();
        let starts = all.iter().flat_map(|retired| [u32::from(retired.groups.0), u32::from(retired.groups.1) + 1]);
        let starts: BTreeSet<u32> = starts.collect();
        let mut combined: Vec<Retired> = Vec::new();
        for (start, end) in starts.iter().zip(starts.iter().skip(1)) {
            // Both are key groups: the last start is only ever an end.
            let groups = (*start as u16, (*end - 1) as u16);
            let covers = |retired: &&Retired| retired.groups.0 <= groups.0 && groups.1 <= retired.groups.1;
            let Some(before) = all.iter().filter(covers).map(|retired| retired.before).max() else { continue };
            match combined.last_mut() {
                Some(last) if last.before == before && u32::from(last.groups.1) + 1 == *start => {
                    last.groups.1 = groups.1
                }
                _ => combined.push(Retired { groups, before }),
            }
        }
        combined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_retired_once_its_newest_row_is() {
        let file = |first, last, newest| FileState {
            path: String::new(),
            epoch: Epoch(1),
            groups: (first, last),
            rows: 1,
            length: 1,
            digest: String::new(),
            newest,
            whole: false,
        };
        let all = [Retired { groups: (0, 63), before: 7 }, Retired { groups: (64, 127), before: 5 }];
        let gone = [(0, 63, Some(6)), (10, 20, Some(-1)), (64, 64, Some(4))];
        let here = [(0, 63, Some(7)), (60, 64, Some(4)), (64, 127, Some(5)), (64, 128, Some(4)), (0, 63, None)];
        let covers = |of: &(u16, u16, Option<i64>)| Retired::covers(&all, &file(of.0, of.1, of.2));
        assert_eq!(gone.iter().find(|file| !covers(file)), None);
        assert_eq!(here.iter().find(|file| covers(file)), None);
    }

    #[test]
    fn what_is_retired_is_told_by_key_group() {
        let retired = |first, last, before| Retired { groups: (first, last), before };
        // Two tasks that had come to different times, then three.
        let two = [retired(0, 63, 7), retired(64, 127, 5)];
        assert_eq!(Retired::combined(two), two);
        let three = [retired(0, 42, 6), retired(43, 85, 6), retired(86, 127, 9)];
        let expected = [retired(0, 63, 7), retired(64, 85, 6), retired(86, 127, 9)];
        assert_eq!(Retired::combined(two.into_iter().chain(three)), expected);
        assert_eq!(Retired::combined([retired(0, u16::MAX, 1), retired(3, 3, 2)]).len(), 3);
        assert_eq!(Retired::combined([]), []);
    }
}
