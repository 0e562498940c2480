//! Keyed slots: one row of state a key, of which a barrier hands over those that changed, or all where most have.
//!
//! A key that goes away before any barrier has seen it leaves no trace. One that a barrier has seen keeps its slot until
//! the next barrier has recorded the deletion.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};

use super::{KeyIndex, SlotColumns, SlotTable, batch_of};
use crate::error::Result;
use crate::state::{SnapshotWriter, StateTable, TableKind, TableSpec};

/// The slot stands in the list of changes.
const LISTED: u8 = 1;
/// The slot holds a key with state.
const ALIVE: u8 = 2;
/// A barrier has handed the key over.
const SAVED: u8 = 4;
/// A barrier hands over all keys once one in so many has changed or gone. Their older files can then go, which costs less than to
/// write the changed keys alone and to put these files together with the older ones soon after.
const WHOLE_FROM: usize = 2;
/// Tables with fewer slots are not worth shrinking.
const SHRUNK_FROM: usize = 4096;
/// Rows of one batch of state.
const SAVE_ROWS: usize = 64 * 1024;

/// A state table whose first columns are unique.
#[derive(Debug)]
pub struct KeyedTable<C> {
    name: String,
    schema: SchemaRef,
    /// Leading columns that are unique.
    unique: usize,
    /// Leading columns that the key group is computed from.
    key: usize,
    table: SlotTable<C>,
    flags: Vec<u8>,
    changed: Vec<u32>,
}

impl<C: SlotColumns> KeyedTable<C> {
    /// An empty table. `schema` is `unique` unique columns, of which the first `key` give the key group, then the
    /// fields of `columns`.
    pub fn new(name: impl Into<String>, schema: SchemaRef, unique: usize, key: usize, columns: C) -> Result<Self> {
        let types: Vec<DataType> = schema.fields().iter().take(unique).map(|field| field.data_type().clone()).collect();
        let table = SlotTable::new(&types, columns)?;
        Ok(Self { name: name.into(), schema, unique, key, table, flags: Vec::new(), changed: Vec::new() })
    }

    /// Keys and state, to read.
    pub fn table(&self) -> &SlotTable<C> {
        &self.table
    }

    /// Writes the slot of each row's key to `slots`; new keys hold the state of no rows. `touch` has to follow.
    pub fn assign(&mut self, keys: &[ArrayRef], rows: usize, slots: &mut Vec<u32>) -> Result<()> {
        self.table.index.assign(keys, rows, slots)?;
        self.table.columns.resize(self.table.index.slots());
        self.flags.resize(self.table.index.slots(), 0);
        Ok(())
    }

    /// Adds states to slots.
    pub fn merge(&mut self, slots: &[u32], states: &[ArrayRef]) -> Result<()> {
        self.table.columns.merge(slots, states)
    }

    /// The state, to change; `touch` has to follow.
    pub fn columns_mut(&mut self) -> &mut C {
        &mut self.table.columns
    }

    /// Notes that the state of `slots` has changed.
    pub fn touch(&mut self, slots: &[u32]) {
        for slot in slots {
            let flags = &mut self.flags[*slot as usize];
            if *flags & LISTED == 0 {
                self.changed.push(*slot);
            }
            *flags |= LISTED | ALIVE;
        }
    }

    /// Whether the slot, of a key that was just assigned, holds a key with state.
    pub fn is_alive(&self, slot: u32) -> bool {
        self.flags[slot as usize] & ALIVE != 0
    }

    /// The slots of all keys with state.
    pub fn alive_slots(&self) -> Vec<u32> {
        let alive = self.flags.iter().enumerate().filter(|(_, flags)| **flags & ALIVE != 0);
        alive.map(|(slot, _)| slot as u32).collect()
    }

    /// Lets memory go once most of the table has been emptied. Slots change.
    pub fn shrink(&mut self) -> Result<()> {
        if self.flags.len() < SHRUNK_FROM || self.table.index.len() * 4 > self.flags.len() {
            return Ok(());
        }
        // Those that are gone and that a barrier has to say so of are still in the index.
        let held = |flags: &u8| *flags & (ALIVE | SAVED) != 0;
        let old: Vec<u32> = (0..self.flags.len() as u32).filter(|slot| held(&self.flags[*slot as usize])).collect();
        let keys = self.table.index.gather(&old)?;
        let states = self.table.columns.gather(&old)?;
        let types = self.schema.fields().iter().take(self.unique).map(|field| field.data_type().clone());
        self.table.index = KeyIndex::new(&types.collect::<Vec<_>>())?;
        self.table.columns.take()?;
        let mut slots = Vec::new();
        self.table.index.assign(&keys, old.len(), &mut slots)?;
        self.table.columns.resize(self.table.index.slots());
        self.table.columns.set(&slots, &states)?;
        let mut flags = vec![0; self.table.index.slots()];
        self.changed = Vec::new();
        for (old, new) in old.iter().zip(&slots) {
            flags[*new as usize] = self.flags[*old as usize];
            if flags[*new as usize] & LISTED != 0 {
                self.changed.push(*new);
            }
        }
        self.flags = flags;
        Ok(())
    }

    /// Removes keys, each named once.
    pub fn remove(&mut self, slots: &[u32]) {
        self.touch(slots);
        self.table.columns.clear(slots);
        let mut unseen = Vec::new();
        for slot in slots {
            let flags = &mut self.flags[*slot as usize];
            *flags &= !ALIVE;
            if *flags & SAVED == 0 {
                unseen.push(*slot);
            }
        }
        self.table.index.remove(&unseen);
    }

    /// The slots that changed since the last barrier, in order of slots, alive or not.
    fn changed_slots(&mut self) -> Vec<u32> {
        let mut changed = std::mem::take(&mut self.changed);
        if changed.len() * 8 > self.flags.len() {
            // So many that a walk over all slots costs less than sorting them.
            let listed = self.flags.iter().enumerate().filter(|(_, flags)| **flags & LISTED != 0);
            changed.clear();
            changed.extend(listed.map(|(slot, _)| slot as u32));
        } else {
            changed.sort_unstable();
        }
        changed
    }
}

impl<C: SlotColumns> StateTable for KeyedTable<C> {
    fn spec(&self) -> TableSpec {
        TableSpec {
            name: self.name.clone(),
            schema: Arc::clone(&self.schema),
            key: (0..self.key).collect(),
            kind: TableKind::Keyed { unique: self.unique },
        }
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        let (mut put, mut gone) = (Vec::new(), Vec::new());
        for slot in self.changed_slots() {
            let flags = &mut self.flags[slot as usize];
            match (*flags & ALIVE != 0, *flags & SAVED != 0) {
                (true, _) => {
                    put.push(slot);
                    *flags = ALIVE | SAVED;
                }
                (false, true) => {
                    gone.push(slot);
                    *flags = 0;
                }
                (false, false) => *flags = 0,
            }
        }
        if (put.len() + gone.len()) * WHOLE_FROM >= self.table.index.len() - gone.len() {
            put.clear();
            for (slot, flags) in self.flags.iter_mut().enumerate().filter(|(_, flags)| **flags & ALIVE != 0) {
                put.push(slot as u32);
                *flags = ALIVE | SAVED;
            }
            to.is_whole = true;
        }
        for slots in put.chunks(SAVE_ROWS) {
            let mut columns = self.table.index.gather(slots)?;
            columns.extend(self.table.columns.gather(slots)?);
            to.put(batch_of(&self.schema, columns, slots.len())?);
        }
        if !gone.is_empty() {
            let unique: Vec<usize> = (0..self.unique).collect();
            let schema = Arc::new(self.schema.project(&unique)?);
            for slots in gone.chunks(SAVE_ROWS) {
                to.delete(batch_of(&schema, self.table.index.gather(slots)?, slots.len())?);
            }
            self.table.index.remove(&gone);
        }
        Ok(())
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        let mut slots = Vec::new();
        for batch in rows {
            let batch = batch?;
            let (keys, states) = batch.columns().split_at(self.unique);
            self.assign(keys, batch.num_rows(), &mut slots)?;
            self.table.columns.set(&slots, states)?;
            slots.iter().for_each(|slot| self.flags[*slot as usize] = ALIVE | SAVED);
        }
        Ok(())
    }

    fn row_count(&self) -> usize {
        self.table.len()
    }

    fn bytes(&self) -> usize {
        self.table.bytes() + self.flags.capacity() + self.changed.capacity() * 4
    }
}
