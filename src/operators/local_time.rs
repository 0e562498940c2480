//! What windows over instants go by: the local time of the session's zone. Times and watermarks that come in are turned
//! into it, what leaves is told in instants again. Over times without a zone nothing changes.

use std::borrow::Cow;

use crate::stream::{EventTime, Offsets, Twice, Zone};

/// The local time of a zone.
#[derive(Debug)]
pub(super) struct LocalTime {
    zone: Zone,
    offsets: Offsets,
}

impl LocalTime {
    pub(super) fn new(zone: Zone) -> Self {
        Self { zone, offsets: zone.offsets() }
    }

    /// What it shows at these instants, in milliseconds.
    pub(super) fn shown<'a>(&mut self, instants: &'a [i64]) -> Cow<'a, [i64]> {
        if self.zone.is_utc() {
            return Cow::Borrowed(instants);
        }
        instants.iter().map(|instant| self.offsets.local(*instant)).collect()
    }

    /// What it shows at one instant.
    pub(super) fn shown_at(&mut self, instant: i64) -> i64 {
        self.offsets.local(instant)
    }

    /// The latest time that it will not show again, when event time has come so far. At such a time a window has ended.
    pub(super) fn reached(&mut self, watermark: EventTime) -> i64 {
        self.offsets.reached(watermark.0)
    }

    /// The same for the watermark that each of some rows met.
    pub(super) fn reached_by<'a>(&mut self, watermarks: &'a [i64]) -> Cow<'a, [i64]> {
        if self.zone.is_utc() {
            return Cow::Borrowed(watermarks);
        }
        // Neighbours mostly met the same one.
        let mut last = (i64::MIN, i64::MIN);
        let mut reached = |watermark: &i64| {
            if *watermark != last.0 {
                last = (*watermark, self.offsets.reached(*watermark));
            }
            last.1
        };
        watermarks.iter().map(&mut reached).collect()
    }

    /// When event time reaches a time that it shows.
    pub(super) fn due(&mut self, shown: i64) -> i64 {
        self.offsets.instant_of_reaching(shown)
    }

    /// How far event time may be called when the windows have left that end up to a time that it shows.
    pub(super) fn passed(&mut self, shown: i64) -> EventTime {
        EventTime(self.offsets.instant_not_beyond(shown))
    }

    /// The instant of a time that it shows, the earlier of two.
    pub(super) fn instant(&mut self, shown: i64) -> i64 {
        self.offsets.instant(shown, Twice::Earlier)
    }
}
