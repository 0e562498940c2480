//! csv and tsv: a header, then a line a row. NULL is empty and the empty string is `""`, so that both survive.

use arrow::array::Array;

use super::{Renderer, Shape, Style, ValueWriter};
use crate::error::Result;
use crate::stream::{Changes, Zone};

/// Writes fields between separators.
pub struct CsvRenderer {
    separator: u8,
    shape: Shape,
    values: ValueWriter,
    has_header: bool,
    field: String,
}

impl CsvRenderer {
    /// A renderer with `,` or a tab between fields.
    pub fn new(separator: u8, shape: Shape, zone: Zone) -> Result<Self> {
        let values = ValueWriter::new(Style::Csv, zone);
        Ok(Self { separator, shape, values, has_header: false, field: String::new() })
    }

    fn header(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_header, true) {
            return;
        }
        let mut names: Vec<&str> = self.shape.schema.fields().iter().map(|field| field.name().as_str()).collect();
        if self.shape.is_updating {
            names.insert(0, "op");
        }
        for (index, name) in names.into_iter().enumerate() {
            if index > 0 {
                out.push(self.separator);
            }
            write_field(name, self.separator, out);
        }
        out.push(b'\n');
    }
}

impl Renderer for CsvRenderer {
    fn rows(&mut self, changes: &Changes, out: &mut Vec<u8>) -> Result<()> {
        self.header(out);
        for row in 0..changes.len() {
            if self.shape.is_updating {
                out.extend_from_slice(changes.kind(row).symbol().as_bytes());
            }
            for (index, column) in changes.batch().columns().iter().enumerate() {
                if index > 0 || self.shape.is_updating {
                    out.push(self.separator);
                }
                if !column.is_null(row) {
                    self.field.clear();
                    self.values.write(column, row, &mut self.field)?;
                    write_field(&self.field, self.separator, out);
                }
            }
            out.push(b'\n');
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.header(out);
    }
}

/// Quotes a field where a reader would misread it.
fn write_field(field: &str, separator: u8, out: &mut Vec<u8>) {
    let needs_quotes =
        field.is_empty() || field.bytes().any(|byte| byte == separator || matches!(byte, b'"' | b'\n' | b'\r'));
    if needs_quotes {
        out.push(b'"');
        out.extend_from_slice(field.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(field.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::samples::{batch, pipe, render, updates};
    use super::*;

    #[test]
    fn an_updating_query_leads_with_op() {
        assert_eq!(render(&pipe(Format::Csv), &[updates()], true), "op,name,n\n+I,a,1\n+I,,1\n-U,a,1\n+U,a,2\n");
    }

    #[test]
    fn null_is_empty_and_the_empty_string_is_not() {
        let rows = Changes::inserts(batch(&[None, Some(""), Some("a,b"), Some("say \"x\"\n")], &[1, 2, 3, 4]));
        assert_eq!(
            render(&pipe(Format::Csv), std::slice::from_ref(&rows), false),
            "name,n\n,1\n\"\",2\n\"a,b\",3\n\"say \"\"x\"\"\n\",4\n"
        );
        assert!(render(&pipe(Format::Tsv), &[rows], false).starts_with("name\tn\n\t1\n\"\"\t2\na,b\t3\n"));
    }

    #[test]
    fn the_header_is_there_without_rows() {
        assert_eq!(render(&pipe(Format::Csv), &[updates().slice(0, 0)], true), "op,name,n\n");
    }
}
