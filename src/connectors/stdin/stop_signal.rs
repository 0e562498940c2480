//! The news that whoever runs a job wants it stopped, told to its input before the job itself has heard of it.
//!
//! Ctrl-C goes to a whole pipeline: the program that writes the rows ends as well, and the input with it. That end is a
//! stop and not the end of the rows, whichever of the two is seen first.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

/// Tells an input of a stop. Clones tell the same.
#[derive(Clone, Default)]
pub struct StopSignal(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_sent: watch::Sender<bool>,
    /// Comes to its end with a stop.
    listener: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl StopSignal {
    /// From now on the end of the input is that of a stop.
    pub fn send(&self) {
        self.0.is_sent.send_replace(true);
    }

    /// The same once this comes to its end. It is looked at when the input has ended, and not before: nothing has to run
    /// in between, so that a stop that came first is never missed.
    pub fn listen(&self, stop: impl Future<Output = ()> + Send + 'static) {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop.boxed());
    }

    /// Returns after `hold`, unless a stop comes by then.
    pub(super) async fn none_within(self, hold: Duration) {
        let mut sent = self.0.is_sent.subscribe();
        let listener = self.0.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stopped = async move {
            let told = async {
                if sent.wait_for(|is_sent| *is_sent).await.is_err() {
                    pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = told => {}
                () = listener.unwrap_or_else(|| pending().boxed()) => {}
            }
        };
        tokio::pin!(stopped);
        if hold.is_zero() {
            if stopped.now_or_never().is_some() {
                pending::<()>().await;
            }
            return;
        }
        tokio::select! {
            biased;
            () = stopped => pending().await,
            () = tokio::time::sleep(hold) => {}
        }
    }
}

impl fmt::Debug for StopSignal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StopSignal({})", *self.0.is_sent.borrow())
    }
}
