//! Until when each primary key of a sink is kept, where `table.exec.state.ttl` gives that an end: the clock's time behind the
//! last row that touched it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, Schema};

use super::aggregate::Aggregates;
use super::forgetting::{FORGOTTEN_TOGETHER, Forgetting};
use crate::error::Result;
use crate::state::{KEEP_UNTIL_COLUMN, KeyedTable, StateTable, TimedColumns};
use crate::stream::ProcTime;

/// Keys, and how many they are.
pub(super) type Expired = Option<(Vec<ArrayRef>, usize)>;

/// The state table `kept`, and when it is looked through.
pub(super) struct SinkKeys {
    table: KeyedTable<TimedColumns<Aggregates>>,
    forgetting: Forgetting,
    /// The slots of the keys that the batch at hand touches.
    slots: Vec<u32>,
    sweep_at: Option<ProcTime>,
    is_sweeping: bool,
}

impl SinkKeys {
    /// None where keys are kept for ever.
    pub(super) fn new(forgetting: Forgetting, keys: Vec<Field>) -> Result<Option<Self>> {
        let Forgetting::Untouched { .. } = forgetting else { return Ok(None) };
        let count = keys.len();
        let until = Field::new(KEEP_UNTIL_COLUMN, DataType::Int64, false);
        let schema = Arc::new(Schema::new(keys.into_iter().chain([until]).collect::<Vec<_>>()));
        let columns = TimedColumns::new(Aggregates::new(&[])?, true);
        let table = KeyedTable::new("kept", schema, count, count, columns)?;
        Ok(Some(Self { table, forgetting, slots: Vec::new(), sweep_at: None, is_sweeping: false }))
    }

    pub(super) fn table(&mut self) -> &mut dyn StateTable {
        &mut self.table
    }

    /// Keeps different keys from now on for their time; returns those of them that have had it before.
    pub(super) fn touch(&mut self, keys: &[ArrayRef], count: usize, now: ProcTime) -> Result<Expired> {
        let mut slots = std::mem::take(&mut self.slots);
        self.table.assign(keys, count, &mut slots)?;
        let expired = self.gathered(self.table.table().columns.expired_of(&slots, now.0))?;
        let until = self.forgetting.keep_until(now, None, count, &mut self.forgetting.local_time())?;
        self.table.columns_mut().keep(&slots, until.into_iter());
        self.table.touch(&slots);
        self.slots = slots;
        Ok(expired)
    }

    /// Forgets those of the keys touched last that have no row any more: where `standing` is NULL.
    pub(super) fn release(&mut self, standing: &ArrayRef, now: ProcTime) {
        let empty = self.slots.iter().enumerate().filter(|(key, _)| standing.is_null(*key));
        let empty: Vec<u32> = empty.map(|(_, slot)| *slot).collect();
        self.table.remove(&empty);
        self.look_again(now);
    }

    /// Notes when to look for keys that nobody touches, if there are any.
    pub(super) fn look_again(&mut self, now: ProcTime) {
        if self.sweep_at.is_none() && self.table.table().columns.earliest().is_some() {
            self.sweep_at = self.forgetting.next_sweep(now);
        }
    }

    pub(super) fn sweep_at(&self) -> Option<ProcTime> {
        self.sweep_at
    }

    /// The time to look has come.
    pub(super) fn begin_sweep(&mut self) {
        (self.sweep_at, self.is_sweeping) = (None, true);
    }

    /// Forgets some of the keys that have had their time, and returns them; none where no more have.
    pub(super) fn sweep(&mut self, now: ProcTime) -> Result<Expired> {
        if !self.is_sweeping {
            return Ok(None);
        }
        let slots = self.table.columns_mut().expired(now.0, FORGOTTEN_TOGETHER);
        let expired = self.gathered(slots.clone())?;
        self.table.remove(&slots);
        if expired.is_none() {
            self.is_sweeping = false;
            self.table.shrink()?;
            self.look_again(now);
        }
        Ok(expired)
    }

    fn gathered(&self, slots: Vec<u32>) -> Result<Expired> {
        if slots.is_empty() {
            return Ok(None);
        }
        Ok(Some((self.table.table().index.gather(&slots)?, slots.len())))
    }
}
