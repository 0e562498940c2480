//! Times plus intervals: whole months along the calendar, everything else as a number of ticks.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type};
use chrono::{Datelike, Months, NaiveDate};

use super::function::{Call, Function, Style};
use super::typing::never;
use crate::error::{Error, Result};

/// A time plus an interval: parameters are months and milliseconds (both with their sign).
pub static PLUS_INTERVAL: Function = Function {
    style: Style::Suffix("+"),
    fallible: true,
    ..Function::strict("PLUS_INTERVAL", "", never, plus_interval)
};

/// The same, written with a minus; the parameters have their sign all the same.
pub static MINUS_INTERVAL: Function = PLUS_INTERVAL.renamed("MINUS_INTERVAL", Style::Suffix("-"));

fn plus_interval(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let [months, millis] = call.parameters[..] else {
        return Err(Error::bug("an interval has months and milliseconds"));
    };
    let times = &arguments[0];
    match times.data_type() {
        DataType::Date32 | DataType::Timestamp(..) => {
            let per_day = ticks_a_day(times.data_type())?;
            let by = ticks_of(millis, 1, per_day);
            let moved = ticks(times)?.unary(|tick| later(tick, per_day, months, by));
            in_calendar(moved, times.data_type())
        }
        // A time of the day goes round.
        DataType::Time32(unit) | DataType::Time64(unit) => {
            let per_second = 10_i64.pow(u32::from(super::types::digits(*unit)));
            let by = i128::from(millis) * i128::from(per_second) / 1_000;
            let move_by = |tick: i64| (i128::from(tick) + by).rem_euclid(86_400 * i128::from(per_second)) as i64;
            if matches!(times.data_type(), DataType::Time32(_)) {
                let ticks = arrow::compute::cast(times, &DataType::Int32)?;
                let moved: PrimitiveArray<Int32Type> =
                    ticks.as_primitive::<Int32Type>().unary(|tick| move_by(i64::from(tick)) as i32);
                return Ok(arrow::compute::cast(&moved, times.data_type())?);
            }
            let ticks = arrow::compute::cast(times, &DataType::Int64)?;
            let moved: PrimitiveArray<Int64Type> = ticks.as_primitive::<Int64Type>().unary(move_by);
            Ok(arrow::compute::cast(&moved, times.data_type())?)
        }
        other => Err(Error::bug(format!("an interval added to {other}"))),
    }
}

/// The days of the calendar, counted from 1970.
const DAYS: RangeInclusive<i64> = -96_465_292..=95_026_236;

/// Ticks of a DATE or a TIMESTAMP a day.
pub(super) fn ticks_a_day(data_type: &DataType) -> Result<i64> {
    match data_type {
        DataType::Date32 => Ok(1),
        DataType::Timestamp(unit, _) => Ok(86_400 * 10_i64.pow(u32::from(super::types::digits(*unit)))),
        other => Err(Error::bug(format!("{other} is no time"))),
    }
}

/// So many times a length in milliseconds, in ticks; an end of 64 bits where they do not hold it.
pub(super) fn ticks_of(millis: i64, times: i64, per_day: i64) -> i64 {
    let by = i128::from(millis).saturating_mul(times.into()).saturating_mul(per_day.into()) / 86_400_000;
    by.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// The ticks of a column of DATE or TIMESTAMP since 1970.
pub(super) fn ticks(times: &ArrayRef) -> Result<PrimitiveArray<Int64Type>> {
    let narrow = *times.data_type() == DataType::Date32;
    let times = if narrow { arrow::compute::cast(times, &DataType::Int32)? } else { Arc::clone(times) };
    Ok(arrow::compute::cast(&times, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// A tick that many months and ticks later; an end of 64 bits where neither they nor the calendar hold it.
#[inline]
pub(super) fn later(tick: i64, per_day: i64, months: i64, by: i64) -> i64 {
    if months == 0 {
        return tick.saturating_add(by);
    }
    let day = shift_days(tick.div_euclid(per_day), months).map_or(i64::MAX, i64::from);
    day.saturating_mul(per_day).saturating_add(tick.rem_euclid(per_day)).saturating_add(by)
}

/// Ticks that were moved as the times that they are; one that left the calendar is an error.
pub(super) fn in_calendar(moved: PrimitiveArray<Int64Type>, data_type: &DataType) -> Result<ArrayRef> {
    let per_day = ticks_a_day(data_type)?;
    // What does not fit into 64 bits has been moved to an end of them.
    let least = DAYS.start().saturating_mul(per_day).max(i64::MIN + 1);
    let greatest = DAYS.end().saturating_add(1).saturating_mul(per_day) - 1;
    let is_in = |tick: &i64| (least..=greatest).contains(tick);
    // Where a value is NULL anything may stand.
    if moved.values().iter().fold(true, |all, tick| all & is_in(tick))
        || moved.iter().flatten().all(|tick| is_in(&tick))
    {
        return match data_type {
            DataType::Date32 => Ok(Arc::new(moved.unary::<_, Date32Type>(|day| day as i32))),
            _ => Ok(arrow::compute::cast(&moved, data_type)?),
        };
    }
    Err(Error::data(
        "the result lies beyond the calendar: a TIMESTAMP(9) reaches from 1677 to 2262, other times some 260,000 years",
    ))
}

/// The day that many months later, if the calendar has it; the last day of a month stays within it.
pub(super) fn shift_days(day: i64, months: i64) -> Option<i32> {
    let epoch = NaiveDate::default().num_days_from_ce();
    let date = NaiveDate::from_num_days_from_ce_opt(i32::try_from(day).ok()?.checked_add(epoch)?)?;
    let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    let moved = if months < 0 { date.checked_sub_months(by) } else { date.checked_add_months(by) };
    Some(moved?.num_days_from_ce() - epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::TimestampMillisecondArray;
    use arrow::datatypes::TimeUnit;

    #[test]
    fn times_move_by_milliseconds_and_by_months() {
        let january = 1_706_659_200_000; // 2024-01-31 00:00:00
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(january), None]));
        let call = |months, millis| {
            let output = DataType::Timestamp(TimeUnit::Millisecond, None);
            Call::new(&PLUS_INTERVAL, output, true, vec![months, millis])
        };
        let moved = plus_interval(&call(0, -1), &[Arc::clone(&times)], 2).unwrap();
        assert_eq!(moved.as_primitive::<arrow::datatypes::TimestampMillisecondType>().value(0), january - 1);
        let moved = plus_interval(&call(1, 0), &[times], 2).unwrap();
        let february = 1_709_164_800_000; // 2024-02-29 00:00:00
        assert_eq!(moved.as_primitive::<arrow::datatypes::TimestampMillisecondType>().value(0), february);
        assert!(moved.is_null(1));
    }

    #[test]
    fn the_calendar_ends() {
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(0), None]));
        let call = |months, millis| {
            let output = DataType::Timestamp(TimeUnit::Millisecond, None);
            plus_interval(&Call::new(&PLUS_INTERVAL, output, true, vec![months, millis]), &[Arc::clone(&times)], 2)
        };
        assert!(call(12 * 8_000, i64::from(i32::MAX)).is_ok());
        let days = [NaiveDate::MIN, NaiveDate::MAX]
            .map(|date| date.num_days_from_ce() - NaiveDate::default().num_days_from_ce());
        assert_eq!(days.map(i64::from), [*DAYS.start(), *DAYS.end()]);
        for (months, millis) in [(12 * 300_000, 0), (-12 * 300_000, 0), (0, i64::MAX), (0, i64::MIN), (i64::MAX, 0)] {
            let error = call(months, millis).unwrap_err();
            assert!(error.message().contains("beyond the calendar"), "{months} {millis}: {error}");
        }
        let nulls = TimestampMillisecondArray::new(vec![i64::MAX].into(), Some(vec![false].into()));
        let call = Call::new(&PLUS_INTERVAL, DataType::Timestamp(TimeUnit::Millisecond, None), true, vec![0, 1]);
        assert!(plus_interval(&call, &[Arc::new(nulls)], 1).unwrap().is_null(0));
    }
}
