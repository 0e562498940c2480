//! PERCENTILE: which parts of the values are asked for, and how often each value counts.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::aggregation::Arguments;
use super::conversion::cast;
use super::expression::Binder;
use super::typed::Typed;
use crate::error::{Error, Result};
use crate::expressions::{AggregateFunction, evaluate_constant, is_integer, is_numeric, type_name};

impl Binder<'_> {
    /// What stands behind the number: a part from 0 to 1 or an array of them, and perhaps a frequency.
    pub(super) fn percentages(&mut self, more: &[&ast::Expr], distinct: bool) -> Result<Arguments> {
        let (parts, weight) = match more {
            [parts] => (parts, None),
            [parts, weight] => (parts, Some(self.frequency(weight, distinct)?)),
            _ => {
                return Err(Error::query("PERCENTILE takes a number, a part and perhaps a frequency")
                    .with_help("the median: PERCENTILE(x, 0.5)"));
            }
        };
        let constant = match parts {
            ast::Expr::Array(ast::Array { elem, .. }) if !elem.is_empty() => {
                let parts = elem.iter().map(|part| self.percentage(part)).collect::<Result<Vec<f64>>>()?;
                let offsets = OffsetBuffer::from_lengths([parts.len()]);
                let (item, values) = (Field::new("item", DataType::Float64, true), Float64Array::from(parts));
                let list = ListArray::try_new(Arc::new(item), offsets, Arc::new(values) as ArrayRef, None)?;
                ScalarValue::List(Arc::new(list))
            }
            part => ScalarValue::Float64(Some(self.percentage(part)?)),
        };
        Ok(Arguments { argument: None, constant: Some(Expr::Literal(constant, None)), weight })
    }

    fn percentage(&mut self, part: &ast::Expr) -> Result<f64> {
        let bound = self.bind(part)?;
        let wrong = || {
            Error::query(format!("PERCENTILE takes a constant from 0 to 1 as its part, not {part}"))
                .with_help("the median: PERCENTILE(x, 0.5)")
        };
        if !is_numeric(&bound.data_type) {
            return Err(wrong());
        }
        match evaluate_constant(&cast(bound, &DataType::Float64)?.expression) {
            Ok(Some(ScalarValue::Float64(Some(part)))) if (0.0..=1.0).contains(&part) => Ok(part),
            _ => Err(wrong()),
        }
    }

    fn frequency(&mut self, frequency: &ast::Expr, distinct: bool) -> Result<Typed> {
        let bound = self.bind(frequency)?;
        if !is_integer(&bound.data_type) {
            let found = type_name(&bound.data_type);
            return Err(Error::query(format!("the frequency of PERCENTILE is a whole number, not {found}"))
                .with_help("write CAST(… AS BIGINT)"));
        }
        if distinct {
            return Err(Error::query("PERCENTILE over different values has no frequency: each counts once")
                .with_help("write PERCENTILE(DISTINCT x, 0.5)"));
        }
        cast(bound, &DataType::Int64)
    }
}

/// PERCENTILE as it is called: of a DOUBLE, for one part or several. Any other function as it is.
pub(super) fn percentile(
    function: AggregateFunction,
    arguments: &Arguments,
    argument: Option<Typed>,
) -> Result<(AggregateFunction, Option<Typed>)> {
    let AggregateFunction::Percentile { .. } = function else { return Ok((function, argument)) };
    let several = matches!(arguments.constant, Some(Expr::Literal(ScalarValue::List(_), _)));
    let argument = match argument {
        Some(argument) if is_numeric(&argument.data_type) => Some(cast(argument, &DataType::Float64)?),
        other => other,
    };
    Ok((AggregateFunction::Percentile { several }, argument))
}
