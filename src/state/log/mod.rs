//! The history of a job: a log of numbered entries, the manifests of its checkpoints, and what goes when it is not
//! needed any more.

mod garbage;
mod job_log;
mod manifest;
mod salvage;

pub use garbage::{Collected, Garbage};
pub use job_log::JobLog;
pub use manifest::{
    Claim, FORMAT_VERSION, LogEntry, Manifest, NodeState, OperatorState, Retired, SplitState, TableState,
};
pub use salvage::DamagedLog;
