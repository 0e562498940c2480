//! Standard input as the engine sees it: bytes that come once and in order, of which nobody loses any.
//!
//! What has been read and not been taken stays here, so that a look at the first line, or a reader that goes away
//! while a read is on its way, costs no byte.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::super::row_buffer::{LONGEST_ROW, append, too_long};
use super::{ORIGIN, READ_ONCE, StopSignal};
use crate::error::{Error, Result};

/// Bytes of one read at most.
const BLOCK: usize = 256 << 10;

/// Where the bytes come from: the process's standard input, or what a program puts in its place.
pub trait Input: Debug + Send {
    /// Reads at most `most` bytes; none at the end. Blocks until there are some, and does not wait for more.
    fn read(&mut self, most: usize) -> Result<Bytes>;

    /// For how long its end may turn out to be that of a stop whose signal has not come yet. Asked once it has ended.
    fn end_hold(&self) -> Duration {
        Duration::ZERO
    }
}

/// An input, shared by all who may want it. At most one reader takes bytes out.
#[derive(Debug)]
pub struct Pipe {
    /// Locked while a read is on its way: reads follow each other.
    input: Mutex<Result<Box<dyn Input>>>,
    state: Mutex<State>,
    stop: StopSignal,
}

#[derive(Debug, Default)]
struct State {
    unread: VecDeque<Bytes>,
    /// Once the input has come to its end: for how long that may be a stop.
    ended: Option<Duration>,
    failed: Option<Error>,
    /// Whether a reader has it.
    held: bool,
    /// Whether bytes have been handed out that nobody can hand out again.
    begun: bool,
}

impl Pipe {
    /// An input to read.
    pub fn new(input: impl Input + 'static) -> Self {
        Self::of(Ok(Box::new(input)))
    }

    /// No input, and why.
    pub fn refused(why: Error) -> Self {
        Self::of(Err(why))
    }

    fn of(input: Result<Box<dyn Input>>) -> Self {
        Self { input: Mutex::new(input), state: Mutex::default(), stop: StopSignal::default() }
    }

    /// What tells it of a stop: an end that comes then, or shortly before, is no end of its rows.
    pub fn stop_signal(&self) -> StopSignal {
        self.stop.clone()
    }

    /// Whether it can be read from its first byte on, or why not. Does not wait.
    fn check(&self, state: &State) -> Result<()> {
        // Who holds this lock is reading, so that there is something to read.
        if let Ok(input) = self.input.try_lock()
            && let Err(why) = &*input
        {
            return Err(why.clone());
        }
        if state.held || state.begun {
            return Err(Error::world("stdin has been read already, and its rows come only once")
                .with_id(READ_ONCE)
                .with_help("INSERT the rows into a table of files first, and read that one as often as needed")
                .with_help("a job that failed on its way needs all of its input again, and --fresh"));
        }
        Ok(())
    }

    /// The first line, without its end; it stays to be read. Blocks until a whole line, or the end, has come.
    pub fn first_line(&self) -> Result<Bytes> {
        self.check(&self.state())?;
        let mut looked_at = 0;
        loop {
            let found = {
                let mut state = self.state();
                if state.begun {
                    self.check(&state)?;
                }
                // One piece from here on.
                let mut all = Bytes::new();
                state.unread.drain(..).for_each(|bytes| append(&mut all, bytes));
                let end = memchr::memchr(b'\n', &all[looked_at..]).map(|length| looked_at + length);
                looked_at = all.len();
                let line = end.or(state.ended.map(|_| all.len())).map(|end| all.slice(..end));
                if !all.is_empty() {
                    state.unread.push_back(all);
                }
                match (line, &state.failed) {
                    (Some(line), _) => Some(line),
                    (None, Some(failure)) => return Err(failure.clone()),
                    (None, None) => None,
                }
            };
            if found.as_ref().map_or(looked_at, Bytes::len) > LONGEST_ROW {
                return Err(too_long(ORIGIN, 1));
            }
            match found {
                Some(line) => return Ok(line),
                None => self.fill(),
            }
        }
    }

    /// Makes the caller the one reader.
    pub(super) fn hold(&self) -> Result<()> {
        let mut state = self.state();
        self.check(&state)?;
        state.held = true;
        Ok(())
    }

    /// The reader is gone. If it took nothing, another may begin.
    pub(super) fn let_go(&self) {
        self.state().held = false;
    }

    /// Reads a block and keeps it. Blocks until something has come.
    pub(super) fn fill(&self) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state().ended.is_some() {
            return;
        }
        let read = match &mut *input {
            Ok(input) => input.read(BLOCK),
            Err(why) => Err(why.clone()),
        };
        let hold = match (&read, &*input) {
            (Ok(bytes), Ok(input)) if bytes.is_empty() => input.end_hold(),
            _ => Duration::ZERO,
        };
        let mut state = self.state();
        match read {
            Ok(bytes) if bytes.is_empty() => state.ended = Some(hold),
            Ok(bytes) => state.unread.push_back(bytes),
            Err(error) => state.failed = Some(error),
        }
    }

    /// Whether a read is worth while: nothing waits to be taken, and more may come.
    pub(super) fn is_dry(&self) -> bool {
        let state = self.state();
        state.unread.is_empty() && state.ended.is_none() && state.failed.is_none()
    }

    /// Takes what has been read; `None` if there is nothing now.
    pub(super) fn take(&self) -> Result<Option<Bytes>> {
        let mut state = self.state();
        match (state.unread.pop_front(), &state.failed) {
            (Some(bytes), _) => {
                state.begun = true;
                Ok(Some(bytes))
            }
            (None, Some(failure)) => Err(failure.clone()),
            (None, None) => Ok(None),
        }
    }

    /// Once everything has been taken: for how long the end may still be that of a stop.
    pub(super) fn exhausted(&self) -> Option<Duration> {
        let state = self.state();
        state.ended.filter(|_| state.unread.is_empty())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pipe {
    fn default() -> Self {
        let why = Error::query("this session has no standard input that could be read as the table `stdin`");
        Self::refused(why.with_help("lend it one: Session::with_input"))
    }
}
