//! `filesystem`: files of rows. A source of one split a file, and an exactly-once sink of part files.

mod committer;
mod names;
mod paths;
mod sink;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::sink::FileSinkFactory;
use self::source::FileSourceFactory;
use super::common::format;
use super::{Connector, SinkFactory, SourceFactory, TableContext};
use crate::error::{Error, Result};
use crate::options::{Effect, OptionKind, OptionSpec};
use crate::storage::plain_location;

/// The connector `filesystem`.
#[derive(Debug)]
pub struct FileSystem;

const PATH: OptionSpec = OptionSpec::honoured(
    "path",
    OptionKind::Path,
    None,
    "To read: a file, a directory (with all below it but names that begin with `.` or `_`), or a pattern with `*`, `?`, \
     `[…]` or `**`. To write: a directory. Relative to the working directory.",
)
.required();
const ROLLING_FILE_SIZE: OptionSpec = OptionSpec::honoured(
    "sink.rolling-policy.file-size",
    OptionKind::Size,
    Some("128 mb"),
    "The size beyond which a part file is closed and another begun. A file is closed at every checkpoint anyhow.",
);
const ROLLOVER_INTERVAL: OptionSpec = OptionSpec::honoured(
    "sink.rolling-policy.rollover-interval",
    OptionKind::Duration,
    Some("30 min"),
    "The age at which a part file is closed, looked at when rows come.",
);
const INACTIVITY_INTERVAL: OptionSpec = OptionSpec::honoured(
    "sink.rolling-policy.inactivity-interval",
    OptionKind::Duration,
    Some("30 min"),
    "The time without rows after which the next ones go to another part file.",
);

const OPTIONS: &[OptionSpec] = &[
    PATH,
    not_built(
        "source.monitor-interval",
        OptionKind::Duration,
        &[],
        "How often to look for new files; the table is then unbounded.",
    )
    .instead(
        "here a folder is read as it is when the job starts. Rows to come go through a pipe: tail -q -n +1 -F logs/* | \
         beadline script.sql, with 'connector' = 'stdin'",
    ),
    not_built("source.path.regex-pattern", OptionKind::Text, &[], "Which paths to read, as a regular expression.")
        .instead("write the pattern into the path: 'path' = 'logs/*.csv'"),
    OptionSpec::honoured(
        "source.report-statistics",
        OptionKind::Enum(&["NONE", "ALL"]),
        Some("ALL"),
        "Whether statistics are given to the optimizer. It has no use for them here.",
    )
    .effect(Effect::Accepted),
    not_built(
        "partition.default-name",
        OptionKind::Text,
        &["__DEFAULT_PARTITION__"],
        "The directory for partitions without a name.",
    ),
    ROLLING_FILE_SIZE,
    ROLLOVER_INTERVAL,
    INACTIVITY_INTERVAL,
    OptionSpec::honoured(
        "sink.rolling-policy.check-interval",
        OptionKind::Duration,
        Some("1 min"),
        "How often the ages of part files are looked at. Here it is whenever rows come, so it has no effect.",
    )
    .effect(Effect::Accepted),
    not_built(
        "sink.partition-commit.trigger",
        OptionKind::Enum(&["process-time", "partition-time"]),
        &["process-time"],
        "What decides that a partition is complete.",
    ),
    not_built(
        "sink.partition-commit.delay",
        OptionKind::Duration,
        &["0", "0 s", "0s"],
        "How long to wait with a partition's commit.",
    ),
    not_built(
        "sink.partition-commit.watermark-time-zone",
        OptionKind::Text,
        &["UTC"],
        "The zone of the partition's time.",
    ),
    not_built("sink.partition-commit.policy.kind", OptionKind::Text, &[], "What to do when a partition is complete."),
    not_built("sink.partition-commit.policy.class", OptionKind::Text, &[], "A Java class that commits partitions."),
    not_built("sink.partition-commit.policy.class.parameters", OptionKind::Text, &[], "Parameters of that Java class."),
    not_built(
        "sink.partition-commit.success-file.name",
        OptionKind::Text,
        &["_SUCCESS"],
        "The name of the file that marks a complete partition.",
    ),
    not_built("partition.time-extractor.kind", OptionKind::Text, &["default"], "How a partition's time is found."),
    not_built("partition.time-extractor.class", OptionKind::Text, &[], "A Java class that finds a partition's time."),
    not_built(
        "partition.time-extractor.timestamp-pattern",
        OptionKind::Text,
        &[],
        "How a partition's time is put together.",
    ),
    not_built(
        "partition.time-extractor.timestamp-formatter",
        OptionKind::Text,
        &[],
        "How a partition's time is spelled.",
    ),
    not_built("auto-compaction", OptionKind::Boolean, &["false"], "Whether small part files are merged."),
    not_built("compaction.file-size", OptionKind::Size, &[], "The size of merged part files."),
    not_built("compaction.parallelism", OptionKind::Integer, &[], "How many tasks merge part files."),
    not_built(
        "sink.shuffle-by-partition.enable",
        OptionKind::Boolean,
        &["false"],
        "Whether rows are sent to tasks by partition.",
    ),
];

const fn not_built(
    key: &'static str,
    kind: OptionKind,
    fine: &'static [&'static str],
    doc: &'static str,
) -> OptionSpec {
    let default = match fine {
        [first, ..] => Some(*first),
        [] => None,
    };
    OptionSpec::honoured(key, kind, default, doc).effect(Effect::RefusedUnless(fine))
}

impl Connector for FileSystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn doc(&self) -> &'static str {
        "Files of rows in a format. Read, each file is a split, up to the length that it had when the job began; a file \
         that is changed otherwise, or replaced, while a job reads it or before it resumes ends the job with an error. Written, each task's rows become part files in a directory that \
         are public with their checkpoint, exactly once; the sink takes rows that only add."
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn takes_format(&self) -> bool {
        true
    }

    fn source(&self, table: &TableContext) -> Result<Arc<dyn SourceFactory>> {
        let (format, options) = format(table)?;
        let rows = format.reader(&table.schema, &options, &table.settings)?;
        Ok(Arc::new(FileSourceFactory { table: table.name.clone(), location: location(table)?, rows }))
    }

    fn sink(&self, table: &TableContext) -> Result<Arc<dyn SinkFactory>> {
        let (format, options) = format(table)?;
        let writer = format.writer(&table.schema, &options, &table.settings)?;
        let missing = |spec: &OptionSpec| Error::bug(format!("'{}' has a default", spec.key));
        let duration = |spec: &OptionSpec, value: Option<Duration>| value.ok_or_else(|| missing(spec));
        let size = table.options.size(&ROLLING_FILE_SIZE)?.ok_or_else(|| missing(&ROLLING_FILE_SIZE))?;
        let age = duration(&ROLLOVER_INTERVAL, table.options.duration(&ROLLOVER_INTERVAL)?)?;
        let idle = duration(&INACTIVITY_INTERVAL, table.options.duration(&INACTIVITY_INTERVAL)?)?;
        let rolling = sink::Rolling { size, age, idle };
        Ok(Arc::new(FileSinkFactory { location: location(table)?, writer, rolling }))
    }
}

/// The location that `path` names.
fn location(table: &TableContext) -> Result<PathBuf> {
    let missing = || Error::query("One or more required options are missing.\n\nMissing required options are:\n\npath");
    let text = table.options.text(&PATH).filter(|text| !text.is_empty()).ok_or_else(missing)?;
    plain_location(text).map_err(|error| error.context("'path'"))
}

#[cfg(test)]
mod tests;
