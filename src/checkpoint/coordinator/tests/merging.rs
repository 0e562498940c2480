//! The parts of tasks put together: files, watermarks, counters, splits; and what must not differ between tasks.

use super::*;
use crate::checkpoint::{OperatorPart, TablePart};
use crate::state::{NodeState, OperatorState, Retired, SplitState, TableKind, TableState};
use crate::stream::{Counter, Counters, FileState};

fn file(name: &str, epoch: u64) -> FileState {
    FileState { path: name.to_owned(), epoch: Epoch(epoch), groups: (0, 0), rows: 1, length: 1, digest: String::new() }
}

fn part(files: Vec<FileState>, retired: Option<i64>, rows_in: u64) -> TaskPart {
    let table = TablePart {
        name: "panes".to_owned(),
        schema: vec!["n int64".to_owned()],
        kind: TableKind::Append,
        key: vec![0],
        retired: retired.map(|before| Retired { groups: (64, 127), before }),
        files,
    };
    let mut counters = Counters::default();
    counters.add(Counter::NumRecordsIn, rows_in);
    TaskPart {
        operators: vec![OperatorPart {
            name: "window".to_owned(),
            signature: "w".to_owned(),
            query: String::new(),
            tables: vec![table],
        }],
        watermark: Some(7),
        counters: BTreeMap::from([("window".to_owned(), counters)]),
        ..TaskPart::default()
    }
}

/// A node `window` with two tasks, started from a manifest in which its table has `inherited` files.
fn windows(inherited: Vec<FileState>) -> Coordinator {
    let table = TableState {
        name: "panes".to_owned(),
        schema: vec!["n int64".to_owned()],
        kind: TableKind::Append,
        key: vec![0],
        retired: vec![Retired { groups: (0, 127), before: 5 }],
        files: inherited,
    };
    let operator = OperatorState {
        name: "window".to_owned(),
        signature: "w".to_owned(),
        query: String::new(),
        tables: vec![table],
    };
    let node = NodeState { operators: vec![operator], ..NodeState::default() };
    let base = Manifest { epoch: Epoch(3), nodes: BTreeMap::from([("window".to_owned(), node)]), ..base() };
    let tasks = vec![task("source", 0), task("window", 0), task("window", 1)];
    let config = CoordinatorConfig { tasks, sources: vec![task("source", 0)], base, ..config() };
    Coordinator::new(config, Duration::ZERO)
}

fn merged(coordinator: &mut Coordinator, first: TaskPart, second: TaskPart) -> Vec<Action> {
    let mut actions = coordinator.step(seconds(10), Event::Tick);
    for (task, part) in
        [(task("window", 1), second), (task("source", 0), TaskPart::default()), (task("window", 0), first)]
    {
        actions.extend(coordinator.step(seconds(10), Event::Acknowledged { epoch: Epoch(4), task, part: part.into() }));
    }
    actions
}

fn panes(actions: &[Action]) -> (Vec<String>, Vec<(u16, u16, i64)>, u64) {
    let [Action::Inject(_), Action::WriteManifest(manifest)] = actions else { panic!("{actions:?}") };
    let node = &manifest.nodes["window"];
    let table = &node.operators[0].tables[0];
    let names = table.files.iter().map(|file| file.path.clone()).collect();
    let retired = table.retired.iter().map(|retired| (retired.groups.0, retired.groups.1, retired.before));
    (names, retired.collect(), node.counters["window"].get(Counter::NumRecordsIn))
}

#[test]
fn parts_of_a_node_are_put_behind_what_is_inherited() {
    let mut coordinator = windows(vec![file("a", 1), file("b", 3)]);
    let actions = merged(&mut coordinator, part(vec![file("c0", 4)], None, 10), part(vec![file("c1", 4)], Some(9), 5));
    let names = ["a", "b", "c0", "c1"].map(str::to_owned).to_vec();
    assert_eq!(panes(&actions), (names, vec![(0, 63, 5), (64, 127, 9)], 15), "each for its own key groups");
}

/// Two tasks that hear of idle inputs in another order have met different watermarks; nobody behind them more than the
/// least.
#[test]
fn tasks_before_an_exchange_may_have_met_different_watermarks() {
    let first = part(vec![], None, 1);
    let second = TaskPart { watermark: first.watermark.map(|met| met - 3), ..part(vec![], None, 1) };
    let least = second.watermark;
    let actions = merged(&mut windows(vec![]), first, second);
    let manifest = actions.iter().find_map(|action| match action {
        Action::WriteManifest(manifest) => Some(manifest),
        _ => None,
    });
    assert!(manifest.unwrap().nodes.values().any(|node| node.watermark == least), "{actions:?}");
}

#[test]
fn tasks_of_a_node_that_disagree_are_a_bug() {
    let check = |change: &dyn Fn(&mut TaskPart), expected: &str| {
        let mut second = part(vec![], None, 1);
        change(&mut second);
        let actions = short(&merged(&mut windows(vec![]), part(vec![], None, 1), second));
        assert!(actions[1].contains(expected), "{actions:?}");
    };
    let keyed = |watermark| move |part: &mut TaskPart| (part.watermark, part.shares_watermark) = (watermark, true);
    check(&keyed(Some(8)), "met watermark Some(8)");
    check(&keyed(None), "met watermark None");
    check(&|part| part.operators.clear(), "another number of operators");
    check(&|part| part.operators[0].tables[0].schema.clear(), "its operator window differs");
}

#[test]
fn splits_are_read_once() {
    let split = SplitState { position: json!(1), watermark: None, ended: false, idle: false };
    let sources = |names: [&str; 2]| {
        let mut coordinator = Coordinator::new(config(), Duration::ZERO);
        coordinator.step(seconds(10), Event::Tick);
        let mut actions = Vec::new();
        for (number, name) in names.into_iter().enumerate() {
            let part = TaskPart { splits: BTreeMap::from([(name.to_owned(), split.clone())]), ..TaskPart::default() };
            let event = Event::Acknowledged { epoch: Epoch(1), task: task("source", number), part: part.into() };
            actions.extend(coordinator.step(seconds(10), event));
        }
        actions.extend(coordinator.step(seconds(10), ack(1, task("sink", 0), None)));
        actions
    };
    let actions = sources(["a", "b"]);
    let [Action::WriteManifest(manifest)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(manifest.nodes["source"].splits.len(), 2);
    assert!(short(&sources(["a", "a"]))[0].contains("reads split a, which another task reads too"));
}
