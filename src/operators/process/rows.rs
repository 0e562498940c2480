//! Rows of a call with their keys: each key has a number within the call.

use std::cell::OnceCell;

use arrow::array::{ArrayRef, RecordBatch};

use crate::error::Result;
use crate::state::KeyIndex;
use crate::stream::{EventTime, ProcTime};

/// A key within one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub(super) u32);

/// Rows in the order in which they came, of one key or several.
#[derive(Debug)]
pub struct KeyedRows {
    batch: RecordBatch,
    /// `[keys]` of each column of the key.
    keys: Vec<ArrayRef>,
    key_count: usize,
    /// `[rows]`.
    of_rows: Vec<u32>,
    by_key: OnceCell<ByKey>,
    /// `[rows]`, milliseconds; empty where rows have no time.
    times: Vec<i64>,
    watermark: EventTime,
    now: ProcTime,
}

/// Rows key by key: those of key `k` are `rows[starts[k]..starts[k + 1]]`.
#[derive(Debug)]
struct ByKey {
    rows: Vec<u32>,
    starts: Vec<u32>,
}

impl KeyedRows {
    /// `index` is empty and is so again afterwards.
    pub(super) fn new(
        batch: RecordBatch,
        keys: &[ArrayRef],
        times: Vec<i64>,
        index: &mut KeyIndex,
        watermark: EventTime,
        now: ProcTime,
    ) -> Result<Self> {
        let mut of_rows = Vec::new();
        index.assign(keys, batch.num_rows(), &mut of_rows)?;
        let key_count = index.len();
        let keys = index.take()?;
        Ok(Self { batch, keys, key_count, of_rows, by_key: OnceCell::new(), times, watermark, now })
    }

    /// The columns of the input as the query names them; of timers those of the key.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.of_rows.len()
    }

    /// Whether there is no row; a function is not called then.
    pub fn is_empty(&self) -> bool {
        self.of_rows.is_empty()
    }

    /// The keys, in the order of their first rows.
    pub fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        (0..self.key_count as u32).map(Key)
    }

    /// `[keys]` of each column of PARTITION BY, in the order of [`keys`](Self::keys).
    pub fn key_columns(&self) -> &[ArrayRef] {
        &self.keys
    }

    /// The key of a row.
    pub fn key_of(&self, row: usize) -> Key {
        Key(self.of_rows[row])
    }

    /// The rows of a key, in the order in which they came.
    pub fn rows_of(&self, key: Key) -> &[u32] {
        let by_key = self.by_key.get_or_init(|| self.by_key());
        &by_key.rows[by_key.starts[key.0 as usize] as usize..by_key.starts[key.0 as usize + 1] as usize]
    }

    /// What `value` says of the key of each row, row by row in the order in which they came.
    pub fn each<T>(&self, mut value: impl FnMut(Key) -> T) -> impl Iterator<Item = T> {
        self.of_rows.iter().map(move |key| value(Key(*key)))
    }

    /// The time of a row in milliseconds: of the column that `on_time` names, none without; of a timer what it was set to.
    pub fn time(&self, row: usize) -> Option<i64> {
        self.times.get(row).copied()
    }

    /// No row at or before this time was expected any more when these came.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// The clock at this call.
    pub fn now(&self) -> ProcTime {
        self.now
    }

    pub(super) fn key_count(&self) -> usize {
        self.key_count
    }

    pub(super) fn times(&self) -> &[i64] {
        &self.times
    }

    fn by_key(&self) -> ByKey {
        let mut starts = vec![0; self.key_count + 1];
        self.of_rows.iter().for_each(|key| starts[*key as usize + 1] += 1);
        for key in 0..self.key_count {
            starts[key + 1] += starts[key];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; self.of_rows.len()];
        for (row, key) in self.of_rows.iter().enumerate() {
            rows[next[*key as usize] as usize] = row as u32;
            next[*key as usize] += 1;
        }
        ByKey { rows, starts }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn rows_of_a_key_stand_in_the_order_in_which_they_came() {
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["b", "a", "b", "b", "c", "a"]));
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]));
        let batch = RecordBatch::try_from_iter([("k", Arc::clone(&keys)), ("v", values)]).unwrap();
        let mut index = KeyIndex::new(&[DataType::Utf8]).unwrap();
        for _ in 0..2 {
            let keys = [Arc::clone(&keys)];
            let rows =
                KeyedRows::new(batch.clone(), &keys, Vec::new(), &mut index, EventTime::NONE, ProcTime(0)).unwrap();
            let grouped: Vec<Vec<u32>> = rows.keys().map(|key| rows.rows_of(key).to_vec()).collect();
            assert_eq!(grouped, [vec![0, 2, 3], vec![1, 5], vec![4]]);
            assert_eq!(rows.key_columns()[0].as_ref(), &StringArray::from(vec!["b", "a", "c"]));
            assert_eq!(rows.each(|key| key.0).collect::<Vec<_>>(), [0, 1, 0, 0, 2, 1]);
        }
    }
}
