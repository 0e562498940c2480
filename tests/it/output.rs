//! What stands in a sink's directory against what the checkpoints say: directories that are shared, gone, older, newer or
//! elsewhere, and what runs without checkpoints leave. Nothing is lost, nothing is doubled, or the job stops and says so.

use std::path::{Path, PathBuf};
use std::process::Output;

use beadline::error::Error;
use beadline::session::Ending;
use beadline::storage::{FakeStore, Fault, Store};

use crate::simulated::{Published, Start, assert_same, disk, published};
use crate::support::{Scratch, Variant, checkout};

// ------------------------------------------------------------------------------------------- the real program

/// A query file like the main job up to its INSERT, with replacements.
fn query(scratch: &Scratch, changes: &[(&str, &str)]) -> PathBuf {
    let mut text = std::fs::read_to_string(checkout().join("queries/late_flights.sql")).expect("the main job");
    text.truncate(text.find("-- What the files hold now").expect("the queries behind the INSERT"));
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in the main job");
        text = text.replace(from, to);
    }
    let path = scratch.path().join("late_flights.sql");
    std::fs::write(&path, text).expect("room for the query");
    path
}

fn quick() -> Variant {
    Variant { every_rows: Some(700), parallelism: Some(2), ..Variant::default() }
}

fn killed_at(place: &str) -> Variant {
    Variant { failpoint: Some(place.to_owned()), ..quick() }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The counts and the late rows in one directory, and two INSERTs into one table.
#[test]
fn sinks_that_share_a_directory_leave_each_others_rows_alone() {
    let one_directory = [(".beadline/out/late_flights", ".beadline/out/departures")];
    let twice = "EXECUTE STATEMENT SET BEGIN INSERT INTO departures SELECT sched, origin, 1 FROM flights; \
                 INSERT INTO departures SELECT dep, dest, 2 FROM flights; END;\nEXPLAIN INSERT INTO departures";
    for changes in [&one_directory[..], &[("INSERT INTO departures", twice)]] {
        let undisturbed = Scratch::new();
        undisturbed.run_well(&query(&undisturbed, changes), &quick());
        let expected = undisturbed.published();
        assert!(expected["departures"].len() > 500);
        for place in [
            "manifest.published:1",
            "manifest.published:2",
            "file.publish.before:2",
            "file.publish.before:3",
            "file.publish.after:2",
            "file.marker.before:1",
            "file.marker.after:1",
        ] {
            let scratch = Scratch::new();
            let query = query(&scratch, changes);
            assert!(!scratch.run(&query, &killed_at(place)).status.success(), "{place} was not met");
            scratch.run_well(&query, &quick());
            assert_eq!(scratch.published(), expected, "killed at {place}");
        }
    }
}

/// The checkpoints are found and the output is not: `path` is relative, and the working directory is another.
#[test]
fn another_working_directory_does_not_lose_rows() {
    let undisturbed = Scratch::new();
    undisturbed.run_well(&query(&undisturbed, &[]), &quick());
    let expected = undisturbed.published();
    for place in ["manifest.published:2", "file.marker.after:4"] {
        let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
        let query = query(&scratch, &[]);
        let checkpoints = format!("execution.checkpointing.dir={}", scratch.path().join("checkpoints").display());
        let run = |place: &Scratch, variant: &Variant| {
            place.command(variant).args(["-D", &checkpoints]).arg(&query).output().expect("the program starts")
        };
        assert!(!run(&scratch, &killed_at(place)).status.success(), "{place} was not met");
        let wrong = run(&elsewhere, &quick());
        let said = said(&wrong);
        assert!(!wrong.status.success(), "{said}");
        assert!(said.contains("BL-SINK-LOST") || said.contains("BL-SINK-GONE"), "{said}");
        assert!(elsewhere.published().values().all(Vec::is_empty));
        let right = run(&scratch, &quick());
        assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
        assert_eq!(scratch.published(), expected, "killed at {place}");
    }
}

/// Without checkpoints no log remembers what a killed run has left: the job's name does.
#[test]
fn a_fresh_start_without_checkpoints_clears_what_a_killed_run_left() {
    let changes = [("SET 'execution.checkpointing.interval' = '1 s';", "SET 'pipeline.name' = 'flights';")];
    let undisturbed = Scratch::new();
    undisturbed.run_well(&query(&undisturbed, &changes), &Variant::default());
    let expected = undisturbed.published();
    for place in ["file.publish.before:2", "file.prepare.done:2"] {
        let scratch = Scratch::new();
        let query = query(&scratch, &changes);
        let killing = Variant { failpoint: Some(place.to_owned()), parallelism: Some(2), ..Variant::default() };
        assert!(!scratch.run(&query, &killing).status.success(), "{place} was not met");
        let mine = scratch.path().join(".beadline/out/departures/mine.csv");
        std::fs::write(&mine, "").expect("room for a file");
        scratch.run_well(&query, &Variant { fresh: true, ..Variant::default() });
        assert_eq!(scratch.published(), expected, "killed at {place}");
        let hidden = crate::support::entries(&scratch.path().join(".beadline/out/departures"));
        let hidden: Vec<_> = hidden.iter().map(|path| crate::support::name_of(path)).collect();
        assert!(hidden.iter().all(|name| !name.starts_with('.')), "{hidden:?}");
        assert!(mine.exists(), "what is not the job's stays");
    }
}

// ------------------------------------------------------------------------------------------ the simulated world

const ROWS: std::ops::Range<usize> = 600..1000;

fn start() -> Start {
    Start { every_rows: 40, ..Start::default() }
}

fn expected() -> Published {
    let store = disk(ROWS);
    start().finish(&store);
    published(&store)
}

/// A disk with the files of `store` for which `keep` holds.
fn copy(store: &FakeStore, keep: impl Fn(&Path) -> bool) -> FakeStore {
    let copy = FakeStore::new();
    add(&copy, store, keep);
    copy
}

fn add(to: &FakeStore, from: &FakeStore, keep: impl Fn(&Path) -> bool) {
    for (path, bytes) in from.files().into_iter().filter(|(path, _)| keep(path)) {
        to.put_if_absent(&path, &bytes).expect("room for a copy");
    }
}

/// The last entry of the job's log, as text.
fn last_entry(store: &FakeStore) -> String {
    let mut entries = store.files().into_iter().filter(|(path, _)| {
        path.parent().is_some_and(|parent| parent.ends_with("log")) && path.extension().is_some_and(|end| end == "json")
    });
    let (_, bytes) = entries.next_back().expect("an entry");
    String::from_utf8(bytes).expect("text")
}

fn refused(store: &FakeStore, start: &Start, id: &str) -> Error {
    let before = store.files();
    let error = start.run(store).expect_err(id);
    assert_eq!(error.id(), Some(id), "{error}");
    let out = |files: std::collections::BTreeMap<PathBuf, Vec<u8>>| {
        files.into_iter().filter(|(path, _)| path.starts_with("/out")).collect::<Vec<_>>()
    };
    assert_eq!(out(store.files()), out(before), "a refusal changes no output");
    error
}

/// A copy of the checkpoints is put back behind a job that has gone on since.
#[test]
fn checkpoints_older_than_the_output_double_nothing() {
    let expected = expected();
    let store = disk(ROWS);
    start().stop_after(&store, 1);
    let old = copy(&store, |path| path.starts_with("/checkpoints"));
    start().finish(&store);
    let mixed = copy(&store, |path| !path.starts_with("/checkpoints"));
    add(&mixed, &old, |_| true);
    let slower = Start { every_rows: 90, ..start() };
    let error = refused(&mixed, &slower, "BL-SINK-AHEAD");
    assert!(error.message().contains("rows would be written twice"), "{error}");
    // Both of the ways that the message names lead on.
    let newest = copy(&store, |_| true);
    assert_eq!(slower.run(&newest).expect("it has finished").ending, Ending::AlreadyFinished);
    Start { fresh: true, seed: 2, ..slower }.finish(&mixed);
    assert_same(&published(&mixed), &expected, "a fresh start");
}

#[test]
fn an_output_directory_that_vanished_is_noticed() {
    let expected = expected();
    let store = disk(ROWS);
    start().stop_after(&store, 3);
    let public = published(&store);
    let vanished = copy(&store, |path| !path.starts_with("/out/departures"));
    let error = refused(&vanished, &start(), "BL-SINK-GONE");
    assert!(
        error.message().contains(&format!("{} rows of this job were public", public["departures"].len())),
        "{error}"
    );
    // What a consumer has taken away is fine, as long as the marker stays.
    let taken = copy(&store, |path| !path.to_string_lossy().contains("/part-"));
    start().finish(&taken);
    let rest = Published::from_iter(expected.iter().map(|(table, rows)| {
        let taken = &public[table];
        (table.clone(), rows.iter().filter(|row| !taken.contains(row)).cloned().collect())
    }));
    assert_same(&published(&taken), &rest, "a consumer that has taken everything");
    Start { fresh: true, seed: 2, ..start() }.finish(&vanished);
    assert_same(&published(&vanished), &expected, "a fresh start");
}

/// A copy of the output is put back behind checkpoints that have gone on since.
#[test]
fn output_older_than_the_checkpoints_is_noticed() {
    // Long enough for all that it has to go through.
    let rows = ROWS.start..ROWS.end + 1000;
    let store = disk(rows.clone());
    start().finish(&store);
    let expected = published(&store);
    let store = disk(rows);
    start().stop_after(&store, 3);
    let old = copy(&store, |path| path.starts_with("/out"));
    let then = published(&store);
    start().stop_after(&store, 2);
    let since = published(&store);
    let killed = copy(&store, |_| true);
    start().kill_after(&killed, 2);
    // Whether the job was stopped, so that all it has written is public, or killed.
    for newer in [&store, &killed] {
        let mixed = copy(newer, |path| !path.starts_with("/out"));
        add(&mixed, &old, |_| true);
        let error = refused(&mixed, &start(), "BL-SINK-BEHIND");
        assert!(error.message().contains("the output is older than the checkpoints"), "{error}");
        Start { fresh: true, seed: 2, ..start() }.finish(&mixed);
        assert_same(&published(&mixed), &expected, "a fresh start");
    }
    // The other way that the message names: on without the rows in between, table by table.
    let mixed = copy(&store, |path| !path.starts_with("/out"));
    add(&mixed, &old, |_| true);
    for _ in ["departures", "late_flights"] {
        let error = refused(&mixed, &start(), "BL-SINK-BEHIND");
        let help = error.helps().last().expect("a way on");
        let marker = help.split('\'').nth(1).expect("a path");
        mixed.put_if_absent(Path::new(marker), b"").expect("room for a marker");
    }
    start().finish(&mixed);
    let rest = Published::from_iter(expected.iter().map(|(table, rows)| {
        let is_missing = |row: &String| since[table].contains(row) && !then[table].contains(row);
        (table.clone(), rows.iter().filter(|row| !is_missing(row)).cloned().collect())
    }));
    assert!(rest.iter().all(|(table, rows)| rows.len() < expected[table].len()));
    assert_same(&published(&mixed), &rest, "without the rows in between");
}

/// One of two sinks has lost its rows: the other must not have published by the time that this is found.
#[test]
fn no_sink_publishes_before_all_sinks_can() {
    let expected = expected();
    // A crash behind which both sinks have rows public, and both have rows that the next start has to publish.
    let crashed = |operation: u64| {
        let store = disk(ROWS);
        store.plant(operation, Fault::Crash);
        assert!(start().run(&store).is_err(), "no crash leaves rows of both sinks to publish");
        store.restart();
        store
    };
    let is_between = |store: &FakeStore| {
        let waiting = |table: &str| last_entry(store).contains(&format!("\"sink\": \"Sink-{table}\""));
        published(store).values().all(|rows| rows.len() > 5) && waiting("departures") && waiting("late_flights")
    };
    let store = (100..).map(crashed).find(is_between).expect("an endless search");
    for lost in ["/out/departures", "/out/late_flights"] {
        let mixed = copy(&store, |path| !path.starts_with(lost));
        let error = start().run(&mixed).expect_err("rows are missing");
        assert!(error.id().is_some_and(|id| id.starts_with("BL-SINK-")), "{error}");
        let other = |store: &FakeStore| copy(store, |path| path.starts_with("/out")).files();
        assert_eq!(other(&mixed), other(&copy(&store, |path| !path.starts_with(lost))), "without {lost}");
    }
    start().finish(&store);
    assert_same(&published(&store), &expected, "with both directories");
}
