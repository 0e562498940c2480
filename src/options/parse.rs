//! Flink's spellings of durations, sizes, booleans and characters.

use std::time::Duration;

/// `true` or `false`, in any case.
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// `5 s`, `5s`, `1 min`, `500 ms`, `2 days`, a bare number of milliseconds, or ISO-8601 `PT5S`.
/// No weeks, fractions or negative values, as in Flink.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.starts_with(['P', 'p']) {
        return parse_iso_duration(text);
    }
    let (number, unit) = split_number(text)?;
    let nanos: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
        "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
        _ => return None,
    };
    Some(Duration::from_nanos(number.checked_mul(nanos)?))
}

/// `PnDTnHnMnS`, whole numbers but for seconds.
fn parse_iso_duration(text: &str) -> Option<Duration> {
    let (days, time) = match text[1..].split_once(['T', 't']) {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (&text[1..], ""),
    };
    let mut seconds = 0.0f64;
    let mut found = false;
    for (part, units) in
        [(days, [('D', 86_400.0), ('D', 86_400.0), ('D', 86_400.0)]), (time, [('H', 3_600.0), ('M', 60.0), ('S', 1.0)])]
    {
        let mut rest = part;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let unit = rest[end..].chars().next()?.to_ascii_uppercase();
            let factor = units.iter().find(|(name, _)| *name == unit)?.1;
            seconds += rest[..end].parse::<f64>().ok()? * factor;
            found = true;
            rest = &rest[end + 1..];
        }
    }
    found.then(|| Duration::from_secs_f64(seconds))
}

/// `128 mb`, `128mb`, `128m`, or a bare number of bytes; units are powers of 1,024.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kibibytes" => 10,
        "m" | "mb" | "mebibytes" => 20,
        "g" | "gb" | "gibibytes" => 30,
        "t" | "tb" | "tebibytes" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// One character, or one of Java's escapes for a tab, a line end, a backslash or a code point (`\u0001`).
pub fn parse_character(text: &str) -> Option<char> {
    let mut characters = text.chars();
    match (characters.next()?, characters.next()) {
        (only, None) => Some(only),
        ('\\', Some(escaped)) => match (escaped, characters.as_str()) {
            ('t', "") => Some('\t'),
            ('n', "") => Some('\n'),
            ('r', "") => Some('\r'),
            ('\\', "") => Some('\\'),
            ('u', digits) if digits.len() == 4 => char::from_u32(u32::from_str_radix(digits, 16).ok()?),
            _ => None,
        },
        _ => None,
    }
}

/// A leading whole number and the unit behind it.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_flink_reads_them() {
        for (text, millis) in [
            ("5 s", 5_000),
            ("5s", 5_000),
            ("1 min", 60_000),
            ("10min", 600_000),
            ("500 ms", 500),
            ("2 days", 172_800_000),
            ("250", 250),
            ("PT5S", 5_000),
            ("P1DT1M", 86_460_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1 s", "1.5 s", "1 week", "PT", "P"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_and_characters() {
        assert_eq!(parse_size("128 mb"), Some(128 << 20));
        assert_eq!(parse_size("64"), Some(64));
        assert_eq!(parse_size("1gib"), None);
        assert_eq!(parse_size("1.5g"), None);
        assert_eq!(parse_character("\\t"), Some('\t'));
        assert_eq!(parse_character(";"), Some(';'));
        assert_eq!(parse_character("ab"), None);
    }
}
