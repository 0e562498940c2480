//! An aggregation over HOP, CUMULATE or SESSION whose conditions, keys or arguments are computed of the bounds of the window:
//! `WHERE window_end > …`, `MAX(window_start)`. Panes cannot be shared then: each row gets the bounds of each of its windows
//! first, and each window is a group that the watermark closes.
//!
//! What WHERE demands of the bounds is asked of open windows alone: a row that is late for all of its windows is late.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Aggregate, Expr};
use datafusion::prelude::lit;

use super::aggregate::{
    Columns, Reads, assign_windows, expanded_keys, outputs_of, placed_calls, placed_keys, rearrange, spread,
};
use super::over_window::{OverWindow, reads_bounds};
use super::updating_windows::{start_of, time_of};
use super::{Flow, Lowering, Named, bug, calc, substitute_by};
use crate::error::Result;
use crate::expressions::split;
use crate::operators::{WINDOW_END_COLUMN, WindowKind, WindowSpreadSpec};
use crate::plan::expand::ExpandNode;
use crate::plan::nodes::{WINDOW_COLUMNS, WindowNode, Windows};
use crate::stream::WATERMARK_COLUMN;

impl Lowering<'_> {
    pub(super) fn bounded_aggregate(
        &mut self,
        aggregate: &Aggregate,
        over: &OverWindow<'_>,
        expand: Option<&ExpandNode>,
    ) -> Result<Flow> {
        let window = over.window;
        // A bound is named below an aggregation by window functions alone, which give no results but at the end.
        self.emission(window)?;
        let mut columns = Columns::default();
        let Reads { expanded, keys, outputs, calls } =
            self.reads(aggregate, over, expand, &mut columns, |expression| Ok(expression.clone()))?;
        let mut bound = |name: &str| columns.add(name, Expr::Column(Column::new_unqualified(name)));
        let [start, end] = [bound(WINDOW_COLUMNS[0]), bound(WINDOW_COLUMNS[1])];
        let mut flow = match &window.window {
            Windows::Fixed(kind) => self.rows_in_windows(window, *kind, columns.columns, &over.conditions)?,
            Windows::Session { gap_ms, keys } => {
                self.bare_sessions(window, *gap_ms, keys, Some(columns.columns), &over.conditions)?
            }
        };
        let places = flow.take_places();
        let calls = placed_calls(calls, &places);
        spread(&mut flow, &calls);
        let expanded = expanded.into_iter().map(|column| places[column]).collect();
        let expand = expand.map(|expand| (expanded, expand.sets.as_slice()));
        let mut keys = expanded_keys(&mut flow, expand, placed_keys(keys, &places));
        let groups = keys.len();
        if let Windows::Session { .. } = window.window {
            keys.push(places[start]);
        }
        keys.push(places[end]);
        let mut flow = self.groups_of_windows(flow, keys, calls, aggregate, window, None)?;
        rearrange(&mut flow, &outputs_of(&outputs, groups, aggregate), aggregate);
        Ok(flow)
    }

    /// Each row once for each open window that holds it. `columns` and `conditions` are over the window function's columns.
    fn rows_in_windows(
        &mut self,
        window: &WindowNode,
        kind: WindowKind,
        columns: Named,
        conditions: &[Expr],
    ) -> Result<Flow> {
        kind.check().map_err(|error| error.with_span(window.span))?;
        let column = |name: &str| Expr::Column(Column::new_unqualified(name));
        let mut parts = Vec::new();
        conditions.iter().for_each(|condition| split(condition, &mut parts));
        let (in_windows, on_rows): (Vec<Expr>, Vec<Expr>) = parts.into_iter().cloned().partition(reads_bounds);
        // Those of the late table first, under their own names.
        let mut before = Columns::default();
        for name in &window.late_columns {
            before.add(name, column(name));
        }
        let late_columns: Vec<usize> = (0..before.columns.len()).collect();
        let time = before.add(&window.time, column(&window.time));
        for expression in columns.iter().map(|(_, expression)| expression).chain(&in_windows) {
            let names = expression.column_refs().into_iter().map(|read| read.name.clone());
            let mut names: Vec<String> = names.filter(|name| !WINDOW_COLUMNS.contains(&name.as_str())).collect();
            names.sort_unstable();
            names.iter().for_each(|name| {
                before.add(name, column(name));
            });
        }
        let watermark = before.columns.len();
        // A source gives no row a time that its clock has called past.
        let met = if window.by_clock { lit(i64::MIN) } else { column(WATERMARK_COLUMN) };
        before.columns.push((WATERMARK_COLUMN.to_owned(), met));

        let mut flow = self.lower_below(window, !window.by_clock)?;
        calc(&mut flow, window.input.schema(), &on_rows, Some(before.columns))?;
        flow.settle();
        let (pane, open_from) = assign_windows(&mut flow, window, kind, (time, watermark), late_columns, 0);
        let spread = WindowSpreadSpec { input: Arc::clone(&flow.schema), pane, open_from, window: kind };
        flow.push(Arc::new(spread), Vec::new());

        // A column of the late table may be called as a bound is: nobody else reads it.
        let end = flow.schema.fields().len() - 1;
        let own = flow.schema.fields().iter().enumerate().map(|(index, field)| {
            let is_taken = index != end && WINDOW_COLUMNS.contains(&field.name().as_str());
            let name = if is_taken { format!("$late{index}") } else { field.name().clone() };
            Field::new(name, field.data_type().clone(), field.is_nullable())
        });
        let known = DFSchema::try_from(Schema::new(own.collect::<Vec<_>>())).map_err(bug)?;
        let end = column(WINDOW_END_COLUMN);
        let bounds =
            [start_of(window, kind, &end)?, (WINDOW_COLUMNS[1].to_owned(), end.clone()), time_of(window, &end)?];
        let in_window = |expression: &Expr| substitute_by(expression, &bounds);
        let conditions = in_windows.iter().map(in_window).collect::<Result<Vec<_>>>()?;
        let columns = columns.iter().map(|(name, column)| Ok((name.clone(), in_window(column)?)));
        let columns = columns.collect::<Result<Named>>()?;
        calc(&mut flow, &known, &conditions, Some(columns))?;
        Ok(flow)
    }
}
