//! SESSION as an operator of DataFusion: all rows of a key that lie no more than a gap apart are in one window. A task
//! holds the rows of its keys until all have come; they leave in the order in which they came.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, TimestampMillisecondArray};
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::windows::with_bounds;
use crate::expressions::{local, scalar_error};
use crate::state::KeyIndex;
use crate::stream::Zone;

/// How rows are put into sessions.
#[derive(Debug, Clone)]
struct Sessions {
    gap_ms: i64,
    /// The input's columns by which rows are dealt out.
    keys: Vec<usize>,
    /// The input's column with the time.
    time: usize,
    /// The input's columns that go on.
    kept: Vec<usize>,
    /// In which zone sessions lie.
    zone: Zone,
    /// Those, then the bounds.
    schema: SchemaRef,
}

/// The operator.
#[derive(Debug)]
pub(super) struct SessionExec {
    sessions: Sessions,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Sessions {
    /// The batches with their bounds.
    fn batches(&self, batches: &[RecordBatch]) -> crate::error::Result<Vec<RecordBatch>> {
        let input = batches.first().map(RecordBatch::schema);
        let types: Vec<_> =
            input.iter().flat_map(|input| self.keys.iter().map(|key| input.field(*key).data_type().clone())).collect();
        let mut index = KeyIndex::new(&types)?;
        let (mut of_batch, mut rows) = (Vec::new(), Vec::<(u32, i64)>::new());
        for batch in batches {
            let keys: Vec<ArrayRef> = self.keys.iter().map(|key| Arc::clone(batch.column(*key))).collect();
            index.assign(&keys, batch.num_rows(), &mut of_batch)?;
            let times = local(batch.column(self.time), self.zone)?;
            let times = times.as_primitive::<TimestampMillisecondType>().values();
            rows.extend(of_batch.iter().copied().zip(times.iter().copied()));
        }
        let (starts, ends) = self.bounds(&rows);
        let mut first = 0;
        let bounded = batches.iter().map(|batch| {
            let of_batch = first..first + batch.num_rows();
            first = of_batch.end;
            let bound = |bounds: &[i64], plus: i64| -> ArrayRef {
                Arc::new(TimestampMillisecondArray::from_iter_values(
                    bounds[of_batch.clone()].iter().map(|at| at + plus),
                ))
            };
            let bounds = [bound(&starts, 0), bound(&ends, 0), bound(&ends, -1)];
            with_bounds(batch, &self.kept, bounds, &self.schema, self.zone).map_err(scalar_error)
        });
        bounded.collect()
    }

    /// Start and end of the session of each row, given as key and time.
    fn bounds(&self, rows: &[(u32, i64)]) -> (Vec<i64>, Vec<i64>) {
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_unstable_by_key(|row| rows[*row as usize]);
        let (mut starts, mut ends) = (vec![0; rows.len()], vec![0; rows.len()]);
        let ends_before = |(before, row): (&u32, &u32)| {
            let ((key_before, time_before), (key, time)) = (rows[*before as usize], rows[*row as usize]);
            key_before != key || time_before.saturating_add(self.gap_ms) < time
        };
        for session in order.chunk_by(|before, row| !ends_before((before, row))) {
            let (Some(first), Some(last)) = (session.first(), session.last()) else { continue };
            let start = rows[*first as usize].1;
            let end = rows[*last as usize].1.saturating_add(self.gap_ms);
            for row in session {
                (starts[*row as usize], ends[*row as usize]) = (start, end);
            }
        }
        (starts, ends)
    }
}

impl SessionExec {
    /// Sessions of rows that agree in the columns `keys` and end `gap_ms` behind their last row, with the columns `kept`
    /// and the bounds.
    pub(super) fn new(
        gap_ms: i64,
        keys: Vec<usize>,
        zone: Zone,
        time: usize,
        kept: Vec<usize>,
        schema: SchemaRef,
        input: Arc<dyn ExecutionPlan>,
    ) -> Self {
        Self::over(Sessions { gap_ms, keys, zone, time, kept, schema }, input)
    }

    fn over(sessions: Sessions, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&sessions.schema)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { sessions, input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for SessionExec {
    fn fmt_as(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SessionExec: gap of {} ms", self.sessions.gap_ms)
    }
}

impl ExecutionPlan for SessionExec {
    fn name(&self) -> &'static str {
        "SessionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    /// All rows of a key come to one task.
    fn required_input_distribution(&self) -> Vec<Distribution> {
        let schema = self.input.schema();
        let column = |key: &usize| Arc::new(Column::new(schema.field(*key).name(), *key)) as Arc<dyn PhysicalExpr>;
        let keys: Vec<_> = self.sessions.keys.iter().map(column).collect();
        vec![if keys.is_empty() { Distribution::SinglePartition } else { Distribution::KeyPartitioned(keys) }]
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
            Some(input) => Ok(Arc::new(Self::over(self.sessions.clone(), input))),
            None => datafusion::common::internal_err!("sessions have one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let sessions = self.sessions.clone();
        let bounded = async move {
            let batches: Vec<RecordBatch> = input.try_collect().await?;
            let bounded = sessions.batches(&batches).map_err(|error| DataFusionError::External(Box::new(error)))?;
            Ok::<_, DataFusionError>(stream::iter(bounded.into_iter().map(Ok)))
        };
        let rows = stream::once(bounded).try_flatten().boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.sessions.schema), rows)))
    }
}
