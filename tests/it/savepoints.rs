//! Savepoints in a directory of their own, jobs that begin from them or from another job's checkpoints, and what is shown
//! of checkpoints.

use std::path::{Path, PathBuf};

use beadline::error::Result;
use beadline::session::{CheckpointOutcome, Ending, Outcome, Session};
use beadline::storage::{FakeStore, Fault, Store};
use beadline::stream::BarrierKind;

use crate::simulated::{Published, Start, assert_same, damaged, disk, let_time_pass, published, runtime, soon, world};

const ROWS: std::ops::Range<usize> = 640..760;

fn undisturbed() -> Published {
    let store = disk(ROWS);
    Start::default().finish(&store);
    published(&store)
}

fn start() -> Start {
    Start { every_rows: 40, ..Start::default() }
}

/// Another job, which begins from what lies at a path.
fn begun_from(path: &Path) -> Start {
    let settings =
        vec![("pipeline.name", "other".to_owned()), ("execution.state-recovery.path", path.display().to_string())];
    Start { parallelism: 3, settings, ..start() }
}

/// Takes a checkpoint of the main job, and stops it with a savepoint below `/savepoints`.
fn stop_with_savepoint(start: &Start, store: &FakeStore) -> Result<PathBuf> {
    runtime().block_on(soon(async {
        let job = start.begin(store).await?;
        job.checkpoint().await?;
        let taken = job.stop_with_savepoint(Some("/savepoints".into())).await?;
        assert!(matches!(job.wait().await?.ending, Ending::Stopped { at: Some(epoch) } if epoch == taken.epoch));
        Ok(taken.directory.expect("it was asked for in a directory of its own"))
    }))
}

fn remove_below(store: &FakeStore, directory: &str) {
    store.release_locks();
    for file in store.files().into_keys().filter(|file| file.starts_with(directory)) {
        store.remove(&file).expect("it is there");
    }
}

/// The other job writes beside the first, at another parallelism: what both have made public is what one would have.
#[test]
fn a_savepoint_outlives_its_job_and_another_begins_from_it() {
    let store = disk(ROWS);
    let savepoint = stop_with_savepoint(&start(), &store).expect("there is room");
    assert!(savepoint.starts_with("/savepoints"), "{savepoint:?}");
    let public = published(&store);
    assert!(public != undisturbed() && !public.is_empty(), "the job was stopped half way");
    remove_below(&store, "/checkpoints");
    begun_from(&savepoint).finish(&store);
    assert_same(&published(&store), &undisturbed(), "a start from a savepoint");
    assert!(store.files().into_keys().any(|file| file.starts_with(&savepoint)), "it is nobody's to remove");
}

/// Its own checkpoints count, once it has some: what is set stays in the script.
#[test]
fn a_job_that_has_begun_goes_on_from_its_own_checkpoints() {
    let store = disk(ROWS);
    let savepoint = stop_with_savepoint(&start(), &store).expect("there is room");
    let other = begun_from(&savepoint);
    other.kill_after(&store, 1);
    remove_below(&store, "/savepoints");
    other.finish(&store);
    assert_same(&published(&store), &undisturbed(), "a kill behind a start from a savepoint");
}

/// A directory of checkpoints will do, and an entry of its log; they stay what they were.
#[test]
fn a_job_begins_from_the_checkpoints_of_another() {
    let store = disk(ROWS);
    start().stop_after(&store, 1);
    let entries = store.files().into_keys().filter(|file| file.starts_with("/checkpoints/main/log"));
    let entry = entries.filter(|file| file.extension().is_some_and(|kind| kind == "json")).nth(1);
    for path in [PathBuf::from("/checkpoints/main"), entry.expect("a checkpoint behind the claim")] {
        let copy = damaged(&store, Path::new("/nothing"), None);
        begun_from(&path).finish(&copy);
        assert_same(&published(&copy), &undisturbed(), "a start from another job's checkpoint");
    }
    start().finish(&store);
    assert_same(&published(&store), &undisturbed(), "having been begun from");
}

/// Work with files is done late and in another order: checkpoints take the place of the one that is being copied.
#[test]
fn a_savepoint_is_whole_though_checkpoints_go_on_while_it_is_copied() {
    // Windows that are soon over, so that files go soon.
    let changes: &[_] =
        &[("INTERVAL '1' HOUR", "INTERVAL '1' MINUTE"), ("INTERVAL '60' MINUTE", "INTERVAL '1' MINUTE")];
    let undisturbed = disk(ROWS);
    Start { changes, ..Start::default() }.finish(&undisturbed);
    let expected = published(&undisturbed);
    let mut taken_half_way = 0;
    for seed in 0..21 {
        let store = disk(ROWS);
        let slow = Start { seed, is_slow: true, every_rows: 3, changes, ..start() };
        let taken = runtime().block_on(soon(async {
            let job = slow.begin(&store).await.expect("it starts");
            for _ in 0..3 {
                job.checkpoint().await.expect("there is room");
            }
            let taken = job.savepoint(Some("/savepoints".into())).await.expect("a job that goes on has savepoints");
            assert_eq!(job.wait().await.expect("it goes on").ending, Ending::Finished);
            taken
        }));
        let directory = taken.directory.expect("it has one");
        remove_below(&store, "/checkpoints");
        remove_below(&store, "/out");
        Start { changes, ..begun_from(&directory) }.finish(&store);
        let rest = published(&store);
        for (table, rows) in &rest {
            assert!(rows.iter().all(|row| expected[table].contains(row)), "seed {seed}: {table}");
        }
        taken_half_way += usize::from(rest != expected);
    }
    assert!(taken_half_way > 10, "{taken_half_way} of 21 were taken behind the first rows that became public");
}

/// A savepoint is complete or none at all, and the job that it was to be taken of goes on either way.
#[test]
fn a_crash_while_a_savepoint_is_written_loses_nothing() {
    let store = disk(ROWS);
    stop_with_savepoint(&start(), &store).expect("there is room");
    let (last, expected) = (store.operations(), undisturbed());
    let mut complete = 0;
    for operation in last.saturating_sub(30)..last {
        let store = disk(ROWS);
        store.plant(operation, Fault::Crash);
        let _ = stop_with_savepoint(&start(), &store);
        store.restart();
        let savepoint = store.files().into_keys().find(|file| file.ends_with("manifest.json"));
        if let Some(savepoint) = savepoint {
            complete += 1;
            let copy = damaged(&store, Path::new("/nothing"), None);
            begun_from(&savepoint).finish(&copy);
        }
        start().finish(&store);
        assert_same(&published(&store), &expected, &format!("a crash at operation {operation}"));
    }
    assert!((1..30).contains(&complete), "{complete} of 30 are complete");
}

#[test]
fn a_crash_while_a_job_begins_from_a_savepoint_loses_and_doubles_nothing() {
    let store = disk(ROWS);
    let savepoint = stop_with_savepoint(&start(), &store).expect("there is room");
    let other = begun_from(&savepoint);
    let copy = damaged(&store, Path::new("/nothing"), None);
    let before = copy.operations();
    other.finish(&copy);
    let expected = undisturbed();
    for operation in before..copy.operations() {
        let store = damaged(&store, Path::new("/nothing"), None);
        store.plant(operation, Fault::Crash);
        let _ = other.run(&store);
        store.restart();
        other.finish_again(&store);
        assert_same(&published(&store), &expected, &format!("a crash at operation {operation} of a beginning"));
    }
}

#[test]
fn what_is_no_savepoint_or_damaged_or_of_another_query_is_refused_by_name() {
    let store = disk(ROWS);
    let savepoint = stop_with_savepoint(&start(), &store).expect("there is room");
    let refused = |start: &Start, store: &FakeStore, id: Option<&str>, text: &str| {
        let error = start.run(store).expect_err("it is refused");
        assert!(error.id() == id && error.to_string().contains(text), "{error}");
    };
    refused(&begun_from(Path::new("/savepoints")), &store, Some("BL-STATE-NO-SAVEPOINT"), "/savepoints");
    refused(&begun_from(Path::new("/in/flights.csv")), &store, Some("BL-STATE-CORRUPT"), "/in/flights.csv");

    let state = store
        .files()
        .into_iter()
        .find(|(file, _)| file.starts_with(&savepoint) && file.extension().is_some_and(|kind| kind == "parquet"));
    let (file, mut bytes) = state.expect("it has state");
    bytes[7] ^= 1;
    for content in [Some(bytes.as_slice()), Some(&bytes[..8]), None] {
        let store = damaged(&store, &file, content);
        let error = begun_from(&savepoint).run(&store).expect_err("it is damaged");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }

    let changed = Start { changes: &[("INTERVAL '1' HOUR", "INTERVAL '2' HOUR")], ..begun_from(&savepoint) };
    refused(&changed, &store, None, "has changed");
    let mut unclaimed = changed.clone();
    unclaimed.settings.push(("execution.state-recovery.ignore-unclaimed-state", "true".to_owned()));
    assert_eq!(unclaimed.finish(&store).ending, Ending::Finished);
}

/// Without checkpoints there is nothing that could be begun with.
#[test]
fn a_job_without_checkpoints_begins_from_none() {
    let store = disk(ROWS);
    let error = runtime().block_on(soon(async {
        let mut session = Session::in_world(world(&store, false));
        session.settings_mut().set("execution.state-recovery.path", "/savepoints").expect("a path");
        session
            .sql("CREATE TABLE t (n INT) WITH ('connector' = 'blackhole'); INSERT INTO t VALUES (1)")
            .await
            .map(drop)
            .expect_err("it is refused")
    }));
    assert!(error.to_string().contains("execution.checkpointing.interval"), "{error}");
}

/// What a job says of its checkpoints: one for each, with what it wrote and whom it waited for.
#[test]
fn checkpoints_are_shown_with_their_ends() {
    let store = disk(ROWS);
    let (records, shown) = runtime().block_on(soon(async {
        let mut session = Session::in_world(world(&store, false));
        let script = "CREATE TABLE numbers (n BIGINT, m BIGINT)
                 WITH ('connector' = 'datagen', 'rows-per-second' = '1000', 'fields.m.max' = '9', 'fields.m.min' = '0');
             CREATE TABLE sums (m BIGINT, n BIGINT, PRIMARY KEY (m) NOT ENFORCED) WITH ('connector' = 'blackhole');
             INSERT INTO sums SELECT m, COUNT(*) FROM numbers GROUP BY m";
        session.settings_mut().set("execution.checkpointing.interval", "1 h").expect("an interval");
        session.settings_mut().set("execution.checkpointing.dir", "/checkpoints").expect("a directory");
        session.settings_mut().set("restart-strategy.type", "none").expect("a strategy");
        let Outcome::Job(job) = session.sql(script).await.expect("a job") else { panic!("an INSERT is a job") };
        while job.status().rows_in < 100 {
            let_time_pass().await;
        }
        job.checkpoint().await.expect("there is room");
        job.savepoint(None).await.expect("there is room");
        store.plant(store.operations(), Fault::Fail);
        let _ = job.checkpoint().await;
        let _ = job.wait().await;
        let Outcome::Table(_, shown) = session.sql("SHOW CHECKPOINTS").await.expect("a list") else { panic!("rows") };
        (job.checkpoint_records(), shown)
    }));
    let [first, second, failed] = &records[..] else { panic!("{records:#?}") };
    let CheckpointOutcome::Completed(size, _) = &first.outcome else { panic!("{first:?}") };
    assert!(size.files > 0 && size.written_bytes == size.bytes && first.slowest.is_some(), "{first:?}");
    let CheckpointOutcome::Completed(size, _) = &second.outcome else { panic!("{second:?}") };
    assert!(second.kind == BarrierKind::Savepoint && size.written_bytes <= size.bytes, "{second:?}");
    assert!(matches!(failed.outcome, CheckpointOutcome::Failed(_)), "{failed:?}");
    assert_eq!(shown.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
}
