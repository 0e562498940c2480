//! Relations out of relations: projection, filter, groups, union, order, each with the scope of its columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{
    Aggregate, Expr, Filter, Limit, LogicalPlan, Projection, Sort, SortExpr, Union, Values,
};
use datafusion::prelude::lit;
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::aggregation::Aggregation;
use super::conversion::{cast, to_one_type};
use super::expression::Binder;
use super::scope::{Scope, ScopeColumn, WindowColumn};
use super::typed::Typed;
use super::{at, bug, not_built};
use crate::error::{Error, Result};
use crate::expressions::{CANONICAL, Call, common_type_of_rows, has_map, type_name};
use crate::plan::expand::{GROUPING_COLUMN, expand_node, key_column};
use crate::plan::random::drawn;
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN};

/// A plan and the scope of its columns, field by field.
#[derive(Debug, Clone)]
pub struct BoundQuery {
    pub plan: LogicalPlan,
    pub scope: Scope,
}

/// `… AS alias (columns)`.
pub fn aliased(bound: BoundQuery, alias: Option<&ast::TableAlias>) -> Result<BoundQuery> {
    let Some(alias) = alias else { return Ok(bound) };
    let columns: Vec<String> = alias.columns.iter().map(|column| column.name.value.clone()).collect();
    let mut bound = rename(bound, &columns).map_err(|error| at(error, alias))?;
    bound.scope.set_table(Some(&alias.name.value));
    Ok(bound)
}

/// New names for all visible columns; none for the names they have.
pub fn rename(bound: BoundQuery, names: &[String]) -> Result<BoundQuery> {
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
    // The rows of VALUES take their names at once, so that an error about a row tells those that the query uses.
    if let LogicalPlan::Values(values) = bound.plan {
        let columns = visible.into_iter().zip(names);
        let columns = columns.map(|(column, name)| ScopeColumn { name: name.clone(), ..column }).collect();
        let scope = Scope { columns };
        let plan = LogicalPlan::Values(Values { schema: Arc::new(df_schema(&scope)?), values: values.values });
        return Ok(BoundQuery { plan, scope });
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
    let mut scope = Scope { columns: Vec::new() };
    for (typed, column) in columns {
        let is_itself = matches!(&typed.expression, Expr::Column(source) if source.name == column.name);
        expressions.push(if is_itself { typed.expression } else { typed.expression.alias(&column.name) });
        scope.columns.push(column);
    }
    if input.scope.has_proctime() {
        expressions.push(Expr::Column(Column::new_unqualified(PROCTIME_COLUMN)));
        scope.columns.push(ScopeColumn::proctime());
    }
    if input.scope.has_watermark() {
        expressions.push(Expr::Column(Column::new_unqualified(WATERMARK_COLUMN)));
        scope.columns.push(ScopeColumn::new(WATERMARK_COLUMN, DataType::Int64, true));
    }
    Ok(BoundQuery { plan: projected(expressions, input.plan)?, scope })
}

/// Columns over those of a plan; what is random in them is drawn below them.
fn projected(expressions: Vec<Expr>, input: LogicalPlan) -> Result<LogicalPlan> {
    let (expressions, input) = drawn(expressions, input)?;
    Ok(LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(input)).map_err(bug)?))
}

/// The rows for which a condition holds.
pub fn filter(input: BoundQuery, condition: Typed) -> Result<BoundQuery> {
    let (mut conditions, plan) = drawn(vec![condition.expression], input.plan)?;
    let condition = conditions.pop().ok_or_else(|| Error::bug("a condition that went"))?;
    let filter = Filter::try_new(condition, Arc::new(plan)).map_err(bug)?;
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
        let expression = key_value(expression, name, aggregation);
        let is_itself = matches!(&expression, Expr::Column(column) if column.name == *name);
        expressions.push(if is_itself { expression } else { expression.alias(name) });
    }
    if input.scope.has_watermark() {
        expressions.push(Expr::Column(Column::new_unqualified(WATERMARK_COLUMN)));
    }
    if expressions.is_empty() {
        // COUNT(*) alone reads no column, but rows there must be.
        expressions.push(lit(true).alias("$row"));
    }
    let computed = projected(expressions, input.plan)?;
    let (computed, keys) = grouping_keys(computed, aggregation)?;
    let calls = aggregation.calls().iter().map(|call| call.expression.clone().alias(&call.column.name)).collect();
    let aggregate = Aggregate::try_new(Arc::new(computed), keys, calls).map_err(bug)?;
    let plan = under_own_names(aggregate, aggregation)?;
    let columns = aggregation.keys().iter().map(|key| key.column.clone());
    let mut columns: Vec<ScopeColumn> =
        columns.chain(aggregation.calls().iter().map(|call| call.column.clone())).collect();
    let is_window = [WindowColumn::Start, WindowColumn::End]
        .iter()
        .all(|bound| columns.iter().any(|column| column.window == Some(*bound)));
    columns.iter_mut().for_each(|column| {
        column.is_rowtime &= is_window;
        column.is_proctime = false;
        column.window = column.window.filter(|_| is_window);
    });
    if aggregation.grouping_sets().is_some() {
        columns.push(ScopeColumn::new(GROUPING_COLUMN, DataType::Int64, false));
    }
    let mut bound = BoundQuery { plan, scope: Scope { columns } };
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

/// A computed column of the rows that are grouped: the entries of the maps in a key stand in one order, so that equal maps
/// are one key.
fn key_value(expression: &Expr, name: &str, aggregation: &Aggregation) -> Expr {
    let key = aggregation.keys().iter().find(|key| key.column.name == name);
    match key.filter(|key| has_map(&key.column.data_type)) {
        Some(key) => {
            let call = Call::new(&CANONICAL, key.column.data_type.clone(), key.column.nullable, Vec::new());
            call.on(vec![expression.clone()])
        }
        None => expression.clone(),
    }
}

/// The rows that are grouped, and the columns that they are grouped by: of grouping sets those that some set leaves out
/// have columns of their own, and the number of the set is a key.
fn grouping_keys(computed: LogicalPlan, aggregation: &Aggregation) -> Result<(LogicalPlan, Vec<Expr>)> {
    let column = |name: &str| Expr::Column(Column::new_unqualified(name));
    let names: Vec<&String> = aggregation.keys().iter().map(|key| &key.column.name).collect();
    let Some(sets) = aggregation.grouping_sets() else {
        return Ok((computed, names.into_iter().map(|name| column(name)).collect()));
    };
    let expanded = partial_keys(aggregation, sets);
    let has = sets.iter().map(|set| expanded.iter().map(|key| set.contains(key)).collect()).collect();
    let keys = names.iter().enumerate().map(|(index, name)| match expanded.iter().position(|key| *key == index) {
        Some(place) => column(&key_column(place)),
        None => column(name),
    });
    let keys = keys.chain([column(GROUPING_COLUMN)]).collect();
    let names = expanded.iter().map(|key| names[*key].clone()).collect();
    Ok((expand_node(computed, names, has)?, keys))
}

/// The keys that some set leaves out.
fn partial_keys(aggregation: &Aggregation, sets: &[Vec<usize>]) -> Vec<usize> {
    (0..aggregation.keys().len()).filter(|key| sets.iter().any(|set| !set.contains(key))).collect()
}

/// Groups with their keys under their own names: keys, calls, and of grouping sets the number of the set.
fn under_own_names(aggregate: Aggregate, aggregation: &Aggregation) -> Result<LogicalPlan> {
    let Some(sets) = aggregation.grouping_sets() else { return Ok(LogicalPlan::Aggregate(aggregate)) };
    let expanded = partial_keys(aggregation, sets);
    let column = |name: &str| Expr::Column(Column::new_unqualified(name));
    let mut columns = Vec::new();
    for (index, key) in aggregation.keys().iter().enumerate() {
        columns.push(match expanded.iter().position(|key| *key == index) {
            Some(place) => column(&key_column(place)).alias(&key.column.name),
            None => column(&key.column.name),
        });
    }
    columns.extend(aggregation.calls().iter().map(|call| column(&call.column.name)));
    columns.push(column(GROUPING_COLUMN));
    let plan = Arc::new(LogicalPlan::Aggregate(aggregate));
    Ok(LogicalPlan::Projection(Projection::try_new(columns, plan).map_err(bug)?))
}

/// DISTINCT is a GROUP BY of all columns.
pub fn distinct(bound: BoundQuery) -> Result<BoundQuery> {
    let scope = bound.scope.clone();
    let mut aggregation = Aggregation::default();
    for column in scope.visible() {
        let expression = Expr::Column(Column::new_unqualified(&column.name));
        aggregation.add_key(Typed::new(expression, column.data_type.clone(), column.nullable), &scope);
    }
    aggregate(bound, &aggregation)
}

/// Refuses queries with different numbers of columns. `operator` is what is written between them.
pub fn check_width(operator: &str, left: &BoundQuery, right: &BoundQuery) -> Result<()> {
    let (one, two) = (left.scope.visible().count(), right.scope.visible().count());
    if one != two {
        return Err(Error::query(format!("Column count mismatch in {operator}: {one} and {two}")));
    }
    Ok(())
}

/// The rows of both queries: columns by position, brought to a common type, with the names of the first. `operator` is
/// what is written.
pub fn union(operator: &str, left: BoundQuery, right: BoundQuery) -> Result<BoundQuery> {
    let keep_proctime = left.scope.has_proctime() && right.scope.has_proctime();
    let keep_watermark = left.scope.has_watermark() && right.scope.has_watermark();
    let (one, two): (Vec<_>, Vec<_>) =
        (left.scope.visible().cloned().collect(), right.scope.visible().cloned().collect());
    check_width(operator, &left, &right)?;
    let mut columns = Vec::new();
    for (first, second) in one.iter().zip(&two) {
        let data_type = common_type_of_rows(&first.data_type, &second.data_type).ok_or_else(|| {
            Error::query(format!(
                "Type mismatch in column `{}` of {operator}: {} and {}",
                first.name,
                type_name(&first.data_type),
                type_name(&second.data_type)
            ))
            .with_help(to_one_type(&first.data_type, &second.data_type))
        })?;
        // A time that is converted is no time attribute any more.
        let is_one_type = first.data_type == second.data_type;
        columns.push(ScopeColumn {
            name: first.name.clone(),
            data_type,
            nullable: first.nullable || second.nullable,
            declared: first.declared.clone().filter(|_| first.declared == second.declared),
            is_rowtime: first.is_rowtime && second.is_rowtime && keep_watermark && is_one_type,
            is_proctime: first.is_proctime && second.is_proctime && is_one_type,
            window: None,
            duplicate_of: first.duplicate_of.clone(),
            table: None,
        });
    }
    let side = |bound: BoundQuery, own: &[ScopeColumn]| -> Result<LogicalPlan> {
        let mut expressions = Vec::new();
        for (own, common) in own.iter().zip(&columns) {
            let expression = Expr::Column(Column::new_unqualified(&own.name));
            let typed = cast(Typed::new(expression, own.data_type.clone(), own.nullable), &common.data_type)?;
            expressions.push(typed.expression.alias(&common.name));
        }
        let hidden = [(keep_proctime, PROCTIME_COLUMN), (keep_watermark, WATERMARK_COLUMN)];
        let hidden = hidden.into_iter().filter(|(is_kept, _)| *is_kept);
        expressions.extend(hidden.map(|(_, name)| Expr::Column(Column::new_unqualified(name))));
        Ok(LogicalPlan::Projection(Projection::try_new(expressions, Arc::new(bound.plan)).map_err(bug)?))
    };
    let inputs = vec![Arc::new(side(left, &one)?), Arc::new(side(right, &two)?)];
    let mut scope = Scope { columns };
    if keep_proctime {
        scope.columns.push(ScopeColumn::proctime());
    }
    if keep_watermark {
        scope.columns.push(ScopeColumn::new(WATERMARK_COLUMN, DataType::Int64, true));
    }
    let schema = Arc::new(df_schema(&scope)?);
    Ok(BoundQuery { plan: LogicalPlan::Union(Union { inputs, schema }), scope })
}

/// The hidden column of a key of ORDER BY.
pub fn order_column(key: usize) -> String {
    format!("$order{key}")
}

/// Sorts by the keys, of which those in `hidden` are hidden columns.
pub fn sort(input: BoundQuery, keys: &[ast::OrderByExpr], hidden: &[usize]) -> Result<BoundQuery> {
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
    let (drawn, below) = drawn(keys.iter().map(|key| key.expr.clone()).collect(), input.plan)?;
    let is_drawn = below.schema().fields().len() > input.scope.columns.len();
    let keys = keys.into_iter().zip(drawn).map(|(key, expr)| SortExpr { expr, ..key }).collect();
    let plan = LogicalPlan::Sort(Sort { expr: keys, input: Arc::new(below), fetch: None });
    let sorted = BoundQuery { plan, scope: input.scope };
    if is_drawn { only_visible(sorted) } else { Ok(sorted) }
}

/// The rows without hidden columns but those of time.
pub fn only_visible(input: BoundQuery) -> Result<BoundQuery> {
    let columns = input.scope.visible().cloned().map(|column| {
        let expression = Expr::Column(Column::new_unqualified(&column.name));
        (Typed::new(expression, column.data_type.clone(), column.nullable), column)
    });
    let columns = columns.collect();
    project(input, columns)
}

/// LIMIT and OFFSET.
pub fn limited(input: BoundQuery, limit: &ast::LimitClause) -> Result<BoundQuery> {
    let (rows, skip) = match limit {
        ast::LimitClause::LimitOffset { limit, offset, limit_by } if limit_by.is_empty() => {
            (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
        }
        ast::LimitClause::OffsetCommaLimit { offset, limit } => (Some(limit), Some(offset)),
        ast::LimitClause::LimitOffset { .. } => {
            return Err(not_built("LIMIT BY"));
        }
    };
    let limit = Limit { skip: row_count(skip)?, fetch: row_count(rows)?, input: Arc::new(input.plan) };
    Ok(BoundQuery { plan: LogicalPlan::Limit(limit), scope: input.scope })
}

/// FETCH FIRST n ROWS ONLY, which is LIMIT n; `input` has lost the rows of an OFFSET already.
pub fn fetched(input: BoundQuery, fetch: &ast::Fetch, limit: Option<&ast::LimitClause>) -> Result<BoundQuery> {
    if fetch.with_ties || fetch.percent {
        return Err(Error::query("FETCH … WITH TIES and PERCENT are not Flink's SQL"));
    }
    if matches!(limit, Some(ast::LimitClause::LimitOffset { limit: Some(_), .. })) {
        return Err(Error::query("LIMIT and FETCH say the same: one is enough"));
    }
    let rows = row_count(fetch.quantity.as_ref())?.or_else(|| Some(Box::new(lit(1_i64))));
    // An OFFSET is a LIMIT without a number so far.
    let (skip, below) = match input.plan {
        LogicalPlan::Limit(Limit { skip, fetch: None, input }) if limit.is_some() => (skip, input),
        plan => (None, Arc::new(plan)),
    };
    Ok(BoundQuery { plan: LogicalPlan::Limit(Limit { skip, fetch: rows, input: below }), scope: input.scope })
}

/// A number of rows, as LIMIT takes it.
fn row_count(expression: Option<&ast::Expr>) -> Result<Option<Box<Expr>>> {
    let Some(expression) = expression else { return Ok(None) };
    let typed = Binder::new(&Scope::default()).bind(expression)?;
    match typed.number.filter(|number| *number >= 0) {
        Some(number) => Ok(Some(Box::new(lit(number)))),
        None => Err(at(Error::query("LIMIT, OFFSET and FETCH take a whole number"), expression)),
    }
}

pub(super) fn df_schema(scope: &Scope) -> Result<DFSchema> {
    let fields = scope.columns.iter().map(|column| Field::new(&column.name, column.data_type.clone(), column.nullable));
    DFSchema::try_from(Schema::new(fields.collect::<Vec<_>>())).map_err(bug)
}
