//! Each row once for each open window that holds it, with the end of the window: for groups that change as rows come, where
//! panes cannot be shared. Nothing is kept.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMillisecondArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::stateless::{RowOperator, Stateless};
use super::{BuildContext, Context, Operator, OperatorSpec, Progress, WindowKind};
use crate::error::Result;
use crate::state::{batch_of, integers};
use crate::stream::Changes;

/// The column with the end of the window, `Timestamp(ms)`.
pub const WINDOW_END_COLUMN: &str = "window_end";

/// Copies of rows by window.
#[derive(Debug, Clone)]
pub struct WindowSpreadSpec {
    /// The columns that come in: those of `WindowAssign`, with more behind them perhaps.
    pub input: SchemaRef,
    /// The column `$pane`.
    pub pane: usize,
    /// The column `$open_from`.
    pub open_from: usize,
    /// The windows.
    pub window: WindowKind,
}

impl OperatorSpec for WindowSpreadSpec {
    fn name(&self) -> &'static str {
        "WindowSpread"
    }

    fn signature(&self) -> String {
        String::new()
    }

    /// The columns that come in, and the window's end.
    fn output(&self) -> SchemaRef {
        let own = self.input.fields().iter().map(|field| field.as_ref().clone());
        let data_type = DataType::Timestamp(TimeUnit::Millisecond, None);
        Arc::new(Schema::new(own.chain([Field::new(WINDOW_END_COLUMN, data_type, false)]).collect::<Vec<_>>()))
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        self.window.check_lengths()?;
        Ok(Stateless::boxed(WindowSpread { output: self.output(), spec: self.clone(), batch_rows: cx.batch_rows }))
    }
}

impl fmt::Display for WindowSpreadSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WindowSpread(window=[{}])", self.window)
    }
}

struct WindowSpread {
    spec: WindowSpreadSpec,
    output: SchemaRef,
    batch_rows: usize,
}

impl RowOperator for WindowSpread {
    fn rows(&mut self, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let window = self.spec.window;
        let panes = integers(rows.column(self.spec.pane))?;
        let open_from = integers(rows.column(self.spec.open_from))?;
        // Copies stand in the order of their rows, which some aggregates go by.
        let (mut copies, mut ends) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (row, (pane, open_from)) in panes.iter().zip(open_from).enumerate() {
            let mut end = window.first_end(*pane).max(*open_from);
            while end <= window.last_end(*pane) {
                copies.push(row as u32);
                ends.push(end);
                end += window.slide_ms();
            }
            if copies.len() >= self.batch_rows {
                cx.emit(self.copies(&rows, std::mem::take(&mut copies), std::mem::take(&mut ends))?);
            }
        }
        if !copies.is_empty() {
            cx.emit(self.copies(&rows, copies, ends)?);
        }
        Ok(Progress::Done)
    }
}

impl WindowSpread {
    /// The rows at these places, each with the end of one of its windows.
    fn copies(&self, rows: &Changes, copies: Vec<u32>, ends: Vec<i64>) -> Result<Changes> {
        let is_each_once = copies.len() == rows.len() && copies.iter().zip(0..).all(|(copy, row)| *copy == row);
        let rows = if is_each_once { rows.clone() } else { rows.take(&UInt32Array::from(copies))? };
        let mut columns = rows.batch().columns().to_vec();
        columns.push(Arc::new(TimestampMillisecondArray::from(ends)) as ArrayRef);
        Ok(rows.with_batch(batch_of(&self.output, columns, rows.len())?))
    }
}
