//! CAST from one nested type to another: what is inside is converted, each part by its own rule.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::datatypes::DataType;

use super::entries::deduplicated;
use super::{compact, lists, masked};
use crate::error::{Error, Result};
use crate::expressions::cast::CastShape;
use crate::expressions::types::type_name;

/// Converts values of which the target is not nested.
type Flat<'a> = &'a dyn Fn(&ArrayRef, &DataType, CastShape, bool) -> Result<ArrayRef>;

/// Values in another type, either of which may be nested. With `lenient` a value of which a part cannot be converted is NULL
/// as a whole. `flat` converts what is not nested. `shapes` are those of the target's parts that are not nested, in their order.
pub(in crate::expressions) fn converted(
    values: &ArrayRef,
    to: &DataType,
    shapes: impl Iterator<Item = CastShape> + Clone,
    flat: Flat,
    lenient: bool,
) -> Result<ArrayRef> {
    if !lenient || !super::is_nested(to) {
        return parts(values, to, &mut shapes.clone(), flat, lenient);
    }
    let all = parts(values, to, &mut shapes.clone(), flat, false);
    if all.is_ok() {
        return all;
    }
    // Some row fails: which, is found out one by one.
    let one = |row: usize| {
        let converted = parts(&values.slice(row, 1), to, &mut shapes.clone(), flat, false);
        converted.unwrap_or_else(|_| arrow::array::new_null_array(to, 1))
    };
    let rows: Vec<ArrayRef> = (0..values.len()).map(one).collect();
    Ok(arrow::compute::concat(&rows.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
}

fn parts(
    values: &ArrayRef,
    to: &DataType,
    shapes: &mut impl Iterator<Item = CastShape>,
    flat: Flat,
    lenient: bool,
) -> Result<ArrayRef> {
    match (values.data_type(), to) {
        (DataType::Null, _) => {
            skip(to, shapes);
            Ok(arrow::array::new_null_array(to, values.len()))
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let rows = values.as_struct();
            let columns = rows.columns().iter().zip(fields).map(|(column, field)| {
                // What lies behind a NULL must not fail.
                parts(&masked(column, rows.nulls())?, field.data_type(), shapes, flat, lenient)
            });
            let columns = columns.collect::<Result<_>>()?;
            let nulls = rows.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows.len())?))
        }
        (DataType::List(_), DataType::List(element)) => {
            let list = compact(values.as_list())?;
            let elements = parts(list.values(), element.data_type(), shapes, flat, lenient)?;
            Ok(Arc::new(lists(list.offsets().clone(), elements, list.nulls().cloned())?))
        }
        (DataType::Map(..), DataType::Map(..)) => {
            let (Some((key, value)), map) = (super::key_and_value(to), values.as_map()) else {
                return Err(Error::bug("a map without entries"));
            };
            let keys = parts(map.keys(), key, shapes, flat, lenient)?;
            let own = parts(map.values(), value, shapes, flat, lenient)?;
            // A multiset has a name of its own for the counts.
            let maps = deduplicated(map.offsets(), &keys, &own, map.nulls().cloned())?;
            let data = maps.to_data().into_builder().data_type(to.clone()).build()?;
            Ok(arrow::array::make_array(data))
        }
        (from, to) if super::is_nested(to) => {
            Err(Error::bug(format!("a cast from {} to {}", type_name(from), type_name(to))))
        }
        _ => flat(values, to, shapes.next().unwrap_or_default(), lenient),
    }
}

/// Passes over the shapes of a type.
fn skip(to: &DataType, shapes: &mut impl Iterator<Item = CastShape>) {
    match to {
        DataType::List(element) => skip(element.data_type(), shapes),
        DataType::Struct(fields) => fields.iter().for_each(|field| skip(field.data_type(), shapes)),
        DataType::Map(entries, _) => skip(entries.data_type(), shapes),
        _ => drop(shapes.next()),
    }
}
