//! Functions of maps: their keys, values and entries, and maps put together of arrays, of maps and of a text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Fields};

use super::entries::deduplicated;
use super::{key_and_value, list_of, lists, map_of, offsets_of, row_of};
use crate::error::{Error, Result};
use crate::expressions::function::{Call, Function};
use crate::expressions::types::{common_type, type_name};
use crate::expressions::typing::{Argument, Typing, count};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict(
        "MAP_ENTRIES",
        "MAP_ENTRIES(map): its entries as an array of ROW<key, value>",
        |arguments| of_map(arguments, |key, value| list_of(row_of([("key", key), ("value", value)]))),
        |call, a, _| entries(call, a[0].as_map()),
    )
    .example("MAP_ENTRIES(MAP['a', 1])", "[(a,1)]"),
    Function {
        fallible: true,
        ..Function::strict(
            "MAP_FROM_ARRAYS",
            "MAP_FROM_ARRAYS(keys, values): a map of two arrays of one length",
            from_arrays_typing,
            from_arrays,
        )
        .example("MAP_FROM_ARRAYS(ARRAY['a', 'b'], ARRAY[1, 2])", "{a=1, b=2}")
    },
    Function::strict(
        "MAP_KEYS",
        "MAP_KEYS(map): its keys as an array",
        |arguments| of_map(arguments, |key, _| list_of(key)),
        |_, a, _| part(a[0].as_map(), |map| map.keys()),
    )
    .example("MAP_KEYS(MAP['a', 1])", "[a]"),
    Function::strict(
        "MAP_UNION",
        "MAP_UNION(map, …): the entries of all; of a key that several have the value of the last",
        union_typing,
        union,
    )
    .example("MAP_UNION(MAP['a', 1], MAP['a', 2, 'b', 3])", "{a=2, b=3}"),
    Function::strict(
        "MAP_VALUES",
        "MAP_VALUES(map): its values as an array",
        |arguments| of_map(arguments, |_, value| list_of(value)),
        |_, a, _| part(a[0].as_map(), |map| map.values()),
    )
    .example("MAP_VALUES(MAP['a', 1])", "[1]"),
];

fn of_map(arguments: &[Argument], output: fn(DataType, DataType) -> DataType) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    let (key, value) = types(&arguments[0])?;
    Ok(Typing::new(vec![map_of(key.clone(), value.clone())], output(key, value)))
}

fn types(argument: &Argument) -> Result<(DataType, DataType), String> {
    match key_and_value(&argument.data_type) {
        Some((key, value)) => Ok((key.clone(), value.clone())),
        None => Err(format!("it takes a MAP, not {}", type_name(&argument.data_type))),
    }
}

fn from_arrays_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 2, 2)?;
    let (keys, values) = (super::arrays::element(&arguments[0])?, super::arrays::element(&arguments[1])?);
    Ok(Typing::new(vec![list_of(keys.clone()), list_of(values.clone())], map_of(keys, values)))
}

fn union_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, usize::MAX)?;
    let mut common = DataType::Null;
    for argument in arguments {
        let (key, value) = types(argument)?;
        let own = map_of(key, value);
        common = common_type(&common, &own)
            .ok_or_else(|| format!("its maps have no common type: {} and {}", type_name(&common), type_name(&own)))?;
    }
    Ok(Typing::new(vec![common.clone(); arguments.len()], common))
}

/// Keys or values, where they lie.
fn part(map: &MapArray, part: fn(&MapArray) -> &ArrayRef) -> Result<ArrayRef> {
    Ok(Arc::new(lists(map.offsets().clone(), Arc::clone(part(map)), map.nulls().cloned())?))
}

fn entries(call: &Call, map: &MapArray) -> Result<ArrayRef> {
    let fields: Option<Fields> = match &call.output {
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => Some(fields.clone()),
            _ => None,
        },
        _ => None,
    };
    let fields = fields.ok_or_else(|| Error::bug("entries are rows"))?;
    let rows = StructArray::try_new(fields, vec![Arc::clone(map.keys()), Arc::clone(map.values())], None)?;
    Ok(Arc::new(lists(map.offsets().clone(), Arc::new(rows), map.nulls().cloned())?))
}

fn from_arrays(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (keys, values) = (arguments[0].as_list::<i32>(), arguments[1].as_list::<i32>());
    let nulls = NullBuffer::union(keys.nulls(), values.nulls());
    let (mut of_keys, mut of_values, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(rows));
    for row in 0..rows {
        let is_there = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let (one, other) = (keys.value_length(row) as usize, values.value_length(row) as usize);
        if is_there && one != other {
            return Err(Error::data(format!("MAP_FROM_ARRAYS: an array of {one} keys and one of {other} values")));
        }
        if is_there {
            let (key, value) = (keys.value_offsets()[row] as u32, values.value_offsets()[row] as u32);
            of_keys.extend(key..key + one as u32);
            of_values.extend(value..value + one as u32);
        }
        lengths.push(if is_there { one } else { 0 });
    }
    let taken = |list: &arrow::array::ListArray, places: Vec<u32>| {
        arrow::compute::take(list.values(), &arrow::array::UInt32Array::from(places), None)
    };
    deduplicated(&offsets_of(lengths.into_iter())?, &taken(keys, of_keys)?, &taken(values, of_values)?, nulls)
}

fn union(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let maps: Vec<&MapArray> = arguments.iter().map(|map| map.as_map()).collect();
    let nulls = maps.iter().fold(None, |nulls, map| NullBuffer::union(nulls.as_ref(), map.nulls()));
    let (mut places, mut lengths) = (Vec::new(), Vec::with_capacity(rows));
    for row in 0..rows {
        let before = places.len();
        if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            for (number, map) in maps.iter().enumerate() {
                let offsets = map.value_offsets();
                places.extend((offsets[row] as usize..offsets[row + 1] as usize).map(|place| (number, place)));
            }
        }
        lengths.push(places.len() - before);
    }
    let of = |part: fn(&MapArray) -> &ArrayRef| {
        let parts: Vec<&dyn Array> = maps.iter().map(|map| part(map).as_ref()).collect();
        arrow::compute::interleave(&parts, &places)
    };
    deduplicated(&offsets_of(lengths.into_iter())?, &of(MapArray::keys)?, &of(MapArray::values)?, nulls)
}
