//! The subcommands: a script is checked and explained without being run, and the program tells of itself.

use std::process::Output;

use crate::support::{Scratch, Variant, entries};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ran(scratch: &Scratch, arguments: &[&str]) -> Output {
    scratch.command(&Variant::default()).args(arguments).output().expect("the program starts")
}

const SCRIPT: &str = "\
SET 'execution.checkpointing.unaligned.enabled' = 'true';
USE ods;
SELEC 1;
CREATE TABLE orders (id INT, ts TIMESTAMP(3), off BIGINT METADATA, WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka', 'topic' = 'o');
CREATE TABLE wrong (id NUMBER);
CREATE VIEW big AS SELECT id FROM orders WHERE id > 5;
SELECT nope FROM big;
SELECT * FROM wrong;
CREATE TABLE out_t (id INT) DISTRIBUTED INTO 2 BUCKETS WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'json');
INSERT INTO out_t SELECT id FROM big;
SELECT line FROM stdin;
";

#[test]
fn a_check_lists_every_refusal_at_once_and_touches_nothing() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("s.sql"), SCRIPT).expect("a script");
    let output = ran(&scratch, &["check", "s.sql"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    // Each once, with its line; nothing about tables that only follow from another refusal.
    for (line, message) in [
        (1, "'execution.checkpointing.unaligned.enabled' = 'true' is not built yet"),
        (2, "A database with name [ods] does not exist"),
        (3, "expected a statement, found `SELEC`"),
        (4, "Could not find any factory for identifier 'kafka'"),
        (4, "metadata columns are not built yet"),
        (5, "there is no type NUMBER"),
        (7, "Column 'nope' not found in any table"),
    ] {
        assert_eq!(said.matches(message).count(), 1, "{message}\n{said}");
        assert!(said.contains(&format!("s.sql:{line}:")), "line {line}\n{said}");
    }
    assert!(!said.contains("not found\n") && !said.contains("s.sql:8:") && !said.contains("s.sql:10:"), "{said}");
    assert!(said.contains("warning: DISTRIBUTED INTO 2 BUCKETS has no effect here"), "{said}");
    assert!(said.contains("stdin is not read now"), "{said}");
    assert!(said.ends_with("11 statements: 7 refusals, 1 warning\n"), "{said}");
    assert!(output.stdout.is_empty());
    let names: Vec<_> = entries(scratch.path()).iter().map(|path| crate::support::name_of(path)).collect();
    assert_eq!(names, ["queries", "s.sql"]);
}

/// A Flink cluster would not take the file; here it runs.
#[test]
fn names_that_flink_reserves_are_told_with_their_places() {
    let scratch = Scratch::new();
    let script = "CREATE TABLE hits (method STRING, `value` INT, user STRING) WITH ('connector' = 'datagen', \
                  'number-of-rows' = '1');\nSELECT method,\n  user, COUNT(*) count FROM hits GROUP BY method, user;\n";
    std::fs::write(scratch.path().join("s.sql"), script).expect("a script");
    let said_of = |arguments: &[&str]| said(&ran(&scratch, arguments));
    let checked = said_of(&["check", "s.sql"]);
    // Bare, `user` is a column in Flink too.
    for place in [
        "method is a reserved word: Flink takes it as a name only in back-quotes, `method`\n --> s.sql:1:20",
        "s.sql:1:48",
        "s.sql:2:8",
        "s.sql:3:18",
    ] {
        assert!(checked.contains(place), "{place}\n{checked}");
    }
    assert!(checked.ends_with("2 statements: 0 refusals, 4 warnings\n"), "{checked}");
    let ran = said_of(&["s.sql"]);
    assert_eq!(ran.matches("is a reserved word").count(), 3, "each once in a session\n{ran}");
}

#[test]
fn the_queries_of_the_checkout_have_nothing_to_refuse() {
    let scratch = Scratch::new();
    for path in entries(&scratch.path().join("queries")) {
        if path.extension().is_some_and(|extension| extension == "sql") {
            let file = path.to_string_lossy().into_owned();
            let output = ran(&scratch, &["check", &file]);
            assert!(output.status.success() && !said(&output).contains("reserved"), "{file}\n{}", said(&output));
        }
    }
    assert!(!scratch.path().join(".beadline").exists());
}

#[test]
fn plans_are_printed_and_nothing_runs() {
    let scratch = Scratch::new();
    let sql = "CREATE TABLE o (n INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'json'); \
               INSERT INTO o VALUES (1); CREATE TABLE p WITH ('connector' = 'blackhole') AS SELECT n FROM o";
    let output = ran(&scratch, &["explain", "-c", sql]);
    let plans = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && plans.contains("Sink(table=[o])") && plans.contains("Sink(table=[p])"),
        "{plans}{}",
        said(&output)
    );
    assert!(!scratch.path().join("o").exists());
}

#[test]
fn the_program_tells_of_itself() {
    let scratch = Scratch::new();
    for (arguments, expected) in [
        (&["help"][..], "Exit codes:"),
        (&["help", "check"], "without running it"),
        (&["man"], ".TH beadline 1"),
        (&["completions", "bash"], "_beadline()"),
        (&["completions", "nushell"], "export extern beadline"),
    ] {
        let output = ran(&scratch, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains(expected), "{arguments:?}: {text}{}", said(&output));
    }
    let output = ran(&scratch, &["help", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("there is no help on `nothing`"));
}
