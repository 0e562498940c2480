//! Numbers of JSON as Java's BigDecimal writes them: `1e3` is `1E+3`, `0.1e-7` is `1E-8`, and `1.50` stays.

use std::fmt::Write;

/// Appends a number that is written in JSON's way.
pub fn write(number: &str, out: &mut String) {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().unwrap_or(0)),
        None if number.contains('.') => (number, 0),
        None => {
            out.push_str(if number == "-0" { "0" } else { number });
            return;
        }
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX).saturating_sub(exponent);
    let all = format!("{whole}{fraction}");
    let unscaled = all.trim_start_matches('0');
    // Zero has no sign there.
    let (sign, unscaled) = if unscaled.is_empty() { ("", "0") } else { (sign, unscaled) };
    out.push_str(sign);
    let length = i64::try_from(unscaled.len()).unwrap_or(i64::MAX);
    let adjusted = length.saturating_sub(1).saturating_sub(scale);
    if scale >= 0 && adjusted >= -6 {
        let point = length - scale;
        match usize::try_from(point) {
            Ok(point) if point > 0 => {
                out.push_str(&unscaled[..point]);
                if scale > 0 {
                    out.push('.');
                    out.push_str(&unscaled[point..]);
                }
            }
            _ => {
                out.push_str("0.");
                out.extend((point..0).map(|_| '0'));
                out.push_str(unscaled);
            }
        }
        return;
    }
    out.push_str(&unscaled[..1]);
    if unscaled.len() > 1 {
        out.push('.');
        out.push_str(&unscaled[1..]);
    }
    if adjusted != 0 {
        // A string takes any text.
        let _ = write!(out, "E{adjusted:+}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_written_as_by_java() {
        for (number, expected) in [
            ("1", "1"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("1.50", "1.50"),
            ("1e3", "1E+3"),
            ("0.1e-7", "1E-8"),
            ("1E400", "1E+400"),
            ("1.0E-5", "0.000010"),
            ("1.0E20", "1.0E+20"),
            ("-12.5e1", "-125"),
            ("-12.5e-3", "-0.0125"),
            ("0e3", "0E+3"),
            ("0.0000001", "1E-7"),
            ("123456789.123456789123456789", "123456789.123456789123456789"),
        ] {
            let mut out = String::new();
            super::write(number, &mut out);
            assert_eq!(out, expected, "{number}");
        }
    }
}
