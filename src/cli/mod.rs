//! The command line: flags, scripts, rows on stdout, everything else on stderr.

mod arguments;
mod config;
mod engine;
mod footer;
mod formatting;
mod health;
mod interrupt;
mod live;
mod not_sql;
mod printed;
mod prompt;
mod render;
mod report;
mod runner;
mod screen;
mod script;
mod standard_input;
mod subcommand;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use arguments::Arguments;
use config::{Configuration, Folders};
pub use engine::{Engine, Start, session};
use interrupt::Interrupts;
pub use prompt::check_typed;
use prompt::{Manners, Prompt};
use render::Look;
use runner::{Manner, Runner};
use screen::Screen;
use script::ScriptText;

use crate::error::{Error, Result};
use crate::session::{self, Notices};
use crate::stream::{Clock, SystemClock, Zone};

/// How the process exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// 0
    Success,
    /// 1
    Failed,
    /// 130
    Interrupted,
}

/// Why a run ends early.
#[derive(Debug)]
enum Failure {
    /// Nobody reads the rows any more.
    Closed,
    /// The user wants to end at once.
    Aborted,
    /// Something went wrong.
    Error(Box<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(Box::new(error))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Interrupted => Self::from(130),
        }
    }
}

/// The whole program: reads the process's arguments and runs what they say on the session that `open` makes.
pub fn main<E: Engine>(open: impl FnOnce(Start) -> Result<E>) -> ExitCode {
    let folders = Folders::of_user();
    let given: Vec<OsString> = std::env::args_os().collect();
    let configured = Configuration::read(&given, &folders, &|name| std::env::var(name).ok())
        .and_then(|configuration| Ok((configuration.before(given)?, configuration)));
    let (configured, configuration) = match configured {
        Ok(configured) => configured,
        Err(error) => {
            // If stderr is gone there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{}", report::error_text(&error, None, false));
            return ExitCode::FAILURE;
        }
    };
    let arguments = match Arguments::read(configured) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to stdout, errors to stderr; if that stream is gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let screen = Arc::new(Screen::of_process(
        arguments.color,
        arguments.progress,
        arguments.quiet,
        arguments.log_format,
        Arc::clone(&clock),
    ));
    if arguments.version {
        return match screen.rows(session::version(arguments.verbose).as_bytes()) {
            Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    if let Some(subcommand) = &arguments.subcommand {
        return subcommand::run(subcommand.clone(), arguments.all_settings(), &configuration, &screen);
    }
    match run(arguments, &folders, Arc::clone(&screen), clock, open) {
        Ok(exit) => exit.into(),
        Err(error) => {
            screen.complain(&report::error_text(&error, None, screen.errors_in_colour));
            ExitCode::FAILURE
        }
    }
}

/// What a long result is shown in, if anything: a terminal's user pages, and an empty PAGER means not to.
fn pager(arguments: &Arguments, screen: &Screen) -> Option<String> {
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    (screen.rows_on_terminal && !arguments.no_pager && !pager.trim().is_empty()).then_some(pager)
}

/// Makes the threads and the session, and runs the scripts.
fn run<E: Engine>(
    arguments: Arguments,
    folders: &Folders,
    screen: Arc<Screen>,
    clock: Arc<dyn Clock>,
    open: impl FnOnce(Start) -> Result<E>,
) -> Result<Exit> {
    let scripts = script::read(&arguments.inputs)?;
    let init = init(&arguments, folders, scripts.is_none())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("beadline")
        .build()
        .map_err(|error| Error::io("start threads", &error))?;
    let (settings, format) = (arguments.all_settings(), arguments.rows_format());
    let exit = runtime.block_on(async {
        let interrupts = Interrupts::of_process()?;
        let notices: Notices = {
            let screen = Arc::clone(&screen);
            Arc::new(move |notice| runner::show_notice(&screen, &notice))
        };
        let input = script::data(&arguments.inputs);
        Interrupts::of_process()?.tell(&input.stop_signal());
        let outputs = printed::outputs(&screen);
        let engine = open(Start { settings, fresh: arguments.fresh, notices, input, outputs })?;
        let look = Look {
            format,
            is_terminal: screen.rows_on_terminal,
            has_colour: screen.rows_in_colour,
            max_rows: (arguments.max_rows > 0).then_some(arguments.max_rows),
            width: screen.columns(),
            max_column_width: usize::MAX,
            zone: Zone::UTC,
        };
        let manner = Manner {
            look,
            pager: pager(&arguments, &screen),
            keep_going: arguments.keep_going,
            is_interactive: scripts.is_none(),
            has_footer: true,
        };
        let runner = Runner::new(engine, screen, manner, clock, interrupts);
        match scripts {
            Some(scripts) => Ok(runner.run(init.into_iter().chain(scripts).collect()).await),
            None => {
                let history = folders.state.as_ref().map(|folder| folder.join("history"));
                let greeting = format!("{}. HELP; lists commands, Ctrl-D leaves.", session::version(false).trim());
                Prompt::run(runner, Manners { history, greeting, init }).await
            }
        }
    });
    // After an abort a call that blocks must not hold the process.
    runtime.shutdown_background();
    exit
}

/// The script that runs before all others: the one that was named, or at a prompt the user's own.
fn init(arguments: &Arguments, folders: &Folders, is_prompt: bool) -> Result<Option<ScriptText>> {
    if let Some(named) = &arguments.init {
        return script::read_file(named).map(Some);
    }
    let own = folders.configuration.as_ref().map(|folder| folder.join("init.sql"));
    match own.filter(|path| is_prompt && !arguments.no_init && path.exists()) {
        Some(path) => script::read_file(&path).map(Some),
        None => Ok(None),
    }
}
