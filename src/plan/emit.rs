//! `table.exec.emit.*`: when windows in GROUP BY give results besides that at their end, checked as Flink checks it.

use crate::error::{Error, Result, Span};
use crate::operators::Emission;

/// The settings as they stand, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmitSettings {
    /// `early-fire.enabled` and `early-fire.delay`.
    pub early: bool,
    pub early_delay_ms: Option<i64>,
    /// `late-fire.enabled` and `late-fire.delay`.
    pub late: bool,
    pub late_delay_ms: Option<i64>,
    /// `allow-lateness`, in whose place `table.exec.state.ttl` may stand.
    pub lateness_ms: Option<i64>,
}

impl EmitSettings {
    /// Whether anything is on.
    pub fn is_on(self) -> bool {
        self.early || self.late
    }

    /// What they mean for windows that the watermark closes, or the clock; `None` where results leave at the end alone.
    /// `ttl_ms` is `table.exec.state.ttl`.
    pub fn emission(self, by_clock: bool, ttl_ms: Option<i64>) -> Result<Option<Emission>> {
        let early_ms = match (self.early, self.early_delay_ms) {
            (false, _) => None,
            (true, Some(delay)) => Some(delay),
            (true, None) => {
                return Err(Error::query("early-fire is on, and its delay is not set").with_help(
                    "SET 'table.exec.emit.early-fire.delay' = '1 min', or '0 s' for a result with each row",
                ));
            }
        };
        // Nothing is late for the clock.
        if !self.late || by_clock {
            return Ok(early_ms.map(|early| Emission { early_ms: Some(early), late_ms: None, lateness_ms: 0 }));
        }
        let Some(lateness_ms) = self.lateness_ms.or(ttl_ms).filter(|lateness| *lateness > 0) else {
            return Err(Error::query(
                "The 'AFTER WATERMARK' emit strategy requires set 'allow-lateness': late-fire is on, and for how long late \
                 rows count is not set",
            )
            .with_help("SET 'table.exec.emit.allow-lateness' = '1 h'"));
        };
        let Some(late) = self.late_delay_ms else {
            return Err(Error::query("late-fire is on, and its delay is not set").with_help(
                "SET 'table.exec.emit.late-fire.delay' = '1 min', or '0 s' for a result with each late row",
            ));
        };
        if lateness_ms < late {
            return Err(Error::query(format!(
                "Allow-lateness [{lateness_ms}ms] should not be smaller than Late-fire delay [{late}ms] when enable \
                 late-fire emit strategy."
            ))
            .with_help(format!("SET 'table.exec.emit.allow-lateness' = '{late} ms', or more")));
        }
        Ok(Some(Emission { early_ms, late_ms: Some(late), lateness_ms }))
    }
}

/// Windows of functions in FROM have no such results, as in Flink.
pub fn refuse_functions(span: Span) -> Error {
    Error::query(
        "Currently, window table function based aggregate doesn't support early-fire and late-fire configuration \
         'table.exec.emit.early-fire.enabled' and 'table.exec.emit.late-fire.enabled'.",
    )
    .with_span(span)
    .with_help("make the window a key: GROUP BY TUMBLE(ts, INTERVAL '1' HOUR) or HOP(ts, …)")
    .with_help("or RESET 'table.exec.emit.early-fire.enabled' and RESET 'table.exec.emit.late-fire.enabled'")
}

/// Sessions have none either.
pub fn refuse_sessions(span: Span) -> Error {
    Error::query("Session window doesn't support EMIT strategy currently.")
        .with_span(span)
        .with_help("RESET 'table.exec.emit.early-fire.enabled' and RESET 'table.exec.emit.late-fire.enabled'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_results_need_to_know_how_long() {
        let late = EmitSettings { late: true, late_delay_ms: Some(0), ..EmitSettings::default() };
        assert!(late.emission(false, None).unwrap_err().to_string().contains("allow-lateness"));
        let by_ttl = late.emission(false, Some(60_000)).unwrap().unwrap();
        assert_eq!((by_ttl.late_ms, by_ttl.lateness_ms), (Some(0), 60_000));
        let own = EmitSettings { lateness_ms: Some(5), ..late };
        assert_eq!(own.emission(false, Some(60_000)).unwrap().unwrap().lateness_ms, 5);
        let slow = EmitSettings { late_delay_ms: Some(6), ..own };
        assert!(slow.emission(false, None).unwrap_err().to_string().contains("[5ms] should not be smaller"));
        // By the clock nothing is late, and without anything on the lateness says nothing.
        assert_eq!(own.emission(true, None).unwrap(), None);
        assert_eq!(EmitSettings { late: false, ..own }.emission(false, None).unwrap(), None);
    }
}
