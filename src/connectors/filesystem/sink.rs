//! Writing: part files that are durable under a hidden name at the barrier and public with the checkpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use sha2::{Digest, Sha256};

use super::super::{
    Committable, Committer, Delivery, JobIdentity, SinkContext, SinkFactory, SinkMode, SinkWriter, World,
};
use super::committer::{FileCommitter, Staged, StagedFile, hexadecimal};
use super::names::{self, Kind};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::formats::RowWriter;
use crate::storage::{Access, LocalStore, NewFile, Store, absolute};
use crate::stream::{Changes, Clock, Epoch, Generation};

/// Encoded bytes that are handed to the store at once.
const WRITE_BYTES: usize = 1 << 20;

/// A configured directory of part files.
#[derive(Debug)]
pub(super) struct FileSinkFactory {
    /// Where its directory is.
    pub location: PathBuf,
    pub writer: Arc<dyn RowWriter>,
    pub rolling: Rolling,
}

/// When a part file is closed before its epoch ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rolling {
    /// Bytes.
    pub size: u64,
    pub age: Duration,
    pub idle: Duration,
}

impl FileSinkFactory {
    /// Part files are moved to their public names, which takes a file system.
    fn place(&self, world: &World) -> Result<(Arc<dyn LocalStore>, PathBuf)> {
        world.stores.local_at(&self.location, "the part files of a sink")
    }
}

impl SinkFactory for FileSinkFactory {
    fn mode(&self) -> SinkMode {
        SinkMode::Append
    }

    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn check(&self, world: &World) -> Result<()> {
        self.place(world).map(drop)
    }

    fn writer(&self, task: usize, context: &SinkContext, world: &World) -> Result<Box<dyn SinkWriter>> {
        let (store, directory) = self.place(world)?;
        let place = Place {
            directory,
            lineage: context.identity.lineage.clone(),
            sink: names::digits_of(&context.sink),
            generation: context.identity.generation,
            task,
        };
        let output = Output {
            place,
            writer: Arc::clone(&self.writer),
            rolling: self.rolling,
            store,
            clock: Arc::clone(&world.clock),
            buffer: Vec::new(),
            open: None,
            closed: Vec::new(),
            files: 0,
        };
        Ok(Box::new(FileWriter {
            sink: context.sink.clone(),
            task,
            output: Some(Box::new(output)),
            world: world.clone(),
        }))
    }

    fn committer(&self, context: &SinkContext, world: &World) -> Result<Box<dyn Committer>> {
        let (store, directory) = self.place(world)?;
        Ok(Box::new(FileCommitter::new(store, directory, context, world)))
    }

    fn foreign_files(&self, job: &JobIdentity, world: &World) -> Result<Option<String>> {
        let (store, directory) = self.place(world)?;
        if store.info(&directory)?.is_none_or(|info| !info.is_directory()) {
            return Ok(None);
        }
        let entries = store.list(&directory)?;
        let names = entries.iter().filter(|entry| !entry.is_directory()).filter_map(|entry| entry.path.file_name());
        let names = names.map(|name| name.to_string_lossy()).filter(|name| !name.starts_with(['.', '_']));
        let is_own = |name: &str| names::parse(name).is_some_and(|parsed| parsed.lineage == job.lineage);
        Ok(match names.filter(|name| !is_own(name)).count() {
            0 => None,
            count => Some(format!(
                "{} holds {count} file{} that {} not of this job; they stay, beside what it writes",
                directory.display(),
                if count == 1 { "" } else { "s" },
                if count == 1 { "is" } else { "are" },
            )),
        })
    }

    fn remove_published(&self, lineages: &str, world: &World) -> Result<usize> {
        let mut removed = 0;
        let (store, directory) = self.place(world)?;
        for entry in store.list(&directory)? {
            let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(parsed) = names::parse(name).filter(|_| !entry.is_directory()) else { continue };
            if parsed.lineage.starts_with(lineages) {
                store.remove(&entry.path)?;
                removed += usize::from(matches!(parsed.kind, Kind::Part { .. }));
            }
        }
        Ok(removed)
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

    fn prepare(&mut self, epoch: Epoch) -> BoxFuture<'static, Result<Option<Committable>>> {
        let Some(output) = &mut self.output else {
            return ready(Err(Error::bug("a write to a file sink was given up half way"))).boxed();
        };
        let Some(sealed) = output.seal(epoch) else { return ready(Ok(None)).boxed() };
        let (sink, task, blocking) = (self.sink.clone(), self.task, Arc::clone(&self.world.blocking));
        async move {
            let staged = blocking.call(move || sealed.finish()).await??;
            let rows = staged.files.iter().map(|file| file.rows).sum();
            let payload = serde_json::to_value(staged).map_err(|error| Error::bug(format!("no JSON: {error}")))?;
            failpoint::hit("file.prepare.done");
            Ok(Some(Committable { sink, task, epoch, rows, files: Vec::new(), payload }))
        }
        .boxed()
    }

    async fn flush(&mut self) -> Result<()> {
        // Rows are public with their checkpoint and no earlier.
        Ok(())
    }
}

/// Which files a writer makes.
#[derive(Debug, Clone)]
struct Place {
    directory: PathBuf,
    lineage: String,
    /// The sink in names of files.
    sink: String,
    generation: Generation,
    task: usize,
}

/// The rows of one task on their way to files.
struct Output {
    place: Place,
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
        let Place { directory, lineage, sink, generation, task } = &self.place;
        let name = names::pending(lineage, sink, *generation, *task, self.files);
        self.files += 1;
        let file = self.store.create(&directory.join(&name), Access::Everyone)?;
        self.buffer = self.writer.header();
        self.open =
            Some(OpenFile { name, file, digest: Sha256::new(), length: 0, rows: 0, opened: now, last_rows: now });
        Ok(())
    }

    /// Gives the buffer to the store.
    fn drain(&mut self) -> Result<()> {
        if let Some(open) = &mut self.open {
            open.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes the open file durable.
    fn close(&mut self) -> Result<()> {
        self.drain()?;
        if let Some(open) = self.open.take() {
            self.closed.push(open.finish()?);
        }
        Ok(())
    }

    /// Takes the rows since the last call out; those that come now go to new files. `None` if there are none.
    fn seal(&mut self, epoch: Epoch) -> Option<Sealed> {
        let (closed, open) = (std::mem::take(&mut self.closed), self.open.take());
        let buffer = std::mem::take(&mut self.buffer);
        let has_rows = open.is_some() || !closed.is_empty();
        has_rows.then(|| Sealed { place: self.place.clone(), epoch, closed, open, buffer })
    }
}

impl OpenFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write(bytes)?;
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn finish(self) -> Result<StagedFile> {
        self.file.finish()?;
        Ok(StagedFile {
            pending: self.name,
            published: String::new(),
            length: self.length,
            sha256: hexadecimal(&self.digest.finalize()),
            rows: self.rows,
        })
    }
}

/// The rows of an epoch, not all of them durable yet.
struct Sealed {
    place: Place,
    epoch: Epoch,
    closed: Vec<StagedFile>,
    open: Option<OpenFile>,
    /// Encoded bytes of the open file that the store has not got yet.
    buffer: Vec<u8>,
}

impl Sealed {
    /// Makes all of it durable, and says what it will be called.
    fn finish(self) -> Result<Staged> {
        let Place { directory, lineage, sink, task, .. } = &self.place;
        let mut files = self.closed;
        if let Some(mut open) = self.open {
            open.write(&self.buffer)?;
            files.push(open.finish()?);
        }
        for (number, file) in files.iter_mut().enumerate() {
            file.published = names::part(lineage, sink, *task, self.epoch, number);
        }
        Ok(Staged { directory: absolute(directory), files })
    }
}
