//! Keys of several columns, by slot, each column as words: plain values as they are, texts by numbers of their own.
//!
//! As long as the words of every key fit side by side into 64 bits, those are its tag, which nothing has to confirm. The
//! first key that does not fit or holds a NULL makes the tags of all of them hashes.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::DataType;

use super::KeyIndex;
use super::probe_table::{ProbeTable, mix};
use super::word_keys::{Width, WordKeys};
use crate::error::{Error, Result};

/// The keys.
#[derive(Debug)]
pub(super) struct KeyColumns {
    columns: Vec<KeyColumn>,
    /// Whether the words themselves are the tags.
    packed: bool,
}

#[derive(Debug)]
struct KeyColumn {
    keys: WordKeys,
    /// What the words stand for, if they are numbers of texts.
    texts: Option<Texts>,
    /// The bits that its words have in a packed tag.
    bits: u32,
    /// The words of the rows at hand, 0 for NULL.
    row_words: Vec<u64>,
    row_nulls: Option<NullBuffer>,
}

/// The different texts of a column.
#[derive(Debug)]
struct Texts {
    /// From texts to their numbers, NULL among them.
    index: Box<KeyIndex>,
    data_type: DataType,
    /// How many keys hold each.
    uses: Vec<u32>,
    row_numbers: Vec<u32>,
}

impl KeyColumns {
    /// No keys yet; nothing if a column is neither a plain value of up to 64 bits nor a text.
    pub(super) fn new(types: &[DataType]) -> Result<Option<Self>> {
        let mut columns = Vec::with_capacity(types.len());
        for data_type in types {
            let (width, texts) = match (Width::of(data_type), data_type) {
                (Some(width), _) => (width, None),
                (None, DataType::Utf8 | DataType::Binary) => (Width::Four, Some(Texts::new(data_type)?)),
                _ => return Ok(None),
            };
            let keys = WordKeys::new(width);
            columns.push(KeyColumn { keys, texts, bits: width.bits(), row_words: Vec::new(), row_nulls: None });
        }
        // Narrow columns have all their bits, the wide ones share what is left.
        let is_narrow = |column: &KeyColumn| column.bits <= Width::Two.bits();
        let narrow: u32 = columns.iter().filter(|column| is_narrow(column)).map(|column| column.bits).sum();
        let mut wide = columns.iter().filter(|column| !is_narrow(column)).count() as u32;
        let mut left = 64_u32.saturating_sub(narrow);
        for column in columns.iter_mut().filter(|column| column.bits > Width::Two.bits()) {
            column.bits = column.bits.min(left / wide);
            left -= column.bits;
            wide -= 1;
        }
        let packed = narrow <= 64;
        Ok(Some(Self { columns, packed }))
    }

    /// Appends the slot of each row's key to `slots`; `slot` makes one for a key that is new.
    pub(super) fn assign(
        &mut self,
        table: &mut ProbeTable,
        tags: &mut Vec<u64>,
        columns: &[ArrayRef],
        slots: &mut Vec<u32>,
        mut slot: impl FnMut() -> u32,
    ) -> Result<()> {
        for (column, values) in self.columns.iter_mut().zip(columns) {
            column.read(values)?;
        }
        if self.packed && !self.columns.iter().all(KeyColumn::fits) {
            self.packed = false;
            table.retag(|slot| self.tag(slot));
        }
        tags.clear();
        tags.resize(columns.first().map_or(0, |column| column.len()), 0);
        for column in &self.columns {
            let words = tags.iter_mut().zip(&column.row_words);
            match self.packed {
                true => words.for_each(|(tag, word)| *tag = packed(*tag, column.bits, *word)),
                false => words.for_each(|(tag, word)| *tag = hashed(*tag, *word)),
            }
        }
        let insert = |columns: &mut Vec<KeyColumn>, row| {
            let slot = slot();
            columns.iter_mut().for_each(|column| column.insert(slot, row));
            slot
        };
        match self.packed {
            true => table.assign(tags, slots, &mut self.columns, |_, _, _| true, insert),
            false => {
                let same =
                    |columns: &Vec<KeyColumn>, slot, row| columns.iter().all(|column: &KeyColumn| column.is(slot, row));
                table.assign(tags, slots, &mut self.columns, same, insert);
            }
        }
        Ok(())
    }

    /// Gives up the key of a slot and returns its tag.
    pub(super) fn forget(&mut self, slot: u32) -> u64 {
        let tag = self.tag(slot);
        self.columns.iter_mut().for_each(|column| column.forget(slot));
        tag
    }

    /// The columns of the keys of `slots`.
    pub(super) fn gather(&self, slots: &[u32], types: &[DataType]) -> Result<Vec<ArrayRef>> {
        let columns = self.columns.iter().zip(types);
        let gather = |(column, data_type): (&KeyColumn, &DataType)| match &column.texts {
            None => column.keys.gather(slots, data_type),
            Some(texts) => texts.gather(&slots.iter().map(|slot| column.keys.word(*slot) as u32).collect::<Vec<_>>()),
        };
        columns.map(gather).collect()
    }

    /// The columns of all keys, moved out. No key may have been given up.
    pub(super) fn take(&mut self, types: &[DataType]) -> Result<Vec<ArrayRef>> {
        self.packed = self.columns.iter().map(|column| column.bits).sum::<u32>() <= 64;
        let columns = self.columns.iter_mut().zip(types);
        let take = |(column, data_type): (&mut KeyColumn, &DataType)| {
            let keys = column.keys.take();
            column.row_words = Vec::new();
            match &mut column.texts {
                None => keys.into_array(data_type),
                Some(texts) => texts.take(keys.words().iter().map(|word| *word as u32).collect()),
            }
        };
        columns.map(take).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(KeyColumn::bytes).sum()
    }

    /// The tag of the key in a slot.
    fn tag(&self, slot: u32) -> u64 {
        self.columns.iter().fold(0, |tag, column| match self.packed {
            true => packed(tag, column.bits, column.keys.word(slot)),
            false => hashed(tag, column.keys.word(slot)),
        })
    }
}

/// A word of so many bits behind those of the columns before it.
#[inline(always)]
fn packed(tag: u64, bits: u32, word: u64) -> u64 {
    tag << bits | word
}

#[inline(always)]
fn hashed(tag: u64, word: u64) -> u64 {
    mix(tag.rotate_left(23) ^ word)
}

impl KeyColumn {
    fn read(&mut self, values: &ArrayRef) -> Result<()> {
        if let Some(texts) = &mut self.texts {
            return texts.read(values, &mut self.row_words);
        }
        self.keys.read(values, &mut self.row_words);
        self.row_nulls = values.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        if let Some(nulls) = &self.row_nulls {
            for (word, is_valid) in self.row_words.iter_mut().zip(nulls) {
                // What lies under a NULL is of no account.
                *word = if is_valid { *word } else { 0 };
            }
        }
        Ok(())
    }

    /// Whether the words of the rows at hand have a place in a packed tag.
    fn fits(&self) -> bool {
        self.row_nulls.is_none() && self.row_words.iter().fold(0, |all, word| all | word) >> self.bits == 0
    }

    #[inline(always)]
    fn is(&self, slot: u32, row: usize) -> bool {
        self.keys.is(slot, self.row_words[row], self.is_null(row))
    }

    #[inline(always)]
    fn is_null(&self, row: usize) -> bool {
        self.row_nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn insert(&mut self, slot: u32, row: usize) {
        self.keys.set(slot, self.row_words[row], self.is_null(row));
        if let Some(texts) = &mut self.texts {
            texts.uses[self.row_words[row] as usize] += 1;
        }
    }

    fn forget(&mut self, slot: u32) {
        if let Some(texts) = &mut self.texts {
            texts.release(self.keys.word(slot) as u32);
        }
    }

    fn bytes(&self) -> usize {
        let texts = self.texts.as_ref().map_or(0, |texts| {
            texts.index.bytes() + (texts.uses.capacity() + texts.row_numbers.capacity()) * size_of::<u32>()
        });
        self.keys.bytes() + self.row_words.capacity() * size_of::<u64>() + texts
    }
}

impl Texts {
    fn new(data_type: &DataType) -> Result<Self> {
        let index = Box::new(KeyIndex::new(std::slice::from_ref(data_type))?);
        Ok(Self { index, data_type: data_type.clone(), uses: Vec::new(), row_numbers: Vec::new() })
    }

    /// The numbers of texts, new ones for those that are new. A key with them is then stored.
    fn read(&mut self, texts: &ArrayRef, numbers: &mut Vec<u64>) -> Result<()> {
        self.index.assign(std::slice::from_ref(texts), texts.len(), &mut self.row_numbers)?;
        self.uses.resize(self.index.slots(), 0);
        numbers.clear();
        numbers.extend(self.row_numbers.iter().map(|number| u64::from(*number)));
        Ok(())
    }

    fn release(&mut self, number: u32) {
        let uses = &mut self.uses[number as usize];
        *uses -= 1;
        if *uses == 0 {
            self.index.remove(&[number]);
        }
    }

    fn gather(&self, numbers: &[u32]) -> Result<ArrayRef> {
        self.index.gather(numbers)?.pop().ok_or_else(|| Error::bug("texts without a column"))
    }

    fn take(&mut self, numbers: Vec<u32>) -> Result<ArrayRef> {
        (self.uses, self.row_numbers) = (Vec::new(), Vec::new());
        if self.index.free_slots().is_empty() {
            let texts = self.index.take()?.pop().ok_or_else(|| Error::bug("texts without a column"))?;
            return Ok(take(&texts, &UInt32Array::from(numbers), None)?);
        }
        let texts = self.gather(&numbers)?;
        *self.index = KeyIndex::new(std::slice::from_ref(&self.data_type))?;
        Ok(texts)
    }
}
