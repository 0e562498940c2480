//! A result that changes while somebody watches: one table on the terminal, painted anew in its place.
//!
//! ```text
//!   changes ──▶ LiveRows ──page──▶ FramePainter ──lines──▶ Screen::paint
//!               every change       ten times a second, if something has changed
//! ```

mod frame;
mod keys;
mod rows;

use std::sync::Arc;
use std::time::Duration;

pub use frame::FrameLook;
use frame::{FramePainter, Moment, page_rows};
use keys::{Key, Keys};
use rows::LiveRows;
use tokio::time::MissedTickBehavior;

use super::Failure;
use super::screen::{Screen, TerminalUse};
use crate::error::Result;
use crate::session::{RowStream, Standing};
use crate::stream::{Changes, Clock};

/// Between two pictures.
const REPAINT: Duration = Duration::from_millis(100);
/// After so long the status line says how far the job is, though no row has changed.
const STATUS: Duration = Duration::from_secs(1);

/// Shows the rows that stand until the job has ended; whoever wants that earlier stops the job. The table goes, and
/// the last state comes back as a whole.
pub async fn show(
    rows: &mut RowStream,
    standing: Standing,
    look: FrameLook,
    screen: &Screen,
    clock: &dyn Clock,
) -> Result<Changes, Failure> {
    let job = Arc::clone(&rows.job);
    let mut live = LiveRows::new(standing)?;
    let mut painter = FramePainter::new(look)?;
    let mut keys = Keys::of_terminal();
    let mut view = View { from: 0, is_paused: false };
    let mut ticks = tokio::time::interval(REPAINT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let _painting = Painting::new(screen);
    let (mut painted, mut painted_at) = (u64::MAX, Duration::ZERO);
    let begun = clock.elapsed();
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {
                let now = clock.elapsed().saturating_sub(begun);
                let pressed = keys.pressed();
                for key in &pressed {
                    match key {
                        Key::Quit => job.stop().await?,
                        other => view.press(*other, live.len(), page_rows(screen.lines())),
                    }
                }
                let has_news = !view.is_paused && (painted != live.changes() || painter.is_fading(now));
                if has_news || !pressed.is_empty() || now.saturating_sub(painted_at) >= STATUS {
                    let status = job.status();
                    let (columns, lines) = (screen.columns(), screen.lines());
                    let View { from, is_paused } = view;
                    let moment = Moment { rows: &live, from, columns, lines, now, status: &status, is_paused };
                    // What stands still while painting is paused is the rows, not the time.
                    if !is_paused || !pressed.is_empty() {
                        screen.paint(&painter.draw(&moment)?);
                        painted = live.changes();
                    }
                    painted_at = now;
                }
            }
            changes = rows.next() => match changes {
                Some(changes) => live.add(&changes?)?,
                None => break,
            },
        }
    }
    Ok(Changes::inserts(live.page(0, usize::MAX)?))
}

/// Which rows are looked at.
#[derive(Debug, Clone, Copy)]
struct View {
    from: usize,
    is_paused: bool,
}

impl View {
    fn press(&mut self, key: Key, rows: usize, page: usize) {
        match key {
            Key::Pause => self.is_paused = !self.is_paused,
            Key::Next if self.from + page < rows => self.from += page,
            Key::Previous => self.from = self.from.saturating_sub(page),
            Key::Next | Key::Quit => {}
        }
    }
}

/// The terminal is painted by us; it is given back on every way out.
struct Painting<'a>(&'a Screen);

impl<'a> Painting<'a> {
    fn new(screen: &'a Screen) -> Self {
        screen.use_terminal(TerminalUse::Painted);
        Self(screen)
    }
}

impl Drop for Painting<'_> {
    fn drop(&mut self) {
        self.0.paint(&[]);
        self.0.use_terminal(TerminalUse::Free);
    }
}

#[cfg(test)]
mod tests;
