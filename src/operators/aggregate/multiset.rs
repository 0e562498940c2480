//! COLLECT and PERCENTILE: how often each value of a slot is there. Partials add up in any order and can be taken away
//! again; a value that went before it came counts below nothing until it comes. The order of the numbers of a slot is
//! remembered until another number comes or goes, so that a result that is asked for after each batch is a walk along
//! them and no sort.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, MapArray, StructArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortColumn, lexsort_to_indices, take};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::row::{RowConverter, SortField};

use super::slot_values::{SlotValues, as_lists, flat, flat_slots, item, lists};
use super::state::{AggregateState, Rows, StateField, primitive};
use crate::error::{Error, Result};
use crate::expressions::one_nan;

/// What is made of the values.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Each value with how often it is there, as this type: `Map` of the value to `Int32`.
    Counts(DataType),
    /// The values below which these parts of all lie: one as a DOUBLE, several as a list.
    Percentiles { parts: Arc<[f64]>, several: bool },
}

/// The values of all slots.
#[derive(Debug)]
pub(super) struct Multiset {
    wanted: Wanted,
    values: SlotValues,
    /// By entry: how often the value is there.
    weights: Vec<i64>,
    /// Of the rows at hand.
    entries: Vec<u32>,
    /// Behind a lock because results are read without changing anything else.
    orders: Mutex<Orders>,
}

/// The numbers of a slot in order, each with its entry.
type Order = Box<[(f64, u32)]>;

/// What is known of the order of slots.
#[derive(Debug, Default)]
struct Orders {
    /// By slot, where it is known.
    slots: Vec<Option<Order>>,
    held: usize,
}

/// Of a slot with more numbers the order is found anew each time.
const REMEMBERED: usize = 8_192;

/// The values of some slots that are there, each slot's in order of value.
struct Sorted {
    values: ArrayRef,
    weights: Vec<i64>,
    /// How many each slot has.
    lengths: Vec<usize>,
}

impl Multiset {
    pub(super) fn new(wanted: Wanted, input: DataType) -> Result<Self> {
        let (values, weights, entries) = (SlotValues::new(input)?, Vec::new(), Vec::new());
        Ok(Self { wanted, values, weights, entries, orders: Mutex::default() })
    }

    /// Lets the value of each row come so often, or go where that is below 0.
    fn add(&mut self, slots: &[u32], values: &ArrayRef, weights: &[i64]) -> Result<()> {
        let mut entries = std::mem::take(&mut self.entries);
        let length = self.values.assign(slots, values, &mut entries)?;
        self.weights.resize(length, 0);
        let orders = self.orders.get_mut().unwrap_or_else(PoisonError::into_inner);
        for ((entry, weight), slot) in entries.iter().zip(weights).zip(slots) {
            let of_entry = &mut self.weights[*entry as usize];
            let before = std::mem::replace(of_entry, *of_entry + weight);
            if before == 0 || *of_entry == 0 {
                orders.forget(*slot);
            }
        }
        self.values.remove(&entries, |entry| self.weights[entry] != 0);
        self.entries = entries;
        Ok(())
    }

    /// NULL where a slot has no value.
    fn percentiles(&self, slots: Option<&[u32]>, parts: &[f64], several: bool) -> Result<ArrayRef> {
        let all = slots.is_none().then(|| self.values.all_slots());
        let slots = slots.or(all.as_deref()).unwrap_or_default();
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown: Vec<u32> = slots.iter().copied().filter(|slot| orders.of(*slot).is_none()).collect();
        let (entries, lengths) = self.values.entries(&unknown);
        let numbers = self.values.values(&entries)?;
        let mut pairs = primitive::<Float64Type>(&numbers)?.values().iter().copied().zip(entries);
        for (slot, length) in unknown.iter().zip(lengths) {
            let mut order: Order = pairs.by_ref().take(length).collect();
            order.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
            orders.remember(*slot, order);
        }
        let mut found = Vec::with_capacity(slots.len() * parts.len());
        let mut is_there = Vec::with_capacity(slots.len());
        let (mut values, mut weights) = (Vec::new(), Vec::new());
        for slot in slots {
            values.clear();
            weights.clear();
            for (value, entry) in orders.of(*slot).unwrap_or_default() {
                let weight = self.weights[*entry as usize];
                if weight > 0 {
                    values.push(*value);
                    weights.push(weight);
                }
            }
            is_there.push(!values.is_empty());
            let part = |part: &f64| if values.is_empty() { 0.0 } else { percentile(&values, &weights, *part) };
            found.extend(parts.iter().map(part));
        }
        orders.forget_large(&unknown);
        let nulls = NullBuffer::from(is_there);
        if !several {
            return Ok(Arc::new(Float64Array::new(found.into(), Some(nulls))));
        }
        let of_list: ArrayRef = Arc::new(Float64Array::from(found));
        let offsets = OffsetBuffer::from_lengths(slots.iter().map(|_| parts.len()));
        Ok(Arc::new(arrow::array::ListArray::try_new(item(&DataType::Float64), offsets, of_list, Some(nulls))?))
    }

    fn sorted(&self, slots: Option<&[u32]>) -> Result<Sorted> {
        let (entries, lengths) = match slots {
            Some(slots) => self.values.entries(slots),
            None => self.values.entries(&self.values.all_slots()),
        };
        let weights: Vec<i64> = entries.iter().map(|entry| self.weights[*entry as usize]).collect();
        // A column that keeps the values of a slot together.
        let mut owners = Vec::with_capacity(entries.len());
        lengths.iter().enumerate().for_each(|(slot, length)| owners.resize(owners.len() + length, slot as u32));
        let column = |values: ArrayRef| SortColumn { values, options: None };
        let values = self.values.values(&entries)?;
        let by = [column(Arc::new(UInt32Array::from(owners.clone()))), column(sortable(&values)?)];
        let order = lexsort_to_indices(&by, None)?;
        let there: Vec<u32> = order.values().iter().copied().filter(|at| weights[*at as usize] > 0).collect();
        let mut lengths = vec![0; lengths.len()];
        there.iter().for_each(|at| lengths[owners[*at as usize] as usize] += 1);
        let weights = there.iter().map(|at| weights[*at as usize]).collect();
        Ok(Sorted { values: take(&values, &UInt32Array::from(there), None)?, weights, lengths })
    }
}

impl AggregateState for Multiset {
    fn fields(&self) -> Vec<StateField> {
        let list = |of: &DataType| DataType::List(item(of));
        vec![("values", list(self.values.value_type()), false), ("weights", list(&DataType::Int64), false)]
    }

    fn resize(&mut self, slots: usize) {
        self.values.resize(slots);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.values.ok_or_else(|| Error::bug("a multiset needs an argument"))?;
        let weights = rows.weights.map(primitive::<Int64Type>).transpose()?;
        let mut slots = Vec::with_capacity(rows.slots.len());
        let (mut counting, mut signed) = (Vec::with_capacity(rows.slots.len()), Vec::with_capacity(rows.slots.len()));
        rows.each(|slot, row, sign| {
            // Flink passes over a value that is there less than once.
            let weight = weights.map_or(1, |weights| if weights.is_valid(row) { weights.value(row).max(0) } else { 0 });
            if weight > 0 {
                slots.push(slot as u32);
                counting.push(row as u32);
                signed.push(sign * weight);
            }
        });
        if slots.len() == values.len() {
            return self.add(&slots, values, &signed);
        }
        let values = take(values, &UInt32Array::from(counting), None)?;
        self.add(&slots, &values, &signed)
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let values = as_lists(columns, 0)?;
        let weights = flat(as_lists(columns, 1)?);
        let weights: Vec<i64> = primitive::<Int64Type>(&weights)?.values().iter().map(|weight| sign * weight).collect();
        self.add(&flat_slots(values, slots), &flat(values), &weights)
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let (entries, lengths) = self.values.entries(slots);
        let weights: Int64Array = entries.iter().map(|entry| self.weights[*entry as usize]).collect();
        Ok(vec![lists(self.values.values(&entries)?, &lengths)?, lists(Arc::new(weights), &lengths)?])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let columns = self.gather(&self.values.all_slots())?;
        self.values.reset()?;
        self.weights.clear();
        self.orders = Mutex::default();
        Ok(columns)
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        match &self.wanted {
            Wanted::Counts(output) => counts(&self.sorted(slots)?, output),
            Wanted::Percentiles { parts, several } => self.percentiles(slots, parts, *several),
        }
    }

    fn clear(&mut self, slots: &[u32]) {
        for entry in self.values.clear(slots) {
            self.weights[entry as usize] = 0;
        }
        let orders = self.orders.get_mut().unwrap_or_else(PoisonError::into_inner);
        slots.iter().for_each(|slot| orders.forget(*slot));
    }

    fn bytes(&self) -> usize {
        let (weights, entries) = (self.weights.capacity() * 8, self.entries.capacity() * 4);
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        self.values.bytes() + weights + entries + orders
    }

    fn invertible(&self) -> bool {
        true
    }
}

/// Values as something that can be sorted: those with parts as bytes of the same order.
fn sortable(values: &ArrayRef) -> Result<ArrayRef> {
    if !values.data_type().is_nested() {
        return Ok(Arc::clone(values));
    }
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    Ok(Arc::new(converter.convert_columns(std::slice::from_ref(values))?.try_into_binary()?))
}

/// Each value with how often it is there.
fn counts(sorted: &Sorted, output: &DataType) -> Result<ArrayRef> {
    let DataType::Map(entries, is_sorted) = output else { return Err(Error::bug("a multiset is a map to counts")) };
    let DataType::Struct(fields) = entries.data_type() else { return Err(Error::bug("a map without entries")) };
    let count = |weight: &i64| i32::try_from(*weight).map_err(|_| Error::data("COLLECT: a value 2^31 times or more"));
    let weights = sorted.weights.iter().map(count).collect::<Result<Vec<i32>>>()?;
    let columns: Vec<ArrayRef> = vec![Arc::clone(&sorted.values), Arc::new(Int32Array::from(weights))];
    let offsets = OffsetBuffer::from_lengths(sorted.lengths.iter().copied());
    let pairs = StructArray::try_new(fields.clone(), columns, None)?;
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, None, *is_sorted)?))
}

impl Orders {
    /// The order of a slot's numbers, if it is known.
    fn of(&self, slot: u32) -> Option<&[(f64, u32)]> {
        self.slots.get(slot as usize)?.as_deref()
    }

    fn remember(&mut self, slot: u32, order: Order) {
        if self.slots.len() <= slot as usize {
            self.slots.resize(slot as usize + 1, None);
        }
        self.held += order.len();
        let before = self.slots[slot as usize].replace(order);
        self.held -= before.map_or(0, |before| before.len());
    }

    fn forget(&mut self, slot: u32) {
        let before = self.slots.get_mut(slot as usize).and_then(Option::take);
        self.held -= before.map_or(0, |before| before.len());
    }

    /// Forgets those of `slots` that have too many numbers to be kept twice.
    fn forget_large(&mut self, slots: &[u32]) {
        for slot in slots {
            if self.of(*slot).is_some_and(|order| order.len() > REMEMBERED) {
                self.forget(*slot);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<Order>>() + self.held * size_of::<(f64, u32)>()
    }
}

/// The value below which a part of all lies, in values in order, each so often: between two of them, as far as the place
/// lies from each.
fn percentile(values: &[f64], weights: &[i64], part: f64) -> f64 {
    let total: i64 = weights.iter().sum();
    // From 1 on and in this order, so that the last digits are Flink's.
    let place = (total - 1) as f64 * part + 1.0;
    let (lower, upper) = (place.floor(), place.ceil());
    let value_at = |place: f64| {
        let mut before = 0;
        let found = weights.iter().position(|weight| {
            before += weight;
            before as f64 >= place
        });
        values[found.unwrap_or(values.len() - 1)]
    };
    let (below, above) = (value_at(lower), value_at(upper));
    if lower == upper || below == above {
        return below;
    }
    one_nan((upper - place) * below + (place - lower) * above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        let values = [1.5, 2.5, 3.0];
        for (part, expected) in [(0.0, 1.5), (0.1, 1.9), (0.3, 2.5), (0.5, 2.5), (0.9, 3.0), (1.0, 3.0)] {
            assert_eq!(percentile(&values, &[1, 2, 2], part), expected, "{part}");
        }
        assert_eq!(percentile(&[7.0], &[1], 0.4), 7.0);
        assert_eq!(percentile(&[0.1, 0.7, 1.0], &[1; 3], 0.1), 0.21999999999999997);
    }
}
