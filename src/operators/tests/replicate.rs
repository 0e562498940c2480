//! Copies of rows by script.

use expect_test::expect;

use super::*;
use crate::operators::testing::{Compare, check_operator};

#[test]
fn what_changes_in_number_comes_or_goes_as_often_as_it_differs() {
    let input = schema("k STRING, v BIGINT, n BIGINT");
    // The number of rows of one side less that of the other: below 1 there is none.
    let (local, groups) = grouped(&input, &[0], &["SUM(n) n"], true);
    let replicate = ReplicateSpec { input: groups.output(), times: 1 };
    let steps = "
        +I a, 1, 2
        +I b, 1, -1
        watermark 1
        +I a, 1, -1
        +I b, 1, 2
        watermark 2
        +I a, 1, 3
        -D b, 1, 2
        watermark 3
        -D a, 1, 2
        -D a, 1, -1
        -D a, 1, 3
        end";
    // Several copies are alike, so that they are told apart by nothing.
    let counted = schema("k STRING, copies BIGINT");
    let (again, totals) = grouped(&counted.project(&[0]).map(Arc::new).unwrap(), &[0], &["COUNT(*) copies"], true);
    check_operator(
        &[&local, &groups, &replicate, &again, &totals],
        &input,
        Compare::Changes,
        steps,
        expect![[r#"
        2 rows
          +I a, 2
        watermark 1
        2 rows
          -U a, 2
          +U a, 1
          +I b, 1
        watermark 2
        2 rows
          -U a, 1
          +U a, 4
          -D b, 1
        watermark 3
        3 rows
          -D a, 4
        end
    "#]],
    );
}
