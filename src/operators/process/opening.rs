//! What a function meets before its rows: the columns that will come, and the states that it declares.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema};

use super::StateValue;
use super::adding_state::{AggregatingState, Aggregation, ReducingState};
use super::map_state::{ListState, MapState, MapTable};
use super::timers::{CLOCK_TIMERS, TIMERS};
use super::value_state::{ProcessState, Shared, ValueState};
use super::values::{VALUE_COLUMN, Values};
use crate::error::{Error, Result};
use crate::state::{KEEP_UNTIL_COLUMN, KeyedTable, OrderedTable, TimedColumns};

/// The name of the column of an entry's key.
const ENTRY_COLUMN: &str = "entry";

/// The opening of a function.
pub struct Opening<'a> {
    input: &'a Schema,
    keys: Vec<Field>,
    ttl_ms: Option<i64>,
    pub(super) refuses_late: bool,
    pub(super) tables: Vec<Box<dyn ProcessState>>,
}

impl<'a> Opening<'a> {
    /// Over the columns that a query can name.
    pub(in crate::operators) fn new(input: &'a Schema, keys: Vec<Field>) -> Self {
        Self { input, keys, ttl_ms: None, refuses_late: false, tables: Vec::new() }
    }

    /// The columns of the input as the query names them.
    pub fn input(&self) -> &Schema {
        self.input
    }

    /// Rows whose time the watermark has passed do not come to the function: they go where late rows go (`LATE RECORDS INTO`),
    /// and are counted. Without `on_time` no row is late.
    pub fn refuse_late(&mut self) {
        self.refuses_late = true;
    }

    /// What is declared from here on forgets a value that has not been set for so long by the clock, as with Flink's
    /// `OnCreateAndWrite`: nobody sees it any more, and its room is free soon after. Of values that a key has one of.
    pub fn keep_for(&mut self, ttl: Duration) -> &mut Self {
        self.ttl_ms = Some(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        self
    }

    /// Declares a value for each key, under a name that is no other state's.
    pub fn value<T: StateValue>(&mut self, name: &str) -> Result<ValueState<T>> {
        self.check_name(name)?;
        let value = Field::new(self.free_name(VALUE_COLUMN), T::data_type(), false);
        let until = self.ttl_ms.map(|_| Field::new(self.free_name(KEEP_UNTIL_COLUMN), DataType::Int64, false));
        let columns = self.keys.iter().cloned().chain([value]).chain(until);
        let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
        let columns = TimedColumns::new(Values::<T>::default(), self.ttl_ms.is_some());
        let table = KeyedTable::new(name, schema, self.keys.len(), self.keys.len(), columns)?;
        let table = Arc::new(Mutex::new(table));
        let ttl_ms = self.ttl_ms;
        self.tables.push(Box::new(Shared { table: Arc::clone(&table), ttl_ms }));
        Ok(ValueState { table: Some(table), ttl_ms })
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
        if self.ttl_ms.is_some() {
            return Err(Error::query(format!("the entries of `{name}` cannot be forgotten by the clock yet"))
                .with_help("declare maps and lists before keep_for, and remove entries by a timer of the clock"));
        }
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
