//! What can be seen of a running job from outside: rows, late rows, watermarks, pauses. Written by tasks without a
//! lock, read by whoever holds the job's handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::stream::EventTime;

/// One task's figures.
#[derive(Debug)]
pub struct TaskStatus {
    job: Arc<JobFigures>,
    watermark_ms: AtomicI64,
    state_bytes: AtomicU64,
}

/// The job's figures since this process started it.
#[derive(Debug, Default)]
pub struct JobFigures {
    rows_in: AtomicU64,
    bytes_in: AtomicU64,
    rows_out: AtomicU64,
    rows_late: AtomicU64,
    rows_skipped: AtomicU64,
    checkpoints: AtomicU64,
    pause_max_us: AtomicU64,
}

/// The figures at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    /// Completed checkpoints.
    pub checkpoints: u64,
    /// The longest that a task stood still to hand over its state.
    pub pause_max: Duration,
}

impl JobFigures {
    pub fn read(&self) -> Figures {
        Figures {
            rows_in: self.rows_in.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            rows_out: self.rows_out.load(Ordering::Relaxed),
            rows_late: self.rows_late.load(Ordering::Relaxed),
            rows_skipped: self.rows_skipped.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
            pause_max: Duration::from_micros(self.pause_max_us.load(Ordering::Relaxed)),
        }
    }

    pub fn checkpoint_completed(&self) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }
}

impl TaskStatus {
    pub fn new(job: Arc<JobFigures>) -> Self {
        Self { job, watermark_ms: AtomicI64::new(EventTime::NONE.0), state_bytes: AtomicU64::new(0) }
    }

    pub fn rows_in(&self, rows: usize, bytes: usize) {
        self.job.rows_in.fetch_add(rows as u64, Ordering::Relaxed);
        self.job.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn rows_out(&self, rows: usize) {
        self.job.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub fn late(&self, rows: usize) {
        self.job.rows_late.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub fn skipped(&self, rows: usize) {
        self.job.rows_skipped.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub fn watermark(&self, time: EventTime) {
        self.watermark_ms.store(time.0, Ordering::Relaxed);
    }

    pub fn state_bytes(&self, bytes: usize) {
        self.state_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    pub fn paused(&self, pause: Duration) {
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.job.pause_max_us.fetch_max(micros, Ordering::Relaxed);
    }

    /// The watermark that the task met last.
    pub fn watermark_now(&self) -> EventTime {
        EventTime(self.watermark_ms.load(Ordering::Relaxed))
    }

    /// Bytes of state at the last barrier.
    pub fn state_bytes_now(&self) -> u64 {
        self.state_bytes.load(Ordering::Relaxed)
    }
}
