//! UNNEST by script: the parts of a text, which a Calc below has made an array of.

use expect_test::expect;

use super::*;
use crate::expressions::{self, Scalar, Unnest};
use crate::operators::testing::{Compare, check_operator};
use crate::operators::{CalcSpec, UnnestSpec};

/// `k`, and the parts of `v` between semicolons.
fn parts(input: &SchemaRef) -> CalcSpec {
    let columns = vec![Scalar::column(input, 0), expressions::parts(input, "v")];
    let parts = Field::new("parts", columns[1].data_type().clone(), true);
    let output = Arc::new(Schema::new(vec![input.field(0).clone(), parts]));
    CalcSpec { input: Arc::clone(input), condition: None, columns, output, reads_now: false }
}

fn unnest(calc: &CalcSpec, is_outer: bool) -> UnnestSpec {
    let unnest = Unnest { is_outer, with_ordinality: true, condition: None };
    let columns = unnest.columns(calc.output.field(1).data_type()).unwrap();
    UnnestSpec {
        input: Arc::clone(&calc.output),
        collection: 1,
        text: "parts".into(),
        unnest,
        columns,
        before: Vec::new(),
        behind: vec![0],
    }
}

const SCRIPT: &str = "
    +I a, x;y;z
    -U b, p
    +U b, p;;q
    +I c, NULL
    watermark 5
    watermark 6
    +I d, ''
    -D a, x;y;z
    watermark 7
    end";

#[test]
fn each_element_is_a_row_of_the_kind_of_its_own() {
    let input = schema("k STRING, v STRING");
    let calc = parts(&input);
    check_operator(
        &[&calc, &unnest(&calc, false)],
        &input,
        Compare::Rows,
        SCRIPT,
        expect![[r#"
        4 rows
          +I x, 1, a
          +I y, 2, a
          +I z, 3, a
          -U p, 1, b
          +U p, 1, b
          +U , 2, b
          +U q, 3, b
        watermark 5
        watermark 6
        2 rows
          -D x, 1, a
          -D y, 2, a
          -D z, 3, a
        watermark 7
        end
    "#]],
    );
}

#[test]
fn an_outer_one_keeps_rows_that_have_nothing() {
    let input = schema("k STRING, v STRING");
    let calc = parts(&input);
    check_operator(
        &[&calc, &unnest(&calc, true)],
        &input,
        Compare::Rows,
        SCRIPT,
        expect![[r#"
        4 rows
          +I x, 1, a
          +I y, 2, a
          +I z, 3, a
          -U p, 1, b
          +U p, 1, b
          +U , 2, b
          +U q, 3, b
          +I NULL, NULL, c
        watermark 5
        watermark 6
        2 rows
          +I NULL, NULL, d
          -D x, 1, a
          -D y, 2, a
          -D z, 3, a
        watermark 7
        end
    "#]],
    );
}
