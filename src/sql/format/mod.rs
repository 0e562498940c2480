//! A script in the one layout that there is: what `beadline fmt` writes.
//!
//! `tokens` reads the lexemes with the comments around them, `tree` puts them into brackets, `layout` decides where lines
//! end. White space, the case of keywords and a comma that stood behind a comment are all that changes: each statement
//! is read again, and has to be the one that was there.

mod layout;
mod reading;
mod tokens;
mod tree;
mod writer;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::lexer::{Kind, Lexer};
use super::limits;
use super::split::split_script;
use crate::error::{Error, Result, Span};

use layout::STEP;
use reading::{FORMS, Reading};
use tokens::{Comment, Token};

/// Formats a script. What cannot be read is an error with its place, and so, as a bug, is what would not be the same
/// afterwards.
pub fn format_script(text: &str) -> Result<String> {
    limits::check_bytes(text)?;
    limits::on_large_stack(|| format(text))
}

fn format(text: &str) -> Result<String> {
    let (tokens, rest) = tokens::read(text);
    // What is left open in a setting reaches to the end of the script.
    let is_open = tokens.last().is_some_and(|last| matches!(last.kind, Kind::Open(_)));
    let mut tokens = tokens.as_slice();
    let mut pieces = Vec::new();
    for (span, statement) in split_script(text)? {
        let place = |tokens: &[Token], place: usize| tokens.iter().take_while(|token| token.start < place).count();
        let (empty, behind) = tokens.split_at(place(tokens, span.start));
        pieces.extend(empty.iter().map(Piece::empty));
        let (own, behind) = behind.split_at(place(behind, span.end));
        let (semicolon, behind) = behind.split_at(behind.len().min(1));
        pieces.push(format_statement(own, semicolon.first(), statement, span)?);
        tokens = behind;
    }
    pieces.extend(tokens.iter().map(Piece::empty));
    let mut formatted = block(&pieces, 0);
    push_lines(&mut formatted, &rest, 0);
    if !formatted.is_empty() && !is_open {
        formatted.push('\n');
    }
    if content(text) != content(&formatted) {
        return Err(changed(Span { start: 0, end: text.len() }));
    }
    limits::check_bytes(&formatted)?;
    Ok(formatted)
}

/// Formats a statement, and reads it again. Where the case of a keyword matters after all, the words stay as they are.
fn format_statement(tokens: &[Token], semicolon: Option<&Token>, text: &str, span: Span) -> Result<Piece> {
    let reading = Reading::of(text, span.start)?;
    let setting = setting(text);
    // What is a text or a quoted name as well, the tree may have from there.
    let is_quoted = |token: &&Token| matches!(token.kind, Kind::Text | Kind::Name);
    let quoted: BTreeSet<&str> =
        tokens.iter().filter(is_quoted).map(|token| token.text.trim_matches(['`', '\''])).collect();
    let spellings = [
        with_upper_case(tokens, |word| reading.has_name(word) && !quoted.contains(word)),
        with_upper_case(tokens, |word| reading.has_name(word)),
        tokens.to_vec(),
    ];
    for tokens in spellings {
        let piece = Piece::new(tokens, semicolon, setting.clone(), 0);
        // Spaces may make it too long to be read.
        limits::check_bytes(&piece.body).map_err(|error| error.with_span(span))?;
        if Reading::of(&piece.body, 0).is_ok_and(|read| read == reading) {
            return Ok(piece);
        }
    }
    Err(changed(span))
}

fn changed(span: Span) -> Error {
    Error::bug("formatting would change what this says").with_span(span)
}

/// Writes keywords in upper case: words that the statement's tree has no name for.
fn with_upper_case<'a>(tokens: &[Token<'a>], is_name: impl Fn(&str) -> bool) -> Vec<Token<'a>> {
    let mut upper = tokens.to_vec();
    for (index, token) in upper.iter_mut().enumerate() {
        let is_form = FORMS.iter().any(|form| token.is(form)) && !token.is("TABLE");
        let is_called = || tokens.get(index + 1).is_some_and(|next| next.is_sign("("));
        let is_keyword = if is_form { is_called() } else { !is_name(&token.text) };
        if token.kind == Kind::Word && !token.is_name && is_keyword {
            token.text = Cow::Owned(token.text.to_ascii_uppercase());
        }
    }
    upper
}

/// A statement with the comments around it.
struct Piece {
    before: Vec<Comment>,
    /// Whether an empty line stands directly before the statement.
    blank: bool,
    /// With its semicolon.
    body: String,
    after: Vec<Comment>,
}

impl Piece {
    /// The tokens as a statement, or as the setting that they are.
    fn new(mut tokens: Vec<Token>, semicolon: Option<&Token>, setting: Option<String>, indent: usize) -> Self {
        let before = tokens.first_mut().map(|first| std::mem::take(&mut first.before)).unwrap_or_default();
        let blank = tokens.first().is_some_and(|first| first.blank);
        let last = tokens.last_mut().map(|last| std::mem::take(&mut last.after)).unwrap_or_default();
        let mut body = setting.unwrap_or_else(|| statement(&tokens, indent));
        // A comment that ends the line goes behind the semicolon, unless more of them stand there.
        let ends_line = last.iter().any(|comment| comment.ends_line);
        let is_moved = semicolon.is_none_or(|end| ends_line && end.before.is_empty() && end.after.is_empty());
        let mut after = if is_moved {
            last
        } else {
            push_behind(&mut body, &last);
            Vec::new()
        };
        if let Some(semicolon) = semicolon {
            push_lines(&mut body, &semicolon.before, indent);
            if !is_moved && (ends_line || !semicolon.before.is_empty()) {
                new_line(&mut body, indent);
            }
            body.push(';');
            after.extend(semicolon.after.iter().cloned());
        }
        Self { before, blank, body, after }
    }

    /// A semicolon that ends nothing.
    fn empty(token: &Token) -> Self {
        Self {
            before: token.before.clone(),
            blank: token.blank,
            body: token.text.clone().into_owned(),
            after: token.after.clone(),
        }
    }
}

fn statement(tokens: &[Token], indent: usize) -> String {
    match inner_statements(tokens) {
        Some(start) => statement_set(tokens, start, indent),
        None => layout::statement(&tree::grow(tokens), indent),
    }
}

/// Where the statements of a statement set begin; they end before its last token.
fn inner_statements(tokens: &[Token]) -> Option<usize> {
    let sees = |index: usize, words: &[&str]| {
        words.iter().enumerate().all(|(offset, word)| tokens.get(index + offset).is_some_and(|token| token.is(word)))
    };
    if !tokens.last()?.is("END") {
        return None;
    }
    if sees(0, &["BEGIN", "STATEMENT", "SET"]) {
        return Some(3 + usize::from(tokens.get(3)?.is_sign(";")));
    }
    (1..4).find(|index| sees(*index, &["STATEMENT", "SET", "BEGIN"])).map(|index| index + 3)
}

fn statement_set(tokens: &[Token], start: usize, indent: usize) -> String {
    let (head, rest) = tokens.split_at(start);
    let mut text = layout::statement(&tree::grow(head), indent);
    let mut pieces = Vec::new();
    let mut end = None;
    for part in rest.split_inclusive(|token| token.is_sign(";")) {
        match part.split_last() {
            Some((semicolon, [])) if semicolon.is_sign(";") => pieces.push(Piece::empty(semicolon)),
            Some((semicolon, own)) if semicolon.is_sign(";") => {
                pieces.push(Piece::new(own.to_vec(), Some(semicolon), None, indent + STEP));
            }
            Some((last, own)) => {
                if !own.is_empty() {
                    pieces.push(Piece::new(own.to_vec(), None, None, indent + STEP));
                }
                end = Some(last);
            }
            None => {}
        }
    }
    if !pieces.is_empty() {
        new_line(&mut text, indent + STEP);
        text.push_str(&block(&pieces, indent + STEP));
    }
    if let Some(end) = end {
        push_lines(&mut text, &end.before, indent + STEP);
        new_line(&mut text, indent);
        text.push_str(&end.text);
    }
    text
}

/// Statements below one another. An empty line stays, and one stands around every statement of several lines.
fn block(pieces: &[Piece], indent: usize) -> String {
    let mut text = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        let has_lines = |index: usize| pieces[index].body.contains('\n');
        let first_blank = piece.before.first().map_or(piece.blank, |first| first.blank);
        if index > 0 {
            if first_blank || has_lines(index) || has_lines(index - 1) {
                text.push('\n');
            }
            new_line(&mut text, indent);
        }
        if let Some((first, others)) = piece.before.split_first() {
            text.push_str(&first.text);
            push_lines(&mut text, others, indent);
            if piece.blank {
                text.push('\n');
            }
            new_line(&mut text, indent);
        }
        text.push_str(&piece.body);
        push_behind(&mut text, &piece.after);
    }
    text
}

/// Comments on lines of their own, with the empty lines between them.
fn push_lines(text: &mut String, comments: &[Comment], indent: usize) {
    for comment in comments {
        if !text.is_empty() {
            if comment.blank {
                text.push('\n');
            }
            new_line(text, indent);
        }
        text.push_str(&comment.text);
    }
}

/// Comments behind what stands on the line.
fn push_behind(text: &mut String, comments: &[Comment]) {
    for comment in comments {
        text.push(' ');
        text.push_str(&comment.text);
    }
}

fn new_line(text: &mut String, indent: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n(' ', indent));
}

/// A SET or RESET. Its key and value may be anything, and stay as they are: even a space means itself there.
fn setting(text: &str) -> Option<String> {
    let lexemes: Vec<_> = Lexer::new(text).collect();
    let (word, rest) = lexemes.split_first()?;
    if !word.is_word(text, "SET") && !word.is_word(text, "RESET") {
        return None;
    }
    let is_blank = |pair: &[super::lexer::Lexeme]| text[pair[0].end..pair[1].start].trim().is_empty();
    let equals = rest.iter().position(|lexeme| lexeme.is_sign(text, "=") || lexeme.is_sign(text, "=="));
    let upper = word.of(text).to_ascii_uppercase();
    let formatted = match (rest, equals) {
        ([], _) => upper,
        ([first, .., last], Some(equals)) if equals > 0 && equals + 1 < rest.len() && rest[equals].of(text) == "=" => {
            let key = &text[first.start..rest[equals - 1].end];
            format!("{upper} {key} = {}", &text[rest[equals + 1].start..last.end])
        }
        ([first, ..], _) if upper == "RESET" => format!("{upper} {}", &text[first.start..]),
        _ => text.to_owned(),
    };
    Some(if lexemes.windows(2).all(is_blank) { formatted } else { text.to_owned() })
}

/// What may not change: the lexemes, without the case of words, and the comments.
fn content(text: &str) -> (Vec<String>, Vec<String>) {
    let (tokens, rest) = tokens::read(text);
    let lexeme = |token: &Token| match token.kind {
        Kind::Word => token.text.to_ascii_uppercase(),
        _ => token.text.clone().into_owned(),
    };
    let lexemes = tokens.iter().map(lexeme).collect();
    let comments = tokens.into_iter().flat_map(|token| token.before.into_iter().chain(token.after));
    (lexemes, comments.chain(rest).map(|comment| comment.text).collect())
}
