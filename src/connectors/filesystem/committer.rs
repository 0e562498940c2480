//! Making prepared files public, and the marker that says up to which epoch that has been done.
//!
//! ```text
//!   .pending-…-1-0-0 ──┐ rename                    put
//!   .pending-…-1-1-0 ──┴───────▶ part-…-0-7  ─────────────▶ .committed-…-7 ── remove ──▶ .committed-…-6
//!                                part-…-1-7
//! ```
//!
//! A pending name that is there means "not published". One that is absent means "published" only if the part file
//! stands there, or the marker says so; otherwise the rows are lost, and the job stops before it publishes anything.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::{Committable, Committer, History, SinkContext, World};
use super::names::{self, Kind};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::storage::{Access, LocalStore, Put, absolute};
use crate::stream::{Blocking, Epoch, Generation};

/// Bytes that are read at once to digest a file.
const READ_BYTES: usize = 1 << 20;
/// Names of files that a message lists.
const LISTED: usize = 3;

/// The payload of a committable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Staged {
    /// The directory that they stand in, in full: a later start may have another working directory.
    pub directory: PathBuf,
    pub files: Vec<StagedFile>,
}

/// A file that is durable and waits for its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StagedFile {
    pub pending: String,
    #[serde(rename = "final")]
    pub published: String,
    /// Bytes.
    pub length: u64,
    pub sha256: String,
    pub rows: u64,
}

/// Publishes the files of one sink.
pub(super) struct FileCommitter {
    output: Arc<SinkOutput>,
    blocking: Arc<dyn Blocking>,
    /// The marker that stands, if one does.
    marker: Option<Epoch>,
    /// Rows that have been made public in this lineage.
    public_rows: u64,
    /// How many files of the epoch being committed this process has published: a consumer may have taken them away
    /// by the time a commit that failed half way is tried again.
    published: (Epoch, usize),
}

/// One sink's files in its directory.
#[derive(Debug)]
struct SinkOutput {
    store: Arc<dyn LocalStore>,
    directory: PathBuf,
    lineage: String,
    /// The sink in names of files.
    sink: String,
    generation: Generation,
    /// Whether a later start may go on from here, so that it has to find a marker.
    leaves_marker: bool,
}

/// What stands in the directory of this sink and lineage.
#[derive(Debug, Default)]
struct Found {
    /// The newest.
    marker: Option<Epoch>,
    older_markers: Vec<Epoch>,
    /// The newest epoch with a part file.
    part: Option<Epoch>,
    /// Names, with the start that made each.
    pending: Vec<(String, Generation)>,
}

/// The files of one committable.
struct Prepared {
    epoch: Epoch,
    staged: Staged,
}

impl FileCommitter {
    pub(super) fn new(store: Arc<dyn LocalStore>, directory: PathBuf, context: &SinkContext, world: &World) -> Self {
        let output = SinkOutput {
            store,
            directory,
            lineage: context.identity.lineage.clone(),
            sink: names::digits_of(&context.sink),
            generation: context.identity.generation,
            leaves_marker: context.is_durable,
        };
        let blocking = Arc::clone(&world.blocking);
        Self { output: Arc::new(output), blocking, marker: None, public_rows: 0, published: (Epoch::ZERO, 0) }
    }
}

#[async_trait]
impl Committer for FileCommitter {
    async fn check(&mut self, history: &History, pending: &[Committable]) -> Result<()> {
        let prepared = read(pending)?;
        let (output, history) = (Arc::clone(&self.output), *history);
        self.blocking.call(move || output.check(history, &prepared).map(drop)).await?
    }

    async fn recover(&mut self, history: &History, pending: &[Committable]) -> Result<()> {
        let prepared = read(pending)?;
        let (output, history) = (Arc::clone(&self.output), *history);
        let recovered = move || output.recover(history, &prepared);
        (self.marker, self.public_rows) = self.blocking.call(recovered).await??;
        Ok(())
    }

    async fn commit(&mut self, epoch: Epoch, staged: &[Committable]) -> Result<()> {
        let prepared = read(staged)?;
        let (output, marker) = (Arc::clone(&self.output), self.marker);
        let rows = self.public_rows + rows_of(&prepared);
        let mut published = if self.published.0 == epoch { self.published.1 } else { 0 };
        let committed = move || {
            let committed = output.commit(epoch, &prepared, &mut published, marker, rows);
            (committed, published)
        };
        let (committed, published) = self.blocking.call(committed).await?;
        self.published = (epoch, published);
        committed?;
        // A commit that is made again changes nothing.
        if self.marker.is_none_or(|marker| marker < epoch) {
            (self.marker, self.public_rows) = (Some(epoch), rows);
        }
        Ok(())
    }
}

fn read(committables: &[Committable]) -> Result<Vec<Prepared>> {
    let unreadable = |error| Error::bug(format!("what the file sink staged cannot be read: {error}"));
    let read = |committable: &Committable| {
        let staged = serde_json::from_value(committable.payload.clone()).map_err(unreadable)?;
        Ok(Prepared { epoch: committable.epoch, staged })
    };
    committables.iter().map(read).collect()
}

fn rows_of(prepared: &[Prepared]) -> u64 {
    prepared.iter().flat_map(|prepared| &prepared.staged.files).map(|file| file.rows).sum()
}

impl SinkOutput {
    /// Looks at everything and changes nothing: what stands here, or why the job must not go on from it.
    fn check(&self, history: History, prepared: &[Prepared]) -> Result<Found> {
        if self.store.info(&self.directory)?.is_some_and(|info| !info.is_directory()) {
            return Err(Error::query(format!("'path' = '{}' is a file.", self.directory.display()))
                .with_help("a sink needs a directory"));
        }
        let found = self.find()?;
        self.check_not_ahead(history, &found)?;
        let lost = self.lost(files_of(prepared), found.marker)?;
        match (found.marker, history.confirmed) {
            (None, Some(_)) => Err(self.gone(history, prepared, &lost)),
            (Some(marker), Some(confirmed)) if marker < confirmed => {
                Err(self.behind(history, marker, confirmed, prepared, &lost))
            }
            _ if !lost.is_empty() => Err(self.lost_rows(prepared, &lost)),
            _ => Ok(found),
        }
    }

    /// Returns the marker and how many rows are public.
    fn recover(&self, history: History, prepared: &[Prepared]) -> Result<(Option<Epoch>, u64)> {
        let found = self.check(history, prepared)?;
        // Also without any row: an empty table can be read.
        self.store.settle(&self.directory)?;
        self.publish(prepared, &mut 0)?;
        let rows = history.public_rows + rows_of(prepared);
        let mut marker = found.marker;
        if let Some(epoch) = prepared.iter().map(|prepared| prepared.epoch).max() {
            self.mark(epoch, rows, marker)?;
            marker = marker.max(Some(epoch));
        }
        for epoch in found.older_markers {
            self.remove(&names::marker(&self.lineage, &self.sink, epoch))?;
        }
        // What belongs to no completed checkpoint goes. What a later start has made is not ours to touch: this process
        // may have been overtaken without knowing.
        let known: HashSet<&str> = files_of(prepared).map(|(_, file)| file.pending.as_str()).collect();
        for (name, generation) in &found.pending {
            if *generation <= self.generation && !known.contains(name.as_str()) {
                self.remove(name)?;
            }
        }
        Ok((marker, rows))
    }

    fn commit(
        &self,
        epoch: Epoch,
        prepared: &[Prepared],
        published: &mut usize,
        marker: Option<Epoch>,
        rows: u64,
    ) -> Result<()> {
        let mut is_complete = true;
        for (_, file) in files_of(prepared).skip(*published) {
            is_complete &= self.info(&file.pending)?;
        }
        if !is_complete {
            // Of another process, or of a commit that failed behind its last rename.
            let marker = marker.max(self.find()?.marker);
            let lost = self.lost(files_of(prepared).skip(*published), marker)?;
            if !lost.is_empty() {
                return Err(self.lost_rows(prepared, &lost));
            }
        }
        self.publish(prepared, published)?;
        self.mark(epoch, rows, marker)
    }

    fn find(&self) -> Result<Found> {
        let mut found = Found::default();
        for entry in self.store.list(&self.directory)? {
            let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(parsed) = names::parse(name).filter(|_| !entry.is_directory()) else { continue };
            if parsed.lineage != self.lineage || parsed.sink != self.sink {
                continue;
            }
            match parsed.kind {
                Kind::Part { epoch } => found.part = found.part.max(Some(epoch)),
                Kind::Pending { generation } => found.pending.push((name.to_owned(), generation)),
                Kind::Marker { epoch } => {
                    found.older_markers.extend(found.marker.map(|marker| marker.min(epoch)));
                    found.marker = found.marker.max(Some(epoch));
                }
            }
        }
        Ok(found)
    }

    /// Files that are neither pending nor public, and of which no marker says that they have been public.
    fn lost<'a>(
        &self,
        files: impl Iterator<Item = (&'a Prepared, &'a StagedFile)>,
        marker: Option<Epoch>,
    ) -> Result<Vec<(&'a Prepared, &'a StagedFile)>> {
        let mut lost = Vec::new();
        for (of, file) in files {
            let is_known = marker.is_some_and(|marker| marker >= of.epoch);
            if !is_known && !self.info(&file.pending)? && !self.is_same(&self.directory.join(&file.published), file)? {
                lost.push((of, file));
            }
        }
        Ok(lost)
    }

    /// Gives files their public names, in order, and counts them.
    fn publish(&self, prepared: &[Prepared], published: &mut usize) -> Result<()> {
        let mut number = 0;
        for prepared in prepared {
            failpoint::hit("file.publish.before");
            for (index, file) in prepared.staged.files.iter().enumerate() {
                if index > 0 {
                    failpoint::hit("file.publish.mid");
                }
                if number >= *published {
                    self.publish_file(file)?;
                    *published += 1;
                }
                number += 1;
            }
            failpoint::hit("file.publish.after");
        }
        Ok(())
    }

    fn publish_file(&self, file: &StagedFile) -> Result<()> {
        let pending = self.directory.join(&file.pending);
        let published = self.directory.join(&file.published);
        match self.store.rename_if_absent(&pending, &published) {
            Ok(Put::Created) => Ok(()),
            // The name is taken: by this very file, when a power loss left it under both names, or by a foreign one.
            Ok(Put::Exists) if self.is_same(&published, file)? => self.store.remove(&pending),
            Ok(Put::Exists) => Err(Error::world(format!(
                "cannot publish '{}': the name is taken by a file with another content; the rows stand in '{}'",
                published.display(),
                pending.display()
            ))
            .with_help("move the other file away and run the job again")),
            Err(error) => {
                if self.info(&file.pending)? {
                    return Err(error);
                }
                // Published before, perhaps by a process that died before it could make the name durable.
                self.settle_name(&published)
            }
        }
    }

    /// Makes the name of a file that a killed process has made durable: one that "moves" to its own name changes
    /// nothing.
    fn settle_name(&self, path: &Path) -> Result<()> {
        if self.store.info(path)?.is_some() {
            self.store.rename_if_absent(path, path)?;
        }
        Ok(())
    }

    /// Says that everything up to this epoch has been public, and takes the earlier marker away.
    fn mark(&self, epoch: Epoch, rows: u64, earlier: Option<Epoch>) -> Result<()> {
        if !self.leaves_marker || earlier.is_some_and(|earlier| earlier > epoch) {
            return Ok(());
        }
        failpoint::hit("file.marker.before");
        let name = names::marker(&self.lineage, &self.sink, epoch);
        let path = self.directory.join(&name);
        if self.info(&name)? {
            // Put by a process that may have died before it could make the name durable.
            self.settle_name(&path)?;
        } else {
            // The name says it all; the content is for people.
            let mut file = self.store.create(&path, Access::Everyone)?;
            file.write(format!("{{\"epoch\":{epoch},\"rows\":{rows}}}\n").as_bytes())?;
            file.finish()?;
        }
        failpoint::hit("file.marker.after");
        match earlier.filter(|earlier| *earlier < epoch) {
            Some(earlier) => self.remove(&names::marker(&self.lineage, &self.sink, earlier)),
            None => Ok(()),
        }
    }

    fn info(&self, name: &str) -> Result<bool> {
        Ok(self.store.info(&self.directory.join(name))?.is_some())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.store.remove(&self.directory.join(name))
    }

    fn is_same(&self, path: &Path, file: &StagedFile) -> Result<bool> {
        if self.store.info(path)?.is_none_or(|info| info.length != file.length) {
            return Ok(false);
        }
        let open = self.store.open(path)?;
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

    // -------------------------------------------------------------------------------------------- refusals

    fn check_not_ahead(&self, history: History, found: &Found) -> Result<()> {
        let restored = history.restored.unwrap_or(Epoch::ZERO);
        let Some(public) = found.part.max(found.marker).filter(|public| *public > restored) else { return Ok(()) };
        let directory = absolute(&self.directory);
        let from = match restored {
            Epoch::ZERO => "starts from the beginning".to_owned(),
            epoch => format!("goes on from checkpoint {epoch}"),
        };
        Err(Error::world(format!(
            "'{}' holds rows of checkpoint {public} of this job, which {from}: its checkpoints are older than its output, and \
             rows would be written twice",
            directory.display()
        ))
        .with_id("BL-SINK-AHEAD")
        .with_help(format!("put back the directory of checkpoints as it was at checkpoint {public}"))
        .with_help("or start over with --fresh, which removes what the job has written and reads all input again"))
    }

    /// Rows have been public here, and the directory knows nothing of it.
    fn gone(&self, history: History, prepared: &[Prepared], lost: &[(&Prepared, &StagedFile)]) -> Error {
        let (public, directory) = (history.public_rows, absolute(&self.directory));
        let further = further(lost);
        let restored = history.restored.unwrap_or(Epoch::ZERO);
        Error::world(format!(
            "{public} rows of this job were public when checkpoint {restored} was made, and '{}' does not hold its marker \
             of that{further}{}",
            directory.display(),
            self.elsewhere(prepared)
        ))
        .with_id("BL-SINK-GONE")
        .with_help("put the directory back, hidden files included, or start over with --fresh, which reads all input again")
        .with_help(format!(
            "or go on without those rows: mkdir -p '{}' && touch '{}'",
            directory.display(),
            directory.join(names::marker(&self.lineage, &self.sink, restored)).display()
        ))
    }

    /// Rows have been public here that the directory knows nothing of: it is an older copy than the checkpoints.
    fn behind(
        &self,
        history: History,
        marker: Epoch,
        confirmed: Epoch,
        prepared: &[Prepared],
        lost: &[(&Prepared, &StagedFile)],
    ) -> Error {
        let (public, directory) = (history.public_rows, absolute(&self.directory));
        let restored = history.restored.unwrap_or(Epoch::ZERO);
        Error::world(format!(
            "when checkpoint {restored} was made, rows up to checkpoint {confirmed} of this job were public, {public} in \
             all, and '{}' holds those up to checkpoint {marker} only: the output is older than the checkpoints, and rows \
             are missing{}{}",
            directory.display(),
            further(lost),
            self.elsewhere(prepared)
        ))
        .with_id("BL-SINK-BEHIND")
        .with_help(format!(
            "put back the directory as it was after checkpoint {confirmed}, hidden files included, or start over with \
             --fresh, which reads all input again"
        ))
        .with_help(format!(
            "or go on without the rows in between: touch '{}'",
            directory.join(names::marker(&self.lineage, &self.sink, restored)).display()
        ))
    }

    fn lost_rows(&self, prepared: &[Prepared], lost: &[(&Prepared, &StagedFile)]) -> Error {
        let directory = absolute(&self.directory);
        let rows: u64 = lost.iter().map(|(_, file)| file.rows).sum();
        let newest = lost.iter().map(|(of, _)| of.epoch).max().unwrap_or(Epoch::ZERO);
        let names: Vec<_> = lost.iter().take(LISTED).map(|(_, file)| format!("'{}'", file.pending)).collect();
        let others = match lost.len().saturating_sub(LISTED) {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let error = Error::world(format!(
            "{rows} rows that checkpoint {newest} holds prepared are neither pending nor public in '{}': {}{others} went \
             missing{}",
            directory.display(),
            names.join(", "),
            self.elsewhere(prepared)
        ))
        .with_id("BL-SINK-LOST")
        .with_help("put the files back, or start over with --fresh, which reads all input again");
        match self.leaves_marker {
            false => error,
            true => error.with_help(format!(
                "if the rows have been public and somebody has taken them away since, say so: touch '{}'",
                directory.join(names::marker(&self.lineage, &self.sink, newest)).display()
            )),
        }
    }

    /// Says so if rows were prepared for another directory than this one.
    fn elsewhere(&self, prepared: &[Prepared]) -> String {
        let here = absolute(&self.directory);
        let there = prepared.iter().map(|prepared| &prepared.staged.directory).find(|directory| **directory != here);
        match there {
            Some(there) => format!("; the job wrote to '{}' before, and 'path' leads elsewhere now", there.display()),
            None => String::new(),
        }
    }
}

/// What a refusal adds when rows that were prepared are missing, too.
fn further(lost: &[(&Prepared, &StagedFile)]) -> String {
    match lost.iter().map(|(_, file)| file.rows).sum::<u64>() {
        0 => String::new(),
        rows => format!("; {rows} further rows that were prepared are missing as well"),
    }
}

/// All files with the committable that each belongs to.
fn files_of(prepared: &[Prepared]) -> impl Iterator<Item = (&Prepared, &StagedFile)> {
    prepared.iter().flat_map(|prepared| prepared.staged.files.iter().map(move |file| (prepared, file)))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
