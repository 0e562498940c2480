//! Windows over processing time, in a simulated world: closed by its clock, complete, and restored wherever that clock
//! stands by then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use beadline::session::{Ending, JobHandle, Outcome, Pusher, RowStream, Session};
use beadline::storage::FakeStore;
use beadline::stream::{Clock, ProcTime};

use crate::simulated::{published, runtime, soon, world};

/// Tokio's paused time, which begins at a moment of the test's choice.
#[derive(Debug)]
struct ClockFrom {
    origin_ms: i64,
    start: tokio::time::Instant,
}

impl Clock for ClockFrom {
    fn now(&self) -> ProcTime {
        ProcTime(self.origin_ms).after(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "paused time: the test decides what it is")]
fn session(store: &FakeStore, origin_ms: i64, parallelism: usize) -> Session {
    let clock = Arc::new(ClockFrom { origin_ms, start: tokio::time::Instant::now() });
    let world = beadline::connectors::World { clock, ..world(store, false) };
    let mut session = Session::in_world(world).with_seed(1);
    session.settings_mut().set("parallelism.default", &parallelism.to_string()).expect("a setting");
    session
}

/// Lets so much of the paused time pass.
async fn pass(seconds: u64) {
    let _ = tokio::time::timeout(Duration::from_secs(seconds), std::future::pending::<()>()).await;
}

async fn push(input: &Pusher, keys: &[&str]) {
    let keys: ArrayRef = Arc::new(keys.iter().copied().map(Some).collect::<StringArray>());
    input.push(RecordBatch::try_from_iter_with_nullable([("k", keys, true)]).expect("a batch")).await.expect("it runs");
}

/// The next rows as `(start of the window in seconds, key, count)`, sorted.
async fn next(rows: &mut RowStream, count: usize) -> Vec<(i64, String, i64)> {
    let mut found = Vec::new();
    while found.len() < count {
        let changes = rows.next().await.expect("more rows").expect("rows");
        let (starts, counts) = (changes.column(0).as_primitive::<TimestampMillisecondType>(), changes.column(2));
        let (keys, counts) = (changes.column(1).as_string::<i32>(), counts.as_primitive::<Int64Type>());
        for row in 0..changes.len() {
            found.push((starts.value(row) / 1_000, keys.value(row).to_owned(), counts.value(row)));
        }
    }
    found.sort();
    found
}

const TUMBLE: &str = "SELECT window_start, k, COUNT(*) AS n
FROM TUMBLE((SELECT *, PROCTIME() AS pt FROM t), DESCRIPTOR(pt), INTERVAL '10' SECOND)
GROUP BY window_start, window_end, k";

#[test]
fn the_clock_closes_windows_and_the_end_of_the_input_the_last() {
    for parallelism in [1, 2, 4] {
        runtime().block_on(soon(async {
            let store = FakeStore::new();
            // Five seconds into a window.
            let mut session = session(&store, 1_005_000, parallelism);
            let input = session.input("CREATE TABLE t (k STRING)", 8).expect("a declaration");
            let mut rows = session.query(TUMBLE).await.expect("a query");
            push(&input, &["a", "b"]).await;
            pass(3).await;
            push(&input, &["a"]).await;
            let row = |start: i64, key: &str, count: i64| (start, key.to_owned(), count);
            assert_eq!(next(&mut rows, 2).await, [row(1_000, "a", 2), row(1_000, "b", 1)]);
            // Nothing comes for a while; windows without rows have no result.
            pass(45).await;
            push(&input, &["b"]).await;
            pass(9).await;
            push(&input, &["b"]).await;
            assert_eq!(next(&mut rows, 1).await, [row(1_050, "b", 1)]);
            push(&input, &["c"]).await;
            input.finish();
            assert_eq!(next(&mut rows, 2).await, [row(1_060, "b", 1), row(1_060, "c", 1)]);
            assert!(rows.next().await.is_none());
            let status = rows.job.wait().await.expect("it ends well").status;
            assert_eq!((status.rows_in, status.late), (6, 0));
        }));
    }
}

#[test]
fn windows_of_the_clock_overlap_and_share_a_source() {
    runtime().block_on(soon(async {
        let store = FakeStore::new();
        let mut session = session(&store, 1_000_000, 2);
        let input = session.input("CREATE TABLE t (k STRING, pt AS PROCTIME())", 8).expect("a declaration");
        let hop = "FROM HOP(TABLE t, DESCRIPTOR(pt), INTERVAL '5' SECOND, INTERVAL '10' SECOND)";
        let both = format!(
            "SELECT window_start, k, COUNT(*) AS n {hop} GROUP BY window_start, window_end, k
             UNION ALL SELECT window_start, CONCAT(k, '!'), COUNT(*)
             FROM TUMBLE(TABLE t, DESCRIPTOR(pt), INTERVAL '7' SECOND) GROUP BY window_start, window_end, k"
        );
        let mut rows = session.query(&both).await.expect("a query");
        push(&input, &["a"]).await;
        pass(1).await;
        // 1,000 s is 6 s into the window of seven.
        let row = |start: i64, key: &str, count: i64| (start, key.to_owned(), count);
        assert_eq!(next(&mut rows, 1).await, [row(994, "a!", 1)]);
        assert_eq!(next(&mut rows, 2).await, [row(995, "a", 1), row(1_000, "a", 1)]);
        input.finish();
        assert!(rows.next().await.is_none());
    }));
}

#[test]
fn steps_of_the_clock_hold_what_came_before() {
    runtime().block_on(soon(async {
        let store = FakeStore::new();
        let mut session = session(&store, 1_000_000, 2);
        let input = session.input("CREATE TABLE t (k STRING, pt AS PROCTIME())", 8).expect("a declaration");
        let steps = "SELECT window_end, k, COUNT(*) AS n
            FROM CUMULATE(TABLE t, DESCRIPTOR(pt), INTERVAL '5' SECOND, INTERVAL '20' SECOND)
            GROUP BY window_start, window_end, k";
        let mut rows = session.query(steps).await.expect("a query");
        push(&input, &["a"]).await;
        pass(6).await;
        push(&input, &["a", "b"]).await;
        let row = |end: i64, key: &str, count: i64| (end, key.to_owned(), count);
        assert_eq!(next(&mut rows, 1).await, [row(1_005, "a", 1)]);
        // No row comes in the last two steps.
        let both = |end| [row(end, "a", 2), row(end, "b", 1)];
        assert_eq!(next(&mut rows, 6).await, [both(1_010), both(1_015), both(1_020)].concat());
        pass(7).await;
        push(&input, &["b"]).await;
        assert_eq!(next(&mut rows, 1).await, [row(1_030, "b", 1)]);
        input.finish();
        assert_eq!(next(&mut rows, 2).await, [row(1_035, "b", 1), row(1_040, "b", 1)]);
        assert!(rows.next().await.is_none());
    }));
}

#[test]
fn sessions_of_the_clock_end_a_gap_behind_their_last_row() {
    runtime().block_on(soon(async {
        let store = FakeStore::new();
        let mut session = session(&store, 1_000_000, 2);
        let input = session.input("CREATE TABLE t (k STRING, pt AS PROCTIME())", 8).expect("a declaration");
        let sessions = "SELECT window_end, k, COUNT(*) AS n
            FROM SESSION(TABLE t PARTITION BY k, DESCRIPTOR(pt), INTERVAL '10' SECOND)
            GROUP BY k, window_start, window_end";
        let mut rows = session.query(sessions).await.expect("a query");
        push(&input, &["a"]).await;
        pass(7).await;
        push(&input, &["a", "b"]).await;
        pass(7).await;
        push(&input, &["b"]).await;
        let row = |end: i64, key: &str, count: i64| (end, key.to_owned(), count);
        assert_eq!(next(&mut rows, 1).await, [row(1_017, "a", 2)]);
        assert_eq!(next(&mut rows, 1).await, [row(1_024, "b", 2)]);
        push(&input, &["a"]).await;
        input.finish();
        let left = next(&mut rows, 1).await;
        assert!(left[0].0 >= 1_034 && left[0].1 == "a" && left[0].2 == 1, "{left:?}");
        assert!(rows.next().await.is_none());
    }));
}

/// TUMBLE_PROCTIME and its kin are processing times like any other: windows may go by them.
#[test]
fn results_of_windows_of_the_clock_have_a_time_of_their_own() {
    for parallelism in [1, 2] {
        runtime().block_on(soon(async {
            let store = FakeStore::new();
            let mut session = session(&store, 1_000_000, parallelism);
            let input = session.input("CREATE TABLE t (k STRING, pt AS PROCTIME())", 8).expect("a declaration");
            let seconds = |seconds: i64| format!("INTERVAL '{seconds}' SECOND");
            let inner = format!(
                "SELECT TUMBLE_PROCTIME(pt, {five}) AS at_time, k, COUNT(*) AS n FROM t GROUP BY k, TUMBLE(pt, {five})",
                five = seconds(5)
            );
            let outer = format!(
                "SELECT TUMBLE_START(at_time, {twenty}), k, SUM(n) FROM ({inner}) GROUP BY k, TUMBLE(at_time, {twenty})",
                twenty = seconds(20)
            );
            let mut rows = session.query(&outer).await.expect("a query");
            push(&input, &["a"]).await;
            pass(6).await;
            push(&input, &["a", "b"]).await;
            pass(1).await;
            push(&input, &["a"]).await;
            // The windows from 1,000 s and from 1,005 s leave at 1,005 s and 1,010 s; the next one leaves in another window.
            pass(11).await;
            push(&input, &["b"]).await;
            let row = |start: i64, key: &str, count: i64| (start, key.to_owned(), count);
            assert_eq!(next(&mut rows, 2).await, [row(1_000, "a", 3), row(1_000, "b", 1)]);
            assert_eq!(next(&mut rows, 1).await, [row(1_020, "b", 1)]);
            input.finish();
            assert!(rows.next().await.is_none());
        }));
    }
}

const KEPT: &str = "
CREATE TABLE made (n BIGINT, pt AS PROCTIME()) WITH ('connector' = 'datagen', 'rows-per-second' = '1',
  'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '39');
CREATE TABLE counted (w TIMESTAMP(3), k BIGINT, n BIGINT, s BIGINT)
WITH ('connector' = 'filesystem', 'path' = '/out/counted', 'format' = 'csv');
INSERT INTO counted SELECT window_start, MOD(n, 3), COUNT(*), SUM(n)
FROM TUMBLE(TABLE made, DESCRIPTOR(pt), INTERVAL '10' SECOND) GROUP BY window_start, window_end, MOD(n, 3);";

async fn begin(store: &FakeStore, origin_ms: i64, parallelism: usize) -> JobHandle {
    let mut session = session(store, origin_ms, parallelism);
    for (key, value) in [
        ("pipeline.name", "kept"),
        ("execution.checkpointing.dir", "/checkpoints"),
        ("execution.checkpointing.interval", "2 s"),
    ] {
        session.settings_mut().set(key, value).expect("a setting");
    }
    match session.sql(KEPT).await.expect("it starts") {
        Outcome::Job(job) => job,
        _ => panic!("an INSERT is a job"),
    }
}

/// The published windows: no window of a key comes twice; how many rows were counted, and their sum.
fn totals(store: &FakeStore) -> (i64, i64) {
    let rows = published(store).remove("counted").unwrap_or_default();
    let mut windows = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        let number = |cell: usize| cells[cell].parse::<i64>().expect("a number");
        let known = windows.insert((cells[0].to_owned(), number(1)), (number(2), number(3)));
        assert!(known.is_none(), "window {row} came twice");
    }
    windows.values().fold((0, 0), |(count, sum), window| (count + window.0, sum + window.1))
}

/// Stopped in mid-window and killed, and gone on with where the clock stands still, has gone far, or has stepped back.
#[test]
fn windows_of_the_clock_are_restored_wherever_the_clock_stands() {
    let hour_ms = 3_600_000;
    for (parallelism, later) in [(1, 2), (2, 1), (4, 4)] {
        for origin_ms in [15_000, hour_ms, -hour_ms] {
            let store = FakeStore::new();
            runtime().block_on(soon(async {
                let job = begin(&store, 0, parallelism).await;
                pass(15).await;
                job.stop().await.expect("it runs");
                let ending = job.wait().await.expect("it ends well").ending;
                assert!(matches!(ending, Ending::Stopped { at: Some(_) }), "{ending:?}");
            }));
            let (before, _) = totals(&store);
            assert!((5..15).contains(&before), "{before} rows in the window that was closed");
            // Killed once, so that there is a checkpoint with an open window, too.
            runtime().block_on(soon(async {
                let _job = begin(&store, origin_ms, later).await;
                pass(7).await;
            }));
            store.restart();
            runtime().block_on(soon(async {
                let job = begin(&store, origin_ms + 8_000, parallelism).await;
                if origin_ms == hour_ms {
                    pass(1).await;
                    assert!(totals(&store).0 >= before);
                }
                let summary = job.wait().await.expect("it ends well");
                assert_eq!((summary.ending, summary.status.late), (Ending::Finished, 0));
            }));
            assert_eq!(totals(&store), (40, (0..40).sum()), "from {origin_ms}, parallelism {parallelism} and {later}");
        }
    }
}

#[test]
fn the_time_of_day_is_that_of_the_row_in_a_stream() {
    runtime().block_on(soon(async {
        let store = FakeStore::new();
        let mut session = session(&store, 86_400_000, 1);
        let input = session.input("CREATE TABLE t (k STRING)", 8).expect("a declaration");
        let sql = "SELECT CURRENT_TIMESTAMP, NOW(), LOCALTIMESTAMP, CURRENT_DATE, LOCALTIME, UNIX_TIMESTAMP(), PROCTIME() FROM t";
        let mut rows = session.query(sql).await.expect("a query");
        for second in 0..3 {
            push(&input, &["a"]).await;
            let changes = rows.next().await.expect("a row").expect("rows");
            let millis = |column: usize| changes.column(column).as_primitive::<TimestampMillisecondType>().value(0);
            let seconds = [0, 1, 2, 6].map(millis).map(|ms| ms / 1_000);
            assert_eq!(seconds, [86_400 + second; 4]);
            assert_eq!(changes.column(5).as_primitive::<Int64Type>().value(0), 86_400 + second);
            pass(1).await;
        }
    }));
}

#[test]
fn the_time_of_day_is_one_moment_in_a_batch() {
    runtime().block_on(soon(async {
        let store = FakeStore::new();
        let mut session = session(&store, 86_400_000, 1);
        let made = KEPT.split_once("'connector'").expect("a table").0.to_owned()
            + "'connector' = 'datagen', 'number-of-rows' = '3', 'rows-per-second' = '1')";
        session.sql(&made).await.expect("a table");
        session.sql("SET 'execution.runtime-mode' = 'batch'").await.expect("a setting");
        let mut rows = session.query("SELECT NOW() AS now, pt FROM made").await.expect("a query");
        let mut times = Vec::new();
        while let Some(changes) = rows.next().await {
            let changes = changes.expect("rows");
            for column in [0, 1] {
                times.extend(changes.column(column).as_primitive::<TimestampMillisecondType>().values().to_vec());
            }
        }
        assert_eq!(times.len(), 6);
        times.dedup();
        assert_eq!(times, [86_400_000]);
    }));
}
