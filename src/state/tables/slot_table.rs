//! Keys with state: a key index and columns of state side by side.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use super::{KeyIndex, SlotColumns};
use crate::error::Result;

/// Columns of state, found by key.
#[derive(Debug)]
pub struct SlotTable<C> {
    /// Key to slot.
    pub index: KeyIndex,
    /// Slot to state.
    pub columns: C,
    slots: Vec<u32>,
}

impl<C: SlotColumns> SlotTable<C> {
    /// An empty table.
    pub fn new(types: &[DataType], columns: C) -> Result<Self> {
        Ok(Self { index: KeyIndex::new(types)?, columns, slots: Vec::new() })
    }

    /// Keys in the table.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The slot of each row's key, with room made for new ones, and the state.
    pub fn assign(&mut self, keys: &[ArrayRef], rows: usize) -> Result<(&[u32], &mut C)> {
        self.index.assign(keys, rows, &mut self.slots)?;
        self.columns.resize(self.index.slots());
        Ok((&self.slots, &mut self.columns))
    }

    /// Adds rows of state: `keys` key columns of `batch` from column `first` on, then the columns of state.
    pub fn merge(&mut self, batch: &RecordBatch, first: usize, keys: usize) -> Result<()> {
        let (keys, states) = batch.columns()[first..].split_at(keys);
        let (slots, columns) = self.assign(keys, batch.num_rows())?;
        columns.merge(slots, states)
    }

    /// The slots of the last call of `assign` or `merge`.
    pub fn last_slots(&self) -> &[u32] {
        &self.slots
    }

    /// All keys and their state, moved out; the table is empty afterwards.
    pub fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let mut columns = self.index.take()?;
        columns.extend(self.columns.take()?);
        Ok(columns)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.columns.bytes() + self.slots.capacity() * 4
    }
}
