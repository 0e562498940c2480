//! What a start decides about prepared rows by what it finds in the directory: each row of the table, and crashes with
//! two sinks in one directory.

use super::*;
use crate::connectors::Committer;
use crate::storage::LocalStore;

/// Prepares two files of one epoch: rows 0, 1 and rows 2, 3.
async fn two_files(store: &FakeStore, epoch: u64) -> Committable {
    let mut writer = writer(&out(&[("sink.rolling-policy.file-size", "4 b")]), store, 1, 0);
    writer.write(&rows(0..2)).await.unwrap();
    writer.write(&rows(2..4)).await.unwrap();
    writer.prepare(Epoch(epoch)).await.unwrap().unwrap()
}

fn name(committable: &Committable, file: usize, which: &str) -> PathBuf {
    Path::new("out").join(committable.payload["files"][file][which].as_str().unwrap())
}

async fn recover(store: &FakeStore, history: History, pending: &[Committable]) -> Result<()> {
    committer(store, 2).recover(&history, pending).await
}

/// A refusal, which must have changed nothing.
async fn refused(store: &FakeStore, history: History, pending: &[Committable], id: &str) -> String {
    let before = store.files();
    let error = recover(store, history, pending).await.expect_err(id);
    assert_eq!((error.id(), error.is_retryable()), (Some(id), false), "{error}");
    assert_eq!(store.files(), before, "a refusal changes nothing");
    error.helps().iter().fold(error.message().to_owned(), |text, help| format!("{text}\n{help}"))
}

/// Does what a message says: makes the marker that it names.
fn touch(store: &FakeStore, message: &str) {
    let path = message.rsplit("touch '").next().unwrap().split('\'').next().unwrap();
    put(store, &format!("out/{}", Path::new(path).file_name().unwrap().to_str().unwrap()), "");
}

#[tokio::test]
async fn pending_rows_are_published_and_marked() {
    let store = FakeStore::new();
    let staged = two_files(&store, 3).await;
    recover(&store, from(3, 0), &[staged]).await.unwrap();
    assert_eq!(visible(&store).into_values().collect::<String>(), "0\n1\n2\n3\n");
    assert_eq!(hidden(&store), [marker(3)]);
}

#[tokio::test]
async fn a_part_that_stands_there_was_published_before_the_crash() {
    let store = FakeStore::new();
    let staged = two_files(&store, 3).await;
    store.rename_if_absent(&name(&staged, 0, "pending"), &name(&staged, 0, "final")).unwrap();
    recover(&store, from(3, 0), &[staged]).await.unwrap();
    assert_eq!((visible(&store).len(), hidden(&store)), (2, vec![marker(3)]));
}

#[tokio::test]
async fn rows_that_are_neither_pending_nor_public_are_lost_and_nothing_else_is_published() {
    let store = FakeStore::new();
    let staged = two_files(&store, 3).await;
    store.remove(&name(&staged, 1, "pending")).unwrap();
    let said = refused(&store, from(3, 0), std::slice::from_ref(&staged), "BL-SINK-LOST").await;
    assert!(said.starts_with("2 rows that checkpoint 3 holds prepared are neither pending nor public in"), "{said}");
    assert!(said.contains(name(&staged, 1, "pending").file_name().unwrap().to_str().unwrap()), "{said}");
    // A part file with other content is not what was prepared.
    put(&store, name(&staged, 1, "final").to_str().unwrap(), "7\n8\n");
    refused(&store, from(3, 0), std::slice::from_ref(&staged), "BL-SINK-LOST").await;
    store.remove(&name(&staged, 1, "final")).unwrap();
    // Whoever took them away knows that they were public.
    touch(&store, &said);
    recover(&store, from(3, 0), &[staged]).await.unwrap();
    assert_eq!(visible(&store).into_values().collect::<String>(), "0\n1\n");
}

/// Whoever finds a marker takes what it covers for public, so that it comes last: behind a crash at any operation of a
/// commit or of a start, all rows of its epoch are there.
#[tokio::test]
async fn a_marker_never_says_more_than_is_public() {
    for is_start in [false, true] {
        let mut operation = 0;
        loop {
            let store = FakeStore::new();
            let staged = two_files(&store, 3).await;
            let mut committer = committer(&store, 1);
            store.plant(store.operations() + operation, Fault::Crash);
            let ended = match is_start {
                true => committer.recover(&from(3, 0), &[staged]).await,
                false => committer.commit(Epoch(3), &[staged]).await,
            };
            let is_crashed = store.is_crashed();
            assert_eq!(ended.is_err(), is_crashed);
            store.crash();
            store.restart();
            let public = visible(&store).into_values().collect::<String>();
            if hidden(&store).contains(&marker(3)) {
                assert_eq!(public, "0\n1\n2\n3\n", "a start: {is_start}, operation {operation}");
            } else {
                assert!(is_crashed, "no marker, a start: {is_start}");
            }
            if !is_crashed {
                break;
            }
            operation += 1;
        }
        assert!(operation > 5, "a start: {is_start}, {operation} operations");
    }
}

#[tokio::test]
async fn what_the_marker_covers_may_have_been_taken_away() {
    let store = FakeStore::new();
    let staged = two_files(&store, 3).await;
    committer(&store, 1).commit(Epoch(3), std::slice::from_ref(&staged)).await.unwrap();
    store.remove(&name(&staged, 0, "final")).unwrap();
    put(&store, &format!("{}.gz", name(&staged, 1, "final").display()), "packed");
    store.remove(&name(&staged, 1, "final")).unwrap();
    recover(&store, from(3, 0), std::slice::from_ref(&staged)).await.unwrap();
    recover(&store, from(3, 4), &[]).await.unwrap();
    // Also a process that was overtaken, and commits what another has committed and a consumer has taken.
    committer(&store, 1).commit(Epoch(3), &[staged]).await.unwrap();
    assert_eq!(hidden(&store), [marker(3)]);
}

#[tokio::test]
async fn the_first_commit_of_a_process_finds_its_files_or_stops() {
    for is_durable in [true, false] {
        let store = FakeStore::new();
        let staged = two_files(&store, 3).await;
        store.remove(&name(&staged, 0, "pending")).unwrap();
        let context = SinkContext { is_durable, ..context(1) };
        let mut committer = FileSystem.sink(&out(&[])).unwrap().committer(&context, &world(&store)).unwrap();
        let error = committer.commit(Epoch(3), &[staged]).await.unwrap_err();
        assert_eq!(error.id(), Some("BL-SINK-LOST"), "{error}");
        assert_eq!(visible(&store).len(), 0, "nothing else is published");
        assert_eq!(error.helps().len(), if is_durable { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_commit_that_failed_half_way_goes_on_though_a_consumer_was_quick() {
    let store = FakeStore::new();
    let staged = two_files(&store, 3).await;
    let mut committer = committer(&store, 1);
    put(&store, name(&staged, 1, "final").to_str().unwrap(), "somebody else's");
    assert!(committer.commit(Epoch(3), std::slice::from_ref(&staged)).await.is_err());
    store.remove(&name(&staged, 0, "final")).unwrap();
    store.remove(&name(&staged, 1, "final")).unwrap();
    committer.commit(Epoch(3), &[staged]).await.unwrap();
    assert_eq!(visible(&store).into_values().collect::<String>(), "2\n3\n");
}

#[tokio::test]
async fn output_that_is_ahead_of_the_checkpoint_stops_the_start() {
    let store = FakeStore::new();
    let staged = two_files(&store, 3).await;
    committer(&store, 1).commit(Epoch(3), &[staged]).await.unwrap();
    let said = refused(&store, from(2, 0), &[], "BL-SINK-AHEAD").await;
    assert!(said.contains("holds rows of checkpoint 3 of this job, which goes on from checkpoint 2"), "{said}");
    refused(&store, History::default(), &[], "BL-SINK-AHEAD").await;
    // The marker alone says it too, and so do part files alone.
    let files = store.files();
    for path in files.keys().filter(|path| !path.to_str().unwrap().contains("/.")) {
        store.remove(path).unwrap();
    }
    refused(&store, from(2, 0), &[], "BL-SINK-AHEAD").await;
    let store = FakeStore::new();
    put(&store, &format!("out/part-{LINEAGE}-{}-0-3-1", sink_digits()), "1\n");
    refused(&store, from(2, 0), &[], "BL-SINK-AHEAD").await;
    // Another sink, another lineage: not this one's business.
    put(&store, &format!("out/part-{LINEAGE}-00000000-0-9"), "1\n");
    put(&store, "out/.committed-ffffffffffffffffffffffffffffffff-00000000-9", "");
    recover(&store, from(3, 0), &[]).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_forgot_its_rows_stops_the_start() {
    let store = FakeStore::new();
    let said = refused(&store, from(5, 700), &[], "BL-SINK-GONE").await;
    assert!(said.starts_with("700 rows of this job were public when checkpoint 5 was made, and"), "{said}");
    // Nothing had been written to this sink: an empty place is what it was.
    recover(&store, from(5, 0), &[]).await.unwrap();
    touch(&store, &said);
    recover(&store, from(5, 700), &[]).await.unwrap();
    // With rows prepared there, the message counts them too, and the marker that it names covers them.
    let store = FakeStore::new();
    let staged = two_files(&store, 6).await;
    for file in [0, 1] {
        store.remove(&name(&staged, file, "pending")).unwrap();
    }
    let said = refused(&store, from(6, 700), std::slice::from_ref(&staged), "BL-SINK-GONE").await;
    assert!(said.contains("4 further rows that were prepared are missing as well"), "{said}");
    touch(&store, &said);
    recover(&store, from(6, 700), &[staged]).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_older_than_the_checkpoints_stops_the_start() {
    let store = FakeStore::new();
    let staged = two_files(&store, 3).await;
    committer(&store, 1).commit(Epoch(3), &[staged]).await.unwrap();
    let history = History { confirmed: Some(Epoch(7)), ..from(9, 700) };
    let said = refused(&store, history, &[], "BL-SINK-BEHIND").await;
    assert!(
        said.starts_with(
            "when checkpoint 9 was made, rows up to checkpoint 7 of this job were public, 700 in all, and"
        ),
        "{said}"
    );
    assert!(said.contains("holds those up to checkpoint 3 only"), "{said}");
    // What was prepared since is missing as well: one message says all, and its marker covers all.
    let staged = two_files(&store, 8).await;
    for file in [0, 1] {
        store.remove(&name(&staged, file, "pending")).unwrap();
    }
    let said = refused(&store, history, std::slice::from_ref(&staged), "BL-SINK-BEHIND").await;
    assert!(said.contains("4 further rows that were prepared are missing as well"), "{said}");
    touch(&store, &said);
    recover(&store, history, &[staged]).await.unwrap();
    assert_eq!(hidden(&store), [marker(9)]);
    // A marker of the epoch itself, or of one that the checkpoint does not know to be public yet, is as it should be.
    for epoch in [7, 8] {
        let store = FakeStore::new();
        put(&store, &format!("out/{}", marker(epoch)), "");
        recover(&store, history, &[]).await.unwrap();
    }
}

#[tokio::test]
async fn a_check_says_what_recovery_would_refuse_and_publishes_nothing() {
    let store = FakeStore::new();
    let staged = two_files(&store, 3).await;
    let before = store.files();
    let mut committer = committer(&store, 2);
    committer.check(&from(3, 0), std::slice::from_ref(&staged)).await.unwrap();
    assert_eq!(store.files(), before);
    let error = committer.check(&from(3, 700), &[staged]).await.unwrap_err();
    assert_eq!(error.id(), Some("BL-SINK-GONE"));
    assert_eq!(store.files(), before);
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_named_in_full() {
    let store = FakeStore::new();
    let staged = two_files(&store, 3).await;
    let elsewhere = table(&[("path", "other/out"), ("format", "csv")], &[]);
    let mut committer = FileSystem.sink(&elsewhere).unwrap().committer(&context(2), &world(&store)).unwrap();
    let error = committer.recover(&from(3, 0), std::slice::from_ref(&staged)).await.unwrap_err();
    assert_eq!(error.id(), Some("BL-SINK-LOST"));
    let before = std::path::absolute("out").unwrap();
    assert!(error.message().contains(&format!("the job wrote to '{}' before", before.display())), "{error}");
    assert_eq!(visible(&store).len(), 0);
    recover(&store, from(3, 0), &[staged]).await.unwrap();
}

#[tokio::test]
async fn rows_of_the_next_epoch_are_written_while_the_last_become_durable() {
    let store = FakeStore::new();
    let mut writer = writer(&out(&[]), &store, 1, 0);
    writer.write(&rows(0..2)).await.unwrap();
    let first = writer.prepare(Epoch(1));
    writer.write(&rows(2..3)).await.unwrap();
    let second = writer.prepare(Epoch(2));
    writer.write(&rows(3..4)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    let first = first.await.unwrap().unwrap();
    assert_eq!((first.rows, second.rows), (2, 1));
    let mut committer = committer(&store, 1);
    committer.commit(Epoch(1), &[first]).await.unwrap();
    committer.commit(Epoch(2), &[second]).await.unwrap();
    assert_eq!(visible(&store).into_values().collect::<Vec<_>>(), ["0\n1\n", "2\n"]);
}

/// The sinks of one job, in the order in which a start recovers them.
fn committers(store: &FakeStore, generation: u64) -> Vec<Box<dyn Committer>> {
    let sink = FileSystem.sink(&out(&[])).unwrap();
    let of = |name: &str| {
        let context = SinkContext { sink: name.to_owned(), ..context(generation) };
        sink.committer(&context, &world(store)).unwrap()
    };
    ["one", "two"].map(of).into()
}

/// Prepares `rows` in a sink of its own name.
async fn prepared(store: &FakeStore, sink: &str, task: usize, numbers: std::ops::Range<i64>) -> Committable {
    let context = SinkContext { sink: sink.to_owned(), ..context(1) };
    let mut writer = FileSystem.sink(&out(&[])).unwrap().writer(task, &context, &world(store)).unwrap();
    writer.write(&rows(numbers)).await.unwrap();
    writer.prepare(Epoch(1)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_crash_between_two_sinks_of_one_directory_loses_and_doubles_nothing() {
    for fault in [Fault::Crash, Fault::Fail, Fault::LostReply] {
        for operation in 0.. {
            let store = FakeStore::new();
            let staged = [prepared(&store, "one", 0, 0..2).await, prepared(&store, "two", 0, 2..4).await];
            let _unfinished = prepared(&store, "two", 1, 4..5).await;
            let before = store.operations();
            store.plant(before + operation, fault);
            for (committer, staged) in committers(&store, 2).iter_mut().zip(&staged) {
                let _ = committer.recover(&from(1, 0), std::slice::from_ref(staged)).await;
            }
            let done = store.operations() <= before + operation;
            if fault == Fault::Crash {
                store.crash();
            }
            store.restart();
            for (committer, staged) in committers(&store, 3).iter_mut().zip(&staged) {
                committer.recover(&from(1, 0), std::slice::from_ref(staged)).await.unwrap();
            }
            let all: String = visible(&store).into_values().collect();
            let mut lines: Vec<&str> = all.lines().collect();
            lines.sort_unstable();
            assert_eq!(lines, ["0", "1", "2", "3"], "{fault:?} at operation {operation}");
            assert_eq!(hidden(&store).len(), 2, "two markers");
            if done {
                assert!(operation > 10);
                break;
            }
        }
    }
}
