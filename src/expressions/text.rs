//! Expressions as SQL text of our own, for EXPLAIN and for the signatures of operators: DataFusion's own text may change
//! with its next version, this one must not.

use super::function::Call;
use super::show::Shown;
use super::types::type_name;
use arrow::array::Array;
use datafusion::logical_expr::{BinaryExpr, Expr};
use datafusion::scalar::ScalarValue;

/// The text of an expression.
pub fn text(expression: &Expr) -> String {
    match expression {
        Expr::Alias(alias) => text(&alias.expr),
        Expr::Column(column) => column.name.clone(),
        Expr::Literal(value, _) => literal(value),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => format!("({} {op} {})", text(left), text(right)),
        Expr::Like(like) => {
            let word = if like.negated { "NOT LIKE" } else { "LIKE" };
            let escape = like.escape_char.map(|escape| format!(" ESCAPE '{escape}'")).unwrap_or_default();
            format!("({} {word} {}{escape})", text(&like.expr), text(&like.pattern))
        }
        Expr::Not(inner) => format!("NOT {}", text(inner)),
        Expr::IsNull(inner) => format!("({} IS NULL)", text(inner)),
        Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", text(inner)),
        Expr::IsTrue(inner) => format!("({} IS TRUE)", text(inner)),
        Expr::IsNotTrue(inner) => format!("({} IS NOT TRUE)", text(inner)),
        Expr::IsFalse(inner) => format!("({} IS FALSE)", text(inner)),
        Expr::IsNotFalse(inner) => format!("({} IS NOT FALSE)", text(inner)),
        Expr::IsUnknown(inner) => format!("({} IS UNKNOWN)", text(inner)),
        Expr::IsNotUnknown(inner) => format!("({} IS NOT UNKNOWN)", text(inner)),
        Expr::Negative(inner) => format!("(- {})", text(inner)),
        Expr::Between(between) => {
            let word = if between.negated { "NOT BETWEEN" } else { "BETWEEN" };
            format!("({} {word} {} AND {})", text(&between.expr), text(&between.low), text(&between.high))
        }
        Expr::Case(case) => {
            let mut out = String::from("CASE");
            if let Some(value) = &case.expr {
                out.push_str(&format!(" {}", text(value)));
            }
            for (when, then) in &case.when_then_expr {
                out.push_str(&format!(" WHEN {} THEN {}", text(when), text(then)));
            }
            if let Some(otherwise) = &case.else_expr {
                out.push_str(&format!(" ELSE {}", text(otherwise)));
            }
            out.push_str(" END");
            out
        }
        Expr::Cast(cast) => format!("CAST({} AS {})", text(&cast.expr), type_name(cast.field.data_type())),
        Expr::InList(list) => {
            let word = if list.negated { "NOT IN" } else { "IN" };
            let values: Vec<_> = list.list.iter().map(text).collect();
            format!("({} {word} ({}))", text(&list.expr), values.join(", "))
        }
        Expr::ScalarFunction(function) => {
            let arguments: Vec<_> = function.args.iter().map(text).collect();
            match Call::of(&function.func) {
                Some(call) => call.text(&arguments),
                None => format!("{}({})", function.func.name(), arguments.join(", ")),
            }
        }
        Expr::AggregateFunction(aggregate) => {
            let parameters = &aggregate.params;
            let arguments: Vec<_> = parameters.args.iter().map(text).collect();
            let arguments = if arguments.is_empty() { "*".to_owned() } else { arguments.join(", ") };
            let filter = parameters.filter.as_ref().map(|filter| format!(" FILTER (WHERE {})", text(filter)));
            let distinct = if parameters.distinct { "DISTINCT " } else { "" };
            format!("{}({distinct}{arguments}){}", aggregate.func.name(), filter.unwrap_or_default())
        }
        other => other.to_string(),
    }
}

fn literal(value: &ScalarValue) -> String {
    if value.is_null() {
        return "NULL".to_owned();
    }
    let shown = value.to_array().ok().and_then(|array| {
        let mut out = String::new();
        (!array.is_null(0)).then(|| Shown::new(&array, None).map(|shown| shown.write(0, &mut out)).ok())??;
        Some(out)
    });
    match (value, shown) {
        (ScalarValue::Utf8(Some(text)), _) => format!("'{}'", text.replace('\'', "''")),
        (
            ScalarValue::Time32Millisecond(_) | ScalarValue::Time64Microsecond(_) | ScalarValue::Time64Nanosecond(_),
            Some(text),
        ) => format!("TIME '{text}'"),
        (ScalarValue::Date32(_), Some(text)) => format!("DATE '{text}'"),
        (
            ScalarValue::TimestampMillisecond(..)
            | ScalarValue::TimestampMicrosecond(..)
            | ScalarValue::TimestampNanosecond(..),
            Some(text),
        ) => format!("TIMESTAMP '{text}'"),
        (_, Some(text)) => text,
        (value, None) => value.to_string(),
    }
}
