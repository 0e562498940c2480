//! What a query remembers: typed tables that a barrier hands over and a restart puts back.
//!
//! Operators compose the table kinds of this folder; bytes, key groups, files and budgets are solved here once.

mod files;
mod key_group;
mod log;
mod tables;

pub use files::{
    EncodedTable, FileName, RestoreProgress, TableRows, Writer, check_schema, compact_table, digest, encode,
    is_overgrown, path_name, read_table, run_to_compact, schema_text, write_table,
};
pub use key_group::{HASH_ID, MAX_PARALLELISM_LIMIT, group_of, key_groups, key_hashes, key_range, task_of};
pub use log::{
    Claim, Collected, DamagedLog, FORMAT_VERSION, Garbage, Holds, JobDirectory, JobLog, LogEntry, Manifest, OperatorId,
    OperatorState, RangeWatermark, Retired, SavedCheckpoint, ScriptId, SinkState, SplitState, TableState,
    savepoint_directory,
};
pub use tables::{
    BagScan, BagTable, DueTable, KEEP_UNTIL_COLUMN, KeyIndex, KeyedTable, OrderedTable, PaneTable, RowRange,
    SESSION_COLUMNS, SLICE_COLUMNS, Scan, ScanBudget, ScanDirection, Scanned, SessionTable, Slice, SlotColumns,
    SlotTable, SpareTables, TimedColumns, batch_of, cut_slices, integers,
};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::stream::{EventTime, batch_bytes};

/// The name and shape of a state table, as it stands in the manifest and as a restore compares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    /// Unique within its operator: `panes`, `groups`, `values`.
    pub name: String,
    /// Columns of a row, keys first. `key_group` is not among them: files carry it as a column of its own.
    pub schema: SchemaRef,
    /// The columns, by index and in key order, that the key group is computed from. Empty where the rows belong to
    /// no key; they then go to key group 0. A single key of type `UInt16`, which no type of SQL is, is the group.
    pub key: Vec<usize>,
    /// What later rows do to earlier ones.
    pub kind: TableKind,
}

/// What later rows of a table's files do to earlier ones when they are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// A row replaces the earlier row of the same unique columns (the first `unique` columns of the schema); a
    /// deleted row removes it.
    Keyed { unique: usize },
    /// Rows add up: partial results of the same key are merged by the reader.
    Append,
}

/// Where a table puts what changed since the last barrier. Batches are moved or shared, never encoded here.
#[derive(Debug, Default)]
pub struct SnapshotWriter {
    /// Rows to keep, in order; columns as in [`TableSpec::schema`].
    pub puts: Vec<RecordBatch>,
    /// Keys that are gone (the first `unique` columns of a keyed table); applied after the puts of the same barrier.
    pub deletes: Vec<RecordBatch>,
    /// Rows whose `time` column (the table's first column, `Timestamp(ms)` or `Int64` ms) is below this are gone.
    pub retired_before: Option<EventTime>,
    /// The puts are all rows of a keyed table: what earlier barriers were handed counts no more.
    pub is_whole: bool,
}

impl SnapshotWriter {
    /// Bytes of the rows, which are shared with the table where that keeps them.
    pub fn bytes(&self) -> usize {
        self.puts.iter().chain(&self.deletes).map(batch_bytes).sum()
    }

    /// Adds rows; they are shared, so the table may go on using them.
    pub fn put(&mut self, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.puts.push(rows);
        }
    }

    /// Adds keys whose rows are gone.
    pub fn delete(&mut self, keys: RecordBatch) {
        if keys.num_rows() > 0 {
            self.deletes.push(keys);
        }
    }

    /// Says that all rows with a time below `before` are gone, wherever they were put.
    pub fn retire(&mut self, before: EventTime) {
        self.retired_before = Some(self.retired_before.map_or(before, |earlier| earlier.max(before)));
    }
}

/// State that can be handed over at a barrier and put back into a fresh operator.
///
/// Where a table gives out slots, a slot is valid within one call of its operator only: what is remembered from one call
/// to the next is a key.
pub trait StateTable: Send {
    /// Name, schema, key and kind.
    fn spec(&self) -> TableSpec;
    /// Hands over what changed since the last call. Must be cheap: the task stands still.
    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()>;
    /// Puts rows back into an empty table: those of its own key groups, deletions and retirement already applied, of a
    /// keyed table each key once. Called once, before anything else, and not at all where there is nothing to put back.
    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()>;
    /// Rows held now, with those that are gone and stand in the last checkpoint.
    fn row_count(&self) -> usize;
    /// Bytes held in memory now, for the budget.
    fn bytes(&self) -> usize;
}

/// What one operator handed over at a barrier: a spec and a writer per table, in the operator's order.
pub type OperatorSnapshot = Vec<(TableSpec, SnapshotWriter)>;

/// Calls `save` of each table.
pub fn snapshot(tables: Vec<&mut dyn StateTable>) -> Result<OperatorSnapshot> {
    tables
        .into_iter()
        .map(|table| {
            let mut writer = SnapshotWriter::default();
            table.save(&mut writer)?;
            Ok((table.spec(), writer))
        })
        .collect()
}
