//! What a state can hold: values of Rust that are columns of Arrow in the files.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, PrimitiveArray, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};

use crate::error::{Error, Result};

/// A value of a state. Tuples are several columns in one: a `ROW` of SQL.
pub trait StateValue: Clone + Send + 'static {
    /// The column's type in the files of checkpoints.
    fn data_type() -> DataType;
    /// A column of them.
    fn write(values: &[Option<&Self>]) -> ArrayRef;
    /// The values of a column.
    fn read(column: &ArrayRef) -> Result<Vec<Option<Self>>>;
    /// Bytes that the value has elsewhere.
    fn heap_bytes(&self) -> usize {
        0
    }
}

fn foreign(column: &ArrayRef) -> Error {
    Error::bug(format!("a state is stored as {}", column.data_type()))
}

macro_rules! numbers {
    ($($native:ty, $arrow:ty;)*) => {$(
        impl StateValue for $native {
            fn data_type() -> DataType {
                <$arrow as arrow::datatypes::ArrowPrimitiveType>::DATA_TYPE
            }

            fn write(values: &[Option<&Self>]) -> ArrayRef {
                Arc::new(values.iter().map(|value| value.copied()).collect::<PrimitiveArray<$arrow>>())
            }

            fn read(column: &ArrayRef) -> Result<Vec<Option<Self>>> {
                let values = column.as_primitive_opt::<$arrow>().ok_or_else(|| foreign(column))?;
                Ok(values.iter().collect())
            }
        }
    )*};
}

numbers! {
    i8, Int8Type;
    i16, Int16Type;
    i32, Int32Type;
    i64, Int64Type;
    f32, Float32Type;
    f64, Float64Type;
}

impl StateValue for bool {
    fn data_type() -> DataType {
        DataType::Boolean
    }

    fn write(values: &[Option<&Self>]) -> ArrayRef {
        Arc::new(values.iter().map(|value| value.copied()).collect::<BooleanArray>())
    }

    fn read(column: &ArrayRef) -> Result<Vec<Option<Self>>> {
        Ok(column.as_boolean_opt().ok_or_else(|| foreign(column))?.iter().collect())
    }
}

impl StateValue for String {
    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn write(values: &[Option<&Self>]) -> ArrayRef {
        Arc::new(values.iter().copied().collect::<StringArray>())
    }

    fn read(column: &ArrayRef) -> Result<Vec<Option<Self>>> {
        let texts = column.as_string_opt::<i32>().ok_or_else(|| foreign(column))?;
        Ok(texts.iter().map(|text| text.map(str::to_owned)).collect())
    }

    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

impl StateValue for Vec<u8> {
    fn data_type() -> DataType {
        DataType::Binary
    }

    fn write(values: &[Option<&Self>]) -> ArrayRef {
        Arc::new(values.iter().copied().collect::<BinaryArray>())
    }

    fn read(column: &ArrayRef) -> Result<Vec<Option<Self>>> {
        let values = column.as_binary_opt::<i32>().ok_or_else(|| foreign(column))?;
        Ok(values.iter().map(|value| value.map(<[u8]>::to_vec)).collect())
    }

    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}

macro_rules! tuples {
    ($($($part:ident $place:tt),+;)*) => {$(
        impl<$($part: StateValue),+> StateValue for ($($part,)+) {
            fn data_type() -> DataType {
                let fields = vec![$(Field::new(stringify!($place), $part::data_type(), true)),+];
                DataType::Struct(Fields::from(fields))
            }

            fn write(values: &[Option<&Self>]) -> ArrayRef {
                let DataType::Struct(fields) = Self::data_type() else { return arrow::array::new_null_array(&Self::data_type(), values.len()) };
                let columns = vec![$({
                    let parts: Vec<Option<&$part>> = values.iter().map(|value| value.map(|value| &value.$place)).collect();
                    $part::write(&parts)
                }),+];
                let present = NullBuffer::from_iter(values.iter().map(Option::is_some));
                Arc::new(StructArray::new(fields, columns, Some(present)))
            }

            fn read(column: &ArrayRef) -> Result<Vec<Option<Self>>> {
                let parts = column.as_struct_opt().ok_or_else(|| foreign(column))?;
                let mut parts_of = ($($part::read(parts.column($place))?.into_iter(),)+);
                let rows = (0..column.len()).map(|row| {
                    let value = ($(parts_of.$place.next().flatten(),)+);
                    match column.is_null(row) {
                        true => Ok(None),
                        false => Ok(Some(($(value.$place.ok_or_else(|| foreign(column))?,)+))),
                    }
                });
                rows.collect()
            }

            fn heap_bytes(&self) -> usize {
                0 $(+ self.$place.heap_bytes())+
            }
        }
    )*};
}

tuples! {
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back<T: StateValue + PartialEq + std::fmt::Debug>(values: &[Option<T>]) {
        let all: Vec<Option<&T>> = values.iter().map(Option::as_ref).collect();
        let column = T::write(&all);
        assert_eq!(column.data_type(), &T::data_type());
        assert_eq!(T::read(&column).unwrap(), values);
        assert!(<(bool, bool)>::read(&column).is_err() || T::data_type() == <(bool, bool)>::data_type());
    }

    #[test]
    fn what_is_written_is_read() {
        comes_back(&[Some(1_i64), None, Some(i64::MIN)]);
        comes_back(&[Some(-1_i8), None]);
        comes_back(&[Some(1.5_f64), None, Some(-0.0)]);
        comes_back(&[Some(true), None, Some(false)]);
        comes_back(&[Some("x".to_owned()), None, Some(String::new())]);
        comes_back(&[Some(vec![0_u8, 255]), None, Some(Vec::new())]);
        comes_back(&[Some((1_i64, "x".to_owned())), None]);
        comes_back(&[Some((1_i32, (true, 2.5_f64), "y".to_owned(), vec![7_u8])), None]);
        comes_back::<i64>(&[]);
    }
}
