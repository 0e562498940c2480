//! The channel between two tasks: bounded in bytes of rows, in order, closed when either side goes.
//!
//! Rows take credit, and memory of the job's account, until they are received; barriers and watermarks take none, and the
//! receiver knows of a barrier before its turn. Under a simulator the sender yields at seeded moments, which is what varies
//! the order in which tasks run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::{Error, Result};
use crate::stream::{Grant, MemoryHolder, Message, SPLIT_MIX_STEP, split_mix};

/// Messages that may wait in a channel, whatever their size.
const MESSAGES: usize = 256;

/// The sending half.
#[derive(Debug, Clone)]
pub struct Sender {
    inner: mpsc::Sender<Envelope>,
    credit: Arc<Semaphore>,
    capacity_bytes: usize,
    memory: MemoryHolder,
    barriers: Arc<AtomicUsize>,
    yields: Yields,
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver {
    inner: mpsc::Receiver<Envelope>,
    /// Barriers on their way.
    barriers: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Envelope {
    message: Message,
    /// Given back when the message is received.
    _credit: Option<(OwnedSemaphorePermit, Grant)>,
}

/// A channel that holds rows of about `capacity_bytes` at most; a single larger batch passes alone.
pub fn channel(capacity_bytes: usize, memory: MemoryHolder, yields: Yields) -> (Sender, Receiver) {
    let capacity_bytes = capacity_bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let (sender, receiver) = mpsc::channel(MESSAGES);
    let credit = Arc::new(Semaphore::new(capacity_bytes));
    let barriers = Arc::<AtomicUsize>::default();
    let receiver = Receiver { inner: receiver, barriers: Arc::clone(&barriers) };
    (Sender { inner: sender, credit, capacity_bytes, memory, barriers, yields }, receiver)
}

impl Sender {
    /// Sends, waiting while the channel is full. Fails when the receiver is gone.
    pub async fn send(&self, message: Message) -> Result<()> {
        self.yields.now_and_then().await;
        let credit = match &message {
            Message::Rows(rows) => {
                let bytes = rows.bytes();
                let permits = u32::try_from(bytes.clamp(1, self.capacity_bytes)).unwrap_or(u32::MAX);
                let credit = Arc::clone(&self.credit).acquire_many_owned(permits).await;
                Some((credit.map_err(|_| receiver_gone())?, self.memory.reserve_when_free(bytes).await))
            }
            Message::Barrier(_) => {
                self.barriers.fetch_add(1, Ordering::Relaxed);
                None
            }
            _ => None,
        };
        self.inner.send(Envelope { message, _credit: credit }).await.map_err(|_| receiver_gone())
    }
}

impl Receiver {
    /// The next message, `None` when the sender is gone and everything has been received.
    pub fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let received = self.inner.poll_recv(context).map(|envelope| envelope.map(|envelope| envelope.message));
        if let Poll::Ready(Some(Message::Barrier(_))) = received {
            self.barriers.fetch_sub(1, Ordering::Relaxed);
        }
        received
    }

    /// Whether a barrier stands in line.
    pub fn has_barrier(&self) -> bool {
        self.barriers.load(Ordering::Relaxed) > 0
    }
}

/// A task whose receiver stopped has reported why; the senders' errors only follow from that.
fn receiver_gone() -> Error {
    Error::bug("a task ended before its inputs did").with_id(RECEIVER_GONE)
}

/// The id of the error that a sender meets when its receiver has failed: never the cause, so never reported first.
pub const RECEIVER_GONE: &str = "BL-RECEIVER-GONE";

/// Seeded yields; none outside a simulation.
#[derive(Debug, Clone, Default)]
pub struct Yields {
    state: Option<Arc<AtomicU64>>,
}

impl Yields {
    /// Yields in an order that follows from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { state: Some(Arc::new(AtomicU64::new(seed.wrapping_sub(SPLIT_MIX_STEP)))) }
    }

    /// Lets other tasks run, zero to three times.
    pub async fn now_and_then(&self) {
        let Some(state) = &self.state else { return };
        // One addition a step, so clones may share the state without a lock.
        let bits = split_mix(state.fetch_add(SPLIT_MIX_STEP, Ordering::Relaxed));
        for _ in 0..(bits >> 62) {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Barrier, BarrierKind, Changes, Epoch, EventTime, MemoryPool};
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::record_batch::RecordBatch;

    fn rows(count: usize) -> Message {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![7; count]));
        Message::Rows(Changes::inserts(RecordBatch::try_from_iter([("n", column)]).unwrap()))
    }

    fn open(capacity_bytes: usize) -> (Sender, Receiver) {
        channel(capacity_bytes, MemoryPool::new(None).holder("channel"), Yields::default())
    }

    async fn receive(receiver: &mut Receiver) -> Option<Message> {
        std::future::poll_fn(|context| receiver.poll_receive(context)).await
    }

    #[tokio::test]
    async fn rows_wait_for_credit_and_watermarks_do_not() {
        let (sender, mut receiver) = open(100);
        sender.send(rows(10)).await.unwrap();
        let second = sender.send(rows(10));
        tokio::pin!(second);
        assert!(futures::poll!(second.as_mut()).is_pending());
        sender.send(Message::Watermark(EventTime(1))).await.unwrap();
        assert!(matches!(receive(&mut receiver).await, Some(Message::Rows(_))));
        second.await.unwrap();
    }

    #[tokio::test]
    async fn a_barrier_is_known_of_before_its_turn() {
        let (sender, mut receiver) = open(1000);
        let barrier = Barrier { epoch: Epoch(1), kind: BarrierKind::Checkpoint, covered: Epoch::ZERO };
        sender.send(rows(1)).await.unwrap();
        assert!(!receiver.has_barrier());
        sender.send(Message::Barrier(barrier)).await.unwrap();
        assert!(receiver.has_barrier());
        assert!(matches!(receive(&mut receiver).await, Some(Message::Rows(_))));
        assert!(receiver.has_barrier());
        assert!(matches!(receive(&mut receiver).await, Some(Message::Barrier(_))));
        assert!(!receiver.has_barrier());
    }

    #[tokio::test]
    async fn a_batch_larger_than_the_channel_passes_alone() {
        let (sender, mut receiver) = open(8);
        sender.send(rows(1000)).await.unwrap();
        assert!(receive(&mut receiver).await.is_some());
        sender.send(rows(1000)).await.unwrap();
    }

    #[tokio::test]
    async fn rows_wait_for_memory_but_for_one_batch() {
        let pool = MemoryPool::new(Some(1000));
        let (sender, mut receiver) = channel(1 << 20, pool.holder("channel"), Yields::default());
        let state = pool.holder("state").reserve(900).unwrap();
        sender.send(rows(10)).await.unwrap();
        let second = sender.send(rows(10));
        tokio::pin!(second);
        assert!(futures::poll!(second.as_mut()).is_pending());
        assert_eq!(pool.used(), 980);
        // Either of both lets it pass: that the first is received, or that memory comes back.
        assert!(receive(&mut receiver).await.is_some());
        second.await.unwrap();
        let third = sender.send(rows(10));
        tokio::pin!(third);
        assert!(futures::poll!(third.as_mut()).is_pending());
        drop(state);
        third.await.unwrap();
        while receiver.poll_receive(&mut Context::from_waker(std::task::Waker::noop())).is_ready() {}
        assert_eq!(pool.used(), 0);
    }

    #[tokio::test]
    async fn a_sender_learns_that_its_receiver_is_gone() {
        let (sender, receiver) = open(8);
        drop(receiver);
        assert_eq!(sender.send(rows(1)).await.unwrap_err().id(), Some(RECEIVER_GONE));
    }
}
