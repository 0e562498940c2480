//! The half of an unwindowed GROUP BY before the exchange: rows of the same key become one partial.

use arrow::datatypes::SchemaRef;

use super::AggregateCall;

/// Pre-aggregation of an updating GROUP BY.
#[derive(Debug, Clone)]
pub struct GroupLocalSpec {
    /// The columns that come in.
    pub input: SchemaRef,
    /// The grouping columns.
    pub keys: Vec<usize>,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// Whether rows can be taken back.
    pub retract: bool,
}
