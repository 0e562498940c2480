//! A window function as an operator of DataFusion: each row once for each of its windows. A batch goes out once a
//! window, its columns shared and not copied, so that the input is read once however many windows a row has.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{TryStreamExt, stream};

use crate::plan::nodes::{WINDOW_COLUMNS, WindowNode, Windows};
use crate::plan::windows::{Bounds, copies};

/// Plans the window node of a logical plan.
pub(super) struct WindowPlanner;

#[async_trait]
impl ExtensionPlanner for WindowPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<WindowNode>(), inputs) else { return Ok(None) };
        let fields = node.input.schema().fields().iter().enumerate();
        let kept = fields.filter(|(_, field)| !WINDOW_COLUMNS.contains(&field.name().as_str())).map(|(index, _)| index);
        let Some(time) = node.input.schema().index_of_column_by_name(None, &node.time) else {
            return datafusion::common::internal_err!("a window over a time that is no column");
        };
        let Windows::Fixed(window) = node.window else {
            return datafusion::common::internal_err!("a session in batch mode");
        };
        let expansion = Expansion {
            every: window.starts_every_ms(),
            offset: window.starts_offset_ms(),
            windows: (0..copies(window)).map(|number| Bounds::of(window, number)).collect(),
            time,
            kept: kept.collect(),
            schema: Arc::clone(datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(node).inner()),
        };
        Ok(Some(Arc::new(WindowExec::new(expansion, Arc::clone(input)))))
    }
}

/// How a batch becomes the batch of one of its windows.
#[derive(Debug, Clone)]
struct Expansion {
    /// Windows start so many milliseconds apart.
    every: i64,
    offset: i64,
    /// Those that may hold a row.
    windows: Arc<[Bounds]>,
    /// The input's column with the time.
    time: usize,
    /// The input's columns that go on.
    kept: Vec<usize>,
    schema: SchemaRef,
}

impl Expansion {
    /// The rows in one of the windows that may hold them.
    fn batch(&self, rows: &RecordBatch, bounds: &Bounds) -> Result<RecordBatch> {
        let Self { every, offset, .. } = *self;
        let longer = bounds.before.wrapping_add(1).wrapping_mul(every).wrapping_sub(bounds.size);
        if longer > 0 {
            // The window ends so much before the next one starts.
            let times = rows.column(self.time).as_primitive::<TimestampMillisecondType>();
            let is_inside =
                |time: Option<i64>| time.map(|time| time.wrapping_sub(offset).rem_euclid(every) < every - longer);
            let inside: BooleanArray = times.iter().map(is_inside).collect();
            return self.bounded(&filter_record_batch(rows, &inside)?, bounds);
        }
        self.bounded(rows, bounds)
    }

    fn bounded(&self, rows: &RecordBatch, bounds: &Bounds) -> Result<RecordBatch> {
        let Self { every, offset, .. } = *self;
        let size = bounds.size;
        let times = rows.column(self.time).as_primitive::<TimestampMillisecondType>();
        let bound = |plus: i64| -> ArrayRef {
            let moved: PrimitiveArray<TimestampMillisecondType> = times.unary(|time| {
                let into = time.wrapping_sub(offset).rem_euclid(every);
                time.wrapping_sub(into).wrapping_add(plus)
            });
            Arc::new(moved)
        };
        let start = bounds.before.wrapping_mul(every).wrapping_neg();
        let bounds = [bound(start), bound(start.wrapping_add(size)), bound(start.wrapping_add(size - 1))];
        let columns = self.kept.iter().map(|index| Arc::clone(rows.column(*index))).chain(bounds);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect(), &options)?)
    }
}

/// The operator.
#[derive(Debug)]
struct WindowExec {
    expansion: Expansion,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl WindowExec {
    fn new(expansion: Expansion, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&expansion.schema)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { expansion, input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for WindowExec {
    fn fmt_as(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expansion { windows, every, .. } = &self.expansion;
        let size = windows.iter().map(|bounds| bounds.size).max().unwrap_or(0);
        write!(out, "WindowExec: {} windows of {size} ms at most, every {every} ms", windows.len())
    }
}

impl ExecutionPlan for WindowExec {
    fn name(&self) -> &'static str {
        "WindowExec"
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
            Some(input) => Ok(Arc::new(Self::new(self.expansion.clone(), input))),
            None => datafusion::common::internal_err!("a window has one input"),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let expansion = self.expansion.clone();
        let expanded = input.map_ok(move |rows| {
            let expansion = expansion.clone();
            stream::iter(
                (0..expansion.windows.len()).map(move |number| expansion.batch(&rows, &expansion.windows[number])),
            )
        });
        let schema = Arc::clone(&self.expansion.schema);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, expanded.try_flatten())))
    }
}
