//! Alignment: a task passes a barrier on when all of its inputs have delivered it.
//!
//! An input that has delivered the barrier under way is blocked: what lies behind belongs to the next checkpoint. The
//! others are read on. An input whose rows have ended goes on delivering barriers and is waited for like any other;
//! only one that is closed, which it is behind its last barrier, counts as aligned for good.

use crate::error::{Error, Result};
use crate::stream::{Barrier, Epoch};

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
    /// The barrier that some inputs have delivered.
    under_way: Option<Barrier>,
    /// The last barrier that was passed on or given up.
    passed: Epoch,
}

#[derive(Debug, Clone, Copy, Default)]
struct Input {
    /// The last barrier that it has delivered.
    delivered: Option<Barrier>,
    closed: bool,
}

impl Aligner {
    /// Alignment over `inputs` inputs, numbered from 0.
    pub fn new(inputs: usize) -> Self {
        Self { inputs: vec![Input::default(); inputs], under_way: None, passed: Epoch::ZERO }
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
        match self.under_way {
            Some(under_way) if under_way.epoch == barrier.epoch && under_way != barrier => {
                Err(Error::bug(format!("input {input} delivered {barrier:?} where another delivered {under_way:?}")))
            }
            // A given-up barrier that the newer one has overtaken on another input.
            Some(under_way) if under_way.epoch > barrier.epoch => Ok(Aligned::Wait),
            None if barrier.epoch <= self.passed => Err(Error::bug(format!(
                "input {input} delivered epoch {}, which was passed on without it",
                barrier.epoch
            ))),
            Some(under_way) if under_way.epoch < barrier.epoch => {
                self.under_way = Some(barrier);
                match self.complete() {
                    Aligned::Wait => Ok(Aligned::Superseded(under_way)),
                    complete => Ok(complete),
                }
            }
            _ => {
                self.under_way = Some(barrier);
                Ok(self.complete())
            }
        }
    }

    /// Takes note that nothing more will come from `input`.
    pub fn close(&mut self, input: usize) -> Result<Aligned> {
        self.input(input)?.closed = true;
        Ok(self.complete())
    }

    /// Whether `input` must not be read until the barrier under way is complete or superseded.
    pub fn is_blocked(&self, input: usize) -> bool {
        let delivered = self.inputs.get(input).and_then(|state| state.delivered);
        self.under_way.is_some()
            && delivered.map(|barrier| barrier.epoch) == self.under_way.map(|barrier| barrier.epoch)
    }

    /// The barrier that some but not all inputs have delivered.
    pub fn under_way(&self) -> Option<Barrier> {
        self.under_way
    }

    /// Whether every input is closed.
    pub fn is_closed(&self) -> bool {
        self.inputs.iter().all(|input| input.closed)
    }

    fn complete(&mut self) -> Aligned {
        let Some(barrier) = self.under_way else { return Aligned::Wait };
        if !(0..self.inputs.len()).all(|input| self.inputs[input].closed || self.is_blocked(input)) {
            return Aligned::Wait;
        }
        self.under_way = None;
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
        Barrier { epoch: Epoch(epoch), kind: BarrierKind::Checkpoint, covered: Epoch::ZERO, full: false }
    }

    fn last(epoch: u64) -> Barrier {
        Barrier { kind: BarrierKind::Drain, ..barrier(epoch) }
    }

    fn blocked(aligner: &Aligner) -> Vec<usize> {
        (0..aligner.inputs.len()).filter(|input| aligner.is_blocked(*input)).collect()
    }

    #[test]
    fn only_what_delivered_is_blocked_until_all_have() {
        let mut aligner = Aligner::new(3);
        assert_eq!(aligner.on_barrier(1, barrier(1)).unwrap(), Aligned::Wait);
        assert_eq!(aligner.on_barrier(0, barrier(1)).unwrap(), Aligned::Wait);
        assert_eq!((blocked(&aligner), aligner.under_way()), (vec![0, 1], Some(barrier(1))));
        assert_eq!(aligner.on_barrier(2, barrier(1)).unwrap(), Aligned::Complete(barrier(1)));
        assert_eq!((blocked(&aligner), aligner.under_way()), (vec![], None));
        assert_eq!(Aligner::new(1).on_barrier(0, barrier(9)).unwrap(), Aligned::Complete(barrier(9)));
    }

    #[test]
    fn closed_inputs_count_as_aligned_for_good() {
        let mut aligner = Aligner::new(2);
        assert_eq!(aligner.close(0).unwrap(), Aligned::Wait);
        assert_eq!(aligner.on_barrier(1, barrier(1)).unwrap(), Aligned::Complete(barrier(1)));
        assert_eq!(aligner.on_barrier(1, last(2)).unwrap(), Aligned::Complete(last(2)));
        assert_eq!(aligner.close(1).unwrap(), Aligned::Wait);
        assert!(aligner.is_closed());
    }

    #[test]
    fn a_close_can_be_what_was_waited_for() {
        let mut aligner = Aligner::new(2);
        aligner.on_barrier(0, barrier(1)).unwrap();
        assert_eq!(aligner.close(1).unwrap(), Aligned::Complete(barrier(1)));
        assert!(!aligner.is_closed());
    }

    #[test]
    fn a_newer_barrier_takes_the_place_of_a_given_up_one() {
        let mut aligner = Aligner::new(3);
        aligner.on_barrier(0, barrier(1)).unwrap();
        assert_eq!(aligner.on_barrier(1, barrier(2)).unwrap(), Aligned::Superseded(barrier(1)));
        assert_eq!(blocked(&aligner), [1], "the first is read on up to the newer barrier");
        assert_eq!(aligner.on_barrier(2, barrier(1)).unwrap(), Aligned::Wait, "overtaken");
        assert_eq!(blocked(&aligner), [1]);
        assert_eq!(aligner.on_barrier(2, barrier(2)).unwrap(), Aligned::Wait);
        assert_eq!(aligner.on_barrier(0, barrier(2)).unwrap(), Aligned::Complete(barrier(2)));
    }

    #[test]
    fn impossible_orders_are_bugs() {
        let check = |steps: &[(usize, Barrier)], expected: &str| {
            let mut aligner = Aligner::new(2);
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
        let mut aligner = Aligner::new(2);
        aligner.close(0).unwrap();
        assert!(aligner.on_barrier(0, barrier(1)).is_err());
    }

    proptest! {
        /// Inputs that deliver all epochs, each skipping those that were given up upstream, read in any order that
        /// blocking allows: every epoch that nobody skipped is complete exactly once, in order, and the last one is.
        #[test]
        fn every_epoch_is_passed_on_once(
            skips in prop::collection::vec(prop::collection::btree_set(1u64..8, 0..3), 1..5),
            order in prop::collection::vec(any::<usize>(), 200),
        ) {
            let mut queues: Vec<Vec<Barrier>> = skips
                .iter()
                .map(|skips| (1..9).rev().filter(|e| !skips.contains(e)).map(|e| if e == 8 { last(e) } else { barrier(e) }).collect())
                .collect();
            let mut aligner = Aligner::new(queues.len());
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
