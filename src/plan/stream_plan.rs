//! The physical plan of a job: a graph of nodes, each of which runs as one or several tasks.
//!
//! ```text
//! Source ──▶ Chain(Calc, WindowAssign, LocalAggregate) ─Hash(keys)─▶ Chain(WindowAggregate, Calc) ──▶ Sink
//!                       └─late─▶ Chain(Calc) ──▶ Sink (late table)
//! ```

use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;

use super::changelog_mode::ChangelogMode;
use crate::connectors::{SinkFactory, SourceFactory};
use crate::error::{Error, Result};
use crate::expressions::Scalar;
use crate::operators::OperatorSpec;
use crate::stream::{Changes, ProcTime, Zone};

/// A job's nodes in topological order: an edge leads from a lower to a higher index.
#[derive(Debug, Clone, Default)]
pub struct StreamPlan {
    pub nodes: Vec<Node>,
}

impl StreamPlan {
    /// The tables that are read.
    pub fn sources(&self) -> impl Iterator<Item = &SourceNode> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Source(source) => Some(source),
            _ => None,
        })
    }

    /// Whether a restarted job can go on from a checkpoint.
    pub fn can_resume(&self) -> bool {
        self.sources().all(|source| source.factory.can_resume())
    }
}

/// A part of the plan whose tasks all do the same.
#[derive(Debug, Clone)]
pub struct Node {
    /// Unique within the plan and stable over restarts of the same query: names counters, state and sink tasks.
    /// Derived from kind and ordinal (`source-1-flights`, `chain-2`, `sink-3-departures`).
    pub name: String,
    pub kind: NodeKind,
    pub inputs: Vec<Edge>,
    pub parallelism: Parallelism,
    /// The columns that leave on the main output (of a sink: that are written).
    pub schema: SchemaRef,
    /// What kinds of change leave on the main output (of a sink: come in). Late rows are only ever inserted.
    pub mode: ChangelogMode,
    /// The upsert keys of what leaves on the main output (of a sink: of what comes in), each as columns by index: at most
    /// one row is there for each value of a key, and its changes leave one task in order. Empty if there is none; a key
    /// without columns says that there is never more than one row.
    pub keys: Vec<Vec<usize>>,
}

#[derive(Debug, Clone)]
pub enum NodeKind {
    Source(SourceNode),
    /// Operators that call each other directly; the first may have several ports.
    Chain(Vec<Arc<dyn OperatorSpec>>),
    Sink(SinkNode),
}

/// A table that is read.
#[derive(Debug, Clone)]
pub struct SourceNode {
    pub table: String,
    /// What a restore compares: connector, options and columns of the table. Positions belong to these.
    pub signature: String,
    pub factory: Arc<dyn SourceFactory>,
    /// The physical columns to decode, by index.
    pub projection: Vec<usize>,
    /// The primary key by index into [`columns`](Self::columns); empty if there is none, or if not all of it is read.
    pub primary_key: Vec<usize>,
    /// Every column that leaves but the hidden ones, computed from the decoded columns.
    pub columns: Vec<Scalar>,
    /// The table's WATERMARK clause.
    pub watermark: Option<WatermarkSpec>,
    /// Whether the hidden column [`WATERMARK_COLUMN`](crate::stream::WATERMARK_COLUMN) is appended as last column.
    pub carry_watermark: bool,
    /// Whether the hidden column [`PROCTIME_COLUMN`](crate::stream::PROCTIME_COLUMN) is appended, before that of the
    /// watermark.
    pub carry_proctime: bool,
    /// The windows that the clock closes. If there are any, the source's watermark is the clock's and not the table's.
    pub clock_windows: Vec<WindowEnds>,
    /// What happens to a row that cannot be read.
    pub on_error: OnError,
    /// `table.exec.source.idle-timeout` or the table's own, in milliseconds; 0 = off.
    pub idle_timeout_ms: u64,
    /// The tables whose watermarks are kept together with this one's.
    pub alignment: Option<WatermarkAlignment>,
    /// Which rows lie too far in the future.
    pub future_guard: Option<FutureGuard>,
}

/// `beadline.watermark.max-future-drift`: a row whose rowtime lies further than that behind the time at which it was stored
/// moves no watermark, and is refused by whoever goes by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FutureGuard {
    pub max_drift_ms: i64,
    /// The zone of the clocks by which a rowtime without a zone is read.
    pub zone: Zone,
}

impl FutureGuard {
    /// The greatest rowtime that is allowed of what was stored then: an instant, or what clocks show.
    pub fn latest(self, stored: ProcTime, has_zone: bool) -> i64 {
        let stored = if has_zone { stored.0 } else { self.zone.offsets().reached(stored.0) };
        stored.saturating_add(self.max_drift_ms)
    }
}

/// How far a table may be ahead of others in event time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatermarkAlignment {
    /// The name that all of the tables give.
    pub group: String,
    /// How far its watermark may be ahead of the least of the group.
    pub max_drift_ms: i64,
}

/// When windows end: at `offset_ms` and every `slide_ms` before and after it, in milliseconds since 1970 on the clocks of
/// a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowEnds {
    pub slide_ms: i64,
    pub offset_ms: i64,
    pub zone: Zone,
}

impl WindowEnds {
    /// The first end behind this instant, as an instant.
    pub fn after(self, instant_ms: i64) -> i64 {
        let mut offsets = self.zone.offsets();
        let local_ms = offsets.reached(instant_ms);
        let into = local_ms.wrapping_sub(self.offset_ms).rem_euclid(self.slide_ms.max(1));
        let end = local_ms.saturating_add(self.slide_ms.max(1) - into);
        offsets.instant_of_reaching(end - 1).saturating_add(1).max(instant_ms.saturating_add(1))
    }
}

/// How a split's watermark follows from its rows.
#[derive(Debug, Clone)]
pub struct WatermarkSpec {
    /// The rowtime column, by index into [`SourceNode::columns`]; a NULL there is a bad row.
    pub rowtime: usize,
    /// The watermark that a row leaves behind, `TIMESTAMP(3)`, computed from [`SourceNode::columns`]; NULL: unchanged.
    pub expression: Scalar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    Fail,
    Skip,
}

/// A table that is written.
#[derive(Debug, Clone)]
pub struct SinkNode {
    pub table: String,
    /// What a restore compares: connector, options and columns of the table; and the query, where rows may be taken
    /// back that were written before.
    pub signature: String,
    /// The query, where it may change: rows from then on follow the new one.
    pub query: String,
    pub factory: Arc<dyn SinkFactory>,
    /// Columns whose declaration says NOT NULL, by index.
    pub not_null: Vec<usize>,
    /// `table.exec.sink.not-null-enforcer` = DROP: such rows are dropped and counted; else the job fails.
    pub drop_nulls: bool,
    /// The primary key's columns, empty if there is none.
    pub primary_key: Vec<usize>,
    /// Whether it takes the late rows of a query, which the footer counts apart.
    pub is_late: bool,
}

impl SinkNode {
    /// NULLs in NOT NULL columns are an error or, if so set, drop their rows; says how many.
    pub fn without_nulls(&self, rows: Changes) -> Result<(Changes, usize)> {
        let nulls = self.not_null.iter().filter(|column| rows.column(**column).null_count() > 0);
        let columns: Vec<usize> = nulls.copied().collect();
        let Some(first) = columns.first() else { return Ok((rows, 0)) };
        if !self.drop_nulls {
            let name = rows.schema().field(*first).name().clone();
            return Err(Error::data(format!(
                "Column '{name}' of table {} is NOT NULL, however, a null value is being written into it.",
                self.table
            ))
            .with_help("to drop and count such rows: SET 'table.exec.sink.not-null-enforcer' = 'DROP'"));
        }
        let nulls = columns.iter().map(|column| rows.column(*column).nulls());
        let Some(valid) = nulls.fold(None, |valid, nulls| NullBuffer::union(valid.as_ref(), nulls)) else {
            return Ok((rows, 0));
        };
        let dropped = valid.null_count();
        Ok((rows.filter(&BooleanArray::new(valid.into_inner(), None))?, dropped))
    }
}

/// How rows reach the tasks of a node.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The node that they come from, by index.
    pub from: usize,
    pub output: Output,
    pub exchange: Exchange,
    /// The port of the receiving chain's first operator; 0 where rows of several edges are simply merged.
    pub port: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Main,
    /// The late rows of the chain's operator with this index.
    Late(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// Task i to task i; both sides have the same parallelism.
    Forward,
    /// By the key group of these columns.
    Hash(Vec<usize>),
    /// Everything to the one task there is; order within a sending task is kept.
    Gather,
    /// Every row to every task: for what all of them have to know.
    Broadcast,
    /// Whole batches in turn: for receivers that do not mind the order of rows.
    Rebalance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parallelism {
    /// One task.
    One,
    /// `parallelism.default` tasks.
    Default,
}
