//! What the two halves of an aggregation have in common, windowed or not: one stands before the exchange and makes
//! partials of rows, the other behind it and makes results of partials.

use arrow::datatypes::{DataType, Field, Schema};

use super::aggregate::{by_distinct_argument, state_fields};
use super::{AggregateCall, AggregateFunction, ROWS_COLUMN};
use crate::error::Result;

/// The columns that an aggregation reads: the keys, then `further`, then whatever the aggregates need; and the
/// aggregates over the columns so chosen.
pub(super) fn choose(keys: &[usize], calls: &[AggregateCall], further: &[usize]) -> (Vec<usize>, Vec<AggregateCall>) {
    let mut chosen: Vec<usize> = keys.iter().chain(further).copied().collect();
    let mut place = |column: &mut Option<usize>| {
        if let Some(index) = column {
            let at = chosen.iter().position(|chosen| chosen == index);
            *index = at.unwrap_or_else(|| {
                chosen.push(*index);
                chosen.len() - 1
            });
        }
    };
    let mut calls = calls.to_vec();
    for call in &mut calls {
        place(&mut call.argument);
        place(&mut call.weight);
        place(&mut call.filter);
    }
    (chosen, calls)
}

/// How an unwindowed aggregation computes its calls: from sums, or from values that have a table of their own.
///
/// ```text
///   a partial:  keys │ a value of each of `extremes` │ one of each of `distinct` │ states of `partial_calls`
///                                                                                 $rows │ summed │ weights of `distinct`
/// ```
#[derive(Debug, Clone)]
pub(super) struct Split {
    /// Calls whose state is a few sums.
    pub(super) summed: Vec<(usize, AggregateCall)>,
    /// MIN and MAX of rows that can be taken back, which need every value.
    pub(super) extremes: Vec<(usize, AggregateCall)>,
    /// Calls over different values, by argument.
    pub(super) distinct: Vec<Vec<(usize, AggregateCall)>>,
    /// Whether rows can be taken back: then `$rows` counts them.
    retract: bool,
}

impl Split {
    pub(super) fn new(calls: &[AggregateCall], retract: bool) -> Self {
        let is_extreme = |call: &AggregateCall| retract && call.function.is_extreme();
        let indexed = || calls.iter().map(|call| AggregateCall { retract, ..call.clone() }).enumerate();
        Self {
            summed: indexed().filter(|(_, call)| !is_extreme(call) && !call.needs_values()).collect(),
            extremes: indexed().filter(|(_, call)| is_extreme(call)).collect(),
            distinct: by_distinct_argument(&indexed().map(|(_, call)| call).collect::<Vec<_>>()),
            retract,
        }
    }

    /// The calls of which rows of one key are told apart by their argument's value.
    pub(super) fn values(&self) -> impl Iterator<Item = &(usize, AggregateCall)> {
        self.extremes.iter().chain(self.distinct.iter().map(|group| &group[0]))
    }

    /// The states in a partial: how many rows came, what is summed, and how often each value comes for each call.
    pub(super) fn partial_calls(&self) -> Vec<AggregateCall> {
        let summed = self.summed.iter().map(|(_, call)| call.clone());
        let weight = |(_, call): &(usize, AggregateCall)| AggregateCall {
            function: AggregateFunction::Count,
            argument: call.argument.filter(|_| !call.function.counts_nulls()),
            output: Field::new("weight", DataType::Int64, false),
            ..call.plain()
        };
        self.rows().into_iter().chain(summed).chain(self.distinct.iter().flatten().map(weight)).collect()
    }

    /// The states of a group: as in a partial, but for the calls over different values, which have a result each.
    pub(super) fn group_calls(&self) -> Vec<AggregateCall> {
        let summed = self.summed.iter().map(|(_, call)| call.clone());
        let distinct = self.distinct.iter().flatten().map(|(_, call)| call.plain());
        self.rows().into_iter().chain(summed).chain(distinct).collect()
    }

    /// The fields of [`partial_calls`](Self::partial_calls) or [`group_calls`](Self::group_calls), named by the calls of
    /// the aggregation: `$rows`, `$1_sum`.
    pub(super) fn state_fields(&self, calls: &[AggregateCall]) -> Result<Vec<Field>> {
        let of_calls = self.summed.iter().chain(self.distinct.iter().flatten()).map(|(index, _)| *index);
        let origins: Vec<Option<usize>> = self.rows().iter().map(|_| None).chain(of_calls.map(Some)).collect();
        let named = |field: Field| {
            let (position, part) = field.name().trim_start_matches('$').split_once('_').unwrap_or_default();
            let origin = position.parse().ok().and_then(|position: usize| origins.get(position).copied().flatten());
            let name = origin.map_or(ROWS_COLUMN.to_owned(), |index| format!("${index}_{part}"));
            field.with_name(name)
        };
        Ok(state_fields(calls)?.into_iter().map(named).collect())
    }

    /// The fields of the values in a partial: NULL where a row has none that counts.
    pub(super) fn value_fields(&self) -> impl Iterator<Item = Field> {
        self.values().map(|(index, call)| Field::new(format!("${index}_value"), call.input_type.clone(), true))
    }

    /// How many of the calls of a group are merged from partials: all but those over different values.
    pub(super) fn merged_calls(&self) -> usize {
        usize::from(self.retract) + self.summed.len()
    }

    fn rows(&self) -> Option<AggregateCall> {
        let output = Field::new(ROWS_COLUMN, DataType::Int64, false);
        self.retract.then(|| AggregateCall::new(AggregateFunction::Count, None, DataType::Int64, output))
    }
}

/// The aggregates as EXPLAIN shows them before the exchange.
pub(super) fn local_texts(calls: &[AggregateCall], input: &Schema) -> String {
    let text = |(index, call): (usize, &AggregateCall)| format!("{} AS ${index}", call.text(input));
    calls.iter().enumerate().map(text).collect::<Vec<_>>().join(", ")
}

/// The aggregates as EXPLAIN shows them behind the exchange.
pub(super) fn global_texts(calls: &[AggregateCall]) -> String {
    let text = |(index, call): (usize, &AggregateCall)| {
        let distinct = call.quantifier();
        format!("{}({distinct}${index}) AS {}", call.function, call.output.name())
    };
    calls.iter().enumerate().map(text).collect::<Vec<_>>().join(", ")
}

/// The types of keys and aggregates, for a signature.
pub(super) fn types_text(partial: &Schema, keys: usize, calls: &[AggregateCall]) -> String {
    let keys = partial.fields().iter().take(keys).map(|key| key.data_type().to_string());
    let calls = calls.iter().map(|call| {
        let distinct = call.quantifier();
        format!("{}({distinct}{}) {}", call.function, call.input_type, call.output.data_type())
    });
    keys.chain(calls).collect::<Vec<_>>().join(", ")
}
