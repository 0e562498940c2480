//! Pages whose commands are run as they stand: a block ```` ```sh ```` runs in a copy of `queries/data`, and what it
//! writes to stdout is the block ```` ```text ```` behind it. `BEADLINE_UPDATE=1 cargo test --test it pages` writes
//! these blocks anew.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::support::{checkout, entries, name_of};

/// What stands in a page, in its order.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// Lines that nobody runs.
    Prose(String),
    Block {
        language: String,
        text: String,
    },
}

#[test]
fn the_commands_of_the_cookbook_answer_as_it_says() {
    check("docs/cookbook.md", "queries/data");
}

#[test]
fn the_commands_for_those_who_come_from_duckdb_answer_as_the_page_says() {
    check("docs/from-duckdb.md", "queries/data");
}

#[test]
fn the_pipe_of_the_readme_answers_as_it_says() {
    check("README.md", "");
}

#[test]
fn a_page_comes_apart_and_together() {
    let page = "# A\n\n```sh\nls\n```\n\n```text\na\n```\nEnd\n";
    let pieces = apart(page);
    assert_eq!(together(&pieces), page);
    let languages: Vec<&str> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Block { language, .. } => Some(language.as_str()),
            Piece::Prose(_) => None,
        })
        .collect();
    assert_eq!(languages, ["sh", "text"]);
}

/// Runs a page from its top to its end, in one directory of a copy of the checkout's data.
fn check(page: &str, directory: &str) {
    let path = checkout().join(page);
    let text = std::fs::read_to_string(&path).expect("a page of the documentation");
    let copy = copy_of_data();
    let directory = copy.path().join(directory);
    let mut pieces = apart(&text);
    let mut answer = None;
    let mut has_run = false;
    for piece in &mut pieces {
        let Piece::Block { language, text } = piece else { continue };
        match language.as_str() {
            "sh" => answer = Some(run(&directory, text)),
            "cron" => answer = Some(run(&directory, &of_cron(text))),
            "ini" => answer = Some(run(&directory, &of_service(text))),
            "text" => *text = answer.take().unwrap_or_else(|| panic!("{page}: no command stands before:\n{text}")),
            _ => continue,
        }
        has_run = true;
    }
    assert!(has_run, "{page} has no command that is run");
    let written = together(&pieces);
    if std::env::var("BEADLINE_UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, written).expect("the page can be written");
    } else {
        assert_eq!(text, written, "{page}: BEADLINE_UPDATE=1 writes what its commands answer");
    }
}

fn copy_of_data() -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a scratch directory");
    let data = copy.path().join("queries/data");
    std::fs::create_dir_all(&data).expect("a directory");
    for file in entries(&checkout().join("queries/data")) {
        if file.is_file() {
            std::fs::copy(&file, data.join(name_of(&file))).expect("a copy");
        }
    }
    copy
}

/// Runs a block of shell, and returns what it wrote to stdout.
fn run(directory: &Path, block: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_beadline"));
    let programs = program.parent().expect("a directory").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path))).expect("a path");
    let output = Command::new("sh")
        .args(["-e", "-c", block])
        .current_dir(directory)
        .env("PATH", path)
        .env("BEADLINE_CONFIG", "")
        .env_remove("BEADLINE_FAILPOINT")
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{block}\n{said}");
    String::from_utf8(output.stdout).expect("text")
}

/// The command of a line for cron, in the directory of the test.
fn of_cron(line: &str) -> String {
    let command = line.split_whitespace().skip(5).collect::<Vec<_>>().join(" ");
    command.replace("cd /srv/flights && ", "")
}

/// The command of a service, over the lines that are there in place of those to come.
fn of_service(unit: &str) -> String {
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    command.replace("tail -n 0 -F", "cat")
}

fn apart(page: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut prose = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            let _ = writeln!(prose, "{line}");
            continue;
        };
        if !prose.is_empty() {
            pieces.push(Piece::Prose(std::mem::take(&mut prose)));
        }
        let text = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        pieces.push(Piece::Block { language: language.to_owned(), text });
    }
    if !prose.is_empty() {
        pieces.push(Piece::Prose(prose));
    }
    pieces
}

fn together(pieces: &[Piece]) -> String {
    let mut page = String::new();
    for piece in pieces {
        let _ = match piece {
            Piece::Prose(text) => write!(page, "{text}"),
            Piece::Block { language, text } => write!(page, "```{language}\n{text}```\n"),
        };
    }
    page
}
