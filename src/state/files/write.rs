//! Writes what a table handed over at a barrier as a state file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, new_null_array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, UInt16Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{FileName, digest};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::state::{FORMAT_VERSION, HASH_ID, SnapshotWriter, TableKind, TableSpec, key_groups};
use crate::storage::{Access, Store};
use crate::stream::FileState;

/// Rows of a row group, and so the least that is read of a file.
pub(super) const ROW_GROUP_ROWS: usize = 16 * 1024;

/// The content of a file.
#[derive(Debug)]
pub struct EncodedTable {
    /// Parquet.
    pub bytes: Vec<u8>,
    /// The least and the greatest key group.
    pub groups: (u16, u16),
}

/// Writes what a table handed over, durably; `None` where that is no row. The name must be new.
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
    let EncodedTable { bytes, groups } = encode(spec, &snapshot.puts, &snapshot.deletes, max_parallelism)?;
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
    let newest = snapshot.puts.iter().filter_map(|batch| newest_of(spec, batch.columns().first())).max();
    let (epoch, digest, whole) = (name.epoch, digest(&bytes), snapshot.is_whole && !spec.key.is_empty());
    Ok(Some(FileState { path, epoch, groups, rows, length, digest, newest, whole }))
}

/// Rows to keep and keys that are gone as Parquet, in order of their key groups; of one key group in the order given,
/// the keys that are gone last.
pub fn encode(
    spec: &TableSpec,
    puts: &[RecordBatch],
    deletes: &[RecordBatch],
    max_parallelism: u32,
) -> Result<EncodedTable> {
    let schema = file_schema(spec);
    let mut batches = Vec::with_capacity(puts.len() + deletes.len());
    for (rows, deleted) in [(puts, false), (deletes, true)] {
        for batch in rows {
            batches.push(file_rows(spec, &schema, batch, deleted, max_parallelism)?);
        }
    }
    let order = by_group(&batches, max_parallelism);
    let sources: Vec<&RecordBatch> = batches.iter().collect();
    let mut writer = TableWriter::new(Vec::new(), spec, &schema)?;
    for rows in order.chunks(ROW_GROUP_ROWS) {
        writer.write(&interleave_record_batch(&sources, rows)?)?;
    }
    let (bytes, groups) = writer.finish()?;
    Ok(EncodedTable { bytes, groups })
}

/// The greatest time of rows with the columns of a file, in a table whose rows add up until they are retired.
pub(super) fn newest_time(spec: &TableSpec, batch: &RecordBatch) -> Option<i64> {
    newest_of(spec, batch.columns().get(leading_columns(spec.kind)))
}

fn newest_of(spec: &TableSpec, time: Option<&ArrayRef>) -> Option<i64> {
    let time = time.filter(|time| spec.kind == TableKind::Append && *time.data_type() == DataType::Int64)?;
    arrow::compute::max(time.as_primitive::<arrow::datatypes::Int64Type>())
}

/// The rows of all batches as (batch, row), in order of their key groups: sorted by counting.
pub(super) fn by_group(batches: &[RecordBatch], max_parallelism: u32) -> Vec<(usize, usize)> {
    let groups = |batch: &RecordBatch| batch.column(0).as_primitive::<Int32Type>().values().clone();
    let mut next = vec![0_usize; max_parallelism as usize + 1];
    for batch in batches {
        groups(batch).iter().for_each(|group| next[*group as usize + 1] += 1);
    }
    for group in 1..next.len() {
        next[group] += next[group - 1];
    }
    let mut order = vec![(0, 0); next[next.len() - 1]];
    for (index, batch) in batches.iter().enumerate() {
        for (row, group) in groups(batch).iter().enumerate() {
            let place = &mut next[*group as usize];
            order[*place] = (index, row);
            *place += 1;
        }
    }
    order
}

/// Writes the rows of a table as Parquet, a row group a call.
pub(super) struct TableWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    table: String,
    groups: Option<(i32, i32)>,
}

impl<W: Write + Send> TableWriter<W> {
    pub(super) fn new(to: W, spec: &TableSpec, schema: &SchemaRef) -> Result<Self> {
        let metadata = BTreeMap::from([
            ("beadline.format", FORMAT_VERSION.to_string()),
            ("beadline.hash", HASH_ID.to_owned()),
            ("beadline.kind", serde_json::to_string(&spec.kind).map_err(|error| Error::bug(error.to_string()))?),
            ("beadline.table", spec.name.clone()),
        ]);
        let group_column = ColumnPath::from(schema.field(0).name().as_str());
        let mut properties = WriterProperties::builder()
            .set_created_by(format!("beadline {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::SNAPPY)
            // Keys seldom repeat: to look for repetitions costs more than all the rest. But key groups do.
            .set_dictionary_enabled(false)
            .set_column_dictionary_enabled(group_column.clone(), true)
            .set_statistics_enabled(EnabledStatistics::None)
            // So that a restore can leave out what belongs to other tasks.
            .set_column_statistics_enabled(group_column, EnabledStatistics::Chunk)
            .set_key_value_metadata(Some(
                metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect(),
            ));
        // Numbers become half as long or less, which takes longer than everything else about them.
        for field in schema.fields().iter().filter(|field| field.data_type().is_primitive()) {
            let column = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_compression(column, Compression::UNCOMPRESSED);
        }
        let writer = ArrowWriter::try_new(to, schema.clone(), Some(properties.build()));
        let writer = writer.map_err(|error| failed(&spec.name, &error))?;
        Ok(Self { writer, table: spec.name.clone(), groups: None })
    }

    /// Adds rows with the columns of a file, in order of their key groups and behind those that are there.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let groups = rows.column(0).as_primitive::<Int32Type>().values();
        let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return Ok(()) };
        debug_assert!(groups.is_sorted() && self.groups.is_none_or(|(_, before)| before <= *first));
        self.groups = Some((self.groups.map_or(*first, |(first, _)| first), *last));
        let written = self.writer.write(rows).and_then(|()| self.writer.flush());
        written.map_err(|error| failed(&self.table, &error))
    }

    /// Writes the metadata; gives back what was written to and the least and the greatest key group.
    pub(super) fn finish(self) -> Result<(W, (u16, u16))> {
        let Self { writer, table, groups } = self;
        let group = |group: i32| u16::try_from(group).map_err(|_| Error::bug(format!("there is no key group {group}")));
        let (first, last) = groups.unwrap_or((0, 0));
        let groups = (group(first)?, group(last)?);
        Ok((writer.into_inner().map_err(|error| failed(&table, &error))?, groups))
    }
}

fn failed(table: &str, error: &ParquetError) -> Error {
    Error::bug(format!("encode table {table}: {error}"))
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
    let groups: Int32Array = match &key[..] {
        [] => Int32Array::from(vec![0; rows]),
        [group] if *group.data_type() == DataType::UInt16 => {
            group.as_primitive::<UInt16Type>().values().iter().map(|group| i32::from(*group)).collect()
        }
        _ => key_groups(&key, max_parallelism)?.into_iter().map(i32::from).collect(),
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

pub(super) fn leading_columns(kind: TableKind) -> usize {
    match kind {
        TableKind::Append => 1,
        TableKind::Keyed { .. } => 2,
    }
}

/// The columns of a table's files. Where a table's own column has the name of a leading one, `_` is put behind it.
pub(super) fn file_schema(spec: &TableSpec) -> SchemaRef {
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
