//! Several checkpoints in flight, and several sinks that commit.

use super::*;

/// Up to three checkpoints at once.
pub(super) fn several() -> CoordinatorConfig {
    CoordinatorConfig { min_pause: Duration::ZERO, max_concurrent: 3, ..config() }
}

#[test]
fn barriers_follow_each_other_up_to_the_most_that_may_be_in_flight() {
    let mut script = Script::new(several());
    script.at(10, &["inject 1"]);
    assert_eq!(script.coordinator.next_wakeup(), Some(seconds(20)));
    script.at(20, &["inject 2"]);
    script.at(30, &["inject 3"]);
    assert_eq!(script.coordinator.next_wakeup(), Some(seconds(70)), "the timeout of the first");
    script.at(40, &[]);
    script.acknowledge_all(1, Some("a"), &[r#"write 1 pending ["a"]"#]);
    script.step(written(1), &["commit 1", "completed 1", "inject 4"]);
    let mut script = Script::new(CoordinatorConfig { min_pause: seconds(2), ..several() });
    script.at(10, &["inject 1"]);
    script.at(20, &[]);
}

#[test]
fn a_later_completion_ends_earlier_ones_without_a_failure() {
    let mut script = Script::new(CoordinatorConfig { tolerable_failures: 0, ..several() });
    script.step(asked(1, Wanted::Checkpoint), &["inject 1"]);
    script.step(asked(2, Wanted::Checkpoint), &["inject 2"]);
    script.step(asked(3, Wanted::Checkpoint), &["inject 3"]);
    script.step(ack(1, task("sink", 0), Some("a")), &[]);
    script.step(ack(3, task("source", 0), None), &[]);
    script.acknowledge_all(2, Some("b"), &[r#"write 2 pending ["a", "b"]"#]);
    script.step(ack(1, task("source", 0), None), &[]);
    script.step(written(2), &["answer 1 with 2", "answer 2 with 2", r#"commit 2 ["a", "b"]"#, "completed 2"]);
    script.step(ack(1, task("source", 1), None), &[]);
    assert_eq!(script.coordinator.last_answer(), Some(AckAnswer::Discarded));
    script.step(ack(3, task("source", 1), None), &[]);
    script.step(ack(3, task("sink", 0), None), &[r#"write 3 pending ["a", "b"]"#]);
    script.step(written(3), &["answer 3 with 3", "completed 3"]);
}

#[test]
fn one_manifest_is_written_at_a_time_and_the_next_is_the_newest() {
    let mut script = Script::new(several());
    for id in 1..=3 {
        script.step(asked(id, Wanted::Checkpoint), &["inject"]);
    }
    script.acknowledge_all(1, Some("a"), &["write 1"]);
    script.acknowledge_all(2, Some("b"), &[]);
    script.acknowledge_all(3, Some("c"), &[]);
    script.at(1000, &[]);
    let error = Error::transient("disk full");
    let failed = |epoch| Event::ManifestFailed { epoch: Epoch(epoch), error: error.clone() };
    script.step(failed(1), &["aborted 1", "answer 1: disk full", r#"write 3 pending ["a", "b", "c"]"#, "inject 4"]);
    script.step(written(3), &["answer 2 with 3", "answer 3 with 3", r#"commit 3 ["a", "b", "c"]"#, "completed 3"]);
}

#[test]
fn one_that_is_given_up_leaves_the_others_alone_and_its_rows_to_the_next() {
    let mut script = Script::new(several());
    script.step(asked(1, Wanted::Checkpoint), &["inject 1"]);
    script.step(asked(2, Wanted::Checkpoint), &["inject 2"]);
    script.step(ack(2, task("sink", 0), Some("b")), &[]);
    let error = Error::transient("disk full");
    script.step(
        Event::Declined { epoch: Epoch(2), task: task("source", 0), error },
        &["aborted 2", "answer 2: task 0 of source: disk full"],
    );
    script.acknowledge_all(1, Some("a"), &[r#"write 1 pending ["a"]"#]);
    script.step(written(1), &["answer 1 with 1", r#"commit 1 ["a"]"#, "completed 1"]);
    script.step(asked(3, Wanted::Checkpoint), &["inject 3"]);
    script.acknowledge_all(3, None, &[r#"write 3 pending ["a", "b"]"#]);
}

#[test]
fn a_slow_sink_holds_up_no_other() {
    let to = |sink: &str, epoch: u64, text: &str| {
        let committable = Committable { sink: sink.to_owned(), epoch: Epoch(epoch), ..prepared(text) };
        let part = TaskPart { committable: Some(committable), ..TaskPart::default() };
        Event::Acknowledged { epoch: Epoch(epoch), task: task(sink, 0), part: part.into() }
    };
    let done = |sink: &str, epoch| Event::Committed { sink: sink.to_owned(), epoch: Epoch(epoch) };
    let sources = vec![task("source", 0)];
    let tasks = [sources.clone(), vec![task("slow", 0), task("quick", 0)]].concat();
    let mut script = Script::new(CoordinatorConfig { tasks, sources, ..config() });
    for epoch in 1..=2 {
        script.at(10 * epoch, &["inject"]);
        script.step(ack(epoch, task("source", 0), None), &[]);
        script.step(to("slow", epoch, &format!("s{epoch}")), &[]);
        script.step(to("quick", epoch, &format!("q{epoch}")), &["write"]);
        match epoch {
            1 => {
                let commits = [r#"commit to quick 1 ["q1"]"#, r#"commit to slow 1 ["s1"]"#, "completed 1"];
                script.step(written(1), &commits);
                script.step(done("quick", 1), &[]);
            }
            _ => script.step(written(2), &[r#"commit to quick 2 ["q2"]"#, "completed 2"]),
        }
    }
    script.step(done("quick", 2), &[]);
    script.at(30, &[]);
    assert_eq!(script.coordinator.next_wakeup(), None, "two epochs of one sink are not committed");
    script.step(done("slow", 1), &[r#"commit to slow 2 ["s2"]"#, "inject 3"]);
}
