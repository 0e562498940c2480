//! What Tab offers: keywords, tables, columns in scope, functions, option keys and their values, settings, files.
//!
//! The lexemes before the cursor say what can stand there. Nothing is looked up in the outside world but the names of
//! files, and nothing waits for a job: all names are in a [`Vocabulary`] that was made after the last statement.

use std::collections::BTreeSet;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use super::command;
use super::keywords::keywords;
use crate::options::{OptionKind, OptionSpec};
use crate::session::vocabulary::{connector_names, format_names, option, option_keys};
use crate::session::{Vocabulary, setting_list};
use crate::sql::{Kind, Lexeme, Lexer, Open, is_reserved};

/// What may stand in place of the text from `start` to the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// A byte of the input.
    pub start: usize,
    /// In order, each once.
    pub candidates: Vec<String>,
}

/// Completes `input` at the byte `cursor`.
pub fn complete(input: &str, cursor: usize, vocabulary: &Vocabulary) -> Completion {
    let before = &input[..cursor];
    if command::is_command(before) {
        return complete_command(before, vocabulary);
    }
    let statement = statement_start(before);
    let before_here = &before[statement..];
    let lexemes: Vec<Lexeme> = Lexer::new(before_here).collect();
    let at = |start: usize, candidates: BTreeSet<String>| Completion {
        start: statement + start,
        candidates: candidates.into_iter().collect(),
    };
    if let Some((last, head)) = lexemes.split_last()
        && last.kind == Kind::Open(Open::Text)
    {
        let typed = &before_here[last.start + 1..];
        return match in_quotes(before_here, head, &input[statement..], vocabulary) {
            Quoted::File => {
                let (directory_length, files) = files(typed);
                at(last.start + 1 + directory_length, files)
            }
            Quoted::Words { words, suffix } => {
                at(last.start + 1, starting_with(words, typed).map(|word| format!("{word}{suffix}")).collect())
            }
        };
    }
    let (typed, head) = match lexemes.split_last() {
        Some((last, head)) if last.kind == Kind::Word && last.end == before_here.len() => (last.of(before_here), head),
        Some((last, head)) if last.kind == Kind::Open(Open::Name) => (last.of(before_here), head),
        _ => ("", lexemes.as_slice()),
    };
    let start = before_here.len() - typed.len();
    let words = words_at(before_here, head, &input[statement..], vocabulary);
    let quoted_typed = typed.trim_start_matches('`');
    let candidates = words
        .into_iter()
        .filter(|(word, _)| begins_with(word, quoted_typed))
        .map(|(word, is_name)| if is_name { quoted_if_needed(&word) } else { in_case_of(typed, &word) })
        .collect();
    at(start, candidates)
}

/// The last semicolon that ends a statement before the cursor.
fn statement_start(before: &str) -> usize {
    Lexer::new(before).filter(|lexeme| lexeme.is_sign(before, ";")).last().map_or(0, |semicolon| semicolon.end)
}

fn complete_command(before: &str, vocabulary: &Vocabulary) -> Completion {
    let indent = before.len() - before.trim_start().len();
    let text = &before[indent..];
    let Some(space) = text.find(char::is_whitespace) else {
        let names = command::names().filter(|name| name.starts_with(text) && !name.contains(' '));
        return Completion { start: indent, candidates: names.map(str::to_owned).collect() };
    };
    let argument = text[space..].trim_start();
    let start = before.len() - argument.len();
    match &text[..space] {
        "\\i" | ".read" | "\\e" | ".edit" | "\\o" | ".output" => {
            let (directory_length, files) = files(argument);
            Completion { start: start + directory_length, candidates: files.into_iter().collect() }
        }
        "\\format" | ".mode" => {
            let names = super::super::render::Format::names();
            Completion { start, candidates: starting_with(names, argument).collect() }
        }
        "\\d" | ".schema" => {
            let tables = vocabulary.tables.iter().map(|(table, _)| table.clone());
            Completion { start, candidates: starting_with(tables, argument).collect() }
        }
        _ => Completion { start, candidates: Vec::new() },
    }
}

/// What may stand in single quotes.
enum Quoted {
    File,
    Words {
        words: Vec<String>,
        /// What closes it.
        suffix: &'static str,
    },
}

/// What is in the quotes that `head` leads to.
fn in_quotes(text: &str, head: &[Lexeme], statement: &str, vocabulary: &Vocabulary) -> Quoted {
    const NOTHING: Quoted = Quoted::Words { words: Vec::new(), suffix: "'" };
    let closed = |words: Vec<String>| Quoted::Words { words, suffix: "'" };
    let first = |word: &str| head.first().is_some_and(|first| first.is_word(text, word));
    let Some(last) = head.last() else { return NOTHING };
    if last.is_word(text, "JOB") {
        return closed(vocabulary.jobs.clone());
    }
    if last.is_word(text, "SET") || last.is_word(text, "RESET") {
        let keys = setting_list::all().flat_map(|spec| std::iter::once(&spec.key).chain(spec.aliases));
        let suffix = if first("SET") { "' = '" } else { "'" };
        return Quoted::Words {
            words: keys.filter(|key| !key.contains('#')).map(|key| (*key).to_owned()).collect(),
            suffix,
        };
    }
    let key = match head {
        [.., key, equals] if equals.is_sign(text, "=") && key.kind == Kind::Text => key.of(text).trim_matches('\''),
        _ if is_option_list(text, head) => {
            let words = option_keys(&connector_of(statement), &option_of(statement, "format"));
            return Quoted::Words { words, suffix: "' = '" };
        }
        _ => return NOTHING,
    };
    if first("SET") {
        return setting_list::find(key).map_or(NOTHING, |spec| closed(values(spec)));
    }
    match key {
        "connector" => closed(connector_names().map(str::to_owned).collect()),
        "format" | "value.format" | "key.format" => closed(format_names().map(str::to_owned).collect()),
        key => match option(key, &connector_of(statement)) {
            Some(spec) if spec.kind == OptionKind::Path => Quoted::File,
            Some(spec) => closed(values(spec)),
            None => NOTHING,
        },
    }
}

/// Whether the cursor stands where an option's key does: behind `WITH (` or `OPTIONS (`, or a comma in there.
fn is_option_list(text: &str, head: &[Lexeme]) -> bool {
    let Some(open) = head.iter().rposition(|lexeme| lexeme.is_sign(text, "(")) else { return false };
    let opens = open > 0 && ["WITH", "OPTIONS", "SET"].iter().any(|word| head[open - 1].is_word(text, word));
    opens && head.last().is_some_and(|last| last.is_sign(text, "(") || last.is_sign(text, ","))
}

/// The value of an option anywhere in the statement, before or behind the cursor.
fn option_of(statement: &str, key: &str) -> String {
    let lexemes: Vec<Lexeme> = Lexer::new(statement).collect();
    let found = lexemes.windows(3).find(|three| {
        three[0].of(statement).trim_matches('\'') == key
            && three[1].is_sign(statement, "=")
            && three[2].kind == Kind::Text
    });
    found.map(|three| three[2].of(statement).trim_matches('\'').to_owned()).unwrap_or_default()
}

fn connector_of(statement: &str) -> String {
    option_of(statement, "connector")
}

fn values(spec: &OptionSpec) -> Vec<String> {
    match spec.kind {
        OptionKind::Boolean => vec!["true".to_owned(), "false".to_owned()],
        OptionKind::Enum(values) => values.iter().map(|value| (*value).to_owned()).collect(),
        _ => spec.default.map(str::to_owned).into_iter().collect(),
    }
}

/// Words outside quotes, each with whether it is a name.
fn words_at(text: &str, head: &[Lexeme], statement: &str, vocabulary: &Vocabulary) -> Vec<(String, bool)> {
    let tables = || vocabulary.tables.iter().map(|(table, _)| (table.clone(), true));
    let is_last = |word: &str| head.last().is_some_and(|last| last.is_word(text, word));
    if let [.., table, dot] = head
        && dot.is_sign(text, ".")
    {
        let name = table.of(text).trim_matches('`');
        let table = aliased(statement, name).unwrap_or_else(|| name.to_owned());
        let columns = vocabulary.tables.iter().filter(|(known, _)| *known == table).flat_map(|(_, columns)| columns);
        return columns.map(|column| (column.clone(), true)).collect();
    }
    if ["FROM", "JOIN", "INTO", "DESCRIBE", "DESC"].iter().any(|word| is_last(word)) {
        let windows = if is_last("FROM") { &["TUMBLE", "HOP"][..] } else { &[] };
        return tables().chain(windows.iter().map(|word| ((*word).to_owned(), false))).collect();
    }
    if is_last("TABLE") && !head.first().is_some_and(|first| first.is_word(text, "CREATE")) {
        return tables().collect();
    }
    let mut words: Vec<(String, bool)> = keywords().map(|word| (word.to_owned(), false)).collect();
    if head.is_empty() {
        return words;
    }
    words.extend(vocabulary.functions.iter().map(|function| (function.clone(), false)));
    let named: BTreeSet<&str> = Lexer::new(statement)
        .filter(|lexeme| matches!(lexeme.kind, Kind::Word | Kind::Name))
        .map(|lexeme| lexeme.of(statement).trim_matches('`'))
        .collect();
    let in_scope = vocabulary.tables.iter().filter(|(table, _)| named.contains(table.as_str()));
    for (table, columns) in in_scope {
        words.push((table.clone(), true));
        words.extend(columns.iter().map(|column| (column.clone(), true)));
    }
    words
}

/// The table that `FROM table [AS] alias` calls `alias`.
fn aliased(statement: &str, alias: &str) -> Option<String> {
    let lexemes: Vec<Lexeme> = Lexer::new(statement).collect();
    let name = |index: usize| lexemes.get(index).map(|lexeme| lexeme.of(statement).trim_matches('`'));
    (0..lexemes.len()).find_map(|index| {
        if !["FROM", "JOIN"].iter().any(|word| lexemes[index].is_word(statement, word)) {
            return None;
        }
        let table = name(index + 1)?;
        let behind = if lexemes.get(index + 2)?.is_word(statement, "AS") { 3 } else { 2 };
        (name(index + behind)? == alias).then(|| table.to_owned())
    })
}

fn starting_with(words: impl IntoIterator<Item = impl AsRef<str>>, typed: &str) -> impl Iterator<Item = String> {
    words.into_iter().filter(move |word| begins_with(word.as_ref(), typed)).map(|word| word.as_ref().to_owned())
}

fn begins_with(word: &str, typed: &str) -> bool {
    word.get(..typed.len()).is_some_and(|head| head.eq_ignore_ascii_case(typed))
}

/// Keywords follow the hand that types: small letters stay small.
fn in_case_of(typed: &str, word: &str) -> String {
    let is_small = typed.chars().any(char::is_lowercase);
    if is_small { word.to_lowercase() } else { word.to_owned() }
}

fn quoted_if_needed(name: &str) -> String {
    let is_plain = name.chars().all(|next| next.is_alphanumeric() || next == '_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !is_reserved(name)
        && !name.is_empty();
    if is_plain { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) }
}

/// Files that begin with `typed`: how long its directory part is, and the names, folders with a slash.
fn files(typed: &str) -> (usize, BTreeSet<String>) {
    let directory_length = typed.rfind(MAIN_SEPARATOR).map_or(0, |slash| slash + 1);
    let (directory, prefix) = typed.split_at(directory_length);
    let shown = if directory.is_empty() { PathBuf::from(".") } else { home(directory) };
    let Ok(entries) = std::fs::read_dir(shown) else { return (directory_length, BTreeSet::new()) };
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let is_hidden = name.starts_with('.') && !prefix.starts_with('.');
        let is_folder = entry.path().is_dir();
        (name.starts_with(prefix) && !is_hidden)
            .then(|| if is_folder { format!("{name}{MAIN_SEPARATOR}") } else { name })
    });
    (directory_length, names.collect())
}

fn home(directory: &str) -> PathBuf {
    match (directory.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        Vocabulary {
            tables: vec![
                ("orders".to_owned(), vec!["id".to_owned(), "price".to_owned(), "order".to_owned()]),
                ("other table".to_owned(), vec!["id2".to_owned()]),
            ],
            functions: vec!["UPPER".to_owned(), "COUNT".to_owned()],
            jobs: vec!["late-hours".to_owned()],
            ..Vocabulary::default()
        }
    }

    /// The cursor stands at `|`.
    fn check(input: &str, expected: &[&str]) {
        let cursor = input.find('|').expect("a cursor");
        let text = input.replacen('|', "", 1);
        let completion = complete(&text, cursor, &vocabulary());
        assert_eq!(completion.candidates, expected, "{input}");
        assert!(completion.start <= cursor && text.is_char_boundary(completion.start), "{input}");
    }

    #[test]
    fn keywords_follow_the_hand() {
        check("sel|", &["select"]);
        check("SEL|", &["SELECT"]);
        check("SELECT 1; sel|", &["select"]);
        check("xyz|", &[]);
    }

    #[test]
    fn tables_and_columns() {
        check("SELECT * FROM o|", &["`other table`", "orders"]);
        check("INSERT INTO ord|", &["orders"]);
        check("SELECT pr| FROM orders", &["price", "primary"]);
        check("SELECT o.| FROM orders AS o", &["`order`", "id", "price"]);
        check("SELECT o.p| FROM orders o", &["price"]);
        check("SELECT id2| FROM orders", &[]);
        check("SELECT upp| FROM orders", &["upper"]);
        check("SELECT * FROM TUMBLE(TABLE o|", &["`other table`", "orders"]);
    }

    #[test]
    fn options_and_their_values() {
        check("CREATE TABLE t (a INT) WITH ('conn|", &["connector' = '"]);
        check("CREATE TABLE t (a INT) WITH ('connector' = 'file|", &["filesystem'"]);
        check("CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'form|", &["format' = '"]);
        check("CREATE TABLE t (a INT) WITH ('connector' = 'print', 'format' = 'c|", &["csv'"]);
        check("CREATE TABLE t (a INT) WITH ('rows-|' = '5', 'connector' = 'datagen')", &["rows-per-second' = '"]);
        check("SET 'execution.runtime-m|", &["execution.runtime-mode' = '"]);
        check("SET 'execution.runtime-mode' = 'B|", &["BATCH'"]);
        check("RESET 'execution.runtime-m|", &["execution.runtime-mode'"]);
        check("STOP JOB '|", &["late-hours'"]);
        check("CHECKPOINT JOB '|", &["late-hours'"]);
        check("SAVEPOINT JOB '|", &["late-hours'"]);
        check("SELECT 'conn|", &[]);
    }

    #[test]
    fn files_are_offered_where_a_path_is_meant() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.csv", "b.csv", ".hidden"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        std::fs::create_dir(directory.path().join("inner")).unwrap();
        let path = directory.path().display();
        check(&format!("\\i {path}/|"), &["a.csv", "b.csv", "inner/"]);
        check(&format!("CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = '{path}/a|"), &["a.csv"]);
    }

    #[test]
    fn commands() {
        check("\\tim|", &["\\timing"]);
        check(".ta|", &[".tables"]);
        check("\\d or|", &["orders"]);
        check(".mode cs|", &["csv"]);
    }
}
