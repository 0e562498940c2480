//! Functions of programs in queries: the worked example of the documents step by step, what is accepted and refused of a
//! call, and jobs that change their parallelism.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Int64Type};
use beadline::error::Result;
use beadline::operators::process::{KeyedRows, Opening, ProcessFunction, ProcessOutput, ValueState};
use beadline::session::{Ending, JobHandle, Outcome, Pusher, Session};
use beadline::storage::FakeStore;

use crate::outside;
use crate::simulated::{published, runtime, soon, world};

/// The sum of `number` so far, for each `word`.
#[derive(Default)]
pub struct RunningSum {
    sum: ValueState<i64>,
}

impl ProcessFunction for RunningSum {
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>> {
        self.sum = opening.value("sum")?;
        Ok(vec![Field::new("sum", DataType::Int64, false)])
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let mut sums = self.sum.of(rows)?;
        let numbers = rows.batch().column(1).as_primitive::<Int64Type>();
        let sum = |row| sums.update(rows.key_of(row), |sum| sum.unwrap_or(0) + numbers.value(row));
        let sums: Int64Array = (0..rows.len()).map(sum).map(Some).collect();
        out.beside(rows, vec![Arc::new(sums)])
    }
}

const DECLARATION: &str = "CREATE TABLE given (word STRING, number BIGINT)";
const SCRIPT: &str = "
CREATE TABLE sums (word STRING, sum BIGINT) WITH ('connector' = 'filesystem', 'path' = '/out/sums', 'format' = 'csv');
INSERT INTO sums SELECT * FROM running_sum(input => TABLE given PARTITION BY word);";

fn session(store: &FakeStore, parallelism: usize) -> Session {
    let mut session = Session::in_world(world(store, false)).with_seed(1);
    for (key, value) in [
        ("pipeline.name", "main"),
        ("execution.checkpointing.dir", "/checkpoints"),
        ("execution.checkpointing.interval", "1 h"),
        ("parallelism.default", &parallelism.to_string()),
    ] {
        session.settings_mut().set(key, value).expect("a setting");
    }
    session.register_process_function("running_sum", RunningSum::default).expect("a name");
    session
}

async fn begin(session: &mut Session) -> (Pusher, JobHandle) {
    let input = session.input(DECLARATION, 100).expect("a declaration");
    match session.sql(SCRIPT).await.expect("it starts") {
        Outcome::Job(job) => (input, job),
        _ => panic!("an INSERT is a job"),
    }
}

fn records(records: &[(&str, i64)]) -> RecordBatch {
    let columns: [(&str, ArrayRef, bool); 2] = [
        ("word", Arc::new(StringArray::from_iter_values(records.iter().map(|record| record.0))), true),
        ("number", Arc::new(Int64Array::from_iter_values(records.iter().map(|record| record.1))), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("two columns")
}

/// What the state `sum` of the newest checkpoint says of each word, as an outside reader finds it.
fn sums(store: &FakeStore) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for batch in outside::rows(store, "sum") {
        let words = batch.column_by_name("word").expect("a key").as_string::<i32>();
        let values = batch.column_by_name("value").expect("a value").as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            sums.insert(words.value(row).to_owned(), values.value(row));
        }
    }
    sums
}

fn state(of: &[(&str, i64)]) -> BTreeMap<String, i64> {
    of.iter().map(|(word, sum)| ((*word).to_owned(), *sum)).collect()
}

#[test]
fn the_worked_example_of_the_documents() {
    const BEFORE: [(&str, i64); 3] = [("b", 2), ("b", 3), ("c", 1)];
    const BEHIND: [(&str, i64); 3] = [("a", 2), ("a", 2), ("c", 2)];
    let store = FakeStore::new();
    runtime().block_on(soon(async {
        let mut session = session(&store, 3);
        let (input, job) = begin(&mut session).await;
        // Three records, the barrier, and three more that some of the instances have counted when the failure comes.
        input.push(records(&BEFORE)).await.expect("it runs");
        job.checkpoint().await.expect("a checkpoint");
        input.push(records(&BEHIND)).await.expect("it runs");
        while job.status().rows_in < 6 {
            tokio::task::yield_now().await;
        }
    }));
    store.restart();
    // The state at the barrier: a has not come yet, and is 0.
    assert_eq!(sums(&store), state(&[("b", 5), ("c", 1)]));
    assert_eq!(published(&store)["sums"], ["b,2", "b,5", "c,1"]);

    let ending = runtime().block_on(soon(async {
        let mut session = session(&store, 3);
        let (input, job) = begin(&mut session).await;
        // Those in front of the barrier are counted and are passed over, whatever they are; the last three are replayed.
        input.push(records(&[("?", 7), ("?", 7), ("?", 7)])).await.expect("it runs");
        input.push(records(&BEHIND)).await.expect("it runs");
        input.finish();
        job.wait().await.expect("it ends well").ending
    }));
    assert_eq!(ending, Ending::Finished);
    assert_eq!(sums(&store), state(&[("a", 4), ("b", 5), ("c", 3)]));
    assert_eq!(published(&store)["sums"], ["a,2", "a,4", "b,2", "b,5", "c,1", "c,3"]);
}

#[test]
fn states_of_programs_go_from_one_parallelism_to_others() {
    let store = FakeStore::new();
    let record = |number: i64| (["a", "b", "c", "d", "e", "f", "g"][number as usize * 5 % 7], number);
    const ROUNDS: [usize; 5] = [1, 4, 2, 1, 3];
    const ROWS: i64 = 20;
    for (round, parallelism) in ROUNDS.into_iter().enumerate() {
        runtime().block_on(soon(async {
            let mut session = session(&store, parallelism);
            let (input, job) = begin(&mut session).await;
            let all: Vec<(&str, i64)> = (0..(round as i64 + 1) * ROWS).map(record).collect();
            input.push(records(&all)).await.expect("it runs");
            match round + 1 == ROUNDS.len() {
                true => input.finish(),
                false => job.stop().await.expect("it can be asked"),
            }
            job.wait().await.expect("it ends well");
        }));
    }
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    let mut rows: Vec<String> = Vec::new();
    for (word, number) in (0..ROUNDS.len() as i64 * ROWS).map(record) {
        let sum = expected.entry(word.to_owned()).or_default();
        *sum += number;
        rows.push(format!("{word},{sum}"));
    }
    rows.sort();
    assert_eq!(sums(&store), expected);
    assert_eq!(published(&store)["sums"], rows);
}

/// The count of a key in its open span, told ten seconds of event time behind its first row.
#[derive(Default)]
struct CountSpans {
    count: ValueState<i64>,
}

impl ProcessFunction for CountSpans {
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>> {
        self.count = opening.value("count")?;
        Ok(vec![Field::new("n", DataType::Int64, false)])
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let mut counts = self.count.of(rows)?;
        for row in 0..rows.len() {
            let key = rows.key_of(row);
            if counts.update(key, |count| count.unwrap_or(0) + 1) == 1 {
                out.set_timer(key, rows.time(row).unwrap_or_default() + 10_000);
            }
        }
        Ok(())
    }

    fn on_timer(&mut self, timers: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        let mut counts = self.count.of(timers)?;
        let of_timer = |key| {
            let count = counts.get(key).copied();
            counts.clear(key);
            count
        };
        let counts: Int64Array = timers.each(of_timer).collect();
        out.beside(timers, vec![Arc::new(counts)])
    }
}

/// Rows of a SELECT over a table of words with times, sorted; or the message of its refusal and what it points at.
fn answer(query: &str, parallelism: usize) -> std::result::Result<Vec<String>, (String, String)> {
    runtime().block_on(soon(async {
        let mut session = Session::in_world(world(&FakeStore::new(), false)).with_seed(1);
        session.settings_mut().set("parallelism.default", &parallelism.to_string()).expect("a setting");
        session.register_process_function("running_sum", RunningSum::default).expect("a name");
        session.register_process_function("Count_Spans", CountSpans::default).expect("a name");
        let declaration =
            "CREATE TABLE e (k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)";
        let input = session.input(declaration, 100).expect("a declaration");
        let refused = |error: beadline::error::Error| {
            let span = error.span().map_or("", |span| &query[span.start..span.end]);
            (error.message().to_owned(), span.to_owned())
        };
        let mut rows = session.query(query).await.map_err(refused)?;
        let given = [("a", 1, 10), ("b", 2, 12), ("a", 3, 20), ("a", 4, 5), ("b", 5, 30)];
        let times = given.iter().map(|row| row.2 * 1000);
        let columns: [(&str, ArrayRef, bool); 3] = [
            ("k", Arc::new(StringArray::from_iter_values(given.iter().map(|row| row.0))), true),
            ("v", Arc::new(Int64Array::from_iter_values(given.iter().map(|row| row.1))), true),
            ("ts", Arc::new(TimestampMillisecondArray::from_iter_values(times)), true),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("three columns");
        for row in 0..batch.num_rows() {
            input.push(batch.slice(row, 1)).await.map_err(refused)?;
        }
        input.finish();
        let mut found = Vec::new();
        while let Some(changes) = rows.next().await {
            let changes = changes.map_err(refused)?;
            for row in 0..changes.len() {
                let cell =
                    |column: &ArrayRef| arrow::util::display::array_value_to_string(column, row).expect("a text");
                found.push(changes.batch().columns().iter().map(cell).collect::<Vec<_>>().join(","));
            }
        }
        found.sort();
        Ok(found)
    }))
}

/// As Flink 2.3 answers a function of the same code.
#[test]
fn a_call_is_written_as_in_flink() {
    let plain = ["a,1", "a,4", "a,8", "b,2", "b,7"];
    for call in [
        "SELECT * FROM running_sum(input => TABLE e PARTITION BY k)",
        "SELECT * FROM RUNNING_SUM(TABLE e PARTITION BY (k))",
        "SELECT * FROM TABLE(running_sum(TABLE e PARTITION BY k))",
        "SELECT * FROM running_sum(input => TABLE e PARTITION BY k, uid => 'my-id')",
        "SELECT x.k, x.sum FROM running_sum(input => (SELECT * FROM e) PARTITION BY k) AS x WHERE x.sum > 0",
        "SELECT * FROM running_sum((SELECT k, v FROM e) PARTITION BY k) AS x(a, b)",
    ] {
        for parallelism in [1, 3] {
            assert_eq!(answer(call, parallelism).expect(call), plain, "{call}");
        }
    }
    let timed = "SELECT * FROM running_sum(TABLE e PARTITION BY k, DESCRIPTOR(ts))";
    assert_eq!(answer(timed, 2).expect("rows")[0], "a,1,1970-01-01T00:00:10");
    let two = "SELECT * FROM running_sum(input => (SELECT k, v, k AS sum FROM e) PARTITION BY (k, v))";
    assert_eq!(answer(two, 1).expect("rows"), ["a,1,1", "a,3,3", "a,4,4", "b,2,2", "b,5,5"]);
    let duplicate = "SELECT sum, sum0 FROM running_sum(input => (SELECT k AS sum, v FROM e) PARTITION BY sum)";
    assert_eq!(answer(duplicate, 1).expect("rows"), plain);
    // Its changes come, as the input has no end to be seen.
    let grouped = answer("SELECT k, MAX(sum) FROM running_sum(TABLE e PARTITION BY k) GROUP BY k", 2).expect("rows");
    assert!(grouped.contains(&"a,8".to_owned()) && grouped.contains(&"b,7".to_owned()), "{grouped:?}");
}

#[test]
fn timers_give_rows_with_their_time_and_windows_behind_them_take_these() {
    let spans = "SELECT * FROM count_spans(input => TABLE e PARTITION BY k, on_time => DESCRIPTOR(ts))";
    let windows = "SELECT window_end, SUM(n) FROM TUMBLE((SELECT * FROM count_spans(TABLE e PARTITION BY k, DESCRIPTOR(ts))), \
                   DESCRIPTOR(rowtime), INTERVAL '10' SECOND) GROUP BY window_start, window_end";
    for parallelism in [1, 2] {
        let told = ["a,3,1970-01-01T00:00:20", "b,2,1970-01-01T00:00:22"];
        assert_eq!(answer(spans, parallelism).expect("rows"), told);
        assert_eq!(answer(windows, parallelism).expect("rows"), ["1970-01-01T00:00:30,5"]);
    }
}

#[test]
fn what_a_call_cannot_have_is_refused_where_it_stands() {
    for (call, message, place) in [
        ("running_sum(input => TABLE e)", "requires a PARTITION BY clause", "TABLE e"),
        ("running_sum(TABLE e PARTITION BY nope)", "Available columns are: [k, v, ts]", "nope"),
        ("running_sum(TABLE e PARTITION BY K)", "Invalid column 'K' for PARTITION BY clause", "K"),
        ("running_sum(INPUT => TABLE e PARTITION BY k)", "has the arguments input, on_time, uid", "INPUT"),
        ("running_sum(step => 5)", "has the arguments input, on_time, uid", "step"),
        ("running_sum(TABLE e PARTITION BY k, DESCRIPTOR(ts), 'x', 1)", "has the arguments", "1"),
        ("running_sum(TABLE e PARTITION BY k, uid => 'x')", "names, all of them or none", "running_sum"),
        ("running_sum(input => e)", "expects a table to be passed", "e"),
        ("running_sum()", "lacks its argument input", "running_sum"),
        ("running_sum(TABLE e PARTITION BY k, DESCRIPTOR(v))", "has data type 'BIGINT'", "v"),
        ("running_sum(TABLE e PARTITION BY k, DESCRIPTOR(nope))", "Unknown references: [nope]", "nope"),
        (
            "running_sum((SELECT k, v, ts + INTERVAL '1' SECOND AS ts FROM e) PARTITION BY k, DESCRIPTOR(ts))",
            "is not a valid time attribute",
            "ts",
        ),
        ("running_sum(input => TABLE e PARTITION BY k, uid => '1a')", "Invalid unique identifier", "'1a'"),
        (
            "running_sum((SELECT k, COUNT(*) FROM e GROUP BY k) PARTITION BY k)",
            "does not support rows that are updated",
            "running_sum",
        ),
        ("runing_sum(TABLE e PARTITION BY k)", "there is no table function runing_sum", "runing_sum"),
    ] {
        let (told, at) = answer(&format!("SELECT * FROM {call}"), 1).expect_err(call);
        assert!(told.contains(message), "{call}: {told}");
        assert!(at.starts_with(place), "{call}: {told} at {at:?}");
    }
}

/// A running sum of the rows that are not late.
#[derive(Default)]
struct PunctualSum(RunningSum);

impl ProcessFunction for PunctualSum {
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>> {
        opening.refuse_late();
        self.0.open(opening)
    }

    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()> {
        self.0.process(rows, out)
    }
}

#[test]
fn late_rows_of_a_function_go_into_a_late_table() {
    const SCRIPT: &str = "
        CREATE TABLE sums (k STRING, sum BIGINT, ts TIMESTAMP(3))
        WITH ('connector' = 'filesystem', 'path' = '/out/sums', 'format' = 'csv');
        CREATE TABLE late (v BIGINT, k STRING, lateness_ms BIGINT)
        WITH ('connector' = 'filesystem', 'path' = '/out/late', 'format' = 'csv');
        INSERT INTO sums SELECT * FROM punctual_sum(TABLE e PARTITION BY k, DESCRIPTOR(ts)) LATE RECORDS INTO late;";
    let store = FakeStore::new();
    runtime().block_on(soon(async {
        let mut session = session(&store, 2);
        session.register_process_function("punctual_sum", PunctualSum::default).expect("a name");
        let declaration = "CREATE TABLE e (k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)";
        let input = session.input(declaration, 100).expect("a declaration");
        let Outcome::Job(job) = session.sql(SCRIPT).await.expect("it starts") else { panic!("an INSERT is a job") };
        let columns: [(&str, ArrayRef, bool); 3] = [
            ("k", Arc::new(StringArray::from(vec!["a", "a", "a"])), true),
            ("v", Arc::new(Int64Array::from(vec![1, 2, 4])), true),
            ("ts", Arc::new(TimestampMillisecondArray::from(vec![5_000, 3_000, 6_000])), true),
        ];
        input.push(RecordBatch::try_from_iter_with_nullable(columns).expect("three columns")).await.expect("it runs");
        input.finish();
        job.wait().await.expect("it ends well");
    }));
    assert_eq!(published(&store)["sums"], ["a,1,\"1970-01-01 00:00:05\"", "a,5,\"1970-01-01 00:00:06\""]);
    assert_eq!(published(&store)["late"], ["2,a,2000"]);
}
