//! Random values: a column more for each call that draws one. Rows leave at once; nothing is kept, so that a restart draws
//! anew what had not reached a checkpoint, and sequences of a seed begin again.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::stateless::{RowOperator, Stateless};
use super::{BuildContext, Context, Operator, OperatorSpec, Progress};
use crate::error::Result;
use crate::expressions::{Draw, Drawing};
use crate::state::batch_of;
use crate::stream::{Changes, Entropy};

/// The draws below a SELECT list or a condition.
#[derive(Debug, Clone)]
pub struct RandomSpec {
    /// The columns that come in.
    pub input: SchemaRef,
    /// How many of them leave before what is drawn; the others leave behind it.
    pub before: usize,
    pub draws: Vec<Draw>,
}

impl RandomSpec {
    /// Begins to draw.
    pub fn begin(&self, entropy: &Entropy) -> Random {
        let drawings = self.draws.iter().map(|draw| draw.drawn.begin(entropy.draw())).collect();
        Random { before: self.before, output: self.output(), drawings }
    }
}

impl OperatorSpec for RandomSpec {
    fn name(&self) -> &'static str {
        "Random"
    }

    fn signature(&self) -> String {
        String::new()
    }

    fn output(&self) -> SchemaRef {
        let drawn = self.draws.iter().map(|draw| Arc::new(Field::new(&draw.column, draw.drawn.data_type(), false)));
        let (before, behind) = self.input.fields().split_at(self.before);
        Arc::new(Schema::new(before.iter().cloned().chain(drawn).chain(behind.iter().cloned()).collect::<Vec<_>>()))
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Operator>> {
        Ok(Stateless::boxed(self.begin(&cx.entropy)))
    }
}

impl fmt::Display for RandomSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let draws = self.draws.iter().map(|draw| format!("{} AS {}", draw.text(), draw.column));
        write!(out, "Random(select=[{}])", draws.collect::<Vec<_>>().join(", "))
    }
}

/// The draws of one task.
#[derive(Debug)]
pub struct Random {
    before: usize,
    output: SchemaRef,
    drawings: Vec<Drawing>,
}

impl Random {
    /// The rows with what is drawn for them.
    pub fn batch(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for (index, drawing) in self.drawings.iter_mut().enumerate() {
            columns.insert(self.before + index, drawing.next(rows.num_rows())?);
        }
        batch_of(&self.output, columns, rows.num_rows())
    }
}

impl RowOperator for Random {
    fn rows(&mut self, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let batch = self.batch(rows.batch())?;
        cx.emit(rows.with_batch(batch));
        Ok(Progress::Done)
    }
}
