//! The start of a job: takes over its log, clears away what earlier lineages made public, lets the sinks finish what
//! the restored checkpoint holds prepared, builds the tasks, and hands them to the driver.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::attempt::{Attempt, Ending, JobSummary, Start, or_lost};
use super::build::{Environment, build, sink_context};
use super::commits::Committers;
use super::description::{PlanIds, describe, sinks};
use super::driver::Driver;
use super::events::Events;
use super::input_changes::mention_changes;
use super::notice::Notice;
use super::requests::Requests;
use super::restoring::Restoring;
use crate::checkpoint::{
    self, NewOperator, Recovery, base_manifest, check_script, current_lineage, current_script, former_lineages,
    identify, lineages, recover,
};
use crate::connectors::{Committable, JobIdentity, SourceContext};
use crate::error::{Blame, Error, Result};
use crate::plan::NodeKind;
use crate::state::{Claim, DamagedLog, FORMAT_VERSION, JobLog, Manifest, SavedCheckpoint};
use crate::storage::Store;
use crate::stream::Generation;

/// Events that may wait for the driver.
const EVENTS: usize = 1024;

/// What needs a file system, in errors about a directory that is none.
const SAVEPOINT: &str = "the savepoint that is begun from";

impl Attempt<'_> {
    /// Runs to the end.
    pub async fn run(&self, requests: &mut Requests) -> Result<JobSummary> {
        requests.begin_attempt();
        self.check_world()?;
        let mut start = match &self.config.directory {
            Some(directory) => match self.take_over(directory).await? {
                Some(start) => start,
                None => {
                    return Ok(JobSummary { ending: Ending::AlreadyFinished, counters: BTreeMap::new() });
                }
            },
            None => {
                let start = self.ephemeral();
                if self.fresh.load(Ordering::Relaxed) {
                    self.clear(std::slice::from_ref(&self.config.ephemeral_lineages)).await?;
                }
                self.mention_foreign_files(&start.base).await?;
                start
            }
        };
        let directory = match &start.log {
            Some(log) => Some(log.with(|log| Ok((log.job_directory(), log.holds())))?),
            None => None,
        };
        let identity = JobIdentity {
            job: self.config.job.clone(),
            lineage: start.base.lineage.clone(),
            generation: start.base.generation,
        };
        let committers = match self.recover_sinks(&identity, &start).await {
            Ok(committers) => committers,
            Err(error) => return Err(or_lost(error, start.log.as_ref(), self.world).await),
        };
        start.base.confirm(&start.pending);
        crate::failpoint::hit("restore.sink.fenced");
        let (sender, events) = tokio::sync::mpsc::channel(EVENTS);
        let restoring = Restoring::default();
        let environment = Environment {
            plan: self.plan,
            config: self.config,
            identity: &identity,
            directory: directory.as_ref().map(|(directory, _)| directory.clone()),
            world: self.world,
            memory: self.config.memory.clone(),
            events: Events::new(sender),
            figures: Arc::clone(&self.figures),
            notices: self.notices,
            ids: &start.ids,
            base: start.resumed.then_some(&start.base),
            progress: restoring.progress(),
        };
        // A stop does not wait for the state of a checkpoint: what would be restored is where the next start goes on.
        let built = tokio::select! {
            biased;
            built = build(&environment) => built?,
            () = requests.stop_wanted(), if start.resumed => {
                self.figures.stopping();
                requests.answer_all(start.base.epoch);
                let ending = Ending::Stopped { epoch: start.base.epoch, resumable: self.plan.can_resume() };
                return Ok(JobSummary { ending, counters: BTreeMap::new() });
            }
            never = restoring.say(self.notices), if start.resumed => match never {},
        };
        drop((environment, restoring));
        if start.resumed {
            let (job, epoch) = (&self.config.job, start.base.epoch);
            self.note(match &self.config.begin_from {
                Some(from) if start.begins => format!("job {job} begins from checkpoint {epoch} of {}", from.display()),
                Some(_) => format!(
                    "resumed job {job} from its own checkpoint {epoch}; 'execution.state-recovery.path' counts only where \
                     it has none, as with --fresh"
                ),
                None => format!("resumed job {job} from checkpoint {epoch}"),
            });
        }
        let driver = Driver::new(self, start, directory, built, events, committers);
        driver.run(requests).await
    }

    /// Says what the world lacks before anything outside is touched.
    fn check_world(&self) -> Result<()> {
        for node in &self.plan.nodes {
            let (table, checked) = match &node.kind {
                NodeKind::Source(source) => (&source.table, source.factory.check(self.world)),
                NodeKind::Sink(sink) => (&sink.table, sink.factory.check(self.world)),
                NodeKind::Chain(_) => continue,
            };
            checked.map_err(|error| error.context(format_args!("table `{table}`")))?;
        }
        match &self.config.directory {
            Some(directory) => self.config.checkpoint_store(&self.world.stores, directory).map(drop),
            None => Ok(()),
        }
    }

    /// Reads the log, decides where to go on from, and claims the job; `None` when it has finished already.
    async fn take_over(&self, directory: &Path) -> Result<Option<Start>> {
        let (store, path) = self.config.checkpoint_store(&self.world.stores, directory)?;
        let job = self.config.job.clone();
        let (stream, plan) = (self.plan.clone(), describe(self.plan, self.config.max_parallelism));
        let fresh = self.fresh.load(Ordering::Relaxed);
        let (parallelism, new_lineage) = (self.config.parallelism, self.config.new_lineage.clone());
        let (slot, claimed_before) = (Arc::clone(self.log), Arc::clone(self.lineage));
        let ephemeral = self.config.ephemeral_lineages.clone();
        let (script, is_name_chosen) = (self.config.script.clone(), self.config.is_name_chosen);
        let (begin_from, stores) = (self.config.begin_from.clone(), self.world.stores.clone());
        let (ignore_unclaimed, claims) = (self.config.ignore_unclaimed_state, self.config.claims);
        let claim = move || -> Result<(Option<JobLog>, TakenOver)> {
            let (mut log, damaged) = match fresh {
                true => JobLog::open_anew(store, &path, &job),
                false => JobLog::open(store, &path, &job).map(|log| (log, None)),
            }
            .map_err(in_checkpoints)?;
            if let Some(lineage) = claimed_before.get().filter(|_| damaged.is_none()) {
                log.check_lineage(lineage)?;
            }
            let (mut resumed, mut finished, mut changed, mut new) = (None, None, Vec::new(), Vec::new());
            let mut beginning = None;
            let mut ids = identify(&plan, &BTreeMap::new());
            let claimed = log.claim(|entries, generation| {
                if let Some(script) = script.as_ref().filter(|_| !is_name_chosen) {
                    let of_damaged = || damaged.as_ref().and_then(|damaged: &DamagedLog| damaged.script.as_ref());
                    check_script(&job, current_script(entries).or_else(of_damaged), script)?;
                }
                let lineage = match recover(entries, &plan, fresh) {
                    Recovery::Finished { manifest, ids } => {
                        finished = Some((manifest, PlanIds::new(&stream, ids)));
                        return Ok(None);
                    }
                    Recovery::Refuse(error) => return Err(error),
                    Recovery::Resume { manifest, ids: known, changed: tables, new: operators } => {
                        (ids, changed, new) = (known, tables, operators);
                        let lineage = manifest.lineage.clone();
                        resumed = Some(*manifest);
                        lineage
                    }
                    // A start that never completed a checkpoint goes on with its lineage: it has published nothing.
                    Recovery::Fresh => {
                        resumed = None;
                        if let Some(path) = &begin_from {
                            let (store, path) = stores.local_at(path, SAVEPOINT)?;
                            let saved = SavedCheckpoint::find(&(store as Arc<dyn Store>), &path)?;
                            saved.check_owner(&lineages(entries), claims)?;
                            let begun = checkpoint::begin_from(&saved.manifest, &plan, ignore_unclaimed)?;
                            (ids, new) = (begun.ids, begun.new);
                            beginning = Some(SavedCheckpoint { manifest: begun.manifest, ..saved });
                        }
                        let current = current_lineage(entries).filter(|_| !fresh);
                        current.map_or_else(|| new_lineage.clone(), str::to_owned)
                    }
                };
                let sinks = plan.operators.iter().zip(&ids).filter(|(operator, _)| operator.name == "Sink");
                let sinks = sinks.map(|(_, id)| id.to_string()).collect();
                let (job, script) = (job.clone(), script.clone());
                Ok(Some(Claim { format: FORMAT_VERSION, job, script, lineage, generation, parallelism, sinks }))
            })?;
            let Some(claim) = claimed else {
                let finished = finished.ok_or_else(|| Error::bug("a job was left alone and is not finished"))?;
                return Ok((None, TakenOver::Finished(finished.0, finished.1)));
            };
            claimed_before.get_or_init(|| claim.lineage.clone());
            let former = former_lineages(&log.entries(), &claim.lineage).into_iter().map(|claim| claim.lineage);
            let lost = damaged.iter().flat_map(|damaged| damaged.lineages.iter().cloned());
            let former = former.chain(lost).chain(fresh.then_some(ephemeral)).collect();
            let begins = beginning.is_some();
            if let Some(saved) = beginning {
                if claims {
                    saved.claim(&claim.job, &claim.lineage)?;
                }
                let adopted = saved.adopt(&log.job_directory(), claim.generation)?;
                let (job, lineage) = (claim.job.clone(), claim.lineage.clone());
                let (parent, digest) = (String::new(), String::new());
                resumed = Some(Manifest { job, lineage, parent, digest, ..adopted });
            }
            let is_resumed = resumed.is_some();
            let pending = resumed.as_ref().map_or_else(Vec::new, |manifest| manifest.pending.clone());
            let base = base_manifest(&claim, plan.max_parallelism, resumed);
            let ids = PlanIds::new(&stream, ids);
            let start = Start { base, ids, pending, log: Some(slot), resumed: is_resumed, begins };
            Ok((Some(log), TakenOver::Start(Box::new(Claimed { start, former, damaged, changed, new }))))
        };
        let slot = Arc::clone(self.log);
        let Claimed { start, former, damaged, changed, new } =
            match self.world.blocking.call(move || slot.open(claim)).await?? {
                TakenOver::Start(claimed) => *claimed,
                TakenOver::Finished(manifest, ids) => {
                    self.mention_other_input(&manifest, &ids).await?;
                    return Ok(None);
                }
            };
        for table in changed {
            self.warn(format!(
                "the query into {table} has changed where nothing is remembered: what it has written stays as it is, and \
                 only rows from here on follow the new query. --fresh starts over"
            ));
        }
        self.mention_new(&new);
        self.clear(&former).await?;
        if let (Some(damaged), Some(log)) = (damaged, &start.log) {
            self.note(format!("began anew in spite of a damaged log: {}", damaged.damage.message()));
            let log = Arc::clone(log);
            self.world.blocking.call(move || log.with(|log| log.clear_away(&damaged))).await??;
        }
        // From here on the job is this start's, and whatever fails goes on from what it has left.
        self.fresh.store(false, Ordering::Relaxed);
        if !start.resumed || start.begins {
            self.mention_foreign_files(&start.base).await?;
        }
        Ok(Some(start))
    }

    /// Says which operators start empty where others go on.
    fn mention_new(&self, new: &[NewOperator]) {
        for operator in new {
            let tables = operator.reaches.join(", ");
            if operator.sees_the_rest {
                self.warn(format!(
                    "{} is new: it starts empty and sees only the rows that are read from here on. --fresh starts over",
                    operator.called
                ));
            } else if operator.name == "Sink" {
                self.note(format!("the query into {tables} is new: it reads its input from the beginning"));
            }
        }
    }

    /// Warns of input of a finished job that it has not read, or not as it is by now.
    async fn mention_other_input(&self, manifest: &Manifest, ids: &PlanIds) -> Result<()> {
        for (index, node) in self.plan.nodes.iter().enumerate() {
            let (NodeKind::Source(source), [id]) = (&node.kind, ids.of(index)) else { continue };
            let is_kept = source.factory.is_bounded() && source.factory.can_resume();
            let Some(state) = manifest.operators.get(id).filter(|_| is_kept) else { continue };
            let context = SourceContext::new(&source.projection, self.config.batch_rows, self.world);
            mention_changes(source.factory.open(&context)?.as_ref(), &state.splits, self.notices).await;
        }
        Ok(())
    }

    /// Removes what lineages that were given up made public in the plan's sinks.
    async fn clear(&self, former: &[String]) -> Result<()> {
        let mut removed = 0;
        for lineages in former {
            for factory in sinks(self.plan) {
                let (factory, lineages, world) = (Arc::clone(factory), lineages.clone(), self.world.clone());
                removed += self.world.blocking.call(move || factory.remove_published(&lineages, &world)).await??;
            }
        }
        if removed > 0 {
            self.note(format!("removed {removed} published files of earlier runs of job {}", self.config.job));
        }
        Ok(())
    }

    /// Says what stands where the job is about to write for the first time, and is not its own: it is never touched.
    async fn mention_foreign_files(&self, base: &Manifest) -> Result<()> {
        let (job, lineage, generation) = (base.job.clone(), base.lineage.clone(), base.generation);
        let identity = JobIdentity { job, lineage, generation };
        let mut mentioned = BTreeSet::new();
        for factory in sinks(self.plan) {
            let (factory, identity, world) = (Arc::clone(factory), identity.clone(), self.world.clone());
            mentioned.extend(self.world.blocking.call(move || factory.foreign_files(&identity, &world)).await??);
        }
        for foreign in mentioned {
            self.note(foreign);
        }
        Ok(())
    }

    fn note(&self, text: String) {
        (self.notices)(Notice::Note(text));
    }

    fn warn(&self, text: String) {
        (self.notices)(Notice::Warning(text));
    }

    /// A start of which nothing is kept.
    fn ephemeral(&self) -> Start {
        let claim = Claim {
            format: FORMAT_VERSION,
            job: self.config.job.clone(),
            script: self.config.script.clone(),
            lineage: self.config.new_lineage.clone(),
            generation: Generation(1),
            parallelism: self.config.parallelism,
            sinks: Vec::new(),
        };
        let base = base_manifest(&claim, self.config.max_parallelism, None);
        let plan = describe(self.plan, self.config.max_parallelism);
        let ids = PlanIds::new(self.plan, identify(&plan, &BTreeMap::new()));
        Start { base, ids, pending: Vec::new(), log: None, resumed: false, begins: false }
    }

    /// Opens the committers; each finishes what the restored checkpoint lists as pending, once all of them have seen
    /// that they can: what one has published cannot be taken back when another has to refuse.
    async fn recover_sinks(&self, identity: &JobIdentity, start: &Start) -> Result<Committers> {
        let mut opened = Vec::new();
        for (index, node) in self.plan.nodes.iter().enumerate() {
            let (NodeKind::Sink(sink), [id]) = (&node.kind, start.ids.of(index)) else { continue };
            let context = sink_context(identity, node, id, self.config);
            let committer = sink.factory.committer(&context, self.world)?;
            let pending: Vec<Committable> =
                start.pending.iter().filter(|staged| staged.sink == id.as_str()).cloned().collect();
            opened.push((id, committer, start.history(id), pending));
        }
        for (_, committer, history, pending) in &mut opened {
            committer.check(history, pending).await?;
        }
        let mut committers = Committers::new();
        for (id, mut committer, history, pending) in opened {
            committer.recover(&history, &pending).await?;
            committers.insert(id.to_string(), committer);
        }
        Ok(committers)
    }
}

/// What came of reading the log.
enum TakenOver {
    /// The job has finished, with this checkpoint.
    Finished(Box<Manifest>, PlanIds),
    Start(Box<Claimed>),
}

/// A start that has written its claim.
struct Claimed {
    start: Start,
    /// The lineages whose output it has to clear away.
    former: Vec<String>,
    /// What of the log it has to clear away.
    damaged: Option<DamagedLog>,
    /// The tables that are written by another query by now.
    changed: Vec<String>,
    /// Operators that the checkpoint does not know.
    new: Vec<NewOperator>,
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
