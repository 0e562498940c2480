//! At every barrier what a query of `queries/` has published is what batch mode finds in the rows in front of it, as far as
//! windows have closed. Random queries are checked likewise (`random/barrier.rs`).

use std::collections::BTreeMap;
use std::path::Path;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use beadline::error::Result;
use beadline::session::{Ending, JobHandle, Outcome, Session};
use beadline::storage::{FakeStore, Store};
use serde_json::Value;

use crate::simulated::{runtime, soon, world};
use crate::support::{QueryFile, checkout, full, queries};

/// A query in a simulated world, whose tables have a copy of their input each, so that each can end elsewhere.
struct Script {
    statements: Vec<String>,
    /// The files below `/in`.
    inputs: BTreeMap<String, Vec<u8>>,
}

impl Script {
    fn new(query: &QueryFile) -> Self {
        let mut inputs = BTreeMap::new();
        let mut copies = 0..;
        let mut moved = |statement: &str| {
            let statement = statement.replace("'.beadline/out/", "'/out/");
            let Some((before, rest)) = statement.split_once("'queries/data/") else { return statement };
            let (path, after) = rest.split_once('\'').expect("the end of a path");
            let copy = copies.next().expect("numbers go on");
            for (name, bytes) in files(path) {
                inputs.insert(format!("/in/{copy}/{name}"), bytes);
            }
            let name = path.rsplit('/').next().expect("a name");
            format!("{before}'/in/{copy}/{name}'{after}")
        };
        let statements = query.statements().iter().map(|statement| moved(statement)).collect();
        Self { statements, inputs }
    }

    fn session(&self, store: &FakeStore, settings: &[(&str, String)]) -> Session {
        let mut session = Session::in_world(world(store, false)).with_seed(1);
        for (key, value) in settings {
            session.settings_mut().set(key, value).expect("a setting");
        }
        session
    }

    /// Executes the statements up to the one that is a job.
    async fn begin(&self, session: &mut Session) -> Result<JobHandle> {
        for statement in &self.statements {
            if let Outcome::Job(job) = session.sql(statement).await? {
                return Ok(job);
            }
        }
        panic!("no statement is a job")
    }

    /// Runs the job as a stream and stops it at a barrier, unless it ends before.
    fn stream(&self, every_rows: usize, checkpoints: usize) -> FakeStore {
        let store = disk(&self.inputs);
        let settings = [
            ("pipeline.name", "main".to_owned()),
            ("execution.checkpointing.dir", "/checkpoints".to_owned()),
            ("parallelism.default", "2".to_owned()),
            ("beadline.limit.batch-rows", "100".to_owned()),
            ("beadline.checkpoint.every-rows", every_rows.to_string()),
        ];
        let ended = runtime().block_on(soon(async {
            let mut session = self.session(&store, &settings);
            let job = self.begin(&mut session).await?;
            for _ in 0..checkpoints {
                let _ = job.checkpoint().await;
            }
            job.stop().await?;
            job.wait().await
        }));
        let ending = ended.expect("it stops").ending;
        assert!(matches!(ending, Ending::Stopped { at: Some(_) } | Ending::Finished), "{ending:?}");
        store
    }

    /// Runs the job in batch mode over those inputs.
    fn batch(&self, inputs: &BTreeMap<String, Vec<u8>>) -> FakeStore {
        let store = disk(inputs);
        let settings = [("execution.runtime-mode", "batch".to_owned())];
        runtime()
            .block_on(soon(async {
                let mut session = self.session(&store, &settings);
                self.begin(&mut session).await?.wait().await
            }))
            .expect("it runs in batch mode");
        store
    }

    /// The rows of a query over the tables, sorted.
    fn select(&self, store: &FakeStore, sql: &str) -> Vec<String> {
        let settings = [("execution.runtime-mode", "batch".to_owned())];
        let batches = runtime().block_on(soon(async {
            let mut session = self.session(store, &settings);
            for statement in self.statements.iter().filter(|statement| !is_job(statement)) {
                session.sql(statement).await?;
            }
            let mut rows = session.query(sql).await?;
            let mut batches = Vec::new();
            while let Some(changes) = rows.next().await {
                batches.push(changes?.batch().clone());
            }
            Ok::<_, beadline::error::Error>(batches)
        }));
        let mut rows = Vec::new();
        for batch in batches.unwrap_or_else(|error| panic!("{sql}: {error}")) {
            let options = FormatOptions::default();
            let columns: Vec<ArrayFormatter> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).expect("a type that is shown"))
                .collect();
            let cells = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>();
            rows.extend((0..batch.num_rows()).map(|row| cells(row).join(" | ")));
        }
        rows.sort();
        rows
    }
}

fn is_job(statement: &str) -> bool {
    let statement = statement.trim_start();
    statement.starts_with("INSERT") || statement.starts_with("EXECUTE")
}

fn disk(inputs: &BTreeMap<String, Vec<u8>>) -> FakeStore {
    let store = FakeStore::new();
    for (path, bytes) in inputs {
        store.put_if_absent(Path::new(path), bytes).expect("room for the input");
    }
    store
}

/// The files of a path below `queries/data`, whose name may have one `*`.
fn files(path: &str) -> Vec<(String, Vec<u8>)> {
    let path = checkout().join("queries/data").join(path);
    let pattern = crate::support::name_of(&path);
    let (start, end) = pattern.split_once('*').unwrap_or((&pattern, ""));
    let found = crate::support::entries(path.parent().expect("a folder")).into_iter().map(|path| {
        let name = crate::support::name_of(&path);
        (path, name)
    });
    found
        .filter(|(_, name)| name.starts_with(start) && name.ends_with(end))
        .map(|(path, name)| (name, std::fs::read(path).expect("a file")))
        .collect()
}

/// The newest checkpoint of the job.
fn newest(store: &FakeStore) -> Value {
    let entries = store.files().into_iter().filter(|(path, _)| path.starts_with("/checkpoints/main/log"));
    let entries = entries.filter_map(|(_, bytes)| serde_json::from_slice::<Value>(&bytes).ok());
    let checkpoints = entries.filter(|entry| entry["entry"] == "checkpoint");
    checkpoints.max_by_key(|entry| entry["epoch"].as_u64()).expect("a checkpoint")
}

/// The inputs up to where a checkpoint has read them.
fn read_by(checkpoint: &Value, inputs: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let operators = checkpoint["operators"].as_object().expect("operators by id").values();
    let splits: BTreeMap<&String, &Value> =
        operators.filter_map(|operator| operator["splits"].as_object()).flatten().collect();
    let read = |(path, bytes): (&String, &Vec<u8>)| {
        let offset = splits.get(path).map_or(0, |split| split["position"]["offset"].as_u64().expect("an offset"));
        (path.clone(), bytes[..offset as usize].to_vec())
    };
    inputs.iter().map(read).collect()
}

/// The watermark that had come to the sink of a table, in milliseconds.
fn watermark(checkpoint: &Value, table: &str) -> i64 {
    let mut operators = checkpoint["operators"].as_object().expect("operators by id").values();
    let sink =
        operators.find(|operator| operator["name"] == "Sink" && operator["reaches"] == serde_json::json!([table]));
    let ranges = sink.unwrap_or_else(|| panic!("no sink of {table}: {checkpoint:#}"))["watermarks"].as_array();
    let met = |range: &Value| range["watermark"].as_i64().expect("a watermark");
    ranges.expect("what its tasks were told").iter().map(met).min().expect("a task")
}

/// What stands in the tables at a barrier is what batch mode finds in the rows in front of it; says how many rows that are.
fn check(query: &QueryFile, every_rows: usize, checkpoints: usize) -> usize {
    let script = Script::new(query);
    let stream = script.stream(every_rows, checkpoints);
    let checkpoint = newest(&stream);
    let batch = script.batch(&read_by(&checkpoint, &script.inputs));
    let late = query.late_tables();
    let mut rows = 0;
    for (table, _) in query.golden.iter().filter(|(table, _)| table != "stdout" && !late.contains(table)) {
        let all = format!("SELECT * FROM {table}");
        let found = script.select(&stream, query.with_late.get(table).unwrap_or(&all));
        let closed = match query.closes.get(table) {
            // Its rows leave as they come.
            None => all,
            Some(end) => {
                let reached = watermark(&checkpoint, table) + 1;
                format!("{all} WHERE {end} <= CAST(TO_TIMESTAMP_LTZ({reached}, 3) AS TIMESTAMP(3))")
            }
        };
        let expected = script.select(&batch, &closed);
        let about = format!("{}: {table} behind {checkpoints} checkpoints", query.name());
        rows += found.len();
        crate::queries::assert_rows(
            &found,
            &expected,
            &format!("{about}, as a stream (left) and in batch mode (right)"),
        );
    }
    rows
}

#[test]
fn at_barriers_every_query_has_the_rows_of_batch_mode() {
    let checked = queries().into_iter().filter(|query| query.says("restore") && query.says("batch"));
    let checked: Vec<QueryFile> = checked.collect();
    assert!(checked.len() > 8, "only {} queries", checked.len());
    let barriers: &[usize] = if full() { &[1, 2, 3, 5, 7] } else { &[2, 5] };
    for query in checked {
        let rows: usize = barriers.iter().map(|checkpoints| check(&query, 350, *checkpoints)).sum();
        assert!(rows > 0, "{} has no rows at any barrier", query.name());
    }
}
