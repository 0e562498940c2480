//! Operators that keep nothing from one batch of rows to the next: time passes through them.

use super::{Context, Operator, Progress};
use crate::error::Result;
use crate::state::StateTable;
use crate::stream::{Changes, EventTime};

/// What becomes of rows, a batch at a time.
pub(super) trait RowOperator: Send + 'static {
    fn rows(&mut self, rows: Changes, cx: &mut Context) -> Result<Progress>;
}

/// The operator that does it.
#[derive(Debug)]
pub(super) struct Stateless<R> {
    rows: R,
    watermark: EventTime,
}

impl<R: RowOperator> Stateless<R> {
    pub(super) fn boxed(rows: R) -> Box<dyn Operator> {
        Box::new(Self { rows, watermark: EventTime::NONE })
    }
}

impl<R: RowOperator> Operator for Stateless<R> {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        self.rows.rows(rows, cx)
    }

    fn on_watermark(&mut self, time: EventTime, _: &mut Context) -> Result<Progress> {
        self.watermark = self.watermark.max(time);
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        Vec::new()
    }
}
