//! Batch queries and INSERTs as jobs of the façade: figures, a way to stop, an end. They have no checkpoints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::outcome::{Ending, JobHandle, JobState, JobStatus, JobSummary, RunningJob};
use super::row_stream::{RowShape, RowStream};
use crate::batch::{self, BatchInsert, BatchOptions, Tally};
use crate::connectors::{JobIdentity, World};
use crate::error::{Error, Result};
use crate::plan::{Arrangement, LogicalQuery};
use crate::runtime::{RestartFigures, TakenCheckpoint};
use crate::stream::{Clock, Epoch, MemoryPool};

/// A batch that runs.
struct BatchJob {
    name: String,
    tally: Arc<Tally>,
    stop: Arc<watch::Sender<bool>>,
    /// The end, for everyone who waits: false if it was stopped. A SELECT ends when its rows have been read.
    end: Option<Shared<BoxFuture<'static, Result<bool>>>>,
    clock: Arc<dyn Clock>,
    started: Duration,
}

/// A SELECT: it runs as its rows are read.
pub async fn select(
    query: LogicalQuery,
    wants_changes: bool,
    world: &World,
    options: BatchOptions,
) -> Result<RowStream> {
    batch::check([&query], world)?;
    let job = BatchJob::new(String::new(), world);
    let (schema, rows): (SchemaRef, _) = batch::run(query, world, options, &job.tally).await?;
    let mut asked = job.stop.subscribe();
    let stopped = async move {
        if asked.wait_for(|is_asked| *is_asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let rows = rows.take_until(stopped.boxed()).boxed();
    let shape = RowShape {
        keys: Vec::new(),
        all: Arc::clone(&schema),
        arrangement: Arrangement::none(schema.fields().len()),
        shown: schema,
        is_updating: false,
        wants_changes,
        is_bounded: true,
        is_live: false,
        keeps_late: false,
    };
    RowStream::new(shape, rows, Arc::new(job), &MemoryPool::new(None))
}

/// INSERTs, started on the tokio runtime of the caller; what lineages with the digits `former` have left goes first.
pub fn insert(
    inserts: Vec<BatchInsert>,
    identity: JobIdentity,
    former: Option<String>,
    world: &World,
    options: BatchOptions,
) -> Result<JobHandle> {
    batch::check_inserts(&inserts, world)?;
    let mut job = BatchJob::new(identity.job.clone(), world);
    let (world, tally, stop) = (world.clone(), Arc::clone(&job.tally), job.stop.subscribe());
    let running = tokio::spawn(async move {
        if let Some(former) = former {
            batch::clear(&inserts, &former, &world).await?;
        }
        batch::insert(inserts, &identity, &world, options, &tally, stop).await
    });
    let end =
        async move { running.await.unwrap_or_else(|error| Err(Error::bug(format!("the batch job failed: {error}")))) };
    job.end = Some(end.boxed().shared());
    Ok(Arc::new(job))
}

impl BatchJob {
    fn new(name: String, world: &World) -> Self {
        let clock = Arc::clone(&world.clock);
        let started = clock.elapsed();
        Self { name, tally: Arc::default(), stop: Arc::new(watch::Sender::new(false)), end: None, clock, started }
    }

    fn status_as(&self, state: JobState) -> JobStatus {
        JobStatus {
            state,
            rows_in: self.tally.rows_in(),
            rows_out: self.tally.rows_out(),
            late: 0,
            future: 0,
            partially_late: 0,
            skipped: self.tally.skipped(),
            bytes_in: self.tally.bytes_in(),
            bytes_total: self.tally.bytes_total(),
            watermark: None,
            held_by: None,
            state_bytes: 0,
            checkpoints: 0,
            pause_max: Duration::ZERO,
            restarts: RestartFigures::default(),
            elapsed: self.clock.elapsed().saturating_sub(self.started),
        }
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }
}

#[async_trait]
impl RunningJob for BatchJob {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_awaited(&self) -> bool {
        true
    }

    fn status(&self) -> JobStatus {
        let has_ended = self.end.as_ref().is_some_and(|end| end.peek().is_some());
        self.status_as(match () {
            () if has_ended => JobState::Ended,
            () if self.is_stopping() => JobState::Stopping,
            () => JobState::Running,
        })
    }

    async fn stop(&self) -> Result<()> {
        self.stop.send_replace(true);
        Ok(())
    }

    async fn savepoint(&self, _: Option<PathBuf>) -> Result<TakenCheckpoint> {
        Err(Error::query("a batch has no savepoints"))
    }

    async fn stop_with_savepoint(&self, _: Option<PathBuf>) -> Result<TakenCheckpoint> {
        Err(Error::query("a batch has no savepoints").with_help("end it without a savepoint: STOP JOB"))
    }

    async fn drain_with_savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.stop_with_savepoint(target).await
    }

    async fn checkpoint(&self) -> Result<Epoch> {
        Err(Error::query("a batch has no checkpoints"))
    }

    async fn wait(&self) -> Result<JobSummary> {
        let is_complete = match &self.end {
            Some(end) => end.clone().await?,
            None => !self.is_stopping(),
        };
        let ending = if is_complete { Ending::Finished } else { Ending::Stopped { at: None } };
        Ok(JobSummary { ending, status: self.status_as(JobState::Ended), counts_in_windows: false })
    }
}
