//! Sessions without an aggregation: each row leaves with the bounds of its session when that is closed.
//!
//! Which rows are in a session is known only then, so all are kept: in `rows`, by key and time, and the bounds of their
//! sessions in `sessions`. Times of one session of a key lie between those of its others, so that its rows are a stretch.
//! A row that has left is deleted, a session when all of its rows have: a barrier may pass at any time, and what remains
//! follows after a restore, at any parallelism.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::compute::{SortOptions, filter_record_batch, take_arrays};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::batches::Batches;
use super::fire_progress::{FireProgress, Position};
use super::session_input::{SessionEntry, SessionInput};
use super::window_assign::timestamps;
use super::{Aggregates, BuildContext, Context, Flush, Milliseconds, Operator, OperatorSpec, Progress, StateBound};
use crate::error::{Error, Result};
use crate::state::{
    BagScan, BagTable, SESSION_COLUMNS, ScanBudget, ScanDirection, Scanned, SessionTable, StateTable, batch_of,
    integers,
};
use crate::stream::{Changes, EventTime};

/// Encoded bytes of rows that are looked for in one step.
const STEP_BYTES: usize = 1 << 20;

/// Rows with the bounds of their sessions.
#[derive(Debug, Clone)]
pub struct SessionRowsSpec {
    /// The rows that come in.
    pub rows: SessionInput,
    /// The columns that leave before the bounds, by index into the input. The hidden watermark, if it is one, says that
    /// no row that leaves is late for what follows.
    pub kept: Vec<usize>,
    /// What the rows are, in terms of the columns of tables: a part of the signature.
    pub query: String,
    /// The columns that are kept, `window_start`, `window_end`, `window_time`.
    pub output: SchemaRef,
}

impl SessionRowsSpec {
    /// The columns that are kept besides keys and time.
    fn values(&self) -> Vec<usize> {
        let rows = &self.rows;
        let is_value = |index: &usize| !rows.keys.contains(index) && *index != rows.time && *index != rows.watermark;
        self.kept.iter().copied().filter(is_value).collect()
    }
}

impl OperatorSpec for SessionRowsSpec {
    fn name(&self) -> &'static str {
        "SessionRows"
    }

    fn signature(&self) -> String {
        let types = self.output.fields().iter().map(|field| field.data_type().to_string());
        let (gap, types) = (Milliseconds(self.rows.gap_ms), types.collect::<Vec<_>>().join(", "));
        format!("SessionRows(gap=[{gap}], columns of types [{types}]: {})", self.query)
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
        let (keys, values) = (self.rows.keys.len(), self.values());
        let field = |index: &usize| Arc::clone(&self.rows.columns.fields()[*index]);
        let of_keys: Vec<FieldRef> = self.rows.keys.iter().map(field).collect();
        let number = |name: &str| Arc::new(Field::new(name, DataType::Int64, false));
        let bounds = SESSION_COLUMNS.map(number);
        let of_sessions = Arc::new(Schema::new(of_keys.iter().cloned().chain(bounds).collect::<Vec<_>>()));
        let mut of_rows = of_keys;
        of_rows.push(field(&self.rows.time));
        of_rows.extend(values.iter().map(field));
        let unique = |name: &str, fields: &[FieldRef]| {
            let mut name = name.to_owned();
            while fields.iter().any(|field| *field.name() == name) {
                name.push('_');
            }
            number(&name)
        };
        of_rows.insert(keys + 1, unique("met", &of_rows));
        of_rows.push(unique("weight", &of_rows));
        let order = vec![SortOptions::default(); 2 + values.len()];
        Ok(Box::new(SessionRows {
            sessions: SessionTable::new("sessions", of_sessions, keys, self.rows.gap_ms, Aggregates::new(&[])?)?,
            rows: BagTable::new("rows", Arc::new(Schema::new(of_rows)), keys, &order)?,
            progress: FireProgress::new(cx.key_groups.clone(), cx.max_parallelism, keys > 0),
            entry: SessionEntry::new(self.rows.clone()),
            out: Batches::new(Arc::clone(&self.output), cx.batch_rows),
            batch_rows: cx.batch_rows,
            leaving: None,
            key_slots: Vec::new(),
            spec: self.clone(),
            values,
            is_new: true,
            met: EventTime::NONE,
            done: EventTime::NONE,
        }))
    }
}

impl fmt::Display for SessionRowsSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept: Vec<&str> = self.kept.iter().map(|index| self.rows.name(*index)).collect();
        write!(out, "SessionRows({}, select=[{}])", self.rows.text(), kept.join(", "))
    }
}

struct SessionRows {
    spec: SessionRowsSpec,
    /// The columns that are kept besides keys, time and what local time had reached for the row, by index into the input.
    values: Vec<usize>,
    sessions: SessionTable<Aggregates>,
    rows: BagTable,
    /// Holds something only for a barrier while sessions leave.
    progress: FireProgress,
    entry: SessionEntry,
    out: Batches,
    batch_rows: usize,
    /// The sessions whose rows are being looked for.
    leaving: Option<Leaving>,
    key_slots: Vec<u32>,
    /// Whether no watermark has come yet.
    is_new: bool,
    /// The watermark that was met: the aim.
    met: EventTime,
    /// The sessions that this watermark closes have been emitted.
    done: EventTime,
}

/// Closed sessions, each of another key.
struct Leaving {
    slots: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    /// The last millisecond of each, as an instant.
    times: Vec<i64>,
    scan: BagScan,
}

impl Operator for SessionRows {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let (on_time, _) = self.entry.enter(&mut self.sessions, &rows, self.met, cx)?;
        self.sessions.settle()?;
        let column = |index: &usize| Arc::clone(on_time.column(*index));
        let keys: Vec<ArrayRef> = self.spec.rows.keys.iter().map(column).collect();
        let mut values: Vec<ArrayRef> = [self.spec.rows.time].iter().chain(&self.values).map(column).collect();
        values.insert(1, Arc::new(Int64Array::from(self.entry.reached.clone())));
        self.add(&keys, &values, &vec![1; on_time.num_rows()])?;
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        if std::mem::take(&mut self.is_new) {
            self.met = time;
            // What had left before a restart is not in the tables any more.
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
        match progress {
            Progress::Done => {
                self.done = self.met;
                self.progress.finish();
            }
            Progress::More => self.progress.reach(Position { end: self.met.0, through: None }, self.done.0),
        }
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
        vec![&mut self.sessions, &mut self.rows, &mut self.progress]
    }
}

impl SessionRows {
    /// Adds rows to those that are kept, or takes them away.
    fn add(&mut self, keys: &[ArrayRef], rows: &[ArrayRef], weights: &[i64]) -> Result<()> {
        self.rows.assign(keys, weights.len(), &mut self.key_slots)?;
        self.rows.add(&self.key_slots, rows, weights)?;
        self.rows.release(&self.key_slots);
        Ok(())
    }

    /// Puts rows of closed sessions out as far as there is room.
    fn fire(&mut self, cx: &mut Context) -> Result<Progress> {
        if self.out.drain(cx) == Progress::More {
            return Ok(Progress::More);
        }
        loop {
            let Some(mut leaving) = self.leaving.take().map_or_else(|| self.next(), |leaving| Ok(Some(leaving)))?
            else {
                return self.out.finish(cx);
            };
            let budget = ScanBudget { rows: self.batch_rows, bytes: STEP_BYTES };
            let found = self.rows.scan(&mut leaving.scan, budget)?;
            let rows = self.take(found, &leaving)?;
            match leaving.scan.is_done() {
                true => self.sessions.remove(&leaving.slots)?,
                false => self.leaving = Some(leaving),
            }
            if self.out.push(rows, cx)? == Progress::More || cx.is_full() {
                return Ok(Progress::More);
            }
        }
    }

    /// The next closed sessions. Of a key there is one among them: the others come later, as they lie behind it.
    fn next(&mut self) -> Result<Option<Leaving>> {
        let slots = self.sessions.closed(self.entry.local_time.reached(self.met), self.batch_rows);
        if slots.is_empty() {
            return Ok(None);
        }
        let slots = self.sessions.first_of_each_key(slots);
        let (keys, starts, ends) = self.sessions.gather(&slots)?;
        let times = ends.iter().map(|end| self.entry.local_time.instant(end - 1)).collect();
        let scan = BagScan::new(keys, slots.len(), ScanDirection::Forward);
        Ok(Some(Leaving { slots, starts, ends, times, scan }))
    }

    /// Rows that were found, with their bounds, as far as they belong to the sessions; they are kept no longer.
    fn take(&mut self, found: Scanned, leaving: &Leaving) -> Result<RecordBatch> {
        let keys = self.spec.rows.keys.len();
        let times = timestamps(found.rows.column(keys), self.spec.rows.columns.field(self.spec.rows.time))?;
        let times = self.entry.local_time.shown(times);
        let met = integers(found.rows.column(keys + 1))?;
        // A row that came when the session was closed to it is of a later one, though that begin as early.
        let is_of = |row: usize| {
            let end = leaving.ends[found.ranges[row] as usize];
            times[row] <= end - self.spec.rows.gap_ms && met[row] < end - 1
        };
        let belongs: Vec<bool> = (0..times.len()).map(is_of).collect();
        let ranges = found.ranges.iter().zip(&belongs).filter(|(_, belongs)| **belongs).map(|(range, _)| *range);
        let ranges: Vec<u32> = ranges.collect();
        let rows = filter_record_batch(&found.rows, &BooleanArray::from(belongs))?;
        let weights = integers(rows.column(rows.num_columns() - 1))?.to_vec();
        let gone: Vec<i64> = weights.iter().map(|weight| -weight).collect();
        self.add(&rows.columns()[..keys], &rows.columns()[keys..rows.num_columns() - 1], &gone)?;

        // A row that came several times leaves as often.
        let each = (0..weights.len() as u32).zip(&weights);
        let each: Vec<u32> = each.flat_map(|(row, weight)| std::iter::repeat_n(row, *weight as usize)).collect();
        let of_session = |bounds: &[i64], row: &u32| bounds[ranges[*row as usize] as usize];
        let first_bound = self.spec.output.fields().len() - 3;
        let bounds = |index: usize, of: &[i64]| -> ArrayRef {
            let data_type = self.spec.output.field(first_bound + index).data_type().clone();
            let values = TimestampMillisecondArray::from_iter_values(each.iter().map(|row| of_session(of, row)));
            Arc::new(values.with_data_type(data_type))
        };
        let bounds = [bounds(0, &leaving.starts), bounds(1, &leaving.ends), bounds(2, &leaving.times)];
        let taken = take_arrays(rows.columns(), &UInt32Array::from(each.clone()), None)?;
        let spec = &self.spec.rows;
        let place = |index: &usize| match spec.keys.iter().position(|key| key == index) {
            Some(key) => Some(key),
            None if *index == spec.time => Some(keys),
            None => self.values.iter().position(|value| value == index).map(|value| keys + 2 + value),
        };
        let mut columns: Vec<ArrayRef> = Vec::new();
        for index in &self.spec.kept {
            columns.push(match place(index) {
                Some(place) => Arc::clone(&taken[place]),
                None if *index == spec.watermark => Arc::new(Int64Array::from_value(i64::MIN, each.len())),
                None => return Err(Error::bug("a column of a session that is not kept")),
            });
        }
        columns.extend(bounds);
        batch_of(&self.spec.output, columns, each.len())
    }
}
