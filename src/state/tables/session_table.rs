//! Sessions by key: stretches of time that grow and become one as rows come, each with a row of state.
//!
//! ```text
//!   key a ─▶ 10 ├──────┤ 35 ─▶ 60 ├──┤ 70        rows of a key find its sessions through a list, mostly of one
//!   key b ─▶ 22 ├─┤ 27
//!                 └ ends: 27, 35, 70             those that a watermark closes come out of a heap
//! ```
//! A session that grows keeps its place in the heap until its old end comes up. In the files a session is told by its key
//! and a number: two sessions may start at one time, where the rows of one met a watermark that had closed the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::{KeyIndex, SlotColumns, batch_of, integers};
use crate::error::{Error, Result};
use crate::state::{SnapshotWriter, StateTable, TableKind, TableSpec};

/// What the files say of a session behind its key: its number, its start and its end, all `Int64`, the last two in ms.
pub const SESSION_COLUMNS: [&str; 3] = ["session", "session_start", "session_end"];

/// No session.
const NONE: u32 = u32::MAX;
/// Rows of one batch of state.
const SAVE_ROWS: usize = 64 * 1024;

/// A state table of sessions. Slots of sessions stay the same as long as the session lives.
#[derive(Debug)]
pub struct SessionTable<C> {
    name: &'static str,
    /// Keys, number, start, end, then the fields of the states.
    schema: SchemaRef,
    keys: usize,
    gap: i64,
    index: KeyIndex,
    /// By slot of the key.
    lists: Vec<List>,
    /// By slot.
    sessions: Vec<Session>,
    columns: C,
    free: Vec<u32>,
    /// End, slot and birth of each session, perhaps of one that has gone.
    ends: BinaryHeap<Reverse<(i64, u32, u32)>>,
    /// Sessions that became part of another one since the last `settle`.
    moved: Vec<u32>,
    /// Slots that changed since the last barrier.
    changed: Vec<u32>,
    /// Slots of keys, and numbers, of saved rows whose session has gone.
    gone: Vec<(u32, i64)>,
    births: u32,
}

/// The sessions of a key.
#[derive(Debug, Clone, Copy)]
struct List {
    first: u32,
    /// Rows in `gone` that need the key.
    gone: u32,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    key: u32,
    /// Tells it from the others of its key that are there.
    number: i64,
    start: i64,
    end: i64,
    /// The next session of the key; of one that has become part of another, that.
    next: u32,
    birth: u32,
    is_alive: bool,
    /// Whether it stands in the list of changes.
    is_listed: bool,
    /// Whether a barrier has handed it over.
    is_saved: bool,
}

impl<C: SlotColumns> SessionTable<C> {
    /// An empty table. `schema` is `keys` key columns, [`SESSION_COLUMNS`], then the fields of `columns`. A session
    /// reaches `gap` ms, more than 0, behind its last row.
    pub fn new(name: &'static str, schema: SchemaRef, keys: usize, gap: i64, columns: C) -> Result<Self> {
        let types: Vec<DataType> = schema.fields().iter().take(keys).map(|field| field.data_type().clone()).collect();
        Ok(Self {
            name,
            keys,
            gap,
            index: KeyIndex::new(&types)?,
            lists: Vec::new(),
            sessions: Vec::new(),
            columns,
            free: Vec::new(),
            ends: BinaryHeap::new(),
            moved: Vec::new(),
            changed: Vec::new(),
            gone: Vec::new(),
            births: 0,
            schema,
        })
    }

    /// Writes the slot of each row's key to `slots`. Rows that `enter` have to follow for each new key, or `forget`.
    pub fn assign(&mut self, keys: &[ArrayRef], rows: usize, slots: &mut Vec<u32>) -> Result<()> {
        self.index.assign(keys, rows, slots)?;
        self.lists.resize(self.index.slots().max(self.lists.len()), List { first: NONE, gone: 0 });
        Ok(())
    }

    /// The session of a row of a key, which may be a new one; none if the row would only have been in a session that is
    /// closed by the watermark `met`. Sessions that the row brings together become one.
    pub fn enter(&mut self, key: u32, time: i64, met: i64) -> Option<u32> {
        let end = time + self.gap;
        let mut into = NONE;
        let (mut before, mut at) = (NONE, self.lists[key as usize].first);
        while at != NONE {
            let Session { start, end: its_end, next, .. } = self.sessions[at as usize];
            let touches = its_end - 1 > met && time <= its_end && end >= start;
            if touches && into == NONE {
                into = at;
                let session = &mut self.sessions[at as usize];
                (session.start, session.end) = (start.min(time), its_end.max(end));
            } else if touches {
                let session = &mut self.sessions[into as usize];
                (session.start, session.end) = (session.start.min(start), session.end.max(its_end));
                self.unlink(at, before);
                self.sessions[at as usize].next = into;
                self.moved.push(at);
                at = next;
                continue;
            }
            (before, at) = (at, next);
        }
        if into == NONE {
            if end - 1 <= met {
                return None;
            }
            into = self.begin(key, self.next_number(key), time, end);
        }
        self.list(into);
        Some(into)
    }

    /// The states, by slot of the session.
    pub fn columns(&mut self) -> &mut C {
        self.columns.resize(self.sessions.len());
        &mut self.columns
    }

    /// Puts the states of sessions that have become one together. Has to follow the rows that entered, when their states
    /// have been added.
    pub fn settle(&mut self) -> Result<()> {
        if self.moved.is_empty() {
            return Ok(());
        }
        let moved = std::mem::take(&mut self.moved);
        let into = |slot: &u32| {
            let mut at = self.sessions[*slot as usize];
            while !self.sessions[at.next as usize].is_alive {
                at = self.sessions[at.next as usize];
            }
            at.next
        };
        let into: Vec<u32> = moved.iter().map(into).collect();
        self.columns.resize(self.sessions.len());
        let states = self.columns.gather(&moved)?;
        self.columns.merge(&into, &states)?;
        self.columns.clear(&moved);
        self.free.extend(moved);
        Ok(())
    }

    /// Lets go of keys of the last `assign` that have no session.
    pub fn forget(&mut self, keys: &[u32]) {
        let mut keys: Vec<u32> = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| self.is_unused(*key));
        self.index.remove(&keys);
    }

    /// The slots of at most `most` sessions that the watermark `met` closes.
    pub fn closed(&mut self, met: i64, most: usize) -> Vec<u32> {
        let mut closed = Vec::new();
        while closed.len() < most
            && let Some((end, slot)) = self.first_to_end()
            && end - 1 <= met
        {
            self.ends.pop();
            closed.push(slot);
        }
        closed
    }

    /// The end and the slot of the session that ends first of those that `closed` has not given out.
    pub fn first_to_end(&mut self) -> Option<(i64, u32)> {
        loop {
            let Reverse((end, slot, birth)) = self.ends.peek().copied()?;
            let session = &self.sessions[slot as usize];
            if session.is_alive && session.birth == birth && session.end == end {
                return Some((end, slot));
            }
            self.ends.pop();
            if session.is_alive && session.birth == birth {
                self.ends.push(Reverse((session.end, slot, birth)));
            }
        }
    }

    /// Of closed sessions, in the order in which `closed` gave them out, the first of each key. The others are closed
    /// again when they are asked for next.
    pub fn first_of_each_key(&mut self, closed: Vec<u32>) -> Vec<u32> {
        let mut keys = std::collections::HashSet::with_capacity(closed.len());
        let (first, others): (Vec<u32>, Vec<u32>) =
            closed.into_iter().partition(|slot| keys.insert(self.sessions[*slot as usize].key));
        for slot in others {
            let Session { end, birth, .. } = self.sessions[slot as usize];
            self.ends.push(Reverse((end, slot, birth)));
        }
        first
    }

    /// Keys, starts and ends of sessions.
    pub fn gather(&self, slots: &[u32]) -> Result<(Vec<ArrayRef>, Vec<i64>, Vec<i64>)> {
        let of = |slot: &u32| &self.sessions[*slot as usize];
        let keys: Vec<u32> = slots.iter().map(|slot| of(slot).key).collect();
        let bounds =
            (slots.iter().map(|slot| of(slot).start).collect(), slots.iter().map(|slot| of(slot).end).collect());
        Ok((self.index.gather(&keys)?, bounds.0, bounds.1))
    }

    /// Removes sessions, each named once.
    pub fn remove(&mut self, slots: &[u32]) -> Result<()> {
        self.columns.resize(self.sessions.len());
        self.columns.clear(slots);
        let mut keys = Vec::with_capacity(slots.len());
        for slot in slots {
            let key = self.sessions[*slot as usize].key;
            let (mut before, mut at) = (NONE, self.lists[key as usize].first);
            while at != *slot {
                if at == NONE {
                    return Err(Error::bug("a session that its key does not know"));
                }
                (before, at) = (at, self.sessions[at as usize].next);
            }
            self.unlink(*slot, before);
            keys.push(key);
        }
        self.free.extend(slots);
        self.forget(&keys);
        Ok(())
    }

    /// A number that no session of the key has.
    fn next_number(&self, key: u32) -> i64 {
        self.of_key(key).map(|session| session.number + 1).max().unwrap_or(0)
    }

    fn begin(&mut self, key: u32, number: i64, start: i64, end: i64) -> u32 {
        self.births = self.births.wrapping_add(1);
        let next = self.lists[key as usize].first;
        let birth = self.births;
        let session =
            Session { key, number, start, end, next, birth, is_alive: true, is_listed: false, is_saved: false };
        let slot = match self.free.pop() {
            Some(slot) => {
                // What the list of changes says of the slot stays true.
                let is_listed = self.sessions[slot as usize].is_listed;
                self.sessions[slot as usize] = Session { is_listed, ..session };
                slot
            }
            None => {
                self.sessions.push(session);
                (self.sessions.len() - 1) as u32
            }
        };
        self.lists[key as usize].first = slot;
        self.ends.push(Reverse((end, slot, birth)));
        slot
    }

    /// Takes a session out of the list of its key, in which `before` comes before it.
    fn unlink(&mut self, slot: u32, before: u32) {
        let Session { key, number, next, is_saved, .. } = self.sessions[slot as usize];
        match before {
            NONE => self.lists[key as usize].first = next,
            before => self.sessions[before as usize].next = next,
        }
        if is_saved {
            self.gone.push((key, number));
            self.lists[key as usize].gone += 1;
        }
        let session = &mut self.sessions[slot as usize];
        (session.is_alive, session.is_saved) = (false, false);
    }

    /// Notes that a session has changed.
    fn list(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        if !std::mem::replace(&mut session.is_listed, true) {
            self.changed.push(slot);
        }
    }

    fn of_key(&self, key: u32) -> impl Iterator<Item = &Session> {
        let session = |slot: u32| self.sessions.get(slot as usize);
        std::iter::successors(session(self.lists[key as usize].first), move |before| session(before.next))
    }

    fn is_unused(&self, key: u32) -> bool {
        let list = self.lists[key as usize];
        list.first == NONE && list.gone == 0
    }
}

impl<C: SlotColumns> StateTable for SessionTable<C> {
    fn spec(&self) -> TableSpec {
        TableSpec {
            name: self.name.to_owned(),
            schema: Arc::clone(&self.schema),
            key: (0..self.keys).collect(),
            kind: TableKind::Keyed { unique: self.keys + 1 },
        }
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        let mut put = Vec::new();
        for slot in std::mem::take(&mut self.changed) {
            let session = &mut self.sessions[slot as usize];
            session.is_listed = false;
            if session.is_alive {
                session.is_saved = true;
                put.push(slot);
            }
        }
        self.columns.resize(self.sessions.len());
        for slots in put.chunks(SAVE_ROWS) {
            let (mut columns, starts, ends) = self.gather(slots)?;
            let numbers = slots.iter().map(|slot| self.sessions[*slot as usize].number);
            columns.push(Arc::new(Int64Array::from_iter_values(numbers)));
            columns.push(Arc::new(Int64Array::from(starts)));
            columns.push(Arc::new(Int64Array::from(ends)));
            columns.extend(self.columns.gather(slots)?);
            to.put(batch_of(&self.schema, columns, slots.len())?);
        }
        let mut gone = std::mem::take(&mut self.gone);
        let keys: Vec<u32> = gone.iter().map(|(key, _)| *key).collect();
        // One that began since may have its number: the row was put anew.
        gone.retain(|(key, number)| !self.of_key(*key).any(|session| session.number == *number));
        let schema = Arc::new(self.schema.project(&(0..=self.keys).collect::<Vec<_>>())?);
        for gone in gone.chunks(SAVE_ROWS) {
            let keys: Vec<u32> = gone.iter().map(|(key, _)| *key).collect();
            let mut columns = self.index.gather(&keys)?;
            columns.push(Arc::new(gone.iter().map(|(_, number)| *number).collect::<Int64Array>()));
            to.delete(batch_of(&schema, columns, gone.len())?);
        }
        keys.iter().for_each(|key| self.lists[*key as usize].gone = 0);
        self.forget(&keys);
        Ok(())
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        let mut keys = Vec::new();
        for batch in rows {
            let batch = batch?;
            let (of_key, rest) = batch.columns().split_at(self.keys);
            let [numbers, starts, ends, states @ ..] = rest else {
                return Err(Error::bug("a session without its bounds"));
            };
            self.assign(of_key, batch.num_rows(), &mut keys)?;
            let (numbers, starts, ends) = (integers(numbers)?, integers(starts)?, integers(ends)?);
            let slots: Vec<u32> = keys
                .iter()
                .enumerate()
                .map(|(row, key)| self.begin(*key, numbers[row], starts[row], ends[row]))
                .collect();
            slots.iter().for_each(|slot| self.sessions[*slot as usize].is_saved = true);
            self.columns.resize(self.sessions.len());
            self.columns.set(&slots, states)?;
        }
        Ok(())
    }

    fn row_count(&self) -> usize {
        self.sessions.len() - self.free.len()
    }

    fn bytes(&self) -> usize {
        let lists = self.lists.capacity() * size_of::<List>() + self.sessions.capacity() * size_of::<Session>();
        let ends = self.ends.capacity() * size_of::<(i64, u32, u32)>() + self.gone.capacity() * size_of::<(u32, i64)>();
        let slots = (self.free.capacity() + self.moved.capacity() + self.changed.capacity()) * size_of::<u32>();
        self.index.bytes() + self.columns.bytes() + lists + ends + slots
    }
}

#[cfg(test)]
mod tests;
