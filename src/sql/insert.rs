//! `INSERT INTO` with what stands behind its query, and several of them as one job: the statement set.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result, Span};

use super::cursor::Cursor;
use super::dialect::FlinkDialect;
use super::query::{self, split_late};
use super::refused;
use super::statement::{ConflictAction, Insert};
use super::tokens::{cover, words};

/// Reads an INSERT that is all of the tokens.
pub(super) fn insert(dialect: &FlinkDialect, tokens: Vec<TokenWithSpan>) -> Result<Insert> {
    let span = cover(&tokens[..tokens.len().saturating_sub(1)]);
    refused::statement(&tokens)?;
    refused::in_query(&tokens)?;
    let (mut main, late) = split_late(tokens)?;
    let on_conflict = take_on_conflict(dialect, &mut main)?;
    let mut parser = dialect.parser(main);
    parser.expects(&["INSERT", "INTO"])?;
    let target = parser.object_name("the name of a table")?;
    if parser.sees(&["PARTITION"]) {
        return Err(Error::query("INSERT INTO … PARTITION is not built yet")
            .with_span(parser.here())
            .with_help("name the partition columns in the list of columns and give their values in the query"));
    }
    let columns = if has_columns(&parser) { columns(&mut parser)? } else { Vec::new() };
    let query = query::query(&mut parser)?;
    parser.end()?;
    let late = late.map(|late| query::late_table(dialect, late)).transpose()?;
    Ok(Insert { target, options: Vec::new(), columns, query, on_conflict, late, span })
}

/// Takes `ON CONFLICT DO action` off the end of an INSERT's tokens.
fn take_on_conflict(dialect: &FlinkDialect, tokens: &mut Vec<TokenWithSpan>) -> Result<Option<(ConflictAction, Span)>> {
    let Some(start) = (0..tokens.len()).rfind(|index| words(&tokens[*index..], &["ON", "CONFLICT"])) else {
        return Ok(None);
    };
    let clause = tokens.split_off(start);
    let end = clause.last().map(|token| token.span).unwrap_or_else(sqlparser::tokenizer::Span::empty);
    tokens.push(TokenWithSpan::new(Token::EOF, end));
    let span = cover(&clause[..clause.len().saturating_sub(1)]);
    let written = "write ON CONFLICT DO ERROR, ON CONFLICT DO NOTHING or ON CONFLICT DO DEDUPLICATE: what conflicts is the \
                   primary key of the table";
    let rest = &clause[2..];
    let actions = [
        ("ERROR", ConflictAction::Error),
        ("NOTHING", ConflictAction::Nothing),
        ("DEDUPLICATE", ConflictAction::Deduplicate),
    ];
    let Some((_, action)) = actions.into_iter().find(|(word, _)| words(rest, &["DO", word])) else {
        let at = usize::from(words(rest, &["DO"]));
        return Err(dialect.parser(rest[at..].to_vec()).unexpected("what to do about a conflict").with_help(written));
    };
    dialect.parser(rest[2..].to_vec()).end()?;
    Ok(Some((action, span)))
}

/// Whether the parenthesis that comes next holds columns and not a query.
fn has_columns(parser: &Parser) -> bool {
    let inside = &parser.peek_nth_token_ref(1).token;
    let begins_query = |word: &str| ["SELECT", "WITH", "VALUES"].iter().any(|begin| begin.eq_ignore_ascii_case(word));
    parser.peek_token_ref().token == Token::LParen
        && match inside {
            Token::Word(word) => word.quote_style.is_some() || !begins_query(&word.value),
            other => *other != Token::LParen,
        }
}

fn columns(parser: &mut Parser) -> Result<Vec<String>> {
    let mut columns: Vec<String> = Vec::new();
    for (column, span) in parser.names("the name of a column")? {
        if columns.contains(&column) {
            return Err(Error::query(format!("the list of columns names `{column}` twice")).with_span(span));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// Reads `STATEMENT SET BEGIN insert; … END`, or `BEGIN STATEMENT SET; insert; … END`, that is all of the tokens.
pub(super) fn statement_set(dialect: &FlinkDialect, tokens: Vec<TokenWithSpan>) -> Result<Vec<Insert>> {
    let (body, is_old) = if words(&tokens, &["STATEMENT", "SET", "BEGIN"]) {
        (&tokens[3..], false)
    } else if words(&tokens, &["BEGIN", "STATEMENT", "SET"]) {
        (&tokens[3..], true)
    } else {
        let parser = dialect.parser(tokens.get(2..).unwrap_or_default().to_vec());
        return Err(parser.unexpected("BEGIN"));
    };
    let mut inserts = Vec::new();
    let mut rest = body;
    if is_old {
        match rest.first() {
            Some(first) if first.token == Token::SemiColon => rest = &rest[1..],
            _ => return Err(dialect.parser(rest.to_vec()).unexpected("`;`")),
        }
    }
    loop {
        if words(rest, &["END"]) {
            dialect.parser(rest[1..].to_vec()).end()?;
            break;
        }
        let Some(end) = rest.iter().position(|token| token.token == Token::SemiColon) else {
            return Err(unfinished(rest));
        };
        let mut tokens = rest[..end].to_vec();
        tokens.push(TokenWithSpan::new(Token::EOF, rest[end].span));
        if !words(&tokens, &["INSERT"]) {
            refused::statement(&tokens)?;
            let parser = dialect.parser(tokens);
            return Err(parser
                .unexpected("INSERT INTO or END")
                .with_help("a statement set holds INSERT statements, each with its `;`"));
        }
        inserts.push(insert(dialect, tokens)?);
        rest = &rest[end + 1..];
    }
    if inserts.is_empty() {
        return Err(Error::query("the statement set is empty").with_span(cover(&tokens)));
    }
    Ok(inserts)
}

/// The last statement of a set lacks its semicolon, or the set its END.
fn unfinished(rest: &[TokenWithSpan]) -> Error {
    let mut cases = 0usize;
    for token in rest {
        if words(std::slice::from_ref(token), &["CASE"]) {
            cases += 1;
        } else if words(std::slice::from_ref(token), &["END"]) {
            if cases == 0 {
                return Error::query("expected `;` before END")
                    .with_span(cover(std::slice::from_ref(token)))
                    .with_help("in a statement set each INSERT ends with `;`, the last one too");
            }
            cases -= 1;
        }
    }
    let end = cover(rest).end;
    Error::query("the statement set has no END")
        .with_span(Span { start: end, end })
        .with_help("write EXECUTE STATEMENT SET BEGIN INSERT …; INSERT …; END;")
}
