//! Rows that jobs print while something else is on the terminal: a line that is being typed, a live table, a progress line,
//! a pager. They stand above it, or wait for it.

use std::io::{Result, Write};
use std::sync::Arc;

use super::screen::Screen;
use crate::session::PrintOutputs;

/// Where the connector `print` shows rows: on a terminal by way of the screen, else straight to where it leads.
pub fn outputs(screen: &Arc<Screen>) -> PrintOutputs {
    let printed = |to_error| Printed { screen: Arc::clone(screen), to_error };
    match (screen.rows_on_terminal, screen.rest_on_terminal) {
        (true, true) => PrintOutputs::new(printed(false), printed(true)),
        (true, false) => PrintOutputs::new(printed(false), std::io::stderr()),
        (false, true) => PrintOutputs::new(std::io::stdout(), printed(true)),
        (false, false) => PrintOutputs::default(),
    }
}

struct Printed {
    screen: Arc<Screen>,
    to_error: bool,
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.screen.printed(bytes, self.to_error)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
