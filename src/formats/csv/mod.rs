//! `csv`: one row a line, as Flink's csv format (Jackson) reads and writes it.
//!
//! What reads otherwise than in Flink, on purpose: a day that does not exist (`2013-02-30`), a DECIMAL that is too
//! large and a BOOLEAN that is neither `true` nor `false` make the row a bad one, where Flink takes the nearest day,
//! NULL and `false`.

mod decode;
mod encode;
mod scan;

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};

use self::decode::{CsvDecoder, Reading};
use self::encode::CsvWriter;
use self::scan::Dialect;
use super::columns::{Rules, check_type, type_name};
use super::lines::byte_order_mark;
use super::numbers::Excess;
use super::times::{Shortened, Standard};
use super::{Cut, Decoder, Format, RowReader, RowWriter};
use crate::error::{Error, Result};
use crate::options::{Effect, OptionKind, OptionSpec, Options};

/// The format `csv`.
#[derive(Debug)]
pub struct Csv;

const FIELD_DELIMITER: OptionSpec =
    OptionSpec::honoured("field-delimiter", OptionKind::Character, Some(","), "The character between two fields.");
const QUOTE_CHARACTER: OptionSpec = OptionSpec::honoured(
    "quote-character",
    OptionKind::Character,
    Some("\""),
    "The character around a field that holds delimiters or line ends; doubled, it stands for itself.",
);
const DISABLE_QUOTE_CHARACTER: OptionSpec = OptionSpec::honoured(
    "disable-quote-character",
    OptionKind::Boolean,
    Some("false"),
    "Whether quotes are characters like all others. A written text is then not protected from being read as two \
     fields.",
);
const NULL_LITERAL: OptionSpec = OptionSpec::honoured(
    "null-literal",
    OptionKind::Text,
    None,
    "The text that is read and written for NULL. Without it, an empty text is no NULL on reading, and NULL is written \
     as an empty text.",
);
const IGNORE_PARSE_ERRORS: OptionSpec = OptionSpec::honoured(
    "ignore-parse-errors",
    OptionKind::Boolean,
    Some("false"),
    "Whether a value that cannot be read is NULL, as is a column that is missing at the end, and a row with broken \
     quotes or too many columns is skipped (and counted), instead of failing by the table's error policy.",
);
const ALLOW_COMMENTS: OptionSpec = OptionSpec::honoured(
    "allow-comments",
    OptionKind::Boolean,
    Some("false"),
    "Whether lines that begin with `#`, and empty ones, are skipped.",
);
const ARRAY_ELEMENT_DELIMITER: OptionSpec = OptionSpec::honoured(
    "array-element-delimiter",
    OptionKind::Character,
    Some(";"),
    "The character between the elements of an ARRAY and the fields of a ROW.",
);
const ESCAPE_CHARACTER: OptionSpec = OptionSpec::honoured(
    "escape-character",
    OptionKind::Character,
    None,
    "A character that takes the meaning from the next one; `n`, `r`, `t` and `0` behind it stand for a line feed, a \
     carriage return, a tab and a zero byte.",
);
const TRIM_SPACES: OptionSpec =
    not_built("trim-spaces", "false", "Whether spaces around fields without quotes are taken away.");
const EMPTY_STRING_AS_NULL: OptionSpec =
    not_built("empty-string-as-null", "false", "Whether an empty text is read as NULL.");
const IGNORE_TRAILING_UNMAPPABLE: OptionSpec =
    not_built("ignore-trailing-unmappable", "false", "Whether columns beyond those of the table are ignored.");
const ALLOW_TRAILING_COMMA: OptionSpec =
    not_built("allow-trailing-comma", "true", "Whether a delimiter may stand behind the last column.");
const FAIL_ON_MISSING_COLUMNS: OptionSpec = not_built(
    "fail-on-missing-columns",
    "false",
    "Whether a row with too few columns fails even with `ignore-parse-errors`.",
);
const SCIENTIFIC_DECIMALS: OptionSpec = not_built(
    "write-bigdecimal-in-scientific-notation",
    "true",
    "Whether a DECIMAL may be written with an exponent: `1E+5`.",
);

const fn not_built(key: &'static str, default: &'static str, doc: &'static str) -> OptionSpec {
    let only: &'static [&'static str] = match default.as_bytes() {
        b"true" => &["true"],
        _ => &["false"],
    };
    OptionSpec::honoured(key, OptionKind::Boolean, Some(default), doc).effect(Effect::RefusedUnless(only))
}

const OPTIONS: &[OptionSpec] = &[
    FIELD_DELIMITER,
    QUOTE_CHARACTER,
    DISABLE_QUOTE_CHARACTER,
    NULL_LITERAL,
    IGNORE_PARSE_ERRORS,
    ALLOW_COMMENTS,
    ARRAY_ELEMENT_DELIMITER,
    ESCAPE_CHARACTER,
    TRIM_SPACES,
    EMPTY_STRING_AS_NULL,
    IGNORE_TRAILING_UNMAPPABLE,
    ALLOW_TRAILING_COMMA,
    FAIL_ON_MISSING_COLUMNS,
    SCIENTIFIC_DECIMALS,
];

/// `SET 'beadline.csv.header'`.
pub const HEADER: OptionSpec = OptionSpec::honoured(
    "beadline.csv.header",
    OptionKind::Boolean,
    Some("false"),
    "Whether each csv file begins with a line of column names: skipped on reading (columns go by their place), written \
     on writing.",
);

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn doc(&self) -> &'static str {
        "One row a line, as Flink's csv format reads and writes it; a field in quotes may span lines. Spaces around \
         numbers and times do not matter. Too many or too few columns, and an empty text for a number or a time, make \
         the row a bad one. `SET 'beadline.csv.header' = 'true'` is for files with a header line."
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn settings(&self) -> &'static [OptionSpec] {
        &[HEADER]
    }

    fn reader(&self, schema: &SchemaRef, options: &Options, settings: &Options) -> Result<Arc<dyn RowReader>> {
        check_columns(schema)?;
        let marks = Marks::new(options)?;
        let rules = Rules {
            standard: Standard::Sql,
            shortened: Shortened { dates: true, times: true },
            trim: true,
            exact_integers: false,
            integer_excess: Excess::Refuse,
            decimal_excess: Excess::Round,
            null_on_error: options.boolean(&IGNORE_PARSE_ERRORS)?,
            missing_is_error: false,
        };
        let reading = Reading {
            dialect: Dialect {
                delimiter: marks.delimiter,
                quote: marks.quote,
                escape: marks.escape,
                comments: options.boolean(&ALLOW_COMMENTS)?,
            },
            rules,
            null_literal: options.text(&NULL_LITERAL).map(|text| text.as_bytes().to_vec()),
            element_delimiter: marks.element_delimiter,
        };
        Ok(Arc::new(CsvReader { schema: Arc::clone(schema), header: settings.boolean(&HEADER)?, reading }))
    }

    fn writer(&self, schema: &SchemaRef, options: &Options, settings: &Options) -> Result<Arc<dyn RowWriter>> {
        check_columns(schema)?;
        let marks = Marks::new(options)?;
        Ok(Arc::new(CsvWriter {
            delimiter: marks.delimiter,
            quote: marks.quote,
            escape: marks.escape,
            null_literal: options.text(&NULL_LITERAL).unwrap_or_default().as_bytes().to_vec(),
            element_delimiter: marks.element_delimiter,
            header: settings.boolean(&HEADER)?.then(|| Arc::clone(schema)),
        }))
    }
}

/// The characters that reading and writing share.
struct Marks {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    element_delimiter: Vec<u8>,
}

impl Marks {
    fn new(options: &Options) -> Result<Self> {
        let delimiter = single_byte(options, &FIELD_DELIMITER)?.unwrap_or(b',');
        let quote = if options.boolean(&DISABLE_QUOTE_CHARACTER)? {
            if options.raw(QUOTE_CHARACTER.key).is_some() {
                return Err(Error::query(
                    "Format cannot define a quote character and disabled quote character at the same time.",
                )
                .with_help("leave out 'csv.quote-character' or 'csv.disable-quote-character'"));
            }
            None
        } else {
            single_byte(options, &QUOTE_CHARACTER)?
        };
        let escape = single_byte(options, &ESCAPE_CHARACTER)?;
        let element_delimiter = options.character(&ARRAY_ELEMENT_DELIMITER)?.unwrap_or(';').to_string().into_bytes();
        let marks = [Some(delimiter), quote, escape, Some(b'\n')];
        for (index, mark) in marks.iter().enumerate() {
            if mark.is_some() && marks[..index].contains(mark) {
                return Err(Error::query(
                    "The csv format needs different characters for field delimiter, quote, escape and line end.",
                ));
            }
        }
        Ok(Self { delimiter, quote, escape, element_delimiter })
    }
}

fn single_byte(options: &Options, spec: &OptionSpec) -> Result<Option<u8>> {
    let Some(character) = options.character(spec)? else {
        return Ok(None);
    };
    match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() => Ok(Some(byte)),
        _ => Err(Error::query(format!(
            "'csv.{}' = '{character}' is not built yet: it must be an ASCII character.",
            spec.key
        ))),
    }
}

fn check_columns(schema: &SchemaRef) -> Result<()> {
    for field in schema.fields() {
        let checked = check_type(field.data_type()).and_then(|()| match field.data_type() {
            DataType::Map(_, _) => Err(type_name(field.data_type())),
            DataType::List(element) => check_element(element.data_type()),
            DataType::Struct(fields) => fields.iter().try_for_each(|field| check_element(field.data_type())),
            _ => Ok(()),
        });
        checked.map_err(|type_name| {
            Error::query(format!("The format 'csv' has no {type_name}, in the type of column `{}`.", field.name()))
        })?;
    }
    Ok(())
}

fn check_element(data_type: &DataType) -> Result<(), String> {
    if data_type.is_nested() { Err(format!("{} within another type", type_name(data_type))) } else { Ok(()) }
}

#[derive(Debug)]
struct CsvReader {
    schema: SchemaRef,
    header: bool,
    reading: Reading,
}

impl RowReader for CsvReader {
    fn skip_header(&self, start_of_file: &[u8], at_end: bool) -> Option<usize> {
        let mark = byte_order_mark(start_of_file, at_end)?;
        if !self.header {
            return Some(mark);
        }
        let header = self.reading.dialect.row(start_of_file, mark.min(start_of_file.len()), |_, _| {});
        (header.terminated || at_end).then_some(header.next)
    }

    fn cut(&self, bytes: &[u8], rows: usize, at_end: bool) -> Cut {
        let dialect = &self.reading.dialect;
        let mut cut = Cut { bytes: 0, lines: 0 };
        for _ in 0..rows {
            if cut.bytes == bytes.len() {
                break;
            }
            let (next, lines, terminated) = if dialect.is_comment(bytes, cut.bytes) {
                match memchr::memchr(b'\n', &bytes[cut.bytes..]) {
                    Some(length) => (cut.bytes + length + 1, 1, true),
                    None => (bytes.len(), 1, false),
                }
            } else {
                dialect.skip(bytes, cut.bytes)
            };
            if !terminated && !at_end {
                break;
            }
            cut = Cut { bytes: next, lines: cut.lines + lines };
        }
        cut
    }

    fn decoder(&self, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(CsvDecoder::new(self.reading.clone(), &self.schema, projection)?))
    }
}
