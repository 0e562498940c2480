//! The splits of a source as its loop holds them: how far each has been read, decoded and sent, and what it keeps in
//! memory meanwhile.
//!
//! ```text
//!   position           read_position
//!      │ decoding decoding │ reader ─▶          what lies between the two can be read again, and is let go of
//!   ───┴───────────────────┴──────────          when a split rests and others need the memory
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use super::source_time::{SplitActivity, SplitTime};
use crate::connectors::{Polled, Position, SplitId, SplitReader};
use crate::error::{Error, Result};
use crate::plan::Prepared;
use crate::state::SplitState;
use crate::stream::{EventTime, Grant, MemoryHolder};

/// What a reader counts as: a block that is cut and one that is on its way.
const READER_BYTES: usize = 2 << 20;

/// One split.
pub(super) struct SplitRun {
    pub id: SplitId,
    /// Behind the last row sent.
    pub position: Position,
    /// Behind the last chunk read.
    pub read_position: Position,
    pub watermark: EventTime,
    pub ended: bool,
    pub idle: bool,
    pub reader: Reader,
    /// Being decoded, in order.
    pub decoding: VecDeque<Decoding>,
    pub last_turn: u64,
    /// When its last rows came, by the source's own time.
    pub last_rows: Duration,
    /// What others see of it.
    pub seen: Arc<SplitTime>,
}

pub(super) enum Reader {
    Closed,
    Open(Box<dyn SplitReader>, Grant),
    Reading(BoxFuture<'static, (Box<dyn SplitReader>, Result<Polled>)>, Grant),
    /// All of the split has been read, though perhaps not sent.
    Exhausted,
}

/// Rows with a worker, and the position behind them.
pub(super) struct Decoding {
    pub work: JoinHandle<Result<Prepared>>,
    pub position: Position,
    pub memory: Grant,
}

/// What a split had next.
pub(super) enum Step {
    Read(usize, Polled),
    Prepared(usize, Prepared, Position),
}

/// Which splits are polled, and how far they are read ahead.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// By index; what is decoded of the first `sending` of them is sent, the others are only read ahead.
    pub splits: Vec<usize>,
    pub sending: usize,
    /// Chunks of one split that are decoded at once.
    pub ahead: usize,
    /// Memory is short: only a split of which nothing is here is read on.
    pub is_short: bool,
}

impl SplitRun {
    pub fn new(id: SplitId, start: Position, now: Duration) -> Self {
        Self {
            seen: Arc::new(SplitTime::new(&id.0)),
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

    pub fn restored(id: String, state: SplitState, now: Duration) -> Self {
        let mut split = Self::new(SplitId(id), Position(state.position), now);
        split.watermark = state.watermark.map_or(EventTime::NONE, EventTime);
        split.ended = state.ended;
        split.idle = state.idle;
        split
    }

    pub fn state(&self) -> SplitState {
        SplitState {
            position: self.position.0.clone(),
            watermark: self.watermark.is_some().then_some(self.watermark.0),
            ended: self.ended,
            idle: self.idle,
        }
    }

    /// Lets others see where it stands.
    pub fn show(&self) {
        let activity = match (self.ended, self.idle) {
            (true, _) => SplitActivity::Ended,
            (_, true) => SplitActivity::Idle,
            _ => SplitActivity::Active,
        };
        self.seen.set(self.watermark, activity);
    }

    /// Whether it is waited for: no row of it is here already.
    pub fn may_fall_idle(&self) -> bool {
        !self.idle && self.decoding.is_empty()
    }

    /// Whether all of it has been sent.
    pub fn is_sent(&self) -> bool {
        matches!(self.reader, Reader::Exhausted) && self.decoding.is_empty()
    }

    pub fn open(&mut self, reader: Box<dyn SplitReader>, memory: &MemoryHolder) {
        self.reader = Reader::Open(reader, memory.hold(READER_BYTES));
    }

    fn reader_bytes(&self) -> u64 {
        match &self.reader {
            Reader::Open(_, memory) | Reader::Reading(_, memory) => memory.bytes(),
            Reader::Closed | Reader::Exhausted => 0,
        }
    }

    fn decoding_bytes(&self) -> u64 {
        self.decoding.iter().map(|decoding| decoding.memory.bytes()).sum()
    }

    /// Closes its reader; it is opened again behind what has been read.
    fn close(&mut self) {
        if matches!(self.reader, Reader::Open(..) | Reader::Reading(..)) {
            self.reader = Reader::Closed;
        }
    }

    /// Forgets what has been read ahead of what was sent.
    fn forget_ahead(&mut self) {
        if !self.decoding.is_empty() {
            self.decoding.clear();
            self.read_position = self.position.clone();
            self.reader = Reader::Closed;
        }
    }

    /// Polls for what is to be sent first, then reads on.
    fn poll(&mut self, index: usize, may_send: bool, turn: &Turn, context: &mut Context<'_>) -> Poll<Result<Step>> {
        if may_send
            && let Some(first) = self.decoding.front_mut()
            && let Poll::Ready(prepared) = first.work.poll_unpin(context)
            && let Some(Decoding { position, .. }) = self.decoding.pop_front()
        {
            let prepared =
                prepared.unwrap_or_else(|error| Err(Error::bug(format!("a decoding worker failed: {error}"))));
            return Poll::Ready(prepared.map(|prepared| Step::Prepared(index, prepared, position)));
        }
        if self.decoding.len() >= if turn.is_short { 1 } else { turn.ahead } {
            return Poll::Pending;
        }
        self.reader = match std::mem::replace(&mut self.reader, Reader::Closed) {
            Reader::Open(mut reader, memory) => {
                let reading = async move {
                    let polled = reader.next().await;
                    (reader, polled)
                };
                Reader::Reading(Box::pin(reading), memory)
            }
            other => other,
        };
        let Reader::Reading(reading, _) = &mut self.reader else { return Poll::Pending };
        let Poll::Ready((reader, polled)) = reading.poll_unpin(context) else { return Poll::Pending };
        if let Reader::Reading(_, memory) = std::mem::replace(&mut self.reader, Reader::Closed) {
            self.reader = Reader::Open(reader, memory);
        }
        Poll::Ready(polled.map(|polled| Step::Read(index, polled)))
    }
}

/// Polls the splits of a turn one after another.
pub(super) fn poll_splits(splits: &mut [SplitRun], turn: &Turn, context: &mut Context<'_>) -> Poll<Result<Step>> {
    for (place, index) in turn.splits.iter().enumerate() {
        let step = splits[*index].poll(*index, place < turn.sending, turn, context);
        if step.is_ready() {
            return step;
        }
    }
    Poll::Pending
}

/// Lets go of what splits that rest hold beyond `budget`, beginning with the one that has rested longest: readers first,
/// which cost only their opening, then rows, which have to be decoded again.
pub(super) fn let_go(splits: &mut [SplitRun], busy: &[usize], budget: u64) {
    let mut held: u64 = splits.iter().map(|split| split.reader_bytes() + split.decoding_bytes()).sum();
    if held <= budget {
        return;
    }
    let busy: BTreeSet<usize> = busy.iter().copied().collect();
    let holds = |split: &SplitRun| split.reader_bytes() + split.decoding_bytes() > 0;
    let mut rested: Vec<usize> =
        (0..splits.len()).filter(|index| !busy.contains(index) && holds(&splits[*index])).collect();
    rested.sort_by_key(|index| splits[*index].last_turn);
    for forget in [SplitRun::close, SplitRun::forget_ahead] {
        for index in &rested {
            if held <= budget {
                return;
            }
            let split = &mut splits[*index];
            held -= split.reader_bytes() + split.decoding_bytes();
            forget(split);
            held += split.reader_bytes() + split.decoding_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::stream::MemoryPool;

    #[tokio::test]
    async fn who_has_rested_longest_lets_go_first_and_goes_back_to_what_was_sent() {
        let pool = MemoryPool::new(None);
        let memory = pool.holder("source");
        let mut splits: Vec<SplitRun> = (0..3)
            .map(|turn| {
                let mut split = SplitRun::new(SplitId(turn.to_string()), Position(1.into()), Duration::ZERO);
                split.read_position = Position(5.into());
                let work = tokio::spawn(pending());
                split.decoding.push_back(Decoding { work, position: Position(5.into()), memory: memory.hold(100) });
                split.reader = Reader::Exhausted;
                split.last_turn = turn;
                split
            })
            .collect();
        let kept = |splits: &[SplitRun]| splits.iter().map(|split| split.decoding.len()).collect::<Vec<_>>();
        let_go(&mut splits, &[0], 300);
        assert_eq!(kept(&splits), [1, 1, 1]);
        let_go(&mut splits, &[0], 200);
        assert_eq!(kept(&splits), [1, 0, 1]);
        assert_eq!((splits[1].read_position.clone(), pool.used()), (Position(1.into()), 200));
        // It is opened again and read from there, though its reader had come to the end.
        assert!(matches!(splits[1].reader, Reader::Closed));
        let_go(&mut splits, &[0], 0);
        assert_eq!(kept(&splits), [1, 0, 0], "the one that is read keeps its rows");
    }
}
