//! Small tables of texts: what SHOW and DESCRIBE answer.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

use super::Outcome;
use crate::error::Result;

/// Columns by name, all texts, none NULL.
pub fn text_table(columns: &[(&str, Vec<String>)]) -> Result<Outcome> {
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, false)).collect();
    let arrays: Vec<ArrayRef> =
        columns.iter().map(|(_, values)| Arc::new(StringArray::from(values.clone())) as ArrayRef).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    Ok(Outcome::Table(schema, vec![batch]))
}
