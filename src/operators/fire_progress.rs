//! How far windows have fired that are not done with: a state table that is empty but for a barrier inside a fire.
//!
//! Windows fire in the order of their ends, and the keys of a large one in the order of their frozen hash, which is also
//! the order of the key groups. So one position says what has been emitted. It is written down once for every key group
//! of the task, since after a restore at another parallelism each group goes on from where its own task stood:
//!
//! ```text
//!   groups 0 … 63    window 10:00 ├────────────┤ 10:10 ├──────▶ hash 0x52…        of task 0
//!   groups 64 … 127  window 10:00 ├──▶ hash 0x93…                                 of task 1
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt16Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt16Type};

use crate::error::Result;
use crate::state::{SnapshotWriter, StateTable, TableKind, TableSpec, batch_of, group_of};

/// The windows that end before `end` have been emitted, and of that one the keys with this hash or a lesser one; of no
/// key if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) end: i64,
    pub(super) through: Option<u64>,
}

/// The state table `firing`.
#[derive(Debug)]
pub(super) struct FireProgress {
    /// The key groups of this task.
    groups: Range<u16>,
    max_parallelism: u32,
    /// Where this task stands, if it is in the middle of a fire, and the watermark that it has passed on.
    at: Option<(Position, i64)>,
    /// What had been emitted before a restart, and through which watermark all other groups had fired.
    restored: BTreeMap<u16, Position>,
    restored_through: i64,
    /// The least watermark that was passed on before a restart.
    passed_on: i64,
    /// The groups whose rows stand in files.
    saved: BTreeSet<u16>,
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("of_group", DataType::UInt16, false),
        Field::new("window_end", DataType::Int64, false),
        Field::new("through_hash", DataType::Int64, true),
        Field::new("passed_on", DataType::Int64, false),
    ]))
});

impl FireProgress {
    /// Nothing is firing. Rows without a key all belong to group 0.
    pub(super) fn new(groups: Range<u16>, max_parallelism: u32, has_keys: bool) -> Self {
        let groups = if has_keys { groups } else { 0..1 };
        let (restored, saved) = (BTreeMap::new(), BTreeSet::new());
        let (restored_through, passed_on) = (i64::MIN, i64::MAX);
        Self { groups, max_parallelism, at: None, restored, restored_through, passed_on, saved }
    }

    /// Notes where the fire stands, and the watermark that has been passed on.
    pub(super) fn reach(&mut self, position: Position, passed_on: i64) {
        self.at = Some((position, passed_on));
    }

    /// The fire is done with.
    pub(super) fn finish(&mut self) {
        self.at = None;
        self.restored.clear();
        self.restored_through = i64::MIN;
    }

    /// After a restore at a watermark: the end of the first window that some group may not be done with, and the watermark
    /// that had been passed on. None if all are done with those up to the watermark.
    pub(super) fn restore(&mut self, watermark: i64) -> Option<(i64, i64)> {
        let first = self.restored.values().map(|position| position.end).min()?;
        self.restored_through = watermark;
        self.reach(Position { end: first, through: None }, self.passed_on);
        Some((first, self.passed_on))
    }

    /// Whether an earlier run may have emitted rows of the window that ends at `end`.
    pub(super) fn is_restored(&self, end: i64) -> bool {
        end - 1 <= self.restored_through
    }

    /// Whether an earlier run has emitted the row of a key with this hash in the window that ends at `end`.
    pub(super) fn was_emitted(&self, end: i64, hash: u64) -> bool {
        self.is_restored(end)
            && match self.restored.get(&group_of(hash, self.max_parallelism)) {
                Some(position) => Position { end, through: Some(hash) } <= *position,
                None => true,
            }
    }

    /// The same where there are no keys.
    pub(super) fn was_emitted_without_key(&self, end: i64) -> bool {
        self.is_restored(end) && self.restored.get(&0).is_none_or(|position| end < position.end)
    }

    fn rows(&self, at: Position, passed_on: i64) -> Result<RecordBatch> {
        // Of a group that stood further on before a restart, that still holds.
        let position = |group: u16| self.restored_position(group).map_or(at, |restored| restored.max(at));
        let positions: Vec<Position> = self.groups.clone().map(position).collect();
        let ends = Int64Array::from_iter_values(positions.iter().map(|position| position.end));
        let hashes: Int64Array = positions.iter().map(|position| position.through.map(|hash| hash as i64)).collect();
        let passed_on = Int64Array::from_value(passed_on, positions.len());
        let groups = UInt16Array::from_iter_values(self.groups.clone());
        let columns: Vec<ArrayRef> = vec![Arc::new(groups), Arc::new(ends), Arc::new(hashes), Arc::new(passed_on)];
        batch_of(&SCHEMA, columns, positions.len())
    }

    fn restored_position(&self, group: u16) -> Option<Position> {
        if self.restored_through == i64::MIN {
            return None;
        }
        // The groups without a row were through with all windows up to the watermark.
        let through = Position { end: self.restored_through.saturating_add(1), through: Some(u64::MAX) };
        Some(self.restored.get(&group).copied().unwrap_or(through))
    }
}

impl StateTable for FireProgress {
    fn spec(&self) -> TableSpec {
        let kind = TableKind::Keyed { unique: 1 };
        TableSpec { name: "firing".to_owned(), schema: Arc::clone(&SCHEMA), key: vec![0], kind }
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        match self.at {
            Some((at, passed_on)) => {
                to.put(self.rows(at, passed_on)?);
                self.saved = self.groups.clone().collect();
            }
            None if !self.saved.is_empty() => {
                let gone = std::mem::take(&mut self.saved);
                let groups: ArrayRef = Arc::new(UInt16Array::from_iter_values(gone.iter().copied()));
                to.delete(batch_of(&Arc::new(SCHEMA.project(&[0])?), vec![groups], gone.len())?);
            }
            None => {}
        }
        Ok(())
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        for batch in rows {
            let batch = batch?;
            let groups = batch.column(0).as_primitive::<UInt16Type>().values();
            let ends = batch.column(1).as_primitive::<Int64Type>().values();
            let hashes = batch.column(2).as_primitive::<Int64Type>();
            let passed_on = batch.column(3).as_primitive::<Int64Type>().values();
            for (((group, end), hash), passed_on) in groups.iter().zip(ends).zip(hashes).zip(passed_on) {
                let through = hash.map(|hash| hash as u64);
                self.restored.insert(*group, Position { end: *end, through });
                self.saved.insert(*group);
                self.passed_on = self.passed_on.min(*passed_on);
            }
        }
        Ok(())
    }

    fn row_count(&self) -> usize {
        if self.at.is_some() { self.groups.len() } else { 0 }
    }

    fn bytes(&self) -> usize {
        self.restored.len() * size_of::<(u16, Position)>()
    }
}
