//! Unwindowed GROUP BY over partials: each batch changes the results of the keys that it touches.
//!
//! A key that is touched leaves once a batch: `+I` when it is new, `-U` and `+U` when its result has changed, nothing
//! when it has not, `-D` when its last row has gone.

use std::fmt;
use std::sync::Arc;

use arrow::array::make_comparator;
use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{SortOptions, interleave, take_arrays};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use super::aggregate::{readable, state_fields};
use super::distinct_counts::DistinctCounts;
use super::touched::Touched;
use super::two_phase::{Split, global_texts, types_text};
use super::value_counts::ValueCounts;
use super::{AggregateCall, Aggregates, BuildContext, Context, Operator, OperatorSpec, Progress};
use crate::error::{Error, Result};
use crate::state::{KeyedTable, StateTable, batch_of, integers};
use crate::stream::{ChangeKind, Changes, EventTime};

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
        format!("GroupAggregate{retract}(keys and results of types [{types}]: {})", self.query)
    }

    fn output(&self) -> SchemaRef {
        SchemaRef::clone(&self.output)
    }

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
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
        let schema = Arc::new(Schema::new(columns));
        let groups = KeyedTable::new("groups", schema, self.keys, self.keys, Aggregates::new(&group_calls)?)?;
        let extreme = |(index, call): &(usize, AggregateCall)| ValueCounts::new(*index, call, &keys);
        let distinct = |calls: &Vec<(usize, AggregateCall)>| DistinctCounts::new(calls, &keys);
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
            watermark: EventTime::NONE,
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
        write!(out, "select=[{}])", global_texts(&self.calls))
    }
}

struct GroupAggregate {
    spec: GroupAggregateSpec,
    groups: KeyedTable<Aggregates>,
    extremes: Vec<ValueCounts>,
    distinct: Vec<DistinctCounts>,
    split: Split,
    results: Vec<Place>,
    /// How many state columns of a partial are merged into `groups`; the weights of values follow.
    merged: usize,
    /// The slot of each row of the present batch.
    slots: Vec<u32>,
    touched: Touched,
    watermark: EventTime,
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
            let changes = self.advance(&piece)?;
            if let Some(changes) = changes {
                cx.emit(changes);
            }
        }
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, _: &mut Context) -> Result<Progress> {
        self.watermark = self.watermark.max(time);
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        let mut tables: Vec<&mut dyn StateTable> = vec![&mut self.groups];
        tables.extend(self.extremes.iter_mut().map(|extreme| extreme as &mut dyn StateTable));
        tables.extend(self.distinct.iter_mut().map(|distinct| distinct as &mut dyn StateTable));
        tables
    }
}

impl GroupAggregate {
    fn advance(&mut self, partials: &Changes) -> Result<Option<Changes>> {
        let (keys, rest) = partials.batch().columns().split_at(self.spec.keys);
        let (values, states) = rest.split_at(self.extremes.len() + self.distinct.len());
        let (states, weights) = states.split_at(self.merged);
        let known = self.groups.table().index.slots();
        self.groups.assign(keys, partials.len(), &mut self.slots)?;
        self.touched.find(&self.slots, self.groups.table().index.slots());
        if !self.extremes.is_empty() {
            let touched = self.groups.table().index.gather(&self.touched.slots)?;
            for extreme in &mut self.extremes {
                extreme.begin(&touched, self.touched.slots.len())?;
            }
        }

        let before = self.results(known)?;
        self.groups.merge(&self.slots, states)?;
        let (extreme_values, distinct_values) = values.split_at(self.extremes.len());
        for (extreme, values) in self.extremes.iter_mut().zip(extreme_values) {
            extreme.apply(keys, values, &states[0])?;
        }
        self.apply_distinct(keys, distinct_values, weights)?;
        self.groups.touch(&self.touched.slots);
        let after = self.results(usize::MAX)?;
        self.extremes.iter_mut().for_each(ValueCounts::end);

        let changes = self.changes(&before, &after)?;
        if self.spec.retract {
            self.remove_empty()?;
        }
        Ok(changes)
    }

    /// Lets different values come and go, and computes what follows for the calls over them.
    fn apply_distinct(&mut self, keys: &[ArrayRef], values: &[ArrayRef], weights: &[ArrayRef]) -> Result<()> {
        let (mut weights, mut call) = (weights, self.split.merged_calls());
        for ((distinct, calls), values) in self.distinct.iter_mut().zip(&self.split.distinct).zip(values) {
            let (own, others) = weights.split_at(calls.len());
            weights = others;
            for turnover in distinct.apply(keys, &self.slots, values, own)? {
                let columns = self.groups.columns_mut();
                columns.update_call(call, &turnover.groups, &turnover.values, &turnover.signs)?;
                call += 1;
            }
        }
        Ok(())
    }

    /// The results of the touched keys, of which those in slots below `known` had been there.
    fn results(&self, known: usize) -> Result<Results> {
        let mut of_groups = self.groups.table().columns.evaluate(Some(&self.touched.slots))?;
        let present = match self.spec.retract {
            true => integers(&of_groups.remove(0))?.iter().map(|rows| *rows > 0).collect(),
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
                (true, true) if differs.value(key) => {
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
        let rows = &self.groups.table().columns.evaluate(Some(&self.touched.slots))?[0];
        let empty = integers(rows)?.iter().zip(&self.touched.slots).filter(|(rows, _)| **rows == 0);
        let empty: Vec<u32> = empty.map(|(_, slot)| *slot).collect();
        self.groups.remove(&empty);
        Ok(())
    }
}

/// Whether the results of a key differ; NULL equals NULL.
fn differs(before: &Results, after: &Results, keys: usize) -> Result<BooleanArray> {
    let mut differs: Option<BooleanArray> = None;
    for (old, new) in before.columns.iter().zip(&after.columns) {
        let column = match old.data_type().is_nested() {
            true => {
                let order = make_comparator(old, new, SortOptions::default())?;
                BooleanArray::from(BooleanBuffer::collect_bool(keys, |key| order(key, key).is_ne()))
            }
            false => distinct(old, new)?,
        };
        differs = Some(match differs {
            None => column,
            Some(differs) => arrow::compute::or(&differs, &column)?,
        });
    }
    Ok(differs.unwrap_or_else(|| BooleanArray::new(BooleanBuffer::new_unset(keys), None)))
}
