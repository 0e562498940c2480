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

#[test]
fn a_manifest_says_what_is_public_of_each_sink_and_task() {
    let tasks = vec![task("source", 0), task("sink", 0), task("sink", 1), task("other", 0)];
    let mut base = base();
    base.confirm(&[Committable { task: 7, epoch: Epoch(1), ..prepared("by a former start") }]);
    let base = Manifest { epoch: Epoch(2), ..base };
    let config = CoordinatorConfig { tasks, sources: vec![task("source", 0)], base, ..several() };
    let mut script = Script::new(config);
    script.now = seconds(5);
    // Epochs 3, 4, 5: both sinks write for the first, task 1 of `sink` for the second.
    let mut checkpoint = |epoch: u64, writing: &[(&str, usize)], committed: &[(&str, u64)]| {
        let at = |sink: &str, epoch| Event::Committed { sink: sink.to_owned(), epoch: Epoch(epoch) };
        script.coordinator.step(script.now, asked(epoch, Wanted::Checkpoint));
        let mut manifest = None;
        for of in script.coordinator.config.tasks.clone() {
            let writes = writing.contains(&(of.node.as_str(), of.task));
            let (sink, rows) = (of.node.clone(), format!("{epoch}"));
            let committable = Committable { sink, task: of.task, epoch: Epoch(epoch), ..prepared(&rows) };
            let part = TaskPart { committable: writes.then_some(committable), ..TaskPart::default() };
            let event = Event::Acknowledged { epoch: Epoch(epoch), task: of, part: Box::new(part) };
            for action in script.coordinator.step(script.now, event) {
                let Action::WriteManifest(written) = action else { panic!("{action:?}") };
                manifest = Some(*written);
            }
        }
        script.coordinator.step(script.now, written(epoch));
        for (sink, epoch) in committed {
            script.coordinator.step(script.now, at(sink, *epoch));
        }
        let sinks = manifest.expect("a manifest").sinks.into_iter();
        let confirmed = |(sink, state): (String, SinkState)| {
            let confirmed = state.confirmed.into_iter().map(|(task, epoch)| (task, epoch.0)).collect();
            (sink, confirmed)
        };
        sinks.map(confirmed).collect::<Vec<(String, Vec<(usize, u64)>)>>()
    };
    let of = |sink: &str, confirmed: &[(usize, u64)]| (sink.to_owned(), confirmed.to_vec());
    // What is committed after a manifest is in the next one.
    let first = checkpoint(3, &[("sink", 0), ("sink", 1), ("other", 0)], &[("sink", 3)]);
    assert_eq!(first, [of("sink", &[(7, 1)])]);
    let second = checkpoint(4, &[("sink", 1)], &[("sink", 4), ("other", 3)]);
    assert_eq!(second, [of("sink", &[(0, 3), (1, 3), (7, 1)])]);
    let third = checkpoint(5, &[], &[]);
    assert_eq!(third, [of("other", &[(0, 3)]), of("sink", &[(0, 3), (1, 4), (7, 1)])]);
}
