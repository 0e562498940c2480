//! MIN or MAX of rows that can be taken back: how often each value of a key is there, in the order of the values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take_arrays};
use arrow::datatypes::{DataType, Field, Schema};

use super::{AggregateCall, AggregateFunction};
use crate::error::{Error, Result};
use crate::state::{BagTable, ScanDirection, SnapshotWriter, StateTable, TableSpec, integers};

/// The values of one call.
pub(super) struct ValueCounts {
    /// The end at which a key's result lies.
    end: ScanDirection,
    /// Key, value and weight: the state table `values_<index of the call>`.
    table: BagTable,
    /// Of the keys of the present call, and of its rows.
    slots: Vec<u32>,
    row_slots: Vec<u32>,
}

impl ValueCounts {
    /// No values yet.
    pub(super) fn new(index: usize, call: &AggregateCall, keys: &[Field]) -> Result<Self> {
        let mut fields = keys.to_vec();
        fields.push(Field::new("value", call.input_type.clone(), true));
        fields.push(Field::new("weight", DataType::Int64, false));
        let end = match call.function {
            AggregateFunction::Max => ScanDirection::Backward,
            _ => ScanDirection::Forward,
        };
        let schema = Arc::new(Schema::new(fields));
        let table = BagTable::new(format!("values_{index}"), schema, keys.len(), &[SortOptions::default()])?;
        Ok(Self { end, table, slots: Vec::new(), row_slots: Vec::new() })
    }

    /// Begins with a batch that touches `rows` keys, each once.
    pub(super) fn begin(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        self.table.assign(keys, rows, &mut self.slots)
    }

    /// Lets the value of each row come (or go) `weights` times; NULL is no value.
    pub(super) fn apply(&mut self, keys: &[ArrayRef], values: &ArrayRef, weights: &ArrayRef) -> Result<()> {
        let mut columns: Vec<ArrayRef> = keys.iter().chain([values, weights]).cloned().collect();
        if let Some(nulls) = values.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            let rows = UInt32Array::from_iter_values(nulls.valid_indices().map(|row| row as u32));
            columns = take_arrays(&columns, &rows, None)?;
        }
        let (keys, columns) = columns.split_at(keys.len());
        self.table.assign(keys, columns[0].len(), &mut self.row_slots)?;
        self.table.add(&self.row_slots, &columns[..1], integers(&columns[1])?)
    }

    /// The least or greatest value of each of the keys that it began with.
    pub(super) fn evaluate(&self) -> Result<ArrayRef> {
        let mut values = self.table.first_of_each(&self.slots, self.end)?;
        values.pop().ok_or_else(|| Error::bug("a value without a column"))
    }

    /// Lets all values of some keys go.
    pub(super) fn clear(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        self.table.clear(keys, rows)
    }

    /// Ends with the batch.
    pub(super) fn end(&mut self) {
        self.table.release(&self.slots);
    }
}

impl StateTable for ValueCounts {
    fn spec(&self) -> TableSpec {
        self.table.spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        self.table.save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        self.table.load(rows)
    }

    fn row_count(&self) -> usize {
        self.table.row_count()
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
