//! The half of an unwindowed GROUP BY before the exchange: rows of the same key become one partial, which leaves when the
//! inputs rest, or after a while.
//!
//! DISTINCT, and MIN and MAX of rows that can be taken back, need every value: there the value is part of what rows are
//! combined by. Where rows can be taken back, `$rows` says how many more of them came than went.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, make_array};
use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::aggregate::counted;
use super::batches::Batches;
use super::combining::Combining;
use super::two_phase::{Split, choose, local_texts};
use super::{AggregateCall, Aggregates, BuildContext, Context, Flush, Milliseconds, Operator, OperatorSpec, Progress};
use crate::error::{Error, Result};
use crate::state::{SlotTable, StateTable, batch_of};
use crate::stream::{Changes, EventTime, ProcTime};

/// The column of a partial that says how many more rows came than went; only where rows can be taken back.
pub const ROWS_COLUMN: &str = "$rows";

/// Rows combined at most before their partials leave.
const MOST_ROWS: usize = 64 * 1024;

/// Pre-aggregation of an updating GROUP BY.
#[derive(Debug, Clone)]
pub struct GroupLocalSpec {
    /// The columns that come in.
    pub input: SchemaRef,
    /// The grouping columns.
    pub keys: Vec<usize>,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// Whether rows can be taken back.
    pub retract: bool,
    /// How long rows are held to be combined.
    pub holding: Holding,
}

/// How long rows are held to be combined. None of it survives a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Until the inputs rest.
    UntilRest,
    /// The same, or until a watermark, which closes groups behind the exchange.
    UntilWatermark,
    /// For so many milliseconds of the clock, or until there are so many rows.
    MiniBatch { latency_ms: i64, rows: usize },
}

impl GroupLocalSpec {
    /// The columns of a partial, as [`Split`] has them.
    pub fn partial_schema(&self) -> Result<SchemaRef> {
        let split = Split::new(&self.calls, self.retract);
        let keys = self.keys.iter().map(|index| self.input.field(*index).clone());
        let states = split.state_fields(&split.partial_calls())?;
        Ok(Arc::new(Schema::new(keys.chain(split.value_fields()).chain(states).collect::<Vec<_>>())))
    }
}

impl OperatorSpec for GroupLocalSpec {
    fn name(&self) -> &'static str {
        "LocalGroupAggregate"
    }

    fn signature(&self) -> String {
        String::new()
    }

    /// The partial schema; empty if an aggregate is not supported, which `build` refuses.
    fn output(&self) -> SchemaRef {
        self.partial_schema().unwrap_or_else(|_| Arc::new(Schema::empty()))
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        let schema = self.partial_schema()?;
        let (chosen, calls) = choose(&self.keys, &self.calls, &[]);
        let split = Split::new(&calls, self.retract);
        let mut types: Vec<DataType> =
            self.keys.iter().map(|index| self.input.field(*index).data_type().clone()).collect();
        types.extend(split.values().map(|(_, call)| call.input_type.clone()));
        let summed = split.partial_calls();
        let table = SlotTable::new(&types, Aggregates::new(&summed)?)?;
        Ok(Box::new(GroupLocal {
            keys: self.keys.len(),
            retract: self.retract,
            is_ordered: self.calls.iter().any(|call| call.function.is_ordered()),
            out: Batches::new(Arc::clone(&schema), cx.batch_rows),
            holding: self.holding,
            flush_at: None,
            met: EventTime::NONE,
            done: EventTime::NONE,
            schema,
            chosen,
            summed,
            extremes: split.extremes.into_iter().map(|(_, call)| call).collect(),
            distinct: split.distinct.iter().filter_map(|group| group[0].1.argument).collect(),
            table,
            held: 0,
            combining: Combining::default(),
            signs: Vec::new(),
        }))
    }
}

impl fmt::Display for GroupLocalSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LocalGroupAggregate(")?;
        if !self.keys.is_empty() {
            let keys: Vec<&str> = self.keys.iter().map(|index| self.input.field(*index).name().as_str()).collect();
            write!(out, "groupBy=[{}], ", keys.join(", "))?;
        }
        write!(out, "select=[{}]", local_texts(&self.calls, &self.input))?;
        if let Holding::MiniBatch { latency_ms, rows } = self.holding {
            write!(out, ", miniBatch=[{}, {rows} rows]", Milliseconds(latency_ms))?;
        }
        out.write_str(")")
    }
}

struct GroupLocal {
    keys: usize,
    retract: bool,
    is_ordered: bool,
    schema: SchemaRef,
    /// The input columns that are read: keys, then arguments.
    chosen: Vec<usize>,
    summed: Vec<AggregateCall>,
    /// MIN and MAX of rows that can be taken back.
    extremes: Vec<AggregateCall>,
    /// The arguments of which the different values are wanted.
    distinct: Vec<usize>,
    table: SlotTable<Aggregates>,
    out: Batches,
    /// Rows in the table.
    held: usize,
    combining: Combining,
    signs: Vec<i64>,
    holding: Holding,
    /// When a mini-batch is over.
    flush_at: Option<ProcTime>,
    /// The watermark that was met, and the one that nothing is held before.
    met: EventTime,
    done: EventTime,
}

impl Operator for GroupLocal {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let batch = rows.batch().project(&self.chosen)?;
        let passes = self.passes_rows(batch.num_rows());
        let signs = match rows.kinds() {
            None => None,
            Some(_) if !self.retract => {
                return Err(Error::bug("an aggregation over rows that only come met one that is taken back"));
            }
            Some(kinds) => {
                self.signs.clear();
                self.signs.extend(kinds.iter().map(|kind| kind.sign()));
                Some(&self.signs[..])
            }
        };
        let mut keys = batch.columns()[..self.keys].to_vec();
        for call in &self.extremes {
            keys.push(counted_values(call, &batch)?);
        }
        keys.extend(self.distinct.iter().map(|argument| Arc::clone(batch.column(*argument))));
        if passes {
            keys.extend(Aggregates::each(&self.summed, &batch, signs)?);
            cx.emit(Changes::inserts(batch_of(&self.schema, keys, batch.num_rows())?));
            return Ok(Progress::Done);
        }
        let before = self.table.len();
        let (slots, states) = self.table.assign(&keys, batch.num_rows())?;
        states.update(slots, &batch, signs)?;
        self.combining.note(batch.num_rows(), self.table.len() - before);
        self.held += batch.num_rows();
        let most = match self.holding {
            Holding::MiniBatch { latency_ms, rows } => {
                self.flush_at.get_or_insert(ProcTime(cx.now.0.saturating_add(latency_ms)));
                rows
            }
            _ => MOST_ROWS,
        };
        if self.held >= most { self.flush(Flush::All, cx) } else { Ok(Progress::Done) }
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        self.met = self.met.max(time);
        self.resume(cx)
    }

    fn resume(&mut self, cx: &mut Context) -> Result<Progress> {
        // Of a mini-batch a watermark says nothing, unless it is the last.
        let flushes = self.holding == Holding::UntilWatermark || self.met == EventTime::END;
        let progress = if flushes { self.flush(Flush::All, cx)? } else { self.out.finish(cx)? };
        if progress == Progress::Done {
            self.done = self.met;
        }
        Ok(progress)
    }

    fn watermark(&self) -> EventTime {
        self.done
    }

    fn on_end(&mut self, _: usize, cx: &mut Context) -> Result<Progress> {
        self.flush(Flush::All, cx)
    }

    fn on_tick(&mut self, cx: &mut Context) -> Result<Progress> {
        self.flush(Flush::All, cx)
    }

    fn next_tick(&self) -> Option<ProcTime> {
        self.flush_at
    }

    fn flush(&mut self, why: Flush, cx: &mut Context) -> Result<Progress> {
        if why == Flush::Waiting && self.flush_at.is_some() {
            return Ok(Progress::Done);
        }
        self.flush_at = None;
        if self.table.is_empty() {
            return self.out.finish(cx);
        }
        self.held = 0;
        let rows = self.table.len();
        let partials = batch_of(&self.schema, self.table.take()?, rows)?;
        let _ = self.out.push(partials, cx)?;
        self.out.finish(cx)
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        Vec::new()
    }

    fn held_bytes(&self) -> usize {
        self.table.bytes()
    }
}

impl GroupLocal {
    /// Whether the next rows pass as they are. Where their order counts, either all of them do or none: rows that are
    /// combined by values, too, would lose their order, and rows that can be taken back would take one of their own batch
    /// in place of an older one.
    fn passes_rows(&mut self, rows: usize) -> bool {
        match self.is_ordered {
            true => self.retract || !self.distinct.is_empty(),
            false => !matches!(self.holding, Holding::MiniBatch { .. }) && self.combining.passes(rows),
        }
    }
}

/// The argument of a call, NULL where its FILTER does not let it through.
fn counted_values(call: &AggregateCall, batch: &RecordBatch) -> Result<ArrayRef> {
    let Some(argument) = call.argument else {
        return Err(Error::bug(format!("{} needs an argument", call.function)));
    };
    let values = batch.column(argument);
    if call.filter.is_none() {
        return Ok(Arc::clone(values));
    }
    let nulls = counted(call, batch)?;
    Ok(make_array(values.to_data().into_builder().nulls(nulls).build()?))
}
