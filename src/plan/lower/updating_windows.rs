//! Windows whose results change: they give some before their end or behind it, or their rows may be taken back. Each window
//! is then a group like any other, kept until the watermark closes it.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Aggregate, Expr};

use super::aggregate::{
    Rows, assign_windows, expanded_keys, keys_of_sessions, keys_of_windows, meaning, mode_of_groups, spread,
    window_output,
};
use super::{Flow, Lowering, bug};
use crate::error::Result;
use crate::expressions::{Call, Scalar, WINDOW_BOUND, compile};
use crate::operators::{
    AggregateCall, CalcSpec, Emission, Forgetting, GroupAggregateSpec, GroupLocalSpec, Holding, WindowEmitSpec,
    WindowKind, WindowResults, WindowSpreadSpec,
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
        let Rows { time, watermark, late_columns, keys, calls } = rows;
        let lateness_ms = emission.map_or(0, |emission| emission.lateness_ms);
        spread(&mut flow, &calls);
        let (pane, open_from) = assign_windows(&mut flow, window, kind, (time, watermark), late_columns, lateness_ms);
        let mut keys = expanded_keys(&mut flow, expand, keys);
        let spread = WindowSpreadSpec { input: Arc::clone(&flow.schema), pane, open_from, window: kind };
        flow.push(Arc::new(spread), Vec::new());
        keys.push(flow.schema.fields().len() - 1);

        self.groups_of_windows(flow, keys, calls, aggregate, window, emission)
    }

    /// Each window of each key as a group that the watermark closes. The last of the keys is the end of the window; before it
    /// stands the start of a session.
    pub(super) fn groups_of_windows(
        &mut self,
        mut flow: Flow,
        keys: Vec<usize>,
        mut calls: Vec<AggregateCall>,
        aggregate: &Aggregate,
        window: &WindowNode,
        emission: Option<Emission>,
    ) -> Result<Flow> {
        let lateness_ms = emission.map_or(0, |emission| emission.lateness_ms);
        let retract = !flow.mode.is_append();
        if retract {
            calls = calls.into_iter().map(AggregateCall::over_changes).collect();
        }
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
        let query = match &window.window {
            Windows::Fixed(kind) => format!("{kind}{}, {}", in_zone(window), meaning(aggregate)),
            Windows::Session { .. } => meaning(aggregate),
        };
        if let (Some(emission), Windows::Fixed(kind)) = (emission, &window.window) {
            let emit = WindowEmitSpec {
                input: Arc::clone(&partial),
                keys: keys.len(),
                calls: calls.clone(),
                retract,
                window: *kind,
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
        let end = keys.len() - 1;
        let (groups, upsert_keys) = match &window.window {
            Windows::Fixed(kind) => (end, keys_of_windows(*kind, end)),
            Windows::Session { .. } => (end - 1, keys_of_sessions(end - 1)),
        };
        let bounds = bounds(&flow, end, window)?;
        let output = window_output(partial.fields().iter().take(groups), window, &calls)?;
        let input = Arc::clone(&flow.schema);
        let column = |index| Scalar::column(&input, index);
        let results = (end + 1..input.fields().len()).map(column);
        let columns = (0..groups).map(column).chain(bounds).chain(results).collect();
        let bounds = CalcSpec { input: Arc::clone(&input), condition: None, columns, output, reads_now: false };
        flow.push(Arc::new(bounds), upsert_keys);
        Ok(flow)
    }
}

/// Windows over instants are others in another zone.
fn in_zone(window: &WindowNode) -> String {
    if window.zone.is_utc() { String::new() } else { format!(" in {}", window.zone) }
}

/// The three columns of a window of a flow over the one with its end, before which stands the start of a session.
fn bounds(flow: &Flow, end: usize, window: &WindowNode) -> Result<[Scalar; 3]> {
    let known = DFSchema::try_from(Schema::new(vec![flow.schema.field(end).clone()])).map_err(bug)?;
    let end_column = Expr::Column(Column::new_unqualified(flow.schema.field(end).name()));
    let place = |(name, expression): (String, Expr)| -> Result<Scalar> {
        Ok(compile(&expression, &known)?.with_places(&[end], &flow.schema)?.with_text(name))
    };
    let time = place(time_of(window, &end_column)?)?;
    let end_bound = place((WINDOW_COLUMNS[1].to_owned(), end_column.clone()))?;
    let start = match window.window {
        Windows::Fixed(kind) => place(start_of(window, kind, &end_column)?)?,
        Windows::Session { .. } => Scalar::column(&flow.schema, end - 1),
    };
    Ok([start, end_bound, time])
}

/// `window_start` of a window by its end.
pub(super) fn start_of(window: &WindowNode, kind: WindowKind, end: &Expr) -> Result<(String, Expr)> {
    let name = WINDOW_COLUMNS[0];
    let start = match kind {
        WindowKind::Cumulate { step_ms, .. } => {
            // The last pane of the window lies in the same full window.
            let pane = moved(window, name, end.clone(), (1, 0), -step_ms)?;
            moved(window, name, pane, (kind.starts_every_ms(), kind.starts_offset_ms()), 0)?
        }
        _ => moved(window, name, end.clone(), (1, 0), -kind.size_ms())?,
    };
    Ok((name.to_owned(), start))
}

/// `window_time` of a window by its end.
pub(super) fn time_of(window: &WindowNode, end: &Expr) -> Result<(String, Expr)> {
    let name = WINDOW_COLUMNS[2];
    Ok((name.to_owned(), moved(window, name, end.clone(), (1, 0), -1)?))
}

/// The start of what is `every` long and holds a time, moved `by` so many milliseconds: the bound `name`.
fn moved(window: &WindowNode, name: &str, time: Expr, (every, offset): (i64, i64), by: i64) -> Result<Expr> {
    let data_type = window_column_type(name, window.time_type()?);
    let call = Call::new(&WINDOW_BOUND, data_type, false, vec![every, offset, 0, by]);
    Ok(call.with_detail(name.to_owned()).in_zone(window.zone).on(vec![time]))
}
