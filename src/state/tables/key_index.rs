//! From key columns to slots: equal keys get the same small number, new keys the next one in order of appearance.
//!
//! A single column that fits into 64 bits is its own tag; several such columns are hashed column by column; a single
//! string is hashed as it lies; anything else goes through Arrow's row encoding. NULLs are one key.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, BinaryArray, BooleanArray, GenericByteArray, RecordBatch, RecordBatchOptions,
    StringArray, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{BinaryType, ByteArrayType, DataType, Schema, Utf8Type};
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_64;

use super::probe_table::{ProbeTable, mix};
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
    /// Several of them.
    Words(Vec<WordKeys>),
    /// One string or byte string.
    Bytes(ByteKeys),
    /// Anything, encoded.
    Rows(RowConverter, ByteKeys),
}

/// A column of up to 64 bits, widened.
#[derive(Debug, Default)]
struct WordKeys {
    width: Width,
    words: Vec<u64>,
    /// Whether each slot's value is NULL; empty as long as none is.
    nulls: Vec<bool>,
    /// The slot of the NULL key of a single column.
    null_slot: Option<u32>,
}

/// Byte strings one behind the other.
#[derive(Debug, Default)]
struct ByteKeys {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    null_slot: Option<u32>,
    /// Bytes of removed keys.
    unused: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: usize,
    length: u32,
}

/// The bits of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Width {
    Bit,
    Byte,
    Two,
    Four,
    #[default]
    Eight,
}

impl KeyIndex {
    /// An empty index for columns of these types.
    pub fn new(types: &[DataType]) -> Result<Self> {
        let widths: Option<Vec<Width>> = types.iter().map(Width::of).collect();
        let word = |width| WordKeys { width, ..WordKeys::default() };
        let keys = match (types, widths) {
            ([], _) => Keys::Nothing,
            ([_], Some(widths)) => Keys::Word(word(widths[0])),
            (_, Some(widths)) => Keys::Words(widths.into_iter().map(word).collect()),
            ([DataType::Utf8 | DataType::Binary], None) => Keys::Bytes(ByteKeys::default()),
            _ => {
                let fields = types.iter().cloned().map(SortField::new).collect();
                Keys::Rows(RowConverter::new(fields)?, ByteKeys::default())
            }
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
                keys.width.read(column, tags);
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
            Keys::Words(keys) => {
                let mut words = Vec::with_capacity(columns.len());
                tags.clear();
                tags.resize(rows, 0);
                for (column, keys) in columns.iter().zip(keys.iter()) {
                    let mut column_words = Vec::with_capacity(rows);
                    keys.width.read(column, &mut column_words);
                    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
                    if let Some(nulls) = &nulls {
                        for (row, word) in column_words.iter_mut().enumerate() {
                            // What lies under a NULL is of no account.
                            *word = if nulls.is_null(row) { 0 } else { *word };
                        }
                    }
                    for (tag, word) in tags.iter_mut().zip(&column_words) {
                        *tag = mix(tag.rotate_left(23) ^ *word);
                    }
                    words.push((column_words, nulls));
                }
                let null = |nulls: &Option<NullBuffer>, row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                table.assign(
                    tags,
                    slots,
                    keys,
                    |keys, slot, row| {
                        keys.iter()
                            .zip(&words)
                            .all(|(keys, (words, nulls))| keys.is(slot, words[row], null(nulls, row)))
                    },
                    |keys, row| {
                        let slot = slot();
                        for (keys, (words, nulls)) in keys.iter_mut().zip(&words) {
                            keys.set(slot, words[row], null(nulls, row));
                        }
                        slot
                    },
                );
            }
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
            Keys::Words(keys) => keys
                .iter()
                .zip(&self.types)
                .map(|(keys, data_type)| keys.gather(slots, data_type))
                .collect::<Result<_>>()?,
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
            Keys::Word(keys) => vec![std::mem::replace(keys, keys.fresh()).into_array(&self.types[0])?],
            Keys::Words(keys) => keys
                .iter_mut()
                .zip(&self.types)
                .map(|(keys, data_type)| std::mem::replace(keys, keys.fresh()).into_array(data_type))
                .collect::<Result<_>>()?,
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
                Keys::Word(keys) => {
                    if keys.null_slot == Some(*slot) {
                        keys.null_slot = None;
                        None
                    } else {
                        Some(keys.words[*slot as usize])
                    }
                }
                Keys::Words(keys) => {
                    Some(keys.iter().fold(0_u64, |tag, keys| mix(tag.rotate_left(23) ^ keys.words[*slot as usize])))
                }
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
        let words = |keys: &WordKeys| keys.words.capacity() * 8 + keys.nulls.capacity();
        let keys = match &self.keys {
            Keys::Nothing => 0,
            Keys::Word(keys) => words(keys),
            Keys::Words(keys) => keys.iter().map(words).sum(),
            Keys::Bytes(keys) | Keys::Rows(_, keys) => {
                keys.bytes.capacity() + keys.spans.capacity() * size_of::<Span>()
            }
        };
        keys + self.table.bytes() + self.tags.capacity() * 8 + self.free.capacity() * 4
    }
}

impl Width {
    /// The width of values of this type, if they are plain bits.
    fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Boolean => Some(Self::Bit),
            other => match other.primitive_width()? {
                1 => Some(Self::Byte),
                2 => Some(Self::Two),
                4 => Some(Self::Four),
                8 => Some(Self::Eight),
                _ => None,
            },
        }
    }

    /// The values of a column as words.
    fn read(self, column: &ArrayRef, words: &mut Vec<u64>) {
        words.clear();
        if self == Self::Bit {
            let values = column.as_any().downcast_ref::<BooleanArray>().expect("a column of a bit is boolean");
            words.extend(values.values().iter().map(u64::from));
            return;
        }
        let data = column.to_data();
        let (buffer, rows) = (&data.buffers()[0], data.offset()..data.offset() + data.len());
        match self {
            Self::Bit => {}
            Self::Byte => words.extend(buffer.typed_data::<u8>()[rows].iter().map(|value| u64::from(*value))),
            Self::Two => words.extend(buffer.typed_data::<u16>()[rows].iter().map(|value| u64::from(*value))),
            Self::Four => words.extend(buffer.typed_data::<u32>()[rows].iter().map(|value| u64::from(*value))),
            Self::Eight => words.extend_from_slice(&buffer.typed_data::<u64>()[rows]),
        }
    }

    /// Words as a column.
    fn array(self, words: Vec<u64>, nulls: Option<NullBuffer>, data_type: &DataType) -> Result<ArrayRef> {
        let length = words.len();
        let buffer = match self {
            Self::Bit => {
                let values = words.iter().map(|word| *word != 0).collect();
                return Ok(Arc::new(BooleanArray::new(values, nulls)));
            }
            Self::Byte => Buffer::from_vec(words.iter().map(|word| *word as u8).collect::<Vec<_>>()),
            Self::Two => Buffer::from_vec(words.iter().map(|word| *word as u16).collect::<Vec<_>>()),
            Self::Four => Buffer::from_vec(words.iter().map(|word| *word as u32).collect::<Vec<_>>()),
            Self::Eight => Buffer::from_vec(words),
        };
        let data = ArrayData::builder(data_type.clone()).len(length).add_buffer(buffer).nulls(nulls).build()?;
        Ok(make_array(data))
    }
}

impl WordKeys {
    fn fresh(&self) -> Self {
        Self { width: self.width, ..Self::default() }
    }

    fn set(&mut self, slot: u32, word: u64, null: bool) {
        let slot = slot as usize;
        if slot == self.words.len() {
            self.words.push(word);
        } else {
            self.words[slot] = word;
        }
        if null || !self.nulls.is_empty() {
            self.nulls.resize(self.words.len(), false);
            self.nulls[slot] = null;
        }
    }

    #[inline(always)]
    fn is(&self, slot: u32, word: u64, null: bool) -> bool {
        let slot = slot as usize;
        self.words[slot] == word && self.nulls.get(slot).copied().unwrap_or(false) == null
    }

    /// The rows that are NULL all get one slot, the others are looked up.
    fn assign_nullable(
        &mut self,
        table: &mut ProbeTable,
        words: &[u64],
        nulls: &NullBuffer,
        slots: &mut Vec<u32>,
        mut insert: impl FnMut(&mut Self, u64) -> u32,
    ) {
        for (row, word) in words.iter().enumerate() {
            if nulls.is_valid(row) {
                let word = std::slice::from_ref(word);
                table.assign(word, slots, self, |_, _, _| true, |keys, _| insert(keys, word[0]));
                continue;
            }
            let slot = match self.null_slot {
                Some(slot) => slot,
                None => {
                    let slot = insert(self, 0);
                    self.set(slot, 0, true);
                    self.null_slot = Some(slot);
                    slot
                }
            };
            slots.push(slot);
        }
    }

    fn gather(&self, slots: &[u32], data_type: &DataType) -> Result<ArrayRef> {
        let words = slots.iter().map(|slot| self.words[*slot as usize]).collect();
        let nulls = self.nulls_of(slots.iter().map(|slot| *slot as usize), slots.len());
        self.width.array(words, nulls, data_type)
    }

    fn into_array(mut self, data_type: &DataType) -> Result<ArrayRef> {
        let nulls = self.nulls_of(0..self.words.len(), self.words.len());
        self.width.array(std::mem::take(&mut self.words), nulls, data_type)
    }

    fn nulls_of(&self, slots: impl Iterator<Item = usize>, length: usize) -> Option<NullBuffer> {
        if self.nulls.is_empty() {
            return None;
        }
        let valid: Vec<bool> = slots.map(|slot| !self.nulls.get(slot).copied().unwrap_or(false)).collect();
        debug_assert_eq!(valid.len(), length);
        Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0)
    }
}

impl ByteKeys {
    fn get(&self, slot: u32) -> &[u8] {
        let span = self.spans[slot as usize];
        &self.bytes[span.start..span.start + span.length as usize]
    }

    fn set(&mut self, slot: u32, key: &[u8]) {
        let span = Span { start: self.bytes.len(), length: key.len() as u32 };
        self.bytes.extend_from_slice(key);
        if slot as usize == self.spans.len() {
            self.spans.push(span);
        } else {
            self.spans[slot as usize] = span;
        }
    }

    fn assign<'a>(
        &mut self,
        table: &mut ProbeTable,
        tags: &[u64],
        key: impl Fn(usize) -> &'a [u8],
        slots: &mut Vec<u32>,
        mut slot: impl FnMut() -> u32,
    ) {
        let insert = |keys: &mut Self, row| {
            let slot = slot();
            keys.set(slot, key(row));
            slot
        };
        table.assign(tags, slots, self, |keys, slot, row| keys.get(slot) == key(row), insert);
    }

    fn assign_array<T: ByteArrayType<Offset = i32>>(
        &mut self,
        table: &mut ProbeTable,
        tags: &mut Vec<u64>,
        column: &ArrayRef,
        slots: &mut Vec<u32>,
        mut slot: impl FnMut() -> u32,
    ) -> Result<()> {
        let Some(values) = column.as_any().downcast_ref::<GenericByteArray<T>>() else {
            return Err(Error::bug("a key column changed its type"));
        };
        let (offsets, bytes) = (values.value_offsets(), values.value_data());
        let key = |row: usize| &bytes[offsets[row] as usize..offsets[row + 1] as usize];
        tags.clear();
        let Some(nulls) = values.nulls().filter(|nulls| nulls.null_count() > 0) else {
            tags.extend((0..values.len()).map(|row| xxh3_64(key(row))));
            self.assign(table, tags, key, slots, slot);
            return Ok(());
        };
        for row in 0..values.len() {
            if nulls.is_valid(row) {
                self.assign(table, &[xxh3_64(key(row))], |_| key(row), slots, &mut slot);
                continue;
            }
            let null_slot = *self.null_slot.get_or_insert_with(&mut slot);
            if null_slot as usize == self.spans.len() {
                self.spans.push(Span::default());
            }
            slots.push(null_slot);
        }
        Ok(())
    }

    /// Gives up the key of a slot and returns its tag, if it had one.
    fn forget(&mut self, slot: u32) -> Option<u64> {
        if self.null_slot == Some(slot) {
            self.null_slot = None;
            self.spans[slot as usize] = Span::default();
            return None;
        }
        let tag = xxh3_64(self.get(slot));
        self.unused += std::mem::take(&mut self.spans[slot as usize]).length as usize;
        Some(tag)
    }

    /// Closes the gaps once they are more than half.
    fn compact(&mut self) {
        if self.unused * 2 <= self.bytes.len() || self.unused < 64 * 1024 {
            return;
        }
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.unused);
        for span in &mut self.spans {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[span.start..span.start + span.length as usize]);
            span.start = start;
        }
        self.bytes = bytes;
        self.unused = 0;
    }

    fn gather(&self, slots: &[u32], data_type: &DataType) -> Result<ArrayRef> {
        let length = slots.iter().map(|slot| self.spans[*slot as usize].length as usize).sum();
        let mut bytes = Vec::with_capacity(length);
        let mut offsets = Vec::with_capacity(slots.len() + 1);
        offsets.push(0);
        for slot in slots {
            bytes.extend_from_slice(self.get(*slot));
            offsets.push(bytes.len());
        }
        byte_array(bytes, offsets, self.nulls_of(slots.iter().copied()), data_type)
    }

    fn nulls_of(&self, slots: impl Iterator<Item = u32>) -> Option<NullBuffer> {
        let null_slot = self.null_slot?;
        Some(NullBuffer::from_iter(slots.map(|slot| slot != null_slot))).filter(|nulls| nulls.null_count() > 0)
    }

    fn into_array(self, data_type: &DataType) -> Result<ArrayRef> {
        // The keys lie in the order of their slots, without gaps; NULL is an empty span. But for keys that took the
        // slots of removed ones.
        let mut end = 0;
        let is_next = |span: &Span| {
            let is_next = span.start == end || span.length == 0;
            end += span.length as usize;
            is_next
        };
        if !self.spans.iter().all(is_next) || end != self.bytes.len() {
            return self.gather(&(0..self.spans.len() as u32).collect::<Vec<_>>(), data_type);
        }
        let mut offsets = Vec::with_capacity(self.spans.len() + 1);
        let mut end = 0;
        offsets.push(end);
        for span in &self.spans {
            end += span.length as usize;
            offsets.push(end);
        }
        let nulls = self.nulls_of(0..self.spans.len() as u32);
        byte_array(self.bytes, offsets, nulls, data_type)
    }
}

fn byte_array(
    bytes: Vec<u8>,
    offsets: Vec<usize>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> Result<ArrayRef> {
    if bytes.len() > i32::MAX as usize {
        return Err(Error::world("the keys of one batch of state are longer than 2 GiB together"));
    }
    let offsets: Vec<i32> = offsets.into_iter().map(|offset| offset as i32).collect();
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let bytes = Buffer::from_vec(bytes);
    Ok(match data_type {
        DataType::Utf8 => Arc::new(StringArray::try_new(offsets, bytes, nulls)?),
        _ => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
    })
}

/// A batch of `columns`, which may be none, with `rows` rows.
pub fn batch_of(schema: &Arc<Schema>, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Decimal128Array, Float64Array, Int64Array};

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
        check(vec![texts, numbers, exact]);
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
