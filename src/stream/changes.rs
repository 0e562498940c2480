//! Rows on their way between operators: an Arrow batch and, where rows can be taken back, a kind for each.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;

/// What a row says about the result so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ChangeKind {
    /// `+I`: a new row.
    Insert,
    /// `-U`: the old version of a row that changes.
    UpdateBefore,
    /// `+U`: the new version of a row that changes.
    UpdateAfter,
    /// `-D`: a row that is gone.
    Delete,
}

impl ChangeKind {
    /// Flink's two letters.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Insert => "+I",
            Self::UpdateBefore => "-U",
            Self::UpdateAfter => "+U",
            Self::Delete => "-D",
        }
    }

    /// +1 for a row that comes, −1 for a row that goes.
    pub fn sign(self) -> i64 {
        match self {
            Self::Insert | Self::UpdateAfter => 1,
            Self::UpdateBefore | Self::Delete => -1,
        }
    }
}

/// A batch of rows with their kinds. "All `+I`" is the absence of kinds and costs nothing. Cloning shares.
#[derive(Debug, Clone)]
pub struct Changes {
    batch: RecordBatch,
    /// One kind a row; `None` where every row is an insert.
    kinds: Option<Arc<[ChangeKind]>>,
}

impl Changes {
    /// Rows that only add.
    pub fn inserts(batch: RecordBatch) -> Self {
        Self { batch, kinds: None }
    }

    /// Rows with a kind each; `kinds` must be as long as the batch.
    pub fn new(batch: RecordBatch, kinds: Vec<ChangeKind>) -> Self {
        assert_eq!(batch.num_rows(), kinds.len(), "one change kind a row");
        let all_inserts = kinds.iter().all(|kind| *kind == ChangeKind::Insert);
        Self { batch, kinds: (!all_inserts).then(|| kinds.into()) }
    }

    /// The same kinds over other columns of the same length.
    pub fn with_batch(&self, batch: RecordBatch) -> Self {
        assert_eq!(batch.num_rows(), self.batch.num_rows(), "a projection keeps its rows");
        Self { batch, kinds: self.kinds.clone() }
    }

    /// The columns.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Gives up the columns.
    pub fn into_batch(self) -> RecordBatch {
        self.batch
    }

    /// Column `index`.
    pub fn column(&self, index: usize) -> &ArrayRef {
        self.batch.column(index)
    }

    /// Names and types of the columns.
    pub fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    /// The kinds, or `None` where every row is an insert.
    pub fn kinds(&self) -> Option<&[ChangeKind]> {
        self.kinds.as_deref()
    }

    /// The kind of row `row`.
    pub fn kind(&self, row: usize) -> ChangeKind {
        self.kinds.as_ref().map_or(ChangeKind::Insert, |kinds| kinds[row])
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.batch.num_rows() == 0
    }

    /// Bytes that the rows keep alive, for the credit of a channel. A slice counts its share.
    pub fn bytes(&self) -> usize {
        batch_bytes(&self.batch) + self.kinds.as_ref().map_or(0, |kinds| kinds.len())
    }

    /// Rows `offset .. offset + length`, sharing the buffers of the columns.
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        let kinds = self.kinds.as_ref().map(|kinds| kinds[offset..offset + length].into());
        Self { batch: self.batch.slice(offset, length), kinds }
    }

    /// The rows where `keep` is true.
    pub fn filter(&self, keep: &BooleanArray) -> Result<Self> {
        let batch = filter_record_batch(&self.batch, keep)?;
        let kinds = self
            .kinds
            .as_ref()
            .map(|kinds| kinds.iter().enumerate().filter(|(row, _)| keep.value(*row)).map(|(_, kind)| *kind).collect());
        Ok(Self { batch, kinds })
    }

    /// The rows at `indices`, in that order.
    pub fn take(&self, indices: &UInt32Array) -> Result<Self> {
        let batch = take_record_batch(&self.batch, indices)?;
        let kinds = self.kinds.as_ref().map(|kinds| indices.values().iter().map(|row| kinds[*row as usize]).collect());
        Ok(Self { batch, kinds })
    }

    /// Pieces of at most `bytes` bytes, but for single rows that are larger.
    pub fn cut(self, bytes: usize) -> Vec<Changes> {
        if self.len() <= 1 || self.bytes() <= bytes {
            return vec![self];
        }
        let half = self.len() / 2;
        let mut pieces = self.slice(0, half).cut(bytes);
        pieces.extend(self.slice(half, self.len() - half).cut(bytes));
        pieces
    }

    /// Pieces of at most `rows` rows.
    pub fn pieces(&self, rows: usize) -> impl Iterator<Item = Changes> + '_ {
        assert!(rows > 0, "a piece holds at least one row");
        (0..self.len()).step_by(rows).map(move |offset| self.slice(offset, rows.min(self.len() - offset)))
    }
}

/// Collects batches of one schema into one.
#[derive(Debug)]
pub struct ChangesBuilder {
    schema: SchemaRef,
    parts: Vec<Changes>,
    rows: usize,
    bytes: usize,
}

impl ChangesBuilder {
    /// An empty collection of rows of `schema`.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, parts: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Adds rows; an empty batch leaves no trace.
    pub fn push(&mut self, changes: Changes) {
        if !changes.is_empty() {
            self.rows += changes.len();
            self.bytes += changes.bytes();
            self.parts.push(changes);
        }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Bytes of the rows so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is no row so far.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The collected rows as one batch, `None` if there are none; the builder is empty afterwards.
    pub fn finish(&mut self) -> Result<Option<Changes>> {
        self.rows = 0;
        self.bytes = 0;
        if self.parts.len() <= 1 {
            return Ok(self.parts.pop());
        }
        let batch = arrow::compute::concat_batches(&self.schema, self.parts.iter().map(Changes::batch))?;
        let changes = if self.parts.iter().all(|part| part.kinds.is_none()) {
            Changes::inserts(batch)
        } else {
            let kinds = self.parts.iter().flat_map(|part| (0..part.len()).map(|row| part.kind(row))).collect();
            Changes::new(batch, kinds)
        };
        self.parts.clear();
        Ok(Some(changes))
    }
}

/// Bytes of the columns of a batch. A slice counts its share.
pub fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    fn numbers(values: &[i64]) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef)]).unwrap()
    }

    #[test]
    fn all_inserts_need_no_kinds() {
        assert!(Changes::new(numbers(&[1, 2]), vec![ChangeKind::Insert; 2]).kinds().is_none());
    }

    #[test]
    fn a_cut_goes_on_until_the_pieces_are_small_and_keeps_the_order() {
        let wide = |width: usize| "x".repeat(width);
        let texts = [wide(10), wide(1000), wide(10), wide(10), wide(10)];
        let column: ArrayRef = Arc::new(arrow::array::StringArray::from_iter_values(&texts));
        let pieces = Changes::inserts(RecordBatch::try_from_iter([("s", column)]).unwrap()).cut(100);
        assert_eq!(pieces.iter().map(Changes::len).collect::<Vec<_>>(), [1, 1, 3]);
        assert!(pieces[1].bytes() > 1000, "a row is never cut");
        assert_eq!(pieces.iter().map(Changes::bytes).filter(|bytes| *bytes <= 100).count(), 2);
    }

    #[test]
    fn slices_filters_and_pieces_keep_kinds_with_their_rows() {
        use ChangeKind::*;
        let changes = Changes::new(numbers(&[1, 2, 3]), vec![Insert, UpdateBefore, UpdateAfter]);
        assert_eq!(changes.slice(1, 2).kinds(), Some(&[UpdateBefore, UpdateAfter][..]));
        let kept = changes.filter(&BooleanArray::from(vec![true, false, true])).unwrap();
        assert_eq!(kept.kinds(), Some(&[Insert, UpdateAfter][..]));
        assert_eq!(changes.pieces(2).map(|piece| piece.len()).collect::<Vec<_>>(), [2, 1]);
        let mut builder = ChangesBuilder::new(changes.schema());
        changes.pieces(1).for_each(|piece| builder.push(piece));
        let whole = builder.finish().unwrap().unwrap();
        assert_eq!((whole.len(), whole.kind(1)), (3, UpdateBefore));
    }
}
