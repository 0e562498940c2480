//! `raw`: one column that holds a whole line, whatever characters it is made of. For reading.
//!
//! As in Flink, a line ends with a line feed and nothing else: a carriage return before it is part of the value. A
//! line that is not UTF-8 is a bad row in a STRING column, where Flink puts other characters in its place.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, StringBuilder};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::Bytes;

use super::lines::{self, RowPlace};
use super::{Cut, Decoded, Decoder, Format, RowReader, RowWriter};
use crate::error::{Error, Result};
use crate::options::{Effect, OptionKind, OptionSpec, Options};

/// The format `raw`.
#[derive(Debug)]
pub struct Raw;

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::honoured("charset", OptionKind::Text, Some("UTF-8"), "How the characters of a STRING are encoded.")
        .effect(Effect::RefusedUnless(&["UTF-8", "utf-8"])),
    OptionSpec::honoured(
        "endianness",
        OptionKind::Enum(&["big-endian", "little-endian"]),
        Some("big-endian"),
        "The order of the bytes of numbers. STRING and BYTES have none.",
    )
    .effect(Effect::RefusedUnless(&["big-endian"])),
];

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn doc(&self) -> &'static str {
        "A whole line as one column, STRING or BYTES, without the line feed; empty lines are rows too. It can be read \
         and not yet be written."
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn reader(&self, schema: &SchemaRef, _options: &Options, _settings: &Options) -> Result<Arc<dyn RowReader>> {
        let [field] = &schema.fields()[..] else {
            let names: Vec<String> = schema.fields().iter().map(|field| format!("`{}`", field.name())).collect();
            return Err(Error::query(format!(
                "The 'raw' format only supports single physical column. But the defined schema contains multiple \
                 physical columns: {}",
                names.join(", ")
            ))
            .with_help("declare one column: line STRING"));
        };
        match field.data_type() {
            DataType::Utf8 | DataType::Binary => Ok(Arc::new(RawReader { schema: Arc::clone(schema) })),
            _ => Err(Error::query(format!(
                "The format 'raw' is built for STRING and BYTES, and column `{}` is neither.",
                field.name()
            ))
            .with_help("declare the column as STRING and CAST it in the query")),
        }
    }

    fn writer(&self, _schema: &SchemaRef, _options: &Options, _settings: &Options) -> Result<Arc<dyn RowWriter>> {
        Err(Error::query("The format 'raw' can be read and not yet be written.")
            .with_help("write 'csv' or 'json'; a STRING in csv is itself, in quotes where it has to be"))
    }
}

#[derive(Debug)]
struct RawReader {
    schema: SchemaRef,
}

impl RowReader for RawReader {
    fn skip_header(&self, _start_of_file: &[u8], _at_end: bool) -> Option<usize> {
        Some(0)
    }

    fn cut(&self, bytes: &[u8], rows: usize, at_end: bool) -> Cut {
        lines::cut(bytes, rows, at_end)
    }

    fn decoder(&self, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        let (schema, _) = lines::projected(&self.schema, projection)?;
        Ok(Box::new(RawDecoder { schema, is_text: self.schema.field(0).data_type() == &DataType::Utf8 }))
    }
}

/// Decodes lines; a projection can hold the column once, several times, or not at all.
struct RawDecoder {
    schema: SchemaRef,
    is_text: bool,
}

impl Decoder for RawDecoder {
    fn decode(&mut self, chunk: &Bytes, first_line: u64) -> Result<Decoded> {
        lines::check_chunk(chunk)?;
        let bytes: &[u8] = chunk;
        let mut bad = Vec::new();
        let mut places = Vec::new();
        let all_text = !self.is_text || std::str::from_utf8(bytes).is_ok();
        let (mut start, mut line) = (0, first_line);
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
            let place = RowPlace { start, end, line };
            if all_text || std::str::from_utf8(&bytes[start..end]).is_ok() {
                places.push(place);
            } else {
                bad.push(lines::bad_row(bytes, place, "the line is not UTF-8".to_owned(), false));
            }
            start = end + 1;
            line += 1;
        }
        let columns = match self.schema.fields().is_empty() {
            true => Vec::new(),
            false => vec![self.column(bytes, &places); self.schema.fields().len()],
        };
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        Ok(Decoded { rows: RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?, bad })
    }
}

impl RawDecoder {
    fn column(&self, bytes: &[u8], places: &[RowPlace]) -> ArrayRef {
        let values = places.iter().map(|place| &bytes[place.start..place.end]);
        if !self.is_text {
            let mut column = BinaryBuilder::with_capacity(places.len(), bytes.len());
            values.for_each(|value| column.append_value(value));
            return Arc::new(column.finish());
        }
        let mut column = StringBuilder::with_capacity(places.len(), bytes.len());
        // What is no text is not among the places, so nothing is replaced here.
        values.for_each(|value| column.append_value(String::from_utf8_lossy(value)));
        Arc::new(column.finish())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn reader(kind: DataType) -> Arc<dyn RowReader> {
        let schema = Arc::new(Schema::new(vec![Field::new("line", kind, true)]));
        Raw.reader(&schema, &Options::default(), &Options::default()).unwrap()
    }

    fn decode(reader: &dyn RowReader, projection: &[usize], text: &'static [u8]) -> Decoded {
        reader.decoder(projection).unwrap().decode(&Bytes::from_static(text), 5).unwrap()
    }

    #[test]
    fn a_row_is_a_line_whatever_it_holds() {
        let reader = reader(DataType::Utf8);
        let decoded = decode(reader.as_ref(), &[0], b"a,\"b\r\n\n{ \xc3\xa9\nlast");
        let values: Vec<_> = decoded.rows.column(0).as_string::<i32>().iter().flatten().collect();
        assert_eq!(values, ["a,\"b\r", "", "{ é", "last"]);
        assert_eq!(decode(reader.as_ref(), &[], b"a\n\nb\n").rows.num_rows(), 3);
        assert_eq!(decode(reader.as_ref(), &[0, 0], b"a\n").rows.num_columns(), 2);
    }

    #[test]
    fn what_is_no_text_is_a_bad_row_of_a_string_and_a_value_of_bytes() {
        let text = b"a\n\xff\xfe\nb\n";
        let decoded = decode(reader(DataType::Utf8).as_ref(), &[0], text);
        assert_eq!((decoded.rows.num_rows(), decoded.bad.len(), decoded.bad[0].line), (2, 1, 6));
        let decoded = decode(reader(DataType::Binary).as_ref(), &[0], text);
        assert_eq!((decoded.rows.column(0).as_binary::<i32>().value(1), decoded.bad.len()), (&b"\xff\xfe"[..], 0));
    }

    #[test]
    fn rows_are_cut_at_line_feeds() {
        let reader = reader(DataType::Utf8);
        assert_eq!(reader.cut(b"a\nb\nc", 9, false), Cut { bytes: 4, lines: 2 });
        assert_eq!(reader.cut(b"a\nb\nc", 9, true), Cut { bytes: 5, lines: 3 });
        assert_eq!(reader.cut(b"\n\nc", 1, true), Cut { bytes: 1, lines: 1 });
        assert_eq!(reader.cut(b"abc", 9, false), Cut { bytes: 0, lines: 0 });
    }

    #[test]
    fn one_column_of_text_or_bytes_is_taken() {
        let field = |name, kind| Field::new(name, kind, true);
        let two = Arc::new(Schema::new(vec![field("a", DataType::Utf8), field("b", DataType::Utf8)]));
        let number = Arc::new(Schema::new(vec![field("a", DataType::Int64)]));
        for (schema, said) in [(two, "multiple physical columns: `a`, `b`"), (number, "STRING and BYTES")] {
            let error = Raw.reader(&schema, &Options::default(), &Options::default()).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
