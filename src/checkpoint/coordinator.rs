//! The coordinator: one pure state machine that decides when barriers go out, when a checkpoint is complete, what is
//! committed and what may be deleted.
//!
//! One checkpoint is in flight at a time: *collecting* parts, then *writing* its manifest. A complete one queues its
//! commits; they are made one epoch after the other and no barrier ever waits for them, only the next trigger does
//! when too many are queued. Rows that a sink prepared for a checkpoint that was given up are committed with the next
//! one that completes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::merge;
use super::part::{TaskId, TaskPart};
use crate::error::{Blame, Error, Result};
use crate::state::Manifest;
use crate::stream::{Barrier, BarrierKind, Committable, Epoch};

/// What the coordinator is told.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time has passed (see [`Coordinator::next_wakeup`]).
    Tick,
    /// Somebody wants a checkpoint now: a user, a source that counts rows, a stop. `Drain` is never asked for: it
    /// follows when every source has ended.
    Requested(BarrierKind),
    /// A task's part is durable. The acknowledgements of one task come in the order of their epochs, those of
    /// given-up checkpoints included, unless the task declined or never met the barrier.
    Acknowledged { epoch: Epoch, task: TaskId, part: Box<TaskPart> },
    /// A task could not write its part: the checkpoint fails, the job goes on if that is tolerated. Not for a task
    /// whose sink has already prepared: its rows would be lost, so that such a task has to fail the job.
    Declined { epoch: Epoch, task: TaskId, error: Error },
    /// A source has read all there is and has sent its final watermark and End.
    SourceEnded(TaskId),
    /// The manifest of this epoch is in the log (`digest` is its own).
    ManifestWritten { epoch: Epoch, digest: String },
    /// It could not be written.
    ManifestFailed { epoch: Epoch, error: Error },
    /// Every committable of this epoch has been committed.
    Committed { epoch: Epoch },
    /// The confirm or finished entry is in the log.
    EndWritten,
}

/// What the driver must do, in this order.
#[derive(Debug, Clone)]
pub enum Action {
    /// Send this barrier into every source.
    Inject(Barrier),
    /// Put this manifest into the log.
    WriteManifest(Box<Manifest>),
    /// Commit these, in order, then answer `Committed`. Never waited for by a barrier.
    Commit { epoch: Epoch, committables: Vec<Committable> },
    /// This epoch is complete: tell the sources (acknowledge positions) and remove what no retained manifest reaches.
    Completed { epoch: Epoch },
    /// A checkpoint was given up; the job goes on.
    Aborted { epoch: Epoch, error: Error },
    /// Stopped: write a confirm entry for this epoch, then answer `EndWritten`.
    WriteConfirm { epoch: Epoch },
    /// All input read and committed: write a finished entry, then answer `EndWritten`.
    WriteFinished { epoch: Epoch },
    /// The job has ended well.
    Done,
    /// The job has to stop with this error.
    Fail(Error),
}

/// The settings that the coordinator obeys.
#[derive(Debug, Clone)]
pub struct CoordinatorConfig {
    /// All tasks of the plan; each must acknowledge.
    pub tasks: Vec<TaskId>,
    /// Those of them that are sources.
    pub sources: Vec<TaskId>,
    /// The manifest that this start goes on from, or an empty one with epoch 0: names job, lineage, generation,
    /// parallelism, hash, and holds what is inherited.
    pub base: Manifest,
    /// Time between two triggers; `None`: only on request, and the last one.
    pub interval: Option<Duration>,
    pub min_pause: Duration,
    pub timeout: Duration,
    /// How many checkpoints in a row may fail.
    pub tolerable_failures: u32,
    /// A full snapshot is asked for when a table inherits more files than this.
    pub max_inherited_files: usize,
    /// At this many epochs that are not committed yet, the next trigger waits.
    pub max_pending_epochs: usize,
    /// Whether manifests are written at all; without, only the last barrier runs and commits follow it directly.
    pub durable: bool,
}

/// How an acknowledgement was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckAnswer {
    /// It counts.
    Ok,
    /// The same was there before.
    Duplicate,
    /// No such task, or no such epoch in this start.
    Unknown,
    /// Its checkpoint is over. A sink's prepared rows are kept for the next one all the same.
    Discarded,
}

/// The state machine. See the module's description.
#[derive(Debug)]
pub struct Coordinator {
    config: CoordinatorConfig,
    phase: Phase,
    /// The last complete checkpoint, from which the next one inherits.
    last: Manifest,
    next_epoch: Epoch,
    in_flight: Option<InFlight>,
    /// Given-up checkpoints since the last complete one, with the tasks that acknowledged them.
    given_up: BTreeMap<Epoch, BTreeSet<TaskId>>,
    /// Tasks that owe an acknowledgement to a checkpoint given up before the last complete one.
    owed: BTreeMap<Epoch, BTreeSet<TaskId>>,
    /// What sinks prepared for given-up checkpoints.
    carried: BTreeMap<(Epoch, TaskId), Committable>,
    /// Complete and not committed, in order; the first of them is being committed.
    uncommitted: VecDeque<Uncommitted>,
    ended: BTreeSet<TaskId>,
    requests: Requests,
    failures: u32,
    last_trigger: Duration,
    /// When the last checkpoint was over, complete or not.
    last_end: Option<Duration>,
    last_answer: Option<AckAnswer>,
}

/// Where the job stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Barriers may be sent.
    Running,
    /// The checkpoint of the last barrier is complete; commits are outstanding.
    Committing { last: Epoch, kind: BarrierKind },
    /// The confirm or finished entry is being written.
    WritingEnd,
    /// Done or failed: nothing more happens.
    Over,
}

/// What was asked for and not yet begun.
#[derive(Debug, Default)]
struct Requests {
    checkpoint: bool,
    savepoint: bool,
    stop: bool,
}

/// The checkpoint that is being made.
#[derive(Debug)]
struct InFlight {
    barrier: Barrier,
    since: Duration,
    parts: BTreeMap<TaskId, TaskPart>,
    /// Complete but for its entry in the log.
    manifest: Option<Box<Manifest>>,
}

/// A complete checkpoint whose rows are not public yet.
#[derive(Debug)]
struct Uncommitted {
    epoch: Epoch,
    committables: Vec<Committable>,
    /// Whether the driver has been told.
    sent: bool,
}

impl Coordinator {
    /// A coordinator that has just started at time `now` (of a clock that never steps back). What `config.base` lists
    /// as pending must have been committed before.
    pub fn new(mut config: CoordinatorConfig, now: Duration) -> Self {
        let last = config.base.clone();
        // From here on the base only lends its names to new manifests.
        config.base.nodes.clear();
        Self {
            phase: Phase::Running,
            next_epoch: last.epoch.next(),
            last,
            in_flight: None,
            given_up: BTreeMap::new(),
            owed: BTreeMap::new(),
            carried: BTreeMap::new(),
            uncommitted: VecDeque::new(),
            ended: BTreeSet::new(),
            requests: Requests::default(),
            failures: 0,
            last_trigger: now,
            last_end: None,
            last_answer: None,
            config,
        }
    }

    /// Takes one event and says what to do.
    pub fn step(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase == Phase::Over {
            return actions;
        }
        let taken = self.take(now, event, &mut actions).and_then(|()| {
            self.check_timeout(now, &mut actions)?;
            self.go_on(&mut actions);
            self.trigger(now, &mut actions);
            Ok(())
        });
        if let Err(error) = taken {
            self.phase = Phase::Over;
            actions.push(Action::Fail(error));
        }
        actions
    }

    /// When `Tick` should come at the latest.
    pub fn next_wakeup(&self) -> Option<Duration> {
        match (&self.in_flight, self.phase) {
            (Some(in_flight), Phase::Running) => self.deadline(in_flight),
            (None, Phase::Running) if !self.is_full_of_commits() => self.next_periodic(),
            _ => None,
        }
    }

    /// How the last acknowledgement was taken.
    pub fn last_answer(&self) -> Option<AckAnswer> {
        self.last_answer
    }

    /// The last complete checkpoint.
    pub fn last_completed(&self) -> Epoch {
        self.last.epoch
    }

    fn take(&mut self, now: Duration, event: Event, actions: &mut Vec<Action>) -> Result<()> {
        match event {
            Event::Tick => {}
            Event::Requested(kind) => match kind {
                BarrierKind::Checkpoint => self.requests.checkpoint = true,
                BarrierKind::Savepoint => self.requests.savepoint = true,
                BarrierKind::Stop => self.requests.stop = true,
                BarrierKind::Drain => {}
            },
            Event::Acknowledged { epoch, task, part } => {
                let answer = self.acknowledge(epoch, task, *part)?;
                self.last_answer = Some(answer);
                if answer == AckAnswer::Ok {
                    self.complete_parts(actions)?;
                }
            }
            Event::Declined { epoch, task, error } => {
                if self.collecting(epoch).is_some() {
                    self.give_up(now, error.context(format_args!("task {} of {}", task.task, task.node)), actions)?;
                }
            }
            Event::SourceEnded(task) => {
                if !self.config.sources.contains(&task) {
                    return Err(Error::bug(format!("{} {} ended and is no source", task.node, task.task)));
                }
                self.ended.insert(task);
            }
            Event::ManifestWritten { epoch, digest } => self.complete(now, epoch, digest, actions)?,
            Event::ManifestFailed { epoch, error } => {
                self.writing(epoch)?;
                self.give_up(now, error, actions)?;
            }
            Event::Committed { epoch } => match self.uncommitted.front() {
                Some(first) if first.epoch == epoch && first.sent => {
                    self.uncommitted.pop_front();
                }
                _ => return Err(Error::bug(format!("epoch {epoch} was committed and is not its turn"))),
            },
            Event::EndWritten => {
                if self.phase != Phase::WritingEnd {
                    return Err(Error::bug("the end of the log was written before its time"));
                }
                self.phase = Phase::Over;
                actions.push(Action::Done);
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, epoch: Epoch, task: TaskId, mut part: TaskPart) -> Result<AckAnswer> {
        if !self.config.tasks.contains(&task) || epoch <= self.config.base.epoch || epoch >= self.next_epoch {
            return Ok(AckAnswer::Unknown);
        }
        if let Some(in_flight) = &mut self.in_flight
            && in_flight.barrier.epoch == epoch
        {
            if in_flight.parts.contains_key(&task) {
                return Ok(AckAnswer::Duplicate);
            }
            in_flight.parts.insert(task, part);
            return Ok(AckAnswer::Ok);
        }
        if let Some(acknowledged) = self.given_up.get_mut(&epoch) {
            if !acknowledged.insert(task.clone()) {
                return Ok(AckAnswer::Duplicate);
            }
            // The rows left the sink's writer with this part; the files are written again by the next.
            self.carried.extend(part.committable.take().map(|committable| ((epoch, task), committable)));
            return Ok(AckAnswer::Discarded);
        }
        if part.committable.is_some() && self.owed.get(&epoch).is_some_and(|tasks| tasks.contains(&task)) {
            return Err(Error::bug(format!(
                "task {} of {} acknowledged epoch {epoch} after a later one; its rows would be lost",
                task.task, task.node
            )));
        }
        Ok(AckAnswer::Discarded)
    }

    /// With the last part in, the checkpoint becomes a manifest, or without a log is complete at once.
    fn complete_parts(&mut self, actions: &mut Vec<Action>) -> Result<()> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        if in_flight.manifest.is_some() || in_flight.parts.len() < self.config.tasks.len() {
            return Ok(());
        }
        if !self.config.durable {
            let barrier = in_flight.barrier;
            let committables = self.committables();
            self.uncommitted.push_back(Uncommitted { epoch: barrier.epoch, committables, sent: false });
            self.in_flight = None;
            self.phase = Phase::Committing { last: barrier.epoch, kind: barrier.kind };
            return Ok(());
        }
        let mut pending: Vec<_> = self.uncommitted.iter().flat_map(|epoch| epoch.committables.clone()).collect();
        pending.extend(self.committables());
        // Taken apart from above, where the borrow of `self` ends.
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        let manifest = Manifest {
            format: crate::state::FORMAT_VERSION,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: in_flight.barrier.epoch,
            parent: self.last.digest.clone(),
            nodes: merge::nodes(&self.last, &in_flight.parts, in_flight.barrier.full)?,
            pending,
            digest: String::new(),
            ..self.config.base.clone()
        };
        in_flight.manifest = Some(Box::new(manifest.clone()));
        actions.push(Action::WriteManifest(Box::new(manifest)));
        Ok(())
    }

    /// What becomes public with the checkpoint in flight: what was carried over, then its own.
    fn committables(&self) -> Vec<Committable> {
        let parts = self.in_flight.iter().flat_map(|in_flight| in_flight.parts.values());
        self.carried.values().chain(parts.filter_map(|part| part.committable.as_ref())).cloned().collect()
    }

    fn complete(&mut self, now: Duration, epoch: Epoch, digest: String, actions: &mut Vec<Action>) -> Result<()> {
        self.writing(epoch)?;
        let committables = self.committables();
        let Some(InFlight { barrier, manifest: Some(manifest), .. }) = self.in_flight.take() else {
            return Err(Error::bug("a checkpoint without a manifest was completed"));
        };
        self.last = Manifest { digest, ..*manifest };
        self.carried.clear();
        for (epoch, acknowledged) in std::mem::take(&mut self.given_up) {
            let owing = self.config.tasks.iter().filter(|task| !acknowledged.contains(task)).cloned();
            self.owed.insert(epoch, owing.collect());
        }
        while self.owed.len() > OWED_EPOCHS {
            self.owed.pop_first();
        }
        self.failures = 0;
        self.last_end = Some(now);
        self.uncommitted.push_back(Uncommitted { epoch, committables, sent: false });
        if barrier.kind.is_last() {
            self.phase = Phase::Committing { last: epoch, kind: barrier.kind };
        }
        self.send_commit(actions);
        actions.push(Action::Completed { epoch });
        Ok(())
    }

    /// Ends the checkpoint in flight without success. Behind a last barrier the tasks are gone, so that there is no
    /// second attempt.
    fn give_up(&mut self, now: Duration, error: Error, actions: &mut Vec<Action>) -> Result<()> {
        let Some(in_flight) = self.in_flight.take() else { return Ok(()) };
        let epoch = in_flight.barrier.epoch;
        let acknowledged = in_flight.parts.keys().cloned().collect();
        for (task, part) in in_flight.parts {
            self.carried.extend(part.committable.map(|committable| ((epoch, task), committable)));
        }
        self.given_up.insert(epoch, acknowledged);
        self.last_end = Some(now);
        self.failures += 1;
        actions.push(Action::Aborted { epoch, error: error.clone() });
        if in_flight.barrier.kind.is_last() {
            return Err(error.context("the last checkpoint failed"));
        }
        // What the outside world did may pass; the rest would only fail again.
        if !matches!(error.blame(), Blame::World { .. }) {
            return Err(error);
        }
        if self.failures > self.config.tolerable_failures {
            let many = match self.failures {
                1 => format!("checkpoint {epoch} failed"),
                many => format!("{many} checkpoints in a row failed, the last of them {epoch}"),
            };
            return Err(error.context(many).with_id("BL-LIM-CKPT-FAILURES").with_help(
                "raise 'execution.checkpointing.tolerable-failed-checkpoints' to go on in spite of such failures",
            ));
        }
        Ok(())
    }

    fn check_timeout(&mut self, now: Duration, actions: &mut Vec<Action>) -> Result<()> {
        let Some(in_flight) = &self.in_flight else { return Ok(()) };
        if self.deadline(in_flight).is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let missing = self.config.tasks.iter().find(|task| !in_flight.parts.contains_key(task));
        let missing =
            missing.map_or_else(String::new, |task| format!("; task {} of {} is missing", task.task, task.node));
        let error = Error::transient(format!(
            "checkpoint {} was not complete within {} ms{missing}",
            in_flight.barrier.epoch,
            self.config.timeout.as_millis()
        ))
        .with_id("BL-LIM-CKPT-TIMEOUT")
        .with_help("raise 'execution.checkpointing.timeout'");
        self.give_up(now, error, actions)
    }

    /// A manifest on its way into the log is waited for: whether it arrived is not known before the answer. Without
    /// a log there is only the last barrier, and nothing to fall back to.
    fn deadline(&self, in_flight: &InFlight) -> Option<Duration> {
        (self.config.durable && in_flight.manifest.is_none())
            .then(|| in_flight.since.saturating_add(self.config.timeout))
    }

    /// Commits what is next, and ends when the last of it is done.
    fn go_on(&mut self, actions: &mut Vec<Action>) {
        self.send_commit(actions);
        if let Phase::Committing { last, kind } = self.phase
            && self.uncommitted.is_empty()
        {
            self.phase = Phase::WritingEnd;
            match (self.config.durable, kind) {
                (false, _) => {
                    self.phase = Phase::Over;
                    actions.push(Action::Done);
                }
                (true, BarrierKind::Drain) => actions.push(Action::WriteFinished { epoch: last }),
                (true, _) => actions.push(Action::WriteConfirm { epoch: last }),
            }
        }
    }

    fn send_commit(&mut self, actions: &mut Vec<Action>) {
        // Epochs in which no sink had a row are done without being sent.
        while self.uncommitted.front().is_some_and(|first| first.committables.is_empty()) {
            self.uncommitted.pop_front();
        }
        if let Some(first) = self.uncommitted.front_mut()
            && !first.sent
        {
            first.sent = true;
            actions.push(Action::Commit { epoch: first.epoch, committables: first.committables.clone() });
        }
    }

    /// Sends the next barrier if there is a reason to and nothing stands in its way.
    fn trigger(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.phase != Phase::Running || self.in_flight.is_some() || self.is_full_of_commits() {
            return;
        }
        let Some(kind) = self.next_kind(now) else { return };
        let barrier = Barrier { epoch: self.next_epoch, kind, covered: self.last.epoch, full: self.wants_full() };
        self.next_epoch = self.next_epoch.next();
        self.last_trigger = now;
        // Any checkpoint from here on contains what an earlier request wanted to be in one.
        self.requests.checkpoint = false;
        self.requests.savepoint = false;
        self.in_flight = Some(InFlight { barrier, since: now, parts: BTreeMap::new(), manifest: None });
        actions.push(Action::Inject(barrier));
    }

    fn next_kind(&self, now: Duration) -> Option<BarrierKind> {
        if self.config.sources.iter().all(|source| self.ended.contains(source)) {
            // Also where a stop was asked for: final watermarks are through, so that this is the end.
            return Some(BarrierKind::Drain);
        }
        if self.requests.stop {
            return Some(BarrierKind::Stop);
        }
        if !self.config.durable {
            return None;
        }
        if self.requests.savepoint {
            return Some(BarrierKind::Savepoint);
        }
        let is_due = self.requests.checkpoint || self.next_periodic().is_some_and(|due| due <= now);
        is_due.then_some(BarrierKind::Checkpoint)
    }

    fn next_periodic(&self) -> Option<Duration> {
        let interval = self.config.interval.filter(|_| self.config.durable)?;
        let after_pause = self.last_end.map_or(Duration::ZERO, |end| end.saturating_add(self.config.min_pause));
        Some(self.last_trigger.saturating_add(interval).max(after_pause))
    }

    fn is_full_of_commits(&self) -> bool {
        self.uncommitted.len() >= self.config.max_pending_epochs.max(1)
    }

    fn wants_full(&self) -> bool {
        let mut tables =
            self.last.nodes.values().flat_map(|node| &node.operators).flat_map(|operator| &operator.tables);
        tables.any(|table| table.files.len() > self.config.max_inherited_files)
    }

    fn collecting(&self, epoch: Epoch) -> Option<&InFlight> {
        self.in_flight.as_ref().filter(|in_flight| in_flight.barrier.epoch == epoch && in_flight.manifest.is_none())
    }

    fn writing(&self, epoch: Epoch) -> Result<()> {
        match &self.in_flight {
            Some(in_flight) if in_flight.barrier.epoch == epoch && in_flight.manifest.is_some() => Ok(()),
            _ => Err(Error::bug(format!("an answer came for manifest {epoch}, which was not being written"))),
        }
    }
}

/// For how many given-up checkpoints a late acknowledgement is still told from a repeated one.
const OWED_EPOCHS: usize = 64;

#[cfg(test)]
mod tests;
