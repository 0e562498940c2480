//! CHECKPOINT and SAVEPOINT as statements: what a job answers that runs, comes to its end, has failed, or keeps none.

use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use beadline::error::Result;
use beadline::session::{JobHandle, Outcome, Session};
use beadline::storage::{FakeStore, Fault, Store};

use crate::simulated::{disk, runtime, soon, world};

/// A session over this disk in which jobs have checkpoints on request alone.
fn session(store: &FakeStore) -> Session {
    let mut session = Session::in_world(world(store, false));
    for (key, value) in [
        ("execution.checkpointing.interval", "1 h"),
        ("execution.checkpointing.dir", "/checkpoints"),
        ("restart-strategy.type", "none"),
    ] {
        session.settings_mut().set(key, value).expect("a setting");
    }
    session
}

async fn begin(session: &mut Session, name: &str, table: &str) -> JobHandle {
    session.settings_mut().set("pipeline.name", name).expect("a name");
    let script = format!(
        "CREATE TABLE IF NOT EXISTS numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000');
         CREATE TABLE IF NOT EXISTS few (n BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '10');
         CREATE TABLE IF NOT EXISTS hole (n BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO hole SELECT n FROM {table}"
    );
    match session.sql(&script).await.expect("a job") {
        Outcome::Job(job) => job,
        _ => panic!("an INSERT is a job"),
    }
}

/// The rows of an answer, their columns joined.
async fn answer(session: &mut Session, statement: &str) -> Result<Vec<String>> {
    let Outcome::Table(_, batches) = session.sql(statement).await? else { panic!("{statement} is answered by rows") };
    let row = |batch: &arrow::record_batch::RecordBatch, row| {
        let texts: Vec<&str> = batch.columns().iter().map(|column| column.as_string::<i32>().value(row)).collect();
        texts.join(" | ")
    };
    Ok(batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect())
}

#[test]
fn running_jobs_answer_with_a_number_and_a_path() {
    let store = FakeStore::new();
    runtime().block_on(soon(async {
        let mut session = session(&store);
        let none = answer(&mut session, "CHECKPOINT").await.expect_err("no job runs");
        assert!(none.to_string().contains("no job runs here"), "{none}");
        let one = begin(&mut session, "one", "numbers").await;
        assert_eq!(answer(&mut session, "CHECKPOINT JOB 'one'").await.unwrap(), ["one | 1"]);
        let _two = begin(&mut session, "two", "numbers").await;
        assert_eq!(answer(&mut session, "checkpoint").await.unwrap(), ["one | 2", "two | 1"]);
        // Without a directory it is kept among the checkpoints, and nothing else than the last of those.
        assert_eq!(answer(&mut session, "SAVEPOINT JOB '1'").await.unwrap(), ["one | 3 | "]);
        for number in 4..7 {
            assert_eq!(answer(&mut session, "CHECKPOINT JOB '1'").await.unwrap(), [format!("one | {number}")]);
        }
        session.settings_mut().set("execution.checkpointing.savepoint-dir", "/savepoints").expect("a directory");
        let saved = answer(&mut session, "SAVEPOINT JOB 'two'").await.unwrap();
        let path = saved[0].strip_prefix("two | 2 | ").unwrap_or_else(|| panic!("{saved:?}"));
        assert!(store.info(&Path::new(path).join("manifest.json")).unwrap().is_some(), "{path}");
        let unknown = answer(&mut session, "SAVEPOINT JOB 'three'").await.expect_err("there is none");
        assert!(unknown.to_string().contains("there is no job 'three'"), "{unknown}");
        one.stop().await.unwrap();
        one.wait().await.unwrap();
        let stopped = answer(&mut session, "CHECKPOINT JOB 'one'").await.expect_err("it was stopped");
        assert!(stopped.to_string().contains("job one ended before the checkpoint"), "{stopped}");
    }));
}

/// Whether the job is through a moment before or after the statement makes no difference.
#[test]
fn a_job_that_finishes_answers_with_its_last_checkpoint() {
    let store = FakeStore::new();
    runtime().block_on(soon(async {
        let mut session = session(&store);
        let job = begin(&mut session, "few", "few").await;
        let meanwhile = answer(&mut session, "CHECKPOINT JOB 'few'").await.unwrap();
        job.wait().await.unwrap();
        let last = answer(&mut session, "CHECKPOINT JOB 'few'").await.unwrap();
        assert_eq!(answer(&mut session, "SAVEPOINT JOB 'few'").await.unwrap(), [format!("{} | ", last[0])]);
        session.settings_mut().set("execution.checkpointing.savepoint-dir", "/savepoints").expect("a directory");
        let over = answer(&mut session, "SAVEPOINT JOB 'few'").await.expect_err("nobody is there to copy it");
        assert!(over.to_string().contains("job few has finished; its last checkpoint, "), "{over}");
        assert!(over.helps()[0].contains("execution.state-recovery.path"), "{over}");
        assert!(meanwhile[0].starts_with("few | ") && meanwhile <= last, "{meanwhile:?} {last:?}");
    }));
}

/// In every moment of a job that comes to its end: a savepoint in a directory of its own is whole, or it is said why not.
#[test]
fn a_savepoint_of_a_job_on_its_way_to_the_end_is_whole() {
    let mut paths = Vec::new();
    for turns in 0..60 {
        let store = disk(640..700);
        let start = crate::simulated::Start { is_slow: true, every_rows: 30, ..Default::default() };
        let taken = runtime().block_on(soon(async {
            let job = start.begin(&store).await.expect("it starts");
            for _ in 0..turns {
                let _ = tokio::time::timeout(std::time::Duration::from_millis(100), std::future::pending::<()>()).await;
            }
            let taken = job.savepoint(Some("/savepoints".into())).await;
            job.wait().await.expect("it finishes");
            taken
        }));
        match taken {
            Ok(taken) => paths.push((store, taken.directory.expect("a directory of its own"))),
            Err(error) => assert!(error.to_string().contains("has finished; its last checkpoint"), "{error}"),
        }
    }
    assert!((5..60).contains(&paths.len()), "{} of 60 were in time", paths.len());
    let is_whole = |(store, path): &(FakeStore, PathBuf)| store.info(&path.join("manifest.json")).unwrap().is_some();
    assert!(paths.iter().all(is_whole));
}

#[test]
fn a_job_that_fails_or_keeps_no_checkpoints_says_so() {
    let store = FakeStore::new();
    runtime().block_on(soon(async {
        let mut session = session(&store);
        let job = begin(&mut session, "full", "numbers").await;
        assert_eq!(answer(&mut session, "CHECKPOINT JOB 'full'").await.unwrap(), ["full | 1"]);
        store.plant(store.operations(), Fault::Fail);
        for statement in ["CHECKPOINT JOB 'full'", "CHECKPOINT JOB 'full'", "SAVEPOINT JOB 'full'"] {
            let failed = answer(&mut session, statement).await.expect_err("the disk was full");
            assert!(failed.to_string().contains("planted fault"), "{statement}: {failed}");
        }
        job.wait().await.expect_err("it has failed");
        session.settings_mut().reset(Some("execution.checkpointing.interval"));
        begin(&mut session, "plain", "numbers").await;
        let refused = answer(&mut session, "CHECKPOINT JOB 'plain'").await.expect_err("it keeps none");
        assert!(refused.to_string().contains("job plain keeps no checkpoints"), "{refused}");
        session.settings_mut().set("execution.runtime-mode", "BATCH").expect("a mode");
        let batch = begin(&mut session, "batch", "few").await;
        let refused = answer(&mut session, "SAVEPOINT JOB 'batch'").await.expect_err("it keeps none");
        assert!(refused.to_string().contains("a batch has no savepoints"), "{refused}");
        batch.wait().await.expect("it ends");
    }));
}
