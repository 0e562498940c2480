//! States that wait for a time: keyed rows of which one column says when they are due, taken out in the order of that time.
//!
//! ```text
//!   schema   ┌ key ┐ time ┌ further ┐┌ states ┐
//!              a      60      x          2         rows of one key, time and further columns are merged into one
//!              b     120      NULL       1
//! ```
//!
//! What is taken is gone, for the next barrier as well. Bounded by what is not due.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};

use super::{KeyedTable, SlotColumns, batch_of, integers};
use crate::error::{Error, Result};
use crate::state::{SnapshotWriter, StateTable, TableSpec};

/// A state table of rows that are due at a time.
#[derive(Debug)]
pub struct DueTable<C> {
    schema: SchemaRef,
    unique: usize,
    /// The column of the time, the last of the key.
    time: usize,
    table: KeyedTable<C>,
    /// The column of numbers that rows of one time leave in the order of.
    order: Option<usize>,
    /// The slots that are due at each time, in the order in which they came.
    due: BTreeMap<i64, Vec<u32>>,
    slots: Vec<u32>,
}

impl<C: SlotColumns> DueTable<C> {
    /// An empty table. `schema` is `key` columns that the key group is computed from, the last of them the time
    /// (`Timestamp(ms)`, not NULL), further columns up to `unique` in all, then the fields of `columns`.
    pub fn new(name: &str, schema: SchemaRef, unique: usize, key: usize, columns: C) -> Result<Self> {
        let time = key.checked_sub(1).ok_or_else(|| Error::bug("rows that are due without a time"))?;
        let table = KeyedTable::new(name, Arc::clone(&schema), unique, key, columns)?;
        Ok(Self { schema, unique, time, table, order: None, due: BTreeMap::new(), slots: Vec::new() })
    }

    /// The same where rows of one time leave in the order of a column of rising numbers (`Int64`, one of the further ones),
    /// behind a restart too.
    pub fn in_order_of(mut self, column: usize) -> Self {
        self.order = Some(column);
        self
    }

    /// Adds rows with the columns of the table.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let (keys, states) = rows.columns().split_at(self.unique);
        let times = times(&keys[self.time])?;
        self.table.assign(keys, rows.num_rows(), &mut self.slots)?;
        for (slot, time) in self.slots.iter().zip(times) {
            if !self.table.is_alive(*slot) {
                self.due.entry(*time).or_default().push(*slot);
            }
            self.table.touch(&[*slot]);
        }
        self.table.merge(&self.slots, states)
    }

    /// The first time from `from` on at which something is due.
    pub fn first_from(&self, from: i64) -> Option<i64> {
        self.due.range(from..).next().map(|(time, _)| *time)
    }

    /// Takes out some of what is due within these times, about `rows` rows; none when nothing is left.
    pub fn take(&mut self, times: RangeInclusive<i64>, rows: usize) -> Result<Option<RecordBatch>> {
        let mut taken: Vec<u32> = Vec::new();
        while !times.is_empty() && taken.len() < rows {
            let Some((&time, _)) = self.due.range(times.clone()).next() else { break };
            let mut slots = self.due.remove(&time).unwrap_or_default();
            let room = rows - taken.len();
            if slots.len() > room {
                self.due.insert(time, slots.split_off(room));
            }
            taken.append(&mut slots);
        }
        if taken.is_empty() {
            return Ok(None);
        }
        let mut columns = self.table.table().index.gather(&taken)?;
        columns.extend(self.table.table().columns.gather(&taken)?);
        let batch = batch_of(&self.schema, columns, taken.len())?;
        self.table.remove(&taken);
        Ok(Some(batch))
    }
}

fn times(column: &ArrayRef) -> Result<&[i64]> {
    let times = column.as_primitive_opt::<TimestampMillisecondType>();
    times.map(|times| times.values().as_ref()).ok_or_else(|| Error::bug("rows are due at something that is no time"))
}

impl<C: SlotColumns> StateTable for DueTable<C> {
    fn spec(&self) -> TableSpec {
        self.table.spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        self.table.save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        self.table.load(rows)?;
        let slots = self.table.alive_slots();
        let keys = self.table.table().index.gather(&slots)?;
        let mut due: Vec<(i64, usize)> = times(&keys[self.time])?.iter().copied().zip(0..).collect();
        if let Some(column) = self.order {
            let numbers = integers(&keys[column])?;
            due.sort_by_key(|(_, row)| numbers[*row]);
        }
        for (time, row) in due {
            self.due.entry(time).or_default().push(slots[row]);
        }
        Ok(())
    }

    fn row_count(&self) -> usize {
        self.table.row_count()
    }

    fn bytes(&self) -> usize {
        let lists: usize = self.due.values().map(|slots| slots.capacity() * size_of::<u32>()).sum();
        self.table.bytes() + lists
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, TimestampMillisecondArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};

    use super::super::restarts::{Restarts, Sums};
    use super::*;

    fn fresh() -> DueTable<Sums> {
        let fields = vec![
            Field::new("k", DataType::Utf8, false),
            Field::new("end", DataType::Timestamp(TimeUnit::Millisecond, None), false),
            Field::new("v", DataType::Int64, true),
            Field::new("sum", DataType::Int64, false),
        ];
        DueTable::new("held", Arc::new(Schema::new(fields)), 3, 2, Sums::default()).unwrap()
    }

    fn rows(rows: &[(&str, i64, Option<i64>, i64)]) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.3))),
        ];
        RecordBatch::try_new(fresh().schema, columns).unwrap()
    }

    fn taken(table: &mut DueTable<Sums>, times: RangeInclusive<i64>, most: usize) -> Vec<(String, i64, i64)> {
        let Some(batch) = table.take(times.clone(), most).unwrap() else { return Vec::new() };
        let keys = batch.column(0).as_string::<i32>();
        let ends = batch.column(1).as_primitive::<TimestampMillisecondType>().values();
        let sums = batch.column(3).as_primitive::<Int64Type>().values();
        (0..batch.num_rows()).map(|row| (keys.value(row).to_owned(), ends[row], sums[row])).collect()
    }

    #[test]
    fn what_is_due_leaves_in_order_of_its_time_in_pieces_and_once_over_restarts() {
        let mut job = Restarts::new(fresh);
        job.route(
            &rows(&[("a", 20, None, 1), ("b", 10, Some(1), 2), ("a", 20, None, 3), ("a", 10, Some(2), 5)]),
            |table, rows| {
                table.add(rows).unwrap();
            },
        );
        job.barrier(true);
        assert_eq!(job.tables[0].first_from(11), Some(20));
        assert_eq!(taken(&mut job.tables[0], i64::MIN..=15, 1), [("b".to_owned(), 10, 2)]);
        job.barrier(true);
        job.restart(1);
        let table = &mut job.tables[0];
        assert_eq!(taken(table, i64::MIN..=15, 9), [("a".to_owned(), 10, 5)]);
        assert!(taken(table, i64::MIN..=15, 9).is_empty());
        table.add(&rows(&[("a", 20, None, 1)])).unwrap();
        assert_eq!(taken(table, 11..=20, 9), [("a".to_owned(), 20, 5)]);
        assert_eq!(table.first_from(i64::MIN), None);
        job.barrier(true);
        job.restart(2);
        assert!(job.tables.iter_mut().all(|table| table.take(i64::MIN..=i64::MAX, 9).unwrap().is_none()));
    }

    #[test]
    fn what_is_numbered_leaves_in_the_order_of_its_numbers_behind_restarts_too() {
        let mut job = Restarts::new(|| fresh().in_order_of(2));
        let came: Vec<(&str, i64, Option<i64>, i64)> =
            (0..40).map(|number| (["a", "b", "c"][number as usize * 7 % 3], 10, Some(number), number)).collect();
        for some in came.chunks(8) {
            job.route(&rows(some), |table, rows| table.add(rows).unwrap());
            job.barrier(true);
            job.restart(1);
        }
        let numbers = taken(&mut job.tables[0], i64::MIN..=10, 99).into_iter().map(|(_, _, number)| number);
        assert_eq!(numbers.collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
    }
}
