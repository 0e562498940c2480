//! What was read from a statement, as text that two spellings of it have in common: without places, and without the
//! case of keywords.

use std::collections::BTreeSet;

use super::super::parser::parse_statement;
use crate::error::Result;

/// Words that Flink's grammar holds and that are functions in the tree: their case means nothing.
pub const FORMS: &[&str] = &["CUMULATE", "DESCRIPTOR", "HOP", "SESSION", "TABLE", "TUMBLE"];

/// A statement's tree.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    tree: String,
    /// All names and texts in it.
    names: BTreeSet<String>,
}

impl Reading {
    /// Reads a statement that begins at `offset` of the script.
    pub fn of(text: &str, offset: usize) -> Result<Self> {
        let statement = parse_statement(text, offset)?.statement;
        let mut reading = Self { tree: String::new(), names: BTreeSet::new() };
        reading.take(&format!("{statement:?}"));
        Ok(reading)
    }

    /// Whether the word stands in the tree as it was written, as names and texts do.
    pub fn has_name(&self, word: &str) -> bool {
        self.names.contains(word)
    }

    fn take(&mut self, mut rest: &str) {
        while let Some(first) = rest.chars().next() {
            if let Some(behind) = after_place(rest) {
                rest = behind;
            } else if let Some(behind) = ["Word { value: ", "query_text: "].iter().find_map(|it| rest.strip_prefix(it))
            {
                // A keyword that a node of the tree keeps; the text of a view, which the tree beside it says too.
                rest = &behind[text_length(behind)..];
            } else if first == '"' {
                let length = text_length(rest);
                self.text(&rest[..length]);
                rest = &rest[length..];
            } else {
                self.tree.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }

    fn text(&mut self, quoted: &str) {
        let word = quoted.trim_matches('"');
        let is_called = self.tree.ends_with("ObjectName([Identifier(Ident { value: ");
        match FORMS.iter().find(|form| is_called && form.eq_ignore_ascii_case(word)) {
            Some(form) => self.tree.push_str(form),
            None => {
                self.names.insert(word.to_owned());
                self.tree.push_str(quoted);
            }
        }
    }
}

/// The rest behind a place in the text, if one comes next.
fn after_place(rest: &str) -> Option<&str> {
    if rest.starts_with("Span { start: ") {
        return rest.split_once('}').map(|(_, behind)| behind);
    }
    let behind = rest.strip_prefix("Span(Location(")?;
    behind.split_once("))").map(|(_, behind)| behind)
}

/// How long the text in quotes is that comes next.
fn text_length(rest: &str) -> usize {
    let mut is_escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, next)| {
        let is_end = *next == '"' && !is_escaped;
        is_escaped = *next == '\\' && !is_escaped;
        is_end
    });
    end.map_or(rest.len(), |(end, _)| end + 1)
}
