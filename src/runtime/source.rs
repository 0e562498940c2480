//! The one loop of all sources: which split is read next, decoding in order on several workers, watermarks, barriers.
//!
//! ```text
//!   split a ─ chunk chunk ┐                    ┌ decode ┐
//!   split b ─ chunk ──────┤ furthest behind in ┤ decode ├ in order ─ running maximum ─▶ rows, watermark, barrier
//!   split c ─ chunk chunk ┘ event time first   └ decode ┘
//! ```
//!
//! A barrier goes out between two batches; the positions stored with it are those behind the last batch sent, so what
//! was read or decoded ahead is simply read again after a restart. When all splits have ended the source sends the
//! final watermark and End, and goes on passing barriers through until the last one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use super::config::Notices;
use super::events::Events;
use super::exchange::Outputs;
use super::source_control::{ControlReceiver, SourceControl};
use super::status::TaskStatus;
use crate::checkpoint::{Event, OperatorPart, TaskId, TaskPart};
use crate::connectors::{Polled, Position, Source, Split, SplitId, SplitReader};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::plan::{Output, Payload, Placed, Preparation, Prepared};
use crate::state::SplitState;
use crate::stream::{Barrier, Clock, Counter, Counters, Epoch, EventTime, Message};

/// Readers that stay open at once; the others are opened again at their position when their turn comes.
const OPEN_READERS: usize = 64;

/// A source as the runtime has built it.
pub struct SourceTask {
    pub id: TaskId,
    /// What the checkpoint says of it.
    pub operator: OperatorPart,
    pub source: Box<dyn Source>,
    pub preparation: Arc<Preparation>,
    /// Where a restored job goes on; `None` in a fresh one.
    pub restored: Option<BTreeMap<String, SplitState>>,
    pub counters: Counters,
    pub is_bounded: bool,
    /// Whether rows come as they happen: none is held back while the next one is waited for.
    pub is_live: bool,
    pub idle_timeout: Option<Duration>,
    /// Chunks that are decoded at once.
    pub workers: usize,
    /// A checkpoint is asked for behind each so many rows.
    pub every_rows: Option<u64>,
    pub outputs: Outputs,
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
    idle: bool,
    rows_since_barrier: u64,
    /// Positions at barriers whose checkpoints are not complete.
    unacknowledged: BTreeMap<Epoch, Vec<(SplitId, Position)>>,
    /// Counts readers' turns, to close the one that rested longest.
    turn: u64,
    /// For how long the source has waited for others to take its rows. A split is not idle because nobody looked.
    held_up: Duration,
}

struct SplitRun {
    id: SplitId,
    /// Behind the last row sent.
    position: Position,
    /// Behind the last chunk read.
    read_position: Position,
    watermark: EventTime,
    ended: bool,
    idle: bool,
    reader: Reader,
    /// Being decoded, in order.
    decoding: VecDeque<(JoinHandle<Result<Prepared>>, Position)>,
    last_turn: u64,
    /// When its last rows came, by the source's own time.
    last_rows: Duration,
}

enum Reader {
    Closed,
    Open(Box<dyn SplitReader>),
    Reading(BoxFuture<'static, (Box<dyn SplitReader>, Result<Polled>)>),
    /// All of the split has been read, though perhaps not sent.
    Exhausted,
}

/// What a split had next.
enum Step {
    Read(usize, Box<dyn SplitReader>, Result<Polled>),
    Prepared(usize, Result<Prepared>, Position),
}

impl SourceTask {
    /// Runs until the last barrier.
    pub async fn run(mut self) -> Result<()> {
        let now = self.clock.elapsed();
        let splits: Vec<SplitRun> = match self.restored.take() {
            Some(states) => {
                self.meet_again(&states).await;
                states.into_iter().map(|(id, state)| SplitRun::restored(id, state, now)).collect()
            }
            None => {
                let found = self.source.discover().await?;
                self.status.bytes_total(found.iter().map(|split| split.bytes).sum());
                found.into_iter().map(|split| SplitRun::new(split.id, split.start, now)).collect()
            }
        };
        let running = Running {
            task: self,
            splits,
            watermark: EventTime::NONE,
            idle: false,
            rows_since_barrier: 0,
            unacknowledged: BTreeMap::new(),
            turn: 0,
            held_up: Duration::ZERO,
        };
        running.run().await
    }

    /// Bounded input is what was there when the job began. Whatever came since is not read, which somebody has to say.
    async fn meet_again(&mut self, states: &BTreeMap<String, SplitState>) {
        if !self.is_bounded {
            return;
        }
        // What cannot be found any more is said when it is opened.
        let found = self.source.discover().await.unwrap_or_default();
        let (known, newcomers): (Vec<&Split>, Vec<&Split>) =
            found.iter().partition(|split| states.contains_key(&split.id.0));
        let all_known = (known.len() == states.len()).then_some(&known);
        self.status.bytes_total(all_known.and_then(|known| known.iter().map(|split| split.bytes).sum()));
        let newcomers: Vec<&str> = newcomers.iter().map(|split| split.id.0.as_str()).collect();
        if let [first, others @ ..] = newcomers.as_slice() {
            let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            (self.notices)(format!(
                "{first}{others} came after the job began, which reads only what was there then. --fresh starts over, \
                 with all that is there now"
            ));
        }
    }
}

impl SplitRun {
    fn new(id: SplitId, start: Position, now: Duration) -> Self {
        Self {
            id,
            read_position: start.clone(),
            position: start,
            watermark: EventTime::NONE,
            ended: false,
            idle: false,
            reader: Reader::Closed,
            decoding: VecDeque::new(),
            last_turn: 0,
            last_rows: now,
        }
    }

    fn restored(id: String, state: SplitState, now: Duration) -> Self {
        let mut split = Self::new(SplitId(id), Position(state.position), now);
        split.watermark = state.watermark.map_or(EventTime::NONE, EventTime);
        split.ended = state.ended;
        split.idle = state.idle;
        split
    }

    /// Whether it is waited for: no row of it is here already.
    fn may_fall_idle(&self) -> bool {
        !self.idle && self.decoding.is_empty()
    }

    fn state(&self) -> SplitState {
        SplitState {
            position: self.position.0.clone(),
            watermark: self.watermark.is_some().then_some(self.watermark.0),
            ended: self.ended,
            idle: self.idle,
        }
    }
}

impl Running {
    async fn run(mut self) -> Result<()> {
        self.advance().await?;
        self.rest_if_idle().await?;
        loop {
            while let Some(control) = self.task.control.try_recv() {
                if self.control(control).await? {
                    return Ok(());
                }
            }
            let candidates = self.candidates();
            if candidates.is_empty() {
                break;
            }
            for index in &candidates {
                self.open(*index).await?;
            }
            let idle_wait = self.idle_wait(&candidates);
            let limit = self.task.workers + 1;
            let come = self.come(&candidates, limit).await?;
            let (splits, control) = (&mut self.splits, &mut self.task.control);
            let step = tokio::select! {
                biased;
                () = std::future::ready(()), if come.is_some() => Ok(come),
                control = control.recv() => Err(control),
                step = std::future::poll_fn(|context| poll_splits(splits, &candidates, limit, context)) => Ok(Some(step)),
                () = tokio::time::sleep(idle_wait.unwrap_or_default()), if idle_wait.is_some() => Ok(None),
            };
            match step {
                Err(Some(control)) => {
                    if self.control(control).await? {
                        return Ok(());
                    }
                }
                Err(None) => return Err(driver_gone()),
                Ok(None) => self.mark_idle(&candidates).await?,
                Ok(Some(Step::Read(index, reader, polled))) => self.read(index, reader, polled?).await?,
                Ok(Some(Step::Prepared(index, prepared, position))) => {
                    if self.send(index, prepared?, position).await? {
                        return Ok(());
                    }
                }
            }
        }
        self.end().await
    }

    /// What has come already of a live source. If nothing has, rows that wait for more are sent before the wait.
    async fn come(&mut self, candidates: &[usize], limit: usize) -> Result<Option<Step>> {
        if !self.task.is_live {
            return Ok(None);
        }
        let polled = {
            // Wakes nobody: whoever gets nothing here polls again at once.
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            poll_splits(&mut self.splits, candidates, limit, &mut context)
        };
        if let Poll::Ready(step) = polled {
            return Ok(Some(step));
        }
        if candidates.iter().all(|index| self.splits[*index].decoding.is_empty()) {
            self.task.outputs.flush().await?;
        }
        Ok(None)
    }

    /// The splits that may be read now: of bounded input the one furthest behind, else all that go on.
    fn candidates(&self) -> Vec<usize> {
        let going_on = (0..self.splits.len()).filter(|index| !self.splits[*index].ended);
        if self.task.is_bounded {
            going_on.min_by_key(|index| self.splits[*index].watermark).into_iter().collect()
        } else {
            going_on.collect()
        }
    }

    /// Makes sure that a split can be polled.
    async fn open(&mut self, index: usize) -> Result<()> {
        self.turn += 1;
        self.splits[index].last_turn = self.turn;
        if !matches!(self.splits[index].reader, Reader::Closed) {
            return Ok(());
        }
        let open = (0..self.splits.len()).filter(|other| matches!(self.splits[*other].reader, Reader::Open(_)));
        let open: Vec<usize> = open.collect();
        if open.len() >= OPEN_READERS
            && let Some(rested) = open.into_iter().min_by_key(|other| self.splits[*other].last_turn)
        {
            self.splits[rested].reader = Reader::Closed;
        }
        let split = &mut self.splits[index];
        split.reader = Reader::Open(self.task.source.open(&split.id, &split.read_position).await?);
        Ok(())
    }

    /// A reader has answered: rows go to a worker.
    async fn read(&mut self, index: usize, reader: Box<dyn SplitReader>, polled: Polled) -> Result<()> {
        let split = &mut self.splits[index];
        split.reader = Reader::Open(reader);
        match Payload::of(polled) {
            Ok((payload, position)) => {
                let preparation = Arc::clone(&self.task.preparation);
                let decoder = match payload {
                    Payload::Chunk(_) => preparation.idle_decoder().or_else(|| self.task.source.decoder()),
                    Payload::Rows(_) => None,
                };
                split.read_position = position.clone();
                let work = tokio::spawn(async move { preparation.prepare(payload, decoder) });
                split.decoding.push_back((work, position));
                Ok(())
            }
            Err(Polled::End) => {
                split.reader = Reader::Exhausted;
                self.end_if_sent(index).await
            }
            Err(_) => Ok(()),
        }
    }

    /// Sends prepared rows and what follows from them; true when the source has to stop.
    async fn send(&mut self, index: usize, prepared: Prepared, position: Position) -> Result<bool> {
        let bytes = prepared.bytes;
        let split = &mut self.splits[index];
        let Placed { rows, skipped, watermark } = self.task.preparation.place(prepared, split.watermark)?;
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
        self.splits[index].watermark = watermark;
        self.advance().await?;
        self.held_up += self.task.clock.elapsed().saturating_sub(before);
        self.splits[index].last_rows = self.own_time();
        self.end_if_sent(index).await?;
        self.rows_since_barrier += (count + skipped) as u64;
        if self.task.every_rows.is_some_and(|every| self.rows_since_barrier >= every) {
            return self.ask_for_barrier().await;
        }
        Ok(false)
    }

    async fn end_if_sent(&mut self, index: usize) -> Result<()> {
        let split = &mut self.splits[index];
        if matches!(split.reader, Reader::Exhausted) && split.decoding.is_empty() {
            split.ended = true;
            self.advance().await?;
            self.rest_if_idle().await?;
        }
        Ok(())
    }

    /// Sends the minimum over the active splits if it has moved. The end of all input is sent by `end`.
    async fn advance(&mut self) -> Result<()> {
        let active = self.splits.iter().filter(|split| !split.ended && !split.idle);
        let Some(minimum) = active.map(|split| split.watermark).min() else { return Ok(()) };
        if minimum > self.watermark {
            self.watermark = minimum;
            self.task.status.watermark(minimum);
            self.task.outputs.control(Message::Watermark(minimum)).await?;
        }
        Ok(())
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
            if is_barrier {
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
            SourceControl::Completed(epoch) => {
                let done = self.unacknowledged.remove(&epoch);
                self.unacknowledged.retain(|earlier, _| *earlier > epoch);
                for (id, position) in done.into_iter().flatten() {
                    let split = self.splits.iter_mut().find(|split| split.id == id);
                    if let Some(Reader::Open(reader)) = split.map(|split| &mut split.reader) {
                        reader.acknowledge(&position).await?;
                    }
                }
                Ok(false)
            }
        }
    }

    async fn barrier(&mut self, barrier: Barrier) -> Result<()> {
        failpoint::hit("barrier.inject");
        self.rows_since_barrier = 0;
        let positions = self.splits.iter().map(|split| (split.id.clone(), split.position.clone())).collect();
        self.unacknowledged.insert(barrier.epoch, positions);
        let part = TaskPart {
            operators: vec![self.task.operator.clone()],
            splits: self.splits.iter().map(|split| (split.id.0.clone(), split.state())).collect(),
            counters: BTreeMap::from([("source".to_owned(), self.task.counters.clone())]),
            ..TaskPart::default()
        };
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

    /// All splits have ended: every window closes, and barriers pass through until the last one.
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

/// Polls the splits in turn: decoded rows first, then the reader if not too much is being decoded already.
fn poll_splits(
    splits: &mut [SplitRun],
    candidates: &[usize],
    limit: usize,
    context: &mut std::task::Context<'_>,
) -> Poll<Step> {
    for index in candidates {
        let split = &mut splits[*index];
        if let Some((work, _)) = split.decoding.front_mut()
            && let Poll::Ready(prepared) = work.poll_unpin(context)
        {
            let position = split.decoding.pop_front().map(|(_, position)| position);
            let prepared =
                prepared.unwrap_or_else(|error| Err(Error::bug(format!("a decoding worker failed: {error}"))));
            return Poll::Ready(Step::Prepared(*index, prepared, position.unwrap_or_else(|| split.position.clone())));
        }
        if split.decoding.len() >= limit {
            continue;
        }
        if matches!(split.reader, Reader::Open(_))
            && let Reader::Open(mut reader) = std::mem::replace(&mut split.reader, Reader::Closed)
        {
            split.reader = Reader::Reading(Box::pin(async move {
                let polled = reader.next().await;
                (reader, polled)
            }));
        }
        if let Reader::Reading(reading) = &mut split.reader
            && let Poll::Ready((reader, polled)) = reading.poll_unpin(context)
        {
            return Poll::Ready(Step::Read(*index, reader, polled));
        }
    }
    Poll::Pending
}

fn driver_gone() -> Error {
    Error::bug("the job's driver is gone").with_id(super::channel::RECEIVER_GONE)
}
