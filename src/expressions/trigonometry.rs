//! Angles, logarithms and constants, all as DOUBLE.

use std::f64::consts;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};

use super::floats::one_nan;
use super::function::Function;
use super::numbers::{double, floats, two_doubles};
use super::typing::{Argument, Typing, count};
use crate::error::Result;

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict("ACOS", "ACOS(number): the angle of that cosine", double, |_, a, _| floats(a, f64::acos))
        .example("ACOS(1)", "0.0"),
    Function::strict("ASIN", "ASIN(number): the angle of that sine", double, |_, a, _| floats(a, f64::asin))
        .example("ASIN(0)", "0.0"),
    Function::strict("ATAN", "ATAN(number): the angle of that tangent", double, |_, a, _| floats(a, f64::atan))
        .example("ATAN(1)", "0.7853981633974483"),
    Function::strict("ATAN2", "ATAN2(y, x): the angle of that point", two_doubles, |_, a, _| binary(a, f64::atan2))
        .example("ATAN2(1, -1)", "2.356194490192345"),
    Function::strict("COS", "COS(angle): its cosine", double, |_, a, _| floats(a, f64::cos)).example("COS(0)", "1.0"),
    Function::strict("COSH", "COSH(number): its hyperbolic cosine", double, |_, a, _| floats(a, f64::cosh))
        .example("COSH(0)", "1.0"),
    Function::strict("COT", "COT(angle): its cotangent", double, |_, a, _| floats(a, |angle| 1.0 / angle.tan()))
        .example("COT(1)", "0.6420926159343306"),
    Function::strict("DEGREES", "DEGREES(angle): radians as degrees", double, |_, a, _| {
        floats(a, |angle| angle * (180.0 / consts::PI))
    })
    .example("DEGREES(PI())", "180.0"),
    Function::strict("E", "E(): the base of the natural logarithm", nothing, |_, _, rows| constant(consts::E, rows))
        .example("E()", "2.718281828459045"),
    Function::strict(
        "LOG",
        "LOG([base,] number): the logarithm, natural without a base",
        one_or_two_doubles,
        |_, a, _| match a.len() {
            1 => floats(a, f64::ln),
            _ => binary(a, |base, number| number.ln() / base.ln()),
        },
    )
    .example("LOG(2, 8)", "3.0"),
    Function::strict("LOG2", "LOG2(number): the logarithm to base 2", double, |_, a, _| {
        floats(a, |number| number.ln() / consts::LN_2)
    })
    .example("LOG2(8)", "3.0"),
    Function::strict("PI", "PI(): half the way round a circle", nothing, |_, _, rows| constant(consts::PI, rows))
        .example("PI()", "3.141592653589793"),
    Function::strict("RADIANS", "RADIANS(angle): degrees as radians", double, |_, a, _| {
        floats(a, |angle| angle * (consts::PI / 180.0))
    })
    .example("RADIANS(180)", "3.141592653589793"),
    Function::strict("SIN", "SIN(angle): its sine", double, |_, a, _| floats(a, f64::sin)).example("SIN(0)", "0.0"),
    Function::strict("SINH", "SINH(number): its hyperbolic sine", double, |_, a, _| floats(a, f64::sinh))
        .example("SINH(0)", "0.0"),
    Function::strict("TAN", "TAN(angle): its tangent", double, |_, a, _| floats(a, f64::tan)).example("TAN(0)", "0.0"),
    Function::strict("TANH", "TANH(number): its hyperbolic tangent", double, |_, a, _| floats(a, f64::tanh))
        .example("TANH(0)", "0.0"),
];

fn nothing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 0, 0)?;
    Ok(Typing::new(Vec::new(), DataType::Float64))
}

fn one_or_two_doubles(arguments: &[Argument]) -> Result<Typing, String> {
    if arguments.len() == 1 { double(arguments) } else { two_doubles(arguments) }
}

fn constant(value: f64, rows: usize) -> Result<ArrayRef> {
    Ok(Arc::new(Float64Array::from(vec![value; rows])))
}

fn binary(arguments: &[ArrayRef], of: impl Fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let (one, two) = (arguments[0].as_primitive::<Float64Type>(), arguments[1].as_primitive::<Float64Type>());
    Ok(Arc::new(arrow::compute::binary::<_, _, _, Float64Type>(one, two, |a, b| one_nan(of(a, b)))?))
}
