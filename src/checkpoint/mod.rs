//! Checkpoints as decisions: the coordinator, alignment, recovery. No I/O and no clock: events in, actions out.

mod coordinator;
mod merge;

pub use coordinator::{
    AckAnswer, Action, Coordinator, CoordinatorConfig, Event, OperatorPart, TablePart, TaskId, TaskPart,
};
