//! Times of the runs of one thing, and what they are in rows a second.

use std::time::Duration;

/// The times of the runs but the first, in order.
pub struct Times(pub Vec<Duration>);

impl Times {
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.remove(0);
        times.sort();
        Self(times)
    }

    /// Seconds.
    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2].as_secs_f64()
    }
}
