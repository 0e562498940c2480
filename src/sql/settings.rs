//! `SET` and `RESET`, read from the text: keys and values need no quotes, and what they hold need not be SQL.

use crate::error::{Error, Result, Span};

use super::lexer::{Kind, Lexer};
use super::statement::Statement;

/// Reads a SET or RESET; none if the text is neither. The text begins at `offset` of the script.
pub(super) fn setting(text: &str, offset: usize) -> Option<Result<Statement>> {
    let first = Lexer::new(text).next()?;
    let rest = &text[first.end..];
    let offset = offset + first.end;
    if first.is_word(text, "SET") {
        Some(set(rest, offset))
    } else if first.is_word(text, "RESET") {
        Some(reset(rest, offset))
    } else {
        None
    }
}

fn set(text: &str, offset: usize) -> Result<Statement> {
    let mut lexer = Lexer::new(text);
    let Some(first) = lexer.next() else { return Ok(Statement::ShowSettings) };
    let Some(equals) = Lexer::new(text).find(|lexeme| lexeme.is_sign(text, "=") || lexeme.is_sign(text, "==")) else {
        return Err(Error::query("SET needs a key and a value")
            .with_span(Span { start: offset + first.start, end: offset + text.trim_end().len() })
            .with_help("write SET 'key' = 'value'; SET alone lists what is set"));
    };
    let key = part(&text[..equals.start], offset, "key")?;
    let value_at = equals.start + 1;
    let value = part(&text[value_at..], offset + value_at, "value")?;
    Ok(Statement::Set { key, value })
}

fn reset(text: &str, offset: usize) -> Result<Statement> {
    let key = if Lexer::new(text).next().is_none() { None } else { Some(part(text, offset, "key")?) };
    Ok(Statement::Reset { key })
}

/// A key or value: text in quotes, or all there is without spaces and comments around it.
fn part(text: &str, offset: usize, what: &str) -> Result<String> {
    let mut lexemes = Lexer::new(text);
    let Some(first) = lexemes.next() else {
        let end = offset + text.trim_end().len();
        return Err(Error::query(format!("the {what} is missing"))
            .with_span(Span { start: end, end })
            .with_help("write SET 'key' = 'value'"));
    };
    let second = lexemes.next();
    let last = lexemes.last().or(second).unwrap_or(first);
    let span = Span { start: offset + first.start, end: offset + last.end };
    let content = &text[first.start..last.end];
    match first.kind {
        Kind::Text if second.is_none() && content.starts_with('\'') => {
            Ok(content[1..content.len() - 1].replace("''", "'"))
        }
        Kind::Name if second.is_none() => Ok(content[1..content.len() - 1].replace("``", "`")),
        Kind::Text | Kind::Open(_) | Kind::Name | Kind::DoubleQuoted => {
            Err(Error::query(format!("the {what} is not one text in single quotes"))
                .with_span(span)
                .with_help("write SET 'key' = 'value'; a quote inside is written twice"))
        }
        _ if what == "key" && content.contains(char::is_whitespace) => {
            Err(Error::query(format!("`{content}` is not a key"))
                .with_span(span)
                .with_help("write SET 'key' = 'value'"))
        }
        _ => Ok(content.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match setting(text, 10).expect("a SET or RESET") {
            Ok(statement) => format!("{statement:?}"),
            Err(error) => {
                let span = error.span().expect("every error has a span");
                format!("{}..{} {}", span.start, span.end, error.message())
            }
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn settings() {
        check("SET 'a.b' = 'c d'", "Set { key: \"a.b\", value: \"c d\" }");
        check("set a.b-c=d e", "Set { key: \"a.b-c\", value: \"d e\" }");
        check("SET a = file:///x/y -- end", "Set { key: \"a\", value: \"file:///x/y\" }");
        check("SET 'a' = 10 s", "Set { key: \"a\", value: \"10 s\" }");
        check("SET 'a' = 'it''s'", "Set { key: \"a\", value: \"it's\" }");
        check("SET 'a' = ''", "Set { key: \"a\", value: \"\" }");
        check("SET", "ShowSettings");
        check("RESET", "Reset { key: None }");
        check("RESET 'a.b'", "Reset { key: Some(\"a.b\") }");
        check("RESET a.b", "Reset { key: Some(\"a.b\") }");
    }

    #[test]
    fn broken_settings() {
        check("SET 'a'", "14..17 SET needs a key and a value");
        check("SET a =", "17..17 the value is missing");
        check("SET = b", "13..13 the key is missing");
        check("SET 'a' = 'b' c", "20..25 the value is not one text in single quotes");
        check("SET 'a' = 'b", "20..22 the value is not one text in single quotes");
        check("SET a b = c", "14..17 `a b` is not a key");
    }
}
