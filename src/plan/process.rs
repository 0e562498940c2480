//! The call of a process function as a node of the plan: the columns of the key, those of the function, and the time of the
//! rows if the call names one.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DFSchemaRef};

use super::unary::{Unary, UnaryNode};
use crate::error::{Error, Result, Span};
use crate::operators::process::{ProcessFactory, ProcessSpec};
use crate::stream::{WATERMARK_COLUMN, is_hidden_column};

/// The name of the column of the time.
pub const ROWTIME_COLUMN: &str = "rowtime";

/// A call.
#[derive(Debug, Clone)]
pub struct Processing {
    pub function: ProcessFactory,
    /// The columns of PARTITION BY.
    pub keys: Vec<String>,
    /// The column that `on_time` names.
    pub on_time: Option<String>,
    pub uid: Option<String>,
    /// Columns that a late table wants of the rows that are refused; none if the function refuses none.
    pub late_columns: Option<Vec<String>>,
    /// Whether the input has event time, which timers go by.
    pub has_watermark: bool,
    /// The columns that leave but for the hidden one.
    pub columns: Vec<Field>,
    /// Where it is written.
    pub span: Span,
}

/// What a process function makes of rows.
pub type ProcessNode = UnaryNode<Processing>;

impl Processing {
    /// The operator over rows with these columns, of which the hidden ones stand last.
    pub fn spec(&self, input: &SchemaRef, query: String) -> Result<ProcessSpec> {
        let shown = input.fields().iter().take_while(|field| !is_hidden_column(field.name())).count();
        let index_of = |name: &String| {
            input.index_of(name).map_err(|_| Error::bug(format!("{name} of a process function was pruned")))
        };
        let on_time = self.on_time.as_ref().map(index_of).transpose()?;
        let watermark = on_time.and_then(|_| input.index_of(WATERMARK_COLUMN).ok());
        let hidden = watermark.map(|column| input.field(column).clone());
        Ok(ProcessSpec {
            function: self.function.clone(),
            input: Arc::clone(input),
            shown,
            keys: self.keys.iter().map(index_of).collect::<Result<_>>()?,
            on_time,
            watermark,
            late_columns: match &self.late_columns {
                None => None,
                Some(names) => Some(names.iter().map(index_of).collect::<Result<_>>()?),
            },
            query,
            output: Arc::new(Schema::new(self.columns.iter().cloned().chain(hidden).collect::<Vec<_>>())),
        })
    }

    /// `f BY k ON ts UID x`: what is called, as a restart compares it.
    pub fn meaning(&self, column: impl Fn(&str) -> String) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| column(key)).collect();
        let time = self.on_time.as_ref().map(|time| format!(" ON {}", column(time))).unwrap_or_default();
        let uid = self.uid.as_ref().map(|uid| format!(" UID {uid}")).unwrap_or_default();
        format!("{}() BY {}{time}{uid}", self.function.name.to_lowercase(), keys.join(", "))
    }
}

impl PartialEq for Processing {
    fn eq(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.function.name.clone(), it.keys.clone(), it.on_time.clone(), it.uid.clone(), it.span);
        of(self) == of(other) && self.columns == other.columns && self.late_columns == other.late_columns
    }
}

impl Eq for Processing {}

impl Hash for Processing {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.function.name, &self.keys, &self.on_time, &self.uid).hash(state);
    }
}

impl fmt::Display for Processing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Process: {}", self.meaning(str::to_owned))
    }
}

/// The function may read all columns.
impl Unary for Processing {
    const NAME: &'static str = "Process";

    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef> {
        let hidden = self.on_time.as_ref().and_then(|_| input.field_with_unqualified_name(WATERMARK_COLUMN).ok());
        let hidden = hidden.map(|_| Field::new(WATERMARK_COLUMN, DataType::Int64, true));
        let schema = Schema::new(self.columns.iter().cloned().chain(hidden).collect::<Vec<_>>());
        Ok(Arc::new(DFSchema::try_from(schema).map_err(super::bind::bug)?))
    }

    fn needed(&self, input: &DFSchema, _: &DFSchema, _: &[usize]) -> Vec<usize> {
        let is_needed = |name: &str| !is_hidden_column(name) || (self.on_time.is_some() && name == WATERMARK_COLUMN);
        let fields = input.fields().iter().enumerate();
        fields.filter(|(_, field)| is_needed(field.name())).map(|(index, _)| index).collect()
    }
}
