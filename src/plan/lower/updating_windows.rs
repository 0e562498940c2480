//! Windows whose results change: they give some before their end or behind it, or their rows may be taken back. Each window
//! is then a group like any other, kept until the watermark closes it.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Aggregate, Expr};

use super::aggregate::{Rows, assigned, keys_of_windows, meaning, mode_of_groups, spread, window_output};
use super::{Flow, Lowering, bug};
use crate::error::Result;
use crate::expressions::{Call, Scalar, WINDOW_BOUND, compile};
use crate::operators::{
    AggregateCall, CalcSpec, Emission, Forgetting, GroupAggregateSpec, GroupLocalSpec, Holding, WindowAssignSpec,
    WindowEmitSpec, WindowKind, WindowResults, WindowSpreadSpec,
};
use crate::plan::changelog_mode::ChangelogMode;
use crate::plan::emit::{refuse_functions, refuse_sessions};
use crate::plan::nodes::{WINDOW_COLUMNS, WindowNode, Windows, window_column_type};

impl Lowering<'_> {
    /// When the aggregated windows of a node give results, if not at their end alone.
    pub(super) fn emission(&self, window: &WindowNode) -> Result<Option<Emission>> {
        let settings = self.settings.emit;
        match (&window.window, window.is_key) {
            _ if !settings.is_on() => Ok(None),
            (_, false) => Err(refuse_functions(window.span)),
            (Windows::Session { .. }, true) => Err(refuse_sessions(window.span)),
            (Windows::Fixed(_), true) => {
                settings.emission(window.by_clock, self.settings.ttl_ms).map_err(|error| error.with_span(window.span))
            }
        }
    }

    /// Aggregates each window by itself. Without an emission its result leaves once, when it closes.
    pub(super) fn updating_windows(
        &mut self,
        mut flow: Flow,
        rows: Rows,
        expand: Option<(Vec<usize>, &[Vec<bool>])>,
        aggregate: &Aggregate,
        window: &WindowNode,
        (kind, emission): (WindowKind, Option<Emission>),
    ) -> Result<Flow> {
        let Rows { time, watermark, late_columns, keys, mut calls } = rows;
        let lateness_ms = emission.map_or(0, |emission| emission.lateness_ms);
        let retract = !flow.mode.is_append();
        if retract {
            calls = calls.into_iter().map(AggregateCall::over_changes).collect();
        }
        spread(&mut flow, &calls);
        let assign = WindowAssignSpec {
            input: Arc::clone(&flow.schema),
            time,
            watermark,
            window: kind,
            operator: "WindowAggregate".to_owned(),
            late_columns,
            by_clock: window.by_clock,
            zone: window.zone,
            lateness_ms,
        };
        let (pane, open_from, mut keys) = assigned(&mut flow, assign, expand, keys);
        let spread = WindowSpreadSpec { input: Arc::clone(&flow.schema), pane, open_from, window: kind };
        flow.push(Arc::new(spread), Vec::new());
        keys.push(flow.schema.fields().len() - 1);

        let local = GroupLocalSpec {
            input: Arc::clone(&flow.schema),
            keys: keys.clone(),
            calls: calls.clone(),
            retract,
            holding: Holding::UntilWatermark,
        };
        let partial = local.partial_schema()?;
        flow.push(Arc::new(local), Vec::new());
        let mode = match emission {
            None => ChangelogMode::APPEND,
            Some(_) => mode_of_groups(retract),
        };
        let leading: Vec<usize> = (0..keys.len()).collect();
        let mut flow = self.exchange(flow, &leading, mode);
        let query = format!("{kind}{}, {}", in_zone(window), meaning(aggregate));
        if let Some(emission) = emission {
            let emit = WindowEmitSpec {
                input: Arc::clone(&partial),
                keys: keys.len(),
                calls: calls.clone(),
                retract,
                window: kind,
                zone: window.zone,
                emission,
                query: query.clone(),
            };
            flow.push(Arc::new(emit), Vec::new());
        }
        let results = if emission.is_some() { WindowResults::Updates } else { WindowResults::Final };
        let key_fields = partial.fields().iter().take(keys.len()).map(|field| field.as_ref().clone());
        let output = Schema::new(key_fields.chain(calls.iter().map(|call| call.output.clone())).collect::<Vec<_>>());
        let groups = GroupAggregateSpec {
            input: Arc::clone(&partial),
            keys: keys.len(),
            calls: calls.clone(),
            retract,
            emit_update_before: true,
            forgetting: Forgetting::Window { lateness_ms, results, zone: window.zone },
            query,
            output: Arc::new(output),
        };
        flow.push(Arc::new(groups), Vec::new());
        let groups = keys.len() - 1;
        let bounds = bounds(&flow, groups, window, kind)?;
        let output = window_output(partial.fields().iter().take(groups), window, &calls)?;
        let input = Arc::clone(&flow.schema);
        let column = |index| Scalar::column(&input, index);
        let results = (groups + 1..input.fields().len()).map(column);
        let columns = (0..groups).map(column).chain(bounds).chain(results).collect();
        let bounds = CalcSpec { input: Arc::clone(&input), condition: None, columns, output, reads_now: false };
        flow.push(Arc::new(bounds), keys_of_windows(kind, groups));
        Ok(flow)
    }
}

/// Windows over instants are others in another zone.
fn in_zone(window: &WindowNode) -> String {
    if window.zone.is_utc() { String::new() } else { format!(" in {}", window.zone) }
}

/// The three columns of a window over the one with its end.
fn bounds(flow: &Flow, end: usize, window: &WindowNode, kind: WindowKind) -> Result<[Scalar; 3]> {
    let time_type = window.time_type()?;
    let known = DFSchema::try_from(Schema::new(vec![flow.schema.field(end).clone()])).map_err(bug)?;
    let end_column = Expr::Column(Column::new_unqualified(flow.schema.field(end).name()));
    let moved = |time: Expr, every: i64, offset: i64, by: i64, name: &str| {
        let data_type = window_column_type(name, time_type);
        let call = Call::new(&WINDOW_BOUND, data_type, false, vec![every, offset, 0, by]);
        call.with_detail(name.to_owned()).in_zone(window.zone).on(vec![time])
    };
    let [start_name, end_name, time_name] = WINDOW_COLUMNS;
    let start = match kind {
        WindowKind::Cumulate { step_ms, .. } => {
            // The last pane of the window lies in the same full window.
            let pane = moved(end_column.clone(), 1, 0, -step_ms, start_name);
            moved(pane, kind.starts_every_ms(), kind.starts_offset_ms(), 0, start_name)
        }
        _ => moved(end_column.clone(), 1, 0, -kind.size_ms(), start_name),
    };
    let place = |expression: Expr, name: &str| -> Result<Scalar> {
        Ok(compile(&expression, &known)?.with_places(&[end], &flow.schema)?.with_text(name.to_owned()))
    };
    let time = moved(end_column.clone(), 1, 0, -1, time_name);
    Ok([place(start, start_name)?, place(end_column, end_name)?, place(time, time_name)?])
}
