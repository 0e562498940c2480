//! Increments in memory, put together as the files of a checkpoint are: in order, later rows in place of earlier ones,
//! deleted and retired rows left out.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use indexmap::IndexMap;

use super::texts;
use crate::state::{OperatorSnapshot, SnapshotWriter, TableKind, TableSpec, integers};

/// The state of one operator, by table.
#[derive(Debug, Default)]
pub(super) struct Stored {
    tables: BTreeMap<String, Vec<SnapshotWriter>>,
}

impl Stored {
    /// Adds what an operator handed over.
    pub(super) fn add(&mut self, snapshot: OperatorSnapshot) {
        for (spec, writer) in snapshot {
            for batch in &writer.puts {
                assert_eq!(batch.schema().fields(), spec.schema.fields(), "columns of table {}", spec.name);
            }
            self.tables.entry(spec.name).or_default().push(writer);
        }
    }

    /// The rows of a table, in small batches.
    pub(super) fn read(&self, spec: &TableSpec) -> Vec<RecordBatch> {
        let increments = self.tables.get(&spec.name).map_or(&[][..], Vec::as_slice);
        let rows = match spec.kind {
            TableKind::Keyed { unique } => keyed(increments, unique),
            TableKind::Append => appended(increments),
        };
        let batches = rows.chunks(3).map(|rows| arrow::compute::concat_batches(&spec.schema, rows).unwrap());
        batches.collect()
    }
}

fn rows(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    (0..batch.num_rows()).map(|row| batch.slice(row, 1))
}

fn keyed(increments: &[SnapshotWriter], unique: usize) -> Vec<RecordBatch> {
    let mut found: IndexMap<Vec<String>, RecordBatch> = IndexMap::new();
    for increment in increments {
        for row in increment.puts.iter().flat_map(rows) {
            found.insert(texts(&row, 0)[..unique].to_vec(), row);
        }
        for row in increment.deletes.iter().flat_map(rows) {
            assert_eq!(row.num_columns(), unique, "a deleted key has its unique columns");
            let removed = found.shift_remove(&texts(&row, 0));
            assert!(removed.is_some(), "what is deleted was put");
        }
    }
    found.into_values().collect()
}

fn appended(increments: &[SnapshotWriter]) -> Vec<RecordBatch> {
    assert!(increments.iter().all(|increment| increment.deletes.is_empty()), "an append table deletes nothing");
    let retired = increments.iter().filter_map(|increment| increment.retired_before).max();
    let stays = |row: &RecordBatch| {
        assert_eq!(row.column(0).data_type(), &DataType::Int64);
        retired.is_none_or(|before| integers(row.column(0)).unwrap()[0] >= before.0)
    };
    increments.iter().flat_map(|increment| increment.puts.iter().flat_map(rows)).filter(stays).collect()
}
