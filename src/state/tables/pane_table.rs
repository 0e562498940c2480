//! The panes of windows: for each slice, partial states by key.
//!
//! At a barrier the live partials of a slice are moved out into an immutable batch. That batch is the increment, and it
//! stays as a sealed run; the slice begins a new live table. Runs are merged when several of like size have come
//! together, a bounded number of rows at a time and never at a barrier, so that a long window under short checkpoints
//! holds a few runs and each row is merged a logarithmic number of times.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};

use super::{SLICE_COLUMNS, Slice, SlotColumns, SlotTable, SpareTables, batch_of, cut_slices};
use crate::error::Result;
use crate::state::{SnapshotWriter, StateTable, TableKind, TableSpec};
use crate::stream::{EventTime, batch_bytes};

/// Runs of like size that are merged together.
const LIKE_RUNS: usize = 4;
/// Rows that `tidy` merges in one call.
const TIDY_ROWS: usize = 16 * 1024;
/// Increments with fewer rows are put together into one batch.
const SMALL_RUN: usize = 1024;
/// Rows that are put together into one run when they are read back.
const LOAD_ROWS: usize = 64 * 1024;

/// A state table with the columns `$pane`, `$open_from`, keys, states; its rows add up.
pub struct PaneTable<C> {
    name: &'static str,
    schema: SchemaRef,
    types: Vec<DataType>,
    slices: BTreeMap<Slice, Runs<C>>,
    spare: SpareTables<C>,
    /// Panes that start before this are gone, since the last barrier.
    retired: Option<EventTime>,
    untidy: VecDeque<Slice>,
    merging: Option<Merging<C>>,
}

/// What a slice holds.
struct Runs<C> {
    live: Option<SlotTable<C>>,
    sealed: Vec<Run>,
}

#[derive(Clone)]
struct Run {
    rows: RecordBatch,
    /// Whether a barrier has handed it over.
    saved: bool,
}

/// Sealed runs on their way to becoming one.
struct Merging<C> {
    slice: Slice,
    /// The runs, by index within the slice.
    runs: std::ops::Range<usize>,
    /// The next run and its next row.
    at: (usize, usize),
    into: SlotTable<C>,
}

impl<C: SlotColumns> PaneTable<C> {
    /// An empty table. `schema` is `$pane`, `$open_from`, `keys` key columns, then the fields of the states that
    /// `fresh` makes.
    pub fn new(
        name: &'static str,
        schema: SchemaRef,
        keys: usize,
        fresh: impl Fn() -> Result<C> + Send + 'static,
    ) -> Self {
        let types: Vec<DataType> =
            schema.fields().iter().skip(SLICE_COLUMNS).take(keys).map(|field| field.data_type().clone()).collect();
        Self {
            name,
            schema,
            spare: SpareTables::new(&types, fresh),
            types,
            slices: BTreeMap::new(),
            retired: None,
            untidy: VecDeque::new(),
            merging: None,
        }
    }

    /// Adds partial states to a slice.
    pub fn add(&mut self, slice: Slice, keys: &[ArrayRef], states: &[ArrayRef], rows: usize) -> Result<()> {
        let runs = self.slices.entry(slice).or_insert_with(|| Runs { live: None, sealed: Vec::new() });
        if runs.live.is_none() {
            runs.live = Some(self.spare.take()?);
        }
        let Some(live) = &mut runs.live else { return Ok(()) };
        let (slots, columns) = live.assign(keys, rows)?;
        columns.merge(slots, states)
    }

    /// The first slice that begins to count with the window that ends at `end`, or with a later one.
    pub fn first_from(&self, end: i64) -> Option<Slice> {
        self.slices.range(Slice { open_from: end, pane: i64::MIN }..).next().map(|(slice, _)| *slice)
    }

    /// The slices that begin to count with a window that ends between `from` and `to`, both included.
    pub fn range(&self, from: i64, to: i64) -> Vec<Slice> {
        let range = Slice { open_from: from, pane: i64::MIN }..=Slice { open_from: to, pane: i64::MAX };
        self.slices.range(range).map(|(slice, _)| *slice).collect()
    }

    /// How many rows a slice holds, those of the same key counted as often as they stand in it, and in how many bytes.
    pub fn size(&self, slice: Slice) -> (usize, usize) {
        let Some(Runs { live, sealed }) = self.slices.get(&slice) else { return (0, 0) };
        let (rows, bytes) = live.as_ref().map_or((0, 0), |live| (live.len(), live.bytes()));
        let sealed_rows: usize = sealed.iter().map(|run| run.rows.num_rows()).sum();
        (rows + sealed_rows, bytes + sealed.iter().map(|run| batch_bytes(&run.rows)).sum::<usize>())
    }

    /// Removes a slice and gives out all that it holds, merged.
    pub fn take(&mut self, slice: Slice) -> Result<Option<SlotTable<C>>> {
        let live = self.slices.get(&slice).and_then(|runs| runs.live.as_ref());
        if live.is_some_and(|live| live.columns.is_ordered()) {
            self.seal(slice)?;
        }
        let Some(Runs { live, sealed }) = self.slices.remove(&slice) else { return Ok(None) };
        let mut table = match live {
            Some(live) => live,
            None => self.spare.take()?,
        };
        for run in sealed {
            table.merge(&run.rows, SLICE_COLUMNS, self.types.len())?;
        }
        Ok(Some(table))
    }

    /// Gives back a table that was taken, emptied, for its memory.
    pub fn recycle(&mut self, mut table: SlotTable<C>) -> Result<()> {
        if !table.is_empty() {
            table.take()?;
        }
        self.spare.put(table);
        Ok(())
    }

    /// All that a slice holds, as batches with the columns of the table. More may come afterwards.
    pub fn sealed(&mut self, slice: Slice) -> Result<Vec<RecordBatch>> {
        self.seal(slice)?;
        let runs = self.slices.get(&slice).map_or(&[][..], |runs| &runs.sealed);
        Ok(runs.iter().map(|run| run.rows.clone()).collect())
    }

    /// Drops a slice.
    pub fn drop_slice(&mut self, slice: Slice) {
        self.slices.remove(&slice);
    }

    /// Says that all panes that start before `before` are gone.
    pub fn retire(&mut self, before: EventTime) {
        self.retired = Some(self.retired.map_or(before, |earlier| earlier.max(before)));
    }

    /// Merges some sealed rows, if there is need.
    pub fn tidy(&mut self) -> Result<()> {
        let mut budget = TIDY_ROWS;
        while budget > 0 {
            let Some(mut merging) =
                self.merging.take().map_or_else(|| self.next_merging(), |merging| Ok(Some(merging)))?
            else {
                return Ok(());
            };
            let Some(runs) = self.slices.get_mut(&merging.slice) else {
                // The slice has fired in the meantime.
                continue;
            };
            while budget > 0 && merging.at.0 < merging.runs.end {
                let (index, offset) = merging.at;
                let run = &runs.sealed[index].rows;
                let length = budget.min(run.num_rows() - offset);
                merging.into.merge(&run.slice(offset, length), SLICE_COLUMNS, self.types.len())?;
                budget -= length;
                merging.at = if offset + length == run.num_rows() { (index + 1, 0) } else { (index, offset + length) };
            }
            if merging.at.0 < merging.runs.end {
                self.merging = Some(merging);
                return Ok(());
            }
            let rows = merging.into.len();
            let merged = slice_batch(&self.schema, merging.slice, merging.into.take()?, rows)?;
            runs.sealed.splice(merging.runs, [Run { rows: merged, saved: true }]);
            self.untidy.push_back(merging.slice);
            self.spare.put(merging.into);
        }
        Ok(())
    }

    /// Puts rows of a slice back, as one run.
    fn load_run(&mut self, slice: Slice, pieces: &[RecordBatch]) -> Result<()> {
        if !pieces.is_empty() {
            let rows = concat_batches(&self.schema, pieces)?;
            let runs = self.slices.entry(slice).or_insert_with(|| Runs { live: None, sealed: Vec::new() });
            runs.sealed.push(Run { rows, saved: true });
        }
        Ok(())
    }

    /// Finds a slice with enough runs of like size.
    fn next_merging(&mut self) -> Result<Option<Merging<C>>> {
        while let Some(slice) = self.untidy.pop_front() {
            let Some(runs) = self.slices.get(&slice) else { continue };
            let sealed = &runs.sealed;
            let mut start = sealed.len();
            let mut rows = 0;
            while start > 0 && sealed[start - 1].saved && (rows == 0 || sealed[start - 1].rows.num_rows() <= rows) {
                start -= 1;
                rows += sealed[start].rows.num_rows();
            }
            let runs = start..sealed.len();
            if runs.len() >= LIKE_RUNS {
                let into = self.spare.take()?;
                return Ok(Some(Merging { slice, at: (runs.start, 0), runs, into }));
            }
        }
        Ok(None)
    }

    /// Moves the live partials of a slice into a run.
    fn seal(&mut self, slice: Slice) -> Result<()> {
        let Some(runs) = self.slices.get_mut(&slice) else { return Ok(()) };
        if let Some(mut live) = runs.live.take() {
            let rows = live.len();
            let rows = slice_batch(&self.schema, slice, live.take()?, rows)?;
            runs.sealed.push(Run { rows, saved: false });
            self.spare.put(live);
        }
        Ok(())
    }
}

/// Keys and states of a slice with the columns that say which slice.
fn slice_batch(schema: &SchemaRef, slice: Slice, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let constant = |value| Arc::new(Int64Array::from_value(value, rows)) as ArrayRef;
    let leading = [constant(slice.pane), constant(slice.open_from)];
    batch_of(schema, leading.into_iter().chain(columns).collect(), rows)
}

impl<C: SlotColumns> StateTable for PaneTable<C> {
    fn spec(&self) -> TableSpec {
        TableSpec {
            name: self.name.to_owned(),
            schema: Arc::clone(&self.schema),
            key: (SLICE_COLUMNS..SLICE_COLUMNS + self.types.len()).collect(),
            kind: TableKind::Append,
        }
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        if let Some(before) = self.retired.take() {
            to.retire(before);
        }
        let slices: Vec<Slice> = self.slices.keys().copied().collect();
        let mut small = Vec::new();
        for slice in slices {
            self.seal(slice)?;
            let Some(runs) = self.slices.get_mut(&slice) else { continue };
            for run in &mut runs.sealed {
                if !run.saved {
                    run.saved = true;
                    if run.rows.num_rows() < SMALL_RUN {
                        small.push(run.rows.clone());
                    } else {
                        to.put(run.rows.clone());
                    }
                }
            }
            if runs.sealed.len() >= LIKE_RUNS {
                self.untidy.push_back(slice);
            }
        }
        if !small.is_empty() {
            to.put(concat_batches(&self.schema, &small)?);
        }
        Ok(())
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        // The rows of a slice come in many pieces: each key group has some.
        let mut pieces = BTreeMap::<Slice, (usize, Vec<RecordBatch>)>::new();
        for batch in rows {
            let batch = batch?;
            let batch = batch_of(&self.schema, batch.columns().to_vec(), batch.num_rows())?;
            for (slice, rows) in cut_slices(&batch, 0, 1)? {
                let (count, pieces) = pieces.entry(slice).or_default();
                *count += rows.num_rows();
                pieces.push(rows);
                if *count >= LOAD_ROWS {
                    self.load_run(slice, &std::mem::take(pieces))?;
                    *count = 0;
                }
            }
        }
        for (slice, (_, pieces)) in pieces {
            self.load_run(slice, &pieces)?;
        }
        self.untidy = self.slices.keys().copied().collect();
        Ok(())
    }

    fn row_count(&self) -> usize {
        let runs = |runs: &Runs<C>| {
            let sealed: usize = runs.sealed.iter().map(|run| run.rows.num_rows()).sum();
            sealed + runs.live.as_ref().map_or(0, SlotTable::len)
        };
        self.slices.values().map(runs).sum()
    }

    fn bytes(&self) -> usize {
        let runs = |runs: &Runs<C>| {
            let sealed: usize = runs.sealed.iter().map(|run| batch_bytes(&run.rows)).sum();
            sealed + runs.live.as_ref().map_or(0, SlotTable::bytes)
        };
        let merging = self.merging.as_ref().map_or(0, |merging| merging.into.bytes());
        self.slices.values().map(runs).sum::<usize>() + self.spare.bytes() + merging
    }
}

#[cfg(test)]
mod tests;
