//! The coordinator: one pure state machine that decides when barriers go out, when a checkpoint is complete, what is
//! committed and what may be deleted.
//!
//! Several checkpoints may be in flight, each *collecting* the parts of its tasks. One manifest at a time is *written*:
//! that of the newest checkpoint whose parts are all in. When it is complete it holds what the older ones in flight were
//! to hold, so that they are over, without success or failure:
//!
//! ```text
//!   │1 complete   │2 collecting   │3 all parts in, being written   │4 collecting
//!                  └ over with 3 ──┘                                └ goes on
//! ```
//!
//! A complete one queues its commits, per sink; no barrier ever waits for them, only the next trigger does when a sink is
//! too far behind. Rows that a sink prepared for a checkpoint that was given up are committed with the next one that
//! completes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use super::commit_queue::CommitQueue;
use super::compaction::{Compactions, TableId};
use super::merge;
use super::part::{TaskId, TaskPart};
use super::request::{Request, Wanted};
use crate::error::{Blame, Error, Result};
use crate::state::{Manifest, OperatorId, OperatorState, Retired, SinkState, TableState};
use crate::stream::{Barrier, BarrierKind, Committable, Epoch};

pub use messages::{Action, Event};

mod messages;

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
    /// Between the end of a checkpoint and the next trigger; with a pause there is one checkpoint at a time.
    pub min_pause: Duration,
    pub timeout: Duration,
    /// How many checkpoints may be in flight at once.
    pub max_concurrent: usize,
    /// How many checkpoints in a row may fail.
    pub tolerable_failures: u32,
    /// Which files of a table, of all that it has, should be put together.
    pub compact: fn(&TableState) -> Option<Range<usize>>,
    /// Whether a table, some files of which are being put together, has so many that the next trigger waits for that.
    pub is_overgrown: fn(&TableState) -> bool,
    /// At this many epochs that a sink has not committed yet, the next trigger waits.
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
    in_flight: BTreeMap<Epoch, InFlight>,
    /// The checkpoint in flight whose manifest is on its way into the log.
    writing: Option<Writing>,
    /// The last barrier, once it is out.
    last_barrier: Option<Barrier>,
    /// Given-up checkpoints after the last complete one, with the tasks that acknowledged them.
    given_up: BTreeMap<Epoch, BTreeSet<TaskId>>,
    /// Tasks that owe an acknowledgement to a checkpoint that was over before the last complete one.
    owed: BTreeMap<Epoch, BTreeSet<TaskId>>,
    /// What sinks prepared for given-up checkpoints.
    carried: BTreeMap<(Epoch, TaskId), Committable>,
    commits: CommitQueue,
    compactions: Compactions,
    /// What is known to be public, by sink.
    sinks: BTreeMap<String, SinkState>,
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
    /// Checkpoints are made.
    Running,
    /// The checkpoint of the last barrier is complete; commits are outstanding.
    Committing,
    /// The confirm or finished entry is being written.
    WritingEnd,
    /// Done or failed: nothing more happens.
    Over,
}

/// What was asked for and has no barrier yet, by the ids of the requests.
#[derive(Debug, Default)]
struct Requests {
    checkpoints: Vec<u64>,
    savepoints: Vec<u64>,
    /// Answered at the very end.
    stops: Vec<u64>,
    /// One of these wants its checkpoint to be kept: that of the next barrier.
    keeps_next: bool,
    /// Sources wait for a barrier.
    is_due: bool,
    /// One of the stops drains: no barrier goes out until every source has ended, as a checkpoint in between would hold
    /// windows that have fired and sources that have not ended.
    is_draining: bool,
}

/// A checkpoint that is being made.
#[derive(Debug)]
struct InFlight {
    barrier: Barrier,
    since: Duration,
    parts: BTreeMap<TaskId, TaskPart>,
    /// The requests that it answers.
    requests: Vec<u64>,
    /// Whether it is to be kept whatever else is removed.
    is_pinned: bool,
}

/// A manifest on its way into the log.
#[derive(Debug)]
struct Writing {
    manifest: Manifest,
    /// What becomes public with it.
    committables: Vec<Committable>,
    /// The tables whose compacted files it names.
    compacted: Vec<TableId>,
}

impl Coordinator {
    /// A coordinator that has just started at time `now` (of a clock that never steps back). What `config.base` lists
    /// as pending must have been committed before, and its sinks say so.
    pub fn new(mut config: CoordinatorConfig, now: Duration) -> Self {
        let last = config.base.clone();
        // From here on the base only lends its names to new manifests.
        config.base.operators.clear();
        let sinks = std::mem::take(&mut config.base.sinks);
        if !config.min_pause.is_zero() {
            config.max_concurrent = 1;
        }
        Self {
            phase: Phase::Running,
            next_epoch: last.epoch.next(),
            last,
            in_flight: BTreeMap::new(),
            writing: None,
            last_barrier: None,
            given_up: BTreeMap::new(),
            owed: BTreeMap::new(),
            carried: BTreeMap::new(),
            commits: CommitQueue::default(),
            compactions: Compactions::default(),
            sinks,
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
            self.check_timeouts(now, &mut actions)?;
            self.write_next(&mut actions)?;
            self.commit(&mut actions);
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
        if self.phase != Phase::Running {
            return None;
        }
        let deadlines = self.in_flight.values().filter_map(|in_flight| self.deadline(in_flight));
        let periodic = if self.may_trigger() && !self.waits_for_compaction() { self.next_periodic() } else { None };
        deadlines.chain(periodic).min()
    }

    /// How the last acknowledgement was taken.
    pub fn last_answer(&self) -> Option<AckAnswer> {
        self.last_answer
    }

    /// The last complete checkpoint.
    pub fn last_completed(&self) -> Epoch {
        self.last.epoch
    }

    /// Whether somebody has asked for a stop.
    pub fn is_stopping(&self) -> bool {
        !self.requests.stops.is_empty()
    }

    fn take(&mut self, now: Duration, event: Event, actions: &mut Vec<Action>) -> Result<()> {
        match event {
            Event::Tick => {}
            Event::Requested(request) => {
                let id = request.id;
                let refused = self.request(request, actions);
                actions.extend(refused.err().map(|error| Action::Answer { id, result: Err(error) }));
            }
            Event::CheckpointDue => self.requests.is_due = true,
            Event::Acknowledged { epoch, task, part } => {
                self.last_answer = Some(self.acknowledge(epoch, task, *part)?);
            }
            Event::Declined { epoch, task, error } => {
                if self.in_flight.get(&epoch).is_some_and(|in_flight| !self.has_all_parts(in_flight)) {
                    let error = error.context(format_args!("task {} of {}", task.task, task.node));
                    self.give_up(now, epoch, error, actions)?;
                }
            }
            Event::SourceEnded(task) => {
                if !self.config.sources.contains(&task) {
                    return Err(Error::bug(format!("{} {} ended and is no source", task.node, task.task)));
                }
                self.ended.insert(task);
            }
            Event::ManifestWritten { epoch, digest } => {
                let written = self.written(epoch)?;
                self.complete(now, written, digest, actions);
            }
            Event::ManifestFailed { epoch, error } => {
                self.written(epoch)?;
                self.give_up(now, epoch, error, actions)?;
            }
            Event::Committed { sink, epoch } => {
                let committed = self.commits.committed(&sink, epoch)?;
                let known = self.sinks.entry(sink).or_default();
                committed.iter().for_each(|committed| known.confirm(committed));
            }
            Event::Compacted { table, replaced, by } => self.compactions.finish(table, replaced, by)?,
            Event::CompactionFailed { table } => self.compactions.end(&table)?,
            Event::EndWritten => {
                if self.phase != Phase::WritingEnd {
                    return Err(Error::bug("the end of the log was written before its time"));
                }
                self.end(actions);
            }
        }
        Ok(())
    }

    /// Takes a request up, or says why it cannot be served.
    fn request(&mut self, request: Request, actions: &mut Vec<Action>) -> Result<()> {
        let Request { id, what } = request;
        let saves = what.takes_savepoint();
        if !self.config.durable && (saves || !what.is_stop()) {
            return Err(Error::query(format!("job {} keeps no checkpoints", self.config.base.job)).with_help(
                "SET 'execution.checkpointing.interval' = '10 s', and give it a name: SET 'pipeline.name' = 'orders'",
            ));
        }
        let is_kept = what.keeps_checkpoint();
        if what.is_stop() && (!saves || self.last_barrier.is_none()) {
            self.drain(&what, actions);
            self.requests.stops.push(id);
            self.requests.keeps_next |= is_kept;
            return Ok(());
        }
        match self.last_barrier {
            None if saves => {
                self.requests.savepoints.push(id);
                self.requests.keeps_next |= is_kept;
            }
            None => self.requests.checkpoints.push(id),
            // Rows may have come between that barrier and this request.
            Some(Barrier { kind: BarrierKind::Stop, .. }) => {
                return Err(Error::world(format!("job {} is stopping already", self.config.base.job)));
            }
            // All input has ended before it; and nothing comes behind it that could take its place.
            Some(barrier) => match self.in_flight.get_mut(&barrier.epoch) {
                Some(in_flight) => {
                    in_flight.requests.push(id);
                    in_flight.is_pinned |= is_kept;
                }
                None => actions.push(Action::Answer { id, result: Ok(barrier.epoch) }),
            },
        }
        Ok(())
    }

    /// Lets time end, if that is asked for and has not happened.
    fn drain(&mut self, what: &Wanted, actions: &mut Vec<Action>) {
        if what.drains() && self.last_barrier.is_none() && !self.requests.is_draining {
            self.requests.is_draining = true;
            actions.push(Action::EndSources);
        }
    }

    fn acknowledge(&mut self, epoch: Epoch, task: TaskId, mut part: TaskPart) -> Result<AckAnswer> {
        if !self.config.tasks.contains(&task) || epoch <= self.config.base.epoch || epoch >= self.next_epoch {
            return Ok(AckAnswer::Unknown);
        }
        if let Some(in_flight) = self.in_flight.get_mut(&epoch) {
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

    /// With the last part in, a checkpoint becomes a manifest, or without a log is complete at once.
    fn write_next(&mut self, actions: &mut Vec<Action>) -> Result<()> {
        if self.writing.is_some() {
            return Ok(());
        }
        let Some(newest) = self.in_flight.values().rev().find(|in_flight| self.has_all_parts(in_flight)) else {
            return Ok(());
        };
        let epoch = newest.barrier.epoch;
        let committables = self.committables(epoch);
        if !self.config.durable {
            self.in_flight.clear();
            self.commits.push(epoch, committables);
            self.phase = Phase::Committing;
            return Ok(());
        }
        let manifest = self.manifest(newest, &committables)?;
        self.writing =
            Some(Writing { manifest: manifest.clone(), committables, compacted: self.compactions.applied() });
        actions.push(Action::WriteManifest(Box::new(manifest)));
        Ok(())
    }

    /// What the log is to say of a checkpoint of which all parts are in.
    fn manifest(&self, in_flight: &InFlight, committables: &[Committable]) -> Result<Manifest> {
        let barrier = in_flight.barrier;
        let mut pending = self.commits.pending();
        pending.extend_from_slice(committables);
        let mut covered = self.in_flight.range(..=barrier.epoch);
        let mut operators = merge::operators(&self.last, &in_flight.parts)?;
        for (table, state) in tables(&mut operators) {
            self.compactions.apply(&table, &mut state.files)?;
            // A run that is being put together stays in one piece.
            if !self.compactions.is_under_way(&table) {
                state.files.retain(|file| !Retired::covers(&state.retired, file));
                state.drop_superseded();
            }
        }
        Ok(Manifest {
            format: crate::state::FORMAT_VERSION,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: barrier.epoch,
            parent: self.last.digest.clone(),
            operators,
            sinks: self.sinks.clone(),
            pending,
            pinned: covered.any(|(_, covered)| covered.is_pinned),
            drained: self.is_drained(barrier),
            digest: String::new(),
            ..self.config.base.clone()
        })
    }

    /// Whether sources have ended before this barrier that could have gone on, or had in the checkpoint gone on from.
    fn is_drained(&self, barrier: Barrier) -> bool {
        barrier.kind == BarrierKind::Drain && self.requests.is_draining || self.config.base.drained
    }

    /// What becomes public with a checkpoint: what was carried over, what was prepared for older ones in flight, and
    /// its own; in order of epochs.
    fn committables(&self, epoch: Epoch) -> Vec<Committable> {
        let mut prepared: BTreeMap<(Epoch, &TaskId), &Committable> = BTreeMap::new();
        let carried = self.carried.iter().filter(|((prepared_for, _), _)| *prepared_for <= epoch);
        prepared.extend(carried.map(|((epoch, task), committable)| ((*epoch, task), committable)));
        for (epoch, in_flight) in self.in_flight.range(..=epoch) {
            let parts = in_flight.parts.iter();
            prepared.extend(parts.filter_map(|(task, part)| Some(((*epoch, task), part.committable.as_ref()?))));
        }
        prepared.into_values().cloned().collect()
    }

    /// A manifest is in the log: its checkpoint is complete, and older ones in flight are over.
    fn complete(&mut self, now: Duration, written: Writing, digest: String, actions: &mut Vec<Action>) {
        let Writing { manifest, committables, compacted } = written;
        self.compactions.complete(&compacted);
        let epoch = manifest.epoch;
        self.last = Manifest { digest, ..manifest };
        let later = self.in_flight.split_off(&epoch.next());
        for (older, in_flight) in std::mem::replace(&mut self.in_flight, later) {
            self.owe(older, &in_flight.parts.into_keys().collect());
            let answer = |id| Action::Answer { id, result: Ok(epoch) };
            actions.extend(in_flight.requests.into_iter().map(answer));
        }
        let later = self.given_up.split_off(&epoch);
        for (older, acknowledged) in std::mem::replace(&mut self.given_up, later) {
            self.owe(older, &acknowledged);
        }
        self.carried.retain(|(prepared_for, _), _| *prepared_for > epoch);
        self.failures = 0;
        self.last_end = Some(now);
        self.commits.push(epoch, committables);
        if self.last_barrier.is_some_and(|barrier| barrier.epoch == epoch) {
            self.phase = Phase::Committing;
        }
        self.begin_commits(actions);
        actions.push(Action::Completed { epoch });
        if self.phase == Phase::Running {
            self.compact(actions);
        }
    }

    /// Begins what compactions the newest checkpoint calls for.
    fn compact(&mut self, actions: &mut Vec<Action>) {
        for (table, state) in tables(&mut self.last.operators) {
            let Some(run) = (self.config.compact)(state) else { continue };
            if self.compactions.begin(&table) {
                actions.push(Action::Compact { table, state: Box::new(state.clone()), run });
            }
        }
    }

    /// Remembers which tasks have not acknowledged a checkpoint that is over.
    fn owe(&mut self, epoch: Epoch, acknowledged: &BTreeSet<TaskId>) {
        let owing = self.config.tasks.iter().filter(|task| !acknowledged.contains(task));
        self.owed.insert(epoch, owing.cloned().collect());
        while self.owed.len() > OWED_EPOCHS {
            self.owed.pop_first();
        }
    }

    /// Ends a checkpoint in flight without success. Behind a last barrier the tasks are gone, so that there is no
    /// second attempt.
    fn give_up(&mut self, now: Duration, epoch: Epoch, error: Error, actions: &mut Vec<Action>) -> Result<()> {
        let Some(in_flight) = self.in_flight.remove(&epoch) else { return Ok(()) };
        let acknowledged = in_flight.parts.keys().cloned().collect();
        for (task, part) in in_flight.parts {
            self.carried.extend(part.committable.map(|committable| ((epoch, task), committable)));
        }
        self.given_up.insert(epoch, acknowledged);
        self.last_end = Some(now);
        self.failures += 1;
        actions.push(Action::Aborted { epoch, error: error.clone() });
        let answer = |id| Action::Answer { id, result: Err(error.clone()) };
        actions.extend(in_flight.requests.into_iter().map(answer));
        if in_flight.barrier.kind.is_last() {
            return Err(error.context("the last checkpoint failed"));
        }
        // What the outside world did may pass; the rest would only fail again, and so does a log that is damaged or gone.
        let is_of_state = error.id().is_some_and(|id| id.starts_with("BL-STATE"));
        if is_of_state || !matches!(error.blame(), Blame::World { .. }) {
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

    fn check_timeouts(&mut self, now: Duration, actions: &mut Vec<Action>) -> Result<()> {
        let is_late = |in_flight: &&InFlight| self.deadline(in_flight).is_some_and(|deadline| deadline <= now);
        let late: Vec<Epoch> = self.in_flight.values().filter(is_late).map(|late| late.barrier.epoch).collect();
        for epoch in late {
            let parts = self.in_flight.get(&epoch).map(|in_flight| &in_flight.parts);
            let is_missing = |task: &&TaskId| parts.is_some_and(|parts| !parts.contains_key(task));
            let missing = self.config.tasks.iter().find(is_missing);
            let missing =
                missing.map_or_else(String::new, |task| format!("; task {} of {} is missing", task.task, task.node));
            let timeout_ms = self.config.timeout.as_millis();
            let error =
                Error::transient(format!("checkpoint {epoch} was not complete within {timeout_ms} ms{missing}"))
                    .with_id("BL-LIM-CKPT-TIMEOUT")
                    .with_help("raise 'execution.checkpointing.timeout'");
            self.give_up(now, epoch, error, actions)?;
        }
        Ok(())
    }

    /// One of which all parts are in is waited for: whether a manifest on its way into the log arrived is not known
    /// before the answer. Without a log there is only the last barrier, and nothing to fall back to.
    fn deadline(&self, in_flight: &InFlight) -> Option<Duration> {
        let can_fail = self.config.durable && !self.has_all_parts(in_flight);
        can_fail.then(|| in_flight.since.saturating_add(self.config.timeout))
    }

    fn has_all_parts(&self, in_flight: &InFlight) -> bool {
        in_flight.parts.len() == self.config.tasks.len()
    }

    /// Commits what is next, and ends when the last of it is done.
    fn commit(&mut self, actions: &mut Vec<Action>) {
        self.begin_commits(actions);
        let Some(barrier) = self.last_barrier.filter(|_| self.phase == Phase::Committing && self.commits.is_empty())
        else {
            return;
        };
        self.phase = Phase::WritingEnd;
        match (self.config.durable, barrier.kind) {
            (false, _) => self.end(actions),
            (true, BarrierKind::Drain) => actions.push(Action::WriteFinished { epoch: barrier.epoch }),
            (true, _) => actions.push(Action::WriteConfirm { epoch: barrier.epoch }),
        }
    }

    fn begin_commits(&mut self, actions: &mut Vec<Action>) {
        let commit = |(sink, epoch, committables)| Action::Commit { sink, epoch, committables };
        actions.extend(self.commits.begin().into_iter().map(commit));
    }

    fn end(&mut self, actions: &mut Vec<Action>) {
        self.phase = Phase::Over;
        let epoch = self.last_barrier.map_or(self.last.epoch, |barrier| barrier.epoch);
        let stops = std::mem::take(&mut self.requests.stops);
        actions.extend(stops.into_iter().map(|id| Action::Answer { id, result: Ok(epoch) }));
        actions.push(Action::Done);
    }

    /// Sends the next barriers for which there is a reason, as long as nothing stands in their way.
    fn trigger(&mut self, now: Duration, actions: &mut Vec<Action>) {
        while let Some(kind) = self.next_kind(now).filter(|_| self.may_trigger()) {
            let epoch = self.next_epoch;
            let barrier = Barrier { epoch, kind, covered: self.last.epoch };
            self.next_epoch = epoch.next();
            self.last_trigger = now;
            self.last_barrier = kind.is_last().then_some(barrier);
            // Any checkpoint from here on contains what an earlier request wanted to be in one.
            let mut requests = std::mem::take(&mut self.requests.checkpoints);
            let is_pinned = std::mem::take(&mut self.requests.keeps_next);
            requests.append(&mut self.requests.savepoints);
            self.requests.is_due = false;
            let in_flight = InFlight { barrier, since: now, parts: BTreeMap::new(), requests, is_pinned };
            self.in_flight.insert(epoch, in_flight);
            actions.push(Action::Inject(barrier));
        }
    }

    fn may_trigger(&self) -> bool {
        self.phase == Phase::Running
            && self.last_barrier.is_none()
            && self.in_flight.len() < self.config.max_concurrent.max(1)
            && self.commits.longest() < self.config.max_pending_epochs.max(1)
    }

    fn next_kind(&self, now: Duration) -> Option<BarrierKind> {
        if self.config.sources.iter().all(|source| self.ended.contains(source)) {
            // Also where a stop was asked for: final watermarks are through, so that this is the end.
            return Some(BarrierKind::Drain);
        }
        if self.requests.is_draining {
            return None;
        }
        if self.is_stopping() {
            return Some(BarrierKind::Stop);
        }
        if !self.config.durable {
            return None;
        }
        if !self.requests.savepoints.is_empty() {
            return Some(BarrierKind::Savepoint);
        }
        let is_due = self.requests.is_due || self.next_periodic().is_some_and(|due| due <= now);
        let is_wanted = !self.requests.checkpoints.is_empty() || is_due && !self.waits_for_compaction();
        is_wanted.then_some(BarrierKind::Checkpoint)
    }

    /// Whether checkpoints that nobody asks for wait until state files are put together: space, and the time of a
    /// restart, are bounded however long that takes.
    fn waits_for_compaction(&self) -> bool {
        self.compactions.running().any(|table| {
            let tables = self.last.operators.get(&table.operator).map(|state| &state.tables);
            let state = tables.and_then(|tables| tables.iter().find(|state| state.name == table.table));
            state.is_some_and(self.config.is_overgrown)
        })
    }

    fn next_periodic(&self) -> Option<Duration> {
        let interval = self.config.interval.filter(|_| self.config.durable)?;
        let after_pause = self.last_end.map_or(Duration::ZERO, |end| end.saturating_add(self.config.min_pause));
        Some(self.last_trigger.saturating_add(interval).max(after_pause))
    }

    /// The manifest whose writing has come to its end.
    fn written(&mut self, epoch: Epoch) -> Result<Writing> {
        self.writing
            .take_if(|writing| writing.manifest.epoch == epoch)
            .ok_or_else(|| Error::bug(format!("an answer came for manifest {epoch}, which was not being written")))
    }
}

/// All tables of a manifest.
fn tables(operators: &mut BTreeMap<OperatorId, OperatorState>) -> impl Iterator<Item = (TableId, &mut TableState)> {
    operators.iter_mut().flat_map(|(operator, state)| {
        let id = |table: &TableState| TableId { operator: operator.clone(), table: table.name.clone() };
        state.tables.iter_mut().map(move |table| (id(table), table))
    })
}

/// For how many checkpoints that are over a late acknowledgement is still told from a repeated one.
const OWED_EPOCHS: usize = 64;

#[cfg(test)]
mod tests;
