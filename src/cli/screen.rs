//! The one way to stdout and stderr. Rows go to stdout, everything else to stderr; a progress line is gone before
//! anything else is written. A closed pipe is no error: it ends the run.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use rustix::termios::Winsize;
use unicode_width::UnicodeWidthChar;

use super::Failure;
use crate::error::Error;
use crate::stream::{Clock, EventTime};

/// When something is done: as the terminal says, or always, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// When it goes to a terminal
    Auto,
    Always,
    Never,
}

/// How notes, warnings, errors and figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people; figures of long runs with the time
    Text,
    /// A JSON object a line: time, level, message
    Json,
}

/// Both outputs, locked together.
pub struct Screen {
    streams: Mutex<Streams>,
    /// Whether rows go to a terminal.
    pub rows_on_terminal: bool,
    /// Whether rows go to a terminal that knows how to move its cursor.
    pub can_repaint: bool,
    /// Whether rows may be coloured.
    pub rows_in_colour: bool,
    /// Whether errors may be coloured.
    pub errors_in_colour: bool,
    /// Whether a progress line is wanted.
    pub has_progress: bool,
    /// Whether everything else goes to a terminal.
    pub rest_on_terminal: bool,
    is_quiet: bool,
    /// The terminal has been given back.
    given_back: Condvar,
    log: LogFormat,
    clock: Arc<dyn Clock>,
}

/// Takes texts that are to stand above the line that somebody is typing.
pub type Above = SyncSender<String>;

/// What the terminal is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminalUse {
    Free,
    /// A table is painted there: no progress line; what is written stands above it.
    Painted,
    /// Another program has it: everything waits.
    Paged,
}

/// Notes that wait for a pager to end, in bytes; more are written all the same.
const HELD_BYTES: usize = 1 << 20;

struct Streams {
    rows: Box<dyn Write + Send>,
    /// Where rows go in place of `rows`, for a while.
    other_rows: Option<Box<dyn Write + Send>>,
    /// What writes to the terminal while somebody types there.
    above: Option<Above>,
    is_typing: bool,
    terminal_use: TerminalUse,
    /// What was to be written while a pager had the terminal.
    held: Vec<u8>,
    rest: Box<dyn Write + Send>,
    progress_is_shown: bool,
    /// The lines of a live table, which are painted anew in their place, and how wide the terminal was.
    painted: Vec<String>,
    painted_columns: usize,
}

impl Screen {
    /// The process's own outputs.
    pub fn of_process(colour: When, progress: When, is_quiet: bool, log: LogFormat, clock: Arc<dyn Clock>) -> Self {
        let (rows, rest) = (std::io::stdout(), std::io::stderr());
        let variable = |name: &str| std::env::var(name).ok();
        let may_colour = |is_terminal| wants_colour(colour, is_terminal, &variable);
        let rest_on_terminal = rest.is_terminal();
        Self {
            rows_on_terminal: rows.is_terminal(),
            can_repaint: rows.is_terminal() && variable("TERM").is_some_and(|term| term != "dumb"),
            rows_in_colour: may_colour(rows.is_terminal()),
            errors_in_colour: log == LogFormat::Text && may_colour(rest_on_terminal),
            has_progress: !is_quiet
                && log == LogFormat::Text
                && match progress {
                    When::Auto => rest_on_terminal,
                    When::Always => true,
                    When::Never => false,
                },
            rest_on_terminal,
            is_quiet,
            given_back: Condvar::new(),
            log,
            clock,
            streams: Mutex::new(Streams::new(rows, rest)),
        }
    }

    /// How many lines the terminal has that rows go to.
    pub fn lines(&self) -> usize {
        self.size(|size| size.ws_row).unwrap_or(24)
    }

    /// What the terminal is used for from here on.
    pub fn use_terminal(&self, terminal_use: TerminalUse) {
        let mut streams = self.lock();
        streams.clear_progress();
        streams.terminal_use = terminal_use;
        if terminal_use != TerminalUse::Paged {
            let held = std::mem::take(&mut streams.held);
            // If stderr is gone there is nobody left to tell.
            let _ = streams.rest.write_all(&held);
            self.given_back.notify_all();
        }
    }

    /// Shows rows that a job prints on the terminal. Waits while a pager has it.
    pub fn printed(&self, bytes: &[u8], to_error: bool) -> std::io::Result<()> {
        let mut streams = self.lock();
        while streams.terminal_use == TerminalUse::Paged {
            streams = self.given_back.wait(streams).unwrap_or_else(PoisonError::into_inner);
        }
        streams.clear_progress();
        let text = match streams.above.clone().filter(|_| streams.is_typing) {
            None => return streams.print(bytes, to_error),
            Some(above) => {
                // The editor's turn may take a while, and others want to write meanwhile.
                drop(streams);
                above.send(String::from_utf8_lossy(bytes).into_owned())
            }
        };
        match text {
            Ok(()) => Ok(()),
            Err(left) => self.lock().print(left.0.as_bytes(), to_error),
        }
    }

    /// How wide the terminal is that rows go to; 80 where they go elsewhere.
    pub fn columns(&self) -> usize {
        self.size(|size| size.ws_col).unwrap_or(80)
    }

    /// A side of the terminal that rows go to, if there is one and it is known.
    fn size(&self, side: impl Fn(Winsize) -> u16) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok().filter(|_| self.rows_on_terminal)?;
        Some(usize::from(side(size))).filter(|cells| *cells > 0)
    }

    /// Writes rows and makes sure that they arrive.
    pub fn rows(&self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut streams = self.lock();
        streams.clear_progress();
        let (rows, what) = match &mut streams.other_rows {
            Some(other) => (other, "write rows"),
            None => (&mut streams.rows, "write to stdout"),
        };
        let written = rows.write_all(bytes).and_then(|()| rows.flush());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Error(Box::new(Error::io(what, &error))),
        })
    }

    /// Writes an error or a warning, whatever the flags say.
    pub fn complain(&self, text: &str) {
        let level = if text.starts_with("warning") { "warning" } else { "error" };
        self.write(level, text);
    }

    /// Writes a note; `--quiet` leaves it out.
    pub fn note(&self, text: &str) {
        if !self.is_quiet {
            self.write("note", text);
        }
    }

    /// Paints lines in place of those that were painted before; what is written meanwhile stands above them. None: takes
    /// them away.
    pub fn paint(&self, lines: &[String]) {
        self.paint_at(lines, self.columns());
    }

    /// The same on a terminal of this width.
    pub fn paint_at(&self, lines: &[String], columns: usize) {
        let mut streams = self.lock();
        if lines.is_empty() && streams.painted.is_empty() {
            return;
        }
        let picture = streams.picture(lines, columns);
        // Rows go this way too, and notice when nobody reads them.
        let _ = streams.rows.write_all(picture.as_bytes()).and_then(|()| streams.rows.flush());
    }

    /// Writes how a job stands, with the time: where there is no terminal to show it on.
    pub fn figures(&self, line: &str) {
        match self.log {
            LogFormat::Text => self.note(&format!("{} {line}", EventTime(self.clock.now().0))),
            LogFormat::Json if !self.is_quiet => self.write("figures", line),
            LogFormat::Json => {}
        }
    }

    /// Writes what has become of a job that runs; with the time where there is no terminal.
    pub fn news(&self, line: &str) {
        match self.log {
            LogFormat::Text if !self.rest_on_terminal => self.figures(line),
            _ => self.note(line),
        }
    }

    /// Whether figures are to be written as lines from time to time: nobody sees a progress line.
    pub fn wants_figures(&self) -> bool {
        !self.is_quiet && !self.has_progress && !self.rest_on_terminal
    }

    fn write(&self, level: &str, text: &str) {
        let text = match self.log {
            LogFormat::Text => text.trim_end().to_owned(),
            LogFormat::Json => {
                let message = ["note: ", "warning: ", "error: "].iter().find_map(|word| text.strip_prefix(word));
                serde_json::json!({
                    "time": EventTime(self.clock.now().0).to_string(),
                    "level": level,
                    "message": message.unwrap_or(text).trim_end(),
                })
                .to_string()
            }
        };
        let mut streams = self.lock();
        streams.clear_progress();
        let text = format!("{text}\n");
        let left = match &streams.above {
            // Nobody waits for the editor here.
            Some(above) if streams.is_typing => above.try_send(text),
            _ => Err(TrySendError::Full(text)),
        };
        let Err(TrySendError::Full(text) | TrySendError::Disconnected(text)) = left else { return };
        if streams.terminal_use == TerminalUse::Paged && self.rest_on_terminal && streams.held.len() < HELD_BYTES {
            streams.held.extend_from_slice(text.as_bytes());
            return;
        }
        // If stderr is gone there is nobody left to tell.
        let _ = streams.rest.write_all(text.as_bytes());
    }

    /// What goes to stderr while somebody types on the terminal goes this way; a stderr that is no terminal stays what
    /// it is.
    pub fn print_above(&self, above: Option<Above>) {
        self.lock().above = above.filter(|_| self.rest_on_terminal);
    }

    /// Somebody begins or ends to type on the terminal.
    pub fn typing(&self, is_typing: bool) {
        self.lock().is_typing = is_typing;
    }

    /// The line that is being typed is given up: what is written from here on begins on a line of its own, and what is
    /// pasted comes as it is again.
    pub fn leave_line(&self) {
        let mut streams = self.lock();
        streams.is_typing = false;
        if self.rest_on_terminal {
            let _ = streams.rest.write_all(b"\x1b[?2004l\r\n");
        }
    }

    /// Sends rows elsewhere, or back to stdout.
    pub fn send_rows_to(&self, other: Option<Box<dyn Write + Send>>) {
        self.lock().other_rows = other;
    }

    /// Shows how far a job is, in place of what was shown before.
    pub fn progress(&self, line: &str) {
        let mut streams = self.lock();
        if self.has_progress && streams.terminal_use == TerminalUse::Free {
            streams.progress_is_shown = true;
            let _ = write!(streams.rest, "\r\u{1b}[2K{line}");
            let _ = streams.rest.flush();
        }
    }

    /// Takes the progress line away.
    pub fn end_progress(&self) {
        self.lock().clear_progress();
    }

    /// A panic while writing leaves nothing half done that matters here.
    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn new(rows: impl Write + Send + 'static, rest: impl Write + Send + 'static) -> Self {
        Self {
            rows: Box::new(rows),
            other_rows: None,
            above: None,
            is_typing: false,
            terminal_use: TerminalUse::Free,
            held: Vec::new(),
            rest: Box::new(rest),
            progress_is_shown: false,
            painted: Vec::new(),
            painted_columns: 0,
        }
    }

    fn print(&mut self, bytes: &[u8], to_error: bool) -> std::io::Result<()> {
        let output = if to_error { &mut self.rest } else { &mut self.rows };
        output.write_all(bytes).and_then(|()| output.flush())
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.progress_is_shown) {
            let _ = write!(self.rest, "\r\u{1b}[2K");
            let _ = self.rest.flush();
        }
        if !self.painted.is_empty() {
            let picture = self.picture(&[], self.painted_columns);
            let _ = self.rows.write_all(picture.as_bytes()).and_then(|()| self.rows.flush());
        }
    }

    /// What turns the painted lines into others: the cursor stands below them, before and after. Lines that stay are not
    /// written again. The terminal shows all of it at once, if it knows how to (mode 2026).
    fn picture(&mut self, lines: &[String], columns: usize) -> String {
        let before = std::mem::take(&mut self.painted);
        // A terminal that has become narrower has broken the lines that did not fit any more.
        let height = |line: &String| width_of(line).div_ceil(columns.max(1)).max(1);
        let is_as_wide = columns == self.painted_columns;
        let up: usize = if is_as_wide { before.len() } else { before.iter().map(height).sum() };
        let mut picture = String::from("\u{1b}[?2026h\r");
        if up > 0 {
            picture.push_str(&format!("\u{1b}[{up}A"));
        }
        if !is_as_wide || lines.is_empty() {
            picture.push_str("\u{1b}[J");
        }
        for (place, line) in lines.iter().enumerate() {
            if !is_as_wide || before.get(place) != Some(line) {
                picture.push_str(line);
                picture.push_str("\u{1b}[K");
            }
            picture.push('\n');
        }
        if before.len() > lines.len() {
            picture.push_str("\u{1b}[J");
        }
        picture.push_str("\u{1b}[?2026l");
        (self.painted, self.painted_columns) = (lines.to_vec(), columns);
        picture
    }
}

/// The columns that a line takes, its escapes apart.
fn width_of(line: &str) -> usize {
    let mut width = 0;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => drop(characters.by_ref().find(|character| character.is_ascii_alphabetic())),
            other => width += other.width().unwrap_or(0),
        }
    }
    width
}

/// The flag, else NO_COLOR, else CLICOLOR_FORCE, else a terminal that is not dumb.
fn wants_colour(flag: When, is_terminal: bool, variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    match flag {
        When::Always => true,
        When::Never => false,
        When::Auto if is_set("NO_COLOR") => false,
        When::Auto if variable("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") => true,
        When::Auto => is_terminal && variable("TERM").as_deref() != Some("dumb"),
    }
}

#[cfg(test)]
pub mod fake {
    //! A screen that tests read.

    use std::sync::Arc;

    use super::*;
    use crate::stream::ManualClock;

    /// What a screen has written.
    #[derive(Clone, Default)]
    pub struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A pipe that nobody reads any more.
    pub struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Screen {
        /// One whose notes nobody sees as they come.
        pub fn of_log(rest: impl Write + Send + 'static, log: LogFormat, clock: Arc<dyn Clock>) -> Self {
            Self { log, clock, ..Self::of_test(Paper::default(), rest, false) }
        }

        pub fn of_test(rows: impl Write + Send + 'static, rest: impl Write + Send + 'static, progress: bool) -> Self {
            Self {
                rows_on_terminal: false,
                can_repaint: false,
                rows_in_colour: false,
                errors_in_colour: false,
                has_progress: progress,
                rest_on_terminal: false,
                is_quiet: false,
                given_back: Condvar::new(),
                log: LogFormat::Text,
                clock: Arc::new(ManualClock::default()),
                streams: Mutex::new(Streams::new(rows, rest)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::{ClosedPipe, Paper};
    use super::*;

    #[test]
    fn a_closed_pipe_is_told_from_an_error() {
        let screen = Screen::of_test(ClosedPipe, Paper::default(), false);
        assert!(matches!(screen.rows(b"x"), Err(Failure::Closed)));
        assert!(screen.rows(b"").is_ok());
    }

    #[test]
    fn progress_is_gone_before_anything_else_is_written() {
        let paper = Paper::default();
        let screen = Screen::of_test(paper.clone(), paper.clone(), true);
        screen.progress("half");
        screen.rows(b"row\n").unwrap();
        screen.note("note");
        assert_eq!(paper.text(), "\r\u{1b}[2Khalf\r\u{1b}[2Krow\nnote\n");
    }

    #[test]
    fn a_log_of_json_is_an_object_a_line() {
        let paper = Paper::default();
        let screen = Screen { log: LogFormat::Json, ..Screen::of_test(Paper::default(), paper.clone(), false) };
        screen.note("note: a \"b\"\nc");
        screen.complain("warning: d");
        screen.figures("x: 5 in");
        let expected = [("note", "a \"b\"\nc"), ("warning", "d"), ("figures", "x: 5 in")];
        for (line, (level, message)) in paper.text().lines().zip(expected) {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["time"], "1970-01-01 00:00:00.000");
            assert_eq!((object["level"].as_str(), object["message"].as_str()), (Some(level), Some(message)));
        }
        assert_eq!(paper.text().lines().count(), 3);
    }

    #[test]
    fn who_decides_about_colour() {
        let with = |pairs: &'static [(&'static str, &'static str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        assert!(wants_colour(When::Auto, true, &with(&[])));
        assert!(!wants_colour(When::Auto, false, &with(&[])));
        assert!(!wants_colour(When::Auto, true, &with(&[("NO_COLOR", "1")])));
        assert!(wants_colour(When::Auto, true, &with(&[("NO_COLOR", "")])));
        assert!(wants_colour(When::Auto, false, &with(&[("CLICOLOR_FORCE", "1")])));
        assert!(!wants_colour(When::Auto, true, &with(&[("TERM", "dumb")])));
        assert!(wants_colour(When::Always, false, &with(&[("NO_COLOR", "1")])));
        assert!(!wants_colour(When::Never, true, &with(&[("CLICOLOR_FORCE", "1")])));
    }
}
