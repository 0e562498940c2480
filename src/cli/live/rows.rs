//! The rows that stand, kept by their key and in reach of any page in order: what a live table shows.
//!
//! Each row is held as bytes that compare as its order, so that a change costs one look-up and a page one pass over
//! the rows; nothing is turned into text that is not on the page.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::row::{RowConverter, SortField};
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use crate::error::Result;
use crate::session::{Standing, row_order};
use crate::stream::{ChangeKind, Changes, Grant};

/// What the table takes for a row besides its bytes.
const ROW_BYTES: usize = 96;

/// The rows that stand.
pub struct LiveRows {
    standing: Standing,
    key: RowConverter,
    key_columns: Vec<usize>,
    order: RowConverter,
    /// The columns as the order compares them, most significant first.
    order_columns: Vec<usize>,
    rows: HashMap<Vec<u8>, Row>,
    bytes: usize,
    memory: Grant,
    changes: u64,
}

struct Row {
    /// All columns, in the order of `order_columns`.
    bytes: Box<[u8]>,
    /// How often it stands; without a key a row may stand more than once.
    count: i64,
}

impl LiveRows {
    /// No rows yet.
    pub fn new(standing: Standing) -> Result<Self> {
        let width = standing.schema.fields().len();
        let field = |column: usize| standing.schema.field(column).data_type().clone();
        let key_columns: Vec<usize> = if standing.key.is_empty() { (0..width).collect() } else { standing.key.clone() };
        let key = RowConverter::new(key_columns.iter().map(|column| SortField::new(field(*column))).collect())?;
        let (order_columns, order) = row_order(&standing.schema, &standing.arrangement.keys, &key_columns)?;
        let memory = standing.memory.nothing();
        Ok(Self {
            standing,
            key,
            key_columns,
            order,
            order_columns,
            rows: HashMap::new(),
            bytes: 0,
            memory,
            changes: 0,
        })
    }

    /// Adds and takes back rows.
    pub fn add(&mut self, changes: &Changes) -> Result<()> {
        let columns = |columns: &[usize]| -> Vec<ArrayRef> {
            columns.iter().map(|column| changes.column(*column).clone()).collect()
        };
        let keys = self.key.convert_columns(&columns(&self.key_columns))?;
        let rows = self.order.convert_columns(&columns(&self.order_columns))?;
        let mut next = 0;
        while next < changes.len() {
            let index = next;
            // An old version and the new one behind it are one step.
            let is_update = changes.kind(index) == ChangeKind::UpdateBefore
                && index + 1 < changes.len()
                && changes.kind(index + 1) == ChangeKind::UpdateAfter
                && keys.row(index) == keys.row(index + 1);
            let (last, sign) = if is_update { (index + 1, 0) } else { (index, changes.kind(index).sign()) };
            next = last + 1;
            self.put(keys.row(last).as_ref(), rows.row(last).as_ref(), sign);
        }
        self.changes += changes.len() as u64;
        self.memory.resize(self.bytes)
    }

    /// A row comes (1), goes (-1) or takes the place of another (0).
    fn put(&mut self, key: &[u8], row: &[u8], sign: i64) {
        match self.rows.entry_ref(key) {
            EntryRef::Occupied(mut entry) => {
                let held = entry.get_mut();
                held.count += sign;
                if held.count == 0 {
                    self.bytes -= key.len() + held.bytes.len() + ROW_BYTES;
                    entry.remove();
                } else if sign >= 0 {
                    self.bytes = self.bytes + row.len() - held.bytes.len();
                    match held.bytes.len() == row.len() {
                        true => held.bytes.copy_from_slice(row),
                        false => held.bytes = row.into(),
                    }
                }
            }
            EntryRef::Vacant(entry) => {
                let count = if sign == 0 { 1 } else { sign };
                entry.insert(Row { bytes: row.into(), count });
                self.bytes += key.len() + row.len() + ROW_BYTES;
            }
        }
    }

    /// Changes so far: whoever has painted at this number need not paint again.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How many rows the result has now.
    pub fn len(&self) -> usize {
        let standing: i64 = self.rows.values().map(|row| row.count.max(0)).sum();
        let arrangement = &self.standing.arrangement;
        let standing = usize::try_from(standing).unwrap_or(0).saturating_sub(arrangement.offset);
        standing.min(arrangement.limit.unwrap_or(usize::MAX))
    }

    /// So many rows in order, from one on; with the columns that are shown.
    pub fn page(&self, from: usize, rows: usize) -> Result<RecordBatch> {
        let arrangement = &self.standing.arrangement;
        let to =
            from.saturating_add(rows).min(arrangement.limit.unwrap_or(usize::MAX)).saturating_add(arrangement.offset);
        let from = from.saturating_add(arrangement.offset);
        let mut order: Vec<(&[u8], i64)> =
            self.rows.values().filter(|row| row.count > 0).map(|row| (&*row.bytes, row.count)).collect();
        // Each stands at least once, so that the first `to` rows are among the first `to` of these.
        if to < order.len() {
            order.select_nth_unstable(to);
            order.truncate(to);
        }
        order.sort_unstable();
        let each =
            order.iter().flat_map(|(row, count)| std::iter::repeat_n(*row, usize::try_from(*count).unwrap_or(0)));
        let parser = self.order.parser();
        let shown = each.take(to).skip(from).map(|row| parser.parse(row));
        let columns = self.order.convert_rows(shown)?;
        let place = |column: usize| self.order_columns.iter().position(|ordered| *ordered == column).unwrap_or(0);
        let visible: Vec<usize> = (0..arrangement.visible).collect();
        let schema = Arc::new(self.standing.schema.project(&visible)?);
        Ok(RecordBatch::try_new(schema, visible.iter().map(|column| columns[place(*column)].clone()).collect())?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::session::samples::{batch, updates};
    use crate::session::{Arrangement, OrderKey};
    use crate::stream::MemoryPool;

    fn rows(key: Vec<usize>, arrangement: Arrangement, pool: &MemoryPool) -> LiveRows {
        let (schema, memory) = (updates().schema(), pool.holder("the rows that stand"));
        LiveRows::new(Standing { schema, key, arrangement, memory }).unwrap()
    }

    fn numbers(rows: &LiveRows, from: usize, count: usize) -> Vec<i64> {
        let page = rows.page(from, count).unwrap();
        page.column(1).as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn a_row_takes_the_place_of_the_one_with_its_key() {
        let pool = MemoryPool::new(None);
        for key in [vec![0], vec![]] {
            let mut live = rows(key, Arrangement::none(2), &pool);
            live.add(&updates()).unwrap();
            assert_eq!((live.len(), numbers(&live, 0, 9)), (2, vec![1, 2]));
            live.add(&Changes::new(batch(&[Some("a")], &[2]), vec![ChangeKind::Delete])).unwrap();
            assert_eq!((live.len(), numbers(&live, 0, 9)), (1, vec![1]));
            live.add(&Changes::new(batch(&[None], &[1]), vec![ChangeKind::UpdateBefore])).unwrap();
            assert_eq!((live.len(), live.bytes), (0, 0));
        }
    }

    #[test]
    fn a_page_is_a_piece_of_the_order() {
        let key = OrderKey { column: 1, is_descending: true, nulls_first: false, text: "n".to_owned() };
        let pool = MemoryPool::new(None);
        let arrangement = Arrangement { keys: vec![key], offset: 1, limit: Some(50), visible: 2 };
        let mut live = rows(vec![0], arrangement, &pool);
        let names: Vec<String> = (0..100).map(|name| format!("{name}")).collect();
        let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        let counts: Vec<i64> = (0..100).map(|row| row * 37 % 100).collect();
        live.add(&Changes::inserts(batch(&names, &counts))).unwrap();
        assert_eq!((live.len(), numbers(&live, 0, 3)), (50, vec![98, 97, 96]));
        assert_eq!(numbers(&live, 47, 9), [51, 50, 49]);
        assert_eq!(pool.used(), live.bytes as u64);
    }
}
