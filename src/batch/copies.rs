//! Operators that give each row several times: for each of its windows, for each grouping set. A batch goes out once a copy,
//! its columns shared and not copied, so that the input is read once however many there are.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::exec::BatchOperator;

/// How a batch is copied.
pub(super) trait Copies: Debug + Send + Sync {
    /// The columns that leave.
    fn schema(&self) -> &SchemaRef;
    /// How many copies there are.
    fn count(&self) -> usize;
    /// Copy `number` of a batch.
    fn copy(&self, rows: &RecordBatch, number: usize) -> Result<RecordBatch>;
    /// What it does, in words.
    fn text(&self) -> String;
}

impl<C: Copies + 'static> BatchOperator for C {
    fn schema(&self) -> &SchemaRef {
        Copies::schema(self)
    }

    fn text(&self) -> String {
        Copies::text(self)
    }

    fn run(self: Arc<Self>, input: SendableRecordBatchStream, _: usize) -> BoxStream<'static, Result<RecordBatch>> {
        let copied = input.map_ok(move |rows| {
            let copies = Arc::clone(&self);
            stream::iter((0..copies.count()).map(move |number| copies.copy(&rows, number)))
        });
        copied.try_flatten().boxed()
    }
}
