//! What can be seen of a running job from outside: rows, late rows, watermarks, pauses. Written by tasks without a
//! lock, read by whoever holds the job's handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::stream::{Epoch, EventTime};

/// One task's figures.
#[derive(Debug)]
pub struct TaskStatus {
    job: Arc<JobFigures>,
    /// Whether the task is a source: the job's watermark is that of its sources.
    is_source: bool,
    /// Bytes of state, as last reported.
    state_bytes: AtomicU64,
}

/// The job's figures since this process started it.
#[derive(Debug)]
pub struct JobFigures {
    rows_in: AtomicU64,
    bytes_in: AtomicU64,
    rows_out: AtomicU64,
    rows_late: AtomicU64,
    rows_skipped: AtomicU64,
    state_bytes: AtomicU64,
    checkpoints: AtomicU64,
    pause_max_us: AtomicU64,
    watermark_ms: AtomicI64,
    is_stopping: AtomicBool,
    is_restarting: AtomicBool,
    /// The last complete checkpoint.
    completed: watch::Sender<Epoch>,
}

impl Default for JobFigures {
    fn default() -> Self {
        Self {
            rows_in: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            rows_out: AtomicU64::new(0),
            rows_late: AtomicU64::new(0),
            rows_skipped: AtomicU64::new(0),
            state_bytes: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            pause_max_us: AtomicU64::new(0),
            watermark_ms: AtomicI64::new(EventTime::NONE.0),
            is_stopping: AtomicBool::new(false),
            is_restarting: AtomicBool::new(false),
            completed: watch::Sender::new(Epoch::ZERO),
        }
    }
}

/// The figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Rows read from all sources.
    pub rows_in: u64,
    /// Bytes of undecoded rows read.
    pub bytes_in: u64,
    /// Rows written to all sinks but late tables.
    pub rows_out: u64,
    /// Rows refused for their time.
    pub rows_late: u64,
    /// Rows that could not be read and were skipped.
    pub rows_skipped: u64,
    /// Bytes of state held in memory by all tasks.
    pub state_bytes: u64,
    /// Completed checkpoints.
    pub checkpoints: u64,
    /// The longest that a task stood still to hand over its state.
    pub pause_max: Duration,
    /// The watermark that the last source to move has sent.
    pub watermark: EventTime,
    pub is_stopping: bool,
    pub is_restarting: bool,
}

impl JobFigures {
    pub fn read(&self) -> Figures {
        Figures {
            rows_in: self.rows_in.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            rows_out: self.rows_out.load(Ordering::Relaxed),
            rows_late: self.rows_late.load(Ordering::Relaxed),
            rows_skipped: self.rows_skipped.load(Ordering::Relaxed),
            state_bytes: self.state_bytes.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
            pause_max: Duration::from_micros(self.pause_max_us.load(Ordering::Relaxed)),
            watermark: EventTime(self.watermark_ms.load(Ordering::Relaxed)),
            is_stopping: self.is_stopping.load(Ordering::Relaxed),
            is_restarting: self.is_restarting.load(Ordering::Relaxed),
        }
    }

    pub fn checkpoint_completed(&self, epoch: Epoch) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.completed.send_replace(epoch);
    }

    /// The last complete checkpoint, as it changes.
    pub fn completed(&self) -> watch::Receiver<Epoch> {
        self.completed.subscribe()
    }

    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub fn restarting(&self, is_restarting: bool) {
        self.is_restarting.store(is_restarting, Ordering::Relaxed);
    }

    /// Rows that were written.
    pub fn rows_out(&self, rows: usize) {
        self.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl TaskStatus {
    pub fn new(job: Arc<JobFigures>, is_source: bool) -> Self {
        Self { job, is_source, state_bytes: AtomicU64::new(0) }
    }

    /// Reports the task's bytes of state and returns those of the whole job.
    pub fn state(&self, bytes: usize) -> u64 {
        let bytes = bytes as u64;
        let before = self.state_bytes.swap(bytes, Ordering::Relaxed);
        // Added before anything is taken away, so that the sum never falls below zero.
        let sum = self.job.state_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.job.state_bytes.fetch_sub(before, Ordering::Relaxed);
        sum - before
    }

    pub fn rows_in(&self, rows: usize, bytes: usize) {
        self.job.rows_in.fetch_add(rows as u64, Ordering::Relaxed);
        self.job.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn rows_out(&self, rows: usize) {
        self.job.rows_out(rows);
    }

    pub fn late(&self, rows: usize) {
        self.job.rows_late.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub fn skipped(&self, rows: usize) {
        self.job.rows_skipped.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub fn watermark(&self, time: EventTime) {
        if self.is_source {
            self.job.watermark_ms.store(time.0, Ordering::Relaxed);
        }
    }

    pub fn paused(&self, pause: Duration) {
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.job.pause_max_us.fetch_max(micros, Ordering::Relaxed);
    }
}

impl Drop for TaskStatus {
    fn drop(&mut self) {
        self.job.state_bytes.fetch_sub(*self.state_bytes.get_mut(), Ordering::Relaxed);
    }
}
