//! Windows whose bounds follow from the time of a row: each row once for each of its windows.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef, TimestampMillisecondType};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::Result;

use super::copies::Copies;
use crate::expressions::{external, instants, local};
use crate::operators::WindowKind;
use crate::plan::windows::{Bounds, copies};
use crate::stream::Zone;

/// How a batch becomes the batch of one of its windows.
#[derive(Debug)]
pub(super) struct WindowCopies {
    /// Windows start so many milliseconds apart.
    every: i64,
    offset: i64,
    /// Those that may hold a row.
    windows: Vec<Bounds>,
    /// The input's column with the time.
    time: usize,
    /// The input's columns that go on.
    kept: Vec<usize>,
    /// In which zone the windows lie.
    zone: Zone,
    /// Those, then the bounds.
    schema: SchemaRef,
}

impl WindowCopies {
    pub(super) fn new(window: WindowKind, zone: Zone, time: usize, kept: Vec<usize>, schema: SchemaRef) -> Self {
        Self {
            every: window.starts_every_ms(),
            offset: window.starts_offset_ms(),
            windows: (0..copies(window)).map(|number| Bounds::of(window, number)).collect(),
            time,
            kept,
            zone,
            schema,
        }
    }

    /// Rows with the bounds of their windows; `times` are local.
    fn bounded(&self, rows: &RecordBatch, times: &ArrayRef, bounds: &Bounds) -> Result<RecordBatch> {
        let Self { every, offset, .. } = *self;
        let size = bounds.size;
        let times = times.as_primitive::<TimestampMillisecondType>();
        let bound = |plus: i64| -> ArrayRef {
            let moved: PrimitiveArray<TimestampMillisecondType> = times.unary(|time| {
                let into = time.wrapping_sub(offset).rem_euclid(every);
                time.wrapping_sub(into).wrapping_add(plus)
            });
            Arc::new(moved)
        };
        let start = bounds.before.wrapping_mul(every).wrapping_neg();
        let bounds = [bound(start), bound(start.wrapping_add(size)), bound(start.wrapping_add(size - 1))];
        with_bounds(rows, &self.kept, bounds, &self.schema, self.zone)
    }
}

/// The columns `kept` of rows and the bounds of their windows: start, end and last millisecond, all local. The last is an
/// instant where the schema says so.
pub(super) fn with_bounds(
    rows: &RecordBatch,
    kept: &[usize],
    [start, end, mut last]: [ArrayRef; 3],
    schema: &SchemaRef,
    zone: Zone,
) -> Result<RecordBatch> {
    if let DataType::Timestamp(_, Some(_)) = schema.field(kept.len() + 2).data_type() {
        last = instants(&last, zone).map_err(external)?;
    }
    let columns = kept.iter().map(|index| Arc::clone(rows.column(*index))).chain([start, end, last]);
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect(), &options)?)
}

impl Copies for WindowCopies {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn count(&self) -> usize {
        self.windows.len()
    }

    /// The rows in one of the windows that may hold them.
    fn copy(&self, rows: &RecordBatch, number: usize) -> Result<RecordBatch> {
        let Self { every, offset, .. } = *self;
        let bounds = &self.windows[number];
        let times = local(rows.column(self.time), self.zone).map_err(external)?;
        let longer = bounds.before.wrapping_add(1).wrapping_mul(every).wrapping_sub(bounds.size);
        if longer > 0 {
            // The window ends so much before the next one starts.
            let is_inside =
                |time: Option<i64>| time.map(|time| time.wrapping_sub(offset).rem_euclid(every) < every - longer);
            let inside: BooleanArray = times.as_primitive::<TimestampMillisecondType>().iter().map(is_inside).collect();
            return self.bounded(&filter_record_batch(rows, &inside)?, &filter(&times, &inside)?, bounds);
        }
        self.bounded(rows, &times, bounds)
    }

    fn text(&self) -> String {
        let size = self.windows.iter().map(|bounds| bounds.size).max().unwrap_or(0);
        format!("{} windows of {size} ms at most, every {} ms", self.windows.len(), self.every)
    }
}
