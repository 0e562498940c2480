//! Tables in memory: what operators compose to remember keys, panes and values.
//!
//! A key gets a slot (`KeyIndex`), columns of state are addressed by slot (`SlotColumns`), the two side by side are a
//! `SlotTable`. The state tables above them know what changed since the last barrier.

mod key_index;
mod keyed_table;
mod pane_table;
mod probe_table;
mod slices;
mod slot_columns;
mod slot_table;
mod spare_tables;

pub use key_index::{KeyIndex, batch_of};
pub use keyed_table::KeyedTable;
pub use pane_table::PaneTable;
pub use slices::{SLICE_COLUMNS, Slice, cut_slices, integers};
pub use slot_columns::SlotColumns;
pub use slot_table::SlotTable;
pub use spare_tables::SpareTables;
