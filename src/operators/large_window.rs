//! The rows of a window with more keys than fit into one output: keys leave in the order of their frozen hash, so that a
//! barrier may pass in between and one hash says what has left.
//!
//! Nothing here takes more than some milliseconds at once. The order is made by a radix sort in two steps: first all rows
//! are dealt out, a stretch at a time, to buckets by the leading bits of their keys' hash; then one bucket after the
//! other is merged and put in order when its turn comes. What a bucket holds is a row number of four bytes a row.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_arrays;
use arrow::datatypes::DataType;

use super::{AggregateCall, Aggregates, Progress};
use crate::error::{Error, Result};
use crate::state::{SlotTable, key_hashes};

/// Rows that are dealt out to buckets in one step.
const STEP_ROWS: usize = 128 * 1024;
/// Rows of a bucket, about.
const BUCKET_ROWS: usize = 8 * 1024;

/// What a window consists of.
pub(super) enum Content<'a> {
    /// Keys and states from column `first` on; the same key may stand in several batches.
    Runs { batches: &'a [RecordBatch], first: usize },
    /// The keys in `slots`, each once.
    Table { table: &'a SlotTable<Aggregates>, slots: &'a [u32] },
}

/// A window on its way out.
pub(super) struct LargeWindow {
    types: Vec<DataType>,
    calls: Vec<AggregateCall>,
    /// By bucket: numbers of rows, in order.
    buckets: Vec<Vec<u32>>,
    /// Rows that have been dealt out.
    dealt: usize,
    next_bucket: usize,
    present: Option<Bucket>,
}

/// The bucket whose turn it is.
struct Bucket {
    /// The merged rows; none where the content is a table.
    table: Option<SlotTable<Aggregates>>,
    /// Hash and slot of each key, in order.
    order: Vec<(u64, u32)>,
    at: usize,
}

/// Some keys with their results, and the greatest of their hashes.
pub(super) struct Piece {
    pub(super) keys: Vec<ArrayRef>,
    pub(super) results: Vec<ArrayRef>,
    pub(super) rows: usize,
    pub(super) through: u64,
}

impl Content<'_> {
    fn rows(&self) -> usize {
        match self {
            Self::Runs { batches, .. } => batches.iter().map(RecordBatch::num_rows).sum(),
            Self::Table { slots, .. } => slots.len(),
        }
    }

    /// Where the keys of a bucket stand: in its own table, or in that of the content.
    fn table<'t>(&'t self, own: Option<&'t SlotTable<Aggregates>>) -> Result<&'t SlotTable<Aggregates>> {
        match (own, self) {
            (Some(own), _) => Ok(own),
            (None, Self::Table { table, .. }) => Ok(table),
            (None, Self::Runs { .. }) => Err(Error::bug("a bucket of runs without a table")),
        }
    }

    /// The hashes of at most `most` rows from row `from` on; there may be fewer, but not none before the end.
    fn hashes(&self, from: usize, most: usize, keys: usize) -> Result<Vec<u64>> {
        match self {
            Self::Runs { batches, first } => {
                let mut from = from;
                for batch in *batches {
                    if from < batch.num_rows() {
                        let length = most.min(batch.num_rows() - from);
                        let batch = batch.slice(from, length);
                        return key_hashes(&batch.columns()[*first..first + keys]);
                    }
                    from -= batch.num_rows();
                }
                Ok(Vec::new())
            }
            Self::Table { table, slots } => {
                let slots = &slots[from..slots.len().min(from + most)];
                if slots.is_empty() { Ok(Vec::new()) } else { key_hashes(&table.index.gather(slots)?) }
            }
        }
    }
}

impl LargeWindow {
    /// Nothing has left yet. There is at least one key column.
    pub(super) fn new(content: &Content, types: &[DataType], calls: &[AggregateCall]) -> Self {
        let buckets = vec![Vec::new(); content.rows().div_ceil(BUCKET_ROWS).max(1)];
        let (types, calls) = (types.to_vec(), calls.to_vec());
        Self { types, calls, buckets, dealt: 0, next_bucket: 0, present: None }
    }

    /// One step towards the first piece; `Done` when pieces can be taken.
    pub(super) fn prepare(&mut self, content: &Content) -> Result<Progress> {
        let buckets = self.buckets.len() as u128;
        let hashes = content.hashes(self.dealt, STEP_ROWS, self.types.len())?;
        if hashes.is_empty() {
            return Ok(Progress::Done);
        }
        for (row, hash) in (self.dealt as u32..).zip(&hashes) {
            self.buckets[((u128::from(*hash) * buckets) >> 64) as usize].push(row);
        }
        self.dealt += hashes.len();
        Ok(Progress::More)
    }

    /// The next keys, about `most`: more only where more have the same hash. `was_emitted` says which to leave out. None
    /// when all have left.
    pub(super) fn next(
        &mut self,
        content: &Content,
        most: usize,
        was_emitted: impl Fn(u64) -> bool,
    ) -> Result<Option<Piece>> {
        loop {
            if let Some(bucket) = self.present.as_mut().filter(|bucket| bucket.at < bucket.order.len()) {
                return bucket.next(content, most).map(Some);
            }
            if self.next_bucket == self.buckets.len() {
                return Ok(None);
            }
            let rows = std::mem::take(&mut self.buckets[self.next_bucket]);
            self.next_bucket += 1;
            self.present = Some(self.open(content, rows, &was_emitted)?);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let buckets: usize = self.buckets.iter().map(|bucket| bucket.capacity() * size_of::<u32>()).sum();
        let present = self.present.as_ref().map_or(0, |bucket| {
            bucket.table.as_ref().map_or(0, SlotTable::bytes) + bucket.order.capacity() * size_of::<(u64, u32)>()
        });
        buckets + present
    }

    fn open(&self, content: &Content, rows: Vec<u32>, was_emitted: impl Fn(u64) -> bool) -> Result<Bucket> {
        if rows.is_empty() {
            return Ok(Bucket { table: None, order: Vec::new(), at: 0 });
        }
        let (table, slots) = match content {
            Content::Table { slots, .. } => (None, rows.iter().map(|row| slots[*row as usize]).collect()),
            Content::Runs { batches, first } => {
                let mut table = SlotTable::new(&self.types, Aggregates::new(&self.calls)?)?;
                let (mut rows, mut start) = (&rows[..], 0);
                for batch in *batches {
                    let end = start + batch.num_rows() as u32;
                    let (own, rest) = rows.split_at(rows.partition_point(|row| *row < end));
                    if !own.is_empty() {
                        let own = UInt32Array::from_iter_values(own.iter().map(|row| row - start));
                        let columns = take_arrays(&batch.columns()[*first..], &own, None)?;
                        let (keys, states) = columns.split_at(self.types.len());
                        let (slots, into) = table.assign(keys, own.len())?;
                        crate::state::SlotColumns::merge(into, slots, states)?;
                    }
                    (rows, start) = (rest, end);
                }
                let slots: Vec<u32> = (0..table.len() as u32).collect();
                (Some(table), slots)
            }
        };
        let keys = content.table(table.as_ref())?.index.gather(&slots)?;
        let hashes = key_hashes(&keys)?.into_iter().zip(slots);
        let mut order: Vec<(u64, u32)> = hashes.filter(|(hash, _)| !was_emitted(*hash)).collect();
        order.sort_unstable();
        Ok(Bucket { table, order, at: 0 })
    }
}

impl Bucket {
    fn next(&mut self, content: &Content, most: usize) -> Result<Piece> {
        let rest = &self.order[self.at..];
        let mut rows = most.clamp(1, rest.len());
        let through = rest[rows - 1].0;
        rows += rest[rows..].iter().take_while(|(hash, _)| *hash == through).count();
        let slots: Vec<u32> = rest[..rows].iter().map(|(_, slot)| *slot).collect();
        self.at += rows;
        let table = content.table(self.table.as_ref())?;
        let (keys, results) = (table.index.gather(&slots)?, table.columns.evaluate(Some(&slots))?);
        Ok(Piece { keys, results, rows, through })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    /// One hash says what has left: those who share it leave together, however full a batch is.
    #[test]
    fn keys_of_one_hash_are_never_torn_apart() {
        let types = [DataType::Int64];
        let mut table = SlotTable::new(&types, Aggregates::new(&[]).unwrap()).unwrap();
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5));
        table.assign(&[keys], 5).unwrap();
        let slots = [0, 1, 2, 3, 4];
        let content = Content::Table { table: &table, slots: &slots };
        let order = vec![(3, 4), (7, 0), (7, 1), (7, 3), (9, 2)];
        let mut bucket = Bucket { table: None, order, at: 0 };
        let pieces = std::iter::from_fn(|| {
            let is_through = bucket.at == bucket.order.len();
            (!is_through).then(|| bucket.next(&content, 2).map(|piece| (piece.rows, piece.through)).unwrap())
        });
        assert_eq!(pieces.collect::<Vec<_>>(), [(4, 7), (1, 9)]);
    }
}
