//! The registry, and the connectors that need no files.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};

use super::memory::{ChannelSink, MemorySink, MemorySource, Unreliable};
use super::print::{PrintOutputs, PrintSink};
use super::*;
use crate::formats::tests::assert_options_are_read;
use crate::options::Effect;
use crate::storage::{FakeStore, Stores};
use crate::stream::{ChangeKind, Entropy, InlineBlocking, ManualClock, ProcTime};

fn world() -> World {
    World {
        stores: Stores::new(Arc::new(FakeStore::new())),
        clock: Arc::new(ManualClock::default()),
        entropy: Entropy::seeded(0),
        blocking: Arc::new(InlineBlocking),
        input: Arc::default(),
        outputs: PrintOutputs::default(),
    }
}

fn table(columns: &[(&str, DataType)], options: &[(&str, &str)], settings: &[(&str, &str)]) -> TableContext {
    let fields: Vec<Field> = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
    let read = |pairs: &[(&str, &str)]| Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    TableContext {
        name: "t".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        options: read(options),
        settings: read(settings),
    }
}

fn context(sink: &str, generation: u64, parallelism: usize) -> SinkContext {
    let identity = JobIdentity { job: "j".to_owned(), lineage: "a".to_owned(), generation: Generation(generation) };
    SinkContext { identity, sink: sink.to_owned(), is_durable: true, parallelism, schema: numbers(0..0).schema() }
}

fn numbers(values: std::ops::Range<i64>) -> RecordBatch {
    let text: StringArray = values.clone().map(|value| Some(format!("t{value}"))).collect();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("n", Arc::new(Int64Array::from_iter_values(values))), ("s", Arc::new(text))];
    let fields = vec![Field::new("n", DataType::Int64, true), Field::new("s", DataType::Utf8, true)];
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

// ----------------------------------------------------------------------------------------------- registry

#[test]
fn every_option_is_documented_sound_and_read() {
    let mut names = BTreeSet::new();
    for connector in all() {
        assert!(names.insert(connector.name()));
        assert!(connector.doc().len() > 40);
        assert!(std::ptr::addr_eq(find(connector.name()).unwrap(), *connector));
        let mut keys = BTreeSet::new();
        for option in connector.options().iter().chain(connector.settings()) {
            assert!(keys.insert(option.key), "{} is listed twice", option.key);
            assert!(option.doc.ends_with('.'), "{}", option.key);
            if let Some(default) = option.default {
                option.check(option.key, default).unwrap();
            }
            if let Effect::RefusedUnless(fine) = option.effect {
                fine.iter().for_each(|value| option.check(option.key, value).unwrap());
            }
        }
    }
    for option in common::OPTIONS {
        assert!(option.doc.ends_with('.') && names.iter().all(|name| *name != option.key), "{}", option.key);
    }
    assert!(find("kafka").is_none());
    for source in [include_str!("filesystem/mod.rs"), include_str!("datagen/mod.rs"), include_str!("print.rs")] {
        assert_options_are_read(source);
    }
}

#[test]
fn tables_that_go_one_way_say_so() {
    let columns = [("n", DataType::Int64)];
    for name in ["print", "blackhole"] {
        let error = find(name).unwrap().source(&table(&columns, &[], &[])).unwrap_err().to_string();
        assert!(error.contains(&format!("Connector '{name}' can only be used as a sink.")));
        assert!(find(name).unwrap().sink(&table(&columns, &[], &[])).is_ok());
    }
    assert!(find("datagen").unwrap().sink(&table(&columns, &[], &[])).unwrap_err().to_string().contains("as a source"));
}

// -------------------------------------------------------------------------------------------------- print

#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn printed_rows_look_like_flinks() {
    let rows = Changes::new(numbers(1..3), vec![ChangeKind::Insert, ChangeKind::UpdateAfter]);
    for (identifier, parallelism, expected) in [
        ("", 1, "+I[1, t1]\n+U[2, t2]\n"),
        ("", 4, "3> +I[1, t1]\n3> +U[2, t2]\n"),
        ("id", 1, "id> +I[1, t1]\nid> +U[2, t2]\n"),
        ("id", 4, "id:3> +I[1, t1]\nid:3> +U[2, t2]\n"),
    ] {
        let shown = Shown::default();
        let world = World { outputs: PrintOutputs::new(shown.clone(), Closed), ..world() };
        let sink = PrintSink { identifier: identifier.to_owned(), to_error: false };
        let mut writer = sink.writer(2, &context("s", 1, parallelism), &world).unwrap();
        writer.write(&rows).await.unwrap();
        assert_eq!(writer.prepare(Epoch(1)).await.unwrap(), None);
        assert_eq!(String::from_utf8(shown.0.lock().unwrap().clone()).unwrap(), expected);
    }
    let shown = Shown::default();
    let world = World { outputs: PrintOutputs::new(Closed, shown.clone()), ..world() };
    for to_error in [false, true] {
        let sink = PrintSink { identifier: String::new(), to_error };
        sink.writer(0, &context("s", 1, 1), &world).unwrap().write(&rows).await.unwrap();
    }
    assert_eq!(String::from_utf8(shown.0.lock().unwrap().clone()).unwrap(), "+I[1, t1]\n+U[2, t2]\n");
}

#[tokio::test]
async fn the_black_hole_takes_everything() {
    let sink = find("blackhole").unwrap().sink(&table(&[], &[], &[])).unwrap();
    let mut writer = sink.writer(0, &context("s", 1, 1), &world()).unwrap();
    writer.write(&Changes::inserts(numbers(0..9))).await.unwrap();
    assert_eq!(writer.prepare(Epoch(1)).await.unwrap(), None);
}

// ------------------------------------------------------------------------------------------------ datagen

fn every_type() -> Vec<(&'static str, DataType)> {
    vec![
        ("b", DataType::Boolean),
        ("i", DataType::Int32),
        ("l", DataType::Int64),
        ("f", DataType::Float64),
        ("d", DataType::Decimal128(6, 2)),
        ("s", DataType::Utf8),
        ("y", DataType::Binary),
        ("dt", DataType::Date32),
        ("tm", DataType::Time32(TimeUnit::Millisecond)),
        ("ts", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("ltz", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("q", DataType::Int64),
    ]
}

const SOME_ROWS: &[(&str, &str)] = &[
    ("number-of-rows", "1000"),
    ("rows-per-second", "1000"),
    ("fields.i.min", "1"),
    ("fields.i.max", "3"),
    ("fields.s.length", "5"),
    ("fields.s.null-rate", "0.5"),
    ("fields.y.length", "9"),
    ("fields.y.var-len", "true"),
    ("fields.ts.max-past", "1 min"),
    ("fields.q.kind", "sequence"),
    ("fields.q.start", "5"),
    ("fields.q.end", "204"),
];

/// All rows of a generator that need not be waited for, read in batches of at most `batch_rows`.
async fn generate(
    table: &TableContext,
    projection: &[usize],
    batch_rows: usize,
    from: Option<u64>,
) -> Vec<RecordBatch> {
    let clock = ManualClock::default();
    clock.advance(Duration::from_millis(1_357_016_400_000));
    let world = World { clock: Arc::new(clock.clone()), ..world() };
    let source = find("datagen")
        .unwrap()
        .source(table)
        .unwrap()
        .open(&SourceContext::new(projection, batch_rows, &world))
        .unwrap();
    let mut split = source.discover(&BTreeSet::new()).await.unwrap().remove(0);
    if let Some(next) = from {
        split.start.0["next"] = serde_json::json!(next);
    }
    let mut reader = source.open(&split.id, &split.start).await.unwrap();
    let mut decoder = source.decoder().unwrap();
    clock.advance(Duration::from_secs(3_600));
    let mut batches = Vec::new();
    loop {
        match reader.next().await.unwrap() {
            Polled::Chunk(chunk, position) => {
                let rows = decoder.decode(&chunk.bytes, chunk.first_line).unwrap().rows;
                assert!(rows.num_rows() <= batch_rows);
                split.start = position;
                batches.push(rows);
            }
            Polled::End => return batches,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn generated_rows_depend_on_seed_and_number_alone() {
    let table = table(&every_type(), SOME_ROWS, &[("beadline.datagen.seed", "7")]);
    let all: Vec<usize> = (0..table.schema.fields().len()).collect();
    let concat = |batches: &[RecordBatch]| arrow::compute::concat_batches(&batches[0].schema(), batches).unwrap();
    let whole = concat(&generate(&table, &all, 8192, None).await);
    assert_eq!(whole.num_rows(), 200);
    assert_eq!(concat(&generate(&table, &all, 7, None).await), whole);
    assert_eq!(concat(&generate(&table, &all, 64, Some(123)).await), whole.slice(123, 77));
    assert_eq!(concat(&generate(&table, &[5, 1], 64, None).await), whole.project(&[5, 1]).unwrap());
    let integers = whole.column(1).as_primitive::<arrow::datatypes::Int32Type>();
    let distinct: BTreeSet<i32> = integers.values().iter().copied().collect();
    assert_eq!(distinct, BTreeSet::from([1, 2, 3]));
    assert!((50..150).contains(&whole.column(5).null_count()));
    let strings = whole.column(5).as_string::<i32>();
    assert!(strings.iter().flatten().all(|text| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_hexdigit())));
    let lengths: BTreeSet<usize> = whole.column(6).as_binary::<i32>().iter().flatten().map(<[u8]>::len).collect();
    assert_eq!(lengths, (1..=9).collect());
    let sequence: Vec<i64> = whole.column(11).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(sequence, (5..205).collect::<Vec<_>>());
    let times = whole.column(9).as_primitive::<arrow::datatypes::TimestampMillisecondType>();
    for (row, time) in times.values().iter().enumerate() {
        let moment = 1_357_016_400_000 + row as i64;
        assert!((moment - 60_000..=moment).contains(time));
    }
    let mut other = table.clone();
    other.settings = Options::new([("beadline.datagen.seed".to_owned(), "8".to_owned())]);
    assert_ne!(concat(&generate(&other, &all, 8192, None).await), whole);
}

/// A clock that follows tokio's, which tests pause.
#[derive(Debug)]
struct PausedClock(tokio::time::Instant);

impl Clock for PausedClock {
    fn now(&self) -> ProcTime {
        ProcTime(0).after(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the paused time of the test")]
async fn rows_come_at_the_rate() {
    let clock = Arc::new(PausedClock(tokio::time::Instant::now()));
    let world = World { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..world() };
    let table = table(&[("n", DataType::Int64)], &[("rows-per-second", "1000")], &[]);
    let factory = find("datagen").unwrap().source(&table).unwrap();
    assert!(!factory.is_bounded());
    let source = factory.open(&SourceContext::new(&[0], 8192, &world)).unwrap();
    let split = source.discover(&BTreeSet::new()).await.unwrap().remove(0);
    let mut reader = source.open(&split.id, &split.start).await.unwrap();
    let (mut rows, mut chunks) = (0, 0);
    while rows < 5_000 {
        if let Polled::Chunk(_, position) = reader.next().await.unwrap() {
            rows = position.0["next"].as_u64().unwrap();
            chunks += 1;
            let due = clock.elapsed().as_millis() as u64;
            assert!(rows <= due + 1, "{rows} rows after {due} ms");
        }
    }
    assert!((4_990..5_020).contains(&(clock.elapsed().as_millis() as u64)));
    assert!(chunks < 700);
}

#[test]
fn options_of_datagen_are_checked() {
    let columns = [("a", DataType::Int32), ("s", DataType::Utf8), ("dt", DataType::Date32), ("b", DataType::Boolean)];
    let refused = |options: &[(&str, &str)]| {
        find("datagen").unwrap().source(&table(&columns, options, &[])).unwrap_err().to_string()
    };
    assert!(refused(&[("fields.q.min", "1")]).contains("Unsupported options found for 'datagen'."));
    assert!(refused(&[("fields.s.min", "1")]).contains("fields.s.min"));
    assert!(refused(&[("fields.dt.max-past", "1 d")]).contains("fields.dt.max-past"));
    assert!(refused(&[("fields.a.min", "9"), ("fields.a.max", "5")]).contains("must not be greater"));
    assert!(refused(&[("fields.a.max", "3000000000")]).contains("Could not parse value '3000000000'"));
    assert!(refused(&[("fields.a.null-rate", "1.5")]).contains("must be from 0 to 1"));
    assert!(
        refused(&[("fields.a.kind", "sequence"), ("fields.a.start", "1")])
            .contains("Could not find required property 'fields.a.end' for sequence generator.")
    );
    let sequence = [("fields.dt.kind", "sequence"), ("fields.dt.start", "1"), ("fields.dt.end", "2")];
    assert!(refused(&sequence).contains("a sequence is for numbers and texts"));
    assert!(refused(&[("rows-per-second", "0")]).contains("must be greater than 0"));
}

// ------------------------------------------------------------------------------------------------- memory

async fn read_all(reader: &mut dyn SplitReader) -> (Vec<i64>, Vec<Position>) {
    let (mut values, mut positions) = (Vec::new(), Vec::new());
    while let Polled::Rows(rows, position) = reader.next().await.unwrap() {
        values.extend(rows.column(0).as_primitive::<Int64Type>().values());
        positions.push(position);
    }
    (values, positions)
}

#[tokio::test]
async fn rows_in_memory_are_read_in_splits_and_resumed_anywhere() {
    let empty = numbers(0..0);
    let splits = vec![vec![numbers(0..5), empty.clone(), numbers(5..6)], vec![], vec![numbers(6..16)]];
    let table = MemorySource::bounded(empty.schema(), splits).unwrap();
    assert!(table.is_bounded() && !table.reads_once());
    let source = table.open(&SourceContext::new(&[0], 4, &world())).unwrap();
    let splits = source.discover(&BTreeSet::new()).await.unwrap();
    let mut all = Vec::new();
    for split in &splits {
        let mut reader = source.open(&split.id, &split.start).await.unwrap();
        let (values, positions) = read_all(reader.as_mut()).await;
        for position in positions {
            let mut reader = source.open(&split.id, &position).await.unwrap();
            let count = position.0["rows"].as_u64().unwrap() as usize;
            assert_eq!(read_all(reader.as_mut()).await.0, values[count..]);
        }
        all.extend(values);
    }
    assert_eq!(all, (0..16).collect::<Vec<_>>());
    let other = RecordBatch::new_empty(Arc::new(Schema::empty()));
    assert!(MemorySource::bounded(empty.schema(), vec![vec![other]]).is_err());
}

#[tokio::test]
async fn pushed_rows_arrive_and_counted_ones_are_skipped() {
    let (table, pusher) = MemorySource::pushed(numbers(0..0).schema(), 2);
    assert!(!table.is_bounded() && table.reads_once());
    let push = async {
        for start in 0..5 {
            pusher.push(numbers(start * 4..start * 4 + 4)).await.unwrap();
        }
        pusher.finish();
    };
    let read = async {
        let source = table.open(&SourceContext::new(&[0], 3, &world())).unwrap();
        let split = source.discover(&BTreeSet::new()).await.unwrap().remove(0);
        // The job had counted five rows before it was started again.
        let from = Position(serde_json::json!({ "rows": 5 }));
        let mut reader = source.open(&split.id, &from).await.unwrap();
        assert!(source.open(&split.id, &from).await.is_err());
        let Polled::Rows(rows, position) = reader.next().await.unwrap() else { panic!("rows are left") };
        let mut values = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        drop(reader);
        assert!(source.open(&split.id, &from).await.is_err(), "these rows are gone");
        let mut reader = source.open(&split.id, &position).await.unwrap();
        values.extend(read_all(reader.as_mut()).await.0);
        values
    };
    let ((), values) = tokio::join!(push, read);
    assert_eq!(values, (5..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_barrier_is_to_wait_for_what_was_pushed_unless_it_was_counted_before() {
    let (table, pusher) = MemorySource::pushed(numbers(0..0).schema(), 4);
    let source = table.open(&SourceContext::new(&[0], 3, &world())).unwrap();
    let split = source.discover(&BTreeSet::new()).await.unwrap().remove(0);
    let at = |rows: u64| Position(serde_json::json!({ "rows": rows }));
    assert_eq!(source.arrived(&split.id, &at(0)), None);
    pusher.push(numbers(0..4)).await.unwrap();
    pusher.clone().push(numbers(4..9)).await.unwrap();
    assert_eq!([0, 8, 9, 20].map(|rows| source.arrived(&split.id, &at(rows))), [Some(at(9)), Some(at(9)), None, None]);
    // It ends where one of the reader's answers does, wherever the reader began.
    let mut reader = source.open(&split.id, &at(2)).await.unwrap();
    let mut places = Vec::new();
    while places.last() != Some(&at(9)) {
        let Polled::Rows(_, position) = reader.next().await.unwrap() else { panic!("rows are left") };
        places.push(position);
    }
    assert_eq!(places, [at(4), at(7), at(9)]);
}

#[tokio::test]
async fn collected_rows_are_visible_once_and_with_their_commit() {
    let sink = MemorySink::new(SinkMode::Retract);
    let mut writer = sink.writer(0, &context("s", 1, 1), &world()).unwrap();
    let mut committer = sink.committer(&context("s", 1, 1), &world()).unwrap();
    writer.write(&Changes::inserts(numbers(0..3))).await.unwrap();
    let first = writer.prepare(Epoch(1)).await.unwrap().unwrap();
    assert_eq!(writer.prepare(Epoch(2)).await.unwrap(), None);
    assert!(sink.rows().is_empty());
    for _ in 0..2 {
        committer.commit(Epoch(1), std::slice::from_ref(&first)).await.unwrap();
    }
    assert_eq!(sink.rows().len(), 1);
    writer.write(&Changes::inserts(numbers(3..4))).await.unwrap();
    let covered = writer.prepare(Epoch(3)).await.unwrap().unwrap();
    writer.write(&Changes::inserts(numbers(4..5))).await.unwrap();
    let lost = writer.prepare(Epoch(4)).await.unwrap().unwrap();
    // The job starts again; the last epoch is in no checkpoint.
    let mut committer = sink.committer(&context("s", 2, 1), &world()).unwrap();
    committer.recover(&History::default(), std::slice::from_ref(&covered)).await.unwrap();
    assert_eq!(sink.epochs().keys().copied().collect::<Vec<_>>(), [Epoch(1), Epoch(3)]);
    assert!(committer.commit(Epoch(4), &[lost]).await.is_err());
    assert_eq!(sink.remove_published("b", &world()).unwrap(), 0);
    assert_eq!(sink.remove_published("a", &world()).unwrap(), 2);
}

/// Clones may serve several sinks of a job: a restart of one leaves alone what another has prepared.
#[tokio::test]
async fn a_restart_clears_only_what_is_its_own() {
    let sink = MemorySink::new(SinkMode::Append);
    let mut staged = Vec::new();
    for name in ["one", "two"] {
        let mut writer = sink.writer(0, &context(name, 1, 1), &world()).unwrap();
        writer.write(&Changes::inserts(numbers(0..3))).await.unwrap();
        staged.push(writer.prepare(Epoch(1)).await.unwrap().unwrap());
    }
    for (name, staged) in ["one", "two"].into_iter().zip(&staged) {
        let mut committer = sink.committer(&context(name, 2, 1), &world()).unwrap();
        committer.recover(&History::default(), std::slice::from_ref(staged)).await.unwrap();
    }
    assert_eq!(sink.rows().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn unreliable_commits_succeed_when_repeated() {
    let unreliable = Unreliable { seed: 3, failures_in_100: 60, delay: Duration::from_secs(1) };
    let sink = MemorySink::new(SinkMode::Append).unreliable(unreliable);
    let mut writer = sink.writer(0, &context("s", 1, 1), &world()).unwrap();
    let mut committer = sink.committer(&context("s", 1, 1), &world()).unwrap();
    for epoch in 1..20 {
        writer.write(&Changes::inserts(numbers(0..1))).await.unwrap();
        let staged = writer.prepare(Epoch(epoch)).await.unwrap().unwrap();
        while let Err(error) = committer.commit(Epoch(epoch), std::slice::from_ref(&staged)).await {
            assert!(error.is_retryable());
        }
    }
    assert_eq!(sink.rows().len(), 19);
    assert!(sink.attempts() > 25);
}

#[tokio::test]
async fn a_channel_hands_rows_on_and_notices_that_nobody_reads() {
    let (sink, mut rows) = ChannelSink::new(SinkMode::Retract, 2);
    let mut writer = sink.writer(0, &context("s", 1, 1), &world()).unwrap();
    writer.write(&Changes::inserts(numbers(0..3))).await.unwrap();
    assert_eq!(rows.recv().await.unwrap().len(), 3);
    drop(rows);
    let error = writer.write(&Changes::inserts(numbers(0..3))).await.unwrap_err();
    assert_eq!(error.id(), Some("BL-RESULT-CLOSED"));
}
