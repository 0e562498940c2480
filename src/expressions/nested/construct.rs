//! Values put together: `ROW(a, b)`, `ARRAY[a, b]`, `MAP[k, v]`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StructArray};
use arrow::datatypes::DataType;

use super::entries::deduplicated;
use super::{lists, offsets_of};
use crate::error::{Error, Result};
use crate::expressions::function::{Call, Function, Style};
use crate::expressions::typing::never;

/// `ROW(a, b)`
pub static ROW: Function = Function::strict("ROW", "", never, row);

/// `ARRAY[a, b]`, of values of one type.
pub static ARRAY: Function =
    Function { style: Style::Brackets, takes_constants: true, ..Function::strict("ARRAY", "", never, array) };

/// `MAP[key, value, …]`, of keys of one type and values of one.
pub static MAP: Function = Function {
    style: Style::Brackets,
    takes_constants: true,
    fallible: true,
    ..Function::strict("MAP", "", never, map)
};

fn row(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let DataType::Struct(fields) = &call.output else {
        return Err(Error::bug("a ROW of another type"));
    };
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), arguments.to_vec(), None, rows)?))
}

fn array(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let values = in_turn(arguments, rows)?;
    let offsets = offsets_of(std::iter::repeat_n(arguments.len(), rows))?;
    Ok(Arc::new(lists(offsets, values, None)?))
}

fn map(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let of = |which: usize| arguments.iter().skip(which).step_by(2).map(Arc::clone).collect::<Vec<_>>();
    let (keys, values) = (in_turn(&of(0), rows)?, in_turn(&of(1), rows)?);
    let offsets = offsets_of(std::iter::repeat_n(arguments.len() / 2, rows))?;
    deduplicated(&offsets, &keys, &values, None)
}

/// The first row of each column, then the second of each. A column of one row has that in all.
fn in_turn(columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let place = |row: usize| {
        let at = move |(column, values): (usize, &ArrayRef)| (column, if values.len() == 1 { 0 } else { row });
        columns.iter().enumerate().map(at)
    };
    let places: Vec<(usize, usize)> = (0..rows).flat_map(place).collect();
    let columns: Vec<&dyn Array> = columns.iter().map(|column| column.as_ref() as &dyn Array).collect();
    Ok(arrow::compute::interleave(&columns, &places)?)
}
