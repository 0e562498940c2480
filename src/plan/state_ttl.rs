//! The hint STATE_TTL as a node of the plan: for how long the groups right below it are kept. It changes no row and no column.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::DFSchemaRef;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::operators::Milliseconds;

/// The input, whose first groups are kept for so many milliseconds of the clock; 0: for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateTtlNode {
    pub input: Arc<LogicalPlan>,
    pub ttl_ms: i64,
}

/// The plan with what its hint says.
pub fn state_ttl_node(input: LogicalPlan, ttl_ms: i64) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(StateTtlNode { input: Arc::new(input), ttl_ms }) })
}

/// The node of ours in an extension.
pub fn as_state_ttl(plan: &LogicalPlan) -> Option<&StateTtlNode> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref()
}

impl PartialOrd for StateTtlNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.ttl_ms.partial_cmp(&other.ttl_ms).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for StateTtlNode {
    fn name(&self) -> &str {
        "StateTtl"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StateTtl: {}", Milliseconds(self.ttl_ms))
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let Some(input) = inputs.into_iter().next() else {
            return datafusion::common::internal_err!("a hint has one input");
        };
        Ok(Self { input: Arc::new(input), ttl_ms: self.ttl_ms })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}
