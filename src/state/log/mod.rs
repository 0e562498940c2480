//! The history of a job: a log of numbered entries, the manifests of its checkpoints, and what goes when it is not
//! needed any more.

mod garbage;
mod holds;
mod job_log;
mod manifest;
mod operator_id;
mod salvage;
mod savepoint;
mod script_id;

pub use garbage::{Collected, Garbage};
pub use holds::Holds;
pub use job_log::{JobDirectory, JobLog};
pub use manifest::{
    Claim, FORMAT_VERSION, LogEntry, Manifest, OperatorState, RangeWatermark, Retired, SinkState, SplitState,
    TableState,
};
pub use operator_id::OperatorId;
pub use salvage::DamagedLog;
pub use savepoint::{SavedCheckpoint, savepoint_directory};
pub use script_id::ScriptId;
