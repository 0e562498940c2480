//! Patterns of DATE_FORMAT and TO_TIMESTAMP: Java's letters for dates and times.

use super::instant::{date_of, last_day};
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

/// What becomes of a day beyond the end of its month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It is that end, as for TO_TIMESTAMP.
    Stops,
    /// It goes on into the next month, as for TO_DATE.
    Rolls,
}

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

    /// The time in milliseconds, if the text has the pattern's shape.
    pub fn read(&self, text: &str, overflow: Overflow) -> Option<i64> {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        let (mut hour, mut minute, mut second, mut millis) = (0_i64, 0_i64, 0_i64, 0_i64);
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
                    let (index, name) = names.iter().enumerate().find(|(_, name)| rest.starts_with(*name))?;
                    month = u32::try_from(index + 1).ok()?;
                    rest = &rest[name.len()..];
                    continue;
                }
                Piece::Letters(letter, width) => (*letter, *width),
            };
            // Letters side by side have a fixed width; else a number may be longer than its letters.
            let fixed = matches!(self.0.get(index + 1), Some(Piece::Letters(..)));
            let most = if fixed || letter == 'S' { width } else { width.max(4) };
            let length = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
            if length == 0 || (fixed && length < width) {
                return None;
            }
            let value: i64 = rest[..length].parse().ok()?;
            match letter {
                'y' => year = i32::try_from(if width == 2 { 2000 + value } else { value }).ok()?,
                'M' => month = u32::try_from(value).ok()?,
                'd' => day = u32::try_from(value).ok()?,
                'H' | 'h' => hour = value,
                'm' => minute = value,
                's' => second = value,
                'S' => millis = value * 1_000 / 10_i64.checked_pow(u32::try_from(length).ok()?)?,
                _ => return None,
            }
            rest = &rest[length..];
        }
        if let Some(afternoon) = afternoon {
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        if !rest.is_empty() || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let date = match chrono::NaiveDate::from_ymd_opt(year, month, day) {
            Some(date) => date,
            None if !(29..=31).contains(&day) => return None,
            None => {
                let last = last_day(year, month)?;
                let beyond = i64::from(day) - i64::from(last.day());
                if overflow == Overflow::Rolls {
                    last.checked_add_signed(chrono::TimeDelta::days(beyond))?
                } else {
                    last
                }
            }
        };
        let day = i64::from(super::instant::civil_day(date));
        Some((day * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000 + millis)
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
        assert_eq!(pattern.read("2024-01-07T04:30:45.678", Overflow::Stops), Some(SUNDAY));
        assert_eq!(pattern.read("2024-01-07 04:30:45.678", Overflow::Stops), None);
        assert_eq!(Pattern::parse("yyyyMMdd").unwrap().read("20240107", Overflow::Stops), Some(SUNDAY - 16_245_678));
        assert_eq!(Pattern::parse("EEE, d MMM yy h a").unwrap().write(SUNDAY), "Sun, 7 Jan 24 4 AM");
        assert!(Pattern::parse("QQ").is_err() && Pattern::parse("'x").is_err());
    }
}
