//! Many rows a key, each with how often it is there: a multiset by key, in the order of its rows.
//!
//! ```text
//!   schema   ┌ key ┐┌ row ┐ weight
//!              a       3        2      the row (a, 3) is there twice
//!              a       9       -1      (a, 9) was taken back before it came
//!              b       2        1
//! ```
//!
//! Weights add up, so rows may be given and taken back in any order; at weight 0 a row is gone.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};

use super::bag::{Added, Bag, ROW_BYTES};
use super::ordered_table::{Scanned, pieces};
use super::row_bytes::RowBytes;
use super::row_order::{RowOrder, ScanBudget, ScanDirection};
use super::{KeyIndex, batch_of, integers};
use crate::error::{Error, Result};
use crate::state::{SnapshotWriter, StateTable, TableKind, TableSpec};

/// Changed rows that are put into batches together.
const SAVED_TOGETHER: ScanBudget = ScanBudget { rows: 64 * 1024, bytes: 16 << 20 };
/// The slot belongs to a key.
const USED: u8 = 1;
/// The slot stands in the list of changes.
const LISTED: u8 = 2;
/// Keys of a scan that are looked up together.
const SCAN_KEYS: usize = 1024;

/// A state table of weighted rows.
#[derive(Debug)]
pub struct BagTable {
    name: String,
    schema: SchemaRef,
    /// Leading columns that are the key.
    key: usize,
    /// Leading columns of the key that its key group is computed from.
    group_columns: usize,
    keys: KeyIndex,
    /// By slot.
    bags: Vec<Bag>,
    /// By slot.
    flags: Vec<u8>,
    /// Slots that changed since the last barrier; some may belong to no key or to another by now.
    changed: Vec<u32>,
    /// The columns between the key and the weight.
    order: RowOrder,
    /// The bytes of a row whose columns are NULL.
    nulls: RowBytes,
    /// In all bags.
    rows: usize,
    /// Bytes that were allocated for rows.
    heap_bytes: usize,
}

/// A walk through the rows of keys that may stop after any row and be taken up again, in this call or a later one.
#[derive(Debug, Clone)]
pub struct BagScan {
    /// `[rows]` of the key columns.
    keys: Vec<ArrayRef>,
    rows: usize,
    direction: ScanDirection,
    /// The key that is being walked through, and the last row of it that was found.
    at: usize,
    behind: Option<RowBytes>,
}

impl BagScan {
    /// Through all rows of each of `rows` keys, one key behind the other.
    pub fn new(keys: Vec<ArrayRef>, rows: usize, direction: ScanDirection) -> Self {
        Self { keys, rows, direction, at: 0, behind: None }
    }

    /// Whether all keys have been walked through.
    pub fn is_done(&self) -> bool {
        self.at == self.rows
    }
}

impl BagTable {
    /// An empty table. `schema` is the key (`key` columns, maybe none), at least one further column, and the weight
    /// (`Int64`). The rows of a key lie in order of the columns between, each in its own direction.
    pub fn new(name: impl Into<String>, schema: SchemaRef, key: usize, order: &[SortOptions]) -> Result<Self> {
        let types: Vec<DataType> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        if order.is_empty() || key + order.len() + 1 != types.len() || types.last() != Some(&DataType::Int64) {
            return Err(Error::bug("a table of weighted rows is given a key, what a row has behind it, and a weight"));
        }
        let behind_key = || types[key..].iter().cloned().zip(order.iter().copied());
        let nulls: Vec<ArrayRef> = behind_key().map(|(data_type, _)| new_null_array(&data_type, 1)).collect();
        let order = RowOrder::new(behind_key())?;
        Ok(Self {
            group_columns: key,
            nulls: RowBytes::new(order.encode(&nulls)?.row(0).data()),
            keys: KeyIndex::new(&types[..key])?,
            order,
            name: name.into(),
            schema,
            key,
            bags: Vec::new(),
            flags: Vec::new(),
            changed: Vec::new(),
            rows: 0,
            heap_bytes: 0,
        })
    }

    /// The same where rows come to a task by the first `columns` columns of the key alone.
    pub fn with_group_columns(mut self, columns: usize) -> Self {
        self.group_columns = columns;
        self
    }

    /// Writes the slot of each of `rows` keys to `slots`. They are valid until [`release`](Self::release), which has to
    /// follow within the same call of an operator.
    pub fn assign(&mut self, keys: &[ArrayRef], rows: usize, slots: &mut Vec<u32>) -> Result<()> {
        self.keys.assign(keys, rows, slots)?;
        // Slots that belong to no key any more may still stand in the list of changes.
        let length = self.keys.slots().max(self.bags.len());
        self.bags.resize_with(length, Bag::default);
        self.flags.resize(length, 0);
        slots.iter().for_each(|slot| self.flags[*slot as usize] |= USED);
        Ok(())
    }

    /// Adds `weights` to the weights of `[n]` rows, which are the columns between the key and the weight.
    pub fn add(&mut self, slots: &[u32], rows: &[ArrayRef], weights: &[i64]) -> Result<()> {
        let rows = self.order.encode(rows)?;
        for ((slot, row), weight) in slots.iter().zip(&rows).zip(weights) {
            if *weight == 0 {
                continue;
            }
            let row = RowBytes::new(row.data());
            let heap_bytes = row.heap_bytes();
            match self.bags[*slot as usize].add(row, *weight) {
                Added::New => (self.rows, self.heap_bytes) = (self.rows + 1, self.heap_bytes + heap_bytes),
                Added::Known => {}
                Added::Gone => (self.rows, self.heap_bytes) = (self.rows - 1, self.heap_bytes - heap_bytes),
            }
            self.note_change(*slot);
        }
        Ok(())
    }

    /// Lets all rows of some keys go.
    pub fn clear(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        let mut slots = Vec::new();
        self.assign(keys, rows, &mut slots)?;
        for slot in &slots {
            let (rows, bytes) = self.bags[*slot as usize].clear();
            (self.rows, self.heap_bytes) = (self.rows - rows, self.heap_bytes - bytes);
            self.note_change(*slot);
        }
        self.release(&slots);
        Ok(())
    }

    fn note_change(&mut self, slot: u32) {
        let flags = &mut self.flags[slot as usize];
        if *flags & LISTED == 0 {
            *flags |= LISTED;
            self.changed.push(slot);
        }
    }

    /// The columns between key and weight of the row of positive weight that is the first in its bag from that end, NULL
    /// where there is none.
    pub fn first_of_each(&self, slots: &[u32], from: ScanDirection) -> Result<Vec<ArrayRef>> {
        let first = |slot: &u32| self.bags[*slot as usize].first(from).unwrap_or(&self.nulls).as_slice();
        self.order.decode(slots.iter().map(first))
    }

    /// Gives back slots, each as often as one likes: those of keys without rows are free for others.
    pub fn release(&mut self, slots: &[u32]) {
        let mut free = Vec::new();
        for slot in slots {
            let flags = &mut self.flags[*slot as usize];
            if *flags & USED != 0 && self.bags[*slot as usize].is_empty() {
                *flags &= !USED;
                self.bags[*slot as usize] = Bag::default();
                free.push(*slot);
            }
        }
        self.keys.remove(&free);
    }

    /// The next rows of a scan, with all columns, and the number of the key of each: at least one where there is one.
    /// Until the scan is done, it may be taken up again, whatever was added meanwhile.
    pub fn scan(&mut self, scan: &mut BagScan, budget: ScanBudget) -> Result<Scanned> {
        let (mut slots, mut found, mut ranges) = (Vec::new(), Found::default(), Vec::new());
        loop {
            let keys = SCAN_KEYS.min(scan.rows - scan.at);
            let columns: Vec<ArrayRef> = scan.keys.iter().map(|column| column.slice(scan.at, keys)).collect();
            self.assign(&columns, keys, &mut slots)?;
            for slot in &slots {
                let rows = self.bags[*slot as usize].rows(scan.behind.as_ref(), scan.direction);
                let last = found.extend(rows, *slot, budget);
                ranges.resize(found.rows.len(), scan.at as u32);
                if last.is_some() {
                    scan.behind = last;
                    break;
                }
                (scan.at, scan.behind) = (scan.at + 1, None);
            }
            let is_over = !found.rows.is_empty() || scan.is_done();
            let rows = is_over.then(|| self.batch(&self.schema, &found.slots, &found.rows, &found.weights));
            self.release(&slots);
            if let Some(rows) = rows {
                return Ok(Scanned { rows: rows?, ranges });
            }
        }
    }

    /// Rows with the columns of `schema`, which may lack the weight.
    fn batch(&self, schema: &SchemaRef, slots: &[u32], rows: &[RowBytes], weights: &[i64]) -> Result<RecordBatch> {
        let mut columns = self.keys.gather(slots)?;
        columns.extend(self.order.decode(rows.iter().map(RowBytes::as_slice))?);
        if columns.len() < schema.fields().len() {
            columns.push(Arc::new(Int64Array::from(weights.to_vec())));
        }
        batch_of(schema, columns, rows.len())
    }

    /// The same in pieces that fit into a batch.
    fn batches(&self, schema: &SchemaRef, found: Found, mut to: impl FnMut(RecordBatch)) -> Result<()> {
        let mut at = 0;
        for rows in pieces(&found.rows, |row| row.as_slice().len()) {
            let piece = at..at + rows.len();
            to(self.batch(schema, &found.slots[piece.clone()], rows, &found.weights[piece.clone()])?);
            at = piece.end;
        }
        Ok(())
    }
}

impl StateTable for BagTable {
    fn spec(&self) -> TableSpec {
        let kind = TableKind::Keyed { unique: self.key + self.order.columns() };
        TableSpec {
            name: self.name.clone(),
            schema: Arc::clone(&self.schema),
            key: (0..self.group_columns).collect(),
            kind,
        }
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        let unique: Vec<usize> = (0..self.key + self.order.columns()).collect();
        let unique = Arc::new(self.schema.project(&unique)?);
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        let (mut put, mut gone) = (Found::default(), Found::default());
        for (index, slot) in changed.iter().enumerate() {
            self.flags[*slot as usize] &= !LISTED;
            let mut bag = std::mem::take(&mut self.bags[*slot as usize]);
            bag.save(|row, weight| put.push(*slot, row.clone(), weight), |row| gone.push(*slot, row, 0));
            self.bags[*slot as usize] = bag;
            let is_last = index + 1 == changed.len();
            if put.is_full(SAVED_TOGETHER) || is_last {
                self.batches(&self.schema, std::mem::take(&mut put), |rows| to.put(rows))?;
            }
            if gone.is_full(SAVED_TOGETHER) || is_last {
                self.rows -= gone.rows.len();
                self.heap_bytes -= gone.rows.iter().map(RowBytes::heap_bytes).sum::<usize>();
                self.batches(&unique, std::mem::take(&mut gone), |rows| to.delete(rows))?;
            }
        }
        self.release(&changed);
        Ok(())
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        let mut slots = Vec::new();
        for batch in rows {
            let batch = batch?;
            let (keys, rest) = batch.columns().split_at(self.key);
            let (rows, weights) = rest.split_at(self.order.columns());
            self.assign(keys, batch.num_rows(), &mut slots)?;
            for ((slot, row), weight) in slots.iter().zip(&self.order.encode(rows)?).zip(integers(&weights[0])?) {
                let row = RowBytes::new(row.data());
                (self.rows, self.heap_bytes) = (self.rows + 1, self.heap_bytes + row.heap_bytes());
                self.bags[*slot as usize].load(row, *weight);
            }
        }
        Ok(())
    }

    fn row_count(&self) -> usize {
        self.rows
    }

    fn bytes(&self) -> usize {
        let slots = self.bags.capacity() * (size_of::<Bag>() + 1) + self.changed.capacity() * 4;
        self.keys.bytes() + slots + self.rows * ROW_BYTES + self.heap_bytes
    }
}

/// Rows that a step of a scan has found, or that a barrier hands over, until they are worth a batch.
#[derive(Default)]
struct Found {
    slots: Vec<u32>,
    rows: Vec<RowBytes>,
    weights: Vec<i64>,
    /// Encoded.
    bytes: usize,
}

impl Found {
    fn push(&mut self, slot: u32, row: RowBytes, weight: i64) {
        self.bytes += row.as_slice().len() + size_of::<i64>();
        self.slots.push(slot);
        self.rows.push(row);
        self.weights.push(weight);
    }

    fn is_full(&self, budget: ScanBudget) -> bool {
        self.rows.len() >= budget.rows || self.bytes >= budget.bytes
    }

    /// Adds the rows of a key; the last one where the budget ended before them.
    fn extend<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a RowBytes, i64)>,
        slot: u32,
        budget: ScanBudget,
    ) -> Option<RowBytes> {
        for (row, weight) in rows {
            self.push(slot, row.clone(), weight);
            if self.is_full(budget) {
                return Some(row.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
