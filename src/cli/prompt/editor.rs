//! The line editor, on a thread of its own: a keystroke never waits for a job, and a job never for a keystroke.
//!
//! ```text
//!   prompt ── Ask ──▶ editor thread (rustyline, terminal in raw mode)
//!     ▲                    │
//!     └────── Read ────────┘
//!                          ▲
//!   jobs ── notices ──▶ notices thread: has them printed above the line that is being typed
//! ```
//!
//! The editor takes one notice at a time and only while somebody types, so that its way in may stand still: the thread of
//! the notices waits there, and nobody else does.

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread::JoinHandle;

use rustyline::completion::Completer;
use rustyline::config::{BellStyle, Builder, CompletionType};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Behavior, ColorMode, Context, ExternalPrinter, Helper};
use tokio::sync::mpsc;

use super::complete::complete;
use super::highlight::highlight;
use super::{history, is_whole};
use crate::cli::screen::Above;
use crate::error::{Error, Result};
use crate::session::Vocabulary;

/// Statements that are remembered.
const HISTORY: usize = 10_000;
/// Texts that wait to be shown above the line.
const NOTICES: usize = 100;

/// What the user did.
#[derive(Debug)]
pub enum Read {
    /// Typed something and pressed Enter.
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D on an empty line.
    End,
    /// The terminal is gone.
    Failed(String),
    /// What was typed so far, the oldest first.
    History(Vec<String>),
}

/// What the editor is asked for.
enum Ask {
    Line {
        prompt: String,
        /// What stands there already.
        initial: String,
        /// Whether it is SQL, which may span lines and is remembered; an answer to a question is neither.
        is_sql: bool,
    },
    History,
}

/// The way to the editor's thread.
pub struct Editor {
    asks: blocking::SyncSender<Ask>,
    reads: mpsc::Receiver<Read>,
    is_reading: bool,
    /// The editor's, then that of the notices.
    threads: [JoinHandle<()>; 2],
}

/// How the editor looks and where it remembers.
pub struct Setup {
    pub history: Option<PathBuf>,
    pub vocabulary: Arc<Mutex<Vocabulary>>,
    pub has_colour: bool,
    /// Rows go elsewhere, so that the line is edited on the terminal itself.
    pub prefers_terminal: bool,
}

impl Editor {
    /// Starts the thread.
    ///
    /// A terminal that cannot move its cursor gives whole lines, and nothing can be put above them.
    pub fn start(setup: Setup) -> Result<(Self, Option<Above>)> {
        let failed = |error: ReadlineError| Error::world(format!("the line editor does not start: {error}"));
        let config = configured(&setup).map_err(failed)?;
        let mut lines: rustyline::Editor<Typing, FileHistory> =
            rustyline::Editor::with_config(config).map_err(failed)?;
        lines.set_helper(Some(Typing { vocabulary: setup.vocabulary, has_colour: setup.has_colour, is_sql: true }));
        if let Some(path) = &setup.history {
            // None yet, or one that cannot be read: it is no reason not to start.
            let _ = lines.load_history(path);
        }
        let printer = lines.create_external_printer().ok();
        let (above, queued) = blocking::sync_channel::<String>(NOTICES);
        let (asks, asked) = blocking::sync_channel(1);
        let (read, reads) = mpsc::channel(1);
        let editor = start("prompt", move || serve(lines, setup.history.as_deref(), &asked, &read))?;
        let above = printer.is_some().then_some(above);
        let notices = start("notices", move || {
            let Some(mut printer) = printer else { return };
            for text in queued {
                if printer.print(text.clone()).is_err() {
                    // The editor has ended meanwhile. If the terminal is gone there is nobody left to tell.
                    let _ = std::io::stderr().write_all(text.as_bytes());
                }
            }
        })?;
        Ok((Self { asks, reads, is_reading: false, threads: [editor, notices] }, above))
    }

    /// Ends the threads, once nothing is put above the line any more; all notices are written then. An editor that waits
    /// for a key still cannot be ended.
    pub fn close(self) {
        let Self { asks, is_reading, threads, .. } = self;
        drop(asks);
        if !is_reading {
            // A thread that has failed has nothing more to say.
            threads.into_iter().for_each(|thread| drop(thread.join()));
        }
    }

    /// Waits for a statement or a command. Cancel-safe: a dropped call goes on when it is made again.
    pub async fn statement(&mut self, prompt: &str, initial: &str) -> Read {
        self.line(prompt, initial, true).await
    }

    /// Waits for the answer to a question.
    pub async fn answer(&mut self, question: &str) -> Read {
        self.line(question, "", false).await
    }

    /// What was typed so far, the oldest first.
    pub async fn history(&mut self) -> Vec<String> {
        match self.ask(|| Ask::History).await {
            Read::History(lines) => lines,
            _ => Vec::new(),
        }
    }

    async fn line(&mut self, prompt: &str, initial: &str, is_sql: bool) -> Read {
        self.ask(|| Ask::Line { prompt: prompt.to_owned(), initial: initial.to_owned(), is_sql }).await
    }

    async fn ask(&mut self, ask: impl FnOnce() -> Ask) -> Read {
        let gone = || Read::Failed("the line editor has ended".to_owned());
        if !self.is_reading && self.asks.send(ask()).is_err() {
            return gone();
        }
        self.is_reading = true;
        let read = self.reads.recv().await;
        self.is_reading = false;
        read.unwrap_or_else(gone)
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(work).map_err(|error| Error::io("start the line editor", &error))
}

fn configured(setup: &Setup) -> rustyline::Result<rustyline::Config> {
    let config = Builder::new()
        .max_history_size(HISTORY)?
        .auto_add_history(false)
        .completion_type(CompletionType::List)
        .bell_style(BellStyle::None)
        .color_mode(if setup.has_colour { ColorMode::Enabled } else { ColorMode::Disabled })
        .behavior(if setup.prefers_terminal { Behavior::PreferTerm } else { Behavior::Stdio });
    Ok(config.build())
}

/// The thread: reads lines until nobody asks any more.
fn serve(
    mut lines: rustyline::Editor<Typing, FileHistory>,
    history: Option<&Path>,
    asked: &blocking::Receiver<Ask>,
    read: &mpsc::Sender<Read>,
) {
    while let Ok(ask) = asked.recv() {
        let answer = match ask {
            Ask::History => Read::History(lines.history().iter().cloned().collect()),
            Ask::Line { prompt, initial, is_sql } => {
                if let Some(typing) = lines.helper_mut() {
                    typing.is_sql = is_sql;
                }
                read_line(&mut lines, &prompt, &initial, history.filter(|_| is_sql))
            }
        };
        if read.blocking_send(answer).is_err() {
            return;
        }
    }
}

fn read_line(
    lines: &mut rustyline::Editor<Typing, FileHistory>,
    prompt: &str,
    initial: &str,
    remembered_in: Option<&Path>,
) -> Read {
    match lines.readline_with_initial(prompt, (initial, "")) {
        Ok(line) => {
            if let Some(entry) = history::entry(&line).filter(|_| lines.helper().is_some_and(|typing| typing.is_sql)) {
                // A history that cannot be written is no reason not to run what was typed.
                let _ = lines.add_history_entry(entry);
                if let Some(path) = remembered_in {
                    let _ = path.parent().map(std::fs::create_dir_all);
                    let _ = lines.append_history(path);
                }
            }
            Read::Line(line)
        }
        Err(ReadlineError::Interrupted) => Read::Interrupted,
        Err(ReadlineError::Eof) => Read::End,
        Err(error) => Read::Failed(error.to_string()),
    }
}

/// What rustyline asks while somebody types.
struct Typing {
    vocabulary: Arc<Mutex<Vocabulary>>,
    has_colour: bool,
    is_sql: bool,
}

impl Helper for Typing {}

impl Validator for Typing {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match !self.is_sql || is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Highlighter for Typing {
    fn highlight<'l>(&self, line: &'l str, _position: usize) -> Cow<'l, str> {
        if self.has_colour && self.is_sql { Cow::Owned(highlight(line)) } else { Cow::Borrowed(line) }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        if self.has_colour { Cow::Owned(format!("\u{1b}[1m{prompt}\u{1b}[0m")) } else { Cow::Borrowed(prompt) }
    }

    fn highlight_char(&self, _line: &str, _position: usize, kind: CmdKind) -> bool {
        self.has_colour && kind != CmdKind::MoveCursor
    }
}

impl Hinter for Typing {
    type Hint = String;
}

impl Completer for Typing {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        if !self.is_sql {
            return Ok((position, Vec::new()));
        }
        let vocabulary = self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner);
        let completion = complete(line, position, &vocabulary);
        Ok((completion.start, completion.candidates))
    }
}
