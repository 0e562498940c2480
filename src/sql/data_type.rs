//! A column's type, as text and in a CAST.
//!
//! Flink's defaults hold: TIMESTAMP is TIMESTAMP(6), TIME is TIME(0), DECIMAL is DECIMAL(10, 0), CHAR and VARCHAR have
//! length 1. That a nested type is NOT NULL is read and not kept.

use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::{Error, Result, Span};

use super::cursor::Cursor;
use super::limits;
use super::types::SqlType;

impl SqlType {
    /// This type for the syntax tree: sqlparser's own where it has one that DataFusion reads alike, else its text.
    /// `of_cast` reads both.
    pub(super) fn for_cast(&self) -> ast::DataType {
        use ast::{BinaryLength, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};
        let characters = |length: u32| Some(CharacterLength::IntegerLength { length: u64::from(length), unit: None });
        match self {
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::TinyInt(None),
            Self::SmallInt => DataType::SmallInt(None),
            Self::Int => DataType::Int(None),
            Self::BigInt => DataType::BigInt(None),
            Self::Float => DataType::Float(ExactNumberInfo::None),
            Self::Double => DataType::Double(ExactNumberInfo::None),
            Self::Decimal(precision, scale) => {
                DataType::Decimal(ExactNumberInfo::PrecisionAndScale(u64::from(*precision), i64::from(*scale)))
            }
            Self::Char(length) => DataType::Char(characters(*length)),
            Self::VarChar(u32::MAX) => DataType::String(None),
            Self::VarChar(length) => DataType::Varchar(characters(*length)),
            Self::Binary(length) => DataType::Binary(Some(u64::from(*length))),
            Self::VarBinary(u32::MAX) => DataType::Bytes(None),
            Self::VarBinary(length) => {
                DataType::Varbinary(Some(BinaryLength::IntegerLength { length: u64::from(*length) }))
            }
            Self::Date => DataType::Date,
            Self::Time(precision) => DataType::Time(Some(u64::from(*precision)), TimezoneInfo::None),
            Self::Timestamp(precision) => DataType::Timestamp(Some(u64::from(*precision)), TimezoneInfo::None),
            Self::TimestampLtz(_) | Self::Array(_) | Self::Map(..) | Self::Multiset(_) | Self::Row(_) => {
                DataType::Custom(ast::ObjectName::from(vec![ast::Ident::new(self.to_string())]), Vec::new())
            }
        }
    }
}

/// Reads a type.
pub(super) fn data_type(parser: &mut Parser) -> Result<SqlType> {
    nested(parser, 0)
}

fn nested(parser: &mut Parser, depth: usize) -> Result<SqlType> {
    if depth >= limits::SQL_DEPTH {
        return Err(limits::too_deep(parser.here()));
    }
    let mut data_type = simple(parser, depth)?;
    // `INT ARRAY` is ARRAY<INT>.
    for level in depth.. {
        if level >= limits::SQL_DEPTH {
            return Err(limits::too_deep(parser.here()));
        }
        if parser.takes(&["ARRAY"]) {
            data_type = SqlType::Array(Box::new(data_type));
        } else if parser.takes(&["MULTISET"]) {
            data_type = SqlType::Multiset(Box::new(data_type));
        } else {
            break;
        }
    }
    Ok(data_type)
}

fn simple(parser: &mut Parser, depth: usize) -> Result<SqlType> {
    let start = parser.here().start;
    let Token::Word(word) = &parser.peek_token_ref().token else { return Err(parser.unexpected("a type")) };
    if word.quote_style.is_some() {
        return Err(parser.unexpected("a type"));
    }
    let name = word.value.to_ascii_uppercase();
    parser.advance_token();
    let whole = |parser: &Parser| Span { start, end: parser.behind().end };
    let data_type = match name.as_str() {
        "BOOLEAN" => SqlType::Boolean,
        "TINYINT" => SqlType::TinyInt,
        "SMALLINT" => SqlType::SmallInt,
        "INT" | "INTEGER" => SqlType::Int,
        "BIGINT" => SqlType::BigInt,
        "FLOAT" => SqlType::Float,
        "DOUBLE" => {
            parser.takes(&["PRECISION"]);
            SqlType::Double
        }
        "DECIMAL" | "DEC" | "NUMERIC" => {
            let (precision, scale) = precision_and_scale(parser)?;
            if !(1..=38).contains(&precision) || scale > precision {
                return Err(Error::query(format!("there is no {name}({precision}, {scale})"))
                    .with_span(whole(parser))
                    .with_help("the precision is 1 to 38, the scale 0 to the precision"));
            }
            SqlType::Decimal(precision as u8, scale as u8)
        }
        "STRING" => SqlType::STRING,
        "BYTES" => SqlType::VarBinary(u32::MAX),
        "CHAR" | "CHARACTER" if parser.takes(&["VARYING"]) => SqlType::VarChar(length(parser, start)?),
        "CHAR" | "CHARACTER" => SqlType::Char(length(parser, start)?.min(i32::MAX.cast_unsigned())),
        "VARCHAR" => SqlType::VarChar(length(parser, start)?),
        "BINARY" if parser.takes(&["VARYING"]) => SqlType::VarBinary(length(parser, start)?),
        "BINARY" => SqlType::Binary(length(parser, start)?.min(i32::MAX.cast_unsigned())),
        "VARBINARY" => SqlType::VarBinary(length(parser, start)?),
        "DATE" => SqlType::Date,
        "TIME" => {
            let precision = precision(parser, start, 0)?;
            if parser.sees(&["WITH"]) {
                return Err(parser.unexpected("TIME without a time zone"));
            }
            without_time_zone(parser)?;
            SqlType::Time(precision)
        }
        "TIMESTAMP" => {
            let precision = precision(parser, start, 6)?;
            if parser.takes(&["WITH", "LOCAL", "TIME", "ZONE"]) {
                SqlType::TimestampLtz(precision)
            } else if parser.takes(&["WITH", "TIME", "ZONE"]) {
                return Err(Error::query("TIMESTAMP WITH TIME ZONE is not built yet, here as in Flink")
                    .with_span(whole(parser))
                    .with_help(format!("TIMESTAMP_LTZ({precision}) is an instant, shown in the session's time zone")));
            } else {
                without_time_zone(parser)?;
                SqlType::Timestamp(precision)
            }
        }
        "TIMESTAMP_LTZ" => SqlType::TimestampLtz(precision(parser, start, 6)?),
        "ARRAY" => {
            parser.expects_sign(&Token::Lt)?;
            let element = element(parser, depth)?;
            parser.expects_sign(&Token::Gt)?;
            SqlType::Array(Box::new(element))
        }
        "MULTISET" => {
            parser.expects_sign(&Token::Lt)?;
            let element = element(parser, depth)?;
            parser.expects_sign(&Token::Gt)?;
            SqlType::Multiset(Box::new(element))
        }
        "MAP" => {
            parser.expects_sign(&Token::Lt)?;
            let key = element(parser, depth)?;
            parser.expects_sign(&Token::Comma)?;
            let value = element(parser, depth)?;
            parser.expects_sign(&Token::Gt)?;
            SqlType::Map(Box::new(key), Box::new(value))
        }
        "ROW" => SqlType::Row(fields(parser, depth)?),
        "REAL" => {
            return Err(Error::query("there is no type REAL")
                .with_span(whole(parser))
                .with_help("FLOAT has 4 bytes, DOUBLE has 8"));
        }
        "TEXT" => return Err(unknown(&name, whole(parser)).with_help("text of any length is STRING")),
        "RAW" | "STRUCTURED" | "VARIANT" | "BITMAP" | "INTERVAL" | "NULL" | "DESCRIPTOR" => {
            return Err(Error::query(format!("the type {name} is not built yet for columns"))
                .with_span(whole(parser))
                .with_help("use BYTES, STRING, BIGINT or a ROW"));
        }
        _ => {
            return Err(unknown(&name, whole(parser)).with_help(
                "the types are BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL, CHAR, VARCHAR, STRING, BINARY, \
                 VARBINARY, BYTES, DATE, TIME, TIMESTAMP, TIMESTAMP_LTZ, ARRAY, MAP, MULTISET and ROW",
            ));
        }
    };
    Ok(data_type)
}

fn unknown(name: &str, span: Span) -> Error {
    Error::query(format!("there is no type {name}")).with_span(span)
}

/// A type inside another, with its nullability.
fn element(parser: &mut Parser, depth: usize) -> Result<SqlType> {
    let data_type = nested(parser, depth + 1)?;
    let _ = parser.takes(&["NOT", "NULL"]) || parser.takes(&["NULL"]);
    Ok(data_type)
}

/// `<a INT, b STRING 'comment'>` or the same in parentheses.
fn fields(parser: &mut Parser, depth: usize) -> Result<Vec<(String, SqlType)>> {
    // Without fields the two signs look like one.
    if parser.takes_sign(&Token::Neq) {
        return Ok(Vec::new());
    }
    let close = if parser.takes_sign(&Token::Lt) {
        Token::Gt
    } else if parser.takes_sign(&Token::LParen) {
        Token::RParen
    } else {
        return Err(parser.unexpected("`<` and the fields of the ROW"));
    };
    let mut fields: Vec<(String, SqlType)> = Vec::new();
    if parser.takes_sign(&close) {
        return Ok(fields);
    }
    loop {
        let name = parser.name("the name of a field")?;
        if fields.iter().any(|(other, _)| *other == name) {
            return Err(Error::query(format!("the ROW has two fields `{name}`")).with_span(parser.behind()));
        }
        let data_type = element(parser, depth)?;
        parser.takes_text();
        fields.push((name, data_type));
        if parser.takes_sign(&close) {
            return Ok(fields);
        }
        if !parser.takes_sign(&Token::Comma) {
            return Err(parser.unexpected(&format!("`,` or `{close}`")));
        }
    }
}

/// `(n)`; without it 1. The longest, as in Flink, means any length.
fn length(parser: &mut Parser, start: usize) -> Result<u32> {
    if !parser.takes_sign(&Token::LParen) {
        return Ok(1);
    }
    let length = parser.number("a length")?;
    parser.expects_sign(&Token::RParen)?;
    match i32::try_from(length) {
        Ok(i32::MAX) => Ok(u32::MAX),
        Ok(1..) => Ok(length),
        _ => Err(Error::query(format!("there is no length {length}"))
            .with_span(Span { start, end: parser.behind().end })
            .with_help(format!("a length is 1 to {}; STRING and BYTES have any length", i32::MAX))),
    }
}

fn precision(parser: &mut Parser, start: usize, default: u8) -> Result<u8> {
    if !parser.takes_sign(&Token::LParen) {
        return Ok(default);
    }
    let precision = parser.number("a precision")?;
    parser.expects_sign(&Token::RParen)?;
    u8::try_from(precision).ok().filter(|precision| *precision <= 9).ok_or_else(|| {
        Error::query(format!("there is no precision {precision}"))
            .with_span(Span { start, end: parser.behind().end })
            .with_help("the digits of a second are 0 to 9; 3 are milliseconds")
    })
}

fn precision_and_scale(parser: &mut Parser) -> Result<(u32, u32)> {
    if !parser.takes_sign(&Token::LParen) {
        return Ok((10, 0));
    }
    let precision = parser.number("a precision")?;
    let scale = if parser.takes_sign(&Token::Comma) { parser.number("a scale")? } else { 0 };
    parser.expects_sign(&Token::RParen)?;
    Ok((precision, scale))
}

fn without_time_zone(parser: &mut Parser) -> Result<()> {
    if parser.takes(&["WITHOUT"]) {
        parser.expects(&["TIME", "ZONE"])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = SqlType::parse(text).map_or_else(
            |error| match error.span() {
                Some(span) => format!("{}..{} {}", span.start, span.end, error.message()),
                None => format!("without a place: {error}"),
            },
            |data_type| {
                let again = SqlType::parse(&data_type.to_string()).expect("its own text is a type");
                assert_eq!(again, data_type, "{text}");
                assert_eq!(SqlType::of_cast(&data_type.for_cast()).expect("so is the cast"), data_type, "{text}");
                data_type.to_string()
            },
        );
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_type_and_its_defaults() {
        for text in ["BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "STRING", "BYTES", "DATE"] {
            check(text, text);
            check(&text.to_lowercase(), text);
        }
        check("INTEGER", "INT");
        check("DOUBLE PRECISION", "DOUBLE");
        check("DECIMAL", "DECIMAL(10, 0)");
        check("DEC(5)", "DECIMAL(5, 0)");
        check("NUMERIC(38, 38)", "DECIMAL(38, 38)");
        check("CHAR", "CHAR(1)");
        check("CHARACTER(7)", "CHAR(7)");
        check("CHARACTER VARYING(7)", "VARCHAR(7)");
        check("VARCHAR", "VARCHAR(1)");
        check("VARCHAR(2147483647)", "STRING");
        check("CHAR(2147483647)", "CHAR(2147483647)");
        check("BINARY", "BINARY(1)");
        check("BINARY(4)", "BINARY(4)");
        check("VARBINARY(4)", "VARBINARY(4)");
        check("VARBINARY(2147483647)", "BYTES");
        check("TIME", "TIME(0)");
        check("TIME(3) WITHOUT TIME ZONE", "TIME(3)");
        check("TIMESTAMP", "TIMESTAMP(6)");
        check("TIMESTAMP(3)", "TIMESTAMP(3)");
        check("TIMESTAMP WITHOUT TIME ZONE", "TIMESTAMP(6)");
        check("TIMESTAMP(3) WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(3)");
        check("TIMESTAMP_LTZ", "TIMESTAMP_LTZ(6)");
        check("TIMESTAMP_LTZ(9)", "TIMESTAMP_LTZ(9)");
    }

    #[test]
    fn nested_types() {
        check("ARRAY<INT NOT NULL>", "ARRAY<INT>");
        check("INT ARRAY", "ARRAY<INT>");
        check("INT ARRAY MULTISET", "MULTISET<ARRAY<INT>>");
        check("MAP<STRING, ARRAY<INT>>", "MAP<STRING, ARRAY<INT>>");
        check("MULTISET<STRING>", "MULTISET<STRING>");
        check("ROW<a INT, `b c` STRING NULL 'text'>", "ROW<`a` INT, `b c` STRING>");
        check("ROW(a INT, b ROW<c TIMESTAMP_LTZ(3)>)", "ROW<`a` INT, `b` ROW<`c` TIMESTAMP_LTZ(3)>>");
        check("ROW<>", "ROW<>");
    }

    #[test]
    fn refused_types() {
        check("DECIMAL(39)", "0..11 there is no DECIMAL(39, 0)");
        check("DECIMAL(3, 4)", "0..13 there is no DECIMAL(3, 4)");
        check("VARCHAR(0)", "0..10 there is no length 0");
        check("CHAR(3000000000)", "0..16 there is no length 3000000000");
        check("TIMESTAMP(10)", "0..13 there is no precision 10");
        check("TIMESTAMP(3) WITH TIME ZONE", "0..27 TIMESTAMP WITH TIME ZONE is not built yet, here as in Flink");
        check("REAL", "0..4 there is no type REAL");
        check("TEXT", "0..4 there is no type TEXT");
        check("RAW", "0..3 the type RAW is not built yet for columns");
        check("NUMBER", "0..6 there is no type NUMBER");
        check("`INT`", "0..5 expected a type, found `INT`");
        check("ARRAY", "5..5 expected `<`, but the statement ends here");
        check("ROW<a INT, a INT>", "11..12 the ROW has two fields `a`");
        check("MAP<INT>", "7..8 expected `,`, found `>`");
        check("INT INT", "4..7 expected the end of the statement, found `INT`");
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| format!("{}INT{}", "ROW<a INT, b ".repeat(depth), ">".repeat(depth));
        limits::on_large_stack(|| {
            assert!(SqlType::parse(&nested(100)).is_ok());
            let error = SqlType::parse(&nested(300)).unwrap_err();
            assert_eq!(error.id(), Some("BL-LIM-SQL-DEPTH"));
            let error = SqlType::parse(&format!("INT{}", " ARRAY".repeat(300))).unwrap_err();
            assert_eq!(error.id(), Some("BL-LIM-SQL-DEPTH"));
        });
    }
}
