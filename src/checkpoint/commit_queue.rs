//! Rows of complete checkpoints that are not public yet: a queue of epochs per sink.
//!
//! ```text
//!   sink a   │3 being committed│ │4│ │5│      one slow sink holds up nobody but itself
//!   sink b   │5 being committed│
//! ```

use std::collections::{BTreeMap, VecDeque};

use crate::error::{Error, Result};
use crate::stream::{Committable, Epoch};

/// What is to be committed, by sink. Epochs of one sink are committed in order; sinks do not wait for each other.
#[derive(Debug, Default)]
pub(super) struct CommitQueue {
    sinks: BTreeMap<String, VecDeque<Uncommitted>>,
}

/// What one checkpoint makes public in one sink.
#[derive(Debug)]
struct Uncommitted {
    epoch: Epoch,
    committables: Vec<Committable>,
    /// Whether the driver has been told.
    is_sent: bool,
}

impl CommitQueue {
    /// Puts what became complete with the checkpoint of `epoch` behind what is there. A sink without rows has nothing
    /// to do for it.
    pub fn push(&mut self, epoch: Epoch, committables: Vec<Committable>) {
        for committable in committables {
            let queue = self.sinks.entry(committable.sink.clone()).or_default();
            match queue.back_mut() {
                Some(last) if last.epoch == epoch => last.committables.push(committable),
                _ => queue.push_back(Uncommitted { epoch, committables: vec![committable], is_sent: false }),
            }
        }
    }

    /// What can be begun now: of each sink that is at rest the first.
    pub fn begin(&mut self) -> Vec<(String, Epoch, Vec<Committable>)> {
        let first = |(sink, queue): (&String, &mut VecDeque<Uncommitted>)| {
            let first = queue.front_mut().filter(|first| !first.is_sent)?;
            first.is_sent = true;
            Some((sink.clone(), first.epoch, first.committables.clone()))
        };
        self.sinks.iter_mut().filter_map(first).collect()
    }

    /// Takes note that what was begun is public, and returns it.
    pub fn committed(&mut self, sink: &str, epoch: Epoch) -> Result<Vec<Committable>> {
        let queue = self.sinks.get_mut(sink);
        let is_begun = |first: &Uncommitted| first.epoch == epoch && first.is_sent;
        let Some(done) = queue.and_then(|queue| queue.pop_front_if(|first| is_begun(first))) else {
            return Err(Error::bug(format!("epoch {epoch} of sink {sink} was committed and is not its turn")));
        };
        self.sinks.retain(|_, queue| !queue.is_empty());
        Ok(done.committables)
    }

    /// Everything that is not known to be public, in order of epochs.
    pub fn pending(&self) -> Vec<Committable> {
        let all = self.sinks.values().flatten().flat_map(|uncommitted| &uncommitted.committables);
        let mut pending: Vec<Committable> = all.cloned().collect();
        pending.sort_by_key(|committable| committable.epoch);
        pending
    }

    /// How many epochs wait at the sink that is furthest behind.
    pub fn longest(&self) -> usize {
        self.sinks.values().map(VecDeque::len).max().unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }
}
