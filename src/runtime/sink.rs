//! The one loop of all sink tasks: check, write, prepare at the barrier. Committing is the driver's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::events::Events;
use super::inputs::{InputEvent, Inputs};
use super::status::TaskStatus;
use crate::checkpoint::{Event, OperatorPart, TaskId, TaskPart};
use crate::connectors::SinkWriter;
use crate::error::{Blame, Result};
use crate::failpoint;
use crate::plan::SinkNode;
use crate::stream::{Barrier, Changes, Counter, Counters};

/// One writer of a sink.
pub struct SinkTask {
    pub id: TaskId,
    /// What the checkpoint says of it.
    pub operator: OperatorPart,
    pub node: SinkNode,
    pub inputs: Inputs,
    pub writer: Box<dyn SinkWriter>,
    pub counters: Counters,
    pub events: Events,
    pub status: Arc<TaskStatus>,
    /// Whether it writes a late table, whose rows the footer counts apart.
    pub is_late: bool,
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
            let event = match self.inputs.try_next() {
                Some(event) => event?,
                None => {
                    self.writer.flush().await?;
                    self.inputs.next().await?
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
        if !self.is_late {
            self.status.rows_out(rows.len());
        }
        self.writer.write(&rows).await
    }

    async fn barrier(&mut self, barrier: Barrier) -> Result<()> {
        let epoch = barrier.epoch;
        let committable = self.writer.prepare(epoch).await?;
        failpoint::hit("sink.prepared");
        let part = TaskPart {
            operators: vec![self.operator.clone()],
            watermark: Some(self.inputs.watermark().0),
            counters: BTreeMap::from([("sink".to_owned(), self.counters.clone())]),
            committable,
            ..TaskPart::default()
        };
        let event = Event::Acknowledged { epoch, task: self.id.clone(), part: Box::new(part) };
        self.events.send(event).await;
        Ok(())
    }
}
