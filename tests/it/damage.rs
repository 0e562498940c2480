//! Starts that must not go well, or only in one way: damaged checkpoints, changed queries, a job that runs already; and
//! starts that must: over, and at another parallelism.

use std::path::{Path, PathBuf};

use beadline::error::Blame;
use beadline::session::{Ending, Outcome, Session};
use beadline::storage::{FakeStore, Store};

use crate::simulated::{Published, Start, assert_same, damaged, disk, published, runtime, soon, world};
use crate::support::full;

const ROWS: std::ops::Range<usize> = 600..1000;

/// The plain start. One checkpoint is kept, so that every state file is one that a restart needs.
fn plain() -> Start {
    let retained = ("execution.checkpointing.num-retained", "1".to_owned());
    Start { every_rows: 40, settings: vec![retained], ..Start::default() }
}

fn expected(start: &Start) -> Published {
    let store = disk(ROWS);
    start.finish(&store);
    published(&store)
}

/// A disk on which the job was stopped half way, with rows of it already public.
fn stopped() -> FakeStore {
    let store = disk(ROWS);
    plain().stop_after(&store, 3);
    assert!(published(&store)["departures"].len() > 3, "{:?}", published(&store));
    store
}

/// What damage can make of a file, and in which words.
fn damages(bytes: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut damages = vec![("removed".to_owned(), None), ("empty".to_owned(), Some(Vec::new()))];
    for length in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
        damages.push((format!("cut to {length}"), Some(bytes[..length].to_vec())));
    }
    let step = if full() { 7 } else { (bytes.len() / 8).max(1) };
    for offset in (0..bytes.len()).step_by(step) {
        let mut flipped = bytes.to_vec();
        flipped[offset] ^= 1 << (offset % 8);
        damages.push((format!("bit flipped at {offset}"), Some(flipped)));
    }
    damages
}

/// Damages each file of a job's directory in turn and starts the job. It ends with a named error, or, where the file was
/// not needed, with the right answer; how often the first happened is counted by file.
fn damage_everything(store: &FakeStore, expected: &Published) -> Vec<(PathBuf, usize, usize)> {
    let mut outcomes = Vec::new();
    for (path, bytes) in store.files() {
        if !path.starts_with("/checkpoints") {
            continue;
        }
        let (mut refused, mut tried) = (0, 0);
        for (what, content) in damages(&bytes) {
            let what = format!("{} {what}", path.display());
            let copy = damaged(store, &path, content.as_deref());
            tried += 1;
            match plain().run(&copy) {
                Ok(_) => assert_same(&published(&copy), expected, &what),
                Err(error) => {
                    assert_eq!(error.id(), Some("BL-STATE-CORRUPT"), "{what}: {error}");
                    assert!(matches!(error.blame(), Blame::World { .. }), "{what}: {error}");
                    refused += 1;
                    // What the message advises: start over. What was public goes, as far as the log can still tell.
                    if tried % 3 == 0 {
                        copy.restart();
                        let fresh = Start { fresh: true, seed: 2, ..plain() };
                        fresh.run(&copy).unwrap_or_else(|error| panic!("{what}, then --fresh: {error}"));
                        assert_same(&published(&copy), expected, &format!("{what}, then --fresh"));
                        copy.restart();
                        assert_eq!(plain().finish_again(&copy), Ending::AlreadyFinished, "{what}, then --fresh");
                    }
                }
            }
        }
        outcomes.push((path, refused, tried));
    }
    outcomes
}

/// The newest checkpoint of a job and the number of its log entry.
fn newest_checkpoint(store: &FakeStore) -> PathBuf {
    let manifests = store.files().into_iter().filter(|(path, bytes)| {
        path.starts_with("/checkpoints") && String::from_utf8_lossy(bytes).contains("\"entry\": \"checkpoint\"")
    });
    manifests.map(|(path, _)| path).max().expect("a checkpoint")
}

#[test]
fn a_damaged_checkpoint_of_a_stopped_job_is_a_named_error() {
    let store = stopped();
    let newest = newest_checkpoint(&store);
    let outcomes = damage_everything(&store, &expected(&plain()));
    assert!(outcomes.iter().any(|(path, ..)| *path == newest));
    for (path, refused, tried) in outcomes {
        let is_state = path.extension().is_some_and(|extension| extension == "parquet");
        if is_state || path == newest {
            assert_eq!(refused, tried, "{} was damaged unnoticed", path.display());
        }
    }
}

#[test]
fn a_damaged_checkpoint_of_a_killed_job_is_never_a_wrong_answer() {
    let store = disk(ROWS);
    plain().kill_after(&store, 4);
    let outcomes = damage_everything(&store, &expected(&plain()));
    assert!(outcomes.iter().any(|(_, refused, _)| *refused > 0), "{outcomes:?}");
}

#[test]
fn a_changed_query_is_refused_by_name_and_reason() {
    let other_key: &[_] =
        &[("window_start, origin,", "window_start, dest,"), ("window_end, origin", "window_end, dest")];
    let other_source: &[_] = &[("/in/flights.csv", "/in/other.csv")];
    let other_window: &[_] = &[("INTERVAL '1' HOUR", "INTERVAL '2' HOUR")];
    let other_sink: &[_] = &[("/out/departures", "/out/elsewhere")];
    let store = stopped();
    store.put_if_absent(Path::new("/in/other.csv"), b"").expect("room for a file");
    let before = store.files();
    for (changes, named, reason) in [
        (other_key, "the window aggregate of the query", "dest"),
        (other_source, "the table flights", "/in/other.csv"),
        (other_window, "the window aggregate of the query", "has changed"),
        (other_sink, "that the query writes", "/out/elsewhere"),
    ] {
        let error = Start { changes, ..plain() }.run(&store).expect_err("a changed query does not go on");
        let text = error.to_string();
        assert_eq!(error.blame(), Blame::Query, "{text}");
        assert!(text.contains(named) && text.contains(reason), "{changes:?}: {text}");
        assert!(text.contains("--fresh"), "{text}");
    }
    assert!(store.files() == before, "a refused start has left a trace");
    plain().finish(&store);
    assert_same(&published(&store), &expected(&plain()), "refused starts in between");
}

#[test]
fn a_fresh_start_removes_what_the_job_had_made_public() {
    let changed = Start { changes: &[("INTERVAL '1' HOUR", "INTERVAL '2' HOUR")], seed: 2, ..plain() };
    for start in [Start { seed: 2, ..plain() }, changed] {
        let store = stopped();
        Start { fresh: true, ..start.clone() }.finish(&store);
        assert_same(&published(&store), &expected(&start), "a fresh start");
    }
}

#[test]
fn a_job_that_runs_is_not_started_twice() {
    let store = disk(ROWS);
    runtime().block_on(soon(async {
        let first = plain().begin(&store).await.expect("it starts");
        first.checkpoint().await.expect("it takes checkpoints");
        let second = Start { seed: 2, ..plain() }.begin(&store).await.expect("it is planned");
        let error = second.wait().await.expect_err("the job runs already");
        assert_eq!(error.id(), Some("BL-JOB-LOCKED"), "{error}");
        first.wait().await.expect("the first is not disturbed");
    }));
    assert_same(&published(&store), &expected(&plain()), "a second start");
}

/// Each start but the last is stopped, and goes on from where the one before it was; one is killed.
#[test]
fn a_job_goes_on_at_any_parallelism_any_number_of_times() {
    let expected = expected(&plain());
    let store = disk(ROWS);
    for (parallelism, is_killed) in [(1, false), (4, false), (2, true), (3, false), (1, false)] {
        let start = Start { parallelism, every_rows: 30, ..plain() };
        if is_killed {
            start.kill_after(&store, 1);
        } else {
            start.stop_after(&store, 1);
        }
    }
    let last = Start { parallelism: 4, ..plain() };
    assert_eq!(last.finish(&store).ending, Ending::Finished);
    assert_same(&published(&store), &expected, "five starts at other parallelisms");
}

#[test]
fn more_state_than_is_allowed_is_a_named_error() {
    let store = disk(ROWS);
    let limit = ("beadline.memory.limit", "100 bytes".to_owned());
    let error = Start { settings: vec![limit], ..plain() }.run(&store).expect_err("a window takes more");
    assert_eq!(error.id(), Some("BL-LIM-MEMORY"), "{error}");
    let text = error.to_string();
    assert!(text.contains("WindowAggregate") && text.contains("SET 'beadline.memory.limit'"), "{text}");
    plain().finish(&store);
    assert_same(&published(&store), &expected(&plain()), "a start with too little memory");
}

/// Few batches may hold much: what a group of wide keys takes is noticed by its bytes.
#[test]
fn a_few_wide_keys_are_more_state_than_is_allowed() {
    let store = FakeStore::new();
    let line = |number: u32| format!("{number:03}{}\n", "w".repeat(1 << 20));
    let lines: String = (0..80).map(line).collect();
    store.put_if_absent(Path::new("/in/lines.txt"), lines.as_bytes()).expect("room for the input");
    let run = |limit: &str| {
        let script = format!(
            "SET 'beadline.memory.limit' = '{limit}';
            CREATE TABLE lines (line STRING) WITH ('connector' = 'filesystem', 'path' = '/in', 'format' = 'raw');
            CREATE TABLE counts (n BIGINT) WITH ('connector' = 'blackhole');
            INSERT INTO counts SELECT COUNT(*) FROM lines GROUP BY line;"
        );
        runtime().block_on(soon(async {
            let mut session = Session::in_world(world(&store, false)).with_seed(1);
            let Outcome::Job(job) = session.sql(&script).await.expect("it is planned") else { panic!("a job") };
            job.wait().await
        }))
    };
    let error = run("64 mb").expect_err("80 MB of keys");
    assert_eq!(error.id(), Some("BL-LIM-MEMORY"), "{error}");
    assert!(error.to_string().contains("GroupAggregate"), "{error}");
    run("1 gb").expect("room enough");
}
