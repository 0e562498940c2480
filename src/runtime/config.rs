//! What a job is run with, as plain values; the session reads them from its settings.

use std::path::PathBuf;
use std::time::Duration;

use super::channel::Yields;
use super::restarts::RestartStrategy;
use crate::checkpoint::CheckpointMode;
use crate::state::ScriptId;
use crate::stream::MemoryPool;

/// The settings of one job.
#[derive(Debug, Clone)]
pub struct JobConfig {
    /// Names the job in its directory, its output and in messages.
    pub job: String,
    /// The script that the job is from, if it stands in a file.
    pub script: Option<ScriptId>,
    /// Whether somebody has chosen the job's name. One that follows from the script may be that of another script's job.
    pub is_name_chosen: bool,
    /// Where checkpoints go, a directory per job below it; `None`: nothing survives, outputs appear at the end.
    pub directory: Option<PathBuf>,
    /// A savepoint or a checkpoint that a first start begins from: one that finds no checkpoint of its own.
    pub begin_from: Option<PathBuf>,
    /// Whether state in there that no operator takes is left behind.
    pub ignore_unclaimed_state: bool,
    /// Start over: a new lineage, with the published output of the old one removed.
    pub fresh: bool,
    /// 32 hexadecimal digits for a new lineage, drawn by the caller: the engine itself draws nothing.
    pub new_lineage: String,
    /// The digits with which the lineages of this job's runs without checkpoints begin: no log remembers those, so that
    /// this is how a fresh start knows what they have left.
    pub ephemeral_lineages: String,
    pub parallelism: usize,
    pub max_parallelism: u32,
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// Bytes of rows in a channel at most.
    pub channel_bytes: usize,
    /// Between two checkpoints; `None`: only on request and at the end.
    pub checkpoint_interval: Option<Duration>,
    /// A checkpoint behind each so many rows of a source.
    pub checkpoint_every_rows: Option<u64>,
    pub checkpoint_min_pause: Duration,
    pub checkpoint_timeout: Duration,
    /// What a restart may repeat.
    pub checkpoint_mode: CheckpointMode,
    /// How many checkpoints may be in flight at once.
    pub max_concurrent_checkpoints: usize,
    pub tolerable_failures: u32,
    /// Manifests kept.
    pub retained: usize,
    pub max_pending_epochs: usize,
    pub restart: RestartStrategy,
    /// Where bytes of state and of rows on their way are counted, and how many there may be.
    pub memory: MemoryPool,
    /// How long a stop waits for its checkpoint and commits.
    pub stop_timeout: Duration,
    /// Under a simulation: seeded yields in the channels.
    pub yields: Yields,
}
