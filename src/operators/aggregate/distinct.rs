//! Aggregates over the different values of one argument: for each slot the set of its values, shared by all calls that
//! read the argument, whatever their FILTER.
//!
//! ```text
//!   row (slot, value) ─▶ entry ─▶ for each call: how many parts hold it ── 0 to 1 ─▶ the call's plain state, +1
//!                                                                      └── 1 to 0 ─▶ the same, −1
//! ```
//!
//! A part is a row, or a partial state that was merged: each holds a value once. What leaves as a partial is the values
//! of a slot as a list, and, where several calls share them, for each call which of them it has.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType;

use super::slot_values::{SlotValues, as_lists, flat, flat_slots, item, lists};
use super::state::{AggregateState, Rows};
use super::{AggregateCall, counted};
use crate::error::{Error, Result};

/// The values of one argument, by slot.
#[derive(Debug)]
pub(super) struct DistinctValues {
    argument: usize,
    values: SlotValues,
    calls: Vec<DistinctCall>,
    /// Of the rows at hand.
    entries: Vec<u32>,
}

/// One call.
#[derive(Debug)]
struct DistinctCall {
    call: AggregateCall,
    /// By entry: how many parts hold the value for this call.
    parts: Vec<u32>,
    /// What is computed, of each value once.
    state: Box<dyn AggregateState>,
}

impl DistinctValues {
    /// No slots yet. All calls have the same argument; `states` are those of the plain functions.
    pub(super) fn new(calls: Vec<(AggregateCall, Box<dyn AggregateState>)>) -> Result<Self> {
        let first = calls.first().map(|(call, _)| (call.argument, call.input_type.clone()));
        let Some((Some(argument), input_type)) = first else {
            return Err(Error::bug("DISTINCT without an argument"));
        };
        let calls = calls.into_iter().map(|(call, state)| DistinctCall { call, parts: Vec::new(), state }).collect();
        Ok(Self { argument, values: SlotValues::new(input_type)?, calls, entries: Vec::new() })
    }

    /// The columns of a partial: name and type.
    pub(super) fn fields(&self) -> Vec<(String, DataType)> {
        let mut fields = vec![("values".to_owned(), DataType::List(item(self.values.value_type())))];
        if self.calls.len() > 1 {
            let held = DataType::List(item(&DataType::Boolean));
            fields.extend((0..self.calls.len()).map(|call| (format!("held_{call}"), held.clone())));
        }
        fields
    }

    pub(super) fn resize(&mut self, slots: usize) {
        self.values.resize(slots);
        self.calls.iter_mut().for_each(|call| call.state.resize(slots));
    }

    /// Adds rows, each to its slot.
    pub(super) fn update(&mut self, slots: &[u32], batch: &RecordBatch) -> Result<()> {
        let held = self.calls.iter().map(|call| counted(&call.call, batch)).collect::<Result<Vec<_>>>()?;
        self.apply(slots, batch.column(self.argument), &held, 1)
    }

    /// Adds partial states, or takes them away where `sign` is −1.
    pub(super) fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let values = as_lists(columns, 0)?;
        let of_values = flat_slots(values, slots);
        let held = (1..columns.len()).map(|index| {
            let held = flat(as_lists(columns, index)?);
            let held = held.as_boolean_opt().ok_or_else(|| Error::bug("a list of truth values without any"))?;
            Ok(Some(NullBuffer::new(held.values().clone())))
        });
        let held = if columns.len() > 1 { held.collect::<Result<Vec<_>>>()? } else { vec![None] };
        self.apply(&of_values, &flat(values), &held, sign)
    }

    /// Adds one part to each value of a row (or takes it away): for each call, of the rows that it holds.
    fn apply(&mut self, slots: &[u32], values: &ArrayRef, held: &[Option<NullBuffer>], sign: i64) -> Result<()> {
        // Rows that no call holds make no entry.
        let any = held
            .iter()
            .try_fold(BooleanBuffer::new_unset(slots.len()), |any, held| held.as_ref().map(|held| &any | held.inner()));
        if let Some(any) = any.filter(|any| any.count_set_bits() < any.len()) {
            let rows = UInt32Array::from_iter_values(any.set_indices().map(|row| row as u32));
            let slots: Vec<u32> = rows.values().iter().map(|row| slots[*row as usize]).collect();
            let values = take(values, &rows, None)?;
            let keep = BooleanArray::new(any, None);
            let held = held.iter().map(|held| {
                let held = held.as_ref().map(|held| BooleanArray::new(held.inner().clone(), None));
                let held = held.map(|held| arrow::compute::filter(&held, &keep)).transpose()?;
                Ok(held.map(|held| NullBuffer::new(held.as_boolean().values().clone())))
            });
            let held = held.collect::<Result<Vec<_>>>()?;
            return self.apply_held(&slots, &values, &held, sign);
        }
        self.apply_held(slots, values, held, sign)
    }

    fn apply_held(&mut self, slots: &[u32], values: &ArrayRef, held: &[Option<NullBuffer>], sign: i64) -> Result<()> {
        let mut entries = std::mem::take(&mut self.entries);
        let length = self.values.assign(slots, values, &mut entries)?;
        self.calls.iter_mut().for_each(|call| call.parts.resize(length, 0));
        for (call, held) in self.calls.iter_mut().zip(held) {
            let changed = call.count(&entries, held.as_ref(), sign);
            if changed.count_set_bits() > 0 {
                let counted = Some(NullBuffer::new(changed));
                let signs = (sign < 0).then(|| vec![-1; slots.len()]);
                call.state.update(&Rows {
                    slots,
                    values: Some(values),
                    weights: None,
                    counted,
                    signs: signs.as_deref(),
                })?;
            }
        }
        if sign < 0 {
            let calls = &self.calls;
            self.values.remove(&entries, |entry| calls.iter().any(|call| call.parts[entry] > 0));
        }
        self.entries = entries;
        Ok(())
    }

    /// The values of `slots`, as a partial: those of a slot in the order in which they came.
    pub(super) fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let (entries, lengths) = self.values.entries(slots);
        let mut columns = vec![lists(self.values.values(&entries)?, &lengths)?];
        if self.calls.len() > 1 {
            for call in &self.calls {
                let held: BooleanBuffer = entries.iter().map(|entry| call.parts[*entry as usize] > 0).collect();
                columns.push(lists(Arc::new(BooleanArray::new(held, None)), &lengths)?);
            }
        }
        Ok(columns)
    }

    /// The values of all slots, as a partial, moved out.
    pub(super) fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let columns = self.gather(&self.values.all_slots())?;
        self.values.reset()?;
        for call in &mut self.calls {
            call.parts.clear();
            call.state.take()?;
        }
        Ok(columns)
    }

    /// The results of call `call`.
    pub(super) fn evaluate(&self, call: usize, slots: Option<&[u32]>) -> Result<ArrayRef> {
        self.calls[call].state.evaluate(slots)
    }

    pub(super) fn clear(&mut self, slots: &[u32]) {
        for entry in self.values.clear(slots) {
            self.calls.iter_mut().for_each(|call| call.parts[entry as usize] = 0);
        }
        self.calls.iter_mut().for_each(|call| call.state.clear(slots));
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &AggregateCall> {
        self.calls.iter().map(|call| &call.call)
    }

    /// Values in all slots.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let calls = self.calls.iter().map(|call| call.parts.capacity() * size_of::<u32>() + call.state.bytes());
        self.values.bytes() + self.entries.capacity() * size_of::<u32>() + calls.sum::<usize>()
    }

    pub(super) fn invertible(&self) -> bool {
        self.calls.iter().all(|call| call.state.invertible())
    }
}

impl DistinctCall {
    /// Adds a part to each entry (or takes it away) and says for which rows the call's state changes: the value was new,
    /// or has gone.
    fn count(&mut self, entries: &[u32], held: Option<&NullBuffer>, sign: i64) -> BooleanBuffer {
        let parts = &mut self.parts[..];
        let mut change = |row: usize| {
            let parts = &mut parts[entries[row] as usize];
            if sign > 0 {
                let is_new = *parts == 0;
                *parts = parts.saturating_add(1);
                is_new
            } else {
                *parts = parts.saturating_sub(1);
                *parts == 0
            }
        };
        BooleanBuffer::collect_bool(entries.len(), |row| held.is_none_or(|held| held.is_valid(row)) && change(row))
    }
}
