//! How often each value is there, for each call that reads it: whole numbers by slot, those of one slot side by side.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field};

use crate::error::{Error, Result};
use crate::state::{SlotColumns, integers};

/// The weights. One may be below 0: of a value that went before it came.
#[derive(Debug)]
pub(super) struct DistinctWeights {
    calls: usize,
    /// `[slots × calls]`
    weights: Vec<i64>,
}

/// Rows of a batch with which values came to be there, or went, for one call.
#[derive(Debug, Default)]
pub(super) struct Crossings {
    pub(super) rows: Vec<u32>,
    /// +1 for a value that is new, −1 for one that has gone.
    pub(super) signs: Vec<i64>,
}

impl DistinctWeights {
    /// No slots yet.
    pub(super) fn new(calls: usize) -> Self {
        Self { calls, weights: Vec::new() }
    }

    /// The names of the columns: `weight`, `weight_1` and so on.
    pub(super) fn fields(calls: usize) -> impl Iterator<Item = Field> {
        (0..calls).map(|call| match call {
            0 => Field::new("weight", DataType::Int64, false),
            more => Field::new(format!("weight_{more}"), DataType::Int64, false),
        })
    }

    /// Adds the weights of the rows at hand, `[calls][rows]`, each to its slot, in order. Returns what crosses for each call;
    /// `weightless` is then the slots that are left with no weight for any call, each once.
    pub(super) fn add(&mut self, slots: &[u32], columns: &[&[i64]], weightless: &mut Vec<u32>) -> Vec<Crossings> {
        let mut crossings: Vec<Crossings> = Vec::new();
        crossings.resize_with(self.calls, Crossings::default);
        weightless.clear();
        for (row, slot) in slots.iter().enumerate() {
            let held = &mut self.weights[*slot as usize * self.calls..][..self.calls];
            let mut any = 0;
            for ((weight, column), crossings) in held.iter_mut().zip(columns).zip(&mut crossings) {
                let was_there = *weight > 0;
                *weight += column[row];
                any |= *weight;
                if was_there != (*weight > 0) {
                    crossings.rows.push(row as u32);
                    crossings.signs.push(if was_there { -1 } else { 1 });
                }
            }
            if any == 0 {
                weightless.push(*slot);
            }
        }
        // Some may have come again in a later row.
        weightless.sort_unstable();
        weightless.dedup();
        weightless.retain(|slot| self.of(*slot).iter().all(|weight| *weight == 0));
        crossings
    }

    fn of(&self, slot: u32) -> &[i64] {
        &self.weights[slot as usize * self.calls..][..self.calls]
    }

    fn each(&mut self, slots: &[u32], columns: &[ArrayRef], change: impl Fn(&mut i64, i64)) -> Result<()> {
        if columns.len() != self.calls {
            return Err(Error::bug("weights of other calls"));
        }
        for (call, column) in columns.iter().enumerate() {
            for (slot, weight) in slots.iter().zip(integers(column)?) {
                change(&mut self.weights[*slot as usize * self.calls + call], *weight);
            }
        }
        Ok(())
    }
}

impl SlotColumns for DistinctWeights {
    fn fields(&self) -> Vec<Field> {
        Self::fields(self.calls).collect()
    }

    fn resize(&mut self, slots: usize) {
        self.weights.resize(slots * self.calls, 0);
    }

    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.each(slots, columns, |weight, new| *weight = new)
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.each(slots, columns, |weight, more| *weight += more)
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let of_call = |call| slots.iter().map(move |slot| self.of(*slot)[call]);
        Ok((0..self.calls).map(|call| Arc::new(Int64Array::from_iter_values(of_call(call))) as ArrayRef).collect())
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let slots = (self.weights.len() / self.calls) as u32;
        let columns = self.gather(&(0..slots).collect::<Vec<_>>())?;
        self.weights = Vec::new();
        Ok(columns)
    }

    fn clear(&mut self, slots: &[u32]) {
        for slot in slots {
            self.weights[*slot as usize * self.calls..][..self.calls].fill(0);
        }
    }

    fn bytes(&self) -> usize {
        self.weights.capacity() * size_of::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cross_where_their_weight_does_and_stay_while_any_call_has_some() {
        let mut weights = DistinctWeights::new(2);
        weights.resize(3);
        let mut weightless = Vec::new();
        // Slot 0 comes twice for the first call; slot 1 goes before it comes; slot 2 comes for both and goes for one.
        let crossings =
            weights.add(&[0, 1, 0, 2, 1, 2], &[&[1, -1, 1, 1, 1, -1], &[0, 0, 0, 1, 0, 0]], &mut weightless);
        assert_eq!((&crossings[0].rows[..], &crossings[0].signs[..]), (&[0, 3, 5][..], &[1, 1, -1][..]));
        assert_eq!((&crossings[1].rows[..], &crossings[1].signs[..]), (&[3][..], &[1][..]));
        assert_eq!(weightless, [1]);
        // Gone and back within a batch: it is not weightless.
        let crossings = weights.add(&[0, 0], &[&[-2, 1], &[0, 0]], &mut weightless);
        assert_eq!(crossings[0].signs, [-1, 1]);
        assert_eq!(weightless, [0_u32; 0]);
        assert_eq!(weights.of(0), [1, 0]);
    }
}
