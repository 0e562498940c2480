//! `json`: one object a line.
//!
//! Lossless conversions are accepted, lossy or ambiguous ones make the row a bad one. Reading is a scan of our own
//! with the grammar of `serde_json`, straight into Arrow columns; writing gives Flink's text letter for letter.

mod decode;
mod encode;
mod scan;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use self::decode::{JsonDecoder, Reading};
use self::encode::JsonWriter;
use super::columns::{Rules, check_type};
use super::lines::{self, byte_order_mark};
use super::numbers::Excess;
use super::times::{Shortened, Standard};
use super::{Cut, Decoder, Format, RowReader, RowWriter};
use crate::error::{Error, Result};
use crate::options::{Effect, OptionKind, OptionSpec, Options};

/// The format `json`.
#[derive(Debug)]
pub struct Json;

const FAIL_ON_MISSING_FIELD: OptionSpec = OptionSpec::honoured(
    "fail-on-missing-field",
    OptionKind::Boolean,
    Some("false"),
    "Whether a row without one of the fields that the query reads is a bad row; otherwise the field is NULL.",
);
const IGNORE_PARSE_ERRORS: OptionSpec = OptionSpec::honoured(
    "ignore-parse-errors",
    OptionKind::Boolean,
    Some("false"),
    "Whether a value that cannot be read is NULL and a line that is not JSON is skipped (and counted), instead of \
     failing by the table's error policy.",
);
const TIMESTAMP_FORMAT: OptionSpec = OptionSpec::honoured(
    "timestamp-format.standard",
    OptionKind::Enum(&["SQL", "ISO-8601"]),
    Some("SQL"),
    "How timestamps are spelled: `2013-01-01 05:00:00.123` (SQL) or `2013-01-01T05:00:00.123` (ISO-8601), with a `Z` \
     at the end for TIMESTAMP_LTZ.",
);
const MAP_NULL_KEY_MODE: OptionSpec = OptionSpec::honoured(
    "map-null-key.mode",
    OptionKind::Enum(&["FAIL", "DROP", "LITERAL"]),
    Some("FAIL"),
    "What becomes of a NULL key of a MAP on writing. Such keys do not arise here.",
)
.effect(Effect::RefusedUnless(&["FAIL"]));
const MAP_NULL_KEY_LITERAL: OptionSpec = OptionSpec::honoured(
    "map-null-key.literal",
    OptionKind::Text,
    Some("null"),
    "The text for a NULL key with `map-null-key.mode` = LITERAL.",
)
.effect(Effect::RefusedUnless(&["null"]));
const DECIMAL_AS_PLAIN_NUMBER: OptionSpec = OptionSpec::honoured(
    "encode.decimal-as-plain-number",
    OptionKind::Boolean,
    Some("false"),
    "Whether a DECIMAL is always written without an exponent, with all digits of its scale: `100000.00` and not `1E+5`.",
);
const IGNORE_NULL_FIELDS: OptionSpec = OptionSpec::honoured(
    "encode.ignore-null-fields",
    OptionKind::Boolean,
    Some("false"),
    "Whether fields that are NULL are left out on writing.",
);
const JSON_PARSER: OptionSpec = OptionSpec::honoured(
    "decode.json-parser.enabled",
    OptionKind::Boolean,
    Some("true"),
    "Which of Flink's two parsers reads. There is one here, so it has no effect.",
)
.effect(Effect::Accepted);

const OPTIONS: &[OptionSpec] = &[
    FAIL_ON_MISSING_FIELD,
    IGNORE_PARSE_ERRORS,
    TIMESTAMP_FORMAT,
    MAP_NULL_KEY_MODE,
    MAP_NULL_KEY_LITERAL,
    DECIMAL_AS_PLAIN_NUMBER,
    IGNORE_NULL_FIELDS,
    JSON_PARSER,
];

/// `SET 'beadline.json.lenient-numbers'`.
pub const LENIENT_NUMBERS: OptionSpec = OptionSpec::honoured(
    "beadline.json.lenient-numbers",
    OptionKind::Boolean,
    Some("false"),
    "Whether JSON numbers with more digits than a column holds are cut (whole numbers) or rounded (DECIMAL), as Flink \
     does, instead of making the row a bad one.",
);
/// `SET 'beadline.json.duplicate-keys'`.
pub const DUPLICATE_KEYS: OptionSpec = OptionSpec::honoured(
    "beadline.json.duplicate-keys",
    OptionKind::Enum(&["error", "last"]),
    Some("error"),
    "Whether a JSON object that has a declared field twice makes the row a bad one, or the last value counts, as in \
     Flink.",
);

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn doc(&self) -> &'static str {
        "One JSON object a line; empty lines are skipped. Conversions that lose nothing are accepted (`\"12\"` and `1e3` \
         into BIGINT, numbers into STRING), others make the row a bad one, and so does a declared field that comes \
         twice. Fields that the table does not declare are skipped. Rows are written as Flink writes them."
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn settings(&self) -> &'static [OptionSpec] {
        &[LENIENT_NUMBERS, DUPLICATE_KEYS]
    }

    fn reader(&self, schema: &SchemaRef, options: &Options, settings: &Options) -> Result<Arc<dyn RowReader>> {
        check_columns(schema)?;
        let missing_is_error = options.boolean(&FAIL_ON_MISSING_FIELD)?;
        let ignore = options.boolean(&IGNORE_PARSE_ERRORS)?;
        if missing_is_error && ignore {
            return Err(Error::query("fail-on-missing-field and ignore-parse-errors shouldn't both be true.")
                .with_help("set one of 'json.fail-on-missing-field' and 'json.ignore-parse-errors' to 'false'"));
        }
        let lenient = settings.boolean(&LENIENT_NUMBERS)?;
        let rules = Rules {
            standard: standard(options)?,
            shortened: Shortened { dates: false, times: false },
            trim: false,
            exact_integers: true,
            integer_excess: if lenient { Excess::Truncate } else { Excess::Refuse },
            decimal_excess: if lenient { Excess::Round } else { Excess::Refuse },
            null_on_error: ignore,
            missing_is_error,
        };
        let duplicates_are_errors = settings.choice(&DUPLICATE_KEYS)? == Some("error");
        let reading = Reading { rules, duplicates_are_errors, ignorable: ignore };
        Ok(Arc::new(JsonReader { schema: Arc::clone(schema), reading }))
    }

    fn writer(&self, schema: &SchemaRef, options: &Options, _settings: &Options) -> Result<Arc<dyn RowWriter>> {
        check_columns(schema)?;
        Ok(Arc::new(JsonWriter {
            standard: standard(options)?,
            plain_decimals: options.boolean(&DECIMAL_AS_PLAIN_NUMBER)?,
            leave_out_nulls: options.boolean(&IGNORE_NULL_FIELDS)?,
        }))
    }
}

fn standard(options: &Options) -> Result<Standard> {
    Ok(match options.choice(&TIMESTAMP_FORMAT)? {
        Some("ISO-8601") => Standard::Iso8601,
        _ => Standard::Sql,
    })
}

fn check_columns(schema: &SchemaRef) -> Result<()> {
    for field in schema.fields() {
        check_type(field.data_type()).map_err(|type_name| {
            Error::query(format!("The format 'json' has no {type_name}, the type of column `{}`.", field.name()))
        })?;
    }
    Ok(())
}

#[derive(Debug)]
struct JsonReader {
    schema: SchemaRef,
    reading: Reading,
}

impl RowReader for JsonReader {
    fn skip_header(&self, start_of_file: &[u8], at_end: bool) -> Option<usize> {
        byte_order_mark(start_of_file, at_end)
    }

    fn cut(&self, bytes: &[u8], rows: usize, at_end: bool) -> Cut {
        lines::cut(bytes, rows, at_end)
    }

    fn decoder(&self, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(JsonDecoder::new(self.reading, &self.schema, projection)?))
    }
}
