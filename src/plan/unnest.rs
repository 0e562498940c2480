//! UNNEST as a node of the plan: the input's columns but the one that is unnested, and the columns that come of it.
//!
//! The hidden columns of the input stand last, so that one that nobody reads may be missing in a stream.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use super::nodes::sorted;
use crate::error::{Error, Result};
use crate::expressions::{Unnest, compile, external, text, unnested};
use crate::operators::UnnestSpec;
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN};

/// The hidden column of the value that is unnested.
pub const UNNEST_COLUMN: &str = "$unnest";

/// Each row once for each element of its [`UNNEST_COLUMN`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnnestNode {
    pub input: Arc<LogicalPlan>,
    /// What is unnested, as it is written.
    pub text: String,
    /// Names of the columns that come of it, with the number of the element if there is one.
    pub names: Vec<String>,
    pub is_outer: bool,
    pub with_ordinality: bool,
    /// Which elements come, over the columns under their own names; all without one.
    pub condition: Option<Expr>,
    schema: DFSchemaRef,
}

/// What is unnested, and how.
#[derive(Debug, Clone)]
pub struct Unnested {
    pub text: String,
    pub names: Vec<String>,
    pub is_outer: bool,
    pub with_ordinality: bool,
    pub condition: Option<Expr>,
}

/// UNNEST on top of a plan that has [`UNNEST_COLUMN`].
pub fn unnest_node(input: LogicalPlan, unnested: Unnested) -> Result<LogicalPlan> {
    let Unnested { text, names, is_outer, with_ordinality, condition } = unnested;
    let schema = Arc::new(DFSchema::empty());
    let node = UnnestNode { input: Arc::new(input), text, names, is_outer, with_ordinality, condition, schema };
    let schema = node.schema_over(&node.input)?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(UnnestNode { schema, ..node }) }))
}

/// The node of ours in an extension.
pub fn as_unnest(plan: &LogicalPlan) -> Option<&UnnestNode> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref()
}

impl UnnestNode {
    /// The operator over rows with these columns, which are those of the input but for hidden ones that nobody reads.
    pub fn spec(&self, input: &SchemaRef) -> Result<UnnestSpec> {
        let collection = input.index_of(UNNEST_COLUMN).map_err(|_| Error::bug("what is unnested was pruned"))?;
        let data_type = input.field(collection).data_type();
        let unnest = self.unnest(data_type)?;
        let columns = self.columns(&unnest, data_type)?;
        let is_hidden =
            |column: &usize| [PROCTIME_COLUMN, WATERMARK_COLUMN].contains(&input.field(*column).name().as_str());
        let kept = (0..input.fields().len()).filter(|column| *column != collection);
        let (behind, before) = kept.partition(is_hidden);
        Ok(UnnestSpec {
            input: Arc::clone(input),
            collection,
            text: self.text.clone(),
            unnest,
            columns,
            before,
            behind,
        })
    }

    fn unnest(&self, collection: &DataType) -> Result<Unnest> {
        let Self { is_outer, with_ordinality, .. } = *self;
        let condition = self.condition.as_ref().map(|condition| {
            let fields = unnested(collection).ok_or_else(|| Error::bug("a plain value is unnested"))?;
            let schema = DFSchema::try_from(Schema::new(fields)).map_err(super::bind::bug)?;
            compile(condition, &schema)
        });
        Ok(Unnest { is_outer, with_ordinality, condition: condition.transpose()? })
    }

    fn columns(&self, unnest: &Unnest, collection: &DataType) -> Result<Vec<Field>> {
        let columns = unnest.columns(collection).ok_or_else(|| Error::bug("a plain value is unnested"))?;
        Ok(columns.into_iter().zip(&self.names).map(|(field, name)| field.with_name(name)).collect())
    }

    fn schema_over(&self, input: &LogicalPlan) -> Result<DFSchemaRef> {
        let spec = self.spec(input.schema().inner())?;
        let schema = crate::operators::OperatorSpec::output(&spec);
        Ok(Arc::new(DFSchema::try_from(schema.as_ref().clone()).map_err(super::bind::bug)?))
    }
}

impl PartialOrd for UnnestNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.names.partial_cmp(&other.names).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for UnnestNode {
    fn name(&self) -> &str {
        "Unnest"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// The condition is over the elements, and no business of what reads the input's columns.
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_outer { "LEFT" } else { "INNER" };
        write!(out, "Unnest: {} AS ({}), {kind}", self.text, self.names.join(", "))?;
        match &self.condition {
            Some(condition) => write!(out, " ON {}", text(condition)),
            None => Ok(()),
        }
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let Some(input) = inputs.into_iter().next() else {
            return datafusion::common::internal_err!("UNNEST has one input");
        };
        let schema = self.schema_over(&input).map_err(external)?;
        Ok(Self { input: Arc::new(input), schema, ..self.clone() })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let index = |name: &str| self.input.schema().index_of_column_by_name(None, name);
        let named = output_columns.iter().filter_map(|column| self.schema.fields().get(*column));
        let mut needed: Vec<usize> = named.filter_map(|field| index(field.name())).collect();
        needed.extend(index(UNNEST_COLUMN));
        Some(vec![sorted(needed)])
    }
}
