//! From what a task hands over at a barrier to durable files and an acknowledgement.
//!
//! A task keeps each increment until a completed checkpoint covers it: after an aborted checkpoint the next one
//! carries the increment too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::events::Events;
use crate::checkpoint::{Event, OperatorPart, TablePart, TaskId, TaskPart};
use crate::connectors::World;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::state::{FileName, OperatorSnapshot, SnapshotWriter, TableSpec, schema_text, write_table};
use crate::stream::{Barrier, Counters, Epoch, FileState, Generation};

/// Where state files go.
#[derive(Debug, Clone)]
pub struct SnapshotTarget {
    /// The job's directory; `None` while nothing is durable.
    pub directory: Option<PathBuf>,
    pub generation: Generation,
    pub max_parallelism: u32,
    pub world: World,
    pub events: Events,
}

/// The increments of one task that no completed checkpoint covers yet.
#[derive(Debug, Default)]
pub struct KeptIncrements {
    kept: Vec<Increment>,
}

#[derive(Debug)]
struct Increment {
    epoch: Epoch,
    full: bool,
    /// By operator, by table.
    operators: Vec<Vec<(TableSpec, Arc<SnapshotWriter>)>>,
}

impl KeptIncrements {
    /// Adds what was handed over at `barrier` and returns, per operator and table, all that has to be written for it.
    fn add(&mut self, barrier: Barrier, snapshots: Vec<OperatorSnapshot>) -> Result<Tables> {
        self.kept.retain(|increment| increment.epoch > barrier.covered && !barrier.full);
        if self.kept.iter().any(|increment| increment.full) {
            // Written beside the files it was to replace, a full snapshot would count its rows twice.
            return Err(Error::bug("an increment was asked for after a full snapshot that never completed"));
        }
        let operators = snapshots
            .into_iter()
            .map(|tables| tables.into_iter().map(|(spec, writer)| (spec, Arc::new(writer))).collect())
            .collect();
        self.kept.push(Increment { epoch: barrier.epoch, full: barrier.full, operators });
        let newest = &self.kept[self.kept.len() - 1].operators;
        Ok(newest
            .iter()
            .enumerate()
            .map(|(operator, tables)| {
                let table = |(index, (spec, _)): (usize, &(TableSpec, _))| {
                    let writers =
                        self.kept.iter().map(|kept| (kept.epoch, Arc::clone(&kept.operators[operator][index].1)));
                    (spec.clone(), writers.collect())
                };
                tables.iter().enumerate().map(table).collect()
            })
            .collect())
    }
}

/// What a task says of itself besides its tables.
pub struct TaskFacts {
    pub task: TaskId,
    /// Kind and signature of each operator of the chain.
    pub operators: Vec<(String, String)>,
    pub watermark: Option<i64>,
    pub shares_watermark: bool,
    pub counters: BTreeMap<String, Counters>,
}

/// Takes the handed-over state of a task and lets it be written and acknowledged while the task goes on.
pub fn upload(
    kept: &mut KeptIncrements,
    barrier: Barrier,
    snapshots: Vec<OperatorSnapshot>,
    facts: TaskFacts,
    target: &SnapshotTarget,
) -> Result<()> {
    failpoint::hit("snapshot.capture");
    let tables = if target.directory.is_some() { kept.add(barrier, snapshots)? } else { Vec::new() };
    let target = target.clone();
    let operators = facts.operators;
    let mut part = TaskPart {
        watermark: facts.watermark,
        shares_watermark: facts.shares_watermark,
        counters: facts.counters,
        ..TaskPart::default()
    };
    let task = facts.task;
    tokio::spawn(async move {
        let epoch = barrier.epoch;
        let event = match write(&target, &task, tables).await {
            Ok(tables) => {
                let tables = tables.into_iter().chain(std::iter::repeat_with(Vec::new));
                part.operators = operators
                    .into_iter()
                    .zip(tables)
                    .map(|((name, signature), tables)| OperatorPart { name, signature, query: String::new(), tables })
                    .collect();
                failpoint::hit("snapshot.ack");
                Event::Acknowledged { epoch, task, part: Box::new(part) }
            }
            Err(error) => Event::Declined { epoch, task, error },
        };
        target.events.send(event).await;
    });
    Ok(())
}

/// By operator, by table: what has to be written, each with the epoch whose barrier handed it over.
type Tables = Vec<Vec<(TableSpec, Vec<(Epoch, Arc<SnapshotWriter>)>)>>;

async fn write(target: &SnapshotTarget, task: &TaskId, tables: Tables) -> Result<Vec<Vec<TablePart>>> {
    let Some(directory) = target.directory.clone() else { return Ok(Vec::new()) };
    if tables.iter().all(Vec::is_empty) {
        return Ok(tables.iter().map(|_| Vec::new()).collect());
    }
    let (task, generation, max_parallelism) = (task.clone(), target.generation, target.max_parallelism);
    let store = Arc::clone(&target.world.store);
    let job = move || {
        let mut parts = Vec::new();
        for (operator, tables) in tables.into_iter().enumerate() {
            let mut of_operator = Vec::new();
            for (spec, writers) in tables {
                let mut files = Vec::new();
                for (epoch, writer) in &writers {
                    let (node, table) = (task.node.as_str(), spec.name.as_str());
                    let name = FileName { epoch: *epoch, generation, node, operator, table, task: task.task };
                    files.extend(write_table(store.as_ref(), &directory, &name, &spec, writer, max_parallelism)?);
                }
                of_operator.push(table_part(&spec, &writers, files));
            }
            parts.push(of_operator);
        }
        Ok(parts)
    };
    target.world.blocking.call(job).await?
}

fn table_part(spec: &TableSpec, writers: &[(Epoch, Arc<SnapshotWriter>)], files: Vec<FileState>) -> TablePart {
    TablePart {
        name: spec.name.clone(),
        schema: schema_text(&spec.schema),
        kind: spec.kind,
        retired_before: writers.iter().filter_map(|(_, writer)| writer.retired_before).max().map(|time| time.0),
        files,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::TableKind;
    use crate::stream::BarrierKind;
    use arrow::datatypes::Schema;

    fn handed_over(kept: &mut KeptIncrements, epoch: u64, covered: u64, full: bool) -> Result<Vec<u64>> {
        let spec = TableSpec {
            name: "groups".to_owned(),
            schema: Arc::new(Schema::empty()),
            key: Vec::new(),
            kind: TableKind::Append,
        };
        let barrier = Barrier { epoch: Epoch(epoch), kind: BarrierKind::Checkpoint, covered: Epoch(covered), full };
        let tables = kept.add(barrier, vec![vec![(spec, SnapshotWriter::new(full))]])?;
        Ok(tables[0][0].1.iter().map(|(epoch, _)| epoch.0).collect())
    }

    #[test]
    fn increments_are_kept_until_a_completed_checkpoint_covers_them() {
        let mut kept = KeptIncrements::default();
        let mut add = |epoch, covered, full| handed_over(&mut kept, epoch, covered, full).unwrap();
        assert_eq!(add(1, 0, false), [1]);
        assert_eq!(add(2, 1, false), [2]);
        assert_eq!(add(3, 1, false), [2, 3], "2 was given up");
        assert_eq!(add(4, 1, false), [2, 3, 4], "3 too");
        assert_eq!(add(5, 4, false), [5]);
        assert_eq!(add(6, 4, true), [6], "a full one holds everything");
        assert_eq!(add(7, 4, true), [7], "and is asked for again if it was given up");
        assert_eq!(add(8, 7, false), [8]);
    }

    #[test]
    fn an_increment_beside_a_full_snapshot_that_never_completed_would_count_twice() {
        let mut kept = KeptIncrements::default();
        handed_over(&mut kept, 1, 0, true).unwrap();
        assert!(handed_over(&mut kept, 2, 0, false).is_err());
    }
}
