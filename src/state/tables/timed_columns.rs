//! Columns of state with one more: until when each slot is kept. Whoever is not interested in time has only the others,
//! and pays nothing.
//!
//! What the time is that of is the owner's business: the clock, or the watermark. Nothing goes by itself; the owner asks
//! which slots have had their time, and removes them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field};

use super::{SlotColumns, integers};
use crate::error::{Error, Result};

/// The name of the further column: milliseconds, `Int64`.
pub const KEEP_UNTIL_COLUMN: &str = "keep_until";

/// Of a slot that nobody has been told to keep.
const NOT_THERE: i64 = i64::MAX;

/// Columns of state by slot, with the time until which each slot is kept if it is timed.
#[derive(Debug)]
pub struct TimedColumns<C> {
    inner: C,
    /// By slot; none where slots are kept for ever.
    until: Option<Vec<i64>>,
    /// No slot has its time before this.
    earliest: i64,
}

impl<C> TimedColumns<C> {
    pub fn new(inner: C, is_timed: bool) -> Self {
        Self { inner, until: is_timed.then(Vec::new), earliest: NOT_THERE }
    }

    /// The columns but for the time.
    pub fn inner(&self) -> &C {
        &self.inner
    }

    /// The same, to change.
    pub fn inner_mut(&mut self) -> &mut C {
        &mut self.inner
    }

    /// Keeps each of `slots` until the time in its place.
    pub fn keep(&mut self, slots: &[u32], until: impl Iterator<Item = i64>) {
        self.put(slots, until.map(|until| until.min(NOT_THERE - 1)));
    }

    fn put(&mut self, slots: &[u32], until: impl Iterator<Item = i64>) {
        let Some(times) = &mut self.until else { return };
        for (slot, until) in slots.iter().zip(until) {
            times[*slot as usize] = until;
            self.earliest = self.earliest.min(until);
        }
    }

    /// Whether somebody was told to keep the slot; where slots are not timed nobody ever is.
    pub fn is_kept(&self, slot: u32) -> bool {
        self.until.as_ref().is_some_and(|times| times[slot as usize] != NOT_THERE)
    }

    /// Those of `slots` whose time is `now` or before.
    pub fn expired_of(&self, slots: &[u32], now: i64) -> Vec<u32> {
        let now = now.min(NOT_THERE - 1);
        match &self.until {
            Some(times) if self.earliest <= now => {
                slots.iter().copied().filter(|slot| times[*slot as usize] <= now).collect()
            }
            _ => Vec::new(),
        }
    }

    /// At most `most` of all slots whose time is `now` or before.
    pub fn expired(&mut self, now: i64, most: usize) -> Vec<u32> {
        let now = now.min(NOT_THERE - 1);
        let Some(times) = self.until.as_ref().filter(|_| self.earliest <= now) else { return Vec::new() };
        let all = times.iter().enumerate().filter(|(_, until)| **until <= now);
        let found: Vec<u32> = all.take(most).map(|(slot, _)| slot as u32).collect();
        if found.len() < most {
            let later = times.iter().copied().filter(|until| *until > now);
            self.earliest = later.min().unwrap_or(NOT_THERE);
            // Until they are removed these are still there.
            self.earliest = if found.is_empty() { self.earliest } else { self.earliest.min(now) };
        }
        found
    }

    /// The earliest time at which a slot may have had its time.
    pub fn earliest(&self) -> Option<i64> {
        (self.earliest != NOT_THERE).then_some(self.earliest)
    }

    /// The columns of all, and that of the time where there is one.
    fn split<'a>(&self, columns: &'a [ArrayRef]) -> Result<(&'a [ArrayRef], Option<&'a [i64]>)> {
        match (&self.until, columns.split_last()) {
            (None, _) => Ok((columns, None)),
            (Some(_), Some((until, inner))) => Ok((inner, Some(integers(until)?))),
            (Some(_), None) => Err(Error::bug("timed state without its time")),
        }
    }
}

impl<C: SlotColumns> SlotColumns for TimedColumns<C> {
    fn fields(&self) -> Vec<Field> {
        let until = self.until.as_ref().map(|_| Field::new(KEEP_UNTIL_COLUMN, DataType::Int64, false));
        self.inner.fields().into_iter().chain(until).collect()
    }

    fn resize(&mut self, slots: usize) {
        self.inner.resize(slots);
        self.until.iter_mut().for_each(|until| until.resize(slots, NOT_THERE));
    }

    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let (inner, until) = self.split(columns)?;
        self.inner.set(slots, inner)?;
        if let Some(until) = until {
            self.put(slots, until.iter().copied());
        }
        Ok(())
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let (inner, until) = self.split(columns)?;
        self.inner.merge(slots, inner)?;
        if let Some(until) = until {
            self.keep(slots, until.iter().copied());
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = self.inner.gather(slots)?;
        if let Some(until) = &self.until {
            let until = slots.iter().map(|slot| until[*slot as usize]);
            columns.push(Arc::new(Int64Array::from_iter_values(until)));
        }
        Ok(columns)
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let mut columns = self.inner.take()?;
        if let Some(until) = &mut self.until {
            columns.push(Arc::new(Int64Array::from(std::mem::take(until))));
        }
        self.earliest = NOT_THERE;
        Ok(columns)
    }

    fn clear(&mut self, slots: &[u32]) {
        self.inner.clear(slots);
        if let Some(until) = &mut self.until {
            slots.iter().for_each(|slot| until[*slot as usize] = NOT_THERE);
        }
    }

    fn is_ordered(&self) -> bool {
        self.inner.is_ordered()
    }

    fn bytes(&self) -> usize {
        self.inner.bytes() + self.until.as_ref().map_or(0, |until| until.capacity() * size_of::<i64>())
    }
}

#[cfg(test)]
mod tests {
    use super::super::restarts::Sums;
    use super::*;

    #[test]
    fn slots_have_had_their_time_until_they_are_kept_longer_or_cleared() {
        let mut columns = TimedColumns::new(Sums::default(), true);
        columns.resize(4);
        assert_eq!((columns.expired(100, 9), columns.earliest()), (vec![], None));
        columns.keep(&[0, 2, 3], [5, 7, 9].into_iter());
        assert!(columns.is_kept(0) && !columns.is_kept(1));
        assert_eq!(columns.expired(7, 9), [0, 2]);
        assert_eq!((columns.expired(7, 1), columns.expired_of(&[1, 2, 3], 7)), (vec![0], vec![2]));
        columns.clear(&[0]);
        columns.keep(&[2], [8].into_iter());
        assert_eq!((columns.expired(7, 9), columns.earliest()), (vec![], Some(8)));
        // Saved and put back, the time is among the columns.
        let saved = columns.gather(&[2, 3]).unwrap();
        let mut other = TimedColumns::new(Sums::default(), true);
        other.resize(2);
        other.set(&[1, 0], &saved).unwrap();
        assert_eq!((saved.len(), other.expired(8, 9)), (2, vec![1]));
    }

    #[test]
    fn what_is_kept_for_ever_has_no_further_column() {
        let mut columns = TimedColumns::new(Sums::default(), false);
        columns.resize(1);
        columns.keep(&[0], [1].into_iter());
        assert_eq!((columns.fields().len(), columns.gather(&[0]).unwrap().len()), (1, 1));
        assert_eq!((columns.expired(i64::MAX, 9), columns.expired_of(&[0], 9)), (vec![], vec![]));
    }

    #[test]
    fn what_is_not_there_has_no_time_at_the_end_either() {
        let mut columns = TimedColumns::new(Sums::default(), true);
        columns.resize(2);
        columns.keep(&[1], [i64::MAX].into_iter());
        assert_eq!((columns.expired(i64::MAX, 9), columns.expired_of(&[0, 1], i64::MAX)), (vec![1], vec![1]));
    }
}
