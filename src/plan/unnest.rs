//! UNNEST as a node of the plan: the input's columns but the one that is unnested, and the columns that come of it.
//!
//! The hidden columns of the input stand last, so that one that nobody reads may be missing in a stream.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::Expr;

use super::unary::{Unary, UnaryNode, of_same_name};
use crate::error::{Error, Result};
use crate::expressions::{Unnest, compile, text, unnested};
use crate::operators::{OperatorSpec, UnnestSpec};
use crate::stream::is_hidden_column;

/// The hidden column of the value that is unnested.
pub const UNNEST_COLUMN: &str = "$unnest";

/// What is unnested, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unnested {
    /// What is unnested, as it is written.
    pub text: String,
    /// Names of the columns that come of it, with the number of the element if there is one.
    pub names: Vec<String>,
    pub is_outer: bool,
    pub with_ordinality: bool,
    /// Which elements come, over the columns under their own names; all without one.
    pub condition: Option<Expr>,
}

/// Each row of a plan that has [`UNNEST_COLUMN`] once for each element of that.
pub type UnnestNode = UnaryNode<Unnested>;

impl Unnested {
    /// The operator over rows with these columns, which are those of the input but for hidden ones that nobody reads.
    pub fn spec(&self, input: &SchemaRef) -> Result<UnnestSpec> {
        let collection = input.index_of(UNNEST_COLUMN).map_err(|_| Error::bug("what is unnested was pruned"))?;
        let data_type = input.field(collection).data_type();
        let unnest = self.unnest(data_type)?;
        let columns = self.columns(&unnest, data_type)?;
        let is_hidden = |column: &usize| is_hidden_column(input.field(*column).name());
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
}

impl fmt::Display for Unnested {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_outer { "LEFT" } else { "INNER" };
        write!(out, "Unnest: {} AS ({}), {kind}", self.text, self.names.join(", "))?;
        match &self.condition {
            Some(condition) => write!(out, " ON {}", text(condition)),
            None => Ok(()),
        }
    }
}

/// The condition is over the elements, and no business of what reads the input's columns.
impl Unary for Unnested {
    const NAME: &'static str = "Unnest";

    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef> {
        let schema = self.spec(input.inner())?.output();
        Ok(Arc::new(DFSchema::try_from(schema.as_ref().clone()).map_err(super::bind::bug)?))
    }

    fn needed(&self, input: &DFSchema, output: &DFSchema, wanted: &[usize]) -> Vec<usize> {
        let mut needed = of_same_name(input, output, wanted);
        needed.extend(input.index_of_column_by_name(None, UNNEST_COLUMN));
        needed
    }
}
