//! Formats of Java's `Formatter`, as PRINTF takes them: `%[n$][flags][width][.precision]conversion`.
//!
//! There are `%d %x %X %o` for whole numbers, `%f %e %E %g %G` for FLOAT and DOUBLE, `%s %S %b %B %c %C` and `%% %n`.
//! Hashes (`%h`), hexadecimal floats (`%a`) and parts of times (`%t`) are refused by name.

use std::fmt::Write;

/// A compiled format.
#[derive(Debug, PartialEq)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Conversion(Conversion),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Conversion {
    which: Which,
    flags: Flags,
    width: Option<usize>,
    precision: Option<usize>,
    letter: char,
}

/// The argument that is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Which {
    Next,
    /// `%<s`
    Last,
    /// `%2$s`
    At(usize),
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Flags {
    left: bool,
    alternate: bool,
    plus: bool,
    space: bool,
    zero: bool,
    group: bool,
    parentheses: bool,
}

/// A value to be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Null,
    Boolean(bool),
    /// With its width in bits.
    Integer(i64, u32),
    /// With its text.
    Double(f64, &'a str),
    /// A FLOAT, which has fewer digits.
    Float(f32, &'a str),
    /// A text, or what only `%s` takes.
    Text(&'a str),
}

/// Why a format cannot be used.
#[derive(Debug, PartialEq)]
pub enum Unusable {
    /// Java refuses it as well; Flink gives NULL then.
    Invalid,
    NotBuilt(char),
}

/// The widest field: a wider one is no format, so that no row takes all memory.
const WIDEST: usize = 1 << 16;

impl Format {
    /// Reads a format.
    pub fn compile(format: &str) -> Result<Self, Unusable> {
        let mut pieces = Vec::new();
        let mut rest = format;
        while let Some((text, behind)) = rest.split_once('%') {
            pieces.push(Piece::Text(text.to_owned()));
            let (conversion, behind) = Conversion::read(behind)?;
            pieces.push(match conversion.letter {
                'n' => Piece::Text("\n".to_owned()),
                _ => Piece::Conversion(conversion),
            });
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// Appends the values in that format; none where a value is missing or of the wrong kind.
    pub fn write<'a>(&self, value: impl Fn(usize) -> Option<Value<'a>>, out: &mut String) -> Option<()> {
        let (mut next, mut last) = (0, None);
        for piece in &self.pieces {
            let conversion = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Conversion(conversion) => conversion,
            };
            if conversion.letter == '%' {
                conversion.pad("%", out);
                continue;
            }
            let index = match conversion.which {
                Which::Next => {
                    next += 1;
                    next - 1
                }
                Which::Last => last?,
                Which::At(place) => place - 1,
            };
            last = Some(index);
            conversion.write(value(index)?, out)?;
        }
        Some(())
    }
}

impl Conversion {
    fn read(text: &str) -> Result<(Self, &str), Unusable> {
        let (number, behind) = digits(text);
        let (which, rest) = match behind.strip_prefix('$') {
            Some(behind) => match number.parse::<usize>() {
                Ok(place) if place > 0 => (Which::At(place), behind),
                _ => return Err(Unusable::Invalid),
            },
            None => match text.strip_prefix('<') {
                Some(behind) => (Which::Last, behind),
                None => (Which::Next, text),
            },
        };
        let mut flags = Flags::default();
        let mut rest = rest;
        while let Some(flag) = rest.chars().next() {
            let known = match flag {
                '-' => &mut flags.left,
                '#' => &mut flags.alternate,
                '+' => &mut flags.plus,
                ' ' => &mut flags.space,
                '0' => &mut flags.zero,
                ',' => &mut flags.group,
                '(' => &mut flags.parentheses,
                _ => break,
            };
            // Not twice.
            if std::mem::replace(known, true) {
                return Err(Unusable::Invalid);
            }
            rest = &rest[1..];
        }
        let size = |digits: &str| match digits {
            "" => Ok(None),
            digits => digits.parse().ok().filter(|size| *size <= WIDEST).map(Some).ok_or(Unusable::Invalid),
        };
        let (width, behind) = digits(rest);
        let width = size(width)?;
        let (precision, behind) = match behind.strip_prefix('.') {
            Some(behind) => match digits(behind) {
                ("", _) => return Err(Unusable::Invalid),
                (precision, behind) => (size(precision)?, behind),
            },
            None => (None, behind),
        };
        let letter = behind.chars().next().ok_or(Unusable::Invalid)?;
        let conversion = Self { which, flags, width, precision, letter };
        conversion.check()?;
        Ok((conversion, &behind[letter.len_utf8()..]))
    }

    /// What Java demands of each conversion.
    fn check(&self) -> Result<(), Unusable> {
        let Flags { left, alternate, plus, space, zero, group, parentheses } = self.flags;
        let is_number = matches!(self.letter, 'd' | 'x' | 'X' | 'o' | 'f' | 'e' | 'E' | 'g' | 'G');
        let only_left = !(alternate || plus || space || zero || group || parentheses);
        let is_right = match self.letter {
            'd' => self.precision.is_none() && !alternate,
            'x' | 'X' | 'o' => self.precision.is_none() && !(plus || space || group || parentheses),
            'f' => true,
            'e' | 'E' => !group,
            'g' | 'G' => !alternate,
            's' | 'S' | 'b' | 'B' => only_left,
            'c' | 'C' | '%' => only_left && self.precision.is_none(),
            'n' => only_left && !left && self.width.is_none() && self.precision.is_none(),
            'a' | 'A' | 'h' | 'H' | 't' | 'T' => return Err(Unusable::NotBuilt(self.letter)),
            _ => false,
        };
        let has_width = self.width.is_some() || !(left || (is_number && zero));
        let contradicts = (left && zero) || (plus && space);
        if is_right && has_width && !contradicts { Ok(()) } else { Err(Unusable::Invalid) }
    }

    fn write(&self, value: Value, out: &mut String) -> Option<()> {
        let text = match (self.letter.to_ascii_lowercase(), value) {
            ('b', Value::Null) => self.cut("false"),
            ('b', Value::Boolean(value)) => self.cut(if value { "true" } else { "false" }),
            ('b', _) => self.cut("true"),
            ('s', value) => self.cut(&plain(value)),
            ('f' | 'e' | 'g', Value::Null) => self.cut("null"),
            (_, Value::Null) => "null".to_owned(),
            ('c', Value::Integer(code, bits)) if bits < 64 => char::from_u32(u32::try_from(code).ok()?)?.to_string(),
            ('d', Value::Integer(number, _)) => {
                let digits = number.unsigned_abs().to_string();
                self.number(number < 0, &self.grouped(&digits))
            }
            ('x', Value::Integer(number, bits)) => {
                let prefix = if self.flags.alternate { "0x" } else { "" };
                self.zeros(prefix, &format!("{:x}", bits_of(number, bits)))
            }
            ('o', Value::Integer(number, bits)) => {
                let prefix = if self.flags.alternate { "0" } else { "" };
                self.zeros(prefix, &format!("{:o}", bits_of(number, bits)))
            }
            ('f' | 'e' | 'g', Value::Double(number, _)) => self.double(number, &format!("{:e}", number.abs())),
            ('f' | 'e' | 'g', Value::Float(number, _)) => self.double(number.into(), &format!("{:e}", number.abs())),
            _ => return None,
        };
        if self.letter.is_ascii_uppercase() {
            self.pad(&text.to_uppercase(), out);
        } else {
            self.pad(&text, out);
        }
        Some(())
    }

    /// The text as far as the precision lets it.
    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        }
    }

    fn pad(&self, text: &str, out: &mut String) {
        let missing = self.width.unwrap_or(0).saturating_sub(text.encode_utf16().count());
        if self.flags.left {
            out.push_str(text);
        }
        out.extend(std::iter::repeat_n(' ', missing));
        if !self.flags.left {
            out.push_str(text);
        }
    }

    fn zeros(&self, prefix: &str, digits: &str) -> String {
        let width = if self.flags.zero { self.width.unwrap_or(0) } else { 0 };
        let missing = width.saturating_sub(prefix.len() + digits.len());
        format!("{prefix}{}{digits}", "0".repeat(missing))
    }

    /// Digits with their sign, and with zeros between them.
    fn number(&self, is_negative: bool, digits: &str) -> String {
        let (before, behind) = match (is_negative, self.flags) {
            (true, Flags { parentheses: true, .. }) => ("(", ")"),
            (true, _) => ("-", ""),
            (false, Flags { plus: true, .. }) => ("+", ""),
            (false, Flags { space: true, .. }) => (" ", ""),
            (false, _) => ("", ""),
        };
        let width = if self.flags.zero { self.width.unwrap_or(0) } else { 0 };
        let missing = width.saturating_sub(before.len() + digits.len() + behind.len());
        format!("{before}{}{digits}{behind}", "0".repeat(missing))
    }

    /// The whole part in groups of three digits.
    fn grouped(&self, digits: &str) -> String {
        if !self.flags.group {
            return digits.to_owned();
        }
        let whole = digits.find('.').unwrap_or(digits.len());
        let mut out = String::with_capacity(digits.len() + whole / 3);
        for (index, digit) in digits.char_indices() {
            if index > 0 && index < whole && (whole - index).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    }

    /// From the shortest digits that mean the number, `d.ddde±x`, rounded half up as Java does.
    fn double(&self, number: f64, shortest: &str) -> String {
        if number.is_nan() {
            return "NaN".to_owned();
        }
        if number.is_infinite() {
            let without_zeros = Self { flags: Flags { zero: false, ..self.flags }, ..*self };
            return without_zeros.number(number < 0.0, "Infinity");
        }
        let digits = Digits::of(shortest);
        let precision = self.precision.unwrap_or(6);
        let text = match self.letter.to_ascii_lowercase() {
            'f' => digits.fixed(precision, self.flags.alternate),
            'e' => digits.scientific(precision, self.flags.alternate),
            _ => {
                let precision = precision.max(1);
                let places = digits.rounded(i64::try_from(precision).unwrap_or(i64::MAX)).point;
                if number == 0.0 {
                    digits.fixed(precision - 1, false)
                } else if places < -3 || places > i64::try_from(precision).unwrap_or(i64::MAX) {
                    digits.scientific(precision - 1, false)
                } else {
                    let behind = i64::try_from(precision).unwrap_or(i64::MAX) - places;
                    digits.fixed(usize::try_from(behind).unwrap_or(0), false)
                }
            }
        };
        self.number(number.is_sign_negative(), &self.grouped(&text))
    }
}

/// The decimal digits of a number and where its point stands: `0.digits × 10^point`.
#[derive(Debug, Clone)]
struct Digits {
    digits: Vec<u8>,
    point: i64,
}

impl Digits {
    /// Of `d.ddde±x`.
    fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        Self { digits, point: exponent.parse::<i64>().unwrap_or(0) + 1 }
    }

    /// The first so many digits, rounded half up.
    fn rounded(&self, keep: i64) -> Self {
        let Ok(keep) = usize::try_from(keep) else { return Self { digits: Vec::new(), point: self.point } };
        let mut kept = self.clone();
        if keep >= kept.digits.len() {
            return kept;
        }
        let is_up = kept.digits[keep] >= 5;
        kept.digits.truncate(keep);
        if is_up {
            for digit in kept.digits.iter_mut().rev() {
                *digit = (*digit + 1) % 10;
                if *digit > 0 {
                    return kept;
                }
            }
            kept.digits.insert(0, 1);
            kept.point += 1;
        }
        kept
    }

    fn fixed(&self, precision: usize, keeps_point: bool) -> String {
        let places = i64::try_from(precision).unwrap_or(i64::MAX);
        let rounded = self.rounded(self.point.saturating_add(places));
        let mut out = String::new();
        let digit = |place: i64| {
            let digit = usize::try_from(place).ok().and_then(|place| rounded.digits.get(place));
            char::from(b'0' + digit.copied().unwrap_or(0))
        };
        if rounded.point <= 0 {
            out.push('0');
        }
        out.extend((0..rounded.point).map(digit));
        if precision > 0 || keeps_point {
            out.push('.');
        }
        out.extend((rounded.point..rounded.point + places).map(digit));
        out
    }

    fn scientific(&self, precision: usize, keeps_point: bool) -> String {
        let rounded = self.rounded(i64::try_from(precision).unwrap_or(i64::MAX).saturating_add(1));
        let is_zero = rounded.digits.iter().all(|digit| *digit == 0);
        let digit = |place: usize| char::from(b'0' + rounded.digits.get(place).copied().unwrap_or(0));
        let mut out = String::from(digit(0));
        if precision > 0 || keeps_point {
            out.push('.');
        }
        out.extend((1..=precision).map(digit));
        let exponent = if is_zero { 0 } else { rounded.point - 1 };
        // A string takes any text.
        let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
        out
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// A negative number as the bits of its type.
fn bits_of(number: i64, bits: u32) -> u64 {
    let all = number.cast_unsigned();
    if bits < 64 { all & ((1 << bits) - 1) } else { all }
}

/// As Java's `toString`.
fn plain(value: Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number, _) => number.to_string(),
        Value::Text(text) | Value::Double(_, text) | Value::Float(_, text) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_rounded_half_up_from_the_shortest() {
        for (format, number, expected) in [
            ("%.2f", 1.005, "1.01"),
            ("%.0f", 0.5, "1"),
            ("%.0f", 0.05, "0"),
            ("%.1f", 99.95, "100.0"),
            ("%e", 12345.678, "1.234568e+04"),
            ("%.0e", 9.5, "1e+01"),
            ("%e", 0.0, "0.000000e+00"),
            ("%g", 0.0001, "0.000100000"),
            ("%g", 123_456_789.0, "1.23457e+08"),
            ("%,.2f", -1_234_567.891, "-1,234,567.89"),
        ] {
            let mut out = String::new();
            let format = Format::compile(format).unwrap();
            assert_eq!(format.write(|_| Some(Value::Double(number, "")), &mut out), Some(()));
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn what_java_refuses_is_invalid() {
        for format in [
            "%", "%q", "%-d", "%0d", "%-05d", "%+ d", "%++d", "%,x", "%.2d", "%#d", "%+s", "%05s", "%5n", "%0$s", "%1$",
        ] {
            assert_eq!(Format::compile(format), Err(Unusable::Invalid), "{format}");
        }
        for letter in ['a', 'h', 't'] {
            assert_eq!(Format::compile(&format!("%{letter}")), Err(Unusable::NotBuilt(letter)));
        }
        assert_eq!(Format::compile("%999999999d"), Err(Unusable::Invalid));
    }
}
