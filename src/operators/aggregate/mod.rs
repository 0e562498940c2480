//! COUNT, SUM, AVG, MIN and MAX over typed columns: one vector per state field, addressed by slot.
//!
//! An aggregate has a state that is a few plain columns. Rows are added to it, partial states of another task are
//! merged into it, and the result is computed from it without consuming it.

mod count;
mod decimal;
mod extreme;
mod float;
mod integer;
mod state;

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Date32Type, Decimal128Type, Field, FieldRef, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Schema, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use crate::error::{Error, Result};
use crate::state::SlotColumns;
use count::Count;
use decimal::DecimalSum;
use extreme::{BytesExtreme, Extreme};
use float::FloatSum;
use integer::IntegerSum;
use state::{AggregateState, Rows};

/// One aggregate of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// What is computed.
    pub function: AggregateFunction,
    /// The column of the raw rows that it is computed from; `None` is `COUNT(*)`.
    pub argument: Option<usize>,
    /// The boolean column of the raw rows that says which rows count: the FILTER clause.
    pub filter: Option<usize>,
    /// The type of the argument; of no account for `COUNT`.
    pub input_type: DataType,
    /// Name and type of the result.
    pub output: Field,
}

/// The aggregate functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

impl AggregateFunction {
    /// The type of the result for an argument of type `input`, by Flink's rules.
    pub fn output_type(self, input: &DataType) -> Result<DataType> {
        let refused = || {
            let message = format!("{self} does not support the type {input}");
            Err(Error::query(message).with_help("cast the argument to a type that it supports"))
        };
        match self {
            Self::Count => Ok(DataType::Int64),
            Self::Min | Self::Max => match self.extreme(input) {
                Some(_) => Ok(input.clone()),
                None => refused(),
            },
            Self::Sum | Self::Avg => match input {
                DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Ok(input.clone()),
                DataType::Float32 | DataType::Float64 => Ok(input.clone()),
                DataType::Decimal128(_, scale) => {
                    let scale = if self == Self::Sum { *scale } else { DecimalSum::average_scale(*scale) };
                    Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale))
                }
                _ => refused(),
            },
        }
    }

    /// Whether it is MIN or MAX, whose result under retraction needs every value and not just a sum.
    pub fn is_extreme(self) -> bool {
        matches!(self, Self::Min | Self::Max)
    }

    fn state(self, input: &DataType) -> Result<Box<dyn AggregateState>> {
        self.output_type(input)?;
        let average = self == Self::Avg;
        Ok(match (self, input) {
            (Self::Count, _) => Box::new(Count::default()),
            (Self::Sum | Self::Avg, DataType::Int8) => Box::new(IntegerSum::<Int8Type>::new(average)),
            (Self::Sum | Self::Avg, DataType::Int16) => Box::new(IntegerSum::<Int16Type>::new(average)),
            (Self::Sum | Self::Avg, DataType::Int32) => Box::new(IntegerSum::<Int32Type>::new(average)),
            (Self::Sum | Self::Avg, DataType::Int64) => Box::new(IntegerSum::<Int64Type>::new(average)),
            (Self::Sum | Self::Avg, DataType::Float32) => Box::new(FloatSum::<Float32Type>::new(average)),
            (Self::Sum | Self::Avg, DataType::Float64) => Box::new(FloatSum::<Float64Type>::new(average)),
            (Self::Sum | Self::Avg, DataType::Decimal128(_, scale)) => Box::new(DecimalSum::new(average, *scale)),
            _ => {
                let state = self.extreme(input);
                state.ok_or_else(|| Error::bug(format!("no kernel for {self} of {input}")))?
            }
        })
    }

    fn extreme(self, input: &DataType) -> Option<Box<dyn AggregateState>> {
        macro_rules! extreme {
            ($type:ty) => {
                Box::new(Extreme::<$type>::new(self == Self::Max, input.clone()))
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
            DataType::Utf8 | DataType::Binary => Box::new(BytesExtreme::new(self == Self::Max, input.clone())),
            _ => return None,
        })
    }
}

impl fmt::Display for AggregateFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::Min => "MIN",
            Self::Max => "MAX",
        })
    }
}

impl AggregateCall {
    /// The text of what is computed, over the columns of the raw rows: `SUM(price) FILTER (WHERE open)`.
    pub fn text(&self, input: &Schema) -> String {
        let column = |index: usize| input.field(index).name();
        let argument = self.argument.map_or("*", |index| column(index));
        let filter = self.filter.map_or(String::new(), |index| format!(" FILTER (WHERE {})", column(index)));
        format!("{}({argument}){filter}", self.function)
    }

    /// The state fields of call `index` in a partial row.
    pub fn state_fields(&self, index: usize) -> Result<Vec<Field>> {
        let fields = self.function.state(&self.input_type)?.fields().into_iter();
        let field = |(name, data_type, nullable)| Field::new(format!("${index}_{name}"), data_type, nullable);
        Ok(fields.map(field).collect())
    }
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
    calls: Vec<(AggregateCall, Box<dyn AggregateState>)>,
    slots: usize,
}

impl Aggregates {
    /// No slots yet.
    pub fn new(calls: &[AggregateCall]) -> Result<Self> {
        let state = |call: &AggregateCall| Ok((call.clone(), call.function.state(&call.input_type)?));
        Ok(Self { calls: calls.iter().map(state).collect::<Result<_>>()?, slots: 0 })
    }

    /// Adds raw rows, each to its slot, or takes away those whose sign is −1.
    pub fn update(&mut self, slots: &[u32], batch: &RecordBatch, signs: Option<&[i64]>) -> Result<()> {
        for (call, state) in &mut self.calls {
            let values = call.argument.map(|index| batch.column(index));
            let counted = counted(call, batch)?;
            state.update(&Rows { slots, values, counted, signs })?;
        }
        Ok(())
    }

    /// Takes partial states away again; see [`invertible`](Self::invertible).
    pub fn unmerge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.merge_signed(slots, columns, -1)
    }

    /// Whether partial states can be taken away again.
    pub fn invertible(&self) -> bool {
        self.calls.iter().all(|(_, state)| state.invertible())
    }

    /// The results of `slots`, or of all slots in order: a column per aggregate.
    pub fn evaluate(&self, slots: Option<&[u32]>) -> Result<Vec<ArrayRef>> {
        self.calls.iter().map(|(_, state)| state.evaluate(slots)).collect()
    }

    /// The partial states of rows that are not combined with any other: one state a row.
    pub fn each(calls: &[AggregateCall], batch: &RecordBatch, signs: Option<&[i64]>) -> Result<Vec<ArrayRef>> {
        let mut states = Self::new(calls)?;
        states.resize(batch.num_rows());
        let slots: Vec<u32> = (0..batch.num_rows() as u32).collect();
        states.update(&slots, batch, signs)?;
        states.take()
    }

    fn merge_signed(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let mut from = 0;
        for (_, state) in &mut self.calls {
            let to = from + state.fields().len();
            state.merge(slots, &columns[from..to], sign)?;
            from = to;
        }
        Ok(())
    }
}

impl SlotColumns for Aggregates {
    fn fields(&self) -> Vec<Field> {
        let field = |index, (name, data_type, nullable)| Field::new(format!("${index}_{name}"), data_type, nullable);
        let fields = |(index, (_, state)): (usize, &(AggregateCall, Box<dyn AggregateState>))| {
            state.fields().into_iter().map(move |state| field(index, state)).collect::<Vec<_>>()
        };
        self.calls.iter().enumerate().flat_map(fields).collect()
    }

    fn resize(&mut self, slots: usize) {
        if slots > self.slots {
            self.calls.iter_mut().for_each(|(_, state)| state.resize(slots));
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
        for (_, state) in &self.calls {
            columns.extend(state.gather(slots)?);
        }
        Ok(columns)
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        self.slots = 0;
        let mut columns = Vec::new();
        for (_, state) in &mut self.calls {
            columns.extend(state.take()?);
        }
        Ok(columns)
    }

    fn clear(&mut self, slots: &[u32]) {
        self.calls.iter_mut().for_each(|(_, state)| state.clear(slots));
    }

    fn bytes(&self) -> usize {
        self.calls.iter().map(|(_, state)| state.bytes()).sum()
    }
}

/// Which rows count for a call; all where absent.
pub(super) fn counted(call: &AggregateCall, batch: &RecordBatch) -> Result<Option<NullBuffer>> {
    let values = call.argument.and_then(|index| batch.column(index).logical_nulls());
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
