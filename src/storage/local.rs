//! Files of this computer. The only place of the crate that calls `std::fs`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Result as IoResult, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use rustix::buffer::spare_capacity;

use super::durable::Files;
use super::{Access, FileInfo, FileKind, Lock, Locked};

/// Bytes that a read makes room for at least.
const READ_BYTES: usize = 4 << 10;

/// The local file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFiles;

impl Files for LocalFiles {
    type Handle = File;
    type Reader = File;

    fn entries(&self, directory: &Path) -> IoResult<Vec<FileInfo>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(or_working_directory(directory))? {
            // The path as the caller began it: `read_dir` would put `./` before the working directory's entries.
            let path = directory.join(entry?.file_name());
            match self.stat(&path) {
                Ok(Some(info)) => entries.push(info),
                // Gone by now, as when another process cleans up.
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => entries.push(unreachable_entry(&path)),
                Err(error) => return Err(error),
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn stat(&self, path: &Path) -> IoResult<Option<FileInfo>> {
        match fs::metadata(or_working_directory(path)) {
            Ok(metadata) => Ok(Some(file_info(path, &metadata))),
            Err(error) if leads_nowhere(&error) => {
                let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
                Ok(is_link.then(|| unreachable_entry(path)))
            }
            Err(error) => Err(error),
        }
    }

    fn open_reader(&self, path: &Path) -> IoResult<File> {
        // A pipe that nobody writes to must not hold this thread; to a regular file it makes no difference.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    }

    fn stat_reader(&self, file: &File, path: &Path) -> IoResult<FileInfo> {
        Ok(file_info(path, &file.metadata()?))
    }

    fn read_at(&self, file: &File, offset: u64, length: usize) -> IoResult<Bytes> {
        let rest = file.metadata()?.len().saturating_sub(offset);
        // Some files, as those of /proc, hold more than they say.
        let expected = usize::try_from(rest).unwrap_or(usize::MAX).max(READ_BYTES).min(length);
        let mut bytes = Vec::with_capacity(expected);
        while bytes.len() < length {
            if bytes.len() == bytes.capacity() {
                bytes.reserve(bytes.len());
            }
            let at = offset + bytes.len() as u64;
            match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
                Ok(0) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(length);
        Ok(Bytes::from(bytes))
    }

    fn open_new(&self, path: &Path, access: Access) -> IoResult<File> {
        // The operating system takes away what the umask says.
        let mode = match access {
            Access::Owner => 0o600,
            Access::Everyone => 0o666,
        };
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> IoResult<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> IoResult<()> {
        file.sync_all()
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> IoResult<()> {
        match rename_exclusive(from, to) {
            Err(error) if is_unsupported(&error) => link_and_unlink(from, to),
            renamed => renamed,
        }
    }

    fn make_directory(&self, path: &Path) -> IoResult<()> {
        fs::create_dir(path)
    }

    fn sync_directory(&self, path: &Path) -> IoResult<()> {
        File::open(or_working_directory(path))?.sync_all()
    }

    fn unlink(&self, path: &Path) -> IoResult<()> {
        match fs::symlink_metadata(path)?.is_dir() {
            true => fs::remove_dir(path),
            false => fs::remove_file(path),
        }
    }

    fn real_path(&self, path: &Path) -> IoResult<PathBuf> {
        fs::canonicalize(or_working_directory(path))
    }

    fn try_lock(&self, path: &Path) -> IoResult<Locked> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Locked::Ours(Box::new(LocalLock { _file: file }))),
            Err(TryLockError::WouldBlock) => Ok(Locked::Taken),
            Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(Locked::Unsupported),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// An open file with an exclusive `flock`, which ends with it. The file itself stays: removing it would let two
/// processes hold locks on two files of one name.
#[derive(Debug)]
struct LocalLock {
    _file: File,
}

impl Lock for LocalLock {}

fn file_info(path: &Path, metadata: &fs::Metadata) -> FileInfo {
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_file() => FileKind::File,
        _ => FileKind::Other,
    };
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    FileInfo {
        path: PathBuf::from(path),
        length: metadata.len(),
        modified_ns: modified.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
        kind,
        identity: (metadata.dev(), metadata.ino()),
    }
}

fn unreachable_entry(path: &Path) -> FileInfo {
    let kind = FileKind::Unreachable;
    FileInfo { path: PathBuf::from(path), length: 0, modified_ns: 0, kind, identity: (0, 0) }
}

/// Whether nothing stands there, or a link does that leads to nothing or back to itself.
fn leads_nowhere(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

/// The empty path is the parent of a relative name; the operating system calls it `.`.
fn or_working_directory(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_exclusive(from: &Path, to: &Path) -> IoResult<()> {
    use rustix::fs::{CWD, RenameFlags};
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(Into::into)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_exclusive(_from: &Path, _to: &Path) -> IoResult<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Whether this system or file system knows no exclusive rename (old kernels, some network and FUSE mounts).
fn is_unsupported(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    error.kind() == ErrorKind::Unsupported
        || Errno::from_io_error(error)
            .is_some_and(|errno| [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&errno))
}

/// Whether this file system keeps no locks (some that are mounted over a network or by a program).
fn has_no_locks(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    error.kind() == ErrorKind::Unsupported
        || Errno::from_io_error(error)
            .is_some_and(|errno| [Errno::NOLCK, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&errno))
}

/// The same in two steps. Between them the file has both names, which [`super::LocalStore::rename_if_absent`] allows.
fn link_and_unlink(from: &Path, to: &Path) -> IoResult<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

#[cfg(test)]
mod tests {
    use super::super::suite;
    use super::super::{Access, LocalStore, Put, Store};
    use super::*;

    #[test]
    fn keeps_the_promises_of_a_store() {
        let directory = tempfile::tempdir().unwrap();
        suite::check(&LocalFiles, directory.path());
    }

    #[test]
    fn the_way_without_exclusive_rename_keeps_them_too() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        LocalFiles.put_if_absent(&from, b"1").unwrap();
        link_and_unlink(&from, &to).unwrap();
        LocalFiles.put_if_absent(&from, b"2").unwrap();
        assert_eq!(link_and_unlink(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(&LocalFiles.read_all(&to).unwrap()[..], b"1");
    }

    #[test]
    fn only_the_owner_reads_state_and_the_umask_decides_of_output() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        assert_eq!(LocalFiles.put_if_absent(&path, b"1").unwrap(), Put::Created);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        // What the user asked for is as readable as any file that the user makes.
        let (ours, users) = (directory.path().join("b"), directory.path().join("c"));
        LocalFiles.create(&ours, Access::Everyone).unwrap().finish().unwrap();
        fs::write(&users, b"").unwrap();
        assert_eq!(mode(&ours), mode(&users));
        let state = directory.path().join("d");
        LocalFiles.create(&state, Access::Owner).unwrap().finish().unwrap();
        assert_eq!(mode(&state), 0o600);
    }

    #[test]
    fn what_is_no_file_is_told_apart() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let kind = |name: &str| LocalFiles.info(&path(name)).unwrap().map(|info| info.kind);
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RUSR).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        symlink("loop", path("loop")).unwrap();
        symlink(".", path("self")).unwrap();
        LocalFiles.put_if_absent(&path("file"), b"1").unwrap();
        symlink("file", path("link")).unwrap();
        assert_eq!(kind("pipe"), Some(FileKind::Other));
        assert_eq!(kind("dangling"), Some(FileKind::Unreachable));
        assert_eq!(kind("loop"), Some(FileKind::Unreachable));
        assert_eq!((kind("self"), kind("link")), (Some(FileKind::Directory), Some(FileKind::File)));
        assert_eq!((kind("absent"), kind("file/below")), (None, None));
        assert_eq!(LocalFiles.list(directory.path()).unwrap().len(), 6);
        let identity = |name: &str| LocalFiles.info(&path(name)).unwrap().unwrap().identity;
        let file = LocalFiles.canonical(&path("file")).unwrap();
        assert_eq!(LocalFiles.canonical(&path("self/link")).unwrap(), file);
        assert_eq!((identity("link"), identity("self")), (identity("file"), identity("")));
        assert_ne!(identity("file"), identity("self"));
        // Opening a pipe that nobody writes to does not wait for anybody.
        assert_eq!(LocalFiles.open(&path("pipe")).unwrap().info().unwrap().kind, FileKind::Other);
    }

    #[test]
    fn failures_name_the_file_and_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        LocalFiles.put_if_absent(&directory.path().join("file"), b"1").unwrap();
        let error = LocalFiles.put_if_absent(&directory.path().join("file/below"), b"1").unwrap_err();
        assert!(error.message().contains("file"), "{error}");
    }
}
