//! DataFusion as we use it: planning and running, but none of the rules that would change types or the order in which
//! conditions are looked at.

use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::combine_partial_final_agg::CombinePartialFinalAggregate;
use datafusion::physical_optimizer::ensure_coop::EnsureCooperative;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_optimizer::limit_pushdown::LimitPushdown;
use datafusion::physical_optimizer::output_requirements::OutputRequirements;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;

use super::BatchOptions;
use super::extensions::Extensions;
use crate::error::Result;
use crate::expressions::scalar_error;
use crate::stream::Entropy;

/// One query's session with DataFusion.
pub(super) struct Engine {
    state: SessionState,
}

impl Engine {
    pub(super) fn new(options: BatchOptions) -> Result<Self> {
        let config = SessionConfig::new()
            .with_target_partitions(options.parallelism.max(1))
            .with_batch_size(options.batch_rows.max(1));
        // Files are the store's business alone: what does not fit into memory fails and is not spilled.
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build_arc().map_err(scalar_error)?;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_analyzer_rules(Vec::new())
            .with_optimizer_rules(Vec::new())
            .with_physical_optimizer_rules(physical_rules())
            .build();
        Ok(Self { state })
    }

    /// The plan that runs. Opens the tables.
    pub(super) async fn physical(&self, plan: &LogicalPlan, entropy: &Entropy) -> Result<Arc<dyn ExecutionPlan>> {
        let extensions = Arc::new(Extensions { entropy: entropy.clone() });
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![extensions]);
        planner.create_physical_plan(plan, &self.state).await.map_err(scalar_error)
    }

    /// What running tasks share.
    pub(super) fn task(&self) -> Arc<TaskContext> {
        self.state.task_ctx()
    }
}

/// Those that a plan needs to be right, and LIMIT. Filters and projections stay where they are: moved, an expression
/// could fail for a row that a condition was there to keep away from it.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    vec![
        Arc::new(OutputRequirements::new_add_mode()),
        Arc::new(EnsureRequirements::new()),
        Arc::new(CombinePartialFinalAggregate::new()),
        Arc::new(OutputRequirements::new_remove_mode()),
        Arc::new(LimitPushdown::new()),
        Arc::new(EnsureCooperative::new()),
        Arc::new(SanityCheckPlan::new()),
    ]
}
