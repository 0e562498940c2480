//! How far the reads of a restore have come, counted in bytes of files, and the word that ends them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// How far a restore has come, and whether it is still wanted. A byte of a file is worked off twice: when its digest is
/// checked, and when it is decoded or found to belong to another task.
#[derive(Debug, Default)]
pub struct RestoreProgress {
    expected: AtomicU64,
    checked: AtomicU64,
    decoded: AtomicU64,
    stopped: AtomicBool,
}

impl RestoreProgress {
    /// Says that files of so many bytes are to be read.
    pub fn expect(&self, bytes: u64) {
        self.expected.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of the files that are to be read.
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Bytes that were checked against their digests.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// How much of the work is done, from 0 to 100.
    pub fn percent(&self) -> u64 {
        let done = self.checked().saturating_add(self.decoded.load(Ordering::Relaxed));
        (done.saturating_mul(50) / self.expected().max(1)).min(100)
    }

    /// Lets whoever reads on behalf of this restore fail soon.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn check(&self, bytes: u64) -> Result<()> {
        self.checked.fetch_add(bytes, Ordering::Relaxed);
        self.go_on()
    }

    pub(super) fn decode(&self, bytes: u64) -> Result<()> {
        self.decoded.fetch_add(bytes, Ordering::Relaxed);
        self.go_on()
    }

    /// An error once the restore was stopped.
    pub(super) fn go_on(&self) -> Result<()> {
        match self.stopped.load(Ordering::Relaxed) {
            true => Err(Error::world("the restore was stopped")),
            false => Ok(()),
        }
    }
}
