//! Dates, times and timestamps out of text and into text, exactly.
//!
//! Reading refuses days and seconds that do not exist (`2013-02-30`, `23:59:60`); `24:00:00` is the midnight that
//! ends the day, as in Flink. Digits of a second beyond the type's unit are cut off, as in Flink.

use arrow::datatypes::TimeUnit;

use super::numbers::{Misfit, append_integer};

const DAY_SECONDS: i64 = 86_400;

/// How a timestamp is spelled (`timestamp-format.standard`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standard {
    /// `2013-01-01 05:00:00.123`.
    Sql,
    /// `2013-01-01T05:00:00.123`.
    Iso8601,
}

/// Which shorter spellings are read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shortened {
    /// `2013-1-1` for a DATE.
    pub dates: bool,
    /// `05:06` for a TIME.
    pub times: bool,
}

/// Units of `unit` in a second.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A DATE as days since 1970.
pub(super) fn date(text: &[u8], shortened: Shortened) -> Result<i32, Misfit> {
    let malformed = "expected yyyy-MM-dd";
    let days = if shortened.dates && text.len() < 10 {
        let mut parts = text.splitn(3, |byte| *byte == b'-');
        let mut part = |widths: std::ops::RangeInclusive<usize>| {
            parts.next().filter(|part| widths.contains(&part.len())).and_then(digits).ok_or(malformed)
        };
        days(part(4..=4)?, part(1..=2)?, part(1..=2)?)?
    } else {
        full_date(text).ok_or(malformed)??
    };
    i32::try_from(days).map_err(|_| "out of range")
}

/// A TIME as units since midnight.
pub(super) fn time(text: &[u8], unit: TimeUnit, shortened: Shortened) -> Result<i64, Misfit> {
    let (seconds, nanos) = clock(text, shortened.times).ok_or("expected HH:mm:ss")??;
    if seconds >= DAY_SECONDS {
        return Err("out of range");
    }
    Ok(seconds * per_second(unit) + nanos / (1_000_000_000 / per_second(unit)))
}

/// A TIMESTAMP (with `utc`, a TIMESTAMP_LTZ, which ends in `Z`) as units since 1970.
pub(super) fn timestamp(text: &[u8], unit: TimeUnit, utc: bool, standard: Standard) -> Result<i64, Misfit> {
    let malformed = match (standard, utc) {
        (Standard::Sql, false) => "expected yyyy-MM-dd HH:mm:ss[.fraction]",
        (Standard::Sql, true) => "expected yyyy-MM-dd HH:mm:ss[.fraction]Z",
        (Standard::Iso8601, false) => "expected yyyy-MM-ddTHH:mm:ss[.fraction]",
        (Standard::Iso8601, true) => "expected yyyy-MM-ddTHH:mm:ss[.fraction]Z",
    };
    let text = if utc { text.strip_suffix(b"Z").ok_or(malformed)? } else { text };
    let (day, rest) = text.split_at_checked(10).ok_or(malformed)?;
    let (separator, rest) = rest.split_first().ok_or(malformed)?;
    let separated = match standard {
        Standard::Sql => *separator == b' ',
        Standard::Iso8601 => matches!(separator, b'T' | b't'),
    };
    if !separated {
        return Err(malformed);
    }
    let day = full_date(day).ok_or(malformed)??;
    let (seconds, nanos) = clock(rest, standard == Standard::Iso8601).ok_or(malformed)??;
    let scale = per_second(unit);
    (day * DAY_SECONDS + seconds)
        .checked_mul(scale)
        .and_then(|units| units.checked_add(nanos / (1_000_000_000 / scale)))
        .ok_or("out of range")
}

/// `yyyy-MM-dd`; `None` when it is not spelled so.
fn full_date(text: &[u8]) -> Option<Result<i64, Misfit>> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text else {
        return None;
    };
    Some(days(digits(&[*y0, *y1, *y2, *y3])?, digits(&[*m0, *m1])?, digits(&[*d0, *d1])?))
}

/// `HH:mm[:ss[.f…]]` as seconds and nanoseconds; `None` when it is not spelled so.
fn clock(text: &[u8], without_seconds: bool) -> Option<Result<(i64, i64), Misfit>> {
    let (minutes, rest) = text.split_at_checked(5)?;
    let [h0, h1, b':', m0, m1] = minutes else {
        return None;
    };
    let hour = digits(&[*h0, *h1])?;
    let minute = digits(&[*m0, *m1])?;
    let mut second = 0;
    let mut nanos = 0;
    match rest {
        [] if without_seconds => {}
        [b':', s0, s1, rest @ ..] => {
            second = digits(&[*s0, *s1])?;
            match rest {
                [] => {}
                [b'.', fraction @ ..] if !fraction.is_empty() && fraction.len() <= 9 => {
                    nanos = digits(fraction)? * 10i64.pow(9 - u32::try_from(fraction.len()).unwrap_or(9));
                }
                _ => return None,
            }
        }
        _ => return None,
    }
    let exists = (hour < 24 && minute < 60 && second < 60) || (hour == 24 && minute == 0 && second == 0 && nanos == 0);
    Some(if exists { Ok((hour * 3_600 + minute * 60 + second, nanos)) } else { Err("no such time of day") })
}

#[inline]
fn digits(text: &[u8]) -> Option<i64> {
    let mut value = 0i64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(value)
}

/// Days since 1970 of a day of the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Result<i64, Misfit> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => 0,
    };
    if day < 1 || day > length {
        return Err("no such day");
    }
    // Years that begin in March put the leap day at their end, so that months have fixed offsets.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Ok(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

/// Year, month and day of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Appends `yyyy-MM-dd`.
pub(crate) fn append_date(days: i64, to: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    match year {
        0..=9_999 => append_padded(year, 4, to),
        // Java's spelling of years that have no four digits.
        10_000.. => {
            to.push(b'+');
            append_integer(year, to);
        }
        _ => {
            to.push(b'-');
            append_padded(-year, 4, to);
        }
    }
    to.push(b'-');
    append_padded(month, 2, to);
    to.push(b'-');
    append_padded(day, 2, to);
}

/// Appends `HH:mm:ss` and, if there is one, the fraction without trailing zeros.
pub(crate) fn append_time(units: i64, unit: TimeUnit, to: &mut Vec<u8>) {
    let scale = per_second(unit);
    append_clock(units.div_euclid(scale), to);
    append_fraction(units.rem_euclid(scale), scale, to);
}

/// Appends the day, a separator and the time of a timestamp, as [`append_date`] and [`append_time`] do.
pub(crate) fn append_timestamp(units: i64, unit: TimeUnit, separator: u8, to: &mut Vec<u8>) {
    let day = per_second(unit) * DAY_SECONDS;
    append_date(units.div_euclid(day), to);
    to.push(separator);
    append_time(units.rem_euclid(day), unit, to);
}

/// Appends a time as Java's `LocalTime` prints itself: no seconds where they are zero (unless `seconds`), the
/// fraction in three, six or nine digits.
pub(crate) fn append_java_time(units: i64, unit: TimeUnit, seconds: bool, to: &mut Vec<u8>) {
    let scale = per_second(unit);
    let whole = units.div_euclid(scale);
    let nanos = units.rem_euclid(scale) * (1_000_000_000 / scale);
    append_clock(whole, to);
    if nanos == 0 {
        if !seconds && whole % 60 == 0 {
            to.truncate(to.len() - 3);
        }
        return;
    }
    to.push(b'.');
    if nanos % 1_000_000 == 0 {
        append_padded(nanos / 1_000_000, 3, to);
    } else if nanos % 1_000 == 0 {
        append_padded(nanos / 1_000, 6, to);
    } else {
        append_padded(nanos, 9, to);
    }
}

/// Appends a timestamp as Java's `LocalDateTime` (or, with `utc`, `Instant`) prints itself.
pub(crate) fn append_java_timestamp(units: i64, unit: TimeUnit, utc: bool, to: &mut Vec<u8>) {
    let day = per_second(unit) * DAY_SECONDS;
    append_date(units.div_euclid(day), to);
    to.push(b'T');
    append_java_time(units.rem_euclid(day), unit, utc, to);
    if utc {
        to.push(b'Z');
    }
}

fn append_clock(seconds: i64, to: &mut Vec<u8>) {
    append_padded(seconds / 3_600, 2, to);
    to.push(b':');
    append_padded(seconds / 60 % 60, 2, to);
    to.push(b':');
    append_padded(seconds % 60, 2, to);
}

fn append_fraction(mut units: i64, mut scale: i64, to: &mut Vec<u8>) {
    if units == 0 {
        return;
    }
    to.push(b'.');
    while units > 0 {
        scale /= 10;
        to.push(b'0' + u8::try_from(units / scale).unwrap_or(0));
        units %= scale;
    }
}

fn append_padded(value: i64, width: usize, to: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value).as_bytes();
    to.extend(std::iter::repeat_n(b'0', width.saturating_sub(text.len())));
    to.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: Shortened = Shortened { dates: false, times: false };
    const SHORT: Shortened = Shortened { dates: true, times: true };
    const MS: TimeUnit = TimeUnit::Millisecond;

    #[test]
    fn every_day_of_the_calendar_reads_back() {
        for day in -800_000..3_000_000i64 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), Ok(day));
        }
        assert_eq!(date(b"1970-01-01", EXACT), Ok(0));
        assert_eq!(date(b"2013-1-1", SHORT), date(b"2013-01-01", EXACT));
        for text in ["2013-1-1", "2013-02-30", "2013-13-01", "2013-00-01", "x", "", "12013-01-01", "2013/01/01"] {
            assert!(date(text.as_bytes(), EXACT).is_err(), "{text}");
        }
    }

    #[test]
    fn timestamps_are_exact() {
        let read = |text: &str| timestamp(text.as_bytes(), MS, false, Standard::Sql);
        assert_eq!(read("2013-01-01 05:00:00"), Ok(1_357_016_400_000));
        assert_eq!(read("2013-01-01 05:00:00.1234567"), Ok(1_357_016_400_123));
        assert_eq!(read("1969-12-31 23:59:59.999"), Ok(-1));
        assert_eq!(read("2013-01-01 24:00:00"), read("2013-01-02 00:00:00"));
        assert_eq!(read("2013-01-01 23:59:60"), Err("no such time of day"));
        for text in
            ["2013-01-01T05:00:00", "2013-01-01 05:00", "2013-01-01", " 2013-01-01 05:00:00", "2013-01-01 05:00:00Z"]
        {
            assert!(read(text).is_err(), "{text}");
        }
        let iso = |text: &str| timestamp(text.as_bytes(), MS, false, Standard::Iso8601);
        assert_eq!(iso("2013-01-01T05:00:00"), Ok(1_357_016_400_000));
        assert_eq!(iso("2013-01-01T05:00"), Ok(1_357_016_400_000));
        assert_eq!(timestamp(b"2013-01-01 05:00:00Z", MS, true, Standard::Sql), Ok(1_357_016_400_000));
        assert!(timestamp(b"2013-01-01 05:00:00", MS, true, Standard::Sql).is_err());
    }

    #[test]
    fn years_far_away_are_exact_in_microseconds_and_checked_in_nanoseconds() {
        for text in ["1677-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999"] {
            let units = timestamp(text.as_bytes(), TimeUnit::Microsecond, false, Standard::Sql).unwrap();
            let mut back = Vec::new();
            append_timestamp(units, TimeUnit::Microsecond, b' ', &mut back);
            assert_eq!(back, text.as_bytes());
            let nanos = timestamp(text.as_bytes(), TimeUnit::Nanosecond, false, Standard::Sql);
            assert_eq!(nanos, Err("out of range"));
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(time(b"05:06:07.123", MS, EXACT), Ok(18_367_123));
        assert_eq!(time(b"05:06", MS, SHORT), Ok(18_360_000));
        assert!(time(b"05:06", MS, EXACT).is_err());
        assert!(time(b"24:00:00", MS, EXACT).is_err());
        assert!(time(b"23:59:60", MS, SHORT).is_err());
    }

    #[test]
    fn text_of_times_as_flink_and_java_spell_them() {
        let text = |append: &dyn Fn(&mut Vec<u8>)| {
            let mut to = Vec::new();
            append(&mut to);
            String::from_utf8(to).unwrap()
        };
        let at = 1_357_016_400_000;
        assert_eq!(text(&|to| append_timestamp(at, MS, b' ', to)), "2013-01-01 05:00:00");
        assert_eq!(text(&|to| append_timestamp(at + 120, MS, b'T', to)), "2013-01-01T05:00:00.12");
        assert_eq!(text(&|to| append_timestamp(at + 1, MS, b' ', to)), "2013-01-01 05:00:00.001");
        assert_eq!(text(&|to| append_java_timestamp(at, MS, false, to)), "2013-01-01T05:00");
        assert_eq!(text(&|to| append_java_timestamp(at, MS, true, to)), "2013-01-01T05:00:00Z");
        assert_eq!(text(&|to| append_java_timestamp(at + 120, MS, false, to)), "2013-01-01T05:00:00.120");
        assert_eq!(text(&|to| append_date(date(b"0999-01-02", EXACT).unwrap().into(), to)), "0999-01-02");
    }
}
