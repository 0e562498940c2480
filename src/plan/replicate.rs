//! Rows as often as one of their columns says, as a node of the plan: what INTERSECT ALL and EXCEPT ALL do with the groups of
//! both sides.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use super::nodes::sorted;
use crate::error::Result;

/// The input's columns but for `times`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplicateNode {
    pub input: Arc<LogicalPlan>,
    /// The input's column that says how often a row is there: `BIGINT`.
    pub times: String,
    schema: DFSchemaRef,
}

/// Each row as often as `times` says.
pub fn replicate_node(input: LogicalPlan, times: &str) -> Result<LogicalPlan> {
    let schema = replicate_schema(&input, times).map_err(super::bind::bug)?;
    let node = ReplicateNode { input: Arc::new(input), times: times.to_owned(), schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// The node of ours in an extension.
pub fn as_replicate(plan: &LogicalPlan) -> Option<&ReplicateNode> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref()
}

fn replicate_schema(input: &LogicalPlan, times: &str) -> DataFusionResult<DFSchemaRef> {
    let kept = input.schema().fields().iter().filter(|field| field.name() != times);
    let kept: Vec<Field> = kept.map(|field| field.as_ref().clone()).collect();
    Ok(Arc::new(DFSchema::try_from(Schema::new(kept))?))
}

impl PartialOrd for ReplicateNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.times.partial_cmp(&other.times).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for ReplicateNode {
    fn name(&self) -> &str {
        "Replicate"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Replicate: times=[{}]", self.times)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let Some(input) = inputs.into_iter().next() else {
            return datafusion::common::internal_err!("rows that are replicated have one input");
        };
        let schema = replicate_schema(&input, &self.times)?;
        Ok(Self { input: Arc::new(input), times: self.times.clone(), schema })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let kept: Vec<usize> =
            (0..input.fields().len()).filter(|index| *input.field(*index).name() != self.times).collect();
        let mut needed: Vec<usize> = output_columns.iter().filter_map(|index| kept.get(*index).copied()).collect();
        needed.extend(input.index_of_column_by_name(None, &self.times));
        Some(vec![sorted(needed)])
    }
}
