//! A statement's first words decide who reads it: our own readers for what is Flink's or ours, sqlparser for queries.

use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result, Span};

use super::create_table::Beginning;
use super::cursor::Cursor;
use super::dialect::FlinkDialect;
use super::hints::Hints;
use super::namespace::{NamespaceKind, create_namespace, drop_object, use_namespace};
use super::statement::{Script, Statement, StatementAt};
use super::tokens::{cover, tokens, words};
use super::types::SqlType;
use super::{
    alter, create_table, create_view, data_type, insert, job_statement, limits, query, refused, reserved, settings,
    show, split, values,
};

/// A statement this shallow is read on the caller's stack.
const SHALLOW: usize = 8;

/// Reads a whole script; the first mistake in it is the error.
pub fn parse_script(text: &str) -> Result<Script> {
    let statements = split::split_script(text)?;
    let statements =
        statements.into_iter().map(|(span, text)| parse_statement(text, span.start)).collect::<Result<_>>()?;
    Ok(Script { statements })
}

/// Reads one statement, with or without its semicolon. Spans count from the start of the script, where it stands at
/// `offset`.
pub fn parse_statement(text: &str, offset: usize) -> Result<StatementAt> {
    limits::check_bytes(text)?;
    let depth = limits::check_depth(text, offset)?;
    let pieces = split::split_script(text)?;
    let &[(span, content)] = pieces.as_slice() else {
        let Some((second, _)) = pieces.get(1) else {
            let span = Span { start: offset, end: offset + text.len() };
            return Err(Error::query("there is no statement").with_span(span).with_help("write one, such as SELECT 1"));
        };
        return Err(Error::query("one statement was expected, and a second one begins here")
            .with_span(Span { start: offset + second.start, end: offset + second.end }));
    };
    let span = Span { start: offset + span.start, end: offset + span.end };
    let read = || read(content, span.start);
    let statement = if depth <= SHALLOW { read() } else { limits::on_large_stack(read) };
    let statement = statement.map_err(|error| error.with_span(span))?;
    let reserved_names = reserved::reserved_names(&statement, content, span.start);
    Ok(StatementAt { statement, span, text: content.to_owned(), reserved_names })
}

impl SqlType {
    /// Reads a type such as `DECIMAL(10, 2)` or `ROW<a INT, b STRING>`.
    pub fn parse(text: &str) -> Result<Self> {
        limits::check_bytes(text)?;
        limits::check_depth(text, 0)?;
        let dialect = FlinkDialect::default();
        let mut parser = dialect.parser(tokens(text, 0)?);
        let data_type = data_type::data_type(&mut parser)?;
        parser.end()?;
        Ok(data_type)
    }

    /// The type that a CAST of the syntax tree names.
    pub fn of_cast(data_type: &ast::DataType) -> Result<Self> {
        // The spans would be those of the rewritten text.
        Self::parse(&data_type.to_string()).map_err(|error| {
            let plain = Error::query(error.message());
            error.helps().iter().fold(plain, |plain, help| plain.with_help(help.as_str()))
        })
    }
}

fn read(text: &str, offset: usize) -> Result<Statement> {
    if let Some(statement) = settings::setting(text, offset) {
        return statement;
    }
    let dialect = FlinkDialect::default();
    let mut tokens = tokens(text, offset)?;
    let hints = Hints::take(&mut tokens)?;
    let mut statement = statement(&dialect, values::in_parentheses(tokens), text, offset)?;
    hints.apply(&mut statement)?;
    Ok(statement)
}

/// Reads a statement that is all of the tokens.
fn statement(dialect: &FlinkDialect, tokens: Vec<TokenWithSpan>, text: &str, offset: usize) -> Result<Statement> {
    let begins = |first: &[&str]| words(&tokens, first);
    let is_of_jobs = begins(&["EXPLAIN", "WATERMARK"]) || begins(&["EXPLAIN", "STATE"]);
    if begins(&["EXPLAIN"]) && !is_of_jobs {
        return explain(dialect, tokens, text, offset);
    }
    if begins(&["EXECUTE", "STATEMENT"]) {
        return insert::statement_set(dialect, tokens[1..].to_vec()).map(Statement::StatementSet);
    }
    if begins(&["STATEMENT", "SET"]) || begins(&["BEGIN", "STATEMENT"]) {
        return insert::statement_set(dialect, tokens).map(Statement::StatementSet);
    }
    if ["INSERT", "SELECT", "WITH", "VALUES"].iter().any(|word| begins(&["EXECUTE", word])) {
        return statement(dialect, tokens[1..].to_vec(), text, offset);
    }
    refused::statement(&tokens)?;
    if begins(&["INSERT"]) {
        return insert::insert(dialect, tokens).map(|insert| Statement::Insert(Box::new(insert)));
    }
    refused::in_query(&tokens)?;
    let (tokens, late) = query::split_late(tokens)?;
    let place = late.as_ref().map(|late| cover(&late[..3]));
    let parser = &mut dialect.parser(tokens);
    let statement = if query::begins(parser) {
        Statement::Query {
            query: query::query(parser)?,
            late: late.map(|late| query::late_table(dialect, late)).transpose()?,
        }
    } else if let Some(place) = place {
        return Err(Error::query("LATE RECORDS INTO belongs to a query").with_span(place).with_help(
            "write SELECT … LATE RECORDS INTO late_table, or INSERT INTO table SELECT … LATE RECORDS INTO late_table",
        ));
    } else if parser.takes(&["CREATE"]) {
        create(parser, text, offset)?
    } else if parser.takes(&["SHOW"]) {
        Statement::Show(show::show(parser)?)
    } else if parser.takes(&["ALTER"]) {
        alter::alter(parser, text, offset)?
    } else if parser.takes(&["USE"]) {
        Statement::Namespace(use_namespace(parser)?)
    } else if parser.sees(&["REPLACE", "TABLE"]) {
        let beginning = Beginning { is_replace: true, start: parser.here().start, ..Beginning::default() };
        parser.takes(&["REPLACE", "TABLE"]);
        create_table::create_table(parser, beginning)?
    } else if let Some(statement) = job_statement::job_statement(parser)? {
        statement
    } else if parser.takes(&["DESCRIBE"]) || parser.takes(&["DESC"]) {
        parser.takes(&["EXTENDED"]);
        Statement::Describe(parser.object_name("the name of a table or view")?)
    } else if parser.takes(&["DROP"]) {
        drop_object(parser)?
    } else {
        return Err(parser.unexpected("a statement").with_help(
            "a statement begins with SELECT, INSERT INTO, CREATE, ALTER, DROP, USE, EXECUTE STATEMENT SET, EXPLAIN, SET, RESET, SHOW, DESCRIBE, CHECKPOINT, SAVEPOINT or STOP JOB",
        ));
    };
    parser.end()?;
    Ok(statement)
}

/// What stands behind `CREATE`.
fn create(parser: &mut Parser, text: &str, offset: usize) -> Result<Statement> {
    let start = parser.behind().start;
    let or_replace = parser.takes(&["OR", "REPLACE"]);
    for (word, kind) in [("CATALOG", NamespaceKind::Catalog), ("DATABASE", NamespaceKind::Database)] {
        if !or_replace && parser.takes(&[word]) {
            return create_namespace(parser, kind).map(Statement::Namespace);
        }
    }
    let temporary = parser.takes(&["TEMPORARY"]);
    if parser.takes(&["TABLE"]) {
        create_table::create_table(parser, Beginning { or_replace, temporary, start, is_replace: false })
    } else if parser.takes(&["VIEW"]) {
        create_view::create_view(parser, or_replace, temporary, text, offset).map(Statement::CreateView)
    } else {
        Err(parser.unexpected("TABLE or VIEW"))
    }
}

/// `EXPLAIN [PLAN FOR | CHANGELOG_MODE] statement`. The changelog mode is always shown.
fn explain(dialect: &FlinkDialect, tokens: Vec<TokenWithSpan>, text: &str, offset: usize) -> Result<Statement> {
    let mut rest = &tokens[1..];
    if words(rest, &["PLAN", "FOR"]) {
        rest = &rest[2..];
    }
    loop {
        for (option, help) in [
            ("ESTIMATED_COST", "plans are not chosen by cost; leave it out"),
            ("JSON_EXECUTION_PLAN", "EXPLAIN shows the plan as text; leave it out"),
            ("PLAN_ADVICE", "leave it out: warnings about a plan are always shown"),
        ] {
            if words(rest, &[option]) {
                return Err(refused::not_built(&format!("EXPLAIN {option}"), &rest[..1]).with_help(help));
            }
        }
        if !words(rest, &["CHANGELOG_MODE"]) {
            break;
        }
        rest = &rest[1..];
        if rest.first().is_some_and(|next| next.token == Token::Comma) {
            rest = &rest[1..];
        }
    }
    let place = cover(&rest[..rest.len().min(1)]);
    let only = || {
        Error::query("EXPLAIN takes a query, an INSERT or a statement set")
            .with_span(place)
            .with_help("write EXPLAIN SELECT … or EXPLAIN INSERT INTO …")
    };
    if words(rest, &["EXPLAIN"]) || words(rest, &["SET"]) || words(rest, &["RESET"]) {
        return Err(only());
    }
    match statement(dialect, rest.to_vec(), text, offset)? {
        inner @ (Statement::Query { .. }
        | Statement::Insert(_)
        | Statement::StatementSet(_)
        | Statement::CreateTableAs(_)) => Ok(Statement::Explain(Box::new(inner))),
        _ => Err(only()),
    }
}
