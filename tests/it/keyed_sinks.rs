//! A sink with a primary key in several tasks: all changes of one key come to one of them, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use beadline::connectors::memory::MemorySource;
use beadline::connectors::{
    Committable, Committer, Delivery, History, SinkContext, SinkFactory, SinkMode, SinkWriter, World,
};
use beadline::error::Result;
use beadline::session::{Handle, Outcome, Session};
use beadline::storage::FakeStore;
use beadline::stream::{ChangeKind, Changes, Epoch};
use futures::future::{BoxFuture, ready};

use crate::simulated::{runtime, soon, world};

/// One change: what happened to which row.
type Change = (ChangeKind, String, String, i64);

/// Remembers what each of its tasks was given, in order.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<BTreeMap<usize, Vec<Change>>>>);

struct Recording {
    task: usize,
    recorder: Recorder,
}

struct NothingToCommit;

impl SinkFactory for Recorder {
    fn mode(&self) -> SinkMode {
        SinkMode::Retract
    }

    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn writer(&self, task: usize, _: &SinkContext, _: &World) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Recording { task, recorder: self.clone() }))
    }

    fn committer(&self, _: &SinkContext, _: &World) -> Result<Box<dyn Committer>> {
        Ok(Box::new(NothingToCommit))
    }

    fn remove_published(&self, _: &str, _: &World) -> Result<usize> {
        Ok(0)
    }
}

#[async_trait]
impl SinkWriter for Recording {
    async fn write(&mut self, rows: &Changes) -> Result<()> {
        let text = |column: usize, row: usize| rows.column(column).as_string::<i32>().value(row).to_owned();
        let counts = rows.column(2).as_primitive::<Int64Type>().values();
        let changes = counts.iter().enumerate().map(|(row, n)| (rows.kind(row), text(0, row), text(1, row), *n));
        let mut recorded = self.recorder.0.lock().expect("nobody fails while recording");
        recorded.entry(self.task).or_default().extend(changes);
        Ok(())
    }

    fn prepare(&mut self, _: Epoch) -> BoxFuture<'static, Result<Option<Committable>>> {
        Box::pin(ready(Ok(None)))
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Committer for NothingToCommit {
    async fn recover(&mut self, _: &History, _: &[Committable]) -> Result<()> {
        Ok(())
    }

    async fn commit(&mut self, _: Epoch, _: &[Committable]) -> Result<()> {
        Ok(())
    }
}

/// What the tasks of a sink with the primary key `k` are given of counts by `k` and `j`.
fn counts(seed: u64, shuffle: &str) -> BTreeMap<usize, Vec<Change>> {
    let name = |letter: char, number: i64| format!("{letter}{number}");
    let batches = (0..120).map(|batch| {
        let numbers: Vec<i64> = (0..10).map(|row| batch * 10 + row).collect();
        let columns: [(&str, ArrayRef); 2] = [
            ("k", Arc::new(StringArray::from_iter_values(numbers.iter().map(|number| name('k', number * 7 % 20))))),
            ("j", Arc::new(StringArray::from_iter_values(numbers.iter().map(|number| name('j', number * 5 % 7))))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
    });
    let batches: Vec<RecordBatch> = batches.collect();
    let source = MemorySource::bounded(batches[0].schema(), vec![batches]).expect("batches of one schema");
    let recorder = Recorder::default();
    let mut session = Session::in_world(world(&FakeStore::new(), false)).with_seed(seed);
    session
        .add_table(
            "CREATE TABLE given (k STRING, j STRING)",
            Handle::Given { source: Some(Arc::new(source)), sink: None },
        )
        .expect("a table");
    session
        .add_table(
            "CREATE TABLE totals (k STRING, j STRING, n BIGINT, PRIMARY KEY (k) NOT ENFORCED)",
            Handle::Given { source: None, sink: Some(Arc::new(recorder.clone())) },
        )
        .expect("a table");
    let script = format!(
        "SET 'parallelism.default' = '4'; SET 'table.exec.sink.keyed-shuffle' = '{shuffle}';
         SET 'table.exec.sink.upsert-materialize' = 'NONE';
         INSERT INTO totals SELECT k, j, COUNT(*) FROM given GROUP BY k, j"
    );
    runtime().block_on(soon(async {
        let Outcome::Job(job) = session.sql(&script).await.expect("a job") else { panic!("an INSERT is a job") };
        job.wait().await.expect("it ends well");
    }));
    let recorded = recorder.0.lock().expect("nobody failed while recording");
    recorded.clone()
}

/// Each change of a row follows from the one before it.
fn assert_in_order(changes: &[Change]) {
    let mut now = BTreeMap::<(&str, &str), i64>::new();
    for (kind, k, j, n) in changes {
        let row = (k.as_str(), j.as_str());
        match kind {
            ChangeKind::Insert | ChangeKind::UpdateAfter => assert_eq!(now.insert(row, *n), None, "{row:?} is there"),
            ChangeKind::UpdateBefore | ChangeKind::Delete => assert_eq!(now.remove(&row), Some(*n), "{row:?}"),
        }
    }
}

#[test]
fn changes_of_one_primary_key_come_to_one_task_in_order() {
    for seed in 0..8 {
        for shuffle in ["AUTO", "FORCE"] {
            let recorded = counts(seed, shuffle);
            assert!(recorded.len() > 1, "several tasks write");
            let mut tasks = BTreeMap::<&str, BTreeSet<usize>>::new();
            for (task, changes) in &recorded {
                assert_in_order(changes);
                assert!(changes.iter().any(|(kind, ..)| *kind == ChangeKind::UpdateBefore), "rows change");
                changes.iter().for_each(|(_, k, ..)| {
                    tasks.entry(k).or_default().insert(*task);
                });
            }
            assert_eq!(tasks.len(), 20);
            assert!(tasks.values().all(|tasks| tasks.len() == 1), "seed {seed}, {shuffle}: {tasks:?}");
        }
    }
}

/// Whoever says that it is not needed gets rows from where they are counted.
#[test]
fn without_the_exchange_a_primary_key_comes_to_several_tasks() {
    let recorded = counts(1, "NONE");
    let keys = recorded.values().map(|changes| changes.iter().map(|(_, k, ..)| k.as_str()).collect::<BTreeSet<_>>());
    assert!(keys.map(|keys| keys.len()).sum::<usize>() > 20, "{recorded:?}");
    recorded.values().for_each(|changes| assert_in_order(changes));
}
