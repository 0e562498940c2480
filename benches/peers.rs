//! Each kind of window, of grouping and each aggregate, beside the batch answer of a peer to the same rows in memory, in
//! the same run; and the bytes of state that each key takes.
//!
//! `cargo bench --bench peers [-- FILTER] [-- ROUNDS]`. The peer is DuckDB where there is an interpreter with its module:
//! the one that BEADLINE_BENCH_PYTHON names, or `python3`. Otherwise it is DataFusion. Both get two threads. Rows are pushed
//! through the library with a checkpoint every second, and all changes are read; the peer's rows stand in its own tables
//! before its clock starts, and its result stays in its own form. Runs take turns. What comes out is compared.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the machine's clock")]

#[path = "shared/bids.rs"]
mod bids;
#[path = "shared/peer.rs"]
mod peer;
#[path = "shared/peer_cases.rs"]
mod peer_cases;
#[path = "shared/pushing.rs"]
mod pushing;
#[path = "shared/random.rs"]
mod random;
#[path = "shared/times.rs"]
mod times;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMillisecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int64Type};
use beadline::stream::Changes;
use bids::{START_MS, bids};
use nexmark::event::Bid;
use peer::Peer;
use peer_cases::{Case, cases};
use pushing::{Pushing, Started};
use random::Random;
use times::Times;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_ROWS: usize = 8_192;
const ROWS: usize = 3_000_000;
const ROUNDS: usize = 10;
const RUNS: usize = 3;
/// Groups in the measure of state, with ten rows each.
const KEYS: usize = 100_000;

const DECLARATION: &str = "CREATE TABLE bids (id BIGINT, auction BIGINT, bidder BIGINT, price DOUBLE, channel STRING, \
     high BOOLEAN, tags ARRAY<BIGINT>, item ROW<auction BIGINT, channel STRING>, ts TIMESTAMP(3), \
     WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND)";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let rounds = arguments.iter().filter_map(|argument| argument.parse().ok()).next().unwrap_or(ROUNDS);
    let filter = arguments.iter().find(|argument| argument.parse::<usize>().is_err());
    let cases = cases().into_iter().filter(|case| filter.is_none_or(|filter| case.name.contains(filter.as_str())));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a scratch directory");
    let bids: Vec<Bid> = bids(ROWS).collect();
    let batches: Vec<RecordBatch> = bids.chunks(BATCH_ROWS).scan(0, numbered).collect();
    drop(bids);
    let even = even_keys();
    let mut peer = Peer::find(&batches, directory.path());
    println!("{ROWS} bids, {rounds} times; two threads; medians of {RUNS} runs; beside {}", peer.name());
    println!("{:44} {:>10} {:>10} {:>6} {:>9}  answer", "", "M rows/s", "the peer's", "time", "B a key");
    let (mut completed, mut pause_max) = (0, Duration::ZERO);
    for case in cases {
        let checkpoints = directory.path().join("checkpoints");
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut answer = Answer::default();
        let ready = peer.load(case.columns, rounds);
        let mut why_not = ready.err();
        for _ in 0..=RUNS {
            let run = runtime.block_on(ours_of(&case, &checkpoints).run(&batches, rounds, Answer::add));
            ours.push(run.elapsed);
            completed += run.status.checkpoints;
            pause_max = pause_max.max(run.status.pause_max);
            answer = run.read;
            if why_not.is_none() {
                match peer.run(&runtime, &case.theirs) {
                    Ok(time) => theirs.push(time),
                    Err(reason) => why_not = Some(reason),
                }
            }
        }
        let bytes = runtime.block_on(state_bytes(&case, &even, &checkpoints));
        let rows = (rounds * ROWS) as f64 / 1e6;
        let ours = Times::of(ours).median();
        print!("{:44} {:10.1}", case.name, rows / ours);
        match why_not {
            Some(reason) => println!(" {:>10} {:>6} {bytes:9.0}  {reason}", "–", "–"),
            None => {
                let theirs = Times::of(theirs).median();
                let compared = answer.beside(peer.answer(&runtime, &case));
                println!(" {:10.1} {:6.2} {bytes:9.0}  {compared}", rows / theirs, ours / theirs);
            }
        }
    }
    println!("{completed} checkpoints; no task stood still for more than {:.1} ms", pause_max.as_secs_f64() * 1e3);
}

fn ours_of<'a>(case: &'a Case, checkpoints: &'a Path) -> Pushing<'a> {
    Pushing {
        declaration: DECLARATION,
        result: &case.result,
        query: &case.ours,
        settings: case.settings,
        checkpoints: Some(checkpoints),
    }
}

/// What has been read of a result whose last column is what matters.
#[derive(Default, Clone, Copy)]
struct Answer {
    rows: i64,
    /// The sum of that column, or of the lengths of its texts, arrays or maps.
    sum: f64,
}

impl Answer {
    fn add(&mut self, changes: &Changes) {
        let values = changes.batch().columns().last().expect("a result");
        let values = match values.data_type() {
            DataType::Utf8 => arrow::compute::kernels::length::length(values).expect("lengths of texts"),
            DataType::List(_) => arrow::compute::kernels::length::length(values).expect("lengths of arrays"),
            DataType::Map(..) => {
                let entries = values.as_map();
                Arc::new(
                    (0..entries.len()).map(|row| Some(i64::from(entries.value_length(row)))).collect::<Int64Array>(),
                )
            }
            _ => Arc::clone(values),
        };
        let values = cast(&values, &DataType::Float64).expect("a number");
        let values = values.as_primitive::<Float64Type>();
        match changes.kinds() {
            None => {
                self.rows += values.len() as i64;
                self.sum += arrow::compute::sum(values).unwrap_or(0.0);
            }
            Some(kinds) => {
                for (kind, value) in kinds.iter().zip(values) {
                    self.rows += kind.sign();
                    self.sum += kind.sign() as f64 * value.unwrap_or(0.0);
                }
            }
        }
    }

    fn beside(self, theirs: Result<(f64, f64), String>) -> String {
        match theirs {
            Err(reason) => reason,
            Ok((rows, sum)) if rows == self.rows as f64 && (sum - self.sum).abs() <= 1e-6 * sum.abs() => "same".into(),
            Ok((rows, sum)) => format!("another: {} rows, {} here; {rows} rows, {sum} there", self.rows, self.sum),
        }
    }
}

/// Bytes of state a group, once all rows of many groups are in and no window has closed.
async fn state_bytes(case: &Case, even: &[RecordBatch], checkpoints: &Path) -> f64 {
    let Started { input, job, reading } = ours_of(case, checkpoints).start(Answer::add).await;
    for batch in even {
        input.push(batch.clone()).await.expect("the job reads");
    }
    // It is behind the rows, so that they have all been worked on.
    job.checkpoint().await.expect("a checkpoint");
    let bytes = job.status().state_bytes;
    input.finish();
    job.wait().await.expect("it ends well");
    reading.await.expect("all was read");
    let at = even[0].schema().index_of(case.key).expect("a column");
    let mut keys = std::collections::HashSet::new();
    for batch in even {
        let column = cast(batch.column(at), &DataType::Utf8).expect("a text");
        keys.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    bytes as f64 / keys.len() as f64
}

fn numbered(first: &mut usize, bids: &[Bid]) -> Option<RecordBatch> {
    let ids = *first..*first + bids.len();
    *first += bids.len();
    Some(batch(
        ids,
        bids.iter().map(|bid| bid.auction as i64).collect(),
        bids.iter().map(|bid| bid.bidder as i64).collect(),
        bids.iter().map(|bid| bid.price as f64 / 100.0).collect(),
        bids.iter().map(|bid| bid.channel.clone()).collect(),
        bids.iter().map(|bid| bid.date_time as i64).collect(),
    ))
}

/// Rows within 8 seconds, with ten for each of many auctions.
fn even_keys() -> Vec<RecordBatch> {
    let mut random = Random::new();
    let rows = 10 * KEYS;
    let mut rows_of = |rows: std::ops::Range<usize>| {
        let count = rows.len();
        let mut draw = |end| -> Vec<i64> { (0..count).map(|_| random.below(end)).collect() };
        let (auctions, bidders, prices) = (draw(KEYS as u64), draw(100_000), draw(10_000));
        let channels = draw(1_000).iter().map(|channel| format!("channel-{channel}")).collect();
        let prices = prices.iter().map(|cents| *cents as f64 / 100.0).collect();
        let times = rows.clone().map(|row| START_MS + (row * 8_000 / (10 * KEYS)) as i64).collect();
        batch(rows, auctions, bidders, prices, channels, times)
    };
    (0..rows).step_by(BATCH_ROWS).map(|start| rows_of(start..rows.min(start + BATCH_ROWS))).collect()
}

fn batch(
    ids: std::ops::Range<usize>,
    auctions: Vec<i64>,
    bidders: Vec<i64>,
    prices: Vec<f64>,
    channels: Vec<String>,
    times: Vec<i64>,
) -> RecordBatch {
    let high: BooleanArray = prices.iter().map(|price| Some(*price > 50.0)).collect();
    let tags = ids.clone().map(|id| Some((0..id % 4).map(move |tag| Some((id + tag) as i64 % 100))));
    let tags = ListArray::from_iter_primitive::<Int64Type, _, _>(tags);
    let auctions: ArrayRef = Arc::new(Int64Array::from(auctions));
    let channels: ArrayRef = Arc::new(StringArray::from(channels));
    let fields =
        Fields::from(vec![Field::new("auction", DataType::Int64, true), Field::new("channel", DataType::Utf8, true)]);
    let items = StructArray::new(fields, vec![Arc::clone(&auctions), Arc::clone(&channels)], None);
    let columns: [(&str, ArrayRef); 9] = [
        ("id", Arc::new(Int64Array::from_iter_values(ids.map(|id| id as i64)))),
        ("auction", auctions),
        ("bidder", Arc::new(Int64Array::from(bidders))),
        ("price", Arc::new(Float64Array::from(prices))),
        ("channel", channels),
        ("high", Arc::new(high)),
        ("tags", Arc::new(tags)),
        ("item", Arc::new(items)),
        ("ts", Arc::new(TimestampMillisecondArray::from(times))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
}
