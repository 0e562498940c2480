//! From a logical plan to the stream plan: which operators, in which tasks, with which exchange between them.
//!
//! A flow is a chain under construction. It is closed into a node of the plan where rows change task, where several
//! flows meet, and where late rows leave.

mod aggregate;
mod bounded_rows;
mod conflicts;
mod keys;
mod meaning;
mod over_window;
mod process;
mod sessions;
mod sink;
mod source;
mod updating_windows;

pub use conflicts::Materialize;
pub use over_window::conditions_below_sessions;
pub use sink::{APPEND_ONLY, KeyedShuffle, LateSink, SinkTarget, TypeLengths, is_implicit};
pub use source::{check_read_once, constant_rows, is_bounded, is_live, only_once, source_node};

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::bind::bug;
use super::changelog_mode::ChangelogMode;
use super::emit::EmitSettings;
use super::expand::{ExpandNode, expand_spec};
use super::kept_group;
use super::nodes::{ArrivalNode, WatermarkNode, WindowNode, Windows};
use super::process::ProcessNode;
use super::random::RandomNode;
use super::replicate::ReplicateNode;
use super::state_ttl::StateTtlNode;
use super::stream_plan::{Edge, Exchange, Node, NodeKind, Output, Parallelism, StreamPlan};
use super::unnest::UnnestNode;
use crate::error::{Error, Result};
use crate::expressions::{
    NOW_COLUMN, Scalar, compile, compile_condition, instant_type, now_from_column, reads_now, text,
};
use crate::operators::{CalcSpec, Holding, OperatorSpec, ReplicateSpec};
use crate::stream::{WATERMARK_COLUMN, Zone};

/// What planning has to know besides the query.
#[derive(Debug, Clone)]
pub struct PlanSettings {
    /// `table.exec.source.idle-timeout` in milliseconds; 0 = off.
    pub idle_timeout_ms: u64,
    /// `beadline.watermark.max-future-drift` in milliseconds; `None`: off.
    pub max_future_drift_ms: Option<i64>,
    /// `table.exec.sink.not-null-enforcer` = DROP.
    pub drop_nulls: bool,
    /// `table.exec.sink.type-length-enforcer`.
    pub type_lengths: TypeLengths,
    /// `table.exec.sink.keyed-shuffle`.
    pub keyed_shuffle: KeyedShuffle,
    /// `table.exec.sink.upsert-materialize`.
    pub materialize: Materialize,
    /// `table.exec.sink.require-on-conflict`.
    pub requires_on_conflict: bool,
    /// Rows of a batch of VALUES.
    pub batch_rows: usize,
    /// In how many windows a row may lie.
    pub windows_per_row: usize,
    /// `table.optimizer.reuse-source-enabled`.
    pub reuse_sources: bool,
    /// `table.local-time-zone`.
    pub zone: Zone,
    /// `table.exec.state.ttl` in milliseconds; `None`: state is kept for ever.
    pub ttl_ms: Option<i64>,
    /// `table.exec.emit.*`.
    pub emit: EmitSettings,
    /// `table.exec.mini-batch.*`: how long rows of an unwindowed GROUP BY are held to be combined.
    pub holding: Holding,
}

/// Builds the plan of one job.
pub struct Lowering<'a> {
    settings: &'a PlanSettings,
    plan: StreamPlan,
    /// Outputs of rows that operators refuse for their time.
    late: Vec<LateOutput>,
    /// Tables that are read in several places.
    shared: Vec<source::Shared>,
    /// The time that the windows above what is lowered now go by.
    time: source::TimeNeed,
    /// For how long the next groups are kept, if a hint says so.
    ttl_hint: Option<i64>,
}

/// An operator of the plan that can refuse rows.
struct LateOutput {
    node: usize,
    operator: usize,
    schema: SchemaRef,
}

/// A chain under construction.
struct Flow {
    inputs: Vec<Input>,
    parallelism: Parallelism,
    operators: Vec<Arc<dyn OperatorSpec>>,
    /// The columns that leave so far.
    schema: SchemaRef,
    /// Where these stand among the columns that the last operator gives, if they are but some of those in another order
    /// or under other names: what comes next may take them from there.
    places: Option<Places>,
    mode: ChangelogMode,
    /// The upsert keys of what leaves so far.
    keys: Vec<Vec<usize>>,
    /// Whether it comes straight from sources through nothing but Calcs: its rows may then be dealt out to any task.
    is_fresh: bool,
}

/// What a chain reads of one node of the plan.
struct Input {
    node: usize,
    exchange: Exchange,
    /// The port of the chain's first operator.
    port: usize,
}

/// Columns by name and expression.
type Named = Vec<(String, Expr)>;

/// Columns by their place.
struct Places {
    of: SchemaRef,
    indices: Vec<usize>,
}

impl Input {
    /// Rows of a node for an operator with one port.
    fn of(node: usize, exchange: Exchange) -> Self {
        Self { node, exchange, port: 0 }
    }

    fn edge(self) -> Edge {
        Edge { from: self.node, output: Output::Main, exchange: self.exchange, port: self.port }
    }
}

impl Flow {
    /// Rows that come from one node or several.
    fn from(inputs: Vec<Input>, parallelism: Parallelism, schema: SchemaRef) -> Self {
        Self {
            inputs,
            parallelism,
            operators: Vec::new(),
            schema,
            places: None,
            mode: ChangelogMode::APPEND,
            keys: Vec::new(),
            is_fresh: false,
        }
    }

    /// Appends an operator, whose rows have these upsert keys.
    fn push(&mut self, operator: Arc<dyn OperatorSpec>, keys: Vec<Vec<usize>>) {
        debug_assert!(self.places.is_none(), "what comes next knows where the columns are");
        self.schema = operator.output();
        self.keys = keys;
        self.operators.push(operator);
    }

    /// Renames and reorders the columns; nothing is done for that before it must be.
    fn arrange(&mut self, indices: &[usize], schema: SchemaRef) {
        let columns: Vec<Option<usize>> = indices.iter().copied().map(Some).collect();
        self.keys = keys::projected(&self.keys, &columns);
        let (of, indices) = match self.places.take() {
            None => (Arc::clone(&self.schema), indices.to_vec()),
            Some(places) => (places.of, indices.iter().map(|index| places.indices[*index]).collect()),
        };
        let is_same = indices.len() == of.fields().len()
            && indices.iter().enumerate().all(|(index, place)| index == *place)
            && of.fields().iter().zip(schema.fields()).all(|(one, two)| one.name() == two.name());
        if is_same {
            self.schema = of;
        } else {
            self.schema = schema;
            self.places = Some(Places { of, indices });
        }
    }

    /// Whether these columns are called the same where they are taken from.
    fn keeps_names(&self, columns: &[usize]) -> bool {
        self.places.as_ref().is_none_or(|places| {
            let name = |column: &usize| places.of.field(places.indices[*column]).name();
            columns.iter().all(|column| name(column) == self.schema.field(*column).name())
        })
    }

    /// For an operator that takes its columns by place: where those that leave stand among the columns of `schema`,
    /// which is then what the last operator gives.
    fn take_places(&mut self) -> Vec<usize> {
        match self.places.take() {
            None => (0..self.schema.fields().len()).collect(),
            Some(places) => {
                self.schema = places.of;
                self.keys.iter_mut().flatten().for_each(|column| *column = places.indices[*column]);
                places.indices
            }
        }
    }

    /// Whether nothing happens to the rows and they stay in their tasks: whoever comes next may read the inputs itself.
    fn is_just_rows(&self) -> bool {
        let stays = |input: &Input| (&input.exchange, input.port) == (&Exchange::Forward, 0);
        self.operators.is_empty() && self.inputs.iter().all(stays)
    }

    /// Puts the columns into their order, if they are not.
    fn settle(&mut self) {
        let output = Arc::clone(&self.schema);
        if let Some(places) = self.places.take() {
            let columns = places.indices.iter().map(|index| Scalar::column(&places.of, *index)).collect();
            let keys = std::mem::take(&mut self.keys);
            self.push(
                Arc::new(CalcSpec { input: places.of, condition: None, columns, output, reads_now: false }),
                keys,
            );
        }
    }
}

impl<'a> Lowering<'a> {
    pub fn new(settings: &'a PlanSettings) -> Self {
        Self {
            settings,
            plan: StreamPlan::default(),
            late: Vec::new(),
            shared: Vec::new(),
            time: source::TimeNeed::Any,
            ttl_hint: None,
        }
    }

    /// Rows of a logical plan. `watermark`: whether the hidden column is read above.
    fn lower(&mut self, plan: &LogicalPlan, watermark: bool) -> Result<Flow> {
        if let Some(flow) = self.source(plan, watermark)? {
            return Ok(flow);
        }
        match plan {
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => self.stack(plan, watermark),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Union(union) => {
                let flows =
                    union.inputs.iter().map(|input| self.lower(input, watermark)).collect::<Result<Vec<_>>>()?;
                self.merge(flows)
            }
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::Extension(_) if let Some(hint) = StateTtlNode::of(plan) => {
                self.ttl_hint = Some(hint.ttl_ms);
                self.lower(&hint.input, watermark)
            }
            LogicalPlan::Extension(_) if let Some(replicate) = ReplicateNode::of(plan) => self.replicate(replicate),
            LogicalPlan::Extension(_) if let Some(process) = ProcessNode::of(plan) => self.process(plan, process),
            LogicalPlan::Extension(_) if let Some(random) = RandomNode::of(plan) => self.random(random, watermark),
            LogicalPlan::Extension(_) => match (WindowNode::of(plan), ExpandNode::of(plan), UnnestNode::of(plan)) {
                (Some(window), ..) => self.bare_window(window, watermark, None, &[]),
                (None, Some(expand), _) => self.expand(expand),
                (None, None, Some(unnest)) => self.unnest(unnest, watermark),
                (None, None, None) => Err(Error::bug("an extension that nobody lowers")),
            },
            LogicalPlan::Sort(_) => Err(bounded_only("ORDER BY")),
            LogicalPlan::Limit(_) => Err(bounded_only("LIMIT")),
            other => Err(Error::bug(format!("{} is not lowered", other.display()))),
        }
    }

    /// What a window function reads.
    fn lower_below(&mut self, window: &super::nodes::WindowNode, watermark: bool) -> Result<Flow> {
        let need = source::TimeNeed::of(window, &self.time)?;
        let outer = std::mem::replace(&mut self.time, need);
        let flow = self.lower(&window.input, watermark);
        self.time = outer;
        flow
    }

    /// Each row once for each grouping set.
    fn expand(&mut self, expand: &ExpandNode) -> Result<Flow> {
        let mut flow = self.lower(&expand.input, false)?;
        flow.settle();
        let column =
            |key: &String| flow.schema.index_of(key).map_err(|_| Error::bug(format!("the key {key} was pruned")));
        let keys = expand.keys.iter().map(column).collect::<Result<_>>()?;
        let spec = expand_spec(Arc::clone(&flow.schema), keys, &expand.sets);
        flow.push(Arc::new(spec), Vec::new());
        Ok(flow)
    }

    /// Each row once for each element of a value.
    fn unnest(&mut self, unnest: &UnnestNode, watermark: bool) -> Result<Flow> {
        let mut flow = self.lower(&unnest.input, watermark)?;
        flow.settle();
        let spec = unnest.spec(&flow.schema)?;
        flow.push(Arc::new(spec), Vec::new());
        Ok(flow)
    }

    /// Rows with what is drawn for them.
    fn random(&mut self, random: &RandomNode, watermark: bool) -> Result<Flow> {
        let mut flow = self.lower(&random.input, watermark)?;
        if !flow.mode.is_append() {
            let error = Error::query("a random value of a row that is taken back would not be the same again")
                .with_help("draw it for rows that only come, before they are grouped: SELECT UUID() AS id, x FROM t");
            return Err(match random.draws.first() {
                Some(draw) => error.with_span(draw.span()),
                None => error,
            });
        }
        flow.settle();
        let spec = random.spec(&flow.schema);
        flow.push(Arc::new(spec), Vec::new());
        Ok(flow)
    }

    /// Each row as often as one of its columns says.
    fn replicate(&mut self, replicate: &ReplicateNode) -> Result<Flow> {
        let mut flow = self.lower(&replicate.input, false)?;
        flow.settle();
        let times = flow.schema.index_of(&replicate.times).map_err(|_| Error::bug("a number of copies was pruned"))?;
        let is_append = flow.mode.is_append();
        flow.push(Arc::new(ReplicateSpec { input: Arc::clone(&flow.schema), times }), Vec::new());
        flow.mode = if is_append { ChangelogMode::APPEND } else { ChangelogMode::COME_AND_GO };
        Ok(flow)
    }

    /// Projections and filters on top of each other as one operator, as far as nothing is computed twice for that.
    fn stack(&mut self, plan: &LogicalPlan, watermark: bool) -> Result<Flow> {
        let stack = Stack::of(plan)?;
        let reads = stack.conditions.iter().chain(stack.columns.iter().flatten().map(|(_, column)| column));
        let watermark = (watermark && stack.columns.is_none()) || reads.clone().any(reads_watermark);
        if let Some(window) = WindowNode::of(stack.below) {
            return self.bare_window(window, watermark, stack.columns, &stack.conditions);
        }
        let mut flow = self.lower(stack.below, watermark)?;
        calc(&mut flow, stack.below.schema(), &stack.conditions, stack.columns)?;
        Ok(flow)
    }

    /// Closes a flow; returns the node that its rows leave.
    fn close(&mut self, mut flow: Flow) -> usize {
        flow.settle();
        if let ([only], true) = (flow.inputs.as_slice(), flow.is_just_rows()) {
            return only.node;
        }
        if flow.operators.is_empty() {
            // Several inputs become one node: a chain has an operator.
            let (input, output) = (Arc::clone(&flow.schema), Arc::clone(&flow.schema));
            let columns = (0..input.fields().len()).map(|index| Scalar::column(&input, index)).collect();
            let keys = std::mem::take(&mut flow.keys);
            flow.push(Arc::new(CalcSpec { input, condition: None, columns, output, reads_now: false }), keys);
        }
        let index = self.plan.nodes.len();
        for (operator, spec) in flow.operators.iter().enumerate() {
            if let Some(schema) = spec.late() {
                self.late.push(LateOutput { node: index, operator, schema });
            }
        }
        self.plan.nodes.push(Node {
            name: format!("chain-{index}"),
            kind: NodeKind::Chain(flow.operators),
            inputs: flow.inputs.into_iter().map(Input::edge).collect(),
            parallelism: flow.parallelism,
            schema: flow.schema,
            mode: flow.mode,
            keys: flow.keys,
        });
        index
    }

    /// Rows of several flows in one, in no particular order of the flows: whatever told those of one apart does not tell
    /// them from those of another.
    fn merge(&mut self, mut flows: Vec<Flow>) -> Result<Flow> {
        flows.iter_mut().for_each(Flow::settle);
        let first = flows.first().ok_or_else(|| Error::bug("a union of nothing"))?;
        // Names and nullability may differ between the sides; types do not.
        let fields = first.schema.fields().iter().enumerate().map(|(index, field)| {
            let nullable = flows.iter().any(|flow| flow.schema.field(index).is_nullable());
            Field::new(field.name(), field.data_type().clone(), nullable)
        });
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let same = flows.iter().all(|flow| flow.parallelism == first.parallelism);
        let mode = flows.iter().fold(ChangelogMode::APPEND, |mode, flow| mode.or(flow.mode));
        let parallelism = if same { first.parallelism } else { Parallelism::One };
        let is_fresh = flows.iter().all(|flow| flow.is_fresh);
        let exchange = if same { Exchange::Forward } else { Exchange::Gather };
        let inputs = flows.into_iter().flat_map(|flow| self.inputs_of(flow, &exchange)).collect();
        Ok(Flow { mode, is_fresh, ..Flow::from(inputs, parallelism, schema) })
    }

    /// What reads a flow over an exchange: where that is nothing but a union, the inputs of the union.
    fn inputs_of(&mut self, mut flow: Flow, exchange: &Exchange) -> Vec<Input> {
        flow.settle();
        if !flow.operators.is_empty() || flow.inputs.iter().any(|input| input.port != 0) {
            return vec![Input::of(self.close(flow), exchange.clone())];
        }
        let through = |input: Input| match exchange {
            Exchange::Forward => input,
            _ => Input { exchange: exchange.clone(), ..input },
        };
        flow.inputs.into_iter().map(through).collect()
    }

    /// A window function without an aggregation: each row once per window, at once. `columns` and `conditions` are over
    /// the function's columns; without columns all leave.
    fn bare_window(
        &mut self,
        window: &super::nodes::WindowNode,
        watermark: bool,
        columns: Option<Named>,
        conditions: &[Expr],
    ) -> Result<Flow> {
        if let Windows::Session { gap_ms, keys } = &window.window {
            return self.bare_sessions(window, *gap_ms, keys, columns, conditions);
        }
        let copies = super::windows::projections(window)?;
        // The hidden column may stand among others, which are counted with it.
        let needs_watermark = watermark || has_watermark(window.input.schema());
        let mut flow = self.lower_below(window, needs_watermark)?;
        let mut made = Vec::new();
        let over = |copy: &super::windows::Copy, expression: &Expr| substitute_by(expression, &copy.columns);
        let of_copy = |copy: &super::windows::Copy| -> Result<(Vec<Expr>, Named)> {
            let mut all: Vec<Expr> = copy.condition.iter().cloned().collect();
            for condition in conditions {
                all.push(over(copy, condition)?);
            }
            let columns = match &columns {
                None => copy.columns.clone(),
                Some(columns) => columns
                    .iter()
                    .map(|(name, column)| Ok((name.clone(), over(copy, column)?)))
                    .collect::<Result<Vec<_>>>()?,
            };
            Ok((all, columns))
        };
        if let [only] = copies.as_slice() {
            let (conditions, columns) = of_copy(only)?;
            calc(&mut flow, window.input.schema(), &conditions, Some(columns))?;
            return Ok(flow);
        }
        let (parallelism, mode, keys, is_fresh) = (flow.parallelism, flow.mode, flow.keys.clone(), flow.is_fresh);
        let schema = Arc::clone(&flow.schema);
        let from = self.close(flow);
        for copy in &copies {
            let input = Input::of(from, Exchange::Forward);
            let flow = Flow::from(vec![input], parallelism, Arc::clone(&schema));
            let mut flow = Flow { mode, keys: keys.clone(), is_fresh, ..flow };
            let (conditions, columns) = of_copy(copy)?;
            calc(&mut flow, window.input.schema(), &conditions, Some(columns))?;
            made.push(flow);
        }
        self.merge(made)
    }
}

/// Projections and filters on top of a plan, as one.
struct Stack<'p> {
    /// Over the columns of `below`, those of the lowest filters first.
    conditions: Vec<Expr>,
    /// Names and expressions over the columns of `below`; none where filters alone let all columns through.
    columns: Option<Named>,
    below: &'p LogicalPlan,
}

impl<'p> Stack<'p> {
    fn of(plan: &'p LogicalPlan) -> Result<Self> {
        let mut stack = Self { conditions: Vec::new(), columns: None, below: plan };
        loop {
            let (conditions, below) = conditions_below(stack.below);
            stack.conditions.splice(0..0, conditions);
            stack.below = below;
            let LogicalPlan::Projection(projection) = below else { return Ok(stack) };
            if is_source(below) || stack.computes_twice(projection) {
                return Ok(stack);
            }
            for condition in &mut stack.conditions {
                *condition = substitute(condition, projection)?;
            }
            match &mut stack.columns {
                Some(columns) => {
                    for (_, column) in columns {
                        *column = substitute(column, projection)?;
                    }
                }
                None => {
                    let names = projection.schema.fields().iter().map(|field| field.name().clone());
                    stack.columns = Some(names.zip(projection.expr.iter().cloned().map(Expr::unalias)).collect());
                }
            }
            stack.below = &projection.input;
        }
    }

    /// Whether something that the projection computes is read in several places.
    fn computes_twice(&self, projection: &Projection) -> bool {
        use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
        let mut reads: Vec<&str> = Vec::new();
        let expressions = self.conditions.iter().chain(self.columns.iter().flatten().map(|(_, column)| column));
        for expression in expressions {
            let _ = expression.apply(|inner| {
                if let Expr::Column(column) = inner {
                    reads.push(column.name.as_str());
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
        // Where filters alone are above, every column leaves besides.
        let leaves = usize::from(self.columns.is_none());
        projection.expr.iter().zip(projection.schema.fields()).any(|(expression, field)| {
            let is_plain = matches!(expression.clone().unalias(), Expr::Column(_) | Expr::Literal(..));
            !is_plain && leaves + reads.iter().filter(|name| *name == field.name()).count() > 1
        })
    }
}

/// Filters and projects: `columns` and `conditions` are over the columns that leave the flow, as `known` names them; without
/// columns all leave.
fn calc(flow: &mut Flow, known: &DFSchema, conditions: &[Expr], columns: Option<Named>) -> Result<()> {
    let reads_now = conditions.iter().chain(columns.iter().flatten().map(|(_, column)| column)).any(reads_now);
    if reads_now {
        return calc_now(flow, known, conditions, columns);
    }
    // The hidden column is there or not, whatever the logical plan says.
    let all = || flow.schema.fields().iter().map(|field| field.name().clone());
    let columns = columns
        .unwrap_or_else(|| all().map(|name| (name.clone(), Expr::Column(Column::new_unqualified(name)))).collect());
    let condition = compile_condition(conditions, known)?;
    let (names, columns): (Vec<String>, Vec<Scalar>) = columns
        .into_iter()
        .map(|(name, column)| Ok((name, compile(&column, known)?)))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let fields: Vec<Field> = columns
        .iter()
        .zip(names)
        .map(|(column, name)| Field::new(name, column.data_type().clone(), column.nullable()))
        .collect();
    let output: SchemaRef = Arc::new(Schema::new(fields));
    let indices: Option<Vec<usize>> = columns.iter().map(Scalar::as_column).collect();
    if let (Some(indices), None) = (indices, &condition) {
        flow.arrange(&indices, output);
        return Ok(());
    }
    let from: Vec<Option<usize>> = columns.iter().map(Scalar::as_column).collect();
    let keys = keys::projected(&flow.keys, &from);
    let places = flow.take_places();
    let place = |scalar: Scalar| scalar.with_places(&places, &flow.schema);
    let condition = condition.map(place).transpose()?;
    let columns = columns.into_iter().map(place).collect::<Result<Vec<_>>>()?;
    flow.push(
        Arc::new(CalcSpec { input: Arc::clone(&flow.schema), condition, columns, output, reads_now: false }),
        keys,
    );
    Ok(())
}

/// The same where the time of day is read: it stands behind the columns of the flow.
fn calc_now(flow: &mut Flow, input: &DFSchema, conditions: &[Expr], columns: Option<Named>) -> Result<()> {
    let all = || flow.schema.fields().iter().map(|field| field.name().clone());
    let columns = columns
        .unwrap_or_else(|| all().map(|name| (name.clone(), Expr::Column(Column::new_unqualified(name)))).collect());
    let now = Field::new(NOW_COLUMN, instant_type(), false);
    let with_now = DFSchema::try_from(Schema::new(vec![now.clone()])).map_err(bug)?;
    let known = input.join(&with_now).map_err(bug)?;
    let names = conditions.iter().map(text).collect::<Vec<_>>().join(" AND ");
    let conditions = conditions.iter().map(now_from_column).collect::<Result<Vec<_>>>()?;
    let condition = compile_condition(&conditions, &known)?.map(|condition| condition.with_text(names));
    let mut compiled = Vec::new();
    let mut fields = Vec::new();
    for (name, column) in columns {
        let column = compile(&now_from_column(&column)?, &known)?.with_text(text(&column));
        fields.push(Field::new(name, column.data_type().clone(), column.nullable()));
        compiled.push(column);
    }
    let from: Vec<Option<usize>> = compiled.iter().map(Scalar::as_column).collect();
    let keys = keys::projected(&flow.keys, &from);
    let mut places = flow.take_places();
    // A hidden column that nobody reads may be missing here.
    places.resize(input.fields().len(), usize::MAX);
    places.push(flow.schema.fields().len());
    let fields_in = flow.schema.fields().iter().map(|field| field.as_ref().clone()).chain([now]);
    let schema: SchemaRef = Arc::new(Schema::new(fields_in.collect::<Vec<_>>()));
    let place = |scalar: Scalar| scalar.with_places(&places, &schema);
    let condition = condition.map(place).transpose()?;
    let columns = compiled.into_iter().map(place).collect::<Result<Vec<_>>>()?;
    let output: SchemaRef = Arc::new(Schema::new(fields));
    flow.push(Arc::new(CalcSpec { input: Arc::clone(&schema), condition, columns, output, reads_now: true }), keys);
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

/// Of a query that another one reads, or an INSERT: a SELECT has its own at the top taken off before.
fn bounded_only(what: &str) -> Error {
    Error::query(format!("{what} inside of a stream is not built yet"))
        .with_help("at the top of a SELECT it works, over input that ends")
        .with_help("over bounded tables everything can run once as a batch: SET 'execution.runtime-mode' = 'batch'")
}

/// Drops columns that nobody reads, down to the scans.
pub fn optimize(plan: LogicalPlan) -> Result<LogicalPlan> {
    use datafusion::optimizer::optimize_projections::OptimizeProjections;
    use datafusion::optimizer::{Optimizer, OptimizerContext};
    // The one rule that is let through: all others change what a stream may change only by our own rules (a filter
    // below a watermark would hold the watermark back).
    let optimizer = Optimizer::with_rules(vec![Arc::new(OptimizeProjections::new())]);
    let plan = kept_group::mark(plan).map_err(bug)?;
    let plan = optimizer.optimize(plan, &OptimizerContext::new(), |_, _| {}).map_err(bug)?;
    kept_group::unmark(plan).map_err(bug)
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
    let of = |column: &Column| projection.schema.maybe_index_of_column(column);
    replace_columns(expression, |column| of(column).map(|index| projection.expr[index].clone().unalias()))
}

/// An expression over named columns as one over what those are computed from.
fn substitute_by(expression: &Expr, columns: &[(String, Expr)]) -> Result<Expr> {
    let of = |column: &Column| columns.iter().find(|(name, _)| *name == column.name);
    replace_columns(expression, |column| of(column).map(|(_, expression)| expression.clone()))
}

/// The expression with others in place of its columns; those that `of` does not know stay.
fn replace_columns(expression: &Expr, of: impl Fn(&Column) -> Option<Expr>) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let transformed = expression.clone().transform_up(|inner| {
        let Expr::Column(column) = &inner else { return Ok(Transformed::no(inner)) };
        Ok(match of(column) {
            Some(expression) => Transformed::yes(expression),
            None => Transformed::no(inner),
        })
    });
    Ok(transformed.map_err(bug)?.data)
}

/// Whether a plan is a table's watermark or scan, perhaps below projections.
fn is_source(plan: &LogicalPlan) -> bool {
    is_scan(plan) || WatermarkNode::of(plan).is_some() || ArrivalNode::of(plan).is_some()
}

fn is_scan(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        // A source has no time of day.
        LogicalPlan::Projection(projection) => !projection.expr.iter().any(reads_now) && is_scan(&projection.input),
        _ => false,
    }
}
