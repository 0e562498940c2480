//! GROUPING SETS as a node of the plan: each row once for each set, with the keys that the set leaves out empty.
//!
//! ```text
//!   a │ b │ n          a │ b │ n │ $key0 │ $key1 │ $grouping
//!   1 │ x │ 5    ──▶   1 │ x │ 5 │   1   │   x   │ 0           (a, b)
//!                      1 │ x │ 5 │   1   │ NULL  │ 1           (a)
//! ```
//!
//! The keys are columns of their own, so that an aggregate of a key still reads the key.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::LogicalPlan;

use super::bind::bug;
use super::unary::{Unary, UnaryNode, of_same_place};
use crate::error::Result;
use crate::operators::{ExpandSpec, sets_text};

/// The hidden column with the number of the grouping set, `BIGINT`.
pub const GROUPING_COLUMN: &str = "$grouping";

/// The input's columns, a column for each key that some set leaves out, then [`GROUPING_COLUMN`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupingSets {
    /// The input's columns that are keys of some sets only.
    pub keys: Vec<String>,
    /// For each set: which of these keys it has.
    pub sets: Vec<Vec<bool>>,
}

/// Each row once for each set.
pub type ExpandNode = UnaryNode<GroupingSets>;

/// The name of the column of key `index`.
pub fn key_column(index: usize) -> String {
    format!("$key{index}")
}

/// Each row once for each set.
pub fn expand_node(input: LogicalPlan, keys: Vec<String>, sets: Vec<Vec<bool>>) -> Result<LogicalPlan> {
    ExpandNode::over(input, GroupingSets { keys, sets })
}

/// The operator that does it with rows of `input`, in which `keys` are the columns of the node's keys.
pub fn expand_spec(input: SchemaRef, keys: Vec<usize>, sets: &[Vec<bool>]) -> ExpandSpec {
    let keys = keys.into_iter().enumerate().map(|(index, column)| (column, key_column(index))).collect();
    ExpandSpec { input, keys, sets: sets.to_vec(), number: GROUPING_COLUMN.to_owned() }
}

impl fmt::Display for GroupingSets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Expand: {}", sets_text(&self.keys, &self.sets))
    }
}

impl Unary for GroupingSets {
    const NAME: &'static str = "Expand";

    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef> {
        let mut fields: Vec<Field> = input.fields().iter().map(|field| field.as_ref().clone()).collect();
        for (index, key) in self.keys.iter().enumerate() {
            let field = input.field_with_unqualified_name(key).map_err(bug)?;
            fields.push(Field::new(key_column(index), field.data_type().clone(), true));
        }
        fields.push(Field::new(GROUPING_COLUMN, DataType::Int64, false));
        Ok(Arc::new(DFSchema::try_from(Schema::new(fields)).map_err(bug)?))
    }

    fn needed(&self, input: &DFSchema, _: &DFSchema, wanted: &[usize]) -> Vec<usize> {
        let mut needed = of_same_place(input, wanted);
        needed.extend(self.keys.iter().filter_map(|key| input.index_of_column_by_name(None, key)));
        needed
    }
}
