//! The configuration of an operator: what a plan holds, EXPLAIN prints, and a task builds the running operator from.

use std::fmt::{Debug, Display};

use arrow::datatypes::SchemaRef;

use super::{BuildContext, Operator, StateBound};
use crate::error::Result;

/// A step of the plan. Its `Display` is the line in EXPLAIN, in Flink's order of things:
/// `GroupAggregate(groupBy=[user], select=[user, COUNT(*) AS n])`.
pub trait OperatorSpec: Debug + Display + Send + Sync {
    /// The kind, such as `GroupAggregate`; names the operator in counters, EXPLAIN and state.
    fn name(&self) -> &'static str;
    /// What a restore compares, in our own words and stable over releases: kind, keys, functions, expression texts,
    /// window, column types. Two specs with the same signature can read each other's state. Empty if stateless.
    fn signature(&self) -> String;
    /// The columns that leave.
    fn output(&self) -> SchemaRef;
    /// The columns of late rows if the operator can refuse rows for their time: those of its input but hidden ones,
    /// then those of [`late_columns`](super::late_columns).
    fn late(&self) -> Option<SchemaRef> {
        None
    }
    /// What bounds its state. Asked of those alone that have any.
    fn bound(&self) -> StateBound {
        StateBound::Keys
    }
    /// A fresh running operator.
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>>;
}
