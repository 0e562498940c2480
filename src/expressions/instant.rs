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
    let (year, month, day) = parts_of_date(text)?;
    NaiveDate::from_ymd_opt(year, month, day)
}

/// `YYYY-MM-DD` as three numbers, with one digit for month and day allowed; whether there is such a day is not looked at.
fn parts_of_date(text: &str) -> Option<(i32, u32, u32)> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    Some((i32::try_from(digits_of(year)?).ok()?, digits_of(month)?, digits_of(day)?))
}

fn digits_of(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A text that becomes a DATE: `year[-month[-day]]`, each part with any number of digits and blanks around it. What stands
/// behind the first blank is left out: a time.
pub fn read_date(text: &str) -> Option<NaiveDate> {
    let day = match text.find(' ') {
        Some(blank @ 1..) => &text[..blank],
        _ => text,
    };
    let mut parts = day.splitn(3, '-').map(|part| digits_of(part.trim()));
    let (year, month, day) = (parts.next()??, parts.next().unwrap_or(Some(1))?, parts.next().unwrap_or(Some(1))?);
    let year = i32::try_from(year).ok().filter(|year| *year <= 9_999)?;
    NaiveDate::from_ymd_opt(year, month, day)
}

/// A text that becomes a TIME: `HH[:MM[:SS[.fraction]]]`, as units of the day of so many nanoseconds, rounded half up.
pub fn read_time(text: &str, unit_nanos: i64) -> Option<i64> {
    let nanos = if text.contains(':') { parse_time(text)? } else { parse_time(&format!("{text}:00"))? };
    let units = (nanos + unit_nanos / 2) / unit_nanos;
    (units < 86_400_000_000_000 / unit_nanos).then_some(units)
}

/// `YYYY-MM-DD[ H:M:S[.fraction]]` as JDBC reads it, in milliseconds since 1970: days, hours, minutes and seconds beyond
/// their ends go on into what follows.
pub fn read_jdbc_time(text: &str) -> Option<i64> {
    let text = text.trim();
    let (day, clock) = text.split_once(' ').map_or((text, None), |(day, clock)| (day, Some(clock)));
    let (year, month, day) = parts_of_date(day)?;
    if year == 0 || !(1..=31).contains(&day) {
        return None;
    }
    let days = i64::from(civil_day(NaiveDate::from_ymd_opt(year, month, 1)?)) + i64::from(day) - 1;
    let (mut seconds, mut millis) = (days * 86_400, 0);
    if let Some(clock) = clock {
        let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, digits)| (clock, Some(digits)));
        let mut parts = clock.split(':').map(digits_of);
        let (hours, minutes, rest) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        seconds += i64::from(hours) * 3_600 + i64::from(minutes) * 60 + i64::from(rest);
        if let Some(fraction) = fraction {
            let is_one = (1..=9).contains(&fraction.len()) && digits_of(fraction).is_some();
            millis = is_one.then(|| format!("{fraction:0<9}")[..3].parse().ok()).flatten()?;
        }
    }
    Some(seconds * 1_000 + millis)
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
        let is_number = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        let value = is_number.then(|| part.parse::<i64>().ok()).flatten()?;
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
    let (year, month, day) = parts_of_date(day)?;
    let day = match NaiveDate::from_ymd_opt(year, month, day) {
        Some(day) => day,
        None => (29..=31).contains(&day).then(|| last_day(year, month)).flatten()?,
    };
    if year == 0 {
        return None;
    }
    Some(i128::from(civil_day(day)) * 86_400_000_000_000 + i128::from(time))
}

/// The last day of a month.
pub fn last_day(year: i32, month: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, 1)?.checked_add_months(chrono::Months::new(1))?.pred_opt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_dates() {
        let day = |text: &str| read_date(text).map(|date| date.to_string());
        for (text, expected) in [
            (" 2024-01-01", "2024-01-01"),
            ("2024-02-29 10:00:00", "2024-02-29"),
            ("2024-02", "2024-02-01"),
            ("2024", "2024-01-01"),
            ("02024-01-01", "2024-01-01"),
            ("24-01-01", "0024-01-01"),
            ("0000-01-01", "0000-01-01"),
        ] {
            assert_eq!(day(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "12024-01-01",
            "2024-01-01T10:00:00",
            "2024-01-01x",
            "-2024-01-01",
            "2024-",
            "20240101",
            "99999999999",
        ] {
            assert_eq!(day(text), None, "{text}");
        }
    }

    #[test]
    fn texts_become_times() {
        let time = |text: &str| read_time(text, 1_000_000);
        assert_eq!(time("10"), Some(36_000_000));
        assert_eq!(time("1:2:3"), Some(3_723_000));
        assert_eq!(time("10:11:12.345678"), Some(36_672_346));
        assert_eq!(time("23:59:59.9996"), None, "it would be another day");
        assert_eq!(time("24:00:00").or(time("x")).or(time("")), None);
    }

    #[test]
    fn jdbc_goes_on_beyond_the_ends() {
        let at = |text: &str| parse_timestamp(text).and_then(|nanos| i64::try_from(nanos / 1_000_000).ok());
        assert_eq!(read_jdbc_time("2024-02-30"), at("2024-03-01 00:00:00"));
        assert_eq!(read_jdbc_time(" 2024-1-1 25:60:60.25 "), at("2024-01-02 02:01:00.25"));
        for text in [
            "2024-01-01 10:11",
            "2024-01-01 10:11:12.",
            "2024-01-32",
            "2024-13-01",
            "24-01-01",
            "2024-01-01  10:11:12",
            "2024-01-01T10:11:12",
        ] {
            assert_eq!(read_jdbc_time(text), None, "{text}");
        }
    }
}
