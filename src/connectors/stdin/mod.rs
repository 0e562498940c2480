//! `stdin`: standard input as a table. One split that is read once, ends with the input, and hands rows out as they
//! come.
//!
//! It counts as bounded, because a pipe ends: windows then close, a script waits for its INSERT, a SELECT and batch
//! mode work. It is live as well: nothing waits for the end that can be shown before. An end that comes with a stop, or
//! shortly before one, is none: no window closes by it, and the half row in front of it is no row.

mod infer;
mod pipe;
mod stop_signal;
#[cfg(test)]
mod tests;

pub use infer::{Inferred, infer};
pub use pipe::{Input, Pipe};
pub use stop_signal::StopSignal;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::common::format;
use super::row_buffer::{Cutting, RowBuffer};
use super::{
    Connector, Polled, Position, SinkFactory, Source, SourceContext, SourceFactory, Split, SplitId, SplitReader,
    TableContext, World,
};
use crate::error::{Error, Result};
use crate::formats::{Decoder, RowReader};
use crate::options::OptionSpec;

/// The table that need not be declared.
pub const TABLE: &str = "stdin";
/// How messages about rows call it.
const ORIGIN: &str = "stdin";
/// The id of the error about reading it again.
const READ_ONCE: &str = "BL-SOURCE-ONCE";
/// Bytes that wait to be cut before no more are taken in.
const ENOUGH: usize = 1 << 20;

/// The connector `stdin`.
#[derive(Debug)]
pub struct Stdin;

impl Connector for Stdin {
    fn name(&self) -> &'static str {
        "stdin"
    }

    fn doc(&self) -> &'static str {
        "The standard input as rows in a format, shown as they come; the table ends where the input does. It is read \
         once: a job over it does not go on from a checkpoint after a crash, and says so."
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn takes_format(&self) -> bool {
        true
    }

    fn source(&self, table: &TableContext) -> Result<Arc<dyn SourceFactory>> {
        let (format, options) = format(table)?;
        let rows = format.reader(&table.schema, &options, &table.settings)?;
        Ok(Arc::new(StdinFactory { rows }))
    }

    fn sink(&self, table: &TableContext) -> Result<Arc<dyn SinkFactory>> {
        Err(Error::query(format!("table `{}` is the standard input: it can be read and not be written", table.name))
            .with_help("a SELECT writes its rows to the standard output; 'connector' = 'print' does so in a script"))
    }
}

#[derive(Debug)]
struct StdinFactory {
    rows: Arc<dyn RowReader>,
}

impl SourceFactory for StdinFactory {
    fn is_bounded(&self) -> bool {
        true
    }

    fn open(&self, context: &SourceContext) -> Result<Arc<dyn Source>> {
        // Made here once so that what cannot be decoded is said here.
        self.rows.decoder(&context.projection)?;
        let SourceContext { projection, batch_rows, world, .. } = context.clone();
        Ok(Arc::new(StdinSource { rows: Arc::clone(&self.rows), projection, batch_rows, world }))
    }

    fn has_stored_times(&self) -> bool {
        true
    }

    fn reads_once(&self) -> bool {
        true
    }

    fn is_live(&self) -> bool {
        true
    }

    fn can_resume(&self) -> bool {
        false
    }
}

struct StdinSource {
    rows: Arc<dyn RowReader>,
    projection: Vec<usize>,
    batch_rows: usize,
    world: World,
}

/// How much has been read. Nobody can go back to it, but it tells whether a job had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    offset: u64,
    line: u64,
}

impl Place {
    const START: Self = Self { offset: 0, line: 1 };

    fn position(self) -> Position {
        Position(serde_json::json!({ "offset": self.offset, "line": self.line }))
    }
}

#[async_trait]
impl Source for StdinSource {
    async fn discover(&self, _known: &BTreeSet<SplitId>) -> Result<Vec<Split>> {
        Ok(vec![Split { id: SplitId(ORIGIN.to_owned()), start: Place::START.position(), bytes: None }])
    }

    async fn open(&self, _split: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>> {
        let place: Place = serde_json::from_value(from.0.clone())
            .map_err(|error| Error::bug(format!("the position in stdin cannot be read: {error}")))?;
        if place != Place::START {
            return Err(Error::world(format!(
                "the job has read stdin up to line {} before, and stdin cannot be read again from there",
                place.line
            ))
            .with_id(READ_ONCE)
            .with_help("start over with --fresh and all of the input: what the job has published is then removed")
            .with_help("put the rows into a file and read that: such a job goes on from its checkpoint"));
        }
        let pipe = Arc::clone(&self.world.input);
        pipe.hold()?;
        Ok(Box::new(StdinReader {
            pipe,
            buffer: RowBuffer::new(ORIGIN.into(), Arc::clone(&self.rows), self.batch_rows, 1, true),
            world: self.world.clone(),
            offset: 0,
            filling: None,
            ending: None,
            is_at_end: false,
        }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        self.rows.decoder(&self.projection).ok()
    }
}

struct StdinReader {
    pipe: Arc<Pipe>,
    buffer: RowBuffer,
    world: World,
    /// Bytes that have left the buffer.
    offset: u64,
    /// A read on its way, which leaves what it gets in the pipe.
    filling: Option<BoxFuture<'static, Result<()>>>,
    /// The wait until an end is known to be no stop.
    ending: Option<BoxFuture<'static, ()>>,
    /// Whether it is.
    is_at_end: bool,
}

impl Drop for StdinReader {
    fn drop(&mut self) {
        self.pipe.let_go();
    }
}

#[async_trait]
impl SplitReader for StdinReader {
    async fn next(&mut self) -> Result<Polled> {
        loop {
            self.take_in()?;
            if self.is_at_end && self.buffer.is_empty() {
                return Ok(Polled::End);
            }
            match self.buffer.cut(self.is_at_end)? {
                Cutting::Header(bytes) => self.offset += bytes.len() as u64,
                Cutting::Rows(mut chunk) => {
                    self.offset += chunk.bytes.len() as u64;
                    // Nobody keeps them but who reads them now.
                    chunk.stored = Some(self.world.clock.now());
                    let place = Place { offset: self.offset, line: self.buffer.line() };
                    return Ok(Polled::Chunk(chunk, place.position()));
                }
                Cutting::More => match self.pipe.exhausted() {
                    Some(hold) => self.end(hold).await,
                    None => self.wait().await?,
                },
            }
        }
    }
}

impl StdinReader {
    /// Moves into the buffer what has come, and has more read meanwhile.
    fn take_in(&mut self) -> Result<()> {
        if let Some(filling) = &mut self.filling
            && let Some(filled) = filling.now_or_never()
        {
            self.filling = None;
            filled?;
        }
        while self.buffer.len() < ENOUGH
            && let Some(bytes) = self.pipe.take()?
        {
            self.buffer.push(bytes);
        }
        self.read_ahead();
        Ok(())
    }

    fn read_ahead(&mut self) {
        if self.filling.is_none() && self.pipe.is_dry() {
            let pipe = Arc::clone(&self.pipe);
            self.filling = Some(self.world.blocking.run(Box::new(move || pipe.fill())));
        }
    }

    /// Waits until the end is known to be that of the rows: for ever, if it is that of a stop. Cancel-safe.
    async fn end(&mut self, hold: Duration) {
        let stop = self.pipe.stop_signal();
        let ending = self.ending.get_or_insert_with(|| stop.none_within(hold).boxed());
        ending.await;
        self.ending = None;
        self.is_at_end = true;
    }

    /// Waits for the read that is on its way. Cancel-safe: what it gets waits in the pipe.
    async fn wait(&mut self) -> Result<()> {
        if let Some(filling) = &mut self.filling {
            let filled = filling.await;
            self.filling = None;
            return filled;
        }
        // The buffer is full of the beginning of one row: take more in, however much there is.
        match self.pipe.take()? {
            Some(bytes) => self.buffer.push(bytes),
            None => self.read_ahead(),
        }
        Ok(())
    }
}
