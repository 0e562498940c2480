//! Functions on addresses of the web and of the internet: URL_ENCODE, URL_DECODE, PARSE_URL, INET_ATON, INET_NTOA.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};

use super::charset::replaced;
use super::editing::write;
use super::function::{Call, Function};
use super::strings::shape;
use super::types::{is_integer, type_name};
use super::typing::{Argument, Typing, count};
use super::url::Url;
use crate::error::Result;

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::possibly(
        "INET_ATON",
        "INET_ATON(text): the number of an address such as '127.0.0.1'; NULL if it is none",
        |arguments| shape(arguments, (1, 1), (0, 0), DataType::Int64),
        |_, arguments, _| {
            let texts = arguments[0].as_string::<i32>();
            Ok(Arc::new(texts.iter().map(|text| text.and_then(address)).collect::<Int64Array>()))
        },
    ).example("INET_ATON('127.0.0.1')", "2130706433"),
    Function::possibly(
        "INET_NTOA",
        "INET_NTOA(number): the address of that number, such as '127.0.0.1'; NULL if there is none",
        one_number,
        |_, arguments, rows| {
            let numbers = arguments[0].as_primitive::<Int64Type>();
            write(arguments, rows, |row, out| match u32::try_from(numbers.value(row)) {
                Ok(number) => write!(out, "{}", std::net::Ipv4Addr::from(number)).is_ok(),
                Err(_) => false,
            })
        },
    ).example("INET_NTOA(2130706433)", "127.0.0.1"),
    Function::possibly(
        "PARSE_URL",
        "PARSE_URL(url, part [, key]): its HOST, PATH, QUERY (or the key's value in it), REF, PROTOCOL, FILE, AUTHORITY or \
         USERINFO; NULL if there is none",
        |arguments| shape(arguments, (2, 3), (0, 0), DataType::Utf8),
        parts,
    ).example("PARSE_URL('http://example.org/p?k=v', 'QUERY', 'k')", "v"),
    Function::possibly(
        "URL_DECODE",
        "URL_DECODE(text): what URL_ENCODE wrote; NULL if it cannot be read",
        one_text,
        decoded,
    ).example("URL_DECODE('a+b%2F')", "a b/"),
    Function::strict(
        "URL_ENCODE",
        "URL_ENCODE(text): as a form's value in a URL: 'a b' is a+b",
        one_text,
        |_, a, rows| {
            let texts = a[0].as_string::<i32>();
            write(a, rows, |row, out| {
                encode(texts.value(row), out);
                true
            })
        },
    ).example("URL_ENCODE('a b/')", "a+b%2F"),
];

fn one_text(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, 1), (0, 0), DataType::Utf8)
}

fn one_number(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    match &arguments[0].data_type {
        other if is_integer(other) || *other == DataType::Null => {
            Ok(Typing::new(vec![DataType::Int64], DataType::Utf8))
        }
        other => Err(format!("it takes a whole number, not {}", type_name(other))),
    }
}

/// `127.1` is 127.0.0.1: the last number stands at the end.
fn address(text: &str) -> Option<i64> {
    let mut parts = [0_u8; 4];
    let mut length = 0;
    for part in text.split('.') {
        // Any number of zeros may stand in front.
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *parts.get_mut(length)? = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        length += 1;
    }
    let last = std::mem::take(&mut parts[length - 1]);
    parts[3] = last;
    Some(i64::from(u32::from_be_bytes(parts)))
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'.' | b'-' | b'*' | b'_' => out.push(byte.into()),
            letter if letter.is_ascii_alphanumeric() => out.push(letter.into()),
            other => {
                // A string takes any text.
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
}

fn decoded(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let mut bytes = Vec::new();
    write(arguments, rows, |row, out| {
        bytes.clear();
        let is_read = decode(texts.value(row).as_bytes(), &mut bytes).is_some();
        out.push_str(&replaced(&bytes));
        is_read
    })
}

fn decode(mut text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while let Some((first, rest)) = text.split_first() {
        text = rest;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                let (digits, rest) = rest.split_at_checked(2)?;
                // Java reads them as a number, and a number may have a plus in front.
                out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                text = rest;
            }
            other => out.push(*other),
        }
    }
    Some(())
}

fn parts(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (texts, names) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let keys = arguments.get(2).map(|array| array.as_string::<i32>());
    write(arguments, rows, |row, out| {
        let Some(url) = Url::parse(texts.value(row)) else { return false };
        let name = names.value(row);
        let part = match keys {
            None => url.part(name, out),
            Some(keys) if name == "QUERY" => url
                .query
                .and_then(|query| value_of(query, keys.value(row)))
                .inspect(|value| out.push_str(value))
                .map(drop),
            Some(_) => None,
        };
        part.is_some()
    })
}

/// The value of the first `key=value` in a query.
fn value_of<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    let starts = std::iter::once(0).chain(query.match_indices('&').map(|(place, _)| place + 1));
    let value = starts.filter_map(|start| query[start..].strip_prefix(key)?.strip_prefix('=')).next()?;
    value.split('&').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers() {
        for (text, number) in [
            ("127.0.0.1", Some(2_130_706_433)),
            ("255.255.255.255", Some(4_294_967_295)),
            ("1", Some(1)),
            ("1.2", Some(16_777_218)),
            ("0001.2.3", Some(16_908_291)),
            ("256.0.0.1", None),
            ("1..2", None),
            ("1.2.3.4.5", None),
            ("", None),
            ("+1.2.3.4", None),
        ] {
            assert_eq!(address(text), number, "{text}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let text = "https://flink.apache.org/?a=b c&d=é~*-._\u{0}😀";
        let mut encoded = String::new();
        encode(text, &mut encoded);
        let mut bytes = Vec::new();
        decode(encoded.as_bytes(), &mut bytes).unwrap();
        assert_eq!(bytes, text.as_bytes());
        for broken in ["%", "%4", "%zz", "%-1", "x%", "%é"] {
            assert_eq!(decode(broken.as_bytes(), &mut bytes), None, "{broken}");
        }
    }

    #[test]
    fn a_value_of_a_query_is_found_by_its_whole_key() {
        let query = "q=1&wq=2&w=3&q=4&e=&f";
        let of = |key| value_of(query, key);
        assert_eq!([of("q"), of("w"), of("e"), of("f"), of("")], [Some("1"), Some("3"), Some(""), None, None]);
    }
}
