//! `print`: rows on the terminal, in Flink's spelling: `[id:]task> +I[1, a]`.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::one_phase::{NothingToCommit, nothing_to_prepare, only_a_sink};
use super::{
    Committable, Committer, Connector, Delivery, SinkContext, SinkFactory, SinkMode, SinkWriter, SourceFactory,
    TableContext, World,
};
use crate::error::{Error, Result};
use crate::formats::java::Java;
use crate::formats::spelling;
use crate::options::{OptionKind, OptionSpec};
use crate::stream::{Changes, Epoch};

/// The connector `print`.
#[derive(Debug)]
pub struct Print;

const PRINT_IDENTIFIER: OptionSpec = OptionSpec::honoured(
    "print-identifier",
    OptionKind::Text,
    None,
    "A word in front of each row, to tell tables apart.",
);
const STANDARD_ERROR: OptionSpec = OptionSpec::honoured(
    "standard-error",
    OptionKind::Boolean,
    Some("false"),
    "Whether rows go to the standard error and not the standard output.",
);

impl Connector for Print {
    fn name(&self) -> &'static str {
        "print"
    }

    fn doc(&self) -> &'static str {
        "Shows rows with their change kind as they come: `+I[1, a]`, with the number of the task in front where there \
         are several. After a crash, rows since the last checkpoint are shown again."
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[PRINT_IDENTIFIER, STANDARD_ERROR]
    }

    fn takes_format(&self) -> bool {
        false
    }

    fn source(&self, table: &TableContext) -> Result<Arc<dyn SourceFactory>> {
        Err(only_a_sink(self.name(), &table.name))
    }

    fn sink(&self, table: &TableContext) -> Result<Arc<dyn SinkFactory>> {
        Ok(Arc::new(PrintSink {
            identifier: table.options.text(&PRINT_IDENTIFIER).unwrap_or_default().to_owned(),
            to_error: table.options.boolean(&STANDARD_ERROR)?,
        }))
    }
}

/// The outputs that `print` writes to; all tasks share them, so that lines do not mix.
#[derive(Clone)]
pub struct PrintOutputs {
    standard: Output,
    error: Output,
}

type Output = Arc<Mutex<dyn Write + Send>>;

impl PrintOutputs {
    /// These in place of the process's own.
    pub fn new(standard: impl Write + Send + 'static, error: impl Write + Send + 'static) -> Self {
        Self { standard: Arc::new(Mutex::new(standard)), error: Arc::new(Mutex::new(error)) }
    }
}

impl Default for PrintOutputs {
    fn default() -> Self {
        Self::new(std::io::stdout(), std::io::stderr())
    }
}

impl fmt::Debug for PrintOutputs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PrintOutputs")
    }
}

#[derive(Debug)]
pub(super) struct PrintSink {
    pub(super) identifier: String,
    /// To the standard error and not the standard output.
    pub(super) to_error: bool,
}

impl SinkFactory for PrintSink {
    fn mode(&self) -> SinkMode {
        SinkMode::Retract
    }

    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn writer(&self, task: usize, context: &SinkContext, world: &World) -> Result<Box<dyn SinkWriter>> {
        let mut prefix = self.identifier.clone();
        if context.parallelism > 1 {
            prefix.push_str(if prefix.is_empty() { "" } else { ":" });
            prefix.push_str(&(task + 1).to_string());
        }
        if !prefix.is_empty() {
            prefix.push_str("> ");
        }
        let output = Arc::clone(if self.to_error { &world.outputs.error } else { &world.outputs.standard });
        Ok(Box::new(PrintWriter { prefix, output, world: world.clone() }))
    }

    fn committer(&self, _context: &SinkContext, _world: &World) -> Result<Box<dyn Committer>> {
        Ok(Box::new(NothingToCommit))
    }

    fn remove_published(&self, _lineages: &str, _world: &World) -> Result<usize> {
        Ok(0)
    }
}

struct PrintWriter {
    prefix: String,
    output: Output,
    world: World,
}

impl PrintWriter {
    fn lines(&self, rows: &Changes) -> Result<Vec<u8>> {
        let columns: Vec<_> = rows
            .batch()
            .columns()
            .iter()
            .map(|column| spelling::texts(&Java, column.as_ref()))
            .collect::<Result<_>>()?;
        let mut lines = Vec::new();
        for row in 0..rows.len() {
            lines.extend_from_slice(self.prefix.as_bytes());
            lines.extend_from_slice(rows.kind(row).symbol().as_bytes());
            let mut separator: &[u8] = b"[";
            for column in &columns {
                lines.extend_from_slice(separator);
                lines.extend_from_slice(column.row(row));
                separator = b", ";
            }
            lines.extend_from_slice(b"]\n");
        }
        Ok(lines)
    }
}

#[async_trait]
impl SinkWriter for PrintWriter {
    async fn write(&mut self, rows: &Changes) -> Result<()> {
        let lines = self.lines(rows)?;
        let output = Arc::clone(&self.output);
        let written = self.world.blocking.call(move || {
            // A panic of another writer leaves the output as usable as it was.
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.write_all(&lines).and_then(|()| output.flush())
        });
        match written.await? {
            // Whoever read along has gone, as `head` does: the job goes on.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| Error::io("print", &error)),
        }
    }

    fn prepare(&mut self, _epoch: Epoch) -> BoxFuture<'static, Result<Option<Committable>>> {
        nothing_to_prepare()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
