//! The columns that a late row carries besides its own: who refused it, when, and why.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array,
    new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{filter_record_batch, is_not_null, not, take_arrays};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::Context;
use super::local_time::LocalTime;
use crate::error::Result;
use crate::state::batch_of;
use crate::stream::{Changes, Counter};

/// The row's last window had closed by the watermark of its own split.
pub const WINDOW_FIRED: &str = "window_fired";
/// The row was on time by the watermark of its own split. But that split had been idle, and the others had moved on and
/// closed the row's last window.
pub const SPLIT_IDLE: &str = "split_idle";

/// The row's time lies further behind the time at which it was stored than its table allows.
pub const FUTURE: &str = "future";

/// Names of the columns that [`late_columns`] appends, in order.
pub const LATE_COLUMNS: [&str; 6] = ["operator", "watermark", "window_start", "window_end", "lateness_ms", "reason"];

/// `operator STRING, watermark TIMESTAMP(3), window_start TIMESTAMP(3), window_end TIMESTAMP(3), lateness_ms BIGINT,
/// reason STRING`: the operator that refused the row, the watermark that the row met in its own split, the last
/// window that would have held it (NULL where there is none), by how many milliseconds the watermark had passed that
/// window's last moment, and one of `window_fired`, `split_idle`, `future`. Of a row from the future the operator and the
/// reason are known alone.
pub fn late_columns() -> Vec<Field> {
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, None);
    let types = [DataType::Utf8, timestamp.clone(), timestamp.clone(), timestamp, DataType::Int64, DataType::Utf8];
    LATE_COLUMNS.iter().zip(types).map(|(name, data_type)| Field::new(*name, data_type, true)).collect()
}

/// A row that an operator refuses for its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    /// Its place in the batch.
    pub(super) row: u32,
    /// The watermark that refuses it, and the one that it met in its own split: instants.
    pub(super) met: i64,
    pub(super) met_of_split: i64,
    /// The last window that would have held it, in local time.
    pub(super) start: i64,
    pub(super) end: i64,
    /// For so many milliseconds behind its end, in local time, the window took rows.
    pub(super) lateness_ms: i64,
}

/// The columns of late rows: some of the input's, then [`late_columns`].
pub(super) fn late_schema(input: &Schema, columns: &[usize]) -> SchemaRef {
    let own = columns.iter().map(|index| input.field(*index).clone());
    Arc::new(Schema::new(own.chain(late_columns()).collect::<Vec<_>>()))
}

/// The rows that do not come from the future, if any do: those are counted and leave on the late output with the columns of
/// [`late_schema`]. They have met no watermark.
pub(super) fn without_future(
    rows: &Changes,
    watermark: usize,
    schema: &SchemaRef,
    columns: &[usize],
    operator: &str,
    cx: &mut Context,
) -> Result<Option<Changes>> {
    if rows.column(watermark).null_count() == 0 {
        return Ok(None);
    }
    let present = is_not_null(rows.column(watermark))?;
    let future = filter_record_batch(rows.batch(), &not(&present)?)?;
    let count = future.num_rows();
    let mut own: Vec<ArrayRef> = columns.iter().map(|index| Arc::clone(future.column(*index))).collect();
    for (name, field) in LATE_COLUMNS.iter().zip(&schema.fields()[columns.len()..]) {
        own.push(match *name {
            "operator" => Arc::new(StringArray::from(vec![operator; count])),
            "reason" => Arc::new(StringArray::from(vec![FUTURE; count])),
            _ => new_null_array(field.data_type(), count),
        });
    }
    cx.count(Counter::NumFutureRecordsDropped, count);
    cx.late(batch_of(schema, own, count)?);
    Ok(Some(rows.filter(&present)?))
}

/// `[rows]`: which rows are not refused.
pub(super) fn kept(refused: &[Refused], rows: usize) -> BooleanArray {
    let mut keep = vec![true; rows];
    refused.iter().for_each(|late| keep[late.row as usize] = false);
    BooleanArray::new(BooleanBuffer::from(keep), None)
}

/// Counts the refused rows of a batch and lets them leave on the late output, with the columns of [`late_schema`].
pub(super) fn refuse(
    schema: &SchemaRef,
    batch: &RecordBatch,
    columns: &[usize],
    operator: &str,
    refused: &[Refused],
    local_time: &mut LocalTime,
    cx: &mut Context,
) -> Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let taken = UInt32Array::from_iter_values(refused.iter().map(|late| late.row));
    let own: Vec<ArrayRef> = columns.iter().map(|index| Arc::clone(batch.column(*index))).collect();
    let mut columns = take_arrays(&own, &taken, None)?;
    let times = |times: Vec<i64>| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(times)) };
    let met: Vec<i64> = refused.iter().map(|late| local_time.shown_at(late.met)).collect();
    let due: Vec<i64> = refused.iter().map(|late| local_time.due(late.end - 1)).collect();
    columns.push(Arc::new(StringArray::from_iter_values(refused.iter().map(|_| operator))));
    columns.push(times(met));
    columns.push(times(refused.iter().map(|late| late.start).collect()));
    columns.push(times(refused.iter().map(|late| late.end).collect()));
    let lateness = refused.iter().zip(&due).map(|(late, due)| late.met.saturating_sub(*due));
    columns.push(Arc::new(Int64Array::from_iter_values(lateness)));
    let reason = |late: &Refused| {
        let closed = local_time.due((late.end - 1).saturating_add(late.lateness_ms));
        if late.met_of_split >= closed { WINDOW_FIRED } else { SPLIT_IDLE }
    };
    columns.push(Arc::new(StringArray::from_iter_values(refused.iter().map(reason))));
    cx.count(Counter::NumLateRecordsDropped, refused.len());
    cx.late(batch_of(schema, columns, refused.len())?);
    Ok(())
}
