//! The half of a window aggregation behind the exchange: partials meet, windows fire.
//!
//! A window fires when the watermark reaches its last millisecond; windows fire in the order of their ends, and those
//! without rows are silent. A slice counts in a window that holds its pane and ends at its `$open_from` or later.
//!
//! A window whose rows fit into the output leaves in one go. One that is larger leaves in the order of its keys' hash
//! ([`LargeWindow`]), and how far it has come stands in a state table of its own ([`FireProgress`]): a barrier may pass at
//! any time, and exactly the rows that had not been emitted follow after a restore, at any parallelism.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};

use super::aggregate::readable;
use super::batches::Batches;
use super::fire_progress::{FireProgress, Position};
use super::large_window::{Content, LargeWindow};
use super::local_time::LocalTime;
use super::running_window::{RunningWindow, Selection};
use super::two_phase::{global_texts, types_text};
use super::{
    AggregateCall, Aggregates, BuildContext, Context, Flush, Operator, OperatorSpec, OutputBudget, Progress,
    StateBound, WindowKind,
};
use crate::error::{Error, Result};
use crate::state::{PaneTable, Slice, SlotTable, SnapshotWriter, StateTable, TableSpec, batch_of, cut_slices};
use crate::stream::{Changes, EventTime, Zone};

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
    /// In which zone they lie.
    pub zone: Zone,
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

    fn bound(&self) -> StateBound {
        StateBound::Watermark
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
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
        let running = match self.window.most_windows_per_row() {
            1 => None,
            _ => Some(RunningWindow::new(self.window, &types, &self.calls)?),
        };
        Ok(Box::new(WindowAggregate {
            window: self.window,
            local_time: LocalTime::new(self.zone),
            calls: self.calls.clone(),
            state: State { panes, loaded: false, other_bytes: 0 },
            progress: FireProgress::new(cx.key_groups.clone(), cx.max_parallelism, self.keys > 0),
            running,
            counted: BTreeMap::new(),
            large: None,
            met: EventTime::NONE,
            passed: EventTime::NONE,
            reached: i64::MIN,
            fired: i64::MIN,
            done: i64::MIN,
            out: Batches::new(Arc::clone(&self.output), cx.batch_rows),
            output: Arc::clone(&self.output),
            budget: cx.output,
            batch_rows: cx.batch_rows,
            types,
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

/// Columns of a slice's batch before its keys.
const LEADING: usize = 2;

/// A slice in the files of the state table: where its pane starts, and the end of the first window that counts it.
const SLICE_NAMES: [&str; 2] = ["pane_start", "counted_from"];

/// Batches of a large window that leave in one step, which takes a few milliseconds: others wait for the core meanwhile, a
/// barrier among them.
const PIECES_PER_STEP: usize = 2;

struct WindowAggregate {
    window: WindowKind,
    types: Vec<DataType>,
    calls: Vec<AggregateCall>,
    state: State,
    progress: FireProgress,
    /// The content of the window that moves on, for HOP and CUMULATE.
    running: Option<RunningWindow>,
    /// The slices that the moving window counts, by pane.
    counted: BTreeMap<i64, Vec<Slice>>,
    /// The window that leaves piece by piece.
    large: Option<Large>,
    local_time: LocalTime,
    /// The watermark that was met, and the one that may be passed on.
    met: EventTime,
    passed: EventTime,
    /// What local time has reached: the aim.
    reached: i64,
    /// The windows that end so far have been put out.
    fired: i64,
    /// And these have been emitted.
    done: i64,
    out: Batches,
    output: SchemaRef,
    budget: OutputBudget,
    batch_rows: usize,
}

/// A window with more rows than fit into one output.
struct Large {
    end: i64,
    /// What TUMBLE lets go when all has been emitted.
    slice: Option<Slice>,
    rows: Selection,
    window: LargeWindow,
    is_prepared: bool,
    /// The hash of the last key that was put out.
    through: Option<u64>,
}

/// The state table, and whether it was loaded and has not been told its watermark since.
struct State {
    panes: PaneTable<Aggregates>,
    loaded: bool,
    /// Of the window that moves on, and of the one that leaves.
    other_bytes: usize,
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

    fn row_count(&self) -> usize {
        self.panes.row_count()
    }

    fn bytes(&self) -> usize {
        self.panes.bytes() + self.other_bytes
    }
}

impl Operator for WindowAggregate {
    fn on_rows(&mut self, _: usize, rows: Changes, _: &mut Context) -> Result<Progress> {
        self.state.loaded = false;
        let batch = rows.batch();
        let keys = self.types.len();
        for (slice, piece) in cut_slices(batch, keys, keys + 1)? {
            // Rows were judged by a watermark that is not behind this operator's, and leave the task that judged them
            // before the watermark that closes their window.
            if slice.open_from.saturating_sub(1) <= self.reached {
                return Err(Error::bug(format!(
                    "rows for the window that ends at {} came behind its watermark {}",
                    EventTime(slice.open_from),
                    self.met
                )));
            }
            let (keys, states) = (&piece.columns()[..keys], &piece.columns()[keys + 2..]);
            self.state.panes.add(slice, keys, states, piece.num_rows())?;
        }
        self.state.panes.tidy()?;
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        self.met = self.met.max(time);
        let reached = self.local_time.reached(time);
        if std::mem::take(&mut self.state.loaded) {
            self.restore(reached)?;
        }
        self.reached = self.reached.max(reached);
        let progress = self.resume(cx)?;
        self.pass();
        Ok(progress)
    }

    fn resume(&mut self, cx: &mut Context) -> Result<Progress> {
        if self.done >= self.reached {
            return Ok(Progress::Done);
        }
        let progress = self.fire(cx)?;
        self.note_progress();
        Ok(progress)
    }

    fn watermark(&self) -> EventTime {
        self.passed
    }

    fn flush(&mut self, _: Flush, cx: &mut Context) -> Result<Progress> {
        if self.done >= self.reached {
            return Ok(Progress::Done);
        }
        // What was put out counts as emitted in the state tables.
        let progress = self.out.finish(cx)?;
        self.note_progress();
        Ok(progress)
    }

    fn next_window(&mut self) -> Option<EventTime> {
        let first_open = self.window.first_open_end(self.fired);
        let end = match &self.running {
            Some(running) if !running.is_empty() => first_open,
            Some(_) => self.state.panes.first_from(first_open)?.open_from,
            None => self.state.panes.first_from(i64::MIN)?.open_from,
        };
        Some(EventTime(self.local_time.due(end - 1)))
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        vec![&mut self.state, &mut self.progress]
    }
}

impl WindowAggregate {
    /// Passes over what had been emitted before the restart, when local time had `reached` that.
    fn restore(&mut self, reached: i64) -> Result<()> {
        let (fired, done) = match self.progress.restore(reached) {
            None => (reached, reached),
            // The first window that is left over fires at its last millisecond.
            Some((end, passed_on)) => (end - 2, passed_on),
        };
        self.reached = reached;
        while let Some(end) = self.next_window(fired)? {
            match self.running {
                None => self.leave_tumbling(end),
                Some(_) => self.leave_moving(end)?,
            }
        }
        (self.fired, self.done) = (fired, done);
        self.measure();
        Ok(())
    }

    /// Fires windows as far as there is room in the output.
    fn fire(&mut self, cx: &mut Context) -> Result<Progress> {
        if self.out.drain(cx) == Progress::More {
            return Ok(Progress::More);
        }
        loop {
            let progress = match self.large.take() {
                Some(large) => self.fire_large(large, cx)?,
                None => match self.next_window(self.reached)? {
                    Some(end) => self.fire_window(end, cx)?,
                    None => break,
                },
            };
            if progress == Progress::More || cx.is_full() {
                return Ok(Progress::More);
            }
        }
        self.fired = self.reached;
        self.out.finish(cx)
    }

    /// The end of the next window with rows that fires at `time`; its slices are counted from now on.
    fn next_window(&mut self, time: i64) -> Result<Option<i64>> {
        let first_from = |panes: &PaneTable<Aggregates>, end| panes.first_from(end).map(|slice| slice.open_from);
        let Some(running) = &mut self.running else {
            return Ok(first_from(&self.state.panes, i64::MIN).filter(|end| end - 1 <= time));
        };
        let mut next = Some(self.window.first_open_end(self.fired));
        if running.is_empty() {
            // Windows without rows are passed over.
            next = next.and_then(|next| first_from(&self.state.panes, next));
        }
        let Some(next) = next.filter(|end| end - 1 <= time) else { return Ok(None) };
        for slice in self.state.panes.range(next, next) {
            running.enter(slice.pane, self.state.panes.sealed(slice)?)?;
            self.counted.entry(slice.pane).or_default().push(slice);
        }
        Ok(Some(next))
    }

    /// A window leaves in one go if it fits into the output, else piece by piece.
    fn fire_window(&mut self, end: i64, cx: &mut Context) -> Result<Progress> {
        let slice = self.state.panes.first_from(i64::MIN).filter(|_| self.running.is_none());
        let (rows, bytes) = match (&self.running, slice) {
            (Some(running), _) => running.size(),
            (None, slice) => slice.map_or((0, 0), |slice| self.state.panes.size(slice)),
        };
        let has_keys = !self.types.is_empty();
        if has_keys && (self.budget.is_used_up(rows, bytes) || self.progress.is_restored(end)) {
            let rows = match (&mut self.running, slice) {
                (Some(running), _) => running.select(end)?,
                (None, Some(slice)) => Selection::Runs { batches: self.state.panes.sealed(slice)?, first: LEADING },
                (None, None) => return Err(Error::bug("a window without a slice fires")),
            };
            let window = LargeWindow::new(&content(&rows, self.running.as_ref())?, &self.types, &self.calls);
            self.large = Some(Large { end, slice, rows, window, is_prepared: false, through: None });
            return Ok(Progress::Done);
        }
        let is_new = has_keys || !self.progress.was_emitted_without_key(end);
        let progress = match (&mut self.running, slice) {
            (Some(running), _) => {
                let (keys, results, rows) = running.evaluate(end)?;
                if is_new { self.put_out(end, keys, results, rows, cx)? } else { Progress::Done }
            }
            (None, Some(slice)) => match self.state.panes.take(slice)? {
                Some(table) => self.put_out_table(end, table, is_new, cx)?,
                None => Progress::Done,
            },
            (None, None) => Progress::Done,
        };
        self.leave(end, None)?;
        Ok(progress)
    }

    fn fire_large(&mut self, mut large: Large, cx: &mut Context) -> Result<Progress> {
        let mut pieces = 0;
        loop {
            let content = content(&large.rows, self.running.as_ref())?;
            if !large.is_prepared {
                large.is_prepared = large.window.prepare(&content)? == Progress::Done;
                self.large = Some(large);
                return Ok(Progress::More);
            }
            let was_emitted = |hash| self.progress.was_emitted(large.end, hash);
            let Some(piece) = large.window.next(&content, self.batch_rows, was_emitted)? else {
                self.leave(large.end, large.slice)?;
                return Ok(Progress::Done);
            };
            large.through = Some(piece.through);
            let progress = self.put_out(large.end, piece.keys, piece.results, piece.rows, cx)?;
            pieces += 1;
            if progress == Progress::More || cx.is_full() || pieces == PIECES_PER_STEP {
                self.large = Some(large);
                return Ok(Progress::More);
            }
        }
    }

    fn put_out_table(
        &mut self,
        end: i64,
        mut table: SlotTable<Aggregates>,
        is_new: bool,
        cx: &mut Context,
    ) -> Result<Progress> {
        let mut progress = Progress::Done;
        if is_new {
            let rows = table.len();
            let results = table.columns.evaluate(None)?;
            let keys = table.index.take()?;
            progress = self.put_out(end, keys, results, rows, cx)?;
            crate::state::SlotColumns::take(&mut table.columns)?;
        }
        self.state.panes.recycle(table)?;
        Ok(progress)
    }

    fn put_out(
        &mut self,
        end: i64,
        mut columns: Vec<ArrayRef>,
        results: Vec<ArrayRef>,
        rows: usize,
        cx: &mut Context,
    ) -> Result<Progress> {
        let last = self.local_time.instant(end - 1);
        for (index, time) in [self.window.start(end), end, last].into_iter().enumerate() {
            let data_type = self.output.field(self.types.len() + index).data_type().clone();
            columns.push(Arc::new(TimestampMillisecondArray::from_value(time, rows).with_data_type(data_type)));
        }
        columns.extend(results);
        self.out.push(batch_of(&self.output, columns, rows)?, cx)
    }

    /// The window that ends at `end` has been put out: what no later one counts is let go.
    fn leave(&mut self, end: i64, slice: Option<Slice>) -> Result<()> {
        match (&self.running, slice) {
            (Some(_), _) => self.leave_moving(end)?,
            (None, Some(slice)) => self.state.panes.drop_slice(slice),
            (None, None) => {}
        }
        self.fired = end - 1;
        Ok(())
    }

    /// Each slice is a window.
    fn leave_tumbling(&mut self, end: i64) {
        for slice in self.state.panes.range(end, end) {
            self.state.panes.drop_slice(slice);
        }
        self.fired = end - 1;
    }

    /// The window moves on from end to end.
    fn leave_moving(&mut self, end: i64) -> Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        for pane in running.leave_before(self.window.start(end + self.window.slide_ms()))? {
            for slice in self.counted.remove(&pane).into_iter().flatten() {
                self.state.panes.drop_slice(slice);
            }
        }
        self.fired = end - 1;
        Ok(())
    }

    /// Brings the state tables up to what has been emitted, and the watermark.
    fn note_progress(&mut self) {
        if self.out.is_empty() {
            self.done = self.fired;
        }
        if self.done >= self.reached {
            self.progress.finish();
        } else {
            let between = Position { end: self.fired.saturating_add(2), through: None };
            let position = |large: &Large| Position { end: large.end, through: large.through };
            self.progress.reach(self.large.as_ref().map_or(between, position), self.done);
        }
        self.state.panes.retire(EventTime(self.window.first_open_pane(self.done)));
        self.pass();
        self.measure();
    }

    /// Brings the watermark up to what has been emitted.
    fn pass(&mut self) {
        let passed = if self.done >= self.reached { self.met } else { self.local_time.passed(self.done) };
        self.passed = self.passed.max(passed);
    }

    fn measure(&mut self) {
        let running = self.running.as_ref().map_or(0, RunningWindow::bytes);
        self.state.other_bytes = running + self.large.as_ref().map_or(0, |large| large.window.bytes());
    }
}

/// What a window on its way out consists of.
fn content<'a>(rows: &'a Selection, running: Option<&'a RunningWindow>) -> Result<Content<'a>> {
    match (rows, running.and_then(RunningWindow::table)) {
        (Selection::Runs { batches, first }, _) => Ok(Content::Runs { batches, first: *first }),
        (Selection::Slots(slots), Some(table)) => Ok(Content::Table { table, slots }),
        (Selection::Slots(_), None) => Err(Error::bug("slots of a window without a table")),
    }
}
