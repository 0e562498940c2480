//! Character sets by Java's names, and text of bytes that may be broken: what cannot be read becomes U+FFFD, as in Java.

use std::borrow::Cow;

/// What stands for bytes that are no character.
const REPLACEMENT: &str = "\u{FFFD}";

/// A character set that every Java has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    Utf8,
    /// With a mark of the order of bytes: written in front, and read.
    Utf16,
    Utf16BigEndian,
    Utf16LittleEndian,
    Latin1,
    Ascii,
}

/// The names, in small letters.
const NAMES: &[(Charset, &[&str])] = &[
    (Charset::Utf8, &["utf-8", "utf8", "unicode-1-1-utf-8"]),
    (Charset::Utf16, &["utf-16", "utf_16", "utf16", "unicode", "unicodebig"]),
    (Charset::Utf16BigEndian, &["utf-16be", "utf_16be", "iso-10646-ucs-2", "x-utf-16be", "unicodebigunmarked"]),
    (Charset::Utf16LittleEndian, &["utf-16le", "utf_16le", "x-utf-16le", "unicodelittleunmarked"]),
    (
        Charset::Latin1,
        &[
            "iso-8859-1",
            "iso8859-1",
            "iso8859_1",
            "iso_8859-1",
            "iso_8859_1",
            "8859_1",
            "latin1",
            "l1",
            "cp819",
            "ibm819",
        ],
    ),
    (Charset::Ascii, &["us-ascii", "ascii", "ascii7", "iso646-us", "iso_646.irv:1991", "cp367", "ibm367", "646", "us"]),
];

impl Charset {
    /// The one of that name, in any case; or what is wrong with it.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, names)| names.iter().any(|known| known.eq_ignore_ascii_case(name)));
        found.map(|(charset, _)| *charset).ok_or_else(|| {
            format!(
                "the charset '{name}' is not built yet: there are UTF-8, UTF-16, UTF-16BE, UTF-16LE, ISO-8859-1 and US-ASCII"
            )
        })
    }

    /// Appends the text's bytes; `?` stands for a character that the set lacks.
    pub fn encode(self, text: &str, out: &mut Vec<u8>) {
        match self {
            Self::Utf8 => out.extend_from_slice(text.as_bytes()),
            Self::Utf16 => {
                if !text.is_empty() {
                    out.extend([0xfe, 0xff]);
                }
                Self::Utf16BigEndian.encode(text, out);
            }
            Self::Utf16BigEndian => text.encode_utf16().for_each(|unit| out.extend(unit.to_be_bytes())),
            Self::Utf16LittleEndian => text.encode_utf16().for_each(|unit| out.extend(unit.to_le_bytes())),
            Self::Latin1 => out.extend(text.chars().map(|character| u8::try_from(character).unwrap_or(b'?'))),
            Self::Ascii => {
                out.extend(
                    text.chars().map(|character| u8::try_from(character).ok().filter(u8::is_ascii).unwrap_or(b'?')),
                );
            }
        }
    }

    /// The text of the bytes.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => replaced(bytes),
            Self::Utf16 => match bytes {
                [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
                [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
                all => units(all, u16::from_be_bytes),
            }
            .into(),
            Self::Utf16BigEndian => units(bytes, u16::from_be_bytes).into(),
            Self::Utf16LittleEndian => units(bytes, u16::from_le_bytes).into(),
            Self::Latin1 => bytes.iter().copied().map(char::from).collect::<String>().into(),
            Self::Ascii => {
                let character =
                    |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { char::REPLACEMENT_CHARACTER };
                bytes.iter().map(character).collect::<String>().into()
            }
        }
    }
}

fn units(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let characters = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)));
    let mut text: String = characters.map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    if !rest.is_empty() {
        text.push_str(REPLACEMENT);
    }
    text
}

/// Bytes in UTF-8 as text. What is broken is replaced in pieces as long as Java's: half of a pair of UTF-16 in three bytes
/// is one piece.
pub fn replaced(bytes: &[u8]) -> Cow<'_, str> {
    let mut chunks = bytes.utf8_chunks().peekable();
    match chunks.peek() {
        None => return Cow::Borrowed(""),
        Some(whole) if whole.invalid().is_empty() => return Cow::Borrowed(whole.valid()),
        Some(_) => {}
    }
    let mut text = String::with_capacity(bytes.len());
    // How many broken bytes belong to a piece that was replaced already.
    let mut covered = 0;
    let mut at = 0;
    for chunk in chunks {
        text.push_str(chunk.valid());
        at += chunk.valid().len();
        let broken = chunk.invalid();
        if broken.is_empty() {
            break;
        }
        if covered > 0 {
            covered -= 1;
        } else {
            text.push_str(REPLACEMENT);
            if matches!(bytes[at..], [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]) {
                covered = 2;
            }
        }
        at += broken.len();
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_charset_reads_what_it_writes() {
        for (charset, names) in NAMES {
            for name in *names {
                assert_eq!(Charset::named(&name.to_ascii_uppercase()), Ok(*charset));
            }
            let text = if matches!(charset, Charset::Latin1 | Charset::Ascii) { "az" } else { "aé€😀" };
            let mut bytes = Vec::new();
            charset.encode(text, &mut bytes);
            assert_eq!(charset.decode(&bytes), text, "{charset:?}");
        }
        assert!(Charset::named("nope").is_err());
    }

    #[test]
    fn broken_bytes_are_replaced_in_javas_pieces() {
        for (bytes, text) in [
            (&b"\xC3"[..], "\u{FFFD}"),
            (b"\xFFA", "\u{FFFD}A"),
            (b"\xE2\x82A", "\u{FFFD}A"),
            (b"\xF0\x9F\x98A", "\u{FFFD}A"),
            (b"\xED\xA0\x80", "\u{FFFD}"),
            (b"a\xED\xA0\x80\xED\xB0\x80b\x80", "a\u{FFFD}\u{FFFD}b\u{FFFD}"),
            (b"", ""),
            ("aé".as_bytes(), "aé"),
        ] {
            assert_eq!(replaced(bytes), text, "{bytes:x?}");
        }
    }
}
