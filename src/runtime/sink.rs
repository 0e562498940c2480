//! The one loop of all sink tasks: check, write, prepare at the barrier. Committing is the driver's.
//!
//! At a barrier the writer seals its rows; they become durable while the loop goes on with those of the next epoch.
//! The acknowledgement goes out when they are, epoch after epoch.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};

use super::events::Events;
use super::inputs::{InputEvent, Inputs};
use super::status::TaskStatus;
use crate::checkpoint::{Event, OperatorPart, TaskId, TaskPart};
use crate::connectors::SinkWriter;
use crate::error::{Blame, Result};
use crate::failpoint;
use crate::plan::SinkNode;
use crate::stream::{Barrier, Changes, Counter, Counters};

/// Epochs that may be on their way to the disk at once. Beyond that the task waits for the oldest.
const MOST_PREPARING: usize = 4;

/// Epochs whose rows are not durable yet, in order; each ends with its acknowledgement.
pub type Preparing = FuturesOrdered<BoxFuture<'static, Result<Event>>>;

/// One writer of a sink.
pub struct SinkTask {
    pub id: TaskId,
    /// What the checkpoint says of it.
    pub operator: OperatorPart,
    /// The key groups that its watermark is for: all.
    pub groups: (u16, u16),
    pub node: SinkNode,
    pub inputs: Inputs,
    pub writer: Box<dyn SinkWriter>,
    pub counters: Counters,
    pub events: Events,
    pub preparing: Preparing,
    pub status: Arc<TaskStatus>,
}

impl SinkTask {
    /// Runs until the last barrier, or until the inputs are gone.
    pub async fn run(self) -> Result<()> {
        let table = self.node.table.clone();
        self.work().await.map_err(|error| match error.blame() {
            Blame::World { .. } => error.context(format_args!("table `{table}`")),
            _ => error,
        })
    }

    async fn work(mut self) -> Result<()> {
        loop {
            while let Some(Some(prepared)) = self.preparing.next().now_or_never() {
                self.events.send(prepared?).await;
            }
            let event = match self.inputs.try_next() {
                Some(event) => event?,
                None => {
                    self.writer.flush().await?;
                    tokio::select! {
                        biased;
                        Some(prepared) = self.preparing.next(), if !self.preparing.is_empty() => {
                            self.events.send(prepared?).await;
                            continue;
                        }
                        event = self.inputs.next() => event?,
                    }
                }
            };
            match event {
                InputEvent::Rows { rows, .. } => self.write(rows).await?,
                InputEvent::Barrier(barrier) => {
                    self.barrier(barrier).await?;
                    if barrier.kind.is_last() {
                        return Ok(());
                    }
                }
                InputEvent::Watermark(time) => self.status.watermark(time),
                InputEvent::Ended { .. } | InputEvent::Idle(_) => {}
                InputEvent::Closed => return Ok(()),
            }
        }
    }

    async fn write(&mut self, rows: Changes) -> Result<()> {
        self.counters.add(Counter::NumRecordsIn, rows.len() as u64);
        let (rows, dropped) = self.node.without_nulls(rows)?;
        self.counters.add(Counter::NumNullsDropped, dropped as u64);
        self.counters.add(Counter::NumRecordsOut, rows.len() as u64);
        if !self.node.is_late {
            self.status.rows_out(rows.len());
        }
        self.writer.write(&rows).await
    }

    /// Seals the rows before the barrier. Behind the last one nothing is left to do but to wait.
    async fn barrier(&mut self, barrier: Barrier) -> Result<()> {
        let most = if barrier.kind.is_last() { 0 } else { MOST_PREPARING };
        let prepared = self.writer.prepare(barrier.epoch);
        let operator = OperatorPart {
            watermark: self.inputs.watermark().millis(),
            counters: self.counters.clone(),
            ..self.operator.clone()
        };
        let part = TaskPart { operators: vec![operator], groups: Some(self.groups), ..TaskPart::default() };
        let (epoch, task) = (barrier.epoch, self.id.clone());
        self.preparing.push_back(Box::pin(async move {
            let committable = prepared.await?;
            failpoint::hit("sink.prepared");
            Ok(Event::Acknowledged { epoch, task, part: Box::new(TaskPart { committable, ..part }) })
        }));
        while self.preparing.len() > most
            && let Some(prepared) = self.preparing.next().await
        {
            self.events.send(prepared?).await;
        }
        Ok(())
    }
}
