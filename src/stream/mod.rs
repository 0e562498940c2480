//! The vocabulary of a running query: changes, messages, epochs, committables, event time and the clock.
//!
//! This folder imports nothing of ours but `error`, so that every other layer can speak it.

mod changes;
mod clock;
mod committable;
mod counters;
mod entropy;
mod epoch;
mod memory;
mod message;
mod spawn;
mod time;
mod total;
mod zone;

pub use changes::{ChangeKind, Changes, ChangesBuilder, batch_bytes};
pub use clock::{Clock, ManualClock, ProcTime, SystemClock};
pub use committable::{Committable, FileState};
pub use counters::{Counter, Counters};
pub use entropy::{Entropy, SPLIT_MIX_STEP, split_mix};
pub use epoch::{Barrier, BarrierKind, Epoch, Generation};
pub use memory::{Grant, MemoryHolder, MemoryPool};
pub use message::Message;
pub use spawn::{Blocking, InlineBlocking, ThreadBlocking};
pub use time::{EventTime, PROCTIME_COLUMN, WATERMARK_COLUMN, is_hidden_column};
pub use total::Total;
pub use zone::{Offsets, Twice, Zone};
