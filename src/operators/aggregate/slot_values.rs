//! Values by slot: each value of a slot has an entry, which stays the same as long as the value is there, and each slot a
//! list of its entries in the order in which they came. What is known of a value its owner keeps by entry.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef};

use crate::error::{Error, Result};
use crate::state::KeyIndex;

/// No entry, or no slot.
const NONE: u32 = u32::MAX;

/// The values of one argument, by slot.
#[derive(Debug)]
pub(super) struct SlotValues {
    value_type: DataType,
    /// Slot and value to entry.
    index: KeyIndex,
    /// By entry: the slot it belongs to, and its neighbours in that slot's list.
    owners: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    /// By slot: the first entry of its list, which is the youngest.
    first: Vec<u32>,
}

impl SlotValues {
    /// No slots yet.
    pub(super) fn new(value_type: DataType) -> Result<Self> {
        let index = KeyIndex::new(&[DataType::UInt32, value_type.clone()])?;
        let (owners, next, previous, first) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { value_type, index, owners, next, previous, first })
    }

    pub(super) fn value_type(&self) -> &DataType {
        &self.value_type
    }

    pub(super) fn resize(&mut self, slots: usize) {
        self.first.resize(slots, NONE);
    }

    /// Writes the entry of each row's value to `entries`; returns how long a list by entry has to be.
    pub(super) fn assign(&mut self, slots: &[u32], values: &ArrayRef, entries: &mut Vec<u32>) -> Result<usize> {
        let keys: [ArrayRef; 2] = [Arc::new(UInt32Array::from(slots.to_vec())), Arc::clone(values)];
        self.index.assign(&keys, slots.len(), entries)?;
        let length = self.index.slots();
        for list in [&mut self.owners, &mut self.next, &mut self.previous] {
            list.resize(length, NONE);
        }
        for (slot, entry) in slots.iter().zip(entries.iter()) {
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
        Ok(length)
    }

    /// Forgets those of `entries` that nobody wants to keep; each may be named more than once.
    pub(super) fn remove(&mut self, entries: &[u32], is_kept: impl Fn(usize) -> bool) {
        let mut gone = Vec::new();
        for entry in entries {
            let at = *entry as usize;
            let owner = self.owners[at];
            if owner == NONE || is_kept(at) {
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

    /// The entries of `slots`, those of a slot in the order in which they came, and how many each slot has.
    pub(super) fn entries(&self, slots: &[u32]) -> (Vec<u32>, Vec<usize>) {
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
        (entries, lengths)
    }

    /// All slots in order.
    pub(super) fn all_slots(&self) -> Vec<u32> {
        (0..self.first.len() as u32).collect()
    }

    /// The values of entries.
    pub(super) fn values(&self, entries: &[u32]) -> Result<ArrayRef> {
        self.index.gather(entries)?.pop().ok_or_else(|| Error::bug("an index without its value"))
    }

    /// Forgets all values of `slots`; returns their entries.
    pub(super) fn clear(&mut self, slots: &[u32]) -> Vec<u32> {
        let mut gone = Vec::new();
        for slot in slots {
            let mut entry = std::mem::replace(&mut self.first[*slot as usize], NONE);
            while entry != NONE {
                gone.push(entry);
                self.owners[entry as usize] = NONE;
                entry = self.next[entry as usize];
            }
        }
        self.index.remove(&gone);
        gone
    }

    /// Forgets everything, the slots too.
    pub(super) fn reset(&mut self) -> Result<()> {
        *self = Self::new(self.value_type.clone())?;
        Ok(())
    }

    /// Values in all slots.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let lists = [&self.owners, &self.next, &self.previous, &self.first];
        self.index.bytes() + lists.iter().map(|list| list.capacity() * size_of::<u32>()).sum::<usize>()
    }
}

/// The field of what a list is made of.
pub(super) fn item(data_type: &DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type.clone(), true))
}

/// A list a slot, of so many values each.
pub(super) fn lists(values: ArrayRef, lengths: &[usize]) -> Result<ArrayRef> {
    if i32::try_from(values.len()).is_err() {
        return Err(Error::world("more than two thousand million values of an aggregate in one piece"));
    }
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths.iter().copied());
    Ok(Arc::new(ListArray::try_new(item(values.data_type()), offsets, values, None)?))
}

/// A column of lists, one a slot.
pub(super) fn as_lists(columns: &[ArrayRef], index: usize) -> Result<&ListArray> {
    let lists = columns.get(index).and_then(|column| column.as_list_opt::<i32>());
    lists.ok_or_else(|| Error::bug("values of an aggregate without a list"))
}

/// All values of the lists one after the other.
pub(super) fn flat(lists: &ListArray) -> ArrayRef {
    let (start, end) = ends(lists);
    lists.values().slice(start, end - start)
}

/// The slot of each of the values, where list `i` belongs to slot `slots[i]`.
pub(super) fn flat_slots(lists: &ListArray, slots: &[u32]) -> Vec<u32> {
    let (start, end) = ends(lists);
    let mut flat = Vec::with_capacity(end - start);
    for (slot, bounds) in slots.iter().zip(lists.value_offsets().windows(2)) {
        flat.resize(flat.len() + (bounds[1] - bounds[0]) as usize, *slot);
    }
    flat
}

fn ends(lists: &ListArray) -> (usize, usize) {
    let offsets = lists.value_offsets();
    (offsets.first().map_or(0, |at| *at as usize), offsets.last().map_or(0, |at| *at as usize))
}
