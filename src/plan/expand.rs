//! GROUPING SETS as a node of the plan: each row once for each set, with the keys that the set leaves out empty.
//!
//! ```text
//!   a │ b │ n          a │ b │ n │ $key0 │ $key1 │ $grouping
//!   1 │ x │ 5    ──▶   1 │ x │ 5 │   1   │   x   │ 0           (a, b)
//!                      1 │ x │ 5 │   1   │ NULL  │ 1           (a)
//! ```
//!
//! The keys are columns of their own, so that an aggregate of a key still reads the key.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use super::nodes::sorted;
use crate::error::Result;
use crate::operators::{ExpandSpec, sets_text};

/// The hidden column with the number of the grouping set, `BIGINT`.
pub const GROUPING_COLUMN: &str = "$grouping";

/// The input's columns, a column for each key that some set leaves out, then [`GROUPING_COLUMN`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExpandNode {
    pub input: Arc<LogicalPlan>,
    /// The input's columns that are keys of some sets only.
    pub keys: Vec<String>,
    /// For each set: which of these keys it has.
    pub sets: Vec<Vec<bool>>,
    schema: DFSchemaRef,
}

/// The name of the column of key `index`.
pub fn key_column(index: usize) -> String {
    format!("$key{index}")
}

/// Each row once for each set.
pub fn expand_node(input: LogicalPlan, keys: Vec<String>, sets: Vec<Vec<bool>>) -> Result<LogicalPlan> {
    let schema = expand_schema(&input, &keys).map_err(super::bind::bug)?;
    let node = ExpandNode { input: Arc::new(input), keys, sets, schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// The node of ours in an extension.
pub fn as_expand(plan: &LogicalPlan) -> Option<&ExpandNode> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref()
}

/// The operator that does it with rows of `input`, in which `keys` are the columns of the node's keys.
pub fn expand_spec(input: SchemaRef, keys: Vec<usize>, sets: &[Vec<bool>]) -> ExpandSpec {
    let keys = keys.into_iter().enumerate().map(|(index, column)| (column, key_column(index))).collect();
    ExpandSpec { input, keys, sets: sets.to_vec(), number: GROUPING_COLUMN.to_owned() }
}

fn expand_schema(input: &LogicalPlan, keys: &[String]) -> DataFusionResult<DFSchemaRef> {
    let mut fields: Vec<Field> = input.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    for (index, key) in keys.iter().enumerate() {
        let field = input.schema().field_with_unqualified_name(key)?;
        fields.push(Field::new(key_column(index), field.data_type().clone(), true));
    }
    fields.push(Field::new(GROUPING_COLUMN, DataType::Int64, false));
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields))?))
}

impl PartialOrd for ExpandNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.keys.partial_cmp(&other.keys).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for ExpandNode {
    fn name(&self) -> &str {
        "Expand"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Expand: {}", sets_text(&self.keys, &self.sets))
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let Some(input) = inputs.into_iter().next() else {
            return datafusion::common::internal_err!("grouping sets have one input");
        };
        let schema = expand_schema(&input, &self.keys)?;
        Ok(Self { input: Arc::new(input), schema, ..self.clone() })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let count = input.fields().len();
        let mut needed: Vec<usize> = output_columns.iter().copied().filter(|index| *index < count).collect();
        needed.extend(self.keys.iter().filter_map(|key| input.index_of_column_by_name(None, key)));
        Some(vec![sorted(needed)])
    }
}
