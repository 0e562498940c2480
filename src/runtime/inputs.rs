//! The inputs of a task: several channels merged into one sequence of events, with alignment and the minimum watermark.
//!
//! An idle sender does not hold the watermark back. All tasks of a chain hear of idleness from the same sources, though
//! not at the same moment: one that says it is idle may already have rows of the reawakened source before it. So it is
//! left out only once its whole node is idle; otherwise the others could close a window over rows that are on time.
//!
//! ```text
//!   channel 0 ─ r r r │5 r r          rows before a barrier are taken from every channel; a channel whose barrier
//!   channel 1 ─ r r r r r r │5 r      has come is not read until the barrier has come from all (exactly once)
//! ```

use std::task::{Context, Poll};

use super::channel::Receiver;
use crate::checkpoint::{Aligned, Aligner};
use crate::error::Result;
use crate::stream::{Barrier, Changes, EventTime, Message};

/// What a task has to deal with next.
#[derive(Debug)]
pub enum InputEvent {
    Rows {
        port: usize,
        rows: Changes,
    },
    /// The minimum over the active inputs has moved to this time.
    Watermark(EventTime),
    /// Every input of this port is complete.
    Ended {
        port: usize,
    },
    /// The barrier has come on all inputs.
    Barrier(Barrier),
    /// All inputs are idle now, or one is active again.
    Idle(bool),
    /// All channels are gone.
    Closed,
}

/// Where an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The port that it feeds.
    pub port: usize,
    /// Senders that become idle and active together: the tasks of one chain, or one source.
    pub group: usize,
}

/// See the module's description.
#[derive(Debug)]
pub struct Inputs {
    inputs: Vec<Input>,
    aligner: Aligner,
    /// By group: how many of its inputs are not idle.
    active: Vec<usize>,
    /// The minimum last reported.
    watermark: EventTime,
    idle: bool,
    /// Where the next look begins, so that no input starves.
    next: usize,
}

#[derive(Debug)]
struct Input {
    receiver: Receiver,
    port: usize,
    group: usize,
    watermark: EventTime,
    idle: bool,
    ended: bool,
    blocked: bool,
    closed: bool,
}

impl Inputs {
    /// Merges channels as `aligner` says; `restored` is the watermark that the task had met.
    pub fn new(receivers: Vec<(Origin, Receiver)>, aligner: Aligner, restored: EventTime) -> Self {
        let inputs: Vec<Input> = receivers
            .into_iter()
            .map(|(Origin { port, group }, receiver)| Input {
                receiver,
                port,
                group,
                watermark: restored,
                idle: false,
                ended: false,
                blocked: false,
                closed: false,
            })
            .collect();
        let mut active = vec![0; inputs.iter().map(|input| input.group + 1).max().unwrap_or_default()];
        inputs.iter().for_each(|input| active[input.group] += 1);
        Self { inputs, aligner, active, watermark: restored, idle: false, next: 0 }
    }

    /// The watermark last reported.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// Whether a barrier is on its way through the channels, or waits here for the other inputs.
    pub fn has_barrier(&self) -> bool {
        self.inputs.iter().any(|input| input.blocked || input.receiver.has_barrier())
    }

    /// What comes next; waits for it. Cancel-safe.
    pub async fn next(&mut self) -> Result<InputEvent> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// What has come already, if anything.
    pub fn try_next(&mut self) -> Option<Result<InputEvent>> {
        match self.poll_next(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<InputEvent>> {
        'again: loop {
            let count = self.inputs.len();
            for step in 0..count {
                let index = (self.next + step) % count;
                let input = &mut self.inputs[index];
                if input.blocked || input.closed {
                    continue;
                }
                let Poll::Ready(message) = input.receiver.poll_receive(context) else { continue };
                self.next = (index + 1) % count;
                match self.take(index, message) {
                    Ok(Some(event)) => return Poll::Ready(Ok(event)),
                    Ok(None) => continue 'again,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if self.inputs.iter().all(|input| input.closed) {
                return Poll::Ready(Ok(InputEvent::Closed));
            }
            return Poll::Pending;
        }
    }

    /// Takes one message of input `index`; `None` if it changes nothing that the task has to know.
    fn take(&mut self, index: usize, message: Option<Message>) -> Result<Option<InputEvent>> {
        let input = &mut self.inputs[index];
        match message {
            Some(Message::Rows(rows)) => Ok(Some(InputEvent::Rows { port: input.port, rows })),
            Some(Message::Watermark(time)) => {
                input.watermark = input.watermark.max(time);
                Ok(self.advance())
            }
            Some(Message::Idle) => {
                if !std::mem::replace(&mut input.idle, true) {
                    self.active[input.group] -= 1;
                }
                Ok(self.advance())
            }
            Some(Message::Active) => {
                if std::mem::replace(&mut input.idle, false) {
                    self.active[input.group] += 1;
                }
                Ok(self.advance())
            }
            Some(Message::End) => {
                input.ended = true;
                let port = input.port;
                let complete = self.inputs.iter().all(|input| input.port != port || input.ended);
                Ok(complete.then_some(InputEvent::Ended { port }))
            }
            Some(Message::Barrier(barrier)) => {
                let aligned = self.aligner.on_barrier(index, barrier)?;
                Ok(self.aligned(aligned))
            }
            None => {
                input.closed = true;
                let aligned = self.aligner.close(index)?;
                Ok(self.aligned(aligned))
            }
        }
    }

    fn aligned(&mut self, aligned: Aligned) -> Option<InputEvent> {
        for (index, input) in self.inputs.iter_mut().enumerate() {
            input.blocked = self.aligner.is_blocked(index);
        }
        match aligned {
            Aligned::Wait | Aligned::Superseded(_) => None,
            Aligned::Complete(barrier) => Some(InputEvent::Barrier(barrier)),
        }
    }

    /// The event that follows from a changed minimum or a changed idleness, if any.
    fn advance(&mut self) -> Option<InputEvent> {
        let active = self.inputs.iter().filter(|input| self.active[input.group] > 0);
        match active.map(|input| input.watermark).min() {
            None => (!std::mem::replace(&mut self.idle, true)).then_some(InputEvent::Idle(true)),
            Some(_) if self.idle => {
                self.idle = false;
                Some(InputEvent::Idle(false))
            }
            Some(minimum) if minimum > self.watermark => {
                self.watermark = minimum;
                Some(InputEvent::Watermark(minimum))
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};

    use super::super::channel::{Sender, Yields, channel};
    use super::*;
    use crate::checkpoint::CheckpointMode;
    use crate::stream::{BarrierKind, Epoch, MemoryPool};

    /// Inputs of one port with a sender for each group that is named.
    fn inputs(groups: &[usize]) -> (Vec<Sender>, Inputs) {
        inputs_of(&groups.iter().map(|group| (0, *group)).collect::<Vec<_>>())
    }

    /// Inputs with a sender for each port and group.
    fn inputs_of(origins: &[(usize, usize)]) -> (Vec<Sender>, Inputs) {
        let (senders, receivers): (Vec<Sender>, Vec<_>) = origins
            .iter()
            .map(|(port, group)| {
                let (sender, receiver) = channel(1 << 10, MemoryPool::new(None).holder("channel"), Yields::default());
                (sender, (Origin { port: *port, group: *group }, receiver))
            })
            .unzip();
        let aligner = Aligner::new(origins.len(), CheckpointMode::ExactlyOnce, 1);
        (senders, Inputs::new(receivers, aligner, EventTime::NONE))
    }

    async fn after(sender: &Sender, message: Message, inputs: &mut Inputs) -> String {
        sender.send(message).await.unwrap();
        match inputs.try_next() {
            None => "nothing".to_owned(),
            Some(Ok(InputEvent::Watermark(time))) => format!("watermark {}", time.0),
            Some(Ok(InputEvent::Idle(idle))) => format!("idle {idle}"),
            Some(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_task_that_lags_behind_its_reawakened_siblings_is_waited_for() {
        let (senders, mut inputs) = inputs(&[0, 0]);
        for sender in &senders {
            after(sender, Message::Watermark(EventTime(10)), &mut inputs).await;
        }
        assert_eq!(after(&senders[0], Message::Idle, &mut inputs).await, "nothing");
        assert_eq!(after(&senders[1], Message::Idle, &mut inputs).await, "idle true");
        assert_eq!(after(&senders[1], Message::Active, &mut inputs).await, "idle false");
        // The first task has not come to its rows of the source that is active again.
        assert_eq!(after(&senders[1], Message::Watermark(EventTime(20)), &mut inputs).await, "nothing");
        assert_eq!(after(&senders[0], Message::Active, &mut inputs).await, "nothing");
        assert_eq!(after(&senders[0], Message::Watermark(EventTime(15)), &mut inputs).await, "watermark 15");
    }

    /// What has come, as words, until there is nothing more.
    fn events(inputs: &mut Inputs) -> Vec<String> {
        let name = |event| match event {
            InputEvent::Rows { port, rows } => format!("{} of port {port}", rows.len()),
            InputEvent::Barrier(barrier) => format!("barrier {}", barrier.epoch.0),
            InputEvent::Watermark(time) => format!("watermark {}", time.0),
            InputEvent::Ended { port } => format!("end of port {port}"),
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| inputs.try_next()).map(|event| name(event.unwrap())).collect()
    }

    #[tokio::test]
    async fn barriers_watermarks_and_ends_wait_for_both_ports() {
        let rows = |count: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
            Message::Rows(Changes::inserts(RecordBatch::try_from_iter([("k", column)]).unwrap()))
        };
        let barrier = |epoch| {
            Message::Barrier(Barrier { epoch: Epoch(epoch), kind: BarrierKind::Checkpoint, covered: Epoch::ZERO })
        };
        let watermark = |time| Message::Watermark(EventTime(time));
        // Two tasks feed the first port, one the second.
        let (senders, mut inputs) = inputs_of(&[(0, 0), (0, 0), (1, 1)]);
        let [a, b, c] = senders.as_slice() else { panic!("three senders") };
        for message in [watermark(5), barrier(1), rows(1), watermark(9)] {
            a.send(message.clone()).await.unwrap();
            b.send(message).await.unwrap();
        }
        assert_eq!(events(&mut inputs), [""; 0], "neither the watermark nor the barrier of one port says anything");
        for message in [rows(2), watermark(7), rows(3), barrier(1), rows(4), Message::End] {
            c.send(message).await.unwrap();
        }
        let before = events(&mut inputs);
        let barrier_at = before.iter().position(|event| event == "barrier 1").unwrap();
        assert_eq!(before[..barrier_at], ["2 of port 1", "watermark 5", "3 of port 1"]);
        let mut behind = before[barrier_at + 1..].to_vec();
        behind.sort();
        assert_eq!(behind, ["1 of port 0", "1 of port 0", "4 of port 1", "end of port 1", "watermark 7"]);
        a.send(Message::End).await.unwrap();
        assert_eq!(events(&mut inputs), [""; 0], "the other task of the port goes on");
        b.send(Message::End).await.unwrap();
        assert_eq!(events(&mut inputs), ["end of port 0"]);
    }

    #[tokio::test]
    async fn a_source_that_is_idle_does_not_hold_back_another() {
        let (senders, mut inputs) = inputs(&[0, 1]);
        assert_eq!(after(&senders[0], Message::Watermark(EventTime(10)), &mut inputs).await, "nothing");
        assert_eq!(after(&senders[1], Message::Idle, &mut inputs).await, "watermark 10");
        assert_eq!(after(&senders[0], Message::Watermark(EventTime(11)), &mut inputs).await, "watermark 11");
        assert_eq!(after(&senders[1], Message::Active, &mut inputs).await, "nothing");
        assert_eq!(after(&senders[0], Message::Watermark(EventTime(12)), &mut inputs).await, "nothing");
    }
}
