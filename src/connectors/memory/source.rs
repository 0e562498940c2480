//! Sources in memory: batches that are there from the start, or pushed as the job runs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use tokio::sync::mpsc;

use super::super::{Polled, Position, Source, SourceContext, SourceFactory, Split, SplitId, SplitReader};
use crate::error::{Error, Result};
use crate::formats::Decoder;
use crate::stream::Changes;

/// A table of rows in memory.
#[derive(Debug)]
pub struct MemorySource {
    schema: SchemaRef,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    /// The batches of each split.
    Given(Arc<Vec<Vec<RecordBatch>>>),
    Pushed {
        queue: Arc<Mutex<Queue>>,
        pushed: Arc<Mutex<u64>>,
    },
}

/// What has been pushed and not been read.
#[derive(Debug)]
struct Queue {
    /// `None` while a reader has it.
    batches: Option<mpsc::Receiver<RecordBatch>>,
    /// What is left of the batch that was read last.
    rest: Option<RecordBatch>,
    /// Rows taken out so far.
    taken: u64,
}

/// Pushes rows into a running job. Dropping it ends the input.
#[derive(Debug, Clone)]
pub struct Pusher {
    schema: SchemaRef,
    batches: mpsc::Sender<RecordBatch>,
    /// Rows pushed so far, by all clones. Rows enter the queue under its lock, so that it always says where one of the
    /// queue's batches ends.
    pushed: Arc<Mutex<u64>>,
}

impl MemorySource {
    /// A bounded table with one split for each list of batches; all have this schema.
    pub fn bounded(schema: SchemaRef, splits: Vec<Vec<RecordBatch>>) -> Result<Self> {
        for batch in splits.iter().flatten() {
            check_schema(&schema, batch)?;
        }
        Ok(Self { schema, content: Content::Given(Arc::new(splits)) })
    }

    /// An unbounded table of one split that is fed through the [`Pusher`]; at most `capacity` batches wait.
    ///
    /// A job that resumes from a checkpoint expects that all rows are pushed again from the first on, and skips
    /// those that it has counted.
    pub fn pushed(schema: SchemaRef, capacity: usize) -> (Self, Pusher) {
        let (send, receive) = mpsc::channel(capacity.max(1));
        let queue = Queue { batches: Some(receive), rest: None, taken: 0 };
        let pushed = Arc::<Mutex<u64>>::default();
        let pusher = Pusher { schema: Arc::clone(&schema), batches: send, pushed: Arc::clone(&pushed) };
        (Self { schema, content: Content::Pushed { queue: Arc::new(Mutex::new(queue)), pushed } }, pusher)
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Pusher {
    /// Hands rows over; waits while too many batches wait already. A checkpoint that is asked for when it has returned
    /// holds them.
    pub async fn push(&self, batch: RecordBatch) -> Result<()> {
        check_schema(&self.schema, &batch)?;
        let room = self.batches.reserve().await;
        let room = room.map_err(|_| Error::world("the job that rows are pushed to has ended"))?;
        let mut pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        *pushed += batch.num_rows() as u64;
        room.send(batch);
        Ok(())
    }

    /// Ends the input, unless there are clones that go on.
    pub fn finish(self) {}
}

fn check_schema(schema: &SchemaRef, batch: &RecordBatch) -> Result<()> {
    let same = schema.fields().len() == batch.num_columns()
        && schema.fields().iter().zip(batch.columns()).all(|(field, column)| field.data_type() == column.data_type());
    if same {
        return Ok(());
    }
    Err(Error::query(format!("the batch has other columns than the table: {} and not {schema}", batch.schema())))
}

impl SourceFactory for MemorySource {
    fn is_bounded(&self) -> bool {
        matches!(self.content, Content::Given(_))
    }

    fn open(&self, context: &SourceContext) -> Result<Arc<dyn Source>> {
        let view = View { projection: context.projection.clone(), batch_rows: context.batch_rows };
        Ok(Arc::new(OpenSource { content: self.content.clone(), view }))
    }

    fn reads_once(&self) -> bool {
        matches!(self.content, Content::Pushed { .. })
    }
}

struct OpenSource {
    content: Content,
    view: View,
}

/// What of a batch is read.
#[derive(Debug, Clone)]
struct View {
    projection: Vec<usize>,
    batch_rows: usize,
}

impl View {
    /// The first rows of a batch, and the rest.
    fn split(&self, batch: &RecordBatch) -> Result<(Changes, Option<RecordBatch>)> {
        let rows = batch.num_rows().min(self.batch_rows);
        let rest = (rows < batch.num_rows()).then(|| batch.slice(rows, batch.num_rows() - rows));
        Ok((Changes::inserts(batch.slice(0, rows).project(&self.projection)?), rest))
    }
}

#[async_trait]
impl Source for OpenSource {
    async fn discover(&self, _known: &BTreeSet<SplitId>) -> Result<Vec<Split>> {
        let splits = match &self.content {
            Content::Given(splits) => splits.len(),
            Content::Pushed { .. } => 1,
        };
        Ok((0..splits).map(|split| Split { id: SplitId(split.to_string()), start: position(0), bytes: None }).collect())
    }

    async fn open(&self, split: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>> {
        let rows = rows_at(from).ok_or_else(|| Error::bug(format!("not a position in memory: {}", from.0)))?;
        let view = self.view.clone();
        match &self.content {
            Content::Given(splits) => {
                let split = split.0.parse().ok().filter(|split| *split < splits.len());
                let split = split.ok_or_else(|| {
                    Error::world("the table in memory has fewer splits than when the job began")
                        .with_id("BL-SOURCE-CHANGED")
                })?;
                Ok(Box::new(GivenReader::new(Arc::clone(splits), split, view, rows)))
            }
            Content::Pushed { queue, .. } => Ok(Box::new(PushedReader::new(Arc::clone(queue), view, rows)?)),
        }
    }

    fn arrived(&self, _split: &SplitId, position: &Position) -> Option<Position> {
        match &self.content {
            Content::Given(_) => None,
            Content::Pushed { pushed, .. } => {
                let pushed = *pushed.lock().unwrap_or_else(PoisonError::into_inner);
                // A restored job that is not yet where it was has nothing to wait for.
                rows_at(position).filter(|rows| *rows < pushed).map(|_| self::position(pushed))
            }
        }
    }

    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        None
    }
}

fn position(rows: u64) -> Position {
    Position(serde_json::json!({ "rows": rows }))
}

/// How many rows lie before a position.
fn rows_at(position: &Position) -> Option<u64> {
    position.0.get("rows").and_then(serde_json::Value::as_u64)
}

struct GivenReader {
    splits: Arc<Vec<Vec<RecordBatch>>>,
    split: usize,
    view: View,
    batch: usize,
    /// The first row of `batch` that has not been read.
    row: usize,
    rows: u64,
}

impl GivenReader {
    fn new(splits: Arc<Vec<Vec<RecordBatch>>>, split: usize, view: View, rows: u64) -> Self {
        let (mut batch, mut row) = (0, usize::try_from(rows).unwrap_or(usize::MAX));
        while let Some(skipped) = splits[split].get(batch).filter(|batch| batch.num_rows() <= row) {
            row -= skipped.num_rows();
            batch += 1;
        }
        Self { splits, split, view, batch, row, rows }
    }
}

#[async_trait]
impl SplitReader for GivenReader {
    async fn next(&mut self) -> Result<Polled> {
        while let Some(batch) = self.splits[self.split].get(self.batch) {
            if self.row >= batch.num_rows() {
                self.batch += 1;
                self.row = 0;
                continue;
            }
            let (rows, rest) = self.view.split(&batch.slice(self.row, batch.num_rows() - self.row))?;
            self.row = batch.num_rows() - rest.map_or(0, |rest| rest.num_rows());
            self.rows += rows.len() as u64;
            return Ok(Polled::Rows(rows, position(self.rows)));
        }
        Ok(Polled::End)
    }
}

struct PushedReader {
    queue: Arc<Mutex<Queue>>,
    view: View,
    /// The queue's own, given back when the reader goes.
    batches: Option<mpsc::Receiver<RecordBatch>>,
    rest: Option<RecordBatch>,
    taken: u64,
    /// Rows before this one have been counted before.
    from: u64,
}

impl PushedReader {
    fn new(queue: Arc<Mutex<Queue>>, view: View, from: u64) -> Result<Self> {
        let mut held = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if held.taken > from {
            return Err(Error::world("rows that were pushed are not kept, so the job cannot read them again")
                .with_help("start the job anew and push the rows again from the first on"));
        }
        let batches = held.batches.take();
        if batches.is_none() {
            return Err(Error::bug("pushed rows are read by two readers"));
        }
        let (rest, taken) = (held.rest.take(), held.taken);
        drop(held);
        Ok(Self { queue, view, batches, rest, taken, from })
    }
}

#[async_trait]
impl SplitReader for PushedReader {
    async fn next(&mut self) -> Result<Polled> {
        loop {
            let batch = match (self.rest.take(), &mut self.batches) {
                (Some(batch), _) => batch,
                (None, Some(batches)) => match batches.recv().await {
                    Some(batch) => batch,
                    None => return Ok(Polled::End),
                },
                (None, None) => return Ok(Polled::End),
            };
            let skipped = usize::try_from(self.from.saturating_sub(self.taken)).unwrap_or(usize::MAX);
            let skipped = skipped.min(batch.num_rows());
            self.taken += skipped as u64;
            if skipped == batch.num_rows() {
                continue;
            }
            let (rows, rest) = self.view.split(&batch.slice(skipped, batch.num_rows() - skipped))?;
            self.rest = rest;
            self.taken += rows.len() as u64;
            return Ok(Polled::Rows(rows, position(self.taken)));
        }
    }
}

impl Drop for PushedReader {
    fn drop(&mut self) {
        let mut held = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        held.batches = self.batches.take();
        held.rest = self.rest.take();
        held.taken = self.taken;
    }
}
