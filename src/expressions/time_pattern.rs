//! Patterns of DATE_FORMAT and TO_TIMESTAMP: Java's letters for dates and times.

use super::instant::{civil_day, date_of, last_day};
use chrono::{Datelike, Timelike};

/// A pattern of Java's letters for dates and times: runs of `yMdHhmsSaE`, text between quotes, other signs as they are.
pub struct Pattern(Vec<Piece>);

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// What a text says by a pattern.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    millis: i64,
}

/// Digits of a number of which as many are read as there are; a product of it and the seconds of a day fits a BIGINT.
const MOST_DIGITS: usize = 9;

enum Piece {
    Letters(char, usize),
    Text(String),
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(first) = characters.next() {
            match first {
                'y' | 'M' | 'd' | 'H' | 'h' | 'm' | 's' | 'S' | 'a' | 'E' => {
                    let mut length = 1;
                    while characters.next_if_eq(&first).is_some() {
                        length += 1;
                    }
                    pieces.push(Piece::Letters(first, length));
                }
                '\'' => {
                    let mut quoted = String::new();
                    loop {
                        match characters.next() {
                            Some('\'') if characters.next_if_eq(&'\'').is_none() => break,
                            Some(character) => quoted.push(character),
                            None => return Err(format!("the pattern '{text}' has an open quote")),
                        }
                    }
                    pieces.push(Piece::Text(if quoted.is_empty() { "'".to_owned() } else { quoted }));
                }
                letter if letter.is_ascii_alphabetic() => {
                    return Err(format!(
                        "the letter '{letter}' of the pattern '{text}' is not built yet; known: yMdHhmsSaE"
                    ));
                }
                other => pieces.push(Piece::Text(other.to_string())),
            }
        }
        Ok(Self(pieces))
    }

    /// The time, in milliseconds, as text.
    pub fn write(&self, millis: i64) -> String {
        use std::fmt::Write;
        let date = date_of(millis.div_euclid(86_400_000));
        let of_day = millis.rem_euclid(86_400_000);
        let seconds = u32::try_from(of_day / 1_000).unwrap_or(0);
        let time = chrono::NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0).unwrap_or_default();
        let mut out = String::new();
        for piece in &self.0 {
            let _ = match piece {
                Piece::Text(text) => write!(out, "{text}"),
                Piece::Letters('y', 2) => write!(out, "{:02}", date.year().rem_euclid(100)),
                Piece::Letters('y', width) => write!(out, "{:0width$}", date.year()),
                Piece::Letters('M', 3) => write!(out, "{}", date.format("%b")),
                Piece::Letters('M', 4..) => write!(out, "{}", date.format("%B")),
                Piece::Letters('M', width) => write!(out, "{:0width$}", date.month()),
                Piece::Letters('d', width) => write!(out, "{:0width$}", date.day()),
                Piece::Letters('H', width) => write!(out, "{:0width$}", time.hour()),
                Piece::Letters('h', width) => write!(out, "{:0width$}", (time.hour() + 11) % 12 + 1),
                Piece::Letters('m', width) => write!(out, "{:0width$}", time.minute()),
                Piece::Letters('s', width) => write!(out, "{:0width$}", time.second()),
                Piece::Letters('S', width) => {
                    let fraction = format!("{:03}000000", of_day % 1_000);
                    write!(out, "{:0<width$}", &fraction[..(*width).min(9)])
                }
                Piece::Letters('a', _) => write!(out, "{}", if time.hour() < 12 { "AM" } else { "PM" }),
                Piece::Letters('E', 4..) => write!(out, "{}", date.format("%A")),
                Piece::Letters(..) => write!(out, "{}", date.format("%a")),
            };
        }
        out
    }

    /// The time in milliseconds, if the whole text has the pattern's shape. A day beyond the end of its month is that end.
    pub fn read(&self, text: &str) -> Option<i64> {
        let (fields, rest) = self.fields(text, false)?;
        if !rest.is_empty() || fields.hour > 23 || fields.minute > 59 || fields.second > 59 {
            return None;
        }
        let (year, month) = (i32::try_from(fields.year).ok()?, u32::try_from(fields.month).ok()?);
        let date = match chrono::NaiveDate::from_ymd_opt(year, month, u32::try_from(fields.day).ok()?) {
            Some(date) => date,
            None => (29..=31).contains(&fields.day).then(|| last_day(year, month)).flatten()?,
        };
        Some(fields.millis_from(i64::from(civil_day(date))))
    }

    /// The time in milliseconds, if the text begins with the pattern's shape: months, days, hours, minutes and seconds
    /// beyond their ends go on into what follows.
    pub fn read_leniently(&self, text: &str) -> Option<i64> {
        let (fields, _) = self.fields(text, true)?;
        let months = fields.year * 12 + fields.month - 1;
        let year = i32::try_from(months.div_euclid(12)).ok()?;
        let month = u32::try_from(months.rem_euclid(12) + 1).ok()?;
        let first = chrono::NaiveDate::from_ymd_opt(year, month, 1)?;
        Some(fields.millis_from(i64::from(civil_day(first)) + fields.day - 1))
    }

    /// The fields, and what stands behind them.
    fn fields<'a>(&self, text: &'a str, lenient: bool) -> Option<(Fields, &'a str)> {
        let mut fields = Fields { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, millis: 0 };
        let mut afternoon = None;
        let mut rest = text;
        for (index, piece) in self.0.iter().enumerate() {
            let (letter, width) = match piece {
                Piece::Text(expected) => {
                    rest = rest.strip_prefix(expected.as_str())?;
                    continue;
                }
                Piece::Letters('a', _) => {
                    let word = rest.get(..2)?;
                    afternoon = Some(word.eq_ignore_ascii_case("pm"));
                    rest = &rest[2..];
                    continue;
                }
                Piece::Letters('M', width @ 3..) => {
                    let names = if *width == 3 { MONTHS.map(|name| &name[..3]) } else { MONTHS };
                    let (month, name) = (1..).zip(names).find(|(_, name)| rest.starts_with(*name))?;
                    fields.month = month;
                    rest = &rest[name.len()..];
                    continue;
                }
                Piece::Letters(letter, width) => (*letter, *width),
            };
            if lenient {
                rest = rest.trim_start();
            }
            // Letters side by side have a fixed width; else a number may be longer than its letters.
            let fixed = matches!(self.0.get(index + 1), Some(Piece::Letters(..)));
            let most = match letter {
                _ if fixed => width,
                _ if lenient => MOST_DIGITS,
                'S' => width,
                _ => width.max(4),
            };
            let length = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
            let is_short = length < width && (fixed || (!lenient && letter == 'y' && width > 2));
            if length == 0 || is_short {
                return None;
            }
            let value: i64 = rest[..length].parse().ok()?;
            match letter {
                'y' => fields.year = if width == 2 && length <= 2 { 2000 + value } else { value },
                'M' => fields.month = value,
                'd' => fields.day = value,
                'H' | 'h' => fields.hour = value,
                'm' => fields.minute = value,
                's' => fields.second = value,
                'S' if lenient => fields.millis = value,
                'S' => fields.millis = value * 1_000 / 10_i64.checked_pow(u32::try_from(length).ok()?)?,
                _ => return None,
            }
            rest = &rest[length..];
        }
        if let Some(afternoon) = afternoon {
            fields.hour = fields.hour % 12 + if afternoon { 12 } else { 0 };
        }
        Some((fields, rest))
    }
}

impl Fields {
    /// Milliseconds since 1970 on that day.
    fn millis_from(&self, day: i64) -> i64 {
        (day * 86_400 + self.hour * 3_600 + self.minute * 60 + self.second) * 1_000 + self.millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUNDAY: i64 = 1_704_601_845_678; // 2024-01-07 04:30:45.678

    #[test]
    fn patterns_write_and_read() {
        let pattern = Pattern::parse("yyyy-MM-dd'T'HH:mm:ss.SSS").unwrap();
        assert_eq!(pattern.write(SUNDAY), "2024-01-07T04:30:45.678");
        assert_eq!(pattern.read("2024-01-07T04:30:45.678"), Some(SUNDAY));
        assert_eq!(pattern.read("2024-01-07 04:30:45.678"), None);
        assert_eq!(Pattern::parse("yyyyMMdd").unwrap().read("20240107"), Some(SUNDAY - 16_245_678));
        assert_eq!(Pattern::parse("EEE, d MMM yy h a").unwrap().write(SUNDAY), "Sun, 7 Jan 24 4 AM");
        let day = |text: &str| {
            Pattern::parse("yyyy-MM-dd HH:mm:ss").unwrap().read_leniently(text).map(|time| pattern.write(time))
        };
        assert_eq!(day(" 2024-1-1 1:1:1.5x").as_deref(), Some("2024-01-01T01:01:01.000"));
        assert_eq!(day("2024-14-35 25:60:60").as_deref(), Some("2025-03-08T02:01:00.000"));
        assert_eq!(day("2024-00-00 00:00:00").as_deref(), Some("2023-11-30T00:00:00.000"));
        assert_eq!(day("2024-01-01 10:11"), None);
        assert_eq!(day("999999999-01-01 00:00:00"), None);
        assert!(Pattern::parse("QQ").is_err() && Pattern::parse("'x").is_err());
    }
}
