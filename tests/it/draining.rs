//! Stops that drain: every window fires, sinks commit, the job has finished, and its savepoint is where another begins.

use std::path::PathBuf;

use beadline::error::Result;
use beadline::session::Ending;
use beadline::storage::{FakeStore, Fault};

use crate::simulated::{Published, Start, assert_same, disk, published, runtime, soon};

const ROWS: std::ops::Range<usize> = 640..760;

fn start() -> Start {
    Start { every_rows: 40, ..Start::default() }
}

/// Takes a checkpoint of the main job, and drains it; where its savepoint is, and how many rows it has read.
fn drain(start: &Start, store: &FakeStore) -> Result<(PathBuf, usize)> {
    runtime().block_on(soon(async {
        let job = start.begin(store).await?;
        job.checkpoint().await?;
        let taken = job.drain_with_savepoint(Some("/savepoints".into())).await?;
        let summary = job.wait().await?;
        assert_eq!(summary.ending, Ending::Finished);
        let rows = usize::try_from(summary.status.rows_in).expect("they are few");
        Ok((taken.directory.expect("it was asked for in a directory of its own"), rows))
    }))
}

/// Rows in windows, and late ones: each row that was read is one of these.
fn rows_of(published: &Published) -> usize {
    let counted = |row: &String| row.rsplit(',').next().and_then(|count| count.parse::<usize>().ok());
    let late = published.get("late_flights").map_or(0, Vec::len);
    late + published.get("departures").into_iter().flatten().filter_map(counted).sum::<usize>()
}

#[test]
fn every_row_that_was_read_is_in_a_result_and_another_job_reads_the_rest() {
    let store = disk(ROWS);
    let (savepoint, rows) = drain(&start(), &store).expect("there is room");
    assert!(0 < rows && rows < ROWS.len(), "it was drained half way: {rows}");
    assert_eq!(rows_of(&published(&store)), rows);
    assert_eq!(start().finish_again(&store), Ending::AlreadyFinished, "it has ended for good");
    let settings =
        vec![("pipeline.name", "other".to_owned()), ("execution.state-recovery.path", savepoint.display().to_string())];
    Start { parallelism: 3, settings, ..start() }.finish(&store);
    assert_eq!(
        rows_of(&published(&store)),
        ROWS.len(),
        "what is read from the savepoint on is not late for having ended"
    );
}

/// A stop that does not drain leaves windows open, and the same rows are in no result yet.
#[test]
fn without_drain_open_windows_stay_open() {
    let store = disk(ROWS);
    let summary = start().stop_after(&store, 1);
    assert!((rows_of(&published(&store)) as u64) < summary.status.rows_in);
}

/// The job has either been drained or goes on as if nobody had asked; rows are neither lost nor late for half a drain.
#[test]
fn a_crash_while_a_job_drains_leaves_it_drained_or_as_it_was() {
    let store = disk(ROWS);
    drain(&start(), &store).expect("there is room");
    let (last, drained) = (store.operations(), published(&store));
    let store = disk(ROWS);
    start().finish(&store);
    let undisturbed = published(&store);
    let mut were_drained = 0;
    for operation in last.saturating_sub(60)..last {
        let store = disk(ROWS);
        store.plant(operation, Fault::Crash);
        let _ = drain(&start(), &store);
        store.restart();
        start().finish_again(&store);
        let found = published(&store);
        let is_drained = found == drained;
        were_drained += usize::from(is_drained);
        if !is_drained {
            assert_same(&found, &undisturbed, &format!("a crash at operation {operation} of a drain"));
        }
    }
    assert!((1..60).contains(&were_drained), "{were_drained} of 60 were drained");
}
