//! The binder of expressions: names to columns, operators and calls to typed expressions with every cast written out.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::expr::{BinaryExpr, Case, InList, Like};
use datafusion::logical_expr::{Expr, Operator};
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::aggregation::Aggregation;
use super::conversion::{call, cast, cast_to_sql, common_declared, comparable, same_type, to_common_type};
use super::nested::{all_equal, field, fields_of};
use super::scope::Scope;
use super::typed::Typed;
use super::{at, literal, not_built};
use crate::error::{Error, Result};
use crate::expressions::{
    ArithmeticOperator, Call, MINUS_INTERVAL, PLUS_INTERVAL, arithmetic_function, arithmetic_type, common_type_of_rows,
    evaluate_constant, extracted, float_comparison, is_native, is_nested, is_numeric, nested_comparison, not, operand,
    type_name,
};
use crate::sql::{IntervalLength, SYMMETRIC, SqlType, interval_length};

/// Binds the expressions of one place in a query.
pub struct Binder<'a> {
    pub scope: &'a Scope,
    /// Behind GROUP BY: what may be named is a key or inside an aggregate function.
    pub aggregation: Option<&'a mut Aggregation>,
}

impl<'a> Binder<'a> {
    /// A binder of row expressions.
    pub fn new(scope: &'a Scope) -> Self {
        Self { scope, aggregation: None }
    }

    /// Binds an expression.
    pub fn bind(&mut self, expression: &ast::Expr) -> Result<Typed> {
        self.bind_anything(expression).map_err(|error| at(error, expression))
    }

    /// Binds a condition.
    pub fn bind_condition(&mut self, expression: &ast::Expr) -> Result<Typed> {
        let typed = self.bind(expression)?;
        boolean(typed).map_err(|error| at(error, expression))
    }

    fn bind_anything(&mut self, expression: &ast::Expr) -> Result<Typed> {
        if let Some(aggregation) = &self.aggregation
            && let Ok(of_rows) = Binder::new(self.scope).bind(expression)
            && let Some(key) = aggregation.key(&of_rows.expression)
        {
            return Ok(key);
        }
        match expression {
            ast::Expr::Nested(inner) => self.bind(inner),
            ast::Expr::Identifier(ident) => self.column(std::slice::from_ref(ident)),
            ast::Expr::CompoundIdentifier(idents) => self.column(idents),
            ast::Expr::Value(value) => literal::literal(&value.value),
            ast::Expr::TypedString(typed) => match &typed.value.value {
                ast::Value::SingleQuotedString(text) => literal::typed_string(&typed.data_type, text),
                other => Err(Error::query(format!("{other} is no text"))),
            },
            ast::Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            ast::Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            ast::Expr::IsNull(inner) => Ok(self.test(inner)?.map(|inner| Expr::IsNull(Box::new(inner)))),
            ast::Expr::IsNotNull(inner) => Ok(self.test(inner)?.map(|inner| Expr::IsNotNull(Box::new(inner)))),
            ast::Expr::IsTrue(inner) => Ok(self.truth(inner)?.map(|inner| Expr::IsTrue(Box::new(inner)))),
            ast::Expr::IsNotTrue(inner) => Ok(self.truth(inner)?.map(|inner| Expr::IsNotTrue(Box::new(inner)))),
            ast::Expr::IsFalse(inner) => Ok(self.truth(inner)?.map(|inner| Expr::IsFalse(Box::new(inner)))),
            ast::Expr::IsNotFalse(inner) => Ok(self.truth(inner)?.map(|inner| Expr::IsNotFalse(Box::new(inner)))),
            ast::Expr::IsUnknown(inner) => Ok(self.truth(inner)?.map(|inner| Expr::IsUnknown(Box::new(inner)))),
            ast::Expr::IsNotUnknown(inner) => Ok(self.truth(inner)?.map(|inner| Expr::IsNotUnknown(Box::new(inner)))),
            ast::Expr::IsDistinctFrom(left, right) => self.comparison(left, Operator::IsDistinctFrom, right),
            ast::Expr::IsNotDistinctFrom(left, right) => self.comparison(left, Operator::IsNotDistinctFrom, right),
            ast::Expr::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            ast::Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            ast::Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(*negated, expr, pattern, escape_char.as_ref())
            }
            ast::Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                self.similar(*negated, expr, pattern, escape_char.as_ref())
            }
            ast::Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let parts = [Some(expr), Some(overlay_what), Some(overlay_from), overlay_for.as_ref()];
                let arguments = parts.into_iter().flatten().map(|part| self.bind(part)).collect::<Result<_>>()?;
                self.call_named("OVERLAY", arguments)
            }
            ast::Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            ast::Expr::Cast { kind, expr, data_type, .. } => {
                let lenient = matches!(kind, ast::CastKind::TryCast | ast::CastKind::SafeCast);
                let typed = self.bind(expr)?;
                cast_to_sql(typed, &SqlType::of_cast(data_type)?, lenient)
            }
            ast::Expr::Extract { field, expr, .. } => {
                let field = field.to_string().to_ascii_uppercase();
                let argument = self.bind(expr)?;
                let function = extracted(&field).ok_or_else(|| {
                    Error::query(format!("EXTRACT({field} FROM …) is not built yet")).with_help(
                        "there are YEAR, QUARTER, MONTH, WEEK, DAY, DOW, ISODOW, DOY, HOUR, MINUTE, SECOND, MILLISECOND, \
                         EPOCH, DECADE and CENTURY",
                    )
                })?;
                call(function, vec![argument])
            }
            ast::Expr::Ceil { expr, field } => self.round("CEIL", expr, field),
            ast::Expr::Floor { expr, field } => self.round("FLOOR", expr, field),
            ast::Expr::Position { expr, r#in } => {
                let arguments = vec![self.bind(expr)?, self.bind(r#in)?];
                self.call_named("POSITION", arguments)
            }
            ast::Expr::Substring { expr, substring_from, substring_for, .. } => {
                let parts = [Some(expr), substring_from.as_ref(), substring_for.as_ref()];
                let arguments = parts.into_iter().flatten().map(|part| self.bind(part)).collect::<Result<_>>()?;
                self.call_named("SUBSTRING", arguments)
            }
            ast::Expr::Trim { trim_where, trim_what, expr, .. } => {
                let name = match trim_where {
                    Some(ast::TrimWhereField::Leading) => "LTRIM",
                    Some(ast::TrimWhereField::Trailing) => "RTRIM",
                    _ => "TRIM",
                };
                let parts = [Some(expr), trim_what.as_ref()];
                let arguments = parts.into_iter().flatten().map(|part| self.bind(part)).collect::<Result<_>>()?;
                self.call_named(name, arguments)
            }
            ast::Expr::Function(function) => self.function(function),
            ast::Expr::Interval(_) => Err(Error::query("an interval stands only behind a time and + or -")
                .with_help("as in ts - INTERVAL '5' SECOND")),
            ast::Expr::Subquery(_) | ast::Expr::InSubquery { .. } | ast::Expr::Exists { .. } => {
                Err(not_built::subquery())
            }
            ast::Expr::AnyOp { .. } | ast::Expr::AllOp { .. } => Err(not_built::subquery()),
            ast::Expr::Array(array) => self.array(&array.elem),
            ast::Expr::Map(map) => self.map(&map.entries),
            ast::Expr::Tuple(fields) => self.row(fields),
            ast::Expr::CompoundFieldAccess { root, access_chain } => self.part(root, access_chain),
            other => Err(Error::query(format!("the expression {other} is not built yet"))),
        }
    }

    pub(super) fn column(&mut self, idents: &[ast::Ident]) -> Result<Typed> {
        let (column, fields) = self.scope.resolve_path(idents)?;
        if let Some(aggregation) = &self.aggregation {
            return Err(aggregation.not_grouped(&column.name));
        }
        let expression = Expr::Column(Column::new_unqualified(&column.name));
        let declared = column.declared.clone();
        let typed = Typed { declared, ..Typed::new(expression, column.data_type.clone(), column.nullable) };
        fields.iter().try_fold(typed, field)
    }

    fn unary(&mut self, operator: ast::UnaryOperator, inner: &ast::Expr) -> Result<Typed> {
        match operator {
            ast::UnaryOperator::Not => {
                let inner = self.bind_condition(inner)?;
                Ok(Typed::new(not(inner.expression), DataType::Boolean, inner.nullable))
            }
            ast::UnaryOperator::Plus => self.number(inner, "+"),
            ast::UnaryOperator::Minus => {
                // The literal first: -2147483648 is an INT although 2147483648 is none.
                if let ast::Expr::Value(value) = inner
                    && let ast::Value::Number(text, _) = &value.value
                    && !text.contains(['e', 'E', '.'])
                    && let Ok(number) = format!("-{text}").parse::<i64>()
                {
                    return Ok(literal::of(match i32::try_from(number) {
                        Ok(number) => datafusion::scalar::ScalarValue::Int32(Some(number)),
                        Err(_) => datafusion::scalar::ScalarValue::Int64(Some(number)),
                    }));
                }
                let number = self.number(inner, "-")?;
                let zero = cast(literal::of(datafusion::scalar::ScalarValue::Int32(Some(0))), &number.data_type)?;
                let output = number.data_type.clone();
                if matches!(output, DataType::Decimal128(..)) {
                    let nullable = number.nullable;
                    let call = Call::new(
                        arithmetic_function(ArithmeticOperator::Minus, &output),
                        output.clone(),
                        nullable,
                        Vec::new(),
                    );
                    return Ok(Typed::new(call.on(vec![zero.expression, number.expression]), output, nullable));
                }
                Ok(Typed::new(infix(zero.expression, Operator::Minus, number.expression), output, number.nullable))
            }
            other => Err(Error::query(format!("the operator {other} is not built yet"))),
        }
    }

    fn number(&mut self, inner: &ast::Expr, sign: &str) -> Result<Typed> {
        let typed = self.bind(inner)?;
        if is_numeric(&typed.data_type) {
            return Ok(typed);
        }
        Err(Error::query(format!("Cannot apply '{sign}' to {}", type_name(&typed.data_type))))
    }

    fn binary(&mut self, left: &ast::Expr, operator: &ast::BinaryOperator, right: &ast::Expr) -> Result<Typed> {
        use ast::BinaryOperator as B;
        match operator {
            B::And | B::Or => {
                let (left, right) = (self.bind_condition(left)?, self.bind_condition(right)?);
                let operator = if *operator == B::And { Operator::And } else { Operator::Or };
                let nullable = left.nullable || right.nullable;
                Ok(Typed::new(infix(left.expression, operator, right.expression), DataType::Boolean, nullable))
            }
            B::Eq => self.comparison(left, Operator::Eq, right),
            B::NotEq => self.comparison(left, Operator::NotEq, right),
            B::Lt => self.comparison(left, Operator::Lt, right),
            B::LtEq => self.comparison(left, Operator::LtEq, right),
            B::Gt => self.comparison(left, Operator::Gt, right),
            B::GtEq => self.comparison(left, Operator::GtEq, right),
            B::Plus => self.arithmetic(left, ArithmeticOperator::Plus, right),
            B::Minus => self.arithmetic(left, ArithmeticOperator::Minus, right),
            B::Multiply => self.arithmetic(left, ArithmeticOperator::Multiply, right),
            B::Divide => self.arithmetic(left, ArithmeticOperator::Divide, right),
            B::Modulo => self.arithmetic(left, ArithmeticOperator::Modulo, right),
            B::StringConcat => {
                let arguments = vec![self.bind(left)?, self.bind(right)?];
                self.call_named("CONCAT", arguments)
            }
            B::Overlaps => self.overlaps(left, right),
            other => Err(Error::query(format!("the operator {other} is not built yet"))),
        }
    }

    pub(super) fn comparison(&mut self, left: &ast::Expr, operator: Operator, right: &ast::Expr) -> Result<Typed> {
        let (left, right) = (self.bind(left)?, self.bind(right)?);
        if operator == Operator::Eq
            && let (Some(ones), Some(others)) = (fields_of(&left), fields_of(&right))
            && ones.len() == others.len()
        {
            return all_equal(ones, others);
        }
        let (left, right) = same_type(left, right, operator)?;
        Ok(compared(left, operator, right))
    }

    fn arithmetic(&mut self, left: &ast::Expr, operator: ArithmeticOperator, right: &ast::Expr) -> Result<Typed> {
        if let Some(length) = interval_length(right) {
            let time = self.bind(left)?;
            return shift(time, operator, length, right);
        }
        if let (Some(length), ArithmeticOperator::Plus) = (interval_length(left), operator) {
            let time = self.bind(right)?;
            return shift(time, operator, length, left);
        }
        let (left, right) = (self.bind(left)?, self.bind(right)?);
        let Some(output) = arithmetic_type(operator, &left.data_type, &right.data_type) else {
            let error = Error::query(format!(
                "Cannot apply '{}' to arguments of type '<{}> {} <{}>'",
                operator.symbol(),
                type_name(&left.data_type),
                operator.symbol(),
                type_name(&right.data_type)
            ));
            let is_time = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..) | DataType::Date32);
            return Err(if is_time(&left.data_type) && is_time(&right.data_type) {
                error.with_help("use TIMESTAMPDIFF(SECOND, a, b)")
            } else {
                error.with_help("write the conversion that is meant: CAST(… AS …)")
            });
        };
        if matches!(operator, ArithmeticOperator::Divide) && divides_by_nothing(&left, &right)? {
            return Err(
                Error::query("Division by zero").with_help("both numbers are constants: no row can change that")
            );
        }
        let nullable = left.nullable || right.nullable;
        if is_native(operator, &output) {
            let (left, right) = (cast(left, &output)?, cast(right, &output)?);
            let symbol = match operator {
                ArithmeticOperator::Plus => Operator::Plus,
                ArithmeticOperator::Minus => Operator::Minus,
                ArithmeticOperator::Multiply => Operator::Multiply,
                ArithmeticOperator::Divide => Operator::Divide,
                ArithmeticOperator::Modulo => Operator::Modulo,
            };
            return Ok(Typed::new(infix(left.expression, symbol, right.expression), output, nullable));
        }
        let (left, right) = if matches!(output, DataType::Decimal128(..)) {
            let (one, two) = (operand(left.data_type.clone()), operand(right.data_type.clone()));
            (cast(left, &one)?, cast(right, &two)?)
        } else {
            (cast(left, &output)?, cast(right, &output)?)
        };
        let nullable = nullable || matches!(output, DataType::Decimal128(..));
        let call = Call::new(arithmetic_function(operator, &output), output.clone(), nullable, Vec::new());
        Ok(Typed::new(call.on(vec![left.expression, right.expression]), output, nullable))
    }

    fn between(&mut self, value: &ast::Expr, negated: bool, low: &ast::Expr, high: &ast::Expr) -> Result<Typed> {
        let within = match symmetric(low) {
            None => self.within(value, low, high)?,
            Some(low) => either(self.within(value, low, high)?, self.within(value, high, low)?),
        };
        let expression = if negated { not(within.expression) } else { within.expression };
        Ok(Typed::new(expression, DataType::Boolean, within.nullable))
    }

    fn within(&mut self, value: &ast::Expr, low: &ast::Expr, high: &ast::Expr) -> Result<Typed> {
        let least = self.comparison(value, Operator::GtEq, low)?;
        let most = self.comparison(value, Operator::LtEq, high)?;
        let nullable = least.nullable || most.nullable;
        Ok(Typed::new(infix(least.expression, Operator::And, most.expression), DataType::Boolean, nullable))
    }

    fn in_list(&mut self, value: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed> {
        let value = self.bind(value)?;
        let list: Vec<Typed> = list.iter().map(|item| self.bind(item)).collect::<Result<_>>()?;
        let mut common = value.data_type.clone();
        for item in &list {
            common = comparable(&common, &item.data_type, Operator::Eq)?;
        }
        let nullable = value.nullable || list.iter().any(|item| item.nullable);
        let value = cast(value, &common)?;
        let list: Vec<Typed> = list.into_iter().map(|item| cast(item, &common)).collect::<Result<_>>()?;
        // Several constants are looked up by their bits, as Flink does it; one of them, or what is none, is compared.
        let (mut listed, mut others): (Vec<_>, Vec<_>) = match is_float(&common) {
            true => list.into_iter().partition(|item| is_number(&item.expression)),
            false if is_nested(&common) => (Vec::new(), list),
            false => (list, Vec::new()),
        };
        if is_float(&common) && listed.len() == 1 {
            others.append(&mut listed);
        }
        let others = others.into_iter().map(|item| compared(value.clone(), Operator::Eq, item).expression);
        let others = others.reduce(|one, other| infix(one, Operator::Or, other));
        let listed: Vec<Expr> = listed.into_iter().map(|item| item.expression).collect();
        let expression = match others {
            None => Expr::InList(InList::new(Box::new(value.expression), listed, negated)),
            Some(others) => {
                let listed = (!listed.is_empty()).then(|| InList::new(Box::new(value.expression), listed, false));
                let any =
                    listed.map(Expr::InList).into_iter().fold(others, |one, other| infix(one, Operator::Or, other));
                if negated { not(any) } else { any }
            }
        };
        Ok(Typed::new(expression, DataType::Boolean, nullable))
    }

    fn like(
        &mut self,
        negated: bool,
        value: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::ValueWithSpan>,
    ) -> Result<Typed> {
        let (value, pattern) = (self.bind(value)?, self.bind(pattern)?);
        for side in [&value, &pattern] {
            if !matches!(side.data_type, DataType::Utf8 | DataType::Null) {
                return Err(Error::query(format!("LIKE compares texts, not {}", type_name(&side.data_type))));
            }
        }
        let escape = match escape.map(|escape| &escape.value) {
            None => None,
            Some(ast::Value::SingleQuotedString(text)) if text.chars().count() == 1 => text.chars().next(),
            Some(other) => return Err(Error::query(format!("ESCAPE takes one character, not {other}"))),
        };
        let nullable = value.nullable || pattern.nullable;
        let text_of = |text: &str| literal::of(ScalarValue::Utf8(Some(text.to_owned())));
        let pattern = match (&pattern.text, escape) {
            (Some(text), _) => text_of(&escaped_by_backslash(text, escape)?),
            // Without ESCAPE nothing escapes, not even the backslash.
            (None, None) => self.call_named("REPLACE", vec![pattern, text_of("\\"), text_of("\\\\")])?,
            (None, Some('\\')) => pattern,
            (None, Some(_)) => {
                return Err(Error::query("ESCAPE with a pattern that is not written in the query is not built yet"));
            }
        };
        let (value, pattern) = (cast(value, &DataType::Utf8)?, cast(pattern, &DataType::Utf8)?);
        let like = Like::new(negated, Box::new(value.expression), Box::new(pattern.expression), None, false);
        Ok(Typed::new(Expr::Like(like), DataType::Boolean, nullable))
    }

    /// CASE, with conditions written out and every branch of one type.
    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Typed> {
        let mut whens = Vec::new();
        let mut branches = Vec::new();
        for branch in conditions {
            let condition = match (operand, &branch.condition) {
                // Any of several values.
                (Some(operand), ast::Expr::Tuple(values)) => {
                    let equal = values.iter().map(|value| self.comparison(operand, Operator::Eq, value));
                    let equal = equal.collect::<Result<Vec<_>>>()?.into_iter().reduce(either);
                    equal.ok_or_else(|| Error::bug("a WHEN has a value"))?
                }
                (Some(operand), value) => self.comparison(operand, Operator::Eq, value)?,
                (None, condition) => self.bind_condition(condition)?,
            };
            whens.push(condition.expression);
            branches.push(self.bind(&branch.result)?);
        }
        branches.push(match otherwise {
            Some(otherwise) => self.bind(otherwise)?,
            None => literal::of(datafusion::scalar::ScalarValue::Null),
        });
        let declared = common_declared(&branches);
        let (mut branches, data_type) = to_common_type(branches, "the branches of a CASE", common_type_of_rows)?;
        let nullable = branches.iter().any(|branch| branch.nullable);
        let otherwise = branches.pop().map(|branch| Box::new(branch.expression));
        let branches =
            whens.into_iter().zip(branches).map(|(when, then)| (Box::new(when), Box::new(then.expression))).collect();
        Ok(Typed { declared, ..Typed::new(Expr::Case(Case::new(None, branches, otherwise)), data_type, nullable) })
    }

    fn test(&mut self, inner: &ast::Expr) -> Result<Test> {
        Ok(Test(self.bind(inner)?.expression))
    }

    fn truth(&mut self, inner: &ast::Expr) -> Result<Test> {
        Ok(Test(self.bind_condition(inner)?.expression))
    }
}

/// The bound of a BETWEEN SYMMETRIC, which stands in a call.
fn symmetric(low: &ast::Expr) -> Option<&ast::Expr> {
    let ast::Expr::Function(ast::Function { name, args: ast::FunctionArguments::List(list), .. }) = low else {
        return None;
    };
    match list.args.as_slice() {
        [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(bound))] if name.to_string() == SYMMETRIC => Some(bound),
        _ => None,
    }
}

fn either(one: Typed, other: Typed) -> Typed {
    let nullable = one.nullable || other.nullable;
    Typed::new(infix(one.expression, Operator::Or, other.expression), DataType::Boolean, nullable)
}

/// A comparison of two values of one type.
pub(super) fn compared(left: Typed, operator: Operator, right: Typed) -> Typed {
    let nullable = (left.nullable || right.nullable)
        && !matches!(operator, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    let function = match &left.data_type {
        data_type if is_float(data_type) => float_comparison(operator),
        data_type if is_nested(data_type) => nested_comparison(operator),
        _ => None,
    };
    let expression = match function {
        Some(function) => {
            Call::new(function, DataType::Boolean, nullable, Vec::new()).on(vec![left.expression, right.expression])
        }
        None => infix(left.expression, operator, right.expression),
    };
    Typed::new(expression, DataType::Boolean, nullable)
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// Whether it is a constant that is NULL or a number, and not NaN.
fn is_number(constant: &Expr) -> bool {
    match constant {
        Expr::Literal(ScalarValue::Float64(value), _) => value.is_none_or(|value| !value.is_nan()),
        Expr::Literal(ScalarValue::Float32(value), _) => value.is_none_or(|value| !value.is_nan()),
        _ => false,
    }
}

/// An expression whose result is never NULL.
struct Test(Expr);

impl Test {
    fn map(self, wrap: impl FnOnce(Expr) -> Expr) -> Typed {
        Typed::new(wrap(self.0), DataType::Boolean, false)
    }
}

/// Whether a constant is divided by the constant zero: that fails while planning, even for DOUBLE and even where no row
/// would come to it.
fn divides_by_nothing(left: &Typed, right: &Typed) -> Result<bool> {
    if right.expression.any_column_refs() {
        return Ok(false);
    }
    let Some(value) = evaluate_constant(&right.expression)? else { return Ok(false) };
    let zero = ScalarValue::new_zero(&value.data_type()).map_err(super::bug)?;
    // Last, as a long chain of divisions is long on the left.
    Ok(value == zero && !left.expression.any_column_refs())
}

/// A time plus or minus an interval.
fn shift(time: Typed, operator: ArithmeticOperator, length: IntervalLength, interval: &ast::Expr) -> Result<Typed> {
    let is_time = matches!(time.data_type, DataType::Time32(_) | DataType::Time64(_));
    if !is_time && !matches!(time.data_type, DataType::Timestamp(..) | DataType::Date32) {
        return Err(Error::query(format!("an interval moves a time, not {}", type_name(&time.data_type))));
    }
    let (function, sign) = match operator {
        ArithmeticOperator::Plus => (&PLUS_INTERVAL, 1),
        ArithmeticOperator::Minus => (&MINUS_INTERVAL, -1),
        other => return Err(Error::query(format!("'{}' has no meaning for an interval", other.symbol()))),
    };
    let (months, millis) = match length {
        IntervalLength::Months(months) => (months * sign, 0),
        IntervalLength::Milliseconds(millis) => (0, millis * sign),
    };
    let call = Call::new(function, time.data_type.clone(), time.nullable, vec![months, millis])
        .with_detail(interval.to_string());
    let declared = time.declared;
    Ok(Typed { declared, ..Typed::new(call.on(vec![time.expression]), time.data_type, time.nullable) })
}

pub(super) fn infix(left: Expr, operator: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

fn boolean(typed: Typed) -> Result<Typed> {
    match typed.data_type {
        DataType::Boolean => Ok(typed),
        DataType::Null => cast(typed, &DataType::Boolean),
        ref other => {
            let error = Error::query(format!("a condition is a BOOLEAN, not {}", type_name(other)));
            Err(match other {
                DataType::Utf8 => error.with_help("compare it: … = 'text', or … IS NOT NULL"),
                _ => error.with_help("compare it: … <> 0, or … IS NOT NULL"),
            })
        }
    }
}

/// A pattern of LIKE in which only the backslash escapes, as Arrow reads it.
fn escaped_by_backslash(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            match characters.next() {
                Some(next @ ('%' | '_')) => text.extend(['\\', next]),
                Some('\\') if escape == Some('\\') => text.push_str("\\\\"),
                Some(next) if Some(next) == escape => text.push(next),
                _ => return Err(Error::query(format!("Invalid escape sequence in the pattern '{pattern}'"))),
            }
        } else if character == '\\' {
            text.push_str("\\\\");
        } else {
            text.push(character);
        }
    }
    Ok(text)
}
