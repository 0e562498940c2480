//! The state of a job in the eyes of an outside reader, who has the log's JSON, the Parquet files and the description of
//! both, and none of our code: the rows of a keyed table replace each other, those of a table of panes add up.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use beadline::session::{Ending, JobSummary, Outcome, Session};
use beadline::storage::FakeStore;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::simulated::{disk, runtime, soon, world};

const FLIGHTS: &str = "
CREATE TABLE flights (
  sched TIMESTAMP(3), dep TIMESTAMP(3), carrier STRING, flight INT, origin STRING, dest STRING,
  WATERMARK FOR sched AS sched - INTERVAL '60' MINUTE
) WITH ('connector' = 'filesystem', 'path' = '/in/flights.csv', 'format' = 'csv');
CREATE TABLE counts (dest STRING, flights BIGINT) WITH ('connector' = 'blackhole');";

/// Counts by airport.
type Counts = BTreeMap<String, i64>;

/// Runs an INSERT to its end, or takes some checkpoints and stops.
fn run(store: &FakeStore, insert: &str, checkpoints: Option<usize>) -> JobSummary {
    runtime().block_on(soon(async {
        let mut session = Session::in_world(world(store, false)).with_seed(1);
        for (key, value) in [
            ("pipeline.name", "main"),
            ("execution.checkpointing.dir", "/checkpoints"),
            ("parallelism.default", "2"),
            ("beadline.checkpoint.every-rows", "30"),
        ] {
            session.settings_mut().set(key, value).expect("a setting");
        }
        let Outcome::Job(job) = session.sql(&format!("{FLIGHTS}{insert}")).await.expect("it is planned") else {
            panic!("an INSERT is a job");
        };
        for _ in 0..checkpoints.unwrap_or(0) {
            job.checkpoint().await.expect("it takes checkpoints");
        }
        if checkpoints.is_some() {
            job.stop().await.expect("it can be asked");
        }
        job.wait().await.expect("it ends well")
    }))
}

/// The last checkpoint of the log.
fn manifest(files: &BTreeMap<std::path::PathBuf, Vec<u8>>) -> Value {
    let entries = files.iter().filter(|(path, _)| {
        path.starts_with("/checkpoints/main/log") && path.extension().is_some_and(|extension| extension == "json")
    });
    let mut newest = entries.rev().map(|(_, text)| serde_json::from_slice::<Value>(text).expect("JSON"));
    newest.find(|entry| entry["entry"] == "checkpoint").expect("a checkpoint")
}

/// The rows of a table of the job `main`, file by file in the order of the manifest.
pub fn rows(store: &FakeStore, table: &str) -> Vec<RecordBatch> {
    let files = store.files();
    let manifest = manifest(&files);
    let operators = manifest["operators"].as_object().expect("operators by id").values();
    let tables = operators.flat_map(|operator| operator["tables"].as_array().into_iter().flatten());
    let of_table = tables.filter(|found| found["name"] == table);
    let paths: Vec<&str> = of_table
        .flat_map(|table| table["files"].as_array().expect("files"))
        .map(|file| file["path"].as_str().expect("a path"))
        .collect();
    let read = |path: &&str| {
        let bytes = Bytes::from(files[&Path::new("/checkpoints/main").join(path)].clone());
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a Parquet file").build().expect("a reader");
        reader.collect::<Result<Vec<_>, _>>().expect("rows")
    };
    paths.iter().flat_map(read).collect()
}

/// Airports and counts, which stand last, of a batch, with what the file says of deletion where it says it.
fn counted(batch: &RecordBatch) -> Vec<(String, i64, bool)> {
    let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("no {name} in {:?}", batch.schema()));
    let counts = batch.columns().last().expect("columns").as_primitive::<Int64Type>();
    let airports = column("dest").as_string::<i32>();
    let deleted = batch.column_by_name("deleted").map(|deleted| deleted.as_boolean());
    let row = |row| (airports.value(row).to_owned(), counts.value(row), deleted.is_some_and(|gone| gone.value(row)));
    (0..batch.num_rows()).map(row).collect()
}

/// The counts over the first lines of the input.
fn expected(store: &FakeStore, lines: usize) -> Counts {
    let text = String::from_utf8(store.files()[Path::new("/in/flights.csv")].clone()).expect("text");
    let mut counts = Counts::new();
    for line in text.lines().take(lines) {
        *counts.entry(line.rsplit(',').next().expect("an airport").to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn the_last_row_of_a_key_is_its_result_when_the_job_has_finished() {
    let store = disk(640..800);
    let summary = run(&store, "INSERT INTO counts SELECT dest, COUNT(*) FROM flights GROUP BY dest;", None);
    assert_eq!(summary.ending, Ending::Finished);
    let mut last = Counts::new();
    let groups = rows(&store, "groups");
    assert!(groups.len() > 2, "there are increments");
    for (airport, count, is_deleted) in groups.iter().flat_map(counted) {
        match is_deleted {
            true => last.remove(&airport),
            false => last.insert(airport, count),
        };
    }
    assert_eq!(last, expected(&store, 160));
}

#[test]
fn the_rows_of_panes_add_up_to_what_was_read() {
    let store = disk(640..800);
    let insert = "
        INSERT INTO counts SELECT dest, COUNT(*) FROM TUMBLE(TABLE flights, DESCRIPTOR(sched), INTERVAL '99' DAY)
        GROUP BY window_start, window_end, dest;";
    let summary = run(&store, insert, Some(2));
    assert!(matches!(summary.ending, Ending::Stopped { .. }), "{summary:?}");
    let mut sums = Counts::new();
    let panes = rows(&store, "panes");
    assert!(panes.len() > 2, "there are increments");
    for (airport, count, _) in panes.iter().flat_map(counted) {
        *sums.entry(airport).or_default() += count;
    }
    let read = sums.values().sum::<i64>();
    assert!((1..160).contains(&read), "it was stopped half way: {read}");
    assert_eq!(sums, expected(&store, read as usize));
}
