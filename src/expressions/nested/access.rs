//! What is inside of a value: `r.x`, `a[1]`, `m['k']`, and how much there is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, MapArray, Scalar, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::cmp::not_distinct as not_distinct_from;
use arrow::datatypes::{DataType, Int32Type};

use super::equality::not_distinct;
use super::{is_nested, masked, parents};
use crate::error::{Error, Result};
use crate::expressions::function::{Call, Function, Style};
use crate::expressions::types::{is_approximate, type_name};
use crate::expressions::typing::{Argument, Typing, count, never};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict(
        "CARDINALITY",
        "CARDINALITY(array): how many elements an array has, or entries a map",
        cardinality_typing,
        |_, a, _| cardinality(&a[0]),
    )
    .example("CARDINALITY(ARRAY[1, 2, 3])", "3"),
    Function {
        fallible: true,
        ..Function::possibly(
            "ELEMENT",
            "ELEMENT(array): its one element; NULL if it is empty, and an error if it has several",
            element_typing,
            |_, a, _| only_element(&a[0]),
        )
        .example("ELEMENT(ARRAY[7])", "7")
    },
];

/// `row.field`: the call's parameter is the field's place, its detail the name.
pub static FIELD: Function = Function { style: Style::Field, ..Function::possibly("FIELD", "", never, field) };

/// `array[index]`, counted from 1; NULL where the array has no such element.
pub static ITEM: Function =
    Function { style: Style::Item, takes_constants: true, ..Function::possibly("ITEM", "", never, item) };

/// `map[key]`: NULL where the map has no such key.
pub static LOOKUP: Function =
    Function { style: Style::Item, takes_constants: true, ..Function::possibly("LOOKUP", "", never, lookup) };

fn cardinality_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    match &arguments[0].data_type {
        one @ (DataType::List(_) | DataType::Map(..)) => Ok(Typing::new(vec![one.clone()], DataType::Int32)),
        other => Err(format!("it counts what is in an ARRAY or a MAP, not in {}", type_name(other))),
    }
}

fn element_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    match &arguments[0].data_type {
        list @ DataType::List(element) => Ok(Typing::new(vec![list.clone()], element.data_type().clone())),
        other => Err(format!("it takes an ARRAY, not {}", type_name(other))),
    }
}

fn cardinality(values: &ArrayRef) -> Result<ArrayRef> {
    let offsets = match values.data_type() {
        DataType::Map(..) => values.as_map().value_offsets(),
        _ => values.as_list::<i32>().value_offsets(),
    };
    let lengths = offsets.windows(2).map(|ends| ends[1] - ends[0]).collect::<Vec<_>>();
    Ok(Arc::new(Int32Array::new(lengths.into(), values.nulls().cloned())))
}

fn only_element(values: &ArrayRef) -> Result<ArrayRef> {
    let list = values.as_list::<i32>();
    let mut firsts = Vec::with_capacity(list.len());
    for (row, ends) in list.value_offsets().windows(2).enumerate() {
        let is_there = list.is_valid(row) && ends[0] < ends[1];
        if is_there && ends[1] - ends[0] > 1 {
            return Err(Error::data(format!("ELEMENT: an array has {} elements, not one", ends[1] - ends[0])));
        }
        firsts.push(is_there.then_some(ends[0] as u32));
    }
    Ok(arrow::compute::take(list.values(), &UInt32Array::from(firsts), None)?)
}

fn field(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let rows = arguments[0].as_struct();
    let place = call.parameters.first().and_then(|place| usize::try_from(*place).ok());
    let column = place.and_then(|place| rows.columns().get(place));
    masked(column.ok_or_else(|| Error::bug("a field that the row has not"))?, rows.nulls())
}

/// Either argument may be one value for all rows.
fn item(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (list, indices) = (arguments[0].as_list::<i32>(), arguments[1].as_primitive::<Int32Type>());
    let (offsets, numbers) = (list.value_offsets(), indices.values());
    let (one_list, one_index) = (list.len() == 1, indices.len() == 1);
    let (mut places, mut is_there) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for row in 0..rows {
        let (at, by) = (if one_list { 0 } else { row }, if one_index { 0 } else { row });
        let (start, end, index) = (offsets[at], offsets[at + 1], numbers[by]);
        let is_inside = index >= 1 && index <= end - start && list.is_valid(at) && indices.is_valid(by);
        places.push(if is_inside { (start + index - 1) as u32 } else { 0 });
        is_there.push(is_inside);
    }
    let places = UInt32Array::new(places.into(), Some(NullBuffer::from(is_there)));
    Ok(arrow::compute::take(list.values(), &places, None)?)
}

fn lookup(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (map, keys) = (arguments[0].as_map(), &arguments[1]);
    let found = if keys.len() == 1 && map.len() == 1 {
        let found = lookup_by_rows(map, keys)?;
        arrow::compute::take(&found, &UInt32Array::from(vec![0; rows]), None)?
    } else if map.len() == 1 {
        let map = arrow::compute::take(map, &UInt32Array::from(vec![0; rows]), None)?;
        lookup_by_rows(map.as_map(), keys)?
    } else {
        lookup_by_rows(map, keys)?
    };
    Ok(found)
}

/// Compares the keys of all entries at once with the key that each row asks for.
fn lookup_by_rows(map: &MapArray, keys: &ArrayRef) -> Result<ArrayRef> {
    let offsets = map.value_offsets();
    let (start, end) = (offsets[0] as usize, offsets[map.len()] as usize);
    let own = map.keys().slice(start, end - start);
    let is_plain = !is_nested(keys.data_type()) && !is_approximate(keys.data_type());
    let is_it = match keys.len() {
        1 if is_plain => not_distinct_from(&own, &Scalar::new(keys))?.into_parts().0,
        1 => not_distinct(&own, &arrow::compute::take(keys, &UInt32Array::from(vec![0; own.len()]), None)?)?,
        _ => not_distinct(&own, &arrow::compute::take(keys, &parents(offsets), None)?)?,
    };
    let mut places = vec![None; map.len()];
    let mut row = 0;
    for place in is_it.set_indices() {
        let place = place + start;
        while offsets[row + 1] as usize <= place {
            row += 1;
        }
        if map.is_valid(row) {
            places[row] = Some(place as u32);
        }
    }
    Ok(arrow::compute::take(map.values(), &UInt32Array::from(places), None)?)
}
