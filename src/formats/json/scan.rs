//! One pass over a JSON document that checks all of its grammar and leaves cells instead of a tree.
//!
//! The grammar is exactly that of `serde_json` (a property test holds them together): what it refuses is refused
//! here. Numbers stay text, so that a DECIMAL keeps every digit; text is borrowed; nothing is allocated.

use super::super::cells::{Cell, CellKind};

/// Deepest nesting of a document (`BL-LIM-JSON-DEPTH`).
pub(super) const DEEPEST: usize = 128;

/// What is wrong with a document, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: usize,
    pub what: &'static str,
}

/// Takes the fields of a document.
pub(super) trait Fields {
    /// Bytes of the name in quotes and the colon that are expected for the field with this number, if `rest` begins
    /// with them.
    fn expect(&self, position: usize, rest: &[u8]) -> Option<usize>;
    /// A field; without a key it is the expected one.
    fn field(&mut self, position: usize, key: Option<Cell>, value: Cell) -> Result<(), &'static str>;
}

/// A place in a document. The bytes must be UTF-8.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Scanner<'a> {
    /// Over `bytes[start .. end]`; cells are places in `bytes`.
    pub fn new(bytes: &'a [u8], start: usize, end: usize) -> Self {
        Self { bytes: &bytes[..end], at: start, end }
    }

    /// The whole document as an object.
    pub fn document(mut self, fields: &mut impl Fields) -> Result<(), Fault> {
        match self.next_token() {
            Some(b'{') => self.at += 1,
            Some(_) => {
                // Whatever it is, broken grammar is the better complaint.
                let at = self.at;
                self.value(1)?;
                return Err(Fault { at, what: "a row must be a JSON object" });
            }
            None => return Err(self.fault("the document ends early")),
        }
        let mut position = 0;
        let mut open = self.next_token() != Some(b'}');
        self.at += usize::from(!open);
        while open {
            let at = self.at;
            // Nearly always the name is the one that stood here in the row before, spelled the same way.
            let key = match fields.expect(position, &self.bytes[at..]) {
                Some(length) => {
                    self.at += length;
                    None
                }
                None => Some(self.key()?),
            };
            let value = self.value_inlined(1)?;
            fields.field(position, key, value).map_err(|what| Fault { at, what })?;
            position += 1;
            match self.next_token() {
                Some(b',') => {
                    self.at += 1;
                    self.next_token();
                }
                Some(b'}') => {
                    self.at += 1;
                    open = false;
                }
                _ => return Err(self.fault("expected `,` or `}`")),
            }
        }
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.fault("there is more than one document in the line")),
        }
    }

    /// A field name and the colon behind it.
    fn key(&mut self) -> Result<Cell, Fault> {
        if self.next_token() != Some(b'"') {
            return Err(self.fault("expected a field name in double quotes"));
        }
        let key = self.string()?;
        if self.next_token() != Some(b':') {
            return Err(self.fault("expected `:` behind a field name"));
        }
        self.at += 1;
        Ok(key)
    }

    /// The fields of an object that stands at the current place.
    pub fn object(
        &mut self,
        depth: usize,
        mut field: impl FnMut(Cell, Cell) -> Result<(), &'static str>,
    ) -> Result<(), Fault> {
        self.at += 1;
        if self.next_token() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let at = self.at;
            let key = self.key()?;
            let value = self.value(depth)?;
            field(key, value).map_err(|what| Fault { at, what })?;
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("expected `,` or `}`")),
            }
        }
    }

    /// The elements of an array that stands at the current place.
    pub fn array(&mut self, depth: usize, mut element: impl FnMut(Cell)) -> Result<(), Fault> {
        self.at += 1;
        if self.next_token() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self.value(depth)?);
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("expected `,` or `]`")),
            }
        }
    }

    /// The value at the current place, checked to its end; `depth` brackets are open around it.
    fn value(&mut self, depth: usize) -> Result<Cell, Fault> {
        self.value_inlined(depth)
    }

    /// The same for the fields of a row: handing a cell over in memory would cost as much as finding it.
    #[inline(always)]
    fn value_inlined(&mut self, depth: usize) -> Result<Cell, Fault> {
        match self.next_token() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{' | b'[') => self.nested(depth),
            Some(b't') => self.word(b"true", CellKind::True),
            Some(b'f') => self.word(b"false", CellKind::False),
            Some(b'n') => self.word(b"null", CellKind::Null),
            Some(_) => Err(self.fault("expected a value")),
            None => Err(self.fault("the document ends early")),
        }
    }

    fn nested(&mut self, depth: usize) -> Result<Cell, Fault> {
        if depth >= DEEPEST {
            return Err(self.fault("nested deeper than 128 levels [BL-LIM-JSON-DEPTH]"));
        }
        let start = self.at;
        if self.bytes[start] == b'{' {
            self.object(depth + 1, |_, _| Ok(()))?;
        } else {
            self.array(depth + 1, |_| {})?;
        }
        Ok(Cell::new(CellKind::Nested, start, self.at))
    }

    /// Moves to the next byte that is no white space.
    #[inline]
    fn next_token(&mut self) -> Option<u8> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte > b' ' => Some(*byte),
            _ => self.skip_space(),
        }
    }

    fn skip_space(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    /// A string whose opening quote stands at the current place.
    #[inline(always)]
    fn string(&mut self) -> Result<Cell, Fault> {
        let start = self.at + 1;
        let mut at = start;
        let mut kind = CellKind::Text;
        loop {
            at = plain_text(self.bytes, at);
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Cell::new(kind, start, at));
                }
                Some(b'\\') => {
                    kind = CellKind::Escaped;
                    at = self.escape(at)?;
                }
                Some(_) => return Err(Fault { at, what: "a control character must be escaped" }),
                None => return Err(Fault { at: self.end, what: "a string has no end" }),
            }
        }
    }

    /// An escape at `at`; answers with the place behind it. Half a surrogate pair stands for no character.
    fn escape(&self, at: usize) -> Result<usize, Fault> {
        let fault = Fault { at, what: "no such escape" };
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => match code_unit(self.bytes, at).ok_or(fault)? {
                0xD800..=0xDBFF => match code_unit(self.bytes, at + 6) {
                    Some(0xDC00..=0xDFFF) => Ok(at + 12),
                    _ => Err(Fault { at, what: "half of a surrogate pair" }),
                },
                0xDC00..=0xDFFF => Err(Fault { at, what: "half of a surrogate pair" }),
                _ => Ok(at + 6),
            },
            _ => Err(fault),
        }
    }

    #[inline(always)]
    fn number(&mut self) -> Result<Cell, Fault> {
        let start = self.at;
        self.at += usize::from(self.bytes[start] == b'-');
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.fault("a number has no digits")),
        }
        if self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            return Err(self.fault("a number begins with 0"));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.some_digits()?;
        }
        Ok(Cell::new(CellKind::Number, start, self.at))
    }

    #[inline]
    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.fault("a number has no digits")) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8], kind: CellKind) -> Result<Cell, Fault> {
        let start = self.at;
        if !self.bytes[start..].starts_with(word) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(Cell::new(kind, start, self.at))
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }
}

/// The first place from `at` on that holds a quote, a backslash or a control character, or the end.
#[inline]
fn plain_text(bytes: &[u8], at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Most texts are short: eight bytes at a time, three times. A byte is below n where taking n away borrows and
    // the byte itself has no high bit.
    for offset in [0, 8, 16] {
        let Some(word) = bytes.get(at + offset..).and_then(|rest| rest.first_chunk::<8>()) else {
            return text_end(bytes, at + offset);
        };
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found =
            ((quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash) | control) & HIGH;
        if found != 0 {
            // The lowest mark is exact; only marks above it can be owed to a borrow.
            return at + offset + (found.trailing_zeros() / 8) as usize;
        }
    }
    long_text_end(bytes, at + 24)
}

/// The same byte by byte.
fn text_end(bytes: &[u8], at: usize) -> usize {
    let stops = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    bytes[at..].iter().position(stops).map_or(bytes.len(), |length| at + length)
}

/// The same for long texts: a search for the end, and a look through everything before it for control characters.
fn long_text_end(bytes: &[u8], at: usize) -> usize {
    let end = memchr::memchr2(b'"', b'\\', &bytes[at..]).map_or(bytes.len(), |length| at + length);
    // Without an early way out, so that it is done many bytes at a time.
    let has_control = bytes[at..end].iter().fold(false, |found, byte| found | (*byte < 0x20));
    if has_control { text_end(bytes, at) } else { end }
}

/// The four hexadecimal digits of `\uXXXX` at `at`.
fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = bytes.get(at..at + 6)? else {
        return None;
    };
    digits.iter().try_fold(0, |unit, digit| Some((unit << 4) | char::from(*digit).to_digit(16)?))
}

/// Appends what the inside of a string with escapes means; the scanner has checked the escapes.
pub(super) fn unescape(text: &[u8], to: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[at..]) {
        to.extend_from_slice(&text[at..at + found]);
        at += found;
        let plain = match text.get(at + 1) {
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let mut unit = code_unit(text, at).unwrap_or(0xFFFD);
                at += 6;
                if (0xD800..0xDC00).contains(&unit) {
                    let low = code_unit(text, at).unwrap_or(0xDC00);
                    unit = 0x1_0000 + ((unit - 0xD800) << 10) + (low & 0x3FF);
                    at += 6;
                }
                let character = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            Some(other) => *other,
            None => break,
        };
        to.push(plain);
        at += 2;
    }
    to.extend_from_slice(&text[at.min(text.len())..]);
}

/// Appends a document without the white space that means nothing; numbers keep their digits.
pub(super) fn compact(text: &[u8], to: &mut Vec<u8>) {
    let mut in_string = false;
    let mut escaped = false;
    for byte in text {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            continue;
        } else {
            in_string = *byte == b'"';
        }
        to.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Expects nothing and keeps the values.
    #[derive(Default)]
    struct Values(Vec<Cell>);

    impl Fields for Values {
        fn expect(&self, _position: usize, _rest: &[u8]) -> Option<usize> {
            None
        }

        fn field(&mut self, _position: usize, _key: Option<Cell>, value: Cell) -> Result<(), &'static str> {
            self.0.push(value);
            Ok(())
        }
    }

    fn is_object(text: &str) -> bool {
        Scanner::new(text.as_bytes(), 0, text.len()).document(&mut Values::default()).is_ok()
    }

    fn is_object_for_serde(text: &str) -> bool {
        // Numbers stay text here, so one that no double holds is fine.
        text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{')
            && match serde_json::from_str::<serde_json::Value>(text) {
                Ok(_) => true,
                Err(error) => error.to_string().starts_with("number out of range"),
            }
    }

    #[test]
    fn grammar_is_strict() {
        for text in [r#"{}"#, r#" {"a":1} "#, r#"{"a":[1,{"b":null}],"c":"\u00e9\ud83d\ude00"}"#, r#"{"a":-0.5e+3}"#] {
            assert!(is_object(text), "{text}");
        }
        for text in [
            "",
            "[]",
            "null",
            "1",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1}{"a":2}"#,
            r#"{"a":1} x"#,
            r#"{"a":0012}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":+1}"#,
            r#"{"a":1e}"#,
            r#"{"a":-}"#,
            r#"{'a':1}"#,
            r#"{"a":NaN}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ude00"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":"}"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":[1,]}"#,
            r#"{"a" 1}"#,
            r#"{"a":nulll}"#,
        ] {
            assert!(!is_object(text), "{text}");
        }
        let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(is_object(&deep(DEEPEST - 1)) && !is_object(&deep(DEEPEST)));
    }

    #[test]
    fn plain_text_ends_at_the_right_byte_at_every_offset() {
        for stop in [b'"', b'\\', 0u8, 0x1F, b'\n'] {
            for length in 0..80 {
                let mut text = vec![b'a'; length];
                text.extend([stop, b'!', 0x21, 0x5D, 0xC3, 0xA9, b'z', b'z', b'z']);
                assert_eq!(plain_text(&text, 0), length);
            }
        }
        let text = "é\u{7f}~ß!#[]^_`日本語".as_bytes();
        assert_eq!(plain_text(text, 0), text.len());
    }

    #[test]
    fn compact_text_keeps_strings_and_digits() {
        let mut to = Vec::new();
        compact(br#" { "a b" : 1.50 , "c\" d" : [ 1 , 2 ] } "#, &mut to);
        assert_eq!(to, br#"{"a b":1.50,"c\" d":[1,2]}"#);
    }

    proptest! {
        #[test]
        fn accepts_what_serde_accepts(text in r#"[{}\[\]",:\\u0-9a-f.+ \-]{0,24}"#) {
            let text = format!("{{{text}}}");
            prop_assert_eq!(is_object(&text), is_object_for_serde(&text), "{}", text);
        }

        #[test]
        fn a_document_with_one_byte_changed(
            place in 0usize..80,
            byte in prop::sample::select(br#"{}[]",:\u0123e.+-tfn "#.to_vec()),
        ) {
            let mut text = br#"{"a": "x\u00e9\n", "b": [1, -2.5e3, {"c": null}], "d": {"e": true}, "f": "\ud83d\ude00"}"#.to_vec();
            let place = place.min(text.len() - 1);
            text[place] = byte;
            if let Ok(text) = std::str::from_utf8(&text) {
                prop_assert_eq!(is_object(text), is_object_for_serde(text), "{}", text);
            }
        }

        #[test]
        fn strings_mean_what_serde_says(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            let document = format!("{{\"a\":{written}}}");
            let mut values = Values::default();
            Scanner::new(document.as_bytes(), 0, document.len()).document(&mut values).unwrap();
            let inside = values.0[0].text(document.as_bytes());
            let mut read = Vec::new();
            match values.0[0].kind() {
                CellKind::Escaped => unescape(inside, &mut read),
                _ => read.extend_from_slice(inside),
            }
            prop_assert_eq!(String::from_utf8(read).unwrap(), text);
        }
    }
}
