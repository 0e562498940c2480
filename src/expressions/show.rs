//! Values as text, in the spelling that Flink's CAST to STRING gives them.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int64Type};
use chrono::Datelike;

use super::charset::replaced;
use super::instant::date_of;
use super::types::{digits, type_name};
use crate::error::{Error, Result};

/// A column whose values can be written one by one.
pub struct Shown<'a> {
    values: &'a ArrayRef,
    /// Ticks of times, days of dates, whole numbers.
    numbers: Option<ArrayRef>,
    precision: u8,
    /// What the values are made of.
    parts: Vec<Shown<'a>>,
}

impl<'a> Shown<'a> {
    /// `precision` is the number of digits behind the second of a time; without, those of its unit.
    pub fn new(values: &'a ArrayRef, precision: Option<u8>) -> Result<Self> {
        let own = match values.data_type() {
            DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => digits(*unit),
            _ => 0,
        };
        let parts: Vec<&ArrayRef> = match values.data_type() {
            DataType::List(_) => vec![values.as_list::<i32>().values()],
            DataType::Map(..) => vec![values.as_map().keys(), values.as_map().values()],
            DataType::Struct(_) => values.as_struct().columns().iter().collect(),
            _ => Vec::new(),
        };
        let parts = parts.into_iter().map(|part| Self::new(part, None)).collect::<Result<_>>()?;
        let numbers = match values.data_type() {
            DataType::List(_) | DataType::Map(..) | DataType::Struct(_) | DataType::Binary => None,
            DataType::Utf8 | DataType::Boolean | DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
                None
            }
            DataType::Time32(_) | DataType::Date32 => {
                Some(arrow::compute::cast(&arrow::compute::cast(values, &DataType::Int32)?, &DataType::Int64)?)
            }
            DataType::Timestamp(..) | DataType::Time64(_) => Some(arrow::compute::cast(values, &DataType::Int64)?),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                Some(arrow::compute::cast(values, &DataType::Int64)?)
            }
            other => return Err(Error::query(format!("{} cannot be written as text", type_name(other)))),
        };
        Ok(Self { values, numbers, precision: precision.unwrap_or(own).min(own), parts })
    }

    fn write_part(&self, part: usize, row: usize, to: &mut String) {
        let part = &self.parts[part];
        match part.values.is_null(row) {
            true => to.push_str("NULL"),
            false => part.write(row, to),
        }
    }

    /// Appends the value of a row that is not NULL.
    pub fn write(&self, row: usize, to: &mut String) {
        let number = self.numbers.as_ref().map_or(0, |numbers| numbers.as_primitive::<Int64Type>().value(row));
        match self.values.data_type() {
            DataType::Utf8 => to.push_str(self.values.as_string::<i32>().value(row)),
            DataType::Binary => to.push_str(&replaced(self.values.as_binary::<i32>().value(row))),
            DataType::List(_) => {
                let offsets = self.values.as_list::<i32>().value_offsets();
                to.push('[');
                separated(offsets[row]..offsets[row + 1], to, |element, to| self.write_part(0, element as usize, to));
                to.push(']');
            }
            DataType::Map(..) => {
                let offsets = self.values.as_map().value_offsets();
                to.push('{');
                separated(offsets[row]..offsets[row + 1], to, |entry, to| {
                    self.write_part(0, entry as usize, to);
                    to.push('=');
                    self.write_part(1, entry as usize, to);
                });
                to.push('}');
            }
            DataType::Struct(_) => {
                to.push('(');
                separated(0..self.parts.len(), to, |field, to| self.write_part(field, row, to));
                to.push(')');
            }
            DataType::Boolean => to.push_str(if self.values.as_boolean().value(row) { "TRUE" } else { "FALSE" }),
            DataType::Float32 => {
                let value = self.values.as_primitive::<Float32Type>().value(row);
                write_float(&format!("{value:e}"), to);
            }
            DataType::Float64 => {
                let value = self.values.as_primitive::<Float64Type>().value(row);
                write_float(&format!("{value:e}"), to);
            }
            DataType::Decimal128(_, scale) => {
                write_decimal(self.values.as_primitive::<Decimal128Type>().value(row), *scale, to);
            }
            DataType::Date32 => write_date(number, to),
            DataType::Time32(unit) | DataType::Time64(unit) => {
                write_time_alone(number, digits(*unit), self.precision, to);
            }
            DataType::Timestamp(unit, _) => {
                let per_day = 86_400 * 10_i64.pow(u32::from(digits(*unit)));
                write_date(number.div_euclid(per_day), to);
                to.push(' ');
                write_time(number.rem_euclid(per_day), digits(*unit), self.precision, to);
            }
            _ => _ = write!(to, "{number}"),
        }
    }
}

/// Things with a comma between them.
fn separated<T: Copy + PartialEq>(
    things: impl Iterator<Item = T> + Clone,
    to: &mut String,
    write: impl Fn(T, &mut String),
) {
    let first = things.clone().next();
    for thing in things {
        if Some(thing) != first {
            to.push_str(", ");
        }
        write(thing, to);
    }
}

fn write_date(day: i64, to: &mut String) {
    let date = date_of(day);
    _ = write!(to, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
}

/// `unit` digits are in a tick, `precision` of them are written.
fn write_time(ticks: i64, unit: u8, precision: u8, to: &mut String) {
    let per_second = 10_i64.pow(u32::from(unit));
    let (second, fraction) = (ticks / per_second, ticks % per_second);
    _ = write!(to, "{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    if precision > 0 {
        let shown = fraction / 10_i64.pow(u32::from(unit - precision));
        _ = write!(to, ".{shown:0width$}", width = usize::from(precision));
    }
}

/// A TIME, as Flink writes it: of the zeros at the end of its fraction one at most stays.
fn write_time_alone(ticks: i64, unit: u8, precision: u8, to: &mut String) {
    write_time(ticks, unit, precision, to);
    while precision > 0 && to.ends_with('0') && !to.ends_with(".0") {
        to.pop();
    }
}

/// A DECIMAL with all digits of its scale.
pub fn write_decimal(value: i128, scale: i8, to: &mut String) {
    let digits = usize::try_from(scale).unwrap_or(0);
    if value < 0 {
        to.push('-');
    }
    let text = format!("{:0>width$}", value.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    to.push_str(whole);
    if digits > 0 {
        to.push('.');
        to.push_str(fraction);
    }
}

/// Java's spelling of a float from Rust's shortest scientific one: plain between 0.001 and ten million, else with `E`.
fn write_float(scientific: &str, to: &mut String) {
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        to.push_str(match scientific {
            "inf" => "Infinity",
            "-inf" => "-Infinity",
            other => other,
        });
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|character| *character != '.').collect();
    to.push_str(sign);
    if digits == "0" {
        to.push_str("0.0");
    } else if (0..7).contains(&exponent) {
        let whole = usize::try_from(exponent).unwrap_or(0) + 1;
        let padded = format!("{digits:0<whole$}");
        let (head, tail) = padded.split_at(whole);
        _ = write!(to, "{head}.{}", if tail.is_empty() { "0" } else { tail });
    } else if (-3..0).contains(&exponent) {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        _ = write!(to, "0.{}{digits}", "0".repeat(zeros));
    } else {
        let (head, tail) = digits.split_at(1);
        _ = write!(to, "{head}.{}E{exponent}", if tail.is_empty() { "0" } else { tail });
    }
}
