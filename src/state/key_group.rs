//! Key groups: which slice of the keys a row belongs to, by a hash that is frozen for ever.
//!
//! A key is written down in canonical bytes that no type width, library or computer changes, hashed with xxh3-64, and
//! scaled to `max_parallelism` groups. A task owns a range of groups. State files store the group of each row, so a
//! restore never computes it again.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// The name of the hash in manifests. A change of anything in this file that moves a key needs a new name.
pub const HASH_ID: &str = "xxh3-64/1";

/// The largest number of key groups.
pub const MAX_PARALLELISM_LIMIT: u32 = 32_768;

/// Stands before the bytes of a value.
const PRESENT: u8 = 0;
/// Stands for a NULL; nothing follows.
const NULL: u8 = 1;

/// The key group of each row, from its key columns in key order. There must be at least one column.
pub fn key_groups(columns: &[ArrayRef], max_parallelism: u32) -> Result<Vec<u16>> {
    if !(1..=MAX_PARALLELISM_LIMIT).contains(&max_parallelism) {
        return Err(Error::query(format!("the maximum parallelism must lie between 1 and {MAX_PARALLELISM_LIMIT}")));
    }
    Ok(key_hashes(columns)?.into_iter().map(|hash| group_of(hash, max_parallelism)).collect())
}

/// The hash of each row's key.
pub fn key_hashes(columns: &[ArrayRef]) -> Result<Vec<u64>> {
    let [first, rest @ ..] = columns else {
        return Err(Error::bug("a key group of no columns was asked for"));
    };
    if rest.is_empty()
        && first.null_count() == 0
        && let Some(hashes) = hash_plain_integers(first)
    {
        return Ok(hashes);
    }
    let (bytes, offsets) = encode(columns)?;
    Ok(offsets.windows(2).map(|ends| xxh3_64(&bytes[ends[0]..ends[1]])).collect())
}

/// The group of a hash.
pub fn group_of(hash: u64, max_parallelism: u32) -> u16 {
    // The group is below `max_parallelism`, which is at most 2^15.
    ((u128::from(hash) * u128::from(max_parallelism)) >> 64) as u16
}

/// The task, of `parallelism` many, that owns a group.
pub fn task_of(group: u16, parallelism: usize, max_parallelism: u32) -> usize {
    usize::from(group) * parallelism / max_parallelism as usize
}

/// The groups that `task` of `parallelism` many owns; empty only where there are more tasks than groups.
pub fn key_range(task: usize, parallelism: usize, max_parallelism: u32) -> Range<u16> {
    let start = |task: usize| (task * max_parallelism as usize).div_ceil(parallelism) as u16;
    start(task)..start(task + 1)
}

/// The most common keys: one integer or timestamp.
fn hash_plain_integers(column: &ArrayRef) -> Option<Vec<u64>> {
    fn hash<T: ArrowPrimitiveType<Native = i64>>(column: &ArrayRef, scale: impl Fn(i64) -> i64) -> Vec<u64> {
        column.as_primitive::<T>().values().iter().map(|value| hash_integer(scale(*value))).collect()
    }
    match column.data_type() {
        DataType::Int64 => Some(hash::<Int64Type>(column, |value| value)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Some(hash::<TimestampMillisecondType>(column, millis_to_micros))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(hash::<TimestampMicrosecondType>(column, |value| value)),
        _ => None,
    }
}

/// XXH3 of the nine canonical bytes of one integer, in registers: to put them together in memory first takes five times
/// as long. The constants are those of XXH3's default secret for keys of 9 to 16 bytes.
fn hash_integer(value: i64) -> u64 {
    const LENGTH: u64 = 9;
    const LOW_SECRET: u64 = 0x6782737bea4239b9;
    const HIGH_SECRET: u64 = 0xaf56bc3b0996523a;
    const AVALANCHE: u64 = 0x1656_6791_9e37_79f9;
    let value = value as u64;
    // The first eight bytes begin with PRESENT; the last eight are the value.
    let low = ((value << 8) | u64::from(PRESENT)) ^ LOW_SECRET;
    let high = value ^ HIGH_SECRET;
    let product = u128::from(low) * u128::from(high);
    let folded = (product as u64) ^ ((product >> 64) as u64);
    let mut hash = LENGTH.wrapping_add(low.swap_bytes()).wrapping_add(high).wrapping_add(folded);
    hash ^= hash >> 37;
    hash = hash.wrapping_mul(AVALANCHE);
    hash ^ (hash >> 32)
}

/// The canonical bytes of all rows in one buffer, and where each row begins and ends. Column by column: first the
/// lengths, then the bytes, so that types are looked at once a column and not once a row.
fn encode(columns: &[ArrayRef]) -> Result<(Vec<u8>, Vec<usize>)> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut lengths = vec![0; rows];
    for column in columns {
        visit(column, &mut Measure { lengths: &mut lengths })?;
    }
    let mut offsets = Vec::with_capacity(rows + 1);
    let mut end = 0;
    offsets.push(end);
    for length in lengths {
        end += length;
        offsets.push(end);
    }
    let mut bytes = vec![0; end];
    let mut cursors = offsets[..rows].to_vec();
    for column in columns {
        visit(column, &mut Write { bytes: &mut bytes, cursors: &mut cursors })?;
    }
    Ok((bytes, offsets))
}

/// Takes the pieces of the canonical bytes of each row.
trait Pieces {
    fn piece(&mut self, row: usize, bytes: &[u8]);
}

/// The first pass.
struct Measure<'a> {
    lengths: &'a mut [usize],
}

impl Pieces for Measure<'_> {
    fn piece(&mut self, row: usize, bytes: &[u8]) {
        self.lengths[row] += bytes.len();
    }
}

/// The second pass.
struct Write<'a> {
    bytes: &'a mut [u8],
    cursors: &'a mut [usize],
}

impl Pieces for Write<'_> {
    fn piece(&mut self, row: usize, bytes: &[u8]) {
        let start = self.cursors[row];
        self.cursors[row] += bytes.len();
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

/// Gives the pieces of one column to `to`.
fn visit(column: &ArrayRef, to: &mut impl Pieces) -> Result<()> {
    use DataType as D;
    use TimeUnit as U;
    match column.data_type() {
        D::Null => fixed(column, to, |_| [0u8; 0]),
        D::Boolean => {
            let values = column.as_boolean();
            fixed(column, to, |row| [u8::from(values.value(row))]);
        }
        D::Int8 => integers::<Int8Type, _>(column, to, i64::from),
        D::Int16 => integers::<Int16Type, _>(column, to, i64::from),
        D::Int32 => integers::<Int32Type, _>(column, to, i64::from),
        D::Int64 => integers::<Int64Type, _>(column, to, |value| value),
        D::UInt8 => integers::<UInt8Type, _>(column, to, i64::from),
        D::UInt16 => integers::<UInt16Type, _>(column, to, i64::from),
        D::UInt32 => integers::<UInt32Type, _>(column, to, i64::from),
        D::UInt64 => integers::<UInt64Type, _>(column, to, |value| value as i64),
        D::Float16 => {
            let values = column.as_primitive::<Float16Type>().values();
            fixed(column, to, |row| canonical_float(f32::from(values[row])).to_le_bytes());
        }
        D::Float32 => {
            let values = column.as_primitive::<Float32Type>().values();
            fixed(column, to, |row| canonical_float(values[row]).to_le_bytes());
        }
        D::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            fixed(column, to, |row| canonical_double(values[row]).to_le_bytes());
        }
        D::Decimal32(..) => {
            let values = column.as_primitive::<Decimal32Type>().values();
            fixed(column, to, |row| i128::from(values[row]).to_le_bytes());
        }
        D::Decimal64(..) => {
            let values = column.as_primitive::<Decimal64Type>().values();
            fixed(column, to, |row| i128::from(values[row]).to_le_bytes());
        }
        D::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>().values();
            fixed(column, to, |row| values[row].to_le_bytes());
        }
        D::Decimal256(..) => {
            let values = column.as_primitive::<Decimal256Type>().values();
            fixed(column, to, |row| values[row].to_le_bytes());
        }
        D::Date32 => {
            let values = column.as_primitive::<Date32Type>().values();
            fixed(column, to, |row| values[row].to_le_bytes());
        }
        D::Date64 => {
            let values = column.as_primitive::<Date64Type>().values();
            fixed(column, to, |row| (values[row].div_euclid(86_400_000) as i32).to_le_bytes());
        }
        D::Time32(U::Second) => {
            integers::<Time32SecondType, _>(column, to, |value| seconds_to_micros(i64::from(value)));
        }
        D::Time32(_) => integers::<Time32MillisecondType, _>(column, to, |value| millis_to_micros(i64::from(value))),
        D::Time64(U::Microsecond) => integers::<Time64MicrosecondType, _>(column, to, |value| value),
        D::Time64(_) => integers::<Time64NanosecondType, _>(column, to, nanos_to_micros),
        D::Timestamp(U::Second, _) => integers::<TimestampSecondType, _>(column, to, seconds_to_micros),
        D::Timestamp(U::Millisecond, _) => integers::<TimestampMillisecondType, _>(column, to, millis_to_micros),
        D::Timestamp(U::Microsecond, _) => integers::<TimestampMicrosecondType, _>(column, to, |value| value),
        D::Timestamp(U::Nanosecond, _) => integers::<TimestampNanosecondType, _>(column, to, nanos_to_micros),
        D::Duration(U::Second) => integers::<DurationSecondType, _>(column, to, seconds_to_micros),
        D::Duration(U::Millisecond) => integers::<DurationMillisecondType, _>(column, to, millis_to_micros),
        D::Duration(U::Microsecond) => integers::<DurationMicrosecondType, _>(column, to, |value| value),
        D::Duration(U::Nanosecond) => integers::<DurationNanosecondType, _>(column, to, nanos_to_micros),
        D::Utf8 => {
            let values = column.as_string::<i32>();
            sized(column, to, |row| values.value(row).as_bytes());
        }
        D::LargeUtf8 => {
            let values = column.as_string::<i64>();
            sized(column, to, |row| values.value(row).as_bytes());
        }
        D::Utf8View => {
            let values = column.as_string_view();
            sized(column, to, |row| values.value(row).as_bytes());
        }
        D::Binary => {
            let values = column.as_binary::<i32>();
            sized(column, to, |row| values.value(row));
        }
        D::LargeBinary => {
            let values = column.as_binary::<i64>();
            sized(column, to, |row| values.value(row));
        }
        D::BinaryView => {
            let values = column.as_binary_view();
            sized(column, to, |row| values.value(row));
        }
        D::FixedSizeBinary(_) => {
            let values = column.as_fixed_size_binary();
            sized(column, to, |row| values.value(row));
        }
        D::Dictionary(_, value) => visit(&arrow::compute::cast(column, value)?, to)?,
        D::List(_) => lists::<i32>(column, to)?,
        D::LargeList(_) => lists::<i64>(column, to)?,
        D::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or(0);
            let list = column.as_fixed_size_list();
            elements(column, to, list.values(), |row| row * size..(row + 1) * size)?;
        }
        D::Map(..) => {
            let map = column.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            let offsets = map.value_offsets();
            elements(column, to, &entries, |row| offsets[row] as usize..offsets[row + 1] as usize)?;
        }
        D::Struct(_) => {
            let fields = column.as_struct();
            let (bytes, offsets) = encode(fields.columns())?;
            let count = count(fields.num_columns());
            present(column, to, |row, to| {
                to.piece(row, &count);
                // A struct without fields has no rows to encode either.
                if !offsets.is_empty() && row + 1 < offsets.len() {
                    to.piece(row, &bytes[offsets[row]..offsets[row + 1]]);
                }
            });
        }
        other => return Err(Error::query(format!("a value of type {other} cannot be a key"))),
    }
    Ok(())
}

fn integers<T: ArrowPrimitiveType, P: Pieces>(column: &ArrayRef, to: &mut P, widen: impl Fn(T::Native) -> i64) {
    let values = column.as_primitive::<T>().values();
    fixed(column, to, |row| widen(values[row]).to_le_bytes());
}

/// Values of one length.
fn fixed<const N: usize, P: Pieces>(column: &ArrayRef, to: &mut P, value: impl Fn(usize) -> [u8; N]) {
    present(column, to, |row, to| to.piece(row, &value(row)));
}

/// Values with a length before them.
fn sized<'a, P: Pieces>(column: &ArrayRef, to: &mut P, value: impl Fn(usize) -> &'a [u8]) {
    present(column, to, |row, to| {
        let bytes = value(row);
        to.piece(row, &count(bytes.len()));
        to.piece(row, bytes);
    });
}

fn lists<O: OffsetSizeTrait>(column: &ArrayRef, to: &mut impl Pieces) -> Result<()> {
    let list = column.as_list::<O>();
    let offsets = list.value_offsets();
    elements(column, to, list.values(), |row| offsets[row].as_usize()..offsets[row + 1].as_usize())
}

/// Values that are made of values: their number, then each of them.
fn elements<P: Pieces>(
    column: &ArrayRef,
    to: &mut P,
    values: &ArrayRef,
    range: impl Fn(usize) -> Range<usize>,
) -> Result<()> {
    let (bytes, offsets) = encode(std::slice::from_ref(values))?;
    present(column, to, |row, to| {
        let range = range(row);
        to.piece(row, &count(range.len()));
        to.piece(row, &bytes[offsets[range.start]..offsets[range.end]]);
    });
    Ok(())
}

/// The flag of each row and, where there is a value, its pieces.
fn present<P: Pieces>(column: &ArrayRef, to: &mut P, mut value: impl FnMut(usize, &mut P)) {
    match column.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
        None => {
            for row in 0..column.len() {
                to.piece(row, &[PRESENT]);
                value(row, to);
            }
        }
        Some(nulls) => {
            for row in 0..column.len() {
                if nulls.is_null(row) {
                    to.piece(row, &[NULL]);
                } else {
                    to.piece(row, &[PRESENT]);
                    value(row, to);
                }
            }
        }
    }
}

/// Arrow's arrays hold fewer than 2^32 elements a row in all but `Large` types; longer ones still have one encoding.
fn count(length: usize) -> [u8; 4] {
    (length as u32).to_le_bytes()
}

fn canonical_float(value: f32) -> f32 {
    match value {
        _ if value.is_nan() => f32::from_bits(0x7fc0_0000),
        // Both zeros.
        0.0 => 0.0,
        _ => value,
    }
}

fn canonical_double(value: f64) -> f64 {
    match value {
        _ if value.is_nan() => f64::from_bits(0x7ff8_0000_0000_0000),
        // Both zeros.
        0.0 => 0.0,
        _ => value,
    }
}

// Out of range the product wraps: the hash only has to be the same every time.
fn seconds_to_micros(value: i64) -> i64 {
    value.wrapping_mul(1_000_000)
}

fn millis_to_micros(value: i64) -> i64 {
    value.wrapping_mul(1_000)
}

fn nanos_to_micros(value: i64) -> i64 {
    value.div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::*;
    use arrow::datatypes::Field;
    use proptest::prelude::*;

    fn hash(column: impl Array + 'static) -> Vec<u64> {
        key_hashes(&[Arc::new(column)]).unwrap()
    }

    /// Computed apart, with the xxhash package of Python 3 over bytes laid out by hand (flag, then value);
    /// never to be changed: state on users' disks depends on them.
    #[test]
    fn golden_vectors() {
        let integers = [0x34499569f0391857, 0x4ac0e8d997f93b82, 0x4ca76e617dc4177b, 0x912a512ebb885c6a];
        assert_eq!(hash(Int64Array::from(vec![0, 1, -1, i64::MAX])), integers);
        assert_eq!(hash(Int64Array::from(vec![Some(1), None])), [integers[1], 0xe12ef9d2eb86ceeb]);
        assert_eq!(
            hash(StringArray::from(vec!["", "EWR", "Zürich", &"x".repeat(300)])),
            [0xe864e5893a273242, 0xe9b905f45be30ae4, 0xfd66d1b4829900d7, 0x2794ba9add6ae383]
        );
        assert_eq!(
            hash(Float64Array::from(vec![0.0, -0.0, 1.5, f64::NAN, -f64::NAN])),
            [0x34499569f0391857, 0x34499569f0391857, 0x280f2ce17b38e31d, 0x54a8ae9d45672666, 0x54a8ae9d45672666]
        );
        assert_eq!(hash(Float32Array::from(vec![1.5, -f32::NAN])), [0xf6508298fbe12cba, 0x07341b24c0dbbd52]);
        assert_eq!(hash(Decimal128Array::from(vec![12345, -1])), [0x1aec253f788f3b1e, 0x502726c7aab48ec9]);
        assert_eq!(hash(BooleanArray::from(vec![true])), [0xd6645fc3051a9457]);
        assert_eq!(hash(Date32Array::from(vec![15706])), [0x3fe7ec29013f1cc7]);
        assert_eq!(hash(TimestampMillisecondArray::from(vec![1_357_016_400_000])), [0x9681da276f0021a9]);

        let pair: [ArrayRef; 2] =
            [Arc::new(StringArray::from(vec![Some("EWR"), None])), Arc::new(Int64Array::from(vec![1, 1]))];
        assert_eq!(key_hashes(&pair).unwrap(), [0x037cf14df517e82e, 0x8d6654cde964cf6d]);
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), None])]);
        assert_eq!(hash(list), [0x50fa0ba45ba2141e]);
        let fields = StructArray::from(vec![
            (Arc::new(Field::new("n", DataType::Int64, true)), Arc::new(Int64Array::from(vec![7])) as ArrayRef),
            (Arc::new(Field::new("t", DataType::Utf8, true)), Arc::new(StringArray::from(vec!["a"])) as ArrayRef),
        ]);
        assert_eq!(hash(fields), [0x012948e3f29abd8e]);
    }

    proptest! {
        #[test]
        fn an_integer_hashes_in_registers_as_in_memory(value in any::<i64>()) {
            let mut bytes = vec![PRESENT];
            bytes.extend(value.to_le_bytes());
            prop_assert_eq!(hash_integer(value), xxh3_64(&bytes));
        }
    }

    #[test]
    fn golden_groups() {
        let columns: [ArrayRef; 1] = [Arc::new(StringArray::from(vec!["", "EWR", "Zürich"]))];
        assert_eq!(key_groups(&columns, 128).unwrap(), [116, 116, 126]);
        assert_eq!(key_groups(&columns, 32_768).unwrap(), [29_746, 29_916, 32_435]);
        assert!(key_groups(&columns, 32_769).is_err() && key_groups(&columns, 0).is_err());
    }

    #[test]
    fn representation_does_not_move_a_key() {
        let wide = hash(Int64Array::from(vec![5, -7]));
        assert_eq!(hash(Int8Array::from(vec![5, -7])), wide);
        assert_eq!(hash(Int32Array::from(vec![Some(5), Some(-7), None]))[..2], wide);
        assert_eq!(hash(Int64Array::from(vec![1, 5, -7]).slice(1, 2)), wide);
        let text = hash(StringArray::from(vec!["a", "b", "a"]));
        assert_eq!(hash(StringViewArray::from(vec!["a", "b", "a"])), text);
        assert_eq!(hash(LargeStringArray::from(vec!["a", "b", "a"])), text);
        assert_eq!(hash(DictionaryArray::<Int32Type>::from_iter(["a", "b", "a"])), text);
        assert_eq!(hash(StringArray::from(vec!["x", "a", "b", "a"]).slice(1, 3)), text);
        let micros = hash(TimestampMicrosecondArray::from(vec![1_000_000]));
        assert_eq!(hash(TimestampSecondArray::from(vec![1])), micros);
        assert_eq!(hash(TimestampNanosecondArray::from(vec![1_000_000_999])), micros);
        assert_eq!(hash(TimestampMillisecondArray::from(vec![1_000]).with_timezone("UTC")), micros);
    }

    #[test]
    fn types_without_a_canonical_form_are_refused() {
        let interval: ArrayRef = Arc::new(IntervalYearMonthArray::from(vec![1]));
        assert!(key_hashes(&[interval]).unwrap_err().message().contains("cannot be a key"));
    }

    #[test]
    fn each_group_belongs_to_one_task() {
        for max_parallelism in [1, 7, 128, 32_768] {
            for parallelism in [1, 2, 3, 5, 64, 127, 128] {
                let ranges: Vec<_> = (0..parallelism).map(|t| key_range(t, parallelism, max_parallelism)).collect();
                assert_eq!((ranges[0].start, ranges[parallelism - 1].end as u32), (0, max_parallelism));
                for (task, range) in ranges.into_iter().enumerate() {
                    assert!(range.into_iter().all(|group| task_of(group, parallelism, max_parallelism) == task));
                }
            }
        }
    }

    proptest! {
        /// The columnar encoding against the same written row by row.
        #[test]
        fn columns_encode_as_rows_do(rows in prop::collection::vec((any::<Option<i32>>(), any::<Option<String>>()), 0..20)) {
            let columns: [ArrayRef; 2] = [
                Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>()),
                Arc::new(rows.iter().map(|row| row.1.as_deref()).collect::<StringArray>()),
            ];
            let naive = |(number, text): &(Option<i32>, Option<String>)| {
                let mut bytes = Vec::new();
                match number {
                    None => bytes.push(1),
                    Some(number) => bytes.extend([0].into_iter().chain(i64::from(*number).to_le_bytes())),
                }
                match text {
                    None => bytes.push(1),
                    Some(text) => {
                        bytes.push(0);
                        bytes.extend((text.len() as u32).to_le_bytes());
                        bytes.extend(text.as_bytes());
                    }
                }
                xxh3_64(&bytes)
            };
            prop_assert_eq!(key_hashes(&columns).unwrap(), rows.iter().map(naive).collect::<Vec<_>>());
        }
    }
}
