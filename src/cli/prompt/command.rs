//! The commands of the prompt that are no SQL, in three tongues: Flink's words, psql's backslash, the dot of sqlite and
//! duckdb. One table; each command does one thing, whatever it is called.

use crate::error::{Error, Result, Span};
use crate::options::nearest;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Runs this SQL, with the argument behind it.
    Sql(&'static str),
    /// `DESCRIBE` of its argument; without one, `SHOW TABLES`.
    Describe,
    /// `SHOW CREATE` of its argument; without one, of all tables and views.
    Schema,
    Help,
    Leave,
    ClearScreen,
    /// Says or sets how rows are written.
    Format,
    /// Turns rows on their side, or back.
    Expanded,
    /// Whether a footer stands below a result.
    Timing,
    /// Runs a script.
    Run,
    /// Sends rows to a file from here on; without an argument, back to the terminal.
    Output,
    /// Runs the last statement again and again.
    Watch,
    /// Opens the last statement, or a file, in an editor.
    Edit,
    /// Shows what was typed.
    History,
}

/// One command and all its names.
#[derive(Debug)]
pub struct Command {
    pub action: Action,
    /// In the order in which help shows them. Words are also heard without anything before them.
    pub names: &'static [&'static str],
    /// What may stand behind it, for help; empty for nothing.
    pub argument: &'static str,
    pub doc: &'static str,
}

/// A command as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    pub action: Action,
    /// The name that was used.
    pub name: &'static str,
    /// What stands behind it, without spaces around it.
    pub argument: String,
}

/// All commands, in the order of the help.
pub const COMMANDS: &[Command] = &[
    command(Action::Help, &["HELP", "\\?", "\\h", ".help"], "", "this list"),
    command(Action::Leave, &["QUIT", "EXIT", "\\q", ".quit", ".exit"], "", "leave; Ctrl-D does too"),
    command(Action::Sql("SHOW TABLES"), &["SHOW TABLES", "\\dt", ".tables"], "", "names of tables and views"),
    command(Action::Sql("SHOW VIEWS"), &["SHOW VIEWS", "\\dv"], "", "names of views"),
    command(Action::Describe, &["DESCRIBE", "\\d"], "[TABLE]", "columns of a table, or all tables"),
    command(Action::Schema, &["SHOW CREATE TABLE", ".schema"], "[TABLE]", "the statement that makes a table"),
    command(Action::Sql("SHOW FUNCTIONS"), &["SHOW FUNCTIONS", "\\df"], "", "functions and what they do"),
    command(Action::Sql("SHOW JOBS"), &["SHOW JOBS", "\\jobs", ".jobs"], "", "jobs that were started here"),
    command(Action::Sql("SET"), &["SET", "\\set", ".show"], "", "settings and where each comes from"),
    command(Action::Format, &["\\format", "\\pset format", ".mode"], "[FORMAT]", "how rows are written"),
    command(Action::Expanded, &["\\x"], "[on|off]", "a line per column, for wide rows"),
    command(Action::Timing, &["\\timing", ".timer"], "[on|off]", "a footer below each result"),
    command(Action::Run, &["\\i", ".read"], "FILE", "run the SQL in a file"),
    command(Action::Output, &["\\o", ".output"], "[FILE]", "send rows to a file, or back here"),
    command(Action::Watch, &["\\watch"], "[SECONDS]", "run the last statement again and again"),
    command(Action::Edit, &["\\e", ".edit"], "[FILE]", "edit the last statement or a file"),
    command(Action::History, &["\\s", ".history"], "", "what was typed"),
    command(Action::ClearScreen, &["CLEAR", "\\clear", ".clear"], "", "clear the screen; Ctrl-L does too"),
];

/// Words that are commands by themselves, with or without a semicolon.
const LONE_WORDS: &[(&str, Action)] = &[
    ("HELP", Action::Help),
    ("QUIT", Action::Leave),
    ("EXIT", Action::Leave),
    ("CLEAR", Action::ClearScreen),
    ("?", Action::Help),
];

const fn command(action: Action, names: &'static [&'static str], argument: &'static str, doc: &'static str) -> Command {
    Command { action, names, argument, doc }
}

/// Whether `input` is a command, not SQL: one line is then all of it.
pub fn is_command(input: &str) -> bool {
    let text = input.trim();
    lone_word(text).is_some() || begins_command(text)
}

/// Reads a command; `None` if the input is SQL.
pub fn read(input: &str) -> Option<Result<Typed>> {
    let text = input.trim();
    if let Some((name, action)) = lone_word(text) {
        return Some(Ok(Typed { action, name, argument: String::new() }));
    }
    begins_command(text).then(|| named(text, input.find(text).unwrap_or(0)))
}

/// The names that complete what was typed, without those that are SQL anyway.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().flat_map(|command| command.names).copied().filter(|name| begins_command(name))
}

/// The list for people, a line per command.
pub fn help() -> String {
    let name = |command: &Command| {
        let first = command.names.join(", ");
        if command.argument.is_empty() { first } else { format!("{first} {}", command.argument) }
    };
    let width = COMMANDS.iter().map(|command| name(command).len()).max().unwrap_or(0);
    let mut text = "A statement ends with `;` and may span lines; \\gx for `;` gives a line a value.\n".to_owned();
    for command in COMMANDS {
        text.push_str(&format!("  {:width$}  {}\n", name(command), command.doc));
    }
    text.push_str(
        "Tab completes, Ctrl-R searches, Ctrl-C stops a query and stays, Ctrl-D leaves.\n\
         INSERT INTO starts a job in the background: STOP JOB 'name'; stops it.\n",
    );
    text
}

fn lone_word(text: &str) -> Option<(&'static str, Action)> {
    let word = text.strip_suffix(';').unwrap_or(text).trim_end();
    LONE_WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).copied()
}

fn begins_command(text: &str) -> bool {
    let mut characters = text.chars();
    match characters.next() {
        Some('\\') => true,
        Some('.') => characters.next().is_some_and(|second| second.is_ascii_alphabetic()),
        _ => false,
    }
}

fn named(text: &str, at: usize) -> Result<Typed> {
    let line = text.trim_end_matches(';').trim_end();
    let candidates = || COMMANDS.iter().flat_map(|command| command.names.iter().map(move |name| (*name, command)));
    // Of two names that fit the longer one is meant: `\pset format`.
    let found = candidates()
        .filter(|(name, _)| begins_command(name))
        .filter_map(|(name, command)| {
            let rest = line.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some((name, command, rest.trim()))
        })
        .max_by_key(|(name, ..)| name.len());
    let word = line.split_whitespace().next().unwrap_or(line);
    let place = Span { start: at, end: at + word.len() };
    let Some((name, command, argument)) = found else {
        let error = Error::query(format!("there is no command {word}")).with_span(place);
        return Err(match nearest(word, names()) {
            Some(meant) => error.with_help(format!("did you mean {meant}? \\? lists all commands")),
            None => error.with_help("\\? lists all commands"),
        });
    };
    if command.argument.is_empty() && !argument.is_empty() {
        return Err(Error::query(format!("{name} takes nothing behind it")).with_span(place));
    }
    if command.argument.starts_with(char::is_uppercase) && argument.is_empty() {
        return Err(Error::query(format!("{name} needs {}", command.argument)).with_span(place));
    }
    Ok(Typed { action: command.action, name, argument: argument.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(input: &str) -> (Action, String) {
        let typed = read(input).expect("a command").expect("a known one");
        (typed.action, typed.argument)
    }

    #[test]
    fn three_tongues_mean_the_same() {
        for input in ["\\q", ".quit", ".exit", "quit", "EXIT;", " exit ; "] {
            assert_eq!(typed(input), (Action::Leave, String::new()), "{input}");
        }
        for input in ["\\?", ".help", "help", "HELP;", "?"] {
            assert_eq!(typed(input), (Action::Help, String::new()), "{input}");
        }
        assert_eq!(typed("\\d  orders "), (Action::Describe, "orders".to_owned()));
        assert_eq!(typed("\\d"), (Action::Describe, String::new()));
        assert_eq!(typed(".mode csv"), typed("\\pset format csv"));
        assert_eq!(typed("\\i a b.sql;"), (Action::Run, "a b.sql".to_owned()));
    }

    #[test]
    fn sql_is_no_command() {
        for sql in ["SELECT 1", "help me", ".5 + 1", "SHOW TABLES;", "SET 'a' = 'b';", "", "quit SELECT"] {
            assert!(read(sql).is_none() && !is_command(sql), "{sql}");
        }
    }

    #[test]
    fn what_is_unknown_gets_its_nearest_match() {
        let error = read("  .table").unwrap().unwrap_err();
        assert_eq!(error.message(), "there is no command .table");
        assert!(error.helps()[0].contains(".tables"), "{error}");
        assert_eq!(error.span(), Some(Span { start: 2, end: 8 }));
        assert!(read("\\").unwrap().is_err());
        assert!(read("\\i").unwrap().unwrap_err().message().contains("FILE"));
        assert!(read("\\q now").unwrap().is_err());
    }

    #[test]
    fn help_names_every_command_once() {
        let help = help();
        for command in COMMANDS {
            assert_eq!(help.matches(&command.names.join(", ")).count(), 1, "{:?}", command.names);
        }
        // It fits on the smallest terminal, with a prompt below it.
        assert!(help.lines().count() < 23 && help.lines().all(|line| line.chars().count() <= 80), "{help}");
    }
}
