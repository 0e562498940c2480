//! Sources: a scan with the projections above it and the watermark, or VALUES. Scans of one table become one source.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, Values};

use super::meaning::Meaning;
use super::{Flow, Input, Lowering, Named, PlanSettings, bug, is_source, through_projections};
use crate::catalog::Table;
use crate::connectors::{SourceFactory, values};
use crate::error::{Error, Result};
use crate::expressions::{Scalar, compile, instant_type};
use crate::plan::changelog_mode::ChangelogMode;
use crate::plan::nodes::{ArrivalNode, WatermarkNode, WindowNode, Windows, table_of};
use crate::plan::process::ProcessNode;
use crate::plan::stream_plan::{
    Exchange, FutureGuard, Node, NodeKind, OnError, Parallelism, SourceNode, WatermarkAlignment, WatermarkSpec,
    WindowEnds,
};
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN};

impl Lowering<'_> {
    /// The source that a plan is, if it is one. A table that several plans read is read by the first of them, with what
    /// all need; each takes its own columns.
    pub(super) fn source(&mut self, plan: &LogicalPlan, carry_watermark: bool) -> Result<Option<Flow>> {
        let Some(scan) = Scan::of(plan, &self.time)? else { return Ok(None) };
        let carries = carry_watermark && scan.watermark.is_some();
        let Some(shared) = self.shared.iter().position(|shared| shared.scan.can_be(&scan)) else {
            let (source, schema) = scan.node(carries, true, Some(self.settings))?;
            let table = source.table.clone();
            return Ok(Some(self.source_flow(&table, source, schema)));
        };
        let node = match self.shared[shared].node {
            Some(node) => node,
            None => {
                let all = &self.shared[shared].scan;
                // Whoever does not need the hidden column leaves it.
                let (source, schema) = all.node(all.watermark.is_some(), true, Some(self.settings))?;
                let table = source.table.clone();
                self.source_flow(&table, source, schema);
                *self.shared[shared].node.insert(self.plan.nodes.len() - 1)
            }
        };
        let mut flow = self.flow_of(node);
        let of = &self.shared[shared].scan.columns;
        let place = |(_, column): &(String, Expr)| of.iter().position(|(_, known)| known == column);
        let mut indices: Vec<usize> = scan
            .columns
            .iter()
            .map(|column| place(column).ok_or_else(|| Error::bug("a shared source lacks a column")))
            .collect::<Result<_>>()?;
        let named = indices.iter().zip(&scan.columns);
        let mut fields: Vec<Field> =
            named.map(|(index, (name, _))| flow.schema.field(*index).clone().with_name(name)).collect();
        let hidden = of.len();
        if scan.has_proctime {
            indices.push(hidden);
            fields.push(Field::new(PROCTIME_COLUMN, instant_type(), false));
        }
        if carries {
            indices.push(hidden + usize::from(self.shared[shared].scan.has_proctime));
            fields.push(Field::new(WATERMARK_COLUMN, DataType::Int64, true));
        }
        flow.arrange(&indices, Arc::new(Schema::new(fields)));
        Ok(Some(flow))
    }

    /// Has the tables that several of these plans read, or one of them several times, read once.
    pub fn share_sources<'p>(&mut self, plans: impl IntoIterator<Item = &'p LogicalPlan>) -> Result<()> {
        let mut scans: Vec<Shared> = Vec::new();
        for plan in plans {
            visit_sources(plan, &TimeNeed::Any, &mut |scan| match scans
                .iter_mut()
                .find(|known| known.scan.can_be(&scan))
            {
                None => scans.push(Shared { scan, readers: 1, node: None }),
                Some(known) => {
                    known.readers += 1;
                    known.scan.add(scan);
                }
            })?;
        }
        scans.retain(|known| known.readers > 1);
        self.shared = scans;
        Ok(())
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
            carry_proctime: false,
            clock_windows: Vec::new(),
            on_error: OnError::Fail,
            idle_timeout_ms: 0,
            alignment: None,
            future_guard: None,
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
            schema,
            mode: ChangelogMode::APPEND,
            keys,
        });
        self.flow_of(index)
    }

    /// The rows of a source of the plan.
    fn flow_of(&self, node: usize) -> Flow {
        let Node { keys, schema, .. } = &self.plan.nodes[node];
        let input = Input::of(node, Exchange::Forward);
        let flow = Flow::from(vec![input], Parallelism::One, Arc::clone(schema));
        Flow { keys: keys.clone(), is_fresh: true, ..flow }
    }
}

/// A table that several readers share.
pub(super) struct Shared {
    /// With the columns that all of them need.
    scan: Scan,
    readers: usize,
    /// The source, once the first reader has been lowered.
    node: Option<usize>,
}

/// How many milliseconds lie between two looks of the clock at sessions, at least and at most: a tenth of their gap.
const SESSION_LOOKS_MS: (i64, i64) = (10, 1_000);

/// By which time the windows above a source go.
#[derive(Debug, Clone)]
pub(super) enum TimeNeed {
    /// There are none.
    Any,
    Event,
    /// The clock closes these.
    Clock(Vec<WindowEnds>),
}

impl TimeNeed {
    /// What a process function needs of the sources below it. No time passes through it but that which it is given.
    pub(super) fn of_process(node: &ProcessNode) -> Self {
        if node.has_watermark { Self::Event } else { Self::Any }
    }

    /// What a window function needs of the sources below it, where those above it need this. Of windows above each other
    /// the lowest decide by which time they go, and the clock calls the ends of all.
    pub(super) fn of(window: &WindowNode, above: &Self) -> Result<Self> {
        Ok(match (window.by_clock, above) {
            (false, Self::Clock(_)) => {
                return Err(Error::bug("the results of windows over event time have no processing time"));
            }
            (false, _) => Self::Event,
            (true, above) => {
                let zone = window.zone;
                let (slide_ms, offset_ms) = match &window.window {
                    Windows::Fixed(window) => (window.slide_ms(), window.ends_offset_ms()),
                    // Sessions end at any time: the clock looks so often that they leave soon, and not for nothing.
                    Windows::Session { gap_ms, .. } => ((gap_ms / 10).clamp(SESSION_LOOKS_MS.0, SESSION_LOOKS_MS.1), 0),
                };
                let mut ends = vec![WindowEnds { slide_ms, offset_ms, zone }];
                if let Self::Clock(above) = above {
                    ends.extend(above.iter().filter(|more| **more != ends[0]).copied().collect::<Vec<_>>());
                }
                Self::Clock(ends)
            }
        })
    }
}

/// What one place of a query reads of a table: `[Watermark] [Arrival] [Projection…] TableScan`.
struct Scan {
    table: Arc<Table>,
    /// What qualifies the table's own columns in `columns`.
    qualifier: TableReference,
    /// Physical columns that are decoded, by index.
    projection: Vec<usize>,
    /// Columns that leave, over the physical ones.
    columns: Named,
    /// The rowtime and the expression over `columns`.
    watermark: Option<(String, Expr)>,
    /// Whether the time of reading leaves as well.
    has_proctime: bool,
    time: TimeNeed,
    signature: String,
}

impl Scan {
    /// The scan that a plan is, if it is one.
    fn of(plan: &LogicalPlan, time: &TimeNeed) -> Result<Option<Self>> {
        if !is_source(plan) {
            return Ok(None);
        }
        let watermark = WatermarkNode::of(plan);
        let rows = watermark.map_or(plan, |node| node.input.as_ref());
        let arrival = ArrivalNode::of(rows);
        let rows = arrival.map_or(rows, |node| node.input.as_ref());
        let (columns, scan) = through_projections(rows)?;
        let LogicalPlan::TableScan(scan) = scan else {
            return Err(Error::bug("a source without a scan"));
        };
        let table = Arc::clone(&table_of(&scan.source)?.table);
        let all: Vec<usize> = (0..table.physical_schema().fields().len()).collect();
        Ok(Some(Self {
            qualifier: scan.table_name.clone(),
            projection: scan.projection.clone().unwrap_or(all),
            columns,
            watermark: watermark.map(|node| (node.rowtime.clone(), node.expression.clone())),
            has_proctime: arrival.is_some(),
            time: time.clone(),
            signature: format!("{}{}", table.signature(), watermark_text(plan)),
            table,
        }))
    }

    /// Whether both read the same rows.
    fn is_same_table(&self, other: &Self) -> bool {
        let (one, two) = (&self.table, &other.table);
        let is_same = Arc::ptr_eq(one, two) || (one.name == two.name && one.settings == two.settings);
        is_same && self.signature == other.signature
    }

    /// Whether one source can stand for both: it has one watermark, by the table's clause or by the clock.
    fn can_be(&self, other: &Self) -> bool {
        let is_one_time = !matches!(
            (&self.time, &other.time),
            (TimeNeed::Event, TimeNeed::Clock(_)) | (TimeNeed::Clock(_), TimeNeed::Event)
        );
        is_one_time && self.is_same_table(other)
    }

    /// Reads what another needs as well.
    fn add(&mut self, other: Self) {
        self.has_proctime |= other.has_proctime;
        match (&mut self.time, other.time) {
            (TimeNeed::Clock(known), TimeNeed::Clock(more)) => {
                for ends in more {
                    if !known.contains(&ends) {
                        known.push(ends);
                    }
                }
            }
            (any @ TimeNeed::Any, more) => *any = more,
            _ => {}
        }
        self.projection.extend(other.projection);
        self.projection.sort_unstable();
        self.projection.dedup();
        for (name, column) in other.columns {
            if self.columns.iter().all(|(_, known)| *known != column) {
                let mut unique = name;
                while self.columns.iter().any(|(known, _)| *known == unique) {
                    unique.push('\'');
                }
                self.columns.push((unique, column));
            }
        }
    }

    /// The same as a source, and the columns that leave it.
    fn node(
        &self,
        carry_watermark: bool,
        carry_proctime: bool,
        settings: Option<&PlanSettings>,
    ) -> Result<(SourceNode, SchemaRef)> {
        let (table, physical) = (&self.table, self.table.physical_schema());
        let decoded = physical.project(&self.projection)?;
        let decoded = DFSchema::try_from_qualified_schema(self.qualifier.clone(), &decoded).map_err(bug)?;
        let compiled =
            self.columns.iter().map(|(_, column)| compile(column, &decoded)).collect::<Result<Vec<Scalar>>>()?;
        let field = |(column, (name, _)): (&Scalar, &(String, Expr))| {
            Field::new(name, column.data_type().clone(), column.nullable())
        };
        let mut fields: Vec<Field> = compiled.iter().zip(&self.columns).map(field).collect();
        let watermark = match &self.watermark {
            None => None,
            Some((rowtime, expression)) => {
                let columns = DFSchema::try_from(Schema::new(fields.clone())).map_err(bug)?;
                let place = self.columns.iter().position(|(name, _)| name == rowtime);
                let rowtime = place.ok_or_else(|| Error::bug("the rowtime was pruned"))?;
                fields[rowtime] = fields[rowtime].clone().with_nullable(false);
                Some(WatermarkSpec { rowtime, expression: compile(expression, &columns)? })
            }
        };
        if carry_proctime && self.has_proctime {
            fields.push(Field::new(PROCTIME_COLUMN, instant_type(), false));
        }
        if carry_watermark {
            fields.push(Field::new(WATERMARK_COLUMN, DataType::Int64, true));
        }
        let leaves = |name: &String| {
            let stored = physical.index_of(name).ok()?;
            compiled
                .iter()
                .position(|column| column.as_column().is_some_and(|read| self.projection.get(read) == Some(&stored)))
        };
        let primary_key: Option<Vec<usize>> = table.primary_key.iter().map(leaves).collect();
        let on_error = match table.settings.raw("beadline.on-error") {
            Some(value) if value.eq_ignore_ascii_case("skip") => OnError::Skip,
            _ => OnError::Fail,
        };
        let idle = table.options.raw("scan.watermark.idle-timeout").and_then(crate::options::parse_duration);
        let source = SourceNode {
            table: table.name.clone(),
            signature: self.signature.clone(),
            factory: table.source()?,
            projection: self.projection.clone(),
            primary_key: primary_key.unwrap_or_default(),
            columns: compiled,
            watermark,
            carry_watermark,
            carry_proctime: carry_proctime && self.has_proctime,
            clock_windows: match &self.time {
                TimeNeed::Clock(windows) => windows.clone(),
                TimeNeed::Any | TimeNeed::Event => Vec::new(),
            },
            on_error,
            idle_timeout_ms: idle.map_or_else(
                || settings.map_or(0, |settings| settings.idle_timeout_ms),
                |idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX),
            ),
            alignment: alignment(table)?,
            future_guard: None,
        };
        let future_guard = settings.map(|settings| self.future_guard(&source, settings)).transpose()?.flatten();
        Ok((SourceNode { future_guard, ..source }, Arc::new(Schema::new(fields))))
    }

    /// Which rows lie too far in the future, where a watermark goes by their time.
    fn future_guard(&self, source: &SourceNode, settings: &PlanSettings) -> Result<Option<FutureGuard>> {
        let Some(max_drift_ms) = settings.max_future_drift_ms else { return Ok(None) };
        if source.watermark.is_none() || matches!(self.time, TimeNeed::Clock(_)) {
            return Ok(None);
        }
        if !source.factory.has_stored_times() {
            return Err(Error::query(format!(
                "'beadline.watermark.max-future-drift' needs to know when the rows of table `{}` were stored, which its \
                 connector does not say",
                source.table
            ))
            .with_help("tables of files and standard input know; for others: RESET 'beadline.watermark.max-future-drift'"));
        }
        Ok(Some(FutureGuard { max_drift_ms, zone: settings.zone }))
    }
}

/// How a table is kept together with others in event time, if it is.
fn alignment(table: &Table) -> Result<Option<WatermarkAlignment>> {
    let (group, drift) =
        ["group", "max-drift"].map(|name| table.options.raw(&format!("scan.watermark.alignment.{name}"))).into();
    match (group, drift.and_then(crate::options::parse_duration)) {
        (None, None) => Ok(None),
        (Some(group), Some(drift)) => {
            let max_drift_ms = i64::try_from(drift.as_millis()).unwrap_or(i64::MAX);
            Ok(Some(WatermarkAlignment { group: group.to_owned(), max_drift_ms }))
        }
        _ => Err(Error::query(format!(
            "table `{}`: watermarks are kept together by a group and how far a table may be ahead of it",
            table.name
        ))
        .with_help("'scan.watermark.alignment.group' = 'g', 'scan.watermark.alignment.max-drift' = '1 min'")),
    }
}

/// Calls `visit` for each place of a plan that becomes a source.
fn visit_sources(plan: &LogicalPlan, time: &TimeNeed, visit: &mut impl FnMut(Scan)) -> Result<()> {
    match Scan::of(plan, time)? {
        Some(scan) => visit(scan),
        None => {
            let need = match ProcessNode::of(plan) {
                Some(process) => Some(TimeNeed::of_process(process)),
                None => WindowNode::of(plan).map(|window| TimeNeed::of(window, time)).transpose()?,
            };
            for input in plan.inputs() {
                visit_sources(input, need.as_ref().unwrap_or(time), visit)?;
            }
        }
    }
    Ok(())
}

/// The source that a plan is, if it is one, read once to its end: without watermarks, and without the time of reading; and
/// the columns that leave it.
pub fn source_node(plan: &LogicalPlan) -> Result<Option<(SourceNode, SchemaRef)>> {
    Scan::of(plan, &TimeNeed::Any)?.map(|scan| scan.node(false, false, None)).transpose()
}

/// The WATERMARK clause over stored columns, whatever computed columns are called.
fn watermark_text(plan: &LogicalPlan) -> String {
    let Some(node) = WatermarkNode::of(plan) else { return String::new() };
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
