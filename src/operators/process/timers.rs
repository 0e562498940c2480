//! What waits for a time: the keys of timers, in the order of their times.

use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take_arrays};
use arrow::datatypes::{DataType, Field, Schema};

use super::Key;
use crate::error::Result;
use crate::state::{KeyIndex, OrderedTable, Scan, ScanBudget, ScanDirection, integers};

/// The names of the state tables: of timers that go by event time, and by the clock.
pub(super) const TIMERS: &str = "timers";
pub(super) const CLOCK_TIMERS: &str = "clock_timers";
/// When the timer fires: at its time, or with the next watermark where rows have set it to a time that had passed.
const DUE_COLUMN: &str = "fires_at";
const TIME_COLUMN: &str = "set_to";

/// The state table and what it takes to go through it.
#[derive(Debug)]
pub(super) struct Timers {
    pub(super) table: OrderedTable,
    keys: usize,
    /// Timers that are looked at together: more, the more of them were of different keys.
    together: usize,
    most_together: usize,
    index: KeyIndex,
    /// No timer is before this time.
    earliest: i64,
}

impl Timers {
    pub(super) fn new(name: &str, keys: &[Field], most_together: usize) -> Result<Self> {
        let column = |name| Field::new(name, DataType::Int64, false);
        let columns = [&[column(DUE_COLUMN)], keys, &[column(TIME_COLUMN)]].concat();
        let order = vec![SortOptions::default(); columns.len()];
        let types: Vec<DataType> = keys.iter().map(|key| key.data_type().clone()).collect();
        Ok(Self {
            table: OrderedTable::new(name, Arc::new(Schema::new(columns)), (1..=keys.len()).collect(), &order)?,
            keys: keys.len(),
            together: 1,
            most_together: most_together.max(1),
            index: KeyIndex::new(&types)?,
            earliest: i64::MIN,
        })
    }

    /// Sets and deletes timers of keys, whose columns are `[keys]`. Up to `passed` times have passed: what is set to one of these
    /// has to wait for the next watermark.
    pub(super) fn change(
        &mut self,
        keys: &[ArrayRef],
        changes: impl IntoIterator<Item = ((Key, i64), bool)>,
        passed: i64,
    ) -> Result<()> {
        let (set, deleted): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, is_set)| *is_set);
        let next = |time: i64| time.max(passed.saturating_add(1));
        if !set.is_empty() {
            self.table.put(&rows(keys, &set, next)?)?;
            let first = set.iter().map(|((_, time), _)| next(*time)).min();
            self.earliest = self.earliest.min(first.unwrap_or(i64::MAX));
        }
        if !deleted.is_empty() {
            // One that a timer has set, as the watermark went on, is due at its own time.
            self.table.delete(&rows(keys, &deleted, |time| time)?)?;
            self.table.delete(&rows(keys, &deleted, next)?)?;
        }
        Ok(())
    }

    /// No timer is due before this time; none where there is no timer.
    pub(super) fn earliest(&self) -> Option<i64> {
        (!self.table.is_empty()).then_some(self.earliest)
    }

    /// Takes out the first timers up to `until`, of different keys: their times, and the columns of their keys.
    pub(super) fn take_due(&mut self, until: i64) -> Result<Option<(Vec<i64>, Vec<ArrayRef>)>> {
        if self.earliest > until || self.table.is_empty() {
            return Ok(None);
        }
        let all = self.table.ranges(1, Bound::Unbounded, Bound::Unbounded)?;
        let budget = ScanBudget { rows: self.together, bytes: usize::MAX };
        let found = self.table.scan(&mut Scan::new(all, ScanDirection::Forward), budget)?.rows;
        let times = integers(found.column(0))?;
        self.earliest = times.first().copied().unwrap_or(i64::MAX);
        let due = times.partition_point(|time| *time <= until);
        let several = self.of_several_keys(&found.slice(0, due))?;
        self.together = match several == found.num_rows() {
            true => (self.together * 2).min(self.most_together),
            false => (several * 2).clamp(1, self.most_together),
        };
        if several == 0 {
            return Ok(None);
        }
        let found = found.slice(0, several);
        self.table.delete(found.columns())?;
        let times = integers(found.column(1 + self.keys))?.to_vec();
        Ok(Some((times, found.columns()[1..=self.keys].to_vec())))
    }

    /// How many of the first rows have keys that are not those of others.
    fn of_several_keys(&mut self, rows: &RecordBatch) -> Result<usize> {
        let mut slots = Vec::new();
        self.index.assign(&rows.columns()[1..=self.keys], rows.num_rows(), &mut slots)?;
        self.index.take()?;
        // Keys have numbers in the order in which they come.
        Ok(slots.iter().enumerate().take_while(|(row, slot)| *row == **slot as usize).count())
    }
}

/// The rows of timers in the table.
fn rows(keys: &[ArrayRef], of: &[((Key, i64), bool)], due: impl Fn(i64) -> i64) -> Result<Vec<ArrayRef>> {
    let times = || of.iter().map(|((_, time), _)| *time);
    let of_keys = UInt32Array::from_iter_values(of.iter().map(|((key, _), _)| key.0));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(times().map(due)))];
    columns.extend(take_arrays(keys, &of_keys, None)?);
    columns.push(Arc::new(Int64Array::from_iter_values(times())));
    Ok(columns)
}
