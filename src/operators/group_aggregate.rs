//! Unwindowed GROUP BY over partials: each batch changes the results of the keys that it touches.

use arrow::datatypes::SchemaRef;

use super::AggregateCall;

/// An updating GROUP BY.
#[derive(Debug, Clone)]
pub struct GroupAggregateSpec {
    /// The columns that come in: those of `GroupLocal`.
    pub input: SchemaRef,
    /// How many leading columns are grouping columns.
    pub keys: usize,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// Whether rows can be taken back.
    pub retract: bool,
    /// Whether `-U` rows leave before `+U` rows.
    pub emit_update_before: bool,
    /// Keys, then a column per aggregate.
    pub output: SchemaRef,
}
