//! What flows through a channel between two tasks.

use super::{Barrier, Changes, EventTime};

/// One item of a channel. Only rows take credit; the rest always passes.
#[derive(Debug, Clone)]
pub enum Message {
    /// Rows, in the order of their split.
    Rows(Changes),
    /// No row at or before this time will come on this channel.
    Watermark(EventTime),
    /// This channel holds the minimum no longer, until `Active`.
    Idle,
    /// This channel counts again; sent before the rows that follow.
    Active,
    /// The rows before it belong to its epoch.
    Barrier(Barrier),
    /// No row will follow, though barriers may, until one whose kind is last.
    End,
}
