//! Whole queries over files, rows compared as text.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use tokio::sync::watch;

use super::{BatchInsert, BatchOptions, Tally, check, insert, run};
use crate::catalog::{Catalog, Handle};
use crate::connectors::memory::{MemorySink, MemorySource};
use crate::connectors::{JobIdentity, SinkMode, World};
use crate::error::{Blame, Result};
use crate::options::Options;
use crate::plan::{SinkTarget, TypeLengths, bind_insert, bind_select, sink_target, type_of};
use crate::sql::{Statement, parse_script};
use crate::storage::{FakeStore, LocalFiles, LocalStore, Store, Stores};
use crate::stream::{Changes, Entropy, Generation, ManualClock, ThreadBlocking, Zone};

const EVENTS: &str = "CREATE TABLE Events (id INT, ts TIMESTAMP(3), twice AS id * 2,
    WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
    WITH ('connector' = 'filesystem', 'path' = 'tests/data/eight_rows.csv', 'format' = 'csv');";

const FLIGHTS: &str = "CREATE TABLE flights (sched TIMESTAMP(3), dep TIMESTAMP(3), carrier STRING, flight INT,
    origin STRING, dest STRING, WATERMARK FOR sched AS sched - INTERVAL '60' MINUTE)
    WITH ('connector' = 'filesystem', 'path' = 'queries/data/flights_week1.csv', 'format' = 'csv');";

struct Bench {
    catalog: Catalog,
    world: World,
    tally: Arc<Tally>,
}

impl Bench {
    fn new(store: Arc<dyn LocalStore>, script: &str, settings: &[(&str, &str)]) -> Self {
        let (clock, input) = (Arc::new(ManualClock::default()), Arc::default());
        let world = World {
            stores: Stores::new(store),
            clock,
            entropy: Entropy::seeded(0),
            blocking: Arc::new(ThreadBlocking),
            input,
            outputs: Default::default(),
        };
        let settings = Options::new(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let mut catalog = Catalog::default();
        for statement in parse_script(script).unwrap().statements {
            let Statement::CreateTable(create) = statement.statement else { panic!("no table: {}", statement.text) };
            catalog.create_table(&create, settings.clone(), &type_of).unwrap();
        }
        Self { catalog, world, tally: Arc::default() }
    }

    fn local() -> Self {
        Self::new(Arc::new(LocalFiles), &format!("{EVENTS}{FLIGHTS}"), &[])
    }

    fn in_memory(name: &str, bytes: &str, script: &str, settings: &[(&str, &str)]) -> Self {
        let store = FakeStore::new();
        store.put_if_absent(std::path::Path::new(name), bytes.as_bytes()).unwrap();
        Self::new(Arc::new(store), script, settings)
    }

    async fn select(&self, sql: &str, options: BatchOptions) -> Result<Vec<String>> {
        let script = parse_script(sql)?;
        let [statement] = &script.statements[..] else { panic!("one statement") };
        let Statement::Query { query, .. } = &statement.statement else { panic!("no query: {sql}") };
        let query = bind_select(query, &self.catalog, Zone::UTC)?;
        check([&query], &self.world)?;
        let (schema, mut stream) = run(query, &self.world, options, &self.tally).await?;
        let mut rows = Vec::new();
        while let Some(changes) = stream.next().await {
            let changes = changes?;
            assert_eq!(changes.schema(), schema);
            rows.extend(texts(&changes));
        }
        Ok(rows)
    }

    /// The rows in the order in which they come, the same for every way to run.
    async fn ordered(&self, sql: &str) -> Vec<String> {
        let mut first = None;
        for (parallelism, batch_rows) in [(1, 8192), (2, 3), (4, 1)] {
            let options = BatchOptions { parallelism, batch_rows, drop_nulls: false };
            let rows = self.select(sql, options).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
            assert_eq!(*first.get_or_insert_with(|| rows.clone()), rows, "parallelism {parallelism}: {sql}");
        }
        first.unwrap()
    }

    async fn error(&self, sql: &str) -> crate::error::Error {
        let options = BatchOptions { parallelism: 2, batch_rows: 4, drop_nulls: false };
        self.select(sql, options).await.expect_err(sql)
    }

    async fn insert(&self, sql: &str, target: Option<SinkTarget>, drop_nulls: bool) -> Result<u64> {
        let script = parse_script(sql)?;
        let Statement::Insert(statement) = &script.statements[0].statement else { panic!("no insert: {sql}") };
        let query = bind_insert(statement, &self.catalog, None, Zone::UTC, TypeLengths::Ignore)?;
        let target = target.map_or_else(|| sink_target(self.catalog.table(&statement.target)?), Ok)?;
        let identity = JobIdentity { job: "batch".into(), lineage: "0f".repeat(16), generation: Generation(1) };
        let options = BatchOptions { parallelism: 2, batch_rows: 4, drop_nulls };
        let tally = Arc::default();
        let (_keep, stop) = watch::channel(false);
        insert(vec![BatchInsert { query, target, late: None }], &identity, &self.world, options, &tally, stop).await?;
        Ok(tally.rows_out())
    }
}

fn texts(changes: &Changes) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = changes
        .batch()
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" ");
    (0..changes.len()).map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tumbling_windows_hold_every_row() {
    let rows = Bench::local()
        .ordered(
            "SELECT window_start, window_end, COUNT(*) AS n, SUM(twice)
             FROM TUMBLE(TABLE Events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
             GROUP BY window_start, window_end ORDER BY window_start",
        )
        .await;
    assert_eq!(
        rows,
        [
            "2024-01-01T00:00:00 2024-01-01T00:01:00 4 30",
            "2024-01-01T00:01:00 2024-01-01T00:02:00 2 18",
            "2024-01-01T00:02:00 2024-01-01T00:03:00 1 10",
            "2024-01-01T00:05:00 2024-01-01T00:06:00 1 14",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hopping_windows_hold_rows_more_than_once() {
    let bench = Bench::local();
    let rows = bench
        .ordered(
            "SELECT window_start, COUNT(*) FROM HOP(TABLE Events, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)
             GROUP BY window_start, window_end ORDER BY 1",
        )
        .await;
    let starts = ["23:59", "00:00", "00:01", "00:02", "00:04", "00:05"];
    let days = ["2023-12-31", "2024-01-01", "2024-01-01", "2024-01-01", "2024-01-01", "2024-01-01"];
    let expected = days.iter().zip(starts).zip([4, 6, 3, 1, 1, 1]).map(|((day, at), n)| format!("{day}T{at}:00 {n}"));
    assert_eq!(rows, expected.collect::<Vec<_>>());
    let windows_of_a_row = bench
        .ordered(
            "SELECT window_start, window_end, id
             FROM HOP(TABLE Events, DESCRIPTOR(ts), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)
             WHERE id = 7 ORDER BY window_start",
        )
        .await;
    let expected = ["2024-01-01T00:04:30 2024-01-01T00:05:30 7", "2024-01-01T00:05:00 2024-01-01T00:06:00 7"];
    assert_eq!(windows_of_a_row, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_five_aggregates_keep_flinks_types() {
    let bench = Bench::local();
    let rows = bench
        .ordered(
            "SELECT MOD(id, 2) AS odd, COUNT(*), COUNT(id), SUM(id), AVG(id), MIN(ts), MAX(id), SUM(id) FILTER (WHERE id > 6)
             FROM Events GROUP BY MOD(id, 2) HAVING COUNT(*) > 1 ORDER BY odd",
        )
        .await;
    let expected = ["0 4 4 20 5 2024-01-01T00:00:05 8 8", "1 4 4 16 4 2024-01-01T00:00:01 7 7"];
    assert_eq!(rows, expected);
    assert_eq!(bench.ordered("SELECT COUNT(*) FROM Events").await, ["8"]);
    let none = bench.ordered("SELECT COUNT(*), SUM(id), AVG(id), MIN(ts), MAX(id) FROM Events WHERE id > 100").await;
    assert_eq!(none, ["0 NULL NULL NULL NULL"]);
    let none = bench.ordered("SELECT id, COUNT(*) FROM Events WHERE id > 100 GROUP BY id").await;
    assert!(none.is_empty());
    assert_eq!(bench.ordered("SELECT DISTINCT id / 100 FROM Events").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_limit_values_union_and_with() {
    let bench = Bench::local();
    let rows = bench.ordered("SELECT id, twice FROM Events ORDER BY id DESC LIMIT 2").await;
    assert_eq!(rows, ["8 16", "7 14"]);
    assert_eq!(bench.ordered("SELECT id FROM Events ORDER BY ts OFFSET 6").await, ["5", "7"]);
    let rows = bench.ordered("SELECT id / 5 AS half FROM Events GROUP BY id / 5 ORDER BY COUNT(*), half").await;
    assert_eq!(rows, ["0", "1"]);
    assert_eq!(bench.error("SELECT id FROM Events ORDER BY nothing").await.blame(), Blame::Query);
    assert_eq!(bench.ordered("SELECT 1 + 1, 'a'").await, ["2 a"]);
    let rows = bench.ordered("SELECT * FROM (VALUES (1, 'x'), (2, NULL)) AS t (n, s) ORDER BY s, n").await;
    assert_eq!(rows, ["2 NULL", "1 x"]);
    let rows = bench
        .ordered(
            "WITH few AS (SELECT id FROM Events WHERE id < 3)
             SELECT id FROM few UNION ALL SELECT id * 10 FROM few ORDER BY id",
        )
        .await;
    assert_eq!(rows, ["1", "2", "10", "20"]);
    assert_eq!(bench.ordered("SELECT COUNT(*) FROM Events WHERE CURRENT_WATERMARK(ts) IS NULL").await, ["8"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_keeps_rows_away_from_what_would_fail() {
    let bench = Bench::local();
    assert_eq!(
        bench.ordered("SELECT id FROM Events WHERE id <> 1 AND 10 / (id - 1) > 3 ORDER BY id").await,
        ["2", "3"]
    );
    let rows = bench.ordered("SELECT 10 / (id - 1) AS x FROM Events WHERE id <> 1 ORDER BY x DESC LIMIT 1").await;
    assert_eq!(rows, ["10"]);
    let error = bench.error("SELECT SUM(10 / (id - 1)) FROM Events GROUP BY twice").await;
    assert_eq!(error.blame(), Blame::Data, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_flights_are_counted() {
    let bench = Bench::local();
    let windows = "SELECT window_start, origin, COUNT(*) AS n
        FROM TUMBLE(TABLE flights, DESCRIPTOR(sched), INTERVAL '1' HOUR) GROUP BY window_start, window_end, origin";
    let options = BatchOptions { parallelism: 2, batch_rows: 1000, drop_nulls: false };
    let total = bench.select(&format!("SELECT SUM(n), COUNT(*) FROM ({windows})"), options).await.unwrap();
    assert!(total[0].starts_with("6064 "), "{total:?}");
    let all = bench.select("SELECT carrier, dest FROM flights", options).await.unwrap();
    assert_eq!(all.len(), 6064);
    let busiest = bench.select(&format!("{windows} ORDER BY n DESC, window_start, origin LIMIT 1"), options).await;
    assert_eq!(busiest.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_rows_go_by_the_tables_policy() {
    let table = "CREATE TABLE t (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
        WITH ('connector' = 'filesystem', 'path' = '/in.csv', 'format' = 'csv', 'csv.null-literal' = 'NULL');";
    let lines = "1,2024-01-01 00:00:01\nx,2024-01-01 00:00:02\n3,NULL\n4,2024-01-01 00:00:04\n";
    let bench = Bench::in_memory("/in.csv", lines, table, &[]);
    let error = bench.error("SELECT id FROM t").await;
    assert_eq!(error.blame(), Blame::Data);
    assert!(error.message().starts_with("table t: /in.csv, line 2: "), "{error}");
    assert_eq!(error.helps().len(), 1);
    // The same behind an exchange, where DataFusion shares the error among its tasks.
    let error = bench.error("SELECT id, COUNT(*) FROM t GROUP BY id ORDER BY id").await;
    assert_eq!((error.blame(), error.helps().len()), (Blame::Data, 1), "{error}");
    let bench = Bench::in_memory("/in.csv", &lines.replace('x', "2"), table, &[]);
    let error = bench.error("SELECT id FROM t").await;
    assert!(error.message().ends_with("the rowtime column `ts` is NULL"), "{error}");
    let bench = Bench::in_memory("/in.csv", lines, table, &[("beadline.on-error", "skip")]);
    assert_eq!(bench.ordered("SELECT id FROM t ORDER BY id").await, ["1", "4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unbounded_tables_are_refused() {
    let table = "CREATE TABLE endless (id INT) WITH ('connector' = 'datagen');";
    let bench = Bench::new(Arc::new(LocalFiles), table, &[]);
    let error = bench.error("SELECT COUNT(*) FROM endless").await;
    assert_eq!(error.blame(), Blame::Query);
    assert!(error.message().contains("`endless` is unbounded"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_becomes_public_whole_or_not_at_all() {
    let script = "CREATE TABLE t (id INT, note STRING) WITH ('connector' = 'filesystem', 'path' = '/in.csv', 'format' = 'csv', 'csv.null-literal' = 'NULL');
        CREATE TABLE strict (id BIGINT NOT NULL, note STRING)
        WITH ('connector' = 'filesystem', 'path' = '/out', 'format' = 'csv');";
    let bench = Bench::in_memory("/in.csv", "1,a\n2,b\nNULL,c\n", script, &[]);
    let written = bench.insert("INSERT INTO strict SELECT id, note FROM t WHERE id > 0", None, false).await;
    assert_eq!(written.unwrap(), 2);
    assert_eq!(bench.ordered("SELECT id, note FROM strict ORDER BY id").await, ["1 a", "2 b"]);

    let statement = "INSERT INTO strict SELECT id, note FROM t";
    let sink = MemorySink::new(SinkMode::Append);
    let target = |bench: &Bench| {
        let script = parse_script(statement).unwrap();
        let Statement::Insert(insert) = &script.statements[0].statement else { panic!("no insert") };
        let declared = sink_target(bench.catalog.table(&insert.target).unwrap()).unwrap();
        SinkTarget { factory: Arc::new(sink.clone()), ..declared }
    };
    let error = bench.insert(statement, Some(target(&bench)), false).await.unwrap_err();
    assert!(error.message().starts_with("Column 'id' of table strict is NOT NULL"), "{error}");
    assert!(sink.rows().is_empty());
    assert_eq!(bench.insert(statement, Some(target(&bench)), true).await.unwrap(), 2);
    let rows: Vec<String> = sink.rows().iter().flat_map(texts).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hopping_window_reads_its_rows_once() {
    let bench = Bench::local();
    let options = BatchOptions { parallelism: 2, batch_rows: 3, drop_nulls: false };
    let hop = "SELECT COUNT(*) FROM HOP(TABLE Events, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '1' MINUTE)";
    assert_eq!(bench.select(hop, options).await.unwrap(), ["480"]);
    assert_eq!((bench.tally.rows_in(), bench.tally.rows_out()), (8, 1));
    assert_eq!(bench.tally.bytes_total(), Some(bench.tally.bytes_in()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_rows_come_once_is_read_once() {
    let mut bench = Bench::local();
    let mut script = parse_script("CREATE TABLE queue (id INT)").unwrap();
    let Statement::CreateTable(create) = script.statements.remove(0).statement else { panic!("a table") };
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int32, true)]));
    let (source, _pusher) = MemorySource::pushed(schema, 4);
    let handle = Handle::Given { source: Some(Arc::new(source)), sink: None };
    let none = || Options::new(std::iter::empty());
    let table = bench.catalog.declare(&create, none(), none(), handle, &type_of).unwrap();
    bench.catalog.add_table(table);
    let error = bench.error("SELECT id FROM queue UNION ALL SELECT id FROM queue").await;
    assert!(error.message().contains("can be read only once"), "{error}");
}
