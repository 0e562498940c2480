//! The aggregate functions over typed columns: one vector per state field, addressed by slot.
//!
//! An aggregate has a state that is a few plain columns. Rows are added to it, partial states of another task are
//! merged into it, and the result is computed from it without consuming it. Calls with DISTINCT over one argument share
//! the values of each slot.

mod any_value;
mod approximate_count;
mod arrival;
mod count;
mod decimal;
mod distinct;
mod extreme;
mod float;
mod integer;
mod multiset;
mod slot_values;
mod state;
mod value_queue;
mod variance;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Schema, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

use crate::error::{Error, Result};
pub use crate::expressions::{AggregateFunction, Constant};
use crate::state::SlotColumns;
use any_value::AnyValue;
use approximate_count::ApproximateCount;
use arrival::{Arrivals, Wanted};
use count::Count;
use decimal::DecimalSum;
use distinct::DistinctValues;
use extreme::{BytesExtreme, Extreme, Kept};
use float::FloatSum;
use integer::IntegerSum;
use multiset::{Multiset, Wanted as MultisetResult};
use state::{AggregateState, Rows};
use variance::Variance;

/// One aggregate of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// What is computed.
    pub function: AggregateFunction,
    /// The column of the raw rows that it is computed from; `None` is `COUNT(*)`.
    pub argument: Option<usize>,
    /// Whether a value counts once, however often it comes.
    pub distinct: bool,
    /// How often a row's value counts, by column of the raw rows: the frequency of PERCENTILE.
    pub weight: Option<usize>,
    /// What the call says besides its argument.
    pub constant: Constant,
    /// Whether rows can be taken back, which those that go by the order of rows have to know.
    pub retract: bool,
    /// Whether it is over sessions, which become one when a row comes between them: the same.
    pub of_sessions: bool,
    /// The boolean column of the raw rows that says which rows count: the FILTER clause.
    pub filter: Option<usize>,
    /// The type of the argument; of no account for `COUNT`.
    pub input_type: DataType,
    /// Name and type of the result.
    pub output: Field,
}

/// What computes a call, were it not for DISTINCT.
fn kernel(call: &AggregateCall) -> Result<Box<dyn AggregateState>> {
    use AggregateFunction as F;
    let AggregateCall { function, input_type: input, .. } = call;
    let function = *function;
    let arrivals = |wanted| match call.of_sessions {
        true => Arrivals::of_sessions(wanted, input.clone(), call.distinct),
        false => Arrivals::new(wanted, input.clone(), call.retract),
    };
    let output = function.output_type(Some(input)).map_err(|reason| Error::bug(format!("{function}: {reason}")))?;
    let average = function == F::Avg;
    Ok(match (function, input) {
        (F::Count, _) => Box::new(Count::default()),
        (F::ApproxCountDistinct, _) => Box::new(ApproximateCount::default()),
        (F::Variance { sample }, _) => Box::new(Variance::new(sample, false, output)),
        (F::Deviation { sample }, _) => Box::new(Variance::new(sample, true, output)),
        (F::FirstValue | F::LastValue, _) => {
            let (kept, wanted) = match function {
                F::FirstValue => (Kept::First, Wanted::First),
                _ => (Kept::Last, Wanted::Last),
            };
            let is_plain = !call.retract && !call.of_sessions;
            if !is_plain {
                return Ok(Box::new(arrivals(wanted)?));
            }
            match (one_of(kept, input), AnyValue::new(kept, input.clone())?) {
                (Some(state), _) => state,
                (None, Some(state)) => Box::new(state),
                (None, None) => Box::new(arrivals(wanted)?),
            }
        }
        (F::ArrayAgg, _) => Box::new(arrivals(Wanted::Array)?),
        (F::ListAgg, _) => Box::new(arrivals(Wanted::Text(call.constant.separator()))?),
        (F::Collect, _) => Box::new(Multiset::new(MultisetResult::Counts(output), input.clone())?),
        (F::Percentile { several }, DataType::Float64) => {
            let result = MultisetResult::Percentiles { parts: call.constant.percentages(), several };
            Box::new(Multiset::new(result, input.clone())?)
        }
        (F::Min | F::Max, _) => {
            let kept = if function == F::Max { Kept::Greatest } else { Kept::Least };
            one_of(kept, input).ok_or_else(|| no_kernel(function, input))?
        }
        (F::Sum | F::Avg, DataType::Int8) => Box::new(IntegerSum::<Int8Type>::new(average)),
        (F::Sum | F::Avg, DataType::Int16) => Box::new(IntegerSum::<Int16Type>::new(average)),
        (F::Sum | F::Avg, DataType::Int32) => Box::new(IntegerSum::<Int32Type>::new(average)),
        (F::Sum | F::Avg, DataType::Int64) => Box::new(IntegerSum::<Int64Type>::new(average)),
        (F::Sum | F::Avg, DataType::Float32) => Box::new(FloatSum::<Float32Type>::new(average)),
        (F::Sum | F::Avg, DataType::Float64) => Box::new(FloatSum::<Float64Type>::new(average)),
        (F::Sum | F::Avg, DataType::Decimal128(_, scale)) => Box::new(DecimalSum::new(average, *scale)),
        (F::Sum | F::Avg | F::Percentile { .. }, other) => return Err(no_kernel(function, other)),
    })
}

/// What keeps one of the values, if they are plain ones, texts or bytes.
fn one_of(kept: Kept, input: &DataType) -> Option<Box<dyn AggregateState>> {
    macro_rules! extreme {
        ($type:ty) => {
            Box::new(Extreme::<$type>::new(kept, input.clone()))
        };
    }
    Some(match input {
        DataType::Int8 => extreme!(Int8Type),
        DataType::Int16 => extreme!(Int16Type),
        DataType::Int32 => extreme!(Int32Type),
        DataType::Int64 => extreme!(Int64Type),
        DataType::Float32 => extreme!(Float32Type),
        DataType::Float64 => extreme!(Float64Type),
        DataType::Decimal128(..) => extreme!(Decimal128Type),
        DataType::Date32 => extreme!(Date32Type),
        DataType::Time32(TimeUnit::Second) => extreme!(Time32SecondType),
        DataType::Time32(_) => extreme!(Time32MillisecondType),
        DataType::Time64(TimeUnit::Nanosecond) => extreme!(Time64NanosecondType),
        DataType::Time64(_) => extreme!(Time64MicrosecondType),
        DataType::Timestamp(TimeUnit::Second, _) => extreme!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => extreme!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => extreme!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => extreme!(TimestampNanosecondType),
        DataType::Utf8 | DataType::Binary => Box::new(BytesExtreme::new(kept, input.clone())),
        _ => return None,
    })
}

/// The binder lets nothing through that has none.
fn no_kernel(function: AggregateFunction, input: &DataType) -> Error {
    Error::bug(format!("no kernel for {function} of {input}"))
}

impl AggregateCall {
    /// A function over a column of that type, or `COUNT(*)`: over all its values, without a filter.
    pub fn new(function: AggregateFunction, argument: Option<usize>, input_type: DataType, output: Field) -> Self {
        let (weight, constant) = (None, Constant::None);
        let (distinct, retract, of_sessions, filter) = (false, false, false, None);
        Self { function, argument, distinct, weight, constant, retract, of_sessions, filter, input_type, output }
    }

    /// The text of what is computed, over the columns of the raw rows: `SUM(DISTINCT price) FILTER (WHERE open)`.
    pub fn text(&self, input: &Schema) -> String {
        let column = |index: usize| input.field(index).name();
        let argument = self.argument.map_or("*", |index| column(index));
        let filter = self.filter.map_or(String::new(), |index| format!(" FILTER (WHERE {})", column(index)));
        let distinct = self.quantifier();
        let weight = self.weight.map_or(String::new(), |index| format!(", {}", column(index)));
        format!("{}({distinct}{argument}{}{weight}){filter}", self.function, self.constant)
    }

    /// The same over rows that can be taken back: from a sketch of different values none can go, so that they are counted
    /// one by one.
    pub fn over_changes(mut self) -> Self {
        if self.function == AggregateFunction::ApproxCountDistinct {
            (self.function, self.distinct) = (AggregateFunction::Count, true);
        }
        self
    }

    /// What stands in front of the argument: `DISTINCT ` or nothing.
    pub(super) fn quantifier(&self) -> &'static str {
        if self.distinct { "DISTINCT " } else { "" }
    }

    /// Whether the different values have to be known.
    pub fn needs_values(&self) -> bool {
        // Values in their order have their numbers with them in sessions.
        self.distinct && !self.function.ignores_duplicates() && !(self.of_sessions && self.function.is_ordered())
    }

    /// The same over each value once that comes in.
    pub(super) fn plain(&self) -> Self {
        Self { distinct: false, ..self.clone() }
    }
}

/// The state fields of a partial row of these calls: `$0_count`, `$1_sum`, `$1_count` and so on; those of values that
/// calls share are behind all others, under the first of the calls.
pub fn state_fields(calls: &[AggregateCall]) -> Result<Vec<Field>> {
    Ok(Aggregates::new(calls)?.fields())
}

/// The calls that have to know different values, by argument, each with its index.
pub(super) fn by_distinct_argument(calls: &[AggregateCall]) -> Vec<Vec<(usize, AggregateCall)>> {
    let mut groups: Vec<Vec<(usize, AggregateCall)>> = Vec::new();
    for (index, call) in calls.iter().enumerate().filter(|(_, call)| call.needs_values()) {
        match groups.iter_mut().find(|group| group[0].1.argument == call.argument) {
            Some(group) => group.push((index, call.clone())),
            None => groups.push(vec![(index, call.clone())]),
        }
    }
    groups
}

/// The state fields of a partial under the names that a state table has in its files: `sum_price` for the sum that
/// `AVG(price)` needs. Names in `taken` are not used again.
pub(super) fn readable(states: &[FieldRef], calls: &[AggregateCall], taken: &[FieldRef]) -> Vec<FieldRef> {
    let mut names: Vec<String> = taken.iter().map(|field| field.name().clone()).collect();
    let mut rename = |field: &FieldRef| {
        let (index, part) = field.name().trim_start_matches('$').split_once('_').unwrap_or(("", field.name()));
        let result =
            index.parse().ok().and_then(|index: usize| calls.get(index)).map(|call| call.output.name().as_str());
        let argument = result.map(|name| name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')')));
        let argument = argument.map(|argument| argument.trim_start_matches("DISTINCT "));
        let mut name = match argument {
            None | Some("*" | "") => part.trim_start_matches('$').to_owned(),
            Some(argument) => format!("{part}_{argument}"),
        };
        while names.contains(&name) {
            name.push('_');
        }
        names.push(name.clone());
        Arc::new(field.as_ref().clone().with_name(name))
    };
    states.iter().map(&mut rename).collect()
}

/// The states of several aggregates for all slots.
#[derive(Debug)]
pub struct Aggregates {
    plain: Vec<Plain>,
    distinct: Vec<(usize, DistinctValues)>,
    /// Where the result of each call is found.
    results: Vec<Place>,
    slots: usize,
}

/// A call with a state of its own.
#[derive(Debug)]
struct Plain {
    index: usize,
    call: AggregateCall,
    state: Box<dyn AggregateState>,
}

/// Where a call is computed.
#[derive(Debug, Clone, Copy)]
enum Place {
    Plain(usize),
    /// Which values, and which of their calls.
    Distinct(usize, usize),
}

impl Aggregates {
    /// No slots yet.
    pub fn new(calls: &[AggregateCall]) -> Result<Self> {
        let mut plain = Vec::new();
        let mut results = vec![Place::Plain(0); calls.len()];
        for (index, call) in calls.iter().enumerate().filter(|(_, call)| !call.needs_values()) {
            results[index] = Place::Plain(plain.len());
            plain.push(Plain { index, call: call.clone(), state: kernel(call)? });
        }
        let mut distinct = Vec::new();
        for group in by_distinct_argument(calls) {
            let first = group[0].0;
            let mut states = Vec::new();
            for (within, (index, call)) in group.into_iter().enumerate() {
                results[index] = Place::Distinct(distinct.len(), within);
                let state = kernel(&call)?;
                states.push((call, state));
            }
            distinct.push((first, DistinctValues::new(states)?));
        }
        Ok(Self { plain, distinct, results, slots: 0 })
    }

    /// Adds raw rows, each to its slot, or takes away those whose sign is −1 (of plain calls only).
    pub fn update(&mut self, slots: &[u32], batch: &RecordBatch, signs: Option<&[i64]>) -> Result<()> {
        for Plain { call, state, .. } in &mut self.plain {
            let values = call.argument.map(|index| batch.column(index));
            let counted = counted(call, batch)?;
            let weights = call.weight.map(|index| batch.column(index));
            state.update(&Rows { slots, values, weights, counted, signs })?;
        }
        if signs.is_some() && !self.distinct.is_empty() {
            return Err(Error::bug("different values of rows that are taken back are kept in a table of their own"));
        }
        self.distinct.iter_mut().try_for_each(|(_, values)| values.update(slots, batch))
    }

    /// Adds values to the state of one plain call, or takes away those whose sign is −1.
    pub(super) fn update_call(&mut self, call: usize, slots: &[u32], values: &ArrayRef, signs: &[i64]) -> Result<()> {
        match self.results.get(call) {
            Some(Place::Plain(plain)) => {
                let rows = Rows { slots, values: Some(values), weights: None, counted: None, signs: Some(signs) };
                self.plain[*plain].state.update(&rows)
            }
            _ => Err(Error::bug("a value for a call that is not there")),
        }
    }

    /// Takes partial states away again; see [`invertible`](Self::invertible).
    pub fn unmerge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.merge_signed(slots, columns, -1)
    }

    /// Whether partial states can be taken away again.
    pub fn invertible(&self) -> bool {
        self.plain.iter().all(|plain| plain.state.invertible())
            && self.distinct.iter().all(|(_, values)| values.invertible())
    }

    /// Values that are held beside one state a slot: those of DISTINCT.
    pub fn held_values(&self) -> usize {
        self.distinct.iter().map(|(_, values)| values.len()).sum()
    }

    /// The results of `slots`, or of all slots in order: a column per aggregate.
    pub fn evaluate(&self, slots: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        let result = |place: &Place| match *place {
            Place::Plain(plain) => self.plain[plain].state.evaluate(slots),
            Place::Distinct(values, call) => self.distinct[values].1.evaluate(call, slots),
        };
        self.results.iter().map(result).collect()
    }

    /// The partial states of rows that are not combined with any other: one state a row.
    pub fn each(calls: &[AggregateCall], batch: &RecordBatch, signs: Option<&[i64]>) -> Result<Vec<ArrayRef>> {
        let mut states = Self::new(calls)?;
        states.resize(batch.num_rows());
        let slots: Vec<u32> = (0..batch.num_rows() as u32).collect();
        states.update(&slots, batch, signs)?;
        states.take()
    }

    /// There may be columns for the leading plain calls only.
    fn merge_signed(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let mut rest = columns;
        for Plain { state, .. } in &mut self.plain {
            if rest.is_empty() {
                return Ok(());
            }
            let (own, others) = rest.split_at_checked(state.fields().len()).ok_or_else(too_few)?;
            state.merge(slots, own, sign)?;
            rest = others;
        }
        for (_, values) in &mut self.distinct {
            let (own, others) = rest.split_at_checked(values.fields().len()).ok_or_else(too_few)?;
            values.merge(slots, own, sign)?;
            rest = others;
        }
        Ok(())
    }
}

fn too_few() -> Error {
    Error::bug("a partial state lacks columns")
}

impl SlotColumns for Aggregates {
    fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for Plain { index, state, .. } in &self.plain {
            let field = |(name, data_type, nullable)| Field::new(format!("${index}_{name}"), data_type, nullable);
            fields.extend(state.fields().into_iter().map(field));
        }
        for (index, values) in &self.distinct {
            let field = |(name, data_type)| Field::new(format!("${index}_{name}"), data_type, false);
            fields.extend(values.fields().into_iter().map(field));
        }
        fields
    }

    fn resize(&mut self, slots: usize) {
        if slots > self.slots {
            self.plain.iter_mut().for_each(|plain| plain.state.resize(slots));
            self.distinct.iter_mut().for_each(|(_, values)| values.resize(slots));
            self.slots = slots;
        }
    }

    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.clear(slots);
        self.merge(slots, columns)
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.merge_signed(slots, columns, 1)
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::new();
        for plain in &self.plain {
            columns.extend(plain.state.gather(slots)?);
        }
        for (_, values) in &self.distinct {
            columns.extend(values.gather(slots)?);
        }
        Ok(columns)
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        self.slots = 0;
        let mut columns = Vec::new();
        for plain in &mut self.plain {
            columns.extend(plain.state.take()?);
        }
        for (_, values) in &mut self.distinct {
            columns.extend(values.take()?);
        }
        Ok(columns)
    }

    fn clear(&mut self, slots: &[u32]) {
        self.plain.iter_mut().for_each(|plain| plain.state.clear(slots));
        self.distinct.iter_mut().for_each(|(_, values)| values.clear(slots));
    }

    fn is_ordered(&self) -> bool {
        let distinct = self.distinct.iter().flat_map(|(_, values)| values.calls());
        self.plain.iter().map(|plain| &plain.call).chain(distinct).any(|call| call.function.is_ordered())
    }

    fn bytes(&self) -> usize {
        let plain: usize = self.plain.iter().map(|plain| plain.state.bytes()).sum();
        plain + self.distinct.iter().map(|(_, values)| values.bytes()).sum::<usize>()
    }
}

/// Which rows count for a call; all where absent.
pub(super) fn counted(call: &AggregateCall, batch: &RecordBatch) -> Result<Option<NullBuffer>> {
    let argument = call.argument.filter(|_| !call.function.counts_nulls());
    let values = argument.and_then(|index| batch.column(index).logical_nulls());
    let filter = match call.filter {
        None => None,
        Some(index) => {
            let Some(filter) = batch.column(index).as_any().downcast_ref::<BooleanArray>() else {
                return Err(Error::bug(format!("the FILTER of {} is no BOOLEAN", call.function)));
            };
            let counted = NullBuffer::new(filter.values().clone());
            NullBuffer::union(Some(&counted), filter.nulls())
        }
    };
    let counted = NullBuffer::union(values.as_ref(), filter.as_ref());
    Ok(counted.filter(|counted| counted.null_count() > 0))
}

#[cfg(test)]
mod tests;
