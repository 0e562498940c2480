//! Checkpoints as decisions: the coordinator, alignment, recovery. No I/O and no clock: events in, actions out.

mod alignment;
mod commit_queue;
mod compaction;
mod coordinator;
mod difference;
mod identity;
mod merge;
mod part;
mod plan_description;
mod recovery;
mod request;
mod savepoint;
mod script;

pub use alignment::{Aligned, Aligner, CheckpointMode};
pub use compaction::TableId;
pub use coordinator::{AckAnswer, Action, Coordinator, CoordinatorConfig, Event};
pub use identity::identify;
pub use part::{OperatorPart, TablePart, TaskId, TaskPart};
pub use plan_description::{OperatorDescription, PlanDescription};
pub use recovery::{NewOperator, Recovery, base_manifest, current_lineage, former_lineages, lineages, recover};
pub use request::{Request, Wanted};
pub use savepoint::{Beginning, begin_from};
pub use script::{check_script, current_script};
