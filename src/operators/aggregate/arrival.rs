//! FIRST_VALUE, LAST_VALUE, LISTAGG and ARRAY_AGG: values in the order in which they came.
//!
//! Equal values are held once, and a slot is a list of their numbers. Where rows can be taken back, a slot keeps all of
//! its values, and a row that goes takes the oldest value that is equal to its own; one that goes before it came is noted
//! until it comes. Partials are merged in the order of their rows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, ListArray, StringBuilder, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef};

use super::state::{AggregateState, Rows, StateField};
use crate::error::{Error, Result};
use crate::state::KeyIndex;

/// Which values a result is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    First,
    Last,
    /// All, as an array.
    Array,
    /// All, as one text with this between them.
    Text(Arc<str>),
}

/// The values of all slots.
#[derive(Debug)]
pub(super) struct Arrivals {
    wanted: Wanted,
    data_type: DataType,
    /// Whether rows can be taken back.
    retract: bool,
    /// By slot: its values, the oldest first.
    slots: Vec<Vec<Entry>>,
    /// Value to number.
    values: KeyIndex,
    /// By number: how many entries hold the value.
    holders: Vec<u32>,
    entries: usize,
}

/// A value of a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    value: u32,
    /// Whether it is there, or was taken back before it came.
    came: bool,
}

impl Arrivals {
    pub(super) fn new(wanted: Wanted, data_type: DataType, retract: bool) -> Result<Self> {
        let values = KeyIndex::new(std::slice::from_ref(&data_type))?;
        Ok(Self { wanted, data_type, retract, slots: Vec::new(), values, holders: Vec::new(), entries: 0 })
    }

    /// Lets a value come to a slot or go from it.
    fn apply(&mut self, slot: usize, value: u32, came: bool, gone: &mut Vec<u32>) {
        let entries = &mut self.slots[slot];
        let opposite = Entry { value, came: !came };
        if self.retract {
            match entries.iter().position(|entry| *entry == opposite) {
                Some(at) => {
                    entries.remove(at);
                    self.entries -= 1;
                    release(&mut self.holders, value, gone);
                    return;
                }
                None => entries.push(Entry { value, came }),
            }
        } else {
            match (&self.wanted, entries.first_mut()) {
                (Wanted::First, Some(_)) => return,
                (Wanted::Last, Some(entry)) => {
                    let before = std::mem::replace(entry, Entry { value, came });
                    self.holders[value as usize] += 1;
                    release(&mut self.holders, before.value, gone);
                    return;
                }
                _ => entries.push(Entry { value, came }),
            }
        }
        self.entries += 1;
        self.holders[value as usize] += 1;
    }

    /// Lets a value come (or go) for each row, in their order.
    fn apply_rows(&mut self, values: &ArrayRef, rows: impl Fn(&mut dyn FnMut(usize, usize, bool))) -> Result<()> {
        let mut numbers = Vec::new();
        let known = self.values.slots();
        self.values.assign(std::slice::from_ref(values), values.len(), &mut numbers)?;
        self.holders.resize(self.values.slots().max(known), 0);
        let mut gone = Vec::new();
        rows(&mut |slot, row, came| self.apply(slot, numbers[row], came, &mut gone));
        // Values that no entry holds: those that were let go, and those of rows that do not count.
        gone.extend(numbers.iter().filter(|number| self.holders[**number as usize] == 0));
        gone.sort_unstable();
        gone.dedup();
        gone.retain(|number| self.holders[*number as usize] == 0);
        self.values.remove(&gone);
        Ok(())
    }

    /// The values that are there, of `slots` or all, and how many each slot has.
    fn present(&self, slots: Option<&[u32]>) -> (Vec<u32>, Vec<usize>) {
        let mut numbers = Vec::new();
        let mut lengths = Vec::with_capacity(slots.map_or(self.slots.len(), <[u32]>::len));
        let mut add = |entries: &[Entry]| {
            let before = numbers.len();
            numbers.extend(entries.iter().filter(|entry| entry.came).map(|entry| entry.value));
            lengths.push(numbers.len() - before);
        };
        match slots {
            Some(slots) => slots.iter().for_each(|slot| add(&self.slots[*slot as usize])),
            None => self.slots.iter().for_each(|entries| add(entries)),
        }
        (numbers, lengths)
    }

    fn gather_values(&self, numbers: &[u32]) -> Result<ArrayRef> {
        self.values.gather(numbers)?.pop().ok_or_else(|| Error::bug("an index without its value"))
    }

    /// One of each slot's values, NULL where it has none.
    fn one_of_each(&self, slots: Option<&[u32]>, last: bool) -> Result<ArrayRef> {
        let one = |entries: &Vec<Entry>| {
            let mut present = entries.iter().filter(|entry| entry.came);
            let found = if last { present.next_back() } else { present.next() };
            found.map(|entry| entry.value)
        };
        let numbers: Vec<Option<u32>> = match slots {
            Some(slots) => slots.iter().map(|slot| one(&self.slots[*slot as usize])).collect(),
            None => self.slots.iter().map(one).collect(),
        };
        let found: Vec<u32> = numbers.iter().copied().flatten().collect();
        let values = self.gather_values(&found)?;
        let mut next = 0..;
        let places: UInt32Array = numbers.iter().map(|number| number.and_then(|_| next.next())).collect();
        Ok(take(&values, &places, None)?)
    }

    fn texts(&self, slots: Option<&[u32]>, separator: &str) -> Result<ArrayRef> {
        let (numbers, lengths) = self.present(slots);
        let values = self.gather_values(&numbers)?;
        let texts = values.as_string_opt::<i32>().ok_or_else(|| Error::bug("LISTAGG of values that are no text"))?;
        let bytes = texts.value_data().len() + numbers.len() * separator.len();
        if i32::try_from(bytes).is_err() {
            return Err(Error::world("LISTAGG makes more than 2 GiB of text in one batch"));
        }
        let mut joined = StringBuilder::with_capacity(lengths.len(), bytes);
        let mut at = 0;
        for length in lengths {
            if length == 0 {
                joined.append_null();
                continue;
            }
            let mut text = String::new();
            for (index, row) in (at..at + length).enumerate() {
                if index > 0 {
                    text.push_str(separator);
                }
                text.push_str(texts.value(row));
            }
            joined.append_value(text);
            at += length;
        }
        Ok(Arc::new(joined.finish()))
    }

    fn arrays(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        let (numbers, lengths) = self.present(slots);
        let nulls: NullBuffer = lengths.iter().map(|length| *length > 0).collect();
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let (offsets, values) = (OffsetBuffer::from_lengths(lengths), self.gather_values(&numbers)?);
        Ok(Arc::new(ListArray::try_new(item(&self.data_type), offsets, values, nulls)?))
    }

    fn forget(&mut self, entries: Vec<Entry>, gone: &mut Vec<u32>) {
        self.entries -= entries.len();
        entries.iter().for_each(|entry| release(&mut self.holders, entry.value, gone));
    }
}

impl AggregateState for Arrivals {
    fn fields(&self) -> Vec<StateField> {
        let mut fields = vec![("values", DataType::List(item(&self.data_type)), false)];
        if self.retract {
            fields.push(("came", DataType::List(item(&DataType::Boolean)), false));
        }
        fields
    }

    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, Vec::new);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.values.ok_or_else(|| Error::bug("values in their order need an argument"))?;
        self.apply_rows(values, |apply| rows.each(|slot, row, sign| apply(slot, row, sign > 0)))
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        if sign < 0 {
            return Err(Error::bug("values in their order are not taken away again"));
        }
        let list = |index: usize| {
            let list = columns.get(index).and_then(|column| column.as_list_opt::<i32>());
            list.ok_or_else(|| Error::bug("values in their order without a list"))
        };
        let values = list(0)?;
        let came = if self.retract { Some(list(1)?) } else { None };
        let offsets = values.value_offsets();
        let (first, last) = (offsets[0] as usize, offsets[values.len()] as usize);
        let came = came.map(|came| came.values().as_boolean().slice(came.value_offsets()[0] as usize, last - first));
        let flat = values.values().slice(first, last - first);
        self.apply_rows(&flat, |apply| {
            for (slot, bounds) in slots.iter().zip(offsets.windows(2)) {
                for row in bounds[0] as usize - first..bounds[1] as usize - first {
                    apply(*slot as usize, row, came.as_ref().is_none_or(|came| came.value(row)));
                }
            }
        })
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let (mut numbers, mut came) = (Vec::new(), BooleanBufferBuilder::new(0));
        let mut lengths = Vec::with_capacity(slots.len());
        for slot in slots {
            let entries = &self.slots[*slot as usize];
            lengths.push(entries.len());
            for entry in entries {
                numbers.push(entry.value);
                came.append(entry.came);
            }
        }
        if i32::try_from(numbers.len()).is_err() {
            return Err(Error::world("more than two thousand million values in their order in one piece"));
        }
        let offsets = OffsetBuffer::from_lengths(lengths);
        let values = self.gather_values(&numbers)?;
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(ListArray::try_new(item(&self.data_type), offsets.clone(), values, None)?)];
        if self.retract {
            let came = Arc::new(BooleanArray::new(came.finish(), None));
            columns.push(Arc::new(ListArray::try_new(item(&DataType::Boolean), offsets, came, None)?));
        }
        Ok(columns)
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let slots: Vec<u32> = (0..self.slots.len() as u32).collect();
        let columns = self.gather(&slots)?;
        *self = Self::new(self.wanted.clone(), self.data_type.clone(), self.retract)?;
        Ok(columns)
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        match &self.wanted {
            Wanted::First => self.one_of_each(slots, false),
            Wanted::Last => self.one_of_each(slots, true),
            Wanted::Array => self.arrays(slots),
            Wanted::Text(separator) => self.texts(slots, separator),
        }
    }

    fn clear(&mut self, slots: &[u32]) {
        let mut gone = Vec::new();
        for slot in slots {
            let entries = std::mem::take(&mut self.slots[*slot as usize]);
            self.forget(entries, &mut gone);
        }
        self.values.remove(&gone);
    }

    fn bytes(&self) -> usize {
        let slots = self.slots.capacity() * size_of::<Vec<Entry>>() + self.entries * size_of::<Entry>();
        slots + self.values.bytes() + self.holders.capacity() * size_of::<u32>()
    }

    fn invertible(&self) -> bool {
        false
    }
}

/// One entry fewer holds the value; notes it if it was the last.
fn release(holders: &mut [u32], value: u32, gone: &mut Vec<u32>) {
    let holders = &mut holders[value as usize];
    *holders -= 1;
    if *holders == 0 {
        gone.push(value);
    }
}

fn item(data_type: &DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type.clone(), true))
}
