//! The driver of a running job: carries out what the coordinator decides.
//!
//! ```text
//!   tasks ── Event ──▶ Coordinator::step ── Action ──▶ driver: inject, write the manifest, commit, collect garbage
//!     ▲                                                   │
//!     └──────────────── barrier into the sources ◀────────┘
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::attempt::{Attempt, Ending, JobSummary, Start, may_be_gone_on_from, or_lost};
use super::build::{BuiltJob, tasks_of};
use super::channel::RECEIVER_GONE;
use super::checkpoint_history::CheckpointHistory;
use super::commits::{Committers, commit};
use super::config::Retention;
use super::log_slot::LogSlot;
use super::notice::Notice;
use super::requests::{Requests, TakenCheckpoint};
use super::source_control::{ControlSender, SourceControl};
use crate::checkpoint::{self, Action, Coordinator, CoordinatorConfig, Event, TableId, TaskId};
use crate::connectors::Committer;
use crate::error::{Error, Result};
use crate::plan::NodeKind;
use crate::state::{
    FileName, Holds, JobDirectory, LogEntry, Manifest, OperatorId, SavedCheckpoint, TableState, Writer, compact_table,
    is_overgrown, run_to_compact, savepoint_directory,
};
use crate::stream::{Committable, Counters, Epoch, FileState, Generation};

/// What is said of a job with a source that cannot be read again.
const NOT_RESUMED: &str = "what it reads comes only once, so that nothing goes on from there: --fresh starts over";

/// What needs a file system, in errors about a directory that is none.
const SAVEPOINTS: &str = "savepoints";

/// The id of the error of a stop that took too long.
const STOP_TIMEOUT: &str = "BL-LIM-STOP-TIMEOUT";

/// Answers of background work.
enum Answer {
    Event(Event),
    Committed {
        sink: String,
        epoch: Epoch,
        committer: Box<dyn Committer>,
        result: Result<()>,
    },
    Compacted {
        prefix: String,
        table: TableId,
        replaced: Vec<FileState>,
        by: Vec<FileState>,
    },
    CompactionFailed {
        table: TableId,
        error: Error,
    },
    /// A savepoint is complete in a directory of its own, or not.
    Saved {
        id: u64,
        held: Vec<String>,
        result: Result<TakenCheckpoint>,
    },
    /// It does no harm, and the user should know.
    Notice(Notice),
    Nothing(Result<()>),
}

pub(super) struct Driver<'a> {
    attempt: &'a Attempt<'a>,
    coordinator: Coordinator,
    log: Option<Arc<LogSlot>>,
    /// The job's.
    directory: Option<JobDirectory>,
    /// What of it collection leaves alone.
    holds: Holds,
    /// The last manifest that went to the log.
    newest: Option<Arc<Manifest>>,
    generation: Generation,
    tasks: JoinSet<(TaskId, Result<()>)>,
    sources: Vec<ControlSender>,
    events: mpsc::Receiver<Event>,
    /// Work with the log: whoever does it holds the job's lock.
    background: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Compactions, which are slow and which nobody waits for.
    compacting: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Compactions begun so far, which names their files.
    compactions: u64,
    /// What the paths of compacted files begin with that no manifest names yet: they are held.
    held: Vec<String>,
    /// Those that the manifest of an epoch names, which is not complete.
    named: BTreeMap<Epoch, Vec<String>>,
    /// The commits that run: at most one per sink.
    committing: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Of the sinks for which none runs.
    committers: Committers,
    /// The newest counters of each task.
    counters: BTreeMap<TaskId, Vec<(OperatorId, Counters)>>,
    last_completed: Epoch,
    finished: bool,
    /// When a stop that was asked for must be over.
    stop_deadline: Option<Duration>,
    /// The epoch of the last barrier, once it is out.
    last_barrier: Option<Epoch>,
    /// The savepoint that belongs to the job, until it has a checkpoint of its own.
    claimed: Option<PathBuf>,
    /// A task's failure that may only follow from another's; reported if no other comes.
    suspected: Option<Error>,
}

impl<'a> Driver<'a> {
    pub fn new(
        attempt: &'a Attempt<'a>,
        start: Start,
        directory: Option<(JobDirectory, Holds)>,
        built: BuiltJob,
        events: mpsc::Receiver<Event>,
        committers: Committers,
    ) -> Self {
        let config = attempt.config;
        let ids = |nodes: &dyn Fn(&NodeKind) -> bool| -> Vec<TaskId> {
            let nodes = attempt.plan.nodes.iter().filter(|node| nodes(&node.kind));
            nodes
                .flat_map(|node| (0..tasks_of(node, config)).map(|task| TaskId { node: node.name.clone(), task }))
                .collect()
        };
        let (last_completed, generation) = (start.base.epoch, start.base.generation);
        let coordinator = Coordinator::new(
            CoordinatorConfig {
                tasks: ids(&|_| true),
                sources: ids(&|kind| matches!(kind, NodeKind::Source(_))),
                base: start.base,
                interval: config.checkpoint_interval,
                min_pause: config.checkpoint_min_pause,
                timeout: config.checkpoint_timeout,
                tolerable_failures: config.tolerable_failures,
                max_concurrent: config.max_concurrent_checkpoints,
                compact: run_to_compact,
                is_overgrown,
                max_pending_epochs: config.max_pending_epochs,
                durable: directory.is_some(),
            },
            attempt.world.clock.elapsed(),
        );
        let (directory, holds) = directory.unzip();
        let mut tasks = JoinSet::new();
        for (id, future) in built.tasks {
            tasks.spawn(async move {
                let result = future.await;
                (id, result)
            });
        }
        Self {
            attempt,
            coordinator,
            log: start.log,
            directory,
            holds: holds.unwrap_or_default(),
            newest: None,
            generation,
            tasks,
            sources: built.sources,
            events,
            background: FuturesUnordered::new(),
            compacting: FuturesUnordered::new(),
            compactions: 0,
            held: Vec::new(),
            named: BTreeMap::new(),
            committing: FuturesUnordered::new(),
            committers,
            counters: BTreeMap::new(),
            last_completed,
            finished: false,
            stop_deadline: None,
            last_barrier: None,
            claimed: config.begin_from.clone().filter(|_| config.claims),
            suspected: None,
        }
    }

    /// Runs to the end. After a failure the work with the log is waited for, as the next attempt would find the job
    /// locked by it; unless waiting is just what has failed.
    pub async fn run(mut self, requests: &mut Requests) -> Result<JobSummary> {
        match self.drive(requests).await {
            Ok(stopping) => self.end(stopping, requests).await,
            Err(error) => {
                self.tasks.abort_all();
                while error.id() != Some(STOP_TIMEOUT) && self.background.next().await.is_some() {}
                let error = or_lost(error, self.log.as_ref(), self.attempt.world).await;
                self.history().interrupted(error.message());
                Err(self.with_next_step(error))
            }
        }
    }

    /// Where the outside world failed the job, says what the next start will do.
    fn with_next_step(&self, error: Error) -> Error {
        if self.log.is_none() || !may_be_gone_on_from(&error) {
            return error;
        }
        error.with_help(match self.last_completed {
            _ if self.attempt.config.retention == Retention::UntilEnded => {
                "its checkpoints go with it: the same command reads all input again".to_owned()
            }
            last if last > Epoch::ZERO && !self.attempt.plan.can_resume() => {
                format!("rows up to checkpoint {last} are public; {NOT_RESUMED}")
            }
            Epoch::ZERO => "the same command starts the job again; nothing is public yet".to_owned(),
            last => format!("the same command goes on from checkpoint {last}"),
        })
    }

    /// Carries on until the last barrier is through and everything is committed; says whether a stop was asked for.
    async fn drive(&mut self, requests: &mut Requests) -> Result<bool> {
        loop {
            let now = self.attempt.world.clock.elapsed();
            if self.coordinator.is_stopping() {
                self.attempt.figures.stopping();
                self.check_stop(now)?;
            }
            let wakeup = self.coordinator.next_wakeup().into_iter().chain(self.stop_deadline).min();
            let wait = wakeup.map(|at| at.saturating_sub(now));
            let event = tokio::select! {
                biased;
                request = requests.next() => Some(Event::Requested(request)),
                Some(answer) = self.background.next(), if !self.background.is_empty() => self.answer(answer, requests)?,
                Some(answer) = self.committing.next(), if !self.committing.is_empty() => self.answer(answer, requests)?,
                Some(answer) = self.compacting.next(), if !self.compacting.is_empty() => self.answer(answer, requests)?,
                Some(event) = self.events.recv() => Some(event),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    self.task_ended(ended)?;
                    None
                }
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => Some(Event::Tick),
            };
            let Some(event) = event else { continue };
            if let Event::Acknowledged { epoch, task, part } = &event {
                self.history().acknowledged(*epoch, task, self.attempt.world.clock.elapsed());
                let counters = part.operators.iter().map(|operator| (operator.id.clone(), operator.counters.clone()));
                self.counters.insert(task.clone(), counters.collect());
            }
            let is_stopping = self.coordinator.is_stopping();
            let actions = self.coordinator.step(self.attempt.world.clock.elapsed(), event);
            let fails = actions.iter().any(|action| matches!(action, Action::Fail(_)));
            for action in actions {
                // The failure tells the same, once.
                if fails && matches!(action, Action::Aborted { .. }) {
                    continue;
                }
                match action {
                    Action::Answer { id, result } => match (result, requests.savepoint_target(id)) {
                        (Ok(epoch), Some(target)) => self.write_savepoint(id, epoch, target)?,
                        (result, _) => requests.answer(id, result.map(TakenCheckpoint::from)),
                    },
                    Action::Done => return Ok(is_stopping),
                    action => self.act(action)?,
                }
            }
        }
    }

    /// Gives a stop that takes too long up, and says what the next start will find.
    fn check_stop(&mut self, now: Duration) -> Result<()> {
        let timeout = self.attempt.config.stop_timeout;
        let deadline = *self.stop_deadline.get_or_insert_with(|| now.saturating_add(timeout));
        if now < deadline {
            return Ok(());
        }
        let (job, last) = (&self.attempt.config.job, self.last_completed);
        let state = if self.log.is_none() {
            "it has no checkpoints: the next start reads all input again".to_owned()
        } else if self.last_barrier.is_some_and(|barrier| barrier <= last) {
            format!("its checkpoint {last} is complete and valid; the next start commits what is left of it")
        } else if last > Epoch::ZERO {
            format!("its last complete checkpoint is {last}; the next start goes on from there")
        } else {
            "it has no complete checkpoint: the next start reads all input again".to_owned()
        };
        Err(Error::world(format!("job {job} did not stop within {} ms; {state}", timeout.as_millis()))
            .with_id(STOP_TIMEOUT)
            .with_help("allow more time: SET 'beadline.stop.timeout' = '5 min'"))
    }

    /// A task has ended: well behind the last barrier, else the job fails with its error. The first error that is
    /// reported may be that of a neighbour who only met a closed channel, so that one waits for the cause.
    fn task_ended(&mut self, ended: std::result::Result<(TaskId, Result<()>), tokio::task::JoinError>) -> Result<()> {
        let error = match ended {
            Ok((_, Ok(()))) => None,
            Ok((id, Err(error))) if error.id() == Some(RECEIVER_GONE) => {
                self.suspected.get_or_insert(error.context(format!("task {} of {}", id.task, id.node)));
                None
            }
            Ok((_, Err(error))) => Some(error),
            Err(panic) => Some(Error::bug(format!("a task failed: {panic}"))),
        };
        match error {
            Some(error) => Err(error),
            None if self.tasks.is_empty() => self.suspected.take().map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    fn answer(&mut self, answer: Answer, requests: &mut Requests) -> Result<Option<Event>> {
        match answer {
            Answer::Saved { id, held, result } => {
                held.iter().for_each(|path| self.holds.let_go(path));
                requests.answer(id, result);
                Ok(None)
            }
            Answer::Event(event) => Ok(Some(event)),
            Answer::Nothing(result) => result.map(|()| None),
            Answer::Notice(notice) => {
                (self.attempt.notices)(notice);
                Ok(None)
            }
            Answer::Compacted { prefix, table, replaced, by } => {
                self.held.push(prefix);
                Ok(Some(Event::Compacted { table, replaced, by }))
            }
            Answer::CompactionFailed { table, error } => {
                (self.attempt.notices)(Notice::Warning(format!(
                    "files of state could not be put together, which is tried again behind the next checkpoint: {error}"
                )));
                Ok(Some(Event::CompactionFailed { table }))
            }
            Answer::Committed { sink, epoch, committer, result } => {
                result?;
                self.committers.insert(sink.clone(), committer);
                Ok(Some(Event::Committed { sink, epoch }))
            }
        }
    }

    /// Carries out one action.
    fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Inject(barrier) => {
                let clock = &self.attempt.world.clock;
                self.history().began(barrier, clock.now(), clock.elapsed());
                self.last_barrier = barrier.kind.is_last().then_some(barrier.epoch);
                self.tell_sources(SourceControl::Inject(barrier));
            }
            Action::EndSources => self.tell_sources(SourceControl::End),
            Action::WriteManifest(manifest) => self.write_manifest(*manifest),
            Action::Commit { sink, epoch, committables } => self.commit(sink, epoch, committables)?,
            Action::Completed { epoch } => {
                self.last_completed = epoch;
                self.attempt.figures.checkpoint_completed(epoch);
                self.history().completed(epoch, self.attempt.world.clock.elapsed());
                self.tell_sources(SourceControl::Completed(epoch));
                self.let_go(epoch);
                self.collect_garbage();
                self.remove_claimed();
            }
            Action::Aborted { epoch, error } => {
                self.history().failed(epoch, error.message());
                (self.attempt.notices)(Notice::Warning(format!("checkpoint {epoch} was given up: {error}")));
            }
            Action::WriteConfirm { epoch } => self.write_end(LogEntry::Confirm { epoch }),
            Action::WriteFinished { epoch } => {
                self.finished = true;
                self.write_end(LogEntry::Finished { epoch });
            }
            Action::Fail(error) => return Err(error),
            Action::Compact { table, state, run } => self.compact(table, *state, run),
            Action::Answer { .. } | Action::Done => {}
        }
        Ok(())
    }

    fn history(&self) -> &CheckpointHistory {
        &self.attempt.figures.checkpoint_history
    }

    fn tell_sources(&self, control: SourceControl) {
        self.sources.iter().for_each(|source| source.send(control));
    }

    fn write_manifest(&mut self, manifest: Manifest) {
        let epoch = manifest.epoch;
        let Some(log) = self.log.clone() else { return };
        self.newest = Some(Arc::new(manifest.clone()));
        self.history().sized(&manifest, self.last_completed);
        if !self.held.is_empty() {
            let paths: Vec<&str> = manifest.state_files().map(|file| file.path.as_str()).collect();
            let is_named = |prefix: &String| paths.iter().any(|path| path.starts_with(prefix.as_str()));
            let (named, held) = std::mem::take(&mut self.held).into_iter().partition(is_named);
            self.held = held;
            self.named.entry(epoch).or_default().extend::<Vec<String>>(named);
        }
        let blocking = Arc::clone(&self.attempt.world.blocking);
        self.background.push(Box::pin(async move {
            let write = move || log.with(|log| log.append(LogEntry::Checkpoint(Box::new(manifest))));
            Answer::Event(match blocking.call(write).await.and_then(|written| written) {
                Ok(digest) => Event::ManifestWritten { epoch, digest },
                Err(error) => Event::ManifestFailed { epoch, error },
            })
        }));
    }

    fn write_end(&mut self, entry: LogEntry) {
        let Some(log) = self.log.clone() else {
            self.background.push(Box::pin(async { Answer::Event(Event::EndWritten) }));
            return;
        };
        let blocking = Arc::clone(&self.attempt.world.blocking);
        self.background.push(Box::pin(async move {
            let written = blocking.call(move || log.with(|log| log.append(entry))).await.and_then(|written| written);
            match written {
                Ok(_) => Answer::Event(Event::EndWritten),
                Err(error) => Answer::Nothing(Err(error)),
            }
        }));
    }

    fn commit(&mut self, sink: String, epoch: Epoch, committables: Vec<Committable>) -> Result<()> {
        let committer = self.committers.remove(&sink);
        let mut committer = committer.ok_or_else(|| Error::bug(format!("nobody can commit to sink {sink} now")))?;
        self.committing.push(Box::pin(async move {
            let result = commit(committer.as_mut(), &sink, epoch, &committables).await;
            Answer::Committed { sink, epoch, committer, result }
        }));
        Ok(())
    }

    /// Copies the checkpoint that has just completed into a directory below `target`, on a thread of its own, and answers
    /// the request when that is done. Its files are held from here on, before another checkpoint can take its place.
    fn write_savepoint(&mut self, id: u64, epoch: Epoch, target: PathBuf) -> Result<()> {
        let newest = self.newest.clone().filter(|manifest| manifest.epoch == epoch);
        let (Some(manifest), Some(directory)) = (newest, self.directory.clone()) else {
            return Err(Error::bug(format!("checkpoint {epoch} is a savepoint and not the newest")));
        };
        let held: Vec<String> = manifest.state_files().map(|file| file.path.clone()).collect();
        held.iter().for_each(|path| self.holds.hold(path));
        let world = self.attempt.world.clone();
        self.background.push(Box::pin(async move {
            let blocking = Arc::clone(&world.blocking);
            let write = move || {
                let (store, target) = world.stores.local_at(&target, SAVEPOINTS)?;
                let to = savepoint_directory(&target, &manifest);
                let saved = SavedCheckpoint { manifest: Manifest::clone(&manifest), directory };
                saved.write(store.as_ref(), &to).map_err(|error| error.context("savepoint"))?;
                Ok(TakenCheckpoint { epoch, directory: Some(to) })
            };
            let result = blocking.call(write).await.and_then(|written| written);
            Answer::Saved { id, held, result }
        }));
        Ok(())
    }

    /// Puts files of a table together on a thread of its own. Until a complete checkpoint names them they are held.
    fn compact(&mut self, table: TableId, state: TableState, run: Range<usize>) {
        let Some(directory) = self.directory.clone() else { return };
        let (blocking, holds) = (Arc::clone(&self.attempt.world.blocking), self.holds.clone());
        let (generation, epoch, number) = (self.generation, self.last_completed, self.compactions);
        self.compactions += 1;
        self.compacting.push(Box::pin(async move {
            let of_table = table.clone();
            let work = move || {
                let replaced = state.files[run.clone()].to_vec();
                let newest = replaced.last().map_or(epoch, |file| file.epoch);
                let writer = Writer::Compaction { number, part: 0 };
                let (operator, table) = (of_table.operator.as_str(), of_table.table.as_str());
                let name = FileName { epoch: newest, generation, operator, table, writer };
                let prefix = name.path().trim_end_matches("0.parquet").to_owned();
                holds.hold(&prefix);
                match compact_table(directory.store.as_ref(), &directory.path, &name, number, &state, run) {
                    Ok(by) => Ok((prefix, replaced, by)),
                    Err(error) => {
                        holds.let_go(&prefix);
                        Err(error)
                    }
                }
            };
            match blocking.call(work).await.and_then(|done| done) {
                Ok((prefix, replaced, by)) => Answer::Compacted { prefix, table, replaced, by },
                Err(error) => Answer::CompactionFailed { table, error },
            }
        }));
    }

    /// Lets go of compacted files that the complete checkpoint of this epoch names, or an earlier one.
    fn let_go(&mut self, epoch: Epoch) {
        let later = self.named.split_off(&epoch.next());
        let prefixes = std::mem::replace(&mut self.named, later).into_values().flatten();
        prefixes.for_each(|prefix| self.holds.let_go(&prefix));
    }

    fn collect_garbage(&mut self) {
        let Some(log) = self.log.clone() else { return };
        let (blocking, retained) = (Arc::clone(&self.attempt.world.blocking), self.attempt.config.retained);
        self.background.push(Box::pin(async move {
            // What goes is decided under the lock of the log; it goes while the log is free.
            let collected = blocking.call(move || log.with(|log| log.find_garbage(retained))?.remove()).await;
            match collected.and_then(|collected| collected) {
                Ok(_) => Answer::Nothing(Ok(())),
                Err(error) => Answer::Notice(Notice::Warning(format!(
                    "files of older checkpoints could not be removed, which is tried again behind the next: {error}"
                ))),
            }
        }));
    }

    /// Removes the savepoint that the job has begun from, if it belongs to it: from here on its own checkpoints hold all.
    fn remove_claimed(&mut self) {
        let (Some(path), Some(log)) = (self.claimed.take(), self.log.clone()) else { return };
        let (blocking, stores) = (Arc::clone(&self.attempt.world.blocking), self.attempt.world.stores.clone());
        self.background.push(Box::pin(async move {
            let remove = move || {
                let lineages = log.with(|log| Ok(checkpoint::lineages(&log.entries())))?;
                let (store, path) = stores.local_at(&path, SAVEPOINTS)?;
                SavedCheckpoint::remove_claimed(store.as_ref(), &path, &lineages)
            };
            match blocking.call(remove).await.and_then(|removed| removed) {
                Ok(()) => Answer::Nothing(Ok(())),
                Err(error) => Answer::Notice(Notice::Warning(format!(
                    "the savepoint that was claimed could not be removed, which the next start tries again: {error}"
                ))),
            }
        }));
    }

    /// The last barrier has passed everything; waits for the tasks and for what runs in the background.
    async fn end(mut self, stopping: bool, requests: &mut Requests) -> Result<JobSummary> {
        while let Some(answer) = self.background.next().await {
            self.answer(answer, requests)?;
        }
        while let Some(ended) = self.tasks.join_next().await {
            self.task_ended(ended)?;
        }
        let mut counters = BTreeMap::<OperatorId, Counters>::new();
        for (operator, counts) in self.counters.values().flatten() {
            counters.entry(operator.clone()).or_default().merge(counts);
        }
        let ending = if self.finished || !stopping {
            Ending::Finished
        } else {
            let resumable = self.log.is_some() && self.attempt.plan.can_resume();
            if self.log.is_some() && !resumable {
                let job = &self.attempt.config.job;
                (self.attempt.notices)(Notice::Note(format!(
                    "job {job} stopped at checkpoint {}; {NOT_RESUMED}",
                    self.last_completed
                )));
            }
            Ending::Stopped { epoch: self.last_completed, resumable }
        };
        Ok(JobSummary { ending, counters })
    }
}
