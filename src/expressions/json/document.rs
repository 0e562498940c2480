//! A text in JSON as a tree, and a tree as text.
//!
//! It is read as Flink reads it: what stands behind the first value does not matter, of two members of one name the last
//! counts, and numbers keep their digits. Objects are written in the order of their names.

use std::borrow::Cow;
use std::fmt::Write;

use super::number;

/// How deep arrays and objects may stand in one another.
const DEPTH: usize = 1000;

/// What Java writes for half of a pair of UTF-16 that stands alone.
const LONE: char = '?';

/// A value of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    Null,
    Boolean(bool),
    /// A number as it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// Members in the order in which their names came first.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads the first value of a text; none if there is none.
    pub fn read(text: &'a str) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let node = reader.value(0)?;
        // A number has to end where it stands alone.
        let is_number = matches!(node, Node::Number(_));
        let is_apart = reader.peek().is_none_or(|next| matches!(next, b' ' | b'\t' | b'\n' | b'\r'));
        (!is_number || is_apart).then_some(node)
    }

    /// Whether it is a text, a number, TRUE or FALSE.
    pub fn is_scalar(&self) -> bool {
        matches!(self, Self::Boolean(_) | Self::Number(_) | Self::Text(_))
    }

    /// Appends it in JSON.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Text(text) => write_text(text, out),
            Self::List(nodes) => {
                out.push('[');
                for (index, node) in nodes.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    node.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => write_object(members.iter().map(|(name, node)| (name.as_ref(), node)), out),
            scalar => scalar.write_plain(out),
        }
    }

    /// Appends a scalar as a text of SQL: without quotes.
    pub fn write_plain(&self, out: &mut String) {
        match self {
            Self::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => number::write(number, out),
            Self::Text(text) => out.push_str(text),
            Self::Null | Self::List(_) | Self::Object(_) => {}
        }
    }
}

fn write_object<'a>(members: impl Iterator<Item = (&'a str, &'a Node<'a>)>, out: &mut String) {
    let mut members: Vec<_> = members.collect();
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    out.push('{');
    for (index, (name, node)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        node.write(out);
    }
    out.push('}');
}

/// Appends a text in quotes.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| *byte < b' ' || matches!(byte, b'"' | b'\\')) {
        out.push_str(&text[copied..at]);
        copied = at + 1;
        match short_escape(byte) {
            Some(letter) => out.extend(['\\', letter]),
            None => {
                // A string takes any text.
                let _ = write!(out, "\\u{byte:04X}");
            }
        }
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

/// The letter that stands for a character behind a backslash.
pub fn short_escape(byte: u8) -> Option<char> {
    Some(match byte {
        b'"' | b'\\' => byte.into(),
        8 => 'b',
        9 => 't',
        10 => 'n',
        12 => 'f',
        13 => 'r',
        _ => return None,
    })
}

/// The characters that a text in quotes stands for, without the quotes; none where an escape is broken.
pub fn unescaped(inner: &str) -> Option<Cow<'_, str>> {
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    // The first half of a pair of UTF-16, which waits for the other.
    let mut high = None;
    while let Some(at) = rest.find('\\') {
        flush(&mut high, !rest[..at].is_empty(), &mut out);
        out.push_str(&rest[..at]);
        let escape = rest[at + 1..].chars().next()?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        if escape == 'u' {
            let digits = rest.get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
            let unit = u16::from_str_radix(digits, 16).ok()?;
            rest = &rest[4..];
            match (high.take(), unit) {
                (Some(high), 0xDC00..=0xDFFF) => {
                    out.extend(char::decode_utf16([high, unit]).map(|pair| pair.unwrap_or(LONE)));
                    continue;
                }
                (Some(_), _) => out.push(LONE),
                (None, _) => {}
            }
            match unit {
                0xD800..=0xDBFF => high = Some(unit),
                unit => out.push(char::from_u32(unit.into()).unwrap_or(LONE)),
            }
            continue;
        }
        flush(&mut high, true, &mut out);
        out.push(match escape {
            '"' | '\\' | '/' => escape,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            _ => return None,
        });
    }
    flush(&mut high, true, &mut out);
    out.push_str(rest);
    Some(Cow::Owned(out))
}

/// Half of a pair that stays alone is no character.
fn flush(high: &mut Option<u16>, is_alone: bool, out: &mut String) {
    if is_alone && high.take().is_some() {
        out.push(LONE);
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no blank.
    fn next(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn takes(&mut self, sign: u8) -> bool {
        let found = self.next() == Some(sign);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        match self.next()? {
            b'{' if depth < DEPTH => self.object(depth + 1),
            b'[' if depth < DEPTH => self.list(depth + 1),
            b'"' => self.text().map(Node::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Node::Boolean(true)),
            b'f' => self.word("false", Node::Boolean(false)),
            b'n' => self.word("null", Node::Null),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, node: Node<'a>) -> Option<Node<'a>> {
        let rest = self.text[self.at..].strip_prefix(word)?;
        self.at += word.len();
        let goes_on = rest.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '_' | '$'));
        (!goes_on).then_some(node)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<Node<'a>> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.at;
        self.digits()?;
        // No zero in front of others.
        if self.text.as_bytes()[whole] == b'0' && self.at > whole + 1 {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'-' | b'+') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(Node::Number(&self.text[start..self.at]))
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        loop {
            at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
            if bytes[at] == b'"' {
                break;
            }
            at += 2;
            if at > bytes.len() {
                return None;
            }
        }
        self.at = at + 1;
        let inner = &self.text[start..at];
        if inner.bytes().any(|byte| byte < b' ') {
            return None;
        }
        unescaped(inner)
    }

    fn list(&mut self, depth: usize) -> Option<Node<'a>> {
        self.at += 1;
        let mut nodes = Vec::new();
        if self.takes(b']') {
            return Some(Node::List(nodes));
        }
        loop {
            nodes.push(self.value(depth)?);
            if self.takes(b']') {
                return Some(Node::List(nodes));
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Node<'a>> {
        self.at += 1;
        let mut members: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        // Where each name stands, once there are too many to look through.
        let mut places: hashbrown::HashMap<Cow<'a, str>, usize> = hashbrown::HashMap::new();
        if self.takes(b'}') {
            return Some(Node::Object(members));
        }
        loop {
            if self.next()? != b'"' {
                return None;
            }
            let name = self.text()?;
            if !self.takes(b':') {
                return None;
            }
            let node = self.value(depth)?;
            if members.len() == MANY {
                places = members.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
            }
            let known = match members.len() < MANY {
                true => members.iter().position(|(known, _)| *known == name),
                false => places.get(&name).copied(),
            };
            match known {
                Some(place) => members[place].1 = node,
                None => {
                    if members.len() >= MANY {
                        places.insert(name.clone(), members.len());
                    }
                    members.push((name, node));
                }
            }
            if self.takes(b'}') {
                return Some(Node::Object(members));
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }
}

/// Members from which on names are looked up.
const MANY: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> Option<String> {
        let mut out = String::new();
        Node::read(text)?.write(&mut out);
        Some(out)
    }

    #[test]
    fn what_is_read_is_written_in_one_way() {
        for (text, expected) in [
            (" {\"z\" : 1, \"b\":[true,null], \"z\":3} x", "{\"b\":[true,null],\"z\":3}"),
            ("[1e3,0.1e-7,1.50,-0,-0.0,1E400]", "[1E+3,1E-8,1.50,0,0.0,1E+400]"),
            (
                "\"\\b\\f\\n\\r\\t\\u001f\\/\\u00e9😀\\ud83d\\ude00\\\\\\\"\"",
                "\"\\b\\f\\n\\r\\t\\u001F/é😀😀\\\\\\\"\"",
            ),
            ("\"\\ud800\"", "\"?\""),
            ("1 2", "1"),
            ("[1]]", "[1]"),
        ] {
            assert_eq!(again(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn broken_texts_are_none() {
        for text in [
            "",
            " ",
            "a",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "+1",
            "NaN",
            "\"a",
            "'a'",
            "\"\\x\"",
            "[1 2]",
            "tru",
            "truex",
            "-",
            "1e",
            "\"\\u12\"",
            "// c",
            "\"a\u{1}\"",
            "1x",
            "\u{a0} 1",
            "\"\\",
            "{\"a\"",
            "{\"a\":",
            "[",
        ] {
            assert_eq!(Node::read(text), None, "{text}");
        }
        assert_eq!(Node::read(&"[".repeat(100_000)), None);
    }

    #[test]
    fn many_members_are_found_by_their_names() {
        let text = |repeats: usize| {
            let members: Vec<String> = (0..repeats).map(|index| format!("\"{:02}\":{index}", index % 40)).collect();
            format!("{{{}}}", members.join(","))
        };
        let text = text(100);
        let Some(Node::Object(members)) = Node::read(&text) else { panic!("an object") };
        assert_eq!(members.len(), 40);
        assert_eq!(members[20].1, Node::Number("60"));
        assert_eq!(members[19].1, Node::Number("99"));
    }
}
