//! Alignment: a task passes a barrier on when all of its inputs have delivered it.
//!
//! Exactly once, an input that has delivered the barrier under way is blocked: what lies behind belongs to the next
//! checkpoint. The others are read on. At least once, no input is ever blocked: barriers are only counted, and a snapshot
//! also holds rows from behind the barrier of a faster input, which come once more after a restart.
//!
//! ```text
//!                        exactly once              at least once
//!   input 0 ─ r r │5 r   waits behind │5           is read on: its rows behind │5 are in snapshot 5 too
//!   input 1 ─ r r r r    is read up to │5          is read up to │5
//! ```
//!
//! An input whose rows have ended goes on delivering barriers and is waited for like any other; only one that is closed,
//! which it is behind its last barrier, counts as aligned for good.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::stream::{Barrier, Epoch};

/// What a restart may repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointMode {
    /// Nothing: inputs wait for each other at a barrier.
    ExactlyOnce,
    /// Rows that were read while barriers were on their way: no input waits.
    AtLeastOnce,
}

/// What a barrier, or the closing of an input, leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aligned {
    /// Other inputs are still to deliver the barrier, or there is none under way.
    Wait,
    /// All inputs have delivered it: take the snapshot, pass it on; no input is blocked any more.
    Complete(Barrier),
    /// A newer barrier has taken the place of this one, whose checkpoint was given up: it is never passed on. The
    /// newer one is under way.
    Superseded(Barrier),
}

/// The inputs of one task. Nothing of this outlives a restart: a barrier under way belongs to no checkpoint.
#[derive(Debug)]
pub struct Aligner {
    inputs: Vec<Input>,
    mode: CheckpointMode,
    /// So many barriers may be under way at once; where there are more, the oldest was given up.
    most: usize,
    /// Those that some inputs have delivered.
    under_way: BTreeMap<Epoch, UnderWay>,
    /// The last barrier that was passed on.
    passed: Epoch,
    /// The last barrier that was superseded.
    superseded: Epoch,
}

#[derive(Debug, Clone, Copy, Default)]
struct Input {
    /// The last barrier that it has delivered.
    delivered: Option<Barrier>,
    closed: bool,
}

#[derive(Debug)]
struct UnderWay {
    barrier: Barrier,
    /// By input.
    delivered: Vec<bool>,
}

impl Aligner {
    /// Alignment over `inputs` inputs, numbered from 0, with at most so many checkpoints at once.
    pub fn new(inputs: usize, mode: CheckpointMode, most: usize) -> Self {
        // Inputs that wait for each other meet one barrier at a time.
        let most = if mode == CheckpointMode::ExactlyOnce { 1 } else { most.max(1) };
        let (passed, superseded) = (Epoch::ZERO, Epoch::ZERO);
        Self { inputs: vec![Input::default(); inputs], mode, most, under_way: BTreeMap::new(), passed, superseded }
    }

    /// Takes a barrier that `input` has delivered.
    pub fn on_barrier(&mut self, input: usize, barrier: Barrier) -> Result<Aligned> {
        if self.is_blocked(input) {
            return Err(Error::bug(format!("input {input} was read behind its barrier of epoch {}", barrier.epoch)));
        }
        let state = self.input(input)?;
        if state.closed {
            return Err(Error::bug(format!("input {input} delivered epoch {} after it was closed", barrier.epoch)));
        }
        if let Some(last) = state.delivered
            && (last.epoch >= barrier.epoch || last.kind.is_last())
        {
            return Err(Error::bug(format!(
                "input {input} delivered epoch {} after epoch {} ({:?})",
                barrier.epoch, last.epoch, last.kind
            )));
        }
        state.delivered = Some(barrier);
        if barrier.epoch <= self.passed {
            let epoch = barrier.epoch;
            return Err(Error::bug(format!("input {input} delivered epoch {epoch}, which was passed on without it")));
        }
        if barrier.epoch <= self.superseded || self.is_overtaken(barrier.epoch) {
            return Ok(Aligned::Wait);
        }
        let count = self.inputs.len();
        let new = || UnderWay { barrier, delivered: vec![false; count] };
        let under_way = self.under_way.entry(barrier.epoch).or_insert_with(new);
        if under_way.barrier != barrier {
            let other = under_way.barrier;
            return Err(Error::bug(format!("input {input} delivered {barrier:?} where another delivered {other:?}")));
        }
        under_way.delivered[input] = true;
        let complete = self.complete();
        if complete == Aligned::Wait && self.under_way.len() > self.most {
            let oldest = self.under_way.pop_first();
            return Ok(oldest.map_or(Aligned::Wait, |(epoch, oldest)| {
                self.superseded = epoch;
                Aligned::Superseded(oldest.barrier)
            }));
        }
        Ok(complete)
    }

    /// Takes note that nothing more will come from `input`.
    pub fn close(&mut self, input: usize) -> Result<Aligned> {
        self.input(input)?.closed = true;
        Ok(self.complete())
    }

    /// Whether `input` must not be read until the barrier under way is complete or superseded.
    pub fn is_blocked(&self, input: usize) -> bool {
        let has_delivered = |under_way: &UnderWay| under_way.delivered.get(input) == Some(&true);
        self.mode == CheckpointMode::ExactlyOnce && self.under_way.values().any(has_delivered)
    }

    /// The newest barrier that some but not all inputs have delivered.
    pub fn under_way(&self) -> Option<Barrier> {
        self.under_way.values().next_back().map(|under_way| under_way.barrier)
    }

    /// Whether every input is closed.
    pub fn is_closed(&self) -> bool {
        self.inputs.iter().all(|input| input.closed)
    }

    /// A given-up barrier that a newer one has overtaken on another input.
    fn is_overtaken(&self, epoch: Epoch) -> bool {
        self.mode == CheckpointMode::ExactlyOnce && self.under_way.keys().any(|newer| *newer > epoch)
    }

    /// The newest barrier that all have delivered. Older ones can only be those that an input has skipped, or that the
    /// newer one holds as well.
    fn complete(&mut self) -> Aligned {
        let is_complete = |under_way: &&UnderWay| {
            self.inputs.iter().zip(&under_way.delivered).all(|(input, delivered)| input.closed || *delivered)
        };
        let Some(barrier) = self.under_way.values().rev().find(is_complete).map(|under_way| under_way.barrier) else {
            return Aligned::Wait;
        };
        self.under_way.retain(|epoch, _| *epoch > barrier.epoch);
        self.passed = barrier.epoch;
        Aligned::Complete(barrier)
    }

    fn input(&mut self, input: usize) -> Result<&mut Input> {
        self.inputs.get_mut(input).ok_or_else(|| Error::bug(format!("there is no input {input}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::BarrierKind;
    use proptest::prelude::*;

    fn barrier(epoch: u64) -> Barrier {
        Barrier { epoch: Epoch(epoch), kind: BarrierKind::Checkpoint, covered: Epoch::ZERO }
    }

    fn last(epoch: u64) -> Barrier {
        Barrier { kind: BarrierKind::Drain, ..barrier(epoch) }
    }

    fn exact(inputs: usize) -> Aligner {
        Aligner::new(inputs, CheckpointMode::ExactlyOnce, 1)
    }

    fn blocked(aligner: &Aligner) -> Vec<usize> {
        (0..aligner.inputs.len()).filter(|input| aligner.is_blocked(*input)).collect()
    }

    #[test]
    fn only_what_delivered_is_blocked_until_all_have() {
        let mut aligner = exact(3);
        assert_eq!(aligner.on_barrier(1, barrier(1)).unwrap(), Aligned::Wait);
        assert_eq!(aligner.on_barrier(0, barrier(1)).unwrap(), Aligned::Wait);
        assert_eq!((blocked(&aligner), aligner.under_way()), (vec![0, 1], Some(barrier(1))));
        assert_eq!(aligner.on_barrier(2, barrier(1)).unwrap(), Aligned::Complete(barrier(1)));
        assert_eq!((blocked(&aligner), aligner.under_way()), (vec![], None));
        assert_eq!(
            Aligner::new(1, CheckpointMode::ExactlyOnce, 1).on_barrier(0, barrier(9)).unwrap(),
            Aligned::Complete(barrier(9))
        );
    }

    #[test]
    fn closed_inputs_count_as_aligned_for_good() {
        let mut aligner = exact(2);
        assert_eq!(aligner.close(0).unwrap(), Aligned::Wait);
        assert_eq!(aligner.on_barrier(1, barrier(1)).unwrap(), Aligned::Complete(barrier(1)));
        assert_eq!(aligner.on_barrier(1, last(2)).unwrap(), Aligned::Complete(last(2)));
        assert_eq!(aligner.close(1).unwrap(), Aligned::Wait);
        assert!(aligner.is_closed());
    }

    #[test]
    fn a_close_can_be_what_was_waited_for() {
        let mut aligner = exact(2);
        aligner.on_barrier(0, barrier(1)).unwrap();
        assert_eq!(aligner.close(1).unwrap(), Aligned::Complete(barrier(1)));
        assert!(!aligner.is_closed());
    }

    #[test]
    fn a_newer_barrier_takes_the_place_of_a_given_up_one() {
        let mut aligner = exact(3);
        aligner.on_barrier(0, barrier(1)).unwrap();
        assert_eq!(aligner.on_barrier(1, barrier(2)).unwrap(), Aligned::Superseded(barrier(1)));
        assert_eq!(blocked(&aligner), [1], "the first is read on up to the newer barrier");
        assert_eq!(aligner.on_barrier(2, barrier(1)).unwrap(), Aligned::Wait, "overtaken");
        assert_eq!(blocked(&aligner), [1]);
        assert_eq!(aligner.on_barrier(2, barrier(2)).unwrap(), Aligned::Wait);
        assert_eq!(aligner.on_barrier(0, barrier(2)).unwrap(), Aligned::Complete(barrier(2)));
    }

    #[test]
    fn at_least_once_nothing_is_blocked_and_barriers_are_counted() {
        let mut aligner = Aligner::new(2, CheckpointMode::AtLeastOnce, 2);
        assert_eq!(aligner.on_barrier(0, barrier(1)).unwrap(), Aligned::Wait);
        assert_eq!(aligner.on_barrier(0, barrier(2)).unwrap(), Aligned::Wait);
        assert_eq!(blocked(&aligner), [0; 0]);
        assert_eq!(aligner.on_barrier(1, barrier(1)).unwrap(), Aligned::Complete(barrier(1)));
        assert_eq!(aligner.on_barrier(0, barrier(3)).unwrap(), Aligned::Wait);
        assert_eq!(aligner.on_barrier(0, barrier(4)).unwrap(), Aligned::Superseded(barrier(2)), "given up");
        assert_eq!(aligner.on_barrier(1, barrier(2)).unwrap(), Aligned::Wait, "superseded");
        assert_eq!(aligner.on_barrier(1, barrier(4)).unwrap(), Aligned::Complete(barrier(4)), "1 skipped epoch 3");
        assert_eq!(aligner.under_way(), None);
        assert_eq!(aligner.on_barrier(0, barrier(5)).unwrap(), Aligned::Wait);
        assert_eq!(aligner.on_barrier(0, last(6)).unwrap(), Aligned::Wait);
        assert_eq!(aligner.close(1).unwrap(), Aligned::Complete(last(6)), "which holds epoch 5 as well");
    }

    #[test]
    fn impossible_orders_are_bugs() {
        let check = |steps: &[(usize, Barrier)], expected: &str| {
            let mut aligner = exact(2);
            let mut steps = steps.iter().map(|(input, barrier)| aligner.on_barrier(*input, *barrier));
            let error = steps.find_map(Result::err).expect("an error");
            assert!(error.message().contains(expected), "{error}");
            assert!(steps.next().is_none());
        };
        check(&[(0, barrier(1)), (0, barrier(2))], "input 0 was read behind its barrier");
        check(&[(0, barrier(1)), (1, last(1))], "where another delivered");
        check(&[(0, barrier(2)), (1, barrier(2)), (1, barrier(2))], "after epoch 2");
        check(&[(0, last(2)), (1, last(2)), (1, barrier(3))], "after epoch 2 (Drain)");
        check(&[(2, barrier(1))], "there is no input 2");
        let mut aligner = exact(2);
        aligner.close(0).unwrap();
        assert!(aligner.on_barrier(0, barrier(1)).is_err());
    }

    proptest! {
        /// Inputs that deliver all epochs, each skipping those that were given up upstream, read in any order that
        /// blocking allows: every epoch that nobody skipped is complete exactly once, in order, and the last one is.
        #[test]
        fn every_epoch_is_passed_on_once(
            is_exact: bool,
            skips in prop::collection::vec(prop::collection::btree_set(1u64..8, 0..3), 1..5),
            order in prop::collection::vec(any::<usize>(), 200),
        ) {
            let mut queues: Vec<Vec<Barrier>> = skips
                .iter()
                .map(|skips| (1..9).rev().filter(|e| !skips.contains(e)).map(|e| if e == 8 { last(e) } else { barrier(e) }).collect())
                .collect();
            let mode = if is_exact { CheckpointMode::ExactlyOnce } else { CheckpointMode::AtLeastOnce };
            let mut aligner = Aligner::new(queues.len(), mode, 8);
            let mut passed = Vec::new();
            let mut order = order.into_iter().cycle();
            while queues.iter().any(|queue| !queue.is_empty()) {
                let ready: Vec<usize> = (0..queues.len())
                    .filter(|input| !aligner.is_blocked(*input) && !queues[*input].is_empty())
                    .collect();
                prop_assert!(!ready.is_empty(), "alignment is stuck");
                let input = ready[order.next().unwrap() % ready.len()];
                let barrier = queues[input].pop().unwrap();
                if let Aligned::Complete(barrier) = aligner.on_barrier(input, barrier).unwrap() {
                    passed.push(barrier.epoch.0);
                }
            }
            let expected: Vec<u64> = (1..9).filter(|epoch| skips.iter().all(|skips| !skips.contains(epoch))).collect();
            prop_assert_eq!(passed, expected);
        }
    }
}
