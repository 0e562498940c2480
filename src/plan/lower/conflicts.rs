//! Rows of a query that have the same primary key of a sink: where that can be, and what becomes of them.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::meaning::Meaning;
use super::{Flow, Lowering, SinkTarget, keys};
use crate::error::{Error, Result, Span};
use crate::operators::{Forgetting, OnConflict, UpsertMaterializeSpec};
use crate::plan::changelog_mode::ChangelogMode;
use crate::sql::ConflictAction;

/// Whether rows with one primary key become one before a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Materialize {
    /// Where the query tells its rows apart by something else.
    Auto,
    /// Never.
    None,
    /// Always.
    Force,
}

impl Lowering<'_> {
    /// One row for each primary key, where the rows of a flow may be more.
    pub(super) fn materialized(
        &mut self,
        flow: Flow,
        plan: &LogicalPlan,
        target: &SinkTarget,
        clause: Option<(ConflictAction, Span)>,
    ) -> Result<Flow> {
        let is_append = flow.mode.is_append();
        if let (Some((_, span)), true) = (clause, is_append) {
            return Err(no_conflicts(&target.table, span));
        }
        let key = &target.primary_key;
        let is_forced = self.settings.materialize == Materialize::Force;
        let is_told_by_key = is_append || keys::has_key_within(&flow.keys, key);
        if key.is_empty() || self.settings.materialize == Materialize::None || (is_told_by_key && !is_forced) {
            return Ok(flow);
        }
        let on_conflict = match clause {
            Some((ConflictAction::Error, _)) => OnConflict::Error,
            Some((ConflictAction::Nothing, _)) => OnConflict::Nothing,
            Some((ConflictAction::Deduplicate, _)) => OnConflict::Deduplicate,
            None if self.settings.requires_on_conflict && !is_told_by_key => return Err(differing(&flow, target)),
            None => OnConflict::Deduplicate,
        };
        let mut flow = flow;
        flow.settle();
        let mut flow = self.exchange(flow, key, ChangelogMode::RETRACT);
        let spec = UpsertMaterializeSpec {
            input: Arc::clone(&flow.schema),
            key: key.clone(),
            on_conflict,
            forgetting: match self.settings.ttl_ms.filter(|ttl| *ttl > 0) {
                None => Forgetting::Never,
                Some(ttl_ms) => Forgetting::Untouched { ttl_ms },
            },
            query: Meaning::of(plan).text(),
        };
        flow.push(Arc::new(spec), vec![key.clone()]);
        Ok(flow)
    }
}

/// The clause where no row ever takes the place of another, in the words of Flink.
fn no_conflicts(table: &str, span: Span) -> Error {
    Error::query(format!(
        "ON CONFLICT clause is only allowed for upsert sinks. The sink '{table}' is not an upsert sink because it only \
         accepts INSERT (append-only) changes."
    ))
    .with_span(span)
    .with_help("leave the clause out: the rows of this query never change")
}

/// The rows of a query are told apart by other columns than those of a sink, in the words of Flink.
fn differing(flow: &Flow, target: &SinkTarget) -> Error {
    let names = |columns: &[usize]| {
        let names: Vec<&str> = columns.iter().map(|column| target.schema.field(*column).name().as_str()).collect();
        format!("[{}]", names.join(", "))
    };
    let upsert_keys: Vec<String> = flow.keys.iter().map(|key| names(key)).collect();
    let upsert_keys = if upsert_keys.is_empty() { "none".to_owned() } else { upsert_keys.join(", ") };
    Error::query(format!(
        "The query has an upsert key that differs from the primary key of the sink table '{}'. Primary key: {}, upsert key: \
         {upsert_keys}. Rows with different upsert keys may have the same primary key, and which of them stands is not said",
        target.table,
        names(&target.primary_key)
    ))
    .with_help("ON CONFLICT DO DEDUPLICATE behind the query: the last row stands; all rows of the query are kept for that")
    .with_help("or ON CONFLICT DO NOTHING: the first row stands; or ON CONFLICT DO ERROR: several rows stop the job")
    .with_help("or make the columns of GROUP BY the primary key of the table")
}
