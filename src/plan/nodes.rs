//! The nodes of a logical plan that DataFusion does not have: a table of ours, the watermark, windows.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, TableSource, UserDefinedLogicalNodeCore};

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
pub struct WatermarkNode {
    pub input: Arc<LogicalPlan>,
    pub rowtime: String,
    pub expression: Expr,
    schema: DFSchemaRef,
}

/// A watermark on top of a plan with unqualified columns.
pub fn watermark_node(input: LogicalPlan, rowtime: &str, expression: Expr) -> Result<LogicalPlan> {
    let schema = watermark_schema(&input, rowtime).map_err(super::bind::bug)?;
    let node = WatermarkNode { input: Arc::new(input), rowtime: rowtime.to_owned(), expression, schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

fn watermark_schema(input: &LogicalPlan, rowtime: &str) -> DataFusionResult<DFSchemaRef> {
    let fields = input.schema().fields().iter().map(|field| {
        let field = field.as_ref().clone();
        if field.name() == rowtime { field.with_nullable(false) } else { field }
    });
    let fields: Vec<Field> = fields.chain([Field::new(WATERMARK_COLUMN, DataType::Int64, true)]).collect();
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields))?))
}

impl PartialOrd for WatermarkNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.rowtime.partial_cmp(&other.rowtime).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for WatermarkNode {
    fn name(&self) -> &str {
        "Watermark"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.expression.clone()]
    }

    fn fmt_for_explain(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Watermark: {} AS {}", self.rowtime, crate::expressions::text(&self.expression))
    }

    fn with_exprs_and_inputs(&self, expressions: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let (Some(expression), Some(input)) = (expressions.into_iter().next(), inputs.into_iter().next()) else {
            return datafusion::common::internal_err!("a watermark has one expression and one input");
        };
        let schema = watermark_schema(&input, &self.rowtime)?;
        Ok(Self { input: Arc::new(input), rowtime: self.rowtime.clone(), expression, schema })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let mut needed: Vec<usize> =
            output_columns.iter().copied().filter(|index| *index < input.fields().len()).collect();
        let named = self.expression.column_refs().into_iter().map(|column| column.name.clone());
        for name in named.chain([self.rowtime.clone()]) {
            needed.extend(input.index_of_column_by_name(None, &name));
        }
        Some(vec![sorted(needed)])
    }
}

/// Where rows get the time at which they are read: the input's columns, then the hidden column of that time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArrivalNode {
    pub input: Arc<LogicalPlan>,
    schema: DFSchemaRef,
}

/// The time of reading on top of a plan with unqualified columns.
pub fn arrival_node(input: LogicalPlan) -> Result<LogicalPlan> {
    let schema = arrival_schema(&input).map_err(super::bind::bug)?;
    let node = ArrivalNode { input: Arc::new(input), schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

fn arrival_schema(input: &LogicalPlan) -> DataFusionResult<DFSchemaRef> {
    let fields = input.schema().fields().iter().map(|field| field.as_ref().clone());
    let fields: Vec<Field> = fields.chain([Field::new(PROCTIME_COLUMN, instant_type(), false)]).collect();
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields))?))
}

impl PartialOrd for ArrivalNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for ArrivalNode {
    fn name(&self) -> &str {
        "Arrival"
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
        out.write_str("Arrival")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let Some(input) = inputs.into_iter().next() else {
            return datafusion::common::internal_err!("an arrival has one input");
        };
        let schema = arrival_schema(&input)?;
        Ok(Self { input: Arc::new(input), schema })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let count = self.input.schema().fields().len();
        Some(vec![sorted(output_columns.iter().copied().filter(|index| *index < count).collect())])
    }
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
pub struct WindowNode {
    pub input: Arc<LogicalPlan>,
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
    schema: DFSchemaRef,
}

/// Windows on top of a plan with unqualified columns.
pub fn window_node(
    input: LogicalPlan,
    time: &str,
    window: Windows,
    by_clock: bool,
    is_key: bool,
    late_columns: Vec<String>,
    span: Span,
) -> Result<LogicalPlan> {
    let schema = window_schema(&input, time).map_err(super::bind::bug)?;
    let (input, time, zone) = (Arc::new(input), time.to_owned(), Zone::UTC);
    let node = WindowNode { input, time, window, by_clock, zone, is_key, late_columns, span, schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

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

fn window_schema(input: &LogicalPlan, time: &str) -> DataFusionResult<DFSchemaRef> {
    let time = input.schema().field_with_unqualified_name(time)?.data_type();
    let bound = |name: &&str| Field::new(*name, window_column_type(name, time), false);
    let kept = input.schema().fields().iter().map(|field| field.as_ref().clone());
    let kept = kept.filter(|field| !WINDOW_COLUMNS.contains(&field.name().as_str()));
    let fields: Vec<Field> = kept.chain(WINDOW_COLUMNS.iter().map(bound)).collect();
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields))?))
}

impl Hash for WindowNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.input, &self.time, &self.late_columns).hash(state);
    }
}

impl PartialOrd for WindowNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.time.partial_cmp(&other.time).filter(|order| *order != Ordering::Equal || self == other)
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
        Ok(Self { zone: if is_instant { zone } else { Zone::UTC }, ..self.clone() })
    }

    /// The input's column of that name.
    fn input_index(&self, name: &str) -> Option<usize> {
        self.input.schema().index_of_column_by_name(None, name)
    }
}

impl UserDefinedLogicalNodeCore for WindowNode {
    fn name(&self) -> &str {
        "Window"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.window.keys().to_vec()
    }

    fn fmt_for_explain(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Window: {} ON {}", self.window, self.time)
    }

    fn with_exprs_and_inputs(&self, expressions: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DataFusionResult<Self> {
        let Some(input) = inputs.into_iter().next() else {
            return datafusion::common::internal_err!("a window function has one input");
        };
        let schema = window_schema(&input, &self.time)?;
        let window = match self.window {
            Windows::Fixed(kind) => Windows::Fixed(kind),
            Windows::Session { gap_ms, .. } => Windows::Session { gap_ms, keys: expressions },
        };
        Ok(Self { input: Arc::new(input), schema, window, ..self.clone() })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let output = self.schema.fields();
        let mut needed: Vec<usize> = output_columns
            .iter()
            .filter_map(|index| output.get(*index))
            .filter_map(|field| self.input_index(field.name()))
            .collect();
        let hidden = [self.time.as_str(), WATERMARK_COLUMN];
        let of_keys = self.window.keys().iter().flat_map(Expr::column_refs);
        needed.extend(of_keys.filter_map(|column| self.input_index(&column.name)));
        needed.extend(
            hidden
                .into_iter()
                .chain(self.late_columns.iter().map(String::as_str))
                .filter_map(|name| self.input_index(name)),
        );
        Some(vec![sorted(needed)])
    }
}

/// Indices in order, each once.
pub(super) fn sorted(mut indices: Vec<usize>) -> Vec<usize> {
    indices.sort_unstable();
    indices.dedup();
    indices
}

/// The node of ours in an extension.
pub fn as_watermark(plan: &LogicalPlan) -> Option<&WatermarkNode> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref()
}

/// The node of ours in an extension.
pub fn as_arrival(plan: &LogicalPlan) -> Option<&ArrivalNode> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref()
}

/// The node of ours in an extension.
pub fn as_window(plan: &LogicalPlan) -> Option<&WindowNode> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    extension.node.as_any().downcast_ref()
}

/// The table behind a scan.
pub fn table_of(source: &Arc<dyn TableSource>) -> Result<&TableReference> {
    source.downcast_ref::<TableReference>().ok_or_else(|| Error::bug("a scan of a foreign table"))
}
