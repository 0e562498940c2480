//! Casts: those that are written, and those that Flink makes by itself because nothing can be lost.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, lit};
use sqlparser::ast;

use super::{Binder, Bound};
use crate::error::{Error, Result};
use crate::expressions::{
    CAST, Call, CastShape, TRY_CAST, common_numeric, digits, is_castable, is_integer, is_numeric, type_name,
};
use crate::sql::SqlType;

impl Binder<'_> {
    pub(super) fn cast(&self, kind: &ast::CastKind, inner: &ast::Expr, data_type: &ast::DataType) -> Result<Bound> {
        let lenient = match kind {
            ast::CastKind::Cast => false,
            ast::CastKind::TryCast => true,
            _ => return Err(Error::query("this way to write a cast is not Flink's").with_help("write CAST(value AS type)")),
        };
        let to = SqlType::of_cast(data_type)?;
        let bound = self.bind(inner)?;
        explicit_cast(bound, &to, lenient)
    }
}

/// `CAST(bound AS to)`.
pub fn explicit_cast(bound: Bound, to: &SqlType, lenient: bool) -> Result<Bound> {
    let (from_arrow, to_arrow) = (bound.arrow(), to.arrow());
    if let Err(help) = is_castable(&from_arrow, &to_arrow) {
        let error = Error::query(format!("Cast from '{}' to '{to}' is not possible", bound.type_name()));
        return Err(match help {
            Some(help) => error.with_help(help),
            None => error,
        });
    }
    if bound.data_type.is_none() {
        return Ok(typed_null(to));
    }
    if bound.data_type.as_ref() == Some(to) || (from_arrow == to_arrow && holds_all(&bound, to)) {
        return Ok(Bound { data_type: Some(to.clone()), ..bound });
    }
    let shape = CastShape {
        length: match to {
            SqlType::Char(length) => Some(*length),
            SqlType::VarChar(length) if *length != u32::MAX => Some(*length),
            _ => None,
        },
        pad: matches!(to, SqlType::Char(_)),
        precision: match (&bound.data_type, to) {
            (_, SqlType::Timestamp(precision) | SqlType::TimestampLtz(precision) | SqlType::Time(precision)) => {
                Some(*precision)
            }
            (Some(SqlType::Timestamp(p) | SqlType::TimestampLtz(p) | SqlType::Time(p)), _) => Some(*p),
            _ => None,
        },
    };
    let nullable = bound.nullable || lenient || matches!(to, SqlType::Decimal(..));
    let function = if lenient { &TRY_CAST } else { &CAST };
    let call = Call::new(function, to_arrow, nullable, shape.parameters()).with_detail(to.to_string());
    Ok(Bound::new(call.on(vec![bound.expr]), to.clone(), nullable))
}

/// Whether each value of the bound type is one of the other, though both have the same Arrow type.
fn holds_all(bound: &Bound, to: &SqlType) -> bool {
    let length = |data_type: &SqlType| match data_type {
        SqlType::Char(length) | SqlType::VarChar(length) => Some(*length),
        _ => None,
    };
    match (&bound.data_type, to) {
        (_, SqlType::Char(_)) => bound.data_type.as_ref() == Some(to),
        (Some(from), SqlType::VarChar(most)) => length(from).is_some_and(|length| length <= *most),
        (Some(SqlType::Timestamp(from)), SqlType::Timestamp(to))
        | (Some(SqlType::TimestampLtz(from)), SqlType::TimestampLtz(to))
        | (Some(SqlType::Time(from)), SqlType::Time(to)) => from <= to,
        _ => true,
    }
}

/// NULL as a value of a type.
pub fn typed_null(to: &SqlType) -> Bound {
    let value = ScalarValue::try_from(&to.arrow()).unwrap_or(ScalarValue::Null);
    Bound::new(lit(value), to.clone(), true)
}

/// Whether a value of one type goes into a column of another without being asked: INSERT's rule.
pub fn is_implicit(from: Option<&SqlType>, to: &SqlType) -> bool {
    use SqlType as T;
    let Some(from) = from else {
        return true;
    };
    if from == to {
        return true;
    }
    let (from_arrow, to_arrow) = (from.arrow(), to.arrow());
    match (from, to) {
        (T::Char(_) | T::VarChar(_), T::Char(_) | T::VarChar(_)) => true,
        (T::Binary(_) | T::VarBinary(_), T::Binary(_) | T::VarBinary(_)) => true,
        (T::Timestamp(_) | T::TimestampLtz(_) | T::Date, T::Timestamp(_) | T::TimestampLtz(_)) => true,
        (T::Time(_), T::Time(_)) => true,
        (T::Decimal(..), T::Decimal(..)) => true,
        // Whole numbers into any DECIMAL, and any exact number into a float.
        _ if is_numeric(&from_arrow) && is_numeric(&to_arrow) => {
            common_numeric(&from_arrow, &to_arrow).as_ref() == Some(&to_arrow)
                || (is_integer(&from_arrow) && matches!(to, T::Decimal(..)))
                || matches!((from, to), (T::Decimal(..), T::Float))
        }
        _ => from_arrow == to_arrow,
    }
}

/// The same value in a type that [`is_implicit`] allows or that holds it exactly.
pub fn implicit_cast(bound: Bound, to: &SqlType) -> Bound {
    if bound.data_type.is_none() {
        return typed_null(to);
    }
    let (from_arrow, to_arrow) = (bound.arrow(), to.arrow());
    if from_arrow == to_arrow && (holds_all(&bound, to) || matches!(to, SqlType::Decimal(..))) {
        return Bound { data_type: Some(to.clone()), ..bound };
    }
    let exact = match (&from_arrow, &to_arrow) {
        (DataType::Timestamp(from, zone), DataType::Timestamp(unit, other)) => {
            zone.is_some() == other.is_some() && digits(*from) < digits(*unit)
        }
        (DataType::Decimal128(..), _) | (_, DataType::Float32) => false,
        _ => common_numeric(&from_arrow, &to_arrow).as_ref() == Some(&to_arrow),
    };
    if exact {
        return widen(bound, &to_arrow, to.clone());
    }
    let fallback = bound.clone();
    explicit_cast(bound, to, false).unwrap_or(fallback)
}

/// A cast that loses nothing, done by Arrow's own kernel.
pub fn widen(bound: Bound, to: &DataType, sql_type: SqlType) -> Bound {
    if bound.data_type.is_none() {
        return typed_null(&sql_type);
    }
    if bound.arrow() == *to {
        return Bound { data_type: Some(sql_type), ..bound };
    }
    let expr = match &bound.expr {
        // Literals change their type at once.
        Expr::Literal(value, _) => value.cast_to(to).map(lit).unwrap_or_else(|_| cast_expr(bound.expr.clone(), to)),
        _ => cast_expr(bound.expr, to),
    };
    Bound::new(expr, sql_type, bound.nullable)
}

fn cast_expr(expr: Expr, to: &DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), to.clone()))
}

/// Flink's type for an Arrow type, where nothing more is known.
pub fn sql_type_of(data_type: &DataType) -> Result<SqlType> {
    Ok(match data_type {
        DataType::Boolean => SqlType::Boolean,
        DataType::Int8 => SqlType::TinyInt,
        DataType::Int16 => SqlType::SmallInt,
        DataType::Int32 => SqlType::Int,
        DataType::Int64 => SqlType::BigInt,
        DataType::Float32 => SqlType::Float,
        DataType::Float64 => SqlType::Double,
        DataType::Decimal128(precision, scale) => SqlType::Decimal(*precision, scale.unsigned_abs()),
        DataType::Utf8 | DataType::Null => SqlType::STRING,
        DataType::Binary => SqlType::VarBinary(u32::MAX),
        DataType::Date32 => SqlType::Date,
        DataType::Time32(unit) | DataType::Time64(unit) => SqlType::Time(digits(*unit)),
        DataType::Timestamp(TimeUnit::Second, _) => return Err(Error::bug("a TIMESTAMP in seconds")),
        DataType::Timestamp(unit, None) => SqlType::Timestamp(digits(*unit)),
        DataType::Timestamp(unit, Some(_)) => SqlType::TimestampLtz(digits(*unit)),
        other => return Err(Error::bug(format!("{} has no type of Flink's", type_name(other)))),
    })
}
