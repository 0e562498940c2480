//! Rows on their way into sessions: each is judged by the watermark that it met, finds its session or is refused as late.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;

use super::late::{Refused, kept, late_schema, refuse, without_future};
use super::local_time::LocalTime;
use super::window_assign::{in_zone, timestamps};
use super::{Aggregates, Context, Milliseconds};
use crate::error::{Error, Result};
use crate::state::{SessionTable, integers};
use crate::stream::{Changes, Counter, EventTime, Zone};

/// What is known of the rows that are put into sessions.
#[derive(Debug, Clone)]
pub struct SessionInput {
    /// The columns that come in, the hidden watermark among them.
    pub columns: SchemaRef,
    /// The columns by which rows are dealt out to sessions.
    pub keys: Vec<usize>,
    /// The rowtime column: `Timestamp(ms)`.
    pub time: usize,
    /// The hidden column of the watermark that the row met: `Int64` ms.
    pub watermark: usize,
    /// So many milliseconds without a row end a session.
    pub gap_ms: i64,
    /// Names the operator in late rows.
    pub operator: String,
    /// The columns of a late row, by index into the input.
    pub late_columns: Vec<usize>,
    /// Whether the time is that of the clock, by which no row is late.
    pub by_clock: bool,
    /// In which zone sessions lie.
    pub zone: Zone,
}

impl SessionInput {
    /// The columns of late rows, where there can be any.
    pub(super) fn late(&self) -> Option<SchemaRef> {
        (!self.by_clock).then(|| late_schema(&self.columns, &self.late_columns))
    }

    /// Refuses gaps that nobody can compute with.
    pub(super) fn check(&self) -> Result<()> {
        match (1..=i64::MAX / 16).contains(&self.gap_ms) {
            true => Ok(()),
            false => Err(Error::query(format!("SESSION: a gap of {} ms is too long or none", self.gap_ms))),
        }
    }

    pub(super) fn name(&self, column: usize) -> &str {
        self.columns.field(column).name()
    }

    /// `[groupBy=[k], ]time=[ts], window=[SESSION(gap=[1 min])]`, as EXPLAIN shows it.
    pub(super) fn text(&self) -> String {
        let keys: Vec<&str> = self.keys.iter().map(|key| self.name(*key)).collect();
        let keys = if keys.is_empty() { String::new() } else { format!("groupBy=[{}], ", keys.join(", ")) };
        let by_clock = if self.by_clock { ", by clock" } else { "" };
        format!(
            "{keys}time=[{}], window=[SESSION(gap=[{}])]{}{by_clock}",
            self.name(self.time),
            Milliseconds(self.gap_ms),
            in_zone(self.zone)
        )
    }
}

/// Puts rows into the sessions of a table.
#[derive(Debug)]
pub(super) struct SessionEntry {
    input: SessionInput,
    late: SchemaRef,
    pub(super) local_time: LocalTime,
    /// Of the rows at hand: the slots of their keys, and of the sessions of those that are not late.
    key_slots: Vec<u32>,
    slots: Vec<u32>,
    /// What local time had reached for each of these rows.
    pub(super) reached: Vec<i64>,
    refused: Vec<Refused>,
}

impl SessionEntry {
    pub(super) fn new(input: SessionInput) -> Self {
        let late = late_schema(&input.columns, &input.late_columns);
        let local_time = LocalTime::new(input.zone);
        Self {
            input,
            late,
            local_time,
            key_slots: Vec::new(),
            slots: Vec::new(),
            reached: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The rows that are not late, with the slots of their sessions; the others leave on the late output. `met` is the
    /// watermark that the operator has met. `settle` of the table has to follow.
    pub(super) fn enter(
        &mut self,
        sessions: &mut SessionTable<Aggregates>,
        rows: &Changes,
        met: EventTime,
        cx: &mut Context,
    ) -> Result<(RecordBatch, &[u32])> {
        if rows.kinds().is_some() {
            return Err(Error::bug("sessions met rows that are taken back"));
        }
        let input = &self.input;
        let present = without_future(rows, input.watermark, &self.late, &input.late_columns, &input.operator, cx)?;
        let batch = present.as_ref().unwrap_or(rows).batch();
        let keys: Vec<ArrayRef> = input.keys.iter().map(|key| batch.column(*key).clone()).collect();
        let times = timestamps(batch.column(input.time), input.columns.field(input.time))?;
        let met_of_splits = integers(batch.column(input.watermark))?;
        check(input, times)?;
        sessions.assign(&keys, batch.num_rows(), &mut self.key_slots)?;
        self.slots.clear();
        self.reached.clear();
        self.refused.clear();
        let (times, reached) = (self.local_time.shown(times), self.local_time.reached_by(met_of_splits));
        let reached_here = self.local_time.reached(met);
        for (row, ((key, time), reached)) in self.key_slots.iter().zip(&*times).zip(&*reached).enumerate() {
            let reached = reached_here.max(*reached);
            match sessions.enter(*key, *time, reached) {
                Some(slot) => {
                    self.slots.push(slot);
                    self.reached.push(reached);
                }
                None => {
                    let (start, end) = (*time, time + input.gap_ms);
                    let (met, met_of_split) = (met.0.max(met_of_splits[row]), met_of_splits[row]);
                    self.refused.push(Refused { row: row as u32, met, met_of_split, start, end, lateness_ms: 0 });
                }
            }
        }
        cx.count(Counter::WindowPairsAssigned, batch.num_rows());
        cx.count(Counter::WindowPairsLate, self.refused.len());
        cx.count(Counter::WindowPairsCounted, self.slots.len());
        if self.refused.is_empty() {
            return Ok((batch.clone(), &self.slots));
        }
        let unused: Vec<u32> = self.refused.iter().map(|late| self.key_slots[late.row as usize]).collect();
        sessions.forget(&unused);
        let (columns, operator) = (&input.late_columns, &input.operator);
        refuse(&self.late, batch, columns, operator, &self.refused, &mut self.local_time, cx)?;
        Ok((filter_record_batch(batch, &kept(&self.refused, batch.num_rows()))?, &self.slots))
    }
}

/// Refuses times at which the end of a session does not fit into 64 bits.
fn check(input: &SessionInput, times: &[i64]) -> Result<()> {
    let room = 2 * input.gap_ms;
    match times.iter().find(|time| !(i64::MIN + room..=i64::MAX - room).contains(*time)) {
        None => Ok(()),
        Some(time) => {
            let (column, time, gap) = (input.name(input.time), EventTime(*time), Milliseconds(input.gap_ms));
            Err(Error::data(format!("column {column}: {time} lies too far away for a session with a gap of {gap}")))
        }
    }
}
