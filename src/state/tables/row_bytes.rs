//! Encoded rows as byte strings that lie in a tree: short ones without an allocation of their own.

use std::cmp::Ordering;
use std::fmt;

/// Bytes that need no allocation: a key of two numbers and a short text, and 32 bytes with their length.
const INLINE_BYTES: usize = 30;

/// Leading bytes of a longer one that are told from those of others without a look at the allocation.
const HEAD_BYTES: usize = 15;

/// A byte string, in order of its bytes.
///
/// ```text
///   inline   tag │ length │ 30 bytes, behind the string zeros
///   heap     tag │ 15 bytes │ pointer, length ──▶ all bytes
/// ```
#[derive(Clone)]
pub(super) enum RowBytes {
    Inline(u8, [u8; INLINE_BYTES]),
    Heap([u8; HEAD_BYTES], Box<[u8]>),
}

impl RowBytes {
    /// A copy of `bytes`.
    pub(super) fn new(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE_BYTES {
            let mut head = [0; HEAD_BYTES];
            head.copy_from_slice(&bytes[..HEAD_BYTES]);
            return Self::Heap(head, bytes.into());
        }
        let mut inline = [0; INLINE_BYTES];
        inline[..bytes.len()].copy_from_slice(bytes);
        Self::Inline(bytes.len() as u8, inline)
    }

    /// The least byte string behind all those that begin with `prefix`; `None` where nothing lies behind them.
    pub(super) fn behind(prefix: &[u8]) -> Option<Self> {
        let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
        let mut bytes = prefix[..=last].to_vec();
        bytes[last] += 1;
        Some(Self::new(&bytes))
    }

    /// The bytes.
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline(length, bytes) => &bytes[..usize::from(*length)],
            Self::Heap(_, bytes) => bytes,
        }
    }

    /// The leading bytes as a number of the same order, with zeros where the string has ended.
    #[inline]
    fn head(&self) -> u128 {
        let mut head = [0; 16];
        match self {
            Self::Inline(_, bytes) => head[..HEAD_BYTES].copy_from_slice(&bytes[..HEAD_BYTES]),
            Self::Heap(bytes, _) => head[..HEAD_BYTES].copy_from_slice(bytes),
        }
        u128::from_be_bytes(head)
    }

    /// The order of strings that begin alike. Zeros behind a string lie before whatever another has there.
    fn cmp_behind_head(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }

    /// Bytes that were allocated for it.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline(..) => 0,
            Self::Heap(_, bytes) => bytes.len(),
        }
    }
}

impl PartialEq for RowBytes {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for RowBytes {}

impl PartialOrd for RowBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RowBytes {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match self.head().cmp(&other.head()) {
            Ordering::Equal => self.cmp_behind_head(other),
            different => different,
        }
    }
}

impl fmt::Debug for RowBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_keep_their_order_whatever_their_length() {
        assert_eq!(size_of::<RowBytes>(), 32);
        let lengths = [0, 1, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 1000];
        let of_length = |length: &usize| [0, 7, 255].map(|byte| vec![byte; *length]);
        let mut strings: Vec<Vec<u8>> = lengths.iter().flat_map(of_length).collect();
        strings.extend(strings.clone().into_iter().map(|string| [&string[..], &[0]].concat()));
        strings.extend(strings.clone().into_iter().map(|string| [&[7; 14], &string[..]].concat()));
        for one in &strings {
            assert_eq!(RowBytes::new(one).as_slice(), one);
            for other in &strings {
                assert_eq!(RowBytes::new(one).cmp(&RowBytes::new(other)), one.cmp(other));
            }
        }
    }

    #[test]
    fn what_lies_behind_a_prefix_is_greater_than_all_that_begin_with_it_and_no_more() {
        for prefix in [&[1, 2][..], &[1, 255], &[0], &[5, 255, 255]] {
            let behind = RowBytes::behind(prefix).unwrap();
            assert!(*[prefix, &[255; 40][..]].concat() < *behind.as_slice());
            let mut next = prefix.to_vec();
            while next.last() == Some(&255) {
                next.pop();
            }
            *next.last_mut().unwrap() += 1;
            assert_eq!(behind.as_slice(), next);
        }
        assert_eq!((RowBytes::behind(&[]), RowBytes::behind(&[255, 255])), (None, None));
    }
}
