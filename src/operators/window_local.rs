//! The half of a window aggregation before the exchange: rows of the same slice and key become one partial.
//!
//! It only saves work behind the exchange and holds no state over a barrier. Where keys hardly repeat, it lets rows
//! through as partials of one row each.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::aggregate::state_fields;
use super::batches::Batches;
use super::combining::Combining;
use super::local_time::LocalTime;
use super::two_phase::{choose, local_texts};
use super::window_assign::{OPEN_FROM_COLUMN, PANE_COLUMN};
use super::{AggregateCall, Aggregates, BuildContext, Context, Flush, Operator, OperatorSpec, Progress, WindowKind};
use crate::error::{Error, Result};
use crate::state::{Slice, SlotTable, SpareTables, StateTable, batch_of, cut_slices};
use crate::stream::{Changes, EventTime, Zone};

/// Groups held at most, over all slices, and values that DISTINCT holds of them.
const MOST_GROUPS: usize = 256 * 1024;

/// Pre-aggregation of windows.
#[derive(Debug, Clone)]
pub struct WindowLocalSpec {
    /// The columns that come in: those of `WindowAssign`.
    pub input: SchemaRef,
    /// The grouping columns besides the window.
    pub keys: Vec<usize>,
    /// The column `$pane`.
    pub pane: usize,
    /// The column `$open_from`.
    pub open_from: usize,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// The windows.
    pub window: WindowKind,
    /// In which zone they lie.
    pub zone: Zone,
}

impl WindowLocalSpec {
    /// The columns of a partial: the keys, `$pane`, `$open_from`, then the state of each aggregate as `$0_count`,
    /// `$1_sum`, `$1_count` and so on.
    pub fn partial_schema(&self) -> Result<SchemaRef> {
        let mut fields: Vec<Field> = self.keys.iter().map(|index| self.input.field(*index).clone()).collect();
        fields.extend([PANE_COLUMN, OPEN_FROM_COLUMN].map(|name| Field::new(name, DataType::Int64, false)));
        fields.extend(state_fields(&self.calls)?);
        Ok(Arc::new(Schema::new(fields)))
    }
}

impl OperatorSpec for WindowLocalSpec {
    fn name(&self) -> &'static str {
        "LocalWindowAggregate"
    }

    fn signature(&self) -> String {
        String::new()
    }

    /// The partial schema; empty if an aggregate is not supported, which `build` refuses.
    fn output(&self) -> SchemaRef {
        self.partial_schema().unwrap_or_else(|_| Arc::new(Schema::empty()))
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        self.window.check()?;
        let schema = self.partial_schema()?;
        let (chosen, calls) = choose(&self.keys, &self.calls, &[self.pane, self.open_from]);
        let types: Vec<DataType> = self.keys.iter().map(|index| self.input.field(*index).data_type().clone()).collect();
        let of_states = calls.clone();
        Ok(Box::new(WindowLocal {
            spare: SpareTables::new(&types, move || Aggregates::new(&of_states)),
            types,
            out: Batches::new(Arc::clone(&schema), cx.batch_rows),
            local_time: LocalTime::new(self.zone),
            met: EventTime::NONE,
            done: EventTime::NONE,
            overfull: false,
            schema,
            chosen,
            is_ordered: calls.iter().any(|call| call.function.is_ordered()),
            calls,
            slices: BTreeMap::new(),
            held: 0,
            combining: Combining::default(),
        }))
    }
}

impl fmt::Display for WindowLocalSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LocalWindowAggregate(")?;
        if !self.keys.is_empty() {
            let keys: Vec<&str> = self.keys.iter().map(|index| self.input.field(*index).name().as_str()).collect();
            write!(out, "groupBy=[{}], ", keys.join(", "))?;
        }
        write!(out, "window=[{}], select=[{}])", self.window, local_texts(&self.calls, &self.input))
    }
}

type Table = SlotTable<Aggregates>;

#[derive(Debug)]
struct WindowLocal {
    schema: SchemaRef,
    types: Vec<DataType>,
    /// The input columns that are read: keys, pane, first open window, arguments.
    chosen: Vec<usize>,
    calls: Vec<AggregateCall>,
    /// Whether the order of rows counts.
    is_ordered: bool,
    slices: BTreeMap<Slice, Table>,
    spare: SpareTables<Aggregates>,
    out: Batches,
    /// Groups in all slices, and values that DISTINCT holds of them.
    held: usize,
    combining: Combining,
    local_time: LocalTime,
    /// The watermark that was met, and up to which the slices that it closes have left.
    met: EventTime,
    done: EventTime,
    /// Whether all slices are leaving to make room.
    overfull: bool,
}

impl Operator for WindowLocal {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        if rows.kinds().is_some() {
            return Err(Error::bug("a window aggregation met rows that are taken back"));
        }
        let batch = rows.batch().project(&self.chosen)?;
        // Rows that pass would overtake those that are held.
        if !self.is_ordered && self.combining.passes(batch.num_rows()) {
            let states = Aggregates::each(&self.calls, &batch, None)?;
            let columns = batch.columns()[..self.types.len() + 2].iter().cloned().chain(states).collect();
            cx.emit(Changes::inserts(batch_of(&self.schema, columns, batch.num_rows())?));
            return Ok(Progress::Done);
        }
        let before = self.held;
        let keys = self.types.len();
        for (slice, piece) in cut_slices(&batch, keys, keys + 1)? {
            self.add(slice, &piece)?;
        }
        self.combining.note(batch.num_rows(), self.held - before);
        if self.held < MOST_GROUPS {
            return Ok(Progress::Done);
        }
        self.overfull = true;
        self.resume(cx)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        self.met = self.met.max(time);
        self.resume(cx)
    }

    fn resume(&mut self, cx: &mut Context) -> Result<Progress> {
        let through = if self.overfull { i64::MAX } else { self.local_time.reached(self.met) };
        if self.flush_through(through, cx)? == Progress::More {
            return Ok(Progress::More);
        }
        self.overfull = false;
        self.done = self.met;
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        self.done
    }

    fn on_end(&mut self, _: usize, cx: &mut Context) -> Result<Progress> {
        self.overfull = true;
        self.resume(cx)
    }

    fn flush(&mut self, why: Flush, cx: &mut Context) -> Result<Progress> {
        match why {
            Flush::All => self.flush_through(i64::MAX, cx),
            // Nobody can use a partial before a watermark fires its window.
            Flush::Waiting => Ok(Progress::Done),
        }
    }

    fn next_window(&mut self) -> Option<EventTime> {
        let (slice, _) = self.slices.first_key_value()?;
        Some(EventTime(self.local_time.due(slice.open_from - 1)))
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        Vec::new()
    }

    fn held_bytes(&self) -> usize {
        self.slices.values().map(SlotTable::bytes).sum()
    }
}

impl WindowLocal {
    fn add(&mut self, slice: Slice, rows: &RecordBatch) -> Result<()> {
        let table = match self.slices.entry(slice) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(self.spare.take()?),
        };
        let before = table.len() + table.columns.held_values();
        let (slots, states) = table.assign(&rows.columns()[..self.types.len()], rows.num_rows())?;
        states.update(slots, rows, None)?;
        self.held += table.len() + table.columns.held_values() - before;
        Ok(())
    }

    /// Emits the slices of which some window fires when local time has reached `time`. No further row comes for those: it would have met a
    /// watermark at or behind `time`, and be counted from a later window on.
    fn flush_through(&mut self, time: i64, cx: &mut Context) -> Result<Progress> {
        if self.out.drain(cx) == Progress::More {
            return Ok(Progress::More);
        }
        while let Some(entry) = self.slices.first_entry() {
            let slice = *entry.key();
            if slice.open_from - 1 > time {
                break;
            }
            let mut table = entry.remove();
            let rows = table.len();
            self.held -= rows + table.columns.held_values();
            let constant = |value| Arc::new(Int64Array::from_value(value, rows)) as ArrayRef;
            let mut columns = table.take()?;
            columns.splice(self.types.len()..self.types.len(), [constant(slice.pane), constant(slice.open_from)]);
            let progress = self.out.push(batch_of(&self.schema, columns, rows)?, cx)?;
            self.spare.put(table);
            if progress == Progress::More {
                return Ok(Progress::More);
            }
        }
        self.out.finish(cx)
    }
}
