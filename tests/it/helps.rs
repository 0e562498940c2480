//! No help leads to something refused: every help that names a form is followed, and the form is accepted.
//!
//! A case of `tests/data/helps.txt` is a statement that is refused and what somebody writes who does as the help says. The
//! words of SQL, the keys of settings and the names in back-quotes that the help tells all stand in it. Every help of the
//! source that names a form has a case: a new one without fails `every_help_has_a_case`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use beadline::session::{Finding, Session};

use crate::support::checkout;

/// The tables that the cases are about.
const TABLES: &str = "
CREATE TABLE e (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND) WITH ('connector' = 'filesystem', 'path' = 'tests/data/eight_rows.csv', 'format' = 'csv');
CREATE TABLE plain (id INT, at_time TIMESTAMP(3)) WITH ('connector' = 'filesystem', 'path' = 'tests/data/eight_rows.csv', 'format' = 'csv');
CREATE TABLE endless (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen');
CREATE TABLE keyed (id INT, n BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'blackhole');
CREATE TABLE files (k INT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'nowhere/files', 'format' = 'csv');
CREATE TABLE hole (k INT, n BIGINT) WITH ('connector' = 'blackhole');
CREATE TABLE late_t (id INT, reason STRING) WITH ('connector' = 'blackhole');
CREATE TEMPORARY TABLE passing (id INT) WITH ('connector' = 'blackhole');
CREATE TEMPORARY VIEW passing_v AS SELECT id FROM e;
CREATE VIEW v AS SELECT id FROM e;
";

/// What is refused, and what is written instead.
const CASES: &str = include_str!("../data/helps.txt");

/// Words in capitals that are no SQL.
const NO_SQL: &[&str] = &["FILE", "HOST", "ISO", "JSON", "NULL", "PORT", "SQL", "TOPIC", "UTC", "UTF"];

/// The refusals of a script behind the tables.
fn refusals(script: &str) -> Vec<beadline::error::Error> {
    let text = format!("{TABLES}{script}");
    let checked = Session::new().check(&text);
    let refused = checked.findings.into_iter().filter_map(|finding| match finding {
        Finding::Refusal(error) => Some(error),
        _ => None,
    });
    refused.collect()
}

/// What a help names: words of SQL, keys of options and settings, names in back-quotes.
fn named(help: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut text = help.to_owned();
    // What is to go is not to be written.
    while let Some(start) = text.find("leave ")
        && let Some(length) = text[start..].find(" out")
    {
        text.replace_range(start..start + length + " out".len(), "");
    }
    for (index, piece) in text.split('`').enumerate() {
        if index % 2 == 1 {
            names.insert(piece.to_owned());
        }
    }
    for (index, piece) in text.split('\'').enumerate() {
        let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        if index % 2 == 1
            && piece.contains(['.', '-'])
            && piece.starts_with(|c: char| c.is_ascii_lowercase())
            && piece.chars().all(is_key)
        {
            names.insert(piece.to_owned());
        }
    }
    for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let is_word = word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        if is_word && !NO_SQL.contains(&word) {
            names.insert(word.to_owned());
        }
    }
    names
}

/// A statement that is refused, or the help of one that cannot be brought about here.
enum Cause {
    Refused(&'static str),
    Help(&'static str),
}

/// The causes, each with what is written then.
fn cases() -> Vec<(Cause, &'static str)> {
    let lines = CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect::<Vec<_>>();
    let case = |pair: &[&'static str]| {
        let [cause, written] = pair else { panic!("a case without what is written: {pair:?}") };
        let written = written.strip_prefix("=>").unwrap_or_else(|| panic!("no `=>` behind {cause}"));
        (cause.strip_prefix("help: ").map_or(Cause::Refused(cause), Cause::Help), written)
    };
    lines.chunks(2).map(case).collect()
}

/// What a help names and a script does not have.
fn complaints(help: &str, script: &str) -> Vec<String> {
    let missing = named(help).into_iter().filter(|name| !script.contains(name.as_str()));
    missing.map(|name| format!("what is written has no {name}")).collect()
}

#[test]
fn every_form_that_a_help_names_is_accepted() {
    let mut wrong = String::new();
    for (cause, written) in cases() {
        let (cause, helps) = match cause {
            Cause::Help(help) => (help, vec![help.to_owned()]),
            Cause::Refused(statement) => {
                let errors = refusals(statement);
                if errors.is_empty() {
                    let _ = writeln!(wrong, "{statement}\n    is accepted");
                }
                (statement, errors.iter().flat_map(|error| error.helps().to_vec()).collect())
            }
        };
        for complaint in helps.iter().flat_map(|help| complaints(help, written)) {
            let _ = writeln!(wrong, "{cause}\n    {helps:?}\n    {complaint}");
        }
        for error in refusals(written) {
            let _ = writeln!(wrong, "{cause}\n    refused is{written}\n    {error}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_help_has_a_case() {
    let helps_of = |cause| match cause {
        Cause::Help(help) => vec![help.to_owned()],
        Cause::Refused(statement) => refusals(statement).iter().flat_map(|error| error.helps().to_vec()).collect(),
    };
    let heard: BTreeSet<String> = cases().into_iter().flat_map(|(cause, _)| helps_of(cause)).collect();
    let mut wrong = String::new();
    for path in sources(&checkout().join("src")) {
        let text = fs::read_to_string(&path).expect("a source");
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for help in helps(text) {
            if !named(&without_braces(&help)).is_empty()
                && !heard.iter().any(|said| said.ends_with(&help) || fits(&help, said))
            {
                let _ = writeln!(wrong, "{}: {help}", path.strip_prefix(checkout()).expect("inside").display());
            }
        }
    }
    assert!(wrong.is_empty(), "helps that name a form, and no case follows them:\n{wrong}");
}

/// All sources of what reads and plans statements.
fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = crate::support::name_of(&path);
        match path.is_dir() {
            true if !["cli", "runtime", "state", "checkpoint", "storage", "tests"].contains(&name.as_str()) => {
                found.extend(sources(&path));
            }
            false if name.ends_with(".rs") && name != "tests.rs" => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

/// The texts of helps in a source: what stands in `with_help(…)` and `instead(…)`, and in constants, in which helps of
/// tables stand. Of those only what has a blank is a text.
fn helps(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, opening, end) in [("with_help(", '(', ')'), (".instead(", '(', ')'), ("const ", ' ', ';')] {
        for (at, _) in source.match_indices(start) {
            let (texts, whole) = literals(&source[at + start.len()..], opening, end);
            let is_const = opening == ' ';
            let is_other =
                ["OptionSpec", "Function", "FUNCTIONS", "FORMS", "fn "].iter().any(|word| whole.contains(word));
            if is_const && (is_other || !whole.contains("str")) {
                continue;
            }
            found.extend(texts.into_iter().filter(|text| text.contains(' ')));
        }
    }
    found
}

/// The text literals up to the `end` that is in no bracket, and all that was read.
fn literals(source: &str, opening: char, end: char) -> (Vec<String>, &str) {
    let (mut found, mut depth) = (Vec::new(), 0_usize);
    let mut chars = source.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let mut text = String::new();
                while let Some((_, c)) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => match chars.next() {
                            Some((_, '\n')) => {
                                while chars.clone().next().is_some_and(|(_, c)| c.is_whitespace()) {
                                    chars.next();
                                }
                            }
                            Some((_, c)) => text.push(c),
                            None => break,
                        },
                        c => text.push(c),
                    }
                }
                found.push(text);
            }
            '\'' if source[at..].starts_with("'\"'") => {
                chars.next();
                chars.next();
            }
            c if c == end && depth == 0 => return (found, &source[..at]),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            c if c == opening && depth == 0 => {}
            _ => {}
        }
    }
    (found, source)
}

/// A text of the source without what is put in.
fn without_braces(help: &str) -> String {
    help.split('{').map(|piece| piece.split_once('}').map_or(piece, |(_, behind)| behind)).collect()
}

/// Whether what was said is this text with something in its braces.
fn fits(help: &str, said: &str) -> bool {
    let mut parts = Vec::new();
    let mut rest = help;
    while let Some((before, behind)) = rest.split_once('{') {
        parts.push(before);
        rest = behind.split_once('}').map_or("", |(_, behind)| behind);
    }
    let Some(mut said) = said.strip_prefix(parts.first().copied().unwrap_or(rest)) else { return false };
    if parts.is_empty() {
        return said.is_empty();
    }
    for part in &parts[1..] {
        let Some(at) = said.find(part) else { return false };
        said = &said[at + part.len()..];
    }
    said.ends_with(rest)
}
