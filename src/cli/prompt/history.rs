//! What of the typed lines is written down: everything but lines that begin with a space, and no secret.

use crate::session::vocabulary::is_secret;
use crate::sql::{Kind, Lexeme, Lexer};

/// What stands in place of a secret.
const HIDDEN: &str = "'******'";

/// The entry for what was typed; `None` if it is to leave no trace.
pub fn entry(typed: &str) -> Option<String> {
    if typed.starts_with(char::is_whitespace) || typed.trim().is_empty() {
        return None;
    }
    Some(without_secrets(typed.trim_end()))
}

/// The text with the value of each secret option hidden: `'password' = '…'` in a WITH clause or a SET.
pub fn without_secrets(text: &str) -> String {
    let lexemes: Vec<Lexeme> = Lexer::new(text).collect();
    let mut kept = String::with_capacity(text.len());
    let mut written = 0;
    for (index, lexeme) in lexemes.iter().enumerate() {
        if !lexeme.is_sign(text, "=") && !lexeme.is_sign(text, "=>") {
            continue;
        }
        let Some(value) = lexemes.get(index + 1).filter(|next| next.kind != Kind::Sign) else { continue };
        if value.start < written || !is_secret(&key_before(text, &lexemes[..index])) {
            continue;
        }
        // Without quotes the value reaches to the end of its statement.
        let end = match value.kind {
            Kind::Text => value.end,
            _ => lexemes[index..].iter().find(|next| next.is_sign(text, ";")).map_or(text.len(), |next| next.start),
        };
        kept.push_str(&text[written..value.start]);
        kept.push_str(HIDDEN);
        written = end;
    }
    kept.push_str(&text[written..]);
    kept
}

/// The key that ends where `lexemes` do: a text, or words with dots and dashes.
fn key_before(text: &str, lexemes: &[Lexeme]) -> String {
    match lexemes.last() {
        Some(last) if last.kind == Kind::Text => last.of(text).trim_matches('\'').to_owned(),
        Some(last) => {
            let mut start = last.start;
            for lexeme in lexemes.iter().rev().skip(1) {
                if lexeme.end != start {
                    break;
                }
                start = lexeme.start;
            }
            text[start..last.end].to_owned()
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_begins_with_a_space_leaves_no_trace() {
        assert_eq!(entry(" SELECT 1;"), None);
        assert_eq!(entry("\n"), None);
        assert_eq!(entry("SELECT 1;\n").as_deref(), Some("SELECT 1;"));
    }

    #[test]
    fn secrets_are_hidden() {
        for (typed, kept) in [
            ("WITH ('password' = 'a''b;c', 'path' = 'x');", "WITH ('password' = '******', 'path' = 'x');"),
            ("SET 's3.secret-key' = 'x'; SELECT 1;", "SET 's3.secret-key' = '******'; SELECT 1;"),
            ("SET s3.access-key = ab cd; SELECT 1;", "SET s3.access-key = '******'; SELECT 1;"),
            ("'properties.sasl.jaas.config' = 'user=\"u\" password=\"p\"'", "'properties.sasl.jaas.config' = '******'"),
            ("'password' = 'open", "'password' = '******'"),
            ("SELECT a = 'password' FROM t;", "SELECT a = 'password' FROM t;"),
            ("'password'='x','api.token'='y'", "'password'='******','api.token'='******'"),
        ] {
            assert_eq!(without_secrets(typed), kept);
        }
    }
}
