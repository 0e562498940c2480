//! The values that random rows and their results have, and how they are read out of Arrow.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType};

/// One value. Values of one column compare as `MIN` and `MAX` see them, and are equal as GROUP BY sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i128),
    /// What orders a DOUBLE: `-0.0` below `0.0`, NaN above all.
    Double(i64),
    Text(&'a str),
}

/// The type of a column, as far as results depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int,
    BigInt,
    Time,
    Double,
    /// With its digits, and those behind the point.
    Decimal(u32, u32),
    Text,
    Array(Box<Type>),
    Multiset(Box<Type>),
}

impl Type {
    pub fn sql(&self) -> String {
        match self {
            Self::Bool => "BOOLEAN".to_owned(),
            Self::Int => "INT".to_owned(),
            Self::BigInt => "BIGINT".to_owned(),
            Self::Time => "TIMESTAMP(3)".to_owned(),
            Self::Double => "DOUBLE".to_owned(),
            Self::Decimal(precision, scale) => format!("DECIMAL({precision}, {scale})"),
            Self::Text => "STRING".to_owned(),
            Self::Array(of) => format!("ARRAY<{}>", of.sql()),
            Self::Multiset(of) => format!("MULTISET<{}>", of.sql()),
        }
    }
}

/// A value on its own. Of a DECIMAL all digits are kept, without its point. A multiset is an array of values, each with its
/// count behind it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Double(f64),
    Text(String),
    Array(Vec<Value>),
}

impl Value {
    /// As a key, or among others of its column.
    pub fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Null => Scalar::Null,
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Int(value) => Scalar::Int(*value),
            Self::Double(value) => Scalar::Double(order_of(*value)),
            Self::Text(text) => Scalar::Text(text),
            Self::Array(_) => panic!("arrays are results only"),
        }
    }

    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// A whole number, or the digits of a DECIMAL.
    pub fn int(&self) -> i128 {
        match self {
            Self::Int(value) => *value,
            other => panic!("{other:?} is no number without a fraction"),
        }
    }

    pub fn double(&self) -> f64 {
        match self {
            Self::Double(value) => *value,
            other => panic!("{other:?} is no DOUBLE"),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }

    /// As it stands in a message: whatever differs reads differently.
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Double(value) => format!("{value:?}"),
            Self::Text(text) => format!("'{text}'"),
            Self::Array(values) => {
                format!("[{}]", values.iter().map(Self::shown).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// A cell of a result.
    pub fn read(column: &dyn Array, row: usize) -> Self {
        if column.is_null(row) {
            return Self::Null;
        }
        match column.data_type() {
            DataType::Boolean => Self::Bool(column.as_boolean().value(row)),
            DataType::Int32 => Self::Int(column.as_primitive::<Int32Type>().value(row).into()),
            DataType::Int64 => Self::Int(column.as_primitive::<Int64Type>().value(row).into()),
            DataType::Decimal128(..) => Self::Int(column.as_primitive::<Decimal128Type>().value(row)),
            DataType::Float64 => Self::Double(column.as_primitive::<Float64Type>().value(row)),
            DataType::Timestamp(..) => Self::Int(column.as_primitive::<TimestampMillisecondType>().value(row).into()),
            DataType::Utf8 => Self::Text(column.as_string::<i32>().value(row).to_owned()),
            DataType::List(_) => {
                let values = column.as_list::<i32>().value(row);
                Self::Array((0..values.len()).map(|row| Self::read(&values, row)).collect())
            }
            DataType::Map(..) => {
                let entries = column.as_map().value(row);
                let cell =
                    |row| entries.columns().iter().map(move |column| Self::read(column, row)).collect::<Vec<_>>();
                Self::Array((0..entries.len()).flat_map(cell).collect())
            }
            other => panic!("no result of a random query is a {other}"),
        }
    }
}

/// Every NaN is one.
fn order_of(value: f64) -> i64 {
    let bits = if value.is_nan() { f64::NAN.abs() } else { value }.to_bits() as i64;
    // Negative numbers have greater bits the less they are.
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}
