//! Functions that say which instant is meant: TO_TIMESTAMP_LTZ of numbers and texts, CONVERT_TZ from zone to zone.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};

use super::cast::cast_values;
use super::function::{Call, Function};
use super::instant::read_jdbc_time;
use super::time_pattern::Pattern;
use super::types::{digits, is_approximate, is_integer, type_name};
use super::typing::{Argument, Typing, count};
use crate::error::{Error, Result};
use crate::stream::{Twice, Zone};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::possibly(
        "CONVERT_TZ",
        "CONVERT_TZ(text, from, to): yyyy-MM-dd HH:mm:ss on a clock of one zone as on one of another; NULL if it cannot be read",
        convert_typing,
        convert,
    ).example("CONVERT_TZ('2024-07-01 12:00:00', 'UTC', 'America/New_York')", "2024-07-01 08:00:00"),
    Function {
        fallible: true,
        ..Function::possibly(
            "TO_TIMESTAMP_LTZ",
            "TO_TIMESTAMP_LTZ(number [, precision]): an instant from seconds (0), milliseconds (3, as without) or other parts of a \
             second (up to 9) since 1970, NULL outside of the years 0 to 9999; TO_TIMESTAMP_LTZ(text [, pattern [, zone]]): one \
             from the time in UTC, or in that zone",
            typing,
            to_instant,
        ).example("TO_TIMESTAMP_LTZ(1704164645, 0)", "2024-01-02T03:04:05Z")
    },
];

fn typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 3)?;
    match &arguments[0].data_type {
        DataType::Utf8 => of_text(arguments),
        DataType::Null => of_number(arguments, DataType::Int64),
        DataType::Float32 | DataType::Float64 => of_number(arguments, DataType::Float64),
        decimal @ DataType::Decimal128(..) => of_number(arguments, decimal.clone()),
        whole if is_integer(whole) => of_number(arguments, DataType::Int64),
        other => Err(format!("it takes a number or a text, not {}", type_name(other))),
    }
}

fn of_number(arguments: &[Argument], number: DataType) -> Result<Typing, String> {
    count(arguments, 1, 2)?;
    let precision = arguments.get(1).map_or(Some(3), |precision| precision.number);
    let precision = precision.and_then(|precision| u8::try_from(precision).ok()).filter(|precision| *precision <= 9);
    let precision =
        precision.ok_or("its precision has to be a number from 0 to 9: 0 for seconds, 3 for milliseconds")?;
    let unit = match precision {
        0..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    let mut types = vec![number];
    types.extend(arguments.get(1).map(|_| DataType::Int32));
    let output = DataType::Timestamp(unit, Some("UTC".into()));
    Ok(Typing { arguments: types, output, parameters: vec![i64::from(precision)] })
}

fn of_text(arguments: &[Argument]) -> Result<Typing, String> {
    if let Some(argument) = arguments.iter().find(|it| !matches!(it.data_type, DataType::Utf8 | DataType::Null)) {
        return Err(format!("it takes text, not {}", type_name(&argument.data_type)));
    }
    if let Some(pattern) = arguments.get(1).filter(|pattern| pattern.data_type != DataType::Null) {
        Pattern::parse(pattern.text.as_deref().ok_or("the pattern has to be written as a string")?)?;
    }
    check_zone(arguments.get(2))?;
    let output = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Ok(Typing::new(vec![DataType::Utf8; arguments.len()], output))
}

/// Refuses a zone that is written in the query and that nobody knows.
fn check_zone(argument: Option<&Argument>) -> Result<(), String> {
    match argument.and_then(|argument| argument.text.as_deref()) {
        Some(name) if zone(name).is_none() => {
            Err(format!("'{name}' is no time zone: name a region, as 'Europe/Berlin'"))
        }
        _ => Ok(()),
    }
}

fn to_instant(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    if !matches!(arguments[0].data_type(), DataType::Utf8) {
        return of_numbers(call, &arguments[0]);
    }
    let local = DataType::Timestamp(TimeUnit::Millisecond, None);
    let Some(patterns) = arguments.get(1) else {
        return Ok(arrow::compute::cast(&cast_values(&arguments[0], &local)?, &call.output)?);
    };
    let Some(pattern) = patterns.as_string::<i32>().iter().flatten().next() else {
        return Ok(arrow::array::new_null_array(&call.output, rows));
    };
    let pattern = Pattern::parse(pattern).map_err(Error::query)?;
    let texts = arguments[0].as_string::<i32>();
    let read = |text: &str| pattern.read(text).or_else(|| read_jdbc_time(text));
    let times: PrimitiveArray<TimestampMillisecondType> = match arguments.get(2) {
        None => texts.iter().map(|text| read(text?)).collect(),
        Some(zones) => {
            let mut zones = Zones::new(zones.as_string::<i32>());
            let time = |(row, text): (usize, Option<&str>)| {
                let (local, zone) = (read(text?)?, zones.get(row)?);
                Some(local - zone.offsets().of_local(local.div_euclid(1_000), Twice::Earlier) * 1_000)
            };
            texts.iter().enumerate().map(time).collect()
        }
    };
    Ok(Arc::new(times.with_data_type(call.output.clone())))
}

/// Numbers of parts of a second; those of floats are rounded down to ticks of the result, decimals are cut to whole numbers.
fn of_numbers(call: &Call, values: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, _) = &call.output else { return Err(Error::bug("an instant is a TIMESTAMP_LTZ")) };
    let precision = call.parameters.first().and_then(|precision| u8::try_from(*precision).ok()).unwrap_or(3);
    let factor = 10_i64.pow(u32::from(digits(*unit).saturating_sub(precision)));
    let per_second = 10_i128.pow(u32::from(digits(*unit)));
    // The years 0 to 9999, as far as 64 bits hold them.
    let years = -62_167_219_200 * per_second..253_402_300_800 * per_second;
    let tick = |tick: i128| i64::try_from(tick).ok().filter(|_| years.contains(&tick));
    let ticks: PrimitiveArray<Int64Type> = match values.data_type() {
        number if is_approximate(number) => values.as_primitive::<Float64Type>().unary_opt(|value| {
            let ticks = (value * factor as f64).floor();
            ticks.is_finite().then_some(ticks as i128).and_then(tick)
        }),
        DataType::Decimal128(_, scale) => {
            let one = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
            let values = values.as_primitive::<Decimal128Type>();
            values.unary_opt(|value| (value / one).checked_mul(i128::from(factor)).and_then(tick))
        }
        _ => values.as_primitive::<Int64Type>().unary_opt(|value| tick(i128::from(value) * i128::from(factor))),
    };
    Ok(arrow::compute::cast(&ticks, &call.output)?)
}

fn convert_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 3, 3)?;
    if let Some(argument) = arguments.iter().find(|it| !matches!(it.data_type, DataType::Utf8 | DataType::Null)) {
        return Err(format!("it takes text, not {}", type_name(&argument.data_type)));
    }
    check_zone(arguments.get(1))?;
    check_zone(arguments.get(2))?;
    Ok(Typing::new(vec![DataType::Utf8; 3], DataType::Utf8))
}

fn convert(_: &Call, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let usual = Pattern::parse("yyyy-MM-dd HH:mm:ss").map_err(Error::bug)?;
    let texts = arguments[0].as_string::<i32>();
    let (mut from, mut to) = (Zones::new(arguments[1].as_string()), Zones::new(arguments[2].as_string()));
    let text = |(row, text): (usize, Option<&str>)| {
        let text = text?;
        // To Java, a zone that it does not know is GMT.
        let from = from.get_or_gmt(row)?;
        let to = to.get_or_gmt(row)?;
        let local = usual.read_leniently(text)?.div_euclid(1_000);
        let instant = local - from.offsets().of_local(local, Twice::Later);
        Some(usual.write((instant + to.offsets().of_instant(instant)) * 1_000))
    };
    Ok(Arc::new(texts.iter().enumerate().map(text).collect::<StringArray>()))
}

/// The zones that a column names; rows mostly name the one of the row before.
struct Zones<'a> {
    names: &'a StringArray,
    last: (&'a str, Option<Zone>),
}

impl<'a> Zones<'a> {
    fn new(names: &'a StringArray) -> Self {
        Self { names, last: ("UTC", Some(Zone::UTC)) }
    }

    /// The zone of a row, if it names one that there is.
    fn get(&mut self, row: usize) -> Option<Zone> {
        let name = self.names.is_valid(row).then(|| self.names.value(row))?;
        if name != self.last.0 {
            self.last = (name, zone(name));
        }
        self.last.1
    }

    /// The zone of a row; GMT for one that there is not.
    fn get_or_gmt(&mut self, row: usize) -> Option<Zone> {
        self.names.is_valid(row).then(|| self.get(row).unwrap_or(Zone::UTC))
    }
}

/// A zone by its name, or by one of the short ones that Java has kept.
fn zone(name: &str) -> Option<Zone> {
    let short = SHORT_NAMES.iter().find(|(short, _)| *short == name);
    Zone::parse(short.map_or(name, |(_, zone)| zone))
}

/// The short names of `java.util.TimeZone`.
const SHORT_NAMES: [(&str, &str); 28] = [
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EST", "GMT-05:00"),
    ("HST", "GMT-10:00"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("MST", "GMT-07:00"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_short_name_is_a_zone() {
        for (short, _) in SHORT_NAMES {
            assert!(zone(short).is_some(), "{short}");
        }
        assert_eq!((zone("UTC+1"), zone("Mars")), (Zone::parse("+01:00"), None));
    }
}
