//! A hash table from 64-bit tags to slots: open addressing, linear probing, at most half full.
//!
//! The tag is the key itself where the key fits into 64 bits, else a hash of it; the caller confirms a hash by
//! comparing keys. Tag and slot stand side by side, so that a key that is known costs one cache line.

/// The slot of a place that is free.
const FREE: u32 = u32::MAX;
/// Odd and without pattern: the golden ratio of 2^64.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
/// Places of the smallest table.
const SMALLEST: usize = 16;
/// Keys that are looked up together, so that their cache misses overlap.
const BLOCK: usize = 32;

#[derive(Debug, Clone, Copy)]
struct Place {
    tag: u64,
    slot: u32,
}

const EMPTY: Place = Place { tag: 0, slot: FREE };

/// The table.
#[derive(Debug, Default)]
pub(super) struct ProbeTable {
    /// A power of two of them, or none.
    places: Vec<Place>,
    used: usize,
}

/// Spreads `word` over 64 bits: both halves of a 128-bit product, so that neither low nor high bits are lost.
#[inline(always)]
pub(super) fn mix(word: u64) -> u64 {
    let product = u128::from(word ^ (FACTOR >> 7)) * u128::from(FACTOR);
    (product as u64) ^ ((product >> 64) as u64)
}

impl ProbeTable {
    /// Appends the slot of each tag to `slots`. `same(slot, row)` confirms that the key in `slot` is that of `row` of
    /// `tags`; `insert(row)` stores a new key and returns its slot.
    #[inline(always)]
    pub(super) fn assign<K>(
        &mut self,
        tags: &[u64],
        slots: &mut Vec<u32>,
        keys: &mut K,
        same: impl Fn(&K, u32, usize) -> bool,
        mut insert: impl FnMut(&mut K, usize) -> u32,
    ) {
        slots.reserve(tags.len());
        if self.places.is_empty() {
            self.places.resize(SMALLEST, EMPTY);
        }
        let mut first = [EMPTY; BLOCK];
        for (block, tags) in tags.chunks(BLOCK).enumerate() {
            // The first place of every key of the block is read before any is looked at: the reads overlap.
            let places = &self.places[..];
            let mask = places.len() - 1;
            for (place, tag) in first.iter_mut().zip(tags) {
                *place = places[mix(*tag) as usize & mask];
            }
            for (index, (place, tag)) in first.iter().zip(tags).enumerate() {
                let row = block * BLOCK + index;
                // What was read may be out of date if a key of this block has gone in since, but then the place was
                // free when it was read, and the slow way looks again.
                let slot = if place.slot != FREE && place.tag == *tag && same(keys, place.slot, row) {
                    place.slot
                } else {
                    self.find_or_insert(*tag, |slot| same(keys, slot, row)).unwrap_or_else(|free| {
                        let slot = insert(keys, row);
                        self.fill(free, *tag, slot);
                        slot
                    })
                };
                slots.push(slot);
            }
        }
    }

    /// Removes the place of `slot`, whose tag is `tag`.
    pub(super) fn remove(&mut self, tag: u64, slot: u32) {
        if self.places.is_empty() {
            return;
        }
        let mask = self.places.len() - 1;
        let mut hole = mix(tag) as usize & mask;
        while self.places[hole].slot != slot {
            if self.places[hole].slot == FREE {
                return;
            }
            hole = (hole + 1) & mask;
        }
        // Whatever stands behind the hole and may stand in it moves up, so that no chain is broken.
        let mut next = (hole + 1) & mask;
        while self.places[next].slot != FREE {
            let home = mix(self.places[next].tag) as usize & mask;
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.places[hole] = self.places[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.places[hole] = EMPTY;
        self.used -= 1;
    }

    /// Forgets all keys. Keeps the memory unless it is far more than the keys needed.
    pub(super) fn clear(&mut self) {
        if self.places.len() > 8 * self.used.max(SMALLEST) {
            self.places = Vec::new();
        } else {
            self.places.fill(EMPTY);
        }
        self.used = 0;
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
    }

    /// The slot of a key, or the free place where it belongs.
    fn find_or_insert(&self, tag: u64, same: impl Fn(u32) -> bool) -> Result<u32, usize> {
        let mask = self.places.len() - 1;
        let mut at = mix(tag) as usize & mask;
        loop {
            let place = self.places[at];
            if place.slot == FREE {
                return Err(at);
            }
            if place.tag == tag && same(place.slot) {
                return Ok(place.slot);
            }
            at = (at + 1) & mask;
        }
    }

    fn fill(&mut self, at: usize, tag: u64, slot: u32) {
        self.places[at] = Place { tag, slot };
        self.used += 1;
        if self.used * 2 > self.places.len() {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.spread(self.places.len() * 2, |place| place.tag);
    }

    /// Gives every key another tag, by its slot.
    #[cold]
    pub(super) fn retag(&mut self, tag: impl Fn(u32) -> u64) {
        self.spread(self.places.len(), |place| tag(place.slot));
    }

    /// Has so many places, a key in that of its tag.
    fn spread(&mut self, length: usize, tag: impl Fn(&Place) -> u64) {
        let before = std::mem::replace(&mut self.places, vec![EMPTY; length]);
        for place in before.into_iter().filter(|place| place.slot != FREE) {
            let place = Place { tag: tag(&place), ..place };
            let mut at = mix(place.tag) as usize & (length - 1);
            while self.places[at].slot != FREE {
                at = (at + 1) & (length - 1);
            }
            self.places[at] = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Keys of which several share a tag, as hashes would.
    fn assign(table: &mut ProbeTable, stored: &mut Vec<u64>, keys: &[u64]) -> Vec<u32> {
        let tags: Vec<u64> = keys.iter().map(|key| key % 97).collect();
        let mut slots = Vec::new();
        table.assign(
            &tags,
            &mut slots,
            stored,
            |stored, slot, row| stored[slot as usize] == keys[row],
            |stored, row| {
                stored.push(keys[row]);
                stored.len() as u32 - 1
            },
        );
        slots
    }

    #[test]
    fn finds_inserts_and_removes_like_a_map() {
        let (mut table, mut stored, mut model) = (ProbeTable::default(), Vec::new(), HashMap::<u64, u32>::new());
        let mut state = 7_u64;
        for round in 0..50 {
            let keys: Vec<u64> = (0..100)
                .map(|_| {
                    state = mix(state.wrapping_add(round));
                    state % 700
                })
                .collect();
            for (key, slot) in keys.iter().zip(assign(&mut table, &mut stored, &keys)) {
                assert_eq!(stored[slot as usize], *key);
                assert_eq!(*model.entry(*key).or_insert(slot), slot);
            }
            for key in keys.iter().step_by(3) {
                if let Some(slot) = model.remove(key) {
                    table.remove(key % 97, slot);
                }
            }
            assert_eq!(table.used, model.len());
        }
    }
}
