//! State files that must not be collected though no checkpoint names them: they are being copied, or about to be named.

use std::sync::{Arc, Mutex, PoisonError};

/// How the paths of held files begin, below the job's directory. Clones share them; whoever holds or lets go waits for
/// nobody's work with the log.
#[derive(Debug, Clone, Default)]
pub struct Holds(Arc<Mutex<Vec<String>>>);

impl Holds {
    /// Keeps files whose paths begin like this from being collected.
    pub fn hold(&self, prefix: &str) {
        self.prefixes(|prefixes| prefixes.push(prefix.to_owned()));
    }

    /// Takes back one [`hold`](Self::hold).
    pub fn let_go(&self, prefix: &str) {
        self.prefixes(|prefixes| {
            if let Some(index) = prefixes.iter().position(|held| held == prefix) {
                prefixes.swap_remove(index);
            }
        });
    }

    /// Whether the file at this path is held.
    pub(super) fn holds(&self, path: &str) -> bool {
        self.prefixes(|prefixes| prefixes.iter().any(|prefix| path.starts_with(prefix.as_str())))
    }

    fn prefixes<T>(&self, work: impl FnOnce(&mut Vec<String>) -> T) -> T {
        // No work leaves the list half changed.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
