//! Dates and times as numbers, and how their text is read.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Int64Type};
use chrono::{Datelike, NaiveDate};

use super::types::digits;
use crate::error::{Error, Result};

/// The ticks of a TIMESTAMP or TIME, or the days of a DATE as whole numbers, and how many there are in a second (for a DATE they
/// are turned into seconds).
pub fn ticks(values: &ArrayRef) -> Result<(PrimitiveArray<Int64Type>, i64)> {
    match values.data_type() {
        DataType::Timestamp(unit, _) => {
            let ticks = arrow::compute::cast(values, &DataType::Int64)?;
            Ok((ticks.as_primitive::<Int64Type>().clone(), 10_i64.pow(u32::from(digits(*unit)))))
        }
        DataType::Time32(unit) => {
            let ticks = arrow::compute::cast(&arrow::compute::cast(values, &DataType::Int32)?, &DataType::Int64)?;
            Ok((ticks.as_primitive::<Int64Type>().clone(), 10_i64.pow(u32::from(digits(*unit)))))
        }
        DataType::Time64(unit) => {
            let ticks = arrow::compute::cast(values, &DataType::Int64)?;
            Ok((ticks.as_primitive::<Int64Type>().clone(), 10_i64.pow(u32::from(digits(*unit)))))
        }
        DataType::Date32 => {
            let days = values.as_primitive::<arrow::datatypes::Date32Type>();
            Ok((days.unary(|day| i64::from(day) * 86_400), 1))
        }
        other => Err(Error::bug(format!("{other} is no time"))),
    }
}

/// Days from 1970-01-01.
pub fn civil_day(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

/// The date of a day counted from 1970-01-01; days beyond the calendar end at its ends.
pub fn date_of(day: i64) -> NaiveDate {
    let from_ce = day.saturating_add(i64::from(NaiveDate::default().num_days_from_ce()));
    i32::try_from(from_ce).ok().and_then(NaiveDate::from_num_days_from_ce_opt).unwrap_or(if day < 0 {
        NaiveDate::MIN
    } else {
        NaiveDate::MAX
    })
}

/// `YYYY-MM-DD`, with one digit for month and day allowed.
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |text: &str, most: usize| {
        (!text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u32>().ok())
            .flatten()
    };
    NaiveDate::from_ymd_opt(i32::try_from(number(year, 4)?).ok()?, number(month, 2)?, number(day, 2)?)
}

/// `HH:MM[:SS[.fraction]]` as nanoseconds of the day.
pub fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut parts = clock.split(':');
    let mut number = |limit: i64| {
        let part = parts.next()?;
        let value = (!part.is_empty() && part.len() <= 2).then(|| part.parse::<i64>().ok()).flatten()?;
        (0..limit).contains(&value).then_some(value)
    };
    let (hour, minute) = (number(24)?, number(60)?);
    let second = if clock.matches(':').count() == 1 { 0 } else { number(60)? };
    if parts.next().is_some() {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse().ok()? };
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000_000 + nanos)
}

/// `YYYY-MM-DD[ HH:MM:SS[.fraction]]` as nanoseconds since 1970. As in Flink a day beyond the end of its month is that
/// end, and 24:00:00 is the next day.
pub fn parse_timestamp(text: &str) -> Option<i128> {
    let (day, time) = match text.split_once(' ') {
        Some((day, "24:00:00")) => (day, 86_400_000_000_000),
        Some((day, time)) if time.matches(':').count() == 2 => (day, parse_time(time)?),
        Some(_) => return None,
        None => (text, 0),
    };
    let day = parse_date(day).or_else(|| {
        let (month, day) = day.rsplit_once('-')?;
        (29..=31).contains(&day.parse::<u32>().ok()?).then_some(())?;
        let (year, month) = month.split_once('-')?;
        last_day(year.parse().ok()?, month.parse().ok()?)
    })?;
    Some(i128::from(civil_day(day)) * 86_400_000_000_000 + i128::from(time))
}

/// The last day of a month.
pub fn last_day(year: i32, month: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, 1)?.checked_add_months(chrono::Months::new(1))?.pred_opt()
}
