//! What jobs are called that nobody has named: the state of a script is found again whatever else comes into it, and is
//! left alone by another script of the same name.

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

/// Starts a script that is not let near the job of another.
#[track_caller]
fn refused(scratch: &Scratch, script: &str, fresh: bool) -> String {
    let output = scratch.run(Path::new(script), &Variant { every_rows: Some(50), fresh, ..Variant::default() });
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error[BL-JOB-OTHER-SCRIPT]") && said.contains("SET 'pipeline.name'"), "{said}");
    said
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
    assert!(said.contains("job both is finished already"), "{said}");
    assert_eq!(jobs(&scratch), ["both"]);
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

#[test]
fn another_script_of_the_same_name_is_refused() {
    let scratch = scratch();
    let killed = run(&scratch, "one/x.sql", INTO_A, Some("manifest.published:3"));
    assert!(!killed.status.success(), "{}", said(&killed));
    let other = INTO_A.replace("n > 1", "n > 400");
    write(&scratch, "two/x.sql", &format!("{TABLES}{other}"));
    for fresh in [false, true] {
        let said = refused(&scratch, "two/x.sql", fresh);
        assert!(said.contains("/one/x.sql, and this is ") && said.contains("/two/x.sql\n"), "{said}");
        assert!(!said.contains("--fresh"), "it would remove what the other has written: {said}");
    }
    let said = well(&scratch, "one/x.sql", INTO_A);
    assert!(said.contains("resumed job x-a from checkpoint"), "{said}");
    assert_eq!(rows(&scratch, "a"), 498);

    // A finished job is that script's too; under a name of its own the other is another job.
    refused(&scratch, "two/x.sql", false);
    well(&scratch, "two/x.sql", &format!("SET 'pipeline.name' = 'others';{other}"));
    assert_eq!(rows(&scratch, "a"), 498 + 99);
}

/// What an intact claim says counts also where the rest cannot be read.
#[test]
fn a_damaged_job_of_another_script_is_left_alone_too() {
    let scratch = scratch();
    well(&scratch, "one/x.sql", INTO_A);
    write(&scratch, "two/x.sql", &format!("{TABLES}{INTO_A}"));
    let log = entries(&scratch.path().join(".beadline/checkpoints/x-a/log"));
    let last = log.iter().rfind(|path| name_of(path).ends_with(".json")).expect("an entry");
    std::fs::write(last, "{").expect("damage");
    refused(&scratch, "two/x.sql", true);
    assert_eq!(rows(&scratch, "a"), 498);
    let fresh = Variant { every_rows: Some(50), fresh: true, ..Variant::default() };
    let said = said(&scratch.run_well(Path::new("one/x.sql"), &fresh));
    assert!(said.contains("began anew in spite of a damaged log"), "{said}");
    assert_eq!(rows(&scratch, "a"), 498);
}

#[test]
fn a_script_that_was_moved_goes_on_under_its_old_name() {
    let scratch = scratch();
    let killed = run(&scratch, "one/x.sql", INTO_A, Some("manifest.published:2"));
    assert!(!killed.status.success(), "{}", said(&killed));
    std::fs::remove_file(scratch.path().join("one/x.sql")).expect("the script");
    write(&scratch, "two/x.sql", &format!("{TABLES}{INTO_A}"));
    let help = "if it is the same script in another place: SET 'pipeline.name' = 'x-a'";
    assert!(refused(&scratch, "two/x.sql", false).contains(help));
    let named = format!("SET 'pipeline.name' = 'x-a';{INTO_A}");
    let killed = run(&scratch, "two/x.sql", &named, Some("manifest.published:2"));
    assert!(said(&killed).contains("resumed job x-a from checkpoint 2"), "{}", said(&killed));
    // It has made the job its own.
    let said = well(&scratch, "two/x.sql", INTO_A);
    assert!(said.contains("resumed job x-a from checkpoint 4"), "{said}");
    assert_eq!(rows(&scratch, "a"), 498);
}

#[test]
fn a_script_that_was_moved_with_its_checkpoints_is_the_same() {
    let scratch = scratch();
    let script = format!("{TABLES}{INTO_A}").replace("'numbers.csv'", "'../numbers.csv'");
    write(&scratch, "before/x.sql", &script);
    let run = |directory: &str, failpoint: Option<&str>| {
        let failpoint = failpoint.map(str::to_owned);
        let mut command = scratch.command(&Variant { every_rows: Some(50), failpoint, ..Variant::default() });
        command.current_dir(scratch.path().join(directory)).arg("x.sql").output().expect("it starts")
    };
    let killed = run("before", Some("manifest.published:2"));
    assert!(!killed.status.success(), "{}", said(&killed));
    std::fs::rename(scratch.path().join("before"), scratch.path().join("after")).expect("a new name");
    let went_on = run("after", None);
    assert!(said(&went_on).contains("resumed job x-a from checkpoint 2"), "{}", said(&went_on));
}

/// Without checkpoints there is no claim, and `--fresh` knows what a job has written by the names of files alone.
#[test]
fn beginning_anew_leaves_rows_of_another_script_alone() {
    let scratch = scratch();
    for script in ["one/x.sql", "two/x.sql"] {
        write(&scratch, script, &format!("{TABLES}{INTO_A}"));
    }
    for batch in [false, true] {
        for script in ["one/x.sql", "two/x.sql", "one/x.sql"] {
            scratch.run_well(Path::new(script), &Variant { fresh: true, batch, ..Variant::default() });
        }
        assert_eq!(rows(&scratch, "a"), 2 * 498, "batch: {batch}");
    }
}
