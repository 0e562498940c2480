//! What a statement comes to: nothing, a table, rows that flow, or a job with a handle.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;

use super::row_stream::RowStream;
use crate::error::Result;
use crate::runtime::{CheckpointRecord, RestartFigures, SplitStatus, TableStatus, TakenCheckpoint};
use crate::stream::{Epoch, EventTime};

/// What a statement comes to.
pub enum Outcome {
    /// It is done and there is nothing to show.
    Done,
    /// A text to read as it is: EXPLAIN, SHOW CREATE.
    Text(String),
    /// A small table: SHOW, DESCRIBE, SET without a key.
    Table(SchemaRef, Vec<RecordBatch>),
    /// The rows of a SELECT.
    Rows(Box<RowStream>),
    /// An INSERT or a statement set, started.
    Job(JobHandle),
}

/// A job, shared by everyone who watches it.
pub type JobHandle = Arc<dyn RunningJob>;

/// A running INSERT, statement set or SELECT.
#[async_trait]
pub trait RunningJob: Send + Sync {
    /// Its name; empty for a SELECT.
    fn name(&self) -> &str;
    /// Whether a script waits for it before its next statement: its input is bounded, or `table.dml-sync` is on.
    fn is_awaited(&self) -> bool;
    /// How it stands now.
    fn status(&self) -> JobStatus;
    /// The watermark that closes the next of its windows, if it has any that are open.
    fn next_window(&self) -> Option<EventTime> {
        None
    }
    /// Where the splits of its sources stand in event time; empty in batch mode.
    fn splits(&self) -> Vec<SplitStatus> {
        Vec::new()
    }
    /// What each state table of each of its operators holds, and what bounds it; empty in batch mode.
    fn state_tables(&self) -> Vec<TableStatus> {
        Vec::new()
    }
    /// Its last checkpoints, the oldest first; none in batch mode.
    fn checkpoint_records(&self) -> Vec<CheckpointRecord> {
        Vec::new()
    }
    /// Stops it with a checkpoint, where it has any; `wait` then comes to its end.
    async fn stop(&self) -> Result<()>;
    /// Takes a checkpoint as [`checkpoint`](Self::checkpoint) does, and keeps it whatever else is removed; with a target as a
    /// copy in a directory below that.
    async fn savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint>;
    /// Stops it with a last checkpoint that is kept whatever else is removed; with a target as a copy in a directory below
    /// that.
    async fn stop_with_savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint>;
    /// The same for good: time ends before the savepoint, so that every window gives its result, and the job has finished.
    async fn drain_with_savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint>;
    /// Takes a checkpoint that begins after this call and waits until it is complete: every row that was read before is
    /// in it, and every row whose push had returned. A job that ends meanwhile answers with its last one.
    async fn checkpoint(&self) -> Result<Epoch>;
    /// Waits for its end. May be called more than once.
    async fn wait(&self) -> Result<JobSummary>;
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Reading and writing.
    Running,
    /// Between a failure and its restart.
    Restarting,
    /// On its way to the end that somebody asked for.
    Stopping,
    /// At its end.
    Ended,
}

/// Figures of a job, since its first start where a checkpoint carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    pub state: JobState,
    /// Rows read.
    pub rows_in: u64,
    /// Rows written, or handed to whoever reads the SELECT.
    pub rows_out: u64,
    /// Rows refused because every window of theirs had closed.
    pub late: u64,
    /// Rows refused because their time lies too far in the future.
    pub future: u64,
    /// (row, window) pairs that were closed, of rows with another window still open.
    pub partially_late: u64,
    /// Rows that could not be read and were skipped.
    pub skipped: u64,
    /// Bytes read, and how many there are if that is known.
    pub bytes_in: u64,
    pub bytes_total: Option<u64>,
    /// The least watermark of the sources.
    pub watermark: Option<EventTime>,
    /// The split that holds it: the one furthest behind in event time.
    pub held_by: Option<Arc<str>>,
    /// Bytes of state in memory.
    pub state_bytes: u64,
    /// Checkpoints completed since this start.
    pub checkpoints: u64,
    /// The longest that a task stood still to hand its state to a checkpoint, since this start.
    pub pause_max: Duration,
    /// Restarts after failures of the outside world, since this start.
    pub restarts: RestartFigures,
    /// Since this start.
    pub elapsed: Duration,
}

/// How a job ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All input was read and all output is public.
    Finished,
    /// An earlier run had finished it: nothing was done.
    AlreadyFinished,
    /// It was stopped. With an epoch the same command goes on from there.
    Stopped { at: Option<Epoch> },
}

/// The end of a job and its last figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    pub ending: Ending,
    pub status: JobStatus,
    /// Whether rows were counted in windows: what those held that were open at a stop is in no output.
    pub counts_in_windows: bool,
}
