//! Event time: milliseconds UTC, with "none yet" below and "no more rows" above every real time.

use std::fmt;

/// The hidden column that carries, for each row, the watermark that the row met in its own split: `Int64`
/// milliseconds, [`EventTime::NONE`] before the first watermark. NULL: the row lies further in the future than its table
/// allows, and whoever goes by its time refuses it.
pub const WATERMARK_COLUMN: &str = "$watermark";

/// The hidden column that carries, for each row, the processing time at which its source handed it on:
/// `TIMESTAMP_LTZ(3)`, never null, never less than that of a row before it.
pub const PROCTIME_COLUMN: &str = "$proctime";

/// Whether a column is one that no query names.
pub fn is_hidden_column(name: &str) -> bool {
    [WATERMARK_COLUMN, PROCTIME_COLUMN].contains(&name)
}

/// A point in event time, in milliseconds since 1970-01-01 00:00:00 UTC; also the value of a watermark:
/// "no row at or before this time is expected".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Before the first watermark.
    pub const NONE: Self = Self(i64::MIN);
    /// After the last row of bounded input: every window closes.
    pub const END: Self = Self(i64::MAX);

    /// Whether any watermark has been met.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }

    /// Milliseconds, if any watermark has been met.
    pub fn millis(self) -> Option<i64> {
        self.is_some().then_some(self.0)
    }
}

impl fmt::Debug for EventTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for EventTime {
    /// `2013-01-01 05:00:00.000`, `none` or `end`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => out.write_str("none"),
            Self::END => out.write_str("end"),
            Self(millis) => match chrono::DateTime::from_timestamp_millis(millis) {
                Some(time) => write!(out, "{}", time.format("%Y-%m-%d %H:%M:%S%.3f")),
                None => write!(out, "{millis} ms"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_text() {
        assert!(EventTime::NONE < EventTime(-1) && EventTime(0) < EventTime::END);
        assert_eq!(EventTime(1_357_016_400_000).to_string(), "2013-01-01 05:00:00.000");
        assert_eq!(EventTime(-1).to_string(), "1969-12-31 23:59:59.999");
    }
}
