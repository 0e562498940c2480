//! The job's log: numbered entries, each written once, that decide who runs the job and which checkpoints exist.
//!
//! ```text
//! <dir>/<job>/log/0000000001.json     claim         who runs the job from here on; never deleted
//!                 0000000002.json     checkpoint    its presence is completion
//!                 0000000002.latest   digest of that entry, so that its loss is noticed
//!                 lock                held by the running process
//! ```
//!
//! The next entry is put under the next number unless that is taken. An older process that still runs therefore
//! loses its next write to the newer claim, reads it, and stops: there is no gap between a check and the deed.
//! Somebody may remove the directory under a running process, and another start begin a log in its place. So each write
//! first looks whether the claim of this process still stands. All calls block.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::{Claim, FORMAT_VERSION, Holds, LogEntry, Manifest};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::state::files::epoch_directory;
use crate::state::files::{corrupt, digest, path_name};
use crate::storage::{LocalStore, Lock, Locked, Put, Store, is_temporary};
use crate::stream::{Epoch, Generation};

/// The log of one job, locked for this process.
#[derive(Debug)]
pub struct JobLog {
    pub(super) store: Arc<dyn Store>,
    pub(super) directory: PathBuf,
    job: String,
    /// All entries there are by number; between them are gaps where old checkpoints were removed.
    pub(super) entries: BTreeMap<u64, Stored>,
    /// Below what this start may write: numbers and generations of entries that could not be read.
    pub(super) floor: (u64, Generation),
    /// Set once this process has claimed the job.
    pub(super) owner: Option<Owner>,
    pub(super) holds: Holds,
    _lock: Box<dyn Lock>,
}

/// Where the files of a job's state are.
#[derive(Debug, Clone)]
pub struct JobDirectory {
    pub store: Arc<dyn Store>,
    /// The paths of state files are relative to it.
    pub path: PathBuf,
}

/// An entry and the digest of its text.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) entry: LogEntry,
    pub(super) digest: String,
}

/// The claim of this process.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    number: u64,
    digest: String,
    pub(super) generation: Generation,
    lineage: String,
}

impl JobLog {
    /// Locks the log of `job` below `directory` and reads it. Refuses when another process holds it, and when an
    /// entry is damaged or missing.
    pub fn open(store: Arc<dyn LocalStore>, directory: &Path, job: &str) -> Result<Self> {
        let mut log = Self::locked(store, directory, job)?;
        log.read_all()?;
        failpoint::hit("restore.manifest.read");
        Ok(log)
    }

    /// The log before it is read.
    pub(super) fn locked(store: Arc<dyn LocalStore>, directory: &Path, job: &str) -> Result<Self> {
        let directory = directory.join(path_name(job));
        let lock = match store.lock(&directory.join("log/lock"))? {
            Locked::Ours(lock) => lock,
            Locked::Taken => {
                return Err(Error::world(format!(
                    "job '{job}' is running in another process: {} is locked",
                    directory.display()
                ))
                .with_id("BL-JOB-LOCKED")
                .with_help("stop that process first, or give this query another 'pipeline.name'"));
            }
            Locked::Unsupported => {
                return Err(Error::world(format!(
                    "the file system of {} has no locks: nothing keeps two processes from running job '{job}' at once",
                    directory.display()
                ))
                .with_id("BL-JOB-NO-LOCKS")
                .with_help("SET 'execution.checkpointing.dir' to a directory of another file system"));
            }
        };
        let (job, floor) = (job.to_owned(), (0, Generation(0)));
        Ok(Self {
            store,
            directory,
            job,
            entries: BTreeMap::new(),
            floor,
            owner: None,
            holds: Holds::default(),
            _lock: lock,
        })
    }

    /// The job's directory, to which the paths of state files are relative.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the log and the files of state are.
    pub fn job_directory(&self) -> JobDirectory {
        JobDirectory { store: Arc::clone(&self.store), path: self.directory.clone() }
    }

    /// What collection leaves alone.
    pub fn holds(&self) -> Holds {
        self.holds.clone()
    }

    /// All entries in their order.
    pub fn entries(&self) -> Vec<&LogEntry> {
        self.entries.values().map(|stored| &stored.entry).collect()
    }

    /// Takes the job over. `decide` is shown the entries and the generation that this start would have; it returns
    /// the claim to write, or `None` to leave the job alone. When another start writes first, it is asked again.
    pub fn claim(
        &mut self,
        mut decide: impl FnMut(&[&LogEntry], Generation) -> Result<Option<Claim>>,
    ) -> Result<Option<Claim>> {
        loop {
            let generation = Generation(self.last_generation().0 + 1);
            let Some(claim) = decide(&self.entries(), generation)? else { return Ok(None) };
            if claim.generation != generation {
                return Err(Error::bug(format!("the claim of generation {generation} names {}", claim.generation)));
            }
            let entry = LogEntry::Claim(claim.clone());
            let (text, digest) = write_entry(&entry)?;
            let number = self.next_number();
            let put = self.store.put_if_absent(&self.entry_path(number), text.as_bytes());
            if let Ok(Put::Created) = put {
                let lineage = claim.lineage.clone();
                self.owner = Some(Owner { number, digest: digest.clone(), generation, lineage });
                self.entries.insert(number, Stored { entry, digest });
                failpoint::hit("restore.claimed");
                return Ok(Some(claim));
            }
            // After a lost reply the entry may be ours or that of a rival with the same text: nothing tells them
            // apart. Claiming once more is right either way.
            match (self.read_entry(number)?, put) {
                (Some(stored), _) => self.accept(number, stored)?,
                (None, Err(error)) => return Err(error),
                (None, Ok(_)) => return Err(self.vanished(number)),
            }
        }
    }

    /// `BL-JOB-FENCED` when another start owns the job by now, `BL-STATE-GONE` when nobody does: the log is not there any
    /// more.
    pub fn check_owner(&self) -> Result<()> {
        let owner = self.claimed("an owner was asked for")?;
        self.check_claim(owner)?;
        let mut number = self.next_number();
        while let Some(stored) = self.read_entry(number)? {
            if let Some(rival) = rival(&stored.entry, owner, false) {
                return Err(self.overtaken(number, &rival, owner));
            }
            number += 1;
        }
        Ok(())
    }

    /// For a start that goes on within a process that has claimed the job before: fails as [`check_owner`](Self::check_owner)
    /// does where the log is not that of the same lineage any more.
    pub fn check_lineage(&self, lineage: &str) -> Result<()> {
        match self.last_claim() {
            Some(claim) if claim.lineage == lineage => Ok(()),
            Some(claim) => Err(Error::fenced(format!(
                "job '{}' belongs to another start by now: {} is the log of lineage {}, and this start is of {lineage}",
                self.job,
                self.directory.display(),
                claim.lineage
            ))),
            None => Err(self.gone(&self.directory.join("log"), lineage)),
        }
    }

    /// Writes the next entry durably and returns its digest. `BL-JOB-FENCED` when another start owns the job by now,
    /// `BL-STATE-GONE` when the log is not there any more.
    pub fn append(&mut self, entry: LogEntry) -> Result<String> {
        let owner = self.claimed("an entry was written")?.clone();
        let (text, digest) = write_entry(&entry)?;
        let (before, after) = match entry {
            LogEntry::Checkpoint(_) => ("manifest.before", "manifest.published"),
            _ => ("confirm.before", "confirm.after"),
        };
        failpoint::hit(before);
        self.check_claim(&owner)?;
        loop {
            let number = self.next_number();
            let put = self.store.put_if_absent(&self.entry_path(number), text.as_bytes());
            if let Ok(Put::Created) = put {
                self.entries.insert(number, Stored { entry: with_digest(entry, &digest), digest: digest.clone() });
                failpoint::hit(after);
                return Ok(digest);
            }
            let stored = match (self.read_entry(number)?, put) {
                (Some(stored), _) => stored,
                (None, Err(error)) => return Err(error),
                (None, Ok(_)) => return Err(self.vanished(number)),
            };
            let found = stored.digest.clone();
            if let Some(rival) = rival(&stored.entry, &owner, found == digest) {
                return Err(self.overtaken(number, &rival, &owner));
            }
            // Ours: the reply was lost, now or at an earlier attempt.
            self.accept(number, stored)?;
            if found == digest {
                failpoint::hit(after);
                return Ok(digest);
            }
        }
    }

    /// The claim of this process; `what` was done without one.
    pub(super) fn claimed(&self, what: &str) -> Result<&Owner> {
        self.owner.as_ref().ok_or_else(|| Error::bug(format!("{what} without a claim")))
    }

    /// Who has claimed the job last.
    pub(super) fn last_claim(&self) -> Option<&Claim> {
        self.entries.values().rev().find_map(|stored| stored.entry.claim())
    }

    /// Whether the claim still stands. It is never removed, so that otherwise the whole log was.
    pub(super) fn check_claim(&self, owner: &Owner) -> Result<()> {
        match self.read_entry(owner.number)? {
            Some(stored) if stored.digest == owner.digest => Ok(()),
            Some(stored) => {
                let found = rival(&stored.entry, owner, false).unwrap_or_else(|| "another entry".to_owned());
                Err(self.overtaken(owner.number, &found, owner))
            }
            None => Err(self.gone(&self.entry_path(owner.number), &owner.lineage)),
        }
    }

    fn overtaken(&self, number: u64, rival: &str, owner: &Owner) -> Error {
        Error::fenced(format!(
            "job '{}' belongs to another start by now: {} is {rival}, and this start is generation {} of lineage {}",
            self.job,
            self.entry_path(number).display(),
            owner.generation,
            owner.lineage
        ))
    }

    fn gone(&self, path: &Path, lineage: &str) -> Error {
        Error::world(format!(
            "the checkpoints of job '{}' were removed while it ran, and there is nothing to go on from: {} is not there \
             any more",
            self.job,
            path.display()
        ))
        .with_id("BL-STATE-GONE")
        .with_help(format!("if {} was only moved, put it back before the next start", self.directory.display()))
        .with_help(format!(
            "otherwise the next start reads all input again. Rows that are public already come twice then, unless you \
             remove them: files named part-{lineage}-… in the directories of its tables"
        ))
    }

    pub(super) fn read_all(&mut self) -> Result<()> {
        let mut latest = None;
        for file in self.store.list(&self.directory.join("log"))? {
            if is_temporary(&file.path) {
                self.store.remove(&file.path)?;
            }
            let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(number) = entry_number(name, ".json") {
                let stored = self.read_entry(number)?.ok_or_else(|| self.vanished(number))?;
                self.entries.insert(number, stored);
            } else if let Some(number) = entry_number(name, ".latest") {
                // The list is in order, so that the last one is the highest.
                latest = Some(number);
            }
        }
        self.check_latest(latest)?;
        if self.entries.is_empty() {
            // What a process leaves whose log was removed while it ran: no file may come to bear the same name.
            self.floor.1 = self.newest_of_files()?;
        }
        self.check_order()
    }

    /// The latest generation that has left files of state.
    pub(super) fn newest_of_files(&self) -> Result<Generation> {
        let directories = self.store.list(&self.directory.join("data"))?;
        let generations = directories.iter().filter_map(|directory| epoch_directory(&directory.path));
        Ok(generations.map(|(_, generation)| generation).max().unwrap_or(Generation(0)))
    }

    /// The entry under a number, verified; `None` if there is none.
    fn read_entry(&self, number: u64) -> Result<Option<Stored>> {
        let path = self.entry_path(number);
        match self.store.read_all(&path) {
            Ok(bytes) => read_entry(&bytes).map(Some).map_err(|error| error.context(path.display())),
            Err(_) if matches!(self.store.info(&path), Ok(None)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes an entry up that was found under a number, if it fits those before it.
    fn accept(&mut self, number: u64, stored: Stored) -> Result<()> {
        self.entries.insert(number, stored);
        self.check_order()
    }

    /// The newest entry leaves a note of itself, so that it cannot go unnoticed.
    fn check_latest(&self, latest: Option<u64>) -> Result<()> {
        let Some(number) = latest else { return Ok(()) };
        let expected = self.store.read_all(&self.latest_path(number))?;
        let path = self.entry_path(number);
        match self.entries.get(&number) {
            None => Err(corrupt(format!("{}: expected a log entry, found no file", path.display()))),
            Some(stored) if expected == stored.digest.as_bytes() => Ok(()),
            Some(stored) => Err(corrupt(format!(
                "{}: expected the entry with SHA-256 {}, found {}",
                path.display(),
                String::from_utf8_lossy(&expected),
                stored.digest
            ))),
        }
    }

    /// What must hold between entries; otherwise one is missing, swapped or foreign.
    fn check_order(&self) -> Result<()> {
        let mut claim: Option<&Claim> = None;
        let mut newest: Option<&Manifest> = None;
        for (number, stored) in &self.entries {
            let refuse = |what: String| Err(corrupt(format!("{}: {what}", self.entry_path(*number).display())));
            match &stored.entry {
                LogEntry::Claim(next) => {
                    if next.job != self.job {
                        return Err(Error::world(format!(
                            "{} is the log of job '{}' and not of '{}'",
                            self.directory.display(),
                            next.job,
                            self.job
                        ))
                        .with_id("BL-STATE-FOREIGN")
                        .with_help(
                            "give this query another 'pipeline.name' or another 'execution.checkpointing.dir'",
                        ));
                    }
                    if claim.is_some_and(|claim| claim.generation >= next.generation) {
                        return refuse(format!("expected a later generation, found {}", next.generation));
                    }
                    newest = newest.filter(|manifest| manifest.lineage == next.lineage);
                    claim = Some(next);
                }
                LogEntry::Checkpoint(manifest) => {
                    let is_claimed = |claim: &Claim| {
                        (claim.generation, claim.lineage.as_str()) == (manifest.generation, manifest.lineage.as_str())
                    };
                    if !claim.is_some_and(is_claimed) {
                        return refuse(format!("the claim of generation {} is missing before it", manifest.generation));
                    }
                    if let Some(before) = newest.filter(|before| before.epoch >= manifest.epoch) {
                        return refuse(format!("expected an epoch after {}, found {}", before.epoch, manifest.epoch));
                    }
                    newest = Some(manifest);
                }
                LogEntry::Discarded => newest = None,
                LogEntry::Confirm { epoch } | LogEntry::Finished { epoch } => {
                    if newest.is_none_or(|manifest| manifest.epoch != *epoch) {
                        return refuse(format!("the checkpoint of epoch {epoch} is missing before it"));
                    }
                }
            }
        }
        Ok(())
    }

    fn last_generation(&self) -> Generation {
        let claims = self.entries.values().filter_map(|stored| match &stored.entry {
            LogEntry::Claim(claim) => Some(claim.generation),
            _ => None,
        });
        claims.max().unwrap_or(Generation(0)).max(self.floor.1)
    }

    /// Checkpoints are only removed below a newer entry, so that the last number is never forgotten.
    fn next_number(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(number, _)| *number).max(self.floor.0) + 1
    }

    pub(super) fn entry_path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("log/{number:010}.json"))
    }

    pub(super) fn latest_path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("log/{number:010}.latest"))
    }

    fn vanished(&self, number: u64) -> Error {
        corrupt(format!("{}: expected a log entry, found no file", self.entry_path(number).display()))
    }
}

/// The number in a file's name such as `0000000042.json`.
pub(super) fn entry_number(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    (digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Says who has written an entry that stands where ours should be; `None` if we have. Generations are counted within one
/// log, so that one which was begun in its place has the same.
fn rival(entry: &LogEntry, owner: &Owner, is_same: bool) -> Option<String> {
    match entry {
        LogEntry::Claim(claim) => {
            Some(format!("a claim of generation {} of lineage {}", claim.generation, claim.lineage))
        }
        LogEntry::Checkpoint(manifest)
            if (manifest.generation, &manifest.lineage) == (owner.generation, &owner.lineage) =>
        {
            None
        }
        LogEntry::Checkpoint(manifest) => {
            Some(format!("a checkpoint of generation {} of lineage {}", manifest.generation, manifest.lineage))
        }
        // They name no generation; before those of another start stands its claim, which we would have met first.
        LogEntry::Confirm { .. } | LogEntry::Finished { .. } | LogEntry::Discarded if is_same => None,
        LogEntry::Confirm { epoch } => Some(format!("the confirmation of epoch {epoch}")),
        LogEntry::Finished { epoch } => Some(format!("the end at epoch {epoch}")),
        LogEntry::Discarded => Some("the end of another start's checkpoints".to_owned()),
    }
}

// ------------------------------------------------------------------------------------------------ text

/// What the text of every entry ends with, around the digest.
const DIGEST_START: &str = "\"digest\": \"";
const DIGEST_END: &str = "\"\n}\n";

/// The text of an entry and its digest: SHA-256 of the text with the digest left empty. The digest is the last field,
/// also of entries whose type has none, so that anyone can check a file without knowing what it means.
pub(super) fn write_entry(entry: &LogEntry) -> Result<(String, String)> {
    let entry = with_digest(entry.clone(), "");
    let mut text = serde_json::to_string_pretty(&entry).map_err(|error| Error::bug(format!("log entry: {error}")))?;
    text.push('\n');
    let empty = format!("{DIGEST_START}{DIGEST_END}");
    if !text.ends_with(&empty) {
        let end = text.trim_end().len() - 2;
        text.truncate(end);
        text.push_str(",\n  ");
        text.push_str(&empty);
    }
    let digest = digest(text.as_bytes());
    text.insert_str(text.len() - DIGEST_END.len(), &digest);
    Ok((text, digest))
}

/// Reads the text of an entry, verified to the last byte.
pub(super) fn read_entry(bytes: &[u8]) -> Result<Stored> {
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt("expected JSON, found bytes that are no text"))?;
    let truncated = || corrupt("expected JSON that ends in its digest, found a text without one");
    let (content, found) =
        text.strip_suffix(DIGEST_END).and_then(|text| text.rsplit_once(DIGEST_START)).ok_or_else(truncated)?;
    let expected = digest(format!("{content}{DIGEST_START}{DIGEST_END}").as_bytes());
    if found != expected {
        return Err(corrupt(format!("expected SHA-256 {found}, found {expected}")));
    }
    // The content is what was written; what cannot be read now was written by another version.
    #[derive(Deserialize)]
    struct Version {
        format: Option<u32>,
    }
    let newer = |what: String| {
        Error::world(what)
            .with_id("BL-STATE-VERSION")
            .with_help("run the version of Beadline that wrote it, or a newer one")
    };
    match serde_json::from_str(text) {
        Ok(Version { format: Some(format) }) if format > FORMAT_VERSION => {
            return Err(newer(format!("it has format {format}, and this version reads up to {FORMAT_VERSION}")));
        }
        _ => {}
    }
    let entry = serde_json::from_str(text).map_err(|error| newer(format!("an entry of another version: {error}")))?;
    Ok(Stored { entry, digest: expected })
}

/// A checkpoint that knows its digest, as the text has it; other entries have none of their own.
fn with_digest(entry: LogEntry, digest: &str) -> LogEntry {
    match entry {
        LogEntry::Checkpoint(manifest) => {
            LogEntry::Checkpoint(Box::new(Manifest { digest: digest.to_owned(), ..*manifest }))
        }
        other => other,
    }
}

/// The newest checkpoint of a lineage.
pub(super) fn newest_of<'a>(entries: impl Iterator<Item = &'a LogEntry>, lineage: &str) -> Option<(Epoch, Generation)> {
    let of_lineage = entries.filter_map(|entry| match entry {
        LogEntry::Checkpoint(manifest) if manifest.lineage == lineage => Some((manifest.epoch, manifest.generation)),
        _ => None,
    });
    of_lineage.last()
}

#[cfg(test)]
mod tests;
