//! JSON: an object a line as rows come, or one array for a query that ends. An updating query's objects lead with `op`.

use super::value::write_json_string;
use super::{Renderer, Shape, Style, ValueWriter};
use crate::error::Result;
use crate::stream::{Changes, Zone};

/// Writes objects.
pub struct JsonRenderer {
    is_array: bool,
    is_updating: bool,
    values: ValueWriter,
    /// `"name":` per column, with the comma before it where one belongs.
    names: Vec<String>,
    /// Objects so far.
    count: u64,
    line: String,
}

impl JsonRenderer {
    /// An object a line.
    pub fn lines(shape: Shape, zone: Zone) -> Result<Self> {
        Self::new(false, shape, zone)
    }

    /// One array.
    pub fn array(shape: Shape, zone: Zone) -> Result<Self> {
        Self::new(true, shape, zone)
    }

    fn new(is_array: bool, shape: Shape, zone: Zone) -> Result<Self> {
        let names = shape.schema.fields().iter().enumerate().map(|(index, field)| {
            let mut name = if index > 0 || shape.is_updating { ",".to_owned() } else { String::new() };
            write_json_string(&mut name, field.name());
            name.push(':');
            name
        });
        Ok(Self {
            is_array,
            is_updating: shape.is_updating,
            values: ValueWriter::new(Style::Json, zone),
            names: names.collect(),
            count: 0,
            line: String::new(),
        })
    }
}

impl Renderer for JsonRenderer {
    fn rows(&mut self, changes: &Changes, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..changes.len() {
            self.line.clear();
            if self.is_array {
                self.line.push_str(if self.count == 0 { "[\n" } else { ",\n" });
            }
            self.line.push('{');
            if self.is_updating {
                self.line.push_str("\"op\":\"");
                self.line.push_str(changes.kind(row).symbol());
                self.line.push('"');
            }
            for (name, column) in self.names.iter().zip(changes.batch().columns()) {
                self.line.push_str(name);
                self.values.write(column, row, &mut self.line)?;
            }
            self.line.push('}');
            if !self.is_array {
                self.line.push('\n');
            }
            out.extend_from_slice(self.line.as_bytes());
            self.count += 1;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.is_array {
            out.extend_from_slice(if self.count == 0 { b"[]\n" } else { b"\n]\n" });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::samples::{pipe, render, updates};

    #[test]
    fn a_line_an_object() {
        assert_eq!(
            render(&pipe(Format::Ndjson), &[updates()], true),
            "{\"op\":\"+I\",\"name\":\"a\",\"n\":1}\n{\"op\":\"+I\",\"name\":null,\"n\":1}\n\
             {\"op\":\"-U\",\"name\":\"a\",\"n\":1}\n{\"op\":\"+U\",\"name\":\"a\",\"n\":2}\n"
        );
        assert!(render(&pipe(Format::Ndjson), &[updates()], false).starts_with("{\"name\":\"a\",\"n\":1}\n"));
    }

    #[test]
    fn an_array_parses_as_one_document() {
        let updates = updates();
        let text = render(&pipe(Format::Json), &[updates.slice(0, 2), updates.slice(2, 2)], true);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document.as_array().unwrap().len(), 4);
        assert_eq!(document[3]["op"], "+U");
        assert_eq!(render(&pipe(Format::Json), &[updates.slice(0, 0)], true), "[]\n");
    }
}
