//! What a function meets before its rows: the columns that will come, and the states that it declares.

use std::sync::{Arc, Mutex};

use arrow::compute::SortOptions;
use arrow::datatypes::{Field, Schema};

use super::StateValue;
use super::adding_state::{AggregatingState, Aggregation, ReducingState};
use super::map_state::{ListState, MapState, MapTable};
use super::timers::{CLOCK_TIMERS, TIMERS};
use super::value_state::{Shared, ValueState};
use super::values::{VALUE_COLUMN, Values};
use crate::error::{Error, Result};
use crate::state::{KeyedTable, OrderedTable, StateTable};

/// The name of the column of an entry's key.
const ENTRY_COLUMN: &str = "entry";

/// The opening of a function.
pub struct Opening<'a> {
    input: &'a Schema,
    keys: Vec<Field>,
    pub(super) tables: Vec<Box<dyn StateTable>>,
}

impl<'a> Opening<'a> {
    /// Over the columns that a query can name.
    pub(in crate::operators) fn new(input: &'a Schema, keys: Vec<Field>) -> Self {
        Self { input, keys, tables: Vec::new() }
    }

    /// The columns of the input as the query names them.
    pub fn input(&self) -> &Schema {
        self.input
    }

    /// Declares a value for each key, under a name that is no other state's.
    pub fn value<T: StateValue>(&mut self, name: &str) -> Result<ValueState<T>> {
        self.check_name(name)?;
        let value = Field::new(self.free_name(VALUE_COLUMN), T::data_type(), false);
        let columns = self.keys.iter().cloned().chain([value]);
        let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
        let table = KeyedTable::new(name, schema, self.keys.len(), self.keys.len(), Values::<T>::default())?;
        let table = Arc::new(Mutex::new(table));
        self.tables.push(Box::new(Shared(Arc::clone(&table))));
        Ok(ValueState { table: Some(table) })
    }

    /// Declares a value for each key that `reduce` adds others to: it is given what there is and what comes.
    pub fn reducing<T: StateValue>(
        &mut self,
        name: &str,
        reduce: impl Fn(T, T) -> T + Send + Sync + 'static,
    ) -> Result<ReducingState<T>> {
        Ok(ReducingState { value: self.value(name)?, reduce: Some(Arc::new(reduce)) })
    }

    /// Declares an accumulator for each key.
    pub fn aggregating<A: Aggregation>(&mut self, name: &str) -> Result<AggregatingState<A>> {
        Ok(AggregatingState { value: self.value(name)? })
    }

    /// Declares a map for each key, of which a checkpoint has the entries that have changed.
    pub fn map<K: StateValue + Ord, V: StateValue>(&mut self, name: &str) -> Result<MapState<K, V>> {
        self.check_name(name)?;
        let keys = self.keys.len();
        let entry = Field::new(self.free_name(ENTRY_COLUMN), K::data_type(), false);
        let value = Field::new(self.free_name(VALUE_COLUMN), V::data_type(), false);
        let schema = Arc::new(Schema::new([self.keys.as_slice(), &[entry, value]].concat()));
        let order = vec![SortOptions::default(); keys + 1];
        let table = OrderedTable::new(name, schema, (0..keys).collect(), &order)?;
        let table = Arc::new(Mutex::new(MapTable::new(table, keys)));
        self.tables.push(Box::new(Arc::clone(&table)));
        Ok(MapState { table: Some(table) })
    }

    /// Declares a list for each key, of which a checkpoint has what was added.
    pub fn list<T: StateValue>(&mut self, name: &str) -> Result<ListState<T>> {
        Ok(ListState { map: self.map(name)? })
    }

    /// The name of a column that is no key's.
    fn free_name(&self, name: &str) -> String {
        match self.keys.iter().any(|key| key.name() == name) {
            true => format!("{name}0"),
            false => name.to_owned(),
        }
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_word {
            return Err(Error::query(format!("a state cannot be called `{name}`"))
                .with_help("its name is a part of the names of files: letters, digits and _"));
        }
        if [TIMERS, CLOCK_TIMERS].contains(&name) || self.tables.iter().any(|table| table.spec().name == name) {
            return Err(Error::query(format!("two states are called `{name}`")));
        }
        Ok(())
    }
}
