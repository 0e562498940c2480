//! From a typed expression to a [`Scalar`] over the columns of a batch.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::DFSchema;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, when};
use datafusion::physical_expr::create_physical_expr;
use datafusion::prelude::lit;
use datafusion::scalar::ScalarValue;

use super::function::Call;
use super::{Scalar, text};
use crate::error::{Error, Result};

/// Compiles an expression whose columns are those of `input`, in its order.
pub fn compile(expression: &Expr, input: &DFSchema) -> Result<Scalar> {
    let bare = expression.clone().unalias_nested().data;
    if let Expr::Column(column) = &bare {
        let index = input.maybe_index_of_column(column);
        let index = index.ok_or_else(|| Error::bug(format!("column {column} is not in {input}")))?;
        return Ok(Scalar::column(input.as_arrow(), index));
    }
    let physical = create_physical_expr(&bare, input, &ExecutionProps::new(), &Default::default())
        .map_err(|error| Error::bug(error.strip_backtrace()).context(format!("compile {}", text(&bare))))?;
    Scalar::new(physical, text(&bare), input.as_arrow())
}

/// The value of an expression without columns; none if it cannot be computed.
pub fn evaluate_constant(expression: &Expr) -> Result<Option<ScalarValue>> {
    if let Expr::Literal(value, _) = expression {
        return Ok(Some(value.clone()));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let Ok(values) = compile(expression, &DFSchema::empty())?.evaluate(&one) else { return Ok(None) };
    ScalarValue::try_from_array(&values, 0).map(Some).map_err(|error| Error::bug(error.strip_backtrace()))
}

/// Compiles a condition made of `conjuncts` that all have to hold, in this order: one that may fail sees only the rows
/// that the earlier ones let through, so `b <> 0 AND a / b > 1` never divides by zero.
pub fn compile_condition(conjuncts: &[Expr], input: &DFSchema) -> Result<Option<Scalar>> {
    let Some(whole) = condition(conjuncts)? else { return Ok(None) };
    let mut parts: Vec<&Expr> = Vec::new();
    conjuncts.iter().for_each(|conjunct| split(conjunct, &mut parts));
    let names: Vec<_> = parts.iter().map(|part| text(part)).collect();
    let compiled = compile(&whole, input)?;
    Ok(Some(compiled.with_text(names.join(" AND "))))
}

/// The same as one expression.
pub fn condition(conjuncts: &[Expr]) -> Result<Option<Expr>> {
    let mut parts: Vec<&Expr> = Vec::new();
    conjuncts.iter().for_each(|conjunct| split(conjunct, &mut parts));
    let Some((first, rest)) = parts.split_first() else {
        return Ok(None);
    };
    let mut whole = (*first).clone();
    for part in rest {
        whole = if is_fallible(part) {
            when(whole, (*part).clone()).otherwise(lit(false)).map_err(|error| Error::bug(error.strip_backtrace()))?
        } else {
            whole.and((*part).clone())
        };
    }
    Ok(Some(whole))
}

/// Splits a condition at its ANDs.
pub fn split<'a>(condition: &'a Expr, into: &mut Vec<&'a Expr>) {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            split(left, into);
            split(right, into);
        }
        Expr::Alias(alias) => split(&alias.expr, into),
        other => into.push(other),
    }
}

/// Whether some values make the expression fail.
pub fn is_fallible(expression: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    expression
        .exists(|inner| {
            Ok(match inner {
                Expr::ScalarFunction(function) => Call::of(&function.func).is_none_or(|call| call.function.fallible),
                _ => false,
            })
        })
        .unwrap_or(true)
}
