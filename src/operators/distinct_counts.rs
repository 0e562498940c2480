//! The different values of one argument under an unwindowed GROUP BY: how often each value of a key is there, for each
//! call that reads it. A checkpoint holds those that changed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{take, take_arrays};
use arrow::datatypes::{DataType, Field, Schema};

use super::AggregateCall;
use super::distinct_weights::{Crossings, DistinctWeights};
use super::forgetting::Forgetting;
use crate::error::{Error, Result};
use crate::state::{KEEP_UNTIL_COLUMN, KeyedTable, SnapshotWriter, StateTable, TableSpec, TimedColumns, integers};
use crate::stream::ProcTime;

/// The values of some calls with the same argument.
pub(super) struct DistinctCounts {
    keys: usize,
    /// Keys and value, and a weight a call: the state table `distinct_<index of the first call>`.
    table: KeyedTable<TimedColumns<DistinctWeights>>,
    /// Of the rows at hand, and those among them that no call has any more.
    slots: Vec<u32>,
    weightless: Vec<u32>,
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
        let weights = TimedColumns::new(DistinctWeights::new(calls.len()), is_timed);
        fields.extend(DistinctWeights::fields(calls.len()));
        fields.extend(is_timed.then(|| Field::new(KEEP_UNTIL_COLUMN, DataType::Int64, false)));
        let schema = Arc::new(Schema::new(fields));
        let table = KeyedTable::new(format!("distinct_{index}"), schema, keys.len() + 1, keys.len(), weights)?;
        Ok(Self { keys: keys.len(), table, slots: Vec::new(), weightless: Vec::new() })
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
        if kept.forgetting.repeats() {
            let mut expired = self.table.table().columns.expired_of(&self.slots, kept.now.0);
            if !expired.is_empty() {
                expired.sort_unstable();
                expired.dedup();
                self.table.touch(&self.slots);
                self.table.remove(&expired);
                self.table.assign(&keys, values.len(), &mut self.slots)?;
            }
        }
        let weights = weights.iter().map(integers).collect::<Result<Vec<_>>>()?;
        let crossings = self.table.columns_mut().inner_mut().add(&self.slots, &weights, &mut self.weightless);
        if !kept.until.is_empty() {
            self.table.columns_mut().keep(&self.slots, kept.until.iter().copied());
        }
        self.table.touch(&self.slots);
        // A value may have gone before it came: its weight is then below nothing, and is kept.
        if !self.weightless.is_empty() {
            self.table.remove(&self.weightless);
        }
        let turnover = |Crossings { rows, signs }| {
            let rows = UInt32Array::from(rows);
            let groups = rows.values().iter().map(|row| groups[*row as usize]).collect();
            Ok(Turnover { groups, values: take(values, &rows, None)?, signs })
        };
        crossings.into_iter().map(turnover).collect()
    }

    /// Forgets the values that have had their time.
    pub(super) fn sweep(&mut self, now: i64) -> Result<()> {
        let expired = self.table.columns_mut().expired(now, usize::MAX);
        self.table.remove(&expired);
        self.table.shrink()
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

    fn row_count(&self) -> usize {
        self.table.row_count()
    }

    fn bytes(&self) -> usize {
        self.table.bytes() + (self.slots.capacity() + self.weightless.capacity()) * size_of::<u32>()
    }
}
