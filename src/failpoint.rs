//! Places where a test lets the process die. Without `BEADLINE_FAILPOINT` they do nothing.
//!
//! `BEADLINE_FAILPOINT=manifest.before:3` kills the process, as `kill -9` would, when it comes to the place
//! `manifest.before` for the third time. The names are listed where `hit` is called.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The one failpoint of this process: its name and how many more times it is passed.
struct Failpoint {
    name: String,
    remaining: AtomicU64,
}

static FAILPOINT: OnceLock<Option<Failpoint>> = OnceLock::new();

/// Marks the place `name`; the process ends here if it was asked to.
pub fn hit(name: &str) {
    let failpoint = FAILPOINT.get_or_init(|| std::env::var("BEADLINE_FAILPOINT").ok().map(|text| parse(&text)));
    if let Some(failpoint) = failpoint
        && failpoint.name == name
        && failpoint.remaining.fetch_sub(1, Ordering::SeqCst) == 1
    {
        // Nothing may run any more, no destructor and no handler: that is what a kill is.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}

fn parse(text: &str) -> Failpoint {
    let (name, count) = match text.rsplit_once(':') {
        Some((name, count)) => (name, count.parse().unwrap_or(1)),
        None => (text, 1),
    };
    Failpoint { name: name.to_owned(), remaining: AtomicU64::new(count.max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_carry_a_count() {
        let failpoint = parse("manifest.before:3");
        assert_eq!((failpoint.name.as_str(), failpoint.remaining.into_inner()), ("manifest.before", 3));
        assert_eq!(parse("gc.done").remaining.into_inner(), 1);
    }

    #[test]
    fn an_unset_failpoint_does_nothing() {
        hit("nowhere");
    }
}
