//! A barrier that stands behind rows passes while a large window is on its way out: rows come in between two steps of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use async_trait::async_trait;
use beadline::connectors::{
    Committable, Committer, Delivery, History, SinkContext, SinkFactory, SinkMode, SinkWriter, World,
};
use beadline::error::Result;
use beadline::session::{Handle, Outcome, Session};
use beadline::storage::FakeStore;
use beadline::stream::{Changes, Epoch};
use futures::future::BoxFuture;
use tokio::sync::Notify;

use crate::simulated::{runtime, soon, world};

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

#[test]
fn a_barrier_behind_rows_passes_inside_a_fire() {
    let store = FakeStore::new();
    runtime().block_on(soon(async {
        let mut session = Session::in_world(world(&store, false)).with_seed(1);
        for (key, value) in [
            ("pipeline.name", "fire"),
            ("execution.checkpointing.dir", "/checkpoints"),
            ("execution.checkpointing.interval", "1 h"),
            ("parallelism.default", "1"),
        ] {
            session.settings_mut().set(key, value).unwrap();
        }
        let declaration = "CREATE TABLE keys (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)";
        let input = session.input(declaration, 200).unwrap();
        let rows = Rows::default();
        let sink = Handle::Given { source: None, sink: Some(Arc::new(rows.clone())) };
        session.add_table("CREATE TABLE counts (k BIGINT, n BIGINT)", sink).unwrap();
        let query = "INSERT INTO counts SELECT k, COUNT(*) FROM TUMBLE(TABLE keys, DESCRIPTOR(ts), INTERVAL '1' HOUR) \
                     GROUP BY k, window_start, window_end";
        let Outcome::Job(job) = session.sql(query).await.unwrap() else { panic!("an INSERT is a job") };
        for number in 0..WINDOW_BATCHES {
            input.push(batch(number, 0)).await.unwrap();
        }
        for number in 0..NEXT_BATCHES {
            input.push(batch(number, 2 * HOUR_MS)).await.unwrap();
        }
        rows.first.notified().await;
        let epoch = job.checkpoint().await.unwrap();
        let before = rows.state.lock().unwrap().1[&epoch];
        assert!(before < WINDOW_BATCHES * BATCH_ROWS, "the barrier came behind the whole window");
        input.finish();
        job.wait().await.unwrap();
        assert_eq!(rows.state.lock().unwrap().0, (WINDOW_BATCHES + NEXT_BATCHES) * BATCH_ROWS);
    }));
}
