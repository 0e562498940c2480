//! Filter and project by script. What conditions compute is the subject of the expressions' own tests.

use expect_test::expect;

use super::*;
use crate::expressions::Scalar;
use crate::operators::CalcSpec;
use crate::operators::testing::{Compare, check_operator};
use crate::stream::Counter;

fn calc(input: &SchemaRef, condition: Option<usize>, columns: &[usize]) -> CalcSpec {
    let fields: Vec<Field> = columns.iter().map(|index| input.field(*index).clone()).collect();
    CalcSpec {
        input: Arc::clone(input),
        condition: condition.map(|index| Scalar::column(input, index)),
        columns: columns.iter().map(|index| Scalar::column(input, *index)).collect(),
        output: Arc::new(Schema::new(fields)),
        reads_now: false,
    }
}

const SCRIPT: &str = "
    +I a, true, 1
    +I b, NULL, 2
    -U c, true, 3
    +U c, false, 4
    watermark 5
    +I NULL, false, 6
    watermark 7
    -D a, true, NULL
    end";

#[test]
fn a_condition_that_is_null_lets_nothing_through_and_kinds_stay_with_their_rows() {
    let input = schema("k STRING, keep BOOLEAN, v BIGINT");
    let counters = check_operator(
        &[&calc(&input, Some(1), &[2, 0])],
        &input,
        Compare::Rows,
        SCRIPT,
        expect![[r#"
            4 rows
              +I 1, a
              -U 3, c
            watermark 5
            1 row
            watermark 7
            1 row
              -D NULL, a
            end
        "#]],
    );
    assert_eq!(counters.get(Counter::NumRecordsFiltered), 3);
}

#[test]
fn without_a_condition_every_row_leaves_once() {
    let input = schema("k STRING, keep BOOLEAN, v BIGINT");
    let counters = check_operator(
        &[&calc(&input, None, &[0]), &calc(&schema("k STRING"), None, &[0, 0])],
        &input,
        Compare::Rows,
        SCRIPT,
        expect![[r#"
            4 rows
              +I a, a
              +I b, b
              -U c, c
              +U c, c
            watermark 5
            1 row
              +I NULL, NULL
            watermark 7
            1 row
              -D a, a
            end
        "#]],
    );
    assert_eq!(counters.get(Counter::NumRecordsFiltered), 0);
}
