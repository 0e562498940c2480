//! Every key of SET that is known by name, in one list: Flink's, those of Flink that cannot matter here, and our own.
//!
//! A key that is honoured is read by [`JobSettings`](super::JobSettings), by a table's format or by the command line.
//! One that would change a result and is not built is refused; one that cannot change a result is accepted and a
//! warning says so. The comment above an entry gives the reason where a default is not Flink's.

use super::checkpoint_settings as checkpoints;
use super::restart_settings as restarts;
use crate::options::{Effect, OptionKind, OptionSpec};

use OptionKind::{Boolean, Duration, Enum, Integer, Path, Size, Text};

/// The one fine value of a switch that is not built.
pub(super) const OFF: &[&str] = &["false"];
/// The one fine value of a switch that is always on.
pub(super) const ON: &[&str] = &["true"];

/// A key that changes no result here.
pub(super) const fn accepted(
    key: &'static str,
    kind: OptionKind,
    default: Option<&'static str>,
    doc: &'static str,
) -> OptionSpec {
    OptionSpec::honoured(key, kind, default, doc).effect(Effect::Accepted)
}

/// A key that would change a result and is not built: only `fine` is taken.
pub(super) const fn refused(
    key: &'static str,
    kind: OptionKind,
    default: Option<&'static str>,
    fine: &'static [&'static str],
    doc: &'static str,
) -> OptionSpec {
    OptionSpec::honoured(key, kind, default, doc).effect(Effect::RefusedUnless(fine))
}

// ------------------------------------------------------------------------- honoured: execution

pub static RUNTIME_MODE: OptionSpec = OptionSpec::honoured(
    "execution.runtime-mode",
    Enum(&["STREAMING", "BATCH", "AUTOMATIC"]),
    Some("STREAMING"),
    "STREAMING runs a job that never needs its input to end; BATCH runs the same statement once over bounded tables.",
)
.effect(Effect::RefusedUnless(&["STREAMING", "BATCH"]));

pub static RESULT_MODE: OptionSpec = OptionSpec::honoured(
    "sql-client.execution.result-mode",
    Enum(&["TABLE", "CHANGELOG", "TABLEAU"]),
    Some("TABLE"),
    "What a SELECT gives: TABLE its answer, CHANGELOG its changes as they come, TABLEAU the same drawn as a table.",
);

// ------------------------------------------------------------------------- honoured: pipeline and tables

pub static PARALLELISM: OptionSpec = OptionSpec::honoured(
    "parallelism.default",
    Integer,
    // Flink's is 1; here one process is the whole cluster, so it is the number of cores.
    None,
    "How many tasks a parallel part of a job has. Not set: the machine's cores.",
);

pub static TABLE_PARALLELISM: OptionSpec = OptionSpec::honoured(
    "table.exec.resource.default-parallelism",
    Integer,
    Some("-1"),
    "Above 0, used in place of `parallelism.default`.",
);

pub static MAX_PARALLELISM: OptionSpec = OptionSpec::honoured(
    "pipeline.max-parallelism",
    Integer,
    // Flink derives it from the parallelism; here it never depends on the machine, so that state moves between them.
    Some("128"),
    "The number of key groups, 1 to 32768, and so the highest parallelism. Fixed for the life of a job's state.",
);

pub static PIPELINE_NAME: OptionSpec = OptionSpec::honoured(
    "pipeline.name",
    Text,
    None,
    "The name of the next jobs, which their checkpoints are found by. Not set: the script's file name and the table that they write.",
);

pub static SOURCE_IDLE_TIMEOUT: OptionSpec = OptionSpec::honoured(
    "table.exec.source.idle-timeout",
    Duration,
    Some("0 ms"),
    "A split without rows for this long no longer holds back the watermark. 0: off.",
);

pub static MAX_FUTURE_DRIFT: OptionSpec = OptionSpec::honoured(
    "beadline.watermark.max-future-drift",
    Duration,
    None,
    "A row whose rowtime lies further than this behind the time at which it was stored moves no watermark, and windows refuse \
     it with the reason `future`. Not set: off; `1 h` is advised.",
);

pub static STATE_TTL: OptionSpec = OptionSpec::honoured(
    "table.exec.state.ttl",
    Duration,
    Some("0 ms"),
    "For how long the state of a group is kept that no row touches, by the clock; it begins anew then. Also for GROUP BY behind \
     DISTINCT, UNION, INTERSECT and EXCEPT. 0: for ever. Windows forget by themselves.",
);

pub static EARLY_FIRE: OptionSpec = OptionSpec::honoured(
    "table.exec.emit.early-fire.enabled",
    Boolean,
    Some("false"),
    "Whether windows in GROUP BY (TUMBLE, HOP) give results before their end, which later ones update.",
);

pub static EARLY_FIRE_DELAY: OptionSpec = OptionSpec::honoured(
    "table.exec.emit.early-fire.delay",
    Duration,
    None,
    "For how long an early result waits for more rows, by the clock. 0: it leaves with the rows.",
);

pub static LATE_FIRE: OptionSpec = OptionSpec::honoured(
    "table.exec.emit.late-fire.enabled",
    Boolean,
    Some("false"),
    "Whether windows in GROUP BY correct their results by rows that come behind their end.",
);

pub static LATE_FIRE_DELAY: OptionSpec = OptionSpec::honoured(
    "table.exec.emit.late-fire.delay",
    Duration,
    None,
    "For how long a correction waits for more late rows, by the clock. 0: it leaves with the rows.",
);

pub static ALLOW_LATENESS: OptionSpec = OptionSpec::honoured(
    "table.exec.emit.allow-lateness",
    Duration,
    None,
    "For how long of event time behind its end a window takes late rows, with late-fire; rows behind that are late. Not set: \
     as long as `table.exec.state.ttl`.",
);

pub static MINI_BATCH: OptionSpec = OptionSpec::honoured(
    "table.exec.mini-batch.enabled",
    Boolean,
    Some("false"),
    "Whether an unwindowed GROUP BY waits for more rows before it updates a result: fewer updates that come later. What is \
     held leaves before each checkpoint.",
);

pub static MINI_BATCH_LATENCY: OptionSpec = OptionSpec::honoured(
    "table.exec.mini-batch.allow-latency",
    Duration,
    Some("0 ms"),
    "For how long a mini-batch waits, by the clock; above 0 where mini-batch is on.",
);

pub static MINI_BATCH_SIZE: OptionSpec = OptionSpec::honoured(
    "table.exec.mini-batch.size",
    Integer,
    Some("-1"),
    "After how many rows a task ends a mini-batch; above 0 where mini-batch is on.",
);

pub static NOT_NULL_ENFORCER: OptionSpec = OptionSpec::honoured(
    "table.exec.sink.not-null-enforcer",
    Enum(&["ERROR", "DROP"]),
    Some("ERROR"),
    "A NULL for a NOT NULL column of a sink: ERROR stops the job, DROP leaves the row out and counts it.",
);

pub static TYPE_LENGTH_ENFORCER: OptionSpec = OptionSpec::honoured(
    "table.exec.sink.type-length-enforcer",
    Enum(&["IGNORE", "TRIM_PAD", "ERROR"]),
    Some("IGNORE"),
    "A value that does not have the length of its column in a sink, CHAR(n), VARCHAR(n), BINARY(n) or VARBINARY(n), though \
     it comes from a column of that type: IGNORE writes it, TRIM_PAD cuts it or fills it up, ERROR stops the job. Values of \
     other types are cut and filled up in any case.",
);

pub static KEYED_SHUFFLE: OptionSpec = OptionSpec::honoured(
    "table.exec.sink.keyed-shuffle",
    Enum(&["AUTO", "NONE", "FORCE"]),
    Some("AUTO"),
    "Whether rows reach the tasks of a sink by its primary key: AUTO where changes of one key may come from several tasks, \
     NONE never, FORCE always.",
);

pub static UPSERT_MATERIALIZE: OptionSpec = OptionSpec::honoured(
    "table.exec.sink.upsert-materialize",
    Enum(&["AUTO", "NONE", "FORCE"]),
    Some("AUTO"),
    "Whether rows of a query that have the same primary key of a sink become one before it: AUTO where its upsert key is another \
     than the primary key, as ON CONFLICT says; NONE never, so that they leave as they come; FORCE always.",
);

pub static REQUIRE_ON_CONFLICT: OptionSpec = OptionSpec::honoured(
    "table.exec.sink.require-on-conflict",
    Boolean,
    Some("true"),
    "Whether an INSERT with another upsert key than the sink's primary key has to say ON CONFLICT; without it, and with false, \
     the last row of a key stands.",
);

pub static LOCAL_TIME_ZONE: OptionSpec = OptionSpec::honoured(
    "table.local-time-zone",
    Text,
    // Flink's `default` is the zone of the machine; here it is UTC, so that a script has one answer everywhere.
    Some("default"),
    "The zone in which TIMESTAMP_LTZ is read, shown, computed with and put into windows: `UTC`, a region such as \
     `Europe/Berlin`, or an offset such as `GMT+02:00`. `default` is UTC.",
);

pub static REUSE_SOURCES: OptionSpec = OptionSpec::honoured(
    "table.optimizer.reuse-source-enabled",
    Boolean,
    Some("true"),
    "Whether a table that is read in several places of a job is read once, for all of them.",
);
pub static DML_SYNC: OptionSpec = OptionSpec::honoured(
    "table.dml-sync",
    Boolean,
    Some("false"),
    "Whether a script waits for each INSERT even over unbounded input.",
);

pub static MAX_COLUMN_WIDTH: OptionSpec = OptionSpec::honoured(
    "table.display.max-column-width",
    Integer,
    Some("30"),
    "Wider values are cut in tables on a terminal; never in a pipe.",
);

// ------------------------------------------------------------------------- honoured: our own

pub static BATCH_ROWS: OptionSpec = OptionSpec::honoured(
    "beadline.limit.batch-rows",
    Integer,
    Some("8192"),
    "Rows of a batch at most; no result depends on it.",
);

pub static WINDOWS_PER_ROW: OptionSpec = OptionSpec::honoured(
    "beadline.limit.windows-per-row",
    Integer,
    Some("10000"),
    "In how many windows of HOP or CUMULATE a row may lie; a query that puts it into more is refused.",
);

pub static MEMORY_LIMIT: OptionSpec = OptionSpec::honoured(
    "beadline.memory.limit",
    Size,
    None,
    "One total for state and for rows on their way. What can wait does when it comes near; state beyond it stops the job \
     with a named error. Not set: 70 % of the memory of the machine or of its container.",
);

pub static STOP_TIMEOUT: OptionSpec = OptionSpec::honoured(
    "beadline.stop.timeout",
    Duration,
    Some("1 min"),
    "How long a stop waits for its checkpoint and its commits.",
);

pub static CSV_HEADER: OptionSpec = OptionSpec::honoured(
    "beadline.csv.header",
    Boolean,
    Some("false"),
    "The first line of each csv file holds names: skipped on reading, written on writing.",
);

pub static ON_ERROR: OptionSpec = OptionSpec::honoured(
    "beadline.on-error",
    Enum(&["fail", "skip", "dead-letter"]),
    Some("fail"),
    "A row that cannot be read: fail names file, line and raw value and stops the job; skip leaves it out and counts it.",
)
.effect(Effect::RefusedUnless(&["fail", "skip"]));

pub static DATAGEN_SEED: OptionSpec = OptionSpec::honoured(
    "beadline.datagen.seed",
    Integer,
    None,
    "The seed of random rows. Not set: another one at each start.",
);

pub static JSON_LENIENT_NUMBERS: OptionSpec = OptionSpec::honoured(
    "beadline.json.lenient-numbers",
    Boolean,
    Some("false"),
    "Whether 1.9 read as BIGINT is cut to 1, as Flink does, and not an error.",
);

pub static JSON_DUPLICATE_KEYS: OptionSpec = OptionSpec::honoured(
    "beadline.json.duplicate-keys",
    Enum(&["error", "last"]),
    Some("error"),
    "A name given twice in a JSON object: an error, or the last one counts, as in Flink.",
);

/// The settings that belong to a table: the value in force at CREATE TABLE stays with it, and
/// `beadline.table.<table>.<rest>` sets one for a single table.
pub static OF_TABLES: &[&OptionSpec] =
    &[&CSV_HEADER, &ON_ERROR, &DATAGEN_SEED, &JSON_LENIENT_NUMBERS, &JSON_DUPLICATE_KEYS];

/// The settings that are honoured.
static HONOURED: &[&OptionSpec] = &[
    &RUNTIME_MODE,
    &RESULT_MODE,
    &checkpoints::CHECKPOINT_INTERVAL,
    &checkpoints::CHECKPOINT_DIRECTORY,
    &checkpoints::SAVEPOINT_DIRECTORY,
    &checkpoints::RECOVERY_PATH,
    &checkpoints::IGNORE_UNCLAIMED_STATE,
    &checkpoints::CHECKPOINT_MIN_PAUSE,
    &checkpoints::CHECKPOINT_TIMEOUT,
    &checkpoints::CHECKPOINT_MODE,
    &checkpoints::CHECKPOINT_MAX_CONCURRENT,
    &checkpoints::CHECKPOINT_RETAINED,
    &checkpoints::CHECKPOINT_TOLERABLE_FAILURES,
    &checkpoints::RETENTION,
    &checkpoints::STORAGE,
    &checkpoints::BACKEND,
    &checkpoints::CLAIM_MODE,
    &restarts::RESTART_TYPE,
    &restarts::RESTART_FIXED_ATTEMPTS,
    &restarts::RESTART_FIXED_DELAY,
    &restarts::RESTART_RATE_FAILURES,
    &restarts::RESTART_RATE_INTERVAL,
    &restarts::RESTART_RATE_DELAY,
    &restarts::RESTART_INITIAL_BACKOFF,
    &restarts::RESTART_MAX_BACKOFF,
    &restarts::RESTART_BACKOFF_MULTIPLIER,
    &restarts::RESTART_JITTER,
    &restarts::RESTART_RESET_THRESHOLD,
    &restarts::RESTART_BACKOFF_ATTEMPTS,
    &PARALLELISM,
    &TABLE_PARALLELISM,
    &MAX_PARALLELISM,
    &PIPELINE_NAME,
    &SOURCE_IDLE_TIMEOUT,
    &MAX_FUTURE_DRIFT,
    &STATE_TTL,
    &EARLY_FIRE,
    &EARLY_FIRE_DELAY,
    &LATE_FIRE,
    &LATE_FIRE_DELAY,
    &ALLOW_LATENESS,
    &MINI_BATCH,
    &MINI_BATCH_LATENCY,
    &MINI_BATCH_SIZE,
    &NOT_NULL_ENFORCER,
    &TYPE_LENGTH_ENFORCER,
    &KEYED_SHUFFLE,
    &UPSERT_MATERIALIZE,
    &REQUIRE_ON_CONFLICT,
    &LOCAL_TIME_ZONE,
    &REUSE_SOURCES,
    &DML_SYNC,
    &MAX_COLUMN_WIDTH,
    &checkpoints::CHECKPOINT_EVERY_ROWS,
    &BATCH_ROWS,
    &WINDOWS_PER_ROW,
    &MEMORY_LIMIT,
    &STOP_TIMEOUT,
    &checkpoints::MAX_PENDING_EPOCHS,
    &CSV_HEADER,
    &ON_ERROR,
    &DATAGEN_SEED,
    &JSON_LENIENT_NUMBERS,
    &JSON_DUPLICATE_KEYS,
];

/// The settings that are known and not honoured; of a key that matches several entries the first counts.
#[rustfmt::skip]
static KNOWN: &[OptionSpec] = &[
    // Execution.
    accepted("execution.buffer-timeout.#", Text, None, "Flink's network buffers."),
    accepted("execution.sort-#", Text, None, "Flink's batch mode."),
    accepted("execution.sorted-inputs.#", Text, None, "Flink's batch mode."),
    accepted("execution.batch-#", Text, None, "Flink's batch mode."),
    accepted("execution.batch.#", Text, None, "Flink's batch mode."),
    accepted("execution.target", Text, None, "Where Flink's client runs a job."),
    accepted("execution.attached", Boolean, None, "Where Flink's client runs a job."),
    accepted("execution.shutdown-on-attached-exit", Boolean, None, "Where Flink's client runs a job."),
    // Pipeline.
    accepted("pipeline.auto-watermark-interval", Duration, Some("200 ms"), "Watermarks follow each batch of rows; no result depends on how often."),
    accepted("pipeline.object-reuse", Boolean, Some("false"), "Rows are never objects here."),
    accepted("pipeline.operator-chaining.#", Text, None, "Which operators share a task in Flink."),
    accepted("pipeline.operator-chaining", Boolean, None, "Which operators share a task in Flink."),
    accepted("pipeline.generic-types", Boolean, None, "Serialisation of Java objects."),
    accepted("pipeline.force-#", Text, None, "Serialisation of Java objects."),
    accepted("pipeline.jars", Text, None, "Java code; none is loaded here."),
    accepted("pipeline.classpaths", Text, None, "Java code; none is loaded here."),
    // Tables.
    accepted("table.exec.sink.upsert-materialize-strategy.#", Text, None, "How the above is done."),
    refused("table.exec.sink.nested-constraint-enforcer", Enum(&["IGNORE", "ROWS", "ROWS_AND_COLLECTIONS"]), Some("IGNORE"), &["IGNORE"], "NOT NULL inside rows and arrays."),
    refused("table.exec.sink.rowtime-inserter", Enum(&["ENABLED", "DISABLED"]), Some("ENABLED"), &["ENABLED"], "Whether event time is written with the row."),
    refused("table.exec.source.cdc-events-duplicate", Boolean, Some("false"), OFF, "Whether a change log may repeat changes."),
    accepted("table.exec.rank.topn-cache-size", Integer, Some("10000"), "Flink's Top-N cache."),
    accepted("table.exec.async-lookup.#", Text, None, "Lookup joins, which are refused."),
    refused("table.exec.legacy-cast-behaviour", Enum(&["ENABLED", "DISABLED"]), Some("DISABLED"), &["DISABLED"], "CAST that returns NULL instead of failing."),
    refused("table.exec.unbounded-over.version", Integer, Some("2"), &["2"], "Flink's operator for OVER."),
    accepted("table.exec.interval-join.min-cleanup-interval", Duration, Some("0 ms"), "Interval joins, which are refused."),
    refused("table.exec.deduplicate.insert-update-after-sensitive-enabled", Boolean, Some("true"), ON, "Whether an update is told from an insert."),
    accepted("table.exec.deduplicate.mini-batch.compact-changes-enabled", Boolean, Some("false"), "Fewer intermediate changes."),
    refused("table.exec.sort.default-limit", Integer, Some("-1"), &["-1"], "A limit for ORDER BY without one, in batch mode."),
    accepted("table.exec.sort.#", Text, None, "Memory of Flink's batch operators."),
    accepted("table.exec.spill-compression.#", Text, None, "Memory of Flink's batch operators."),
    accepted("table.exec.resource.#-memory", Size, None, "Memory of Flink's batch operators."),
    accepted("table.exec.window-agg.buffer-size-limit", Integer, None, "Memory of Flink's window operator."),
    accepted("table.exec.local-hash-agg.#", Text, None, "Flink's batch operators."),
    accepted("table.exec.async-scalar.#", Text, None, "Asynchronous functions, which are refused."),
    accepted("table.exec.async-table.#", Text, None, "Asynchronous functions, which are refused."),
    accepted("table.exec.async-state.#", Text, None, "Flink's asynchronous state."),
    accepted("table.exec.async-ml-predict.#", Text, None, "Models, which are refused."),
    accepted("table.exec.async-vector-search.#", Text, None, "Vector search, which is refused."),
    accepted("table.exec.delta-join.#", Text, None, "Delta joins, which are refused."),
    accepted("table.exec.uid.#", Text, None, "Names of Flink's operators."),
    accepted("table.plan.#", Text, None, "Flink's compiled plans."),
    accepted("table.generated-code.#", Text, None, "Flink's generated code."),
    refused("table.column-expansion-strategy", Text, None, &[""], "Which columns SELECT * leaves out."),
    refused("table.optimizer.non-deterministic-update.strategy", Enum(&["IGNORE", "TRY_RESOLVE"]), Some("IGNORE"), &["IGNORE"], "What happens to updates that cannot be repeated."),
    accepted("table.optimizer.#", Text, None, "How Flink chooses a plan."),
    refused("table.builtin-catalog-name", Text, Some("default_catalog"), &["default_catalog"], "The name of the catalog that a session starts with."),
    refused("table.builtin-database-name", Text, Some("default_database"), &["default_database"], "The name of the database that a session starts with."),
    refused("table.sql-dialect", Text, Some("default"), &["default"], "The SQL dialect."),
    refused("table.dynamic-table-options.enabled", Boolean, Some("true"), ON, "Whether OPTIONS hints are taken."),
    // SQL client.
    accepted("sql-client.execution.max-table-result.rows", Integer, Some("1000000"), "How many rows Flink's client keeps; here `--max-rows`."),
    accepted("sql-client.verbose", Boolean, Some("false"), "Whether Flink's client prints stack traces."),
    accepted("sql-client.display.print-time-cost", Boolean, None, "The footer always has the time; `--quiet` leaves it out."),
    accepted("sql-client.display.color-schema", Text, None, "Colours of Flink's client; here `--color`."),
    accepted("sql-client.display.show-line-numbers", Boolean, None, "Line numbers in Flink's client."),
    // Our own that are not built.
    refused("beadline.sink.on-lost-transaction", Enum(&["fail", "replay"]), Some("fail"), &["fail"], "What to do when a broker aborted a finished transaction."),
    refused("beadline.sink.low-latency", Boolean, Some("false"), OFF, "The Kafka sink's other protocol."),
    refused("beadline.kafka.marker-topic", Text, None, &[], "The topic of the Kafka sink's markers."),
    refused("beadline.protobuf.descriptor-set", Path, None, &[], "The descriptors of protobuf messages."),
    refused("beadline.dead-letter.table", Text, None, &[], "The table for rows that cannot be read."),
    accepted("beadline.repl.stall-hint", Duration, Some("10 s"), "When the prompt says why nothing comes out."),
    // Keys of a cluster.
    accepted("jobmanager.#", Text, None, CLUSTER),
    accepted("taskmanager.#", Text, None, CLUSTER),
    accepted("rest.#", Text, None, CLUSTER),
    accepted("kubernetes.#", Text, None, CLUSTER),
    accepted("yarn.#", Text, None, CLUSTER),
    accepted("security.#", Text, None, CLUSTER),
    accepted("env.#", Text, None, CLUSTER),
];

const CLUSTER: &str = "Configures a cluster; here there is none.";

/// All entries, honoured ones first.
pub fn all() -> impl Iterator<Item = &'static OptionSpec> {
    HONOURED.iter().copied().chain(checkpoints::KNOWN).chain(KNOWN)
}

/// The entry of `key`, under any of its names; one with a full name before a template.
pub fn find(key: &str) -> Option<&'static OptionSpec> {
    let mut matching = all().filter(|spec| spec.matches(key)).collect::<Vec<_>>();
    matching.sort_by_key(|spec| spec.key.contains('#'));
    matching.first().copied()
}

/// The entry of a key `beadline.table.<table>.<rest>`, and the table.
pub fn find_of_table(key: &str) -> Option<(&'static OptionSpec, &str)> {
    let address = key.strip_prefix("beadline.table.")?;
    OF_TABLES.iter().find_map(|spec| {
        let rest = spec.key.strip_prefix("beadline.")?;
        let table = address.strip_suffix(rest)?.strip_suffix('.')?;
        (!table.is_empty()).then_some((*spec, table))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No key twice, each with a doc that is a sentence, each default readable and allowed.
    #[test]
    fn entries_are_whole() {
        let mut seen = std::collections::BTreeSet::new();
        for spec in all() {
            for name in std::iter::once(&spec.key).chain(spec.aliases) {
                assert!(seen.insert(*name), "{name} stands twice");
            }
            assert!(spec.doc.ends_with('.'), "{} needs a sentence of doc", spec.key);
            if let Some(default) = spec.default {
                spec.check(spec.key, default).unwrap_or_else(|error| panic!("{}: {error}", spec.key));
            }
        }
    }

    /// The defaults that people know from Flink 2.3, but for those with a reason beside their entry.
    #[test]
    fn defaults_are_flinks() {
        let flink = [
            ("execution.runtime-mode", Some("STREAMING")),
            ("execution.checkpointing.interval", None),
            ("execution.checkpointing.dir", None),
            ("execution.checkpointing.mode", Some("EXACTLY_ONCE")),
            ("execution.checkpointing.min-pause", Some("0 ms")),
            ("execution.checkpointing.timeout", Some("10 min")),
            ("execution.checkpointing.num-retained", Some("1")),
            ("execution.checkpointing.tolerable-failed-checkpoints", Some("0")),
            ("execution.checkpointing.max-concurrent-checkpoints", Some("1")),
            ("execution.checkpointing.incremental", Some("false")),
            ("execution.checkpointing.unaligned.enabled", Some("false")),
            ("execution.state-recovery.claim-mode", Some("NO_CLAIM")),
            ("state.backend.type", Some("hashmap")),
            ("restart-strategy.type", None),
            ("restart-strategy.fixed-delay.attempts", Some("1")),
            ("restart-strategy.fixed-delay.delay", Some("1 s")),
            ("restart-strategy.failure-rate.max-failures-per-interval", Some("1")),
            ("restart-strategy.failure-rate.failure-rate-interval", Some("1 min")),
            ("restart-strategy.failure-rate.delay", Some("1 s")),
            ("restart-strategy.exponential-delay.initial-backoff", Some("1 s")),
            ("restart-strategy.exponential-delay.max-backoff", Some("1 min")),
            ("restart-strategy.exponential-delay.backoff-multiplier", Some("1.5")),
            ("restart-strategy.exponential-delay.jitter-factor", Some("0.1")),
            ("restart-strategy.exponential-delay.reset-backoff-threshold", Some("1 h")),
            ("restart-strategy.exponential-delay.attempts-before-reset-backoff", Some("2147483647")),
            ("table.exec.resource.default-parallelism", Some("-1")),
            ("pipeline.auto-watermark-interval", Some("200 ms")),
            ("table.exec.source.idle-timeout", Some("0 ms")),
            ("table.exec.state.ttl", Some("0 ms")),
            ("table.exec.mini-batch.enabled", Some("false")),
            ("table.exec.mini-batch.size", Some("-1")),
            ("table.exec.sink.not-null-enforcer", Some("ERROR")),
            ("table.exec.sink.upsert-materialize", Some("AUTO")),
            ("table.exec.sink.require-on-conflict", Some("true")),
            ("table.local-time-zone", Some("default")),
            ("table.dml-sync", Some("false")),
            ("table.display.max-column-width", Some("30")),
        ];
        for (key, default) in flink {
            assert_eq!(find(key).unwrap().default, default, "{key}");
        }
    }

    /// Keys that turn up in Flink scripts must never be "unknown".
    #[test]
    fn keys_of_flink_scripts_are_known() {
        for key in [
            "state.checkpoints.dir",
            "state.backend.incremental",
            "execution.savepoint.path",
            "execution.checkpointing.alignment-timeout",
            "state.backend.local-recovery",
            "state.backend.changelog.enabled",
            "state.backend.fs.memory-threshold",
            "state.backend.rocksdb.memory.managed",
            "restart-strategy",
            "restart-strategy.exponential-delay.initial-backoff",
            "table.optimizer.agg-phase-strategy",
            "table.exec.async-lookup.buffer-capacity",
            "taskmanager.numberOfTaskSlots",
            "pipeline.operator-chaining.enabled",
            "execution.checkpointing.file-merging.enabled",
            "sql-client.execution.result-mode",
            "table.exec.resource.external-buffer-memory",
            "execution.batch-shuffle-mode",
        ] {
            assert!(find(key).is_some(), "{key}");
        }
        let own = find("table.optimizer.non-deterministic-update.strategy").unwrap();
        assert!(!own.key.contains('#'), "a full name goes before a template");
    }

    #[test]
    fn a_table_is_addressed_even_if_its_name_has_dots() {
        let (spec, table) = find_of_table("beadline.table.a.b.csv.header").unwrap();
        assert_eq!((spec.key, table), ("beadline.csv.header", "a.b"));
        assert!(find_of_table("beadline.table.csv.header").is_none());
    }
}
