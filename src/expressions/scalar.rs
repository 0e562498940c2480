//! A compiled expression over the columns of a batch.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::internal_datafusion_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use crate::error::{Error, Result};

/// One value a row, computed from the row's columns. Holds its type, its nullability and a text of ours that names it
/// in EXPLAIN and in signatures (never DataFusion's, which the next version may change).
#[derive(Clone)]
pub struct Scalar {
    physical: Arc<dyn PhysicalExpr>,
    text: Arc<str>,
    data_type: DataType,
    nullable: bool,
}

impl Scalar {
    /// An expression that was planned against `input`.
    pub fn new(physical: Arc<dyn PhysicalExpr>, text: impl Into<Arc<str>>, input: &Schema) -> Result<Self> {
        let data_type = physical.data_type(input).map_err(|error| Error::bug(error.to_string()))?;
        let nullable = physical.nullable(input).map_err(|error| Error::bug(error.to_string()))?;
        Ok(Self { physical, text: text.into(), data_type, nullable })
    }

    /// Column `index` of `input` as it is.
    pub fn column(input: &Schema, index: usize) -> Self {
        let field = input.field(index);
        Self {
            physical: Arc::new(Column::new(field.name(), index)),
            text: field.name().as_str().into(),
            data_type: field.data_type().clone(),
            nullable: field.is_nullable(),
        }
    }

    /// The index of the column if the expression is nothing but a column.
    pub fn as_column(&self) -> Option<usize> {
        (self.physical.as_ref() as &dyn std::any::Any).downcast_ref::<Column>().map(Column::index)
    }

    /// The same over columns that stand elsewhere: column `i` is column `places[i]` of `input`.
    pub fn with_places(self, places: &[usize], input: &Schema) -> Result<Self> {
        let moved = self.physical.transform_up(|inner| {
            let any = inner.as_ref() as &dyn std::any::Any;
            let Some(column) = any.downcast_ref::<Column>() else { return Ok(Transformed::no(inner)) };
            let place = places.get(column.index()).copied().filter(|place| *place < input.fields().len());
            let place = place.ok_or_else(|| internal_datafusion_err!("column {column} is nowhere"))?;
            Ok(Transformed::yes(Arc::new(Column::new(input.field(place).name(), place)) as Arc<dyn PhysicalExpr>))
        });
        let physical = moved.map_err(|error| Error::bug(error.strip_backtrace()))?.data;
        Ok(Self { physical, ..self })
    }

    /// The same under another text.
    pub fn with_text(mut self, text: impl Into<Arc<str>>) -> Self {
        self.text = text.into();
        self
    }

    /// The type of its values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Whether a value may be NULL.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// Its text in SQL.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its values for the rows of `batch`, as many as there are rows.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        if let Some(index) = self.as_column() {
            return Ok(Arc::clone(batch.column(index)));
        }
        self.physical
            .evaluate(batch)
            .and_then(|value| value.into_array(batch.num_rows()))
            .map_err(|error| super::scalar_error(error).context(format!("in {}", self.text)))
    }

    /// The same for a condition: NULL counts as false.
    pub fn evaluate_condition(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let values = self.evaluate(batch)?;
        let Some(values) = values.as_any().downcast_ref::<BooleanArray>() else {
            return Err(Error::bug(format!("condition {} is no BOOLEAN", self.text)));
        };
        Ok(if values.null_count() > 0 { arrow::compute::prep_null_mask_filter(values) } else { values.clone() })
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}
