//! Random queries over random rows, as a stream and in batch mode, against a model that works a row at a time: whatever
//! the query is made of, the tasks, the batches and where it is killed and goes on. And at every barrier what is left of
//! the changes so far is the answer over the rows in front of it, that of batch mode too.
//!
//! Seeds that failed stand in `tests/data/random_queries.txt` and are always run.

mod barrier;
mod grammar;
mod model;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use beadline::connectors::SinkMode;
use beadline::connectors::memory::{MemorySink, MemorySource};
use beadline::error::{Error, Result};
use beadline::session::{Handle, Outcome, Session};
use beadline::storage::{FakeStore, Fault};
use beadline::stream::Epoch;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{FileFailurePersistence, RngSeed};

use crate::simulated::{runtime, soon, world};
use crate::support::full;
use grammar::{COLUMNS, Change, Emit, Query, TIME, Window, query};
use model::{Results, Row, answer};
use value::{Type, Value};

const FAILED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/random_queries.txt");

/// How a query is run.
#[derive(Debug, Clone)]
struct Run {
    seed: u64,
    /// Tasks before and after the kill.
    parallelism: (usize, usize),
    batch_rows: usize,
    /// A barrier behind each so many rows.
    every_rows: usize,
    /// The operation on files at which the process is killed, if it comes to it.
    kill_at: Option<u64>,
    /// Whether GROUP BY waits for more rows before it updates a result.
    mini_batch: bool,
}

fn run() -> impl Strategy<Value = Run> {
    let tasks = (1_usize..4, 1_usize..4);
    let kill_at = prop::option::of(0_u64..60);
    let mini_batch = prop::bool::weighted(0.3);
    (any::<u64>(), tasks, select(vec![1, 2, 7, 8192]), 1_usize..20, kill_at, mini_batch).prop_map(
        |(seed, parallelism, batch_rows, every_rows, kill_at, mini_batch)| Run {
            seed,
            parallelism,
            batch_rows,
            every_rows,
            kill_at,
            mini_batch,
        },
    )
}

/// Rows by split; times wander upwards, with steps back.
fn splits(most: usize) -> impl Strategy<Value = Vec<Vec<Row>>> {
    let of = |values: Vec<Value>| select([values, vec![Value::Null]].concat());
    let text = |texts: &[&str]| texts.iter().map(|text| Value::Text((*text).to_owned())).collect::<Vec<_>>();
    let doubles = |values: &[f64]| values.iter().map(|value| Value::Double(*value)).collect::<Vec<_>>();
    let ints = |values: &[i128]| values.iter().map(|value| Value::Int(*value)).collect::<Vec<_>>();
    let cells = (
        of(text(&["a", "b", "c"])),
        of(ints(&[-3, 0, 1, 2, 200])),
        of(doubles(&[-0.0, 0.0, 1.5, -2.25, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
        of(doubles(&[0.0, 0.25, -1.5, 3.0, 1000.75])),
        of(ints(&[-5, 0, 100, 101, 12_345])),
        of(text(&["", "b", "ö", "ccc"])),
        of(vec![Value::Bool(true), Value::Bool(false)]),
    );
    let cells = cells.prop_map(|(k, i, f, x, d, s, b)| vec![k, i, f, x, d, s, b]);
    let split = prop::collection::vec((-15_i64..15, cells), 0..30);
    prop::collection::vec(split, 1..=most).prop_map(|splits| {
        let mut id = 0..;
        let mut row = |(at, (step, cells)): (usize, (i64, Vec<Value>))| {
            let time = Value::Int(i128::from((at as i64 * 3 + step) * 1000));
            let id = Value::Int(id.next().expect("numbers go on"));
            [vec![id, time], cells].concat()
        };
        splits.into_iter().map(|rows| rows.into_iter().enumerate().map(&mut row).collect()).collect()
    })
}

/// The rows, with times that are instants or not.
fn batch(rows: &[Row], has_instants: bool) -> RecordBatch {
    let column = |at: usize| -> ArrayRef {
        let values = || rows.iter().map(|row| Some(&row[at]).filter(|value| !value.is_null()));
        match COLUMNS[at].1 {
            Type::BigInt => Arc::new(values().map(|value| value.map(|it| it.int() as i64)).collect::<Int64Array>()),
            Type::Int => Arc::new(values().map(|value| value.map(|it| it.int() as i32)).collect::<Int32Array>()),
            Type::Time => {
                let times = values().map(|value| value.map(|it| it.int() as i64));
                let times: TimestampMillisecondArray = times.collect();
                Arc::new(if has_instants { times.with_timezone("UTC") } else { times })
            }
            Type::Double => Arc::new(values().map(|value| value.map(Value::double)).collect::<Float64Array>()),
            Type::Decimal(precision, scale) => {
                let digits: Decimal128Array = values().map(|value| value.map(Value::int)).collect();
                Arc::new(digits.with_precision_and_scale(precision as u8, scale as i8).expect("few digits"))
            }
            Type::Text => Arc::new(values().map(|value| value.map(Value::text)).collect::<StringArray>()),
            Type::Bool => {
                Arc::new(values().map(|value| value.map(|it| *it == Value::Bool(true))).collect::<BooleanArray>())
            }
            Type::Array(_) | Type::Multiset(_) => panic!("no column of the table is made of others"),
        }
    };
    let columns = COLUMNS.iter().enumerate().map(|(at, (name, _))| (*name, column(at), true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn shown(row: &Row) -> String {
    row.iter().map(Value::shown).collect::<Vec<_>>().join(" | ")
}

fn wanted(results: &Results) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    results.rows.iter().for_each(|row| *rows.entry(shown(row)).or_default() += 1);
    rows
}

/// The process: its disk and the sinks outlive it.
struct Place {
    store: FakeStore,
    results: MemorySink,
    late: MemorySink,
}

impl Place {
    fn new() -> Self {
        let sink = || MemorySink::new(SinkMode::Retract);
        Self { store: FakeStore::new(), results: sink(), late: sink() }
    }

    /// Runs the query once, to its end or to where the process is killed; of windows only those that end by then, where a
    /// time is given.
    fn start(
        &self,
        query: &Query,
        splits: &[Vec<Row>],
        run: &Run,
        parallelism: usize,
        is_batch: bool,
        until: Option<i64>,
    ) -> Result<()> {
        let mut session = Session::in_world(world(&self.store, false)).with_seed(run.seed);
        for (key, value) in [
            ("pipeline.name", "random"),
            ("execution.checkpointing.dir", "/checkpoints"),
            ("execution.checkpointing.num-retained", "1000"),
            ("execution.runtime-mode", if is_batch { "batch" } else { "streaming" }),
            ("parallelism.default", &parallelism.to_string()),
            ("beadline.limit.batch-rows", &run.batch_rows.to_string()),
            ("beadline.checkpoint.every-rows", &run.every_rows.to_string()),
        ] {
            session.settings_mut().set(key, value)?;
        }
        if run.mini_batch {
            for (key, value) in [("enabled", "true"), ("allow-latency", "5 s"), ("size", "3")] {
                session.settings_mut().set(&format!("table.exec.mini-batch.{key}"), value)?;
            }
        }
        for (key, value) in query.emit.iter().flat_map(emit_settings) {
            session.settings_mut().set(&format!("table.exec.emit.{key}"), &value)?;
        }
        if let Some(change) = query.change {
            session.settings_mut().set("table.local-time-zone", change.zone)?;
        }
        let has_instants = query.change.is_some();
        let splits: Vec<Vec<RecordBatch>> = splits.iter().map(|rows| vec![batch(rows, has_instants)]).collect();
        let source = MemorySource::bounded(batch(&[], has_instants).schema(), splits)?;
        let declared = |columns: &[(String, Type)]| {
            columns.iter().map(|(name, data_type)| format!("{name} {}", data_type.sql())).collect::<Vec<_>>().join(", ")
        };
        let time = if has_instants { "ts TIMESTAMP_LTZ(3)" } else { "ts TIMESTAMP(3)" };
        let table = format!(
            "CREATE TABLE t ({}, WATERMARK FOR ts AS ts - INTERVAL '{}' SECOND(4))",
            declared(&grammar::table_columns()).replace("ts TIMESTAMP(3)", time),
            query.delay
        );
        let mut add = |declaration: &str, source, sink| session.add_table(declaration, Handle::Given { source, sink });
        add(&table, Some(Arc::new(source)), None)?;
        let results = format!("CREATE TABLE results ({})", declared(&query.columns()));
        add(&results, None, Some(Arc::new(self.results.clone())))?;
        add("CREATE TABLE late (id BIGINT)", None, Some(Arc::new(self.late.clone())))?;
        let late = if query.window == Window::None { "" } else { " LATE RECORDS INTO late" };
        let insert = format!("INSERT INTO results {}{late}", query.text_until(until));
        runtime().block_on(soon(async {
            let Outcome::Job(job) = session.sql(&insert).await? else { panic!("an INSERT is a job") };
            job.wait().await.map(drop)
        }))
    }

    /// The rows that are left of all changes, and the ids of the late rows.
    fn found(&self) -> (BTreeMap<String, i64>, Vec<i128>) {
        self.found_by(Epoch(u64::MAX))
    }

    /// The same as of a barrier.
    fn found_by(&self, epoch: Epoch) -> (BTreeMap<String, i64>, Vec<i128>) {
        let by = |sink: &MemorySink| sink.epochs().into_iter().filter(move |(of, _)| *of <= epoch).flat_map(|of| of.1);
        let mut left = BTreeMap::<String, i64>::new();
        for changes in by(&self.results) {
            for row in 0..changes.len() {
                let values: Row = changes.batch().columns().iter().map(|column| Value::read(column, row)).collect();
                *left.entry(shown(&values)).or_default() += changes.kind(row).sign();
            }
        }
        left.retain(|_, count| *count != 0);
        let ids = by(&self.late)
            .flat_map(|rows| (0..rows.len()).map(|row| Value::read(rows.column(0), row).int()).collect::<Vec<_>>());
        let mut ids: Vec<i128> = ids.collect();
        ids.sort_unstable();
        (left, ids)
    }
}

/// Keys of `table.exec.emit` and their values.
fn emit_settings(emit: &Emit) -> Vec<(&'static str, String)> {
    let ms = |ms: i64| format!("{ms} ms");
    let mut settings = Vec::new();
    if let Some(delay) = emit.early {
        settings.extend([("early-fire.enabled", "true".to_owned()), ("early-fire.delay", ms(delay))]);
    }
    if let Some((delay, lateness)) = emit.late {
        settings.extend([("late-fire.enabled", "true".to_owned()), ("late-fire.delay", ms(delay))]);
        settings.push(("allow-lateness", ms(lateness)));
    }
    settings
}

fn as_stream(query: &Query, splits: &[Vec<Row>], run: &Run) -> Result<Place> {
    let place = Place::new();
    if let Some(operations) = run.kill_at {
        place.store.plant(place.store.operations() + operations, Fault::Crash);
        let ended = place.start(query, splits, run, run.parallelism.0, false, None);
        if !place.store.is_crashed() {
            return ended.map(|()| place);
        }
        place.store.restart();
    }
    place.start(query, splits, run, run.parallelism.1, false, None)?;
    Ok(place)
}

fn in_batch(query: &Query, splits: &[Vec<Row>], run: &Run, until: Option<i64>) -> Result<Place> {
    let place = Place::new();
    place.start(query, splits, run, run.parallelism.0, true, until)?;
    Ok(place)
}

/// A query, its rows, and how it is run.
fn case() -> impl Strategy<Value = (Query, Vec<Vec<Row>>, Run)> {
    query().prop_flat_map(|query| {
        // Which row of two splits comes first is open.
        let most = if query.is_ordered() || matches!(query.window, Window::Session { .. }) { 1 } else { 3 };
        let change = query.change;
        let rows = splits(most).prop_map(move |splits| match change {
            None => splits,
            Some(change) => {
                splits.into_iter().map(|rows| rows.into_iter().map(|row| at(change, row)).collect()).collect()
            }
        });
        (Just(query), rows, run())
    })
}

/// A row with its time as an instant around a change of clocks.
fn at(change: Change, mut row: Row) -> Row {
    row[TIME] = Value::Int(change.instant(row[TIME].int() as i64).into());
    row
}

/// The same seeds every time, but for CI, which tries others.
fn config() -> ProptestConfig {
    let (cases, rng_seed) = if full() { (2000, RngSeed::Random) } else { (200, RngSeed::Fixed(1)) };
    let failure_persistence = Some(Box::new(FileFailurePersistence::Direct(FAILED)) as _);
    ProptestConfig { cases, rng_seed, failure_persistence, max_shrink_iters: 400, ..ProptestConfig::default() }
}

/// Fails where the stream or the batch has other rows than the model.
fn check(query: &Query, splits: &[Vec<Row>], run: &Run) -> std::result::Result<(), TestCaseError> {
    let rows: Vec<Vec<String>> = splits.iter().map(|rows| rows.iter().map(shown).collect()).collect();
    let about = |how: &str| format!("{how}: {}\n{:?}\nover {rows:#?}", query.text(), query.emit);
    let failed = |how: &str, error: Error| TestCaseError::fail(format!("{}\n{error}", about(how)));
    let expected = answer(query, splits, model::Run::Stream { watermark: i64::MAX });
    let place = as_stream(query, splits, run).map_err(|error| failed("as a stream", error))?;
    let (left, late) = place.found();
    prop_assert_eq!(left, wanted(&expected), "{}", about("as a stream"));
    prop_assert_eq!(late, expected.late, "{}", about("late rows"));
    let batch = in_batch(query, splits, run, None).map_err(|error| failed("in batch mode", error))?;
    prop_assert_eq!(batch.found().0, wanted(&answer(query, splits, model::Run::Batch)), "{}", about("in batch mode"));
    barrier::check(query, splits, run, &place, &about)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_queries_are_those_of_the_model((query, splits, run) in case()) {
        check(&query, &splits, &run)?;
    }
}
