//! A script's lexemes with what the lexer leaves out: the comments around each, and where spaces stand.

use std::borrow::Cow;

use super::super::lexer::{Kind, Lexer};

/// What is between two lexemes and no space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub text: String,
    /// Whether the next token has to begin a line.
    pub ends_line: bool,
    /// Whether an empty line stands before it.
    pub blank: bool,
}

/// A lexeme and the comments that belong to it.
#[derive(Debug, Clone)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: Cow<'a, str>,
    /// Its place in the script.
    pub start: usize,
    /// On lines of their own before it.
    pub before: Vec<Comment>,
    /// Whether an empty line stands directly before it.
    pub blank: bool,
    /// Behind it on its line.
    pub after: Vec<Comment>,
    /// Whether a space parts it from the token before it on its line.
    pub space: bool,
    /// Whether it is a bracket of a type, as in `ARRAY<INT>`.
    pub is_bracket: bool,
    /// Whether it may not be a keyword: a part of a path, or a field of a ROW.
    pub is_name: bool,
}

impl Token<'_> {
    /// Whether it is the unquoted word, in any case.
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is one of the words.
    pub fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    pub fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// Whether the next token has to begin a line.
    pub fn ends_line(&self) -> bool {
        self.after.iter().any(|comment| comment.ends_line)
    }
}

/// The tokens of a script, and the comments behind the last of them.
pub fn read(text: &str) -> (Vec<Token<'_>>, Vec<Comment>) {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut end = 0;
    for lexeme in Lexer::new(text) {
        let (before, blank) = take_gap(&text[end..lexeme.start], tokens.last_mut());
        tokens.push(Token {
            kind: lexeme.kind,
            text: Cow::Borrowed(lexeme.of(text)),
            start: lexeme.start,
            before,
            blank,
            after: Vec::new(),
            space: true,
            is_bracket: false,
            is_name: false,
        });
        end = lexeme.end;
    }
    let (rest, _) = take_gap(&text[end..], tokens.last_mut());
    move_commas(&mut tokens);
    set_spaces(&mut tokens);
    (tokens, rest)
}

/// Gives the comments of a gap that begin on the line of the token before it to that token, and returns the others, and
/// whether an empty line ends the gap.
fn take_gap(gap: &str, previous: Option<&mut Token>) -> (Vec<Comment>, bool) {
    let mut behind = Vec::new();
    let mut before = Vec::new();
    let is_first = previous.is_none();
    let mut is_on_line = !is_first;
    let mut line_ends = 0;
    let mut rest = gap;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("--") || rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(inner) = rest.strip_prefix("/*") {
            inner.find("*/").map_or(rest.len(), |length| length + 4)
        } else {
            line_ends += usize::from(first == '\n');
            is_on_line &= first != '\n';
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let text = rest[..length].trim_end().replace("\r\n", "\n");
        let ends_line = !text.starts_with("/*") || text.contains('\n');
        let comment = Comment { text, ends_line, blank: line_ends > 1 };
        if is_on_line {
            behind.push(comment)
        } else {
            before.push(comment)
        }
        line_ends = 0;
        rest = &rest[length..];
    }
    if let Some(previous) = previous {
        previous.after = behind;
    }
    (before, line_ends > 1)
}

/// A comma stands directly behind what it ends; the comments that stood before it come behind it.
fn move_commas(tokens: &mut [Token]) {
    for index in 1..tokens.len() {
        let is_behind_comment = tokens[index - 1].ends_line() || !tokens[index].before.is_empty();
        if !tokens[index].is_sign(",") || !is_behind_comment {
            continue;
        }
        let after = std::mem::take(&mut tokens[index - 1].after);
        let comma = &mut tokens[index];
        let mut below = std::mem::take(&mut comma.before);
        below.append(&mut std::mem::replace(&mut comma.after, after));
        match tokens.get_mut(index + 1) {
            Some(next) => drop(next.before.splice(0..0, below)),
            None => tokens[index].after.append(&mut below),
        }
    }
}

/// Words that a parenthesis stands apart from, and behind which a sign belongs to the number that follows.
const APART: &[&str] = &[
    "ADD",
    "ALL",
    "AND",
    "ANY",
    "AS",
    "BETWEEN",
    "BY",
    "CASE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "FILTER",
    "FROM",
    "GROUP",
    "HAVING",
    "IN",
    "INTERSECT",
    "INTERVAL",
    "JOIN",
    "KEY",
    "LATERAL",
    "LIKE",
    "LIMIT",
    "MINUS",
    "MODIFY",
    "NOT",
    "OFFSET",
    "ON",
    "OR",
    "OVER",
    "RESET",
    "SELECT",
    "SET",
    "SETS",
    "SOME",
    "THEN",
    "UNION",
    "UNIQUE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Words behind which the name of a table stands, with a list of columns in parentheses that is no call.
const BEFORE_TABLES: &[&str] = &["EXISTS", "INTO", "TABLE", "VIEW"];

fn set_spaces(tokens: &mut [Token]) {
    // Of each `<` that is open: whether it belongs to a ROW.
    let mut types: Vec<bool> = Vec::new();
    let mut was_bound = false;
    for index in 0..tokens.len() {
        let (earlier, rest) = tokens.split_at_mut(index);
        let (token, next) = rest.split_first_mut().expect("the index is one of a token");
        let Some(previous) = earlier.last() else { continue };
        let opens_type = token.is_sign("<") && previous.is_one_of(&["ARRAY", "MAP", "MULTISET", "ROW"]);
        let closes_type = token.is_sign(">") && !types.is_empty();
        let is_bound = std::mem::take(&mut was_bound);
        if opens_type {
            types.push(previous.is("ROW"));
            was_bound = true;
        } else if closes_type {
            types.pop();
        } else if is_unary(token, previous) {
            was_bound = !next.first().is_some_and(|next| next.is_sign("-") || next.is_sign("+"));
        }
        token.is_bracket = opens_type || closes_type;
        let begins_field = previous.is_sign("<") || previous.is_sign(",");
        token.is_name = previous.is_sign(".")
            || next.first().is_some_and(|next| next.is_sign("."))
            || (begins_field && types.last() == Some(&true));
        token.space = !(is_bound
            || opens_type
            || closes_type
            || [".", "(", "[", "::"].iter().any(|sign| previous.is_sign(sign))
            || [".", ")", "]", ",", ";", "::"].iter().any(|sign| token.is_sign(sign))
            || token.is_sign("[") && (is_named(previous) || previous.is_sign(")") || previous.is_sign("]"))
            || token.is_sign("(") && is_call(earlier, next));
    }
}

fn is_named(token: &Token) -> bool {
    matches!(token.kind, Kind::Word | Kind::Name)
}

/// Whether a parenthesis between these tokens holds the arguments of a function or of a type.
fn is_call(tokens: &[Token], next: &[Token]) -> bool {
    if next.first().is_some_and(|next| next.is_one_of(&["EXCLUDING", "INCLUDING", "OVERWRITING"])) {
        return false;
    }
    let mut before = tokens.iter().rev();
    let Some(name) = before.next().filter(|last| is_named(last)) else { return false };
    let mut word = before.next();
    while word.is_some_and(|word| word.is_sign(".")) {
        before.next();
        word = before.next();
    }
    let is_part = tokens.len() > 1 && tokens[tokens.len() - 2].is_sign(".");
    (is_part || !name.is_one_of(APART)) && !word.is_some_and(|word| word.is_one_of(BEFORE_TABLES))
}

/// Whether it is the sign of a number or of an expression.
fn is_unary(token: &Token, previous: &Token) -> bool {
    let is_behind_value = match previous.kind {
        Kind::Word => !previous.is_one_of(APART),
        Kind::Sign => previous.is_sign(")") || previous.is_sign("]"),
        _ => true,
    };
    (token.is_sign("-") || token.is_sign("+")) && !is_behind_value
}
