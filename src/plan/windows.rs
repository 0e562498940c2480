//! A window function as plain projections: one per window that a row is in.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Union};

use super::bind::bug;
use super::nodes::{WINDOW_COLUMNS, WindowNode};
use crate::error::{Error, Result};
use crate::expressions::{Call, WINDOW_START};
use crate::operators::WindowKind;

/// Per window of a row: the names and expressions of the node's output columns over its input.
pub fn projections(node: &WindowNode) -> Result<Vec<Vec<(String, Expr)>>> {
    let (slide, size, offset) = match node.window {
        WindowKind::Tumble { size_ms, offset_ms } => (size_ms, size_ms, offset_ms),
        WindowKind::Hop { slide_ms, size_ms, offset_ms } => (slide_ms, size_ms, offset_ms),
    };
    if size % slide != 0 {
        return Err(Error::query("HOP without an aggregation needs a size that is a multiple of the slide, for now"));
    }
    let time = Expr::Column(Column::new_unqualified(&node.time));
    let bound = |before: i64, plus: i64| {
        let output = DataType::Timestamp(TimeUnit::Millisecond, None);
        Call::new(&WINDOW_START, output, false, vec![slide, offset, before, plus]).on(vec![time.clone()])
    };
    let kept: Vec<String> = node
        .input
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .filter(|name| !WINDOW_COLUMNS.contains(&name.as_str()))
        .collect();
    Ok((0..size / slide)
        .map(|before| {
            let own = kept.iter().map(|name| (name.clone(), Expr::Column(Column::new_unqualified(name))));
            let bounds = [bound(before, 0), bound(before, size), bound(before, size - 1)];
            own.chain(WINDOW_COLUMNS.iter().map(|name| (*name).to_owned()).zip(bounds)).collect()
        })
        .collect())
}

/// The same as a logical plan that DataFusion can run.
pub fn expanded(node: &WindowNode) -> Result<LogicalPlan> {
    let mut plans = Vec::new();
    for columns in projections(node)? {
        let columns = columns.into_iter().map(|(name, column)| match column {
            Expr::Column(_) => column,
            other => other.alias(name),
        });
        let projection = Projection::try_new(columns.collect(), Arc::clone(&node.input)).map_err(bug)?;
        plans.push(Arc::new(LogicalPlan::Projection(projection)));
    }
    match plans.len() {
        1 => Ok(Arc::unwrap_or_clone(plans.remove(0))),
        _ => {
            let schema = Arc::clone(plans[0].schema());
            Ok(LogicalPlan::Union(Union { inputs: plans, schema }))
        }
    }
}
