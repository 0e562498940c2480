//! The one way to stdout and stderr. Rows go to stdout, everything else to stderr; a progress line is gone before
//! anything else is written. A closed pipe is no error: it ends the run.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use unicode_width::UnicodeWidthChar;

use super::Failure;
use super::arguments::When;
use crate::error::Error;

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
    is_quiet: bool,
    /// Whether somebody else paints the terminal: no progress line meanwhile.
    is_lent: AtomicBool,
}

struct Streams {
    rows: Box<dyn Write + Send>,
    rest: Box<dyn Write + Send>,
    progress_is_shown: bool,
    /// The lines of a live table, which are painted anew in their place, and how wide the terminal was.
    painted: Vec<String>,
    painted_columns: usize,
}

impl Screen {
    /// The process's own outputs.
    pub fn of_process(colour: When, progress: When, is_quiet: bool) -> Self {
        let (rows, rest) = (std::io::stdout(), std::io::stderr());
        let variable = |name: &str| std::env::var(name).ok();
        let may_colour = |is_terminal| wants_colour(colour, is_terminal, &variable);
        let rest_on_terminal = rest.is_terminal();
        Self {
            rows_on_terminal: rows.is_terminal(),
            can_repaint: rows.is_terminal() && variable("TERM").is_some_and(|term| term != "dumb"),
            rows_in_colour: may_colour(rows.is_terminal()),
            errors_in_colour: may_colour(rest_on_terminal),
            has_progress: !is_quiet
                && match progress {
                    When::Auto => rest_on_terminal,
                    When::Always => true,
                    When::Never => false,
                },
            is_quiet,
            is_lent: AtomicBool::new(false),
            streams: Mutex::new(Streams {
                rows: Box::new(rows),
                rest: Box::new(rest),
                progress_is_shown: false,
                painted: Vec::new(),
                painted_columns: 0,
            }),
        }
    }

    /// How many lines the terminal has that rows go to.
    pub fn lines(&self) -> usize {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok().filter(|_| self.rows_on_terminal);
        size.map(|size| usize::from(size.ws_row)).filter(|lines| *lines > 0).unwrap_or(24)
    }

    /// Somebody else begins or ends to paint the terminal.
    pub fn lend(&self, is_lent: bool) {
        self.end_progress();
        self.is_lent.store(is_lent, Ordering::Relaxed);
    }

    /// How wide the terminal is that rows go to; 80 where they go elsewhere.
    pub fn columns(&self) -> usize {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok().filter(|_| self.rows_on_terminal);
        size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
    }

    /// Writes rows and makes sure that they arrive.
    pub fn rows(&self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut streams = self.lock();
        streams.clear_progress();
        let written = streams.rows.write_all(bytes).and_then(|()| streams.rows.flush());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Error(Box::new(Error::io("write to stdout", &error))),
        })
    }

    /// Writes an error or a warning, whatever the flags say.
    pub fn complain(&self, text: &str) {
        let mut streams = self.lock();
        streams.clear_progress();
        // If stderr is gone there is nobody left to tell.
        let _ = writeln!(streams.rest, "{}", text.trim_end());
    }

    /// Writes a note; `--quiet` leaves it out.
    pub fn note(&self, text: &str) {
        if !self.is_quiet {
            self.complain(text);
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

    /// Shows how far a job is, in place of what was shown before.
    pub fn progress(&self, line: &str) {
        if self.has_progress && !self.is_lent.load(Ordering::Relaxed) {
            let mut streams = self.lock();
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
        pub fn of_test(rows: impl Write + Send + 'static, rest: impl Write + Send + 'static, progress: bool) -> Self {
            Self {
                rows_on_terminal: false,
                can_repaint: false,
                rows_in_colour: false,
                errors_in_colour: false,
                has_progress: progress,
                is_quiet: false,
                is_lent: AtomicBool::new(false),
                streams: Mutex::new(Streams {
                    rows: Box::new(rows),
                    rest: Box::new(rest),
                    progress_is_shown: false,
                    painted: Vec::new(),
                    painted_columns: 0,
                }),
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
