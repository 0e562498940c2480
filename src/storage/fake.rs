//! A file system in memory that forgets, at a crash, whatever was not synced. Deterministic: no clock, no chance.
//!
//! Two layers of names and of content are kept: what a running process sees, and what a power loss leaves. Clones
//! share one disk. Every call of the durable writer counts as one operation, and a fault can be planted at any.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::durable::Files;
use super::{Access, FileInfo, FileKind, Lock, Locked, normal};

/// What goes wrong at a planted operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done; an error is returned (retryable), and life goes on.
    Fail,
    /// It is done, yet an error is returned: the reply was lost.
    LostReply,
    /// It is not done, and neither is any after it, until [`FakeStore::restart`].
    Crash,
}

/// The fake file system.
#[derive(Debug, Clone, Default)]
pub struct FakeStore {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    /// What a running process sees.
    names: BTreeMap<PathBuf, Entry>,
    /// What a power loss leaves of the names.
    durable_names: BTreeMap<PathBuf, Entry>,
    contents: BTreeMap<u64, Content>,
    next_content: u64,
    locks: BTreeMap<PathBuf, u64>,
    next_lock: u64,
    has_no_locks: bool,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    crashed: bool,
    /// Counts restarts: handles of an earlier life are dead.
    life: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Directory,
    File(u64),
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// How many of them a power loss leaves for certain.
    synced: usize,
    /// How often it was written to.
    writes: i64,
}

impl FakeStore {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations there have been.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Lets `fault` happen at the operation with this number (the first is 0).
    pub fn plant(&self, operation: u64, fault: Fault) {
        self.disk().faults.insert(operation, fault);
    }

    /// Whether everything fails just now.
    pub fn is_crashed(&self) -> bool {
        self.disk().crashed
    }

    /// The power fails: names that were not synced are gone (removed ones are back), of content that was not synced
    /// the first half is left. Everything fails until [`FakeStore::restart`].
    pub fn crash(&self) {
        let mut disk = self.disk();
        disk.crashed = true;
        for content in disk.contents.values_mut() {
            content.bytes.truncate(content.synced + (content.bytes.len() - content.synced) / 2);
            content.synced = content.bytes.len();
        }
        let names = disk.durable_names.clone();
        let is_reachable = |path: &Path| {
            path.ancestors().skip(1).filter(|above| !is_root(above)).all(|above| names.contains_key(above))
        };
        disk.names = names.iter().filter(|(path, _)| is_reachable(path)).map(|(p, e)| (p.clone(), *e)).collect();
        disk.durable_names = disk.names.clone();
        let used: BTreeSet<u64> = disk.names.values().filter_map(Entry::content).collect();
        disk.contents.retain(|content, _| used.contains(content));
    }

    /// A new process on the same disk: locks are free, faults are gone, files of the old process cannot be written.
    pub fn restart(&self) {
        let mut disk = self.disk();
        disk.crashed = false;
        disk.faults.clear();
        disk.locks.clear();
        disk.life += 1;
    }

    /// Frees all locks while their holders live on: one that hangs for longer than its lock lasts.
    pub fn release_locks(&self) {
        self.disk().locks.clear();
    }

    /// From now on nobody can hold a lock here, as on some file systems that are mounted over a network.
    pub fn keep_no_locks(&self) {
        self.disk().has_no_locks = true;
    }

    /// All files by name with their content, as a running process sees them.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let disk = self.disk();
        let file = |(path, entry): (&PathBuf, &Entry)| {
            Some((path.clone(), disk.contents.get(&entry.content()?)?.bytes.clone()))
        };
        disk.names.iter().filter_map(file).collect()
    }

    /// Puts damaged bytes in place of a file's content, durably.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) {
        let mut disk = self.disk();
        if let Some(Entry::File(content)) = disk.names.get(&normal(path)).copied() {
            let writes = disk.contents.get(&content).map_or(0, |content| content.writes) + 1;
            disk.contents.insert(content, Content { bytes: bytes.to_vec(), synced: bytes.len(), writes });
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // No method leaves the disk half changed, so that a panic elsewhere does no harm.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one operation and does it, unless a fault stands in the way.
    fn operate<T>(&self, operation: impl FnOnce(&mut Disk) -> IoResult<T>) -> IoResult<T> {
        let mut disk = self.disk();
        if disk.crashed {
            return Err(crashed());
        }
        let number = disk.operations;
        disk.operations += 1;
        match disk.faults.remove(&number) {
            None => operation(&mut disk),
            Some(Fault::Fail) => Err(IoError::new(ErrorKind::TimedOut, "planted fault")),
            Some(Fault::LostReply) => {
                operation(&mut disk)?;
                Err(IoError::new(ErrorKind::TimedOut, "planted loss of the reply"))
            }
            Some(Fault::Crash) => {
                disk.crashed = true;
                Err(crashed())
            }
        }
    }
}

/// An open new file of the fake.
#[derive(Debug)]
pub struct FakeFile {
    content: u64,
    life: u64,
}

impl Files for FakeStore {
    type Handle = FakeFile;
    type Reader = u64;

    fn entries(&self, directory: &Path) -> IoResult<Vec<FileInfo>> {
        let given = directory;
        self.operate(|disk| {
            let directory = normal(directory);
            disk.require_directory(&directory)?;
            let children = disk.names.iter().filter(|(path, _)| path.parent() == Some(&directory));
            Ok(children
                .map(|(path, entry)| disk.info(given.join(path.file_name().unwrap_or_default()), *entry))
                .collect())
        })
    }

    fn stat(&self, path: &Path) -> IoResult<Option<FileInfo>> {
        self.operate(|disk| {
            let name = normal(path);
            let entry = if is_root(&name) { Some(Entry::Directory) } else { disk.names.get(&name).copied() };
            Ok(entry.map(|entry| disk.info(path.to_owned(), entry)))
        })
    }

    fn open_reader(&self, path: &Path) -> IoResult<u64> {
        self.operate(|disk| {
            let entry = disk.names.get(&normal(path)).ok_or(ErrorKind::NotFound)?;
            entry.content().ok_or_else(|| ErrorKind::IsADirectory.into())
        })
    }

    fn stat_reader(&self, file: &u64, path: &Path) -> IoResult<FileInfo> {
        self.operate(|disk| Ok(disk.info(path.to_owned(), Entry::File(*file))))
    }

    fn read_at(&self, file: &u64, offset: u64, length: usize) -> IoResult<Bytes> {
        self.operate(|disk| {
            // A power loss takes what has no name; until then it can be read on.
            let bytes = &disk.contents.get(file).ok_or(ErrorKind::NotFound)?.bytes;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let end = start.saturating_add(length).min(bytes.len());
            Ok(Bytes::copy_from_slice(&bytes[start..end]))
        })
    }

    fn open_new(&self, path: &Path, _: Access) -> IoResult<FakeFile> {
        self.operate(|disk| {
            let content = disk.next_content;
            disk.add_name(path, Entry::File(content))?;
            disk.next_content += 1;
            disk.contents.insert(content, Content::default());
            Ok(FakeFile { content, life: disk.life })
        })
    }

    fn append(&self, file: &mut FakeFile, bytes: &[u8]) -> IoResult<()> {
        self.operate(|disk| {
            let content = disk.opened(file)?;
            content.bytes.extend_from_slice(bytes);
            content.writes += 1;
            Ok(())
        })
    }

    fn sync(&self, file: &FakeFile) -> IoResult<()> {
        self.operate(|disk| {
            let content = disk.opened(file)?;
            content.synced = content.bytes.len();
            Ok(())
        })
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> IoResult<()> {
        self.operate(|disk| {
            let entry = disk.names.get(&normal(from)).copied().ok_or(ErrorKind::NotFound)?;
            disk.add_name(to, entry)?;
            disk.names.remove(&normal(from));
            Ok(())
        })
    }

    fn make_directory(&self, path: &Path) -> IoResult<()> {
        self.operate(|disk| disk.add_name(path, Entry::Directory))
    }

    fn sync_directory(&self, path: &Path) -> IoResult<()> {
        self.operate(|disk| {
            let directory = normal(path);
            disk.require_directory(&directory)?;
            let is_child = |path: &Path| path.parent() == Some(&directory);
            disk.durable_names.retain(|path, _| !is_child(path));
            let children = disk.names.iter().filter(|(path, _)| is_child(path));
            disk.durable_names.extend(children.map(|(path, entry)| (path.clone(), *entry)));
            Ok(())
        })
    }

    fn unlink(&self, path: &Path) -> IoResult<()> {
        self.operate(|disk| {
            let name = normal(path);
            if disk.names.keys().any(|below| below.parent() == Some(&name)) {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            disk.names.remove(&name).map(|_| ()).ok_or_else(|| ErrorKind::NotFound.into())
        })
    }

    /// There are no links here.
    fn real_path(&self, path: &Path) -> IoResult<PathBuf> {
        self.stat(path)?.ok_or(ErrorKind::NotFound)?;
        std::path::absolute(normal(path))
    }

    fn try_lock(&self, path: &Path) -> IoResult<Locked> {
        let mut answer = Locked::Taken;
        let locked = self.operate(|disk| {
            let name = normal(path);
            if disk.has_no_locks {
                answer = Locked::Unsupported;
            } else if !disk.locks.contains_key(&name) {
                disk.next_lock += 1;
                disk.locks.insert(name.clone(), disk.next_lock);
                let lock = FakeLock { store: self.clone(), path: name, token: disk.next_lock };
                answer = Locked::Ours(Box::new(lock));
            }
            Ok(())
        });
        // A lock whose reply was lost is gone with its handle, as that of a real file is.
        locked.map(|()| answer)
    }
}

impl Disk {
    fn require_directory(&self, directory: &Path) -> IoResult<()> {
        match self.names.get(directory) {
            _ if is_root(directory) => Ok(()),
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn add_name(&mut self, path: &Path, entry: Entry) -> IoResult<()> {
        let name = normal(path);
        self.require_directory(name.parent().unwrap_or(Path::new("")))?;
        if self.names.contains_key(&name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.names.insert(name, entry);
        Ok(())
    }

    fn opened(&mut self, file: &FakeFile) -> IoResult<&mut Content> {
        match self.contents.get_mut(&file.content) {
            Some(content) if file.life == self.life => Ok(content),
            _ => Err(crashed()),
        }
    }

    fn info(&self, path: PathBuf, entry: Entry) -> FileInfo {
        let content = entry.content().and_then(|number| self.contents.get(&number));
        let (kind, identity) = match entry {
            // There are no links here, so that its name tells a directory from others.
            Entry::Directory => (FileKind::Directory, (1, xxh3_64(normal(&path).as_os_str().as_encoded_bytes()))),
            Entry::File(number) => (FileKind::File, (0, number)),
        };
        let length = content.map_or(0, |content| content.bytes.len() as u64);
        FileInfo { path, length, modified_ns: content.map_or(0, |content| content.writes), kind, identity }
    }
}

impl Entry {
    fn content(&self) -> Option<u64> {
        match self {
            Self::Directory => None,
            Self::File(content) => Some(*content),
        }
    }
}

#[derive(Debug)]
struct FakeLock {
    store: FakeStore,
    path: PathBuf,
    token: u64,
}

impl Lock for FakeLock {}

impl Drop for FakeLock {
    fn drop(&mut self) {
        let mut disk = self.store.disk();
        // After a restart the name may be locked by somebody else.
        if disk.locks.get(&self.path) == Some(&self.token) {
            disk.locks.remove(&self.path);
        }
    }
}

fn is_root(path: &Path) -> bool {
    path.parent().is_none()
}

fn crashed() -> IoError {
    IoError::other("crashed")
}

#[cfg(test)]
mod tests {
    use super::super::suite;
    use super::super::{LocalStore, Put, Store};
    use super::*;

    #[test]
    fn keeps_the_promises_of_a_store() {
        suite::check(&FakeStore::new(), Path::new("/work"));
        suite::check(&FakeStore::new(), Path::new("relative/place"));
    }

    /// Runs `work` with a crash at every operation, once as a kill and once as a power loss, and hands what is left,
    /// with whether `work` had reported success, to `check`.
    fn at_every_operation(work: impl Fn(&FakeStore) -> crate::error::Result<()>, check: impl Fn(&FakeStore, bool)) {
        for power_loss in [false, true] {
            for operation in 0.. {
                let store = FakeStore::new();
                store.plant(operation, Fault::Crash);
                let done = work(&store).is_ok();
                if power_loss {
                    store.crash();
                }
                store.restart();
                check(&store, done);
                if done {
                    assert!(operation > 3, "nothing was counted");
                    break;
                }
            }
        }
    }

    #[test]
    fn a_put_is_whole_or_absent_and_durable_once_reported() {
        let path = Path::new("/a/b/file");
        at_every_operation(
            |store| store.put_if_absent(path, b"content").map(|put| assert_eq!(put, Put::Created)),
            |store, done| match store.info(path).unwrap() {
                Some(_) => assert_eq!(&store.read_all(path).unwrap()[..], b"content"),
                None => assert!(!done),
            },
        );
    }

    #[test]
    fn a_put_that_finds_the_name_taken_makes_it_durable() {
        let path = Path::new("/a/file");
        for operation in 0..12 {
            let store = FakeStore::new();
            store.plant(operation, Fault::Crash);
            let _ = store.put_if_absent(path, b"first");
            store.restart();
            // As every start does; it makes durable what directories the killed process had just made.
            let _lock = store.lock(Path::new("/a/lock")).unwrap();
            let put = store.put_if_absent(path, b"second").unwrap();
            store.crash();
            store.restart();
            let expected: &[u8] = if put == Put::Created { b"second" } else { b"first" };
            assert_eq!(&store.read_all(path).unwrap()[..], expected, "killed at {operation}");
        }
    }

    #[test]
    fn a_finished_file_is_durable() {
        let path = Path::new("/a/b/file");
        at_every_operation(
            |store| {
                let mut file = store.create(path, Access::Owner)?;
                file.write(b"con")?;
                file.write(b"tent")?;
                file.finish()
            },
            |store, done| {
                assert!(!done || &store.read_all(path).unwrap()[..] == b"content");
                // Whatever is left can be removed, and its name taken again.
                store.remove(path).unwrap();
                store.create(path, Access::Owner).unwrap().finish().unwrap();
            },
        );
    }

    #[test]
    fn a_file_that_missed_a_write_cannot_be_finished() {
        let (store, path) = (FakeStore::new(), Path::new("/file"));
        let mut file = store.create(path, Access::Owner).unwrap();
        store.plant(store.operations(), Fault::Fail);
        assert!(file.write(b"lost").is_err());
        assert!(file.write(b"more").is_err());
        assert!(file.finish().is_err());
        assert_eq!(store.info(path).unwrap(), None, "it is thrown away");
    }

    #[test]
    fn a_failed_sync_is_final() {
        let (store, path) = (FakeStore::new(), Path::new("/file"));
        let mut file = store.create(path, Access::Owner).unwrap();
        file.write(b"1").unwrap();
        store.plant(store.operations(), Fault::Fail);
        assert!(file.finish().is_err());
        assert_eq!(store.info(path).unwrap(), None);
    }

    #[test]
    fn a_directory_below_one_that_a_killed_process_made_is_durable() {
        for operation in 0..12 {
            let store = FakeStore::new();
            store.plant(operation, Fault::Crash);
            let _ = store.create(Path::new("/out/.pending/a"), Access::Owner).and_then(|file| file.finish());
            store.restart();
            let path = Path::new("/out/.pending/next/b");
            store.create(path, Access::Owner).unwrap().finish().unwrap();
            store.crash();
            store.restart();
            assert!(store.info(path).unwrap().is_some(), "killed at {operation}");
        }
    }

    #[test]
    fn a_rename_never_loses_the_file() {
        let (from, to) = (Path::new("/a/.hidden/file"), Path::new("/a/shown"));
        for power_loss in [false, true] {
            for operation in 0.. {
                let store = FakeStore::new();
                store.put_if_absent(from, b"content").unwrap();
                store.plant(store.operations() + operation, Fault::Crash);
                let done = store.rename_if_absent(from, to).is_ok();
                if power_loss {
                    store.crash();
                }
                store.restart();
                let names: Vec<_> = store.files().into_keys().collect();
                assert!(names.contains(&to.to_owned()) || (!done && names.contains(&from.to_owned())), "{names:?}");
                if done {
                    assert_eq!(names, [to]);
                    break;
                }
            }
        }
    }

    #[test]
    fn what_is_not_synced_is_lost_or_torn() {
        let store = FakeStore::new();
        let mut file = store.create(Path::new("/file"), Access::Owner).unwrap();
        file.write(b"12345678").unwrap();
        store.sync_directory(Path::new("/")).unwrap();
        store.crash();
        assert!(store.info(Path::new("/file")).is_err(), "everything fails until the restart");
        store.restart();
        assert_eq!(&store.read_all(Path::new("/file")).unwrap()[..], b"1234");
        assert!(file.write(b"more").is_err(), "a file of an earlier life");
    }

    #[test]
    fn a_lost_reply_is_an_error_after_the_deed() {
        let store = FakeStore::new();
        let probe = FakeStore::new();
        probe.put_if_absent(Path::new("/file"), b"1").unwrap();
        store.plant(probe.operations() - 1, Fault::LostReply);
        assert!(store.put_if_absent(Path::new("/file"), b"1").unwrap_err().is_retryable());
        assert_eq!(&store.read_all(Path::new("/file")).unwrap()[..], b"1");
    }

    #[test]
    fn a_restart_frees_locks_for_good() {
        let (store, path) = (FakeStore::new(), Path::new("/lock"));
        let old = store.lock(path).unwrap();
        assert!(matches!(old, Locked::Ours(_)));
        store.restart();
        let new = store.lock(path).unwrap();
        assert!(matches!(new, Locked::Ours(_)));
        drop(old);
        assert!(matches!(store.lock(path).unwrap(), Locked::Taken));
    }
}
