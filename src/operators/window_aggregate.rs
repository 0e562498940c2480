//! The half of a window aggregation behind the exchange: partials meet, windows fire.

use arrow::datatypes::SchemaRef;

use super::{AggregateCall, WindowKind};

/// Window aggregation over partials.
#[derive(Debug, Clone)]
pub struct WindowAggregateSpec {
    /// The columns that come in: those of `WindowLocal`.
    pub input: SchemaRef,
    /// How many leading columns are grouping columns.
    pub keys: usize,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// The windows.
    pub window: WindowKind,
    /// Keys, `window_start`, `window_end`, `window_time`, then a column per aggregate.
    pub output: SchemaRef,
}
