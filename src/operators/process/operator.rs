//! The operator that calls a function: rows by batch, and the timers that the watermark has reached.
//!
//! Rows leave as the function gives them. Those that the output has no room for wait, and leave before a barrier goes on;
//! so do rows that wait behind a watermark, whose timers are then worked off first. What is kept is what the function keeps:
//! its states, and the timers that are not due.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::output::Layout;
use super::timers::{CLOCK_TIMERS, TIMERS, Timers};
use super::value_state::ProcessState;
use super::{KeyedRows, Opening, ProcessFactory, ProcessFunction, ProcessOutput};
use crate::error::{Error, Result};
use crate::expressions::type_name;
use crate::operators::batches::Batches;
use crate::operators::late::{Refused, kept, late_schema, refuse, without_future};
use crate::operators::local_time::LocalTime;
use crate::operators::window_assign::timestamps;
use crate::operators::{BuildContext, Context, Flush, Operator, OperatorSpec, Progress, StateBound};
use crate::state::{KeyIndex, StateTable, batch_of, integers};
use crate::stream::{Changes, EventTime, ProcTime, Zone};

/// `f(input => TABLE t PARTITION BY k)`.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    pub function: ProcessFactory,
    /// The columns that come in: those that the query can name, then hidden ones.
    pub input: SchemaRef,
    /// How many of them the function is shown.
    pub shown: usize,
    /// Those of PARTITION BY, by index.
    pub keys: Vec<usize>,
    /// The one that `on_time` names, and the hidden one of the watermark that each row met.
    pub on_time: Option<usize>,
    pub watermark: Option<usize>,
    /// The columns of a late row, by index, if the function refuses late rows.
    pub late_columns: Option<Vec<usize>>,
    /// What is computed over which rows, in terms of the columns of tables: a part of the signature.
    pub query: String,
    /// Keys, the columns of the function, the time and the watermark if there is one.
    pub output: SchemaRef,
}

/// The columns and the state tables of a copy that meets no rows.
pub struct Opened {
    pub columns: Vec<Field>,
    /// `name TYPE` of each state.
    pub states: Vec<String>,
    pub refuses_late: bool,
}

impl ProcessFactory {
    /// Asks the function for its columns over an input, whose key columns are `keys`.
    pub fn open(&self, input: &Schema, keys: &[usize]) -> Result<Opened> {
        let mut opening = Opening::new(input, fields(input, keys));
        let columns = self.make().open(&mut opening)?;
        let state = |table: &dyn ProcessState| {
            let spec = table.spec();
            let own = spec.schema.fields().iter().skip(keys.len());
            let types: Vec<String> = own.map(|field| type_name(field.data_type())).collect();
            format!("{} {}", spec.name, types.join(" TO "))
        };
        // A function may leave out what it likes, as Flink's may.
        let columns = columns.into_iter().map(|field| field.with_nullable(true)).collect();
        let states = opening.tables.iter().map(|table| state(table.as_ref())).collect();
        Ok(Opened { columns, states, refuses_late: opening.refuses_late })
    }
}

fn fields(input: &Schema, columns: &[usize]) -> Vec<Field> {
    columns.iter().map(|column| input.field(*column).clone()).collect()
}

impl ProcessSpec {
    fn shown(&self) -> Result<Schema> {
        Ok(self.input.project(&(0..self.shown).collect::<Vec<_>>())?)
    }
}

impl OperatorSpec for ProcessSpec {
    fn name(&self) -> &'static str {
        "Process"
    }

    fn signature(&self) -> String {
        let states = self.shown().and_then(|shown| self.function.open(&shown, &self.keys));
        let states = states.map_or_else(|_| String::new(), |opened| opened.states.join(", "));
        format!("Process(states [{states}]: {})", self.query)
    }

    fn output(&self) -> SchemaRef {
        SchemaRef::clone(&self.output)
    }

    fn late(&self) -> Option<SchemaRef> {
        self.late_columns.as_ref().map(|columns| late_schema(&self.input, columns))
    }

    fn bound(&self) -> StateBound {
        StateBound::Program
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        let shown = Arc::new(self.shown()?);
        let key_fields = fields(&self.input, &self.keys);
        let mut function = self.function.make();
        let mut opening = Opening::new(&shown, key_fields.clone());
        let columns = function.open(&mut opening)?;
        let tables = opening.tables;
        let types: Vec<_> = key_fields.iter().map(|key| key.data_type().clone()).collect();
        let layout = Layout {
            schema: Arc::clone(&self.output),
            columns,
            has_time: self.on_time.is_some(),
            has_watermark: self.watermark.is_some(),
        };
        Ok(Box::new(Process {
            timers: Timers::new(TIMERS, &key_fields, cx.batch_rows)?,
            clock_timers: Timers::new(CLOCK_TIMERS, &key_fields, cx.batch_rows)?,
            clock: ProcTime(i64::MIN),
            sweep_at: None,
            is_sweeping: false,
            key_schema: Arc::new(Schema::new(key_fields)),
            index: KeyIndex::new(&types)?,
            late: self.late(),
            local_time: LocalTime::new(Zone::UTC),
            spec: self.clone(),
            function,
            tables,
            layout,
            shown,
            batch_rows: cx.batch_rows.max(1),
            waiting: VecDeque::new(),
            out: Batches::new(Arc::clone(&self.output), cx.batch_rows),
            met: EventTime::NONE,
            done: EventTime::NONE,
        }))
    }
}

/// `Process(function=[f], partitionBy=[k], select=[k, n])`
impl fmt::Display for ProcessSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |column: &usize| self.input.field(*column).name().as_str();
        let keys: Vec<&str> = self.keys.iter().map(name).collect();
        write!(out, "Process(function=[{}], partitionBy=[{}]", self.function.name, keys.join(", "))?;
        if let Some(time) = &self.on_time {
            write!(out, ", onTime=[{}]", name(time))?;
        }
        let shown = self.output.fields().len() - usize::from(self.watermark.is_some());
        let names: Vec<&str> = self.output.fields().iter().take(shown).map(|field| field.name().as_str()).collect();
        write!(out, ", select=[{}])", names.join(", "))
    }
}

struct Process {
    spec: ProcessSpec,
    function: Box<dyn ProcessFunction>,
    tables: Vec<Box<dyn ProcessState>>,
    timers: Timers,
    clock_timers: Timers,
    /// What the clock showed when its timers were last due.
    clock: ProcTime,
    /// When to look for what is to be forgotten, and whether that is under way.
    sweep_at: Option<ProcTime>,
    is_sweeping: bool,
    layout: Layout,
    /// The columns of late rows, if they are refused.
    late: Option<SchemaRef>,
    local_time: LocalTime,
    /// The columns that the function is shown of rows, and of timers.
    shown: Arc<Schema>,
    key_schema: SchemaRef,
    /// Gives the keys of a call their numbers; empty between calls.
    index: KeyIndex,
    batch_rows: usize,
    /// What came and has not been worked on, in order.
    waiting: VecDeque<Item>,
    /// What has not left.
    out: Batches,
    /// The watermark whose timers fire, and the one whose timers have fired.
    met: EventTime,
    done: EventTime,
}

enum Item {
    Rows(RecordBatch),
    Watermark(EventTime),
}

impl Operator for Process {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        if rows.kinds().is_some() {
            return Err(Error::bug("a process function met rows that are taken back"));
        }
        for piece in rows.pieces(self.batch_rows) {
            self.waiting.push_back(Item::Rows(piece.into_batch()));
        }
        self.resume(cx)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        self.waiting.push_back(Item::Watermark(time));
        self.resume(cx)
    }

    fn resume(&mut self, cx: &mut Context) -> Result<Progress> {
        loop {
            if self.out.finish(cx)? == Progress::More {
                return Ok(Progress::More);
            }
            if self.fire(cx)? {
                continue;
            }
            self.done = self.met;
            if self.is_sweeping {
                self.is_sweeping = false;
                for table in &mut self.tables {
                    self.is_sweeping |= table.sweep(cx.now)?;
                }
                if self.is_sweeping {
                    return Ok(Progress::More);
                }
            }
            if self.sweep_at.is_none() {
                self.sweep_at = self.tables.iter().filter_map(|table| table.next_sweep(cx.now)).min();
            }
            match self.waiting.pop_front() {
                None => return Ok(Progress::Done),
                Some(Item::Watermark(time)) => self.met = self.met.max(time),
                Some(Item::Rows(rows)) => {
                    let rows = self.on_time(rows, cx)?;
                    if rows.num_rows() > 0 {
                        self.process(&rows, cx)?;
                    }
                }
            }
        }
    }

    fn watermark(&self) -> EventTime {
        self.done
    }

    fn on_tick(&mut self, cx: &mut Context) -> Result<Progress> {
        self.clock = cx.now;
        if self.sweep_at.is_some_and(|at| at <= cx.now) {
            (self.sweep_at, self.is_sweeping) = (None, true);
        }
        self.resume(cx)
    }

    fn next_tick(&self) -> Option<ProcTime> {
        self.clock_timers.earliest().map(ProcTime).into_iter().chain(self.sweep_at).min()
    }

    fn flush(&mut self, _: Flush, cx: &mut Context) -> Result<Progress> {
        let rows_wait = self.waiting.iter().any(|item| matches!(item, Item::Rows(_)));
        if rows_wait { self.resume(cx) } else { self.out.finish(cx) }
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        let mut tables: Vec<&mut dyn StateTable> = vec![&mut self.timers.table, &mut self.clock_timers.table];
        tables.extend(self.tables.iter_mut().map(|table| table.as_mut() as &mut dyn StateTable));
        tables
    }

    fn held_bytes(&self) -> usize {
        let waiting = self.waiting.iter().map(|item| match item {
            Item::Rows(rows) => crate::stream::batch_bytes(rows),
            Item::Watermark(_) => 0,
        });
        waiting.sum::<usize>() + self.out.bytes()
    }
}

impl Process {
    /// The rows that are not late; the others leave on the late output. A row is late where the watermark that it met, or that
    /// of the operator, has come to its time.
    fn on_time(&mut self, batch: RecordBatch, cx: &mut Context) -> Result<RecordBatch> {
        let spec = &self.spec;
        let (Some(schema), Some(columns)) = (&self.late, &spec.late_columns) else { return Ok(batch) };
        let (Some(time), Some(watermark)) = (spec.on_time, spec.watermark) else { return Ok(batch) };
        let rows = Changes::inserts(batch);
        let rows = without_future(&rows, watermark, schema, columns, spec.name(), cx)?.unwrap_or(rows);
        let times = timestamps(rows.column(time), spec.input.field(time))?;
        let met_of_splits = integers(rows.column(watermark))?;
        let mut refused = Vec::new();
        for (row, (time, met_of_split)) in times.iter().zip(met_of_splits).enumerate() {
            let met = self.met.0.max(*met_of_split);
            if *time <= met {
                // What would have held it is its own millisecond.
                let (start, end) = (*time, time.saturating_add(1));
                refused.push(Refused { row: row as u32, met, met_of_split: *met_of_split, start, end, lateness_ms: 0 });
            }
        }
        if refused.is_empty() {
            return Ok(rows.into_batch());
        }
        refuse(schema, rows.batch(), columns, spec.name(), &refused, &mut self.local_time, cx)?;
        Ok(rows.filter(&kept(&refused, rows.len()))?.into_batch())
    }

    fn process(&mut self, batch: &RecordBatch, cx: &mut Context) -> Result<()> {
        let spec = &self.spec;
        let keys: Vec<ArrayRef> = spec.keys.iter().map(|key| Arc::clone(batch.column(*key))).collect();
        let times = match spec.on_time {
            Some(time) => timestamps(batch.column(time), spec.input.field(time))?.to_vec(),
            None => Vec::new(),
        };
        let met = spec.watermark.map(|watermark| Arc::clone(batch.column(watermark)));
        let shown = batch.columns()[..spec.shown].to_vec();
        let shown = batch_of(&self.shown, shown, batch.num_rows())?;
        self.call(Call::Rows { met }, shown, keys, times, cx)
    }

    /// Lets some timers fire; whether there were any.
    fn fire(&mut self, cx: &mut Context) -> Result<bool> {
        let due = match self.met {
            EventTime::NONE => None,
            met => self.timers.take_due(met.0)?.map(|due| (Call::Timers, due)),
        };
        let due = match due {
            None => self.clock_timers.take_due(self.clock.0)?.map(|due| (Call::TickTimers, due)),
            due => due,
        };
        let Some((call, (times, keys))) = due else { return Ok(false) };
        let batch = batch_of(&self.key_schema, keys.clone(), times.len())?;
        self.call(call, batch, keys, times, cx)?;
        Ok(true)
    }

    fn call(
        &mut self,
        call: Call,
        batch: RecordBatch,
        keys: Vec<ArrayRef>,
        times: Vec<i64>,
        cx: &mut Context,
    ) -> Result<()> {
        let rows = KeyedRows::new(batch, &keys, times, &mut self.index, self.met, cx.now)?;
        // What a timer sets fires with this watermark yet, if it reaches that.
        let passed = if let Call::Timers = call { EventTime::NONE } else { self.met };
        let (has_times, met) = match &call {
            Call::Rows { met } => (true, met.clone()),
            Call::Timers => (true, None),
            Call::TickTimers => (false, None),
        };
        let mut out = ProcessOutput::new(&self.layout, keys, met, has_times);
        match call {
            Call::Rows { .. } => self.function.process(&rows, &mut out)?,
            Call::Timers => self.function.on_timer(&rows, &mut out)?,
            Call::TickTimers => self.function.on_clock(&rows, &mut out)?,
        }
        let ProcessOutput { out, timers, clock_timers, .. } = out;
        self.timers.change(rows.key_columns(), timers, passed.0)?;
        self.clock_timers.change(rows.key_columns(), clock_timers, i64::MIN)?;
        for rows in out {
            // What it has no room for waits, which `resume` looks at next.
            let _ = self.out.push(rows, cx)?;
        }
        Ok(())
    }
}

/// What a function is called for.
enum Call {
    /// Rows, which have met these watermarks.
    Rows {
        met: Option<ArrayRef>,
    },
    Timers,
    TickTimers,
}
