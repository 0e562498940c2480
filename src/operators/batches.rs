//! Batches of a bounded size, whatever the sizes of what they are made of.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::Context;
use crate::error::Result;
use crate::stream::Changes;

/// Rows of a full batch.
pub(super) const BATCH_ROWS: usize = 8192;
/// Rows that are worth a batch of their own.
const ENOUGH: usize = BATCH_ROWS / 4;

/// Collects small batches, cuts large ones.
#[derive(Debug)]
pub(super) struct Batches {
    schema: SchemaRef,
    parts: Vec<RecordBatch>,
    rows: usize,
}

impl Batches {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema, parts: Vec::new(), rows: 0 }
    }

    /// Adds rows that only add to the result; `finish` has to follow before the operator's turn ends.
    pub(super) fn push(&mut self, batch: RecordBatch, cx: &mut Context) -> Result<()> {
        if self.rows + batch.num_rows() > BATCH_ROWS || batch.num_rows() >= ENOUGH {
            self.finish(cx)?;
        }
        if batch.num_rows() < ENOUGH {
            self.rows += batch.num_rows();
            self.parts.push(batch);
            return Ok(());
        }
        for offset in (0..batch.num_rows()).step_by(BATCH_ROWS) {
            let length = BATCH_ROWS.min(batch.num_rows() - offset);
            cx.emit(Changes::inserts(batch.slice(offset, length)));
        }
        Ok(())
    }

    /// Emits what was collected.
    pub(super) fn finish(&mut self, cx: &mut Context) -> Result<()> {
        let parts = std::mem::take(&mut self.parts);
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(());
        }
        let batch = match &parts[..] {
            [only] => only.clone(),
            parts if self.schema.fields().is_empty() => {
                let rows = parts.iter().map(RecordBatch::num_rows).sum();
                crate::state::batch_of(&self.schema, Vec::new(), rows)?
            }
            parts => concat_batches(&self.schema, parts)?,
        };
        cx.emit(Changes::inserts(batch));
        Ok(())
    }
}
