//! What the state of every aggregate can do, and the few loops that all of them share.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Int64Type};

use crate::error::{Error, Result};

/// Raw rows for one aggregate.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    /// The slot of each row.
    pub(super) slots: &'a [u32],
    /// The argument; absent for `COUNT(*)`.
    pub(super) values: Option<&'a ArrayRef>,
    /// How often the value of each row counts: `Int64`; once where absent.
    pub(super) weights: Option<&'a ArrayRef>,
    /// Which rows count: the argument is not NULL and the FILTER is true. All where absent.
    pub(super) counted: Option<NullBuffer>,
    /// +1 or −1 a row; +1 where absent.
    pub(super) signs: Option<&'a [i64]>,
}

/// A state field: name, type, whether it may be NULL.
pub(super) type StateField = (&'static str, DataType, bool);

/// The state of one aggregate for all slots.
pub(super) trait AggregateState: Debug + Send + Sync {
    fn fields(&self) -> Vec<StateField>;
    fn resize(&mut self, slots: usize);
    fn update(&mut self, rows: &Rows) -> Result<()>;
    /// Adds partial states, or takes them away where `sign` is −1 (only if [`invertible`](Self::invertible)).
    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()>;
    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>>;
    fn take(&mut self) -> Result<Vec<ArrayRef>>;
    /// The results of `slots`, or of all slots in order.
    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef>;
    fn clear(&mut self, slots: &[u32]);
    fn bytes(&self) -> usize;
    /// Whether what was merged can be taken away again without a trace.
    fn invertible(&self) -> bool;
}

impl Rows<'_> {
    /// Calls `add(slot, row, sign)` for each row that counts.
    #[inline(always)]
    pub(super) fn each(&self, mut add: impl FnMut(usize, usize, i64)) {
        match (&self.counted, self.signs) {
            (None, None) => self.slots.iter().enumerate().for_each(|(row, slot)| add(*slot as usize, row, 1)),
            (None, Some(signs)) => {
                self.slots
                    .iter()
                    .zip(signs)
                    .enumerate()
                    .for_each(|(row, (slot, sign))| add(*slot as usize, row, *sign));
            }
            (Some(counted), signs) => counted.valid_indices().for_each(|row| {
                add(self.slots[row] as usize, row, signs.map_or(1, |signs| signs[row]));
            }),
        }
    }

    /// The argument as values of `T`.
    pub(super) fn primitive<T: ArrowPrimitiveType>(&self) -> Result<&[T::Native]> {
        let values = self.values.ok_or_else(wrong_type)?;
        Ok(&primitive::<T>(values)?.values()[..])
    }
}

/// A column as values of `T`.
pub(super) fn primitive<T: ArrowPrimitiveType>(column: &ArrayRef) -> Result<&PrimitiveArray<T>> {
    column.as_any().downcast_ref::<PrimitiveArray<T>>().ok_or_else(wrong_type)
}

/// A state column of numbers that are never NULL.
pub(super) fn numbers(column: &ArrayRef) -> Result<&[i64]> {
    Ok(primitive::<Int64Type>(column)?.values())
}

fn wrong_type() -> Error {
    Error::bug("an aggregate met a column of another type than it was planned for")
}

/// Values as a column.
pub(super) fn array<T: ArrowPrimitiveType>(values: Vec<T::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), None))
}

/// The values of `slots`.
pub(super) fn pick<T: Copy>(values: &[T], slots: &[u32]) -> Vec<T> {
    slots.iter().map(|slot| values[*slot as usize]).collect()
}

/// The value of each of `slots`, or of all `length` slots, computed by `value(slot)`.
#[inline(always)]
pub(super) fn compute<T>(slots: Option<&[u32]>, length: usize, value: impl Fn(usize) -> T) -> Vec<T> {
    match slots {
        Some(slots) => slots.iter().map(|slot| value(*slot as usize)).collect(),
        None => (0..length).map(value).collect(),
    }
}

/// Marks as NULL where `valid(slot)` is false.
pub(super) fn validity(slots: Option<&[u32]>, length: usize, valid: impl Fn(usize) -> bool) -> Option<NullBuffer> {
    let nulls: NullBuffer = match slots {
        Some(slots) => slots.iter().map(|slot| valid(*slot as usize)).collect(),
        None => (0..length).map(valid).collect(),
    };
    (nulls.null_count() > 0).then_some(nulls)
}
