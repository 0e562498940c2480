//! Process functions by script: a running count, timers, and a random program against a naive model.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use expect_test::expect;

use super::*;
use crate::error::Result;
use crate::operators::process::{
    AggregatingState, Aggregation, KeyedRows, ListState, MapState, Opening, ProcessFactory, ProcessFunction,
    ProcessOutput, ProcessSpec, ReducingState, ValueState,
};
use crate::operators::testing::{Compare, check_operator, run_all_ways};
use crate::stream::{Counter, SPLIT_MIX_STEP, WATERMARK_COLUMN, split_mix};

/// The operator of a function over `input`, by the column `k`, on the time `ts` if there is one.
fn spec<F: ProcessFunction + Default + 'static>(input: &SchemaRef) -> ProcessSpec {
    let function = ProcessFactory::new("f", F::default);
    let keys = vec![input.index_of("k").unwrap()];
    let shown = input.fields().iter().filter(|field| !field.name().starts_with('$')).count();
    let (on_time, watermark) = (input.index_of("ts").ok(), input.index_of(WATERMARK_COLUMN).ok());
    let opened = function.open(&input.project(&(0..shown).collect::<Vec<_>>()).unwrap(), &keys).unwrap();
    let mut columns = vec![input.field(keys[0]).clone()];
    let late_columns = opened.refuses_late.then(|| vec![0, 1]);
    columns.extend(opened.columns);
    columns.extend(on_time.map(|time| input.field(time).clone().with_name("rowtime")));
    columns.extend(watermark.map(|watermark| input.field(watermark).clone()));
    let output = Arc::new(Schema::new(columns));
    let (input, query) = (Arc::clone(input), "rows".to_owned());
    ProcessSpec { function, input, shown, keys, on_time, watermark, late_columns, query, output }
}

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

#[test]
fn a_running_count_goes_on_behind_each_restart() {
    let input = schema("k STRING, v BIGINT");
    check_operator(
        &[&spec::<RunningCount>(&input)],
        &input,
        Compare::Rows,
        "+I a, 1
        +I b, 2
        +I a, 3
        +I NULL, 4
        watermark 5
        +I a, 5
        +I NULL, 6
        end",
        expect![[r#"
            4 rows
              +I a, 1
              +I b, 1
              +I a, 2
              +I NULL, 1
            watermark 5
            2 rows
              +I a, 3
              +I NULL, 2
            end
        "#]],
    );
}

/// Sums `v` of a key until ten milliseconds of event time behind its first row, then gives the sum and begins anew. A row with
/// a negative `v` gives nothing and takes the timer back.
#[derive(Default)]
struct Batches {
    /// The sum, and when the timer fires.
    open: ValueState<(i64, i64)>,
}

impl ProcessFunction for Batches {
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>> {
        self.open = opening.value("open")?;
        Ok(vec![Field::new("sum", DataType::Int64, false)])
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let mut open = self.open.of(rows)?;
        let values = rows.batch().column(1).as_primitive::<Int64Type>();
        for row in 0..rows.len() {
            let (key, value) = (rows.key_of(row), values.value(row));
            let present = open.get(key).copied();
            match present {
                Some((_, due)) if value < 0 => {
                    out.delete_timer(key, due);
                    open.clear(key);
                }
                Some((sum, due)) => open.set(key, (sum + value, due)),
                None if value < 0 => {}
                None => {
                    let due = rows.time(row).unwrap() + 10;
                    out.set_timer(key, due);
                    open.set(key, (value, due));
                }
            }
        }
        Ok(())
    }

    fn on_timer(&mut self, timers: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let mut open = self.open.of(timers)?;
        let sums = timers.each(|key| {
            let sum = open.get(key).map(|(sum, _)| *sum);
            open.clear(key);
            sum
        });
        let sums: Int64Array = sums.collect();
        out.beside(timers, vec![Arc::new(sums)])
    }
}

fn timed() -> SchemaRef {
    let fields =
        schema("k STRING, v BIGINT, ts TIME").fields().iter().map(|it| it.as_ref().clone()).collect::<Vec<_>>();
    let hidden = Field::new(WATERMARK_COLUMN, DataType::Int64, true);
    Arc::new(Schema::new([fields, vec![hidden]].concat()))
}

#[test]
fn timers_fire_in_order_when_the_watermark_comes_to_them_and_once() {
    let input = timed();
    check_operator(
        &[&spec::<Batches>(&input)],
        &input,
        Compare::Rows,
        "+I a, 1, 100, 0
        +I b, 2, 95, 0
        +I a, 3, 101, 0
        +I c, 4, 102, 0
        watermark 104
        +I c, -1, 103, 104
        watermark 109
        watermark 110
        +I b, 5, 20, 110
        +I b, 6, 120, 110
        watermark 125
        watermark end
        end",
        expect![[r#"
            4 rows
            watermark 104
            1 row
            watermark 109
              +I b, 2, 105, -9223372036854775808
            watermark 110
              +I a, 4, 110, -9223372036854775808
            2 rows
            watermark 125
              +I b, 11, 30, -9223372036854775808
            watermark end
            end
        "#]],
    );
}

#[test]
fn a_program_with_a_state_and_timers_is_its_naive_model() {
    let input = timed();
    let spec = spec::<Batches>(&input);
    for seed in 0..40_u64 {
        let mut drawn = seed;
        let mut random = |below: i64| {
            drawn = drawn.wrapping_add(SPLIT_MIX_STEP);
            (split_mix(drawn) % below as u64) as i64
        };
        let (mut script, mut wanted) = (String::new(), Vec::new());
        // By key: the sum and when it is due.
        let mut open: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        let mut watermark = 0;
        for step in 0..12 {
            let mut left = Vec::new();
            let mut fire = |open: &mut BTreeMap<&str, (i64, i64)>, watermark: i64| {
                open.retain(|key, (sum, due)| {
                    let is_due = *due <= watermark;
                    if is_due {
                        left.push(format!("+I {key}, {sum}, {due}, {}", i64::MIN));
                    }
                    !is_due
                });
            };
            if step % 2 == 0 {
                for _ in 0..1 + random(8) {
                    let key = ["a", "b", "c", "d"][random(4) as usize];
                    let (value, time) = (random(8) - 2, watermark + random(15));
                    script.push_str(&format!("+I {key}, {value}, {time}, {watermark}\n"));
                    match open.get_mut(key) {
                        Some(_) if value < 0 => drop(open.remove(key)),
                        Some((sum, _)) => *sum += value,
                        None if value < 0 => {}
                        None => drop(open.insert(key, (value, time + 10))),
                    }
                }
            } else {
                watermark += 1 + random(19);
                script.push_str(&format!("watermark {watermark}\n"));
                fire(&mut open, watermark);
            }
            left.sort();
            wanted.push(left);
        }
        assert_eq!(run_all_ways(&[&spec], &input, Compare::Rows, &script), wanted, "seed {seed}");
    }
}

/// Of each key the last value of each of three classes, all values in order, their sum and their mean; a value of 9 forgets
/// them all.
#[derive(Default)]
struct AllKinds {
    classes: MapState<i64, i64>,
    values: ListState<i64>,
    sum: ReducingState<i64>,
    mean: AggregatingState<Mean>,
}

#[derive(Debug)]
struct Mean;

impl Aggregation for Mean {
    type Input = i64;
    type Accumulator = (i64, i64);
    type Output = i64;

    fn add(accumulator: &mut (i64, i64), value: i64) {
        *accumulator = (accumulator.0 + value, accumulator.1 + 1);
    }

    fn result(accumulator: &(i64, i64)) -> i64 {
        accumulator.0 * 1000 / accumulator.1
    }
}

impl ProcessFunction for AllKinds {
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>> {
        self.classes = opening.map("classes")?;
        self.values = opening.list("values")?;
        self.sum = opening.reducing("sum", |sum, value| sum + value)?;
        self.mean = opening.aggregating("mean")?;
        Ok(vec![Field::new("all", DataType::Utf8, false)])
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let (mut classes, mut values) = (self.classes.of(rows)?, self.values.of(rows)?);
        let (mut sums, mut means) = (self.sum.of(rows)?, self.mean.of(rows)?);
        let given = rows.batch().column(1).as_primitive::<Int64Type>();
        let mut texts = Vec::new();
        for row in 0..rows.len() {
            let (key, value) = (rows.key_of(row), given.value(row));
            if value == 9 {
                classes.clear(key)?;
                values.clear(key)?;
                sums.clear(key);
                means.clear(key);
                texts.push("nothing".to_owned());
                continue;
            }
            let before = classes.get(key, &(value % 3))?;
            match value {
                8 => classes.remove(key, 0),
                _ => classes.put(key, value % 3, value),
            }
            values.add(key, value)?;
            let (sum, mean) = (sums.add(key, value), means.add(key, value));
            assert_eq!((sums.get(key), means.get(key)), (Some(&sum), Some(mean)));
            let (entries, all) = (classes.entries(key)?, values.get(key)?);
            texts.push(format!("{before:?} {entries:?} {all:?} {sum} {mean}").replace(", ", " "));
        }
        out.beside(rows, vec![Arc::new(StringArray::from(texts))])
    }
}

#[test]
fn all_kinds_of_state_are_their_naive_models() {
    let input = schema("k STRING, v BIGINT");
    let spec = spec::<AllKinds>(&input);
    for seed in 0..20_u64 {
        let mut drawn = seed << 32;
        let mut random = |below: u64| {
            drawn = drawn.wrapping_add(SPLIT_MIX_STEP);
            (split_mix(drawn) % below) as usize
        };
        let mut model: BTreeMap<&str, (BTreeMap<i64, i64>, Vec<i64>)> = BTreeMap::new();
        let (mut script, mut wanted) = (String::new(), Vec::new());
        for step in 0..8 {
            let mut left = Vec::new();
            for _ in 0..=random(9) {
                let (key, value) = (["a", "b", "c"][random(3)], random(10) as i64);
                script.push_str(&format!("+I {key}, {value}\n"));
                let (classes, values) = model.entry(key).or_default();
                if value == 9 {
                    model.remove(key);
                    left.push(format!("+I {key}, nothing"));
                    continue;
                }
                let before = classes.get(&(value % 3)).copied();
                match value {
                    8 => drop(classes.remove(&0)),
                    _ => drop(classes.insert(value % 3, value)),
                }
                values.push(value);
                let sum = values.iter().sum::<i64>();
                let mean = sum * 1000 / values.len() as i64;
                let entries: Vec<(i64, i64)> = classes.iter().map(|(class, value)| (*class, *value)).collect();
                let text = format!("{before:?} {entries:?} {values:?} {sum} {mean}").replace(", ", " ");
                left.push(format!("+I {key}, {text}"));
            }
            script.push_str(&format!("watermark {step}\n"));
            left.sort();
            wanted.extend([left, Vec::new()]);
        }
        assert_eq!(run_all_ways(&[&spec], &input, Compare::Rows, &script), wanted, "seed {seed}");
    }
}

/// Counts rows until five milliseconds of the clock behind the first one, then gives the count and begins anew.
#[derive(Default)]
struct ByTick {
    count: ReducingState<i64>,
}

impl ProcessFunction for ByTick {
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>> {
        self.count = opening.reducing("count", |count, one| count + one)?;
        Ok(vec![Field::new("n", DataType::Int64, false)])
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let mut counts = self.count.of(rows)?;
        for row in 0..rows.len() {
            let key = rows.key_of(row);
            if counts.add(key, 1) == 1 {
                out.set_clock_timer(key, rows.now().0 + 5);
            }
        }
        Ok(())
    }

    fn on_clock(&mut self, timers: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let mut counts = self.count.of(timers)?;
        let count = |key| {
            let count = counts.get(key).copied();
            counts.clear(key);
            count
        };
        let counts: Int64Array = timers.each(count).collect();
        out.beside(timers, vec![Arc::new(counts)])
    }
}

#[test]
fn timers_of_the_clock_fire_when_it_shows_their_time_and_the_end_waits_for_none() {
    let input = schema("k STRING, v BIGINT");
    check_operator(
        &[&spec::<ByTick>(&input)],
        &input,
        Compare::Rows,
        "+I a, 1
        +I b, 1
        +I a, 1
        tick 2
        +I c, 1
        tick 4
        tick 6
        +I a, 1
        watermark 100
        tick 20
        +I b, 1
        end",
        expect![[r#"
            3 rows
            tick 2
            1 row
            tick 4
            tick 6
              +I a, 2
              +I b, 1
            1 row
            watermark 100
            tick 20
              +I c, 1
              +I a, 1
            1 row
            end
        "#]],
    );
    let timed = timed();
    let mut chain = Chain::new(&[&spec::<ByTick>(&timed)], &BuildContext::only_task()).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["a"])),
        Arc::new(Int64Array::from(vec![1])),
        Arc::new(arrow::array::TimestampMillisecondArray::from(vec![1])),
        Arc::new(Int64Array::from(vec![0])),
    ];
    chain.rows(0, Changes::inserts(RecordBatch::try_new(timed, columns).unwrap()));
    let mut emitted = Emitted::default();
    assert_eq!(chain.work(ProcTime(0), &mut emitted).unwrap(), Progress::Done);
    assert!(chain.tick(ProcTime(5), &mut emitted).unwrap_err().message().contains("has no event time"));
}

/// A running count that is forgotten ten milliseconds behind its last row.
#[derive(Default)]
struct ForgetfulCount(RunningCount);

impl ProcessFunction for ForgetfulCount {
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>> {
        let columns = self.0.open(opening.keep_for(std::time::Duration::from_millis(10)))?;
        assert!(opening.map::<i64, i64>("map").unwrap_err().message().contains("cannot be forgotten"));
        Ok(columns)
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        self.0.process(rows, out)
    }
}

#[test]
fn a_value_that_nobody_sets_is_forgotten() {
    let input = schema("k STRING, v BIGINT");
    check_operator(
        &[&spec::<ForgetfulCount>(&input)],
        &input,
        Compare::Rows,
        "+I a, 1
        +I b, 1
        tick 9
        +I a, 1
        tick 10
        +I a, 1
        +I b, 1
        tick 19
        +I b, 1
        tick 40
        +I a, 1
        +I b, 1
        end",
        expect![[r#"
            2 rows
              +I a, 1
              +I b, 1
            tick 9
            1 row
              +I a, 2
            tick 10
            2 rows
              +I a, 3
              +I b, 1
            tick 19
            1 row
              +I b, 2
            tick 40
            2 rows
              +I a, 1
              +I b, 1
            end
        "#]],
    );
    // What is forgotten takes no room.
    let spec = spec::<ForgetfulCount>(&input);
    let mut operator = spec.build(&BuildContext::only_task()).unwrap();
    for now in 0..200 {
        let keys = StringArray::from_iter_values((0..100).map(|key| format!("{now} {key}")));
        let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(Int64Array::from(vec![1; 100]))];
        let rows = Changes::inserts(RecordBatch::try_new(Arc::clone(&input), columns).unwrap());
        let mut cx = Context::new(ProcTime(now));
        assert_eq!(operator.on_rows(0, rows, &mut cx).unwrap(), Progress::Done);
        while operator.next_tick().is_some_and(|at| at.0 <= now) {
            let mut progress = operator.on_tick(&mut cx).unwrap();
            while progress == Progress::More {
                progress = operator.resume(&mut cx).unwrap();
            }
        }
    }
    let bytes: usize = operator.state().iter().map(|table| table.bytes()).sum();
    assert!(bytes < 500_000, "{bytes} bytes of 20,000 keys, of which 1,500 are kept");
}

/// A running count of the rows that are not late.
#[derive(Default)]
struct PunctualCount(RunningCount);

impl ProcessFunction for PunctualCount {
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>> {
        opening.refuse_late();
        self.0.open(opening)
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        self.0.process(rows, out)
    }
}

#[test]
fn late_rows_do_not_come_to_a_function_that_refuses_them() {
    let input = timed();
    let counters = check_operator(
        &[&spec::<PunctualCount>(&input)],
        &input,
        Compare::Rows,
        "+I a, 1, 100, 90
        +I a, 2, 89, 90
        +I b, 3, 90, 90
        +I a, 4, 91, 90
        watermark 95
        +I a, 5, 95, 80
        +I a, 6, 96, 80
        +I b, 7, 500, NULL
        end",
        expect![[r#"
            4 rows
              +I a, 1, 100, 90
              +I a, 2, 91, 90
              late a, 2, Process, 90, 89, 90, 1, window_fired
              late b, 3, Process, 90, 90, 91, 0, window_fired
            watermark 95
            3 rows
              +I a, 3, 96, 80
              late b, 7, Process, NULL, NULL, NULL, NULL, future
              late a, 5, Process, 95, 95, 96, 0, split_idle
            end
        "#]],
    );
    let of = |counter| counters.get(counter);
    assert_eq!((of(Counter::NumLateRecordsDropped), of(Counter::NumFutureRecordsDropped)), (3, 1));
}

/// A row for each unit of `v`, with its number.
#[derive(Default)]
struct Repeated;

impl ProcessFunction for Repeated {
    fn open(&mut self, _: &mut Opening<'_>) -> Result<Vec<Field>> {
        Ok(vec![Field::new("number", DataType::Int64, false), Field::new("text", DataType::Utf8, true)])
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let values = rows.batch().column(1).as_primitive::<Int64Type>();
        for key in rows.keys() {
            let (mut beside, mut numbers) = (Vec::new(), Vec::new());
            for row in rows.rows_of(key) {
                for number in 0..values.value(*row as usize) {
                    beside.push(*row);
                    numbers.push(number);
                }
            }
            let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("x"); numbers.len()]));
            out.rows(rows, beside, vec![Arc::new(Int64Array::from(numbers)), texts])?;
        }
        Ok(())
    }
}

#[test]
fn a_row_may_have_several_rows_beside_it_or_none() {
    let input = schema("k STRING, v BIGINT");
    check_operator(
        &[&spec::<Repeated>(&input)],
        &input,
        Compare::Rows,
        "+I a, 2
        +I b, 0
        +I a, 1
        +I c, 3
        end",
        expect![[r#"
            4 rows
              +I a, 0, x
              +I a, 1, x
              +I a, 0, x
              +I c, 0, x
              +I c, 1, x
              +I c, 2, x
            end
        "#]],
    );
}

/// Gives other columns than it has said.
#[derive(Default)]
struct Liar;

impl ProcessFunction for Liar {
    fn open(&mut self, _: &mut Opening<'_>) -> Result<Vec<Field>> {
        Ok(vec![Field::new("n", DataType::Int64, false)])
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        out.beside(rows, vec![Arc::new(StringArray::from(vec!["x"; rows.len()]))])
    }
}

#[test]
fn what_a_function_does_wrong_is_told_and_is_no_panic() {
    let input = schema("k STRING, v BIGINT");
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec!["a"])), Arc::new(Int64Array::from(vec![1]))];
    let row = RecordBatch::try_new(Arc::clone(&input), columns).unwrap();
    let mut operator = spec::<Liar>(&input).build(&BuildContext::only_task()).unwrap();
    let mut cx = Context::new(ProcTime(0));
    let error = operator.on_rows(0, Changes::inserts(row), &mut cx).unwrap_err();
    assert_eq!(
        error.message(),
        "a function gives the columns (STRING of 1 rows) where it has to give (BIGINT) of 1 rows"
    );

    let key = [Field::new("k", DataType::Utf8, true)];
    let shown = input.as_ref().clone();
    let mut opening = Opening::new(&shown, key.to_vec());
    drop(opening.value::<i64>("one").unwrap());
    assert!(opening.value::<i64>("one").unwrap_err().message().contains("two states"));
    assert!(opening.value::<i64>("timers").is_err() && opening.value::<i64>("a/b").is_err());
}
