//! The settings `restart-strategy.*`: what they are called, and how they are read.

use super::settings::{number, required};
use crate::error::{Error, Result};
use crate::options::OptionKind::{Double, Duration, Enum, Integer};
use crate::options::{OptionSpec, Options};
use crate::runtime::{Backoff, RestartStrategy};

pub static RESTART_TYPE: OptionSpec = OptionSpec::honoured(
    "restart-strategy.type",
    Enum(&[
        "none",
        "off",
        "disable",
        "fixed-delay",
        "fixeddelay",
        "failure-rate",
        "failurerate",
        "exponential-delay",
        "exponentialdelay",
    ]),
    None,
    "What follows a failure of the outside world: exponential-delay where checkpoints are taken, else none. Errors of the \
     query or of the data stop a job at once.",
)
.aliases(&["restart-strategy"]);

pub static RESTART_FIXED_ATTEMPTS: OptionSpec = OptionSpec::honoured(
    "restart-strategy.fixed-delay.attempts",
    Integer,
    Some("1"),
    "How often the job is restarted before it fails.",
);

pub static RESTART_FIXED_DELAY: OptionSpec =
    OptionSpec::honoured("restart-strategy.fixed-delay.delay", Duration, Some("1 s"), "The pause before each restart.");

pub static RESTART_RATE_FAILURES: OptionSpec = OptionSpec::honoured(
    "restart-strategy.failure-rate.max-failures-per-interval",
    Integer,
    Some("1"),
    "With more failures than this in the interval the job fails.",
);

pub static RESTART_RATE_INTERVAL: OptionSpec = OptionSpec::honoured(
    "restart-strategy.failure-rate.failure-rate-interval",
    Duration,
    Some("1 min"),
    "The time in which failures are counted.",
);

pub static RESTART_RATE_DELAY: OptionSpec = OptionSpec::honoured(
    "restart-strategy.failure-rate.delay",
    Duration,
    Some("1 s"),
    "The pause before each restart.",
);

pub static RESTART_INITIAL_BACKOFF: OptionSpec = OptionSpec::honoured(
    "restart-strategy.exponential-delay.initial-backoff",
    Duration,
    Some("1 s"),
    "The pause before the first restart.",
);

pub static RESTART_MAX_BACKOFF: OptionSpec = OptionSpec::honoured(
    "restart-strategy.exponential-delay.max-backoff",
    Duration,
    Some("1 min"),
    "The longest pause before a restart.",
);

pub static RESTART_BACKOFF_MULTIPLIER: OptionSpec = OptionSpec::honoured(
    "restart-strategy.exponential-delay.backoff-multiplier",
    Double,
    Some("1.5"),
    "Each pause is so many times the one before.",
);

pub static RESTART_JITTER: OptionSpec = OptionSpec::honoured(
    "restart-strategy.exponential-delay.jitter-factor",
    Double,
    Some("0.1"),
    "The part of a pause, 0 to 1, by which it is drawn longer or shorter.",
);

pub static RESTART_RESET_THRESHOLD: OptionSpec = OptionSpec::honoured(
    "restart-strategy.exponential-delay.reset-backoff-threshold",
    Duration,
    Some("1 h"),
    "After a run of this length pauses and attempts begin anew.",
);

pub static RESTART_BACKOFF_ATTEMPTS: OptionSpec = OptionSpec::honoured(
    "restart-strategy.exponential-delay.attempts-before-reset-backoff",
    Integer,
    Some("2147483647"),
    "How often the job is restarted before it fails.",
);

/// The strategy that these settings choose. Where none is named it is Flink's: with checkpoints a delay that grows, else
/// none.
pub(super) fn restart_strategy(merged: &Options, has_checkpoints: bool) -> Result<RestartStrategy> {
    let growing_by_default = if has_checkpoints { "exponential-delay" } else { "none" };
    Ok(match merged.choice(&RESTART_TYPE)?.unwrap_or(growing_by_default) {
        "fixed-delay" | "fixeddelay" => RestartStrategy::FixedDelay {
            attempts: count(merged, &RESTART_FIXED_ATTEMPTS)?,
            delay: merged.duration(&RESTART_FIXED_DELAY)?.unwrap_or_default(),
        },
        "failure-rate" | "failurerate" => RestartStrategy::FailureRate {
            max_failures: count(merged, &RESTART_RATE_FAILURES)?,
            interval: merged.duration(&RESTART_RATE_INTERVAL)?.unwrap_or_default(),
            delay: merged.duration(&RESTART_RATE_DELAY)?.unwrap_or_default(),
        },
        "exponential-delay" | "exponentialdelay" => RestartStrategy::ExponentialDelay(backoff(merged)?),
        _ => RestartStrategy::None,
    })
}

fn backoff(merged: &Options) -> Result<Backoff> {
    let backoff = Backoff {
        initial: merged.duration(&RESTART_INITIAL_BACKOFF)?.unwrap_or_default(),
        max: merged.duration(&RESTART_MAX_BACKOFF)?.unwrap_or_default(),
        multiplier: merged.double(&RESTART_BACKOFF_MULTIPLIER)?.unwrap_or_default(),
        jitter: merged.double(&RESTART_JITTER)?.unwrap_or_default(),
        reset_after: merged.duration(&RESTART_RESET_THRESHOLD)?.unwrap_or_default(),
        attempts: count(merged, &RESTART_BACKOFF_ATTEMPTS)?,
    };
    if backoff.initial > backoff.max {
        let [initial, max] = [RESTART_INITIAL_BACKOFF.key, RESTART_MAX_BACKOFF.key];
        return Err(
            Error::query(format!("'{initial}' is above '{max}'")).with_help("lower the first or raise the second")
        );
    }
    Ok(backoff)
}

fn count(merged: &Options, spec: &OptionSpec) -> Result<u32> {
    number(required::<i64>(spec, merged.integer(spec)?)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, RestartStrategy, Result};
    use crate::session::settings::Settings;

    fn strategy(pairs: &[(&str, &str)]) -> Result<RestartStrategy> {
        let mut settings = Settings::new();
        for (key, value) in pairs {
            settings.set(key, value).unwrap_or_else(|error| panic!("{key}: {error}"));
        }
        settings.job().map(|job| job.restart)
    }

    #[test]
    fn without_a_name_it_follows_from_checkpoints() {
        assert_eq!(strategy(&[]).unwrap(), RestartStrategy::None);
        let growing = RestartStrategy::ExponentialDelay(Backoff::default());
        assert_eq!(strategy(&[("execution.checkpointing.interval", "1 s")]).unwrap(), growing);
        assert_eq!(strategy(&[("beadline.checkpoint.every-rows", "10")]).unwrap(), growing);
        let off = [("execution.checkpointing.interval", "1 s"), ("restart-strategy", "off")];
        assert_eq!(strategy(&off).unwrap(), RestartStrategy::None);
    }

    #[test]
    fn all_strategies_are_read() {
        assert_eq!(
            strategy(&[("restart-strategy", "fixed-delay"), ("restart-strategy.fixed-delay.attempts", "3")]).unwrap(),
            RestartStrategy::FixedDelay { attempts: 3, delay: Duration::from_secs(1) }
        );
        assert_eq!(
            strategy(&[("restart-strategy.type", "failurerate"), ("restart-strategy.failure-rate.delay", "2 s")])
                .unwrap(),
            RestartStrategy::FailureRate {
                max_failures: 1,
                interval: Duration::from_secs(60),
                delay: Duration::from_secs(2)
            }
        );
        let growing = |key: &str, value: &str| {
            let key = format!("restart-strategy.exponential-delay.{key}");
            strategy(&[("restart-strategy.type", "exponential-delay"), (&key, value)])
        };
        let all = [
            ("initial-backoff", "2 s", Backoff { initial: Duration::from_secs(2), ..Backoff::default() }),
            ("max-backoff", "2 s", Backoff { max: Duration::from_secs(2), ..Backoff::default() }),
            ("backoff-multiplier", "2", Backoff { multiplier: 2.0, ..Backoff::default() }),
            ("jitter-factor", "0", Backoff { jitter: 0.0, ..Backoff::default() }),
            (
                "reset-backoff-threshold",
                "1 min",
                Backoff { reset_after: Duration::from_secs(60), ..Backoff::default() },
            ),
            ("attempts-before-reset-backoff", "4", Backoff { attempts: 4, ..Backoff::default() }),
        ];
        for (key, value, expected) in all {
            assert_eq!(growing(key, value).unwrap(), RestartStrategy::ExponentialDelay(expected), "{key}");
        }
        assert!(growing("max-backoff", "10 ms").unwrap_err().to_string().contains("initial-backoff"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_where_it_is_set() {
        for (key, value) in [
            ("restart-strategy.type", "sometimes"),
            ("restart-strategy.fixed-delay.attempts", "-1"),
            ("restart-strategy.failure-rate.max-failures-per-interval", "-1"),
            ("restart-strategy.exponential-delay.backoff-multiplier", "0.5"),
            ("restart-strategy.exponential-delay.backoff-multiplier", "NaN"),
            ("restart-strategy.exponential-delay.jitter-factor", "1.5"),
            ("restart-strategy.exponential-delay.attempts-before-reset-backoff", "-1"),
        ] {
            assert!(Settings::new().set(key, value).is_err(), "{key} = {value}");
        }
    }
}
