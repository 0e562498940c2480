//! Checkpoints as decisions: the coordinator, alignment, recovery. No I/O and no clock: events in, actions out.

mod coordinator;

pub use coordinator::{Action, Coordinator, CoordinatorConfig, Event, OperatorPart, TablePart, TaskId, TaskPart};
