//! The ordered table against a map: random changes, scans that are taken up again, checkpoints and restarts.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use proptest::prelude::*;

use super::super::restarts::Restarts;
use super::super::row_order::ScanDirection;
use super::*;

/// `k` key; `t` descending, NULLs last, and `s` order; `v` value.
fn fresh() -> OrderedTable {
    let fields = vec![
        Field::new("k", DataType::Utf8, false),
        Field::new("t", DataType::Int64, true),
        Field::new("s", DataType::Utf8, false),
        Field::new("v", DataType::Utf8, true),
    ];
    let descending = SortOptions { descending: true, nulls_first: false };
    let order = [SortOptions::default(), descending, SortOptions::default()];
    OrderedTable::new("rows", Arc::new(Schema::new(fields)), vec![0], &order).unwrap()
}

/// Unique columns in the order of the table.
type Unique = (String, (bool, Reverse<i64>), String);
type Model = BTreeMap<Unique, Option<String>>;

/// Texts around the places where their encodings change: empty, with zeros, of a block and a bit more, long.
fn text(choice: u8) -> String {
    ["", "a", "a\0", "a\0\0b", "12345678", "123456789", &"y".repeat(33), &"y".repeat(70)][usize::from(choice) % 8]
        .into()
}

fn unique((key, time, text_choice): (u8, Option<i8>, u8)) -> Unique {
    let time = time.map(|time| i64::from(time % 8));
    (text(key % 3 + 3), (time.is_none(), Reverse(time.unwrap_or(0))), text(text_choice))
}

fn time((is_null, Reverse(time)): (bool, Reverse<i64>)) -> Option<i64> {
    (!is_null).then_some(time)
}

fn unique_columns<'a>(rows: impl Iterator<Item = &'a Unique> + Clone) -> Vec<ArrayRef> {
    vec![
        Arc::new(StringArray::from_iter_values(rows.clone().map(|row| &row.0))),
        Arc::new(rows.clone().map(|row| time(row.1)).collect::<Int64Array>()),
        Arc::new(StringArray::from_iter_values(rows.map(|row| &row.2))),
    ]
}

fn batch(rows: &[(Unique, Option<String>)]) -> RecordBatch {
    let mut columns = unique_columns(rows.iter().map(|(unique, _)| unique));
    columns.push(Arc::new(rows.iter().map(|(_, value)| value.as_deref()).collect::<StringArray>()));
    RecordBatch::try_new(fresh().schema, columns).unwrap()
}

fn rows_of(batch: &RecordBatch) -> Vec<(Unique, Option<String>)> {
    let texts = |column: usize| batch.column(column).as_string::<i32>();
    let times = batch.column(1).as_primitive::<Int64Type>();
    let row = |row| {
        let time = times.is_valid(row).then(|| times.value(row));
        let unique = (
            texts(0).value(row).to_owned(),
            (time.is_none(), Reverse(time.unwrap_or(0))),
            texts(2).value(row).to_owned(),
        );
        (unique, texts(3).is_valid(row).then(|| texts(3).value(row).to_owned()))
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The rows of a key between two times, which is a bound of the first two columns of three.
fn between(table: &OrderedTable, from: &Unique, to: &Unique, includes: (bool, bool)) -> RowRange {
    let columns = |unique: &Unique| unique_columns(std::iter::once(unique))[..2].to_vec();
    let (from, to) = (columns(from), columns(to));
    let bound = |columns, is_included| match is_included {
        true => Bound::Included(columns),
        false => Bound::Excluded(columns),
    };
    table.ranges(1, bound(&from[..], includes.0), bound(&to[..], includes.1)).unwrap().remove(0)
}

fn is_between(row: &Unique, from: &Unique, to: &Unique, (from_included, to_included): (bool, bool)) -> bool {
    let (row, from, to) = ((&row.0, &row.1), (&from.0, &from.1), (&to.0, &to.1));
    (from < row || from_included && from == row) && (row < to || to_included && row == to)
}

fn scan_all(
    table: &OrderedTable,
    ranges: Vec<RowRange>,
    direction: ScanDirection,
    rows: usize,
) -> Vec<(u32, Unique, Option<String>)> {
    let (mut scan, mut found) = (Scan::new(ranges, direction), Vec::new());
    while !scan.is_done() {
        let Scanned { rows, ranges } = table.scan(&mut scan, ScanBudget { rows, bytes: usize::MAX }).unwrap();
        found.extend(ranges.into_iter().zip(rows_of(&rows)).map(|(range, (unique, value))| (range, unique, value)));
    }
    found
}

/// All rows of all tasks, which each scan finds in order.
fn everything(tables: &[OrderedTable]) -> Model {
    let mut all = Model::new();
    for table in tables {
        let ranges = table.ranges(1, Bound::Unbounded, Bound::Unbounded).unwrap();
        let rows = scan_all(table, ranges, ScanDirection::Forward, 3);
        assert!(rows.is_sorted_by(|one, other| one.1 < other.1), "in order");
        assert_eq!(rows.len(), table.len());
        for (_, unique, value) in rows {
            assert!(all.insert(unique, value).is_none(), "a row is there twice");
        }
    }
    all
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<(Unique, Option<String>)>),
    Delete(Vec<Unique>),
    DeleteRange(Unique, Unique, (bool, bool)),
    DeleteKey(String),
    /// All rows of a key between two times, so many at a time.
    Scan(Unique, Unique, (bool, bool), bool, usize),
    Barrier {
        is_complete: bool,
    },
    Restart(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = || (any::<u8>(), any::<Option<i8>>(), any::<u8>()).prop_map(unique);
    let value = any::<Option<u8>>().prop_map(|choice| choice.map(text));
    let same_key = || (row(), row()).prop_map(|(from, to)| (from.clone(), (from.0, to.1, to.2)));
    let step = prop_oneof![
        4 => prop::collection::vec((row(), value), 0..12).prop_map(Step::Put),
        2 => prop::collection::vec(row(), 0..12).prop_map(Step::Delete),
        1 => (same_key(), any::<(bool, bool)>()).prop_map(|((from, to), includes)| Step::DeleteRange(from, to, includes)),
        1 => row().prop_map(|row| Step::DeleteKey(row.0)),
        2 => (same_key(), any::<(bool, bool)>(), any::<bool>(), 1usize..4)
            .prop_map(|((from, to), includes, backward, rows)| Step::Scan(from, to, includes, backward, rows)),
        2 => any::<bool>().prop_map(|is_complete| Step::Barrier { is_complete }),
        1 => (1usize..4).prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_ordered_table_is_an_ordered_map_and_its_checkpoints_are_copies(steps in steps()) {
        let mut tasks = Restarts::new(fresh);
        let (mut model, mut checkpoint) = (Model::new(), Model::new());
        for step in steps {
            match step {
                Step::Put(rows) => {
                    tasks.route(&batch(&rows), |table, rows| table.put(rows.columns()).unwrap());
                    model.extend(rows);
                }
                Step::Delete(rows) => {
                    let rows: Vec<_> = rows.into_iter().map(|unique| (unique, None)).collect();
                    tasks.route(&batch(&rows), |table, rows| table.delete(&rows.columns()[..3]).unwrap());
                    rows.iter().for_each(|(unique, _)| drop(model.remove(unique)));
                }
                Step::DeleteRange(from, to, includes) => {
                    let range = |table: &OrderedTable| between(table, &from, &to, includes);
                    let deleted = tasks.tables.iter_mut().map(|table| table.delete_range(&range(table)));
                    let (deleted, before) = (deleted.sum::<usize>(), model.len());
                    model.retain(|row, _| !is_between(row, &from, &to, includes));
                    prop_assert_eq!(deleted, before - model.len());
                }
                Step::DeleteKey(key) => {
                    let column = [Arc::new(StringArray::from(vec![key.as_str()])) as ArrayRef];
                    for table in &mut tasks.tables {
                        let range = table.ranges(1, Bound::Included(&column), Bound::Included(&column)).unwrap();
                        table.delete_range(&range[0]);
                    }
                    model.retain(|row, _| row.0 != key);
                }
                Step::Scan(from, to, includes, is_backward, rows) => {
                    let direction = if is_backward { ScanDirection::Backward } else { ScanDirection::Forward };
                    let mut wanted: Vec<_> =
                        model.iter().filter(|(row, _)| is_between(row, &from, &to, includes)).collect();
                    if is_backward {
                        wanted.reverse();
                    }
                    let mut found = Vec::new();
                    for table in &tasks.tables {
                        found.extend(scan_all(table, vec![between(table, &from, &to, includes)], direction, rows));
                    }
                    prop_assert!(found.iter().map(|(_, row, value)| (row, value)).eq(wanted));
                }
                Step::Barrier { is_complete } => {
                    tasks.barrier(is_complete);
                    if is_complete {
                        checkpoint = model.clone();
                    }
                }
                Step::Restart(parallelism) => {
                    tasks.restart(parallelism);
                    model = checkpoint.clone();
                }
            }
            prop_assert_eq!(&everything(&tasks.tables), &model);
        }
    }
}

fn row(key: &str, time: i64, value: &str) -> (Unique, Option<String>) {
    ((key.to_owned(), (false, Reverse(time)), String::new()), Some(value.to_owned()))
}

#[test]
fn a_scan_finds_the_first_rows_of_many_ranges_and_goes_on_where_it_stopped_though_rows_come_and_go() {
    let mut table = fresh();
    let rows: Vec<_> = (0..5).flat_map(|time| ["a", "b", "c"].map(|key| row(key, time, "v"))).collect();
    table.put(batch(&rows).columns()).unwrap();
    let keys = [Arc::new(StringArray::from(vec!["c", "x", "a"])) as ArrayRef];
    let ranges = table.ranges(3, Bound::Included(&keys), Bound::Included(&keys)).unwrap();
    let mut scan = Scan::new(ranges, ScanDirection::Backward).at_most_each(3);
    let step = |table: &OrderedTable, scan: &mut Scan, rows| {
        let Scanned { rows, ranges } = table.scan(scan, ScanBudget { rows, bytes: usize::MAX }).unwrap();
        let found = rows_of(&rows).into_iter().zip(ranges);
        found.map(|((unique, _), range)| (range, unique.0, unique.1.1.0)).collect::<Vec<_>>()
    };
    let found = |range, key: &str, time| (range, key.to_owned(), time);
    assert_eq!(step(&table, &mut scan, 2), [found(0, "c", 0), found(0, "c", 1)]);
    // What the scan has passed comes, what it would have found next goes.
    table.put(batch(&[row("c", -1, "late")]).columns()).unwrap();
    table.delete(&unique_columns([row("c", 2, "").0].iter())).unwrap();
    assert_eq!(step(&table, &mut scan, 2), [found(0, "c", 3), found(2, "a", 0)]);
    assert_eq!(step(&table, &mut scan, 100), [found(2, "a", 1), found(2, "a", 2)]);
    assert!(scan.is_done() && step(&table, &mut scan, 100).is_empty());
}

#[test]
fn a_step_of_a_scan_is_bounded_in_bytes_and_finds_a_wide_row_all_the_same() {
    let mut table = fresh();
    let wide = "w".repeat(10_000);
    table.put(batch(&[row("a", 3, &wide), row("a", 2, &wide), row("a", 1, "")]).columns()).unwrap();
    let ranges = table.ranges(1, Bound::Unbounded, Bound::Unbounded).unwrap();
    let mut scan = Scan::new(ranges, ScanDirection::Forward);
    let mut step = |bytes| table.scan(&mut scan, ScanBudget { rows: 100, bytes }).unwrap().ranges.len();
    assert_eq!((step(1), step(12_000), step(1)), (1, 2, 0));
}

#[test]
fn what_comes_and_goes_between_two_barriers_is_not_written_and_what_it_took_is_given_back() {
    let mut tasks = Restarts::new(fresh);
    let long = "k".repeat(100);
    tasks.route(&batch(&[row(&long, -1, "stays")]), |table, rows| table.put(rows.columns()).unwrap());
    tasks.barrier(true);
    let (rows, bytes) = (tasks.rows_in_files(), tasks.tables[0].bytes());
    for time in 0..20_000 {
        let passing = batch(&[row(&long, time, "passes"), row(&long, -1, "changes"), row(&long, -1, "stays")]);
        tasks.tables[0].put(passing.columns()).unwrap();
        tasks.tables[0].delete(&passing.slice(0, 2).columns()[..3]).unwrap();
        tasks.tables[0].put(passing.slice(2, 1).columns()).unwrap();
        assert!(tasks.tables[0].bytes() < bytes + 4096 * (100 + 64), "{}", tasks.tables[0].bytes());
    }
    tasks.barrier(true);
    assert_eq!(tasks.rows_in_files(), rows + 1, "the row that was put again, and no deletion");
    assert_eq!(tasks.tables[0].bytes(), bytes);
    assert_eq!(everything(&tasks.tables).len(), 1);
}

#[test]
fn bytes_follow_the_rows() {
    let mut table = fresh();
    let rows: Vec<_> = (0..1000).map(|time| row(&"k".repeat(100), time, &"v".repeat(1000))).collect();
    table.put(batch(&rows).columns()).unwrap();
    let content = 1000 * (100 + 9 + 1000);
    assert!((content..content * 3 / 2).contains(&table.bytes()), "{} for {content}", table.bytes());
    let all = table.ranges(1, Bound::Unbounded, Bound::Unbounded).unwrap();
    assert_eq!(table.delete_range(&all[0]), 1000);
    table.save(&mut SnapshotWriter::default()).unwrap();
    assert_eq!(table.bytes(), 0);
}

#[test]
fn columns_that_are_not_unique_are_no_key() {
    let schema = fresh().schema;
    assert!(OrderedTable::new("rows", Arc::clone(&schema), vec![1], &[SortOptions::default()]).is_err());
    assert!(OrderedTable::new("rows", schema, Vec::new(), &[]).is_err());
}
