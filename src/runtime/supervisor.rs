//! Starts a job, and starts it again when the outside world failed it and the restart strategy allows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::config::{JobConfig, Notices, RestartStrategy};
use super::driver::{Command, JobSummary};
use super::start::Attempt;
use super::status::{Figures, JobFigures};
use crate::connectors::World;
use crate::error::{Error, Result};
use crate::plan::StreamPlan;

/// A job that runs. Dropping the handle aborts it, as a kill would.
#[derive(Debug)]
pub struct JobHandle {
    name: String,
    commands: mpsc::Sender<Command>,
    figures: Arc<JobFigures>,
    running: JoinHandle<Result<JobSummary>>,
}

/// Starts a job on the tokio runtime of the caller.
pub fn start(plan: StreamPlan, config: JobConfig, world: World, notices: Notices) -> JobHandle {
    let (commands, receiver) = mpsc::channel(16);
    let figures = Arc::new(JobFigures::default());
    let name = config.job.clone();
    let running = tokio::spawn(supervise(plan, config, world, notices, Arc::clone(&figures), receiver));
    JobHandle { name, commands, figures, running }
}

impl JobHandle {
    /// The job's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks for a checkpoint; it runs while the job goes on.
    pub async fn checkpoint(&self) {
        let _ = self.commands.send(Command::Checkpoint).await;
    }

    /// Asks the job to stop with a checkpoint; [`wait`](Self::wait) then returns.
    pub async fn stop(&self) {
        let _ = self.commands.send(Command::Stop).await;
    }

    /// A way to send commands from elsewhere.
    pub fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }

    /// What the job has read and written in this process.
    pub fn figures(&self) -> Figures {
        self.figures.read()
    }

    /// The same, readable after the handle has been given away.
    pub fn shared_figures(&self) -> Arc<JobFigures> {
        Arc::clone(&self.figures)
    }

    /// Waits for the end.
    pub async fn wait(mut self) -> Result<JobSummary> {
        match (&mut self.running).await {
            Ok(result) => result,
            Err(error) => Err(Error::bug(format!("the job's driver failed: {error}"))),
        }
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn supervise(
    plan: StreamPlan,
    config: JobConfig,
    world: World,
    notices: Notices,
    figures: Arc<JobFigures>,
    mut commands: mpsc::Receiver<Command>,
) -> Result<JobSummary> {
    let mut restarts = 0;
    let fresh = AtomicBool::new(config.fresh);
    loop {
        let attempt = Attempt {
            plan: &plan,
            config: &config,
            world: &world,
            notices: &notices,
            figures: Arc::clone(&figures),
            fresh: &fresh,
        };
        let error = match attempt.run(&mut commands).await {
            Ok(summary) => return Ok(summary),
            Err(error) => error,
        };
        let RestartStrategy::FixedDelay { attempts, delay } = config.restart else { return Err(error) };
        // Without a directory nothing was kept: rows already shown would be shown again.
        if !error.is_retryable() || restarts >= attempts || config.directory.is_none() {
            return Err(error);
        }
        restarts += 1;
        notices(format!("job {} restarts ({restarts} of {attempts}) after: {}", config.job, error.message()));
        figures.restarting(true);
        rest(delay, &figures, &mut commands).await;
        figures.restarting(false);
    }
}

/// Waits before a restart. A stop does not wait: the next attempt takes its checkpoint at once.
async fn rest(delay: Duration, figures: &JobFigures, commands: &mut mpsc::Receiver<Command>) {
    if figures.read().is_stopping {
        return;
    }
    let stop = async {
        loop {
            match commands.recv().await {
                Some(Command::Stop) => return,
                // The restarted job takes checkpoints anyhow.
                Some(Command::Checkpoint) => {}
                None => std::future::pending().await,
            }
        }
    };
    tokio::select! {
        biased;
        () = stop => figures.stopping(),
        () = tokio::time::sleep(delay) => {}
    }
}
