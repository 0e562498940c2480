//! What every store promises, as one list of checks that each implementation runs.

use std::path::Path;

use super::{Access, LocalStore, Locked, Put, Store, is_temporary};
use crate::error::Blame;

/// Checks `store` below `root`, which must be absent or empty.
pub(super) fn check(store: &dyn LocalStore, root: &Path) {
    check_reading(store, &root.join("reading"));
    check_put_if_absent(store, &root.join("put/deep/er"));
    check_create(store, &root.join("create"));
    check_rename(store, &root.join("rename"));
    check_remove(store, &root.join("remove"));
    check_canonical(store, &root.join("canonical"));
    check_lock(store, &root.join("lock"));
}

fn check_reading(store: &dyn Store, root: &Path) {
    assert_eq!(store.list(root).unwrap(), []);
    assert_eq!(store.info(&root.join("absent")).unwrap(), None);
    assert!(matches!(store.read_all(&root.join("absent")).unwrap_err().blame(), Blame::World { .. }));

    for name in ["b", "a", "c/below"] {
        store.put_if_absent(&root.join(name), b"0123456789").unwrap();
    }
    let entries = store.list(root).unwrap();
    let names: Vec<_> = entries.iter().map(|entry| (entry.path.clone(), entry.is_directory())).collect();
    assert_eq!(names, [(root.join("a"), false), (root.join("b"), false), (root.join("c"), true)]);
    assert_eq!(store.info(&root.join("a")).unwrap().as_ref(), Some(&entries[0]));
    assert_eq!(entries[0].length, 10);

    let file = store.open(&root.join("a")).unwrap();
    assert_eq!(file.info().unwrap(), entries[0]);
    let read = |offset, length| file.read(offset, length).unwrap();
    assert_eq!(&read(2, 3)[..], b"234");
    assert_eq!(&read(8, 100)[..], b"89");
    assert_eq!(&read(10, 1)[..], b"");
    assert_eq!(&read(99, 1)[..], b"");
    assert_eq!(&store.read_all(&root.join("a")).unwrap()[..], b"0123456789");
    // An open file stays the same one, whatever becomes of its name.
    store.remove(&root.join("a")).unwrap();
    store.put_if_absent(&root.join("a"), b"another").unwrap();
    assert_eq!(&read(0, 100)[..], b"0123456789");
    assert_ne!(store.info(&root.join("a")).unwrap().unwrap().identity, entries[0].identity);
    let absent = store.open(&root.join("absent")).unwrap_err();
    assert!(matches!(absent.blame(), Blame::World { .. }));
}

fn check_put_if_absent(store: &dyn Store, root: &Path) {
    let path = root.join("file");
    assert_eq!(store.put_if_absent(&path, b"first").unwrap(), Put::Created);
    assert_eq!(store.put_if_absent(&path, b"second").unwrap(), Put::Exists);
    assert_eq!(&store.read_all(&path).unwrap()[..], b"first");
    assert_eq!(store.put_if_absent(&root.join("empty"), b"").unwrap(), Put::Created);
    assert_eq!(store.list(root).unwrap().len(), 2, "no temporary file is left");
    assert!(is_temporary(&root.join(".file.1-2.tmp")) && !is_temporary(&path));
}

fn check_create(store: &dyn Store, root: &Path) {
    let path = root.join("x/y/file");
    let mut file = store.create(&path, Access::Owner).unwrap();
    file.write(b"one ").unwrap();
    assert!(store.create(&path, Access::Owner).is_err(), "the name is taken");
    file.write(b"two").unwrap();
    file.finish().unwrap();
    assert_eq!(&store.read_all(&path).unwrap()[..], b"one two");
}

fn check_rename(store: &dyn LocalStore, root: &Path) {
    let (from, to) = (root.join(".hidden/file"), root.join("shown"));
    store.put_if_absent(&from, b"1").unwrap();
    assert_eq!(store.rename_if_absent(&from, &to).unwrap(), Put::Created);
    assert_eq!(store.info(&from).unwrap(), None);
    assert!(matches!(store.rename_if_absent(&from, &to).unwrap_err().blame(), Blame::World { .. }));
    store.put_if_absent(&from, b"2").unwrap();
    assert_eq!(store.rename_if_absent(&from, &to).unwrap(), Put::Exists);
    assert_eq!(&store.read_all(&from).unwrap()[..], b"2");
    assert_eq!(&store.read_all(&to).unwrap()[..], b"1");
}

fn check_remove(store: &dyn Store, root: &Path) {
    let path = root.join("directory/file");
    store.put_if_absent(&path, b"1").unwrap();
    assert!(store.remove(&root.join("directory")).is_err(), "it is not empty");
    store.remove(&path).unwrap();
    store.remove(&path).unwrap();
    store.remove(&root.join("directory")).unwrap();
    assert_eq!(store.info(&root.join("directory")).unwrap(), None);
}

fn check_canonical(store: &dyn LocalStore, root: &Path) {
    let path = root.join("a");
    assert_eq!(store.canonical(&path).unwrap_err().blame(), Blame::World { retryable: false });
    store.put_if_absent(&path, b"1").unwrap();
    let canonical = store.canonical(&path).unwrap();
    assert!(canonical.is_absolute() && canonical.ends_with("canonical/a"), "{}", canonical.display());
    assert_eq!(store.canonical(&root.join("./a")).unwrap(), canonical);
}

fn check_lock(store: &dyn LocalStore, root: &Path) {
    let path = root.join("lock");
    let held = store.lock(&path).unwrap();
    assert!(matches!(held, Locked::Ours(_)), "it is free");
    assert!(matches!(store.lock(&path).unwrap(), Locked::Taken));
    drop(held);
    assert!(matches!(store.lock(&path).unwrap(), Locked::Ours(_)));
}
