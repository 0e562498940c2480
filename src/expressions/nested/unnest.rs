//! UNNEST: what is in a value becomes rows, each beside the columns of the row that it was in.
//!
//! ```text
//!   id │ tags           id │ tag
//!    1 │ [a, b]    ──▶   1 │ a
//!    2 │ []              1 │ b
//!    3 │ NULL            (an outer one has rows for 2 and 3, with a NULL)
//! ```
//!
//! The rows leave in pieces: what they take together may be much more than what came in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};

use super::{compact, is_multiset, key_and_value, lists, offsets_of};
use crate::error::{Error, Result};
use crate::expressions::Scalar;

/// How a value is unnested.
#[derive(Debug, Clone, Default)]
pub struct Unnest {
    /// Whether a row from which nothing comes stays, with NULLs beside it.
    pub is_outer: bool,
    /// Whether a last column counts the elements of each row from 1.
    pub with_ordinality: bool,
    /// Which elements come, over [`unnested`]; all without one.
    pub condition: Option<Scalar>,
}

impl Unnest {
    /// The columns that come of a value of this type: those of [`unnested`], then the number.
    pub fn columns(&self, collection: &DataType) -> Option<Vec<Field>> {
        let own = unnested(collection)?;
        let mut fields: Vec<Field> = own.iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        if self.with_ordinality {
            fields.push(Field::new("ORDINALITY", DataType::Int32, self.is_outer));
        }
        Some(fields)
    }
}

/// What is in an array, a map or a multiset, as columns under Flink's names: the fields of rows, key and value, or the
/// element itself.
pub fn unnested(collection: &DataType) -> Option<Fields> {
    match collection {
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => Some(fields.clone()),
            other => Some(Fields::from(vec![Field::new("EXPR$0", other.clone(), true)])),
        },
        multiset if is_multiset(multiset) => {
            let (element, _) = key_and_value(multiset)?;
            unnested(&super::list_of(element.clone()))
        }
        map => {
            let (key, value) = key_and_value(map)?;
            Some(Fields::from(vec![Field::new("KEY", key.clone(), true), Field::new("VALUE", value.clone(), true)]))
        }
    }
}

/// Bytes of a piece at most, where its rows are not wider.
const PIECE_BYTES: usize = 4 << 20;

/// Rows on their way: the columns that stay, and how far their elements have become rows.
#[derive(Debug)]
pub struct Unnesting {
    kept: Vec<ArrayRef>,
    /// About how many bytes a row of `kept` has.
    row_bytes: Vec<u32>,
    elements: ListArray,
    columns: Vec<ArrayRef>,
    /// Which elements become rows.
    comes: Option<BooleanBuffer>,
    is_outer: bool,
    with_ordinality: bool,
    /// The row and the element that come next.
    row: usize,
    element: usize,
    /// Whether something has come of the row.
    has_come: bool,
}

/// Some of the rows.
#[derive(Debug)]
pub struct Piece {
    /// Of each row the one that it comes from.
    pub parents: UInt32Array,
    /// The columns that stay.
    pub kept: Vec<ArrayRef>,
    /// The columns of [`Unnest::columns`].
    pub columns: Vec<ArrayRef>,
}

impl Unnesting {
    /// Begins with rows that have these columns beside the collection.
    pub fn new(kept: Vec<ArrayRef>, collection: &ArrayRef, unnest: &Unnest) -> Result<Self> {
        let elements = compact(&elements_of(collection)?)?;
        let (columns, nulls) = match elements.values().data_type() {
            // A row that is NULL is no row.
            DataType::Struct(_) => {
                let rows = elements.values().as_struct();
                (rows.columns().to_vec(), rows.nulls().map(|nulls| nulls.inner().clone()))
            }
            _ => (vec![Arc::clone(elements.values())], None),
        };
        let chosen = match &unnest.condition {
            Some(condition) => {
                let fields = unnested(collection.data_type()).ok_or_else(|| Error::bug("elements of a plain value"))?;
                let options = RecordBatchOptions::new().with_row_count(Some(elements.values().len()));
                let batch =
                    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns.clone(), &options)?;
                Some(condition.evaluate_condition(&batch)?.values().clone())
            }
            None => None,
        };
        let comes = match (nulls, chosen) {
            (Some(one), Some(other)) => Some(&one & &other),
            (one, other) => one.or(other),
        };
        let row_bytes = row_bytes(&kept, collection.len());
        let Unnest { is_outer, with_ordinality, .. } = *unnest;
        Ok(Self {
            kept,
            row_bytes,
            elements,
            columns,
            comes,
            is_outer,
            with_ordinality,
            row: 0,
            element: 0,
            has_come: false,
        })
    }

    /// The next rows: at most `rows` of them, and not many more than [`PIECE_BYTES`] bytes. None when all have left.
    pub fn next(&mut self, rows: usize) -> Result<Option<Piece>> {
        let mut piece = Places::default();
        let mut bytes_left = PIECE_BYTES;
        while self.row < self.elements.len() && piece.parents.len() < rows && bytes_left > 0 {
            let offsets = self.elements.value_offsets();
            let (start, end) = (offsets[self.row] as usize, offsets[self.row + 1] as usize);
            self.element = self.element.max(start);
            let size = self.row_bytes[self.row].max(1) as usize;
            let room = (rows - piece.parents.len()).min(bytes_left.div_ceil(size));
            let before = piece.parents.len();
            match &self.comes {
                None => {
                    let stop = end.min(self.element + room);
                    piece.add(self.row, self.element..stop, start);
                    self.element = stop;
                }
                Some(comes) => {
                    while self.element < end && piece.parents.len() - before < room {
                        if comes.value(self.element) {
                            piece.add(self.row, self.element..self.element + 1, start);
                        }
                        self.element += 1;
                    }
                }
            }
            self.has_come |= piece.parents.len() > before;
            bytes_left = bytes_left.saturating_sub((piece.parents.len() - before) * size);
            if self.element == end {
                if self.is_outer && !self.has_come {
                    piece.add_nothing(self.row);
                    bytes_left = bytes_left.saturating_sub(size);
                }
                self.row += 1;
                self.has_come = false;
            }
        }
        if piece.parents.is_empty() { Ok(None) } else { self.taken(piece).map(Some) }
    }

    fn taken(&self, places: Places) -> Result<Piece> {
        let Places { parents, elements, numbers, absent } = places;
        let nulls = (!absent.is_empty()).then(|| {
            let mut is_there = vec![true; parents.len()];
            absent.into_iter().for_each(|place| is_there[place] = false);
            NullBuffer::from(is_there)
        });
        let parents = UInt32Array::from(parents);
        let elements = UInt32Array::new(elements.into(), nulls.clone());
        let take = |indices: &UInt32Array, column: &ArrayRef| Ok(arrow::compute::take(column, indices, None)?);
        let kept = self.kept.iter().map(|column| take(&parents, column)).collect::<Result<_>>()?;
        let mut columns = self.columns.iter().map(|column| take(&elements, column)).collect::<Result<Vec<_>>>()?;
        if self.with_ordinality {
            columns.push(Arc::new(Int32Array::new(numbers.into(), nulls)));
        }
        Ok(Piece { parents, kept, columns })
    }
}

/// Where the rows of a piece come from.
#[derive(Debug, Default)]
struct Places {
    parents: Vec<u32>,
    elements: Vec<u32>,
    /// Of each element its number in its row.
    numbers: Vec<i32>,
    /// Rows of the piece without an element.
    absent: Vec<usize>,
}

impl Places {
    /// Elements of a row, of which the first is `start`.
    fn add(&mut self, row: usize, elements: std::ops::Range<usize>, start: usize) {
        self.parents.resize(self.parents.len() + elements.len(), row as u32);
        self.numbers.extend((elements.start - start + 1) as i32..(elements.end - start + 1) as i32);
        self.elements.extend(elements.start as u32..elements.end as u32);
    }

    fn add_nothing(&mut self, row: usize) {
        self.absent.push(self.parents.len());
        self.parents.push(row as u32);
        self.elements.push(0);
        self.numbers.push(0);
    }
}

/// A value as an array: of a map its entries, of a multiset each element as often as it is in it.
fn elements_of(collection: &ArrayRef) -> Result<ListArray> {
    if !matches!(collection.data_type(), DataType::Map(..)) {
        return Ok(collection.as_list().clone());
    }
    let map = collection.as_map();
    if !is_multiset(collection.data_type()) {
        let entries: ArrayRef = Arc::new(map.entries().clone());
        return lists(map.offsets().clone(), entries, map.nulls().cloned());
    }
    let counts = map.values().as_primitive::<Int32Type>();
    let offsets = map.value_offsets();
    let (mut places, mut lengths) = (Vec::new(), Vec::with_capacity(map.len()));
    for row in 0..map.len() {
        let before = places.len();
        if map.is_valid(row) {
            for entry in offsets[row] as usize..offsets[row + 1] as usize {
                let count = usize::try_from(counts.value(entry)).unwrap_or(0);
                places.resize(places.len() + count, entry as u32);
            }
        }
        lengths.push(places.len() - before);
    }
    let values = arrow::compute::take(map.keys(), &UInt32Array::from(places), None)?;
    lists(offsets_of(lengths.into_iter())?, values, map.nulls().cloned())
}

/// About how many bytes each row has.
fn row_bytes(columns: &[ArrayRef], rows: usize) -> Vec<u32> {
    let mut bytes = vec![0_u32; rows];
    columns.iter().for_each(|column| add_bytes(column, &mut bytes));
    bytes
}

fn add_bytes(column: &ArrayRef, bytes: &mut [u32]) {
    let by_offsets = |offsets: &[i32], each: u32, bytes: &mut [u32]| {
        for (bytes, ends) in bytes.iter_mut().zip(offsets.windows(2)) {
            *bytes = bytes.saturating_add((ends[1] - ends[0]).unsigned_abs().saturating_mul(each).saturating_add(4));
        }
    };
    // An element counts as the mean of all.
    let mean = |values: &ArrayRef| {
        let all = values.get_array_memory_size() / values.len().max(1);
        u32::try_from(all).unwrap_or(u32::MAX).max(1)
    };
    match column.data_type() {
        DataType::Utf8 => by_offsets(column.as_string::<i32>().value_offsets(), 1, bytes),
        DataType::Binary => by_offsets(column.as_binary::<i32>().value_offsets(), 1, bytes),
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            by_offsets(list.value_offsets(), mean(list.values()), bytes);
        }
        DataType::Map(..) => {
            let map = column.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            by_offsets(map.value_offsets(), mean(&entries), bytes);
        }
        DataType::Struct(_) => column.as_struct().columns().iter().for_each(|field| add_bytes(field, bytes)),
        other => {
            let width = u32::try_from(other.primitive_width().unwrap_or(1)).unwrap_or(1);
            bytes.iter_mut().for_each(|bytes| *bytes = bytes.saturating_add(width));
        }
    }
}
