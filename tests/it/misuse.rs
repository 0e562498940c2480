//! What is typed by somebody who does not know the program yet: the answer leads to something that works.

use std::fs;
use std::process::{Command, Output};

use crate::support::{Scratch, Variant};

fn ran(scratch: &Scratch, arguments: &[&str]) -> Output {
    scratch.command(&Variant::default()).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The command behind `words` in an answer.
fn told(answer: &str, words: &str) -> String {
    let line = answer.lines().find_map(|line| line.split_once(words)).unwrap_or_else(|| panic!("{words}: {answer}"));
    line.1.to_owned()
}

/// Runs a command as a shell does, which finds the program.
fn shell(scratch: &Scratch, command: &str) -> Output {
    let program = scratch.command(&Variant::default());
    let program = std::path::Path::new(program.get_program()).to_owned();
    let folder = program.parent().expect("a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    Command::new("sh").args(["-c", command]).env("PATH", path).current_dir(scratch.path()).output().expect("a shell")
}

#[test]
fn data_in_place_of_sql_is_named_and_the_command_that_is_told_queries_it() {
    let scratch = Scratch::new();
    let write = |name: &str, bytes: &[u8]| fs::write(scratch.path().join(name), bytes).expect("a file");
    write("small.jsonl", b"{\"a\":1}\n{\"a\":2}\n");
    write("big file.txt", "12345678 and so on\n".repeat(140_000).as_bytes());
    write("access.log", b"GET /\nPOST /\n");
    write("packed.json", b"{\"a\":1}\n");
    assert!(shell(&scratch, "gzip packed.json").status.success());
    for (name, what, rows) in [
        ("small.jsonl", "is data, not SQL", 2),
        ("big file.txt", "is data, not SQL", 140_000),
        ("access.log", "is data, not SQL", 2),
        ("packed.json.gz", "is compressed with gzip, not SQL", 1),
    ] {
        let output = ran(&scratch, &[name]);
        let answer = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{answer}");
        assert!(answer.contains(&format!("{name} {what}")), "{answer}");
        let queried = shell(&scratch, &told(&answer, "query it: "));
        assert!(queried.status.success(), "{}", text(&queried.stderr));
        assert_eq!(text(&queried.stdout).lines().count(), rows, "{name}");
    }
    write("users.csv", b"id,user name\n1,x\n2,y\n");
    let answer = text(&ran(&scratch, &["users.csv"]).stderr);
    let output = ran(&scratch, &["-c", &told(&answer, "query it in SQL: ")]);
    assert_eq!(text(&output.stdout).lines().count(), 2, "{answer}{}", text(&output.stderr));
    assert_eq!(text(&shell(&scratch, &told(&answer, "its lines as they are: ")).stdout).lines().count(), 3);
    // And what comes through a pipe.
    let answer = shell(&scratch, "beadline < small.jsonl");
    assert!(text(&answer.stderr).contains("stdin is data, not SQL"), "{}", text(&answer.stderr));
    write("columns.parquet", b"PAR1");
    assert!(text(&ran(&scratch, &["columns.parquet"]).stderr).contains("is a Parquet file, not SQL"));
}

#[test]
fn a_file_that_is_not_there_may_have_been_meant_as_a_command() {
    let scratch = Scratch::new();
    let answer = text(&ran(&scratch, &["halp"]).stderr);
    assert!(answer.contains("one of the commands check, explain,") && answer.contains("SQL itself stands behind -c"));
    assert!(text(&ran(&scratch, &["."]).stderr).contains("name the files of SQL in it"));
    let output = ran(&scratch, &["-i", "init.sql"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--init FILE runs a script first"), "{}", text(&output.stderr));
}

#[test]
fn going_on_costs_a_mistake_its_own_statement_only() {
    let scratch = Scratch::new();
    let sql = "SELECT 1; USE ods; SELECT nope FROM (VALUES (1)) AS t(a); SELEC 2; SELECT nope FROM (VALUES (1)) AS t(a); SELECT 3";
    let output = ran(&scratch, &["--keep-going", "--format", "csv", "-c", sql]);
    let answer = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout).lines().filter(|line| ["1", "3"].contains(line)).count(), 2, "{answer}");
    // The same text twice: the caret stands under each.
    for place in ["1:15", "1:27", "1:59", "1:75"] {
        assert!(answer.contains(&format!("command line:{place}")), "{place}: {answer}");
    }
}
