//! Checkpoints as decisions: the coordinator, alignment, recovery. No I/O and no clock: events in, actions out.

mod alignment;
mod coordinator;
mod merge;
mod part;
mod recovery;

pub use alignment::{Aligned, Aligner};
pub use coordinator::{AckAnswer, Action, Coordinator, CoordinatorConfig, Event};
pub use part::{OperatorPart, TablePart, TaskId, TaskPart};
pub use recovery::{
    NodeDescription, OperatorDescription, PlanDescription, Recovery, base_manifest, current_lineage, former_lineages,
    recover,
};
