//! What is asked for is answered, by a checkpoint that began behind the question or with a reason.

use super::several::several;
use super::*;

const STOP_WITH_SAVEPOINT: Wanted = Wanted::Stop { savepoint: true, target: None, drain: false };

#[test]
fn requests_are_served_at_once_and_together() {
    let mut script = Script::new(CoordinatorConfig { interval: None, ..config() });
    assert_eq!(script.coordinator.next_wakeup(), None);
    script.step(asked(1, Wanted::Checkpoint), &["inject 1 Checkpoint"]);
    script.step(asked(2, Wanted::Checkpoint), &[]);
    script.step(asked(3, savepoint()), &[]);
    script.step(Event::CheckpointDue, &[]);
    script.acknowledge_all(1, None, &["write 1"]);
    // The barrier of epoch 1 was out before the others asked.
    script.step(written(1), &["answer 1 with 1", "completed 1", "inject 2 Savepoint"]);
    script.acknowledge_all(2, None, &["write 2"]);
    script.step(written(2), &["answer 2 with 2", "answer 3 with 2", "completed 2"]);
}

#[test]
fn a_request_is_told_that_its_checkpoint_failed() {
    let mut script = Script::new(config());
    script.step(asked(7, Wanted::Checkpoint), &["inject 1 Checkpoint"]);
    script.at(60, &["aborted 1", "answer 7: checkpoint 1 was not complete within 60000 ms"]);
    script.step(asked(8, Wanted::Checkpoint), &["inject 2 Checkpoint"]);
}

#[test]
fn a_request_that_meets_the_end_is_answered_by_the_last_checkpoint() {
    let mut script = Script::new(config());
    script.at(10, &["inject 1"]);
    script.step(asked(1, Wanted::Checkpoint), &[]);
    script.step(Event::SourceEnded(task("source", 0)), &[]);
    script.step(Event::SourceEnded(task("source", 1)), &[]);
    script.acknowledge_all(1, None, &["write 1"]);
    script.step(written(1), &["completed 1", "inject 2 Drain"]);
    script.step(asked(2, Wanted::Checkpoint), &[]);
    script.acknowledge_all(2, None, &["write 2"]);
    script.step(asked(3, savepoint()), &[]);
    script.step(written(2), &["answer 1 with 2", "answer 2 with 2", "answer 3 with 2", "completed 2", "finished 2"]);
    script.step(asked(4, Wanted::Checkpoint), &["answer 4 with 2"]);
    script.step(asked(5, savepoint()), &["answer 5 with 2"]);
    script.step(asked(6, STOP_WITH_SAVEPOINT), &["answer 6 with 2"]);
    script.step(Event::EndWritten, &["done"]);
}

#[test]
fn rows_behind_the_barrier_of_a_stop_are_in_no_checkpoint() {
    let mut script = Script::new(config());
    script.step(stop(), &["inject 1 Stop"]);
    script.step(asked(1, Wanted::Checkpoint), &["answer 1: job job is stopping already"]);
}

#[test]
fn a_stop_with_a_savepoint_is_kept_and_answered_at_the_end() {
    let mut script = Script::new(config());
    script.step(asked(1, STOP_WITH_SAVEPOINT), &["inject 1 Stop"]);
    script.step(asked(2, STOP_WITH_SAVEPOINT), &["answer 2: job job is stopping already"]);
    let mut actions = Vec::new();
    for task in script.coordinator.config.tasks.clone() {
        actions.extend(script.coordinator.step(script.now, ack(1, task, None)));
    }
    assert!(matches!(&actions[..], [Action::WriteManifest(manifest)] if manifest.pinned), "{actions:?}");
    script.step(written(1), &["completed 1", "confirm 1"]);
    script.step(Event::EndWritten, &["answer 1 with 1", "done"]);
    let mut script = Script::new(CoordinatorConfig { durable: false, ..config() });
    script.step(asked(1, STOP_WITH_SAVEPOINT), &["answer 1: job job keeps no checkpoints"]);
    assert!(!script.coordinator.is_stopping());
}

/// Its files are copied, so that the job need not keep them.
#[test]
fn a_savepoint_in_a_directory_of_its_own_is_not_kept_among_the_checkpoints() {
    let target = || Some("here".into());
    for what in
        [Wanted::Savepoint { target: target() }, Wanted::Stop { savepoint: true, target: target(), drain: false }]
    {
        let mut script = Script::new(config());
        script.coordinator.step(script.now, asked(1, what.clone()));
        let mut actions = Vec::new();
        for task in script.coordinator.config.tasks.clone() {
            actions.extend(script.coordinator.step(script.now, ack(1, task, None)));
        }
        assert!(matches!(&actions[..], [Action::WriteManifest(manifest)] if !manifest.pinned), "{what:?}: {actions:?}");
    }
}

/// A checkpoint between the end of time and the last barrier would hold windows that have fired beside sources that go on.
#[test]
fn a_stop_that_drains_ends_the_sources_and_sends_no_barrier_before_all_have_ended() {
    let mut script = Script::new(config());
    let drain = Wanted::Stop { savepoint: true, target: None, drain: true };
    script.step(asked(1, drain.clone()), &["end sources"]);
    assert!(script.coordinator.is_stopping());
    script.step(asked(2, Wanted::Checkpoint), &[]);
    script.step(asked(3, drain), &[]);
    script.step(Event::SourceEnded(task("source", 0)), &[]);
    script.at(30, &[]);
    script.step(Event::SourceEnded(task("source", 1)), &["inject 1 Drain"]);
    let mut actions = Vec::new();
    for task in script.coordinator.config.tasks.clone() {
        actions.extend(script.coordinator.step(script.now, ack(1, task, None)));
    }
    let is_kept = |manifest: &Manifest| manifest.pinned && manifest.drained;
    assert!(matches!(&actions[..], [Action::WriteManifest(manifest)] if is_kept(manifest)), "{actions:?}");
    script.step(written(1), &["answer 2 with 1", "completed 1", "finished 1"]);
    script.step(Event::EndWritten, &["answer 1 with 1", "answer 3 with 1", "done"]);
}

#[test]
fn a_savepoint_is_pinned_also_by_the_checkpoint_that_takes_its_place() {
    let mut script = Script::new(CoordinatorConfig { interval: None, ..several() });
    script.step(asked(1, savepoint()), &["inject 1 Savepoint"]);
    script.step(asked(2, Wanted::Checkpoint), &["inject 2 Checkpoint"]);
    let mut actions = Vec::new();
    for task in script.coordinator.config.tasks.clone() {
        actions.extend(script.coordinator.step(script.now, ack(2, task, None)));
    }
    assert!(matches!(&actions[..], [Action::WriteManifest(manifest)] if manifest.pinned), "{actions:?}");
    script.step(written(2), &["answer 1 with 2", "answer 2 with 2", "completed 2"]);
}
