//! Sources: a scan with the projections above it and the watermark, or VALUES.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, LogicalPlan, Values};

use super::meaning::Meaning;
use super::{Flow, Input, Lowering, is_source, through_projections};
use crate::connectors::{SourceFactory, values};
use crate::error::{Error, Result};
use crate::expressions::{Scalar, compile};
use crate::plan::changelog_mode::ChangelogMode;
use crate::plan::nodes::{as_watermark, table_of};
use crate::plan::stream_plan::{Exchange, Node, NodeKind, OnError, Parallelism, SourceNode, WatermarkSpec};
use crate::stream::WATERMARK_COLUMN;

impl Lowering<'_> {
    /// The source that a plan is, if it is one.
    pub(super) fn source(&mut self, plan: &LogicalPlan, carry_watermark: bool) -> Result<Option<Flow>> {
        let Some((source, schema)) = source_node(plan, carry_watermark, self.settings.idle_timeout_ms)? else {
            return Ok(None);
        };
        let table = source.table.clone();
        Ok(Some(self.source_flow(&table, source, schema)))
    }

    /// VALUES as a source of constant rows.
    pub(super) fn values(&mut self, values_node: &Values) -> Result<Flow> {
        let rows = constant_rows(values_node)?;
        let schema = rows.schema();
        let source = SourceNode {
            table: "VALUES".to_owned(),
            signature: Meaning::of(&LogicalPlan::Values(values_node.clone())).text(),
            factory: values(rows),
            projection: (0..schema.fields().len()).collect(),
            primary_key: Vec::new(),
            columns: (0..schema.fields().len()).map(|index| Scalar::column(&schema, index)).collect(),
            watermark: None,
            carry_watermark: false,
            on_error: OnError::Fail,
            idle_timeout_ms: 0,
        };
        Ok(self.source_flow("values", source, schema))
    }

    fn source_flow(&mut self, name: &str, source: SourceNode, schema: SchemaRef) -> Flow {
        let index = self.plan.nodes.len();
        let keys: Vec<Vec<usize>> =
            Some(source.primary_key.clone()).filter(|key| !key.is_empty()).into_iter().collect();
        self.plan.nodes.push(Node {
            name: format!("source-{index}-{name}"),
            kind: NodeKind::Source(source),
            inputs: Vec::new(),
            parallelism: Parallelism::One,
            schema: Arc::clone(&schema),
            mode: ChangelogMode::APPEND,
            keys: keys.clone(),
        });
        Flow { keys, is_fresh: true, ..Flow::from(vec![Input::of(index, Exchange::Forward)], Parallelism::One, schema) }
    }
}

/// The source that a plan is, if it is one: `[Watermark] [Projection…] TableScan`; and the columns that leave it.
pub fn source_node(
    plan: &LogicalPlan,
    carry_watermark: bool,
    idle_timeout_ms: u64,
) -> Result<Option<(SourceNode, SchemaRef)>> {
    if !is_source(plan) {
        return Ok(None);
    }
    let watermark_node = as_watermark(plan);
    let rows = watermark_node.map_or(plan, |node| node.input.as_ref());
    let (columns, scan) = through_projections(rows)?;
    let LogicalPlan::TableScan(scan) = scan else {
        return Err(Error::bug("a source without a scan"));
    };
    let table = &table_of(&scan.source)?.table;
    let all: Vec<usize> = (0..table.physical_schema().fields().len()).collect();
    let projection = scan.projection.clone().unwrap_or(all);
    let compiled =
        columns.iter().map(|(_, column)| compile(column, &scan.projected_schema)).collect::<Result<Vec<Scalar>>>()?;
    let watermark = match watermark_node {
        None => None,
        Some(node) => {
            let rowtime = columns.iter().position(|(name, _)| *name == node.rowtime);
            let rowtime = rowtime.ok_or_else(|| Error::bug("the rowtime was pruned"))?;
            Some(WatermarkSpec { rowtime, expression: compile(&node.expression, rows.schema())? })
        }
    };
    let mut fields: Vec<Field> = columns
        .iter()
        .zip(&compiled)
        .enumerate()
        .map(|(index, ((name, _), column))| {
            let is_rowtime = watermark.as_ref().is_some_and(|watermark| watermark.rowtime == index);
            Field::new(name, column.data_type().clone(), column.nullable() && !is_rowtime)
        })
        .collect();
    let carry_watermark = carry_watermark && watermark.is_some();
    if carry_watermark {
        fields.push(Field::new(WATERMARK_COLUMN, DataType::Int64, false));
    }
    let stored = |name: &String| table.physical_schema().index_of(name).ok();
    let leaves = |stored: usize| {
        compiled.iter().position(|column| column.as_column().is_some_and(|read| projection.get(read) == Some(&stored)))
    };
    let primary_key: Option<Vec<usize>> = table.primary_key.iter().map(|name| stored(name).and_then(leaves)).collect();
    let setting = |key: &str| table.settings.raw(key).map(str::to_owned);
    let on_error = match setting("beadline.on-error").as_deref() {
        Some(value) if value.eq_ignore_ascii_case("skip") => OnError::Skip,
        _ => OnError::Fail,
    };
    let idle = table.options.raw("scan.watermark.idle-timeout").and_then(crate::options::parse_duration);
    let source = SourceNode {
        table: table.name.clone(),
        signature: format!("{}{}", table.signature(), watermark_text(plan)),
        factory: table.source()?,
        projection,
        primary_key: primary_key.unwrap_or_default(),
        columns: compiled,
        watermark,
        carry_watermark,
        on_error,
        idle_timeout_ms: idle.map_or(idle_timeout_ms, |idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)),
    };
    Ok(Some((source, Arc::new(Schema::new(fields)))))
}

/// The WATERMARK clause over stored columns, whatever computed columns are called.
fn watermark_text(plan: &LogicalPlan) -> String {
    let Some(node) = as_watermark(plan) else { return String::new() };
    let input = Meaning::of(&node.input);
    let resolve = |expression: &Expr| input.resolve(expression, node.input.schema());
    let rowtime = resolve(&Expr::Column(Column::new_unqualified(&node.rowtime)));
    format!(" WATERMARK FOR {rowtime} AS {}", resolve(&node.expression))
}

/// The rows of VALUES, evaluated.
pub fn constant_rows(values: &Values) -> Result<RecordBatch> {
    let nothing = DFSchema::empty();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let schema: SchemaRef = Arc::clone(values.schema.inner());
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let cells = values
            .values
            .iter()
            .map(|row| compile(&row[index], &nothing)?.evaluate(&one))
            .collect::<Result<Vec<ArrayRef>>>()?;
        let cells: Vec<&dyn arrow::array::Array> = cells.iter().map(AsRef::as_ref).collect();
        columns.push(arrow::compute::cast(&concat(&cells)?, field.data_type())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(values.values.len()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// Whether all sources of a plan end by themselves.
pub fn is_bounded(plan: &crate::plan::StreamPlan) -> bool {
    plan.sources().all(|source| source.factory.is_bounded())
}

/// Whether rows of a source come as they happen.
pub fn is_live(plan: &crate::plan::StreamPlan) -> bool {
    plan.sources().any(|source| source.factory.is_live())
}

/// A source that several nodes of one plan would read, though its rows can be read only once.
pub fn check_read_once(plan: &crate::plan::StreamPlan) -> Result<()> {
    let mut seen: Vec<&str> = Vec::new();
    for node in &plan.nodes {
        if let NodeKind::Source(source) = &node.kind
            && SourceFactory::reads_once(source.factory.as_ref())
        {
            if seen.contains(&source.table.as_str()) {
                return Err(only_once(&source.table));
            }
            seen.push(&source.table);
        }
    }
    Ok(())
}

/// The error about a table that is read twice though its rows come only once.
pub fn only_once(table: &str) -> Error {
    Error::query(format!("table `{table}` can be read only once in a job"))
        .with_help("read it once, or write it to files first")
}
