//! A sum whose parts become known one after another.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The sum, and how many parts of it are not known yet.
#[derive(Debug, Default)]
pub struct Total {
    missing: AtomicUsize,
    sum: AtomicU64,
}

impl Total {
    /// One more part will become known, or never will.
    pub fn expect_part(&self) {
        self.missing.fetch_add(1, Ordering::Relaxed);
    }

    /// A part that was expected; without one it stays unknown, and the sum with it.
    pub fn add(&self, part: Option<u64>) {
        if let Some(part) = part {
            self.sum.fetch_add(part, Ordering::Relaxed);
            self.missing.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The sum, once nothing is missing.
    pub fn get(&self) -> Option<u64> {
        (self.missing.load(Ordering::Relaxed) == 0).then(|| self.sum.load(Ordering::Relaxed))
    }

    /// Begins anew: nothing is expected.
    pub fn reset(&self) {
        self.missing.store(0, Ordering::Relaxed);
        self.sum.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_when_its_last_part_is() {
        let total = Total::default();
        total.expect_part();
        total.expect_part();
        total.add(Some(3));
        total.add(None);
        assert_eq!(total.get(), None);
        total.add(Some(4));
        assert_eq!(total.get(), Some(7));
        total.reset();
        total.expect_part();
        assert_eq!(total.get(), None);
    }
}
