//! INTERSECT ALL and EXCEPT ALL: each row as often as one of its columns says, as the operator of streams gives it.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;

use super::copies::Copies;
use crate::expressions::external;
use crate::operators::{OperatorSpec, ReplicateSpec};

/// All copies of the rows of a batch as one.
#[derive(Debug)]
pub(super) struct RowCopies {
    spec: ReplicateSpec,
    schema: SchemaRef,
}

impl RowCopies {
    pub(super) fn new(spec: ReplicateSpec) -> Self {
        Self { schema: spec.output(), spec }
    }
}

impl Copies for RowCopies {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn count(&self) -> usize {
        1
    }

    fn copy(&self, rows: &RecordBatch, _: usize) -> Result<RecordBatch> {
        self.spec.copies_of(&self.schema, rows).map_err(external)
    }

    fn text(&self) -> String {
        self.spec.to_string()
    }
}
