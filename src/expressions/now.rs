//! The time of day in an expression: `CURRENT_TIMESTAMP` and what is made of it.
//!
//! An expression reads no clock. Whoever evaluates one that needs the time puts it beside the columns of the batch, as
//! one more column; in batch mode it is a constant.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, TimestampMillisecondArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use super::function::{Call, Function, Nulls};
use super::typing::never;
use crate::error::{Error, Result};

/// The column of the time of day, behind all others: `TIMESTAMP_LTZ(3)`, never null.
pub const NOW_COLUMN: &str = "$now";

/// `CURRENT_TIMESTAMP`: without an argument until it is known where the time comes from.
static CURRENT_TIMESTAMP: Function = Function {
    nulls: Nulls::Possible,
    ..Function::strict("CURRENT_TIMESTAMP", "", never, |_, arguments, _| match arguments {
        [now] => Ok(Arc::clone(now)),
        _ => Err(Error::query("the time of day cannot be read here")
            .with_help("it can in a SELECT list and in WHERE: SELECT …, CURRENT_TIMESTAMP FROM …")),
    })
};

/// `UNIX_TIMESTAMP()`: whole seconds of an instant since 1970.
static SECONDS_OF: Function = Function::strict("UNIX_TIMESTAMP", "", never, |_, arguments, _| {
    let times = arguments[0].as_primitive::<TimestampMillisecondType>();
    let seconds: Int64Array = times.iter().map(|time| time.map(|ms| ms.div_euclid(1_000))).collect();
    Ok(Arc::new(seconds))
});

/// The type of an instant: `TIMESTAMP_LTZ(3)`.
pub fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// The time of day at the row.
pub fn now() -> Expr {
    Call::new(&CURRENT_TIMESTAMP, instant_type(), false, Vec::new()).on(Vec::new())
}

/// Whole seconds since 1970 at the row.
pub fn seconds_now() -> Expr {
    Call::new(&SECONDS_OF, DataType::Int64, false, Vec::new()).on(vec![now()])
}

/// Whether the time of day is part of an expression.
pub fn reads_now(expression: &Expr) -> bool {
    expression.exists(|inner| Ok(is_now(inner))).unwrap_or(true)
}

/// The expression with the time of day taken from the column of that name.
pub fn now_from_column(expression: &Expr) -> Result<Expr> {
    let column = Expr::Column(Column::new_unqualified(NOW_COLUMN));
    let call = Call::new(&CURRENT_TIMESTAMP, instant_type(), false, Vec::new()).on(vec![column]);
    replaced(expression.clone(), &call)
}

/// The expression with one moment, in milliseconds since 1970, for the time of day.
pub fn at_moment(expression: Expr, millis: i64) -> Result<Expr> {
    replaced(expression, &Expr::Literal(moment(millis), None))
}

/// A moment as a constant.
pub fn moment(millis: i64) -> ScalarValue {
    ScalarValue::TimestampMillisecond(Some(millis), Some("UTC".into()))
}

/// So many rows of one moment.
pub fn moments(millis: i64, rows: usize) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(vec![millis; rows]).with_timezone("UTC"))
}

fn is_now(expression: &Expr) -> bool {
    match expression {
        Expr::ScalarFunction(function) => {
            Call::of(&function.func).is_some_and(|call| call.function.name == CURRENT_TIMESTAMP.name)
        }
        _ => false,
    }
}

fn replaced(expression: Expr, by: &Expr) -> Result<Expr> {
    let replaced = expression.transform_down(|inner| {
        Ok(match is_now(&inner) {
            // What it is replaced by may be such a call itself, and is done.
            true => Transformed::new(by.clone(), true, datafusion::common::tree_node::TreeNodeRecursion::Jump),
            false => Transformed::no(inner),
        })
    });
    Ok(replaced.map_err(|error| Error::bug(error.strip_backtrace()))?.data)
}
