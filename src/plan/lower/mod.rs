//! From a logical plan to the stream plan: which operators, in which tasks, with which exchange between them.
//!
//! A flow is a chain under construction. It is closed into a node of the plan where rows change task, where several
//! flows meet, and where late rows leave.

mod aggregate;
mod meaning;
mod sink;
mod source;

pub use sink::{LateSink, SinkTarget, is_implicit};
pub use source::{check_read_once, constant_rows, is_bounded, only_once, source_node};

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::bind::bug;
use super::nodes::{as_watermark, as_window};
use super::stream_plan::{ChangelogMode, Edge, Exchange, Node, NodeKind, Output, Parallelism, StreamPlan};
use crate::error::{Error, Result};
use crate::expressions::{compile, compile_condition};
use crate::operators::{CalcSpec, OperatorSpec};
use crate::stream::WATERMARK_COLUMN;

/// What planning has to know besides the query.
#[derive(Debug, Clone)]
pub struct PlanSettings {
    /// `table.exec.source.idle-timeout` in milliseconds; 0 = off.
    pub idle_timeout_ms: u64,
    /// `table.exec.sink.not-null-enforcer` = DROP.
    pub drop_nulls: bool,
    /// Rows of a batch of VALUES.
    pub batch_rows: usize,
}

/// Builds the plan of one job.
pub struct Lowering<'a> {
    settings: &'a PlanSettings,
    plan: StreamPlan,
    /// Outputs of rows that operators refuse for their time.
    late: Vec<LateOutput>,
}

/// An operator of the plan that can refuse rows.
struct LateOutput {
    node: usize,
    operator: usize,
    schema: SchemaRef,
}

/// A chain under construction.
struct Flow {
    /// What it reads: nodes of the plan.
    inputs: Vec<usize>,
    exchange: Exchange,
    parallelism: Parallelism,
    operators: Vec<Arc<dyn OperatorSpec>>,
    /// The columns that leave so far.
    schema: SchemaRef,
    mode: ChangelogMode,
    /// Whether it comes straight from sources through nothing but Calcs: its rows may then be dealt out to any task.
    is_fresh: bool,
}

impl Flow {
    fn push(&mut self, operator: Arc<dyn OperatorSpec>) {
        self.schema = operator.output();
        self.operators.push(operator);
    }
}

impl<'a> Lowering<'a> {
    pub fn new(settings: &'a PlanSettings) -> Self {
        Self { settings, plan: StreamPlan::default(), late: Vec::new() }
    }

    /// Rows of a logical plan. `watermark`: whether the hidden column is read above.
    fn lower(&mut self, plan: &LogicalPlan, watermark: bool) -> Result<Flow> {
        if let Some(flow) = self.source(plan, watermark)? {
            return Ok(flow);
        }
        match plan {
            LogicalPlan::Projection(projection) => {
                let (conditions, input) = conditions_below(&projection.input);
                let watermark = projection.expr.iter().chain(&conditions).any(reads_watermark);
                let mut flow = self.lower(input, watermark)?;
                let schema = plan.schema().as_arrow();
                calc(
                    &mut flow,
                    input,
                    &conditions,
                    &projection.expr,
                    schema.fields().iter().map(|field| field.name().as_str()),
                )?;
                Ok(flow)
            }
            LogicalPlan::Filter(_) => {
                let (conditions, input) = conditions_below(plan);
                let watermark = watermark || conditions.iter().any(reads_watermark);
                let mut flow = self.lower(input, watermark)?;
                // The hidden column is there or not, whatever the logical plan says.
                let names: Vec<String> = flow.schema.fields().iter().map(|field| field.name().clone()).collect();
                let columns: Vec<Expr> = names.iter().map(|name| Expr::Column(Column::new_unqualified(name))).collect();
                calc(&mut flow, input, &conditions, &columns, names.iter().map(String::as_str))?;
                Ok(flow)
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Union(union) => {
                let flows =
                    union.inputs.iter().map(|input| self.lower(input, watermark)).collect::<Result<Vec<_>>>()?;
                self.merge(flows)
            }
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::Extension(_) => match as_window(plan) {
                Some(window) => self.bare_window(window, watermark),
                None => Err(Error::bug("an extension that nobody lowers")),
            },
            LogicalPlan::Sort(_) => Err(bounded_only("ORDER BY")),
            LogicalPlan::Limit(_) => Err(bounded_only("LIMIT")),
            other => Err(Error::bug(format!("{} is not lowered", other.display()))),
        }
    }

    /// Closes a flow; returns the node that its rows leave.
    fn close(&mut self, flow: Flow) -> usize {
        if let ([only], true) = (flow.inputs.as_slice(), flow.operators.is_empty()) {
            return *only;
        }
        let index = self.plan.nodes.len();
        for (operator, spec) in flow.operators.iter().enumerate() {
            if let Some(schema) = spec.late() {
                self.late.push(LateOutput { node: index, operator, schema });
            }
        }
        let inputs = flow.inputs.iter();
        self.plan.nodes.push(Node {
            name: format!("chain-{index}"),
            kind: NodeKind::Chain(flow.operators),
            inputs: inputs
                .map(|from| Edge { from: *from, output: Output::Main, exchange: flow.exchange.clone(), port: 0 })
                .collect(),
            parallelism: flow.parallelism,
            schema: flow.schema,
            mode: flow.mode,
        });
        index
    }

    /// Rows of several flows in one, in no particular order of the flows.
    fn merge(&mut self, flows: Vec<Flow>) -> Result<Flow> {
        let first = flows.first().ok_or_else(|| Error::bug("a union of nothing"))?;
        // Names and nullability may differ between the sides; types do not.
        let fields = first.schema.fields().iter().enumerate().map(|(index, field)| {
            let nullable = flows.iter().any(|flow| flow.schema.field(index).is_nullable());
            Field::new(field.name(), field.data_type().clone(), nullable)
        });
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let same = flows.iter().all(|flow| flow.parallelism == first.parallelism);
        let mode = match flows.iter().any(|flow| flow.mode != ChangelogMode::Append) {
            true => ChangelogMode::Retract,
            false => ChangelogMode::Append,
        };
        let parallelism = if same { first.parallelism } else { Parallelism::One };
        let is_fresh = flows.iter().all(|flow| flow.is_fresh);
        let inputs = flows.into_iter().map(|flow| self.close(flow)).collect();
        let exchange = if same { Exchange::Forward } else { Exchange::Gather };
        Ok(Flow { inputs, exchange, parallelism, operators: Vec::new(), schema, mode, is_fresh })
    }

    /// A window function without an aggregation: each row once per window, at once.
    fn bare_window(&mut self, window: &super::nodes::WindowNode, watermark: bool) -> Result<Flow> {
        let mut flow = self.lower(&window.input, watermark || has_watermark(window.input.schema()))?;
        let input = Arc::clone(&window.input);
        let projections = super::windows::projections(window)?;
        if let [only] = projections.as_slice() {
            let names: Vec<&str> = only.iter().map(|(name, _)| name.as_str()).collect();
            let columns: Vec<Expr> = only.iter().map(|(_, column)| column.clone()).collect();
            calc(&mut flow, &input, &[], &columns, names.into_iter())?;
            return Ok(flow);
        }
        let (parallelism, mode, is_fresh, schema) =
            (flow.parallelism, flow.mode, flow.is_fresh, Arc::clone(&flow.schema));
        let from = self.close(flow);
        let mut copies = Vec::new();
        for columns in projections {
            let mut copy = Flow {
                inputs: vec![from],
                exchange: Exchange::Forward,
                parallelism,
                operators: Vec::new(),
                schema: Arc::clone(&schema),
                mode,
                is_fresh,
            };
            let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
            let expressions: Vec<Expr> = columns.iter().map(|(_, column)| column.clone()).collect();
            calc(&mut copy, &input, &[], &expressions, names.into_iter())?;
            copies.push(copy);
        }
        self.merge(copies)
    }
}

/// Filters and projects: `columns` and `conditions` are over the columns of `input`.
fn calc<'n>(
    flow: &mut Flow,
    input: &LogicalPlan,
    conditions: &[Expr],
    columns: &[Expr],
    names: impl Iterator<Item = &'n str>,
) -> Result<()> {
    let schema = input.schema();
    let condition = compile_condition(conditions, schema)?;
    let columns = columns.iter().map(|column| compile(column, schema)).collect::<Result<Vec<_>>>()?;
    let fields: Vec<Field> = columns
        .iter()
        .zip(names)
        .map(|(column, name)| Field::new(name, column.data_type().clone(), column.nullable()))
        .collect();
    let is_identity = condition.is_none()
        && columns.len() == flow.schema.fields().len()
        && columns.iter().enumerate().all(|(index, column)| column.as_column() == Some(index))
        && fields.iter().zip(flow.schema.fields()).all(|(field, known)| field.name() == known.name());
    if !is_identity {
        let output = Arc::new(Schema::new(fields));
        flow.push(Arc::new(CalcSpec { input: Arc::clone(&flow.schema), condition, columns, output }));
    }
    Ok(())
}

/// The conditions of the filters on top of a plan, lowest first, and what is below them.
fn conditions_below(plan: &LogicalPlan) -> (Vec<Expr>, &LogicalPlan) {
    let mut conditions = Vec::new();
    let mut below = plan;
    while let LogicalPlan::Filter(filter) = below {
        conditions.push(filter.predicate.clone());
        below = &filter.input;
    }
    conditions.reverse();
    (conditions, below)
}

fn reads_watermark(expression: &Expr) -> bool {
    expression.column_refs().iter().any(|column| column.name == WATERMARK_COLUMN)
}

fn has_watermark(schema: &datafusion::common::DFSchema) -> bool {
    schema.has_column_with_unqualified_name(WATERMARK_COLUMN)
}

fn bounded_only(what: &str) -> Error {
    Error::query(format!("{what} is not built yet for streams"))
        .with_help("over bounded tables it runs once as a batch: SET 'execution.runtime-mode' = 'batch'")
}

/// Drops columns that nobody reads, down to the scans.
pub fn optimize(plan: LogicalPlan) -> Result<LogicalPlan> {
    use datafusion::optimizer::optimize_projections::OptimizeProjections;
    use datafusion::optimizer::{Optimizer, OptimizerContext};
    // The one rule that is let through: all others change what a stream may change only by our own rules (a filter
    // below a watermark would hold the watermark back).
    let optimizer = Optimizer::with_rules(vec![Arc::new(OptimizeProjections::new())]);
    optimizer.optimize(plan, &OptimizerContext::new(), |_, _| {}).map_err(bug)
}

/// The plan below projections as (name, expression over what is below).
fn through_projections(plan: &LogicalPlan) -> Result<(Vec<(String, Expr)>, &LogicalPlan)> {
    let fields = plan.schema().fields().iter();
    let mut columns: Vec<(String, Expr)> = match plan {
        LogicalPlan::TableScan(_) => plan
            .schema()
            .iter()
            .map(|(qualifier, field)| {
                (field.name().clone(), Expr::Column(Column::new(qualifier.cloned(), field.name())))
            })
            .collect(),
        _ => fields.map(|field| (field.name().clone(), Expr::Column(Column::new_unqualified(field.name())))).collect(),
    };
    let mut below = plan;
    while let LogicalPlan::Projection(projection) = below {
        for (_, column) in &mut columns {
            *column = substitute(column, projection)?;
        }
        below = &projection.input;
    }
    Ok((columns, below))
}

/// An expression over a projection's columns as one over the projection's input.
fn substitute(expression: &Expr, projection: &Projection) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let transformed = expression.clone().transform_up(|inner| {
        let Expr::Column(column) = &inner else { return Ok(Transformed::no(inner)) };
        match projection.schema.maybe_index_of_column(column) {
            Some(index) => Ok(Transformed::yes(projection.expr[index].clone().unalias())),
            None => Ok(Transformed::no(inner)),
        }
    });
    Ok(transformed.map_err(bug)?.data)
}

/// Whether a plan is a table's watermark or scan, perhaps below projections.
fn is_source(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Projection(projection) => is_scan(&projection.input),
        other => as_watermark(other).is_some(),
    }
}

fn is_scan(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Projection(projection) => is_scan(&projection.input),
        _ => false,
    }
}
