//! Kernels on arrays that lie as the engine makes them: sliced, with elements behind a NULL, against plain Rust values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StringArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Int32Type};
use proptest::prelude::*;

use super::equality::not_distinct;
use super::*;
use crate::expressions::cast_values;
use crate::expressions::function::{Call, Function};
use crate::expressions::types::type_name;

type Row = Option<Vec<Option<i32>>>;

fn call(function: &'static Function, output: DataType, arguments: &[ArrayRef], rows: usize) -> ArrayRef {
    (function.body)(&Call::new(function, output, true, vec![0]), arguments, rows).unwrap()
}

fn list(rows: &[Row]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows.iter().cloned()))
}

/// `[1, 2]`, NULL with an element behind it, `[4, 5, 6]`; a row before them is cut off.
fn odd() -> ListArray {
    let values: ArrayRef = Arc::new(Int32Array::from(vec![9, 1, 2, 3, 4, 5, 6]));
    let offsets = OffsetBuffer::new(vec![0, 1, 3, 4, 7].into());
    let nulls = NullBuffer::from(vec![true, true, false, true]);
    ListArray::new(Arc::new(Field::new("item", DataType::Int32, true)), offsets, values, Some(nulls)).slice(1, 3)
}

#[test]
fn elements_of_a_slice_are_found_and_those_behind_a_null_are_not() {
    let rows: ArrayRef = Arc::new(odd());
    let first = call(&ITEM, DataType::Int32, &[Arc::clone(&rows), Arc::new(Int32Array::from(vec![1]))], 3);
    assert_eq!(first.as_primitive::<Int32Type>(), &Int32Array::from(vec![Some(1), None, Some(4)]));
    let indices: ArrayRef = Arc::new(Int32Array::from(vec![3, 1, 3]));
    let third = call(&ITEM, DataType::Int32, &[rows, indices], 3);
    assert_eq!(third.as_primitive::<Int32Type>(), &Int32Array::from(vec![None, None, Some(6)]));
}

#[test]
fn compact_lists_hold_their_elements_alone() {
    let compact = compact(&odd()).unwrap();
    assert_eq!(compact.values().as_primitive::<Int32Type>(), &Int32Array::from(vec![1, 2, 4, 5, 6]));
    assert_eq!(compact, odd());
}

#[test]
fn what_lies_behind_a_null_does_not_fail_a_cast() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x", "1", "no"]));
    let offsets = OffsetBuffer::new(vec![0, 1, 2, 3].into());
    let nulls = Some(NullBuffer::from(vec![false, true, false]));
    let lists = ListArray::new(Arc::new(Field::new("item", DataType::Utf8, true)), offsets, Arc::clone(&texts), nulls);
    let lists: ArrayRef = Arc::new(lists);
    let cast = cast_values(&lists, &list_of(DataType::Int32)).unwrap();
    assert_eq!(cast.as_list::<i32>().value(1).as_primitive::<Int32Type>(), &Int32Array::from(vec![1]));
    let fields = vec![Field::new("a", DataType::Utf8, true)].into();
    let rows = StructArray::new(fields, vec![texts], Some(NullBuffer::from(vec![false, true, false])));
    let rows: ArrayRef = Arc::new(rows);
    let cast = cast_values(&rows, &row_of([("b", DataType::Int32)])).unwrap();
    assert_eq!((cast.null_count(), type_name(cast.data_type())), (2, "ROW<`b` INT>".to_owned()));
}

#[test]
fn a_field_of_no_row_is_null() {
    let fields = vec![Field::new("a", DataType::Int32, true)].into();
    let column: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let rows: ArrayRef = Arc::new(StructArray::new(fields, vec![column], Some(NullBuffer::from(vec![true, false]))));
    let field = call(&FIELD, DataType::Int32, &[rows], 2);
    assert_eq!(field.as_primitive::<Int32Type>(), &Int32Array::from(vec![Some(1), None]));
}

fn rows() -> impl Strategy<Value = Vec<(Row, Row)>> {
    let row = || prop::option::of(prop::collection::vec(prop::option::of(0..3_i32), 0..3));
    prop::collection::vec((row(), row()), 1..20)
}

proptest! {
    #[test]
    fn arrays_are_equal_as_values_are(rows in rows()) {
        let (left, right): (Vec<Row>, Vec<Row>) = rows.iter().cloned().unzip();
        let same = not_distinct(&list(&left), &list(&right)).unwrap();
        let expected: Vec<bool> = rows.iter().map(|(left, right)| left == right).collect();
        prop_assert_eq!(same.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn maps_are_equal_in_any_order_and_the_last_value_of_a_key_counts(rows in rows()) {
        use std::collections::BTreeMap;
        let entries = |row: &Row| -> Vec<(i32, i32)> {
            row.iter().flatten().enumerate().map(|(index, key)| (key.unwrap_or(7), index as i32)).collect()
        };
        let made = |reversed: bool| {
            let all = rows.iter().map(|(row, _)| {
                let mut entries: Vec<_> = entries(row).into_iter().collect::<BTreeMap<_, _>>().into_iter().collect();
                if reversed {
                    entries.reverse();
                }
                entries
            });
            let all: Vec<Vec<(i32, i32)>> = all.collect();
            let offsets = offsets_of(all.iter().map(Vec::len)).unwrap();
            let keys: ArrayRef = Arc::new(all.iter().flatten().map(|entry| entry.0).collect::<Int32Array>());
            let values: ArrayRef = Arc::new(all.iter().flatten().map(|entry| entry.1).collect::<Int32Array>());
            entries::deduplicated(&offsets, &keys, &values, None).unwrap()
        };
        let raw: Vec<Vec<(i32, i32)>> = rows.iter().map(|(row, _)| entries(row)).collect();
        let offsets = offsets_of(raw.iter().map(Vec::len)).unwrap();
        let keys: ArrayRef = Arc::new(raw.iter().flatten().map(|entry| entry.0).collect::<Int32Array>());
        let values: ArrayRef = Arc::new(raw.iter().flatten().map(|entry| entry.1).collect::<Int32Array>());
        let repeated = entries::deduplicated(&offsets, &keys, &values, None).unwrap();
        for other in [made(false), made(true)] {
            prop_assert!(not_distinct(&repeated, &other).unwrap().iter().all(|same| same));
        }
    }
}

/// All pieces of what is unnested: parents, elements, numbers.
fn pieces(array: &ArrayRef, unnest: &Unnest, most: usize) -> Vec<(u32, Option<i32>, Option<i32>)> {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..array.len()).map(|row| "x".repeat(row))));
    let mut unnesting = Unnesting::new(vec![texts], array, unnest).unwrap();
    let mut all = Vec::new();
    while let Some(piece) = unnesting.next(most).unwrap() {
        assert!((1..=most).contains(&piece.parents.len()));
        let (elements, numbers) = (piece.columns[0].as_primitive::<Int32Type>(), piece.columns[1].as_primitive());
        let texts = piece.kept[0].as_string::<i32>();
        for (row, parent) in piece.parents.values().iter().enumerate() {
            assert_eq!(texts.value(row).len(), *parent as usize);
            let number: &Int32Array = numbers;
            let optional = |array: &Int32Array| array.is_valid(row).then(|| array.value(row));
            all.push((*parent, optional(elements), optional(number)));
        }
    }
    all
}

#[test]
fn a_wide_row_leaves_in_small_pieces() {
    let array = list(&[Some(vec![Some(1); 1_000])]);
    let wide: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20)]));
    let mut unnesting = Unnesting::new(vec![wide], &array, &Unnest::default()).unwrap();
    let mut rows = 0;
    while let Some(piece) = unnesting.next(8192).unwrap() {
        assert!(piece.parents.len() <= 4, "{} rows of a megabyte", piece.parents.len());
        rows += piece.parents.len();
    }
    assert_eq!(rows, 1_000);
}

proptest! {
    #[test]
    fn unnesting_is_a_loop_over_elements(rows in rows(), is_outer in any::<bool>(), most in 1..9_usize) {
        let rows: Vec<Row> = rows.into_iter().map(|(row, _)| row).collect();
        let mut expected = Vec::new();
        for (parent, row) in rows.iter().enumerate() {
            let elements = row.clone().unwrap_or_default();
            if elements.is_empty() && is_outer {
                expected.push((parent as u32, None, None));
            }
            expected.extend(elements.into_iter().enumerate().map(|(at, it)| (parent as u32, it, Some(at as i32 + 1))));
        }
        let unnest = Unnest { is_outer, with_ordinality: true, condition: None };
        prop_assert_eq!(pieces(&list(&rows), &unnest, most), expected);
    }
}
