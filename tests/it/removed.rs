//! The directory of checkpoints is removed while the job runs: it stops, and says that there is nothing to go on from.

use std::sync::Arc;

use beadline::error::{Error, Result};
use beadline::session::{JobHandle, Notice, Outcome, Session};
use beadline::storage::{FakeStore, Fault, Store};

use crate::simulated::{runtime, soon, world};

const ENDLESS: &str = "
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000');
CREATE TABLE seen (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'OUT', 'format' = 'csv');
INSERT INTO seen SELECT n FROM numbers;";

async fn begin(mut session: Session, directory: &str, settings: &[(&str, &str)]) -> Result<JobHandle> {
    let dir = format!("{directory}/checkpoints");
    let common =
        [("pipeline.name", "x"), ("execution.checkpointing.dir", &*dir), ("execution.checkpointing.interval", "1 h")];
    for (key, value) in common.iter().chain(settings) {
        session.settings_mut().set(key, value)?;
    }
    match session.sql(&ENDLESS.replace("OUT", &format!("{directory}/out"))).await? {
        Outcome::Job(job) => Ok(job),
        _ => Err(Error::bug("an INSERT is a job")),
    }
}

#[track_caller]
fn assert_gone(error: &Error) {
    assert_eq!(error.id(), Some("BL-STATE-GONE"), "{error}");
    let text = error.to_string();
    assert!(text.contains("there is nothing to go on from") && !text.contains("goes on from"), "{text}");
}

fn remove_checkpoints(store: &FakeStore) {
    store.release_locks();
    for file in store.files().into_keys().filter(|file| file.starts_with("/checkpoints")) {
        store.remove(&file).expect("it is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_removed_under_a_job_stops_it() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let directory = scratch.path().display().to_string();
    // Neither is it a checkpoint that may fail, nor a failure that passes.
    let patient = [
        ("execution.checkpointing.tolerable-failed-checkpoints", "5"),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.delay", "1 ms"),
    ];
    let job = begin(Session::new(), &directory, &patient).await.expect("it starts");
    job.checkpoint().await.expect("it is there");
    // At once, as the job may still be tidying up in it.
    std::fs::rename(scratch.path().join("checkpoints"), scratch.path().join("removed")).expect("it goes");
    assert_gone(&job.checkpoint().await.expect_err("it is gone"));
    assert_gone(&job.wait().await.expect_err("it is gone"));
}

#[test]
fn a_stop_does_not_promise_what_was_removed() {
    let store = FakeStore::new();
    let ended = runtime().block_on(soon(async {
        let job = begin(Session::in_world(world(&store, false)), "", &[]).await.expect("it starts");
        job.checkpoint().await.expect("it is there");
        remove_checkpoints(&store);
        job.stop().await.expect("it is asked to");
        job.wait().await
    }));
    assert_gone(&ended.expect_err("the last checkpoint cannot be completed"));
}

/// A failure of another kind, before the job has had a look at its log.
#[test]
fn no_other_failure_promises_what_was_removed() {
    let store = FakeStore::new();
    let ended = runtime().block_on(soon(async {
        let job = begin(Session::in_world(world(&store, false)), "", &[]).await.expect("it starts");
        job.checkpoint().await.expect("it is there");
        remove_checkpoints(&store);
        store.plant(store.operations(), Fault::Fail);
        let _ = job.checkpoint().await;
        job.wait().await
    }));
    assert_gone(&ended.expect_err("a write has failed"));
}

/// Between a failure and the restart of the same process, which must not begin anew beside what is public.
#[test]
fn a_restart_does_not_begin_anew_where_the_log_was_removed() {
    let store = FakeStore::new();
    let disk = store.clone();
    let session = Session::in_world(world(&store, false)).with_notices(Arc::new(move |notice| {
        if matches!(notice, Notice::Warning(text) if text.contains(" restarts in ")) {
            remove_checkpoints(&disk);
        }
    }));
    let restarting = [("restart-strategy.type", "fixed-delay"), ("restart-strategy.fixed-delay.attempts", "3")];
    let ended = runtime().block_on(soon(async {
        let job = begin(session, "", &restarting).await.expect("it starts");
        job.checkpoint().await.expect("it is there");
        store.plant(store.operations(), Fault::Fail);
        let _ = job.checkpoint().await;
        assert!(job.checkpoint().await.is_err(), "it has begun anew");
        job.wait().await
    }));
    assert_gone(&ended.expect_err("there is nothing to restart from"));
}
