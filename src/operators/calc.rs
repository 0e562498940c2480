//! Filter and project: the rows that a condition lets through, with computed columns.

use arrow::datatypes::SchemaRef;

use crate::expressions::Scalar;

/// `WHERE` and the select list.
#[derive(Debug, Clone)]
pub struct CalcSpec {
    /// The columns that come in.
    pub input: SchemaRef,
    /// Which rows go on; all without one.
    pub condition: Option<Scalar>,
    /// The columns that leave, computed from the input.
    pub columns: Vec<Scalar>,
    /// Their names and types.
    pub output: SchemaRef,
}
