//! One row for each primary key, by script.

use arrow::array::{Int64Array, RecordBatch, StringArray};
use expect_test::expect;

use super::*;
use crate::operators::testing::{Compare, check_operator};
use crate::operators::{BuildContext, Chain, Emitted};
use crate::stream::{Changes, EventTime, ProcTime};

/// Counts of keys by count: the rows of three keys that are counted, as on Flink.
const SCRIPT: &str = "
    +I 1, a
    +I 1, b
    +I 1, c
    watermark 1
    -U 1, a
    +U 2, a
    -U 1, b
    +U 2, b
    watermark 2
    -U 1, c
    +U 2, c
    -U 2, a
    +U 3, a
    -U 2, b
    +U 3, b
    watermark 3
    -D 3, b
    -D 2, c
    end";

fn materialize(on_conflict: OnConflict) -> UpsertMaterializeSpec {
    let input = schema("n BIGINT, k STRING");
    UpsertMaterializeSpec { input, key: vec![0], on_conflict, forgetting: Forgetting::Never, query: String::new() }
}

#[test]
fn the_last_row_of_a_key_stands_and_the_one_before_it_when_it_goes() {
    let spec = materialize(OnConflict::Deduplicate);
    check_operator(
        &[&spec],
        &spec.input,
        Compare::Changes,
        SCRIPT,
        expect![[r#"
        3 rows
          +I 1, c
        watermark 1
        4 rows
          +I 2, b
        watermark 2
        6 rows
          -D 1, c
          -U 2, b
          +U 2, c
          +I 3, b
        watermark 3
        2 rows
          -U 3, b
          +U 3, a
          -D 2, c
        end
    "#]],
    );
}

#[test]
fn the_first_row_of_a_key_stands_until_it_goes() {
    let spec = materialize(OnConflict::Nothing);
    check_operator(
        &[&spec],
        &spec.input,
        Compare::Changes,
        SCRIPT,
        expect![[r#"
        3 rows
          +I 1, a
        watermark 1
        4 rows
          -U 1, a
          +U 1, c
          +I 2, a
        watermark 2
        6 rows
          -D 1, c
          -U 2, a
          +U 2, c
          +I 3, a
        watermark 3
        2 rows
          -D 2, c
        end
    "#]],
    );
}

#[test]
fn rows_that_are_alike_go_one_by_one() {
    let spec = materialize(OnConflict::Deduplicate);
    check_operator(
        &[&spec],
        &spec.input,
        Compare::Changes,
        "
        +I 1, a
        +I 1, b
        +I 1, a
        watermark 1
        -D 1, a
        watermark 2
        -U 1, a
        +U 1, a
        -D 1, b
        watermark 3
        -D 1, a
        end",
        expect![[r#"
            3 rows
              +I 1, a
            watermark 1
            1 row
              -U 1, a
              +U 1, b
            watermark 2
            3 rows
              -U 1, b
              +U 1, a
            watermark 3
            1 row
              -D 1, a
            end
        "#]],
    );
}

#[test]
fn a_primary_key_that_nobody_touches_is_forgotten_with_its_rows() {
    let forgetting = Forgetting::Untouched { ttl_ms: 100 };
    let spec = UpsertMaterializeSpec { forgetting, ..materialize(OnConflict::Deduplicate) };
    // A row of 1 comes again before its time, one of 2 behind it; what had been there before is passed over then.
    check_operator(
        &[&spec],
        &spec.input,
        Compare::Changes,
        "
        +I 1, a
        +I 2, a
        tick 60
        +I 1, b
        tick 120
        -U 2, a
        +U 2, b
        -D 1, b
        tick 219
        -D 2, b
        -D 1, a
        tick 400
        +I 1, c
        tick 600
        -D 1, c
        end",
        expect![[r#"
            2 rows
              +I 1, a
              +I 2, a
            tick 60
            1 row
              -U 1, a
              +U 1, b
            tick 120
            3 rows
              +I 2, b
              -U 1, b
              +U 1, a
            tick 219
            2 rows
              -D 2, b
              -D 1, a
            tick 400
            1 row
              +I 1, c
            tick 600
            1 row
            end
        "#]],
    );
}

#[test]
fn several_rows_of_a_key_are_an_error_once_all_have_come() {
    let spec = materialize(OnConflict::Error);
    let mut chain = Chain::new(&[&spec], &BuildContext::only_task()).unwrap();
    let rows = |numbers: &[i64], keys: &[&str]| {
        let columns: Vec<arrow::array::ArrayRef> =
            vec![Arc::new(Int64Array::from(numbers.to_vec())), Arc::new(StringArray::from(keys.to_vec()))];
        RecordBatch::try_new(Arc::clone(&spec.input), columns).unwrap()
    };
    let mut emitted = Emitted::default();
    chain.rows(0, Changes::inserts(rows(&[1, 1], &["a", "b"])));
    assert_eq!(chain.work(ProcTime(0), &mut emitted).unwrap(), Progress::Done);
    let kinds = vec![crate::stream::ChangeKind::UpdateBefore, crate::stream::ChangeKind::UpdateAfter];
    chain.rows(0, Changes::new(rows(&[1, 2], &["b", "b"]), kinds));
    chain.watermark(EventTime(1));
    assert_eq!(chain.work(ProcTime(0), &mut emitted).unwrap(), Progress::Done);
    chain.rows(0, Changes::inserts(rows(&[2], &["c"])));
    chain.watermark(EventTime(2));
    let error = chain.work(ProcTime(0), &mut emitted).unwrap_err();
    assert!(error.to_string().contains("Conflicting key: [n=2]"), "{error}");
}
