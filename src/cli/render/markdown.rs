//! A table in Markdown, for a page or a message: a row a line, numbers to the right, `|` escaped.

use super::table::{escaped, is_number};
use super::{Renderer, Shape, Style, ValueWriter};
use crate::error::Result;
use crate::stream::{Changes, Zone};

/// Writes lines of cells.
pub struct MarkdownRenderer {
    shape: Shape,
    values: ValueWriter,
    has_header: bool,
}

impl MarkdownRenderer {
    /// An empty table.
    pub fn new(shape: Shape, zone: Zone) -> Result<Self> {
        Ok(Self { values: ValueWriter::new(Style::Table, zone), shape, has_header: false })
    }

    fn header(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_header, true) {
            return;
        }
        let (mut names, mut rule) = (String::from("|"), String::from("|"));
        if self.shape.is_updating {
            names.push_str(" op |");
            rule.push_str("---|");
        }
        for field in self.shape.schema.fields() {
            names.push_str(&format!(" {} |", cell(field.name())));
            rule.push_str(if is_number(field.data_type()) { "---:|" } else { "---|" });
        }
        out.extend_from_slice(format!("{names}\n{rule}\n").as_bytes());
    }
}

impl Renderer for MarkdownRenderer {
    fn rows(&mut self, changes: &Changes, out: &mut Vec<u8>) -> Result<()> {
        self.header(out);
        let mut text = String::new();
        for row in 0..changes.len() {
            out.push(b'|');
            if self.shape.is_updating {
                out.extend_from_slice(format!(" {} |", changes.kind(row).symbol()).as_bytes());
            }
            for column in changes.batch().columns() {
                text.clear();
                self.values.write(column, row, &mut text)?;
                out.extend_from_slice(format!(" {} |", cell(&text)).as_bytes());
            }
            out.push(b'\n');
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.header(out);
    }
}

fn cell(text: &str) -> String {
    escaped(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::Format;
    use super::super::samples::{batch, pipe, render, updates};
    use crate::stream::Changes;

    #[test]
    fn lines_of_cells() {
        let rows = Changes::inserts(batch(&[Some("a|b"), None, Some("two\nlines")], &[1, 20, 3]));
        expect![[r"
            | name | n |
            |---|---:|
            | a\|b | 1 |
            | NULL | 20 |
            | two\nlines | 3 |
        "]]
        .assert_eq(&render(&pipe(Format::Markdown), &[rows], false));
        assert!(render(&pipe(Format::Markdown), &[updates()], true).contains("| -U | a | 1 |\n"));
    }
}
