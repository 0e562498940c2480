//! Lines of JSON to Arrow columns: each line is scanned once, and each projected column is then converted at once.

use std::borrow::Cow;

use arrow::datatypes::{FieldRef, SchemaRef};
use bytes::Bytes;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::super::cells::{Cell, CellKind, Notation};
use super::super::columns::{self, Complaints, Rules};
use super::super::lines::{self, RowPlace};
use super::super::numbers::Misfit;
use super::super::{BadRow, Decoded, Decoder};
use super::scan::{self, Fields, Scanner};
use crate::error::Result;

/// What the options say about reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub rules: Rules,
    /// Whether a declared field that comes twice is an error, or its last value counts.
    pub duplicates_are_errors: bool,
    /// Whether bad rows are skipped in silence.
    pub ignorable: bool,
}

/// Decodes the projected columns of a table.
#[derive(Debug)]
pub(super) struct JsonDecoder {
    reading: Reading,
    schema: SchemaRef,
    fields: Vec<FieldRef>,
    names: Names,
    /// For each declared column, the row it was last seen in (counted from 1).
    seen: Vec<u32>,
    cells: Vec<Vec<Cell>>,
    places: Vec<RowPlace>,
}

impl JsonDecoder {
    pub fn new(reading: Reading, table: &SchemaRef, projection: &[usize]) -> Result<Self> {
        let (schema, fields) = lines::projected(table, projection)?;
        Ok(Self {
            reading,
            schema,
            cells: vec![Vec::new(); fields.len()],
            fields,
            names: Names::new(table, projection),
            seen: vec![0; table.fields().len()],
            places: Vec::new(),
        })
    }

    /// Scans one line and leaves a cell in each column.
    fn scan(&mut self, bytes: &[u8], place: RowPlace) -> Result<(), String> {
        let row = self.places.len();
        let stamp = row as u32 + 1;
        for column in &mut self.cells {
            column.push(Cell::MISSING);
        }
        let Self { names, seen, cells, reading, .. } = self;
        let duplicates_are_errors = reading.duplicates_are_errors;
        let mut fields = RowFields { names, seen, cells, bytes, row, stamp, duplicates_are_errors, twice: None };
        let scanned = Scanner::new(bytes, place.start, place.end).document(&mut fields);
        if let Some(column) = fields.twice {
            return Err(format!("column `{}`: the field comes twice", self.names.declared[column as usize]));
        }
        scanned.map_err(|fault| {
            let column = fault.at - place.start + 1;
            format!("not JSON at byte {column} of the row: {}", fault.what)
        })
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, chunk: &Bytes, first_line: u64) -> Result<Decoded> {
        lines::check_chunk(chunk)?;
        let bytes: &[u8] = chunk;
        let all_text = std::str::from_utf8(bytes).is_ok();
        let mut bad: Vec<BadRow> = Vec::new();
        self.places.clear();
        self.seen.fill(0);
        self.cells.iter_mut().for_each(Vec::clear);
        let mut start = 0;
        let mut line = first_line;
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
            let place = RowPlace { start, end, line };
            start = end + 1;
            line += 1;
            let text = &bytes[place.start..place.end];
            if text.first() != Some(&b'{') && text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let scanned = if all_text || std::str::from_utf8(text).is_ok() {
                self.scan(bytes, place)
            } else {
                Err("the row is not UTF-8".to_owned())
            };
            match scanned {
                Ok(()) => self.places.push(place),
                Err(error) => {
                    // A stamp of this row must not be taken for one of the next, which has the same number.
                    self.seen.fill(0);
                    self.cells.iter_mut().for_each(|column| column.truncate(self.places.len()));
                    bad.push(lines::bad_row(bytes, place, error, self.reading.ignorable));
                }
            }
        }
        let mut complaints = Complaints::default();
        let mut arrays = Vec::with_capacity(self.fields.len());
        for (field, cells) in self.fields.iter().zip(&self.cells) {
            let notation = JsonNotation { duplicates_are_errors: self.reading.duplicates_are_errors };
            arrays.push(columns::column(&notation, &self.reading.rules, field, bytes, cells, &mut complaints)?);
        }
        lines::assemble(bytes, &self.schema, arrays, &self.places, complaints, bad, self.reading.ignorable)
    }
}

/// Takes the fields of one row.
struct RowFields<'a> {
    names: &'a mut Names,
    seen: &'a mut [u32],
    cells: &'a mut [Vec<Cell>],
    bytes: &'a [u8],
    row: usize,
    /// What `seen` holds for the columns that this row has had.
    stamp: u32,
    duplicates_are_errors: bool,
    /// The declared column that came twice.
    twice: Option<u32>,
}

impl Fields for RowFields<'_> {
    #[inline]
    fn expect(&self, position: usize, rest: &[u8]) -> Option<usize> {
        self.names.remembered.get(position).and_then(|name| name.begins(rest))
    }

    #[inline]
    fn field(&mut self, position: usize, key: Option<Cell>, value: Cell) -> Result<(), &'static str> {
        let known = match key {
            None => self.names.remembered[position].known,
            Some(key) => self.names.look_up(position, key.text(self.bytes), key.kind()),
        };
        let Some(column) = known else {
            return Ok(());
        };
        let seen = &mut self.seen[column.declared as usize];
        if *seen == self.stamp && self.duplicates_are_errors {
            self.twice = Some(column.declared);
            return Err("the field comes twice");
        }
        *seen = self.stamp;
        for slot in self.names.slots(column) {
            self.cells[*slot as usize][self.row] = value;
        }
        Ok(())
    }
}

/// A declared column, and which slots of the projection it fills.
#[derive(Debug, Clone, Copy)]
struct Known {
    declared: u32,
    first_slot: u32,
    slots: u32,
}

/// A field name as it stood at some place of the row before, with quotes and colon, and the column that it means.
#[derive(Debug)]
struct Remembered {
    text: Vec<u8>,
    /// The first 16 bytes of `text` and the bits that they fill: most names are compared at one stroke.
    head: u128,
    mask: u128,
    known: Option<Known>,
}

impl Remembered {
    fn new(name: &[u8], known: Option<Known>) -> Self {
        let mut remembered = Self { text: Vec::new(), head: 0, mask: 0, known };
        remembered.set(name, known);
        remembered
    }

    fn set(&mut self, name: &[u8], known: Option<Known>) {
        self.text.clear();
        self.text.push(b'"');
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(b"\":");
        let length = self.text.len().min(16);
        let (mut head, mut mask) = ([0; 16], [0; 16]);
        head[..length].copy_from_slice(&self.text[..length]);
        mask[..length].fill(0xFF);
        self.head = u128::from_le_bytes(head);
        self.mask = u128::from_le_bytes(mask);
        self.known = known;
    }

    /// The length of its text, if `rest` begins with it.
    #[inline]
    fn begins(&self, rest: &[u8]) -> Option<usize> {
        let same = match rest.first_chunk::<16>() {
            Some(head) => {
                u128::from_le_bytes(*head) & self.mask == self.head
                    && (self.text.len() <= 16 || rest[16..].starts_with(&self.text[16..]))
            }
            None => rest.starts_with(&self.text),
        };
        same.then_some(self.text.len())
    }
}

/// Field names to columns. Rows of one origin have their fields in the same order nearly always, so the name of the
/// n-th field is remembered and only compared.
#[derive(Debug)]
struct Names {
    declared: Vec<String>,
    by_name: HashMap<Vec<u8>, Known>,
    /// The projection's slots, those of one column side by side.
    slots: Vec<u32>,
    remembered: Vec<Remembered>,
}

impl Names {
    fn new(table: &SchemaRef, projection: &[usize]) -> Self {
        let mut slots = Vec::with_capacity(projection.len());
        let mut by_name = HashMap::with_capacity(table.fields().len());
        for (declared, field) in table.fields().iter().enumerate() {
            let first_slot = slots.len() as u32;
            slots.extend(projection.iter().enumerate().filter(|(_, of)| **of == declared).map(|(slot, _)| slot as u32));
            let known = Known { declared: declared as u32, first_slot, slots: slots.len() as u32 - first_slot };
            by_name.insert(field.name().as_bytes().to_vec(), known);
        }
        let declared = table.fields().iter().map(|field| field.name().clone()).collect();
        Self { declared, by_name, slots, remembered: Vec::new() }
    }

    #[cold]
    fn look_up(&mut self, position: usize, name: &[u8], kind: CellKind) -> Option<Known> {
        if kind == CellKind::Escaped {
            let mut plain = Vec::new();
            scan::unescape(name, &mut plain);
            return self.by_name.get(&plain).copied();
        }
        let known = self.by_name.get(name).copied();
        // A document with thousands of fields is no regular row: do not remember without bound. Fields before this
        // one may have been passed over, so that places are filled up with this very name.
        if position < 1_000 {
            while self.remembered.len() <= position {
                self.remembered.push(Remembered::new(name, known));
            }
            self.remembered[position].set(name, known);
        }
        known
    }

    #[inline]
    fn slots(&self, known: Known) -> &[u32] {
        &self.slots[known.first_slot as usize..(known.first_slot + known.slots) as usize]
    }
}

struct JsonNotation {
    duplicates_are_errors: bool,
}

impl JsonNotation {
    /// The fields of the object at `cell`, whose grammar has been checked.
    fn object(bytes: &[u8], cell: Cell, field: impl FnMut(Cell, Cell) -> Result<(), Misfit>) -> Result<(), Misfit> {
        if cell.kind() != CellKind::Nested || cell.text(bytes).first() != Some(&b'{') {
            return Err("not an object");
        }
        let mut scanner = Scanner::new(bytes, cell.start(), cell.start() + cell.len());
        scanner.object(0, field).map_err(|fault| fault.what)
    }
}

impl Notation for JsonNotation {
    const NESTED_IN_SCRATCH: bool = false;
    const EMPTY_AS_NULL: &'static str = "";

    fn unescape(&self, text: &[u8], to: &mut Vec<u8>) {
        scan::unescape(text, to);
    }

    fn nested_text(&self, text: &[u8], to: &mut Vec<u8>) {
        scan::compact(text, to);
    }

    fn elements(&self, bytes: &[u8], cell: Cell, _: &mut Vec<u8>, to: &mut Vec<Cell>) -> Result<(), Misfit> {
        if cell.kind() != CellKind::Nested || cell.text(bytes).first() != Some(&b'[') {
            return Err("not an array");
        }
        let mut scanner = Scanner::new(bytes, cell.start(), cell.start() + cell.len());
        scanner.array(0, |element| to.push(element)).map_err(|fault| fault.what)
    }

    fn entries(&self, bytes: &[u8], cell: Cell, to: &mut Vec<Cell>) -> Result<(), Misfit> {
        let mut known = HashMap::new();
        Self::object(bytes, cell, |key, value| {
            let place = to.len();
            match known.entry(plain_text(bytes, key)) {
                Entry::Occupied(_) if self.duplicates_are_errors => return Err("a key comes twice"),
                Entry::Occupied(earlier) => to[*earlier.get() + 1] = value,
                Entry::Vacant(new) => {
                    new.insert(place);
                    to.extend([key, value]);
                }
            }
            Ok(())
        })
    }

    fn fields(
        &self,
        bytes: &[u8],
        cell: Cell,
        names: &[String],
        _: &mut Vec<u8>,
        to: &mut Vec<Cell>,
    ) -> Result<(), Misfit> {
        let start = to.len();
        to.resize(start + names.len(), Cell::MISSING);
        let found = Self::object(bytes, cell, |key, value| {
            let name = plain_text(bytes, key);
            if let Some(field) = names.iter().position(|known| known.as_bytes() == &name[..]) {
                if to[start + field].kind() != CellKind::Missing && self.duplicates_are_errors {
                    return Err("a field comes twice");
                }
                to[start + field] = value;
            }
            Ok(())
        });
        if found.is_err() {
            to.truncate(start);
        }
        found
    }
}

/// What a key means, its escapes resolved.
fn plain_text(bytes: &[u8], key: Cell) -> Cow<'_, [u8]> {
    if key.kind() != CellKind::Escaped {
        return Cow::Borrowed(key.text(bytes));
    }
    let mut plain = Vec::new();
    scan::unescape(key.text(bytes), &mut plain);
    Cow::Owned(plain)
}
