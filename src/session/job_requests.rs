//! Statements that ask something of running jobs and wait for the answer: CHECKPOINT, SAVEPOINT, STOP JOB.

use std::path::PathBuf;

use futures::future::join_all;

use super::outcome::JobHandle;
use super::tables::text_table;
use super::{Outcome, Session};
use crate::error::{Error, Result};
use crate::runtime::TakenCheckpoint;
use crate::sql::JobReference;

impl Session {
    /// Takes a checkpoint or a savepoint of one job, or of each that runs, and waits until all are complete. They are asked at
    /// once; a failure of one undoes nothing of the others. Columns: job name, checkpoint; of savepoints their path too.
    pub(super) async fn take_checkpoints(&self, job: Option<&JobReference>, is_savepoint: bool) -> Result<Outcome> {
        let jobs: Vec<JobHandle> = match job {
            Some(reference) => vec![self.jobs.job(reference)?],
            None => self.jobs.running().cloned().collect(),
        };
        if jobs.is_empty() {
            return Err(Error::query("no job runs here").with_help("SHOW JOBS lists the jobs that were started here"));
        }
        let target = if is_savepoint { self.savepoint_target()? } else { None };
        let taken = join_all(jobs.iter().map(|job| async {
            match is_savepoint {
                true => job.savepoint(target.clone()).await,
                false => job.checkpoint().await.map(TakenCheckpoint::from),
            }
        }));
        let taken: Vec<TakenCheckpoint> = taken.await.into_iter().collect::<Result<_>>()?;
        shown(&jobs, taken, is_savepoint)
    }

    /// Stops a job that was started here and waits for its end.
    pub(super) async fn stop_job(&self, job: &JobReference, with_savepoint: bool, with_drain: bool) -> Result<Outcome> {
        let running = self.jobs.running_job(job)?;
        if !with_savepoint {
            running.stop().await?;
            running.wait().await?;
            return Ok(Outcome::Done);
        }
        let target = self.savepoint_target()?;
        let taken = match with_drain {
            true => running.drain_with_savepoint(target).await?,
            false => running.stop_with_savepoint(target).await?,
        };
        running.wait().await?;
        shown(&[running], vec![taken], true)
    }

    /// Below which directory savepoints go, if one is set: looked at before anything is asked of a job.
    fn savepoint_target(&self) -> Result<Option<PathBuf>> {
        let target = self.settings.job()?.checkpoints.savepoint_directory;
        if let Some(directory) = &target {
            self.world.stores.local_at(directory, "savepoints")?;
        }
        Ok(target)
    }
}

/// A line for each job.
fn shown(jobs: &[JobHandle], taken: Vec<TakenCheckpoint>, is_savepoint: bool) -> Result<Outcome> {
    let names = jobs.iter().map(|job| job.name().to_owned()).collect();
    let epochs = taken.iter().map(|taken| taken.epoch.to_string()).collect();
    let place =
        |taken: &TakenCheckpoint| taken.directory.as_ref().map_or_else(String::new, |at| at.display().to_string());
    match is_savepoint {
        true => text_table(&[
            ("job name", names),
            ("savepoint", epochs),
            ("savepoint path", taken.iter().map(place).collect()),
        ]),
        false => text_table(&[("job name", names), ("checkpoint", epochs)]),
    }
}
