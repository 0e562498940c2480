//! EXPLAIN: the logical plan, then the streaming plan with changelog mode, exchange and delivery per edge.

use std::fmt::Write;

use datafusion::logical_expr::LogicalPlan;

use super::job::Planned;
use super::stream_plan::{ChangelogMode, Edge, Exchange, NodeKind, Output, Parallelism, StreamPlan};
use crate::connectors::Delivery;

/// The text of EXPLAIN.
pub fn explain(planned: &Planned) -> String {
    let mut text = String::from("== Logical Plan ==\n");
    for plan in &planned.logical {
        let _ = writeln!(text, "{}", logical(plan));
    }
    text.push_str("\n== Streaming Plan ==\n");
    for (index, node) in planned.stream.nodes.iter().enumerate() {
        if let NodeKind::Sink(_) = node.kind {
            tree(&planned.stream, index, 0, &mut text);
        }
    }
    text
}

/// A logical plan, indented; columns by name alone.
pub fn logical(plan: &LogicalPlan) -> String {
    plan.display_indent().to_string()
}

/// A node and what it reads, deeper by one step each.
fn tree(plan: &StreamPlan, index: usize, depth: usize, text: &mut String) {
    let node = &plan.nodes[index];
    let indent = "  ".repeat(depth);
    let tasks = match node.parallelism {
        Parallelism::One => "1 task",
        Parallelism::Default => "parallel",
    };
    match &node.kind {
        NodeKind::Source(source) => {
            let columns: Vec<String> = source.columns.iter().map(ToString::to_string).collect();
            let _ = write!(text, "{indent}Source(table=[{}], columns=[{}]", source.table, columns.join(", "));
            if let Some(watermark) = &source.watermark {
                let _ = write!(text, ", watermark=[{}]", watermark.expression);
            }
            let bounded = if source.factory.is_bounded() { "bounded" } else { "unbounded" };
            let _ = writeln!(text, ") {bounded}, {tasks}, {}", mode(node.mode));
        }
        NodeKind::Sink(sink) => {
            let delivery = match sink.factory.delivery() {
                Delivery::ExactlyOnce => "exactly-once",
                Delivery::AtLeastOnce => "at-least-once",
            };
            let _ = writeln!(text, "{indent}Sink(table=[{}]) {delivery}, {tasks}, {}", sink.table, mode(node.mode));
        }
        NodeKind::Chain(operators) => {
            for operator in operators.iter().rev() {
                let _ = writeln!(text, "{indent}{operator}");
            }
            let _ = writeln!(text, "{indent}· {tasks}, {}", mode(node.mode));
        }
    }
    for edge in &node.inputs {
        let _ = writeln!(text, "{indent}+- {}", exchange(plan, edge));
        tree(plan, edge.from, depth + 1, text);
    }
}

fn exchange(plan: &StreamPlan, edge: &Edge) -> String {
    let from = &plan.nodes[edge.from];
    let how = match &edge.exchange {
        Exchange::Forward => "forward".to_owned(),
        Exchange::Gather => "gather".to_owned(),
        Exchange::Rebalance => "rebalance".to_owned(),
        Exchange::Hash(columns) => {
            let names: Vec<&str> = columns.iter().map(|column| from.schema.field(*column).name().as_str()).collect();
            format!("hash[{}]", names.join(", "))
        }
    };
    match edge.output {
        Output::Main => format!("{how}, {}", mode(from.mode)),
        Output::Late(_) => format!("{how}, late rows"),
    }
}

fn mode(mode: ChangelogMode) -> &'static str {
    match mode {
        ChangelogMode::Append => "changelog=[I]",
        ChangelogMode::Retract => "changelog=[I,UB,UA,D]",
        ChangelogMode::Upsert => "changelog=[I,UA,D]",
    }
}
