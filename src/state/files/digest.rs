//! SHA-256 as the manifests write it down.

use sha2::{Digest, Sha256};

/// The digest of `bytes` in 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    text(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal digits.
pub(in crate::state) fn text(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn matches_the_standard() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(super::digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
