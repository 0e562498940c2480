//! The entries of maps: in the order of their keys where two maps are compared, each key once where a map is made.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StructArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::row::{RowConverter, Rows, SortField};

use super::{entry, has_map, lists, offsets_of};
use crate::error::{Error, Result};
use crate::expressions::function::{Function, Style};
use crate::expressions::typing::never;

/// The same value with the entries of all maps in it in the order of their keys, so that equal maps look the same. What
/// stands in the query is the value.
pub static CANONICAL: Function =
    Function { style: Style::Transparent, ..Function::strict("CANONICAL", "", never, |_, a, _| canonical(&a[0])) };

/// See [`CANONICAL`].
pub(in crate::expressions) fn canonical(values: &ArrayRef) -> Result<ArrayRef> {
    if !has_map(values.data_type()) {
        return Ok(Arc::clone(values));
    }
    Ok(match values.data_type() {
        DataType::Struct(fields) => {
            let columns = values.as_struct().columns().iter().map(canonical).collect::<Result<_>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, values.nulls().cloned())?)
        }
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            Arc::new(lists(list.offsets().clone(), canonical(list.values())?, list.nulls().cloned())?)
        }
        _ => sorted(values.as_map())?,
    })
}

fn sorted(map: &MapArray) -> Result<ArrayRef> {
    let keys = encoded(map.keys())?;
    let offsets = map.value_offsets();
    let mut order: Vec<u32> = Vec::with_capacity(map.keys().len());
    let mut lengths = Vec::with_capacity(map.len());
    for row in 0..map.len() {
        let start = order.len();
        if map.is_valid(row) {
            order.extend(offsets[row] as u32..offsets[row + 1] as u32);
            order[start..].sort_unstable_by(|one, other| keys.row(*one as usize).cmp(&keys.row(*other as usize)));
        }
        lengths.push(order.len() - start);
    }
    let order = UInt32Array::from(order);
    let keys = arrow::compute::take(map.keys(), &order, None)?;
    let values = canonical(&arrow::compute::take(map.values(), &order, None)?)?;
    let DataType::Map(entries, _) = map.data_type() else { return Err(Error::bug("a map of another type")) };
    maps(entries, offsets_of(lengths.into_iter())?, keys, values, map.nulls().cloned())
}

/// Keys as bytes that compare as the keys do.
pub(super) fn encoded(keys: &ArrayRef) -> Result<Rows> {
    let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
    Ok(converter.convert_columns(std::slice::from_ref(&canonical(keys)?))?)
}

/// Maps of entries in which a key may stand several times: its last value counts, at the place of its first. A key that
/// is NULL is the data's fault.
pub(super) fn deduplicated(
    offsets: &OffsetBuffer<i32>,
    keys: &ArrayRef,
    values: &ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let encoded = encoded(keys)?;
    let mut kept: Vec<u32> = Vec::with_capacity(keys.len());
    let mut last: Vec<u32> = Vec::with_capacity(keys.len());
    let mut lengths = Vec::with_capacity(offsets.len() - 1);
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    for (row, ends) in offsets.windows(2).enumerate() {
        let start = kept.len();
        if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            places.clear();
            for entry in ends[0] as usize..ends[1] as usize {
                if keys.is_null(entry) {
                    return Err(no_key());
                }
                match places.entry(encoded.row(entry).data()) {
                    std::collections::hash_map::Entry::Occupied(known) => last[*known.get()] = entry as u32,
                    std::collections::hash_map::Entry::Vacant(new) => {
                        new.insert(kept.len());
                        kept.push(entry as u32);
                        last.push(entry as u32);
                    }
                }
            }
        }
        lengths.push(kept.len() - start);
    }
    let keys = arrow::compute::take(keys, &UInt32Array::from(kept), None)?;
    let values = arrow::compute::take(values, &UInt32Array::from(last), None)?;
    let fields = entry(keys.data_type().clone(), values.data_type().clone());
    let entries: FieldRef = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    maps(&entries, offsets_of(lengths.into_iter())?, keys, values, nulls)
}

/// Maps of these entries, in which each key stands once and none is NULL.
fn maps(
    field: &FieldRef,
    offsets: OffsetBuffer<i32>,
    keys: ArrayRef,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    if keys.null_count() > 0 {
        return Err(no_key());
    }
    let DataType::Struct(fields) = field.data_type() else { return Err(Error::bug("entries are rows")) };
    let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, nulls, false)?))
}

fn no_key() -> Error {
    Error::data("a key of a MAP is NULL").with_help("leave such entries out, or write COALESCE(key, '…')")
}
