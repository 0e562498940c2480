//! Unwindowed GROUP BY over partials: each batch changes the results of the keys that it touches.
//!
//! A key that is touched leaves once a batch: `+I` when it is new, `-U` and `+U` when its result has changed, nothing
//! when it has not, `-D` when its last row has gone. Groups of windows may leave once instead, when their window closes.
//!
//! What it keeps is bounded by the keys that come, and by [`Forgetting`] if they go again by themselves.

use std::fmt;
use std::sync::Arc;

use arrow::array::make_comparator;
use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{SortOptions, interleave, take_arrays};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::aggregate::{readable, state_fields};
use super::distinct_counts::{DistinctCounts, Kept};
use super::forgetting::{FORGOTTEN_TOGETHER, Forgetting};
use super::local_time::LocalTime;
use super::touched::Touched;
use super::two_phase::{Split, global_texts, types_text};
use super::value_counts::ValueCounts;
use super::{AggregateCall, Aggregates, BuildContext, Context, Operator, OperatorSpec, Progress, StateBound};
use crate::error::{Error, Result};
use crate::state::{KEEP_UNTIL_COLUMN, KeyedTable, SlotColumns, StateTable, TimedColumns, batch_of, integers};
use crate::stream::{ChangeKind, Changes, EventTime, ProcTime};

/// Rows that are worked on together.
const PIECE_ROWS: usize = 4096;

/// An updating GROUP BY.
#[derive(Debug, Clone)]
pub struct GroupAggregateSpec {
    /// The columns that come in: those of `GroupLocal`.
    pub input: SchemaRef,
    /// How many leading columns are grouping columns.
    pub keys: usize,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// Whether rows can be taken back.
    pub retract: bool,
    /// Whether `-U` rows leave before `+U` rows.
    pub emit_update_before: bool,
    /// When groups go.
    pub forgetting: Forgetting,
    /// What is computed over which rows, in terms of the columns of tables: a part of the signature.
    pub query: String,
    /// Keys, then a column per aggregate.
    pub output: SchemaRef,
}

impl OperatorSpec for GroupAggregateSpec {
    fn name(&self) -> &'static str {
        "GroupAggregate"
    }

    fn signature(&self) -> String {
        let types = types_text(&self.input, self.keys, &self.calls);
        let retract = if self.retract { " of changes" } else { "" };
        let kept = match self.forgetting {
            Forgetting::Never => "",
            Forgetting::Untouched { .. } => " kept for a time",
            Forgetting::Window { .. } => " of windows",
        };
        format!("GroupAggregate{retract}{kept}(keys and results of types [{types}]: {})", self.query)
    }

    fn output(&self) -> SchemaRef {
        SchemaRef::clone(&self.output)
    }

    fn bound(&self) -> StateBound {
        // Values of one group can be as many as those of many.
        let has_values = || Split::new(&self.calls, self.retract).value_fields().next().is_some();
        match self.forgetting {
            Forgetting::Window { .. } => StateBound::Watermark,
            Forgetting::Untouched { ttl_ms } => StateBound::Untouched { ttl_ms },
            Forgetting::Never if self.keys == 0 && !has_values() => StateBound::OneGroup,
            Forgetting::Never => StateBound::Keys,
        }
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        let keys: Vec<Field> = self.input.fields().iter().take(self.keys).map(|key| key.as_ref().clone()).collect();
        let split = Split::new(&self.calls, self.retract);
        let group_calls = split.group_calls();
        let expected = self.keys + split.value_fields().count() + split.state_fields(&split.partial_calls())?.len();
        if expected != self.input.fields().len() {
            return Err(Error::bug("the partials of an aggregation do not have the columns that it expects"));
        }
        let mut columns: Vec<FieldRef> = keys.iter().cloned().map(Arc::new).collect();
        let fields: Vec<FieldRef> = split.state_fields(&group_calls)?.into_iter().map(Arc::new).collect();
        columns.extend(readable(&fields, &self.calls, &columns));
        let is_timed = self.forgetting.is_timed();
        let states = TimedColumns::new(Aggregates::new(&group_calls)?, is_timed);
        columns.extend(is_timed.then(|| Arc::new(Field::new(KEEP_UNTIL_COLUMN, DataType::Int64, false))));
        let schema = Arc::new(Schema::new(columns));
        let groups = KeyedTable::new("groups", schema, self.keys, self.keys, states)?;
        let extreme = |(index, call): &(usize, AggregateCall)| ValueCounts::new(*index, call, &keys);
        let distinct = |calls: &Vec<(usize, AggregateCall)>| DistinctCounts::new(calls, &keys, is_timed);
        let merged = state_fields(&group_calls[..split.merged_calls()])?.len();
        Ok(Box::new(GroupAggregate {
            extremes: split.extremes.iter().map(extreme).collect::<Result<_>>()?,
            distinct: split.distinct.iter().map(distinct).collect::<Result<_>>()?,
            groups,
            results: self.results(&split),
            merged,
            split,
            spec: self.clone(),
            slots: Vec::new(),
            touched: Touched::default(),
            local_time: self.forgetting.local_time(),
            met: EventTime::NONE,
            done: EventTime::NONE,
            sweep_at: None,
            is_sweeping: false,
            batch_rows: cx.batch_rows,
        }))
    }
}

impl GroupAggregateSpec {
    /// Where the result of each call is found: among the extremes, or among those of the groups' own state.
    fn results(&self, split: &Split) -> Vec<Place> {
        let of_groups = split.summed.iter().chain(split.distinct.iter().flatten());
        let of_groups: Vec<usize> = of_groups.map(|(index, _)| *index).collect();
        let of_extremes: Vec<usize> = split.extremes.iter().map(|(index, _)| *index).collect();
        let place = |call: usize| match of_extremes.iter().position(|index| *index == call) {
            Some(extreme) => Place::Extreme(extreme),
            None => Place::Group(of_groups.iter().position(|index| *index == call).unwrap_or_default()),
        };
        (0..self.calls.len()).map(place).collect()
    }
}

impl fmt::Display for GroupAggregateSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("GroupAggregate(")?;
        if self.keys > 0 {
            let keys: Vec<&str> = self.input.fields().iter().take(self.keys).map(|key| key.name().as_str()).collect();
            write!(out, "groupBy=[{}], ", keys.join(", "))?;
        }
        write!(out, "select=[{}]{})", global_texts(&self.calls), self.forgetting)
    }
}

struct GroupAggregate {
    spec: GroupAggregateSpec,
    groups: KeyedTable<TimedColumns<Aggregates>>,
    extremes: Vec<ValueCounts>,
    distinct: Vec<DistinctCounts>,
    split: Split,
    results: Vec<Place>,
    /// How many state columns of a partial are merged into `groups`; the weights of values follow.
    merged: usize,
    /// The slot of each row of the present batch.
    slots: Vec<u32>,
    touched: Touched,
    local_time: LocalTime,
    /// The watermark that was met, and the one up to which windows have been closed.
    met: EventTime,
    done: EventTime,
    /// When to look for groups that nobody touches, and whether that is under way.
    sweep_at: Option<ProcTime>,
    is_sweeping: bool,
    batch_rows: usize,
}

/// Where the result of a call is found.
#[derive(Debug, Clone, Copy)]
enum Place {
    Group(usize),
    Extreme(usize),
}

/// The results of the touched keys at one moment.
struct Results {
    columns: Vec<ArrayRef>,
    /// Which keys have a result.
    present: Vec<bool>,
}

impl Operator for GroupAggregate {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        // Every key makes up to two rows, so what comes in bounds what goes out.
        for piece in rows.pieces(PIECE_ROWS) {
            let changes = self.advance(&piece, cx.now)?;
            if let Some(changes) = changes {
                cx.emit(changes);
            }
        }
        self.look_again(cx.now);
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        // The first after a restore, when there may be groups whose time has passed meanwhile.
        self.look_again(cx.now);
        self.met = self.met.max(time);
        self.resume(cx)
    }

    fn resume(&mut self, cx: &mut Context) -> Result<Progress> {
        if self.is_sweeping && self.sweep(cx.now.0)? == Progress::More {
            return Ok(Progress::More);
        }
        if std::mem::take(&mut self.is_sweeping) {
            self.look_again(cx.now);
        }
        if matches!(self.spec.forgetting, Forgetting::Window { .. }) && self.close_windows(cx)? == Progress::More {
            return Ok(Progress::More);
        }
        self.done = self.met;
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        self.done
    }

    fn on_tick(&mut self, cx: &mut Context) -> Result<Progress> {
        (self.sweep_at, self.is_sweeping) = (None, true);
        self.resume(cx)
    }

    fn next_tick(&self) -> Option<ProcTime> {
        self.sweep_at
    }

    fn next_window(&mut self) -> Option<EventTime> {
        let is_window = matches!(self.spec.forgetting, Forgetting::Window { .. });
        self.groups.table().columns.earliest().filter(|_| is_window).map(EventTime)
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        let mut tables: Vec<&mut dyn StateTable> = vec![&mut self.groups];
        tables.extend(self.extremes.iter_mut().map(|extreme| extreme as &mut dyn StateTable));
        tables.extend(self.distinct.iter_mut().map(|distinct| distinct as &mut dyn StateTable));
        tables
    }
}

impl GroupAggregate {
    fn advance(&mut self, partials: &Changes, now: ProcTime) -> Result<Option<Changes>> {
        let (keys, rest) = partials.batch().columns().split_at(self.spec.keys);
        let (values, states) = rest.split_at(self.extremes.len() + self.distinct.len());
        let (states, weights) = states.split_at(self.merged);
        let known = self.groups.table().index.slots();
        self.groups.assign(keys, partials.len(), &mut self.slots)?;
        self.touched.find(&self.slots, self.groups.table().index.slots());
        if self.spec.forgetting.repeats() {
            let expired = self.groups.table().columns.expired_of(&self.touched.slots, now.0);
            if !expired.is_empty() {
                // They begin anew.
                self.groups.touch(&self.slots);
                self.forget(&expired)?;
                self.groups.assign(keys, partials.len(), &mut self.slots)?;
                self.touched.find(&self.slots, self.groups.table().index.slots());
            }
        }
        if !self.extremes.is_empty() {
            let touched = self.groups.table().index.gather(&self.touched.slots)?;
            for extreme in &mut self.extremes {
                extreme.begin(&touched, self.touched.slots.len())?;
            }
        }

        let is_final = self.spec.forgetting.is_final();
        let before = if is_final { None } else { Some(self.results(known)?) };
        self.groups.columns_mut().inner_mut().merge(&self.slots, states)?;
        let (extreme_values, distinct_values) = values.split_at(self.extremes.len());
        for (extreme, values) in self.extremes.iter_mut().zip(extreme_values) {
            extreme.apply(keys, values, &states[0])?;
        }
        let forgetting = self.spec.forgetting;
        let until = forgetting.keep_until(now, keys.last(), partials.len(), &mut self.local_time)?;
        if !until.is_empty() {
            let of_first = self.touched.first_rows.iter().map(|row| until[*row as usize]);
            self.groups.columns_mut().keep(&self.touched.slots, of_first);
        }
        self.apply_distinct(keys, distinct_values, weights, &Kept { until: &until, forgetting, now })?;
        self.groups.touch(&self.touched.slots);
        let after = before.as_ref().map(|_| self.results(usize::MAX)).transpose()?;
        self.extremes.iter_mut().for_each(ValueCounts::end);

        let changes = match (&before, &after) {
            (Some(before), Some(after)) => self.changes(before, after)?,
            _ => None,
        };
        if self.spec.retract {
            self.remove_empty()?;
        }
        Ok(changes)
    }

    /// Notes when to look for groups that nobody touches, if there are any.
    fn look_again(&mut self, now: ProcTime) {
        if self.sweep_at.is_none() && self.groups.table().columns.earliest().is_some() {
            self.sweep_at = self.spec.forgetting.next_sweep(now);
        }
    }

    /// Forgets some of the groups that have had their time.
    fn sweep(&mut self, now: i64) -> Result<Progress> {
        let expired = self.groups.columns_mut().expired(now, FORGOTTEN_TOGETHER);
        if !expired.is_empty() {
            self.forget(&expired)?;
            return Ok(Progress::More);
        }
        for distinct in &mut self.distinct {
            distinct.sweep(now)?;
        }
        self.groups.shrink()?;
        Ok(Progress::Done)
    }

    /// Forgets the groups whose windows the watermark has closed; those that have given no result yet give it.
    fn close_windows(&mut self, cx: &mut Context) -> Result<Progress> {
        let is_final = self.spec.forgetting.is_final();
        let together = if is_final { self.batch_rows } else { FORGOTTEN_TOGETHER };
        loop {
            let closed = self.groups.columns_mut().expired(self.met.0, together);
            if is_final && !closed.is_empty() {
                cx.emit(self.final_results(&closed)?);
            }
            self.forget(&closed)?;
            if closed.len() < together {
                break;
            }
            if cx.is_full() || !is_final {
                return Ok(Progress::More);
            }
        }
        let met = self.met.0;
        self.distinct.iter_mut().try_for_each(|distinct| distinct.sweep(met))?;
        self.groups.shrink()?;
        Ok(Progress::Done)
    }

    /// The results of closed windows.
    fn final_results(&mut self, slots: &[u32]) -> Result<Changes> {
        self.touched.slots = slots.to_vec();
        let mut columns = self.groups.table().index.gather(slots)?;
        for extreme in &mut self.extremes {
            extreme.begin(&columns, slots.len())?;
        }
        let results = self.results(usize::MAX)?;
        self.extremes.iter_mut().for_each(ValueCounts::end);
        columns.extend(results.columns);
        let rows = Changes::inserts(batch_of(&self.spec.output, columns, slots.len())?);
        rows.filter(&BooleanArray::from(results.present))
    }

    /// Lets groups go with all that they hold.
    fn forget(&mut self, slots: &[u32]) -> Result<()> {
        if slots.is_empty() {
            return Ok(());
        }
        if !self.extremes.is_empty() {
            let keys = self.groups.table().index.gather(slots)?;
            self.extremes.iter_mut().try_for_each(|extreme| extreme.clear(&keys, slots.len()))?;
        }
        self.groups.remove(slots);
        Ok(())
    }

    /// Lets different values come and go, and computes what follows for the calls over them.
    fn apply_distinct(
        &mut self,
        keys: &[ArrayRef],
        values: &[ArrayRef],
        weights: &[ArrayRef],
        kept: &Kept<'_>,
    ) -> Result<()> {
        let (mut weights, mut call) = (weights, self.split.merged_calls());
        for ((distinct, calls), values) in self.distinct.iter_mut().zip(&self.split.distinct).zip(values) {
            let (own, others) = weights.split_at(calls.len());
            weights = others;
            for turnover in distinct.apply(keys, &self.slots, values, own, kept)? {
                let columns = self.groups.columns_mut().inner_mut();
                columns.update_call(call, &turnover.groups, &turnover.values, &turnover.signs)?;
                call += 1;
            }
        }
        Ok(())
    }

    /// The results of the touched keys, of which those in slots below `known` had been there.
    fn results(&self, known: usize) -> Result<Results> {
        let columns = &self.groups.table().columns;
        let mut of_groups = columns.inner().evaluate(Some(&self.touched.slots))?;
        let present = match self.spec.retract {
            true => integers(&of_groups.remove(0))?.iter().map(|rows| *rows > 0).collect(),
            // A key that was forgotten may have its old slot, or that of another.
            false if self.spec.forgetting.is_timed() => {
                self.touched.slots.iter().map(|slot| columns.is_kept(*slot)).collect()
            }
            false => self.touched.slots.iter().map(|slot| (*slot as usize) < known).collect(),
        };
        let column = |place: &Place| match *place {
            Place::Group(column) => Ok(Arc::clone(&of_groups[column])),
            Place::Extreme(extreme) => self.extremes[extreme].evaluate(),
        };
        let columns = self.results.iter().map(column).collect::<Result<_>>()?;
        Ok(Results { columns, present })
    }

    /// What leaves, in order of keys' appearance.
    fn changes(&self, before: &Results, after: &Results) -> Result<Option<Changes>> {
        let differs = differs(before, after, self.touched.slots.len())?;
        let repeats = self.spec.forgetting.repeats();
        // Which key, and whether its old (0) or its new (1) result.
        let mut rows: Vec<(usize, usize)> = Vec::with_capacity(2 * self.touched.slots.len());
        let mut kinds = Vec::with_capacity(2 * self.touched.slots.len());
        for key in 0..self.touched.slots.len() {
            match (before.present[key], after.present[key]) {
                (false, true) => {
                    rows.push((1, key));
                    kinds.push(ChangeKind::Insert);
                }
                (true, false) => {
                    rows.push((0, key));
                    kinds.push(ChangeKind::Delete);
                }
                (true, true) if repeats || differs.value(key) => {
                    if self.spec.emit_update_before {
                        rows.push((0, key));
                        kinds.push(ChangeKind::UpdateBefore);
                    }
                    rows.push((1, key));
                    kinds.push(ChangeKind::UpdateAfter);
                }
                _ => {}
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let slots: Vec<u32> = rows.iter().map(|(_, key)| self.touched.slots[*key]).collect();
        let mut columns = self.groups.table().index.gather(&slots)?;
        if rows.iter().all(|(version, _)| *version == 1) {
            if rows.len() == self.touched.slots.len() {
                columns.extend(after.columns.iter().cloned());
            } else {
                let keys = UInt32Array::from_iter_values(rows.iter().map(|(_, key)| *key as u32));
                columns.extend(take_arrays(&after.columns, &keys, None)?);
            }
        } else {
            for (old, new) in before.columns.iter().zip(&after.columns) {
                columns.push(interleave(&[old, new], &rows)?);
            }
        }
        Ok(Some(Changes::new(batch_of(&self.spec.output, columns, rows.len())?, kinds)))
    }

    /// Forgets the touched keys whose rows have all gone.
    fn remove_empty(&mut self) -> Result<()> {
        let rows = &self.groups.table().columns.inner().evaluate(Some(&self.touched.slots))?[0];
        let empty = integers(rows)?.iter().zip(&self.touched.slots).filter(|(rows, _)| **rows == 0);
        let empty: Vec<u32> = empty.map(|(_, slot)| *slot).collect();
        self.groups.remove(&empty);
        Ok(())
    }
}

/// Whether the results of a key differ.
fn differs(before: &Results, after: &Results, keys: usize) -> Result<BooleanArray> {
    Ok(arrow::compute::not(&same_rows(&before.columns, &after.columns, keys)?)?)
}

/// `[rows]`: whether two rows are the same in all columns; NULL equals NULL.
pub(super) fn same_rows(one: &[ArrayRef], other: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
    let mut same: Option<BooleanArray> = None;
    for (one, other) in one.iter().zip(other) {
        let column = match one.data_type().is_nested() {
            true => {
                let order = make_comparator(one, other, SortOptions::default())?;
                BooleanArray::from(BooleanBuffer::collect_bool(rows, |row| order(row, row).is_eq()))
            }
            false => not_distinct(one, other)?,
        };
        same = Some(match same {
            None => column,
            Some(same) => arrow::compute::and(&same, &column)?,
        });
    }
    Ok(same.unwrap_or_else(|| BooleanArray::new(BooleanBuffer::new_set(rows), None)))
}
