//! Batches pushed through the library into a windowed or updating count, and JSON lines from a file to the same counts,
//! with DataFusion's batch engine beside it in the same run.
//!
//! The rows are bids as the public Nexmark generator skews them. `cargo bench --bench end_to_end [-- FILTER] [-- ROWS]`
//! runs the parts whose names hold the filter. Runs with and without checkpoints take turns, so that both meet the same
//! machine.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the machine's clock")]

#[path = "shared/bids.rs"]
mod bids;
#[path = "shared/pushing.rs"]
mod pushing;
#[path = "shared/random.rs"]
mod random;
#[path = "shared/times.rs"]
mod times;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use beadline::session::{Outcome, Session};
use beadline::stream::Changes;
use bids::bids;
use nexmark::event::Bid;
use pushing::{Pushing, Run};
use random::Random;
use times::Times;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_ROWS: usize = 8_192;
const RUNS: usize = 5;

const DECLARATION: &str = "CREATE TABLE bids (auction BIGINT, bidder BIGINT, channel STRING, ts TIMESTAMP(3), \
     WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND)";

/// A query to rows that are pushed.
struct Case {
    name: &'static str,
    query: &'static str,
    /// Its columns.
    result: &'static str,
    /// How often each row is counted, if that is the same for all.
    counts_per_row: Option<i64>,
    /// How often the rows are pushed, so that a run is long enough to take checkpoints.
    rounds: usize,
}

const WINDOWS: &str = "auction BIGINT, w TIMESTAMP(3), n BIGINT";
const TUMBLE: Case = Case {
    name: "tumble 10 s",
    query: "SELECT auction, window_start, COUNT(*) AS n \
         FROM TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY auction, window_start, window_end",
    result: WINDOWS,
    counts_per_row: Some(1),
    rounds: 200,
};
const UNWINDOWED: Case = Case {
    name: "unwindowed, all changes",
    query: "SELECT auction, COUNT(*) AS n FROM bids GROUP BY auction",
    result: "auction BIGINT, n BIGINT",
    counts_per_row: Some(1),
    rounds: 200,
};
const CASES: [Case; 6] = [
    TUMBLE,
    // A row is in five windows; at the ends of the input some hold no more rows, but none is left out.
    Case {
        name: "hop 10 s / 2 s",
        query: "SELECT auction, window_start, COUNT(*) AS n \
             FROM HOP(TABLE bids, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND) \
             GROUP BY auction, window_start, window_end",
        counts_per_row: Some(5),
        ..TUMBLE
    },
    Case {
        name: "cumulate 10 s / 2 s",
        query: "SELECT auction, window_start, COUNT(*) AS n \
             FROM CUMULATE(TABLE bids, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND) \
             GROUP BY auction, window_start, window_end",
        counts_per_row: None,
        ..TUMBLE
    },
    Case {
        name: "session 1 s",
        query: "SELECT auction, window_start, COUNT(*) AS n \
             FROM SESSION(TABLE bids PARTITION BY auction, DESCRIPTOR(ts), INTERVAL '1' SECOND) \
             GROUP BY auction, window_start, window_end",
        rounds: 60,
        ..TUMBLE
    },
    UNWINDOWED,
    Case {
        name: "different bidders per channel",
        query: "SELECT channel, COUNT(DISTINCT bidder) AS n FROM bids GROUP BY channel",
        result: "channel STRING, n BIGINT",
        counts_per_row: None,
        rounds: 40,
    },
];

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
        ours: TUMBLE.query,
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

    for case in CASES.iter().filter(|case| wanted(case.name)) {
        with_and_without_checkpoints(&runtime, case, &batches, &directory.path().join("checkpoints"));
    }
    let name = "a million keys, all changes";
    if wanted(name) {
        let batches = a_million_keys(&batches);
        let case = Case { name, rounds: 40, ..UNWINDOWED };
        with_and_without_checkpoints(&runtime, &case, &batches, &directory.path().join("checkpoints"));
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
            println!("{name:50} {}", rate(&ours, rows));
            println!("{:50} {}", format!("{name}, by DataFusion"), rate(&theirs, rows));
            println!("{name}: {:.2} times DataFusion's time", ours.median() / theirs.median());
        }
    }
}

fn with_and_without_checkpoints(
    runtime: &tokio::runtime::Runtime,
    case: &Case,
    batches: &[RecordBatch],
    directory: &Path,
) {
    let Case { name, rounds, .. } = *case;
    let rows = rounds * batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let (mut cpu_without, mut cpu_with) = (0.0, 0.0);
    let (mut checkpoints, mut pause_max) = (0, Duration::ZERO);
    for _ in 0..=RUNS {
        let before = cpu_seconds();
        without.push(runtime.block_on(pushed(case, batches, rounds, None)).elapsed);
        let between = cpu_seconds();
        let run = runtime.block_on(pushed(case, batches, rounds, Some(directory)));
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
    println!("{name:50} {}", rate(&without, rows));
    println!("{:50} {}", format!("{name}, checkpoint every second"), rate(&with, rows));
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

/// What so many rows in these times come to.
fn rate(times: &Times, rows: usize) -> String {
    let millions = |time: &Duration| rows as f64 / time.as_secs_f64() / 1e6;
    let (least, most) = (millions(&times.0[times.0.len() - 1]), millions(&times.0[0]));
    let median = rows as f64 / times.median() / 1e6;
    format!("{median:8.2} M rows/s (median of {}; {least:.2} to {most:.2})", times.0.len())
}

/// What has been read of a query that counts, its counts in the last column.
#[derive(Default)]
struct Counts {
    total: i64,
    changes: usize,
}

impl Counts {
    fn add(&mut self, changes: &Changes) {
        self.changes += changes.len();
        let counts = changes.batch().columns().last().expect("counts").as_primitive::<Int64Type>();
        self.total += match changes.kinds() {
            None => counts.values().iter().sum::<i64>(),
            Some(kinds) => kinds.iter().zip(counts.values()).map(|(kind, n)| kind.sign() * n).sum(),
        };
    }
}

/// Pushes all batches `rounds` times through an INSERT whose rows are all read.
async fn pushed(case: &Case, batches: &[RecordBatch], rounds: usize, checkpoints: Option<&Path>) -> Run<Counts> {
    let (declaration, settings) = (DECLARATION, &[][..]);
    let pushing = Pushing { declaration, result: case.result, query: case.query, settings, checkpoints };
    let run = pushing.run(batches, rounds, Counts::add).await;
    if let Some(per_row) = case.counts_per_row {
        let rows = rounds * batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let expected = per_row * i64::try_from(rows).expect("a count");
        assert_eq!(run.read.total, expected, "{} changes of {}", run.read.changes, case.query);
    }
    run
}

async fn from_json(path: &Path, question: &Question) -> Duration {
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

async fn datafusion_from_json(path: &Path, question: &Question) -> Duration {
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

/// The rows with as many auctions, all equally often.
fn a_million_keys(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let mut random = Random::new();
    let keyed = |batch: &RecordBatch| {
        let auctions: Int64Array = (0..batch.num_rows()).map(|_| random.below(1_000_000)).collect();
        let mut columns = batch.columns().to_vec();
        columns[0] = Arc::new(auctions);
        RecordBatch::try_new(batch.schema(), columns).expect("a batch")
    };
    batches.iter().map(keyed).collect()
}

fn auctions(batches: &[RecordBatch]) -> usize {
    let mut seen = std::collections::HashSet::new();
    for batch in batches {
        seen.extend(batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
    }
    seen.len()
}

/// Bids as batches and as lines of JSON of about 258 bytes.
fn generate(rows: usize, json: &Path) -> Vec<RecordBatch> {
    let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(json).expect("a file"));
    let mut batches = Vec::new();
    let mut waiting = Vec::with_capacity(BATCH_ROWS);
    for bid in bids(rows) {
        let millis = i64::try_from(bid.date_time).expect("a time");
        let time = chrono::DateTime::from_timestamp_millis(millis).expect("a time").format("%Y-%m-%d %H:%M:%S%.3f");
        writeln!(
            file,
            r#"{{"auction":{},"bidder":{},"price":{},"channel":"{}","url":"{}","ts":"{time}","extra":"{}"}}"#,
            bid.auction, bid.bidder, bid.price, bid.channel, bid.url, bid.extra
        )
        .expect("room");
        waiting.push(bid);
        if waiting.len() == BATCH_ROWS {
            batches.push(batch(&waiting));
            waiting.clear();
        }
    }
    if !waiting.is_empty() {
        batches.push(batch(&waiting));
    }
    file.flush().expect("room");
    let bytes = std::fs::metadata(json).expect("a file").len();
    println!("JSON lines of {} bytes on average", bytes / rows as u64);
    batches
}

fn batch(bids: &[Bid]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 4] = [
        ("auction", Arc::new(Int64Array::from_iter_values(bids.iter().map(|bid| bid.auction as i64)))),
        ("bidder", Arc::new(Int64Array::from_iter_values(bids.iter().map(|bid| bid.bidder as i64)))),
        ("channel", Arc::new(StringArray::from_iter_values(bids.iter().map(|bid| &bid.channel)))),
        ("ts", Arc::new(TimestampMillisecondArray::from_iter_values(bids.iter().map(|bid| bid.date_time as i64)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
}
