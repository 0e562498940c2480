//! EXPLAIN STATE: what each operator remembers, and what bounds that.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use beadline::session::{JobHandle, Outcome, Session, TableStatus};
use beadline::storage::FakeStore;

use crate::simulated::{let_time_pass, runtime, soon, world};

const WINDOW: &str = "the watermark: windows close";
const FOREVER: &str = "nothing: grows with the keys that come";
const FOR_AN_HOUR: &str = "table.exec.state.ttl or STATE_TTL: 1 h after the last row";

/// A line a table: operator, table, rows, what bounds it.
type Line = (&'static str, &'static str, u64, &'static str);

/// The text of one column of what a statement shows.
async fn column(session: &mut Session, statement: &str, name: &str) -> Vec<String> {
    let Outcome::Table(_, batches) = session.sql(statement).await.expect("a job runs") else { panic!("a table") };
    let texts = |batch: &RecordBatch| {
        let column = batch.column_by_name(name).expect("a column").as_string::<i32>().clone();
        column.iter().map(|text| text.unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(texts).collect()
}

async fn started(session: &mut Session, query: &str) -> JobHandle {
    let insert = format!("INSERT INTO hole {query}");
    match session.sql(&insert).await.expect("a job") {
        Outcome::Job(job) => job,
        _ => panic!("an INSERT is a job"),
    }
}

/// Three rows of three ids, the last of them a minute behind the others: its window alone is open.
#[test]
fn each_table_of_each_operator_is_seen_with_what_bounds_it() {
    let window = "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY window_start, window_end";
    let cases: [(&str, String, &[Line]); 6] = [
        (
            "0 s",
            format!("SELECT COUNT(*) FROM {window}"),
            &[("GlobalWindowAggregate", "panes", 1, WINDOW), ("GlobalWindowAggregate", "firing", 0, WINDOW)],
        ),
        ("0 s", "SELECT COUNT(*) FROM t GROUP BY id".into(), &[("GroupAggregate", "groups", 3, FOREVER)]),
        ("1 h", "SELECT COUNT(*) FROM t GROUP BY id".into(), &[("GroupAggregate", "groups", 3, FOR_AN_HOUR)]),
        (
            "0 s",
            "SELECT /*+ STATE_TTL('t' = '1 h') */ COUNT(*) FROM t GROUP BY id".into(),
            &[("GroupAggregate", "groups", 3, FOR_AN_HOUR)],
        ),
        ("0 s", "SELECT COUNT(*) FROM t".into(), &[("GroupAggregate", "groups", 1, "there is one group")]),
        (
            "0 s",
            "SELECT COUNT(DISTINCT id) FROM t".into(),
            &[("GroupAggregate", "groups", 1, FOREVER), ("GroupAggregate", "distinct_0", 3, FOREVER)],
        ),
    ];
    for (ttl, query, expected) in cases {
        runtime().block_on(soon(async {
            let mut session = Session::in_world(world(&FakeStore::new(), false));
            let table = "CREATE TABLE t (id BIGINT, ts AS TO_TIMESTAMP_LTZ(id, 3), WATERMARK FOR ts AS ts)";
            let input = session.input(table, 10).expect("a table");
            session.sql("CREATE TABLE hole (n BIGINT) WITH ('connector' = 'blackhole')").await.expect("a table");
            session.sql(&format!("SET 'table.exec.state.ttl' = '{ttl}'")).await.expect("a setting");
            session.sql("SET 'execution.checkpointing.interval' = '1 h'").await.expect("a setting");
            let job = started(&mut session, &query).await;
            let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
            let rows = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1000, 2000, 61_000]))]);
            input.push(rows.expect("one column")).await.expect("it runs");
            // Rows of a window that is open wait in front of its panes until then.
            job.checkpoint().await.expect("it runs");
            let seen = || {
                let table = |table: TableStatus| {
                    let operator = table.operator.split('(').next().unwrap_or_default().to_owned();
                    (operator, table.table.to_string(), table.rows, table.bound.to_string())
                };
                job.state_tables().into_iter().map(table).collect::<Vec<_>>()
            };
            let expected: Vec<_> = expected
                .iter()
                .map(|(operator, table, rows, bound)| {
                    ((*operator).to_owned(), (*table).to_owned(), *rows, (*bound).to_owned())
                })
                .collect();
            for _ in 0..200 {
                if seen() == expected {
                    break;
                }
                let_time_pass().await;
            }
            assert_eq!(seen(), expected, "{query}");
            let tables = job.state_tables();
            assert!(tables.iter().all(|table| table.rows == 0 || table.bytes > 0), "{tables:?}");
            assert!(tables.iter().map(|table| table.bytes).sum::<u64>() <= job.status().state_bytes);

            let rows: Vec<String> = tables.iter().map(|table| table.rows.to_string()).collect();
            assert_eq!(column(&mut session, "EXPLAIN STATE", "rows").await, rows);
            assert_eq!(column(&mut session, "EXPLAIN STATE '1'", "bounded by").await[0], expected[0].3);
            // What grows without end has something to write, and nothing else has.
            let remedies = column(&mut session, "EXPLAIN STATE", "remedy").await;
            assert!(remedies.iter().all(|remedy| remedy.is_empty() != (expected[0].3 == FOREVER)), "{remedies:?}");

            job.stop().await.expect("it runs");
            job.wait().await.expect("it ends well");
            let refused = session.sql("EXPLAIN STATE '1'").await.err().expect("it has ended");
            assert!(refused.message().contains("has ended already"), "{}", refused.message());
            assert!(column(&mut session, "EXPLAIN STATE", "rows").await.is_empty());
        }));
    }
}
