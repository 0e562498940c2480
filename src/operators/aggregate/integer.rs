//! SUM and AVG of integers. Both keep the type of the argument: a sum wraps in it, an average is cut off in it.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Int64Type};

use super::state::{AggregateState, Rows, StateField, array, compute, numbers, pick, validity};
use crate::error::Result;

/// An integer type of at most 64 bits.
pub(super) trait Integer: Copy {
    fn widen(self) -> i64;
    /// The lowest bits. A sum of 64 bits cut off to fewer is the sum that wrapped in fewer.
    fn narrow(wide: i64) -> Self;
}

macro_rules! integer {
    ($($native:ty),*) => { $(impl Integer for $native {
        #[inline(always)]
        fn widen(self) -> i64 {
            i64::from(self)
        }
        fn narrow(wide: i64) -> Self {
            wide as Self
        }
    })* };
}
integer!(i8, i16, i32, i64);

/// Sum and count of the values.
#[derive(Debug)]
pub(super) struct IntegerSum<T> {
    average: bool,
    sums: Vec<i64>,
    counts: Vec<i64>,
    of: PhantomData<fn() -> T>,
}

impl<T> IntegerSum<T> {
    pub(super) fn new(average: bool) -> Self {
        Self { average, sums: Vec::new(), counts: Vec::new(), of: PhantomData }
    }
}

impl<T: ArrowPrimitiveType<Native: Integer> + Debug> AggregateState for IntegerSum<T> {
    fn fields(&self) -> Vec<StateField> {
        vec![("sum", DataType::Int64, false), ("count", DataType::Int64, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, 0);
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.primitive::<T>()?;
        let (sums, counts) = (&mut self.sums[..], &mut self.counts[..]);
        rows.each(|slot, row, sign| {
            sums[slot] = sums[slot].wrapping_add(values[row].widen().wrapping_mul(sign));
            counts[slot] += sign;
        });
        Ok(())
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let (sums, counts) = (numbers(&columns[0])?, numbers(&columns[1])?);
        for (slot, (sum, count)) in slots.iter().zip(sums.iter().zip(counts)) {
            let slot = *slot as usize;
            self.sums[slot] = self.sums[slot].wrapping_add(sum.wrapping_mul(sign));
            self.counts[slot] += sign * count;
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![array::<Int64Type>(pick(&self.sums, slots)), array::<Int64Type>(pick(&self.counts, slots))])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = (std::mem::take(&mut self.sums), std::mem::take(&mut self.counts));
        Ok(vec![array::<Int64Type>(sums), array::<Int64Type>(counts)])
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        let length = self.sums.len();
        let values: Vec<T::Native> = if self.average {
            // A count of 0 is NULL below; dividing by 1 instead keeps the loop free of a branch.
            let average =
                |slot: usize| self.sums[slot].wrapping_div(self.counts[slot] + i64::from(self.counts[slot] == 0));
            compute(slots, length, |slot| T::Native::narrow(average(slot)))
        } else {
            compute(slots, length, |slot| T::Native::narrow(self.sums[slot]))
        };
        let nulls = validity(slots, length, |slot| self.counts[slot] != 0);
        Ok(Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls)))
    }

    fn clear(&mut self, slots: &[u32]) {
        for slot in slots {
            self.sums[*slot as usize] = 0;
            self.counts[*slot as usize] = 0;
        }
    }

    fn bytes(&self) -> usize {
        (self.sums.capacity() + self.counts.capacity()) * 8
    }

    fn invertible(&self) -> bool {
        true
    }
}
