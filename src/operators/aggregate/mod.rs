//! COUNT, SUM, AVG, MIN and MAX over typed columns: one vector per state field, addressed by slot.
//!
//! An aggregate has a state that is a few plain columns. Rows are added to it, partial states of another task are
//! merged into it, and the result is computed from it without consuming it.

use std::fmt;

use arrow::datatypes::{DataType, Field};

/// One aggregate of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// What is computed.
    pub function: AggregateFunction,
    /// The column of the raw rows that it is computed from; `None` is `COUNT(*)`.
    pub argument: Option<usize>,
    /// The boolean column of the raw rows that says which rows count: the FILTER clause.
    pub filter: Option<usize>,
    /// The type of the argument; of no account for `COUNT`.
    pub input_type: DataType,
    /// Name and type of the result.
    pub output: Field,
}

/// The aggregate functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

impl fmt::Display for AggregateFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::Min => "MIN",
            Self::Max => "MAX",
        })
    }
}
