//! Random values as an operator of DataFusion, with the kernel of the streaming one.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::Distribution;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::exec::BatchOperator;
use crate::expressions::{Drawn, external};
use crate::operators::{OperatorSpec, RandomSpec};
use crate::stream::Entropy;

/// The operator.
#[derive(Debug)]
pub(super) struct RandomRows {
    spec: RandomSpec,
    schema: SchemaRef,
    entropy: Entropy,
}

impl RandomRows {
    pub(super) fn new(spec: RandomSpec, entropy: Entropy) -> Self {
        Self { schema: spec.output(), spec, entropy }
    }
}

impl BatchOperator for RandomRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn text(&self) -> String {
        self.spec.to_string()
    }

    /// A sequence of a seed is one, and not one a task.
    fn distribution(&self, _: &SchemaRef) -> Distribution {
        match self.spec.draws.iter().any(|draw| draw.drawn != Drawn::Bits) {
            true => Distribution::SinglePartition,
            false => Distribution::UnspecifiedDistribution,
        }
    }

    fn run(self: Arc<Self>, input: SendableRecordBatchStream, _: usize) -> BoxStream<'static, Result<RecordBatch>> {
        let mut random = self.spec.begin(&self.entropy);
        input.map(move |rows| random.batch(&rows?).map_err(external)).boxed()
    }
}
