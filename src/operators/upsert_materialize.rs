//! Changes as those of one row for each primary key, where several rows of a query may have the same: which of them stands is
//! said by ON CONFLICT.
//!
//! ```text
//!   +I k, a      +I k, a              what is kept:  k │ a b        in the order in which they came
//!   +I k, b  ──▶ -U k, a  +U k, b     DO DEDUPLICATE: the last of them stands
//!   -D k, b      -U k, b  +U k, a     DO NOTHING: the first; DO ERROR: the only one
//! ```
//!
//! A key that a batch touches leaves once, when the row that stands for it has changed. All rows that stand in the query are
//! kept; nothing bounds them but the query, or a time after which a key that nobody touches is forgotten: it begins anew
//! then, and a row of it that is taken back later is passed over. With DO ERROR, keys with several rows are an error when a watermark or a barrier
//! says that what belongs together has come.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, interleave, take_arrays};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::sink_keys::SinkKeys;
use super::touched::Touched;
use super::{BuildContext, Context, Flush, Forgetting, Operator, OperatorSpec, Progress, StateBound};
use crate::error::{Error, Result};
use crate::state::{
    BagScan, BagTable, KeyIndex, ScanBudget, ScanDirection, SnapshotWriter, StateTable, TableSpec, batch_of, integers,
};
use crate::stream::{ChangeKind, Changes, EventTime, ProcTime};

/// Rows of forgotten keys that are taken out together.
const TAKEN_TOGETHER: ScanBudget = ScanBudget { rows: 16 * 1024, bytes: 16 << 20 };

/// Which of several rows with one primary key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// There may be one alone.
    Error,
    /// The first.
    Nothing,
    /// The last.
    Deduplicate,
}

impl fmt::Display for OnConflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Error => "ERROR",
            Self::Nothing => "NOTHING",
            Self::Deduplicate => "DEDUPLICATE",
        })
    }
}

/// One row for each primary key.
#[derive(Debug, Clone)]
pub struct UpsertMaterializeSpec {
    /// The columns that come in and leave.
    pub input: SchemaRef,
    /// Those of the primary key.
    pub key: Vec<usize>,
    /// Which of several rows stands.
    pub on_conflict: OnConflict,
    /// When a key goes that has rows.
    pub forgetting: Forgetting,
    /// What is computed over which rows, in terms of the columns of tables: a part of the signature.
    pub query: String,
}

impl OperatorSpec for UpsertMaterializeSpec {
    fn name(&self) -> &'static str {
        "UpsertMaterialize"
    }

    fn signature(&self) -> String {
        let types: Vec<String> = self.input.fields().iter().map(|field| field.data_type().to_string()).collect();
        let kept = if self.forgetting.is_timed() { " kept for a time" } else { "" };
        format!("UpsertMaterialize{kept}(key {:?} of types [{}]: {})", self.key, types.join(", "), self.query)
    }

    fn output(&self) -> SchemaRef {
        Arc::clone(&self.input)
    }

    fn bound(&self) -> StateBound {
        match self.forgetting {
            Forgetting::Untouched { ttl_ms } => StateBound::Untouched { ttl_ms },
            _ => StateBound::RowsOfSink,
        }
    }

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
        let fields = self.input.fields();
        let rest: Vec<usize> = (0..fields.len()).filter(|column| !self.key.contains(column)).collect();
        let order: Vec<usize> = self.key.iter().chain(&rest).copied().collect();
        let named = |column: &usize| fields[*column].as_ref().clone();
        let arrival = Field::new("arrival", DataType::Int64, false);
        let weight = Field::new("weight", DataType::Int64, false);
        let history: Vec<Field> =
            self.key.iter().map(named).chain([arrival.clone()]).chain(rest.iter().map(named)).collect();
        let history = Schema::new(history.into_iter().chain([weight.clone()]).collect::<Vec<_>>());
        let arrivals = Schema::new(order.iter().map(named).chain([arrival, weight]).collect::<Vec<_>>());
        let types: Vec<DataType> = order.iter().map(|column| fields[*column].data_type().clone()).collect();
        let keys = self.key.len();
        Ok(Box::new(UpsertMaterialize {
            history: History {
                table: BagTable::new(
                    "history",
                    Arc::new(history),
                    keys,
                    &vec![SortOptions::default(); 1 + rest.len()],
                )?,
                keys,
                next: 0,
            },
            arrivals: BagTable::new("arrivals", Arc::new(arrivals), order.len(), &[SortOptions::default()])?
                .with_group_columns(keys),
            kept: SinkKeys::new(self.forgetting, self.key.iter().map(named).collect())?,
            types,
            order,
            spec: self.clone(),
            unchecked: Vec::new(),
            watermark: EventTime::NONE,
        }))
    }
}

impl fmt::Display for UpsertMaterializeSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<&str> = self.key.iter().map(|column| self.input.field(*column).name().as_str()).collect();
        write!(
            out,
            "UpsertMaterialize(primaryKey=[{}], onConflict=[{}]{})",
            key.join(", "),
            self.on_conflict,
            self.forgetting
        )
    }
}

struct UpsertMaterialize {
    spec: UpsertMaterializeSpec,
    /// The input's columns, those of the primary key first.
    order: Vec<usize>,
    types: Vec<DataType>,
    /// The rows of each primary key in the order in which they came.
    history: History,
    /// When each row came, to find it again: a row may be there several times.
    arrivals: BagTable,
    /// Until when each primary key is kept, where that has an end.
    kept: Option<SinkKeys>,
    /// Keys that were touched since the last check, for DO ERROR.
    unchecked: Vec<Vec<ArrayRef>>,
    watermark: EventTime,
}

/// The state table `history`, and the number that the next row gets.
struct History {
    table: BagTable,
    keys: usize,
    next: i64,
}

impl StateTable for History {
    fn spec(&self) -> TableSpec {
        self.table.spec()
    }

    fn save(&mut self, to: &mut SnapshotWriter) -> Result<()> {
        self.table.save(to)
    }

    fn load(&mut self, rows: &mut dyn Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        let (keys, mut next) = (self.keys, 0);
        let mut noted = rows.map(|batch| {
            let batch = batch?;
            let last = integers(batch.column(keys))?.iter().copied().max();
            next = last.map_or(next, |last| next.max(last + 1));
            Ok(batch)
        });
        self.table.load(&mut noted)?;
        self.next = next;
        Ok(())
    }

    fn row_count(&self) -> usize {
        self.table.row_count()
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}

/// Rows that come to be there, and rows that go.
#[derive(Default)]
struct Turnover {
    /// Rows of the batch that stay, and their numbers.
    coming: Vec<u32>,
    numbers: Vec<i64>,
    /// Rows of the batch that take away one that was there before it.
    going: Vec<u32>,
}

impl Operator for UpsertMaterialize {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let columns: Vec<ArrayRef> = self.order.iter().map(|column| Arc::clone(rows.column(*column))).collect();
        let keys = self.spec.key.len();
        let mut index = KeyIndex::new(&self.types[..keys])?;
        let (mut slots, mut touched) = (Vec::new(), Touched::default());
        index.assign(&columns[..keys], rows.len(), &mut slots)?;
        touched.find(&slots, index.slots());
        let firsts = UInt32Array::from(touched.first_rows.clone());
        let touched = take_arrays(&columns[..keys], &firsts, None)?;
        let expired = self.kept.as_mut().map(|kept| kept.touch(&touched, firsts.len(), cx.now)).transpose()?;
        if let Some((keys, count)) = expired.flatten() {
            // They begin anew.
            self.forget(keys, count)?;
        }

        let before = self.standing(&touched, firsts.len())?;
        let turnover = self.turnover(&columns, &rows)?;
        self.come(&columns, &turnover)?;
        self.go(&columns, &turnover.going)?;
        let after = self.standing(&touched, firsts.len())?;
        if let Some(changes) = self.changes(&touched, &before, &after)? {
            cx.emit(changes);
        }
        if let Some(kept) = &mut self.kept {
            kept.release(&after[0], cx.now);
        }
        if self.spec.on_conflict == OnConflict::Error {
            self.unchecked.push(touched);
        }
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        // The first after a restore, when there may be keys whose time has passed meanwhile.
        self.kept.iter_mut().for_each(|kept| kept.look_again(cx.now));
        self.check()?;
        self.watermark = self.watermark.max(time);
        Ok(Progress::Done)
    }

    fn resume(&mut self, cx: &mut Context) -> Result<Progress> {
        self.sweep(cx.now)
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn on_tick(&mut self, cx: &mut Context) -> Result<Progress> {
        self.kept.iter_mut().for_each(SinkKeys::begin_sweep);
        self.sweep(cx.now)
    }

    fn next_tick(&self) -> Option<ProcTime> {
        self.kept.as_ref().and_then(SinkKeys::sweep_at)
    }

    fn flush(&mut self, why: Flush, _: &mut Context) -> Result<Progress> {
        if why == Flush::All {
            self.check()?;
        }
        Ok(Progress::Done)
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        let mut tables: Vec<&mut dyn StateTable> = vec![&mut self.history, &mut self.arrivals];
        tables.extend(self.kept.iter_mut().map(SinkKeys::table));
        tables
    }

    fn held_bytes(&self) -> usize {
        self.unchecked.iter().flatten().map(|column| column.get_array_memory_size()).sum()
    }
}

impl UpsertMaterialize {
    /// Forgets some of the keys that nobody has touched for their time.
    fn sweep(&mut self, now: ProcTime) -> Result<Progress> {
        let expired = self.kept.as_mut().map(|kept| kept.sweep(now)).transpose()?.flatten();
        let Some((keys, count)) = expired else { return Ok(Progress::Done) };
        self.forget(keys, count)?;
        Ok(Progress::More)
    }

    /// Lets all rows of keys go; what had left stays.
    fn forget(&mut self, keys: Vec<ArrayRef>, count: usize) -> Result<()> {
        let mut scan = BagScan::new(keys.clone(), count, ScanDirection::Forward);
        let (key, mut slots) = (self.spec.key.len(), Vec::new());
        while !scan.is_done() {
            let found = self.history.table.scan(&mut scan, TAKEN_TOGETHER)?.rows;
            let (weight, columns) = found.columns().split_last().ok_or_else(|| Error::bug("rows without a weight"))?;
            let rows: Vec<ArrayRef> = columns[..key].iter().chain(&columns[key + 1..]).cloned().collect();
            let weights: Vec<i64> = integers(weight)?.iter().map(|weight| -weight).collect();
            self.arrivals.assign(&rows, weights.len(), &mut slots)?;
            self.arrivals.add(&slots, std::slice::from_ref(&columns[key]), &weights)?;
            self.arrivals.release(&slots);
        }
        self.history.table.clear(&keys, count)
    }

    /// What a batch comes to: rows that come and go within it leave no trace, the last that came first.
    fn turnover(&mut self, columns: &[ArrayRef], rows: &Changes) -> Result<Turnover> {
        let mut index = KeyIndex::new(&self.types)?;
        let mut slots = Vec::new();
        index.assign(columns, rows.len(), &mut slots)?;
        // By row: those of the batch that are there.
        let mut there: Vec<Vec<u32>> = vec![Vec::new(); index.slots()];
        let mut turnover = Turnover::default();
        for (row, slot) in slots.iter().enumerate() {
            let there = &mut there[*slot as usize];
            match rows.kind(row).sign() {
                1 => there.push(row as u32),
                _ => match there.pop() {
                    Some(_) => {}
                    None => turnover.going.push(row as u32),
                },
            }
        }
        turnover.coming = there.into_iter().flatten().collect();
        turnover.coming.sort_unstable();
        turnover.numbers = turnover.coming.iter().map(|row| self.history.next + i64::from(*row)).collect();
        self.history.next += rows.len() as i64;
        Ok(turnover)
    }

    fn come(&mut self, columns: &[ArrayRef], turnover: &Turnover) -> Result<()> {
        let rows = take_arrays(columns, &UInt32Array::from(turnover.coming.clone()), None)?;
        self.put(&rows, &turnover.numbers, 1)
    }

    /// Takes away rows that were there, of those that are alike the last.
    fn go(&mut self, columns: &[ArrayRef], going: &[u32]) -> Result<()> {
        let mut rest = going.to_vec();
        let mut slots = Vec::new();
        while !rest.is_empty() {
            // Each row once at a time: the next one that is alike finds another.
            let rows = take_arrays(columns, &UInt32Array::from(rest.clone()), None)?;
            let mut index = KeyIndex::new(&self.types)?;
            index.assign(&rows, rest.len(), &mut slots)?;
            let mut touched = Touched::default();
            touched.find(&slots, index.slots());
            let mut now = take_arrays(&rows, &UInt32Array::from(touched.first_rows.clone()), None)?;
            self.arrivals.assign(&now, touched.slots.len(), &mut slots)?;
            let mut numbers = self.arrivals.first_of_each(&slots, ScanDirection::Backward)?.remove(0);
            self.arrivals.release(&slots);
            if numbers.null_count() > 0 {
                if self.kept.is_none() {
                    return Err(Error::bug("a row is taken back that is not there"));
                }
                // Those whose keys had been forgotten.
                let is_there = arrow::compute::is_not_null(&numbers)?;
                numbers = arrow::compute::filter(&numbers, &is_there)?;
                for column in &mut now {
                    *column = arrow::compute::filter(column, &is_there)?;
                }
            }
            self.put(&now, integers(&numbers)?, -1)?;
            let done: Vec<u32> = touched.first_rows.iter().map(|row| rest[*row as usize]).collect();
            rest.retain(|row| !done.contains(row));
        }
        Ok(())
    }

    /// Adds rows with their numbers to both tables, or takes them away.
    fn put(&mut self, rows: &[ArrayRef], numbers: &[i64], by: i64) -> Result<()> {
        let weights = vec![by; numbers.len()];
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        let (keys, rest) = rows.split_at(self.spec.key.len());
        let mut slots = Vec::new();
        self.arrivals.assign(rows, weights.len(), &mut slots)?;
        self.arrivals.add(&slots, &[Arc::clone(&numbers)], &weights)?;
        self.arrivals.release(&slots);
        let behind: Vec<ArrayRef> = std::iter::once(numbers).chain(rest.iter().cloned()).collect();
        self.history.table.assign(keys, weights.len(), &mut slots)?;
        self.history.table.add(&slots, &behind, &weights)?;
        self.history.table.release(&slots);
        Ok(())
    }

    /// The number and the other columns of the row that stands for each key; NULL where there is none.
    fn standing(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>> {
        self.end_of(
            keys,
            rows,
            match self.spec.on_conflict {
                OnConflict::Nothing => ScanDirection::Forward,
                OnConflict::Error | OnConflict::Deduplicate => ScanDirection::Backward,
            },
        )
    }

    fn end_of(&mut self, keys: &[ArrayRef], rows: usize, end: ScanDirection) -> Result<Vec<ArrayRef>> {
        let mut slots = Vec::new();
        self.history.table.assign(keys, rows, &mut slots)?;
        let found = self.history.table.first_of_each(&slots, end);
        self.history.table.release(&slots);
        found
    }

    /// What leaves of keys whose row is another one, or looks otherwise.
    fn changes(&self, keys: &[ArrayRef], before: &[ArrayRef], after: &[ArrayRef]) -> Result<Option<Changes>> {
        // Which version (0 old, 1 new) of which key.
        let (mut rows, mut kinds) = (Vec::new(), Vec::new());
        let (old, new) = (&before[0], &after[0]);
        let same = super::group_aggregate::same_rows(&before[1..], &after[1..], old.len())?;
        for key in 0..old.len() {
            match (old.is_valid(key), new.is_valid(key)) {
                (false, true) => (rows.push((1, key)), kinds.push(ChangeKind::Insert)),
                (true, false) => (rows.push((0, key)), kinds.push(ChangeKind::Delete)),
                (true, true) if !same.value(key) => (
                    rows.extend([(0, key), (1, key)]),
                    kinds.extend([ChangeKind::UpdateBefore, ChangeKind::UpdateAfter]),
                ),
                _ => continue,
            };
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let versions = keys.iter().map(|key| (key, key)).chain(before[1..].iter().zip(&after[1..]));
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.order.len()];
        for (place, (old, new)) in self.order.iter().zip(versions) {
            columns[*place] = Some(interleave(&[old, new], &rows)?);
        }
        let columns = columns.into_iter().flatten().collect();
        Ok(Some(Changes::new(batch_of(&self.spec.input, columns, rows.len())?, kinds)))
    }

    /// Fails where a key has several rows, for DO ERROR.
    fn check(&mut self) -> Result<()> {
        for keys in std::mem::take(&mut self.unchecked) {
            let rows = keys.first().map_or(0, |key| key.len());
            let first = self.end_of(&keys, rows, ScanDirection::Forward)?;
            let last = self.end_of(&keys, rows, ScanDirection::Backward)?;
            let same = super::group_aggregate::same_rows(&first[1..], &last[1..], rows)?;
            if let Some(row) = (0..rows).find(|row| !same.value(*row)) {
                return Err(self.conflict(&keys, row));
            }
        }
        Ok(())
    }

    fn conflict(&self, keys: &[ArrayRef], row: usize) -> Error {
        let text = |(column, key): (&usize, &ArrayRef)| {
            let value = arrow::util::display::array_value_to_string(key, row).unwrap_or_default();
            format!("{}={value}", self.spec.input.field(*column).name())
        };
        let key: Vec<String> = self.spec.key.iter().zip(keys).map(text).collect();
        Error::data(format!(
            "Primary key constraint violation: multiple distinct records with the same primary key detected. Conflicting \
             key: [{}].",
            key.join(", ")
        ))
        .with_help("use ON CONFLICT DO NOTHING to keep the first record, or ON CONFLICT DO DEDUPLICATE to keep the last")
    }
}
