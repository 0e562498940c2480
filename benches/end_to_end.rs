//! Batches pushed through the library into a windowed or updating count, and JSON lines from a file to the same counts,
//! with DataFusion's batch engine beside it in the same run.
//!
//! The rows are bids as the public Nexmark generator skews them. `cargo bench --bench end_to_end [-- FILTER] [-- ROWS]`
//! runs the parts whose names hold the filter. Runs with and without checkpoints take turns, so that both meet the same
//! machine.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the machine's clock")]

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, TimestampMillisecondArray};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;
use beadline::connectors::SinkMode;
use beadline::connectors::memory::ChannelSink;
use beadline::session::{Handle, JobStatus, Outcome, Session};
use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use nexmark::event::{Event, EventType};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_ROWS: usize = 8_192;
const RUNS: usize = 5;
/// How often the rows are pushed, so that a run is long enough to take checkpoints.
const ROUNDS: usize = 200;
/// The same for keys that fit into no cache.
const ROUNDS_OF_MANY_KEYS: usize = 40;

const DECLARATION: &str = "CREATE TABLE bids (auction BIGINT, ts TIMESTAMP(3), \
     WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND)";
const TUMBLE: &str = "SELECT auction, window_start, COUNT(*) AS n \
     FROM TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY auction, window_start, window_end";
const HOP: &str = "SELECT auction, window_start, COUNT(*) AS n \
     FROM HOP(TABLE bids, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND) \
     GROUP BY auction, window_start, window_end";
const UNWINDOWED: &str = "SELECT auction, COUNT(*) AS n FROM bids GROUP BY auction";

/// A question to a file of bids.
struct Question {
    name: &'static str,
    ours: &'static str,
    /// The same in DataFusion's dialect.
    theirs: &'static str,
}

const QUESTIONS: [Question; 3] = [
    Question {
        name: "tumble 10 s",
        ours: TUMBLE,
        theirs: "SELECT auction, date_bin(INTERVAL '10 seconds', ts) AS w, COUNT(*) AS n FROM bids GROUP BY 1, 2",
    },
    Question {
        name: "the ten most frequent",
        ours: "SELECT auction, COUNT(*) AS n FROM bids GROUP BY auction ORDER BY n DESC, auction LIMIT 10",
        theirs: "SELECT auction, COUNT(*) AS n FROM bids GROUP BY auction ORDER BY n DESC, auction LIMIT 10",
    },
    Question {
        name: "all in another order",
        ours: "SELECT auction, ts FROM bids ORDER BY auction DESC, ts",
        theirs: "SELECT auction, ts FROM bids ORDER BY auction DESC, ts",
    },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let rows = arguments.iter().filter_map(|argument| argument.parse().ok()).next().unwrap_or(3_000_000);
    let filter = arguments.iter().find(|argument| argument.parse::<usize>().is_err());
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a scratch directory");
    let json = directory.path().join("bids.json");
    let batches = generate(rows, &json);
    println!("{rows} bids, {} auctions, batches of {BATCH_ROWS}", auctions(&batches));

    for (name, query) in [("tumble 10 s", TUMBLE), ("hop 10 s / 2 s", HOP), ("unwindowed, all changes", UNWINDOWED)] {
        if wanted(name) {
            let checkpoints = directory.path().join("checkpoints");
            with_and_without_checkpoints(&runtime, name, query, &batches, ROUNDS, &checkpoints);
        }
    }
    if wanted("a million keys") {
        let batches = a_million_keys(&batches);
        let checkpoints = directory.path().join("checkpoints");
        let name = "a million keys, all changes";
        with_and_without_checkpoints(&runtime, name, UNWINDOWED, &batches, ROUNDS_OF_MANY_KEYS, &checkpoints);
    }
    for question in &QUESTIONS {
        let name = format!("JSON lines, {}", question.name);
        if wanted(&name) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..=RUNS {
                ours.push(runtime.block_on(from_json(&json, question)));
                theirs.push(runtime.block_on(datafusion_from_json(&json, question)));
            }
            let (ours, theirs) = (Times::of(ours), Times::of(theirs));
            ours.report(&name, rows);
            theirs.report(&format!("{name}, by DataFusion"), rows);
            println!("{name}: {:.2} times DataFusion's time", ours.median() / theirs.median());
        }
    }
}

fn with_and_without_checkpoints(
    runtime: &tokio::runtime::Runtime,
    name: &str,
    query: &str,
    batches: &[RecordBatch],
    rounds: usize,
    directory: &std::path::Path,
) {
    let rows = rounds * batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let (mut cpu_without, mut cpu_with) = (0.0, 0.0);
    let (mut checkpoints, mut pause_max) = (0, Duration::ZERO);
    for _ in 0..=RUNS {
        let before = cpu_seconds();
        without.push(runtime.block_on(pushed(query, batches, rounds, None)).elapsed);
        let between = cpu_seconds();
        let run = runtime.block_on(pushed(query, batches, rounds, Some(directory)));
        with.push(run.elapsed);
        cpu_without += between - before;
        cpu_with += cpu_seconds() - between;
        checkpoints += run.status.checkpoints;
        pause_max = pause_max.max(run.status.pause_max);
    }
    let seconds: f64 = with.iter().map(Duration::as_secs_f64).sum();
    // Of each run with checkpoints to the one before it without, so that a slow spell of the machine meets both.
    let mut ratios: Vec<f64> =
        with.iter().zip(&without).map(|(with, without)| with.div_duration_f64(*without)).collect();
    ratios.remove(0);
    ratios.sort_by(f64::total_cmp);
    let (without, with) = (Times::of(without), Times::of(with));
    without.report(name, rows);
    with.report(&format!("{name}, checkpoint every second"), rows);
    println!(
        "{name}: {:+.1} % time (median of pairs) and {:+.1} % CPU with {checkpoints} checkpoints in {seconds:.0} s; \
         no task stood still for more than {:.1} ms",
        (ratios[ratios.len() / 2] - 1.0) * 100.0,
        (cpu_with / cpu_without - 1.0) * 100.0,
        pause_max.as_secs_f64() * 1e3,
    );
}

/// What this process has used of all cores since its start; zero where the system does not say (outside Linux).
fn cpu_seconds() -> f64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    // User and system time are the 14th and 15th field; the second one, in brackets, may hold spaces.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The times of the runs but the first, in order.
struct Times(Vec<Duration>);

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.remove(0);
        times.sort();
        Self(times)
    }

    fn median(&self) -> f64 {
        self.0[self.0.len() / 2].as_secs_f64()
    }

    fn report(&self, name: &str, rows: usize) {
        let millions = |seconds: f64| rows as f64 / seconds / 1e6;
        println!(
            "{name:50} {:8.2} M rows/s (median of {}; {:.2} to {:.2})",
            millions(self.median()),
            self.0.len(),
            millions(self.0[self.0.len() - 1].as_secs_f64()),
            millions(self.0[0].as_secs_f64())
        );
    }
}

/// What one run took and what its job says of it.
struct Run {
    elapsed: Duration,
    status: JobStatus,
}

/// Pushes all batches `rounds` times, each round later in event time than the one before, through an INSERT whose
/// rows are all read; with a directory, a checkpoint is taken every second.
async fn pushed(query: &str, batches: &[RecordBatch], rounds: usize, checkpoints: Option<&std::path::Path>) -> Run {
    let mut session = Session::new().with_fresh(true);
    let settings = session.settings_mut();
    settings.set("pipeline.name", "bench").expect("a setting");
    if let Some(directory) = checkpoints {
        settings.set("execution.checkpointing.interval", "1 s").expect("a setting");
        settings.set("execution.checkpointing.dir", &directory.to_string_lossy()).expect("a setting");
    }
    let input = session.input(DECLARATION, 16).expect("a declaration");
    let (sink, mut rows) = ChannelSink::new(SinkMode::Retract, 16);
    let columns =
        if query == UNWINDOWED { "auction BIGINT, n BIGINT" } else { "auction BIGINT, w TIMESTAMP(3), n BIGINT" };
    let handle = Handle::Given { source: None, sink: Some(Arc::new(sink)) };
    session.add_table(&format!("CREATE TABLE counts ({columns})"), handle).expect("a declaration");
    let Outcome::Job(job) = session.sql(&format!("INSERT INTO counts {query}")).await.expect("a query") else {
        panic!("an INSERT is a job")
    };
    drop(session);
    let batches = batches.to_vec();
    let pushed_rows =
        i64::try_from(rounds * batches.iter().map(RecordBatch::num_rows).sum::<usize>()).expect("a count");
    // A row of HOP is in five windows; at the ends of the input some hold no more rows, but none is left out.
    let expected = if query == HOP { 5 * pushed_rows } else { pushed_rows };
    let started = Instant::now();
    let pushing = tokio::spawn(async move {
        for round in 0..rounds {
            for batch in &batches {
                input.push(later(batch, round)).await.expect("the job reads");
            }
        }
        input.finish();
    });
    let counting = tokio::spawn(async move {
        let mut total = 0;
        let mut result = 0;
        while let Some(changes) = rows.recv().await {
            result += changes.len();
            let counts = changes.batch().columns().last().expect("counts").as_primitive::<Int64Type>();
            total += match changes.kinds() {
                None => counts.values().iter().sum::<i64>(),
                Some(kinds) => kinds.iter().zip(counts.values()).map(|(kind, n)| kind.sign() * n).sum(),
            };
        }
        (total, result)
    });
    job.wait().await.expect("the job ends well");
    let elapsed = started.elapsed();
    let status = job.status();
    drop(job);
    pushing.await.expect("all was pushed");
    let (total, result) = counting.await.expect("all was read");
    assert_eq!(total, expected, "{result} rows of results");
    Run { elapsed, status }
}

async fn from_json(path: &std::path::Path, question: &Question) -> Duration {
    let mut session = Session::new();
    let declaration = format!(
        "CREATE TABLE bids (auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, ts TIMESTAMP(3), \
         extra STRING, WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND) \
         WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'json')",
        path.display()
    );
    let started = Instant::now();
    session.sql(&declaration).await.expect("a declaration");
    let Outcome::Rows(mut rows) = session.sql(question.ours).await.expect("a query") else { panic!("no rows") };
    let mut count = 0;
    while let Some(changes) = rows.next().await {
        count += changes.expect("rows").len();
    }
    assert!(count > 0);
    started.elapsed()
}

async fn datafusion_from_json(path: &std::path::Path, question: &Question) -> Duration {
    use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use datafusion::prelude::{JsonReadOptions, SessionConfig, SessionContext};
    let schema = Schema::new(vec![
        Field::new("auction", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]);
    let started = Instant::now();
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let options = JsonReadOptions::default().schema(&schema).file_extension(".json");
    context.register_json("bids", path.to_str().expect("a plain path"), options).await.expect("a table");
    let frame = context.sql(question.theirs).await.expect("a query");
    let count: usize = frame.collect().await.expect("rows").iter().map(RecordBatch::num_rows).sum();
    assert!(count > 0);
    started.elapsed()
}

/// The same rows, `round` hours later.
fn later(batch: &RecordBatch, round: usize) -> RecordBatch {
    let shift = i64::try_from(round).expect("a small number") * 3_600_000;
    let times = batch.column(1).as_primitive::<TimestampMillisecondType>();
    let times: TimestampMillisecondArray = times.unary(|time| time + shift);
    RecordBatch::try_new(batch.schema(), vec![Arc::clone(batch.column(0)), Arc::new(times)]).expect("a batch")
}

/// The rows with as many auctions, all equally often.
fn a_million_keys(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let mut row = 0_u64;
    let mut next = || {
        row += 1;
        // The factor has no pattern in its bits (2^64 over the golden ratio); the high bits are the mixed ones.
        ((row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 1_000_000) as i64
    };
    let keyed = |batch: &RecordBatch| {
        let auctions: Int64Array = (0..batch.num_rows()).map(|_| next()).collect();
        RecordBatch::try_new(batch.schema(), vec![Arc::new(auctions), Arc::clone(batch.column(1))]).expect("a batch")
    };
    batches.iter().map(keyed).collect()
}

fn auctions(batches: &[RecordBatch]) -> usize {
    let mut seen = std::collections::HashSet::new();
    for batch in batches {
        let column = batch.column(0).as_any().downcast_ref::<Int64Array>().expect("auctions");
        seen.extend(column.values().iter().copied());
    }
    seen.len()
}

/// Bids of the generator with its default skew, as batches and as lines of JSON of about 258 bytes.
fn generate(rows: usize, json: &std::path::Path) -> Vec<RecordBatch> {
    let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(json).expect("a file"));
    let mut batches = Vec::new();
    let (mut auctions, mut times) = (Vec::new(), Vec::new());
    let config = NexmarkConfig { base_time: 1_767_225_600_000, ..NexmarkConfig::default() };
    let bids = EventGenerator::new(config).with_type_filter(EventType::Bid);
    for event in bids.take(rows) {
        let Event::Bid(bid) = event else { continue };
        let millis = i64::try_from(bid.date_time).expect("a time");
        auctions.push(i64::try_from(bid.auction).expect("an id"));
        times.push(millis);
        let time = chrono::DateTime::from_timestamp_millis(millis).expect("a time").format("%Y-%m-%d %H:%M:%S%.3f");
        writeln!(
            file,
            r#"{{"auction":{},"bidder":{},"price":{},"channel":"{}","url":"{}","ts":"{time}","extra":"{}"}}"#,
            bid.auction, bid.bidder, bid.price, bid.channel, bid.url, bid.extra
        )
        .expect("room");
        if auctions.len() == BATCH_ROWS {
            batches.push(batch(std::mem::take(&mut auctions), std::mem::take(&mut times)));
        }
    }
    if !auctions.is_empty() {
        batches.push(batch(auctions, times));
    }
    file.flush().expect("room");
    let bytes = std::fs::metadata(json).expect("a file").len();
    println!("JSON lines of {} bytes on average", bytes / rows as u64);
    batches
}

fn batch(auctions: Vec<i64>, times: Vec<i64>) -> RecordBatch {
    let columns: [(&str, ArrayRef); 2] =
        [("auction", Arc::new(Int64Array::from(auctions))), ("ts", Arc::new(TimestampMillisecondArray::from(times)))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
}
