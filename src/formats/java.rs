//! Values as Java prints them, which is how Flink's `print` shows rows: `2013-01-01T05:00`, `[a, b]`, `+I[1, q]`.

use arrow::datatypes::TimeUnit;

use super::numbers::{append_decimal, append_integer};
use super::spelling::Spelling;
use super::times::{append_java_time, append_java_timestamp};

/// The spelling of Java's `toString`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Java;

impl Spelling for Java {
    type Inner = Self;

    fn inner(&self) -> Self {
        Self
    }

    fn null(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"null");
    }

    fn text(&self, text: &str, to: &mut Vec<u8>) {
        to.extend_from_slice(text.as_bytes());
    }

    fn quote(&self, _start: usize, _to: &mut Vec<u8>) {}

    fn binary(&self, bytes: &[u8], to: &mut Vec<u8>) {
        to.push(b'[');
        for (index, byte) in bytes.iter().enumerate() {
            if index > 0 {
                to.extend_from_slice(b", ");
            }
            append_integer(i64::from(byte.cast_signed()), to);
        }
        to.push(b']');
    }

    fn decimal(&self, unscaled: i128, scale: i8, to: &mut Vec<u8>) {
        append_decimal(unscaled, scale, to);
    }

    fn timestamp(&self, units: i64, unit: TimeUnit, utc: bool, to: &mut Vec<u8>) {
        append_java_timestamp(units, unit, utc, to);
    }

    fn time(&self, units: i64, unit: TimeUnit, to: &mut Vec<u8>) {
        append_java_time(units, unit, false, to);
    }

    fn list<'a>(&self, elements: impl Iterator<Item = &'a [u8]>, to: &mut Vec<u8>) {
        to.push(b'[');
        join(elements, to);
        to.push(b']');
    }

    fn map<'a>(&self, entries: impl Iterator<Item = (&'a [u8], &'a [u8])>, _text_keys: bool, to: &mut Vec<u8>) {
        to.push(b'{');
        for (index, (key, value)) in entries.enumerate() {
            if index > 0 {
                to.extend_from_slice(b", ");
            }
            to.extend_from_slice(key);
            to.push(b'=');
            to.extend_from_slice(value);
        }
        to.push(b'}');
    }

    fn row<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a [u8], bool)>, to: &mut Vec<u8>) {
        to.extend_from_slice(b"+I[");
        join(fields.map(|(_, value, _)| value), to);
        to.push(b']');
    }
}

fn join<'a>(parts: impl Iterator<Item = &'a [u8]>, to: &mut Vec<u8>) {
    for (index, part) in parts.enumerate() {
        if index > 0 {
            to.extend_from_slice(b", ");
        }
        to.extend_from_slice(part);
    }
}
