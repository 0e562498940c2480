//! The parts of tasks put together: files, watermarks, counters, splits; and what must not differ between tasks.

use super::*;
use crate::checkpoint::{OperatorPart, TablePart};
use crate::state::{OperatorId, OperatorState, RangeWatermark, Retired, SplitState, TableKind, TableState};
use crate::stream::{Counter, Counters, FileState};

fn file(name: &str, epoch: u64) -> FileState {
    FileState {
        path: name.to_owned(),
        epoch: Epoch(epoch),
        groups: (0, 0),
        rows: 1,
        length: 1,
        digest: String::new(),
        newest: None,
        whole: false,
    }
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
    let operator = OperatorPart {
        id: window(),
        name: "window".to_owned(),
        signature: "w".to_owned(),
        watermark: Some(7),
        counters,
        tables: vec![table],
        ..OperatorPart::default()
    };
    TaskPart { operators: vec![operator], groups: Some((0, 127)), ..TaskPart::default() }
}

fn window() -> OperatorId {
    OperatorId::of("window", "w")
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
        tables: vec![table],
        ..OperatorState::default()
    };
    let base = Manifest { epoch: Epoch(3), operators: BTreeMap::from([(window(), operator)]), ..base() };
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
    let operator = &manifest.operators[&window()];
    let table = &operator.tables[0];
    let names = table.files.iter().map(|file| file.path.clone()).collect();
    let retired = table.retired.iter().map(|retired| (retired.groups.0, retired.groups.1, retired.before));
    (names, retired.collect(), operator.counters.get(Counter::NumRecordsIn))
}

#[test]
fn parts_of_a_node_are_put_behind_what_is_inherited() {
    let mut coordinator = windows(vec![file("a", 1), file("b", 3)]);
    let actions = merged(&mut coordinator, part(vec![file("c0", 4)], None, 10), part(vec![file("c1", 4)], Some(9), 5));
    let names = ["a", "b", "c0", "c1"].map(str::to_owned).to_vec();
    assert_eq!(panes(&actions), (names, vec![(0, 63, 5), (64, 127, 9)], 15), "each for its own key groups");
}

fn watermarks(first: TaskPart, second: TaskPart) -> Vec<((u16, u16), Option<i64>)> {
    let actions = merged(&mut windows(vec![]), first, second);
    let [_, Action::WriteManifest(manifest)] = &actions[..] else { panic!("{actions:?}") };
    manifest.operators[&window()].watermarks.iter().map(|range| (range.groups, range.watermark)).collect()
}

fn met(groups: (u16, u16), watermark: Option<i64>) -> TaskPart {
    let mut part = part(vec![], None, 1);
    part.groups = Some(groups);
    part.operators[0].watermark = watermark;
    part
}

/// Two tasks that hear of idle inputs in another order have met different watermarks; nobody behind them more than the
/// least.
#[test]
fn tasks_before_an_exchange_may_have_met_different_watermarks() {
    assert_eq!(watermarks(met((0, 127), Some(7)), met((0, 127), Some(4))), [((0, 127), Some(4))]);
    assert_eq!(watermarks(met((0, 127), Some(7)), met((0, 127), None)), [((0, 127), None)]);
}

/// Each key range goes on from where its task was: what that had fired does not fire again, and what it had not does.
#[test]
fn a_watermark_belongs_to_its_key_range() {
    assert_eq!(watermarks(met((0, 63), Some(7)), met((64, 127), Some(5))), [((0, 63), Some(7)), ((64, 127), Some(5))]);
    assert_eq!(watermarks(met((0, 63), Some(7)), met((64, 127), Some(7))), [((0, 127), Some(7))]);
    let state = OperatorState {
        watermarks: [((0, 63), Some(7)), ((64, 99), Some(5)), ((100, 127), None)]
            .map(|(groups, watermark)| RangeWatermark { groups, watermark })
            .to_vec(),
        ..OperatorState::default()
    };
    let of = [(0, 63), (0, 31), (63, 64), (64, 99), (90, 100), (0, 127)].map(|groups| state.watermark_of(groups));
    assert_eq!(of, [Some(7), Some(7), Some(5), Some(5), None, None]);
}

#[test]
fn tasks_of_a_node_that_disagree_are_a_bug() {
    let check = |change: &dyn Fn(&mut TaskPart), expected: &str| {
        let mut second = part(vec![], None, 1);
        change(&mut second);
        let actions = short(&merged(&mut windows(vec![]), part(vec![], None, 1), second));
        assert!(actions[1].contains(expected), "{actions:?}");
    };
    let keyed = |watermark| {
        move |part: &mut TaskPart| {
            part.operators[0].watermark = watermark;
            part.shares_watermark = true;
        }
    };
    check(&keyed(Some(8)), "had met watermark Some(8)");
    check(&keyed(None), "had met watermark None");
    check(&|part| part.operators.clear(), "another number of operators");
    check(&|part| part.operators[0].tables[0].schema.clear(), "differs from that of the node's other tasks");
    check(&|part| part.operators[0].signature.clear(), "differs from that of the node's other tasks");
}

#[test]
fn splits_are_read_once() {
    let source = || OperatorId::of_table("Source", "flights");
    let split = SplitState { position: json!(1), watermark: None, ended: false, idle: false };
    let sources = |names: [&str; 2]| {
        let mut coordinator = Coordinator::new(config(), Duration::ZERO);
        coordinator.step(seconds(10), Event::Tick);
        let mut actions = Vec::new();
        for (number, name) in names.into_iter().enumerate() {
            let splits = BTreeMap::from([(name.to_owned(), split.clone())]);
            let operator = OperatorPart { id: source(), splits, ..OperatorPart::default() };
            let part = TaskPart { operators: vec![operator], ..TaskPart::default() };
            let event = Event::Acknowledged { epoch: Epoch(1), task: task("source", number), part: part.into() };
            actions.extend(coordinator.step(seconds(10), event));
        }
        actions.extend(coordinator.step(seconds(10), ack(1, task("sink", 0), None)));
        actions
    };
    let actions = sources(["a", "b"]);
    let [Action::WriteManifest(manifest)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(manifest.operators[&source()].splits.len(), 2);
    assert!(short(&sources(["a", "a"]))[0].contains("reads split a, which another task reads too"));
}

/// The names of a manifest's files, in one word.
fn names(actions: &[Action]) -> String {
    let manifest = actions.iter().find_map(|action| match action {
        Action::WriteManifest(manifest) => Some(manifest),
        _ => None,
    });
    let files = &manifest.expect("a manifest").operators[&window()].tables[0].files;
    files.iter().map(|file| file.path.as_str()).collect()
}

/// A checkpoint in which the first task has one more file, and what follows from its completion.
fn checkpoint(coordinator: &mut Coordinator, epoch: u64, file_name: &str, now: u64) -> (String, Vec<String>) {
    checkpoint_of(coordinator, epoch, part(vec![file(file_name, epoch)], None, 1), now)
}

/// The same with this part of the first task.
fn checkpoint_of(coordinator: &mut Coordinator, epoch: u64, first: TaskPart, now: u64) -> (String, Vec<String>) {
    let now = seconds(now);
    coordinator.step(now, Event::Tick);
    let mut actions = Vec::new();
    let parts = [
        (task("window", 1), part(vec![], None, 1)),
        (task("source", 0), TaskPart::default()),
        (task("window", 0), first),
    ];
    for (task, part) in parts {
        actions.extend(coordinator.step(now, Event::Acknowledged { epoch: Epoch(epoch), task, part: part.into() }));
    }
    (names(&actions), short(&coordinator.step(now, written(epoch))))
}

#[test]
fn compacted_files_take_the_place_of_their_run_in_the_next_manifest() {
    let table = || TableId { operator: window(), table: "panes".to_owned() };
    let mut coordinator = windows(["a", "b", "c"].map(|name| file(name, 1)).to_vec());
    let compact = "compact panes ab".to_owned();
    assert_eq!(checkpoint(&mut coordinator, 4, "d", 10), ("abcd".into(), vec!["completed 4".into(), compact.clone()]));
    // It fails; the next checkpoint calls for it again, and the one after that not, while it runs.
    assert!(coordinator.step(seconds(11), Event::CompactionFailed { table: table() }).is_empty());
    assert_eq!(checkpoint(&mut coordinator, 5, "e", 20), ("abcde".into(), vec!["completed 5".into(), compact]));
    assert_eq!(checkpoint(&mut coordinator, 6, "f", 30), ("abcdef".into(), vec!["completed 6".into()]));
    let replaced = ["a", "b"].map(|name| file(name, 1)).to_vec();
    let compacted = Event::Compacted { table: table(), replaced, by: vec![file("A", 1)] };
    assert!(coordinator.step(seconds(31), compacted).is_empty());
    let again = "compact panes Ac".to_owned();
    assert_eq!(checkpoint(&mut coordinator, 7, "g", 40), ("Acdefg".into(), vec!["completed 7".into(), again]));
    // Files come faster than they are put together: the next trigger waits for that, unless somebody asks.
    assert_eq!(checkpoint(&mut coordinator, 8, "h", 50), ("Acdefgh".into(), vec!["completed 8".into()]));
    assert!(coordinator.step(seconds(60), Event::Tick).is_empty());
    assert_eq!(coordinator.next_wakeup(), None);
    coordinator.step(seconds(61), asked(1, Wanted::Checkpoint));
    assert_eq!(checkpoint(&mut coordinator, 9, "i", 61).0, "Acdefghi");
    let compacted =
        Event::Compacted { table: table(), replaced: vec![file("A", 1), file("c", 1)], by: vec![file("C", 1)] };
    assert_eq!(short(&coordinator.step(seconds(75), compacted)), ["inject 10 Checkpoint"]);
    let unknown = TableId { operator: OperatorId::of("window", "other"), ..table() };
    let bug = coordinator.step(seconds(41), Event::CompactionFailed { table: unknown });
    assert!(matches!(&bug[..], [Action::Fail(error)] if error.blame() == Blame::Bug));
}

/// Files may have come before the run and behind it: the result stands between them, as later rows replace earlier ones.
#[test]
fn compacted_files_stand_where_their_run_stood() {
    let table = || TableId { operator: window(), table: "panes".to_owned() };
    let mut coordinator = windows(["a", "b", "c"].map(|name| file(name, 1)).to_vec());
    assert_eq!(checkpoint(&mut coordinator, 4, "d", 10).1, ["completed 4", "compact panes ab"]);
    let replaced = ["b", "c"].map(|name| file(name, 1)).to_vec();
    coordinator.step(seconds(11), Event::Compacted { table: table(), replaced, by: vec![file("B", 1), file("C", 1)] });
    assert_eq!(checkpoint(&mut coordinator, 5, "e", 20).0, "aBCde");
}

/// A file whose rows are all gone leaves the list, but not out of the middle of a run that is being put together.
#[test]
fn retired_files_leave_but_for_those_of_a_run() {
    let until = |name, newest| FileState { newest: Some(newest), ..file(name, 1) };
    let mut coordinator = windows(vec![until("x", 3), file("a", 1), until("b", 20), file("c", 1)]);
    let begun = vec!["completed 4".to_owned(), "compact panes ab".to_owned()];
    assert_eq!(checkpoint(&mut coordinator, 4, "d", 10), ("abcd".into(), begun));
    let mut retiring = part(vec![FileState { epoch: Epoch(5), ..until("e", 80) }], None, 1);
    retiring.operators[0].tables[0].retired = Some(Retired { groups: (0, 127), before: 90 });
    assert_eq!(checkpoint_of(&mut coordinator, 5, retiring, 20).0, "abcde");
    let (operator, table) = (window(), "panes".to_owned());
    let replaced = vec![file("a", 1), until("b", 20)];
    let compacted = Event::Compacted { table: TableId { operator, table }, replaced, by: vec![file("A", 1)] };
    assert!(coordinator.step(seconds(21), compacted).is_empty());
    assert_eq!(checkpoint(&mut coordinator, 6, "f", 30).0, "Acdef", "the result takes the place of the whole run");
}

/// A task that hands over all its keys makes its older files needless. One of a former, wider task stays, and with it
/// what speaks of its keys: they would be back otherwise.
#[test]
fn files_that_a_whole_one_supersedes_leave_unless_they_speak_of_others_that_stay() {
    let of = |name, groups, whole| FileState { groups, whole, ..file(name, 4) };
    let named = |inherited: Vec<FileState>, new: Vec<FileState>| {
        let inherited = inherited.into_iter().map(|file| FileState { epoch: Epoch(1), ..file }).collect();
        let actions = merged(&mut windows(inherited), part(new, None, 1), part(vec![], None, 1));
        panes(&actions).0.concat()
    };
    let narrow = vec![of("a", (0, 63), false), of("b", (3, 60), false), of("c", (64, 127), false)];
    assert_eq!(named(narrow.clone(), vec![of("d", (0, 63), false)]), "abcd");
    assert_eq!(named(narrow.clone(), vec![of("d", (0, 63), true)]), "cd");
    assert_eq!(named(narrow.clone(), vec![of("d", (2, 63), true)]), "abcd", "b speaks of keys in a");
    assert_eq!(named(narrow, vec![of("d", (0, 63), false), of("e", (0, 63), true)]), "ce");
    let wide = vec![of("a", (0, 127), false), of("b", (3, 60), false)];
    assert_eq!(named(wide.clone(), vec![of("c", (0, 63), true)]), "abc");
    assert_eq!(named(wide, vec![of("c", (0, 127), true)]), "c");
}
