//! What happens to a chunk before its place in time is known: decode, compute columns, evaluate the watermark
//! expression. Runs on several workers at once; whoever reads puts the results back in order. Streaming and batch mode
//! share it, so that both judge bad rows alike.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, PrimitiveArray, RecordBatchOptions};
use arrow::compute::{is_not_null, not, nullif};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use super::stream_plan::{OnError, SourceNode};
use crate::connectors::{BadRow, Chunk, Decoder, Polled, Position};
use crate::error::{Error, Result};
use crate::expressions::{instant_type, moments};
use crate::stream::{Changes, EventTime, PROCTIME_COLUMN, ProcTime, WATERMARK_COLUMN};

/// How rows of one source are prepared; shared by its workers.
pub struct Preparation {
    node: SourceNode,
    /// The columns that leave, without the hidden one.
    schema: SchemaRef,
    /// With the hidden one, if it is carried.
    out_schema: SchemaRef,
    /// Decoders that no worker uses now.
    decoders: Mutex<Vec<Box<dyn Decoder>>>,
}

/// Rows that wait for their turn.
pub struct Prepared {
    rows: Changes,
    /// What each row leaves behind as watermark, if the table has a watermark: NULL for one from the future.
    watermarks: Option<ArrayRef>,
    /// `[rows]`, booleans: which rows do not lie too far in the future; all where there is none.
    present: Option<ArrayRef>,
    bad: Vec<BadRow>,
    /// The first row whose rowtime no calendar holds, and that time; the rows have none instead.
    far: Option<(usize, i64)>,
    /// Bytes that were decoded.
    pub bytes: usize,
    origin: Arc<str>,
    first_line: u64,
}

/// Rows in their place.
pub struct Placed {
    pub rows: Changes,
    /// Rows that were skipped by the table's error policy.
    pub skipped: usize,
    /// The split's watermark behind them.
    pub watermark: EventTime,
}

impl Preparation {
    /// `schema` is that of the plan's node: the names of the columns that leave.
    pub fn new(node: SourceNode, schema: &SchemaRef) -> Self {
        let rowtime = node.watermark.as_ref().map(|watermark| watermark.rowtime);
        let fields: Vec<Field> = node
            .columns
            .iter()
            .zip(schema.fields())
            .enumerate()
            .map(|(index, (column, field))| {
                let nullable = column.nullable() && rowtime != Some(index);
                Field::new(field.name(), column.data_type().clone(), nullable)
            })
            .collect();
        let mut with_watermark = fields.clone();
        if node.carry_proctime {
            with_watermark.push(Field::new(PROCTIME_COLUMN, instant_type(), false));
        }
        if node.carry_watermark {
            with_watermark.push(Field::new(WATERMARK_COLUMN, DataType::Int64, node.future_guard.is_some()));
        }
        Self {
            node,
            schema: Arc::new(Schema::new(fields)),
            out_schema: Arc::new(Schema::new(with_watermark)),
            decoders: Mutex::new(Vec::new()),
        }
    }

    /// A decoder that is free, if any.
    pub fn idle_decoder(&self) -> Option<Box<dyn Decoder>> {
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Decodes and computes; `decoder` is there for chunks.
    pub fn prepare(&self, polled: Payload, decoder: Option<Box<dyn Decoder>>) -> Result<Prepared> {
        match polled {
            Payload::Rows(rows) => {
                let (bytes, origin, stored) = (Bytes::new(), Arc::from(""), None);
                self.compute(rows, Vec::new(), Chunk { bytes, origin, first_line: 0, stored })
            }
            Payload::Chunk(chunk) => {
                let mut decoder = decoder.ok_or_else(|| Error::bug("a source of bytes has no decoder"))?;
                let decoded = decoder.decode(&chunk.bytes, chunk.first_line)?;
                self.decoders.lock().unwrap_or_else(PoisonError::into_inner).push(decoder);
                let rows = Changes::inserts(decoded.rows);
                self.compute(rows, decoded.bad, chunk)
            }
        }
    }

    /// The rows of a chunk, whatever it is they came from.
    fn compute(&self, rows: Changes, bad: Vec<BadRow>, chunk: Chunk) -> Result<Prepared> {
        let mut columns: Vec<ArrayRef> =
            self.node.columns.iter().map(|column| column.evaluate(rows.batch())).collect::<Result<_>>()?;
        // Before anything is computed from them, which may not be possible.
        let rowtime = self.node.watermark.as_ref().map(|watermark| &mut columns[watermark.rowtime]);
        let far = rowtime.and_then(take_far_times);
        // NULL rowtimes are judged when the rows have their place; until then the schema must allow them.
        let batch = nullable_batch(&self.schema, columns, rows.len())?;
        let watermarks =
            self.node.watermark.as_ref().map(|watermark| watermark.expression.evaluate(&batch)).transpose()?;
        let mut watermarks = watermarks
            .map(|values| arrow::compute::cast(&values, &DataType::Timestamp(TimeUnit::Millisecond, None)))
            .transpose()?;
        let present = self.present(&batch, chunk.stored);
        if let (Some(present), Some(watermarks)) = (&present, &mut watermarks) {
            *watermarks = nullif(watermarks, &not(present.as_boolean())?)?;
        }
        let Chunk { bytes, origin, first_line, .. } = chunk;
        let (rows, bytes) = (rows.with_batch(batch), bytes.len());
        Ok(Prepared { rows, watermarks, present, bad, far, bytes, origin, first_line })
    }

    /// Which rows do not lie too far in the future; `None` where all of them do not.
    fn present(&self, batch: &RecordBatch, stored: Option<ProcTime>) -> Option<ArrayRef> {
        let (guard, watermark) = (self.node.future_guard?, self.node.watermark.as_ref()?);
        let column = batch.column(watermark.rowtime);
        let times = column.as_primitive_opt::<TimestampMillisecondType>()?;
        let has_zone = matches!(column.data_type(), DataType::Timestamp(_, Some(_)));
        let latest = guard.latest(stored?, has_zone);
        // What lies below a NULL is no time.
        let is_future = |time: Option<i64>| time.is_some_and(|time| time > latest);
        let present = || times.iter().map(|time| Some(!is_future(time))).collect::<BooleanArray>();
        times.iter().any(is_future).then(|| Arc::new(present()) as ArrayRef)
    }

    /// Gives prepared rows their place behind everything that moved the split's watermark to `before`: bad rows go by
    /// the table's policy, each row gets the watermark that it meets, and the maximum moves on.
    /// `read_at` is the time of reading, which never steps back.
    pub fn place(&self, prepared: Prepared, before: EventTime, read_at: ProcTime) -> Result<Placed> {
        let skipped = self.judge(&prepared.bad, &prepared.origin)?;
        let Prepared { mut rows, mut watermarks, mut present, far, origin, first_line, .. } = prepared;
        let mut nulls = 0;
        if let Some(watermark) = &self.node.watermark
            && rows.column(watermark.rowtime).null_count() > 0
        {
            let times = rows.column(watermark.rowtime);
            let known: BooleanArray = is_not_null(times)?;
            nulls = times.null_count();
            if self.node.on_error == OnError::Fail {
                let row = not(&known)?.values().set_indices().next().unwrap_or(0);
                let far = far.filter(|(far, _)| *far == row).map(|(_, time)| time);
                return Err(self.no_rowtime(watermark.rowtime, &origin, first_line, row, far));
            }
            rows = rows.filter(&known)?;
            watermarks = watermarks.map(|values| arrow::compute::filter(&values, &known)).transpose()?;
            present = present.map(|present| arrow::compute::filter(&present, &known)).transpose()?;
        }
        let (met, watermark) = match &watermarks {
            None => (None, before),
            Some(values) => {
                let values = values.as_primitive::<TimestampMillisecondType>();
                if self.node.carry_watermark {
                    let (met, after) = running_maximum(values.values(), values.nulls(), before);
                    (Some(met), after)
                } else {
                    let most = arrow::compute::max(values).map_or(EventTime::NONE, EventTime);
                    (None, before.max(most))
                }
            }
        };
        let mut columns = rows.batch().columns().to_vec();
        if self.node.carry_proctime {
            columns.push(moments(read_at.0, rows.len()));
        }
        if self.node.carry_watermark {
            let met = met.unwrap_or_else(|| Int64Array::from(vec![before.0; rows.len()]));
            columns.push(match present {
                None => Arc::new(met),
                Some(present) => nullif(&met, &not(present.as_boolean())?)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.out_schema), columns, &options)?;
        Ok(Placed { rows: rows.with_batch(batch), skipped: skipped + nulls, watermark })
    }

    /// Counts bad rows that may be skipped; fails at the first that may not.
    fn judge(&self, bad: &[BadRow], origin: &str) -> Result<usize> {
        for row in bad {
            if self.node.on_error == OnError::Fail && !row.ignorable {
                return Err(self.bad_row(row, origin));
            }
        }
        Ok(bad.len())
    }

    fn bad_row(&self, row: &BadRow, origin: &str) -> Error {
        Error::data(format!(
            "table {}: {origin}, line {}: {}; the row is: {}",
            self.node.table,
            row.line,
            row.error,
            String::from_utf8_lossy(&row.raw).trim_end()
        ))
        .with_help("to count such rows and go on: SET 'beadline.on-error' = 'skip' before CREATE TABLE")
    }

    /// The error about a row without a time, or with one that is `far` from every calendar, in milliseconds.
    fn no_rowtime(&self, column: usize, origin: &str, first_line: u64, row: usize, far: Option<i64>) -> Error {
        let name = self.schema.field(column).name();
        let place = if origin.is_empty() {
            String::new()
        } else {
            format!(", {origin}, row {} from line {first_line}", row + 1)
        };
        let what = match far {
            None => "NULL".to_owned(),
            Some(time) => format!("{time} milliseconds from 1970, a time that no calendar holds"),
        };
        Error::data(format!("table {}{place}: the rowtime column `{name}` is {what}", self.node.table))
            .with_help("to count such rows and go on: SET 'beadline.on-error' = 'skip' before CREATE TABLE")
    }
}

/// What a worker gets.
pub enum Payload {
    Chunk(Chunk),
    Rows(Changes),
}

impl Payload {
    /// What a reader returned and the position behind it; `Err` with anything else.
    pub fn of(polled: Polled) -> Result<(Self, Position), Polled> {
        match polled {
            Polled::Chunk(chunk, position) => Ok((Self::Chunk(chunk), position)),
            Polled::Rows(rows, position) => Ok((Self::Rows(rows), position)),
            other => Err(other),
        }
    }
}

/// Times nearer to 1970 than this are certainly in the calendar, in milliseconds.
const NEAR_MS: i64 = 1 << 52;

/// Puts NULL in the place of times that no calendar holds, the ends of 64 bits among them, which mean "none yet" and
/// "no more rows" as watermarks; returns the first such row and its time.
fn take_far_times(column: &mut ArrayRef) -> Option<(usize, i64)> {
    let times = column.as_primitive_opt::<TimestampMillisecondType>()?;
    // All times within 140,000 years of 1970 become numbers below 2^53, and so does whatever bits they have in common:
    // two instructions a time, where a minimum and a maximum of 64 bits take many.
    let bits = times.values().iter().fold(0, |bits, time| bits | time.wrapping_add(NEAR_MS));
    if (0..2 * NEAR_MS).contains(&bits) {
        return None;
    }
    let is_far = |time: i64| chrono::DateTime::from_timestamp_millis(time).is_none();
    let first = times.iter().enumerate().find_map(|(row, time)| Some((row, time.filter(|time| is_far(*time))?)));
    let near = times.iter().map(|time| time.filter(|time| !is_far(*time)));
    if first.is_some() {
        let near = near.collect::<PrimitiveArray<TimestampMillisecondType>>();
        *column = Arc::new(near.with_data_type(times.data_type().clone()));
    }
    first
}

fn nullable_batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

/// For each row the maximum of `before` and of the values of the rows in front of it; and the maximum of all.
fn running_maximum(
    values: &[i64],
    nulls: Option<&arrow::buffer::NullBuffer>,
    before: EventTime,
) -> (Int64Array, EventTime) {
    let mut maximum = before.0;
    let mut met = Vec::with_capacity(values.len());
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => {
            for value in values {
                met.push(maximum);
                maximum = maximum.max(*value);
            }
        }
        Some(nulls) => {
            for (row, value) in values.iter().enumerate() {
                met.push(maximum);
                if nulls.is_valid(row) {
                    maximum = maximum.max(*value);
                }
            }
        }
    }
    (Int64Array::from(met), EventTime(maximum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::stream_plan::FutureGuard;
    use crate::stream::Zone;
    use arrow::array::TimestampMillisecondArray;

    #[test]
    fn times_that_no_calendar_holds_are_taken_out() {
        let times = |times: Vec<Option<i64>>| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(times)) };
        for near in [-8_000_000_000_000_000, 8_000_000_000_000_000, -NEAR_MS, NEAR_MS, NEAR_MS - 1, 0] {
            let mut column = times(vec![Some(1), None, Some(near)]);
            assert_eq!(take_far_times(&mut column), None);
            assert_eq!(&column, &times(vec![Some(1), None, Some(near)]));
        }
        for far in [i64::MIN, i64::MIN + 1, i64::MAX, 1 << 60] {
            let mut column = times(vec![Some(1), None, Some(far), Some(2), Some(far)]);
            assert_eq!(take_far_times(&mut column), Some((2, far)));
            assert_eq!(&column, &times(vec![Some(1), None, None, Some(2), None]));
        }
    }

    #[test]
    fn a_time_without_a_zone_is_read_on_the_clocks_of_the_session() {
        let guard = |zone: &str| FutureGuard { max_drift_ms: 10, zone: Zone::parse(zone).expect("a zone") };
        assert_eq!(guard("UTC").latest(ProcTime(1000), false), 1010);
        let berlin = guard("Europe/Berlin");
        assert_eq!([false, true].map(|has_zone| berlin.latest(ProcTime(1000), has_zone)), [3_601_010, 1010]);
        assert_eq!(berlin.latest(ProcTime(i64::MAX), true), i64::MAX);
    }

    #[test]
    fn a_row_meets_the_maximum_of_the_rows_before_it() {
        let (met, after) = running_maximum(&[5, 3, 9, 7], None, EventTime::NONE);
        assert_eq!(met.values().to_vec(), [i64::MIN, 5, 5, 9]);
        assert_eq!(after, EventTime(9));
        let nulls = arrow::buffer::NullBuffer::from(vec![true, false]);
        let (met, after) = running_maximum(&[5, 99], Some(&nulls), EventTime(4));
        assert_eq!((met.values().to_vec(), after), (vec![4, 5], EventTime(5)));
    }
}
