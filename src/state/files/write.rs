//! Writes what a table handed over at a barrier as a state file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
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
