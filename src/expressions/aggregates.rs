//! COUNT, SUM, AVG, MIN and MAX with Flink's result types: what planning types them by, and what batch mode runs.
//! Streaming runs operators of its own.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type, i256};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, TypeSignature, Volatility};

use super::arithmetic::rescale_decimal;
use super::types::{is_approximate, is_integer, is_numeric, type_name};
use crate::error::Error;

/// The aggregate function of that (upper-case) name over an argument of that type; `COUNT(*)` has none.
pub fn aggregate(name: &'static str, argument: Option<&DataType>) -> Result<(Arc<AggregateUDF>, DataType), String> {
    let output = aggregate_type(name, argument)?;
    let any = TypeSignature::OneOf(vec![TypeSignature::VariadicAny, TypeSignature::Nullary]);
    let signature = Signature::new(any, Volatility::Immutable);
    let function = AggregateUDF::new_from_impl(Aggregate { name, output: output.clone(), signature });
    Ok((Arc::new(function), output))
}

/// Flink's result type (T1 to T4), or why there is none.
pub fn aggregate_type(name: &str, argument: Option<&DataType>) -> Result<DataType, String> {
    let number = |argument: &DataType| {
        if is_numeric(argument) { Ok(()) } else { Err(format!("it takes a number, not {}", type_name(argument))) }
    };
    match (name, argument) {
        ("COUNT", _) => Ok(DataType::Int64),
        (_, None) => Err("it takes one argument".into()),
        ("SUM", Some(argument)) => {
            number(argument)?;
            Ok(match argument {
                DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
                other => other.clone(),
            })
        }
        ("AVG", Some(argument)) => {
            number(argument)?;
            Ok(match argument {
                DataType::Decimal128(_, scale) => DataType::Decimal128(38, (*scale).max(6)),
                other => other.clone(),
            })
        }
        ("MIN" | "MAX", Some(argument)) => match argument {
            DataType::Boolean | DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..) => Ok(argument.clone()),
            DataType::Time32(_) | DataType::Time64(_) => Ok(argument.clone()),
            other if is_numeric(other) => Ok(other.clone()),
            other => Err(format!("it does not take {}", type_name(other))),
        },
        _ => Err("it is not built yet".into()),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Aggregate {
    name: &'static str,
    output: DataType,
    signature: Signature,
}

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.output.clone())
    }

    fn is_nullable(&self) -> bool {
        self.name != "COUNT"
    }

    fn default_value(&self, data_type: &DataType) -> DataFusionResult<ScalarValue> {
        if self.name == "COUNT" { Ok(ScalarValue::Int64(Some(0))) } else { ScalarValue::try_from(data_type) }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        let input = arguments.expr_fields.first().map(|field| field.data_type().clone());
        let keep = match (self.name, input) {
            ("COUNT", _) => Keep::Count(0),
            ("MIN", _) => Keep::Extreme { best: ScalarValue::try_from(&self.output)?, least: true },
            ("MAX", _) => Keep::Extreme { best: ScalarValue::try_from(&self.output)?, least: false },
            (name, Some(input)) => Keep::Total { average: name == "AVG", count: 0, total: Total::of(&input) },
            (name, None) => return Err(DataFusionError::Internal(format!("{name} without an argument"))),
        };
        Ok(Box::new(Accumulated { keep, output: self.output.clone() }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        let field =
            |suffix: &str, data_type| Arc::new(Field::new(format!("{}[{suffix}]", arguments.name), data_type, true));
        Ok(match self.name {
            "COUNT" => vec![field("count", DataType::Int64)],
            "MIN" | "MAX" => vec![field("best", self.output.clone())],
            _ => {
                let input = arguments.input_fields.first().map_or(DataType::Int64, |field| field.data_type().clone());
                let mut fields = vec![field("count", DataType::Int64)];
                fields.extend(Total::of(&input).types().into_iter().map(|data_type| field("total", data_type)));
                fields
            }
        })
    }
}

#[derive(Debug)]
struct Accumulated {
    keep: Keep,
    output: DataType,
}

#[derive(Debug)]
enum Keep {
    Count(i64),
    Extreme { best: ScalarValue, least: bool },
    Total { average: bool, count: i64, total: Total },
}

#[derive(Debug)]
enum Total {
    /// Wrapping.
    Integer(i64),
    /// Neumaier's compensated sum.
    Float { sum: f64, compensation: f64 },
    /// At a scale; beyond 38 digits there is no sum.
    Decimal { sum: i256, scale: i8 },
}

impl Total {
    fn of(input: &DataType) -> Self {
        match input {
            DataType::Decimal128(_, scale) => Self::Decimal { sum: i256::ZERO, scale: *scale },
            input if is_approximate(input) => Self::Float { sum: 0.0, compensation: 0.0 },
            _ => Self::Integer(0),
        }
    }

    fn types(&self) -> Vec<DataType> {
        match self {
            Self::Integer(_) => vec![DataType::Int64],
            Self::Float { .. } => vec![DataType::Float64; 2],
            Self::Decimal { scale, .. } => vec![DataType::Decimal256(76, *scale)],
        }
    }

    fn add_float(&mut self, value: f64) {
        let Self::Float { sum, compensation } = self else {
            return;
        };
        let total = *sum + value;
        let lost = if sum.abs() >= value.abs() { (*sum - total) + value } else { (value - total) + *sum };
        // Infinities leave no difference worth keeping.
        if lost.is_finite() {
            *compensation += lost;
        }
        *sum = total;
    }
}

impl Accumulator for Accumulated {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let column = values.first();
        match &mut self.keep {
            Keep::Count(rows) => {
                *rows += column.map_or(0, |column| (column.len() - column.logical_null_count()) as i64);
            }
            Keep::Extreme { best, least } => {
                let Some(column) = column else { return Ok(()) };
                for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
                    better(best, ScalarValue::try_from_array(column, row)?, *least);
                }
            }
            Keep::Total { count, total, .. } => {
                let Some(column) = column else { return Ok(()) };
                *count += (column.len() - column.null_count()) as i64;
                match total {
                    Total::Integer(sum) => {
                        let wide = arrow::compute::cast(column, &DataType::Int64)?;
                        let wide = wide.as_primitive::<Int64Type>();
                        *sum = wide.iter().flatten().fold(*sum, i64::wrapping_add);
                    }
                    Total::Float { .. } => {
                        let wide = arrow::compute::cast(column, &DataType::Float64)?;
                        wide.as_primitive::<Float64Type>().iter().flatten().for_each(|value| total.add_float(value));
                    }
                    Total::Decimal { sum, .. } => {
                        let column = column.as_primitive::<Decimal128Type>();
                        *sum =
                            column.iter().flatten().fold(*sum, |sum, value| sum.wrapping_add(i256::from_i128(value)));
                    }
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        match &self.keep {
            Keep::Count(rows) => Ok(ScalarValue::Int64(Some(*rows))),
            Keep::Extreme { best, .. } => Ok(best.clone()),
            Keep::Total { count: 0, .. } => ScalarValue::try_from(&self.output),
            Keep::Total { average, count, total } => match total {
                Total::Integer(sum) => {
                    let value = if *average { sum.wrapping_div(*count) } else { *sum };
                    wrapped(value, &self.output)
                }
                Total::Float { sum, compensation } => {
                    let sum = if sum.is_finite() { sum + compensation } else { *sum };
                    let value = if *average { sum / *count as f64 } else { sum };
                    Ok(match self.output {
                        DataType::Float32 => ScalarValue::Float32(Some(value as f32)),
                        _ => ScalarValue::Float64(Some(value)),
                    })
                }
                Total::Decimal { sum, scale } => {
                    let DataType::Decimal128(precision, wanted) = self.output else {
                        return Err(external("a DECIMAL sum that is no DECIMAL"));
                    };
                    let sum = sum.to_i128().and_then(|sum| rescale_decimal(sum, *scale, *scale, 38));
                    let value = match (sum, average) {
                        (Some(sum), true) => super::arithmetic::divide_decimal(sum, *count, *scale, wanted, precision),
                        (sum, _) => sum,
                    };
                    Ok(ScalarValue::Decimal128(value, precision, wanted))
                }
            },
        }
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(match &self.keep {
            Keep::Count(rows) => vec![ScalarValue::Int64(Some(*rows))],
            Keep::Extreme { best, .. } => vec![best.clone()],
            Keep::Total { count, total, .. } => {
                let mut state = vec![ScalarValue::Int64(Some(*count))];
                match total {
                    Total::Integer(sum) => state.push(ScalarValue::Int64(Some(*sum))),
                    Total::Float { sum, compensation } => {
                        state.extend([*sum, *compensation].map(|part| ScalarValue::Float64(Some(part))));
                    }
                    Total::Decimal { sum, scale } => state.push(ScalarValue::Decimal256(Some(*sum), 76, *scale)),
                }
                state
            }
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let rows = states.first().map_or(0, |column| column.len());
        for row in 0..rows {
            let part = |index: usize| ScalarValue::try_from_array(&states[index], row);
            match &mut self.keep {
                Keep::Count(sum) => *sum += integer(&part(0)?)?,
                Keep::Extreme { best, least } => better(best, part(0)?, *least),
                Keep::Total { count, total, .. } => {
                    *count += integer(&part(0)?)?;
                    match total {
                        Total::Integer(sum) => *sum = sum.wrapping_add(integer(&part(1)?)?),
                        Total::Float { .. } => {
                            for index in [1, 2] {
                                let ScalarValue::Float64(Some(value)) = part(index)? else {
                                    return Err(external("a float state that is none"));
                                };
                                total.add_float(value);
                            }
                        }
                        Total::Decimal { sum, .. } => {
                            let ScalarValue::Decimal256(Some(value), ..) = part(1)? else {
                                return Err(external("a decimal state that is none"));
                            };
                            *sum = sum.wrapping_add(value);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn better(best: &mut ScalarValue, value: ScalarValue, least: bool) {
    let replaces = match value.partial_cmp(best) {
        _ if value.is_null() => false,
        _ if best.is_null() => true,
        Some(order) => order == if least { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater },
        None => false,
    };
    if replaces {
        *best = value;
    }
}

fn integer(value: &ScalarValue) -> DataFusionResult<i64> {
    match value {
        ScalarValue::Int64(Some(value)) => Ok(*value),
        other => Err(external(format!("a count that is {other}"))),
    }
}

/// A sum in the argument's own type: the low bits.
fn wrapped(value: i64, output: &DataType) -> DataFusionResult<ScalarValue> {
    Ok(match output {
        DataType::Int8 => ScalarValue::Int8(Some(value as i8)),
        DataType::Int16 => ScalarValue::Int16(Some(value as i16)),
        DataType::Int32 => ScalarValue::Int32(Some(value as i32)),
        output if is_integer(output) => ScalarValue::Int64(Some(value)),
        other => return Err(external(format!("a whole sum as {other}"))),
    })
}

fn external(message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(Error::bug(message)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Float64Array, Int32Array};

    fn run(name: &'static str, values: &ArrayRef) -> ScalarValue {
        let (function, output) = aggregate(name, Some(values.data_type())).unwrap();
        let field: FieldRef = Arc::new(Field::new("x", values.data_type().clone(), true));
        let schema = arrow::datatypes::Schema::new(vec![field.as_ref().clone()]);
        let arguments = || AccumulatorArgs {
            return_field: Arc::new(Field::new("r", output.clone(), true)),
            schema: &schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: "r",
            is_distinct: false,
            exprs: &[],
            expr_fields: std::slice::from_ref(&field),
        };
        // Two halves, merged: as two-phase aggregation does it.
        let half = values.len() / 2;
        let mut whole = function.accumulator(arguments()).unwrap();
        for part in [values.slice(0, half), values.slice(half, values.len() - half)] {
            let mut partial = function.accumulator(arguments()).unwrap();
            partial.update_batch(&[part]).unwrap();
            let state: Vec<_> = partial.state().unwrap().iter().map(|value| value.to_array().unwrap()).collect();
            whole.merge_batch(&state).unwrap();
        }
        whole.evaluate().unwrap()
    }

    #[test]
    fn t1_t2_whole_numbers_keep_their_type_and_wrap() {
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), None]));
        assert_eq!(run("AVG", &values), ScalarValue::Int32(Some(1)));
        let values: ArrayRef = Arc::new(Int32Array::from(vec![i32::MAX, i32::MAX]));
        assert_eq!(run("SUM", &values), ScalarValue::Int32(Some(-2)));
        assert_eq!(run("AVG", &values), ScalarValue::Int32(Some(i32::MAX)));
    }

    #[test]
    fn t3_t4_decimals_and_counts() {
        let values: ArrayRef =
            Arc::new(Decimal128Array::from(vec![100, 100, 101]).with_precision_and_scale(5, 2).unwrap());
        assert_eq!(run("SUM", &values), ScalarValue::Decimal128(Some(301), 38, 2));
        assert_eq!(run("AVG", &values), ScalarValue::Decimal128(Some(1_003_333), 38, 6));
        assert_eq!(run("MAX", &values), ScalarValue::Decimal128(Some(101), 5, 2));
        let values: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(1), None]));
        assert_eq!(run("COUNT", &values), ScalarValue::Int64(Some(1)));
    }

    #[test]
    fn t20_nothing_has_no_sum_and_floats_are_compensated() {
        let values: ArrayRef = Arc::new(Int32Array::from(vec![None, None]));
        assert_eq!(run("SUM", &values), ScalarValue::Int32(None));
        let values: ArrayRef = Arc::new(Float64Array::from(vec![1e100, 1.0, -1e100, 1.0]));
        assert_eq!(run("SUM", &values), ScalarValue::Float64(Some(2.0)));
        assert!(aggregate("SUM", Some(&DataType::Utf8)).is_err());
    }
}
