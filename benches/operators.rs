//! What the operators cost a row, without source, exchange and sink: one task, batches of 8,192 rows.
//!
//! `cargo bench --bench operators` prints rows a second for window aggregation by number of keys (TUMBLE, HOP, CUMULATE,
//! SESSION), for the updating GROUP BY with all changes, a function of a program that counts, and MAX over changes, for UNNEST and a function of each family; the
//! time that a barrier takes at a million keys and may have to wait while a window of as many fires; what a file of state
//! costs and how fast it is read back; and what the machine itself asks for a copy, a hash and a random read.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the machine's clock")]

#[path = "shared/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit};
use beadline::error::Result;
use beadline::expressions::{Call, ITEM, Unnest, json, list_of, lookup};
use beadline::operators::process::{
    KeyedRows, Opening, ProcessFactory, ProcessFunction, ProcessOutput, ProcessSpec, ValueState,
};
use beadline::operators::{
    AggregateCall, AggregateFunction, BuildContext, Chain, Emitted, Flush, Forgetting, GroupAggregateSpec,
    GroupLocalSpec, Holding, OperatorSpec, Progress, SessionAggregateSpec, SessionInput, UnnestSpec,
    WindowAggregateSpec, WindowAssignSpec, WindowKind, WindowLocalSpec,
};
use beadline::state::{
    FileName, RestoreProgress, TableKind, TableSpec, TableState, Writer, digest, encode, key_hashes, read_table,
    schema_text, write_table,
};
use beadline::storage::FakeStore;
use beadline::stream::{ChangeKind, Changes, Epoch, EventTime, Generation, ProcTime, WATERMARK_COLUMN, Zone};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use random::Random;

const BATCH_ROWS: usize = 8192;
const BATCHES: usize = 128;
/// Event time moves on by a millisecond every ten rows, as the public Nexmark generator does.
const ROWS_PER_MS: usize = 10;

/// Which keys the rows have.
#[derive(Clone, Copy)]
enum Keys {
    /// All equally often.
    Uniform(u64),
    /// Like Nexmark's bids: half of them for the auction that is hot at the moment, the others for the last hundred.
    Skewed,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("auction", DataType::Int64, true),
        Field::new(WATERMARK_COLUMN, DataType::Int64, false),
    ]))
}

/// Batches and the watermark behind each.
fn input(keys: Keys) -> Vec<(Changes, EventTime)> {
    let mut random = Random::new();
    let mut batch = |number: usize| {
        let rows = number * BATCH_ROWS..(number + 1) * BATCH_ROWS;
        let times: Vec<i64> = rows.clone().map(|row| (row / ROWS_PER_MS) as i64).collect();
        let watermarks: Vec<i64> = times.iter().map(|time| time - 1000).collect();
        let mut key = |row: usize| match keys {
            Keys::Uniform(keys) => random.below(keys),
            Keys::Skewed => {
                let newest = row as i64 / 15;
                if random.below(2) == 0 { newest / 100 * 100 } else { (newest - random.below(100)).max(0) }
            }
        };
        let auctions: Vec<i64> = rows.map(&mut key).collect();
        let watermark = EventTime(times[BATCH_ROWS - 1] - 1000);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMillisecondArray::from(times)),
            Arc::new(Int64Array::from(auctions)),
            Arc::new(Int64Array::from(watermarks)),
        ];
        let batch = RecordBatch::try_new(schema(), columns).expect("columns of the schema");
        (Changes::inserts(batch), watermark)
    };
    (0..BATCHES).map(&mut batch).collect()
}

fn count() -> AggregateCall {
    let output = Field::new("n", DataType::Int64, false);
    AggregateCall::new(AggregateFunction::Count, None, DataType::Int64, output)
}

fn windowed(window: WindowKind) -> Chain {
    let input = schema();
    let assign = WindowAssignSpec {
        zone: Zone::UTC,
        input,
        time: 0,
        watermark: 2,
        window,
        operator: "window".into(),
        late_columns: vec![0, 1],
        by_clock: false,
        lateness_ms: 0,
    };
    let local = WindowLocalSpec {
        zone: Zone::UTC,
        input: assign.output(),
        keys: vec![1],
        pane: 2,
        open_from: 3,
        calls: vec![count()],
        window,
    };
    let time = |name| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), false);
    let mut output = vec![Field::new("auction", DataType::Int64, true)];
    output.extend(["window_start", "window_end", "window_time"].map(time));
    output.push(count().output);
    let global = WindowAggregateSpec {
        zone: Zone::UTC,
        input: local.output(),
        keys: 1,
        calls: vec![count()],
        window,
        query: String::new(),
        output: Arc::new(Schema::new(output)),
    };
    Chain::new(&[&assign, &local, &global], &BuildContext::only_task()).expect("valid specs")
}

fn grouped() -> Chain {
    group_by(&schema(), 1, &count(), false)
}

/// One aggregate by one column, with all changes.
fn group_by(input: &SchemaRef, key: usize, call: &AggregateCall, retract: bool) -> Chain {
    let calls = vec![call.clone()];
    let local = GroupLocalSpec {
        input: Arc::clone(input),
        keys: vec![key],
        calls: calls.clone(),
        retract,
        holding: Holding::UntilRest,
    };
    let output = vec![input.field(key).clone(), call.output.clone()];
    let global = GroupAggregateSpec {
        input: local.output(),
        keys: 1,
        calls,
        retract,
        emit_update_before: true,
        forgetting: Forgetting::Never,
        query: String::new(),
        output: Arc::new(Schema::new(output)),
    };
    Chain::new(&[&local, &global], &BuildContext::only_task()).expect("valid specs")
}

/// Lets the chain work until nothing is left to do; returns the rows that left.
fn work(chain: &mut Chain) -> usize {
    let mut left = 0;
    loop {
        let mut emitted = Emitted::default();
        let progress = chain.work(ProcTime(0), &mut emitted).expect("rows of the schema");
        left += emitted.main.iter().map(Changes::len).sum::<usize>();
        if progress == Progress::Done {
            return left;
        }
    }
}

/// Lets what is held back leave.
fn flush(chain: &mut Chain, why: Flush) -> usize {
    let mut left = 0;
    loop {
        let mut emitted = Emitted::default();
        let progress = chain.flush(why, ProcTime(0), &mut emitted).expect("a flush");
        left += emitted.main.iter().map(Changes::len).sum::<usize>();
        if progress == Progress::Done {
            return left;
        }
    }
}

/// Runs the batches through the chain; returns the rows that left.
fn run(chain: &mut Chain, input: &[(Changes, EventTime)], flush_each: bool) -> usize {
    let mut left = 0;
    for (index, (rows, watermark)) in input.iter().enumerate() {
        let last = index + 1 == input.len();
        chain.rows(0, rows.clone());
        chain.watermark(if last { EventTime::END } else { *watermark });
        left += work(chain);
        if flush_each || last {
            left += flush(chain, Flush::Waiting);
        }
    }
    left
}

fn sessions(gap_ms: i64) -> Chain {
    let time = |name| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), false);
    let mut output = vec![Field::new("auction", DataType::Int64, true)];
    output.extend(["window_start", "window_end", "window_time"].map(time));
    output.push(count().output);
    let spec = SessionAggregateSpec {
        rows: SessionInput {
            zone: Zone::UTC,
            columns: schema(),
            keys: vec![1],
            time: 0,
            watermark: 2,
            gap_ms,
            operator: "session".into(),
            late_columns: vec![0, 1],
            by_clock: false,
        },
        calls: vec![count()],
        query: String::new(),
        output: Arc::new(Schema::new(output)),
    };
    Chain::new(&[&spec], &BuildContext::only_task()).expect("a valid spec")
}

fn session_aggregation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session 1s");
    group.throughput(Throughput::Elements((BATCHES * BATCH_ROWS) as u64));
    for (keys, label) in key_counts() {
        let input = input(keys);
        group.bench_function(BenchmarkId::from_parameter(label), |bencher| {
            bencher.iter_batched_ref(
                || sessions(1_000),
                |chain| black_box(run(chain, &input, false)),
                BatchSize::PerIteration,
            );
        });
    }
}

fn window_aggregation(criterion: &mut Criterion) {
    let windows = [
        ("tumble 10s", WindowKind::Tumble { size_ms: 10_000, offset_ms: 0 }),
        ("hop 10s/2s", WindowKind::Hop { slide_ms: 2_000, size_ms: 10_000, offset_ms: 0 }),
        ("cumulate 10s/2s", WindowKind::Cumulate { step_ms: 2_000, size_ms: 10_000, offset_ms: 0 }),
    ];
    for (name, window) in windows {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements((BATCHES * BATCH_ROWS) as u64));
        for (keys, label) in key_counts() {
            let input = input(keys);
            group.bench_function(BenchmarkId::from_parameter(label), |bencher| {
                bencher.iter_batched_ref(
                    || windowed(window),
                    |chain| black_box(run(chain, &input, false)),
                    BatchSize::PerIteration,
                );
            });
        }
    }
}

fn group_aggregation(criterion: &mut Criterion) {
    for (name, flush_each) in [("group by", false), ("group by, flushed each batch", true)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements((BATCHES * BATCH_ROWS) as u64));
        for (keys, label) in key_counts() {
            let input = input(keys);
            group.bench_function(BenchmarkId::from_parameter(label), |bencher| {
                bencher.iter_batched_ref(
                    grouped,
                    |chain| black_box(run(chain, &input, flush_each)),
                    BatchSize::PerIteration,
                );
            });
        }
    }
}

/// The running count of each key as a function of a program, beside GROUP BY above.
#[derive(Default)]
struct RunningCount {
    count: ValueState<i64>,
}

impl ProcessFunction for RunningCount {
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>> {
        self.count = opening.value("count")?;
        Ok(vec![Field::new("n", DataType::Int64, false)])
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let mut counts = self.count.of(rows)?;
        let counts: Int64Array = rows.each(|key| Some(counts.update(key, |n| n.unwrap_or(0) + 1))).collect();
        out.beside(rows, vec![Arc::new(counts)])
    }
}

fn counted_by_a_function() -> Chain {
    let input = schema();
    let output = vec![input.field(1).clone(), Field::new("n", DataType::Int64, true)];
    let spec = ProcessSpec {
        function: ProcessFactory::new("running_count", RunningCount::default),
        shown: 2,
        keys: vec![1],
        on_time: None,
        watermark: None,
        late_columns: None,
        query: String::new(),
        output: Arc::new(Schema::new(output)),
        input,
    };
    Chain::new(&[&spec], &BuildContext::only_task()).expect("valid specs")
}

fn process_function(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("running count of a function");
    group.throughput(Throughput::Elements((BATCHES * BATCH_ROWS) as u64));
    for (keys, label) in key_counts() {
        let input = input(keys);
        group.bench_function(BenchmarkId::from_parameter(label), |bencher| {
            bencher.iter_batched_ref(
                counted_by_a_function,
                |chain| black_box(run(chain, &input, false)),
                BatchSize::PerIteration,
            );
        });
    }
}

/// How long a task stands still at a barrier that saves a million changed keys.
fn barrier(criterion: &mut Criterion) {
    let window = WindowKind::Tumble { size_ms: 86_400_000, offset_ms: 0 };
    let input = input(Keys::Uniform(1_000_000));
    let mut group = criterion.benchmark_group("barrier at a million keys");
    group.sample_size(10);
    let filled = |mut chain: Chain| {
        for (rows, _) in &input {
            chain.rows(0, rows.clone());
            flush(&mut chain, Flush::All);
        }
        chain
    };
    for (name, build) in [("windows", windowed as fn(WindowKind) -> Chain), ("groups", |_| grouped())] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || filled(build(window)),
                |chain| black_box(chain.snapshot().expect("a snapshot")),
                BatchSize::PerIteration,
            );
        });
    }
}

/// The greatest count of each group of keys, where every row raises the count of one key: what MAX over the changes of a
/// COUNT costs, a value that is taken back and one that comes for each row below.
fn retracted_maximum(criterion: &mut Criterion) {
    const KEYS: u64 = 100_000;
    let changed = Arc::new(Schema::new(vec![
        Field::new("group", DataType::Int64, true),
        Field::new("count", DataType::Int64, true),
    ]));
    let most = Field::new("most", DataType::Int64, true);
    let maximum = AggregateCall::new(AggregateFunction::Max, Some(1), DataType::Int64, most);
    let changes = |groups: u64| -> Vec<(Changes, EventTime)> {
        let mut counts = vec![0i64; KEYS as usize];
        let mut random = Random::new();
        let mut batch = || {
            let (mut columns, mut kinds) = ((Vec::new(), Vec::new()), Vec::new());
            for _ in 0..BATCH_ROWS / 2 {
                let key = random.below(KEYS);
                let count = &mut counts[key as usize];
                for kind in [ChangeKind::UpdateBefore, ChangeKind::UpdateAfter] {
                    if kind == ChangeKind::UpdateAfter {
                        *count += 1;
                    } else if *count == 0 {
                        continue;
                    }
                    columns.0.push(key % groups as i64);
                    columns.1.push(*count);
                    kinds.push(kind);
                }
            }
            let columns: Vec<ArrayRef> =
                vec![Arc::new(Int64Array::from(columns.0)), Arc::new(Int64Array::from(columns.1))];
            let rows = RecordBatch::try_new(Arc::clone(&changed), columns).expect("columns of the schema");
            (Changes::new(rows, kinds), EventTime::NONE)
        };
        (0..BATCHES).map(|_| batch()).collect()
    };
    let mut group = criterion.benchmark_group("maximum of changes");
    group.throughput(Throughput::Elements((BATCHES * BATCH_ROWS / 2) as u64));
    for groups in [1, 1_000, 100_000] {
        let input = changes(groups);
        group.bench_with_input(BenchmarkId::new("groups", groups), &input, |bencher, input| {
            bencher.iter_batched_ref(
                || group_by(&changed, 0, &maximum, true),
                |chain| black_box(run(chain, input, true)),
                BatchSize::PerIteration,
            );
        });
    }
}

/// A window of a million keys fires. What is measured is one look at the inputs to the next, the longest of the fire: what a
/// barrier that comes in the middle has to wait for besides its way through the channels.
fn fire(criterion: &mut Criterion) {
    let window = WindowKind::Tumble { size_ms: 86_400_000, offset_ms: 0 };
    let input = input(Keys::Uniform(1_000_000));
    let mut group = criterion.benchmark_group("fire of a million keys");
    group.sample_size(10);
    group.bench_function("longest step", |bencher| {
        bencher.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                let mut chain = windowed(window);
                for (rows, _) in &input {
                    chain.rows(0, rows.clone());
                    flush(&mut chain, Flush::All);
                }
                chain.watermark(EventTime::END);
                let mut longest = Duration::ZERO;
                loop {
                    let mut emitted = Emitted::default();
                    let start = Instant::now();
                    let progress = chain.work(ProcTime(0), &mut emitted).expect("a step");
                    longest = longest.max(start.elapsed());
                    if progress == Progress::Done {
                        break;
                    }
                }
                total += longest;
            }
            total
        });
    });
}

/// What the encoding of 200,000 changed groups costs beside the running task.
fn encoding(criterion: &mut Criterion) {
    const GROUPS: usize = 200_000;
    let field = |name| Field::new(name, DataType::Int64, true);
    let spec = TableSpec {
        name: "groups".into(),
        schema: Arc::new(Schema::new(vec![field("auction"), field("n")])),
        key: vec![0],
        kind: TableKind::Keyed { unique: 1 },
    };
    let keys = (0..GROUPS as i64).map(|key| key.wrapping_mul(0x9E37_79B9) % 1_000_000);
    let keys: ArrayRef = Arc::new(keys.collect::<Int64Array>());
    let counts: ArrayRef = Arc::new((0..GROUPS as i64).map(|key| key % 97).collect::<Int64Array>());
    let rows = RecordBatch::try_new(spec.schema.clone(), vec![keys, counts]).expect("rows of the table");
    let mut group = criterion.benchmark_group("state file");
    group.throughput(Throughput::Elements(GROUPS as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| black_box(encode(&spec, std::slice::from_ref(&rows), &[], 128).expect("a file")));
    });
    let file = encode(&spec, std::slice::from_ref(&rows), &[], 128).expect("a file").bytes;
    group.bench_function("digest", |bencher| bencher.iter(|| black_box(digest(&file))));
}

/// State of a million keys of 36 bytes, in five increments that overlap, read back into an empty operator.
fn restore(criterion: &mut Criterion) {
    const INCREMENTS: usize = 5;
    const ROWS: usize = 400_000;
    const GROUPS: u32 = 128;
    let input = Arc::new(Schema::new(vec![Field::new("order_id", DataType::Utf8, true)]));
    let keyed = || group_by(&input, 0, &count(), false);
    let (store, directory) = (FakeStore::new(), Path::new("/state/job"));
    let mut chain = keyed();
    let mut tables: BTreeMap<(usize, String), (TableSpec, TableState)> = BTreeMap::new();
    for increment in 0..INCREMENTS {
        let first = increment * ROWS * 3 / 8;
        for start in (first..first + ROWS).step_by(BATCH_ROWS) {
            let keys = (start..(start + BATCH_ROWS).min(first + ROWS)).map(|key| {
                let digits = (key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                Some(format!("{:08x}-0000-4000-8000-{key:012x}", digits >> 32))
            });
            let keys: ArrayRef = Arc::new(keys.collect::<StringArray>());
            let rows = RecordBatch::try_new(Arc::clone(&input), vec![keys]).expect("rows of the schema");
            chain.rows(0, Changes::inserts(rows));
            work(&mut chain);
            flush(&mut chain, Flush::Waiting);
        }
        for (operator, snapshot) in chain.snapshot().expect("a snapshot").into_iter().enumerate() {
            for (spec, writer) in snapshot {
                let name = FileName {
                    epoch: Epoch(increment as u64 + 1),
                    generation: Generation(1),
                    operator: "groups",
                    table: &spec.name,
                    writer: Writer::Task { task: operator, attempt: 0 },
                };
                let file = write_table(&store, directory, &name, &spec, &writer, GROUPS).expect("a file");
                let state = || TableState {
                    name: spec.name.clone(),
                    schema: schema_text(&spec.schema),
                    kind: spec.kind,
                    key: spec.key.clone(),
                    retired: Vec::new(),
                    files: Vec::new(),
                };
                let table = tables.entry((operator, spec.name.clone()));
                table.or_insert_with(|| (spec.clone(), state())).1.files.extend(file);
            }
        }
    }
    let files = || tables.values().flat_map(|(_, table)| &table.files);
    let mut group = criterion.benchmark_group("restore of a million keys");
    let load = || {
        let mut chain = keyed();
        let progress = RestoreProgress::default();
        let loaded = chain.each_table(|operator, table| {
            let Some((spec, state)) = tables.get(&(operator, table.spec().name)) else { return Ok(()) };
            let groups = 0..GROUPS as u16;
            table.load(&mut read_table(&store, directory, state, &groups, spec, &progress)?)
        });
        loaded.expect("the state that was saved");
        chain
    };
    group.throughput(Throughput::Elements(files().map(|file| file.rows).sum()));
    group.bench_function("rows", |bencher| bencher.iter_with_large_drop(load));
    group.throughput(Throughput::Bytes(files().map(|file| file.length).sum()));
    group.bench_function("bytes", |bencher| bencher.iter_with_large_drop(load));
}

/// What no operator can be faster than: rows copied once, keys hashed once, a slot read once for each row.
fn machine(criterion: &mut Criterion) {
    const ROWS: usize = 1 << 20;
    let input = input(Keys::Uniform(1_000_000));
    let keys: Vec<ArrayRef> = input.iter().map(|(rows, _)| Arc::clone(rows.batch().column(1))).collect();
    let mut group = criterion.benchmark_group("the machine");
    group.throughput(Throughput::Elements(ROWS as u64));
    let (from, mut to) = (vec![[1_u64; 3]; ROWS], vec![[0_u64; 3]; ROWS]);
    group.bench_function("copy of 24 bytes a row", |bencher| bencher.iter(|| to.copy_from_slice(black_box(&from))));
    group.bench_function("hash of a key", |bencher| {
        bencher.iter(|| keys.iter().for_each(|keys| drop(black_box(key_hashes(std::slice::from_ref(keys))))));
    });
    let slots: Vec<u128> = (0..1_000_000).collect();
    group.bench_function("random read in a million slots of 16 bytes", |bencher| {
        let values = || keys.iter().flat_map(|keys| keys.as_primitive::<Int64Type>().values());
        bencher.iter(|| black_box(values().map(|key| slots[*key as usize]).sum::<u128>()));
    });
}

/// One function of each family over a batch of short texts, or of documents of 60 bytes.
fn functions(criterion: &mut Criterion) {
    let texts =
        |of: fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..BATCH_ROWS).map(of))) };
    let words = texts(|row| format!("word {row} of {}", row % 7));
    let numbers = texts(|row| row.to_string());
    let patterns = texts(|_| "o[rf]".to_owned());
    let urls = texts(|row| format!("http://example.com/p?q={row}&w=2"));
    let parts = texts(|_| "QUERY".to_owned());
    let documents =
        texts(|row| format!("{{\"id\":{row},\"user\":{{\"name\":\"u{}\",\"tags\":[1,2]}},\"price\":1.5}}", row % 100));
    let constant = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let call =
        |name: &str, output: DataType| Call::new(lookup(name).expect("a function there is"), output, true, Vec::new());
    let nothing = json::Otherwise::Null.parameter();
    let json_value = Call::new(&json::JSON_VALUE, DataType::Utf8, true, vec![nothing, nothing]);
    let json_exists = Call::new(&json::JSON_EXISTS, DataType::Boolean, true, vec![nothing]);
    let cases = [
        (call("MD5", DataType::Utf8), vec![Arc::clone(&words)]),
        (call("TO_BASE64", DataType::Utf8), vec![Arc::clone(&words)]),
        (call("IS_DIGIT", DataType::Boolean), vec![Arc::clone(&numbers)]),
        (call("REGEXP_COUNT", DataType::Int32), vec![Arc::clone(&words), patterns]),
        (call("PARSE_URL", DataType::Utf8), vec![urls, parts]),
        (call("PRINTF", DataType::Utf8), vec![constant("%10s|"), words]),
        (Call::new(&ITEM, DataType::Int32, true, Vec::new()), vec![arrays(), Arc::new(Int32Array::from(vec![2]))]),
        (call("ARRAY_DISTINCT", list_of(DataType::Int32)), vec![arrays()]),
        (json_value, vec![Arc::clone(&documents), constant("$.user.name")]),
        (json_exists, vec![documents, constant("lax $.user.tags[1]")]),
    ];
    let mut group = criterion.benchmark_group("functions");
    group.throughput(Throughput::Elements(BATCH_ROWS as u64));
    for (call, arguments) in &cases {
        group.bench_function(call.function.name, |bencher| {
            bencher.iter(|| black_box((call.function.body)(call, arguments, BATCH_ROWS).expect("values that fit")));
        });
    }
}

/// An array of none to seven numbers in each row.
fn arrays() -> ArrayRef {
    let row = |row: i32| Some((0..row % 8).map(move |element| Some((row ^ element) % 5)));
    Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>((0..BATCH_ROWS as i32).map(row)))
}

/// A batch of arrays as rows beside a number and a text, and beside it the copy of as many numbers.
fn unnesting(criterion: &mut Criterion) {
    let arrays = arrays();
    let input: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("numbers", arrays.data_type().clone(), true),
    ]));
    let unnest = Unnest::default();
    let columns = unnest.columns(arrays.data_type()).expect("an array");
    let spec = UnnestSpec {
        input: Arc::clone(&input),
        collection: 2,
        text: "numbers".into(),
        unnest,
        columns,
        before: vec![0, 1],
        behind: Vec::new(),
    };
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..BATCH_ROWS as i64));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..BATCH_ROWS).map(|row| format!("name {row}"))));
    let values = Arc::clone(arrays.as_list::<i32>().values());
    let batch = RecordBatch::try_new(input, vec![ids, names, arrays]).expect("columns of the schema");
    let rows = Changes::inserts(batch);
    let mut group = criterion.benchmark_group("unnest");
    group.throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("rows out", |bencher| {
        let mut chain = Chain::new(&[&spec], &BuildContext::only_task()).expect("a valid spec");
        bencher.iter(|| {
            chain.rows(0, rows.clone());
            black_box(work(&mut chain))
        });
    });
    group.bench_function("copy of the elements", |bencher| {
        bencher.iter(|| black_box(values.as_primitive::<Int32Type>().values().to_vec()));
    });
}

fn key_counts() -> [(Keys, &'static str); 5] {
    [
        (Keys::Uniform(1), "1 key"),
        (Keys::Uniform(1_000), "1 k keys"),
        (Keys::Uniform(200_000), "200 k keys"),
        (Keys::Uniform(1_000_000), "1 M keys"),
        (Keys::Skewed, "skewed keys"),
    ]
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = machine, functions, unnesting, window_aggregation, session_aggregation, group_aggregation, process_function, retracted_maximum, barrier, fire, encoding, restore
}
criterion_main!(benches);
