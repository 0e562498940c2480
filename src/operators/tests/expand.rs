//! Grouping sets by script.

use expect_test::expect;

use super::*;
use crate::operators::ExpandSpec;
use crate::operators::testing::{Compare, check_operator};

#[test]
fn each_row_stands_once_for_each_set() {
    let input = schema("k STRING, v BIGINT");
    let expand = ExpandSpec {
        input: Arc::clone(&input),
        keys: vec![(0, "key".into())],
        sets: vec![vec![true], vec![false]],
        number: "set".into(),
    };
    let (local, global) = grouped(&expand.output(), &[2, 3], &["COUNT(*) n", "MAX(k) m"], true);
    let script = "
        +I a, 1
        +I b, 2
        watermark 1
        -D a, 1
        +I NULL, 3
        end";
    check_operator(
        &[&expand, &local, &global],
        &input,
        Compare::Changes,
        script,
        expect![[r#"
        2 rows
          +I a, 0, 1, a
          +I b, 0, 1, b
          +I NULL, 1, 2, b
        watermark 1
        2 rows
          -D a, 0, 1, a
          +I NULL, 0, 1, NULL
        end
    "#]],
    );
}
