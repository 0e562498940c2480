//! That the contracts carry what comes: an operator with timers in processing time and rows of state that go, a sink
//! whose commits are slow and fail, and windows over splits that interleave at random. One answer every time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use beadline::checkpoint::CheckpointMode;
use beadline::connectors::memory::{MemorySink, MemorySource, Unreliable};
use beadline::connectors::{
    Polled, Position, SinkMode, Source, SourceContext, SourceFactory, Split, SplitId, SplitReader,
};
use beadline::error::{Error, Result};
use beadline::expressions::Scalar;
use beadline::formats::Decoder;
use beadline::operators::{BuildContext, Context, Operator, OperatorSpec, Progress};
use beadline::plan::{
    ChangelogMode, Edge, Exchange, Node, NodeKind, OnError, Output, Parallelism, SinkNode, SourceNode, StreamPlan,
    plan_inserts,
};
use beadline::runtime::{Ending, JobConfig, JobSummary, RestartStrategy, Retention, Yields};
use beadline::session::{Handle, Session, Statement};
use beadline::state::{KeyedTable, SlotColumns, StateTable};
use beadline::storage::FakeStore;
use beadline::stream::{Changes, Counter, EventTime, MemoryPool, ProcTime};
use proptest::prelude::*;

use crate::simulated::{runtime, soon, world};
use crate::support::{full, plan_settings};

pub fn config(seed: u64) -> JobConfig {
    JobConfig {
        job: "contract".to_owned(),
        script: None,
        is_name_chosen: true,
        directory: Some(PathBuf::from("/checkpoints")),
        in_memory: None,
        begin_from: None,
        claims: false,
        ignore_unclaimed_state: false,
        fresh: false,
        new_lineage: format!("{seed:032x}"),
        ephemeral_lineages: "e".repeat(16),
        parallelism: 1 + seed as usize % 4,
        max_parallelism: 128,
        batch_rows: 1 + seed as usize % 7,
        channel_bytes: 1 << 12,
        checkpoint_interval: None,
        checkpoint_every_rows: None,
        checkpoint_min_pause: Duration::ZERO,
        checkpoint_timeout: Duration::from_secs(600),
        checkpoint_mode: CheckpointMode::ExactlyOnce,
        max_concurrent_checkpoints: 1,
        tolerable_failures: 0,
        retained: 2,
        retention: Retention::Kept,
        max_pending_epochs: 3,
        restart: RestartStrategy::FixedDelay { attempts: 50, delay: Duration::from_millis(20) },
        memory: MemoryPool::new(None),
        stop_timeout: Duration::from_secs(60),
        yields: Yields::seeded(seed),
    }
}

/// Runs a plan to its end, or for `time` and then leaves it as a kill would (`None`).
fn run(
    plan: &StreamPlan,
    config: JobConfig,
    store: &FakeStore,
    is_slow: bool,
    time: Option<Duration>,
) -> Option<Result<JobSummary>> {
    let ended = runtime().block_on(soon(async {
        let job = beadline::runtime::start(plan.clone(), config, world(store, is_slow), Arc::new(|_| {}));
        match time {
            None => Some(job.wait().await),
            Some(time) => tokio::time::timeout(time, job.wait()).await.ok(),
        }
    }));
    store.restart();
    ended
}

// ------------------------------------------------------------- timers, deleted state, commits that fail

/// How long a row is kept back.
const DELAY: Duration = Duration::from_millis(90);
/// Between two rows of the source.
const PACE: Duration = Duration::from_millis(10);

pub fn ids() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]))
}

/// The numbers below `rows`, one at a time.
#[derive(Debug, Clone)]
struct Paced {
    rows: i64,
}

impl SourceFactory for Paced {
    fn is_bounded(&self) -> bool {
        true
    }

    fn open(&self, _: &SourceContext) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Source for Paced {
    async fn discover(&self, _known: &BTreeSet<SplitId>) -> Result<Vec<Split>> {
        Ok(vec![Split { id: SplitId("all".to_owned()), start: Position(0.into()), bytes: None }])
    }

    async fn open(&self, _: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>> {
        let next = from.0.as_i64().ok_or_else(|| Error::bug("not a number"))?;
        Ok(Box::new(PacedReader { next, rows: self.rows }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        None
    }
}

struct PacedReader {
    next: i64,
    rows: i64,
}

#[async_trait]
impl SplitReader for PacedReader {
    async fn next(&mut self) -> Result<Polled> {
        if self.next == self.rows {
            return Ok(Polled::End);
        }
        let _ = tokio::time::timeout(PACE, pending::<()>()).await;
        let batch = RecordBatch::try_new(ids(), vec![Arc::new(Int64Array::from(vec![self.next]))])?;
        self.next += 1;
        Ok(Polled::Rows(Changes::inserts(batch), Position(self.next.into())))
    }
}

/// Keeps each row back for [`DELAY`], or until the input ends.
#[derive(Debug)]
struct KeepBackSpec;

struct KeepBack {
    table: KeyedTable<Due>,
    watermark: EventTime,
}

/// By slot: when the row goes; 0 in a slot without a row.
#[derive(Debug, Default)]
struct Due(Vec<i64>);

impl fmt::Display for KeepBackSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeepBack(for=[90 ms])")
    }
}

impl OperatorSpec for KeepBackSpec {
    fn name(&self) -> &'static str {
        "KeepBack"
    }

    fn signature(&self) -> String {
        "KeepBack".to_owned()
    }

    fn output(&self) -> SchemaRef {
        ids()
    }

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
        let due = Field::new("due", DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![ids().field(0).clone(), due]));
        Ok(Box::new(KeepBack {
            table: KeyedTable::new("kept", schema, 1, 1, Due::default())?,
            watermark: EventTime::NONE,
        }))
    }
}

impl KeepBack {
    fn release(&mut self, until: i64, cx: &mut Context) -> Result<()> {
        let due = self.table.table().columns.0.iter().enumerate();
        let due: Vec<u32> = due.filter(|(_, due)| **due > 0 && **due <= until).map(|(slot, _)| slot as u32).collect();
        if due.is_empty() {
            return Ok(());
        }
        let rows = RecordBatch::try_new(ids(), self.table.table().index.gather(&due)?)?;
        cx.emit(Changes::inserts(rows));
        self.table.remove(&due);
        Ok(())
    }
}

impl Operator for KeepBack {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let mut slots = Vec::new();
        self.table.assign(rows.batch().columns(), rows.len(), &mut slots)?;
        let due = Int64Array::from_value(cx.now.after(DELAY).0, rows.len());
        self.table.merge(&slots, &[Arc::new(due)])?;
        self.table.touch(&slots);
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, _: &mut Context) -> Result<Progress> {
        self.watermark = time;
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn on_tick(&mut self, cx: &mut Context) -> Result<Progress> {
        self.release(cx.now.0, cx)?;
        Ok(Progress::Done)
    }

    fn next_tick(&self) -> Option<ProcTime> {
        self.table.table().columns.0.iter().copied().filter(|due| *due > 0).min().map(ProcTime)
    }

    fn on_end(&mut self, _: usize, cx: &mut Context) -> Result<Progress> {
        self.release(i64::MAX, cx)?;
        Ok(Progress::Done)
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        vec![&mut self.table]
    }
}

impl SlotColumns for Due {
    fn fields(&self) -> Vec<Field> {
        vec![Field::new("due", DataType::Int64, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.0.resize(slots, 0);
    }

    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.merge(slots, columns)
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        for (slot, due) in slots.iter().zip(columns[0].as_primitive::<Int64Type>().values()) {
            self.0[*slot as usize] = *due;
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let due = slots.iter().map(|slot| self.0[*slot as usize]);
        Ok(vec![Arc::new(Int64Array::from_iter_values(due))])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(Int64Array::from(std::mem::take(&mut self.0)))])
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.0[*slot as usize] = 0);
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}

/// Source, the operator by key, sink.
pub fn kept_back(rows: i64, sink: &MemorySink) -> StreamPlan {
    let edge = |from, exchange| Edge { from, output: Output::Main, exchange, port: 0 };
    let source = SourceNode {
        table: "paced".to_owned(),
        signature: "paced".to_owned(),
        factory: Arc::new(Paced { rows }),
        projection: vec![0],
        primary_key: Vec::new(),
        columns: vec![Scalar::column(&ids(), 0)],
        watermark: None,
        carry_watermark: false,
        carry_proctime: false,
        clock_windows: Vec::new(),
        on_error: OnError::Fail,
        idle_timeout_ms: 0,
        alignment: None,
        future_guard: None,
    };
    let sink = SinkNode {
        table: "visible".to_owned(),
        signature: "visible".to_owned(),
        query: String::new(),
        factory: Arc::new(sink.clone()),
        not_null: Vec::new(),
        drop_nulls: false,
        primary_key: Vec::new(),
        is_late: false,
    };
    let node = |name: &str, kind, inputs, parallelism| Node {
        name: name.to_owned(),
        kind,
        inputs,
        parallelism,
        schema: ids(),
        mode: ChangelogMode::APPEND,
        keys: Vec::new(),
    };
    StreamPlan {
        nodes: vec![
            node("source-0", NodeKind::Source(source), Vec::new(), Parallelism::One),
            node(
                "chain-1",
                NodeKind::Chain(vec![Arc::new(KeepBackSpec)]),
                vec![edge(0, Exchange::Hash(vec![0]))],
                Parallelism::Default,
            ),
            node("sink-2", NodeKind::Sink(sink), vec![edge(1, Exchange::Forward)], Parallelism::Default),
        ],
    }
}

pub fn visible(sink: &MemorySink) -> Vec<i64> {
    let rows = sink.rows();
    let mut ids: Vec<i64> =
        rows.iter().flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn every_row_is_visible_once_whatever_commits_and_processes_do() {
    const ROWS: i64 = 120;
    let (mut failures, mut kills, mut before_the_end) = (0, 0, 0);
    for seed in 0..if full() { 200 } else { 12 } {
        let store = FakeStore::new();
        let unreliable = Unreliable { seed, failures_in_100: 60, delay: Duration::from_millis(25) };
        let sink = MemorySink::new(SinkMode::Append).unreliable(unreliable);
        let plan = kept_back(ROWS, &sink);
        let mut starts = 0;
        loop {
            let config = JobConfig {
                checkpoint_interval: Some(Duration::from_millis(60)),
                parallelism: 1 + (seed + starts) as usize % 3,
                ..config(seed + 100 * starts)
            };
            let time = (starts < 3).then(|| Duration::from_millis(250 + 77 * (seed % 5)));
            starts += 1;
            match run(&plan, config, &store, seed % 2 == 1, time) {
                Some(ended) => {
                    assert_eq!(ended.expect("it ends well").ending, Ending::Finished, "seed {seed}");
                    break;
                }
                None => {
                    kills += 1;
                    let seen = visible(&sink);
                    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "seed {seed}: rows came twice");
                    before_the_end += seen.len();
                }
            }
        }
        assert_eq!(visible(&sink), (0..ROWS).collect::<Vec<_>>(), "seed {seed}");
        failures += sink.attempts() as usize - sink.epochs().len().min(sink.attempts() as usize);
    }
    assert!(failures > 20 && kills > 20 && before_the_end > 100, "{failures} failures, {kills} kills");
}

#[test]
fn a_stop_that_takes_too_long_says_what_the_next_start_finds() {
    let store = FakeStore::new();
    let hour = Duration::from_secs(3600);
    let sink = MemorySink::new(SinkMode::Append);
    let slow = sink.clone().unreliable(Unreliable { seed: 1, failures_in_100: 0, delay: hour });
    let config = JobConfig { checkpoint_interval: Some(Duration::from_millis(60)), ..config(2) };
    let error = runtime().block_on(soon(async {
        let plan = kept_back(120, &slow);
        let job = beadline::runtime::start(plan, config.clone(), world(&store, false), Arc::new(|_| {}));
        let _ = tokio::time::timeout(Duration::from_millis(500), pending::<()>()).await;
        job.stop().await;
        tokio::time::timeout(Duration::from_secs(61), job.wait()).await.expect("the stop is given up after a minute")
    }));
    let error = error.expect_err("its commits take an hour");
    assert_eq!(error.id(), Some("BL-LIM-STOP-TIMEOUT"), "{error}");
    assert!(error.to_string().contains("complete"), "{error}");
    store.restart();
    let ended = run(&kept_back(120, &sink), config, &store, false, None);
    assert_eq!(ended.expect("it ends").expect("it ends well").ending, Ending::Finished);
    assert_eq!(visible(&sink), (0..120).collect::<Vec<_>>());
}

#[test]
fn a_job_that_fails_on_its_way_to_a_stop_goes_on_stopping() {
    for seed in 0..12 {
        let store = FakeStore::new();
        let unreliable = Unreliable { seed, failures_in_100: 80, delay: Duration::from_millis(25) };
        let sink = MemorySink::new(SinkMode::Append).unreliable(unreliable);
        let config = JobConfig { checkpoint_interval: Some(Duration::from_millis(60)), ..config(seed) };
        let ended = runtime().block_on(soon(async {
            let plan = kept_back(3000, &sink);
            let job = beadline::runtime::start(plan, config, world(&store, seed % 2 == 1), Arc::new(|_| {}));
            let _ = tokio::time::timeout(Duration::from_millis(500), pending::<()>()).await;
            job.stop().await;
            job.wait().await
        }));
        let ending = ended.expect("it ends well").ending;
        assert!(matches!(ending, Ending::Stopped { resumable: true, .. }), "seed {seed}: {ending:?}");
    }
}

#[test]
fn a_stop_does_not_wait_for_a_restart_that_is_an_hour_away() {
    let sink = MemorySink::new(SinkMode::Append);
    let failing = sink.unreliable(Unreliable { seed: 1, failures_in_100: 100, delay: Duration::ZERO });
    let config = JobConfig {
        checkpoint_interval: Some(Duration::from_millis(60)),
        restart: RestartStrategy::FixedDelay { attempts: 2, delay: Duration::from_secs(3600) },
        ..config(1)
    };
    let ended = runtime().block_on(soon(async {
        let plan = kept_back(120, &failing);
        let job = beadline::runtime::start(plan, config, world(&FakeStore::new(), false), Arc::new(|_| {}));
        while job.restarts().next_start.is_none() {
            let _ = tokio::time::timeout(Duration::from_millis(10), pending::<()>()).await;
        }
        job.stop().await;
        tokio::time::timeout(Duration::from_secs(60), job.wait()).await.expect("it does not wait for an hour")
    }));
    // A start commits what the last one left; whether its own stop has rows whose commit fails depends on the seed.
    match ended {
        Ok(summary) => assert!(matches!(summary.ending, Ending::Stopped { resumable: true, .. }), "{summary:?}"),
        Err(error) => assert!(error.is_retryable(), "{error}"),
    }
}

// ------------------------------------------------------------------------- windows over several splits

/// A row: number, key, time in seconds.
type Row = (i64, u8, i64);

/// A window function of the dialect: its call, its size and its slide in seconds.
#[derive(Debug, Clone, Copy)]
struct Windows {
    call: &'static str,
    size: i64,
    slide: i64,
}

const TUMBLE: Windows =
    Windows { call: "TUMBLE(TABLE given, DESCRIPTOR(ts), INTERVAL '10' SECOND)", size: 10, slide: 10 };
const HOP: Windows =
    Windows { call: "HOP(TABLE given, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '12' SECOND)", size: 12, slide: 4 };
/// By how much the watermark lags behind, in seconds.
const LAG: i64 = 5;

/// What a run comes to: counts by key and window start, late rows, and pairs counted, late and partially late.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Answer {
    counts: Vec<(String, i64, i64)>,
    late: Vec<i64>,
    pairs: [u64; 3],
    assigned: u64,
}

/// The naive model: each row looks at what its split has seen before it.
fn model(splits: &[Vec<Row>], windows: Windows) -> Answer {
    let mut counts: BTreeMap<(String, i64), i64> = BTreeMap::new();
    let mut answer = Answer::default();
    for split in splits {
        let mut watermark = i64::MIN;
        for (id, key, time) in split {
            let first = time.div_euclid(windows.slide) * windows.slide;
            let starts = (0..windows.size / windows.slide).map(|back| first - back * windows.slide);
            let (open, closed): (Vec<i64>, Vec<i64>) =
                starts.partition(|start| watermark < (start + windows.size) * 1000 - 1);
            answer.assigned += (open.len() + closed.len()) as u64;
            answer.pairs[0] += open.len() as u64;
            answer.pairs[if open.is_empty() { 1 } else { 2 }] += closed.len() as u64;
            if open.is_empty() {
                answer.late.push(*id);
            }
            for start in open {
                *counts.entry((key.to_string(), start * 1000)).or_default() += 1;
            }
            watermark = watermark.max((time - LAG) * 1000);
        }
    }
    answer.counts = counts.into_iter().map(|((key, start), count)| (key, start, count)).collect();
    answer.late.sort_unstable();
    answer
}

fn batch(rows: &[Row]) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("k", DataType::Utf8, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(id, ..)| *id))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, key, _)| key.to_string()))),
        Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|(.., time)| time * 1000))),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).expect("columns of one length")
}

/// The plan of the window query over these splits, with its two sinks.
fn windowed(splits: &[Vec<Row>], windows: Windows) -> (StreamPlan, MemorySink, MemorySink) {
    let (counts, late) = (MemorySink::new(SinkMode::Append), MemorySink::new(SinkMode::Append));
    let batches = splits.iter().map(|rows| rows.chunks(9).map(batch).collect()).collect();
    let source = MemorySource::bounded(batch(&[]).schema(), batches).expect("batches of one schema");
    let mut session = Session::new();
    let mut add = |declaration: &str, source, sink| {
        session.add_table(declaration, Handle::Given { source, sink }).expect("a table");
    };
    add(
        "CREATE TABLE given (id BIGINT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)",
        Some(Arc::new(source)),
        None,
    );
    add("CREATE TABLE counts (k STRING, starts TIMESTAMP(3), n BIGINT)", None, Some(Arc::new(counts.clone())));
    add("CREATE TABLE late (id BIGINT, k STRING, ts TIMESTAMP(3), reason STRING)", None, Some(Arc::new(late.clone())));
    let insert = format!(
        "INSERT INTO counts SELECT k, window_start, COUNT(*) FROM {} GROUP BY window_start, window_end, k
         LATE RECORDS INTO late",
        windows.call
    );
    let mut statements = session.parse(&insert).expect("a statement");
    let Some(Statement::Insert(insert)) = statements.pop().map(|at| at.statement) else { panic!("an INSERT") };
    let settings = plan_settings(0);
    let planned = plan_inserts(&[*insert], session.catalog(), &settings).expect("a plan");
    (planned.stream, counts, late)
}

fn answer(summary: &JobSummary, counts: &MemorySink, late: &MemorySink) -> Answer {
    let mut answer = Answer::default();
    for rows in counts.rows() {
        for row in 0..rows.len() {
            let text = |column: usize| array_value_to_string(rows.column(column), row).expect("a value");
            let start = rows.column(1).as_primitive::<arrow::datatypes::TimestampMillisecondType>().value(row);
            answer.counts.push((text(0), start, text(2).parse().expect("a count")));
        }
    }
    answer.counts.sort();
    answer.late = visible(late);
    let total = |counter| -> u64 { summary.counters.values().map(|counters| counters.get(counter)).sum() };
    answer.pairs =
        [Counter::WindowPairsCounted, Counter::WindowPairsLate, Counter::WindowPairsPartiallyLate].map(total);
    answer.assigned = total(Counter::WindowPairsAssigned);
    answer
}

/// Rows whose times move on with jumps back, some of them far enough to be late.
fn splits() -> impl Strategy<Value = Vec<Vec<Row>>> {
    let step = (0_u8..5, -20_i64..24);
    let split = prop::collection::vec(step, 0..50).prop_map(|steps| {
        let mut now = 0;
        let rows = steps.into_iter().map(move |(key, step)| {
            now += step.max(0) / 4;
            (key, now + step.min(0))
        });
        rows.collect::<Vec<_>>()
    });
    prop::collection::vec(split, 1..5).prop_map(|splits| {
        let mut id = 0;
        let mut number = |(key, time)| {
            id += 1;
            (id, key, time)
        };
        splits.into_iter().map(|rows| rows.into_iter().map(&mut number).collect()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if full() { 2000 } else { 60 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_agree_with_the_model_in_every_interleaving(splits in splits(), seed in 0_u64..1000, kills in 0_u64..3) {
        for windows in [TUMBLE, HOP] {
            let expected = model(&splits, windows);
            prop_assert_eq!(expected.assigned, expected.pairs.iter().sum::<u64>());
            let (plan, counts, late) = windowed(&splits, windows);
            let store = FakeStore::new();
            // Each start but the last is left after a few turns of its tasks, as a kill would leave it.
            let mut ended = None;
            for start in 0..=kills {
                let config = JobConfig {
                    checkpoint_every_rows: Some(3 + seed % 13),
                    parallelism: 1 + (seed + start) as usize % 3,
                    ..config(seed)
                };
                let turns = (start < kills).then_some(40 + seed % 160);
                ended = run_turns(&plan, config, &store, turns);
                if ended.is_some() {
                    break;
                }
            }
            let summary = ended.expect("the last start is not killed").expect("it ends well");
            prop_assert_eq!(answer(&summary, &counts, &late), expected);
        }
    }
}

/// At least once, no input waits at a barrier. Without a restart that changes nothing; behind one, rows that were read
/// while a barrier was on its way are counted again, and none is lost.
#[test]
fn at_least_once_loses_nothing_and_doubles_only_behind_a_restart() {
    let mut doubled = 0;
    for seed in 0..if full() { 400 } else { 40 } {
        let row = |split: i64, number: i64| (split * 1000 + number, (number % 3) as u8, number + split * 7 % 5);
        let splits: Vec<Vec<Row>> = (0..3).map(|split| (0..60).map(|number| row(split, number)).collect()).collect();
        let expected = model(&splits, TUMBLE);
        for kills in 0_u64..3 {
            let (plan, counts, late) = windowed(&splits, TUMBLE);
            let store = FakeStore::new();
            let config = |start| JobConfig {
                checkpoint_every_rows: Some(3 + seed % 13),
                checkpoint_mode: CheckpointMode::AtLeastOnce,
                max_concurrent_checkpoints: 1 + seed as usize % 3,
                parallelism: 2 + seed as usize % 2,
                ..config(seed + 100 * start)
            };
            let killed =
                (0..kills).any(|start| run_turns(&plan, config(start), &store, Some(60 + 23 * (seed % 20))).is_some());
            if killed {
                continue;
            }
            let summary = run_turns(&plan, config(kills), &store, None).expect("it is not killed");
            let found = answer(&summary.unwrap_or_else(|error| panic!("seed {seed}: {error}")), &counts, &late);
            if kills == 0 {
                assert_eq!(found, expected, "seed {seed}");
                continue;
            }
            for (key, start, count) in &expected.counts {
                let windows = found.counts.iter().filter(|(other, at, _)| (other, at) == (key, start));
                let most = windows.map(|(.., count)| *count).max();
                assert!(most >= Some(*count), "seed {seed}: {key} at {start} has {most:?} of {count} rows");
            }
            assert!(expected.late.iter().all(|id| found.late.contains(id)), "seed {seed}: a late row is lost");
            doubled += usize::from(found != expected);
        }
    }
    assert!(doubled > 3, "no run had anything to repeat: {doubled}");
}

/// Who asks for a checkpoint while another is under way gets one of its own: the barrier of the other may have passed
/// the source before the request.
#[test]
fn a_checkpoint_that_is_asked_for_begins_after_the_request() {
    let sink = MemorySink::new(SinkMode::Append);
    let (first, second, third) = runtime().block_on(soon(async {
        let plan = kept_back(3000, &sink);
        let job = beadline::runtime::start(plan, config(1), world(&FakeStore::new(), true), Arc::new(|_| {}));
        let (first, second) = tokio::join!(job.checkpoint(), job.checkpoint());
        (first.expect("one"), second.expect("another"), job.savepoint(None).await.expect("and one that is kept").epoch)
    }));
    assert!(first < second && second < third, "{first}, {second}, {third}");
}

/// Runs a plan to its end, or for so many turns of its tasks.
pub fn run_turns(
    plan: &StreamPlan,
    config: JobConfig,
    store: &FakeStore,
    turns: Option<u64>,
) -> Option<Result<JobSummary>> {
    let ended = runtime().block_on(soon(async {
        let job = beadline::runtime::start(plan.clone(), config, world(store, false), Arc::new(|_| {}));
        match turns {
            None => Some(job.wait().await),
            Some(turns) => {
                let waited = async {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    biased;
                    ended = job.wait() => Some(ended),
                    () = waited => None,
                }
            }
        }
    }));
    store.restart();
    ended
}
