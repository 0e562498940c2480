//! What the two halves of an aggregation have in common, windowed or not: one stands before the exchange and makes
//! partials of rows, the other behind it and makes results of partials.

use arrow::datatypes::{DataType, Field, Schema};

use super::{AggregateCall, AggregateFunction, ROWS_COLUMN};

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
        place(&mut call.filter);
    }
    (chosen, calls)
}

/// For rows that can be taken back: what is summed up, the number of rows first; and MIN and MAX with their index.
pub(super) fn split(calls: &[AggregateCall]) -> (Vec<AggregateCall>, Vec<(usize, AggregateCall)>) {
    let rows = AggregateCall {
        function: AggregateFunction::Count,
        argument: None,
        filter: None,
        input_type: DataType::Int64,
        output: Field::new(ROWS_COLUMN, DataType::Int64, false),
    };
    let summed = calls.iter().filter(|call| !call.function.is_extreme()).cloned();
    let extremes = calls.iter().enumerate().filter(|(_, call)| call.function.is_extreme());
    (std::iter::once(rows).chain(summed).collect(), extremes.map(|(index, call)| (index, call.clone())).collect())
}

/// The aggregates as EXPLAIN shows them before the exchange.
pub(super) fn local_texts(calls: &[AggregateCall], input: &Schema) -> String {
    let text = |(index, call): (usize, &AggregateCall)| format!("{} AS ${index}", call.text(input));
    calls.iter().enumerate().map(text).collect::<Vec<_>>().join(", ")
}

/// The aggregates as EXPLAIN shows them behind the exchange.
pub(super) fn global_texts(calls: &[AggregateCall]) -> String {
    let text =
        |(index, call): (usize, &AggregateCall)| format!("{}(${index}) AS {}", call.function, call.output.name());
    calls.iter().enumerate().map(text).collect::<Vec<_>>().join(", ")
}

/// The types of keys and aggregates, for a signature.
pub(super) fn types_text(partial: &Schema, keys: usize, calls: &[AggregateCall]) -> String {
    let keys = partial.fields().iter().take(keys).map(|key| key.data_type().to_string());
    let calls = calls.iter().map(|call| format!("{}({}) {}", call.function, call.input_type, call.output.data_type()));
    keys.chain(calls).collect::<Vec<_>>().join(", ")
}
