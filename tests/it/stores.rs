//! Stores by location: rows are read from any store; what renames and locks is refused where a store does neither, before
//! anything is touched.

use std::path::Path;
use std::sync::Arc;

use beadline::connectors::World;
use beadline::error::Blame;
use beadline::session::{Outcome, Session};
use beadline::storage::{FakeStore, Store, Stores};

use crate::simulated::{runtime, soon, world};

/// A session over files of this computer, and a store that has nothing but what every store has.
fn session(local: &FakeStore, objects: &FakeStore) -> Session {
    let stores = Stores::new(Arc::new(local.clone())).with_scheme("mem", Arc::new(objects.clone()));
    Session::in_world(World { stores, ..world(local, false) }).with_seed(1)
}

fn object(content: &str) -> FakeStore {
    let objects = FakeStore::new();
    objects.put_if_absent(Path::new("bucket/in/a.csv"), content.as_bytes()).expect("an empty store");
    objects
}

/// Runs a script that ends with an INSERT and says what went wrong.
fn failure(local: &FakeStore, objects: &FakeStore, script: &str) -> beadline::error::Error {
    let mut session = session(local, objects);
    runtime().block_on(soon(async {
        let Outcome::Job(job) = session.sql(script).await.expect("it is planned") else { panic!("an INSERT is a job") };
        job.wait().await.expect_err("a store lacks something")
    }))
}

const TABLES: &str =
    "CREATE TABLE given (n INT) WITH ('connector' = 'filesystem', 'path' = 'mem://bucket/in', 'format' = 'csv');
    CREATE TABLE out (n INT) WITH ('connector' = 'filesystem', 'path' = '/out', 'format' = 'csv');
    CREATE TABLE objects (n INT) WITH ('connector' = 'filesystem', 'path' = 'mem://bucket/out', 'format' = 'csv');
    CREATE TABLE nowhere (n INT) WITH ('connector' = 'filesystem', 'path' = 's3://bucket/in', 'format' = 'csv');";

#[test]
fn rows_are_read_from_the_store_that_the_location_names() {
    let (local, objects) = (FakeStore::new(), object("1\n2\n"));
    let mut session = session(&local, &objects);
    let script = format!(
        "{TABLES} SET 'execution.checkpointing.interval' = '1 min'; SET 'execution.checkpointing.dir' = '/checkpoints';
         INSERT INTO out SELECT n * 10 FROM given"
    );
    runtime().block_on(soon(async {
        let Outcome::Job(job) = session.sql(&script).await.expect("it is planned") else {
            panic!("an INSERT is a job")
        };
        job.wait().await.expect("it ends well");
    }));
    let parts = local.files().into_iter().filter(|(path, _)| {
        path.starts_with("/out") && !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.')
    });
    let rows: Vec<String> = parts.map(|(_, bytes)| String::from_utf8(bytes).expect("text")).collect();
    assert_eq!(rows, ["10\n20\n"]);
    assert_eq!(objects.files().len(), 1, "nothing is written there");
}

#[test]
fn what_renames_and_locks_is_refused_where_a_store_does_neither() {
    for (statement, expected) in [
        ("INSERT INTO objects SELECT n FROM given", "'mem://bucket/out': the part files of a sink need a file system"),
        (
            "SET 'execution.checkpointing.dir' = 'mem://bucket/points'; INSERT INTO out SELECT n FROM given",
            "'mem://bucket/points': checkpoints need a file system",
        ),
        ("INSERT INTO out SELECT n FROM nowhere", "'s3://bucket/in': there is no store for the scheme 's3'"),
    ] {
        let (local, objects) = (FakeStore::new(), object("1\n"));
        let script = format!("{TABLES} SET 'execution.checkpointing.interval' = '1 min'; {statement}");
        let error = failure(&local, &objects, &script);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(matches!(error.blame(), Blame::Query), "{error:?}");
        assert!(local.files().is_empty(), "the job has been claimed, or rows were written: {:?}", local.files());
        assert_eq!(objects.files().len(), 1);
    }
}

/// The first INSERT of a statement is not run where the second cannot be.
#[test]
fn in_batch_mode_nothing_is_touched_either() {
    for (second, expected) in [
        ("INSERT INTO objects SELECT n FROM given", "table `objects`: 'mem://bucket/out': the part files of a sink"),
        ("INSERT INTO out SELECT n FROM nowhere", "table `nowhere`: 's3://bucket/in': there is no store"),
    ] {
        let (local, objects) = (FakeStore::new(), object("1\n"));
        let script = format!(
            "{TABLES} SET 'execution.runtime-mode' = 'batch';
             EXECUTE STATEMENT SET BEGIN INSERT INTO out SELECT n FROM given; {second}; END"
        );
        let mut session = session(&local, &objects);
        let refused = runtime().block_on(soon(async { session.sql(&script).await.map(drop) }));
        let error = refused.expect_err("a store lacks something");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(local.files().is_empty(), "{:?}", local.files());
    }
}
