//! Windows whose bounds follow from the time of a row: each row once for each of its windows.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::Result;

use super::copies::Copies;
use crate::operators::WindowKind;
use crate::plan::windows::{Bounds, copies};

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
    /// Those, then the bounds.
    schema: SchemaRef,
}

impl WindowCopies {
    pub(super) fn new(window: WindowKind, time: usize, kept: Vec<usize>, schema: SchemaRef) -> Self {
        Self {
            every: window.starts_every_ms(),
            offset: window.starts_offset_ms(),
            windows: (0..copies(window)).map(|number| Bounds::of(window, number)).collect(),
            time,
            kept,
            schema,
        }
    }

    fn bounded(&self, rows: &RecordBatch, bounds: &Bounds) -> Result<RecordBatch> {
        let Self { every, offset, .. } = *self;
        let size = bounds.size;
        let times = rows.column(self.time).as_primitive::<TimestampMillisecondType>();
        let bound = |plus: i64| -> ArrayRef {
            let moved: PrimitiveArray<TimestampMillisecondType> = times.unary(|time| {
                let into = time.wrapping_sub(offset).rem_euclid(every);
                time.wrapping_sub(into).wrapping_add(plus)
            });
            Arc::new(moved)
        };
        let start = bounds.before.wrapping_mul(every).wrapping_neg();
        let bounds = [bound(start), bound(start.wrapping_add(size)), bound(start.wrapping_add(size - 1))];
        let columns = self.kept.iter().map(|index| Arc::clone(rows.column(*index))).chain(bounds);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect(), &options)?)
    }
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
        let longer = bounds.before.wrapping_add(1).wrapping_mul(every).wrapping_sub(bounds.size);
        if longer > 0 {
            // The window ends so much before the next one starts.
            let times = rows.column(self.time).as_primitive::<TimestampMillisecondType>();
            let is_inside =
                |time: Option<i64>| time.map(|time| time.wrapping_sub(offset).rem_euclid(every) < every - longer);
            let inside: BooleanArray = times.iter().map(is_inside).collect();
            return self.bounded(&filter_record_batch(rows, &inside)?, bounds);
        }
        self.bounded(rows, bounds)
    }

    fn text(&self) -> String {
        let size = self.windows.iter().map(|bounds| bounds.size).max().unwrap_or(0);
        format!("{} windows of {size} ms at most, every {} ms", self.windows.len(), self.every)
    }
}
