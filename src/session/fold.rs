//! What remains of changes: rows added up, each with how often it stands. Bounded by the memory of the job.

use std::vec;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use super::answer::BATCH_ROWS;
use crate::error::Result;
use crate::stream::{Changes, Grant, MemoryHolder};

/// What the table of counts takes for a row besides its bytes: hash, pointer, length, count, and room to grow.
const ROW_BYTES: usize = 56;

/// How often each row stands in the result.
pub struct Fold {
    schema: SchemaRef,
    converter: RowConverter,
    /// Never 0.
    counts: HashMap<Vec<u8>, i64>,
    /// Of the rows in `counts`.
    bytes: usize,
    memory: Grant,
}

impl Fold {
    /// An empty result of rows of `schema`.
    pub fn new(schema: SchemaRef, memory: &MemoryHolder) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        Ok(Self { converter, schema, counts: HashMap::new(), bytes: 0, memory: memory.nothing() })
    }

    /// Adds and takes back rows.
    pub fn add(&mut self, changes: &Changes) -> Result<()> {
        let rows = self.converter.convert_columns(changes.batch().columns())?;
        for (index, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            let sign = changes.kind(index).sign();
            match self.counts.entry_ref(row) {
                EntryRef::Occupied(mut entry) => {
                    *entry.get_mut() += sign;
                    if *entry.get() == 0 {
                        entry.remove();
                        self.bytes -= row.len() + ROW_BYTES;
                    }
                }
                EntryRef::Vacant(entry) => {
                    entry.insert(sign);
                    self.bytes += row.len() + ROW_BYTES;
                }
            }
        }
        self.memory.resize(self.bytes)
    }

    /// The rows that stand, in the order of their columns, NULL first.
    pub fn finish(self) -> Folded {
        let mut rows: Vec<(Vec<u8>, i64)> = self.counts.into_iter().collect();
        rows.sort_unstable();
        Folded {
            schema: self.schema,
            converter: self.converter,
            rows: rows.into_iter(),
            unfinished: None,
            _memory: self.memory,
        }
    }
}

/// The rows that stand, batch by batch.
pub struct Folded {
    schema: SchemaRef,
    converter: RowConverter,
    rows: vec::IntoIter<(Vec<u8>, i64)>,
    /// A row that is still to come so many times.
    unfinished: Option<(Vec<u8>, i64)>,
    _memory: Grant,
}

impl Iterator for Folded {
    type Item = Result<Changes>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch: Vec<Vec<u8>> = Vec::new();
        while batch.len() < BATCH_ROWS {
            let Some((row, count)) = self.unfinished.take().or_else(|| self.rows.next()) else { break };
            let standing = usize::try_from(count).unwrap_or(0);
            let here = standing.min(BATCH_ROWS - batch.len());
            batch.extend(std::iter::repeat_n(&row, here).cloned());
            if standing > here {
                self.unfinished = Some((row, count - here as i64));
            }
        }
        if batch.is_empty() {
            return None;
        }
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(batch.iter().map(|row| parser.parse(row)));
        let rows = columns.and_then(|columns| RecordBatch::try_new(SchemaRef::clone(&self.schema), columns));
        Some(rows.map(Changes::inserts).map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{batch, updates};
    use super::*;
    use crate::stream::MemoryPool;

    #[test]
    fn what_was_taken_back_is_gone() {
        let mut fold = Fold::new(updates().schema(), &MemoryPool::new(None).holder("fold")).unwrap();
        updates().pieces(1).for_each(|piece| fold.add(&piece).unwrap());
        fold.add(&Changes::inserts(batch(&[None], &[1]))).unwrap();
        let rows: Vec<Changes> = fold.finish().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].batch(), &batch(&[None, None, Some("a")], &[1, 1, 2]));
    }

    #[test]
    fn it_holds_memory_for_what_stands() {
        let pool = MemoryPool::new(Some(10_000));
        let mut fold = Fold::new(updates().schema(), &pool.holder("the result")).unwrap();
        let names: Vec<String> = (0..200).map(|name| format!("name {name}")).collect();
        let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        let many = batch(&names, &vec![1; 200]);
        let error = fold.add(&Changes::inserts(many)).unwrap_err();
        assert_eq!(error.id(), Some("BL-LIM-MEMORY"));
        drop(fold);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_row_may_stand_more_often_than_a_batch_is_long() {
        let mut fold = Fold::new(updates().schema(), &MemoryPool::new(None).holder("fold")).unwrap();
        for _ in 0..3 {
            fold.add(&Changes::inserts(batch(&vec![Some("a"); 5_000], &vec![1; 5_000]))).unwrap();
        }
        fold.add(&Changes::inserts(batch(&[Some("b")], &[1]))).unwrap();
        let lengths: Vec<usize> = fold.finish().map(|rows| rows.unwrap().len()).collect();
        assert_eq!(lengths, [8_192, 6_809]);
    }
}
