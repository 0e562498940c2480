//! Functions on numbers: ABS, CEIL, FLOOR, ROUND, MOD, POWER, SQRT and their like.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, PrimitiveArray};
use arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};

use super::arithmetic::{function as arithmetic, rescale_decimal};
use super::floats::one_nan;
use super::function::{Call, Function, Nulls};
use super::types::{ArithmeticOperator, arithmetic_type, is_approximate, is_integer};
use super::typing::{Argument, Typing, count, number};
use crate::error::{Error, Result};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict("ABS", "ABS(number): without its sign", same_number, absolute).example("ABS(-1.50)", "1.50"),
    Function::strict(
        "CEIL",
        "CEIL(number) or CEIL(time TO unit): the least whole number, or begin of a unit, that is not below it",
        whole_number,
        round_up,
    )
    .example("CEIL(1.2)", "2"),
    Function::strict("CEILING", "CEILING(number): as CEIL", whole_number, round_up).example("CEILING(-1.2)", "-1"),
    Function::strict("EXP", "EXP(number): e to that power", double, |_, a, _| floats(a, f64::exp))
        .example("EXP(0)", "1.0"),
    Function::strict(
        "FLOOR",
        "FLOOR(number) or FLOOR(time TO unit): the greatest whole number, or begin of a unit, that is not above it",
        whole_number,
        round_down,
    )
    .example("FLOOR(TIMESTAMP '2024-01-02 03:04:05' TO HOUR)", "2024-01-02T03:00"),
    Function::strict("LN", "LN(number): the natural logarithm", double, |_, a, _| floats(a, f64::ln))
        .example("LN(1)", "0.0"),
    Function::strict("LOG10", "LOG10(number): the logarithm to base 10", double, |_, a, _| floats(a, f64::log10))
        .example("LOG10(100)", "2.0"),
    Function {
        fallible: true,
        ..Function::strict(
            "MOD",
            "MOD(a, b): the remainder of exact numbers, with the sign of a",
            modulo_typing,
            |call, arguments, rows| {
                let function = arithmetic(ArithmeticOperator::Modulo, &call.output);
                let call = Call::new(function, call.output.clone(), call.nullable, Vec::new());
                (function.body)(&call, arguments, rows)
            },
        )
        .example("MOD(-7, 3)", "-1")
    },
    Function::strict("POWER", "POWER(base, exponent): as DOUBLE", two_doubles, power).example("POWER(2, 10)", "1024.0"),
    // A DECIMAL that is rounded up may have a digit too many.
    Function {
        nulls: Nulls::Possible,
        ..Function::strict("ROUND", "ROUND(number [, digits]): rounded half up", round_typing, round)
            .example("ROUND(2.345, 2)", "2.35")
    },
    Function::strict("SIGN", "SIGN(number): -1, 0 or 1 in the number's own type", same_number, sign)
        .example("SIGN(-2.5)", "-1.0"),
    Function::strict("TRUNCATE", "TRUNCATE(number [, digits]): cut off behind so many digits", round_typing, truncate)
        .example("TRUNCATE(2.349, 2)", "2.34"),
    Function::strict("SQRT", "SQRT(number): the square root as DOUBLE", double, |_, a, _| floats(a, f64::sqrt))
        .example("SQRT(16)", "4.0"),
];

fn same_number(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    let data_type = number(&arguments[0])?;
    Ok(Typing::new(vec![data_type.clone()], data_type))
}

fn whole_number(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    let data_type = number(&arguments[0])?;
    let output = match &data_type {
        // One more digit before the point: CEIL(9.9) = 10.
        DataType::Decimal128(precision, scale) => {
            let whole = precision.saturating_sub(scale.unsigned_abs());
            DataType::Decimal128((whole + u8::from(*scale > 0)).clamp(1, 38), 0)
        }
        other => other.clone(),
    };
    Ok(Typing::new(vec![data_type], output))
}

pub(super) fn double(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    number(&arguments[0])?;
    Ok(Typing::new(vec![DataType::Float64], DataType::Float64))
}

pub(super) fn two_doubles(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 2, 2)?;
    arguments.iter().try_for_each(|argument| number(argument).map(|_| ()))?;
    Ok(Typing::new(vec![DataType::Float64; 2], DataType::Float64))
}

fn modulo_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 2, 2)?;
    let (left, right) = (number(&arguments[0])?, number(&arguments[1])?);
    let output = arithmetic_type(ArithmeticOperator::Modulo, &left, &right)
        .ok_or("it takes exact numbers: whole numbers or DECIMAL")?;
    let arguments = match &output {
        DataType::Decimal128(..) => [left, right].map(super::arithmetic::operand).to_vec(),
        whole => vec![whole.clone(); 2],
    };
    Ok(Typing::new(arguments, output))
}

fn round_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 2)?;
    let data_type = number(&arguments[0])?;
    let digits = match arguments.get(1) {
        None => Some(0),
        Some(digits) if is_integer(&digits.data_type) => digits.number,
        Some(_) => return Err("the number of digits has to be a whole number".into()),
    };
    let output = match (&data_type, digits) {
        (DataType::Decimal128(precision, scale), Some(digits)) => {
            let kept = i8::try_from(digits.clamp(0, i64::from(*scale))).unwrap_or(*scale);
            let whole = precision.saturating_sub(scale.unsigned_abs());
            DataType::Decimal128((whole + u8::from(kept < *scale) + kept.unsigned_abs()).clamp(1, 38), kept)
        }
        (other, _) => other.clone(),
    };
    let mut types = vec![data_type];
    types.extend(arguments.get(1).map(|_| DataType::Int32));
    Ok(Typing::new(types, output))
}

/// Applies a function per numeric type.
macro_rules! by_type {
    ($values:expr, $array:ident => $integer:expr, $float:expr, $decimal:expr) => {
        match $values.data_type() {
            DataType::Int8 => by_type!(@ Int8Type, $values, $array, $integer),
            DataType::Int16 => by_type!(@ Int16Type, $values, $array, $integer),
            DataType::Int32 => by_type!(@ Int32Type, $values, $array, $integer),
            DataType::Int64 => by_type!(@ Int64Type, $values, $array, $integer),
            DataType::Float32 => by_type!(@ Float32Type, $values, $array, $float),
            DataType::Float64 => by_type!(@ Float64Type, $values, $array, $float),
            DataType::Decimal128(..) => {
                let $array = $values.as_primitive::<Decimal128Type>();
                $decimal
            }
            other => Err(Error::bug(format!("a number function on {other}"))),
        }
    };
    (@ $arrow:ty, $values:expr, $array:ident, $body:expr) => {{
        let $array = $values.as_primitive::<$arrow>();
        let result: PrimitiveArray<$arrow> = $array.unary($body);
        Ok(Arc::new(result) as ArrayRef)
    }};
}

fn absolute(_: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let values = &arguments[0];
    by_type!(values, array => |value| value.wrapping_abs(), |value| value.abs(), {
        let result: Decimal128Array = array.unary(|value: i128| value.wrapping_abs());
        Ok(Arc::new(result.with_data_type(values.data_type().clone())) as ArrayRef)
    })
}

fn sign(_: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let values = &arguments[0];
    by_type!(values, array => |value| value.signum(), |value| if value.is_zero() { value } else { value.signum() }, {
        let one = decimal_unit(values);
        let result: Decimal128Array = array.unary(|value: i128| value.signum() * one);
        Ok(Arc::new(result.with_data_type(values.data_type().clone())) as ArrayRef)
    })
}

fn decimal_unit(values: &ArrayRef) -> i128 {
    match values.data_type() {
        DataType::Decimal128(_, scale) => 10_i128.pow(u32::try_from(*scale).unwrap_or(0)),
        _ => 1,
    }
}

fn round_up(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let values = &arguments[0];
    by_type!(values, array => |value| value, |value| value.ceil(), {
        let unit = decimal_unit(values);
        let result: Decimal128Array =
            array.unary(|value: i128| value.div_euclid(unit) + i128::from(value.rem_euclid(unit) != 0));
        Ok(Arc::new(result.with_data_type(call.output.clone())) as ArrayRef)
    })
}

fn round_down(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let values = &arguments[0];
    by_type!(values, array => |value| value, |value| value.floor(), {
        let unit = decimal_unit(values);
        let result: Decimal128Array = array.unary(|value: i128| value.div_euclid(unit));
        Ok(Arc::new(result.with_data_type(call.output.clone())) as ArrayRef)
    })
}

pub(super) fn floats(arguments: &[ArrayRef], of: impl Fn(f64) -> f64) -> Result<ArrayRef> {
    let result: PrimitiveArray<Float64Type> =
        arguments[0].as_primitive::<Float64Type>().unary(|value| one_nan(of(value)));
    Ok(Arc::new(result))
}

fn power(_: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let (base, exponent) = (arguments[0].as_primitive::<Float64Type>(), arguments[1].as_primitive::<Float64Type>());
    Ok(Arc::new(arrow::compute::binary::<_, _, _, Float64Type>(base, exponent, |a, b| one_nan(a.powf(b)))?))
}

/// What becomes of the digits that go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    /// Half up (away from zero).
    HalfUp,
    /// They are cut off.
    Cut,
}

fn round(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    rounded(call, arguments, rows, Rounding::HalfUp)
}

fn truncate(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    rounded(call, arguments, rows, Rounding::Cut)
}

/// To a number of digits behind the point; negative digits round before it.
fn rounded(call: &Call, arguments: &[ArrayRef], rows: usize, rounding: Rounding) -> Result<ArrayRef> {
    let values = &arguments[0];
    let digits = arguments.get(1).map(|digits| digits.as_primitive::<Int32Type>());
    let digits_of = |row: usize| digits.map_or(0, |digits| digits.value(row)).clamp(-40, 40);
    let null = |row: usize| values.is_null(row) || digits.is_some_and(|digits| digits.is_null(row));
    if let (DataType::Decimal128(_, from), DataType::Decimal128(precision, to)) = (values.data_type(), &call.output) {
        let array = values.as_primitive::<Decimal128Type>();
        let rounded: Decimal128Array = (0..rows)
            .map(|row| {
                let wanted = i8::try_from(digits_of(row).min(i32::from(*from))).unwrap_or(*from);
                let exact = (!null(row)).then(|| cut_if(rounding, array.value(row), *from, wanted));
                let cut = exact.and_then(|value| rescale_decimal(value, *from, wanted, 38));
                cut.and_then(|value| rescale_decimal(value, wanted, *to, *precision))
            })
            .collect();
        return Ok(Arc::new(rounded.with_precision_and_scale(*precision, *to)?));
    }
    if is_approximate(values.data_type()) {
        // By the decimal text of the number, as Java's BigDecimal does it: 1.005 is rounded as it is written.
        let rounded: PrimitiveArray<Float64Type> = match values.data_type() {
            DataType::Float32 => {
                let narrow = values.as_primitive::<Float32Type>();
                let of = |row| round_float(f64::from(narrow.value(row)), &narrow.value(row), digits_of(row), rounding);
                (0..rows).map(|row| (!null(row)).then(|| of(row))).collect()
            }
            _ => {
                let wide = values.as_primitive::<Float64Type>();
                let of = |row| round_float(wide.value(row), &wide.value(row), digits_of(row), rounding);
                (0..rows).map(|row| (!null(row)).then(|| of(row))).collect()
            }
        };
        return Ok(arrow::compute::cast(&rounded, &call.output)?);
    }
    let wide = arrow::compute::cast(values, &DataType::Int64)?;
    let wide = wide.as_primitive::<Int64Type>();
    let rounded: PrimitiveArray<Int64Type> = (0..rows)
        .map(|row| {
            let wanted = i8::try_from(digits_of(row).min(0)).unwrap_or(0);
            let exact = (!null(row)).then(|| cut_if(rounding, i128::from(wide.value(row)), 0, wanted))?;
            let cut = rescale_decimal(exact, 0, wanted, 38);
            cut.and_then(|value| rescale_decimal(value, wanted, 0, 38)).map(|value| value as i64)
        })
        .collect();
    // What does not fit wraps, as everywhere.
    super::cast::to_integer(&(Arc::new(rounded) as ArrayRef), &call.output)
}

/// The value with zeros for the digits that go, if they are cut off.
fn cut_if(rounding: Rounding, value: i128, scale: i8, wanted: i8) -> i128 {
    let places = u32::try_from(scale.saturating_sub(wanted)).unwrap_or(0);
    match (rounding, 10_i128.checked_pow(places)) {
        (Rounding::HalfUp, _) => value,
        (Rounding::Cut, Some(unit)) => value - value % unit,
        (Rounding::Cut, None) => 0,
    }
}

fn round_float(value: f64, written: &dyn std::fmt::LowerExp, digits: i32, rounding: Rounding) -> f64 {
    let scale = i8::try_from(digits.clamp(-30, 30)).unwrap_or(0);
    if !value.is_finite() || digits > 15 {
        return value;
    }
    // More digits than a DOUBLE has, so that nothing is rounded before it is cut.
    let exact = if rounding == Rounding::Cut { scale.max(0) + 17 } else { scale };
    super::cast::parse_decimal(&format!("{written:e}"), 38, exact)
        .map(|unscaled| cut_if(rounding, unscaled, exact, scale))
        .and_then(|unscaled| format!("{unscaled}e{}", -i32::from(exact)).parse().ok())
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expressions::lookup;
    use arrow::array::{Float64Array, Int32Array};

    fn call(name: &str, arguments: Vec<ArrayRef>, number: Option<i64>) -> ArrayRef {
        let function = lookup(name).unwrap();
        let described: Vec<_> = arguments
            .iter()
            .map(|array| Argument { data_type: array.data_type().clone(), number, text: None })
            .collect();
        let typing = (function.typing)(&described).unwrap();
        let rows = arguments[0].len();
        (function.body)(&Call::new(function, typing.output, true, typing.parameters), &arguments, rows).unwrap()
    }

    fn decimals(values: &[i128], precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap())
    }

    #[test]
    fn t25_round_is_half_up_and_stays_decimal() {
        let rounded = call("ROUND", vec![decimals(&[25, -25, 24], 2, 1)], None);
        assert_eq!(rounded.data_type(), &DataType::Decimal128(2, 0));
        assert_eq!(rounded.as_primitive::<Decimal128Type>().values(), &[3, -3, 2]);
        let two: ArrayRef = Arc::new(Int32Array::from(vec![2]));
        let rounded = call("ROUND", vec![decimals(&[12345], 6, 3), two], Some(2));
        assert_eq!(
            (rounded.data_type(), rounded.as_primitive::<Decimal128Type>().value(0)),
            (&DataType::Decimal128(6, 2), 1235)
        );
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![2.5, -2.5, 1e300]));
        assert_eq!(call("ROUND", vec![floats], None).as_primitive::<Float64Type>().values(), &[3.0, -3.0, 1e300]);
        let ceiled = call("CEIL", vec![decimals(&[99, -99, 90], 2, 1)], None);
        assert_eq!(ceiled.data_type(), &DataType::Decimal128(2, 0));
        assert_eq!(ceiled.as_primitive::<Decimal128Type>().values(), &[10, -9, 9]);
    }

    #[test]
    fn t7_mod_takes_exact_numbers_and_the_dividends_sign() {
        let integers = |values: &[i32]| Arc::new(Int32Array::from(values.to_vec())) as ArrayRef;
        let remainder = call("MOD", vec![integers(&[-7, 7]), integers(&[2, -2])], None);
        assert_eq!(remainder.as_primitive::<Int32Type>().values(), &[-1, 1]);
        let argument = Argument { data_type: DataType::Float64, number: None, text: None };
        assert!((lookup("MOD").unwrap().typing)(&[argument.clone(), argument]).is_err());
    }
}
