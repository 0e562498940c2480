//! Sources that pause for longer than the idle timeout and come back: every row is counted or stands in the late
//! table, whatever the order of tasks, the parallelism, and the moment of a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use beadline::checkpoint::CheckpointMode;
use beadline::connectors::memory::MemorySink;
use beadline::connectors::{
    Polled, Position, SinkMode, Source, SourceContext, SourceFactory, Split, SplitId, SplitReader,
};
use beadline::error::{Error, Result};
use beadline::formats::Decoder;
use beadline::plan::{StreamPlan, plan_inserts};
use beadline::runtime::{Ending, JobConfig, JobSummary, RestartStrategy, Retention, Yields};
use beadline::session::{Handle, Session, Statement};
use beadline::storage::FakeStore;
use beadline::stream::{Changes, Counter, MemoryPool};

use crate::simulated::{runtime, soon, world};
use crate::support::{full, plan_settings};

/// When a split counts as idle.
const TIMEOUT: Duration = Duration::from_millis(50);

/// A row and the pause before it: milliseconds to wait, number, time in seconds.
type Row = (u64, i64, i64);

/// Splits whose rows come at their own pace.
#[derive(Debug, Clone)]
struct Pausing {
    splits: Arc<Vec<Vec<Row>>>,
    projection: Vec<usize>,
    /// Milliseconds before each split ends.
    last_pause: u64,
}

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]))
}

impl SourceFactory for Pausing {
    fn is_bounded(&self) -> bool {
        false
    }

    fn open(&self, context: &SourceContext) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(Self { projection: context.projection.clone(), ..self.clone() }))
    }
}

#[async_trait]
impl Source for Pausing {
    async fn discover(&self, _known: &BTreeSet<SplitId>) -> Result<Vec<Split>> {
        let split = |split: usize| Split { id: SplitId(split.to_string()), start: Position(0.into()), bytes: None };
        Ok((0..self.splits.len()).map(split).collect())
    }

    async fn open(&self, split: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>> {
        let next = from.0.as_u64().and_then(|next| usize::try_from(next).ok());
        let next = next.ok_or_else(|| Error::bug("not a number"))?;
        let split: usize = split.0.parse().map_err(|_| Error::bug("not a split"))?;
        Ok(Box::new(PausingReader { source: self.clone(), split, next }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        None
    }
}

struct PausingReader {
    source: Pausing,
    split: usize,
    next: usize,
}

#[async_trait]
impl SplitReader for PausingReader {
    async fn next(&mut self) -> Result<Polled> {
        let Some((pause, id, time)) = self.source.splits[self.split].get(self.next).copied() else {
            pass(self.source.last_pause).await;
            return Ok(Polled::End);
        };
        pass(pause).await;
        let own: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![id])), Arc::new(TimestampMillisecondArray::from(vec![time * 1000]))];
        let batch = RecordBatch::try_new(columns(), own)?.project(&self.source.projection)?;
        self.next += 1;
        Ok(Polled::Rows(Changes::inserts(batch), Position(self.next.into())))
    }
}

async fn pass(millis: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(millis), pending::<()>()).await;
}

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Two tables of three splits each, which run at different paces through the same times, now and then with a long
/// pause.
fn tables(random: &mut Random) -> [Pausing; 2] {
    let mut id = 0;
    [0, 1].map(|_| {
        let splits = [0, 1, 2].map(|_| {
            let mut time = 0;
            let rows = 10 + random.below(25);
            (0..rows)
                .map(|_| {
                    id += 1;
                    time += i64::try_from(random.below(6)).expect("a small number");
                    let pause = [0, 0, 0, 1, 1, 7, 30, 120][random.below(8) as usize];
                    (pause, id, time)
                })
                .collect()
        });
        Pausing { splits: Arc::new(splits.to_vec()), projection: Vec::new(), last_pause: random.below(3) * 60 }
    })
}

fn plan(tables: &[Pausing; 2], windows: &str, is_union: bool) -> (StreamPlan, MemorySink, MemorySink) {
    let (counts, late) = (MemorySink::new(SinkMode::Append), MemorySink::new(SinkMode::Append));
    let mut session = Session::new();
    let mut add = |declaration: &str, source, sink| {
        session.add_table(declaration, Handle::Given { source, sink }).expect("a table");
    };
    for (name, table) in ["a", "b"].into_iter().zip(tables) {
        let declaration =
            format!("CREATE TABLE {name} (id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)");
        add(&declaration, Some(Arc::new(table.clone())), None);
    }
    add("CREATE TABLE counts (starts TIMESTAMP(3), n BIGINT)", None, Some(Arc::new(counts.clone())));
    add("CREATE TABLE late (id BIGINT, ts TIMESTAMP(3), reason STRING)", None, Some(Arc::new(late.clone())));
    let union = if is_union { " UNION ALL SELECT id, ts FROM b" } else { "" };
    runtime().block_on(session.sql(&format!("CREATE VIEW given AS SELECT id, ts FROM a{union}"))).expect("a view");
    let insert = format!(
        "INSERT INTO counts SELECT window_start, COUNT(*) FROM {windows} GROUP BY window_start, window_end, MOD(id, 3)
         LATE RECORDS INTO late"
    );
    let mut statements = session.parse(&insert).expect("a statement");
    let Some(Statement::Insert(insert)) = statements.pop().map(|at| at.statement) else { panic!("an INSERT") };
    let idle_timeout_ms = u64::try_from(TIMEOUT.as_millis()).expect("a small number");
    let settings = plan_settings(idle_timeout_ms);
    let planned = plan_inserts(&[*insert], session.catalog(), &settings).expect("a plan");
    (planned.stream, counts, late)
}

fn config(seed: u64) -> JobConfig {
    JobConfig {
        job: "idle".to_owned(),
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
        batch_rows: 8,
        // So little that sources are held up.
        channel_bytes: if seed.is_multiple_of(3) { 1 } else { 1 << 12 },
        checkpoint_interval: Some(Duration::from_millis(20)),
        checkpoint_every_rows: None,
        checkpoint_min_pause: Duration::ZERO,
        checkpoint_timeout: Duration::from_secs(600),
        checkpoint_mode: CheckpointMode::ExactlyOnce,
        max_concurrent_checkpoints: 1,
        tolerable_failures: 0,
        retained: 2,
        retention: Retention::Kept,
        max_pending_epochs: 3,
        restart: RestartStrategy::None,
        memory: MemoryPool::new(None),
        stop_timeout: Duration::from_secs(60),
        yields: Yields::seeded(seed),
    }
}

/// Runs a plan to its end, or for `time` and then leaves it as a kill would.
fn run(plan: &StreamPlan, config: JobConfig, store: &FakeStore, time: Option<u64>) -> Option<Result<JobSummary>> {
    let ended = runtime().block_on(soon(async {
        let job = beadline::runtime::start(plan.clone(), config, world(store, false), Arc::new(|_| {}));
        match time {
            None => Some(job.wait().await),
            Some(time) => tokio::time::timeout(Duration::from_millis(time), job.wait()).await.ok(),
        }
    }));
    store.restart();
    ended
}

#[test]
fn every_row_of_a_source_that_was_idle_is_counted_or_late() {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..if full() { 1000 } else { 60 } {
        let mut random = Random(seed);
        let tables = tables(&mut random);
        let windows = [
            "TUMBLE(TABLE given, DESCRIPTOR(ts), INTERVAL '5' SECOND)",
            "HOP(TABLE given, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '6' SECOND)",
        ][seed as usize % 2];
        let is_union = seed / 2 % 2 == 0;
        let (plan, counts, late) = plan(&tables, windows, is_union);
        let store = FakeStore::new();
        for number in 0..random.below(3) {
            let config = JobConfig { parallelism: 1 + (seed + number) as usize % 3, ..config(seed) };
            run(&plan, config, &store, Some(random.below(400)));
        }
        let summary = run(&plan, config(seed), &store, None).expect("it is not killed");
        let summary = summary.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if summary.ending == Ending::AlreadyFinished {
            continue;
        }

        let read = &tables[..if is_union { 2 } else { 1 }];
        let rows: usize = read.iter().flat_map(|table| table.splits.iter()).map(Vec::len).sum();
        let total = |counter| -> u64 { summary.counters.values().map(|counters| counters.get(counter)).sum() };
        let published = |sink: &MemorySink| sink.rows().iter().map(Changes::len).sum::<usize>();
        let counted: i64 =
            counts.rows().iter().flat_map(|rows| rows.column(1).as_primitive::<Int64Type>().values().to_vec()).sum();
        let what = format!("seed {seed}");
        assert_eq!(counted as u64, total(Counter::WindowPairsCounted), "{what}: what is counted is in a window");
        assert_eq!(
            published(&late) as u64,
            total(Counter::NumLateRecordsDropped),
            "{what}: what is late is in its table"
        );
        let assigned =
            [Counter::WindowPairsCounted, Counter::WindowPairsLate, Counter::WindowPairsPartiallyLate].map(total);
        assert_eq!(assigned.iter().sum::<u64>(), total(Counter::WindowPairsAssigned), "{what}");
        let windows_per_row = if seed % 2 == 0 { 1 } else { 3 };
        assert_eq!(total(Counter::WindowPairsAssigned), rows as u64 * windows_per_row, "{what}: every row came once");
        for rows in late.rows() {
            for reason in rows.column(2).as_string::<i32>().iter().flatten() {
                *reasons.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }
    assert!(reasons.len() == 1 && reasons["split_idle"] > 100, "{reasons:?}");
}

/// With one split there is nobody who could close a window meanwhile: whoever is idle and comes back is as good as one
/// who never paused. Tasks hear of it one after another, and the slowest has the row that the others would pass.
#[test]
fn a_pause_of_the_only_split_changes_nothing() {
    let rows: Vec<Row> = (0..40)
        .flat_map(|turn| {
            [(if turn % 2 == 0 { 120 } else { 0 }, turn * 2, turn * 60 + 1), (0, turn * 2 + 1, turn * 60 + 30)]
        })
        .collect();
    let total = rows.len();
    let table = Pausing { splits: Arc::new(vec![rows]), projection: Vec::new(), last_pause: 0 };
    let tables = [table.clone(), table];
    for seed in 0..if full() { 1000 } else { 60 } {
        let (plan, counts, late) = plan(&tables, "TUMBLE(TABLE given, DESCRIPTOR(ts), INTERVAL '5' SECOND)", false);
        let config = JobConfig { parallelism: 2 + seed as usize % 3, ..config(seed) };
        let ended = run(&plan, config, &FakeStore::new(), None).expect("it is not killed");
        ended.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let windows: usize = counts.rows().iter().map(Changes::len).sum();
        assert_eq!((windows, late.rows().len()), (total, 0), "seed {seed}");
    }
}

/// A split that is idle when it ends: what waits for the end comes all the same.
#[test]
fn a_source_that_ends_while_it_is_idle_closes_its_windows() {
    let table = Pausing { splits: Arc::new(vec![vec![(0, 1, 1), (0, 2, 2)]]), projection: Vec::new(), last_pause: 500 };
    let (plan, counts, _) =
        plan(&[table.clone(), table], "TUMBLE(TABLE given, DESCRIPTOR(ts), INTERVAL '5' SECOND)", false);
    let summary = run(&plan, config(1), &FakeStore::new(), None).expect("it is not killed").expect("it ends well");
    assert_eq!(summary.ending, Ending::Finished);
    let counted: i64 =
        counts.rows().iter().flat_map(|rows| rows.column(1).as_primitive::<Int64Type>().values().to_vec()).sum();
    assert_eq!(counted, 2);
}
