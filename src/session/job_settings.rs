//! The settings of a job, read and typed: what the planner and the runtime obey, and no text any more.

use std::path::PathBuf;
use std::time::Duration;

use crate::checkpoint::CheckpointMode;
use crate::operators::Holding;
use crate::plan::{EmitSettings, KeyedShuffle, Materialize, TypeLengths};
use crate::runtime::{RestartStrategy, Retention};
use crate::stream::Zone;

/// Whether a statement runs as a stream or once over bounded tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeMode {
    Streaming,
    Batch,
}

/// What a SELECT gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultMode {
    /// Its answer.
    Table,
    /// Its changes.
    Changelog,
    /// Its changes, drawn as a table.
    Tableau,
}

/// When checkpoints are taken and where they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// Time between two; `None`: none by time.
    pub interval: Option<Duration>,
    /// One each time a source has read this many rows.
    pub every_rows: Option<u64>,
    /// Where they are kept, if the script says so.
    pub directory: Option<PathBuf>,
    /// Whether they are kept in memory, and nowhere else.
    pub is_in_memory: bool,
    /// Below which directory savepoints are made; `None`: they are kept among the job's checkpoints.
    pub savepoint_directory: Option<PathBuf>,
    /// The savepoint or checkpoint that a job begins from which has none of its own.
    pub begin_from: Option<PathBuf>,
    /// Whether that belongs to the job from then on, which removes it.
    pub claims: bool,
    /// Whether state in there that nobody takes is left behind.
    pub ignore_unclaimed_state: bool,
    pub min_pause: Duration,
    pub timeout: Duration,
    /// What a restart may repeat.
    pub mode: CheckpointMode,
    /// How many may be in flight at once.
    pub max_concurrent: usize,
    /// How many completed ones are kept.
    pub retained: usize,
    /// What becomes of them at the end.
    pub retention: Retention,
    /// How many may fail in a row.
    pub tolerable_failures: u32,
    /// At this many epochs that are not committed yet the next one waits.
    pub max_pending_epochs: usize,
}

impl CheckpointSettings {
    /// Whether any are taken while the job runs.
    pub fn is_on(&self) -> bool {
        self.interval.is_some() || self.every_rows.is_some()
    }
}

/// Everything that a job reads from SET, as it stood when the job was started.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSettings {
    pub runtime_mode: RuntimeMode,
    pub result_mode: ResultMode,
    /// `pipeline.name`.
    pub name: Option<String>,
    /// Tasks of a parallel node; `None`: as many as there are cores.
    pub parallelism: Option<usize>,
    /// The number of key groups.
    pub max_parallelism: u32,
    pub checkpoints: CheckpointSettings,
    pub restart: RestartStrategy,
    /// After this long without rows a split is idle; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Rows that lie further in the future than this when they are stored are refused; `None`: none are.
    pub max_future_drift_ms: Option<i64>,
    /// A NULL for a NOT NULL column: drop the row and count it; else fail.
    pub drop_nulls: bool,
    pub type_lengths: TypeLengths,
    /// Whether rows reach the tasks of a sink by its primary key.
    pub keyed_shuffle: KeyedShuffle,
    /// Whether rows with one primary key become one before a sink.
    pub materialize: Materialize,
    /// Whether an INSERT has to say ON CONFLICT where they may.
    pub requires_on_conflict: bool,
    /// `UTC` or an offset such as `+02:00`.
    pub zone: Zone,
    /// Whether a script waits for jobs over unbounded input.
    pub dml_sync: bool,
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// In how many windows a row may lie.
    pub windows_per_row: usize,
    /// Whether a table that is read in several places of a job is read once.
    pub reuse_sources: bool,
    /// For so many milliseconds state is kept that nobody touches; `None`: for ever.
    pub ttl_ms: Option<i64>,
    /// When windows in GROUP BY give results besides that at their end.
    pub emit: EmitSettings,
    /// How long rows of an unwindowed GROUP BY are held to be combined.
    pub holding: Holding,
    /// One total in bytes; `None`: a share of what the machine has.
    pub memory_limit: Option<u64>,
    /// How long a stop waits for its checkpoint and commits.
    pub stop_timeout: Duration,
    /// The widest value of a table on a terminal.
    pub max_column_width: usize,
}

impl JobSettings {
    /// Time between two checkpoints, if they are taken by time.
    pub fn checkpoint_interval(&self) -> Option<Duration> {
        self.checkpoints.interval
    }
}
