//! Where csv rows and their fields begin and end. One state machine serves cutting and decoding, so that they agree.
//!
//! As Flink's (Jackson's) reader has it: a quote opens only at the very start of a field, white space may follow the
//! closing one, a doubled quote stands for itself, and an escape character takes the next one as it is but for
//! `n`, `r`, `t` and `0`. A row ends at a line feed, with or without a carriage return before it.

use super::super::cells::{Cell, CellKind};

/// The characters that mean something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialect {
    pub delimiter: u8,
    pub quote: Option<u8>,
    pub escape: Option<u8>,
    pub comments: bool,
}

/// What a row turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowEnd {
    /// Behind the last byte of the row, its line end not included.
    pub end: usize,
    /// Where the next row begins.
    pub next: usize,
    /// Lines that it took.
    pub lines: u64,
    /// Number of fields.
    pub fields: usize,
    /// Whether a line feed ended it, and not the end of the bytes.
    pub terminated: bool,
    /// What is wrong with its quotes.
    pub fault: Option<&'static str>,
}

impl Dialect {
    /// The row that begins at `start`: `field` is called with number and cell of each field.
    #[inline]
    pub fn row(&self, bytes: &[u8], start: usize, mut field: impl FnMut(usize, Cell)) -> RowEnd {
        let rest = &bytes[start..];
        let line = memchr::memchr(b'\n', rest);
        let end = line.map_or(bytes.len(), |length| start + length);
        if self.is_plain(&bytes[start..end]) {
            let text_end = without_carriage_return(bytes, start, end);
            let mut fields = 0;
            let mut at = start;
            for delimiter in memchr::memchr_iter(self.delimiter, &bytes[start..text_end]) {
                field(fields, Cell::new(CellKind::Text, at, start + delimiter));
                fields += 1;
                at = start + delimiter + 1;
            }
            field(fields, Cell::new(CellKind::Text, at, text_end));
            let terminated = line.is_some();
            let next = end + usize::from(terminated);
            return RowEnd { end: text_end, next, lines: 1, fields: fields + 1, terminated, fault: None };
        }
        self.careful_row(bytes, start, field)
    }

    /// Where the row that begins at `start` ends, without looking at its fields where that can be avoided.
    pub fn skip(&self, bytes: &[u8], start: usize) -> (usize, u64, bool) {
        let line = memchr::memchr(b'\n', &bytes[start..]);
        let end = line.map_or(bytes.len(), |length| start + length);
        if self.is_plain(&bytes[start..end]) {
            return (end + usize::from(line.is_some()), 1, line.is_some());
        }
        let row = self.careful_row(bytes, start, |_, _| {});
        (row.next, row.lines, row.terminated)
    }

    /// Whether a line is a comment, or blank where comments are allowed, and so no row.
    pub fn is_comment(&self, bytes: &[u8], start: usize) -> bool {
        self.comments
            && matches!(
                bytes[start..].iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')),
                None | Some(b'\n' | b'#')
            )
    }

    /// Appends what a cell of kind `Escaped` means. It begins with its quote if it has quotes.
    pub fn unescape(&self, text: &[u8], to: &mut Vec<u8>) {
        let quoted = self.quote.is_some() && text.first().copied() == self.quote;
        let mut rest = text[usize::from(quoted)..].iter();
        while let Some(byte) = rest.next() {
            if Some(*byte) == self.escape {
                match rest.next() {
                    Some(b'n') => to.push(b'\n'),
                    Some(b'r') => to.push(b'\r'),
                    Some(b't') => to.push(b'\t'),
                    Some(b'0') => to.push(0),
                    Some(other) => to.push(*other),
                    None => {}
                }
                continue;
            }
            to.push(*byte);
            if quoted && Some(*byte) == self.quote {
                // The second of a doubled pair: the scanner has made sure that there is one.
                rest.next();
            }
        }
    }

    fn is_plain(&self, line: &[u8]) -> bool {
        match (self.quote, self.escape) {
            (None, None) => true,
            (Some(one), None) | (None, Some(one)) => memchr::memchr(one, line).is_none(),
            (Some(one), Some(other)) => memchr::memchr2(one, other, line).is_none(),
        }
    }

    fn careful_row(&self, bytes: &[u8], start: usize, mut field: impl FnMut(usize, Cell)) -> RowEnd {
        let mut at = start;
        let mut fields = 0;
        let mut fault = None;
        loop {
            let (cell, end) = if self.quote.is_some() && bytes.get(at).copied() == self.quote {
                self.quoted(bytes, at, &mut fault)
            } else {
                self.unquoted(bytes, at)
            };
            field(fields, cell);
            fields += 1;
            if bytes.get(end) == Some(&self.delimiter) {
                at = end + 1;
                continue;
            }
            let terminated = end < bytes.len();
            let lines = memchr::memchr_iter(b'\n', &bytes[start..end]).count() as u64 + 1;
            let next = end + usize::from(terminated);
            return RowEnd { end: without_carriage_return(bytes, start, end), next, lines, fields, terminated, fault };
        }
    }

    /// A field without quotes, and the place of the delimiter or line feed behind it.
    fn unquoted(&self, bytes: &[u8], start: usize) -> (Cell, usize) {
        let mut kind = CellKind::Text;
        let mut at = start;
        while let Some(byte) = bytes.get(at) {
            if Some(*byte) == self.escape {
                kind = CellKind::Escaped;
                at = (at + 2).min(bytes.len());
            } else if *byte == self.delimiter || *byte == b'\n' {
                break;
            } else {
                at += 1;
            }
        }
        let end = match bytes.get(at) {
            Some(b'\n') | None => without_carriage_return(bytes, start, at),
            Some(_) => at,
        };
        (Cell::new(kind, start, end), at)
    }

    /// A field whose opening quote stands at `start`, and the place of the delimiter or line feed behind it.
    fn quoted(&self, bytes: &[u8], start: usize, fault: &mut Option<&'static str>) -> (Cell, usize) {
        let mut kind = CellKind::Text;
        let mut at = start + 1;
        let close = loop {
            match bytes.get(at) {
                None => {
                    *fault = Some("a quote is never closed");
                    return (Cell::new(CellKind::Text, start + 1, bytes.len()), bytes.len());
                }
                Some(byte) if Some(*byte) == self.escape => {
                    kind = CellKind::Escaped;
                    at = (at + 2).min(bytes.len());
                }
                Some(byte) if Some(*byte) == self.quote => {
                    if bytes.get(at + 1).copied() != self.quote {
                        break at;
                    }
                    kind = CellKind::Escaped;
                    at += 2;
                }
                Some(_) => at += 1,
            }
        };
        // With escapes the cell begins at its quote, which tells `unescape` that doubled quotes count.
        let cell = Cell::new(kind, start + usize::from(kind == CellKind::Text), close);
        at = close + 1;
        loop {
            match bytes.get(at) {
                None | Some(b'\n') => return (cell, at),
                Some(byte) if *byte == self.delimiter => return (cell, at),
                Some(b' ' | b'\t' | b'\r') => at += 1,
                Some(_) => {
                    fault.get_or_insert("there is text behind a closing quote");
                    return (cell, self.unquoted(bytes, at).1);
                }
            }
        }
    }
}

/// The end of a line's text: without the carriage return that may stand before the line feed.
fn without_carriage_return(bytes: &[u8], start: usize, end: usize) -> usize {
    if end > start && bytes[end - 1] == b'\r' { end - 1 } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Dialect = Dialect { delimiter: b',', quote: Some(b'"'), escape: None, comments: false };

    fn rows(dialect: &Dialect, text: &str) -> Vec<(Vec<String>, Option<&'static str>)> {
        let bytes = text.as_bytes();
        let mut rows = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let mut fields = Vec::new();
            let end = dialect.row(bytes, at, |_, cell| {
                let mut field = Vec::new();
                match cell.kind() {
                    CellKind::Escaped => dialect.unescape(cell.text(bytes), &mut field),
                    _ => field.extend_from_slice(cell.text(bytes)),
                }
                fields.push(String::from_utf8(field).unwrap());
            });
            assert!(end.next > at);
            rows.push((fields, end.fault));
            at = end.next;
        }
        rows
    }

    fn good(dialect: &Dialect, text: &str) -> Vec<Vec<String>> {
        rows(dialect, text)
            .into_iter()
            .map(|(fields, fault)| {
                assert_eq!(fault, None, "{text}");
                fields
            })
            .collect()
    }

    #[test]
    fn fields_as_flink_finds_them() {
        assert_eq!(good(&PLAIN, "1,a\r\n2,\n"), [["1", "a"], ["2", ""]]);
        assert_eq!(good(&PLAIN, "\"q\"\"u\",\"x\ny,z\" ,a\"b, \"x\" \n"), [["q\"u", "x\ny,z", "a\"b", " \"x\" "]]);
        assert_eq!(good(&PLAIN, "\n\"\""), [[""], [""]]);
        assert_eq!(good(&PLAIN, "a\"\"b,\"c\""), [["a\"\"b", "c"]]);
        let unquoted = Dialect { quote: None, ..PLAIN };
        assert_eq!(good(&unquoted, "\"x\",a\"b"), [["\"x\"", "a\"b"]]);
        let escaped = Dialect { escape: Some(b'\\'), ..PLAIN };
        let expected = [["a,b", "a\"b\n"], ["x\ty", "a\\b"]];
        assert_eq!(good(&escaped, "a\\,b,\"a\\\"b\\n\"\nx\\ty,a\\\\b"), expected);
        assert_eq!(good(&escaped, "\\\"\"\"x,1"), [["\"\"\"x", "1"]]);
    }

    #[test]
    fn broken_quotes_cost_one_row() {
        let found = rows(&PLAIN, "1,a\n2,\"x\"y,z\n3,c\n\"4,d\n");
        let faults: Vec<_> = found.iter().map(|(_, fault)| *fault).collect();
        assert_eq!(faults, [None, Some("there is text behind a closing quote"), None, Some("a quote is never closed")]);
    }

    #[test]
    fn comments_and_blank_lines_are_skipped_on_request() {
        let commented = Dialect { comments: true, ..PLAIN };
        for text in ["# x\n", "  # d\n", "\n", " \r\n", "#"] {
            assert!(commented.is_comment(text.as_bytes(), 0), "{text}");
        }
        assert!(!commented.is_comment(b"1,#x", 0) && !PLAIN.is_comment(b"#", 0));
    }

    proptest! {
        #[test]
        fn well_formed_rows_read_as_csv_core_reads_them(
            rows in prop::collection::vec(prop::collection::vec("[a-c \"\n,]{0,6}", 1..5), 1..6),
        ) {
            let mut text = String::new();
            for row in &rows {
                let quoted: Vec<_> = row.iter().map(|field| {
                    let plain = !field.is_empty() && !field.contains(['"', '\n', ',']);
                    if plain { field.clone() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
                }).collect();
                text.push_str(&quoted.join(","));
                text.push('\n');
            }
            let ours = good(&PLAIN, &text);
            prop_assert_eq!(&ours, &rows);
            prop_assert_eq!(ours, by_csv_core(&text));
        }

        #[test]
        fn the_quick_way_agrees_with_the_careful_one(text in "[a,\r\n\"]{0,30}") {
            let quick = Dialect { quote: Some(b'"'), ..PLAIN };
            let mut at = 0;
            while at < text.len() {
                let mut fast = Vec::new();
                let mut slow = Vec::new();
                let one = quick.row(text.as_bytes(), at, |_, cell| fast.push(cell));
                let other = quick.careful_row(text.as_bytes(), at, |_, cell| slow.push(cell));
                prop_assert_eq!(one, other);
                prop_assert_eq!(fast, slow);
                at = one.next;
            }
        }
    }

    fn by_csv_core(text: &str) -> Vec<Vec<String>> {
        let mut reader = csv_core::ReaderBuilder::new().terminator(csv_core::Terminator::Any(b'\n')).build();
        let (mut input, mut field, mut row, mut rows) = (text.as_bytes(), Vec::new(), Vec::new(), Vec::new());
        loop {
            let mut buffer = [0u8; 64];
            let (result, read, written) = reader.read_field(input, &mut buffer);
            input = &input[read..];
            field.extend_from_slice(&buffer[..written]);
            match result {
                csv_core::ReadFieldResult::Field { record_end } => {
                    row.push(String::from_utf8(std::mem::take(&mut field)).unwrap());
                    if record_end {
                        rows.push(std::mem::take(&mut row));
                    }
                }
                csv_core::ReadFieldResult::End => return rows,
                _ => {}
            }
        }
    }
}
