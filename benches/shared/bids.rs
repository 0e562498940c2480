//! Bids as the public Nexmark generator skews them, 10,000 a second of event time.

use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use nexmark::event::{Bid, Event, EventType};

/// The event time of the first bid, in milliseconds: the beginning of a year, so that windows of 10 seconds begin there.
pub const START_MS: i64 = 1_767_225_600_000;

pub fn bids(rows: usize) -> impl Iterator<Item = Bid> {
    let config = NexmarkConfig { base_time: START_MS as u64, ..NexmarkConfig::default() };
    let events = EventGenerator::new(config).with_type_filter(EventType::Bid).take(rows);
    events.filter_map(|event| match event {
        Event::Bid(bid) => Some(bid),
        _ => None,
    })
}
