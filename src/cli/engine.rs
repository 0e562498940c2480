//! What the command line needs of a session, and nothing more: tests put a fake in its place.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::session::{
    JobHandle, JobSettings, Notice, Notices, Outcome, Pipe, PrintOutputs, Session, StatementAt, Vocabulary,
};

/// What a session starts with.
pub struct Start {
    /// `-D`, in order.
    pub settings: Vec<(String, String)>,
    /// `--fresh`.
    pub fresh: bool,
    /// Where notes and warnings go.
    pub notices: Notices,
    /// What the table `stdin` reads.
    pub input: Pipe,
    /// Where the connector `print` shows rows.
    pub outputs: PrintOutputs,
}

/// Parses and executes.
#[async_trait(?Send)]
pub trait Engine {
    /// The statements of a script, with the mistake in place of each that cannot be read; spans count from its start.
    fn parse_each(&self, script: &str) -> Result<Vec<Result<StatementAt>>>;
    /// Executes one statement of a `script`, which names jobs that `pipeline.name` does not; without either they never
    /// resume.
    async fn execute(&mut self, statement: StatementAt, script: Option<&Path>) -> Result<Outcome>;
    /// The settings as they stand.
    fn settings(&self) -> Result<JobSettings>;
    /// The names that a prompt completes.
    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::default()
    }
    /// Jobs that have not ended.
    fn running_jobs(&self) -> Vec<JobHandle> {
        Vec::new()
    }
}

#[async_trait(?Send)]
impl Engine for Session {
    fn parse_each(&self, script: &str) -> Result<Vec<Result<StatementAt>>> {
        Session::parse_each(self, script)
    }

    async fn execute(&mut self, statement: StatementAt, script: Option<&Path>) -> Result<Outcome> {
        Session::execute(self, statement, script).await
    }

    fn settings(&self) -> Result<JobSettings> {
        self.job_settings()
    }

    fn vocabulary(&self) -> Vocabulary {
        Session::vocabulary(self)
    }

    fn running_jobs(&self) -> Vec<JobHandle> {
        self.jobs().running().cloned().collect()
    }
}

/// The session that the command line runs scripts in.
pub fn session(start: Start) -> Result<Session> {
    let notices = Arc::clone(&start.notices);
    let mut session = Session::new()
        .with_notices(start.notices)
        .with_fresh(start.fresh)
        .with_input(start.input)
        .with_outputs(start.outputs);
    for (key, value) in &start.settings {
        for warning in session.settings_mut().set_at_start(key, value)? {
            notices(Notice::Warning(warning));
        }
    }
    Ok(session)
}
