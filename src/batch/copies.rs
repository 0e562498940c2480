//! An operator of DataFusion that gives each row several times: for each of its windows, for each grouping set. A batch
//! goes out once a copy, its columns shared and not copied, so that the input is read once however many there are.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{TryStreamExt, stream};

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

/// The operator.
#[derive(Debug)]
pub(super) struct CopyExec {
    copies: Arc<dyn Copies>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl CopyExec {
    pub(super) fn new(copies: Arc<dyn Copies>, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(copies.schema())),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { copies, input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for CopyExec {
    fn fmt_as(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CopyExec: {}", self.copies.text())
    }
}

impl ExecutionPlan for CopyExec {
    fn name(&self) -> &'static str {
        "CopyExec"
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
            Some(input) => Ok(Arc::new(Self::new(Arc::clone(&self.copies), input))),
            None => datafusion::common::internal_err!("copies of one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let copies = Arc::clone(&self.copies);
        let copied = input.map_ok(move |rows| {
            let copies = Arc::clone(&copies);
            stream::iter((0..copies.count()).map(move |number| copies.copy(&rows, number)))
        });
        let schema = Arc::clone(self.copies.schema());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, copied.try_flatten())))
    }
}
