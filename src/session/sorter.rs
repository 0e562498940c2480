//! Rows in the order of ORDER BY. With a LIMIT only the first are kept, so that memory is bounded by these; without one
//! all rows are held, within the memory of the job.

use std::vec;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::{SortOptions, filter_record_batch, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};

use super::answer::BATCH_ROWS;
use crate::error::Result;
use crate::plan::OrderKey;
use crate::stream::{Changes, Grant, MemoryHolder, batch_bytes};

/// The columns that rows are compared by, most significant first, and what makes bytes of them that compare so: the keys,
/// then for those that tie `first` of the others, then all that are left.
pub fn row_order(schema: &SchemaRef, keys: &[OrderKey], first: &[usize]) -> Result<(Vec<usize>, RowConverter)> {
    let mut columns: Vec<usize> = keys.iter().map(|key| key.column).collect();
    for column in first.iter().copied().chain(0..schema.fields().len()) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let fields = columns.iter().enumerate().map(|(place, column)| {
        let options = keys.get(place).map_or_else(SortOptions::default, |key| SortOptions {
            descending: key.is_descending,
            nulls_first: key.nulls_first,
        });
        SortField::new_with_options(schema.field(*column).data_type().clone(), options)
    });
    let converter = RowConverter::new(fields.collect())?;
    Ok((columns, converter))
}

/// Puts rows in order. Rows that are equal by their keys come in the order of their columns, so that the answer does not
/// depend on the order in which they came.
pub struct Sorter {
    /// The columns to compare, most significant first: the keys, then all others.
    columns: Vec<usize>,
    converter: RowConverter,
    /// How many of the first rows are wanted.
    keep: Option<usize>,
    held: Vec<Held>,
    rows: usize,
    /// Of what is held.
    bytes: usize,
    /// Rows that are not before this one are not among the first `keep`.
    last_kept: Option<OwnedRow>,
    memory: Grant,
}

/// A batch and what its rows are compared by.
struct Held {
    batch: RecordBatch,
    order: Rows,
}

impl Held {
    /// With the places of its rows, which are put in order.
    fn bytes(&self) -> usize {
        batch_bytes(&self.batch) + self.order.size() + self.batch.num_rows() * size_of::<(usize, usize)>()
    }
}

impl Sorter {
    /// No rows yet; of all that will come, the first `keep` are wanted.
    pub fn new(schema: &SchemaRef, keys: &[OrderKey], keep: Option<usize>, memory: &MemoryHolder) -> Result<Self> {
        let (columns, converter) = row_order(schema, keys, &[])?;
        let memory = memory.nothing();
        Ok(Self { columns, converter, keep, held: Vec::new(), rows: 0, bytes: 0, last_kept: None, memory })
    }

    /// Adds rows; a batch keeps its columns alive, but rows that cannot be among the wanted ones are dropped.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut held = self.encoded(batch.clone())?;
        if let Some(last) = &self.last_kept {
            let is_before: BooleanArray = held.order.iter().map(|row| Some(row < last.row())).collect();
            match is_before.true_count() {
                0 => return Ok(()),
                all if all == batch.num_rows() => {}
                _ => held = self.encoded(filter_record_batch(batch, &is_before)?)?,
            }
        }
        self.rows += held.batch.num_rows();
        self.bytes += held.bytes();
        self.held.push(held);
        if let Some(keep) = self.keep
            && self.rows >= keep.saturating_mul(2).max(BATCH_ROWS)
        {
            self.drop_others(keep)?;
        }
        self.memory.resize(self.bytes)
    }

    /// The wanted rows in order.
    pub fn finish(mut self) -> Sorted {
        let order = self.order();
        let batches = std::mem::take(&mut self.held).into_iter().map(|held| held.batch).collect();
        Sorted { batches, order: order.into_iter(), _memory: self.memory }
    }

    fn encoded(&self, batch: RecordBatch) -> Result<Held> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|column| batch.column(*column).clone()).collect();
        let order = self.converter.convert_columns(&columns)?;
        Ok(Held { batch, order })
    }

    /// Batch and row of each wanted row.
    fn order(&self) -> Vec<(usize, usize)> {
        let held = self.held.iter().enumerate();
        let mut order: Vec<(usize, usize)> =
            held.flat_map(|(place, held)| (0..held.batch.num_rows()).map(move |row| (place, row))).collect();
        order.sort_unstable_by_key(|(place, row)| self.held[*place].order.row(*row));
        order.truncate(self.keep.unwrap_or(usize::MAX));
        order
    }

    /// Keeps the first rows alone.
    fn drop_others(&mut self, keep: usize) -> Result<()> {
        let order = self.order();
        let batches: Vec<&RecordBatch> = self.held.iter().map(|held| &held.batch).collect();
        let kept = match order.is_empty() {
            true => Vec::new(),
            false => vec![self.encoded(interleave_record_batch(&batches, &order)?)?],
        };
        self.last_kept = kept.last().filter(|_| order.len() == keep).map(|held| held.order.row(keep - 1).owned());
        self.rows = order.len();
        self.bytes = kept.iter().map(Held::bytes).sum();
        self.held = kept;
        Ok(())
    }
}

/// Rows in order, batch by batch.
pub struct Sorted {
    batches: Vec<RecordBatch>,
    order: vec::IntoIter<(usize, usize)>,
    _memory: Grant,
}

impl Iterator for Sorted {
    type Item = Result<Changes>;

    fn next(&mut self) -> Option<Self::Item> {
        let order: Vec<(usize, usize)> = self.order.by_ref().take(BATCH_ROWS).collect();
        if order.is_empty() {
            return None;
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Some(interleave_record_batch(&batches, &order).map(Changes::inserts).map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::super::samples::batch;
    use super::*;
    use crate::stream::MemoryPool;

    fn key(column: usize, is_descending: bool, nulls_first: bool) -> OrderKey {
        OrderKey { column, is_descending, nulls_first, text: String::new() }
    }

    /// The names and numbers that come out.
    fn rows(sorter: Sorter) -> Vec<(Option<String>, i64)> {
        let mut rows = Vec::new();
        for changes in sorter.finish() {
            let changes = changes.unwrap();
            let (names, numbers) = (changes.column(0).as_string::<i32>(), changes.column(1));
            let numbers = numbers.as_primitive::<Int64Type>();
            let name = |row: usize| names.is_valid(row).then(|| names.value(row).to_owned());
            rows.extend((0..changes.len()).map(|row| (name(row), numbers.value(row))));
        }
        rows
    }

    /// The same of a sort, and the most memory held.
    fn sorted(batches: &[RecordBatch], keys: &[OrderKey], keep: Option<usize>) -> (Vec<(Option<String>, i64)>, u64) {
        let pool = MemoryPool::new(None);
        let mut sorter = Sorter::new(&batches[0].schema(), keys, keep, &pool.holder("sort")).unwrap();
        let mut most = 0;
        for batch in batches {
            sorter.add(batch).unwrap();
            most = most.max(pool.used());
        }
        (rows(sorter), most)
    }

    #[test]
    fn nulls_stand_where_they_are_wanted_and_ties_by_the_other_columns() {
        let rows = [batch(&[Some("b"), None, Some("a")], &[1, 2, 3]), batch(&[Some("a")], &[0])];
        let names = |keys: &[OrderKey]| -> Vec<(String, i64)> {
            let rows = sorted(&rows, keys, None).0;
            rows.into_iter().map(|(name, n)| (name.unwrap_or_else(|| "NULL".to_owned()), n)).collect()
        };
        let expect = |rows: &[(&str, i64)]| -> Vec<(String, i64)> {
            rows.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
        };
        assert_eq!(names(&[key(0, false, true)]), expect(&[("NULL", 2), ("a", 0), ("a", 3), ("b", 1)]));
        assert_eq!(names(&[key(0, true, false)]), expect(&[("b", 1), ("a", 0), ("a", 3), ("NULL", 2)]));
        assert_eq!(names(&[key(0, false, false)]), expect(&[("a", 0), ("a", 3), ("b", 1), ("NULL", 2)]));
    }

    #[test]
    fn a_limit_bounds_what_is_held() {
        let batches: Vec<RecordBatch> = (0..100_i64)
            .map(|start| {
                let numbers: Vec<i64> = (0..1_000).map(|row| (start * 1_000 + row) * 7_919 % 100_003).collect();
                batch(&vec![Some("x"); 1_000], &numbers)
            })
            .collect();
        let (first, most) = sorted(&batches, &[key(1, false, true)], Some(3));
        let (all, held) = sorted(&batches, &[key(1, false, true)], None);
        assert_eq!((all.len(), &first[..]), (100_000, &all[..3]));
        assert!(most * 5 < held, "{most} bytes for three rows, {held} for all");
    }

    #[test]
    fn without_room_it_says_so() {
        let pool = MemoryPool::new(Some(1_000));
        let rows = batch(&vec![Some("x"); 1_000], &vec![1; 1_000]);
        let mut sorter = Sorter::new(&rows.schema(), &[key(0, false, true)], None, &pool.holder("ORDER BY")).unwrap();
        let error = sorter.add(&rows).unwrap_err();
        assert_eq!(error.id(), Some("BL-LIM-MEMORY"));
        assert!(error.message().contains("ORDER BY"), "{error}");
    }

    proptest! {
        /// Whatever is kept, the first rows are those of a plain sort.
        #[test]
        fn the_first_rows_are_those_of_all(
            numbers in prop::collection::vec(0_i64..50, 1..400), cut in 1_usize..50, keep in 0_usize..60, down in any::<bool>(),
        ) {
            let batches: Vec<RecordBatch> =
                numbers.chunks(cut).map(|numbers| batch(&vec![Some("x"); numbers.len()], numbers)).collect();
            let pool = MemoryPool::new(None);
            let mut sorter =
                Sorter::new(&batches[0].schema(), &[key(1, down, true)], Some(keep), &pool.holder("sort")).unwrap();
            for (place, batch) in batches.iter().enumerate() {
                sorter.add(batch).unwrap();
                if place % 3 == 2 && sorter.rows > keep {
                    sorter.drop_others(keep).unwrap();
                }
            }
            let mut expected = numbers.clone();
            expected.sort_unstable();
            if down {
                expected.reverse();
            }
            expected.truncate(keep);
            let found: Vec<i64> = rows(sorter).into_iter().map(|(_, number)| number).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
