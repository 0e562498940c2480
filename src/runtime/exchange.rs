//! Where rows change task: the senders of a task's outputs, and how rows find theirs.
//!
//! Small pieces wait until they are worth a message, which rows and bytes decide, whichever says so first: rows may be
//! a hundred bytes wide, or millions.

use arrow::array::UInt32Array;

use super::channel::Sender;
use crate::error::{Error, Result};
use crate::plan::{Exchange, Output};
use crate::state::{key_groups, task_of};
use crate::stream::{Changes, ChangesBuilder, Grant, MemoryHolder, Message};

/// Bytes that are worth a message, however few rows they are.
const WORTH_BYTES: usize = 1 << 20;
/// Bytes of a message at most (`BL-LIM-BATCH`): larger batches are cut, a larger row is an error.
const MOST_BYTES: usize = 16 << 20;

/// One edge of the plan as seen from one sending task.
#[derive(Debug)]
pub struct OutputEdge {
    pub output: Output,
    exchange: Exchange,
    targets: Vec<Target>,
    max_parallelism: u32,
    /// The target of the next whole batch when batches go in turn.
    turn: usize,
    batch_rows: usize,
    memory: MemoryHolder,
}

#[derive(Debug)]
struct Target {
    sender: Sender,
    /// Small pieces behind a hash exchange, collected into a batch worth sending.
    waiting: Option<ChangesBuilder>,
    /// The memory of what waits.
    memory: Grant,
}

impl OutputEdge {
    /// An edge to these senders, one per receiving task. `first` is where turns begin, so that tasks of one node do
    /// not all begin with the same receiver.
    pub fn new(
        output: Output,
        exchange: Exchange,
        senders: Vec<Sender>,
        max_parallelism: u32,
        batch_rows: usize,
        first: usize,
        memory: MemoryHolder,
    ) -> Self {
        let target = |sender| Target { sender, waiting: None, memory: memory.nothing() };
        let targets: Vec<Target> = senders.into_iter().map(target).collect();
        let turn = first % targets.len().max(1);
        Self { output, exchange, targets, max_parallelism, turn, batch_rows, memory }
    }

    /// Sends rows to the tasks that they belong to; pieces too small to be worth a message wait for more.
    pub async fn rows(&mut self, rows: Changes) -> Result<()> {
        for rows in rows.cut(MOST_BYTES) {
            if rows.bytes() > MOST_BYTES {
                return Err(row_too_large(rows.bytes()));
            }
            self.distribute(rows).await?;
        }
        Ok(())
    }

    async fn distribute(&mut self, rows: Changes) -> Result<()> {
        match &self.exchange {
            Exchange::Hash(columns) if self.targets.len() > 1 => {
                let columns: Vec<_> = columns.iter().map(|column| rows.column(*column).clone()).collect();
                let groups = key_groups(&columns, self.max_parallelism)?;
                for (task, indices) in self.by_task(&groups).into_iter().enumerate() {
                    if indices.is_empty() {
                        continue;
                    }
                    let piece = if indices.len() == rows.len() {
                        rows.clone()
                    } else {
                        rows.take(&UInt32Array::from(indices))?
                    };
                    self.collect(task, piece).await?;
                }
                Ok(())
            }
            Exchange::Broadcast => {
                for task in 0..self.targets.len() {
                    self.collect(task, rows.clone()).await?;
                }
                Ok(())
            }
            Exchange::Rebalance => {
                let turn = self.turn;
                self.turn = (turn + 1) % self.targets.len();
                self.targets[turn].sender.send(Message::Rows(rows)).await
            }
            Exchange::Hash(_) | Exchange::Forward | Exchange::Gather => self.collect(0, rows).await,
        }
    }

    /// Sends what waits, then a message that goes to every receiver.
    pub async fn control(&mut self, message: Message) -> Result<()> {
        self.flush().await?;
        for target in &self.targets {
            target.sender.send(message.clone()).await?;
        }
        Ok(())
    }

    /// Sends what waits.
    pub async fn flush(&mut self) -> Result<()> {
        for target in &mut self.targets {
            target.flush(&self.memory).await?;
        }
        Ok(())
    }

    async fn collect(&mut self, task: usize, rows: Changes) -> Result<()> {
        let enough = self.batch_rows / 2;
        let target = &mut self.targets[task];
        let waiting = target.waiting.get_or_insert_with(|| ChangesBuilder::new(rows.schema()));
        // Where memory is short, nothing waits.
        let may_wait = target.memory.try_grow(rows.bytes());
        waiting.push(rows);
        if waiting.len() >= enough || waiting.bytes() >= WORTH_BYTES || !may_wait {
            target.flush(&self.memory).await?;
        }
        Ok(())
    }

    /// Row numbers by receiving task, each in the order of the rows.
    fn by_task(&self, groups: &[u16]) -> Vec<Vec<u32>> {
        let tasks = self.targets.len();
        let mut rows: Vec<Vec<u32>> = (0..tasks).map(|_| Vec::with_capacity(groups.len() / tasks + 16)).collect();
        for (row, group) in groups.iter().enumerate() {
            rows[task_of(*group, tasks, self.max_parallelism)].push(row as u32);
        }
        rows
    }
}

impl Target {
    async fn flush(&mut self, memory: &MemoryHolder) -> Result<()> {
        let rows = self.waiting.as_mut().map(ChangesBuilder::finish).transpose()?.flatten();
        // The channel counts them from here on.
        self.memory = memory.nothing();
        match rows {
            Some(rows) => self.sender.send(Message::Rows(rows)).await,
            None => Ok(()),
        }
    }
}

fn row_too_large(bytes: usize) -> Error {
    Error::data(format!("a row of the result has {bytes} bytes; more than {MOST_BYTES} cannot be passed on"))
        .with_id("BL-LIM-BATCH")
        .with_help("collect less into one row: a shorter window, a filter, or fewer columns")
}

/// Everything that leaves a task.
#[derive(Debug, Default)]
pub struct Outputs {
    edges: Vec<OutputEdge>,
}

impl Outputs {
    pub fn new(edges: Vec<OutputEdge>) -> Self {
        Self { edges }
    }

    /// Sends rows on every edge of this output.
    pub async fn rows(&mut self, output: Output, rows: Changes) -> Result<()> {
        for edge in self.edges.iter_mut().filter(|edge| edge.output == output) {
            edge.rows(rows.clone()).await?;
        }
        Ok(())
    }

    /// Sends a control message on every edge, late edges included, behind the rows that wait.
    pub async fn control(&mut self, message: Message) -> Result<()> {
        for edge in &mut self.edges {
            edge.control(message.clone()).await?;
        }
        Ok(())
    }

    /// Sends rows that wait for more.
    pub async fn flush(&mut self) -> Result<()> {
        for edge in &mut self.edges {
            edge.flush().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use arrow::record_batch::RecordBatch;

    use super::super::channel::{Receiver, Yields, channel};
    use super::*;
    use crate::stream::{Barrier, BarrierKind, Epoch, EventTime, MemoryPool};

    /// An edge to this many tasks over channels that take everything.
    fn edge(exchange: Exchange, tasks: usize) -> (OutputEdge, Vec<Receiver>) {
        let memory = MemoryPool::new(None).holder("exchange");
        edge_with(exchange, tasks, &memory)
    }

    fn edge_with(exchange: Exchange, tasks: usize, memory: &MemoryHolder) -> (OutputEdge, Vec<Receiver>) {
        let channels = (0..tasks).map(|_| channel(usize::MAX, memory.clone(), Yields::default()));
        let (senders, receivers) = channels.unzip();
        (OutputEdge::new(Output::Main, exchange, senders, 128, 8192, 0, memory.clone()), receivers)
    }

    /// Rows numbered from `first`, each with a text of `width` bytes.
    fn rows(first: i64, count: usize, width: usize) -> Changes {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + count as i64));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|_| "x".repeat(width))));
        Changes::inserts(RecordBatch::try_from_iter([("k", keys), ("s", texts)]).unwrap())
    }

    /// The batches that have come.
    fn received(receiver: &mut Receiver) -> Vec<Changes> {
        let mut context = Context::from_waker(Waker::noop());
        let mut batches = Vec::new();
        while let Poll::Ready(Some(message)) = receiver.poll_receive(&mut context) {
            if let Message::Rows(rows) = message {
                batches.push(rows);
            }
        }
        batches
    }

    fn waiting(edge: &OutputEdge) -> usize {
        edge.targets.iter().filter_map(|target| target.waiting.as_ref()).map(ChangesBuilder::bytes).sum()
    }

    #[tokio::test]
    async fn wide_rows_do_not_wait_for_as_many_as_narrow_ones() {
        for exchange in [Exchange::Hash(vec![0]), Exchange::Gather, Exchange::Rebalance, Exchange::Broadcast] {
            let copies = if exchange == Exchange::Broadcast { 3 } else { 1 };
            let (mut edge, mut receivers) = edge(exchange, 3);
            let mut arrived = 0;
            for number in 0..200 {
                edge.rows(rows(number, 1, 100_000)).await.unwrap();
                assert!(waiting(&edge) < 3 * WORTH_BYTES, "{} bytes wait", waiting(&edge));
                for batch in receivers.iter_mut().flat_map(received) {
                    assert!(batch.bytes() < WORTH_BYTES + 200_000);
                    arrived += batch.len();
                }
            }
            edge.flush().await.unwrap();
            arrived += receivers.iter_mut().flat_map(received).map(|batch| batch.len()).sum::<usize>();
            assert_eq!(arrived, copies * 200);
        }
    }

    #[tokio::test]
    async fn narrow_rows_wait_for_one_another() {
        let (mut edge, mut receivers) = edge(Exchange::Hash(vec![0]), 2);
        for number in 0..10 {
            edge.rows(rows(number * 500, 500, 3)).await.unwrap();
        }
        let before = receivers.iter_mut().flat_map(received).count();
        edge.flush().await.unwrap();
        assert_eq!((before, receivers.iter_mut().flat_map(received).count()), (0, 2));
    }

    #[tokio::test]
    async fn where_memory_is_short_nothing_waits() {
        let pool = MemoryPool::new(Some(1 << 20));
        let _state = pool.holder("state").reserve(800 << 10).unwrap();
        let (sender, mut receiver) = channel(usize::MAX, MemoryPool::new(None).holder("channel"), Yields::default());
        let holder = pool.holder("exchange");
        let mut edge = OutputEdge::new(Output::Main, Exchange::Gather, vec![sender], 128, 8192, 0, holder);
        for number in 0..3 {
            edge.rows(rows(number * 10, 10, 3)).await.unwrap();
        }
        // One piece may always wait; with the second there is more than that.
        assert_eq!(received(&mut receiver).iter().map(Changes::len).collect::<Vec<_>>(), [20]);
        assert!(waiting(&edge) > 0, "the third is the first piece again");
    }

    #[tokio::test]
    async fn a_broadcast_reaches_every_task_in_order_and_before_what_follows() {
        let (mut edge, mut receivers) = edge(Exchange::Broadcast, 3);
        edge.rows(rows(0, 10, 3)).await.unwrap();
        edge.rows(rows(10, 5, 3)).await.unwrap();
        assert_eq!(receivers.iter_mut().flat_map(received).count(), 0, "small pieces wait for one another");
        edge.control(Message::Watermark(EventTime(7))).await.unwrap();
        edge.rows(rows(15, 1, 3)).await.unwrap();
        let barrier = Barrier { epoch: Epoch(1), kind: BarrierKind::Checkpoint, covered: Epoch::ZERO };
        edge.control(Message::Barrier(barrier)).await.unwrap();
        for receiver in &mut receivers {
            let mut context = Context::from_waker(Waker::noop());
            let mut seen = Vec::new();
            while let Poll::Ready(Some(message)) = receiver.poll_receive(&mut context) {
                seen.push(match message {
                    Message::Rows(rows) => {
                        format!("{:?}", rows.column(0).as_primitive::<Int64Type>().values().to_vec())
                    }
                    Message::Watermark(time) => format!("watermark {}", time.0),
                    Message::Barrier(barrier) => format!("barrier {}", barrier.epoch.0),
                    other => panic!("{other:?}"),
                });
            }
            let first = format!("{:?}", (0..15).collect::<Vec<_>>());
            assert_eq!(seen, [first.as_str(), "watermark 7", "[15]", "barrier 1"]);
        }
    }

    #[tokio::test]
    async fn a_large_batch_is_cut_and_a_larger_row_is_an_error() {
        for exchange in [Exchange::Hash(vec![0]), Exchange::Forward] {
            let (mut edge, mut receivers) = edge(exchange, 2);
            edge.rows(rows(0, 50, 1 << 20)).await.unwrap();
            edge.flush().await.unwrap();
            let batches: Vec<Changes> = receivers.iter_mut().flat_map(received).collect();
            assert!(batches.iter().all(|batch| batch.bytes() <= MOST_BYTES));
            assert_eq!(batches.iter().map(Changes::len).sum::<usize>(), 50);
            let error = edge.rows(rows(0, 2, MOST_BYTES + 1)).await.unwrap_err();
            assert_eq!(error.id(), Some("BL-LIM-BATCH"));
        }
    }
}
