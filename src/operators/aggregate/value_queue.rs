//! The values of one slot in the order in which they came, of which the oldest that equals a given one may go.
//!
//! What goes leaves a gap until half of all are gaps. A long queue knows where each value stands, so that to take one
//! costs the same however many there are.

use std::collections::VecDeque;

use hashbrown::HashMap;

/// A queue of so many values is searched from its start.
const SEARCHED: usize = 32;

/// In the place of a value that has gone.
const GAP: u32 = u32::MAX;

/// A value of a slot, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) value: u32,
    /// Whether it is there, or was taken back before it came.
    pub(super) came: bool,
}

#[derive(Debug, Default)]
pub(super) struct ValueQueue {
    /// With gaps, but none at the end.
    entries: Vec<Entry>,
    /// There are gaps alone before this one.
    first: usize,
    /// How many are no gaps.
    length: usize,
    /// Of a long queue: where each entry stands, the oldest first.
    places: Option<Box<Places>>,
}

type Places = HashMap<Entry, VecDeque<u32>>;

impl ValueQueue {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if let Some(places) = &mut self.places {
            places.entry(entry).or_default().push_back(self.entries.len() as u32);
        }
        self.entries.push(entry);
        self.length += 1;
    }

    /// Takes the oldest that equals `entry`, if there is one.
    pub(super) fn take_oldest(&mut self, entry: Entry) -> bool {
        let Some(at) = self.find_oldest(entry) else { return false };
        self.entries[at].value = GAP;
        self.length -= 1;
        while self.entries.last().is_some_and(|last| last.value == GAP) {
            self.entries.pop();
        }
        while self.entries.get(self.first).is_some_and(|first| first.value == GAP) {
            self.first += 1;
        }
        self.first = self.first.min(self.entries.len());
        if self.entries.len() > 2 * self.length + SEARCHED {
            self.entries.retain(|entry| entry.value != GAP);
            (self.first, self.places) = (0, None);
        }
        true
    }

    fn find_oldest(&mut self, entry: Entry) -> Option<usize> {
        if self.length <= SEARCHED {
            self.places = None;
            return self.entries[self.first..].iter().position(|known| *known == entry).map(|at| at + self.first);
        }
        let places = self.places.get_or_insert_with(|| {
            let mut places = Places::new();
            for (at, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.value != GAP) {
                places.entry(*entry).or_default().push_back(at as u32);
            }
            Box::new(places)
        });
        let of_entry = places.get_mut(&entry)?;
        let at = of_entry.pop_front();
        if of_entry.is_empty() {
            places.remove(&entry);
        }
        at.map(|at| at as usize)
    }

    /// All of them, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Entry> {
        self.entries[self.first..].iter().filter(|entry| entry.value != GAP).copied()
    }

    /// Puts `entry` in the place of the oldest, and returns that; of a queue from which nothing is taken.
    pub(super) fn replace_first(&mut self, entry: Entry) -> Option<Entry> {
        self.entries.first_mut().map(|first| std::mem::replace(first, entry))
    }

    /// Puts them into another order, of a queue from which nothing is taken.
    pub(super) fn reorder(&mut self, reorder: impl FnOnce(&mut Vec<Entry>)) {
        reorder(&mut self.entries);
    }

    /// Bytes beside those of the entries themselves, which change only as one is taken.
    pub(super) fn place_bytes(&self) -> usize {
        let of_places = |places: &Places| places.capacity() * size_of::<(Entry, VecDeque<u32>)>();
        self.places.as_deref().map_or(0, of_places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As a list that is searched.
        #[test]
        fn a_queue_is_a_list(steps in prop::collection::vec((0_u32..40, any::<bool>(), 0_u8..5), 0..600)) {
            let (mut queue, mut list) = (ValueQueue::default(), Vec::new());
            for (value, came, take) in steps {
                let entry = Entry { value, came };
                if take < 2 {
                    let at = list.iter().position(|known| *known == entry);
                    prop_assert_eq!(queue.take_oldest(entry), at.is_some());
                    at.map(|at| list.remove(at));
                } else {
                    queue.push(entry);
                    list.push(entry);
                }
                prop_assert_eq!(queue.len(), list.len());
                prop_assert_eq!(queue.iter().next(), list.first().copied());
                prop_assert_eq!(queue.iter().next_back(), list.last().copied());
            }
            prop_assert_eq!(queue.iter().collect::<Vec<_>>(), list);
        }
    }

    #[test]
    fn taking_from_a_long_queue_costs_the_same() {
        let mut queue = ValueQueue::default();
        let entry = |value| Entry { value, came: true };
        // Each value comes anew as its old one goes: with a search this takes minutes.
        (0..200_000).for_each(|value| queue.push(entry(value)));
        for value in (0..200_000).chain((0..200_000).rev()) {
            assert!(queue.take_oldest(entry(value)));
            queue.push(entry(value));
            assert_eq!(queue.iter().next_back(), Some(entry(value)));
        }
        assert_eq!(queue.len(), 200_000);
        assert!(queue.entries.len() <= 2 * queue.len() + SEARCHED);
    }
}
