//! Calls: plain functions by name, those with a syntax of their own, CASE and its relatives, and aggregates.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{AggregateFunction, Case};
use datafusion::logical_expr::{Expr, Operator};
use sqlparser::ast::{self, DateTimeField, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::casts::{typed_null, widen};
use super::operators::compared;
use super::{Aggregates, Binder, Bound, at, implicit_cast, sql_type_of};
use crate::error::{Error, Result};
use crate::expressions::{
    AGGREGATE_FUNCTIONS, Argument, CURRENT_WATERMARK, Call, Function, Nulls, PLUS_INTERVAL, TIMESTAMPDIFF, aggregate,
    common_type, function_list, lookup, unit_length,
};
use crate::options::nearest;
use crate::sql::SqlType;

impl Binder<'_> {
    pub(super) fn call(&self, function: &ast::Function) -> Result<Bound> {
        let name = function.name.to_string().replace('`', "").to_ascii_uppercase();
        if function.over.is_some() {
            return Err(Error::query(format!("{name}(…) OVER (…) is not built yet"))
                .with_help("GROUP BY a window: FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)"));
        }
        let arguments = match &function.args {
            FunctionArguments::None => Vec::new(),
            FunctionArguments::Subquery(_) => return Err(Error::query(format!("{name} does not take a query"))),
            FunctionArguments::List(list) => {
                if !list.clauses.is_empty() || !function.within_group.is_empty() {
                    return Err(Error::query(format!("an ORDER BY or the like within {name}(…) is not built yet")));
                }
                list.args.clone()
            }
        };
        if let Some((name, _)) = AGGREGATE_FUNCTIONS.iter().find(|(known, _)| *known == name) {
            return self.aggregate(name, function, &arguments);
        }
        if is_distinct(function) || function.filter.is_some() {
            return Err(Error::query(format!("DISTINCT and FILTER are for aggregates; {name} is none")));
        }
        let arguments = plain_arguments(&name, &arguments)?;
        match name.as_str() {
            "COALESCE" => self.coalesce(&arguments),
            "IFNULL" if arguments.len() == 2 => self.coalesce(&arguments),
            "IF" => self.if_else(&arguments),
            "NULLIF" => self.null_if(&arguments),
            "CURRENT_WATERMARK" => self.current_watermark(&arguments),
            "TIMESTAMPDIFF" => self.timestamp_difference(&arguments),
            "TIMESTAMPADD" => self.timestamp_add(&arguments),
            _ => self.named(&name, &arguments),
        }
    }

    /// A function of the lists.
    pub(super) fn named(&self, name: &str, arguments: &[&ast::Expr]) -> Result<Bound> {
        let Some(function) = lookup(name) else {
            return Err(unknown(name));
        };
        let bound = arguments.iter().map(|argument| self.bind(argument)).collect::<Result<Vec<_>>>()?;
        apply(function, bound)
    }

    fn aggregate(&self, name: &'static str, call: &ast::Function, arguments: &[FunctionArg]) -> Result<Bound> {
        if let Aggregates::Refused(place) = self.aggregates {
            return Err(Error::query(format!("the aggregate {name} must not stand in {place}"))
                .with_help("aggregates stand in SELECT and HAVING"));
        }
        if is_distinct(call) {
            return Err(Error::query(format!("{name}(DISTINCT …) is not built yet"))
                .with_help(format!("SELECT {name}(x) FROM (SELECT DISTINCT x, … FROM t) gives the same")));
        }
        let inner = Binder { scope: self.scope, aggregates: Aggregates::Refused("another aggregate") };
        let filter = match &call.filter {
            None => None,
            Some(filter) => Some(Box::new(inner.condition(filter, "FILTER")?.expr)),
        };
        let argument = match arguments {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if name == "COUNT" => None,
            [] if name == "COUNT" => None,
            _ => {
                let plain = plain_arguments(name, arguments)?;
                let [argument] = plain[..] else {
                    return Err(Error::query(format!("{name} takes one argument, not {}", plain.len())));
                };
                Some(inner.bind(argument)?)
            }
        };
        // Of a value that is never NULL, COUNT counts rows.
        let argument = argument.filter(|argument| name != "COUNT" || argument.nullable);
        let argument = argument.map(|argument| match argument.data_type {
            None => implicit_cast(argument, &SqlType::Int),
            Some(_) => argument,
        });
        let arrow = argument.as_ref().map(Bound::arrow);
        let (function, output) = aggregate(name, arrow.as_ref())
            .map_err(|reason| Error::query(format!("{name}({}): {reason}", type_text(argument.as_ref()))))?;
        let data_type = match (&argument, name) {
            (Some(Bound { data_type: Some(own), .. }), "MIN" | "MAX") => own.clone(),
            _ => sql_type_of(&output)?,
        };
        let arguments = argument.map(|argument| argument.expr).into_iter().collect();
        let expr = Expr::AggregateFunction(AggregateFunction::new_udf(function, arguments, false, filter, vec![], None));
        Ok(Bound::new(expr, data_type, name != "COUNT"))
    }

    pub(super) fn case(
        &self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Bound> {
        let operand = operand.map(|operand| self.bind(operand)).transpose()?;
        let mut branches = Vec::with_capacity(conditions.len());
        for when in conditions {
            let condition = match &operand {
                None => self.condition(&when.condition, "WHEN")?,
                Some(operand) => {
                    let value = self.bind(&when.condition)?;
                    compared(operand.clone(), Operator::Eq, value).map_err(|error| at(error, &when.condition))?
                }
            };
            branches.push((condition.expr, self.bind(&when.result)?));
        }
        let otherwise = otherwise.map(|otherwise| self.bind(otherwise)).transpose()?;
        cases(branches, otherwise, "CASE")
    }

    fn coalesce(&self, arguments: &[&ast::Expr]) -> Result<Bound> {
        let mut bound = arguments.iter().map(|argument| self.bind(argument)).collect::<Result<Vec<_>>>()?;
        let Some(last) = bound.pop() else {
            return Err(Error::query("COALESCE takes one argument at least"));
        };
        if bound.is_empty() {
            return Ok(last);
        }
        let nullable = last.nullable && bound.iter().all(|argument| argument.nullable);
        let branches = bound.into_iter().map(|argument| (argument.expr.clone().is_not_null(), argument)).collect();
        Ok(Bound { nullable, ..cases(branches, Some(last), "COALESCE")? })
    }

    fn if_else(&self, arguments: &[&ast::Expr]) -> Result<Bound> {
        let [condition, then, otherwise] = arguments else {
            return Err(Error::query(format!("IF takes 3 arguments, not {}", arguments.len())));
        };
        let condition = self.condition(condition, "IF")?.expr;
        cases(vec![(condition, self.bind(then)?)], Some(self.bind(otherwise)?), "IF")
    }

    fn null_if(&self, arguments: &[&ast::Expr]) -> Result<Bound> {
        let [value, other] = arguments else {
            return Err(Error::query(format!("NULLIF takes 2 arguments, not {}", arguments.len())));
        };
        let (value, other) = (self.bind(value)?, self.bind(other)?);
        let equal = compared(value.clone(), Operator::Eq, other)?;
        let null = Bound { expr: Expr::Literal(ScalarValue::Null, None), data_type: None, nullable: true };
        cases(vec![(equal.expr, null)], Some(value), "NULLIF")
    }

    /// The call keeps the rowtime column as its argument; lowering puts the hidden column there.
    fn current_watermark(&self, arguments: &[&ast::Expr]) -> Result<Bound> {
        let [argument] = arguments else {
            return Err(Error::query(format!("CURRENT_WATERMARK takes 1 argument, not {}", arguments.len())));
        };
        let bound = self.bind(argument)?;
        let (Expr::Column(_), Some(SqlType::Timestamp(_) | SqlType::TimestampLtz(_))) = (&bound.expr, &bound.data_type)
        else {
            let error = Error::query(format!("CURRENT_WATERMARK takes a rowtime column, not {argument}"));
            return Err(error.with_help("name the column that the table's WATERMARK FOR clause names"));
        };
        let output = DataType::Timestamp(TimeUnit::Millisecond, None);
        let call = Call::new(&CURRENT_WATERMARK, output, true, Vec::new());
        Ok(Bound::new(call.on(vec![bound.expr]), SqlType::Timestamp(3), true))
    }

    fn timestamp_difference(&self, arguments: &[&ast::Expr]) -> Result<Bound> {
        let [unit, from, to] = arguments else {
            return Err(Error::query(format!("TIMESTAMPDIFF takes 3 arguments, not {}", arguments.len())));
        };
        let (name, length) = unit_of(unit)?;
        let sides = [self.time(from, "TIMESTAMPDIFF")?, self.time(to, "TIMESTAMPDIFF")?];
        let nullable = sides.iter().any(|side| side.nullable);
        let call = Call::new(&TIMESTAMPDIFF, DataType::Int32, nullable, vec![length]).with_detail(name);
        Ok(Bound::new(call.on(sides.map(|side| side.expr).to_vec()), SqlType::Int, nullable))
    }

    fn timestamp_add(&self, arguments: &[&ast::Expr]) -> Result<Bound> {
        let [unit, amount, time] = arguments else {
            return Err(Error::query(format!("TIMESTAMPADD takes 3 arguments, not {}", arguments.len())));
        };
        let (name, length) = unit_of(unit)?;
        let Expr::Literal(ScalarValue::Int32(Some(amount)), _) = self.bind(amount)?.expr else {
            return Err(Error::query("TIMESTAMPADD with an amount that is no literal is not built yet"));
        };
        let time = self.time(time, "TIMESTAMPADD")?;
        let by = length.wrapping_mul(i64::from(amount));
        let parameters = if length > 0 { vec![0, by] } else { vec![-by, 0] };
        if time.data_type == Some(SqlType::Date) && by % 86_400_000 != 0 && length > 0 {
            return Err(Error::query("a DATE moves by whole days, months or years"));
        }
        let detail = format!("INTERVAL '{amount}' {name}");
        let call = Call::new(&PLUS_INTERVAL, time.arrow(), time.nullable, parameters).with_detail(detail);
        Ok(Bound { expr: call.on(vec![time.expr]), ..time })
    }

    fn time(&self, argument: &ast::Expr, name: &str) -> Result<Bound> {
        let bound = self.bind(argument)?;
        match bound.data_type {
            None => Ok(typed_null(&SqlType::Timestamp(3))),
            Some(SqlType::Timestamp(_) | SqlType::TimestampLtz(_) | SqlType::Date) => Ok(bound),
            Some(other) => Err(at(Error::query(format!("{name} takes times, not {other}")), argument)),
        }
    }

    pub(super) fn extract(&self, field: &DateTimeField, time: &ast::Expr) -> Result<Bound> {
        let name = match field {
            DateTimeField::Year | DateTimeField::Years => "YEAR",
            DateTimeField::Quarter => "QUARTER",
            DateTimeField::Month | DateTimeField::Months => "MONTH",
            DateTimeField::Week(_) | DateTimeField::Weeks => "WEEK",
            DateTimeField::Day | DateTimeField::Days => "DAYOFMONTH",
            DateTimeField::Dow | DateTimeField::DayOfWeek => "DAYOFWEEK",
            DateTimeField::Doy | DateTimeField::DayOfYear => "DAYOFYEAR",
            DateTimeField::Hour | DateTimeField::Hours => "HOUR",
            DateTimeField::Minute | DateTimeField::Minutes => "MINUTE",
            DateTimeField::Second | DateTimeField::Seconds => "SECOND",
            other => return Err(Error::query(format!("EXTRACT({other} FROM …) is not built yet"))),
        };
        self.named(name, &[time])
    }

    pub(super) fn trim(
        &self,
        place: Option<&ast::TrimWhereField>,
        what: Option<&ast::Expr>,
        text: &ast::Expr,
        characters: Option<&[ast::Expr]>,
    ) -> Result<Bound> {
        let name = match place {
            None | Some(ast::TrimWhereField::Both) => "TRIM",
            Some(ast::TrimWhereField::Leading) => "LTRIM",
            Some(ast::TrimWhereField::Trailing) => "RTRIM",
        };
        let mut arguments = vec![text];
        arguments.extend(what);
        arguments.extend(characters.into_iter().flatten());
        self.named(name, &arguments)
    }

    pub(super) fn rounding(&self, name: &str, value: &ast::Expr, kind: &ast::CeilFloorKind) -> Result<Bound> {
        match kind {
            ast::CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => self.named(name, &[value]),
            other => Err(Error::query(format!("{name} with {other:?} is not built yet"))),
        }
    }
}

/// Casts the arguments as the function asks, and calls it.
pub fn apply(function: &'static Function, arguments: Vec<Bound>) -> Result<Bound> {
    let described: Vec<_> = arguments.iter().map(describe).collect();
    let typing = (function.typing)(&described).map_err(|reason| {
        let types: Vec<_> = arguments.iter().map(Bound::type_name).collect();
        Error::query(format!("{}({}): {reason}", function.name, types.join(", "))).with_help(function.doc)
    })?;
    let nullable = match function.nulls {
        Nulls::Strict => arguments.iter().any(|argument| argument.nullable),
        Nulls::Possible => true,
    };
    // A DECIMAL that does not fit is NULL.
    let nullable = nullable || matches!(typing.output, DataType::Decimal128(..));
    let arguments = arguments
        .into_iter()
        .zip(&typing.arguments)
        .map(|(argument, to)| {
            // Numbers that lose digits here (a BIGINT count of characters) wrap, as Flink's own casts do.
            let narrower = argument.data_type.is_some()
                && argument.arrow() != *to
                && common_type(&argument.arrow(), to).as_ref() != Some(to);
            let sql_type = sql_type_of(to)?;
            Ok(if narrower { implicit_cast(argument, &sql_type).expr } else { widen(argument, to, sql_type).expr })
        })
        .collect::<Result<Vec<_>>>()?;
    let sql_type = sql_type_of(&typing.output)?;
    let call = Call::new(function, typing.output, nullable, typing.parameters);
    Ok(Bound::new(call.on(arguments), sql_type, nullable))
}

fn describe(bound: &Bound) -> Argument {
    let (number, text) = match &bound.expr {
        Expr::Literal(ScalarValue::Int32(Some(number)), _) => (Some(i64::from(*number)), None),
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => (Some(*number), None),
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => (None, Some(text.clone())),
        _ => (None, None),
    };
    Argument { data_type: bound.arrow(), number, text }
}

/// CASE with branches of one type.
fn cases(branches: Vec<(Expr, Bound)>, otherwise: Option<Bound>, name: &str) -> Result<Bound> {
    let results = branches.iter().map(|(_, result)| result).chain(&otherwise);
    let output = unify(results.clone()).ok_or_else(|| {
        let types: Vec<_> = results.clone().map(Bound::type_name).collect();
        Error::query(format!("the branches of {name} have different types: {}", types.join(", ")))
            .with_help("use CAST to give them one type")
    })?;
    let nullable = otherwise.as_ref().is_none_or(|otherwise| otherwise.nullable)
        || branches.iter().any(|(_, result)| result.nullable);
    let Some(output) = output else {
        return Ok(Bound { expr: Expr::Literal(ScalarValue::Null, None), data_type: None, nullable: true });
    };
    let branches = branches
        .into_iter()
        .map(|(condition, result)| (Box::new(condition), Box::new(into_type(result, &output).expr)))
        .collect();
    let otherwise = otherwise.map(|otherwise| Box::new(into_type(otherwise, &output).expr));
    Ok(Bound::new(Expr::Case(Case::new(None, branches, otherwise)), output, nullable))
}

fn into_type(bound: Bound, to: &SqlType) -> Bound {
    widen(bound, &to.arrow(), to.clone())
}

/// The one type of several values; `Some(None)` if all are NULL.
pub fn unify<'a>(values: impl Iterator<Item = &'a Bound>) -> Option<Option<SqlType>> {
    let mut common: Option<SqlType> = None;
    for value in values {
        let Some(next) = &value.data_type else { continue };
        common = Some(match common {
            None => next.clone(),
            Some(common) if common == *next => common,
            Some(SqlType::Char(one) | SqlType::VarChar(one)) if matches!(next, SqlType::Char(_) | SqlType::VarChar(_)) => {
                let (SqlType::Char(two) | SqlType::VarChar(two)) = next else { return None };
                SqlType::VarChar(one.max(*two))
            }
            Some(common) => sql_type_of(&common_type(&common.arrow(), &next.arrow())?).ok()?,
        });
    }
    Some(common)
}

fn is_distinct(function: &ast::Function) -> bool {
    matches!(&function.args, FunctionArguments::List(list)
        if list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct))
}

fn plain_arguments<'a>(name: &str, arguments: &'a [FunctionArg]) -> Result<Vec<&'a ast::Expr>> {
    arguments
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Ok(argument),
            other => Err(Error::query(format!("{name} does not take the argument {other}"))),
        })
        .collect()
}

fn unit_of(argument: &ast::Expr) -> Result<(String, i64)> {
    let name = argument.to_string().to_ascii_uppercase();
    match unit_length(&name) {
        Some(length) => Ok((name, length)),
        None => Err(at(Error::query(format!("{name} is no unit of time")), argument)
            .with_help("SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR")),
    }
}

fn type_text(argument: Option<&Bound>) -> String {
    argument.map_or_else(|| "*".to_owned(), Bound::type_name)
}

fn unknown(name: &str) -> Error {
    let error = Error::query(format!("No match found for function {name}"));
    let known: Vec<_> = function_list().into_iter().map(|(name, _)| name).collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => error.with_help(format!("did you mean {near}?")),
        None => error.with_help("SHOW FUNCTIONS lists what is built"),
    }
}
