//! An attempt at running a job: what it is made with, where it goes on from, how it ends.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use super::config::{JobConfig, Retention};
use super::description::PlanIds;
use super::log_slot::LogSlot;
use super::notice::{Notice, Notices};
use super::requests::Requests;
use super::status::JobFigures;
use crate::connectors::{Committable, History, World};
use crate::error::{Blame, Error, Result};
use crate::plan::StreamPlan;
use crate::state::{Manifest, OperatorId, SinkState};
use crate::stream::{Counter, Counters, Epoch};

/// One attempt at running a job; the supervisor makes another if the outside world failed this one.
pub struct Attempt<'a> {
    pub plan: &'a StreamPlan,
    pub config: &'a JobConfig,
    pub world: &'a World,
    pub notices: &'a Notices,
    pub figures: Arc<JobFigures>,
    /// Whether to begin a new lineage: so asked, and no attempt has come to the end of taking the job over yet.
    pub fresh: &'a AtomicBool,
    /// The lineage that an attempt has claimed: all those behind it are of the same.
    pub lineage: &'a Arc<OnceLock<String>>,
    /// Where the job's log is while an attempt has it open.
    pub log: &'a Arc<LogSlot>,
}

impl Attempt<'_> {
    /// Whether the job's checkpoints go with it, which has ended like this.
    pub(super) fn discards(&self, ended: &Result<JobSummary>, requests: &Requests) -> bool {
        let is_cancelled =
            matches!(ended, Ok(JobSummary { ending: Ending::Stopped { .. }, .. })) && !requests.has_saved_stop();
        match self.config.retention {
            Retention::Kept => false,
            Retention::UntilStopped => is_cancelled,
            Retention::UntilEnded => {
                // Others say what the user may put right before the next start, or that the log is not this start's.
                let is_final = |id: &str| id.starts_with("BL-LIM-CKPT") || id == "BL-LIM-MEMORY";
                let has_failed = matches!(ended, Err(error) if error.id().is_none_or(is_final));
                is_cancelled || has_failed
            }
        }
    }

    /// Removes the checkpoints of a job that has claimed its log and goes on no more; says whether they are given up.
    pub(super) async fn discard(&self) -> bool {
        if self.lineage.get().is_none() {
            return false;
        }
        let log = Arc::clone(self.log);
        let discard = move || log.with(|log| log.discard());
        let garbage = match self.world.blocking.call(discard).await.and_then(|garbage| garbage) {
            Ok(garbage) => garbage,
            Err(error) => {
                self.complain(&error);
                return false;
            }
        };
        if let Err(error) = self.world.blocking.call(move || garbage.remove()).await.and_then(|removed| removed) {
            self.complain(&error);
        }
        true
    }

    fn complain(&self, error: &Error) {
        let job = &self.config.job;
        (self.notices)(Notice::Warning(format!("the checkpoints of job {job} could not be removed: {error}")));
    }
}

/// Where an attempt goes on from.
pub(super) struct Start {
    pub base: Manifest,
    pub ids: PlanIds,
    /// What the restored checkpoint holds prepared and nobody has confirmed as committed. The base has none: by the
    /// next checkpoint these are committed.
    pub pending: Vec<Committable>,
    /// Open, unless nothing is kept.
    pub log: Option<Arc<LogSlot>>,
    pub resumed: bool,
    /// Whether the base is not the job's own checkpoint, but one that it begins from.
    pub begins: bool,
}

impl Start {
    /// What the checkpoint that is gone on from says of a sink.
    pub fn history(&self, sink: &OperatorId) -> History {
        if !self.resumed {
            return History::default();
        }
        let written = self.base.operators.get(sink).map_or(0, |state| state.counters.get(Counter::NumRecordsOut));
        let pending: u64 =
            self.pending.iter().filter(|staged| staged.sink == sink.as_str()).map(|staged| staged.rows).sum();
        let confirmed = self.base.sinks.get(sink.as_str()).and_then(SinkState::last_confirmed);
        History { restored: Some(self.base.epoch), confirmed, public_rows: written.saturating_sub(pending) }
    }
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

/// A job's end and what it had counted, by operator, since its first start.
#[derive(Debug, Clone)]
pub struct JobSummary {
    pub ending: Ending,
    pub counters: BTreeMap<OperatorId, Counters>,
}

/// What a failure means that may only follow from another start having taken the job over, or from its log having been
/// removed; and in any case there is nothing to go on from then.
pub(super) async fn or_lost(error: Error, log: Option<&Arc<LogSlot>>, world: &World) -> Error {
    let may_follow = may_be_gone_on_from(&error) || error.id().is_some_and(|id| id.starts_with("BL-SINK"));
    let Some(log) = log.filter(|_| may_follow) else { return error };
    let log = Arc::clone(log);
    match world.blocking.call(move || log.with(|log| log.check_owner())).await {
        Ok(Err(lost)) if matches!(lost.id(), Some("BL-JOB-FENCED" | "BL-STATE-GONE")) => lost,
        _ => error,
    }
}

/// Whether the outside world has failed the job and nothing is known against going on from its last checkpoint. Errors
/// with an id know better, but for those of failed checkpoints.
pub(super) fn may_be_gone_on_from(error: &Error) -> bool {
    matches!(error.blame(), Blame::World { .. }) && error.id().is_none_or(|id| id.starts_with("BL-LIM-CKPT"))
}
