//! State that is read back from a slow store: the job says how far it has come, and obeys while it reads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use beadline::connectors::World;
use beadline::error::Result;
use beadline::session::{Ending, Notice, Session};
use beadline::storage::{Access, FakeStore, FileInfo, LocalStore, Locked, NewFile, Put, ReadFile, Store, Stores};
use beadline::stream::ThreadBlocking;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::simulated::{Start, assert_same, disk, published, runtime, soon, world};

/// A store that lets the first read of state through, and holds the second until it is let go.
#[derive(Debug, Clone)]
struct SlowStore {
    files: FakeStore,
    reads: Arc<AtomicUsize>,
    /// Hears of the read that is held.
    held: mpsc::Sender<()>,
    /// Waited for by that read.
    gate: Arc<Mutex<mpsc::Receiver<()>>>,
}

#[derive(Debug)]
struct SlowFile {
    file: Box<dyn ReadFile>,
    store: SlowStore,
}

impl ReadFile for SlowFile {
    fn info(&self) -> Result<FileInfo> {
        self.file.info()
    }

    fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        if self.store.reads.fetch_add(1, Ordering::SeqCst) == 1 {
            self.store.held.blocking_send(()).expect("the test waits for it");
            // Let go at the latest when the test is over.
            let _ = self.store.gate.lock().expect("one read is held").blocking_recv();
        }
        self.file.read(offset, length)
    }
}

impl Store for SlowStore {
    fn open(&self, path: &Path) -> Result<Box<dyn ReadFile>> {
        let file = self.files.open(path)?;
        match path.starts_with("/checkpoints/main/data") {
            true => Ok(Box::new(SlowFile { file, store: self.clone() })),
            false => Ok(file),
        }
    }

    fn list(&self, directory: &Path) -> Result<Vec<FileInfo>> {
        self.files.list(directory)
    }

    fn info(&self, path: &Path) -> Result<Option<FileInfo>> {
        self.files.info(path)
    }

    fn read_all(&self, path: &Path) -> Result<Bytes> {
        self.files.read_all(path)
    }

    fn create(&self, path: &Path, access: Access) -> Result<Box<dyn NewFile>> {
        self.files.create(path, access)
    }

    fn put_if_absent(&self, path: &Path, content: &[u8]) -> Result<Put> {
        self.files.put_if_absent(path, content)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.files.remove(path)
    }
}

impl LocalStore for SlowStore {
    fn rename_if_absent(&self, from: &Path, to: &Path) -> Result<Put> {
        self.files.rename_if_absent(from, to)
    }

    fn settle(&self, directory: &Path) -> Result<()> {
        self.files.settle(directory)
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        self.files.canonical(path)
    }

    fn lock(&self, path: &Path) -> Result<Locked> {
        self.files.lock(path)
    }
}

#[test]
fn a_long_restore_says_how_far_it_is_and_a_stop_ends_its_reads() {
    let undisturbed = disk(640..800);
    // Long windows, so that what each checkpoint has added is still there.
    let changes: &[_] = &[("INTERVAL '1' HOUR", "INTERVAL '1' DAY")];
    let start = Start { parallelism: 1, every_rows: 15, changes, ..Start::default() };
    start.finish(&undisturbed);
    let files = disk(640..800);
    start.kill_after(&files, 3);

    let (held, mut hears) = mpsc::channel(1);
    let (opens, gate) = mpsc::channel(1);
    let reads = Arc::new(AtomicUsize::new(0));
    let store = SlowStore { files: files.clone(), reads: Arc::clone(&reads), held, gate: Arc::new(Mutex::new(gate)) };
    let (says, mut said) = mpsc::channel(16);
    // Time stands still while a thread works, but for what the test moves it on.
    let threads = runtime();
    let ending = threads.block_on(async {
        let slow = World {
            stores: Stores::new(Arc::new(store.clone())),
            blocking: Arc::new(ThreadBlocking),
            ..world(&files, false)
        };
        let session = Session::in_world(slow).with_seed(1).with_notices(Arc::new(move |notice| {
            if let Notice::Note(text) = notice {
                says.try_send(text).expect("a few notices");
            }
        }));
        let job = start.begin_in(session).await.expect("it is planned");
        hears.recv().await.expect("there is more than one file of state");
        for _ in 0..2 {
            tokio::time::advance(Duration::from_millis(1001)).await;
            let text = said.recv().await.expect("a notice");
            let percent = text.strip_suffix(" %").and_then(|text| text.rsplit(": ").next()?.parse::<u32>().ok());
            assert!(text.starts_with("restoring ") && percent.is_some_and(|part| 0 < part && part < 100), "{text}");
        }
        job.stop().await.expect("it can be asked");
        job.wait().await.expect("a stop does not wait for the read").ending
    });
    assert!(matches!(ending, Ending::Stopped { at: Some(_) }), "{ending:?}");
    drop(opens);
    // Waits for the thread that reads.
    drop(threads);
    assert_eq!(reads.load(Ordering::SeqCst), 2, "it read on behind the stop");

    files.restart();
    let ending = runtime().block_on(soon(async {
        let session =
            Session::in_world(World { stores: Stores::new(Arc::new(store)), ..world(&files, false) }).with_seed(1);
        start.begin_in(session).await.expect("it is planned").wait().await.expect("it ends well").ending
    }));
    assert_eq!(ending, Ending::Finished);
    assert!(reads.load(Ordering::SeqCst) > 2 + 2, "there was nothing more to read");
    assert_same(&published(&files), &published(&undisturbed), "a stop in the middle of a restore");
}

/// However often a job changes its parallelism, and comes back to it, it remembers the same.
#[test]
fn state_goes_from_one_parallelism_to_others_and_back() {
    let undisturbed = disk(640..800);
    Start::default().finish(&undisturbed);
    for (there, elsewhere) in [(1, 4), (2, 3), (4, 2)] {
        let files = disk(640..800);
        for parallelism in [there, elsewhere, there] {
            Start { parallelism, every_rows: 20, ..Start::default() }.stop_after(&files, 1);
            files.restart();
        }
        Start { parallelism: there, ..Start::default() }.finish(&files);
        assert_same(&published(&files), &published(&undisturbed), &format!("{there} tasks, {elsewhere}, {there}"));
    }
}
