//! Random values as a node of the plan: the input's columns, and one for each call of RAND, RAND_INTEGER or UUID in the
//! expressions above it. So a value is drawn once, however often and wherever it is read.
//!
//! The hidden columns of the input stand last, so that one that nobody reads may be missing in a stream.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use super::nodes::sorted;
use crate::error::Result;
use crate::expressions::{Draw, drawn_apart, external, is_random};
use crate::operators::{OperatorSpec, RandomSpec};
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN};

/// Rows with what is drawn for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RandomNode {
    pub input: Arc<LogicalPlan>,
    pub draws: Vec<Draw>,
    schema: DFSchemaRef,
}

/// Expressions over a plan, with what they draw in columns of a plan on top of it.
pub fn drawn(expressions: Vec<Expr>, input: LogicalPlan) -> Result<(Vec<Expr>, LogicalPlan)> {
    if !expressions.iter().any(is_random) {
        return Ok((expressions, input));
    }
    let (expressions, draws) = drawn_apart(expressions)?;
    let schema = schema_over(&input, &draws)?;
    let node = RandomNode { input: Arc::new(input), draws, schema };
    Ok((expressions, LogicalPlan::Extension(Extension { node: Arc::new(node) })))
}

/// The node of ours in an extension.
pub fn as_random(plan: &LogicalPlan) -> Option<&RandomNode> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref()
}

fn schema_over(input: &LogicalPlan, draws: &[Draw]) -> Result<DFSchemaRef> {
    let schema = spec(input.schema().inner(), draws).output();
    Ok(Arc::new(DFSchema::try_from(schema.as_ref().clone()).map_err(super::bind::bug)?))
}

fn spec(input: &SchemaRef, draws: &[Draw]) -> RandomSpec {
    let is_hidden = |name: &str| [PROCTIME_COLUMN, WATERMARK_COLUMN].contains(&name);
    let hidden = input.fields().iter().rev().take_while(|field| is_hidden(field.name())).count();
    RandomSpec { input: Arc::clone(input), before: input.fields().len() - hidden, draws: draws.to_vec() }
}

impl RandomNode {
    /// The operator over rows with these columns, which are those of the input but for hidden ones that nobody reads.
    pub fn spec(&self, input: &SchemaRef) -> RandomSpec {
        spec(input, &self.draws)
    }
}

impl PartialOrd for RandomNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.draws.partial_cmp(&other.draws).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for RandomNode {
    fn name(&self) -> &str {
        "Random"
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
        let draws = self.draws.iter().map(|draw| format!("{} AS {}", draw.text(), draw.column));
        write!(out, "Random: {}", draws.collect::<Vec<_>>().join(", "))
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let Some(input) = inputs.into_iter().next() else {
            return datafusion::common::internal_err!("a node that draws has one input");
        };
        let schema = schema_over(&input, &self.draws).map_err(external)?;
        Ok(Self { input: Arc::new(input), schema, ..self.clone() })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let index = |name: &str| self.input.schema().index_of_column_by_name(None, name);
        let named = output_columns.iter().filter_map(|column| self.schema.fields().get(*column));
        Some(vec![sorted(named.filter_map(|field| index(field.name())).collect())])
    }
}
