//! UNION, INTERSECT and EXCEPT: rows of both queries, and for the last two how often each row stands on each side.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, Operator, binary_expr, when};
use datafusion::prelude::lit;
use sqlparser::ast::{SetOperator, SetQuantifier};

use super::aggregation::{Aggregation, Arguments};
use super::relation::{BoundQuery, aggregate, check_width, distinct, filter, project, union};
use super::scope::ScopeColumn;
use super::typed::Typed;
use super::{bug, not_built};
use crate::error::{Error, Result};
use crate::expressions::AggregateFunction;
use crate::plan::replicate::replicate_node;

/// The column that is true in rows of the left query.
const IS_LEFT: &str = "is left";
/// The column that says how often a row is there.
const TIMES: &str = "$times";

/// `left UNION [ALL] right` and its like. Columns are matched by position, brought to a common type, and have the names of
/// the left query.
pub fn set_operation(
    operator: SetOperator,
    quantifier: SetQuantifier,
    left: BoundQuery,
    right: BoundQuery,
) -> Result<BoundQuery> {
    match (operator, quantifier) {
        (SetOperator::Union, SetQuantifier::All) => union("UNION ALL", left, right),
        (SetOperator::Union, SetQuantifier::None | SetQuantifier::Distinct) => distinct(union("UNION", left, right)?),
        (SetOperator::Intersect, SetQuantifier::None | SetQuantifier::Distinct) => {
            compared("INTERSECT", false, left, right)
        }
        (SetOperator::Intersect, SetQuantifier::All) => compared("INTERSECT", true, left, right),
        (SetOperator::Except, SetQuantifier::None | SetQuantifier::Distinct) => compared("EXCEPT", false, left, right),
        (SetOperator::Except, SetQuantifier::All) => compared("EXCEPT", true, left, right),
        (operator, quantifier) => Err(not_built::for_flink(&format!("{operator} {quantifier}"))),
    }
}

/// The different rows of the left query that the right one has too (INTERSECT) or has not (EXCEPT); with ALL each as often as
/// it is on both sides, or as many more times on the left.
fn compared(operator: &str, is_all: bool, left: BoundQuery, right: BoundQuery) -> Result<BoundQuery> {
    check_width(operator, &left, &right)?;
    let both = union(operator, marked(left, true)?, marked(right, false)?)?;
    let mut aggregation = Aggregation::default();
    for column in both.scope.visible().filter(|column| column.name != IS_LEFT) {
        aggregation.add_key(of(column), &both.scope);
    }
    let wanted: Vec<ScopeColumn> = aggregation.keys().iter().map(|key| key.column.clone()).collect();
    let mut rows_of = |is_left: bool| {
        let side = Expr::Column(Column::new_unqualified(IS_LEFT));
        let side = if is_left { side } else { Expr::Not(Box::new(side)) };
        aggregation.call(
            AggregateFunction::Count,
            Arguments::default(),
            false,
            Some(Typed::new(side, DataType::Boolean, false)),
        )
    };
    let (of_left, of_right) = (rows_of(true)?, rows_of(false)?);
    let groups = aggregate(both, &aggregation)?;
    if is_all {
        return copies(operator, groups, wanted, of_left, of_right);
    }
    let right_has = if operator == "INTERSECT" { Operator::Gt } else { Operator::Eq };
    let is_there = |rows: Typed, operator| binary_expr(rows.expression, operator, lit(0_i64));
    let condition = is_there(of_left, Operator::Gt).and(is_there(of_right, right_has));
    let kept = filter(groups, Typed::new(condition, DataType::Boolean, false))?;
    let columns = wanted.into_iter().map(|column| (of(&column), column)).collect();
    project(kept, columns)
}

/// The rows of groups, each as often as the numbers of rows on both sides say.
fn copies(
    operator: &str,
    groups: BoundQuery,
    wanted: Vec<ScopeColumn>,
    of_left: Typed,
    of_right: Typed,
) -> Result<BoundQuery> {
    let (of_left, of_right) = (of_left.expression, of_right.expression);
    let times = match operator {
        "INTERSECT" => when(of_left.clone().lt(of_right.clone()), of_left).otherwise(of_right).map_err(bug)?,
        _ => binary_expr(of_left, Operator::Minus, of_right),
    };
    let mut columns: Vec<(Typed, ScopeColumn)> = wanted.iter().map(|column| (of(column), column.clone())).collect();
    let times = Typed::new(times, DataType::Int64, true);
    columns.push((times, ScopeColumn::new(TIMES, DataType::Int64, true)));
    let counted = project(groups, columns)?;
    let mut scope = counted.scope;
    scope.columns.retain(|column| column.name != TIMES);
    Ok(BoundQuery { plan: replicate_node(counted.plan, TIMES)?, scope })
}

/// A query with a column that says which side it is.
fn marked(bound: BoundQuery, is_left: bool) -> Result<BoundQuery> {
    let columns: Vec<ScopeColumn> = bound.scope.visible().cloned().collect();
    if columns.iter().any(|column| column.name == IS_LEFT) {
        return Err(Error::query(format!("a column of INTERSECT or EXCEPT cannot be called `{IS_LEFT}`")));
    }
    let mut marked: Vec<(Typed, ScopeColumn)> = columns.into_iter().map(|column| (of(&column), column)).collect();
    let side = Typed::new(lit(is_left), DataType::Boolean, false);
    marked.push((side, ScopeColumn::new(IS_LEFT, DataType::Boolean, false)));
    project(bound, marked)
}

fn of(column: &ScopeColumn) -> Typed {
    Typed::new(Expr::Column(Column::new_unqualified(&column.name)), column.data_type.clone(), column.nullable)
}
