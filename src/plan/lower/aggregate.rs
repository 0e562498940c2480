//! Aggregations in two phases: before the exchange as much as one task sees, behind it the result of each key.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{Column, ExprSchema};
use datafusion::logical_expr::expr::AggregateFunction as AggregateExpr;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use datafusion::prelude::lit;

use super::meaning::Meaning;
use super::over_window::{OverWindow, bound_of, over_window};
use super::{Flow, Input, Lowering, calc};
use crate::error::{Error, Result};
use crate::expressions::{Constant, planned_aggregate, text};
use crate::operators::{
    AggregateCall, Forgetting, GroupAggregateSpec, GroupLocalSpec, SessionAggregateSpec, SessionInput,
    WindowAggregateSpec, WindowAssignSpec, WindowKind, WindowLocalSpec,
};
use crate::plan::changelog_mode::ChangelogMode;
use crate::plan::expand::{ExpandNode, GROUPING_COLUMN, expand_spec, key_column};
use crate::plan::nodes::{WINDOW_COLUMNS, WindowNode, Windows, window_column_type};
use crate::plan::stream_plan::{Exchange, Parallelism};
use crate::sql::FOR_FLINK;
use crate::stream::WATERMARK_COLUMN;

impl Lowering<'_> {
    /// An aggregation over windows if both bounds are keys, else one that never ends.
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Flow> {
        let ttl_ms = self.ttl_hint.take().or(self.settings.ttl_ms).filter(|ttl| *ttl > 0);
        let expand = below_pruning(&aggregate.input);
        let input = expand.map_or(&aggregate.input, |expand| &expand.input);
        if let Some(over) = over_window(input)? {
            // A session has one set of keys.
            let is_one_set = expand.is_none() || matches!(over.window.window, Windows::Fixed(_));
            if over.is_grouped_by_bounds(aggregate) && is_one_set && over.is_of_sessions_keys(aggregate) {
                return match over.reads_bounds(aggregate, expand) {
                    true => self.bounded_aggregate(aggregate, &over, expand),
                    false => self.window_aggregate(aggregate, &over, expand),
                };
            }
        }
        self.group_aggregate(aggregate, ttl_ms)
    }

    fn window_aggregate(
        &mut self,
        aggregate: &Aggregate,
        over: &OverWindow<'_>,
        expand: Option<&ExpandNode>,
    ) -> Result<Flow> {
        let window = over.window;
        let emission = self.emission(window)?;
        if let Windows::Fixed(kind) = &window.window
            && !window.is_key
        {
            // N6: Flink's functions share panes, which not every slide makes.
            kind.check().map_err(|error| error.with_span(window.span))?;
        }
        let conditions = over.conditions.iter().map(|condition| over.on_rows(condition)).collect::<Result<Vec<_>>>()?;
        // Columns before the windows are assigned: those of the late table under their own names, then whatever
        // time, keys and calls need.
        let mut before = Columns::default();
        for name in &window.late_columns {
            before.add(name, Expr::Column(Column::new_unqualified(name)));
        }
        let late_columns: Vec<usize> = (0..before.columns.len()).collect();
        let time = before.add(&window.time, Expr::Column(Column::new_unqualified(&window.time)));
        let Reads { expanded, keys, outputs, calls } =
            self.reads(aggregate, over, expand, &mut before, |expression| over.on_rows(expression))?;
        let watermark = before.columns.len();
        let met = match window.by_clock {
            // A source gives no row a time that it has called past.
            true => lit(i64::MIN),
            false => Expr::Column(Column::new_unqualified(WATERMARK_COLUMN)),
        };
        before.columns.push((WATERMARK_COLUMN.to_owned(), met));

        let mut flow = self.lower_below(window, !window.by_clock)?;
        calc(&mut flow, window.input.schema(), &conditions, Some(before.columns))?;
        // Late rows have the names that the late table knows, and keys those that the plan shows.
        if !flow.keeps_names(&(0..watermark).collect::<Vec<_>>()) {
            flow.settle();
        }
        let places = flow.take_places();
        let placed = |column: &usize| places[*column];
        let (time, watermark) = (places[time], places[watermark]);
        let late_columns: Vec<usize> = late_columns.iter().map(placed).collect();
        let keys = placed_keys(keys, &places);
        let expanded: Vec<usize> = expanded.iter().map(placed).collect();
        let calls = placed_calls(calls, &places);
        let expand = expand.map(|expand| (expanded, expand.sets.as_slice()));
        let rows = Rows { time, watermark, late_columns, keys, calls };
        let groups = rows.keys.len();
        let mut flow = match &window.window {
            Windows::Fixed(kind) if emission.is_some() || !flow.mode.is_append() || !kind.is_even() => {
                self.updating_windows(flow, rows, expand, aggregate, window, (*kind, emission))?
            }
            Windows::Fixed(kind) => self.fixed_windows(flow, rows, expand, aggregate, window, *kind)?,
            Windows::Session { gap_ms, .. } => self.sessions(flow, rows, aggregate, window, *gap_ms)?,
        };
        rearrange(&mut flow, &outputs_of(&outputs, groups, aggregate), aggregate);
        Ok(flow)
    }

    /// What an aggregation reads of the rows of a window function, each thing a column of `columns` as `on_rows` turns it into
    /// an expression over those.
    pub(super) fn reads(
        &self,
        aggregate: &Aggregate,
        over: &OverWindow<'_>,
        expand: Option<&ExpandNode>,
        columns: &mut Columns,
        on_rows: impl Fn(&Expr) -> Result<Expr>,
    ) -> Result<Reads> {
        let resolve =
            |column: &Expr| over.resolve(column).ok_or_else(|| Error::bug(format!("{column} is not in the input")));
        let mut expanded = Vec::new();
        for key in expand.iter().flat_map(|expand| &expand.keys) {
            let key = Expr::Column(Column::new_unqualified(key));
            expanded.push(columns.add(&text(&key), on_rows(resolve(&key)?)?));
        }
        let (mut keys, mut outputs) = (Vec::new(), Vec::new());
        for key in &aggregate.group_expr {
            if let Some(made) = made_by_expand(key, expanded.len()) {
                outputs.push(Place::Key(keys.len()));
                keys.push(KeyColumn::OfExpand(made));
                continue;
            }
            let expression = resolve(key)?;
            match bound_of(expression) {
                Some(bound) => outputs.push(Place::Bound(bound)),
                None => {
                    outputs.push(Place::Key(keys.len()));
                    keys.push(KeyColumn::OfRows(columns.add(&text(key), on_rows(expression)?)));
                }
            }
        }
        let calls = self.calls(aggregate, |argument| Ok(columns.add(&text(argument), on_rows(resolve(argument)?)?)))?;
        Ok(Reads { expanded, keys, outputs, calls })
    }

    /// Aggregates in two phases, with an exchange between them.
    fn fixed_windows(
        &mut self,
        mut flow: Flow,
        rows: Rows,
        expand: Option<(Vec<usize>, &[Vec<bool>])>,
        aggregate: &Aggregate,
        window: &WindowNode,
        kind: WindowKind,
    ) -> Result<Flow> {
        let Rows { time, watermark, late_columns, keys, calls } = rows;
        spread(&mut flow, &calls);
        let (pane, open_from) = assign_windows(&mut flow, window, kind, (time, watermark), late_columns, 0);
        let keys = expanded_keys(&mut flow, expand, keys);
        let local = WindowLocalSpec {
            input: Arc::clone(&flow.schema),
            keys: keys.clone(),
            pane,
            open_from,
            calls: calls.clone(),
            window: kind,
            zone: window.zone,
        };
        let partial = local.partial_schema()?;
        flow.push(Arc::new(local), Vec::new());
        let spec = WindowAggregateSpec {
            output: window_output(partial.fields().iter().take(keys.len()), window, &calls)?,
            input: partial,
            keys: keys.len(),
            calls,
            window: kind,
            zone: window.zone,
            query: meaning(aggregate),
        };
        let upsert_keys = keys_of_windows(kind, keys.len());
        let leading: Vec<usize> = (0..keys.len()).collect();
        let mut flow = self.exchange(flow, &leading, ChangelogMode::APPEND);
        flow.push(Arc::new(spec), upsert_keys);
        Ok(flow)
    }

    /// Aggregates rows as they come behind the exchange: which session a row belongs to depends on those before it.
    fn sessions(
        &mut self,
        flow: Flow,
        rows: Rows,
        aggregate: &Aggregate,
        window: &WindowNode,
        gap_ms: i64,
    ) -> Result<Flow> {
        let Rows { time, watermark, late_columns, keys, calls } = rows;
        if !flow.mode.is_append() {
            return Err(Error::query("SESSION windows over rows that are updated are not built yet")
                .with_span(window.span)
                .with_help(FOR_FLINK));
        }
        let calls: Vec<AggregateCall> =
            calls.into_iter().map(|call| AggregateCall { of_sessions: true, ..call }).collect();
        let of_rows = |key| if let KeyColumn::OfRows(column) = key { Some(column) } else { None };
        let keys: Vec<usize> = keys.into_iter().filter_map(of_rows).collect();
        let input = Arc::clone(&flow.schema);
        let mut flow = self.exchange(flow, &keys, ChangelogMode::APPEND);
        let upsert_keys = keys_of_sessions(keys.len());
        let spec = SessionAggregateSpec {
            output: window_output(keys.iter().map(|key| &input.fields()[*key]), window, &calls)?,
            rows: SessionInput {
                columns: Arc::clone(&input),
                keys,
                time,
                watermark,
                gap_ms,
                operator: "SessionAggregate".to_owned(),
                late_columns,
                by_clock: window.by_clock,
                zone: window.zone,
            },
            calls,
            query: meaning(aggregate),
        };
        flow.push(Arc::new(spec), upsert_keys);
        Ok(flow)
    }

    fn group_aggregate(&mut self, aggregate: &Aggregate, ttl_ms: Option<i64>) -> Result<Flow> {
        let mut flow = self.lower(&aggregate.input, false)?;
        // What is called otherwise here is called so in the plan, too.
        if !flow.keeps_names(&(0..flow.schema.fields().len()).collect::<Vec<_>>()) {
            flow.settle();
        }
        let arranged = Arc::clone(&flow.schema);
        let places = flow.take_places();
        let index_of = |expression: &Expr| match expression {
            Expr::Column(column) => {
                let index = arranged.index_of(&column.name);
                index.map(|index| places[index]).map_err(|_| Error::bug(format!("{column} is not in the input")))
            }
            other => Err(Error::bug(format!("{} is no column", text(other)))),
        };
        let keys = aggregate.group_expr.iter().map(index_of).collect::<Result<Vec<usize>>>()?;
        let mut calls = self.calls(aggregate, index_of)?;
        let retract = !flow.mode.is_append();
        if retract {
            calls = calls.into_iter().map(AggregateCall::over_changes).collect();
        }
        spread(&mut flow, &calls);
        let local = GroupLocalSpec {
            input: Arc::clone(&flow.schema),
            keys: keys.clone(),
            calls: calls.clone(),
            retract,
            holding: self.settings.holding,
        };
        let partial = local.partial_schema()?;
        flow.push(Arc::new(local), Vec::new());
        let key_fields = partial.fields().iter().take(keys.len()).map(|field| field.as_ref().clone());
        let output = Schema::new(key_fields.chain(calls.iter().map(|call| call.output.clone())).collect::<Vec<_>>());
        let spec = GroupAggregateSpec {
            input: partial,
            keys: keys.len(),
            calls: calls.clone(),
            retract,
            emit_update_before: true,
            forgetting: match ttl_ms {
                None => Forgetting::Never,
                Some(ttl_ms) => Forgetting::Untouched { ttl_ms },
            },
            query: meaning(aggregate),
            output: Arc::new(output),
        };
        let leading: Vec<usize> = (0..keys.len()).collect();
        let mut flow = self.exchange(flow, &leading, mode_of_groups(retract));
        flow.push(Arc::new(spec), vec![(0..keys.len()).collect()]);
        rearrange(&mut flow, &(0..keys.len() + calls.len()).collect::<Vec<_>>(), aggregate);
        Ok(flow)
    }

    /// The calls of an aggregation; `column` finds the column of an argument before the local phase.
    fn calls(
        &self,
        aggregate: &Aggregate,
        mut column: impl FnMut(&Expr) -> Result<usize>,
    ) -> Result<Vec<AggregateCall>> {
        let schema = aggregate.schema.fields();
        let keys = aggregate.group_expr.len();
        aggregate
            .aggr_expr
            .iter()
            .enumerate()
            .map(|(index, call)| {
                let call = call.clone().unalias();
                let Expr::AggregateFunction(AggregateExpr { func, params }) = &call else {
                    return Err(Error::bug(format!("{} is no aggregate", text(&call))));
                };
                let function = planned_aggregate(func)?;
                let argument = params.args.first();
                let input_type = match argument {
                    Some(argument) => column_type(argument, &aggregate.input)?,
                    None => DataType::Int64,
                };
                let output = schema[keys + index].as_ref().clone().with_nullable(function.is_nullable());
                Ok(AggregateCall {
                    function,
                    argument: argument.map(&mut column).transpose()?,
                    distinct: params.distinct,
                    weight: params.args.get(2).map(&mut column).transpose()?,
                    constant: Constant::of(&params.args)?,
                    retract: false,
                    of_sessions: false,
                    filter: params.filter.as_deref().map(&mut column).transpose()?,
                    input_type,
                    output,
                })
            })
            .collect()
    }

    /// By the columns of the key, or everything to one task where there is none.
    pub(super) fn exchange(&mut self, flow: Flow, keys: &[usize], mode: ChangelogMode) -> Flow {
        let schema = Arc::clone(&flow.schema);
        let from = self.close(flow);
        let (exchange, parallelism) = match keys {
            [] => (Exchange::Gather, Parallelism::One),
            keys => (Exchange::Hash(keys.to_vec()), Parallelism::Default),
        };
        Flow { mode, ..Flow::from(vec![Input::of(from, exchange)], parallelism, schema) }
    }
}

/// Tells each row its windows and refuses those that are late for all of theirs; `time`, `watermark` and `late_columns` are
/// columns of the flow. Returns where the hidden columns of the pane and of the first open window stand: behind all others.
/// What copies rows comes behind it, so that a row is late once.
pub(super) fn assign_windows(
    flow: &mut Flow,
    window: &WindowNode,
    kind: WindowKind,
    (time, watermark): (usize, usize),
    late_columns: Vec<usize>,
    lateness_ms: i64,
) -> (usize, usize) {
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
    let unchanged = std::mem::take(&mut flow.keys);
    flow.push(Arc::new(assign), unchanged);
    let columns = flow.schema.fields().len();
    (columns - 2, columns - 1)
}

/// Puts rows into their grouping sets, if there are any. Returns where the keys stand.
pub(super) fn expanded_keys(
    flow: &mut Flow,
    expand: Option<(Vec<usize>, &[Vec<bool>])>,
    keys: Vec<KeyColumn>,
) -> Vec<usize> {
    let columns = flow.schema.fields().len();
    if let Some((expanded, sets)) = expand {
        let spec = expand_spec(Arc::clone(&flow.schema), expanded, sets);
        flow.push(Arc::new(spec), Vec::new());
    }
    let place = |key| match key {
        KeyColumn::OfRows(column) => column,
        KeyColumn::OfExpand(made) => columns + made,
    };
    keys.into_iter().map(place).collect()
}

/// The upsert keys of windows behind so many other keys: each bound by itself tells the windows of a key apart, but for the
/// start that windows of CUMULATE share.
pub(super) fn keys_of_windows(kind: WindowKind, keys: usize) -> Vec<Vec<usize>> {
    let first = match kind {
        WindowKind::Tumble { .. } | WindowKind::Hop { .. } => 0,
        WindowKind::Cumulate { .. } => 1,
    };
    (first..3).map(|bound| (0..keys).chain([keys + bound]).collect()).collect()
}

/// The upsert keys of sessions behind so many other keys.
pub(super) fn keys_of_sessions(keys: usize) -> Vec<Vec<usize>> {
    (0..3).map(|bound| (0..keys).chain([keys + bound]).collect()).collect()
}

/// What leaves a group whose rows may be taken back or not.
pub(super) fn mode_of_groups(retract: bool) -> ChangelogMode {
    if retract { ChangelogMode::RETRACT } else { ChangelogMode::UPDATE }
}

/// What an aggregation computes, for its signature. Window bounds are no part of it: the window is.
pub(super) fn meaning(aggregate: &Aggregate) -> String {
    let input = Meaning::of(&aggregate.input);
    let known = aggregate.input.schema();
    let resolve = |expression: &Expr| input.resolve(expression, known);
    let keys: Vec<String> = aggregate.group_expr.iter().map(resolve).collect();
    let keys: Vec<String> = keys.into_iter().filter(|key| !WINDOW_COLUMNS.contains(&key.as_str())).collect();
    let calls: Vec<String> = aggregate.aggr_expr.iter().map(resolve).collect();
    input.select(&[keys, calls].concat())
}

/// Rows of sources may be dealt out to all tasks where what follows does not mind their order.
pub(super) fn spread(flow: &mut Flow, calls: &[AggregateCall]) {
    let is_ordered = calls.iter().any(|call| call.function.is_ordered());
    if flow.is_fresh && flow.mode.is_append() && !is_ordered {
        flow.inputs.iter_mut().for_each(|input| input.exchange = Exchange::Rebalance);
        flow.parallelism = Parallelism::Default;
    }
    flow.is_fresh = false;
}

/// An operator's output in the order and under the names of the logical aggregation.
pub(super) fn rearrange(flow: &mut Flow, order: &[usize], aggregate: &Aggregate) {
    let names = aggregate.schema.fields().iter().map(|field| field.name());
    let fields = order.iter().zip(names).map(|(index, name)| flow.schema.field(*index).clone().with_name(name));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    flow.arrange(order, schema);
}

fn column_type(argument: &Expr, input: &LogicalPlan) -> Result<DataType> {
    let Expr::Column(column) = argument else { return Err(Error::bug(format!("{} is no column", text(argument)))) };
    let field = input.schema().field_from_column(column).map_err(super::bug)?;
    Ok(field.data_type().clone())
}

/// Keys, bounds, results.
pub(super) fn window_output<'f>(
    keys: impl Iterator<Item = &'f FieldRef>,
    window: &WindowNode,
    calls: &[AggregateCall],
) -> Result<SchemaRef> {
    let time = window.time_type()?;
    let bound = |name: &&str| Field::new(*name, window_column_type(name, time), false);
    let keys = keys.map(|field| field.as_ref().clone());
    let results = calls.iter().map(|call| call.output.clone());
    Ok(Arc::new(Schema::new(keys.chain(WINDOW_COLUMNS.iter().map(bound)).chain(results).collect::<Vec<_>>())))
}

/// What a window aggregation reads of the rows that come to it, by place.
pub(super) struct Rows {
    pub(super) time: usize,
    pub(super) watermark: usize,
    pub(super) late_columns: Vec<usize>,
    pub(super) keys: Vec<KeyColumn>,
    pub(super) calls: Vec<AggregateCall>,
}

/// A key before the aggregation.
pub(super) enum KeyColumn {
    /// A column of the rows.
    OfRows(usize),
    /// One of those that grouping sets add: a key that may be left out, or behind them the number of the set.
    OfExpand(usize),
}

/// Which of the columns of grouping sets with so many keys a key is, if it is one.
fn made_by_expand(key: &Expr, keys: usize) -> Option<usize> {
    let Expr::Column(column) = key else { return None };
    let key = (0..keys).find(|index| key_column(*index) == column.name);
    key.or((column.name == GROUPING_COLUMN).then_some(keys))
}

/// What an aggregation reads of rows: columns of theirs, by place.
pub(super) struct Reads {
    /// The keys that some grouping set leaves out.
    pub(super) expanded: Vec<usize>,
    pub(super) keys: Vec<KeyColumn>,
    pub(super) outputs: Vec<Place>,
    pub(super) calls: Vec<AggregateCall>,
}

/// Where a key of the aggregation stands in the operator's output.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Key(usize),
    Bound(usize),
}

/// Where keys and calls of an aggregation stand behind `groups` keys and three bounds.
pub(super) fn outputs_of(outputs: &[Place], groups: usize, aggregate: &Aggregate) -> Vec<usize> {
    let places = outputs.iter().map(|place| match *place {
        Place::Key(index) => index,
        Place::Bound(bound) => groups + bound,
    });
    places.chain((0..aggregate.aggr_expr.len()).map(|call| groups + 3 + call)).collect()
}

/// Keys by where their columns stand now.
pub(super) fn placed_keys(keys: Vec<KeyColumn>, places: &[usize]) -> Vec<KeyColumn> {
    let placed = |key| match key {
        KeyColumn::OfRows(column) => KeyColumn::OfRows(places[column]),
        made => made,
    };
    keys.into_iter().map(placed).collect()
}

/// Calls by where their columns stand now.
pub(super) fn placed_calls(calls: Vec<AggregateCall>, places: &[usize]) -> Vec<AggregateCall> {
    let placed = |column: usize| places[column];
    let call = |call: AggregateCall| AggregateCall {
        argument: call.argument.map(placed),
        weight: call.weight.map(placed),
        filter: call.filter.map(placed),
        ..call
    };
    calls.into_iter().map(call).collect()
}

/// Columns under unique names; an expression that is there already is not added again.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) columns: Vec<(String, Expr)>,
}

impl Columns {
    pub(super) fn add(&mut self, name: &str, expression: Expr) -> usize {
        if let Some(index) = self.columns.iter().position(|(_, known)| *known == expression) {
            return index;
        }
        let mut unique = name.to_owned();
        while self.columns.iter().any(|(known, _)| *known == unique) {
            unique.push('\'');
        }
        self.columns.push((unique, expression));
        self.columns.len() - 1
    }
}

/// The grouping sets below projections that only leave columns out, if there are any.
fn below_pruning(plan: &LogicalPlan) -> Option<&ExpandNode> {
    match plan {
        LogicalPlan::Projection(projection) if projection.expr.iter().all(|it| matches!(it, Expr::Column(_))) => {
            below_pruning(&projection.input)
        }
        other => ExpandNode::of(other),
    }
}
