//! The content of a window as it moves on, for HOP and CUMULATE: panes come in at one end and go out at the other.
//!
//! A window of CUMULATE only grows, until all its panes go at once: each slice is merged once. Of HOP, where every aggregate can take partial states away again, a slice is merged once when it comes and taken away once
//! when its pane goes, however many windows it lies in. Otherwise neighbouring panes are merged two by two into blocks
//! of 2, 4, 8 … panes, once, and each window is put together from the few largest blocks that it holds.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use super::{AggregateCall, Aggregates, WindowKind};
use crate::error::{Error, Result};
use crate::state::{SLICE_COLUMNS, SlotColumns, SlotTable, batch_of};
use crate::stream::batch_bytes;

/// The slices of the present window.
pub(super) struct RunningWindow {
    window: WindowKind,
    types: Vec<DataType>,
    /// Keys and states of each pane, by the number of the pane; nothing but the number of one that need not be taken away.
    panes: BTreeMap<i64, Vec<RecordBatch>>,
    content: Content,
}

enum Content {
    /// All panes merged, to be thrown away together.
    Grown(SlotTable<Aggregates>),
    /// All panes merged, to be taken away again.
    Merged(Merged),
    /// For blocks of 2, 4, 8 … panes, by the number of the block: keys and states, mostly merged.
    Blocks { calls: Vec<AggregateCall>, is_ordered: bool, levels: Vec<BTreeMap<i64, Vec<RecordBatch>>> },
}

/// The rows of a window.
pub(super) enum Selection {
    /// Keys and states from column `first` on.
    Runs { batches: Vec<RecordBatch>, first: usize },
    /// Slots of the running window's table.
    Slots(Vec<u32>),
}

struct Merged {
    table: SlotTable<Aggregates>,
    /// How many rows were merged into each slot and not taken away.
    parts: Vec<u32>,
}

impl RunningWindow {
    pub(super) fn new(window: WindowKind, types: &[DataType], calls: &[AggregateCall]) -> Result<Self> {
        let states = Aggregates::new(calls)?;
        let content = match window {
            WindowKind::Cumulate { .. } => Content::Grown(SlotTable::new(types, states)?),
            _ if states.invertible() => {
                Content::Merged(Merged { table: SlotTable::new(types, states)?, parts: Vec::new() })
            }
            _ => Content::Blocks { calls: calls.to_vec(), is_ordered: states.is_ordered(), levels: Vec::new() },
        };
        Ok(Self { window, types: types.to_vec(), panes: BTreeMap::new(), content })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    /// Counts a slice from now on.
    pub(super) fn enter(&mut self, pane: i64, batches: Vec<RecordBatch>) -> Result<()> {
        let number = self.number(pane);
        let slices = self.panes.entry(number).or_default();
        for batch in batches {
            if let Content::Grown(table) = &mut self.content {
                table.merge(&batch, SLICE_COLUMNS, self.types.len())?;
                continue;
            }
            let kept: Vec<usize> = (SLICE_COLUMNS..batch.num_columns()).collect();
            let batch = batch.project(&kept)?;
            match &mut self.content {
                Content::Grown(_) => {}
                Content::Merged(merged) => merged.enter(&batch, self.types.len())?,
                Content::Blocks { levels, is_ordered, .. } => {
                    for (level, blocks) in levels.iter_mut().enumerate() {
                        let number = number >> (level + 1);
                        if *is_ordered {
                            // The rows of a pane stand before those of the next one, whenever they come.
                            blocks.remove(&number);
                        } else if let Some(block) = blocks.get_mut(&number) {
                            // Rows that came after a block was made go beside it.
                            block.push(batch.clone());
                        }
                    }
                }
            }
            slices.push(batch);
        }
        Ok(())
    }

    /// Counts the panes before `pane` no more, and says which they were.
    pub(super) fn leave_before(&mut self, pane: i64) -> Result<Vec<i64>> {
        let first = self.number(pane);
        let staying = self.panes.split_off(&first);
        let left = std::mem::replace(&mut self.panes, staying);
        match &mut self.content {
            Content::Grown(table) => {
                debug_assert!(left.is_empty() || self.panes.is_empty(), "a window that only grows ends as a whole");
                if !left.is_empty() {
                    table.take()?;
                }
            }
            Content::Merged(merged) => {
                for batch in left.values().flatten() {
                    merged.leave(batch, self.types.len())?;
                }
            }
            Content::Blocks { levels, .. } => {
                for (level, blocks) in levels.iter_mut().enumerate() {
                    *blocks = blocks.split_off(&(first >> (level + 1)));
                }
            }
        }
        let start = |number| self.window.offset_ms() + number * self.window.slide_ms();
        Ok(left.into_keys().map(start).collect())
    }

    /// How many rows the present window has at most, and in how many bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        match &self.content {
            Content::Grown(table) | Content::Merged(Merged { table, .. }) => (table.len(), table.bytes()),
            Content::Blocks { .. } => {
                let batches = || self.panes.values().flatten();
                (batches().map(RecordBatch::num_rows).sum(), batches().map(batch_bytes).sum())
            }
        }
    }

    /// What the window that ends at `end` consists of; nothing may enter or leave as long as it is used.
    pub(super) fn select(&mut self, end: i64) -> Result<Selection> {
        match &self.content {
            Content::Grown(table) => Ok(Selection::Slots((0..table.index.slots() as u32).collect())),
            Content::Merged(merged) => Ok(Selection::Slots(merged.used_slots())),
            Content::Blocks { .. } => Ok(Selection::Runs { batches: self.blocks(end)?, first: 0 }),
        }
    }

    /// The table that the slots of a [`Selection`] belong to.
    pub(super) fn table(&self) -> Option<&SlotTable<Aggregates>> {
        match &self.content {
            Content::Grown(table) | Content::Merged(Merged { table, .. }) => Some(table),
            Content::Blocks { .. } => None,
        }
    }

    /// Keys and results of the window that ends at `end`, and their number.
    pub(super) fn evaluate(&mut self, end: i64) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>, usize)> {
        match &mut self.content {
            Content::Grown(table) | Content::Merged(Merged { table, .. }) if table.index.free_slots().is_empty() => {
                // All slots are in use, in order.
                let slots: Vec<u32> = (0..table.index.slots() as u32).collect();
                Ok((table.index.gather(&slots)?, table.columns.evaluate(None)?, slots.len()))
            }
            Content::Grown(_) => Err(Error::bug("a window that only grows has let go of keys")),
            Content::Merged(merged) => {
                let (slots, table) = (merged.used_slots(), &merged.table);
                Ok((table.index.gather(&slots)?, table.columns.evaluate(Some(&slots))?, slots.len()))
            }
            Content::Blocks { calls, .. } => {
                let mut table = SlotTable::new(&self.types, Aggregates::new(calls)?)?;
                for batch in self.blocks(end)? {
                    table.merge(&batch, 0, self.types.len())?;
                }
                let rows = table.len();
                Ok((table.index.take()?, table.columns.evaluate(None)?, rows))
            }
        }
    }

    /// Keys and states of the window that ends at `end`: the few largest blocks that it holds.
    fn blocks(&mut self, end: i64) -> Result<Vec<RecordBatch>> {
        let last = self.number(end) - 1;
        let Content::Blocks { calls, levels, .. } = &mut self.content else { return Ok(Vec::new()) };
        let mut batches = Vec::new();
        let mut at = last + 1 - self.window.most_windows_per_row();
        while at <= last {
            // The largest block that starts here and ends within the window.
            let mut level = 0;
            while at & (1 << level) == 0 && at + (2 << level) - 1 <= last {
                level += 1;
            }
            batches.extend(block(&self.panes, levels, &self.types, calls, level, at >> level)?);
            at += 1 << level;
        }
        Ok(batches)
    }

    pub(super) fn bytes(&self) -> usize {
        // The batches of the panes belong to the state table, which counts them.
        match &self.content {
            Content::Grown(table) => table.bytes(),
            Content::Merged(merged) => merged.table.bytes() + merged.parts.capacity() * 4,
            Content::Blocks { levels, .. } => levels.iter().flat_map(BTreeMap::values).flatten().map(batch_bytes).sum(),
        }
    }

    fn number(&self, pane: i64) -> i64 {
        (pane - self.window.offset_ms()).div_euclid(self.window.slide_ms())
    }
}

/// Keys and states of block `number` of 2^`level` panes; made from the two halves when it is first asked for.
fn block(
    panes: &BTreeMap<i64, Vec<RecordBatch>>,
    levels: &mut Vec<BTreeMap<i64, Vec<RecordBatch>>>,
    types: &[DataType],
    calls: &[AggregateCall],
    level: usize,
    number: i64,
) -> Result<Vec<RecordBatch>> {
    if level == 0 {
        return Ok(panes.get(&number).cloned().unwrap_or_default());
    }
    if levels.len() < level {
        levels.resize_with(level, BTreeMap::new);
    }
    if let Some(block) = levels[level - 1].get(&number) {
        return Ok(block.clone());
    }
    let mut batches = block(panes, levels, types, calls, level - 1, 2 * number)?;
    batches.extend(block(panes, levels, types, calls, level - 1, 2 * number + 1)?);
    if batches.len() > 1 {
        let mut table = SlotTable::new(types, Aggregates::new(calls)?)?;
        for batch in &batches {
            table.merge(batch, 0, types.len())?;
        }
        let rows = table.len();
        batches = vec![batch_of(&batches[0].schema(), table.take()?, rows)?];
    }
    levels[level - 1].insert(number, batches.clone());
    Ok(batches)
}

impl Merged {
    fn used_slots(&self) -> Vec<u32> {
        (0..self.parts.len() as u32).filter(|slot| self.parts[*slot as usize] > 0).collect()
    }

    fn enter(&mut self, batch: &RecordBatch, keys: usize) -> Result<()> {
        self.table.merge(batch, 0, keys)?;
        self.parts.resize(self.table.index.slots(), 0);
        self.table.last_slots().iter().for_each(|slot| self.parts[*slot as usize] += 1);
        Ok(())
    }

    fn leave(&mut self, batch: &RecordBatch, keys: usize) -> Result<()> {
        let (keys, states) = batch.columns().split_at(keys);
        let (slots, columns) = self.table.assign(keys, batch.num_rows())?;
        columns.unmerge(slots, states)?;
        let mut gone = Vec::new();
        for slot in slots {
            let parts = &mut self.parts[*slot as usize];
            *parts -= 1;
            if *parts == 0 {
                gone.push(*slot);
            }
        }
        self.table.columns.clear(&gone);
        self.table.index.remove(&gone);
        Ok(())
    }
}
