//! The parts of all tasks, put together to the operators of a manifest.

use std::collections::BTreeMap;

use super::part::{OperatorPart, TablePart, TaskId, TaskPart};
use crate::error::{Error, Result};
use crate::state::{Manifest, OperatorId, OperatorState, RangeWatermark, Retired, TableState};
use crate::stream::Epoch;

/// One entry per operator: the files that `last` had and what its tasks handed over after its barrier.
pub(super) fn operators(
    last: &Manifest,
    parts: &BTreeMap<TaskId, TaskPart>,
) -> Result<BTreeMap<OperatorId, OperatorState>> {
    let mut operators = BTreeMap::<OperatorId, OperatorState>::new();
    // What the first task of each node consists of, and the node's first watermarks.
    let mut first = BTreeMap::<&str, &TaskPart>::new();
    for (task, part) in parts {
        let of_node = *first.entry(&task.node).or_insert(part);
        check(of_node, part).map_err(|error| name(error, task))?;
        for operator in &part.operators {
            match operators.get_mut(&operator.id) {
                None => {
                    operators.insert(operator.id.clone(), begin(last.operators.get(&operator.id), operator));
                }
                Some(_) if std::ptr::eq(of_node, part) => {
                    let twice = Error::bug(format!("operator {} is in the plan twice", operator.id));
                    return Err(name(twice, task));
                }
                Some(_) => {}
            }
            if let Some(state) = operators.get_mut(&operator.id) {
                add(state, part.groups, operator, last.epoch).map_err(|error| name(error, task))?;
            }
        }
    }
    operators.values_mut().for_each(|operator| coalesce(&mut operator.watermarks));
    Ok(operators)
}

fn name(error: Error, task: &TaskId) -> Error {
    error.context(format_args!("task {} of {}", task.task, task.node))
}

/// Tasks of a node consist of the same operators, of which the first, behind a hash exchange, has met the same watermark
/// in all of them. Those behind it are told by it, and one task may be in the middle of a fire that another is done with.
fn check(first: &TaskPart, part: &TaskPart) -> Result<()> {
    if first.operators.len() != part.operators.len() {
        return Err(Error::bug("has another number of operators than the node's other tasks"));
    }
    for (place, (first, operator)) in first.operators.iter().zip(&part.operators).enumerate() {
        if place == 0 && part.shares_watermark && first.watermark != operator.watermark {
            return Err(Error::bug(format!(
                "operator {} had met watermark {:?} at a barrier where that of another task had met {:?}",
                operator.id, operator.watermark, first.watermark
            )));
        }
        let tables = |of: &OperatorPart| -> Vec<_> {
            of.tables.iter().map(|table| (table.name.clone(), table.schema.clone(), table.kind)).collect()
        };
        let is_same = first.id == operator.id && first.signature == operator.signature;
        if !is_same || tables(first) != tables(operator) {
            return Err(Error::bug(format!(
                "its operator {} differs from that of the node's other tasks",
                operator.id
            )));
        }
    }
    Ok(())
}

/// An operator before the first part: with what it had inherited.
fn begin(inherited: Option<&OperatorState>, part: &OperatorPart) -> OperatorState {
    let table = |table: &TablePart| {
        let inherited =
            inherited.and_then(|operator| operator.tables.iter().find(|known| known.name == table.name)).cloned();
        let (retired, files) = inherited.map_or_else(Default::default, |known| (known.retired, known.files));
        TableState {
            name: table.name.clone(),
            schema: table.schema.clone(),
            kind: table.kind,
            key: table.key.clone(),
            retired,
            files,
        }
    };
    OperatorState {
        name: part.name.clone(),
        signature: part.signature.clone(),
        query: part.query.clone(),
        reaches: part.reaches.clone(),
        surroundings: part.surroundings.clone(),
        tables: part.tables.iter().map(table).collect(),
        ..OperatorState::default()
    }
}

/// Adds the part of a task with these key groups; its files up to epoch `covered` are inherited already.
fn add(operator: &mut OperatorState, groups: Option<(u16, u16)>, part: &OperatorPart, covered: Epoch) -> Result<()> {
    if let Some(groups) = groups {
        operator.watermarks.push(RangeWatermark { groups, watermark: part.watermark });
    }
    for (split, state) in &part.splits {
        if operator.splits.insert(split.clone(), state.clone()).is_some() {
            return Err(Error::bug(format!("reads split {split}, which another task reads too")));
        }
    }
    operator.counters.merge(&part.counters);
    for (table, part) in operator.tables.iter_mut().zip(&part.tables) {
        table.retired = Retired::combined(table.retired.iter().chain(&part.retired).copied());
        table.files.extend(part.files_after(covered));
    }
    Ok(())
}

/// Ascending ranges; neighbours with one watermark become one, and of those for the same groups the least counts.
fn coalesce(ranges: &mut Vec<RangeWatermark>) {
    ranges.sort_by_key(|range| range.groups);
    let mut merged: Vec<RangeWatermark> = Vec::new();
    for range in ranges.drain(..) {
        match merged.last_mut() {
            Some(last) if last.groups == range.groups => last.watermark = last.watermark.min(range.watermark),
            Some(last)
                if last.watermark == range.watermark && u32::from(last.groups.1) + 1 == u32::from(range.groups.0) =>
            {
                last.groups.1 = range.groups.1;
            }
            _ => merged.push(range),
        }
    }
    *ranges = merged;
}
