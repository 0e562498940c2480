//! UNNEST as an operator of DataFusion, with the kernel of the streaming one.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::exec::BatchOperator;
use crate::expressions::{Unnesting, external};
use crate::operators::{OperatorSpec, UnnestSpec};

/// The operator.
#[derive(Debug)]
pub(super) struct UnnestRows {
    spec: UnnestSpec,
    schema: SchemaRef,
}

impl UnnestRows {
    pub(super) fn new(spec: UnnestSpec) -> Self {
        Self { schema: spec.output(), spec }
    }
}

impl BatchOperator for UnnestRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn text(&self) -> String {
        self.spec.to_string()
    }

    fn run(
        self: Arc<Self>,
        input: SendableRecordBatchStream,
        batch_rows: usize,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        let pieces = input.and_then(move |rows| {
            let pieces = Pieces::of(&rows, Arc::clone(&self), batch_rows);
            std::future::ready(pieces.map(stream::iter).map_err(external))
        });
        pieces.try_flatten().boxed()
    }
}

/// The rows of one batch, piece by piece.
struct Pieces {
    rows: Arc<UnnestRows>,
    unnesting: Unnesting,
    batch_rows: usize,
}

impl Pieces {
    fn of(batch: &RecordBatch, rows: Arc<UnnestRows>, batch_rows: usize) -> crate::error::Result<Self> {
        let unnesting = rows.spec.begin(batch)?;
        Ok(Self { rows, unnesting, batch_rows })
    }

    fn piece(&mut self) -> crate::error::Result<Option<RecordBatch>> {
        let piece = self.unnesting.next(self.batch_rows)?;
        piece.map(|piece| self.rows.spec.batch(&self.rows.schema, piece)).transpose()
    }
}

impl Iterator for Pieces {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.piece().map_err(external).transpose()
    }
}
