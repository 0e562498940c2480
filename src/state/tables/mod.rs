//! Tables in memory: what operators compose to remember keys, panes and values.
//!
//! A key gets a slot (`KeyIndex`), columns of state are addressed by slot (`SlotColumns`), the two side by side are a
//! `SlotTable`. Where the order of rows counts, they lie encoded in a tree (`SortedRows`), or for each key in a `Bag`.
//! The state tables above them know what changed since the last barrier.

mod bag;
mod bag_table;
mod byte_keys;
mod due_table;
mod key_columns;
mod key_index;
mod keyed_table;
mod ordered_table;
mod pane_table;
mod probe_table;
#[cfg(test)]
mod restarts;
mod row_bytes;
mod row_order;
mod session_table;
mod slices;
mod slot_columns;
mod slot_table;
mod sorted_rows;
mod spare_tables;
mod timed_columns;
mod word_keys;

pub use bag_table::{BagScan, BagTable};
pub use due_table::DueTable;
pub use key_index::{KeyIndex, batch_of};
pub use keyed_table::KeyedTable;
pub use ordered_table::{OrderedTable, Scanned};
pub use pane_table::PaneTable;
pub use row_order::{RowRange, Scan, ScanBudget, ScanDirection};
pub use session_table::{SESSION_COLUMNS, SessionTable};
pub use slices::{SLICE_COLUMNS, Slice, cut_slices, integers};
pub use slot_columns::SlotColumns;
pub use slot_table::SlotTable;
pub use spare_tables::SpareTables;
pub use timed_columns::{KEEP_UNTIL_COLUMN, TimedColumns};
