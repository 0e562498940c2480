//! Queries: WITH, SELECT, VALUES, UNION ALL, ORDER BY, LIMIT; tables, views and window functions in FROM.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{
    Aggregate, Expr, Filter, Limit, LogicalPlan, LogicalPlanBuilder, Projection, Sort, SortExpr, Union, Values,
};
use datafusion::prelude::lit;
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::aggregation::Aggregation;
use super::conversion::cast;
use super::expression::{Binder, Typed};
use super::scope::{Scope, ScopeColumn, WindowColumn};
use super::select::not_built;
use super::{at, literal};
use crate::catalog::{Catalog, ColumnSource, Entry, Table};
use crate::error::{Error, Result};
use crate::expressions::{common_type, type_name};
use crate::operators::WindowKind;
use crate::options::nearest;
use crate::plan::nodes::{TableReference, watermark_node, window_node};
use crate::plan::windows::check_lengths;
use crate::sql::{ObjectName, WindowCall, WindowFunction, WindowInput, table_name, window_call};
use crate::stream::WATERMARK_COLUMN;

/// A plan and the scope of its columns, field by field.
#[derive(Debug, Clone)]
pub struct BoundQuery {
    pub plan: LogicalPlan,
    pub scope: Scope,
}

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
}

/// Views within views.
const VIEW_DEPTH: usize = 64;

impl<'a> QueryBinder<'a> {
    pub fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, late_columns: Vec::new(), warnings: Vec::new(), ctes: Vec::new(), views: 0 }
    }

    /// Binds a query; the scope has no qualifier.
    pub fn query(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        let outer_ctes = self.ctes.len();
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(not_built("WITH RECURSIVE"));
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
            return Err(at(not_built("FETCH").with_help("write LIMIT n"), fetch));
        }
        bound.scope.qualifier = None;
        Ok(bound)
    }

    fn body(&mut self, body: &ast::SetExpr) -> Result<BoundQuery> {
        match body {
            ast::SetExpr::Select(select) => self.select(select),
            ast::SetExpr::Query(query) => self.query(query),
            ast::SetExpr::Values(rows) => values(rows),
            ast::SetExpr::SetOperation { op: ast::SetOperator::Union, set_quantifier, left, right } => {
                let all = matches!(set_quantifier, ast::SetQuantifier::All);
                let (left, right) = (self.body(left)?, self.body(right)?);
                let united = union(left, right)?;
                if all {
                    Ok(united)
                } else {
                    Err(not_built("UNION without ALL").with_help("write SELECT DISTINCT … FROM (… UNION ALL …)"))
                }
            }
            ast::SetExpr::SetOperation { op, .. } => Err(not_built(&op.to_string())),
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
        let ast::OrderByKind::Expressions(keys) = &order.kind else { return Err(not_built("ORDER BY ALL")) };
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
        let sorted = sort(wide, keys, &hidden)?;
        let columns = sorted.scope.visible().cloned().map(|column| {
            let expression = Expr::Column(Column::new_unqualified(&column.name));
            (Typed::new(expression, column.data_type.clone(), column.nullable), column)
        });
        let columns = columns.collect();
        project(sorted, columns)
    }

    /// A table of a FROM.
    pub fn table_factor(&mut self, factor: &ast::TableFactor) -> Result<BoundQuery> {
        if let Some(call) = window_call(factor) {
            let call = call?;
            let span = call.span;
            return self.window(call).map_err(|error| error.with_span(span));
        }
        match factor {
            ast::TableFactor::Table { name, alias, args: None, version: None, .. } => {
                let object = table_name(name).ok_or_else(|| Error::query(format!("{name} is no table")))?;
                let parts: Vec<String> = object.parts.clone();
                let bound = self.named(&parts, object)?;
                aliased(bound, alias.as_ref())
            }
            ast::TableFactor::Derived { lateral: false, subquery, alias, .. } => {
                let bound = self.query(subquery)?;
                aliased(bound, alias.as_ref())
            }
            ast::TableFactor::NestedJoin { table_with_joins, alias } if table_with_joins.joins.is_empty() => {
                let bound = self.table_factor(&table_with_joins.relation)?;
                aliased(bound, alias.as_ref())
            }
            ast::TableFactor::NestedJoin { .. } => Err(at(not_built("JOIN"), factor)),
            ast::TableFactor::Table { name, args: Some(_), .. } | ast::TableFactor::Function { name, .. } => {
                Err(unknown_table_function(name))
            }
            other => Err(at(Error::query(format!("{other} in FROM is not built yet")), other)
                .with_help("FROM takes a table, a view, a query in parentheses, TUMBLE(…) or HOP(…)")),
        }
    }

    /// A name: of WITH, of a table, of a view.
    fn named(&mut self, parts: &[String], name: ObjectName) -> Result<BoundQuery> {
        if let [only] = parts
            && let Some((_, bound)) = self.ctes.iter().rev().find(|(known, _)| known == only)
        {
            let mut bound = bound.clone();
            bound.scope.qualifier = Some(only.clone());
            return Ok(bound);
        }
        let name = if name.parts.is_empty() { ObjectName { parts: parts.to_vec(), ..name } } else { name };
        let mut bound = match self.catalog.entry(&name)? {
            Entry::Table(table) => scan(table)?,
            Entry::View(view) => {
                if self.views >= VIEW_DEPTH {
                    return Err(Error::query(format!("view `{}` contains itself", view.name)).with_span(name.span));
                }
                self.views += 1;
                let ctes = std::mem::take(&mut self.ctes);
                // Places inside the view belong to another text.
                let bound = self.query(&view.query).map_err(|error| {
                    Error::query(error.message()).context(format!("in view `{}`", view.name)).with_span(name.span)
                });
                self.ctes = ctes;
                self.views -= 1;
                rename(bound?, &view.columns)?
            }
        };
        bound.scope.qualifier = Some(name.table().to_owned());
        Ok(bound)
    }

    fn window(&mut self, call: WindowCall) -> Result<BoundQuery> {
        let input = match &call.input {
            WindowInput::Table(name) => self.named(&name.parts.clone(), name.clone())?,
            WindowInput::Query(query) => self.query(query)?,
        };
        let lengths: Vec<i64> = call.intervals_ms.iter().map(|(length, _)| *length).collect();
        let kind = match (call.function, lengths.as_slice()) {
            (WindowFunction::Tumble, [size, rest @ ..]) => {
                WindowKind::Tumble { size_ms: *size, offset_ms: rest.first().copied().unwrap_or(0) }
            }
            (WindowFunction::Hop, [slide, size, rest @ ..]) => {
                let offset_ms = rest.first().copied().unwrap_or(0);
                WindowKind::Hop { slide_ms: *slide, size_ms: *size, offset_ms }
            }
            (function, _) => {
                return Err(not_built(function.name()).with_help("there are TUMBLE and HOP"));
            }
        };
        check_lengths(kind)?;
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
        if !time.is_rowtime || !input.scope.has_watermark() {
            return Err(Error::query(format!(
                "The window function requires the timecol is a time attribute type, but is {}.",
                type_name(&time.data_type)
            ))
            .with_span(call.time_span)
            .with_help(format!(
                "`{}` is no event-time attribute here: it needs a WATERMARK in its CREATE TABLE, and GROUP BY or an expression turns it into a plain timestamp",
                time.name
            )));
        }
        let late: Vec<String> = self
            .late_columns
            .iter()
            .filter(|name| input.scope.visible().any(|column| column.name == **name))
            .cloned()
            .collect();
        let mut scope = input.scope.clone();
        scope.columns.iter_mut().for_each(|column| {
            column.is_rowtime = false;
            column.window = None;
        });
        let bounds_type = DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, None);
        scope.columns.retain(|column| !WindowColumn::ALL.iter().any(|bound| bound.name() == column.name));
        for bound in WindowColumn::ALL {
            scope.columns.push(ScopeColumn {
                is_rowtime: bound == WindowColumn::Time,
                window: Some(bound),
                ..ScopeColumn::new(bound.name(), bounds_type.clone(), false)
            });
        }
        let plan = window_node(input.plan, &call.time_column, kind, late, call.span)?;
        scope.qualifier = None;
        aliased(BoundQuery { plan, scope }, call.alias.as_ref())
    }
}

/// A table's rows: physical columns decoded, computed ones computed, the watermark at hand.
fn scan(table: &Arc<Table>) -> Result<BoundQuery> {
    let schema = table.physical_schema();
    let source = Arc::new(TableReference::new(Arc::clone(table)));
    // As text the name would be parsed, and lose its case.
    let name = datafusion::common::TableReference::bare(table.name.as_str());
    let plan = LogicalPlanBuilder::scan(name.clone(), source, None).and_then(LogicalPlanBuilder::build).map_err(bug)?;
    let physical = Scope {
        qualifier: None,
        columns: schema
            .fields()
            .iter()
            .map(|field| ScopeColumn::new(field.name(), field.data_type().clone(), field.is_nullable()))
            .collect(),
    };
    // The scan's fields are qualified by the table's name, everything above is not.
    let qualified = |column: &str| Expr::Column(Column::new(Some(name.clone()), column));
    let unqualified: Vec<Expr> =
        physical.columns.iter().map(|column| qualified(&column.name).alias(&column.name)).collect();
    let plan = LogicalPlan::Projection(Projection::try_new(unqualified, Arc::new(plan)).map_err(bug)?);
    let mut bound = BoundQuery { plan, scope: physical };
    if table.columns.iter().any(|column| !column.is_physical()) {
        let scope = bound.scope.clone();
        let columns = table
            .columns
            .iter()
            .map(|column| {
                let typed = match &column.source {
                    ColumnSource::Physical => {
                        let known = scope.columns.iter().find(|known| known.name == column.name);
                        let known = known.ok_or_else(|| Error::bug("a physical column is in the scan"))?;
                        let expression = Expr::Column(Column::new_unqualified(&known.name));
                        Typed::new(expression, known.data_type.clone(), known.nullable)
                    }
                    ColumnSource::Computed { expression, .. } => Binder::new(&scope).bind(expression)?,
                };
                let column = ScopeColumn::new(&column.name, typed.data_type.clone(), typed.nullable);
                Ok((typed, column))
            })
            .collect::<Result<Vec<_>>>()?;
        bound = project(bound, columns)?;
    }
    if let Some(watermark) = &table.watermark {
        let expression = Binder::new(&bound.scope).bind(&watermark.expression)?;
        let plan = watermark_node(bound.plan, &watermark.rowtime, expression.expression)?;
        let mut scope = bound.scope;
        for column in scope.columns.iter_mut().filter(|column| column.name == watermark.rowtime) {
            (column.is_rowtime, column.nullable) = (true, false);
        }
        scope.columns.push(ScopeColumn::new(WATERMARK_COLUMN, DataType::Int64, false));
        bound = BoundQuery { plan, scope };
    }
    Ok(bound)
}

/// `… AS alias (columns)`.
fn aliased(bound: BoundQuery, alias: Option<&ast::TableAlias>) -> Result<BoundQuery> {
    let Some(alias) = alias else { return Ok(bound) };
    let columns: Vec<String> = alias.columns.iter().map(|column| column.name.value.clone()).collect();
    let mut bound = rename(bound, &columns).map_err(|error| at(error, alias))?;
    bound.scope.qualifier = Some(alias.name.value.clone());
    Ok(bound)
}

/// New names for all visible columns; none for the names they have.
fn rename(bound: BoundQuery, names: &[String]) -> Result<BoundQuery> {
    if names.is_empty() {
        return Ok(bound);
    }
    let visible: Vec<ScopeColumn> = bound.scope.visible().cloned().collect();
    if visible.len() != names.len() {
        return Err(Error::query(format!("there are {} columns and {} names for them", visible.len(), names.len())));
    }
    if let Some(name) = names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name)) {
        return Err(Error::query(format!("Duplicate name '{name}' in column alias list")));
    }
    let columns = visible
        .into_iter()
        .zip(names)
        .map(|(column, name)| {
            let expression = Expr::Column(Column::new_unqualified(&column.name));
            let typed = Typed::new(expression, column.data_type.clone(), column.nullable);
            (typed, ScopeColumn { name: name.clone(), duplicate_of: None, ..column })
        })
        .collect();
    project(bound, columns)
}

/// Rows of the given columns; the hidden watermark goes along.
pub fn project(input: BoundQuery, columns: Vec<(Typed, ScopeColumn)>) -> Result<BoundQuery> {
    let mut expressions = Vec::new();
    let mut scope = Scope { qualifier: input.scope.qualifier.clone(), columns: Vec::new() };
    for (typed, column) in columns {
        let is_itself = matches!(&typed.expression, Expr::Column(source) if source.name == column.name);
        expressions.push(if is_itself { typed.expression } else { typed.expression.alias(&column.name) });
        scope.columns.push(column);
    }
    if input.scope.has_watermark() {
        expressions.push(Expr::Column(Column::new_unqualified(WATERMARK_COLUMN)));
        scope.columns.push(ScopeColumn::new(WATERMARK_COLUMN, DataType::Int64, false));
    }
    let plan = LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(input.plan)).map_err(bug)?);
    Ok(BoundQuery { plan, scope })
}

/// The rows for which a condition holds.
pub fn filter(input: BoundQuery, condition: Typed) -> Result<BoundQuery> {
    let filter = Filter::try_new(condition.expression, Arc::new(input.plan)).map_err(bug)?;
    Ok(BoundQuery { plan: LogicalPlan::Filter(filter), scope: input.scope })
}

/// Groups: keys, then the results of the calls. Keys and arguments are computed first, each under its text.
pub fn aggregate(input: BoundQuery, aggregation: &Aggregation) -> Result<BoundQuery> {
    let mut expressions: Vec<Expr> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let computed = aggregation.keys().iter().map(|key| (&key.column.name, &key.expression));
    for (name, expression) in
        computed.chain(aggregation.arguments().iter().map(|(name, expression)| (name, expression)))
    {
        if names.contains(name) {
            continue;
        }
        names.push(name.clone());
        let is_itself = matches!(expression, Expr::Column(column) if column.name == *name);
        expressions.push(if is_itself { expression.clone() } else { expression.clone().alias(name) });
    }
    if input.scope.has_watermark() {
        expressions.push(Expr::Column(Column::new_unqualified(WATERMARK_COLUMN)));
    }
    if expressions.is_empty() {
        // COUNT(*) alone reads no column, but rows there must be.
        expressions.push(lit(true).alias("$row"));
    }
    let computed = LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(input.plan)).map_err(bug)?);
    let keys = aggregation.keys().iter().map(|key| Expr::Column(Column::new_unqualified(&key.column.name))).collect();
    let calls = aggregation.calls().iter().map(|call| call.expression.clone().alias(&call.column.name)).collect();
    let aggregate = Aggregate::try_new(Arc::new(computed), keys, calls).map_err(bug)?;
    let columns = aggregation.keys().iter().map(|key| key.column.clone());
    let mut columns: Vec<ScopeColumn> =
        columns.chain(aggregation.calls().iter().map(|call| call.column.clone())).collect();
    let is_window = [WindowColumn::Start, WindowColumn::End]
        .iter()
        .all(|bound| columns.iter().any(|column| column.window == Some(*bound)));
    columns.iter_mut().for_each(|column| {
        column.is_rowtime &= is_window;
        column.window = column.window.filter(|_| is_window);
    });
    let plan = LogicalPlan::Aggregate(aggregate);
    let mut bound = BoundQuery { plan, scope: Scope { qualifier: input.scope.qualifier, columns } };
    if bound.scope.columns.iter().any(|column| column.is_rowtime) {
        // What a window emits when it fires is never late for the windows behind it: those that hold it are open.
        let mut expressions: Vec<Expr> =
            bound.scope.columns.iter().map(|column| Expr::Column(Column::new_unqualified(&column.name))).collect();
        expressions.push(lit(ScalarValue::Int64(Some(i64::MIN))).alias(WATERMARK_COLUMN));
        bound.plan = LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(bound.plan)).map_err(bug)?);
        bound.scope.columns.push(ScopeColumn::new(WATERMARK_COLUMN, DataType::Int64, false));
    }
    Ok(bound)
}

/// UNION ALL: columns by position, brought to a common type, with the names of the first query.
fn union(left: BoundQuery, right: BoundQuery) -> Result<BoundQuery> {
    let keep_watermark = left.scope.has_watermark() && right.scope.has_watermark();
    let (one, two): (Vec<_>, Vec<_>) =
        (left.scope.visible().cloned().collect(), right.scope.visible().cloned().collect());
    if one.len() != two.len() {
        return Err(Error::query(format!("Column count mismatch in UNION ALL: {} and {}", one.len(), two.len())));
    }
    let mut columns = Vec::new();
    for (first, second) in one.iter().zip(&two) {
        let data_type = common_type(&first.data_type, &second.data_type).ok_or_else(|| {
            Error::query(format!(
                "Type mismatch in column `{}` of UNION ALL: {} and {}",
                first.name,
                type_name(&first.data_type),
                type_name(&second.data_type)
            ))
        })?;
        columns.push(ScopeColumn {
            name: first.name.clone(),
            data_type,
            nullable: first.nullable || second.nullable,
            is_rowtime: first.is_rowtime && second.is_rowtime && keep_watermark,
            window: None,
            duplicate_of: first.duplicate_of.clone(),
        });
    }
    let side = |bound: BoundQuery, own: &[ScopeColumn]| -> Result<LogicalPlan> {
        let mut expressions = Vec::new();
        for (own, common) in own.iter().zip(&columns) {
            let expression = Expr::Column(Column::new_unqualified(&own.name));
            let typed = cast(Typed::new(expression, own.data_type.clone(), own.nullable), &common.data_type)?;
            expressions.push(typed.expression.alias(&common.name));
        }
        if keep_watermark {
            expressions.push(Expr::Column(Column::new_unqualified(WATERMARK_COLUMN)));
        }
        Ok(LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(bound.plan)).map_err(bug)?))
    };
    let inputs = vec![Arc::new(side(left, &one)?), Arc::new(side(right, &two)?)];
    let mut scope = Scope { qualifier: None, columns };
    if keep_watermark {
        scope.columns.push(ScopeColumn::new(WATERMARK_COLUMN, DataType::Int64, false));
    }
    let schema = Arc::new(df_schema(&scope)?);
    Ok(BoundQuery { plan: LogicalPlan::Union(Union { inputs, schema }), scope })
}

/// VALUES: rows of constants, each column of one type.
fn values(rows: &ast::Values) -> Result<BoundQuery> {
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
            data_type = common_type(&data_type, &row[index].data_type).ok_or_else(|| {
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
    let scope = Scope { qualifier: None, columns };
    let schema = Arc::new(df_schema(&scope)?);
    Ok(BoundQuery { plan: LogicalPlan::Values(Values { schema, values }), scope })
}

/// What a SELECT without FROM reads.
pub fn one_row() -> Result<BoundQuery> {
    let scope = Scope { qualifier: None, columns: vec![ScopeColumn::new("$row", DataType::Int32, false)] };
    let schema = Arc::new(df_schema(&scope)?);
    let values = vec![vec![literal::of(ScalarValue::Int32(Some(0))).expression]];
    Ok(BoundQuery { plan: LogicalPlan::Values(Values { schema, values }), scope })
}

/// The hidden column of a key of ORDER BY.
fn order_column(key: usize) -> String {
    format!("$order{key}")
}

/// A function in FROM that is no window function.
fn unknown_table_function(name: &ast::ObjectName) -> Error {
    let error = at(Error::query(format!("there is no table function {name}")), name);
    match nearest(&name.to_string(), ["TUMBLE", "HOP", "CUMULATE", "SESSION"]) {
        Some(meant) => error.with_help(format!("did you mean {meant}?")),
        None => error.with_help("FROM takes a table, a view, a query in parentheses, TUMBLE(…) or HOP(…)"),
    }
}

/// Sorts by the keys, of which those in `hidden` are hidden columns.
fn sort(input: BoundQuery, keys: &[ast::OrderByExpr], hidden: &[usize]) -> Result<BoundQuery> {
    let visible: Vec<ScopeColumn> = input.scope.visible().cloned().collect();
    let keys = keys
        .iter()
        .enumerate()
        .map(|(index, key)| {
            let (ascending, nulls_first) = (key.options.asc.unwrap_or(true), key.options.nulls_first);
            // NULLs sort low in Flink.
            let nulls_first = nulls_first.unwrap_or(ascending);
            if hidden.contains(&index) {
                let column = Expr::Column(Column::new_unqualified(order_column(index)));
                return Ok(SortExpr::new(column, ascending, nulls_first));
            }
            let mut typed = Binder::new(&input.scope).bind(&key.expr)?;
            if let Some(number) = typed.number {
                let column = usize::try_from(number).ok().and_then(|number| visible.get(number.checked_sub(1)?));
                let column = column
                    .ok_or_else(|| at(Error::query(format!("there is no column {number} to order by")), &key.expr))?;
                let expression = Expr::Column(Column::new_unqualified(&column.name));
                typed = Typed::new(expression, column.data_type.clone(), column.nullable);
            }
            Ok(SortExpr::new(typed.expression, ascending, nulls_first))
        })
        .collect::<Result<Vec<_>>>()?;
    let plan = LogicalPlan::Sort(Sort { expr: keys, input: Arc::new(input.plan), fetch: None });
    Ok(BoundQuery { plan, scope: input.scope })
}

fn limited(input: BoundQuery, limit: &ast::LimitClause) -> Result<BoundQuery> {
    let (rows, skip) = match limit {
        ast::LimitClause::LimitOffset { limit, offset, limit_by } if limit_by.is_empty() => {
            (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
        }
        ast::LimitClause::OffsetCommaLimit { offset, limit } => (Some(limit), Some(offset)),
        ast::LimitClause::LimitOffset { .. } => return Err(not_built("LIMIT BY")),
    };
    let number = |expression: Option<&ast::Expr>| -> Result<Option<Box<Expr>>> {
        let Some(expression) = expression else { return Ok(None) };
        let typed = Binder::new(&Scope::default()).bind(expression)?;
        match typed.number.filter(|number| *number >= 0) {
            Some(number) => Ok(Some(Box::new(lit(number)))),
            None => Err(at(Error::query("LIMIT and OFFSET take a whole number"), expression)),
        }
    };
    let limit = Limit { skip: number(skip)?, fetch: number(rows)?, input: Arc::new(input.plan) };
    Ok(BoundQuery { plan: LogicalPlan::Limit(limit), scope: input.scope })
}

fn df_schema(scope: &Scope) -> Result<DFSchema> {
    let fields = scope.columns.iter().map(|column| Field::new(&column.name, column.data_type.clone(), column.nullable));
    DFSchema::try_from(Schema::new(fields.collect::<Vec<_>>())).map_err(bug)
}

/// Everything is typed before DataFusion sees it, so what it does not take is our mistake.
pub fn bug(error: datafusion::error::DataFusionError) -> Error {
    Error::bug(error.strip_backtrace())
}
