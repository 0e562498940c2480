//! The parts of all tasks, put together to the nodes of a manifest.

use std::collections::BTreeMap;

use super::part::{OperatorPart, TablePart, TaskId, TaskPart};
use crate::error::{Error, Result};
use crate::state::{Manifest, NodeState, OperatorState, Retired, TableState};
use crate::stream::Epoch;

/// One entry per node: the files that `last` had and what its tasks handed over after its barrier.
pub(super) fn nodes(last: &Manifest, parts: &BTreeMap<TaskId, TaskPart>) -> Result<BTreeMap<String, NodeState>> {
    let mut nodes = BTreeMap::<String, NodeState>::new();
    let covered = last.epoch;
    for (task, part) in parts {
        match nodes.get_mut(&task.node) {
            None => {
                let inherited = last.nodes.get(&task.node);
                nodes.insert(task.node.clone(), first(inherited, part, covered).map_err(|error| name(error, task))?);
            }
            Some(node) => add(node, part, covered).map_err(|error| name(error, task))?,
        }
    }
    Ok(nodes)
}

fn name(error: Error, task: &TaskId) -> Error {
    error.context(format_args!("task {} of {}", task.task, task.node))
}

/// A node with the part of its first task.
fn first(inherited: Option<&NodeState>, part: &TaskPart, covered: Epoch) -> Result<NodeState> {
    // Those without a signature may have come and gone between two starts.
    let mut signed = inherited.into_iter().flat_map(NodeState::signed);
    let operators = part.operators.iter().map(|operator| {
        let inherited = if operator.signature.is_empty() { None } else { signed.next() };
        OperatorState {
            name: operator.name.clone(),
            signature: operator.signature.clone(),
            query: operator.query.clone(),
            tables: operator.tables.iter().map(|table| first_of_table(inherited, table, covered)).collect(),
        }
    });
    Ok(NodeState {
        operators: operators.collect(),
        watermark: part.watermark,
        splits: part.splits.clone(),
        counters: part.counters.clone(),
    })
}

fn first_of_table(inherited: Option<&OperatorState>, part: &TablePart, covered: Epoch) -> TableState {
    let inherited = inherited.and_then(|operator| operator.tables.iter().find(|table| table.name == part.name));
    let mut files = inherited.map_or_else(Vec::new, |table| table.files.clone());
    files.extend(part.files_after(covered));
    let retired = inherited.into_iter().flat_map(|table| &table.retired).chain(&part.retired).copied();
    TableState {
        name: part.name.clone(),
        schema: part.schema.clone(),
        kind: part.kind,
        key: part.key.clone(),
        retired: Retired::combined(retired),
        files,
    }
}

/// Adds the part of another task of the same node.
fn add(node: &mut NodeState, part: &TaskPart, covered: Epoch) -> Result<()> {
    if node.watermark != part.watermark && part.shares_watermark {
        return Err(Error::bug(format!(
            "met watermark {:?} at a barrier where another task of the node met {:?}",
            part.watermark, node.watermark
        )));
    }
    // Nobody behind the node has met more than the least of its tasks.
    node.watermark = node.watermark.min(part.watermark);
    if node.operators.len() != part.operators.len() {
        return Err(Error::bug("has another number of operators than the node's other tasks"));
    }
    for (operator, part) in node.operators.iter_mut().zip(&part.operators) {
        add_operator(operator, part, covered)?;
    }
    for (split, state) in &part.splits {
        if node.splits.insert(split.clone(), state.clone()).is_some() {
            return Err(Error::bug(format!("reads split {split}, which another task reads too")));
        }
    }
    for (operator, counters) in &part.counters {
        node.counters.entry(operator.clone()).or_default().merge(counters);
    }
    Ok(())
}

fn add_operator(operator: &mut OperatorState, part: &OperatorPart, covered: Epoch) -> Result<()> {
    let is_same = operator.name == part.name
        && operator.signature == part.signature
        && operator.tables.len() == part.tables.len()
        && operator
            .tables
            .iter()
            .zip(&part.tables)
            .all(|(table, part)| table.name == part.name && table.schema == part.schema && table.kind == part.kind);
    if !is_same {
        return Err(Error::bug(format!("its operator {} differs from that of the node's other tasks", part.name)));
    }
    for (table, part) in operator.tables.iter_mut().zip(&part.tables) {
        table.retired = Retired::combined(table.retired.iter().chain(&part.retired).copied());
        table.files.extend(part.files_after(covered));
    }
    Ok(())
}
