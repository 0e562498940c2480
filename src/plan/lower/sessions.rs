//! SESSION without an aggregation: rows leave when their session is closed.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan};
use datafusion::prelude::lit;

use super::meaning::Meaning;
use super::{Flow, Lowering, Named, calc};
use crate::error::{Error, Result};
use crate::operators::{SessionInput, SessionRowsSpec};
use crate::plan::changelog_mode::ChangelogMode;
use crate::plan::nodes::{WINDOW_COLUMNS, WindowNode, window_column_type};
use crate::stream::WATERMARK_COLUMN;

impl Lowering<'_> {
    /// `columns` and `conditions` are over the function's columns; without columns all leave.
    pub(super) fn bare_sessions(
        &mut self,
        window: &WindowNode,
        gap_ms: i64,
        keys: &[Expr],
        columns: Option<Named>,
        conditions: &[Expr],
    ) -> Result<Flow> {
        let column = |name: &str| Expr::Column(Column::new_unqualified(name));
        let of_input = window.input.schema().fields().iter().map(|field| field.name());
        let of_input = of_input.filter(|name| name.as_str() != WATERMARK_COLUMN);
        let mut before: Named = of_input.map(|name| (name.clone(), column(name))).collect();
        let watermark = before.len();
        // A source gives no row a time that its clock has called past.
        let met = if window.by_clock { lit(i64::MIN) } else { column(WATERMARK_COLUMN) };
        before.push((WATERMARK_COLUMN.to_owned(), met));
        let index_of = |name: &str| {
            let found = before.iter().position(|(known, _)| known == name);
            found.ok_or_else(|| Error::bug(format!("{name} is not among the columns of a session")))
        };
        let key = |key: &Expr| match key {
            Expr::Column(column) => index_of(&column.name),
            other => Err(Error::bug(format!("{other} is no column that sessions are partitioned by"))),
        };
        let keys = keys.iter().map(key).collect::<Result<Vec<_>>>()?;
        let time = index_of(&window.time)?;
        let late_columns = window.late_columns.iter().map(|name| index_of(name)).collect::<Result<Vec<_>>>()?;
        let node = LogicalPlan::Extension(Extension { node: Arc::new(window.clone()) });
        let names = node.schema().fields().iter().map(|field| field.name().as_str());
        let kept = names.filter(|name| !WINDOW_COLUMNS.contains(name)).map(&index_of).collect::<Result<Vec<_>>>()?;

        let mut flow = self.lower_below(window, !window.by_clock)?;
        calc(&mut flow, window.input.schema(), &[], Some(before))?;
        flow.settle();
        let input = Arc::clone(&flow.schema);
        let mut flow = self.exchange(flow, &keys, ChangelogMode::APPEND);
        let time_type = window.time_type()?;
        let bound = |name: &&str| Field::new(*name, window_column_type(name, time_type), false);
        let fields = kept.iter().map(|index| input.field(*index).clone()).chain(WINDOW_COLUMNS.iter().map(bound));
        let spec = SessionRowsSpec {
            output: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            rows: SessionInput {
                columns: Arc::clone(&input),
                keys,
                time,
                watermark,
                gap_ms,
                operator: "SessionRows".to_owned(),
                late_columns,
                by_clock: window.by_clock,
                zone: window.zone,
            },
            kept,
            query: Meaning::of(&node).text(),
        };
        flow.push(Arc::new(spec), Vec::new());
        calc(&mut flow, node.schema(), conditions, columns)?;
        Ok(flow)
    }
}
