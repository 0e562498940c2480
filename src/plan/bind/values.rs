//! VALUES: rows that are written in the query, and the one row that a SELECT without FROM reads.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, LogicalPlan, Values};
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::conversion::cast;
use super::expression::Binder;
use super::literal;
use super::relation::{BoundQuery, df_schema, project};
use super::scope::{Scope, ScopeColumn};
use super::typed::Typed;
use crate::error::{Error, Result};
use crate::expressions::{begun, common_type_of_rows, drawn_apart, is_random, type_name};
use crate::plan::random::{Draws, RandomNode};

/// The rows of a VALUES, each column of one type.
pub fn values(rows: &ast::Values) -> Result<BoundQuery> {
    let nothing = Scope::default();
    let mut bound: Vec<Vec<Typed>> = Vec::new();
    for row in &rows.rows {
        let row = row.iter().map(|value| Binder::new(&nothing).bind(value)).collect::<Result<Vec<_>>>()?;
        if bound.first().is_some_and(|first| first.len() != row.len()) {
            return Err(Error::query("the rows of VALUES have different numbers of columns"));
        }
        bound.push(row);
    }
    let width = bound.first().map_or(0, Vec::len);
    let mut columns = Vec::new();
    for index in 0..width {
        let mut data_type = DataType::Null;
        for row in &bound {
            data_type = common_type_of_rows(&data_type, &row[index].data_type).ok_or_else(|| {
                Error::query(format!(
                    "column {} of VALUES has values of types {} and {}",
                    index + 1,
                    type_name(&data_type),
                    type_name(&row[index].data_type)
                ))
            })?;
        }
        let nullable = bound.iter().any(|row| row[index].nullable);
        columns.push(ScopeColumn::new(format!("EXPR${index}"), data_type, nullable));
    }
    let values = bound
        .into_iter()
        .map(|row| {
            row.into_iter()
                .zip(&columns)
                .map(|(typed, column)| Ok(cast(typed, &column.data_type)?.expression))
                .collect()
        })
        .collect::<Result<Vec<Vec<Expr>>>>()?;
    if values.iter().flatten().any(is_random) { random(values, columns) } else { constants(values, columns) }
}

fn constants(values: Vec<Vec<Expr>>, columns: Vec<ScopeColumn>) -> Result<BoundQuery> {
    let scope = Scope { columns };
    let schema = Arc::new(df_schema(&scope)?);
    Ok(BoundQuery { plan: LogicalPlan::Values(Values { schema, values }), scope })
}

/// Rows with random values: numbers of the rows, what is drawn for each, and on top of it the expressions that its row
/// has. What a row draws first stands in one column for all of them, what it draws next in another.
fn random(rows: Vec<Vec<Expr>>, columns: Vec<ScopeColumn>) -> Result<BoundQuery> {
    let mut draws = Vec::new();
    let mut apart = Vec::with_capacity(rows.len());
    for row in rows {
        let row = row.into_iter().map(begun).collect::<Result<Vec<_>>>()?;
        let (expressions, own) = drawn_apart(row, |_| false)?;
        apart.push(expressions);
        if own.len() > draws.len() {
            draws = own;
        }
    }
    let number = |row: usize| literal::of(ScalarValue::Int64(i64::try_from(row).ok())).expression;
    let numbers = (0..apart.len()).map(|row| vec![number(row)]).collect();
    let numbers = constants(numbers, vec![ScopeColumn::new(ROW, DataType::Int64, false)])?;
    let input = BoundQuery { plan: RandomNode::over(numbers.plan, Draws { draws })?, scope: numbers.scope };
    let of_column = |(index, column): (usize, ScopeColumn)| {
        let mut branches: Vec<(Expr, Expr)> = Vec::new();
        for (row, values) in apart.iter().enumerate().rev() {
            if branches.last().is_none_or(|(_, next)| *next != values[index]) {
                branches.push((number(row), values[index].clone()));
            }
        }
        branches.reverse();
        let last = branches.pop().map(|(_, value)| value).ok_or_else(|| Error::bug("VALUES without a row"))?;
        let this = || Expr::Column(Column::new_unqualified(ROW));
        let branches = branches.into_iter().map(|(row, value)| (Box::new(this().lt_eq(row)), Box::new(value)));
        let branches: Vec<_> = branches.collect();
        let value =
            if branches.is_empty() { last } else { Expr::Case(Case::new(None, branches, Some(Box::new(last)))) };
        Ok((Typed::new(value, column.data_type.clone(), column.nullable), column))
    };
    let columns = columns.into_iter().enumerate().map(of_column).collect::<Result<Vec<_>>>()?;
    project(input, columns)
}

/// The hidden number of a row.
const ROW: &str = "$row";

/// What a SELECT without FROM reads.
pub fn one_row() -> Result<BoundQuery> {
    let values = vec![vec![literal::of(ScalarValue::Int32(Some(0))).expression]];
    constants(values, vec![ScopeColumn::new(ROW, DataType::Int32, false)])
}
