//! Rows that nobody keeps but whoever handed them over: once a checkpoint that was asked for behind them is complete, they
//! may be forgotten, and a kill loses none.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use beadline::connectors::{Polled, Position, Source, SourceContext, SourceFactory, Split, SplitId, SplitReader};
use beadline::error::{Error, Result};
use beadline::formats::Decoder;
use beadline::session::{Ending, Handle, JobHandle, Outcome, Session};
use beadline::storage::FakeStore;
use beadline::stream::Changes;
use tokio::sync::watch;

use crate::simulated::{runtime, soon, world};

/// Batches that may wait to be read: more than the channels behind the source take.
const WAITING: usize = 400;
const DECLARATION: &str = "CREATE TABLE given (n BIGINT)";
const SCRIPT: &str = "
CREATE TABLE kept (n BIGINT) WITH ('connector' = 'filesystem', 'path' = '/out/kept', 'format' = 'csv');
INSERT INTO kept SELECT n FROM given WHERE n >= -1;";

fn session(store: &FakeStore, parallelism: usize) -> Session {
    let mut session = Session::in_world(world(store, false)).with_seed(1);
    for (key, value) in [
        ("pipeline.name", "pushed"),
        ("execution.checkpointing.dir", "/checkpoints"),
        ("execution.checkpointing.interval", "1 h"),
        ("parallelism.default", &parallelism.to_string()),
    ] {
        session.settings_mut().set(key, value).expect("a setting");
    }
    session
}

async fn begin(session: &mut Session) -> JobHandle {
    match session.sql(SCRIPT).await.expect("it starts") {
        Outcome::Job(job) => job,
        _ => panic!("an INSERT is a job"),
    }
}

fn numbers(of: impl Iterator<Item = i64>) -> RecordBatch {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(of))]).expect("one column")
}

/// What is public, sorted.
fn kept(store: &FakeStore) -> Vec<i64> {
    let files = store.files();
    let public = files.iter().filter(|(path, _)| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        path.starts_with(Path::new("/out/kept")) && name.is_some_and(|name| !name.starts_with('.'))
    });
    let mut rows: Vec<i64> = public
        .flat_map(|(_, bytes)| {
            String::from_utf8_lossy(bytes).lines().map(|row| row.parse().expect("a number")).collect::<Vec<_>>()
        })
        .collect();
    rows.sort_unstable();
    rows
}

#[test]
fn pushed_rows_are_in_a_checkpoint_that_is_asked_for_behind_them() {
    const ROWS: i64 = 7;
    for (parallelism, sure, unsure) in [(1, 1, 0), (1, 40, 3), (2, 300, 20), (3, 300, 0)] {
        let store = FakeStore::new();
        let batch = |number: i64| numbers(number * ROWS..(number + 1) * ROWS);
        runtime().block_on(soon(async {
            let mut session = session(&store, parallelism);
            let input = session.input(DECLARATION, WAITING).expect("a declaration");
            let job = begin(&mut session).await;
            for number in 0..sure {
                input.push(batch(number)).await.expect("it runs");
            }
            job.checkpoint().await.expect("a checkpoint");
            for number in sure..sure + unsure {
                input.push(batch(number)).await.expect("it runs");
            }
        }));
        store.restart();
        let ending = runtime().block_on(soon(async {
            let mut session = session(&store, parallelism);
            let input = session.input(DECLARATION, WAITING).expect("a declaration");
            let job = begin(&mut session).await;
            // Nobody knows any more what the first ones were.
            for _ in 0..sure {
                input.push(numbers((0..ROWS).map(|_| -1))).await.expect("it runs");
            }
            for number in sure..sure + unsure {
                input.push(batch(number)).await.expect("it runs");
            }
            input.finish();
            job.wait().await.expect("it ends well").ending
        }));
        assert_eq!(ending, Ending::Finished);
        assert_eq!(kept(&store), (0..(sure + unsure) * ROWS).collect::<Vec<_>>(), "{sure} and {unsure}");
    }
}

// --------------------------------------------------------------------- a queue that forgets what it is told to forget

/// Numbers from 0 on: how many have come, and how many of the first of them are forgotten.
#[derive(Debug, Clone)]
struct Queue {
    state: watch::Sender<(i64, i64)>,
}

impl SourceFactory for Queue {
    fn is_bounded(&self) -> bool {
        false
    }

    fn open(&self, _: &SourceContext) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.clone()))
    }
}

fn number_at(position: &Position) -> i64 {
    position.0.as_i64().expect("a number")
}

#[async_trait]
impl Source for Queue {
    async fn discover(&self, _known: &BTreeSet<SplitId>) -> Result<Vec<Split>> {
        Ok(vec![Split { id: SplitId("queue".to_owned()), start: Position(0.into()), bytes: None }])
    }

    async fn open(&self, _: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>> {
        let (next, (_, forgotten)) = (number_at(from), *self.state.borrow());
        if next < forgotten {
            return Err(Error::world(format!("{forgotten} rows are forgotten, and the job has only {next} of them")));
        }
        Ok(Box::new(QueueReader { state: self.state.subscribe(), next }))
    }

    fn arrived(&self, _: &SplitId, position: &Position) -> Option<Position> {
        let (come, _) = *self.state.borrow();
        (number_at(position) < come).then(|| Position(come.into()))
    }

    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        None
    }
}

struct QueueReader {
    state: watch::Receiver<(i64, i64)>,
    next: i64,
}

#[async_trait]
impl SplitReader for QueueReader {
    async fn next(&mut self) -> Result<Polled> {
        let next = self.next;
        self.state.wait_for(|(come, _)| *come > next).await.map_err(|_| Error::bug("the queue is gone"))?;
        self.next += 1;
        Ok(Polled::Rows(Changes::inserts(numbers(next..self.next)), Position(self.next.into())))
    }
}

#[test]
fn what_was_acknowledged_behind_a_checkpoint_need_not_be_handed_over_again() {
    let store = FakeStore::new();
    let queue = Queue { state: watch::Sender::new((0, 0)) };
    let add = |rows: i64| queue.state.send_modify(|(come, _)| *come += rows);
    for parallelism in [1, 2, 3] {
        // All but the last start end as by a kill.
        runtime().block_on(soon(async {
            let mut session = session(&store, parallelism);
            session
                .add_table(DECLARATION, Handle::Given { source: Some(Arc::new(queue.clone())), sink: None })
                .expect("a table");
            let job = begin(&mut session).await;
            for rows in [1, 250] {
                add(rows);
                let (come, _) = *queue.state.borrow();
                job.checkpoint().await.expect("a checkpoint");
                queue.state.send_modify(|(_, forgotten)| *forgotten = come);
                add(30);
            }
            if parallelism == 3 {
                job.stop().await.expect("it stops");
                assert!(matches!(job.wait().await.expect("it ends well").ending, Ending::Stopped { at: Some(_) }));
            }
        }));
        store.restart();
    }
    let (come, _) = *queue.state.borrow();
    assert_eq!(kept(&store), (0..come).collect::<Vec<_>>(), "rows before the stop are in its checkpoint too");
}
