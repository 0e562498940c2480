//! Filter and project: the rows that a condition lets through, with computed columns.

use std::fmt;

use arrow::datatypes::SchemaRef;

use super::stateless::{RowOperator, Stateless};
use super::{BuildContext, Context, Operator, OperatorSpec, Progress};
use crate::error::Result;
use crate::expressions::{Scalar, moments};
use crate::state::batch_of;
use crate::stream::{Changes, Counter};

/// `WHERE` and the select list.
#[derive(Debug, Clone)]
pub struct CalcSpec {
    /// The columns that come in.
    pub input: SchemaRef,
    /// Which rows go on; all without one.
    pub condition: Option<Scalar>,
    /// The columns that leave, computed from the input.
    pub columns: Vec<Scalar>,
    /// Their names and types.
    pub output: SchemaRef,
    /// Whether the last of the input's columns is the time of the call, which does not come in.
    pub reads_now: bool,
}

impl OperatorSpec for CalcSpec {
    fn name(&self) -> &'static str {
        "Calc"
    }

    fn signature(&self) -> String {
        String::new()
    }

    fn output(&self) -> SchemaRef {
        SchemaRef::clone(&self.output)
    }

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
        let columns: Option<Vec<usize>> = self.columns.iter().map(Scalar::as_column).collect();
        Ok(Stateless::boxed(Calc { spec: self.clone(), columns }))
    }
}

impl fmt::Display for CalcSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = |(scalar, field): (&Scalar, &arrow::datatypes::FieldRef)| match scalar.text() == field.name() {
            true => field.name().clone(),
            false => format!("{scalar} AS {}", field.name()),
        };
        let columns: Vec<String> = self.columns.iter().zip(self.output.fields()).map(column).collect();
        write!(out, "Calc(select=[{}]", columns.join(", "))?;
        if let Some(condition) = &self.condition {
            write!(out, ", where=[{condition}]")?;
        }
        out.write_str(")")
    }
}

#[derive(Debug)]
struct Calc {
    spec: CalcSpec,
    /// The input columns that leave, where nothing is computed.
    columns: Option<Vec<usize>>,
}

impl RowOperator for Calc {
    fn rows(&mut self, mut rows: Changes, cx: &mut Context) -> Result<Progress> {
        if self.spec.reads_now {
            let mut columns = rows.batch().columns().to_vec();
            columns.push(moments(cx.now.0, rows.len()));
            let batch = batch_of(&self.spec.input, columns, rows.len())?;
            rows = rows.with_batch(batch);
        }
        let Some(condition) = &self.spec.condition else {
            let rows = self.project(rows)?;
            cx.emit(rows);
            return Ok(Progress::Done);
        };
        let keep = condition.evaluate_condition(rows.batch())?;
        let kept = keep.true_count();
        cx.count(Counter::NumRecordsFiltered, rows.len() - kept);
        if kept == rows.len() {
            let rows = self.project(rows)?;
            cx.emit(rows);
        } else if kept > 0 {
            // Plain columns are chosen first, so that only what leaves is copied.
            let rows = match self.columns {
                Some(_) => self.project(rows)?.filter(&keep)?,
                None => self.project(rows.filter(&keep)?)?,
            };
            cx.emit(rows);
        }
        Ok(Progress::Done)
    }
}

impl Calc {
    fn project(&self, rows: Changes) -> Result<Changes> {
        let columns = match &self.columns {
            Some(columns) => columns.iter().map(|index| rows.column(*index).clone()).collect(),
            None => self.spec.columns.iter().map(|scalar| scalar.evaluate(rows.batch())).collect::<Result<Vec<_>>>()?,
        };
        Ok(rows.with_batch(batch_of(&self.spec.output, columns, rows.len())?))
    }
}
