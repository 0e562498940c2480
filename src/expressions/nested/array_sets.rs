//! Functions that take arrays for sets, or order what is in one: ARRAY_DISTINCT, ARRAY_UNION, ARRAY_SORT, ARRAY_MAX.
//!
//! Elements are told apart and ordered by Arrow's row encoding of them, of all rows at once.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use arrow::datatypes::DataType;
use arrow::row::Rows;

use super::arrays::{element, one_array, picked, same_arrays};
use super::entries::encoded;
use super::{is_nested, list_of, lists};
use crate::error::Result;
use crate::expressions::function::{Call, Function};
use crate::expressions::types::type_name;
use crate::expressions::typing::{Argument, Typing, count};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict(
        "ARRAY_DISTINCT",
        "ARRAY_DISTINCT(array): each different element once, where it stands first",
        one_array,
        |_, a, _| chosen(&a[0], None, |_| true),
    ).example("ARRAY_DISTINCT(ARRAY[1, 2, 1])", "[1,2]"),
    Function::strict(
        "ARRAY_EXCEPT",
        "ARRAY_EXCEPT(array, other): the different elements that are not in the other",
        two_arrays,
        |_, a, _| chosen(&a[0], Some(&a[1]), |is_there| !is_there),
    ).example("ARRAY_EXCEPT(ARRAY[1, 2, 3], ARRAY[2])", "[1,3]"),
    Function::strict(
        "ARRAY_INTERSECT",
        "ARRAY_INTERSECT(array, other): the different elements that are in the other, too",
        two_arrays,
        |_, a, _| chosen(&a[0], Some(&a[1]), |is_there| is_there),
    ).example("ARRAY_INTERSECT(ARRAY[1, 2, 3], ARRAY[2, 3, 4])", "[2,3]"),
    Function::possibly(
        "ARRAY_MAX",
        "ARRAY_MAX(array): the greatest element; NULLs do not count",
        one_element,
        |_, a, _| extreme(a[0].as_list(), true),
    ).example("ARRAY_MAX(ARRAY[1, 3, 2])", "3"),
    Function::possibly(
        "ARRAY_MIN",
        "ARRAY_MIN(array): the least element; NULLs do not count",
        one_element,
        |_, a, _| extreme(a[0].as_list(), false),
    ).example("ARRAY_MIN(ARRAY[1, 3, 2])", "1"),
    Function::strict(
        "ARRAY_SORT",
        "ARRAY_SORT(array [, ascending [, nulls first]]): its elements in order; NULLs stand where they sort low, if not said otherwise",
        sort_typing,
        sorted,
    ).example("ARRAY_SORT(ARRAY[3, 1, 2], FALSE)", "[3,2,1]"),
    Function::strict(
        "ARRAY_UNION",
        "ARRAY_UNION(array, other): the different elements of both",
        two_arrays,
        |call, a, rows| {
            let all = super::arrays::concatenated(call, a, rows)?;
            chosen(&all, None, |_| true)
        },
    ).example("ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3])", "[1,2,3]"),
];

fn two_arrays(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 2, 2)?;
    same_arrays(arguments)
}

/// An array of values that have an order.
fn ordered(argument: &Argument) -> Result<DataType, String> {
    let element = element(argument)?;
    if is_nested(&element) || element == DataType::Boolean {
        return Err(format!("values of type {} have no order", type_name(&element)));
    }
    Ok(element)
}

fn one_element(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    let element = ordered(&arguments[0])?;
    Ok(Typing::new(vec![list_of(element.clone())], element))
}

fn sort_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 3)?;
    let list = list_of(ordered(&arguments[0])?);
    for flag in &arguments[1..] {
        if !matches!(flag.data_type, DataType::Boolean | DataType::Null) {
            return Err(format!("its order is TRUE or FALSE, not {}", type_name(&flag.data_type)));
        }
    }
    let mut wanted = vec![DataType::Boolean; arguments.len()];
    wanted[0] = list.clone();
    Ok(Typing::new(wanted, list))
}

/// The different elements of each array of which `keeps` says so: it hears whether the other array has the element.
fn chosen(array: &ArrayRef, other: Option<&ArrayRef>, keeps: fn(bool) -> bool) -> Result<ArrayRef> {
    let list = array.as_list::<i32>();
    let keys = encoded(list.values())?;
    let others = other.map(|other| {
        let other = other.as_list::<i32>();
        Ok::<_, crate::error::Error>((other, encoded(other.values())?))
    });
    let others = others.transpose()?;
    let list = match &others {
        Some((other, _)) => {
            let nulls = arrow::buffer::NullBuffer::union(list.nulls(), other.nulls());
            lists(list.offsets().clone(), Arc::clone(list.values()), nulls)?
        }
        None => list.clone(),
    };
    let (mut seen, mut known): (HashSet<&[u8]>, HashSet<&[u8]>) = (HashSet::new(), HashSet::new());
    picked(&list, |row, start, end, to| {
        seen.clear();
        known.clear();
        if let Some((other, keys)) = &others {
            let offsets = other.value_offsets();
            known.extend((offsets[row] as usize..offsets[row + 1] as usize).map(|place| bytes(keys, place)));
        }
        for place in start..end {
            let key = bytes(&keys, place as usize);
            if keeps(others.is_none() || known.contains(key)) && seen.insert(key) {
                to.push(place);
            }
        }
    })
}

fn bytes(keys: &Rows, place: usize) -> &[u8] {
    keys.row(place).data()
}

fn extreme(list: &ListArray, greatest: bool) -> Result<ArrayRef> {
    let keys = encoded(list.values())?;
    let offsets = list.value_offsets();
    let best = |row: usize| {
        let all = offsets[row] as usize..offsets[row + 1] as usize;
        let there = all.filter(|place| list.is_valid(row) && list.values().is_valid(*place));
        let best = match greatest {
            true => there.max_by(|one, other| keys.row(*one).cmp(&keys.row(*other))),
            false => there.min_by(|one, other| keys.row(*one).cmp(&keys.row(*other))),
        };
        best.map(|place| place as u32)
    };
    let places: UInt32Array = (0..list.len()).map(best).collect();
    Ok(arrow::compute::take(list.values(), &places, None)?)
}

fn sorted(_: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let list = arguments[0].as_list::<i32>();
    let flags: Vec<_> = arguments[1..].iter().map(|flag| flag.as_boolean()).collect();
    let nulls = flags
        .iter()
        .fold(list.nulls().cloned(), |nulls, flag| arrow::buffer::NullBuffer::union(nulls.as_ref(), flag.nulls()));
    let keys = encoded(list.values())?;
    let values = list.values();
    let list = lists(list.offsets().clone(), Arc::clone(values), nulls)?;
    picked(&list, |row, start, end, to| {
        let ascending = flags.first().is_none_or(|flag| flag.value(row));
        let nulls_first = flags.get(1).map_or(ascending, |flag| flag.value(row));
        let absent = (start..end).filter(|place| values.is_null(*place as usize));
        if nulls_first {
            to.extend(absent.clone());
        }
        let from = to.len();
        to.extend((start..end).filter(|place| values.is_valid(*place as usize)));
        to[from..].sort_by(|one, other| {
            let (one, other) = (keys.row(*one as usize), keys.row(*other as usize));
            if ascending { one.cmp(&other) } else { other.cmp(&one) }
        });
        if !nulls_first {
            to.extend(absent);
        }
    })
}
