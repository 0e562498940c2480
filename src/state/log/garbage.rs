//! What of a job's directory is not needed any more, and in which order it goes.
//!
//! Needed is what a retained checkpoint names, and whatever a checkpoint under way may be about to name: files of this
//! start for epochs after the newest checkpoint, and all files of later starts; and whatever is held. Every other state
//! file under `data/` is left over from checkpoints that were given up or are beyond retention. No intent record is
//! needed for this: the epoch and the start are in the name of each file's directory. What bears no name of ours is left
//! alone. What goes is decided under the log's lock; it goes outside of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::job_log::{entry_number, newest_of};
use super::{JobLog, LogEntry};
use crate::error::Result;
use crate::failpoint;
use crate::state::files::{epoch_directory, is_file_name};
use crate::storage::Store;
use crate::stream::Epoch;

/// What a collection removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Checkpoints.
    pub checkpoints: usize,
    /// State files.
    pub files: usize,
}

/// State files that nobody needs, found but not removed.
#[derive(Debug)]
pub struct Garbage {
    store: Arc<dyn Store>,
    files: Vec<PathBuf>,
    /// Directories in which nothing else stands.
    directories: Vec<PathBuf>,
    checkpoints: usize,
}

impl Garbage {
    /// Removes it. What cannot be removed does not hold up the rest, and is found again by the next collection.
    pub fn remove(self) -> Result<Collected> {
        let mut collected = Collected { checkpoints: self.checkpoints, files: 0 };
        let mut failure = None;
        for file in &self.files {
            match self.store.remove(file) {
                Ok(()) => collected.files += 1,
                Err(error) => failure = failure.or(Some(error)),
            }
            failpoint::hit("gc.delete.mid");
        }
        for directory in &self.directories {
            // Another file may have come meanwhile: then it is not empty, and stays.
            let _ = self.store.remove(directory);
        }
        failpoint::hit("gc.done");
        failure.map_or(Ok(collected), Err)
    }
}

impl JobLog {
    /// Gives all checkpoints of the job up but for savepoints, and finds their files: from the entry that says so on, a start
    /// begins anew. Nobody may write files of state any more.
    pub fn discard(&mut self) -> Result<Garbage> {
        self.append(LogEntry::Discarded)?;
        self.find_garbage(0)
    }

    /// Removes checkpoints beyond the newest `retained` of this lineage (at least one stays, and savepoints do), and finds the files that
    /// none of the rest names and nobody holds. Only the owner of the job may do this; if it has lost the job
    /// meanwhile, what it removes is not needed by the new owner either, which started from a checkpoint that this one
    /// has retained.
    pub fn find_garbage(&mut self, retained: usize) -> Result<Garbage> {
        let owner = self.claimed("garbage was collected")?;
        // In a log that was begun in the place of ours, entries and files bear the same names.
        self.check_claim(owner)?;
        let owner = owner.generation;
        self.note_latest()?;
        let (doomed, in_use) = self.sort_checkpoints(retained);
        let newest = self.newest_epoch();
        let is_over = matches!(self.entries.last_key_value(), Some((_, last)) if last.entry == LogEntry::Discarded);
        failpoint::hit("gc.marked");
        let store = Arc::clone(&self.store);
        let mut garbage = Garbage { store, files: Vec::new(), directories: Vec::new(), checkpoints: 0 };
        // A manifest goes before the files that it names: otherwise a crash would leave one without its files.
        for number in doomed {
            self.store.remove(&self.entry_path(number))?;
            let removed = self.entries.remove(&number);
            let is_checkpoint = removed.is_some_and(|stored| matches!(stored.entry, LogEntry::Checkpoint(_)));
            garbage.checkpoints += usize::from(is_checkpoint);
        }
        for directory in self.store.list(&self.directory.join("data"))? {
            let Some((epoch, generation)) = epoch_directory(&directory.path) else { continue };
            let is_under_way = || !is_over && newest.is_none_or(|newest| epoch > newest);
            if generation > owner || (generation == owner && is_under_way()) {
                continue;
            }
            let mut is_empty = true;
            for file in self.store.list(&directory.path)? {
                let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let is_garbage = is_file_name(name) && !file.is_directory() && !in_use.contains(&file.path);
                match is_garbage && !self.is_held(&file.path) {
                    true => garbage.files.push(file.path),
                    false => is_empty = false,
                }
            }
            garbage.directories.extend(is_empty.then_some(directory.path));
        }
        Ok(garbage)
    }

    fn is_held(&self, path: &Path) -> bool {
        let relative = path.strip_prefix(&self.directory).ok().and_then(Path::to_str).unwrap_or_default();
        self.holds.holds(relative)
    }

    /// Writes down which entry is the newest, and with what content, so that its loss does not look like an earlier
    /// state of the log. Notes of older entries go.
    fn note_latest(&self) -> Result<()> {
        let Some((number, stored)) = self.entries.last_key_value() else { return Ok(()) };
        self.store.put_if_absent(&self.latest_path(*number), stored.digest.as_bytes())?;
        for file in self.store.list(&self.directory.join("log"))? {
            let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if entry_number(name, ".latest").is_some_and(|other| other < *number) {
                self.store.remove(&file.path)?;
            }
        }
        Ok(())
    }

    /// Numbers of checkpoints that go, oldest first, each behind the confirmations of it, which mean nothing without
    /// it; and the paths of files that the others name.
    fn sort_checkpoints(&self, retained: usize) -> (Vec<u64>, BTreeSet<PathBuf>) {
        let lineage = self.lineage().unwrap_or_default();
        let mut left = retained.max(1);
        // Whether these are older than an entry that gives all but savepoints up.
        let mut are_discarded = false;
        let mut doomed = Vec::new();
        let mut in_use = BTreeSet::new();
        let mut confirmations = Vec::new();
        for (number, stored) in self.entries.iter().rev() {
            let manifest = match &stored.entry {
                LogEntry::Checkpoint(manifest) => manifest,
                LogEntry::Confirm { .. } | LogEntry::Finished { .. } => {
                    confirmations.push(*number);
                    continue;
                }
                LogEntry::Discarded => {
                    (left, are_discarded) = (0, true);
                    continue;
                }
                LogEntry::Claim(_) => continue,
            };
            let confirmations = std::mem::take(&mut confirmations);
            // Those of a lineage that was given up can never be gone back to.
            let is_given_up = manifest.lineage != lineage && !are_discarded;
            if is_given_up || (left == 0 && !manifest.pinned) {
                doomed.push(*number);
                doomed.extend(confirmations);
                continue;
            }
            left -= usize::from(!manifest.pinned && left > 0);
            let files = manifest.state_files().chain(manifest.pending.iter().flat_map(|prepared| &prepared.files));
            in_use.extend(files.map(|file| self.directory.join(&file.path)));
        }
        doomed.reverse();
        (doomed, in_use)
    }

    fn lineage(&self) -> Option<&str> {
        self.last_claim().map(|claim| claim.lineage.as_str())
    }

    /// The newest checkpoint of this start, if it has made one.
    fn newest_epoch(&self) -> Option<Epoch> {
        let newest = newest_of(self.entries.values().map(|stored| &stored.entry), self.lineage()?)?;
        (newest.1 == self.owner.as_ref()?.generation).then_some(newest.0)
    }
}
