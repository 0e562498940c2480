//! The jobs that a session has started: SHOW JOBS, SHOW CHECKPOINTS, DESCRIBE JOB, EXPLAIN WATERMARK, EXPLAIN STATE, STOP JOB. Those
//! that have ended stay listed for a while, with how they ended.

use std::time::Duration;

use futures::FutureExt;

use super::outcome::{Ending, JobHandle, JobState, JobStatus, JobSummary, Outcome};
use super::tables::text_table;
use crate::error::{Error, Result};
use crate::options::nearest;
use crate::runtime::{CheckpointOutcome, CheckpointRecord, CheckpointSize, SplitActivity, SplitStatus, TableStatus};
use crate::sql::{JobReference, NamePattern};
use crate::stream::{BarrierKind, EventTime, ProcTime};

/// How many jobs that have ended are remembered.
const ENDED_JOBS: usize = 100;

/// Jobs in the order in which they were started.
#[derive(Default)]
pub struct Jobs {
    jobs: Vec<Job>,
    started: u64,
}

struct Job {
    id: u64,
    handle: JobHandle,
    started: ProcTime,
}

impl Jobs {
    /// Keeps a job that was started at `now`.
    pub fn add(&mut self, handle: JobHandle, now: ProcTime) {
        self.started += 1;
        self.jobs.push(Job { id: self.started, handle, started: now });
        let ended = self.jobs.iter().filter(|job| job.has_ended()).count();
        if ended > ENDED_JOBS
            && let Some(oldest) = self.jobs.iter().position(Job::has_ended)
        {
            self.jobs.remove(oldest);
        }
    }

    /// The handles of those that have not ended.
    pub fn running(&self) -> impl Iterator<Item = &JobHandle> {
        self.jobs.iter().filter(|job| !job.has_ended()).map(|job| &job.handle)
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.jobs.iter().map(|job| job.handle.name())
    }

    /// Flink's columns, then what has gone through: id, name, status, start time, rows in, rows out, late.
    pub fn list(&self, chosen: Option<&NamePattern>) -> Result<Outcome> {
        let wanted = self.jobs.iter().filter(|job| chosen.is_none_or(|chosen| chosen.takes(job.handle.name())));
        let rows: Vec<(&Job, JobStatus)> = wanted.map(|job| (job, job.handle.status())).collect();
        let column = |text: &dyn Fn(&Job, &JobStatus) -> String| rows.iter().map(|(job, at)| text(job, at)).collect();
        text_table(&[
            ("job id", column(&|job, _| job.id.to_string())),
            ("job name", column(&|job, _| job.handle.name().to_owned())),
            ("status", column(&|job, _| job.word().to_owned())),
            ("start time", column(&|job, _| job.start_time())),
            ("rows in", column(&|_, status| status.rows_in.to_string())),
            ("rows out", column(&|_, status| status.rows_out.to_string())),
            ("late", column(&|_, status| status.late.to_string())),
        ])
    }

    /// Everything that is known of one job, a line each; of one that failed its error too.
    pub fn describe(&self, reference: &JobReference) -> Result<Outcome> {
        let job = self.find(reference)?;
        let status = job.handle.status();
        let mut lines = vec![
            ("job id", job.id.to_string()),
            ("job name", job.handle.name().to_owned()),
            ("status", job.word().to_owned()),
            ("start time", job.start_time()),
            ("running for", format!("{:.1} s", status.elapsed.as_secs_f64())),
            ("rows in", status.rows_in.to_string()),
            ("rows out", status.rows_out.to_string()),
            ("late", status.late.to_string()),
            ("future", status.future.to_string()),
            ("skipped", status.skipped.to_string()),
            ("watermark", status.watermark.map_or_else(|| "none".to_owned(), |watermark| watermark.to_string())),
            ("watermark held by", status.held_by.as_deref().unwrap_or("none").to_owned()),
            ("state bytes", status.state_bytes.to_string()),
            ("checkpoints", status.checkpoints.to_string()),
            ("restarts", status.restarts.count.to_string()),
        ];
        if let Some(cause) = &status.restarts.last_cause {
            lines.push(("last failure", cause.to_string()));
        }
        if let Some(next) = status.restarts.next_start.filter(|_| !job.has_ended()) {
            lines.push(("next start", EventTime(next.0).to_string()));
        }
        match job.end() {
            Some(Ok(JobSummary { ending: Ending::Stopped { at: Some(epoch) }, .. })) => {
                lines.push(("goes on from checkpoint", epoch.to_string()));
            }
            Some(Err(error)) => lines.push(("error", error.message().to_owned())),
            _ => {}
        }
        text_table(&[
            ("property", lines.iter().map(|(name, _)| (*name).to_owned()).collect()),
            ("value", lines.into_iter().map(|(_, value)| value).collect()),
        ])
    }

    /// The last checkpoints of each job: a line each, the oldest first. Columns: job name, checkpoint, kind, status, began,
    /// took, bytes written, bytes in all, files, what it waited for last.
    pub fn checkpoints(&self, chosen: Option<&NamePattern>) -> Result<Outcome> {
        let wanted = self.jobs.iter().filter(|job| chosen.is_none_or(|chosen| chosen.takes(job.handle.name())));
        let of_job = |job: &Job| {
            let name = job.handle.name().to_owned();
            job.handle.checkpoint_records().into_iter().map(move |record| (name.clone(), record))
        };
        let lines: Vec<(String, CheckpointRecord)> = wanted.flat_map(of_job).collect();
        let column = |text: &dyn Fn(&CheckpointRecord) -> String| lines.iter().map(|(_, line)| text(line)).collect();
        let of_complete = |text: &dyn Fn(&CheckpointSize, Duration) -> String| {
            column(&|record| match &record.outcome {
                CheckpointOutcome::Completed(size, took) => text(size, *took),
                _ => String::new(),
            })
        };
        text_table(&[
            ("job name", lines.iter().map(|(job, _)| job.clone()).collect()),
            ("checkpoint", column(&|record| record.epoch.to_string())),
            ("kind", column(&|record| kind_of(record.kind).to_owned())),
            ("status", column(&|record| status_of(&record.outcome))),
            ("began", column(&|record| EventTime(record.began.0).to_string())),
            ("took", of_complete(&|_, took| milliseconds(took))),
            ("bytes written", of_complete(&|size, _| size.written_bytes.to_string())),
            ("bytes in all", of_complete(&|size, _| size.bytes.to_string())),
            ("files", of_complete(&|size, _| size.files.to_string())),
            (
                "waited longest for",
                column(&|record| match &record.slowest {
                    Some((after, task)) => format!("{} task {}, {}", task.node, task.task, milliseconds(*after)),
                    None => String::new(),
                }),
            ),
        ])
    }

    /// Where time stands: a line a split of the sources of one job, or of all that run. Columns: job name, table, split,
    /// watermark, status, and the end of the window of the job that closes next.
    pub fn watermarks(&self, reference: Option<&JobReference>) -> Result<Outcome> {
        let jobs: Vec<&JobHandle> = match reference {
            Some(reference) => vec![&self.find(reference)?.handle],
            None => self.running().collect(),
        };
        let mut lines = Vec::new();
        for job in jobs {
            // It closes when the watermark is at its last millisecond.
            let next = job.next_window().map(|last| EventTime(last.0.saturating_add(1)));
            let next = next.map_or_else(|| "none".to_owned(), |end| end.to_string());
            lines.extend(job.splits().into_iter().map(|split| (job.name().to_owned(), next.clone(), split)));
        }
        let status = |split: &SplitStatus| match (split.activity, split.holds_watermark) {
            (SplitActivity::Idle, _) => "idle: not waited for",
            (SplitActivity::Ended, _) => "read to its end",
            (SplitActivity::Active, true) => "holds the watermark",
            (SplitActivity::Active, false) => "ahead",
        };
        let column = |text: &dyn Fn(&SplitStatus) -> String| lines.iter().map(|(_, _, split)| text(split)).collect();
        text_table(&[
            ("job name", lines.iter().map(|(job, _, _)| job.clone()).collect()),
            ("table", column(&|split| split.table.clone())),
            ("split", column(&|split| split.split.to_string())),
            ("watermark", column(&|split| split.watermark.to_string())),
            ("status", column(&|split| status(split).to_owned())),
            ("next window", lines.iter().map(|(_, next, _)| next.clone()).collect()),
        ])
    }

    /// What is remembered: a line a state table of each operator of one job, or of all that run. Columns: job name,
    /// operator, table, rows, bytes in memory, what bounds it, and what to write where nothing does.
    pub fn state(&self, reference: Option<&JobReference>) -> Result<Outcome> {
        let jobs: Vec<JobHandle> = match reference {
            Some(reference) => vec![self.running_job(reference)?],
            None => self.running().cloned().collect(),
        };
        let of_job = |job: &JobHandle| {
            let name = job.name().to_owned();
            job.state_tables().into_iter().map(move |table| (name.clone(), table))
        };
        let lines: Vec<(String, TableStatus)> = jobs.iter().flat_map(of_job).collect();
        let column = |text: &dyn Fn(&TableStatus) -> String| lines.iter().map(|(_, table)| text(table)).collect();
        text_table(&[
            ("job name", lines.iter().map(|(job, _)| job.clone()).collect()),
            ("operator", column(&|table| table.operator.to_string())),
            ("table", column(&|table| table.table.to_string())),
            ("rows", column(&|table| table.rows.to_string())),
            ("bytes", column(&|table| table.bytes.to_string())),
            ("bounded by", column(&|table| table.bound.to_string())),
            ("remedy", column(&|table| table.bound.remedy().unwrap_or_default().to_owned())),
        ])
    }

    /// The job that is meant, by id or by name, whether it runs or not.
    pub fn job(&self, reference: &JobReference) -> Result<JobHandle> {
        self.find(reference).map(|job| job.handle.clone())
    }

    /// The same, if it still runs.
    pub fn running_job(&self, reference: &JobReference) -> Result<JobHandle> {
        let job = self.find(reference)?;
        match job.has_ended() {
            false => Ok(job.handle.clone()),
            true => Err(Error::query(format!("job {} has ended already", job.handle.name()))
                .with_span(reference.span)
                .with_help(format!("DESCRIBE JOB '{}' tells how", job.id))),
        }
    }

    fn find(&self, reference: &JobReference) -> Result<&Job> {
        let text = reference.text.as_str();
        // Of several runs of one name the last is meant.
        let by_name = self.jobs.iter().rev().find(|job| job.handle.name() == text);
        by_name.or_else(|| self.jobs.iter().find(|job| job.id.to_string() == text)).ok_or_else(|| {
            let error = Error::query(format!("there is no job '{text}'")).with_span(reference.span);
            match nearest(text, self.names()) {
                Some(meant) => error.with_help(format!("did you mean '{meant}'?")),
                None if self.jobs.is_empty() => error.with_help("no job was started here: INSERT INTO starts one"),
                None => error.with_help("SHOW JOBS lists the jobs that were started here"),
            }
        })
    }
}

/// Flink's words for why a checkpoint was taken.
fn kind_of(kind: BarrierKind) -> &'static str {
    match kind {
        BarrierKind::Checkpoint => "CHECKPOINT",
        BarrierKind::Savepoint => "SAVEPOINT",
        BarrierKind::Stop => "STOP",
        BarrierKind::Drain => "END OF INPUT",
    }
}

fn status_of(outcome: &CheckpointOutcome) -> String {
    match outcome {
        CheckpointOutcome::InProgress => "IN PROGRESS".to_owned(),
        CheckpointOutcome::Completed(..) => "COMPLETED".to_owned(),
        CheckpointOutcome::Superseded(by) => format!("SUPERSEDED by {by}"),
        CheckpointOutcome::Failed(why) => format!("FAILED: {why}"),
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

impl Job {
    /// To the second.
    fn start_time(&self) -> String {
        let text = EventTime(self.started.0).to_string();
        text.split('.').next().unwrap_or_default().to_owned()
    }

    fn has_ended(&self) -> bool {
        self.handle.status().state == JobState::Ended
    }

    /// How it ended, once it has.
    fn end(&self) -> Option<Result<JobSummary>> {
        self.handle.wait().now_or_never()
    }

    /// Flink's word for how it stands; a stop with a checkpoint, which Flink calls finished, is told apart.
    fn word(&self) -> &'static str {
        match (self.handle.status().state, self.end()) {
            (_, Some(Ok(JobSummary { ending: Ending::Stopped { .. }, .. }))) => "STOPPED",
            (_, Some(Ok(_))) => "FINISHED",
            (_, Some(Err(_))) => "FAILED",
            (JobState::Restarting, None) => "RESTARTING",
            (JobState::Stopping, None) => "STOPPING",
            (JobState::Running | JobState::Ended, None) => "RUNNING",
        }
    }
}
