//! The façade that programs embed and the command line drives: a session with its settings, what a statement comes
//! to, and the handle of a running job.

mod answer;
mod batch_job;
mod check;
mod checkpoint_settings;
mod definitions;
mod fold;
mod implicit_stdin;
mod job;
mod job_name;
mod job_requests;
mod job_settings;
mod jobs;
mod machine;
mod outcome;
mod restart_settings;
mod row_stream;
#[cfg(test)]
pub(crate) mod samples;
pub mod setting_list;
#[expect(clippy::module_inception, reason = "the session is the folder's one noun")]
mod session;
mod settings;
mod show;
mod sorter;
mod tables;
mod version;
pub mod vocabulary;

pub use crate::sql::{Statement, StatementAt};
pub use check::{Checked, Finding};
pub use job_settings::{CheckpointSettings, JobSettings, ResultMode, RuntimeMode};
pub use jobs::Jobs;
pub use outcome::{Ending, JobHandle, JobState, JobStatus, JobSummary, Outcome, RunningJob};
pub use row_stream::{RowShape, RowStream, Standing};
pub use session::Session;
pub use settings::{Listed, Origin, Settings};
pub use sorter::row_order;
pub use version::version;
pub use vocabulary::Vocabulary;

pub use crate::catalog::Handle;
pub use crate::connectors::memory::Pusher;
pub use crate::connectors::print::PrintOutputs;
pub use crate::connectors::stdin::{Input, Pipe, StopSignal};
pub use crate::operators::StateBound;
pub use crate::plan::{Arrangement, OrderKey};
pub use crate::runtime::{
    Backoff, CheckpointOutcome, CheckpointRecord, CheckpointSize, Notice, Notices, RestartFigures, RestartStrategy,
    TableStatus, TakenCheckpoint,
};
