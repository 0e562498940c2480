//! Reading and publishing files on the fake store, crashes and foreign files included.

mod recovery;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use super::*;
use crate::connectors::{
    Committable, History, JobIdentity, Polled, Position, SinkContext, SinkWriter, SourceContext, Split, World,
};
use crate::options::Options;
use crate::storage::{Access, FakeStore, Fault, LocalFiles, Store, Stores};
use crate::stream::{Changes, Entropy, Epoch, Generation, InlineBlocking, ManualClock, ProcTime};

fn world(store: &FakeStore) -> World {
    World {
        stores: Stores::new(Arc::new(store.clone())),
        clock: Arc::new(ManualClock::default()),
        entropy: Entropy::seeded(0),
        blocking: Arc::new(InlineBlocking),
        input: Arc::default(),
        outputs: Default::default(),
    }
}

fn put(store: &FakeStore, path: &str, content: &str) {
    let mut file = store.create(Path::new(path), Access::Owner).unwrap();
    file.write(content.as_bytes()).unwrap();
    file.finish().unwrap();
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

fn table(pairs: &[(&str, &str)], settings: &[(&str, &str)]) -> TableContext {
    let options = |pairs: &[(&str, &str)]| Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    TableContext { name: "t".to_owned(), schema: schema(), options: options(pairs), settings: options(settings) }
}

async fn discover(store: &FakeStore, table: &TableContext) -> Result<(Arc<dyn crate::connectors::Source>, Vec<Split>)> {
    let source = FileSystem.source(table)?.open(&SourceContext::new(&[0], 3, &world(store)))?;
    let splits = source.discover(&BTreeSet::new()).await?;
    Ok((source, splits))
}

async fn paths(store: &FakeStore, path: &str) -> Result<Vec<String>> {
    let (_, splits) = discover(store, &table(&[("path", path), ("format", "csv")], &[])).await?;
    Ok(splits.into_iter().map(|split| split.id.0).collect())
}

/// Reads a split to its end: the numbers, and the position behind each chunk with how many came before it.
async fn read(
    source: &dyn crate::connectors::Source,
    split: &Split,
    from: &Position,
) -> Result<(Vec<i64>, Vec<(usize, Position)>)> {
    let mut reader = source.open(&split.id, from).await?;
    let mut decoder = source.decoder().unwrap();
    let (mut numbers, mut positions) = (Vec::new(), Vec::new());
    loop {
        match reader.next().await? {
            Polled::Chunk(chunk, position) => {
                let decoded = decoder.decode(&chunk.bytes, chunk.first_line)?;
                assert_eq!(decoded.bad, []);
                assert!(decoded.rows.num_rows() <= 3);
                numbers.extend(decoded.rows.column(0).as_primitive::<Int64Type>().values());
                positions.push((numbers.len(), position));
            }
            Polled::End => return Ok((numbers, positions)),
            other => panic!("{other:?}"),
        }
    }
}

// ------------------------------------------------------------------------------------------------- source

#[tokio::test]
async fn files_directories_and_patterns_name_splits_in_order() {
    let store = FakeStore::new();
    for name in ["in/b.csv", "in/a.csv", "in/sub/c.csv", "in/_x.csv", "in/.y", "in/_h/z", "in/empty", "other/a.csv"] {
        put(&store, name, if name == "in/empty" { "" } else { "1\n" });
    }
    assert_eq!(paths(&store, "in").await.unwrap(), ["in/a.csv", "in/b.csv", "in/empty", "in/sub/c.csv"]);
    assert_eq!(paths(&store, "in/_x.csv").await.unwrap(), ["in/_x.csv"]);
    assert_eq!(paths(&store, "in/*.csv").await.unwrap(), ["in/a.csv", "in/b.csv"]);
    assert_eq!(paths(&store, "in/**/*.csv").await.unwrap(), ["in/a.csv", "in/b.csv", "in/sub/c.csv"]);
    assert_eq!(paths(&store, "*/a.csv").await.unwrap(), ["in/a.csv", "other/a.csv"]);
    assert_eq!(paths(&store, "in/su?").await.unwrap(), ["in/sub/c.csv"]);
    assert!(paths(&store, "nowhere").await.unwrap_err().to_string().contains("no file or directory 'nowhere'"));
    assert!(paths(&store, "in/*.json").await.unwrap_err().to_string().contains("no file matches"));
    put(&store, "in/d.csv.GZ", "x");
    assert!(paths(&store, "in").await.unwrap_err().to_string().contains("compressed files are not built yet"));
}

#[tokio::test]
async fn every_position_resumes_with_the_rows_that_follow() {
    let store = FakeStore::new();
    let content: String = (0..20).map(|n| if n % 4 == 0 { format!("\"{n}\"\r\n") } else { format!("{n}\n") }).collect();
    put(&store, "in.csv", &format!("n\n{}", content.trim_end()));
    let table = table(&[("path", "in.csv"), ("format", "csv")], &[("beadline.csv.header", "true")]);
    let (source, splits) = discover(&store, &table).await.unwrap();
    let (numbers, positions) = read(source.as_ref(), &splits[0], &splits[0].start).await.unwrap();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    assert_eq!(positions.len(), 7);
    for (count, position) in positions {
        let text = serde_json::to_string(&position).unwrap();
        let stored: Position = serde_json::from_str(&text).unwrap();
        let (rest, _) = read(source.as_ref(), &splits[0], &stored).await.unwrap();
        assert_eq!(rest, (count as i64..20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn files_larger_than_a_block_are_read_whole_and_resumed_anywhere() {
    let store = FakeStore::new();
    let content: String = (0..400_000).map(|n| format!("{n}\n")).collect();
    assert!(content.len() > 2 << 20);
    put(&store, "in.csv", &content);
    let table = table(&[("path", "in.csv"), ("format", "csv")], &[]);
    let source = FileSystem.source(&table).unwrap().open(&SourceContext::new(&[0], 8192, &world(&store))).unwrap();
    let split = source.discover(&BTreeSet::new()).await.unwrap().remove(0);
    let mut reader = source.open(&split.id, &split.start).await.unwrap();
    let mut decoder = source.decoder().unwrap();
    let (mut expected, mut positions) = (0, Vec::new());
    while let Polled::Chunk(chunk, position) = reader.next().await.unwrap() {
        assert_eq!(chunk.first_line, expected as u64 + 1);
        let decoded = decoder.decode(&chunk.bytes, chunk.first_line).unwrap();
        for number in decoded.rows.column(0).as_primitive::<Int64Type>().values() {
            assert_eq!(*number, expected);
            expected += 1;
        }
        positions.push((expected, position));
    }
    assert_eq!(expected, 400_000);
    // A file with another time but the same bytes is the same file; the whole prefix is looked at.
    for (count, position) in positions.iter().step_by(7) {
        let mut moved = position.clone();
        moved.0["modified_ns"] = serde_json::json!(-5);
        for position in [position, &moved] {
            let mut reader = source.open(&split.id, position).await.unwrap();
            if *count < 400_000 {
                let Polled::Chunk(chunk, _) = reader.next().await.unwrap() else { panic!("rows are left") };
                assert!(chunk.bytes.starts_with(format!("{count}\n").as_bytes()));
            }
        }
    }
}

#[tokio::test]
async fn a_changed_file_is_refused() {
    let store = FakeStore::new();
    let table = table(&[("path", "in.csv"), ("format", "csv")], &[]);
    let long: String = (0..100_000).map(|n| format!("{n:09}\n")).collect();
    put(&store, "in.csv", &long);
    let source = FileSystem.source(&table).unwrap().open(&SourceContext::new(&[0], 8192, &world(&store))).unwrap();
    let split = source.discover(&BTreeSet::new()).await.unwrap().remove(0);
    let mut reader = source.open(&split.id, &split.start).await.unwrap();
    let mut position = split.start.clone();
    for _ in 0..10 {
        let Polled::Chunk(_, behind) = reader.next().await.unwrap() else { panic!("rows are left") };
        position = behind;
    }
    let refused = async |content: Option<&str>, from: &Position| {
        store.remove(Path::new("in.csv")).unwrap();
        if let Some(content) = content {
            put(&store, "in.csv", content);
        }
        let error = source.open(&split.id, from).await.err().expect("a changed file");
        assert_eq!(error.id(), Some("BL-SOURCE-CHANGED"));
        assert!(error.message().contains("'in.csv'"));
        error.message().to_owned()
    };
    assert!(refused(Some(&long[..500]), &position).await.contains("has 500"));
    assert!(refused(Some(&long.replacen('0', "1", 1)), &position).await.contains("its first bytes are others"));
    let behind_head = long.replace("000010000\n", "000010001\n");
    assert!(refused(Some(&behind_head), &position).await.contains("are others than those that were read"));
    assert!(refused(None, &position).await.contains("it is gone"));
    // What has not been read is read as it is now, and no further than it was: the rows are those of one file.
    store.remove(Path::new("in.csv")).unwrap_or(());
    put(&store, "in.csv", &format!("{}1\n", long.replace("000099999\n", "000099998\n")));
    let mut reader = source.open(&split.id, &position).await.unwrap();
    assert_eq!(rest(source.as_ref(), reader.as_mut()).await.unwrap().last(), Some(&99_998));
}

/// A file of `rows` rows that is larger than what a reader takes in at once, and a reader that has begun.
async fn half_read(
    rows: i64,
) -> (FakeStore, Arc<dyn crate::connectors::Source>, Box<dyn crate::connectors::SplitReader>) {
    let store = FakeStore::new();
    let content: String = (0..rows).map(|n| format!("{n:09}\n")).collect();
    put(&store, "in.csv", &content);
    let table = table(&[("path", "in.csv"), ("format", "csv")], &[]);
    let source = FileSystem.source(&table).unwrap().open(&SourceContext::new(&[0], 8192, &world(&store))).unwrap();
    let split = source.discover(&BTreeSet::new()).await.unwrap().remove(0);
    let mut reader = source.open(&split.id, &split.start).await.unwrap();
    assert!(matches!(reader.next().await.unwrap(), Polled::Chunk(..)));
    (store, source, reader)
}

#[tokio::test]
async fn rows_were_stored_when_their_file_was_written_as_the_job_found_it() {
    let store = FakeStore::new();
    put(&store, "in.csv", "1\n2\n");
    let (source, splits) = discover(&store, &table(&[("path", "in.csv"), ("format", "csv")], &[])).await.unwrap();
    let mut found = splits[0].start.clone();
    found.0["modified_ns"] = 1_704_067_200_123_456_789_i64.into();
    let mut reader = source.open(&splits[0].id, &found).await.unwrap();
    let Polled::Chunk(chunk, behind) = reader.next().await.unwrap() else { panic!("there are rows") };
    assert_eq!(chunk.stored, Some(ProcTime(1_704_067_200_123)));
    assert_eq!(behind.0["modified_ns"], found.0["modified_ns"]);
}

/// The numbers of all rows that are left.
async fn rest(
    source: &dyn crate::connectors::Source,
    reader: &mut dyn crate::connectors::SplitReader,
) -> Result<Vec<i64>> {
    let (mut numbers, mut decoder) = (Vec::new(), source.decoder().unwrap());
    while let Polled::Chunk(chunk, _) = reader.next().await? {
        let decoded = decoder.decode(&chunk.bytes, chunk.first_line)?;
        numbers.extend(decoded.rows.column(0).as_primitive::<Int64Type>().values());
    }
    Ok(numbers)
}

#[tokio::test]
async fn a_file_that_is_replaced_or_written_to_while_it_is_read_is_an_error() {
    const ROWS: i64 = 500_000;
    let changed = |number: i64| -> String {
        (0..ROWS).map(|n| if n == number { "xxxxxxxxx\n".to_owned() } else { format!("{n:09}\n") }).collect()
    };
    // The same length each time, so that no length tells.
    let replaced = |store: &FakeStore, content: &str| {
        store.remove(Path::new("in.csv")).unwrap();
        put(store, "in.csv", content);
    };
    type Change<'a> = &'a dyn Fn(&FakeStore);
    let cases: [(&str, Change<'_>); 5] = [
        ("another has come in its place", &|store| replaced(store, &changed(ROWS - 1))),
        ("another has come in its place, or none", &|store| store.remove(Path::new("in.csv")).unwrap()),
        ("it was written to", &|store| store.overwrite(Path::new("in.csv"), changed(5).as_bytes())),
        ("it was written to", &|store| {
            store.overwrite(Path::new("in.csv"), format!("{}1\n", changed(5)).as_bytes());
        }),
        ("it became shorter", &|store| store.overwrite(Path::new("in.csv"), &changed(-1).as_bytes()[..3 << 20])),
    ];
    for (expected, change) in cases {
        let (store, source, mut reader) = half_read(ROWS).await;
        change(&store);
        let error = rest(source.as_ref(), reader.as_mut()).await.unwrap_err();
        assert_eq!(error.id(), Some("BL-SOURCE-CHANGED"), "{error}");
        assert!(error.message().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_grows_is_read_as_far_as_it_went_when_the_job_began() {
    for more in ["7\n", "\n", ""] {
        let (store, source, mut reader) = half_read(500_000).await;
        let mut content = store.files()[Path::new("in.csv")].clone();
        content.extend_from_slice(more.as_bytes());
        store.overwrite(Path::new("in.csv"), &content);
        assert_eq!(rest(source.as_ref(), reader.as_mut()).await.unwrap().last(), Some(&499_999));
    }
    // The last row was half written: what was there of it is no row.
    let store = FakeStore::new();
    let table = table(&[("path", "in.csv"), ("format", "csv")], &[]);
    for (more, is_whole) in [("", true), ("\n4\n", true), ("4\n", false)] {
        store.remove(Path::new("in.csv")).unwrap();
        put(&store, "in.csv", "1\n2\n3");
        let (source, splits) = discover(&store, &table).await.unwrap();
        store.overwrite(Path::new("in.csv"), format!("1\n2\n3{more}").as_bytes());
        let numbers = read(source.as_ref(), &splits[0], &splits[0].start).await;
        assert_eq!(numbers.as_ref().ok().map(|(numbers, _)| numbers.as_slice()), is_whole.then_some(&[1, 2, 3][..]));
        assert!(is_whole || numbers.unwrap_err().message().contains("its last row was not complete"));
    }
}

#[tokio::test]
async fn a_row_that_is_too_long_is_an_error_that_says_where() {
    let store = FakeStore::new();
    put(&store, "in.csv", &format!("1\n2\n\"{}", "x".repeat(9 << 20)));
    let (source, splits) = discover(&store, &table(&[("path", "in.csv"), ("format", "csv")], &[])).await.unwrap();
    let error = read(source.as_ref(), &splits[0], &splits[0].start).await.unwrap_err();
    assert_eq!(error.id(), Some("BL-LIM-RECORD-BYTES"));
    assert!(error.message().starts_with("in.csv, line 3:"));
    put(&store, "just.csv", &format!("1\n{}\n3\n", " ".repeat((8 << 20) - 1)));
    let (source, splits) = discover(&store, &table(&[("path", "just.csv"), ("format", "csv")], &[])).await.unwrap();
    let mut reader = source.open(&splits[0].id, &splits[0].start).await.unwrap();
    while let Polled::Chunk(chunk, _) = reader.next().await.unwrap() {
        assert!(chunk.bytes.len() <= 9 << 20);
    }
}

#[tokio::test]
async fn empty_files_end_at_once() {
    let store = FakeStore::new();
    put(&store, "empty.csv", "");
    put(&store, "header.csv", "n\n");
    for (path, header) in [("empty.csv", "false"), ("empty.csv", "true"), ("header.csv", "true")] {
        let table = table(&[("path", path), ("format", "csv")], &[("beadline.csv.header", header)]);
        let (source, splits) = discover(&store, &table).await.unwrap();
        assert!(read(source.as_ref(), &splits[0], &splits[0].start).await.unwrap().0.is_empty());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_hides_its_length_is_refused() {
    let world = World { stores: Stores::new(Arc::new(LocalFiles)), ..world(&FakeStore::new()) };
    let table = table(&[("path", "/proc/cpuinfo"), ("format", "csv")], &[]);
    let source = FileSystem.source(&table).unwrap().open(&SourceContext::new(&[0], 3, &world)).unwrap();
    let error = source.discover(&BTreeSet::new()).await.unwrap_err().to_string();
    assert!(error.contains("'/proc/cpuinfo' is no regular file") && error.contains("`stdin`"), "{error}");
}

#[test]
fn paths_of_other_places_are_refused() {
    let path = |text: &str| super::location(&table(&[("path", text)], &[])).map_err(|error| error.to_string());
    assert_eq!(path("file:///a/b"), Ok(PathBuf::from("/a/b")));
    assert_eq!(path("file:/a/b"), Ok(PathBuf::from("/a/b")));
    assert_eq!(path("a/b"), Ok(PathBuf::from("a/b")));
    assert_eq!(path("s3://bucket/a"), Ok(PathBuf::from("s3://bucket/a")), "a matter of the stores there are");
    assert!(path("file://host/a").unwrap_err().contains("another computer"));
    let error = FileSystem.source(&table(&[("path", "x")], &[])).unwrap_err().to_string();
    assert!(error.contains("Missing required options are:\n\nformat"));
    let error = FileSystem.source(&table(&[("path", "x"), ("format", "xml")], &[])).unwrap_err().to_string();
    assert!(error.contains("available formats: csv, json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn real_files_are_read_ahead_by_other_threads_and_written_durably() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let world = World {
        stores: Stores::new(Arc::new(LocalFiles)),
        blocking: Arc::new(crate::stream::ThreadBlocking),
        ..world(&FakeStore::new())
    };
    let sink_table = table(&[("path", &path("out")), ("format", "json")], &[]);
    let sink = FileSystem.sink(&sink_table).unwrap();
    let mut writer = sink.writer(0, &context(1), &world).unwrap();
    let mut committer = sink.committer(&context(1), &world).unwrap();
    committer.recover(&History::default(), &[]).await.unwrap();
    for epoch in 1..4 {
        writer.write(&rows((epoch - 1) * 100_000..epoch * 100_000)).await.unwrap();
        let staged = writer.prepare(Epoch(epoch as u64)).await.unwrap().unwrap();
        committer.commit(staged.epoch, &[staged]).await.unwrap();
    }
    let source_table = table(&[("path", &path("out")), ("format", "json")], &[]);
    let source = FileSystem.source(&source_table).unwrap().open(&SourceContext::new(&[0], 8192, &world)).unwrap();
    let mut numbers = Vec::new();
    for split in source.discover(&BTreeSet::new()).await.unwrap() {
        let mut reader = source.open(&split.id, &split.start).await.unwrap();
        let mut decoder = source.decoder().unwrap();
        while let Polled::Chunk(chunk, _) = reader.next().await.unwrap() {
            let decoded = decoder.decode(&chunk.bytes, chunk.first_line).unwrap();
            numbers.extend_from_slice(decoded.rows.column(0).as_primitive::<Int64Type>().values());
        }
    }
    assert_eq!(numbers, (0..300_000).collect::<Vec<_>>());
    assert_eq!(sink.remove_published(LINEAGE, &world).unwrap(), 3);
    assert_eq!(std::fs::read_dir(path("out")).unwrap().count(), 0);
}

// --------------------------------------------------------------------------------------------------- sink

const LINEAGE: &str = "0123456789abcdef0123456789abcdef";

fn job(generation: u64) -> JobIdentity {
    JobIdentity { job: "j".to_owned(), lineage: LINEAGE.to_owned(), generation: Generation(generation) }
}

fn out(pairs: &[(&str, &str)]) -> TableContext {
    let mut options = vec![("path", "out"), ("format", "csv")];
    options.extend(pairs);
    table(&options, &[])
}

fn writer(table: &TableContext, store: &FakeStore, generation: u64, task: usize) -> Box<dyn SinkWriter> {
    FileSystem.sink(table).unwrap().writer(task, &context(generation), &world(store)).unwrap()
}

fn context(generation: u64) -> SinkContext {
    let (identity, sink) = (job(generation), "sink-1".to_owned());
    SinkContext { identity, sink, is_durable: true, parallelism: 2, schema: schema() }
}

fn committer(store: &FakeStore, generation: u64) -> Box<dyn crate::connectors::Committer> {
    FileSystem.sink(&out(&[])).unwrap().committer(&context(generation), &world(store)).unwrap()
}

/// A start that goes on from this checkpoint, by which so many rows were public, the last of them of its own epoch.
fn from(epoch: u64, public_rows: u64) -> History {
    let restored = Some(Epoch(epoch));
    History { restored, confirmed: restored.filter(|_| public_rows > 0), public_rows }
}

/// The digits of the sink in the names of its files.
fn sink_digits() -> String {
    super::names::digits_of("sink-1")
}

/// The hidden files, by name.
fn hidden(store: &FakeStore) -> Vec<String> {
    let names = store.files().into_keys().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

fn marker(epoch: u64) -> String {
    super::names::marker(LINEAGE, &sink_digits(), Epoch(epoch))
}

fn rows(numbers: std::ops::Range<i64>) -> Changes {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
    Changes::inserts(RecordBatch::try_new(schema(), vec![column]).unwrap())
}

/// The files that a reader of the directory would see.
fn visible(store: &FakeStore) -> BTreeMap<String, String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files = store.files().into_iter().map(|(path, bytes)| (name(&path), String::from_utf8(bytes).unwrap()));
    files.filter(|(name, _)| !name.starts_with('.')).collect()
}

async fn staged(store: &FakeStore, generation: u64, epoch: u64, numbers: std::ops::Range<i64>) -> Committable {
    let mut writer = writer(&out(&[]), store, generation, 0);
    writer.write(&rows(numbers)).await.unwrap();
    writer.prepare(Epoch(epoch)).await.unwrap().unwrap()
}

#[tokio::test]
async fn rows_are_public_with_the_commit_and_once() {
    let store = FakeStore::new();
    let mut writer = writer(&out(&[]), &store, 1, 1);
    assert_eq!(writer.prepare(Epoch(1)).await.unwrap(), None);
    writer.write(&rows(0..2)).await.unwrap();
    writer.write(&rows(2..3)).await.unwrap();
    let second = writer.prepare(Epoch(2)).await.unwrap().unwrap();
    writer.write(&rows(3..4)).await.unwrap();
    let third = writer.prepare(Epoch(3)).await.unwrap().unwrap();
    assert_eq!((second.rows, second.task, second.epoch), (3, 1, Epoch(2)));
    assert!(visible(&store).is_empty());
    let mut committer = committer(&store, 1);
    for committable in [&second, &third, &second] {
        committer.commit(committable.epoch, std::slice::from_ref(committable)).await.unwrap();
    }
    let sink = sink_digits();
    let expected = [("1-2", "0\n1\n2\n"), ("1-3", "3\n")]
        .map(|(numbers, text)| (format!("part-{LINEAGE}-{sink}-{numbers}"), text.to_owned()));
    assert_eq!(visible(&store), BTreeMap::from(expected));
    // A consumer takes a file away; committing again does not bring it back.
    store.remove(Path::new(&format!("out/part-{LINEAGE}-{sink}-1-2"))).unwrap();
    committer.commit(Epoch(2), &[second]).await.unwrap();
    assert_eq!(visible(&store).len(), 1);
    assert_eq!(hidden(&store), [marker(3)]);
}

#[tokio::test]
async fn large_and_old_files_are_rolled() {
    let store = FakeStore::new();
    let table = out(&[("sink.rolling-policy.file-size", "8 b"), ("csv.null-literal", "-")]);
    let mut by_size = writer(&table, &store, 1, 0);
    for number in 0..6 {
        by_size.write(&rows(number * 10 + 10..number * 10 + 12)).await.unwrap();
    }
    let committable = by_size.prepare(Epoch(7)).await.unwrap().unwrap();
    assert_eq!(committable.rows, 12);
    committer(&store, 1).commit(Epoch(7), &[committable]).await.unwrap();
    let names: Vec<String> = visible(&store).into_keys().collect();
    assert_eq!(names.len(), 3);
    assert!(names[0].ends_with("-0-7") && names[1].ends_with("-0-7-1") && names[2].ends_with("-0-7-2"));
    let all: String = visible(&store).into_values().collect();
    assert_eq!(all.lines().count(), 12);

    let clock = ManualClock::default();
    let world = World { clock: Arc::new(clock.clone()), ..world(&store) };
    let mut by_time = FileSystem.sink(&out(&[])).unwrap().writer(1, &context(1), &world).unwrap();
    for _ in 0..3 {
        by_time.write(&rows(0..1)).await.unwrap();
        clock.advance(Duration::from_secs(31 * 60));
    }
    let committable = by_time.prepare(Epoch(1)).await.unwrap().unwrap();
    assert_eq!(committable.payload["files"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn each_file_begins_with_the_header() {
    let store = FakeStore::new();
    let table = table(&[("path", "out"), ("format", "csv")], &[("beadline.csv.header", "true")]);
    let mut writer = writer(&table, &store, 1, 0);
    for epoch in 1..3 {
        writer.write(&rows(0..1)).await.unwrap();
        let committable = writer.prepare(Epoch(epoch)).await.unwrap().unwrap();
        committer(&store, 1).commit(Epoch(epoch), &[committable]).await.unwrap();
    }
    assert_eq!(visible(&store).into_values().collect::<Vec<_>>(), ["n\n0\n", "n\n0\n"]);
}

#[tokio::test]
async fn a_start_publishes_what_is_pending_and_clears_what_no_checkpoint_holds() {
    let store = FakeStore::new();
    put(&store, "out/part-of-somebody-else", "x");
    put(&store, "out/.pending-ffffffffffffffffffffffffffffffff-00000000-1-0-0", "another lineage");
    let covered = staged(&store, 1, 4, 0..2).await;
    let uncovered = staged(&store, 2, 5, 2..4).await;
    let later = staged(&store, 9, 6, 4..5).await;
    let mut unfinished = writer(&out(&[]), &store, 2, 1);
    unfinished.write(&rows(0..1)).await.unwrap();
    let mut third = committer(&store, 3);
    third.recover(&from(4, 0), std::slice::from_ref(&covered)).await.unwrap();
    third.recover(&from(4, 0), std::slice::from_ref(&covered)).await.unwrap();
    let names: Vec<String> = visible(&store).into_keys().collect();
    assert_eq!(names.len(), 2);
    assert!(names[0].ends_with("-0-4") && names[1] == "part-of-somebody-else");
    // What is left: the marker, another lineage's, and that of a later start, which this one has no right to.
    assert_eq!(hidden(&store).len(), 3);
    assert!(hidden(&store).contains(&marker(4)));
    drop((uncovered, later, unfinished));
}

#[tokio::test]
async fn a_name_taken_by_a_foreign_file_stops_the_job_and_costs_nothing() {
    let store = FakeStore::new();
    let committable = staged(&store, 1, 4, 0..2).await;
    let name = committable.payload["files"][0]["final"].as_str().unwrap().to_owned();
    put(&store, &format!("out/{name}"), "somebody else's\n");
    let staged = std::slice::from_ref(&committable);
    let error = committer(&store, 1).commit(Epoch(4), staged).await.unwrap_err();
    assert!(error.message().contains("the name is taken by a file with another content"));
    assert_eq!(store.files().len(), 2);
    // The very same content under both names is what a power loss in the middle of a rename may leave.
    store.remove(Path::new(&format!("out/{name}"))).unwrap();
    put(&store, &format!("out/{name}"), "0\n1\n");
    committer(&store, 1).commit(Epoch(4), staged).await.unwrap();
    assert_eq!((visible(&store).len(), hidden(&store)), (1, vec![marker(4)]));
}

#[tokio::test]
async fn a_crash_at_any_store_operation_loses_and_doubles_nothing() {
    for fault in [Fault::Crash, Fault::Fail, Fault::LostReply] {
        let mut operation = 0;
        loop {
            let store = FakeStore::new();
            let table = out(&[("sink.rolling-policy.file-size", "4 b")]);
            let mut first = writer(&table, &store, 1, 0);
            for number in 0..4 {
                first.write(&rows(number..number + 1)).await.unwrap();
            }
            let committable = first.prepare(Epoch(1)).await.unwrap().unwrap();
            let (before, mut committer_one) = (store.operations(), committer(&store, 1));
            store.plant(before + operation, fault);
            let staged = std::slice::from_ref(&committable);
            let undisturbed = committer_one.commit(Epoch(1), staged).await.is_ok();
            let done = undisturbed && store.operations() <= before + operation;
            if fault == Fault::Crash {
                store.crash();
            }
            store.restart();
            let mut committer_two = committer(&store, 2);
            committer_two.recover(&from(1, 0), staged).await.unwrap();
            // What was confirmed stays, even through a power loss right behind it.
            store.crash();
            store.restart();
            committer_two.recover(&from(1, 4), &[]).await.unwrap();
            let all: String = visible(&store).into_values().collect();
            assert_eq!(all, "0\n1\n2\n3\n", "{fault:?} at operation {operation}");
            assert_eq!(hidden(&store), [marker(1)]);
            if done {
                break;
            }
            operation += 1;
        }
        assert!(operation > 3);
    }
}

#[tokio::test]
async fn starting_over_removes_the_lineages_own_files_and_no_other() {
    let store = FakeStore::new();
    let committable = staged(&store, 1, 1, 0..2).await;
    committer(&store, 1).commit(Epoch(1), &[committable]).await.unwrap();
    let _pending = staged(&store, 1, 2, 2..3).await;
    for foreign in ["notes.txt", "part-0", &format!("part-{LINEAGE}"), &format!("part-{LINEAGE}-zzzzzzzz-0-1")] {
        put(&store, &format!("out/{foreign}"), "x");
    }
    put(&store, "out/part-ffffffffffffffffffffffffffffffff-00000000-0-1", "x");
    let sink = FileSystem.sink(&out(&[])).unwrap();
    assert_eq!(sink.remove_published(&LINEAGE[..16], &world(&store)).unwrap(), 1);
    assert_eq!(store.files().len(), 5);
    assert_eq!(sink.remove_published(LINEAGE, &world(&store)).unwrap(), 0);
}

#[tokio::test]
async fn what_the_sink_cannot_take_is_refused() {
    let store = FakeStore::new();
    let mut writer = writer(&out(&[]), &store, 1, 0);
    let update = Changes::new(rows(0..1).into_batch(), vec![crate::stream::ChangeKind::Delete]);
    assert!(writer.write(&update).await.is_err());
    put(&store, "out", "a file");
    let error = committer(&store, 1).recover(&History::default(), &[]).await.unwrap_err();
    assert!(error.to_string().contains("'path' = 'out' is a file."));
}
