//! UNNEST as an operator of DataFusion, with the kernel of the streaming one.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{TryStreamExt, stream};

use crate::expressions::Unnesting;
use crate::operators::{OperatorSpec, UnnestSpec};

fn external(error: crate::error::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The operator.
#[derive(Debug)]
pub(super) struct UnnestExec {
    spec: UnnestSpec,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl UnnestExec {
    pub(super) fn new(spec: UnnestSpec, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(spec.output()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { spec, input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for UnnestExec {
    fn fmt_as(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "UnnestExec: {}", self.spec)
    }
}

impl ExecutionPlan for UnnestExec {
    fn name(&self) -> &'static str {
        "UnnestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.into_iter().next() {
            Some(input) => Ok(Arc::new(Self::new(self.spec.clone(), input))),
            None => datafusion::common::internal_err!("UNNEST has one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch_rows = context.session_config().batch_size();
        let input = self.input.execute(partition, context)?;
        let (spec, schema) = (Arc::new(self.spec.clone()), self.spec.output());
        let output = Arc::clone(&schema);
        let pieces = input.and_then(move |rows| {
            let pieces = Pieces::of(&rows, Arc::clone(&spec), Arc::clone(&output), batch_rows);
            std::future::ready(pieces.map(stream::iter).map_err(external))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, pieces.try_flatten())))
    }
}

/// The rows of one batch, piece by piece.
struct Pieces {
    spec: Arc<UnnestSpec>,
    output: SchemaRef,
    unnesting: Unnesting,
    batch_rows: usize,
}

impl Pieces {
    fn of(
        rows: &RecordBatch,
        spec: Arc<UnnestSpec>,
        output: SchemaRef,
        batch_rows: usize,
    ) -> crate::error::Result<Self> {
        let unnesting = spec.begin(rows)?;
        Ok(Self { spec, output, unnesting, batch_rows })
    }

    fn piece(&mut self) -> crate::error::Result<Option<RecordBatch>> {
        let piece = self.unnesting.next(self.batch_rows)?;
        piece.map(|piece| self.spec.batch(&self.output, piece)).transpose()
    }
}

impl Iterator for Pieces {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.piece().map_err(external).transpose()
    }
}
