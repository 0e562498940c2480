//! The durable writer: which calls to the operating system, in which order, make a file safe.
//!
//! It is written once, over the few calls of [`Files`]. The real file system and the fake one both run it, so that
//! a fake power loss at any call tests the very order that real files rely on. Every [`Files`] is a [`LocalStore`].

use std::fmt::Debug;
use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::{Access, FileInfo, LocalStore, Locked, NewFile, Put, ReadFile, Store};
use crate::error::{Error, Result};

/// What the durable writer needs of an operating system. Nothing is durable but what is synced.
pub trait Files: Clone + Debug + Send + Sync + 'static {
    /// An open new file.
    type Handle: Send;
    /// A file that is open for reading.
    type Reader: Debug + Send + Sync;

    /// Entries in the order of their names; `NotFound` where the directory is absent.
    fn entries(&self, directory: &Path) -> IoResult<Vec<FileInfo>>;
    /// What stands there.
    fn stat(&self, path: &Path) -> IoResult<Option<FileInfo>>;
    /// Opens a file for reading.
    fn open_reader(&self, path: &Path) -> IoResult<Self::Reader>;
    /// What an open file looks like now; `path` is the name that it was opened under.
    fn stat_reader(&self, file: &Self::Reader, path: &Path) -> IoResult<FileInfo>;
    /// At most `length` bytes from `offset`; fewer only at the end.
    fn read_at(&self, file: &Self::Reader, offset: u64, length: usize) -> IoResult<Bytes>;
    /// Opens a new file; `AlreadyExists` if the name is taken.
    fn open_new(&self, path: &Path, access: Access) -> IoResult<Self::Handle>;
    /// Appends.
    fn append(&self, file: &mut Self::Handle, bytes: &[u8]) -> IoResult<()>;
    /// Makes the content durable, though not the name.
    fn sync(&self, file: &Self::Handle) -> IoResult<()>;
    /// Renames unless `to` is taken (`AlreadyExists`).
    fn rename_no_replace(&self, from: &Path, to: &Path) -> IoResult<()>;
    /// Makes one directory in an existing one.
    fn make_directory(&self, path: &Path) -> IoResult<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> IoResult<()>;
    /// Removes a file or an empty directory.
    fn unlink(&self, path: &Path) -> IoResult<()>;
    /// The absolute path without links.
    fn real_path(&self, path: &Path) -> IoResult<PathBuf>;
    /// Takes the lock if it is free.
    fn try_lock(&self, path: &Path) -> IoResult<Locked>;
}

/// Whether `path` names a file that a durable write was still working on: hidden, ending in `.tmp`. After a crash
/// such files mean nothing and may be removed by whoever owns the directory.
pub fn is_temporary(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with('.') && name.ends_with(".tmp"))
}

impl<F: Files> Store for F {
    fn list(&self, directory: &Path) -> Result<Vec<FileInfo>> {
        match self.entries(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries.map_err(|error| failed("list", directory, &error)),
        }
    }

    fn info(&self, path: &Path) -> Result<Option<FileInfo>> {
        self.stat(path).map_err(|error| failed("look at", path, &error))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn ReadFile>> {
        let file = self.open_reader(path).map_err(|error| failed("open", path, &error))?;
        Ok(Box::new(OpenFile { files: self.clone(), path: path.to_owned(), file }))
    }

    fn read_all(&self, path: &Path) -> Result<Bytes> {
        self.open(path)?.read(0, usize::MAX)
    }

    fn create(&self, path: &Path, access: Access) -> Result<Box<dyn NewFile>> {
        make_directories(self, parent(path))?;
        let handle = self.open_new(path, access).map_err(|error| failed("create", path, &error))?;
        Ok(Box::new(DurableFile { files: self.clone(), path: path.to_owned(), handle, broken: false }))
    }

    fn put_if_absent(&self, path: &Path, content: &[u8]) -> Result<Put> {
        make_directories(self, parent(path))?;
        let (temporary, mut handle) = open_temporary(self, path)?;
        let written = self.append(&mut handle, content).and_then(|()| self.sync(&handle));
        drop(handle);
        let published = written.and_then(|()| publish(self, &temporary, path));
        let put = published.map_err(|error| {
            // What is left is harmless; that it could not be removed would only hide the first error.
            let _ = self.unlink(&temporary);
            failed("write", path, &error)
        })?;
        if put == Put::Exists {
            self.unlink(&temporary).map_err(|error| failed("remove", &temporary, &error))?;
        }
        // Also where the name was taken: its writer may have died before it came to this, and the caller is going
        // to rely on what stands there.
        sync_names(self, parent(path))?;
        Ok(put)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match self.unlink(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| failed("remove", path, &error)),
        }
    }
}

impl<F: Files> LocalStore for F {
    fn rename_if_absent(&self, from: &Path, to: &Path) -> Result<Put> {
        make_directories(self, parent(to))?;
        let renamed = publish(self, from, to);
        // The new name first: the other way round, a power loss in between could leave neither.
        sync_names(self, parent(to))?;
        if parent(from) != parent(to) && self.info(parent(from))?.is_some() {
            sync_names(self, parent(from))?;
        }
        renamed.map_err(|error| Error::io(format_args!("rename {} to {}", from.display(), to.display()), &error))
    }

    fn settle(&self, directory: &Path) -> Result<()> {
        make_directories(self, directory)?;
        for ancestor in directory.ancestors() {
            match self.sync_directory(ancestor) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => break,
                synced => synced.map_err(|error| failed("sync directory", ancestor, &error))?,
            }
        }
        Ok(())
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        self.real_path(path).map_err(|error| failed("look for", path, &error))
    }

    fn lock(&self, path: &Path) -> Result<Locked> {
        // Whoever takes a lock is about to build on these directories.
        self.settle(parent(path))?;
        self.try_lock(path).map_err(|error| failed("lock", path, &error))
    }
}

#[derive(Debug)]
struct OpenFile<F: Files> {
    files: F,
    path: PathBuf,
    file: F::Reader,
}

impl<F: Files> ReadFile for OpenFile<F> {
    fn info(&self) -> Result<FileInfo> {
        self.files.stat_reader(&self.file, &self.path).map_err(|error| failed("look at", &self.path, &error))
    }

    fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.files.read_at(&self.file, offset, length).map_err(|error| failed("read", &self.path, &error))
    }
}

/// A file that is being written under its own name, which nobody has been told yet.
struct DurableFile<F: Files> {
    files: F,
    path: PathBuf,
    handle: F::Handle,
    broken: bool,
}

impl<F: Files> NewFile for DurableFile<F> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.broken {
            return Err(Error::world(format!("write {}: an earlier write to it failed", self.path.display())));
        }
        self.files.append(&mut self.handle, bytes).map_err(|error| {
            self.broken = true;
            failed("write", &self.path, &error)
        })
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { files, path, handle, broken } = *self;
        let synced = match broken {
            true => Err(IoError::other("an earlier write to it failed")),
            false => files.sync(&handle),
        };
        drop(handle);
        if let Err(error) = synced {
            // A second fsync may report success for pages that were dropped: the file is worth nothing.
            let _ = files.unlink(&path);
            return Err(failed("sync", &path, &error));
        }
        sync_names(&files, parent(&path))
    }
}

/// A new file beside `path`, under a name that no other writer has.
fn open_temporary<F: Files>(files: &F, path: &Path) -> Result<(PathBuf, F::Handle)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()));
        match files.open_new(&temporary, Access::Owner) {
            // Left by an earlier process of the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (temporary, file)).map_err(|error| failed("create", path, &error)),
        }
    }
}

fn publish<F: Files>(files: &F, from: &Path, to: &Path) -> IoResult<Put> {
    match files.rename_no_replace(from, to) {
        Ok(()) => Ok(Put::Created),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Exists),
        Err(error) => Err(error),
    }
}

/// Makes `directory` and what is missing above it, durably.
fn make_directories<F: Files>(files: &F, directory: &Path) -> Result<()> {
    if directory.as_os_str().is_empty() || files.info(directory)?.is_some() {
        return Ok(());
    }
    make_directories(files, parent(directory))?;
    match files.make_directory(directory) {
        // Somebody else was faster; it may not have come to the sync, so that we go on with ours.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made.map_err(|error| failed("make directory", directory, &error))?,
    }
    sync_names(files, parent(directory))?;
    // One level more: the parent may stem from a process that was killed before it could sync its name.
    match parent(directory).as_os_str().is_empty() {
        true => Ok(()),
        false => sync_names(files, parent(parent(directory))),
    }
}

fn sync_names<F: Files>(files: &F, directory: &Path) -> Result<()> {
    files.sync_directory(directory).map_err(|error| failed("sync directory", directory, &error))
}

/// The directory of `path`: empty for the working directory, and the root for the root.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn failed(what: &str, path: &Path, error: &IoError) -> Error {
    Error::io(format_args!("{what} {}", path.display()), error)
}
