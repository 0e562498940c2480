//! Arithmetic where Arrow's differs from Flink's: whole numbers that divide and wrap as in Java, DECIMAL with Flink's
//! precision and scale (rounded half up, NULL where it does not fit), and times moved by an interval.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, PrimitiveArray};
use arrow::compute::{binary, try_binary};
use arrow::datatypes::{ArrowNativeTypeOp, DataType, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, i256};

use super::floats;
use super::function::{Call, Function, Style};
use super::types::{ArithmeticOperator, as_decimal};
use super::typing::never;
use crate::error::{Error, Result};

/// The function behind an operator whose result has that type; both sides have the types that [`is_native`] refuses.
pub fn function(operator: ArithmeticOperator, output: &DataType) -> &'static Function {
    if matches!(output, DataType::Float32 | DataType::Float64) {
        return floats::arithmetic(operator);
    }
    match operator {
        ArithmeticOperator::Plus => &PLUS,
        ArithmeticOperator::Minus => &MINUS,
        ArithmeticOperator::Multiply => &MULTIPLY,
        ArithmeticOperator::Divide => &DIVIDE,
        ArithmeticOperator::Modulo => &MODULO,
    }
}

/// Whether Arrow's own kernel does what Flink does: `+ - *` of whole numbers, which wrap.
pub fn is_native(operator: ArithmeticOperator, output: &DataType) -> bool {
    match output {
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => false,
        _ => !matches!(operator, ArithmeticOperator::Divide | ArithmeticOperator::Modulo),
    }
}

static PLUS: Function = operator_function("PLUS", "+", false);
static MINUS: Function = operator_function("MINUS", "-", false);
static MULTIPLY: Function = operator_function("TIMES", "*", false);
static DIVIDE: Function = operator_function("DIVIDE", "/", true);
static MODULO: Function = operator_function("MODULO", "%", true);

const fn operator_function(name: &'static str, symbol: &'static str, fallible: bool) -> Function {
    Function { fallible, style: Style::Infix(symbol), ..Function::strict(name, "", never, evaluate) }
}

/// What an operand of DECIMAL arithmetic is cast to: itself as a DECIMAL.
pub fn operand(data_type: DataType) -> DataType {
    as_decimal(&data_type).map_or(data_type, |(precision, scale)| DataType::Decimal128(precision, scale))
}

fn evaluate(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let (left, right) = (&arguments[0], &arguments[1]);
    let operator = match call.function.style {
        Style::Infix("+") => ArithmeticOperator::Plus,
        Style::Infix("-") => ArithmeticOperator::Minus,
        Style::Infix("*") => ArithmeticOperator::Multiply,
        Style::Infix("/") => ArithmeticOperator::Divide,
        _ => ArithmeticOperator::Modulo,
    };
    match &call.output {
        DataType::Int8 => integers::<Int8Type>(operator, left, right),
        DataType::Int16 => integers::<Int16Type>(operator, left, right),
        DataType::Int32 => integers::<Int32Type>(operator, left, right),
        DataType::Int64 => integers::<Int64Type>(operator, left, right),
        DataType::Decimal128(precision, scale) => decimals(operator, left, right, *precision, *scale),
        other => Err(Error::bug(format!("arithmetic on {other}"))),
    }
}

/// Division and remainder as in Java: towards zero, the remainder with the dividend's sign, the least number over -1
/// wraps.
fn integers<T: ArrowPrimitiveType>(
    operator: ArithmeticOperator,
    left: &ArrayRef,
    right: &ArrayRef,
) -> Result<ArrayRef> {
    let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
    let result: PrimitiveArray<T> = match operator {
        ArithmeticOperator::Divide => try_binary(left, right, |a, b| {
            if b.is_zero() { Err(arrow::error::ArrowError::DivideByZero) } else { Ok(a.div_wrapping(b)) }
        })?,
        ArithmeticOperator::Modulo => try_binary(left, right, |a, b| {
            if b.is_zero() { Err(arrow::error::ArrowError::DivideByZero) } else { Ok(a.mod_wrapping(b)) }
        })?,
        ArithmeticOperator::Plus => binary(left, right, |a, b| a.add_wrapping(b))?,
        ArithmeticOperator::Minus => binary(left, right, |a, b| a.sub_wrapping(b))?,
        ArithmeticOperator::Multiply => binary(left, right, |a, b| a.mul_wrapping(b))?,
    };
    Ok(Arc::new(result))
}

/// Exact in 256 bits, then rounded half up to the result's scale; NULL where the result does not fit.
fn decimals(
    operator: ArithmeticOperator,
    left: &ArrayRef,
    right: &ArrayRef,
    precision: u8,
    scale: i8,
) -> Result<ArrayRef> {
    let (left_scale, right_scale) = (decimal_scale(left)?, decimal_scale(right)?);
    let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
    let fine = left_scale.max(right_scale);
    let compute = |a: i128, b: i128| -> Result<Option<i128>> {
        let (a, b) = (i256::from_i128(a), i256::from_i128(b));
        let aligned = || Some((scale_up(a, fine - left_scale)?, scale_up(b, fine - right_scale)?));
        let exact = match operator {
            ArithmeticOperator::Plus => aligned().and_then(|(a, b)| rescale(a.checked_add(b)?, fine, scale)),
            ArithmeticOperator::Minus => aligned().and_then(|(a, b)| rescale(a.checked_sub(b)?, fine, scale)),
            ArithmeticOperator::Multiply => a.checked_mul(b).and_then(|c| rescale(c, left_scale + right_scale, scale)),
            ArithmeticOperator::Modulo | ArithmeticOperator::Divide if b == i256::ZERO => {
                return Err(Error::division_by_zero());
            }
            ArithmeticOperator::Modulo => aligned().and_then(|(a, b)| rescale(a.checked_rem(b)?, fine, scale)),
            // a / 10^s1 / (b / 10^s2) = a * 10^(scale + s2 - s1) / b / 10^scale
            ArithmeticOperator::Divide => {
                let shift = scale + right_scale - left_scale;
                if shift >= 0 {
                    scale_up(a, shift).and_then(|a| divide_half_up(a, b))
                } else {
                    scale_up(b, -shift).and_then(|b| divide_half_up(a, b))
                }
            }
        };
        Ok(exact.and_then(i256::to_i128).filter(|value| fits(*value, precision)))
    };
    let mut result = Vec::with_capacity(left.len());
    for row in 0..left.len() {
        let value =
            if left.is_null(row) || right.is_null(row) { None } else { compute(left.value(row), right.value(row))? };
        result.push(value);
    }
    Ok(Arc::new(Decimal128Array::from(result).with_precision_and_scale(precision, scale)?))
}

fn decimal_scale(array: &ArrayRef) -> Result<i8> {
    match array.data_type() {
        DataType::Decimal128(_, scale) => Ok(*scale),
        other => Err(Error::bug(format!("decimal arithmetic on {other}"))),
    }
}

/// Whether a DECIMAL's unscaled value has at most that many digits.
pub(super) fn fits(value: i128, precision: u8) -> bool {
    10_i128.checked_pow(u32::from(precision)).is_none_or(|limit| value > -limit && value < limit)
}

fn power(exponent: i8) -> Option<i256> {
    i256::from_i128(10).checked_pow(u32::try_from(exponent).ok()?)
}

fn scale_up(value: i256, by: i8) -> Option<i256> {
    if by == 0 { Some(value) } else { value.checked_mul(power(by)?) }
}

/// Moves an unscaled value from one scale to another, rounding half up (away from zero).
fn rescale(value: i256, from: i8, to: i8) -> Option<i256> {
    if to >= from { scale_up(value, to - from) } else { divide_half_up(value, power(from - to)?) }
}

fn divide_half_up(numerator: i256, denominator: i256) -> Option<i256> {
    let quotient = numerator.checked_div(denominator)?;
    let remainder = numerator.checked_rem(denominator)?;
    let twice = remainder.wrapping_abs().checked_mul(i256::from_i128(2))?;
    if twice < denominator.wrapping_abs() {
        return Some(quotient);
    }
    let away = if numerator.is_negative() == denominator.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    quotient.checked_add(away)
}

/// The same for values of 128 bits; `None` where it does not fit.
pub(super) fn rescale_decimal(value: i128, from: i8, to: i8, precision: u8) -> Option<i128> {
    rescale(i256::from_i128(value), from, to).and_then(i256::to_i128).filter(|value| fits(*value, precision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expressions::types::arithmetic_type;
    use arrow::array::Int32Array;

    fn run(operator: ArithmeticOperator, left: ArrayRef, right: ArrayRef) -> Result<ArrayRef> {
        let output = arithmetic_type(operator, left.data_type(), right.data_type()).unwrap();
        let rows = left.len();
        evaluate(&Call::new(function(operator, &output), output, true, Vec::new()), &[left, right], rows)
    }

    fn integers_of(values: &[i32]) -> ArrayRef {
        Arc::new(Int32Array::from(values.to_vec()))
    }

    fn decimals_of(values: &[i128], precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap())
    }

    #[test]
    fn t5_t7_integers_divide_towards_zero_and_keep_the_dividends_sign() {
        let (left, right) = (integers_of(&[7, -7, 7, -7, i32::MIN]), integers_of(&[2, 2, -2, -2, -1]));
        let quotient = run(ArithmeticOperator::Divide, Arc::clone(&left), Arc::clone(&right)).unwrap();
        assert_eq!(quotient.as_primitive::<Int32Type>().values(), &[3, -3, -3, 3, i32::MIN]);
        let remainder = run(ArithmeticOperator::Modulo, left, right).unwrap();
        assert_eq!(remainder.as_primitive::<Int32Type>().values(), &[1, -1, 1, -1, 0]);
        let error = run(ArithmeticOperator::Divide, integers_of(&[1]), integers_of(&[0])).unwrap_err();
        assert_eq!(error.message(), "division by zero");
    }

    #[test]
    fn t5_decimals_divide_half_up_at_flinks_scale() {
        let quotient =
            run(ArithmeticOperator::Divide, decimals_of(&[500, 100], 5, 2), decimals_of(&[200, 300], 5, 2)).unwrap();
        assert_eq!(quotient.data_type(), &DataType::Decimal128(13, 8));
        assert_eq!(quotient.as_primitive::<Decimal128Type>().values(), &[250_000_000, 33_333_333]);
        let sum = run(ArithmeticOperator::Plus, decimals_of(&[150], 5, 2), decimals_of(&[-5], 3, 1)).unwrap();
        assert_eq!(sum.as_primitive::<Decimal128Type>().value(0), 100);
    }

    #[test]
    fn a_decimal_that_does_not_fit_is_null() {
        let most = 10_i128.pow(38) - 1;
        let product =
            run(ArithmeticOperator::Multiply, decimals_of(&[most], 38, 0), decimals_of(&[10], 38, 0)).unwrap();
        assert!(product.is_null(0));
    }
}
