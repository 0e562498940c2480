//! Starts a job, and starts it again when the outside world failed it and the restart strategy allows.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::attempt::{Attempt, Ending, JobSummary};
use super::config::JobConfig;
use super::log_slot::LogSlot;
use super::notice::{Notice, Notices};
use super::requests::{Control, Requests, TakenCheckpoint, is_over};
use super::restarts::{Restart, Restarts};
use super::status::{Figures, JobFigures, RestartFigures};
use crate::checkpoint::Wanted;
use crate::connectors::World;
use crate::error::{Error, Result};
use crate::plan::StreamPlan;
use crate::stream::Epoch;

/// How many attempts, one right after the other, a stop is worth: it is not to last as long as what fails the job.
const STOP_ATTEMPTS: u32 = 10;

/// A job that runs. Dropping the handle aborts it, as a kill would; its log is free then for another start.
#[derive(Debug)]
pub struct JobHandle {
    name: String,
    control: Control,
    log: Arc<LogSlot>,
    figures: Arc<JobFigures>,
    running: JoinHandle<Result<JobSummary>>,
}

/// Starts a job on the tokio runtime of the caller.
pub fn start(plan: StreamPlan, config: JobConfig, world: World, notices: Notices) -> JobHandle {
    let (control, requests) = Requests::channel();
    let log = Arc::new(LogSlot::default());
    let figures = Arc::new(JobFigures::default());
    let name = config.job.clone();
    let running =
        tokio::spawn(supervise(plan, config, world, notices, Arc::clone(&figures), Arc::clone(&log), requests));
    JobHandle { name, control, log, figures, running }
}

impl JobHandle {
    /// The job's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes a checkpoint that begins after this call, while the job goes on, and waits until it is complete.
    pub async fn checkpoint(&self) -> Result<Epoch> {
        self.ask(Wanted::Checkpoint).await.map(|taken| taken.epoch)
    }

    /// The same; and it is kept, however many are complete since. With a target it is a copy in a directory below that.
    pub async fn savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.ask(Wanted::Savepoint { target }).await
    }

    async fn ask(&self, what: Wanted) -> Result<TakenCheckpoint> {
        self.control.ask(what).await.unwrap_or_else(|| Err(is_over(&self.name)))
    }

    /// Asks the job to stop with a checkpoint; [`wait`](Self::wait) then returns.
    pub async fn stop(&self) {
        self.control.tell(Wanted::STOP).await;
    }

    /// A way to ask from elsewhere.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// What the job has read and written in this process.
    pub fn figures(&self) -> Figures {
        self.figures.read()
    }

    /// How often it was started again in this process, and why.
    pub fn restarts(&self) -> RestartFigures {
        self.figures.restarts()
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
        if !self.running.is_finished() {
            self.running.abort();
            self.log.give_up();
        }
    }
}

async fn supervise(
    plan: StreamPlan,
    config: JobConfig,
    world: World,
    notices: Notices,
    figures: Arc<JobFigures>,
    log: Arc<LogSlot>,
    mut requests: Requests,
) -> Result<JobSummary> {
    // Attempts that were begun for nothing but a stop.
    let mut stop_attempts = 0;
    let mut restarts = Restarts::new(config.restart, jitter_seed(&config.new_lineage));
    let fresh = AtomicBool::new(config.fresh);
    let lineage = Arc::<OnceLock<String>>::default();
    loop {
        let attempt = Attempt {
            plan: &plan,
            config: &config,
            world: &world,
            notices: &notices,
            figures: Arc::clone(&figures),
            fresh: &fresh,
            lineage: &lineage,
            log: &log,
        };
        let ended = attempt.run(&mut requests).await;
        // Without a directory nothing was kept: rows already shown would be shown again.
        let may_restart =
            |error: &Error| error.is_retryable() && config.directory.is_some() && stop_attempts < STOP_ATTEMPTS;
        let restart = match &ended {
            Err(error) if may_restart(error) => restarts.after_failure(world.clock.elapsed()),
            _ => None,
        };
        let is_discarded = match restart {
            None if attempt.discards(&ended, &requests) => attempt.discard().await,
            _ => false,
        };
        log.close();
        let (error, restart) = match (ended, restart) {
            (Ok(JobSummary { ending: Ending::Stopped { epoch, resumable }, counters }), _) => {
                let ending = Ending::Stopped { epoch, resumable: resumable && !is_discarded };
                return Ok(JobSummary { ending, counters });
            }
            (Ok(summary), _) => return Ok(summary),
            (Err(error), None) => {
                requests.fail_all(&error);
                return Err(error);
            }
            (Err(error), Some(restart)) => (error, restart),
        };
        notices(Notice::Warning(told(&config.job, restart, &error)));
        figures.restarting(error.message(), world.clock.now().after(restart.delay));
        // A stop does not wait: the next attempt takes its checkpoint at once.
        tokio::select! {
            biased;
            () = requests.stop_wanted() => {
                figures.stopping();
                stop_attempts += 1;
            }
            () = tokio::time::sleep(restart.delay) => {}
        }
        figures.restarted();
    }
}

/// `job orders restarts in 1.5 s (2 of 10) after: write out: no space left on device`
fn told(job: &str, restart: Restart, error: &Error) -> String {
    let count = match restart.of {
        Some(of) => format!("{} of {of}", restart.attempt),
        None => format!("for the {}. time", restart.attempt),
    };
    format!("job {job} restarts in {} ({count}) after: {}", short(restart.delay), error.message())
}

/// To a tenth of a second from one second on.
fn short(delay: Duration) -> String {
    match delay.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        millis => format!("{:.1} s", millis as f64 / 1000.0),
    }
}

/// Jitter differs from job to job as their lineages do.
fn jitter_seed(lineage: &str) -> u64 {
    lineage.bytes().fold(0, |seed, byte| seed.rotate_left(5) ^ u64::from(byte))
}
