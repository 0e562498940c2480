//! Epochs, generations, and the barrier that carries an epoch through the data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a checkpoint: a counter, never a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Before the first checkpoint.
    pub const ZERO: Self = Self(0);

    /// The one after.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// One start of a job: a counter within the job's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Why a barrier was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarrierKind {
    /// A periodic checkpoint; the rows go on behind it.
    Checkpoint,
    /// A checkpoint on request, kept; the rows go on behind it.
    Savepoint,
    /// The last one before a graceful stop: no row, no final watermark follows.
    Stop,
    /// The last one of bounded input: final watermark and end have passed before it.
    Drain,
}

impl BarrierKind {
    /// Whether tasks end behind it.
    pub fn is_last(self) -> bool {
        matches!(self, Self::Stop | Self::Drain)
    }
}

/// The mark of an epoch in a stream: what lies before it belongs to the checkpoint, what lies behind does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Barrier {
    /// The checkpoint that it belongs to.
    pub epoch: Epoch,
    /// Why it was sent.
    pub kind: BarrierKind,
    /// The last epoch whose checkpoint is complete: increments up to it need not be kept any more, those of
    /// later (aborted) epochs have to be written again.
    pub covered: Epoch,
}
