//! A line a value: for rows that are wider than any screen.

use unicode_width::UnicodeWidthStr;

use super::table::escaped;
use super::{Renderer, Shape, Style, ValueWriter};
use crate::error::Result;
use crate::stream::{Changes, Zone};

/// Writes rows below each other, each with a number.
pub struct VerticalRenderer {
    shape: Shape,
    values: ValueWriter,
    names: Vec<String>,
    /// Of the widest name.
    width: usize,
    count: u64,
}

impl VerticalRenderer {
    /// No rows yet.
    pub fn new(shape: Shape, zone: Zone) -> Result<Self> {
        let names: Vec<String> = shape.schema.fields().iter().map(|field| escaped(field.name())).collect();
        let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        Ok(Self { values: ValueWriter::new(Style::Table, zone), shape, names, width, count: 0 })
    }
}

impl Renderer for VerticalRenderer {
    fn rows(&mut self, changes: &Changes, out: &mut Vec<u8>) -> Result<()> {
        let mut text = String::new();
        for row in 0..changes.len() {
            self.count += 1;
            let kind = if self.shape.is_updating { changes.kind(row).symbol() } else { "row" };
            out.extend_from_slice(format!("-[ {kind} {} ]-\n", self.count).as_bytes());
            for (name, column) in self.names.iter().zip(changes.batch().columns()) {
                text.clear();
                self.values.write(column, row, &mut text)?;
                let padding = " ".repeat(self.width - name.width());
                out.extend_from_slice(format!("{name}{padding} | {}\n", escaped(&text)).as_bytes());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::Format;
    use super::super::samples::{pipe, render, updates};

    #[test]
    fn a_line_a_value() {
        expect![[r"
            -[ row 1 ]-
            name | a
            n    | 1
            -[ row 2 ]-
            name | NULL
            n    | 1
        "]]
        .assert_eq(&render(&pipe(Format::Vertical), &[updates().slice(0, 2)], false));
        assert!(render(&pipe(Format::Vertical), &[updates()], true).contains("-[ +U 4 ]-\nname | a\nn    | 2\n"));
    }
}
