//! Keys of one column whose values have up to 64 bits, by slot: each as a word.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, BooleanArray, make_array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::DataType;

use super::probe_table::ProbeTable;
use crate::error::Result;

/// A column of up to 64 bits, widened.
#[derive(Debug, Default)]
pub(super) struct WordKeys {
    width: Width,
    words: Vec<u64>,
    /// Whether each slot's value is NULL; empty as long as none is.
    nulls: Vec<bool>,
    /// The slot of the NULL key of a single column.
    null_slot: Option<u32>,
}

/// The bits of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Width {
    Bit,
    Byte,
    Two,
    Four,
    #[default]
    Eight,
}

impl Width {
    /// The width of values of this type, if they are plain bits.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
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

    /// How many there are.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::Bit => 1,
            Self::Byte => 8,
            Self::Two => 16,
            Self::Four => 32,
            Self::Eight => 64,
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
    /// No keys yet.
    pub(super) fn new(width: Width) -> Self {
        Self { width, ..Self::default() }
    }

    /// The keys, moved out.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.width))
    }

    /// The values of a column as words.
    pub(super) fn read(&self, column: &ArrayRef, words: &mut Vec<u64>) {
        self.width.read(column, words);
    }

    /// The keys by slot; what stands where one is NULL is of no account.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    #[inline(always)]
    pub(super) fn word(&self, slot: u32) -> u64 {
        self.words[slot as usize]
    }

    /// Gives up the key of a slot and returns its tag; NULL has none.
    pub(super) fn forget(&mut self, slot: u32) -> Option<u64> {
        if self.null_slot == Some(slot) {
            self.null_slot = None;
            return None;
        }
        Some(self.word(slot))
    }

    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>() + self.nulls.capacity()
    }

    pub(super) fn set(&mut self, slot: u32, word: u64, null: bool) {
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
    pub(super) fn is(&self, slot: u32, word: u64, null: bool) -> bool {
        let slot = slot as usize;
        self.words[slot] == word && self.nulls.get(slot).copied().unwrap_or(false) == null
    }

    /// The rows that are NULL all get one slot, the others are looked up.
    pub(super) fn assign_nullable(
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

    pub(super) fn gather(&self, slots: &[u32], data_type: &DataType) -> Result<ArrayRef> {
        let words = slots.iter().map(|slot| self.words[*slot as usize]).collect();
        let nulls = self.nulls_of(slots.iter().map(|slot| *slot as usize), slots.len());
        self.width.array(words, nulls, data_type)
    }

    pub(super) fn into_array(mut self, data_type: &DataType) -> Result<ArrayRef> {
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
