//! What an aggregate costs a row: GROUP BY channel and TUMBLE 10 s, one task, batches of 8,192 rows, beside DataFusion's
//! batch answer to the same GROUP BY over the same rows in memory, on one partition.
//!
//! `cargo bench --bench aggregates` prints rows a second. Rows are like Nexmark's bids: four channels, half of the bidders
//! hot, a price.

#[path = "shared/random.rs"]
mod random;

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use beadline::operators::{
    AggregateCall, AggregateFunction, BuildContext, Chain, Emitted, Flush, Forgetting, GroupAggregateSpec,
    GroupLocalSpec, Holding, OperatorSpec, Progress, WindowAggregateSpec, WindowAssignSpec, WindowKind,
    WindowLocalSpec,
};
use beadline::stream::{Changes, EventTime, ProcTime, WATERMARK_COLUMN, Zone};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use random::Random;

const BATCH_ROWS: usize = 8192;
const BATCHES: usize = 128;
/// Event time moves on by a millisecond every ten rows.
const ROWS_PER_MS: usize = 10;

const CHANNEL: usize = 1;
const BIDDER: usize = 2;
const PRICE: usize = 3;
const HIGH: usize = 4;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("channel", DataType::Int64, true),
        Field::new("bidder", DataType::Int64, true),
        Field::new("price", DataType::Float64, true),
        Field::new("high", DataType::Boolean, true),
        Field::new(WATERMARK_COLUMN, DataType::Int64, false),
    ]))
}

/// Batches and the watermark behind each.
fn input() -> Vec<(RecordBatch, EventTime)> {
    let mut random = Random::new();
    let mut batch = |number: usize| {
        let rows = number * BATCH_ROWS..(number + 1) * BATCH_ROWS;
        let times: Vec<i64> = rows.clone().map(|row| (row / ROWS_PER_MS) as i64).collect();
        let watermark = EventTime(times[BATCH_ROWS - 1] - 1000);
        let bidder = |row: usize, random: u64| match random % 2 {
            0 => (row / 100) as i64,
            _ => (random >> 8) as i64 % 100_000,
        };
        let prices: Vec<f64> = rows.clone().map(|_| random.below(10_000) as f64 / 100.0).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMillisecondArray::from(times.clone())),
            Arc::new(rows.clone().map(|_| random.below(4)).collect::<Int64Array>()),
            Arc::new(rows.map(|row| bidder(row, random.next())).collect::<Int64Array>()),
            Arc::new(prices.iter().map(|price| Some(*price > 50.0)).collect::<BooleanArray>()),
            Arc::new(Int64Array::from_iter_values(times.iter().map(|time| time - 1000))),
        ];
        let mut columns = columns;
        columns.insert(PRICE, Arc::new(Float64Array::from(prices)));
        (RecordBatch::try_new(schema(), columns).expect("columns of the schema"), watermark)
    };
    (0..BATCHES).map(&mut batch).collect()
}

fn call(function: AggregateFunction, argument: usize, distinct: bool, filter: Option<usize>) -> AggregateCall {
    let input_type = schema().field(argument).data_type().clone();
    let output = function.output_type(Some(&input_type)).expect("a type that it takes");
    let name = format!("{function}{distinct}{argument}{filter:?}");
    let call = AggregateCall::new(function, Some(argument), input_type, Field::new(name, output, true));
    AggregateCall { distinct, filter, ..call }
}

/// What is measured: a name, the calls, and the same in DataFusion's SQL.
fn cases() -> Vec<(&'static str, Vec<AggregateCall>, &'static str)> {
    use AggregateFunction::{Avg, Count, Variance};
    vec![
        ("AVG(price)", vec![call(Avg, PRICE, false, None)], "avg(price)"),
        ("VAR_POP(price)", vec![call(Variance { sample: false }, PRICE, false, None)], "var_pop(price)"),
        ("COUNT(DISTINCT bidder)", vec![call(Count, BIDDER, true, None)], "count(DISTINCT bidder)"),
        (
            "COUNT(DISTINCT bidder), the same FILTER (WHERE high)",
            vec![call(Count, BIDDER, true, None), call(Count, BIDDER, true, Some(HIGH))],
            "count(DISTINCT bidder), count(DISTINCT bidder) FILTER (WHERE high)",
        ),
    ]
}

fn grouped(calls: &[AggregateCall]) -> Chain {
    let local = GroupLocalSpec {
        input: schema(),
        keys: vec![CHANNEL],
        calls: calls.to_vec(),
        retract: false,
        holding: Holding::UntilRest,
    };
    let fields = [schema().field(CHANNEL).clone()].into_iter().chain(calls.iter().map(|call| call.output.clone()));
    let global = GroupAggregateSpec {
        input: local.output(),
        keys: 1,
        calls: calls.to_vec(),
        retract: false,
        emit_update_before: true,
        forgetting: Forgetting::Never,
        query: String::new(),
        output: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
    };
    Chain::new(&[&local, &global], &BuildContext::only_task()).expect("valid specs")
}

fn windowed(calls: &[AggregateCall]) -> Chain {
    let window = WindowKind::Tumble { size_ms: 10_000, offset_ms: 0 };
    let watermark = schema().fields().len() - 1;
    let assign = WindowAssignSpec {
        zone: Zone::UTC,
        input: schema(),
        time: 0,
        watermark,
        window,
        operator: "window".into(),
        late_columns: vec![],
        by_clock: false,
        lateness_ms: 0,
    };
    let local = WindowLocalSpec {
        zone: Zone::UTC,
        input: assign.output(),
        keys: vec![CHANNEL],
        pane: watermark,
        open_from: watermark + 1,
        calls: calls.to_vec(),
        window,
    };
    let time = |name| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), false);
    let mut output = vec![schema().field(CHANNEL).clone()];
    output.extend(["window_start", "window_end", "window_time"].map(time));
    output.extend(calls.iter().map(|call| call.output.clone()));
    let global = WindowAggregateSpec {
        zone: Zone::UTC,
        input: local.output(),
        keys: 1,
        calls: calls.to_vec(),
        window,
        query: String::new(),
        output: Arc::new(Schema::new(output)),
    };
    Chain::new(&[&assign, &local, &global], &BuildContext::only_task()).expect("valid specs")
}

/// Runs the batches through the chain; returns the rows that left.
fn run(chain: &mut Chain, input: &[(RecordBatch, EventTime)]) -> usize {
    let mut left = 0;
    let mut work = |chain: &mut Chain, flush: bool| {
        loop {
            let mut emitted = Emitted::default();
            let progress = match flush {
                true => chain.flush(Flush::Waiting, ProcTime(0), &mut emitted),
                false => chain.work(ProcTime(0), &mut emitted),
            };
            left += emitted.main.iter().map(Changes::len).sum::<usize>();
            if progress.expect("rows of the schema") == Progress::Done {
                break;
            }
        }
    };
    for (index, (rows, watermark)) in input.iter().enumerate() {
        let last = index + 1 == input.len();
        chain.rows(0, Changes::inserts(rows.clone()));
        chain.watermark(if last { EventTime::END } else { *watermark });
        work(chain, false);
        if last {
            work(chain, true);
        }
    }
    left
}

fn aggregates(criterion: &mut Criterion) {
    let input = input();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let batches = input.iter().map(|(rows, _)| rows.clone()).collect();
    let table = MemTable::try_new(schema(), vec![batches]).expect("rows of the schema");
    context.register_table("bids", Arc::new(table)).expect("a new name");
    for (name, calls, theirs) in cases() {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements((BATCHES * BATCH_ROWS) as u64));
        for (kind, build) in [("group by", grouped as fn(&[AggregateCall]) -> Chain), ("tumble 10s", windowed)] {
            group.bench_function(kind, |bencher| {
                bencher.iter_batched_ref(
                    || build(&calls),
                    |chain| black_box(run(chain, &input)),
                    BatchSize::PerIteration,
                );
            });
        }
        let query = format!("SELECT channel, {theirs} FROM bids GROUP BY channel");
        group.bench_function("group by, DataFusion", |bencher| {
            bencher.iter(|| {
                let rows = runtime.block_on(async { context.sql(&query).await.expect("a query").collect().await });
                black_box(rows.expect("rows"))
            });
        });
    }
}

criterion_group!(benches, aggregates);
criterion_main!(benches);
