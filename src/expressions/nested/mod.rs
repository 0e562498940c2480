//! Values made of values: ARRAY as Arrow's list, MAP as its map, ROW as its struct.
//!
//! What is inside of one may be NULL, whatever its type declares, so that two types are the same when they look the same;
//! only the keys of a MAP are never NULL. Kernels work on the values of all rows at once, through offsets and `take`.

mod access;
mod array_sets;
mod arrays;
mod construct;
mod convert;
mod entries;
mod equality;
mod maps;
mod texts;
#[cfg(test)]
mod tests;
mod unnest;

pub use access::{FIELD, ITEM, LOOKUP};
pub use construct::{ARRAY, MAP, ROW};
pub use entries::CANONICAL;
pub use equality::comparison;
#[cfg(test)]
pub use texts::parts;
pub use unnest::{Piece, Unnest, Unnesting, unnested};

pub(super) use convert::converted;
pub(super) use entries::canonical;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};

use super::function::Function;
use crate::error::{Error, Result};

/// The functions of them, by family.
pub const FUNCTIONS: [&[Function]; 5] =
    [access::FUNCTIONS, arrays::FUNCTIONS, array_sets::FUNCTIONS, maps::FUNCTIONS, texts::FUNCTIONS];

/// `ARRAY<element>`
pub fn list_of(element: DataType) -> DataType {
    DataType::List(item(element))
}

/// The field of the elements of an ARRAY.
fn item(element: DataType) -> FieldRef {
    Arc::new(Field::new("item", element, true))
}

/// `MAP<key, value>`
pub fn map_of(key: DataType, value: DataType) -> DataType {
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry(key, value)), false)), false)
}

/// Whether it is a MULTISET: a map from each element to how often it is in it, told by the name of that.
pub fn is_multiset(data_type: &DataType) -> bool {
    let DataType::Map(entries, _) = data_type else { return false };
    matches!(entries.data_type(), DataType::Struct(fields) if fields.get(1).is_some_and(|count| count.name() == "count"))
}

/// The fields of an entry of a MAP.
fn entry(key: DataType, value: DataType) -> Fields {
    Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)])
}

/// `ROW<name type, …>`
pub fn row_of<N: Into<String>>(fields: impl IntoIterator<Item = (N, DataType)>) -> DataType {
    DataType::Struct(fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect())
}

/// Whether it is made of other values.
pub fn is_nested(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::Struct(_) | DataType::Map(..))
}

/// The types of the keys and values of a MAP.
pub fn key_and_value(data_type: &DataType) -> Option<(&DataType, &DataType)> {
    let DataType::Map(entries, _) = data_type else { return None };
    let DataType::Struct(fields) = entries.data_type() else { return None };
    Some((fields.first()?.data_type(), fields.get(1)?.data_type()))
}

/// Whether a MAP is in it.
pub fn has_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => true,
        DataType::List(element) => has_map(element.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_map(field.data_type())),
        _ => false,
    }
}

/// Whether an instant, a `TIMESTAMP_LTZ`, is in it or is it.
pub fn has_instant(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, zone) => zone.is_some(),
        DataType::List(element) => has_instant(element.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_instant(field.data_type())),
        DataType::Map(entries, _) => has_instant(entries.data_type()),
        _ => false,
    }
}

/// The type with what a clock shows in place of instants.
pub(super) fn without_instants(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, None),
        DataType::List(element) => list_of(without_instants(element.data_type())),
        DataType::Struct(fields) => {
            row_of(fields.iter().map(|field| (field.name().clone(), without_instants(field.data_type()))))
        }
        DataType::Map(entries, is_sorted) => {
            let DataType::Struct(fields) = entries.data_type() else { return data_type.clone() };
            let fields = fields.iter().map(|it| it.as_ref().clone().with_data_type(without_instants(it.data_type())));
            let entries = entries.as_ref().clone().with_data_type(DataType::Struct(fields.collect()));
            DataType::Map(Arc::new(entries), *is_sorted)
        }
        other => other.clone(),
    }
}

/// The row of each element that the offsets tell, rows counted from 0.
fn parents(offsets: &[i32]) -> UInt32Array {
    let mut rows = Vec::with_capacity(span(offsets).len());
    for (row, ends) in offsets.windows(2).enumerate() {
        rows.resize(rows.len() + (ends[1] - ends[0]) as usize, row as u32);
    }
    UInt32Array::from(rows)
}

/// All elements that the offsets tell.
fn span(offsets: &[i32]) -> std::ops::Range<usize> {
    let end = |offset: Option<&i32>| offset.map_or(0, |offset| *offset as usize);
    end(offsets.first())..end(offsets.last())
}

/// The same arrays without elements that belong to none of them: behind a NULL, before the first, behind the last. So
/// that a kernel over the elements meets those alone that there are.
fn compact(list: &ListArray) -> Result<ListArray> {
    let offsets = list.value_offsets();
    let hides = |nulls: &NullBuffer| (0..list.len()).any(|row| nulls.is_null(row) && offsets[row] < offsets[row + 1]);
    if !list.nulls().is_some_and(hides) {
        let span = span(offsets);
        if span.len() == list.values().len() {
            return Ok(list.clone());
        }
        let start = span.start as i32;
        let moved = offsets.iter().map(|offset| offset - start).collect::<Vec<_>>();
        let values = list.values().slice(span.start, span.len());
        return lists(OffsetBuffer::new(moved.into()), values, list.nulls().cloned());
    }
    let mut indices = Vec::with_capacity(list.values().len());
    let mut ends = Vec::with_capacity(offsets.len());
    ends.push(0);
    for row in 0..list.len() {
        if list.is_valid(row) {
            indices.extend(offsets[row] as u32..offsets[row + 1] as u32);
        }
        ends.push(indices.len() as i32);
    }
    let values = arrow::compute::take(list.values(), &UInt32Array::from(indices), None)?;
    lists(OffsetBuffer::new(ends.into()), values, list.nulls().cloned())
}

/// Arrays of these elements.
fn lists(offsets: OffsetBuffer<i32>, values: ArrayRef, nulls: Option<NullBuffer>) -> Result<ListArray> {
    Ok(ListArray::try_new(item(values.data_type().clone()), offsets, values, nulls)?)
}

/// Offsets behind lengths, of which the sum must fit into an array.
fn offsets_of(lengths: impl Iterator<Item = usize>) -> Result<OffsetBuffer<i32>> {
    let mut ends = Vec::with_capacity(lengths.size_hint().0 + 1);
    let mut end = 0_usize;
    ends.push(0);
    for length in lengths {
        end += length;
        ends.push(i32::try_from(end).map_err(|_| too_long())?);
    }
    Ok(OffsetBuffer::new(ends.into()))
}

fn too_long() -> Error {
    Error::data("the arrays of one batch have more than 2,147,483,647 elements together")
        .with_help("make batches smaller: SET 'beadline.limit.batch-rows' = '1024'")
}

/// The values, NULL where `nulls` says so besides.
fn masked(values: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return Ok(Arc::clone(values)) };
    let is_null = arrow::array::BooleanArray::new(!nulls.inner(), None);
    Ok(arrow::compute::nullif(values, &is_null)?)
}
