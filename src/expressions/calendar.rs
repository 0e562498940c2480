//! Functions that move along the calendar: FLOOR and CEIL of times to a unit, TIMESTAMPADD, days and seconds since 1970.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Int64Array, PrimitiveArray, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use chrono::{Datelike, NaiveDate};

use super::function::{Call, Function, Nulls, Style, Zoned};
use super::instant::{civil_day, date_of, read_date};
use super::intervals::{in_calendar, later, shift_days, ticks, ticks_a_day, ticks_of};
use super::time_pattern::Pattern;
use super::types::{digits, is_integer, type_name};
use super::typing::{Argument, Typing, count, never};
use super::zones::{instants_near, local};
use crate::error::{Error, Result};
use crate::stream::Twice;

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict(
        "FROM_UNIXTIME",
        "FROM_UNIXTIME(seconds [, pattern]): seconds since 1970 as text, yyyy-MM-dd HH:mm:ss without a pattern",
        from_seconds_typing,
        from_seconds,
    )
    .example("FROM_UNIXTIME(86400)", "1970-01-02 00:00:00")
    .zoned(Zoned::Always),
    Function {
        name: "TO_DATE",
        doc: "TO_DATE(text [, pattern]): a DATE read from yyyy-MM-dd; NULL if it cannot be read",
        nulls: Nulls::Possible,
        ..Function::strict("", "", |arguments| text_typing(arguments, DataType::Date32), to_date)
            .example("TO_DATE('29.02.2024', 'dd.MM.yyyy')", "2024-02-29")
    },
    Function::strict(
        "UNIX_TIMESTAMP",
        "UNIX_TIMESTAMP(text [, pattern]): seconds since 1970; the least BIGINT if it cannot be read",
        |arguments| text_typing(arguments, DataType::Int64),
        to_seconds,
    )
    .example("UNIX_TIMESTAMP('1970-01-02 00:00:00')", "86400")
    .zoned(Zoned::Always),
];

/// `FLOOR(time TO unit)`: the parameter is the unit.
pub static FLOOR_TO: Function = to_unit("FLOOR", |call, arguments, _| move_locally(call, &arguments[0], false));

/// `CEIL(time TO unit)`: the parameter is the unit.
pub static CEIL_TO: Function = to_unit("CEIL", |call, arguments, _| move_locally(call, &arguments[0], true));

/// `TIMESTAMPADD(unit, amount, time)` of amount and time: the parameter is the unit's length in milliseconds, or minus
/// its months.
pub static TIMESTAMPADD: Function = Function { fallible: true, ..Function::strict("TIMESTAMPADD", "", never, add) };

const fn to_unit(name: &'static str, body: fn(&Call, &[ArrayRef], usize) -> Result<ArrayRef>) -> Function {
    Function { style: Style::To, ..Function::strict(name, "", never, body).zoned(Zoned::OfInstants) }
}

/// A unit that times are cut to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Unit {
    /// All of them, the longest first.
    const ALL: [(Self, &str); 9] = [
        (Self::Year, "YEAR"),
        (Self::Quarter, "QUARTER"),
        (Self::Month, "MONTH"),
        (Self::Week, "WEEK"),
        (Self::Day, "DAY"),
        (Self::Hour, "HOUR"),
        (Self::Minute, "MINUTE"),
        (Self::Second, "SECOND"),
        (Self::Millisecond, "MILLISECOND"),
    ];

    /// The unit of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(unit, _)| *unit)
    }

    /// The unit as a parameter of a call.
    pub fn parameter(self) -> i64 {
        Self::ALL.iter().zip(0..).find(|((unit, _), _)| *unit == self).map_or(0, |(_, index)| index)
    }

    fn from_parameter(parameter: Option<&i64>) -> Result<Self> {
        let index = parameter.and_then(|index| usize::try_from(*index).ok());
        let unit = index.and_then(|index| Self::ALL.get(index));
        unit.map(|(unit, _)| *unit).ok_or_else(|| Error::bug("a call names its unit"))
    }

    /// Milliseconds of a unit that is part of a day.
    fn milliseconds(self) -> Option<i64> {
        match self {
            Self::Hour => Some(3_600_000),
            Self::Minute => Some(60_000),
            Self::Second => Some(1_000),
            Self::Millisecond => Some(1),
            _ => None,
        }
    }

    /// The first day of the unit that holds a day; weeks begin on Sunday.
    fn first_day(self, day: i64) -> i64 {
        let date = date_of(day);
        let first =
            |month: u32| NaiveDate::from_ymd_opt(date.year(), month, 1).map_or(day, |date| i64::from(civil_day(date)));
        match self {
            Self::Year => first(1),
            Self::Quarter => first(date.month0() / 3 * 3 + 1),
            Self::Month => first(date.month()),
            Self::Week => day - i64::from(date.weekday().num_days_from_sunday()),
            _ => day,
        }
    }

    /// The first day of the next unit.
    fn next_day(self, first: i64) -> i64 {
        match self {
            Self::Year => shift_days(first, 12).map_or(first, i64::from),
            Self::Quarter => shift_days(first, 3).map_or(first, i64::from),
            Self::Month => shift_days(first, 1).map_or(first, i64::from),
            Self::Week => first + 7,
            _ => first + 1,
        }
    }
}

/// Instants are cut where a clock of the zone shows the beginning of a unit.
fn move_locally(call: &Call, values: &ArrayRef, up: bool) -> Result<ArrayRef> {
    let unit = Unit::from_parameter(call.parameters.first())?;
    instants_near(&move_to(unit, &local(values, call.zone)?, up)?, values, call.zone)
}

fn move_to(unit: Unit, values: &ArrayRef, up: bool) -> Result<ArrayRef> {
    // A value is `per_day` ticks a day; what is shorter than a tick changes nothing.
    let moved = |per_day: i64, tick: i64| match unit.milliseconds() {
        Some(milliseconds) => {
            let step = i64::try_from(i128::from(milliseconds) * i128::from(per_day) / 86_400_000).unwrap_or(1).max(1);
            let into = tick.rem_euclid(step);
            if up && into > 0 { tick.wrapping_add(step - into) } else { tick.wrapping_sub(into) }
        }
        None => {
            let first = unit.first_day(tick.div_euclid(per_day));
            let start = first.wrapping_mul(per_day);
            if up && start < tick { unit.next_day(first).wrapping_mul(per_day) } else { start }
        }
    };
    let by_tick = |per_day: i64| -> Result<ArrayRef> {
        let narrow = matches!(values.data_type(), DataType::Date32 | DataType::Time32(_));
        let wide = if narrow { arrow::compute::cast(values, &DataType::Int32)? } else { Arc::clone(values) };
        let wide = arrow::compute::cast(&wide, &DataType::Int64)?;
        let is_time = matches!(values.data_type(), DataType::Time32(_) | DataType::Time64(_));
        let result: PrimitiveArray<Int64Type> = wide.as_primitive::<Int64Type>().unary(|tick| {
            let tick = moved(per_day, tick);
            if is_time { tick.rem_euclid(per_day) } else { tick }
        });
        let result: ArrayRef = if narrow { arrow::compute::cast(&result, &DataType::Int32)? } else { Arc::new(result) };
        Ok(arrow::compute::cast(&result, values.data_type())?)
    };
    match values.data_type() {
        DataType::Date32 => by_tick(1),
        DataType::Timestamp(precision, _) | DataType::Time32(precision) | DataType::Time64(precision) => {
            by_tick(86_400 * 10_i64.pow(u32::from(digits(*precision))))
        }
        other => Err(Error::bug(format!("{other} is no time"))),
    }
}

fn add(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let length = call.parameters.first().copied().unwrap_or(1);
    let amounts = arguments[0].as_primitive::<Int64Type>();
    let times = &arguments[1];
    let per_day = ticks_a_day(times.data_type())?;
    let moved: PrimitiveArray<Int64Type> =
        arrow::compute::binary(&ticks(times)?, amounts, |tick, amount| match length < 0 {
            true => later(tick, per_day, amount.saturating_mul(-length), 0),
            false => later(tick, per_day, 0, ticks_of(length, amount, per_day)),
        })?;
    in_calendar(moved, times.data_type())
}

/// A text and perhaps a pattern that is written in the query.
fn text_typing(arguments: &[Argument], output: DataType) -> Result<Typing, String> {
    count(arguments, 1, 2)?;
    for argument in arguments {
        if !matches!(argument.data_type, DataType::Utf8 | DataType::Null) {
            return Err(format!("it takes text, not {}", type_name(&argument.data_type)));
        }
    }
    check_pattern(arguments)?;
    Ok(Typing::new(vec![DataType::Utf8; arguments.len()], output))
}

fn check_pattern(arguments: &[Argument]) -> Result<(), String> {
    let Some(pattern) = arguments.get(1) else { return Ok(()) };
    Pattern::parse(pattern.text.as_deref().ok_or("the pattern has to be written as a string")?).map(|_| ())
}

/// The pattern of a call: the same in all rows.
fn pattern(arguments: &[ArrayRef]) -> Result<Option<Pattern>> {
    let text = arguments.get(1).and_then(|array| array.as_string::<i32>().iter().flatten().next());
    text.map(Pattern::parse).transpose().map_err(Error::query)
}

fn pattern_or_usual(arguments: &[ArrayRef]) -> Result<Pattern> {
    match pattern(arguments)? {
        Some(pattern) => Ok(pattern),
        None => Pattern::parse("yyyy-MM-dd HH:mm:ss").map_err(Error::bug),
    }
}

fn to_date(_: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>().iter();
    let days: Date32Array = match pattern(arguments)? {
        None => texts.map(|text| read_date(text?).map(civil_day)).collect(),
        Some(pattern) => {
            let day = |time: i64| i32::try_from(time.div_euclid(86_400_000)).ok();
            texts.map(|text| day(pattern.read_leniently(text?)?)).collect()
        }
    };
    Ok(Arc::new(days))
}

fn to_seconds(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let pattern = pattern_or_usual(arguments)?;
    let mut offsets = call.zone.offsets();
    // Of two instants Java's calendar takes the later one here, where a cast takes the earlier.
    let mut second = |text: &str| match pattern.read_leniently(text) {
        None => i64::MIN,
        Some(time) => {
            let local = time.div_euclid(1_000);
            local - offsets.of_local(local, Twice::Later)
        }
    };
    let seconds: Int64Array = arguments[0].as_string::<i32>().iter().map(|text| text.map(&mut second)).collect();
    Ok(Arc::new(seconds))
}

fn from_seconds_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 2)?;
    if !is_integer(&arguments[0].data_type) && arguments[0].data_type != DataType::Null {
        return Err(format!("it takes a whole number, not {}", type_name(&arguments[0].data_type)));
    }
    check_pattern(arguments)?;
    let mut types = vec![DataType::Int64];
    types.extend(arguments.get(1).map(|_| DataType::Utf8));
    Ok(Typing::new(types, DataType::Utf8))
}

fn from_seconds(call: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let pattern = pattern_or_usual(arguments)?;
    let seconds = arguments[0].as_primitive::<Int64Type>();
    let mut offsets = call.zone.offsets();
    let mut text = |second: i64| pattern.write(second.wrapping_add(offsets.of_instant(second)).wrapping_mul(1_000));
    let texts: StringArray = seconds.iter().map(|second| second.map(&mut text)).collect();
    Ok(Arc::new(texts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::TimestampMicrosecondArray;
    use arrow::datatypes::{TimeUnit, TimestampMicrosecondType};

    fn cut(function: &'static Function, unit: Unit, tick: i64) -> i64 {
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![tick]));
        let output = DataType::Timestamp(TimeUnit::Microsecond, None);
        let call = Call::new(function, output, false, vec![unit.parameter()]);
        (function.body)(&call, &[times], 1).unwrap().as_primitive::<TimestampMicrosecondType>().value(0)
    }

    #[test]
    fn units_are_cut_towards_the_past() {
        let day = 86_400_000_000;
        // 1969-12-31 23:59:59.5
        let before = -500_000;
        for (unit, floor, ceiling) in [
            (Unit::Second, -1_000_000, 0),
            (Unit::Hour, -3_600_000_000, 0),
            (Unit::Day, -day, 0),
            (Unit::Week, -4 * day, 3 * day),
            (Unit::Month, -31 * day, 0),
            (Unit::Quarter, -92 * day, 0),
            (Unit::Year, -365 * day, 0),
        ] {
            assert_eq!(cut(&FLOOR_TO, unit, before), floor, "{unit:?}");
            assert_eq!(cut(&CEIL_TO, unit, before), ceiling, "{unit:?}");
            assert_eq!(cut(&CEIL_TO, unit, floor), floor, "{unit:?}");
        }
    }

    #[test]
    fn every_unit_is_found_again() {
        for (unit, name) in Unit::ALL {
            assert_eq!(Unit::of(&name.to_ascii_lowercase()), Some(unit));
            assert_eq!(Unit::from_parameter(Some(&unit.parameter())).unwrap(), unit);
        }
    }
}
