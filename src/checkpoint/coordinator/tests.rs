//! The coordinator by scripts and, under random orders of events, against a driver that keeps its own books.

mod merging;
mod requests;
mod several;

use super::*;
use crate::stream::Generation;
use proptest::prelude::*;
use serde_json::json;

fn task(node: &str, task: usize) -> TaskId {
    TaskId { node: node.to_owned(), task }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn base() -> Manifest {
    Manifest {
        format: crate::state::FORMAT_VERSION,
        build: String::new(),
        job: "job".to_owned(),
        lineage: "0".repeat(32),
        generation: Generation(1),
        epoch: Epoch::ZERO,
        parent: String::new(),
        hash_id: crate::state::HASH_ID.to_owned(),
        max_parallelism: 128,
        parallelism: 2,
        operators: BTreeMap::new(),
        sinks: BTreeMap::new(),
        pending: Vec::new(),
        pinned: false,
        drained: false,
        digest: String::new(),
    }
}

/// Two source tasks and a sink; an interval of 10 s, a pause of 2 s, a timeout of 60 s.
fn config() -> CoordinatorConfig {
    let sources = vec![task("source", 0), task("source", 1)];
    CoordinatorConfig {
        tasks: [sources.clone(), vec![task("sink", 0)]].concat(),
        sources,
        base: base(),
        interval: Some(seconds(10)),
        min_pause: seconds(2),
        timeout: seconds(60),
        tolerable_failures: 1,
        max_concurrent: 1,
        compact: |table| (table.files.len() > 3).then_some(0..2),
        is_overgrown: |table| table.files.len() > 6,
        max_pending_epochs: 2,
        durable: true,
    }
}

/// The actions in short, for comparison.
fn short(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            Action::EndSources => "end sources".to_owned(),
            Action::Inject(barrier) => format!("inject {} {:?}", barrier.epoch, barrier.kind),
            Action::WriteManifest(manifest) => {
                format!("write {} pending {:?}", manifest.epoch, texts(&manifest.pending))
            }
            Action::Commit { sink, epoch, committables } => {
                let to = if sink == "sink" { String::new() } else { format!("to {sink} ") };
                format!("commit {to}{epoch} {:?}", texts(committables))
            }
            Action::Completed { epoch } => format!("completed {epoch}"),
            Action::Aborted { epoch, .. } => format!("aborted {epoch}"),
            Action::Compact { table, state, run } => {
                let files = state.files[run.clone()].iter().map(|file| file.path.as_str());
                format!("compact {} {}", table.table, files.collect::<String>())
            }
            Action::Answer { id, result: Ok(epoch) } => format!("answer {id} with {epoch}"),
            Action::Answer { id, result: Err(error) } => format!("answer {id}: {error}"),
            Action::WriteConfirm { epoch } => format!("confirm {epoch}"),
            Action::WriteFinished { epoch } => format!("finished {epoch}"),
            Action::Done => "done".to_owned(),
            Action::Fail(error) => format!("fail: {error}"),
        })
        .collect()
}

struct Script {
    coordinator: Coordinator,
    now: Duration,
}

impl Script {
    fn new(config: CoordinatorConfig) -> Self {
        Self { coordinator: Coordinator::new(config, Duration::ZERO), now: Duration::ZERO }
    }

    #[track_caller]
    fn step(&mut self, event: Event, expected: &[&str]) {
        let actions = short(&self.coordinator.step(self.now, event));
        let is_same = actions.len() == expected.len()
            && actions.iter().zip(expected).all(|(action, start)| action.starts_with(start));
        assert!(is_same, "{actions:?} is not {expected:?}");
    }

    #[track_caller]
    fn at(&mut self, second: u64, expected: &[&str]) {
        self.now = seconds(second);
        self.step(Event::Tick, expected);
    }

    /// All three acknowledge; the sink with a committable, if given.
    #[track_caller]
    fn acknowledge_all(&mut self, epoch: u64, committable: Option<&str>, expected: &[&str]) {
        self.step(ack(epoch, task("source", 0), None), &[]);
        self.step(ack(epoch, task("source", 1), None), &[]);
        self.step(ack(epoch, task("sink", 0), committable), expected);
    }
}

fn ack(epoch: u64, task: TaskId, committable: Option<&str>) -> Event {
    let part = TaskPart { committable: committable.map(prepared), ..TaskPart::default() };
    Event::Acknowledged { epoch: Epoch(epoch), task, part: Box::new(part) }
}

fn written(epoch: u64) -> Event {
    Event::ManifestWritten { epoch: Epoch(epoch), digest: format!("digest {epoch}") }
}

fn committed(epoch: u64) -> Event {
    Event::Committed { sink: "sink".to_owned(), epoch: Epoch(epoch) }
}

fn asked(id: u64, what: Wanted) -> Event {
    Event::Requested(Request { id, what })
}

/// A stop whose answer is that of request 0.
fn stop() -> Event {
    asked(0, Wanted::STOP)
}

fn savepoint() -> Wanted {
    Wanted::Savepoint { target: None }
}

#[test]
fn periodic_checkpoints_keep_the_interval_and_the_pause() {
    let mut script = Script::new(config());
    assert_eq!(script.coordinator.next_wakeup(), Some(seconds(10)));
    script.at(9, &[]);
    script.at(10, &["inject 1 Checkpoint"]);
    assert_eq!(script.coordinator.next_wakeup(), Some(seconds(70)), "the timeout");
    script.at(19, &[]);
    script.acknowledge_all(1, None, &["write 1 pending []"]);
    assert_eq!(script.coordinator.next_wakeup(), None);
    script.step(written(1), &["completed 1"]);
    assert_eq!(script.coordinator.next_wakeup(), Some(seconds(21)), "ten after the trigger, but two after the end");
    script.at(20, &[]);
    script.at(21, &["inject 2 Checkpoint"]);
}

#[test]
fn acknowledgements_are_answered() {
    let mut script = Script::new(config());
    script.at(10, &["inject 1"]);
    let mut answer = |epoch, task| {
        script.coordinator.step(seconds(10), ack(epoch, task, None));
        script.coordinator.last_answer().unwrap()
    };
    assert_eq!(answer(1, task("source", 0)), AckAnswer::Ok);
    assert_eq!(answer(1, task("source", 0)), AckAnswer::Duplicate);
    assert_eq!(answer(2, task("source", 0)), AckAnswer::Unknown);
    assert_eq!(answer(0, task("source", 0)), AckAnswer::Unknown);
    assert_eq!(answer(1, task("stranger", 0)), AckAnswer::Unknown);
    script.at(70, &["aborted 1"]);
    script.at(72, &["inject 2"]);
    let mut answer = |epoch, task| {
        script.coordinator.step(seconds(70), ack(epoch, task, None));
        script.coordinator.last_answer().unwrap()
    };
    assert_eq!(answer(1, task("source", 0)), AckAnswer::Duplicate);
    assert_eq!(answer(1, task("source", 1)), AckAnswer::Discarded);
    assert_eq!(answer(1, task("source", 1)), AckAnswer::Duplicate);
}

#[test]
fn commits_follow_the_manifest_in_order_and_hold_up_only_the_trigger() {
    let mut script = Script::new(config());
    script.at(10, &["inject 1"]);
    script.acknowledge_all(1, Some("a"), &[r#"write 1 pending ["a"]"#]);
    script.step(written(1), &[r#"commit 1 ["a"]"#, "completed 1"]);
    script.at(20, &["inject 2"]);
    script.acknowledge_all(2, Some("b"), &[r#"write 2 pending ["a", "b"]"#]);
    script.step(written(2), &["completed 2"]);
    script.at(30, &[]);
    script.at(40, &[]);
    assert_eq!(script.coordinator.next_wakeup(), None, "two epochs are not committed");
    script.step(committed(1), &[r#"commit 2 ["b"]"#, "inject 3"]);
    script.step(committed(2), &[]);
    script.acknowledge_all(3, None, &["write 3 pending []"]);
}

#[test]
fn rows_prepared_for_a_given_up_checkpoint_are_committed_with_the_next() {
    let mut script = Script::new(CoordinatorConfig { tolerable_failures: 9, ..config() });
    script.at(10, &["inject 1"]);
    script.step(ack(1, task("sink", 0), Some("a")), &[]);
    let error = Error::transient("disk full");
    script.step(Event::Declined { epoch: Epoch(1), task: task("source", 0), error: error.clone() }, &["aborted 1"]);
    script.at(20, &["inject 2"]);
    script.at(80, &["aborted 2"]);
    script.at(82, &["inject 3"]);
    script.step(ack(2, task("sink", 0), Some("b")), &[]);
    script.acknowledge_all(3, Some("c"), &[r#"write 3 pending ["a", "b", "c"]"#]);
    script.step(Event::ManifestFailed { epoch: Epoch(3), error }, &["aborted 3"]);
    script.at(92, &["inject 4"]);
    let all = r#"["a", "b", "c", "d"]"#;
    script.acknowledge_all(4, Some("d"), &[&format!("write 4 pending {all}")]);
    script.step(written(4), &[&format!("commit 4 {all}"), "completed 4"]);
    script.step(ack(2, task("sink", 0), Some("b")), &[]);
    script.step(committed(4), &[]);
    script.at(102, &["inject 5"]);
    script.acknowledge_all(5, None, &["write 5 pending []"]);
}

#[test]
fn an_acknowledgement_that_comes_too_late_for_its_rows_is_not_swallowed() {
    let mut script = Script::new(config());
    script.at(10, &["inject 1"]);
    script.at(70, &["aborted 1"]);
    script.at(72, &["inject 2"]);
    script.acknowledge_all(2, None, &["write 2"]);
    script.step(written(2), &["completed 2"]);
    script
        .step(ack(1, task("sink", 0), Some("lost")), &["fail: task 0 of sink acknowledged epoch 1 after a later one"]);
}

#[test]
fn failures_in_a_row_beyond_tolerance_end_the_job() {
    let mut script = Script::new(config());
    let declined =
        |epoch| Event::Declined { epoch: Epoch(epoch), task: task("sink", 0), error: Error::transient("no space") };
    script.at(10, &["inject 1"]);
    script.step(declined(1), &["aborted 1"]);
    script.at(20, &["inject 2"]);
    script.acknowledge_all(2, None, &["write 2"]);
    script.step(written(2), &["completed 2"]);
    script.at(30, &["inject 3"]);
    script.step(declined(3), &["aborted 3"]);
    script.step(declined(3), &[]);
    script.at(40, &["inject 4"]);
    script.at(100, &["aborted 4", "fail: 2 checkpoints in a row failed, the last of them 4: checkpoint 4 was not"]);
    script.at(200, &[]);
    assert_eq!(script.coordinator.next_wakeup(), None);
}

#[test]
fn a_fenced_writer_stops_at_once() {
    let mut script = Script::new(CoordinatorConfig { tolerable_failures: 9, ..config() });
    script.at(10, &["inject 1"]);
    script.acknowledge_all(1, None, &["write 1"]);
    let failed = Event::ManifestFailed { epoch: Epoch(1), error: Error::fenced("a newer start owns the job") };
    script.step(failed, &["aborted 1", "fail: a newer start"]);
}

#[test]
fn a_manifest_on_its_way_is_not_timed_out() {
    let mut script = Script::new(config());
    script.at(10, &["inject 1"]);
    script.acknowledge_all(1, None, &["write 1"]);
    script.at(1000, &[]);
    script.step(written(1), &["completed 1"]);
}

#[test]
fn a_stop_waits_for_the_checkpoint_in_flight_and_ends_with_a_confirm_entry() {
    let mut script = Script::new(config());
    script.at(10, &["inject 1"]);
    script.step(stop(), &[]);
    script.acknowledge_all(1, Some("a"), &["write 1"]);
    script.step(written(1), &["commit 1", "completed 1", "inject 2 Stop"]);
    script.step(Event::SourceEnded(task("source", 0)), &[]);
    script.step(Event::SourceEnded(task("source", 1)), &[]);
    script.acknowledge_all(2, Some("b"), &["write 2"]);
    script.step(written(2), &["completed 2"]);
    script.at(100, &[]);
    script.step(committed(1), &["commit 2"]);
    script.step(committed(2), &["confirm 2"]);
    script.at(200, &[]);
    script.step(Event::EndWritten, &["answer 0 with 2", "done"]);
    script.at(300, &[]);
}

#[test]
fn the_end_of_all_sources_drains_even_before_the_first_checkpoint() {
    let mut script = Script::new(config());
    script.step(Event::SourceEnded(task("source", 1)), &[]);
    script.step(Event::SourceEnded(task("source", 0)), &["inject 1 Drain"]);
    script.step(stop(), &[]);
    script.acknowledge_all(1, Some("a"), &["write 1"]);
    script.step(written(1), &["commit 1", "completed 1"]);
    script.step(committed(1), &["finished 1"]);
    script.step(Event::EndWritten, &["answer 0 with 1", "done"]);
}

#[test]
fn a_stop_after_the_end_of_all_sources_is_an_end() {
    let mut script = Script::new(config());
    script.at(10, &["inject 1"]);
    script.step(Event::SourceEnded(task("source", 1)), &[]);
    script.step(Event::SourceEnded(task("source", 0)), &[]);
    script.step(stop(), &[]);
    script.acknowledge_all(1, None, &["write 1"]);
    script.step(written(1), &["completed 1", "inject 2 Drain"]);
}

#[test]
fn a_last_checkpoint_that_fails_ends_the_job_whatever_is_tolerated() {
    let mut script = Script::new(CoordinatorConfig { tolerable_failures: 9, ..config() });
    script.step(stop(), &["inject 1 Stop"]);
    script.at(60, &["aborted 1", "fail: the last checkpoint failed"]);
}

#[test]
fn without_a_log_only_the_last_barrier_runs() {
    let mut script = Script::new(CoordinatorConfig { durable: false, ..config() });
    assert_eq!(script.coordinator.next_wakeup(), None);
    script.at(100, &[]);
    script.step(asked(1, Wanted::Checkpoint), &["answer 1: job job keeps no checkpoints"]);
    script.step(Event::SourceEnded(task("source", 0)), &[]);
    script.step(Event::SourceEnded(task("source", 1)), &["inject 1 Drain"]);
    script.at(1000, &[]);
    script.acknowledge_all(1, Some("a"), &["commit 1"]);
    script.step(committed(1), &["done"]);
}

#[test]
fn a_restart_goes_on_after_its_manifest() {
    let mut base =
        Manifest { epoch: Epoch(41), pending: vec![prepared("done by recovery")], digest: "d".to_owned(), ..base() };
    base.confirm(&[Committable { epoch: Epoch(41), ..prepared("done by recovery") }]);
    let sinks = base.sinks.clone();
    let mut script = Script::new(CoordinatorConfig { base, ..config() });
    script.now = seconds(10);
    let actions = script.coordinator.step(script.now, Event::Tick);
    assert!(matches!(actions[..], [Action::Inject(Barrier { epoch: Epoch(42), covered: Epoch(41), .. })]));
    script.step(ack(42, task("source", 0), None), &[]);
    script.step(ack(42, task("source", 1), None), &[]);
    let actions = script.coordinator.step(script.now, ack(42, task("sink", 0), None));
    let [Action::WriteManifest(manifest)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((manifest.parent.as_str(), manifest.pending.len()), ("d", 0));
    assert_eq!(manifest.sinks, sinks, "what recovery committed is known to be public");
    script.step(written(42), &["completed 42"]);
}

// ------------------------------------------------------------------------------------------------ random orders

/// A driver that answers in any order that a real one could, and keeps books of its own.
struct Driver {
    coordinator: Coordinator,
    config: CoordinatorConfig,
    now: Duration,
    barriers: Vec<Barrier>,
    /// By task, how many barriers it has answered.
    answered: BTreeMap<TaskId, usize>,
    acknowledged: BTreeSet<(Epoch, TaskId)>,
    /// Prepared by a sink and not known to be committed.
    open: BTreeMap<String, Epoch>,
    committing: BTreeMap<String, (Epoch, Vec<String>)>,
    /// Requests that were not answered, with the last epoch that had a barrier before them.
    asked: BTreeMap<u64, Epoch>,
    next_id: u64,
    writing: Option<Manifest>,
    written: Vec<Epoch>,
    manifests: BTreeSet<Epoch>,
    aborted: BTreeSet<Epoch>,
    ending: Option<BarrierKind>,
    ended: BTreeSet<TaskId>,
    stop_requested: bool,
    over: Option<bool>,
}

impl Driver {
    fn new(config: CoordinatorConfig) -> Self {
        Self {
            coordinator: Coordinator::new(config.clone(), Duration::ZERO),
            now: Duration::ZERO,
            barriers: Vec::new(),
            answered: config.tasks.iter().map(|task| (task.clone(), 0)).collect(),
            acknowledged: BTreeSet::new(),
            open: BTreeMap::new(),
            committing: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_id: 1,
            writing: None,
            written: Vec::new(),
            manifests: BTreeSet::new(),
            aborted: BTreeSet::new(),
            ending: None,
            ended: BTreeSet::new(),
            stop_requested: false,
            over: None,
            config,
        }
    }

    fn send(&mut self, event: Event) {
        let actions = self.coordinator.step(self.now, event);
        for action in actions {
            self.check(action);
        }
    }

    /// What must hold of every action, whatever happened before.
    fn check(&mut self, action: Action) {
        assert_eq!(self.over, None, "{action:?} after the end");
        match action {
            Action::EndSources => panic!("nobody drains here"),
            Action::Inject(barrier) => {
                let last = self.barriers.last();
                assert!(last.is_none_or(|last| last.epoch < barrier.epoch && !last.kind.is_last()));
                let complete = self.written.last().copied().unwrap_or(Epoch::ZERO);
                let in_flight = self.barriers.iter().map(|barrier| barrier.epoch).filter(|epoch| *epoch > complete);
                let in_flight = in_flight.filter(|epoch| !self.aborted.contains(epoch)).count();
                assert!(in_flight < self.config.max_concurrent, "too many in flight");
                assert_eq!(barrier.covered, self.written.last().copied().unwrap_or(Epoch::ZERO));
                let all_ended = self.ended.len() == self.config.sources.len();
                assert_eq!(barrier.kind == BarrierKind::Drain, all_ended);
                assert!(barrier.kind != BarrierKind::Stop || self.stop_requested);
                assert!(self.config.durable || barrier.kind.is_last());
                self.barriers.push(barrier);
            }
            Action::WriteManifest(manifest) => {
                let epoch = manifest.epoch;
                assert!(self.config.durable && self.writing.is_none());
                assert!(self.manifests.insert(epoch), "two manifests of one epoch");
                assert!(self.config.tasks.iter().all(|task| self.acknowledged.contains(&(epoch, task.clone()))));
                let pending = texts(&manifest.pending);
                let open = self.open.iter().filter(|(_, prepared_for)| **prepared_for <= epoch);
                let open: BTreeSet<String> = open.map(|(text, _)| text.clone()).collect();
                assert_eq!(pending.iter().cloned().collect::<BTreeSet<_>>(), open, "rows are lost or doubled");
                assert_eq!(pending.len(), open.len());
                self.writing = Some(*manifest);
            }
            Action::Commit { sink, epoch, committables } => {
                assert!(!self.config.durable || self.written.contains(&epoch), "committed before its manifest");
                let texts = texts(&committables);
                assert!(texts.iter().all(|text| self.open.contains_key(text)), "committed twice");
                let before = self.committing.insert(sink, (epoch, texts));
                assert!(before.is_none(), "one epoch of a sink after the other");
            }
            Action::Answer { id, result } => {
                let before = self.asked.remove(&id).expect("one answer a request");
                assert!(
                    result.is_err() || result.is_ok_and(|epoch| epoch > before),
                    "a barrier from before the request"
                );
            }
            Action::Completed { epoch } => assert_eq!(self.written.last(), Some(&epoch)),
            Action::Compact { .. } => panic!("there are no tables"),
            Action::Aborted { epoch, .. } => {
                assert!(!self.written.contains(&epoch) && self.aborted.insert(epoch));
            }
            Action::WriteConfirm { epoch } => self.check_end(epoch, BarrierKind::Stop),
            Action::WriteFinished { epoch } => self.check_end(epoch, BarrierKind::Drain),
            Action::Done => {
                assert!(self.open.is_empty() && self.committing.is_empty() && self.asked.is_empty());
                assert!(self.ending.is_some() || !self.config.durable);
                self.over = Some(true);
            }
            Action::Fail(error) => {
                assert_ne!(error.blame(), Blame::Bug, "{error}");
                self.over = Some(false);
            }
        }
    }

    fn check_end(&mut self, epoch: Epoch, kind: BarrierKind) {
        let last = self.barriers.last().unwrap();
        assert_eq!((last.epoch, last.kind), (epoch, kind));
        assert!(self.written.contains(&epoch) && self.open.is_empty() && self.ending.is_none());
        self.ending = Some(kind);
    }

    /// One random thing that can happen now. What cannot is skipped.
    fn happen(&mut self, what: u8, which: u8) {
        let task = self.config.tasks[usize::from(which) % self.config.tasks.len()].clone();
        match what % 16 {
            0..=5 => self.answer(task, false),
            6 => self.answer(task, true),
            7 if !self.barriers.is_empty() => {
                // An acknowledgement comes twice.
                let epoch = self.barriers[usize::from(which) % self.barriers.len()].epoch;
                if self.acknowledged.contains(&(epoch, task.clone())) {
                    self.send(self.acknowledgement(epoch, task));
                }
            }
            8 => {
                self.now += Duration::from_millis(u64::from(which) * 100);
                self.send(Event::Tick);
            }
            9 | 10 => self.manifest(true),
            11 => self.manifest(false),
            12 | 13 => self.commit(which),
            14 => match which {
                0..=3 => self.stop(),
                4..=60 => self.ask(Wanted::Checkpoint),
                61..=100 => self.send(Event::CheckpointDue),
                101..=150 => self.ask(savepoint()),
                _ => {}
            },
            15 if which.is_multiple_of(8) && self.config.sources.contains(&task) && self.over.is_none() => {
                self.ended.insert(task.clone());
                self.send(Event::SourceEnded(task));
            }
            _ => {}
        }
    }

    fn ask(&mut self, what: Wanted) {
        // Behind a last barrier whose input has ended there is nothing that it could lack.
        let last = self.barriers.last().filter(|barrier| barrier.kind != BarrierKind::Drain);
        if self.over.is_none() {
            let before = last.map_or(Epoch::ZERO, |barrier| barrier.epoch);
            self.asked.insert(self.next_id, before);
            self.next_id += 1;
            self.send(asked(self.next_id - 1, what));
        }
    }

    fn stop(&mut self) {
        self.stop_requested = true;
        if self.over.is_none() {
            self.asked.insert(self.next_id, Epoch::ZERO);
            self.next_id += 1;
            self.send(asked(self.next_id - 1, Wanted::STOP));
        }
    }

    fn answer(&mut self, task: TaskId, decline: bool) {
        let answered = self.answered[&task];
        let Some(barrier) = self.barriers.get(answered).copied() else { return };
        if self.over.is_some() {
            return;
        }
        self.answered.insert(task.clone(), answered + 1);
        let epoch = barrier.epoch;
        if decline && task.node != "sink" {
            return self.send(Event::Declined { epoch, task, error: Error::transient("no space") });
        }
        self.acknowledged.insert((epoch, task.clone()));
        if let Some(committable) = committable(epoch, &task) {
            self.open.insert(committable, epoch);
        }
        self.send(self.acknowledgement(epoch, task));
    }

    fn acknowledgement(&self, epoch: Epoch, task: TaskId) -> Event {
        let sink = format!("sink {}", task.task);
        let committable = committable(epoch, &task).map(|text| Committable { sink, epoch, ..prepared(&text) });
        Event::Acknowledged { epoch, task, part: Box::new(TaskPart { committable, ..TaskPart::default() }) }
    }

    fn manifest(&mut self, success: bool) {
        let Some(manifest) = self.writing.take() else { return };
        let epoch = manifest.epoch;
        if success {
            self.written.push(epoch);
            self.send(Event::ManifestWritten { epoch, digest: format!("{epoch}") });
        } else {
            self.send(Event::ManifestFailed { epoch, error: Error::transient("no space") });
        }
    }

    fn commit(&mut self, which: u8) {
        let sink = self.committing.keys().nth(usize::from(which) % self.committing.len().max(1)).cloned();
        if let Some((sink, (epoch, committables))) = sink.and_then(|sink| self.committing.remove_entry(&sink)) {
            committables.iter().for_each(|text| assert!(self.open.remove(text).is_some(), "committed twice"));
            self.send(Event::Committed { sink, epoch });
        }
        if self.ending.is_some() && self.over.is_none() {
            self.send(Event::EndWritten);
        }
    }

    /// Everything goes well from here on: the job must come to its end.
    fn finish(&mut self) {
        self.stop();
        for _ in 0..100 {
            for task in self.config.tasks.clone() {
                while self.answered[&task] < self.barriers.len() && self.over.is_none() {
                    self.answer(task.clone(), false);
                }
            }
            // A task that declined the one in flight owes no answer; the timeout ends it.
            if let Some(wakeup) = self.coordinator.next_wakeup() {
                self.now = self.now.max(wakeup);
                self.send(Event::Tick);
            }
            self.manifest(true);
            (0..4).for_each(|_| self.commit(0));
            if self.over.is_some() {
                return;
            }
        }
        panic!("the job does not end: {:?}", self.coordinator);
    }
}

/// Two of three sink parts hold rows.
fn committable(epoch: Epoch, task: &TaskId) -> Option<String> {
    let has_rows = task.node == "sink" && !(epoch.0 + task.task as u64).is_multiple_of(3);
    has_rows.then(|| format!("rows of {epoch} from {}", task.task))
}

fn prepared(text: &str) -> Committable {
    let (sink, payload) = ("sink".to_owned(), json!(text));
    Committable { sink, task: 0, epoch: Epoch::ZERO, rows: 1, files: Vec::new(), payload }
}

fn texts(committables: &[Committable]) -> Vec<String> {
    committables.iter().map(|committable| committable.payload.as_str().unwrap().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_events_keeps_the_promises(
        events in prop::collection::vec(any::<(u8, u8)>(), 0..300),
        tolerable_failures in 0u32..20,
        max_pending_epochs in 1usize..4,
        max_concurrent in 1usize..4,
        durable in prop::bool::weighted(0.9),
    ) {
        let sources = vec![task("source", 0), task("source", 1)];
        let sinks = vec![task("sink", 0), task("sink", 1)];
        let mut driver = Driver::new(CoordinatorConfig {
            tasks: [sources.clone(), vec![task("map", 0)], sinks].concat(),
            sources,
            tolerable_failures,
            max_pending_epochs,
            max_concurrent,
            min_pause: Duration::ZERO,
            durable,
            ..config()
        });
        for (what, which) in events {
            driver.happen(what, which);
        }
        if driver.over.is_none() {
            driver.finish();
        }
        prop_assert!(driver.over == Some(true) || !driver.aborted.is_empty());
    }
}
