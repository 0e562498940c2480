//! The way from the driver to one source: the barriers that it is to send, and the last checkpoint that is complete.
//!
//! Nothing is ever dropped that still counts, however long the source does not look: at most so many barriers belong to
//! checkpoints in flight, and those before them have been given up. Of complete checkpoints only the last one matters.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::stream::{Barrier, Epoch};

/// What the driver tells a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceControl {
    /// Put this barrier behind the rows sent so far.
    Inject(Barrier),
    /// The checkpoint of this epoch is complete.
    Completed(Epoch),
    /// Read no more, and end as if all had been read.
    End,
}

/// Both ends, for at most `most` checkpoints in flight.
pub fn source_control(most: usize) -> (ControlSender, ControlReceiver) {
    let shared = Arc::new(Shared { slot: Mutex::default(), changed: Notify::new() });
    (ControlSender { shared: Arc::clone(&shared), most: most.max(1) }, ControlReceiver { shared })
}

/// The driver's end.
#[derive(Debug)]
pub struct ControlSender {
    shared: Arc<Shared>,
    most: usize,
}

/// The source's end.
#[derive(Debug)]
pub struct ControlReceiver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Slot {
    barriers: VecDeque<Barrier>,
    completed: Option<Epoch>,
    /// Behind these barriers.
    has_end: bool,
    is_closed: bool,
}

impl Shared {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        // No call leaves it half changed.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ControlSender {
    /// Leaves a message; never waits.
    pub fn send(&self, control: SourceControl) {
        let mut slot = self.shared.slot();
        match control {
            SourceControl::Inject(barrier) => {
                while slot.barriers.len() >= self.most {
                    slot.barriers.pop_front();
                }
                slot.barriers.push_back(barrier);
            }
            SourceControl::Completed(epoch) => slot.completed = Some(epoch),
            SourceControl::End => slot.has_end = true,
        }
        drop(slot);
        self.shared.changed.notify_one();
    }
}

impl Drop for ControlSender {
    fn drop(&mut self) {
        self.shared.slot().is_closed = true;
        self.shared.changed.notify_one();
    }
}

impl ControlReceiver {
    /// What is there, if anything.
    pub fn try_recv(&mut self) -> Option<SourceControl> {
        let mut slot = self.shared.slot();
        let completed = slot.completed.take().map(SourceControl::Completed);
        let next = completed.or_else(|| slot.barriers.pop_front().map(SourceControl::Inject));
        next.or_else(|| std::mem::take(&mut slot.has_end).then_some(SourceControl::End))
    }

    /// What comes next; `None` when the driver is gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<SourceControl> {
        loop {
            if let Some(control) = self.try_recv() {
                return Some(control);
            }
            if self.shared.slot().is_closed {
                return None;
            }
            // Keeps a notice that came since the look.
            self.shared.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::BarrierKind;

    fn barrier(epoch: u64, kind: BarrierKind) -> Barrier {
        Barrier { epoch: Epoch(epoch), kind, covered: Epoch::ZERO }
    }

    /// A checkpoint that began before the end is taken before it; no barrier is sent between the end and the last one.
    #[tokio::test]
    async fn an_end_comes_behind_the_barriers_that_were_sent_before_it() {
        let (sender, mut receiver) = source_control(2);
        let first = SourceControl::Inject(barrier(1, BarrierKind::Checkpoint));
        let sent = [first, SourceControl::End];
        sent.into_iter().for_each(|control| sender.send(control));
        for control in sent {
            assert_eq!(receiver.recv().await, Some(control));
        }
        assert_eq!(receiver.try_recv(), None);
    }

    #[tokio::test]
    async fn a_last_barrier_reaches_a_source_that_has_not_looked_for_long() {
        let (sender, mut receiver) = source_control(2);
        for epoch in 1..=8 {
            sender.send(SourceControl::Inject(barrier(epoch, BarrierKind::Checkpoint)));
            sender.send(SourceControl::Completed(Epoch(epoch)));
        }
        let last = barrier(9, BarrierKind::Stop);
        sender.send(SourceControl::Inject(last));
        drop(sender);
        let mut received = Vec::new();
        while let Some(control) = receiver.recv().await {
            received.push(control);
        }
        let eighth = SourceControl::Inject(barrier(8, BarrierKind::Checkpoint));
        assert_eq!(received, [SourceControl::Completed(Epoch(8)), eighth, SourceControl::Inject(last)]);
    }
}
