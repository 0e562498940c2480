//! The loop of a task that runs a chain: align, call, send, snapshot.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::Outputs;
use super::inputs::{InputEvent, Inputs};
use super::snapshots::{KeptIncrements, SnapshotTarget, TaskFacts, upload};
use super::state_figures::TaskTables;
use crate::checkpoint::{OperatorPart, TaskId};
use crate::error::Result;
use crate::failpoint;
use crate::operators::{Chain, Emitted, Flush, Progress};
use crate::plan::Output;
use crate::runtime::status::TaskStatus;
use crate::stream::{Barrier, BarrierKind, Changes, Clock, Counter, EventTime, Grant, Message, ProcTime};

/// One running copy of a chain.
pub struct ChainTask {
    pub id: TaskId,
    pub inputs: Inputs,
    pub chain: Chain,
    /// What is seen of its state tables from outside.
    pub tables: Arc<TaskTables>,
    /// How many ports of the first operator have inputs.
    pub ports: usize,
    /// What a checkpoint says of each operator, but for what it holds.
    pub parts: Vec<OperatorPart>,
    /// First and last key group that its watermarks are for.
    pub groups: (u16, u16),
    /// Whether all tasks of the node have met the same watermark at a barrier.
    pub shares_watermark: bool,
    pub outputs: Outputs,
    pub target: SnapshotTarget,
    pub clock: Arc<dyn Clock>,
    pub status: Arc<TaskStatus>,
    /// What the state holds, as last measured.
    pub memory: Grant,
    /// Whether a later start goes on from a stop; if not, what is under way then is done before.
    pub is_resumable: bool,
}

struct Running {
    task: ChainTask,
    /// Increments of state that are in no checkpoint yet.
    kept: KeptIncrements,
    emitted: Emitted,
    ended_ports: usize,
    /// Batches that came in while a call of an operator waits to go on.
    taken_in: usize,
    /// Batches and their bytes since the state was last measured.
    batches: usize,
    bytes: usize,
    /// Before this much time has gone by, the state is not looked at while the inputs rest.
    next_look: Duration,
    /// How many partially late pairs the job's figures know of.
    pairs_reported: u64,
    /// How many rows from the future they know of.
    future_reported: u64,
}

/// Batches between two looks at the bytes of state, or bytes of rows where these are wide.
const MEASURE_BATCHES: usize = 64;
const MEASURE_BYTES: usize = 8 << 20;
/// Looks at the state while the inputs rest take this part of the time at most: many panes take a while.
const LOOK_PART: u32 = 100;
/// Batches that come in between two steps of a call that takes long, a fire for instance: neither waits for the other.
const BATCHES_PER_STEP: usize = 16;

impl ChainTask {
    /// Runs until the last barrier, or until the inputs are gone.
    pub async fn run(self) -> Result<()> {
        let future_reported = self.chain.count_of(Counter::NumFutureRecordsDropped);
        let running = Running {
            task: self,
            kept: KeptIncrements::default(),
            emitted: Emitted::default(),
            ended_ports: 0,
            taken_in: 0,
            batches: 0,
            bytes: 0,
            next_look: Duration::ZERO,
            pairs_reported: 0,
            future_reported,
        };
        running.run().await
    }
}

impl Running {
    async fn run(mut self) -> Result<()> {
        self.task.status.watermark(self.task.inputs.watermark());
        self.tick().await?;
        loop {
            let is_busy = self.task.chain.is_busy();
            // Rows in front of a barrier come in at once: it cannot pass before.
            let is_their_turn = self.taken_in < BATCHES_PER_STEP || self.task.inputs.has_barrier();
            let next = if is_their_turn || !is_busy { self.task.inputs.try_next() } else { None };
            let event = match next {
                Some(event) => event?,
                None if is_busy => {
                    self.taken_in = 0;
                    self.advance().await?;
                    self.task.chain.tick(self.now(), &mut self.emitted)?;
                    continue;
                }
                None => {
                    self.rest().await?;
                    match self.wait().await? {
                        Some(event) => event,
                        None => continue,
                    }
                }
            };
            match event {
                InputEvent::Rows { port, rows } => {
                    self.batches += 1;
                    self.bytes += rows.bytes();
                    self.task.chain.rows(port, rows);
                    if is_busy {
                        self.take_in().await?
                    } else {
                        self.tick().await?
                    }
                    if self.batches >= MEASURE_BATCHES || self.bytes >= MEASURE_BYTES {
                        self.measure()?;
                    }
                }
                InputEvent::Watermark(time) => self.watermark(time).await?,
                InputEvent::Ended { port } => self.end(port).await?,
                InputEvent::Idle(idle) => {
                    self.task.outputs.control(if idle { Message::Idle } else { Message::Active }).await?;
                }
                InputEvent::Barrier(barrier) => {
                    self.barrier(barrier).await?;
                    if barrier.kind.is_last() {
                        return Ok(());
                    }
                }
                InputEvent::Closed => return Ok(()),
            }
        }
    }

    fn now(&self) -> ProcTime {
        self.task.clock.now()
    }

    async fn watermark(&mut self, time: EventTime) -> Result<()> {
        self.task.chain.watermark(time);
        self.task.status.watermark(time);
        self.advance().await
    }

    /// Lets the operators work for a while and sends what has left. Between two of these the inputs are looked at, so that a
    /// barrier passes however much there is still to do.
    async fn advance(&mut self) -> Result<()> {
        let progress = self.task.chain.work(self.now(), &mut self.emitted)?;
        self.send().await?;
        if progress == Progress::More {
            // Whoever sends the barrier may need this thread.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The same, behind which the operators are called whose time has come.
    async fn tick(&mut self) -> Result<()> {
        self.advance().await?;
        self.task.chain.tick(self.now(), &mut self.emitted)?;
        self.advance().await
    }

    /// Rows come in while a call of an operator waits to go on.
    async fn take_in(&mut self) -> Result<()> {
        self.taken_in += 1;
        while self.task.chain.take_in(self.now(), &mut self.emitted)? == Progress::More {
            self.send().await?;
        }
        self.send().await
    }

    async fn end(&mut self, port: usize) -> Result<()> {
        self.ended_ports += 1;
        let is_last = self.ended_ports == self.task.ports;
        self.task.chain.end(port, is_last);
        self.advance().await
    }

    /// State is handed over between the last row before the barrier and the first behind it; the barrier goes on
    /// before the state is written.
    async fn barrier(&mut self, barrier: Barrier) -> Result<()> {
        self.measure()?;
        failpoint::hit("barrier.align.last");
        let is_end = match barrier.kind {
            BarrierKind::Drain => true,
            BarrierKind::Stop => !self.task.is_resumable,
            BarrierKind::Checkpoint | BarrierKind::Savepoint => false,
        };
        while is_end && self.task.chain.is_busy() {
            self.advance().await?;
        }
        self.flush(Flush::All).await?;
        let before = self.task.clock.elapsed();
        let snapshots = self.task.chain.snapshot()?;
        self.task.status.paused(self.task.clock.elapsed().saturating_sub(before));
        self.task.outputs.control(Message::Barrier(barrier)).await?;
        let facts = self.task.parts.iter().zip(self.task.chain.watermarks()).zip(self.task.chain.counters());
        let facts = TaskFacts {
            task: self.task.id.clone(),
            operators: facts
                .map(|((part, watermark), counters)| OperatorPart {
                    watermark: watermark.millis(),
                    counters: counters.clone(),
                    ..part.clone()
                })
                .collect(),
            groups: self.task.groups,
            shares_watermark: self.task.shares_watermark,
        };
        upload(&mut self.kept, barrier, snapshots, facts, &self.task.target);
        Ok(())
    }

    /// Says how much state there is; fails when the job then holds more than it may.
    fn measure(&mut self) -> Result<()> {
        (self.batches, self.bytes) = (0, 0);
        let pairs = self.task.chain.count_of(Counter::WindowPairsPartiallyLate);
        self.task.status.partially_late(pairs - std::mem::replace(&mut self.pairs_reported, pairs));
        self.task.status.next_window(self.task.chain.next_window());
        let bytes = self.look();
        self.task.memory.resize(bytes + self.kept.bytes())
    }

    /// Lets whoever watches the job know what its state is; in bytes.
    fn look(&mut self) -> usize {
        let began = self.task.clock.elapsed();
        let bytes = self.task.tables.measure(&mut self.task.chain);
        self.task.status.state(bytes);
        let ended = self.task.clock.elapsed();
        self.next_look = ended + ended.saturating_sub(began) * LOOK_PART;
        bytes
    }

    /// The inputs ran dry: whoever waits for rows that are held back for throughput gets them.
    async fn rest(&mut self) -> Result<()> {
        self.flush(Flush::Waiting).await?;
        self.task.status.next_window(self.task.chain.next_window());
        if self.task.clock.elapsed() >= self.next_look {
            self.look();
        }
        self.task.outputs.flush().await
    }

    async fn flush(&mut self, why: Flush) -> Result<()> {
        loop {
            let progress = self.task.chain.flush(why, self.now(), &mut self.emitted)?;
            self.send().await?;
            if progress == Progress::Done {
                return Ok(());
            }
        }
    }

    /// Waits for input, or for the time that an operator asked for (`None`).
    async fn wait(&mut self) -> Result<Option<InputEvent>> {
        let Some(wake_at) = self.task.chain.wake_at() else {
            return self.task.inputs.next().await.map(Some);
        };
        let wait_ms = u64::try_from(wake_at.0.saturating_sub(self.now().0)).unwrap_or(0);
        tokio::select! {
            biased;
            event = self.task.inputs.next() => event.map(Some),
            () = tokio::time::sleep(std::time::Duration::from_millis(wait_ms)) => {
                self.tick().await?;
                Ok(None)
            }
        }
    }

    async fn send(&mut self) -> Result<()> {
        let Emitted { main, late, watermark, is_ended, .. } = self.emitted.take();
        for rows in main {
            self.task.outputs.rows(Output::Main, rows).await?;
        }
        if !late.is_empty() {
            let refused = late.iter().map(|(_, rows)| rows.num_rows() as u64).sum::<u64>();
            let future = self.task.chain.count_of(Counter::NumFutureRecordsDropped);
            let new = future - std::mem::replace(&mut self.future_reported, future);
            self.task.status.future(new);
            self.task.status.late(refused - new);
        }
        for (operator, rows) in late {
            self.task.outputs.rows(Output::Late(operator), Changes::inserts(rows)).await?;
        }
        if let Some(time) = watermark.filter(|time| time.is_some()) {
            self.task.outputs.control(Message::Watermark(time)).await?;
        }
        if is_ended { self.task.outputs.control(Message::End).await } else { Ok(()) }
    }
}
