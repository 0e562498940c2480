//! Aggregation over sessions: the rows of a key that lie no more than a gap apart.
//!
//! Rows come straight from the exchange, each with the watermark that it met in its own split: by that a session is closed
//! for the row, though it may not have left yet. A row is late when it touches no open session and would be closed alone.
//! A session leaves when the watermark reaches its last millisecond, which is a gap behind its last row. Kept are the
//! bounds and the states of the sessions that have not left, in `sessions`; one that has left is deleted there, so that a
//! barrier may pass at any time, and what remains follows after a restore, at any parallelism.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::aggregate::readable;
use super::batches::Batches;
use super::fire_progress::{FireProgress, Position};
use super::session_input::{SessionEntry, SessionInput};
use super::{
    AggregateCall, Aggregates, BuildContext, Context, Flush, Milliseconds, Operator, OperatorSpec, Progress, StateBound,
};
use crate::error::Result;
use crate::state::{SESSION_COLUMNS, SessionTable, SlotColumns, StateTable, batch_of};
use crate::stream::{Changes, EventTime};

/// Aggregation over sessions of raw rows.
#[derive(Debug, Clone)]
pub struct SessionAggregateSpec {
    /// The rows that come in.
    pub rows: SessionInput,
    /// The aggregates, over the columns that come in.
    pub calls: Vec<AggregateCall>,
    /// What is computed over which rows, in terms of the columns of tables: a part of the signature.
    pub query: String,
    /// Keys, `window_start`, `window_end`, `window_time`, then a column per aggregate.
    pub output: SchemaRef,
}

impl OperatorSpec for SessionAggregateSpec {
    fn name(&self) -> &'static str {
        "SessionAggregate"
    }

    fn signature(&self) -> String {
        let keys = self.rows.keys.iter().map(|key| self.rows.columns.field(*key).data_type().to_string());
        let calls = self.calls.iter();
        let calls = calls.map(|call| format!("{}({}) {}", call.function, call.input_type, call.output.data_type()));
        let types: Vec<String> = keys.chain(calls).collect();
        let gap = Milliseconds(self.rows.gap_ms);
        format!("SessionAggregate(gap=[{gap}], keys and results of types [{}]: {})", types.join(", "), self.query)
    }

    fn output(&self) -> SchemaRef {
        SchemaRef::clone(&self.output)
    }

    fn late(&self) -> Option<SchemaRef> {
        self.rows.late()
    }

    fn bound(&self) -> StateBound {
        StateBound::Watermark
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        self.rows.check()?;
        let (states, keys) = (Aggregates::new(&self.calls)?, self.rows.keys.len());
        let mut fields: Vec<FieldRef> =
            self.rows.keys.iter().map(|key| Arc::clone(&self.rows.columns.fields()[*key])).collect();
        let bound = |name: &str| Arc::new(Field::new(name, DataType::Int64, false));
        fields.extend(SESSION_COLUMNS.map(bound));
        let of_states: Vec<FieldRef> = states.fields().into_iter().map(Arc::new).collect();
        fields.extend(readable(&of_states, &self.calls, &fields));
        let schema = Arc::new(Schema::new(fields));
        Ok(Box::new(SessionAggregate {
            sessions: SessionTable::new("sessions", schema, keys, self.rows.gap_ms, states)?,
            progress: FireProgress::new(cx.key_groups.clone(), cx.max_parallelism, keys > 0),
            entry: SessionEntry::new(self.rows.clone()),
            out: Batches::new(Arc::clone(&self.output), cx.batch_rows),
            batch_rows: cx.batch_rows,
            output: Arc::clone(&self.output),
            keys,
            is_new: true,
            met: EventTime::NONE,
            done: EventTime::NONE,
        }))
    }
}

impl fmt::Display for SessionAggregateSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.calls.iter();
        let calls = calls.map(|call| format!("{} AS {}", call.text(&self.rows.columns), call.output.name()));
        let calls: Vec<String> = calls.collect();
        write!(out, "SessionAggregate({}, select=[{}])", self.rows.text(), calls.join(", "))
    }
}

struct SessionAggregate {
    sessions: SessionTable<Aggregates>,
    /// Holds something only for a barrier while sessions leave.
    progress: FireProgress,
    entry: SessionEntry,
    out: Batches,
    batch_rows: usize,
    output: SchemaRef,
    keys: usize,
    /// Whether no watermark has come yet.
    is_new: bool,
    /// The watermark that was met: the aim.
    met: EventTime,
    /// The sessions that this watermark closes have been emitted.
    done: EventTime,
}

impl Operator for SessionAggregate {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let (on_time, slots) = self.entry.enter(&mut self.sessions, &rows, self.met, cx)?;
        self.sessions.columns().update(slots, &on_time, None)?;
        self.sessions.settle()?;
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        if std::mem::take(&mut self.is_new) {
            self.met = time;
            // What had left before a restart is not in the table any more.
            self.done = self.progress.restore(time.0).map_or(EventTime::NONE, |(_, passed_on)| EventTime(passed_on));
        }
        self.met = self.met.max(time);
        self.resume(cx)
    }

    fn resume(&mut self, cx: &mut Context) -> Result<Progress> {
        if self.done >= self.met {
            return Ok(Progress::Done);
        }
        let progress = self.fire(cx)?;
        self.note_progress(progress);
        Ok(progress)
    }

    fn watermark(&self) -> EventTime {
        self.done
    }

    fn flush(&mut self, _: Flush, cx: &mut Context) -> Result<Progress> {
        // What was put out is in the state tables no more.
        self.out.finish(cx)
    }

    fn next_window(&mut self) -> Option<EventTime> {
        let (end, _) = self.sessions.first_to_end()?;
        Some(EventTime(self.entry.local_time.due(end - 1)))
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        vec![&mut self.sessions, &mut self.progress]
    }
}

impl SessionAggregate {
    /// Puts closed sessions out as far as there is room.
    fn fire(&mut self, cx: &mut Context) -> Result<Progress> {
        if self.out.drain(cx) == Progress::More {
            return Ok(Progress::More);
        }
        loop {
            let closed = self.sessions.closed(self.entry.local_time.reached(self.met), self.batch_rows);
            if closed.is_empty() {
                return self.out.finish(cx);
            }
            let rows = self.rows(&closed)?;
            self.sessions.remove(&closed)?;
            if self.out.push(rows, cx)? == Progress::More || cx.is_full() {
                return Ok(Progress::More);
            }
        }
    }

    fn rows(&mut self, closed: &[u32]) -> Result<RecordBatch> {
        let (mut columns, starts, ends) = self.sessions.gather(closed)?;
        let times = ends.iter().map(|end| self.entry.local_time.instant(end - 1)).collect();
        for (index, bounds) in [starts, ends, times].into_iter().enumerate() {
            let data_type = self.output.field(self.keys + index).data_type().clone();
            columns.push(Arc::new(TimestampMillisecondArray::from(bounds).with_data_type(data_type)));
        }
        columns.extend(self.sessions.columns().evaluate(Some(closed))?);
        batch_of(&self.output, columns, closed.len())
    }

    /// While sessions leave, a barrier has to know which watermark was passed on; which have left, it sees by itself.
    fn note_progress(&mut self, progress: Progress) {
        match progress {
            Progress::Done => {
                self.done = self.met;
                self.progress.finish();
            }
            Progress::More => self.progress.reach(Position { end: self.met.0, through: None }, self.done.0),
        }
    }
}
