//! The one group of an aggregation without keys, of which nobody may read a column: it is there once a row has come, and
//! not before. DataFusion takes it for one row in any case and drops what is below; a mark around it keeps it.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// Reads the first column of what is below where nobody reads any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct KeptGroup(Arc<LogicalPlan>);

/// The plan with a mark around each aggregation without keys.
pub fn mark(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let marked = plan.transform_up(|plan| match &plan {
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
            let node = Arc::new(KeptGroup(Arc::new(plan)));
            Ok(Transformed::yes(LogicalPlan::Extension(Extension { node })))
        }
        _ => Ok(Transformed::no(plan)),
    });
    Ok(marked?.data)
}

/// The plan without its marks.
pub fn unmark(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let unmarked = plan.transform_up(|plan| match &plan {
        LogicalPlan::Extension(extension) => Ok(match extension.node.as_any().downcast_ref::<KeptGroup>() {
            Some(KeptGroup(input)) => Transformed::yes(input.as_ref().clone()),
            None => Transformed::no(plan),
        }),
        _ => Ok(Transformed::no(plan)),
    });
    Ok(unmarked?.data)
}

impl PartialOrd for KeptGroup {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.0.partial_cmp(&other.0)
    }
}

impl UserDefinedLogicalNodeCore for KeptGroup {
    fn name(&self) -> &str {
        "KeptGroup"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.0]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.0.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeptGroup")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        match inputs.into_iter().next() {
            Some(input) => Ok(Self(Arc::new(input))),
            None => datafusion::common::internal_err!("a group has one input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![if output_columns.is_empty() { vec![0] } else { output_columns.to_vec() }])
    }
}
