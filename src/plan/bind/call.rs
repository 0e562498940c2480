//! The binder of calls: functions by name, and the forms that read like one.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Column;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::prelude::lit;
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::aggregation::{Aggregation, Arguments};
use super::conversion::{call, cast, cast_to_sql, common_declared, same_type, to_common_type};
use super::expression::Binder;
use super::percentile::percentile;
use super::typed::Typed;
use super::{literal, not_built};
use crate::catalog::DATABASE;
use crate::error::{Error, Result};
use crate::expressions::{
    AGGREGATE_FUNCTIONS, AggregateFunction, CEIL_TO, CURRENT_WATERMARK, Call, FLOOR_TO, SIMILAR, TIMESTAMPADD,
    TIMESTAMPDIFF, Unit, common_type, function_list, instant_type, is_integer, lookup, now, seconds_now, special_form,
    type_name, unit_length,
};
use crate::options::nearest;
use crate::plan::expand::GROUPING_COLUMN;
use crate::sql::{SqlType, interval_length, window_part};
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN};

impl Binder<'_> {
    pub(super) fn round(&mut self, name: &str, inner: &ast::Expr, field: &ast::CeilFloorKind) -> Result<Typed> {
        let unit = match field {
            ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) => {
                let argument = self.bind(inner)?;
                return self.call_named(name, vec![argument]);
            }
            ast::CeilFloorKind::DateTimeField(unit) => unit.to_string().to_ascii_uppercase(),
            ast::CeilFloorKind::Scale(_) => {
                return Err(Error::query(format!("{name} takes one number"))
                    .with_help("ROUND and TRUNCATE take a number of digits"));
            }
        };
        let known = Unit::of(&unit).ok_or_else(|| {
            Error::query(format!("{unit} is no unit for {name}"))
                .with_help("YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND or MILLISECOND")
        })?;
        let time = self.bind(inner)?;
        let is_time = matches!(time.data_type, DataType::Time32(_) | DataType::Time64(_));
        if !is_time && !matches!(time.data_type, DataType::Timestamp(..) | DataType::Date32) {
            let error = Error::query(format!("{name}(… TO {unit}) takes a time, not {}", type_name(&time.data_type)));
            return Err(error);
        }
        let function = if name == "FLOOR" { &FLOOR_TO } else { &CEIL_TO };
        let call =
            Call::new(function, time.data_type.clone(), time.nullable, vec![known.parameter()]).with_detail(unit);
        let declared = time.declared;
        Ok(Typed { declared, ..Typed::new(call.on(vec![time.expression]), time.data_type, time.nullable) })
    }

    /// `TIMESTAMPADD(unit, amount, time)`
    fn timestamp_add(&mut self, unit: &ast::Expr, amount: &ast::Expr, time: &ast::Expr) -> Result<Typed> {
        let unit = unit.to_string();
        let length = unit_length(&unit).ok_or_else(|| no_unit(&unit))?;
        let amount = self.bind(amount)?;
        if !is_integer(&amount.data_type) && amount.data_type != DataType::Null {
            let found = type_name(&amount.data_type);
            return Err(Error::query(format!("TIMESTAMPADD moves by a whole number, not {found}")));
        }
        let mut time = self.bind(time)?;
        match time.data_type {
            DataType::Timestamp(..) => {}
            // A day moved by less than days is a moment.
            DataType::Date32 if length > 0 && length < 86_400_000 => {
                time = cast(time, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            }
            DataType::Date32 => {}
            ref other => {
                return Err(Error::query(format!("TIMESTAMPADD moves a time, not {}", type_name(other))));
            }
        }
        let amount = cast(amount, &DataType::Int64)?;
        let nullable = amount.nullable || time.nullable;
        let call = Call::new(&TIMESTAMPADD, time.data_type.clone(), nullable, vec![length]).with_detail(unit);
        let declared = time.declared;
        Ok(Typed {
            declared,
            ..Typed::new(call.on(vec![amount.expression, time.expression]), time.data_type, nullable)
        })
    }

    pub(super) fn similar(
        &mut self,
        negated: bool,
        value: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::ValueWithSpan>,
    ) -> Result<Typed> {
        let mut arguments = vec![self.bind(value)?, self.bind(pattern)?];
        if let Some(escape) = escape {
            arguments.push(literal::literal(&escape.value)?);
        }
        let found = call(&SIMILAR, arguments)?;
        if negated {
            return Ok(Typed::new(Expr::Not(Box::new(found.expression)), DataType::Boolean, found.nullable));
        }
        Ok(found)
    }

    pub(super) fn function(&mut self, function: &ast::Function) -> Result<Typed> {
        let name = function.name.to_string().to_ascii_uppercase();
        if function.over.is_some() {
            return Err(not_built::over(&name));
        }
        if name == "ROW"
            && let ast::FunctionArguments::List(list) = &function.args
        {
            let fields = list.args.iter().map(|field| plain_argument(&name, field).cloned());
            return self.row(&fields.collect::<Result<Vec<_>>>()?);
        }
        if matches!(name.as_str(), "GROUPING" | "GROUPING_ID" | "GROUP_ID") {
            return self.grouping(&name, function);
        }
        if let Some(json) = self.json(&name, function) {
            return json;
        }
        if Aggregation::is_aggregate(&name) {
            return self.aggregate(&name, function);
        }
        if matches!(name.as_str(), "TUMBLE" | "HOP" | "SESSION") {
            return Err(Error::query(format!("Group function '{name}' can only appear in GROUP BY clause"))
                .with_help(format!("its bounds are {name}_START and {name}_END with the same arguments")));
        }
        if let Some(part) = window_part(function) {
            let (part, call) = part?;
            return self.window_part(&name, part, &call);
        }
        // A name that is not known is told before what stands in its parentheses.
        if lookup(&name).is_none() && name != "NVL" && special_form(&name).is_none() {
            return Err(unknown_function(&name));
        }
        let arguments = match &function.args {
            ast::FunctionArguments::None => &[][..],
            ast::FunctionArguments::List(list) => &list.args[..],
            ast::FunctionArguments::Subquery(_) => {
                return Err(Error::query(format!("{name} does not take a query")));
            }
        };
        let arguments: Vec<&ast::Expr> =
            arguments.iter().map(|argument| plain_argument(&name, argument)).collect::<Result<_>>()?;
        match (name.as_str(), arguments.as_slice()) {
            ("PROCTIME", []) => Ok(self.proctime()),
            (_, []) if time_of_day(&name).is_some() => self.now(&name),
            ("CURRENT_DATABASE", []) => Ok(literal::of(ScalarValue::Utf8(Some(DATABASE.to_owned())))),
            ("CURRENT_WATERMARK", [rowtime]) => self.current_watermark(rowtime),
            ("COALESCE" | "IFNULL" | "NVL", [_, ..]) => self.coalesce(&arguments),
            ("NULLIF", [value, other]) => {
                let same = self.comparison(value, Operator::Eq, other)?;
                let value = self.bind(value)?;
                let null = cast(literal::of(ScalarValue::Null), &value.data_type)?;
                let branch = (Box::new(same.expression), Box::new(null.expression));
                let case = Case::new(None, vec![branch], Some(Box::new(value.expression)));
                Ok(Typed { declared: value.declared, ..Typed::new(Expr::Case(case), value.data_type, true) })
            }
            ("IF", [condition, then, otherwise]) => {
                let condition = self.bind_condition(condition)?;
                let branches = vec![self.bind(then)?, self.bind(otherwise)?];
                let declared = common_declared(&branches);
                let (branches, data_type) = to_common_type(branches, "the branches of IF", common_type)?;
                let nullable = branches.iter().any(|branch| branch.nullable);
                let mut branches = branches.into_iter().map(|branch| Box::new(branch.expression));
                let (Some(then), Some(otherwise)) = (branches.next(), branches.next()) else {
                    return Err(Error::bug("IF has two branches"));
                };
                let case = Case::new(None, vec![(Box::new(condition.expression), then)], Some(otherwise));
                Ok(Typed { declared, ..Typed::new(Expr::Case(case), data_type, nullable) })
            }
            ("TYPEOF", [value]) => {
                let value = self.bind(value)?;
                Ok(literal::of(ScalarValue::Utf8(Some(value.type_text()))))
            }
            ("TYPEOF", [value, ast::Expr::Value(force)]) if matches!(force.value, ast::Value::Boolean(_)) => {
                let value = self.bind(value)?;
                Ok(literal::of(ScalarValue::Utf8(Some(value.type_text()))))
            }
            ("RAND" | "RAND_INTEGER" | "UUID", arguments) => self.random(&name, function, arguments),
            ("TIMESTAMPADD", [unit, amount, time]) => self.timestamp_add(unit, amount, time),
            ("TIMESTAMPDIFF", [unit, from, to]) => {
                let unit = unit.to_string();
                let length = unit_length(&unit).ok_or_else(|| no_unit(&unit))?;
                let (from, to) = (self.bind(from)?, self.bind(to)?);
                // A day beside a moment is its first moment.
                let (from, to) = match common_type(&from.data_type, &to.data_type) {
                    Some(common @ DataType::Timestamp(..)) => (cast(from, &common)?, cast(to, &common)?),
                    _ => same_type(from, to, Operator::Minus)?,
                };
                let nullable = from.nullable || to.nullable;
                let call = Call::new(&TIMESTAMPDIFF, DataType::Int32, nullable, vec![length]);
                Ok(Typed::new(call.on(vec![from.expression, to.expression]), DataType::Int32, nullable))
            }
            _ => {
                let arguments = arguments.into_iter().map(|argument| self.bind(argument)).collect::<Result<_>>()?;
                self.call_named(&name, arguments)
            }
        }
    }

    /// GROUPING(key, …): a bit a key, 1 where the grouping set of the row leaves it out. The last key has the lowest bit.
    fn grouping(&mut self, name: &str, function: &ast::Function) -> Result<Typed> {
        let arguments = match &function.args {
            ast::FunctionArguments::List(list) => list.args.as_slice(),
            _ => &[],
        };
        let Some(aggregation) = &self.aggregation else {
            return Err(Error::query(format!("{name} tells grouping sets apart, and there is no GROUP BY"))
                .with_help("write GROUP BY ROLLUP (a, b), CUBE (a, b) or GROUPING SETS ((a, b), (a), ())"));
        };
        let number = |value: i64| Expr::Literal(ScalarValue::Int64(Some(value)), None);
        if name == "GROUP_ID" && arguments.is_empty() {
            return Ok(Typed::new(number(0), DataType::Int64, false));
        }
        if arguments.is_empty() || arguments.len() > 62 {
            return Err(Error::query(format!("{name} takes keys of GROUP BY"))
                .with_help("GROUPING(a): 0 where a row is grouped by a, 1 where its grouping set leaves a out"));
        }
        let mut keys = Vec::new();
        for argument in arguments {
            let argument = plain_argument(name, argument)?;
            let bound = Binder::new(self.scope).bind(argument)?;
            let key = aggregation.key_index(&bound.expression).ok_or_else(|| {
                Error::query(format!(
                    "Argument to {name} operator must be a grouped expression, and {argument} is none"
                ))
            })?;
            keys.push(key);
        }
        let Some(sets) = aggregation.grouping_sets() else {
            return Ok(Typed::new(number(0), DataType::Int64, false));
        };
        let bits = |set: &Vec<usize>| keys.iter().fold(0_i64, |bits, key| bits << 1 | i64::from(!set.contains(key)));
        let set_of_row = Expr::Column(Column::new_unqualified(GROUPING_COLUMN));
        let mut branches = Vec::new();
        for (index, set) in sets.iter().enumerate().skip(1) {
            branches.push((Box::new(number(index as i64)), Box::new(number(bits(set)))));
        }
        let first = Box::new(number(sets.first().map_or(0, bits)));
        if branches.is_empty() {
            return Ok(Typed::new(*first, DataType::Int64, false));
        }
        let case = Case::new(Some(Box::new(set_of_row)), branches, Some(first));
        Ok(Typed::new(Expr::Case(case), DataType::Int64, false))
    }

    /// When the row was read, where that is at hand, else when it is worked on.
    fn proctime(&self) -> Typed {
        match self.scope.has_proctime() && self.aggregation.is_none() {
            true => Typed::new(Expr::Column(Column::new_unqualified(PROCTIME_COLUMN)), instant_type(), false),
            false => Typed::new(now(), instant_type(), false),
        }
    }

    /// `CURRENT_TIMESTAMP` and its kin.
    fn now(&self, name: &str) -> Result<Typed> {
        let now = Typed::new(now(), instant_type(), false);
        match time_of_day(name).flatten() {
            None if name == "UNIX_TIMESTAMP" => Ok(Typed::new(seconds_now(), DataType::Int64, false)),
            None => Ok(now),
            Some(as_type) => cast_to_sql(now, &as_type, false),
        }
    }

    /// The watermark that the row met in its own split.
    fn current_watermark(&mut self, rowtime: &ast::Expr) -> Result<Typed> {
        let column = match rowtime {
            ast::Expr::Identifier(ident) => self.scope.resolve(std::slice::from_ref(ident))?,
            ast::Expr::CompoundIdentifier(idents) => self.scope.resolve(idents)?,
            other => return Err(Error::query(format!("CURRENT_WATERMARK takes the rowtime column, not {other}"))),
        };
        if !column.is_rowtime || !self.scope.has_watermark() {
            return Err(Error::query(format!(
                "The argument of CURRENT_WATERMARK() must be a rowtime attribute, but `{}` is none.",
                column.name
            ))
            .with_help("name the column of the table's WATERMARK clause itself, not a copy of it"));
        }
        if self.aggregation.is_some() {
            return Err(Error::query("CURRENT_WATERMARK is known of rows, not of groups"));
        }
        let hidden = Expr::Column(Column::new_unqualified(WATERMARK_COLUMN));
        let output = column.data_type.clone();
        let call = Call::new(&CURRENT_WATERMARK, output.clone(), true, Vec::new());
        Ok(Typed::new(call.on(vec![hidden]), output, true))
    }

    fn coalesce(&mut self, arguments: &[&ast::Expr]) -> Result<Typed> {
        let values = arguments.iter().map(|argument| self.bind(argument)).collect::<Result<Vec<_>>>()?;
        let declared = common_declared(&values);
        let (mut values, data_type) = to_common_type(values, "the arguments of COALESCE", common_type)?;
        let nullable = values.iter().all(|value| value.nullable);
        let last = values.pop().map(|value| Box::new(value.expression));
        let branches: Vec<_> = values
            .into_iter()
            .map(|value| (Box::new(Expr::IsNotNull(Box::new(value.expression.clone()))), Box::new(value.expression)))
            .collect();
        if branches.is_empty() {
            let only = last.ok_or_else(|| Error::bug("COALESCE has an argument"))?;
            return Ok(Typed { declared, ..Typed::new(*only, data_type, nullable) });
        }
        Ok(Typed { declared, ..Typed::new(Expr::Case(Case::new(None, branches, last)), data_type, nullable) })
    }

    pub(super) fn aggregate(&mut self, name: &str, function: &ast::Function) -> Result<Typed> {
        let Some(aggregation) = &mut self.aggregation else { return Err(no_aggregation(name)) };
        let Some((name, kind, doc, _)) = AGGREGATE_FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            return Err(unknown_function(name));
        };
        let ast::FunctionArguments::List(list) = &function.args else {
            return Err(Error::query(format!("{name} takes an argument")).with_help(*doc));
        };
        let distinct = matches!(list.duplicate_treatment, Some(ast::DuplicateTreatment::Distinct));
        if !list.clauses.is_empty() || function.null_treatment.is_some() || !function.within_group.is_empty() {
            return Err(Error::query(format!("{name} does not take an order or a treatment of NULLs")));
        }
        // What a call reads is a row and not a group.
        let mut rows = Binder::new(self.scope);
        let (arguments, more) = match list.args.as_slice() {
            [texts, separator] if *kind == AggregateFunction::ListAgg => {
                let separator = plain_argument(name, separator).and_then(|separator| rows.bind(separator))?.expression;
                if !matches!(separator, Expr::Literal(ScalarValue::Utf8(Some(_)), _)) {
                    let error = Error::query(format!(
                        "LISTAGG takes a constant text as its separator, not {}",
                        crate::expressions::text(&separator)
                    ));
                    return Err(error.with_help("write LISTAGG(name, '; ')"));
                }
                (std::slice::from_ref(texts), Arguments { constant: Some(separator), ..Arguments::default() })
            }
            [numbers, more @ ..] if matches!(kind, AggregateFunction::Percentile { .. }) => {
                let more: Vec<&ast::Expr> =
                    more.iter().map(|more| plain_argument(name, more)).collect::<Result<_>>()?;
                (std::slice::from_ref(numbers), rows.percentages(name, &more, distinct)?)
            }
            arguments => (arguments, Arguments::default()),
        };
        let argument = match arguments {
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)] if *name == "COUNT" && !distinct => None,
            // Of an interval nothing is counted but that it is there.
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))]
                if *name == "COUNT" && interval_length(argument).is_some() =>
            {
                Some(Typed::new(lit(true), DataType::Boolean, false))
            }
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))] => Some(rows.bind(argument)?),
            [_, _, ..] if *name == "COUNT" => {
                return Err(Error::query("COUNT counts the values of one column, as in Flink")
                    .with_help("rows of several columns: COUNT(*) over (SELECT DISTINCT a, b FROM …)"));
            }
            _ => return Err(Error::query(format!("{name} takes one argument")).with_help(*doc)),
        };
        let (kind, argument) = percentile(name, *kind, &more, argument)?;
        let arguments = Arguments { argument, ..more };
        let filter = function.filter.as_ref().map(|filter| rows.bind_condition(filter)).transpose()?;
        aggregation.call(kind, arguments, distinct, filter)
    }

    pub(super) fn call_named(&self, name: &str, arguments: Vec<Typed>) -> Result<Typed> {
        let function = lookup(name).ok_or_else(|| unknown_function(name))?;
        call(function, arguments)
    }
}

/// The functions that are the time of day, and what it is turned into.
fn time_of_day(name: &str) -> Option<Option<SqlType>> {
    Some(match name {
        "CURRENT_TIMESTAMP" | "NOW" | "CURRENT_ROW_TIMESTAMP" | "UNIX_TIMESTAMP" => None,
        "LOCALTIMESTAMP" => Some(SqlType::Timestamp(3)),
        "CURRENT_DATE" => Some(SqlType::Date),
        "CURRENT_TIME" | "LOCALTIME" => Some(SqlType::Time(0)),
        _ => return None,
    })
}

pub(super) fn plain_argument<'a>(name: &str, argument: &'a ast::FunctionArg) -> Result<&'a ast::Expr> {
    match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expression)) => Ok(expression),
        other => Err(Error::query(format!("{name} does not take {other}"))),
    }
}

/// An aggregate function where no group is.
pub(super) fn no_aggregation(name: &str) -> Error {
    Error::query(format!("{name} is an aggregate function, which has no place here"))
        .with_help("aggregate in the SELECT list or in HAVING")
}

fn no_unit(unit: &str) -> Error {
    Error::query(format!("{unit} is no unit of time"))
        .with_help("SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR")
}

fn unknown_function(name: &str) -> Error {
    if let Some(form) = special_form(name) {
        return Error::query(format!("{name} does not take these arguments")).with_help(form.doc);
    }
    if let Some(error) = not_built::function(name) {
        return error;
    }
    let list = function_list();
    let error = Error::query(format!("No match found for function {name}"));
    match nearest(name, list.iter().map(|form| form.name)) {
        Some(meant) => error.with_help(format!("did you mean {meant}?")),
        None => error.with_help("SHOW FUNCTIONS lists those that there are"),
    }
}
