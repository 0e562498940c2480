//! The log with rivals, lost replies, crashes at every operation, damage at every byte.

mod removed;

use super::*;
use crate::error::Blame;
use crate::state::{
    Collected, FileName, HASH_ID, OperatorId, OperatorState, RangeWatermark, RestoreProgress, SinkState,
    SnapshotWriter, TableKind, TableSpec, TableState, Writer, read_table, schema_text, write_table,
};
use crate::storage::{Access, FakeStore, Fault, LocalFiles};
use crate::stream::{Committable, FileState};
use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use expect_test::expect;

const WRITER: Writer = Writer::Task { task: 0, attempt: 0 };
const DIRECTORY: &str = "/state";
const LINEAGE: &str = "0123456789abcdef0123456789abcdef";

fn open(store: &FakeStore) -> Result<JobLog> {
    JobLog::open(Arc::new(store.clone()), Path::new(DIRECTORY), "counts")
}

fn collect(log: &mut JobLog, retained: usize) -> Result<Collected> {
    log.find_garbage(retained)?.remove()
}

fn claim(log: &mut JobLog) -> Result<Generation> {
    let claim = log.claim(|_, generation| Ok(Some(claim_of(generation, LINEAGE))))?;
    Ok(claim.expect("it was wanted").generation)
}

fn claim_of(generation: Generation, lineage: &str) -> Claim {
    Claim {
        format: FORMAT_VERSION,
        job: "counts".to_owned(),
        script: None,
        lineage: lineage.to_owned(),
        generation,
        parallelism: 2,
        sinks: vec!["hours".to_owned()],
    }
}

fn manifest(epoch: u64, generation: Generation, files: Vec<FileState>) -> Manifest {
    let table = TableState {
        name: "groups".to_owned(),
        schema: schema_text(&spec().schema),
        kind: spec().kind,
        key: spec().key,
        retired: Vec::new(),
        files,
    };
    let operator = OperatorState {
        name: "group".to_owned(),
        signature: "n".to_owned(),
        tables: vec![table],
        ..OperatorState::default()
    };
    Manifest {
        format: FORMAT_VERSION,
        build: "0.1.0".to_owned(),
        job: "counts".to_owned(),
        lineage: LINEAGE.to_owned(),
        generation,
        epoch: Epoch(epoch),
        parent: String::new(),
        hash_id: HASH_ID.to_owned(),
        max_parallelism: 128,
        parallelism: 2,
        operators: BTreeMap::from([(group(), operator)]),
        sinks: BTreeMap::from([("hours".to_owned(), SinkState { confirmed: BTreeMap::from([(1, Epoch(0))]) })]),
        pending: vec![committable(epoch, Vec::new())],
        pinned: false,
        drained: false,
        digest: String::new(),
    }
}

fn group() -> OperatorId {
    OperatorId::of("group", "n")
}

fn committable(epoch: u64, files: Vec<FileState>) -> Committable {
    Committable { sink: "hours".to_owned(), task: 0, epoch: Epoch(epoch), rows: 3, files, payload: "rows".into() }
}

fn checkpoint(log: &mut JobLog, epoch: u64, generation: Generation) -> Result<String> {
    log.append(LogEntry::Checkpoint(Box::new(manifest(epoch, generation, Vec::new()))))
}

fn spec() -> TableSpec {
    TableSpec {
        name: "groups".to_owned(),
        schema: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])),
        key: vec![0],
        kind: TableKind::Keyed { unique: 1 },
    }
}

/// A checkpoint with one more state file than `before`.
fn full_checkpoint(store: &FakeStore, log: &mut JobLog, epoch: u64, before: &[FileState]) -> Result<Vec<FileState>> {
    let generation = log.owner.as_ref().expect("claimed").generation;
    let name = FileName { epoch: Epoch(epoch), generation, operator: "group", table: "groups", writer: WRITER };
    let rows = Arc::new(Int64Array::from(vec![epoch as i64])) as ArrayRef;
    let mut snapshot = SnapshotWriter::default();
    snapshot.put(RecordBatch::try_new(spec().schema, vec![rows]).unwrap());
    let file = write_table(store, log.directory(), &name, &spec(), &snapshot, 128)?;
    let files = [before, &file.into_iter().collect::<Vec<_>>()].concat();
    log.append(LogEntry::Checkpoint(Box::new(manifest(epoch, generation, files.clone()))))?;
    Ok(files)
}

fn newest(log: &JobLog) -> Option<Manifest> {
    let mut manifests = log.entries.values().filter_map(|stored| match &stored.entry {
        LogEntry::Checkpoint(manifest) => Some((**manifest).clone()),
        _ => None,
    });
    manifests.next_back()
}

#[track_caller]
fn assert_corrupt(opened: Result<JobLog>, expected: &str) {
    let error = opened.expect_err("damage must be noticed");
    assert_eq!(error.id(), Some("BL-STATE-CORRUPT"), "{error}");
    assert!(error.message().contains(expected), "{error}");
}

#[test]
fn entries_read_well_and_can_be_checked_by_hand() {
    let (text, _) = write_entry(&LogEntry::Claim(claim_of(Generation(1), LINEAGE))).unwrap();
    expect![[r#"
        {
          "entry": "claim",
          "format": 2,
          "job": "counts",
          "lineage": "0123456789abcdef0123456789abcdef",
          "generation": 1,
          "parallelism": 2,
          "sinks": [
            "hours"
          ],
          "digest": "815f35d11ff4740389d97b185527dd28dcde5f32548aee621d6387cb831eb54b"
        }
    "#]]
    .assert_eq(&text);
    let (text, own) = write_entry(&LogEntry::Finished { epoch: Epoch(7) }).unwrap();
    assert_eq!(digest(text.replace(&own, "").as_bytes()), own);
}

#[test]
fn what_is_written_is_read_again() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    assert_eq!(log.entries(), Vec::<&LogEntry>::new());
    let generation = claim(&mut log).unwrap();
    let mut first = manifest(1, generation, Vec::new());
    let operator = first.operators.get_mut(&group()).unwrap();
    operator.watermarks = vec![RangeWatermark { groups: (0, 127), watermark: Some(i64::MIN) }];
    operator.counters.add(crate::stream::Counter::NumRecordsIn, u64::MAX);
    let digest = log.append(LogEntry::Checkpoint(Box::new(first.clone()))).unwrap();
    log.append(LogEntry::Confirm { epoch: Epoch(1) }).unwrap();
    let written: Vec<_> = log.entries().into_iter().cloned().collect();
    drop(log);
    let log = open(&store).unwrap();
    assert_eq!(log.entries(), written.iter().collect::<Vec<_>>());
    assert_eq!(newest(&log), Some(Manifest { digest, ..first }));
}

#[test]
fn a_second_process_is_refused_while_the_first_runs() {
    let store = FakeStore::new();
    let _first = open(&store).unwrap();
    let error = open(&store).unwrap_err();
    assert!(error.message().contains("job 'counts' is running in another process: /state/counts is locked"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let open = || JobLog::open(Arc::new(LocalFiles), directory.path(), "../odd name");
    let first = open().unwrap();
    assert_eq!(open().unwrap_err().id(), Some("BL-JOB-LOCKED"));
    drop(first);
    open().unwrap();
}

#[test]
fn where_nobody_can_hold_a_lock_no_job_is_run() {
    let store = FakeStore::new();
    store.keep_no_locks();
    let error = open(&store).unwrap_err();
    assert_eq!(error.id(), Some("BL-JOB-NO-LOCKS"));
    assert!(error.message().contains("the file system of /state/counts has no locks"), "{error}");
    assert!(store.files().is_empty());
}

#[test]
fn an_older_process_loses_its_next_write() {
    let store = FakeStore::new();
    let mut old = open(&store).unwrap();
    claim(&mut old).unwrap();
    checkpoint(&mut old, 1, Generation(1)).unwrap();
    store.restart(); // It is frozen, on a computer whose lock nobody sees.
    let mut new = open(&store).unwrap();
    assert_eq!(claim(&mut new).unwrap(), Generation(2));
    checkpoint(&mut new, 2, Generation(2)).unwrap();
    collect(&mut new, 1).unwrap();
    // Also where it only asks, as for the reason of a failure elsewhere.
    for error in [old.check_owner().unwrap_err(), checkpoint(&mut old, 2, Generation(1)).unwrap_err()] {
        assert_eq!((error.blame(), error.id()), (Blame::Fenced, Some("BL-JOB-FENCED")));
    }
    new.check_owner().unwrap();
    let error = old.append(LogEntry::Confirm { epoch: Epoch(1) }).unwrap_err();
    assert_eq!(error.blame(), Blame::Fenced);
    checkpoint(&mut new, 3, Generation(2)).unwrap();
}

#[test]
fn a_claim_that_loses_its_number_is_decided_again_on_what_was_written() {
    let store = FakeStore::new();
    let mut old = open(&store).unwrap();
    claim(&mut old).unwrap();
    store.restart();
    let mut new = open(&store).unwrap();
    let mut seen = Vec::new();
    let claimed = new.claim(|entries, generation| {
        if entries.len() == 1 {
            checkpoint(&mut old, 1, Generation(1)).unwrap();
        }
        seen.push(entries.len());
        Ok(Some(claim_of(generation, LINEAGE)))
    });
    assert_eq!((claimed.unwrap().unwrap().generation, seen), (Generation(2), vec![1, 2]));
}

#[test]
fn of_two_equal_claims_one_wins() {
    let store = FakeStore::new();
    let mut first = open(&store).unwrap();
    store.restart();
    let mut second = open(&store).unwrap();
    let generations = (claim(&mut first).unwrap(), claim(&mut second).unwrap());
    assert_eq!(generations, (Generation(1), Generation(2)));
    assert_eq!(checkpoint(&mut first, 1, Generation(1)).unwrap_err().blame(), Blame::Fenced);
    checkpoint(&mut second, 1, Generation(2)).unwrap();
}

#[test]
fn a_start_may_decide_not_to_claim() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    assert_eq!(log.claim(|_, _| Ok(None)).unwrap(), None);
    assert_eq!(log.append(LogEntry::Finished { epoch: Epoch(1) }).unwrap_err().blame(), Blame::Bug);
    assert!(store.files().is_empty());
}

#[test]
fn a_fault_at_any_operation_of_a_write_leaves_the_log_in_order() {
    for fault in [Fault::Fail, Fault::LostReply] {
        for operation in 0..60 {
            let store = FakeStore::new();
            let mut log = open(&store).unwrap();
            store.plant(store.operations() + operation, fault);
            // Whatever is answered, a second attempt must end well and nothing may be there twice.
            let generation = claim(&mut log).or_else(|_| claim(&mut log)).unwrap();
            let first = checkpoint(&mut log, 1, generation);
            let epoch = if first.is_ok() { 2 } else { 3 };
            checkpoint(&mut log, epoch, generation).or_else(|_| checkpoint(&mut log, 4, generation)).unwrap();
            collect(&mut log, 1).or_else(|_| collect(&mut log, 1)).unwrap();
            let in_memory = log.entries().len();
            store.restart();
            let log = open(&store).unwrap();
            assert_eq!(log.entries().len(), in_memory, "{fault:?} at {operation}");
            assert!(newest(&log).unwrap().epoch >= Epoch(epoch));
        }
    }
}

#[test]
fn a_lost_reply_is_found_out() {
    let probe = FakeStore::new();
    let mut log = open(&probe).unwrap();
    let generation = claim(&mut log).unwrap();
    let before = probe.operations();
    checkpoint(&mut log, 1, generation).unwrap();
    for operation in before..probe.operations() {
        let store = FakeStore::new();
        let mut log = open(&store).unwrap();
        claim(&mut log).unwrap();
        store.plant(operation, Fault::LostReply);
        let written = checkpoint(&mut log, 1, generation);
        let path = Path::new(DIRECTORY).join("counts/log/0000000002.json");
        assert_eq!(written.is_ok(), store.files().contains_key(&path), "at {operation}: {written:?}");
        store.restart();
        assert_eq!(open(&store).unwrap().entries().len(), if written.is_ok() { 2 } else { 1 }, "it stands there once");
    }
}

/// A start with four checkpoints, each of which inherits the files of the one before, keeping two.
fn cycle(store: &FakeStore, reported: &mut u64) -> Result<()> {
    let mut log = open(store)?;
    let generation = claim(&mut log)?;
    let (mut epoch, mut files) = match newest(&log) {
        None => (0, Vec::new()),
        Some(manifest) => (manifest.epoch.0, manifest.operators[&group()].tables[0].files.clone()),
    };
    for number in 0..4 {
        epoch += 1;
        if number == 1 {
            // Given up: its files are never named.
            let name = FileName { epoch: Epoch(epoch), generation, operator: "x", table: "t", writer: WRITER };
            let mut file = store.create(&log.directory().join(name.path()), Access::Owner)?;
            file.write(b"left over")?;
            file.finish()?;
            epoch += 1;
        }
        files = full_checkpoint(store, &mut log, epoch, &files[files.len().saturating_sub(1)..])?;
        *reported = epoch;
        collect(&mut log, 2)?;
    }
    Ok(())
}

/// Every file that the log names can be read, and nothing else is there (I7).
fn check_files(store: &FakeStore, log: &JobLog) {
    let named = check_named(store, log);
    let data = log.directory().join("data");
    let there: std::collections::BTreeSet<_> =
        store.files().into_keys().filter(|path| path.starts_with(&data)).collect();
    assert_eq!(there, named);
    let log_files = store.list(&log.directory().join("log")).unwrap();
    assert!(log_files.iter().all(|file| !is_temporary(&file.path)));
}

/// Reads every file that the log names.
fn check_named(store: &FakeStore, log: &JobLog) -> std::collections::BTreeSet<PathBuf> {
    let mut named = std::collections::BTreeSet::new();
    for entry in log.entries() {
        if let LogEntry::Checkpoint(manifest) = entry {
            let table = &manifest.operators[&group()].tables[0];
            let progress = RestoreProgress::default();
            let rows = read_table(store, log.directory(), table, &(0..128), &spec(), &progress).unwrap();
            rows.for_each(|rows| drop(rows.unwrap()));
            named.extend(table.files.iter().map(|file| log.directory().join(&file.path)));
        }
    }
    named
}

#[test]
fn a_crash_at_any_operation_loses_no_checkpoint_and_leaves_no_file_behind() {
    for power_loss in [false, true] {
        for operation in 0.. {
            let store = FakeStore::new();
            let mut reported = 0;
            store.plant(operation, Fault::Crash);
            let done = cycle(&store, &mut reported).is_ok();
            if power_loss {
                store.crash();
            }
            store.restart();
            let mut log = open(&store).unwrap_or_else(|error| panic!("at {operation}: {error}"));
            if !power_loss {
                // A removal may be undone by a power loss, but a kill must not leave a manifest without its files.
                check_named(&store, &log);
            }
            let found = newest(&log).map_or(0, |manifest| manifest.epoch.0);
            assert!(found >= reported, "epoch {reported} was reported and {found} found after a crash at {operation}");
            claim(&mut log).unwrap();
            collect(&mut log, 2).unwrap();
            check_files(&store, &log);
            drop(log);
            // A power loss now must not undo what the crashed process had not come to make durable.
            cycle(&store, &mut reported).unwrap();
            store.crash();
            store.restart();
            let mut log = open(&store).unwrap();
            assert_eq!(newest(&log).unwrap().epoch.0, reported);
            claim(&mut log).unwrap();
            collect(&mut log, 2).unwrap();
            check_files(&store, &log);
            if done {
                assert!(operation > 100, "nothing was counted");
                break;
            }
        }
    }
}

#[test]
fn retention_counts_checkpoints_of_this_lineage() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    claim(&mut log).unwrap();
    let mut files = Vec::new();
    for epoch in 1..=5 {
        files = full_checkpoint(&store, &mut log, epoch, &files).unwrap();
    }
    assert_eq!(collect(&mut log, 2).unwrap(), Collected { checkpoints: 3, files: 0 }, "the last inherits all files");
    drop(log);
    let mut log = open(&store).unwrap();
    log.claim(|_, generation| Ok(Some(claim_of(generation, &"f".repeat(32))))).unwrap();
    assert_eq!(collect(&mut log, 2).unwrap(), Collected { checkpoints: 2, files: 5 }, "no way back");
    assert_eq!(open(&FakeStore::new()).unwrap().find_garbage(1).unwrap_err().blame(), Blame::Bug);
}

#[test]
fn savepoints_are_kept_beyond_retention_until_their_lineage_is_given_up() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    for epoch in 1..=5 {
        let pinned = epoch == 2 || epoch == 5;
        log.append(LogEntry::Checkpoint(Box::new(Manifest { pinned, ..manifest(epoch, generation, Vec::new()) })))
            .unwrap();
    }
    assert_eq!(collect(&mut log, 1).unwrap(), Collected { checkpoints: 2, files: 0 });
    let left: Vec<u64> = log
        .entries()
        .iter()
        .filter_map(|entry| match entry {
            LogEntry::Checkpoint(manifest) => Some(manifest.epoch.0),
            _ => None,
        })
        .collect();
    assert_eq!(left, [2, 4, 5]);
    drop(log);
    let mut log = open(&store).unwrap();
    log.claim(|_, generation| Ok(Some(claim_of(generation, &"f".repeat(32))))).unwrap();
    assert_eq!(collect(&mut log, 1).unwrap(), Collected { checkpoints: 3, files: 0 });
}

#[test]
fn discarded_checkpoints_go_with_all_their_files_and_savepoints_stay() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    let kept = log.directory().join("data/1-1/group.groups.0.0.parquet");
    let files = full_checkpoint(&store, &mut log, 1, &[]).unwrap();
    assert_eq!(log.directory().join(&files[0].path), kept);
    let pinned = Manifest { pinned: true, ..manifest(2, generation, files) };
    log.append(LogEntry::Checkpoint(Box::new(pinned))).unwrap();
    full_checkpoint(&store, &mut log, 3, &[]).unwrap();
    log.append(LogEntry::Confirm { epoch: Epoch(3) }).unwrap();
    // Of a checkpoint that never became complete.
    let name = FileName { epoch: Epoch(4), generation, operator: "group", table: "groups", writer: WRITER };
    store.create(&log.directory().join(name.path()), Access::Owner).unwrap().finish().unwrap();
    assert_eq!(log.discard().unwrap().remove().unwrap(), Collected { checkpoints: 2, files: 2 });
    let state = || store.files().into_keys().filter(|file| file.starts_with("/state/counts/data")).collect::<Vec<_>>();
    assert_eq!(state(), std::slice::from_ref(&kept));
    drop(log);
    // The next start has another lineage, and collects its own alone.
    let mut log = open(&store).unwrap();
    log.claim(|_, generation| Ok(Some(claim_of(generation, &"f".repeat(32))))).unwrap();
    assert_eq!(collect(&mut log, 1).unwrap(), Collected::default());
    assert_eq!(state(), [kept]);
}

#[test]
fn a_checkpoint_under_way_is_left_alone() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    let first = log.directory().join("data/1-1/first");
    store.create(&first, Access::Owner).unwrap().finish().unwrap();
    assert_eq!(collect(&mut log, 1).unwrap(), Collected::default());
    store.remove(&first).unwrap();
    full_checkpoint(&store, &mut log, 1, &[]).unwrap();
    let under_way = [(2, generation), (9, Generation(7))].map(|(epoch, generation)| {
        let name = FileName { epoch: Epoch(epoch), generation, operator: "x", table: "t", writer: WRITER };
        log.directory().join(name.path())
    });
    let foreign = log.directory().join("data/notes/mine.txt");
    for path in under_way.iter().chain([&foreign]) {
        store.create(path, Access::Owner).unwrap().finish().unwrap();
    }
    assert_eq!(collect(&mut log, 1).unwrap(), Collected::default());
    full_checkpoint(&store, &mut log, 3, &[]).unwrap();
    assert_eq!(collect(&mut log, 1).unwrap(), Collected { checkpoints: 1, files: 2 });
    assert!(store.files().contains_key(&under_way[1]) && store.files().contains_key(&foreign));
}

#[test]
fn files_of_prepared_commits_stay_as_long_as_their_checkpoint() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    let path = FileName { epoch: Epoch(1), generation, operator: "sink", table: "rows", writer: WRITER }.path();
    store.create(&log.directory().join(&path), Access::Owner).unwrap().finish().unwrap();
    let file = FileState {
        path,
        epoch: Epoch(1),
        groups: (0, 0),
        rows: 3,
        length: 0,
        digest: String::new(),
        newest: None,
        whole: false,
    };
    let prepared = Manifest { pending: vec![committable(1, vec![file])], ..manifest(1, generation, Vec::new()) };
    log.append(LogEntry::Checkpoint(Box::new(prepared))).unwrap();
    assert_eq!(collect(&mut log, 1).unwrap(), Collected::default());
    checkpoint(&mut log, 2, generation).unwrap();
    assert_eq!(collect(&mut log, 1).unwrap(), Collected { checkpoints: 1, files: 1 });
}

/// What bears no name of ours stays, with the directory that it stands in; so does what is held.
#[test]
fn what_is_not_ours_or_is_held_stays() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    let name = FileName { epoch: Epoch(1), generation, operator: "x", table: "t", writer: WRITER };
    let merged = FileName { writer: Writer::Compaction { number: 3, part: 0 }, ..name };
    let directory = log.directory().join(format!("data/1-{generation}"));
    let foreign = [directory.join(".nfs0001"), directory.join("notes.parquet"), directory.join("x.t.0.0.parquet/deep")];
    let ours = [&merged, &FileName { table: "u", ..name }].map(|name| log.directory().join(name.path()));
    for path in foreign.iter().chain(&ours) {
        store.create(path, Access::Owner).unwrap().finish().unwrap();
    }
    full_checkpoint(&store, &mut log, 2, &[]).unwrap();
    log.holds().hold("data/1-1/x.t.c3.");
    assert_eq!(collect(&mut log, 1).unwrap(), Collected { checkpoints: 0, files: 1 });
    log.holds().let_go("data/1-1/x.t.c3.");
    assert_eq!(collect(&mut log, 1).unwrap(), Collected { checkpoints: 0, files: 1 });
    let files = store.files();
    assert!(foreign.iter().all(|path| files.contains_key(path)), "{files:?}");
}

/// One file that cannot be removed holds up no other, and goes with the next collection.
#[test]
fn a_collection_that_fails_is_made_up_for_by_the_next() {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    for table in ["t", "u", "v"] {
        let name = FileName { epoch: Epoch(1), generation, operator: "x", table, writer: WRITER };
        store.create(&log.directory().join(name.path()), Access::Owner).unwrap().finish().unwrap();
    }
    full_checkpoint(&store, &mut log, 2, &[]).unwrap();
    let garbage = log.find_garbage(1).unwrap();
    store.plant(store.operations(), Fault::Fail);
    assert!(garbage.remove().is_err());
    assert_eq!(store.files().keys().filter(|path| path.to_string_lossy().contains("/x.")).count(), 1);
    assert_eq!(collect(&mut log, 1).unwrap(), Collected { checkpoints: 0, files: 1 });
    check_files(&store, &log);
}

/// A stopped job with two checkpoints.
fn stopped() -> FakeStore {
    let store = FakeStore::new();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    checkpoint(&mut log, 1, generation).unwrap();
    checkpoint(&mut log, 2, generation).unwrap();
    collect(&mut log, 2).unwrap();
    store
}

fn in_log(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join("counts/log").join(name)
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    for (path, bytes) in stopped().files() {
        for index in 0..bytes.len() {
            let store = stopped();
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << (index % 8);
            store.overwrite(&path, &flipped);
            assert_corrupt(open(&store), "");
            if index % 7 == 0 {
                let store = stopped();
                store.overwrite(&path, &bytes[..index]);
                assert_corrupt(open(&store), "");
            }
        }
    }
}

#[test]
fn a_missing_entry_is_noticed() {
    for (missing, expected) in [
        ("0000000001.json", "the claim of generation 1 is missing"),
        ("0000000003.json", "0000000003.json: expected a log entry, found no file"),
    ] {
        let store = stopped();
        store.remove(&in_log(missing)).unwrap();
        assert_corrupt(open(&store), expected);
    }
    // Beyond retention it is normal.
    let store = stopped();
    store.remove(&in_log("0000000002.json")).unwrap();
    assert_eq!(newest(&open(&store).unwrap()).unwrap().epoch, Epoch(2));
}

#[test]
fn a_confirmation_notices_that_its_checkpoint_is_missing() {
    let store = stopped();
    let mut log = open(&store).unwrap();
    let generation = claim(&mut log).unwrap();
    checkpoint(&mut log, 3, generation).unwrap();
    log.append(LogEntry::Finished { epoch: Epoch(3) }).unwrap();
    drop(log);
    store.remove(&in_log("0000000005.json")).unwrap();
    assert_corrupt(open(&store), "the checkpoint of epoch 3 is missing");
}

#[test]
fn swapped_and_copied_entries_are_noticed() {
    let read = |store: &FakeStore, number: u64| store.read_all(&in_log(&format!("{number:010}.json"))).unwrap();
    let store = stopped();
    let (older, newer) = (read(&store, 2), read(&store, 3));
    store.overwrite(&in_log("0000000003.json"), &older);
    assert_corrupt(open(&store), "expected the entry with SHA-256");
    store.overwrite(&in_log("0000000003.json"), &newer);
    store.overwrite(&in_log("0000000002.json"), &newer);
    assert_corrupt(open(&store), "expected an epoch after 2, found 2");
    store.overwrite(&in_log("0000000002.json"), &older);
    open(&store).unwrap();
    store.put_if_absent(&in_log("0000000004.json"), &newer).unwrap();
    assert_corrupt(open(&store), "expected an epoch after 2, found 2");
}

#[test]
fn the_log_of_another_job_is_not_taken_for_ours() {
    let store = stopped();
    let foreign = LogEntry::Claim(Claim { job: "other".to_owned(), ..claim_of(Generation(1), LINEAGE) });
    store.overwrite(&in_log("0000000001.json"), write_entry(&foreign).unwrap().0.as_bytes());
    let error = open(&store).unwrap_err();
    assert_eq!(error.id(), Some("BL-STATE-FOREIGN"));
    assert!(error.message().contains("is the log of job 'other' and not of 'counts'"), "{error}");
}

#[test]
fn entries_of_a_newer_version_are_refused_as_such() {
    let newer = |text: &str| {
        let store = stopped();
        let digest = digest(format!("{text}{DIGEST_START}{DIGEST_END}").as_bytes());
        let text = format!("{text}{DIGEST_START}{digest}{DIGEST_END}");
        store.put_if_absent(&in_log("0000000004.json"), text.as_bytes()).unwrap();
        open(&store).unwrap_err()
    };
    let error = newer("{\n  \"entry\": \"checkpoint\",\n  \"format\": 3,\n  ");
    assert_eq!(error.id(), Some("BL-STATE-VERSION"));
    assert!(error.message().contains("it has format 3, and this version reads up to 2"), "{error}");
    assert_eq!(newer("{\n  \"entry\": \"something\",\n  ").id(), Some("BL-STATE-VERSION"));
}

/// A start that begins anew does not need a single entry to be whole, and stands behind whoever still runs.
#[test]
fn a_damaged_log_does_not_stop_a_start_that_begins_anew() {
    let store = FakeStore::new();
    let mut old = open(&store).unwrap();
    let generation = claim(&mut old).unwrap();
    checkpoint(&mut old, 1, generation).unwrap();
    collect(&mut old, 1).unwrap();
    store.release_locks();
    let entry = Path::new(DIRECTORY).join("counts/log/0000000002.json");
    let whole = store.files()[&entry].clone();
    for (what, bytes) in [("cut", &whole[..whole.len() / 2]), ("empty", &[])] {
        store.overwrite(&entry, bytes);
        assert_eq!(open(&store).unwrap_err().id(), Some("BL-STATE-CORRUPT"), "{what}");
        store.release_locks();
    }

    let (mut log, damaged) = JobLog::open_anew(Arc::new(store.clone()), Path::new(DIRECTORY), "counts").unwrap();
    let damaged = damaged.expect("it is damaged");
    assert_eq!(damaged.lineages, [LINEAGE]);
    let claimed = log.claim(|entries, generation| {
        assert!(entries.is_empty());
        Ok(Some(claim_of(generation, "another")))
    });
    assert!(claimed.unwrap().unwrap().generation > generation);
    assert_eq!(checkpoint(&mut old, 2, generation).unwrap_err().id(), Some("BL-JOB-FENCED"));
    log.clear_away(&damaged).unwrap();
    store.release_locks();
    assert_eq!(open(&store).unwrap().entries().len(), 1);
}
