//! What a function meets before its rows: the columns that will come, and the states that it declares.

use std::sync::{Arc, Mutex};

use arrow::datatypes::{Field, Schema};

use super::StateValue;
use super::timers::TIMERS;
use super::value_state::{Shared, ValueState};
use super::values::{VALUE_COLUMN, Values};
use crate::error::{Error, Result};
use crate::state::{KeyedTable, StateTable};

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
        let taken = self.keys.iter().any(|key| key.name() == VALUE_COLUMN);
        let column = if taken { format!("{VALUE_COLUMN}0") } else { VALUE_COLUMN.to_owned() };
        let columns = self.keys.iter().cloned().chain([Field::new(column, T::data_type(), false)]);
        let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
        let table = KeyedTable::new(name, schema, self.keys.len(), self.keys.len(), Values::<T>::default())?;
        let table = Arc::new(Mutex::new(table));
        self.tables.push(Box::new(Shared(Arc::clone(&table))));
        Ok(ValueState { table: Some(table) })
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_word {
            return Err(Error::query(format!("a state cannot be called `{name}`"))
                .with_help("its name is a part of the names of files: letters, digits and _"));
        }
        if name == TIMERS || self.tables.iter().any(|table| table.spec().name == name) {
            return Err(Error::query(format!("two states are called `{name}`")));
        }
        Ok(())
    }
}
