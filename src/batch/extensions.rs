//! The nodes of a logical plan that DataFusion does not have, as operators of ours.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::copies::{Copies, CopyExec};
use super::grouping_sets::SetCopies;
use super::replicate::RowCopies;
use super::sessions::SessionExec;
use super::unnest::UnnestExec;
use super::windows::WindowCopies;
use crate::operators::ReplicateSpec;
use crate::plan::expand::{ExpandNode, expand_spec};
use crate::plan::nodes::{WINDOW_COLUMNS, WindowNode, Windows};
use crate::plan::replicate::ReplicateNode;
use crate::plan::unnest::UnnestNode;

/// Plans them.
pub(super) struct Extensions;

#[async_trait]
impl ExtensionPlanner for Extensions {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let [input] = inputs else { return Ok(None) };
        if let Some(node) = node.as_any().downcast_ref::<WindowNode>() {
            return windows(node, input).map(Some);
        }
        if let Some(node) = node.as_any().downcast_ref::<UnnestNode>() {
            let spec = node.spec(&input.schema()).map_err(|error| DataFusionError::External(Box::new(error)))?;
            return Ok(Some(Arc::new(UnnestExec::new(spec, Arc::clone(input)))));
        }
        if let Some(node) = node.as_any().downcast_ref::<ReplicateNode>() {
            let spec = ReplicateSpec { input: input.schema(), times: column(&node.input, &node.times)? };
            return Ok(Some(Arc::new(CopyExec::new(Arc::new(RowCopies::new(spec)), Arc::clone(input)))));
        }
        let Some(node) = node.as_any().downcast_ref::<ExpandNode>() else { return Ok(None) };
        let keys = node.keys.iter().map(|key| column(&node.input, key)).collect::<Result<_>>()?;
        let spec = expand_spec(input.schema(), keys, &node.sets);
        let copies: Arc<dyn Copies> = Arc::new(SetCopies::new(spec));
        Ok(Some(Arc::new(CopyExec::new(copies, Arc::clone(input)))))
    }
}

fn windows(node: &WindowNode, input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let fields = node.input.schema().fields().iter().enumerate();
    let kept = fields.filter(|(_, field)| !WINDOW_COLUMNS.contains(&field.name().as_str()));
    let kept = kept.map(|(index, _)| index).collect();
    let time = column(&node.input, &node.time)?;
    let schema = Arc::clone(UserDefinedLogicalNodeCore::schema(node).inner());
    Ok(match &node.window {
        Windows::Fixed(window) => {
            let copies = Arc::new(WindowCopies::new(*window, node.zone, time, kept, schema));
            Arc::new(CopyExec::new(copies, Arc::clone(input)))
        }
        Windows::Session { gap_ms, keys } => {
            let key = |key: &Expr| match key {
                Expr::Column(name) => column(&node.input, &name.name),
                other => datafusion::common::internal_err!("sessions by {other}, which is no column"),
            };
            let keys = keys.iter().map(key).collect::<Result<_>>()?;
            Arc::new(SessionExec::new(*gap_ms, keys, node.zone, time, kept, schema, Arc::clone(input)))
        }
    })
}

fn column(plan: &LogicalPlan, name: &str) -> Result<usize> {
    let found = plan.schema().index_of_column_by_name(None, name);
    found.ok_or_else(|| datafusion::common::internal_datafusion_err!("{name} is no column of the input"))
}
