//! The process's standard input as the table `stdin` reads it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::FileType;

use crate::error::{Error, Result};
use crate::session::Input;

/// Ctrl-C reaches both ends of a pipe at once; within this time the end and the signal are both seen, in either order.
const END_HOLD: Duration = Duration::from_millis(100);

/// The process's standard input.
#[derive(Debug, Default)]
pub struct StandardInput {
    /// Where reads go before they are cut to what has come.
    block: Vec<u8>,
}

impl Input for StandardInput {
    fn read(&mut self, most: usize) -> Result<Bytes> {
        self.block.resize(most, 0);
        loop {
            match std::io::stdin().read(&mut self.block) {
                Ok(length) => return Ok(Bytes::copy_from_slice(&self.block[..length])),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read stdin", &error)),
            }
        }
    }

    /// Only a pipe in front of which somebody may press Ctrl-C is waited for.
    fn end_hold(&self) -> Duration {
        if is_pipe() && is_in_foreground() { END_HOLD } else { Duration::ZERO }
    }
}

/// Some shells make their pipes of sockets.
fn is_pipe() -> bool {
    rustix::fs::fstat(std::io::stdin())
        .is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
}

/// Whether the keys of a terminal send their signals to this process.
fn is_in_foreground() -> bool {
    let Ok(terminal) = File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}
