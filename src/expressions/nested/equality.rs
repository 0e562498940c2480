//! `=` and `<>` of rows, arrays and maps. A NULL inside equals a NULL; the order of a map's entries does not matter.
//!
//! Compared column by column, whatever lies how deep: of two arrays of one length the elements are put side by side, and
//! compared as one column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::logical_expr::Operator;

use super::entries::canonical;
use crate::error::Result;
use crate::expressions::function::{Function, Style};
use crate::expressions::typing::never;

/// The function behind an operator that compares two values of one nested type, if Flink has it.
pub fn comparison(operator: Operator) -> Option<&'static Function> {
    Some(match operator {
        Operator::Eq => &EQUAL,
        Operator::NotEq => &NOT_EQUAL,
        Operator::IsDistinctFrom => &DISTINCT,
        Operator::IsNotDistinctFrom => &NOT_DISTINCT,
        _ => return None,
    })
}

static EQUAL: Function = Function {
    style: Style::Infix("="),
    ..Function::strict("EQUAL NESTED", "", never, |_, a, _| compared(&a[0], &a[1], false))
};

static NOT_EQUAL: Function = Function {
    style: Style::Infix("<>"),
    ..Function::strict("NOT EQUAL NESTED", "", never, |_, a, _| compared(&a[0], &a[1], true))
};

static DISTINCT: Function = Function {
    style: Style::Infix("IS DISTINCT FROM"),
    ..Function::strict("DISTINCT NESTED", "", never, |_, a, _| {
        Ok(Arc::new(BooleanArray::new(!&not_distinct(&a[0], &a[1])?, None)))
    })
};

static NOT_DISTINCT: Function = Function {
    style: Style::Infix("IS NOT DISTINCT FROM"),
    ..Function::strict("NOT DISTINCT NESTED", "", never, |_, a, _| {
        Ok(Arc::new(BooleanArray::new(not_distinct(&a[0], &a[1])?, None)))
    })
};

fn compared(left: &ArrayRef, right: &ArrayRef, negated: bool) -> Result<ArrayRef> {
    let equal = not_distinct(left, right)?;
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    Ok(Arc::new(BooleanArray::new(if negated { !&equal } else { equal }, nulls)))
}

/// Of two columns of one type, which rows have the same value, or both none.
pub fn not_distinct(left: &ArrayRef, right: &ArrayRef) -> Result<BooleanBuffer> {
    debug_assert_eq!(left.len(), right.len(), "one row of each side");
    let equal = match left.data_type() {
        DataType::Struct(_) => {
            let (left, right) = (left.as_struct(), right.as_struct());
            let mut equal = BooleanBuffer::new_set(left.len());
            for (one, other) in left.columns().iter().zip(right.columns()) {
                equal = &equal & &not_distinct(one, other)?;
            }
            equal
        }
        DataType::List(_) => same_elements(left.as_list(), right.as_list())?,
        DataType::Map(..) => {
            let (left, right) = (canonical(left)?, canonical(right)?);
            let list = |map: &ArrayRef| {
                let map = map.as_map();
                let entries: ArrayRef = Arc::new(map.entries().clone());
                super::lists(map.offsets().clone(), entries, map.nulls().cloned())
            };
            same_elements(&list(&left)?, &list(&right)?)?
        }
        DataType::Float32 => {
            let (left, right) = (left.as_primitive::<Float32Type>(), right.as_primitive::<Float32Type>());
            BooleanBuffer::collect_bool(left.len(), |row| left.value(row) == right.value(row))
        }
        DataType::Float64 => {
            let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
            BooleanBuffer::collect_bool(left.len(), |row| left.value(row) == right.value(row))
        }
        _ => return Ok(arrow::compute::kernels::cmp::not_distinct(left, right)?.into_parts().0),
    };
    Ok(match (left.nulls(), right.nulls()) {
        (None, None) => equal,
        (Some(nulls), None) | (None, Some(nulls)) => &equal & nulls.inner(),
        (Some(one), Some(other)) => {
            let both = one.inner() & other.inner();
            let neither = &!one.inner() & &!other.inner();
            &(&equal & &both) | &neither
        }
    })
}

fn same_elements(left: &ListArray, right: &ListArray) -> Result<BooleanBuffer> {
    let (ones, others) = (left.value_offsets(), right.value_offsets());
    let mut equal = vec![false; left.len()];
    // The elements of rows of one length, and where those of each begin.
    let (mut of_left, mut of_right, mut compared) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..left.len() {
        let length = ones[row + 1] - ones[row];
        if left.is_valid(row) && right.is_valid(row) && length == others[row + 1] - others[row] {
            compared.push((row, of_left.len()..of_left.len() + length as usize));
            of_left.extend(ones[row] as u32..ones[row + 1] as u32);
            of_right.extend(others[row] as u32..others[row + 1] as u32);
        }
    }
    let elements =
        |list: &ListArray, places: Vec<u32>| arrow::compute::take(list.values(), &UInt32Array::from(places), None);
    let same = not_distinct(&elements(left, of_left)?, &elements(right, of_right)?)?;
    for (row, range) in compared {
        equal[row] = same.slice(range.start, range.len()).count_set_bits() == range.len();
    }
    Ok(BooleanBuffer::from(equal))
}
