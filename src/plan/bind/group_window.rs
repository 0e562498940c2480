//! GROUP BY TUMBLE(…), HOP(…): the rows get their windows as from the function in FROM, under names that no query can
//! write, and the bounds are keys of the aggregation; `TUMBLE_START(…)` and its kin name them.

use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use datafusion::prelude::lit;
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::expression::Binder;
use super::query::{QueryBinder, WindowTime, is_by_clock, windows_of};
use super::relation::{BoundQuery, project};
use super::scope::{Scope, ScopeColumn, WindowColumn};
use super::typed::Typed;
use super::{at, not_built};
use crate::error::{Error, Result};
use crate::expressions::{instant_type, now};
use crate::sql::{GroupWindow, WindowFunction, WindowPart, group_window};

/// The window that a query is grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupedBy {
    function: WindowFunction,
    /// The time attribute.
    time: String,
    lengths_ms: Vec<i64>,
    by_clock: bool,
}

impl QueryBinder<'_> {
    /// Puts the rows into the windows that one of the keys of GROUP BY asks for.
    pub(super) fn group_window(
        &mut self,
        mut input: BoundQuery,
        keys: &[ast::Expr],
    ) -> Result<(BoundQuery, Option<GroupedBy>)> {
        let windows: Vec<&ast::Expr> = keys.iter().filter(|key| group_window(key).is_some()).collect();
        let call = match windows.as_slice() {
            [] => return Ok((input, None)),
            [only] => group_window(only).ok_or_else(|| Error::bug("a key is a window and is none"))??,
            [_, second, ..] => {
                return Err(at(Error::query("Only a single window group function may be used in GROUP BY"), *second)
                    .with_help("write one query a window, and put them together with UNION ALL"));
            }
        };
        let time = named(&call, &input.scope)?;
        let refusal = "Window aggregate can only be defined over a time attribute column, but";
        let by_clock = is_by_clock(time, &input.scope, refusal).map_err(|error| at(error, &call.time))?;
        let grouped = GroupedBy {
            function: call.function,
            time: time.name.clone(),
            lengths_ms: call.lengths_ms.clone(),
            by_clock,
        };
        // Windows would take the place of columns of these names.
        let own = |name: &str| match WindowColumn::ALL.iter().any(|bound| bound.name() == name) {
            true => format!("$own_{name}"),
            false => name.to_owned(),
        };
        let time = WindowTime { name: own(&time.name), by_clock, is_key: true };
        let visible: Vec<ScopeColumn> = input.scope.visible().cloned().collect();
        // Sessions are those of the other keys.
        let mut of_sessions = Vec::new();
        if call.function == WindowFunction::Session {
            for key in keys.iter().filter(|key| group_window(key).is_none() && !is_nothing(key)) {
                of_sessions.push(Binder::new(&input.scope).bind(key)?.expression);
            }
        }
        if visible.iter().any(|column| own(&column.name) != column.name) {
            if call.function == WindowFunction::Session {
                return Err(not_built("GROUP BY SESSION over columns with the names of window bounds")
                    .with_span(call.span)
                    .with_help(
                        "give them other names in a query in FROM: SELECT window_start AS s, window_time AS t, …",
                    ));
            }
            let renamed = visible.iter().map(|column| {
                let source = typed(column, &column.name);
                (source, ScopeColumn { name: own(&column.name), ..column.clone() })
            });
            input = project(input, renamed.collect())?;
        }
        let windows =
            windows_of(call.function, &call.lengths_ms, of_sessions).map_err(|error| error.with_span(call.span))?;
        let bound = self.put_into_windows(input, windows, &time, call.span)?;
        let back = visible.into_iter().map(|column| {
            let source = typed(&column, &own(&column.name));
            (source, ScopeColumn { is_rowtime: false, is_proctime: false, window: None, ..column })
        });
        let bounds = bound.scope.visible().filter(|column| column.window.is_some());
        let bounds = bounds.map(|column| {
            let name = hidden_name(&column.name);
            (typed(column, &column.name), ScopeColumn { name, ..column.clone() })
        });
        let columns = back.chain(bounds).collect();
        Ok((project(bound, columns)?, Some(grouped)))
    }
}

/// Whether a key is `()`, which stands for one group of everything.
fn is_nothing(key: &ast::Expr) -> bool {
    matches!(key, ast::Expr::Tuple(parts) if parts.is_empty())
}

/// The bounds of the windows that rows were put into, as keys.
pub(super) fn bounds(scope: &Scope) -> impl Iterator<Item = Typed> {
    let is_bound = |column: &&ScopeColumn| column.window.is_some() && !column.is_visible();
    scope.columns.iter().filter(is_bound).map(|column| typed(column, &column.name))
}

/// Behind the aggregation the bounds are values like any other, but for the rowtime.
pub(super) fn settle(scope: &mut Scope) {
    for column in scope.columns.iter_mut().filter(|column| !column.is_visible()) {
        // To Flink it may be NULL.
        column.nullable |= column.window == Some(WindowColumn::Time);
        column.window = None;
    }
}

impl Binder<'_> {
    /// `TUMBLE_START(ts, size)` and its kin.
    pub(super) fn window_part(&self, name: &str, part: WindowPart, call: &GroupWindow) -> Result<Typed> {
        let grouped = self.aggregation.as_ref().and_then(|aggregation| aggregation.window.as_ref());
        let is_meant = |grouped: &&GroupedBy| {
            let is_time = named(call, self.scope).is_ok_and(|column| column.name == grouped.time);
            grouped.function == call.function && grouped.lengths_ms == call.lengths_ms && is_time
        };
        let Some(grouped) = grouped.filter(is_meant) else {
            let function = call.function.name();
            return Err(Error::query(format!(
                "Call to auxiliary group function '{name}' must have matching call to group function '{function}' in \
                 GROUP BY clause"
            ))
            .with_span(call.span)
            .with_help(format!("with the same arguments: SELECT {name}(ts, …) FROM t GROUP BY {function}(ts, …)")));
        };
        let bound = match part {
            WindowPart::Start => WindowColumn::Start,
            WindowPart::End => WindowColumn::End,
            WindowPart::Rowtime if grouped.by_clock => {
                let function = call.function.name();
                return Err(Error::query(format!("{name}: windows over processing time have no rowtime"))
                    .with_span(call.span)
                    .with_help(format!("write {function}_PROCTIME, or {function}_END for the end of the window")));
            }
            WindowPart::Rowtime => WindowColumn::Time,
            WindowPart::Proctime if grouped.by_clock => return Ok(Typed::new(now(), instant_type(), false)),
            // As in Flink.
            WindowPart::Proctime => {
                let null = ScalarValue::TimestampMillisecond(None, None);
                let data_type = null.data_type();
                return Ok(Typed::new(lit(null), data_type, true));
            }
        };
        let name = hidden_name(bound.name());
        let column = self.scope.columns.iter().find(|column| column.name == name);
        column.map(|column| typed(column, &name)).ok_or_else(|| Error::bug("windows without bounds"))
    }
}

/// What a bound is called where a query groups by its window.
fn hidden_name(bound: &str) -> String {
    format!("${bound}")
}

fn typed(column: &ScopeColumn, name: &str) -> Typed {
    Typed::new(Expr::Column(Column::new_unqualified(name)), column.data_type.clone(), column.nullable)
}

/// The column that a window goes by.
fn named<'s>(call: &GroupWindow, scope: &'s Scope) -> Result<&'s ScopeColumn> {
    match &call.time {
        ast::Expr::Identifier(ident) => scope.resolve(std::slice::from_ref(ident)),
        ast::Expr::CompoundIdentifier(idents) => scope.resolve(idents),
        other => Err(at(Error::query(format!("{} goes by a column, not by {other}", call.function.name())), other)
            .with_help("make the time a column of the table, and give the table a WATERMARK for it")),
    }
}
