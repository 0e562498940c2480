//! What all text formats share: lines, bad rows, and the batch that is left when bad rows are taken out.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::Bytes;

use super::cells::LONGEST_SCANNED;
use super::columns::Complaints;
use super::{BadRow, Cut, Decoded};
use crate::error::{Error, Result};

/// The most bytes of a bad row that are kept.
const RAW_BYTES: usize = 1_000;

/// A byte-order mark, which some programs put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How many bytes of mark a file begins with; `None` if more bytes are needed to know.
pub(super) fn byte_order_mark(start_of_file: &[u8], at_end: bool) -> Option<usize> {
    if start_of_file.starts_with(BYTE_ORDER_MARK) {
        return Some(BYTE_ORDER_MARK.len());
    }
    let may_become_one = BYTE_ORDER_MARK.starts_with(start_of_file);
    if may_become_one && !at_end { None } else { Some(0) }
}

/// The longest prefix that is made of whole lines, at most `rows` of them, for formats with a row a line.
pub(super) fn cut(bytes: &[u8], rows: usize, at_end: bool) -> Cut {
    let mut cut = Cut { bytes: 0, lines: 0 };
    for (found, end) in memchr::memchr_iter(b'\n', bytes).enumerate() {
        if found == rows {
            return cut;
        }
        cut = Cut { bytes: end + 1, lines: found as u64 + 1 };
    }
    if at_end && cut.bytes < bytes.len() && cut.lines < rows as u64 {
        cut = Cut { bytes: bytes.len(), lines: cut.lines + 1 };
    }
    cut
}

/// Where a row stands in its chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowPlace {
    pub start: usize,
    pub end: usize,
    pub line: u64,
}

/// A row that could not be read; its bytes are copied, so that it keeps no chunk alive.
pub(super) fn bad_row(chunk: &[u8], place: RowPlace, error: String, ignorable: bool) -> BadRow {
    let end = place.end.min(place.start + RAW_BYTES);
    BadRow { line: place.line, raw: Bytes::copy_from_slice(&chunk[place.start..end]), error, ignorable }
}

/// The columns of a projection.
pub(super) fn projected(schema: &SchemaRef, projection: &[usize]) -> Result<(SchemaRef, Vec<FieldRef>)> {
    let fields: Vec<FieldRef> = projection
        .iter()
        .map(|index| {
            schema.fields().get(*index).cloned().ok_or_else(|| Error::bug("a projected column does not exist"))
        })
        .collect::<Result<_>>()?;
    Ok((Arc::new(Schema::new(fields.clone())), fields))
}

/// Puts the columns together without the rows that were complained about, which join the other bad rows.
pub(super) fn assemble(
    chunk: &[u8],
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    places: &[RowPlace],
    complaints: Complaints,
    mut bad: Vec<BadRow>,
    ignorable: bool,
) -> Result<Decoded> {
    let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
    if complaints.is_empty() {
        return Ok(Decoded { rows: RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?, bad });
    }
    let keep: BooleanArray = (0..places.len()).map(|row| Some(!complaints.contains(row as u32))).collect();
    // A bad row may hold a NULL where the table has none, until it is taken out.
    let nullable: Vec<FieldRef> =
        schema.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
    let all = RecordBatch::try_new_with_options(Arc::new(Schema::new(nullable)), columns, &options)?;
    let good = filter_record_batch(&all, &keep)?;
    let options = RecordBatchOptions::new().with_row_count(Some(good.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::clone(schema), good.columns().to_vec(), &options)?;
    for (row, error) in complaints.into_rows() {
        bad.push(bad_row(chunk, places[row as usize], error, ignorable));
    }
    bad.sort_by_key(|row| row.line);
    Ok(Decoded { rows, bad })
}

/// Whether cells can point everywhere in a chunk.
pub(super) fn check_chunk(bytes: &Bytes) -> Result<()> {
    if bytes.len() >= LONGEST_SCANNED {
        return Err(Error::bug("a chunk of input is larger than 1 GiB"));
    }
    Ok(())
}
