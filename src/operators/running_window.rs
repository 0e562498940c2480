//! The content of a HOP window as it moves on: panes come in at one end and go out at the other.
//!
//! Where every aggregate can take partial states away again, a slice is merged once when it comes and taken away once
//! when its pane goes, however many windows it lies in. Otherwise each window is put together from its slices.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use super::{AggregateCall, Aggregates};
use crate::error::Result;
use crate::state::{GroupTable, SlotColumns};

/// Columns of a slice's batch before its keys.
const LEADING: usize = 2;

/// The slices of the present window.
pub(super) struct RunningWindow {
    types: Vec<DataType>,
    calls: Vec<AggregateCall>,
    /// The batches of each pane.
    panes: BTreeMap<i64, Vec<RecordBatch>>,
    /// All of them merged, if they can be taken away again.
    merged: Option<Merged>,
}

struct Merged {
    table: GroupTable<Aggregates>,
    /// How many rows were merged into each slot and not taken away.
    parts: Vec<u32>,
}

impl RunningWindow {
    pub(super) fn new(types: &[DataType], calls: &[AggregateCall]) -> Result<Self> {
        let states = Aggregates::new(calls)?;
        let merged = match states.invertible() {
            true => Some(Merged { table: GroupTable::new(types, states)?, parts: Vec::new() }),
            false => None,
        };
        Ok(Self { types: types.to_vec(), calls: calls.to_vec(), panes: BTreeMap::new(), merged })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    /// Counts a slice from now on.
    pub(super) fn enter(&mut self, pane: i64, batches: Vec<RecordBatch>) -> Result<()> {
        if let Some(merged) = &mut self.merged {
            for batch in &batches {
                merged.table.merge(batch, LEADING, self.types.len())?;
                merged.parts.resize(merged.table.index.slots(), 0);
                merged.table.last_slots().iter().for_each(|slot| merged.parts[*slot as usize] += 1);
            }
        }
        self.panes.entry(pane).or_default().extend(batches);
        Ok(())
    }

    /// Counts the panes before `pane` no more, and says which they were.
    pub(super) fn leave_before(&mut self, pane: i64) -> Result<Vec<i64>> {
        let staying = self.panes.split_off(&pane);
        let left = std::mem::replace(&mut self.panes, staying);
        if let Some(merged) = &mut self.merged {
            for batch in left.values().flatten() {
                merged.leave(batch, self.types.len())?;
            }
        }
        Ok(left.into_keys().collect())
    }

    /// Keys and results of the present window.
    pub(super) fn evaluate(&mut self) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>, usize)> {
        match &self.merged {
            Some(Merged { table, .. }) if table.index.free_slots().is_empty() => {
                // All slots are in use, in order.
                let slots: Vec<u32> = (0..table.index.slots() as u32).collect();
                Ok((table.index.gather(&slots)?, table.columns.evaluate(None)?, slots.len()))
            }
            Some(Merged { table, parts }) => {
                let slots: Vec<u32> = (0..parts.len() as u32).filter(|slot| parts[*slot as usize] > 0).collect();
                Ok((table.index.gather(&slots)?, table.columns.evaluate(Some(&slots))?, slots.len()))
            }
            None => {
                let mut table = GroupTable::new(&self.types, Aggregates::new(&self.calls)?)?;
                for batch in self.panes.values().flatten() {
                    table.merge(batch, LEADING, self.types.len())?;
                }
                let rows = table.len();
                Ok((table.index.take()?, table.columns.evaluate(None)?, rows))
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        // The batches belong to the state table, which counts them.
        self.merged.as_ref().map_or(0, |merged| merged.table.bytes() + merged.parts.capacity() * 4)
    }
}

impl Merged {
    fn leave(&mut self, batch: &RecordBatch, keys: usize) -> Result<()> {
        let (keys, states) = batch.columns()[LEADING..].split_at(keys);
        let (slots, columns) = self.table.assign(keys, batch.num_rows())?;
        columns.unmerge(slots, states)?;
        let mut gone = Vec::new();
        for slot in slots {
            let parts = &mut self.parts[*slot as usize];
            *parts -= 1;
            if *parts == 0 {
                gone.push(*slot);
            }
        }
        self.table.columns.clear(&gone);
        self.table.index.remove(&gone);
        Ok(())
    }
}
