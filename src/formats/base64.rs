//! BYTES as text: standard Base64 with padding, which is what Flink's formats read and write.

use super::numbers::Misfit;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends the text of `bytes`.
pub(super) fn append(bytes: &[u8], to: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            to.push(if place <= group.len() { ALPHABET[(word >> (18 - 6 * place)) as usize & 63] } else { b'=' });
        }
    }
}

/// Appends the bytes that `text` stands for. On an error, part of them may have been appended.
pub(super) fn decode(text: &[u8], to: &mut Vec<u8>) -> Result<(), Misfit> {
    let malformed = "not Base64";
    if !text.len().is_multiple_of(4) {
        return Err(malformed);
    }
    let groups = text.len() / 4;
    for (index, group) in text.chunks(4).enumerate() {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 2 || (padding > 0 && index + 1 < groups) {
            return Err(malformed);
        }
        let mut word = 0u32;
        for byte in &group[..4 - padding] {
            word = (word << 6) | value(*byte).ok_or(malformed)?;
        }
        word <<= 6 * padding;
        to.extend_from_slice(&word.to_be_bytes()[1..4 - padding]);
    }
    Ok(())
}

fn value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_back_as_the_same_bytes() {
        for (bytes, text) in
            [(&b""[..], ""), (b"a", "YQ=="), (b"ab", "YWI="), (b"abc", "YWJj"), (b">>>???", "Pj4+Pz8/")]
        {
            let mut written = Vec::new();
            append(bytes, &mut written);
            assert_eq!(written, text.as_bytes());
            let mut read = Vec::new();
            decode(text.as_bytes(), &mut read).unwrap();
            assert_eq!(read, bytes);
        }
        for text in ["YWI", "YW=I", "====", "!!!!", "YQ==YQ=="] {
            assert!(decode(text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
        }
    }
}
