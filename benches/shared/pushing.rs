//! Batches pushed through the library into an INSERT, all of whose changes are read.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, TimestampMillisecondArray};
use arrow::datatypes::TimestampMillisecondType;
use arrow::record_batch::RecordBatch;
use beadline::connectors::SinkMode;
use beadline::connectors::memory::{ChannelSink, Pusher};
use beadline::session::{Handle, JobHandle, JobStatus, Outcome, Session};
use beadline::stream::Changes;
use tokio::task::JoinHandle;

/// Batches that may wait at either end of the job.
const WAITING: usize = 16;

/// One job.
pub struct Pushing<'a> {
    /// The CREATE TABLE of the rows that are pushed.
    pub declaration: &'a str,
    /// The columns of the result.
    pub result: &'a str,
    pub query: &'a str,
    pub settings: &'a [(&'a str, &'a str)],
    /// Where checkpoints are kept, one every second.
    pub checkpoints: Option<&'a Path>,
}

/// A job that reads what is pushed.
pub struct Started<T> {
    pub input: Pusher,
    pub job: JobHandle,
    pub reading: JoinHandle<T>,
}

/// What one run took and what its job says of it.
pub struct Run<T> {
    pub elapsed: Duration,
    pub status: JobStatus,
    /// What has been made of the changes.
    pub read: T,
}

impl Pushing<'_> {
    /// Starts the job; each batch of changes is folded into what `read` has made of those before it.
    pub async fn start<T: Send + Default + 'static>(
        &self,
        mut read: impl FnMut(&mut T, &Changes) + Send + 'static,
    ) -> Started<T> {
        let mut session = Session::new().with_fresh(true);
        let settings = session.settings_mut();
        settings.set("pipeline.name", "bench").expect("a setting");
        for (key, value) in self.settings {
            settings.set(key, value).expect("a setting");
        }
        if let Some(directory) = self.checkpoints {
            settings.set("execution.checkpointing.interval", "1 s").expect("a setting");
            settings.set("execution.checkpointing.dir", &directory.to_string_lossy()).expect("a setting");
        }
        let input = session.input(self.declaration, WAITING).expect("a declaration");
        let (sink, mut rows) = ChannelSink::new(SinkMode::Retract, WAITING);
        let handle = Handle::Given { source: None, sink: Some(Arc::new(sink)) };
        session.add_table(&format!("CREATE TABLE results ({})", self.result), handle).expect("a declaration");
        let insert = format!("INSERT INTO results {}", self.query);
        let outcome = session.sql(&insert).await.unwrap_or_else(|error| panic!("{insert}: {error}"));
        let Outcome::Job(job) = outcome else { panic!("an INSERT is a job") };
        let reading = tokio::spawn(async move {
            let mut result = T::default();
            while let Some(changes) = rows.recv().await {
                read(&mut result, &changes);
            }
            result
        });
        Started { input, job, reading }
    }

    /// Pushes all batches `rounds` times, each round later in event time than the one before, to the end.
    pub async fn run<T: Send + Default + 'static>(
        &self,
        batches: &[RecordBatch],
        rounds: usize,
        read: impl FnMut(&mut T, &Changes) + Send + 'static,
    ) -> Run<T> {
        let Started { input, job, reading } = self.start(read).await;
        let batches = batches.to_vec();
        let started = Instant::now();
        let pushing = tokio::spawn(async move {
            for round in 0..rounds {
                for batch in &batches {
                    input.push(later(batch, round)).await.expect("the job reads");
                }
            }
            input.finish();
        });
        job.wait().await.unwrap_or_else(|error| panic!("{}: {error}", self.query));
        let elapsed = started.elapsed();
        let status = job.status();
        drop(job);
        pushing.await.expect("all was pushed");
        Run { elapsed, status, read: reading.await.expect("all was read") }
    }
}

/// The same rows, `round` hours later; their times are in the column `ts`.
pub fn later(batch: &RecordBatch, round: usize) -> RecordBatch {
    let shift = i64::try_from(round).expect("a small number") * 3_600_000;
    let at = batch.schema().index_of("ts").expect("times");
    let times = batch.column(at).as_primitive::<TimestampMillisecondType>();
    let times: TimestampMillisecondArray = times.unary(|time| time + shift);
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns[at] = Arc::new(times);
    RecordBatch::try_new(batch.schema(), columns).expect("a batch")
}
