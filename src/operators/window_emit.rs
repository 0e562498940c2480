//! Lets the partials of windows through when their windows are to give results: early, at their end, late.
//!
//! ```text
//!   rows of a window      before its end                at its end      behind it
//!                         early: at once, or after      all that is     late: at once, or after the
//!                         the delay, or not at all      left            delay, and when it closes
//! ```
//!
//! What waits is a state table, merged by key; it is bounded by the groups of the windows that are open, and by their rows
//! where order counts beside different values. A delay begins with the first row that waits, and what has come in it leaves
//! together, behind a restart as well.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{BooleanArray, Int64Array, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::aggregate::readable;
use super::local_time::LocalTime;
use super::two_phase::Split;
use super::window_assign::{in_zone, timestamps};
use super::{
    AggregateCall, Aggregates, BuildContext, Context, Emission, Flush, Operator, OperatorSpec, Progress, StateBound,
    WindowKind,
};
use crate::error::{Error, Result};
use crate::state::{
    DueTable, KEEP_UNTIL_COLUMN, SnapshotWriter, StateTable, TableSpec, TimedColumns, batch_of, integers,
};
use crate::stream::{Changes, EventTime, ProcTime, Zone};

/// When the results of windows leave.
#[derive(Debug, Clone)]
pub struct WindowEmitSpec {
    /// The columns that come in: those of `GroupLocal`, whose last key is the window's end.
    pub input: SchemaRef,
    /// How many leading columns are grouping columns, the window's end among them.
    pub keys: usize,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// Whether rows can be taken back.
    pub retract: bool,
    /// The windows.
    pub window: WindowKind,
    /// In which zone they lie.
    pub zone: Zone,
    /// When they give results.
    pub emission: Emission,
    /// What is computed over which rows, in terms of the columns of tables: a part of the signature.
    pub query: String,
}

impl OperatorSpec for WindowEmitSpec {
    fn name(&self) -> &'static str {
        "WindowEmit"
    }

    fn signature(&self) -> String {
        format!("WindowEmit({}{}: {})", self.window, in_zone(self.zone), self.query)
    }

    fn output(&self) -> SchemaRef {
        Arc::clone(&self.input)
    }

    fn bound(&self) -> StateBound {
        StateBound::Watermark
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        let split = Split::new(&self.calls, self.retract);
        let fields = self.input.fields();
        let unique = self.keys + split.value_fields().count();
        let (keys, states) = fields.split_at_checked(unique).ok_or_else(|| Error::bug("a partial without its keys"))?;
        let end = self.keys.checked_sub(1).ok_or_else(|| Error::bug("windows without their end"))?;
        let named = |key: &FieldRef| Arc::new(key.as_ref().clone().with_name(key.name().trim_start_matches('$')));
        let mut columns: Vec<FieldRef> = keys.iter().map(named).collect();
        // Partials of one value, merged, would lose their order among those of others.
        let is_ordered = unique > self.keys && self.calls.iter().any(|call| call.function.is_ordered());
        if is_ordered {
            columns.insert(self.keys, Arc::new(Field::new("arrival", DataType::Int64, false)));
        }
        let unique = columns.len();
        columns.extend(readable(states, &self.calls, &columns));
        columns.push(Arc::new(Field::new(KEEP_UNTIL_COLUMN, DataType::Int64, false)));
        let schema = Arc::new(Schema::new(columns));
        let states = TimedColumns::new(Aggregates::new(&split.partial_calls())?, true);
        let mut table = DueTable::new("held", Arc::clone(&schema), unique, self.keys, states)?;
        if is_ordered {
            table = table.in_order_of(self.keys);
        }
        let next_arrival = is_ordered.then_some(0);
        Ok(Box::new(WindowEmit {
            held: Held { table, schema, keys: self.keys, next_arrival, restored: None },
            schema: Arc::clone(&self.input),
            end,
            emission: self.emission,
            batch_rows: cx.batch_rows,
            local_time: LocalTime::new(self.zone),
            met: EventTime::NONE,
            done: EventTime::NONE,
            reached: i64::MIN,
            fired: i64::MIN,
            early: Wait::default(),
            late: Wait::default(),
        }))
    }
}

impl fmt::Display for WindowEmitSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WindowEmit(window=[{}]{}, emit=[{}])", self.window, in_zone(self.zone), self.emission)
    }
}

struct WindowEmit {
    held: Held,
    schema: SchemaRef,
    /// The column of the window's end.
    end: usize,
    emission: Emission,
    batch_rows: usize,
    local_time: LocalTime,
    /// The watermark that was met, and the one that was worked off.
    met: EventTime,
    done: EventTime,
    /// What local time has reached by the first, and up to where windows have given what they had.
    reached: i64,
    fired: i64,
    /// What waits before the end of its window, and what waits behind it.
    early: Wait,
    late: Wait,
}

/// The state table: partials with the time of the clock until which they wait. Where order counts among different values,
/// each is numbered behind its keys, and none is merged with another.
struct Held {
    table: DueTable<TimedColumns<Aggregates>>,
    schema: SchemaRef,
    /// Leading columns that are keys; the last is the window's end.
    keys: usize,
    /// The number of the partial that comes next, where they are numbered.
    next_arrival: Option<i64>,
    /// Of what was loaded and has not been told its watermark since: until when each window waits.
    restored: Option<BTreeMap<i64, i64>>,
}

impl Held {
    /// Adds partials that wait until the time in their place.
    fn add(&mut self, rows: &RecordBatch, until: Vec<i64>) -> Result<()> {
        let mut columns = rows.columns().to_vec();
        if let Some(next) = &mut self.next_arrival {
            let from = *next;
            *next += rows.num_rows() as i64;
            columns.insert(self.keys, Arc::new(Int64Array::from_iter_values(from..*next)));
        }
        columns.push(Arc::new(Int64Array::from(until)));
        self.table.add(&batch_of(&self.schema, columns, rows.num_rows())?)
    }

    /// Takes out some of the partials of windows that end within these times, about `rows`, as they came in.
    fn take(&mut self, ends: RangeInclusive<i64>, rows: usize, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        let Some(taken) = self.table.take(ends, rows)? else { return Ok(None) };
        let mut columns = taken.columns().to_vec();
        if self.next_arrival.is_some() {
            columns.remove(self.keys);
        }
        columns.truncate(schema.fields().len());
        batch_of(schema, columns, taken.num_rows()).map(Some)
    }
}

impl StateTable for Held {
    fn spec(&self) -> TableSpec {
        self.table.spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        self.table.save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        let mut restored = BTreeMap::new();
        let end = self.keys - 1;
        let (keys, next_arrival) = (self.keys, &mut self.next_arrival);
        let mut noted = rows.map(|batch| {
            let batch = batch?;
            if let Some(next) = next_arrival {
                let numbers = integers(batch.column(keys))?.iter();
                *next = numbers.fold(*next, |next, number| next.max(number + 1));
            }
            let ends = timestamps(batch.column(end), batch.schema_ref().field(end))?;
            for (end, until) in ends.iter().zip(integers(batch.column(batch.num_columns() - 1))?) {
                let known = restored.entry(*end).or_insert(*until);
                *known = (*known).min(*until);
            }
            Ok(batch)
        });
        self.table.load(&mut noted)?;
        self.restored = Some(restored);
        Ok(())
    }

    fn row_count(&self) -> usize {
        self.table.row_count()
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}

/// What waits for the watermark alone waits until then.
const NO_TIME: i64 = i64::MAX - 1;

/// Rows that wait for the clock.
#[derive(Debug, Default, Clone, Copy)]
struct Wait {
    until: Option<ProcTime>,
    /// Their time has come, and some have not left.
    is_over: bool,
}

impl Wait {
    /// Begins to wait where there is a delay, unless something waits already; until when.
    fn begin(&mut self, now: ProcTime, delay_ms: Option<i64>) -> i64 {
        match delay_ms {
            Some(delay_ms) => self.until.get_or_insert(ProcTime(now.0.saturating_add(delay_ms))).0,
            None => NO_TIME,
        }
    }

    /// Goes on waiting behind a restart for what `until` says, the first of it.
    fn go_on(&mut self, until: impl Iterator<Item = i64>) {
        self.until = until.min().filter(|until| *until < NO_TIME).map(ProcTime);
    }

    fn tick(&mut self, now: ProcTime) {
        if self.until.is_some_and(|until| until <= now) {
            *self = Self { until: None, is_over: true };
        }
    }
}

impl Operator for WindowEmit {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let ends = timestamps(rows.column(self.end), self.schema.field(self.end))?;
        let is_late = |end: i64| end - 1 <= self.reached;
        let passes = |end: i64| match is_late(end) {
            // Where nothing is said of late rows there are none to wait for.
            true => self.emission.late_ms.is_none_or(|delay| delay == 0),
            false => self.emission.early_ms == Some(0),
        };
        let pass = BooleanBuffer::collect_bool(ends.len(), |row| passes(ends[row]));
        if pass.count_set_bits() == rows.len() {
            cx.emit(rows);
            return Ok(Progress::Done);
        }
        let until = |end: &i64| match is_late(*end) {
            true => self.late.begin(cx.now, self.emission.late_ms),
            false => self.early.begin(cx.now, self.emission.early_ms),
        };
        let until = ends.iter().filter(|end| !passes(**end)).map(until).collect();
        let held = BooleanArray::new(!&pass, None);
        self.held.add(&filter_record_batch(rows.batch(), &held)?, until)?;
        if pass.count_set_bits() > 0 {
            cx.emit(rows.filter(&BooleanArray::new(pass, None))?);
        }
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        if let Some(restored) = self.held.restored.take() {
            (self.reached, self.done) = (self.local_time.reached(time), time);
            self.fired = self.reached;
            let open = self.reached.saturating_add(2);
            self.early.go_on(restored.range(open..).map(|(_, until)| *until));
            self.late.go_on(restored.range(..open).map(|(_, until)| *until));
        }
        self.met = self.met.max(time);
        self.reached = self.reached.max(self.local_time.reached(self.met));
        self.resume(cx)
    }

    fn resume(&mut self, cx: &mut Context) -> Result<Progress> {
        for due in self.due().into_iter().flatten() {
            while let Some(rows) = self.held.take(due.clone(), self.batch_rows, &self.schema)? {
                cx.emit(Changes::inserts(rows));
                if cx.is_full() {
                    return Ok(Progress::More);
                }
            }
        }
        (self.fired, self.done) = (self.reached, self.met);
        (self.early.is_over, self.late.is_over) = (false, false);
        // Where nothing waits any more, the next row begins to.
        let open = self.reached.saturating_add(2);
        if self.held.table.first_from(open).is_none() {
            self.early.until = None;
        }
        if self.held.table.first_from(i64::MIN).is_none_or(|end| end >= open) {
            self.late.until = None;
        }
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        self.done
    }

    fn on_tick(&mut self, cx: &mut Context) -> Result<Progress> {
        self.early.tick(cx.now);
        self.late.tick(cx.now);
        self.resume(cx)
    }

    fn next_tick(&self) -> Option<ProcTime> {
        [self.early.until, self.late.until].into_iter().flatten().min()
    }

    /// A fire that has begun ends before a barrier: its watermark says then what has left.
    fn flush(&mut self, why: Flush, cx: &mut Context) -> Result<Progress> {
        if why == Flush::All { self.resume(cx) } else { Ok(Progress::Done) }
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        vec![&mut self.held]
    }
}

impl WindowEmit {
    /// The ends of the windows of which all that waits is due.
    fn due(&mut self) -> [Option<RangeInclusive<i64>>; 3] {
        let open = self.reached.saturating_add(2);
        let waits_late = self.emission.late_ms.is_some_and(|delay| delay > 0) && !self.late.is_over;
        let (fired, closed) = match waits_late {
            false => (Some(i64::MIN..=open - 1), None),
            true => {
                let reached = self.local_time.reached(self.met);
                let closed = reached.saturating_sub(self.emission.lateness_ms).saturating_add(1);
                (Some(self.fired.saturating_add(2)..=open - 1), Some(i64::MIN..=closed))
            }
        };
        [fired, closed, self.early.is_over.then_some(open..=i64::MAX)]
    }
}
