//! The command line: flags, scripts, rows on stdout, everything else on stderr.

mod arguments;
mod engine;
mod footer;
mod interrupt;
mod live;
mod render;
mod report;
mod runner;
mod screen;
mod script;
mod standard_input;

use std::process::ExitCode;
use std::sync::Arc;

use arguments::Arguments;
pub use engine::{Engine, Start, session};
use interrupt::Interrupts;
use render::Look;
use runner::{Manner, Runner};
use screen::Screen;

use crate::error::{Error, Result};
use crate::session::{self, Notices};
use crate::stream::SystemClock;

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
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to stdout, errors to stderr; if that stream is gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let screen = Arc::new(Screen::of_process(arguments.color, arguments.progress, arguments.quiet));
    if arguments.version {
        return match screen.rows(session::version(arguments.verbose).as_bytes()) {
            Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    match run(arguments, Arc::clone(&screen), open) {
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
fn run<E: Engine>(arguments: Arguments, screen: Arc<Screen>, open: impl FnOnce(Start) -> Result<E>) -> Result<Exit> {
    let Some(scripts) = script::read(&arguments.inputs)? else {
        screen.complain("error: no SQL\n  help: beadline FILE, beadline -c 'SQL', or SQL on stdin; --help has more");
        std::process::exit(2);
    };
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
        let engine = open(Start { settings, fresh: arguments.fresh, notices, input })?;
        let look = Look {
            format,
            is_terminal: screen.rows_on_terminal,
            has_colour: screen.rows_in_colour,
            max_rows: (arguments.max_rows > 0).then_some(arguments.max_rows),
            width: screen.columns(),
            max_column_width: usize::MAX,
            zone: "UTC".to_owned(),
        };
        let pager = pager(&arguments, &screen);
        let manner = Manner { look, pager, keep_going: arguments.keep_going };
        let clock = Arc::new(SystemClock::default());
        Ok(Runner::new(engine, screen, manner, clock, interrupts).run(scripts).await)
    });
    // After an abort a call that blocks must not hold the process.
    runtime.shutdown_background();
    exit
}
