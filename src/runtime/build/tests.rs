//! A barrier inside a fire, and a restart behind it at another parallelism: through real state files, every row of every
//! window leaves exactly once, and no row behind the watermark that was passed on before it.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType, UInt16Type};

use super::*;
use crate::operators::testing::windows_holding;
use crate::operators::{
    AggregateCall, AggregateFunction, Emitted, Flush, OperatorSpec, Progress, WindowAggregateSpec, WindowAssignSpec,
    WindowKind, WindowLocalSpec,
};
use crate::state::{
    FileName, Retired, StateTable, TableSpec, TableState, Writer, key_groups, schema_text, task_of, write_table,
};
use crate::storage::FakeStore;
use crate::stream::{Changes, Epoch, Generation, ProcTime, Zone};

const MAX_PARALLELISM: u32 = 128;
/// All chains: assignment, local half, global half.
const GLOBAL: usize = 2;

/// Time, key, value.
type Row = (i64, i64, i64);
/// By end and key: count and least value, once for each time that the row left.
type Windows = BTreeMap<(i64, i64), Vec<(i64, i64)>>;

struct Query {
    window: WindowKind,
    assign: WindowAssignSpec,
    local: WindowLocalSpec,
    global: WindowAggregateSpec,
}

impl Query {
    /// `COUNT(*)`, and `MIN(v)` or `COUNT(v)`, by `k`.
    fn new(window: WindowKind, second: AggregateFunction) -> Self {
        let time = |name| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), false);
        let number = |name| Field::new(name, DataType::Int64, false);
        let input = Arc::new(Schema::new(vec![time("ts"), number("k"), number("v"), number("$watermark")]));
        let assign = WindowAssignSpec {
            zone: Zone::UTC,
            input: SchemaRef::clone(&input),
            time: 0,
            watermark: 3,
            window,
            operator: "window".to_owned(),
            late_columns: vec![0, 1, 2],
            by_clock: false,
            lateness_ms: 0,
        };
        let output = |name| Field::new(name, DataType::Int64, true);
        let call = |function, argument, name| AggregateCall::new(function, argument, DataType::Int64, output(name));
        let calls = vec![call(AggregateFunction::Count, None, "n"), call(second, Some(2), "s")];
        let (input, keys, pane, open_from) = (assign.output(), vec![1], 3, 4);
        let local = WindowLocalSpec { zone: Zone::UTC, pane, open_from, keys, calls: calls.clone(), window, input };
        let mut output = vec![number("k")];
        output.extend(["window_start", "window_end", "window_time"].map(time));
        output.extend(calls.iter().map(|call| call.output.clone()));
        let (input, output) = (local.partial_schema().unwrap(), Arc::new(Schema::new(output)));
        let global =
            WindowAggregateSpec { zone: Zone::UTC, input, keys: 1, calls, window, query: String::new(), output };
        Self { window, assign, local, global }
    }

    /// Adds the rows to the windows that were open at `watermark`.
    fn count(&self, rows: &[Row], watermark: i64, windows: &mut Windows) {
        let is_least = self.global.calls[1].function == AggregateFunction::Min;
        for (time, key, value) in rows {
            for (_, end) in windows_holding(self.window, *time) {
                if end - 1 > watermark {
                    let result = windows.entry((end, *key)).or_insert_with(|| vec![(0, i64::MAX)]);
                    let count = result[0].0 + 1;
                    result[0] = (count, if is_least { result[0].1.min(*value) } else { count });
                }
            }
        }
    }
}

/// The tasks of a window query with their checkpoints.
struct Job<'a> {
    query: &'a Query,
    batch_rows: usize,
    store: FakeStore,
    epoch: u64,
    tables: BTreeMap<(usize, String), TableState>,
    watermark: i64,
    chains: Vec<Chain>,
    /// By task, what has been passed on; not before what all had passed on at the last checkpoint.
    passed_on: Vec<EventTime>,
    emitted: Windows,
    expected: Windows,
    /// Key groups that were in the middle of a fire, over all checkpoints.
    firing: usize,
}

impl<'a> Job<'a> {
    fn new(query: &'a Query, batch_rows: usize, parallelism: usize) -> Self {
        let mut job = Self {
            query,
            batch_rows,
            store: FakeStore::new(),
            epoch: 0,
            tables: BTreeMap::new(),
            watermark: i64::MIN,
            chains: Vec::new(),
            passed_on: vec![EventTime::NONE],
            emitted: Windows::new(),
            expected: Windows::new(),
            firing: 0,
        };
        job.start(parallelism);
        job
    }

    fn directory() -> &'static Path {
        Path::new("/state/job")
    }

    /// Fresh tasks, which go on from the last checkpoint.
    fn start(&mut self, parallelism: usize) {
        let least = self.passed_on.iter().min().copied().unwrap_or(EventTime::NONE);
        self.passed_on = vec![least; parallelism];
        let specs: [&dyn OperatorSpec; 3] = [&self.query.assign, &self.query.local, &self.query.global];
        let chain = |task| {
            let key_groups = key_range(task, parallelism, MAX_PARALLELISM);
            let cx = BuildContext {
                task,
                tasks: parallelism,
                key_groups: key_groups.clone(),
                batch_rows: self.batch_rows,
                output: OutputBudget { rows: 2 * self.batch_rows, bytes: usize::MAX },
                ..BuildContext::only_task()
            };
            let mut chain = Chain::new(&specs, &cx).unwrap();
            if self.epoch > 0 {
                let load = |operator, table: &mut dyn StateTable| {
                    let spec = table.spec();
                    let saved = &self.tables[&(operator, spec.name.clone())];
                    let progress = RestoreProgress::default();
                    let store = &self.store;
                    table.load(&mut read_table(store, Self::directory(), saved, &key_groups, &spec, &progress)?)
                };
                chain.each_table(load).unwrap();
                chain.go_on_from(&[EventTime(self.watermark); 3]);
            }
            chain
        };
        self.chains = (0..parallelism).map(chain).collect();
    }

    /// Rows that meet the present watermark.
    fn rows(&mut self, rows: &[Row]) {
        self.query.count(rows, self.watermark, &mut self.expected);
        let numbers = |of: &dyn Fn(&Row) -> i64| rows.iter().map(of).collect::<Vec<_>>();
        let keys: ArrayRef = Arc::new(Int64Array::from(numbers(&|row| row.1)));
        let groups = key_groups(&[ArrayRef::clone(&keys)], MAX_PARALLELISM).unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMillisecondArray::from(numbers(&|row| row.0))),
            keys,
            Arc::new(Int64Array::from(numbers(&|row| row.2))),
            Arc::new(Int64Array::from_value(self.watermark, rows.len())),
        ];
        let rows = RecordBatch::try_new(SchemaRef::clone(&self.query.assign.input), columns).unwrap();
        let parallelism = self.chains.len();
        for (task, chain) in self.chains.iter_mut().enumerate() {
            let own = groups.iter().map(|group| Some(task_of(*group, parallelism, MAX_PARALLELISM) == task)).collect();
            let own = arrow::compute::filter_record_batch(&rows, &own).unwrap();
            chain.rows(0, Changes::inserts(own));
        }
    }

    fn met(&mut self, watermark: i64) {
        self.watermark = watermark;
        self.chains.iter_mut().for_each(|chain| chain.watermark(EventTime(watermark)));
    }

    /// Lets task 0 work `most` times, the next one twice as often and so on, or until nothing is left to do.
    fn work(&mut self, most: usize) {
        for task in 0..self.chains.len() {
            for _ in 0..most.saturating_mul(task + 1) {
                let mut emitted = Emitted::default();
                let progress = self.chains[task].work(ProcTime(0), &mut emitted).unwrap();
                self.collect(task, emitted);
                if progress == Progress::Done {
                    break;
                }
            }
        }
    }

    fn collect(&mut self, task: usize, emitted: Emitted) {
        let rows: usize = emitted.main.iter().map(Changes::len).sum();
        // The budget, which is two batches, may be all but used up when a last call begins that uses it up, by a batch more.
        assert!(rows < 5 * self.batch_rows, "what leaves at once is bounded: {rows}");
        for rows in &emitted.main {
            let column = |index: usize| rows.column(index).as_primitive::<Int64Type>().values();
            let ends = rows.column(2).as_primitive::<TimestampMillisecondType>().values();
            for (row, end) in ends.iter().enumerate() {
                assert!(EventTime(end - 1) > self.passed_on[task], "a row of {end} behind {:?}", self.passed_on);
                let result = (column(4)[row], column(5)[row]);
                self.emitted.entry((*end, column(0)[row])).or_default().push(result);
            }
        }
        self.passed_on[task] = self.passed_on[task].max(emitted.watermark.unwrap_or(EventTime::NONE));
    }

    /// A barrier passes all tasks and its checkpoint completes.
    fn checkpoint(&mut self) {
        self.epoch += 1;
        let parallelism = self.chains.len();
        for task in 0..parallelism {
            loop {
                let mut emitted = Emitted::default();
                let progress = self.chains[task].flush(Flush::All, ProcTime(0), &mut emitted).unwrap();
                self.collect(task, emitted);
                if progress == Progress::Done {
                    break;
                }
            }
            assert_eq!(self.chains[task].watermarks().nth(GLOBAL), Some(EventTime(self.watermark)));
            let groups = key_range(task, parallelism, MAX_PARALLELISM);
            for (operator, tables) in self.chains[task].snapshot().unwrap().into_iter().enumerate() {
                for (spec, rows) in tables {
                    let name = FileName {
                        epoch: Epoch(self.epoch),
                        generation: Generation(1),
                        operator: &operator.to_string(),
                        table: &spec.name,
                        writer: Writer::Task { task, attempt: 0 },
                    };
                    let file = write_table(&self.store, Self::directory(), &name, &spec, &rows, MAX_PARALLELISM);
                    let table = self.tables.entry((operator, spec.name.clone())).or_insert_with(|| empty(&spec));
                    table.files.extend(file.unwrap());
                    let groups = (groups.start, groups.end - 1);
                    let retired = rows.retired_before.map(|time| Retired { groups, before: time.0 });
                    table.retired = Retired::combined(table.retired.iter().copied().chain(retired));
                }
            }
        }
        self.firing += self.groups_in_a_fire().len();
    }

    /// What the table `firing` of the last checkpoint says, as anybody may read it.
    fn groups_in_a_fire(&self) -> Vec<u16> {
        let mut chain = Chain::new(&[&self.query.global], &BuildContext::only_task()).unwrap();
        let mut groups = Vec::new();
        let read = |_, table: &mut dyn StateTable| {
            let spec = table.spec();
            if spec.name == "firing" {
                let (saved, progress) = (&self.tables[&(GLOBAL, spec.name.clone())], RestoreProgress::default());
                for rows in read_table(&self.store, Self::directory(), saved, &(0..128), &spec, &progress)? {
                    let rows = rows?;
                    assert_eq!(rows.schema(), spec.schema);
                    groups.extend(rows.column(0).as_primitive::<UInt16Type>().values());
                }
            }
            Ok(())
        };
        chain.each_table(read).unwrap();
        groups
    }

    /// Works everything off and compares.
    fn finish(mut self, what: &str) -> usize {
        self.met(i64::MAX);
        self.work(usize::MAX);
        self.checkpoint();
        assert_eq!(self.groups_in_a_fire(), Vec::<u16>::new(), "{what}: nothing is firing at the end");
        let of = |windows: &Windows, key| windows.get(key).cloned().unwrap_or_default();
        let keys = self.expected.keys().chain(self.emitted.keys());
        let differs = keys.filter(|key| of(&self.expected, key) != of(&self.emitted, key));
        let differs: Vec<_> =
            differs.take(5).map(|key| (key, of(&self.expected, key), of(&self.emitted, key))).collect();
        assert!(differs.is_empty(), "{what}: (end, key), expected, emitted: {differs:?}");
        self.firing
    }
}

fn empty(spec: &TableSpec) -> TableState {
    TableState {
        name: spec.name.clone(),
        schema: schema_text(&spec.schema),
        kind: spec.kind,
        key: spec.key.clone(),
        retired: Vec::new(),
        files: Vec::new(),
    }
}

/// One row of each key at each of some times.
fn rows(keys: i64, times: impl Iterator<Item = i64> + Clone) -> Vec<Row> {
    (0..keys).flat_map(|key| times.clone().map(move |time| (time, key, (key * 31 + time * 7) % 100))).collect()
}

fn queries() -> [Query; 4] {
    let hop = WindowKind::Hop { slide_ms: 5, size_ms: 15, offset_ms: 0 };
    [
        Query::new(WindowKind::Tumble { size_ms: 10, offset_ms: 0 }, AggregateFunction::Min),
        Query::new(hop, AggregateFunction::Count),
        Query::new(hop, AggregateFunction::Min),
        Query::new(WindowKind::Cumulate { step_ms: 5, size_ms: 15, offset_ms: 0 }, AggregateFunction::Min),
    ]
}

#[test]
fn a_restart_inside_a_fire_at_another_parallelism_repeats_and_loses_no_row() {
    for query in &queries() {
        for parallelism in [[1, 2, 1], [2, 1, 2], [2, 3, 2], [1, 1, 1]] {
            let mut firing = 0;
            for stop in 0..12 {
                let mut job = Job::new(query, 8, parallelism[0]);
                job.rows(&rows(60, (0..30).step_by(4)));
                job.work(usize::MAX);
                job.met(3);
                job.work(usize::MAX);
                job.checkpoint();
                job.rows(&rows(60, (7..30).step_by(5)));
                job.met(25);
                job.work(stop);
                // Rows behind the mark come while the windows before it are on their way out.
                job.rows(&rows(40, (26..33).step_by(3)));
                job.checkpoint();

                job.start(parallelism[1]);
                // Sometimes not as far as the task that was ahead had come.
                job.work(stop % 3);
                job.rows(&rows(60, (22..50).step_by(6)));
                job.met(36);
                job.work(stop % 2);
                job.checkpoint();
                job.rows(&rows(10, 40..42));
                job.work(stop % 5 / 2);
                job.checkpoint();

                job.start(parallelism[2]);
                job.rows(&rows(60, (37..45).step_by(2)));
                firing += job.finish(&format!("{}, {parallelism:?}, stop {stop}", query.window));
            }
            assert!(firing > 1000, "{}: barriers pass inside fires: {firing}", query.window);
        }
    }
}

#[test]
fn a_window_of_many_hash_buckets_goes_on_from_its_mark_at_another_parallelism() {
    for query in &queries() {
        for (from, to) in [(1, 2), (2, 1)] {
            let mut job = Job::new(query, 1024, from);
            job.rows(&rows(20_000, [1, 12].into_iter()));
            job.work(usize::MAX);
            job.met(16);
            job.work(5);
            job.checkpoint();
            job.start(to);
            job.rows(&rows(20_000, [18].into_iter()));
            let firing = job.finish(&format!("{}, {from} to {to}", query.window));
            assert!(firing >= 64, "{}: the barrier passes inside a fire: {firing}", query.window);
        }
    }
}
