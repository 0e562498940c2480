//! The values of one column as they are, a line each: no header, no quotes, nothing for NULL.

use arrow::array::Array;

use super::{Renderer, Shape, Style, ValueWriter};
use crate::error::{Error, Result};
use crate::stream::{Changes, Zone};

/// Writes bare values.
pub struct RawRenderer {
    values: ValueWriter,
    line: String,
}

impl RawRenderer {
    /// A renderer for one column of rows that stay.
    pub fn new(shape: &Shape, zone: Zone) -> Result<Self> {
        let columns = shape.schema.fields().len();
        if columns != 1 {
            return Err(Error::query(format!("--format raw writes one column, and this query has {columns}"))
                .with_help("select one, or use --format csv"));
        }
        if shape.is_updating {
            return Err(Error::query("--format raw has no place for changes, and those are what comes here")
                .with_help("use --format csv or ndjson: each row then leads with its change"));
        }
        Ok(Self { values: ValueWriter::new(Style::Csv, zone), line: String::new() })
    }
}

impl Renderer for RawRenderer {
    fn rows(&mut self, changes: &Changes, out: &mut Vec<u8>) -> Result<()> {
        let column = changes.column(0);
        for row in 0..changes.len() {
            self.line.clear();
            if !column.is_null(row) {
                self.values.write(column, row, &mut self.line)?;
            }
            self.line.push('\n');
            out.extend_from_slice(self.line.as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{batch, pipe, render, updates};
    use super::super::{Format, Shape, renderer};
    use crate::stream::Changes;

    #[test]
    fn values_as_they_are() {
        let rows = batch(&[Some("a, \"b\""), None, Some("")], &[1, 2, 3]).project(&[0]).unwrap();
        assert_eq!(render(&pipe(Format::Raw), &[Changes::inserts(rows)], false), "a, \"b\"\n\n\n");
    }

    #[test]
    fn one_column_that_stays() {
        let schema = updates().schema();
        let refused = |shape| renderer(&pipe(Format::Raw), shape).err().unwrap().to_string();
        let two = Shape { schema: schema.clone(), is_updating: false, is_bounded: true };
        assert!(refused(two).contains("this query has 2"));
        let one = std::sync::Arc::new(schema.project(&[0]).unwrap());
        assert!(refused(Shape { schema: one, is_updating: true, is_bounded: false }).contains("no place for changes"));
    }
}
