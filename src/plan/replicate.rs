//! Rows as often as one of their columns says, as a node of the plan: what INTERSECT ALL and EXCEPT ALL do with the groups of
//! both sides.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::LogicalPlan;

use super::unary::{Unary, UnaryNode};
use crate::error::Result;

/// The input's columns but for `times`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Replicate {
    /// The input's column that says how often a row is there: `BIGINT`.
    pub times: String,
}

/// Each row as often as a column says.
pub type ReplicateNode = UnaryNode<Replicate>;

/// Each row as often as `times` says.
pub fn replicate_node(input: LogicalPlan, times: &str) -> Result<LogicalPlan> {
    ReplicateNode::over(input, Replicate { times: times.to_owned() })
}

impl fmt::Display for Replicate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Replicate: times=[{}]", self.times)
    }
}

impl Unary for Replicate {
    const NAME: &'static str = "Replicate";

    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef> {
        let kept = input.fields().iter().filter(|field| *field.name() != self.times);
        let kept: Vec<Field> = kept.map(|field| field.as_ref().clone()).collect();
        Ok(Arc::new(DFSchema::try_from(Schema::new(kept)).map_err(super::bind::bug)?))
    }

    fn needed(&self, input: &DFSchema, _: &DFSchema, wanted: &[usize]) -> Vec<usize> {
        let kept: Vec<usize> =
            (0..input.fields().len()).filter(|index| *input.field(*index).name() != self.times).collect();
        let mut needed: Vec<usize> = wanted.iter().filter_map(|index| kept.get(*index).copied()).collect();
        needed.extend(input.index_of_column_by_name(None, &self.times));
        needed
    }
}
