//! Cells to Arrow columns, one column at a time, with every value that does not fit reported by row.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, MapArray, NullBufferBuilder, PrimitiveArray,
    StringArray, StructArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, FieldRef, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};

use super::base64;
use super::cells::{Cell, CellKind, Notation};
use super::numbers::{self, Excess, Misfit};
use super::times::{self, Shortened, Standard};
use crate::error::{Error, Result};

/// How text becomes values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How timestamps are spelled.
    pub standard: Standard,
    /// Which shorter dates and times are read.
    pub shortened: Shortened,
    /// Whether spaces around dates, times, bytes and booleans do not matter.
    pub trim: bool,
    /// Whether `1e3` and `1.0` are whole numbers.
    pub exact_integers: bool,
    /// What becomes of digits that a whole number has no room for.
    pub integer_excess: Excess,
    /// What becomes of digits that a DECIMAL has no room for.
    pub decimal_excess: Excess,
    /// Whether a value that does not fit is NULL (`ignore-parse-errors`) instead of making the row a bad one.
    pub null_on_error: bool,
    /// Whether an absent field makes the row a bad one.
    pub missing_is_error: bool,
}

/// What was wrong with rows, by their number within the chunk; the first complaint about a row stays.
#[derive(Debug, Default)]
pub(super) struct Complaints(BTreeMap<u32, String>);

impl Complaints {
    pub fn add(&mut self, row: u32, message: impl FnOnce() -> String) {
        self.0.entry(row).or_insert_with(message);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, row: u32) -> bool {
        self.0.contains_key(&row)
    }

    pub fn into_rows(self) -> BTreeMap<u32, String> {
        self.0
    }
}

/// Makes the column `field` from one cell a row. `complaints` learns of the rows whose value does not fit; such a
/// row holds NULL, or nothing sensible, and must be taken out.
pub(super) fn column<N: Notation>(
    notation: &N,
    rules: &Rules,
    field: &FieldRef,
    bytes: &[u8],
    cells: &[Cell],
    complaints: &mut Complaints,
) -> Result<ArrayRef> {
    let mut reader = Reader { notation, rules, column: field.name(), bytes, complaints };
    let array = reader.array(field.data_type(), cells, &Rows::Same)?;
    if !field.is_nullable() && array.null_count() > 0 {
        for row in 0..array.len() {
            if array.is_null(row) {
                reader.complaints.add(row as u32, || {
                    format!("column `{}` is NOT NULL, and the row has no value for it", field.name())
                });
            }
        }
    }
    Ok(array)
}

/// Whether a column of this type can be read and written in text; a message with the type if not.
pub(super) fn check_type(data_type: &DataType) -> Result<(), String> {
    match data_type {
        DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Ok(()),
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(_, _) => Ok(()),
        DataType::Utf8 | DataType::Binary | DataType::Date32 => Ok(()),
        DataType::Time32(TimeUnit::Millisecond) => Ok(()),
        DataType::Time64(_) => Ok(()),
        DataType::Timestamp(unit, _) if *unit != TimeUnit::Second => Ok(()),
        DataType::List(element) => check_type(element.data_type()),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| check_type(field.data_type())),
        DataType::Map(entries, _) => check_type(entries.data_type()),
        other => Err(type_name(other)),
    }
}

/// The SQL name of an Arrow type, for messages.
pub(super) fn type_name(data_type: &DataType) -> String {
    let precision = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Utf8 => "STRING".to_owned(),
        DataType::Binary => "BYTES".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Time32(unit) | DataType::Time64(unit) => format!("TIME({})", precision(unit)),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", precision(unit)),
        DataType::Timestamp(unit, Some(_)) => format!("TIMESTAMP_LTZ({})", precision(unit)),
        DataType::List(element) => format!("ARRAY<{}>", type_name(element.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("MAP<{}, {}>", type_name(fields[0].data_type()), type_name(fields[1].data_type()))
            }
            _ => "MAP".to_owned(),
        },
        DataType::Struct(_) => "ROW".to_owned(),
        other => other.to_string(),
    }
}

/// Text shown in a message: cut, with what cannot be read replaced.
pub(super) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 80;
    let mut shown = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]).into_owned();
    if text.len() > LONGEST {
        shown.push('…');
    }
    shown
}

/// Which row a cell belongs to.
enum Rows<'a> {
    /// Cell i to row i.
    Same,
    /// Cell i to the i-th of these.
    Of(&'a [u32]),
}

impl Rows<'_> {
    fn of(&self, cell: usize) -> u32 {
        match self {
            Self::Same => cell as u32,
            Self::Of(rows) => rows[cell],
        }
    }
}

struct Reader<'a, N> {
    notation: &'a N,
    rules: &'a Rules,
    /// The top-level column, for messages.
    column: &'a str,
    bytes: &'a [u8],
    complaints: &'a mut Complaints,
}

impl<N: Notation> Reader<'_, N> {
    fn array(&mut self, data_type: &DataType, cells: &[Cell], rows: &Rows) -> Result<ArrayRef> {
        let rules = *self.rules;
        let shortened = rules.shortened;
        Ok(match data_type {
            DataType::Boolean => self.booleans(cells, rows),
            DataType::Int8 => self.integers::<Int8Type>(data_type, cells, rows),
            DataType::Int16 => self.integers::<Int16Type>(data_type, cells, rows),
            DataType::Int32 => self.integers::<Int32Type>(data_type, cells, rows),
            DataType::Int64 => self.integers::<Int64Type>(data_type, cells, rows),
            DataType::Float32 => self.numbers::<Float32Type>(data_type, cells, rows, numbers::float),
            DataType::Float64 => self.numbers::<Float64Type>(data_type, cells, rows, numbers::double),
            DataType::Decimal128(precision, scale) => {
                let (precision, scale) = (*precision, *scale);
                self.numbers::<Decimal128Type>(data_type, cells, rows, |text| {
                    numbers::decimal(text, precision, scale, rules.decimal_excess)
                })
            }
            DataType::Utf8 => self.strings(cells, rows)?,
            DataType::Binary => self.binaries(cells, rows)?,
            DataType::Date32 => self.times::<Date32Type>(data_type, cells, rows, |text| times::date(text, shortened)),
            DataType::Time32(unit) => self.times::<Time32MillisecondType>(data_type, cells, rows, |text| {
                times::time(text, *unit, shortened).and_then(|units| i32::try_from(units).map_err(|_| "out of range"))
            }),
            DataType::Time64(TimeUnit::Microsecond) => {
                self.times::<Time64MicrosecondType>(data_type, cells, rows, |text| {
                    times::time(text, TimeUnit::Microsecond, shortened)
                })
            }
            DataType::Time64(_) => self.times::<Time64NanosecondType>(data_type, cells, rows, |text| {
                times::time(text, TimeUnit::Nanosecond, shortened)
            }),
            DataType::Timestamp(unit, zone) => {
                let read = |text: &[u8]| times::timestamp(text, *unit, zone.is_some(), rules.standard);
                match unit {
                    TimeUnit::Millisecond => self.times::<TimestampMillisecondType>(data_type, cells, rows, read),
                    TimeUnit::Microsecond => self.times::<TimestampMicrosecondType>(data_type, cells, rows, read),
                    TimeUnit::Nanosecond => self.times::<TimestampNanosecondType>(data_type, cells, rows, read),
                    TimeUnit::Second => return Err(unreadable(data_type)),
                }
            }
            DataType::List(element) => self.lists(data_type, element, cells, rows)?,
            DataType::Struct(fields) => self.rows(data_type, fields, cells, rows)?,
            DataType::Map(entries, sorted) => self.maps(data_type, entries, *sorted, cells, rows)?,
            other => return Err(unreadable(other)),
        })
    }

    /// Notes that the text of `cell` is no value of `data_type`.
    #[cold]
    fn complain(&mut self, row: u32, data_type: &DataType, cell: Cell, misfit: Misfit) {
        if self.rules.null_on_error {
            return;
        }
        let (column, bytes) = (self.column, self.bytes);
        self.complaints.add(row, || {
            let text = shown(cell.text(bytes));
            let type_name = type_name(data_type);
            match cell.kind() {
                CellKind::Missing => format!("column `{column}`: the field is missing"),
                _ if text.is_empty() => {
                    format!("column `{column}`: an empty text is no {type_name}{}", N::EMPTY_AS_NULL)
                }
                _ if data_type.is_integer() && text.parse::<f64>().is_ok_and(|number| number.fract() != 0.0) => {
                    format!(
                        "column `{column}`: '{text}' is no {type_name}; declared as DOUBLE or DECIMAL it can be read"
                    )
                }
                _ => format!("column `{column}`: '{text}' is no {type_name}: {misfit}"),
            }
        });
    }

    /// Whether a cell without a value is fine; complains if not.
    fn absent(&mut self, row: u32, data_type: &DataType, cell: Cell) {
        if cell.kind() == CellKind::Missing && self.rules.missing_is_error {
            self.complain(row, data_type, cell, "");
        }
    }

    fn primitives<T: ArrowPrimitiveType>(
        &mut self,
        data_type: &DataType,
        cells: &[Cell],
        rows: &Rows,
        read: impl Fn(&N, Cell, &[u8]) -> Result<T::Native, Misfit>,
    ) -> ArrayRef {
        let mut values = Vec::<T::Native>::with_capacity(cells.len());
        let mut nulls = NullBufferBuilder::new(cells.len());
        for (index, cell) in cells.iter().enumerate() {
            if matches!(cell.kind(), CellKind::Missing | CellKind::Null) {
                self.absent(rows.of(index), data_type, *cell);
                values.push(T::Native::default());
                nulls.append_null();
                continue;
            }
            match read(self.notation, *cell, self.bytes) {
                Ok(value) => {
                    values.push(value);
                    nulls.append_non_null();
                }
                Err(misfit) => {
                    self.complain(rows.of(index), data_type, *cell, misfit);
                    values.push(T::Native::default());
                    nulls.append_null();
                }
            }
        }
        let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls.finish());
        Arc::new(array.with_data_type(data_type.clone()))
    }

    fn integers<T: ArrowPrimitiveType<Native: TryFrom<i64>>>(
        &mut self,
        data_type: &DataType,
        cells: &[Cell],
        rows: &Rows,
    ) -> ArrayRef {
        let rules = *self.rules;
        self.numbers::<T>(data_type, cells, rows, |text| {
            let value = match numbers::short_integer(text) {
                Some(value) => value,
                None if rules.exact_integers => numbers::exact_integer(text, rules.integer_excess)?,
                None => numbers::plain_integer(text)?,
            };
            T::Native::try_from(value).map_err(|_| "out of range")
        })
    }

    fn numbers<T: ArrowPrimitiveType>(
        &mut self,
        data_type: &DataType,
        cells: &[Cell],
        rows: &Rows,
        read: impl Fn(&[u8]) -> Result<T::Native, Misfit>,
    ) -> ArrayRef {
        self.primitives::<T>(data_type, cells, rows, |notation, cell, bytes| match cell.kind() {
            CellKind::Number => read(cell.text(bytes)),
            CellKind::Text => read(cell.text(bytes).trim_ascii()),
            CellKind::Escaped => read(unescaped(notation, cell, bytes).trim_ascii()),
            _ => Err("not a number"),
        })
    }

    fn times<T: ArrowPrimitiveType>(
        &mut self,
        data_type: &DataType,
        cells: &[Cell],
        rows: &Rows,
        read: impl Fn(&[u8]) -> Result<T::Native, Misfit>,
    ) -> ArrayRef {
        let trim = self.rules.trim;
        let trimmed = |text: &[u8]| read(if trim { text.trim_ascii() } else { text });
        self.primitives::<T>(data_type, cells, rows, |notation, cell, bytes| match cell.kind() {
            CellKind::Text => trimmed(cell.text(bytes)),
            CellKind::Escaped => trimmed(&unescaped(notation, cell, bytes)),
            CellKind::Number => Err("a bare number does not say what it counts"),
            _ => Err("not a text"),
        })
    }

    fn booleans(&mut self, cells: &[Cell], rows: &Rows) -> ArrayRef {
        let mut values = Vec::with_capacity(cells.len());
        let mut nulls = NullBufferBuilder::new(cells.len());
        for (index, cell) in cells.iter().enumerate() {
            let value = match cell.kind() {
                CellKind::True => Some(true),
                CellKind::False => Some(false),
                CellKind::Text if cell.text(self.bytes).trim_ascii().eq_ignore_ascii_case(b"true") => Some(true),
                CellKind::Text if cell.text(self.bytes).trim_ascii().eq_ignore_ascii_case(b"false") => Some(false),
                CellKind::Missing | CellKind::Null => {
                    self.absent(rows.of(index), &DataType::Boolean, *cell);
                    None
                }
                _ => {
                    self.complain(rows.of(index), &DataType::Boolean, *cell, "expected true or false");
                    None
                }
            };
            values.push(value.unwrap_or(false));
            nulls.append(value.is_some());
        }
        Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls.finish()))
    }

    fn strings(&mut self, cells: &[Cell], rows: &Rows) -> Result<ArrayRef> {
        let mut values = Values::new(cells);
        for (index, cell) in cells.iter().enumerate() {
            let present = match cell.kind() {
                CellKind::Missing | CellKind::Null => {
                    self.absent(rows.of(index), &DataType::Utf8, *cell);
                    false
                }
                CellKind::Escaped => {
                    self.notation.unescape(cell.text(self.bytes), &mut values.bytes);
                    true
                }
                CellKind::Nested => {
                    self.notation.nested_text(cell.text(self.bytes), &mut values.bytes);
                    true
                }
                CellKind::Text | CellKind::Number | CellKind::True | CellKind::False => {
                    values.bytes.extend_from_slice(cell.text(self.bytes));
                    true
                }
            };
            values.end(present)?;
        }
        let (offsets, bytes, nulls) = values.finish();
        // One check over the whole column is the fastest way to know that it is UTF-8.
        let array = StringArray::try_new(offsets, bytes, nulls)
            .map_err(|error| Error::bug(format!("scanned text is not UTF-8: {error}")))?;
        Ok(Arc::new(array))
    }

    fn binaries(&mut self, cells: &[Cell], rows: &Rows) -> Result<ArrayRef> {
        let mut values = Values::new(cells);
        for (index, cell) in cells.iter().enumerate() {
            let start = values.bytes.len();
            let read = match cell.kind() {
                CellKind::Missing | CellKind::Null => {
                    self.absent(rows.of(index), &DataType::Binary, *cell);
                    Ok(false)
                }
                CellKind::Text if self.rules.trim => {
                    base64::decode(cell.text(self.bytes).trim_ascii(), &mut values.bytes).map(|()| true)
                }
                CellKind::Text => base64::decode(cell.text(self.bytes), &mut values.bytes).map(|()| true),
                CellKind::Escaped => {
                    let text = unescaped(self.notation, *cell, self.bytes);
                    base64::decode(&text, &mut values.bytes).map(|()| true)
                }
                _ => Err("not a text"),
            };
            let present = read.unwrap_or_else(|misfit| {
                values.bytes.truncate(start);
                self.complain(rows.of(index), &DataType::Binary, *cell, misfit);
                false
            });
            values.end(present)?;
        }
        let (offsets, bytes, nulls) = values.finish();
        Ok(Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?))
    }

    fn lists(&mut self, data_type: &DataType, element: &FieldRef, cells: &[Cell], rows: &Rows) -> Result<ArrayRef> {
        let mut scratch = Vec::new();
        let mut children = Vec::new();
        let mut child_rows = Vec::new();
        let mut offsets = vec![0i32];
        let mut nulls = NullBufferBuilder::new(cells.len());
        for (index, cell) in cells.iter().enumerate() {
            let row = rows.of(index);
            let before = children.len();
            let present = if matches!(cell.kind(), CellKind::Missing | CellKind::Null) {
                self.absent(row, data_type, *cell);
                false
            } else {
                match self.notation.elements(self.bytes, *cell, &mut scratch, &mut children) {
                    Ok(()) => true,
                    Err(misfit) => {
                        children.truncate(before);
                        self.complain(row, data_type, *cell, misfit);
                        false
                    }
                }
            };
            child_rows.resize(children.len(), row);
            offsets.push(i32::try_from(children.len()).map_err(|_| too_large())?);
            nulls.append(present);
        }
        let values = self.nested(&scratch).array(element.data_type(), &children, &Rows::Of(&child_rows))?;
        let offsets = OffsetBuffer::new(offsets.into());
        Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls.finish())?))
    }

    fn rows(&mut self, data_type: &DataType, fields: &Fields, cells: &[Cell], rows: &Rows) -> Result<ArrayRef> {
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let mut scratch = Vec::new();
        let mut found = Vec::with_capacity(fields.len());
        let mut children = vec![Vec::with_capacity(cells.len()); fields.len()];
        let mut nulls = NullBufferBuilder::new(cells.len());
        for (index, cell) in cells.iter().enumerate() {
            let row = rows.of(index);
            found.clear();
            let present = if matches!(cell.kind(), CellKind::Missing | CellKind::Null) {
                self.absent(row, data_type, *cell);
                false
            } else {
                match self.notation.fields(self.bytes, *cell, &names, &mut scratch, &mut found) {
                    Ok(()) => true,
                    Err(misfit) => {
                        self.complain(row, data_type, *cell, misfit);
                        false
                    }
                }
            };
            for (field, child) in children.iter_mut().enumerate() {
                child.push(if present { found[field] } else { Cell::NULL });
            }
            nulls.append(present);
        }
        let own: Vec<u32> = (0..cells.len()).map(|cell| rows.of(cell)).collect();
        let mut nested = self.nested(&scratch);
        let mut arrays = Vec::with_capacity(fields.len());
        for (field, child) in fields.iter().zip(&children) {
            arrays.push(nested.array(field.data_type(), child, &Rows::Of(&own))?);
        }
        Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls.finish(), cells.len())?))
    }

    fn maps(
        &mut self,
        data_type: &DataType,
        entries: &FieldRef,
        sorted: bool,
        cells: &[Cell],
        rows: &Rows,
    ) -> Result<ArrayRef> {
        let DataType::Struct(pair) = entries.data_type() else {
            return Err(unreadable(data_type));
        };
        let [key_field, value_field] = &pair[..] else {
            return Err(unreadable(data_type));
        };
        let mut both = Vec::new();
        let (mut keys, mut values, mut child_rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut offsets = vec![0i32];
        let mut nulls = NullBufferBuilder::new(cells.len());
        for (index, cell) in cells.iter().enumerate() {
            let row = rows.of(index);
            both.clear();
            let present = if matches!(cell.kind(), CellKind::Missing | CellKind::Null) {
                self.absent(row, data_type, *cell);
                false
            } else {
                match self.notation.entries(self.bytes, *cell, &mut both) {
                    Ok(()) => true,
                    Err(misfit) => {
                        both.clear();
                        self.complain(row, data_type, *cell, misfit);
                        false
                    }
                }
            };
            for entry in both.chunks_exact(2) {
                keys.push(entry[0]);
                values.push(entry[1]);
                child_rows.push(row);
            }
            offsets.push(i32::try_from(keys.len()).map_err(|_| too_large())?);
            nulls.append(present);
        }
        let mut keys = self.array(key_field.data_type(), &keys, &Rows::Of(&child_rows))?;
        if keys.null_count() > 0 {
            // Only a row with a complaint has a key that could not be read; a map may not hold a NULL key even so.
            for (entry, row) in child_rows.iter().enumerate() {
                if keys.is_null(entry) {
                    self.complaints.add(*row, || format!("column `{}`: a key cannot be read", self.column));
                }
            }
            keys = without_nulls(&keys)?;
        }
        let values = self.array(value_field.data_type(), &values, &Rows::Of(&child_rows))?;
        let pairs = StructArray::try_new(pair.clone(), vec![keys, values], None)?;
        let offsets = OffsetBuffer::new(offsets.into());
        Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls.finish(), sorted)?))
    }

    fn nested<'b>(&'b mut self, scratch: &'b [u8]) -> Reader<'b, N> {
        let bytes = if N::NESTED_IN_SCRATCH { scratch } else { self.bytes };
        Reader { notation: self.notation, rules: self.rules, column: self.column, bytes, complaints: self.complaints }
    }
}

/// The same values with the default in place of NULL.
fn without_nulls(array: &ArrayRef) -> Result<ArrayRef> {
    let data = array.to_data().into_builder().nulls(None).build()?;
    Ok(arrow::array::make_array(data))
}

fn unescaped<N: Notation>(notation: &N, cell: Cell, bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    notation.unescape(cell.text(bytes), &mut text);
    text
}

fn unreadable(data_type: &DataType) -> Error {
    Error::bug(format!("a column of type {} was not refused at planning", type_name(data_type)))
}

fn too_large() -> Error {
    Error::bug("a chunk of input holds more than 2 GiB of one column")
}

/// Values of varying length in the making.
struct Values {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Values {
    fn new(cells: &[Cell]) -> Self {
        let bytes = cells.iter().map(|cell| cell.len()).sum();
        let mut offsets = Vec::with_capacity(cells.len() + 1);
        offsets.push(0);
        Self { bytes: Vec::with_capacity(bytes), offsets, nulls: NullBufferBuilder::new(cells.len()) }
    }

    fn end(&mut self, present: bool) -> Result<()> {
        self.offsets.push(i32::try_from(self.bytes.len()).map_err(|_| too_large())?);
        self.nulls.append(present);
        Ok(())
    }

    fn finish(mut self) -> (OffsetBuffer<i32>, Buffer, Option<arrow::buffer::NullBuffer>) {
        let bytes = Buffer::from(MutableBuffer::from(self.bytes));
        (OffsetBuffer::new(self.offsets.into()), bytes, self.nulls.finish())
    }
}
