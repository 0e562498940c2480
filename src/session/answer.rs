//! The answer of a SELECT, out of the changes that its job makes: added up if they take rows back, in the order of
//! ORDER BY, from OFFSET on, and no more than LIMIT says.
//!
//! ```text
//!   changes ──▶ Fold ──end──▶ Sorter ──▶ offset, limit ──▶ rows
//!                if rows        if ORDER BY; at once
//!                are taken back otherwise
//! ```

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::fold::Fold;
use super::sorter::Sorter;
use crate::error::Result;
use crate::plan::Arrangement;
use crate::stream::{Changes, MemoryHolder};

/// Rows of a batch that comes out where rows had to be held.
pub(super) const BATCH_ROWS: usize = 8_192;

/// An answer in the making.
pub struct Answer {
    /// The columns that are shown.
    schema: SchemaRef,
    fold: Option<Fold>,
    sorter: Option<Sorter>,
    extent: Extent,
    /// Rows that are ready once all have come.
    ending: Option<Box<dyn Iterator<Item = Result<Changes>> + Send>>,
}

/// OFFSET and LIMIT, as far as they are not used up.
struct Extent {
    offset: usize,
    limit: Option<usize>,
}

impl Answer {
    /// No rows yet. `schema`: all columns that come; `shown`: those that are shown, which are the first.
    /// `adds_up`: rows that are taken back are not shown; else changes pass as they are.
    pub fn new(
        schema: &SchemaRef,
        shown: SchemaRef,
        arrangement: &Arrangement,
        adds_up: bool,
        memory: &MemoryHolder,
    ) -> Result<Self> {
        let keep = arrangement.limit.map(|limit| limit.saturating_add(arrangement.offset));
        let sorter = match arrangement.keys.as_slice() {
            [] => None,
            keys => Some(Sorter::new(schema, keys, keep, memory)?),
        };
        let fold = adds_up.then(|| Fold::new(SchemaRef::clone(schema), memory)).transpose()?;
        let extent = Extent { offset: arrangement.offset, limit: arrangement.limit };
        Ok(Self { schema: shown, fold, sorter, extent, ending: None })
    }

    /// Of all changes as they come, with all columns.
    pub fn of_changes(schema: SchemaRef) -> Self {
        let extent = Extent { offset: 0, limit: None };
        Self { schema, fold: None, sorter: None, extent, ending: None }
    }

    /// Takes changes, and gives the rows that can be shown already.
    pub fn add(&mut self, changes: Changes) -> Result<Option<Changes>> {
        if let Some(fold) = &mut self.fold {
            fold.add(&changes)?;
        } else if let Some(sorter) = &mut self.sorter {
            sorter.add(changes.batch())?;
        } else {
            return self.shown(&changes);
        }
        Ok(None)
    }

    /// Whether no row that is still to come can be in the answer.
    pub fn is_complete(&self) -> bool {
        self.extent.limit == Some(0)
    }

    /// Once all changes have come: the next rows, `None` at the end.
    pub fn rest(&mut self) -> Result<Option<Changes>> {
        if let Some(fold) = self.fold.take() {
            match &mut self.sorter {
                None => self.ending = Some(Box::new(fold.finish())),
                Some(sorter) => {
                    for rows in fold.finish() {
                        sorter.add(rows?.batch())?;
                    }
                }
            }
        }
        if let Some(sorter) = self.sorter.take() {
            self.ending = Some(Box::new(sorter.finish()));
        }
        while let Some(rows) = self.ending.as_mut().and_then(Iterator::next) {
            if let Some(shown) = self.shown(&rows?)? {
                return Ok(Some(shown));
            }
            if self.is_complete() {
                break;
            }
        }
        self.ending = None;
        Ok(None)
    }

    /// What OFFSET and LIMIT leave of the rows, without the columns that were only there to order by.
    fn shown(&mut self, rows: &Changes) -> Result<Option<Changes>> {
        let Some(rows) = self.extent.cut(rows) else { return Ok(None) };
        let columns = rows.batch().columns()[..self.schema.fields().len()].to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)?;
        Ok(Some(rows.with_batch(batch)))
    }
}

impl Extent {
    /// The rows within it, if there are any.
    fn cut(&mut self, rows: &Changes) -> Option<Changes> {
        let skipped = self.offset.min(rows.len());
        self.offset -= skipped;
        let wanted = (rows.len() - skipped).min(self.limit.unwrap_or(usize::MAX));
        if let Some(limit) = &mut self.limit {
            *limit -= wanted;
        }
        (wanted > 0).then(|| rows.slice(skipped, wanted))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, Schema};

    use super::super::samples::{batch, updates};
    use super::*;
    use crate::plan::OrderKey;
    use crate::stream::MemoryPool;

    /// The numbers that are shown, batch by batch, and how many batches it took until the answer was complete.
    fn answer(arrangement: &Arrangement, adds_up: bool, changes: &[Changes]) -> (Vec<Vec<i64>>, Option<usize>) {
        let schema = changes[0].schema();
        let shown = Arc::new(Schema::new(schema.fields()[..arrangement.visible].to_vec()));
        let memory = MemoryPool::new(None).holder("answer");
        let mut answer = Answer::new(&schema, shown, arrangement, adds_up, &memory).unwrap();
        let mut rows = Vec::new();
        let mut complete_after = answer.is_complete().then_some(0);
        for (count, changes) in changes.iter().enumerate() {
            rows.extend(answer.add(changes.clone()).unwrap());
            complete_after = complete_after.or(answer.is_complete().then_some(count + 1));
        }
        while let Some(rest) = answer.rest().unwrap() {
            rows.push(rest);
        }
        let last = arrangement.visible - 1;
        let numbers = rows.iter().map(|rows| rows.column(last).as_primitive::<Int64Type>().values().to_vec());
        (numbers.collect(), complete_after)
    }

    fn three() -> [Changes; 3] {
        [batch(&[Some("a"), Some("b")], &[3, 1]), batch(&[Some("c")], &[2]), batch(&[Some("d")], &[4])]
            .map(Changes::inserts)
    }

    #[test]
    fn a_limit_without_order_is_complete_as_soon_as_there_are_so_many_rows() {
        let all = Arrangement::none(2);
        assert_eq!(answer(&all, false, &three()), (vec![vec![3, 1], vec![2], vec![4]], None));
        let first = Arrangement { limit: Some(2), offset: 1, ..all.clone() };
        assert_eq!(answer(&first, false, &three()), (vec![vec![1], vec![2]], Some(2)));
        assert_eq!(answer(&Arrangement { limit: Some(0), ..all }, false, &three()), (vec![], Some(0)));
    }

    #[test]
    fn an_order_needs_all_rows() {
        let key = OrderKey { column: 1, is_descending: true, nulls_first: false, text: "n".to_owned() };
        let ordered = Arrangement { keys: vec![key], limit: Some(2), offset: 1, visible: 2 };
        assert_eq!(answer(&ordered, false, &three()), (vec![vec![3, 2]], None));
        let within = Arrangement { limit: None, offset: 0, ..ordered };
        assert_eq!(answer(&within, false, &three()), (vec![vec![4, 3, 2, 1]], None));
    }

    #[test]
    fn what_is_only_ordered_by_is_not_shown() {
        let names = batch(&[Some("b"), Some("a")], &[1, 2]);
        let columns = [("n", names.column(1).clone()), ("$by1", names.column(0).clone())];
        let rows = Changes::inserts(RecordBatch::try_from_iter(columns).unwrap());
        let key = OrderKey { column: 1, is_descending: false, nulls_first: true, text: "name".to_owned() };
        let ordered = Arrangement { keys: vec![key], limit: None, offset: 0, visible: 1 };
        assert_eq!(answer(&ordered, false, &[rows]), (vec![vec![2, 1]], None));
    }

    #[test]
    fn rows_that_are_taken_back_are_no_part_of_it() {
        let all = Arrangement::none(2);
        assert_eq!(answer(&all, true, &[updates()]), (vec![vec![1, 2]], None));
        assert_eq!(answer(&Arrangement { limit: Some(1), ..all }, true, &[updates()]), (vec![vec![1]], None));
    }
}
