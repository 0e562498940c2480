//! Planning of whole statements: an INSERT or a statement set as one job, a SELECT, an expression of DDL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Column as PlanColumn;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use sqlparser::ast;

use super::arrangement::Arrangement;
use super::bind::{
    Binder, BoundQuery, QueryBinder, Scope, ScopeColumn, Typed, at, cast_to_sql, not_built, sql_type, with_length,
};
use super::inner_order;
use super::lower::{
    APPEND_ONLY, LateSink, Lowering, PlanSettings, SinkTarget, TypeLengths, check_read_once, is_bounded, is_implicit,
    is_live, optimize,
};
use super::stream_plan::{NodeKind, StreamPlan};
use super::windowed_text::windowed_help;
use super::windows::check_windows_per_row;
use super::zones::in_zone;
use crate::catalog::{Catalog, Column, Table, View};
use crate::connectors::SinkFactory;
use crate::error::{Error, Result};
use crate::expressions::type_name;
use crate::operators::LATE_COLUMNS;
use crate::sql::{Insert, ObjectName, SqlType};
use crate::stream::Zone;

/// A job that can be run.
#[derive(Debug, Clone)]
pub struct Planned {
    pub stream: StreamPlan,
    /// The logical plan of each INSERT, optimised.
    pub logical: Vec<LogicalPlan>,
    /// What the user should hear.
    pub warnings: Vec<String>,
    /// Whether all input ends by itself.
    pub is_bounded: bool,
    /// Whether rows of a source come as they happen.
    pub is_live: bool,
    /// Whether rows of a SELECT may be taken back.
    pub is_updating: bool,
    /// The upsert keys of a SELECT's rows, each as columns by index.
    pub keys: Vec<Vec<usize>>,
    /// The columns of a SELECT that are shown.
    pub schema: SchemaRef,
    /// The columns that its rows come with.
    pub all: SchemaRef,
    /// How the rows of a SELECT are to be shown. They come as the stream makes them, with all columns that this needs.
    pub arrangement: Arrangement,
}

/// A SELECT or an INSERT as a logical plan, for batch mode.
#[derive(Debug, Clone)]
pub struct LogicalQuery {
    pub plan: LogicalPlan,
    pub schema: SchemaRef,
    pub warnings: Vec<String>,
}

impl LogicalQuery {
    /// The query, unless it puts a row into more than `most` windows.
    pub fn with_windows_per_row(self, most: usize) -> Result<Self> {
        check_windows_per_row(&self.plan, most)?;
        Ok(self)
    }
}

/// Plans one INSERT, or the INSERTs of a statement set, as one job.
pub fn plan_inserts(inserts: &[Insert], catalog: &Catalog, settings: &PlanSettings) -> Result<Planned> {
    let (mut bound, mut logical, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for insert in inserts {
        let target = insert_target(insert, catalog)?;
        let late = late_sink(insert.late.as_ref(), catalog)?;
        let query = bind_insert(insert, catalog, late.as_ref(), settings.zone, settings.type_lengths)?
            .with_windows_per_row(settings.windows_per_row)?;
        warnings.extend(query.warnings);
        bound.push((target, late, insert));
        logical.push(query.plan);
    }
    let mut lowering = lowering(&logical, settings)?;
    for (plan, (target, late, insert)) in logical.iter().zip(&bound) {
        let blamed = |error| inner_order::blamed(error, plan, &insert.query, true).with_span(insert.span);
        lowering.insert(plan, target, late.as_ref(), insert.on_conflict).map_err(|error| {
            let is_refused = error.id() == Some(APPEND_ONLY);
            let help = is_refused.then(|| windowed_help(insert, catalog, settings)).flatten();
            blamed(match help {
                Some(help) => error.with_help(help),
                None => error,
            })
        })?;
    }
    finish(lowering, logical, warnings, Arc::new(Schema::empty()))
}

/// Plans a SELECT whose rows go to `sink`. Its ORDER BY and LIMIT are left to whoever reads them there.
pub fn plan_query(
    statement: &ast::Query,
    late: Option<&ObjectName>,
    catalog: &Catalog,
    settings: &PlanSettings,
    sink: Arc<dyn SinkFactory>,
) -> Result<Planned> {
    let late = late_sink(late, catalog)?;
    let mut binder = QueryBinder::new(catalog);
    binder.late_columns = late_columns(late.as_ref());
    let bound = told(binder.query(statement)?, settings.zone)?;
    let columns: Vec<ScopeColumn> = bound.scope.visible().cloned().collect();
    check_windows_per_row(&bound.plan, settings.windows_per_row)?;
    if let Some(column) = columns.iter().find(|column| column.data_type == DataType::Null) {
        return Err(at(Error::query("Illegal use of 'NULL'"), statement)
            .with_help(format!("give `{}` a type: CAST(NULL AS INT)", column.name)));
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let (arrangement, plan) = Arrangement::take_off(bound.plan.clone(), &names)?;
    let plan = optimize(plan)?;
    let target = SinkTarget {
        table: "collect".to_owned(),
        signature: String::new(),
        factory: sink,
        schema: nullable(plan.schema().inner()),
        primary_key: Vec::new(),
    };
    let mut lowering = lowering(std::slice::from_ref(&plan), settings)?;
    lowering
        .insert(&plan, &target, late.as_ref(), None)
        .map_err(|error| inner_order::blamed(error, &plan, statement, false))?;
    let fields = columns.iter().map(|column| Field::new(&column.name, column.data_type.clone(), column.nullable));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let logical = plain(bound, &columns)?;
    let all = nullable(plan.schema().inner());
    let planned = Planned { arrangement, all, ..finish(lowering, vec![logical], binder.warnings, schema)? };
    check_arrangement(&planned, statement)?;
    Ok(planned)
}

/// The plan of a job that these queries are to be lowered into.
fn lowering<'s>(plans: &[LogicalPlan], settings: &'s PlanSettings) -> Result<Lowering<'s>> {
    let mut lowering = Lowering::new(settings);
    if settings.reuse_sources {
        lowering.share_sources(plans)?;
    }
    Ok(lowering)
}

/// Refuses an order or a number of rows that only an end of the rows could give.
fn check_arrangement(planned: &Planned, query: &ast::Query) -> Result<()> {
    let Arrangement { keys, limit, .. } = &planned.arrangement;
    if planned.is_bounded {
        return Ok(());
    }
    let over_what_ends = "over input that ends it works: files, stdin, rows of datagen up to 'number-of-rows'";
    if !keys.is_empty() {
        let what = match limit {
            Some(_) => "ORDER BY with LIMIT over unbounded input (Top-N)",
            None => "ORDER BY over unbounded input",
        };
        return Err(inner_order::at_order(not_built(what), query)
            .with_help(over_what_ends)
            .with_help("the first rows that come: SELECT … LIMIT 5, which ends the query"));
    }
    if limit.is_some() && planned.is_updating {
        return Err(inner_order::at_limit(not_built("LIMIT over unbounded rows that change (Top-N)"), query)
            .with_help(over_what_ends)
            .with_help("rows of windows (TUMBLE, HOP) never change: LIMIT over them ends the query"));
    }
    Ok(())
}

/// A SELECT as a logical plan with exactly its visible columns.
pub fn bind_select(query: &ast::Query, catalog: &Catalog, zone: Zone) -> Result<LogicalQuery> {
    let mut binder = QueryBinder::new(catalog);
    let bound = told(binder.query(query)?, zone)?;
    let columns: Vec<ScopeColumn> = bound.scope.visible().cloned().collect();
    let fields = columns.iter().map(|column| Field::new(&column.name, column.data_type.clone(), column.nullable));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Ok(LogicalQuery { plan: plain(bound, &columns)?, schema, warnings: binder.warnings })
}

/// A query that knows the session's zone.
fn told(bound: BoundQuery, zone: Zone) -> Result<BoundQuery> {
    Ok(BoundQuery { plan: in_zone(bound.plan, zone)?, scope: bound.scope })
}

/// The plan of a query with exactly these columns of it.
fn plain(bound: BoundQuery, columns: &[ScopeColumn]) -> Result<LogicalPlan> {
    let columns = columns.iter().map(|column| Expr::Column(PlanColumn::new_unqualified(&column.name)));
    optimize(projection(bound, columns.collect())?)
}

/// An INSERT's query as a logical plan with exactly the sink's columns.
pub fn bind_insert(
    insert: &Insert,
    catalog: &Catalog,
    late: Option<&LateSink>,
    zone: Zone,
    lengths: TypeLengths,
) -> Result<LogicalQuery> {
    let table = catalog.table(&insert.target)?;
    let mut binder = QueryBinder::new(catalog);
    binder.late_columns = late_columns(late);
    let bound = binder.query(&insert.query)?;
    let given: Vec<ScopeColumn> = bound.scope.visible().cloned().collect();
    let stored: Vec<&Column> = table.stored().collect();
    let named: Vec<&Column> = if insert.columns.is_empty() {
        stored.clone()
    } else {
        let column =
            |name: &String| {
                stored.iter().find(|column| column.name == *name).copied().ok_or_else(|| {
                    Error::query(format!("Unknown target column '{name}'")).with_span(insert.target.span)
                })
            };
        insert.columns.iter().map(column).collect::<Result<_>>()?
    };
    let mismatch = |why: &str| {
        let schema = |columns: Vec<String>| format!("[{}]", columns.join(", "));
        Error::query(format!(
            "Column types of query result and sink for '{}' do not match.\nCause: {why}\n\nQuery schema: {}\nSink schema:  {}",
            table.name,
            schema(given.iter().map(|column| format!("{}: {}", column.name, type_name(&column.data_type))).collect()),
            schema(named.iter().map(|column| format!("{}: {}", column.name, column.data_type)).collect())
        ))
        .with_span(insert.span)
    };
    if given.len() != named.len() {
        return Err(mismatch("Different number of columns."));
    }
    let mut expressions = Vec::new();
    for column in &stored {
        let place = named.iter().position(|known| known.name == column.name);
        let typed = match place {
            Some(place) => {
                let source = &given[place];
                if !is_implicit(&source.data_type, &column.data_type.arrow()) {
                    return Err(mismatch(&format!(
                        "Incompatible types for sink column '{}' at position {place}.",
                        column.name
                    ))
                    .with_help(format!("write CAST({} AS {})", source.name, column.data_type)));
                }
                let expression = Expr::Column(PlanColumn::new_unqualified(&source.name));
                let declared = source.declared.clone();
                Typed { declared, ..Typed::new(expression, source.data_type.clone(), source.nullable) }
            }
            None => Typed::new(datafusion::prelude::lit(datafusion::scalar::ScalarValue::Null), DataType::Null, true),
        };
        let typed = written(typed, &column.data_type, lengths)?;
        expressions.push(typed.expression.alias(&column.name));
    }
    let schema = nullable(&stored_schema(table));
    let plan = projection(bound, expressions)?;
    Ok(LogicalQuery { plan: optimize(in_zone(plan, zone)?)?, schema, warnings: binder.warnings })
}

/// A value as a column of the sink. One that was declared with the column's type is not converted: whether it has the length
/// of that type is another matter.
fn written(typed: Typed, to: &SqlType, lengths: TypeLengths) -> Result<Typed> {
    match lengths {
        _ if typed.declared.as_ref() != Some(to) => cast_to_sql(typed, to, false),
        TypeLengths::Ignore => Ok(typed),
        TypeLengths::TrimPad => cast_to_sql(typed, to, false),
        TypeLengths::Error => with_length(typed, to),
    }
}

/// The table of late rows, if the statement names one.
fn late_sink(name: Option<&ObjectName>, catalog: &Catalog) -> Result<Option<LateSink>> {
    let sink = |name: &ObjectName| Ok(LateSink { target: sink_target(catalog.table(name)?)?, span: name.span });
    name.map(sink).transpose()
}

/// The columns that it wants of the rows themselves.
fn late_columns(late: Option<&LateSink>) -> Vec<String> {
    let names = late.into_iter().flat_map(|late| late.target.schema.fields()).map(|field| field.name().clone());
    names.filter(|name| !LATE_COLUMNS.contains(&name.as_str())).collect()
}

/// The type of an expression over columns of a table: for computed columns and watermarks.
pub fn type_of(expression: &ast::Expr, columns: &[Column]) -> Result<(SqlType, bool)> {
    let columns = columns.iter().map(|column| ScopeColumn {
        declared: Some(column.data_type.clone()),
        ..ScopeColumn::new(&column.name, column.data_type.arrow(), column.nullable)
    });
    let scope = Scope { columns: columns.collect() };
    let typed = Binder::new(&scope).bind(expression)?;
    Ok((typed.declared.unwrap_or_else(|| sql_type(&typed.data_type)), typed.nullable))
}

/// Checks a view's query.
pub fn check_view(view: &View, catalog: &Catalog) -> Result<()> {
    let bound = QueryBinder::new(catalog).query(&view.query)?;
    let columns = bound.scope.visible().count();
    if !view.columns.is_empty() && view.columns.len() != columns {
        return Err(Error::query(format!(
            "view `{}` names {} columns for a query of {columns}",
            view.name,
            view.columns.len()
        )));
    }
    Ok(())
}

/// The columns of a view: name, type, whether it can be NULL.
pub fn view_columns(view: &View, catalog: &Catalog) -> Result<Vec<(String, String, bool)>> {
    let bound = QueryBinder::new(catalog).query(&view.query)?;
    let columns = bound.scope.visible().enumerate().map(|(index, column)| {
        let name = view.columns.get(index).unwrap_or(&column.name).clone();
        let rowtime = match (column.is_rowtime, column.is_proctime) {
            (true, _) => " *ROWTIME*",
            (_, true) => " *PROCTIME*",
            _ => "",
        };
        // A row whose event time is NULL is refused when it is read; the declared type takes NULL all the same.
        let nullable = column.nullable || column.is_rowtime;
        let data_type = column.declared.as_ref().map_or_else(|| type_name(&column.data_type), SqlType::to_string);
        (name, format!("{data_type}{rowtime}"), nullable)
    });
    Ok(columns.collect())
}

/// The columns of a query as those of a table: name, type, whether it can be NULL.
pub fn query_columns(query: &ast::Query, catalog: &Catalog) -> Result<Vec<(String, SqlType, bool)>> {
    let bound = QueryBinder::new(catalog).query(query)?;
    let columns = bound.scope.visible().map(|column| {
        if column.data_type == DataType::Null {
            return Err(at(Error::query("Illegal use of 'NULL'"), query)
                .with_help(format!("give `{}` a type: CAST(NULL AS INT)", column.name)));
        }
        let name = column.duplicate_of.as_ref().unwrap_or(&column.name).clone();
        let data_type = column.declared.clone().unwrap_or_else(|| sql_type(&column.data_type));
        Ok((name, data_type, column.nullable || column.is_rowtime))
    });
    columns.collect()
}

/// The target of an INSERT, with the options of its hint.
pub fn insert_target(insert: &Insert, catalog: &Catalog) -> Result<SinkTarget> {
    let table = catalog.table(&insert.target)?;
    if insert.options.is_empty() {
        return sink_target(table);
    }
    let table = table.with_options(insert.options.clone()).map_err(|error| error.with_span(insert.target.span))?;
    sink_target(&Arc::new(table))
}

/// A table as somewhere to write.
pub fn sink_target(table: &Arc<Table>) -> Result<SinkTarget> {
    let schema = stored_schema(table);
    let primary_key = table.primary_key.iter().filter_map(|key| schema.index_of(key).ok()).collect();
    let (table, signature, factory) = (table.name.clone(), table.signature(), table.sink()?);
    Ok(SinkTarget { table, signature, factory, schema, primary_key })
}

fn stored_schema(table: &Table) -> SchemaRef {
    Arc::new(Schema::new(table.stored().map(Column::field).collect::<Vec<_>>()))
}

fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn projection(bound: BoundQuery, expressions: Vec<Expr>) -> Result<LogicalPlan> {
    let projection = Projection::try_new(expressions, Arc::new(bound.plan)).map_err(super::bind::bug)?;
    Ok(LogicalPlan::Projection(projection))
}

fn finish(
    lowering: Lowering<'_>,
    logical: Vec<LogicalPlan>,
    warnings: Vec<String>,
    schema: SchemaRef,
) -> Result<Planned> {
    let stream = lowering.finish();
    check_read_once(&stream)?;
    let sinks = || stream.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Sink(_)));
    Ok(Planned {
        is_bounded: is_bounded(&stream),
        is_live: is_live(&stream),
        is_updating: sinks().any(|node| !node.mode.is_append()),
        keys: sinks().next().map_or_else(Vec::new, |node| node.keys.clone()),
        arrangement: Arrangement::none(schema.fields().len()),
        stream,
        logical,
        warnings,
        all: SchemaRef::clone(&schema),
        schema,
    })
}
