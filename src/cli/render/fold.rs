//! The last state of an updating query: its changes added up, for `--final`. Bounded by the size of that state.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};

use crate::error::Result;
use crate::stream::Changes;

/// How often each row stands in the result. Rows come out in the order of their columns, NULL first.
pub struct Fold {
    schema: SchemaRef,
    converter: RowConverter,
    /// Never 0.
    counts: BTreeMap<Box<[u8]>, i64>,
}

impl Fold {
    /// An empty result.
    pub fn new(schema: SchemaRef) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        Ok(Self { converter: RowConverter::new(fields)?, schema, counts: BTreeMap::new() })
    }

    /// Adds and takes back rows.
    pub fn add(&mut self, changes: &Changes) -> Result<()> {
        let rows = self.converter.convert_columns(changes.batch().columns())?;
        for (index, row) in rows.iter().enumerate() {
            let count = self.counts.entry(row.as_ref().into()).or_insert(0);
            *count += changes.kind(index).sign();
            if *count == 0 {
                self.counts.remove(row.as_ref());
            }
        }
        Ok(())
    }

    /// The rows that stand.
    pub fn finish(self) -> Result<Changes> {
        let parser = self.converter.parser();
        let standing = self
            .counts
            .iter()
            .flat_map(|(row, count)| std::iter::repeat_n(row, usize::try_from(*count).unwrap_or(0)))
            .map(|row| parser.parse(row));
        let columns = self.converter.convert_rows(standing)?;
        Ok(Changes::inserts(RecordBatch::try_new(self.schema, columns)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{batch, updates};
    use super::*;

    #[test]
    fn what_was_taken_back_is_gone() {
        let mut fold = Fold::new(updates().schema()).unwrap();
        updates().pieces(1).for_each(|piece| fold.add(&piece).unwrap());
        fold.add(&Changes::inserts(batch(&[None], &[1]))).unwrap();
        let result = fold.finish().unwrap();
        assert_eq!(result.batch(), &batch(&[None, None, Some("a")], &[1, 1, 2]));
    }
}
