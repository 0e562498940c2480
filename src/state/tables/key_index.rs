//! From key columns to slots: equal keys get the same small number, new keys the next one in order of appearance.
//!
//! A single column that fits into 64 bits is its own tag; a single string is hashed as it lies; several of both are words
//! side by side, strings by numbers of their own; anything else goes through Arrow's row encoding. NULLs are one key.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{BinaryType, DataType, Schema, Utf8Type};
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_64;

use super::byte_keys::ByteKeys;
use super::key_columns::KeyColumns;
use super::probe_table::ProbeTable;
use super::word_keys::{Width, WordKeys};
use crate::error::{Error, Result};

/// Maps the keys of batches to slots.
#[derive(Debug)]
pub struct KeyIndex {
    types: Vec<DataType>,
    table: ProbeTable,
    keys: Keys,
    /// Slots in use are below this, but for those in `free`.
    length: usize,
    /// Slots whose key was removed, taken first.
    free: Vec<u32>,
    tags: Vec<u64>,
}

/// The keys by slot.
#[derive(Debug)]
enum Keys {
    /// No columns: one slot for everything.
    Nothing,
    /// One column of up to 64 bits.
    Word(WordKeys),
    /// Several such columns and texts.
    Columns(KeyColumns),
    /// One string or byte string.
    Bytes(ByteKeys),
    /// Anything, encoded.
    Rows(RowConverter, ByteKeys),
}

impl KeyIndex {
    /// An empty index for columns of these types.
    pub fn new(types: &[DataType]) -> Result<Self> {
        let keys = match (types, types.first().and_then(Width::of)) {
            ([], _) => Keys::Nothing,
            ([_], Some(width)) => Keys::Word(WordKeys::new(width)),
            ([DataType::Utf8 | DataType::Binary], None) => Keys::Bytes(ByteKeys::default()),
            _ => match KeyColumns::new(types)? {
                Some(columns) => Keys::Columns(columns),
                None => {
                    let fields = types.iter().cloned().map(SortField::new).collect();
                    Keys::Rows(RowConverter::new(fields)?, ByteKeys::default())
                }
            },
        };
        let types = types.to_vec();
        Ok(Self { types, table: ProbeTable::default(), keys, length: 0, free: Vec::new(), tags: Vec::new() })
    }

    /// Slots are below this number.
    pub fn slots(&self) -> usize {
        self.length
    }

    /// Keys in the index.
    pub fn len(&self) -> usize {
        self.length - self.free.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots that belong to no key.
    pub fn free_slots(&self) -> &[u32] {
        &self.free
    }

    /// Writes the slot of each of `rows` rows to `slots`; keys that are new get slots.
    pub fn assign(&mut self, columns: &[ArrayRef], rows: usize, slots: &mut Vec<u32>) -> Result<()> {
        slots.clear();
        if self.length > u32::MAX as usize / 2 {
            return Err(Error::world("more than two thousand million keys in one task"));
        }
        let Self { types, table, keys, length, free, tags } = self;
        debug_assert!(columns.iter().map(|column| column.data_type()).eq(types.iter()), "columns of the index's types");
        let first = *length == 0;
        let mut slot = || {
            free.pop().unwrap_or_else(|| {
                *length += 1;
                *length as u32 - 1
            })
        };
        match keys {
            Keys::Nothing => {
                if rows > 0 && first {
                    slot();
                }
                slots.resize(rows, 0);
            }
            Keys::Word(keys) => {
                let column = &columns[0];
                keys.read(column, tags);
                let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
                let insert = |keys: &mut WordKeys, word: u64| {
                    let slot = slot();
                    keys.set(slot, word, false);
                    slot
                };
                let Some(nulls) = nulls else {
                    let (words, mut insert) = (&tags[..], insert);
                    table.assign(words, slots, keys, |_, _, _| true, |keys, row| insert(keys, words[row]));
                    return Ok(());
                };
                keys.assign_nullable(table, tags, nulls, slots, insert);
            }
            Keys::Columns(keys) => keys.assign(table, tags, columns, slots, slot)?,
            Keys::Bytes(keys) => match columns[0].data_type() {
                DataType::Utf8 => keys.assign_array::<Utf8Type>(table, tags, &columns[0], slots, slot)?,
                _ => keys.assign_array::<BinaryType>(table, tags, &columns[0], slots, slot)?,
            },
            Keys::Rows(converter, keys) => {
                let encoded = converter.convert_columns(columns)?;
                tags.clear();
                tags.extend(encoded.iter().map(|row| xxh3_64(row.data())));
                keys.assign(table, tags, |row| encoded.row(row).data(), slots, slot);
            }
        }
        Ok(())
    }

    /// The key columns of `slots`, in that order.
    pub fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(match &self.keys {
            Keys::Nothing => Vec::new(),
            Keys::Word(keys) => vec![keys.gather(slots, &self.types[0])?],
            Keys::Columns(keys) => keys.gather(slots, &self.types)?,
            Keys::Bytes(keys) => vec![keys.gather(slots, &self.types[0])?],
            Keys::Rows(converter, keys) => {
                let parser = converter.parser();
                converter.convert_rows(slots.iter().map(|slot| parser.parse(keys.get(*slot))))?
            }
        })
    }

    /// The key columns of all slots, moved out; the index is empty afterwards. No key may have been removed.
    pub fn take(&mut self) -> Result<Vec<ArrayRef>> {
        if !self.free.is_empty() {
            return Err(Error::bug("keys were removed from an index that is moved out"));
        }
        let length = std::mem::take(&mut self.length);
        self.table.clear();
        Ok(match &mut self.keys {
            Keys::Nothing => Vec::new(),
            Keys::Word(keys) => vec![keys.take().into_array(&self.types[0])?],
            Keys::Columns(keys) => keys.take(&self.types)?,
            Keys::Bytes(keys) => vec![std::mem::take(keys).into_array(&self.types[0])?],
            Keys::Rows(converter, keys) => {
                let keys = std::mem::take(keys);
                let parser = converter.parser();
                converter.convert_rows((0..length as u32).map(|slot| parser.parse(keys.get(slot))))?
            }
        })
    }

    /// Forgets the keys of `slots`, which new keys may then take.
    pub fn remove(&mut self, slots: &[u32]) {
        for slot in slots {
            let tag = match &mut self.keys {
                Keys::Nothing => None,
                Keys::Word(keys) => keys.forget(*slot),
                Keys::Columns(keys) => Some(keys.forget(*slot)),
                Keys::Bytes(keys) | Keys::Rows(_, keys) => keys.forget(*slot),
            };
            if let Some(tag) = tag {
                self.table.remove(tag, *slot);
            }
        }
        if matches!(self.keys, Keys::Nothing) {
            self.length = if slots.is_empty() { self.length } else { 0 };
            return;
        }
        self.free.extend_from_slice(slots);
        if let Keys::Bytes(keys) | Keys::Rows(_, keys) = &mut self.keys {
            keys.compact();
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let keys = match &self.keys {
            Keys::Nothing => 0,
            Keys::Word(keys) => keys.bytes(),
            Keys::Columns(keys) => keys.bytes(),
            Keys::Bytes(keys) | Keys::Rows(_, keys) => keys.bytes(),
        };
        keys + self.table.bytes() + self.tags.capacity() * 8 + self.free.capacity() * 4
    }
}

/// A batch of `columns`, which may be none, with `rows` rows.
pub fn batch_of(schema: &Arc<Schema>, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray, UInt32Array,
    };

    /// Assigns, gathers back what was assigned, removes some and assigns again; compares with the rows themselves.
    fn check(columns: Vec<ArrayRef>) {
        let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
        let rows = columns[0].len();
        let texts = |columns: &[ArrayRef]| -> Vec<String> {
            let rows = columns[0].len();
            let text = |column: &ArrayRef, row| arrow::util::display::array_value_to_string(column, row).unwrap();
            let null = |column: &ArrayRef, row| if column.is_null(row) { "NULL".to_owned() } else { text(column, row) };
            (0..rows).map(|row| columns.iter().map(|column| null(column, row) + ",").collect()).collect()
        };
        let wanted = texts(&columns);
        let mut index = KeyIndex::new(&types).unwrap();
        let mut slots = Vec::new();
        // In two sliced halves, so that offsets are met.
        for (offset, length) in [(0, rows / 2), (rows / 2, rows - rows / 2)] {
            let half: Vec<ArrayRef> = columns.iter().map(|column| column.slice(offset, length)).collect();
            index.assign(&half, length, &mut slots).unwrap();
            assert_eq!(texts(&index.gather(&slots).unwrap()), wanted[offset..offset + length]);
        }
        let distinct: std::collections::BTreeSet<&String> = wanted.iter().collect();
        assert_eq!((index.len(), index.slots()), (distinct.len(), distinct.len()));

        index.assign(&columns, rows, &mut slots).unwrap();
        let removed: Vec<u32> = (0..index.slots() as u32).step_by(2).collect();
        index.remove(&removed);
        index.assign(&columns, rows, &mut slots).unwrap();
        assert_eq!((index.len(), index.slots()), (distinct.len(), distinct.len()));
        assert_eq!(texts(&index.gather(&slots).unwrap()), wanted);

        let mut index = KeyIndex::new(&types).unwrap();
        for _ in 0..2 {
            index.assign(&columns, rows, &mut slots).unwrap();
            let taken = texts(&index.take().unwrap());
            assert_eq!(slots.iter().map(|slot| taken[*slot as usize].clone()).collect::<Vec<_>>(), wanted);
            assert!(index.is_empty());
        }
    }

    #[test]
    fn keys_of_every_shape_come_back() {
        let numbers: ArrayRef =
            Arc::new(Int64Array::from(vec![Some(7), None, Some(0), Some(7), Some(-1), None, Some(0)]));
        let dense: ArrayRef = Arc::new(Int64Array::from(vec![5, 6, 5, 0, i64::MIN, i64::MAX, 6]));
        let texts: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), None, Some(""), Some("a"), Some("bcd"), None, Some("")]));
        let days: ArrayRef =
            Arc::new(Date32Array::from(vec![Some(1), Some(-1), None, Some(1), Some(1), Some(-1), Some(0)]));
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![
            Some(true),
            None,
            Some(false),
            Some(true),
            None,
            Some(false),
            Some(false),
        ]));
        let reals: ArrayRef = Arc::new(Float64Array::from(vec![1.5, f64::NAN, 0.0, 1.5, -2.0, f64::NAN, 0.0]));
        let exact: ArrayRef =
            Arc::new(Decimal128Array::from(vec![Some(1), None, Some(3), Some(1), Some(4), None, Some(3)]));
        for single in [&numbers, &dense, &texts, &days, &flags, &reals, &exact] {
            check(vec![Arc::clone(single)]);
        }
        check(vec![Arc::clone(&numbers), Arc::clone(&days)]);
        check(vec![Arc::clone(&dense), Arc::clone(&flags), Arc::clone(&reals)]);
        check(vec![Arc::clone(&texts), Arc::clone(&numbers)]);
        check(vec![Arc::clone(&days), Arc::clone(&texts), Arc::clone(&texts)]);
        check(vec![texts, numbers, exact]);
    }

    #[test]
    fn keys_that_outgrow_their_place_in_a_tag_stay_what_they_are() {
        let slots: ArrayRef = Arc::new(UInt32Array::from(vec![0, 1, 0, 1, 0, 1, 0, 1]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "a", "a", "b", "a", "c"]));
        for last in [3, 1 << 31, 1 << 33, -1] {
            let numbers: ArrayRef = Arc::new(Int64Array::from(vec![0, 0, 1, 2, 0, last, last, 7]));
            check(vec![Arc::clone(&slots), Arc::clone(&numbers)]);
            check(vec![Arc::clone(&numbers), Arc::clone(&texts)]);
            check(vec![Arc::clone(&texts), Arc::clone(&numbers), Arc::clone(&numbers)]);
        }
    }

    #[test]
    fn texts_that_no_key_holds_are_forgotten() {
        let mut index = KeyIndex::new(&[DataType::Utf8, DataType::Int64]).unwrap();
        let mut slots = Vec::new();
        for round in 0..100 {
            let texts: StringArray = (0..1000).map(|row| Some(format!("{round} and {row}"))).collect();
            let numbers = Int64Array::from_iter_values(0..1000);
            index.assign(&[Arc::new(texts), Arc::new(numbers)], 1000, &mut slots).unwrap();
            index.remove(&slots);
        }
        assert!(index.is_empty());
        assert!(index.bytes() < 300_000, "{} bytes", index.bytes());
    }

    #[test]
    fn keys_in_the_slots_of_removed_ones_are_moved_out_like_the_others() {
        let texts = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let mut index = KeyIndex::new(&[DataType::Utf8]).unwrap();
        let mut slots = Vec::new();
        index.assign(&[texts(&["one", "two", "three"])], 3, &mut slots).unwrap();
        index.remove(&[0]);
        index.assign(&[texts(&["fourth"])], 1, &mut slots).unwrap();
        assert_eq!(index.take().unwrap(), [texts(&["fourth", "two", "three"])]);
    }

    #[test]
    fn no_columns_are_one_key() {
        let mut index = KeyIndex::new(&[]).unwrap();
        let mut slots = Vec::new();
        index.assign(&[], 0, &mut slots).unwrap();
        assert!(index.is_empty());
        index.assign(&[], 3, &mut slots).unwrap();
        assert_eq!((slots.as_slice(), index.len()), (&[0, 0, 0][..], 1));
        index.remove(&[0]);
        assert!(index.is_empty());
    }
}
