//! The news that whoever runs a job wants it stopped, told to its input before the job itself has heard of it.
//!
//! Ctrl-C goes to a whole pipeline: the program that writes the rows ends as well, and the input with it. That end is a
//! stop and not the end of the rows, whichever of the two is seen first.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Tells an input of a stop. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<watch::Sender<bool>>);

impl StopSignal {
    /// From now on the end of the input is that of a stop.
    pub fn send(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has been sent.
    pub fn is_sent(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns after `hold`, unless it is sent by then.
    pub(super) async fn none_within(self, hold: Duration) {
        if hold.is_zero() && !self.is_sent() {
            return;
        }
        tokio::select! {
            biased;
            () = self.sent() => pending().await,
            () = tokio::time::sleep(hold) => {}
        }
    }

    /// Waits until it is sent.
    async fn sent(&self) {
        if self.0.subscribe().wait_for(|is_sent| *is_sent).await.is_err() {
            pending::<()>().await;
        }
    }
}
