//! Conversions of bound values: the casts that a query writes and those that a rule asks for.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, Operator};

use super::typed::Typed;
use crate::error::{Error, Result};
use crate::expressions::{
    Argument, CAST, Call, CastShape, Function, Nulls, TRY_CAST, WRITE, as_decimal, common_type, digits,
    evaluate_constant, has_instant, is_castable, is_multiset, is_nested, key_and_value, type_name,
};
use crate::sql::SqlType;

/// A value in an Arrow type that Flink converts to without being asked, or that a rule asks for.
pub fn cast(typed: Typed, to: &DataType) -> Result<Typed> {
    cast_with(typed, to, vec![CastShape::default()], &type_name(to), false)
}

/// `CAST(typed AS to)`, or TRY_CAST.
pub fn cast_to_sql(typed: Typed, to: &SqlType, lenient: bool) -> Result<Typed> {
    let mut shapes = Vec::new();
    add_shapes(to, &mut shapes);
    let out = cast_with(typed, &to.arrow(), shapes, &to.to_string(), lenient)?;
    Ok(Typed { declared: Some(to.clone()), ..out })
}

/// A value of a type with a length, which is checked.
pub fn with_length(typed: Typed, to: &SqlType) -> Result<Typed> {
    let mut shapes = Vec::new();
    add_shapes(to, &mut shapes);
    match shapes[..] {
        [shape @ CastShape { length: Some(_), .. }] => {
            let call = Call::new(&WRITE, typed.data_type.clone(), typed.nullable, shape.parameters());
            let expression = call.with_detail(to.to_string()).on(vec![typed.expression]);
            Ok(Typed { expression, ..typed })
        }
        _ => Ok(typed),
    }
}

/// The shapes of the parts of a type that are not nested, in their order.
fn add_shapes(to: &SqlType, shapes: &mut Vec<CastShape>) {
    let mut shape = CastShape::default();
    match to {
        SqlType::Array(element) => return add_shapes(element, shapes),
        SqlType::Row(fields) => return fields.iter().for_each(|(_, field)| add_shapes(field, shapes)),
        SqlType::Map(key, value) => {
            add_shapes(key, shapes);
            return add_shapes(value, shapes);
        }
        SqlType::Multiset(element) => {
            add_shapes(element, shapes);
            return shapes.push(shape);
        }
        SqlType::Char(length) | SqlType::Binary(length) => (shape.length, shape.pad) = (Some(*length), true),
        SqlType::VarChar(length) | SqlType::VarBinary(length) if *length != u32::MAX => shape.length = Some(*length),
        SqlType::Timestamp(precision) | SqlType::TimestampLtz(precision) | SqlType::Time(precision) => {
            // Nothing is cut off where the unit of the column holds no more.
            let held = match to.arrow() {
                DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => digits(unit),
                _ => *precision,
            };
            shape.precision = Some(*precision).filter(|precision| *precision < held);
        }
        _ => {}
    }
    shapes.push(shape);
}

fn cast_with(typed: Typed, to: &DataType, mut shapes: Vec<CastShape>, name: &str, lenient: bool) -> Result<Typed> {
    let plain = shapes.iter().all(|shape| shape.length.is_none() && shape.precision.is_none());
    if typed.data_type == *to && plain {
        return Ok(typed);
    }
    is_castable(&typed.data_type, to).map_err(|help| {
        let error = Error::query(format!("Unsupported cast from '{}' to '{name}'", type_name(&typed.data_type)));
        match help {
            Some(help) => error.with_help(help),
            None => error,
        }
    })?;
    if let (DataType::Utf8, [shape]) = (to, shapes.as_mut_slice()) {
        shape.precision = shape.precision.or(typed.precision());
    }
    // A number with too many digits for a DECIMAL becomes NULL.
    let holds_all = as_decimal(&typed.data_type)
        .zip(as_decimal(to))
        .is_some_and(|((p1, s1), (p2, s2))| s1 <= s2 && i16::from(p1) - i16::from(s1) <= i16::from(p2) - i16::from(s2));
    let may_overflow = matches!(to, DataType::Decimal128(..)) && !holds_all && typed.data_type != DataType::Boolean;
    let nullable = typed.nullable || lenient || may_overflow;
    let function = if lenient { &TRY_CAST } else { &CAST };
    // Which instant a time is, is not known without the session's zone.
    let is_constant = matches!(typed.expression, Expr::Literal(..)) && !has_instant(to);
    let parameters = shapes.into_iter().flat_map(CastShape::parameters).collect();
    let call = Call::new(function, to.clone(), nullable, parameters).with_detail(name);
    let converted = call.on(vec![typed.expression]);
    // A constant is converted here, once; one that cannot be stays, and fails when a row comes to it.
    if is_constant && let Some(value) = evaluate_constant(&converted)? {
        let nullable = value.is_null();
        return Ok(Typed::new(Expr::Literal(value, None), to.clone(), nullable));
    }
    Ok(Typed::new(converted, to.clone(), nullable))
}

/// A call with its arguments cast as the function's typing rule asks.
pub fn call(function: &'static Function, arguments: Vec<Typed>) -> Result<Typed> {
    let seen: Vec<Argument> = arguments
        .iter()
        .map(|typed| Argument { data_type: typed.data_type.clone(), number: typed.number, text: typed.text.clone() })
        .collect();
    let typing = (function.typing)(&seen)
        .map_err(|reason| Error::query(format!("{}: {reason}", function.name)).with_help(function.doc))?;
    let nullable = function.nulls == Nulls::Possible || arguments.iter().any(|argument| argument.nullable);
    let arguments = arguments
        .into_iter()
        .zip(&typing.arguments)
        .map(|(argument, wanted)| Ok(cast(argument, wanted)?.expression))
        .collect::<Result<Vec<_>>>()?;
    let call = Call::new(function, typing.output.clone(), nullable, typing.parameters);
    Ok(Typed::new(call.on(arguments), typing.output, nullable))
}

/// Two values that are compared, in one type.
pub fn same_type(left: Typed, right: Typed, operator: Operator) -> Result<(Typed, Typed)> {
    let common = comparable(&left.data_type, &right.data_type, operator)?;
    Ok((cast(left, &common)?, cast(right, &common)?))
}

/// The type that two compared values are brought to; texts and numbers are not compared.
pub fn comparable(left: &DataType, right: &DataType, operator: Operator) -> Result<DataType> {
    let is_time = |data_type: &DataType| {
        matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_) | DataType::Time64(_))
    };
    match (left, right) {
        // A text beside a time is read as one: ts > '2024-01-01 00:00:00'.
        (DataType::Utf8, time) | (time, DataType::Utf8) if is_time(time) => return Ok(time.clone()),
        _ => {}
    }
    let is_ordered = !is_nested(left) && !is_nested(right);
    if !is_ordered && matches!(operator, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq) {
        let one = if is_nested(left) { left } else { right };
        return Err(Error::query(format!("Comparable type expected, but was '{}'.", type_name(one)))
            .with_help("rows, arrays and maps are equal or not, and none is less than another"));
    }
    // A day and a moment have a common type, but Flink does not compare them.
    let is_mixed = matches!(
        (left, right),
        (DataType::Date32, DataType::Timestamp(..)) | (DataType::Timestamp(..), DataType::Date32)
    );
    common_type(left, right).filter(|_| !is_mixed).ok_or_else(|| {
        Error::query(format!(
            "Cannot apply '{operator}' to arguments of type '<{}> {operator} <{}>'",
            type_name(left),
            type_name(right)
        ))
        .with_help("nothing is converted by itself here: write CAST(… AS …)")
    })
}

/// How values of two types that have none in common come to one.
pub fn to_one_type(one: &DataType, two: &DataType) -> String {
    let to = match (is_castable(one, two), is_castable(two, one)) {
        (Ok(()), _) => type_name(two),
        (_, Ok(())) => type_name(one),
        _ => "STRING".to_owned(),
    };
    format!("write CAST(… AS {to})")
}

/// What is declared of values that stand for each other: the finest of times, else what is declared of all alike.
pub fn common_declared(values: &[Typed]) -> Option<SqlType> {
    let mut values = values.iter().filter(|value| value.data_type != DataType::Null).map(|value| &value.declared);
    let first = values.next()?.clone()?;
    values.try_fold(first, |common, declared| match (common, declared.as_ref()?) {
        (SqlType::Time(one), SqlType::Time(two)) => Some(SqlType::Time(one.max(*two))),
        (SqlType::Timestamp(one), SqlType::Timestamp(two)) => Some(SqlType::Timestamp(one.max(*two))),
        (SqlType::TimestampLtz(one), SqlType::TimestampLtz(two)) => Some(SqlType::TimestampLtz(one.max(*two))),
        (one, two) => (one == *two).then_some(one),
    })
}

/// Values that stand for each other, in one type by the rule `of_two`; `what` they are goes into the message.
pub fn to_common_type(
    values: Vec<Typed>,
    what: &str,
    of_two: fn(&DataType, &DataType) -> Option<DataType>,
) -> Result<(Vec<Typed>, DataType)> {
    let mut common = DataType::Null;
    for value in &values {
        common = of_two(&common, &value.data_type).ok_or_else(|| {
            Error::query(format!(
                "{what} have no common type: {} and {}",
                type_name(&common),
                type_name(&value.data_type)
            ))
            .with_help(to_one_type(&common, &value.data_type))
        })?;
    }
    let values = values.into_iter().map(|value| cast(value, &common)).collect::<Result<_>>()?;
    Ok((values, common))
}

/// The declared type that an Arrow type stands for, as far as Arrow says it.
pub fn sql_type(data_type: &DataType) -> SqlType {
    match data_type {
        DataType::Boolean => SqlType::Boolean,
        DataType::Int8 => SqlType::TinyInt,
        DataType::Int16 => SqlType::SmallInt,
        DataType::Int32 => SqlType::Int,
        DataType::Int64 => SqlType::BigInt,
        DataType::Float32 => SqlType::Float,
        DataType::Float64 => SqlType::Double,
        DataType::Decimal128(precision, scale) => SqlType::Decimal(*precision, scale.unsigned_abs()),
        DataType::Binary => SqlType::VarBinary(u32::MAX),
        DataType::Date32 => SqlType::Date,
        DataType::Time32(unit) | DataType::Time64(unit) => SqlType::Time(digits(*unit)),
        DataType::Timestamp(unit, None) => SqlType::Timestamp(digits(*unit)),
        DataType::Timestamp(unit, Some(_)) => SqlType::TimestampLtz(digits(*unit)),
        DataType::List(field) => SqlType::Array(Box::new(sql_type(field.data_type()))),
        DataType::Struct(fields) => {
            SqlType::Row(fields.iter().map(|field| (field.name().clone(), sql_type(field.data_type()))).collect())
        }
        other => match key_and_value(other) {
            Some((element, _)) if is_multiset(other) => SqlType::Multiset(Box::new(sql_type(element))),
            Some((key, value)) => SqlType::Map(Box::new(sql_type(key)), Box::new(sql_type(value))),
            None => SqlType::STRING,
        },
    }
}
