//! Options that every table understands, whatever its connector; one that a connector lists itself comes before
//! these. And the format, for the connectors that take one.

use super::TableContext;
use crate::error::{Error, Result};
use crate::formats::{self, Format};
use crate::options::{Effect, OptionKind, OptionSpec, Options};

/// Which connector a table has.
pub const CONNECTOR: OptionSpec =
    OptionSpec::honoured("connector", OptionKind::Text, None, "The connector of the table.").required();
/// Which format a table has, where its connector takes one.
pub const FORMAT: OptionSpec = OptionSpec::honoured("format", OptionKind::Text, None, "The format of the rows.");
/// When a split of this table stops to hold the watermark; read by the planner.
pub const IDLE_TIMEOUT: OptionSpec = OptionSpec::honoured(
    "scan.watermark.idle-timeout",
    OptionKind::Duration,
    None,
    "The time without rows after which a split of this table holds the watermark no longer; set here, it comes before \
     `table.exec.source.idle-timeout`.",
);

/// The tables whose watermarks are kept together; read by the planner.
pub const ALIGNMENT_GROUP: OptionSpec = OptionSpec::honoured(
    "scan.watermark.alignment.group",
    OptionKind::Text,
    None,
    "The tables of a job whose watermarks are kept together: all that give this name. One that is too far ahead is not \
     read on until the others have come after.",
);
/// How far a table may be ahead of its group; read by the planner.
pub const ALIGNMENT_MAX_DRIFT: OptionSpec = OptionSpec::honoured(
    "scan.watermark.alignment.max-drift",
    OptionKind::Duration,
    None,
    "How far a split of this table may be ahead of the least watermark of its group.",
);

/// All of them. Those that begin with `scan.` are for tables that are read.
pub const OPTIONS: &[OptionSpec] = &[
    CONNECTOR,
    FORMAT,
    IDLE_TIMEOUT,
    refused("scan.parallelism", OptionKind::Integer, "How many tasks read the table.").instead(FOR_ALL),
    refused("sink.parallelism", OptionKind::Integer, "How many tasks write the table.").instead(FOR_ALL),
    ALIGNMENT_GROUP,
    ALIGNMENT_MAX_DRIFT,
    accepted(
        "scan.watermark.alignment.update-interval",
        OptionKind::Duration,
        "How often the watermarks of a group are compared. Here they are whenever one moves.",
    ),
    accepted(
        "scan.watermark.emit.strategy",
        OptionKind::Enum(&["on-periodic", "on-event"]),
        "When watermarks are sent. A row is judged by the watermark that it meets in its own split, so this changes \
         no result.",
    ),
    accepted(
        "scan.watermark.emit.on-event.gap",
        OptionKind::Integer,
        "Rows between two watermarks. Here it changes no result.",
    ),
    accepted("property-version", OptionKind::Integer, "The version of the options. There is one."),
];

const FOR_ALL: &str = "for all tables together: SET 'parallelism.default' = '2'";

const fn refused(key: &'static str, kind: OptionKind, doc: &'static str) -> OptionSpec {
    OptionSpec::honoured(key, kind, None, doc).effect(Effect::RefusedUnless(&[]))
}

const fn accepted(key: &'static str, kind: OptionKind, doc: &'static str) -> OptionSpec {
    OptionSpec::honoured(key, kind, None, doc).effect(Effect::Accepted)
}

/// The format that the table names, and its options without their prefix.
pub(super) fn format(table: &TableContext) -> Result<(&'static dyn Format, Options)> {
    let missing = || {
        Error::query("One or more required options are missing.\n\nMissing required options are:\n\nformat")
            .with_help("add 'format' = 'csv' or 'format' = 'json'")
    };
    let name = table.options.raw("format").ok_or_else(missing)?;
    let format = formats::find(name).ok_or_else(|| {
        let known: Vec<&str> = formats::all().iter().map(|format| format.name()).collect();
        Error::query(format!("Could not find any factory for identifier '{name}' that is a format."))
            .with_help(format!("available formats: {}", known.join(", ")))
    })?;
    Ok((format, table.options.with_prefix(&format!("{}.", format.name()))))
}
