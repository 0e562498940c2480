//! Queries: WITH, SELECT, VALUES, UNION and its like, ORDER BY, LIMIT; tables, views and window functions in FROM.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection};
use sqlparser::ast;

use super::conversion::cast_to_sql;
use super::expression::Binder;
use super::relation::{BoundQuery, aliased, fetched, limited, only_visible, order_column, project, rename, sort};
use super::scope::{Scope, ScopeColumn, WindowColumn};
use super::set_operation::set_operation;
use super::typed::Typed;
use super::values::values;
use super::{at, bug, not_built};
use crate::catalog::{Catalog, ColumnSource, Entry, Table};
use crate::error::{Error, Result, Span};
use crate::expressions::{is_random, reads_now, type_name};
use crate::operators::WindowKind;
use crate::options::nearest;
use crate::plan::nodes::{
    Arrival, ArrivalNode, TableReference, Watermark, WatermarkNode, WindowNode, Windowing, Windows, window_column_type,
};
use crate::plan::windows::check_lengths;
use crate::sql::{
    ObjectName, SqlType, TableArgument, WindowCall, WindowFunction, called_in_from, process_call, table_name,
    table_options, window_call,
};
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN, Zone};

/// Binds the queries of one statement.
pub struct QueryBinder<'a> {
    pub catalog: &'a Catalog,
    /// Columns that a late table wants of the rows that a window function refuses.
    pub late_columns: Vec<String>,
    /// What the user should hear, though it is no error.
    pub warnings: Vec<String>,
    /// Names of WITH, innermost last.
    ctes: Vec<(String, BoundQuery)>,
    /// Views on the way, so that one cannot contain itself.
    views: usize,
    /// Whether a query on the way asks when rows were read.
    wants_proctime: bool,
}

/// Views within views.
const VIEW_DEPTH: usize = 64;

impl<'a> QueryBinder<'a> {
    pub fn new(catalog: &'a Catalog) -> Self {
        Self {
            catalog,
            late_columns: Vec::new(),
            warnings: Vec::new(),
            ctes: Vec::new(),
            views: 0,
            wants_proctime: false,
        }
    }

    /// Binds a query; its columns are those of no table.
    pub fn query(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        let outer_ctes = self.ctes.len();
        self.wants_proctime |= calls_proctime(query);
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(not_built("WITH RECURSIVE")
                    .with_help("leave RECURSIVE out: a query of WITH may name those before it"));
            }
            for cte in &with.cte_tables {
                let bound = self.query(&cte.query)?;
                let columns: Vec<String> = cte.alias.columns.iter().map(|column| column.name.value.clone()).collect();
                let bound = rename(bound, &columns).map_err(|error| at(error, &cte.alias))?;
                self.ctes.push((cte.alias.name.value.clone(), bound));
            }
        }
        let bound = match &query.order_by {
            Some(order) => self.ordered(&query.body, order).map_err(|error| at(error, order)),
            None => self.body(&query.body).map_err(|error| at(error, query.body.as_ref())),
        };
        let bound = bound.map_err(|error| at(error, query.body.as_ref()));
        self.ctes.truncate(outer_ctes);
        let mut bound = bound?;
        if let Some(limit) = &query.limit_clause {
            bound = limited(bound, limit).map_err(|error| at(error, limit))?;
        }
        if let Some(fetch) = &query.fetch {
            bound = fetched(bound, fetch, query.limit_clause.as_ref()).map_err(|error| at(error, fetch))?;
        }
        bound.scope.set_table(None);
        Ok(bound)
    }

    fn body(&mut self, body: &ast::SetExpr) -> Result<BoundQuery> {
        match body {
            ast::SetExpr::Select(select) => self.select(select),
            ast::SetExpr::Query(query) => self.query(query),
            ast::SetExpr::Values(rows) => values(rows),
            ast::SetExpr::SetOperation { op, set_quantifier, left, right } => {
                set_operation(*op, *set_quantifier, self.body(left)?, self.body(right)?)
            }
            ast::SetExpr::Table(table) => {
                let name = table.table_name.clone().unwrap_or_default();
                self.named(&[name], ObjectName { parts: Vec::new(), span: crate::error::Span { start: 0, end: 0 } })
            }
            other => Err(Error::query(format!("{other} is no query"))),
        }
    }

    /// A query in order. A key that is no column of the result may be one of what a SELECT reads: it then goes along as
    /// a hidden column.
    fn ordered(&mut self, body: &ast::SetExpr, order: &ast::OrderBy) -> Result<BoundQuery> {
        let ast::OrderByKind::Expressions(keys) = &order.kind else {
            return Err(not_built("ORDER BY ALL"));
        };
        let heard = self.warnings.len();
        let bound = self.body(body)?;
        let is_hidden = |key: &ast::OrderByExpr| Binder::new(&bound.scope).bind(&key.expr).is_err();
        let hidden: Vec<usize> = (0..keys.len()).filter(|key| is_hidden(&keys[*key])).collect();
        let select = match body {
            ast::SetExpr::Select(select) if !hidden.is_empty() && select.distinct.is_none() => select,
            _ => return sort(bound, keys, &[]),
        };
        let mut wide = select.clone();
        wide.projection.extend(hidden.iter().map(|key| ast::SelectItem::ExprWithAlias {
            expr: keys[*key].expr.clone(),
            alias: ast::Ident::new(order_column(*key)),
        }));
        self.warnings.truncate(heard);
        let Ok(wide) = self.body(&ast::SetExpr::Select(wide)) else { return sort(bound, keys, &[]) };
        sort(wide, keys, &hidden).and_then(only_visible)
    }

    /// A table of a FROM.
    pub fn table_factor(&mut self, factor: &ast::TableFactor) -> Result<BoundQuery> {
        if let Some(call) = window_call(factor) {
            let call = call?;
            let span = call.span;
            return self.window(call).map_err(|error| error.with_span(span));
        }
        if let Some(function) = called_in_from(factor).and_then(|name| self.catalog.process_function(&name.value)) {
            let (function, call) = (function.clone(), process_call(factor)?);
            let span = call.span;
            return self.process(function, call).map_err(|error| error.with_span(span));
        }
        match factor {
            ast::TableFactor::Table { name, .. } if is_text(name) => Err(file_in_from(name)),
            ast::TableFactor::Table { name, alias, args: None, version: None, with_hints, .. } => {
                let object = table_name(name).ok_or_else(|| Error::query(format!("{name} is no table")))?;
                let bound = match table_options(with_hints) {
                    options if options.is_empty() => self.named(&object.parts.clone(), object)?,
                    options => self.with_options(&object, options)?,
                };
                aliased(bound, alias.as_ref())
            }
            ast::TableFactor::Derived { lateral: false, subquery, alias, .. } => {
                let bound = self.query(subquery)?;
                aliased(bound, alias.as_ref())
            }
            ast::TableFactor::NestedJoin { table_with_joins, alias } => {
                let bound = self.from(std::slice::from_ref(table_with_joins))?;
                aliased(bound, alias.as_ref())
            }
            ast::TableFactor::Table { name, args: Some(_), .. } | ast::TableFactor::Function { name, .. } => {
                Err(self.unknown_table_function(name))
            }
            ast::TableFactor::TableFunction { expr: ast::Expr::Function(function), .. } => {
                Err(at(self.unknown_table_function(&function.name), factor))
            }
            other => Err(at(in_from(other), other)),
        }
    }

    /// A name: of WITH, of a table, of a view.
    fn named(&mut self, parts: &[String], name: ObjectName) -> Result<BoundQuery> {
        if let [only] = parts
            && let Some((_, bound)) = self.ctes.iter().rev().find(|(known, _)| known == only)
        {
            let mut bound = bound.clone();
            bound.scope.set_table(Some(only));
            return Ok(bound);
        }
        let name = if name.parts.is_empty() { ObjectName { parts: parts.to_vec(), ..name } } else { name };
        let mut bound = match self.catalog.entry(&name)? {
            Entry::Table(table) => scan(table, self.wants_proctime)?,
            Entry::View(view) => {
                if self.views >= VIEW_DEPTH {
                    return Err(Error::query(format!("view `{}` contains itself", view.name)).with_span(name.span));
                }
                self.views += 1;
                let ctes = std::mem::take(&mut self.ctes);
                // Places inside the view belong to another text.
                let bound = self
                    .query(&view.query)
                    .map_err(|error| error.context(format!("in view `{}`", view.name)).moved_to(name.span));
                self.ctes = ctes;
                self.views -= 1;
                rename(bound?, &view.columns)?
            }
        };
        bound.scope.set_table(Some(name.table()));
        Ok(bound)
    }

    /// A table, read with the options of a hint.
    fn with_options(&mut self, name: &ObjectName, options: Vec<(String, String)>) -> Result<BoundQuery> {
        let is_cte = matches!(name.parts.as_slice(), [only] if self.ctes.iter().any(|(known, _)| known == only));
        let entry = if is_cte { None } else { Some(self.catalog.entry(name)?) };
        let Some(Entry::Table(table)) = entry else {
            return Err(Error::query(format!(
                "View '{}' cannot be enriched with new options. Hints can only be applied to tables.",
                name.table()
            ))
            .with_span(name.span)
            .with_help("put the hint behind the table inside the view's query"));
        };
        let mut bound = table
            .with_options(options)
            .and_then(|table| scan(&Arc::new(table), self.wants_proctime))
            .map_err(|error| error.with_span(name.span))?;
        bound.scope.set_table(Some(name.table()));
        Ok(bound)
    }

    /// A function in FROM that there is not.
    fn unknown_table_function(&self, name: &ast::ObjectName) -> Error {
        if let Some(error) = not_built::function(&name.to_string().to_ascii_uppercase()) {
            return at(error, name);
        }
        let error = at(Error::query(format!("there is no table function {name}")), name);
        let own = WindowFunction::ALL.into_iter().map(|function| function.name());
        match nearest(&name.to_string(), own.chain(self.catalog.process_functions())) {
            Some(meant) => error.with_help(format!("did you mean {meant}?")),
            None => error.with_help(IN_FROM),
        }
    }

    /// The rows of a function's argument.
    pub(super) fn table_argument(&mut self, argument: &TableArgument) -> Result<BoundQuery> {
        match argument {
            TableArgument::Table(name) => self.named(&name.parts.clone(), name.clone()),
            TableArgument::Query(query) => self.query(query),
        }
    }

    fn window(&mut self, call: WindowCall) -> Result<BoundQuery> {
        let input = self.table_argument(&call.input)?;
        let time = input.scope.visible().find(|column| column.name == call.time_column);
        let Some(time) = time else {
            let ident = ast::Ident::new(&call.time_column);
            return Err(input
                .scope
                .resolve(&[ident])
                .err()
                .unwrap_or_else(|| Error::bug("a column is there and not"))
                .with_span(call.time_span));
        };
        let refusal = "The window function requires the timecol is a time attribute type, but is";
        let by_clock = is_by_clock(time, &input.scope, refusal).map_err(|error| error.with_span(call.time_span))?;
        let time = WindowTime { name: call.time_column, by_clock, is_key: false };
        let lengths: Vec<i64> = call.intervals_ms.iter().map(|(length, _)| *length).collect();
        let keys = call.partition_by.iter().map(|key| {
            let column = input.scope.resolve(std::slice::from_ref(key))?;
            Ok(Expr::Column(Column::new_unqualified(&column.name)))
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let windows = windows_of(call.function, &lengths, keys)?;
        let bound = self.put_into_windows(input, windows, &time, call.span)?;
        aliased(bound, call.alias.as_ref())
    }

    /// Rows with the bounds of their windows.
    pub(super) fn put_into_windows(
        &self,
        input: BoundQuery,
        windows: Windows,
        time: &WindowTime,
        span: Span,
    ) -> Result<BoundQuery> {
        let late: Vec<String> = self
            .late_columns
            .iter()
            .filter(|name| input.scope.visible().any(|column| column.name == **name))
            .cloned()
            .collect();
        let mut scope = input.scope.clone();
        // Rows of fixed windows leave as they come, with their own time and the watermark that they met.
        let keeps_time = matches!(windows, Windows::Fixed(_)) && !time.is_key && !time.by_clock;
        scope.columns.iter_mut().for_each(|column| {
            column.is_rowtime &= keeps_time;
            column.is_proctime = false;
            column.window = None;
        });
        let of_time = scope.columns.iter().find(|column| column.name == time.name);
        let time_type = of_time.map_or(DataType::Null, |column| column.data_type.clone());
        scope.columns.retain(|column| !WindowColumn::ALL.iter().any(|bound| bound.name() == column.name));
        for bound in WindowColumn::ALL {
            scope.columns.push(ScopeColumn {
                is_rowtime: bound == WindowColumn::Time,
                window: Some(bound),
                ..ScopeColumn::new(bound.name(), window_column_type(bound.name(), &time_type), false)
            });
        }
        let own = Windowing {
            time: time.name.clone(),
            window: windows,
            by_clock: time.by_clock,
            zone: Zone::UTC,
            is_key: time.is_key,
            late_columns: late,
            span,
        };
        let plan = WindowNode::over(input.plan, own)?;
        scope.set_table(None);
        Ok(BoundQuery { plan, scope })
    }
}

/// The windows of a function. `lengths` are in the order of its arguments, `keys` those of sessions.
pub(super) fn windows_of(function: WindowFunction, lengths: &[i64], keys: Vec<Expr>) -> Result<Windows> {
    let offset = |rest: &[i64]| rest.first().copied().unwrap_or(0);
    let kind = match (function, lengths) {
        (WindowFunction::Tumble, [size_ms, rest @ ..]) => {
            WindowKind::Tumble { size_ms: *size_ms, offset_ms: offset(rest) }
        }
        (WindowFunction::Hop, [slide_ms, size_ms, rest @ ..]) => {
            WindowKind::Hop { slide_ms: *slide_ms, size_ms: *size_ms, offset_ms: offset(rest) }
        }
        (WindowFunction::Cumulate, [step_ms, size_ms, rest @ ..]) => {
            WindowKind::Cumulate { step_ms: *step_ms, size_ms: *size_ms, offset_ms: offset(rest) }
        }
        (WindowFunction::Session, [gap_ms]) => return Ok(Windows::Session { gap_ms: *gap_ms, keys }),
        _ => return Err(Error::bug("a window function without its lengths")),
    };
    check_lengths(kind)?;
    Ok(Windows::Fixed(kind))
}

/// The time attribute that windows go by.
pub(super) struct WindowTime {
    pub(super) name: String,
    pub(super) by_clock: bool,
    /// Whether the windows are a key of GROUP BY.
    pub(super) is_key: bool,
}

/// Whether windows over this column are closed by the clock; an error that begins with `refusal` if the column is no time
/// attribute.
pub(super) fn is_by_clock(time: &ScopeColumn, scope: &Scope, refusal: &str) -> Result<bool> {
    if !time.is_proctime && (!time.is_rowtime || !scope.has_watermark()) {
        return Err(Error::query(format!("{refusal} {}.", type_name(&time.data_type)))
            .with_help(format!(
                "`{}` is no event-time attribute here: it needs a WATERMARK in its CREATE TABLE, and GROUP BY or an expression turns it into a plain timestamp",
                time.name
            ))
            .with_help(
                "without times of its own: FROM TUMBLE((SELECT *, PROCTIME() AS pt FROM t), DESCRIPTOR(pt), …) goes by the clock",
            ));
    }
    Ok(time.is_proctime)
}

/// Whether PROCTIME() stands anywhere in a query.
fn calls_proctime(query: &ast::Query) -> bool {
    use std::ops::ControlFlow;
    let is_call = |expression: &ast::Expr| match expression {
        ast::Expr::Function(function) => function.name.to_string().eq_ignore_ascii_case("PROCTIME"),
        _ => false,
    };
    let found = ast::visit_expressions(query, |expression: &ast::Expr| match is_call(expression) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// A table's rows: physical columns decoded, computed ones computed, the watermark at hand, and the time of reading if
/// somebody `wants_proctime`.
fn scan(table: &Arc<Table>, wants_proctime: bool) -> Result<BoundQuery> {
    let schema = table.physical_schema();
    let source = Arc::new(TableReference::new(Arc::clone(table)));
    // As text the name would be parsed, and lose its case.
    let name = datafusion::common::TableReference::bare(table.name.as_str());
    let plan = LogicalPlanBuilder::scan(name.clone(), source, None).and_then(LogicalPlanBuilder::build).map_err(bug)?;
    let columns = schema.fields().iter().map(|field| {
        let declared = table.columns.iter().find(|column| column.name == *field.name());
        let declared = declared.map(|column| column.data_type.clone());
        ScopeColumn { declared, ..ScopeColumn::new(field.name(), field.data_type().clone(), field.is_nullable()) }
    });
    let physical = Scope { columns: columns.collect() };
    // The scan's fields are qualified by the table's name, everything above is not.
    let qualified = |column: &str| Expr::Column(Column::new(Some(name.clone()), column));
    let unqualified = physical.columns.iter().map(|column| {
        let read = Typed::new(qualified(&column.name), column.data_type.clone(), column.nullable);
        // Formats read all digits of a second's fraction that Arrow's type holds; Flink cuts those of a TIME, and leaves those
        // of a TIMESTAMP, which are only not shown as text.
        let read = match &column.declared {
            Some(time @ SqlType::Time(_)) => cast_to_sql(read, time, false)?,
            _ => read,
        };
        Ok(read.expression.alias(&column.name))
    });
    let unqualified: Vec<Expr> = unqualified.collect::<Result<_>>()?;
    let plan = LogicalPlan::Projection(Projection::try_new(unqualified, Arc::new(plan)).map_err(bug)?);
    let mut bound = BoundQuery { plan, scope: physical };
    let computed = bind_computed(table, &bound.scope)?;
    let by_clock = |column: &&(Typed, ScopeColumn)| reads_clock(&column.0);
    let wants_proctime = wants_proctime || computed.iter().any(|(typed, _)| reads_proctime(&typed.expression));
    if !computed.is_empty() {
        let columns = declared(table, &bound.scope, &computed, false)?;
        bound = project(bound, columns)?;
    }
    if wants_proctime {
        bound.plan = ArrivalNode::over(bound.plan, Arrival)?;
        bound.scope.columns.push(ScopeColumn::proctime());
    }
    if let Some(watermark) = &table.watermark {
        let reads = |(_, column): &&(Typed, ScopeColumn)| {
            column.name == watermark.rowtime || watermark.expression.to_string().contains(&column.name)
        };
        if computed.iter().filter(by_clock).any(|column| reads(&column)) {
            return Err(Error::query("a watermark cannot go by the time of day or by chance")
                .with_help("leave WATERMARK out, declare `pt AS PROCTIME()`, and put the windows on pt"));
        }
        let expression = Binder::new(&bound.scope).bind(&watermark.expression)?;
        let own = Watermark { rowtime: watermark.rowtime.clone(), expression: expression.expression };
        let plan = WatermarkNode::over(bound.plan, own)?;
        let mut scope = bound.scope;
        for column in scope.columns.iter_mut().filter(|column| column.name == watermark.rowtime) {
            (column.is_rowtime, column.nullable) = (true, false);
        }
        scope.columns.push(ScopeColumn::new(WATERMARK_COLUMN, DataType::Int64, true));
        bound = BoundQuery { plan, scope };
    }
    if computed.iter().any(|column| by_clock(&column)) {
        let columns = declared(table, &bound.scope, &computed, true)?;
        bound = project(bound, columns)?;
    }
    Ok(bound)
}

/// The computed columns of a table over its physical ones, and over the time of reading.
fn bind_computed(table: &Table, physical: &Scope) -> Result<Vec<(Typed, ScopeColumn)>> {
    let mut scope = physical.clone();
    scope.columns.push(ScopeColumn::proctime());
    let mut computed = Vec::new();
    for column in &table.columns {
        if let ColumnSource::Computed { expression, .. } = &column.source {
            let typed = Binder::new(&scope).bind(expression)?;
            let is_proctime = matches!(&typed.expression, Expr::Column(column) if column.name == PROCTIME_COLUMN);
            let declared = typed.declared.clone();
            let column =
                ScopeColumn { declared, ..ScopeColumn::new(&column.name, typed.data_type.clone(), typed.nullable) };
            computed.push((typed, ScopeColumn { is_proctime, ..column }));
        }
    }
    Ok(computed)
}

/// The columns of a table in their order. Those that read the clock come last, when the rest is there, `with_clock`.
fn declared(
    table: &Table,
    scope: &Scope,
    computed: &[(Typed, ScopeColumn)],
    with_clock: bool,
) -> Result<Vec<(Typed, ScopeColumn)>> {
    let mut columns = Vec::new();
    for column in &table.columns {
        let found = computed.iter().find(|(_, known)| known.name == column.name);
        match found.filter(|(typed, _)| reads_clock(typed) || !with_clock) {
            Some((typed, _)) if reads_clock(typed) && !with_clock => {}
            Some(found) => columns.push(found.clone()),
            None => {
                let known = scope.columns.iter().find(|known| known.name == column.name);
                let known = known.ok_or_else(|| Error::bug("a column of the table is in the scan"))?;
                let expression = Expr::Column(Column::new_unqualified(&known.name));
                columns.push((Typed::new(expression, known.data_type.clone(), known.nullable), known.clone()));
            }
        }
    }
    Ok(columns)
}

fn reads_proctime(expression: &Expr) -> bool {
    expression.column_refs().iter().any(|column| column.name == PROCTIME_COLUMN)
}

/// Whether a value depends on when its row is read or worked on, or on chance.
fn reads_clock(typed: &Typed) -> bool {
    let expression = &typed.expression;
    reads_proctime(expression) || reads_now(expression) || is_random(expression)
}

const IN_FROM: &str =
    "FROM takes a table, a view, a query in parentheses, TUMBLE(…), HOP(…), CUMULATE(…) or SESSION(…)";

/// What stands in FROM and cannot be read.
fn in_from(factor: &ast::TableFactor) -> Error {
    match factor {
        ast::TableFactor::Derived { lateral: true, .. } => not_built::for_flink("LATERAL"),
        ast::TableFactor::Pivot { .. } => not_built::for_flink("PIVOT"),
        ast::TableFactor::Unpivot { .. } => not_built::for_flink("UNPIVOT"),
        ast::TableFactor::Table { version: Some(_), .. } => not_built::for_flink("FOR SYSTEM_TIME AS OF"),
        other => Error::query(format!("{other} has no place in FROM")).with_help(IN_FROM),
    }
}

/// Whether a text in quotes stands where a table's name should.
fn is_text(name: &ast::ObjectName) -> bool {
    name.0.iter().any(|part| part.as_ident().is_some_and(|ident| ident.quote_style == Some('\'')))
}

fn file_in_from(name: &ast::ObjectName) -> Error {
    let file = name.to_string().trim_matches('\'').to_owned();
    Error::query(format!("a file in FROM, as {name}, is not built yet"))
        .with_help(format!("on the command line: beadline -c \"SELECT … FROM stdin\" < {file}"))
        .with_help(format!(
            "or declare it: CREATE TABLE t (a STRING, …) WITH ('connector' = 'filesystem', 'path' = '{file}', \
             'format' = 'json')"
        ))
}
