//! Interval literals as Flink reads them: a signed text and its units, `INTERVAL '1:30' HOUR TO MINUTE`.
//!
//! Day-time intervals have milliseconds and drop what is finer, as Flink does; year-month intervals have months.

use sqlparser::ast::{self, DateTimeField, Expr};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::{Error, Result, Span};

use super::cursor::Cursor;
use super::tokens::ast_span;

/// How long an interval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalLength {
    Months(i64),
    Milliseconds(i64),
}

/// The length of an interval literal, with the minus signs before it; none for any other expression.
pub fn interval_length(expression: &Expr) -> Option<IntervalLength> {
    match expression {
        Expr::Nested(inner) => interval_length(inner),
        Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => Some(match interval_length(expr)? {
            IntervalLength::Months(months) => IntervalLength::Months(months.checked_neg()?),
            IntervalLength::Milliseconds(time) => IntervalLength::Milliseconds(time.checked_neg()?),
        }),
        Expr::Interval(interval) => {
            let Expr::Value(value) = &*interval.value else { return None };
            let ast::Value::SingleQuotedString(text) = &value.value else { return None };
            let unit = Unit::of_field(interval.leading_field.as_ref()?)?;
            let last = interval.last_field.as_ref().map_or(Some(unit), Unit::of_field)?;
            length(text, unit, last, u32::MAX)
        }
        _ => None,
    }
}

/// Whether the INTERVAL that comes next begins a literal, rightly or not, and is not a name.
pub(super) fn follows(parser: &Parser) -> bool {
    let next = &parser.peek_nth_token_ref(1).token;
    matches!(next, Token::SingleQuotedString(_) | Token::Number(..))
        || (matches!(next, Token::Plus | Token::Minus)
            && matches!(parser.peek_nth_token_ref(2).token, Token::SingleQuotedString(_)))
}

/// Whether the INTERVAL that comes next is a column: nothing follows that a literal could begin with.
pub(super) fn is_a_name(parser: &Parser) -> bool {
    let next = &parser.peek_nth_token_ref(1).token;
    matches!(next, Token::EOF | Token::Comma | Token::RParen | Token::Eq)
        || matches!(next, Token::Word(word) if matches!(word.keyword, Keyword::AS | Keyword::FROM))
}

/// Reads `INTERVAL [+|-] 'text' unit [(precision)] [TO unit [(precision)]]`.
pub(super) fn literal(parser: &mut Parser) -> Result<Expr> {
    let start = parser.here().start;
    parser.expects(&["INTERVAL"])?;
    if matches!(parser.peek_token_ref().token, Token::Number(..)) {
        return Err(parser
            .unexpected("the length in quotes")
            .with_help("write INTERVAL '10' SECOND; for a length that is computed TIMESTAMPADD(SECOND, n, ts)"));
    }
    let minus = parser.takes_sign(&Token::Minus);
    if !minus {
        parser.takes_sign(&Token::Plus);
    }
    let text = parser.text("the length in quotes, as in INTERVAL '10' SECOND")?;
    let unit = unit(parser)?;
    let precision = if parser.takes_sign(&Token::LParen) {
        let precision = parser.number("a precision")?;
        if unit == Unit::Second && parser.takes_sign(&Token::Comma) {
            parser.number("a precision")?;
        }
        parser.expects_sign(&Token::RParen)?;
        precision
    } else {
        2
    };
    let mut last = unit;
    if parser.takes(&["TO"]) {
        last = self::unit(parser)?;
        if last <= unit || last.is_months() != unit.is_months() || !unit.is_part() || !last.is_part() {
            return Err(Error::query(
                "an interval goes from a longer to a shorter unit, of YEAR TO MONTH or DAY TO SECOND",
            )
            .with_span(parser.behind()));
        }
        if last == Unit::Second && parser.takes_sign(&Token::LParen) {
            parser.number("a precision")?;
            parser.expects_sign(&Token::RParen)?;
        }
    }
    let span = Span { start, end: parser.behind().end };
    let sign = if minus { "-" } else { "" };
    let Some(length) = length(&text, unit, last, precision) else {
        return Err(refuse(&text, unit, last, precision).with_span(span));
    };
    let whole = text.trim().trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit());
    let (value, field) = match length {
        _ if unit == last && whole && unit.is_part() => (format!("{sign}{}", text.trim()), unit.field()),
        IntervalLength::Months(months) => (format!("{sign}{months}"), DateTimeField::Month),
        IntervalLength::Milliseconds(time) => {
            let (seconds, rest) = (time.unsigned_abs() / 1000, time.unsigned_abs() % 1000);
            let own = if time < 0 { "-" } else { "" };
            (format!("{sign}{own}{seconds}.{rest:03}"), DateTimeField::Second)
        }
    };
    let value = value.replace("--", "").replace('+', "");
    Ok(Expr::Interval(ast::Interval {
        value: Box::new(Expr::Value(ast::Value::SingleQuotedString(value).with_span(ast_span(span)))),
        leading_field: Some(field),
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    }))
}

fn refuse(text: &str, unit: Unit, last: Unit, precision: u32) -> Error {
    let name = |unit: Unit| unit.field().to_string();
    if let Some(needed) = (1..=10).find(|needed| *needed > precision && length(text, unit, last, *needed).is_some()) {
        let name = name(unit);
        return Error::query(format!("the interval '{text}' exceeds the precision of {name}({precision})"))
            .with_help(format!("write {name}({needed}), or use a longer unit"));
    }
    let units = if unit == last { name(unit) } else { format!("{} TO {}", name(unit), name(last)) };
    let example = match (unit, last) {
        (Unit::Second, _) => "'10' or '0.001'",
        (Unit::Year, Unit::Month) => "'1-6'",
        (Unit::Day, Unit::Hour) => "'1 12'",
        (Unit::Day, Unit::Minute) => "'1 12:30'",
        (Unit::Day, Unit::Second) => "'1 12:30:00'",
        (Unit::Hour, Unit::Second) => "'1:30:00'",
        (Unit::Hour | Unit::Minute, last) if last != unit => "'1:30'",
        _ => "'10'",
    };
    Error::query(format!("'{text}' is not an interval in {units}")).with_help(format!("write {example}"))
}

fn unit(parser: &mut Parser) -> Result<Unit> {
    for (name, plural, unit) in Unit::ALL {
        if parser.takes(&[name]) || parser.takes(&[plural]) {
            return Ok(unit);
        }
    }
    Err(parser.unexpected("a unit: SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR"))
}

/// In the order of an interval of several units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Unit {
    const ALL: [(&str, &str, Self); 8] = [
        ("SECOND", "SECONDS", Self::Second),
        ("MINUTE", "MINUTES", Self::Minute),
        ("HOUR", "HOURS", Self::Hour),
        ("DAY", "DAYS", Self::Day),
        ("WEEK", "WEEKS", Self::Week),
        ("MONTH", "MONTHS", Self::Month),
        ("QUARTER", "QUARTERS", Self::Quarter),
        ("YEAR", "YEARS", Self::Year),
    ];

    fn of_field(field: &DateTimeField) -> Option<Self> {
        use DateTimeField as F;
        Some(match field {
            F::Year | F::Years => Self::Year,
            F::Quarter => Self::Quarter,
            F::Month | F::Months => Self::Month,
            F::Week(None) | F::Weeks => Self::Week,
            F::Day | F::Days => Self::Day,
            F::Hour | F::Hours => Self::Hour,
            F::Minute | F::Minutes => Self::Minute,
            F::Second | F::Seconds => Self::Second,
            F::Millisecond | F::Milliseconds => Self::Millisecond,
            _ => return None,
        })
    }

    fn field(self) -> DateTimeField {
        match self {
            Self::Year => DateTimeField::Year,
            Self::Quarter => DateTimeField::Quarter,
            Self::Month => DateTimeField::Month,
            Self::Week => DateTimeField::Week(None),
            Self::Day => DateTimeField::Day,
            Self::Hour => DateTimeField::Hour,
            Self::Minute => DateTimeField::Minute,
            Self::Second => DateTimeField::Second,
            Self::Millisecond => DateTimeField::Millisecond,
        }
    }

    fn is_months(self) -> bool {
        self <= Self::Month
    }

    /// Whether it may be one of several units. DataFusion, too, reads these as we do.
    fn is_part(self) -> bool {
        !matches!(self, Self::Quarter | Self::Week | Self::Millisecond)
    }

    /// In months or milliseconds.
    fn size(self) -> i64 {
        match self {
            Self::Year => 12,
            Self::Quarter => 3,
            Self::Month | Self::Millisecond => 1,
            Self::Week => 7 * 86_400_000,
            Self::Day => 86_400_000,
            Self::Hour => 3_600_000,
            Self::Minute => 60_000,
            Self::Second => 1000,
        }
    }

    /// How many of it fill the next longer unit.
    fn most(self) -> i64 {
        match self {
            Self::Month => 12,
            Self::Hour => 24,
            _ => 60,
        }
    }
}

/// The length of the text in the units from `first` to `last`; none if it does not fit them. The first number has at most
/// `precision` digits.
fn length(text: &str, first: Unit, last: Unit, precision: u32) -> Option<IntervalLength> {
    let text = text.trim();
    let (minus, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let parts = [Unit::Year, Unit::Month, Unit::Day, Unit::Hour, Unit::Minute, Unit::Second];
    let between: Vec<Unit> = parts.into_iter().filter(|unit| (first..=last).contains(unit)).collect();
    let units = if first == last { vec![first] } else { between };
    let mut total: i64 = 0;
    for (index, unit) in units.iter().enumerate() {
        let end = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
        let number: i64 = rest[..end].parse().ok()?;
        let digits = u32::try_from(rest[..end].trim_start_matches('0').len()).ok()?;
        if (index == 0 && digits > precision) || (index > 0 && number >= unit.most()) {
            return None;
        }
        total = total.checked_add(number.checked_mul(unit.size())?)?;
        rest = &rest[end..];
        let separator = match (unit, units.get(index + 1)) {
            (Unit::Year, Some(_)) => "-",
            (Unit::Day, Some(_)) => " ",
            (_, Some(_)) => ":",
            (Unit::Second, None) if rest.starts_with('.') => {
                let fraction = &rest[1..];
                if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
                    return None;
                }
                let padded = format!("{fraction}00");
                total = total.checked_add(padded[..3].parse().ok()?)?;
                rest = "";
                ""
            }
            (_, None) => "",
        };
        rest = rest.strip_prefix(separator)?;
    }
    let total = if minus { -total } else { total };
    let length = if first.is_months() { IntervalLength::Months(total) } else { IntervalLength::Milliseconds(total) };
    rest.is_empty().then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse_expression;

    /// The literal in the tree and its length, or the error.
    fn check(text: &str, expected: &str) {
        let found = match parse_expression(text) {
            Ok(expression) => format!("{expression} = {:?}", interval_length(&expression)),
            Err(error) => {
                let span = error.span().expect("every error has a span");
                format!("{}..{} {}", span.start, span.end, error.to_string().replace("\n ", ""))
            }
        };
        assert_eq!(
            found.replace("Some(Milliseconds(", "(").replace("Some(Months(", "months (").replace("))", ")"),
            expected
        );
    }

    #[test]
    fn one_unit() {
        check("INTERVAL '1' HOUR", "INTERVAL '1' HOUR = (3600000)");
        check("INTERVAL '10' MINUTES", "INTERVAL '10' MINUTE = (600000)");
        check("INTERVAL '0.001' SECOND", "INTERVAL '0.001' SECOND = (1)");
        check("INTERVAL '0.0019' SECOND", "INTERVAL '0.001' SECOND = (1)");
        check("INTERVAL '1.5' SECOND(3, 3)", "INTERVAL '1.500' SECOND = (1500)");
        check("INTERVAL '100' SECOND(3)", "INTERVAL '100' SECOND = (100000)");
        check("INTERVAL '2' DAY", "INTERVAL '2' DAY = (172800000)");
        check("INTERVAL '2' WEEK", "INTERVAL '1209600.000' SECOND = (1209600000)");
        check("INTERVAL '2' QUARTER", "INTERVAL '6' MONTH = months (6)");
        check("INTERVAL '3' YEAR", "INTERVAL '3' YEAR = months (36)");
        check("INTERVAL '-3' HOUR", "INTERVAL '-3' HOUR = (-10800000)");
        check("INTERVAL -'3' HOUR", "INTERVAL '-3' HOUR = (-10800000)");
        check("INTERVAL -'-3' HOUR", "INTERVAL '3' HOUR = (10800000)");
        check("INTERVAL -'-0.5' SECOND", "INTERVAL '0.500' SECOND = (500)");
        check("-INTERVAL '3' HOUR", "-INTERVAL '3' HOUR = (-10800000)");
    }

    #[test]
    fn several_units() {
        check("INTERVAL '1:30' HOUR TO MINUTE", "INTERVAL '5400.000' SECOND = (5400000)");
        check("INTERVAL '1 2:03:04.5' DAY TO SECOND(3)", "INTERVAL '93784.500' SECOND = (93784500)");
        check("INTERVAL '-0:30' HOUR TO MINUTE", "INTERVAL '-1800.000' SECOND = (-1800000)");
        check("INTERVAL '1-6' YEAR TO MONTH", "INTERVAL '18' MONTH = months (18)");
        check("INTERVAL '999 00' DAY(3) TO HOUR", "INTERVAL '86313600.000' SECOND = (86313600000)");
    }

    #[test]
    fn refused_intervals() {
        check(
            "INTERVAL '100' SECOND",
            "0..21 the interval '100' exceeds the precision of SECOND(2) help: write SECOND(3), or use a longer unit",
        );
        check("INTERVAL 'x' SECOND", "0..19 'x' is not an interval in SECOND help: write '10' or '0.001'");
        check("INTERVAL '1' HOUR TO MINUTE", "0..27 '1' is not an interval in HOUR TO MINUTE help: write '1:30'");
        check("INTERVAL '1:60' HOUR TO MINUTE", "0..30 '1:60' is not an interval in HOUR TO MINUTE help: write '1:30'");
        check("INTERVAL '' DAY", "0..15 '' is not an interval in DAY help: write '10'");
        check(
            "INTERVAL '1' MINUTE TO HOUR",
            "23..27 an interval goes from a longer to a shorter unit, of YEAR TO MONTH or DAY TO SECOND",
        );
        check(
            "INTERVAL 5 SECOND",
            "9..10 expected the length in quotes, found `5` help: look for a missing comma, operator or parenthesis just before \
             it help: write INTERVAL '10' SECOND; for a length that is computed TIMESTAMPADD(SECOND, n, ts)",
        );
        check(
            "INTERVAL '5' FORTNIGHT",
            "13..22 expected a unit: SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR, found `FORTNIGHT` help: look for a \
             missing comma, operator or parenthesis just before it",
        );
    }
}
