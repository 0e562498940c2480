//! Keys of one text or byte string, or of anything encoded as one, by slot.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, GenericByteArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ByteArrayType, DataType};
use xxhash_rust::xxh3::xxh3_64;

use super::probe_table::ProbeTable;
use crate::error::{Error, Result};

/// Byte strings one behind the other.
#[derive(Debug, Default)]
pub(super) struct ByteKeys {
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

impl ByteKeys {
    pub(super) fn get(&self, slot: u32) -> &[u8] {
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

    pub(super) fn assign<'a>(
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

    pub(super) fn assign_array<T: ByteArrayType<Offset = i32>>(
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
    pub(super) fn forget(&mut self, slot: u32) -> Option<u64> {
        if self.null_slot == Some(slot) {
            self.null_slot = None;
            self.spans[slot as usize] = Span::default();
            return None;
        }
        let tag = xxh3_64(self.get(slot));
        self.unused += std::mem::take(&mut self.spans[slot as usize]).length as usize;
        Some(tag)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }

    /// Closes the gaps once they are more than half.
    pub(super) fn compact(&mut self) {
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

    pub(super) fn gather(&self, slots: &[u32], data_type: &DataType) -> Result<ArrayRef> {
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

    pub(super) fn into_array(self, data_type: &DataType) -> Result<ArrayRef> {
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
