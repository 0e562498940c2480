//! Each row once for each grouping set, with the keys that the set leaves out empty. A batch goes out once a set, its
//! columns shared and not copied; nothing is kept.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::stateless::{RowOperator, Stateless};
use super::{BuildContext, Context, Operator, OperatorSpec, Progress};
use crate::error::Result;
use crate::state::batch_of;
use crate::stream::Changes;

/// GROUPING SETS before any aggregation.
#[derive(Debug, Clone)]
pub struct ExpandSpec {
    /// The columns that come in.
    pub input: SchemaRef,
    /// The keys that some set leaves out: column, and the name of the column that has its value or NULL.
    pub keys: Vec<(usize, String)>,
    /// For each set: which of these keys it has.
    pub sets: Vec<Vec<bool>>,
    /// The name of the last column, which has the number of the set: `Int64`.
    pub number: String,
}

impl ExpandSpec {
    /// The rows as they are in set `number`, with the columns of [`output`](OperatorSpec::output).
    pub fn rows_of(&self, output: &SchemaRef, rows: &RecordBatch, number: usize) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for ((column, _), has) in self.keys.iter().zip(&self.sets[number]) {
            let key = rows.column(*column);
            columns.push(if *has { Arc::clone(key) } else { new_null_array(key.data_type(), rows.num_rows()) });
        }
        columns.push(Arc::new(Int64Array::from_value(number as i64, rows.num_rows())));
        batch_of(output, columns, rows.num_rows())
    }
}

impl OperatorSpec for ExpandSpec {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn signature(&self) -> String {
        String::new()
    }

    /// The columns that come in, one for each of the keys, the number of the set.
    fn output(&self) -> SchemaRef {
        let own = self.input.fields().iter().map(|field| field.as_ref().clone());
        let keys = self.keys.iter().map(|(column, name)| self.input.field(*column).clone().with_name(name));
        let keys = keys.map(|field| field.with_nullable(true));
        let number = Field::new(&self.number, DataType::Int64, false);
        Arc::new(Schema::new(own.chain(keys).chain([number]).collect::<Vec<_>>()))
    }

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
        Ok(Stateless::boxed(Expand { output: self.output(), spec: self.clone() }))
    }
}

impl fmt::Display for ExpandSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.keys.iter().map(|(column, _)| self.input.field(*column).name().as_str()).collect();
        write!(out, "Expand({})", sets_text(&names, &self.sets))
    }
}

/// Which of `keys` each set has: `sets=[(a, b), (a), ()]`.
pub fn sets_text<K: AsRef<str>>(keys: &[K], sets: &[Vec<bool>]) -> String {
    let set = |set: &Vec<bool>| {
        let own = keys.iter().zip(set).filter(|(_, has)| **has).map(|(key, _)| key.as_ref());
        format!("({})", own.collect::<Vec<_>>().join(", "))
    };
    format!("sets=[{}]", sets.iter().map(set).collect::<Vec<_>>().join(", "))
}

struct Expand {
    spec: ExpandSpec,
    output: SchemaRef,
}

impl RowOperator for Expand {
    fn rows(&mut self, rows: Changes, cx: &mut Context) -> Result<Progress> {
        for number in 0..self.spec.sets.len() {
            cx.emit(rows.clone().with_batch(self.spec.rows_of(&self.output, rows.batch(), number)?));
        }
        Ok(Progress::Done)
    }
}
