//! GREATEST and LEAST: one of several values of a common type, NULL if one of them is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::cmp::{gt, lt};
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::DataType;

use super::function::Function;
use super::types::{common_type, type_name};
use super::typing::{Argument, Typing};
use crate::error::Result;

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict("GREATEST", "GREATEST(value, …): the greatest; NULL if one is NULL", one_type, |_, a, _| {
        chosen(a, true)
    })
    .example("GREATEST(1, 3, 2)", "3"),
    Function::strict("LEAST", "LEAST(value, …): the least; NULL if one is NULL", one_type, |_, a, _| {
        chosen(a, false)
    })
    .example("LEAST(3, 1, 2)", "1"),
];

fn one_type(arguments: &[Argument]) -> Result<Typing, String> {
    let Some(first) = arguments.first() else { return Err("it takes at least one argument".into()) };
    let mut common = first.data_type.clone();
    for argument in arguments {
        common = common_type(&common, &argument.data_type).ok_or_else(|| {
            format!("its arguments have no common type: {} and {}", type_name(&common), type_name(&argument.data_type))
        })?;
    }
    if matches!(common, DataType::List(_) | DataType::Struct(_) | DataType::Map(..)) {
        return Err(format!("it does not compare {}", type_name(&common)));
    }
    Ok(Typing::new(vec![common.clone(); arguments.len()], common))
}

fn chosen(arguments: &[ArrayRef], greatest: bool) -> Result<ArrayRef> {
    let mut best = Arc::clone(&arguments[0]);
    let mut nulls = best.logical_nulls();
    for next in &arguments[1..] {
        let better = if greatest { gt(next, &best)? } else { lt(next, &best)? };
        nulls = NullBuffer::union(nulls.as_ref(), next.logical_nulls().as_ref());
        best = zip(&better, next, &best)?;
    }
    let Some(nulls) = nulls else { return Ok(best) };
    let is_null = BooleanArray::new(!nulls.inner(), None);
    Ok(arrow::compute::nullif(&best, &is_null)?)
}
