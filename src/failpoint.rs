//! Named places where a test may kill the process: `BEADLINE_FAILPOINT=manifest.before:2` kills it with SIGKILL at the
//! second visit. Without the variable a visit costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The place asked for, and how many visits are left until the end.
static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

/// Marks a place; the process ends here when a test has asked for it.
pub fn hit(name: &str) {
    let armed = ARMED.get_or_init(|| {
        let asked = std::env::var("BEADLINE_FAILPOINT").ok()?;
        let (name, visits) = asked.rsplit_once(':').unwrap_or((&asked, "1"));
        Some((name.to_owned(), AtomicU64::new(visits.parse().unwrap_or(1))))
    });
    if let Some((asked, visits)) = armed
        && asked == name
        && visits.fetch_sub(1, Ordering::SeqCst) == 1
    {
        // SIGKILL, not abort: no handler, no flush, as from outside.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
