//! The settings of checkpoints and what they come to, each with its whole effect: how many are kept, how many may fail, how
//! long they take and wait, whether they outlast the job, and where they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use beadline::error::Error;
use beadline::runtime::Notice;
use beadline::session::{
    CheckpointOutcome, CheckpointRecord, Ending, JobHandle, JobState, JobSummary, Outcome, Session,
};
use beadline::storage::{FakeStore, Fault};

use crate::simulated::{Published, Start, assert_same, damaged, disk, let_time_pass, published, runtime, soon, world};
use crate::support::full;

const ROWS: std::ops::Range<usize> = 640..760;

fn with(settings: &[(&'static str, &str)]) -> Start {
    let settings = settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    Start { every_rows: 20, settings, ..Start::default() }
}

fn undisturbed() -> Published {
    let store = disk(ROWS);
    with(&[]).finish(&store);
    published(&store)
}

/// What is left of the main job's checkpoints: the texts of the manifests in its log, and the paths of its files of state.
fn left(store: &FakeStore) -> (Vec<String>, Vec<String>) {
    let (mut manifests, mut files) = (Vec::new(), Vec::new());
    for (path, bytes) in store.files() {
        let Ok(path) = path.strip_prefix("/checkpoints/main") else { continue };
        let text = String::from_utf8_lossy(&bytes);
        if path.starts_with("data") {
            files.push(path.display().to_string());
        } else if text.contains("\"entry\": \"checkpoint\"") {
            manifests.push(text.into_owned());
        }
    }
    (manifests, files)
}

/// A job that never ends, whose checkpoints are all that touches the disk.
async fn endless(store: &FakeStore, is_slow: bool, settings: &[(&str, &str)]) -> JobHandle {
    let mut session = Session::in_world(world(store, is_slow));
    let script = "CREATE TABLE numbers (n BIGINT, m BIGINT)
             WITH ('connector' = 'datagen', 'rows-per-second' = '1000', 'fields.m.max' = '9', 'fields.m.min' = '0');
         CREATE TABLE sums (m BIGINT, n BIGINT, PRIMARY KEY (m) NOT ENFORCED) WITH ('connector' = 'blackhole');
         INSERT INTO sums SELECT m, COUNT(*) FROM numbers GROUP BY m";
    let always = [("execution.checkpointing.dir", "/checkpoints"), ("restart-strategy.type", "none")];
    for (key, value) in always.iter().chain(settings) {
        session.settings_mut().set(key, value).expect("a setting");
    }
    match session.sql(script).await.expect("a job") {
        Outcome::Job(job) => job,
        _ => panic!("an INSERT is a job"),
    }
}

#[test]
fn exactly_so_many_checkpoints_are_kept_and_the_files_of_older_ones_go() {
    for retained in [1, 3] {
        let store = disk(640..1000);
        with(&[("execution.checkpointing.num-retained", &retained.to_string())]).stop_after(&store, 4);
        let (manifests, files) = left(&store);
        assert_eq!(manifests.len(), retained);
        assert!(!files.is_empty());
        for file in files {
            assert!(manifests.iter().any(|manifest| manifest.contains(&file)), "{file} is named by none of {retained}");
        }
    }
}

#[test]
fn so_many_checkpoints_in_a_row_may_fail_and_no_more() {
    let store = FakeStore::new();
    runtime().block_on(soon(async {
        let tolerant = ("execution.checkpointing.tolerable-failed-checkpoints", "2");
        let job = endless(&store, false, &[("execution.checkpointing.interval", "1 h"), tolerant]).await;
        job.checkpoint().await.expect("there is room");
        let fail = || store.plant(store.operations(), Fault::Fail);
        for _ in 0..3 {
            for _ in 0..2 {
                fail();
                job.checkpoint().await.expect_err("the disk was full");
                assert_eq!(job.status().state, JobState::Running);
            }
            job.checkpoint().await.expect("there is room again");
        }
        let is_failed = |record: &&CheckpointRecord| matches!(record.outcome, CheckpointOutcome::Failed(_));
        assert_eq!(job.checkpoint_records().iter().filter(is_failed).count(), 6);
        assert_eq!(job.status().checkpoints, 4);
        for _ in 0..3 {
            fail();
            job.checkpoint().await.expect_err("the disk was full");
        }
        let error = job.wait().await.expect_err("three in a row");
        assert_eq!(error.id(), Some("BL-LIM-CKPT-FAILURES"), "{error}");
    }));
}

/// The times at which checkpoints began and were complete, in milliseconds.
fn times(settings: &[(&str, &str)]) -> Vec<(i64, i64)> {
    let store = FakeStore::new();
    runtime().block_on(soon(async {
        let job = endless(&store, true, settings).await;
        while job.status().checkpoints < 6 {
            let_time_pass().await;
        }
        let time = |record: CheckpointRecord| match record.outcome {
            CheckpointOutcome::Completed(_, took) => Some((record.began.0, record.began.0 + took.as_millis() as i64)),
            _ => None,
        };
        job.checkpoint_records().into_iter().filter_map(time).collect()
    }))
}

#[test]
fn checkpoints_pause_between_the_end_of_one_and_the_start_of_the_next() {
    let pauses = |times: &[(i64, i64)]| times.windows(2).map(|pair| pair[1].0 - pair[0].1).collect::<Vec<_>>();
    let interval = ("execution.checkpointing.interval", "10 ms");
    let (close, apart) = (times(&[interval]), times(&[interval, ("execution.checkpointing.min-pause", "700 ms")]));
    assert!(pauses(&close).iter().all(|pause| *pause < 700), "{close:?}");
    assert!(pauses(&apart).iter().all(|pause| *pause >= 700), "{apart:?}");
    assert!(apart.iter().any(|(began, complete)| complete > began), "work with files takes time: {apart:?}");
    let apart = times(&[("execution.checkpointing.interval", "5 s")]);
    assert!(apart.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 5_000), "{apart:?}");
}

/// What was given up leaves no file behind but those that a later checkpoint names.
#[test]
fn a_checkpoint_past_its_timeout_is_given_up_and_its_files_go() {
    let mut given_up = 0;
    for seed in 1..24 {
        let store = disk(ROWS);
        let timeout = format!("{} ms", 250 * seed);
        let settings = [
            ("execution.checkpointing.timeout", timeout.as_str()),
            ("execution.checkpointing.tolerable-failed-checkpoints", "1000"),
            ("restart-strategy.type", "none"),
        ];
        let start = Start { seed, is_slow: true, every_rows: 10, ..with(&settings) };
        let ended = runtime().block_on(soon(async {
            let job = start.begin(&store).await.expect("it starts");
            let ended = job.wait().await;
            ended.map(|summary| (summary, job.checkpoint_records()))
        }));
        // The last one may be given up, too: then the job has failed.
        let Ok((summary, records)) = ended else { continue };
        assert_eq!(summary.ending, Ending::Finished);
        let is_late = |record: &CheckpointRecord| match &record.outcome {
            CheckpointOutcome::Failed(why) => why.contains(&format!("was not complete within {timeout}")),
            _ => false,
        };
        given_up += records.iter().filter(|record| is_late(record)).count();
        let (manifests, files) = left(&store);
        for file in files {
            assert!(manifests.iter().any(|manifest| manifest.contains(&file)), "seed {seed}: {file} belongs to nobody");
        }
    }
    assert!(given_up > 5, "only {given_up} were given up before a job finished");
}

const RETENTION: &str = "execution.checkpointing.externalized-checkpoint-retention";

/// Stops the main job behind its first checkpoint.
fn stop(start: &Start, store: &FakeStore) -> Result<JobSummary, Error> {
    runtime().block_on(soon(async {
        let job = start.begin(store).await?;
        job.checkpoint().await?;
        job.stop().await?;
        job.wait().await
    }))
}

/// Rows of both, in order.
fn both(one: &Published, other: &Published) -> Published {
    let mut sum: Published = BTreeMap::clone(one);
    for (table, rows) in other {
        let all = sum.entry(table.clone()).or_default();
        all.extend(rows.iter().cloned());
        all.sort();
    }
    sum
}

#[test]
fn a_stopped_job_keeps_its_checkpoints_or_not_as_it_was_told() {
    let expected = undisturbed();
    for (retention, is_kept) in
        [("RETAIN_ON_CANCELLATION", true), ("DELETE_ON_CANCELLATION", false), ("NO_EXTERNALIZED_CHECKPOINTS", false)]
    {
        let (store, start) = (disk(ROWS), with(&[(RETENTION, retention)]));
        let ending = stop(&start, &store).expect("it stops").ending;
        assert_eq!(matches!(ending, Ending::Stopped { at: Some(_) }), is_kept, "{retention}: {ending:?}");
        let (manifests, files) = left(&store);
        assert_eq!((manifests.is_empty(), files.is_empty()), (!is_kept, !is_kept), "{retention}: {files:?}");
        // What is public stays, whatever becomes of the checkpoints; and a start over does not touch it.
        let before = published(&store);
        let again = Start { seed: 2, fresh: !is_kept, ..start.clone() };
        assert_eq!(again.finish_again(&store), Ending::Finished);
        let all = if is_kept { expected.clone() } else { both(&before, &expected) };
        assert_same(&published(&store), &all, retention);
        // A job that has finished is left alone in any case.
        store.restart();
        assert_eq!(Start { fresh: false, ..again }.finish_again(&store), Ending::AlreadyFinished);
    }
}

#[test]
fn a_stop_with_a_savepoint_keeps_the_checkpoints_whatever_is_set() {
    let (store, start) = (disk(ROWS), with(&[(RETENTION, "NO_EXTERNALIZED_CHECKPOINTS")]));
    runtime().block_on(soon(async {
        let job = start.begin(&store).await.expect("it starts");
        let taken = job.stop_with_savepoint(None).await.expect("there is room");
        assert_eq!(job.wait().await.expect("it stops").ending, Ending::Stopped { at: Some(taken.epoch) });
    }));
    store.restart();
    start.finish(&store);
    assert_same(&published(&store), &undisturbed(), "a stop with a savepoint");
}

#[test]
fn checkpoints_outlast_a_failure_unless_none_are_to_be_kept() {
    for (retention, is_kept) in [("DELETE_ON_CANCELLATION", true), ("NO_EXTERNALIZED_CHECKPOINTS", false)] {
        let (store, start) = (disk(ROWS), with(&[(RETENTION, retention), ("restart-strategy.type", "none")]));
        let failed = runtime().block_on(soon(async {
            let job = start.begin(&store).await.expect("it starts");
            job.checkpoint().await.expect("there is room");
            store.plant(store.operations() + 2, Fault::Fail);
            job.wait().await.expect_err("the disk was full")
        }));
        let says = if is_kept { "goes on from checkpoint" } else { "reads all input again" };
        assert!(failed.helps().iter().any(|help| help.contains(says)), "{failed}");
        let (manifests, files) = left(&store);
        assert_eq!(manifests.is_empty(), !is_kept, "{retention}");
        assert!(is_kept || files.is_empty(), "{retention}: {files:?}");
        store.restart();
        if is_kept {
            start.finish(&store);
            assert_same(&published(&store), &undisturbed(), retention);
        }
    }
}

/// A restart by the strategy is no end: what it goes on from is there.
#[test]
fn checkpoints_that_are_not_to_be_kept_serve_a_restart() {
    let settings = [
        (RETENTION, "NO_EXTERNALIZED_CHECKPOINTS"),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "3"),
    ];
    let (store, start, expected) = (disk(ROWS), with(&settings), undisturbed());
    for after in [40, 90, 140] {
        let store = damaged(&store, Path::new("/nothing"), None);
        store.plant(store.operations() + after, Fault::Fail);
        start.finish(&store);
        assert_same(&published(&store), &expected, &format!("a failure at operation {after}"));
    }
}

/// Either the job was stopped and begins anew, or it was killed and goes on: never half of each.
#[test]
fn a_crash_while_checkpoints_are_discarded_leaves_them_or_takes_them_away() {
    let (store, start) = (disk(ROWS), with(&[(RETENTION, "DELETE_ON_CANCELLATION")]));
    stop(&start, &store).expect("it stops");
    let (last, expected) = (store.operations(), undisturbed());
    let mut discarded = 0;
    for operation in last.saturating_sub(60)..last {
        let store = disk(ROWS);
        store.plant(operation, Fault::Crash);
        let _ = stop(&start, &store);
        if operation % 2 == 0 {
            store.crash();
        }
        store.restart();
        let before = published(&store);
        Start { seed: 2, ..start.clone() }.finish(&store);
        let after = published(&store);
        let what = format!("a crash at operation {operation}");
        let count = |tables: &Published| tables.values().map(Vec::len).sum::<usize>();
        if count(&after) == count(&expected) {
            assert_same(&after, &expected, &what);
        } else {
            discarded += 1;
            assert_same(&after, &both(&before, &expected), &what);
        }
    }
    assert!((5..60).contains(&discarded), "{discarded} of 60 were discarded");
}

const IN_MEMORY: (&str, &str) = ("execution.checkpointing.storage", "jobmanager");

/// The notes of a run of the main job, and how it ended.
fn told(start: &Start, store: &FakeStore) -> (Vec<String>, JobSummary) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&notes);
    let summary = runtime().block_on(soon(async {
        let notices = Arc::new(move |notice| {
            let (Notice::Note(text) | Notice::Warning(text)) = notice;
            kept.lock().expect("nobody panics").push(text);
        });
        let session = Session::in_world(world(store, false)).with_seed(start.seed).with_notices(notices);
        start.begin_in(session).await.expect("it starts").wait().await.expect("it ends well")
    }));
    let notes = notes.lock().expect("nobody panics").clone();
    (notes, summary)
}

#[test]
fn checkpoints_in_memory_serve_a_restart_within_the_process() {
    let settings =
        [IN_MEMORY, ("restart-strategy.type", "fixed-delay"), ("restart-strategy.fixed-delay.attempts", "9")];
    let (start, expected) = (with(&settings), undisturbed());
    let store = disk(ROWS);
    let (notes, summary) = told(&start, &store);
    assert!(notes[0].contains("kept in memory: a restart within this process goes on from them"), "{notes:?}");
    assert_eq!(summary.ending, Ending::Finished);
    assert_same(&published(&store), &expected, "checkpoints in memory");
    assert!(!store.files().keys().any(|file| file.starts_with("/checkpoints")), "nothing is on the disk");
    let mut resumed = 0;
    for operation in (0..store.operations()).step_by(if full() { 1 } else { 7 }) {
        let store = disk(ROWS);
        store.plant(store.operations() + operation, Fault::Fail);
        let (notes, _) = told(&start, &store);
        resumed += usize::from(notes.iter().any(|note| note.starts_with("resumed job main from checkpoint")));
        assert_same(&published(&store), &expected, &format!("a failure at operation {operation}"));
    }
    assert!(resumed > 5, "only {resumed} went on from a checkpoint");
}

#[test]
fn a_new_process_begins_anew_where_checkpoints_were_in_memory() {
    let (store, start) = (disk(ROWS), with(&[("state.backend", "memory")]));
    let ending = stop(&start, &store).expect("it stops").ending;
    assert_eq!(ending, Ending::Stopped { at: None }, "nothing can go on from here");
    let (before, expected) = (published(&store), undisturbed());
    let copy = damaged(&store, Path::new("/nothing"), None);
    let (notes, _) = told(&Start { seed: 2, ..start.clone() }, &store);
    assert!(notes.iter().any(|note| note.contains("a new process begins anew")), "{notes:?}");
    assert_same(&published(&store), &both(&before, &expected), "a start beside what an earlier process has written");
    Start { seed: 2, fresh: true, ..start }.finish(&copy);
    assert_same(&published(&copy), &expected, "a start over");
}

/// The savepoint of a stopped job below `/savepoints`.
fn savepoint(store: &FakeStore) -> String {
    let taken = runtime().block_on(soon(async {
        let job = with(&[]).begin(store).await.expect("it starts");
        job.checkpoint().await.expect("there is room");
        let taken = job.stop_with_savepoint(Some("/savepoints".into())).await.expect("there is room");
        job.wait().await.expect("it stops");
        taken.directory.expect("a directory of its own")
    }));
    store.restart();
    taken.display().to_string()
}

fn claiming(path: &str, name: &str) -> Start {
    with(&[
        ("pipeline.name", name),
        ("execution.state-recovery.path", path),
        ("execution.state-recovery.claim-mode", "CLAIM"),
    ])
}

fn below_savepoints(store: &FakeStore) -> Vec<String> {
    let names = store.files().into_keys().map(|file| file.display().to_string());
    names.filter(|name| name.starts_with("/savepoints")).collect()
}

/// A crash at each operation on files: the savepoint is there as long as the job needs it, and goes in the end.
#[test]
fn a_claimed_savepoint_goes_behind_the_first_checkpoint_whatever_crashes() {
    let store = disk(ROWS);
    let path = savepoint(&store);
    let (claiming, expected) = (claiming(&path, "other"), undisturbed());
    let copy = damaged(&store, Path::new("/nothing"), None);
    let before = copy.operations();
    claiming.finish(&copy);
    assert_same(&published(&copy), &expected, "a claimed savepoint");
    assert_eq!(below_savepoints(&copy), [""; 0]);
    for operation in (before..copy.operations()).step_by(if full() { 1 } else { 5 }) {
        let store = damaged(&store, Path::new("/nothing"), None);
        store.plant(operation, Fault::Crash);
        let _ = claiming.run(&store);
        if operation % 2 == 0 {
            // What was not synced is gone.
            store.crash();
        }
        store.restart();
        claiming.finish_again(&store);
        assert_same(&published(&store), &expected, &format!("a crash at operation {operation} with a claim"));
        assert_eq!(below_savepoints(&store), [""; 0], "after a crash at operation {operation}");
    }
}

#[test]
fn what_belongs_to_another_job_is_not_claimed() {
    let store = disk(ROWS);
    let path = savepoint(&store);
    let refused = |start: &Start, text: &str| {
        let error = start.run(&store).expect_err("it is refused");
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(&claiming("/checkpoints/main", "other"), "only a savepoint can be claimed");
    let mut in_memory = claiming(&path, "other");
    in_memory.settings.push((IN_MEMORY.0, IN_MEMORY.1.to_owned()));
    refused(&in_memory, "checkpoints in memory would be all that is left");
    // The first job takes it over and is killed before it has a checkpoint.
    let never = Start { every_rows: 1_000_000, ..claiming(&path, "other") };
    runtime().block_on(soon(async {
        let job = never.begin(&store).await.expect("it starts");
        for _ in 0..3 {
            let_time_pass().await;
        }
        drop(job);
    }));
    store.restart();
    if !below_savepoints(&store).is_empty() {
        refused(&claiming(&path, "third"), "belongs to job 'other'");
        let mut copying = claiming(&path, "third");
        copying.settings.truncate(2);
        refused(&copying, "belongs to job 'other'");
    }
    claiming(&path, "other").finish_again(&store);
    assert_eq!(below_savepoints(&store), [""; 0]);
    assert!(store.files().keys().any(|file| file.starts_with("/checkpoints/main")), "the first job's are its own");
}

/// Long enough that nobody waits for it.
#[test]
fn a_timeout_is_no_shorter_than_flinks() {
    let refused = |key: &str, value: &str| Session::new().settings_mut().set(key, value).is_err();
    assert!(refused("execution.checkpointing.timeout", "0 ms"));
    assert!(!refused("execution.checkpointing.timeout", &format!("{} ms", Duration::from_secs(1).as_millis())));
}
