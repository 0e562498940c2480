//! `beadline.watermark.max-future-drift`: rows whose time lies further in the future than is allowed, where they go, and that
//! no other row is late for them.

use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use beadline::connectors::SinkMode;
use beadline::connectors::memory::MemorySink;
use beadline::error::Result;
use beadline::session::{Handle, JobSummary, Outcome, Session};
use beadline::storage::{FakeStore, Fault, Store};

use crate::contracts::visible;
use crate::simulated::{runtime, soon, world};

const HOUR: i64 = 3_600_000;
/// Among the hours of two files, whose time of storing is 1970 to the millisecond: a day, ten years, and an hour and a moment
/// ahead, which is more than is allowed, and an hour to the millisecond, which is not.
const AHEAD: [(i64, i64); 4] = [(1001, 24 * HOUR), (1002, 10 * 365 * 24 * HOUR), (1003, HOUR + 1000), (4, HOUR)];

/// The disk with two files of rows, honest ones a second apart, and the rows from the future among the first of them.
fn disk() -> FakeStore {
    let store = FakeStore::new();
    let line = |(id, time): (i64, i64)| {
        let time = chrono::DateTime::from_timestamp_millis(time).expect("a time");
        format!("{id},{}\n", time.format("%Y-%m-%d %H:%M:%S%.3f"))
    };
    let mut first: Vec<(i64, i64)> = (0..60).map(|id| (100 + id, (id - 60) * 30_000)).collect();
    for (place, row) in [(2, AHEAD[0]), (20, AHEAD[1]), (41, AHEAD[2]), (63, AHEAD[3])] {
        first.insert(place, row);
    }
    let second = (0..60).map(|id| (200 + id, (id - 60) * 30_000));
    for (name, rows) in [("a.csv", first), ("b.csv", second.collect())] {
        let text: String = rows.into_iter().map(line).collect();
        store.put_if_absent(&Path::new("/in").join(name), text.as_bytes()).expect("room for the input");
    }
    store
}

struct Place {
    store: FakeStore,
    counted: MemorySink,
    late: MemorySink,
}

impl Place {
    fn new() -> Self {
        let sink = || MemorySink::new(SinkMode::Append);
        Self { store: disk(), counted: sink(), late: sink() }
    }

    fn run(&self, parallelism: usize, from: &str) -> Result<JobSummary> {
        let mut session = Session::in_world(world(&self.store, false)).with_seed(7);
        for (key, value) in [
            ("pipeline.name", "future"),
            ("execution.checkpointing.dir", "/checkpoints"),
            ("parallelism.default", &parallelism.to_string()),
            ("beadline.limit.batch-rows", "7"),
            ("beadline.checkpoint.every-rows", "10"),
            ("beadline.watermark.max-future-drift", "1 h"),
        ] {
            session.settings_mut().set(key, value)?;
        }
        let table =
            "CREATE TABLE t (id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem',
                     'path' = '/in', 'format' = 'csv')";
        let mut add = |declaration: &str, sink: &MemorySink| {
            let sink: Arc<dyn beadline::connectors::SinkFactory> = Arc::new(sink.clone());
            session.add_table(declaration, Handle::Given { source: None, sink: Some(sink) })
        };
        add("CREATE TABLE counted (ids ARRAY<BIGINT>)", &self.counted)?;
        let late = "id BIGINT, operator STRING, `watermark` TIMESTAMP(3), window_end TIMESTAMP(3), lateness_ms BIGINT, reason STRING";
        add(&format!("CREATE TABLE late ({late})"), &self.late)?;
        let insert = format!("INSERT INTO counted SELECT ARRAY_AGG(id) FROM {from} LATE RECORDS INTO late");
        runtime().block_on(soon(async {
            session.sql(table).await?;
            let Outcome::Job(job) = session.sql(&insert).await? else { panic!("an INSERT is a job") };
            job.wait().await
        }))
    }

    fn counted(&self) -> Vec<i64> {
        let mut ids = Vec::new();
        for rows in self.counted.rows() {
            for list in rows.column(0).as_list::<i32>().iter().flatten() {
                ids.extend(list.as_primitive::<arrow::datatypes::Int64Type>().values());
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn check(&self, summary: &JobSummary, how: &str) {
        let honest: Vec<i64> = [4].into_iter().chain(100..160).chain(200..260).collect();
        assert_eq!(self.counted(), honest, "{how}");
        assert_eq!(visible(&self.late), [1001, 1002, 1003], "{how}");
        for rows in self.late.rows() {
            let reasons = rows.column(5).as_string::<i32>();
            assert!(reasons.iter().all(|reason| reason == Some("future")), "{how}");
            assert!((2..5).all(|column| rows.column(column).null_count() == rows.len()), "{how}");
        }
        assert_eq!((summary.status.late, summary.status.future, summary.status.rows_in), (0, 3, 124), "{how}");
    }
}

const WINDOWS: [&str; 4] = [
    "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE) GROUP BY window_start, window_end",
    "CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '10' MINUTE) GROUP BY window_start, window_end",
    "SESSION(TABLE t, DESCRIPTOR(ts), INTERVAL '2' MINUTE) GROUP BY window_start, window_end",
    "t GROUP BY HOP(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE)",
];

#[test]
fn no_row_is_late_for_one_from_the_future() {
    for from in WINDOWS {
        for parallelism in [1, 2, 4] {
            let place = Place::new();
            let summary = place.run(parallelism, from).expect("it ends well");
            place.check(&summary, &format!("{from} in {parallelism} tasks"));
        }
    }
}

#[test]
fn what_comes_from_the_future_is_the_same_after_a_kill() {
    let mut kills = 0;
    for from in [WINDOWS[0], WINDOWS[2]] {
        for operation in (5..150).step_by(13) {
            let place = Place::new();
            place.store.plant(place.store.operations() + operation, Fault::Crash);
            let mut ended = place.run(2, from);
            if place.store.is_crashed() {
                kills += 1;
                place.store.restart();
                ended = place.run(3, from);
            }
            place.check(&ended.expect("it ends well"), &format!("{from} killed at {operation}"));
        }
    }
    assert!(kills > 5, "{kills}");
}

#[test]
fn without_the_setting_it_closes_the_windows_of_all_others() {
    let place = Place::new();
    let mut session = Session::in_world(world(&place.store, false));
    runtime().block_on(soon(async {
        let table =
            "CREATE TABLE t (id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem',
                     'path' = '/in/a.csv', 'format' = 'csv')";
        session.sql(table).await.expect("a table");
        let query = format!("SELECT ARRAY_AGG(id) FROM {}", WINDOWS[0]);
        let Outcome::Rows(mut rows) = session.sql(&query).await.expect("a query") else { panic!("a SELECT has rows") };
        while let Some(rows) = rows.next().await {
            rows.expect("rows");
        }
        let status = rows.job.wait().await.expect("it ends well").status;
        // All rows behind the first one from the future, but for the one that lies further in it.
        assert_eq!((status.late, status.future), (60, 0));
    }));
}

#[test]
fn a_table_whose_rows_have_no_stored_time_is_refused() {
    let mut session = Session::in_world(world(&FakeStore::new(), false));
    session.settings_mut().set("beadline.watermark.max-future-drift", "1 h").expect("a setting");
    runtime().block_on(async {
        let columns = "id BIGINT, ts TIMESTAMP(3)";
        let table = |name: &str, more: &str| {
            format!("CREATE TABLE {name} ({columns}{more}) WITH ('connector' = 'datagen', 'number-of-rows' = '3')")
        };
        session.sql(&table("t", ", WATERMARK FOR ts AS ts")).await.expect("a table");
        session.sql(&table("plain", "")).await.expect("a table");
        let error = session.sql("SELECT * FROM t").await.err().expect("no stored times").to_string();
        assert!(
            error.starts_with("'beadline.watermark.max-future-drift' needs to know when the rows of table `t`"),
            "{error}"
        );
        // There is nothing to guard.
        session.sql("SELECT * FROM plain").await.expect("a query");
    });
}
