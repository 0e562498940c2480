//! One state file on its way back: checked against its manifest, then a row group at a time.

use std::collections::VecDeque;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array};
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use sha2::{Digest, Sha256};

use super::restore_progress::RestoreProgress;
use super::write::{ROW_GROUP_ROWS, file_schema, leading_columns};
use super::{corrupt, digest};
use crate::error::{Error, Result};
use crate::state::{TableKind, TableSpec};
use crate::storage::{ReadFile, Store};
use crate::stream::FileState;

/// Bytes that are read and checked in one piece.
const PIECE_BYTES: usize = 1 << 20;
/// How much larger than the file its content may claim to be, so that a small file cannot fill the memory.
const DECODED_RATIO: u64 = 200;
/// Below this, the ratio does not matter.
const DECODED_BYTES: u64 = 64 << 20;

/// Some rows of a file, in order of their key groups.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) groups: Int32Array,
    /// For keyed tables.
    pub(super) deleted: Option<BooleanArray>,
    /// The table's columns, without the leading ones.
    pub(super) columns: Vec<ArrayRef>,
}

impl Part {
    pub(super) fn rows(&self) -> usize {
        self.groups.len()
    }

    /// The last key group; the part is not empty.
    fn last_group(&self) -> i32 {
        self.groups.value(self.rows() - 1)
    }

    /// How many rows, from the first, lie in key groups below `group`.
    fn rows_below(&self, group: i32) -> usize {
        self.groups.values().partition_point(|other| *other < group)
    }

    pub(super) fn slice(&self, offset: usize, length: usize) -> Self {
        Self {
            groups: self.groups.slice(offset, length),
            deleted: self.deleted.as_ref().map(|deleted| deleted.slice(offset, length)),
            columns: self.columns.iter().map(|column| column.slice(offset, length)).collect(),
        }
    }

    pub(super) fn filter(self, keep: &BooleanArray) -> Result<Self> {
        match keep.true_count() {
            all if all == self.rows() => return Ok(self),
            0 => return Ok(self.slice(0, 0)),
            _ => {}
        }
        let filter = |array: &dyn Array| arrow::compute::filter(array, keep);
        Ok(Self {
            groups: filter(&self.groups)?.as_primitive::<Int32Type>().clone(),
            deleted: match &self.deleted {
                Some(deleted) => Some(filter(deleted)?.as_boolean().clone()),
                None => None,
            },
            columns: self.columns.iter().map(|column| filter(column)).collect::<Result<_, _>>()?,
        })
    }

    /// The rows with the columns of their table.
    pub(super) fn into_rows(self, schema: &SchemaRef) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows()));
        RecordBatch::try_new_with_options(schema.clone(), self.columns, &options)
            .map_err(|error| corrupt(format!("rows of a state file do not fit their table: {error}")))
    }
}

/// A verified file, read from the first row of a range of key groups to the last.
pub(super) struct StateFile<'a> {
    store: &'a dyn Store,
    path: PathBuf,
    name: &'a str,
    kind: TableKind,
    range: Range<i32>,
    metadata: ArrowReaderMetadata,
    /// All of it, if there was room.
    content: Option<Bytes>,
    progress: &'a RestoreProgress,
    /// Row groups that are still to be read.
    waiting: VecDeque<usize>,
    /// What was read and not taken.
    current: Option<Part>,
}

impl<'a> StateFile<'a> {
    /// Checks length, digest and content. Rows outside `range` are passed over. What was read is kept for decoding
    /// where that is no more than `room` bytes.
    pub(super) fn open(
        store: &'a dyn Store,
        job_directory: &Path,
        file: &'a FileState,
        spec: &TableSpec,
        range: &Range<u16>,
        room: u64,
        progress: &'a RestoreProgress,
    ) -> Result<Self> {
        let path = safe_path(job_directory, &file.path)?;
        let (opened, content) = verify(store, &path, file, room, progress)?;
        let failed = |error: &dyn std::fmt::Display| corrupt(format!("{}: {error}", file.path));
        let tail = match &content {
            Some(bytes) => Window { start: 0, bytes: bytes.clone(), length: file.length },
            None => tail(opened.as_ref(), file.length)?,
        };
        let metadata = ArrowReaderMetadata::load(&tail, ArrowReaderOptions::new()).map_err(|error| failed(&error))?;
        check_content(metadata.metadata(), metadata.schema(), file, spec)?;
        let range = i32::from(range.start)..i32::from(range.end);
        let mut waiting = VecDeque::new();
        for (index, group) in metadata.metadata().row_groups().iter().enumerate() {
            match overlaps(group, &range) {
                true => waiting.push_back(index),
                false => progress.decode(stored_bytes(group))?,
            }
        }
        let (name, kind, current) = (file.path.as_str(), spec.kind, None);
        Ok(Self { store, path, name, kind, range, metadata, content, progress, waiting, current })
    }

    /// Bytes of the file that are held.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.content.as_ref().map_or(0, |content| content.len() as u64)
    }

    /// The last key group of what is read next; `None` at the end.
    pub(super) fn next_group(&mut self) -> Result<Option<i32>> {
        Ok(self.fill()?.map(Part::last_group))
    }

    /// All rows, from where the last call stopped, whose key groups are at most `last`.
    pub(super) fn take_through(&mut self, last: i32, parts: &mut Vec<Part>) -> Result<()> {
        while let Some(part) = self.fill()? {
            let length = part.rows_below(last.saturating_add(1));
            if length == 0 {
                return Ok(());
            }
            let rows = part.rows();
            let Some(part) = self.current.take() else { return Ok(()) };
            if length < rows {
                self.current = Some(part.slice(length, rows - length));
                parts.push(part.slice(0, length));
                return Ok(());
            }
            parts.push(part);
        }
        Ok(())
    }

    /// The rows of the next row group.
    pub(super) fn take_next(&mut self) -> Result<Option<Part>> {
        self.fill()?;
        Ok(self.current.take())
    }

    fn fill(&mut self) -> Result<Option<&Part>> {
        while self.current.is_none() {
            let Some(index) = self.waiting.pop_front() else { return Ok(None) };
            let part = self.read(index)?;
            let (from, to) = (part.rows_below(self.range.start), part.rows_below(self.range.end));
            if from < to {
                self.current = Some(part.slice(from, to - from));
            }
        }
        Ok(self.current.as_ref())
    }

    fn read(&self, index: usize) -> Result<Part> {
        let failed = |error: &dyn std::fmt::Display| corrupt(format!("{}: {error}", self.name));
        let group = self.metadata.metadata().row_group(index);
        let window = match &self.content {
            Some(bytes) => Window { start: 0, bytes: bytes.clone(), length: bytes.len() as u64 },
            None => {
                let ranges = group.columns().iter().map(|column| column.byte_range());
                let (start, end) = ranges.fold((u64::MAX, 0), |(start, end), (offset, length)| {
                    (start.min(offset), end.max(offset.saturating_add(length)))
                });
                let length = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
                let bytes = self.store.open(&self.path)?.read(start, length)?;
                Window { start, bytes, length: end }
            }
        };
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(window, self.metadata.clone())
            .with_row_groups(vec![index])
            .with_batch_size(ROW_GROUP_ROWS)
            .build()
            .map_err(|error| failed(&error))?;
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
        let batch = match &batches[..] {
            [batch] => batch.clone(),
            batches => {
                arrow::compute::concat_batches(self.metadata.schema(), batches).map_err(|error| failed(&error))?
            }
        };
        self.progress.decode(stored_bytes(group))?;
        let leading = leading_columns(self.kind);
        let groups = batch.column(0).as_primitive::<Int32Type>().clone();
        if !groups.values().is_sorted() {
            return Err(failed(&"its rows are not in order of their key groups"));
        }
        let deleted = (leading > 1).then(|| batch.column(1).as_boolean().clone());
        Ok(Part { groups, deleted, columns: batch.columns()[leading..].to_vec() })
    }
}

/// The columns of a file, as it says itself.
pub(super) fn schema_of(store: &dyn Store, job_directory: &Path, file: &FileState) -> Result<SchemaRef> {
    let tail = tail(store.open(&safe_path(job_directory, &file.path)?)?.as_ref(), file.length)?;
    let metadata = ArrowReaderMetadata::load(&tail, ArrowReaderOptions::new());
    let metadata = metadata.map_err(|error| corrupt(format!("{}: {error}", file.path)))?;
    Ok(SchemaRef::clone(metadata.schema()))
}

/// Checks that the file is the one that its manifest speaks of, a piece at a time; gives out its bytes if they are no
/// more than `room`.
fn verify(
    store: &dyn Store,
    path: &Path,
    file: &FileState,
    room: u64,
    progress: &RestoreProgress,
) -> Result<(Box<dyn ReadFile>, Option<Bytes>)> {
    let shown = path.display();
    let opened = match store.open(path) {
        Err(_) if matches!(store.info(path), Ok(None)) => {
            return Err(corrupt(format!("{shown}: expected {} bytes, found no file", file.length)));
        }
        opened => opened?,
    };
    let info = opened.info()?;
    if info.length != file.length {
        return Err(corrupt(format!("{shown}: expected {} bytes, found {}", file.length, info.length)));
    }
    let mut hash = Sha256::new();
    let mut offset = 0;
    let mut kept = (file.length <= room).then(|| Vec::with_capacity(file.length as usize));
    while offset < file.length {
        let bytes = opened.read(offset, PIECE_BYTES)?;
        if bytes.is_empty() {
            return Err(corrupt(format!("{shown}: expected {} bytes, found {offset}", file.length)));
        }
        hash.update(&bytes);
        offset += bytes.len() as u64;
        progress.check(bytes.len() as u64)?;
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&bytes);
        }
    }
    let found = digest::text(&hash.finalize());
    if found != file.digest {
        return Err(corrupt(format!("{shown}: expected SHA-256 {}, found {found}", file.digest)));
    }
    Ok((opened, kept.map(Bytes::from)))
}

/// Part of a file, as if the rest were there.
struct Window {
    start: u64,
    bytes: Bytes,
    /// Of the file.
    length: u64,
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Window {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let length = (self.start + self.bytes.len() as u64).saturating_sub(start);
        self.get_bytes(start, usize::try_from(length).unwrap_or(0)).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let missing = || ParquetError::EOF(format!("{length} bytes at {start} lie outside of what belongs there"));
        let from = start.checked_sub(self.start).and_then(|from| usize::try_from(from).ok()).ok_or_else(missing)?;
        let to = from.checked_add(length).filter(|to| *to <= self.bytes.len()).ok_or_else(missing)?;
        Ok(self.bytes.slice(from..to))
    }
}

/// The end of a file, with the metadata.
fn tail(file: &dyn ReadFile, length: u64) -> Result<Window> {
    // Behind the metadata stand their length and four letters.
    const FOOTER: u64 = 8;
    let footer = file.read(length.saturating_sub(FOOTER), FOOTER as usize)?;
    let claimed = footer.first_chunk::<4>().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    let start = length.saturating_sub(FOOTER + claimed.min(DECODED_BYTES));
    let bytes = file.read(start, usize::try_from(length - start).unwrap_or(usize::MAX))?;
    Ok(Window { start, bytes, length })
}

fn safe_path(job_directory: &Path, path: &str) -> Result<PathBuf> {
    let relative = Path::new(path);
    match relative.components().all(|component| matches!(component, Component::Normal(_))) {
        true => Ok(job_directory.join(relative)),
        false => Err(corrupt(format!("the manifest names {path}, which lies outside of the job's directory"))),
    }
}

/// Whether the file holds what its manifest and its table say, before anything is decoded.
fn check_content(metadata: &ParquetMetaData, schema: &SchemaRef, file: &FileState, spec: &TableSpec) -> Result<()> {
    let refuse = |what: String| Err(corrupt(format!("{}: {what}", file.path)));
    let rows = metadata.file_metadata().num_rows();
    if u64::try_from(rows).ok() != Some(file.rows) {
        return refuse(format!("expected {} rows, found {rows}", file.rows));
    }
    let expected = file_schema(spec);
    if schema.fields().len() != expected.fields().len() {
        return refuse(format!("expected {} columns, found {}", expected.fields().len(), schema.fields().len()));
    }
    for (found, expected) in schema.fields().iter().zip(expected.fields()) {
        // A query may have given its columns other names since.
        if !found.data_type().equals_datatype(expected.data_type()) {
            return refuse(format!(
                "expected column {} {}, found {} {}",
                expected.name(),
                expected.data_type(),
                found.name(),
                found.data_type()
            ));
        }
    }
    let decoded: i64 = metadata.row_groups().iter().map(RowGroupMetaData::total_byte_size).sum();
    let decoded = u64::try_from(decoded).unwrap_or(u64::MAX);
    let limit = DECODED_BYTES.max(file.length.saturating_mul(DECODED_RATIO));
    if decoded > limit {
        return Err(Error::world(format!("{}: {decoded} bytes decoded, and {limit} are the limit", file.path))
            .with_id("BL-LIM-STATE-DECODE"));
    }
    Ok(())
}

/// Bytes of a row group in its file.
fn stored_bytes(group: &RowGroupMetaData) -> u64 {
    u64::try_from(group.compressed_size()).unwrap_or(0)
}

/// Whether some row may lie in the range; yes, where that is not known.
fn overlaps(group: &RowGroupMetaData, range: &Range<i32>) -> bool {
    match group.column(0).statistics() {
        Some(Statistics::Int32(values)) => match (values.min_opt(), values.max_opt()) {
            (Some(least), Some(most)) => *least < range.end && *most >= range.start,
            _ => true,
        },
        _ => true,
    }
}
