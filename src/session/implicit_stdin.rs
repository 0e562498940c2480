//! The table `stdin` where nobody declared it: declared by the first line of the input when a statement names it.

use std::sync::Arc;

use super::{Notice, Session};
use crate::connectors::stdin::{Inferred, infer};
use crate::error::{Error, Result};

impl Session {
    /// Waits for the first line of the input, which stays to be read, and declares the table that fits it. `missing` is
    /// the error about the missing table, which knows where it is named.
    pub(super) async fn declare_stdin(&mut self, missing: &Error) -> Result<()> {
        let in_place = |error: Error| match missing.span() {
            Some(span) => error.with_span(span),
            None => error,
        };
        let pipe = Arc::clone(&self.world.input);
        let first_line = self.world.blocking.call(move || pipe.first_line()).await?.map_err(in_place)?;
        let Inferred { declaration, left_out } = infer(&first_line);
        self.declare_inferred(&declaration).map_err(|error| {
            // Its span would point into a text that nobody has written.
            let error = format!("no table can be made of the first line of stdin: {}", error.message());
            let help = "declare it: CREATE TABLE stdin (…) WITH ('connector' = 'stdin', 'format' = 'json')";
            in_place(Error::query(error).with_help(help))
        })?;
        let but = match left_out.is_empty() {
            true => String::new(),
            false => format!(" (without {left_out:?}, which cannot be names of columns)"),
        };
        (self.notices)(Notice::Note(format!(
            "stdin is read as its first line says{but}; declare it to choose other types:\n  {declaration}"
        )));
        Ok(())
    }

    fn declare_inferred(&mut self, declaration: &str) -> Result<()> {
        let create = self.declaration(declaration)?;
        self.create_table(&create).map(drop)
    }
}
