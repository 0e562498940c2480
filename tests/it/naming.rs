//! What jobs are called that nobody has named: the state of a script is found again whatever else comes into it.

use std::path::Path;
use std::process::Output;

use crate::support::{Scratch, Variant, entries, name_of};

/// Tables, each written to a directory of its own below `out`.
const TABLES: &str = "
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'numbers.csv', 'format' = 'csv');
CREATE TABLE a (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'out/a', 'format' = 'csv');
CREATE TABLE b (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'out/b', 'format' = 'csv');
";
const INTO_A: &str = "INSERT INTO a SELECT n FROM numbers WHERE n > 1;\n";
const INTO_B: &str = "INSERT INTO b SELECT n FROM numbers WHERE n > 2;\n";

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    let rows: String = (0..500).map(|n| format!("{n}\n")).collect();
    write(&scratch, "numbers.csv", &rows);
    scratch
}

fn write(scratch: &Scratch, name: &str, text: &str) {
    let path = scratch.path().join(name);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(path, text).expect("a file");
}

/// Writes a script and runs it.
fn run(scratch: &Scratch, script: &str, inserts: &str, failpoint: Option<&str>) -> Output {
    write(scratch, script, &format!("{TABLES}{inserts}"));
    start(scratch, script, failpoint)
}

fn start(scratch: &Scratch, script: &str, failpoint: Option<&str>) -> Output {
    let failpoint = failpoint.map(str::to_owned);
    scratch.run(Path::new(script), &Variant { every_rows: Some(50), failpoint, ..Variant::default() })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it to its end, which must be a good one; returns what was said.
#[track_caller]
fn well(scratch: &Scratch, script: &str, inserts: &str) -> String {
    let output = run(scratch, script, inserts, None);
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn jobs(scratch: &Scratch) -> Vec<String> {
    entries(&scratch.path().join(".beadline/checkpoints")).iter().map(|path| name_of(path)).collect()
}

fn rows(scratch: &Scratch, table: &str) -> usize {
    let files = entries(&scratch.path().join("out").join(table));
    let public = files.iter().filter(|file| !name_of(file).starts_with('.'));
    public.map(|file| std::fs::read_to_string(file).expect("rows").lines().count()).sum()
}

#[test]
fn an_insert_in_front_renames_nothing() {
    let scratch = scratch();
    let killed = run(&scratch, "count.sql", INTO_B, Some("manifest.published:3"));
    assert!(!killed.status.success(), "{}", said(&killed));
    let said = well(&scratch, "count.sql", &format!("{INTO_A}{INTO_B}"));
    assert!(said.contains("resumed job count-b from checkpoint"), "{said}");
    assert_eq!(jobs(&scratch), ["count-a", "count-b"]);
    assert_eq!((rows(&scratch, "a"), rows(&scratch, "b")), (498, 497));
}

#[test]
fn another_order_of_a_statement_set_is_the_same_job() {
    let set = |inserts: &[&str]| format!("EXECUTE STATEMENT SET BEGIN {} END;", inserts.concat());
    let scratch = scratch();
    well(&scratch, "both.sql", &set(&[INTO_A, INTO_B]));
    let said = well(&scratch, "both.sql", &set(&[INTO_B, INTO_A]));
    assert!(said.contains("job both-a-b is finished already"), "{said}");
    assert_eq!(jobs(&scratch), ["both-a-b"]);
}

#[test]
fn a_second_job_of_the_same_name_gets_a_number() {
    let scratch = scratch();
    let twice = format!("{INTO_A}{INTO_A}");
    well(&scratch, "twice.sql", &twice);
    let said = well(&scratch, "twice.sql", &twice);
    assert!(said.contains("job twice-a is finished") && said.contains("job twice-a.2 is finished"), "{said}");
    assert_eq!(rows(&scratch, "a"), 2 * 498);
}

/// What is in a pipe is another script each time, and `/dev/stdin` is the same pipe for all of them.
#[test]
fn what_comes_through_a_pipe_names_no_job() {
    let scratch = scratch();
    let script = scratch.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &script, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("a pipe");
    let running = scratch.command(&Variant { every_rows: Some(50), ..Variant::default() });
    let output = std::thread::scope(|scope| {
        let mut running = running;
        let reader = scope.spawn(move || running.arg("pipe").output().expect("it starts"));
        std::fs::write(&script, format!("{TABLES}{INTO_A}")).expect("it reads the pipe");
        reader.join().expect("it ends")
    });
    assert!(output.status.success() && said(&output).contains("has no 'pipeline.name'"), "{}", said(&output));
}
