//! Time zones: what stands on a clock on a wall at an instant, and which instant is meant by it.
//!
//! A clock that is put forward leaves out local times (a gap); one that is put back shows some twice (an overlap). Where
//! one instant is asked for, a time in a gap is read as by the clock before the change, as Java does it.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Zone(Rules);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Rules {
    #[default]
    Utc,
    /// Seconds before UTC that never change.
    Fixed(i32),
    Region(Tz),
}

/// Which instant of those at which a clock shows the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    Earlier,
    Later,
}

impl Zone {
    /// The zone of that name: `UTC`, a region of the time zone database (`Europe/Berlin`), or an offset: `GMT+03:00`, `UTC-8`,
    /// `+03:00`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(seconds) = fixed_offset(text) {
            return Some(if seconds == 0 { Self::UTC } else { Self(Rules::Fixed(seconds)) });
        }
        match text {
            "UTC" | "GMT" | "UT" | "Z" => Some(Self::UTC),
            region => region.parse().ok().map(|region| Self(Rules::Region(region))),
        }
    }

    /// The zone without changes and offset.
    pub const UTC: Self = Self(Rules::Utc);

    /// Whether local time and UTC are the same.
    pub fn is_utc(self) -> bool {
        self.0 == Rules::Utc
    }

    /// The zone's offsets, for many times.
    pub fn offsets(self) -> Offsets {
        Offsets { zone: self, of_instants: Span::NONE, of_locals: Span::NONE }
    }

    /// Seconds that local time is ahead of UTC at an instant, in seconds since 1970.
    pub fn offset(self, second: i64) -> i64 {
        let region = match self.0 {
            Rules::Utc => return 0,
            Rules::Fixed(seconds) => return i64::from(seconds),
            Rules::Region(region) => region,
        };
        let known = second.checked_sub(days_from_table(second).saturating_mul(DAY)).unwrap_or(second);
        let time = DateTime::from_timestamp(known, 0).unwrap_or_default();
        i64::from(region.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc())
    }

    /// The second at which the offset of `after` begins; at `before`, not long before it, another one holds.
    fn change(self, before: i64, after: i64) -> i64 {
        let (mut before, mut begun) = (before, after);
        let offset = self.offset(after);
        while begun - before > 1 {
            let middle = before + (begun - before) / 2;
            if self.offset(middle) == offset { begun = middle } else { before = middle }
        }
        begun
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Rules::Utc => out.write_str("UTC"),
            Rules::Region(region) => out.write_str(region.name()),
            Rules::Fixed(seconds) => {
                let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
                write!(out, "GMT{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

const DAY: i64 = 86_400;

/// The least and the greatest offset that a zone ever has are not further from UTC than this, in seconds.
const MOST_OFFSET: i64 = 26 * 3_600;

/// The offsets of a zone for times that mostly lie on the same day as the one before.
#[derive(Debug, Clone)]
pub struct Offsets {
    zone: Zone,
    of_instants: Span,
    of_locals: Span,
}

/// Seconds of one offset.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    until: i64,
    offset: i64,
}

impl Span {
    const NONE: Self = Self { from: 0, until: 0, offset: 0 };

    fn get(&self, second: i64) -> Option<i64> {
        (self.from..self.until).contains(&second).then_some(self.offset)
    }
}

impl Offsets {
    /// Seconds that local time is ahead of UTC at an instant, in seconds since 1970.
    pub fn of_instant(&mut self, second: i64) -> i64 {
        if let Some(offset) = self.of_instants.get(second) {
            return offset;
        }
        let from = second.div_euclid(DAY).saturating_mul(DAY);
        let until = from.saturating_add(DAY);
        let offset = self.zone.offset(from);
        if offset == self.zone.offset(until) {
            self.of_instants = Span { from, until, offset };
            return offset;
        }
        self.zone.offset(second)
    }

    /// Seconds that a local time, in seconds since 1970 on that clock, is ahead of UTC. In a gap it is the offset before.
    pub fn of_local(&mut self, second: i64, twice: Twice) -> i64 {
        if let Some(offset) = self.of_locals.get(second) {
            return offset;
        }
        let from = second.div_euclid(DAY).saturating_mul(DAY);
        let until = from.saturating_add(DAY);
        let (before, after) =
            (self.zone.offset(from.saturating_sub(MOST_OFFSET)), self.zone.offset(until.saturating_add(MOST_OFFSET)));
        if before == after {
            self.of_locals = Span { from, until, offset: before };
            return before;
        }
        // The change lies within a few days: whichever of the two offsets leads back to itself is right.
        let holds = |offset: i64| self.zone.offset(second.saturating_sub(offset)) == offset;
        match (holds(before), holds(after), twice) {
            (false, true, _) | (true, true, Twice::Later) => after,
            _ => before,
        }
    }

    /// The instant, in milliseconds, at which a clock shows a local time.
    pub fn instant(&mut self, local_ms: i64, twice: Twice) -> i64 {
        match self.zone.is_utc() || !is_time(local_ms) {
            true => local_ms,
            false => local_ms - self.of_local(local_ms.div_euclid(1_000), twice) * 1_000,
        }
    }

    /// What a clock shows at an instant, both in milliseconds.
    pub fn local(&mut self, instant_ms: i64) -> i64 {
        match self.zone.is_utc() || !is_time(instant_ms) {
            true => instant_ms,
            false => instant_ms + self.of_instant(instant_ms.div_euclid(1_000)) * 1_000,
        }
    }

    /// How far local time has come at an instant: the latest local time, in milliseconds, up to which all have been. While
    /// a clock shows again what it has shown before, and before that, the times that it shows twice are not over.
    pub fn reached(&mut self, instant_ms: i64) -> i64 {
        let (second, is_known) = (instant_ms.div_euclid(1_000), is_time(instant_ms));
        if self.zone.is_utc() || !is_known {
            return instant_ms;
        }
        let offset = self.of_instant(second);
        let local = second + offset;
        let later = self.of_local(local, Twice::Later);
        if later >= offset || self.zone.offset(local - later) != later {
            return instant_ms + offset * 1_000;
        }
        let change = self.zone.change(second, local - later);
        (change + later) * 1_000 - 1
    }

    /// The first instant, in milliseconds, at which local time has [reached](Self::reached) so far.
    pub fn instant_of_reaching(&mut self, local_ms: i64) -> i64 {
        if self.zone.is_utc() || !is_time(local_ms) {
            return local_ms;
        }
        let second = local_ms.div_euclid(1_000);
        let offset = self.of_local(second, Twice::Later);
        let instant = second - offset;
        let holds = self.zone.offset(instant);
        if holds == offset {
            return local_ms - offset * 1_000;
        }
        // In a gap: local time is past it at once.
        self.zone.change(second - holds, instant) * 1_000
    }

    /// An instant, in milliseconds, at which local time has not come further than `local_ms`.
    pub fn instant_not_beyond(&mut self, local_ms: i64) -> i64 {
        let instant = self.instant_of_reaching(local_ms);
        if self.reached(instant) > local_ms { instant - 1 } else { instant }
    }
}

/// Whether it is a time, and not one of the ends of 64 bits that mean "none yet" and "no more rows".
fn is_time(ms: i64) -> bool {
    const FAR: i64 = i64::MAX / 2;
    (-FAR..FAR).contains(&ms)
}

/// Seconds of `GMT+3`, `UTC-08:00`, `+0200`.
fn fixed_offset(text: &str) -> Option<i32> {
    let text = ["GMT", "UTC", "UT"].into_iter().find_map(|name| text.strip_prefix(name)).unwrap_or(text);
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "00"),
        Some(_) => return None,
    };
    let number = |text: &str| -> Option<i32> {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= 18 * 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// The table of changes ends with the year 2099. So many days earlier lies a year of the table that begins with the same day
/// of the week and is as long: its changes are those of a later year.
fn days_from_table(second: i64) -> i64 {
    const END: i64 = 4_102_444_800; // 2100-01-01
    if second < END {
        return 0;
    }
    let Some(year) = DateTime::from_timestamp(second, 0).map(|time| time.year()) else { return 0 };
    let first = |year: i32| NaiveDate::from_ymd_opt(year, 1, 1);
    let like = |candidate: &i32| {
        let (one, two) = (first(year), first(*candidate));
        one.zip(two).is_some_and(|(one, two)| one.weekday() == two.weekday() && one.leap_year() == two.leap_year())
    };
    let known = (2060..2100).find(like).and_then(first);
    first(year).zip(known).map_or(0, |(year, known)| (year - known).num_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(text: &str) -> i64 {
        chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap().and_utc().timestamp()
    }

    fn shown(zone: &str, instant: &str) -> String {
        let second = second(instant);
        let local = second + Zone::parse(zone).unwrap().offsets().of_instant(second);
        DateTime::from_timestamp(local, 0).unwrap().naive_utc().to_string()
    }

    fn meant(zone: &str, local: &str, twice: Twice) -> String {
        let second = second(local);
        let instant = second - Zone::parse(zone).unwrap().offsets().of_local(second, twice);
        DateTime::from_timestamp(instant, 0).unwrap().naive_utc().to_string()
    }

    #[test]
    fn names_and_offsets_are_those_of_java() {
        let name = |text: &str| Zone::parse(text).map(|zone| zone.to_string());
        for (text, expected) in [
            ("UTC", "UTC"),
            ("GMT", "UTC"),
            ("GMT+3", "GMT+03:00"),
            ("GMT-08:00", "GMT-08:00"),
            ("GMT+0530", "GMT+05:30"),
            ("+02:00", "GMT+02:00"),
            ("UTC+1", "GMT+01:00"),
            ("-2", "GMT-02:00"),
            ("GMT+0", "UTC"),
            ("Europe/Kyiv", "Europe/Kyiv"),
            ("Etc/GMT-2", "Etc/GMT-2"),
        ] {
            assert_eq!(name(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["PST", "GMT+18:30", "GMT+03:30:10", "GMT+", "Mars", "", "GMT+3:60", "+2:5"] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn clocks_are_put_forward_and_back() {
        assert_eq!(shown("Europe/Berlin", "2024-03-31 00:59:59"), "2024-03-31 01:59:59");
        assert_eq!(shown("Europe/Berlin", "2024-03-31 01:00:00"), "2024-03-31 03:00:00");
        assert_eq!(shown("Europe/Berlin", "2024-10-27 00:59:59"), "2024-10-27 02:59:59");
        assert_eq!(shown("Europe/Berlin", "2024-10-27 01:00:00"), "2024-10-27 02:00:00");
        assert_eq!(shown("Australia/Lord_Howe", "2024-04-06 14:59:59"), "2024-04-07 01:59:59");
        assert_eq!(shown("Australia/Lord_Howe", "2024-04-06 15:00:00"), "2024-04-07 01:30:00");
        assert_eq!(shown("Asia/Kathmandu", "2024-01-01 00:00:00"), "2024-01-01 05:45:00");
        // Past the table: the second Sunday of March is the 8th.
        assert_eq!(shown("America/New_York", "2150-03-08 06:59:59"), "2150-03-08 01:59:59");
        assert_eq!(shown("America/New_York", "2150-03-08 07:00:00"), "2150-03-08 03:00:00");
        let berlin = |local, twice| meant("Europe/Berlin", local, twice);
        assert_eq!(berlin("2024-03-31 02:30:00", Twice::Earlier), "2024-03-31 01:30:00");
        assert_eq!(berlin("2024-10-27 02:30:00", Twice::Earlier), "2024-10-27 00:30:00");
        assert_eq!(berlin("2024-10-27 02:30:00", Twice::Later), "2024-10-27 01:30:00");
        assert_eq!(berlin("2024-10-27 03:00:00", Twice::Earlier), "2024-10-27 02:00:00");
        assert_eq!(meant("Australia/Lord_Howe", "2024-10-06 02:10:00", Twice::Later), "2024-10-05 15:40:00");
    }

    /// By the definition, a second at a time, around every kind of change.
    #[test]
    fn local_time_reaches_what_is_never_shown_again() {
        for (zone, around) in [
            ("Europe/Berlin", "2024-03-31 01:00:00"),
            ("Europe/Berlin", "2024-10-27 01:00:00"),
            ("Australia/Lord_Howe", "2024-04-06 15:00:00"),
            ("Australia/Lord_Howe", "2024-10-05 15:30:00"),
            ("America/New_York", "2024-11-03 06:00:00"),
            ("Asia/Kathmandu", "1985-12-31 18:30:00"),
            // A day that there was not.
            ("Pacific/Apia", "2011-12-30 10:00:00"),
        ] {
            let around = second(around);
            let mut offsets = Zone::parse(zone).unwrap().offsets();
            let times: Vec<i64> =
                (around - 2 * DAY..around + 2 * DAY).step_by(300).flat_map(|at| [at - 1, at]).collect();
            let local: Vec<i64> = times.iter().map(|at| (at + offsets.of_instant(*at)) * 1_000).collect();
            let mut before = i64::MIN;
            for (index, at) in times.iter().enumerate() {
                let reached = offsets.reached(at * 1_000);
                assert!(reached >= before, "{zone}: {at}");
                before = reached;
                let shown_later = local[index + 1..].iter().min().copied().unwrap_or(i64::MAX);
                let expected = if shown_later <= local[index] { shown_later - 1 } else { local[index] };
                assert_eq!(reached, expected, "{zone}: {at}");
                let first = offsets.instant_of_reaching(reached);
                assert!(first <= at * 1_000 && offsets.reached(first) >= reached, "{zone}: {at}");
                assert!(offsets.reached(first - 1) < reached, "{zone}: {at}");
                let not_beyond = offsets.instant_not_beyond(local[index]);
                assert!(offsets.reached(not_beyond) <= local[index], "{zone}: {at}");
            }
        }
        for end in [i64::MIN, i64::MAX] {
            let mut offsets = Zone::parse("Europe/Berlin").unwrap().offsets();
            assert_eq!((offsets.reached(end), offsets.instant_of_reaching(end)), (end, end));
        }
    }
}
