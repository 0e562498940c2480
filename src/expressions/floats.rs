//! FLOAT and DOUBLE as in Java. No comparison with NaN is true but `<>`, and 0.0 equals -0.0; Arrow's kernels put all in a
//! total order instead, which is right for sorting and grouping only. There is one NaN: what a processor makes of 0 / 0
//! differs from what is read from a text by its sign, which that order would see.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::function::{Call, Function, Style};
use super::types::ArithmeticOperator;
use super::typing::never;
use crate::error::{Error, Result};

/// The function behind an operator on two FLOATs or two DOUBLEs; none for an operator that compares nothing.
pub fn comparison(operator: Operator) -> Option<&'static Function> {
    Some(match operator {
        Operator::Eq => &EQUAL,
        Operator::NotEq => &NOT_EQUAL,
        Operator::Lt => &LESS,
        Operator::LtEq => &LESS_OR_EQUAL,
        Operator::Gt => &GREATER,
        Operator::GtEq => &GREATER_OR_EQUAL,
        Operator::IsDistinctFrom => &DISTINCT,
        Operator::IsNotDistinctFrom => &NOT_DISTINCT,
        _ => return None,
    })
}

/// The opposite of a condition. Over floats it is the opposite comparison, as Flink reads it: NaN is neither above 1 nor
/// not above it.
pub fn not(condition: Expr) -> Expr {
    if !compares_floats(&condition) {
        return Expr::Not(Box::new(condition));
    }
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let op = if op == Operator::And { Operator::Or } else { Operator::And };
            Expr::BinaryExpr(BinaryExpr::new(Box::new(not(*left)), op, Box::new(not(*right))))
        }
        Expr::Not(inner) => *inner,
        Expr::ScalarFunction(ScalarFunction { func, args }) => match Call::of(&func).and_then(opposite) {
            Some(call) => call.on(args),
            None => Expr::Not(Box::new(Expr::ScalarFunction(ScalarFunction { func, args }))),
        },
        other => Expr::Not(Box::new(other)),
    }
}

fn compares_floats(condition: &Expr) -> bool {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            compares_floats(left) || compares_floats(right)
        }
        Expr::Not(inner) => compares_floats(inner),
        Expr::ScalarFunction(call) => Call::of(&call.func).and_then(opposite).is_some(),
        _ => false,
    }
}

fn opposite(call: &Call) -> Option<Call> {
    const PAIRS: [(&Function, &Function); 4] =
        [(&EQUAL, &NOT_EQUAL), (&LESS, &GREATER_OR_EQUAL), (&GREATER, &LESS_OR_EQUAL), (&DISTINCT, &NOT_DISTINCT)];
    let function = PAIRS.iter().find_map(|(one, other)| match call.function.name {
        name if name == one.name => Some(*other),
        name if name == other.name => Some(*one),
        _ => None,
    })?;
    Some(Call::new(function, call.output.clone(), call.nullable, Vec::new()))
}

static EQUAL: Function = infix("FLOAT_EQ", "=", |_, a, rows| strict(a, rows, |a, b| a == b, |a, b| a == b));
static NOT_EQUAL: Function = infix("FLOAT_NE", "!=", |_, a, rows| strict(a, rows, |a, b| a != b, |a, b| a != b));
static LESS: Function = infix("FLOAT_LT", "<", |_, a, rows| strict(a, rows, |a, b| a < b, |a, b| a < b));
static LESS_OR_EQUAL: Function = infix("FLOAT_LE", "<=", |_, a, rows| strict(a, rows, |a, b| a <= b, |a, b| a <= b));
static GREATER: Function = infix("FLOAT_GT", ">", |_, a, rows| strict(a, rows, |a, b| a > b, |a, b| a > b));
static GREATER_OR_EQUAL: Function = infix("FLOAT_GE", ">=", |_, a, rows| strict(a, rows, |a, b| a >= b, |a, b| a >= b));
static DISTINCT: Function = infix("FLOAT_DISTINCT", "IS DISTINCT FROM", |_, a, rows| Ok(Arc::new(distinct(a, rows)?)));
static NOT_DISTINCT: Function = infix("FLOAT_NOT_DISTINCT", "IS NOT DISTINCT FROM", |_, a, rows| {
    Ok(Arc::new(BooleanArray::new(!distinct(a, rows)?.values(), None)))
});

const fn infix(
    name: &'static str,
    symbol: &'static str,
    body: fn(&Call, &[ArrayRef], usize) -> Result<ArrayRef>,
) -> Function {
    Function { takes_constants: true, style: Style::Infix(symbol), ..Function::strict(name, "", never, body) }
}

/// NULL where a side is.
fn strict(
    sides: &[ArrayRef],
    rows: usize,
    doubles: impl Fn(f64, f64) -> bool,
    floats: impl Fn(f32, f32) -> bool,
) -> Result<ArrayRef> {
    let values = compare(sides, rows, doubles, floats)?;
    let (left, right) = (nulls_of(&sides[0], rows), nulls_of(&sides[1], rows));
    Ok(Arc::new(BooleanArray::new(values, NullBuffer::union(left.as_ref(), right.as_ref()))))
}

/// Never NULL: NULL differs from every value, and from NULL it does not.
fn distinct(sides: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
    let differ = compare(sides, rows, |a, b| a != b, |a, b| a != b)?;
    let (left, right) = (nulls_of(&sides[0], rows), nulls_of(&sides[1], rows));
    let Some(both) = NullBuffer::union(left.as_ref(), right.as_ref()) else {
        return Ok(BooleanArray::new(differ, None));
    };
    let is_there = |nulls: &Option<NullBuffer>, row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let one_is_null = BooleanBuffer::collect_bool(rows, |row| is_there(&left, row) != is_there(&right, row));
    Ok(BooleanArray::new(&(&differ & both.inner()) | &one_is_null, None))
}

/// Compares row by row; what stands where a side is NULL means nothing. A side of one value is that value in each row.
fn compare(
    sides: &[ArrayRef],
    rows: usize,
    doubles: impl Fn(f64, f64) -> bool,
    floats: impl Fn(f32, f32) -> bool,
) -> Result<BooleanBuffer> {
    match sides[0].data_type() {
        DataType::Float64 => Ok(values::<Float64Type>(sides, rows, doubles)),
        DataType::Float32 => Ok(values::<Float32Type>(sides, rows, floats)),
        other => Err(Error::bug(format!("a comparison of floats on {other}"))),
    }
}

fn values<T: ArrowPrimitiveType>(
    sides: &[ArrayRef],
    rows: usize,
    holds: impl Fn(T::Native, T::Native) -> bool,
) -> BooleanBuffer {
    let (left, right) = (sides[0].as_primitive::<T>().values(), sides[1].as_primitive::<T>().values());
    match (left.len() == rows, right.len() == rows) {
        (true, true) => {
            let (left, right) = (&left[..rows], &right[..rows]);
            BooleanBuffer::collect_bool(rows, |row| holds(left[row], right[row]))
        }
        (true, false) => {
            let (left, right) = (&left[..rows], right[0]);
            BooleanBuffer::collect_bool(rows, |row| holds(left[row], right))
        }
        (false, true) => {
            let (left, right) = (left[0], &right[..rows]);
            BooleanBuffer::collect_bool(rows, |row| holds(left, right[row]))
        }
        (false, false) => {
            let same = holds(left[0], right[0]);
            BooleanBuffer::collect_bool(rows, |_| same)
        }
    }
}

fn nulls_of(side: &ArrayRef, rows: usize) -> Option<NullBuffer> {
    match side.nulls() {
        Some(_) if side.len() != rows => Some(NullBuffer::new_null(rows)),
        nulls => nulls.cloned(),
    }
}

/// The function behind an arithmetic operator on two FLOATs or two DOUBLEs.
pub(super) fn arithmetic(operator: ArithmeticOperator) -> &'static Function {
    match operator {
        ArithmeticOperator::Plus => &PLUS,
        ArithmeticOperator::Minus => &MINUS,
        ArithmeticOperator::Multiply => &MULTIPLY,
        ArithmeticOperator::Divide => &DIVIDE,
        ArithmeticOperator::Modulo => &MODULO,
    }
}

static PLUS: Function = infix("FLOAT_PLUS", "+", |_, a, rows| computed(a, rows, |a, b| a + b, |a, b| a + b));
static MINUS: Function = infix("FLOAT_MINUS", "-", |_, a, rows| computed(a, rows, |a, b| a - b, |a, b| a - b));
static MULTIPLY: Function = infix("FLOAT_TIMES", "*", |_, a, rows| computed(a, rows, |a, b| a * b, |a, b| a * b));
static DIVIDE: Function = infix("FLOAT_DIVIDE", "/", |_, a, rows| computed(a, rows, |a, b| a / b, |a, b| a / b));
static MODULO: Function = infix("FLOAT_MODULO", "%", |_, a, rows| computed(a, rows, |a, b| a % b, |a, b| a % b));

fn computed(
    sides: &[ArrayRef],
    rows: usize,
    doubles: impl Fn(f64, f64) -> f64,
    floats: impl Fn(f32, f32) -> f32,
) -> Result<ArrayRef> {
    match sides[0].data_type() {
        DataType::Float64 => compute::<Float64Type>(sides, rows, |a, b| one_nan(doubles(a, b))),
        DataType::Float32 => compute::<Float32Type>(sides, rows, |a, b| one_nan(floats(a, b))),
        other => Err(Error::bug(format!("arithmetic of floats on {other}"))),
    }
}

fn compute<T: ArrowPrimitiveType>(
    sides: &[ArrayRef],
    rows: usize,
    of: impl Fn(T::Native, T::Native) -> T::Native,
) -> Result<ArrayRef> {
    let (left, right) = (sides[0].as_primitive::<T>(), sides[1].as_primitive::<T>());
    let result: PrimitiveArray<T> = if left.len() == right.len() {
        let both = arrow::compute::binary(left, right, of)?;
        if both.len() == rows { both } else { repeated(&both, rows) }
    } else if right.len() == rows {
        let constant = left.value(0);
        if left.is_null(0) { PrimitiveArray::new_null(rows) } else { right.unary(|value| of(constant, value)) }
    } else {
        let constant = right.value(0);
        if right.is_null(0) { PrimitiveArray::new_null(rows) } else { left.unary(|value| of(value, constant)) }
    };
    Ok(Arc::new(result))
}

fn repeated<T: ArrowPrimitiveType>(one: &PrimitiveArray<T>, rows: usize) -> PrimitiveArray<T> {
    if one.is_null(0) { PrimitiveArray::new_null(rows) } else { PrimitiveArray::from_value(one.value(0), rows) }
}

/// The one NaN for every other, and the value itself for what is none.
pub fn one_nan<T: PartialOrd + From<f32>>(value: T) -> T {
    // NaN alone is in no order to itself.
    if value.partial_cmp(&value).is_none() { T::from(f32::NAN) } else { value }
}

/// The bits of FLOATs and DOUBLEs as whole numbers, which tell 0.0 from -0.0, and back.
pub static FLOAT_BITS: Function = Function::strict("FLOAT_BITS", "", never, |_, arguments, _| bits(&arguments[0]));
pub static FLOAT_OF_BITS: Function =
    Function::strict("FLOAT_OF_BITS", "", never, |_, arguments, _| of_bits(&arguments[0]));

/// DOUBLEs rounded to seven binary digits, of which the first is always 1: by at most a 128th of themselves, so that there
/// are 64 different ones from any number to twice that. Whole numbers up to 128 are themselves.
pub static ROUGHLY: Function = Function::strict("ROUGHLY", "", never, |_, arguments, _| {
    Ok(Arc::new(arguments[0].as_primitive::<Float64Type>().unary::<_, Float64Type>(roughly)))
});

fn roughly(value: f64) -> f64 {
    /// Binary digits of a DOUBLE behind the first, without the six that stay.
    const CUT: u64 = (1 << (52 - 6)) - 1;
    if !value.is_finite() {
        return one_nan(value);
    }
    // What is carried goes on into the exponent, and is right there.
    let rounded = f64::from_bits((value.to_bits() + CUT / 2 + 1) & !CUT);
    if rounded.is_finite() { rounded } else { f64::from_bits(value.to_bits() & !CUT) }
}

fn bits(floats: &ArrayRef) -> Result<ArrayRef> {
    use arrow::datatypes::{Int32Type, Int64Type};
    Ok(match floats.data_type() {
        // One NaN, as grouping wants it.
        DataType::Float64 => Arc::new(
            floats.as_primitive::<Float64Type>().unary::<_, Int64Type>(|value| one_nan(value).to_bits().cast_signed()),
        ),
        DataType::Float32 => Arc::new(
            floats.as_primitive::<Float32Type>().unary::<_, Int32Type>(|value| one_nan(value).to_bits().cast_signed()),
        ),
        other => return Err(Error::bug(format!("the bits of {other}"))),
    })
}

fn of_bits(bits: &ArrayRef) -> Result<ArrayRef> {
    use arrow::datatypes::{Int32Type, Int64Type};
    let doubles = |bits: &PrimitiveArray<Int64Type>| -> PrimitiveArray<Float64Type> {
        bits.unary(|bits| f64::from_bits(bits.cast_unsigned()))
    };
    let floats = |bits: &PrimitiveArray<Int32Type>| -> PrimitiveArray<Float32Type> {
        bits.unary(|bits| f32::from_bits(bits.cast_unsigned()))
    };
    Ok(match bits.data_type() {
        DataType::Int64 => Arc::new(doubles(bits.as_primitive())),
        DataType::Int32 => Arc::new(floats(bits.as_primitive())),
        other => return Err(Error::bug(format!("floats of {other}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float32Array, Float64Array};

    #[test]
    fn what_is_rounded_roughly_lies_within_a_128th_and_in_order() {
        for whole in -128..=128 {
            assert_eq!(roughly(f64::from(whole)), f64::from(whole));
        }
        let mut numbers: Vec<f64> = (-1100..1100).map(|power| 1.37 * (f64::from(power) * 0.6).exp()).collect();
        numbers.extend([f64::MAX, f64::MIN_POSITIVE, 5e-324, 129.0, 129.5, 1e15 + 0.3]);
        let negative: Vec<f64> = numbers.iter().map(|number| -number).collect();
        numbers.extend(negative);
        numbers.retain(|number| number.is_finite());
        numbers.sort_by(f64::total_cmp);
        for number in &numbers {
            let error = (roughly(*number) - number).abs();
            assert!(
                error <= number.abs() / 128.0 || number.abs() < f64::MIN_POSITIVE,
                "{number}: {}",
                roughly(*number)
            );
        }
        assert!(numbers.windows(2).all(|pair| roughly(pair[0]) <= roughly(pair[1])));
        let mut octave: Vec<u64> = (0..10_000).map(|step| roughly(1000.0 + 0.1 * f64::from(step)).to_bits()).collect();
        octave.dedup();
        assert!(octave.len() <= 66, "{}", octave.len());
        assert!(roughly(f64::NAN).is_nan() && roughly(f64::INFINITY) == f64::INFINITY && roughly(-0.0) == 0.0);
    }

    fn run(operator: Operator, left: &ArrayRef, right: &ArrayRef, rows: usize) -> Vec<Option<bool>> {
        let function = comparison(operator).expect("it compares");
        let call = Call::new(function, DataType::Boolean, true, Vec::new());
        let result = (function.body)(&call, &[Arc::clone(left), Arc::clone(right)], rows).unwrap();
        result.as_boolean().iter().collect()
    }

    type Holds = fn(f64, f64) -> bool;

    const OPERATORS: [(Operator, Holds); 6] = [
        (Operator::Eq, |a, b| a == b),
        (Operator::NotEq, |a, b| a != b),
        (Operator::Lt, |a, b| a < b),
        (Operator::LtEq, |a, b| a <= b),
        (Operator::Gt, |a, b| a > b),
        (Operator::GtEq, |a, b| a >= b),
    ];

    #[test]
    fn every_pair_compares_as_in_java_in_columns_and_as_constants() {
        let values = [
            None,
            Some(f64::NAN),
            Some(-f64::NAN),
            Some(0.0),
            Some(-0.0),
            Some(1.5),
            Some(f64::INFINITY),
            Some(-1e300),
        ];
        let one = |value: Option<f64>| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
        for (operator, expected) in OPERATORS {
            for left in values {
                let lefts: ArrayRef = Arc::new(Float64Array::from(vec![left; values.len()]));
                let rights: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
                let wanted: Vec<_> = values.iter().map(|right| Some(expected(left?, (*right)?))).collect();
                assert_eq!(run(operator, &lefts, &rights, values.len()), wanted, "{left:?} {operator}");
                assert_eq!(run(operator, &one(left), &rights, values.len()), wanted, "constant {left:?} {operator}");
                for (right, wanted) in values.iter().zip(&wanted) {
                    assert_eq!(
                        run(operator, &one(left), &one(*right), 3),
                        vec![*wanted; 3],
                        "{left:?} {operator} {right:?}"
                    );
                    let found = run(operator, &lefts, &one(*right), values.len());
                    assert_eq!(found, vec![*wanted; values.len()], "{left:?} {operator} constant {right:?}");
                }
            }
        }
    }

    #[test]
    fn distinct_is_never_null() {
        let left: ArrayRef = Arc::new(Float32Array::from(vec![Some(f32::NAN), Some(0.0), None, None, Some(1.0)]));
        let right: ArrayRef = Arc::new(Float32Array::from(vec![Some(f32::NAN), Some(-0.0), None, Some(1.0), None]));
        let expected = [true, false, false, true, true];
        assert_eq!(run(Operator::IsDistinctFrom, &left, &right, 5), expected.map(Some));
        assert_eq!(run(Operator::IsNotDistinctFrom, &left, &right, 5), expected.map(|distinct| Some(!distinct)));
        let null: ArrayRef = Arc::new(Float32Array::from(vec![None]));
        let is_there = [true, true, false, false, true];
        assert_eq!(run(Operator::IsDistinctFrom, &left, &null, 5), is_there.map(Some));
    }

    #[test]
    fn arithmetic_knows_one_nan() {
        let column = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let run = |operator, left: &ArrayRef, right: &ArrayRef, rows| {
            let call = Call::new(arithmetic(operator), DataType::Float64, true, Vec::new());
            let found = (call.function.body)(&call, &[Arc::clone(left), Arc::clone(right)], rows).unwrap();
            found.as_primitive::<Float64Type>().values().iter().map(|value| value.to_bits()).collect::<Vec<_>>()
        };
        let nan = f64::NAN.to_bits();
        let (zeros, infinities) = (column(&[0.0, 0.0]), column(&[f64::INFINITY; 2]));
        assert_eq!(run(ArithmeticOperator::Divide, &zeros, &zeros, 2), [nan; 2]);
        assert_eq!(run(ArithmeticOperator::Modulo, &infinities, &zeros, 2), [nan; 2]);
        assert_eq!(run(ArithmeticOperator::Minus, &infinities, &infinities, 2), [nan; 2]);
        assert_eq!(run(ArithmeticOperator::Multiply, &infinities, &column(&[0.0]), 2), [nan; 2]);
        assert_eq!(run(ArithmeticOperator::Divide, &column(&[0.0]), &zeros, 2), [nan; 2]);
        assert_eq!(run(ArithmeticOperator::Plus, &column(&[1.5]), &column(&[2.0]), 2), [3.5_f64.to_bits(); 2]);
        assert_eq!(
            run(ArithmeticOperator::Minus, &column(&[5.0]), &column(&[1.0, 2.0]), 2),
            [4.0_f64, 3.0].map(f64::to_bits)
        );
    }

    #[test]
    fn bits_tell_zeros_apart_and_come_back() {
        let floats: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(0.0), Some(-0.0), None, Some(f64::NAN), Some(-f64::NAN)]));
        let found = bits(&floats).unwrap();
        let whole = found.as_primitive::<arrow::datatypes::Int64Type>();
        assert!(whole.value(0) != whole.value(1) && whole.value(3) == whole.value(4) && whole.is_null(2));
        let back = of_bits(&found).unwrap();
        assert!(back.as_primitive::<Float64Type>().value(1).is_sign_negative());
    }
}
