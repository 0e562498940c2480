//! The log of a running job, in a place from which it can be taken away: whoever drops the job lets go of its lock there
//! and then, whatever work of the job still waits for a thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::error::{Error, Result};
use crate::state::JobLog;

/// See the module's description. All work with the log goes through here, one piece at a time.
#[derive(Debug, Default)]
pub struct LogSlot {
    log: Mutex<Option<JobLog>>,
    is_given_up: AtomicBool,
}

impl LogSlot {
    /// Opens the log, and keeps it if `open` returns one.
    pub fn open<T>(&self, open: impl FnOnce() -> Result<(Option<JobLog>, T)>) -> Result<T> {
        let mut place = self.place();
        if self.is_given_up.load(Ordering::Acquire) {
            return Err(dropped());
        }
        let (log, answer) = open()?;
        *place = log;
        self.let_go_if_given_up(&mut place);
        Ok(answer)
    }

    /// Works with the log, if it is still there.
    pub fn with<T>(&self, work: impl FnOnce(&mut JobLog) -> Result<T>) -> Result<T> {
        let mut place = self.place();
        self.let_go_if_given_up(&mut place);
        let result = work(place.as_mut().ok_or_else(dropped)?);
        self.let_go_if_given_up(&mut place);
        result
    }

    /// Closes the log at the end of an attempt; another may open it again.
    pub fn close(&self) {
        match self.log.try_lock() {
            Ok(mut place) => *place = None,
            Err(TryLockError::Poisoned(place)) => *place.into_inner() = None,
            // Work that hangs, and lets go at its end.
            Err(TryLockError::WouldBlock) => self.is_given_up.store(true, Ordering::Release),
        }
    }

    /// Closes it for good, behind the piece of work that is being done.
    pub fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        *self.place() = None;
    }

    fn let_go_if_given_up(&self, place: &mut Option<JobLog>) {
        if self.is_given_up.load(Ordering::Acquire) {
            *place = None;
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<JobLog>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dropped() -> Error {
    Error::world("the job was dropped while it worked with its log")
}
