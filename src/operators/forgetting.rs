//! When the state of a group goes: with its last row, when nobody has touched it for a while, or with its window.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::datatypes::Field;

use super::Milliseconds;
use super::local_time::LocalTime;
use super::window_assign::timestamps;
use crate::error::{Error, Result};
use crate::stream::{ProcTime, Zone};

/// When the state of a group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgetting {
    /// With its last row, where rows can be taken back; else never.
    Never,
    /// So many milliseconds of the clock after the last row that touched it. It begins anew then, and what had left stays.
    Untouched { ttl_ms: i64 },
    /// When the watermark closes its window, which takes rows for so many milliseconds behind its end. The window's end is
    /// the last key, in the local time of the zone.
    Window { lateness_ms: i64, results: WindowResults, zone: Zone },
}

/// When the groups of windows give their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowResults {
    /// As they change.
    Updates,
    /// Once, when the window closes.
    Final,
}

/// How often what nobody touches is looked for in the time that it is kept.
const SWEEPS: i64 = 4;
/// The longest time between two of these looks, in milliseconds.
const LONGEST_SWEEP_MS: i64 = 60_000;
/// Groups that one call forgets.
pub(super) const FORGOTTEN_TOGETHER: usize = 16 * 1024;

impl Forgetting {
    /// Whether groups have a time until which they are kept.
    pub(super) fn is_timed(self) -> bool {
        self != Self::Never
    }

    /// Whether results leave only when a window closes.
    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Window { results: WindowResults::Final, .. })
    }

    /// Whether a result that has not changed leaves again, so that whoever keeps it downstream does not forget it either.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::Untouched { .. })
    }

    /// What windows go by.
    pub(super) fn local_time(self) -> LocalTime {
        match self {
            Self::Window { zone, .. } => LocalTime::new(zone),
            _ => LocalTime::new(Zone::UTC),
        }
    }

    /// `[rows]`: until when the groups of partials are kept, whose last key is `last`; empty where they are kept for ever.
    pub(super) fn keep_until(
        self,
        now: ProcTime,
        last: Option<&ArrayRef>,
        rows: usize,
        local_time: &mut LocalTime,
    ) -> Result<Vec<i64>> {
        match self {
            Self::Never => Ok(Vec::new()),
            Self::Untouched { ttl_ms } => Ok(vec![now.0.saturating_add(ttl_ms); rows]),
            Self::Window { lateness_ms, .. } => {
                let last = last.ok_or_else(|| Error::bug("a group of windows without a window"))?;
                let ends = timestamps(last, &Field::new("window_end", last.data_type().clone(), false))?;
                // Neighbours mostly have the same one.
                let mut known = (i64::MIN, i64::MIN);
                let closes = |end: &i64| {
                    if *end != known.0 {
                        known = (*end, local_time.due((end - 1).saturating_add(lateness_ms)));
                    }
                    known.1
                };
                Ok(ends.iter().map(closes).collect())
            }
        }
    }

    /// When to look next for groups that nobody touches.
    pub(super) fn next_sweep(self, now: ProcTime) -> Option<ProcTime> {
        let Self::Untouched { ttl_ms } = self else { return None };
        Some(ProcTime(now.0.saturating_add((ttl_ms / SWEEPS).clamp(1, LONGEST_SWEEP_MS))))
    }
}

/// What stands in EXPLAIN behind the aggregates: `, ttl=[1 h]`.
impl fmt::Display for Forgetting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => Ok(()),
            Self::Untouched { ttl_ms } => write!(out, ", ttl=[{}]", Milliseconds(*ttl_ms)),
            Self::Window { results: WindowResults::Updates, .. } => out.write_str(", until=[window closes]"),
            Self::Window { results: WindowResults::Final, .. } => out.write_str(", emit=[window closes]"),
        }
    }
}
