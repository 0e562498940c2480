//! What can be seen of a running job from outside: rows, late rows, watermarks, pauses. Written by tasks without a
//! lock, read by whoever holds the job's handle.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::checkpoint_history::{CheckpointHistory, CheckpointRecord};
use super::source_time::{SourceTime, SplitStatus, SplitTime};
use super::state_figures::{TableStatus, TaskTables, sums};
use crate::stream::{Counter, Counters, Epoch, EventTime, ProcTime, Total};

/// One task's figures.
#[derive(Debug)]
pub struct TaskStatus {
    job: Arc<JobFigures>,
    /// Of a source: where it stands in time. The job's watermark is the least of them.
    source: Option<Arc<SourceTime>>,
    /// Bytes of state, as last reported.
    state_bytes: AtomicU64,
    next_window: Arc<AtomicI64>,
}

/// The job's figures: rows since its first start, as far as checkpoints carry them on; the rest since this process
/// started it.
#[derive(Debug)]
pub struct JobFigures {
    rows_in: AtomicU64,
    bytes_in: AtomicU64,
    /// Of all source tasks of the present attempt.
    bytes_total: Total,
    rows_out: AtomicU64,
    rows_late: AtomicU64,
    rows_future: AtomicU64,
    pairs_partially_late: AtomicU64,
    rows_skipped: AtomicU64,
    state_bytes: AtomicU64,
    checkpoints: AtomicU64,
    pause_max_us: AtomicU64,
    /// One a source task of the present attempt; locked to add one and to read them.
    sources: Mutex<Vec<Arc<SourceTime>>>,
    /// Of each task of the present attempt: the watermark that closes the next of its windows.
    next_windows: Mutex<Vec<Arc<AtomicI64>>>,
    /// Of each such task that has operators: their state tables.
    tables: Mutex<Vec<Arc<TaskTables>>>,
    is_stopping: AtomicBool,
    restarts: Mutex<RestartFigures>,
    pub(super) checkpoint_history: CheckpointHistory,
    /// The last complete checkpoint.
    completed: AtomicU64,
}

impl Default for JobFigures {
    fn default() -> Self {
        Self {
            rows_in: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_total: Total::default(),
            rows_out: AtomicU64::new(0),
            rows_late: AtomicU64::new(0),
            rows_future: AtomicU64::new(0),
            pairs_partially_late: AtomicU64::new(0),
            rows_skipped: AtomicU64::new(0),
            state_bytes: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            pause_max_us: AtomicU64::new(0),
            sources: Mutex::default(),
            next_windows: Mutex::default(),
            tables: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            restarts: Mutex::default(),
            checkpoint_history: CheckpointHistory::default(),
            completed: AtomicU64::new(0),
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
    /// How many there are, if all sources know.
    pub bytes_total: Option<u64>,
    /// Rows written to all sinks but late tables.
    pub rows_out: u64,
    /// Rows refused for their time.
    pub rows_late: u64,
    /// Rows refused because their time lies too far in the future.
    pub rows_future: u64,
    /// (row, window) pairs that were closed, of rows with another window still open; up to date at barriers.
    pub pairs_partially_late: u64,
    /// Rows that could not be read and were skipped.
    pub rows_skipped: u64,
    /// Bytes of state held in memory by all tasks.
    pub state_bytes: u64,
    /// Completed checkpoints.
    pub checkpoints: u64,
    /// The longest that a task stood still to hand over its state.
    pub pause_max: Duration,
    /// The least watermark that a source task has sent.
    pub watermark: EventTime,
    pub is_stopping: bool,
}

/// Restarts in this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestartFigures {
    pub count: u64,
    /// What the last failure said.
    pub last_cause: Option<Arc<str>>,
    /// While the job waits to be started again: until when.
    pub next_start: Option<ProcTime>,
}

impl JobFigures {
    pub fn read(&self) -> Figures {
        Figures {
            rows_in: self.rows_in.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.get(),
            rows_out: self.rows_out.load(Ordering::Relaxed),
            rows_late: self.rows_late.load(Ordering::Relaxed),
            rows_future: self.rows_future.load(Ordering::Relaxed),
            pairs_partially_late: self.pairs_partially_late.load(Ordering::Relaxed),
            rows_skipped: self.rows_skipped.load(Ordering::Relaxed),
            state_bytes: self.state_bytes.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
            pause_max: Duration::from_micros(self.pause_max_us.load(Ordering::Relaxed)),
            watermark: self.watermark(),
            is_stopping: self.is_stopping.load(Ordering::Relaxed),
        }
    }

    /// The tasks are about to be built anew from a checkpoint, whose counters they bring with them.
    pub fn begin_attempt(&self) {
        let rows = [&self.rows_in, &self.bytes_in, &self.rows_out, &self.rows_late];
        let rare = [&self.rows_future, &self.pairs_partially_late, &self.rows_skipped];
        rows.into_iter().chain(rare).for_each(|figure| figure.store(0, Ordering::Relaxed));
        self.bytes_total.reset();
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.next_windows.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn watermark(&self) -> EventTime {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().map(|source| source.watermark()).min().unwrap_or(EventTime::NONE)
    }

    /// The split that holds the job's watermark, if any does.
    pub fn held_by(&self) -> Option<Arc<str>> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().min_by_key(|source| source.watermark())?.held_by()
    }

    /// The watermark that closes the next window of the job, as far as its tasks have said.
    pub fn next_window(&self) -> Option<EventTime> {
        let next = self.next_windows.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next.iter().map(|next| EventTime(next.load(Ordering::Relaxed))).min();
        next.filter(|next| *next != EventTime::END)
    }

    /// Where each split of each source stands in time.
    pub fn splits(&self) -> Vec<SplitStatus> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().flat_map(|source| source.splits()).collect()
    }

    /// What each state table of each operator holds, as far as its tasks have said.
    pub fn tables(&self) -> Vec<TableStatus> {
        sums(&self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn checkpoint_completed(&self, epoch: Epoch) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.completed.store(epoch.0, Ordering::Relaxed);
    }

    /// The last complete checkpoint of this process, if there is one.
    pub fn completed(&self) -> Option<Epoch> {
        let epoch = Epoch(self.completed.load(Ordering::Relaxed));
        (epoch > Epoch::ZERO).then_some(epoch)
    }

    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// A failure was met, and the job starts again at `next_start`.
    pub fn restarting(&self, cause: &str, next_start: ProcTime) {
        let mut restarts = self.restarts.lock().unwrap_or_else(PoisonError::into_inner);
        restarts.count += 1;
        restarts.last_cause = Some(cause.into());
        restarts.next_start = Some(next_start);
    }

    /// The wait for that start is over.
    pub fn restarted(&self) {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).next_start = None;
    }

    /// The last checkpoints of this process.
    pub fn checkpoint_records(&self) -> Vec<CheckpointRecord> {
        self.checkpoint_history.records()
    }

    /// How often the job was started again, and why.
    pub fn restarts(&self) -> RestartFigures {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rows that were written.
    pub fn rows_out(&self, rows: usize) {
        self.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl TaskStatus {
    /// Of a source that reads `table`, or of another task.
    pub fn new(job: Arc<JobFigures>, table: Option<&str>) -> Self {
        let source = table.map(|table| Arc::new(SourceTime::new(table)));
        if let Some(source) = &source {
            job.sources.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(source));
            job.bytes_total.expect_part();
        }
        let next_window = Arc::new(AtomicI64::new(EventTime::END.0));
        job.next_windows.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&next_window));
        Self { job, source, state_bytes: AtomicU64::new(0), next_window }
    }

    /// Goes on from what a source had counted.
    pub fn restore_source(&self, counters: &Counters) {
        self.job.rows_in.fetch_add(counters.get(Counter::NumRecordsIn), Ordering::Relaxed);
        self.job.bytes_in.fetch_add(counters.get(Counter::NumBytesIn), Ordering::Relaxed);
        self.job.rows_skipped.fetch_add(counters.get(Counter::NumRecordsSkipped), Ordering::Relaxed);
    }

    /// Goes on from what a sink had counted.
    pub fn restore_sink(&self, counters: &Counters) {
        self.job.rows_out.fetch_add(counters.get(Counter::NumRecordsOut), Ordering::Relaxed);
    }

    /// The watermark that closes the next of the task's windows.
    pub fn next_window(&self, next: Option<EventTime>) {
        self.next_window.store(next.unwrap_or(EventTime::END).0, Ordering::Relaxed);
    }

    /// The task has these state tables.
    pub fn tables(&self, tables: Arc<TaskTables>) {
        self.job.tables.lock().unwrap_or_else(PoisonError::into_inner).push(tables);
    }

    /// Reports the task's bytes of state.
    pub fn state(&self, bytes: usize) {
        let bytes = bytes as u64;
        let before = self.state_bytes.swap(bytes, Ordering::Relaxed);
        // Added before anything is taken away, so that the sum never falls below zero.
        self.job.state_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.job.state_bytes.fetch_sub(before, Ordering::Relaxed);
    }

    pub fn rows_in(&self, rows: usize, bytes: usize) {
        self.job.rows_in.fetch_add(rows as u64, Ordering::Relaxed);
        self.job.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes the source's splits hold, all in all, if that is known.
    pub fn bytes_total(&self, bytes: Option<u64>) {
        self.job.bytes_total.add(bytes);
    }

    pub fn rows_out(&self, rows: usize) {
        self.job.rows_out(rows);
    }

    pub fn late(&self, rows: u64) {
        self.job.rows_late.fetch_add(rows, Ordering::Relaxed);
    }

    pub fn future(&self, rows: u64) {
        self.job.rows_future.fetch_add(rows, Ordering::Relaxed);
    }

    pub fn partially_late(&self, pairs: u64) {
        self.job.pairs_partially_late.fetch_add(pairs, Ordering::Relaxed);
    }

    pub fn skipped(&self, rows: usize) {
        self.job.rows_skipped.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub fn watermark(&self, time: EventTime) {
        if let Some(source) = &self.source {
            source.set_watermark(time);
        }
    }

    /// Another split holds the source's watermark from here on, or none.
    pub fn held_by(&self, split: Option<Arc<str>>) {
        if let Some(source) = &self.source {
            source.set_held_by(split);
        }
    }

    /// The source has another split.
    pub fn split(&self, split: Arc<SplitTime>) {
        if let Some(source) = &self.source {
            source.add(split);
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
