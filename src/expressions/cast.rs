//! CAST and TRY_CAST as Flink does them: whole numbers wrap, floats saturate, DECIMALs are cut to whole numbers, text
//! is trimmed to its length, and a text that cannot be read is an error or, with TRY_CAST, NULL.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, Decimal128Array, PrimitiveArray,
    StringArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
};

use super::arithmetic::{fits, rescale_decimal};
use super::charset::replaced;
use super::function::{Call, Function, Nulls, Style, Zoned};
use super::instant::{civil_day, parse_timestamp, read_date, read_time, ticks};
use super::nested::{self, has_instant, is_multiset, is_nested, key_and_value, without_instants};
use super::show::Shown;
use super::types::{digits, is_integer, is_numeric, type_name};
use super::typing::never;
use super::zones::{instants, local};
use crate::error::{Error, Result};
use crate::stream::Zone;

/// `CAST(value AS type)`. The parameters are those of [`CastShape`].
pub static CAST: Function = Function {
    fallible: true,
    style: Style::Cast,
    ..Function::strict("CAST", "", never, |call, arguments, _| cast(call, &arguments[0], false))
        .zoned(Zoned::OfInstants)
};

/// `TRY_CAST(value AS type)`
pub static TRY_CAST: Function = Function {
    nulls: Nulls::Possible,
    style: Style::Cast,
    ..Function::strict("TRY_CAST", "", never, |call, arguments, _| cast(call, &arguments[0], true))
        .zoned(Zoned::OfInstants)
};

/// `WRITE(value AS type)`: the value, which has to have the length of the type. The parameters are those of [`CastShape`].
pub static WRITE: Function = Function {
    fallible: true,
    style: Style::Cast,
    ..Function::strict("WRITE", "", never, |call, arguments, _| of_length(call, &arguments[0]))
};

/// What Arrow's types do not say about the two types of a cast.
#[derive(Debug, Clone, Copy, Default)]
pub struct CastShape {
    /// The most characters that a CHAR(n) or VARCHAR(n) holds.
    pub length: Option<u32>,
    /// Whether shorter text is filled with blanks: CHAR(n).
    pub pad: bool,
    /// Digits of the fraction of a second of the value (when it becomes text) or of the target.
    pub precision: Option<u8>,
}

impl CastShape {
    /// The shape as a call's parameters.
    pub fn parameters(self) -> Vec<i64> {
        vec![self.length.map_or(-1, i64::from), i64::from(self.pad), self.precision.map_or(-1, i64::from)]
    }

    /// The shapes of a call: of a nested target one for each of its parts that are not nested, in their order.
    fn of(call: &Call) -> impl Iterator<Item = Self> + Clone {
        call.parameters.chunks_exact(3).map(|shape| Self {
            length: u32::try_from(shape[0]).ok(),
            pad: shape[1] == 1,
            precision: u8::try_from(shape[2]).ok(),
        })
    }
}

/// Fails where a text or bytes are longer than the type, or shorter than a CHAR or BINARY.
fn of_length(call: &Call, values: &ArrayRef) -> Result<ArrayRef> {
    let shape = CastShape::of(call).next().unwrap_or_default();
    let most = shape.length.map_or(usize::MAX, |length| length as usize);
    let is_wrong = |length: &usize| *length > most || shape.pad && *length < most;
    let wrong = match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().iter().flatten().map(|text| text.chars().count()).find(is_wrong),
        DataType::Binary => values.as_binary::<i32>().iter().flatten().map(<[u8]>::len).find(is_wrong),
        other => return Err(Error::bug(format!("the length of {}", type_name(other)))),
    };
    match wrong {
        None => Ok(Arc::clone(values)),
        Some(length) => Err(Error::data(format!(
            "a column of a sink is {}, however, a string of length {length} is being written into it",
            call.detail
        ))
        .with_help("to cut or fill up such values: SET 'table.exec.sink.type-length-enforcer' = 'TRIM_PAD'")),
    }
}

/// Whether Flink has such a cast; if not, a next step.
pub fn is_castable(from: &DataType, to: &DataType) -> Result<(), Option<&'static str>> {
    use DataType::{Binary, Boolean, Date32, Null, Time32, Time64, Timestamp, Utf8};
    let is_time = |data_type: &DataType| matches!(data_type, Time32(_) | Time64(_));
    match (from, to) {
        (Null, _) => Ok(()),
        (one, two) if one == two => Ok(()),
        (Utf8 | Binary, Utf8 | Binary) | (Boolean | Date32 | Timestamp(..), Utf8) => Ok(()),
        (Utf8, Boolean | Date32 | Timestamp(..)) => Ok(()),
        (Utf8, number) | (number, Utf8) if is_numeric(number) || is_time(number) => Ok(()),
        (one, two) if (is_numeric(one) || *one == Boolean) && (is_numeric(two) || *two == Boolean) => Ok(()),
        (Timestamp(..) | Date32, Timestamp(..) | Date32) => Ok(()),
        (Timestamp(..), time) if is_time(time) => Ok(()),
        (one, two) if is_time(one) && is_time(two) => Ok(()),
        (time, Timestamp(..)) if is_time(time) => Ok(()),
        (one, Utf8) if is_nested(one) => Ok(()),
        (DataType::List(one), DataType::List(two)) => is_castable(one.data_type(), two.data_type()),
        (DataType::Struct(ones), DataType::Struct(twos)) if ones.len() == twos.len() => {
            ones.iter().zip(twos).try_for_each(|(one, two)| is_castable(one.data_type(), two.data_type()))
        }
        (DataType::Map(..), DataType::Map(..)) if is_multiset(from) == is_multiset(to) => {
            let (Some((key, value)), Some((other_key, other_value))) = (key_and_value(from), key_and_value(to)) else {
                return Err(None);
            };
            is_castable(key, other_key).and_then(|()| is_castable(value, other_value))
        }
        (number, Timestamp(..)) if is_numeric(number) => {
            Err(Some("use TO_TIMESTAMP_LTZ(n, 3) for milliseconds or TO_TIMESTAMP_LTZ(n, 0) for seconds since 1970"))
        }
        (Timestamp(..), number) if is_numeric(number) => {
            Err(Some("use TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', t) for seconds since 1970"))
        }
        _ => Err(None),
    }
}

/// Values as a plain CAST makes them; a text that cannot be read is an error.
pub fn cast_values(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    nested::converted(values, to, std::iter::empty(), &converted, false)
}

fn cast(call: &Call, values: &ArrayRef, lenient: bool) -> Result<ArrayRef> {
    let zone = call.zone;
    let flat = |values: &ArrayRef, to: &DataType, shape, lenient| in_zone(values, to, shape, zone, lenient);
    nested::converted(values, &call.output, CastShape::of(call), &flat, lenient)
}

/// Values of which the target is not nested, with the clocks of a zone.
fn in_zone(values: &ArrayRef, to: &DataType, shape: CastShape, zone: Zone, lenient: bool) -> Result<ArrayRef> {
    match (values.data_type(), to) {
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, Some(_))) => converted(values, to, shape, lenient),
        // What the clocks show becomes whatever it is.
        (DataType::Timestamp(_, Some(_)), to) => converted(&local(values, zone)?, to, shape, lenient),
        (_, DataType::Timestamp(unit, Some(_))) => {
            instants(&converted(values, &DataType::Timestamp(*unit, None), shape, lenient)?, zone)
        }
        (nested, to) if is_nested(nested) && has_instant(nested) => {
            let flat = |values: &ArrayRef, to: &DataType, shape, lenient| in_zone(values, to, shape, zone, lenient);
            let shown = nested::converted(values, &without_instants(nested), std::iter::empty(), &flat, lenient)?;
            converted(&shown, to, shape, lenient)
        }
        (_, to) => converted(values, to, shape, lenient),
    }
}

/// Values of which the target is not nested.
fn converted(values: &ArrayRef, to: &DataType, shape: CastShape, lenient: bool) -> Result<ArrayRef> {
    let from = values.data_type().clone();
    let converted: Result<ArrayRef> = match (&from, to) {
        (DataType::Utf8 | DataType::Binary, DataType::Binary) => to_bytes(values, shape),
        (DataType::Null, to) => Ok(arrow::array::new_null_array(to, values.len())),
        (_, DataType::Utf8) => to_text(values, shape),
        (DataType::Utf8, to) => from_text(values.as_string::<i32>(), to, lenient),
        (DataType::Time32(_) | DataType::Time64(_), DataType::Timestamp(unit, _)) => on_first_day(values, *unit, to),
        (_, DataType::Timestamp(unit, _)) => to_timestamp(&scaled(values, *unit)?, to, lenient),
        (DataType::Boolean, to) => arrow_cast(&arrow_cast(values, &DataType::Int8)?, to),
        (_, DataType::Boolean) => Ok(Arc::new(not_zero(values)?)),
        (DataType::Timestamp(..), DataType::Date32) => {
            let (ticks, per_second) = ticks(values)?;
            let days: PrimitiveArray<Date32Type> =
                ticks.unary(|tick| i32::try_from(tick.div_euclid(86_400 * per_second)).unwrap_or(i32::MAX));
            Ok(Arc::new(days))
        }
        (_, DataType::Decimal128(precision, scale)) => to_decimal(values, *precision, *scale),
        (_, to) if is_integer(to) => to_integer(values, to),
        _ => arrow_cast(values, to),
    };
    Ok(round_down(converted?, shape))
}

fn arrow_cast(values: &dyn Array, to: &DataType) -> Result<ArrayRef> {
    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
    Ok(arrow::compute::cast_with_options(values, to, &options)?)
}

/// A time as one of another unit, of which a fine one does not reach so far.
fn to_timestamp(values: &ArrayRef, to: &DataType, lenient: bool) -> Result<ArrayRef> {
    let options = arrow::compute::CastOptions { safe: lenient, ..Default::default() };
    arrow::compute::cast_with_options(values, to, &options).map_err(|_| {
        Error::data(format!("a time before 1677-09-22 or behind 2262-04-11 cannot be cast to {}", type_name(to)))
            .with_help("TIMESTAMP(6) reaches further; TRY_CAST gives NULL for such a value")
    })
}

/// A time cut to a coarser unit towards the past, where Arrow would cut towards 1970.
fn scaled(values: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let DataType::Timestamp(from, zone) = values.data_type() else {
        return Ok(Arc::clone(values));
    };
    if digits(*from) <= digits(unit) {
        return Ok(Arc::clone(values));
    }
    let factor = 10_i64.pow(u32::from(digits(*from) - digits(unit)));
    let (ticks, _) = ticks(values)?;
    let floor: PrimitiveArray<Int64Type> = ticks.unary(|tick| tick.div_euclid(factor));
    arrow_cast(&floor, &DataType::Timestamp(unit, zone.clone()))
}

/// A time of day as one of 1970-01-01, cut to the unit.
fn on_first_day(values: &ArrayRef, unit: TimeUnit, to: &DataType) -> Result<ArrayRef> {
    let (ticks, per_second) = ticks(values)?;
    let wanted = 10_i64.pow(u32::from(digits(unit)));
    let moved: PrimitiveArray<Int64Type> = ticks.unary(|tick| match per_second.cmp(&wanted) {
        Ordering::Greater => tick / (per_second / wanted),
        _ => tick * (wanted / per_second),
    });
    arrow_cast(&moved, to)
}

/// `TIMESTAMP(0)` or `TIME(0)` in a column of milliseconds: the fraction is cut off.
fn round_down(values: ArrayRef, shape: CastShape) -> ArrayRef {
    let (Some(precision), DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit)) =
        (shape.precision, values.data_type())
    else {
        return values;
    };
    if precision >= digits(*unit) {
        return values;
    }
    let step = 10_i64.pow(u32::from(digits(*unit) - precision));
    let Ok((ticks, _)) = ticks(&values) else {
        return values;
    };
    let cut = ticks.unary::<_, Int64Type>(|tick| tick.div_euclid(step) * step);
    let number = if matches!(values.data_type(), DataType::Time32(_)) { DataType::Int32 } else { DataType::Int64 };
    let cut = arrow::compute::cast(&cut, &number).and_then(|cut| arrow::compute::cast(&cut, values.data_type()));
    cut.unwrap_or(values)
}

fn not_zero(values: &ArrayRef) -> Result<BooleanArray> {
    let doubles = arrow_cast(values, &DataType::Float64)?;
    Ok(BooleanArray::from_unary(doubles.as_primitive::<Float64Type>(), |value| value != 0.0))
}

/// Numbers to whole numbers: as Java's casts do it.
pub(super) fn to_integer(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    // To BIGINT first: whole numbers as they are, floats saturated, decimals cut.
    let floats = matches!(values.data_type(), DataType::Float32 | DataType::Float64);
    let wide: PrimitiveArray<Int64Type> = match values.data_type() {
        DataType::Float32 if *to == DataType::Int64 => values.as_primitive::<Float32Type>().unary(|value| value as i64),
        DataType::Float64 if *to == DataType::Int64 => values.as_primitive::<Float64Type>().unary(|value| value as i64),
        // Java goes by INT to the smaller types.
        DataType::Float32 => values.as_primitive::<Float32Type>().unary(|value| i64::from(value as i32)),
        DataType::Float64 => values.as_primitive::<Float64Type>().unary(|value| i64::from(value as i32)),
        DataType::Decimal128(_, scale) => {
            let unit = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
            values.as_primitive::<Decimal128Type>().unary(|value| (value / unit) as i64)
        }
        _ => arrow_cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
    };
    debug_assert!(!floats || wide.len() == values.len());
    Ok(match to {
        DataType::Int8 => Arc::new(wide.unary::<_, Int8Type>(|value| value as i8)),
        DataType::Int16 => Arc::new(wide.unary::<_, Int16Type>(|value| value as i16)),
        DataType::Int32 => Arc::new(wide.unary::<_, Int32Type>(|value| value as i32)),
        _ => Arc::new(wide),
    })
}

/// Numbers to DECIMAL, rounded half up; NULL where a value has too many digits.
fn to_decimal(values: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let result: Decimal128Array = match values.data_type() {
        DataType::Decimal128(_, from) => values
            .as_primitive::<Decimal128Type>()
            .iter()
            .map(|value| rescale_decimal(value?, *from, scale, precision))
            .collect(),
        DataType::Float32 | DataType::Float64 => {
            let doubles = arrow_cast(values, &DataType::Float64)?;
            let doubles = doubles.as_primitive::<Float64Type>();
            doubles.iter().map(|value| parse_decimal(&format!("{:e}", value?), precision, scale)).collect()
        }
        _ => {
            let whole = arrow_cast(values, &DataType::Int64)?;
            let whole = whole.as_primitive::<Int64Type>();
            whole.iter().map(|value| rescale_decimal(i128::from(value?), 0, scale, precision)).collect()
        }
    };
    Ok(Arc::new(result.with_precision_and_scale(precision, scale)?))
}

fn to_text(values: &ArrayRef, shape: CastShape) -> Result<ArrayRef> {
    let texts: ArrayRef = match values.data_type() {
        DataType::Utf8 => Arc::clone(values),
        DataType::Binary => {
            let bytes = values.as_binary::<i32>();
            Arc::new(bytes.iter().map(|value| value.map(replaced)).collect::<StringArray>())
        }
        _ => {
            let shown = Shown::new(values, shape.precision)?;
            let mut builder = arrow::array::StringBuilder::with_capacity(values.len(), values.len() * 8);
            let mut buffer = String::new();
            for row in 0..values.len() {
                if values.is_null(row) {
                    builder.append_null();
                } else {
                    buffer.clear();
                    shown.write(row, &mut buffer);
                    builder.append_value(&buffer);
                }
            }
            Arc::new(builder.finish())
        }
    };
    let Some(length) = shape.length else {
        return Ok(texts);
    };
    let length = length as usize;
    let texts = texts.as_string::<i32>();
    let fitted: StringArray = texts.iter().map(|text| text.map(|text| fit(text, length, shape.pad))).collect();
    Ok(Arc::new(fitted))
}

/// Cut to a length, and filled up with zeros for BINARY(n).
fn to_bytes(values: &ArrayRef, shape: CastShape) -> Result<ArrayRef> {
    let bytes = arrow_cast(values, &DataType::Binary)?;
    let Some(length) = shape.length else {
        return Ok(bytes);
    };
    let length = length as usize;
    let fitted = bytes.as_binary::<i32>().iter().map(|value| {
        value.map(|value| {
            let mut fitted = value[..value.len().min(length)].to_vec();
            if shape.pad {
                fitted.resize(length, 0);
            }
            fitted
        })
    });
    Ok(Arc::new(fitted.collect::<BinaryArray>()))
}

/// Cuts a text to `length` characters, or fills it up.
fn fit(text: &str, length: usize, pad: bool) -> String {
    let mut fitted: String = text.chars().take(length).collect();
    if pad {
        let have = fitted.chars().count();
        fitted.extend(std::iter::repeat_n(' ', length - have));
    }
    fitted
}

fn from_text(texts: &StringArray, to: &DataType, lenient: bool) -> Result<ArrayRef> {
    fn parsed<T: ArrowPrimitiveType>(
        texts: &StringArray,
        to: &DataType,
        lenient: bool,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        let mut builder = PrimitiveArray::<T>::builder(texts.len()).with_data_type(to.clone());
        for text in texts {
            match text {
                None => builder.append_null(),
                Some(text) => match parse(text) {
                    None if !lenient => return Err(unreadable(text, to)),
                    value => builder.append_option(value),
                },
            }
        }
        Ok(Arc::new(builder.finish()))
    }
    match to {
        DataType::Boolean => {
            let mut builder = arrow::array::BooleanBuilder::with_capacity(texts.len());
            for text in texts {
                match text.map(|text| (text, parse_boolean(text.trim()))) {
                    Some((text, None)) if !lenient => return Err(unreadable(text, to)),
                    value => builder.append_option(value.and_then(|(_, value)| value)),
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Int8 => parsed::<Int8Type>(texts, to, lenient, |text| parse_integer(text.trim())?.try_into().ok()),
        DataType::Int16 => parsed::<Int16Type>(texts, to, lenient, |text| parse_integer(text.trim())?.try_into().ok()),
        DataType::Int32 => parsed::<Int32Type>(texts, to, lenient, |text| parse_integer(text.trim())?.try_into().ok()),
        DataType::Int64 => parsed::<Int64Type>(texts, to, lenient, |text| parse_integer(text.trim())),
        DataType::Float32 => parsed::<Float32Type>(texts, to, lenient, |text| parse_float(text.trim())?.parse().ok()),
        DataType::Float64 => parsed::<Float64Type>(texts, to, lenient, |text| parse_float(text.trim())?.parse().ok()),
        DataType::Decimal128(precision, scale) => {
            let values = texts.iter().map(|text| match text.map(str::trim) {
                None => Ok(None),
                Some(text) => match parse_decimal(text, *precision, *scale) {
                    // A number with too many digits is NULL; what is no number is an error.
                    None if !lenient && !text.parse::<f64>().is_ok_and(f64::is_finite) => Err(unreadable(text, to)),
                    value => Ok(value),
                },
            });
            let values = values.collect::<Result<Decimal128Array>>()?;
            Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?))
        }
        DataType::Date32 => parsed::<Date32Type>(texts, to, lenient, |text| read_date(text).map(civil_day)),
        DataType::Timestamp(unit, zone) => {
            let wide = DataType::Timestamp(*unit, zone.clone());
            let nanos = 10_i128.pow(9 - u32::from(digits(*unit)));
            let values = parsed::<Int64Type>(texts, &DataType::Int64, lenient, |text| {
                i64::try_from(parse_timestamp(text)?.div_euclid(nanos)).ok()
            });
            let values = values.map_err(|error| relabel(error, &wide))?;
            arrow_cast(&values, &wide)
        }
        DataType::Time32(unit) => {
            let nanos = 10_i64.pow(9 - u32::from(digits(*unit)));
            let values = parsed::<Int32Type>(texts, &DataType::Int32, lenient, |text| {
                i32::try_from(read_time(text.trim(), nanos)?).ok()
            });
            arrow_cast(&values.map_err(|error| relabel(error, to))?, to)
        }
        DataType::Time64(unit) => {
            let nanos = 10_i64.pow(9 - u32::from(digits(*unit)));
            let values = parsed::<Int64Type>(texts, &DataType::Int64, lenient, |text| read_time(text.trim(), nanos));
            arrow_cast(&values.map_err(|error| relabel(error, to))?, to)
        }
        other => Err(Error::bug(format!("a cast from STRING to {}", type_name(other)))),
    }
}

fn unreadable(text: &str, to: &DataType) -> Error {
    Error::data(format!("'{text}' cannot be cast to {}", type_name(to)))
        .with_help("TRY_CAST gives NULL for such a value")
}

/// Values that were read as plain numbers first: the message names the type that was asked for.
fn relabel(error: Error, to: &DataType) -> Error {
    let message = error.message().replace("BIGINT", &type_name(to)).replace("INT", &type_name(to));
    Error::data(message).with_help("TRY_CAST gives NULL for such a value")
}

/// What Java reads as a float: digits, `NaN` and `Infinity`, but not Rust's other names for those.
fn parse_float(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') || digits == "Infinity" || text == "NaN")
        .then_some(text)
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number; digits behind a point are read and cut off, as in Flink.
fn parse_integer(text: &str) -> Option<i64> {
    let Some((whole, fraction)) = text.split_once('.') else {
        return text.parse().ok();
    };
    match whole {
        _ if !fraction.bytes().all(|byte| byte.is_ascii_digit()) => None,
        "" | "+" | "-" => Some(0),
        whole => whole.parse().ok(),
    }
}

/// A decimal number, with an exponent perhaps, rounded half up to the scale.
pub fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // How many of the digits stand in the result: those before the point, and `scale` behind it.
    let kept = i32::try_from(whole.len()).ok()? + exponent + i32::from(scale);
    let mut value: i128 = 0;
    for position in 0..kept.max(0) {
        let digit =
            usize::try_from(position).ok().and_then(|position| digits.get(position)).map_or(0, |digit| digit - b'0');
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    if kept >= 0 && usize::try_from(kept).ok().and_then(|next| digits.get(next)).is_some_and(|digit| *digit >= b'5') {
        value += 1;
    }
    let value = if negative { -value } else { value };
    fits(value, precision).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int32Array, TimestampMillisecondArray};

    fn run(values: ArrayRef, to: DataType, shape: CastShape) -> Result<ArrayRef> {
        cast(&Call::new(&CAST, to, true, shape.parameters()), &values, false)
    }

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn strings(values: &ArrayRef) -> Vec<String> {
        values.as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect()
    }

    #[test]
    fn t10_numbers_wrap_saturate_and_are_cut() {
        let wrapped = run(Arc::new(Int32Array::from(vec![1000])), DataType::Int8, CastShape::default()).unwrap();
        assert_eq!(wrapped.as_primitive::<Int8Type>().value(0), -24);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1e10, -1.9, f64::NAN]));
        let cut = run(floats, DataType::Int32, CastShape::default()).unwrap();
        assert_eq!(cut.as_primitive::<Int32Type>().values(), &[i32::MAX, -1, 0]);
        let decimals: ArrayRef =
            Arc::new(Decimal128Array::from(vec![2990, -1999]).with_precision_and_scale(10, 3).unwrap());
        let cut = run(decimals, DataType::Int32, CastShape::default()).unwrap();
        assert_eq!(cut.as_primitive::<Int32Type>().values(), &[2, -1]);
    }

    #[test]
    fn t11_text_is_cut_and_filled() {
        let char_of = |length| CastShape { length: Some(length), pad: true, precision: None };
        assert_eq!(strings(&run(texts(&["a", "abcd"]), DataType::Utf8, char_of(3)).unwrap()), ["a  ", "abc"]);
        let varchar = CastShape { length: Some(2), ..CastShape::default() };
        assert_eq!(strings(&run(texts(&["é€x"]), DataType::Utf8, varchar).unwrap()), ["é€"]);
    }

    #[test]
    fn t13_texts_of_values() {
        let shape = CastShape::default();
        assert_eq!(strings(&run(Arc::new(BooleanArray::from(vec![true])), DataType::Utf8, shape).unwrap()), ["TRUE"]);
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1e20, 0.001, 1e-5, -12345.678, 1e7]));
        assert_eq!(
            strings(&run(doubles, DataType::Utf8, shape).unwrap()),
            ["1.0", "1.0E20", "0.001", "1.0E-5", "-12345.678", "1.0E7"]
        );
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1_704_067_200_000]));
        let seconds = CastShape { precision: Some(0), ..shape };
        assert_eq!(strings(&run(Arc::clone(&times), DataType::Utf8, seconds).unwrap()), ["2024-01-01 00:00:00"]);
        assert_eq!(strings(&run(times, DataType::Utf8, shape).unwrap()), ["2024-01-01 00:00:00.000"]);
    }

    #[test]
    fn t9_text_that_cannot_be_read_fails_or_is_null() {
        let error = run(texts(&["1", "x"]), DataType::Int32, CastShape::default()).unwrap_err();
        assert_eq!(error.message(), "'x' cannot be cast to INT");
        let call = Call::new(&TRY_CAST, DataType::Int32, true, CastShape::default().parameters());
        let tried = cast(&call, &texts(&["1", "x"]), true).unwrap();
        assert_eq!((tried.null_count(), tried.as_primitive::<Int32Type>().value(0)), (1, 1));
    }

    #[test]
    fn times_and_decimals_are_read() {
        let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
        let times = run(texts(&["2024-01-01 00:00:01.5", "2024-01-01"]), millis, CastShape::default()).unwrap();
        let times = times.as_primitive::<arrow::datatypes::TimestampMillisecondType>();
        assert_eq!(times.values(), &[1_704_067_201_500, 1_704_067_200_000]);
        for (text, value) in
            [("1.005", Some(101)), ("-2.5e1", Some(-2500)), ("1e9", None), ("0.001", Some(0)), ("x", None)]
        {
            assert_eq!(parse_decimal(text, 5, 2), value, "{text}");
        }
    }

    #[test]
    fn t12_a_number_is_no_time() {
        let help = is_castable(&DataType::Int32, &DataType::Timestamp(TimeUnit::Millisecond, None)).unwrap_err();
        assert!(help.unwrap().contains("TO_TIMESTAMP_LTZ"));
    }
}
