//! Our logical plan as one that DataFusion can run: tables opened by us, no watermarks.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Extension, Filter, LogicalPlan, LogicalPlanBuilder, Projection,
};
use datafusion::prelude::lit;

use super::aggregates::with_kernel;
use super::table::BatchTable;
use super::{BatchOptions, Tally};
use crate::connectors::World;
use crate::error::{Error, Result};
use crate::expressions::{
    Call, FLOAT_BITS, FLOAT_OF_BITS, at_moment, condition, external, moment, reads_now, scalar_error,
};
use crate::plan::nodes::WindowNode;
use crate::plan::process::ProcessNode;
use crate::plan::state_ttl::StateTtlNode;
use crate::plan::{conditions_below_sessions, constant_rows, only_once, optimize, source_node};
use crate::stream::{EventTime, PROCTIME_COLUMN, WATERMARK_COLUMN};

/// The plan for batch mode, with the same columns.
pub(super) fn for_batch(
    plan: &LogicalPlan,
    world: &World,
    options: BatchOptions,
    tally: &Arc<Tally>,
) -> Result<LogicalPlan> {
    let plan = Rewrite { world, options, tally }.plan(plan)?;
    // A batch happens at one moment.
    let now_ms = world.clock.now().0;
    let plan = plan.transform_up(|plan| {
        plan.map_expressions(|expression| match reads_now(&expression) {
            true => at_moment(expression, now_ms).map(Transformed::yes).map_err(external),
            false => Ok(Transformed::no(expression)),
        })
    });
    // Windows bring columns that nobody may read.
    optimize(plan.map_err(scalar_error)?.data)
}

/// Refuses plans that would never end, over a table that does not or over windows that the clock closes, and those that only
/// run as a stream.
pub(super) fn check_end(plan: &LogicalPlan) -> Result<()> {
    if let Some(window) = WindowNode::of(plan).filter(|window| window.by_clock) {
        return Err(Error::query("windows over processing time need a stream: a batch has one moment")
            .with_span(window.span)
            .with_help("SET 'execution.runtime-mode' = 'streaming'"));
    }
    if let Some(process) = ProcessNode::of(plan) {
        return Err(Error::query(format!(
            "process function {} is not built yet for batch mode",
            process.function.name
        ))
        .with_span(process.span)
        .with_help("SET 'execution.runtime-mode' = 'streaming'"));
    }
    match source_node(plan)? {
        None => plan.inputs().into_iter().try_for_each(check_end),
        Some((node, _)) if !node.factory.is_bounded() => {
            Err(Error::query(format!("table `{}` is unbounded, so a batch over it would never end", node.table))
                .with_help("SET 'execution.runtime-mode' = 'streaming'")
                .with_help("or bound it, as with 'number-of-rows' for datagen"))
        }
        Some(_) => Ok(()),
    }
}

/// Refuses plans that would read a table twice whose rows can be read only once, or one that needs what the world does
/// not have.
pub(super) fn check_sources(plan: &LogicalPlan, world: &World, seen: &mut BTreeSet<String>) -> Result<()> {
    let Some((node, _)) = source_node(plan)? else {
        return plan.inputs().into_iter().try_for_each(|input| check_sources(input, world, seen));
    };
    node.factory.check(world).map_err(|error| error.context(format_args!("table `{}`", node.table)))?;
    match node.factory.reads_once() && !seen.insert(node.table.clone()) {
        true => Err(only_once(&node.table)),
        false => Ok(()),
    }
}

struct Rewrite<'a> {
    world: &'a World,
    options: BatchOptions,
    tally: &'a Arc<Tally>,
}

impl Rewrite<'_> {
    fn plan(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        if let Some(source) = self.source(plan)? {
            return Ok(source);
        }
        match plan {
            LogicalPlan::Values(values) => {
                let rows = constant_rows(values)?;
                let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(scalar_error)?;
                scan("VALUES", Arc::new(table), plan.schema(), 0)
            }
            LogicalPlan::Extension(_) if let Some(hint) = StateTtlNode::of(plan) => self.plan(&hint.input),
            LogicalPlan::Extension(Extension { node }) => {
                let inputs = node.inputs().into_iter().map(|input| self.plan(input)).collect::<Result<_>>()?;
                let node = node.with_exprs_and_inputs(node.expressions(), inputs).map_err(scalar_error)?;
                Ok(LogicalPlan::Extension(Extension { node }))
            }
            LogicalPlan::Filter(filter) => {
                let predicate = condition(std::slice::from_ref(&filter.predicate))?;
                let predicate = predicate.ok_or_else(|| Error::bug("a filter without a condition"))?;
                let input = Arc::new(self.plan(&filter.input)?);
                Ok(LogicalPlan::Filter(Filter::try_new(predicate, input).map_err(scalar_error)?))
            }
            LogicalPlan::Aggregate(aggregate) => {
                let input = match conditions_below_sessions(aggregate)? {
                    Some(input) => self.plan(&input)?,
                    None => self.plan(&aggregate.input)?,
                };
                let input = Arc::new(input);
                let calls = aggregate.aggr_expr.iter().cloned();
                let calls = calls.map(|call| with_kernel(call, aggregate.input.schema().as_ref()));
                let calls = calls.collect::<DataFusionResult<_>>().map_err(scalar_error)?;
                grouped(input, &aggregate.group_expr, calls).map_err(scalar_error)
            }
            other => {
                let inputs = other.inputs().into_iter().map(|input| self.plan(input)).collect::<Result<Vec<_>>>()?;
                // Columns and types are what they were, so that the node's own schema holds.
                let mut inputs = inputs.into_iter();
                let replaced = other.clone().map_children(|_| match inputs.next() {
                    Some(input) => Ok(Transformed::yes(input)),
                    None => Err(DataFusionError::Internal("a node has more children than inputs".into())),
                });
                Ok(replaced.map_err(scalar_error)?.data)
            }
        }
    }

    /// A table with its computed columns and its watermark: nothing is late for a batch, so no row meets a watermark.
    fn source(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let Some((node, schema)) = source_node(plan)? else { return Ok(None) };
        let name = node.table.clone();
        let table = BatchTable::new(node, schema, self.world.clone(), self.options, Arc::clone(self.tally));
        Ok(Some(scan(&name, Arc::new(table), plan.schema(), self.world.clock.now().0)?))
    }
}

/// A scan whose columns are named as in `schema`, with the hidden columns where that has them.
fn scan(name: &str, table: Arc<dyn TableProvider>, schema: &DFSchema, now_ms: i64) -> Result<LogicalPlan> {
    let table_name = TableReference::bare(name);
    let scan = LogicalPlanBuilder::scan(table_name.clone(), provider_as_source(table), None);
    let scan = scan.and_then(LogicalPlanBuilder::build).map_err(scalar_error)?;
    let columns = schema.iter().map(|(qualifier, field)| {
        if field.name() == WATERMARK_COLUMN {
            return lit(EventTime::NONE.0).alias(WATERMARK_COLUMN);
        }
        if field.name() == PROCTIME_COLUMN {
            return lit(moment(now_ms)).alias(PROCTIME_COLUMN);
        }
        let column = Expr::Column(Column::new(Some(table_name.clone()), field.name()));
        column.alias_qualified(qualifier.cloned(), field.name())
    });
    let projection = Projection::try_new(columns.collect(), Arc::new(scan)).map_err(scalar_error)?;
    Ok(LogicalPlan::Projection(projection))
}

/// Groups with the keys that Flink tells apart: DataFusion takes 0.0 and -0.0 for one key, so that floats are grouped by
/// their bits.
fn grouped(input: Arc<LogicalPlan>, keys: &[Expr], calls: Vec<Expr>) -> DataFusionResult<LogicalPlan> {
    let bits_of = |key: &Expr| -> DataFusionResult<Option<(DataType, DataType)>> {
        Ok(match key.get_type(input.schema())? {
            DataType::Float32 => Some((DataType::Int32, DataType::Float32)),
            DataType::Float64 => Some((DataType::Int64, DataType::Float64)),
            _ => None,
        })
    };
    let types = keys.iter().map(bits_of).collect::<DataFusionResult<Vec<_>>>()?;
    if types.iter().all(Option::is_none) {
        return Ok(LogicalPlan::Aggregate(Aggregate::try_new(input, keys.to_vec(), calls)?));
    }
    let name = |index: usize| format!("$bits{index}");
    let function = |function, output: &DataType, argument: Expr| {
        Call::new(function, output.clone(), true, Vec::new()).on(vec![argument])
    };
    let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut by_bits = keys.to_vec();
    for (index, (key, types)) in by_bits.iter_mut().zip(&types).enumerate() {
        if let Some((bits, _)) = types {
            columns.push(function(&FLOAT_BITS, bits, key.clone()).alias(name(index)));
            *key = Expr::Column(Column::new_unqualified(name(index)));
        }
    }
    let input = Arc::new(LogicalPlan::Projection(Projection::try_new(columns, input)?));
    let groups = Aggregate::try_new(input, by_bits, calls)?;
    let outputs = groups.schema.columns().into_iter().enumerate().map(|(index, column)| {
        let column = Expr::Column(column);
        match (keys.get(index), types.get(index)) {
            (Some(key), Some(Some((_, float)))) => {
                let (qualifier, field_name) = key.qualified_name();
                function(&FLOAT_OF_BITS, float, column).alias_qualified(qualifier, field_name)
            }
            _ => column,
        }
    });
    let outputs = outputs.collect();
    let projection = Projection::try_new(outputs, Arc::new(LogicalPlan::Aggregate(groups)))?;
    Ok(LogicalPlan::Projection(projection))
}
