//! What a start does with the log that it finds: begin, go on, do nothing, or refuse.
//!
//! A checkpoint is gone on from only if every operator that wrote it is still the same operator. There is no falling
//! back to an older one: what sinks have made public since would come twice.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::state::{Claim, FORMAT_VERSION, HASH_ID, LogEntry, Manifest, NodeState};
use crate::stream::Epoch;

/// The plan of this start, as far as a checkpoint has to fit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDescription {
    /// The number of key groups.
    pub max_parallelism: u32,
    /// All nodes that take part in checkpoints, sources and sinks among them.
    pub nodes: Vec<NodeDescription>,
    /// The names of the sinks, as committables bear them.
    pub sinks: Vec<String>,
}

/// One node of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDescription {
    /// Its name, the same in every start of the same query.
    pub name: String,
    /// Its operators in chain order.
    pub operators: Vec<OperatorDescription>,
}

/// One operator of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorDescription {
    /// Its kind.
    pub name: String,
    /// What it does, in words that change when its state means something else; empty without state.
    pub signature: String,
    /// Of a sink whose rows only add: the query that makes them.
    pub query: String,
}

/// What a start does.
#[derive(Debug, Clone)]
pub enum Recovery {
    /// Begin: there is no checkpoint in the present lineage, or it is to be ignored.
    Fresh,
    /// All input was read and is public; there is nothing to do.
    Finished {
        /// The last checkpoint.
        epoch: Epoch,
        /// The sinks whose query is another by now.
        changed: Vec<String>,
    },
    /// Go on from this checkpoint, whose pending commits come first.
    Resume {
        /// As it stands in the log.
        manifest: Box<Manifest>,
        /// The sinks that get rows of another query from here on.
        changed: Vec<String>,
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
    if let Err(error) = check_plan(manifest, plan) {
        return Recovery::Refuse(
            error
                .context(format_args!("job '{}' cannot go on from checkpoint {}", manifest.job, manifest.epoch))
                .with_help("start over with --fresh, which removes what the job has written and reads all input again")
                .with_help("or keep both: give the changed query another 'pipeline.name'"),
        );
    }
    let changed = changed_sinks(manifest, plan);
    let mut manifest = manifest.clone();
    for entry in &entries[index..] {
        match entry {
            LogEntry::Finished { epoch } => return Recovery::Finished { epoch: *epoch, changed },
            LogEntry::Confirm { epoch } if *epoch == manifest.epoch => manifest.pending.clear(),
            _ => {}
        }
    }
    Recovery::Resume { manifest, changed }
}

/// The lineage of the last claim.
pub fn current_lineage<'a>(entries: &[&'a LogEntry]) -> Option<&'a str> {
    entries.iter().rev().find_map(|entry| match entry {
        LogEntry::Claim(claim) => Some(claim.lineage.as_str()),
        _ => None,
    })
}

/// The lineages that `--fresh` has given up, each as its last claim with all sinks that it ever had: what they made
/// public has to go. Whoever begins a new lineage may die before it has cleared up, so that every start looks.
pub fn former_lineages(entries: &[&LogEntry], lineage: &str) -> Vec<Claim> {
    let mut former: Vec<Claim> = Vec::new();
    for entry in entries {
        let LogEntry::Claim(claim) = entry else { continue };
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
        nodes: BTreeMap::new(),
        pending: Vec::new(),
        pinned: false,
        digest: String::new(),
    };
    let base = resumed.unwrap_or_else(empty);
    Manifest { generation: claim.generation, parallelism: claim.parallelism, pending: Vec::new(), ..base }
}

fn check_plan(manifest: &Manifest, plan: &PlanDescription) -> Result<()> {
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
    for node in &plan.nodes {
        match manifest.nodes.get(&node.name) {
            Some(stored) => check_node(stored, node)?,
            None if node.signed().next().is_none() => {}
            None => return Err(Error::query(format!("{} is new", describe(&node.name, node.signed().map(name_of))))),
        }
    }
    for (name, stored) in &manifest.nodes {
        if stored.signed().next().is_some() && !plan.nodes.iter().any(|node| node.name == *name) {
            let operators = stored.signed().map(|operator| operator.name.as_str());
            return Err(Error::query(format!("{} is gone", describe(name, operators))));
        }
    }
    for pending in &manifest.pending {
        if !plan.sinks.contains(&pending.sink) {
            return Err(Error::query(format!("sink '{}' is gone, and rows of it are not public yet", pending.sink)));
        }
    }
    Ok(())
}

fn check_node(stored: &NodeState, node: &NodeDescription) -> Result<()> {
    let (mut stored, mut planned) = (stored.signed(), node.signed());
    loop {
        match (stored.next(), planned.next()) {
            (None, None) => return Ok(()),
            (Some(was), None) => {
                return Err(Error::query(format!("operator '{}' of node '{}' is gone", was.name, node.name)));
            }
            (None, Some(is)) => {
                return Err(Error::query(format!("operator '{}' of node '{}' is new", is.name, node.name)));
            }
            (Some(was), Some(is)) if was.name != is.name => {
                return Err(Error::query(format!(
                    "an operator of node '{}' was '{}' and is '{}'",
                    node.name, was.name, is.name
                )));
            }
            (Some(was), Some(is)) if was.signature != is.signature => {
                return Err(Error::query(format!(
                    "operator '{}' of node '{}' has changed\n  it was: {}\n  it is:  {}",
                    is.name, node.name, was.signature, is.signature
                )));
            }
            _ => {}
        }
    }
}

/// Sinks that the checkpoint fits and that get other rows from now on.
fn changed_sinks(manifest: &Manifest, plan: &PlanDescription) -> Vec<String> {
    let is_other = |node: &&NodeDescription| {
        let stored = manifest.nodes.get(&node.name).into_iter().flat_map(NodeState::signed);
        stored.zip(node.signed()).any(|(was, is)| was.query != is.query)
    };
    plan.nodes.iter().filter(is_other).map(|node| node.name.clone()).collect()
}

impl NodeDescription {
    fn signed(&self) -> impl Iterator<Item = &OperatorDescription> {
        self.operators.iter().filter(|operator| !operator.signature.is_empty())
    }
}

fn name_of(operator: &OperatorDescription) -> &str {
    &operator.name
}

fn describe<'a>(node: &str, operators: impl Iterator<Item = &'a str>) -> String {
    format!("node '{node}' (operators: {})", operators.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::OperatorState;
    use crate::stream::{Committable, Generation};
    use serde_json::json;

    fn claim(generation: u64, lineage: &str, sinks: &[&str]) -> LogEntry {
        LogEntry::Claim(Claim {
            format: FORMAT_VERSION,
            job: "counts".to_owned(),
            lineage: lineage.to_owned(),
            generation: Generation(generation),
            parallelism: 2,
            sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect(),
        })
    }

    fn manifest(epoch: u64, lineage: &str) -> Manifest {
        let LogEntry::Claim(claim) = claim(1, lineage, &[]) else { unreachable!() };
        let operators = [("window", "hour of a"), ("filter", "n > 1")].map(|(name, signature)| OperatorState {
            name: name.to_owned(),
            signature: signature.to_owned(),
            query: format!("{name} of a table"),
            tables: Vec::new(),
        });
        let node = NodeState { operators: operators.to_vec(), ..NodeState::default() };
        Manifest {
            epoch: Epoch(epoch),
            nodes: BTreeMap::from([("count".to_owned(), node)]),
            pending: vec![Committable {
                sink: "hours".to_owned(),
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

    fn plan() -> PlanDescription {
        let operator = |(name, signature): (&str, &str)| OperatorDescription {
            name: name.to_owned(),
            signature: signature.to_owned(),
            query: format!("{name} of a table"),
        };
        let operators = [("window", "hour of a"), ("filter", "n > 1")].map(operator).to_vec();
        PlanDescription {
            max_parallelism: 128,
            nodes: vec![
                NodeDescription { name: "source".to_owned(), operators: vec![] },
                NodeDescription { name: "count".to_owned(), operators },
            ],
            sinks: vec!["hours".to_owned()],
        }
    }

    fn decide(entries: &[LogEntry], fresh: bool) -> String {
        match recover(&entries.iter().collect::<Vec<_>>(), &plan(), fresh) {
            Recovery::Fresh => "fresh".to_owned(),
            Recovery::Finished { epoch, .. } => format!("finished {epoch}"),
            Recovery::Resume { manifest, .. } => {
                format!("resume {} with {} pending", manifest.epoch, manifest.pending.len())
            }
            Recovery::Refuse(error) => format!("refuse: {error}"),
        }
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
    fn what_does_not_fit_is_refused_by_name() {
        let check = |change: &dyn Fn(&mut PlanDescription), expected: &str| {
            let mut plan = plan();
            change(&mut plan);
            for finished in [false, true] {
                let mut entries = vec![claim(1, "a", &[]), checkpoint(7, "a")];
                entries.extend(finished.then_some(LogEntry::Finished { epoch: Epoch(7) }));
                let Recovery::Refuse(error) = recover(&entries.iter().collect::<Vec<_>>(), &plan, false) else {
                    panic!("{expected} was not refused");
                };
                assert_eq!(error.message(), format!("job 'counts' cannot go on from checkpoint 7: {expected}"));
                assert_eq!(error.helps().len(), 2);
            }
        };
        check(
            &|plan| plan.nodes[1].operators[0].signature = "day of a".to_owned(),
            "operator 'window' of node 'count' has changed\n  it was: hour of a\n  it is:  day of a",
        );
        check(
            &|plan| plan.nodes[1].operators[1].name = "having".to_owned(),
            "an operator of node 'count' was 'filter' and is 'having'",
        );
        check(&|plan| drop(plan.nodes[1].operators.pop()), "operator 'filter' of node 'count' is gone");
        check(
            &|plan| {
                let operator =
                    OperatorDescription { name: "rank".to_owned(), signature: "best".to_owned(), query: String::new() };
                plan.nodes[1].operators.push(operator);
            },
            "operator 'rank' of node 'count' is new",
        );
        check(&|plan| drop(plan.nodes.pop()), "node 'count' (operators: window, filter) is gone");
        check(
            &|plan| {
                let operators = plan.nodes[1].operators.clone();
                plan.nodes.push(NodeDescription { name: "join".to_owned(), operators });
            },
            "node 'join' (operators: window, filter) is new",
        );
        check(
            &|plan| plan.max_parallelism = 256,
            "'pipeline.max-parallelism' was 128 and is 256; it is fixed for the life of the state",
        );
        check(&|plan| plan.sinks.clear(), "sink 'hours' is gone, and rows of it are not public yet");
    }

    #[test]
    fn what_has_no_state_may_come_and_go() {
        let mut plan = plan();
        let calc =
            OperatorDescription { name: "calc".to_owned(), signature: String::new(), query: "renamed".to_owned() };
        plan.nodes[1].operators.insert(1, calc.clone());
        plan.nodes.push(NodeDescription { name: "chain".to_owned(), operators: vec![calc] });
        let entries = [claim(1, "a", &[]), checkpoint(7, "a")];
        let changed = |plan: &PlanDescription| match recover(&entries.iter().collect::<Vec<_>>(), plan, false) {
            Recovery::Resume { changed, .. } => changed,
            other => panic!("{other:?}"),
        };
        assert!(changed(&plan).is_empty());
        plan.nodes[1].operators[2].query = "filter of another table".to_owned();
        assert_eq!(changed(&plan), ["count"]);
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
