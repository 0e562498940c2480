//! Reading a statement token by token, on sqlparser's `Parser`; and its errors in our words, with their place.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::error::{Error, Result, Span};

use super::limits;
use super::reserved::is_reserved;
use super::statement::ObjectName;
use super::tokens::script_span;

/// Begins an error of ours that travels through sqlparser as text.
const OURS: char = '\u{1}';

/// What our parsers ask of sqlparser's.
pub(super) trait Cursor {
    /// The next token's place.
    fn here(&self) -> Span;
    /// The place of the token that was read last.
    fn behind(&self) -> Span;
    /// Whether the unquoted words come next.
    fn sees(&self, words: &[&str]) -> bool;
    /// Reads the words if they come next.
    fn takes(&mut self, words: &[&str]) -> bool;
    /// Reads the words, or fails.
    fn expects(&mut self, words: &[&str]) -> Result<()>;
    /// Reads the token if it comes next.
    fn takes_sign(&mut self, sign: &Token) -> bool;
    /// Reads the token, or fails.
    fn expects_sign(&mut self, sign: &Token) -> Result<()>;
    /// Reads a name of one part.
    fn name(&mut self, what: &str) -> Result<String>;
    /// Reads a name of up to three parts.
    fn object_name(&mut self, what: &str) -> Result<ObjectName>;
    /// Reads `(a, b, …)`.
    fn names(&mut self, what: &str) -> Result<Vec<(String, Span)>>;
    /// Reads `'text'`.
    fn text(&mut self, what: &str) -> Result<String>;
    /// Reads `'text'` if it comes next.
    fn takes_text(&mut self) -> Option<String>;
    /// Reads a whole number.
    fn number(&mut self, what: &str) -> Result<u32>;
    /// Fails unless the statement ends here.
    fn end(&mut self) -> Result<()>;
    /// Something else than `what` comes next.
    fn unexpected(&self, what: &str) -> Error;
    /// sqlparser's error in our words.
    fn translate(&self, error: ParserError) -> Error;
}

/// Our error as one that sqlparser can hand through; `translate` takes it out again.
pub(super) fn wrap(error: &Error) -> ParserError {
    if error.id() == Some("BL-LIM-SQL-DEPTH") {
        return ParserError::RecursionLimitExceeded;
    }
    let span = error.span().map_or_else(String::new, |span| format!("{} {}", span.start, span.end));
    let mut text = format!("{OURS}{span}{OURS}{}", error.message());
    for help in error.helps() {
        text.push(OURS);
        text.push_str(help);
    }
    ParserError::ParserError(text)
}

fn unwrap(text: &str) -> Option<Error> {
    let mut parts = text[text.find(OURS)? + OURS.len_utf8()..].split(OURS);
    let (span, message) = (parts.next()?, parts.next()?);
    let mut error = Error::query(message);
    if let Some((start, end)) = span.split_once(' ') {
        error = error.with_span(Span { start: start.parse().ok()?, end: end.parse().ok()? });
    }
    Some(parts.fold(error, Error::with_help))
}

impl Cursor for Parser<'_> {
    fn here(&self) -> Span {
        place(self.peek_token_ref())
    }

    fn behind(&self) -> Span {
        place(self.get_current_token())
    }

    fn sees(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(index, word)| is_word(&self.peek_nth_token_ref(index).token, word))
    }

    fn takes(&mut self, words: &[&str]) -> bool {
        let found = self.sees(words);
        if found {
            words.iter().for_each(|_| self.advance_token());
        }
        found
    }

    fn expects(&mut self, words: &[&str]) -> Result<()> {
        for word in words {
            if !self.takes(&[word]) {
                return Err(self.unexpected(word));
            }
        }
        Ok(())
    }

    fn takes_sign(&mut self, sign: &Token) -> bool {
        self.consume_token(sign)
    }

    fn expects_sign(&mut self, sign: &Token) -> Result<()> {
        if self.consume_token(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn name(&mut self, what: &str) -> Result<String> {
        match &self.peek_token_ref().token {
            Token::Word(word) => {
                let name = word.value.clone();
                self.advance_token();
                Ok(name)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn object_name(&mut self, what: &str) -> Result<ObjectName> {
        let start = self.here().start;
        let mut parts = vec![self.name(what)?];
        while self.takes_sign(&Token::Period) {
            parts.push(self.name("a name behind the dot")?);
        }
        let span = Span { start, end: self.behind().end };
        if parts.len() > 3 {
            return Err(Error::query("a name has at most three parts: catalog, database and table").with_span(span));
        }
        Ok(ObjectName { parts, span })
    }

    fn names(&mut self, what: &str) -> Result<Vec<(String, Span)>> {
        self.expects_sign(&Token::LParen)?;
        let mut names = Vec::new();
        loop {
            let name = self.name(what)?;
            names.push((name, self.behind()));
            if self.takes_sign(&Token::RParen) {
                return Ok(names);
            }
            if !self.takes_sign(&Token::Comma) {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
    }

    fn text(&mut self, what: &str) -> Result<String> {
        self.takes_text().ok_or_else(|| self.unexpected(what))
    }

    fn takes_text(&mut self) -> Option<String> {
        let Token::SingleQuotedString(text) = &self.peek_token_ref().token else { return None };
        let text = text.clone();
        self.advance_token();
        Some(text)
    }

    fn number(&mut self, what: &str) -> Result<u32> {
        let Token::Number(digits, _) = &self.peek_token_ref().token else { return Err(self.unexpected(what)) };
        let Ok(number) = digits.parse() else { return Err(self.unexpected(what)) };
        self.advance_token();
        Ok(number)
    }

    fn end(&mut self) -> Result<()> {
        match self.peek_token_ref().token {
            Token::EOF => Ok(()),
            _ => Err(self.unexpected("the end of the statement")),
        }
    }

    fn unexpected(&self, what: &str) -> Error {
        let found = self.peek_token_ref();
        expected(what, found, self.get_current_token())
    }

    fn translate(&self, error: ParserError) -> Error {
        let text = match error {
            ParserError::RecursionLimitExceeded => return limits::too_deep(self.here()),
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        };
        if let Some(error) = unwrap(&text) {
            return error;
        }
        let (message, column) = match text.rsplit_once(" at Line: 1, Column: ") {
            Some((message, column)) => (message, column.parse::<u64>().ok()),
            None => (text.as_str(), None),
        };
        let index_of = |column: u64| {
            let is_past = |index: &usize| self.token_at(*index).span.start.column == 0;
            (0..).take_while(|index| !is_past(index)).find(|index| self.token_at(*index).span.start.column == column)
        };
        let sides = message.strip_prefix("Expected").and_then(|rest| rest.split_once(", found: "));
        let is_found = |token: &&TokenWithSpan| sides.is_some_and(|(_, found)| token.token.to_string() == found);
        // Some messages have no place, some that of the token behind the one that they name.
        let place_given = column.and_then(index_of);
        let last = place_given.unwrap_or(self.get_current_index());
        let near = (last.saturating_sub(2)..=last).rev().find(|index| is_found(&self.token_at(*index)));
        let (before, found) = match near.or(place_given) {
            Some(index) => (self.token_at(index.saturating_sub(1)), self.token_at(index)),
            None => (self.get_current_token(), self.peek_token_ref()),
        };
        match sides {
            Some((what, _)) => expected(&lower_first(what.trim_start_matches([':', ' '])), found, before),
            None => Error::query(lower_first(message)).with_span(place(found)),
        }
    }
}

/// The same words in lower case where a sentence goes on.
fn lower_first(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().into_iter();
    let is_word = text.chars().nth(1).is_some_and(char::is_lowercase);
    first.map(|first| if is_word { first.to_ascii_lowercase() } else { first }).chain(rest).collect()
}

/// `found` stands where `what` was expected, behind the token `before`.
fn expected(what: &str, found: &TokenWithSpan, before: &TokenWithSpan) -> Error {
    let what = match what {
        "identifier" => "a name",
        "end of statement" => "the end of the statement",
        "an expression" | "an expression:" => "an expression",
        "SELECT, VALUES, or a subquery in the query body" => "SELECT, VALUES, WITH or a query in parentheses",
        "joined table" => "a join or a query in the parentheses",
        other => other,
    };
    let error = match &found.token {
        Token::EOF => Error::query(format!("expected {what}, but the statement ends here")),
        token => Error::query(format!("expected {what}, found `{}`", shown(token))),
    };
    let error = error.with_span(place(found));
    // A word that begins a form of its own, such as CAST, may be a name that lacks its back-quotes.
    if let Token::Word(Word { quote_style: None, value, .. }) = &before.token
        && what == "("
        && is_reserved(value)
    {
        return error.with_help(in_quotes(value));
    }
    match &found.token {
        Token::EOF => {
            error.with_help("something is missing at the end: a closing parenthesis, or the rest of the statement")
        }
        Token::Word(Word { quote_style: None, value, keyword }) if could_be_a_name(what, *keyword) => {
            error.with_help(in_quotes(value))
        }
        // What was expected is a list of words, or text in quotes.
        Token::Word(Word { keyword, .. }) if *keyword != Keyword::NoKeyword && what != "an expression" => error,
        _ if what == "a statement" => error,
        _ => error.with_help("look for a missing comma, operator or parenthesis just before it"),
    }
}

fn in_quotes(name: &str) -> String {
    format!("if {name} is a name here, write it in back-quotes: `{name}`")
}

/// Whether a keyword may be a name that lacks its back-quotes, by what was expected in its place.
fn could_be_a_name(what: &str, keyword: Keyword) -> bool {
    use Keyword::{FROM, GROUP, HAVING, LIMIT, ORDER, UNION, WHERE};
    let is_expected = match what {
        "an expression" => !matches!(keyword, FROM | GROUP | HAVING | LIMIT | ORDER | UNION | WHERE),
        _ => what.contains("name") && !what.contains("quotes"),
    };
    is_expected && keyword != Keyword::NoKeyword
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) => word.value.clone(),
        other => other.to_string(),
    }
}

fn is_word(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(Word { quote_style: None, value, .. }) if value.eq_ignore_ascii_case(expected))
}

fn place(token: &TokenWithSpan) -> Span {
    script_span(token.span).unwrap_or(Span { start: 0, end: 0 })
}

/// A name of the syntax tree as one of ours; none for a name that is computed.
pub(super) fn object_name_of(name: &ast::ObjectName) -> Option<ObjectName> {
    let idents: Option<Vec<&ast::Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
    object_name_of_idents(&idents?)
}

/// `a.b.c` as a name of ours.
pub(super) fn object_name_of_idents(idents: &[&ast::Ident]) -> Option<ObjectName> {
    let parts = idents.iter().map(|ident| ident.value.clone()).collect();
    let first = script_span(idents.first()?.span).unwrap_or(Span { start: 0, end: 0 });
    let last = script_span(idents.last()?.span).unwrap_or(first);
    Some(ObjectName { parts, span: Span { start: first.start, end: last.end } })
}
