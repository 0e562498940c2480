//! The last checkpoints of a job in this process: when each began, how it ended, what it wrote, and which task it waited
//! for. Written by the driver, read by whoever holds the job's handle.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::checkpoint::TaskId;
use crate::state::Manifest;
use crate::stream::{Barrier, BarrierKind, Epoch, ProcTime};

/// How many are remembered.
const KEPT: usize = 100;

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRecord {
    pub epoch: Epoch,
    pub kind: BarrierKind,
    /// When its barrier went out.
    pub began: ProcTime,
    pub outcome: CheckpointOutcome,
    /// From the barrier to the last acknowledgement, and the task that gave it: once one has come.
    pub slowest: Option<(Duration, TaskId)>,
}

/// How a checkpoint stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointOutcome {
    InProgress,
    Completed(CheckpointSize, Duration),
    /// A later one completed first, and holds all that this one was to hold.
    Superseded(Epoch),
    /// It was given up, for this reason.
    Failed(Arc<str>),
}

/// What a complete checkpoint comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckpointSize {
    /// Bytes of state files that were new with it.
    pub written_bytes: u64,
    /// Bytes of all state files that it names.
    pub bytes: u64,
    pub files: usize,
}

impl CheckpointSize {
    /// Of a manifest that follows the checkpoint of epoch `before`.
    fn of(manifest: &Manifest, before: Epoch) -> Self {
        let mut size = Self::default();
        for file in manifest.state_files() {
            size.files += 1;
            size.bytes += file.length;
            size.written_bytes += if file.epoch > before { file.length } else { 0 };
        }
        size
    }
}

/// The records, the oldest first.
#[derive(Debug, Default)]
pub struct CheckpointHistory {
    records: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    record: CheckpointRecord,
    /// By a clock that never steps back.
    since: Duration,
    size: CheckpointSize,
}

impl CheckpointHistory {
    /// All that are remembered.
    pub fn records(&self) -> Vec<CheckpointRecord> {
        self.with(|records| records.iter().map(|kept| kept.record.clone()).collect())
    }

    /// Its barrier goes out at this time of day and of the steady clock.
    pub(super) fn began(&self, barrier: Barrier, now: ProcTime, elapsed: Duration) {
        let record = CheckpointRecord {
            epoch: barrier.epoch,
            kind: barrier.kind,
            began: now,
            outcome: CheckpointOutcome::InProgress,
            slowest: None,
        };
        self.with(|records| {
            if records.len() == KEPT {
                records.pop_front();
            }
            records.push_back(Kept { record, since: elapsed, size: CheckpointSize::default() });
        });
    }

    /// A task has handed its part in.
    pub(super) fn acknowledged(&self, epoch: Epoch, task: &TaskId, elapsed: Duration) {
        self.change(epoch, |kept| {
            if kept.record.outcome == CheckpointOutcome::InProgress {
                kept.record.slowest = Some((elapsed.saturating_sub(kept.since), task.clone()));
            }
        });
    }

    /// Its manifest is about to be written; the last complete one was that of `before`.
    pub(super) fn sized(&self, manifest: &Manifest, before: Epoch) {
        let size = CheckpointSize::of(manifest, before);
        self.change(manifest.epoch, |kept| kept.size = size);
    }

    /// It is complete; what is still in progress before it never will be.
    pub(super) fn completed(&self, epoch: Epoch, elapsed: Duration) {
        self.with(|records| {
            for Kept { record, since, size } in records.iter_mut() {
                if record.outcome != CheckpointOutcome::InProgress {
                    continue;
                }
                record.outcome = match record.epoch {
                    this if this == epoch => CheckpointOutcome::Completed(*size, elapsed.saturating_sub(*since)),
                    earlier if earlier < epoch => CheckpointOutcome::Superseded(epoch),
                    _ => continue,
                };
            }
        });
    }

    /// It was given up.
    pub(super) fn failed(&self, epoch: Epoch, why: &str) {
        self.change(epoch, |kept| kept.record.outcome = CheckpointOutcome::Failed(why.into()));
    }

    /// The attempt is over: nothing that is in progress will be complete.
    pub(super) fn interrupted(&self, why: &str) {
        let why: Arc<str> = why.into();
        self.with(|records| {
            for kept in records.iter_mut().filter(|kept| kept.record.outcome == CheckpointOutcome::InProgress) {
                kept.record.outcome = CheckpointOutcome::Failed(Arc::clone(&why));
            }
        });
    }

    /// A number may come again behind a restart: the last one is meant.
    fn change(&self, epoch: Epoch, change: impl FnOnce(&mut Kept)) {
        self.with(|records| records.iter_mut().rev().find(|kept| kept.record.epoch == epoch).map(change));
    }

    fn with<T>(&self, work: impl FnOnce(&mut VecDeque<Kept>) -> T) -> T {
        // No work leaves the list half changed.
        work(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barrier(epoch: u64, kind: BarrierKind) -> Barrier {
        Barrier { epoch: Epoch(epoch), kind, covered: Epoch::ZERO }
    }

    fn task(number: usize) -> TaskId {
        TaskId { node: "chain-1".to_owned(), task: number }
    }

    fn outcomes(history: &CheckpointHistory) -> Vec<(u64, CheckpointOutcome)> {
        history.records().into_iter().map(|record| (record.epoch.0, record.outcome)).collect()
    }

    #[test]
    fn each_ends_as_it_was_told() {
        let history = CheckpointHistory::default();
        let at = Duration::from_millis;
        for epoch in 1..=4 {
            history.began(barrier(epoch, BarrierKind::Checkpoint), ProcTime(1000), at(epoch));
        }
        history.acknowledged(Epoch(3), &task(0), at(5));
        history.acknowledged(Epoch(3), &task(1), at(9));
        history.failed(Epoch(1), "no space");
        history.completed(Epoch(3), at(13));
        history.acknowledged(Epoch(3), &task(2), at(20));
        history.interrupted("killed");
        let completed = CheckpointOutcome::Completed(CheckpointSize::default(), at(10));
        assert_eq!(
            outcomes(&history),
            [
                (1, CheckpointOutcome::Failed("no space".into())),
                (2, CheckpointOutcome::Superseded(Epoch(3))),
                (3, completed),
                (4, CheckpointOutcome::Failed("killed".into())),
            ]
        );
        assert_eq!(history.records()[2].slowest, Some((at(6), task(1))));
    }

    #[test]
    fn the_last_hundred_are_remembered_and_numbers_may_come_again() {
        let history = CheckpointHistory::default();
        for epoch in (1..=150).chain([150]) {
            history.began(barrier(epoch, BarrierKind::Checkpoint), ProcTime(0), Duration::ZERO);
        }
        history.failed(Epoch(150), "x");
        let outcomes = outcomes(&history);
        assert_eq!((outcomes.len(), outcomes[0].0), (100, 52));
        assert_eq!(outcomes[98].1, CheckpointOutcome::InProgress);
        assert_eq!(outcomes[99].1, CheckpointOutcome::Failed("x".into()));
    }
}
