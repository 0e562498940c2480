//! What a text is made of: IS_ALPHA, IS_DIGIT, IS_DECIMAL. Also ELT, which chooses among texts.
//!
//! Letters and digits are those of Java's `char`: of all alphabets, as far as one unit of UTF-16 holds them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::functions::regex::compile_regex;

use super::codings::is_text_or_bytes;
use super::function::{Call, Function};
use super::types::{is_approximate, is_integer, is_numeric, type_name};
use super::typing::{Argument, Typing, count};
use crate::error::{Error, Result};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::possibly("ELT", "ELT(n, text, …): the nth text; NULL if there is none", elt_typing, elt)
        .example("ELT(2, 'a', 'b')", "b"),
    Function::possibly("IS_ALPHA", "IS_ALPHA(text): whether it is made of letters", one_value, |_, arguments, rows| {
        classified(&arguments[0], rows, |_| false, Class::Letters)
    })
    .example("IS_ALPHA('abc')", "true"),
    Function::possibly("IS_DECIMAL", "IS_DECIMAL(text): whether it is a number", one_value, |_, arguments, rows| {
        classified(&arguments[0], rows, |number| is_integer(number) || is_approximate(number), Class::Numbers)
    })
    .example("IS_DECIMAL('1.5')", "true"),
    Function::possibly("IS_DIGIT", "IS_DIGIT(text): whether it is made of digits", one_value, |_, arguments, rows| {
        classified(&arguments[0], rows, is_integer, Class::Digits)
    })
    .example("IS_DIGIT('1.5')", "false"),
];

fn one_value(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    match &arguments[0].data_type {
        DataType::Null => Ok(Typing::new(vec![DataType::Utf8], DataType::Boolean)),
        one if *one == DataType::Utf8 || is_numeric(one) => Ok(Typing::new(vec![one.clone()], DataType::Boolean)),
        other => Err(format!("it takes text or a number, not {}", type_name(other))),
    }
}

fn elt_typing(arguments: &[Argument]) -> Result<Typing, String> {
    let [index, values @ ..] = arguments else { return Err("it takes a number and at least one text".into()) };
    if values.is_empty() {
        return Err("it takes a number and at least one text".into());
    }
    if !is_integer(&index.data_type) && index.data_type != DataType::Null {
        return Err(format!("its first argument is a whole number, not {}", type_name(&index.data_type)));
    }
    if let Some(index) = index.number.filter(|index| *index < 0) {
        return Err(format!("its number counts from 1, and is not {index}"));
    }
    let mut common = DataType::Null;
    for value in values.iter().filter(|value| value.data_type != DataType::Null) {
        let data_type = is_text_or_bytes(value)?;
        if common != DataType::Null && common != data_type {
            return Err("it takes texts or bytes, not both".into());
        }
        common = data_type;
    }
    if common == DataType::Null {
        common = DataType::Utf8;
    }
    let wanted = std::iter::once(DataType::Int64).chain(vec![common.clone(); values.len()]);
    Ok(Typing::new(wanted.collect(), common))
}

fn elt(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let indices = arguments[0].as_primitive::<Int64Type>();
    let nothing = new_null_array(&call.output, 1);
    let mut sources: Vec<&dyn Array> = vec![nothing.as_ref()];
    sources.extend(arguments[1..].iter().map(|array| array.as_ref()));
    let chosen: Vec<(usize, usize)> = (0..rows)
        .map(|row| {
            let index = indices.is_valid(row).then(|| usize::try_from(indices.value(row)).ok()).flatten();
            match index.filter(|index| (1..sources.len()).contains(index)) {
                Some(index) => (index, row),
                None => (0, 0),
            }
        })
        .collect();
    Ok(interleave(&sources, &chosen)?)
}

/// What all characters of a text are asked to be.
#[derive(Debug, Clone, Copy)]
enum Class {
    Letters,
    Digits,
    Numbers,
}

/// A number is judged by its type, and is of the class even where it is NULL; a text that is NULL is of none.
fn classified(values: &ArrayRef, rows: usize, is_class: fn(&DataType) -> bool, class: Class) -> Result<ArrayRef> {
    let Some(texts) = values.as_string_opt::<i32>() else {
        return Ok(Arc::new(BooleanArray::from(vec![is_class(values.data_type()); rows])));
    };
    let of = |pattern: &str| compile_regex(pattern, None).map_err(|error| Error::bug(error.to_string()));
    let (letters, digits) = (of(r"\A[\p{L}&&[\x{0}-\x{FFFF}]]+\z")?, of(r"\A[\p{Nd}&&[\x{0}-\x{FFFF}]]+\z")?);
    let found: BooleanArray = texts
        .iter()
        .map(|text| {
            let text = text.unwrap_or_default();
            // Most texts need no table of characters.
            Some(match class {
                Class::Letters if text.is_ascii() => {
                    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
                }
                Class::Letters => letters.is_match(text),
                Class::Digits if text.is_ascii() => all_digits(text),
                Class::Digits => digits.is_match(text),
                Class::Numbers if text.is_ascii() => is_number(text),
                Class::Numbers => {
                    // Only a whole number, as long as it fits, may be made of other digits.
                    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
                    unsigned.chars().count() < 19 && digits.is_match(unsigned)
                }
            })
        })
        .collect();
    Ok(Arc::new(found))
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether Java reads the text as a double.
fn is_number(text: &str) -> bool {
    let text = text.trim_matches(|character| character <= ' ');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return true;
    }
    let plain = unsigned.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(unsigned);
    let hexadecimal = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X"));
    let (mantissa, exponent) = match (hexadecimal, plain.split_once(['e', 'E'])) {
        // Of hexadecimal digits the exponent is never left out.
        (Some(digits), _) => match digits.split_once(['p', 'P']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => return false,
        },
        (None, Some((mantissa, exponent))) => (mantissa, Some(exponent)),
        (None, None) => (plain, None),
    };
    let is_digit = |byte: u8| if hexadecimal.is_some() { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    has_digits
        && whole.bytes().chain(fraction.bytes()).all(is_digit)
        && exponent.is_none_or(|exponent| all_digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_java() {
        for text in [
            "1",
            "-1.5",
            "+1",
            "1e5",
            "1E-5",
            ".5",
            "5.",
            "NaN",
            "-Infinity",
            " 1\t",
            "1f",
            "1d ",
            "-0x1p3",
            "0x1.8p1f",
            "1e999",
        ] {
            assert!(is_number(text), "{text}");
        }
        for text in [
            "", ".", "-", "0x1F", "1L", "1,000", "--1", "1e", "e5", "0x", "0x.p1", "0x1p", "nan", "inf", "1ff", "1e+",
            "+.",
        ] {
            assert!(!is_number(text), "{text}");
        }
    }
}
