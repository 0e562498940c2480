//! What rows mean in terms of the tables that they come from: the text by which a restart knows a query again.
//!
//! Names that a query gives are not in it, nor is the order of conditions: a query that was renamed or laid out anew
//! means the same. Whatever decides which rows come to an operator, and what it computes of them, is in it.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::expressions::{Call, Draw, split, text};
use crate::operators::sets_text;
use crate::plan::expand::ExpandNode;
use crate::plan::nodes::{ArrivalNode, WINDOW_COLUMNS, WatermarkNode, WindowNode, Windows};
use crate::plan::process::ProcessNode;
use crate::plan::random::RandomNode;
use crate::plan::state_ttl::StateTtlNode;
use crate::plan::unnest::{UNNEST_COLUMN, UnnestNode};
use crate::stream::WATERMARK_COLUMN;

/// The rows of a logical plan.
#[derive(Debug, Clone)]
pub struct Meaning {
    from: String,
    conditions: BTreeSet<String>,
    /// Each column of the plan, over columns of tables.
    columns: Vec<String>,
}

impl Meaning {
    /// What the rows of a plan mean.
    pub fn of(plan: &LogicalPlan) -> Self {
        if let Some(watermark) = WatermarkNode::of(plan) {
            let mut input = Self::of(&watermark.input);
            input.columns.push(WATERMARK_COLUMN.to_owned());
            return input;
        }
        if let Some(arrival) = ArrivalNode::of(plan) {
            let mut input = Self::of(&arrival.input);
            input.columns.push("PROCTIME()".to_owned());
            return input;
        }
        if let Some(window) = WindowNode::of(plan) {
            let input = Self::of(&window.input);
            let known = window.input.schema().as_ref();
            let column = |name: &str| match WINDOW_COLUMNS.contains(&name) {
                true => name.to_owned(),
                false => input.resolve(&Expr::Column(Column::new_unqualified(name)), known),
            };
            let columns = plan.schema().fields().iter().map(|field| column(field.name())).collect();
            let windows = match &window.window {
                Windows::Fixed(kind) => kind.to_string(),
                Windows::Session { gap_ms, keys } => {
                    let keys: Vec<String> = keys.iter().map(|key| input.resolve(key, known)).collect();
                    format!("SESSION({gap_ms} ms BY {})", keys.join(", "))
                }
            };
            let zone = if window.zone.is_utc() { String::new() } else { format!(" IN {}", window.zone) };
            let from = format!("{windows} ON {}{zone} OF {}", column(&window.time), input.from);
            return Self { from, columns, ..input };
        }
        if let Some(process) = ProcessNode::of(plan) {
            let input = Self::of(&process.input);
            let known = process.input.schema().as_ref();
            let column = |name: &str| input.resolve(&Expr::Column(Column::new_unqualified(name)), known);
            return Self::opaque(format!("({} OF {})", process.meaning(column), input.text()), plan);
        }
        // How long something is kept is no part of what it is.
        if let Some(hint) = StateTtlNode::of(plan) {
            return Self::of(&hint.input);
        }
        if let Some(expand) = ExpandNode::of(plan) {
            let mut input = Self::of(&expand.input);
            let known = expand.input.schema();
            let keys = expand.keys.iter().map(|key| input.resolve(&Expr::Column(Column::new_unqualified(key)), known));
            let keys: Vec<String> = keys.collect();
            input.columns.extend(keys.iter().map(|key| format!("{key} OR NULL")));
            input.columns.push("GROUPING".to_owned());
            return Self { from: format!("{} BY {}", input.from, sets_text(&keys, &expand.sets)), ..input };
        }
        if let Some(random) = RandomNode::of(plan) {
            let mut input = Self::of(&random.input);
            let before = random.spec(random.input.schema().inner()).before;
            let drawn: Vec<String> = random.draws.iter().map(Draw::text).collect();
            input.columns.splice(before..before, drawn);
            return input;
        }
        if let Some(unnest) = UnnestNode::of(plan) {
            let input = Self::of(&unnest.input);
            let known = unnest.input.schema().as_ref();
            let column = |name: &str| input.resolve(&Expr::Column(Column::new_unqualified(name)), known);
            let collection = column(UNNEST_COLUMN);
            let columns = plan.schema().fields().iter().map(|field| {
                match unnest.names.iter().position(|name| name == field.name()) {
                    Some(place) => format!("PART {place} OF {collection}"),
                    None => column(field.name()),
                }
            });
            let columns = columns.collect();
            let kind = if unnest.is_outer { "OUTER " } else { "" };
            let condition = unnest.condition.as_ref().map(|condition| format!(" WHERE {}", text(condition)));
            let from = format!("{kind}UNNEST({collection}{}) OF {}", condition.unwrap_or_default(), input.from);
            return Self { from, columns, ..input };
        }
        match plan {
            LogicalPlan::TableScan(scan) => {
                let columns = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
                Self { from: scan.table_name.table().to_owned(), conditions: BTreeSet::new(), columns }
            }
            LogicalPlan::Projection(projection) => {
                let input = Self::of(&projection.input);
                let known = projection.input.schema();
                Self { columns: projection.expr.iter().map(|column| input.resolve(column, known)).collect(), ..input }
            }
            LogicalPlan::Filter(filter) => {
                let mut input = Self::of(&filter.input);
                let mut parts = Vec::new();
                split(&filter.predicate, &mut parts);
                let conditions: Vec<String> =
                    parts.into_iter().map(|part| input.resolve(part, filter.input.schema())).collect();
                input.conditions.extend(conditions);
                input
            }
            LogicalPlan::Aggregate(aggregate) => {
                let input = Self::of(&aggregate.input);
                let known = aggregate.input.schema();
                let resolve = |expressions: &[Expr]| -> Vec<String> {
                    expressions.iter().map(|expression| input.resolve(expression, known)).collect()
                };
                let (keys, calls) = (resolve(&aggregate.group_expr), resolve(&aggregate.aggr_expr));
                let columns = [keys.as_slice(), &calls].concat();
                // One row a key, whatever is computed of it.
                let mut sorted = keys;
                sorted.sort_unstable();
                let from = format!("({} GROUP BY {})", input.select(&sorted), sorted.join(", "));
                Self { from, conditions: BTreeSet::new(), columns }
            }
            LogicalPlan::Union(union) => {
                let inputs: Vec<String> = union.inputs.iter().map(|input| Self::of(input).text()).collect();
                Self::opaque(format!("({})", inputs.join(" UNION ALL ")), plan)
            }
            LogicalPlan::Values(values) => {
                let rows = values.values.iter().map(|row| {
                    let cells: Vec<String> = row.iter().map(text).collect();
                    format!("({})", cells.join(", "))
                });
                Self::opaque(format!("(VALUES {})", rows.collect::<Vec<_>>().join(", ")), plan)
            }
            other => {
                let inputs: Vec<String> = other.inputs().into_iter().map(|input| Self::of(input).text()).collect();
                Self::opaque(format!("({} OF {})", other.display(), inputs.join(", ")), plan)
            }
        }
    }

    /// The rows with all their columns.
    pub fn text(&self) -> String {
        self.select(&self.columns)
    }

    /// The rows with these columns.
    pub fn select(&self, columns: &[String]) -> String {
        let mut out = format!("SELECT {} FROM {}", columns.join(", "), self.from);
        for (index, condition) in self.conditions.iter().enumerate() {
            out.push_str(if index == 0 { " WHERE " } else { " AND " });
            out.push_str(condition);
        }
        out
    }

    /// An expression over the plan's columns, which `known` names, as one over columns of tables.
    pub fn resolve(&self, expression: &Expr, known: &DFSchema) -> String {
        let resolved = expression.clone().transform_up(|inner| {
            let text = match &inner {
                Expr::Column(column) => {
                    let index = known.maybe_index_of_column(column);
                    let index = index.or_else(|| known.index_of_column_by_name(None, &column.name));
                    index.and_then(|index| self.columns.get(index)).cloned()
                }
                // Its arguments are resolved already. What its text leaves out, such as a unit, is put behind it.
                Expr::ScalarFunction(function) => Call::of(&function.func).and_then(unsaid).map(|unsaid| {
                    let said = text(&inner);
                    format!("{said} [{unsaid}]")
                }),
                _ => None,
            };
            Ok(match text {
                Some(text) => Transformed::yes(Expr::Column(Column::new_unqualified(text))),
                None => Transformed::no(inner),
            })
        });
        resolved.map_or_else(|_| text(expression), |resolved| text(&resolved.data))
    }

    /// Rows whose columns only have numbers.
    fn opaque(from: String, plan: &LogicalPlan) -> Self {
        let columns = (1..=plan.schema().fields().len()).map(|number| format!("${number}")).collect();
        Self { from, conditions: BTreeSet::new(), columns }
    }
}

/// What the text of a call leaves out.
fn unsaid(call: &Call) -> Option<String> {
    let mut parts = Vec::new();
    if call.detail.is_empty() {
        parts.extend(call.parameters.iter().map(i64::to_string));
    }
    if !call.zone.is_utc() {
        parts.push(call.zone.to_string());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
