//! Files in the memory of this process: gone with it, and with the last who has them.
//!
//! There are no directories but those that the names of files imply. What is written counts in an account of memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::{Access, FileInfo, FileKind, LocalStore, Lock, Locked, NewFile, Put, ReadFile, Store, normal};
use crate::error::{Error, Result};
use crate::stream::{Grant, MemoryHolder};

/// See the module's description. Clones share the files.
#[derive(Debug, Clone)]
pub struct MemoryFiles {
    place: Arc<Mutex<Place>>,
}

#[derive(Debug)]
struct Place {
    files: BTreeMap<PathBuf, Stored>,
    /// Names of files that are being written.
    begun: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    written: u64,
    memory: Grant,
}

#[derive(Debug, Clone)]
struct Stored {
    bytes: Bytes,
    /// No other file has had it.
    number: u64,
}

impl MemoryFiles {
    /// No files; the bytes of those to come are this holder's.
    pub fn new(memory: &MemoryHolder) -> Self {
        let place = Place {
            files: BTreeMap::new(),
            begun: BTreeSet::new(),
            locks: BTreeSet::new(),
            written: 0,
            memory: memory.nothing(),
        };
        Self { place: Arc::new(Mutex::new(place)) }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // No method leaves it half changed.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self, path: &Path) -> Result<Stored> {
        let found = self.place().files.get(&normal(path)).cloned();
        found.ok_or_else(|| Error::world(format!("{} is not there", path.display())))
    }
}

impl Place {
    fn is_taken(&self, name: &Path) -> bool {
        self.files.contains_key(name) || self.begun.contains(name)
    }

    fn is_directory(&self, name: &Path) -> bool {
        self.files.keys().any(|file| file != name && file.starts_with(name))
    }

    fn insert(&mut self, name: PathBuf, bytes: Bytes) -> Result<()> {
        self.count(self.memory.bytes().saturating_add(bytes.len() as u64))?;
        let number = self.written;
        self.written += 1;
        self.files.insert(name, Stored { bytes, number });
        Ok(())
    }

    fn remove(&mut self, name: &Path) -> Result<Option<Stored>> {
        let Some(stored) = self.files.remove(name) else { return Ok(None) };
        self.count(self.memory.bytes().saturating_sub(stored.bytes.len() as u64))?;
        Ok(Some(stored))
    }

    fn count(&mut self, bytes: u64) -> Result<()> {
        self.memory.resize(usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

impl Store for MemoryFiles {
    fn list(&self, directory: &Path) -> Result<Vec<FileInfo>> {
        let (place, name) = (self.place(), normal(directory));
        let mut entries: BTreeMap<PathBuf, FileInfo> = BTreeMap::new();
        for (file, stored) in &place.files {
            let Ok(below) = file.strip_prefix(&name) else { continue };
            let Some(first) = below.components().next() else { continue };
            let path = directory.join(first);
            let info = if below.components().count() == 1 { info(path.clone(), stored) } else { directory_info(&path) };
            entries.entry(path).or_insert(info);
        }
        Ok(entries.into_values().collect())
    }

    fn info(&self, path: &Path) -> Result<Option<FileInfo>> {
        let (place, name) = (self.place(), normal(path));
        Ok(match place.files.get(&name) {
            Some(stored) => Some(info(path.to_owned(), stored)),
            None => place.is_directory(&name).then(|| directory_info(path)),
        })
    }

    fn open(&self, path: &Path) -> Result<Box<dyn ReadFile>> {
        Ok(Box::new(OpenFile { path: path.to_owned(), stored: self.stored(path)? }))
    }

    fn read_all(&self, path: &Path) -> Result<Bytes> {
        self.stored(path).map(|stored| stored.bytes)
    }

    fn create(&self, path: &Path, _: Access) -> Result<Box<dyn NewFile>> {
        let (mut place, name) = (self.place(), normal(path));
        if place.is_taken(&name) {
            return Err(Error::world(format!("{} is there already", path.display())));
        }
        place.begun.insert(name.clone());
        drop(place);
        Ok(Box::new(BegunFile { files: self.clone(), name, bytes: Vec::new() }))
    }

    fn put_if_absent(&self, path: &Path, content: &[u8]) -> Result<Put> {
        let (mut place, name) = (self.place(), normal(path));
        if place.is_taken(&name) {
            return Ok(Put::Exists);
        }
        place.insert(name, Bytes::copy_from_slice(content))?;
        Ok(Put::Created)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let (mut place, name) = (self.place(), normal(path));
        if place.is_directory(&name) {
            return Err(Error::world(format!("{} is not empty", path.display())));
        }
        place.remove(&name).map(drop)
    }
}

impl LocalStore for MemoryFiles {
    fn rename_if_absent(&self, from: &Path, to: &Path) -> Result<Put> {
        let (mut place, name) = (self.place(), normal(to));
        if !place.files.contains_key(&normal(from)) {
            return Err(Error::world(format!("{} is not there", from.display())));
        }
        if place.is_taken(&name) {
            return Ok(Put::Exists);
        }
        if let Some(stored) = place.files.remove(&normal(from)) {
            place.files.insert(name, stored);
        }
        Ok(Put::Created)
    }

    fn settle(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        match self.info(path)? {
            Some(_) => Ok(super::absolute(&normal(path))),
            None => Err(Error::world(format!("{} is not there", path.display()))),
        }
    }

    fn lock(&self, path: &Path) -> Result<Locked> {
        let name = normal(path);
        Ok(match self.place().locks.insert(name.clone()) {
            true => Locked::Ours(Box::new(HeldLock { files: self.clone(), name })),
            false => Locked::Taken,
        })
    }
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    stored: Stored,
}

impl ReadFile for OpenFile {
    fn info(&self) -> Result<FileInfo> {
        Ok(info(self.path.clone(), &self.stored))
    }

    fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        let bytes = &self.stored.bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.slice(start..start.saturating_add(length).min(bytes.len())))
    }
}

struct BegunFile {
    files: MemoryFiles,
    name: PathBuf,
    bytes: Vec<u8>,
}

impl NewFile for BegunFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        let mut place = self.files.place();
        place.insert(self.name.clone(), bytes)?;
        drop(place);
        Ok(())
    }
}

impl Drop for BegunFile {
    fn drop(&mut self) {
        self.files.place().begun.remove(&self.name);
    }
}

#[derive(Debug)]
struct HeldLock {
    files: MemoryFiles,
    name: PathBuf,
}

impl Lock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.files.place().locks.remove(&self.name);
    }
}

fn info(path: PathBuf, stored: &Stored) -> FileInfo {
    let (length, identity) = (stored.bytes.len() as u64, (0, stored.number));
    FileInfo { path, length, modified_ns: 0, kind: FileKind::File, identity }
}

fn directory_info(path: &Path) -> FileInfo {
    let identity = (1, xxh3_64(normal(path).as_os_str().as_encoded_bytes()));
    FileInfo { path: path.to_owned(), length: 0, modified_ns: 0, kind: FileKind::Directory, identity }
}

#[cfg(test)]
mod tests {
    use super::super::suite;
    use super::*;
    use crate::stream::MemoryPool;

    #[test]
    fn keeps_the_promises_of_a_store() {
        let memory = MemoryPool::new(None).holder("files");
        suite::check(&MemoryFiles::new(&memory), Path::new("/work"));
        suite::check(&MemoryFiles::new(&memory), Path::new("relative/place"));
    }

    #[test]
    fn files_count_as_long_as_they_are_there() {
        let pool = MemoryPool::new(Some(100));
        let files = MemoryFiles::new(&pool.holder("files"));
        files.put_if_absent(Path::new("a"), &[0; 60]).unwrap();
        assert_eq!(pool.used(), 60);
        let refused = files.put_if_absent(Path::new("b"), &[0; 50]).unwrap_err();
        assert_eq!(refused.id(), Some("BL-LIM-MEMORY"));
        assert_eq!(files.info(Path::new("b")).unwrap(), None);
        files.remove(Path::new("a")).unwrap();
        files.put_if_absent(Path::new("b"), &[0; 50]).unwrap();
        drop(files);
        assert_eq!(pool.used(), 0);
    }
}
