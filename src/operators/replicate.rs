//! Each row as often as one of its columns says, without that column: INTERSECT ALL and EXCEPT ALL. Nothing is kept.
//!
//! Where a row is replaced by one that differs in that column alone, only the difference comes or goes:
//!
//! ```text
//!   -U a, 1
//!   +U a, 3     ──▶   +I a   +I a
//! ```

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_arrays;
use arrow::datatypes::{Schema, SchemaRef};

use super::stateless::{RowOperator, Stateless};
use super::{BuildContext, Context, Operator, OperatorSpec, Progress};
use crate::error::Result;
use crate::state::{batch_of, integers};
use crate::stream::{ChangeKind, Changes};

/// Copies of rows. `-U` stands right before the `+U` that differs from it in `times` alone, as groups emit them.
#[derive(Debug, Clone)]
pub struct ReplicateSpec {
    /// The columns that come in.
    pub input: SchemaRef,
    /// How often a row leaves: `Int64`, not at all where it is below 1.
    pub times: usize,
}

impl ReplicateSpec {
    /// The copies of rows that only come; `output` is [`output`](OperatorSpec::output).
    pub fn copies_of(&self, output: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = Changes::inserts(batch.clone());
        let (copies, _) = copies(&rows, integers(rows.column(self.times))?);
        let count = copies.len();
        batch_of(output, take_arrays(&kept_columns(batch, self.times), &UInt32Array::from(copies), None)?, count)
    }
}

impl OperatorSpec for ReplicateSpec {
    fn name(&self) -> &'static str {
        "Replicate"
    }

    fn signature(&self) -> String {
        String::new()
    }

    /// The columns that come in, but for `times`.
    fn output(&self) -> SchemaRef {
        let kept = self.input.fields().iter().enumerate().filter(|(index, _)| *index != self.times);
        Arc::new(Schema::new(kept.map(|(_, field)| Arc::clone(field)).collect::<Vec<_>>()))
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        let (output, batch_rows) = (self.output(), cx.batch_rows);
        Ok(Stateless::boxed(Replicate { output, times: self.times, batch_rows }))
    }
}

impl fmt::Display for ReplicateSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Replicate(times=[{}])", self.input.field(self.times).name())
    }
}

struct Replicate {
    output: SchemaRef,
    times: usize,
    batch_rows: usize,
}

impl RowOperator for Replicate {
    fn rows(&mut self, rows: Changes, cx: &mut Context) -> Result<Progress> {
        // No more leave than rows came into the groups that the counts are of, so that these bound the output.
        let (copies, kinds) = copies(&rows, integers(rows.column(self.times))?);
        let columns = kept_columns(rows.batch(), self.times);
        for (copies, kinds) in copies.chunks(self.batch_rows).zip(kinds.chunks(self.batch_rows)) {
            let columns = take_arrays(&columns, &UInt32Array::from(copies.to_vec()), None)?;
            cx.emit(Changes::new(batch_of(&self.output, columns, copies.len())?, kinds.to_vec()));
        }
        Ok(Progress::Done)
    }
}

/// All columns but `times`.
fn kept_columns(batch: &RecordBatch, times: usize) -> Vec<ArrayRef> {
    let columns = batch.columns().iter().enumerate().filter(|(index, _)| *index != times);
    columns.map(|(_, column)| Arc::clone(column)).collect()
}

/// The row of each copy that comes or goes, and which it does.
fn copies(rows: &Changes, times: &[i64]) -> (Vec<u32>, Vec<ChangeKind>) {
    let (mut copies, mut kinds) = (Vec::new(), Vec::new());
    let mut put = |row: usize, more: i64| {
        let kind = if more > 0 { ChangeKind::Insert } else { ChangeKind::Delete };
        let count = usize::try_from(more.unsigned_abs()).unwrap_or(usize::MAX);
        copies.extend(std::iter::repeat_n(row as u32, count));
        kinds.extend(std::iter::repeat_n(kind, count));
    };
    let mut row = 0;
    while row < rows.len() {
        let count = times[row].max(0);
        let is_replaced = rows.kind(row) == ChangeKind::UpdateBefore
            && row + 1 < rows.len()
            && rows.kind(row + 1) == ChangeKind::UpdateAfter;
        if is_replaced {
            put(row, times[row + 1].max(0) - count);
            row += 2;
        } else {
            put(row, rows.kind(row).sign() * count);
            row += 1;
        }
    }
    (copies, kinds)
}
