//! A table for people. Widths are chosen from the first rows; a wider value that comes later widens its column from
//! there on, below a new rule. On a terminal values are cut at a width and a bounded result at a number of rows,
//! and both say so.

use arrow::array::Array;
use arrow::datatypes::DataType;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Look, Renderer, Shape, Style, ValueWriter};
use crate::error::Result;
use crate::stream::Changes;

/// So many rows of a bounded result are held back to choose widths from.
const SAMPLE_ROWS: usize = 1_000;

/// Writes columns in a frame.
pub struct TableRenderer {
    shape: Shape,
    values: ValueWriter,
    columns: Vec<Column>,
    /// Values wider than this are cut; `None` in a pipe.
    cut_at: Option<usize>,
    /// Rows after these are only counted; `None` in a pipe and for endless results.
    max_rows: Option<usize>,
    has_colour: bool,
    has_header: bool,
    /// Rows that wait for widths.
    sample: Vec<Vec<Cell>>,
    shown: usize,
    hidden: usize,
}

struct Column {
    name: String,
    width: usize,
    is_number: bool,
}

struct Cell {
    text: String,
    width: usize,
    is_null: bool,
}

impl TableRenderer {
    /// An empty table.
    pub fn new(look: &Look, shape: Shape) -> Result<Self> {
        let mut columns = Vec::new();
        if shape.is_updating {
            columns.push(Column { name: "op".to_owned(), width: 2, is_number: false });
        }
        for field in shape.schema.fields() {
            let name = escaped(field.name());
            let width = name.width().max(1);
            columns.push(Column { name, width, is_number: is_number(field.data_type()) });
        }
        Ok(Self {
            values: ValueWriter::new(Style::Table, look.zone),
            columns,
            cut_at: look.is_terminal.then_some(look.max_column_width),
            max_rows: look.max_rows.filter(|_| look.is_terminal && shape.is_bounded),
            has_colour: look.has_colour,
            has_header: false,
            sample: Vec::new(),
            shown: 0,
            hidden: 0,
            shape,
        })
    }

    fn cells(&self, changes: &Changes, row: usize) -> Result<Vec<Cell>> {
        let mut cells = Vec::with_capacity(self.columns.len());
        if self.shape.is_updating {
            cells.push(Cell { text: changes.kind(row).symbol().to_owned(), width: 2, is_null: false });
        }
        for column in changes.batch().columns() {
            let mut text = String::new();
            self.values.write(column, row, &mut text)?;
            text = escaped(&text);
            let mut width = text.width();
            if let Some(limit) = self.cut_at
                && width > limit
            {
                (text, width) = cut(&text, limit);
            }
            cells.push(Cell { text, width, is_null: column.is_null(row) });
        }
        Ok(cells)
    }

    /// Widens columns to `cells`; whether any grew.
    fn widen(&mut self, cells: &[Cell]) -> bool {
        let mut grew = false;
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            if cell.width > column.width {
                column.width = cell.width;
                grew = true;
            }
        }
        grew
    }

    fn rule(&self, out: &mut Vec<u8>) {
        for column in &self.columns {
            out.push(b'+');
            out.resize(out.len() + column.width + 2, b'-');
        }
        out.extend_from_slice(b"+\n");
    }

    fn header(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_header, true) {
            return;
        }
        self.rule(out);
        for column in &self.columns {
            out.extend_from_slice(b"| ");
            self.pad(&column.name, column.name.width(), column.width, column.is_number, Some("\u{1b}[1m"), out);
            out.push(b' ');
        }
        out.extend_from_slice(b"|\n");
        self.rule(out);
    }

    fn line(&mut self, cells: &[Cell], out: &mut Vec<u8>) {
        for (column, cell) in self.columns.iter().zip(cells) {
            out.extend_from_slice(b"| ");
            let dimmed = cell.is_null.then_some("\u{1b}[2m");
            self.pad(&cell.text, cell.width, column.width, column.is_number, dimmed, out);
            out.push(b' ');
        }
        out.extend_from_slice(b"|\n");
        self.shown += 1;
    }

    fn pad(&self, text: &str, width: usize, to: usize, right: bool, colour: Option<&str>, out: &mut Vec<u8>) {
        let spaces = to.saturating_sub(width);
        if right {
            out.resize(out.len() + spaces, b' ');
        }
        match colour.filter(|_| self.has_colour) {
            Some(colour) => {
                out.extend_from_slice(colour.as_bytes());
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(b"\x1b[0m");
            }
            None => out.extend_from_slice(text.as_bytes()),
        }
        if !right {
            out.resize(out.len() + spaces, b' ');
        }
    }

    /// Shows the sample with widths that fit all of it.
    fn release(&mut self, out: &mut Vec<u8>) {
        let sample = std::mem::take(&mut self.sample);
        let mut grew = false;
        for cells in &sample {
            grew |= self.widen(cells);
        }
        if grew && self.has_header {
            self.rule(out);
        }
        self.header(out);
        for cells in &sample {
            self.line(cells, out);
        }
    }
}

impl Renderer for TableRenderer {
    fn rows(&mut self, changes: &Changes, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..changes.len() {
            if self.max_rows.is_some_and(|limit| self.shown + self.sample.len() >= limit) {
                self.hidden += changes.len() - row;
                break;
            }
            let cells = self.cells(changes, row)?;
            self.sample.push(cells);
            if self.sample.len() >= SAMPLE_ROWS {
                self.release(out);
            }
        }
        // Once there are widths, and where somebody watches an endless result, rows are shown as they come.
        if !self.sample.is_empty() && (self.has_header || !self.shape.is_bounded) {
            self.release(out);
        }
        Ok(())
    }

    fn pause(&mut self, out: &mut Vec<u8>) {
        if !self.sample.is_empty() {
            self.release(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(out);
        self.rule(out);
        if self.hidden > 0 {
            out.extend_from_slice(
                format!("{} more rows are not shown; --max-rows 0 shows all\n", self.hidden).as_bytes(),
            );
        }
    }
}

pub fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Control characters as escapes: a value must not move the cursor, nor break the line.
pub fn escaped(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .map(|character| if character.is_control() { character.escape_default().to_string() } else { character.into() })
        .collect()
}

/// The beginning of `text`, `limit` columns wide at most, with `…` as its last.
pub fn cut(text: &str, limit: usize) -> (String, usize) {
    let (mut kept, mut width) = (String::new(), 0);
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if width + wide + 1 > limit {
            break;
        }
        kept.push(character);
        width += wide;
    }
    kept.push('…');
    (kept, width + 1)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::samples::{batch, pipe, render, updates};
    use super::super::{Format, renderer};
    use super::*;

    fn terminal() -> Look {
        Look { is_terminal: true, max_column_width: 6, ..pipe(Format::Table) }
    }

    #[test]
    fn an_updating_query() {
        expect![[r"
            +----+------+---+
            | op | name | n |
            +----+------+---+
            | +I | a    | 1 |
            | +I | NULL | 1 |
            | -U | a    | 1 |
            | +U | a    | 2 |
            +----+------+---+
        "]]
        .assert_eq(&render(&pipe(Format::Table), &[updates()], true));
    }

    #[test]
    fn wide_characters_control_characters_and_cuts() {
        let rows = Changes::inserts(batch(&[Some("日本語日本"), Some("a\u{1b}[m"), Some("abcdefg")], &[1, 20, 300]));
        expect![[r"
            +--------+-----+
            | name   |   n |
            +--------+-----+
            | 日本…  |   1 |
            | a\u{1… |  20 |
            | abcde… | 300 |
            +--------+-----+
        "]]
        .assert_eq(&render(&terminal(), &[rows], false));
    }

    #[test]
    fn a_column_that_widens_gets_a_rule() {
        let shape = Shape { schema: updates().schema(), is_updating: false, is_bounded: false };
        let mut renderer = renderer(&pipe(Format::Table), shape).unwrap();
        let mut out = Vec::new();
        for names in [&[Some("a")], &[Some("abcdefgh")], &[Some("b")]] {
            renderer.rows(&Changes::inserts(batch(names, &[1])), &mut out).unwrap();
        }
        renderer.finish(&mut out);
        expect![[r"
            +------+---+
            | name | n |
            +------+---+
            | a    | 1 |
            +----------+---+
            | abcdefgh | 1 |
            | b        | 1 |
            +----------+---+
        "]]
        .assert_eq(&String::from_utf8(out).unwrap());
    }

    #[test]
    fn a_capped_result_says_so() {
        let look = Look { max_rows: Some(2), has_colour: true, ..terminal() };
        let text = render(&look, &[updates()], false);
        assert!(text.ends_with("2 more rows are not shown; --max-rows 0 shows all\n"), "{text}");
        assert!(text.contains("\u{1b}[2mNULL\u{1b}[0m"), "{text}");
    }
}
