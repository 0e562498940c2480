//! The table of weighted rows against a map: random additions, first rows, scans that go on, checkpoints and restarts.

use std::collections::BTreeMap;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::{Field, Int64Type, Schema};
use proptest::prelude::*;

use super::super::restarts::Restarts;
use super::*;

/// `k` key, `v` value, `weight`.
fn fresh() -> BagTable {
    let fields = vec![
        Field::new("k", DataType::Utf8, false),
        Field::new("v", DataType::Utf8, true),
        Field::new("weight", DataType::Int64, false),
    ];
    BagTable::new("bag", Arc::new(Schema::new(fields)), 1, &[SortOptions::default()]).unwrap()
}

/// NULL before all values, as the default order has it.
type Row = (String, Option<String>);
type Model = BTreeMap<Row, i64>;

fn row((key, value): (u8, Option<u8>)) -> Row {
    let texts = ["", "a", "a\0", "12345678", "123456789", &"y".repeat(70)];
    (["a", "b", &"k".repeat(40)][usize::from(key) % 3].into(), value.map(|value| texts[usize::from(value) % 6].into()))
}

fn columns<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Vec<ArrayRef> {
    vec![
        Arc::new(StringArray::from_iter_values(rows.clone().map(|row| &row.0))),
        Arc::new(rows.map(|row| row.1.as_deref()).collect::<StringArray>()),
    ]
}

fn batch(rows: &[(Row, i64)]) -> RecordBatch {
    let mut columns = columns(rows.iter().map(|(row, _)| row));
    columns.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, weight)| *weight))));
    RecordBatch::try_new(fresh().schema, columns).unwrap()
}

fn texts(column: &ArrayRef) -> Vec<Option<String>> {
    column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn key_column(keys: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(keys.to_vec()))
}

/// Adds to weights, as an operator does within a call.
fn add(table: &mut BagTable, rows: &RecordBatch) {
    let mut slots = Vec::new();
    let (columns, weights) = rows.columns().split_at(2);
    table.assign(&columns[..1], rows.num_rows(), &mut slots).unwrap();
    table.add(&slots, &columns[1..], integers(&weights[0]).unwrap()).unwrap();
    table.release(&slots);
}

fn first_of(table: &mut BagTable, key: &str, from: ScanDirection) -> Option<String> {
    let mut slots = Vec::new();
    table.assign(&[key_column(&[key])], 1, &mut slots).unwrap();
    let first = texts(&table.first_of_each(&slots, from).unwrap()[0]).remove(0);
    table.release(&slots);
    first
}

/// The rows of a key, so many at a time, from one end.
fn of_key(table: &mut BagTable, key: &str, direction: ScanDirection, rows: usize) -> Vec<(Row, i64)> {
    let (mut scan, mut found) = (BagScan::new(vec![key_column(&[key])], 1, direction), Vec::new());
    while !scan.is_done() {
        let Scanned { rows, .. } = table.scan(&mut scan, ScanBudget { rows, bytes: usize::MAX }).unwrap();
        let weights = rows.column(2).as_primitive::<Int64Type>().values().to_vec();
        let keys = texts(rows.column(0)).into_iter().flatten();
        found.extend(keys.zip(texts(rows.column(1))).zip(weights));
    }
    found
}

#[derive(Debug, Clone)]
enum Step {
    Add(Vec<(Row, i64)>),
    Scan { is_backward: bool, rows: usize },
    Barrier { is_complete: bool },
    Restart(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let added = ((any::<u8>(), any::<Option<u8>>()).prop_map(row), -2i64..3);
    let step = prop_oneof![
        5 => prop::collection::vec(added, 0..16).prop_map(Step::Add),
        2 => (any::<bool>(), 1usize..4).prop_map(|(is_backward, rows)| Step::Scan { is_backward, rows }),
        2 => any::<bool>().prop_map(|is_complete| Step::Barrier { is_complete }),
        1 => (1usize..4).prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bag_adds_up_weights_and_its_checkpoints_are_copies(steps in steps()) {
        let keys = ["a", "b", &"k".repeat(40)];
        let mut tasks = Restarts::new(fresh);
        let (mut model, mut checkpoint) = (Model::new(), Model::new());
        for step in steps {
            let (mut direction, mut rows) = (ScanDirection::Forward, 3);
            match step {
                Step::Add(added) => {
                    tasks.route(&batch(&added), add);
                    added.into_iter().for_each(|(row, weight)| *model.entry(row).or_default() += weight);
                    model.retain(|_, weight| *weight != 0);
                }
                Step::Scan { is_backward: true, .. } => (direction, rows) = (ScanDirection::Backward, 2),
                Step::Scan { rows: budget, .. } => rows = budget,
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
            for (key, task) in keys.into_iter().zip(tasks.owners(&[key_column(&keys)])) {
                let mut wanted: Vec<_> = model.clone().into_iter().filter(|((of, _), _)| of == key).collect();
                if direction == ScanDirection::Backward {
                    wanted.reverse();
                }
                let table = &mut tasks.tables[task];
                prop_assert_eq!(&of_key(table, key, direction, rows), &wanted);
                let first = wanted.into_iter().find(|(_, weight)| *weight > 0).and_then(|((_, value), _)| value);
                prop_assert_eq!(first_of(table, key, direction), first);
            }
        }
    }
}

#[test]
fn a_row_that_is_taken_back_before_it_comes_leaves_nothing() {
    let mut tasks = Restarts::new(fresh);
    let value = |weight| batch(&[(row((0, Some(1))), weight)]);
    tasks.route(&value(-1), add);
    tasks.barrier(true);
    tasks.restart(2);
    assert_eq!(tasks.tables.iter().map(|table| table.rows).sum::<usize>(), 1, "the debt is remembered");
    tasks.route(&value(1), add);
    tasks.barrier(true);
    assert!(tasks.tables.iter().all(|table| (table.rows, table.heap_bytes, table.keys.len()) == (0, 0, 0)));
    tasks.restart(1);
    assert_eq!(tasks.tables[0].rows, 0);
}

/// Of a key with so many rows that they are a tree, and back to none.
#[test]
fn a_hot_key_is_scanned_and_saved_by_what_changed() {
    let mut tasks = Restarts::new(fresh);
    let rows = |numbers: std::ops::Range<u32>, weight| {
        batch(&numbers.map(|number| (("hot".to_owned(), Some(format!("{number:04}"))), weight)).collect::<Vec<_>>())
    };
    let content = |tasks: &mut Restarts<BagTable>| {
        let found = of_key(&mut tasks.tables[0], "hot", ScanDirection::Backward, 7);
        assert!(found.is_sorted_by(|one, other| one.0 > other.0));
        found.len()
    };
    tasks.route(&rows(0..2000, 1), add);
    tasks.barrier(true);
    let saved = tasks.rows_in_files();
    tasks.route(&rows(500..510, 1), add);
    tasks.route(&rows(0..20, -1), add);
    for _ in 0..200 {
        tasks.route(&rows(3000..3040, 1), add);
        tasks.route(&rows(3000..3040, -1), add);
    }
    assert_eq!(content(&mut tasks), 1980);
    let Bag::Many(hot) = &tasks.tables[0].bags[0] else { panic!("2000 rows are many") };
    assert!(hot.changed.len() < 6000, "{}", hot.changed.len());
    tasks.barrier(false);
    tasks.route(&rows(1000..1001, 1), add);
    tasks.barrier(true);
    assert_eq!(tasks.rows_in_files(), saved + 10 + 20 + 1, "what changed, and what has gone");
    tasks.restart(1);
    assert_eq!(content(&mut tasks), 1980);
    tasks.route(&rows(20..2000, -1), add);
    tasks.route(&rows(500..510, -1), add);
    tasks.route(&rows(1000..1001, -1), add);
    assert_eq!((content(&mut tasks), first_of(&mut tasks.tables[0], "hot", ScanDirection::Forward)), (0, None));
    tasks.barrier(true);
    assert_eq!((tasks.tables[0].rows, tasks.tables[0].keys.len()), (0, 0));
}

/// Where no barrier comes, for instance without checkpoints, keys that have gone take no place.
#[test]
fn keys_that_come_and_go_between_two_barriers_leave_nothing() {
    let mut table = fresh();
    for number in 0..2000 {
        let of_key = |weight| batch(&[((format!("key {number}"), Some("v".repeat(100))), weight)]);
        add(&mut table, &of_key(1));
        add(&mut table, &of_key(-1));
    }
    assert!((table.keys.len(), table.rows, table.heap_bytes) == (0, 0, 0) && table.bags.len() < 3, "{table:?}");
}

#[test]
fn without_key_columns_there_is_one_bag() {
    let fields = vec![Field::new("v", DataType::Int64, true), Field::new("weight", DataType::Int64, false)];
    let descending = SortOptions { descending: true, nulls_first: false };
    let schema = Arc::new(Schema::new(fields));
    let mut table = BagTable::new("bag", Arc::clone(&schema), 0, &[descending]).unwrap();
    let mut slots = Vec::new();
    table.assign(&[], 4, &mut slots).unwrap();
    let first = |table: &BagTable, from| {
        table.first_of_each(&[0], from).unwrap()[0].as_primitive::<Int64Type>().iter().collect::<Vec<_>>()
    };
    assert_eq!(first(&table, ScanDirection::Forward), [None]);
    table.add(&slots, &[Arc::new(Int64Array::from(vec![5, 9, 7, 9]))], &[1, 1, 1, -1]).unwrap();
    assert_eq!((table.rows, first(&table, ScanDirection::Forward)), (2, vec![Some(7)]));
    assert_eq!(first(&table, ScanDirection::Backward), [Some(5)]);
    assert!(BagTable::new("bag", Arc::clone(&schema), 1, &[descending]).is_err(), "nothing behind the key");
    assert!(BagTable::new("bag", schema, 0, &[descending; 2]).is_err(), "no weight");
}
