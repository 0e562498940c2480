//! Literals with Flink's types: whole numbers are INT if they fit, numbers with a point are DECIMAL, with an exponent DOUBLE.

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::typed::Typed;
use crate::error::{Error, Result};
use crate::expressions::{civil_day, parse_date, parse_decimal, parse_time, parse_timestamp};
use crate::sql::SqlType;

/// A literal without a type word before it.
pub fn literal(value: &ast::Value) -> Result<Typed> {
    let scalar = match value {
        ast::Value::Number(text, _) => return number(text),
        ast::Value::SingleQuotedString(text) => ScalarValue::Utf8(Some(text.clone())),
        ast::Value::Boolean(value) => ScalarValue::Boolean(Some(*value)),
        ast::Value::HexStringLiteral(text) => ScalarValue::Binary(Some(bytes(text)?)),
        ast::Value::Null => ScalarValue::Null,
        other => return Err(Error::query(format!("the literal {other} is not built yet"))),
    };
    Ok(of(scalar))
}

/// `X'0a1b'`
fn bytes(text: &str) -> Result<Vec<u8>> {
    let broken = || Error::query(format!("X'{text}' is not made of pairs of the digits 0 to 9 and A to F"));
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(broken());
    }
    let pairs = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).map_err(|_| broken())).collect()
}

fn number(text: &str) -> Result<Typed> {
    let too_large = || Error::query(format!("the number {text} has more than 38 digits"));
    if text.contains(['e', 'E']) {
        let value: f64 = text.parse().map_err(|_| Error::query(format!("{text} is no number")))?;
        if value.is_infinite() {
            return Err(Error::query(format!("Numeric literal '{text}' out of range")));
        }
        return Ok(of(ScalarValue::Float64(Some(value))));
    }
    match text.split_once('.') {
        None => {
            if let Ok(value) = text.parse::<i32>() {
                return Ok(of(ScalarValue::Int32(Some(value))));
            }
            if let Ok(value) = text.parse::<i64>() {
                return Ok(of(ScalarValue::Int64(Some(value))));
            }
            let digits = u8::try_from(text.trim_start_matches('0').len()).map_err(|_| too_large())?;
            decimal(text, digits, 0).ok_or_else(too_large)
        }
        Some((whole, fraction)) => {
            let scale = u8::try_from(fraction.len()).map_err(|_| too_large())?;
            let whole = whole.trim_start_matches('0').len();
            let precision = u8::try_from(whole + fraction.len()).map_err(|_| too_large())?.max(1);
            decimal(text, precision, scale).ok_or_else(too_large)
        }
    }
}

fn decimal(text: &str, precision: u8, scale: u8) -> Option<Typed> {
    if precision > 38 {
        return None;
    }
    let value = parse_decimal(text, precision, scale.cast_signed())?;
    Some(of(ScalarValue::Decimal128(Some(value), precision, scale.cast_signed())))
}

/// `DATE '…'`, `TIME '…'`, `TIMESTAMP '…'`.
pub fn typed_string(data_type: &ast::DataType, text: &str) -> Result<Typed> {
    let unreadable = |what: &str, shape: &str| {
        Error::query(format!("'{text}' is no {what}")).with_help(format!("write {what} '{shape}'"))
    };
    let fraction = u8::try_from(text.split_once('.').map_or(0, |(_, digits)| digits.len())).unwrap_or(9);
    match data_type {
        ast::DataType::Date => {
            let date = parse_date(text).ok_or_else(|| unreadable("DATE", "2024-01-31"))?;
            Ok(of(ScalarValue::Date32(Some(civil_day(date)))))
        }
        ast::DataType::Time(..) => {
            let nanos = parse_time(text).ok_or_else(|| unreadable("TIME", "10:11:12"))?;
            let scalar = match fraction {
                0..=3 => ScalarValue::Time32Millisecond(i32::try_from(nanos / 1_000_000).ok()),
                4..=6 => ScalarValue::Time64Microsecond(Some(nanos / 1_000)),
                _ => ScalarValue::Time64Nanosecond(Some(nanos)),
            };
            Ok(Typed { declared: Some(SqlType::Time(fraction)), ..of(scalar) })
        }
        ast::DataType::Timestamp(..) => {
            let refuse = || unreadable("TIMESTAMP", "2024-01-31 10:11:12");
            // A literal has to be a real day.
            parse_date(text.split(' ').next().unwrap_or(text)).ok_or_else(refuse)?;
            let nanos = parse_timestamp(text).ok_or_else(refuse)?;
            let ticks = |length: i128| i64::try_from(nanos.div_euclid(length)).map_err(|_| refuse());
            let scalar = match fraction {
                0..=3 => ScalarValue::TimestampMillisecond(Some(ticks(1_000_000)?), None),
                4..=6 => ScalarValue::TimestampMicrosecond(Some(ticks(1_000)?), None),
                _ => ScalarValue::TimestampNanosecond(Some(ticks(1)?), None),
            };
            Ok(Typed { declared: Some(SqlType::Timestamp(fraction)), ..of(scalar) })
        }
        other => Err(Error::query(format!("literals of type {other} are not built yet"))
            .with_help(format!("write CAST('{text}' AS {other})"))),
    }
}

/// A constant as an expression.
pub fn of(scalar: ScalarValue) -> Typed {
    let data_type = scalar.data_type();
    let nullable = scalar.is_null();
    let number = match &scalar {
        ScalarValue::Int32(Some(value)) => Some(i64::from(*value)),
        ScalarValue::Int64(Some(value)) => Some(*value),
        _ => None,
    };
    let text = match &scalar {
        ScalarValue::Utf8(Some(text)) => Some(text.clone()),
        _ => None,
    };
    debug_assert!(nullable || data_type != DataType::Null);
    Typed { expression: Expr::Literal(scalar, None), data_type, nullable, declared: None, number, text }
}
