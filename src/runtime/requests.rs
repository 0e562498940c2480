//! What the owner of a job asks for, on its way to the coordinator, and the answers on their way back.
//!
//! ```text
//!   Control ── Command ──▶ Requests ── Request(id) ──▶ coordinator
//!      ▲                      │  ▲                          │
//!      └────── answer ────────┘  └────── Answer(id) ────────┘
//! ```
//!
//! A request that was not answered when an attempt fails is made once more by the next one.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

use crate::checkpoint::{Request, Wanted};
use crate::error::{Error, Result};
use crate::stream::Epoch;

/// Commands that may wait for the driver.
const COMMANDS: usize = 16;

/// What was taken on request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenCheckpoint {
    pub epoch: Epoch,
    /// Of a savepoint in a directory of its own: where it is.
    pub directory: Option<PathBuf>,
}

impl From<Epoch> for TakenCheckpoint {
    fn from(epoch: Epoch) -> Self {
        Self { epoch, directory: None }
    }
}

/// Something asked for, and where its answer goes.
#[derive(Debug)]
struct Command {
    what: Wanted,
    answer: oneshot::Sender<Result<TakenCheckpoint>>,
}

/// A way to ask something of a job, from anywhere.
#[derive(Debug, Clone)]
pub struct Control(mpsc::Sender<Command>);

impl Control {
    /// Asks, and waits for the answer; `None` if the job is over and has not given any.
    pub async fn ask(&self, what: Wanted) -> Option<Result<TakenCheckpoint>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Command { what, answer }).await.ok()?;
        answered.await.ok()
    }

    /// Asks, and does not wait for the answer.
    pub async fn tell(&self, what: Wanted) {
        let _ = self.0.send(Command { what, answer: oneshot::channel().0 }).await;
    }
}

/// The job's end of it.
#[derive(Debug)]
pub struct Requests {
    commands: mpsc::Receiver<Command>,
    is_open: bool,
    next_id: u64,
    /// Not answered yet.
    open: BTreeMap<u64, Command>,
    /// Those of them that this attempt's coordinator has not been told.
    untold: VecDeque<u64>,
    /// Whether somebody has asked for a stop with a savepoint.
    has_saved_stop: bool,
}

impl Requests {
    /// Both ends.
    pub fn channel() -> (Control, Self) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let requests = Self {
            commands,
            is_open: true,
            next_id: 0,
            open: BTreeMap::new(),
            untold: VecDeque::new(),
            has_saved_stop: false,
        };
        (Control(sender), requests)
    }

    /// Another attempt begins: what is open is asked of it too.
    pub fn begin_attempt(&mut self) {
        self.untold = self.open.keys().copied().collect();
    }

    /// The next request that the coordinator has not been told; waits for one. Cancel-safe.
    pub async fn next(&mut self) -> Request {
        loop {
            if let Some(id) = self.untold.pop_front()
                && let Some(command) = self.open.get(&id)
            {
                return Request { id, what: command.what.clone() };
            }
            self.receive().await;
        }
    }

    /// Waits until somebody has asked for a stop.
    pub async fn stop_wanted(&mut self) {
        while !self.has_stop() {
            self.receive().await;
        }
    }

    /// Whether a stop is asked for.
    pub fn has_stop(&self) -> bool {
        self.open.values().any(|command| command.what.is_stop())
    }

    /// Whether somebody has asked for a stop with a savepoint, so as to go on from there.
    pub fn has_saved_stop(&self) -> bool {
        self.has_saved_stop
    }

    /// Of a request for a savepoint in a directory of its own: below which directory.
    pub fn savepoint_target(&self, id: u64) -> Option<PathBuf> {
        self.open.get(&id)?.what.savepoint_target().map(Path::to_owned)
    }

    /// Tells whoever made a request.
    pub fn answer(&mut self, id: u64, result: Result<TakenCheckpoint>) {
        if let Some(command) = self.open.remove(&id) {
            // Whoever does not wait needs no answer.
            let _ = command.answer.send(result);
        }
    }

    /// Tells everybody that it has failed.
    pub fn fail_all(&mut self, error: &Error) {
        for command in std::mem::take(&mut self.open).into_values() {
            let _ = command.answer.send(Err(error.clone()));
        }
    }

    /// Tells everybody that the job stands where it stood: at this checkpoint, of which nobody makes a copy.
    pub fn answer_all(&mut self, epoch: Epoch) {
        for command in std::mem::take(&mut self.open).into_values() {
            let answer = match command.what.savepoint_target() {
                None => Ok(epoch.into()),
                Some(_) => Err(Error::world("the job was stopped before it had read back its state")
                    .with_help(format!("its checkpoint {epoch} stands: begin from the job's own directory"))),
            };
            let _ = command.answer.send(answer);
        }
    }

    async fn receive(&mut self) {
        let Some(command) = (if self.is_open { self.commands.recv().await } else { pending().await }) else {
            self.is_open = false;
            return;
        };
        // What nobody waits for any more is let go, so that these are never more than those who wait.
        self.open.retain(|_, command| command.what.is_stop() || !command.answer.is_closed());
        // One stop is enough; its answer would be the same.
        if self.has_stop() && command.what == Wanted::STOP && command.answer.is_closed() {
            return;
        }
        self.has_saved_stop |= command.what.is_stop() && command.what != Wanted::STOP;
        self.next_id += 1;
        self.open.insert(self.next_id, command);
        self.untold.push_back(self.next_id);
    }
}

/// What is said to whoever asks something of a job that is over.
pub fn is_over(job: &str) -> Error {
    Error::world(format!("job {job} has ended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_one_attempt_has_not_answered_is_asked_of_the_next() {
        let (control, mut requests) = Requests::channel();
        let asking = tokio::spawn({
            let control = control.clone();
            async move { control.ask(Wanted::Checkpoint).await }
        });
        let first = requests.next().await;
        control.tell(Wanted::STOP).await;
        requests.stop_wanted().await;
        requests.begin_attempt();
        assert_eq!(requests.next().await, first);
        let stop = requests.next().await;
        assert!(stop.what.is_stop() && requests.has_stop());
        requests.answer(first.id, Ok(Epoch(7).into()));
        requests.answer(stop.id, Ok(Epoch(8).into()));
        assert_eq!(asking.await.unwrap().unwrap().unwrap().epoch, Epoch(7));
        assert!(!requests.has_stop());
        drop(requests);
        assert!(control.ask(Wanted::Checkpoint).await.is_none(), "the job is over");
    }

    #[tokio::test]
    async fn those_who_do_not_wait_any_more_are_forgotten_but_for_their_stops() {
        let (control, mut requests) = Requests::channel();
        control.tell(Wanted::Checkpoint).await;
        control.tell(Wanted::STOP).await;
        control.tell(Wanted::STOP).await;
        control.tell(Wanted::Checkpoint).await;
        for _ in 0..4 {
            requests.receive().await;
        }
        assert_eq!(requests.open.values().filter(|command| command.what.is_stop()).count(), 1);
        assert!(requests.open.len() <= 2, "{requests:?}");
    }
}
