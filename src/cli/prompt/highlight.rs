//! Colours for what is typed: keywords, texts, comments, and what was opened and not closed. Only the sixteen colours of
//! the terminal's own theme, and never a colour alone.

use super::keywords::is_keyword;
use crate::sql::{Kind, Lexer};

const KEYWORD: &str = "\u{1b}[1m";
const TEXT: &str = "\u{1b}[32m";
const COMMENT: &str = "\u{1b}[2m";
const OPEN: &str = "\u{1b}[4;31m";
const END: &str = "\u{1b}[0m";
/// Everything that is put between the characters of a text.
pub const SEQUENCES: [&str; 5] = [KEYWORD, TEXT, COMMENT, OPEN, END];

/// The same text with escape sequences around its parts. What is shown keeps its width.
pub fn highlight(text: &str) -> String {
    let mut coloured = String::with_capacity(text.len() + 64);
    let mut written = 0;
    for lexeme in Lexer::new(text) {
        push_between(&text[written..lexeme.start], &mut coloured);
        let content = lexeme.of(text);
        match lexeme.kind {
            Kind::Word if is_keyword(content) => paint(KEYWORD, content, &mut coloured),
            Kind::Text => paint(TEXT, content, &mut coloured),
            Kind::Hint => paint(COMMENT, content, &mut coloured),
            Kind::Open(_) => paint(OPEN, content, &mut coloured),
            _ => coloured.push_str(content),
        }
        written = lexeme.end;
    }
    push_between(&text[written..], &mut coloured);
    coloured
}

/// Spaces and comments: all that the lexer leaves out.
fn push_between(text: &str, coloured: &mut String) {
    if text.trim().is_empty() { coloured.push_str(text) } else { paint(COMMENT, text, coloured) }
}

/// A colour ends with its line, so that it does not reach into what the terminal draws behind it.
fn paint(colour: &str, text: &str, coloured: &mut String) {
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            coloured.push('\n');
        }
        if !line.is_empty() {
            coloured.push_str(colour);
            coloured.push_str(line);
            coloured.push_str(END);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = highlight(text)
            .replace(KEYWORD, "<k>")
            .replace(TEXT, "<t>")
            .replace(COMMENT, "<c>")
            .replace(OPEN, "<o>")
            .replace(END, "</>");
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn parts_have_their_colours() {
        check("select a, 'b' from t;", "<k>select</> a, <t>'b'</> <k>from</> t;");
        check("a -- c\nb", "a<c> -- c</>\nb");
        check("SELECT 'a", "<k>SELECT</> <o>'a</>");
        check("/* a\nb */ `select`", "<c>/* a</>\n<c>b */ </>`select`");
        check("größe § \"x\"", "größe § \"x\"");
    }
}
