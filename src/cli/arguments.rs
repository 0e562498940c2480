//! The command line's flags. Files and commands keep the order in which they were given.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser};

use super::render::Format;
use super::screen::{LogFormat, When};
use super::subcommand::Subcommands;

/// Streaming SQL in one binary: Flink's dialect, no cluster.
#[derive(Debug, Clone, Parser)]
#[command(name = "beadline", version, disable_version_flag = true, disable_help_subcommand = true, after_long_help = AFTER_HELP, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Run the SQL in FILE; `-` is stdin
    #[arg(value_name = "FILE")]
    paths: Vec<PathBuf>,

    /// The same; files and commands run in the order given
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Run SQL
    #[arg(short, long = "command", value_name = "SQL", allow_hyphen_values = true)]
    commands: Vec<String>,

    /// Go on after an error (the exit code is 1 all the same)
    #[arg(long)]
    pub keep_going: bool,

    /// Start jobs over: forget their checkpoints and remove the files they published
    #[arg(long)]
    pub fresh: bool,

    /// Print the changes of a query as they come, not its answer
    #[arg(long)]
    changes: bool,

    /// Run everything once over bounded tables, as -D execution.runtime-mode=batch
    #[arg(long)]
    batch: bool,

    /// Run the SQL in FILE first: tables and settings. A prompt runs init.sql of the configuration by itself
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,

    /// Run no init.sql
    #[arg(long, conflicts_with = "init")]
    pub no_init: bool,

    /// As SET 'KEY' = 'VALUE' before the first statement
    #[arg(short = 'D', long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    settings: Vec<(String, String)>,

    /// How rows are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "auto", hide_default_value = true)]
    format: Format,

    /// Whether output is coloured; NO_COLOR and CLICOLOR_FORCE are heard
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub color: When,

    /// Rows of a bounded query shown on a terminal; 0: all
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub max_rows: usize,

    /// Do not show a long result in $PAGER
    #[arg(long)]
    pub no_pager: bool,

    /// Whether a line on stderr shows how far a job is
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub progress: When,

    /// How notes, warnings, errors and the figures of long runs are written to stderr
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text", hide_default_value = true)]
    pub log_format: LogFormat,

    /// No notes and no footer on stderr; errors and warnings stay
    #[arg(short, long)]
    pub quiet: bool,

    /// With --version: what it was built of
    #[arg(long)]
    pub verbose: bool,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::SetTrue)]
    pub version: bool,

    /// What is done in place of running scripts; a file of such a name is `./check`.
    #[command(subcommand)]
    pub subcommand: Option<Subcommands>,

    /// What is run, in order.
    #[arg(skip)]
    pub inputs: Vec<Input>,
}

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// SQL on stdin.
    Stdin,
    /// A file of SQL.
    File(PathBuf),
    /// SQL on the command line.
    Command(String),
}

const EXIT_CODES: &str = "\
Exit codes:
  0    success, or stopped with a checkpoint to go on from
  1    an error of the SQL, of the data or of the outside world
  2    wrong use of the command line
  130  interrupted with nothing to go on from, or twice";

const AFTER_HELP: &str = "\
Without FILE, -f and -c, SQL is read from stdin, and typed where that is a terminal; with them, stdin is data: the
table stdin.
Rows go to stdout, everything else to stderr. Ctrl-C stops with a checkpoint; again within 2 seconds, at once.

Exit codes:
  0    success, or stopped with a checkpoint to go on from
  1    an error of the SQL, of the data or of the outside world
  2    wrong use of the command line
  130  interrupted with nothing to go on from, or twice

Files:
  $XDG_CONFIG_HOME/beadline/config.toml   flags and settings, or the file that BEADLINE_CONFIG names
  $XDG_CONFIG_HOME/beadline/init.sql      run before the first prompt
  $XDG_STATE_HOME/beadline/history        what was typed; a line that begins with a space is not kept

Examples:
  beadline
  beadline queries/late_flights.sql
  beadline --fresh queries/late_flights.sql
  beadline -f tables.sql -c 'SELECT origin, COUNT(*) AS n FROM flights GROUP BY origin ORDER BY n DESC LIMIT 10'
  beadline -D parallelism.default=1 --batch report.sql --format csv > report.csv
  journalctl -f -o json | beadline -c 'SELECT MESSAGE FROM stdin'
  beadline < setup.sql";

impl Arguments {
    /// Reads the flags; an error knows its exit code (0 for help, 2 for wrong use).
    pub fn read(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let matches = Self::command().try_get_matches_from(arguments).map_err(of_another_client)?;
        let mut read = Self::from_arg_matches(&matches)?;
        read.inputs = inputs(&read, &matches);
        if read.inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
            return Err(Self::command().error(ErrorKind::ArgumentConflict, "stdin can be read only once"));
        }
        Ok(read)
    }

    /// What is set before the first statement; a flag that has a setting behind it comes before `-D`, which wins.
    pub fn all_settings(&self) -> Vec<(String, String)> {
        let wants_changes = self.changes || self.format == Format::Changelog;
        let flags = [
            (wants_changes, "sql-client.execution.result-mode", "changelog"),
            (self.batch, "execution.runtime-mode", "batch"),
        ];
        let flags = flags.iter().filter(|(is_given, ..)| *is_given);
        flags.map(|(_, key, value)| ((*key).to_owned(), (*value).to_owned())).chain(self.settings.clone()).collect()
    }

    /// How rows are written: a changelog is a table of changes.
    pub fn rows_format(&self) -> Format {
        if self.format == Format::Changelog { Format::Table } else { self.format }
    }
}

/// Flags of sql-client.sh and of psql that are others here, and what does it.
const ELSEWHERE: [(&str, &str); 12] = [
    ("-i", "--init FILE runs a script first"),
    ("-s", "there are no sessions to join: leave it out; SHOW JOBS lists what this one runs"),
    ("--session", "there are no sessions to join: leave it out; SHOW JOBS lists what this one runs"),
    ("-u", "-c SQL runs a statement"),
    ("--update", "-c SQL runs a statement"),
    ("-e", "-c SQL runs a statement"),
    ("--execute", "-c SQL runs a statement"),
    ("-d", "--init FILE runs a script of SET and CREATE TABLE first"),
    ("--defaults", "--init FILE runs a script of SET and CREATE TABLE first"),
    ("-j", "connectors and formats are built in: leave it out"),
    ("--jar", "connectors and formats are built in: leave it out"),
    ("-l", "connectors and formats are built in: leave it out"),
];

/// An unknown flag that another client has is named with ours.
fn of_another_client(error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some((flag, help)) = ELSEWHERE.iter().find(|(known, _)| known == flag) else { return error };
    Arguments::command().error(ErrorKind::UnknownArgument, format!("there is no {flag} here: {help}"))
}

/// Files and commands in the order in which they stand on the command line; nothing at all means stdin.
fn inputs(read: &Arguments, matches: &ArgMatches) -> Vec<Input> {
    let places = |name: &str| {
        let given = matches.value_source(name) == Some(ValueSource::CommandLine);
        given.then(|| matches.indices_of(name)).flatten().into_iter().flatten()
    };
    let mut placed = Vec::new();
    placed.extend(places("paths").zip(read.paths.iter().map(|path| file(path))));
    placed.extend(places("files").zip(read.files.iter().map(|path| file(path))));
    placed.extend(places("commands").zip(read.commands.iter().cloned().map(Input::Command)));
    placed.sort_by_key(|(place, _)| *place);
    match placed.is_empty() {
        true => vec![Input::Stdin],
        false => placed.into_iter().map(|(_, input)| input).collect(),
    }
}

pub fn file(path: &Path) -> Input {
    if path.as_os_str() == "-" { Input::Stdin } else { Input::File(path.to_owned()) }
}

pub fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Arguments {
        Arguments::read(std::iter::once(&"beadline").chain(arguments)).unwrap()
    }

    fn command(sql: &str) -> Input {
        Input::Command(sql.to_owned())
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn files_and_commands_keep_their_order() {
        let arguments = read(&["-c", "A", "-f", "b.sql", "-c", "C", "d.sql", "--fresh", "-f", "-"]);
        let expected =
            [command("A"), Input::File("b.sql".into()), command("C"), Input::File("d.sql".into()), Input::Stdin];
        assert_eq!(arguments.inputs, expected);
        assert!(arguments.fresh && !arguments.keep_going);
    }

    #[test]
    fn sql_may_begin_with_a_comment() {
        assert_eq!(read(&["-c", "-- one\nSELECT 1"]).inputs, [command("-- one\nSELECT 1")]);
    }

    #[test]
    fn a_first_word_may_be_a_subcommand_and_its_file_has_a_path() {
        assert!(matches!(read(&["check", "f.sql"]).subcommand, Some(Subcommands::Check(_))));
        let arguments = read(&["./check", "explain"]);
        assert_eq!(arguments.subcommand, None);
        assert_eq!(arguments.inputs, [Input::File("./check".into()), Input::File("explain".into())]);
        assert_eq!(read(&["-f", "check"]).inputs, [Input::File("check".into())]);
    }

    #[test]
    fn flags_of_other_clients_are_named_with_ours() {
        for (flag, expected) in [("-i", "--init FILE"), ("-s", "there are no sessions"), ("-e", "-c SQL")] {
            let error = Arguments::read(["beadline", flag, "x"]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn without_input_stdin_is_sql() {
        assert_eq!(read(&[]).inputs, [Input::Stdin]);
        assert_eq!(read(&["-q", "--format", "csv"]).inputs, [Input::Stdin]);
    }

    #[test]
    fn settings_are_cut_at_the_first_equals_sign() {
        let arguments = read(&["-D", "a.b = c=d", "--set", "x=", "f.sql"]);
        assert_eq!(arguments.all_settings(), [("a.b".into(), "c=d".into()), ("x".into(), String::new())]);
        let error = Arguments::read(["beadline", "-D", "nothing"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn flags_stand_for_settings() {
        let mode = |value: &str| ("sql-client.execution.result-mode".to_owned(), value.to_owned());
        assert_eq!(read(&["--changes"]).all_settings(), [mode("changelog")]);
        let changelog = read(&["--format", "changelog", "-D", "sql-client.execution.result-mode=table"]);
        assert_eq!(changelog.all_settings(), [mode("changelog"), mode("table")]);
        assert_eq!(changelog.rows_format(), Format::Table);
        assert_eq!(read(&["--batch"]).all_settings(), [("execution.runtime-mode".into(), "batch".into())]);
    }

    #[test]
    fn help_names_the_exit_codes_and_mistyped_flags_get_a_hint() {
        let help = Arguments::read(["beadline", "--help"]).unwrap_err();
        assert_eq!(help.exit_code(), 0);
        assert!(help.to_string().contains("130  interrupted"));
        let error = Arguments::read(["beadline", "--frehs"]).unwrap_err();
        assert!(error.to_string().contains("--fresh"), "{error}");
        assert_eq!(Arguments::read(["beadline", "-", "-f", "-"]).unwrap_err().exit_code(), 2);
    }
}
