//! Where rows come from and where they go, a folder or a file per connector, all in one list.
//!
//! Connectors never see a checkpoint: a source is told where to read on from, a sink writer is asked to prepare an
//! epoch, and a committer makes prepared work public. The loops that stop, throttle, align and inject barriers stand
//! in the runtime, once.

mod blackhole;
pub mod common;
mod datagen;
mod filesystem;
pub mod memory;
mod one_phase;
pub mod print;
mod row_buffer;
pub mod stdin;
mod values;

pub use common::OPTIONS as OF_ALL_TABLES;
pub use values::values;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::error::Result;
pub use crate::formats::{BadRow, Decoder};
use crate::options::{OptionSpec, Options};
use crate::storage::Stores;
pub use crate::stream::Committable;
use crate::stream::{Blocking, Changes, Clock, Entropy, Epoch, Generation, MemoryHolder, MemoryPool, ProcTime};

/// All connectors there are.
pub fn all() -> &'static [&'static dyn Connector] {
    &[&blackhole::BlackHole, &datagen::DataGen, &filesystem::FileSystem, &print::Print, &stdin::Stdin]
}

/// The connector of this name.
pub fn find(name: &str) -> Option<&'static dyn Connector> {
    all().iter().copied().find(|connector| connector.name() == name)
}

/// What the process lends to a connector instead of the operating system.
#[derive(Debug, Clone)]
pub struct World {
    /// Files.
    pub stores: Stores,
    /// Processing time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Entropy,
    /// Threads for calls that block.
    pub blocking: Arc<dyn Blocking>,
    /// Standard input, if it is lent at all.
    pub input: Arc<stdin::Pipe>,
    /// Standard output and standard error, for rows that are shown as they come.
    pub outputs: print::PrintOutputs,
}

/// A table as its connector sees it.
#[derive(Debug, Clone)]
pub struct TableContext {
    /// The table's name, for messages.
    pub name: String,
    /// The physical columns, in the order of the declaration, with Arrow types.
    pub schema: SchemaRef,
    /// The options of the WITH clause, checked against the connector's and its format's list.
    pub options: Options,
    /// What was in force at CREATE TABLE: `beadline.csv.header` and the like.
    pub settings: Options,
}

/// One kind of table, such as `filesystem`.
pub trait Connector: Debug + Send + Sync {
    /// The value of `'connector'`.
    fn name(&self) -> &'static str;
    /// Two or three sentences for the documentation.
    fn doc(&self) -> &'static str;
    /// The options that it understands besides `connector`, `format` and the options of its format.
    fn options(&self) -> &'static [OptionSpec];
    /// Its settings: `SET 'beadline.…'` keys, in full.
    fn settings(&self) -> &'static [OptionSpec] {
        &[]
    }
    /// Whether it takes a `format`.
    fn takes_format(&self) -> bool;
    /// Whether it can be read, as a message if not; makes no call to the outside.
    fn source(&self, table: &TableContext) -> Result<Arc<dyn SourceFactory>>;
    /// Whether it can be written, as a message if not; makes no call to the outside.
    fn sink(&self, table: &TableContext) -> Result<Arc<dyn SinkFactory>>;
}

// ------------------------------------------------------------------------------------------------ sources

/// How a table is read: made at planning, opened by the runtime.
pub trait SourceFactory: Debug + Send + Sync {
    /// Whether the input ends by itself.
    fn is_bounded(&self) -> bool;
    /// Says if the world lacks what it needs, such as a store for its location. Touches nothing outside; a job asks
    /// before it does anything.
    fn check(&self, _world: &World) -> Result<()> {
        Ok(())
    }
    /// Starts reading.
    fn open(&self, context: &SourceContext) -> Result<Arc<dyn Source>>;
    /// The same over several nodes of one plan must not be shared when reading consumes (a queue): true for those.
    fn reads_once(&self) -> bool {
        false
    }
    /// Whether rows come as they happen: a split may then fall idle, and somebody may be watching the result.
    fn is_live(&self) -> bool {
        !self.is_bounded()
    }
    /// Whether a job can go on from a position after a restart.
    fn can_resume(&self) -> bool {
        true
    }
    /// Whether its chunks say when they were [stored](Chunk::stored).
    fn has_stored_times(&self) -> bool {
        false
    }
    /// How often a running job looks for splits that came since; `None`: never. Only unbounded input has more to come.
    fn discovery_interval(&self) -> Option<Duration> {
        None
    }
}

/// What a source is opened with.
#[derive(Debug, Clone)]
pub struct SourceContext {
    /// Whose input it is; `None` for a query that is no job.
    pub job: Option<JobIdentity>,
    /// The columns to read: indices into the table's physical columns, in that order.
    pub projection: Vec<usize>,
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// What the source holds besides the rows that it hands out counts here.
    pub memory: MemoryHolder,
    pub world: World,
}

impl SourceContext {
    /// To read without a job, and without a limit to memory.
    pub fn new(projection: &[usize], batch_rows: usize, world: &World) -> Self {
        let memory = MemoryPool::new(None).holder("a source");
        Self { job: None, projection: projection.to_vec(), batch_rows: batch_rows.max(1), memory, world: world.clone() }
    }
}

/// A part of a source that is read in order by one reader: a file, a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SplitId(pub String);

/// A place in a split from which reading resumes, as the connector writes it down: plain JSON in the manifest.
/// A file's holds offset, line, and what identifies the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub serde_json::Value);

/// What a source still knows about a split found by discovery.
#[derive(Debug, Clone)]
pub struct Split {
    /// Its name, stable over restarts (a path, a partition).
    pub id: SplitId,
    /// Where it begins.
    pub start: Position,
    /// How many bytes of undecoded rows it holds, if that is known.
    pub bytes: Option<u64>,
}

/// What a table reads: which splits there are, and how to open one. Splits may be looked for while others are read.
#[async_trait]
pub trait Source: Send + Sync {
    /// All splits there are now, in a stable order; those that are `known` already may be left out. Called once for a
    /// bounded source, and for another at each start and then as often as its factory says.
    async fn discover(&self, known: &BTreeSet<SplitId>) -> Result<Vec<Split>>;
    /// How a split of bounded input that was read up to `position` differs from `now`, as it is found by now, in words
    /// that go on after its name; `None` if it does not.
    async fn changed(&self, _now: &Split, _position: &Position) -> Result<Option<String>> {
        Ok(None)
    }
    /// A reader from `from`; refuses a position of another file (or a file that changed since).
    async fn open(&self, split: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>>;
    /// Everything before these positions is part of a completed checkpoint: a queue may forget it. Readers may be
    /// waiting for rows meanwhile; a source that has to tell them shares something with them.
    async fn acknowledge(&self, _durable: &[(SplitId, Position)]) -> Result<()> {
        Ok(())
    }
    /// Behind what has come of a split by now, where that lies behind `position`: a barrier that is asked for now waits
    /// until it is sent, so that whoever handed it over may forget it. It must be here already, and one of the reader's
    /// answers must end exactly there. `None` where the outside keeps its rows: a barrier then goes out at once.
    fn arrived(&self, _split: &SplitId, _position: &Position) -> Option<Position> {
        None
    }
    /// Makes a decoder for chunks; each decoding worker has one. `None` if readers return rows.
    fn decoder(&self) -> Option<Box<dyn Decoder>>;
}

/// What a reader has next.
#[derive(Debug)]
pub enum Polled {
    /// Whole undecoded rows, and the position behind them.
    Chunk(Chunk, Position),
    /// Decoded rows, and the position behind them.
    Rows(Changes, Position),
    /// Nothing now; `next` may be called again at once and will wait.
    Pending,
    /// The split is complete.
    End,
}

/// Bytes that hold whole rows, and where they stood, for messages about bad rows.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The rows.
    pub bytes: Bytes,
    /// The file or partition, for messages.
    pub origin: Arc<str>,
    /// The number of the first line, from 1.
    pub first_line: u64,
    /// When the outside stored these rows, if it knows: whoever reads them again, after a restart or years later, is told the
    /// same, or nobody can read them again.
    pub stored: Option<ProcTime>,
}

/// A pull reader of one split. `next` is cancel-safe: a dropped call loses nothing.
#[async_trait]
pub trait SplitReader: Send {
    /// What comes next; waits while there is nothing.
    async fn next(&mut self) -> Result<Polled>;
}

// -------------------------------------------------------------------------------------------------- sinks

/// What a sink can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkMode {
    /// Inserts only.
    Append,
    /// Every change, old versions included.
    Retract,
    /// Changes by key, without old versions.
    Upsert,
}

/// What a sink promises when the job is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Each row once, public with its checkpoint.
    ExactlyOnce,
    /// Rows may be repeated after a restart.
    AtLeastOnce,
}

/// How a table is written: made at planning, opened by the runtime.
pub trait SinkFactory: Debug + Send + Sync {
    /// What it can take.
    fn mode(&self) -> SinkMode;
    /// What it promises.
    fn delivery(&self) -> Delivery;
    /// Says if the world lacks what it needs, such as a store for its location. Touches nothing outside; a job asks
    /// before it does anything.
    fn check(&self, _world: &World) -> Result<()> {
        Ok(())
    }
    /// A writer for one of the sink's tasks, which are numbered from 0.
    fn writer(&self, task: usize, context: &SinkContext, world: &World) -> Result<Box<dyn SinkWriter>>;
    /// The one committer of this sink; needs no writer, so that any process can finish the work.
    fn committer(&self, context: &SinkContext, world: &World) -> Result<Box<dyn Committer>>;
    /// Says what stands here already and is not of this job: nobody touches it, but readers will see both.
    fn foreign_files(&self, _job: &JobIdentity, _world: &World) -> Result<Option<String>> {
        Ok(None)
    }
    /// Removes what the lineages that begin with these digits made public or left half done here, whatever sink of
    /// theirs it was, and says how much was public; for `--fresh`.
    fn remove_published(&self, lineages: &str, world: &World) -> Result<usize>;
}

/// Whose output it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobIdentity {
    /// The job's name.
    pub job: String,
    /// 128 random bits as 32 hexadecimal digits: one uninterrupted history of the job.
    pub lineage: String,
    /// The number of this start.
    pub generation: Generation,
}

/// What a sink's writers and its committer are told. Several sinks of a job may write to one place: each touches only
/// what bears its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkContext {
    /// Whose output it is.
    pub identity: JobIdentity,
    /// The sink's name within the plan, stable over restarts.
    pub sink: String,
    /// Whether there are checkpoints that a later start goes on from.
    pub is_durable: bool,
    /// How many tasks it has.
    pub parallelism: usize,
    /// The columns that will be written: those of the table.
    pub schema: SchemaRef,
}

/// What a start knows of a sink from the checkpoint that it goes on from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// The checkpoint; `None` for the first start of a lineage.
    pub restored: Option<Epoch>,
    /// The last epoch of which it knows that rows of the sink were public; `None` if there were none yet.
    pub confirmed: Option<Epoch>,
    /// Rows of the sink that were public by then: all but those that are pending.
    pub public_rows: u64,
}

/// Writes the rows of one sink task.
#[async_trait]
pub trait SinkWriter: Send {
    /// Takes rows. A row that the outside would refuse later is refused here, before the barrier.
    async fn write(&mut self, rows: &Changes) -> Result<()>;
    /// Makes the rows since the last call durable but not visible; `None` if there were none.
    /// The rows are sealed by the call and durable when the future is through: rows of the next epoch may be written
    /// meanwhile.
    fn prepare(&mut self, epoch: Epoch) -> BoxFuture<'static, Result<Option<Committable>>>;
    /// The inputs ran dry: a sink without two phases shows what it has.
    async fn flush(&mut self) -> Result<()>;
}

/// Makes prepared rows public.
#[async_trait]
pub trait Committer: Send {
    /// Fails where the outside does not fit `history` (rows are lost, or public that the checkpoint knows nothing of).
    /// Changes nothing: a start asks all sinks of the job before any of them recovers.
    async fn check(&mut self, _history: &History, _pending: &[Committable]) -> Result<()> {
        Ok(())
    }
    /// Called once at a start, before any writer works: fences older processes, then finishes `pending` (in order of
    /// epochs) and clears away what was prepared but belongs to no completed checkpoint. Idempotent. What `check`
    /// refuses, this refuses as well, and changes nothing.
    async fn recover(&mut self, history: &History, pending: &[Committable]) -> Result<()>;
    /// Makes visible what the sink's tasks have prepared by this checkpoint, in order of epochs (some may stem from
    /// earlier checkpoints that were given up). Idempotent: a second call with the same changes nothing.
    async fn commit(&mut self, epoch: Epoch, staged: &[Committable]) -> Result<()>;
}

#[cfg(test)]
mod tests;
