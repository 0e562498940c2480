//! Which stored operator is which of a plan.
//!
//! Operators that are alike (of one kind and signature, or of one table) are told apart by the tables that their rows
//! reach and by what lies before and behind them, never by their place in the plan alone: an INSERT that is put in
//! front of others, or another order of a statement set, leaves each its id.

use std::collections::{BTreeMap, BTreeSet};

use super::plan_description::PlanDescription;
use crate::state::{OperatorId, OperatorState};

/// The id of each operator of the plan, in its order; those that are `known` from a checkpoint keep theirs.
pub fn identify(plan: &PlanDescription, known: &BTreeMap<OperatorId, OperatorState>) -> Vec<OperatorId> {
    let mut alike = BTreeMap::<&OperatorId, Vec<usize>>::new();
    for (index, operator) in plan.operators.iter().enumerate() {
        alike.entry(&operator.first_id).or_default().push(index);
    }
    let mut ids = vec![OperatorId::default(); plan.operators.len()];
    for (first, mut planned) in alike {
        planned.sort_by_key(|index| {
            let operator = &plan.operators[*index];
            (&operator.reaches, &operator.surroundings, *index)
        });
        let mut stored: Vec<(usize, &OperatorState)> =
            known.iter().filter_map(|(id, state)| Some((id.ordinal_of(first)?, state))).collect();
        stored.sort_by_key(|(ordinal, _)| *ordinal);
        let mut taken: BTreeSet<usize> = stored.iter().map(|(ordinal, _)| *ordinal).collect();
        let ordinals = pair(plan, &planned, stored);
        for index in planned {
            let ordinal = ordinals.get(&index).copied().unwrap_or_else(|| {
                let free = (1..).find(|ordinal| !taken.contains(ordinal)).unwrap_or(usize::MAX);
                taken.insert(free);
                free
            });
            ids[index] = first.nth(ordinal);
        }
    }
    ids
}

/// Ordinals of stored operators by planned ones: who has the same surroundings; then who is the only one left that
/// reaches the same tables; then the only one left at all.
fn pair(plan: &PlanDescription, planned: &[usize], mut stored: Vec<(usize, &OperatorState)>) -> BTreeMap<usize, usize> {
    let mut pairs = BTreeMap::new();
    let mut left = planned.to_vec();
    left.retain(|index| {
        let operator = &plan.operators[*index];
        let is_same =
            |state: &OperatorState| operator.reaches == state.reaches && operator.surroundings == state.surroundings;
        let Some(found) = stored.iter().position(|(_, state)| is_same(state)) else { return true };
        pairs.insert(*index, stored.remove(found).0);
        false
    });
    let reach = |index: &usize| &plan.operators[*index].reaches;
    let rivals = left.clone();
    left.retain(|index| {
        let mut same = (0..stored.len()).filter(|place| stored[*place].1.reaches == *reach(index));
        let (Some(found), None) = (same.next(), same.next()) else { return true };
        if rivals.iter().filter(|rival| reach(rival) == reach(index)).count() > 1 {
            return true;
        }
        pairs.insert(*index, stored.remove(found).0);
        false
    });
    if let ([index], [(ordinal, _)]) = (left.as_slice(), stored.as_slice()) {
        pairs.insert(*index, *ordinal);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::OperatorDescription;

    /// `kind reaches surroundings` per operator.
    fn plan(operators: &[(&str, &str, &str)]) -> PlanDescription {
        let operators = operators.iter().map(|(kind, reaches, surroundings)| OperatorDescription {
            first_id: OperatorId::of_table("Source", kind),
            name: "Source".to_owned(),
            signature: (*kind).to_owned(),
            query: String::new(),
            reaches: reaches.split(' ').map(str::to_owned).collect(),
            surroundings: (*surroundings).to_owned(),
            sources: Vec::new(),
        });
        PlanDescription { max_parallelism: 128, operators: operators.collect() }
    }

    fn stored(plan: &PlanDescription) -> BTreeMap<OperatorId, OperatorState> {
        let ids = identify(plan, &BTreeMap::new());
        let state = |operator: &OperatorDescription| OperatorState {
            name: operator.name.clone(),
            reaches: operator.reaches.clone(),
            surroundings: operator.surroundings.clone(),
            ..OperatorState::default()
        };
        ids.into_iter().zip(plan.operators.iter().map(state)).collect()
    }

    fn short(ids: &[OperatorId]) -> Vec<&str> {
        ids.iter().map(|id| id.as_str().trim_start_matches("Source-")).collect()
    }

    #[test]
    fn ordinals_of_a_new_plan_do_not_hang_on_its_order() {
        let one = [("t", "b", "1"), ("t", "a", "2"), ("u", "a", "3"), ("t", "a", "1")];
        let ids = identify(&plan(&one), &BTreeMap::new());
        assert_eq!(short(&ids), ["t.3", "t.2", "u", "t"]);
        let mut other = one;
        other.reverse();
        let mut ids = identify(&plan(&other), &BTreeMap::new());
        ids.reverse();
        assert_eq!(short(&ids), ["t.3", "t.2", "u", "t"]);
    }

    #[test]
    fn what_is_put_in_front_takes_nobodys_id() {
        let before = plan(&[("t", "m", "1"), ("t", "n", "2")]);
        let known = stored(&before);
        let after = plan(&[("t", "a", "0"), ("t", "n", "2"), ("t", "m", "1")]);
        assert_eq!(short(&identify(&after, &known)), ["t.3", "t.2", "t"]);
        assert_eq!(short(&identify(&after, &BTreeMap::new())), ["t", "t.3", "t.2"], "a new job");
    }

    #[test]
    fn the_one_whose_surroundings_have_changed_is_found_by_what_it_reaches() {
        let known = stored(&plan(&[("t", "m", "1"), ("t", "n", "2")]));
        assert_eq!(short(&identify(&plan(&[("t", "n", "9"), ("t", "m", "8")]), &known)), ["t.2", "t"]);
        // One of two alike is as it was, so that the other is the other.
        let known = stored(&plan(&[("t", "m", "1"), ("t", "m", "2")]));
        assert_eq!(short(&identify(&plan(&[("t", "m", "0"), ("t", "m", "1")]), &known)), ["t.2", "t"]);
        // A late table came.
        let known = stored(&plan(&[("t", "m", "1")]));
        assert_eq!(short(&identify(&plan(&[("t", "late m", "2")]), &known)), ["t"]);
    }

    #[test]
    fn those_that_cannot_be_told_apart_are_new() {
        let known = stored(&plan(&[("t", "m", "1"), ("t", "m", "2")]));
        assert_eq!(short(&identify(&plan(&[("t", "m", "3"), ("t", "m", "4")]), &known)), ["t.3", "t.4"]);
    }
}
