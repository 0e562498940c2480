//! Hashes of texts and bytes: MD5, SHA1, the family of SHA2, and HASH_CODE, which is Java's.
//!
//! A text is hashed in UTF-8, and the hash is written in small hexadecimal digits.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringBuilder};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use md5::Md5;
use sha1::Sha1;
use sha2::digest::{Digest, Output};
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::codings::{as_bytes, is_text_or_bytes};
use super::function::{Call, Function};
use super::instant::ticks;
use super::types::{is_integer, type_name};
use super::typing::{Argument, Typing, count};
use crate::error::{Error, Result};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict("HASH_CODE", "HASH_CODE(value): the hash of Java, an INT", hash_code_typing, |_, a, _| {
        hash_codes(&a[0])
    }).example("HASH_CODE('abc')", "96354"),
    Function::strict("MD5", "MD5(text): the hash, 32 hexadecimal digits", one_value, |_, a, _| hashed::<Md5>(&a[0])).example("MD5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
    Function::strict("SHA1", "SHA1(text): the hash, 40 hexadecimal digits", one_value, |_, a, _| hashed::<Sha1>(&a[0])).example("SHA1('abc')", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    Function {
        fallible: true,
        ..Function::strict("SHA2", "SHA2(text, bits): as SHA224, SHA256, SHA384 or SHA512", sha2_typing, sha2).example("SHA2('abc', 224)", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7")
    },
    Function::strict("SHA224", "SHA224(text): the hash, 56 hexadecimal digits", one_value, |_, a, _| {
        hashed::<Sha224>(&a[0])
    }).example("SHA224('abc')", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
    Function::strict("SHA256", "SHA256(text): the hash, 64 hexadecimal digits", one_value, |_, a, _| {
        hashed::<Sha256>(&a[0])
    }).example("SHA256('abc')", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    Function::strict("SHA384", "SHA384(text): the hash, 96 hexadecimal digits", one_value, |_, a, _| {
        hashed::<Sha384>(&a[0])
    }).example("SHA384('abc')", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"),
    Function::strict("SHA512", "SHA512(text): the hash, 128 hexadecimal digits", one_value, |_, a, _| {
        hashed::<Sha512>(&a[0])
    }).example("SHA512('abc')", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"),
];

fn one_value(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    Ok(Typing::new(vec![is_text_or_bytes(&arguments[0])?], DataType::Utf8))
}

fn sha2_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 2, 2)?;
    let bits = &arguments[1];
    if !is_integer(&bits.data_type) && bits.data_type != DataType::Null {
        return Err(format!("its bits are a whole number, not {}", type_name(&bits.data_type)));
    }
    if let Some(bits) = bits.number.filter(|bits| !matches!(bits, 224 | 256 | 384 | 512)) {
        return Err(no_such_hash(bits));
    }
    Ok(Typing::new(vec![is_text_or_bytes(&arguments[0])?, DataType::Int32], DataType::Utf8))
}

fn no_such_hash(bits: i64) -> String {
    format!("there is no hash of {bits} bits: write 224, 256, 384 or 512")
}

fn write_digits<D: Digest>(hash: &Output<D>, out: &mut StringBuilder) {
    for byte in hash.as_slice() {
        // A builder takes any text.
        let _ = write!(out, "{byte:02x}");
    }
    out.append_value("");
}

fn hashed<D: Digest>(values: &ArrayRef) -> Result<ArrayRef> {
    let values = as_bytes(values);
    let mut out = StringBuilder::with_capacity(values.len(), 2 * <D as Digest>::output_size() * values.len());
    for value in &values {
        match value {
            Some(value) => write_digits::<D>(&D::digest(value), &mut out),
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn sha2(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (values, bits) = (as_bytes(&arguments[0]), arguments[1].as_primitive::<Int32Type>());
    let mut out = StringBuilder::with_capacity(rows, 64 * rows);
    for (value, bits) in values.iter().zip(bits) {
        let (Some(value), Some(bits)) = (value, bits) else {
            out.append_null();
            continue;
        };
        match bits {
            224 => write_digits::<Sha224>(&Sha224::digest(value), &mut out),
            256 => write_digits::<Sha256>(&Sha256::digest(value), &mut out),
            384 => write_digits::<Sha384>(&Sha384::digest(value), &mut out),
            512 => write_digits::<Sha512>(&Sha512::digest(value), &mut out),
            other => return Err(Error::data(format!("SHA2: {}", no_such_hash(other.into())))),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn hash_code_typing(arguments: &[Argument]) -> Result<Typing, String> {
    count(arguments, 1, 1)?;
    let wanted = match &arguments[0].data_type {
        DataType::Null => DataType::Int32,
        DataType::Binary | DataType::List(_) | DataType::Struct(_) | DataType::Map(..) => {
            return Err(format!("it does not take {}", type_name(&arguments[0].data_type)));
        }
        // A time is hashed in milliseconds.
        DataType::Time64(_) => DataType::Time32(arrow::datatypes::TimeUnit::Millisecond),
        other => other.clone(),
    };
    Ok(Typing::new(vec![wanted], DataType::Int32))
}

fn hash_codes(values: &ArrayRef) -> Result<ArrayRef> {
    let codes: Int32Array = match values.data_type() {
        DataType::Boolean => {
            values.as_boolean().iter().map(|value| value.map(|value| if value { 1231 } else { 1237 })).collect()
        }
        DataType::Int8 => values.as_primitive::<Int8Type>().unary(i32::from),
        DataType::Int16 => values.as_primitive::<Int16Type>().unary(i32::from),
        DataType::Int32 => values.as_primitive::<Int32Type>().clone(),
        DataType::Int64 => values.as_primitive::<Int64Type>().unary(folded),
        DataType::Float32 => values
            .as_primitive::<Float32Type>()
            .unary(|value| if value.is_nan() { 0x7fc0_0000 } else { (value + 0.0).to_bits().cast_signed() }),
        DataType::Float64 => values.as_primitive::<Float64Type>().unary(|value| {
            folded(if value.is_nan() { 0x7ff8_0000_0000_0000 } else { (value + 0.0).to_bits().cast_signed() })
        }),
        DataType::Decimal128(_, scale) => {
            let scale = i32::from(*scale);
            values.as_primitive::<Decimal128Type>().unary(|value| {
                let words = value.unsigned_abs();
                let of_words =
                    (0..4).rev().fold(0_i32, |hash, index| hash.wrapping_mul(31).wrapping_add(word(words, index)));
                let signed = if value < 0 { of_words.wrapping_neg() } else { of_words };
                signed.wrapping_mul(31).wrapping_add(scale)
            })
        }
        DataType::Date32 => values.as_primitive::<Date32Type>().unary(|day| day),
        DataType::Time32(_) => {
            let millis = arrow::compute::cast(values, &DataType::Int32)?;
            millis.as_primitive::<Int32Type>().clone()
        }
        DataType::Timestamp(..) => {
            let (ticks, per_second) = ticks(values)?;
            let per_milli = per_second / 1_000;
            ticks.unary(|tick| {
                let nanos = tick.rem_euclid(per_milli) * (1_000_000 / per_milli);
                folded(tick.div_euclid(per_milli)).wrapping_mul(31).wrapping_add(folded(nanos))
            })
        }
        DataType::Utf8 => values.as_string::<i32>().iter().map(|text| text.map(of_text)).collect(),
        other => return Err(Error::bug(format!("HASH_CODE of {other}"))),
    };
    Ok(Arc::new(codes))
}

/// The `index`th 32 bits of a number, from the lowest.
fn word(number: u128, index: u32) -> i32 {
    let low = u32::try_from((number >> (32 * index)) & u128::from(u32::MAX)).unwrap_or(u32::MAX);
    low.cast_signed()
}

/// Both halves of a number as one.
fn folded(number: i64) -> i32 {
    let bits = u128::from(number.cast_unsigned());
    word(bits, 0) ^ word(bits, 1)
}

/// Over the units of UTF-16.
fn of_text(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, Decimal128Array, StringArray};

    #[test]
    fn texts_and_bytes_have_one_hash() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), None, Some("")]));
        let bytes: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"abc"), None, Some(b"")]));
        let (one, two) = (hashed::<Md5>(&texts).unwrap(), hashed::<Md5>(&bytes).unwrap());
        assert_eq!(&one, &two);
        let one = one.as_string::<i32>();
        assert_eq!(one.value(0), "900150983cd24fb0d6963f7d28e17f72");
        assert!(one.is_null(1) && one.value(2) == "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn hash_codes_are_those_of_java() {
        assert_eq!((of_text("abc"), of_text("😀ab"), of_text("")), (96354, 1_703_759_044, 0));
        let decimals = Decimal128Array::from(vec![150, -150, 1_234_567_890_123_456_789_050]);
        let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(30, 2).unwrap());
        let codes = hash_codes(&decimals).unwrap();
        assert_eq!(codes.as_primitive::<Int32Type>().values(), &[4652, -4648, 494_186_961]);
    }
}
