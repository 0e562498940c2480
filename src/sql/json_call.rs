//! Flink's functions of JSON, which have words of their own between the arguments.
//!
//! The shape in the syntax tree is a call whose clauses are arguments with names:
//! - `JSON_EXISTS(text, path, ON_ERROR => 'TRUE')`
//! - `JSON_VALUE(text, path, RETURNING => CAST(NULL AS type), ON_EMPTY => default, ON_ERROR => 'ERROR')`, where a behaviour
//!   is a text and a default is a call `DEFAULT(value)`
//! - `JSON_QUERY(text, path, RETURNING => …, WRAPPER => 'CONDITIONAL', ON_EMPTY => 'EMPTY ARRAY', ON_ERROR => 'NULL')`
//! - `JSON_OBJECT(name, value, …, NULLS => 'ABSENT')`, `JSON_ARRAY(value, …, NULLS => 'NULL')`
//! - `JSON_OBJECTAGG(name, value, NULLS => …)`, `JSON_ARRAYAGG(value, NULLS => …)`
//! - `a IS JSON OBJECT` is a call `JSON?(a, 'OBJECT')`.

use sqlparser::ast::{self, Expr};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token};

use super::cursor::{self, Cursor};
use super::data_type;
use super::forms::{call, call_of};

/// The name of the call that a test for JSON is.
pub const IS_JSON: &str = "JSON?";

/// A call of one of the functions, if it comes next.
pub(super) fn json_call(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    const NAMES: &[&str] =
        &["JSON_EXISTS", "JSON_VALUE", "JSON_QUERY", "JSON_OBJECT", "JSON_ARRAY", "JSON_OBJECTAGG", "JSON_ARRAYAGG"];
    let name = NAMES.iter().find(|name| parser.sees(&[name]))?;
    if parser.peek_nth_token_ref(1).token != Token::LParen {
        return None;
    }
    let span = parser.next_token().span;
    parser.advance_token();
    let arguments = match *name {
        "JSON_OBJECT" | "JSON_OBJECTAGG" => members(parser, name),
        "JSON_ARRAY" | "JSON_ARRAYAGG" => elements(parser),
        name => path_call(parser, name),
    };
    Some(arguments.map(|arguments| call_of(name, span, arguments)))
}

/// `IS [NOT] JSON [VALUE | SCALAR | ARRAY | OBJECT]`, if it comes next; the text before it is read.
pub(super) fn is_json(parser: &mut Parser, text: &Expr) -> Option<Result<Expr, ParserError>> {
    let span = parser.peek_token_ref().span;
    let negated = parser.sees(&["IS", "NOT", "JSON"]);
    if !negated && !parser.sees(&["IS", "JSON"]) {
        return None;
    }
    parser.takes(if negated { &["IS", "NOT", "JSON"] } else { &["IS", "JSON"] });
    let kind = ["VALUE", "SCALAR", "ARRAY", "OBJECT"].into_iter().find(|word| parser.takes(&[word]));
    let test = call(IS_JSON, span, vec![text.clone(), word(kind.unwrap_or("VALUE"), span)]);
    Some(Ok(match negated {
        true => Expr::UnaryOp { op: ast::UnaryOperator::Not, expr: Box::new(test) },
        false => test,
    }))
}

fn plain(expression: Expr) -> ast::FunctionArg {
    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expression))
}

fn named(name: &str, value: Expr) -> ast::FunctionArg {
    ast::FunctionArg::Named {
        name: ast::Ident::new(name),
        arg: ast::FunctionArgExpr::Expr(value),
        operator: ast::FunctionArgOperator::RightArrow,
    }
}

fn word(word: &str, span: Span) -> Expr {
    Expr::Value(ast::Value::SingleQuotedString(word.to_owned()).with_span(span))
}

/// The text, the path and the clauses behind them.
fn path_call(parser: &mut Parser, name: &str) -> Result<Vec<ast::FunctionArg>, ParserError> {
    let mut arguments = vec![plain(parser.parse_expr()?)];
    if !parser.consume_token(&Token::Comma) {
        return Err(cursor::wrap(&parser.unexpected(&format!("`,` and a path behind the text of {name}"))));
    }
    arguments.push(plain(parser.parse_expr()?));
    if name != "JSON_EXISTS" && parser.takes(&["RETURNING"]) {
        let data_type = data_type::data_type(parser).map_err(|error| cursor::wrap(&error))?;
        let null = Expr::Value(ast::Value::Null.with_span(Span::empty()));
        arguments.push(named(
            "RETURNING",
            Expr::Cast {
                kind: ast::CastKind::Cast,
                expr: Box::new(null),
                data_type: data_type.for_cast(),
                array: false,
                format: None,
            },
        ));
    }
    if name == "JSON_QUERY"
        && let Some(wrapper) = wrapper(parser)?
    {
        arguments.push(named("WRAPPER", word(wrapper, parser.get_current_token().span)));
    }
    let behaviours: &[&str] = match name {
        "JSON_EXISTS" => &["TRUE", "FALSE", "UNKNOWN", "ERROR"],
        "JSON_VALUE" => &["NULL", "ERROR"],
        _ => &["NULL", "ERROR", "EMPTY ARRAY", "EMPTY OBJECT"],
    };
    loop {
        let span = parser.peek_token_ref().span;
        let is_word = |behaviour: &&&str| parser.takes(&behaviour.split(' ').collect::<Vec<_>>());
        let behaviour = match behaviours.iter().find(is_word) {
            Some(found) => word(found, span),
            None if name == "JSON_VALUE" && parser.takes(&["DEFAULT"]) => {
                call("DEFAULT", span, vec![parser.parse_expr()?])
            }
            None => break,
        };
        let clause = match parser.takes(&["ON", "ERROR"]) {
            true => "ON_ERROR",
            false if name != "JSON_EXISTS" && parser.takes(&["ON", "EMPTY"]) => "ON_EMPTY",
            false => return Err(cursor::wrap(&parser.unexpected("ON ERROR or ON EMPTY"))),
        };
        arguments.push(named(clause, behaviour));
    }
    parser.expect_token(&Token::RParen)?;
    Ok(arguments)
}

/// `{WITHOUT | WITH [CONDITIONAL | UNCONDITIONAL]} [ARRAY] WRAPPER`
fn wrapper(parser: &mut Parser) -> Result<Option<&'static str>, ParserError> {
    let found = if parser.takes(&["WITHOUT"]) {
        "NOTHING"
    } else if parser.takes(&["WITH", "CONDITIONAL"]) {
        "CONDITIONAL"
    } else if parser.takes(&["WITH", "UNCONDITIONAL"]) || parser.takes(&["WITH"]) {
        "ALL"
    } else {
        return Ok(None);
    };
    parser.takes(&["ARRAY"]);
    parser.expects(&["WRAPPER"]).map_err(|error| cursor::wrap(&error))?;
    Ok(Some(found))
}

/// `[KEY] name VALUE value, … [{NULL | ABSENT} ON NULL]`
fn members(parser: &mut Parser, name: &str) -> Result<Vec<ast::FunctionArg>, ParserError> {
    let mut arguments = Vec::new();
    while parser.peek_token_ref().token != Token::RParen && !sees_nulls(parser) {
        if !arguments.is_empty() {
            parser.expect_token(&Token::Comma)?;
        }
        // A column may be called so as well.
        let is_key = parser.sees(&["KEY"])
            && !matches!(parser.peek_nth_token_ref(1).token, Token::Period)
            && !matches!(&parser.peek_nth_token_ref(1).token, Token::Word(word) if word.value.eq_ignore_ascii_case("VALUE"));
        if is_key {
            parser.advance_token();
        }
        arguments.push(plain(parser.parse_expr()?));
        if !parser.takes(&["VALUE"]) {
            let error = parser.unexpected(&format!("VALUE behind a name of {name}")).with_help(format!(
                "write {name}('name' VALUE value{})",
                if name == "JSON_OBJECT" { ", …" } else { "" }
            ));
            return Err(cursor::wrap(&error));
        }
        arguments.push(plain(parser.parse_expr()?));
    }
    finish(parser, arguments)
}

/// `value, … [{NULL | ABSENT} ON NULL]`
fn elements(parser: &mut Parser) -> Result<Vec<ast::FunctionArg>, ParserError> {
    let mut arguments = Vec::new();
    while parser.peek_token_ref().token != Token::RParen && !sees_nulls(parser) {
        if !arguments.is_empty() {
            parser.expect_token(&Token::Comma)?;
        }
        arguments.push(plain(parser.parse_expr()?));
    }
    finish(parser, arguments)
}

fn sees_nulls(parser: &Parser) -> bool {
    ["NULL", "ABSENT"].iter().any(|word| parser.sees(&[word, "ON", "NULL"]))
}

fn finish(parser: &mut Parser, mut arguments: Vec<ast::FunctionArg>) -> Result<Vec<ast::FunctionArg>, ParserError> {
    let span = parser.peek_token_ref().span;
    if let Some(nulls) = ["NULL", "ABSENT"].into_iter().find(|word| parser.takes(&[word, "ON", "NULL"])) {
        arguments.push(named("NULLS", word(nulls, span)));
    }
    parser.expect_token(&Token::RParen)?;
    Ok(arguments)
}
