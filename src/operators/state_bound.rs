//! What keeps the state of an operator from growing for ever, and what to write where nothing does.

use std::fmt;

use super::Milliseconds;

/// What bounds the state of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateBound {
    /// It goes with its windows and sessions.
    Watermark,
    /// What no row has touched for so many milliseconds of the clock goes.
    Untouched { ttl_ms: i64 },
    /// There is one group.
    OneGroup,
    /// What the program keeps, for as long as it says.
    Program,
    /// There is a row for each that stands at the sink.
    RowsOfSink,
    /// Nothing: each key that comes stays, or until its last row is taken back.
    Keys,
}

impl StateBound {
    /// What to write where state grows without end; nothing where it is bounded.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Keys => Some("SET 'table.exec.state.ttl' = '1 d' forgets what no row touches for a day"),
            Self::Program => Some("keep_for of the program's states, or clear"),
            Self::RowsOfSink => Some("a PRIMARY KEY by which the rows of the query are told apart needs no such table"),
            Self::Watermark | Self::Untouched { .. } | Self::OneGroup => None,
        }
    }
}

impl fmt::Display for StateBound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watermark => out.write_str("the watermark: windows close"),
            Self::Untouched { ttl_ms } => {
                write!(out, "table.exec.state.ttl or STATE_TTL: {} after the last row", Milliseconds(*ttl_ms))
            }
            Self::OneGroup => out.write_str("there is one group"),
            Self::Program => out.write_str("the program"),
            Self::RowsOfSink => out.write_str("nothing: grows with the rows that stand"),
            Self::Keys => out.write_str("nothing: grows with the keys that come"),
        }
    }
}
