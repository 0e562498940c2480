//! Each row once for each open window that holds it, with the end of the window: for groups that change as rows come, where
//! panes cannot be shared. Nothing is kept.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, TimestampMillisecondArray};
use arrow::buffer::BooleanBuffer;
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

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
        self.window.check()?;
        Ok(Stateless::boxed(WindowSpread { output: self.output(), spec: self.clone() }))
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
}

impl RowOperator for WindowSpread {
    fn rows(&mut self, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let window = self.spec.window;
        let panes = integers(rows.column(self.spec.pane))?;
        let open_from = integers(rows.column(self.spec.open_from))?;
        for number in 0..window.most_windows_per_row() {
            let end = |pane: i64| window.first_end(pane) + number * window.slide_ms();
            let holds = |row: usize| (open_from[row]..=window.last_end(panes[row])).contains(&end(panes[row]));
            let keep = BooleanBuffer::collect_bool(rows.len(), holds);
            if keep.count_set_bits() == 0 {
                continue;
            }
            let ends = TimestampMillisecondArray::from_iter_values(panes.iter().map(|pane| end(*pane)));
            let mut columns = rows.batch().columns().to_vec();
            columns.push(Arc::new(ends) as ArrayRef);
            let spread = rows.with_batch(batch_of(&self.output, columns, rows.len())?);
            let is_all = keep.count_set_bits() == rows.len();
            cx.emit(if is_all { spread } else { spread.filter(&BooleanArray::new(keep, None))? });
        }
        Ok(Progress::Done)
    }
}
