//! What a start does while it reads state back: it says every second how far that has come. Dropped, it ends the reads,
//! so that no thread works for a start that has been stopped or has failed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::notice::{Notice, Notices};
use crate::state::RestoreProgress;

/// Between two notices, and before the first.
const NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// A restore that is going on.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    progress: Arc<RestoreProgress>,
}

impl Restoring {
    /// For those who read.
    pub(super) fn progress(&self) -> Arc<RestoreProgress> {
        Arc::clone(&self.progress)
    }

    /// Says how far it has come, as long as somebody polls.
    pub(super) async fn say(&self, notices: &Notices) -> Infallible {
        loop {
            tokio::time::sleep(NOTICE_INTERVAL).await;
            let (size, percent) = (size(self.progress.expected()), self.progress.percent());
            notices(Notice::Note(format!("restoring {size} of state: {percent} %")));
        }
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        self.progress.stop();
    }
}

/// Bytes with a unit, to a tenth.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut rest = bytes as f64 / 1000.0;
    let mut unit = 0;
    while rest >= 999.95 && unit + 1 < UNITS.len() {
        rest /= 1000.0;
        unit += 1;
    }
    format!("{rest:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_told_to_a_tenth_of_their_unit() {
        let sizes = [(0, "0.0 kB"), (1_234, "1.2 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB")];
        for (bytes, text) in sizes.into_iter().chain([(1_250_000_000, "1.2 GB"), (5_000_000_000_000_000, "5000.0 TB")])
        {
            assert_eq!(super::size(bytes), text);
        }
    }
}
