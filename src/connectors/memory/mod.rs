//! Tables in memory, for programs that embed Beadline and for tests: rows pushed in, rows collected.
//!
//! They are used through their factories and not by a WITH clause.

mod sink;
mod source;

pub use sink::{ChannelSink, MemorySink, Unreliable};
pub use source::{MemorySource, Pusher};
