//! Hints, `/*+ … */`: taken out of the tokens before a statement is read, and put to the tables, or the SELECT, that they
//! stand behind when it has been.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, TableFactor, VisitMut, VisitorMut};
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use crate::error::{Error, Result, Span};
use crate::options::{nearest, parse_duration};

use super::alter::ViewChange;
use super::cursor::object_name_of;
use super::lexer::{Kind, Lexeme, Lexer};
use super::statement::{Insert, Statement};
use super::tokens::{FOR_FLINK, script_span};

/// Hints that choose how a join is done, and so change no result.
const OF_JOINS: [&str; 5] = ["BROADCAST", "MULTI_JOIN", "NEST_LOOP", "SHUFFLE_HASH", "SHUFFLE_MERGE"];

/// The hints of a statement that have a meaning here.
pub(super) struct Hints(Vec<Hint>);

struct Hint {
    /// Where the token before it ends.
    behind: usize,
    content: Content,
    span: Span,
}

/// What a hint says.
enum Content {
    /// OPTIONS, behind a table.
    Options(Vec<(String, String)>),
    /// The text of one with STATE_TTL, behind SELECT.
    StateTtl(String),
}

/// `STATE_TTL('t' = '1d')`: for how long the groups of a SELECT from a table are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateTtl {
    /// As FROM names it.
    pub table: String,
    /// Of the clock; 0: for ever.
    pub ttl_ms: i64,
}

impl Hints {
    /// Takes the hints out of the tokens.
    pub fn take(tokens: &mut Vec<TokenWithSpan>) -> Result<Self> {
        let mut hints = Vec::new();
        let mut behind = 0;
        for token in tokens.iter() {
            let span = script_span(token.span).unwrap_or(Span { start: behind, end: behind });
            match &token.token {
                Token::Whitespace(Whitespace::MultiLineComment(content)) => {
                    let read = read(content, span)?;
                    let mut push = |content| hints.push(Hint { behind, content, span });
                    if !read.options.is_empty() {
                        push(Content::Options(read.options));
                    }
                    if !read.ttl.is_empty() {
                        push(Content::StateTtl(content.clone()));
                    }
                }
                _ => behind = span.end,
            }
        }
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
        Ok(Self(hints))
    }

    /// Puts them to the tables of the statement that was read from the other tokens.
    pub fn apply(mut self, statement: &mut Statement) -> Result<()> {
        if !self.0.is_empty() {
            self.put_to_statement(statement);
        }
        self.end()
    }

    /// The same for a query that is no statement.
    pub fn apply_to_query(mut self, query: &mut ast::Query) -> Result<()> {
        self.put_to_query(query);
        self.end()
    }

    /// Refuses what stands behind no table.
    pub fn end(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some(Hint { content: Content::StateTtl(_), span, .. }) => {
                Err(Error::query("the hint STATE_TTL belongs behind SELECT")
                    .with_span(*span)
                    .with_help("as in SELECT /*+ STATE_TTL('t' = '1d') */ k, COUNT(*) FROM t GROUP BY k"))
            }
            Some(hint) => Err(Error::query("the hint OPTIONS belongs behind the name of a table")
                .with_span(hint.span)
                .with_help("as in SELECT * FROM t /*+ OPTIONS('key' = 'value') */ or INSERT INTO t /*+ OPTIONS('key' = 'value') */ SELECT …")),
        }
    }

    fn put_to_statement(&mut self, statement: &mut Statement) {
        match statement {
            Statement::Query { query, .. } => self.put_to_query(query),
            Statement::Insert(insert) => self.put_to_insert(insert),
            Statement::StatementSet(inserts) => inserts.iter_mut().for_each(|insert| self.put_to_insert(insert)),
            Statement::CreateView(view) => self.put_to_query(&mut view.query),
            Statement::CreateTableAs(create) => self.put_to_query(&mut create.query),
            Statement::AlterView(alter) => {
                if let ViewChange::Query { query, .. } = &mut alter.change {
                    self.put_to_query(query);
                }
            }
            Statement::Explain(inner) => self.put_to_statement(inner),
            _ => {}
        }
    }

    fn put_to_insert(&mut self, insert: &mut Insert) {
        insert.options = self.behind(insert.target.span.end).unwrap_or_default();
        self.put_to_query(&mut insert.query);
    }

    fn put_to_query(&mut self, query: &mut ast::Query) {
        let _ = query.visit(self);
    }

    fn behind(&mut self, end: usize) -> Option<Vec<(String, String)>> {
        let is_meant = |hint: &Hint| hint.behind == end && matches!(hint.content, Content::Options(_));
        let index = self.0.iter().position(is_meant)?;
        match self.0.remove(index).content {
            Content::Options(options) => Some(options),
            Content::StateTtl(_) => None,
        }
    }
}

impl VisitorMut for Hints {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        let Some(word) = script_span(select.select_token.0.span) else { return ControlFlow::Continue(()) };
        self.0.retain_mut(|hint| match &mut hint.content {
            Content::StateTtl(text) if hint.behind == word.end => {
                let (prefix, text) = (String::new(), std::mem::take(text));
                select.optimizer_hints.push(ast::OptimizerHint {
                    prefix,
                    text,
                    style: ast::OptimizerHintStyle::MultiLine,
                });
                false
            }
            _ => true,
        });
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, with_hints, .. } = factor
            && let Some(object) = object_name_of(name)
            && let Some(options) = self.behind(object.span.end)
        {
            with_hints.extend(options.into_iter().map(|(key, value)| Expr::BinaryOp {
                left: Box::new(text(key)),
                op: ast::BinaryOperator::Eq,
                right: Box::new(text(value)),
            }));
        }
        ControlFlow::Continue(())
    }
}

fn text(text: String) -> Expr {
    Expr::Value(ast::Value::SingleQuotedString(text).into())
}

/// The options that a hint behind a table's name gives it.
pub fn table_options(hints: &[Expr]) -> Vec<(String, String)> {
    let text = |expression: &Expr| match expression {
        Expr::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(text), .. }) => Some(text.clone()),
        _ => None,
    };
    let option = |hint: &Expr| match hint {
        Expr::BinaryOp { left, right, .. } => text(left).zip(text(right)),
        _ => None,
    };
    hints.iter().filter_map(option).collect()
}

/// What the hint STATE_TTL of a SELECT says.
pub fn state_ttl(select: &ast::Select) -> Result<Vec<StateTtl>> {
    let mut all = Vec::new();
    for hint in &select.optimizer_hints {
        all.extend(read(&hint.text, Span { start: 0, end: 0 })?.ttl);
    }
    Ok(all)
}

/// What stands in a hint.
#[derive(Default)]
struct Read {
    options: Vec<(String, String)>,
    ttl: Vec<StateTtl>,
}

/// The options of all OPTIONS, and all STATE_TTL, in `/*+ a(…), b(…) */`; other hints are checked.
fn read(content: &str, span: Span) -> Result<Read> {
    let inner = content.get(3..content.len() - 2).unwrap_or_default();
    let offset = span.start + 3;
    let place = |lexeme: Lexeme| Span { start: offset + lexeme.start, end: offset + lexeme.end };
    let lexemes: Vec<Lexeme> = Lexer::new(inner).collect();
    let mut rest = lexemes.as_slice();
    let mut read = Read::default();
    loop {
        let [name, behind @ ..] = rest else {
            return Err(Error::query("a hint has a name")
                .with_span(span)
                .with_help("as in /*+ OPTIONS('key' = 'value') */"));
        };
        let end = if behind.first().is_some_and(|next| next.is_sign(inner, "(")) {
            behind
                .iter()
                .position(|lexeme| lexeme.is_sign(inner, ")"))
                .ok_or_else(|| Error::query("the parenthesis of the hint is not closed").with_span(span))?
        } else {
            0
        };
        let arguments = behind.get(1..end).unwrap_or_default();
        let word = name.of(inner).to_ascii_uppercase();
        match word.as_str() {
            "OPTIONS" => {
                for option in pairs(inner, arguments).ok_or_else(|| {
                    Error::query("the hint OPTIONS takes options, each as 'key' = 'value'")
                        .with_span(place(*name))
                        .with_help("as in /*+ OPTIONS('path' = 'data/new.csv') */")
                })? {
                    if !read.options.iter().any(|(key, _)| *key == option.0) {
                        read.options.push(option);
                    }
                }
            }
            "STATE_TTL" => {
                let written = "as in /*+ STATE_TTL('t' = '1d') */";
                let pairs = pairs(inner, arguments).ok_or_else(|| {
                    Error::query("the hint STATE_TTL takes tables and times, each as 't' = '1d'")
                        .with_span(place(*name))
                        .with_help(written)
                })?;
                for (table, time) in pairs {
                    let ttl = parse_duration(&time).ok_or_else(|| {
                        Error::query(format!("Invalid STATE_TTL hint value: '{time}' is no time"))
                            .with_span(place(*name))
                            .with_help(written)
                    })?;
                    let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
                    read.ttl.push(StateTtl { table, ttl_ms });
                }
            }
            "LOOKUP" => {
                return Err(Error::query("the hint LOOKUP is not built yet, nor is the lookup join")
                    .with_span(place(*name))
                    .with_help(FOR_FLINK));
            }
            other if OF_JOINS.contains(&other) => {}
            other => {
                let error = Error::query(format!("there is no hint {other}")).with_span(place(*name));
                let known = OF_JOINS.into_iter().chain(["OPTIONS", "STATE_TTL"]);
                return Err(match nearest(other, known) {
                    Some(meant) => error.with_help(format!("did you mean {meant}?")),
                    None => error.with_help("leave it out, or make it a comment: /* … */"),
                });
            }
        }
        rest = &behind[if end > 0 { end + 1 } else { 0 }..];
        match rest {
            [] => return Ok(read),
            [comma, behind @ ..] if comma.is_sign(inner, ",") => rest = behind,
            [other, ..] => {
                return Err(Error::query(format!("expected `,` or the end of the hint, found `{}`", other.of(inner)))
                    .with_span(place(*other)));
            }
        }
    }
}

/// `'key' = 'value', …`; keys may be words with dots.
fn pairs(text: &str, arguments: &[Lexeme]) -> Option<Vec<(String, String)>> {
    let unquoted = |lexeme: &Lexeme| {
        let content = lexeme.of(text);
        let is_plain = lexeme.kind == Kind::Text && content.starts_with('\'');
        is_plain.then(|| content[1..content.len() - 1].replace("''", "'"))
    };
    let options = arguments.split(|lexeme| lexeme.is_sign(text, ",")).map(|pair| {
        let [key @ .., equals, value] = pair else { return None };
        let key = match key {
            [quoted] if quoted.kind == Kind::Text => unquoted(quoted)?,
            [first, .., last] | [first @ last] => text.get(first.start..last.end)?.to_owned(),
            [] => return None,
        };
        equals.is_sign(text, "=").then_some((key, unquoted(value)?))
    });
    options.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse_statement;

    fn check(text: &str, expected: &str) {
        let found = match parse_statement(text, 0).map(|at| at.statement) {
            Ok(Statement::Query { query, .. }) => query.to_string(),
            Ok(Statement::Insert(insert)) => format!("{:?} {}", insert.options, insert.query),
            Ok(other) => format!("{other:?}"),
            Err(error) => {
                let span = error.span().expect("every error has a span");
                format!("error at [{}]: {}", &text[span.start..span.end], error.message())
            }
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn options_stand_behind_a_table() {
        check(
            "SELECT a FROM t /*+ OPTIONS('k'='it''s', b.c = 'd') */ AS x",
            "SELECT a FROM t AS x WITH ('k' = 'it''s', 'b.c' = 'd')",
        );
        check("SELECT a FROM x.t /*+ options('k'='v'), OPTIONS('k'='w') */", "SELECT a FROM x.t WITH ('k' = 'v')");
        check(
            "INSERT INTO o /*+ OPTIONS('k'='v') */ (a) SELECT a FROM (SELECT a FROM t /*+ OPTIONS('l'='w') */)",
            "[(\"k\", \"v\")] SELECT a FROM (SELECT a FROM t WITH ('l' = 'w'))",
        );
        check("SELECT /*+ BROADCAST(t) */ a FROM t", "SELECT a FROM t");
    }

    #[test]
    fn other_hints_are_refused() {
        let misplaced = "the hint OPTIONS belongs behind the name of a table";
        let hint = "/*+ OPTIONS('k'='v') */";
        for text in ["SELECT /*+ OPTIONS('k'='v') */ a FROM t", "SELECT a FROM t AS x /*+ OPTIONS('k'='v') */"] {
            check(text, &format!("error at [{hint}]: {misplaced}"));
        }
        check("SELECT a FROM t /*+ OPTION('k'='v') */", "error at [OPTION]: there is no hint OPTION");
        check(
            "SELECT a FROM t /*+ OPTIONS() */",
            "error at [OPTIONS]: the hint OPTIONS takes options, each as 'key' = 'value'",
        );
        check(
            "SELECT a FROM t /*+ OPTIONS('k') */",
            "error at [OPTIONS]: the hint OPTIONS takes options, each as 'key' = 'value'",
        );
        check("SELECT a FROM t /*+ */", "error at [/*+ */]: a hint has a name");
        check(
            "SELECT /*+ STATE_TTL('t'='soon') */ a FROM t",
            "error at [STATE_TTL]: Invalid STATE_TTL hint value: 'soon' is no time",
        );
        let empty = "error at [STATE_TTL]: the hint STATE_TTL takes tables and times, each as 't' = '1d'";
        check("SELECT /*+ STATE_TTL() */ a FROM t", empty);
        let ttl = "/*+ STATE_TTL('t'='1d') */";
        check(
            &format!("SELECT a FROM t {ttl}"),
            &format!("error at [{ttl}]: the hint STATE_TTL belongs behind SELECT"),
        );
        check("SELECT a FROM t WITH (NOLOCK)", "error at [t]: WITH (…) behind a table is not Flink's SQL");
    }
}
