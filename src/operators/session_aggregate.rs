//! Aggregation over sessions: the rows of a key that lie no more than a gap apart.
//!
//! Rows come straight from the exchange, each with the watermark that it met in its own split: by that a session is closed
//! for the row, though it may not have left yet. A row is late when it touches no open session and would be closed alone.
//! A session leaves when the watermark reaches its last millisecond, which is a gap behind its last row. Kept are the
//! bounds and the states of the sessions that have not left, in `sessions`; one that has left is deleted there, so that a
//! barrier may pass at any time, and what remains follows after a restore, at any parallelism.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::aggregate::readable;
use super::batches::Batches;
use super::fire_progress::{FireProgress, Position};
use super::late::{Refused, kept, late_batch, late_schema};
use super::window_assign::timestamps;
use super::{AggregateCall, Aggregates, BuildContext, Context, Flush, Milliseconds, Operator, OperatorSpec, Progress};
use crate::error::{Error, Result};
use crate::state::{SessionTable, SlotColumns, StateTable, batch_of, integers};
use crate::stream::{Changes, Counter, EventTime};

/// Aggregation over sessions of raw rows.
#[derive(Debug, Clone)]
pub struct SessionAggregateSpec {
    /// The columns that come in, the hidden watermark among them.
    pub input: SchemaRef,
    /// The columns by which rows are dealt out to sessions.
    pub keys: Vec<usize>,
    /// The rowtime column: `Timestamp(ms)`.
    pub time: usize,
    /// The hidden column of the watermark that the row met: `Int64` ms.
    pub watermark: usize,
    /// So many milliseconds without a row end a session.
    pub gap_ms: i64,
    /// The aggregates, over the columns of `input`.
    pub calls: Vec<AggregateCall>,
    /// Names the operator in late rows.
    pub operator: String,
    /// The columns of a late row, by index into the input.
    pub late_columns: Vec<usize>,
    /// Whether the time is that of the clock, by which no row is late.
    pub by_clock: bool,
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
        let keys = self.keys.iter().map(|key| self.input.field(*key).data_type().to_string());
        let calls = self.calls.iter();
        let calls = calls.map(|call| format!("{}({}) {}", call.function, call.input_type, call.output.data_type()));
        let types: Vec<String> = keys.chain(calls).collect();
        let gap = Milliseconds(self.gap_ms);
        format!("SessionAggregate(gap=[{gap}], keys and results of types [{}]: {})", types.join(", "), self.query)
    }

    fn output(&self) -> SchemaRef {
        SchemaRef::clone(&self.output)
    }

    fn late(&self) -> Option<SchemaRef> {
        (!self.by_clock).then(|| late_schema(&self.input, &self.late_columns))
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        if !(1..=i64::MAX / 16).contains(&self.gap_ms) {
            return Err(Error::query(format!("SESSION: a gap of {} ms is too long or none", self.gap_ms)));
        }
        let states = Aggregates::new(&self.calls)?;
        let mut fields: Vec<FieldRef> = self.keys.iter().map(|key| Arc::clone(&self.input.fields()[*key])).collect();
        let bound = |name: &str| Arc::new(Field::new(name, DataType::Int64, false));
        fields.extend(["session_start", "session_end"].map(bound));
        let of_states: Vec<FieldRef> = states.fields().into_iter().map(Arc::new).collect();
        fields.extend(readable(&of_states, &self.calls, &fields));
        let schema = Arc::new(Schema::new(fields));
        Ok(Box::new(SessionAggregate {
            sessions: SessionTable::new("sessions", schema, self.keys.len(), self.gap_ms, states)?,
            progress: FireProgress::new(cx.key_groups.clone(), cx.max_parallelism, !self.keys.is_empty()),
            late: late_schema(&self.input, &self.late_columns),
            out: Batches::new(Arc::clone(&self.output), cx.batch_rows),
            batch_rows: cx.batch_rows,
            spec: self.clone(),
            key_slots: Vec::new(),
            slots: Vec::new(),
            refused: Vec::new(),
            is_new: true,
            met: i64::MIN,
            done: i64::MIN,
        }))
    }
}

impl fmt::Display for SessionAggregateSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |index: &usize| self.input.field(*index).name().as_str();
        out.write_str("SessionAggregate(")?;
        if !self.keys.is_empty() {
            write!(out, "groupBy=[{}], ", self.keys.iter().map(name).collect::<Vec<_>>().join(", "))?;
        }
        let calls = self.calls.iter();
        let calls = calls.map(|call| format!("{} AS {}", call.text(&self.input), call.output.name()));
        let (time, gap) = (name(&self.time), Milliseconds(self.gap_ms));
        let by_clock = if self.by_clock { ", by clock" } else { "" };
        let calls: Vec<String> = calls.collect();
        write!(out, "time=[{time}], window=[SESSION(gap=[{gap}])]{by_clock}, select=[{}])", calls.join(", "))
    }
}

struct SessionAggregate {
    spec: SessionAggregateSpec,
    late: SchemaRef,
    sessions: SessionTable<Aggregates>,
    /// Holds something only for a barrier while sessions leave.
    progress: FireProgress,
    out: Batches,
    batch_rows: usize,
    /// Of the rows at hand: the slots of their keys, and of the sessions of those that are not late.
    key_slots: Vec<u32>,
    slots: Vec<u32>,
    refused: Vec<Refused>,
    /// Whether no watermark has come yet.
    is_new: bool,
    /// The watermark that was met: the aim.
    met: i64,
    /// The sessions that this watermark closes have been emitted.
    done: i64,
}

impl Operator for SessionAggregate {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        if rows.kinds().is_some() {
            return Err(Error::bug("a session aggregation met rows that are taken back"));
        }
        let batch = rows.batch();
        let keys: Vec<ArrayRef> = self.spec.keys.iter().map(|key| Arc::clone(batch.column(*key))).collect();
        let times = timestamps(batch.column(self.spec.time), self.spec.input.field(self.spec.time))?;
        let met = integers(batch.column(self.spec.watermark))?;
        self.check(times)?;
        self.sessions.assign(&keys, batch.num_rows(), &mut self.key_slots)?;
        self.slots.clear();
        self.refused.clear();
        for (row, ((key, time), met_of_split)) in self.key_slots.iter().zip(times).zip(met).enumerate() {
            let met = self.met.max(*met_of_split);
            match self.sessions.enter(*key, *time, met) {
                Some(slot) => self.slots.push(slot),
                None => {
                    let (start, end) = (*time, time + self.spec.gap_ms);
                    self.refused.push(Refused { row: row as u32, met, met_of_split: *met_of_split, start, end });
                }
            }
        }
        if self.refused.is_empty() {
            self.sessions.columns().update(&self.slots, batch, None)?;
        } else {
            let on_time = filter_record_batch(batch, &kept(&self.refused, batch.num_rows()))?;
            self.sessions.columns().update(&self.slots, &on_time, None)?;
            let unused: Vec<u32> = self.refused.iter().map(|late| self.key_slots[late.row as usize]).collect();
            self.sessions.forget(&unused);
            cx.late(late_batch(&self.late, batch, &self.spec.late_columns, &self.spec.operator, &self.refused)?);
        }
        self.sessions.settle()?;
        cx.count(Counter::WindowPairsAssigned, batch.num_rows());
        cx.count(Counter::WindowPairsLate, self.refused.len());
        cx.count(Counter::WindowPairsCounted, self.slots.len());
        cx.count(Counter::NumLateRecordsDropped, self.refused.len());
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        if std::mem::take(&mut self.is_new) {
            self.met = time.0;
            // What had left before a restart is not in the table any more.
            self.done = self.progress.restore(time.0).map_or(i64::MIN, |(_, passed_on)| passed_on);
        }
        self.met = self.met.max(time.0);
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
        EventTime(self.done)
    }

    fn flush(&mut self, _: Flush, cx: &mut Context) -> Result<Progress> {
        // What was put out is in the state tables no more.
        self.out.finish(cx)
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        vec![&mut self.sessions, &mut self.progress]
    }
}

impl SessionAggregate {
    /// Refuses times at which the end of a session does not fit into 64 bits.
    fn check(&self, times: &[i64]) -> Result<()> {
        let room = 2 * self.spec.gap_ms;
        match times.iter().find(|time| !(i64::MIN + room..=i64::MAX - room).contains(*time)) {
            None => Ok(()),
            Some(time) => {
                let (column, gap) = (self.spec.input.field(self.spec.time).name(), Milliseconds(self.spec.gap_ms));
                let time = EventTime(*time);
                Err(Error::data(format!("column {column}: {time} lies too far away for a session with a gap of {gap}")))
            }
        }
    }

    /// Puts closed sessions out as far as there is room.
    fn fire(&mut self, cx: &mut Context) -> Result<Progress> {
        if self.out.drain(cx) == Progress::More {
            return Ok(Progress::More);
        }
        loop {
            let closed = self.sessions.closed(self.met, self.batch_rows);
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
        let times = ends.iter().map(|end| end - 1).collect();
        for (index, bounds) in [starts, ends, times].into_iter().enumerate() {
            let data_type = self.spec.output.field(self.spec.keys.len() + index).data_type().clone();
            columns.push(Arc::new(TimestampMillisecondArray::from(bounds).with_data_type(data_type)));
        }
        columns.extend(self.sessions.columns().evaluate(Some(closed))?);
        batch_of(&self.spec.output, columns, closed.len())
    }

    /// While sessions leave, a barrier has to know which watermark was passed on; which have left, it sees by itself.
    fn note_progress(&mut self, progress: Progress) {
        match progress {
            Progress::Done => {
                self.done = self.met;
                self.progress.finish();
            }
            Progress::More => self.progress.reach(Position { end: self.met, through: None }, self.done),
        }
    }
}
