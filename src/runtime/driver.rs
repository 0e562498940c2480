//! The driver of a job: takes over the log, restores, runs the tasks, and carries out what the coordinator decides.
//!
//! ```text
//!   tasks ── Event ──▶ Coordinator::step ── Action ──▶ driver: inject, write the manifest, commit, collect garbage
//!     ▲                                                   │
//!     └──────────────── barrier into the sources ◀────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::build::{BuiltJob, Environment, build, tasks_of};
use super::channel::RECEIVER_GONE;
use super::config::{JobConfig, Notices};
use super::description::{describe, sinks};
use super::events::Events;
use super::source::SourceControl;
use super::status::JobFigures;
use crate::checkpoint::{
    Action, Coordinator, CoordinatorConfig, Event, Recovery, TaskId, base_manifest, current_lineage, former_lineages,
    recover,
};
use crate::connectors::{Committable, Committer, JobIdentity, World};
use crate::error::{Blame, Error, Result};
use crate::plan::{NodeKind, StreamPlan};
use crate::state::{Claim, FORMAT_VERSION, JobLog, LogEntry, Manifest, Wreck};
use crate::stream::{BarrierKind, Counters, Epoch, Generation};

/// Events that may wait for the driver.
const EVENTS: usize = 1024;
/// How often a commit that failed for the outside world's sake is tried again before the job restarts.
const COMMIT_ATTEMPTS: u32 = 5;
const COMMIT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// What is said of a job with a source that cannot be read again.
const NOT_RESUMED: &str = "what it reads comes only once, so that nothing goes on from there: --fresh starts over";

/// The id of the error of a stop that took too long.
const STOP_TIMEOUT: &str = "BL-LIM-STOP-TIMEOUT";

/// What the owner of a job may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A checkpoint now.
    Checkpoint,
    /// Stop with a checkpoint.
    Stop,
}

/// How a job came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All input was read and everything is committed.
    Finished,
    /// An earlier run had finished; nothing was done.
    AlreadyFinished,
    /// Stopped on request; `resumable` says whether the next start goes on from here.
    Stopped { epoch: Epoch, resumable: bool },
}

/// A job's end and what it had counted, by node and operator, since its first start.
#[derive(Debug, Clone)]
pub struct JobSummary {
    pub ending: Ending,
    pub counters: BTreeMap<String, BTreeMap<String, Counters>>,
}

/// One attempt at running a job; the supervisor makes another if the outside world failed this one.
pub struct Attempt<'a> {
    pub plan: &'a StreamPlan,
    pub config: &'a JobConfig,
    pub world: &'a World,
    pub notices: &'a Notices,
    pub figures: Arc<JobFigures>,
    /// Whether to begin a new lineage: so asked, and no attempt has come to the end of taking the job over yet.
    pub fresh: &'a AtomicBool,
}

impl Attempt<'_> {
    /// Runs to the end.
    pub async fn run(&self, commands: &mut mpsc::Receiver<Command>) -> Result<JobSummary> {
        let start = match &self.config.directory {
            Some(directory) => match self.take_over(directory).await? {
                Some(start) => start,
                None => {
                    return Ok(JobSummary { ending: Ending::AlreadyFinished, counters: BTreeMap::new() });
                }
            },
            None => {
                let start = self.ephemeral();
                self.mention_strangers(&start.base).await?;
                start
            }
        };
        let directory = start.log.as_ref().map(|log| lock(log).directory().to_owned());
        let identity = JobIdentity {
            job: self.config.job.clone(),
            lineage: start.base.lineage.clone(),
            generation: start.base.generation,
        };
        let committers = self.recover_sinks(&identity, &start).await?;
        crate::failpoint::hit("restore.sink.fenced");
        let (sender, events) = mpsc::channel(EVENTS);
        let environment = Environment {
            plan: self.plan,
            config: self.config,
            identity: &identity,
            directory: directory.clone(),
            world: self.world,
            events: Events::new(sender),
            figures: Arc::clone(&self.figures),
            notices: self.notices,
            base: start.resumed.then_some(&start.base),
        };
        let built = build(&environment).await?;
        drop(environment);
        if start.resumed {
            (self.notices)(format!("resumed job {} from checkpoint {}", self.config.job, start.base.epoch));
        }
        let driver = Driver::new(self, start, directory, built, events, committers);
        driver.run(commands).await
    }

    /// Reads the log, decides where to go on from, and claims the job; `None` when it has finished already.
    async fn take_over(&self, directory: &Path) -> Result<Option<Start>> {
        let (store, path, job) = (Arc::clone(&self.world.store), directory.to_owned(), self.config.job.clone());
        let plan = describe(self.plan, self.config.max_parallelism);
        let fresh = self.fresh.load(Ordering::Relaxed);
        let (parallelism, new_lineage) = (self.config.parallelism, self.config.new_lineage.clone());
        let claim = move || -> Result<TakenOver> {
            let (mut log, wreck) = match fresh {
                true => JobLog::open_anew(store, &path, &job),
                false => JobLog::open(store, &path, &job).map(|log| (log, None)),
            }
            .map_err(in_checkpoints)?;
            let (mut resumed, mut changed) = (None, Vec::new());
            let claimed = log.claim(|entries, generation| {
                let lineage = match recover(entries, &plan, fresh) {
                    Recovery::Finished { changed: sinks, .. } => {
                        changed = sinks;
                        return Ok(None);
                    }
                    Recovery::Refuse(error) => return Err(error),
                    Recovery::Resume { manifest, changed: sinks } => {
                        changed = sinks;
                        let lineage = manifest.lineage.clone();
                        resumed = Some(*manifest);
                        lineage
                    }
                    // A start that never completed a checkpoint goes on with its lineage: it has published nothing.
                    Recovery::Fresh => {
                        resumed = None;
                        let current = current_lineage(entries).filter(|_| !fresh);
                        current.map_or_else(|| new_lineage.clone(), str::to_owned)
                    }
                };
                let (job, sinks) = (job.clone(), plan.sinks.clone());
                Ok(Some(Claim { format: FORMAT_VERSION, job, lineage, generation, parallelism, sinks }))
            })?;
            let Some(claim) = claimed else { return Ok(TakenOver { start: None, changed }) };
            let mut former = former_lineages(&log.entries(), &claim.lineage);
            let lost = wreck.iter().flat_map(|wreck| &wreck.lineages);
            former.extend(lost.map(|lineage| Claim { lineage: lineage.clone(), ..claim.clone() }));
            let is_resumed = resumed.is_some();
            let pending = resumed.as_ref().map_or_else(Vec::new, |manifest| manifest.pending.clone());
            let base = base_manifest(&claim, plan.max_parallelism, resumed);
            let start = Start { base, pending, log: Some(Arc::new(Mutex::new(log))), resumed: is_resumed };
            Ok(TakenOver { start: Some((start, former, wreck)), changed })
        };
        let TakenOver { start, changed } = self.world.blocking.call(claim).await??;
        for sink in changed {
            (self.notices)(format!(
                "the query of {sink} has changed where nothing is remembered: what it has written stays as it is, and \
                 only rows from here on follow the new query. --fresh starts over"
            ));
        }
        let Some((start, former, wreck)) = start else { return Ok(None) };
        self.clear(&former).await?;
        if let (Some(wreck), Some(log)) = (wreck, &start.log) {
            (self.notices)(format!("began anew in spite of a damaged log: {}", wreck.damage.message()));
            let log = Arc::clone(log);
            self.world.blocking.call(move || lock(&log).clear_away(&wreck)).await??;
        }
        // From here on the job is this start's, and whatever fails goes on from what it has left.
        self.fresh.store(false, Ordering::Relaxed);
        if !start.resumed {
            self.mention_strangers(&start.base).await?;
        }
        Ok(Some(start))
    }

    /// Removes what lineages that were given up made public in the plan's sinks.
    async fn clear(&self, former: &[Claim]) -> Result<()> {
        let mut removed = 0;
        for claim in former {
            let identity =
                JobIdentity { job: claim.job.clone(), lineage: claim.lineage.clone(), generation: claim.generation };
            for (_, factory) in sinks(self.plan) {
                let (factory, identity, world) = (Arc::clone(factory), identity.clone(), self.world.clone());
                removed += self.world.blocking.call(move || factory.remove_published(&identity, &world)).await??;
            }
        }
        if removed > 0 {
            (self.notices)(format!("removed {removed} published files of earlier runs of job {}", self.config.job));
        }
        Ok(())
    }

    /// Says what stands where the job is about to write for the first time, and is not its own: it is never touched.
    async fn mention_strangers(&self, base: &Manifest) -> Result<()> {
        let (job, lineage, generation) = (base.job.clone(), base.lineage.clone(), base.generation);
        let identity = JobIdentity { job, lineage, generation };
        let mut mentioned = BTreeSet::new();
        for (_, factory) in sinks(self.plan) {
            let (factory, identity, world) = (Arc::clone(factory), identity.clone(), self.world.clone());
            mentioned.extend(self.world.blocking.call(move || factory.strangers(&identity, &world)).await??);
        }
        for strangers in mentioned {
            (self.notices)(strangers);
        }
        Ok(())
    }

    /// A start of which nothing is kept.
    fn ephemeral(&self) -> Start {
        let claim = Claim {
            format: FORMAT_VERSION,
            job: self.config.job.clone(),
            lineage: self.config.new_lineage.clone(),
            generation: Generation(1),
            parallelism: self.config.parallelism,
            sinks: Vec::new(),
        };
        let base = base_manifest(&claim, self.config.max_parallelism, None);
        Start { base, pending: Vec::new(), log: None, resumed: false }
    }

    /// Opens the committers; each finishes what the restored checkpoint lists as pending.
    async fn recover_sinks(&self, identity: &JobIdentity, start: &Start) -> Result<Committers> {
        let pending: Vec<Committable> = start.pending.iter().map(committable).collect::<Result<_>>()?;
        let mut committers = Committers::new();
        for (name, factory) in sinks(self.plan) {
            let mut committer = factory.committer(identity, self.world)?;
            let own: Vec<Committable> = pending.iter().filter(|staged| staged.sink == name).cloned().collect();
            committer.recover(&own).await?;
            committers.insert(name.to_owned(), committer);
        }
        if let Some(lost) = pending.iter().find(|staged| !committers.contains_key(&staged.sink)) {
            return Err(Error::query(format!(
                "checkpoint {} holds {} rows for sink {}, which this query does not have",
                start.base.epoch, lost.rows, lost.sink
            ))
            .with_help("run the query that wrote the checkpoint once more, or start over with --fresh"));
        }
        Ok(committers)
    }
}

/// Where an attempt goes on from.
struct Start {
    base: Manifest,
    /// What the restored checkpoint holds prepared and nobody has confirmed as committed. The base has none: by the
    /// next checkpoint these are committed.
    pending: Vec<serde_json::Value>,
    log: Option<Arc<Mutex<JobLog>>>,
    resumed: bool,
}

/// What came of reading the log.
struct TakenOver {
    /// A start, unless the job has finished, with the lineages and what of the log it has to clear away.
    start: Option<(Start, Vec<Claim>, Option<Wreck>)>,
    /// The sinks whose query is another by now.
    changed: Vec<String>,
}

type Committers = BTreeMap<String, Box<dyn Committer>>;

fn committable(value: &serde_json::Value) -> Result<Committable> {
    serde_json::from_value(value.clone())
        .map_err(|error| Error::world(format!("a prepared commit cannot be read: {error}")).with_id("BL-STATE-CORRUPT"))
}

/// Answers of background work.
enum Answer {
    Event(Event),
    Committed { epoch: Epoch, committers: Committers, result: Result<()> },
    Nothing(Result<()>),
}

struct Driver<'a> {
    attempt: &'a Attempt<'a>,
    coordinator: Coordinator,
    log: Option<Arc<Mutex<JobLog>>>,
    tasks: JoinSet<(TaskId, Result<()>)>,
    sources: Vec<(TaskId, mpsc::Sender<SourceControl>)>,
    events: mpsc::Receiver<Event>,
    /// Work with the log: whoever does it holds the job's lock.
    background: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// The commit that runs, if one does.
    committing: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// `None` while a commit runs.
    committers: Option<Committers>,
    commits: VecDeque<(Epoch, Vec<serde_json::Value>)>,
    /// The newest counters of each task.
    counters: BTreeMap<TaskId, BTreeMap<String, Counters>>,
    last_completed: Epoch,
    finished: bool,
    /// When a stop that was asked for must be over.
    stop_deadline: Option<Duration>,
    /// The epoch of the last barrier, once it is out.
    last_barrier: Option<Epoch>,
    /// A task's failure that may only follow from another's; reported if no other comes.
    suspected: Option<Error>,
}

impl<'a> Driver<'a> {
    fn new(
        attempt: &'a Attempt<'a>,
        start: Start,
        directory: Option<PathBuf>,
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
        let last_completed = start.base.epoch;
        let coordinator = Coordinator::new(
            CoordinatorConfig {
                tasks: ids(&|_| true),
                sources: ids(&|kind| matches!(kind, NodeKind::Source(_))),
                base: start.base,
                interval: config.checkpoint_interval,
                min_pause: config.checkpoint_min_pause,
                timeout: config.checkpoint_timeout,
                tolerable_failures: config.tolerable_failures,
                max_inherited_files: 32 * config.parallelism.max(1),
                max_pending_epochs: config.max_pending_epochs,
                durable: directory.is_some(),
            },
            attempt.world.clock.elapsed(),
        );
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
            tasks,
            sources: built.sources,
            events,
            background: FuturesUnordered::new(),
            committing: FuturesUnordered::new(),
            committers: Some(committers),
            commits: VecDeque::new(),
            counters: BTreeMap::new(),
            last_completed,
            finished: false,
            stop_deadline: None,
            last_barrier: None,
            suspected: None,
        }
    }

    /// Runs to the end. After a failure the work with the log is waited for, as the next attempt would find the job
    /// locked by it; unless waiting is just what has failed.
    async fn run(mut self, commands: &mut mpsc::Receiver<Command>) -> Result<JobSummary> {
        match self.drive(commands).await {
            Ok(stopping) => self.end(stopping).await,
            Err(error) => {
                self.tasks.abort_all();
                while error.id() != Some(STOP_TIMEOUT) && self.background.next().await.is_some() {}
                Err(self.with_next_step(error))
            }
        }
    }

    /// Where the outside world failed the job, says what the next start will do. Errors with an id know better, but for
    /// those of failed checkpoints.
    fn with_next_step(&self, error: Error) -> Error {
        let is_plain = error.id().is_none_or(|id| id.starts_with("BL-LIM-CKPT"));
        if self.log.is_none() || !is_plain || !matches!(error.blame(), Blame::World { .. }) {
            return error;
        }
        error.with_help(match self.last_completed {
            last if last > Epoch::ZERO && !self.attempt.plan.can_resume() => {
                format!("rows up to checkpoint {last} are public; {NOT_RESUMED}")
            }
            Epoch::ZERO => "the same command starts the job again; nothing is public yet".to_owned(),
            last => format!("the same command goes on from checkpoint {last}"),
        })
    }

    /// Carries on until the last barrier is through and everything is committed; says whether a stop was asked for.
    async fn drive(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<bool> {
        // An earlier attempt may have been asked to stop, and failed on its way.
        let mut stopping = self.attempt.figures.read().is_stopping;
        let mut request = stopping.then_some(Event::Requested(BarrierKind::Stop));
        let mut commands_open = true;
        loop {
            let now = self.attempt.world.clock.elapsed();
            if stopping {
                self.check_stop(now)?;
            }
            let wakeup = self.coordinator.next_wakeup().into_iter().chain(self.stop_deadline).min();
            let wait = wakeup.map(|at| at.saturating_sub(now));
            let event = tokio::select! {
                biased;
                () = std::future::ready(()), if request.is_some() => request.take(),
                Some(answer) = self.background.next(), if !self.background.is_empty() => self.answer(answer)?,
                Some(answer) = self.committing.next(), if !self.committing.is_empty() => self.answer(answer)?,
                Some(event) = self.events.recv() => Some(event),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    self.task_ended(ended)?;
                    None
                }
                command = commands.recv(), if commands_open => match command {
                    Some(Command::Checkpoint) => Some(Event::Requested(BarrierKind::Checkpoint)),
                    Some(Command::Stop) => {
                        stopping = true;
                        self.attempt.figures.stopping();
                        Some(Event::Requested(BarrierKind::Stop))
                    }
                    None => {
                        commands_open = false;
                        None
                    }
                },
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => Some(Event::Tick),
            };
            let Some(event) = event else { continue };
            if let Event::Acknowledged { task, part, .. } = &event {
                self.counters.insert(task.clone(), part.counters.clone());
            }
            let actions = self.coordinator.step(self.attempt.world.clock.elapsed(), event);
            let fails = actions.iter().any(|action| matches!(action, Action::Fail(_)));
            for action in actions {
                // The failure tells the same, once.
                if fails && matches!(action, Action::Aborted { .. }) {
                    continue;
                }
                if self.act(action)? {
                    return Ok(stopping);
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

    fn answer(&mut self, answer: Answer) -> Result<Option<Event>> {
        match answer {
            Answer::Event(event) => Ok(Some(event)),
            Answer::Nothing(result) => result.map(|()| None),
            Answer::Committed { epoch, committers, result } => {
                self.committers = Some(committers);
                result?;
                self.start_commit();
                Ok(Some(Event::Committed { epoch }))
            }
        }
    }

    /// Carries out one action; true when the job has ended well.
    fn act(&mut self, action: Action) -> Result<bool> {
        match action {
            Action::Inject(barrier) => {
                self.last_barrier = barrier.kind.is_last().then_some(barrier.epoch);
                self.tell_sources(SourceControl::Inject(barrier));
            }
            Action::WriteManifest(manifest) => self.write_manifest(*manifest),
            Action::Commit { epoch, committables } => {
                self.commits.push_back((epoch, committables));
                self.start_commit();
            }
            Action::Completed { epoch } => {
                self.last_completed = epoch;
                self.attempt.figures.checkpoint_completed(epoch);
                self.tell_sources(SourceControl::Completed(epoch));
                self.collect_garbage();
            }
            Action::Aborted { epoch, error } => {
                (self.attempt.notices)(format!("checkpoint {epoch} was given up: {error}"));
            }
            Action::WriteConfirm { epoch } => self.write_end(LogEntry::Confirm { epoch }),
            Action::WriteFinished { epoch } => {
                self.finished = true;
                self.write_end(LogEntry::Finished { epoch });
            }
            Action::Done => return Ok(true),
            Action::Fail(error) => return Err(error),
        }
        Ok(false)
    }

    /// A source that does not take the message in time misses the barrier, and the checkpoint runs into its timeout.
    fn tell_sources(&self, control: SourceControl) {
        for (_, source) in &self.sources {
            let _ = source.try_send(control);
        }
    }

    fn write_manifest(&mut self, manifest: Manifest) {
        let epoch = manifest.epoch;
        let Some(log) = self.log.clone() else { return };
        let blocking = Arc::clone(&self.attempt.world.blocking);
        self.background.push(Box::pin(async move {
            let write = move || lock(&log).append(LogEntry::Checkpoint(Box::new(manifest)));
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
            let written = blocking.call(move || lock(&log).append(entry)).await.and_then(|written| written);
            match written {
                Ok(_) => Answer::Event(Event::EndWritten),
                Err(error) => Answer::Nothing(Err(error)),
            }
        }));
    }

    /// Starts the next commit unless one runs: epochs are committed one after another.
    fn start_commit(&mut self) {
        let Some(mut committers) = self.committers.take() else { return };
        let Some((epoch, committables)) = self.commits.pop_front() else {
            self.committers = Some(committers);
            return;
        };
        self.committing.push(Box::pin(async move {
            let result = commit(&mut committers, &committables).await;
            Answer::Committed { epoch, committers, result }
        }));
    }

    fn collect_garbage(&mut self) {
        let Some(log) = self.log.clone() else { return };
        let (blocking, retained) = (Arc::clone(&self.attempt.world.blocking), self.attempt.config.retained);
        self.background.push(Box::pin(async move {
            let collected = blocking.call(move || lock(&log).collect_garbage(retained)).await;
            Answer::Nothing(collected.and_then(|collected| collected.map(drop)))
        }));
    }

    /// The last barrier has passed everything; waits for the tasks and for what runs in the background.
    async fn end(mut self, stopping: bool) -> Result<JobSummary> {
        while let Some(answer) = self.background.next().await {
            self.answer(answer)?;
        }
        while let Some(ended) = self.tasks.join_next().await {
            self.task_ended(ended)?;
        }
        let mut counters: BTreeMap<String, BTreeMap<String, Counters>> = BTreeMap::new();
        for (task, of_task) in &self.counters {
            let node = counters.entry(task.node.clone()).or_default();
            for (operator, counts) in of_task {
                node.entry(operator.clone()).or_default().merge(counts);
            }
        }
        let ending = if self.finished || !stopping {
            Ending::Finished
        } else {
            let resumable = self.log.is_some() && self.attempt.plan.can_resume();
            if self.log.is_some() && !resumable {
                let job = &self.attempt.config.job;
                (self.attempt.notices)(format!(
                    "job {job} stopped at checkpoint {}; {NOT_RESUMED}",
                    self.last_completed
                ));
            }
            Ending::Stopped { epoch: self.last_completed, resumable }
        };
        Ok(JobSummary { ending, counters })
    }
}

/// Commits in order; what the outside world refuses for now is tried again a few times.
async fn commit(committers: &mut Committers, committables: &[serde_json::Value]) -> Result<()> {
    for value in committables {
        let staged = committable(value)?;
        let committer = committers
            .get_mut(&staged.sink)
            .ok_or_else(|| Error::bug(format!("nobody commits for sink {}", staged.sink)))?;
        let mut attempt = 0;
        while let Err(error) = committer.commit(&staged).await {
            attempt += 1;
            if !error.is_retryable() || attempt >= COMMIT_ATTEMPTS {
                return Err(error.context(format!("commit of epoch {} to {}", staged.epoch, staged.sink)));
            }
            tokio::time::sleep(COMMIT_RETRY_DELAY * attempt).await;
        }
    }
    Ok(())
}

/// Says what a directory is for that cannot be used.
fn in_checkpoints(error: Error) -> Error {
    match (error.blame(), error.id()) {
        (Blame::World { .. }, None) => error
            .context("checkpoints")
            .with_help("SET 'execution.checkpointing.dir' to a directory in which files can be made"),
        _ => error,
    }
}

fn lock(log: &Mutex<JobLog>) -> std::sync::MutexGuard<'_, JobLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
