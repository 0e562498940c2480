//! The nodes of a logical plan that DataFusion does not have, as operators of ours.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::exec::{BatchOperator, OperatorExec};
use super::grouping_sets::SetCopies;
use super::random::RandomRows;
use super::replicate::RowCopies;
use super::sessions::Sessions;
use super::unnest::UnnestRows;
use super::windows::WindowCopies;
use crate::expressions::external;
use crate::operators::ReplicateSpec;
use crate::plan::expand::{ExpandNode, expand_spec};
use crate::plan::nodes::{WINDOW_COLUMNS, WindowNode, Windows};
use crate::plan::random::RandomNode;
use crate::plan::replicate::ReplicateNode;
use crate::plan::unnest::UnnestNode;
use crate::stream::Entropy;

/// Plans them.
pub(super) struct Extensions {
    pub(super) entropy: Entropy,
}

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
            let spec = node.spec(&input.schema()).map_err(external)?;
            return Ok(Some(over(input, UnnestRows::new(spec))));
        }
        if let Some(node) = node.as_any().downcast_ref::<RandomNode>() {
            return Ok(Some(over(input, RandomRows::new(node.spec(&input.schema()), self.entropy.clone()))));
        }
        if let Some(node) = node.as_any().downcast_ref::<ReplicateNode>() {
            let spec = ReplicateSpec { input: input.schema(), times: column(&node.input, &node.times)? };
            return Ok(Some(over(input, RowCopies::new(spec))));
        }
        let Some(node) = node.as_any().downcast_ref::<ExpandNode>() else { return Ok(None) };
        let keys = node.keys.iter().map(|key| column(&node.input, key)).collect::<Result<_>>()?;
        let spec = expand_spec(input.schema(), keys, &node.sets);
        Ok(Some(over(input, SetCopies::new(spec))))
    }
}

fn windows(node: &WindowNode, input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let fields = node.input.schema().fields().iter().enumerate();
    let kept = fields.filter(|(_, field)| !WINDOW_COLUMNS.contains(&field.name().as_str()));
    let kept = kept.map(|(index, _)| index).collect();
    let time = column(&node.input, &node.time)?;
    let schema = Arc::clone(UserDefinedLogicalNodeCore::schema(node).inner());
    Ok(match &node.window {
        Windows::Fixed(window) => over(input, WindowCopies::new(*window, node.zone, time, kept, schema)),
        Windows::Session { gap_ms, keys } => {
            let key = |key: &Expr| match key {
                Expr::Column(name) => column(&node.input, &name.name),
                other => datafusion::common::internal_err!("sessions by {other}, which is no column"),
            };
            let keys = keys.iter().map(key).collect::<Result<_>>()?;
            over(input, Sessions { gap_ms: *gap_ms, keys, zone: node.zone, time, kept, schema })
        }
    })
}

fn over(input: &Arc<dyn ExecutionPlan>, operator: impl BatchOperator + 'static) -> Arc<dyn ExecutionPlan> {
    Arc::new(OperatorExec::new(Arc::new(operator), Arc::clone(input)))
}

fn column(plan: &LogicalPlan, name: &str) -> Result<usize> {
    let found = plan.schema().index_of_column_by_name(None, name);
    found.ok_or_else(|| datafusion::common::internal_datafusion_err!("{name} is no column of the input"))
}
