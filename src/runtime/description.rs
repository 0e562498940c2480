//! A plan as a restore compares it with a checkpoint: operators, what they do, what lies before and behind them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::checkpoint::{OperatorDescription, OperatorPart, PlanDescription};
use crate::connectors::SinkFactory;
use crate::plan::{Node, NodeKind, Output, StreamPlan};
use crate::state::{OperatorId, digest};

/// The ids of a plan's operators: by node, in chain order.
#[derive(Debug, Clone)]
pub struct PlanIds(Vec<Vec<OperatorId>>);

impl PlanIds {
    /// `ids` are in the order of [`describe`].
    pub fn new(plan: &StreamPlan, ids: Vec<OperatorId>) -> Self {
        let mut ids = ids.into_iter();
        Self(plan.nodes.iter().map(|node| ids.by_ref().take(texts_of(&node.kind).len()).collect()).collect())
    }

    /// Those of one node.
    pub fn of(&self, node: usize) -> &[OperatorId] {
        &self.0[node]
    }
}

/// What a checkpoint says of a node's operators, but for what they hold.
pub fn parts_of(description: &PlanDescription, ids: &PlanIds, node: usize) -> Vec<OperatorPart> {
    let first = ids.0[..node].iter().map(Vec::len).sum();
    let operators = description.operators.iter().skip(first).zip(ids.of(node));
    let part = |(operator, id): (&OperatorDescription, &OperatorId)| OperatorPart {
        id: id.clone(),
        name: operator.name.clone(),
        signature: operator.signature.clone(),
        query: operator.query.clone(),
        reaches: operator.reaches.clone(),
        surroundings: operator.surroundings.clone(),
        ..OperatorPart::default()
    };
    operators.map(part).collect()
}

/// What a restore compares with the manifest. Nothing in it says where chains are cut.
pub fn describe(plan: &StreamPlan, max_parallelism: u32) -> PlanDescription {
    let graph = Graph::of(plan);
    let operators = graph.operators.iter().enumerate().map(|(index, operator)| OperatorDescription {
        first_id: operator.first_id.clone(),
        name: operator.name.clone(),
        signature: operator.signature.clone(),
        query: operator.query.clone(),
        reaches: graph.reaches[index].iter().cloned().collect(),
        surroundings: short_digest(&format!("{} {}", graph.before[index], graph.behind[index])),
        sources: graph.sources[index].iter().copied().collect(),
    });
    PlanDescription { max_parallelism, operators: operators.collect() }
}

/// One operator by itself.
struct Text {
    first_id: OperatorId,
    name: String,
    signature: String,
    query: String,
    /// The table of a sink.
    writes: Option<String>,
    is_source: bool,
    /// All that it does, in words.
    all: String,
}

fn texts_of(kind: &NodeKind) -> Vec<Text> {
    match kind {
        NodeKind::Chain(specs) => {
            let text = |spec: &Arc<dyn crate::operators::OperatorSpec>| {
                let (name, signature) = (spec.name().to_owned(), spec.signature());
                let all = if signature.is_empty() { spec.to_string() } else { signature.clone() };
                let first_id = OperatorId::of(&name, &all);
                Text { first_id, name, signature, query: String::new(), writes: None, is_source: false, all }
            };
            specs.iter().map(text).collect()
        }
        NodeKind::Source(source) => vec![Text {
            first_id: OperatorId::of_table("Source", &source.table),
            name: "Source".to_owned(),
            signature: source.signature.clone(),
            query: String::new(),
            writes: None,
            is_source: true,
            all: source.signature.clone(),
        }],
        NodeKind::Sink(sink) => vec![Text {
            first_id: OperatorId::of_table("Sink", &sink.table),
            name: "Sink".to_owned(),
            signature: sink.signature.clone(),
            query: sink.query.clone(),
            writes: Some(sink.table.clone()),
            is_source: false,
            all: format!("{} AS {}", sink.signature, sink.query),
        }],
    }
}

/// The plan's operators and how rows go between them.
struct Graph {
    operators: Vec<Text>,
    /// Per operator, digests of itself with all that lies before it, and behind it.
    before: Vec<String>,
    behind: Vec<String>,
    reaches: Vec<BTreeSet<String>>,
    sources: Vec<BTreeSet<usize>>,
}

/// Whose rows come in, which of its outputs they leave, and the port.
type Incoming = (usize, &'static str, usize);

impl Graph {
    fn of(plan: &StreamPlan) -> Self {
        let mut operators: Vec<Text> = Vec::new();
        let mut incoming: Vec<Vec<Incoming>> = Vec::new();
        // Per node: its first operator, and whose rows leave it.
        let mut nodes: Vec<(usize, Vec<Incoming>)> = Vec::new();
        for node in &plan.nodes {
            let mut rows = rows_into(node, &nodes);
            let first = operators.len();
            for text in texts_of(&node.kind) {
                incoming.push(std::mem::replace(&mut rows, vec![(operators.len(), "main", 0)]));
                operators.push(text);
            }
            nodes.push((first, rows));
        }
        let count = operators.len();
        let mut graph = Self {
            operators,
            before: Vec::new(),
            behind: vec![String::new(); count],
            reaches: vec![BTreeSet::new(); count],
            sources: vec![BTreeSet::new(); count],
        };
        for (index, incoming) in incoming.iter().enumerate() {
            let mut from: Vec<String> = incoming
                .iter()
                .map(|(from, output, port)| format!("{output} {port} {}", graph.before[*from]))
                .collect();
            from.sort_unstable();
            let sources = incoming.iter().flat_map(|(from, ..)| graph.sources[*from].clone()).collect();
            graph.sources[index] = sources;
            if graph.operators[index].is_source {
                graph.sources[index].insert(index);
            }
            graph.before.push(graph.digest(index, &from));
        }
        let mut outgoing: Vec<Vec<String>> = vec![Vec::new(); count];
        for index in (0..count).rev() {
            let mut to = std::mem::take(&mut outgoing[index]);
            to.sort_unstable();
            graph.behind[index] = graph.digest(index, &to);
            let written = graph.operators[index].writes.clone();
            graph.reaches[index].extend(written);
            for (from, output, port) in &incoming[index] {
                outgoing[*from].push(format!("{output} {port} {}", graph.behind[index]));
                let reached = graph.reaches[index].clone();
                graph.reaches[*from].extend(reached);
            }
        }
        graph
    }

    fn digest(&self, index: usize, neighbours: &[String]) -> String {
        let operator = &self.operators[index];
        short_digest(&format!("{} {}\n{}", operator.name, operator.all, neighbours.join("\n")))
    }
}

/// The operators whose rows come into a node; a node without operators hands on what it gets.
fn rows_into(node: &Node, nodes: &[(usize, Vec<Incoming>)]) -> Vec<Incoming> {
    let mut rows = Vec::new();
    for edge in &node.inputs {
        let (first, leaving) = &nodes[edge.from];
        match edge.output {
            Output::Main => rows.extend(leaving.iter().map(|(from, output, _)| (*from, *output, edge.port))),
            Output::Late(operator) => rows.push((first + operator, "late", edge.port)),
        }
    }
    rows
}

/// Enough to tell a few operators of one plan apart.
fn short_digest(text: &str) -> String {
    digest(text.as_bytes())[..16].to_owned()
}

/// The sinks' factories.
pub fn sinks(plan: &StreamPlan) -> impl Iterator<Item = &Arc<dyn SinkFactory>> {
    plan.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Sink(sink) => Some(&sink.factory),
        _ => None,
    })
}
