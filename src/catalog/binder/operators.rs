//! Operators: arithmetic and comparison with exactly Flink's result types.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{BinaryExpr, Like};
use datafusion::logical_expr::{Expr, Operator};
use sqlparser::ast::{self, BinaryOperator as B, UnaryOperator};

use super::casts::widen;
use super::{Binder, Bound, at, condition, implicit_cast, literals, sql_type_of};
use crate::error::{Error, Result};
use crate::expressions::{
    ArithmeticOperator, Call, MINUS_INTERVAL, PLUS_INTERVAL, arithmetic_function, arithmetic_type, as_decimal,
    common_type, is_native, is_numeric, operand,
};
use crate::sql::{IntervalLength, SqlType, interval_length};

impl Binder<'_> {
    pub(super) fn unary(&self, operator: UnaryOperator, inner: &ast::Expr) -> Result<Bound> {
        match operator {
            UnaryOperator::Not => {
                let bound = self.condition(inner, "NOT")?;
                Ok(Bound { expr: Expr::Not(Box::new(bound.expr.clone())), ..bound })
            }
            UnaryOperator::Plus => self.number(inner, "+"),
            UnaryOperator::Minus => {
                if let ast::Expr::Value(value) = inner
                    && let ast::Value::Number(text, _) = &value.value
                {
                    return literals::number(&format!("-{text}"));
                }
                let bound = self.number(inner, "-")?;
                Ok(Bound { expr: Expr::Negative(Box::new(bound.expr.clone())), ..bound })
            }
            other => Err(Error::query(format!("the operator {other} is not Flink's"))),
        }
    }

    fn number(&self, inner: &ast::Expr, sign: &str) -> Result<Bound> {
        let bound = self.bind(inner)?;
        match &bound.data_type {
            None => Ok(implicit_cast(bound, &SqlType::Int)),
            Some(_) if is_numeric(&bound.arrow()) => Ok(bound),
            Some(other) => Err(Error::query(format!("Cannot apply '{sign}' to an argument of type '<{other}>'"))),
        }
    }

    pub(super) fn binary(&self, left: &ast::Expr, operator: &B, right: &ast::Expr) -> Result<Bound> {
        match operator {
            B::Plus => self.arithmetic(ArithmeticOperator::Plus, left, right),
            B::Minus => self.arithmetic(ArithmeticOperator::Minus, left, right),
            B::Multiply => self.arithmetic(ArithmeticOperator::Multiply, left, right),
            B::Divide => self.arithmetic(ArithmeticOperator::Divide, left, right),
            B::Modulo => self.arithmetic(ArithmeticOperator::Modulo, left, right),
            B::Eq => self.compared(left, Operator::Eq, right),
            B::NotEq => self.compared(left, Operator::NotEq, right),
            B::Lt => self.compared(left, Operator::Lt, right),
            B::LtEq => self.compared(left, Operator::LtEq, right),
            B::Gt => self.compared(left, Operator::Gt, right),
            B::GtEq => self.compared(left, Operator::GtEq, right),
            B::And | B::Or => {
                let word = if *operator == B::And { "AND" } else { "OR" };
                let (one, two) = (self.condition(left, word)?, self.condition(right, word)?);
                let nullable = one.nullable || two.nullable;
                let expr = if *operator == B::And { one.expr.and(two.expr) } else { one.expr.or(two.expr) };
                Ok(Bound::new(expr, SqlType::Boolean, nullable))
            }
            B::StringConcat => self.named("CONCAT", &[left, right]).map_err(|error| error.context("||")),
            other => Err(Error::query(format!("the operator {other} is not built yet"))),
        }
    }

    fn arithmetic(&self, operator: ArithmeticOperator, left: &ast::Expr, right: &ast::Expr) -> Result<Bound> {
        if let Some(length) = interval_length(right) {
            return match operator {
                ArithmeticOperator::Plus => self.moved(left, length, right, false),
                ArithmeticOperator::Minus => self.moved(left, length, right, true),
                _ => Err(no_operator(operator.symbol(), "a time", "INTERVAL")),
            };
        }
        if let (Some(length), ArithmeticOperator::Plus) = (interval_length(left), operator) {
            return self.moved(right, length, left, false);
        }
        let (one, two) = (self.bind(left)?, self.bind(right)?);
        arithmetic(operator, one, two)
    }

    /// A time plus or minus an interval.
    fn moved(&self, time: &ast::Expr, length: IntervalLength, interval: &ast::Expr, minus: bool) -> Result<Bound> {
        let bound = self.bind(time)?;
        let (months, millis) = match length {
            IntervalLength::Months(months) => (months, 0),
            IntervalLength::Milliseconds(millis) => (0, millis),
        };
        let symbol = if minus { "-" } else { "+" };
        match &bound.data_type {
            Some(SqlType::Timestamp(_) | SqlType::TimestampLtz(_)) => {}
            Some(SqlType::Date) if millis % 86_400_000 == 0 => {}
            Some(SqlType::Date) => {
                return Err(Error::query("a DATE moves by whole days, months or years")
                    .with_help("CAST(date AS TIMESTAMP(3)) first for a part of a day"));
            }
            _ => return Err(no_operator(symbol, &bound.type_name(), "INTERVAL")),
        }
        let sign = if minus { -1 } else { 1 };
        let function = if minus { &MINUS_INTERVAL } else { &PLUS_INTERVAL };
        let parameters = vec![months.wrapping_mul(sign), millis.wrapping_mul(sign)];
        let call = Call::new(function, bound.arrow(), bound.nullable, parameters).with_detail(interval.to_string());
        let data_type = match bound.data_type {
            // A part of a second needs its digits.
            Some(SqlType::Timestamp(precision)) => Some(SqlType::Timestamp(precision.max(finer(millis)))),
            Some(SqlType::TimestampLtz(precision)) => Some(SqlType::TimestampLtz(precision.max(finer(millis)))),
            other => other,
        };
        Ok(Bound { expr: call.on(vec![bound.expr]), data_type, nullable: bound.nullable })
    }

    fn compared(&self, left: &ast::Expr, operator: Operator, right: &ast::Expr) -> Result<Bound> {
        compared(self.bind(left)?, operator, self.bind(right)?)
    }

    pub(super) fn distinct(&self, left: &ast::Expr, right: &ast::Expr, distinct: bool) -> Result<Bound> {
        let operator = if distinct { Operator::IsDistinctFrom } else { Operator::IsNotDistinctFrom };
        let bound = compared(self.bind(left)?, operator, self.bind(right)?)?;
        Ok(Bound { nullable: false, ..bound })
    }

    pub(super) fn between(&self, value: &ast::Expr, negated: bool, low: &ast::Expr, high: &ast::Expr) -> Result<Bound> {
        let value = self.bind(value)?;
        let (low, high) = (self.bind(low)?, self.bind(high)?);
        let (first, second) = if negated { (Operator::Lt, Operator::Gt) } else { (Operator::GtEq, Operator::LtEq) };
        let (one, two) = (compared(value.clone(), first, low)?, compared(value, second, high)?);
        let nullable = one.nullable || two.nullable;
        let expr = if negated { one.expr.or(two.expr) } else { one.expr.and(two.expr) };
        Ok(Bound::new(expr, SqlType::Boolean, nullable))
    }

    /// `x IN (a, b)`: all of one type where that is possible, which is fast, else one comparison after the other.
    pub(super) fn in_list(&self, value: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Bound> {
        let value = self.bind(value)?;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            let bound = self.bind(item)?;
            let test = compared(value.clone(), Operator::Eq, bound).map_err(|error| at(error, item))?;
            items.push(test);
        }
        let nullable = items.iter().any(|item| item.nullable);
        let sides: Option<Vec<(Expr, Expr)>> = items
            .iter()
            .map(|item| match &item.expr {
                Expr::BinaryExpr(BinaryExpr { left, right, .. }) => Some(((**left).clone(), (**right).clone())),
                _ => None,
            })
            .collect();
        let same = sides.filter(|sides| sides.windows(2).all(|pair| pair[0].0 == pair[1].0));
        let expr = match same.and_then(|sides| Some((sides.first()?.0.clone(), sides))) {
            Some((left, sides)) => left.in_list(sides.into_iter().map(|(_, right)| right).collect(), negated),
            None => {
                let any = any_of(items.into_iter().map(|item| item.expr).collect());
                if negated { Expr::Not(Box::new(any)) } else { any }
            }
        };
        Ok(Bound::new(expr, SqlType::Boolean, nullable))
    }

    pub(super) fn like(
        &self,
        value: &ast::Expr,
        pattern: &ast::Expr,
        negated: bool,
        escape: Option<&ast::Value>,
    ) -> Result<Bound> {
        let (value, pattern) = (self.bind(value)?, self.bind(pattern)?);
        for side in [&value, &pattern] {
            if !matches!(side.data_type, None | Some(SqlType::Char(_) | SqlType::VarChar(_))) {
                return Err(no_operator("LIKE", &value.type_name(), &pattern.type_name()));
            }
        }
        let nullable = value.nullable || pattern.nullable;
        let escape = match escape {
            None => None,
            Some(ast::Value::SingleQuotedString(text)) if text.chars().count() == 1 => text.chars().next(),
            Some(other) => return Err(Error::query(format!("ESCAPE takes one character, not {other}"))),
        };
        if escape.is_some_and(|escape| escape != '\\') {
            return Err(Error::query("LIKE with an ESCAPE other than '\\' is not built yet"));
        }
        let [value, pattern] = [value, pattern].map(|side| Box::new(implicit_cast(side, &SqlType::STRING).expr));
        Ok(Bound::new(Expr::Like(Like::new(negated, value, pattern, escape, false)), SqlType::Boolean, nullable))
    }
}

/// Digits that a number of milliseconds needs behind the second.
fn finer(millis: i64) -> u8 {
    if millis % 1_000 == 0 { 0 } else { 3 }
}

/// Conditions of which any has to hold, as a shallow tree.
fn any_of(mut conditions: Vec<Expr>) -> Expr {
    while conditions.len() > 1 {
        let mut halved = Vec::with_capacity(conditions.len().div_ceil(2));
        let mut rest = conditions.into_iter();
        while let Some(first) = rest.next() {
            halved.push(match rest.next() {
                Some(second) => first.or(second),
                None => first,
            });
        }
        conditions = halved;
    }
    conditions.pop().unwrap_or(Expr::Literal(ScalarValue::Boolean(Some(false)), None))
}

fn no_operator(symbol: &str, left: &str, right: &str) -> Error {
    Error::query(format!("Cannot apply '{symbol}' to arguments of type '<{left}> {symbol} <{right}>'"))
}

/// Arithmetic on two bound numbers.
pub fn arithmetic(operator: ArithmeticOperator, left: Bound, right: Bound) -> Result<Bound> {
    let fail = || {
        let error = no_operator(operator.symbol(), &left.type_name(), &right.type_name());
        match (&left.data_type, &right.data_type, operator) {
            (
                Some(SqlType::Timestamp(_) | SqlType::TimestampLtz(_) | SqlType::Date),
                Some(SqlType::Timestamp(_) | SqlType::TimestampLtz(_) | SqlType::Date),
                ArithmeticOperator::Minus,
            ) => error.with_help("use TIMESTAMPDIFF(SECOND, from, to)"),
            (Some(SqlType::Char(_) | SqlType::VarChar(_)), _, ArithmeticOperator::Plus)
            | (_, Some(SqlType::Char(_) | SqlType::VarChar(_)), ArithmeticOperator::Plus) => {
                error.with_help("text is put together with || or CONCAT; CAST text to a number to calculate")
            }
            (Some(SqlType::Char(_) | SqlType::VarChar(_)), ..) | (_, Some(SqlType::Char(_) | SqlType::VarChar(_)), _) => {
                error.with_help("use CAST(… AS INT) or another type of number")
            }
            (.., ArithmeticOperator::Modulo) => error.with_help("% takes exact numbers: whole numbers or DECIMAL"),
            _ => error,
        }
    };
    // A bare NULL takes the other side's type.
    let either = left.data_type.clone().or(right.data_type.clone()).unwrap_or(SqlType::Int);
    let [one, two] = [&left, &right].map(|side| match side.data_type {
        None => implicit_cast(side.clone(), &either),
        Some(_) => side.clone(),
    });
    let output = arithmetic_type(operator, &one.arrow(), &two.arrow()).ok_or_else(fail)?;
    let sql_type = sql_type_of(&output)?;
    if operator == ArithmeticOperator::Divide && is_zero(&two.expr) && one.expr.column_refs().is_empty() {
        return Err(Error::query("division by zero").with_help("NULLIF(divisor, 0) gives NULL instead"));
    }
    let nullable = one.nullable || two.nullable;
    if is_native(operator, &output) {
        let [one, two] = [one, two].map(|side| widen(side, &output, sql_type.clone()).expr);
        let native = match operator {
            ArithmeticOperator::Plus => Operator::Plus,
            ArithmeticOperator::Minus => Operator::Minus,
            ArithmeticOperator::Multiply => Operator::Multiply,
            ArithmeticOperator::Divide => Operator::Divide,
            ArithmeticOperator::Modulo => Operator::Modulo,
        };
        let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(one), native, Box::new(two)));
        return Ok(Bound::new(expr, sql_type, nullable));
    }
    let decimal = as_decimal(&output).is_some() && matches!(sql_type, SqlType::Decimal(..));
    let [one, two] = [one, two].map(|side| {
        let to = if decimal { operand(side.arrow()) } else { output.clone() };
        widen(side, &to, sql_type.clone()).expr
    });
    // A DECIMAL that does not fit is NULL.
    let nullable = nullable || decimal;
    let call = Call::new(arithmetic_function(operator), output, nullable, Vec::new());
    Ok(Bound::new(call.on(vec![one, two]), sql_type, nullable))
}

fn is_zero(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => {
            !value.is_null() && ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero == *value)
        }
        _ => false,
    }
}

/// A comparison, both sides in the type that holds them exactly.
pub fn compared(left: Bound, operator: Operator, right: Bound) -> Result<Bound> {
    let nullable = left.nullable || right.nullable;
    let (left, right) = (as_time(left, &right), right);
    let (right, left) = (as_time(right, &left), left);
    let is_text = |bound: &Bound| matches!(bound.data_type, Some(SqlType::Char(_) | SqlType::VarChar(_)));
    let common = if is_text(&left) && is_text(&right) {
        Some(left.arrow())
    } else {
        common_type(&left.arrow(), &right.arrow())
    };
    let Some(common) = common else {
        let error = no_operator(&operator.to_string(), &left.type_name(), &right.type_name());
        let help = if is_text(&left) != is_text(&right) {
            let other = if is_text(&left) { &right } else { &left };
            format!("use CAST(text AS {}), or CAST the other side to STRING", other.type_name())
        } else {
            "use CAST to give both sides one type".to_owned()
        };
        return Err(error.with_help(help));
    };
    if !matches!(operator, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
        && common.is_nested()
    {
        return Err(no_operator(&operator.to_string(), &left.type_name(), &right.type_name()));
    }
    let sql_type = if common.is_nested() {
        left.data_type.clone().or(right.data_type.clone()).unwrap_or(SqlType::STRING)
    } else {
        sql_type_of(&common)?
    };
    let [left, right] = [left, right].map(|side| widen(side, &common, sql_type.clone()).expr);
    let bound = condition(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right))));
    Ok(Bound { nullable, ..bound })
}

/// A string literal next to a time is read as that time.
fn as_time(bound: Bound, other: &Bound) -> Bound {
    let (Expr::Literal(ScalarValue::Utf8(Some(text)), _), Some(to)) = (&bound.expr, &other.data_type) else {
        return bound;
    };
    let value = ast::Value::SingleQuotedString(text.clone());
    let parsed = match to {
        SqlType::Date => literals::typed(&ast::DataType::Date, &value),
        SqlType::Timestamp(_) => {
            literals::typed(&ast::DataType::Timestamp(None, ast::TimezoneInfo::None), &value)
        }
        SqlType::Time(_) => literals::typed(&ast::DataType::Time(None, ast::TimezoneInfo::None), &value),
        _ => return bound,
    };
    parsed.unwrap_or(bound)
}
