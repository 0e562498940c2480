//! MIN, MAX, FIRST_VALUE and LAST_VALUE of rows that are never taken back: one value a slot.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, BinaryArray, GenericByteArray, PrimitiveArray, StringArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{BinaryType, ByteArrayType, DataType, Utf8Type};

use super::state::{AggregateState, Rows, StateField, compute, primitive, validity};
use crate::error::{Error, Result};

/// Which of a slot's values is kept. Rows and partials come in their order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kept {
    Least,
    Greatest,
    First,
    Last,
}

impl Kept {
    pub(super) fn field(self, data_type: &DataType) -> StateField {
        let name = match self {
            Self::Least => "min",
            Self::Greatest => "max",
            Self::First => "first",
            Self::Last => "last",
        };
        (name, data_type.clone(), true)
    }
}

/// One of plain values.
#[derive(Debug)]
pub(super) struct Extreme<T: ArrowPrimitiveType> {
    kept: Kept,
    data_type: DataType,
    values: Vec<T::Native>,
    present: Vec<bool>,
}

impl<T: ArrowPrimitiveType> Extreme<T> {
    pub(super) fn new(kept: Kept, data_type: DataType) -> Self {
        Self { kept, data_type, values: Vec::new(), present: Vec::new() }
    }

    /// Takes the value of each row for which `is_better(value, held)`, or whose slot has none.
    #[inline(always)]
    fn keep(&mut self, rows: &Rows, is_better: impl Fn(T::Native, T::Native) -> bool) -> Result<()> {
        let input = rows.primitive::<T>()?;
        let (values, present) = (&mut self.values[..], &mut self.present[..]);
        rows.each(|slot, row, _| {
            let better = !present[slot] || is_better(input[row], values[slot]);
            values[slot] = if better { input[row] } else { values[slot] };
            present[slot] = true;
        });
        Ok(())
    }

    fn column(&self, slots: Option<&[u32]>) -> ArrayRef {
        let values = compute(slots, self.values.len(), |slot| self.values[slot]);
        let nulls = validity(slots, self.values.len(), |slot| self.present[slot]);
        let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls);
        Arc::new(array.with_data_type(self.data_type.clone()))
    }
}

impl<T: ArrowPrimitiveType + Debug> AggregateState for Extreme<T> {
    fn fields(&self) -> Vec<StateField> {
        vec![self.kept.field(&self.data_type)]
    }

    fn resize(&mut self, slots: usize) {
        self.values.resize(slots, T::default_value());
        self.present.resize(slots, false);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        match self.kept {
            Kept::Least => self.keep(rows, |value, held| value.is_lt(held)),
            Kept::Greatest => self.keep(rows, |value, held| value.is_gt(held)),
            Kept::First => self.keep(rows, |_, _| false),
            Kept::Last => self.keep(rows, |_, _| true),
        }
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], _: i64) -> Result<()> {
        let counted = primitive::<T>(&columns[0])?.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        self.update(&Rows { slots, values: Some(&columns[0]), weights: None, counted, signs: None })
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(Some(slots))])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let column = self.column(None);
        self.values.clear();
        self.present.clear();
        Ok(vec![column])
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        Ok(self.column(slots))
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.present[*slot as usize] = false);
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.present.capacity()
    }

    fn invertible(&self) -> bool {
        false
    }
}

/// One of strings or byte strings, which are compared byte by byte.
#[derive(Debug)]
pub(super) struct BytesExtreme {
    kept: Kept,
    data_type: DataType,
    values: Vec<Option<Box<[u8]>>>,
    held: usize,
}

impl BytesExtreme {
    pub(super) fn new(kept: Kept, data_type: DataType) -> Self {
        Self { kept, data_type, values: Vec::new(), held: 0 }
    }

    fn update_from<T: ByteArrayType<Offset = i32>>(&mut self, rows: &Rows, values: &ArrayRef) -> Result<()> {
        let Some(input) = values.as_any().downcast_ref::<GenericByteArray<T>>() else {
            return Err(Error::bug("one of many texts met a column of another type than it was planned for"));
        };
        let (offsets, bytes) = (input.value_offsets(), input.value_data());
        rows.each(|slot, row, _| {
            let value = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
            let held = &mut self.values[slot];
            let better = match (&held, self.kept) {
                (None, _) | (_, Kept::Last) => true,
                (_, Kept::First) => false,
                (Some(held), Kept::Least) => value < &held[..],
                (Some(held), Kept::Greatest) => value > &held[..],
            };
            if better {
                self.held = self.held + value.len() - held.as_ref().map_or(0, |held| held.len());
                *held = Some(value.into());
            }
        });
        Ok(())
    }

    fn column(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        let length = slots.map_or(self.values.len(), <[u32]>::len);
        let mut bytes = Vec::new();
        let mut offsets = Vec::with_capacity(length + 1);
        offsets.push(0);
        for row in 0..length {
            let slot = slots.map_or(row, |slots| slots[row] as usize);
            bytes.extend_from_slice(self.values[slot].as_deref().unwrap_or_default());
            offsets.push(
                i32::try_from(bytes.len()).map_err(|_| Error::world("an aggregate holds more than 2 GiB of text"))?,
            );
        }
        let nulls = validity(slots, self.values.len(), |slot| self.values[slot].is_some());
        let (offsets, bytes) = (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(bytes));
        Ok(match self.data_type {
            DataType::Utf8 => Arc::new(StringArray::try_new(offsets, bytes, nulls)?),
            _ => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
        })
    }
}

impl AggregateState for BytesExtreme {
    fn fields(&self) -> Vec<StateField> {
        vec![self.kept.field(&self.data_type)]
    }

    fn resize(&mut self, slots: usize) {
        self.values.resize(slots, None);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let Some(values) = rows.values else {
            return Err(Error::bug("one of many texts needs an argument"));
        };
        match values.data_type() {
            DataType::Utf8 => self.update_from::<Utf8Type>(rows, values),
            _ => self.update_from::<BinaryType>(rows, values),
        }
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], _: i64) -> Result<()> {
        let counted = columns[0].nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        self.update(&Rows { slots, values: Some(&columns[0]), weights: None, counted, signs: None })
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(Some(slots))?])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let column = self.column(None)?;
        self.values.clear();
        self.held = 0;
        Ok(vec![column])
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        self.column(slots)
    }

    fn clear(&mut self, slots: &[u32]) {
        for slot in slots {
            self.held -= self.values[*slot as usize].take().map_or(0, |value| value.len());
        }
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<Box<[u8]>>>() + self.held
    }

    fn invertible(&self) -> bool {
        false
    }
}
