//! Columns of generated rows: value (column, i) is a hash of the seed, the column and i.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, StringBuilder, Time32MillisecondArray, Time64MicrosecondArray,
    Time64NanosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, make_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::formats::{Decoded, Decoder};
use crate::stream::{SPLIT_MIX_STEP, split_mix};

const DAY_MS: i64 = 86_400_000;

/// How the rows of a table are made.
#[derive(Debug)]
pub(super) struct Generator {
    schema: SchemaRef,
    columns: Vec<Column>,
    rate: u64,
}

/// How one column is made.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its place in the table, which its values depend on.
    pub index: u64,
    pub data_type: DataType,
    pub null_rate: f64,
    pub task: Task,
}

/// What its values are.
#[derive(Debug, Clone)]
pub(super) enum Task {
    Sequence {
        start: i64,
        end: i64,
    },
    Boolean,
    Integer(Span<i64>),
    Double(Span<f64>),
    /// Hexadecimal digits, or bytes.
    Text {
        length: usize,
        varies: bool,
    },
    /// The moment of the row, or some time before it.
    Moment {
        past: Duration,
    },
}

/// From least to greatest, both included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<T> {
    pub min: T,
    pub max: T,
}

impl Column {
    /// Rows until a sequence has come to its end.
    pub fn sequence_length(&self) -> Option<u64> {
        match self.task {
            Task::Sequence { start, end } => Some(end.abs_diff(start).saturating_add(1)),
            _ => None,
        }
    }
}

/// Whether a sequence can fill a column of this type.
pub(super) fn check_sequence(data_type: &DataType, start: i64, end: i64) -> Result<(), String> {
    let (least, greatest) = match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 | DataType::Float32 | DataType::Float64 | DataType::Utf8 => (i64::MIN, i64::MAX),
        DataType::Decimal128(precision, scale) => {
            let digits = u32::try_from(i32::from(*precision) - i32::from(*scale)).unwrap_or(0);
            let greatest = 10i128.checked_pow(digits).and_then(|limit| i64::try_from(limit - 1).ok());
            let greatest = greatest.unwrap_or(i64::MAX);
            (-greatest, greatest)
        }
        _ => return Err("a sequence is for numbers and texts".to_owned()),
    };
    if start < least || end > greatest { Err("the sequence does not fit the type".to_owned()) } else { Ok(()) }
}

/// The bytes of a chunk that asks for rows.
pub(super) fn encode(seed: u64, started_ms: i64, first: u64, rows: u64) -> Vec<u8> {
    [seed, started_ms.cast_unsigned(), first, rows].iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Makes the rows that chunks ask for.
#[derive(Debug)]
pub(super) struct Worker {
    generator: Arc<Generator>,
}

impl Worker {
    pub fn new(generator: Arc<Generator>) -> Self {
        Self { generator }
    }
}

impl Decoder for Worker {
    fn decode(&mut self, bytes: &Bytes, _first_line: u64) -> Result<Decoded> {
        let numbers: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number)).collect();
        let [seed, started_ms, first, rows] = numbers[..] else {
            return Err(Error::bug("a chunk of datagen holds four numbers"));
        };
        let rows = Rows { seed, started_ms: started_ms.cast_signed(), first, end: first + rows };
        Ok(Decoded { rows: self.generator.batch(&rows)?, bad: Vec::new() })
    }
}

/// Which rows, of which job.
struct Rows {
    seed: u64,
    started_ms: i64,
    first: u64,
    end: u64,
}

impl Generator {
    pub fn new(schema: SchemaRef, columns: Vec<Column>, rate: u64) -> Self {
        Self { schema, columns, rate }
    }

    /// The same for some of the columns.
    pub fn project(&self, projection: &[usize]) -> Result<Self> {
        let schema = Arc::new(self.schema.project(projection)?);
        let columns = projection.iter().map(|column| self.columns[*column].clone()).collect();
        Ok(Self { schema, columns, rate: self.rate })
    }

    fn batch(&self, rows: &Rows) -> Result<RecordBatch> {
        let columns = self.columns.iter().map(|column| self.column(column, rows)).collect::<Result<_>>()?;
        let count = usize::try_from(rows.end - rows.first).unwrap_or(usize::MAX);
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    fn column(&self, column: &Column, rows: &Rows) -> Result<ArrayRef> {
        let dice = Dice::new(rows.seed, column.index);
        let numbers = || rows.first..rows.end;
        let values: ArrayRef = match &column.task {
            Task::Sequence { start, .. } => {
                sequence(&column.data_type, numbers().map(|row| start + row.cast_signed()))?
            }
            Task::Boolean => Arc::new(BooleanArray::from_iter(numbers().map(|row| Some(dice.throw(row, 0) & 1 == 1)))),
            Task::Integer(span) => integers(&column.data_type, numbers().map(|row| span.pick(dice.throw(row, 0))))?,
            Task::Double(span) => doubles(&column.data_type, numbers().map(|row| span.pick(dice.throw(row, 0))))?,
            Task::Text { length, varies } => {
                let length = |row| match varies {
                    true => 1 + ((u128::from(dice.throw(row, u64::MAX)) * *length as u128) >> 64) as usize,
                    false => *length,
                };
                texts(&column.data_type, numbers(), &dice, length)
            }
            Task::Moment { past } => {
                let past = i64::try_from(past.as_millis()).unwrap_or(i64::MAX);
                let earlier = Span { min: 0, max: past };
                moments(
                    &column.data_type,
                    numbers().map(|row| self.moment(rows.started_ms, row) - earlier.pick(dice.throw(row, 0))),
                )?
            }
        };
        if column.null_rate == 0.0 {
            return Ok(values);
        }
        let nulls: NullBuffer = numbers().map(|row| unit(dice.throw(row, u64::MAX - 1)) >= column.null_rate).collect();
        Ok(make_array(values.to_data().into_builder().nulls(Some(nulls.into_inner().into())).build()?))
    }

    /// When a row is made if all goes by the rate.
    fn moment(&self, started_ms: i64, row: u64) -> i64 {
        let after = u128::from(row) * 1_000 / u128::from(self.rate);
        started_ms.saturating_add(i64::try_from(after).unwrap_or(i64::MAX))
    }
}

/// Random numbers that depend on their place alone.
struct Dice {
    key: u64,
}

impl Dice {
    fn new(seed: u64, column: u64) -> Self {
        Self { key: split_mix(split_mix(seed) ^ column.wrapping_mul(SPLIT_MIX_STEP)) }
    }

    #[inline]
    fn throw(&self, row: u64, draw: u64) -> u64 {
        split_mix(split_mix(self.key.wrapping_add(row)) ^ draw.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }
}

/// A number from 0 to just below 1.
fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

impl Span<i64> {
    #[inline]
    fn pick(&self, random: u64) -> i64 {
        let size = u128::from(self.max.abs_diff(self.min)) + 1;
        self.min.wrapping_add(((u128::from(random) * size) >> 64) as i64)
    }
}

impl Span<f64> {
    #[inline]
    fn pick(&self, random: u64) -> f64 {
        let share = unit(random);
        // Not by the difference, which may be more than a double holds.
        (self.min * (1.0 - share) + self.max * share).clamp(self.min, self.max)
    }
}

fn sequence(data_type: &DataType, values: impl Iterator<Item = i64>) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Float32 | DataType::Float64 => return doubles(data_type, values.map(|value| value as f64)),
        DataType::Decimal128(precision, scale) => {
            let factor = 10i128.pow(u32::try_from(*scale).unwrap_or(0));
            let values = Decimal128Array::from_iter_values(values.map(|value| i128::from(value) * factor));
            Arc::new(values.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Utf8 => {
            let mut texts = StringBuilder::new();
            let mut digits = itoa::Buffer::new();
            values.for_each(|value| texts.append_value(digits.format(value)));
            Arc::new(texts.finish())
        }
        other => return integers(other, values),
    })
}

/// The values lie in the range of the type, which was checked when the options were read.
fn integers(data_type: &DataType, values: impl Iterator<Item = i64>) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Int8 => Arc::new(Int8Array::from_iter_values(values.map(|value| value as i8))),
        DataType::Int16 => Arc::new(Int16Array::from_iter_values(values.map(|value| value as i16))),
        DataType::Int32 => Arc::new(Int32Array::from_iter_values(values.map(|value| value as i32))),
        DataType::Int64 => Arc::new(Int64Array::from_iter_values(values)),
        other => return Err(unexpected(other)),
    })
}

fn doubles(data_type: &DataType, values: impl Iterator<Item = f64>) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Float32 => Arc::new(Float32Array::from_iter_values(values.map(|value| value as f32))),
        DataType::Float64 => Arc::new(Float64Array::from_iter_values(values)),
        DataType::Decimal128(precision, scale) => {
            let factor = 10f64.powi(i32::from(*scale));
            let greatest = 10i128.pow(u32::from(*precision)) - 1;
            let unscaled = values.map(|value| ((value * factor) as i128).clamp(-greatest, greatest));
            Arc::new(Decimal128Array::from_iter_values(unscaled).with_precision_and_scale(*precision, *scale)?)
        }
        other => return Err(unexpected(other)),
    })
}

fn texts(data_type: &DataType, rows: std::ops::Range<u64>, dice: &Dice, length: impl Fn(u64) -> usize) -> ArrayRef {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let binary = *data_type == DataType::Binary;
    let count = usize::try_from(rows.end - rows.start).unwrap_or(0);
    let mut strings = StringBuilder::with_capacity(if binary { 0 } else { count }, 0);
    let mut bytes = BinaryBuilder::with_capacity(if binary { count } else { 0 }, 0);
    let mut text = String::new();
    let mut value = Vec::new();
    for row in rows {
        let length = length(row);
        let words = (0..).map(|draw| dice.throw(row, draw));
        if binary {
            value.clear();
            value.extend(words.flat_map(u64::to_le_bytes).take(length));
            bytes.append_value(&value);
        } else {
            text.clear();
            let digits = words.flat_map(|word| (0..16).map(move |place| (word >> (4 * place)) & 15));
            text.extend(digits.take(length).map(|digit| char::from(HEX[digit as usize])));
            strings.append_value(&text);
        }
    }
    if binary { Arc::new(bytes.finish()) } else { Arc::new(strings.finish()) }
}

fn moments(data_type: &DataType, millis: impl Iterator<Item = i64>) -> Result<ArrayRef> {
    let of_day = |millis: i64| millis.rem_euclid(DAY_MS);
    Ok(match data_type {
        DataType::Date32 => {
            Arc::new(Date32Array::from_iter_values(millis.map(|millis| millis.div_euclid(DAY_MS) as i32)))
        }
        DataType::Time32(TimeUnit::Millisecond) => {
            Arc::new(Time32MillisecondArray::from_iter_values(millis.map(|millis| of_day(millis) as i32)))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            Arc::new(Time64MicrosecondArray::from_iter_values(millis.map(|millis| of_day(millis) * 1_000)))
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            Arc::new(Time64NanosecondArray::from_iter_values(millis.map(|millis| of_day(millis) * 1_000_000)))
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            Arc::new(TimestampMillisecondArray::from_iter_values(millis).with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = millis.map(|millis| millis.saturating_mul(1_000));
            Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            let nanos = millis.map(|millis| millis.saturating_mul(1_000_000));
            Arc::new(TimestampNanosecondArray::from_iter_values(nanos).with_timezone_opt(zone.clone()))
        }
        other => return Err(unexpected(other)),
    })
}

fn unexpected(data_type: &DataType) -> Error {
    Error::bug(format!("datagen was not to make values of type {data_type}"))
}
