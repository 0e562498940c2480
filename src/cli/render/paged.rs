//! A result that is taller than the terminal goes to a pager. Until that is known it is held back; rows that come slowly
//! are shown as they come, without one.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::Renderer;
use crate::cli::screen::{Screen, TerminalUse};
use crate::error::Result;
use crate::stream::Changes;

/// What a pager is asked to do, unless the user has said so: cut long lines, end by itself on short text, show colours.
const LESS: &str = "SFRX";

/// Another renderer, read through a pager where it pays.
pub struct PagedRenderer {
    inner: Box<dyn Renderer>,
    screen: Arc<Screen>,
    command: String,
    /// Lines that fit on the terminal.
    height: usize,
    held: Vec<u8>,
    state: State,
}

enum State {
    /// Not yet more than fits.
    Held,
    /// Straight to the terminal.
    Direct,
    Paged(Child),
    /// The pager is gone: nobody wants more.
    Closed,
}

impl PagedRenderer {
    /// A renderer through `command` for a terminal of so many lines.
    pub fn new(inner: Box<dyn Renderer>, screen: Arc<Screen>, command: String, height: usize) -> Self {
        Self { inner, screen, command, height, held: Vec::new(), state: State::Held }
    }

    /// Hands on what is held, to the pager if it does not fit.
    fn pass(&mut self, out: &mut Vec<u8>) {
        let lines = self.held.iter().filter(|byte| **byte == b'\n').count();
        if matches!(self.state, State::Held) && lines >= self.height {
            self.state = match self.start() {
                Some(pager) => State::Paged(pager),
                None => State::Direct,
            };
        }
        match &mut self.state {
            State::Held => {}
            State::Direct => out.append(&mut self.held),
            State::Paged(pager) => {
                let written = pager.stdin.as_mut().map(|pipe| pipe.write_all(&self.held));
                self.held.clear();
                if !matches!(written, Some(Ok(()))) {
                    self.end();
                }
            }
            State::Closed => self.held.clear(),
        }
    }

    fn start(&mut self) -> Option<Child> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.command]).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            shell.env("LESS", LESS);
        }
        let pager = shell.spawn().ok()?;
        self.screen.use_terminal(TerminalUse::Paged);
        Some(pager)
    }

    /// Waits until the user has left the pager.
    fn end(&mut self) {
        if let State::Paged(mut pager) = std::mem::replace(&mut self.state, State::Closed) {
            drop(pager.stdin.take());
            // However it ends, its text has been seen.
            let _ = pager.wait();
            self.screen.use_terminal(TerminalUse::Free);
        }
    }
}

impl Renderer for PagedRenderer {
    fn rows(&mut self, changes: &Changes, out: &mut Vec<u8>) -> Result<()> {
        self.inner.rows(changes, &mut self.held)?;
        self.pass(out);
        Ok(())
    }

    fn pause(&mut self, out: &mut Vec<u8>) {
        self.inner.pause(&mut self.held);
        if matches!(self.state, State::Held) && !self.held.is_empty() {
            self.state = State::Direct;
        }
        self.pass(out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.inner.finish(&mut self.held);
        self.pass(out);
        if matches!(self.state, State::Held) {
            out.append(&mut self.held);
        }
        self.end();
    }
}

impl Drop for PagedRenderer {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{batch, pipe};
    use super::super::{Format, Shape, renderer};
    use super::*;
    use crate::cli::screen::fake::Paper;

    /// What goes to the terminal and what to the pager, of so many rows on a terminal of ten lines.
    fn show(rows: usize, is_slow: bool) -> (usize, usize) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("seen");
        let rows = Changes::inserts(batch(&vec![Some("a"); rows], &vec![1; rows]));
        let shape = Shape { schema: rows.schema(), is_updating: false, is_bounded: true };
        let inner = renderer(&pipe(Format::Csv), shape).unwrap();
        let screen = Arc::new(Screen::of_test(Paper::default(), Paper::default(), false));
        let command = format!("cat > '{}'", file.display());
        let mut paged = PagedRenderer::new(inner, screen, command, 10);
        let mut out = Vec::new();
        for piece in rows.pieces(4) {
            paged.rows(&piece, &mut out).unwrap();
            if is_slow {
                paged.pause(&mut out);
            }
        }
        paged.finish(&mut out);
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        (lines(&out), std::fs::read(file).map_or(0, |seen| lines(&seen)))
    }

    #[test]
    fn what_does_not_fit_goes_to_the_pager() {
        assert_eq!(show(8, false), (9, 0));
        assert_eq!(show(100, false), (0, 101));
    }

    #[test]
    fn what_comes_slowly_is_shown_as_it_comes() {
        assert_eq!(show(100, true), (101, 0));
    }

    #[test]
    fn a_pager_that_goes_away_ends_nothing() {
        let rows = Changes::inserts(batch(&vec![Some("a"); 100_000], &vec![1; 100_000]));
        let shape = Shape { schema: rows.schema(), is_updating: false, is_bounded: true };
        let inner = renderer(&pipe(Format::Csv), shape).unwrap();
        let screen = Arc::new(Screen::of_test(Paper::default(), Paper::default(), false));
        let mut paged = PagedRenderer::new(inner, screen, "true".to_owned(), 10);
        let mut out = Vec::new();
        for _ in 0..3 {
            paged.rows(&rows, &mut out).unwrap();
        }
        paged.finish(&mut out);
        assert!(out.is_empty() && matches!(paged.state, State::Closed));
    }
}
