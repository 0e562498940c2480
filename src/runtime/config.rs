//! What a job is run with, as plain values; the session reads them from its settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::channel::Yields;
use super::restarts::RestartStrategy;
use crate::checkpoint::CheckpointMode;
use crate::error::Result;
use crate::state::ScriptId;
use crate::storage::{LocalStore, MemoryFiles, Stores};
use crate::stream::MemoryPool;

/// What needs a file system, in errors about a directory that is none.
const CHECKPOINTS: &str = "checkpoints";

/// Whether checkpoints outlast the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// They do, whatever becomes of it.
    Kept,
    /// Until it is stopped without a savepoint. They outlast a failure.
    UntilStopped,
    /// Until it is stopped without a savepoint, or fails for good.
    UntilEnded,
}

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
    /// Where that directory is, if not among the files of this computer: in memory, which goes with the job.
    pub in_memory: Option<MemoryFiles>,
    /// A savepoint or a checkpoint that a first start begins from: one that finds no checkpoint of its own.
    pub begin_from: Option<PathBuf>,
    /// Whether that is a savepoint which belongs to the job from then on, and which it removes behind its first checkpoint.
    pub claims: bool,
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
    pub retention: Retention,
    pub max_pending_epochs: usize,
    pub restart: RestartStrategy,
    /// Where bytes of state and of rows on their way are counted, and how many there may be.
    pub memory: MemoryPool,
    /// How long a stop waits for its checkpoint and commits.
    pub stop_timeout: Duration,
    /// Under a simulation: seeded yields in the channels.
    pub yields: Yields,
}

impl JobConfig {
    /// The store of the directory of checkpoints, and the path in it.
    pub(super) fn checkpoint_store(&self, stores: &Stores, directory: &Path) -> Result<(Arc<dyn LocalStore>, PathBuf)> {
        match &self.in_memory {
            Some(files) => Ok((Arc::new(files.clone()), directory.to_owned())),
            None => stores.local_at(directory, CHECKPOINTS),
        }
    }
}
