//! The work on rows, one operator a file. An operator touches the world only through its state tables: no I/O, no
//! clock, no await, and it never sees a barrier.

mod aggregate;
mod batches;
mod calc;
mod combining;
mod group_aggregate;
mod group_local;
mod late;
mod retracted_extreme;
mod running_window;
mod spec;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod window;
mod window_aggregate;
mod window_assign;
mod window_local;

pub use aggregate::{AggregateCall, AggregateFunction, Aggregates};
pub use calc::CalcSpec;
pub use group_aggregate::GroupAggregateSpec;
pub use group_local::{GroupLocalSpec, ROWS_COLUMN};
pub use late::{LATE_COLUMNS, late_columns};
pub use spec::OperatorSpec;
pub use window::WindowKind;
pub use window_aggregate::WindowAggregateSpec;
pub use window_assign::{OPEN_FROM_COLUMN, PANE_COLUMN, WindowAssignSpec};
pub use window_local::WindowLocalSpec;

use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::state::StateTable;
use crate::stream::{Changes, Counter, Counters, EventTime, ProcTime};

/// Why rows that were held back leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// State is about to be saved: whatever is not in a state table has to go.
    All,
    /// The inputs ran dry: what somebody downstream waits for has to go, what only a watermark releases may stay.
    Waiting,
}

/// One step of a running query: rows in, rows out. Synchronous.
pub trait Operator: Send {
    /// Rows came in on `port`.
    fn on_rows(&mut self, port: usize, rows: Changes, cx: &mut Context) -> Result<()>;
    /// No row at or before `time` will come on any input. Returns the time to pass on.
    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<EventTime>;
    /// Processing time reached what was asked for, or rows came that may ask for a time. Returns when to be called next,
    /// if ever.
    fn on_tick(&mut self, _cx: &mut Context) -> Result<Option<ProcTime>> {
        Ok(None)
    }
    /// The input `port` is complete; the others go on. The last one is preceded by the final watermark.
    fn on_end(&mut self, _port: usize, _cx: &mut Context) -> Result<()> {
        Ok(())
    }
    /// Rows held back only for throughput leave (see [`Flush`]). An operator that holds none back has nothing to do.
    fn flush(&mut self, _why: Flush, _cx: &mut Context) -> Result<()> {
        Ok(())
    }
    /// The state tables that must survive a restart; an empty list says on purpose that nothing must.
    fn state(&mut self) -> Vec<&mut dyn StateTable>;
}

/// What an operator may do besides its own work: read the time, emit, divert late rows, count.
#[derive(Debug)]
pub struct Context {
    /// The task's clock at the call.
    pub now: ProcTime,
    /// What this operator has counted since the context was made or drained.
    pub counters: Counters,
    out: Vec<Changes>,
    late: Vec<RecordBatch>,
}

impl Context {
    /// A context at `now` with nothing emitted.
    pub fn new(now: ProcTime) -> Self {
        Self { now, counters: Counters::default(), out: Vec::new(), late: Vec::new() }
    }

    /// Passes rows on; an empty batch is not sent.
    pub fn emit(&mut self, changes: Changes) {
        if !changes.is_empty() {
            self.out.push(changes);
        }
    }

    /// Diverts late rows; the columns are those of the operator's late schema.
    pub fn late(&mut self, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.late.push(rows);
        }
    }

    /// Counts.
    pub fn count(&mut self, counter: Counter, by: usize) {
        self.counters.add(counter, by as u64);
    }

    /// Takes what was emitted since the last call.
    pub fn take_out(&mut self) -> Vec<Changes> {
        std::mem::take(&mut self.out)
    }

    /// Takes the late rows since the last call.
    pub fn take_late(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.late)
    }
}
