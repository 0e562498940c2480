//! When the groups of windows give their results, and how long they are kept: before their end, at it, and behind it for
//! rows that come late.

use std::fmt;

use super::Milliseconds;

/// What a window gives besides its result at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emission {
    /// Before its end what has come leaves after so many milliseconds at most: 0 at once, `None` not before the end.
    pub early_ms: Option<i64>,
    /// The same of rows that come behind its end.
    pub late_ms: Option<i64>,
    /// For so many milliseconds of event time behind its end rows still count.
    pub lateness_ms: i64,
}

/// As in Flink's plans: `early delay 1 min, late no delay, allow lateness 10 min`.
impl fmt::Display for Emission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delay = |delay: i64| match delay {
            0 => "no delay".to_owned(),
            delay => format!("delay {}", Milliseconds(delay)),
        };
        let early = self.early_ms.map(|early| format!("early {}", delay(early)));
        let late = self.late_ms.map(|late| format!("late {}", delay(late)));
        let lateness = (self.lateness_ms > 0).then(|| format!("allow lateness {}", Milliseconds(self.lateness_ms)));
        let parts: Vec<String> = early.into_iter().chain(late).chain(lateness).collect();
        out.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_in_flinks_plans() {
        let all = Emission { early_ms: Some(60_000), late_ms: Some(0), lateness_ms: 600_000 };
        assert_eq!(all.to_string(), "early delay 1 min, late no delay, allow lateness 10 min");
        assert_eq!(Emission { early_ms: Some(0), late_ms: None, lateness_ms: 0 }.to_string(), "early no delay");
    }
}
