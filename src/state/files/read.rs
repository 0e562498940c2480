//! Reads the rows of a table back from its files, as a stream: pruned to a range of key groups, later rows in place of
//! earlier ones, deleted and retired rows left out.
//!
//! The files of a keyed table are read side by side, as the rows of each are in order of their key groups:
//!
//! ```text
//!   file 1   0 0 0 1 1│2 2 3 …
//!   file 2   0 1 1 1  │3 3 …       the rows of some key groups, of every file: of each key the last one stays
//!   file 3   1 1      │2 4 …
//! ```
//!
//! so that no more is held than a row group of each file, and of small files their bytes, however large the table is; and
//! no file stays open between two reads, however many there are.

use std::ops::Range;
use std::path::Path;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;

use super::check_schema;
use super::restore_progress::RestoreProgress;
use super::state_file::{Part, StateFile};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::state::{KeyIndex, Retired, TableKind, TableSpec, TableState};
use crate::storage::Store;
use crate::stream::FileState;

/// How many bytes of small files a table may keep between the check of their digests and their decoding. What is
/// larger, or comes later, is read a second time, a row group at a time.
const KEPT_BYTES: u64 = 32 << 20;

/// The rows of a table that belong to the key groups of `range`: verified, with later rows in place of earlier ones,
/// deleted and retired rows left out. Files and row groups of other key groups are not touched.
pub fn read_table<'a>(
    store: &'a dyn Store,
    job_directory: &Path,
    table: &'a TableState,
    range: &Range<u16>,
    spec: &TableSpec,
    progress: &'a RestoreProgress,
) -> Result<TableRows<'a>> {
    check_schema(table, spec)?;
    let parts = Parts::open(store, job_directory, table, &table.files, range, spec, false, progress)?;
    Ok(TableRows { parts, schema: SchemaRef::clone(&spec.schema) })
}

/// Rows of a table, some at a time.
pub struct TableRows<'a> {
    parts: Parts<'a>,
    schema: SchemaRef,
}

impl Iterator for TableRows<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.parts.next()?;
        Some(part.and_then(|part| part.into_rows(&self.schema)))
    }
}

/// What stays of the rows of some files of a table.
pub(super) struct Parts<'a> {
    files: Files<'a>,
    /// Parts that are ready, the next one last.
    ready: Vec<Part>,
    retired: &'a [Retired],
    table: &'a str,
    progress: &'a RestoreProgress,
    failed: bool,
}

enum Files<'a> {
    /// Side by side: of a key the last row counts.
    Keyed { files: Vec<StateFile<'a>>, unique: usize, keep_deleted: bool },
    /// One behind the other: all rows count. The one that is being read stands last.
    Append { open: Box<dyn FnMut() -> Option<Result<StateFile<'a>>> + 'a>, file: Option<Box<StateFile<'a>>> },
}

impl<'a> Parts<'a> {
    /// `files` are some of the table's, in order. With `keep_deleted` the deletion of a key is a row that counts.
    #[expect(clippy::too_many_arguments, reason = "where, what, which of it, and for whom")]
    pub(super) fn open(
        store: &'a dyn Store,
        job_directory: &Path,
        table: &'a TableState,
        files: &'a [FileState],
        range: &Range<u16>,
        spec: &TableSpec,
        keep_deleted: bool,
        progress: &'a RestoreProgress,
    ) -> Result<Self> {
        let overlapping = files.iter().filter({
            let range = range.clone();
            move |file| file.overlaps(&range)
        });
        let open = {
            let (job_directory, spec, range) = (job_directory.to_owned(), spec.clone(), range.clone());
            move |file: &'a FileState, room: u64| {
                let opened = StateFile::open(store, &job_directory, file, &spec, &range, room, progress);
                failpoint::hit("restore.state.mid");
                opened
            }
        };
        let files = match table.kind {
            TableKind::Keyed { unique } => {
                let mut room = KEPT_BYTES;
                let open_next = |file| {
                    let opened = open(file, room)?;
                    room -= opened.kept_bytes();
                    Ok(opened)
                };
                Files::Keyed { files: overlapping.map(open_next).collect::<Result<_>>()?, unique, keep_deleted }
            }
            TableKind::Append => {
                let mut opened = overlapping.map(move |file| open(file, KEPT_BYTES));
                Files::Append { open: Box::new(move || opened.next()), file: None }
            }
        };
        Ok(Self { files, ready: Vec::new(), retired: &table.retired, table: &table.name, progress, failed: false })
    }

    /// Of a keyed table: all that stays of the key groups that come next, which no later call speaks of. Of others: the
    /// rows of the next row group.
    pub(super) fn next_groups(&mut self) -> Result<Option<Vec<Part>>> {
        let Some(first) = self.more()? else { return Ok(None) };
        let rest = std::mem::take(&mut self.ready);
        Ok(Some([first].into_iter().chain(rest.into_iter().rev()).collect()))
    }

    fn more(&mut self) -> Result<Option<Part>> {
        loop {
            if let Some(part) = self.ready.pop() {
                if part.rows() > 0 {
                    return Ok(Some(part));
                }
                continue;
            }
            self.progress.go_on()?;
            match &mut self.files {
                Files::Keyed { files, unique, keep_deleted } => {
                    let mut last = None;
                    for file in files.iter_mut() {
                        let group = file.next_group()?;
                        last = [last, group].into_iter().flatten().min();
                    }
                    let Some(last) = last else { return Ok(None) };
                    let mut parts = Vec::new();
                    for file in files {
                        file.take_through(last, &mut parts)?;
                    }
                    self.ready = last_rows(parts, *unique, *keep_deleted)?;
                }
                Files::Append { open, file } => {
                    let part = match file {
                        Some(file) => file.take_next()?,
                        None => None,
                    };
                    match part {
                        Some(part) => self.ready.push(drop_retired(part, self.retired, self.table)?),
                        None => match open() {
                            Some(next) => *file = Some(Box::new(next?)),
                            None => return Ok(None),
                        },
                    }
                }
            }
        }
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<Part>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.more().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// Of each key the last row, unless that says that the key is gone. Of `parts` the first is the oldest, of the answer
/// the last: it is taken from its end.
fn last_rows(parts: Vec<Part>, unique: usize, keep_deleted: bool) -> Result<Vec<Part>> {
    let Some(first) = parts.first() else { return Ok(Vec::new()) };
    let types: Vec<DataType> = first.columns[..unique].iter().map(|column| column.data_type().clone()).collect();
    let mut index = KeyIndex::new(&types)?;
    let (mut slots, mut kept) = (Vec::new(), Vec::with_capacity(parts.len()));
    for part in parts.into_iter().rev() {
        let known = index.slots();
        index.assign(&part.columns[..unique], part.rows(), &mut slots)?;
        let mut seen = vec![false; index.slots() - known];
        let mut keep = vec![false; part.rows()];
        for (row, slot) in slots.iter().enumerate().rev() {
            // A later part has no such key, and none of the later rows of this one.
            let is_last =
                (*slot as usize).checked_sub(known).is_some_and(|new| !std::mem::replace(&mut seen[new], true));
            let is_deleted = part.deleted.as_ref().is_some_and(|deleted| deleted.value(row));
            keep[row] = is_last && (keep_deleted || !is_deleted);
        }
        kept.push(part.filter(&BooleanArray::from(keep))?);
    }
    Ok(kept)
}

/// Leaves out rows whose time, in the first column, has been retired in their key group.
fn drop_retired(part: Part, retired: &[Retired], table: &str) -> Result<Part> {
    if retired.is_empty() || part.rows() == 0 {
        return Ok(part);
    }
    let times = times(part.columns.first())
        .ok_or_else(|| Error::bug(format!("table {table} retires rows and does not begin with a time")))?;
    let is_kept = |(group, time): (&i32, &i64)| {
        let mut of_group = retired
            .iter()
            .filter(|retired| (i32::from(retired.groups.0)..=i32::from(retired.groups.1)).contains(group));
        of_group.all(|retired| *time >= retired.before)
    };
    let keep: BooleanArray = part.groups.values().iter().zip(times).map(is_kept).map(Some).collect();
    part.filter(&keep)
}

/// The values of a column of milliseconds.
fn times(column: Option<&ArrayRef>) -> Option<&[i64]> {
    let column = column?;
    match column.data_type() {
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().values()),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Some(column.as_primitive::<TimestampMillisecondType>().values())
        }
        _ => None,
    }
}
