//! What the coordinator is told, and what it tells the driver to do.

use std::ops::Range;

use crate::checkpoint::compaction::TableId;
use crate::checkpoint::part::{TaskId, TaskPart};
use crate::checkpoint::request::Request;
use crate::error::{Error, Result};
use crate::state::{Manifest, TableState};
use crate::stream::{Barrier, Committable, Epoch, FileState};

/// What the coordinator is told.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time has passed (see [`Coordinator::next_wakeup`]).
    Tick,
    /// The owner of the job wants something.
    Requested(Request),
    /// A source has read as many rows as one checkpoint is to cover, and waits for the next barrier.
    CheckpointDue,
    /// A task's part is durable. The acknowledgements of a sink's task come in the order of their epochs, those of
    /// given-up checkpoints included, unless the task never met the barrier.
    Acknowledged { epoch: Epoch, task: TaskId, part: Box<TaskPart> },
    /// A task could not write its part: the checkpoint fails, the job goes on if that is tolerated. Not for a task
    /// whose sink has already prepared: its rows would be lost, so that such a task has to fail the job.
    Declined { epoch: Epoch, task: TaskId, error: Error },
    /// A source has read all there is, or was told to end, and has sent its final watermark and End.
    SourceEnded(TaskId),
    /// The manifest of this epoch is in the log (`digest` is its own).
    ManifestWritten { epoch: Epoch, digest: String },
    /// It could not be written.
    ManifestFailed { epoch: Epoch, error: Error },
    /// What the checkpoint of this epoch holds of this sink is public.
    Committed { sink: String, epoch: Epoch },
    /// The files of a table that were to be put together are: `by` hold the rows of `replaced`.
    Compacted { table: TableId, replaced: Vec<FileState>, by: Vec<FileState> },
    /// They could not be; the table stays as it is.
    CompactionFailed { table: TableId },
    /// The confirm or finished entry is in the log.
    EndWritten,
}

/// What the driver must do, in this order.
#[derive(Debug, Clone)]
pub enum Action {
    /// Send this barrier into every source.
    Inject(Barrier),
    /// Tell every source to end, behind the barriers that it has been sent: the job is to drain.
    EndSources,
    /// Put this manifest into the log.
    WriteManifest(Box<Manifest>),
    /// Commit these, in order, then answer `Committed`. One at a time per sink; never waited for by a barrier.
    Commit { sink: String, epoch: Epoch, committables: Vec<Committable> },
    /// This epoch is complete: tell the sources (acknowledge positions) and remove what no retained manifest reaches.
    Completed { epoch: Epoch },
    /// Put the files `run` of a table together, in the background, then answer `Compacted` or `CompactionFailed`. What
    /// comes of it has to be kept until a complete checkpoint names it.
    Compact { table: TableId, state: Box<TableState>, run: Range<usize> },
    /// A checkpoint was given up; the job goes on.
    Aborted { epoch: Epoch, error: Error },
    /// Tell whoever made this request: the checkpoint that holds what it asked for, or why there is none.
    Answer { id: u64, result: Result<Epoch> },
    /// Stopped: write a confirm entry for this epoch, then answer `EndWritten`.
    WriteConfirm { epoch: Epoch },
    /// All input read and committed: write a finished entry, then answer `EndWritten`.
    WriteFinished { epoch: Epoch },
    /// The job has ended well.
    Done,
    /// The job has to stop with this error. Requests that were not answered are still open.
    Fail(Error),
}
