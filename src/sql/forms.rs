//! Expressions whose form sqlparser reads otherwise or not at all: CASE with several values behind a WHEN, POSITION with a
//! FROM, TRIM without characters, BETWEEN SYMMETRIC, and the braces of JDBC.
//!
//! The shapes in the syntax tree:
//! - `CASE x WHEN 1, 2 THEN …` has a tuple of the values as its condition.
//! - `POSITION(a IN b FROM n)` is a call `LOCATE(a, b, n)`.
//! - `a BETWEEN SYMMETRIC b AND c` is a BETWEEN whose lower bound is a call `SYMMETRIC(b)`.
//! - `{fn UCASE(a)}` is the call `UPPER(a)`, `{d '…'}` the literal `DATE '…'`.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{self, Expr};
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token};

use super::cursor::{self, Cursor};
use super::dialect::FlinkDialect;
use crate::error::Error;

/// The name of the call that a lower bound of BETWEEN SYMMETRIC is.
pub const SYMMETRIC: &str = "SYMMETRIC";

/// What JDBC calls otherwise.
const JDBC_NAMES: &[(&str, &str)] = &[
    ("UCASE", "UPPER"),
    ("LCASE", "LOWER"),
    ("LENGTH", "CHAR_LENGTH"),
    ("CURDATE", "CURRENT_DATE"),
    ("CURTIME", "CURRENT_TIME"),
    ("DATABASE", "CURRENT_DATABASE"),
];

/// A call of a function with these arguments.
pub(super) fn call(name: &str, span: Span, arguments: Vec<Expr>) -> Expr {
    let unnamed = |argument| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument));
    call_of(name, span, arguments.into_iter().map(unnamed).collect())
}

/// The same with arguments that may have names.
pub(super) fn call_of(name: &str, span: Span, args: Vec<ast::FunctionArg>) -> Expr {
    Expr::Function(ast::Function {
        name: ast::ObjectName::from(vec![ast::Ident::with_span(span, name)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `CASE [value] WHEN … [, …] THEN … [ELSE …] END`
pub(super) fn case(parser: &mut Parser) -> Result<Expr, ParserError> {
    let case_token = AttachedToken(parser.next_token());
    let operand = match parser.parse_keyword(Keyword::WHEN) {
        true => None,
        false => {
            let operand = parser.parse_expr()?;
            parser.expect_keyword(Keyword::WHEN)?;
            Some(Box::new(operand))
        }
    };
    let mut conditions = Vec::new();
    loop {
        let mut condition = parser.parse_expr()?;
        if operand.is_some() && parser.peek_token_ref().token == Token::Comma {
            let mut values = vec![condition];
            while parser.consume_token(&Token::Comma) {
                values.push(parser.parse_expr()?);
            }
            condition = Expr::Tuple(values);
        }
        parser.expect_keyword(Keyword::THEN)?;
        let result = parser.parse_expr()?;
        conditions.push(ast::CaseWhen { condition, result });
        if !parser.parse_keyword(Keyword::WHEN) {
            break;
        }
    }
    let else_result = match parser.parse_keyword(Keyword::ELSE) {
        true => Some(Box::new(parser.parse_expr()?)),
        false => None,
    };
    let end_token = AttachedToken(parser.expect_keyword(Keyword::END)?);
    Ok(Expr::Case { case_token, end_token, operand, conditions, else_result })
}

/// `POSITION(a IN b [FROM n])`
pub(super) fn position(parser: &mut Parser, dialect: &FlinkDialect) -> Result<Expr, ParserError> {
    let span = parser.next_token().span;
    parser.expect_token(&Token::LParen)?;
    // Up to IN, which is no operator here.
    let part = parser.parse_subexpr(dialect.prec_value(Precedence::Between))?;
    parser.expect_keyword(Keyword::IN)?;
    let text = parser.parse_expr()?;
    let from = parser.parse_keyword(Keyword::FROM).then(|| parser.parse_expr()).transpose()?;
    parser.expect_token(&Token::RParen)?;
    Ok(match from {
        Some(from) => call("LOCATE", span, vec![part, text, from]),
        None => Expr::Position { expr: Box::new(part), r#in: Box::new(text) },
    })
}

/// `TRIM({BOTH | LEADING | TRAILING} FROM text)`, without the characters, if that comes next.
pub(super) fn trim(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let is_from = matches!(&parser.peek_nth_token_ref(3).token, Token::Word(word) if word.keyword == Keyword::FROM);
    let trim_where = match &parser.peek_nth_token_ref(2).token {
        Token::Word(word) if is_from && word.keyword == Keyword::BOTH => ast::TrimWhereField::Both,
        Token::Word(word) if is_from && word.keyword == Keyword::LEADING => ast::TrimWhereField::Leading,
        Token::Word(word) if is_from && word.keyword == Keyword::TRAILING => ast::TrimWhereField::Trailing,
        _ => return None,
    };
    for _ in 0..4 {
        parser.advance_token();
    }
    let text = parser.parse_expr().and_then(|expr| parser.expect_token(&Token::RParen).map(|_| expr));
    Some(text.map(|expr| Expr::Trim {
        expr: Box::new(expr),
        trim_where: Some(trim_where),
        trim_what: None,
        trim_characters: None,
    }))
}

/// `value [NOT] BETWEEN {SYMMETRIC | ASYMMETRIC} low AND high`, if that comes next; the value is read.
pub(super) fn between(parser: &mut Parser, dialect: &FlinkDialect, value: &Expr) -> Option<Result<Expr, ParserError>> {
    let negated = parser.sees(&["NOT"]);
    let words = if negated { &["NOT", "BETWEEN"][..] } else { &["BETWEEN"] };
    let is_word = |word: &str| {
        let next = parser.peek_nth_token_ref(words.len());
        matches!(&next.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    };
    let is_symmetric = is_word("SYMMETRIC");
    if !parser.sees(words) || !(is_symmetric || is_word("ASYMMETRIC")) {
        return None;
    }
    parser.takes(words);
    let span = parser.next_token().span;
    let precedence = dialect.prec_value(Precedence::Between);
    let mut bounds = || {
        let low = parser.parse_subexpr(precedence)?;
        parser.expect_keyword(Keyword::AND)?;
        Ok((low, parser.parse_subexpr(precedence)?))
    };
    Some(bounds().map(|(low, high)| {
        let low = if is_symmetric { call(SYMMETRIC, span, vec![low]) } else { low };
        Expr::Between { expr: Box::new(value.clone()), negated, low: Box::new(low), high: Box::new(high) }
    }))
}

/// `{fn f(…)}`, `{d '…'}`, `{t '…'}`, `{ts '…'}`
pub(super) fn braces(parser: &mut Parser) -> Result<Expr, ParserError> {
    let span = parser.next_token().span;
    let inner = if parser.takes(&["FN"]) {
        let mut inner = parser.parse_expr()?;
        let Expr::Function(function) = &mut inner else { return finished(parser, inner) };
        let name = function.name.to_string();
        if let Some((_, ours)) = JDBC_NAMES.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(&name)) {
            function.name = ast::ObjectName::from(vec![ast::Ident::with_span(span, *ours)]);
        }
        inner
    } else {
        let types = [
            ("D", ast::DataType::Date),
            ("TS", ast::DataType::Timestamp(None, ast::TimezoneInfo::None)),
            ("T", ast::DataType::Time(None, ast::TimezoneInfo::None)),
        ];
        let found = types.into_iter().find(|(word, _)| parser.takes(&[word]));
        let Some((_, data_type)) = found else {
            let error = Error::query("a brace begins {fn f(…)}, {d '…'}, {t '…'} or {ts '…'}").with_span(parser.here());
            return Err(cursor::wrap(&error.with_help("write {d '2024-01-31'}, or DATE '2024-01-31'")));
        };
        Expr::TypedString(ast::TypedString { data_type, value: parser.parse_value()?, uses_odbc_syntax: false })
    };
    finished(parser, inner)
}

fn finished(parser: &mut Parser, inner: Expr) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::RBrace)?;
    Ok(inner)
}
