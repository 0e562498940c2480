//! MIN or MAX of rows that can be taken back: how often each value of a key is there, and the values in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::take_arrays;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::row::{RowConverter, SortField};

use super::two_phase::split;
use super::{AggregateCall, AggregateFunction, Aggregates};
use crate::error::Result;
use crate::state::{KeyedTable, SnapshotWriter, StateTable, TableSpec, integers};

/// The values of one call.
pub(super) struct RetractedExtreme {
    greatest: bool,
    keys: usize,
    /// (key, value) to weight: the state table `values_<index of the call>`.
    table: KeyedTable<Aggregates>,
    /// The values of each group that are there, in their order, with their slot in `table`.
    order: Vec<BTreeMap<Box<[u8]>, u32>>,
    converter: RowConverter,
    null: Box<[u8]>,
    /// Whether `order` has to be made from `table` first.
    loaded: bool,
}

impl RetractedExtreme {
    /// No values yet.
    pub(super) fn new(index: usize, call: &AggregateCall, keys: &[Field]) -> Result<Self> {
        let mut fields = keys.to_vec();
        fields.push(Field::new("value", call.input_type.clone(), true));
        fields.push(Field::new("weight", DataType::Int64, false));
        let weight = Aggregates::new(&split(&[]).0)?;
        let schema = Arc::new(Schema::new(fields));
        let converter = RowConverter::new(vec![SortField::new(call.input_type.clone())])?;
        let null = converter.convert_columns(&[new_null_array(&call.input_type, 1)])?.row(0).data().into();
        Ok(Self {
            greatest: call.function == AggregateFunction::Max,
            keys: keys.len(),
            table: KeyedTable::new(format!("values_{index}"), schema, keys.len() + 1, keys.len(), weight)?,
            order: Vec::new(),
            converter,
            null,
            loaded: false,
        })
    }

    /// After a restore: puts the values of each group in order. `groups` knows the slots of the groups.
    pub(super) fn restore(&mut self, groups: &mut KeyedTable<Aggregates>) -> Result<()> {
        if !std::mem::take(&mut self.loaded) {
            return Ok(());
        }
        let mut slots: Vec<u32> = (0..self.table.table().index.slots() as u32).collect();
        let columns = self.table.table().index.gather(&slots)?;
        let weights = self.weights(&slots)?;
        let mut group_slots = Vec::new();
        groups.assign(&columns[..self.keys], slots.len(), &mut group_slots)?;
        let values = self.converter.convert_columns(&columns[self.keys..])?;
        for slot in slots.drain(..) {
            let row = slot as usize;
            self.place(group_slots[row], values.row(row).data(), slot, weights[row] > 0);
        }
        Ok(())
    }

    /// Lets the value of each row come (or go) `weights` times; NULL is no value.
    pub(super) fn apply(
        &mut self,
        groups: &[u32],
        keys: &[ArrayRef],
        values: &ArrayRef,
        weights: &ArrayRef,
    ) -> Result<()> {
        let (mut columns, weights, groups) = match values.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            None => {
                let columns = keys.iter().chain([values]).cloned().collect();
                (columns, Arc::clone(weights), groups.to_vec())
            }
            Some(nulls) => {
                let rows = UInt32Array::from_iter_values(nulls.valid_indices().map(|row| row as u32));
                let columns: Vec<ArrayRef> = keys.iter().chain([values, weights]).cloned().collect();
                let mut columns = take_arrays(&columns, &rows, None)?;
                let weights = columns.pop().unwrap_or_else(|| Arc::new(Int64Array::from(Vec::<i64>::new())));
                (columns, weights, rows.values().iter().map(|row| groups[*row as usize]).collect())
            }
        };
        let mut slots = Vec::new();
        self.table.assign(&columns, groups.len(), &mut slots)?;
        self.table.merge(&slots, &[weights])?;
        self.table.touch(&slots);
        let values = self.converter.convert_columns(&columns.split_off(self.keys))?;
        let weights = self.weights(&slots)?;
        let mut gone = Vec::new();
        for (row, slot) in slots.iter().enumerate() {
            self.place(groups[row], values.row(row).data(), *slot, weights[row] > 0);
            if weights[row] == 0 {
                gone.push(*slot);
            }
        }
        gone.sort_unstable();
        gone.dedup();
        self.table.remove(&gone);
        Ok(())
    }

    /// The least or greatest value of each of `groups`.
    pub(super) fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let extreme = |group: &u32| {
            let values = self.order.get(*group as usize)?;
            let extreme = if self.greatest { values.last_key_value() } else { values.first_key_value() };
            extreme.map(|(value, _)| &value[..])
        };
        let rows = groups.iter().map(|group| parser.parse(extreme(group).unwrap_or(&self.null)));
        Ok(self.converter.convert_rows(rows)?.remove(0))
    }

    fn weights(&self, slots: &[u32]) -> Result<Vec<i64>> {
        let weights = self.table.table().columns.evaluate(Some(slots))?;
        Ok(integers(&weights[0])?.to_vec())
    }

    fn place(&mut self, group: u32, value: &[u8], slot: u32, there: bool) {
        let group = group as usize;
        if group >= self.order.len() {
            self.order.resize_with(group + 1, BTreeMap::new);
        }
        if !there {
            self.order[group].remove(value);
        } else if !self.order[group].contains_key(value) {
            self.order[group].insert(value.into(), slot);
        }
    }
}

impl StateTable for RetractedExtreme {
    fn spec(&self) -> TableSpec {
        self.table.spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        self.table.save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        self.loaded = true;
        self.table.load(rows)
    }

    fn bytes(&self) -> usize {
        // A value in order costs about as much as one in the table.
        2 * self.table.bytes() + self.order.capacity() * size_of::<BTreeMap<Box<[u8]>, u32>>()
    }
}
