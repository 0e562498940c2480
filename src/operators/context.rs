//! What an operator meets besides its rows: what it is built with, and what it may do in a call.

use std::ops::Range;

use arrow::record_batch::RecordBatch;

use crate::stream::{Changes, Counter, Counters, Entropy, MemoryHolder, MemoryPool, ProcTime};

/// What a running operator is told when it is built.
#[derive(Debug, Clone)]
pub struct BuildContext {
    /// Which of the `tasks` tasks of its node it runs in.
    pub task: usize,
    pub tasks: usize,
    /// The key groups whose rows come to this task.
    pub key_groups: Range<u16>,
    pub max_parallelism: u32,
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// When a call should stop to let its output go.
    pub output: OutputBudget,
    /// The part of the job's memory that its operators account for.
    pub memory: MemoryHolder,
    pub backend: StateBackend,
    /// Where random values come from.
    pub entropy: Entropy,
}

impl BuildContext {
    /// For the only task of a node, without limits.
    pub fn only_task() -> Self {
        Self {
            task: 0,
            tasks: 1,
            key_groups: 0..128,
            max_parallelism: 128,
            batch_rows: 8192,
            output: OutputBudget::default(),
            memory: MemoryPool::new(None).holder("operators"),
            backend: StateBackend::Memory,
            entropy: Entropy::seeded(0),
        }
    }
}

/// Where working state is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateBackend {
    Memory,
}

/// How much a call may emit before it should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputBudget {
    pub rows: usize,
    pub bytes: usize,
}

impl OutputBudget {
    /// Batches that may leave in one call.
    const BATCHES: usize = 16;
    const BYTES: usize = 16 << 20;

    /// A few batches of `batch_rows` rows.
    pub fn of_batches(batch_rows: usize) -> Self {
        Self { rows: Self::BATCHES * batch_rows, bytes: Self::BYTES }
    }

    /// Whether this much is as much as may be.
    pub fn is_used_up(self, rows: usize, bytes: usize) -> bool {
        rows >= self.rows || bytes >= self.bytes
    }
}

impl Default for OutputBudget {
    fn default() -> Self {
        Self::of_batches(8192)
    }
}

/// What an operator may do besides its own work: read the time, emit, divert late rows, count.
#[derive(Debug)]
pub struct Context {
    /// The task's clock at the call.
    pub now: ProcTime,
    /// What this operator has counted since the context was made or drained.
    pub counters: Counters,
    budget: OutputBudget,
    rows: usize,
    bytes: usize,
    out: Vec<Changes>,
    late: Vec<RecordBatch>,
}

impl Context {
    /// A context at `now` with nothing emitted.
    pub fn new(now: ProcTime) -> Self {
        Self::with_budget(now, OutputBudget::default())
    }

    /// The same with another budget for what is emitted.
    pub fn with_budget(now: ProcTime, budget: OutputBudget) -> Self {
        let (out, late) = (Vec::new(), Vec::new());
        Self { now, counters: Counters::default(), budget, rows: 0, bytes: 0, out, late }
    }

    /// Passes rows on; an empty batch is not sent.
    pub fn emit(&mut self, changes: Changes) {
        if !changes.is_empty() {
            self.rows += changes.len();
            self.bytes += changes.bytes();
            self.out.push(changes);
        }
    }

    /// Whether so much was emitted since the last drain that the call should stop with [`Progress::More`]: an
    /// operator asks before each further batch.
    ///
    /// [`Progress::More`]: super::Progress::More
    pub fn is_full(&self) -> bool {
        self.budget.is_used_up(self.rows, self.bytes)
    }

    /// Diverts late rows; the columns are those of the operator's late schema.
    pub fn late(&mut self, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.late.push(rows);
        }
    }

    /// Counts.
    pub fn count(&mut self, counter: Counter, by: usize) {
        self.counters.add(counter, by as u64);
    }

    /// Takes what was emitted since the last call.
    pub fn take_out(&mut self) -> Vec<Changes> {
        (self.rows, self.bytes) = (0, 0);
        std::mem::take(&mut self.out)
    }

    /// Takes the late rows since the last call.
    pub fn take_late(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.late)
    }
}
