//! A value for each key.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use super::values::Values;
use super::{Key, KeyedRows, StateValue};
use crate::error::{Error, Result};
use crate::state::{KeyedTable, SnapshotWriter, StateTable, TableSpec};

/// What a function and the operator that calls it have in common: the table of a state.
pub(super) type Table<T> = Arc<Mutex<KeyedTable<Values<T>>>>;

/// A value for each key, as [`Opening::value`](super::Opening::value) has declared it; before that there is none to be had.
#[derive(Debug)]
pub struct ValueState<T: StateValue> {
    pub(super) table: Option<Table<T>>,
}

impl<T: StateValue> Default for ValueState<T> {
    fn default() -> Self {
        Self { table: None }
    }
}

impl<T: StateValue> ValueState<T> {
    /// The values of the keys of a call. What is set is in the next checkpoint. A state is open once at a time.
    pub fn of(&self, rows: &KeyedRows) -> Result<OpenValues<'_, T>> {
        let table = self.table.as_ref().ok_or_else(|| Error::bug("a state is used that `open` has not declared"))?;
        let mut table = match table.try_lock() {
            Ok(table) => table,
            Err(TryLockError::Poisoned(table)) => table.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Error::bug("a state is opened twice at a time")),
        };
        let mut slots = Vec::new();
        table.assign(rows.key_columns(), rows.key_count(), &mut slots)?;
        let changed = vec![false; slots.len()];
        Ok(OpenValues { table, slots, changed })
    }
}

/// The values of the keys of one call.
#[derive(Debug)]
pub struct OpenValues<'s, T: StateValue> {
    table: MutexGuard<'s, KeyedTable<Values<T>>>,
    /// `[keys]`.
    slots: Vec<u32>,
    changed: Vec<bool>,
}

impl<T: StateValue> OpenValues<'_, T> {
    /// The value of a key, if it has one.
    pub fn get(&self, key: Key) -> Option<&T> {
        self.table.table().columns.get(self.slots[key.0 as usize])
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
        let value = change(self.table.columns_mut().take_out(slot));
        self.put(key, Some(value.clone()));
        value
    }

    fn put(&mut self, key: Key, value: Option<T>) {
        let slot = self.slots[key.0 as usize];
        self.table.columns_mut().put(slot, value);
        self.changed[key.0 as usize] = true;
    }
}

/// Behind the call the table knows what has changed; keys without a value are not in it.
impl<T: StateValue> Drop for OpenValues<'_, T> {
    fn drop(&mut self) {
        let (mut changed, mut empty) = (Vec::new(), Vec::new());
        for (slot, is_changed) in self.slots.iter().zip(&self.changed) {
            match self.table.table().columns.get(*slot) {
                None => empty.push(*slot),
                Some(_) if *is_changed => changed.push(*slot),
                Some(_) => {}
            }
        }
        self.table.touch(&changed);
        self.table.remove(&empty);
    }
}

/// The table of a state as the operator hands it over.
#[derive(Debug)]
pub(super) struct Shared<T: StateValue>(pub(super) Table<T>);

impl<T: StateValue> Shared<T> {
    fn table(&self) -> MutexGuard<'_, KeyedTable<Values<T>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<T: StateValue> StateTable for Shared<T> {
    fn spec(&self) -> TableSpec {
        self.table().spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        self.table().save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<arrow::array::RecordBatch>>) -> Result<()> {
        self.table().load(rows)
    }

    fn bytes(&self) -> usize {
        self.table().bytes()
    }
}
