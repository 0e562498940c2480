//! The different values of one argument under an unwindowed GROUP BY: how often each value of a key is there, for each
//! call that reads it. A checkpoint holds those that changed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{take, take_arrays};
use arrow::datatypes::{DataType, Field, Schema};

use super::forgetting::Forgetting;
use super::touched::Touched;
use super::{AggregateCall, AggregateFunction, Aggregates};
use crate::error::{Error, Result};
use crate::state::{
    KEEP_UNTIL_COLUMN, KeyedTable, SlotColumns, SnapshotWriter, StateTable, TableSpec, TimedColumns, integers,
};
use crate::stream::ProcTime;

/// The values of some calls with the same argument.
pub(super) struct DistinctCounts {
    keys: usize,
    /// Keys and value, and a weight a call: the state table `distinct_<index of the first call>`.
    table: KeyedTable<TimedColumns<Aggregates>>,
    slots: Vec<u32>,
    touched: Touched,
}

/// Values that came to be there, or went, for one call.
pub(super) struct Turnover {
    /// The group of each value.
    pub(super) groups: Vec<u32>,
    pub(super) values: ArrayRef,
    /// +1 for a value that is new, −1 for one that has gone.
    pub(super) signs: Vec<i64>,
}

/// For how long the values of some rows are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<'a> {
    /// `[rows]`; empty where they are kept for ever.
    pub(super) until: &'a [i64],
    pub(super) forgetting: Forgetting,
    pub(super) now: ProcTime,
}

impl DistinctCounts {
    /// No values yet; timed if groups do not stay for ever.
    pub(super) fn new(calls: &[(usize, AggregateCall)], keys: &[Field], is_timed: bool) -> Result<Self> {
        let Some((index, first)) = calls.first() else { return Err(Error::bug("different values for no call")) };
        let mut fields = keys.to_vec();
        fields.push(Field::new("value", first.input_type.clone(), true));
        fields.extend((0..calls.len()).map(|call| match call {
            0 => Field::new("weight", DataType::Int64, false),
            more => Field::new(format!("weight_{more}"), DataType::Int64, false),
        }));
        let weight = AggregateCall { function: AggregateFunction::Count, filter: None, ..first.plain() };
        let weights = TimedColumns::new(Aggregates::new(&vec![weight; calls.len()])?, is_timed);
        fields.extend(is_timed.then(|| Field::new(KEEP_UNTIL_COLUMN, DataType::Int64, false)));
        let schema = Arc::new(Schema::new(fields));
        let table = KeyedTable::new(format!("distinct_{index}"), schema, keys.len() + 1, keys.len(), weights)?;
        let (slots, touched) = (Vec::new(), Touched::default());
        Ok(Self { keys: keys.len(), table, slots, touched })
    }

    /// Lets the value of each row come (or go) as often as `weights` says for each call: NULL only where it counts. `groups` are
    /// the slots of the rows' keys. Tells what that changed, a [`Turnover`] a call.
    pub(super) fn apply(
        &mut self,
        keys: &[ArrayRef],
        groups: &[u32],
        values: &ArrayRef,
        weights: &[ArrayRef],
        kept: &Kept<'_>,
    ) -> Result<Vec<Turnover>> {
        let numbers = weights.iter().map(integers).collect::<Result<Vec<_>>>()?;
        let counts = |row: &u32| numbers.iter().any(|weights| weights[*row as usize] != 0);
        let rows: Vec<u32> = (0..values.len() as u32).filter(counts).collect();
        if rows.len() == values.len() {
            return self.apply_counting(keys, groups, values, weights, kept);
        }
        let groups: Vec<u32> = rows.iter().map(|row| groups[*row as usize]).collect();
        let columns: Vec<ArrayRef> = keys.iter().chain([values]).chain(weights).cloned().collect();
        let until: Vec<i64> = match kept.until.is_empty() {
            true => Vec::new(),
            false => rows.iter().map(|row| kept.until[*row as usize]).collect(),
        };
        let columns = take_arrays(&columns, &UInt32Array::from(rows), None)?;
        let (keys, values, weights) = (&columns[..self.keys], &columns[self.keys], &columns[self.keys + 1..]);
        self.apply_counting(keys, &groups, values, weights, &Kept { until: &until, ..*kept })
    }

    fn apply_counting(
        &mut self,
        keys: &[ArrayRef],
        groups: &[u32],
        values: &ArrayRef,
        weights: &[ArrayRef],
        kept: &Kept<'_>,
    ) -> Result<Vec<Turnover>> {
        let keys: Vec<ArrayRef> = keys.iter().chain([values]).cloned().collect();
        self.table.assign(&keys, values.len(), &mut self.slots)?;
        self.touched.find(&self.slots, self.table.table().index.slots());
        if kept.forgetting.repeats() {
            let expired = self.table.table().columns.expired_of(&self.touched.slots, kept.now.0);
            if !expired.is_empty() {
                self.table.touch(&self.slots);
                self.table.remove(&expired);
                self.table.assign(&keys, values.len(), &mut self.slots)?;
                self.touched.find(&self.slots, self.table.table().index.slots());
            }
        }
        let before = self.table.table().columns.inner().evaluate(Some(&self.touched.slots))?;
        self.table.columns_mut().inner_mut().merge(&self.slots, weights)?;
        if !kept.until.is_empty() {
            let of_first = self.touched.first_rows.iter().map(|row| kept.until[*row as usize]);
            self.table.columns_mut().keep(&self.touched.slots, of_first);
        }
        self.table.touch(&self.touched.slots);
        let after = self.table.table().columns.inner().evaluate(Some(&self.touched.slots))?;
        let turnovers = before.iter().zip(&after).map(|(before, after)| {
            let (before, after) = (integers(before)?, integers(after)?);
            let sign = |at: usize| i64::from(after[at] > 0) - i64::from(before[at] > 0);
            let changed: Vec<usize> = (0..self.touched.slots.len()).filter(|at| sign(*at) != 0).collect();
            let rows = UInt32Array::from_iter_values(changed.iter().map(|at| self.touched.first_rows[*at]));
            Ok(Turnover {
                groups: rows.values().iter().map(|row| groups[*row as usize]).collect(),
                values: take(values, &rows, None)?,
                signs: changed.into_iter().map(sign).collect(),
            })
        });
        let turnovers = turnovers.collect::<Result<Vec<_>>>()?;
        self.remove_weightless(&after)?;
        Ok(turnovers)
    }

    /// Forgets the values that have had their time.
    pub(super) fn sweep(&mut self, now: i64) -> Result<()> {
        let expired = self.table.columns_mut().expired(now, usize::MAX);
        self.table.remove(&expired);
        self.table.shrink()
    }

    /// Forgets the touched values that are there for no call. A value may have gone before it came: its weight is then
    /// below nothing, and is kept.
    fn remove_weightless(&mut self, after: &[ArrayRef]) -> Result<()> {
        let after = after.iter().map(integers).collect::<Result<Vec<_>>>()?;
        let gone = (0..self.touched.slots.len()).filter(|at| after.iter().all(|weights| weights[*at] == 0));
        let gone: Vec<u32> = gone.map(|at| self.touched.slots[at]).collect();
        if !gone.is_empty() {
            self.table.remove(&gone);
        }
        Ok(())
    }
}

impl StateTable for DistinctCounts {
    fn spec(&self) -> TableSpec {
        self.table.spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        self.table.save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        self.table.load(rows)
    }

    fn bytes(&self) -> usize {
        self.table.bytes() + self.slots.capacity() * size_of::<u32>() + self.touched.bytes()
    }
}
