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

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, RecordBatch, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef};

use super::state::{AggregateState, Rows};
use super::{AggregateCall, counted};
use crate::error::{Error, Result};
use crate::state::KeyIndex;

/// No entry, or no slot.
const NONE: u32 = u32::MAX;

/// The values of one argument, by slot.
#[derive(Debug)]
pub(super) struct DistinctValues {
    argument: usize,
    input_type: DataType,
    calls: Vec<DistinctCall>,
    /// Slot and value to entry.
    index: KeyIndex,
    /// By entry: the slot it belongs to, and its neighbours in that slot's list.
    owners: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    /// By slot: the first entry of its list.
    first: Vec<u32>,
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
        let index = KeyIndex::new(&[DataType::UInt32, input_type.clone()])?;
        let calls = calls.into_iter().map(|(call, state)| DistinctCall { call, parts: Vec::new(), state }).collect();
        let (owners, next, previous) = (Vec::new(), Vec::new(), Vec::new());
        let (first, entries) = (Vec::new(), Vec::new());
        Ok(Self { argument, input_type, calls, index, owners, next, previous, first, entries })
    }

    /// The columns of a partial: name and type.
    pub(super) fn fields(&self) -> Vec<(String, DataType)> {
        let mut fields = vec![("values".to_owned(), DataType::List(item(&self.input_type)))];
        if self.calls.len() > 1 {
            let held = DataType::List(item(&DataType::Boolean));
            fields.extend((0..self.calls.len()).map(|call| (format!("held_{call}"), held.clone())));
        }
        fields
    }

    pub(super) fn resize(&mut self, slots: usize) {
        self.first.resize(slots, NONE);
        self.calls.iter_mut().for_each(|call| call.state.resize(slots));
    }

    /// Adds rows, each to its slot.
    pub(super) fn update(&mut self, slots: &[u32], batch: &RecordBatch) -> Result<()> {
        let held = self.calls.iter().map(|call| counted(&call.call, batch)).collect::<Result<Vec<_>>>()?;
        self.apply(slots, batch.column(self.argument), &held, 1)
    }

    /// Adds partial states, or takes them away where `sign` is −1.
    pub(super) fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let list = |index: usize| {
            columns
                .get(index)
                .and_then(|column| column.as_list_opt::<i32>())
                .ok_or_else(|| Error::bug("values without a list"))
        };
        let values = list(0)?;
        let offsets = values.value_offsets();
        let (start, end) = (offsets[0] as usize, offsets[values.len()] as usize);
        let mut of_values = Vec::with_capacity(end - start);
        for (slot, bounds) in slots.iter().zip(offsets.windows(2)) {
            of_values.resize(of_values.len() + (bounds[1] - bounds[0]) as usize, *slot);
        }
        let held = (1..columns.len()).map(|index| {
            let held = list(index)?;
            let start = held.value_offsets()[0] as usize;
            let held =
                held.values().as_boolean_opt().ok_or_else(|| Error::bug("a list of truth values without any"))?;
            Ok(Some(NullBuffer::new(held.values().slice(start, of_values.len()))))
        });
        let held = if columns.len() > 1 { held.collect::<Result<Vec<_>>>()? } else { vec![None] };
        self.apply(&of_values, &values.values().slice(start, end - start), &held, sign)
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
        let keys: [ArrayRef; 2] = [Arc::new(UInt32Array::from(slots.to_vec())), Arc::clone(values)];
        let mut entries = std::mem::take(&mut self.entries);
        self.index.assign(&keys, slots.len(), &mut entries)?;
        self.link(slots, &entries);
        for (call, held) in self.calls.iter_mut().zip(held) {
            let changed = call.count(&entries, held.as_ref(), sign);
            if changed.count_set_bits() > 0 {
                let counted = Some(NullBuffer::new(changed));
                let signs = (sign < 0).then(|| vec![-1; slots.len()]);
                call.state.update(&Rows { slots, values: Some(values), counted, signs: signs.as_deref() })?;
            }
        }
        if sign < 0 {
            self.remove_unheld(&entries);
        }
        self.entries = entries;
        Ok(())
    }

    /// Puts new entries into the lists of their slots.
    fn link(&mut self, slots: &[u32], entries: &[u32]) {
        let length = self.index.slots();
        self.owners.resize(length, NONE);
        self.next.resize(length, NONE);
        self.previous.resize(length, NONE);
        self.calls.iter_mut().for_each(|call| call.parts.resize(length, 0));
        for (slot, entry) in slots.iter().zip(entries) {
            if self.owners[*entry as usize] != NONE {
                continue;
            }
            self.owners[*entry as usize] = *slot;
            let first = std::mem::replace(&mut self.first[*slot as usize], *entry);
            self.next[*entry as usize] = first;
            self.previous[*entry as usize] = NONE;
            if first != NONE {
                self.previous[first as usize] = *entry;
            }
        }
    }

    /// Forgets those of `entries` that no call holds any more.
    fn remove_unheld(&mut self, entries: &[u32]) {
        let mut gone = Vec::new();
        for entry in entries {
            let at = *entry as usize;
            let owner = self.owners[at];
            if owner == NONE || self.calls.iter().any(|call| call.parts[at] > 0) {
                continue;
            }
            let (previous, next) = (self.previous[at], self.next[at]);
            match previous {
                NONE => self.first[owner as usize] = next,
                previous => self.next[previous as usize] = next,
            }
            if next != NONE {
                self.previous[next as usize] = previous;
            }
            self.owners[at] = NONE;
            gone.push(*entry);
        }
        self.index.remove(&gone);
    }

    /// The values of `slots`, as a partial: those of a slot in the order in which they came.
    pub(super) fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut entries = Vec::new();
        let mut lengths = Vec::with_capacity(slots.len());
        for slot in slots {
            let before = entries.len();
            let mut entry = self.first[*slot as usize];
            while entry != NONE {
                entries.push(entry);
                entry = self.next[entry as usize];
            }
            entries[before..].reverse();
            lengths.push(entries.len() - before);
        }
        self.lists(&entries, lengths)
    }

    /// The values of all slots, as a partial, moved out.
    pub(super) fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let slots: Vec<u32> = (0..self.first.len() as u32).collect();
        let columns = self.gather(&slots)?;
        self.index = KeyIndex::new(&[DataType::UInt32, self.input_type.clone()])?;
        for list in [&mut self.owners, &mut self.next, &mut self.previous, &mut self.first] {
            list.clear();
        }
        for call in &mut self.calls {
            call.parts.clear();
            call.state.take()?;
        }
        Ok(columns)
    }

    fn lists(&self, entries: &[u32], lengths: Vec<usize>) -> Result<Vec<ArrayRef>> {
        if i32::try_from(entries.len()).is_err() {
            return Err(Error::world("DISTINCT holds more than two thousand million values in one piece"));
        }
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let list = |values: ArrayRef| -> Result<ArrayRef> {
            Ok(Arc::new(ListArray::try_new(item(values.data_type()), offsets.clone(), values, None)?))
        };
        let values = self.index.gather(entries)?.pop().ok_or_else(|| Error::bug("an index without its value"))?;
        let mut columns = vec![list(values)?];
        if self.calls.len() > 1 {
            for call in &self.calls {
                let held: BooleanBuffer = entries.iter().map(|entry| call.parts[*entry as usize] > 0).collect();
                columns.push(list(Arc::new(BooleanArray::new(held, None)))?);
            }
        }
        Ok(columns)
    }

    /// The results of call `call`.
    pub(super) fn evaluate(&self, call: usize, slots: Option<&[u32]>) -> Result<ArrayRef> {
        self.calls[call].state.evaluate(slots)
    }

    pub(super) fn clear(&mut self, slots: &[u32]) {
        let mut gone = Vec::new();
        for slot in slots {
            let mut entry = std::mem::replace(&mut self.first[*slot as usize], NONE);
            while entry != NONE {
                gone.push(entry);
                self.owners[entry as usize] = NONE;
                self.calls.iter_mut().for_each(|call| call.parts[entry as usize] = 0);
                entry = self.next[entry as usize];
            }
        }
        self.index.remove(&gone);
        self.calls.iter_mut().for_each(|call| call.state.clear(slots));
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &AggregateCall> {
        self.calls.iter().map(|call| &call.call)
    }

    /// Values in all slots.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let lists = [&self.owners, &self.next, &self.previous, &self.first, &self.entries];
        let lists: usize = lists.iter().map(|list| list.capacity() * size_of::<u32>()).sum();
        let calls = self.calls.iter().map(|call| call.parts.capacity() * size_of::<u32>() + call.state.bytes());
        self.index.bytes() + lists + calls.sum::<usize>()
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

fn item(data_type: &DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type.clone(), true))
}
