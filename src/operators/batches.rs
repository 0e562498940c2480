//! Batches of a bounded size, whatever the sizes of what they are made of, emitted as the output has room.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::{Context, Progress};
use crate::error::Result;
use crate::stream::Changes;
use crate::stream::batch_bytes;

/// Bytes of a batch at most, where its rows are not wider.
const BATCH_BYTES: usize = 4 << 20;

/// Collects small batches, cuts large ones, holds back what the output has no room for.
#[derive(Debug)]
pub(super) struct Batches {
    schema: SchemaRef,
    /// Rows of a batch at most.
    batch_rows: usize,
    /// Small ones that wait for more.
    parts: Vec<RecordBatch>,
    rows: usize,
    /// What waits for room, in order.
    waiting: VecDeque<RecordBatch>,
}

impl Batches {
    pub(super) fn new(schema: SchemaRef, batch_rows: usize) -> Self {
        Self { schema, batch_rows: batch_rows.max(1), parts: Vec::new(), rows: 0, waiting: VecDeque::new() }
    }

    /// Adds rows that only add to the result. `finish` has to follow before the call ends as done.
    pub(super) fn push(&mut self, batch: RecordBatch, cx: &mut Context) -> Result<Progress> {
        // Rows that are worth a batch of their own.
        let enough = self.batch_rows / 4;
        let is_large = batch.num_rows() >= enough;
        if self.rows + batch.num_rows() > self.batch_rows || is_large {
            self.collect()?;
        }
        if is_large {
            self.waiting.push_back(batch);
        } else {
            self.rows += batch.num_rows();
            self.parts.push(batch);
        }
        Ok(self.drain(cx))
    }

    /// Emits what was collected, as far as there is room.
    pub(super) fn finish(&mut self, cx: &mut Context) -> Result<Progress> {
        self.collect()?;
        Ok(self.drain(cx))
    }

    /// Emits what waits for room; small ones go on waiting for more.
    pub(super) fn drain(&mut self, cx: &mut Context) -> Progress {
        while let Some(batch) = self.waiting.front_mut() {
            if cx.is_full() {
                return Progress::More;
            }
            let rows = batch.num_rows();
            let row_bytes = (batch_bytes(batch) / rows.max(1)).max(1);
            let length = self.batch_rows.min((BATCH_BYTES / row_bytes).max(1));
            if rows <= length {
                cx.emit(Changes::inserts(batch.clone()));
                self.waiting.pop_front();
            } else {
                cx.emit(Changes::inserts(batch.slice(0, length)));
                *batch = batch.slice(length, rows - length);
            }
        }
        Progress::Done
    }

    /// Bytes of what has not been emitted.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().chain(&self.waiting).map(batch_bytes).sum()
    }

    /// Whether everything has been emitted.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0 && self.waiting.is_empty()
    }

    /// Makes one batch of the small ones.
    fn collect(&mut self) -> Result<()> {
        let parts = std::mem::take(&mut self.parts);
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(());
        }
        self.waiting.push_back(match &parts[..] {
            [only] => only.clone(),
            parts if self.schema.fields().is_empty() => {
                let rows = parts.iter().map(RecordBatch::num_rows).sum();
                crate::state::batch_of(&self.schema, Vec::new(), rows)?
            }
            parts => concat_batches(&self.schema, parts)?,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::super::OutputBudget;
    use super::*;
    use crate::stream::ProcTime;

    fn texts(rows: usize, width: usize) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8, true)]));
        let column = StringArray::from_iter_values((0..rows).map(|_| "x".repeat(width)));
        RecordBatch::try_new(schema, vec![Arc::new(column)]).unwrap()
    }

    fn lengths(cx: &mut Context) -> Vec<usize> {
        cx.take_out().iter().map(Changes::len).collect()
    }

    #[test]
    fn small_ones_are_collected_and_what_has_no_room_waits_in_order() {
        let mut batches = Batches::new(texts(0, 1).schema(), 8);
        let mut cx = Context::with_budget(ProcTime(0), OutputBudget { rows: 8, bytes: usize::MAX });
        for rows in [1, 1] {
            assert_eq!(batches.push(texts(rows, 1), &mut cx).unwrap(), Progress::Done);
        }
        assert_eq!(batches.push(texts(20, 1), &mut cx).unwrap(), Progress::More);
        assert_eq!(lengths(&mut cx), [2, 8], "the budget is passed by one batch at most");
        assert_eq!(batches.drain(&mut cx), Progress::More);
        assert_eq!(lengths(&mut cx), [8]);
        assert_eq!((batches.finish(&mut cx).unwrap(), lengths(&mut cx)), (Progress::Done, vec![4]));
        assert!(batches.is_empty());
    }

    #[test]
    fn wide_rows_are_bounded_by_their_bytes() {
        let mut batches = Batches::new(texts(0, 1).schema(), 8192);
        let mut cx = Context::new(ProcTime(0));
        let wide = 1 << 20;
        assert_eq!(batches.push(texts(40, wide), &mut cx).unwrap(), Progress::Done);
        assert_eq!(batches.finish(&mut cx).unwrap(), Progress::More);
        let emitted = lengths(&mut cx);
        assert!(emitted.iter().all(|rows| rows * wide <= BATCH_BYTES), "{emitted:?}");
        let bytes = emitted.iter().sum::<usize>() * wide;
        assert!(bytes <= (16 << 20) + BATCH_BYTES, "a call emits its budget and a batch: {bytes}");
    }
}
