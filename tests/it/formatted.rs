//! `beadline fmt`: on every SQL of the checkout, and as it is used.

use std::io::Write;
use std::process::{Output, Stdio};

use beadline::sql::{format_script, parse_script};
use sqllogictest::{DefaultColumnType, Record};

use crate::support::{Scratch, Variant, checkout, entries, name_of};

/// The scripts of the checkout that can be read: those of `queries`, the statements of `tests/slt`, the blocks of the docs.
fn scripts() -> Vec<(String, String)> {
    let mut scripts = Vec::new();
    for path in entries(&checkout().join("queries")) {
        if path.extension().is_some_and(|extension| extension == "sql") {
            scripts.push((name_of(&path), std::fs::read_to_string(&path).expect("a query")));
        }
    }
    for path in entries(&checkout().join("tests/slt")) {
        for record in sqllogictest::parse_file::<DefaultColumnType>(&path).expect("a file that can be parsed") {
            if let Record::Statement { sql, loc, .. } | Record::Query { sql, loc, .. } = record {
                scripts.push((loc.to_string(), sql));
            }
        }
    }
    let pages = entries(&checkout().join("docs")).into_iter().chain([checkout().join("README.md")]);
    for page in pages.filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&page).expect("a page");
        for (number, block) in text.split("```sql\n").skip(1).enumerate() {
            let block = block.split("```").next().unwrap_or_default();
            scripts.push((format!("{}, block {number}", name_of(&page)), block.to_owned()));
        }
    }
    scripts.retain(|(_, text)| parse_script(text).is_ok());
    assert!(scripts.len() > 500, "only {} scripts were found", scripts.len());
    scripts
}

/// All characters that are no space, in upper case and without commas, which may change places with a comment.
fn characters(text: &str) -> String {
    let kept = text.chars().filter(|next| !next.is_whitespace() && *next != ',');
    kept.flat_map(char::to_uppercase).collect()
}

#[test]
fn every_script_stays_what_it_is_and_formatted_once_is_formatted() {
    for (name, text) in scripts() {
        let formatted = format_script(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        assert_eq!(characters(&formatted), characters(&text), "{name}");
        assert_eq!(format_script(&formatted).expect("formatted SQL"), formatted, "{name}");
        let statements = |text: &str| parse_script(text).expect("SQL").statements.len();
        assert_eq!(statements(&formatted), statements(&text), "{name}");
        for line in formatted.lines() {
            assert_eq!(line.trim_end(), line, "{name}: spaces at the end of a line");
        }
    }
}

/// A comment at every place, or a line end, or nothing but one space.
#[test]
fn comments_may_stand_everywhere() {
    let (texts, between) =
        (scripts(), ["\n", " ", " -- a comment; 'open\n", "\n-- alone\n", " /* inner */ ", "\n/* two\nlines */\n"]);
    for (name, text) in texts.iter().step_by(7) {
        let lexemes: Vec<_> = beadline::sql::Lexer::new(text).collect();
        // The value of a setting is everything to its semicolon.
        if lexemes.first().is_none_or(|first| first.is_word(text, "SET") || first.is_word(text, "RESET"))
            || text.contains("SET '")
        {
            continue;
        }
        for filler in between {
            let mut filled = String::new();
            let mut end = 0;
            for lexeme in &lexemes {
                let gap = &text[end..lexeme.start];
                filled.push_str(if gap.is_empty() { "" } else { filler });
                filled.push_str(lexeme.of(text));
                end = lexeme.end;
            }
            let formatted = format_script(&filled).unwrap_or_else(|error| panic!("{name}: {error}\n{filled}"));
            assert_eq!(characters(&formatted), characters(&filled), "{name}");
            assert_eq!(format_script(&formatted).expect("formatted SQL"), formatted, "{name}\n{filled}");
        }
    }
}

#[test]
fn the_queries_of_the_checkout_are_formatted() {
    let scratch = Scratch::new();
    let queries = entries(&scratch.path().join("queries"));
    let files = queries.iter().filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
    let output = scratch.command(&Variant::default()).args(["fmt", "--check"]).args(files).output().expect("a start");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ran(scratch: &Scratch, arguments: &[&str], input: &str) -> (Output, String, String) {
    let mut command = scratch.command(&Variant::default());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // It may have ended without reading.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    (output, out, error)
}

fn file(scratch: &Scratch, name: &str) -> String {
    std::fs::read_to_string(scratch.path().join(name)).expect("a file")
}

const UGLY: &str = "select a,b from t;;select 1 ;";
const NICE: &str = "SELECT a, b FROM t;\n;\nSELECT 1;\n";

#[test]
fn files_are_formatted_in_their_place() {
    let scratch = Scratch::new();
    let path = |name: &str| scratch.path().join(name);
    std::fs::write(path("ugly.sql"), UGLY).expect("a file");
    std::fs::write(path("nice.sql"), NICE).expect("a file");
    std::os::unix::fs::symlink("ugly.sql", path("link.sql")).expect("a link");

    let (output, out, error) = ran(&scratch, &["fmt", "--check", "ugly.sql", "nice.sql"], "");
    assert_eq!((output.status.code(), out.as_str(), error.as_str()), (Some(1), "ugly.sql\n", ""));
    assert_eq!(file(&scratch, "ugly.sql"), UGLY);

    let (output, out, error) = ran(&scratch, &["fmt", "link.sql", "nice.sql"], "");
    assert_eq!((output.status.code(), out.as_str(), error.as_str()), (Some(0), "", "link.sql formatted\n"));
    assert_eq!(file(&scratch, "ugly.sql"), NICE);
    assert!(path("link.sql").symlink_metadata().expect("a link").is_symlink());

    let (output, out, error) = ran(&scratch, &["fmt", "--check", "ugly.sql", "nice.sql"], "");
    assert_eq!((output.status.code(), out.as_str(), error.as_str()), (Some(0), "", ""));
    let mut names: Vec<_> = entries(scratch.path()).iter().map(|path| name_of(path)).collect();
    names.sort();
    assert_eq!(names, ["link.sql", "nice.sql", "queries", "ugly.sql"], "nothing is left beside them");
}

#[test]
fn stdin_goes_to_stdout() {
    let scratch = Scratch::new();
    for arguments in [&["fmt"][..], &["fmt", "-"]] {
        let (output, out, error) = ran(&scratch, arguments, UGLY);
        assert_eq!((output.status.code(), out.as_str(), error.as_str()), (Some(0), NICE, ""));
    }
    let (output, out, _) = ran(&scratch, &["fmt", "--check"], UGLY);
    assert_eq!((output.status.code(), out.as_str()), (Some(1), "stdin\n"));
    let (output, out, _) = ran(&scratch, &["fmt", "--check"], NICE);
    assert_eq!((output.status.code(), out.as_str()), (Some(0), ""));
    let (output, out, _) = ran(&scratch, &["fmt"], "");
    assert_eq!((output.status.code(), out.as_str()), (Some(0), ""));
}

#[test]
fn what_cannot_be_read_is_left_as_it_is_and_the_others_are_formatted() {
    let scratch = Scratch::new();
    let broken = "select 1;\nselec 2;\n";
    std::fs::write(scratch.path().join("broken.sql"), broken).expect("a file");
    std::fs::write(scratch.path().join("ugly.sql"), UGLY).expect("a file");
    std::fs::create_dir(scratch.path().join("folder")).expect("a folder");
    let (output, out, error) = ran(&scratch, &["fmt", "broken.sql", "folder", "none.sql", "ugly.sql"], "");
    assert_eq!((output.status.code(), out.as_str()), (Some(1), ""));
    assert!(error.contains("broken.sql:2:1") && error.contains("found `selec`"), "{error}");
    assert!(error.contains("read folder") && error.contains("name the files of SQL in it"), "{error}");
    assert!(error.contains("read none.sql") && error.ends_with("ugly.sql formatted\n"), "{error}");
    assert_eq!(file(&scratch, "broken.sql"), broken);
    assert_eq!(file(&scratch, "ugly.sql"), NICE);
    let (output, ..) = ran(&scratch, &["fmt", "--nothing"], "");
    assert_eq!(output.status.code(), Some(2));
}
