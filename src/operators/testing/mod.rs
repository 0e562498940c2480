//! The driver of operator tests: one script, run in every way in which a run may differ without the result differing.
//!
//! ```text
//! +I 1, a, 2.5        a row: kind, then the values of the input columns (NULL, '' for the empty string)
//! watermark 1000      milliseconds, or `end`
//! tick 5000           processing time moves on
//! end                 the final watermark, then the end of the input
//! ```
//! Neighbouring rows come in together. After each step the inputs are dry, and a barrier may pass.

mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use arrow::util::display::array_value_to_string;
use expect_test::Expect;

use super::{Context, Flush, Operator, OperatorSpec};
use crate::state::snapshot;
use crate::stream::{ChangeKind, Changes, Counters, EventTime, ProcTime};
use store::Stored;

/// How the output of two runs is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    /// The rows of each step, in any order.
    Rows,
    /// What all changes so far add up to.
    Changes,
    /// The same where old versions are left out: the last row of each key, the key being this many columns.
    Upserts(usize),
}

/// When checkpoints pass and what becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkpoints {
    Never,
    /// After each step, followed by a restart.
    Restart,
    /// After each step; every second is aborted, the others are followed by a restart.
    EverySecondAborted,
    /// After each step, without a restart until the last but one.
    OneRestart,
}

/// Runs the script plainly against `expected`, then with restarts, aborted checkpoints and other batch sizes against
/// the plain run. `chain` is one operator, or several that call each other. Returns what was counted.
pub(crate) fn check_operator(
    chain: &[&dyn OperatorSpec],
    input: &SchemaRef,
    compare: Compare,
    script: &str,
    expected: Expect,
) -> Counters {
    let steps = parse(script, input);
    let plain = run(chain, input, &steps, 8192, Checkpoints::Never);
    expected.assert_eq(&plain.transcript(&steps));
    compare_all_ways(chain, input, compare, &steps, &plain);
    plain.counters
}

/// The same for a script that is made up: returns what is compared, by step.
pub(crate) fn run_all_ways(
    chain: &[&dyn OperatorSpec],
    input: &SchemaRef,
    compare: Compare,
    script: &str,
) -> Vec<Vec<String>> {
    let steps = parse(script, input);
    let plain = run(chain, input, &steps, 8192, Checkpoints::Never);
    compare_all_ways(chain, input, compare, &steps, &plain);
    plain.compared(compare)
}

fn compare_all_ways(chain: &[&dyn OperatorSpec], input: &SchemaRef, compare: Compare, steps: &[Step], plain: &Run) {
    for batch_rows in [8192, 7, 1] {
        for checkpoints in
            [Checkpoints::Never, Checkpoints::Restart, Checkpoints::EverySecondAborted, Checkpoints::OneRestart]
        {
            let other = run(chain, input, steps, batch_rows, checkpoints);
            let what = format!("batches of {batch_rows}, checkpoints: {checkpoints:?}");
            assert_eq!(other.compared(compare), plain.compared(compare), "{what}");
            assert_eq!(other.late_rows(), plain.late_rows(), "late rows, {what}");
            assert_eq!(other.counters, plain.counters, "counters, {what}");
        }
    }
}

/// One step of a script.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Rows(Vec<(ChangeKind, Vec<Option<String>>)>),
    Watermark(EventTime),
    Tick(ProcTime),
    End,
}

/// What left at each step.
#[derive(Debug, Default)]
struct Run {
    /// Rows as text with their kinds, by step.
    out: Vec<Vec<(ChangeKind, Vec<String>)>>,
    late: Vec<Vec<String>>,
    counters: Counters,
}

fn parse(script: &str, input: &SchemaRef) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let millis = || rest.trim().parse::<i64>().unwrap_or_else(|_| panic!("no number in {line:?}"));
        let kinds = [ChangeKind::Insert, ChangeKind::UpdateBefore, ChangeKind::UpdateAfter, ChangeKind::Delete];
        let step = match word {
            "watermark" if rest.trim() == "end" => Step::Watermark(EventTime::END),
            "watermark" => Step::Watermark(EventTime(millis())),
            "tick" => Step::Tick(ProcTime(millis())),
            "end" => Step::End,
            _ => {
                let kind = kinds.into_iter().find(|kind| kind.symbol() == word);
                let kind = kind.unwrap_or_else(|| panic!("a line starts with a kind or a command: {line:?}"));
                let value = |value: &str| match value.trim() {
                    "NULL" => None,
                    "''" => Some(String::new()),
                    value => Some(value.to_owned()),
                };
                let values: Vec<_> = rest.split(',').map(value).collect();
                assert_eq!(values.len(), input.fields().len(), "values in {line:?}");
                if let Some(Step::Rows(rows)) = steps.last_mut() {
                    rows.push((kind, values));
                    continue;
                }
                Step::Rows(vec![(kind, values)])
            }
        };
        steps.push(step);
    }
    steps
}

/// Operators that call each other, with the time that they have met.
struct Chain {
    operators: Vec<Box<dyn Operator>>,
    watermark: EventTime,
    /// When each operator wants to be called.
    timers: Vec<Option<ProcTime>>,
    contexts: Vec<Context>,
    now: ProcTime,
}

impl Chain {
    fn new(specs: &[&dyn OperatorSpec]) -> Self {
        let operators: Vec<_> = specs.iter().map(|spec| spec.build().unwrap()).collect();
        let contexts = specs.iter().map(|_| Context::new(ProcTime(0))).collect();
        let timers = specs.iter().map(|_| None).collect();
        Self { operators, watermark: EventTime::NONE, timers, contexts, now: ProcTime(0) }
    }

    /// Rows for operator `index`; what it emits goes on.
    fn rows(&mut self, index: usize, rows: Changes, run: &mut Run) {
        if index == self.operators.len() {
            let out = run.out.last_mut().unwrap();
            out.extend((0..rows.len()).map(|row| (rows.kind(row), texts(rows.batch(), row))));
            return;
        }
        let cx = &mut self.contexts[index];
        cx.now = self.now;
        self.operators[index].on_rows(0, rows, cx).unwrap();
        self.drain(index, run);
    }

    fn drain(&mut self, index: usize, run: &mut Run) {
        for late in self.contexts[index].take_late() {
            let late = (0..late.num_rows()).map(|row| texts(&late, row).join(", "));
            run.late.last_mut().unwrap().extend(late);
        }
        for out in self.contexts[index].take_out() {
            self.rows(index + 1, out, run);
        }
    }

    fn each(&mut self, run: &mut Run, mut call: impl FnMut(&mut Box<dyn Operator>, &mut Context, usize)) {
        for index in 0..self.operators.len() {
            self.contexts[index].now = self.now;
            call(&mut self.operators[index], &mut self.contexts[index], index);
            self.drain(index, run);
        }
    }

    fn watermark(&mut self, time: EventTime, run: &mut Run) {
        self.watermark = time;
        let mut time = time;
        self.each(run, |operator, cx, _| time = operator.on_watermark(time, cx).unwrap());
    }

    /// Calls those whose timer has run out, or everybody after rows, so that new timers are known.
    fn tick(&mut self, all: bool, run: &mut Run) {
        let (now, mut timers) = (self.now, self.timers.clone());
        self.each(run, |operator, cx, index| {
            if all || timers[index].is_some_and(|timer| timer <= now) {
                timers[index] = operator.on_tick(cx).unwrap();
            }
        });
        self.timers = timers;
    }

    fn flush(&mut self, why: Flush, run: &mut Run) {
        self.each(run, |operator, cx, _| operator.flush(why, cx).unwrap());
    }

    fn end(&mut self, run: &mut Run) {
        self.each(run, |operator, cx, _| operator.on_end(0, cx).unwrap());
    }

    /// A fresh chain with the state of the stored checkpoint.
    fn restored(specs: &[&dyn OperatorSpec], stored: &[Stored], watermark: EventTime, now: ProcTime) -> Self {
        let mut chain = Self::new(specs);
        chain.now = now;
        for (operator, stored) in chain.operators.iter_mut().zip(stored) {
            for table in operator.state() {
                table.load(&mut stored.read(&table.spec()).into_iter().map(Ok)).unwrap();
            }
        }
        let mut nothing = Run { out: vec![Vec::new()], late: vec![Vec::new()], ..Run::default() };
        chain.watermark(watermark, &mut nothing);
        chain.tick(true, &mut nothing);
        assert!(nothing.out.concat().is_empty(), "the restored watermark emits nothing: {:?}", nothing.out);
        chain
    }
}

fn run(
    specs: &[&dyn OperatorSpec],
    input: &SchemaRef,
    steps: &[Step],
    batch_rows: usize,
    checkpoints: Checkpoints,
) -> Run {
    let mut run = Run::default();
    let mut chain = Chain::new(specs);
    let mut stored: Vec<Stored> = specs.iter().map(|_| Stored::default()).collect();
    for (number, step) in steps.iter().enumerate() {
        run.out.push(Vec::new());
        run.late.push(Vec::new());
        match step {
            Step::Rows(rows) => {
                for rows in rows.chunks(batch_rows) {
                    chain.rows(0, batch(rows, input), &mut run);
                }
                chain.tick(true, &mut run);
            }
            Step::Watermark(time) => chain.watermark(*time, &mut run),
            Step::Tick(time) => {
                chain.now = *time;
                chain.tick(false, &mut run);
            }
            Step::End => {
                chain.watermark(EventTime::END, &mut run);
                chain.end(&mut run);
            }
        }
        chain.flush(Flush::Waiting, &mut run);
        if checkpoints == Checkpoints::Never {
            continue;
        }
        chain.flush(Flush::All, &mut run);
        for (operator, stored) in chain.operators.iter_mut().zip(&mut stored) {
            stored.add(snapshot(operator.state()).unwrap());
            assert!(operator.state().iter().all(|table| table.bytes() < 1 << 30));
        }
        let restart = match checkpoints {
            Checkpoints::Never => false,
            Checkpoints::Restart => true,
            // An aborted checkpoint's increments wait for the next, which is what `stored` does with all of them.
            Checkpoints::EverySecondAborted => number % 2 == 1,
            Checkpoints::OneRestart => number + 2 == steps.len(),
        };
        if restart {
            for cx in &mut chain.contexts {
                run.counters.merge(&std::mem::take(&mut cx.counters));
            }
            chain = Chain::restored(specs, &stored, chain.watermark, chain.now);
        }
    }
    chain.contexts.iter().for_each(|cx| run.counters.merge(&cx.counters));
    run
}

fn batch(rows: &[(ChangeKind, Vec<Option<String>>)], input: &SchemaRef) -> Changes {
    let columns = input.fields().iter().enumerate().map(|(index, field)| {
        let texts: ArrayRef = Arc::new(rows.iter().map(|(_, values)| values[index].clone()).collect::<StringArray>());
        let options = CastOptions { safe: false, ..CastOptions::default() };
        // Times are written as milliseconds.
        let numbers = match field.data_type() {
            arrow::datatypes::DataType::Timestamp(..) => {
                cast_with_options(&texts, &arrow::datatypes::DataType::Int64, &options).unwrap()
            }
            _ => texts,
        };
        cast_with_options(&numbers, field.data_type(), &options).unwrap()
    });
    let batch = RecordBatch::try_new(Arc::clone(input), columns.collect()).unwrap();
    Changes::new(batch, rows.iter().map(|(kind, _)| *kind).collect())
}

fn texts(batch: &RecordBatch, row: usize) -> Vec<String> {
    let text = |column: &ArrayRef| match column.data_type() {
        _ if column.is_null(row) => "NULL".to_owned(),
        arrow::datatypes::DataType::Timestamp(..) => {
            let millis =
                cast_with_options(column, &arrow::datatypes::DataType::Int64, &CastOptions::default()).unwrap();
            array_value_to_string(&millis, row).unwrap()
        }
        _ => array_value_to_string(column, row).unwrap(),
    };
    batch.columns().iter().map(text).collect()
}

impl Run {
    /// The steps with what left at each.
    fn transcript(&self, steps: &[Step]) -> String {
        let mut text = String::new();
        for ((step, out), late) in steps.iter().zip(&self.out).zip(&self.late) {
            let step = match step {
                Step::Rows(rows) => format!("{} row{}", rows.len(), if rows.len() == 1 { "" } else { "s" }),
                Step::Watermark(EventTime::END) => "watermark end".to_owned(),
                Step::Watermark(time) => format!("watermark {}", time.0),
                Step::Tick(time) => format!("tick {}", time.0),
                Step::End => "end".to_owned(),
            };
            text.push_str(&step);
            text.push('\n');
            for (kind, values) in out {
                text.push_str(&format!("  {} {}\n", kind.symbol(), values.join(", ")));
            }
            for late in late {
                text.push_str(&format!("  late {late}\n"));
            }
        }
        text
    }

    /// By step, in a form that is equal for runs that must not differ.
    fn compared(&self, compare: Compare) -> Vec<Vec<String>> {
        let mut sum: BTreeMap<Vec<String>, (i64, String)> = BTreeMap::new();
        let step = |out: &Vec<(ChangeKind, Vec<String>)>| {
            if compare == Compare::Rows {
                let rows = out.iter().map(|(kind, values)| format!("{} {}", kind.symbol(), values.join(", ")));
                let mut rows: Vec<String> = rows.collect();
                rows.sort();
                return rows;
            }
            for (kind, values) in out {
                match compare {
                    Compare::Upserts(keys) => match kind.sign() {
                        1 => drop(sum.insert(values[..keys].to_vec(), (1, values.join(", ")))),
                        _ => drop(sum.remove(&values[..keys]).expect("what is deleted was there")),
                    },
                    _ => {
                        let count = &mut sum.entry(values.clone()).or_insert((0, values.join(", "))).0;
                        *count += kind.sign();
                        assert!((0..=1).contains(count), "{} {values:?} comes or goes twice", kind.symbol());
                    }
                }
            }
            sum.retain(|_, (count, _)| *count != 0);
            sum.values().map(|(_, text)| text.clone()).collect()
        };
        self.out.iter().map(step).collect()
    }

    fn late_rows(&self) -> Vec<Vec<String>> {
        let sorted = |mut rows: Vec<String>| {
            rows.sort();
            rows
        };
        self.late.iter().cloned().map(sorted).collect()
    }
}
