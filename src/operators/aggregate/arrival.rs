//! FIRST_VALUE, LAST_VALUE, LISTAGG and ARRAY_AGG: values in the order in which they came.
//!
//! Equal values are held once, and a slot is a list of their numbers. Where rows can be taken back, a slot keeps all of
//! its values, and a row that goes takes the oldest value that is equal to its own; one that goes before it came is noted
//! until it comes. Partials are merged in the order of their rows. Sessions become one when a row comes between them:
//! there each value has a number by which it came.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringBuilder, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType;
use hashbrown::HashSet;

use super::slot_values::{as_lists, flat, flat_slots, item, lists};
use super::state::{AggregateState, Rows, StateField, numbers};
use super::value_queue::{Entry, ValueQueue};
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
    slots: Vec<ValueQueue>,
    /// Of sessions, where no row is taken back.
    numbers: Option<Numbers>,
    /// Value to number.
    values: KeyIndex,
    /// By number: how many entries hold the value.
    holders: Vec<u32>,
    entries: usize,
    /// Bytes of the queues beside their entries.
    place_bytes: usize,
}

/// By which values came.
#[derive(Debug)]
struct Numbers {
    /// Whether of equal values only the first counts.
    distinct: bool,
    /// By slot: the number of each of its values.
    slots: Vec<Vec<i64>>,
    /// Greater than all there are.
    next: i64,
}

impl Arrivals {
    pub(super) fn new(wanted: Wanted, data_type: DataType, retract: bool) -> Result<Self> {
        let values = KeyIndex::new(std::slice::from_ref(&data_type))?;
        let (slots, holders) = (Vec::new(), Vec::new());
        Ok(Self { wanted, data_type, retract, slots, numbers: None, values, holders, entries: 0, place_bytes: 0 })
    }

    /// The same for sessions, of all values or of each once.
    pub(super) fn of_sessions(wanted: Wanted, data_type: DataType, distinct: bool) -> Result<Self> {
        let numbers = Some(Numbers { distinct, slots: Vec::new(), next: 0 });
        Ok(Self { numbers, ..Self::new(wanted, data_type, false)? })
    }

    /// Lets a value come to a slot, by its number.
    fn apply_numbered(&mut self, slot: usize, value: u32, number: i64, gone: &mut Vec<u32>) {
        let Some(numbers) = &mut self.numbers else { return };
        let (entry, of_slot) = (Entry { value, came: true }, &mut numbers.slots[slot]);
        let comes_first = |before: i64| (self.wanted == Wanted::First) == (number < before);
        match (&self.wanted, of_slot.first_mut()) {
            (Wanted::First | Wanted::Last, Some(before)) if !numbers.distinct => {
                if comes_first(*before) {
                    *before = number;
                    let replaced = self.slots[slot].replace_first(entry);
                    self.holders[value as usize] += 1;
                    replaced.into_iter().for_each(|replaced| release(&mut self.holders, replaced.value, gone));
                }
                return;
            }
            _ => of_slot.push(number),
        }
        self.slots[slot].push(entry);
        self.entries += 1;
        self.holders[value as usize] += 1;
    }

    /// Puts the values of slots into the order of their numbers.
    fn sort(&mut self, slots: &[u32]) {
        let Some(numbers) = &mut self.numbers else { return };
        for slot in slots {
            let (numbers, queue) = (&mut numbers.slots[*slot as usize], &mut self.slots[*slot as usize]);
            if !numbers.is_sorted() {
                queue.reorder(|entries| {
                    let mut pairs: Vec<(i64, Entry)> = numbers.drain(..).zip(entries.drain(..)).collect();
                    pairs.sort_by_key(|(number, _)| *number);
                    (*numbers, *entries) = pairs.into_iter().unzip();
                });
            }
        }
    }

    /// Lets a value come to a slot or go from it.
    fn apply(&mut self, slot: usize, value: u32, came: bool, gone: &mut Vec<u32>) {
        let queue = &mut self.slots[slot];
        let (entry, placed) = (Entry { value, came }, queue.place_bytes());
        match &self.wanted {
            _ if self.retract && queue.take_oldest(Entry { value, came: !came }) => {
                self.place_bytes = self.place_bytes + queue.place_bytes() - placed;
                self.entries -= 1;
                release(&mut self.holders, value, gone);
                return;
            }
            _ if self.retract => {}
            Wanted::First if queue.len() > 0 => return,
            Wanted::Last => {
                if let Some(before) = queue.replace_first(entry) {
                    self.holders[value as usize] += 1;
                    release(&mut self.holders, before.value, gone);
                    return;
                }
            }
            _ => {}
        }
        queue.push(entry);
        self.place_bytes = self.place_bytes + queue.place_bytes() - placed;
        self.entries += 1;
        self.holders[value as usize] += 1;
    }

    /// Lets a value come (or go) for each row, in their order; of sessions with the number of each row.
    fn apply_rows(
        &mut self,
        values: &ArrayRef,
        numbers: Option<&[i64]>,
        rows: impl Fn(&mut dyn FnMut(usize, usize, bool)),
    ) -> Result<()> {
        let mut found = Vec::new();
        let known = self.values.slots();
        self.values.assign(std::slice::from_ref(values), values.len(), &mut found)?;
        self.holders.resize(self.values.slots().max(known), 0);
        let mut gone = Vec::new();
        rows(&mut |slot, row, came| match numbers {
            Some(numbers) => self.apply_numbered(slot, found[row], numbers[row], &mut gone),
            None => self.apply(slot, found[row], came, &mut gone),
        });
        // Values that no entry holds: those that were let go, and those of rows that do not count.
        gone.extend(found.iter().filter(|value| self.holders[**value as usize] == 0));
        gone.sort_unstable();
        gone.dedup();
        gone.retain(|value| self.holders[*value as usize] == 0);
        self.values.remove(&gone);
        Ok(())
    }

    /// Calls `visit` with the values that are there of each of `slots`, or of all.
    fn each_present(&self, slots: Option<&[u32]>, mut visit: impl FnMut(&[u32])) {
        let is_distinct = self.numbers.as_ref().is_some_and(|numbers| numbers.distinct);
        let (mut present, mut seen) = (Vec::new(), HashSet::new());
        let mut of_slot = |queue: &ValueQueue| {
            present.clear();
            present.extend(queue.iter().filter(|entry| entry.came).map(|entry| entry.value));
            if is_distinct {
                seen.clear();
                present.retain(|value| seen.insert(*value));
            }
            visit(&present);
        };
        match slots {
            Some(slots) => slots.iter().for_each(|slot| of_slot(&self.slots[*slot as usize])),
            None => self.slots.iter().for_each(of_slot),
        }
    }

    /// The values that are there, of `slots` or all, and how many each slot has.
    fn present(&self, slots: Option<&[u32]>) -> (Vec<u32>, Vec<usize>) {
        let (mut values, mut lengths) = (Vec::new(), Vec::new());
        self.each_present(slots, |present| {
            values.extend_from_slice(present);
            lengths.push(present.len());
        });
        (values, lengths)
    }

    fn gather_values(&self, numbers: &[u32]) -> Result<ArrayRef> {
        self.values.gather(numbers)?.pop().ok_or_else(|| Error::bug("an index without its value"))
    }

    /// One of each slot's values, NULL where it has none.
    fn one_of_each(&self, slots: Option<&[u32]>, last: bool) -> Result<ArrayRef> {
        let mut numbers: Vec<Option<u32>> = Vec::new();
        if self.numbers.as_ref().is_some_and(|numbers| numbers.distinct) {
            self.each_present(slots, |present| {
                numbers.push(if last { present.last() } else { present.first() }.copied());
            });
        } else {
            // At the ends, however long the queues are.
            let end = |queue: &ValueQueue| {
                let mut present = queue.iter().filter(|entry| entry.came);
                if last { present.next_back() } else { present.next() }.map(|entry| entry.value)
            };
            match slots {
                Some(slots) => numbers.extend(slots.iter().map(|slot| end(&self.slots[*slot as usize]))),
                None => numbers.extend(self.slots.iter().map(end)),
            }
        }
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

    fn forget(&mut self, queue: &ValueQueue, gone: &mut Vec<u32>) {
        self.entries -= queue.len();
        self.place_bytes -= queue.place_bytes();
        queue.iter().for_each(|entry| release(&mut self.holders, entry.value, gone));
    }
}

impl AggregateState for Arrivals {
    fn fields(&self) -> Vec<StateField> {
        let list = |name, of: &DataType| (name, DataType::List(item(of)), false);
        let mut fields = vec![list("values", &self.data_type)];
        fields.extend(self.retract.then(|| list("came", &DataType::Boolean)));
        fields.extend(self.numbers.as_ref().map(|_| list("numbers", &DataType::Int64)));
        fields
    }

    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, ValueQueue::default);
        if let Some(numbers) = &mut self.numbers {
            numbers.slots.resize_with(slots, Vec::new);
        }
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.values.ok_or_else(|| Error::bug("values in their order need an argument"))?;
        let of_rows = self.numbers.as_mut().map(|numbers| {
            let first = numbers.next;
            numbers.next += values.len() as i64;
            (first..numbers.next).collect::<Vec<i64>>()
        });
        self.apply_rows(values, of_rows.as_deref(), |apply| rows.each(|slot, row, sign| apply(slot, row, sign > 0)))
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        if sign < 0 {
            return Err(Error::bug("values in their order are not taken away again"));
        }
        let values = as_lists(columns, 0)?;
        let second = (columns.len() > 1).then(|| as_lists(columns, 1).map(flat)).transpose()?;
        let of_values = flat_slots(values, slots);
        let came = second.as_ref().filter(|_| self.retract).map(|came| came.as_boolean());
        let of_rows = match (&second, &mut self.numbers) {
            (Some(second), Some(known)) => {
                let of_rows = numbers(second)?;
                known.next = of_rows.iter().fold(known.next, |next, number| next.max(number + 1));
                Some(of_rows)
            }
            _ => None,
        };
        self.apply_rows(&flat(values), of_rows, |apply| {
            for (row, slot) in of_values.iter().enumerate() {
                apply(*slot as usize, row, came.is_none_or(|came| came.value(row)));
            }
        })?;
        self.sort(slots);
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let of_slots = || slots.iter().map(|slot| &self.slots[*slot as usize]);
        let entries = || of_slots().flat_map(ValueQueue::iter);
        let lengths: Vec<usize> = of_slots().map(ValueQueue::len).collect();
        let values: Vec<u32> = entries().map(|entry| entry.value).collect();
        let mut columns = vec![lists(self.gather_values(&values)?, &lengths)?];
        if self.retract {
            let came: BooleanBuffer = entries().map(|entry| entry.came).collect();
            columns.push(lists(Arc::new(BooleanArray::new(came, None)), &lengths)?);
        }
        if let Some(numbers) = &self.numbers {
            let numbers = slots.iter().flat_map(|slot| numbers.slots[*slot as usize].iter().copied());
            columns.push(lists(Arc::new(Int64Array::from_iter_values(numbers)), &lengths)?);
        }
        Ok(columns)
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let slots: Vec<u32> = (0..self.slots.len() as u32).collect();
        let columns = self.gather(&slots)?;
        let numbers = self.numbers.take().map(|numbers| Numbers { slots: Vec::new(), ..numbers });
        *self = Self { numbers, ..Self::new(self.wanted.clone(), self.data_type.clone(), self.retract)? };
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
            self.forget(&entries, &mut gone);
            if let Some(numbers) = &mut self.numbers {
                numbers.slots[*slot as usize].clear();
            }
        }
        self.values.remove(&gone);
    }

    fn bytes(&self) -> usize {
        let a_value = size_of::<Entry>() + if self.numbers.is_some() { size_of::<i64>() } else { 0 };
        let slots = self.slots.capacity() * size_of::<ValueQueue>() + self.entries * a_value;
        slots + self.place_bytes + self.values.bytes() + self.holders.capacity() * size_of::<u32>()
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
