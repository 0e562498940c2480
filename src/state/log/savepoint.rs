//! A savepoint in a directory of its own: one checkpoint with copies of its files, which no job ever changes or removes.
//!
//! ```text
//! <target>/savepoint-<job>-<lineage>-<epoch>/data/…           the files, under the names that the checkpoint gives them
//!                                            manifest.json    the entry of the log; last, so that it says that all is there
//! ```
//!
//! A job begins from it, or from a checkpoint where it lies among those of its job, by copying the files under names of
//! its own. So nothing depends on what was begun from. A savepoint may be given to the job that begins from it: a note in it
//! says so before its files are copied, and it goes once the job has a checkpoint of its own. All calls block.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::job_log::{JobDirectory, entry_number, read_entry, write_entry};
use super::{LogEntry, Manifest};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::state::files::{FileName, Writer, corrupt, digest_text, path_name};
use crate::storage::{Access, Put, Store, is_temporary};
use crate::stream::{FileState, Generation};

/// The file that says that a savepoint is complete.
const MANIFEST: &str = "manifest.json";

/// The file that says whose it is.
const CLAIMED: &str = "claimed.json";

/// How many bytes are copied at a time.
const PIECE: usize = 1 << 20;

/// A checkpoint that a job can begin from, and where its files are.
#[derive(Debug, Clone)]
pub struct SavedCheckpoint {
    /// As it was written.
    pub manifest: Manifest,
    /// Where the paths of its files begin.
    pub directory: JobDirectory,
}

/// The job that a savepoint belongs to.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    job: String,
    lineage: String,
}

/// Whose a savepoint is, if it is anybody's.
fn owner(store: &dyn Store, directory: &Path) -> Result<Option<Owner>> {
    let path = directory.join(CLAIMED);
    if store.info(&path)?.is_none() {
        return Ok(None);
    }
    let read = serde_json::from_slice(&store.read_all(&path)?);
    read.map(Some).map_err(|error| corrupt(format!("{}: {error}", path.display())))
}

/// The directory of the savepoint that is made of this checkpoint.
pub fn savepoint_directory(target: &Path, manifest: &Manifest) -> PathBuf {
    let lineage = manifest.lineage.get(..8).unwrap_or(&manifest.lineage);
    target.join(format!("savepoint-{}-{lineage}-{}", path_name(&manifest.job), manifest.epoch))
}

impl SavedCheckpoint {
    /// Copies it into the directory `to`, and makes it complete there. The checkpoint must be held meanwhile.
    pub fn write(&self, store: &dyn Store, to: &Path) -> Result<()> {
        for file in self.manifest.state_files() {
            copy(&self.directory, file, store, &to.join(&file.path))?;
            failpoint::hit("savepoint.copied");
        }
        // It is nobody's to remove, and has nothing to publish: that is left to the job that it was taken of.
        let manifest = Manifest { pinned: false, pending: Vec::new(), ..self.manifest.clone() };
        let (text, _) = write_entry(&LogEntry::Checkpoint(Box::new(manifest)))?;
        match store.put_if_absent(&to.join(MANIFEST), text.as_bytes())? {
            Put::Created => Ok(()),
            Put::Exists => Err(Error::world(format!("{} is a savepoint already", to.display()))),
        }
    }

    /// Finds it at a path: the directory of a savepoint, the directory of a job, whose newest checkpoint it is then, or the
    /// entry of a job's log.
    pub fn find(store: &Arc<dyn Store>, path: &Path) -> Result<Self> {
        let nothing = |what: String| {
            Error::world(what).with_id("BL-STATE-NO-SAVEPOINT").with_help(
                "'execution.state-recovery.path' names the directory of a savepoint, that of a job below \
                 'execution.checkpointing.dir', or an entry of its log",
            )
        };
        let is_file = |path: &Path| store.info(path).map(|info| info.is_some_and(|info| !info.is_directory()));
        if is_file(path)? {
            let of_savepoint = path.file_name().is_some_and(|name| name == MANIFEST);
            let directory = if of_savepoint { path.parent() } else { path.parent().and_then(Path::parent) };
            let directory = directory.map(Path::to_owned).unwrap_or_default();
            return match Self::read(store, path, directory)? {
                Some(saved) => Ok(saved),
                None => Err(nothing(format!("{} is no checkpoint", path.display()))),
            };
        }
        if is_file(&path.join(MANIFEST))? {
            let saved = Self::read(store, &path.join(MANIFEST), path.to_owned())?;
            return saved.ok_or_else(|| corrupt(format!("{} holds no checkpoint", path.join(MANIFEST).display())));
        }
        for entry in store.list(&path.join("log"))?.iter().rev() {
            let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if entry_number(name, ".json").is_some()
                && let Some(saved) = Self::read(store, &entry.path, path.to_owned())?
            {
                return Ok(saved);
            }
        }
        Err(nothing(format!("there is no complete savepoint and no checkpoint at {}", path.display())))
    }

    /// Reads a checkpoint's text; `None` if it is another entry.
    fn read(store: &Arc<dyn Store>, path: &Path, directory: PathBuf) -> Result<Option<Self>> {
        let stored = read_entry(&store.read_all(path)?).map_err(|error| error.context(path.display()))?;
        let LogEntry::Checkpoint(manifest) = stored.entry else { return Ok(None) };
        let directory = JobDirectory { store: Arc::clone(store), path: directory };
        Ok(Some(Self { manifest: *manifest, directory }))
    }

    /// Whether a job may begin from it that has had these lineages; with `claims`, take it over. What belongs to another job goes
    /// with the first checkpoint of that one; and checkpoints among those of their job are that job's.
    pub fn check_owner(&self, lineages: &[String], claims: bool) -> Result<()> {
        let directory = &self.directory.path;
        if claims && self.directory.store.info(&directory.join(MANIFEST))?.is_none() {
            return Err(Error::query(format!(
                "{} holds the checkpoints of job '{}', to which they belong: only a savepoint can be claimed",
                directory.display(),
                self.manifest.job
            ))
            .with_help("SET 'execution.state-recovery.claim-mode' = 'NO_CLAIM', which copies the state"));
        }
        match owner(self.directory.store.as_ref(), directory)? {
            Some(owner) if !lineages.contains(&owner.lineage) => Err(Error::world(format!(
                "the savepoint {} belongs to job '{}', which has claimed it and removes it behind its first checkpoint",
                directory.display(),
                owner.job
            ))
            .with_id("BL-STATE-CLAIMED")
            .with_help("begin from another savepoint, or from the checkpoints of that job")),
            _ => Ok(()),
        }
    }

    /// Notes that it belongs to this job, which has written its claim; fails where another job was first.
    pub fn claim(&self, job: &str, lineage: &str) -> Result<()> {
        let owner = Owner { job: job.to_owned(), lineage: lineage.to_owned() };
        let text =
            serde_json::to_string(&owner).map_err(|error| Error::bug(format!("the note of a claim: {error}")))?;
        let path = self.directory.path.join(CLAIMED);
        match self.directory.store.put_if_absent(&path, text.as_bytes())? {
            Put::Created => Ok(()),
            Put::Exists => self.check_owner(&[owner.lineage], true),
        }
    }

    /// Removes a savepoint that belongs to a job of one of these lineages: its files, then what names them, then the note
    /// whose it is, so that a removal that was cut short goes on with the next. Anything else is left alone.
    pub fn remove_claimed(store: &dyn Store, path: &Path, lineages: &[String]) -> Result<()> {
        let directory = match path.file_name() {
            Some(name) if name == MANIFEST => path.parent().unwrap_or(path),
            _ => path,
        };
        if owner(store, directory)?.is_none_or(|owner| !lineages.contains(&owner.lineage)) {
            return Ok(());
        }
        let manifest = directory.join(MANIFEST);
        if store.info(&manifest)?.is_some()
            && let LogEntry::Checkpoint(saved) = read_entry(&store.read_all(&manifest)?)?.entry
        {
            for file in saved.state_files() {
                store.remove(&directory.join(&file.path))?;
                failpoint::hit("savepoint.removed");
            }
            let folders: BTreeSet<PathBuf> =
                saved.state_files().filter_map(|file| Some(directory.join(&file.path).parent()?.to_owned())).collect();
            for folder in folders.iter().chain([&directory.join("data")]) {
                // Whatever else stands there is not ours, and stays.
                let _ = store.remove(folder);
            }
            store.remove(&manifest)?;
        }
        store.remove(&directory.join(CLAIMED))?;
        for half in store.list(directory)?.iter().filter(|file| is_temporary(&file.path)) {
            store.remove(&half.path)?;
        }
        let _ = store.remove(directory);
        Ok(())
    }

    /// Copies its files into the directory of the job that begins from it, and says what that job's first checkpoint
    /// inherits: the same state, under the names of the copies. Copies of an earlier attempt are left to collection.
    pub fn adopt(&self, into: &JobDirectory, generation: Generation) -> Result<Manifest> {
        let mut manifest = self.manifest.clone();
        let mut number = 0;
        for (operator, state) in &mut manifest.operators {
            for table in &mut state.tables {
                for file in &mut table.files {
                    let writer = Writer::Savepoint { number };
                    let (operator, table) = (operator.as_str(), table.name.as_str());
                    let name = FileName { epoch: self.manifest.epoch, generation, operator, table, writer };
                    let path = name.path();
                    copy(&self.directory, file, into.store.as_ref(), &into.path.join(&path))?;
                    failpoint::hit("savepoint.adopted");
                    file.path = path;
                    number += 1;
                }
            }
        }
        Ok(manifest)
    }
}

/// Copies one file, and checks that it is the one that is meant.
fn copy(from: &JobDirectory, file: &FileState, store: &dyn Store, to: &Path) -> Result<()> {
    let path = from.path.join(&file.path);
    let source = from.store.open(&path)?;
    let mut target = store.create(to, Access::Owner)?;
    let (mut digest, mut length) = (Sha256::new(), 0_u64);
    loop {
        let piece = source.read(length, PIECE)?;
        if piece.is_empty() {
            break;
        }
        digest.update(&piece);
        length += piece.len() as u64;
        target.write(&piece)?;
    }
    let found = digest_text(&digest.finalize());
    if (length, found.as_str()) != (file.length, file.digest.as_str()) {
        return Err(corrupt(format!(
            "{}: expected {} bytes with SHA-256 {}, found {length} with {found}",
            path.display(),
            file.length,
            file.digest
        )));
    }
    target.finish()
}
