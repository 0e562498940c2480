//! The work on rows, one operator a file. An operator touches the world only through its state tables: no I/O, no
//! clock, no await, and it never sees a barrier.

mod aggregate;
mod batches;
mod calc;
mod chain;
mod combining;
mod context;
mod distinct_counts;
mod distinct_weights;
mod emission;
mod expand;
mod fire_progress;
mod forgetting;
mod group_aggregate;
mod group_local;
mod large_window;
mod late;
pub mod process;
mod random;
mod replicate;
mod running_window;
mod session_aggregate;
mod session_input;
mod session_rows;
mod sink_keys;
mod spec;
mod state_bound;
mod stateless;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod touched;
mod two_phase;
mod unnest;
mod upsert_materialize;
mod value_counts;
mod local_time;
mod window;
mod window_aggregate;
mod window_assign;
mod window_emit;
mod window_local;
mod window_spread;

pub use aggregate::{AggregateCall, AggregateFunction, Aggregates};
pub use calc::CalcSpec;
pub use chain::{Chain, Emitted};
pub use context::{BuildContext, Context, OutputBudget, StateBackend};
pub use emission::Emission;
pub use expand::{ExpandSpec, sets_text};
pub use forgetting::{Forgetting, WindowResults};
pub use group_aggregate::GroupAggregateSpec;
pub use group_local::{GroupLocalSpec, Holding, ROWS_COLUMN};
pub use late::{LATE_COLUMNS, late_columns};
pub use random::{Random, RandomSpec};
pub use replicate::ReplicateSpec;
pub use session_aggregate::SessionAggregateSpec;
pub use session_input::SessionInput;
pub use session_rows::SessionRowsSpec;
pub use spec::OperatorSpec;
pub use state_bound::StateBound;
pub use unnest::UnnestSpec;
pub use upsert_materialize::{OnConflict, UpsertMaterializeSpec};
pub use window::{Milliseconds, WindowKind};
pub use window_aggregate::WindowAggregateSpec;
pub use window_assign::{OPEN_FROM_COLUMN, PANE_COLUMN, WindowAssignSpec};
pub use window_emit::WindowEmitSpec;
pub use window_local::WindowLocalSpec;
pub use window_spread::{WINDOW_END_COLUMN, WindowSpreadSpec};

use crate::error::Result;
use crate::state::StateTable;
use crate::stream::{Changes, EventTime, ProcTime};

/// Why rows that were held back leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// State is about to be saved: whatever is not in a state table has to go.
    All,
    /// The inputs ran dry: what somebody downstream waits for has to go, what only a watermark releases may stay.
    Waiting,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// All that the call asks for has been done.
    Done,
    /// The output is full, or what is left would take long. Goes on when called again.
    More,
}

/// One step of a running query: rows in, rows out. Synchronous.
///
/// A call stops with [`Progress::More`] when [`Context::is_full`], or before it takes longer than some milliseconds, and
/// [`resume`](Self::resume) goes on with it. **As long as it is unfinished anything may come in between**: rows, a later
/// watermark (which only moves the aim), a tick, a flush, and [`state`](Self::state) for a snapshot. So at every `More`
/// the state tables describe exactly what is left to be done, but for rows that [`flush`](Self::flush) lets go. What
/// cannot be worked on meanwhile is kept in a state table of the operator's own.
///
/// ```text
///   on_watermark(T) ─▶ More    rows ─▶ Done    flush(All) ─▶ Done    state() saved    resume ─▶ More … resume ─▶ Done
///     watermark() = earlier                                                                          watermark() = T
/// ```
///
/// After a restore the first call of `on_watermark` brings the watermark that the task had met, before any rows (also
/// when it is [`EventTime::NONE`]). What had been emitted for it does not leave again; what was left over does.
pub trait Operator: Send {
    /// Rows came in on `port`.
    fn on_rows(&mut self, port: usize, rows: Changes, cx: &mut Context) -> Result<Progress>;
    /// No row at or before `time` will come on any input.
    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress>;
    /// Goes on with what stopped with `More`, but for a flush.
    fn resume(&mut self, _cx: &mut Context) -> Result<Progress> {
        Ok(Progress::Done)
    }
    /// The time up to which watermarks have been worked off: what follows from them has been emitted. It is passed on when
    /// it has moved.
    fn watermark(&self) -> EventTime;
    /// Processing time reached [`next_tick`](Self::next_tick).
    fn on_tick(&mut self, _cx: &mut Context) -> Result<Progress> {
        Ok(Progress::Done)
    }
    /// When `on_tick` should be called next, if ever; asked after every other call.
    fn next_tick(&self) -> Option<ProcTime> {
        None
    }
    /// The input `port` is complete; the others go on. The last one is preceded by the final watermark, worked off.
    fn on_end(&mut self, _port: usize, _cx: &mut Context) -> Result<Progress> {
        Ok(Progress::Done)
    }
    /// Rows held back only for throughput leave (see [`Flush`]); after `More` it is called again. An operator that holds
    /// none back has nothing to do.
    fn flush(&mut self, _why: Flush, _cx: &mut Context) -> Result<Progress> {
        Ok(Progress::Done)
    }
    /// The watermark that closes the next of its windows, if any is open. For whoever watches: nothing depends on it.
    fn next_window(&mut self) -> Option<EventTime> {
        None
    }
    /// The state tables that must survive a restart; an empty list says on purpose that nothing must.
    fn state(&mut self) -> Vec<&mut dyn StateTable>;
    /// Bytes held beside the state tables: rows that [`flush`](Self::flush) lets go. The job's memory counts them.
    fn held_bytes(&self) -> usize {
        0
    }
}
