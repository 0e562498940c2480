//! What the nodes of ours in a logical plan have in common: one input, and columns that follow from it. What a node is in
//! particular says its [`Unary`]; DataFusion is told the rest here.

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::error::Result;
use crate::expressions::external;

/// What is done with the rows of one input. Its text is what EXPLAIN shows.
pub trait Unary: fmt::Debug + fmt::Display + Clone + Eq + Hash + Send + Sync + 'static {
    /// The node's name.
    const NAME: &'static str;

    /// The columns over an input with these.
    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef>;

    /// The input's columns that are needed for `wanted` of the output's, in any order; some may be named twice.
    fn needed(&self, input: &DFSchema, output: &DFSchema, wanted: &[usize]) -> Vec<usize>;

    /// Expressions over the input that may be rewritten.
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    /// The same with its expressions rewritten.
    fn with_expressions(&self, _: Vec<Expr>) -> DataFusionResult<Self> {
        Ok(self.clone())
    }
}

/// A node of the plan; what it is in particular is reached through it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnaryNode<T> {
    pub input: Arc<LogicalPlan>,
    own: T,
    schema: DFSchemaRef,
}

impl<T: Unary> UnaryNode<T> {
    /// The node on top of a plan with unqualified columns.
    pub fn over(input: LogicalPlan, own: T) -> Result<LogicalPlan> {
        let schema = own.schema(input.schema())?;
        let node = Self { input: Arc::new(input), own, schema };
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    /// The node, if the plan is one of these.
    pub fn of(plan: &LogicalPlan) -> Option<&Self> {
        let LogicalPlan::Extension(extension) = plan else { return None };
        extension.node.as_any().downcast_ref()
    }

    /// Another of the same columns in its place.
    pub(super) fn with(&self, own: T) -> Self {
        Self { own, ..self.clone() }
    }
}

impl<T> Deref for UnaryNode<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.own
    }
}

impl<T: PartialEq> PartialOrd for UnaryNode<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl<T: Unary> UserDefinedLogicalNodeCore for UnaryNode<T> {
    fn name(&self) -> &str {
        T::NAME
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.own.expressions()
    }

    fn fmt_for_explain(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.own, out)
    }

    fn with_exprs_and_inputs(&self, expressions: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let Some(input) = inputs.into_iter().next() else {
            return datafusion::common::internal_err!("{} has one input", T::NAME);
        };
        let own = self.own.with_expressions(expressions)?;
        let schema = own.schema(input.schema()).map_err(external)?;
        Ok(Self { input: Arc::new(input), own, schema })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let mut needed = self.own.needed(self.input.schema(), &self.schema, output_columns);
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

/// The input's columns with the names of these of the output.
pub(super) fn of_same_name(input: &DFSchema, output: &DFSchema, wanted: &[usize]) -> Vec<usize> {
    let named = wanted.iter().filter_map(|column| output.fields().get(*column));
    named.filter_map(|field| input.index_of_column_by_name(None, field.name())).collect()
}

/// Those of `wanted` that are the input's own, which stand first.
pub(super) fn of_same_place(input: &DFSchema, wanted: &[usize]) -> Vec<usize> {
    wanted.iter().copied().filter(|column| *column < input.fields().len()).collect()
}
