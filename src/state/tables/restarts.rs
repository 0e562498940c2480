//! For tests of state tables: tasks that own one each, checkpoints of them, and restarts at another parallelism; a state
//! that is a sum.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type};

use super::SlotColumns;
use crate::error::Result;
use crate::state::{
    FileName, RestoreProgress, SnapshotWriter, StateTable, TableState, Writer, key_groups, key_range, read_table,
    schema_text, task_of, write_table,
};
use crate::storage::FakeStore;
use crate::stream::{Epoch, FileState, Generation};

const MAX_PARALLELISM: u32 = 128;

/// The tables of a job's tasks, and its files.
pub(super) struct Restarts<T> {
    fresh: fn() -> T,
    /// By task.
    pub(super) tables: Vec<T>,
    store: FakeStore,
    /// What the last complete checkpoint names.
    checkpoint: TableState,
    /// Increments of checkpoints that were given up since.
    kept: Vec<FileState>,
    epoch: u64,
}

impl<T: StateTable> Restarts<T> {
    /// One task with an empty table.
    pub(super) fn new(fresh: fn() -> T) -> Self {
        let spec = fresh().spec();
        let checkpoint = TableState {
            name: spec.name,
            schema: schema_text(&spec.schema),
            kind: spec.kind,
            key: spec.key,
            retired: Vec::new(),
            files: Vec::new(),
        };
        Self { fresh, tables: vec![fresh()], store: FakeStore::new(), checkpoint, kept: Vec::new(), epoch: 0 }
    }

    /// The task that owns each row.
    pub(super) fn owners(&self, key: &[ArrayRef]) -> Vec<usize> {
        let groups = key_groups(key, MAX_PARALLELISM).unwrap();
        groups.into_iter().map(|group| task_of(group, self.tables.len(), MAX_PARALLELISM)).collect()
    }

    /// Hands each table its own rows, by the first column.
    pub(super) fn route(&mut self, rows: &RecordBatch, mut work: impl FnMut(&mut T, &RecordBatch)) {
        let owners = self.owners(&rows.columns()[..1]);
        for (task, table) in self.tables.iter_mut().enumerate() {
            let own: BooleanArray = owners.iter().map(|owner| Some(*owner == task)).collect();
            work(table, &filter_record_batch(rows, &own).unwrap());
        }
    }

    /// A barrier. Where the checkpoint is given up, what was written is kept for the next one.
    pub(super) fn barrier(&mut self, is_complete: bool) {
        self.epoch += 1;
        for (task, table) in self.tables.iter_mut().enumerate() {
            let mut snapshot = SnapshotWriter::default();
            table.save(&mut snapshot).unwrap();
            let name = FileName {
                epoch: Epoch(self.epoch),
                generation: Generation(1),
                operator: "op",
                table: &self.checkpoint.name,
                writer: Writer::Task { task, attempt: 0 },
            };
            let file = write_table(&self.store, job(), &name, &table.spec(), &snapshot, MAX_PARALLELISM).unwrap();
            self.kept.extend(file);
        }
        if is_complete {
            self.checkpoint.files.append(&mut self.kept);
        }
    }

    /// Starts again from the last complete checkpoint, with so many tasks.
    pub(super) fn restart(&mut self, tasks: usize) {
        self.kept.clear();
        let restored = |task| {
            let (mut table, progress) = ((self.fresh)(), RestoreProgress::default());
            let range = key_range(task, tasks, MAX_PARALLELISM);
            let spec = table.spec();
            let mut rows = read_table(&self.store, job(), &self.checkpoint, &range, &spec, &progress).unwrap();
            table.load(&mut rows).unwrap();
            table
        };
        self.tables = (0..tasks).map(restored).collect();
    }

    /// Rows in the files of the last complete checkpoint.
    pub(super) fn rows_in_files(&self) -> u64 {
        self.checkpoint.files.iter().map(|file| file.rows).sum()
    }
}

fn job() -> &'static Path {
    Path::new("/state/job")
}

/// A sum by slot.
#[derive(Debug, Default)]
pub(super) struct Sums(pub(super) Vec<i64>);

impl SlotColumns for Sums {
    fn fields(&self) -> Vec<Field> {
        vec![Field::new("sum", DataType::Int64, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.0.resize(slots, 0);
    }

    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.clear(slots);
        self.merge(slots, columns)
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let sums = columns[0].as_primitive::<Int64Type>().values();
        slots.iter().zip(sums).for_each(|(slot, sum)| self.0[*slot as usize] += *sum);
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(Int64Array::from_iter_values(slots.iter().map(|slot| self.0[*slot as usize])))])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(Int64Array::from(std::mem::take(&mut self.0)))])
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.0[*slot as usize] = 0);
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}
