//! A barrier that stands behind rows passes while a large window is on its way out: rows come in between two steps of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use async_trait::async_trait;
use beadline::connectors::memory::Pusher;
use beadline::connectors::{
    Committable, Committer, Delivery, History, SinkContext, SinkFactory, SinkMode, SinkWriter, World,
};
use beadline::error::Result;
use beadline::session::{Handle, JobHandle, Outcome, Session};
use beadline::storage::FakeStore;
use beadline::stream::{Changes, Epoch};
use futures::future::BoxFuture;
use tokio::sync::Notify;

use crate::simulated::{let_time_pass, published, runtime, soon, world};

const BATCH_ROWS: i64 = 8192;
/// Several times what leaves in one step.
const WINDOW_BATCHES: i64 = 24;
/// Of the next window, in front of the barrier: more than there are steps.
const NEXT_BATCHES: i64 = 40;
const HOUR_MS: i64 = 3_600_000;

/// How many rows have come, at each barrier and by now.
#[derive(Debug, Clone, Default)]
struct Rows {
    state: Arc<Mutex<(i64, BTreeMap<Epoch, i64>)>>,
    first: Arc<Notify>,
}

impl SinkFactory for Rows {
    fn mode(&self) -> SinkMode {
        SinkMode::Append
    }

    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn writer(&self, _: usize, _: &SinkContext, _: &World) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(self.clone()))
    }

    fn committer(&self, _: &SinkContext, _: &World) -> Result<Box<dyn Committer>> {
        Ok(Box::new(self.clone()))
    }

    fn remove_published(&self, _: &str, _: &World) -> Result<usize> {
        Ok(0)
    }
}

#[async_trait]
impl SinkWriter for Rows {
    async fn write(&mut self, rows: &Changes) -> Result<()> {
        self.state.lock().unwrap().0 += rows.len() as i64;
        self.first.notify_one();
        Ok(())
    }

    fn prepare(&mut self, epoch: Epoch) -> BoxFuture<'static, Result<Option<Committable>>> {
        let mut state = self.state.lock().unwrap();
        let rows = state.0;
        state.1.insert(epoch, rows);
        Box::pin(std::future::ready(Ok(None)))
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Committer for Rows {
    async fn recover(&mut self, _: &History, _: &[Committable]) -> Result<()> {
        Ok(())
    }

    async fn commit(&mut self, _: Epoch, _: &[Committable]) -> Result<()> {
        Ok(())
    }
}

fn batch(number: i64, ts: i64) -> RecordBatch {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(number * BATCH_ROWS..(number + 1) * BATCH_ROWS));
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from_value(ts, BATCH_ROWS as usize));
    RecordBatch::try_from_iter_with_nullable([("k", keys, true), ("ts", times, true)]).unwrap()
}

/// Three key groups for two tasks: one has half as much to do as the other.
const UNEVEN: (&str, &str) = ("pipeline.max-parallelism", "3");

fn session(store: &FakeStore, settings: &[(&str, &str)]) -> Session {
    let mut session = Session::in_world(world(store, false)).with_seed(1);
    let common = [
        ("pipeline.name", "fire"),
        ("execution.checkpointing.dir", "/checkpoints"),
        ("execution.checkpointing.interval", "1 h"),
    ];
    for (key, value) in common.iter().chain(settings) {
        session.settings_mut().set(key, value).unwrap();
    }
    session
}

fn input(session: &mut Session) -> Pusher {
    let declaration = "CREATE TABLE keys (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)";
    session.input(declaration, 200).unwrap()
}

async fn push(input: &Pusher, next_batches: i64) {
    for number in 0..WINDOW_BATCHES {
        input.push(batch(number, 0)).await.unwrap();
    }
    for number in 0..next_batches {
        input.push(batch(number, 2 * HOUR_MS)).await.unwrap();
    }
}

async fn begin(session: &mut Session) -> JobHandle {
    let query = "INSERT INTO counts SELECT k, COUNT(*) FROM TUMBLE(TABLE keys, DESCRIPTOR(ts), INTERVAL '1' HOUR) \
                 GROUP BY k, window_start, window_end";
    match session.sql(query).await.unwrap() {
        Outcome::Job(job) => job,
        _ => panic!("an INSERT is a job"),
    }
}

#[test]
fn a_barrier_behind_rows_passes_inside_a_fire() {
    let even = &[("parallelism.default", "1")][..];
    for (settings, next_batches) in [(even, NEXT_BATCHES), (&[("parallelism.default", "2"), UNEVEN], 1)] {
        let store = FakeStore::new();
        runtime().block_on(soon(async {
            let mut session = session(&store, settings);
            let input = input(&mut session);
            let rows = Rows::default();
            let sink = Handle::Given { source: None, sink: Some(Arc::new(rows.clone())) };
            session.add_table("CREATE TABLE counts (k BIGINT, n BIGINT)", sink).unwrap();
            let job = begin(&mut session).await;
            push(&input, next_batches).await;
            rows.first.notified().await;
            let mut inside = 0;
            loop {
                let epoch = job.checkpoint().await.unwrap();
                if rows.state.lock().unwrap().1[&epoch] >= WINDOW_BATCHES * BATCH_ROWS {
                    break;
                }
                inside += 1;
            }
            assert!(inside > 0, "the barrier came behind the whole window: {settings:?}");
            input.finish();
            job.wait().await.unwrap();
            assert_eq!(rows.state.lock().unwrap().0, (WINDOW_BATCHES + next_batches) * BATCH_ROWS);
        }));
    }
}

/// Killed when some tasks are through with a window and others are not.
#[test]
fn a_kill_inside_a_fire_loses_and_doubles_nothing() {
    let table = "CREATE TABLE counts (k BIGINT, n BIGINT) \
                 WITH ('connector' = 'filesystem', 'path' = '/out/counts', 'format' = 'csv')";
    let settings = |parallelism| [("parallelism.default", parallelism), UNEVEN];
    for (checkpoints, then) in [(1, "2"), (3, "3"), (6, "1")] {
        let store = FakeStore::new();
        runtime().block_on(soon(async {
            let mut session = session(&store, &settings("2"));
            let input = input(&mut session);
            session.sql(table).await.unwrap();
            let job = begin(&mut session).await;
            push(&input, 1).await;
            while job.status().rows_out == 0 {
                let_time_pass().await;
            }
            for _ in 0..checkpoints {
                job.checkpoint().await.unwrap();
            }
        }));
        store.restart();
        runtime().block_on(soon(async {
            let mut session = session(&store, &settings(then));
            let input = input(&mut session);
            session.sql(table).await.unwrap();
            let job = begin(&mut session).await;
            // Those that the checkpoint has counted are skipped.
            push(&input, 1).await;
            input.finish();
            job.wait().await.unwrap();
        }));
        let mut keys: Vec<String> = published(&store).remove("counts").unwrap();
        keys.sort_unstable();
        let numbers = [WINDOW_BATCHES, 1].map(|batches| 0..batches * BATCH_ROWS);
        let mut expected: Vec<String> = numbers.into_iter().flatten().map(|key| format!("{key},1")).collect();
        expected.sort_unstable();
        assert!(keys == expected, "{} rows of {}", keys.len(), expected.len());
    }
}
