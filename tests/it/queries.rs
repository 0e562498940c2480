//! Every query in `queries/`: straight, at several parallelisms and batch sizes, killed and restored, against batch
//! mode, and against its golden figures. What applies to a query, its header says (`queries/README.md`).

use std::collections::BTreeMap;

use crate::support::{QueryFile, Scratch, Variant, checkout, full, queries};

/// What a run came to: the published rows by table, and what remains of the rows on standard output.
#[derive(Debug, PartialEq)]
struct Answer {
    tables: BTreeMap<String, Vec<String>>,
    stdout: Vec<String>,
}

fn answer(query: &QueryFile, scratch: &Scratch, stdout: &[u8]) -> Answer {
    Answer { tables: scratch.published(), stdout: standing(query, &String::from_utf8_lossy(stdout)) }
}

fn run(query: &QueryFile, variant: &Variant) -> (Scratch, Answer) {
    let scratch = Scratch::new();
    let output = scratch.run_well(&query.path, variant);
    let answer = answer(query, &scratch, &output.stdout);
    (scratch, answer)
}

fn plain(query: &QueryFile) -> (Scratch, Answer) {
    run(query, &Variant { parallelism: Some(1), ..Variant::default() })
}

/// The rows of standard output that were not taken back, sorted unless the query orders them.
fn standing(query: &QueryFile, stdout: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for line in stdout.lines() {
        let (is_added, row) = change(line);
        if is_added {
            rows.push(row);
            continue;
        }
        let place = rows.iter().position(|known| *known == row);
        rows.remove(place.unwrap_or_else(|| panic!("{}: {line} takes back what is not there", query.name())));
    }
    if !query.says("ordered") {
        rows.sort();
    }
    rows
}

/// A line as the row that it adds or takes back: `{"op":"-U","a":1}`, `2> +I[1, a]`, or a row without a kind.
fn change(line: &str) -> (bool, String) {
    if let Some((op, rest)) = line.strip_prefix("{\"op\":\"").and_then(|rest| rest.split_once("\",")) {
        return (op.starts_with('+'), format!("{{{rest}"));
    }
    // In front of a printed row stands the task, where there are several.
    let printed = match line.split_once("> ") {
        Some((task, rest)) if task.parse::<usize>().is_ok() => rest,
        _ => line,
    };
    for kind in ["+I", "-U", "+U", "-D"] {
        if let Some(row) = printed.strip_prefix(kind).filter(|row| row.starts_with('[')) {
            return (kind.starts_with('+'), row.to_owned());
        }
    }
    (true, line.to_owned())
}

/// Fails with the rows that only one side has.
pub fn assert_rows(left: &[String], right: &[String], about: &str) {
    let only = |these: &[String], those: &[String]| {
        let missing = these.iter().filter(|row| !those.contains(row)).take(5).cloned().collect::<Vec<_>>();
        format!("{} rows, such as {missing:#?}", these.len())
    };
    assert!(left == right, "{about}\nleft: {}\nright: {}", only(left, right), only(right, left));
}

fn check(query: &QueryFile, variant: &Variant, expected: &Answer) {
    let (_, answer) = run(query, variant);
    assert_eq!(&answer, expected, "{} with {variant:?}", query.name());
}

/// Runs a query that is killed behind every so many manifests, starting it again until it ends.
fn check_restored(query: &QueryFile, variant: &Variant, expected: &Answer) {
    let scratch = Scratch::new();
    let killed = Variant { failpoint: Some("manifest.published:3".to_owned()), ..variant.clone() };
    let (mut kills, mut printed) = (0, Vec::new());
    let last = loop {
        let output = scratch.run(&query.path, &killed);
        printed.extend_from_slice(&output.stdout);
        if output.status.success() {
            break output.stdout;
        }
        kills += 1;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_none(), "{} failed instead of being killed:\n{text}", query.name());
        assert!(kills < 200, "{} makes no progress:\n{text}", query.name());
    };
    assert!(kills > 0, "{} with {killed:?} was never killed", query.name());
    let answer = answer(query, &scratch, if query.says("restore") { &last } else { &printed });
    if query.says("restore") {
        assert_eq!(&answer, expected, "{} with {killed:?}", query.name());
        return;
    }
    // At least once: no row is missing, and none is there that should not be.
    assert_eq!(answer.tables, expected.tables, "{} with {killed:?}", query.name());
    let mut shown = answer.stdout;
    shown.dedup();
    assert_eq!(shown, expected.stdout, "{} with {killed:?}", query.name());
}

/// Compares a run as a stream with one in batch mode, where no row is late: a table without late rows holds the same
/// rows in both; one with them holds them once they are added back, as the header says how.
fn check_batch(query: &QueryFile, variant: &Variant, stream: &(Scratch, Answer)) {
    let (scratch, expected) = stream;
    let variant = Variant { batch: true, ..variant.clone() };
    let (batch_scratch, batch) = run(query, &variant);
    let about = format!("{} as a stream (left) and with {variant:?} (right)", query.name());
    let late = query.late_tables();
    assert_eq!(late.is_empty(), query.with_late.is_empty(), "{}: `-- batch:` lines for its late tables", query.name());
    for (table, rows) in &expected.tables {
        if late.contains(table) {
            assert!(!rows.is_empty(), "{} shows no late rows in {table}", query.name());
            assert_eq!(batch.tables.get(table), Some(&Vec::new()), "{about}: {table}");
        } else if let Some(sql) = query.with_late.get(table) {
            let added_back = scratch.select(query, sql);
            let counted = batch_scratch.select(query, &format!("SELECT * FROM {table}"));
            assert_rows(&added_back, &counted, &format!("{about}: {table}"));
        } else {
            let others = batch.tables.get(table).unwrap_or_else(|| panic!("{about}: no {table}"));
            assert_rows(rows, others, &format!("{about}: {table}"));
        }
    }
    assert_eq!(expected.tables.len(), batch.tables.len(), "{about}: tables");
    // What is shown at the end of a query with late rows is about those.
    if late.is_empty() {
        assert_rows(&expected.stdout, &batch.stdout, &format!("{about}: standard output"));
    }
}

fn variant(parallelism: usize, batch_rows: usize, every_rows: Option<usize>) -> Variant {
    Variant { parallelism: Some(parallelism), batch_rows: Some(batch_rows), every_rows, ..Variant::default() }
}

fn is_resumed(query: &QueryFile) -> bool {
    query.says("restore") || query.says("at-least-once")
}

#[test]
fn every_query_gives_one_answer_pairwise() {
    for query in queries() {
        let plain = plain(&query);
        if query.says("parallelism") {
            check(&query, &variant(2, 7, None), &plain.1);
            check(&query, &variant(4, 8192, Some(500)), &plain.1);
        }
        if is_resumed(&query) {
            check_restored(&query, &variant(2, 8192, Some(400)), &plain.1);
        }
        if query.says("batch") {
            check_batch(&query, &variant(2, 100, None), &plain);
        }
    }
}

#[test]
fn full_every_query_at_every_parallelism_batch_size_and_restart() {
    if !full() {
        return;
    }
    for query in queries() {
        let plain = plain(&query);
        for parallelism in [1, 2, 4] {
            for batch_rows in [1, 7, 8192] {
                if query.says("parallelism") {
                    check(&query, &variant(parallelism, batch_rows, None), &plain.1);
                }
                if is_resumed(&query) {
                    check_restored(&query, &variant(parallelism, batch_rows, Some(300)), &plain.1);
                }
                if query.says("batch") {
                    check_batch(&query, &variant(parallelism, batch_rows, None), &plain);
                }
            }
        }
    }
}

/// As many rows as the header says, and, where `tests/golden` has them, exactly those rows.
#[test]
fn every_query_has_its_golden_figures() {
    for query in queries() {
        let (_, Answer { mut tables, stdout }) = plain(&query);
        tables.insert("stdout".to_owned(), stdout);
        assert!(!query.golden.is_empty(), "{} has no line `-- golden: …`", query.name());
        for (table, rows) in &query.golden {
            let found = tables.get(table).unwrap_or_else(|| panic!("{} has no table {table}", query.name()));
            assert_eq!(found.len(), *rows, "{}: rows of {table}", query.name());
        }
        let folder = checkout().join("tests/golden").join(query.name());
        for (table, rows) in &tables {
            let Ok(text) = std::fs::read_to_string(folder.join(table)) else { continue };
            let expected: Vec<String> = text.lines().map(str::to_owned).collect();
            let about = format!("{}: {table} (left) and tests/golden (right)", query.name());
            assert_rows(rows, &expected, &about);
        }
    }
}

/// No golden file is left over from a query or a table that is gone.
#[test]
fn every_golden_file_belongs_to_a_query() {
    let known = queries();
    for folder in crate::support::entries(&checkout().join("tests/golden")).iter().filter(|path| path.is_dir()) {
        let name = crate::support::name_of(folder);
        let query = known.iter().find(|query| query.name() == name);
        let query = query.unwrap_or_else(|| panic!("tests/golden/{name} belongs to no query"));
        for file in crate::support::entries(folder) {
            let table = crate::support::name_of(&file);
            assert!(query.golden.iter().any(|(known, _)| *known == table), "{name} names no golden {table}");
        }
    }
}
