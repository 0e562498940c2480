//! From a plan to tasks: channels along the edges, restored state, one future per task.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};

use super::channel::{Receiver, Sender, channel};
use super::config::JobConfig;
use super::description::{PlanIds, describe, parts_of};
use super::events::Events;
use super::exchange::{OutputEdge, Outputs};
use super::inputs::{Inputs, Origin};
use super::notice::Notices;
use super::sink::{Preparing, SinkTask};
use super::snapshots::SnapshotTarget;
use super::source::SourceTask;
use super::source_control::{ControlReceiver, ControlSender, source_control};
use super::state_figures::TaskTables;
use super::status::{JobFigures, TaskStatus};
use super::task::ChainTask;
use super::watermark_group::WatermarkGroups;
use crate::checkpoint::{Aligner, CheckpointMode, OperatorPart, TaskId};
use crate::connectors::{JobIdentity, SinkContext, SourceContext, World};
use crate::error::{Error, Result};
use crate::operators::{BuildContext, Chain, OutputBudget, StateBackend};
use crate::plan::{Edge, Exchange, Node, NodeKind, Output, Parallelism, Preparation, StreamPlan};
use crate::state::{
    JobDirectory, Manifest, OperatorId, OperatorState, RestoreProgress, TableSpec, key_range, read_table,
};
use crate::stream::{Counter, Counters, EventTime, MemoryPool};

/// A running job's parts before they run.
pub struct BuiltJob {
    pub tasks: Vec<(TaskId, BoxFuture<'static, Result<()>>)>,
    pub sources: Vec<ControlSender>,
}

/// What the tasks of a job share.
pub struct Environment<'a> {
    pub plan: &'a StreamPlan,
    pub config: &'a JobConfig,
    pub identity: &'a JobIdentity,
    /// The job's directory.
    pub directory: Option<JobDirectory>,
    pub world: &'a World,
    /// The account of all that the job's tasks hold.
    pub memory: MemoryPool,
    pub events: Events,
    pub figures: Arc<JobFigures>,
    pub notices: &'a Notices,
    /// The ids of the plan's operators.
    pub ids: &'a PlanIds,
    /// What the tasks go on from.
    pub base: Option<&'a Manifest>,
    /// How far that has come.
    pub progress: Arc<RestoreProgress>,
}

/// How many tasks a node runs as.
pub fn tasks_of(node: &Node, config: &JobConfig) -> usize {
    match node.parallelism {
        Parallelism::One => 1,
        Parallelism::Default => config.parallelism,
    }
}

/// Builds all tasks; state is read here, before any of them runs.
pub async fn build(environment: &Environment<'_>) -> Result<BuiltJob> {
    environment.figures.begin_attempt();
    let mut wiring = Wiring::new(environment)?;
    let mut job = BuiltJob { tasks: Vec::new(), sources: Vec::new() };
    let mut tasks: Vec<BuiltTask<'_>> = Vec::new();
    let mut groups = WatermarkGroups::default();
    let description = describe(environment.plan, environment.config.max_parallelism);
    for (index, node) in environment.plan.nodes.iter().enumerate() {
        let parts = parts_of(&description, environment.ids, index);
        for task in 0..tasks_of(node, environment.config) {
            let id = TaskId { node: node.name.clone(), task };
            let source = if let NodeKind::Source(source) = &node.kind { Some(source) } else { None };
            let table = source.map(|source| source.table.as_str());
            let status = Arc::new(TaskStatus::new(Arc::clone(&environment.figures), table));
            // The clock is one for all.
            let alignment = source.filter(|source| source.clock_windows.is_empty());
            let alignment = alignment.and_then(|source| source.alignment.as_ref());
            let receivers = wiring.receivers.remove(&(index, task)).unwrap_or_default();
            let outputs = wiring.outputs(environment, index, task);
            let built: BuiltTask<'_> = match &node.kind {
                NodeKind::Source(_) => {
                    let (control, receiver) = source_control(environment.config.max_concurrent_checkpoints);
                    job.sources.push(control);
                    let operator = only(parts.clone())?;
                    let mut source = source_task(environment, node, id.clone(), operator, outputs, receiver, status)?;
                    source.group = alignment.map(|alignment| groups.join(alignment));
                    let task: BoxFuture<'static, Result<()>> = Box::pin(source.run());
                    Box::pin(async { Ok((id, task)) })
                }
                NodeKind::Chain(_) => {
                    let bytes = bytes_to_restore(environment, node, task, &parts);
                    environment.progress.expect(bytes);
                    let chain = chain_task(environment, node, id.clone(), parts.clone(), receivers, outputs, status);
                    Box::pin(async {
                        let task: BoxFuture<'static, Result<()>> = Box::pin(chain.await?.run());
                        Ok((id, task))
                    })
                }
                NodeKind::Sink(_) => {
                    let sink = sink_task(environment, node, id.clone(), only(parts.clone())?, receivers, status)?;
                    let task: BoxFuture<'static, Result<()>> = Box::pin(sink.run());
                    Box::pin(async { Ok((id, task)) })
                }
            };
            tasks.push(built);
        }
    }
    // As many restore at the same time as will run at the same time.
    let restored = futures::stream::iter(tasks).buffered(environment.config.parallelism.max(1));
    job.tasks = restored.try_collect().await?;
    Ok(job)
}

/// A task that may have its state still to read.
type BuiltTask<'a> = BoxFuture<'a, Result<(TaskId, BoxFuture<'static, Result<()>>)>>;

/// One edge as its sending task has it.
type OutgoingEdge = (Output, Exchange, Vec<Sender>);

/// The channels of a job, by who holds which end.
struct Wiring {
    /// Per sending (node, task): edges as (output, exchange, senders).
    senders: BTreeMap<(usize, usize), Vec<OutgoingEdge>>,
    /// Per receiving (node, task).
    receivers: BTreeMap<(usize, usize), Vec<(Origin, Receiver)>>,
}

impl Wiring {
    fn new(environment: &Environment<'_>) -> Result<Self> {
        let mut wiring = Self { senders: BTreeMap::new(), receivers: BTreeMap::new() };
        let config = environment.config;
        for (to, node) in environment.plan.nodes.iter().enumerate() {
            let receiving = tasks_of(node, config);
            let mut groups = 0;
            for edge in &node.inputs {
                let sending = tasks_of(&environment.plan.nodes[edge.from], config);
                // Each task of a source has splits of its own, and is idle for itself.
                let is_source = matches!(environment.plan.nodes[edge.from].kind, NodeKind::Source(_));
                let is_forward = edge.exchange == Exchange::Forward;
                if is_forward && sending != receiving {
                    return Err(Error::bug(format!("a forward edge joins {sending} tasks with {receiving}")));
                }
                for from_task in 0..sending {
                    let origin = Origin { port: edge.port, group: groups };
                    groups += usize::from(is_source || from_task + 1 == sending);
                    let targets = if is_forward { from_task..from_task + 1 } else { 0..receiving };
                    let mut senders = Vec::new();
                    for to_task in targets {
                        let memory = environment.memory.holder(format!("channels to {}", node.name));
                        let (sender, receiver) = channel(config.channel_bytes, memory, config.yields.clone());
                        senders.push(sender);
                        wiring.receivers.entry((to, to_task)).or_default().push((origin, receiver));
                    }
                    let edges = wiring.senders.entry((edge.from, from_task)).or_default();
                    edges.push((edge.output, edge.exchange.clone(), senders));
                }
            }
        }
        Ok(wiring)
    }

    fn outputs(&mut self, environment: &Environment<'_>, node: usize, task: usize) -> Outputs {
        let edges = self.senders.remove(&(node, task)).unwrap_or_default();
        let config = environment.config;
        let edge = |(output, exchange, senders)| {
            let memory = environment.memory.holder(format!("rows that leave {}", environment.plan.nodes[node].name));
            OutputEdge::new(output, exchange, senders, config.max_parallelism, config.batch_rows, task, memory)
        };
        Outputs::new(edges.into_iter().map(edge).collect())
    }
}

fn source_task(
    environment: &Environment<'_>,
    node: &Node,
    id: TaskId,
    operator: OperatorPart,
    outputs: Outputs,
    control: ControlReceiver,
    status: Arc<TaskStatus>,
) -> Result<SourceTask> {
    let NodeKind::Source(source) = &node.kind else { return Err(Error::bug("a source task needs a source node")) };
    let config = environment.config;
    let batch_rows = config
        .checkpoint_every_rows
        .and_then(|rows| usize::try_from(rows).ok())
        .map_or(config.batch_rows, |rows| rows.clamp(1, config.batch_rows));
    // Input that is all there always goes on: that it takes a while says something of this machine and nothing of the
    // rows.
    let idle_timeout = (source.idle_timeout_ms > 0 && source.factory.is_live())
        .then(|| std::time::Duration::from_millis(source.idle_timeout_ms))
        .filter(|_| source.clock_windows.is_empty());
    let state = environment.state_of(&operator.id);
    let counters = state.map(|state| state.counters.clone()).unwrap_or_default();
    status.restore_source(&counters);
    let memory = environment.memory.holder(format!("rows read of table {}", source.table));
    let context = SourceContext {
        job: Some(environment.identity.clone()),
        projection: source.projection.clone(),
        batch_rows,
        memory: memory.clone(),
        world: environment.world.clone(),
    };
    Ok(SourceTask {
        operator,
        source: source.factory.open(&context)?,
        preparation: Arc::new(Preparation::new(source.clone(), &node.schema)),
        restored: state.map(|state| state.splits.clone()),
        is_drained: environment.base.is_some_and(|base| base.drained),
        counters,
        is_bounded: source.factory.is_bounded(),
        is_live: source.factory.is_live(),
        idle_timeout,
        group: None,
        clock_windows: source.clock_windows.clone(),
        discovery_interval: source.factory.discovery_interval().filter(|_| !source.factory.is_bounded()),
        workers: config.parallelism,
        every_rows: config.checkpoint_every_rows,
        outputs,
        memory,
        control,
        events: environment.events.clone(),
        clock: Arc::clone(&environment.world.clock),
        status,
        notices: Arc::clone(environment.notices),
        id,
    })
}

async fn chain_task(
    environment: &Environment<'_>,
    node: &Node,
    id: TaskId,
    parts: Vec<OperatorPart>,
    receivers: Vec<(Origin, Receiver)>,
    outputs: Outputs,
    status: Arc<TaskStatus>,
) -> Result<ChainTask> {
    let NodeKind::Chain(specs) = &node.kind else { return Err(Error::bug("a chain task needs a chain")) };
    let config = environment.config;
    let tasks = tasks_of(node, config);
    // Behind hash exchanges a task gets the rows of its own keys, and what it has met is said of these; elsewhere rows of
    // any key come to any task.
    let is_hash = |edge: &Edge| matches!(edge.exchange, Exchange::Hash(_));
    let is_to_all = |edge: &Edge| edge.exchange == Exchange::Broadcast;
    let is_keyed = node.inputs.iter().any(is_hash) && node.inputs.iter().all(|edge| is_hash(edge) || is_to_all(edge));
    // From a single edge it also hears the same as all others of its node. Two edges may come together differently: one
    // that falls idle lets the other's watermark through, and not in every task at the same moment.
    let hears_the_same = is_keyed && node.inputs.len() == 1;
    let groups = if is_keyed { own_groups(environment, node, id.task) } else { all_groups(environment) };
    let ids: Vec<OperatorId> = parts.iter().map(|part| part.id.clone()).collect();
    let mut chain = Chain::new(
        &specs.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        &BuildContext {
            task: id.task,
            tasks,
            key_groups: key_range(id.task, tasks, config.max_parallelism),
            max_parallelism: config.max_parallelism,
            batch_rows: config.batch_rows,
            output: OutputBudget::of_batches(config.batch_rows),
            memory: environment.memory.holder(format!("operators of {}", node.name)),
            backend: StateBackend::Memory,
            entropy: environment.world.entropy.clone(),
        },
    )?;
    for edge in node.inputs.iter().filter(|_| is_keyed) {
        if let Exchange::Hash(columns) = &edge.exchange {
            check_keys(&mut chain, columns.len())?;
        }
    }
    let mut watermark = EventTime::NONE;
    if let Some(base) = environment.base {
        chain = restore(environment, node, id.task, &ids, chain).await?;
        if id.task == 0 {
            chain.load_counters(ids.iter().map(|id| base.operators.get(id).map(|state| &state.counters)));
            status.late(chain.count_of(Counter::NumLateRecordsDropped));
            status.future(chain.count_of(Counter::NumFutureRecordsDropped));
        }
        let times: Vec<EventTime> = ids.iter().map(|id| environment.watermark_of(id, groups)).collect();
        watermark = times.first().copied().unwrap_or(EventTime::NONE);
        chain.go_on_from(&times);
    }
    let ports = node.inputs.iter().map(|edge| edge.port).max().map_or(0, |most| most + 1);
    let range = key_range(id.task, tasks_of(node, environment.config), environment.config.max_parallelism);
    let target = SnapshotTarget {
        directory: environment.directory.clone(),
        generation: environment.identity.generation,
        max_parallelism: environment.config.max_parallelism,
        groups: (range.start, range.end.saturating_sub(1)),
        world: environment.world.clone(),
        events: environment.events.clone(),
    };
    let inputs = inputs(environment, receivers, watermark);
    let memory = environment.memory.holder(format!("state of {} ({})", node.name, chain.kinds().join(", "))).nothing();
    let is_exact = environment.config.checkpoint_mode == CheckpointMode::ExactlyOnce;
    let place = environment.plan.nodes.iter().position(|other| other.name == node.name).unwrap_or_default();
    let tables = Arc::new(TaskTables::new(place, specs, &mut chain)?);
    status.tables(Arc::clone(&tables));
    Ok(ChainTask {
        id,
        inputs,
        chain,
        tables,
        parts,
        ports,
        groups,
        shares_watermark: is_exact && hears_the_same,
        outputs,
        target,
        clock: Arc::clone(&environment.world.clock),
        status,
        memory,
        is_resumable: environment.directory.is_some() && environment.plan.can_resume(),
    })
}

/// Checks that what is kept by key has its key group from as many columns as rows are shuffled by. With another group a
/// restart with other tasks would bring it to a task that its key's rows do not come to.
fn check_keys(chain: &mut Chain, shuffled_by: usize) -> Result<()> {
    chain.each_table(|_, table| {
        let TableSpec { name, schema, key, .. } = table.spec();
        let is_group = matches!(key[..], [column] if *schema.field(column).data_type() == DataType::UInt16);
        if key.is_empty() || is_group || key.len() == shuffled_by {
            return Ok(());
        }
        let kept_by = key.len();
        Err(Error::bug(format!(
            "table {name} is kept by {kept_by} columns, and its rows are shuffled by {shuffled_by}"
        )))
    })
}

/// Bytes of the files that one task reads back.
fn bytes_to_restore(environment: &Environment<'_>, node: &Node, task: usize, parts: &[OperatorPart]) -> u64 {
    let config = environment.config;
    let groups = key_range(task, tasks_of(node, config), config.max_parallelism);
    let operators = parts.iter().filter_map(|part| environment.state_of(&part.id));
    let files = operators.flat_map(OperatorState::files);
    files.filter(|file| file.overlaps(&groups)).map(|file| file.length).sum()
}

/// Puts the rows of one task's key groups back, table by table.
async fn restore(
    environment: &Environment<'_>,
    node: &Node,
    task: usize,
    ids: &[OperatorId],
    mut chain: Chain,
) -> Result<Chain> {
    let config = environment.config;
    let range = key_range(task, tasks_of(node, config), config.max_parallelism);
    let Some(JobDirectory { store, path }) = environment.directory.clone() else { return Ok(chain) };
    let progress = Arc::clone(&environment.progress);
    let stored: Vec<(OperatorId, Option<OperatorState>)> =
        ids.iter().map(|id| (id.clone(), environment.state_of(id).cloned())).collect();
    let load = move || {
        chain.each_table(|operator, table| {
            let spec = table.spec();
            let Some((id, Some(saved))) = stored.get(operator) else { return Ok(()) };
            let Some(saved) = saved.tables.iter().find(|saved| saved.name == spec.name) else { return Ok(()) };
            read_table(store.as_ref(), &path, saved, &range, &spec, &progress)
                .and_then(|mut rows| table.load(&mut rows))
                .map_err(|error| error.context(format!("state of {id}, table {}", spec.name)))
        })?;
        Ok(chain)
    };
    environment.world.blocking.call(load).await?
}

fn sink_task(
    environment: &Environment<'_>,
    node: &Node,
    id: TaskId,
    operator: OperatorPart,
    receivers: Vec<(Origin, Receiver)>,
    status: Arc<TaskStatus>,
) -> Result<SinkTask> {
    let NodeKind::Sink(sink) = &node.kind else { return Err(Error::bug("a sink task needs a sink node")) };
    let context = sink_context(environment.identity, node, &operator.id, environment.config);
    let counters = match environment.state_of(&operator.id) {
        Some(state) if id.task == 0 => state.counters.clone(),
        _ => Counters::default(),
    };
    let groups = all_groups(environment);
    let watermark = environment.watermark_of(&operator.id, groups);
    if !sink.is_late {
        status.restore_sink(&counters);
    }
    Ok(SinkTask {
        operator,
        groups,
        writer: sink.factory.writer(id.task, &context, environment.world)?,
        node: sink.clone(),
        inputs: inputs(environment, receivers, watermark),
        counters,
        events: environment.events.clone(),
        preparing: Preparing::new(),
        status,
        id,
    })
}

fn inputs(environment: &Environment<'_>, receivers: Vec<(Origin, Receiver)>, restored: EventTime) -> Inputs {
    let config = environment.config;
    let aligner = Aligner::new(receivers.len(), config.checkpoint_mode, config.max_concurrent_checkpoints);
    Inputs::new(receivers, aligner, restored)
}

/// What the writers and the committer of a sink are told.
pub fn sink_context(identity: &JobIdentity, node: &Node, id: &OperatorId, config: &JobConfig) -> SinkContext {
    SinkContext {
        identity: identity.clone(),
        sink: id.to_string(),
        is_durable: config.directory.is_some(),
        parallelism: tasks_of(node, config),
        schema: Arc::clone(&node.schema),
    }
}

/// A source or a sink is one operator.
fn only(parts: Vec<OperatorPart>) -> Result<OperatorPart> {
    parts.into_iter().next().ok_or_else(|| Error::bug("a source or sink is no operator"))
}

/// First and last key group of a task.
fn own_groups(environment: &Environment<'_>, node: &Node, task: usize) -> (u16, u16) {
    let config = environment.config;
    let range = key_range(task, tasks_of(node, config), config.max_parallelism);
    (range.start, range.end.saturating_sub(1))
}

fn all_groups(environment: &Environment<'_>) -> (u16, u16) {
    let range = key_range(0, 1, environment.config.max_parallelism);
    (range.start, range.end.saturating_sub(1))
}

impl Environment<'_> {
    /// What an operator goes on from.
    fn state_of(&self, id: &OperatorId) -> Option<&OperatorState> {
        self.base.and_then(|manifest| manifest.operators.get(id))
    }

    /// The watermark that all tasks with these key groups had been told of an operator; what was left to do for it is in
    /// its state.
    fn watermark_of(&self, id: &OperatorId, groups: (u16, u16)) -> EventTime {
        self.state_of(id).and_then(|state| state.watermark_of(groups)).map_or(EventTime::NONE, EventTime)
    }
}

#[cfg(test)]
mod tests;
