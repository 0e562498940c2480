//! COUNT.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int64Type};

use super::state::{AggregateState, Rows, StateField, array, compute, numbers, pick};
use crate::error::Result;

/// How many rows, or values that are not NULL.
#[derive(Debug, Default)]
pub(super) struct Count {
    counts: Vec<i64>,
}

impl AggregateState for Count {
    fn fields(&self) -> Vec<StateField> {
        vec![("count", DataType::Int64, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let counts = &mut self.counts[..];
        rows.each(|slot, _, sign| counts[slot] += sign);
        Ok(())
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        for (slot, count) in slots.iter().zip(numbers(&columns[0])?) {
            self.counts[*slot as usize] += sign * count;
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![array::<Int64Type>(pick(&self.counts, slots))])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        Ok(vec![array::<Int64Type>(std::mem::take(&mut self.counts))])
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        Ok(array::<Int64Type>(compute(slots, self.counts.len(), |slot| self.counts[slot])))
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.counts[*slot as usize] = 0);
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * 8
    }

    fn invertible(&self) -> bool {
        true
    }
}
