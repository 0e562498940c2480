//! Jobs and rows as the façade shows them, on top of the runtime's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::StreamExt;
use futures::future::{BoxFuture, Shared};
use futures::stream::BoxStream;
use tokio::sync::mpsc;

use super::outcome::{Ending, JobHandle, JobState, JobStatus, JobSummary, RunningJob};
use crate::checkpoint::Wanted;
use crate::connectors::World;
use crate::error::{Error, Result};
use crate::plan::StreamPlan;
use crate::runtime::{
    self, CheckpointRecord, Control, Figures, JobConfig, JobFigures, Notices, RestartFigures, SplitStatus, TableStatus,
    TakenCheckpoint,
};
use crate::stream::{Changes, Clock, Counter, Epoch, EventTime};

/// A streaming job.
pub struct StreamingJob {
    name: String,
    is_named: bool,
    is_awaited: bool,
    control: Control,
    figures: Arc<JobFigures>,
    /// The end, for everyone who waits.
    end: Shared<BoxFuture<'static, Result<runtime::JobSummary>>>,
    clock: Arc<dyn Clock>,
    started: Duration,
}

impl StreamingJob {
    /// Starts a job on the tokio runtime of the caller. `name` is what people see: empty for a SELECT. Without
    /// `is_named` the name was made up, and no later run will find what this one leaves.
    pub fn start(
        name: String,
        is_named: bool,
        plan: StreamPlan,
        config: JobConfig,
        world: World,
        notices: Notices,
        is_awaited: bool,
    ) -> JobHandle {
        let clock = Arc::clone(&world.clock);
        let started = clock.elapsed();
        let handle = runtime::start(plan, config, world, notices);
        Arc::new(Self {
            name,
            is_named,
            is_awaited,
            control: handle.control(),
            figures: handle.shared_figures(),
            end: handle.wait().boxed().shared(),
            clock,
            started,
        })
    }

    async fn saved(&self, what: Wanted) -> Result<TakenCheckpoint> {
        let has_place = what.savepoint_target().is_some();
        if let Some(answer) = self.control.ask(what).await {
            return answer;
        }
        let last = self.last_of_finished("savepoint").await?;
        if has_place {
            return Err(Error::world(format!("job {} has finished; its last checkpoint, {last}, stays", self.name))
                .with_help("'execution.state-recovery.path' takes the directory of its checkpoints, too"));
        }
        Ok(last.into())
    }

    /// The last checkpoint of a job that was over when `what` was asked for: with all its input read it holds everything.
    async fn last_of_finished(&self, what: &str) -> Result<Epoch> {
        let ending = self.end.clone().await?.ending;
        let last = self.figures.completed().filter(|_| ending == runtime::Ending::Finished);
        last.ok_or_else(|| Error::world(format!("job {} ended before the {what}", self.name)))
    }

    fn status_of(&self, figures: Figures, restarts: RestartFigures, state: JobState) -> JobStatus {
        JobStatus {
            state,
            rows_in: figures.rows_in,
            rows_out: figures.rows_out,
            late: figures.rows_late,
            future: figures.rows_future,
            partially_late: figures.pairs_partially_late,
            skipped: figures.rows_skipped,
            bytes_in: figures.bytes_in,
            bytes_total: figures.bytes_total,
            watermark: figures.watermark.is_some().then_some(figures.watermark),
            held_by: self.figures.held_by(),
            state_bytes: figures.state_bytes,
            checkpoints: figures.checkpoints,
            pause_max: figures.pause_max,
            restarts,
            elapsed: self.clock.elapsed().saturating_sub(self.started),
        }
    }
}

#[async_trait]
impl RunningJob for StreamingJob {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    fn next_window(&self) -> Option<EventTime> {
        self.figures.next_window()
    }

    fn splits(&self) -> Vec<SplitStatus> {
        self.figures.splits()
    }

    fn state_tables(&self) -> Vec<TableStatus> {
        self.figures.tables()
    }

    fn checkpoint_records(&self) -> Vec<CheckpointRecord> {
        self.figures.checkpoint_records()
    }

    fn status(&self) -> JobStatus {
        let (figures, restarts) = (self.figures.read(), self.figures.restarts());
        let state = match self.end.peek() {
            Some(_) => JobState::Ended,
            None if restarts.next_start.is_some() => JobState::Restarting,
            None if figures.is_stopping => JobState::Stopping,
            None => JobState::Running,
        };
        self.status_of(figures, restarts, state)
    }

    async fn stop(&self) -> Result<()> {
        self.control.tell(Wanted::STOP).await;
        Ok(())
    }

    async fn savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.saved(Wanted::Savepoint { target }).await
    }

    async fn stop_with_savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.saved(Wanted::Stop { savepoint: true, target, drain: false }).await
    }

    async fn drain_with_savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.saved(Wanted::Stop { savepoint: true, target, drain: true }).await
    }

    async fn checkpoint(&self) -> Result<Epoch> {
        if let Some(answer) = self.control.ask(Wanted::Checkpoint).await {
            return answer.map(|taken| taken.epoch);
        }
        self.last_of_finished("checkpoint").await
    }

    async fn wait(&self) -> Result<JobSummary> {
        let summary = self.end.clone().await?;
        let ending = match summary.ending {
            runtime::Ending::Finished => Ending::Finished,
            runtime::Ending::AlreadyFinished => Ending::AlreadyFinished,
            runtime::Ending::Stopped { epoch, resumable } => {
                Ending::Stopped { at: (resumable && self.is_named).then_some(epoch) }
            }
        };
        let status = self.status_of(self.figures.read(), self.figures.restarts(), JobState::Ended);
        let counts_in_windows = summary.counters.values().any(|count| count.get(Counter::WindowPairsCounted) > 0);
        Ok(JobSummary { ending, status, counts_in_windows })
    }
}

/// The changes that a streaming SELECT writes to `receiver`; a failure of the job is the last item.
pub fn changes_of(receiver: mpsc::Receiver<Changes>, job: JobHandle) -> BoxStream<'static, Result<Changes>> {
    let changes = futures::stream::unfold(Some((receiver, job)), |state| async move {
        let (mut receiver, job) = state?;
        if let Some(rows) = receiver.recv().await {
            return Some((Ok(rows), Some((receiver, job))));
        }
        match job.wait().await {
            Ok(_) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    changes.boxed()
}
