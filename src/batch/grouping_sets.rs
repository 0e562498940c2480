//! GROUPING SETS: each row once for each set, as the operator of streams gives it.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;

use super::copies::Copies;
use crate::expressions::external;
use crate::operators::{ExpandSpec, OperatorSpec};

/// A set a copy.
#[derive(Debug)]
pub(super) struct SetCopies {
    spec: ExpandSpec,
    schema: SchemaRef,
}

impl SetCopies {
    pub(super) fn new(spec: ExpandSpec) -> Self {
        Self { schema: spec.output(), spec }
    }
}

impl Copies for SetCopies {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn count(&self) -> usize {
        self.spec.sets.len()
    }

    fn copy(&self, rows: &RecordBatch, number: usize) -> Result<RecordBatch> {
        self.spec.rows_of(&self.schema, rows, number).map_err(external)
    }

    fn text(&self) -> String {
        self.spec.to_string()
    }
}
