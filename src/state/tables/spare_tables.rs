//! Emptied tables for the next slices: what they have allocated is used again.

use std::fmt;

use arrow::datatypes::DataType;

use super::{SlotColumns, SlotTable};
use crate::error::Result;

/// Tables that are kept; more are let go.
const KEPT_TABLES: usize = 4;

/// Gives out empty tables, and takes emptied ones back.
pub struct SpareTables<C> {
    types: Vec<DataType>,
    fresh: Box<dyn Fn() -> Result<C> + Send>,
    tables: Vec<SlotTable<C>>,
}

impl<C: SlotColumns> SpareTables<C> {
    /// For tables with these types of keys and the states that `fresh` makes.
    pub fn new(types: &[DataType], fresh: impl Fn() -> Result<C> + Send + 'static) -> Self {
        Self { types: types.to_vec(), fresh: Box::new(fresh), tables: Vec::new() }
    }

    /// An empty table.
    pub fn take(&mut self) -> Result<SlotTable<C>> {
        match self.tables.pop() {
            Some(table) => Ok(table),
            None => SlotTable::new(&self.types, (self.fresh)()?),
        }
    }

    /// Gives an empty table back.
    pub fn put(&mut self, table: SlotTable<C>) {
        if self.tables.len() < KEPT_TABLES {
            self.tables.push(table);
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(SlotTable::bytes).sum()
    }
}

impl<C> fmt::Debug for SpareTables<C> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SpareTables").field("tables", &self.tables.len()).finish_non_exhaustive()
    }
}
