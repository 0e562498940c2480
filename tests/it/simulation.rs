//! The whole engine in a simulated world: a crash at every operation on files, failures that pass, orders of tasks,
//! and a process that wakes up after another has taken its job over. One answer every time.

use std::path::Path;
use std::time::Duration;

use futures::FutureExt;

use beadline::session::{Ending, JobState};
use beadline::storage::{FakeStore, Fault};

use crate::simulated::{Published, Start, assert_same, disk, leftovers, let_time_pass, published, runtime, soon};
use crate::support::full;

/// How a process ends at a planted crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    /// The system goes on, so that what was written stays.
    Kill,
    /// What was not synced is gone.
    PowerLoss,
}

/// The undisturbed run: what it publishes, and between which operations on files it ran.
struct Undisturbed {
    expected: Published,
    first: u64,
    end: u64,
}

fn small() -> FakeStore {
    disk(640..800)
}

fn undisturbed(start: &Start) -> Undisturbed {
    let store = small();
    let first = store.operations();
    start.finish(&store);
    let expected = published(&store);
    assert!(expected.values().all(|rows| rows.len() > 10), "{expected:?}");
    assert_eq!(leftovers(&store), [""; 0]);
    Undisturbed { expected, first, end: store.operations() }
}

/// Runs on this disk with a crash at that many operations from now; true if it came to the crash.
fn crash(store: &FakeStore, start: &Start, after: u64, crash: Crash) -> bool {
    store.plant(store.operations() + after, Fault::Crash);
    let ended = start.run(store);
    let crashed = store.is_crashed();
    assert!(crashed || ended.is_ok(), "it failed without a crash: {:?}", ended.err());
    if crash == Crash::PowerLoss {
        store.crash();
    }
    store.restart();
    crashed
}

fn check(store: &FakeStore, start: &Start, undisturbed: &Undisturbed, what: &str) {
    let ended = start.run(store).unwrap_or_else(|error| panic!("the run after {what} failed: {error}"));
    assert!(matches!(ended.ending, Ending::Finished | Ending::AlreadyFinished), "after {what}: {ended:?}");
    assert_same(&published(store), &undisturbed.expected, what);
}

/// Crashes at every `step`-th operation, in both ways, then lets the job finish.
fn crashes(start: &Start, step: usize) {
    let undisturbed = undisturbed(start);
    for how in [Crash::Kill, Crash::PowerLoss] {
        for operation in (0..undisturbed.end - undisturbed.first).step_by(step) {
            let store = small();
            assert!(crash(&store, start, operation, how), "operation {operation} was never reached");
            check(&store, start, &undisturbed, &format!("{how:?} at operation {operation}"));
        }
    }
}

#[test]
fn a_crash_at_every_operation_on_files_changes_nothing() {
    crashes(&Start::default(), if full() { 1 } else { 3 });
}

/// Two sinks of one job in one directory: a restart of one leaves the other's rows alone.
#[test]
fn a_crash_changes_nothing_where_two_sinks_share_a_directory() {
    let start = Start { changes: &[("'/out/late_flights'", "'/out/departures'")], ..Start::default() };
    crashes(&start, if full() { 1 } else { 5 });
}

/// With many checkpoints, files of state are put together behind the job's back; whatever a crash leaves of that.
#[test]
fn a_crash_while_state_files_are_put_together_changes_nothing() {
    let start = Start { every_rows: 5, ..Start::default() };
    assert!(first_compaction(&start).is_some());
    crashes(&start, if full() { 3 } else { 59 });
}

/// The same where that takes longer than a checkpoint, so that others are completed meanwhile.
#[test]
fn a_crash_while_compactions_and_checkpoints_overlap_changes_nothing() {
    let overlaps = |start: &Start| first_compaction(start).is_some_and(|(newest, named_by)| named_by > newest + 1);
    let with_seed = |seed| Start { seed, every_rows: 5, is_slow: true, ..Start::default() };
    let start = (1..20).map(with_seed).find(overlaps).expect("a compaction that takes longer than a checkpoint");
    crashes(&start, if full() { 7 } else { 149 });
}

/// Of the files that are put together first: the newest checkpoint of which they hold rows, and the first that names them.
fn first_compaction(start: &Start) -> Option<(u64, u64)> {
    (3..20).find_map(|checkpoints| {
        let store = small();
        start.kill_after(&store, checkpoints);
        let named_by = *manifests(&store).last()?;
        let files = store.files();
        let log = files.iter().rev().find(|(path, bytes)| {
            path.extension().is_some_and(|end| end == "json")
                && String::from_utf8_lossy(bytes).contains("\"operators\"")
        });
        let text = String::from_utf8_lossy(log?.1).into_owned();
        let path = text.split('"').find(|path| path.starts_with("data/") && path.contains(".c"))?;
        let digits: String = path["data/".len()..].chars().take_while(char::is_ascii_digit).collect();
        Some((digits.parse().expect("the number of a checkpoint"), named_by))
    })
}

#[test]
fn full_a_crash_at_every_operation_at_other_parallelisms() {
    if !full() {
        return;
    }
    for (parallelism, every_rows) in [(1, 20), (4, 30)] {
        crashes(&Start { parallelism, every_rows, ..Start::default() }, 1);
    }
}

#[test]
fn two_crashes_in_a_row_change_nothing() {
    let start = Start::default();
    let undisturbed = undisturbed(&start);
    let operations = undisturbed.end - undisturbed.first;
    // Until its first checkpoint a start makes directories, of which the next one must not think that they will stay.
    let (first_step, step) = if full() { (1, 13) } else { (3, 82) };
    for first in (20..70).step_by(first_step).chain((70..operations).step_by(step)) {
        for second in (3..operations).step_by(step) {
            let how = if (first + second) % 2 == 0 { Crash::Kill } else { Crash::PowerLoss };
            let store = small();
            crash(&store, &start, first, how);
            crash(&store, &start, second, Crash::PowerLoss);
            check(&store, &start, &undisturbed, &format!("{how:?} at {first}, power loss at {second} of the restart"));
        }
    }
}

#[test]
fn failures_that_pass_and_lost_replies_change_nothing() {
    for is_slow in [false, true] {
        failures_that_pass(is_slow);
    }
}

fn failures_that_pass(is_slow: bool) {
    let start = Start {
        is_slow,
        settings: vec![
            ("restart-strategy.type", "fixed-delay".to_owned()),
            ("restart-strategy.fixed-delay.attempts", "3".to_owned()),
            // Shorter than work with files takes, so that a restart meets what the failed attempt has left running.
            ("restart-strategy.fixed-delay.delay", "1 ms".to_owned()),
            ("execution.checkpointing.tolerable-failed-checkpoints", "2".to_owned()),
        ],
        ..Start::default()
    };
    let undisturbed = undisturbed(&start);
    for fault in [Fault::Fail, Fault::LostReply] {
        for operation in (0..undisturbed.end - undisturbed.first).step_by(if full() { 1 } else { 5 }) {
            let store = small();
            store.plant(store.operations() + operation, fault);
            check(&store, &start, &undisturbed, &format!("{fault:?}, slow: {is_slow}, at operation {operation}"));
        }
    }
}

/// A checkpoint is given up while its files are still being written: that goes on, and takes nothing away from the
/// checkpoints behind it.
#[test]
fn an_upload_that_was_given_up_harms_no_later_checkpoint() {
    let undisturbed = undisturbed(&Start { every_rows: 15, ..Start::default() });
    let mut crashed = 0;
    for seed in 1..if full() { 60 } else { 5 } {
        let start = Start {
            seed,
            every_rows: 15,
            is_slow: true,
            settings: vec![
                ("execution.checkpointing.timeout", "70 ms".to_owned()),
                ("execution.checkpointing.tolerable-failed-checkpoints", "1000".to_owned()),
            ],
            ..Start::default()
        };
        for operation in (30..400).step_by(if full() { 3 } else { 13 }) {
            let store = small();
            store.plant(store.operations() + operation, Fault::Crash);
            // If it does not come to the crash, its last checkpoint may have been given up too.
            let _ = start.run(&store);
            crashed += usize::from(store.is_crashed());
            if operation % 2 == 0 {
                store.crash();
            }
            store.restart();
            check(&store, &Start::default(), &undisturbed, &format!("seed {seed}, a crash at operation {operation}"));
        }
    }
    assert!(crashed > 50, "only {crashed} crashed");
}

/// A checkpoint that failed and was tolerated leaves nothing behind but what it was to hold: the next one holds that too.
#[test]
fn what_a_failed_checkpoint_was_to_hold_is_in_the_next() {
    let tolerant = ("execution.checkpointing.tolerable-failed-checkpoints", "2".to_owned());
    let start = Start { every_rows: 15, settings: vec![tolerant], ..Start::default() };
    let undisturbed = undisturbed(&start);
    for operation in (0..undisturbed.end - undisturbed.first).step_by(if full() { 1 } else { 4 }) {
        let store = small();
        store.plant(store.operations() + operation, Fault::Fail);
        let resumed = runtime().block_on(soon(async {
            let job = start.begin(&store).await.expect("it is planned");
            // Killed behind the checkpoint that comes after the failed one, or a little later.
            let is_over = || job.status().state == JobState::Ended;
            while !is_over() && store.operations() < undisturbed.first + operation + 40 {
                let before = store.operations();
                let _ = job.checkpoint().await;
                // Answered at once where the job is about to end; a commit that is tried again then waits for its time.
                if store.operations() == before {
                    let_time_pass().await;
                }
            }
            !is_over()
        }));
        store.restart();
        check(&store, &start, &undisturbed, &format!("a failure at operation {operation}, resumed: {resumed}"));
    }
}

/// Uploads and commits take longer than the rows between two barriers, so that several are on their way at once.
#[test]
fn a_crash_with_several_barriers_in_flight_changes_nothing() {
    let start = |most: usize, seed: u64| Start {
        seed,
        every_rows: 12,
        is_slow: true,
        settings: vec![("execution.checkpointing.max-concurrent-checkpoints", most.to_string())],
        ..Start::default()
    };
    let run = |most, seed| {
        let store = small();
        let status = start(most, seed).finish(&store).status;
        (status.elapsed, manifests(&store).last().copied() > Some(status.checkpoints))
    };
    // Whether a later checkpoint is through while the manifest of an earlier one is waiting depends on what is slow.
    let overtaking = (1..200).find(|seed| run(4, *seed).1).expect("some checkpoint takes the place of an older one");
    let (one, several) = (run(1, overtaking), run(4, overtaking));
    assert!(!one.1 && several.0 * 4 < one.0 * 3, "nothing ran beside each other: {one:?} {several:?}");
    crashes(&start(4, overtaking), if full() { 1 } else { 19 });
}

/// In one process: a job that is dropped in the middle of its work with files leaves its log to the next start.
#[test]
fn a_job_that_was_dropped_locks_nobody_out() {
    let undisturbed = undisturbed(&Start::default());
    for turns in 0..if full() { 400 } else { 80 } {
        let store = small();
        let start = Start { is_slow: true, every_rows: 20, ..Start::default() };
        let ended = runtime().block_on(soon(async {
            let dropped = start.begin(&store).await.expect("it is planned");
            for _ in 0..turns {
                let _ = tokio::time::timeout(Duration::from_millis(7), std::future::pending::<()>()).await;
            }
            drop(dropped);
            Start { seed: 2, ..start.clone() }.begin(&store).await?.wait().await
        }));
        let ending = ended.unwrap_or_else(|error| panic!("after {turns} turns: {error}")).ending;
        assert!(matches!(ending, Ending::Finished | Ending::AlreadyFinished), "after {turns} turns: {ending:?}");
        assert_same(&published(&store), &undisturbed.expected, &format!("a drop after {turns} turns"));
    }
}

/// A stop that comes while state is read back does not wait for it: the checkpoint that it goes on from is there.
#[test]
fn a_stop_does_not_wait_for_the_state_of_a_checkpoint() {
    let start = Start { is_slow: true, ..Start::default() };
    let undisturbed = undisturbed(&start);
    let store = small();
    start.stop_after(&store, 1);
    let before = manifests(&store);
    store.restart();
    let ended = runtime().block_on(soon(async {
        let job = start.begin(&store).await.expect("it is planned");
        job.stop().await.expect("it can be asked");
        job.wait().await
    }));
    let ending = ended.expect("it ends well").ending;
    assert!(matches!(ending, Ending::Stopped { at: Some(epoch) } if before.contains(&epoch.0)), "{ending:?}");
    assert_eq!(manifests(&store), before);
    store.restart();
    check(&store, &start, &undisturbed, "a stop during a restore");
}

/// The epochs of the checkpoints in the job's log.
fn manifests(store: &FakeStore) -> Vec<u64> {
    let entries = store.files().into_iter().filter(|(path, _)| path.starts_with("/checkpoints/main/log"));
    let texts = entries.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned());
    let checkpoints = texts.filter(|text| text.contains("\"entry\": \"checkpoint\""));
    let epoch = |text: String| text.split("\"epoch\": ").nth(1)?.split(',').next()?.trim().parse().ok();
    checkpoints.filter_map(epoch).collect()
}

/// A start with `--fresh` stays one until it has taken the job over: an attempt that fails before that is followed by
/// another that forgets the old lineage, and not by one that goes on with it.
#[test]
fn a_restart_before_the_claim_does_not_forget_to_begin_anew() {
    let changes: &[_] = &[("INTERVAL '1' HOUR", "INTERVAL '30' MINUTE")];
    let changed = Start { changes, ..Start::default() };
    let expected = undisturbed(&changed).expected;
    let restarts = vec![
        ("restart-strategy.type", "fixed-delay".to_owned()),
        ("restart-strategy.fixed-delay.attempts", "1".to_owned()),
    ];
    let fresh = Start { seed: 2, fresh: true, settings: restarts, ..changed };
    for is_finished in [false, true] {
        for operation in (0..60).step_by(if full() { 1 } else { 4 }) {
            let store = small();
            match is_finished {
                true => drop(Start::default().finish(&store)),
                false => drop(Start::default().stop_after(&store, 1)),
            }
            store.restart();
            store.plant(store.operations() + operation, Fault::Fail);
            let ended = fresh.run(&store).expect("it ends well").ending;
            assert_eq!(ended, Ending::Finished, "failure at operation {operation}");
            assert_same(&published(&store), &expected, &format!("a failure at operation {operation}"));
        }
    }
}

#[test]
fn a_finished_job_that_is_run_again_does_nothing() {
    let store = small();
    let start = Start::default();
    start.finish(&store);
    let before = store.files();
    let again = start.run(&store).expect("it ends well");
    assert_eq!(again.ending, Ending::AlreadyFinished);
    assert_eq!(store.files(), before);
}

/// Behind a restart too: what was read before counts.
#[test]
fn a_job_knows_how_much_there_is_to_read() {
    let store = small();
    let start = Start { every_rows: 30, ..Start::default() };
    start.kill_after(&store, 1);
    let status = start.run(&store).expect("it ends well").status;
    let bytes = store.files()[Path::new("/in/flights.csv")].len() as u64;
    assert_eq!((status.bytes_in, status.bytes_total), (bytes, Some(bytes)));
}

#[test]
fn every_order_of_tasks_gives_one_answer() {
    let undisturbed = undisturbed(&Start::default());
    for seed in 0..if full() { 3000 } else { 200 } {
        let start = Start { seed, parallelism: 1 + seed as usize % 4, every_rows: 30, ..Start::default() };
        let store = small();
        start.finish(&store);
        assert_same(&published(&store), &undisturbed.expected, &format!("seed {seed}"));
        if seed % 20 == 0 {
            let again = small();
            start.finish(&again);
            assert_eq!(again.operations(), store.operations(), "seed {seed} gave two different runs");
            assert_eq!(again.files(), store.files(), "seed {seed} gave two different runs");
        }
    }
}

/// A process that is stopped for a while, somewhere, while another takes its job over. It finds out, and does no harm.
#[test]
fn a_process_that_was_overtaken_ends_without_doing_harm() {
    let undisturbed = undisturbed(&Start::default());
    let (mut fenced, mut turns) = (0, 0);
    loop {
        let store = small();
        let old = runtime();
        let job = old.block_on(async {
            let job = Start::default().begin(&store).await.expect("it starts");
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            job
        });
        if old.block_on(async { job.wait().now_or_never() }).is_some() {
            break;
        }
        store.release_locks();
        let is_halfway = turns % 2 == 0;
        if is_halfway {
            Start { seed: 2, ..Start::default() }.stop_or_finish(&store);
        } else {
            check(&store, &Start { seed: 2, ..Start::default() }, &undisturbed, &format!("{turns} turns of the first"));
        }
        store.release_locks();
        match old.block_on(soon(job.wait())) {
            Err(error) => {
                assert_eq!(error.id(), Some("BL-JOB-FENCED"), "after {turns} turns: {error}");
                fenced += 1;
            }
            // It had not come to its claim yet, or was through.
            Ok(ended) => assert!(turns < 4 || !matches!(ended.ending, Ending::Stopped { .. }), "{ended:?}"),
        }
        drop(old);
        store.release_locks();
        check(&store, &Start { seed: 3, ..Start::default() }, &undisturbed, &format!("{turns} turns of the first"));
        turns += if full() { 1 } else { 5 };
    }
    assert!(fenced > 10, "only {fenced} were fenced");
}
