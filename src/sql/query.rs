//! Queries and expressions: sqlparser reads them, and what is left is put into one shape or refused by name.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, FunctionArguments, TableFactor, VisitMut, VisitorMut};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result};

use super::cursor::Cursor;
use super::dialect::FlinkDialect;
use super::hints::Hints;
use super::statement::ObjectName;
use super::tokens::{cover, script_span, tokens, words};
use super::{limits, refused, values};

/// Reads one query, such as the stored text of a view. Spans count from its start.
pub fn parse_query(text: &str) -> Result<Box<ast::Query>> {
    let (mut query, hints) = alone(text, |parser| {
        let query = query(parser)?;
        parser.end()?;
        Ok(query)
    })?;
    hints.apply_to_query(&mut query)?;
    Ok(query)
}

/// Reads one expression. Spans count from its start.
pub fn parse_expression(text: &str) -> Result<Expr> {
    let (expression, hints) = alone(text, |parser| {
        let expression = expression(parser)?;
        parser.end()?;
        Ok(expression)
    })?;
    hints.end()?;
    Ok(expression)
}

fn alone<T: Send>(text: &str, read: impl FnOnce(&mut Parser) -> Result<T> + Send) -> Result<(T, Hints)> {
    limits::check_bytes(text)?;
    limits::check_depth(text, 0)?;
    limits::on_large_stack(|| {
        let mut tokens = tokens(text, 0)?;
        let hints = Hints::take(&mut tokens)?;
        refused::in_query(&tokens)?;
        let tokens = values::in_parentheses(tokens);
        let dialect = FlinkDialect::default();
        Ok((read(&mut dialect.parser(tokens))?, hints))
    })
}

/// Whether a query begins here.
pub(super) fn begins(parser: &Parser) -> bool {
    ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| parser.sees(&[word]))
        || parser.peek_token_ref().token == Token::LParen
}

/// Reads a query up to where it ends.
pub(super) fn query(parser: &mut Parser) -> Result<Box<ast::Query>> {
    if !begins(parser) {
        return Err(parser.unexpected("a query: SELECT, WITH or VALUES"));
    }
    let mut query = parser.parse_query().map_err(|error| parser.translate(error))?;
    match query.visit(&mut Normaliser) {
        ControlFlow::Continue(()) => Ok(query),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Reads an expression up to where it ends.
pub(super) fn expression(parser: &mut Parser) -> Result<Expr> {
    let mut expression = parser.parse_expr().map_err(|error| parser.translate(error))?;
    match expression.visit(&mut Normaliser) {
        ControlFlow::Continue(()) => Ok(expression),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Puts `TABLE(f(…))` into the shape of `f(…)`, and refuses what sqlparser reads and Flink does not.
struct Normaliser;

impl VisitorMut for Normaliser {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let TableFactor::Table { name, with_hints, .. } = factor
            && !with_hints.is_empty()
        {
            let help = "options for one query stand in a hint: FROM t /*+ OPTIONS('key' = 'value') */";
            return refuse("WITH (…) behind a table", help, ast::Spanned::span(name));
        }
        if let Some(plain) = plain_function(factor) {
            *factor = plain;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<Error> {
        if query.for_clause.is_some() || !query.locks.is_empty() {
            return refuse(
                "FOR UPDATE and the like",
                "nothing is locked here; leave it out",
                ast::Spanned::span(query),
            );
        }
        if matches!(
            *query.body,
            ast::SetExpr::Insert(_) | ast::SetExpr::Update(_) | ast::SetExpr::Delete(_) | ast::SetExpr::Merge(_)
        ) {
            let help = "write INSERT INTO t WITH … SELECT …";
            return refuse("WITH before INSERT, UPDATE, DELETE or MERGE", help, ast::Spanned::span(query));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<Error> {
        let (found, help) = if matches!(select.distinct, Some(ast::Distinct::On(_))) {
            ("DISTINCT ON", "for one row a key write SELECT k, MAX(v) FROM t GROUP BY k")
        } else if select.into.is_some() {
            ("SELECT … INTO", "write INSERT INTO t SELECT …")
        } else if !select.lateral_views.is_empty() {
            ("LATERAL VIEW", "")
        } else if !select.connect_by.is_empty() {
            ("CONNECT BY", "")
        } else if select.value_table_mode.is_some() {
            ("SELECT AS", "")
        } else {
            return ControlFlow::Continue(());
        };
        refuse(found, help, select.select_token.0.span)
    }
}

fn refuse(what: &str, help: &str, span: sqlparser::tokenizer::Span) -> ControlFlow<Error> {
    let error = Error::query(format!("{what} is not Flink's SQL"));
    let error = if help.is_empty() { error } else { error.with_help(help) };
    ControlFlow::Break(script_span(span).into_iter().fold(error, Error::with_span))
}

/// `f(…)` for `TABLE(f(…))` and `LATERAL TABLE(f(…))`.
fn plain_function(factor: &mut TableFactor) -> Option<TableFactor> {
    match factor {
        TableFactor::TableFunction { expr: Expr::Function(function), alias } => {
            let FunctionArguments::List(list) = &mut function.args else { return None };
            let args = ast::TableFunctionArgs { args: std::mem::take(&mut list.args), settings: None };
            Some(TableFactor::Table {
                name: function.name.clone(),
                alias: alias.take(),
                args: Some(args),
                with_hints: Vec::new(),
                version: None,
                with_ordinality: false,
                partitions: Vec::new(),
                json_path: None,
                sample: None,
                index_hints: Vec::new(),
            })
        }
        TableFactor::Function { lateral: true, name, args, with_ordinality: false, alias }
            if name.to_string().eq_ignore_ascii_case("TABLE") =>
        {
            let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Function(function)))] = args.as_mut_slice()
            else {
                return None;
            };
            let FunctionArguments::List(list) = &mut function.args else { return None };
            Some(TableFactor::Function {
                lateral: true,
                name: function.name.clone(),
                args: std::mem::take(&mut list.args),
                with_ordinality: false,
                alias: alias.take(),
            })
        }
        _ => None,
    }
}

/// The last `LATE RECORDS INTO` outside of parentheses: the tokens before it, and those behind it.
pub(super) fn split_late(mut tokens: Vec<TokenWithSpan>) -> Result<(Vec<TokenWithSpan>, Option<Vec<TokenWithSpan>>)> {
    let mut depth = 0usize;
    let mut found = None;
    for index in 0..tokens.len() {
        match tokens[index].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ if words(&tokens[index..], &["LATE", "RECORDS", "INTO"]) => {
                if depth > 0 {
                    let span = cover(&tokens[index..index + 3]);
                    return Err(Error::query("LATE RECORDS INTO belongs to the whole statement")
                        .with_span(span)
                        .with_help("write it behind the query, outside of all parentheses"));
                }
                found = Some(index);
            }
            _ => {}
        }
    }
    let Some(index) = found else { return Ok((tokens, None)) };
    let late = tokens.split_off(index);
    tokens.push(TokenWithSpan::new(Token::EOF, empty_at(late[0].span.start)));
    Ok((tokens, Some(late)))
}

/// Reads `LATE RECORDS INTO table`.
pub(super) fn late_table(dialect: &FlinkDialect, tokens: Vec<TokenWithSpan>) -> Result<ObjectName> {
    let mut parser = dialect.parser(tokens);
    parser.expects(&["LATE", "RECORDS", "INTO"])?;
    let table = parser.object_name("the name of the table for late rows")?;
    parser.end()?;
    Ok(table)
}

fn empty_at(location: sqlparser::tokenizer::Location) -> sqlparser::tokenizer::Span {
    location.span_to(location)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Span;

    fn check(text: &str, expected: &str) {
        let found = parse_query(text).map_or_else(
            |error| {
                let span = error.span().expect("every error has a span");
                format!("{}..{} {}", span.start, span.end, error.message())
            },
            |query| query.to_string(),
        );
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn queries_of_every_kind() {
        for text in [
            "SELECT a, b AS c FROM t WHERE a > 1 GROUP BY a, b HAVING COUNT(*) > 1 ORDER BY a DESC LIMIT 5",
            "SELECT DISTINCT `a b` FROM x.y.t AS u",
            "WITH a AS (SELECT 1), b (x) AS (SELECT 2) SELECT * FROM a, b",
            "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3",
            "VALUES (1, 'a'), (2, 'b')",
            "SELECT * FROM (VALUES (1, 'a')) AS t (id, name)",
            "SELECT * FROM a LEFT JOIN b ON a.x = b.x CROSS JOIN UNNEST(a.y) AS u (z)",
            "SELECT a, COUNT(*) FROM t GROUP BY GROUPING SETS ((a), ())",
            "SELECT a FROM t FETCH FIRST 5 ROWS ONLY",
            "SELECT window_start, COUNT(*) FROM TUMBLE(TABLE(t), DESCRIPTOR(ts), INTERVAL '1' HOUR) GROUP BY window_start",
        ] {
            check(&text.replace("TABLE(t)", "TABLE t"), text);
        }
        check(
            "SELECT * FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts AS s ON o.a = s.a",
            "SELECT * FROM o JOIN r AS s FOR SYSTEM_TIME AS OF o.ts ON o.a = s.a",
        );
        check("SELECT * FROM TABLE(f(1)) AS t", "SELECT * FROM f(1) AS t");
        check("SELECT * FROM a, LATERAL TABLE(f(a.x)) AS t (y)", "SELECT * FROM a, LATERAL f(a.x) AS t (y)");
        check("SELECT format, start, top FROM sample final", "SELECT format, start, top FROM sample final");
    }

    #[test]
    fn refused_queries() {
        check("SELECT * FROM t FOR UPDATE", "0..15 FOR UPDATE and the like is not Flink's SQL");
        check("SELECT DISTINCT ON (a) a FROM t", "0..6 DISTINCT ON is not Flink's SQL");
        check("SELECT a INTO b FROM t", "0..6 SELECT … INTO is not Flink's SQL");
        check("SELECT * FROM t WHERE", "21..21 expected an expression, but the statement ends here");
        check("SELECT FROM t", "7..11 expected an expression, found `FROM`");
        check("SELECT a FROM (t)", "16..17 expected a join or a query in the parentheses, found `)`");
        check("SELECT a ILIKE 'x' FROM t", "15..18 expected the end of the statement, found `'x'`");
        check("INSERT INTO t SELECT 1", "0..6 expected a query: SELECT, WITH or VALUES, found `INSERT`");
        check("SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A B*?))", "16..31 MATCH_RECOGNIZE is not built yet");
    }

    #[test]
    fn spans_of_the_tree_are_offsets() {
        let query = parse_query("SELECT\n  größe,\n  b FROM t").unwrap();
        let ast::SetExpr::Select(select) = &*query.body else { panic!("a SELECT") };
        let places: Vec<_> = select.projection.iter().map(|item| script_span(ast::Spanned::span(item))).collect();
        assert_eq!(places, [Some(Span { start: 9, end: 16 }), Some(Span { start: 20, end: 21 })]);
    }
}
