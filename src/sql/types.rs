//! Flink's column types and the Arrow types that hold them.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

/// A type as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    /// Precision 1 to 38, scale 0 to the precision.
    Decimal(u8, u8),
    Char(u32),
    /// `u32::MAX` (as `i32::MAX` in Flink) is `STRING`.
    VarChar(u32),
    Binary(u32),
    /// `u32::MAX` is `BYTES`.
    VarBinary(u32),
    Date,
    /// Precision 0 to 9.
    Time(u8),
    /// `TIMESTAMP(p)`: no zone.
    Timestamp(u8),
    /// `TIMESTAMP_LTZ(p)`: an instant, shown in the session's zone.
    TimestampLtz(u8),
    Array(Box<SqlType>),
    Map(Box<SqlType>, Box<SqlType>),
    Multiset(Box<SqlType>),
    /// Fields with their nullability.
    Row(Vec<(String, SqlType)>),
}

impl SqlType {
    /// `STRING`.
    pub const STRING: Self = Self::VarChar(u32::MAX);

    /// The digits of the fraction of a second of a time.
    pub fn precision(&self) -> Option<u8> {
        match self {
            Self::Time(precision) | Self::Timestamp(precision) | Self::TimestampLtz(precision) => Some(*precision),
            _ => None,
        }
    }

    /// The Arrow type of a column of this type.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, scale.cast_signed()),
            Self::Char(_) | Self::VarChar(_) => DataType::Utf8,
            Self::Binary(_) | Self::VarBinary(_) => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time(0..=3) => DataType::Time32(TimeUnit::Millisecond),
            Self::Time(4..=6) => DataType::Time64(TimeUnit::Microsecond),
            Self::Time(_) => DataType::Time64(TimeUnit::Nanosecond),
            Self::Timestamp(precision) => DataType::Timestamp(unit(*precision), None),
            Self::TimestampLtz(precision) => DataType::Timestamp(unit(*precision), Some("UTC".into())),
            Self::Array(element) => DataType::List(Arc::new(Field::new("item", element.arrow(), true))),
            Self::Map(key, value) => map(key.arrow(), "value", value.arrow()),
            // A map by element, told from others by the name of the counts.
            Self::Multiset(element) => map(element.arrow(), "count", DataType::Int32),
            Self::Row(fields) => DataType::Struct(
                fields.iter().map(|(name, data_type)| Field::new(name, data_type.arrow(), true)).collect::<Fields>(),
            ),
        }
    }
}

fn unit(precision: u8) -> TimeUnit {
    match precision {
        0..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    }
}

fn map(key: DataType, name: &str, value: DataType) -> DataType {
    let entries = Fields::from(vec![Field::new("key", key, false), Field::new(name, value, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

impl fmt::Display for SqlType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => out.write_str("BOOLEAN"),
            Self::TinyInt => out.write_str("TINYINT"),
            Self::SmallInt => out.write_str("SMALLINT"),
            Self::Int => out.write_str("INT"),
            Self::BigInt => out.write_str("BIGINT"),
            Self::Float => out.write_str("FLOAT"),
            Self::Double => out.write_str("DOUBLE"),
            Self::Decimal(precision, scale) => write!(out, "DECIMAL({precision}, {scale})"),
            Self::Char(length) => write!(out, "CHAR({length})"),
            Self::VarChar(u32::MAX) => out.write_str("STRING"),
            Self::VarChar(length) => write!(out, "VARCHAR({length})"),
            Self::Binary(length) => write!(out, "BINARY({length})"),
            Self::VarBinary(u32::MAX) => out.write_str("BYTES"),
            Self::VarBinary(length) => write!(out, "VARBINARY({length})"),
            Self::Date => out.write_str("DATE"),
            Self::Time(precision) => write!(out, "TIME({precision})"),
            Self::Timestamp(precision) => write!(out, "TIMESTAMP({precision})"),
            Self::TimestampLtz(precision) => write!(out, "TIMESTAMP_LTZ({precision})"),
            Self::Array(element) => write!(out, "ARRAY<{element}>"),
            Self::Map(key, value) => write!(out, "MAP<{key}, {value}>"),
            Self::Multiset(element) => write!(out, "MULTISET<{element}>"),
            Self::Row(fields) => {
                out.write_str("ROW<")?;
                for (index, (name, data_type)) in fields.iter().enumerate() {
                    let name = name.replace('`', "``");
                    write!(out, "{}`{name}` {data_type}", if index > 0 { ", " } else { "" })?;
                }
                out.write_str(">")
            }
        }
    }
}
