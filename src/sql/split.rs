//! A script cut into its statements, without reading them: a mistake in the third must not keep the first two from running.

use crate::error::{Result, Span};

use super::lexer::{Kind, Lexeme, Lexer};
use super::limits;

/// The statements of a script in order: where each stands, without its semicolon, and its text. Empty ones and comments
/// between them are left out. A statement set is one statement. Whatever is wrong in a statement is found by
/// `parse_statement`.
pub fn split_script(text: &str) -> Result<Vec<(Span, &str)>> {
    limits::check_bytes(text)?;
    let mut statements = Vec::new();
    let mut current = Current::default();
    for lexeme in Lexer::new(text) {
        if lexeme.is_sign(text, ";") && !current.is_in_set {
            statements.extend(current.span());
            current = Current::default();
        } else {
            current.take(lexeme, text);
        }
    }
    statements.extend(current.span());
    Ok(statements.into_iter().map(|span| (span, &text[span.start..span.end])).collect())
}

/// Whether what was typed is whole statements: the last one ends with its semicolon, and no text, name, comment or
/// statement set is left open. A prompt reads on until it is; nothing but spaces and comments is complete too.
pub fn is_complete(text: &str) -> bool {
    let mut current = Current::default();
    for lexeme in Lexer::new(text) {
        if lexeme.is_sign(text, ";") && !current.is_in_set {
            current = Current::default();
        } else {
            current.take(lexeme, text);
        }
    }
    current.first.is_none()
}

/// The name that a CREATE TABLE or CREATE VIEW declares, without the path before it, whatever is wrong behind it.
pub fn created_name(statement: &str) -> Option<String> {
    let mut lexemes = Lexer::new(statement).peekable();
    lexemes.next().filter(|first| first.is_word(statement, "CREATE"))?;
    lexemes.find(|lexeme| ["TABLE", "VIEW"].iter().any(|word| lexeme.is_word(statement, word)))?;
    for word in ["IF", "NOT", "EXISTS"] {
        lexemes.next_if(|lexeme| lexeme.is_word(statement, word));
    }
    let mut name = None;
    loop {
        let part = lexemes.next().filter(|part| matches!(part.kind, Kind::Word | Kind::Name))?;
        let text = part.of(statement);
        name.replace(text.trim_matches('`').replace("``", "`"));
        if lexemes.next_if(|lexeme| lexeme.is_sign(statement, ".")).is_none() {
            return name;
        }
    }
}

/// What is known of the statement that is being read.
#[derive(Default)]
struct Current {
    first: Option<Lexeme>,
    end: usize,
    /// How many of the last words were STATEMENT SET BEGIN, or BEGIN STATEMENT SET from the start; none once the head of
    /// the statement, which is words and commas only, is over.
    head: Head,
    is_in_set: bool,
    /// CASE expressions that are open: their END does not end the set.
    cases: usize,
}

/// The beginning of a statement, as far as it may begin a statement set.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Head {
    #[default]
    Start,
    /// `BEGIN`, the first word.
    Begin,
    BeginStatement,
    /// Other words, as `EXPLAIN` or `EXECUTE`.
    Words,
    Statement,
    StatementSet,
    Over,
}

impl Current {
    fn span(&self) -> Option<Span> {
        self.first.map(|first| Span { start: first.start, end: self.end })
    }

    fn take(&mut self, lexeme: Lexeme, text: &str) {
        self.first.get_or_insert(lexeme);
        self.end = lexeme.end;
        let is = |word: &str| lexeme.is_word(text, word);
        if self.is_in_set {
            if is("CASE") {
                self.cases += 1;
            } else if is("END") {
                self.is_in_set = self.cases > 0;
                self.cases = self.cases.saturating_sub(1);
            }
            return;
        }
        self.head = match self.head {
            Head::Over => Head::Over,
            Head::Start if is("BEGIN") => Head::Begin,
            Head::Begin if is("STATEMENT") => Head::BeginStatement,
            Head::StatementSet if is("BEGIN") => {
                self.is_in_set = true;
                Head::Over
            }
            Head::BeginStatement if is("SET") => {
                self.is_in_set = true;
                Head::Over
            }
            Head::Statement if is("SET") => Head::StatementSet,
            Head::Start if !["EXECUTE", "EXPLAIN", "COMPILE"].iter().any(|word| is(word)) => Head::Over,
            _ if is("STATEMENT") => Head::Statement,
            _ if lexeme.kind == Kind::Word || lexeme.is_sign(text, ",") => Head::Words,
            _ => Head::Over,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = split_script(text).unwrap();
        assert_eq!(found.iter().map(|(_, text)| *text).collect::<Vec<_>>(), expected, "{text}");
        for (span, piece) in found {
            assert_eq!(&text[span.start..span.end], piece);
        }
    }

    #[test]
    fn statements_end_at_semicolons() {
        check("", &[]);
        check(" ; ;\n-- nothing\n;", &[]);
        check("SELECT 1; SELECT 2", &["SELECT 1", "SELECT 2"]);
        check(" SELECT ';', `;` /* ; */ -- ;\n , 1 ; -- end", &["SELECT ';', `;` /* ; */ -- ;\n , 1"]);
        check("SELECT \"a;b\"; SELECT 'it'';s'", &["SELECT \"a;b\"", "SELECT 'it'';s'"]);
        check("SELECT 1; SELECT 'open; SELECT 2", &["SELECT 1", "SELECT 'open; SELECT 2"]);
        check("SET a = file:///x; SELECT 1", &["SET a = file:///x", "SELECT 1"]);
    }

    #[test]
    fn what_is_typed_is_complete_behind_its_semicolon() {
        for whole in ["", "  \n", "-- a comment; open '", "SELECT 1;", "SELECT 1; -- end", "SELECT ';';", ";;"] {
            assert!(is_complete(whole), "{whole}");
        }
        for open in ["SELECT 1", "SELECT ';", "SELECT `;", "/* ;", "SELECT 1; SELECT 2", "SELECT 1 -- ;"] {
            assert!(!is_complete(open), "{open}");
        }
        let set = "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2;";
        assert!(!is_complete(set) && !is_complete(&format!("{set} END")) && is_complete(&format!("{set} END;")));
    }

    #[test]
    fn the_name_that_is_created() {
        for (text, name) in [
            ("CREATE TABLE t (a NOTHING", Some("t")),
            ("create or replace temporary view IF NOT EXISTS a.b.`c d` AS", Some("c d")),
            ("CREATE TABLE", None),
            ("CREATE DATABASE d", None),
            ("SELECT 1", None),
        ] {
            assert_eq!(created_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn a_statement_set_is_one_statement() {
        let body = "INSERT INTO a SELECT CASE b WHEN 1 THEN 2 END FROM t; INSERT INTO b SELECT 1;";
        for set in [
            format!("EXECUTE STATEMENT SET BEGIN {body} END"),
            format!("execute statement set\nbegin {body} end"),
            format!("BEGIN STATEMENT SET; {body} END"),
            format!("EXPLAIN STATEMENT SET BEGIN {body} END"),
            format!("EXPLAIN PLAN FOR STATEMENT SET BEGIN {body} END"),
            format!("EXPLAIN CHANGELOG_MODE, ESTIMATED_COST EXECUTE STATEMENT SET BEGIN {body} END"),
        ] {
            check(&format!("SELECT 0; {set}; SELECT 2;"), &["SELECT 0", &set, "SELECT 2"]);
        }
        check("EXECUTE STATEMENT SET BEGIN INSERT; SELECT", &["EXECUTE STATEMENT SET BEGIN INSERT; SELECT"]);
        check("SELECT a STATEMENT SET BEGIN; SELECT 1", &["SELECT a STATEMENT SET BEGIN", "SELECT 1"]);
    }
}
