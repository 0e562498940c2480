//! Reads state files back: verified, pruned to a range of key groups, later rows in place of earlier ones.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::kernels::cmp::gt_eq;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use bytes::Bytes;
use hashbrown::HashTable;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use xxhash_rust::xxh3::xxh3_64;

use super::write::{file_schema, leading_columns};
use super::{check_schema, corrupt, digest};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::state::{SnapshotReader, TableKind, TableSpec, TableState};
use crate::storage::Store;
use crate::stream::FileState;

/// Rows of a batch that is read back.
const BATCH_ROWS: usize = 8_192;
/// How much larger than the file its content may claim to be, so that a small file cannot fill the memory.
const DECODED_RATIO: u64 = 200;
/// Below this, the ratio does not matter.
const DECODED_BYTES: u64 = 64 << 20;

/// The rows of a table that belong to the key groups of `range`: all its files in order, verified, with later rows
/// in place of earlier ones, deleted and retired rows left out.
pub fn read_table(
    store: &dyn Store,
    job_directory: &Path,
    table: &TableState,
    range: &Range<u16>,
    spec: &TableSpec,
) -> Result<SnapshotReader> {
    check_schema(table, spec)?;
    let mut parts = Vec::new();
    for file in &table.files {
        let bytes = read_file(store, job_directory, file)?;
        parts.extend(decode(bytes, file, spec, range)?);
        failpoint::hit("restore.state.mid");
    }
    if let TableKind::Keyed { unique } = spec.kind {
        parts = latest(parts, unique)?;
    }
    let mut rows = Vec::with_capacity(parts.len());
    for part in parts {
        let batch = part.into_rows(&spec.schema)?;
        let batch = match table.retired_before {
            Some(before) => filter_record_batch(&batch, &is_at_or_after(&batch, before, table)?)?,
            None => batch,
        };
        rows.extend((batch.num_rows() > 0).then_some(batch));
    }
    Ok(SnapshotReader { rows })
}

/// Some rows of a file.
struct Part {
    /// The table's columns, without the leading ones.
    columns: Vec<ArrayRef>,
    rows: usize,
    /// For keyed tables.
    deleted: Option<BooleanArray>,
}

impl Part {
    fn filter(self, keep: &BooleanArray) -> Result<Self> {
        let filter = |array: &dyn Array| arrow::compute::filter(array, keep);
        Ok(Self {
            rows: keep.true_count(),
            columns: self.columns.iter().map(|column| filter(column)).collect::<Result<_, _>>()?,
            deleted: match &self.deleted {
                Some(deleted) => Some(filter(deleted)?.as_boolean().clone()),
                None => None,
            },
        })
    }

    fn into_rows(self, schema: &SchemaRef) -> Result<RecordBatch> {
        let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(schema.clone(), self.columns, &options)
            .map_err(|error| corrupt(format!("rows of a state file do not fit their table: {error}")))
    }
}

/// The rows of a verified file that lie in `range`.
fn decode(bytes: Bytes, file: &FileState, spec: &TableSpec, range: &Range<u16>) -> Result<Vec<Part>> {
    let failed = |error: &dyn std::fmt::Display| corrupt(format!("{}: {error}", file.path));
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| failed(&error))?;
    check_content(builder.metadata(), builder.schema(), file, spec)?;
    let groups = builder.metadata().row_groups().iter().enumerate();
    let wanted = groups.filter(|(_, group)| overlaps(group.column(0).statistics(), range)).map(|(index, _)| index);
    let wanted = wanted.collect();
    let reader = builder.with_row_groups(wanted).with_batch_size(BATCH_ROWS).build().map_err(|error| failed(&error))?;
    let leading = leading_columns(spec.kind);
    let mut parts = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| failed(&error))?;
        let groups = batch.column(0).as_primitive::<Int32Type>().values();
        let range = i32::from(range.start)..i32::from(range.end);
        let keep: BooleanArray = groups.iter().map(|group| Some(range.contains(group))).collect();
        let part = Part {
            columns: batch.columns()[leading..].to_vec(),
            rows: batch.num_rows(),
            deleted: (leading > 1).then(|| batch.column(1).as_boolean().clone()),
        };
        match keep.true_count() {
            0 => {}
            all if all == batch.num_rows() => parts.push(part),
            _ => parts.push(part.filter(&keep)?),
        }
    }
    Ok(parts)
}

/// Of each key the last row, unless that says that the key is gone.
fn latest(parts: Vec<Part>, unique: usize) -> Result<Vec<Part>> {
    let keys = match parts.first() {
        Some(part) if unique > 0 => {
            let fields = part.columns[..unique].iter().map(|column| SortField::new(column.data_type().clone()));
            let converter = RowConverter::new(fields.collect())?;
            parts.iter().map(|part| converter.convert_columns(&part.columns[..unique])).collect::<Result<_, _>>()?
        }
        // No part, or no key columns: then there is but one row, whose key is empty.
        _ => Vec::<Rows>::new(),
    };
    let key = |(part, row): (usize, usize)| keys.get(part).map_or(&[][..], |rows| rows.row(row).data());
    let mut seen = HashTable::<(usize, usize)>::new();
    let mut kept = Vec::with_capacity(parts.len());
    for (index, part) in parts.into_iter().enumerate().rev() {
        let mut keep = vec![false; part.rows];
        for row in (0..part.rows).rev() {
            let bytes = key((index, row));
            let hash = xxh3_64(bytes);
            if seen.find(hash, |other| key(*other) == bytes).is_none() {
                seen.insert_unique(hash, (index, row), |other| xxh3_64(key(*other)));
                keep[row] = part.deleted.as_ref().is_none_or(|deleted| !deleted.value(row));
            }
        }
        kept.push(part.filter(&BooleanArray::from(keep))?);
    }
    kept.reverse();
    Ok(kept)
}

/// Which rows have a time of at least `before` in their first column.
fn is_at_or_after(batch: &RecordBatch, before: i64, table: &TableState) -> Result<BooleanArray> {
    let Some(time) = batch.columns().first().filter(|time| {
        matches!(time.data_type(), DataType::Int64 | DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, _))
    }) else {
        return Err(Error::bug(format!("table {} retires rows and does not begin with a time", table.name)));
    };
    Ok(gt_eq(&cast(time, &DataType::Int64)?, &Int64Array::new_scalar(before))?)
}

/// The bytes of a file, if they are those that the manifest speaks of.
fn read_file(store: &dyn Store, job_directory: &Path, file: &FileState) -> Result<Bytes> {
    let path = safe_path(job_directory, &file.path)?;
    let bytes = match store.read_all(&path) {
        Ok(bytes) => bytes,
        Err(_) if matches!(store.info(&path), Ok(None)) => {
            return Err(corrupt(format!("{}: expected {} bytes, found no file", path.display(), file.length)));
        }
        Err(error) => return Err(error),
    };
    let found = bytes.len() as u64;
    if found != file.length {
        return Err(corrupt(format!("{}: expected {} bytes, found {found}", path.display(), file.length)));
    }
    let found = digest(&bytes);
    if found != file.digest {
        return Err(corrupt(format!("{}: expected SHA-256 {}, found {found}", path.display(), file.digest)));
    }
    Ok(bytes)
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
    let decoded: i64 = metadata.row_groups().iter().map(|group| group.total_byte_size()).sum();
    let decoded = u64::try_from(decoded).unwrap_or(u64::MAX);
    let limit = DECODED_BYTES.max(file.length.saturating_mul(DECODED_RATIO));
    if decoded > limit {
        return Err(Error::world(format!("{}: {decoded} bytes decoded, and {limit} are the limit", file.path))
            .with_id("BL-LIM-STATE-DECODE"));
    }
    Ok(())
}

/// Whether some row may lie in the range; yes, where that is not known.
fn overlaps(statistics: Option<&Statistics>, range: &Range<u16>) -> bool {
    match statistics {
        Some(Statistics::Int32(values)) => match (values.min_opt(), values.max_opt()) {
            (Some(least), Some(most)) => *least < i32::from(range.end) && *most >= i32::from(range.start),
            _ => true,
        },
        _ => true,
    }
}
