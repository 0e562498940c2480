//! An operator with two inputs, by key on both or with one that goes to all tasks: killed at any moment and taken up at
//! another parallelism, it has seen every row of both once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use beadline::connectors::SinkMode;
use beadline::connectors::memory::{MemorySink, MemorySource};
use beadline::error::Result;
use beadline::expressions::Scalar;
use beadline::operators::{BuildContext, Context, Operator, OperatorSpec, Progress};
use beadline::plan::{
    ChangelogMode, Edge, Exchange, Node, NodeKind, OnError, Output, Parallelism, SinkNode, SourceNode, StreamPlan,
};
use beadline::runtime::{Ending, JobConfig};
use beadline::state::{KeyedTable, SlotColumns, StateTable};
use beadline::storage::FakeStore;
use beadline::stream::{Changes, EventTime};

use crate::contracts::{config, ids, run_turns, visible};
use crate::support::full;

/// What a row of the second input counts, beside one of the first.
const SECOND: i64 = 1000;

/// Counts rows by id and input, and says at the end of both what it has counted: a million times the id, and a thousand
/// for each row of the second input, and one for each of the first.
#[derive(Debug)]
struct CountBothSpec;

struct CountBoth {
    table: KeyedTable<Counts>,
    watermark: EventTime,
    ended: usize,
}

#[derive(Debug, Default)]
struct Counts(Vec<i64>);

impl fmt::Display for CountBothSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("CountBoth")
    }
}

impl OperatorSpec for CountBothSpec {
    fn name(&self) -> &'static str {
        "CountBoth"
    }

    fn signature(&self) -> String {
        "CountBoth".to_owned()
    }

    fn output(&self) -> arrow::datatypes::SchemaRef {
        ids()
    }

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
        let schema = Arc::new(Schema::new(vec![ids().field(0).clone(), Counts::default().fields()[0].clone()]));
        let table = KeyedTable::new("counts", schema, 1, 1, Counts::default())?;
        Ok(Box::new(CountBoth { table, watermark: EventTime::NONE, ended: 0 }))
    }
}

impl Operator for CountBoth {
    fn on_rows(&mut self, port: usize, rows: Changes, _: &mut Context) -> Result<Progress> {
        let mut slots = Vec::new();
        self.table.assign(rows.batch().columns(), rows.len(), &mut slots)?;
        let count = Int64Array::from_value(if port == 0 { 1 } else { SECOND }, rows.len());
        self.table.merge(&slots, &[Arc::new(count)])?;
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

    fn on_end(&mut self, _: usize, cx: &mut Context) -> Result<Progress> {
        self.ended += 1;
        let counts = self.table.table().columns.0.iter().enumerate();
        let slots: Vec<u32> = counts.filter(|(_, count)| **count > 0).map(|(slot, _)| slot as u32).collect();
        if self.ended == 2 && !slots.is_empty() {
            let keys = self.table.table().index.gather(&slots)?;
            let keys = keys[0].as_primitive::<Int64Type>().values().iter();
            let counts = slots.iter().map(|slot| self.table.table().columns.0[*slot as usize]);
            let results: ArrayRef =
                Arc::new(Int64Array::from_iter_values(keys.zip(counts).map(|(key, count)| key * 1_000_000 + count)));
            cx.emit(Changes::inserts(RecordBatch::try_new(ids(), vec![results])?));
            self.table.remove(&slots);
        }
        Ok(Progress::Done)
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        vec![&mut self.table]
    }
}

impl SlotColumns for Counts {
    fn fields(&self) -> Vec<Field> {
        vec![Field::new("count", DataType::Int64, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.0.resize(slots, 0);
    }

    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.clear(slots);
        self.merge(slots, columns)
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        for (slot, count) in slots.iter().zip(columns[0].as_primitive::<Int64Type>().values()) {
            self.0[*slot as usize] += *count;
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let counts = slots.iter().map(|slot| self.0[*slot as usize]);
        Ok(vec![Arc::new(Int64Array::from_iter_values(counts))])
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

/// Hands on the rows of both inputs as they are.
#[derive(Debug)]
struct PassBothSpec;

struct PassBoth(EventTime);

impl fmt::Display for PassBothSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PassBoth")
    }
}

impl OperatorSpec for PassBothSpec {
    fn name(&self) -> &'static str {
        "PassBoth"
    }

    fn signature(&self) -> String {
        String::new()
    }

    fn output(&self) -> arrow::datatypes::SchemaRef {
        ids()
    }

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
        Ok(Box::new(PassBoth(EventTime::NONE)))
    }
}

impl Operator for PassBoth {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        cx.emit(rows);
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, _: &mut Context) -> Result<Progress> {
        self.0 = time;
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        self.0
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        Vec::new()
    }
}

/// Two tables of numbers, an operator that reads the second through `exchange`, a sink.
fn plan(tables: [Vec<i64>; 2], operator: Arc<dyn OperatorSpec>, exchange: Exchange, sink: &MemorySink) -> StreamPlan {
    let node = |name: &str, kind, inputs, parallelism| Node {
        name: name.to_owned(),
        kind,
        inputs,
        parallelism,
        schema: ids(),
        mode: ChangelogMode::APPEND,
        keys: Vec::new(),
    };
    let edge = |from, exchange, port| Edge { from, output: Output::Main, exchange, port };
    let source = |table: &str, numbers: Vec<i64>| {
        let batch = |numbers: &[i64]| {
            let column: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
            RecordBatch::try_new(ids(), vec![column]).expect("a column of numbers")
        };
        let splits = numbers.chunks(40).map(|split| split.chunks(3).map(batch).collect()).collect();
        NodeKind::Source(SourceNode {
            table: table.to_owned(),
            signature: table.to_owned(),
            factory: Arc::new(MemorySource::bounded(ids(), splits).expect("batches of one schema")),
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
        })
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
    let [first, second] = tables;
    let inputs = vec![edge(0, Exchange::Hash(vec![0]), 0), edge(1, exchange, 1)];
    StreamPlan {
        nodes: vec![
            node("source-0", source("first", first), Vec::new(), Parallelism::One),
            node("source-1", source("second", second), Vec::new(), Parallelism::One),
            node("chain-2", NodeKind::Chain(vec![operator]), inputs, Parallelism::Default),
            node("sink-3", NodeKind::Sink(sink), vec![edge(2, Exchange::Forward, 0)], Parallelism::Default),
        ],
    }
}

/// Runs a plan to its end, killed at moments that follow from the seed; says how often.
fn run_killed(plan: &StreamPlan, seed: u64, parallelism: impl Fn(u64) -> usize) -> usize {
    let store = FakeStore::new();
    for start in 0..4 {
        let config = JobConfig {
            checkpoint_every_rows: Some(5 + seed % 11),
            parallelism: parallelism(start),
            ..config(seed + 100 * start)
        };
        let turns = (start < 3).then_some(30 + 23 * ((seed + start) % 8));
        if let Some(ended) = run_turns(plan, config, &store, turns) {
            let ending = ended.unwrap_or_else(|error| panic!("seed {seed}: {error}")).ending;
            assert_eq!(ending, Ending::Finished, "seed {seed}");
            return start as usize;
        }
    }
    panic!("seed {seed}: the last start is not killed")
}

#[test]
fn both_inputs_of_an_operator_are_aligned() {
    let mut kills = 0;
    for seed in 0..if full() { 300 } else { 30 } {
        let sink = MemorySink::new(SinkMode::Append);
        // Each number once in the first table and twice in the second, which is read for longer.
        let tables = [(0..60).collect(), (0..60).chain(0..60).collect()];
        let plan = plan(tables, Arc::new(CountBothSpec), Exchange::Hash(vec![0]), &sink);
        kills += run_killed(&plan, seed, |start| 1 + (seed + start) as usize % 4);
        let expected: Vec<i64> = (0..60).map(|id| id * 1_000_000 + 2 * SECOND + 1).collect();
        assert_eq!(visible(&sink), expected, "seed {seed}");
    }
    assert!(kills > 20, "only {kills} kills");
}

#[test]
fn every_task_gets_the_rows_of_a_broadcast_once() {
    let mut kills = 0;
    for seed in 0..if full() { 300 } else { 30 } {
        let sink = MemorySink::new(SinkMode::Append);
        let parallelism = 1 + seed as usize % 4;
        let tables = [(0..60).collect(), (SECOND..SECOND + 60).collect()];
        let plan = plan(tables, Arc::new(PassBothSpec), Exchange::Broadcast, &sink);
        kills += run_killed(&plan, seed, |_| parallelism);
        let mut times = BTreeMap::<i64, usize>::new();
        visible(&sink).into_iter().for_each(|id| *times.entry(id).or_default() += 1);
        let expected = (0..60).map(|id| (id, 1)).chain((SECOND..SECOND + 60).map(|id| (id, parallelism)));
        assert_eq!(times, expected.collect(), "seed {seed}");
    }
    assert!(kills > 20, "only {kills} kills");
}
