//! Options: one registry entry each, and the rules by which their text is read (Flink's durations, sizes, lists).
//!
//! Connectors, formats and the session list their options as `OptionSpec`; WITH, SET, the documentation and
//! "did you mean" all read these lists. Nobody parses an option by hand.

mod parse;
mod spec;

pub use parse::{parse_boolean, parse_duration, parse_size};
pub use spec::{Effect, OptionKind, OptionSpec, Options, looks_secret, nearest};
