//! An operator of ours over one input, as DataFusion runs it.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::stream::BoxStream;

/// What an operator does with its input.
pub(super) trait BatchOperator: Debug + Send + Sync {
    /// The columns that leave.
    fn schema(&self) -> &SchemaRef;
    /// What it does, in words.
    fn text(&self) -> String;
    /// When rows leave.
    fn emission(&self) -> EmissionType {
        EmissionType::Incremental
    }
    /// Which rows of an input with that schema have to come to one task.
    fn distribution(&self, _input: &SchemaRef) -> Distribution {
        Distribution::UnspecifiedDistribution
    }
    /// The rows that leave for those of one task, in batches of about so many.
    fn run(
        self: Arc<Self>,
        input: SendableRecordBatchStream,
        batch_rows: usize,
    ) -> BoxStream<'static, Result<RecordBatch>>;
}

/// The operator over its input.
#[derive(Debug)]
pub(super) struct OperatorExec<O> {
    operator: Arc<O>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl<O: BatchOperator> OperatorExec<O> {
    pub(super) fn new(operator: Arc<O>, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(operator.schema())),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            operator.emission(),
            Boundedness::Bounded,
        );
        Self { operator, input, properties: Arc::new(properties) }
    }
}

impl<O: BatchOperator> DisplayAs for OperatorExec<O> {
    fn fmt_as(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "OperatorExec: {}", self.operator.text())
    }
}

impl<O: BatchOperator + 'static> ExecutionPlan for OperatorExec<O> {
    fn name(&self) -> &'static str {
        "OperatorExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![self.operator.distribution(&self.input.schema())]
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
            Some(input) => Ok(Arc::new(Self::new(Arc::clone(&self.operator), input))),
            None => datafusion::common::internal_err!("an operator of ours has one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let rows = Arc::clone(&self.operator).run(input, context.session_config().batch_size());
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.operator.schema()), rows)))
    }
}
