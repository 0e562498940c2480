//! EXPLAIN: the logical plan, then the streaming plan with changelog mode, exchange and delivery per edge.

use std::fmt::Write;

use datafusion::logical_expr::{Expr, LogicalPlan};

use super::job::{LogicalQuery, Planned};
use super::lower::optimize;
use super::stream_plan::{Edge, Exchange, Node, NodeKind, Output, Parallelism, StreamPlan};
use crate::connectors::Delivery;
use crate::error::Result;
use crate::expressions::text;

/// The text of EXPLAIN. No sink keeps a better promise than the job as a whole, which is `promise`.
pub fn explain(planned: &Planned, promise: Delivery) -> String {
    let mut text = String::from("== Logical Plan ==\n");
    for plan in &planned.logical {
        let _ = writeln!(text, "{}", logical(plan));
    }
    text.push_str("\n== Streaming Plan ==\n");
    let mut shown = Shown { plan: &planned.stream, promise, references: Vec::new() };
    let is_arranged = !planned.arrangement.is_none();
    if is_arranged {
        let _ = writeln!(text, "Answer({})", planned.arrangement);
    }
    for (index, node) in planned.stream.nodes.iter().enumerate() {
        if let NodeKind::Sink(_) = node.kind {
            shown.tree(index, usize::from(is_arranged), &mut text);
        }
    }
    text
}

/// The text of EXPLAIN in batch mode: DataFusion runs what stands there.
pub fn explain_batch(queries: &[LogicalQuery]) -> Result<String> {
    let mut text = String::from("== Logical Plan ==\n");
    for query in queries {
        let _ = writeln!(text, "{}", logical(&optimize(query.plan.clone())?));
    }
    Ok(text)
}

/// What has been written so far.
struct Shown<'p> {
    plan: &'p StreamPlan,
    promise: Delivery,
    /// The nodes that others read too, in the order in which they were written; such a one is written once.
    references: Vec<usize>,
}

/// A logical plan, indented; expressions in our text.
pub fn logical(plan: &LogicalPlan) -> String {
    let mut out = String::new();
    logical_tree(plan, 0, &mut out);
    out.truncate(out.trim_end().len());
    out
}

fn logical_tree(plan: &LogicalPlan, depth: usize, out: &mut String) {
    let column = |expression: &Expr| match expression {
        Expr::Alias(alias) if text(&alias.expr) != alias.name => format!("{} AS {}", text(&alias.expr), alias.name),
        other => text(other),
    };
    let list = |expressions: &[Expr]| expressions.iter().map(column).collect::<Vec<_>>().join(", ");
    let _ = match plan {
        LogicalPlan::Projection(projection) => writeln!(out, "{:depth$}Projection: {}", "", list(&projection.expr)),
        LogicalPlan::Filter(filter) => writeln!(out, "{:depth$}Filter: {}", "", text(&filter.predicate)),
        LogicalPlan::Aggregate(aggregate) => {
            let (keys, calls) = (list(&aggregate.group_expr), list(&aggregate.aggr_expr));
            writeln!(out, "{:depth$}Aggregate: groupBy=[{keys}], select=[{calls}]", "")
        }
        other => writeln!(out, "{:depth$}{}", "", other.display()),
    };
    for input in plan.inputs() {
        logical_tree(input, depth + 2, out);
    }
}

impl Shown<'_> {
    /// A node and what it reads, deeper by one step each.
    fn tree(&mut self, index: usize, depth: usize, text: &mut String) {
        let plan = self.plan;
        let node = &plan.nodes[index];
        let indent = "  ".repeat(depth);
        if let Some(reference) = self.references.iter().position(|known| *known == index) {
            let _ = writeln!(text, "{indent}Reused(reference=[{}])", reference + 1);
            return;
        }
        let readers = plan.nodes.iter().flat_map(|node| &node.inputs).filter(|edge| edge.from == index).count();
        let reference = if readers > 1 {
            self.references.push(index);
            format!(", reference=[{}]", self.references.len())
        } else {
            String::new()
        };
        let tasks = match node.parallelism {
            Parallelism::One => "1 task",
            Parallelism::Default => "parallel",
        };
        match &node.kind {
            NodeKind::Source(source) => {
                let columns: Vec<String> = source.columns.iter().map(ToString::to_string).collect();
                let _ = write!(text, "{indent}Source(table=[{}], columns=[{}]", source.table, columns.join(", "));
                match &source.watermark {
                    _ if !source.clock_windows.is_empty() => text.push_str(", watermark=[clock]"),
                    Some(watermark) => {
                        let _ = write!(text, ", watermark=[{}]", watermark.expression);
                    }
                    None => {}
                }
                let bounded = if source.factory.is_bounded() { "bounded" } else { "unbounded" };
                let _ = writeln!(text, ") {bounded}, {tasks}, {}{reference}", changes(node));
            }
            NodeKind::Sink(sink) => {
                let delivery = match (self.promise, sink.factory.delivery()) {
                    (Delivery::ExactlyOnce, Delivery::ExactlyOnce) => "exactly-once",
                    _ => "at-least-once",
                };
                let key = match sink.primary_key.as_slice() {
                    [] => String::new(),
                    key => format!(", primaryKey=[{}]", names(node, key)),
                };
                let _ = write!(text, "{indent}Sink(table=[{}]{key}) {delivery}, {tasks}", sink.table);
                let _ = writeln!(text, ", changelog=[{}]", node.mode);
            }
            NodeKind::Chain(operators) => {
                for operator in operators.iter().rev() {
                    let _ = writeln!(text, "{indent}{operator}");
                }
                let _ = writeln!(text, "{indent}· {tasks}, {}{reference}", changes(node));
            }
        }
        for edge in &node.inputs {
            let _ = writeln!(text, "{indent}+- {}", exchange(plan, edge));
            self.tree(edge.from, depth + 1, text);
        }
    }
}

fn exchange(plan: &StreamPlan, edge: &Edge) -> String {
    let from = &plan.nodes[edge.from];
    let how = match &edge.exchange {
        Exchange::Forward => "forward".to_owned(),
        Exchange::Gather => "gather".to_owned(),
        Exchange::Broadcast => "broadcast".to_owned(),
        Exchange::Rebalance => "rebalance".to_owned(),
        Exchange::Hash(columns) => {
            format!("hash[{}]", names(from, columns))
        }
    };
    match edge.output {
        // Barriers are aligned: no edge within a job repeats a row.
        Output::Main => format!("{how}, changelog=[{}], exactly-once", from.mode),
        Output::Late(_) => format!("{how}, late rows, exactly-once"),
    }
}

/// What leaves a node: kinds of change, and by which columns rows are told apart.
fn changes(node: &Node) -> String {
    let keys: Vec<String> = node.keys.iter().map(|key| format!("[{}]", names(node, key))).collect();
    let keys = if keys.is_empty() { String::new() } else { format!(", upsertKeys=[{}]", keys.join(", ")) };
    format!("changelog=[{}]{keys}", node.mode)
}

fn names(node: &Node, columns: &[usize]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| node.schema.field(*column).name().as_str()).collect();
    names.join(", ")
}
