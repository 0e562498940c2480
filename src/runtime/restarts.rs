//! Whether and when a job that the outside world has failed starts again: Flink's restart strategies as a state machine
//! without I/O. The supervisor tells it the time of each failure and does what it says.

use std::collections::VecDeque;
use std::time::Duration;

use crate::stream::{SPLIT_MIX_STEP, split_mix};

/// What follows a failure of the outside world. Failures of the query or the data always end the job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RestartStrategy {
    /// The job fails.
    None,
    /// The job goes back to its last checkpoint after `delay`, at most `attempts` times.
    FixedDelay { attempts: u32, delay: Duration },
    /// The same, until there are more than `max_failures` within an `interval`.
    FailureRate { max_failures: u32, interval: Duration, delay: Duration },
    /// The same, each time after a longer delay.
    ExponentialDelay(Backoff),
}

/// Delays that grow from one failure to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    pub initial: Duration,
    pub max: Duration,
    /// Each delay is so many times the one before; 1 at least.
    pub multiplier: f64,
    /// The part of a delay, from 0 to 1, by which it is drawn longer or shorter, so that jobs that failed together do
    /// not come back together.
    pub jitter: f64,
    /// A job that has run for so long begins with the initial delay again.
    pub reset_after: Duration,
    /// How many failures are answered before the job fails; they count from the last such reset.
    pub attempts: u32,
}

impl Default for Backoff {
    /// Flink's defaults.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            multiplier: 1.5,
            jitter: 0.1,
            reset_after: Duration::from_secs(3600),
            attempts: i32::MAX as u32,
        }
    }
}

/// A start that follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    pub delay: Duration,
    /// The how manieth it is of those that still count.
    pub attempt: u32,
    /// How many there may be, if there is a limit that a person would count to.
    pub of: Option<u32>,
}

/// The restarts of one job.
#[derive(Debug)]
pub struct Restarts {
    strategy: RestartStrategy,
    /// Of a failure rate: when the last failures were, the oldest first.
    failures: VecDeque<Duration>,
    /// Failures that count against a number of attempts.
    attempts: u32,
    /// The next delay that grows, before jitter.
    backoff: Duration,
    /// When the present attempt began, as far as it was decided here.
    started: Duration,
    random: u64,
}

impl Restarts {
    /// `seed` is drawn by the caller; jitter follows from it.
    pub fn new(strategy: RestartStrategy, seed: u64) -> Self {
        Self {
            strategy,
            failures: VecDeque::new(),
            attempts: 0,
            backoff: Duration::ZERO,
            started: Duration::ZERO,
            random: seed,
        }
    }

    /// What follows a failure at `now`, a time of a clock that never steps back; `None`: the job fails.
    pub fn after_failure(&mut self, now: Duration) -> Option<Restart> {
        let restart = match self.strategy {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { attempts, delay } => {
                self.attempts += 1;
                (self.attempts <= attempts).then_some(Restart { delay, attempt: self.attempts, of: Some(attempts) })
            }
            RestartStrategy::FailureRate { max_failures, interval, delay } => {
                while self.failures.front().is_some_and(|failure| now.saturating_sub(*failure) > interval) {
                    self.failures.pop_front();
                }
                self.failures.push_back(now);
                let attempt = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
                (attempt <= max_failures).then_some(Restart { delay, attempt, of: Some(max_failures) })
            }
            RestartStrategy::ExponentialDelay(backoff) => self.after_growing_delay(backoff, now),
        };
        if let Some(restart) = restart {
            self.started = now.saturating_add(restart.delay);
        }
        restart
    }

    fn after_growing_delay(&mut self, backoff: Backoff, now: Duration) -> Option<Restart> {
        if self.attempts == 0 || now.saturating_sub(self.started) >= backoff.reset_after {
            self.attempts = 0;
            self.backoff = backoff.initial;
        }
        self.attempts += 1;
        if self.attempts > backoff.attempts {
            return None;
        }
        let drawn = self.backoff.as_secs_f64() * (1.0 + backoff.jitter * self.between_minus_one_and_one());
        let longest = backoff.max.max(backoff.initial);
        let within = |seconds: f64| match Duration::try_from_secs_f64(seconds) {
            Ok(delay) => delay.clamp(backoff.initial, longest),
            Err(_) => longest,
        };
        let delay = within(drawn);
        self.backoff = within(self.backoff.as_secs_f64() * backoff.multiplier);
        let of = (backoff.attempts < Backoff::default().attempts).then_some(backoff.attempts);
        Some(Restart { delay, attempt: self.attempts, of })
    }

    fn between_minus_one_and_one(&mut self) -> f64 {
        let drawn = split_mix(self.random);
        self.random = self.random.wrapping_add(SPLIT_MIX_STEP);
        (drawn >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The delays in milliseconds that follow failures at these seconds, up to the one that ends the job.
    fn delays(strategy: RestartStrategy, failures: &[u64]) -> Vec<u128> {
        let mut restarts = Restarts::new(strategy, 7);
        let at = failures.iter().map(|at| Duration::from_secs(*at));
        at.map_while(|at| restarts.after_failure(at)).map(|restart| restart.delay.as_millis()).collect()
    }

    fn steady(backoff: Backoff) -> RestartStrategy {
        RestartStrategy::ExponentialDelay(Backoff { jitter: 0.0, ..backoff })
    }

    #[test]
    fn none_and_fixed_delay_count() {
        assert_eq!(delays(RestartStrategy::None, &[1]), []);
        let twice = RestartStrategy::FixedDelay { attempts: 2, delay: SECOND };
        assert_eq!(delays(twice, &[1, 100_000, 200_000]), [1000, 1000]);
        let mut restarts = Restarts::new(twice, 0);
        let second = [restarts.after_failure(SECOND), restarts.after_failure(SECOND)][1];
        assert_eq!(second, Some(Restart { delay: SECOND, attempt: 2, of: Some(2) }));
    }

    /// A failure counts for the length of the interval, its last moment included.
    #[test]
    fn a_failure_rate_forgets_what_is_long_ago() {
        let rate = RestartStrategy::FailureRate { max_failures: 2, interval: 60 * SECOND, delay: SECOND };
        assert_eq!(delays(rate, &[0, 10, 60]).len(), 2);
        assert_eq!(delays(rate, &[0, 10, 61, 71, 122]).len(), 5);
    }

    #[test]
    fn delays_grow_to_a_limit() {
        let backoff = Backoff { initial: SECOND, max: 3 * SECOND, multiplier: 2.0, ..Backoff::default() };
        assert_eq!(delays(steady(backoff), &[1, 3, 6, 10]), [1000, 2000, 3000, 3000]);
    }

    /// The wait itself is no running: the time counts from the start that followed.
    #[test]
    fn a_long_run_begins_with_the_first_delay_again() {
        let backoff = Backoff {
            initial: 10 * SECOND,
            max: 3600 * SECOND,
            multiplier: 10.0,
            reset_after: 60 * SECOND,
            attempts: 2,
            ..Backoff::default()
        };
        // Starts at 10, 120 (after a wait of 100), 190 (a run of 60 before it), then fails three times in a row.
        assert_eq!(delays(steady(backoff), &[0, 20, 180, 195, 296]), [10_000, 100_000, 10_000, 100_000]);
    }

    #[test]
    fn jitter_stays_within_its_part_and_follows_the_seed() {
        let backoff = Backoff { initial: SECOND, max: 1000 * SECOND, multiplier: 10.0, ..Backoff::default() };
        let drawn = |seed| {
            let mut restarts = Restarts::new(RestartStrategy::ExponentialDelay(backoff), seed);
            restarts.after_failure(SECOND);
            restarts.after_failure(SECOND).map(|restart| restart.delay).unwrap_or_default()
        };
        let all: Vec<Duration> = (0..100).map(drawn).collect();
        assert!(all.iter().all(|delay| (9 * SECOND..=11 * SECOND).contains(delay)), "{all:?}");
        assert!(all.iter().any(|delay| *delay < 10 * SECOND) && all.iter().any(|delay| *delay > 10 * SECOND));
        assert_eq!(drawn(5), drawn(5));
    }

    #[test]
    fn numbers_out_of_all_range_are_the_longest_delay() {
        let backoff = Backoff { initial: SECOND, max: Duration::MAX, multiplier: f64::MAX, ..Backoff::default() };
        assert_eq!(delays(steady(backoff), &[1, 2, 3]).len(), 3);
    }
}
