//! The half of a window aggregation behind the exchange: partials meet, windows fire.
//!
//! A window fires when the watermark reaches its last millisecond; windows fire in the order of their ends, and those
//! without rows are silent. A slice counts in a window that holds its pane and ends at its `$open_from` or later.
//!
//! After a restore the first call of `on_watermark` brings the watermark that the task had met: it must come before
//! any rows (also when it is [`EventTime::NONE`]), and it emits nothing, for what it fires had been emitted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};

use super::aggregate::readable;
use super::batches::Batches;
use super::running_window::RunningWindow;
use super::{AggregateCall, Aggregates, Context, Operator, OperatorSpec, WindowKind};
use crate::error::{Error, Result};
use crate::state::{PaneTable, Slice, SnapshotWriter, StateTable, TableSpec, batch_of, cut_slices};
use crate::stream::{Changes, EventTime};

/// Window aggregation over partials.
#[derive(Debug, Clone)]
pub struct WindowAggregateSpec {
    /// The columns that come in: those of `WindowLocal`.
    pub input: SchemaRef,
    /// How many leading columns are grouping columns.
    pub keys: usize,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// The windows.
    pub window: WindowKind,
    /// What is computed over which rows, in terms of the columns of tables: a part of the signature.
    pub query: String,
    /// Keys, `window_start`, `window_end`, `window_time`, then a column per aggregate.
    pub output: SchemaRef,
}

impl OperatorSpec for WindowAggregateSpec {
    fn name(&self) -> &'static str {
        "GlobalWindowAggregate"
    }

    fn signature(&self) -> String {
        let types = types_text(&self.input, self.keys, &self.calls);
        format!("WindowAggregate({}, keys and results of types [{types}]: {})", self.window, self.query)
    }

    fn output(&self) -> SchemaRef {
        SchemaRef::clone(&self.output)
    }

    fn build(&self) -> Result<Box<dyn Operator>> {
        self.window.check()?;
        let fields = self.input.fields();
        let (keys, rest) = fields.split_at_checked(self.keys).ok_or_else(|| Error::bug("more keys than columns"))?;
        let (slice, states) = rest.split_at_checked(2).ok_or_else(|| Error::bug("a partial without its pane"))?;
        let slice = slice.iter().zip(SLICE_NAMES).map(|(field, name)| Arc::new(field.as_ref().clone().with_name(name)));
        let mut columns: Vec<FieldRef> = slice.chain(keys.iter().cloned()).collect();
        columns.extend(readable(states, &self.calls, &columns));
        let schema = Arc::new(Schema::new(columns));
        let types: Vec<DataType> = keys.iter().map(|field| field.data_type().clone()).collect();
        let calls = self.calls.clone();
        let panes = PaneTable::new("panes", schema, self.keys, move || Aggregates::new(&calls));
        let running = match self.window.windows_per_pane() {
            1 => None,
            _ => Some(RunningWindow::new(self.window, &types, &self.calls)?),
        };
        Ok(Box::new(WindowAggregate {
            keys: self.keys,
            window: self.window,
            state: State { panes, loaded: false, running_bytes: 0 },
            running,
            counted: BTreeMap::new(),
            time: i64::MIN,
            out: Batches::new(Arc::clone(&self.output)),
            output: Arc::clone(&self.output),
        }))
    }
}

impl fmt::Display for WindowAggregateSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("GlobalWindowAggregate(")?;
        if self.keys > 0 {
            let keys: Vec<&str> = self.input.fields().iter().take(self.keys).map(|key| key.name().as_str()).collect();
            write!(out, "groupBy=[{}], ", keys.join(", "))?;
        }
        write!(out, "window=[{}], select=[{}])", self.window, global_texts(&self.calls))
    }
}

/// A slice in the files of the state table: where its pane starts, and the end of the first window that counts it.
const SLICE_NAMES: [&str; 2] = ["pane_start", "counted_from"];

/// The aggregates as EXPLAIN shows them behind the exchange.
pub(super) fn global_texts(calls: &[AggregateCall]) -> String {
    let text =
        |(index, call): (usize, &AggregateCall)| format!("{}(${index}) AS {}", call.function, call.output.name());
    calls.iter().enumerate().map(text).collect::<Vec<_>>().join(", ")
}

/// The types of keys and aggregates, for a signature.
pub(super) fn types_text(partial: &Schema, keys: usize, calls: &[AggregateCall]) -> String {
    let keys = partial.fields().iter().take(keys).map(|key| key.data_type().to_string());
    let calls = calls.iter().map(|call| format!("{}({}) {}", call.function, call.input_type, call.output.data_type()));
    keys.chain(calls).collect::<Vec<_>>().join(", ")
}

struct WindowAggregate {
    keys: usize,
    window: WindowKind,
    state: State,
    /// The content of the window that moves on, for HOP.
    running: Option<RunningWindow>,
    /// The slices that the moving window counts, by pane.
    counted: BTreeMap<i64, Vec<Slice>>,
    /// The watermark that was met.
    time: i64,
    out: Batches,
    output: SchemaRef,
}

/// The state table, and whether it was loaded and has not been told its watermark since.
struct State {
    panes: PaneTable<Aggregates>,
    loaded: bool,
    running_bytes: usize,
}

impl StateTable for State {
    fn spec(&self) -> TableSpec {
        self.panes.spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        self.panes.save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        self.loaded = true;
        self.panes.load(rows)
    }

    fn bytes(&self) -> usize {
        self.panes.bytes() + self.running_bytes
    }
}

impl Operator for WindowAggregate {
    fn on_rows(&mut self, _: usize, rows: Changes, _: &mut Context) -> Result<()> {
        self.state.loaded = false;
        let batch = rows.batch();
        for (slice, piece) in cut_slices(batch, self.keys, self.keys + 1)? {
            // Rows were judged by a watermark that is not behind this operator's, and leave the task that judged them
            // before the watermark that closes their window.
            if slice.open_from.saturating_sub(1) <= self.time {
                return Err(Error::bug(format!(
                    "rows for the window that ends at {} came behind its watermark {}",
                    EventTime(slice.open_from),
                    EventTime(self.time)
                )));
            }
            let (keys, states) = (&piece.columns()[..self.keys], &piece.columns()[self.keys + 2..]);
            self.state.panes.add(slice, keys, states, piece.num_rows())?;
        }
        self.state.panes.tidy()
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<EventTime> {
        let restored = std::mem::take(&mut self.state.loaded);
        if time.0 <= self.time {
            return Ok(time);
        }
        match self.running {
            None => self.fire_tumbling(time.0, restored, cx)?,
            Some(_) => self.fire_hopping(time.0, restored, cx)?,
        }
        self.time = time.0;
        self.state.running_bytes = self.running.as_ref().map_or(0, RunningWindow::bytes);
        self.state.panes.retire(EventTime(self.window.first_open_pane(time.0)));
        self.out.finish(cx)?;
        Ok(time)
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        vec![&mut self.state]
    }
}

impl WindowAggregate {
    /// Each slice is a window.
    fn fire_tumbling(&mut self, time: i64, restored: bool, cx: &mut Context) -> Result<()> {
        while let Some(slice) = self.state.panes.first_from(i64::MIN).filter(|slice| slice.open_from - 1 <= time) {
            let Some(mut table) = self.state.panes.take(slice)? else { break };
            if !restored {
                let rows = table.len();
                let results = table.columns.evaluate(None)?;
                let keys = table.index.take()?;
                self.emit(slice.open_from, keys, results, rows, cx)?;
                crate::state::SlotColumns::take(&mut table.columns)?;
            }
            self.state.panes.recycle(table)?;
        }
        Ok(())
    }

    /// The window moves on from end to end.
    fn fire_hopping(&mut self, time: i64, restored: bool, cx: &mut Context) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let slide = self.window.slide_ms();
        let mut next = self.window.first_open_end(self.time);
        loop {
            if running.is_empty() {
                // Windows without rows are passed over.
                match self.state.panes.first_from(next) {
                    Some(slice) => next = slice.open_from,
                    None => break,
                }
            }
            if next - 1 > time {
                break;
            }
            for slice in self.state.panes.range(next, next) {
                running.enter(slice.pane, self.state.panes.sealed(slice)?)?;
                self.counted.entry(slice.pane).or_default().push(slice);
            }
            if !restored {
                let (keys, results, rows) = running.evaluate(next)?;
                self.emit(next, keys, results, rows, cx)?;
            }
            next += slide;
            for pane in running.leave_before(next - self.window.size_ms())? {
                for slice in self.counted.remove(&pane).into_iter().flatten() {
                    self.state.panes.drop_slice(slice);
                }
            }
        }
        self.running = Some(running);
        Ok(())
    }

    fn emit(
        &mut self,
        end: i64,
        mut columns: Vec<ArrayRef>,
        results: Vec<ArrayRef>,
        rows: usize,
        cx: &mut Context,
    ) -> Result<()> {
        for (index, time) in [end - self.window.size_ms(), end, end - 1].into_iter().enumerate() {
            let data_type = self.output.field(self.keys + index).data_type().clone();
            columns.push(Arc::new(TimestampMillisecondArray::from_value(time, rows).with_data_type(data_type)));
        }
        columns.extend(results);
        self.out.push(batch_of(&self.output, columns, rows)?, cx)
    }
}
