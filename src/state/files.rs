//! State files: what a table handed over at a barrier, as typed Parquet that any tool can read, and back.
//!
//! A file leads with the column `key_group`; one of a keyed table goes on with `deleted`; the table's own columns
//! follow. Within a file and over the files of a table, in order, later rows speak for earlier ones. A file is
//! checked against the length and digest in its manifest before a byte of it is decoded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, new_null_array};
use arrow::compute::kernels::cmp::gt_eq;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use bytes::Bytes;
use hashbrown::HashTable;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    FORMAT_VERSION, HASH_ID, SnapshotReader, SnapshotWriter, TableKind, TableSpec, TableState, check_schema, digest,
    key_groups,
};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::storage::{Access, Store};
use crate::stream::{Epoch, FileState, Generation};

/// Rows of a batch that is read back.
const BATCH_ROWS: usize = 8_192;
/// How much larger than the file its content may claim to be, so that a small file cannot fill the memory.
const DECODED_RATIO: u64 = 200;
/// Below this, the ratio does not matter.
const DECODED_BYTES: u64 = 64 << 20;

/// Whose file it is: everything that its path says.
#[derive(Debug, Clone, Copy)]
pub struct FileName<'a> {
    /// The checkpoint that it is written for.
    pub epoch: Epoch,
    /// The start that writes it.
    pub generation: Generation,
    /// The node's name.
    pub node: &'a str,
    /// The place of the operator in the node's chain.
    pub operator: usize,
    /// The table's name.
    pub table: &'a str,
    /// The task's number.
    pub task: usize,
}

impl FileName<'_> {
    /// The path below the job's directory.
    pub fn path(&self) -> String {
        let Self { epoch, generation, node, operator, table, task } = self;
        let (node, table) = (path_name(node), path_name(table));
        format!("data/{epoch}-{generation}/{node}.{operator}.{table}.{task}.parquet")
    }
}

/// `name` as part of a file's name: letters, digits, `_` and `-` as they are, every other byte as `%` and two digits.
pub fn path_name(name: &str) -> String {
    use std::fmt::Write;
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// Writes what a table handed over, durably; `None` where that is no row.
pub fn write_table(
    store: &dyn Store,
    job_directory: &Path,
    name: &FileName<'_>,
    spec: &TableSpec,
    snapshot: &SnapshotWriter,
    max_parallelism: u32,
) -> Result<Option<FileState>> {
    let rows: usize = snapshot.puts.iter().chain(&snapshot.deletes).map(RecordBatch::num_rows).sum();
    if rows == 0 {
        return Ok(None);
    }
    let bytes = encode(spec, &snapshot.puts, &snapshot.deletes, max_parallelism)?;
    let path = name.path();
    failpoint::hit("snapshot.upload.begin");
    let mut file = store.create(&job_directory.join(&path), Access::Owner)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    file.write(first)?;
    failpoint::hit("snapshot.upload.mid");
    file.write(second)?;
    file.finish()?;
    failpoint::hit("snapshot.upload.end");
    let (rows, length) = (rows as u64, bytes.len() as u64);
    Ok(Some(FileState { path, epoch: name.epoch, rows, length, digest: digest(&bytes) }))
}

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

/// The Parquet bytes of rows to keep and, behind them, keys that are gone.
pub fn encode(
    spec: &TableSpec,
    puts: &[RecordBatch],
    deletes: &[RecordBatch],
    max_parallelism: u32,
) -> Result<Vec<u8>> {
    let schema = file_schema(spec);
    let metadata = BTreeMap::from([
        ("beadline.format", FORMAT_VERSION.to_string()),
        ("beadline.hash", HASH_ID.to_owned()),
        ("beadline.kind", serde_json::to_string(&spec.kind).map_err(|error| Error::bug(error.to_string()))?),
        ("beadline.table", spec.name.clone()),
    ]);
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("beadline {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::SNAPPY)
        // Keys seldom repeat: to look for repetitions costs more than all the rest.
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        // So that a restore can leave out what belongs to other tasks.
        .set_column_statistics_enabled(ColumnPath::from(schema.field(0).name().as_str()), EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(
            metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect(),
        ));
    // Numbers become half as long or less, which takes longer than everything else about them.
    for field in schema.fields().iter().filter(|field| field.data_type().is_primitive()) {
        let column = ColumnPath::from(field.name().as_str());
        properties = properties.set_column_compression(column, Compression::UNCOMPRESSED);
    }
    let properties = properties.build();
    let failed = |error: ParquetError| Error::bug(format!("encode table {}: {error}", spec.name));
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).map_err(failed)?;
    for (batches, deleted) in [(puts, false), (deletes, true)] {
        for batch in batches {
            writer.write(&file_rows(spec, &schema, batch, deleted, max_parallelism)?).map_err(failed)?;
        }
    }
    writer.into_inner().map_err(failed)
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

/// The rows of one batch as they stand in a file.
fn file_rows(
    spec: &TableSpec,
    schema: &SchemaRef,
    batch: &RecordBatch,
    deleted: bool,
    max_parallelism: u32,
) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let wanted = match (spec.kind, deleted) {
        (TableKind::Append, true) => return Err(Error::bug(format!("table {} cannot delete", spec.name))),
        (TableKind::Keyed { unique }, true) => unique,
        (_, false) => spec.schema.fields().len(),
    };
    if batch.num_columns() != wanted || spec.key.iter().any(|key| *key >= wanted) {
        return Err(Error::bug(format!("table {}: {} columns where {wanted} belong", spec.name, batch.num_columns())));
    }
    let key: Vec<ArrayRef> = spec.key.iter().map(|index| batch.column(*index).clone()).collect();
    let groups = match key.is_empty() {
        true => Int32Array::from(vec![0; rows]),
        false => key_groups(&key, max_parallelism)?.into_iter().map(i32::from).collect(),
    };
    let mut columns: Vec<ArrayRef> = vec![Arc::new(groups)];
    if matches!(spec.kind, TableKind::Keyed { .. }) {
        columns.push(Arc::new(BooleanArray::from(vec![deleted; rows])));
    }
    columns.extend(batch.columns().iter().cloned());
    let missing = schema.fields()[columns.len()..].iter();
    columns.extend(missing.map(|field| new_null_array(field.data_type(), rows)));
    RecordBatch::try_new(schema.clone(), columns).map_err(|error| Error::bug(format!("table {}: {error}", spec.name)))
}

fn leading_columns(kind: TableKind) -> usize {
    match kind {
        TableKind::Append => 1,
        TableKind::Keyed { .. } => 2,
    }
}

/// The columns of a table's files. Where a table's own column has the name of a leading one, `_` is put behind it.
fn file_schema(spec: &TableSpec) -> SchemaRef {
    let mut fields = vec![Field::new("key_group", DataType::Int32, false)];
    let unique = match spec.kind {
        TableKind::Append => usize::MAX,
        TableKind::Keyed { unique } => {
            fields.push(Field::new("deleted", DataType::Boolean, false));
            unique
        }
    };
    let leading: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    let own = |(index, field): (usize, &Arc<Field>)| {
        let mut name = field.name().clone();
        while leading.contains(&name) || (&name != field.name() && spec.schema.index_of(&name).is_ok()) {
            name.push('_');
        }
        // A deleted key has no values.
        let nullable = field.is_nullable() || index >= unique;
        Field::new(name, field.data_type().clone(), nullable)
    };
    fields.extend(spec.schema.fields().iter().enumerate().map(own));
    Arc::new(Schema::new(fields))
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

/// Damage: never passed over, never repaired.
pub(super) fn corrupt(what: impl Into<String>) -> Error {
    Error::world(what).with_id("BL-STATE-CORRUPT").with_help(
        "the checkpoint is damaged; restore its directory from a copy, or start over with --fresh, \
         which reads all input again",
    )
}

#[cfg(test)]
mod tests;
