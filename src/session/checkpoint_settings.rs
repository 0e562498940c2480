//! The settings of checkpoints, savepoints and state: what they are called, how they are read, and what of Flink's cannot
//! matter here.

use super::job_settings::CheckpointSettings;
use super::setting_list::{OFF, ON, accepted, refused};
use super::settings::{location, number, required};
use crate::checkpoint::CheckpointMode;
use crate::error::Result;
use crate::options::OptionKind::{Boolean, Duration, Enum, Integer, Path, Size, Text};
use crate::options::{Effect, OptionSpec, Options};
use crate::runtime::Retention;

pub static CHECKPOINT_INTERVAL: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.interval",
    Duration,
    None,
    "Time between two checkpoints. Not set: no checkpoints; outputs become visible when bounded input has ended.",
);

pub static CHECKPOINT_DIRECTORY: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.dir",
    Path,
    None,
    "The directory of checkpoints, one folder a job. Not set: `.beadline` in the working directory.",
)
.aliases(&["state.checkpoints.dir", "state.backend.fs.checkpointdir"]);

pub static SAVEPOINT_DIRECTORY: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.savepoint-dir",
    Path,
    None,
    "STOP JOB … WITH SAVEPOINT makes a directory below this one. Not set: savepoints are kept among the checkpoints of their job.",
)
.aliases(&["state.savepoints.dir", "savepoints.state.backend.fs.dir"]);

pub static RECOVERY_PATH: OptionSpec = OptionSpec::honoured(
    "execution.state-recovery.path",
    Path,
    None,
    "A savepoint, or a job's checkpoints, that a job begins from which has no checkpoint of its own.",
)
.aliases(&["execution.savepoint.path"]);

pub static IGNORE_UNCLAIMED_STATE: OptionSpec = OptionSpec::honoured(
    "execution.state-recovery.ignore-unclaimed-state",
    Boolean,
    Some("false"),
    "Whether a job may begin from a savepoint that holds state of operators which it does not have.",
)
.aliases(&["execution.savepoint.ignore-unclaimed-state"]);

pub static CHECKPOINT_MIN_PAUSE: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.min-pause",
    Duration,
    Some("0 ms"),
    "The least time between the end of a checkpoint and the start of the next.",
);

pub static CHECKPOINT_TIMEOUT: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.timeout",
    Duration,
    Some("10 min"),
    "A checkpoint that takes longer is given up and counts as failed.",
);

pub static CHECKPOINT_MODE: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.mode",
    Enum(&["EXACTLY_ONCE", "AT_LEAST_ONCE"]),
    Some("EXACTLY_ONCE"),
    "What a restart may repeat: nothing, or rows that were read while a checkpoint was under way; then no input waits for another.",
);

pub static CHECKPOINT_MAX_CONCURRENT: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.max-concurrent-checkpoints",
    Integer,
    Some("1"),
    "How many checkpoints may be under way at once. With a pause between them it is one.",
);

pub static CHECKPOINT_RETAINED: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.num-retained",
    Integer,
    Some("1"),
    "How many completed checkpoints are kept.",
)
.aliases(&["state.checkpoints.num-retained"]);

pub static CHECKPOINT_TOLERABLE_FAILURES: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.tolerable-failed-checkpoints",
    Integer,
    Some("0"),
    "How many checkpoints in a row may fail before the job does.",
);

pub static CHECKPOINT_EVERY_ROWS: OptionSpec = OptionSpec::honoured(
    "beadline.checkpoint.every-rows",
    Integer,
    None,
    "A checkpoint each time a source has read this many rows, besides the interval; for tests and small files.",
);

pub static MAX_PENDING_EPOCHS: OptionSpec = OptionSpec::honoured(
    "beadline.sink.max-pending-epochs",
    Integer,
    Some("8"),
    "At this many checkpoints whose output is not committed yet, the next one waits.",
);

pub static RETENTION: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.externalized-checkpoint-retention",
    Enum(&["NO_EXTERNALIZED_CHECKPOINTS", "RETAIN_ON_CANCELLATION", "DELETE_ON_CANCELLATION"]),
    // Flink's is NO_EXTERNALIZED_CHECKPOINTS; here Ctrl-C and the same command again must resume.
    Some("RETAIN_ON_CANCELLATION"),
    "Whether checkpoints stay when a job is stopped without a savepoint: DELETE_ON_CANCELLATION removes them then, \
     NO_EXTERNALIZED_CHECKPOINTS also when the job fails for good. The next start begins anew; what was published stays.",
);

pub static STORAGE: OptionSpec = OptionSpec::honoured(
    "execution.checkpointing.storage",
    Enum(&["jobmanager", "filesystem"]),
    // In Flink it is the job manager's memory until a directory is set; here a checkpoint outlives the process by itself.
    Some("filesystem"),
    "Where checkpoints are kept: `filesystem` in a directory, `jobmanager` in the memory of this process, so that they \
     survive a restart within it and nothing else.",
)
.aliases(&["state.checkpoint-storage"]);

pub static BACKEND: OptionSpec = OptionSpec::honoured(
    "state.backend.type",
    Enum(&["hashmap", "disk", "rocksdb", "forst", "memory", "jobmanager", "filesystem"]),
    Some("hashmap"),
    "Where working state is held: `hashmap` in memory. Flink's old names say besides where checkpoints are kept, unless \
     `execution.checkpointing.storage` does: `memory` and `jobmanager` in memory, `filesystem` in a directory.",
)
.effect(Effect::RefusedUnless(&["hashmap", "memory", "jobmanager", "filesystem"]))
.aliases(&["state.backend"])
.instead("working state is held in memory: 'beadline.memory.limit' says how much there may be");

pub static CLAIM_MODE: OptionSpec = OptionSpec::honoured(
    "execution.state-recovery.claim-mode",
    Enum(&["NO_CLAIM", "CLAIM", "LEGACY"]),
    Some("NO_CLAIM"),
    "Whose the savepoint is that a job begins from: NO_CLAIM leaves it alone, CLAIM gives it to the job, which removes it \
     behind its first checkpoint.",
)
.effect(Effect::RefusedUnless(&["NO_CLAIM", "CLAIM"]))
.aliases(&["execution.savepoint-restore-mode"])
.instead("NO_CLAIM copies the state, so that nothing depends on the savepoint afterwards");

/// Those that are known and not honoured.
#[rustfmt::skip]
pub static KNOWN: &[OptionSpec] = &[
    refused("execution.checkpointing.unaligned.enabled", Boolean, Some("false"), OFF, "Barriers that overtake rows.").aliases(&["execution.checkpointing.unaligned"]),
    refused("execution.checkpointing.checkpoints-after-tasks-finish", Boolean, Some("true"), ON, "Whether checkpoints go on after a source has ended.").aliases(&["execution.checkpointing.checkpoints-after-tasks-finish.enabled"]),
    refused("execution.checkpointing.interval-during-backlog", Duration, None, &[], "Another interval while a source catches up."),
    refused("pipeline.sources.pause-until-first-checkpoint", Boolean, Some("false"), OFF, "Sources that wait for the first checkpoint."),
    accepted("execution.checkpointing.incremental", Boolean, Some("false"), "Checkpoints always write only what changed.").aliases(&["state.backend.incremental"]),
    accepted("execution.checkpointing.aligned-checkpoint-timeout", Duration, Some("0 ms"), "For unaligned checkpoints only.").aliases(&["execution.checkpointing.alignment-timeout"]),
    accepted("execution.checkpointing.unaligned.#", Text, None, "For unaligned checkpoints only."),
    accepted("execution.checkpointing.during-recovery.enabled", Boolean, Some("false"), "For unaligned checkpoints only."),
    accepted("execution.checkpointing.create-subdir", Boolean, Some("true"), "Layout of Flink's checkpoint directory.").aliases(&["state.checkpoints.create-subdir"]),
    accepted("execution.checkpointing.data-inline-threshold", Size, None, "Layout of Flink's checkpoint files.").aliases(&["state.storage.fs.memory-threshold", "state.backend.fs.memory-threshold"]),
    accepted("execution.checkpointing.write-buffer-size", Integer, None, "Layout of Flink's checkpoint files.").aliases(&["state.storage.fs.write-buffer-size", "state.backend.fs.write-buffer-size"]),
    accepted("execution.checkpointing.snapshot-compression", Boolean, None, "Layout of Flink's checkpoint files."),
    accepted("execution.checkpointing.file-merging.#", Text, None, "Layout of Flink's checkpoint files."),
    accepted("execution.checkpointing.local-backup.#", Text, None, "Copies on task managers."),
    accepted("execution.checkpointing.cleaner.#", Text, None, "Threads that remove old checkpoints.").aliases(&["state.checkpoint.cleaner.parallel-mode"]),
    refused("execution.state-recovery.approximate-local-recovery", Boolean, Some("false"), OFF, "Restarts that may lose rows.").aliases(&["execution.checkpointing.approximate-local-recovery"]),
    refused("execution.state-recovery.without-channel-state.checkpoint-id", Integer, Some("-1"), &["-1"], "Restarts that drop rows in flight.").aliases(&["execution.checkpointing.recover-without-channel-state.checkpoint-id"]),
    refused("execution.state-recovery.from-local", Boolean, Some("false"), OFF, "Recovery from copies on task managers.").aliases(&["state.backend.local-recovery"]),
    accepted("execution.async-state.#", Text, None, "Flink's asynchronous state."),
    accepted("state.backend.async", Boolean, Some("true"), "Checkpoints are always written while rows are read on."),
    accepted("state.backend.rocksdb.#", Text, None, "Tuning of a backend that is not in use."),
    accepted("state.backend.forst.#", Text, None, "Tuning of a backend that is not in use."),
    accepted("state.changelog.#", Text, None, "Checkpoints always write only what changed.").aliases(&["state.backend.changelog.#"]),
    accepted("state.latency-track.#", Text, None, "Figures of Flink's state backends.").aliases(&["state.backend.latency-track.#"]),
    accepted("state.size-track.#", Text, None, "Figures of Flink's state backends."),
];

/// What these settings say.
pub(super) fn checkpoint_settings(merged: &Options) -> Result<CheckpointSettings> {
    let is_in_memory = match merged.choice(&STORAGE)? {
        _ if merged.raw(STORAGE.key).is_none() => matches!(merged.choice(&BACKEND)?, Some("memory" | "jobmanager")),
        storage => storage == Some("jobmanager"),
    };
    Ok(CheckpointSettings {
        interval: merged.duration(&CHECKPOINT_INTERVAL)?.filter(|interval| !interval.is_zero()),
        every_rows: merged.integer(&CHECKPOINT_EVERY_ROWS)?.map(number).transpose()?,
        directory: merged.text(&CHECKPOINT_DIRECTORY).map(location).transpose()?,
        is_in_memory,
        savepoint_directory: merged.text(&SAVEPOINT_DIRECTORY).map(location).transpose()?,
        begin_from: merged.text(&RECOVERY_PATH).map(location).transpose()?,
        claims: merged.choice(&CLAIM_MODE)? == Some("CLAIM"),
        ignore_unclaimed_state: merged.boolean(&IGNORE_UNCLAIMED_STATE)?,
        min_pause: merged.duration(&CHECKPOINT_MIN_PAUSE)?.unwrap_or_default(),
        timeout: merged.duration(&CHECKPOINT_TIMEOUT)?.unwrap_or_default(),
        mode: match merged.choice(&CHECKPOINT_MODE)? {
            Some("AT_LEAST_ONCE") => CheckpointMode::AtLeastOnce,
            _ => CheckpointMode::ExactlyOnce,
        },
        max_concurrent: required(&CHECKPOINT_MAX_CONCURRENT, merged.integer(&CHECKPOINT_MAX_CONCURRENT)?)?,
        retained: required(&CHECKPOINT_RETAINED, merged.integer(&CHECKPOINT_RETAINED)?)?,
        retention: match merged.choice(&RETENTION)? {
            Some("DELETE_ON_CANCELLATION") => Retention::UntilStopped,
            Some("NO_EXTERNALIZED_CHECKPOINTS") => Retention::UntilEnded,
            _ => Retention::Kept,
        },
        tolerable_failures: required(&CHECKPOINT_TOLERABLE_FAILURES, merged.integer(&CHECKPOINT_TOLERABLE_FAILURES)?)?,
        max_pending_epochs: required(&MAX_PENDING_EPOCHS, merged.integer(&MAX_PENDING_EPOCHS)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::settings::Settings;

    fn read(pairs: &[(&str, &str)]) -> CheckpointSettings {
        let mut settings = Settings::new();
        for (key, value) in pairs {
            settings.set(key, value).unwrap_or_else(|error| panic!("{key}: {error}"));
        }
        settings.job().unwrap().checkpoints
    }

    #[test]
    fn retention_and_claims_are_read() {
        let retention = |value| read(&[("execution.checkpointing.externalized-checkpoint-retention", value)]).retention;
        assert_eq!(read(&[]).retention, Retention::Kept);
        assert_eq!(retention("RETAIN_ON_CANCELLATION"), Retention::Kept);
        assert_eq!(retention("delete_on_cancellation"), Retention::UntilStopped);
        assert_eq!(retention("NO_EXTERNALIZED_CHECKPOINTS"), Retention::UntilEnded);
        assert!(read(&[("execution.savepoint-restore-mode", "claim")]).claims && !read(&[]).claims);
        let refused = |key, value| Settings::new().set(key, value).unwrap_err().to_string();
        assert!(refused("execution.state-recovery.claim-mode", "LEGACY").contains("NO_CLAIM copies"));
        assert!(refused("state.backend", "rocksdb").contains("beadline.memory.limit"));
        assert!(refused("execution.checkpointing.timeout", "9 ms").contains("from 10 ms"));
    }

    /// Flink's old names of backends say where checkpoints are, too; the key that is about that counts before them.
    #[test]
    fn storage_follows_from_its_key_or_from_an_old_name() {
        let in_memory = |pairs: &[(&str, &str)]| read(pairs).is_in_memory;
        assert!(!in_memory(&[]) && !in_memory(&[("state.backend.type", "hashmap")]));
        assert!(in_memory(&[("execution.checkpointing.storage", "jobmanager")]));
        assert!(in_memory(&[("state.checkpoint-storage", "JobManager")]));
        assert!(in_memory(&[("state.backend", "memory")]) && in_memory(&[("state.backend", "jobmanager")]));
        assert!(!in_memory(&[("state.backend", "filesystem")]));
        assert!(!in_memory(&[("state.backend", "memory"), ("execution.checkpointing.storage", "filesystem")]));
    }
}
