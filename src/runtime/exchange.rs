//! Where rows change task: the senders of a task's outputs, and how rows find theirs.

use arrow::array::UInt32Array;

use super::channel::Sender;
use crate::error::Result;
use crate::plan::{Exchange, Output};
use crate::state::{key_groups, task_of};
use crate::stream::{Changes, ChangesBuilder, Message};

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
}

#[derive(Debug)]
struct Target {
    sender: Sender,
    /// Small pieces behind a hash exchange, collected into a batch worth sending.
    waiting: Option<ChangesBuilder>,
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
    ) -> Self {
        let targets: Vec<Target> = senders.into_iter().map(|sender| Target { sender, waiting: None }).collect();
        let turn = first % targets.len().max(1);
        Self { output, exchange, targets, max_parallelism, turn, batch_rows }
    }

    /// Sends rows to the tasks that they belong to; pieces too small to be worth a message wait for more.
    pub async fn rows(&mut self, rows: Changes) -> Result<()> {
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
            if let Some(rows) = target.waiting.as_mut().map(ChangesBuilder::finish).transpose()?.flatten() {
                target.sender.send(Message::Rows(rows)).await?;
            }
        }
        Ok(())
    }

    async fn collect(&mut self, task: usize, rows: Changes) -> Result<()> {
        let enough = self.batch_rows / 2;
        let target = &mut self.targets[task];
        let waiting = target.waiting.get_or_insert_with(|| ChangesBuilder::new(rows.schema()));
        if waiting.is_empty() && rows.len() >= enough {
            return target.sender.send(Message::Rows(rows)).await;
        }
        waiting.push(rows);
        if waiting.len() >= enough
            && let Some(rows) = waiting.finish()?
        {
            target.sender.send(Message::Rows(rows)).await?;
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
