//! Tables of late rows: what is said of them beside the rows of the result.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use beadline::connectors::SinkMode;
use beadline::connectors::memory::{MemorySink, MemorySource};
use beadline::session::{Handle, Outcome, Session};
use beadline::storage::FakeStore;
use beadline::stream::Changes;

use crate::contracts::visible;
use crate::simulated::{let_time_pass, runtime, soon, world};

/// Rows of a late table are counted apart from those of the result, also where several operators refused them.
#[test]
fn late_rows_of_several_operators_are_no_rows_of_the_result() {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![0, 1, 2, 3])),
        Arc::new(TimestampMillisecondArray::from(vec![0, 100_000, 1000, 2000])),
    ];
    let rows = RecordBatch::try_new(Arc::new(schema), columns).expect("columns of one length");
    let source = MemorySource::bounded(rows.schema(), vec![vec![rows]]).expect("one schema");
    let (counts, late) = (MemorySink::new(SinkMode::Append), MemorySink::new(SinkMode::Append));
    let mut session = Session::in_world(world(&FakeStore::new(), false)).with_seed(1);
    let mut add = |declaration: &str, source, sink| {
        session.add_table(declaration, Handle::Given { source, sink }).expect("a table");
    };
    let declaration = "CREATE TABLE given (id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)";
    add(declaration, Some(Arc::new(source)), None);
    add("CREATE TABLE counts (starts TIMESTAMP(3), n BIGINT)", None, Some(Arc::new(counts.clone())));
    add("CREATE TABLE late (id BIGINT)", None, Some(Arc::new(late.clone())));
    let half = |seconds| {
        format!(
            "SELECT window_start, COUNT(*) FROM TUMBLE(TABLE given, DESCRIPTOR(ts), INTERVAL '{seconds}' SECOND)
             GROUP BY window_start, window_end"
        )
    };
    let insert =
        format!("INSERT INTO counts SELECT * FROM ({} UNION ALL {}) LATE RECORDS INTO late", half(10), half(20));
    let status = runtime().block_on(soon(async {
        let Outcome::Job(job) = session.sql(&insert).await.expect("a job") else { panic!("an INSERT is a job") };
        job.wait().await.expect("it ends well").status
    }));
    assert_eq!((visible(&late), status.late), (vec![2, 2, 3, 3], 4));
    assert_eq!(status.rows_out, counts.rows().iter().map(Changes::len).sum::<usize>() as u64);
}

/// Whoever asks where time stands is told which window waits for it.
#[test]
fn the_end_of_the_window_that_closes_next_is_known() {
    let windows = [
        ("TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY window_start, window_end", "00:02:00.000"),
        (
            "HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '60' SECOND) GROUP BY window_start, window_end",
            "00:01:10.000",
        ),
        ("SESSION(TABLE t, DESCRIPTOR(ts), INTERVAL '30' SECOND) GROUP BY window_start, window_end", "00:01:31.000"),
        ("t GROUP BY HOP(ts, INTERVAL '20' SECOND, INTERVAL '50' SECOND)", "00:01:10.000"),
        ("t GROUP BY id", "none"),
    ];
    for (from, expected) in windows {
        runtime().block_on(soon(async {
            let mut session = Session::in_world(world(&FakeStore::new(), false));
            let table = "CREATE TABLE t (id BIGINT, ts AS TO_TIMESTAMP_LTZ(id, 3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)";
            let input = session.input(table, 10).expect("a table");
            session.sql("CREATE TABLE hole (n BIGINT) WITH ('connector' = 'blackhole')").await.expect("a table");
            let insert = format!("INSERT INTO hole SELECT COUNT(*) FROM {from}");
            let Outcome::Job(job) = session.sql(&insert).await.expect("a job") else { panic!("an INSERT is a job") };
            let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
            let rows = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![61_000]))]);
            input.push(rows.expect("one column")).await.expect("it runs");
            while job.status().rows_in == 0 || job.status().watermark.is_none() {
                let_time_pass().await;
            }
            let_time_pass().await;
            let said = session.sql("EXPLAIN WATERMARK").await.expect("a job runs");
            let Outcome::Table(_, batches) = said else { panic!("a line a split") };
            let next = batches[0].column_by_name("next window").expect("a column").as_string::<i32>().value(0).to_owned();
            assert!(next.ends_with(expected), "{from}: {next}");
        }));
    }
}
