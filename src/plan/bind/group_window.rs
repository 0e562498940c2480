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
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN};

/// The window that a query is grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupedBy {
    function: WindowFunction,
    /// The time attribute, or what is computed of it.
    time: Expr,
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
        let attribute = time_attribute(&call.time, &input.scope)?;
        let refusal = "Window aggregate can only be defined over a time attribute column, but";
        let by_clock = is_by_clock(attribute, &input.scope, refusal).map_err(|error| at(error, &call.time))?;
        let time = Binder::new(&input.scope).bind(&call.time)?;
        let grouped = GroupedBy {
            function: call.function,
            time: time.expression.clone(),
            lengths_ms: call.lengths_ms.clone(),
            by_clock,
        };
        // Windows would take the place of columns of these names.
        let own = |name: &str| match WindowColumn::ALL.iter().any(|bound| bound.name() == name) {
            true => format!("$own_{name}"),
            false => name.to_owned(),
        };
        let visible: Vec<ScopeColumn> = input.scope.visible().cloned().collect();
        let name = match &time.expression {
            Expr::Column(column) => own(&column.name),
            _ => {
                let computed = ScopeColumn::new(TIME_COLUMN, time.data_type.clone(), time.nullable);
                let columns = visible.iter().map(|column| (typed(column, &column.name), column.clone()));
                input = project(input, columns.chain([(time, computed)]).collect())?;
                TIME_COLUMN.to_owned()
            }
        };
        let computed: Vec<ScopeColumn> =
            input.scope.columns.iter().filter(|column| column.name == TIME_COLUMN).cloned().collect();
        let time = WindowTime { name, by_clock, is_key: true };
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
            let renamed = visible.iter().chain(&computed).map(|column| {
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

/// The results of windows that the clock closes, with the time at which they leave, if one of the expressions reads that.
pub(super) fn with_arrival<'e>(
    bound: BoundQuery,
    window: Option<&GroupedBy>,
    mut outputs: impl Iterator<Item = &'e Expr>,
) -> Result<BoundQuery> {
    let reads = |output: &Expr| output.column_refs().iter().any(|column| column.name == PROCTIME_COLUMN);
    if !window.is_some_and(|window| window.by_clock) || !outputs.any(reads) {
        return Ok(bound);
    }
    let own = bound.scope.columns.iter().filter(|column| column.name != WATERMARK_COLUMN);
    let own = own.map(|column| (typed(column, &column.name), column.clone()));
    let arrival = (Typed::new(now(), instant_type(), false), ScopeColumn::proctime());
    let columns = own.chain([arrival]).collect();
    project(bound, columns)
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
            let is_time = Binder::new(self.scope).bind(&call.time).is_ok_and(|time| time.expression == grouped.time);
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
            WindowPart::Proctime if grouped.by_clock => {
                return Ok(Typed::new(Expr::Column(Column::new_unqualified(PROCTIME_COLUMN)), instant_type(), false));
            }
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

/// The hidden column of a computed time.
const TIME_COLUMN: &str = "$time";

/// The time attribute that a window goes by. What is computed of one without losing that it is one counts as one, as in
/// Flink: a time moved by an interval or rounded, and a choice among such.
fn time_attribute<'s>(time: &ast::Expr, scope: &'s Scope) -> Result<&'s ScopeColumn> {
    let refused = |time: &ast::Expr| {
        Err(at(Error::query(format!("a window goes by a time attribute, which {time} is not")), time)
            .with_help("name the column of the table's WATERMARK clause, or one of PROCTIME()")
            .with_help("it may be moved by an interval or rounded: GROUP BY TUMBLE(ts + INTERVAL '1' SECOND, …), FLOOR(ts TO MINUTE)"))
    };
    match time {
        ast::Expr::Identifier(ident) => scope.resolve(std::slice::from_ref(ident)),
        ast::Expr::CompoundIdentifier(idents) => scope.resolve(idents),
        ast::Expr::Nested(inner) => time_attribute(inner, scope),
        ast::Expr::Floor { expr, .. } | ast::Expr::Ceil { expr, .. } => time_attribute(expr, scope),
        ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Plus | ast::BinaryOperator::Minus, right } => {
            match (is_length(left), is_length(right)) {
                (false, true) => time_attribute(left, scope),
                (true, false) => time_attribute(right, scope),
                _ => refused(time),
            }
        }
        ast::Expr::Case { conditions, else_result: Some(other), .. } => {
            for branch in conditions {
                time_attribute(&branch.result, scope)?;
            }
            time_attribute(other, scope)
        }
        ast::Expr::Function(call) => {
            let name = call.name.to_string().to_ascii_uppercase();
            match (name.as_str(), arguments_of(call).first()) {
                ("PROCTIME", _) => {
                    let arrival = scope.columns.iter().find(|column| column.name == PROCTIME_COLUMN);
                    arrival.map_or_else(|| refused(time), Ok)
                }
                ("COALESCE", Some(first)) => time_attribute(first, scope),
                _ => refused(time),
            }
        }
        other => refused(other),
    }
}

/// Whether an operand of + or - is an interval, or one taken several times.
fn is_length(operand: &ast::Expr) -> bool {
    match operand {
        ast::Expr::Interval(_) => true,
        ast::Expr::Nested(inner) => is_length(inner),
        ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Multiply, right } => is_length(left) || is_length(right),
        _ => false,
    }
}

fn arguments_of(call: &ast::Function) -> Vec<&ast::Expr> {
    let ast::FunctionArguments::List(list) = &call.args else { return Vec::new() };
    let argument = |argument| match argument {
        &ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ref expression)) => Some(expression),
        _ => None,
    };
    list.args.iter().filter_map(argument).collect()
}
