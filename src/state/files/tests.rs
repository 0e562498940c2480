//! State files there and back, as an outside reader sees them, against a naive model, and damaged.

use std::collections::BTreeMap;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::write::file_schema;
use super::*;
use crate::error::Result;
use crate::state::{Retired, SnapshotWriter, TableKind, TableSpec, TableState, key_groups, key_range};
use crate::storage::{FakeStore, Store};
use crate::stream::{Epoch, EventTime, FileState, Generation};
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use bytes::Bytes;
use expect_test::expect;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

const MAX_PARALLELISM: u32 = 128;
const WRITER: Writer = Writer::Task { task: 0, attempt: 0 };

fn job() -> &'static Path {
    Path::new("/state/job")
}

/// `origin utf8 not null, n int64 not null, price decimal(10, 2)`, keyed by `origin`.
fn groups() -> TableSpec {
    TableSpec {
        name: "groups".to_owned(),
        schema: Arc::new(Schema::new(vec![
            Field::new("origin", DataType::Utf8, false),
            Field::new("n", DataType::Int64, false),
            Field::new("price", DataType::Decimal128(10, 2), true),
        ])),
        key: vec![0],
        kind: TableKind::Keyed { unique: 1 },
    }
}

fn group_rows(rows: &[(&str, i64)]) -> RecordBatch {
    let prices = rows.iter().map(|(_, n)| (n % 2 == 0).then_some(i128::from(*n))).collect::<Decimal128Array>();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(origin, _)| Some(*origin)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|(_, n)| *n).collect::<Int64Array>()),
        Arc::new(prices.with_precision_and_scale(10, 2).unwrap()),
    ];
    RecordBatch::try_new(groups().schema, columns).unwrap()
}

fn group_keys(origins: &[&str]) -> RecordBatch {
    let origins = Arc::new(StringArray::from(origins.to_vec())) as ArrayRef;
    RecordBatch::try_new(Arc::new(groups().schema.project(&[0]).unwrap()), vec![origins]).unwrap()
}

/// `time timestamp(ms) not null, n int64`, appended, keyed by `n`.
fn panes() -> TableSpec {
    TableSpec {
        name: "panes".to_owned(),
        schema: Arc::new(Schema::new(vec![
            Field::new("time", DataType::Timestamp(TimeUnit::Millisecond, None), false),
            Field::new("n", DataType::Int64, true),
        ])),
        key: vec![1],
        kind: TableKind::Append,
    }
}

fn pane_rows(rows: &[(i64, Option<i64>)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(panes().schema, columns).unwrap()
}

/// A table that is written barrier by barrier.
struct Table {
    store: FakeStore,
    spec: TableSpec,
    state: TableState,
}

impl Table {
    fn new(spec: TableSpec) -> Self {
        let schema = schema_text(&spec.schema);
        let state = TableState {
            name: spec.name.clone(),
            schema,
            kind: spec.kind,
            key: spec.key.clone(),
            retired: Vec::new(),
            files: Vec::new(),
        };
        Self { store: FakeStore::new(), spec, state }
    }

    fn write(&mut self, snapshot: &SnapshotWriter) -> Option<FileState> {
        let epoch = Epoch(self.state.files.len() as u64 + 1);
        let name =
            FileName { epoch, generation: Generation(1), operator: "agg", table: &self.spec.name, writer: WRITER };
        let file = write_table(&self.store, job(), &name, &self.spec, snapshot, MAX_PARALLELISM).unwrap();
        self.state.files.extend(file.clone());
        let retired = snapshot.retired_before.map(|time| Retired { groups: (0, 127), before: time.0 });
        self.state.retired = Retired::combined(self.state.retired.iter().copied().chain(retired));
        file
    }

    fn put(&mut self, puts: &[RecordBatch], deletes: &[RecordBatch]) -> Option<FileState> {
        let mut snapshot = SnapshotWriter::default();
        puts.iter().cloned().for_each(|batch| snapshot.put(batch));
        deletes.iter().cloned().for_each(|batch| snapshot.delete(batch));
        self.write(&snapshot)
    }

    fn read(&self, range: Range<u16>) -> Result<Vec<RecordBatch>> {
        let progress = RestoreProgress::default();
        read_table(&self.store, job(), &self.state, &range, &self.spec, &progress)?.collect()
    }

    fn read_all(&self) -> Vec<RecordBatch> {
        self.read(0..MAX_PARALLELISM as u16).unwrap()
    }

    fn path(&self, file: usize) -> PathBuf {
        job().join(&self.state.files[file].path)
    }
}

fn origins(batches: &[RecordBatch]) -> Vec<(String, i64)> {
    let rows = batches.iter().flat_map(|batch| {
        let numbers = batch.column(1).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
        let origins = batch.column(0).as_string::<i32>().iter().map(|text| text.unwrap().to_owned());
        origins.zip(numbers).collect::<Vec<_>>()
    });
    rows.collect()
}

#[test]
fn an_outside_reader_sees_typed_columns() {
    let bytes =
        encode(&groups(), &[group_rows(&[("EWR", 1), ("JFK", 2)])], &[group_keys(&["LGA"])], 128).unwrap().bytes;
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
    let file = reader.metadata().file_metadata();
    let mut text = Vec::new();
    parquet::schema::printer::print_schema(&mut text, file.schema());
    for pair in file.key_value_metadata().unwrap().iter().filter(|pair| pair.key.starts_with("beadline")) {
        text.extend(format!("{} = {}\n", pair.key, pair.value.as_deref().unwrap_or("")).into_bytes());
    }
    let rows = reader.build().unwrap().next().unwrap().unwrap();
    text.extend(arrow::util::pretty::pretty_format_batches(&[rows]).unwrap().to_string().into_bytes());
    expect![[r#"
        message arrow_schema {
          REQUIRED INT32 key_group;
          REQUIRED BOOLEAN deleted;
          REQUIRED BYTE_ARRAY origin (STRING);
          OPTIONAL INT64 n;
          OPTIONAL INT64 price (DECIMAL(10,2));
        }
        beadline.format = 2
        beadline.hash = xxh3-64/1
        beadline.kind = {"keyed":{"unique":1}}
        beadline.table = groups
        +-----------+---------+--------+---+-------+
        | key_group | deleted | origin | n | price |
        +-----------+---------+--------+---+-------+
        | 54        | false   | JFK    | 2 | 0.02  |
        | 96        | true    | LGA    |   |       |
        | 116       | false   | EWR    | 1 |       |
        +-----------+---------+--------+---+-------+"#]]
    .assert_eq(&String::from_utf8(text).unwrap());
}

#[test]
fn later_rows_replace_earlier_ones_and_deletes_come_last() {
    let mut table = Table::new(groups());
    table.put(&[group_rows(&[("EWR", 1), ("JFK", 2), ("LGA", 3)])], &[]);
    table.put(&[group_rows(&[("JFK", 4), ("JFK", 5), ("BOS", 6)])], &[group_keys(&["LGA", "BOS"])]);
    table.put(&[group_rows(&[("BOS", 7)])], &[]);
    let rows = table.read_all();
    let expected = [("BOS", 7), ("JFK", 5), ("EWR", 1)].map(|(origin, n)| (origin.to_owned(), n));
    assert_eq!(origins(&rows), expected);
    assert!(rows.iter().all(|batch| batch.schema() == groups().schema), "not null where the table says so");
}

#[test]
fn appended_rows_add_up_and_retired_ones_are_gone() {
    let mut table = Table::new(panes());
    table.put(&[pane_rows(&[(1_000, Some(1)), (2_000, None)]), pane_rows(&[(1_000, Some(1))])], &[]);
    assert_eq!(table.read_all().iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    let mut snapshot = SnapshotWriter::default();
    snapshot.retire(EventTime(2_000));
    snapshot.put(pane_rows(&[(3_000, Some(2))]));
    table.write(&snapshot);
    assert_eq!(table.read_all(), [pane_rows(&[(2_000, None)]), pane_rows(&[(3_000, Some(2))])]);
}

#[test]
fn nothing_handed_over_is_no_file() {
    let mut table = Table::new(panes());
    assert_eq!(table.put(&[], &[]), None);
    assert!(table.store.files().is_empty() && table.read_all().is_empty());
}

#[test]
fn each_task_gets_the_rows_of_its_key_groups() {
    let mut table = Table::new(panes());
    let rows: Vec<_> = (0..1_000).map(|n| (n, Some(n % 97))).collect();
    table.put(&[pane_rows(&rows)], &[]);
    for parallelism in [1, 3, 128] {
        let mut total = 0;
        for task in 0..parallelism {
            let range = key_range(task, parallelism, MAX_PARALLELISM);
            for batch in table.read(range.clone()).unwrap() {
                let groups = key_groups(&[batch.column(1).clone()], MAX_PARALLELISM).unwrap();
                assert!(groups.iter().all(|group| range.contains(group)));
                total += batch.num_rows();
            }
        }
        assert_eq!(total, rows.len());
    }
}

#[test]
fn rows_of_no_key_belong_to_the_first_task() {
    let spec = TableSpec { key: vec![], kind: TableKind::Keyed { unique: 0 }, ..panes() };
    let mut table = Table::new(spec);
    table.put(&[pane_rows(&[(1, Some(1))])], &[]);
    table.put(&[pane_rows(&[(2, Some(2)), (3, Some(3))])], &[]);
    assert_eq!(table.read(key_range(0, 4, MAX_PARALLELISM)).unwrap(), [pane_rows(&[(3, Some(3))])]);
    assert!(table.read(key_range(1, 4, MAX_PARALLELISM)).unwrap().is_empty());
}

#[test]
fn the_stored_key_group_counts_whatever_the_number_of_groups_is_now() {
    let mut table = Table::new(panes());
    table.put(&[pane_rows(&[(1, Some(1))])], &[]);
    // 37 of 128, as the golden vectors say; with another number it would be computed otherwise.
    assert_eq!(table.read(37..38).unwrap().len(), 1);
    assert_eq!(table.read(0..37).unwrap().len() + table.read(38..128).unwrap().len(), 0);
}

#[test]
fn types_come_back_as_they_were() {
    let children = Fields::from(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]);
    let list = ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>([Some([Some(1), None]), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from(vec![1, 2]))),
        ("tiny", Arc::new(Int8Array::from(vec![Some(-1), None]))),
        ("real", Arc::new(Float32Array::from(vec![-0.0, f32::NAN]))),
        ("text", Arc::new(StringViewArray::from(vec![Some("Zürich"), None]))),
        ("bytes", Arc::new(BinaryArray::from_vec(vec![b"\0\xff", b""]))),
        ("zoned", Arc::new(TimestampMillisecondArray::from(vec![i64::MIN, i64::MAX]).with_timezone("UTC"))),
        ("seconds", Arc::new(TimestampSecondArray::from(vec![-1, 0]))),
        ("nanos", Arc::new(TimestampNanosecondArray::from(vec![-1, 0]))),
        ("time", Arc::new(Time32MillisecondArray::from(vec![0, 86_399_999]))),
        ("price", Arc::new(Decimal128Array::from(vec![-1, 1]).with_precision_and_scale(38, 18).unwrap())),
        ("list", Arc::new(list)),
        ("struct", new_null_array(&DataType::Struct(children), 2)),
        ("nothing", new_null_array(&DataType::Null, 2)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true))).unwrap();
    let spec = TableSpec { name: "all".to_owned(), schema: batch.schema(), key: vec![0, 3], kind: TableKind::Append };
    let mut table = Table::new(spec);
    table.put(std::slice::from_ref(&batch), &[]);
    assert_eq!(format!("{:?}", table.read_all()), format!("{:?}", [batch]));
}

#[test]
fn own_columns_may_be_called_as_ours() {
    let fields = ["deleted", "key_group", "deleted_"].map(|name| Field::new(name, DataType::Int64, true));
    let spec = TableSpec {
        name: "odd".to_owned(),
        schema: Arc::new(Schema::new(fields.to_vec())),
        key: vec![0],
        kind: TableKind::Keyed { unique: 1 },
    };
    let names: Vec<_> = file_schema(&spec).fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["key_group", "deleted", "deleted__", "key_group_", "deleted_"]);
    let columns = (0..3).map(|n| Arc::new(Int64Array::from(vec![n])) as ArrayRef).collect();
    let batch = RecordBatch::try_new(spec.schema.clone(), columns).unwrap();
    let mut table = Table::new(spec);
    table.put(std::slice::from_ref(&batch), &[]);
    assert_eq!(table.read_all(), [batch]);
}

#[test]
fn a_misused_table_is_a_bug() {
    use crate::error::Blame;
    let keys = group_keys(&["EWR"]);
    let cases = [
        encode(&TableSpec { kind: TableKind::Append, ..groups() }, &[], std::slice::from_ref(&keys), 128),
        encode(&TableSpec { key: vec![1], ..groups() }, &[], std::slice::from_ref(&keys), 128),
        encode(&groups(), std::slice::from_ref(&keys), &[], 128),
    ];
    assert!(cases.into_iter().all(|case| case.unwrap_err().blame() == Blame::Bug));
}

#[test]
fn another_schema_is_refused() {
    let mut table = Table::new(groups());
    table.put(&[group_rows(&[("EWR", 1)])], &[]);
    table.spec = panes();
    let error = table.read(0..1).unwrap_err();
    assert!(error.message().contains("table groups: column 1 was `origin utf8 not null`"), "{error}");
}

#[test]
fn names_are_safe_in_paths() {
    let name = FileName {
        epoch: Epoch(12),
        generation: Generation(3),
        operator: "../a b",
        table: "größe",
        writer: Writer::Task { task: 7, attempt: 1 },
    };
    assert_eq!(name.path(), "data/12-3/%2E%2E%2Fa%20b.gr%C3%B6%C3%9Fe.7.1.parquet");
    let merged = FileName { writer: Writer::Compaction { number: 4, part: 0 }, ..name };
    assert_eq!(merged.path(), "data/12-3/%2E%2E%2Fa%20b.gr%C3%B6%C3%9Fe.c4.0.parquet");
    for name in [name, merged] {
        assert!(is_file_name(name.path().rsplit_once('/').unwrap().1));
    }
    for other in ["a.b.0.parquet", "a.b.x.1.parquet", "a.b.0.1.csv", ".nfs0001", "notes.txt", "a.b.c.d.parquet"] {
        assert!(!is_file_name(other), "{other}");
    }
}

// ------------------------------------------------------------------------------------------------ damage

#[track_caller]
fn assert_corrupt(table: &Table, expected: &str) {
    let error = table.read(0..128).unwrap_err();
    assert_eq!(error.id(), Some("BL-STATE-CORRUPT"), "{error}");
    assert!(error.message().contains(expected), "{error}");
}

fn two_files() -> Table {
    let mut table = Table::new(groups());
    table.put(&[group_rows(&[("EWR", 1), ("JFK", 2)])], &[]);
    table.put(&[group_rows(&[("LGA", 3), ("BOS", 4)])], &[]);
    table
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let table = two_files();
    let path = table.path(0);
    let bytes = table.store.read_all(&path).unwrap();
    for index in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[index] ^= 1 << (index % 8);
        table.store.overwrite(&path, &flipped);
        assert_corrupt(&table, "expected SHA-256");
        table.store.overwrite(&path, &bytes[..index]);
        assert_corrupt(&table, &format!("expected {} bytes, found {index}", bytes.len()));
    }
    table.store.overwrite(&path, &[&bytes[..], b"x"].concat());
    assert_corrupt(&table, "/state/job/data/1-1/agg.groups.0.0.parquet: expected");
}

#[test]
fn missing_and_swapped_files_are_noticed() {
    let table = two_files();
    let first = table.store.read_all(&table.path(0)).unwrap();
    table.store.overwrite(&table.path(1), &first);
    assert_corrupt(&table, "data/2-1/agg.groups.0.0.parquet: expected");
    table.store.remove(&table.path(0)).unwrap();
    assert_corrupt(&table, "found no file");
}

#[test]
fn a_manifest_cannot_name_files_elsewhere() {
    for path in ["../other/file", "/etc/passwd", "data/../../x"] {
        let mut table = two_files();
        table.state.files[0].path = path.to_owned();
        assert_corrupt(&table, "lies outside");
    }
}

#[test]
fn a_file_that_is_not_the_tables_is_refused_though_its_digest_fits() {
    let mut table = two_files();
    let bytes = encode(&panes(), &[pane_rows(&[(1, None), (2, None)])], &[], 128).unwrap().bytes;
    table.store.overwrite(&table.path(0), &bytes);
    table.state.files[0].length = bytes.len() as u64;
    table.state.files[0].digest = digest(&bytes);
    assert_corrupt(&table, "expected 5 columns, found 3");
    table.state.files[0].rows = 3;
    assert_corrupt(&table, "expected 3 rows, found 2");
    table.store.overwrite(&table.path(0), b"no parquet");
    table.state.files[0].length = 10;
    table.state.files[0].digest = digest(b"no parquet");
    assert_corrupt(&table, "data/1-1/agg.groups.0.0.parquet");
}

// ------------------------------------------------------------------------------------------------ a naive twin

/// One barrier: rows to put, keys to delete.
type Step = (Vec<(u8, i64)>, Vec<u8>);

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_keyed_table_is_a_map(
        steps in prop::collection::vec(
            (prop::collection::vec((0u8..12, any::<i64>()), 0..12), prop::collection::vec(0u8..12, 0..4)), 0..6),
        parallelism in 1usize..5,
    ) {
        let steps: Vec<Step> = steps;
        let mut table = Table::new(groups());
        let mut model = BTreeMap::new();
        for (puts, deletes) in steps {
            let rows: Vec<_> = puts.iter().map(|(key, n)| (format!("key {key}"), *n)).collect();
            let rows: Vec<_> = rows.iter().map(|(key, n)| (key.as_str(), *n)).collect();
            let keys: Vec<_> = deletes.iter().map(|key| format!("key {key}")).collect();
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            let (first, second) = rows.split_at(rows.len() / 2);
            table.put(&[group_rows(first), group_rows(second)], &[group_keys(&keys)]);
            model.extend(rows.iter().map(|(key, n)| ((*key).to_owned(), *n)));
            model.retain(|key, _| !keys.contains(&key.as_str()));
        }
        let mut found = BTreeMap::new();
        for task in 0..parallelism {
            for (key, n) in origins(&table.read(key_range(task, parallelism, MAX_PARALLELISM)).unwrap()) {
                prop_assert!(found.insert(key, n).is_none(), "a key came twice");
            }
        }
        prop_assert_eq!(found, model);
    }
}
