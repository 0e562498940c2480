//! Sinks: the last Calc, the check of what the sink can take, and the table of late rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::meaning::Meaning;
use super::{Flow, Input, LateOutput, Lowering, keys};
use crate::connectors::{SinkFactory, SinkMode};
use crate::error::{Error, Result, Span};
use crate::expressions::{
    CAST, Call, CastShape, Scalar, common_numeric, compile, is_multiset, is_numeric, key_and_value, type_name,
};
use crate::operators::CalcSpec;
use crate::plan::changelog_mode::ChangelogMode;
use crate::plan::stream_plan::{Edge, Exchange, Node, NodeKind, Output, Parallelism, SinkNode, StreamPlan};
use crate::sql::ConflictAction;
use crate::stream::Zone;

/// Names the refusal of updates by a sink that only appends.
pub const APPEND_ONLY: &str = "BL-SINK-APPEND-ONLY";

/// Whether rows reach the tasks of a sink by its primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyedShuffle {
    /// Where changes of one key may come from several tasks.
    Auto,
    /// Never.
    None,
    /// Wherever the sink has several tasks.
    Force,
}

/// What becomes of values that are longer than a column of a sink, or shorter than one of a fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeLengths {
    /// They are written as they are.
    Ignore,
    /// They are cut, or filled up.
    TrimPad,
    /// They are refused.
    Error,
}

/// Where rows go.
#[derive(Debug, Clone)]
pub struct SinkTarget {
    /// The table's name; `collect` for a SELECT.
    pub table: String,
    /// What a restore compares.
    pub signature: String,
    pub factory: Arc<dyn SinkFactory>,
    /// The columns that are written.
    pub schema: SchemaRef,
    pub primary_key: Vec<usize>,
}

impl SinkTarget {
    /// The same as a node of a plan.
    pub fn node(&self, drop_nulls: bool) -> SinkNode {
        let fields = self.schema.fields().iter().enumerate();
        SinkNode {
            table: self.table.clone(),
            signature: self.signature.clone(),
            query: String::new(),
            factory: Arc::clone(&self.factory),
            not_null: fields.filter(|(_, field)| !field.is_nullable()).map(|(index, _)| index).collect(),
            drop_nulls,
            primary_key: self.primary_key.clone(),
            is_late: false,
        }
    }
}

/// The table of late rows.
#[derive(Debug, Clone)]
pub struct LateSink {
    pub target: SinkTarget,
    pub span: Span,
}

impl Lowering<'_> {
    /// Lowers one INSERT (or SELECT): `plan` has exactly the sink's columns.
    pub fn insert(
        &mut self,
        plan: &datafusion::logical_expr::LogicalPlan,
        target: &SinkTarget,
        late: Option<&LateSink>,
        on_conflict: Option<(ConflictAction, Span)>,
    ) -> Result<()> {
        let first_late = self.late.len();
        let flow = self.lower(plan, false)?;
        if !flow.mode.is_append() && target.factory.mode() == SinkMode::Append {
            return Err(append_only(target));
        }
        let flow = self.materialized(flow, plan, target, on_conflict)?;
        let exchange = self.exchange_to_sink(target, &flow);
        let keys = match &exchange {
            Exchange::Hash(columns) => keys::behind_hash(&flow.keys, columns),
            _ => flow.keys.clone(),
        };
        let (mode, parallelism) = (flow.mode, flow.parallelism);
        let inputs = self.inputs_of(flow, &exchange).into_iter().map(Input::edge).collect();
        let outputs: Vec<LateOutput> = self.late.drain(first_late..).collect();
        let query = Meaning::of(plan).text();
        let mut node = target.node(self.settings.drop_nulls);
        if mode.is_append() {
            node.query = query;
        } else {
            // A changed query would take rows back that it never wrote.
            node.signature.push_str(&format!(" AS {query}"));
        }
        self.sink(target, node, inputs, mode, keys, parallelism);
        if let Some(late) = late {
            self.late_rows(&outputs, late)?;
        }
        Ok(())
    }

    /// A sink with a primary key replaces rows by it: the changes of one key must reach one task, in the order in which
    /// they happened. That they do where a key of the query is within it.
    fn exchange_to_sink(&self, target: &SinkTarget, flow: &Flow) -> Exchange {
        let key = &target.primary_key;
        let is_parallel = flow.parallelism == Parallelism::Default && !key.is_empty();
        let is_by_key = match self.settings.keyed_shuffle {
            KeyedShuffle::Auto => !flow.mode.is_append() && !keys::has_key_within(&flow.keys, key),
            KeyedShuffle::None => false,
            KeyedShuffle::Force => true,
        };
        if is_parallel && is_by_key { Exchange::Hash(key.clone()) } else { Exchange::Forward }
    }

    /// The finished plan.
    pub fn finish(self) -> StreamPlan {
        self.plan
    }

    fn sink(
        &mut self,
        target: &SinkTarget,
        node: SinkNode,
        inputs: Vec<Edge>,
        mode: ChangelogMode,
        keys: Vec<Vec<usize>>,
        parallelism: Parallelism,
    ) {
        let index = self.plan.nodes.len();
        self.plan.nodes.push(Node {
            name: format!("sink-{index}-{}", target.table),
            kind: NodeKind::Sink(node),
            inputs,
            parallelism,
            schema: Arc::clone(&target.schema),
            mode,
            keys,
        });
    }

    /// Late rows to their table: columns by name, what an operator does not have as NULL.
    fn late_rows(&mut self, outputs: &[LateOutput], late: &LateSink) -> Result<()> {
        if outputs.is_empty() {
            return Err(Error::query(
                "LATE RECORDS INTO has no meaning here: no operator of this query refuses rows for their time",
            )
            .with_span(late.span)
            .with_help("rows can be late for a window aggregate: GROUP BY window_start, window_end"));
        }
        let mut from = Vec::new();
        for output in outputs {
            let columns = late_columns(output, late, self.settings.zone)?;
            let fields = late.target.schema.fields().iter().zip(&columns);
            let fields =
                fields.map(|(field, column)| Field::new(field.name(), field.data_type().clone(), column.nullable()));
            let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            let index = self.plan.nodes.len();
            let spec = CalcSpec {
                input: Arc::clone(&output.schema),
                condition: None,
                columns,
                output: Arc::clone(&schema),
                reads_now: false,
            };
            self.plan.nodes.push(Node {
                name: format!("late-{index}"),
                kind: NodeKind::Chain(vec![Arc::new(spec)]),
                inputs: vec![Edge {
                    from: output.node,
                    output: Output::Late(output.operator),
                    exchange: Exchange::Forward,
                    port: 0,
                }],
                parallelism: self.plan.nodes[output.node].parallelism,
                schema,
                mode: ChangelogMode::APPEND,
                keys: Vec::new(),
            });
            from.push(Edge { from: index, output: Output::Main, exchange: Exchange::Forward, port: 0 });
        }
        let parallelism = self.plan.nodes[from[0].from].parallelism;
        let node = SinkNode { is_late: true, ..late.target.node(self.settings.drop_nulls) };
        self.sink(&late.target, node, from, ChangelogMode::APPEND, Vec::new(), parallelism);
        Ok(())
    }
}

fn late_columns(output: &LateOutput, late: &LateSink, zone: Zone) -> Result<Vec<Scalar>> {
    let input = datafusion::common::DFSchema::try_from(output.schema.as_ref().clone()).map_err(super::bug)?;
    let columns = late.target.schema.fields().iter().map(|field| {
        let Ok(index) = output.schema.index_of(field.name()) else {
            let known: Vec<&str> = output.schema.fields().iter().map(|field| field.name().as_str()).collect();
            return Err(Error::query(format!(
                "late table `{}` has a column `{}`, which late rows do not have",
                late.target.table,
                field.name()
            ))
            .with_span(late.span)
            .with_help(format!("late rows have {} and the columns of the window function's input", known.join(", "))));
        };
        let column = Scalar::column(&output.schema, index);
        if column.data_type() == field.data_type() {
            return Ok(column);
        }
        if !is_implicit(column.data_type(), field.data_type()) {
            return Err(Error::query(format!(
                "column `{}` of late table `{}` is {}, but late rows have {}",
                field.name(),
                late.target.table,
                type_name(field.data_type()),
                type_name(column.data_type())
            ))
            .with_span(late.span));
        }
        let source = datafusion::logical_expr::Expr::Column(datafusion::common::Column::new_unqualified(field.name()));
        let call = Call::new(&CAST, field.data_type().clone(), column.nullable(), CastShape::default().parameters());
        compile(&call.with_detail(type_name(field.data_type())).in_zone(zone).on(vec![source]), &input)
    });
    columns.collect()
}

/// Whether Flink converts a value of one type into a column of another without being asked.
pub fn is_implicit(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Null, _) => true,
        (one, two) if one == two => true,
        (DataType::Timestamp(..) | DataType::Date32, DataType::Timestamp(..)) => true,
        (DataType::Time32(_) | DataType::Time64(_), DataType::Time32(_) | DataType::Time64(_)) => true,
        (DataType::Decimal128(..), DataType::Decimal128(..)) => true,
        (DataType::List(one), DataType::List(two)) => is_implicit(one.data_type(), two.data_type()),
        (DataType::Struct(ones), DataType::Struct(twos)) => {
            ones.len() == twos.len()
                && ones.iter().zip(twos).all(|(one, two)| is_implicit(one.data_type(), two.data_type()))
        }
        (DataType::Map(..), DataType::Map(..)) if is_multiset(from) == is_multiset(to) => {
            match (key_and_value(from), key_and_value(to)) {
                (Some((key, value)), Some((other_key, other_value))) => {
                    is_implicit(key, other_key) && is_implicit(value, other_value)
                }
                _ => false,
            }
        }
        (one, two) if is_numeric(one) && is_numeric(two) => {
            matches!(two, DataType::Decimal128(..)) && !matches!(one, DataType::Float32 | DataType::Float64)
                || common_numeric(one, two).as_ref() == Some(two)
        }
        _ => false,
    }
}

fn append_only(target: &SinkTarget) -> Error {
    Error::query(format!(
        "Table sink '{}' doesn't support consuming update changes, and the query makes them: GROUP BY or DISTINCT without \
         a window, or an aggregate of all rows, changes the rows that it has given",
        target.table
    ))
    .with_id(APPEND_ONLY)
    .with_help("group by windows (TUMBLE or HOP): then each result is written once, when its window closes")
    .with_help("over input that ends the last result can be written once: SET 'execution.runtime-mode' = 'batch'")
    .with_help("or write to a table that takes updates, such as one with 'connector' = 'print'")
}
