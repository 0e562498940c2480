//! `datagen`: rows out of nothing, at a rate. Row i depends on the seed and on i alone, so that a job goes on after a
//! restart with the very rows that come next.

mod generate;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::generate::{Column, Generator, Span, Task};
use super::one_phase::only_a_source;
use super::{
    Chunk, Connector, Polled, Position, SinkFactory, Source, SourceContext, SourceFactory, Split, SplitId, SplitReader,
    TableContext,
};
use crate::error::{Error, Result};
use crate::formats::Decoder;
use crate::options::{Effect, OptionKind, OptionSpec, Options};
use crate::stream::Clock;

/// The connector `datagen`.
#[derive(Debug)]
pub struct DataGen;

const ROWS_PER_SECOND: OptionSpec = OptionSpec::honoured(
    "rows-per-second",
    OptionKind::Integer,
    Some("10000"),
    "Rows made in a second; also what their times are apart.",
);
const NUMBER_OF_ROWS: OptionSpec = OptionSpec::honoured(
    "number-of-rows",
    OptionKind::Integer,
    None,
    "Rows until the table ends. Without it, and without a sequence, the table is unbounded.",
);
const FIELD_KIND: OptionSpec = OptionSpec::honoured(
    "fields.#.kind",
    OptionKind::Enum(&["random", "sequence"]),
    Some("random"),
    "Whether the column holds random values or the numbers from `start` to `end`, which end the table.",
);
const FIELD_MIN: OptionSpec = OptionSpec::honoured(
    "fields.#.min",
    OptionKind::Double,
    None,
    "The least random number; by default the least of the type (for FLOAT, DOUBLE and DECIMAL: 0).",
);
const FIELD_MAX: OptionSpec = OptionSpec::honoured(
    "fields.#.max",
    OptionKind::Double,
    None,
    "The greatest random number; by default the greatest of the type.",
);
const FIELD_START: OptionSpec =
    OptionSpec::honoured("fields.#.start", OptionKind::Integer, None, "The first number of a sequence.");
const FIELD_END: OptionSpec =
    OptionSpec::honoured("fields.#.end", OptionKind::Integer, None, "The last number of a sequence.");
const FIELD_LENGTH: OptionSpec = OptionSpec::honoured(
    "fields.#.length",
    OptionKind::Integer,
    Some("100"),
    "Hexadecimal digits of a random STRING, or bytes of random BYTES.",
);
const FIELD_MAX_PAST: OptionSpec = OptionSpec::honoured(
    "fields.#.max-past",
    OptionKind::Duration,
    Some("0"),
    "How far a timestamp may lie, at random, before the moment of its row.",
);
const FIELD_NULL_RATE: OptionSpec =
    OptionSpec::honoured("fields.#.null-rate", OptionKind::Double, Some("0"), "The share of NULLs, from 0 to 1.");
const FIELD_VAR_LEN: OptionSpec = OptionSpec::honoured(
    "fields.#.var-len",
    OptionKind::Boolean,
    Some("false"),
    "Whether lengths vary from 1 to `length`.",
);
const SCAN_PARALLELISM: OptionSpec = OptionSpec::honoured(
    "scan.parallelism",
    OptionKind::Integer,
    None,
    "How many tasks make rows. Here the rows are the same whatever makes them.",
)
.effect(Effect::Accepted);

const FIELD_OPTIONS: &[OptionSpec] = &[
    FIELD_KIND,
    FIELD_MIN,
    FIELD_MAX,
    FIELD_START,
    FIELD_END,
    FIELD_LENGTH,
    FIELD_MAX_PAST,
    FIELD_NULL_RATE,
    FIELD_VAR_LEN,
];
const OPTIONS: &[OptionSpec] = &[
    ROWS_PER_SECOND,
    NUMBER_OF_ROWS,
    FIELD_KIND,
    FIELD_MIN,
    FIELD_MAX,
    FIELD_START,
    FIELD_END,
    FIELD_LENGTH,
    FIELD_MAX_PAST,
    FIELD_NULL_RATE,
    FIELD_VAR_LEN,
    SCAN_PARALLELISM,
];

/// `SET 'beadline.datagen.seed'`.
const SEED: OptionSpec = OptionSpec::honoured(
    "beadline.datagen.seed",
    OptionKind::Integer,
    None,
    "The seed of random columns: the same seed, the same rows. Without it, each new job has its own.",
);

impl Connector for DataGen {
    fn name(&self) -> &'static str {
        "datagen"
    }

    fn doc(&self) -> &'static str {
        "Makes rows of random values or sequences, at a rate. Each row is a function of the seed and of its number, and \
         timestamps follow the rate, so that a restarted job goes on exactly where it was."
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn settings(&self) -> &'static [OptionSpec] {
        &[SEED]
    }

    fn takes_format(&self) -> bool {
        false
    }

    fn source(&self, table: &TableContext) -> Result<Arc<dyn SourceFactory>> {
        let options = &table.options;
        refuse_unknown_fields(table)?;
        let rate = positive(options, &ROWS_PER_SECOND)?.unwrap_or(10_000);
        let mut rows = options.integer(&NUMBER_OF_ROWS)?.map(|rows| u64::try_from(rows).unwrap_or(0));
        let mut columns = Vec::with_capacity(table.schema.fields().len());
        for (index, field) in table.schema.fields().iter().enumerate() {
            let own = FieldOptions { name: field.name(), options };
            let column = own.column(index, field.data_type())?;
            if let Some(length) = column.sequence_length() {
                rows = Some(rows.map_or(length, |rows| rows.min(length)));
            }
            columns.push(column);
        }
        let seed = table.settings.integer(&SEED)?.map(i64::cast_unsigned);
        let generator = Generator::new(Arc::clone(&table.schema), columns, rate);
        Ok(Arc::new(DataGenFactory { generator: Arc::new(generator), rate, rows, seed }))
    }

    fn sink(&self, table: &TableContext) -> Result<Arc<dyn SinkFactory>> {
        Err(only_a_source(self.name(), &table.name))
    }
}

fn positive(options: &Options, spec: &OptionSpec) -> Result<Option<u64>> {
    let Some(value) = options.integer(spec)? else {
        return Ok(None);
    };
    match u64::try_from(value) {
        Ok(value) if value > 0 => Ok(Some(value)),
        _ => Err(Error::query(format!("'{}' = '{value}' must be greater than 0.", spec.key))),
    }
}

/// Every `fields.x.y` must be an option of a column that there is.
fn refuse_unknown_fields(table: &TableContext) -> Result<()> {
    for (key, _) in table.options.iter() {
        let Some(rest) = key.strip_prefix("fields.") else {
            continue;
        };
        let known = table.schema.fields().iter().any(|field| {
            let option = rest.strip_prefix(field.name().as_str()).and_then(|rest| rest.strip_prefix('.'));
            option.is_some_and(|option| FIELD_OPTIONS.iter().any(|spec| spec.key.ends_with(&format!("#.{option}"))))
        });
        if !known {
            return Err(Error::query(format!(
                "Unsupported options found for 'datagen'.\n\nUnsupported options:\n\n{key}"
            ))
            .with_help(format!("the table `{}` has no column with an option of this name", table.name)));
        }
    }
    Ok(())
}

/// The options of one column.
struct FieldOptions<'a> {
    name: &'a str,
    options: &'a Options,
}

impl FieldOptions<'_> {
    fn key(&self, spec: &OptionSpec) -> String {
        spec.key.replace('#', self.name)
    }

    /// The option of this column, in a set where it stands under the key that `spec` knows.
    fn own(&self, spec: &OptionSpec) -> Options {
        Options::new(self.options.raw(&self.key(spec)).map(|text| (spec.key.to_owned(), text.to_owned())))
    }

    /// Refuses options that mean nothing for this column.
    fn only(&self, what: &str, allowed: &[&OptionSpec]) -> Result<()> {
        for spec in FIELD_OPTIONS {
            if self.options.raw(&self.key(spec)).is_some() && !allowed.contains(&spec) {
                let key = self.key(spec);
                return Err(Error::query(format!(
                    "Unsupported options found for 'datagen'.\n\nUnsupported options:\n\n{key}"
                ))
                .with_help(format!("column `{}` is {what}, which has no such option", self.name)));
            }
        }
        Ok(())
    }

    fn column(&self, index: usize, data_type: &DataType) -> Result<Column> {
        let kind = self.own(&FIELD_KIND).choice(&FIELD_KIND)?;
        let null_rate = self.null_rate()?;
        let column = |task| Column { index: index as u64, data_type: data_type.clone(), null_rate, task };
        if kind == Some("sequence") {
            self.only("a sequence", &[&FIELD_KIND, &FIELD_START, &FIELD_END, &FIELD_NULL_RATE])?;
            let start = self.required(&FIELD_START)?;
            let end = self.required(&FIELD_END)?;
            if start > end {
                return Err(Error::query(format!("'{}' must not be greater than the end.", self.key(&FIELD_START))));
            }
            generate::check_sequence(data_type, start, end).map_err(|message| self.unusable(&message))?;
            return Ok(column(Task::Sequence { start, end }));
        }
        let numbers = [&FIELD_KIND, &FIELD_MIN, &FIELD_MAX, &FIELD_NULL_RATE];
        Ok(column(match data_type {
            DataType::Boolean => {
                self.only("BOOLEAN", &[&FIELD_KIND, &FIELD_NULL_RATE])?;
                Task::Boolean
            }
            DataType::Int8 => self.integers(&numbers, i8::MIN.into(), i8::MAX.into())?,
            DataType::Int16 => self.integers(&numbers, i16::MIN.into(), i16::MAX.into())?,
            DataType::Int32 => self.integers(&numbers, i32::MIN.into(), i32::MAX.into())?,
            DataType::Int64 => self.integers(&numbers, i64::MIN, i64::MAX)?,
            DataType::Float32 => self.doubles(&numbers, f64::from(f32::MAX))?,
            DataType::Float64 => self.doubles(&numbers, f64::MAX)?,
            DataType::Decimal128(precision, scale) => {
                self.doubles(&numbers, 10f64.powi(i32::from(*precision) - i32::from(*scale)))?
            }
            DataType::Utf8 | DataType::Binary => {
                self.only("a text or bytes", &[&FIELD_KIND, &FIELD_LENGTH, &FIELD_VAR_LEN, &FIELD_NULL_RATE])?;
                let length = positive(&self.own(&FIELD_LENGTH), &FIELD_LENGTH)?.unwrap_or(100);
                let length = usize::try_from(length).ok().filter(|length| *length <= 1 << 20);
                let length = length.ok_or_else(|| self.unusable("a length of at most 1048576 is possible"))?;
                Task::Text { length, varies: self.own(&FIELD_VAR_LEN).boolean(&FIELD_VAR_LEN)? }
            }
            DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) => {
                self.only("a date or time of day", &[&FIELD_KIND, &FIELD_NULL_RATE])?;
                Task::Moment { past: Duration::ZERO }
            }
            DataType::Timestamp(_, _) => {
                self.only("a timestamp", &[&FIELD_KIND, &FIELD_MAX_PAST, &FIELD_NULL_RATE])?;
                let past = self.own(&FIELD_MAX_PAST).duration(&FIELD_MAX_PAST)?.unwrap_or_default();
                Task::Moment { past }
            }
            _ => return Err(self.unusable("values of ARRAY, MAP and ROW are not built yet")),
        }))
    }

    fn integers(&self, allowed: &[&OptionSpec], least: i64, greatest: i64) -> Result<Task> {
        self.only("a number", allowed)?;
        let bound = |spec: &OptionSpec, default: i64| match self.options.raw(&self.key(spec)) {
            None => Ok(default),
            Some(text) => {
                text.trim().parse().ok().filter(|value| (least..=greatest).contains(value)).ok_or_else(|| {
                    Error::query(format!("Could not parse value '{text}' for key '{}'.", self.key(spec)))
                })
            }
        };
        let span = Span { min: bound(&FIELD_MIN, least)?, max: bound(&FIELD_MAX, greatest)? };
        if span.min > span.max { Err(self.reversed()) } else { Ok(Task::Integer(span)) }
    }

    fn doubles(&self, allowed: &[&OptionSpec], greatest: f64) -> Result<Task> {
        self.only("a number", allowed)?;
        let bound =
            |spec: &OptionSpec, default: f64| match self.options.raw(&self.key(spec)) {
                None => Ok(default),
                Some(text) => text.trim().parse().ok().filter(|value: &f64| value.abs() <= greatest).ok_or_else(|| {
                    Error::query(format!("Could not parse value '{text}' for key '{}'.", self.key(spec)))
                }),
            };
        let span = Span { min: bound(&FIELD_MIN, 0.0)?, max: bound(&FIELD_MAX, greatest)? };
        if span.min > span.max { Err(self.reversed()) } else { Ok(Task::Double(span)) }
    }

    fn null_rate(&self) -> Result<f64> {
        let rate = match self.options.raw(&self.key(&FIELD_NULL_RATE)) {
            None => Some(0.0),
            Some(text) => text.trim().parse().ok().filter(|rate| (0.0..=1.0).contains(rate)),
        };
        rate.ok_or_else(|| Error::query(format!("'{}' must be from 0 to 1.", self.key(&FIELD_NULL_RATE))))
    }

    fn required(&self, spec: &OptionSpec) -> Result<i64> {
        let key = self.key(spec);
        self.own(spec)
            .integer(spec)?
            .ok_or_else(|| Error::query(format!("Could not find required property '{key}' for sequence generator.")))
    }

    fn reversed(&self) -> Error {
        Error::query(format!("'{}' must not be greater than the maximum.", self.key(&FIELD_MIN)))
    }

    fn unusable(&self, message: &str) -> Error {
        Error::query(format!("'datagen' cannot make column `{}`: {message}.", self.name))
    }
}

// ------------------------------------------------------------------------------------------------- source

#[derive(Debug)]
struct DataGenFactory {
    generator: Arc<Generator>,
    rate: u64,
    rows: Option<u64>,
    seed: Option<u64>,
}

impl SourceFactory for DataGenFactory {
    fn is_bounded(&self) -> bool {
        self.rows.is_some()
    }

    fn open(&self, context: &SourceContext) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(DataGenSource {
            generator: Arc::new(self.generator.project(&context.projection)?),
            rate: self.rate,
            rows: self.rows,
            seed: self.seed,
            batch_rows: context.batch_rows as u64,
            clock: Arc::clone(&context.world.clock),
        }))
    }
}

struct DataGenSource {
    generator: Arc<Generator>,
    rate: u64,
    rows: Option<u64>,
    seed: Option<u64>,
    batch_rows: u64,
    clock: Arc<dyn Clock>,
}

/// Which row comes next, and all that rows depend on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    next: u64,
    seed: u64,
    started_ms: i64,
}

impl Place {
    fn write(&self) -> Result<Position> {
        let value =
            serde_json::to_value(self).map_err(|error| Error::bug(format!("a position is no JSON: {error}")))?;
        Ok(Position(value))
    }
}

#[async_trait]
impl Source for DataGenSource {
    async fn discover(&self, _known: &BTreeSet<SplitId>) -> Result<Vec<Split>> {
        let started_ms = self.clock.now().0;
        let start = Place { next: 0, seed: self.seed.unwrap_or(started_ms.cast_unsigned()), started_ms };
        Ok(vec![Split { id: SplitId("datagen".to_owned()), start: start.write()?, bytes: None }])
    }

    async fn open(&self, _split: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>> {
        let place: Place = serde_json::from_value(from.0.clone())
            .map_err(|error| Error::bug(format!("a position of datagen cannot be read: {error}")))?;
        Ok(Box::new(DataGenReader {
            first: place.next,
            place,
            opened: self.clock.elapsed(),
            rate: self.rate,
            rows: self.rows.unwrap_or(u64::MAX),
            batch_rows: self.batch_rows,
            clock: Arc::clone(&self.clock),
        }))
    }

    /// A chunk says which rows to make; the workers that decode make them, so that one generator fills the cores.
    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        Some(Box::new(generate::Worker::new(Arc::clone(&self.generator))))
    }
}

struct DataGenReader {
    place: Place,
    /// The first row that this reader makes, and when.
    first: u64,
    opened: Duration,
    rate: u64,
    rows: u64,
    batch_rows: u64,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl SplitReader for DataGenReader {
    async fn next(&mut self) -> Result<Polled> {
        if self.place.next >= self.rows {
            return Ok(Polled::End);
        }
        let elapsed = self.clock.elapsed().saturating_sub(self.opened);
        // The first row is due at once, row i after i / rate seconds.
        let due = u128::from(self.first) + 1 + elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000;
        let due = u64::try_from(due).unwrap_or(u64::MAX).min(self.rows);
        if due <= self.place.next {
            // A hundred times a second is often enough, and not more often than rows come.
            let at_once = (self.rate / 100).clamp(1, self.batch_rows);
            let awaited = u128::from(self.place.next - self.first) + u128::from(at_once) - 1;
            let at = awaited * 1_000_000_000 / u128::from(self.rate);
            let at = Duration::from_nanos(u64::try_from(at).unwrap_or(u64::MAX) + 1);
            tokio::time::sleep(at.saturating_sub(elapsed).max(Duration::from_millis(1))).await;
            return Ok(Polled::Pending);
        }
        let rows = (due - self.place.next).min(self.batch_rows);
        let task = generate::encode(self.place.seed, self.place.started_ms, self.place.next, rows);
        let chunk =
            Chunk { bytes: Bytes::from(task), origin: "datagen".into(), first_line: self.place.next + 1, stored: None };
        self.place.next += rows;
        Ok(Polled::Chunk(chunk, self.place.write()?))
    }
}
