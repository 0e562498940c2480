//! Files as the engine sees them: durable, exclusive, listed. Checkpoints and file sinks write through these
//! traits alone, so that a simulated store can lose whatever was not synced.
//!
//! [`Store`] is what every store has, an object store too; [`LocalStore`] is what only a file system has besides.
//! [`Stores`] knows which of them a location means.
//!
//! Calls block. The runtime makes them on threads for blocking work, the simulator in line.

mod durable;
mod fake;
mod local;
mod memory;
mod stores;
#[cfg(test)]
mod suite;

pub use durable::is_temporary;
pub use fake::{FakeStore, Fault};
pub use local::LocalFiles;
pub use memory::MemoryFiles;
pub use stores::{Stores, plain_location};

use std::fmt::Debug;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use crate::error::Result;

/// What a file looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// The path, below the directory that was listed as it was given.
    pub path: PathBuf,
    /// Length in bytes.
    pub length: u64,
    /// Last modification, nanoseconds since 1970; 0 where the store does not say.
    pub modified_ns: i64,
    /// What it is.
    pub kind: FileKind,
    /// Tells it from every other file and directory of the store, whatever its name: device and number.
    pub identity: (u64, u64),
}

impl FileInfo {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

/// What stands under a name; a link is what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file: its length says how much there is to read.
    File,
    /// A directory.
    Directory,
    /// A pipe, a socket, a terminal or another device.
    Other,
    /// A link that leads nowhere, or to where this process may not look.
    Unreachable,
}

/// A file that is open for reading: the same file to the end, whatever becomes of its name.
pub trait ReadFile: Debug + Send + Sync {
    /// What it looks like now.
    fn info(&self) -> Result<FileInfo>;
    /// At most `length` bytes from `offset`; fewer only at the end of the file.
    fn read(&self, offset: u64, length: usize) -> Result<Bytes>;
}

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone: what a job remembers of its rows.
    Owner,
    /// Whoever the user's umask lets: what the user has asked for.
    Everyone,
}

/// The answer to a write that must not overwrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The name was free; the content is durable under it.
    Created,
    /// The name was taken; nothing was changed.
    Exists,
}

/// A new file that nobody sees as complete yet.
pub trait NewFile: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// Makes content and name durable: fsync of the file, then of its directory. An error is final; the file is gone.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A held lock; dropping it, or the end of the process however sudden, frees it.
pub trait Lock: Send + Sync + Debug {}

/// The answer to who asks for a lock.
#[derive(Debug)]
pub enum Locked {
    /// It is the caller's until it is dropped.
    Ours(Box<dyn Lock>),
    /// Somebody else holds it.
    Taken,
    /// Nobody can hold one here: the file system knows no locks, as some that are mounted over a network.
    Unsupported,
}

/// A place for files, with what any store can do. All paths are as the caller gave them (of the local files, relative
/// ones are relative to the working directory).
pub trait Store: Debug + Send + Sync {
    /// The entries of a directory in the order of their names; empty when the directory does not exist. Among them
    /// may be leftovers of a write that a crash cut short: [`is_temporary`] knows them.
    fn list(&self, directory: &Path) -> Result<Vec<FileInfo>>;
    /// What stands at `path`, if anything.
    fn info(&self, path: &Path) -> Result<Option<FileInfo>>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> Result<Box<dyn ReadFile>>;
    /// The whole file.
    fn read_all(&self, path: &Path) -> Result<Bytes>;
    /// Starts a file that must not exist yet, not even as a leftover; directories are made durable.
    fn create(&self, path: &Path, access: Access) -> Result<Box<dyn NewFile>>;
    /// Writes a whole file durably unless the name is taken: at no moment is part of it visible under the name. Its
    /// owner alone can read it.
    fn put_if_absent(&self, path: &Path, content: &[u8]) -> Result<Put>;
    /// Removes a file or an empty directory; an absent one is no error. Not durable by itself: after a power loss
    /// the name may be back, so that callers must be able to remove it again.
    fn remove(&self, path: &Path) -> Result<()>;
}

/// What a file system can do besides: names move, directories last, processes keep each other out.
pub trait LocalStore: Store {
    /// Moves a durable file to a name that must be free, atomically and durably.
    /// `Exists` when `to` is taken (nothing changes). An absent `from` is an error with blame World.
    /// Whatever the answer, what stands under both names by then is durable; a power loss during the call may leave
    /// the one file under both names.
    fn rename_if_absent(&self, from: &Path, to: &Path) -> Result<Put>;
    /// Makes a directory unless it is there, and makes it durable with those above it: an earlier process may have made
    /// them, and have been killed before it came to that. To be called once a start by whoever goes on writing there.
    fn settle(&self, directory: &Path) -> Result<()>;
    /// Where a file or directory is: its path, absolute and without links.
    fn canonical(&self, path: &Path) -> Result<PathBuf>;
    /// Takes the lock file at `path`, if nobody else holds it.
    fn lock(&self, path: &Path) -> Result<Locked>;
}

/// The path without `.`, so that one file has one name: for stores that know no links.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// The path from the root on, links and all. It is for people and for comparison: files are reached by the path as it was
/// given.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
