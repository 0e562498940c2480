//! Writing: part files that are durable under a hidden name at the barrier and public with the checkpoint.
//!
//! A pending name that is there means "not published", one that is absent means "published", even when somebody has
//! taken the published file away since. So publishing again, by whatever process, changes nothing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

use super::super::{Committable, Committer, Delivery, JobIdentity, SinkFactory, SinkMode, SinkTask, SinkWriter, World};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::formats::RowWriter;
use crate::storage::{Access, NewFile, Put, Store};
use crate::stream::{Changes, Clock, Epoch};

/// Encoded bytes that are handed to the store at once.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes that are read at once to digest a file.
const READ_BYTES: usize = 1 << 20;

/// A configured directory of part files.
#[derive(Debug)]
pub(super) struct FileSinkFactory {
    pub directory: PathBuf,
    pub writer: Arc<dyn RowWriter>,
    pub rolling: Rolling,
}

/// When a part file is closed before its epoch ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rolling {
    pub size: u64,
    pub age: Duration,
    pub idle: Duration,
}

impl SinkFactory for FileSinkFactory {
    fn mode(&self) -> SinkMode {
        SinkMode::Append
    }

    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn writer(&self, task: &SinkTask, world: &World) -> Result<Box<dyn SinkWriter>> {
        let identity = &task.identity;
        let output = Output {
            directory: self.directory.clone(),
            pending: format!("{}{}-{}", names::pending(identity, &task.sink), identity.generation, task.task),
            part: format!("{}{}", names::part(identity, &task.sink), task.task),
            writer: Arc::clone(&self.writer),
            rolling: self.rolling,
            store: Arc::clone(&world.store),
            clock: Arc::clone(&world.clock),
            buffer: Vec::new(),
            open: None,
            closed: Vec::new(),
            files: 0,
        };
        Ok(Box::new(FileWriter {
            sink: task.sink.clone(),
            task: task.task,
            output: Some(Box::new(output)),
            world: world.clone(),
        }))
    }

    fn committer(&self, job: &JobIdentity, world: &World) -> Result<Box<dyn Committer>> {
        Ok(Box::new(FileCommitter { directory: self.directory.clone(), job: job.clone(), world: world.clone() }))
    }

    fn strangers(&self, job: &JobIdentity, world: &World) -> Result<Option<String>> {
        if world.store.info(&self.directory)?.is_none_or(|info| !info.is_directory()) {
            return Ok(None);
        }
        let entries = world.store.list(&self.directory)?;
        let names = entries.iter().filter(|entry| !entry.is_directory()).filter_map(|entry| entry.path.file_name());
        let names = names.map(|name| name.to_string_lossy()).filter(|name| !name.starts_with(['.', '_']));
        Ok(match names.filter(|name| !names::is_part_of(job, name)).count() {
            0 => None,
            count => Some(format!(
                "{} holds {count} file{} that {} not of this job; they stay, beside what it writes",
                self.directory.display(),
                if count == 1 { "" } else { "s" },
                if count == 1 { "is" } else { "are" },
            )),
        })
    }

    fn remove_published(&self, job: &JobIdentity, world: &World) -> Result<usize> {
        let mut removed = 0;
        for entry in world.store.list(&self.directory)? {
            let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if entry.is_directory() {
                continue;
            }
            if names::is_part_of(job, name) {
                world.store.remove(&entry.path)?;
                removed += 1;
            } else if names::pending_generation(job, name).is_some() {
                world.store.remove(&entry.path)?;
            }
        }
        Ok(removed)
    }
}

/// What the names of files say: `part-<lineage>-<sink>-<task>-<epoch>[-<n>]` and
/// `.pending-<lineage>-<sink>-<generation>-<task>-<n>`.
mod names {
    use super::{JobIdentity, xxh3_64};

    /// The start of the name of a part file of this sink.
    pub fn part(job: &JobIdentity, sink: &str) -> String {
        format!("part-{}-{}-", job.lineage, digest(sink))
    }

    /// The start of the name of a pending file of this sink.
    pub fn pending(job: &JobIdentity, sink: &str) -> String {
        format!(".pending-{}-{}-", job.lineage, digest(sink))
    }

    /// Whether this is a part file of the job's lineage.
    pub fn is_part_of(job: &JobIdentity, name: &str) -> bool {
        let numbers = name.strip_prefix("part-").and_then(|rest| numbers(job, rest));
        numbers.is_some_and(|numbers| numbers.len() == 2 || numbers.len() == 3)
    }

    /// The generation that wrote this pending file, if it is one of the job's lineage.
    pub fn pending_generation(job: &JobIdentity, name: &str) -> Option<u64> {
        match numbers(job, name.strip_prefix(".pending-")?)?[..] {
            [generation, _, _] => Some(generation),
            _ => None,
        }
    }

    /// The numbers behind lineage and sink, if all the rest is numbers.
    fn numbers(job: &JobIdentity, rest: &str) -> Option<Vec<u64>> {
        let rest = rest.strip_prefix(&job.lineage)?.strip_prefix('-')?;
        let (sink, rest) = rest.split_once('-')?;
        if sink.len() != 8 || !sink.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        rest.split('-').map(|number| number.parse().ok()).collect()
    }

    /// Two sinks of one job may share a directory.
    fn digest(sink: &str) -> String {
        format!("{:08x}", xxh3_64(sink.as_bytes()) >> 32)
    }
}

// ------------------------------------------------------------------------------------------------- writer

struct FileWriter {
    sink: String,
    task: usize,
    /// Away while a blocking thread works with it.
    output: Option<Box<Output>>,
    world: World,
}

impl FileWriter {
    /// Works with the output on a blocking thread.
    async fn with_output<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Output) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(mut output) = self.output.take() else {
            return Err(Error::bug("a write to a file sink was given up half way"));
        };
        let call = self.world.blocking.call(move || {
            let answer = work(&mut output);
            (output, answer)
        });
        let (output, answer) = call.await?;
        self.output = Some(output);
        answer
    }
}

#[async_trait]
impl SinkWriter for FileWriter {
    async fn write(&mut self, rows: &Changes) -> Result<()> {
        if rows.kinds().is_some() {
            return Err(Error::bug("a file sink takes rows that only add; the plan must refuse others"));
        }
        let rows = rows.clone();
        self.with_output(move |output| output.write(&rows)).await
    }

    async fn prepare(&mut self, epoch: Epoch) -> Result<Option<Committable>> {
        let files = self.with_output(move |output| output.prepare(epoch)).await?;
        if files.is_empty() {
            return Ok(None);
        }
        let rows = files.iter().map(|file| file.rows).sum();
        let payload =
            serde_json::to_value(Staged { files }).map_err(|error| Error::bug(format!("no JSON: {error}")))?;
        failpoint::hit("file.prepare.done");
        Ok(Some(Committable { sink: self.sink.clone(), task: self.task, epoch, rows, files: Vec::new(), payload }))
    }

    async fn flush(&mut self) -> Result<()> {
        // Rows are public with their checkpoint and no earlier.
        Ok(())
    }
}

/// The payload of a committable.
#[derive(Debug, Serialize, Deserialize)]
struct Staged {
    files: Vec<StagedFile>,
}

/// A file that is durable and waits for its name.
#[derive(Debug, Serialize, Deserialize)]
struct StagedFile {
    pending: String,
    #[serde(rename = "final")]
    published: String,
    length: u64,
    sha256: String,
    rows: u64,
}

/// The rows of one task on their way to files.
struct Output {
    directory: PathBuf,
    /// The start of the names of pending files.
    pending: String,
    /// The start of the names of part files.
    part: String,
    writer: Arc<dyn RowWriter>,
    rolling: Rolling,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Encoded bytes of the open file that the store has not got yet.
    buffer: Vec<u8>,
    open: Option<OpenFile>,
    closed: Vec<StagedFile>,
    /// Files begun so far; no name is used twice.
    files: u64,
}

struct OpenFile {
    name: String,
    file: Box<dyn NewFile>,
    digest: Sha256,
    length: u64,
    rows: u64,
    opened: Duration,
    last_rows: Duration,
}

impl Output {
    fn write(&mut self, rows: &Changes) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let now = self.clock.elapsed();
        if let Some(open) = &self.open {
            let too_old = now.saturating_sub(open.opened) >= self.rolling.age;
            if too_old || now.saturating_sub(open.last_rows) >= self.rolling.idle {
                self.close()?;
            }
        }
        if self.open.is_none() {
            self.begin(now)?;
        }
        self.writer.encode(rows.batch(), &mut self.buffer)?;
        let mut length = self.buffer.len() as u64;
        if let Some(open) = &mut self.open {
            open.rows += rows.len() as u64;
            open.last_rows = now;
            length += open.length;
        }
        if self.buffer.len() >= WRITE_BYTES {
            self.drain()?;
        }
        if length >= self.rolling.size {
            self.close()?;
        }
        failpoint::hit("file.write.mid");
        Ok(())
    }

    fn begin(&mut self, now: Duration) -> Result<()> {
        let name = format!("{}-{}", self.pending, self.files);
        self.files += 1;
        let file = self.store.create(&self.directory.join(&name), Access::Everyone)?;
        self.buffer = self.writer.header();
        self.open =
            Some(OpenFile { name, file, digest: Sha256::new(), length: 0, rows: 0, opened: now, last_rows: now });
        Ok(())
    }

    /// Gives the buffer to the store.
    fn drain(&mut self) -> Result<()> {
        if let Some(open) = &mut self.open {
            open.file.write(&self.buffer)?;
            open.digest.update(&self.buffer);
            open.length += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes the open file durable.
    fn close(&mut self) -> Result<()> {
        self.drain()?;
        if let Some(open) = self.open.take() {
            open.file.finish()?;
            self.closed.push(StagedFile {
                pending: open.name,
                published: String::new(),
                length: open.length,
                sha256: hexadecimal(&open.digest.finalize()),
                rows: open.rows,
            });
        }
        Ok(())
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<StagedFile>> {
        self.close()?;
        let mut files = std::mem::take(&mut self.closed);
        for (number, file) in files.iter_mut().enumerate() {
            file.published = match number {
                0 => format!("{}-{epoch}", self.part),
                _ => format!("{}-{epoch}-{number}", self.part),
            };
        }
        Ok(files)
    }
}

// ---------------------------------------------------------------------------------------------- committer

struct FileCommitter {
    directory: PathBuf,
    job: JobIdentity,
    world: World,
}

#[async_trait]
impl Committer for FileCommitter {
    async fn recover(&mut self, pending: &[Committable]) -> Result<()> {
        let mut staged = Vec::with_capacity(pending.len());
        for committable in pending {
            staged.push(read(committable)?);
        }
        let (store, directory, job) = (Arc::clone(&self.world.store), self.directory.clone(), self.job.clone());
        let recovered = move || {
            if store.info(&directory)?.is_some_and(|info| !info.is_directory()) {
                return Err(Error::query(format!("'path' = '{}' is a file.", directory.display()))
                    .with_help("a sink needs a directory"));
            }
            // Also without any row: an empty table can be read.
            store.settle(&directory)?;
            for staged in &staged {
                publish(store.as_ref(), &directory, staged)?;
            }
            remove_leftovers(store.as_ref(), &directory, &job, &staged)
        };
        self.world.blocking.call(recovered).await?
    }

    async fn commit(&mut self, staged: &Committable) -> Result<()> {
        let staged = read(staged)?;
        let (store, directory) = (Arc::clone(&self.world.store), self.directory.clone());
        self.world.blocking.call(move || publish(store.as_ref(), &directory, &staged)).await?
    }
}

fn read(committable: &Committable) -> Result<Staged> {
    serde_json::from_value(committable.payload.clone())
        .map_err(|error| Error::bug(format!("what the file sink staged cannot be read: {error}")))
}

/// Gives the files of one committable their public names.
fn publish(store: &dyn Store, directory: &Path, staged: &Staged) -> Result<()> {
    failpoint::hit("file.publish.before");
    for (number, file) in staged.files.iter().enumerate() {
        if number > 0 {
            failpoint::hit("file.publish.mid");
        }
        publish_file(store, directory, file)?;
    }
    failpoint::hit("file.publish.after");
    Ok(())
}

fn publish_file(store: &dyn Store, directory: &Path, file: &StagedFile) -> Result<()> {
    let pending = directory.join(&file.pending);
    let published = directory.join(&file.published);
    match store.rename_if_absent(&pending, &published) {
        Ok(Put::Created) => Ok(()),
        // The name is taken: by this very file, when a power loss left it under both names, or by a stranger.
        Ok(Put::Exists) if is_same(store, &published, file)? => store.remove(&pending),
        Ok(Put::Exists) => Err(Error::world(format!(
            "cannot publish '{}': the name is taken by a file with another content; the rows stand in '{}'",
            published.display(),
            pending.display()
        ))
        .with_help("move the other file away and run the job again")),
        Err(error) => {
            if store.info(&pending)?.is_some() {
                return Err(error);
            }
            // Published before, perhaps by a process that died before it could make the name durable. A file that
            // "moves" to its own name changes nothing and makes it so. If somebody has taken it away, that is fine.
            if store.info(&published)?.is_some() {
                store.rename_if_absent(&published, &published)?;
            }
            Ok(())
        }
    }
}

fn is_same(store: &dyn Store, path: &Path, file: &StagedFile) -> Result<bool> {
    if store.info(path)?.is_none_or(|info| info.length != file.length) {
        return Ok(false);
    }
    let open = store.open(path)?;
    let mut digest = Sha256::new();
    let mut at = 0;
    while at < file.length {
        let bytes = open.read(at, READ_BYTES)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        digest.update(&bytes);
        at += bytes.len() as u64;
    }
    Ok(hexadecimal(&digest.finalize()) == file.sha256)
}

/// Removes pending files of this job that belong to no completed checkpoint. Those of a later start are not ours to
/// touch: this process may have been overtaken without knowing.
fn remove_leftovers(store: &dyn Store, directory: &Path, job: &JobIdentity, staged: &[Staged]) -> Result<()> {
    let known: HashSet<&str> =
        staged.iter().flat_map(|staged| &staged.files).map(|file| file.pending.as_str()).collect();
    for entry in store.list(directory)? {
        let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let ours = names::pending_generation(job, name).is_some_and(|generation| generation <= job.generation.0);
        if ours && !entry.is_directory() && !known.contains(name) {
            store.remove(&entry.path)?;
        }
    }
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
