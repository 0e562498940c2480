//! The hint STATE_TTL as a node of the plan: for how long the groups right below it are kept. It changes no row and no column.

use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::LogicalPlan;

use super::unary::{Unary, UnaryNode};
use crate::error::Result;
use crate::operators::Milliseconds;

/// The first groups of the input are kept for so many milliseconds of the clock; 0: for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateTtl {
    pub ttl_ms: i64,
}

/// A plan with what its hint says.
pub type StateTtlNode = UnaryNode<StateTtl>;

/// The plan with what its hint says.
pub fn state_ttl_node(input: LogicalPlan, ttl_ms: i64) -> Result<LogicalPlan> {
    StateTtlNode::over(input, StateTtl { ttl_ms })
}

impl fmt::Display for StateTtl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StateTtl: {}", Milliseconds(self.ttl_ms))
    }
}

impl Unary for StateTtl {
    const NAME: &'static str = "StateTtl";

    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef> {
        Ok(Arc::clone(input))
    }

    fn needed(&self, _: &DFSchema, _: &DFSchema, wanted: &[usize]) -> Vec<usize> {
        wanted.to_vec()
    }
}
