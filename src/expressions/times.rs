//! Functions on dates and times: their fields, reading and writing them, moving and comparing them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMillisecondType};
use chrono::Datelike;

use super::function::{Call, Function, Nulls, Style, Zoned};
use super::instant::{date_of, parse_timestamp, read_jdbc_time, ticks};
use super::intervals::shift_days;
use super::time_pattern::Pattern;
use super::types::{digits, type_name};
use super::typing::{Argument, Typing, count, never};
use super::zones::{instants, local};
use crate::error::{Error, Result};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict(
        "DATE_FORMAT",
        "DATE_FORMAT(time, pattern): as text, by Java's letters: yyyy MM dd HH mm ss SSS",
        format_typing,
        format,
    )
    .example("DATE_FORMAT(TIMESTAMP '2024-01-02 03:04:05', 'dd.MM.yyyy HH:mm')", "02.01.2024 03:04")
    .zoned(Zoned::OfInstants),
    of_time("DAYOFMONTH", "DAYOFMONTH(date): the day of the month, 1 to 31", field_typing, |call, a, _| {
        extract(call, a, Field::Day)
    })
    .example("DAYOFMONTH(DATE '2024-02-29')", "29"),
    of_time("DAYOFWEEK", "DAYOFWEEK(date): the day of the week, Sunday = 1", field_typing, |call, a, _| {
        extract(call, a, Field::WeekDay)
    })
    .example("DAYOFWEEK(DATE '2024-02-29')", "5"),
    of_time("DAYOFYEAR", "DAYOFYEAR(date): the day of the year, 1 to 366", field_typing, |call, a, _| {
        extract(call, a, Field::YearDay)
    })
    .example("DAYOFYEAR(DATE '2024-02-29')", "60"),
    of_time("HOUR", "HOUR(time): the hour, 0 to 23", clock_typing, |call, a, _| extract(call, a, Field::Hour))
        .example("HOUR(TIMESTAMP '2024-01-02 03:04:05')", "3"),
    of_time("MINUTE", "MINUTE(time): the minute, 0 to 59", clock_typing, |call, a, _| extract(call, a, Field::Minute))
        .example("MINUTE(TIMESTAMP '2024-01-02 03:04:05')", "4"),
    of_time("MONTH", "MONTH(date): the month, 1 to 12", field_typing, |call, a, _| extract(call, a, Field::Month))
        .example("MONTH(DATE '2024-02-29')", "2"),
    of_time("QUARTER", "QUARTER(date): the quarter of the year, 1 to 4", field_typing, |call, a, _| {
        extract(call, a, Field::Quarter)
    })
    .example("QUARTER(DATE '2024-02-29')", "1"),
    of_time("SECOND", "SECOND(time): the second, 0 to 59", clock_typing, |call, a, _| extract(call, a, Field::Second))
        .example("SECOND(TIMESTAMP '2024-01-02 03:04:05')", "5"),
    Function {
        nulls: Nulls::Possible,
        ..Function::strict(
            "TO_TIMESTAMP",
            "TO_TIMESTAMP(text [, pattern]): a TIMESTAMP(3) read from yyyy-MM-dd HH:mm:ss; NULL if it cannot be read",
            to_timestamp_typing,
            to_timestamp,
        )
        .example("TO_TIMESTAMP('2024-01-02 03:04:05')", "2024-01-02T03:04:05")
    },
    of_time("WEEK", "WEEK(date): the week of the year by ISO 8601", field_typing, |call, a, _| {
        extract(call, a, Field::Week)
    })
    .example("WEEK(DATE '2024-12-30')", "1"),
    of_time("YEAR", "YEAR(date): the year", field_typing, |call, a, _| extract(call, a, Field::Year))
        .example("YEAR(DATE '2024-02-29')", "2024"),
];

/// `CURRENT_WATERMARK(rowtime)`: its argument is the hidden column of the watermark that the row met.
pub static CURRENT_WATERMARK: Function = Function {
    nulls: Nulls::Possible,
    ..Function::strict("CURRENT_WATERMARK", "", never, |call, arguments, _| {
        let met = arguments[0].as_primitive::<Int64Type>();
        let times: PrimitiveArray<TimestampMillisecondType> =
            met.iter().map(|time| time.filter(|time| *time != i64::MIN)).collect();
        Ok(Arc::new(times.with_data_type(call.output.clone())))
    })
    .example("SELECT CURRENT_WATERMARK(ts) FROM e WHERE id = 3", "2024-01-01T00:00:20")
};

/// The start of the window that is the n-th before the last one to hold a time: parameters are slide, offset, n, and
/// what is added to the start (all in milliseconds but n). Windows over instants lie in local time.
pub static WINDOW_BOUND: Function = Function {
    style: Style::Bound,
    ..Function::strict("WINDOW_BOUND", "", never, window_start).zoned(Zoned::OfInstants)
};

/// `TIMESTAMPDIFF(unit, from, to)`: the parameter is the unit's length in milliseconds, or minus a number of months.
pub static TIMESTAMPDIFF: Function = Function::strict("TIMESTAMPDIFF", "", never, difference);

fn window_start(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let [slide, offset, before, plus] = call.parameters[..] else {
        return Err(Error::bug("a window bound has four parameters"));
    };
    let times = local(&arguments[0], call.zone)?;
    let times = times.as_primitive::<TimestampMillisecondType>();
    let shift = plus.wrapping_sub(before.wrapping_mul(slide));
    let starts: PrimitiveArray<TimestampMillisecondType> = times.unary(|time| {
        let into = time.wrapping_sub(offset).rem_euclid(slide);
        time.wrapping_sub(into).wrapping_add(shift)
    });
    let starts: ArrayRef = Arc::new(starts);
    match &call.output {
        DataType::Timestamp(_, Some(_)) => instants(&starts, call.zone),
        _ => Ok(starts),
    }
}

/// A function of a time that reads what a clock of the zone shows.
const fn of_time(
    name: &'static str,
    doc: &'static str,
    typing: fn(&[Argument]) -> Result<Typing, String>,
    body: fn(&Call, &[ArrayRef], usize) -> Result<ArrayRef>,
) -> Function {
    Function::strict(name, doc, typing, body).zoned(Zoned::OfInstants)
}

#[derive(Clone, Copy)]
enum Field {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    WeekDay,
    YearDay,
    Hour,
    Minute,
    Second,
    IsoWeekDay,
    Decade,
    Century,
    Millisecond,
    Epoch,
}

/// What `EXTRACT(field FROM time)` calls.
pub fn extracted(field: &str) -> Option<&'static Function> {
    let name = match field {
        "DAY" => "DAYOFMONTH",
        "DOW" => "DAYOFWEEK",
        "DOY" => "DAYOFYEAR",
        "YEAR" | "QUARTER" | "MONTH" | "WEEK" | "HOUR" | "MINUTE" | "SECOND" => field,
        _ => return EXTRACTED.iter().find(|function| function.name == field),
    };
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// Fields that EXTRACT knows, and that are no functions by themselves.
static EXTRACTED: [Function; 5] = [
    of_time("ISODOW", "", field_typing, |call, a, _| extract(call, a, Field::IsoWeekDay)),
    of_time("DECADE", "", field_typing, |call, a, _| extract(call, a, Field::Decade)),
    of_time("CENTURY", "", field_typing, |call, a, _| extract(call, a, Field::Century)),
    of_time("MILLISECOND", "", clock_typing, |call, a, _| extract(call, a, Field::Millisecond)),
    of_time("EPOCH", "", field_typing, |call, a, _| extract(call, a, Field::Epoch)),
];

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32)
}

fn field_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    let data_type = match &arguments[0].data_type {
        DataType::Null => DataType::Date32,
        data_type if is_time(data_type) => data_type.clone(),
        other => return Err(format!("it takes a DATE or TIMESTAMP, not {}", type_name(other))),
    };
    Ok(Typing::new(vec![data_type], DataType::Int64))
}

/// Of what has a clock: a TIME too.
fn clock_typing(arguments: &[Argument]) -> Result<Typing, String> {
    match arguments {
        [Argument { data_type: data_type @ (DataType::Time32(_) | DataType::Time64(_)), .. }] => {
            Ok(Typing::new(vec![data_type.clone()], DataType::Int64))
        }
        _ => field_typing(arguments),
    }
}

fn extract(call: &Call, arguments: &[ArrayRef], field: Field) -> Result<ArrayRef> {
    let (ticks, per_second) = ticks(&local(&arguments[0], call.zone)?)?;
    let values: PrimitiveArray<Int64Type> = ticks.unary(|tick| {
        let seconds = tick.div_euclid(per_second);
        let of_day = seconds.rem_euclid(86_400);
        let date = || date_of(seconds.div_euclid(86_400));
        match field {
            Field::Year => i64::from(date().year()),
            Field::Quarter => i64::from(date().month0() / 3 + 1),
            Field::Month => i64::from(date().month()),
            Field::Week => i64::from(date().iso_week().week()),
            Field::Day => i64::from(date().day()),
            Field::WeekDay => i64::from(date().weekday().number_from_sunday()),
            Field::YearDay => i64::from(date().ordinal()),
            Field::Hour => of_day / 3_600,
            Field::Minute => of_day / 60 % 60,
            Field::Second => of_day % 60,
            Field::IsoWeekDay => i64::from(date().weekday().number_from_monday()),
            Field::Decade => i64::from(date().year().div_euclid(10)),
            Field::Century => i64::from((date().year() + 99).div_euclid(100)),
            Field::Millisecond => tick.rem_euclid(per_second) * 1_000 / per_second,
            Field::Epoch => seconds,
        }
    });
    Ok(Arc::new(values))
}

fn to_timestamp_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 2)?;
    for argument in arguments {
        if !matches!(argument.data_type, DataType::Utf8 | DataType::Null) {
            return Err(format!("it takes text, not {}", type_name(&argument.data_type)));
        }
    }
    if let Some(pattern) = arguments.get(1) {
        let pattern = pattern.text.as_deref().ok_or("the pattern has to be written as a string")?;
        Pattern::parse(pattern)?;
    }
    Ok(Typing::new(vec![DataType::Utf8; arguments.len()], DataType::Timestamp(TimeUnit::Millisecond, None)))
}

fn to_timestamp(_: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let pattern = match arguments.get(1).map(|array| array.as_string::<i32>()) {
        Some(patterns) if patterns.iter().any(|pattern| pattern.is_some()) => {
            let text = patterns.iter().flatten().next().unwrap_or_default();
            Some(Pattern::parse(text).map_err(Error::query)?)
        }
        _ => None,
    };
    let times: PrimitiveArray<TimestampMillisecondType> = texts
        .iter()
        .map(|text| {
            let text = text?;
            match &pattern {
                None => i64::try_from(parse_timestamp(text)?.div_euclid(1_000_000)).ok(),
                Some(pattern) => pattern.read(text).or_else(|| read_jdbc_time(text)),
            }
        })
        .collect();
    Ok(Arc::new(times))
}

fn difference(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let unit = call.parameters.first().copied().unwrap_or(1);
    let millis = |values: &ArrayRef| -> Result<PrimitiveArray<Int64Type>> {
        let (ticks, per_second) = ticks(values)?;
        Ok(ticks.unary(|tick| (i128::from(tick) * 1_000).div_euclid(i128::from(per_second)) as i64))
    };
    let (from, to) = (millis(&arguments[0])?, millis(&arguments[1])?);
    let result: PrimitiveArray<Int32Type> = arrow::compute::binary(&from, &to, |from, to| {
        if unit > 0 { (to.wrapping_sub(from) / unit) as i32 } else { (months_between(from, to) / -unit) as i32 }
    })?;
    Ok(Arc::new(result))
}

/// Whole months from one time to another, as a calendar counts them.
fn months_between(from: i64, to: i64) -> i64 {
    if to < from {
        return -months_between(to, from);
    }
    let parts = |time: i64| (time.div_euclid(86_400_000), time.rem_euclid(86_400_000));
    let ((early, early_time), (late, late_time)) = (parts(from), parts(to));
    let (first, last) = (date_of(early), date_of(late));
    let months = i64::from(last.year() - first.year()) * 12 + i64::from(last.month()) - i64::from(first.month());
    // A month from the 31st ends on the last day of a shorter month.
    months - i64::from((late, late_time) < (shift_days(early, months).map_or(early, i64::from), early_time))
}

fn format_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 2, 2)?;
    let data_type = match &arguments[0].data_type {
        DataType::Null => DataType::Timestamp(TimeUnit::Millisecond, None),
        data_type @ DataType::Timestamp(..) => data_type.clone(),
        // A text in the usual spelling is taken too, as in Flink.
        DataType::Utf8 => DataType::Utf8,
        other => return Err(format!("it takes a TIMESTAMP, not {}", type_name(other))),
    };
    let pattern = arguments[1].text.as_deref().ok_or("the pattern has to be written as a string")?;
    Pattern::parse(pattern)?;
    Ok(Typing::new(vec![data_type, DataType::Utf8], DataType::Utf8))
}

fn format(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let patterns = arguments[1].as_string::<i32>();
    let Some(text) = patterns.iter().flatten().next() else {
        return Ok(arrow::array::new_null_array(&DataType::Utf8, rows));
    };
    let pattern = Pattern::parse(text).map_err(Error::query)?;
    let millis: PrimitiveArray<Int64Type> = match arguments[0].data_type() {
        DataType::Utf8 => {
            let texts = arguments[0].as_string::<i32>();
            texts.iter().map(|text| i64::try_from(parse_timestamp(text?)?.div_euclid(1_000_000)).ok()).collect()
        }
        DataType::Timestamp(unit, _) => {
            let per_milli = 10_i64.pow(u32::from(digits(*unit).saturating_sub(3)));
            ticks(&local(&arguments[0], call.zone)?)?.0.unary::<_, Int64Type>(|tick| tick.div_euclid(per_milli))
        }
        other => return Err(Error::bug(format!("DATE_FORMAT of {other}"))),
    };
    let texts: StringArray = millis.iter().map(|time| Some(pattern.write(time?))).collect();
    Ok(Arc::new(texts))
}

/// A unit's length in milliseconds, or minus its months, by Flink's names.
pub fn unit_length(name: &str) -> Option<i64> {
    Some(match name.to_ascii_uppercase().trim_end_matches('S') {
        "MILLISECOND" => 1,
        "SECOND" => 1_000,
        "MINUTE" => 60_000,
        "HOUR" => 3_600_000,
        "DAY" => 86_400_000,
        "WEEK" => 7 * 86_400_000,
        "MONTH" => -1,
        "QUARTER" => -3,
        "YEAR" => -12,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expressions::lookup;
    use arrow::array::TimestampMillisecondArray;

    const SUNDAY: i64 = 1_704_601_845_678; // 2024-01-07 04:30:45.678

    fn times() -> ArrayRef {
        Arc::new(TimestampMillisecondArray::from(vec![SUNDAY]))
    }

    #[test]
    fn t18_sunday_is_day_one() {
        for (name, value) in
            [("DAYOFWEEK", 1), ("YEAR", 2024), ("MONTH", 1), ("DAYOFMONTH", 7), ("HOUR", 4), ("SECOND", 45)]
        {
            let function = lookup(name).unwrap();
            let call = Call::new(function, DataType::Int64, true, Vec::new());
            let result = (function.body)(&call, &[times()], 1).unwrap();
            assert_eq!(result.as_primitive::<Int64Type>().value(0), value, "{name}");
        }
    }

    #[test]
    fn window_bounds_are_floored_before_1970_too() {
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![-1, 0, 25]));
        let output = times.data_type().clone();
        let start = window_start(&Call::new(&WINDOW_BOUND, output, true, vec![10, 0, 1, 3]), &[times], 3).unwrap();
        assert_eq!(start.as_primitive::<TimestampMillisecondType>().values(), &[-17, -7, 13]);
    }

    #[test]
    fn months_are_whole_ones() {
        let day = 86_400_000;
        assert_eq!(months_between(0, 31 * day), 1);
        assert_eq!(months_between(0, 31 * day - 1), 0);
        assert_eq!(months_between(31 * day, 0), -1);
        assert_eq!((unit_length("days"), unit_length("YEAR")), (Some(day), Some(-12)));
    }
}
