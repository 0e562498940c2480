//! Literals: numbers, strings, and typed ones such as `TIMESTAMP '2024-01-01 00:00:00'`.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, lit};
use sqlparser::ast::{self, Value};

use super::Bound;
use crate::error::{Error, Result};
use crate::expressions::{civil_day, parse_date, parse_decimal, parse_time, parse_timestamp};
use crate::sql::SqlType;

/// A plain literal.
pub fn value(value: &Value) -> Result<Bound> {
    match value {
        Value::Number(text, _) => number(text),
        Value::Boolean(value) => Ok(Bound::new(lit(*value), SqlType::Boolean, false)),
        Value::Null => Ok(Bound { expr: Expr::Literal(ScalarValue::Null, None), data_type: None, nullable: true }),
        Value::SingleQuotedString(text)
        | Value::EscapedStringLiteral(text)
        | Value::UnicodeStringLiteral(text)
        | Value::NationalStringLiteral(text) => {
            let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
            Ok(Bound::new(lit(text.as_str()), SqlType::Char(length), false))
        }
        Value::HexStringLiteral(digits) => {
            let bytes: Option<Vec<u8>> = (0..digits.len())
                .step_by(2)
                .map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
                .collect();
            let bytes = bytes.ok_or_else(|| Error::query(format!("X'{digits}' is no pair of hexadecimal digits")))?;
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            Ok(Bound::new(lit(ScalarValue::Binary(Some(bytes))), SqlType::Binary(length), false))
        }
        other => Err(Error::query(format!("{other} is no literal of Flink's"))),
    }
}

/// A number: INT if it fits, else BIGINT, else DECIMAL; with a point DECIMAL, with an exponent DOUBLE.
pub fn number(text: &str) -> Result<Bound> {
    if text.contains(['e', 'E']) {
        let value: f64 = text.parse().map_err(|_| Error::query(format!("{text} is no number")))?;
        return Ok(Bound::new(lit(value), SqlType::Double, false));
    }
    if let Ok(value) = text.parse::<i32>() {
        return Ok(Bound::new(lit(value), SqlType::Int, false));
    }
    if let Ok(value) = text.parse::<i64>() {
        return Ok(Bound::new(lit(value), SqlType::BigInt, false));
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let too_long = || Error::query(format!("{text} has more than 38 digits"));
    let precision = u8::try_from(digits).ok().filter(|digits| *digits <= 38).ok_or_else(too_long)?;
    let scale = u8::try_from(scale).map_err(|_| too_long())?;
    let value = parse_decimal(text, precision, scale.cast_signed());
    let value = value.ok_or_else(|| Error::query(format!("{text} is no number")))?;
    let literal = ScalarValue::Decimal128(Some(value), precision, scale.cast_signed());
    Ok(Bound::new(lit(literal), SqlType::Decimal(precision, scale), false))
}

/// `DATE '…'`, `TIME '…'`, `TIMESTAMP '…'`: the precision is the number of digits written.
pub fn typed(data_type: &ast::DataType, value: &Value) -> Result<Bound> {
    let text = match value {
        Value::SingleQuotedString(text) => text.trim(),
        other => return Err(Error::query(format!("expected a string, found {other}"))),
    };
    let fraction = text.split_once('.').map_or(0, |(_, fraction)| fraction.len().min(9));
    let precision = u8::try_from(fraction).unwrap_or(9);
    let unreadable = |example: &str| Error::query(format!("'{text}' is no {data_type}")).with_help(format!("write {example}"));
    let bound = |scalar: ScalarValue, sql_type: SqlType| Bound::new(lit(scalar), sql_type, false);
    match data_type {
        ast::DataType::Date => {
            let date = parse_date(text).ok_or_else(|| unreadable("DATE '2024-01-31'"))?;
            Ok(bound(ScalarValue::Date32(Some(civil_day(date))), SqlType::Date))
        }
        ast::DataType::Timestamp(..) | ast::DataType::TimestampNtz(_) | ast::DataType::Datetime(_) => {
            let nanos = parse_timestamp(text).ok_or_else(|| unreadable("TIMESTAMP '2024-01-31 12:00:00'"))?;
            let ticks = |per_tick: i128| i64::try_from(nanos.div_euclid(per_tick)).ok();
            let scalar = match precision {
                0..=3 => ScalarValue::TimestampMillisecond(ticks(1_000_000), None),
                4..=6 => ScalarValue::TimestampMicrosecond(ticks(1_000), None),
                _ => ScalarValue::TimestampNanosecond(ticks(1), None),
            };
            Ok(bound(scalar, SqlType::Timestamp(precision)))
        }
        ast::DataType::Time(..) => {
            let nanos = parse_time(text).ok_or_else(|| unreadable("TIME '12:00:00'"))?;
            let scalar = match precision {
                0..=3 => ScalarValue::Time32Millisecond(i32::try_from(nanos / 1_000_000).ok()),
                4..=6 => ScalarValue::Time64Microsecond(Some(nanos / 1_000)),
                _ => ScalarValue::Time64Nanosecond(Some(nanos)),
            };
            Ok(bound(scalar, SqlType::Time(precision)))
        }
        other => Err(Error::query(format!("there is no literal of type {other}"))
            .with_help(format!("use CAST('{text}' AS {other})"))),
    }
}
