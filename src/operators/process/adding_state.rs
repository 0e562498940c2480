//! A value for each key that others are added to.

use std::fmt;
use std::sync::Arc;

use super::{Key, KeyedRows, OpenValues, StateValue, ValueState};
use crate::error::Result;

/// How a value is added to what there is.
type Reduce<T> = Arc<dyn Fn(T, T) -> T + Send + Sync>;

/// What all values of a key come to that were added, as [`Opening::reducing`](super::Opening::reducing) has declared it.
pub struct ReducingState<T: StateValue> {
    pub(super) value: ValueState<T>,
    pub(super) reduce: Option<Reduce<T>>,
}

impl<T: StateValue> Default for ReducingState<T> {
    fn default() -> Self {
        Self { value: ValueState::default(), reduce: None }
    }
}

impl<T: StateValue> fmt::Debug for ReducingState<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ReducingState({:?})", T::data_type())
    }
}

impl<T: StateValue> ReducingState<T> {
    /// The values of the keys of a call. A state is open once at a time.
    pub fn of(&self, rows: &KeyedRows) -> Result<OpenReducing<'_, T>> {
        Ok(OpenReducing { values: self.value.of(rows)?, reduce: self.reduce.as_deref() })
    }
}

/// The values of the keys of one call.
pub struct OpenReducing<'s, T: StateValue> {
    values: OpenValues<'s, T>,
    reduce: Option<&'s (dyn Fn(T, T) -> T + Send + Sync)>,
}

impl<T: StateValue> OpenReducing<'_, T> {
    /// Adds a value; what all of them come to.
    pub fn add(&mut self, key: Key, value: T) -> T {
        let reduce = self.reduce;
        self.values.update(key, |before| match (before, reduce) {
            (Some(before), Some(reduce)) => reduce(before, value),
            _ => value,
        })
    }

    /// What all values of a key come to, if there are any.
    pub fn get(&self, key: Key) -> Option<&T> {
        self.values.get(key)
    }

    /// Begins anew.
    pub fn clear(&mut self, key: Key) {
        self.values.clear(key);
    }
}

/// How values come to a result by way of what is kept of them.
pub trait Aggregation: 'static {
    /// What is added.
    type Input;
    /// What is kept of all that were added; at first that of none.
    type Accumulator: StateValue + Default;
    /// What they come to.
    type Output;

    /// Adds a value.
    fn add(accumulator: &mut Self::Accumulator, value: Self::Input);
    /// What the values come to.
    fn result(accumulator: &Self::Accumulator) -> Self::Output;
}

/// The accumulator of each key, as [`Opening::aggregating`](super::Opening::aggregating) has declared it.
#[derive(Debug)]
pub struct AggregatingState<A: Aggregation> {
    pub(super) value: ValueState<A::Accumulator>,
}

impl<A: Aggregation> Default for AggregatingState<A> {
    fn default() -> Self {
        Self { value: ValueState::default() }
    }
}

impl<A: Aggregation> AggregatingState<A> {
    /// The accumulators of the keys of a call. A state is open once at a time.
    pub fn of(&self, rows: &KeyedRows) -> Result<OpenAggregating<'_, A>> {
        Ok(OpenAggregating { values: self.value.of(rows)? })
    }
}

/// The accumulators of the keys of one call.
pub struct OpenAggregating<'s, A: Aggregation> {
    values: OpenValues<'s, A::Accumulator>,
}

impl<A: Aggregation> OpenAggregating<'_, A> {
    /// Adds a value; what all of them come to.
    pub fn add(&mut self, key: Key, value: A::Input) -> A::Output {
        let accumulator = self.values.update(key, |before| {
            let mut accumulator = before.unwrap_or_default();
            A::add(&mut accumulator, value);
            accumulator
        });
        A::result(&accumulator)
    }

    /// What all values of a key come to, if there are any.
    pub fn get(&self, key: Key) -> Option<A::Output> {
        self.values.get(key).map(A::result)
    }

    /// Begins anew.
    pub fn clear(&mut self, key: Key) {
        self.values.clear(key);
    }
}
