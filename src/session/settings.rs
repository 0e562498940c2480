//! What SET has set: values by key, checked at once, in two layers. A value of the script wins over one that came with
//! the command line or from the embedding program; RESET takes the script's away again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::checkpoint_settings::{self as checkpoint_list, checkpoint_settings};
use super::job_settings::{JobSettings, ResultMode, RuntimeMode};
use super::restart_settings::{self, restart_strategy};
use super::setting_list as list;
use crate::error::{Error, Result};
use crate::operators::Holding;
use crate::options::{Effect, OptionSpec, Options, looks_secret, nearest, parse_duration};
use crate::plan::{EmitSettings, KeyedShuffle, Materialize, TypeLengths};
use crate::storage::plain_location;
use crate::stream::Zone;

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The command line, or the program that embeds the engine.
    Start,
    /// A SET statement.
    Script,
}

impl Origin {
    /// One word for a listing.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Start => "start",
            Self::Script => "script",
        }
    }
}

/// A line of the listing that `SET;` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key as it was set, or the main name of one that was not.
    pub key: String,
    /// The value; `None` where there is none by default. Secrets read `******`.
    pub value: Option<String>,
    /// The default.
    pub default: Option<&'static str>,
    /// Where the value comes from.
    pub origin: Origin,
    /// What it does.
    pub doc: &'static str,
}

/// The settings of a session.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    start: Options,
    script: Options,
}

impl Settings {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A SET statement: checks the value and keeps it. Returns warnings.
    pub fn set(&mut self, key: &str, value: &str) -> Result<Vec<String>> {
        let warnings = check(key, value)?;
        self.script.set(key, value);
        Ok(warnings)
    }

    /// The same before the first statement: by a flag, or by the embedding program. Returns warnings.
    pub fn set_at_start(&mut self, key: &str, value: &str) -> Result<Vec<String>> {
        let warnings = check(key, value)?;
        self.start.set(key, value);
        Ok(warnings)
    }

    /// Takes back what the script set: one key, under all its names, or everything.
    pub fn reset(&mut self, key: Option<&str>) {
        let Some(key) = key else {
            self.script = Options::default();
            return;
        };
        self.script.remove(key);
        if let Some(spec) = list::find(key).filter(|spec| !spec.key.contains('#')) {
            for name in std::iter::once(&spec.key).chain(spec.aliases) {
                self.script.remove(name);
            }
        }
    }

    /// The value of a key under exactly this name, or of a known key under any: set, or by default.
    pub fn get(&self, key: &str) -> Option<&str> {
        match list::find(key).filter(|spec| !spec.key.contains('#')) {
            Some(spec) => self.set_value(spec).map(|(value, _)| value).or(spec.default),
            None => self.script.raw(key).or_else(|| self.start.raw(key)),
        }
    }

    /// Whether anybody set this option, under any of its names.
    pub fn is_set(&self, spec: &OptionSpec) -> bool {
        self.set_value(spec).is_some()
    }

    /// What is set, then every other honoured key with its default; in the order of the keys.
    pub fn list(&self) -> Vec<Listed> {
        let mut lines = BTreeMap::new();
        for spec in list::all().filter(|spec| spec.effect != Effect::Accepted && !spec.key.contains('#')) {
            let value = spec.default.map(str::to_owned);
            let line = Listed {
                key: spec.key.to_owned(),
                value,
                default: spec.default,
                origin: Origin::Default,
                doc: spec.doc,
            };
            lines.insert(spec.key.to_owned(), line);
        }
        for (options, origin) in [(&self.start, Origin::Start), (&self.script, Origin::Script)] {
            for (key, value) in options.iter() {
                let spec = list::find(key).or_else(|| list::find_of_table(key).map(|(spec, _)| spec));
                let is_secret = spec.map_or_else(|| looks_secret(key), |spec| spec.secret);
                // An alias stands for its option, so that the listing shows no default beside a value that is in force.
                let name = spec.filter(|spec| spec.aliases.contains(&key)).map_or(key, |spec| spec.key);
                if name != key && options.raw(name).is_some() {
                    continue;
                }
                let line = Listed {
                    key: name.to_owned(),
                    value: Some(if is_secret { "******".to_owned() } else { value.to_owned() }),
                    default: spec.and_then(|spec| spec.default),
                    origin,
                    doc: spec.map_or("Not known here; has no effect.", |spec| spec.doc),
                };
                lines.insert(name.to_owned(), line);
            }
        }
        lines.into_values().collect()
    }

    /// What is in force for a table that is created now: the settings that belong to tables, under their full names
    /// (`beadline.csv.header`). What nobody set is left to the default.
    pub fn for_table(&self, table: &str) -> Options {
        let mut options = Options::default();
        for spec in list::OF_TABLES {
            if let Some((value, _)) = self.set_value(spec) {
                options.set(spec.key, value);
            }
        }
        self.put_addressed(table, &mut options);
        options
    }

    /// Lays `beadline.table.<table>.<rest>` over the settings that a table got at its creation.
    pub fn put_addressed(&self, table: &str, options: &mut Options) {
        for layer in [&self.start, &self.script] {
            for (key, value) in layer.iter() {
                if let Some((spec, _)) = list::find_of_table(key).filter(|(_, addressed)| *addressed == table) {
                    options.set(spec.key, value);
                }
            }
        }
    }

    /// Everything that a job reads, typed.
    pub fn job(&self) -> Result<JobSettings> {
        let merged = self.merged();
        let none_if_zero = |time: Duration| (!time.is_zero()).then_some(time);
        let checkpoints = checkpoint_settings(&merged)?;
        let settings = JobSettings {
            runtime_mode: match merged.choice(&list::RUNTIME_MODE)? {
                Some("BATCH") => RuntimeMode::Batch,
                _ => RuntimeMode::Streaming,
            },
            result_mode: match merged.choice(&list::RESULT_MODE)? {
                Some("CHANGELOG") => ResultMode::Changelog,
                Some("TABLEAU") => ResultMode::Tableau,
                _ => ResultMode::Table,
            },
            name: merged.text(&list::PIPELINE_NAME).map(str::to_owned),
            parallelism: match merged.integer(&list::TABLE_PARALLELISM)? {
                Some(own) if own > 0 => Some(number(own)?),
                _ => merged.integer(&list::PARALLELISM)?.map(number).transpose()?,
            },
            max_parallelism: required(&list::MAX_PARALLELISM, merged.integer(&list::MAX_PARALLELISM)?)?,
            restart: restart_strategy(&merged, checkpoints.is_on())?,
            checkpoints,
            idle_timeout: merged.duration(&list::SOURCE_IDLE_TIMEOUT)?.and_then(none_if_zero),
            max_future_drift_ms: milliseconds(merged.duration(&list::MAX_FUTURE_DRIFT)?),
            drop_nulls: merged.choice(&list::NOT_NULL_ENFORCER)? == Some("DROP"),
            type_lengths: match merged.choice(&list::TYPE_LENGTH_ENFORCER)? {
                Some("TRIM_PAD") => TypeLengths::TrimPad,
                Some("ERROR") => TypeLengths::Error,
                _ => TypeLengths::Ignore,
            },
            keyed_shuffle: match merged.choice(&list::KEYED_SHUFFLE)? {
                Some("NONE") => KeyedShuffle::None,
                Some("FORCE") => KeyedShuffle::Force,
                _ => KeyedShuffle::Auto,
            },
            zone: merged.text(&list::LOCAL_TIME_ZONE).and_then(zone).unwrap_or_default(),
            materialize: match merged.choice(&list::UPSERT_MATERIALIZE)? {
                Some("NONE") => Materialize::None,
                Some("FORCE") => Materialize::Force,
                _ => Materialize::Auto,
            },
            requires_on_conflict: merged.boolean(&list::REQUIRE_ON_CONFLICT)?,
            dml_sync: merged.boolean(&list::DML_SYNC)?,
            batch_rows: required(&list::BATCH_ROWS, merged.integer(&list::BATCH_ROWS)?)?,
            windows_per_row: required(&list::WINDOWS_PER_ROW, merged.integer(&list::WINDOWS_PER_ROW)?)?,
            reuse_sources: merged.boolean(&list::REUSE_SOURCES)?,
            ttl_ms: milliseconds(merged.duration(&list::STATE_TTL)?).filter(|ttl| *ttl > 0),
            emit: EmitSettings {
                early: merged.boolean(&list::EARLY_FIRE)?,
                early_delay_ms: milliseconds(merged.duration(&list::EARLY_FIRE_DELAY)?),
                late: merged.boolean(&list::LATE_FIRE)?,
                late_delay_ms: milliseconds(merged.duration(&list::LATE_FIRE_DELAY)?),
                lateness_ms: milliseconds(merged.duration(&list::ALLOW_LATENESS)?),
            },
            holding: mini_batch(&merged)?,
            memory_limit: merged.size(&list::MEMORY_LIMIT)?,
            stop_timeout: merged.duration(&list::STOP_TIMEOUT)?.unwrap_or_default(),
            max_column_width: required(&list::MAX_COLUMN_WIDTH, merged.integer(&list::MAX_COLUMN_WIDTH)?)?,
        };
        if settings.parallelism.is_some_and(|tasks| tasks > settings.max_parallelism as usize) {
            return Err(Error::query(format!(
                "the parallelism is above 'pipeline.max-parallelism' = {}",
                settings.max_parallelism
            ))
            .with_help(
                "lower 'parallelism.default', or raise the maximum (it is fixed for the life of a job's state)",
            ));
        }
        Ok(settings)
    }

    /// The value that somebody set, the script before the start, the main name before an alias.
    fn set_value(&self, spec: &OptionSpec) -> Option<(&str, Origin)> {
        [(&self.script, Origin::Script), (&self.start, Origin::Start)].into_iter().find_map(|(options, origin)| {
            let mut names = std::iter::once(&spec.key).chain(spec.aliases);
            names.find_map(|name| options.raw(name)).map(|value| (value, origin))
        })
    }

    /// Every known value under its main name.
    fn merged(&self) -> Options {
        Options::new(
            list::all()
                .filter_map(|spec| self.set_value(spec).map(|(value, _)| (spec.key.to_owned(), value.to_owned()))),
        )
    }
}

/// Checks a key and a value; warns of what has no effect.
fn check(key: &str, value: &str) -> Result<Vec<String>> {
    if let Some((spec, _)) = list::find_of_table(key) {
        spec.check(key, value)?;
        return Ok(Vec::new());
    }
    let Some(spec) = list::find(key) else {
        return unknown(key);
    };
    spec.check(key, value)?;
    check_range(spec, value)?;
    Ok(match spec.effect {
        Effect::Accepted => vec![format!("'{key}' has no effect here. {}", spec.doc)],
        _ => Vec::new(),
    })
}

/// An unknown key of ours is an error, for nobody else can own it; any other gets a warning.
fn unknown(key: &str) -> Result<Vec<String>> {
    let names = list::all().flat_map(|spec| std::iter::once(&spec.key).chain(spec.aliases)).copied();
    let meant = nearest(key, names.filter(|name| !name.contains('#')));
    if key == "beadline" || key.starts_with("beadline.") {
        let error = Error::query(format!("'{key}' is not a setting."));
        return Err(match meant {
            Some(meant) => error.with_help(format!("did you mean '{meant}'?")),
            None if key.starts_with("beadline.table.") => error.with_help(format!(
                "after the table's name comes one of {}",
                list::OF_TABLES.iter().map(|spec| &spec.key["beadline.".len()..]).collect::<Vec<_>>().join(", ")
            )),
            None => error.with_help("SET; lists all settings"),
        });
    }
    let hint = meant.map(|meant| format!(" Did you mean '{meant}'?")).unwrap_or_default();
    Ok(vec![format!("'{key}' is not known here and has no effect.{hint}")])
}

/// The zone of that name; `default` is UTC.
fn zone(name: &str) -> Option<Zone> {
    match name.trim() {
        default if default.eq_ignore_ascii_case("default") => Some(Zone::UTC),
        name => Zone::parse(name),
    }
}

/// The ranges of numbers, and what a type alone cannot say.
fn check_range(spec: &OptionSpec, value: &str) -> Result<()> {
    let refuse = |help: &str| {
        Err(Error::query(format!("Could not parse value '{value}' for key '{}'.", spec.key))
            .with_help(format!("expected {help}")))
    };
    if spec.key == list::LOCAL_TIME_ZONE.key {
        return match zone(value) {
            Some(_) => Ok(()),
            None => refuse("UTC, an offset such as GMT+02:00 or a region such as Europe/Berlin"),
        };
    }
    if spec.key == list::PIPELINE_NAME.key && value.trim().is_empty() {
        return refuse("a name");
    }
    if [&checkpoint_list::CHECKPOINT_DIRECTORY, &checkpoint_list::SAVEPOINT_DIRECTORY, &checkpoint_list::RECOVERY_PATH]
        .iter()
        .any(|path| path.key == spec.key)
    {
        return location(value).map(drop);
    }
    if spec.key == checkpoint_list::CHECKPOINT_TIMEOUT.key && parse_duration(value) < Some(Duration::from_millis(10)) {
        return refuse("a duration from 10 ms");
    }
    let double = value.trim().parse::<f64>().unwrap_or_default();
    if spec.key == restart_settings::RESTART_BACKOFF_MULTIPLIER.key && !(1.0..=f64::MAX).contains(&double) {
        return refuse("a number from 1");
    }
    if spec.key == restart_settings::RESTART_JITTER.key && !(0.0..=1.0).contains(&double) {
        return refuse("a number from 0 to 1");
    }
    let Ok(found) = value.trim().parse::<i64>() else { return Ok(()) };
    match spec.key {
        "parallelism.default"
        | "execution.checkpointing.num-retained"
        | "execution.checkpointing.max-concurrent-checkpoints"
        | "beadline.checkpoint.every-rows"
        | "beadline.sink.max-pending-epochs"
        | "beadline.limit.windows-per-row"
        | "table.display.max-column-width"
            if found < 1 =>
        {
            refuse("a whole number from 1")
        }
        "pipeline.max-parallelism" if !(1..=32_768).contains(&found) => refuse("a whole number from 1 to 32768"),
        "beadline.limit.batch-rows" if !(1..=1_048_576).contains(&found) => refuse("a whole number from 1 to 1048576"),
        "table.exec.resource.default-parallelism" if found < 1 && found != -1 => refuse("a whole number from 1, or -1"),
        "execution.checkpointing.tolerable-failed-checkpoints"
        | "restart-strategy.fixed-delay.attempts"
        | "restart-strategy.failure-rate.max-failures-per-interval"
        | "restart-strategy.exponential-delay.attempts-before-reset-backoff"
            if found < 0 =>
        {
            refuse("a whole number from 0")
        }
        _ => Ok(()),
    }
}

/// `table.exec.mini-batch.*`, of which Flink wants all once it is on.
fn mini_batch(merged: &Options) -> Result<Holding> {
    if !merged.boolean(&list::MINI_BATCH)? {
        return Ok(Holding::UntilRest);
    }
    let latency_ms = milliseconds(merged.duration(&list::MINI_BATCH_LATENCY)?).filter(|latency| *latency > 0);
    let Some(latency_ms) = latency_ms else {
        return Err(Error::query("MiniBatch Latency must be greater than 0 ms.")
            .with_help("SET 'table.exec.mini-batch.allow-latency' = '1 s'"));
    };
    let Some(rows) = merged.integer(&list::MINI_BATCH_SIZE)?.filter(|rows| *rows > 0) else {
        return Err(Error::query("Key: 'table.exec.mini-batch.size' , default: -1 must be > 0.")
            .with_help("SET 'table.exec.mini-batch.size' = '5000'"));
    };
    Ok(Holding::MiniBatch { latency_ms, rows: number(rows)? })
}

fn milliseconds(duration: Option<Duration>) -> Option<i64> {
    duration.map(|duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Where a directory is: a path of this machine, with or without `file://`, or a location in another store.
pub(super) fn location(text: &str) -> Result<std::path::PathBuf> {
    let location = plain_location(text.trim())?;
    if location.as_os_str().is_empty() {
        return Err(Error::query(format!("'{text}' is no directory")).with_help("use a path or file:///path"));
    }
    Ok(location)
}

/// A number that has a default.
pub(super) fn required<T: TryFrom<i64>>(spec: &OptionSpec, value: Option<i64>) -> Result<T> {
    number(value.ok_or_else(|| Error::bug(format!("'{}' has no default", spec.key)))?)
}

pub(super) fn number<T: TryFrom<i64>>(value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| Error::query(format!("{value} is out of range")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::RestartStrategy;

    fn with(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new();
        for (key, value) in pairs {
            settings.set(key, value).unwrap_or_else(|error| panic!("{key}: {error}"));
        }
        settings
    }

    fn error(key: &str, value: &str) -> String {
        Settings::new().set(key, value).unwrap_err().to_string()
    }

    #[test]
    fn defaults_make_a_job() {
        let job = Settings::new().job().unwrap();
        assert_eq!((job.runtime_mode, job.parallelism, job.max_parallelism), (RuntimeMode::Streaming, None, 128));
        assert_eq!((job.checkpoint_interval(), job.restart), (None, RestartStrategy::None));
        assert!(!job.checkpoints.is_on() && !job.drop_nulls && !job.dml_sync);
        assert_eq!((job.checkpoints.timeout, job.batch_rows), (Duration::from_secs(600), 8192));
        assert_eq!((job.zone, job.idle_timeout), (Zone::UTC, None));
    }

    #[test]
    fn values_in_any_case_and_under_any_name() {
        let job = with(&[
            ("execution.runtime-mode", "batch"),
            ("execution.checkpointing.mode", "exactly_once"),
            ("execution.checkpointing.interval", "1s"),
            ("state.checkpoints.dir", "file:///tmp/points"),
            ("restart-strategy", "fixed-delay"),
            ("restart-strategy.fixed-delay.attempts", "3"),
            ("table.exec.sink.not-null-enforcer", "drop"),
            ("state.backend", "filesystem"),
            ("parallelism.default", "4"),
        ])
        .job()
        .unwrap();
        assert_eq!(job.runtime_mode, RuntimeMode::Batch);
        assert_eq!(job.checkpoint_interval(), Some(Duration::from_secs(1)));
        assert_eq!(job.checkpoints.directory.as_deref(), Some(std::path::Path::new("/tmp/points")));
        assert_eq!(job.restart, RestartStrategy::FixedDelay { attempts: 3, delay: Duration::from_secs(1) });
        assert!(job.drop_nulls);
        assert_eq!(job.parallelism, Some(4));
    }

    #[test]
    fn a_bad_value_is_refused_at_set() {
        assert!(error("execution.checkpointing.interval", "soon").contains("expected a duration"));
        assert!(error("parallelism.default", "0").contains("from 1"));
        assert!(error("pipeline.max-parallelism", "40000").contains("32768"));
        assert!(error("execution.runtime-mode", "both").contains("STREAMING, BATCH"));
        assert!(error("table.local-time-zone", "Mars/Olympus").contains("UTC"));
        assert!(error("execution.checkpointing.dir", "file://host/x").contains("another computer"));
    }

    #[test]
    fn what_is_not_built_is_refused_and_its_default_is_not() {
        assert!(error("beadline.on-error", "dead-letter").contains("not built"));
        assert!(error("state.backend.type", "rocksdb").contains("hashmap"));
        with(&[("execution.checkpointing.unaligned", "FALSE")]);
    }

    #[test]
    fn unknown_keys() {
        let warnings = Settings::new().set("paralelism.default", "2").unwrap();
        assert_eq!(
            warnings,
            ["'paralelism.default' is not known here and has no effect. Did you mean 'parallelism.default'?"]
        );
        assert!(error("beadline.csv.heder", "true").contains("did you mean 'beadline.csv.header'?"));
        let warnings = Settings::new().set("table.optimizer.agg-phase-strategy", "TWO_PHASE").unwrap();
        assert!(warnings[0].contains("no effect"), "{warnings:?}");
    }

    #[test]
    fn a_script_wins_over_the_start_until_reset() {
        let mut settings = Settings::new();
        settings.set_at_start("parallelism.default", "2").unwrap();
        settings.set("parallelism.default", "3").unwrap();
        assert_eq!(settings.get("parallelism.default"), Some("3"));
        settings.reset(Some("parallelism.default"));
        assert_eq!(settings.get("parallelism.default"), Some("2"));
        settings.set("state.checkpoints.dir", "x").unwrap();
        settings.reset(Some("execution.checkpointing.dir"));
        assert_eq!(settings.get("execution.checkpointing.dir"), None);
        settings.set("pipeline.name", "x").unwrap();
        settings.reset(None);
        assert_eq!(settings.job().unwrap().name, None);
    }

    #[test]
    fn settings_of_tables() {
        let mut settings = with(&[("beadline.csv.header", "true"), ("beadline.table.orders.on-error", "skip")]);
        let options = settings.for_table("orders");
        assert_eq!(options.raw("beadline.csv.header"), Some("true"));
        assert_eq!(options.raw("beadline.on-error"), Some("skip"));
        assert_eq!(settings.for_table("others").raw("beadline.on-error"), None);
        assert!(settings.set("beadline.table.orders.csv.header", "maybe").is_err());
        assert!(settings.set("beadline.table.orders.colour", "red").unwrap_err().to_string().contains("csv.header"));
    }

    #[test]
    fn the_listing_says_value_default_and_origin() {
        let settings = with(&[("state.checkpoints.dir", "x"), ("my.secret.thing", "hidden")]);
        let lines = settings.list();
        let line = |key: &str| lines.iter().find(|line| line.key == key).unwrap();
        assert_eq!(line("execution.checkpointing.dir").value.as_deref(), Some("x"));
        assert_eq!(line("execution.checkpointing.dir").origin, Origin::Script);
        assert_eq!(line("my.secret.thing").value.as_deref(), Some("******"));
        assert_eq!(line("pipeline.max-parallelism").origin.name(), "default");
        assert!(lines.windows(2).all(|pair| pair[0].key < pair[1].key));
    }

    #[test]
    fn parallelism_stays_below_its_maximum() {
        let settings = with(&[("parallelism.default", "9"), ("pipeline.max-parallelism", "8")]);
        assert!(settings.job().unwrap_err().to_string().contains("pipeline.max-parallelism"));
    }
}
