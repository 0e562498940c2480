//! What the command line needs of a session, and nothing more: tests put a fake in its place.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::session::{JobSettings, Notice, Outcome, StatementAt};

/// Takes notices from any thread.
pub type Notices = Arc<dyn Fn(Notice) + Send + Sync>;

/// What a session starts with.
pub struct Start {
    /// `-D`, in order.
    pub settings: Vec<(String, String)>,
    /// `--fresh`.
    pub fresh: bool,
    /// Where notes and warnings go.
    pub notices: Notices,
}

/// Parses and executes.
#[async_trait(?Send)]
pub trait Engine {
    /// The statements of a script; spans count from its start.
    fn parse(&self, script: &str) -> Result<Vec<StatementAt>>;
    /// Executes one statement. `job` names a job if `pipeline.name` does not; without either it never resumes.
    async fn execute(&mut self, statement: StatementAt, job: Option<&str>) -> Result<Outcome>;
    /// The settings as they stand.
    fn settings(&self) -> Result<JobSettings>;
}
