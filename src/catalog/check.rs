//! The WITH clause against the lists of the connector and its format, in Flink's words but at CREATE TABLE.

use crate::connectors::{self, Connector};
use crate::error::{Error, Result};
use crate::formats::{self, Format};
use crate::options::{OptionSpec, Options, nearest};

/// The connector that the options name.
pub fn connector(options: &Options) -> Result<&'static dyn Connector> {
    let Some(name) = options.raw("connector") else {
        return Err(Error::query(
            "One or more required options are missing.\n\nMissing required options are:\n\nconnector",
        )
        .with_help(format!("say what the table is, such as WITH ('connector' = '{}')", connectors::all()[0].name())));
    };
    connectors::all()
        .iter()
        .find(|connector| connector.name() == name)
        .copied()
        .ok_or_else(|| unknown_factory(name, "connector", connectors::all().iter().map(|connector| connector.name())))
}

/// Checks keys and values.
pub fn check_options(connector: &dyn Connector, options: &Options, table: &str) -> Result<()> {
    option_errors(connector, options, table).into_iter().next().map_or(Ok(()), Err)
}

/// All that is wrong with keys and values.
pub fn option_errors(connector: &dyn Connector, options: &Options, table: &str) -> Vec<Error> {
    let format = match format(connector, options) {
        Ok(format) => format,
        Err(error) => return vec![error],
    };
    let mut errors = Vec::new();
    for (key, value) in options.iter() {
        if matches!(key, "connector" | "format" | "property-version") {
            continue;
        }
        let own = connector.options().iter().find(|spec| spec.matches(key));
        let of_format = format.and_then(|format| {
            let key = key.strip_prefix(format.name())?.strip_prefix('.')?;
            format.options().iter().find(|spec| spec.matches(key))
        });
        let of_all = || connectors::OF_ALL_TABLES.iter().find(|spec| spec.matches(key));
        match own.or(of_format).or_else(of_all) {
            Some(spec) => errors.extend(spec.check(key, value).err()),
            None => errors.push(unsupported(key, connector, format, table)),
        }
    }
    let missing: Vec<&str> = connector
        .options()
        .iter()
        .filter(|spec| spec.required && options.text(spec).is_none())
        .map(|spec| spec.key)
        .chain((connector.takes_format() && format.is_none()).then_some("format"))
        .collect();
    if !missing.is_empty() {
        let error = Error::query(format!(
            "One or more required options are missing.\n\nMissing required options are:\n\n{}",
            missing.join("\n")
        ));
        errors.push(match missing.contains(&"format") {
            true => {
                let known: Vec<String> = formats::all().iter().map(|format| format!("'{}'", format.name())).collect();
                error.with_help(format!("say how rows are spelled: 'format' = one of {}", known.join(", ")))
            }
            false => error.with_help(format!("write it into the WITH clause, as '{}' = '…'", missing[0])),
        });
    }
    errors
}

fn format(connector: &dyn Connector, options: &Options) -> Result<Option<&'static dyn Format>> {
    let Some(name) = options.raw("format").filter(|_| connector.takes_format()) else { return Ok(None) };
    let found = formats::all().iter().find(|format| format.name() == name).copied();
    found.map(Some).ok_or_else(|| unknown_factory(name, "format", formats::all().iter().map(|format| format.name())))
}

/// Connectors and formats that Flink has and that are not built yet, and what does in their place.
const NOT_BUILT: [(&str, &str); 24] = [
    ("kafka", KAFKA),
    ("upsert-kafka", KAFKA),
    ("pulsar", PIPE),
    ("kinesis", PIPE),
    ("kinesis-legacy", PIPE),
    ("firehose", EXPORT),
    ("rabbitmq", PIPE),
    ("socket", "pipe it in: nc HOST PORT | beadline FILE, with 'connector' = 'stdin'"),
    ("jdbc", EXPORT),
    ("mysql-cdc", EXPORT),
    ("postgres-cdc", EXPORT),
    ("mongodb", EXPORT),
    ("hive", EXPORT),
    ("hbase-2.2", EXPORT),
    ("dynamodb", EXPORT),
    ("elasticsearch-7", EXPORT),
    ("opensearch", EXPORT),
    ("faker", "'connector' = 'datagen' makes rows"),
    ("parquet", FORMAT),
    ("orc", FORMAT),
    ("avro", FORMAT),
    ("avro-confluent", FORMAT),
    ("debezium-json", FORMAT),
    ("protobuf", FORMAT),
];
const KAFKA: &str = "pipe the topic in: kcat -C -u -q -b HOST:9092 -t TOPIC | beadline FILE, with 'connector' = 'stdin' in \
                     CREATE TABLE; out of it: with 'connector' = 'print', or SELECT, into kcat -P";
const PIPE: &str = "pipe it in: its own client | beadline FILE, with 'connector' = 'stdin' in CREATE TABLE";
const EXPORT: &str = "go through files: export the table as csv or JSON lines and read those, or write them and load them, \
                      with 'connector' = 'filesystem'";
const FORMAT: &str = "write or read 'json' or 'csv', and convert outside";

fn unknown_factory(name: &str, what: &str, known: impl Iterator<Item = &'static str>) -> Error {
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    let error = Error::query(format!(
        "Could not find any factory for identifier '{name}'.\n\nAvailable {what} identifiers are:\n\n{}",
        known.join("\n")
    ));
    if let Some((_, help)) = NOT_BUILT.iter().find(|(missing, _)| *missing == name) {
        return error.with_help(format!("the {what} '{name}' is not built yet; {help}"));
    }
    match nearest(name, known) {
        Some(meant) => error.with_help(format!("did you mean '{meant}'?")),
        None => error,
    }
}

fn unsupported(key: &str, connector: &dyn Connector, format: Option<&dyn Format>, table: &str) -> Error {
    let mut supported: Vec<String> = vec!["connector".to_owned()];
    supported.extend(connector.takes_format().then(|| "format".to_owned()));
    supported.extend(connector.options().iter().map(|spec: &OptionSpec| spec.key.to_owned()));
    if let Some(format) = format {
        supported.extend(format.options().iter().map(|spec| format!("{}.{}", format.name(), spec.key)));
    }
    supported.sort_unstable();
    let error = Error::query(format!(
        "Unsupported options found for '{}' of table `{}`.\n\nUnsupported options:\n\n{key}\n\nSupported options:\n\n{}",
        connector.name(),
        table,
        supported.join("\n")
    ));
    match nearest(key, supported.iter().map(String::as_str)) {
        Some(meant) => error.with_help(format!("did you mean '{meant}'?")),
        None => error,
    }
}
