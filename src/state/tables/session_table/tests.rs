//! The table of sessions against lists of them: rows in any order, watermarks, checkpoints, restarts.

use arrow::array::AsArray;
use arrow::datatypes::{Field, Int64Type, Schema};
use proptest::prelude::*;

use super::super::restarts::{Restarts, Sums};
use super::*;

const GAP: i64 = 5;

/// `k` key, [`SESSION_COLUMNS`], `sum`.
fn fresh() -> SessionTable<Sums> {
    let names = ["k"].into_iter().chain(SESSION_COLUMNS).chain(["sum"]);
    let fields = names.map(|name| Field::new(name, DataType::Int64, false)).collect::<Vec<_>>();
    SessionTable::new("sessions", Arc::new(Schema::new(fields)), 1, GAP, Sums::default()).unwrap()
}

/// Key, time, value of a row.
type Row = (i64, i64, i64);
/// Key, start, end, sum of a session.
type Kept = (i64, i64, i64, i64);

#[derive(Debug, Clone)]
enum Event {
    Rows(Vec<Row>),
    Close(i64),
    Barrier { is_complete: bool },
    Restart { tasks: usize },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let row = (0_i64..4, 0_i64..40, 1_i64..100);
    let event = prop_oneof![
        4 => prop::collection::vec(row, 1..12).prop_map(Event::Rows),
        1 => (0_i64..3).prop_map(Event::Close),
        2 => any::<bool>().prop_map(|is_complete| Event::Barrier { is_complete }),
        1 => (1_usize..4).prop_map(|tasks| Event::Restart { tasks }),
    ];
    prop::collection::vec(event, 1..40)
}

/// What an operator does with rows that met `met`.
fn enter(table: &mut SessionTable<Sums>, rows: &RecordBatch, met: i64) {
    let (mut keys, mut slots, mut values, mut unused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    table.assign(&rows.columns()[..1], rows.num_rows(), &mut keys).unwrap();
    let (times, sums) = (integers(rows.column(1)).unwrap(), integers(rows.column(2)).unwrap());
    for ((key, time), sum) in keys.iter().zip(times).zip(sums) {
        match table.enter(*key, *time, met) {
            Some(slot) => {
                slots.push(slot);
                values.push(*sum);
            }
            None => unused.push(*key),
        }
    }
    table.columns().merge(&slots, &[Arc::new(Int64Array::from(values))]).unwrap();
    table.forget(&unused);
    table.settle().unwrap();
}

fn close(table: &mut SessionTable<Sums>, met: i64) -> Vec<Kept> {
    let mut left = Vec::new();
    loop {
        let closed = table.closed(met, 2);
        if closed.is_empty() {
            return left;
        }
        let (keys, starts, ends) = table.gather(&closed).unwrap();
        let sums = table.columns().gather(&closed).unwrap();
        let (keys, sums) = (integers(&keys[0]).unwrap(), sums[0].as_primitive::<Int64Type>().values());
        left.extend((0..closed.len()).map(|at| (keys[at], starts[at], ends[at], sums[at])));
        table.remove(&closed).unwrap();
    }
}

fn enter_model(model: &mut Vec<Kept>, (key, time, value): Row, met: i64) {
    let touches = |kept: &mut Kept| kept.0 == key && kept.1 <= time + GAP && kept.2 >= time && kept.2 - 1 > met;
    let touched: Vec<Kept> = model.extract_if(.., touches).collect();
    if touched.is_empty() && time + GAP - 1 <= met {
        return;
    }
    let all = touched.into_iter();
    model.push(
        all.fold((key, time, time + GAP, value), |one, two| (key, one.1.min(two.1), one.2.max(two.2), one.3 + two.3)),
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sessions_are_those_of_a_list_and_its_checkpoints_are_copies(events in events()) {
        let mut tasks = Restarts::new(fresh);
        // What is kept, and the watermark; and what the last complete checkpoint knows of both.
        let (mut model, mut met) = (Vec::<Kept>::new(), 0);
        let mut saved = (model.clone(), met);
        for event in events {
            match event {
                Event::Rows(rows) => {
                    let column = |of: fn(&Row) -> i64| {
                        Arc::new(rows.iter().map(of).collect::<Int64Array>()) as ArrayRef
                    };
                    let rows_of = |row: &Row| (row.0, met + row.1 - 10, row.2);
                    let times = Arc::new(rows.iter().map(|row| rows_of(row).1).collect::<Int64Array>()) as ArrayRef;
                    let columns = [("k", column(|row| row.0)), ("t", times), ("v", column(|row| row.2))];
                    let batch = RecordBatch::try_from_iter(columns).unwrap();
                    tasks.route(&batch, |table, rows| enter(table, rows, met));
                    rows.iter().for_each(|row| enter_model(&mut model, rows_of(row), met));
                }
                Event::Close(by) => {
                    met += by * 7;
                    let mut left: Vec<Kept> = tasks.tables.iter_mut().flat_map(|table| close(table, met)).collect();
                    let mut wanted: Vec<Kept> = model.extract_if(.., |kept| kept.2 - 1 <= met).collect();
                    left.sort_unstable();
                    wanted.sort_unstable();
                    prop_assert_eq!(left, wanted);
                }
                Event::Barrier { is_complete } => {
                    tasks.barrier(is_complete);
                    if is_complete {
                        saved = (model.clone(), met);
                    }
                }
                Event::Restart { tasks: count } => {
                    tasks.restart(count);
                    (model, met) = saved.clone();
                }
            }
        }
        let mut left: Vec<Kept> = tasks.tables.iter_mut().flat_map(|table| close(table, i64::MAX)).collect();
        left.sort_unstable();
        model.sort_unstable();
        prop_assert_eq!(left, model);
        // A barrier has then recorded that all are gone, and needs their keys no longer.
        tasks.barrier(true);
        prop_assert!(tasks.tables.iter().all(|table| table.index.is_empty()));
    }
}

/// Without a barrier nothing of a key stays that has no session.
#[test]
fn what_has_left_leaves_no_trace() {
    let mut table = fresh();
    for turn in 0..1_000_i64 {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values((0..100).map(|key| turn * 100 + key)));
        let times: ArrayRef = Arc::new(Int64Array::from_value(turn * 10, 100));
        let rows = RecordBatch::try_from_iter([("k", keys), ("t", Arc::clone(&times)), ("v", times)]).unwrap();
        enter(&mut table, &rows, turn * 10 - 1);
        assert_eq!(close(&mut table, turn * 10 + GAP - 1).len(), 100);
    }
    assert!(table.index.is_empty() && table.changed.len() <= 100 && table.bytes() < 100_000, "{} bytes", table.bytes());
}
