//! Rows of csv to Arrow columns: each row is scanned once, and each projected column is then converted at once.

use arrow::datatypes::{FieldRef, SchemaRef};
use bytes::Bytes;

use super::super::cells::{Cell, CellKind, Notation};
use super::super::columns::{self, Complaints, Rules};
use super::super::lines::{self, RowPlace};
use super::super::numbers::Misfit;
use super::super::{BadRow, Decoded, Decoder};
use super::scan::Dialect;
use crate::error::Result;

/// What the options say about reading.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub dialect: Dialect,
    pub rules: Rules,
    /// The text that stands for NULL.
    pub null_literal: Option<Vec<u8>>,
    /// Between the elements of an ARRAY or the fields of a ROW.
    pub element_delimiter: Vec<u8>,
}

/// Decodes the projected columns of a table.
#[derive(Debug)]
pub(super) struct CsvDecoder {
    notation: Reading,
    schema: SchemaRef,
    fields: Vec<FieldRef>,
    /// Columns of the table.
    columns: usize,
    /// For each column of the table, the slots of the projection that it fills.
    slots: Vec<Vec<u32>>,
    cells: Vec<Vec<Cell>>,
    places: Vec<RowPlace>,
}

impl CsvDecoder {
    pub fn new(notation: Reading, table: &SchemaRef, projection: &[usize]) -> Result<Self> {
        let (schema, fields) = lines::projected(table, projection)?;
        let slots = (0..table.fields().len())
            .map(|column| (0..projection.len() as u32).filter(|slot| projection[*slot as usize] == column).collect())
            .collect();
        Ok(Self {
            notation,
            schema,
            cells: vec![Vec::new(); fields.len()],
            fields,
            columns: table.fields().len(),
            slots,
            places: Vec::new(),
        })
    }

    /// What is wrong with the number of fields of a row whose last field is `last_is_empty`.
    fn check_width(&self, fields: usize, last_is_empty: bool) -> Result<(), String> {
        let expected = self.columns;
        // A delimiter at the very end of a row is no further column.
        if fields == expected || (fields == expected + 1 && last_is_empty) {
            return Ok(());
        }
        if fields < expected && self.notation.rules.null_on_error {
            return Ok(());
        }
        let help = if fields > expected { " (the table has to declare all of them, in their order)" } else { "" };
        Err(format!("row length mismatch: {expected} fields expected but there are {fields}{help}"))
    }
}

impl Decoder for CsvDecoder {
    fn decode(&mut self, chunk: &Bytes, first_line: u64) -> Result<Decoded> {
        lines::check_chunk(chunk)?;
        let bytes: &[u8] = chunk;
        let all_text = std::str::from_utf8(bytes).is_ok();
        let ignorable = self.notation.rules.null_on_error;
        let mut bad: Vec<BadRow> = Vec::new();
        self.places.clear();
        self.cells.iter_mut().for_each(Vec::clear);
        let mut start = 0;
        let mut line = first_line;
        while start < bytes.len() {
            if self.notation.dialect.is_comment(bytes, start) {
                start = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length + 1);
                line += 1;
                continue;
            }
            for column in &mut self.cells {
                column.push(Cell::MISSING);
            }
            let row = self.places.len();
            let (slots, cells) = (&self.slots, &mut self.cells);
            let mut last = Cell::MISSING;
            let end = self.notation.dialect.row(bytes, start, |field, cell| {
                for slot in slots.get(field).into_iter().flatten() {
                    cells[*slot as usize][row] = cell;
                }
                last = cell;
            });
            let place = RowPlace { start, end: end.end, line };
            start = end.next;
            line += end.lines;
            let checked = match end.fault {
                Some(fault) => Err(fault.to_owned()),
                None => self.check_width(end.fields, last.len() == 0).and_then(|()| {
                    let is_text = all_text || std::str::from_utf8(&bytes[place.start..place.end]).is_ok();
                    if is_text { Ok(()) } else { Err("the row is not UTF-8".to_owned()) }
                }),
            };
            match checked {
                Ok(()) => self.places.push(place),
                Err(error) => {
                    self.cells.iter_mut().for_each(|column| column.truncate(row));
                    bad.push(lines::bad_row(bytes, place, error, ignorable));
                }
            }
        }
        if self.notation.null_literal.is_some() {
            for cell in self.cells.iter_mut().flatten() {
                if self.notation.is_null(bytes, *cell) {
                    *cell = Cell::NULL;
                }
            }
        }
        let mut complaints = Complaints::default();
        let mut arrays = Vec::with_capacity(self.fields.len());
        for (field, cells) in self.fields.iter().zip(&self.cells) {
            arrays.push(columns::column(&self.notation, &self.notation.rules, field, bytes, cells, &mut complaints)?);
        }
        lines::assemble(bytes, &self.schema, arrays, &self.places, complaints, bad, ignorable)
    }
}

impl Reading {
    /// Whether a cell holds the text that stands for NULL, in quotes or not.
    fn is_null(&self, bytes: &[u8], cell: Cell) -> bool {
        let Some(literal) = &self.null_literal else {
            return false;
        };
        match cell.kind() {
            CellKind::Text => cell.text(bytes) == literal,
            CellKind::Escaped => {
                let mut text = Vec::new();
                self.dialect.unescape(cell.text(bytes), &mut text);
                text == *literal
            }
            _ => false,
        }
    }

    /// Appends the parts of a text to `scratch` and a cell for each to `to`.
    fn split(&self, bytes: &[u8], cell: Cell, scratch: &mut Vec<u8>, to: &mut Vec<Cell>) {
        let start = scratch.len();
        match cell.kind() {
            CellKind::Escaped => self.dialect.unescape(cell.text(bytes), scratch),
            _ => scratch.extend_from_slice(cell.text(bytes)),
        }
        if scratch.len() == start {
            return;
        }
        let first = to.len();
        let mut at = start;
        for found in memchr::memmem::find_iter(&scratch[start..], &self.element_delimiter) {
            to.push(Cell::new(CellKind::Text, at, start + found));
            at = start + found + self.element_delimiter.len();
        }
        to.push(Cell::new(CellKind::Text, at, scratch.len()));
        for part in &mut to[first..] {
            if self.is_null(scratch, *part) {
                *part = Cell::NULL;
            }
        }
    }
}

impl Notation for Reading {
    const NESTED_IN_SCRATCH: bool = true;
    const EMPTY_AS_NULL: &'static str = "; with 'csv.null-literal' = '' in the table's options it is NULL";

    fn unescape(&self, text: &[u8], to: &mut Vec<u8>) {
        self.dialect.unescape(text, to);
    }

    fn nested_text(&self, text: &[u8], to: &mut Vec<u8>) {
        to.extend_from_slice(text);
    }

    fn elements(&self, bytes: &[u8], cell: Cell, scratch: &mut Vec<u8>, to: &mut Vec<Cell>) -> Result<(), Misfit> {
        self.split(bytes, cell, scratch, to);
        Ok(())
    }

    fn entries(&self, _bytes: &[u8], _cell: Cell, _to: &mut Vec<Cell>) -> Result<(), Misfit> {
        Err("csv has no MAP")
    }

    fn fields(
        &self,
        bytes: &[u8],
        cell: Cell,
        names: &[String],
        scratch: &mut Vec<u8>,
        to: &mut Vec<Cell>,
    ) -> Result<(), Misfit> {
        let start = to.len();
        self.split(bytes, cell, scratch, to);
        let found = to.len() - start;
        if found == names.len() || (self.rules.null_on_error && found > 0) {
            to.resize(start + names.len(), Cell::MISSING);
            return Ok(());
        }
        to.truncate(start);
        Err("the number of fields is another")
    }
}
