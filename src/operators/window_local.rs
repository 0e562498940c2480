//! The half of a window aggregation before the exchange: rows of the same pane and key become one partial.

use arrow::datatypes::SchemaRef;

use super::{AggregateCall, WindowKind};

/// Pre-aggregation of windows.
#[derive(Debug, Clone)]
pub struct WindowLocalSpec {
    /// The columns that come in: those of `WindowAssign`.
    pub input: SchemaRef,
    /// The grouping columns besides the window.
    pub keys: Vec<usize>,
    /// The column `$pane`.
    pub pane: usize,
    /// The column `$open_from`.
    pub open_from: usize,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// The windows.
    pub window: WindowKind,
}
