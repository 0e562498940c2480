//! Scripts and properties of the operators.

mod calc;
mod chain;
mod expand;
mod forgetting;
mod group;
mod group_model;
mod mini_batch;
mod process;
mod replicate;
mod session;
mod timer;
mod unnest;
mod updating_windows;
mod upsert_materialize;
mod window;
mod window_model;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::*;
use crate::stream::Zone;

/// `name type` pairs, as in a table.
fn schema(columns: &str) -> SchemaRef {
    let field = |column: &str| {
        let (name, data_type) = column.trim().split_once(' ').expect("a name and a type");
        let data_type = match data_type {
            "BIGINT" => DataType::Int64,
            "INT" => DataType::Int32,
            "DOUBLE" => DataType::Float64,
            "BOOLEAN" => DataType::Boolean,
            "STRING" => DataType::Utf8,
            "TIME" => DataType::Timestamp(TimeUnit::Millisecond, None),
            other => panic!("type {other}"),
        };
        Field::new(name, data_type, !name.starts_with('$'))
    };
    Arc::new(Schema::new(columns.split(',').map(field).collect::<Vec<_>>()))
}

/// `COUNT(*) n`, `SUM(v) s`, `MIN(v) FILTER f m` and so on over the columns of `input`.
fn calls(input: &SchemaRef, texts: &[&str]) -> Vec<AggregateCall> {
    let column = |name: &str| input.index_of(name).expect("a column of the input");
    let call = |text: &&str| {
        let (call, name) = text.rsplit_once(' ').expect("a call and a name");
        let (call, filter) = call.split_once(" FILTER ").map_or((call, None), |(call, filter)| (call, Some(filter)));
        let (function, argument) = call.trim_end_matches(')').split_once('(').expect("an argument");
        let function = AggregateFunction::named(function).expect("a function");
        let distinct = argument.starts_with("DISTINCT ");
        let argument = argument.trim_start_matches("DISTINCT ");
        let argument = (argument != "*").then(|| column(argument));
        let input_type = argument.map_or(DataType::Int64, |index| input.field(index).data_type().clone());
        let output = Field::new(name, function.output_type(Some(&input_type)).unwrap(), true);
        let filter = filter.map(column);
        AggregateCall { distinct, filter, ..AggregateCall::new(function, argument, input_type, output) }
    };
    texts.iter().map(call).collect()
}

/// Keys and results.
fn output(keys: &[Field], between: &[Field], calls: &[AggregateCall]) -> SchemaRef {
    let results = calls.iter().map(|call| call.output.clone());
    Arc::new(Schema::new(keys.iter().chain(between).cloned().chain(results).collect::<Vec<_>>()))
}

/// Assignment, local and global half of a window aggregation over `input`, which ends with `$watermark`.
fn windowed(
    input: &SchemaRef,
    window: WindowKind,
    keys: &[usize],
    texts: &[&str],
) -> (WindowAssignSpec, WindowLocalSpec, WindowAggregateSpec) {
    let watermark = input.fields().len() - 1;
    let assign = WindowAssignSpec {
        zone: Zone::UTC,
        input: Arc::clone(input),
        time: 0,
        watermark,
        window,
        operator: "window".into(),
        late_columns: (0..watermark).collect(),
        by_clock: false,
        lateness_ms: 0,
    };
    let assigned = assign.output();
    let calls = calls(&assigned, texts);
    let local = WindowLocalSpec {
        zone: Zone::UTC,
        pane: watermark,
        open_from: watermark + 1,
        keys: keys.to_vec(),
        calls: calls.clone(),
        window,
        input: assigned,
    };
    let fields: Vec<Field> = keys.iter().map(|index| input.field(*index).clone()).collect();
    let time = |name| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), false);
    let output = output(&fields, &["window_start", "window_end", "window_time"].map(time), &calls);
    let input = local.partial_schema().unwrap();
    (
        assign,
        local,
        WindowAggregateSpec { zone: Zone::UTC, input, keys: keys.len(), calls, window, query: String::new(), output },
    )
}

/// Both halves of an updating GROUP BY.
fn grouped(input: &SchemaRef, keys: &[usize], texts: &[&str], retract: bool) -> (GroupLocalSpec, GroupAggregateSpec) {
    let calls = calls(input, texts);
    let local = GroupLocalSpec {
        input: Arc::clone(input),
        keys: keys.to_vec(),
        calls: calls.clone(),
        retract,
        holding: Holding::UntilRest,
    };
    let fields: Vec<Field> = keys.iter().map(|index| input.field(*index).clone()).collect();
    let output = output(&fields, &[], &calls);
    let input = local.partial_schema().unwrap();
    let keys = keys.len();
    (
        local,
        GroupAggregateSpec {
            input,
            keys,
            calls,
            retract,
            emit_update_before: true,
            forgetting: Forgetting::Never,
            query: String::new(),
            output,
        },
    )
}
