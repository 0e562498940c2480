//! Random values as a node of the plan: the input's columns, and one for each call of RAND, RAND_INTEGER or UUID in the
//! expressions above it. So a value is drawn once, however often and wherever it is read.
//!
//! The hidden columns of the input stand last, so that one that nobody reads may be missing in a stream.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::unary::{Unary, UnaryNode, of_same_name};
use crate::error::Result;
use crate::expressions::{Draw, drawn_apart, is_random};
use crate::operators::{OperatorSpec, RandomSpec};
use crate::stream::is_hidden_column;

/// What is drawn for each row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Draws {
    pub draws: Vec<Draw>,
}

/// Rows with what is drawn for them.
pub type RandomNode = UnaryNode<Draws>;

/// Expressions over a plan, with what they draw in columns of a plan on top of it.
pub fn drawn(expressions: Vec<Expr>, input: LogicalPlan) -> Result<(Vec<Expr>, LogicalPlan)> {
    if !expressions.iter().any(is_random) {
        return Ok((expressions, input));
    }
    let (expressions, draws) = drawn_apart(expressions, |name| input.schema().has_column_with_unqualified_name(name))?;
    Ok((expressions, RandomNode::over(input, Draws { draws })?))
}

impl Draws {
    /// The operator over rows with these columns, which are those of the input but for hidden ones that nobody reads.
    pub fn spec(&self, input: &SchemaRef) -> RandomSpec {
        let hidden = input.fields().iter().rev().take_while(|field| is_hidden_column(field.name())).count();
        let before = input.fields().len() - hidden;
        RandomSpec { input: Arc::clone(input), before, draws: self.draws.clone() }
    }
}

impl fmt::Display for Draws {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let draws = self.draws.iter().map(|draw| format!("{} AS {}", draw.text(), draw.column));
        write!(out, "Random: {}", draws.collect::<Vec<_>>().join(", "))
    }
}

impl Unary for Draws {
    const NAME: &'static str = "Random";

    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef> {
        let schema = self.spec(input.inner()).output();
        Ok(Arc::new(DFSchema::try_from(schema.as_ref().clone()).map_err(super::bind::bug)?))
    }

    fn needed(&self, input: &DFSchema, output: &DFSchema, wanted: &[usize]) -> Vec<usize> {
        of_same_name(input, output, wanted)
    }
}
