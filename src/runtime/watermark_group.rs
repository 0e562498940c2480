//! Tables whose watermarks are kept together (`scan.watermark.alignment.group`): a split that is too far ahead of the
//! group's least watermark is not read on until the others have come after. So what waits for them in windows and joins
//! stays small.
//!
//! ```text
//!   table a ── watermark 12:00 ┐                        a waits: 12:00 > 11:30 + 10 min
//!   table b ── watermark 11:30 ┴ least 11:30 ─▶ limits
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::plan::WatermarkAlignment;
use crate::stream::EventTime;

/// All groups of a job.
#[derive(Debug, Default)]
pub struct WatermarkGroups {
    groups: BTreeMap<String, Arc<Group>>,
}

#[derive(Debug)]
struct Group {
    /// One a source, in the order in which they came; none of a source that nobody waits for.
    watermarks: Mutex<Vec<Option<EventTime>>>,
    /// The least of them; the end of time without any.
    least: watch::Sender<EventTime>,
}

/// A source's place in its group.
#[derive(Debug)]
pub struct GroupMember {
    group: Arc<Group>,
    index: usize,
    max_drift_ms: i64,
    least: watch::Receiver<EventTime>,
}

impl WatermarkGroups {
    /// Another source of a group. Until it says otherwise all others wait for it.
    pub fn join(&mut self, alignment: &WatermarkAlignment) -> GroupMember {
        let new = || Arc::new(Group { watermarks: Mutex::default(), least: watch::Sender::new(EventTime::NONE) });
        let group = Arc::clone(self.groups.entry(alignment.group.clone()).or_insert_with(new));
        let index = {
            let mut watermarks = group.watermarks.lock().unwrap_or_else(PoisonError::into_inner);
            watermarks.push(Some(EventTime::NONE));
            watermarks.len() - 1
        };
        GroupMember { index, max_drift_ms: alignment.max_drift_ms, least: group.least.subscribe(), group }
    }
}

impl GroupMember {
    /// The source's watermark has come so far; none: it is idle or has ended, and nobody waits for it.
    pub fn report(&self, watermark: Option<EventTime>) {
        let mut watermarks = self.group.watermarks.lock().unwrap_or_else(PoisonError::into_inner);
        watermarks[self.index] = watermark;
        let least = watermarks.iter().flatten().min().copied().unwrap_or(EventTime::END);
        self.group.least.send_if_modified(|known| std::mem::replace(known, least) != least);
    }

    /// A split whose watermark lies behind this time is not read on.
    pub fn limit(&self) -> EventTime {
        match *self.least.borrow() {
            EventTime::NONE => EventTime::NONE,
            EventTime(least) => EventTime(least.saturating_add(self.max_drift_ms)),
        }
    }

    /// Waits until the limit is another.
    pub async fn changed(&mut self) {
        // The sender lives as long as this member.
        let _ = self.least.changed().await;
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.report(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_source_that_is_ahead_waits_for_the_others_of_its_group() {
        let mut groups = WatermarkGroups::default();
        let alignment = |group: &str| WatermarkAlignment { group: group.to_owned(), max_drift_ms: 10 };
        let (mut a, b, other) =
            (groups.join(&alignment("g")), groups.join(&alignment("g")), groups.join(&alignment("h")));
        other.report(Some(EventTime(0)));
        a.report(Some(EventTime(50)));
        assert_eq!(a.limit(), EventTime::NONE, "nothing is known of b");
        b.report(Some(EventTime(35)));
        assert!(a.changed().now_or_never().is_some());
        assert_eq!((a.limit(), b.limit(), other.limit()), (EventTime(45), EventTime(45), EventTime(10)));
        b.report(Some(EventTime(35)));
        assert!(a.changed().now_or_never().is_none(), "nothing has changed");
        b.report(None);
        assert_eq!(a.limit(), EventTime(60), "b is idle");
        drop(a);
        assert_eq!(b.limit(), EventTime::END);
    }
}
