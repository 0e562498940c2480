//! From what a task hands over at a barrier to durable files and an acknowledgement.
//!
//! A task keeps each increment until a completed checkpoint covers it. It is written once, whoever began it: a later
//! checkpoint waits for the same file and names it.
//!
//! ```text
//!   barrier 1 ──▶ increment 1 ──▶ being written ─────────────────▶ file ──┐
//!                                    (checkpoint 1 is given up)           ├──▶ part of checkpoint 2
//!   barrier 2 ──▶ increment 2 ──▶ being written ──────▶ file ─────────────┘
//! ```

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::events::Events;
use crate::checkpoint::{Event, OperatorPart, TablePart, TaskId, TaskPart};
use crate::connectors::World;
use crate::error::Result;
use crate::failpoint;
use crate::state::{
    FileName, JobDirectory, OperatorId, OperatorSnapshot, Retired, SnapshotWriter, TableSpec, Writer, schema_text,
    write_table,
};
use crate::stream::{Barrier, Epoch, EventTime, FileState, Generation};

/// Where state files go.
#[derive(Debug, Clone)]
pub struct SnapshotTarget {
    /// The job's directory; `None` while nothing is durable.
    pub directory: Option<JobDirectory>,
    pub generation: Generation,
    pub max_parallelism: u32,
    /// The first and the last key group of the task.
    pub groups: (u16, u16),
    pub world: World,
    pub events: Events,
}

/// The increments of one task that no completed checkpoint covers yet, oldest first.
#[derive(Default)]
pub struct KeptIncrements {
    kept: Vec<Increment>,
}

struct Increment {
    epoch: Epoch,
    /// By operator, by table.
    operators: Vec<Vec<KeptTable>>,
}

/// What one table handed over at one barrier.
struct KeptTable {
    spec: TableSpec,
    retired_before: Option<EventTime>,
    /// Until they are written.
    rows: Option<Arc<SnapshotWriter>>,
    attempt: u32,
    file: WrittenFile,
}

/// A file that is being written, or that was; `None` where there was no row. Whoever wants to know may wait for it.
type WrittenFile = Shared<BoxFuture<'static, Result<Option<FileState>>>>;

/// What a checkpoint says of one table, once its files are written.
struct TableWrites {
    spec: TableSpec,
    retired_before: Option<EventTime>,
    files: Vec<WrittenFile>,
}

impl KeptIncrements {
    /// Bytes of the rows that are not written yet.
    pub fn bytes(&mut self) -> usize {
        self.settle();
        let tables = self.kept.iter().flat_map(|increment| increment.operators.iter().flatten());
        tables.filter_map(|table| table.rows.as_ref()).map(|rows| rows.bytes()).sum()
    }

    /// Adds what was handed over at `barrier` and returns, per operator and table, all that belongs to its checkpoint.
    fn add(
        &mut self,
        barrier: Barrier,
        snapshots: Vec<OperatorSnapshot>,
        task: usize,
        ids: &[OperatorId],
        directory: &JobDirectory,
        target: &SnapshotTarget,
    ) -> Vec<Vec<TableWrites>> {
        self.kept.retain(|increment| increment.epoch > barrier.covered);
        self.settle();
        let write = |epoch, operator: usize, table: &mut KeptTable| {
            if let Some(rows) = &table.rows {
                let place = Place { task, epoch, operator: ids[operator].clone(), attempt: table.attempt };
                table.file = write(place, table.spec.clone(), Arc::clone(rows), directory.clone(), target.clone());
            }
        };
        for increment in &mut self.kept {
            for (operator, tables) in increment.operators.iter_mut().enumerate() {
                for table in tables.iter_mut().filter(|table| matches!(table.file.peek(), Some(Err(_)))) {
                    table.attempt += 1;
                    write(increment.epoch, operator, table);
                }
            }
        }
        let mut operators: Vec<Vec<KeptTable>> = Vec::new();
        for (operator, tables) in snapshots.into_iter().enumerate() {
            let mut of_operator = Vec::new();
            for (spec, writer) in tables {
                let (retired_before, file) = (writer.retired_before, no_file());
                let mut table = KeptTable { spec, retired_before, rows: Some(Arc::new(writer)), attempt: 0, file };
                write(barrier.epoch, operator, &mut table);
                of_operator.push(table);
            }
            operators.push(of_operator);
        }
        let writes = operators.iter().enumerate().map(|(operator, tables)| {
            let writes = tables.iter().enumerate().map(|(index, table)| {
                let earlier = self.kept.iter().map(|increment| &increment.operators[operator][index]);
                let all: Vec<&KeptTable> = earlier.chain([table]).collect();
                TableWrites {
                    spec: table.spec.clone(),
                    retired_before: all.iter().filter_map(|table| table.retired_before).max(),
                    files: all.iter().map(|table| table.file.clone()).collect(),
                }
            });
            writes.collect()
        });
        let writes = writes.collect();
        self.kept.push(Increment { epoch: barrier.epoch, operators });
        writes
    }

    /// Lets go of rows that are written.
    fn settle(&mut self) {
        for table in self.kept.iter_mut().flat_map(|increment| increment.operators.iter_mut().flatten()) {
            if matches!(table.file.peek(), Some(Ok(_))) {
                table.rows = None;
            }
        }
    }
}

fn no_file() -> WrittenFile {
    futures::future::ready(Ok(None)).boxed().shared()
}

/// Whose rows they are.
struct Place {
    task: usize,
    epoch: Epoch,
    operator: OperatorId,
    attempt: u32,
}

/// Writes rows once somebody waits for them.
fn write(
    place: Place,
    spec: TableSpec,
    rows: Arc<SnapshotWriter>,
    directory: JobDirectory,
    target: SnapshotTarget,
) -> WrittenFile {
    let blocking = Arc::clone(&target.world.blocking);
    let job = move || {
        let name = FileName {
            epoch: place.epoch,
            generation: target.generation,
            operator: place.operator.as_str(),
            table: &spec.name,
            writer: Writer::Task { task: place.task, attempt: place.attempt },
        };
        write_table(directory.store.as_ref(), &directory.path, &name, &spec, &rows, target.max_parallelism)
    };
    async move { blocking.call(job).await? }.boxed().shared()
}

/// What a task says of itself besides its tables.
pub struct TaskFacts {
    pub task: TaskId,
    /// Each operator of the chain, without its tables.
    pub operators: Vec<OperatorPart>,
    /// The key groups of their watermarks.
    pub groups: (u16, u16),
    pub shares_watermark: bool,
}

/// Takes the handed-over state of a task and lets it be written and acknowledged while the task goes on.
pub fn upload(
    kept: &mut KeptIncrements,
    barrier: Barrier,
    snapshots: Vec<OperatorSnapshot>,
    facts: TaskFacts,
    target: &SnapshotTarget,
) {
    failpoint::hit("snapshot.capture");
    let TaskFacts { task, operators, groups, shares_watermark } = facts;
    let tables = match &target.directory {
        Some(directory) => {
            let ids: Vec<OperatorId> = operators.iter().map(|operator| operator.id.clone()).collect();
            kept.add(barrier, snapshots, task.task, &ids, directory, target)
        }
        None => Vec::new(),
    };
    let (events, own_groups) = (target.events.clone(), target.groups);
    tokio::spawn(async move {
        let epoch = barrier.epoch;
        let event = match written(tables, own_groups).await {
            Ok(tables) => {
                let tables = tables.into_iter().chain(std::iter::repeat_with(Vec::new));
                let operators = operators.into_iter().zip(tables);
                let operators = operators.map(|(operator, tables)| OperatorPart { tables, ..operator }).collect();
                let part = TaskPart { operators, groups: Some(groups), shares_watermark, committable: None };
                failpoint::hit("snapshot.ack");
                Event::Acknowledged { epoch, task, part: Box::new(part) }
            }
            Err(error) => Event::Declined { epoch, task, error },
        };
        events.send(event).await;
    });
}

/// Waits for the files of all tables, one after the other: that bounds how much is encoded at a time.
async fn written(operators: Vec<Vec<TableWrites>>, groups: (u16, u16)) -> Result<Vec<Vec<TablePart>>> {
    let mut parts = Vec::with_capacity(operators.len());
    for tables in operators {
        let mut of_operator = Vec::with_capacity(tables.len());
        for TableWrites { spec, retired_before, files: writes } in tables {
            let mut files = Vec::with_capacity(writes.len());
            for file in writes {
                files.extend(file.await?);
            }
            of_operator.push(TablePart {
                schema: schema_text(&spec.schema),
                kind: spec.kind,
                key: spec.key,
                name: spec.name,
                retired: retired_before.map(|time| Retired { groups, before: time.0 }),
                files,
            });
        }
        parts.push(of_operator);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
