//! Functions that make arrays of arrays and elements, or find what is in one: ARRAY_APPEND to ARRAY_SLICE.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Int32Array, ListArray, StringBuilder, UInt32Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Int32Type};

use super::equality::not_distinct;
use super::{compact, list_of, lists, offsets_of, parents};
use crate::error::Result;
use crate::expressions::function::{Call, Function};
use crate::expressions::types::{common_type, is_integer, type_name};
use crate::expressions::typing::{Argument, Typing, count};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::possibly(
        "ARRAY_APPEND",
        "ARRAY_APPEND(array, element): with the element behind the others",
        |arguments| with_element(arguments, |list, _| list),
        |_, a, _| joined(a[0].as_list(), &a[1], false),
    ).example("ARRAY_APPEND(ARRAY[1, 2], 3)", "[1,2,3]"),
    Function::strict(
        "ARRAY_CONCAT",
        "ARRAY_CONCAT(array, …): the elements of all, one array behind the other",
        same_arrays,
        concatenated,
    ).example("ARRAY_CONCAT(ARRAY[1, 2], ARRAY[2, 3])", "[1,2,2,3]"),
    Function::possibly(
        "ARRAY_CONTAINS",
        "ARRAY_CONTAINS(array, element): whether it is in the array, which may be asked for NULL, too",
        |arguments| with_element(arguments, |_, _| DataType::Boolean),
        |_, a, _| contains(&a[0], &a[1]),
    ).example("ARRAY_CONTAINS(ARRAY[1, 2], 2)", "true"),
    Function::strict(
        "ARRAY_JOIN",
        "ARRAY_JOIN(array, separator [, null]): its texts as one; NULLs are left out, or are the third text",
        join_typing,
        joined_texts,
    ).example("ARRAY_JOIN(ARRAY['a', 'b'], '-')", "a-b"),
    Function::strict(
        "ARRAY_POSITION",
        "ARRAY_POSITION(array, element): where it stands first, from 1; 0 if nowhere",
        |arguments| with_element(arguments, |_, _| DataType::Int32),
        |_, a, _| position(&a[0], &a[1]),
    ).example("ARRAY_POSITION(ARRAY['a', 'b'], 'b')", "2"),
    Function::possibly(
        "ARRAY_PREPEND",
        "ARRAY_PREPEND(array, element): with the element before the others",
        |arguments| with_element(arguments, |list, _| list),
        |_, a, _| joined(a[0].as_list(), &a[1], true),
    ).example("ARRAY_PREPEND(ARRAY[2, 3], 1)", "[1,2,3]"),
    Function::possibly(
        "ARRAY_REMOVE",
        "ARRAY_REMOVE(array, element): without all elements that equal it",
        |arguments| with_element(arguments, |list, _| list),
        |_, a, _| removed(&a[0], &a[1]),
    ).example("ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", "[2]"),
    Function::strict("ARRAY_REVERSE", "ARRAY_REVERSE(array): its elements backwards", one_array, |_, a, _| {
        let list = a[0].as_list::<i32>();
        picked(list, |_, start, end, to| to.extend((start..end).rev()))
    }).example("ARRAY_REVERSE(ARRAY[1, 2, 3])", "[3,2,1]"),
    Function::strict(
        "ARRAY_SLICE",
        "ARRAY_SLICE(array, start [, end]): the elements from the start to the end, counted from 1 or, negative, from the end",
        slice_typing,
        slices,
    ).example("ARRAY_SLICE(ARRAY[1, 2, 3, 4], 2, -2)", "[2,3]"),
];

/// The elements' type, if the argument is an array.
pub(super) fn element(argument: &Argument) -> Result<DataType, String> {
    match &argument.data_type {
        DataType::List(element) => Ok(element.data_type().clone()),
        other => Err(format!("it takes an ARRAY, not {}", type_name(other))),
    }
}

pub(super) fn one_array(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    let list = list_of(element(&arguments[0])?);
    Ok(Typing::new(vec![list.clone()], list))
}

/// An array, and something that may be its element.
fn with_element(arguments: &[Argument], output: fn(DataType, DataType) -> DataType) -> Result<Typing, String> {
    count(arguments, 2, 2)?;
    let own = element(&arguments[0])?;
    if common_type(&own, &arguments[1].data_type).as_ref() != Some(&own) {
        let found = type_name(&arguments[1].data_type);
        return Err(format!(
            "an element of {} is no {found}: write CAST(… AS {})",
            type_name(&arguments[0].data_type),
            type_name(&own)
        ));
    }
    let list = list_of(own.clone());
    Ok(Typing::new(vec![list.clone(), own.clone()], output(list, own)))
}

/// Arrays of a common type.
pub(super) fn same_arrays(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, usize::MAX)?;
    let mut common = DataType::Null;
    for argument in arguments {
        let own = element(argument)?;
        common = common_type(&common, &own)
            .ok_or_else(|| format!("its arrays have no common type: {} and {}", type_name(&common), type_name(&own)))?;
    }
    let list = list_of(common);
    Ok(Typing::new(vec![list.clone(); arguments.len()], list))
}

fn join_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 2, 3)?;
    let own = element(&arguments[0])?;
    if own != DataType::Utf8 {
        return Err(format!("it joins texts, not {}: write CAST(… AS ARRAY<STRING>)", type_name(&own)));
    }
    for text in &arguments[1..] {
        if !matches!(text.data_type, DataType::Utf8 | DataType::Null) {
            return Err(format!("it takes text, not {}", type_name(&text.data_type)));
        }
    }
    let mut wanted = vec![DataType::Utf8; arguments.len()];
    wanted[0] = list_of(own);
    Ok(Typing::new(wanted, DataType::Utf8))
}

fn slice_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 2, 3)?;
    let list = list_of(element(&arguments[0])?);
    for bound in &arguments[1..] {
        if !is_integer(&bound.data_type) && bound.data_type != DataType::Null {
            return Err(format!("it takes whole numbers, not {}", type_name(&bound.data_type)));
        }
    }
    let mut wanted = vec![DataType::Int32; arguments.len()];
    wanted[0] = list.clone();
    Ok(Typing::new(wanted, list))
}

/// Arrays of some elements of each, in an order of their own: `pick` gets a row and where its elements begin and end.
pub(super) fn picked(list: &ListArray, mut pick: impl FnMut(usize, u32, u32, &mut Vec<u32>)) -> Result<ArrayRef> {
    let offsets = list.value_offsets();
    let mut places = Vec::with_capacity(list.values().len());
    let mut lengths = Vec::with_capacity(list.len());
    for row in 0..list.len() {
        let before = places.len();
        if list.is_valid(row) {
            pick(row, offsets[row] as u32, offsets[row + 1] as u32, &mut places);
        }
        lengths.push(places.len() - before);
    }
    let values = arrow::compute::take(list.values(), &UInt32Array::from(places), None)?;
    Ok(Arc::new(lists(offsets_of(lengths.into_iter())?, values, list.nulls().cloned())?))
}

/// An element before or behind those of each array.
fn joined(list: &ListArray, elements: &ArrayRef, is_first: bool) -> Result<ArrayRef> {
    let offsets = list.value_offsets();
    let mut places = Vec::with_capacity(list.values().len() + list.len());
    let mut lengths = Vec::with_capacity(list.len());
    for row in 0..list.len() {
        let before = places.len();
        if list.is_valid(row) {
            places.extend(is_first.then_some((1, row)));
            places.extend((offsets[row] as usize..offsets[row + 1] as usize).map(|place| (0, place)));
            places.extend((!is_first).then_some((1, row)));
        }
        lengths.push(places.len() - before);
    }
    let values = arrow::compute::interleave(&[list.values().as_ref(), elements.as_ref()], &places)?;
    Ok(Arc::new(lists(offsets_of(lengths.into_iter())?, values, list.nulls().cloned())?))
}

pub(super) fn concatenated(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let arrays: Vec<&ListArray> = arguments.iter().map(|array| array.as_list::<i32>()).collect();
    let nulls = arrays.iter().fold(None, |nulls, array| NullBuffer::union(nulls.as_ref(), array.nulls()));
    let mut places = Vec::new();
    let mut lengths = Vec::with_capacity(rows);
    for row in 0..rows {
        let before = places.len();
        if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            for (number, array) in arrays.iter().enumerate() {
                let offsets = array.value_offsets();
                places.extend((offsets[row] as usize..offsets[row + 1] as usize).map(|place| (number, place)));
            }
        }
        lengths.push(places.len() - before);
    }
    let values: Vec<&dyn Array> = arrays.iter().map(|array| array.values().as_ref()).collect();
    let values = arrow::compute::interleave(&values, &places)?;
    Ok(Arc::new(lists(offsets_of(lengths.into_iter())?, values, nulls)?))
}

/// Arrays without elements that belong to none, and which of their elements equal the one that their row asks for.
fn found(array: &ArrayRef, wanted: &ArrayRef) -> Result<(ListArray, BooleanBuffer)> {
    let list = compact(array.as_list())?;
    let wanted = arrow::compute::take(wanted, &parents(list.value_offsets()), None)?;
    let equal = not_distinct(list.values(), &wanted)?;
    Ok((list, equal))
}

fn contains(array: &ArrayRef, wanted: &ArrayRef) -> Result<ArrayRef> {
    let (list, equal) = found(array, wanted)?;
    let mut is_there = BooleanBuilder::with_capacity(list.len());
    for ends in list.value_offsets().windows(2) {
        is_there.append_value(equal.slice(ends[0] as usize, (ends[1] - ends[0]) as usize).count_set_bits() > 0);
    }
    Ok(Arc::new(BooleanArray::new(is_there.finish().values().clone(), list.nulls().cloned())))
}

fn position(array: &ArrayRef, wanted: &ArrayRef) -> Result<ArrayRef> {
    let (list, equal) = found(array, wanted)?;
    let first = |ends: &[i32]| {
        let elements = equal.slice(ends[0] as usize, (ends[1] - ends[0]) as usize);
        elements.set_indices().next().map_or(0, |place| place as i32 + 1)
    };
    let places: Vec<i32> = list.value_offsets().windows(2).map(first).collect();
    let nulls = NullBuffer::union(list.nulls(), wanted.logical_nulls().as_ref());
    Ok(Arc::new(Int32Array::new(places.into(), nulls)))
}

fn removed(array: &ArrayRef, wanted: &ArrayRef) -> Result<ArrayRef> {
    let (list, equal) = found(array, wanted)?;
    picked(&list, |_, start, end, to| to.extend((start..end).filter(|place| !equal.value(*place as usize))))
}

/// Start and end are kept within the array; what begins behind its end is empty.
fn slices(_: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let list = arguments[0].as_list::<i32>();
    let bounds: Vec<&Int32Array> = arguments[1..].iter().map(|bound| bound.as_primitive::<Int32Type>()).collect();
    let nulls =
        bounds.iter().fold(list.nulls().cloned(), |nulls, bound| NullBuffer::union(nulls.as_ref(), bound.nulls()));
    let list = lists(list.offsets().clone(), Arc::clone(list.values()), nulls)?;
    picked(&list, |row, start, end, to| {
        let length = i64::from(end - start);
        // From 1, and from the end where it is negative; 0 is 1.
        let place = |bound: i32| match i64::from(bound) {
            bound if bound < 0 => length + bound + 1,
            bound => bound,
        };
        let first = match bounds[0].value(row) {
            0 => 1,
            bound => place(bound).max(1),
        };
        let last = match bounds.get(1).map(|bound| bound.value(row)) {
            None => length,
            Some(0) => 1,
            Some(bound) => place(bound).min(length),
        };
        if first <= last && first <= length {
            to.extend(start + (first - 1) as u32..start + last.min(length) as u32);
        }
    })
}

fn joined_texts(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let list = arguments[0].as_list::<i32>();
    let (texts, offsets) = (list.values().as_string::<i32>(), list.value_offsets());
    let separators = arguments[1].as_string::<i32>();
    let instead = arguments.get(2).map(|instead| instead.as_string::<i32>());
    let mut out = StringBuilder::with_capacity(rows, texts.value_data().len());
    let mut whole = String::new();
    for row in 0..rows {
        if arguments.iter().any(|argument| argument.is_null(row)) {
            out.append_null();
            continue;
        }
        whole.clear();
        let mut is_first = true;
        for place in offsets[row] as usize..offsets[row + 1] as usize {
            let text = match (texts.is_valid(place), instead) {
                (true, _) => texts.value(place),
                (false, Some(instead)) => instead.value(row),
                (false, None) => continue,
            };
            if !is_first {
                whole.push_str(separators.value(row));
            }
            is_first = false;
            whole.push_str(text);
        }
        out.append_value(&whole);
    }
    Ok(Arc::new(out.finish()))
}
