//! Functions of programs over the rows of a key: what a program implements, the states and timers that it has, and the
//! operator that calls it.
//!
//! ```text
//!   rows of a task ─▶ grouped by key ─▶ process(rows) ─▶ columns beside the rows
//!                                        │     ▲
//!                          state tables ◀┴─────┴─ on_timer(those that the watermark has reached)
//! ```
//!
//! A call gets all rows of a batch. A state looks the keys of a call up once and is then an array by key, so that nothing is
//! looked up by row or by name.

mod adding_state;
mod map_state;
mod opening;
mod operator;
mod output;
mod rows;
mod state_value;
mod timers;
mod value_state;
mod values;

pub use adding_state::{AggregatingState, Aggregation, OpenAggregating, OpenReducing, ReducingState};
pub use map_state::{ListState, MapState, OpenList, OpenMap};
pub use opening::Opening;
pub use operator::ProcessSpec;
pub use output::ProcessOutput;
pub use rows::{Key, KeyedRows};
pub use state_value::StateValue;
pub use value_state::{OpenValues, ValueState};

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Field;

use crate::error::Result;

/// What a program does with the rows of a table, key by key: `SELECT * FROM f(input => TABLE t PARTITION BY k)`.
///
/// Each task has a copy of its own, which meets the rows of its keys, those of one key in order. What is to survive a restart
/// stands in states of [`Opening`], and in nothing else: a job that goes on has fresh copies.
pub trait ProcessFunction: Send {
    /// Declares states, and says which columns leave behind those of PARTITION BY. Called once for a copy, before anything
    /// else; a plan opens a copy that meets no rows.
    fn open(&mut self, opening: &mut Opening<'_>) -> Result<Vec<Field>>;

    /// Rows came in.
    fn process(&mut self, rows: &KeyedRows, out: &mut ProcessOutput<'_>) -> Result<()>;

    /// Timers are due, in order of their times and of a key one at most; `timers` has a row for each, with the columns of
    /// the key, and [`KeyedRows::time`] is what it was set to.
    fn on_timer(&mut self, _timers: &KeyedRows, _out: &mut ProcessOutput<'_>) -> Result<()> {
        Ok(())
    }

    /// The same for timers of the clock.
    fn on_clock(&mut self, _timers: &KeyedRows, _out: &mut ProcessOutput<'_>) -> Result<()> {
        Ok(())
    }
}

/// Makes the copies of a function.
#[derive(Clone)]
pub struct ProcessFactory {
    /// As it was registered.
    pub name: String,
    make: Arc<dyn Fn() -> Box<dyn ProcessFunction> + Send + Sync>,
}

impl ProcessFactory {
    pub fn new<F: ProcessFunction + 'static>(name: &str, make: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), make: Arc::new(move || Box::new(make())) }
    }

    /// A fresh copy.
    pub fn make(&self) -> Box<dyn ProcessFunction> {
        (self.make)()
    }
}

impl fmt::Debug for ProcessFactory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ProcessFactory({})", self.name)
    }
}
