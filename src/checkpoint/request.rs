//! What the owner of a job may ask for while it runs. Each request has an identity, so that its answer finds the one who
//! asked, and is answered only for a barrier that was sent after it.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Something that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Unlike that of any other request of the same start.
    pub id: u64,
    pub what: Wanted,
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A checkpoint that holds everything read up to now.
    Checkpoint,
    /// A checkpoint that is kept whatever else is removed; with a directory as a copy in there.
    Savepoint { target: Option<PathBuf> },
    /// A last checkpoint, then the end. With `savepoint` it is one that is kept whatever else is removed; with a directory
    /// in there. With `drain` time ends first, so that every window fires.
    Stop { savepoint: bool, target: Option<PathBuf>, drain: bool },
}

impl Wanted {
    /// The plain stop.
    pub const STOP: Self = Self::Stop { savepoint: false, target: None, drain: false };

    /// The stop with a savepoint.
    pub const STOP_WITH_SAVEPOINT: Self = Self::Stop { savepoint: true, target: None, drain: false };

    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Stop { .. })
    }

    /// Refuses by name what is not built.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Savepoint { target: Some(_) } | Self::Stop { target: Some(_), .. } => {
                Err(Error::query("a savepoint in a directory of its own is not built yet")
                    .with_help("a savepoint without a directory is kept among the job's checkpoints"))
            }
            Self::Stop { drain: true, .. } => Err(Error::query("a stop that fires all windows is not built yet")
                .with_help("stop without draining: open windows are in the last checkpoint, and go on from there")),
            _ => Ok(()),
        }
    }
}
