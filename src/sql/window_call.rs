//! A window table function in a FROM: TUMBLE, HOP, CUMULATE or SESSION, as one shape whichever way it was written.

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, Spanned, TableFactor};

use crate::error::{Error, Result, Span};

use super::cursor::object_name_of;
use super::interval::{IntervalLength, interval_length};
use super::statement::ObjectName;
use super::table_argument::{TableArgument, TableCall, described_column, table_argument, table_call};
use super::tokens::script_span;

/// Which windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowFunction {
    Tumble,
    Hop,
    Cumulate,
    Session,
}

/// A call such as `TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)`.
#[derive(Debug, Clone)]
pub struct WindowCall {
    pub function: WindowFunction,
    pub input: TableArgument,
    /// `TABLE t PARTITION BY …`, for SESSION.
    pub partition_by: Vec<ast::Ident>,
    /// The column that DESCRIPTOR names.
    pub time_column: String,
    pub time_span: Span,
    /// In the order of Flink's arguments, named or not: size and offset for TUMBLE, slide, size and offset for HOP, step,
    /// size and offset for CUMULATE, gap for SESSION. All but an offset are positive.
    pub intervals_ms: Vec<(i64, Span)>,
    pub alias: Option<ast::TableAlias>,
    pub span: Span,
}

impl WindowFunction {
    pub const ALL: [Self; 4] = [Self::Tumble, Self::Hop, Self::Cumulate, Self::Session];

    /// Function names are the same in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name().eq_ignore_ascii_case(name))
    }

    /// As Flink writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tumble => "TUMBLE",
            Self::Hop => "HOP",
            Self::Cumulate => "CUMULATE",
            Self::Session => "SESSION",
        }
    }

    /// The names of the arguments in order; those behind the first `required` may be left out.
    fn arguments(self) -> (&'static [&'static str], usize) {
        match self {
            Self::Tumble => (&["DATA", "TIMECOL", "SIZE", "OFFSET"], 3),
            Self::Hop => (&["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"], 4),
            Self::Cumulate => (&["DATA", "TIMECOL", "STEP", "SIZE", "OFFSET"], 4),
            Self::Session => (&["DATA", "TIMECOL", "GAP"], 3),
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Tumble => "write TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)",
            Self::Hop => {
                "write HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '1' HOUR); the slide comes before the size"
            }
            Self::Cumulate => {
                "write CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' MINUTE, INTERVAL '1' DAY); the step comes before the size"
            }
            Self::Session => "write SESSION(TABLE t PARTITION BY key, DESCRIPTOR(ts), INTERVAL '30' MINUTE)",
        }
    }
}

/// The window function that a table of a FROM is; none for any other table.
pub fn window_call(factor: &TableFactor) -> Option<Result<WindowCall>> {
    let TableCall { name, args, alias, span } = table_call(factor)?;
    let function = WindowFunction::named(&name.value)?;
    Some(read(function, args, alias.cloned(), span).map_err(|error| error.with_span(span)))
}

fn read(
    function: WindowFunction,
    args: &[FunctionArg],
    alias: Option<ast::TableAlias>,
    span: Span,
) -> Result<WindowCall> {
    let values = in_order(function, args)?;
    let [data, time, lengths @ ..] = values.as_slice() else {
        return Err(Error::bug("a window function has two arguments at least"));
    };
    let input = table_argument(data)?.ok_or_else(|| {
        let error =
            Error::query(format!("the first argument of {} is a table", function.name())).with_help(function.usage());
        script_span(data.span()).into_iter().fold(error, Error::with_span)
    })?;
    let (input, partition_by) = input;
    if !partition_by.is_empty() && function != WindowFunction::Session {
        return Err(Error::query(format!("PARTITION BY has no meaning in {}", function.name()))
            .with_span(span_or(data, span))
            .with_help("write the key behind GROUP BY: GROUP BY key, window_start, window_end"));
    }
    let (time_column, time_span) = descriptor(function, time)?;
    let names = &function.arguments().0[2..];
    let mut intervals_ms = Vec::new();
    for (name, value) in names.iter().zip(lengths) {
        let time = length(function.name(), name, value, function.usage(), span)?;
        intervals_ms.push((time, span_or(value, span)));
    }
    if let (WindowFunction::Tumble, [(size, _), (offset, place)]) = (function, intervals_ms.as_slice())
        && offset.unsigned_abs() >= size.unsigned_abs()
    {
        return Err(Error::query(format!(
            "the OFFSET of TUMBLE must be shorter than the SIZE, and is {offset} ms to {size} ms"
        ))
        .with_span(*place)
        .with_help(format!("an offset of {} ms gives the same windows", offset % size)));
    }
    Ok(WindowCall { function, input, partition_by, time_column, time_span, intervals_ms, alias, span })
}

/// An interval in milliseconds that is the argument `name` of a window function; only an offset may be 0 or less.
pub(super) fn length(function: &str, name: &str, value: &Expr, usage: &str, call: Span) -> Result<i64> {
    let refuse = |message: String| Error::query(message).with_span(span_or(value, call));
    match interval_length(value) {
        Some(IntervalLength::Milliseconds(time)) if time > 0 || name == "OFFSET" => Ok(time),
        Some(IntervalLength::Milliseconds(_)) => {
            Err(refuse(format!("the {name} of {function} must be longer than 0 ms")))
        }
        Some(IntervalLength::Months(_)) => {
            Err(refuse(format!("the {name} of {function} cannot be in months or years"))
                .with_help("their length varies; use days, as in INTERVAL '30' DAY"))
        }
        None => Err(refuse(format!("the {name} of {function} must be an interval")).with_help(usage)),
    }
}

/// The arguments in Flink's order, with all that are required.
fn in_order(function: WindowFunction, args: &[FunctionArg]) -> Result<Vec<&Expr>> {
    let (names, required) = function.arguments();
    let mut values: Vec<Option<&Expr>> = vec![None; names.len()];
    for (index, arg) in args.iter().enumerate() {
        let (place, arg, span) = match arg {
            FunctionArg::Unnamed(arg) => (Some(index).filter(|index| *index < names.len()), arg, None),
            FunctionArg::Named { name, arg, .. } => {
                let place = names.iter().position(|expected| expected.eq_ignore_ascii_case(&name.value));
                if place.is_none() {
                    let error = Error::query(format!("{} has no argument {}", function.name(), name.value))
                        .with_help(format!("its arguments are {}", names.join(", ")));
                    return Err(script_span(name.span).into_iter().fold(error, Error::with_span));
                }
                (place, arg, script_span(name.span))
            }
            FunctionArg::ExprNamed { .. } => {
                return Err(Error::query("the name of an argument is a word").with_help(function.usage()));
            }
        };
        let FunctionArgExpr::Expr(value) = arg else {
            return Err(Error::query("`*` is not an argument of a window function").with_help(function.usage()));
        };
        let span = span.or_else(|| script_span(value.span()));
        let Some(place) = place else {
            let error = Error::query(format!("{} has {} arguments at most", function.name(), names.len()))
                .with_help(function.usage());
            return Err(span.into_iter().fold(error, Error::with_span));
        };
        if values[place].replace(value).is_some() {
            let error = Error::query(format!("the argument {} is given twice", names[place]));
            return Err(span.into_iter().fold(error, Error::with_span));
        }
    }
    if let Some(missing) = (0..required).find(|index| values[*index].is_none()) {
        return Err(Error::query(format!("{} lacks its argument {}", function.name(), names[missing]))
            .with_help(function.usage()));
    }
    Ok(values.into_iter().flatten().collect())
}

/// `DESCRIPTOR(ts)`
fn descriptor(function: WindowFunction, time: &Expr) -> Result<(String, Span)> {
    described_column(time).ok_or_else(|| {
        let error = Error::query(format!("the second argument of {} is DESCRIPTOR with one column", function.name()))
            .with_help(function.usage());
        script_span(time.span()).into_iter().fold(error, Error::with_span)
    })
}

fn span_or(expression: &Expr, other: Span) -> Span {
    script_span(expression.span()).unwrap_or(other)
}

/// The name of a table in a FROM as one of ours.
pub fn table_name(name: &ast::ObjectName) -> Option<ObjectName> {
    object_name_of(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse_query;

    fn check(from: &str, expected: &str) {
        let text = format!("SELECT * FROM {from}");
        let shift = "SELECT * FROM ".len();
        let found = parse_query(&text).and_then(|query| {
            let ast::SetExpr::Select(select) = &*query.body else { panic!("a SELECT") };
            window_call(&select.from[0].relation).unwrap_or_else(|| Err(Error::query("no window function")))
        });
        let found = match found {
            Ok(call) => {
                let input = match &call.input {
                    TableArgument::Table(name) => name.parts.join("."),
                    TableArgument::Query(query) => format!("({query})"),
                };
                let keys: Vec<_> = call.partition_by.iter().map(|key| key.value.as_str()).collect();
                let times: Vec<_> = call.intervals_ms.iter().map(|(time, _)| time.to_string()).collect();
                let alias = call.alias.map(|alias| format!(" {}", alias.name)).unwrap_or_default();
                let time = &text[call.time_span.start..call.time_span.end];
                assert_eq!(time.trim_matches('`'), call.time_column);
                format!(
                    "{} {input} [{}] {} {}{alias}",
                    call.function.name(),
                    keys.join(","),
                    call.time_column,
                    times.join(" ")
                )
            }
            Err(error) => {
                let place = error.span().map(|span| format!("{}: ", &text[span.start.max(shift)..span.end]));
                format!("{}{}", place.unwrap_or_default(), error.message())
            }
        };
        assert_eq!(found, expected, "{from}");
    }

    #[test]
    fn every_way_to_write_a_window() {
        let plain = "TUMBLE t [] ts 3600000";
        check("TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)", plain);
        check("tumble(table t, descriptor(`ts`), interval '60' minutes)", plain);
        check("TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR))", plain);
        check("TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)) AS w", "TUMBLE t [] ts 3600000 w");
        check(
            "TUMBLE(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' HOUR) w",
            "TUMBLE t [] ts 3600000 w",
        );
        check(
            "TUMBLE(TABLE a.b.`t t`, DESCRIPTOR(ts), INTERVAL '1' DAY, INTERVAL '-8' HOUR)",
            "TUMBLE a.b.t t [] ts 86400000 -28800000",
        );
        check(
            "TUMBLE((SELECT * FROM t WHERE a > 1), DESCRIPTOR(ts), INTERVAL '1' HOUR)",
            "TUMBLE (SELECT * FROM t WHERE a > 1) [] ts 3600000",
        );
        check("TUMBLE(TABLE (SELECT 1), DESCRIPTOR(ts), INTERVAL '1' HOUR)", "TUMBLE (SELECT 1) [] ts 3600000");
        check("HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '1' HOUR)", "HOP t [] ts 300000 3600000");
        check(
            "HOP(SIZE => INTERVAL '1' HOUR, DATA => TABLE t, SLIDE => INTERVAL '5' MINUTE, TIMECOL => DESCRIPTOR(ts))",
            "HOP t [] ts 300000 3600000",
        );
        check(
            "CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1' DAY)",
            "CUMULATE t [] ts 3600000 86400000",
        );
        check("SESSION(TABLE t PARTITION BY a, DESCRIPTOR(ts), INTERVAL '0.5' SECOND)", "SESSION t [a] ts 500");
        check(
            "SESSION(TABLE t PARTITION BY (a, b), DESCRIPTOR(ts), INTERVAL '1:30' HOUR TO MINUTE)",
            "SESSION t [a,b] ts 5400000",
        );
        check(
            "SESSION((SELECT * FROM t WHERE a > 1) PARTITION BY b, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
            "SESSION (SELECT * FROM t WHERE a > 1) [b] ts 60000",
        );
        check("t", "no window function");
        check("f(TABLE t)", "no window function");
    }

    #[test]
    fn refused_windows() {
        check("TUMBLE(t, DESCRIPTOR(ts), INTERVAL '1' HOUR)", "t: the first argument of TUMBLE is a table");
        check(
            "TUMBLE(TABLE t, ts, INTERVAL '1' HOUR)",
            "ts: the second argument of TUMBLE is DESCRIPTOR with one column",
        );
        check(
            "TUMBLE(TABLE t, DESCRIPTOR(a, b), INTERVAL '1' HOUR)",
            "DESCRIPTOR(a, b: the second argument of TUMBLE is DESCRIPTOR with one column",
        );
        check("TUMBLE(TABLE t, DESCRIPTOR(ts), 5)", "5: the SIZE of TUMBLE must be an interval");
        check(
            "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MONTH)",
            "INTERVAL '1' MONTH: the SIZE of TUMBLE cannot be in months or years",
        );
        check(
            "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '0' HOUR)",
            "INTERVAL '0' HOUR: the SIZE of TUMBLE must be longer than 0 ms",
        );
        check(
            "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' MINUTE, INTERVAL '-16' MINUTE)",
            "INTERVAL '-16' MINUTE: the OFFSET of TUMBLE must be shorter than the SIZE, and is -960000 ms to 600000 ms",
        );
        check(
            "HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)",
            "HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR: HOP lacks its argument SIZE",
        );
        check("TUMBLE(TABLE t, DESCRIPTOR(ts), SIZES => INTERVAL '1' HOUR)", "SIZES: TUMBLE has no argument SIZES");
        check("TUMBLE(TABLE t, DESCRIPTOR(ts), DATA => TABLE t)", "DATA: the argument DATA is given twice");
        check(
            "SESSION(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1' HOUR)",
            "INTERVAL '1' HOUR: SESSION has 3 arguments at most",
        );
        check(
            "TUMBLE(TABLE t PARTITION BY a, DESCRIPTOR(ts), INTERVAL '1' HOUR)",
            "TABLE t: PARTITION BY has no meaning in TUMBLE",
        );
    }
}
