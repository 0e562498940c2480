//! What the owner of a job may ask for while it runs. Each request has an identity, so that its answer finds the one who
//! asked, and is answered only for a barrier that was sent after it.

use std::path::{Path, PathBuf};

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
    /// A checkpoint that is kept whatever else is removed; with a target as a copy in a directory below it.
    Savepoint { target: Option<PathBuf> },
    /// A last checkpoint, then the end. With `savepoint` it is a savepoint as above. With `drain` time ends first, so that
    /// every window fires.
    Stop { savepoint: bool, target: Option<PathBuf>, drain: bool },
}

impl Wanted {
    /// The plain stop.
    pub const STOP: Self = Self::Stop { savepoint: false, target: None, drain: false };

    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Stop { .. })
    }

    /// Below which directory it is to be copied.
    pub fn savepoint_target(&self) -> Option<&Path> {
        match self {
            Self::Savepoint { target } | Self::Stop { savepoint: true, target, .. } => target.as_deref(),
            _ => None,
        }
    }

    /// Whether it asks for a savepoint, at a stop or while the job goes on.
    pub(super) fn takes_savepoint(&self) -> bool {
        matches!(self, Self::Savepoint { .. } | Self::Stop { savepoint: true, .. })
    }

    /// Whether the job's own checkpoints are to keep it.
    pub(super) fn keeps_checkpoint(&self) -> bool {
        matches!(self, Self::Savepoint { target: None } | Self::Stop { savepoint: true, target: None, .. })
    }

    /// Whether time is to end before the last checkpoint.
    pub(super) fn drains(&self) -> bool {
        matches!(self, Self::Stop { drain: true, .. })
    }
}
