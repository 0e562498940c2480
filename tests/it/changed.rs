//! A job that goes on with another text: refused by the name of the operator where its state would mean something
//! else, and gone on with where only names and layout differ.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use beadline::connectors::World;
use beadline::error::{Blame, Error, Result};
use beadline::session::{Ending, JobHandle, Notice, Outcome, Session};
use beadline::storage::{FakeStore, Store};

use crate::simulated::{assert_same, published, runtime, soon, world};

/// A window query behind a view, with a computed rowtime, a filter and a late table.
pub const WINDOWS: &str = "
CREATE TABLE rides (id BIGINT, city STRING, fare BIGINT, started BIGINT,
  ts AS TO_TIMESTAMP_LTZ(started, 3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '/in/rides.csv', 'format' = 'csv');
CREATE TABLE totals (starts TIMESTAMP(3), city STRING, n BIGINT, total BIGINT)
WITH ('connector' = 'filesystem', 'path' = '/out/totals', 'format' = 'csv');
CREATE VIEW paid AS SELECT city AS town, fare * 2 AS price, ts FROM rides WHERE fare > 1 AND id >= 0;
INSERT INTO totals
SELECT window_start, town, COUNT(*) AS n, SUM(price) AS total
FROM TUMBLE(TABLE paid, DESCRIPTOR(ts), INTERVAL '10' SECOND)
WHERE town <> 'Rome'
GROUP BY window_start, window_end, town;";

/// Rows that only pass through.
pub const PASSING: &str = "
CREATE TABLE rides (id BIGINT, city STRING, fare BIGINT, started BIGINT)
WITH ('connector' = 'filesystem', 'path' = '/in/rides.csv', 'format' = 'csv');
CREATE TABLE totals (city STRING, n BIGINT)
WITH ('connector' = 'filesystem', 'path' = '/out/totals', 'format' = 'csv');
INSERT INTO totals SELECT city, fare FROM rides WHERE fare > 1;";

/// An updating query: what is written may be taken back.
const UPDATING: &str = "
CREATE TABLE rides (id BIGINT, city STRING, fare BIGINT, started BIGINT)
WITH ('connector' = 'filesystem', 'path' = '/in/rides.csv', 'format' = 'csv');
CREATE TABLE totals (city STRING, n BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO totals SELECT city, SUM(fare) AS total FROM rides GROUP BY city HAVING SUM(fare) > 1;";

/// A job that never ends.
const ENDLESS: &str = "
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '100');
CREATE TABLE hole (n BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO hole SELECT n FROM numbers;";

/// Nothing but given rows.
const GIVEN: &str = "
CREATE TABLE totals (n BIGINT) WITH ('connector' = 'filesystem', 'path' = '/out/totals', 'format' = 'csv');
INSERT INTO totals SELECT v FROM (VALUES (1), (2)) AS given (v);";

pub fn disk() -> FakeStore {
    let store = FakeStore::new();
    let rows: String =
        (0..400).map(|id| format!("{id},{},{},{}\n", ["Oslo", "Bonn", "Rome"][id % 3], id % 7, id * 500)).collect();
    store.put_if_absent(Path::new("/in/rides.csv"), rows.as_bytes()).expect("room for the input");
    store
}

type Said = Arc<Mutex<Vec<String>>>;

async fn begin(store: &FakeStore, script: &str, said: &Said) -> Result<JobHandle> {
    let listener = Arc::clone(said);
    let world: World = world(store, false);
    let mut session = Session::in_world(world).with_seed(1).with_notices(Arc::new(move |notice| {
        let text = match notice {
            Notice::Note(text) => text,
            Notice::Warning(text) => format!("warning: {text}"),
        };
        listener.lock().expect("nobody panics with it").push(text);
    }));
    for (key, value) in [
        ("pipeline.name", "changed"),
        ("execution.checkpointing.dir", "/checkpoints"),
        ("parallelism.default", "2"),
        ("beadline.checkpoint.every-rows", "40"),
    ] {
        session.settings_mut().set(key, value)?;
    }
    match session.sql(script).await? {
        Outcome::Job(job) => Ok(job),
        _ => Err(Error::bug("an INSERT is a job")),
    }
}

/// Runs a job to its end; returns what was said, warnings as such.
pub fn run(store: &FakeStore, script: &str) -> Result<Vec<String>> {
    let said = Said::default();
    runtime().block_on(soon(async { begin(store, script, &said).await?.wait().await }))?;
    let said = said.lock().expect("nobody panics with it").clone();
    Ok(said)
}

/// A disk on which the job was left half way, as a kill would.
pub fn killed(script: &str) -> FakeStore {
    let store = disk();
    runtime().block_on(soon(async {
        let job = begin(&store, script, &Said::default()).await.expect("it starts");
        // One that is through by then is refused just the same.
        for _ in 0..4 {
            let _ = job.checkpoint().await;
        }
    }));
    store.restart();
    store
}

/// Without a name of its own a job gets one that no later run has.
#[test]
fn a_job_without_a_name_leaves_nothing_to_go_on_from() {
    for script in [None, Some(Path::new("named.sql"))] {
        let ending = runtime().block_on(soon(async {
            let mut session = Session::in_world(world(&disk(), false)).with_seed(1);
            session.settings_mut().set("execution.checkpointing.dir", "/checkpoints")?;
            session.settings_mut().set("beadline.checkpoint.every-rows", "40")?;
            let mut last = Err(Error::bug("a script of statements"));
            for statement in session.parse(ENDLESS)? {
                last = session.execute(statement, script).await;
            }
            let Outcome::Job(job) = last? else { return Err(Error::bug("an INSERT is a job")) };
            job.checkpoint().await?;
            job.stop().await?;
            Ok(job.wait().await?.ending)
        }));
        let ending = ending.expect("it stops");
        assert!(matches!(ending, Ending::Stopped { at } if at.is_some() == script.is_some()), "{script:?}: {ending:?}");
    }
}

pub fn changed(script: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(script.to_owned(), |script, (from, to)| {
        assert!(script.contains(from), "{from} is not in the script");
        script.replace(from, to)
    })
}

pub fn copy(store: &FakeStore) -> FakeStore {
    let copy = FakeStore::new();
    for (path, bytes) in store.files() {
        copy.put_if_absent(&path, &bytes).expect("room for a copy");
    }
    copy
}

#[test]
fn what_would_mean_something_else_is_refused_by_the_operators_name() {
    let window = "the window aggregate of the query";
    for (script, operator, reason, changes) in [
        (WINDOWS, window, "'Bonn'", &[("town <> 'Rome'", "town <> 'Bonn'")][..]),
        (WINDOWS, window, "WHERE", &[("WHERE town <> 'Rome'", "")]),
        (WINDOWS, window, "fare > 2", &[("fare > 1", "fare > 2")]),
        (WINDOWS, window, "fare * 3", &[("fare * 2", "fare * 3")]),
        (WINDOWS, window, "SUM(id)", &[("SUM(price)", "SUM(id)"), ("AS price,", "AS price, id,")]),
        (WINDOWS, window, "AVG", &[("SUM(price)", "AVG(price)")]),
        (WINDOWS, window, "[20 s]", &[("INTERVAL '10' SECOND", "INTERVAL '20' SECOND")]),
        (WINDOWS, window, "CAST(id AS", &[("city AS town", "CAST(id AS STRING) AS town")]),
        (WINDOWS, "the table", "INTERVAL '6' SECOND", &[("INTERVAL '5' SECOND", "INTERVAL '6' SECOND")]),
        (WINDOWS, "the table", "started + 1", &[("TO_TIMESTAMP_LTZ(started, 3)", "TO_TIMESTAMP_LTZ(started + 1, 3)")]),
        (
            WINDOWS,
            window,
            "IN Europe/Berlin",
            &[("CREATE VIEW", "SET 'table.local-time-zone' = 'Europe/Berlin';\nCREATE VIEW")],
        ),
        (PASSING, "the table", "/in/other.csv", &[("/in/rides.csv", "/in/other.csv")]),
        (UPDATING, "the aggregate of the query", "SUM(id)", &[("SUM(fare) AS", "SUM(id) AS")]),
        (UPDATING, "that the query writes", "2", &[("> 1", "> 2")]),
        (GIVEN, "the table", "(3)", &[("(2)", "(3)")]),
    ] {
        let store = killed(script);
        store.put_if_absent(Path::new("/in/other.csv"), b"").expect("room for a file");
        let before = store.files();
        let error = run(&store, &changed(script, changes)).expect_err("a changed query is refused");
        let text = error.to_string();
        assert_eq!(error.blame(), Blame::Query, "{changes:?}: {text}");
        assert!(text.contains(operator) && text.contains(reason), "{changes:?}: {text}");
        assert!(text.contains("it was: ") && text.contains("--fresh"), "{changes:?}: {text}");
        assert!(store.files() == before, "{changes:?}: a refused start has left a trace");
    }
}

#[test]
fn names_and_layout_may_change() {
    let expected = {
        let store = disk();
        run(&store, WINDOWS).expect("it runs");
        published(&store)
    };
    let store = killed(WINDOWS);
    for changes in [
        &[][..],
        &[("COUNT(*) AS n", "COUNT(*) AS rides"), ("AS total\nFROM", "AS money\nFROM")],
        &[("town", "place"), ("price", "doubled"), ("paid", "that_paid")],
        &[("fare > 1 AND id >= 0", "id >= 0\n  AND (fare > 1)"), ("SELECT window_start", "select  window_start")],
        &[("GROUP BY window_start, window_end, town", "GROUP BY town, window_end, window_start")],
        &[
            ("TABLE paid", "TABLE narrow"),
            ("INSERT INTO", "CREATE VIEW narrow AS SELECT ts, price, town FROM paid; INSERT INTO"),
        ],
    ] {
        let store = copy(&store);
        let said = run(&store, &changed(WINDOWS, changes)).unwrap_or_else(|error| panic!("{changes:?}: {error}"));
        assert!(said.iter().any(|text| text.starts_with("resumed")), "{changes:?}: {said:?}");
        assert!(!said.iter().any(|text| text.contains("has changed")), "{changes:?}: {said:?}");
        assert_same(&published(&store), &expected, &format!("{changes:?}"));
    }
}

/// Bounded input is what was there when the job began.
#[test]
fn a_file_that_came_since_is_not_read_and_somebody_says_so() {
    let script = changed(WINDOWS, &[("/in/rides.csv", "/in/*.csv")]);
    let store = killed(&script);
    store.put_if_absent(Path::new("/in/more.csv"), b"900,Oslo,3,1000\n").expect("room for a file");
    let said = run(&store, &script).expect("it goes on");
    assert!(said.iter().any(|text| text.starts_with("warning: /in/more.csv came after the job began")), "{said:?}");
    let expected = disk();
    run(&expected, WINDOWS).expect("it runs");
    assert_same(&published(&store), &published(&expected), "a file that came later");
}

#[test]
fn what_stands_in_the_output_already_stays_and_is_mentioned() {
    let store = disk();
    store.put_if_absent(Path::new("/out/totals/mine.csv"), b"x\n").expect("room for a file");
    let said = run(&store, PASSING).expect("it runs");
    assert!(said.iter().any(|text| text.contains("/out/totals holds 1 file that is not of this job")), "{said:?}");
    assert!(store.files().contains_key(Path::new("/out/totals/mine.csv")));
    let again = run(&store, PASSING).expect("it has finished");
    assert!(again.is_empty(), "{again:?}");
}

/// Where nothing is remembered, rows from here on follow the new query, and somebody says so.
#[test]
fn behind_the_last_state_a_query_may_change_and_says_so() {
    for (script, changes) in [
        (PASSING, &[("fare > 1", "fare > 2")][..]),
        (PASSING, &[("SELECT city, fare", "SELECT UPPER(city), fare")]),
        (WINDOWS, &[("window_end, town;", "window_end, town HAVING COUNT(*) > 2;")]),
        (WINDOWS, &[("SELECT window_start, town", "SELECT window_end, town")]),
    ] {
        let store = killed(script);
        let said = run(&store, &changed(script, changes)).unwrap_or_else(|error| panic!("{changes:?}: {error}"));
        let is_warning = |text: &String| text.starts_with("warning: ") && text.contains("has changed");
        assert!(said.iter().any(is_warning), "{changes:?}: {said:?}");
        let resumed: PathBuf = "/out/totals".into();
        assert!(store.files().keys().any(|path| path.starts_with(&resumed)), "{changes:?}");
    }
}

/// A statement set: windows of rides, rides that pass through, and the same sum into two tables.
pub fn set(inserts: &[&str]) -> String {
    let table = |name: &str, columns: &str| {
        format!(
            "CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', 'path' = '/out/{name}', 'format' = 'csv');\n"
        )
    };
    let windows = "starts TIMESTAMP(3), city STRING, n BIGINT";
    let mut script = "
CREATE TABLE rides (id BIGINT, city STRING, fare BIGINT, started BIGINT,
  ts AS TO_TIMESTAMP_LTZ(started, 3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '/in/rides.csv', 'format' = 'csv');\n"
        .to_owned();
    script += &table("totals", windows);
    script += &table("others", windows);
    script += &table("cheap", "id BIGINT, fare BIGINT");
    script += &table("added", windows);
    script += "EXECUTE STATEMENT SET BEGIN\n";
    for insert in inserts {
        script += insert;
        script += ";\n";
    }
    script + "END;"
}

pub const TOTALS: &str = "INSERT INTO totals SELECT window_start, city, COUNT(*)
FROM TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY window_start, window_end, city";
const OTHERS: &str = "INSERT INTO others SELECT window_start, city, COUNT(*)
FROM TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY window_start, window_end, city";
const LONGER: &str = "INSERT INTO others SELECT window_start, city, COUNT(*)
FROM TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '20' SECOND) GROUP BY window_start, window_end, city";
pub const CHEAP: &str = "INSERT INTO cheap SELECT id, fare FROM rides WHERE fare < 3";
const ADDED: &str = "INSERT INTO added SELECT window_start, city, COUNT(*)
FROM TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY window_start, window_end, city";
/// Into a table that another INSERT writes too.
const MORE: &str = "INSERT INTO totals SELECT window_start, city, MAX(fare)
FROM TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY window_start, window_end, city";

/// State is found by what an operator does and whom it serves, so that its place in the plan may change: every row comes
/// exactly once, and nothing is refused.
#[test]
fn an_insert_in_front_and_another_order_leave_every_state_found() {
    for (before, after) in [
        (&[TOTALS][..], &[TOTALS][..]),
        (&[TOTALS], &[ADDED, TOTALS]),
        (&[TOTALS], &[CHEAP, TOTALS]),
        (&[CHEAP], &[TOTALS, CHEAP]),
        (&[TOTALS, OTHERS], &[OTHERS, TOTALS]),
        (&[TOTALS, LONGER, CHEAP], &[CHEAP, LONGER, TOTALS]),
        (&[TOTALS, OTHERS, CHEAP], &[CHEAP, ADDED, OTHERS, TOTALS]),
        (&[TOTALS, MORE], &[MORE, TOTALS]),
        (&[TOTALS], &[MORE, TOTALS]),
        (&[TOTALS, TOTALS], &[CHEAP, TOTALS, TOTALS]),
    ] {
        // Each reads for itself, so that there are several sources to tell apart.
        let set = |inserts: &[&str]| format!("SET 'table.optimizer.reuse-source-enabled' = 'false';{}", set(inserts));
        let expected = disk();
        run(&expected, &set(after)).expect("it runs");
        let store = killed(&set(before));
        let said = run(&store, &set(after)).unwrap_or_else(|error| panic!("{before:?} to {after:?}: {error}"));
        assert!(said.iter().any(|text| text.starts_with("resumed")), "{after:?}: {said:?}");
        assert!(!said.iter().any(|text| text.contains("has changed")), "{after:?}: {said:?}");
        let is_told = |table: &str| said.iter().any(|text| text.contains(&format!("query into {table} is new")));
        assert_eq!(is_told("added"), after.contains(&ADDED) && !before.contains(&ADDED), "{said:?}");
        assert!(!is_told("totals") || before == [CHEAP] || after.contains(&MORE), "{after:?}: {said:?}");
        assert_same(&published(&store), &published(&expected), &format!("{before:?} to {after:?}"));
    }
}

/// Where INSERTs share a source, a new one reads on where the others are, and somebody says so.
#[test]
fn an_insert_that_is_new_at_a_shared_source_reads_on_and_says_so() {
    for after in [&[ADDED, TOTALS][..], &[CHEAP, TOTALS]] {
        let expected = disk();
        run(&expected, &set(after)).expect("it runs");
        let store = killed(&set(&[TOTALS]));
        let said = run(&store, &set(after)).unwrap_or_else(|error| panic!("{after:?}: {error}"));
        assert!(
            said.iter().any(|text| text.starts_with("warning: ") && text.contains("is new")),
            "{after:?}: {said:?}"
        );
        let (found, all) = (published(&store), published(&expected));
        assert_eq!(found["totals"], all["totals"], "{after:?}");
        let new = if after.contains(&ADDED) { "added" } else { "cheap" };
        assert!(found[new].len() < all[new].len(), "{after:?}");
    }
}

#[test]
fn an_insert_that_is_gone_is_refused_by_name() {
    let store = killed(&set(&[TOTALS, CHEAP]));
    let before = store.files();
    let error = run(&store, &set(&[TOTALS])).expect_err("rows of it are on their way").to_string();
    assert!(
        error.contains("the table cheap is not written any more") || error.contains("query into cheap is gone"),
        "{error}"
    );
    assert!(store.files() == before, "a refused start has left a trace");
}

/// What is counted from here on is not all there is, and somebody says so.
#[test]
fn an_operator_that_is_new_behind_rows_that_were_read_says_so() {
    let before = "INSERT INTO totals SELECT ts, city, fare FROM rides";
    let store = killed(&set(&[before]));
    let said = run(&store, &set(&[TOTALS])).expect("it goes on");
    let is_warning =
        |text: &String| text.starts_with("warning: ") && text.contains("sees only the rows that are read from here on");
    assert!(said.iter().any(is_warning), "{said:?}");
}
