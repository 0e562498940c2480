//! Times plus intervals: whole months along the calendar, everything else as a number of ticks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type, TimeUnit};
use chrono::{Datelike, Months};

use super::function::{Call, Function, Style};
use super::typing::never;
use crate::error::{Error, Result};

/// A time plus an interval: parameters are months and milliseconds (both with their sign).
pub static PLUS_INTERVAL: Function =
    Function { style: Style::Suffix("+"), ..Function::strict("PLUS_INTERVAL", "", never, plus_interval) };

/// The same, written with a minus; the parameters have their sign all the same.
pub static MINUS_INTERVAL: Function = PLUS_INTERVAL.renamed("MINUS_INTERVAL", Style::Suffix("-"));

fn plus_interval(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let [months, millis] = call.parameters[..] else {
        return Err(Error::bug("an interval has months and milliseconds"));
    };
    let times = &arguments[0];
    match times.data_type() {
        DataType::Date32 => {
            let days = i32::try_from(millis / 86_400_000).unwrap_or(i32::MAX);
            let moved: PrimitiveArray<Date32Type> = times.as_primitive::<Date32Type>().unary(|day| {
                let day = if months == 0 { day } else { shift_days(i64::from(day), months) };
                day.wrapping_add(days)
            });
            Ok(Arc::new(moved))
        }
        DataType::Timestamp(unit, zone) => {
            let per_milli = match unit {
                TimeUnit::Second => return Err(Error::bug("a TIMESTAMP in seconds")),
                TimeUnit::Millisecond => 1,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1_000_000,
            };
            let by = millis.wrapping_mul(per_milli);
            let ticks = arrow::compute::cast(times, &DataType::Int64)?;
            let per_day = 86_400_000 * per_milli;
            let moved: PrimitiveArray<Int64Type> = if months == 0 {
                ticks.as_primitive::<Int64Type>().unary(|tick| tick.wrapping_add(by))
            } else {
                ticks.as_primitive::<Int64Type>().unary(|tick| {
                    let day = i64::from(shift_days(tick.div_euclid(per_day), months));
                    (day * per_day + tick.rem_euclid(per_day)).wrapping_add(by)
                })
            };
            Ok(arrow::compute::cast(&moved, &DataType::Timestamp(*unit, zone.clone()))?)
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

/// The day that many months later; the last day of a month stays within it.
pub(super) fn shift_days(day: i64, months: i64) -> i32 {
    let epoch = chrono::NaiveDate::default().num_days_from_ce();
    let Some(date) =
        i32::try_from(day).ok().and_then(|day| chrono::NaiveDate::from_num_days_from_ce_opt(day.saturating_add(epoch)))
    else {
        return i32::try_from(day).unwrap_or(i32::MAX);
    };
    let by = Months::new(u32::try_from(months.unsigned_abs()).unwrap_or(u32::MAX));
    let moved = if months < 0 { date.checked_sub_months(by) } else { date.checked_add_months(by) };
    moved.unwrap_or(date).num_days_from_ce() - epoch
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::TimestampMillisecondArray;

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
}
