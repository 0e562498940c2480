//! MIN and MAX of rows that are never taken back.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, BinaryArray, GenericByteArray, PrimitiveArray, StringArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{BinaryType, ByteArrayType, DataType, Utf8Type};

use super::state::{AggregateState, Rows, StateField, compute, primitive, validity};
use crate::error::{Error, Result};

/// The least or greatest of plain values.
#[derive(Debug)]
pub(super) struct Extreme<T: ArrowPrimitiveType> {
    greatest: bool,
    data_type: DataType,
    values: Vec<T::Native>,
    present: Vec<bool>,
}

impl<T: ArrowPrimitiveType> Extreme<T> {
    pub(super) fn new(greatest: bool, data_type: DataType) -> Self {
        Self { greatest, data_type, values: Vec::new(), present: Vec::new() }
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
        vec![(if self.greatest { "max" } else { "min" }, self.data_type.clone(), true)]
    }

    fn resize(&mut self, slots: usize) {
        self.values.resize(slots, T::default_value());
        self.present.resize(slots, false);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let input = rows.primitive::<T>()?;
        let (values, present) = (&mut self.values[..], &mut self.present[..]);
        if self.greatest {
            rows.each(|slot, row, _| {
                let better = !present[slot] || input[row].is_gt(values[slot]);
                values[slot] = if better { input[row] } else { values[slot] };
                present[slot] = true;
            });
        } else {
            rows.each(|slot, row, _| {
                let better = !present[slot] || input[row].is_lt(values[slot]);
                values[slot] = if better { input[row] } else { values[slot] };
                present[slot] = true;
            });
        }
        Ok(())
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

/// The least or greatest of strings or byte strings, byte by byte.
#[derive(Debug)]
pub(super) struct BytesExtreme {
    greatest: bool,
    data_type: DataType,
    values: Vec<Option<Box<[u8]>>>,
    held: usize,
}

impl BytesExtreme {
    pub(super) fn new(greatest: bool, data_type: DataType) -> Self {
        Self { greatest, data_type, values: Vec::new(), held: 0 }
    }

    fn update_from<T: ByteArrayType<Offset = i32>>(&mut self, rows: &Rows, values: &ArrayRef) -> Result<()> {
        let Some(input) = values.as_any().downcast_ref::<GenericByteArray<T>>() else {
            return Err(Error::bug("MIN or MAX met a column of another type than it was planned for"));
        };
        let (offsets, bytes) = (input.value_offsets(), input.value_data());
        rows.each(|slot, row, _| {
            let value = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
            let held = &mut self.values[slot];
            let better = match held {
                Some(held) if self.greatest => value > &held[..],
                Some(held) => value < &held[..],
                None => true,
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
                i32::try_from(bytes.len()).map_err(|_| Error::world("MIN or MAX holds more than 2 GiB of text"))?,
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
        vec![(if self.greatest { "max" } else { "min" }, self.data_type.clone(), true)]
    }

    fn resize(&mut self, slots: usize) {
        self.values.resize(slots, None);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let Some(values) = rows.values else {
            return Err(Error::bug("MIN and MAX need an argument"));
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
