//! What a job takes over that begins from the checkpoint of another one, or of an earlier run: the state of operators
//! and how far sources were read, and nothing of what sinks had made public.

use super::identity::identify;
use super::plan_description::PlanDescription;
use super::recovery::{NewOperator, check_plan, new_operators};
use crate::error::Result;
use crate::state::{Manifest, OperatorId};

/// What a job begins with.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// Still under the name and the lineage of the job that it was taken of.
    pub manifest: Manifest,
    /// The id of each operator of the plan.
    pub ids: Vec<OperatorId>,
    /// Operators that start empty.
    pub new: Vec<NewOperator>,
}

/// Decides whether the plan can begin from a checkpoint. Sinks are always new: they write under the job's own lineage,
/// wherever they are told to. With `ignore_unclaimed` state that no operator of the plan takes is left behind.
pub fn begin_from(saved: &Manifest, plan: &PlanDescription, ignore_unclaimed: bool) -> Result<Beginning> {
    let mut manifest = Manifest { pinned: false, drained: false, pending: Vec::new(), ..saved.clone() };
    if saved.drained {
        // Its windows have fired; what is read from here on meets a time of its own, and would else all be late.
        manifest.operators.values_mut().for_each(|operator| operator.watermarks.clear());
    }
    manifest.sinks.clear();
    let ids = identify(plan, &manifest.operators);
    manifest.operators.retain(|id, state| {
        let is_claimed = ids.contains(id) || !ignore_unclaimed;
        state.name != SINK && is_claimed
    });
    check_plan(&manifest, plan, &ids).map_err(|error| {
        error
            .with_help("give the query and the tables that it reads the form that they had")
            .with_help("or leave out 'execution.state-recovery.path', to read all input from its beginning")
    })?;
    let mut new = new_operators(&manifest, plan, &ids);
    new.retain(|operator| operator.name != SINK);
    Ok(Beginning { manifest, ids, new })
}

/// The kind of a sink.
const SINK: &str = "Sink";
