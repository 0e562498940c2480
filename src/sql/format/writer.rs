//! Lines of text, written token by token.

use unicode_width::UnicodeWidthStr;

use super::tokens::{Comment, Token};

/// The columns of a line.
pub const WIDTH: usize = 100;

/// Where the next token goes, and all before it.
#[derive(Default)]
pub struct Writer {
    text: String,
    column: usize,
    /// The indent of the line that the next token begins.
    line: Option<usize>,
    /// Whether a comment ended the line.
    is_over: bool,
}

impl Writer {
    /// At the beginning of a line that is indented already.
    pub fn at(indent: usize) -> Self {
        Self { column: indent, ..Self::default() }
    }

    pub fn end(self) -> String {
        self.text
    }

    /// The next token begins a line.
    pub fn line(&mut self, indent: usize) {
        self.line = Some(indent);
        self.is_over = false;
    }

    /// The columns that are left for what comes next. One is kept for the sign behind it.
    pub fn room(&self) -> usize {
        let column = self.line.unwrap_or(if self.text.is_empty() { self.column } else { self.column + 1 });
        (WIDTH - 1).saturating_sub(column)
    }

    /// A token with its comments; where these end the line, it goes on with the indent.
    pub fn token(&mut self, token: &Token, indent: usize) {
        self.comments(&token.before, indent);
        self.bare(token, indent);
    }

    /// Comments on lines of their own.
    pub fn comments(&mut self, comments: &[Comment], indent: usize) {
        for comment in comments {
            if !self.text.is_empty() {
                self.line.get_or_insert(indent);
            }
            self.push(&comment.text, false);
            self.is_over = true;
        }
    }

    /// A token without the comments before it.
    pub fn bare(&mut self, token: &Token, indent: usize) {
        if self.is_over {
            self.line.get_or_insert(indent);
            self.is_over = false;
        }
        self.push(&token.text, token.space);
        for comment in &token.after {
            self.push(&comment.text, true);
            self.is_over |= comment.ends_line;
        }
    }

    /// Spaces before the next token of the line.
    pub fn pad(&mut self, columns: usize) {
        if self.line.is_none() && !self.is_over {
            self.text.extend(std::iter::repeat_n(' ', columns));
            self.column += columns;
        }
    }

    fn push(&mut self, text: &str, has_space: bool) {
        if let Some(indent) = self.line.take() {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', indent));
            self.column = indent;
        } else if has_space && !self.text.is_empty() {
            self.text.push(' ');
            self.column += 1;
        }
        self.text.push_str(text);
        self.column = match text.rsplit_once('\n') {
            Some((_, last)) => last.width(),
            None => self.column + text.width(),
        };
    }
}
