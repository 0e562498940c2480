//! Numbers out of text and into text, exactly, with Flink's (Java's) spellings.
//!
//! Reading never loses anything in silence: a value that does not fit the type is a [`Misfit`].

use std::io::Write;

/// Why text is not a value of a type; the caller adds the column, the text and the type.
pub(super) type Misfit = &'static str;

/// What to do with digits that a whole number or a DECIMAL has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// They are an error.
    Refuse,
    /// They are cut off, towards zero.
    Truncate,
    /// The last digit kept is rounded half up.
    Round,
}

/// A whole number of at most 18 digits without sign or with `-`; `None` sends it to the careful way.
#[inline]
pub(super) fn short_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// A whole number as Java's `parseLong` reads it: digits with an optional sign and nothing else.
pub(super) fn plain_integer(text: &[u8]) -> Result<i64, Misfit> {
    if let Some(value) = short_integer(text) {
        return Ok(value);
    }
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err("not a whole number");
    }
    // All bytes are ASCII digits behind an optional sign, so the one thing that can be wrong is the range.
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or("out of range")
}

/// A whole number in any spelling that has one exact value: `12`, `1e3`, `1.0`.
pub(super) fn exact_integer(text: &[u8], excess: Excess) -> Result<i64, Misfit> {
    if let Some(value) = short_integer(text) {
        return Ok(value);
    }
    let value = decimal(text, 38, 0, excess).map_err(|misfit| match misfit {
        "more digits behind the point than the type has" => "not a whole number",
        other => other,
    })?;
    i64::try_from(value).map_err(|_| "out of range")
}

/// The unscaled value of a DECIMAL of this precision and scale, from `[+-]digits[.digits][e[+-]digits]`.
pub(super) fn decimal(text: &[u8], precision: u8, scale: i8, excess: Excess) -> Result<i128, Misfit> {
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    // Digits that are kept, as a number below 10^38; the first one that is not decides the rounding.
    let mut value = 0u128;
    let mut kept = 0u32;
    let mut beyond: Option<u8> = None;
    let mut beyond_is_more = false;
    let mut exponent = 0i64;
    let mut seen_digit = false;
    let mut seen_point = false;
    loop {
        match rest {
            [digit @ b'0'..=b'9', tail @ ..] => {
                seen_digit = true;
                if kept < 38 {
                    value = value * 10 + u128::from(digit - b'0');
                    kept += u32::from(value > 0);
                    exponent -= i64::from(seen_point);
                } else {
                    match beyond {
                        None => beyond = Some(*digit),
                        Some(_) => beyond_is_more |= *digit != b'0',
                    }
                    exponent += i64::from(!seen_point);
                }
                rest = tail;
            }
            [b'.', tail @ ..] if !seen_point => {
                seen_point = true;
                rest = tail;
            }
            _ => break,
        }
    }
    if !seen_digit {
        return Err("not a number");
    }
    match rest {
        [] => {}
        [b'e' | b'E', tail @ ..] => {
            let power = plain_integer(tail).map_err(|_| "not a number")?;
            exponent = exponent.saturating_add(power);
        }
        _ => return Err("not a number"),
    }
    let beyond_matters = beyond.is_some_and(|digit| digit != b'0') || beyond_is_more;
    let shift = exponent.saturating_add(i64::from(scale));
    let unscaled = if value == 0 {
        0
    } else if shift >= 0 {
        if beyond_matters && shift == 0 && excess != Excess::Refuse {
            value + u128::from(excess == Excess::Round && beyond.is_some_and(|digit| digit >= b'5'))
        } else if beyond_matters && shift == 0 {
            return Err("more digits behind the point than the type has");
        } else {
            let factor = u32::try_from(shift).ok().filter(|shift| *shift <= 38).ok_or("out of range")?;
            10u128.pow(factor).checked_mul(value).ok_or("out of range")?
        }
    } else {
        let divisor = u32::try_from(-shift).ok().filter(|shift| *shift <= 38).map(|shift| 10u128.pow(shift));
        let (quotient, remainder) = divisor.map_or((0, value), |divisor| (value / divisor, value % divisor));
        match excess {
            _ if remainder == 0 && !beyond_matters => quotient,
            Excess::Refuse => return Err("more digits behind the point than the type has"),
            Excess::Truncate => quotient,
            Excess::Round => quotient + u128::from(divisor.is_some_and(|divisor| remainder >= divisor.div_ceil(2))),
        }
    };
    if unscaled >= 10u128.pow(u32::from(precision).min(38)) {
        return Err("out of range");
    }
    let unscaled = i128::try_from(unscaled).map_err(|_| "out of range")?;
    Ok(if negative { -unscaled } else { unscaled })
}

/// A DOUBLE as Java's `parseDouble` reads it, but out of range is an error and not infinity.
pub(super) fn double(text: &[u8]) -> Result<f64, Misfit> {
    let value = match special(text) {
        Some(value) => return Ok(value),
        None => floating::<f64>(text)?,
    };
    if value.is_finite() { Ok(value) } else { Err("out of range") }
}

/// A FLOAT, rounded from the text itself and not by way of a double.
pub(super) fn float(text: &[u8]) -> Result<f32, Misfit> {
    let value = match special(text) {
        Some(value) if value.is_nan() => return Ok(f32::NAN),
        Some(value) => return Ok(if value > 0.0 { f32::INFINITY } else { f32::NEG_INFINITY }),
        None => floating::<f32>(text)?,
    };
    if value.is_finite() { Ok(value) } else { Err("out of range") }
}

fn special(text: &[u8]) -> Option<f64> {
    match text {
        b"NaN" | b"+NaN" | b"-NaN" => Some(f64::NAN),
        b"Infinity" | b"+Infinity" => Some(f64::INFINITY),
        b"-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn floating<T: std::str::FromStr>(text: &[u8]) -> Result<T, Misfit> {
    // Java lets the kind of the number stand behind it. Rust would also read `inf` and `nan`, which Java does not.
    let digits = match text {
        [digits @ .., b'd' | b'D' | b'f' | b'F'] => digits,
        digits => digits,
    };
    if !digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return Err("not a number");
    }
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or("not a number")
}

/// Appends a whole number.
pub(super) fn append_integer(value: i64, to: &mut Vec<u8>) {
    to.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a DOUBLE as Java prints it: `1.5`, `1.0E10`, `1.0E-7`, `NaN`.
pub(crate) fn append_double(value: f64, to: &mut Vec<u8>) {
    append_floating(
        value.is_nan(),
        value.is_infinite(),
        value == 0.0,
        value.is_sign_negative(),
        format_args!("{value:e}"),
        to,
    );
}

/// Appends a FLOAT as Java prints it.
pub(crate) fn append_float(value: f32, to: &mut Vec<u8>) {
    append_floating(
        value.is_nan(),
        value.is_infinite(),
        value == 0.0,
        value.is_sign_negative(),
        format_args!("{value:e}"),
        to,
    );
}

fn append_floating(
    nan: bool,
    infinite: bool,
    zero: bool,
    negative: bool,
    shortest: std::fmt::Arguments,
    to: &mut Vec<u8>,
) {
    if nan {
        return to.extend_from_slice(b"NaN");
    }
    if negative {
        to.push(b'-');
    }
    if infinite {
        return to.extend_from_slice(b"Infinity");
    }
    if zero {
        return to.extend_from_slice(b"0.0");
    }
    // The shortest digits that read back as the same value, as `d.ddde±x`.
    let mut buffer = [0u8; 40];
    let mut cursor = &mut buffer[..];
    let fits = write!(cursor, "{shortest}").is_ok();
    debug_assert!(fits, "17 digits, a point, two signs and three digits of exponent fit 40 bytes");
    let length = 40 - cursor.len();
    let text = buffer[..length].strip_prefix(b"-").unwrap_or(&buffer[..length]);
    let split = text.iter().position(|byte| *byte == b'e').unwrap_or(text.len());
    let exponent = plain_integer(text.get(split + 1..).unwrap_or_default()).unwrap_or(0);
    let mut digits = [0u8; 40];
    let mut count = 0usize;
    for byte in &text[..split] {
        if *byte != b'.' {
            digits[count] = *byte;
            count += 1;
        }
    }
    let digits = &digits[..count];
    if (0..7).contains(&exponent) {
        let whole = usize::try_from(exponent).unwrap_or(0) + 1;
        for place in 0..whole {
            to.push(digits.get(place).copied().unwrap_or(b'0'));
        }
        to.push(b'.');
        to.extend_from_slice(digits.get(whole..).filter(|rest| !rest.is_empty()).unwrap_or(b"0"));
    } else if (-3..0).contains(&exponent) {
        to.extend_from_slice(b"0.");
        to.extend(std::iter::repeat_n(b'0', usize::try_from(-exponent - 1).unwrap_or(0)));
        to.extend_from_slice(digits);
    } else {
        to.push(digits[0]);
        to.push(b'.');
        to.extend_from_slice(digits.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(b"0"));
        to.push(b'E');
        append_integer(exponent, to);
    }
}

/// Appends a DECIMAL with all the digits of its scale: `1.500`.
pub(crate) fn append_decimal(unscaled: i128, scale: i8, to: &mut Vec<u8>) {
    if unscaled < 0 {
        to.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(unscaled.unsigned_abs()).as_bytes();
    let scale = usize::try_from(scale).unwrap_or(0);
    if scale == 0 {
        return to.extend_from_slice(digits);
    }
    if digits.len() > scale {
        to.extend_from_slice(&digits[..digits.len() - scale]);
        to.push(b'.');
        to.extend_from_slice(&digits[digits.len() - scale..]);
    } else {
        to.extend_from_slice(b"0.");
        to.extend(std::iter::repeat_n(b'0', scale - digits.len()));
        to.extend_from_slice(digits);
    }
}

/// Appends a DECIMAL as Flink's csv and json formats do: without trailing zeros, and with an exponent where
/// Java's `BigDecimal` has one (`1E+5`).
pub(super) fn append_stripped_decimal(unscaled: i128, scale: i8, to: &mut Vec<u8>) {
    if unscaled == 0 {
        return to.push(b'0');
    }
    let mut digits = unscaled;
    let mut scale = i32::from(scale);
    while digits % 10 == 0 {
        digits /= 10;
        scale -= 1;
    }
    if digits < 0 {
        to.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(digits.unsigned_abs()).as_bytes();
    let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
    let adjusted = length - 1 - scale;
    if scale >= 0 && adjusted >= -6 {
        if digits < 0 {
            to.pop();
        }
        append_decimal(digits, i8::try_from(scale).unwrap_or(0), to);
    } else {
        to.push(text[0]);
        if text.len() > 1 {
            to.push(b'.');
            to.extend_from_slice(&text[1..]);
        }
        to.push(b'E');
        to.push(if adjusted < 0 { b'-' } else { b'+' });
        append_integer(i64::from(adjusted.unsigned_abs()), to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_exactly_or_not_at_all() {
        for (text, value) in [("12", 12), ("-7", -7), ("1e3", 1000), ("1.0", 1), ("-0", 0), ("120e-1", 12)] {
            assert_eq!(exact_integer(text.as_bytes(), Excess::Refuse), Ok(value), "{text}");
        }
        assert_eq!(exact_integer(b"9223372036854775807", Excess::Refuse), Ok(i64::MAX));
        assert_eq!(exact_integer(b"-9223372036854775808", Excess::Refuse), Ok(i64::MIN));
        assert_eq!(exact_integer(b"9223372036854775808", Excess::Refuse), Err("out of range"));
        assert_eq!(exact_integer(b"1.9", Excess::Refuse), Err("not a whole number"));
        assert_eq!(exact_integer(b"1.9", Excess::Truncate), Ok(1));
        assert_eq!(exact_integer(b"1e999999999999", Excess::Refuse), Err("out of range"));
        assert_eq!(exact_integer(b"", Excess::Refuse), Err("not a number"));
        assert_eq!(plain_integer(b"+9"), Ok(9));
        assert_eq!(plain_integer(b"1.0"), Err("not a whole number"));
        assert_eq!(plain_integer(b"99999999999999999999"), Err("out of range"));
    }

    #[test]
    fn decimals_are_exact_or_rounded_on_request() {
        assert_eq!(decimal(b"1.25", 5, 2, Excess::Refuse), Ok(125));
        assert_eq!(decimal(b"1e2", 5, 2, Excess::Refuse), Ok(10_000));
        assert_eq!(decimal(b"1.2500", 5, 2, Excess::Refuse), Ok(125));
        assert!(decimal(b"1.256", 5, 2, Excess::Refuse).is_err());
        assert_eq!(decimal(b"1.256", 5, 2, Excess::Round), Ok(126));
        assert_eq!(decimal(b"-1.255", 5, 2, Excess::Round), Ok(-126));
        assert_eq!(decimal(b"0.004", 5, 2, Excess::Round), Ok(0));
        assert_eq!(decimal(b"1e-60", 5, 2, Excess::Round), Ok(0));
        assert_eq!(decimal(b"1000", 5, 2, Excess::Refuse), Err("out of range"));
        let widest = "99999999999999999999999999999999999999";
        assert_eq!(decimal(widest.as_bytes(), 38, 0, Excess::Refuse), Ok(10i128.pow(38) - 1));
        assert!(decimal(format!("{widest}.5").as_bytes(), 38, 0, Excess::Refuse).is_err());
        assert_eq!(decimal(format!("{widest}9").as_bytes(), 38, 0, Excess::Round), Err("out of range"));
        assert_eq!(decimal(b"12345678901234567890.123", 38, 3, Excess::Refuse), Ok(12_345_678_901_234_567_890_123));
        for text in ["", "-", ".", "1e", "1.2.3", "abc", "1_0", " 1"] {
            assert_eq!(decimal(text.as_bytes(), 10, 2, Excess::Round), Err("not a number"), "{text}");
        }
    }

    #[test]
    fn doubles_as_java_reads_them() {
        for (text, value) in [("1.5", 1.5), ("1d", 1.0), ("+1", 1.0), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0)] {
            assert_eq!(double(text.as_bytes()), Ok(value), "{text}");
        }
        assert_eq!(double(b"Infinity"), Ok(f64::INFINITY));
        for text in ["", "inf", "nan", "0x10", "1e400", "d", "--1"] {
            assert!(double(text.as_bytes()).is_err(), "{text}");
        }
        assert!(float(b"1e39").is_err());
    }

    #[test]
    fn numbers_as_java_prints_them() {
        let double = |value| text(|to| append_double(value, to));
        for (value, expected) in [
            (1.5, "1.5"),
            (100.0, "100.0"),
            (1e10, "1.0E10"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (1e-7, "1.0E-7"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (123_456_789.125, "1.23456789125E8"),
            (-0.0, "-0.0"),
            (-2.25, "-2.25"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(value), expected);
        }
        assert_eq!(text(|to| append_float(0.1, to)), "0.1");
        assert_eq!(text(|to| append_decimal(-5, 3, to)), "-0.005");
        assert_eq!(text(|to| append_decimal(1500, 3, to)), "1.500");
        let stripped = |value, scale| text(|to| append_stripped_decimal(value, scale, to));
        assert_eq!(stripped(1500, 3), "1.5");
        assert_eq!(stripped(100_000_000, 3), "1E+5");
        assert_eq!(stripped(-1, 3), "-0.001");
        assert_eq!(stripped(-1, 8), "-1E-8");
        assert_eq!(stripped(12_300, 0), "1.23E+4");
        assert_eq!(stripped(0, 3), "0");
    }

    fn text(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut to = Vec::new();
        append(&mut to);
        String::from_utf8(to).unwrap()
    }
}
