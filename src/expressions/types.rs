//! Flink's typing rules over Arrow types: names for messages, the common type of two values, and the result type of
//! arithmetic with its precision and scale.

use arrow::datatypes::{DataType, TimeUnit};

use super::nested::{is_multiset, key_and_value, list_of, map_of, row_of};

/// The greatest precision of a DECIMAL.
pub const MAX_PRECISION: u8 = 38;

/// The type's name in Flink's spelling, for messages and texts. Lengths of strings are not part of Arrow's types.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("DECIMAL({precision}, {scale})")
        }
        DataType::Utf8 => "STRING".into(),
        DataType::Binary => "BYTES".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Time32(_) => "TIME(3)".into(),
        DataType::Time64(unit) => format!("TIME({})", digits(*unit)),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", digits(*unit)),
        DataType::Timestamp(unit, Some(_)) => format!("TIMESTAMP_LTZ({})", digits(*unit)),
        DataType::List(element) => format!("ARRAY<{}>", type_name(element.data_type())),
        DataType::Struct(fields) => {
            let field = |field: &arrow::datatypes::FieldRef| {
                format!("`{}` {}", field.name().replace('`', "``"), type_name(field.data_type()))
            };
            format!("ROW<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => match key_and_value(other) {
            Some((element, _)) if is_multiset(other) => format!("MULTISET<{}>", type_name(element)),
            Some((key, value)) => format!("MAP<{}, {}>", type_name(key), type_name(value)),
            None => other.to_string(),
        },
    }
}

/// Digits of the fraction of a second that a unit holds.
pub fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// Whether it is a whole number.
pub fn is_integer(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
}

/// Whether it is FLOAT or DOUBLE.
pub fn is_approximate(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// Whether it is a number.
pub fn is_numeric(data_type: &DataType) -> bool {
    is_integer(data_type) || is_approximate(data_type) || matches!(data_type, DataType::Decimal128(..))
}

/// Precision and scale of an exact number seen as DECIMAL.
pub fn as_decimal(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

/// The type that holds both numbers, by Flink's order of widening.
pub fn common_numeric(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Float32, Float64};
    if left == right && is_numeric(left) {
        return Some(left.clone());
    }
    match (left, right) {
        (Float64, other) | (other, Float64) => is_numeric(other).then_some(Float64),
        (Float32, other) | (other, Float32) => match other {
            DataType::Decimal128(..) => Some(Float64),
            other => is_numeric(other).then_some(Float32),
        },
        _ if is_integer(left) && is_integer(right) => {
            Some(if left.primitive_width() >= right.primitive_width() { left.clone() } else { right.clone() })
        }
        _ => {
            let ((p1, s1), (p2, s2)) = (as_decimal(left)?, as_decimal(right)?);
            let scale = s1.max(s2);
            let whole = (i16::from(p1) - i16::from(s1)).max(i16::from(p2) - i16::from(s2));
            Some(decimal(whole + i16::from(scale), i16::from(scale)))
        }
    }
}

/// The type of both branches of a CASE, of both sides of a UNION, or of a comparison; NULL fits everywhere.
pub fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    match (left, right) {
        (DataType::Null, other) | (other, DataType::Null) => Some(other.clone()),
        _ if left == right => Some(left.clone()),
        (DataType::Timestamp(one, zone), DataType::Timestamp(two, other)) if zone.is_some() == other.is_some() => {
            Some(DataType::Timestamp(finer(*one, *two), zone.clone()))
        }
        // The same instant, whatever a clock shows.
        (DataType::Timestamp(one, zone), DataType::Timestamp(two, other)) => {
            Some(DataType::Timestamp(finer(*one, *two), zone.clone().or(other.clone())))
        }
        (DataType::Date32, time @ DataType::Timestamp(..)) | (time @ DataType::Timestamp(..), DataType::Date32) => {
            Some(time.clone())
        }
        (DataType::List(one), DataType::List(two)) => Some(list_of(common_type(one.data_type(), two.data_type())?)),
        (DataType::Map(..), DataType::Map(..)) if !is_multiset(left) && !is_multiset(right) => {
            let ((key, value), (other_key, other_value)) = (key_and_value(left)?, key_and_value(right)?);
            Some(map_of(common_type(key, other_key)?, common_type(value, other_value)?))
        }
        // The names of the first.
        (DataType::Struct(ones), DataType::Struct(twos)) if ones.len() == twos.len() => {
            let field = |(one, two): (&arrow::datatypes::FieldRef, &arrow::datatypes::FieldRef)| {
                Some((one.name().clone(), common_type(one.data_type(), two.data_type())?))
            };
            Some(row_of(ones.iter().zip(twos).map(field).collect::<Option<Vec<_>>>()?))
        }
        _ => common_numeric(left, right),
    }
}

/// The type of values that stand for each other in rows, as in CASE and UNION: of instants and local times that of the last.
pub fn common_type_of_rows(left: &DataType, right: &DataType) -> Option<DataType> {
    match (left, right) {
        (DataType::Timestamp(one, _), DataType::Timestamp(two, zone)) => {
            Some(DataType::Timestamp(finer(*one, *two), zone.clone()))
        }
        _ => common_type(left, right),
    }
}

fn finer(one: TimeUnit, two: TimeUnit) -> TimeUnit {
    if digits(one) >= digits(two) { one } else { two }
}

/// The five operators of arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArithmeticOperator {
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
}

impl ArithmeticOperator {
    /// Its sign in SQL.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}

/// The result type of arithmetic on two numbers; `None` where Flink has no such operation.
pub fn arithmetic_type(operator: ArithmeticOperator, left: &DataType, right: &DataType) -> Option<DataType> {
    let common = common_numeric(left, right)?;
    if is_integer(&common) {
        return Some(common);
    }
    if is_approximate(&common) {
        return (operator != ArithmeticOperator::Modulo).then_some(common);
    }
    let ((p1, s1), (p2, s2)) = (as_decimal(left)?, as_decimal(right)?);
    let (p1, s1, p2, s2) = (i16::from(p1), i16::from(s1), i16::from(p2), i16::from(s2));
    Some(match operator {
        ArithmeticOperator::Plus | ArithmeticOperator::Minus => {
            let scale = s1.max(s2);
            decimal((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
        ArithmeticOperator::Multiply => decimal(p1 + p2 + 1, s1 + s2),
        ArithmeticOperator::Divide => {
            let scale = 6.max(s1 + p2 + 1);
            decimal(p1 - s1 + s2 + scale, scale)
        }
        ArithmeticOperator::Modulo => {
            let scale = s1.max(s2);
            decimal((p1 - s1).min(p2 - s2) + scale, scale)
        }
    })
}

/// A DECIMAL of that size; one that is too wide loses digits behind the point, though at most down to six.
fn decimal(precision: i16, scale: i16) -> DataType {
    let most = i16::from(MAX_PRECISION);
    let (precision, scale) = if precision <= most {
        (precision, scale)
    } else {
        let whole = precision - scale;
        (most, (most - whole).max(scale.min(6)))
    };
    let narrow = |value: i16| u8::try_from(value).unwrap_or(MAX_PRECISION);
    DataType::Decimal128(narrow(precision.max(1)), narrow(scale).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ArithmeticOperator::*;
    use DataType::{Decimal128, Float32, Float64, Int8, Int32, Int64};

    #[test]
    fn t5_division_has_flinks_precision_and_scale() {
        let money = Decimal128(5, 2);
        assert_eq!(arithmetic_type(Divide, &money, &money), Some(Decimal128(13, 8)));
        assert_eq!(arithmetic_type(Divide, &Int32, &Decimal128(2, 1)), Some(Decimal128(17, 6)));
        assert_eq!(arithmetic_type(Divide, &Int32, &Int32), Some(Int32));
    }

    #[test]
    fn numbers_widen_as_in_flink() {
        assert_eq!(common_numeric(&Int8, &Int64), Some(Int64));
        assert_eq!(common_numeric(&Int64, &Float32), Some(Float32));
        assert_eq!(common_numeric(&Decimal128(5, 2), &Float32), Some(Float64));
        assert_eq!(common_numeric(&Decimal128(5, 2), &Int32), Some(Decimal128(12, 2)));
        assert_eq!(arithmetic_type(Plus, &Decimal128(38, 10), &Decimal128(38, 10)), Some(Decimal128(38, 9)));
        assert_eq!(arithmetic_type(Modulo, &Float64, &Int32), None);
    }
}
