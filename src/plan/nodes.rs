//! The nodes of a logical plan that DataFusion does not have: a table of ours, the watermark, windows.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableSource};

use super::unary::{Unary, UnaryNode, of_same_name, of_same_place};
use crate::catalog::Table;
use crate::error::{Error, Result, Span};
use crate::expressions::instant_type;
use crate::operators::{Milliseconds, WindowKind};
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN, Zone};

/// A table of the catalog as a plan holds it.
#[derive(Debug)]
pub struct TableReference {
    pub table: Arc<Table>,
    schema: SchemaRef,
}

impl TableReference {
    pub fn new(table: Arc<Table>) -> Self {
        let schema = table.physical_schema();
        Self { table, schema }
    }
}

impl TableSource for TableReference {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// Where a table's WATERMARK clause stands: the input's columns, then the hidden column of the watermark that each row
/// meets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Watermark {
    pub rowtime: String,
    pub expression: Expr,
}

/// Rows with their watermark.
pub type WatermarkNode = UnaryNode<Watermark>;

impl fmt::Display for Watermark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Watermark: {} AS {}", self.rowtime, crate::expressions::text(&self.expression))
    }
}

impl Unary for Watermark {
    const NAME: &'static str = "Watermark";

    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef> {
        let fields = input.fields().iter().map(|field| {
            let field = field.as_ref().clone();
            if *field.name() == self.rowtime { field.with_nullable(false) } else { field }
        });
        schema_of(fields.chain([Field::new(WATERMARK_COLUMN, DataType::Int64, true)]))
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.expression.clone()]
    }

    fn with_expressions(&self, expressions: Vec<Expr>) -> DataFusionResult<Self> {
        let Some(expression) = expressions.into_iter().next() else {
            return datafusion::common::internal_err!("a watermark has one expression");
        };
        Ok(Self { rowtime: self.rowtime.clone(), expression })
    }

    fn needed(&self, input: &DFSchema, _: &DFSchema, wanted: &[usize]) -> Vec<usize> {
        let mut needed = of_same_place(input, wanted);
        let named = self.expression.column_refs().into_iter().map(|column| column.name.clone());
        for name in named.chain([self.rowtime.clone()]) {
            needed.extend(input.index_of_column_by_name(None, &name));
        }
        needed
    }
}

/// Where rows get the time at which they are read: the input's columns, then the hidden column of that time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arrival;

/// Rows with the time at which they are read.
pub type ArrivalNode = UnaryNode<Arrival>;

impl fmt::Display for Arrival {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Arrival")
    }
}

impl Unary for Arrival {
    const NAME: &'static str = "Arrival";

    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef> {
        let fields = input.fields().iter().map(|field| field.as_ref().clone());
        schema_of(fields.chain([Field::new(PROCTIME_COLUMN, instant_type(), false)]))
    }

    fn needed(&self, input: &DFSchema, _: &DFSchema, wanted: &[usize]) -> Vec<usize> {
        of_same_place(input, wanted)
    }
}

fn schema_of(fields: impl Iterator<Item = Field>) -> Result<DFSchemaRef> {
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields.collect::<Vec<_>>())).map_err(super::bind::bug)?))
}

/// The windows that a function puts rows into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Windows {
    /// Their bounds follow from the time of a row.
    Fixed(WindowKind),
    /// Rows that lie no more than a gap apart and agree in the keys, which are over the function's input.
    Session { gap_ms: i64, keys: Vec<Expr> },
}

impl Windows {
    /// The keys of sessions.
    fn keys(&self) -> &[Expr] {
        match self {
            Self::Fixed(_) => &[],
            Self::Session { keys, .. } => keys,
        }
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(kind) => kind.fmt(out),
            Self::Session { gap_ms, keys } => {
                let keys: Vec<String> = keys.iter().map(crate::expressions::text).collect();
                write!(out, "SESSION(gap=[{}], partition keys=[{}])", Milliseconds(*gap_ms), keys.join(", "))
            }
        }
    }
}

/// A window table function: the input's columns, then the three of the window; a row stands once for each of its windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windowing {
    pub time: String,
    pub window: Windows,
    /// Whether the time is that at which rows were read: the clock closes the windows, and no row is late.
    pub by_clock: bool,
    /// In which zone the windows lie: the session's for instants, UTC for local times.
    pub zone: Zone,
    /// Whether it is a key of GROUP BY, and no function in FROM.
    pub is_key: bool,
    /// Columns that a late table wants of the rows that are refused.
    pub late_columns: Vec<String>,
    /// Where it is written.
    pub span: Span,
}

/// Rows in their windows.
pub type WindowNode = UnaryNode<Windowing>;

/// The names of the three columns of a window, in order.
pub const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// The type of one of them over a time: bounds are local times, the last millisecond is an instant where the time is one.
pub fn window_column_type(name: &str, time: &DataType) -> DataType {
    match time {
        DataType::Timestamp(_, Some(zone)) if name == WINDOW_COLUMNS[2] => {
            DataType::Timestamp(TimeUnit::Millisecond, Some(Arc::clone(zone)))
        }
        _ => DataType::Timestamp(TimeUnit::Millisecond, None),
    }
}

impl Hash for Windowing {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.time, &self.late_columns).hash(state);
    }
}

impl WindowNode {
    /// The type of the time.
    pub fn time_type(&self) -> Result<&DataType> {
        let field = self.input.schema().field_with_unqualified_name(&self.time).map_err(super::bind::bug)?;
        Ok(field.data_type())
    }

    /// The same in a session's zone.
    pub fn in_zone(&self, zone: Zone) -> Result<Self> {
        let is_instant = matches!(self.time_type()?, DataType::Timestamp(_, Some(_)));
        let zone = if is_instant { zone } else { Zone::UTC };
        Ok(self.with(Windowing { zone, ..Windowing::clone(self) }))
    }
}

impl fmt::Display for Windowing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Window: {} ON {}", self.window, self.time)
    }
}

impl Unary for Windowing {
    const NAME: &'static str = "Window";

    fn schema(&self, input: &DFSchemaRef) -> Result<DFSchemaRef> {
        let time = input.field_with_unqualified_name(&self.time).map_err(super::bind::bug)?.data_type();
        let bound = |name: &&str| Field::new(*name, window_column_type(name, time), false);
        let kept = input.fields().iter().map(|field| field.as_ref().clone());
        let kept = kept.filter(|field| !WINDOW_COLUMNS.contains(&field.name().as_str()));
        schema_of(kept.chain(WINDOW_COLUMNS.iter().map(bound)))
    }

    fn expressions(&self) -> Vec<Expr> {
        self.window.keys().to_vec()
    }

    fn with_expressions(&self, keys: Vec<Expr>) -> DataFusionResult<Self> {
        let window = match self.window {
            Windows::Fixed(kind) => Windows::Fixed(kind),
            Windows::Session { gap_ms, .. } => Windows::Session { gap_ms, keys },
        };
        Ok(Self { window, ..self.clone() })
    }

    fn needed(&self, input: &DFSchema, output: &DFSchema, wanted: &[usize]) -> Vec<usize> {
        let mut needed = of_same_name(input, output, wanted);
        let of_keys = self.window.keys().iter().flat_map(Expr::column_refs).map(|column| column.name.as_str());
        let others = [self.time.as_str(), WATERMARK_COLUMN].into_iter().chain(of_keys);
        let others = others.chain(self.late_columns.iter().map(String::as_str));
        needed.extend(others.filter_map(|name| input.index_of_column_by_name(None, name)));
        needed
    }
}

/// The table behind a scan.
pub fn table_of(source: &Arc<dyn TableSource>) -> Result<&TableReference> {
    source.downcast_ref::<TableReference>().ok_or_else(|| Error::bug("a scan of a foreign table"))
}
