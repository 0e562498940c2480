//! The rows of a running SELECT: its answer, or the changes that lead to it, and the job that makes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::answer::Answer;
use super::outcome::{Ending, JobHandle, JobStatus, JobSummary, RunningJob};
use crate::error::{Blame, Result};
use crate::plan::Arrangement;
use crate::runtime::{CheckpointRecord, TakenCheckpoint};
use crate::stream::{Changes, Epoch, MemoryHolder, MemoryPool};

/// The result of a running SELECT.
pub struct RowStream {
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// Whether what comes are changes, some of which may take rows back: whoever shows them should lead with their kind.
    pub is_changelog: bool,
    /// Whether it ends by itself.
    pub is_bounded: bool,
    /// Whether rows come as they happen, so that somebody may be watching them.
    pub is_live: bool,
    /// Whether rows that come too late go to a table of their own.
    pub keeps_late: bool,
    /// The job that makes them; it has no name and is never resumed.
    pub job: JobHandle,
    source: BoxStream<'static, Result<Changes>>,
    answer: Answer,
    state: State,
    satisfied: Arc<SelectJob>,
    standing: Option<Standing>,
}

/// What somebody needs to show at any time the rows that stand then: all changes, and how to put rows in order.
pub struct Standing {
    /// All columns that come.
    pub schema: SchemaRef,
    /// The columns that tell one row from another; empty where only all of them do.
    pub key: Vec<usize>,
    pub arrangement: Arrangement,
    /// Where the rows are counted.
    pub memory: MemoryHolder,
}

/// What is known of a SELECT's rows before there are any.
pub struct RowShape {
    /// The upsert keys of the rows that come.
    pub keys: Vec<Vec<usize>>,
    /// All columns that come: those that are shown, then what rows are ordered by and is not shown.
    pub all: SchemaRef,
    /// The columns that are shown.
    pub shown: SchemaRef,
    /// Whether the changes that come take rows back.
    pub is_updating: bool,
    /// Whether changes are wanted, and not what they add up to.
    pub wants_changes: bool,
    pub is_bounded: bool,
    pub is_live: bool,
    pub keeps_late: bool,
    pub arrangement: Arrangement,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Changes come.
    Running,
    /// The answer is complete, and the job on its way to its end.
    Stopping,
    /// All changes have come.
    Ending,
    Ended,
}

impl RowStream {
    /// The rows that come out of `source`, which `job` makes. What is held for the answer counts in `memory`.
    pub fn new(
        shape: RowShape,
        source: BoxStream<'static, Result<Changes>>,
        job: JobHandle,
        memory: &MemoryPool,
    ) -> Result<Self> {
        let RowShape { keys, all, shown, is_updating, wants_changes, is_bounded, is_live, keeps_late, arrangement } =
            shape;
        // What never ends has no last state: its changes are all there is to show.
        let adds_up = is_updating && is_bounded && !wants_changes;
        let what = if arrangement.keys.is_empty() { "the rows of the answer" } else { "the rows of ORDER BY" };
        let memory = memory.holder(what);
        let answer = Answer::new(&all, SchemaRef::clone(&shown), &arrangement, adds_up, &memory)?;
        let is_watched = is_updating && !wants_changes && (is_live || !is_bounded);
        let key = keys.into_iter().min_by_key(Vec::len).unwrap_or_default();
        let standing = is_watched.then_some(Standing { schema: all, key, arrangement, memory });
        let satisfied = Arc::new(SelectJob { job, is_satisfied: AtomicBool::new(false) });
        Ok(Self {
            schema: shown,
            is_changelog: wants_changes || is_updating && !is_bounded,
            is_bounded,
            is_live,
            keeps_late,
            job: Arc::clone(&satisfied) as JobHandle,
            source,
            answer,
            state: State::Running,
            satisfied,
            standing,
        })
    }

    /// Of rows that change while somebody may be watching: what it takes to show those that stand. Once it is taken, the
    /// rows that come are all changes that the job makes, with all columns.
    pub fn take_standing(&mut self) -> Option<Standing> {
        let standing = self.standing.take()?;
        self.answer = Answer::of_changes(SchemaRef::clone(&standing.schema));
        Some(standing)
    }

    /// The next rows, `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Changes>> {
        loop {
            match self.state {
                State::Running if self.answer.is_complete() => {
                    self.satisfied.is_satisfied.store(true, Ordering::SeqCst);
                    if let Err(error) = self.satisfied.stop().await {
                        return self.failed(error);
                    }
                    self.state = State::Stopping;
                }
                State::Running => match self.source.next().await {
                    None => self.state = State::Ending,
                    Some(changes) => match changes.and_then(|changes| self.answer.add(changes)) {
                        Ok(None) => {}
                        Ok(Some(rows)) => return Some(Ok(rows)),
                        Err(error) => return self.failed(error),
                    },
                },
                State::Stopping => match self.source.next().await {
                    // What comes on the way to the end is not wanted any more, nor what is wrong with it.
                    Some(_) => {}
                    None => self.state = State::Ended,
                },
                State::Ending => match self.answer.rest() {
                    Ok(Some(rows)) => return Some(Ok(rows)),
                    Ok(None) => self.state = State::Ended,
                    Err(error) => return self.failed(error),
                },
                State::Ended => return None,
            }
        }
    }

    fn failed(&mut self, error: crate::error::Error) -> Option<Result<Changes>> {
        self.state = State::Ended;
        Some(Err(error))
    }
}

/// The job of a SELECT: one that is stopped because its answer is complete has finished.
struct SelectJob {
    job: JobHandle,
    is_satisfied: AtomicBool,
}

#[async_trait]
impl RunningJob for SelectJob {
    fn name(&self) -> &str {
        self.job.name()
    }

    fn is_awaited(&self) -> bool {
        self.job.is_awaited()
    }

    fn status(&self) -> JobStatus {
        self.job.status()
    }

    fn checkpoint_records(&self) -> Vec<CheckpointRecord> {
        self.job.checkpoint_records()
    }

    async fn stop(&self) -> Result<()> {
        self.job.stop().await
    }

    async fn savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.job.savepoint(target).await
    }

    async fn stop_with_savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.job.stop_with_savepoint(target).await
    }

    async fn drain_with_savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.job.drain_with_savepoint(target).await
    }

    async fn checkpoint(&self) -> Result<Epoch> {
        self.job.checkpoint().await
    }

    async fn wait(&self) -> Result<JobSummary> {
        let ended = self.job.wait().await;
        if !self.is_satisfied.load(Ordering::SeqCst) {
            return ended;
        }
        match ended {
            Ok(summary) => Ok(JobSummary { ending: Ending::Finished, ..summary }),
            // A row behind those that were asked for.
            Err(error) if error.blame() == Blame::Data => {
                Ok(JobSummary { ending: Ending::Finished, status: self.job.status(), counts_in_windows: false })
            }
            Err(error) => Err(error),
        }
    }
}
