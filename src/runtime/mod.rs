//! Stream plans as running tasks: channels, the three loops (source, chain, sink), the driver and the supervisor.

mod attempt;
mod build;
mod channel;
mod commits;
mod config;
mod description;
mod driver;
mod events;
mod exchange;
mod input_changes;
mod inputs;
mod log_slot;
mod notice;
mod requests;
mod restarts;
mod restoring;
mod sink;
mod snapshots;
mod source;
mod source_control;
mod source_time;
mod splits;
mod start;
mod status;
mod supervisor;
mod task;
mod watermark_group;

pub use attempt::{Ending, JobSummary};
pub use channel::Yields;
pub use config::JobConfig;
pub use notice::{Notice, Notices};
pub use requests::{Control, TakenCheckpoint};
pub use restarts::{Backoff, RestartStrategy};
pub use source_time::{SplitActivity, SplitStatus};
pub use status::{Figures, JobFigures, RestartFigures};
pub use supervisor::{JobHandle, start};
