//! What the program does besides running scripts: it checks and explains them, and tells of itself.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Subcommand, ValueEnum};

use super::arguments::{Arguments, Input, file, key_and_value};
use super::config::Configuration;
use super::engine::{Start, session};
use super::report::{error_text, placed_text};
use super::screen::Screen;
use super::{Failure, formatting, script};
use crate::error::{Error, Result};
use crate::session::{Finding, Notice, Pipe, PrintOutputs};

/// A first word that is no file.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Subcommands {
    /// Read and plan a script and list all that would be refused, without running it
    Check(Scripts),
    /// Print the plan of each statement of a script, without running it
    Explain(Scripts),
    /// Write scripts in the one layout that there is: keywords in upper case, a line a clause
    Fmt(formatting::Files),
    /// Print the configuration that is in force, as a file of it would say it
    Config {
        /// And where each value comes from
        #[arg(long)]
        show_origin: bool,
    },
    /// Print a script that completes flags in a shell
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Print the help of the program or of one of these commands
    Help { topic: Option<String> },
}

/// Scripts that are looked at and not run.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Scripts {
    /// A file of SQL; `-` is stdin
    #[arg(value_name = "FILE")]
    paths: Vec<PathBuf>,

    /// SQL
    #[arg(short, long = "command", value_name = "SQL", allow_hyphen_values = true)]
    commands: Vec<String>,

    /// As SET 'KEY' = 'VALUE' before the first statement
    #[arg(short = 'D', long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    settings: Vec<(String, String)>,
}

/// The shells that can be told how to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Elvish,
    Fish,
    Nushell,
    Powershell,
    Zsh,
}

/// Does what the subcommand says, after these settings.
pub fn run(
    subcommand: Subcommands,
    settings: Vec<(String, String)>,
    configuration: &Configuration,
    screen: &Arc<Screen>,
) -> ExitCode {
    let done = match subcommand {
        Subcommands::Config { show_origin } => show(screen, configuration.shown(&settings, show_origin).as_bytes()),
        Subcommands::Check(scripts) => check(scripts.after(settings), screen),
        Subcommands::Explain(scripts) => explain(scripts.after(settings), screen),
        Subcommands::Fmt(files) => formatting::run(&files, screen),
        Subcommands::Completions { shell } => show(screen, &completions(shell)),
        Subcommands::Man => manual().and_then(|page| show(screen, &page)),
        Subcommands::Help { topic } => help(topic.as_deref()).and_then(|text| show(screen, text.as_bytes())),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            screen.complain(&error_text(&error, None, screen.errors_in_colour));
            ExitCode::FAILURE
        }
    }
}

impl Scripts {
    fn after(mut self, settings: Vec<(String, String)>) -> Self {
        self.settings.splice(0..0, settings);
        self
    }

    fn inputs(&self) -> Vec<Input> {
        let files = self.paths.iter().map(|path| file(path));
        let inputs: Vec<Input> = files.chain(self.commands.iter().cloned().map(Input::Command)).collect();
        if inputs.is_empty() { vec![Input::Stdin] } else { inputs }
    }

    fn read(&self) -> Result<Vec<script::ScriptText>> {
        script::read(&self.inputs())?.ok_or_else(|| {
            Error::query("no SQL").with_help("name a file, or give SQL behind -c: beadline check -c 'SELECT 1'")
        })
    }
}

/// A session that reads nothing.
fn start(scripts: &Scripts, screen: &Arc<Screen>) -> Result<crate::session::Session> {
    let screen = Arc::clone(screen);
    session(Start {
        settings: scripts.settings.clone(),
        fresh: false,
        notices: Arc::new(move |notice| super::runner::show_notice(&screen, &notice)),
        input: Pipe::refused(
            Error::query("stdin is not read now").with_help("CREATE TABLE stdin (…) tells its columns"),
        ),
        outputs: PrintOutputs::default(),
    })
}

/// Whether nothing would be refused.
fn check(scripts: Scripts, screen: &Arc<Screen>) -> Result<bool> {
    let texts = scripts.read()?;
    let mut session = start(&scripts, screen)?;
    let (mut refusals, mut warnings, mut statements) = (0, 0, 0);
    for script in &texts {
        let place = (script.name.as_str(), script.text.as_str());
        let checked = session.check(&script.text);
        statements += checked.statements;
        for finding in checked.findings {
            screen.complain(&match finding {
                Finding::Refusal(error) => {
                    refusals += 1;
                    error_text(&error, Some(place), screen.errors_in_colour)
                }
                Finding::Warning { text, place: span } => {
                    warnings += 1;
                    placed_text(&Notice::Warning(text), span, place, screen.errors_in_colour)
                }
                Finding::Note { text, place: span } => {
                    placed_text(&Notice::Note(text), span, place, screen.errors_in_colour)
                }
            });
        }
    }
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    screen.note(&format!(
        "{}: {}, {}",
        plural(statements, "statement"),
        plural(refusals, "refusal"),
        plural(warnings, "warning")
    ));
    Ok(refusals == 0)
}

/// Prints the plans; the first mistake ends it.
fn explain(scripts: Scripts, screen: &Arc<Screen>) -> Result<bool> {
    let texts = scripts.read()?;
    let mut session = start(&scripts, screen)?;
    for script in &texts {
        let mut plans = || -> Result<Vec<String>> {
            let statements = session.parse(&script.text)?;
            let plans = statements.iter().filter_map(|statement| session.plan(statement).transpose());
            plans.map(|plan| plan.map(|text| text.trim_end().to_owned())).collect()
        };
        match plans() {
            Ok(plans) => show(screen, format!("{}\n", plans.join("\n\n")).as_bytes()).map(drop)?,
            Err(error) => {
                let place = Some((script.name.as_str(), script.text.as_str()));
                screen.complain(&error_text(&error, place, screen.errors_in_colour));
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn completions(shell: Shell) -> Vec<u8> {
    use clap_complete::Shell as S;
    let mut out = Vec::new();
    let command = &mut Arguments::command();
    let mut of = |shell: S| clap_complete::generate(shell, command, "beadline", &mut out);
    match shell {
        Shell::Bash => of(S::Bash),
        Shell::Elvish => of(S::Elvish),
        Shell::Fish => of(S::Fish),
        Shell::Powershell => of(S::PowerShell),
        Shell::Zsh => of(S::Zsh),
        Shell::Nushell => clap_complete::generate(clap_complete_nushell::Nushell, command, "beadline", &mut out),
    }
    out
}

fn manual() -> Result<Vec<u8>> {
    let mut out = Vec::new();
    clap_mangen::Man::new(Arguments::command())
        .render(&mut out)
        .map_err(|error| Error::io("write the manual page", &error))?;
    Ok(out)
}

fn help(topic: Option<&str>) -> Result<String> {
    let mut command = Arguments::command();
    command.build();
    let Some(topic) = topic else { return Ok(command.render_long_help().to_string()) };
    if let Some(known) = command.find_subcommand_mut(topic) {
        return Ok(known.render_long_help().to_string());
    }
    Err(Error::query(format!("there is no help on `{topic}`"))
        .with_help(format!("there is on {}; beadline --help tells of the flags", names().join(", "))))
}

/// The subcommands' names.
pub fn names() -> Vec<String> {
    Arguments::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// Prints what was asked for.
pub fn show(screen: &Screen, bytes: &[u8]) -> Result<bool> {
    match screen.rows(bytes) {
        Ok(()) | Err(Failure::Closed) => Ok(true),
        Err(Failure::Error(error)) => Err(*error),
        Err(Failure::Aborted) => Ok(false),
    }
}
