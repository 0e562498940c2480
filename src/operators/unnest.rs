//! UNNEST: each row once for each element of one of its columns. Rows leave at once, in pieces of a batch's rows; those
//! that the output has no room for wait, and leave before a barrier goes on. Nothing is kept.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::{BuildContext, Context, Flush, Operator, OperatorSpec, Progress};
use crate::error::Result;
use crate::expressions::{Piece, Unnest, Unnesting};
use crate::state::{StateTable, batch_of};
use crate::stream::{Changes, EventTime};

/// `CROSS JOIN UNNEST(column)` and its like.
#[derive(Debug, Clone)]
pub struct UnnestSpec {
    /// The columns that come in.
    pub input: SchemaRef,
    /// The one that is unnested, which does not leave, and its text.
    pub collection: usize,
    pub text: String,
    pub unnest: Unnest,
    /// Names and types of the columns that come of it.
    pub columns: Vec<Field>,
    /// Columns of the input that leave before those, and behind them.
    pub before: Vec<usize>,
    pub behind: Vec<usize>,
}

impl UnnestSpec {
    /// Begins with a batch of rows.
    pub fn begin(&self, rows: &RecordBatch) -> Result<Unnesting> {
        let kept = self.before.iter().chain(&self.behind).map(|column| Arc::clone(rows.column(*column))).collect();
        Unnesting::new(kept, rows.column(self.collection), &self.unnest)
    }

    /// Some of its rows with the columns of `output`.
    pub fn batch(&self, output: &SchemaRef, piece: Piece) -> Result<RecordBatch> {
        let mut kept = piece.kept.into_iter();
        let mut columns: Vec<ArrayRef> = kept.by_ref().take(self.before.len()).collect();
        columns.extend(piece.columns);
        columns.extend(kept);
        batch_of(output, columns, piece.parents.len())
    }
}

impl OperatorSpec for UnnestSpec {
    fn name(&self) -> &'static str {
        "Unnest"
    }

    fn signature(&self) -> String {
        String::new()
    }

    fn output(&self) -> SchemaRef {
        let own =
            |columns: &[usize]| columns.iter().map(|column| self.input.field(*column).clone()).collect::<Vec<_>>();
        Arc::new(Schema::new([own(&self.before), self.columns.clone(), own(&self.behind)].concat()))
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        Ok(Box::new(UnnestRows {
            output: self.output(),
            spec: self.clone(),
            batch_rows: cx.batch_rows.max(1),
            open: None,
            waiting: VecDeque::new(),
            watermark: EventTime::NONE,
        }))
    }
}

impl fmt::Display for UnnestSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.columns.iter().map(|field| field.name().as_str()).collect();
        let kind = if self.unnest.is_outer { "LEFT" } else { "INNER" };
        write!(out, "Unnest(collection=[{}], type=[{kind}], select=[{}]", self.text, names.join(", "))?;
        if let Some(condition) = &self.unnest.condition {
            write!(out, ", where=[{condition}]")?;
        }
        out.write_str(")")
    }
}

struct UnnestRows {
    spec: UnnestSpec,
    output: SchemaRef,
    batch_rows: usize,
    /// The rows that are being unnested, and where the rest of them begins.
    open: Option<(Changes, Unnesting)>,
    /// What came behind them, in order.
    waiting: VecDeque<Item>,
    /// The watermark behind the rows that have left.
    watermark: EventTime,
}

enum Item {
    Rows(Changes),
    Watermark(EventTime),
}

impl Operator for UnnestRows {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        self.waiting.push_back(Item::Rows(rows));
        self.resume(cx)
    }

    fn on_watermark(&mut self, time: EventTime, cx: &mut Context) -> Result<Progress> {
        self.waiting.push_back(Item::Watermark(time));
        self.resume(cx)
    }

    fn resume(&mut self, cx: &mut Context) -> Result<Progress> {
        loop {
            if let Some((rows, unnesting)) = &mut self.open {
                while let Some(piece) = unnesting.next(self.batch_rows)? {
                    let kinds = rows.kinds().map(|kinds| {
                        let of = |parent: &u32| kinds[*parent as usize];
                        piece.parents.values().iter().map(of).collect()
                    });
                    let batch = self.spec.batch(&self.output, piece)?;
                    cx.emit(match kinds {
                        Some(kinds) => Changes::new(batch, kinds),
                        None => Changes::inserts(batch),
                    });
                    if cx.is_full() {
                        return Ok(Progress::More);
                    }
                }
                self.open = None;
            }
            match self.waiting.pop_front() {
                None => return Ok(Progress::Done),
                Some(Item::Watermark(time)) => self.watermark = self.watermark.max(time),
                Some(Item::Rows(rows)) => {
                    let unnesting = self.spec.begin(rows.batch())?;
                    self.open = Some((rows, unnesting));
                }
            }
        }
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn flush(&mut self, _: Flush, cx: &mut Context) -> Result<Progress> {
        self.resume(cx)
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        Vec::new()
    }

    fn held_bytes(&self) -> usize {
        let waiting = self.waiting.iter().map(|item| match item {
            Item::Rows(rows) => rows.bytes(),
            Item::Watermark(_) => 0,
        });
        waiting.sum::<usize>() + self.open.as_ref().map_or(0, |(rows, _)| rows.bytes())
    }
}
