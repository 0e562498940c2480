//! The coordinator: one pure state machine that decides when barriers go out, when a checkpoint is complete, what is
//! committed and what may be deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::Error;
use crate::state::{FileState, Manifest, SplitState, TableKind};
use crate::stream::{Barrier, BarrierKind, Counters, Epoch};

/// One task of the plan: its node's name and its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    pub node: String,
    pub task: usize,
}

/// What one task contributes to a checkpoint, durable by the time it is acknowledged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskPart {
    /// Per operator of the chain: name, signature, and its tables.
    pub operators: Vec<OperatorPart>,
    /// The watermark that the task has met; `None` for sources.
    pub watermark: Option<i64>,
    /// A source's splits.
    pub splits: BTreeMap<String, SplitState>,
    /// Counted since the job's first start, by operator name: totals of this task, including what it was restored with.
    pub counters: BTreeMap<String, Counters>,
    /// A sink's prepared commit, as the manifest keeps it.
    pub committable: Option<serde_json::Value>,
}

/// One operator's part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperatorPart {
    pub name: String,
    pub signature: String,
    pub tables: Vec<TablePart>,
}

/// One table's part: the files that this task wrote for this barrier.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePart {
    pub name: String,
    pub schema: Vec<String>,
    pub kind: TableKind,
    pub retired_before: Option<i64>,
    pub files: Vec<FileState>,
}

/// What the coordinator is told.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time has passed (see [`Coordinator::next_wakeup`]).
    Tick,
    /// Somebody wants a checkpoint now: a user, a source that counts rows, a stop.
    Requested(BarrierKind),
    /// A task's part is durable.
    Acknowledged { epoch: Epoch, task: TaskId, part: Box<TaskPart> },
    /// A task could not write its part: the checkpoint fails, the job goes on if that is tolerated.
    Declined { epoch: Epoch, task: TaskId, error: Error },
    /// A source has read all there is and has sent its final watermark and End.
    SourceEnded(TaskId),
    /// The manifest of this epoch is in the log (`digest` is its own).
    ManifestWritten { epoch: Epoch, digest: String },
    /// It could not be written.
    ManifestFailed { epoch: Epoch, error: Error },
    /// Every committable of this epoch has been committed.
    Committed { epoch: Epoch },
    /// The confirm or finished entry is in the log.
    EndWritten,
}

/// What the driver must do, in this order.
#[derive(Debug, Clone)]
pub enum Action {
    /// Send this barrier into every source.
    Inject(Barrier),
    /// Put this manifest into the log.
    WriteManifest(Box<Manifest>),
    /// Commit these, in order, then answer `Committed`. Never waited for by a barrier.
    Commit { epoch: Epoch, committables: Vec<serde_json::Value> },
    /// This epoch is complete: tell the sources (acknowledge positions) and remove what no retained manifest reaches.
    Completed { epoch: Epoch },
    /// A checkpoint was given up; the job goes on.
    Aborted { epoch: Epoch, error: Error },
    /// Stopped: write a confirm entry for this epoch, then answer `EndWritten`.
    WriteConfirm { epoch: Epoch },
    /// All input read and committed: write a finished entry, then answer `EndWritten`.
    WriteFinished { epoch: Epoch },
    /// The job has ended well.
    Done,
    /// The job has to stop with this error.
    Fail(Error),
}

/// The settings that the coordinator obeys.
#[derive(Debug, Clone)]
pub struct CoordinatorConfig {
    /// All tasks of the plan; each must acknowledge.
    pub tasks: Vec<TaskId>,
    /// Those of them that are sources.
    pub sources: Vec<TaskId>,
    /// The manifest that this start goes on from, or an empty one with epoch 0: names job, lineage, generation,
    /// parallelism, hash, and holds what is inherited.
    pub base: Manifest,
    /// Time between two triggers; `None`: only on request, and the last one.
    pub interval: Option<Duration>,
    pub min_pause: Duration,
    pub timeout: Duration,
    /// How many checkpoints in a row may fail.
    pub tolerable_failures: u32,
    /// A full snapshot is asked for when a table inherits more files than this.
    pub max_inherited_files: usize,
    /// At this many epochs that are not committed yet, the next trigger waits.
    pub max_pending_epochs: usize,
    /// Whether manifests are written at all; without, only the last barrier runs and commits follow it directly.
    pub durable: bool,
}

/// The state machine. See the module's description.
#[derive(Debug)]
pub struct Coordinator {
    config: CoordinatorConfig,
}

impl Coordinator {
    /// A coordinator that has just started at time `now` (of a clock that never steps back).
    pub fn new(config: CoordinatorConfig, _now: Duration) -> Self {
        Self { config }
    }

    /// Takes one event and says what to do.
    pub fn step(&mut self, _now: Duration, _event: Event) -> Vec<Action> {
        let _ = &self.config;
        Vec::new()
    }

    /// When `Tick` should come at the latest.
    pub fn next_wakeup(&self) -> Option<Duration> {
        None
    }
}
