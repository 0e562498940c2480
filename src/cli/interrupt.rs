//! Ctrl-C, SIGTERM and SIGHUP: once stops with a checkpoint, again within two seconds ends at once. Only SIGHUP never
//! does: who closes a terminal closes it once, and the shell in it and the system each tell of it.

use std::time::Duration;

use tokio::signal::unix::{self, SignalKind, signal};

use crate::error::{Error, Result};
use crate::session::StopSignal;

/// Two signals that are no further apart mean "now".
const TWICE: Duration = Duration::from_secs(2);

/// What has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C. At a prompt it ends the query only.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Stop with a checkpoint.
    Stop,
    /// The stop is under way; say so, and how to end at once.
    Patience,
    /// End at once.
    Abort,
}

/// The signals so far.
#[derive(Debug, Default)]
pub struct Presses {
    is_stopping: bool,
    /// The last that was no SIGHUP.
    last: Option<Duration>,
}

impl Presses {
    /// Takes a signal at `now`, a time that never steps back.
    pub fn press(&mut self, signal: Signal, now: Duration) -> Wish {
        let last = if signal == Signal::HangUp { None } else { self.last.replace(now) };
        let is_again = last.is_some_and(|last| now.saturating_sub(last) <= TWICE);
        match (std::mem::replace(&mut self.is_stopping, true), is_again) {
            (false, _) => Wish::Stop,
            (true, true) => Wish::Abort,
            (true, false) => Wish::Patience,
        }
    }
}

/// Where signals arrive. Made once, before the first statement, so that none is missed.
pub struct Interrupts {
    source: Source,
}

enum Source {
    Signals {
        interrupt: unix::Signal,
        terminate: unix::Signal,
        hangup: unix::Signal,
    },
    #[cfg(test)]
    Scripted(tokio::sync::mpsc::Receiver<()>),
}

impl Interrupts {
    /// Listens for the process's signals; needs a tokio runtime.
    pub fn of_process() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::io("listen for signals", &error));
        let source = Source::Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        };
        Ok(Self { source })
    }

    /// Signals that a test sends.
    #[cfg(test)]
    pub fn scripted(receiver: tokio::sync::mpsc::Receiver<()>) -> Self {
        Self { source: Source::Scripted(receiver) }
    }

    /// Has an input hear of the first signal, whatever else the process is busy with then.
    pub fn tell(mut self, stop: &StopSignal) {
        stop.listen(async move {
            self.next().await;
        });
    }

    /// Waits for a signal. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        match &mut self.source {
            Source::Signals { interrupt, terminate, hangup } => {
                tokio::select! {
                    _ = interrupt.recv() => Signal::Interrupt,
                    _ = terminate.recv() => Signal::Terminate,
                    _ = hangup.recv() => Signal::HangUp,
                }
            }
            #[cfg(test)]
            Source::Scripted(receiver) => {
                if receiver.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
                Signal::Interrupt
            }
        }
    }

    /// Waits for the end of the process to be asked for; what arrives of Ctrl-C meanwhile is not heard. Cancel-safe.
    pub async fn terminated(&mut self) {
        while self.next().await == Signal::Interrupt {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_stops_and_twice_aborts() {
        for signal in [Signal::Interrupt, Signal::Terminate] {
            let mut presses = Presses::default();
            assert_eq!(presses.press(signal, Duration::from_secs(10)), Wish::Stop);
            assert_eq!(presses.press(signal, Duration::from_millis(12_500)), Wish::Patience);
            assert_eq!(presses.press(signal, Duration::from_millis(14_000)), Wish::Abort);
            let mut presses = Presses::default();
            presses.press(Signal::Interrupt, Duration::ZERO);
            assert_eq!(presses.press(signal, Duration::from_secs(2)), Wish::Abort);
        }
    }

    #[test]
    fn a_terminal_that_is_gone_stops_however_often_it_is_told() {
        let mut presses = Presses::default();
        assert_eq!(presses.press(Signal::HangUp, Duration::ZERO), Wish::Stop);
        assert_eq!(presses.press(Signal::HangUp, Duration::ZERO), Wish::Patience);
        assert_eq!(presses.press(Signal::Terminate, Duration::ZERO), Wish::Patience);
        assert_eq!(presses.press(Signal::HangUp, Duration::from_secs(1)), Wish::Patience);
        assert_eq!(presses.press(Signal::Terminate, Duration::from_secs(1)), Wish::Abort);
    }
}
