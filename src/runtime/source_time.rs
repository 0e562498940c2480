//! Where a source and its splits stand in event time: written by the source, read by whoever asks.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::stream::EventTime;

/// Where a source task stands in time.
#[derive(Debug)]
pub struct SourceTime {
    table: String,
    /// The watermark that it has sent.
    watermark_ms: AtomicI64,
    /// The split that holds it: the one furthest behind of those that are not idle.
    held_by: Mutex<Option<Arc<str>>>,
    /// In the order in which they were found.
    splits: Mutex<Vec<Arc<SplitTime>>>,
}

/// Where one split stands in time.
#[derive(Debug)]
pub struct SplitTime {
    id: Arc<str>,
    watermark_ms: AtomicI64,
    activity: AtomicU8,
}

/// What a split is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitActivity {
    /// Rows of it are read or waited for.
    Active,
    /// Nothing has come from it for so long that the others go on without it.
    Idle,
    /// All of it has been read.
    Ended,
}

/// A split at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitStatus {
    pub table: String,
    pub split: Arc<str>,
    /// The watermark that its rows have left behind.
    pub watermark: EventTime,
    pub activity: SplitActivity,
    /// Whether the source's watermark waits for it.
    pub holds_watermark: bool,
}

impl SourceTime {
    pub fn new(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            watermark_ms: AtomicI64::new(EventTime::NONE.0),
            held_by: Mutex::default(),
            splits: Mutex::default(),
        }
    }

    pub fn watermark(&self) -> EventTime {
        EventTime(self.watermark_ms.load(Ordering::Relaxed))
    }

    pub fn set_watermark(&self, time: EventTime) {
        self.watermark_ms.store(time.0, Ordering::Relaxed);
    }

    pub fn held_by(&self) -> Option<Arc<str>> {
        self.held_by.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_held_by(&self, split: Option<Arc<str>>) {
        *self.held_by.lock().unwrap_or_else(PoisonError::into_inner) = split;
    }

    pub fn add(&self, split: Arc<SplitTime>) {
        self.splits.lock().unwrap_or_else(PoisonError::into_inner).push(split);
    }

    /// All of its splits.
    pub fn splits(&self) -> Vec<SplitStatus> {
        let held_by = self.held_by();
        let splits = self.splits.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |split: &Arc<SplitTime>| SplitStatus {
            table: self.table.clone(),
            split: Arc::clone(&split.id),
            watermark: EventTime(split.watermark_ms.load(Ordering::Relaxed)),
            activity: split.activity(),
            holds_watermark: held_by.as_ref() == Some(&split.id),
        };
        splits.iter().map(status).collect()
    }
}

impl SplitTime {
    pub fn new(id: &str) -> Self {
        let watermark_ms = AtomicI64::new(EventTime::NONE.0);
        Self { id: id.into(), watermark_ms, activity: AtomicU8::new(SplitActivity::Active as u8) }
    }

    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub fn set(&self, watermark: EventTime, activity: SplitActivity) {
        self.watermark_ms.store(watermark.0, Ordering::Relaxed);
        self.activity.store(activity as u8, Ordering::Relaxed);
    }

    fn activity(&self) -> SplitActivity {
        let activity = self.activity.load(Ordering::Relaxed);
        let all = [SplitActivity::Active, SplitActivity::Idle, SplitActivity::Ended];
        all.into_iter().find(|known| *known as u8 == activity).unwrap_or(SplitActivity::Active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_sees_which_split_is_waited_for() {
        let source = SourceTime::new("t");
        let splits = ["a", "b", "c"].map(|id| Arc::new(SplitTime::new(id)));
        splits.iter().for_each(|split| source.add(Arc::clone(split)));
        splits[0].set(EventTime(5), SplitActivity::Active);
        splits[1].set(EventTime(3), SplitActivity::Idle);
        splits[2].set(EventTime(9), SplitActivity::Ended);
        source.set_held_by(Some(Arc::clone(splits[0].id())));
        let seen: Vec<_> =
            source.splits().into_iter().map(|it| (it.watermark.0, it.activity, it.holds_watermark)).collect();
        let expected =
            [(5, SplitActivity::Active, true), (3, SplitActivity::Idle, false), (9, SplitActivity::Ended, false)];
        assert_eq!(seen, expected);
    }
}
