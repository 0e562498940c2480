//! Several values for each key: a map, and a list, which is a map of numbers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_arrays;

use super::value_state::{ProcessState, locked, opened};
use super::{Key, KeyedRows, StateValue};
use crate::error::{Error, Result};
use crate::state::{OrderedTable, RowRange, Scan, ScanBudget, ScanDirection, SnapshotWriter, StateTable, TableSpec};

/// Entries that are read together.
const READ_TOGETHER: ScanBudget = ScanBudget { rows: 4096, bytes: 1 << 20 };

/// The table of a map, and what the last call has changed of it.
#[derive(Debug)]
pub(super) struct MapTable<K, V> {
    table: OrderedTable,
    /// How many columns the key has.
    keys: usize,
    /// `[keys]` of each of them, in that call.
    key_columns: Vec<ArrayRef>,
    /// By key: entries that were put, or removed.
    changed: BTreeMap<Key, BTreeMap<K, Option<V>>>,
}

impl<K: StateValue + Ord, V: StateValue> MapTable<K, V> {
    /// `table` has the columns of the key, that of an entry's key, and that of its value.
    pub(super) fn new(table: OrderedTable, keys: usize) -> Self {
        Self { table, keys, key_columns: Vec::new(), changed: BTreeMap::new() }
    }

    /// Brings the table up to what the last call has changed, all of it at once.
    fn settle(&mut self) -> Result<()> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let changed = std::mem::take(&mut self.changed);
        let columns = |of: &[(&Key, &K)]| -> Result<Vec<ArrayRef>> {
            let keys = UInt32Array::from_iter_values(of.iter().map(|(key, _)| key.0));
            let mut columns = take_arrays(&self.key_columns, &keys, None)?;
            columns.push(K::write(&of.iter().map(|(_, entry)| Some(*entry)).collect::<Vec<_>>()));
            Ok(columns)
        };
        let (mut put, mut values, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        let entries =
            changed.iter().flat_map(|(key, entries)| entries.iter().map(move |(entry, value)| (key, entry, value)));
        for (key, entry, value) in entries {
            match value {
                Some(value) => {
                    put.push((key, entry));
                    values.push(Some(value));
                }
                None => removed.push((key, entry)),
            }
        }
        if !put.is_empty() {
            let mut columns = columns(&put)?;
            columns.push(V::write(&values));
            self.table.put(&columns)?;
        }
        if !removed.is_empty() {
            self.table.delete(&columns(&removed)?)?;
        }
        Ok(())
    }

    /// Where the entries of a key lie, or one of them.
    fn range(&self, key: Key, entry: Option<&K>) -> Result<RowRange> {
        let of_key = self.key_columns.iter().map(|column| column.slice(key.0 as usize, 1));
        let leading: Vec<ArrayRef> = of_key.chain(entry.map(|entry| K::write(&[Some(entry)]))).collect();
        let mut ranges = self.table.ranges(1, Bound::Included(&leading[..]), Bound::Included(&leading[..]))?;
        ranges.pop().ok_or_else(|| Error::bug("no range of one key"))
    }

    /// The entries of a range in the table, from one of its ends.
    fn read(&self, range: RowRange, direction: ScanDirection, most: usize) -> Result<Vec<(K, V)>> {
        let mut scan = Scan::new(vec![range], direction).at_most_each(most);
        let mut entries = Vec::new();
        while !scan.is_done() {
            let found = self.table.scan(&mut scan, READ_TOGETHER)?.rows;
            let (keys, values) = (K::read(found.column(self.keys))?, V::read(found.column(self.keys + 1))?);
            entries.extend(keys.into_iter().zip(values).filter_map(|(key, value)| Some((key?, value?))));
        }
        Ok(entries)
    }
}

impl<K: StateValue + Ord, V: StateValue> ProcessState for Arc<Mutex<MapTable<K, V>>> {}

impl<K: StateValue + Ord, V: StateValue> StateTable for Arc<Mutex<MapTable<K, V>>> {
    fn spec(&self) -> TableSpec {
        locked(self).table.spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        let mut map = locked(self);
        map.settle()?;
        map.table.save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        locked(self).table.load(rows)
    }

    fn row_count(&self) -> usize {
        locked(self).table.row_count()
    }

    fn bytes(&self) -> usize {
        locked(self).table.bytes()
    }
}

/// A map for each key, as [`Opening::map`](super::Opening::map) has declared it; before that there is none to be had.
#[derive(Debug)]
pub struct MapState<K, V> {
    pub(super) table: Option<Arc<Mutex<MapTable<K, V>>>>,
}

impl<K, V> Default for MapState<K, V> {
    fn default() -> Self {
        Self { table: None }
    }
}

impl<K: StateValue + Ord, V: StateValue> MapState<K, V> {
    /// The maps of the keys of a call. A state is open once at a time.
    pub fn of(&self, rows: &KeyedRows) -> Result<OpenMap<'_, K, V>> {
        let mut map = opened(self.table.as_ref())?;
        map.settle()?;
        map.key_columns = rows.key_columns().to_vec();
        Ok(OpenMap { map })
    }
}

/// The maps of the keys of one call. What is put is in the table behind the call; reads look at both.
#[derive(Debug)]
pub struct OpenMap<'s, K, V> {
    map: MutexGuard<'s, MapTable<K, V>>,
}

impl<K: StateValue + Ord, V: StateValue> OpenMap<'_, K, V> {
    /// The value of an entry, if there is one.
    pub fn get(&self, key: Key, entry: &K) -> Result<Option<V>> {
        if let Some(changed) = self.map.changed.get(&key).and_then(|entries| entries.get(entry)) {
            return Ok(changed.clone());
        }
        let found = self.map.read(self.map.range(key, Some(entry))?, ScanDirection::Forward, 1)?;
        Ok(found.into_iter().next().map(|(_, value)| value))
    }

    /// All entries of a key, in the order of theirs.
    pub fn entries(&self, key: Key) -> Result<Vec<(K, V)>> {
        let stored = self.map.read(self.map.range(key, None)?, ScanDirection::Forward, usize::MAX)?;
        let Some(changed) = self.map.changed.get(&key) else { return Ok(stored) };
        let mut all: BTreeMap<K, Option<V>> = stored.into_iter().map(|(entry, value)| (entry, Some(value))).collect();
        all.extend(changed.clone());
        Ok(all.into_iter().filter_map(|(entry, value)| Some((entry, value?))).collect())
    }

    /// Puts an entry in the place of the one that is called the same.
    pub fn put(&mut self, key: Key, entry: K, value: V) {
        self.map.changed.entry(key).or_default().insert(entry, Some(value));
    }

    /// Removes an entry, if there is one.
    pub fn remove(&mut self, key: Key, entry: K) {
        self.map.changed.entry(key).or_default().insert(entry, None);
    }

    /// Removes all entries of a key.
    pub fn clear(&mut self, key: Key) -> Result<()> {
        self.map.changed.remove(&key);
        let range = self.map.range(key, None)?;
        self.map.table.delete_range(&range);
        Ok(())
    }

    /// The entry of a key that is last in order.
    fn last(&self, key: Key) -> Result<Option<K>> {
        let stored = self.map.read(self.map.range(key, None)?, ScanDirection::Backward, 1)?.pop();
        let changed =
            self.map.changed.get(&key).and_then(|entries| entries.iter().rev().find(|(_, value)| value.is_some()));
        Ok(stored.map(|(entry, _)| entry).max(changed.map(|(entry, _)| entry.clone())))
    }
}

/// A list for each key, as [`Opening::list`](super::Opening::list) has declared it; before that there is none to be had.
#[derive(Debug)]
pub struct ListState<T> {
    pub(super) map: MapState<i64, T>,
}

impl<T> Default for ListState<T> {
    fn default() -> Self {
        Self { map: MapState::default() }
    }
}

impl<T: StateValue> ListState<T> {
    /// The lists of the keys of a call. A state is open once at a time.
    pub fn of(&self, rows: &KeyedRows) -> Result<OpenList<'_, T>> {
        Ok(OpenList { map: self.map.of(rows)?, next: vec![None; rows.key_count()] })
    }
}

/// The lists of the keys of one call.
#[derive(Debug)]
pub struct OpenList<'s, T> {
    map: OpenMap<'s, i64, T>,
    /// By key: the number of what is added next, once that is known.
    next: Vec<Option<i64>>,
}

impl<T: StateValue> OpenList<'_, T> {
    /// What was added to a key, in that order.
    pub fn get(&self, key: Key) -> Result<Vec<T>> {
        Ok(self.map.entries(key)?.into_iter().map(|(_, value)| value).collect())
    }

    /// Adds a value behind the others.
    pub fn add(&mut self, key: Key, value: T) -> Result<()> {
        let number = match self.next[key.0 as usize] {
            Some(number) => number,
            None => self.map.last(key)?.map_or(0, |last| last + 1),
        };
        self.map.put(key, number, value);
        self.next[key.0 as usize] = Some(number + 1);
        Ok(())
    }

    /// Removes all values of a key.
    pub fn clear(&mut self, key: Key) -> Result<()> {
        self.next[key.0 as usize] = Some(0);
        self.map.clear(key)
    }
}
