//! Rows to text. A renderer takes batches as they come and fills a buffer, which the caller writes to stdout at once.
//!
//! Rows of an updating query lead with a column `op`. Only a table on a terminal is ever cut or coloured.

mod chart;
mod csv;
mod markdown;
mod ndjson;
mod paged;
mod raw;
mod table;
mod value;
mod vertical;

pub use chart::chart_lines;
pub use paged::PagedRenderer;
pub use table::{cut, escaped, is_number};
pub use value::{Style, ValueWriter};

use arrow::datatypes::SchemaRef;
use clap::ValueEnum;

use crate::error::{Error, Result};
use crate::stream::{Changes, Zone};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table on a terminal, ndjson otherwise
    Auto,
    /// Columns in a frame, for people
    Table,
    /// Comma-separated, with a header; NULL is empty, the empty string is ""
    Csv,
    /// The same, separated by tabs
    Tsv,
    /// A JSON object a line
    Ndjson,
    /// One JSON array; bounded queries only
    Json,
    /// A table in Markdown
    Markdown,
    /// A line a value
    Vertical,
    /// The changes of a query in a table, as with --changes
    Changelog,
    /// The values of one column as they are, without a header
    Raw,
    /// Bars for labels and their numbers, lines for numbers over a time
    Chart,
}

impl Format {
    /// The names of all, as flags and commands take them.
    pub fn names() -> impl Iterator<Item = String> {
        Self::value_variants().iter().map(|format| format.name())
    }

    /// The format of this name.
    pub fn named(name: &str) -> Result<Self> {
        Self::from_str(name, true).map_err(|_| {
            Error::query(format!("there is no format {name}"))
                .with_help(format!("there are {}", Self::names().collect::<Vec<_>>().join(", ")))
        })
    }

    /// Its name.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// How the output looks, whatever the query.
#[derive(Debug, Clone)]
pub struct Look {
    /// The format asked for.
    pub format: Format,
    /// Whether rows go to a terminal.
    pub is_terminal: bool,
    /// Whether they may be coloured.
    pub has_colour: bool,
    /// Rows of a bounded query shown on a terminal; `None`: all.
    pub max_rows: Option<usize>,
    /// Columns that there are for a chart.
    pub width: usize,
    /// The widest value shown on a terminal.
    pub max_column_width: usize,
    /// The zone in which a table shows instants.
    pub zone: Zone,
}

/// What is shown.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// Whether rows can be taken back.
    pub is_updating: bool,
    /// Whether the rows come to an end.
    pub is_bounded: bool,
}

/// Writes the rows of one result.
pub trait Renderer: Send {
    /// Appends rows.
    fn rows(&mut self, changes: &Changes, out: &mut Vec<u8>) -> Result<()>;
    /// Nothing has come for a while: what was held back to choose widths has to be shown.
    fn pause(&mut self, _out: &mut Vec<u8>) {}
    /// The result is complete.
    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

/// A renderer of one result.
pub fn renderer(look: &Look, shape: Shape) -> Result<Box<dyn Renderer>> {
    Ok(match look.resolved() {
        Format::Auto | Format::Table | Format::Changelog => Box::new(table::TableRenderer::new(look, shape)?),
        Format::Csv => Box::new(csv::CsvRenderer::new(b',', shape, look.zone)?),
        Format::Tsv => Box::new(csv::CsvRenderer::new(b'\t', shape, look.zone)?),
        Format::Ndjson => Box::new(ndjson::JsonRenderer::lines(shape, look.zone)?),
        Format::Json if !shape.is_bounded => {
            return Err(Error::query("--format json writes one array, and this query never ends")
                .with_help("use --format ndjson: an object a line, as rows come"));
        }
        Format::Json => Box::new(ndjson::JsonRenderer::array(shape, look.zone)?),
        Format::Markdown => Box::new(markdown::MarkdownRenderer::new(shape, look.zone)?),
        Format::Vertical => Box::new(vertical::VerticalRenderer::new(shape, look.zone)?),
        Format::Raw => Box::new(raw::RawRenderer::new(&shape, look.zone)?),
        Format::Chart => Box::new(chart::ChartRenderer::new(&shape, look.zone, look.width)?),
    })
}

impl Look {
    /// The format, once it is known where the rows go.
    pub fn resolved(&self) -> Format {
        match self.format {
            Format::Auto if self.is_terminal => Format::Table,
            Format::Auto => Format::Ndjson,
            chosen => chosen,
        }
    }
}

#[cfg(test)]
pub mod samples {
    //! Rows that the tests of all renderers share.

    use super::{Format, Look, Shape, renderer};
    pub use crate::session::samples::{batch, updates};
    use crate::stream::{Changes, Zone};

    pub fn pipe(format: Format) -> Look {
        let zone = Zone::UTC;
        Look { format, is_terminal: false, has_colour: false, max_rows: None, width: 80, max_column_width: 30, zone }
    }

    pub fn render(look: &Look, batches: &[Changes], is_updating: bool) -> String {
        let shape = Shape { schema: batches[0].schema(), is_updating, is_bounded: true };
        let mut renderer = renderer(look, shape).unwrap();
        let mut out = Vec::new();
        batches.iter().for_each(|changes| renderer.rows(changes, &mut out).unwrap());
        renderer.finish(&mut out);
        String::from_utf8(out).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{batch, pipe, updates};
    use super::*;

    #[test]
    fn auto_is_a_table_on_a_terminal_and_ndjson_in_a_pipe() {
        let mut look = pipe(Format::Auto);
        assert_eq!(look.resolved(), Format::Ndjson);
        look.is_terminal = true;
        assert_eq!(look.resolved(), Format::Table);
    }

    #[test]
    fn an_array_needs_an_end() {
        let shape = Shape { schema: updates().schema(), is_updating: true, is_bounded: false };
        assert!(renderer(&pipe(Format::Json), shape).err().unwrap().to_string().contains("ndjson"));
    }

    #[test]
    fn no_format_cuts_or_colours_in_a_pipe() {
        let long = "x".repeat(500);
        let rows = Changes::inserts(batch(&vec![Some(long.as_str()); 2_000], &vec![1; 2_000]));
        use Format::{Changelog, Csv, Json, Markdown, Ndjson, Table, Tsv, Vertical};
        for format in [Table, Csv, Tsv, Ndjson, Json, Markdown, Vertical, Changelog] {
            let text = samples::render(&pipe(format), std::slice::from_ref(&rows), false);
            assert_eq!(text.matches(&long).count(), 2_000, "{format:?}");
            assert!(!text.contains('\u{1b}'), "{format:?}");
        }
    }
}
