//! SUM and AVG of floating-point numbers, compensated after Neumaier: what a sum loses in its last bits is kept beside
//! it, so that the result hardly depends on the order of the rows.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::state::{AggregateState, Rows, StateField, array, compute, numbers, pick, primitive, validity};
use crate::error::Result;
use crate::expressions::one_nan;

/// A floating-point type.
pub(super) trait Float: Copy {
    fn widen(self) -> f64;
    fn narrow(wide: f64) -> Self;
}

impl Float for f32 {
    fn widen(self) -> f64 {
        f64::from(self)
    }
    fn narrow(wide: f64) -> Self {
        wide as Self
    }
}

impl Float for f64 {
    fn widen(self) -> f64 {
        self
    }
    fn narrow(wide: f64) -> Self {
        wide
    }
}

/// Sum, what the sum has lost, and count of the values.
#[derive(Debug)]
pub(super) struct FloatSum<T> {
    average: bool,
    sums: Vec<f64>,
    lost: Vec<f64>,
    counts: Vec<i64>,
    of: PhantomData<fn() -> T>,
}

impl<T> FloatSum<T> {
    pub(super) fn new(average: bool) -> Self {
        Self { average, sums: Vec::new(), lost: Vec::new(), counts: Vec::new(), of: PhantomData }
    }

    #[inline(always)]
    fn add(&mut self, slot: usize, value: f64) {
        let sum = self.sums[slot];
        let total = sum + value;
        let lost = if sum.abs() >= value.abs() { (sum - total) + value } else { (value - total) + sum };
        self.lost[slot] += lost;
        self.sums[slot] = total;
    }

    fn sum(&self, slot: usize) -> f64 {
        // After an infinity the sum says it all and what it lost is no number.
        let sum = self.sums[slot];
        if sum.is_finite() { sum + self.lost[slot] } else { sum }
    }
}

impl<T: ArrowPrimitiveType<Native: Float> + Debug> AggregateState for FloatSum<T> {
    fn fields(&self) -> Vec<StateField> {
        vec![("sum", DataType::Float64, false), ("lost", DataType::Float64, false), ("count", DataType::Int64, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, 0.0);
        self.lost.resize(slots, 0.0);
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.primitive::<T>()?;
        rows.each(|slot, row, sign| {
            let value = values[row].widen();
            self.add(slot, if sign < 0 { -value } else { value });
            self.counts[slot] += sign;
        });
        Ok(())
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let (sums, lost) = (primitive::<Float64Type>(&columns[0])?, primitive::<Float64Type>(&columns[1])?);
        let counts = numbers(&columns[2])?;
        for (row, slot) in slots.iter().enumerate() {
            let slot = *slot as usize;
            self.add(slot, sums.value(row) * sign as f64);
            self.lost[slot] += lost.value(row) * sign as f64;
            self.counts[slot] += sign * counts[row];
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let (sums, lost) = (pick(&self.sums, slots), pick(&self.lost, slots));
        Ok(vec![array::<Float64Type>(sums), array::<Float64Type>(lost), array::<Int64Type>(pick(&self.counts, slots))])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let (sums, lost) = (std::mem::take(&mut self.sums), std::mem::take(&mut self.lost));
        let counts = std::mem::take(&mut self.counts);
        Ok(vec![array::<Float64Type>(sums), array::<Float64Type>(lost), array::<Int64Type>(counts)])
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        let length = self.sums.len();
        let value = |slot| {
            let sum = self.sum(slot);
            one_nan(if self.average { sum / self.counts[slot] as f64 } else { sum })
        };
        let values: Vec<T::Native> = compute(slots, length, |slot| T::Native::narrow(value(slot)));
        let nulls = validity(slots, length, |slot| self.counts[slot] != 0);
        Ok(Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls)))
    }

    fn clear(&mut self, slots: &[u32]) {
        for slot in slots {
            self.sums[*slot as usize] = 0.0;
            self.lost[*slot as usize] = 0.0;
            self.counts[*slot as usize] = 0;
        }
    }

    fn bytes(&self) -> usize {
        (self.sums.capacity() + self.lost.capacity() + self.counts.capacity()) * 8
    }

    fn invertible(&self) -> bool {
        // An infinity that came cannot be taken away again.
        false
    }
}
