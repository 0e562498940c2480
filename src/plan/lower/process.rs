//! A process function: behind an exchange by the columns of its key.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::meaning::Meaning;
use super::source::TimeNeed;
use super::{Flow, Lowering};
use crate::error::{Error, Result};
use crate::plan::changelog_mode::ChangelogMode;
use crate::plan::process::ProcessNode;

impl Lowering<'_> {
    pub(super) fn process(&mut self, plan: &LogicalPlan, node: &ProcessNode) -> Result<Flow> {
        // Timers go by the time of events, where there is one.
        let outer = std::mem::replace(&mut self.time, TimeNeed::of_process(node));
        let flow = self.lower(&node.input, node.on_time.is_some());
        self.time = outer;
        let mut flow = flow?;
        if !flow.mode.is_append() {
            return Err(Error::query(format!(
                "process function {} does not support rows that are updated ({})",
                node.function.name, flow.mode
            ))
            .with_span(node.span)
            .with_help(
                "give it rows that only come: those of windows, or those of the table before they are grouped",
            ));
        }
        flow.settle();
        let spec = node.spec(&flow.schema, Meaning::of(plan).text())?;
        let keys = spec.keys.clone();
        let mut flow = self.exchange(flow, &keys, ChangelogMode::APPEND);
        flow.push(Arc::new(spec), Vec::new());
        Ok(flow)
    }
}
