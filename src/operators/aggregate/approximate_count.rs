//! APPROX_COUNT_DISTINCT: how many different values there are, within about one per cent, in bounded bytes a slot.
//!
//! A slot keeps the hashes of its values as long as they are few, and counts exactly; then a HyperLogLog, for each of
//! 16,384 parts of all hashes the longest run of zeros that one of them begins with. Both are functions of the set of
//! values alone: neither order, batches nor merges change them. Nothing can be taken away again.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Int64Type};

use super::state::{AggregateState, Rows, StateField, array, compute};
use crate::error::{Error, Result};
use crate::state::key_hashes;

/// The first bits of a hash say which register it belongs to.
const INDEX_BITS: u32 = 14;
const REGISTERS: usize = 1 << INDEX_BITS;
/// The longest run of zeros that a register can hold, and one.
const MAX_RANK: usize = 64 - INDEX_BITS as usize + 1;
/// So many values are counted exactly: their hashes are half as long as the registers.
const EXACT: usize = REGISTERS / 16;
const HASH_BYTES: usize = size_of::<u64>();

/// The values of all slots.
#[derive(Debug, Default)]
pub(super) struct ApproximateCount {
    slots: Vec<Sketch>,
    /// On the heap, of all slots.
    held: usize,
}

/// The values of one slot.
#[derive(Debug, Clone, Default)]
enum Sketch {
    #[default]
    Empty,
    One(u64),
    /// Hashes in order, each once: at most [`EXACT`] of them.
    Few(Vec<u64>),
    Many(Box<Registers>),
}

/// By register the longest rank that it met, and by rank how many registers have it, from which a result follows at once.
#[derive(Debug, Clone)]
struct Registers {
    ranks: [u8; REGISTERS],
    counts: [u16; MAX_RANK + 1],
}

impl Sketch {
    fn insert(&mut self, hash: u64) {
        match self {
            Self::Empty => *self = Self::One(hash),
            Self::One(one) if *one == hash => {}
            Self::One(one) => *self = Self::Few(vec![hash.min(*one), hash.max(*one)]),
            Self::Few(hashes) => {
                let Err(at) = hashes.binary_search(&hash) else { return };
                if hashes.len() < EXACT {
                    hashes.insert(at, hash);
                    return;
                }
                let mut registers = Registers::boxed();
                hashes.iter().chain([&hash]).for_each(|hash| registers.insert(*hash));
                *self = Self::Many(registers);
            }
            Self::Many(registers) => registers.insert(hash),
        }
    }

    /// Adds what [`write`](Self::write) wrote.
    fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() == REGISTERS {
            if let Self::Many(registers) = self {
                return registers.merge(bytes);
            }
            let mut registers = Registers::boxed();
            registers.merge(bytes)?;
            self.each_hash(|hash| registers.insert(hash));
            *self = Self::Many(registers);
            return Ok(());
        }
        let (hashes, []) = bytes.as_chunks::<HASH_BYTES>() else {
            return Err(Error::bug("a partial count of different values is neither hashes nor registers"));
        };
        hashes.iter().for_each(|hash| self.insert(u64::from_le_bytes(*hash)));
        Ok(())
    }

    fn each_hash(&self, mut each: impl FnMut(u64)) {
        match self {
            Self::Empty | Self::Many(_) => {}
            Self::One(hash) => each(*hash),
            Self::Few(hashes) => hashes.iter().for_each(|hash| each(*hash)),
        }
    }

    /// Hashes in order, or registers: told apart by their length.
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Many(registers) => to.extend_from_slice(&registers.ranks),
            few => few.each_hash(|hash| to.extend_from_slice(&hash.to_le_bytes())),
        }
    }

    fn count(&self) -> i64 {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Few(hashes) => hashes.len() as i64,
            Self::Many(registers) => registers.estimate().round() as i64,
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Empty | Self::One(_) => 0,
            Self::Few(hashes) => hashes.capacity() * HASH_BYTES,
            Self::Many(_) => size_of::<Registers>(),
        }
    }
}

impl Registers {
    fn boxed() -> Box<Self> {
        let mut counts = [0; MAX_RANK + 1];
        counts[0] = REGISTERS as u16;
        Box::new(Self { ranks: [0; REGISTERS], counts })
    }

    fn insert(&mut self, hash: u64) {
        let register = (hash >> (64 - INDEX_BITS)) as usize;
        // A mark behind the last bit ends every run.
        let rest = (hash << INDEX_BITS) | (1 << (INDEX_BITS - 1));
        let rank = rest.leading_zeros() as u8 + 1;
        let held = self.ranks[register];
        if rank > held {
            self.ranks[register] = rank;
            self.counts[usize::from(held)] -= 1;
            self.counts[usize::from(rank)] += 1;
        }
    }

    fn merge(&mut self, ranks: &[u8]) -> Result<()> {
        for (held, rank) in self.ranks.iter_mut().zip(ranks) {
            *held = (*held).max(*rank);
        }
        self.counts = [0; MAX_RANK + 1];
        for rank in &self.ranks {
            let count = self.counts.get_mut(usize::from(*rank));
            *count.ok_or_else(|| Error::bug("a register of a count of different values is out of range"))? += 1;
        }
        Ok(())
    }

    /// Ertl's estimate (*New cardinality estimation algorithms for HyperLogLog sketches*, 2017, algorithm 6), which is
    /// without bias from the first value to the last and needs no table.
    fn estimate(&self) -> f64 {
        let registers = REGISTERS as f64;
        let part = |rank: usize| f64::from(self.counts[rank]) / registers;
        let mut sum = registers * tau(1.0 - part(MAX_RANK));
        for rank in (1..MAX_RANK).rev() {
            sum = 0.5 * (sum + f64::from(self.counts[rank]));
        }
        sum += registers * sigma(part(0));
        registers * registers / (2.0 * std::f64::consts::LN_2 * sum)
    }
}

/// What registers without a value add.
fn sigma(empty: f64) -> f64 {
    if empty == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (empty, 1.0, empty);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// What full registers take away.
fn tau(not_full: f64) -> f64 {
    if not_full == 0.0 || not_full == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (not_full, 1.0, 1.0 - not_full);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

impl ApproximateCount {
    /// Changes one slot, and keeps count of what it holds.
    fn change<T>(&mut self, slot: usize, change: impl FnOnce(&mut Sketch) -> T) -> T {
        let sketch = &mut self.slots[slot];
        let before = sketch.heap_bytes();
        let result = change(sketch);
        self.held = self.held + sketch.heap_bytes() - before;
        result
    }

    fn column<'a>(sketches: impl ExactSizeIterator<Item = &'a Sketch>) -> Result<ArrayRef> {
        let (mut bytes, mut offsets) = (Vec::new(), Vec::with_capacity(sketches.len() + 1));
        offsets.push(0);
        for sketch in sketches {
            sketch.write(&mut bytes);
            let end = i32::try_from(bytes.len());
            offsets.push(end.map_err(|_| Error::world("APPROX_COUNT_DISTINCT holds more than 2 GiB in one piece"))?);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(BinaryArray::try_new(offsets, Buffer::from_vec(bytes), None)?))
    }
}

impl AggregateState for ApproximateCount {
    fn fields(&self) -> Vec<StateField> {
        vec![("sketch", DataType::Binary, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.slots.resize(slots, Sketch::Empty);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.values.ok_or_else(|| Error::bug("APPROX_COUNT_DISTINCT needs an argument"))?;
        if rows.signs.is_some() {
            return Err(Error::bug("an approximate count of rows that are taken back"));
        }
        let hashes = key_hashes(std::slice::from_ref(values))?;
        rows.each(|slot, row, _| self.change(slot, |sketch| sketch.insert(hashes[row])));
        Ok(())
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], _: i64) -> Result<()> {
        let partials = columns.first().and_then(|column| column.as_binary_opt::<i32>());
        let partials = partials.ok_or_else(|| Error::bug("an approximate count without its column"))?;
        for (row, slot) in slots.iter().enumerate() {
            self.change(*slot as usize, |sketch| sketch.merge(partials.value(row)))?;
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Self::column(slots.iter().map(|slot| &self.slots[*slot as usize]))?])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let column = Self::column(self.slots.iter())?;
        self.slots.clear();
        self.held = 0;
        Ok(vec![column])
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        Ok(array::<Int64Type>(compute(slots, self.slots.len(), |slot| self.slots[slot].count())))
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.change(*slot as usize, |sketch| *sketch = Sketch::Empty));
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Sketch>() + self.held
    }

    fn invertible(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(values: std::ops::Range<i64>) -> Vec<u64> {
        key_hashes(&[Arc::new(arrow::array::Int64Array::from_iter_values(values))]).unwrap()
    }

    fn sketch(values: std::ops::Range<i64>) -> Sketch {
        let mut sketch = Sketch::default();
        hashes(values).into_iter().for_each(|hash| sketch.insert(hash));
        sketch
    }

    fn written(sketch: &Sketch) -> Vec<u8> {
        let mut bytes = Vec::new();
        sketch.write(&mut bytes);
        bytes
    }

    #[test]
    fn few_values_are_counted_and_many_within_three_per_cent() {
        for count in [0, 1, 2, 500, EXACT as i64] {
            assert_eq!(sketch(0..count).count(), count);
        }
        // The standard error is 0.81 per cent: four of them.
        for count in [1_025, 3_000, 10_000, 40_000, 100_000, 1_000_000] {
            for start in [0, 1 << 40] {
                let found = sketch(start..start + count).count();
                assert!((found - count).abs() as f64 <= 0.0325 * count as f64, "{count} from {start}: {found}");
            }
        }
    }

    #[test]
    fn the_error_over_many_sets_is_the_one_that_is_stated() {
        let of = |start: i64| sketch(start..start + 20_000).count() as f64 / 20_000.0 - 1.0;
        let errors: Vec<f64> = (0..64).map(|set| of(set * 1_000_000)).collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let deviation = (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
        assert!(mean.abs() < 0.003 && deviation < 0.011, "mean {mean}, deviation {deviation}");
    }

    #[test]
    fn order_parts_and_repeats_change_nothing() {
        for count in [10, EXACT as i64, EXACT as i64 + 1, 50_000] {
            let whole = sketch(0..count);
            let mut backwards = Sketch::default();
            hashes(0..count).into_iter().rev().for_each(|hash| backwards.insert(hash));
            assert_eq!(written(&backwards), written(&whole));
            for cut in [0, 1, count / 3, count] {
                // The parts share values.
                let (left, right) = (sketch(0..cut), sketch((cut - 1).max(0)..count));
                for (first, second) in [(&left, &right), (&right, &left)] {
                    let mut merged = first.clone();
                    merged.merge(&written(second)).unwrap();
                    assert_eq!(written(&merged), written(&whole), "{count} cut at {cut}");
                    assert_eq!(merged.count(), whole.count());
                }
            }
        }
    }

    #[test]
    fn the_state_of_a_slot_is_bounded() {
        let mut all = ApproximateCount::default();
        all.resize(1);
        let values: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..100_000));
        let slots = vec![0; values.len()];
        all.update(&Rows { slots: &slots, values: Some(&values), weights: None, counted: None, signs: None }).unwrap();
        assert!(all.bytes() < 20_000, "{}", all.bytes());
        assert_eq!(all.gather(&[0]).unwrap()[0].as_binary::<i32>().value(0).len(), REGISTERS);
        all.clear(&[0]);
        assert_eq!(all.held, 0);
    }

    #[test]
    fn damaged_states_are_errors() {
        assert!(Sketch::default().merge(&[0; 7]).is_err());
        assert!(Sketch::default().merge(&[200; REGISTERS]).is_err());
    }
}
