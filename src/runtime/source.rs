//! The one loop of all sources: which split is read next, decoding in order on several workers, watermarks, barriers,
//! and splits that are found while it runs.
//!
//! ```text
//!   split a ─ chunk chunk ┐                    ┌ decode ┐
//!   split b ─ chunk ──────┤ furthest behind in ┤ decode ├ in order ─ running maximum ─▶ rows, watermark, barrier
//!   split c ─ chunk chunk ┘ event time first   └ decode ┘
//! ```
//!
//! A barrier goes out between two batches; the positions stored with it are those behind the last batch sent, so what
//! was read or decoded ahead is simply read again after a restart. Where nobody keeps the rows (a queue in the process),
//! it waits for what had come when it was asked for. When all splits have ended the source sends the
//! final watermark and End, and goes on passing barriers through until the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;

use super::events::Events;
use super::exchange::Outputs;
use super::input_changes::mention_changes;
use super::notice::Notices;
use super::source_control::{ControlReceiver, SourceControl};
use super::splits::{Decoding, Reader, SplitRun, Step, Turn, let_go, poll_splits};
use super::status::TaskStatus;
use super::watermark_group::GroupMember;
use crate::checkpoint::{Event, OperatorPart, TaskId, TaskPart};
use crate::connectors::{Polled, Position, Source, Split, SplitId};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::plan::{Output, Payload, Placed, Preparation, Prepared, WindowEnds};
use crate::state::SplitState;
use crate::stream::{Barrier, Clock, Counter, Counters, Epoch, EventTime, MemoryHolder, Message, ProcTime};

/// Bytes that the splits of a source hold at most, but for what the one that is read now cannot do without.
const HELD_BYTES: u64 = 64 << 20;
/// Undecoded bytes and the rows decoded from them, against the undecoded ones alone: an estimate.
const DECODED_FACTOR: usize = 2;

/// A source as the runtime has built it.
pub struct SourceTask {
    pub id: TaskId,
    /// What the checkpoint says of it.
    pub operator: OperatorPart,
    pub source: Arc<dyn Source>,
    pub preparation: Arc<Preparation>,
    /// Where a restored job goes on; `None` in a fresh one.
    pub restored: Option<BTreeMap<String, SplitState>>,
    /// Whether what it goes on from was to be the end: it reads nothing.
    pub is_drained: bool,
    pub counters: Counters,
    pub is_bounded: bool,
    /// Whether rows come as they happen: none is held back while the next one is waited for.
    pub is_live: bool,
    pub idle_timeout: Option<Duration>,
    /// The sources that it is kept together with in event time.
    pub group: Option<GroupMember>,
    /// The windows that the clock closes, if the watermark is the clock's.
    pub clock_windows: Vec<WindowEnds>,
    /// How often it looks for splits that came since.
    pub discovery_interval: Option<Duration>,
    /// Chunks that are decoded at once.
    pub workers: usize,
    /// A checkpoint is asked for behind each so many rows.
    pub every_rows: Option<u64>,
    pub outputs: Outputs,
    /// For what it has read and not sent.
    pub memory: MemoryHolder,
    pub control: ControlReceiver,
    pub events: Events,
    pub clock: Arc<dyn Clock>,
    pub status: Arc<TaskStatus>,
    pub notices: Notices,
}

struct Running {
    task: SourceTask,
    splits: Vec<SplitRun>,
    /// The watermark last sent.
    watermark: EventTime,
    /// The split that holds it, by index.
    held_by: Option<usize>,
    idle: bool,
    rows_since_barrier: u64,
    /// Positions at barriers whose checkpoints are not complete.
    unacknowledged: BTreeMap<Epoch, Vec<(SplitId, Position)>>,
    /// Counts readers' turns, to close the one that rested longest.
    turn: u64,
    /// For how long the source has waited for others to take its rows. A split is not idle because nobody looked.
    held_up: Duration,
    /// What a chunk takes until it is sent, on average.
    chunk_bytes: u64,
    /// Looking for splits that came since the last look.
    looking: Option<BoxFuture<'static, Result<Vec<Split>>>>,
    /// When the last look began, by the monotonic clock.
    looked: Duration,
    /// A split whose watermark lies behind this time rests until the others of the group have come after.
    limit: EventTime,
    /// The latest processing time that rows or a watermark of the clock have been given; none will be given less.
    read_at: ProcTime,
    /// Whether it is to read no more.
    is_over: bool,
}

/// What the loop has to deal with next.
enum Next {
    Control(Option<SourceControl>),
    Step(Step),
    Found(Vec<Split>),
    /// The others of the group have come after.
    Limit,
    /// Time has passed: splits may have become idle, or it is time to look for others.
    Time,
}

impl SourceTask {
    /// Runs until the last barrier.
    pub async fn run(mut self) -> Result<()> {
        let (now, is_over) = (self.clock.elapsed(), self.is_drained);
        let mut splits: Vec<SplitRun> = Vec::new();
        match self.restored.take() {
            Some(states) if self.is_bounded => {
                let bytes = mention_changes(self.source.as_ref(), &states, &self.notices).await;
                self.status.bytes_total(bytes);
                splits.extend(states.into_iter().map(|(id, state)| SplitRun::restored(id, state, now)));
            }
            restored => {
                let is_fresh = restored.is_none();
                let known = restored.into_iter().flatten();
                splits.extend(known.map(|(id, state)| SplitRun::restored(id, state, now)));
                let known: BTreeSet<SplitId> = splits.iter().map(|split| split.id.clone()).collect();
                let found = self.source.discover(&known).await?;
                if is_fresh {
                    self.status.bytes_total(found.iter().map(|split| split.bytes).sum());
                }
                let found = found.into_iter().filter(|split| !known.contains(&split.id));
                splits.extend(found.map(|split| SplitRun::new(split.id, split.start, now)));
            }
        }
        for split in &splits {
            split.show();
            self.status.split(Arc::clone(&split.seen));
        }
        let running = Running {
            task: self,
            splits,
            watermark: EventTime::NONE,
            held_by: None,
            idle: false,
            rows_since_barrier: 0,
            unacknowledged: BTreeMap::new(),
            turn: 0,
            held_up: Duration::ZERO,
            chunk_bytes: 0,
            looking: None,
            looked: now,
            limit: EventTime::END,
            read_at: ProcTime(i64::MIN),
            is_over,
        };
        running.run().await
    }
}

impl Running {
    async fn run(mut self) -> Result<()> {
        // What was called past before a restart stays past, whatever the clock says now.
        let called = self.splits.iter().map(|split| split.watermark).max().filter(|_| self.is_by_clock());
        self.read_at = ProcTime(called.filter(|time| time.is_some()).map_or(i64::MIN, |time| time.0.saturating_add(1)));
        self.advance().await?;
        self.rest_if_idle().await?;
        loop {
            while let Some(control) = self.task.control.try_recv() {
                if self.control(control).await? {
                    return Ok(());
                }
            }
            self.look_at_group();
            let turn = self.next_turn();
            let is_read = self.splits.iter().all(|split| split.ended) && self.task.discovery_interval.is_none();
            if is_read || self.is_over {
                break;
            }
            self.look_for_splits();
            let_go(&mut self.splits, &turn.splits, HELD_BYTES);
            for index in &turn.splits {
                self.open(*index).await?;
            }
            match self.next(&turn).await? {
                Next::Control(Some(control)) => {
                    if self.control(control).await? {
                        return Ok(());
                    }
                }
                Next::Control(None) => return Err(driver_gone()),
                Next::Time => {
                    self.advance().await?;
                    self.mark_idle(&turn.splits).await?;
                }
                Next::Found(found) => self.found(found),
                Next::Limit => {}
                Next::Step(step) => {
                    self.step(step).await?;
                    let is_due = self.task.every_rows.is_some_and(|every| self.rows_since_barrier >= every);
                    if is_due && self.ask_for_barrier().await? {
                        return Ok(());
                    }
                }
            }
        }
        self.end().await
    }

    /// What has come already of a live source, else whatever comes first.
    async fn next(&mut self, turn: &Turn) -> Result<Next> {
        if let Some(step) = self.arrived(turn).await? {
            return Ok(Next::Step(step));
        }
        let wait = [self.idle_wait(&turn.splits), self.look_wait(), self.window_wait()].into_iter().flatten().min();
        let (splits, control, looking) = (&mut self.splits, &mut self.task.control, &mut self.looking);
        let group = &mut self.task.group;
        tokio::select! {
            biased;
            control = control.recv() => Ok(Next::Control(control)),
            found = std::future::poll_fn(|context| poll_looking(looking, context)) => found.map(Next::Found),
            step = std::future::poll_fn(|context| poll_splits(splits, turn, context)) => step.map(Next::Step),
            () = limit_changed(group) => Ok(Next::Limit),
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => Ok(Next::Time),
        }
    }

    /// What has come already of a live source. If nothing has, rows that wait for more are sent before the wait.
    async fn arrived(&mut self, turn: &Turn) -> Result<Option<Step>> {
        if !self.task.is_live {
            return Ok(None);
        }
        let polled = {
            // Wakes nobody: whoever gets nothing here polls again at once.
            let mut context = Context::from_waker(Waker::noop());
            poll_splits(&mut self.splits, turn, &mut context)
        };
        if let Poll::Ready(step) = polled {
            return step.map(Some);
        }
        if turn.splits.iter().all(|index| self.splits[*index].decoding.is_empty()) {
            self.task.outputs.flush().await?;
        }
        Ok(None)
    }

    /// The splits that may be read now. Of bounded input the one furthest behind is sent; where many splits share the
    /// memory, each is read only a little ahead, and so are those whose turn comes next. Of other input all are sent.
    fn next_turn(&self) -> Turn {
        let may_go_on = |split: &SplitRun| !split.ended && split.watermark <= self.limit;
        let mut splits: Vec<usize> = (0..self.splits.len()).filter(|index| may_go_on(&self.splits[*index])).collect();
        let most = self.task.workers + 1;
        let share = HELD_BYTES / (splits.len().max(1) as u64 * self.chunk_bytes.max(1));
        let ahead = usize::try_from(share).unwrap_or(most).clamp(1, most);
        let is_short = self.task.memory.is_short();
        if self.task.is_bounded {
            let width = if is_short { 1 } else { most / ahead };
            let by_time = |index: &usize| (self.splits[*index].watermark, *index);
            if splits.len() > width {
                splits.select_nth_unstable_by_key(width, by_time);
                splits.truncate(width);
            }
            splits.sort_unstable_by_key(by_time);
        }
        let sending = if self.task.is_bounded { 1 } else { splits.len() };
        Turn { splits, sending, ahead, is_short }
    }

    /// How far the others of the group let splits be ahead. One that has rested is not idle for that.
    fn look_at_group(&mut self) {
        let Some(limit) = self.task.group.as_ref().map(GroupMember::limit).filter(|limit| *limit != self.limit) else {
            return;
        };
        let (before, now) = (self.limit, self.own_time());
        for split in self.splits.iter_mut().filter(|split| split.watermark > before) {
            split.last_rows = now;
        }
        self.limit = limit;
    }

    /// Makes sure that a split can be polled.
    async fn open(&mut self, index: usize) -> Result<()> {
        self.turn += 1;
        let split = &mut self.splits[index];
        split.last_turn = self.turn;
        if matches!(split.reader, Reader::Closed) {
            let reader = self.task.source.open(&split.id, &split.read_position).await?;
            split.open(reader, &self.task.memory);
        }
        Ok(())
    }

    /// Begins to look for splits that came since, if it is time.
    fn look_for_splits(&mut self) {
        if self.look_wait() == Some(Duration::ZERO) {
            self.looked = self.task.clock.elapsed();
            let known: BTreeSet<SplitId> = self.splits.iter().map(|split| split.id.clone()).collect();
            let source = Arc::clone(&self.task.source);
            self.looking = Some(Box::pin(async move { source.discover(&known).await }));
        }
    }

    /// How long until the next look for splits; `None` while one is under way, or if there is never another.
    fn look_wait(&self) -> Option<Duration> {
        let interval = self.task.discovery_interval.filter(|_| self.looking.is_none())?;
        Some((self.looked + interval).saturating_sub(self.task.clock.elapsed()))
    }

    /// Splits that came since are read from their start. Their rows may find windows closed, and are late then.
    fn found(&mut self, found: Vec<Split>) {
        let now = self.own_time();
        for split in found {
            if self.splits.iter().all(|known| known.id != split.id) {
                let split = SplitRun::new(split.id, split.start, now);
                self.task.status.split(Arc::clone(&split.seen));
                self.splits.push(split);
            }
        }
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Read(index, polled) => self.read(index, polled).await,
            Step::Prepared(index, prepared, position) => self.send(index, prepared, position).await,
        }
    }

    /// A reader has answered: rows go to a worker.
    async fn read(&mut self, index: usize, polled: Polled) -> Result<()> {
        let split = &mut self.splits[index];
        match Payload::of(polled) {
            Ok((payload, position)) => {
                let preparation = Arc::clone(&self.task.preparation);
                let (bytes, decoder) = match &payload {
                    Payload::Chunk(chunk) => {
                        let decoder = preparation.idle_decoder().or_else(|| self.task.source.decoder());
                        (chunk.bytes.len() * DECODED_FACTOR, decoder)
                    }
                    Payload::Rows(rows) => (rows.bytes(), None),
                };
                self.chunk_bytes = (self.chunk_bytes * 7 + bytes as u64).div_ceil(8);
                split.read_position = position.clone();
                let work = tokio::spawn(async move { preparation.prepare(payload, decoder) });
                split.decoding.push_back(Decoding { work, position, memory: self.task.memory.hold(bytes) });
                Ok(())
            }
            Err(Polled::End) => {
                split.reader = Reader::Exhausted;
                self.end_if_sent(index).await
            }
            Err(_) => Ok(()),
        }
    }

    /// Sends prepared rows and what follows from them.
    async fn send(&mut self, index: usize, prepared: Prepared, position: Position) -> Result<()> {
        let bytes = prepared.bytes;
        self.read_clock();
        let split = &mut self.splits[index];
        let Placed { rows, skipped, watermark } =
            self.task.preparation.place(prepared, split.watermark, self.read_at)?;
        let count = rows.len();
        split.position = position;
        split.idle = false;
        self.task.counters.add(Counter::NumRecordsIn, (count + skipped) as u64);
        self.task.counters.add(Counter::NumRecordsSkipped, skipped as u64);
        self.task.counters.add(Counter::NumBytesIn, bytes as u64);
        self.task.status.rows_in(count + skipped, bytes);
        self.task.status.skipped(skipped);
        let before = self.task.clock.elapsed();
        self.wake().await?;
        if count > 0 {
            self.task.outputs.rows(Output::Main, rows).await?;
        }
        if !self.is_by_clock() {
            self.splits[index].watermark = watermark;
        }
        self.splits[index].show();
        self.advance().await?;
        self.held_up += self.task.clock.elapsed().saturating_sub(before);
        self.splits[index].last_rows = self.own_time();
        self.end_if_sent(index).await?;
        self.rows_since_barrier += (count + skipped) as u64;
        Ok(())
    }

    async fn end_if_sent(&mut self, index: usize) -> Result<()> {
        let split = &mut self.splits[index];
        if split.is_sent() {
            split.ended = true;
            split.show();
            self.advance().await?;
            self.rest_if_idle().await?;
        }
        Ok(())
    }

    /// Sends the minimum over the active splits if it has moved. The end of all input is sent by `end`.
    async fn advance(&mut self) -> Result<()> {
        if self.is_by_clock() {
            self.read_clock();
            // Rows to come may be read in the same millisecond.
            let called = EventTime(self.read_at.0.saturating_sub(1));
            for split in &mut self.splits {
                split.watermark = called;
                split.show();
            }
        }
        let active = self.splits.iter().enumerate().filter(|(_, split)| !split.ended && !split.idle);
        let last = active.map(|(index, split)| (split.watermark, index)).min();
        let held_by = last.map(|(_, index)| index);
        if held_by != self.held_by {
            self.held_by = held_by;
            self.task.status.held_by(held_by.map(|index| Arc::clone(self.splits[index].seen.id())));
        }
        if let Some(group) = &self.task.group {
            group.report(last.map(|(watermark, _)| watermark));
        }
        let Some((minimum, _)) = last else { return Ok(()) };
        if minimum > self.watermark {
            self.watermark = minimum;
            self.task.status.watermark(minimum);
            self.task.outputs.control(Message::Watermark(minimum)).await?;
        }
        Ok(())
    }

    fn is_by_clock(&self) -> bool {
        !self.task.clock_windows.is_empty()
    }

    /// The time of day may step back, the time of reading does not.
    fn read_clock(&mut self) {
        self.read_at = self.read_at.max(self.task.clock.now());
    }

    /// How long until the clock closes the next window.
    fn window_wait(&self) -> Option<Duration> {
        let next = self.task.clock_windows.iter().map(|windows| windows.after(self.read_at.0)).min()?;
        let wait_ms = next.saturating_sub(self.task.clock.now().0);
        Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
    }

    /// Asks for a checkpoint and waits until its barrier is out; true when the source has to stop.
    async fn ask_for_barrier(&mut self) -> Result<bool> {
        self.task.events.send(Event::CheckpointDue).await;
        loop {
            let control = self.task.control.recv().await.ok_or_else(driver_gone)?;
            let is_barrier = matches!(control, SourceControl::Inject(_));
            if self.control(control).await? {
                return Ok(true);
            }
            if is_barrier || self.is_over {
                return Ok(false);
            }
        }
    }

    /// Obeys the driver; true when the source has to stop.
    async fn control(&mut self, control: SourceControl) -> Result<bool> {
        match control {
            SourceControl::Inject(barrier) => {
                self.barrier(barrier).await?;
                Ok(barrier.kind.is_last())
            }
            SourceControl::End => {
                if !self.is_over {
                    self.catch_up().await?;
                    self.is_over = true;
                }
                Ok(false)
            }
            SourceControl::Completed(epoch) => {
                let done = self.unacknowledged.remove(&epoch);
                self.unacknowledged.retain(|earlier, _| *earlier > epoch);
                if let Some(durable) = done {
                    self.task.source.acknowledge(&durable).await?;
                }
                Ok(false)
            }
        }
    }

    /// Sends what has come by now of splits whose rows nobody else keeps; what comes meanwhile is not waited for.
    async fn catch_up(&mut self) -> Result<()> {
        let source = &self.task.source;
        let arrived = self.splits.iter().enumerate().filter(|(_, split)| !split.ended).filter_map(|(index, split)| {
            let position = source.arrived(&split.id, &split.position)?;
            Some((index, position))
        });
        let mut due: BTreeMap<usize, Position> = arrived.collect();
        loop {
            due.retain(|index, position| !self.splits[*index].ended && self.splits[*index].position != *position);
            if due.is_empty() {
                return Ok(());
            }
            let splits: Vec<usize> = due.keys().copied().collect();
            for index in &splits {
                self.open(*index).await?;
            }
            let is_short = self.task.memory.is_short();
            let turn = Turn { sending: splits.len(), splits, ahead: self.task.workers + 1, is_short };
            let step = std::future::poll_fn(|context| poll_splits(&mut self.splits, &turn, context)).await?;
            self.step(step).await?;
        }
    }

    async fn barrier(&mut self, barrier: Barrier) -> Result<()> {
        self.catch_up().await?;
        failpoint::hit("barrier.inject");
        self.rows_since_barrier = 0;
        let positions = self.splits.iter().map(|split| (split.id.clone(), split.position.clone())).collect();
        self.unacknowledged.insert(barrier.epoch, positions);
        let operator = OperatorPart {
            splits: self.splits.iter().map(|split| (split.id.0.clone(), split.state())).collect(),
            counters: self.task.counters.clone(),
            ..self.task.operator.clone()
        };
        let part = TaskPart { operators: vec![operator], ..TaskPart::default() };
        self.task.outputs.control(Message::Barrier(barrier)).await?;
        let event = Event::Acknowledged { epoch: barrier.epoch, task: self.task.id.clone(), part: Box::new(part) };
        self.task.events.send(event).await;
        Ok(())
    }

    /// How long until the first of these splits counts as idle.
    fn idle_wait(&self, candidates: &[usize]) -> Option<Duration> {
        let timeout = self.task.idle_timeout?;
        let now = self.own_time();
        let active = candidates.iter().map(|index| &self.splits[*index]).filter(|split| split.may_fall_idle());
        active.map(|split| (split.last_rows + timeout).saturating_sub(now)).min()
    }

    async fn mark_idle(&mut self, candidates: &[usize]) -> Result<()> {
        let (Some(timeout), now) = (self.task.idle_timeout, self.own_time()) else { return Ok(()) };
        for index in candidates {
            let split = &mut self.splits[*index];
            split.idle |= split.may_fall_idle() && now.saturating_sub(split.last_rows) >= timeout;
            split.show();
        }
        self.advance().await?;
        self.rest_if_idle().await
    }

    /// Says so once all splits that go on are idle.
    async fn rest_if_idle(&mut self) -> Result<()> {
        let all_rest = self.splits.iter().all(|split| split.ended || split.idle);
        if all_rest && !self.idle && self.splits.iter().any(|split| !split.ended) {
            self.idle = true;
            self.task.outputs.control(Message::Idle).await?;
        }
        Ok(())
    }

    /// Says so before anything else if the source was idle.
    async fn wake(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.idle, false) {
            true => self.task.outputs.control(Message::Active).await,
            false => Ok(()),
        }
    }

    /// The monotonic clock without the time for which the source was held up.
    fn own_time(&self) -> Duration {
        self.task.clock.elapsed().saturating_sub(self.held_up)
    }

    /// All splits have ended, or nothing more is to be read: every window closes, and barriers pass through until the last one.
    async fn end(mut self) -> Result<()> {
        // Nobody listens to the watermark of an idle input.
        self.wake().await?;
        self.task.outputs.control(Message::Watermark(EventTime::END)).await?;
        self.task.outputs.control(Message::End).await?;
        self.task.events.send(Event::SourceEnded(self.task.id.clone())).await;
        loop {
            let control = self.task.control.recv().await.ok_or_else(driver_gone)?;
            if self.control(control).await? {
                return Ok(());
            }
        }
    }
}

/// Waits until the group lets the source read on further, or for ever without one.
async fn limit_changed(group: &mut Option<GroupMember>) {
    match group {
        Some(group) => group.changed().await,
        None => std::future::pending().await,
    }
}

/// Polls the look for splits, if one is under way.
fn poll_looking(
    looking: &mut Option<BoxFuture<'static, Result<Vec<Split>>>>,
    context: &mut Context<'_>,
) -> Poll<Result<Vec<Split>>> {
    let Some(look) = looking else { return Poll::Pending };
    let found = std::task::ready!(look.as_mut().poll(context));
    *looking = None;
    Poll::Ready(found)
}

fn driver_gone() -> Error {
    Error::bug("the job's driver is gone").with_id(super::channel::RECEIVER_GONE)
}

#[cfg(test)]
mod tests;
