//! Sinks in memory: one that collects what is committed, and one that hands rows on as they come.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::sync::mpsc;

use super::super::one_phase::{NothingToCommit, nothing_to_prepare};
use super::super::{Committable, Committer, Delivery, History, SinkContext, SinkFactory, SinkMode, SinkWriter, World};
use crate::error::{Error, Result};
use crate::stream::{Changes, Epoch};

/// Collects rows: staged at the barrier, visible at the commit, each once. Clones share what they hold, so that a
/// job that is started again finds it.
#[derive(Debug, Clone)]
pub struct MemorySink {
    mode: SinkMode,
    unreliable: Option<Unreliable>,
    held: Arc<Mutex<Held>>,
}

/// How badly commits go, for tests.
#[derive(Debug, Clone, Copy)]
pub struct Unreliable {
    /// The same seed, the same failures.
    pub seed: u64,
    /// Of 100 commits, how many answer with an error; half of those have taken effect all the same.
    pub failures_in_100: u64,
    /// How long each takes.
    pub delay: Duration,
}

#[derive(Debug, Default)]
struct Held {
    staged: BTreeMap<String, Vec<Changes>>,
    committed: BTreeMap<(Epoch, String), Committed>,
    attempts: u64,
}

#[derive(Debug)]
struct Committed {
    lineage: String,
    rows: Vec<Changes>,
}

impl MemorySink {
    /// An empty collection.
    pub fn new(mode: SinkMode) -> Self {
        Self { mode, unreliable: None, held: Arc::default() }
    }

    /// The same with commits that are slow and fail.
    pub fn unreliable(mut self, unreliable: Unreliable) -> Self {
        self.unreliable = Some(unreliable);
        self
    }

    /// All visible rows, in the order of epochs and tasks.
    pub fn rows(&self) -> Vec<Changes> {
        self.held().committed.values().flat_map(|committed| committed.rows.iter().cloned()).collect()
    }

    /// Each visible epoch with its rows.
    pub fn epochs(&self) -> BTreeMap<Epoch, Vec<Changes>> {
        let mut epochs = BTreeMap::<Epoch, Vec<Changes>>::new();
        for ((epoch, _), committed) in &self.held().committed {
            epochs.entry(*epoch).or_default().extend(committed.rows.iter().cloned());
        }
        epochs
    }

    /// How many commits have been tried.
    pub fn attempts(&self) -> u64 {
        self.held().attempts
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No method leaves it half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, committable: &Committable) -> Result<()> {
        let name = name_of(committable)?;
        let key = (committable.epoch, name.to_owned());
        let mut held = self.held();
        match held.staged.remove(name) {
            Some(rows) => {
                let lineage = name.split('/').next().unwrap_or_default().to_owned();
                held.committed.insert(key, Committed { lineage, rows });
                Ok(())
            }
            None if held.committed.contains_key(&key) => Ok(()),
            None => Err(Error::world(format!("the rows of epoch {} are not in memory any more", committable.epoch))
                .with_help("a sink in memory does not outlive its process")),
        }
    }
}

/// The start of the names of what this sink of this lineage stages: clones may serve several sinks of a job.
fn own_names(context: &SinkContext) -> String {
    format!("{}/{}/", context.identity.lineage, context.sink)
}

fn name_of(committable: &Committable) -> Result<&str> {
    committable.payload.as_str().ok_or_else(|| Error::bug("not a committable of a sink in memory"))
}

impl SinkFactory for MemorySink {
    fn mode(&self) -> SinkMode {
        self.mode
    }

    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn writer(&self, task: usize, context: &SinkContext, _world: &World) -> Result<Box<dyn SinkWriter>> {
        let identity = &context.identity;
        let prefix = format!("{}{}/{task:06}", own_names(context), identity.generation);
        Ok(Box::new(MemoryWriter { sink: self.clone(), prefix, name: context.sink.clone(), task, rows: Vec::new() }))
    }

    fn committer(&self, context: &SinkContext, _world: &World) -> Result<Box<dyn Committer>> {
        Ok(Box::new(MemoryCommitter { sink: self.clone(), own: own_names(context) }))
    }

    fn remove_published(&self, lineages: &str, _world: &World) -> Result<usize> {
        let mut held = self.held();
        let before = held.committed.len();
        held.committed.retain(|_, committed| !committed.lineage.starts_with(lineages));
        Ok(before - held.committed.len())
    }
}

struct MemoryWriter {
    sink: MemorySink,
    /// The start of the names of what it stages.
    prefix: String,
    name: String,
    task: usize,
    rows: Vec<Changes>,
}

#[async_trait]
impl SinkWriter for MemoryWriter {
    async fn write(&mut self, rows: &Changes) -> Result<()> {
        if !rows.is_empty() {
            self.rows.push(rows.clone());
        }
        Ok(())
    }

    fn prepare(&mut self, epoch: Epoch) -> BoxFuture<'static, Result<Option<Committable>>> {
        if self.rows.is_empty() {
            return nothing_to_prepare();
        }
        let rows = std::mem::take(&mut self.rows);
        let count = rows.iter().map(|rows| rows.len() as u64).sum();
        let name = format!("{}/{epoch}", self.prefix);
        self.sink.held().staged.insert(name.clone(), rows);
        let payload = serde_json::Value::String(name);
        let (sink, files) = (self.name.clone(), Vec::new());
        ready(Ok(Some(Committable { sink, task: self.task, epoch, rows: count, files, payload }))).boxed()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

struct MemoryCommitter {
    sink: MemorySink,
    /// The start of the names of what is this sink's.
    own: String,
}

#[async_trait]
impl Committer for MemoryCommitter {
    async fn recover(&mut self, _history: &History, pending: &[Committable]) -> Result<()> {
        for committable in pending {
            self.sink.commit(committable)?;
        }
        let known: HashSet<&str> = pending.iter().map(name_of).collect::<Result<_>>()?;
        self.sink.held().staged.retain(|name, _| !name.starts_with(&self.own) || known.contains(name.as_str()));
        Ok(())
    }

    async fn commit(&mut self, _epoch: Epoch, staged: &[Committable]) -> Result<()> {
        for staged in staged {
            self.commit_one(staged).await?;
        }
        Ok(())
    }
}

impl MemoryCommitter {
    async fn commit_one(&self, staged: &Committable) -> Result<()> {
        let attempt = {
            let mut held = self.sink.held();
            held.attempts += 1;
            held.attempts
        };
        let Some(unreliable) = self.sink.unreliable else {
            return self.sink.commit(staged);
        };
        tokio::time::sleep(unreliable.delay).await;
        let drawn = draw(unreliable.seed, attempt);
        if drawn % 100 >= unreliable.failures_in_100 {
            return self.sink.commit(staged);
        }
        if drawn & (1 << 32) != 0 {
            self.sink.commit(staged)?;
        }
        Err(Error::transient("the commit was made to fail"))
    }
}

/// A number that depends on seed and place alone.
fn draw(seed: u64, place: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&place.to_le_bytes(), seed)
}

/// Hands rows on as they come, for a reader within the same program. After a restart, rows may come again.
#[derive(Debug)]
pub struct ChannelSink {
    mode: SinkMode,
    rows: mpsc::Sender<Changes>,
}

impl ChannelSink {
    /// A sink and the end that its rows come out of; at most `capacity` batches wait.
    pub fn new(mode: SinkMode, capacity: usize) -> (Self, mpsc::Receiver<Changes>) {
        let (rows, receive) = mpsc::channel(capacity.max(1));
        (Self { mode, rows }, receive)
    }
}

impl SinkFactory for ChannelSink {
    fn mode(&self) -> SinkMode {
        self.mode
    }

    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn writer(&self, _task: usize, _context: &SinkContext, _world: &World) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(ChannelWriter { rows: self.rows.clone() }))
    }

    fn committer(&self, _context: &SinkContext, _world: &World) -> Result<Box<dyn Committer>> {
        Ok(Box::new(NothingToCommit))
    }

    fn remove_published(&self, _lineages: &str, _world: &World) -> Result<usize> {
        Ok(0)
    }
}

struct ChannelWriter {
    rows: mpsc::Sender<Changes>,
}

#[async_trait]
impl SinkWriter for ChannelWriter {
    async fn write(&mut self, rows: &Changes) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let gone = |_| Error::world("nobody reads the result any more").with_id("BL-RESULT-CLOSED");
        self.rows.send(rows.clone()).await.map_err(gone)
    }

    fn prepare(&mut self, _epoch: Epoch) -> BoxFuture<'static, Result<Option<Committable>>> {
        nothing_to_prepare()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
