//! Text to lexemes: where each word, name, literal and sign begins and ends.
//!
//! One scanner serves the splitter, the limits and the tokens, so that they cannot disagree about what is a string or a
//! comment. It never fails and copies nothing: what Flink would refuse is a lexeme of its own, refused when it is read.

/// What a lexeme is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An unquoted word: a keyword or a name.
    Word,
    /// `` `name` ``
    Name,
    /// `'text'`, with its prefix where it has one (`X'41'`, `E'\n'`, `U&'\0041'`, `N'a'`).
    Text,
    Number,
    /// One or two characters of punctuation.
    Sign,
    /// `/*+ … */`
    Hint,
    /// `"text"`: a string elsewhere, a name elsewhere, nothing in Flink.
    DoubleQuoted,
    /// A character that begins nothing.
    Stray,
    /// Text, name or comment without its end: reaches to the end of the script.
    Open(Open),
}

/// What was left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    Text,
    Name,
    Comment,
}

/// A piece of the text, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lexeme {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Lexeme {
    /// The characters of this lexeme.
    pub fn of<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start..self.end]
    }

    /// Whether this is the unquoted `word`, in any case.
    pub fn is_word(&self, text: &str, word: &str) -> bool {
        self.kind == Kind::Word && self.of(text).eq_ignore_ascii_case(word)
    }

    /// Whether this is the sign.
    pub fn is_sign(&self, text: &str, sign: &str) -> bool {
        self.kind == Kind::Sign && self.of(text) == sign
    }
}

/// The lexemes of `text` in order, without spaces and comments.
pub struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    /// From the start of the text.
    pub fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    fn byte(&self, index: usize) -> u8 {
        self.text.as_bytes().get(index).copied().unwrap_or(0)
    }

    /// Skips spaces and comments; a hint or an open comment is a lexeme.
    fn skip_blank(&mut self) -> Option<Lexeme> {
        loop {
            let start = self.position;
            if !matches!(self.byte(start), 0..=b' ' | b'-' | b'/' | 0x80..) {
                return None;
            }
            let rest = &self.text[start..];
            if let Some(first) = rest.chars().next().filter(|first| first.is_whitespace() || *first == '\u{feff}') {
                self.position += first.len_utf8();
            } else if rest.starts_with("--") || (rest.starts_with("//") && !self.text[..start].ends_with([':', '/'])) {
                // As in Flink. After a colon the slashes belong to an address that someone left unquoted in a SET.
                self.position += rest.find('\n').map_or(rest.len(), |line| line + 1);
            } else if let Some(inner) = rest.strip_prefix("/*") {
                let Some(length) = inner.find("*/").map(|length| length + 4) else {
                    self.position = self.text.len();
                    return Some(Lexeme { kind: Kind::Open(Open::Comment), start, end: self.position });
                };
                self.position += length;
                if rest.starts_with("/*+") && length > 4 {
                    return Some(Lexeme { kind: Kind::Hint, start, end: self.position });
                }
            } else {
                return None;
            }
        }
    }

    /// The end of what is quoted from `open` (the place of the quote), or none. A doubled quote stands for one.
    fn quoted_end(&self, open: usize, quote: u8, backslash: bool) -> Option<usize> {
        let mut index = open + 1;
        loop {
            match self.byte(index) {
                0 if index >= self.text.len() => return None,
                b'\\' if backslash => index += 2,
                byte if byte == quote && self.byte(index + 1) == quote => index += 2,
                byte if byte == quote => return Some(index + 1),
                _ => index += 1,
            }
        }
    }

    /// The text of which the quote stands at `open`.
    fn text_from(&self, open: usize, backslash: bool) -> (Kind, usize) {
        match self.quoted_end(open, b'\'', backslash) {
            Some(end) => (Kind::Text, end),
            None => (Kind::Open(Open::Text), self.text.len()),
        }
    }

    fn word_from(&self, start: usize) -> (Kind, usize) {
        let rest = &self.text[start..];
        let end = start + rest.find(|next| !is_word_part(next)).unwrap_or(rest.len());
        let word = &self.text[start..end];
        match self.byte(end) {
            b'\'' if ["x", "n"].iter().any(|prefix| word.eq_ignore_ascii_case(prefix)) => self.text_from(end, false),
            b'\'' if word.eq_ignore_ascii_case("e") => self.text_from(end, true),
            b'&' if word.eq_ignore_ascii_case("u") && self.byte(end + 1) == b'\'' => self.text_from(end + 1, false),
            _ => (Kind::Word, end),
        }
    }

    fn number_from(&self, start: usize) -> (Kind, usize) {
        let digits = |mut index: usize| {
            while self.byte(index).is_ascii_digit() {
                index += 1;
            }
            index
        };
        let mut end = digits(start);
        if self.byte(end) == b'.' {
            end = digits(end + 1);
        }
        if matches!(self.byte(end), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
            if self.byte(end + 1 + sign).is_ascii_digit() {
                end = digits(end + 1 + sign);
            }
        }
        (Kind::Number, end)
    }

    fn sign_from(&self, start: usize, first: char) -> (Kind, usize) {
        match (self.byte(start), self.byte(start + 1)) {
            (b'<', b'>' | b'=') | (b'>' | b'!' | b'=', b'=') | (b'|', b'|') | (b'=' | b'-', b'>') | (b':', b':') => {
                (Kind::Sign, start + 2)
            }
            (sign, _) if b"()[]{},;.+-*/%=<>:?|".contains(&sign) => (Kind::Sign, start + 1),
            _ => (Kind::Stray, start + first.len_utf8()),
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Lexeme;

    fn next(&mut self) -> Option<Lexeme> {
        if let Some(found) = self.skip_blank() {
            return Some(found);
        }
        let start = self.position;
        let first = self.text[start..].chars().next()?;
        let (kind, end) = match first {
            '\'' => self.text_from(start, false),
            '`' => match self.quoted_end(start, b'`', false) {
                Some(end) => (Kind::Name, end),
                None => (Kind::Open(Open::Name), self.text.len()),
            },
            // Only within the line: a lone one must not swallow the rest of the script.
            '"' => match self.text[start + 1..].find(['"', '\n']) {
                Some(inner) if self.byte(start + 1 + inner) == b'"' => (Kind::DoubleQuoted, start + inner + 2),
                _ => (Kind::Stray, start + 1),
            },
            '0'..='9' => self.number_from(start),
            '.' if self.byte(start + 1).is_ascii_digit() && !self.text[..start].ends_with(is_name_end) => {
                self.number_from(start)
            }
            first if is_word_part(first) => self.word_from(start),
            first => self.sign_from(start, first),
        };
        // An escape may have been the last character.
        self.position = end.min(self.text.len());
        Some(Lexeme { kind, start, end: self.position })
    }
}

fn is_word_part(next: char) -> bool {
    next.is_alphanumeric() || next == '_' || next == '$'
}

fn is_name_end(last: char) -> bool {
    is_word_part(last) || last == '`' || last == ']' || last == ')'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found: Vec<String> =
            Lexer::new(text).map(|lexeme| format!("{:?}:{}", lexeme.kind, lexeme.of(text))).collect();
        assert_eq!(found.join(" "), expected, "in {text}");
    }

    #[test]
    fn words_names_and_literals() {
        check(
            "SELECT `a b`, 'it''s' -- no\n FROM größe",
            "Word:SELECT Name:`a b` Sign:, Text:'it''s' Word:FROM Word:größe",
        );
        check("E'a\\'b' X'41' U&'\\0041' n'x' e", "Text:E'a\\'b' Text:X'41' Text:U&'\\0041' Text:n'x' Word:e");
        check(
            "1 1.5 .5 1e3 1E-3 2e t.1",
            "Number:1 Number:1.5 Number:.5 Number:1e3 Number:1E-3 Number:2 Word:e Word:t Sign:. Number:1",
        );
        check("a<>b<=c=>d||e!=f", "Word:a Sign:<> Word:b Sign:<= Word:c Sign:=> Word:d Sign:|| Word:e Sign:!= Word:f");
        check(
            "MAP<STRING, ROW<a INT>>",
            "Word:MAP Sign:< Word:STRING Sign:, Word:ROW Sign:< Word:a Word:INT Sign:> Sign:>",
        );
    }

    #[test]
    fn comments_and_hints() {
        check("a /* b ; ' */ c // d\n e", "Word:a Word:c Word:e");
        check(
            "a /*+ OPTIONS('k'='v') */ b /**/ c /*+*/",
            "Word:a Hint:/*+ OPTIONS('k'='v') */ Word:b Word:c Hint:/*+*/",
        );
        check("file:///tmp", "Word:file Sign:: Sign:/ Sign:/ Sign:/ Word:tmp");
        check("a /* b", "Word:a Open(Comment):/* b");
    }

    #[test]
    fn what_is_left_open_reaches_the_end() {
        check("a 'b ; c", "Word:a Open(Text):'b ; c");
        check("a `b ; c", "Word:a Open(Name):`b ; c");
        check("a \"b;c\" \"d", "Word:a DoubleQuoted:\"b;c\" Stray:\" Word:d");
        check("E'\\", "Open(Text):E'\\");
        check("a § b", "Word:a Stray:§ Word:b");
    }
}
