//! Putting state files together in the background: a run of a table's files becomes few, which hold the same rows.
//!
//! ```text
//!   a │ b │ c │ d │ e        rows of a run are read as a restore reads them: of a key the last row, without the retired
//!   └───── b..d ─────┘       deletions are kept while an older file (a) may hold the key
//!   a │     B     │ e
//! ```

use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Int32Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use sha2::{Digest, Sha256};

use super::read::Parts;
use super::restore_progress::RestoreProgress;
use super::state_file::{Part, schema_of};
use super::write::{ROW_GROUP_ROWS, TableWriter, by_group, file_schema, leading_columns, newest_time};
use super::{FileName, Writer, digest};
use crate::error::Result;
use crate::failpoint;
use crate::state::{TableKind, TableSpec, TableState};
use crate::storage::{Access, NewFile, Store};
use crate::stream::{FileState, batch_bytes};

/// Decoded bytes behind which another file is begun, at the next key group: a restore leaves out files of other groups.
const FILE_BYTES: usize = 64 << 20;
/// A run of files whose rows only add up is put together in memory, and is no longer than this in bytes.
const APPEND_RUN_BYTES: u64 = 64 << 20;
/// Below this many rows a table is put together before anybody could wait for it.
const SMALL_ROWS: u64 = 256 * 1024;
/// How many younger checkpoints a file is put together with at least, unless it is the oldest.
const YOUNGER: usize = 4;

/// Which files of a table should be put together, if any; those of one checkpoint go together.
///
/// The oldest goes once what is younger has half as many rows. Younger ones go once four further checkpoints outweigh
/// them by half, so that each row is written again only as often as the logarithm of the table's age.
pub fn run_to_compact(table: &TableState) -> Option<Range<usize>> {
    let starts = starts_of_checkpoints(table);
    let bytes = |files: &[FileState]| files.iter().map(|file| file.length).sum::<u64>();
    starts.iter().enumerate().find_map(|(place, start)| {
        let younger = *starts.get(place + 1)?;
        let checkpoints = starts.len() - place - 1;
        let (own, rest) = (rows(&table.files[*start..younger]), rows(&table.files[younger..]));
        let is_wanted = match table.kind {
            TableKind::Keyed { .. } if place == 0 => rest * 2 >= own && checkpoints >= 2,
            TableKind::Keyed { .. } => rest * 2 >= own * 3 && checkpoints >= YOUNGER,
            TableKind::Append => {
                rest * 2 >= own * 3 && checkpoints >= YOUNGER && bytes(&table.files[*start..]) <= APPEND_RUN_BYTES
            }
        };
        is_wanted.then_some(*start..table.files.len())
    })
}

/// Whether a further checkpoint like the last one should wait while the oldest files are put together: with it, a
/// manifest would name more than two and a half times the rows of the oldest, which are about the live ones.
pub fn is_overgrown(table: &TableState) -> bool {
    let (TableKind::Keyed { .. }, [_, second, .., last]) = (table.kind, &starts_of_checkpoints(table)[..]) else {
        return false;
    };
    let (oldest, all) = (rows(&table.files[..*second]), rows(&table.files));
    all > SMALL_ROWS && (all + rows(&table.files[*last..])) * 2 > oldest * 5
}

/// Where the files of each checkpoint begin.
fn starts_of_checkpoints(table: &TableState) -> Vec<usize> {
    let files = &table.files;
    (0..files.len()).filter(|index| *index == 0 || files[index - 1].epoch != files[*index].epoch).collect()
}

fn rows(files: &[FileState]) -> u64 {
    files.iter().map(|file| file.rows).sum()
}

/// Writes the rows of the files `run` of a table into new ones under `name`, as the compaction of this `number`. No
/// more is held in memory than a row group of each file; of a table whose rows add up, the whole run.
pub fn compact_table(
    store: &dyn Store,
    job_directory: &Path,
    name: &FileName<'_>,
    number: u64,
    table: &TableState,
    run: Range<usize>,
) -> Result<Vec<FileState>> {
    let (keep_deleted, files) = (run.start > 0, &table.files[run]);
    let Some(newest) = files.last() else { return Ok(Vec::new()) };
    let schema = schema_of(store, job_directory, newest)?;
    let own: Vec<_> = schema.fields().iter().skip(leading_columns(table.kind)).cloned().collect();
    let spec = TableSpec {
        name: table.name.clone(),
        schema: Arc::new(Schema::new(own)),
        key: table.key.clone(),
        kind: table.kind,
    };
    let progress = RestoreProgress::default();
    let mut parts = Parts::open(store, job_directory, table, files, &(0..u16::MAX), &spec, keep_deleted, &progress)?;
    let mut output = Output {
        store,
        job_directory,
        name: FileName { epoch: newest.epoch, ..*name },
        number,
        schema: file_schema(&spec),
        spec: &spec,
        open: None,
        files: Vec::new(),
    };
    let mut waiting: Vec<RecordBatch> = Vec::new();
    while let Some(groups) = parts.next_groups()? {
        for part in groups.into_iter().filter(|part| part.rows() > 0) {
            waiting.push(batch_of_part(part, &output.schema)?);
        }
        // Rows that add up are in order of key groups only within their own file.
        if table.kind != TableKind::Append {
            output.write(&std::mem::take(&mut waiting))?;
        }
    }
    output.write(&waiting)?;
    output.finish()
}

fn batch_of_part(part: Part, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = vec![Arc::new(part.groups)];
    columns.extend(part.deleted.map(|deleted| Arc::new(deleted) as ArrayRef));
    columns.extend(part.columns);
    Ok(RecordBatch::try_new(SchemaRef::clone(schema), columns)?)
}

/// The files that come of a compaction.
struct Output<'a> {
    store: &'a dyn Store,
    job_directory: &'a Path,
    name: FileName<'a>,
    number: u64,
    schema: SchemaRef,
    spec: &'a TableSpec,
    open: Option<OpenFile>,
    files: Vec<FileState>,
}

struct OpenFile {
    path: String,
    writer: TableWriter<DigestingFile>,
    rows: u64,
    /// Decoded.
    bytes: usize,
    newest: Option<i64>,
}

impl Output<'_> {
    /// Writes rows of key groups behind all that were written.
    fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        if batches.is_empty() {
            return Ok(());
        }
        if self.open.as_ref().is_some_and(|open| open.bytes >= FILE_BYTES) {
            self.close()?;
        }
        if self.open.is_none() {
            self.open = Some(self.begin()?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let sources: Vec<&RecordBatch> = batches.iter().collect();
        let last = |batch: &RecordBatch| batch.column(0).as_primitive::<Int32Type>().values().last().copied();
        let groups = batches.iter().filter_map(last).max().map_or(0, |last| last.unsigned_abs() + 1);
        for rows in by_group(batches, groups).chunks(ROW_GROUP_ROWS) {
            let batch = interleave_record_batch(&sources, rows)?;
            open.writer.write(&batch)?;
            open.rows += batch.num_rows() as u64;
            open.bytes += batch_bytes(&batch);
            open.newest = open.newest.max(newest_time(self.spec, &batch));
        }
        failpoint::hit("compaction.mid");
        Ok(())
    }

    fn begin(&self) -> Result<OpenFile> {
        let writer = Writer::Compaction { number: self.number, part: self.files.len() };
        let path = FileName { writer, ..self.name }.path();
        let file = self.store.create(&self.job_directory.join(&path), Access::Owner)?;
        let file = DigestingFile { file, hash: Sha256::new(), length: 0 };
        let writer = TableWriter::new(file, self.spec, &self.schema)?;
        Ok(OpenFile { path, writer, rows: 0, bytes: 0, newest: None })
    }

    fn close(&mut self) -> Result<()> {
        let Some(OpenFile { path, writer, rows, newest, .. }) = self.open.take() else { return Ok(()) };
        let (DigestingFile { file, hash, length }, groups) = writer.finish()?;
        file.finish()?;
        let digest = digest::text(&hash.finalize());
        self.files.push(FileState { path, epoch: self.name.epoch, groups, rows, length, digest, newest, whole: false });
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<FileState>> {
        self.close()?;
        failpoint::hit("compaction.done");
        Ok(self.files)
    }
}

/// A new file whose bytes are digested as they are written.
struct DigestingFile {
    file: Box<dyn NewFile>,
    hash: Sha256,
    length: u64,
}

impl Write for DigestingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| io::Error::other(error.to_string()))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field};

    use super::*;
    use crate::state::files::{read_table, write_table};
    use crate::state::{Retired, SnapshotWriter, schema_text};
    use crate::storage::FakeStore;
    use crate::stream::{Epoch, Generation};
    use std::collections::BTreeMap;

    const GROUPS: u32 = 8;

    fn spec(kind: TableKind) -> TableSpec {
        let fields = ["time", "key", "n"].map(|name| Field::new(name, DataType::Int64, false));
        let key = if kind == TableKind::Append { vec![1] } else { vec![0] };
        TableSpec { name: "t".to_owned(), schema: Arc::new(Schema::new(fields.to_vec())), key, kind }
    }

    fn columns(rows: &[[i64; 3]], width: usize) -> Vec<ArrayRef> {
        (0..width).map(|column| Arc::new(rows.iter().map(|row| row[column]).collect::<Int64Array>()) as _).collect()
    }

    fn name(epoch: u64) -> FileName<'static> {
        let writer = Writer::Task { task: 0, attempt: 0 };
        FileName { epoch: Epoch(epoch), generation: Generation(1), operator: "o", table: "t", writer }
    }

    /// Rows to keep, and rows whose keys are gone.
    type Increment = (Vec<[i64; 3]>, Vec<[i64; 3]>);

    /// A table of one file for each increment.
    fn table(store: &FakeStore, spec: &TableSpec, files: &[Increment]) -> TableState {
        let mut states = Vec::new();
        for (index, (puts, deletes)) in files.iter().enumerate() {
            let mut writer = SnapshotWriter::default();
            writer.put(RecordBatch::try_new(Arc::clone(&spec.schema), columns(puts, 3)).unwrap());
            let keys = Arc::new(spec.schema.project(&[0]).unwrap());
            writer.delete(RecordBatch::try_new(keys, columns(deletes, 1)).unwrap());
            let written = write_table(store, Path::new("/job"), &name(index as u64 + 1), spec, &writer, GROUPS);
            states.extend(written.unwrap());
        }
        let (name, schema) = (spec.name.clone(), schema_text(&spec.schema));
        TableState { name, schema, kind: spec.kind, key: spec.key.clone(), retired: Vec::new(), files: states }
    }

    /// All rows as a restore reads them, in order.
    fn rows(store: &FakeStore, spec: &TableSpec, table: &TableState) -> Vec<[i64; 3]> {
        let progress = RestoreProgress::default();
        let read = read_table(store, Path::new("/job"), table, &(0..u16::MAX), spec, &progress).unwrap();
        let mut rows: Vec<[i64; 3]> = Vec::new();
        for batch in read {
            let batch = batch.unwrap();
            let value = |column: usize, row: usize| {
                batch.column(column).as_primitive::<arrow::datatypes::Int64Type>().value(row)
            };
            rows.extend((0..batch.num_rows()).map(|row| [0, 1, 2].map(|column| value(column, row))));
        }
        rows.sort_unstable();
        rows
    }

    fn random(state: &mut u64, most: i64) -> i64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((*state >> 33) as i64) % most
    }

    #[test]
    fn a_keyed_table_reads_the_same_whatever_run_was_put_together() {
        let spec = spec(TableKind::Keyed { unique: 1 });
        let mut state = 7;
        let files: Vec<_> = (0..6)
            .map(|epoch| {
                let mut keys = BTreeMap::new();
                keys.extend((0..40).map(|_| (random(&mut state, 60), epoch)));
                let gone: Vec<[i64; 3]> =
                    keys.keys().filter(|key| **key % 3 == epoch % 3).map(|key| [*key, 0, 0]).collect();
                let kept = keys.keys().filter(|key| **key % 3 != epoch % 3).map(|key| [*key, key * 2, epoch]);
                (kept.collect::<Vec<_>>(), gone)
            })
            .collect();
        let store = FakeStore::new();
        let before = table(&store, &spec, &files);
        let expected = rows(&store, &spec, &before);
        assert!(expected.len() > 10);
        for start in 0..5 {
            for end in start + 2..=6 {
                let number = (start * 10 + end) as u64;
                let by = compact_table(&store, Path::new("/job"), &name(1), number, &before, start..end).unwrap();
                let mut after = before.clone();
                after.files.splice(start..end, by.clone());
                assert_eq!(rows(&store, &spec, &after), expected, "{start}..{end}");
                let (named, live) = (by.iter().map(|file| file.rows).sum::<u64>(), expected.len() as u64);
                assert!(start > 0 || end < 6 || named == live, "a deletion with nothing before it is no row");
            }
        }
        let taken = compact_table(&store, Path::new("/job"), &name(1), 6, &before, 0..6);
        assert!(taken.is_err(), "a name is used once");
    }

    #[test]
    fn rows_that_add_up_stay_but_for_those_that_are_retired() {
        let spec = spec(TableKind::Append);
        let mut state = 3;
        let files: Vec<_> =
            (0..5).map(|time| ((0..30).map(|_| [time * 10, random(&mut state, 9), 1]).collect(), Vec::new())).collect();
        let store = FakeStore::new();
        let mut before = table(&store, &spec, &files);
        assert_eq!(before.files[2].newest, Some(20));
        before.retired = vec![Retired { groups: (0, 3), before: 20 }, Retired { groups: (4, 7), before: 10 }];
        let expected = rows(&store, &spec, &before);
        let by = compact_table(&store, Path::new("/job"), &name(1), 1, &before, 0..4).unwrap();
        assert!(by[0].rows < 4 * 30 && by[0].newest == Some(30));
        let mut after = before.clone();
        after.files.splice(0..4, by);
        assert_eq!(rows(&store, &spec, &after), expected);
    }

    /// A table in memory as its files count, for the choice of runs alone: how many times its live rows its files hold at
    /// most, how many files there are at most, and how often each row is written again. A compaction takes as long as
    /// `takes` checkpoints, unless these wait for it.
    fn grown(kind: TableKind, takes: u64, live: u64, changed: impl Fn(u64) -> u64) -> (f64, usize, f64) {
        let file = |epoch: u64, rows: u64| FileState {
            path: String::new(),
            epoch: Epoch(epoch),
            groups: (0, 7),
            rows,
            length: rows * 10,
            digest: String::new(),
            newest: None,
            whole: false,
        };
        let mut table = table(&FakeStore::new(), &spec(kind), &[]);
        table.files.push(file(0, live));
        let (mut most_rows, mut most_files, mut written, mut again) = (0, 0, 0, 0);
        let mut under_way: Option<(u64, Range<usize>)> = None;
        for epoch in 1..=2_000 {
            let is_through =
                |(begun, _): &mut (u64, Range<usize>)| epoch - *begun >= takes || super::is_overgrown(&table);
            if let Some((_, run)) = under_way.take_if(is_through) {
                let sum = super::rows(&table.files[run.clone()]);
                let stays = if kind == TableKind::Append { sum } else { sum.min(live) };
                again += stays;
                let epoch = table.files[run.end - 1].epoch.0;
                table.files.splice(run, [file(epoch, stays)]);
            }
            let rows = changed(epoch);
            written += rows;
            table.files.push(file(epoch, rows));
            most_rows = most_rows.max(super::rows(&table.files));
            most_files = most_files.max(table.files.len());
            if under_way.is_none() {
                under_way = run_to_compact(&table).map(|run| (epoch, run));
            }
        }
        (most_rows as f64 / live as f64, most_files, again as f64 / written as f64)
    }

    #[test]
    fn files_stay_few_and_are_not_written_again_too_often() {
        let (keyed, live) = (TableKind::Keyed { unique: 1 }, 1_000_000);
        for takes in [0, 1, 5, 20] {
            for changed in [1, 10, 10_000, 220_000, 500_000, 1_000_000] {
                let (space, files, again) = grown(keyed, takes, live, |_| changed);
                let most_space = if changed > live / 2 { 3.0 } else { 2.5 };
                let case = format!("{changed} in {takes}: {space} {files} {again}");
                assert!(space <= most_space && files <= 80 && again <= 16.0, "{case}");
            }
            let (space, files, again) = grown(keyed, takes, live, |epoch| 1 + epoch * 79_190 % 200_000);
            // The next checkpoint may be larger than the last one.
            assert!(space <= 2.7 && files <= 64 && again <= 16.0, "{takes}: {space} {files} {again}");
            let (_, files, again) = grown(TableKind::Append, takes, 1, |_| 100);
            assert!(files <= 80 && again <= 16.0, "{takes}: {files} {again}");
        }
        let small = table(&FakeStore::new(), &spec(keyed), &[]);
        assert!(!super::is_overgrown(&small));
    }
}
