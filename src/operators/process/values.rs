//! One value a slot, or none.

use arrow::array::ArrayRef;
use arrow::datatypes::Field;

use super::StateValue;
use crate::error::{Error, Result};
use crate::state::SlotColumns;

/// The name of the column.
pub(super) const VALUE_COLUMN: &str = "value";

/// Values by slot.
#[derive(Debug)]
pub(super) struct Values<T> {
    values: Vec<Option<T>>,
    heap_bytes: usize,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new(), heap_bytes: 0 }
    }
}

impl<T: StateValue> Values<T> {
    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.values[slot as usize].as_ref()
    }

    /// Puts a value in the place of the one that is there, which goes.
    pub(super) fn put(&mut self, slot: u32, value: Option<T>) {
        self.take_out(slot);
        self.heap_bytes += value.as_ref().map_or(0, StateValue::heap_bytes);
        self.values[slot as usize] = value;
    }

    /// The value, which is not there afterwards.
    pub(super) fn take_out(&mut self, slot: u32) -> Option<T> {
        let value = self.values[slot as usize].take();
        self.heap_bytes -= value.as_ref().map_or(0, StateValue::heap_bytes);
        value
    }
}

impl<T: StateValue> SlotColumns for Values<T> {
    fn fields(&self) -> Vec<Field> {
        vec![Field::new(VALUE_COLUMN, T::data_type(), false)]
    }

    fn resize(&mut self, slots: usize) {
        self.values.resize_with(slots, || None);
    }

    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let [column] = columns else { return Err(Error::bug("a state has one column")) };
        for (slot, value) in slots.iter().zip(T::read(column)?) {
            self.put(*slot, value);
        }
        Ok(())
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.set(slots, columns)
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let values: Vec<Option<&T>> = slots.iter().map(|slot| self.get(*slot)).collect();
        Ok(vec![T::write(&values)])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let values = std::mem::take(self).values;
        Ok(vec![T::write(&values.iter().map(Option::as_ref).collect::<Vec<_>>())])
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| drop(self.take_out(*slot)));
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<T>>() + self.heap_bytes
    }
}
