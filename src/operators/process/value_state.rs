//! A value for each key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::values::Values;
use super::{Key, KeyedRows, StateValue};
use crate::error::{Error, Result};
use crate::operators::forgetting::{FORGOTTEN_TOGETHER, Forgetting};
use crate::state::{KeyedTable, SnapshotWriter, StateTable, TableSpec, TimedColumns};
use crate::stream::ProcTime;

/// What a function and the operator that calls it have in common: the table of a state.
pub(super) type Table<T> = Arc<Mutex<KeyedTable<TimedColumns<Values<T>>>>>;

/// A value for each key, as [`Opening::value`](super::Opening::value) has declared it; before that there is none to be had.
#[derive(Debug)]
pub struct ValueState<T: StateValue> {
    pub(super) table: Option<Table<T>>,
    /// A value that has not been set for so many milliseconds of the clock is forgotten.
    pub(super) ttl_ms: Option<i64>,
}

impl<T: StateValue> Default for ValueState<T> {
    fn default() -> Self {
        Self { table: None, ttl_ms: None }
    }
}

impl<T: StateValue> ValueState<T> {
    /// The values of the keys of a call. What is set is in the next checkpoint. A state is open once at a time.
    pub fn of(&self, rows: &KeyedRows) -> Result<OpenValues<'_, T>> {
        let mut table = opened(self.table.as_ref())?;
        let mut slots = Vec::new();
        table.assign(rows.key_columns(), rows.key_count(), &mut slots)?;
        if self.ttl_ms.is_some() {
            for slot in table.table().columns.expired_of(&slots, rows.now().0) {
                table.columns_mut().inner_mut().take_out(slot);
            }
        }
        let changed = vec![false; slots.len()];
        let keep_until = self.ttl_ms.map(|ttl_ms| rows.now().0.saturating_add(ttl_ms));
        Ok(OpenValues { table, slots, changed, keep_until })
    }
}

/// What a state is about to do something with.
pub(super) fn opened<T>(table: Option<&Arc<Mutex<T>>>) -> Result<MutexGuard<'_, T>> {
    let table = table.ok_or_else(|| Error::bug("a state is used that `open` has not declared"))?;
    match table.try_lock() {
        Ok(table) => Ok(table),
        Err(TryLockError::Poisoned(table)) => Ok(table.into_inner()),
        Err(TryLockError::WouldBlock) => Err(Error::bug("a state is opened twice at a time")),
    }
}

/// The table of a state between the calls of its function.
pub(super) fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The values of the keys of one call.
#[derive(Debug)]
pub struct OpenValues<'s, T: StateValue> {
    table: MutexGuard<'s, KeyedTable<TimedColumns<Values<T>>>>,
    /// `[keys]`.
    slots: Vec<u32>,
    changed: Vec<bool>,
    /// Until when what is set now is kept.
    keep_until: Option<i64>,
}

impl<T: StateValue> OpenValues<'_, T> {
    /// The value of a key, if it has one.
    pub fn get(&self, key: Key) -> Option<&T> {
        self.table.table().columns.inner().get(self.slots[key.0 as usize])
    }

    /// Gives a key a value.
    pub fn set(&mut self, key: Key, value: T) {
        self.put(key, Some(value));
    }

    /// Takes the value of a key away, and with it what the key takes of memory and checkpoints.
    pub fn clear(&mut self, key: Key) {
        self.put(key, None);
    }

    /// Gives a key the value that `change` makes of its present one.
    pub fn update(&mut self, key: Key, change: impl FnOnce(Option<T>) -> T) -> T {
        let slot = self.slots[key.0 as usize];
        let value = change(self.table.columns_mut().inner_mut().take_out(slot));
        self.put(key, Some(value.clone()));
        value
    }

    fn put(&mut self, key: Key, value: Option<T>) {
        let slot = self.slots[key.0 as usize];
        self.table.columns_mut().inner_mut().put(slot, value);
        self.changed[key.0 as usize] = true;
    }
}

/// Behind the call the table knows what has changed; keys without a value are not in it.
impl<T: StateValue> Drop for OpenValues<'_, T> {
    fn drop(&mut self) {
        let (mut changed, mut empty) = (Vec::new(), Vec::new());
        for (slot, is_changed) in self.slots.iter().zip(&self.changed) {
            match self.table.table().columns.inner().get(*slot) {
                None => empty.push(*slot),
                Some(_) if *is_changed => changed.push(*slot),
                Some(_) => {}
            }
        }
        if let Some(keep_until) = self.keep_until {
            self.table.columns_mut().keep(&changed, std::iter::repeat(keep_until));
        }
        self.table.touch(&changed);
        self.table.remove(&empty);
    }
}

/// The table of a state as the operator knows it.
pub(super) trait ProcessState: StateTable {
    /// When to look next for what is to be forgotten, if anything is.
    fn next_sweep(&self, _now: ProcTime) -> Option<ProcTime> {
        None
    }

    /// Forgets some of it; whether there may be more.
    fn sweep(&mut self, _now: ProcTime) -> Result<bool> {
        Ok(false)
    }
}

/// The table of values.
#[derive(Debug)]
pub(super) struct Shared<T: StateValue> {
    pub(super) table: Table<T>,
    pub(super) ttl_ms: Option<i64>,
}

impl<T: StateValue> ProcessState for Shared<T> {
    fn next_sweep(&self, now: ProcTime) -> Option<ProcTime> {
        let ttl_ms = self.ttl_ms?;
        locked(&self.table).table().columns.earliest()?;
        Forgetting::Untouched { ttl_ms }.next_sweep(now)
    }

    fn sweep(&mut self, now: ProcTime) -> Result<bool> {
        let mut table = locked(&self.table);
        let expired = table.columns_mut().expired(now.0, FORGOTTEN_TOGETHER);
        if expired.is_empty() {
            table.shrink()?;
        }
        table.remove(&expired);
        Ok(!expired.is_empty())
    }
}

impl<T: StateValue> StateTable for Shared<T> {
    fn spec(&self) -> TableSpec {
        locked(&self.table).spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        locked(&self.table).save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<arrow::array::RecordBatch>>) -> Result<()> {
        locked(&self.table).load(rows)
    }

    fn row_count(&self) -> usize {
        locked(&self.table).row_count()
    }

    fn bytes(&self) -> usize {
        locked(&self.table).bytes()
    }
}
