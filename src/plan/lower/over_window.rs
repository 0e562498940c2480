//! An aggregation over a window function: what its columns and conditions are over the rows that the function gets.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{
    Aggregate, Expr, Extension, Filter, LogicalPlan, Projection, UserDefinedLogicalNodeCore,
};

use super::{substitute, substitute_by};
use crate::error::{Error, Result};
use crate::operators::WindowKind;
use crate::plan::bind::bug;
use crate::plan::expand::ExpandNode;
use crate::plan::nodes::{WINDOW_COLUMNS, WindowNode, Windows};
use crate::plan::windows::projections;

/// What lies between an aggregation and the window function below it.
pub(super) struct OverWindow<'p> {
    pub(super) window: &'p WindowNode,
    /// The aggregation's input columns over the window function's output.
    pub(super) columns: Vec<(String, Expr)>,
    /// Filters on the way, over the window function's output.
    pub(super) conditions: Vec<Expr>,
}

impl OverWindow<'_> {
    /// An expression over the window function's output as one over its input, where it reads no bounds or those of TUMBLE:
    /// a row is in one of its windows, whose bounds follow from the row.
    pub(super) fn on_rows(&self, expression: &Expr) -> Result<Expr> {
        match self.window.window {
            Windows::Fixed(WindowKind::Tumble { .. }) => {
                let only = projections(self.window)?.pop().ok_or_else(|| Error::bug("a row is in a window"))?;
                substitute_by(expression, &only.columns)
            }
            Windows::Fixed(_) | Windows::Session { .. } => Ok(expression.clone()),
        }
    }

    /// Whether bounds must be known before rows are aggregated: conditions, keys or arguments are computed of them.
    pub(super) fn reads_bounds(&self, aggregate: &Aggregate, expand: Option<&ExpandNode>) -> bool {
        if matches!(self.window.window, Windows::Fixed(WindowKind::Tumble { .. })) {
            return false;
        }
        let of_expand = expand.into_iter().flat_map(|expand| &expand.keys);
        let of_expand: Vec<Expr> = of_expand.map(|key| Expr::Column(Column::new_unqualified(key))).collect();
        let keys = aggregate.group_expr.iter().chain(&of_expand).filter_map(|key| self.resolve(key));
        let arguments = aggregate.aggr_expr.iter().flat_map(Expr::column_refs);
        let mut arguments = arguments.filter_map(|column| self.resolve_column(column));
        self.conditions.iter().any(reads_bounds)
            || keys.into_iter().any(|key| bound_of(key).is_none() && reads_bounds(key))
            || arguments.any(reads_bounds)
    }

    /// Whether both bounds of the window are keys.
    pub(super) fn is_grouped_by_bounds(&self, aggregate: &Aggregate) -> bool {
        let is =
            |key: &Expr, bound: &str| matches!(self.resolve(key), Some(Expr::Column(column)) if column.name == bound);
        WINDOW_COLUMNS[..2].iter().all(|bound| aggregate.group_expr.iter().any(|key| is(key, bound)))
    }

    /// Whether groups are whole sessions: grouped by other columns than those by which they are partitioned, they are
    /// parts of one session or of several, which come at different times.
    pub(super) fn is_of_sessions_keys(&self, aggregate: &Aggregate) -> bool {
        let Windows::Session { keys, .. } = &self.window.window else { return true };
        let is_bound =
            |key: &&Expr| matches!(key, Expr::Column(column) if WINDOW_COLUMNS.contains(&column.name.as_str()));
        let grouped: Vec<&Expr> = aggregate.group_expr.iter().filter_map(|key| self.resolve(key)).collect();
        keys.iter().all(|key| grouped.contains(&key))
            && grouped.into_iter().filter(|key| !is_bound(key)).all(|key| keys.contains(key))
    }

    /// A column of the aggregation's input over the window function's output.
    pub(super) fn resolve(&self, column: &Expr) -> Option<&Expr> {
        let Expr::Column(column) = column else { return None };
        self.resolve_column(column)
    }

    fn resolve_column(&self, column: &Column) -> Option<&Expr> {
        self.columns.iter().find(|(name, _)| *name == column.name).map(|(_, expression)| expression)
    }
}

/// The input of an aggregation of whole sessions with what WHERE demands below the sessions, where Flink has it, too; none
/// if there is nothing to move.
pub fn conditions_below_sessions(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(over) = over_window(&aggregate.input)? else { return Ok(None) };
    let is_whole = over.is_grouped_by_bounds(aggregate) && over.is_of_sessions_keys(aggregate);
    let is_below = is_whole && !over.reads_bounds(aggregate, None);
    if matches!(over.window.window, Windows::Fixed(_)) || !is_below || over.conditions.is_empty() {
        return Ok(None);
    }
    let mut input = over.window.input.as_ref().clone();
    for condition in &over.conditions {
        input = LogicalPlan::Filter(Filter::try_new(condition.clone(), Arc::new(input)).map_err(bug)?);
    }
    let window = over.window.with_exprs_and_inputs(over.window.expressions(), vec![input]).map_err(bug)?;
    let window = LogicalPlan::Extension(Extension { node: Arc::new(window) });
    let columns = over.columns.into_iter().map(|(name, column)| column.alias(name)).collect();
    Ok(Some(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(window)).map_err(bug)?)))
}

/// The window function below projections and filters, if there is one.
pub(super) fn over_window(plan: &LogicalPlan) -> Result<Option<OverWindow<'_>>> {
    let mut columns: Vec<(String, Expr)> = plan
        .schema()
        .fields()
        .iter()
        .map(|field| (field.name().clone(), Expr::Column(Column::new_unqualified(field.name()))))
        .collect();
    let mut conditions: Vec<Expr> = Vec::new();
    let mut below = plan;
    loop {
        match below {
            LogicalPlan::Projection(projection) => {
                for (_, column) in &mut columns {
                    *column = substitute(column, projection)?;
                }
                for condition in &mut conditions {
                    *condition = substitute(condition, projection)?;
                }
                below = &projection.input;
            }
            LogicalPlan::Filter(filter) => {
                conditions.insert(0, filter.predicate.clone());
                below = &filter.input;
            }
            other => {
                let window = WindowNode::of(other);
                return Ok(window.map(|window| OverWindow { window, columns, conditions }));
            }
        }
    }
}

/// Which bound of its window an expression is, if it is one.
pub(super) fn bound_of(expression: &Expr) -> Option<usize> {
    let Expr::Column(column) = expression else { return None };
    WINDOW_COLUMNS.iter().position(|name| *name == column.name)
}

/// Whether an expression over a window function's output is computed of the bounds of the window.
pub(super) fn reads_bounds(expression: &Expr) -> bool {
    expression.column_refs().iter().any(|column| WINDOW_COLUMNS.contains(&column.name.as_str()))
}
