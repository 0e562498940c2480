//! A plan as a restore compares it with a checkpoint: nodes, operators, signatures.

use std::sync::Arc;

use crate::checkpoint::{NodeDescription, OperatorDescription, PlanDescription};
use crate::connectors::SinkFactory;
use crate::plan::{NodeKind, StreamPlan};

/// Everything in a node that a restore compares.
pub fn operators_of(kind: &NodeKind) -> Vec<OperatorDescription> {
    let describe = |name: &str, signature: String, query: &str| OperatorDescription {
        name: name.to_owned(),
        signature,
        query: query.to_owned(),
    };
    match kind {
        NodeKind::Chain(specs) => specs.iter().map(|spec| describe(spec.name(), spec.signature(), "")).collect(),
        NodeKind::Source(source) => vec![describe("Source", source.signature.clone(), "")],
        NodeKind::Sink(sink) => vec![describe("Sink", sink.signature.clone(), &sink.query)],
    }
}

/// What a restore compares with the manifest.
pub fn describe(plan: &StreamPlan, max_parallelism: u32) -> PlanDescription {
    let nodes =
        plan.nodes.iter().map(|node| NodeDescription { name: node.name.clone(), operators: operators_of(&node.kind) });
    let sinks = sinks(plan).map(|(name, _)| name.to_owned()).collect();
    PlanDescription { max_parallelism, nodes: nodes.collect(), sinks }
}

/// The plan's sinks by name.
pub fn sinks(plan: &StreamPlan) -> impl Iterator<Item = (&str, &Arc<dyn SinkFactory>)> {
    plan.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Sink(sink) => Some((node.name.as_str(), &sink.factory)),
        _ => None,
    })
}
