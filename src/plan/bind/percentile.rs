//! PERCENTILE and APPROX_PERCENTILE: which parts of the values are asked for, and how often each value counts.

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
use crate::expressions::{AggregateFunction, Call, ROUGHLY, evaluate_constant, is_integer, is_numeric, type_name};

/// The name of the one that rounds.
const APPROXIMATE: &str = "APPROX_PERCENTILE";

impl Binder<'_> {
    /// What stands behind the number: a part from 0 to 1 or an array of them, and perhaps a frequency.
    pub(super) fn percentages(&mut self, name: &str, more: &[&ast::Expr], distinct: bool) -> Result<Arguments> {
        let (parts, weight) = match more {
            _ if distinct && name == APPROXIMATE => {
                return Err(Error::query(format!("{name} rounds numbers, which makes different ones the same"))
                    .with_help("exactly: PERCENTILE(DISTINCT x, 0.5)"));
            }
            [parts] => (parts, None),
            _ if name == APPROXIMATE => {
                return Err(Error::query(format!("{name} takes a number and a part"))
                    .with_help("a frequency has PERCENTILE(x, 0.5, n)"));
            }
            [parts, weight] => (parts, Some(self.frequency(weight, distinct)?)),
            _ => {
                return Err(Error::query("PERCENTILE takes a number, a part and perhaps a frequency")
                    .with_help("the median: PERCENTILE(x, 0.5)"));
            }
        };
        let constant = match parts {
            ast::Expr::Array(ast::Array { elem, .. }) if !elem.is_empty() => {
                let parts = elem.iter().map(|part| self.percentage(name, part)).collect::<Result<Vec<f64>>>()?;
                let offsets = OffsetBuffer::from_lengths([parts.len()]);
                let (item, values) = (Field::new("item", DataType::Float64, true), Float64Array::from(parts));
                let list = ListArray::try_new(Arc::new(item), offsets, Arc::new(values) as ArrayRef, None)?;
                ScalarValue::List(Arc::new(list))
            }
            part => ScalarValue::Float64(Some(self.percentage(name, part)?)),
        };
        Ok(Arguments { argument: None, constant: Some(Expr::Literal(constant, None)), weight })
    }

    fn percentage(&mut self, name: &str, part: &ast::Expr) -> Result<f64> {
        let bound = self.bind(part)?;
        let wrong = || {
            Error::query(format!("{name} takes a constant from 0 to 1 as its part, not {part}"))
                .with_help(format!("the median: {name}(x, 0.5)"))
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

/// PERCENTILE as it is called: of a DOUBLE, for one part or several; APPROX_PERCENTILE is that of rounded numbers. Any
/// other function as it is.
pub(super) fn percentile(
    name: &str,
    function: AggregateFunction,
    arguments: &Arguments,
    argument: Option<Typed>,
) -> Result<(AggregateFunction, Option<Typed>)> {
    let AggregateFunction::Percentile { .. } = function else { return Ok((function, argument)) };
    let several = matches!(arguments.constant, Some(Expr::Literal(ScalarValue::List(_), _)));
    let argument = match argument {
        Some(argument) if is_numeric(&argument.data_type) => {
            let number = cast(argument, &DataType::Float64)?;
            let rounded = || Call::new(&ROUGHLY, DataType::Float64, number.nullable, Vec::new());
            Some(match name {
                APPROXIMATE => Typed::new(rounded().on(vec![number.expression]), DataType::Float64, number.nullable),
                _ => number,
            })
        }
        Some(argument) if name == APPROXIMATE => {
            let found = type_name(&argument.data_type);
            let error = Error::query(format!("{name} takes a number, not {found}"));
            return Err(error.with_help(format!("write {name}(CAST(… AS DOUBLE), 0.5)")));
        }
        other => other,
    };
    Ok((AggregateFunction::Percentile { several }, argument))
}
