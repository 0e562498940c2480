//! Flink's dialect for sqlparser: it reports itself as generic and reads by itself what sqlparser reads otherwise.
//!
//! The shapes in the syntax tree, which `window_call` and the plan rely on:
//! - `TABLE t` as an argument is a call of a function `TABLE` with the name as its one argument; `TABLE (SELECT …)` one with
//!   the query as its argument. `PARTITION BY` becomes the `OVER` of that call. `DESCRIPTOR(ts)` is a call as it stands.
//! - `CAST(x AS type)` and TRY_CAST have a type that `SqlType::of_cast` reads back.
//! - `INTERVAL '…' unit` is an interval of one unit, without a precision: of several units it becomes SECOND or MONTH.
//! - `MAP[k, v, …]` is sqlparser's map literal.
//! - `forms` tells the shapes of CASE, POSITION, BETWEEN and braces, `json_call` those of the functions of JSON.

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::{self, Expr};
use sqlparser::dialect::{Dialect, GenericDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::{self, Cursor};
use super::{data_type, forms, interval, json_call};

/// How deep sqlparser may call itself. `limits` has measured the text before, and each level costs three calls at most.
const RECURSION: usize = 4096;

/// Flink's SQL. One value reads one text: it counts the work.
#[derive(Debug)]
pub struct FlinkDialect {
    /// How many more operands may be read. sqlparser tries some texts in two ways, and where such texts nest and none of the
    /// ways leads on, the work doubles with each level.
    fuel: Cell<usize>,
}

impl Default for FlinkDialect {
    fn default() -> Self {
        Self { fuel: Cell::new(usize::MAX) }
    }
}

impl FlinkDialect {
    /// A parser over the tokens of a statement or a part of it, with the fuel that a text of that length may need.
    pub(super) fn parser(&self, tokens: Vec<TokenWithSpan>) -> Parser<'_> {
        self.fuel.set(10_000 + 4 * tokens.len());
        Parser::new(self).with_recursion_limit(RECURSION).with_tokens_with_locations(tokens)
    }

    fn burn(&self) -> Result<(), ParserError> {
        let left = self.fuel.get().checked_sub(1);
        self.fuel.set(left.unwrap_or(0));
        // The one error that sqlparser hands on instead of trying the next way.
        left.map(|_| ()).ok_or(ParserError::RecursionLimitExceeded)
    }
}

impl Dialect for FlinkDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, first: char) -> bool {
        first == '`'
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('`')
    }

    fn is_identifier_start(&self, first: char) -> bool {
        first.is_alphabetic() || first == '_' || first == '$'
    }

    fn is_identifier_part(&self, next: char) -> bool {
        next.is_alphanumeric() || next == '_' || next == '$'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    /// Words that begin a form of their own: if that form is broken, the word is no name either.
    fn is_reserved_for_identifier(&self, word: Keyword) -> bool {
        use Keyword as K;
        matches!(
            word,
            K::CASE
                | K::CAST
                | K::CEIL
                | K::EXISTS
                | K::EXTRACT
                | K::FLOOR
                | K::INTERVAL
                | K::NOT
                | K::OVERLAY
                | K::POSITION
                | K::SUBSTRING
                | K::TRIM
                | K::TRY_CAST
        )
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if let Err(error) = self.burn() {
            return Some(Err(error));
        }
        if let Some(call) = json_call::json_call(parser) {
            return Some(call);
        }
        let follows = |sign: &Token| parser.peek_nth_token_ref(1).token == *sign;
        let word = match &parser.peek_token_ref().token {
            Token::LBrace => return Some(forms::braces(parser)),
            Token::Word(word) => word,
            Token::LParen if is_query(&parser.peek_nth_token_ref(1).token) => return Some(query_argument(parser)),
            _ => return None,
        };
        match word.keyword {
            Keyword::CASE => Some(forms::case(parser)),
            Keyword::TRIM if follows(&Token::LParen) => forms::trim(parser),
            Keyword::POSITION if follows(&Token::LParen) => Some(forms::position(parser, self)),
            Keyword::TABLE
                if follows(&Token::LParen) || matches!(parser.peek_nth_token_ref(1).token, Token::Word(_)) =>
            {
                Some(table_argument(parser))
            }
            Keyword::CAST if follows(&Token::LParen) => Some(cast(parser, ast::CastKind::Cast)),
            Keyword::TRY_CAST if follows(&Token::LParen) => Some(cast(parser, ast::CastKind::TryCast)),
            Keyword::MAP if follows(&Token::LBracket) => Some(map(parser)),
            Keyword::INTERVAL if interval::follows(parser) => {
                Some(interval::literal(parser).map_err(|error| cursor::wrap(&error)))
            }
            Keyword::INTERVAL if interval::is_a_name(parser) => Some(parser.parse_identifier().map(Expr::Identifier)),
            _ => None,
        }
    }

    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, _: u8) -> Option<Result<Expr, ParserError>> {
        forms::between(parser, self, expr).or_else(|| json_call::is_json(parser, expr))
    }
}

/// `TABLE name` or `TABLE (query)`, with `PARTITION BY`.
fn table_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    let table = parser.parse_identifier()?;
    let args = if parser.consume_token(&Token::LParen) {
        let query = parser.parse_query()?;
        parser.expect_token(&Token::RParen)?;
        ast::FunctionArguments::Subquery(query)
    } else {
        let mut parts = vec![parser.parse_identifier()?];
        while parser.consume_token(&Token::Period) {
            parts.push(parser.parse_identifier()?);
        }
        let name = if parts.len() == 1 { Expr::Identifier(parts.remove(0)) } else { Expr::CompoundIdentifier(parts) };
        ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(name))],
            clauses: Vec::new(),
        })
    };
    let over = if parser.takes(&["PARTITION", "BY"]) { Some(partition_by(parser)?) } else { None };
    Ok(table_call(table, args, over))
}

/// Whether a query begins with this.
fn is_query(token: &Token) -> bool {
    matches!(token, Token::Word(word) if matches!(word.keyword, Keyword::SELECT | Keyword::WITH))
}

/// `(query)`, which is `TABLE (query)` where `PARTITION BY` follows.
fn query_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let query = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    if !parser.takes(&["PARTITION", "BY"]) {
        return Ok(Expr::Subquery(query));
    }
    let over = partition_by(parser)?;
    Ok(table_call(ast::Ident::new("TABLE"), ast::FunctionArguments::Subquery(query), Some(over)))
}

fn table_call(table: ast::Ident, args: ast::FunctionArguments, over: Option<ast::WindowType>) -> Expr {
    Expr::Function(ast::Function {
        name: ast::ObjectName::from(vec![table]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args,
        filter: None,
        null_treatment: None,
        over,
        within_group: Vec::new(),
    })
}

/// One column, or several in parentheses.
fn partition_by(parser: &mut Parser) -> Result<ast::WindowType, ParserError> {
    let partition_by = if parser.consume_token(&Token::LParen) {
        let columns = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.expect_token(&Token::RParen)?;
        columns
    } else {
        vec![Expr::Identifier(parser.parse_identifier()?)]
    };
    Ok(ast::WindowType::WindowSpec(ast::WindowSpec {
        window_name: None,
        partition_by,
        order_by: Vec::new(),
        window_frame: None,
    }))
}

fn cast(parser: &mut Parser, kind: ast::CastKind) -> Result<Expr, ParserError> {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    let expr = parser.parse_expr()?;
    parser.expect_keyword(Keyword::AS)?;
    let data_type = data_type::data_type(parser).map_err(|error| cursor::wrap(&error))?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Cast { kind, expr: Box::new(expr), data_type: data_type.for_cast(), array: false, format: None })
}

/// `MAP['a', 1, 'b', 2]`
fn map(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.advance_token();
    parser.expect_token(&Token::LBracket)?;
    let mut entries = Vec::new();
    loop {
        let key = Box::new(parser.parse_expr()?);
        parser.expect_token(&Token::Comma)?;
        let value = Box::new(parser.parse_expr()?);
        entries.push(ast::MapEntry { key, value });
        if !parser.consume_token(&Token::Comma) {
            parser.expect_token(&Token::RBracket)?;
            return Ok(Expr::Map(ast::Map { entries }));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::parse_expression;

    fn check(text: &str, expected: &str) {
        let found = parse_expression(text).map_or_else(
            |error| {
                let span = error.span().expect("every error has a span");
                format!("{}..{} {}", span.start, span.end, error.message())
            },
            |expression| expression.to_string(),
        );
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn casts_take_flinks_types() {
        check("CAST(a AS TIMESTAMP)", "CAST(a AS TIMESTAMP(6))");
        check("CAST(a AS TIMESTAMP(3) WITH LOCAL TIME ZONE)", "CAST(a AS TIMESTAMP_LTZ(3))");
        check("TRY_CAST(`a b` AS DECIMAL)", "TRY_CAST(`a b` AS DECIMAL(10,0))");
        check("CAST(a AS ROW<x INT, y ARRAY<STRING>>)", "CAST(a AS ROW<`x` INT, `y` ARRAY<STRING>>)");
        check("CAST(a AS NUMBER)", "10..16 there is no type NUMBER");
        check("CAST(a, INT)", "6..7 expected AS, found `,`");
        check("1 + CAST(a AS DECIMAL(40))", "14..25 there is no DECIMAL(40, 0)");
    }

    #[test]
    fn expressions_of_every_kind() {
        for text in [
            "a.b.c + 1 * -2",
            "a IS NOT NULL AND NOT (b OR c)",
            "CASE WHEN a > 1 THEN 'x' ELSE 'y' END",
            "COUNT(DISTINCT a) FILTER (WHERE b > 1)",
            "SUM(a) OVER (PARTITION BY b ORDER BY c ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
            "a BETWEEN 1 AND 2",
            "a NOT IN (1, 2)",
            "a LIKE '%x' ESCAPE '!'",
            "EXTRACT(YEAR FROM a)",
            "SUBSTRING(a FROM 1 FOR 2)",
            "TRIM(BOTH ' ' FROM a)",
            "POSITION('a' IN b)",
            "CEIL(a)",
            "ARRAY[1, 2][1]",
            "EXISTS (SELECT 1)",
            "a IS DISTINCT FROM b",
            "a || 'x'",
            "DATE '2024-01-01'",
            "TIMESTAMP '2024-01-01 00:00:00'",
            "X'41'",
            "CURRENT_WATERMARK(ts)",
            "TIMESTAMPDIFF(DAY, a, b)",
        ] {
            check(text, text);
        }
        check("MAP['a', 1]", "MAP {'a': 1}");
        check("a = MAP['a']", "11..12 expected `,`, found `]`".replace("`,`", ",").as_str());
    }

    #[test]
    fn words_that_flink_reserves_may_be_columns() {
        for text in [
            "user",
            "current_user + 1",
            "t.user",
            "t.NULL",
            "t.current_date",
            "t.`table`",
            "interval = 1",
            "f(interval)",
        ] {
            check(text, text);
        }
        let error = parse_expression("cast = 1").unwrap_err();
        assert_eq!(error.message(), "expected (, found `=`");
        assert_eq!(error.helps(), ["if cast is a name here, write it in back-quotes: `cast`"]);
    }

    #[test]
    fn broken_expressions_have_a_place() {
        check("", "0..0 expected an expression, but the statement ends here");
        check("a +", "3..3 expected an expression, but the statement ends here");
        check("(a", "2..2 expected ), but the statement ends here");
        check("a b", "2..3 expected the end of the statement, found `b`");
        check("CASE WHEN a THEN b", "18..18 expected END, but the statement ends here");
        check("f(a, , b)", "5..6 expected an expression, found `,`");
    }

    #[test]
    fn text_that_could_double_the_work_at_each_level_ends() {
        for piece in
            ["CASE ", "TRIM(", "CAST(", "NOT (", "f(", "((", "a IN ((", "EXTRACT(", "SUBSTRING(a, ", "CEIL(", "ARRAY["]
        {
            assert!(parse_expression(&piece.repeat(100)).is_err(), "{piece}");
        }
    }
}
