//! What a start does with the log that it finds: begin, go on, do nothing, or refuse.
//!
//! A checkpoint is gone on from only if every operator that wrote it is still the same operator. There is no falling
//! back to an older one: what sinks have made public since would come twice.

use std::collections::BTreeMap;

use super::difference::{Difference, describe};
use super::identity::identify;
use super::plan_description::{OperatorDescription, PlanDescription};
use crate::error::{Error, Result};
use crate::state::{Claim, FORMAT_VERSION, HASH_ID, LogEntry, Manifest, OperatorId, OperatorState};
use crate::stream::Epoch;

/// An operator that a checkpoint does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperator {
    /// Its kind.
    pub name: String,
    /// What it is in the script, for messages.
    pub called: String,
    /// The tables that its rows reach.
    pub reaches: Vec<String>,
    /// Whether a source that its rows come from has been read in part, so that it sees only what comes from here on.
    pub sees_the_rest: bool,
}

/// What a start does.
#[derive(Debug, Clone)]
pub enum Recovery {
    /// Begin: there is no checkpoint in the present lineage, or it is to be ignored.
    Fresh,
    /// All input was read and is public; there is nothing to do.
    Finished {
        /// The last checkpoint, as it stands in the log.
        manifest: Box<Manifest>,
        /// The id of each operator of the plan.
        ids: Vec<OperatorId>,
    },
    /// Go on from this checkpoint, whose pending commits come first.
    Resume {
        /// As it stands in the log.
        manifest: Box<Manifest>,
        /// The id of each operator of the plan.
        ids: Vec<OperatorId>,
        /// The tables that get rows of another query from here on.
        changed: Vec<String>,
        /// Operators that start empty.
        new: Vec<NewOperator>,
    },
    /// Do not start.
    Refuse(Error),
}

/// Decides from the entries of the job's log. With `fresh`, the caller begins a new lineage whatever they say.
pub fn recover(entries: &[&LogEntry], plan: &PlanDescription, fresh: bool) -> Recovery {
    let Some(lineage) = current_lineage(entries).filter(|_| !fresh) else { return Recovery::Fresh };
    let mut manifests = entries.iter().enumerate().filter_map(|(index, entry)| match entry {
        LogEntry::Checkpoint(manifest) if manifest.lineage == lineage => Some((index, manifest)),
        _ => None,
    });
    let Some((index, manifest)) = manifests.next_back() else { return Recovery::Fresh };
    let mut manifest = manifest.clone();
    let mut is_finished = false;
    for entry in &entries[index..] {
        if let LogEntry::Finished { epoch } | LogEntry::Confirm { epoch } = entry
            && *epoch == manifest.epoch
        {
            is_finished |= matches!(entry, LogEntry::Finished { .. });
            let committed = std::mem::take(&mut manifest.pending);
            manifest.confirm(&committed);
        }
    }
    let ids = identify(plan, &manifest.operators);
    let checked = if is_finished { check_finished(&manifest, plan, &ids) } else { check_plan(&manifest, plan, &ids) };
    if let Err(error) = checked {
        return Recovery::Refuse(
            error
                .with_help("start over with --fresh, which removes what the job has written and reads all input again")
                .with_help("or keep both: give the changed query another 'pipeline.name'"),
        );
    }
    if is_finished {
        return Recovery::Finished { manifest, ids };
    }
    let changed = changed_sinks(&manifest, plan, &ids).flat_map(|(sink, _)| sink.reaches.iter().cloned()).collect();
    let new = new_operators(&manifest, plan, &ids);
    Recovery::Resume { manifest, ids, changed, new }
}

/// The lineage of the last claim, unless its checkpoints were discarded since.
pub fn current_lineage<'a>(entries: &[&'a LogEntry]) -> Option<&'a str> {
    let ends = |entry: &&&LogEntry| matches!(entry, LogEntry::Claim(_) | LogEntry::Discarded);
    entries.iter().rev().find(ends)?.claim().map(|claim| claim.lineage.as_str())
}

/// All lineages that the job has ever had.
pub fn lineages(entries: &[&LogEntry]) -> Vec<String> {
    entries.iter().filter_map(|entry| entry.claim()).map(|claim| claim.lineage.clone()).collect()
}

/// The lineages that `--fresh` has given up, each as its last claim with all sinks that it ever had: what they made
/// public has to go. Whoever begins a new lineage may die before it has cleared up, so that every start looks. What stands
/// before the end of discarded checkpoints is nobody's: its rows stay.
pub fn former_lineages(entries: &[&LogEntry], lineage: &str) -> Vec<Claim> {
    let mut former: Vec<Claim> = Vec::new();
    for entry in entries {
        let claim = match entry {
            LogEntry::Claim(claim) => claim,
            LogEntry::Discarded => {
                former.clear();
                continue;
            }
            _ => continue,
        };
        match former.iter_mut().find(|other| other.lineage == claim.lineage) {
            _ if claim.lineage == lineage => {}
            None => former.push(claim.clone()),
            Some(other) => {
                let mut sinks = std::mem::take(&mut other.sinks);
                sinks.extend(claim.sinks.iter().filter(|sink| !sinks.contains(sink)).cloned().collect::<Vec<_>>());
                *other = Claim { sinks, ..claim.clone() };
            }
        }
    }
    former
}

/// The manifest that a coordinator starts from: an empty one, or that of the checkpoint that is gone on from, under
/// this start's claim.
pub fn base_manifest(claim: &Claim, max_parallelism: u32, resumed: Option<Manifest>) -> Manifest {
    let empty = || Manifest {
        format: FORMAT_VERSION,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        job: claim.job.clone(),
        lineage: claim.lineage.clone(),
        generation: claim.generation,
        epoch: Epoch::ZERO,
        parent: String::new(),
        hash_id: HASH_ID.to_owned(),
        max_parallelism,
        parallelism: claim.parallelism,
        operators: BTreeMap::new(),
        sinks: BTreeMap::new(),
        pending: Vec::new(),
        pinned: false,
        drained: false,
        digest: String::new(),
    };
    let base = resumed.unwrap_or_else(empty);
    Manifest { generation: claim.generation, parallelism: claim.parallelism, pending: Vec::new(), ..base }
}

/// What a checkpoint is gone on from has to fit.
pub(super) fn check_plan(manifest: &Manifest, plan: &PlanDescription, ids: &[OperatorId]) -> Result<()> {
    let checked = check_key_groups(manifest, plan).and_then(|()| check_operators(manifest, plan, ids));
    checked.map_err(|error| {
        error.context(format_args!("job '{}' cannot go on from checkpoint {}", manifest.job, manifest.epoch))
    })
}

/// A finished job is left alone if this start would write the same; otherwise somebody has to say what they want.
fn check_finished(manifest: &Manifest, plan: &PlanDescription, ids: &[OperatorId]) -> Result<()> {
    let same = || {
        if let Some((sink, was)) = changed_sinks(manifest, plan, ids).next() {
            let tables = sink.reaches.join(", ");
            let difference = Difference::of(&was.query, &sink.query);
            return Err(Error::query(format!("the query into {tables} has changed{difference}")));
        }
        let new = new_operators(manifest, plan, ids);
        match new.iter().find(|operator| operator.name == "Sink").or(new.first()) {
            None => Ok(()),
            Some(new) if new.name == "Sink" => {
                Err(Error::query(format!("the query into {} is new", new.reaches.join(", "))))
            }
            Some(new) => Err(Error::query(format!("{} is new", new.called))),
        }
    };
    check_operators(manifest, plan, ids).and_then(|()| same()).map_err(|error| {
        error
            .context(format_args!(
                "nothing was done: job '{}' has finished, and its script has changed since",
                manifest.job
            ))
            .with_id("BL-JOB-FINISHED-CHANGED")
    })
}

fn check_key_groups(manifest: &Manifest, plan: &PlanDescription) -> Result<()> {
    if manifest.hash_id != HASH_ID {
        return Err(Error::world(format!(
            "its keys are hashed by '{}', and this version has '{HASH_ID}'",
            manifest.hash_id
        ))
        .with_id("BL-STATE-VERSION"));
    }
    if manifest.max_parallelism != plan.max_parallelism {
        return Err(Error::query(format!(
            "'pipeline.max-parallelism' was {} and is {}; it is fixed for the life of the state",
            manifest.max_parallelism, plan.max_parallelism
        )));
    }
    Ok(())
}

fn check_operators(manifest: &Manifest, plan: &PlanDescription, ids: &[OperatorId]) -> Result<()> {
    let gone: Vec<(&OperatorId, &OperatorState)> =
        manifest.operators.iter().filter(|(id, state)| !state.signature.is_empty() && !ids.contains(id)).collect();
    for (operator, id) in plan.operators.iter().zip(ids).filter(|(operator, _)| operator.is_signed()) {
        let was = match manifest.operators.get(id) {
            Some(stored) => (stored.signature != operator.signature).then_some(stored),
            None => {
                let of_kind = || gone.iter().map(|(_, state)| *state).filter(|state| state.name == operator.name);
                of_kind().find(|state| state.reaches == operator.reaches).or_else(|| of_kind().next())
            }
        };
        if let Some(was) = was {
            return Err(Error::query(format!(
                "{} has changed{}",
                describe(id, &operator.name, &operator.reaches),
                Difference::of(&was.signature, &operator.signature)
            )));
        }
    }
    for pending in &manifest.pending {
        if !ids.iter().any(|id| id.as_str() == pending.sink) {
            return Err(Error::query(format!(
                "the table {} is not written any more, and rows for it are not public yet",
                pending.sink.strip_prefix("Sink-").unwrap_or(&pending.sink)
            )));
        }
    }
    match gone.first() {
        None => Ok(()),
        Some((id, was)) if was.name == "Sink" => {
            Err(Error::query(format!("the table {} is not written any more", id.table())))
        }
        Some((id, was)) => {
            let name = describe(id, &was.name, &was.reaches);
            Err(Error::query(format!("{name} is gone\n  it was: {}", was.signature)))
        }
    }
}

/// Sinks that the checkpoint fits and that get rows of another query by now; and what they were.
fn changed_sinks<'a>(
    manifest: &'a Manifest,
    plan: &'a PlanDescription,
    ids: &'a [OperatorId],
) -> impl Iterator<Item = (&'a OperatorDescription, &'a OperatorState)> {
    let signed = plan.operators.iter().zip(ids).filter(|(operator, _)| operator.is_signed());
    let known = signed.filter_map(|(operator, id)| Some((operator, manifest.operators.get(id)?)));
    known.filter(|(operator, was)| was.query != operator.query)
}

pub(super) fn new_operators(manifest: &Manifest, plan: &PlanDescription, ids: &[OperatorId]) -> Vec<NewOperator> {
    let is_known = |index: &usize| manifest.operators.contains_key(&ids[*index]);
    let new = plan.operators.iter().enumerate().filter(|(index, operator)| operator.is_signed() && !is_known(index));
    new.map(|(index, operator)| NewOperator {
        name: operator.name.clone(),
        called: describe(&ids[index], &operator.name, &operator.reaches),
        reaches: operator.reaches.clone(),
        sees_the_rest: operator.sources.iter().any(is_known),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Committable, Generation};
    use serde_json::json;

    fn claim(generation: u64, lineage: &str, sinks: &[&str]) -> LogEntry {
        LogEntry::Claim(Claim {
            format: FORMAT_VERSION,
            job: "counts".to_owned(),
            script: None,
            lineage: lineage.to_owned(),
            generation: Generation(generation),
            parallelism: 2,
            sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect(),
        })
    }

    fn manifest(epoch: u64, lineage: &str) -> Manifest {
        let LogEntry::Claim(claim) = claim(1, lineage, &[]) else { unreachable!() };
        let plan = plan();
        let state = |operator: OperatorDescription| OperatorState {
            name: operator.name,
            signature: operator.signature,
            query: operator.query,
            reaches: operator.reaches,
            surroundings: operator.surroundings,
            ..OperatorState::default()
        };
        let operators = identify(&plan, &BTreeMap::new()).into_iter().zip(plan.operators.into_iter().map(state));
        Manifest {
            epoch: Epoch(epoch),
            operators: operators.collect(),
            pending: vec![Committable {
                sink: "Sink-hours".to_owned(),
                task: 0,
                epoch: Epoch(epoch),
                rows: 1,
                files: Vec::new(),
                payload: json!(null),
            }],
            ..base_manifest(&claim, 128, None)
        }
    }

    fn checkpoint(epoch: u64, lineage: &str) -> LogEntry {
        LogEntry::Checkpoint(Box::new(manifest(epoch, lineage)))
    }

    fn operator(name: &str, signature: &str, reaches: &str, sources: &[usize]) -> OperatorDescription {
        let first_id = match name {
            "Source" | "Sink" => OperatorId::of_table(name, reaches),
            _ => OperatorId::of(name, signature),
        };
        OperatorDescription {
            first_id,
            name: name.to_owned(),
            signature: signature.to_owned(),
            query: format!("{signature} of a table"),
            reaches: vec![reaches.to_owned()],
            surroundings: String::new(),
            sources: sources.to_vec(),
        }
    }

    fn plan() -> PlanDescription {
        let operators = vec![
            operator("Source", "a", "hours", &[]),
            operator("window", "hour of a", "hours", &[0]),
            operator("filter", "n > 1", "hours", &[0]),
            operator("Sink", "hours", "hours", &[0]),
        ];
        PlanDescription { max_parallelism: 128, operators }
    }

    fn decide(entries: &[LogEntry], fresh: bool) -> String {
        match recover(&entries.iter().collect::<Vec<_>>(), &plan(), fresh) {
            Recovery::Fresh => "fresh".to_owned(),
            Recovery::Finished { manifest, .. } => format!("finished {}", manifest.epoch),
            Recovery::Resume { manifest, .. } => {
                format!("resume {} with {} pending", manifest.epoch, manifest.pending.len())
            }
            Recovery::Refuse(error) => format!("refuse: {error}"),
        }
    }

    #[test]
    fn behind_discarded_checkpoints_a_start_begins_anew_and_removes_nothing() {
        let discarded = [claim(1, "a", &["Sink-hours"]), checkpoint(1, "a"), LogEntry::Discarded];
        assert_eq!(decide(&discarded, false), "fresh");
        assert_eq!(current_lineage(&discarded.iter().collect::<Vec<_>>()), None);
        let again = [&discarded[..], &[claim(2, "b", &["Sink-hours"]), checkpoint(1, "b")]].concat();
        assert_eq!(decide(&again, false), "resume 1 with 1 pending");
        assert_eq!(former_lineages(&again.iter().collect::<Vec<_>>(), "b"), []);
        let fresh = [&again[..], &[claim(3, "c", &["Sink-hours"])]].concat();
        let former = former_lineages(&fresh.iter().collect::<Vec<_>>(), "c");
        assert_eq!(former.iter().map(|claim| claim.lineage.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn the_newest_checkpoint_of_the_present_lineage_is_gone_on_from() {
        let old = [claim(1, "a", &[]), checkpoint(1, "a"), checkpoint(2, "a")];
        assert_eq!(decide(&[], false), "fresh");
        assert_eq!(decide(&old[..1], false), "fresh");
        assert_eq!(decide(&old, false), "resume 2 with 1 pending");
        assert_eq!(decide(&[&old[..], &[claim(2, "a", &[])]].concat(), false), "resume 2 with 1 pending");
        assert_eq!(decide(&old, true), "fresh");
        let fresh = [&old[..], &[claim(2, "b", &[])]].concat();
        assert_eq!(decide(&fresh, false), "fresh", "a start of the new lineage died before its first checkpoint");
        assert_eq!(decide(&[&fresh[..], &[checkpoint(1, "b")]].concat(), false), "resume 1 with 1 pending");
    }

    #[test]
    fn confirmed_commits_are_not_pending_and_finished_jobs_are_left_alone() {
        let stopped = [claim(1, "a", &[]), checkpoint(1, "a"), LogEntry::Confirm { epoch: Epoch(1) }];
        assert_eq!(decide(&stopped, false), "resume 1 with 0 pending");
        let went_on = [&stopped[..], &[claim(2, "a", &[]), checkpoint(2, "a")]].concat();
        assert_eq!(decide(&went_on, false), "resume 2 with 1 pending");
        let finished = [&went_on[..], &[LogEntry::Finished { epoch: Epoch(2) }]].concat();
        assert_eq!(decide(&finished, false), "finished 2");
        assert_eq!(decide(&finished, true), "fresh");
        assert_eq!(decide(&[&finished[..], &[claim(3, "b", &[])]].concat(), false), "fresh");
    }

    #[test]
    fn a_confirm_entry_makes_what_was_pending_known_to_be_public() {
        let sinks = |entries: &[LogEntry]| match recover(&entries.iter().collect::<Vec<_>>(), &plan(), false) {
            Recovery::Resume { manifest, .. } => manifest.sinks,
            other => panic!("{other:?}"),
        };
        let mut known = manifest(7, "a");
        known.confirm(&[Committable { task: 1, epoch: Epoch(5), ..known.pending[0].clone() }]);
        let entries =
            [claim(1, "a", &[]), LogEntry::Checkpoint(Box::new(known)), LogEntry::Confirm { epoch: Epoch(7) }];
        let confirmed = |sinks: &BTreeMap<String, crate::state::SinkState>| sinks["Sink-hours"].confirmed.clone();
        assert_eq!(confirmed(&sinks(&entries[..2])), BTreeMap::from([(1, Epoch(5))]));
        let stopped = sinks(&entries);
        assert_eq!(confirmed(&stopped), BTreeMap::from([(0, Epoch(7)), (1, Epoch(5))]));
        assert_eq!(stopped["Sink-hours"].last_confirmed(), Some(Epoch(7)));
    }

    fn refused(plan: &PlanDescription, is_finished: bool) -> Error {
        let mut entries = vec![claim(1, "a", &[]), checkpoint(7, "a")];
        entries.extend(is_finished.then_some(LogEntry::Finished { epoch: Epoch(7) }));
        match recover(&entries.iter().collect::<Vec<_>>(), plan, false) {
            Recovery::Refuse(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        const CANNOT: &str = "job 'counts' cannot go on from checkpoint 7";
        const ANOTHER: &str = "nothing was done: job 'counts' has finished, and its script has changed since";
        let check = |change: &dyn Fn(&mut PlanDescription), expected: &str| {
            let mut plan = plan();
            change(&mut plan);
            for (is_finished, context) in [(false, CANNOT), (true, ANOTHER)] {
                let error = refused(&plan, is_finished);
                assert_eq!(error.message(), format!("{context}: {expected}"));
                assert_eq!(error.id(), is_finished.then_some("BL-JOB-FINISHED-CHANGED"));
                assert_eq!(error.helps().len(), 2);
            }
        };
        check(
            &|plan| plan.operators[1] = operator("window", "day of a", "hours", &[0]),
            "operator 'window' of the query into hours has changed\n  it was: hour of a\n  it is:  day of a",
        );
        check(
            &|plan| plan.operators[0].signature = "b".to_owned(),
            "the table hours, which is read by the query into hours, has changed\n  it was: a\n  it is:  b",
        );
        check(
            &|plan| plan.operators[2] = operator("having", "n > 1", "hours", &[0]),
            "operator 'filter' of the query into hours is gone\n  it was: n > 1",
        );
        check(
            &|plan| drop(plan.operators.remove(2)),
            "operator 'filter' of the query into hours is gone\n  it was: n > 1",
        );
        let without_sink = PlanDescription { operators: plan().operators[..3].to_vec(), ..plan() };
        let pending = "the table hours is not written any more, and rows for it are not public yet";
        assert_eq!(refused(&without_sink, false).message(), format!("{CANNOT}: {pending}"));
        let gone = "the table hours is not written any more";
        assert_eq!(refused(&without_sink, true).message(), format!("{ANOTHER}: {gone}"));
    }

    #[test]
    fn key_groups_are_fixed_as_long_as_there_is_state_to_go_on_from() {
        let plan = PlanDescription { max_parallelism: 256, ..plan() };
        let expected = "'pipeline.max-parallelism' was 128 and is 256; it is fixed for the life of the state";
        let error = refused(&plan, false);
        assert_eq!(error.message(), format!("job 'counts' cannot go on from checkpoint 7: {expected}"));
        let finished = [claim(1, "a", &[]), checkpoint(7, "a"), LogEntry::Finished { epoch: Epoch(7) }];
        let recovery = recover(&finished.iter().collect::<Vec<_>>(), &plan, false);
        assert!(matches!(recovery, Recovery::Finished { .. }), "{recovery:?}");
    }

    /// Where a job that goes on would only say so.
    #[test]
    fn a_finished_job_that_would_write_something_else_is_refused() {
        let mut other = plan();
        other.operators[3].query = "filter of another table".to_owned();
        let message = refused(&other, true).message().to_owned();
        assert!(
            message.ends_with(
                "the query into hours has changed\n  it was: hours of a table\n  it is:  filter of another table"
            ),
            "{message}"
        );
        let mut more = plan();
        more.operators.push(operator("Source", "b", "days", &[]));
        more.operators.push(operator("Sink", "days", "days", &[4]));
        let message = refused(&more, true).message().to_owned();
        assert!(message.ends_with("has changed since: the query into days is new"), "{message}");
    }

    fn resumed(plan: &PlanDescription) -> (Vec<OperatorId>, Vec<String>, Vec<NewOperator>) {
        let entries = [claim(1, "a", &[]), checkpoint(7, "a")];
        match recover(&entries.iter().collect::<Vec<_>>(), plan, false) {
            Recovery::Resume { ids, changed, new, .. } => (ids, changed, new),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_has_no_state_may_come_and_go() {
        let mut plan = plan();
        plan.operators.insert(1, operator("calc", "", "hours", &[0]));
        let (_, changed, new) = resumed(&plan);
        assert!(changed.is_empty() && new.is_empty(), "{changed:?} {new:?}");
        plan.operators[3].query = "filter of another table".to_owned();
        assert_eq!(resumed(&plan).1, ["hours"]);
    }

    #[test]
    fn every_state_is_found_behind_an_insert_that_was_put_in_front() {
        let mut after = plan();
        let front = [
            OperatorDescription {
                first_id: plan().operators[0].first_id.clone(),
                ..operator("Source", "a", "days", &[])
            },
            operator("window", "hour of a", "days", &[0]),
            operator("Sink", "days", "days", &[0]),
        ];
        after.operators.iter_mut().flat_map(|operator| &mut operator.sources).for_each(|source| *source += front.len());
        after.operators.splice(0..0, front);
        let (ids, changed, new) = resumed(&after);
        assert_eq!(ids[3..], resumed(&plan()).0);
        assert_eq!(ids[0], ids[3].nth(2), "it has the table's positions of its own");
        assert!(changed.is_empty(), "{changed:?}");
        let new: Vec<_> = new.iter().map(|new| (new.name.as_str(), new.sees_the_rest)).collect();
        assert_eq!(new, [("Source", false), ("window", false), ("Sink", false)]);
    }

    #[test]
    fn a_new_operator_behind_a_source_that_was_read_in_part_sees_only_the_rest() {
        let mut after = plan();
        after.operators.push(operator("rank", "best", "hours", &[0]));
        let new = resumed(&after).2;
        let expected = NewOperator {
            name: "rank".to_owned(),
            called: "operator 'rank' of the query into hours".to_owned(),
            reaches: vec!["hours".to_owned()],
            sees_the_rest: true,
        };
        assert_eq!(new, [expected]);
    }

    #[test]
    fn a_foreign_hash_is_refused() {
        let entry = LogEntry::Checkpoint(Box::new(Manifest { hash_id: "other/2".to_owned(), ..manifest(1, "a") }));
        assert!(decide(&[claim(1, "a", &[]), entry], false).contains("its keys are hashed by 'other/2'"));
    }

    #[test]
    fn former_lineages_come_with_all_their_sinks() {
        let entries = [claim(1, "a", &["x"]), claim(2, "a", &["y", "x"]), claim(3, "b", &["z"]), claim(4, "c", &["x"])];
        let former = former_lineages(&entries.iter().collect::<Vec<_>>(), "c");
        let short: Vec<_> =
            former.iter().map(|claim| (claim.lineage.as_str(), claim.generation.0, claim.sinks.join(" "))).collect();
        assert_eq!(short, [("a", 2, "x y".to_owned()), ("b", 3, "z".to_owned())]);
    }

    #[test]
    fn a_base_bears_the_new_claim() {
        let LogEntry::Claim(claim) = claim(5, "a", &[]) else { unreachable!() };
        let claim = Claim { parallelism: 4, ..claim };
        let base = base_manifest(&claim, 128, Some(manifest(7, "a")));
        assert_eq!(
            (base.epoch, base.generation, base.parallelism, base.pending.len()),
            (Epoch(7), Generation(5), 4, 0)
        );
        assert_eq!(base_manifest(&claim, 64, None).max_parallelism, 64);
    }
}
