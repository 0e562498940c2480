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

use super::{BuildContext, Chain, Emitted, Flush, OperatorSpec, OutputBudget, Progress, WindowKind};
use crate::state::StateTable;
use crate::stream::{ChangeKind, Changes, Counter, Counters, EventTime, ProcTime};
use store::Stored;

/// Start and end of each window that holds `time`, found by trying: the naive twin of [`WindowKind`]'s arithmetic.
pub(crate) fn windows_holding(window: WindowKind, time: i64) -> Vec<(i64, i64)> {
    let (size, offset) = match window {
        WindowKind::Tumble { size_ms, offset_ms }
        | WindowKind::Hop { size_ms, offset_ms, .. }
        | WindowKind::Cumulate { size_ms, offset_ms, .. } => (size_ms, offset_ms),
    };
    let starts = time - size + 1..=time;
    match window {
        WindowKind::Tumble { .. } | WindowKind::Hop { .. } => starts
            .filter(|start| (start - offset).rem_euclid(window.slide_ms()) == 0)
            .map(|start| (start, start + size))
            .collect(),
        WindowKind::Cumulate { step_ms, .. } => starts
            .filter(|start| (start - offset).rem_euclid(size) == 0)
            .flat_map(|start| (1..=size / step_ms).map(move |steps| (start, start + steps * step_ms)))
            .filter(|(_, end)| time < *end)
            .collect(),
    }
}

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

/// One way to run a script.
#[derive(Debug, Clone, Copy)]
struct Variant {
    /// Rows that come in together.
    batch_rows: usize,
    checkpoints: Checkpoints,
    /// Whether a call has room for one row, so that it is resumed between any two. A barrier then passes inside every
    /// unfinished call, and is followed by a restart where some are.
    is_narrow: bool,
}

impl Variant {
    const PLAIN: Self = Self { batch_rows: 8192, checkpoints: Checkpoints::Never, is_narrow: false };

    fn build_context(self) -> BuildContext {
        let plain = BuildContext::only_task();
        match self.is_narrow {
            false => plain,
            true => BuildContext { batch_rows: 1, output: OutputBudget { rows: 1, bytes: usize::MAX }, ..plain },
        }
    }
}

/// Runs the script plainly against `expected`, then with restarts, aborted checkpoints, other batch sizes and room for
/// one row at a time against the plain run. `chain` is one operator, or several that call each other. Returns what was
/// counted.
pub(crate) fn check_operator(
    chain: &[&dyn OperatorSpec],
    input: &SchemaRef,
    compare: Compare,
    script: &str,
    expected: Expect,
) -> Counters {
    let steps = parse(script, input);
    let plain = run(chain, input, &steps, Variant::PLAIN);
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
    let plain = run(chain, input, &steps, Variant::PLAIN);
    compare_all_ways(chain, input, compare, &steps, &plain);
    plain.compared(compare)
}

fn compare_all_ways(chain: &[&dyn OperatorSpec], input: &SchemaRef, compare: Compare, steps: &[Step], plain: &Run) {
    use Checkpoints::*;
    for (batch_rows, is_narrow) in [(8192, false), (7, false), (1, false), (8192, true)] {
        for checkpoints in [Never, Restart, EverySecondAborted, OneRestart] {
            let variant = Variant { batch_rows, checkpoints, is_narrow };
            let other = run(chain, input, steps, variant);
            assert_eq!(other.compared(compare), plain.compared(compare), "{variant:?}");
            assert_eq!(other.late_rows(), plain.late_rows(), "late rows, {variant:?}");
            assert_eq!(other.counters, plain.counters, "counters, {variant:?}");
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

/// So often an operator is called for one step of a script at most: one that begins anew after each restart would go on
/// for ever.
const MOST_CALLS: usize = 200;

/// A run under way.
struct Runner<'a> {
    specs: &'a [&'a dyn OperatorSpec],
    variant: Variant,
    chain: Chain,
    watermark: EventTime,
    now: ProcTime,
    stored: Vec<Stored>,
    /// Rows that have left since the last restart: a restart behind none would only repeat itself.
    left: usize,
    /// Calls since this step of the script began.
    calls: usize,
    run: Run,
}

impl<'a> Runner<'a> {
    fn new(specs: &'a [&'a dyn OperatorSpec], variant: Variant) -> Self {
        let chain = Chain::new(specs, &variant.build_context()).unwrap();
        let stored = specs.iter().map(|_| Stored::default()).collect();
        let (watermark, now, run) = (EventTime::NONE, ProcTime(0), Run::default());
        Self { specs, variant, chain, watermark, now, stored, left: 0, calls: 0, run }
    }

    /// Lets the operators work until nothing is left to do. True if they were restarted in the middle of it.
    fn work(&mut self) -> bool {
        let mut is_restarted = false;
        loop {
            self.calls += 1;
            assert!(self.calls < MOST_CALLS, "it does not come to an end: {:?}", self.variant);
            let mut emitted = Emitted::default();
            let progress = self.chain.work(self.now, &mut emitted).unwrap();
            self.collect(emitted);
            if progress == Progress::Done {
                return is_restarted;
            }
            if self.variant.checkpoints != Checkpoints::Never && self.variant.is_narrow {
                self.checkpoint();
                if self.variant.checkpoints != Checkpoints::OneRestart && self.left > 0 {
                    self.restart();
                    is_restarted = true;
                }
            }
        }
    }

    fn collect(&mut self, emitted: Emitted) {
        for rows in emitted.main {
            self.left += rows.len();
            let out = self.run.out.last_mut().unwrap();
            out.extend((0..rows.len()).map(|row| (rows.kind(row), texts(rows.batch(), row))));
        }
        for (_, late) in emitted.late {
            let late = (0..late.num_rows()).map(|row| texts(&late, row).join(", "));
            self.run.late.last_mut().unwrap().extend(late);
        }
    }

    fn step(&mut self, step: &Step, input: &SchemaRef) {
        self.calls = 0;
        self.run.out.push(Vec::new());
        self.run.late.push(Vec::new());
        match step {
            Step::Rows(rows) => {
                for rows in rows.chunks(self.variant.batch_rows) {
                    self.chain.rows(0, batch(rows, input));
                    self.work();
                }
                self.tick();
            }
            Step::Watermark(time) => self.watermark(*time),
            Step::Tick(time) => {
                self.now = *time;
                self.tick();
            }
            Step::End => {
                self.watermark(EventTime::END);
                self.chain.end(0, true);
                while self.work() {
                    self.chain.end(0, true);
                }
            }
        }
        self.flush(Flush::Waiting);
    }

    fn watermark(&mut self, time: EventTime) {
        self.watermark = time;
        self.chain.watermark(time);
        self.work();
    }

    fn tick(&mut self) {
        let mut emitted = Emitted::default();
        self.chain.tick(self.now, &mut emitted).unwrap();
        self.collect(emitted);
        self.work();
    }

    fn flush(&mut self, why: Flush) {
        loop {
            let mut emitted = Emitted::default();
            let progress = self.chain.flush(why, self.now, &mut emitted).unwrap();
            self.collect(emitted);
            if progress == Progress::Done {
                return;
            }
        }
    }

    /// A barrier passes.
    fn checkpoint(&mut self) {
        self.flush(Flush::All);
        for (snapshot, stored) in self.chain.snapshot().unwrap().into_iter().zip(&mut self.stored) {
            stored.add(snapshot);
        }
        assert!(self.chain.state_bytes() < 1 << 30);
    }

    /// A fresh chain with the state of the stored checkpoint. What it does next shows what had been left over.
    fn restart(&mut self) {
        self.count();
        self.left = 0;
        self.chain = Chain::new(self.specs, &self.variant.build_context()).unwrap();
        let stored = &self.stored;
        let load = |operator: usize, table: &mut dyn StateTable| {
            table.load(&mut stored[operator].read(&table.spec()).into_iter().map(Ok))
        };
        self.chain.each_table(load).unwrap();
        self.chain.watermark(self.watermark);
    }

    /// Adds up what was counted, but for the rows between operators, of which there may be more or fewer.
    fn count(&mut self) {
        for counters in self.chain.counters() {
            for (counter, value) in counters.iter() {
                if !matches!(counter, Counter::NumRecordsIn | Counter::NumRecordsOut) {
                    self.run.counters.add(counter, value);
                }
            }
        }
    }
}

fn run(specs: &[&dyn OperatorSpec], input: &SchemaRef, steps: &[Step], variant: Variant) -> Run {
    let mut runner = Runner::new(specs, variant);
    for (number, step) in steps.iter().enumerate() {
        runner.step(step, input);
        if variant.checkpoints == Checkpoints::Never {
            continue;
        }
        runner.checkpoint();
        let is_restart = match variant.checkpoints {
            Checkpoints::Never => false,
            Checkpoints::Restart => true,
            // An aborted checkpoint's increments wait for the next, which is what `stored` does with all of them.
            Checkpoints::EverySecondAborted => number % 2 == 1,
            Checkpoints::OneRestart => number + 2 == steps.len(),
        };
        if is_restart {
            let before = runner.run.out.concat().len();
            runner.restart();
            runner.work();
            runner.tick();
            assert_eq!(runner.run.out.concat().len(), before, "the restored watermark emits nothing");
        }
    }
    runner.count();
    runner.run
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
