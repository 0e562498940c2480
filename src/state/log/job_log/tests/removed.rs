//! The log that is removed under the process that writes it, or that another start begins in its place.

use super::*;

/// As `rm -rf` under a process that runs on; its lock goes with the directory.
fn remove_directory(store: &FakeStore) {
    store.release_locks();
    let files: Vec<PathBuf> = store.files().into_keys().collect();
    for file in files.iter().filter(|file| file.starts_with(DIRECTORY)) {
        store.remove(file).unwrap();
    }
    for directory in ["counts/log", "counts/data/1-1", "counts/data", "counts"] {
        store.remove(&Path::new(DIRECTORY).join(directory)).unwrap();
    }
}

/// A log that another start has begun in the place of ours, of the same generation, with so many checkpoints.
fn begun_anew(store: &FakeStore, checkpoints: u64) -> JobLog {
    let mut log = open(store).unwrap();
    let lineage = "f".repeat(32);
    log.claim(|_, generation| Ok(Some(claim_of(generation, &lineage)))).unwrap();
    for epoch in 1..=checkpoints {
        let manifest = Manifest { lineage: lineage.clone(), ..manifest(epoch, Generation(1), Vec::new()) };
        log.append(LogEntry::Checkpoint(Box::new(manifest))).unwrap();
    }
    log
}

#[test]
fn a_process_whose_log_was_begun_anew_is_fenced_and_does_no_harm() {
    // The next number of ours is free in the new log, or taken, or behind it.
    for checkpoints in 0..5 {
        let store = FakeStore::new();
        let mut old = open(&store).unwrap();
        let generation = claim(&mut old).unwrap();
        checkpoint(&mut old, 1, generation).unwrap();
        checkpoint(&mut old, 2, generation).unwrap();
        remove_directory(&store);
        let mut new = begun_anew(&store, checkpoints);
        let files = store.files();
        for fenced in [
            checkpoint(&mut old, 3, generation).unwrap_err(),
            old.append(LogEntry::Confirm { epoch: Epoch(2) }).unwrap_err(),
            old.check_owner().unwrap_err(),
            collect(&mut old, 1).unwrap_err(),
        ] {
            assert_eq!(fenced.id(), Some("BL-JOB-FENCED"), "{fenced}");
            assert!(fenced.message().contains("0000000001.json is a claim of generation 1 of lineage ff"), "{fenced}");
        }
        assert!(store.files() == files, "the log of another start was touched");
        new.append(LogEntry::Checkpoint(Box::new(Manifest {
            lineage: "f".repeat(32),
            ..manifest(checkpoints + 1, Generation(1), Vec::new())
        })))
        .unwrap();
    }
}

/// Behind the look at the claim: only the entry itself says that another has written it.
#[test]
fn an_entry_of_another_lineage_is_that_of_a_rival() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    let foreign = Manifest { lineage: "f".repeat(32), ..manifest(1, generation, Vec::new()) };
    let (text, _) = write_entry(&LogEntry::Checkpoint(Box::new(foreign))).unwrap();
    store.put_if_absent(&in_log("0000000002.json"), text.as_bytes()).unwrap();
    let error = checkpoint(&mut log, 1, generation).unwrap_err();
    assert_eq!(error.id(), Some("BL-JOB-FENCED"), "{error}");
    assert!(error.message().contains("is a checkpoint of generation 1 of lineage ff"), "{error}");
}

#[test]
fn a_log_that_was_removed_is_gone_and_not_begun_by_the_way() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    checkpoint(&mut log, 1, generation).unwrap();
    remove_directory(&store);
    for gone in [
        checkpoint(&mut log, 2, generation).unwrap_err(),
        log.append(LogEntry::Finished { epoch: Epoch(1) }).unwrap_err(),
        log.check_owner().unwrap_err(),
        collect(&mut log, 1).unwrap_err(),
    ] {
        assert_eq!((gone.id(), gone.is_retryable()), (Some("BL-STATE-GONE"), false), "{gone}");
        assert!(gone.message().contains("there is nothing to go on from"), "{gone}");
        assert!(gone.helps().iter().any(|help| help.contains(&format!("part-{LINEAGE}-"))), "{gone}");
    }
    assert!(store.files().is_empty());
    // Another attempt of the same process does not take an empty log for a new job's.
    let again = open(&store).unwrap();
    assert_eq!(again.check_lineage(LINEAGE).unwrap_err().id(), Some("BL-STATE-GONE"));
    drop(again);
    let begun = begun_anew(&store, 1);
    assert_eq!(begun.check_lineage(LINEAGE).unwrap_err().id(), Some("BL-JOB-FENCED"));
    begun.check_lineage(&"f".repeat(32)).unwrap();
}

/// What a process has still written into a directory that was removed under it.
#[test]
fn files_that_were_left_without_a_log_get_in_nobodys_way() {
    let store = FakeStore::new();
    let name =
        FileName { epoch: Epoch(2), generation: Generation(3), operator: "group", table: "groups", writer: WRITER };
    let left = Path::new(DIRECTORY).join("counts").join(name.path());
    store.create(&left, Access::Owner).unwrap().finish().unwrap();
    let mut log = open(&store).unwrap();
    assert_eq!(claim(&mut log).unwrap(), Generation(4));
    let files = full_checkpoint(&store, &mut log, 1, &[]).unwrap();
    full_checkpoint(&store, &mut log, 2, &files).unwrap();
    collect(&mut log, 1).unwrap();
    assert!(!store.files().contains_key(&left));
    check_files(&store, &log);
}
