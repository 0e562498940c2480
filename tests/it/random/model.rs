//! What a query means: a row at a time, over plain vectors.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, MappedLocalTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::grammar::{
    Call, Condition, FREQUENCY, Function, ID, Level, Other, PARTS, Query, Sets, TIME, Together, Window, is_asked_for,
    table_columns,
};
use super::value::{Scalar, Type, Value};

pub type Row = Vec<Value>;

/// What a query comes to.
#[derive(Debug, Default, PartialEq)]
pub struct Results {
    pub rows: Vec<Row>,
    /// The ids of the late rows.
    pub late: Vec<i128>,
}

/// A group of rows of one window.
struct Group<'a> {
    keys: Vec<Value>,
    bounds: Vec<i64>,
    rows: Vec<&'a Row>,
}

/// How a query is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// No row is late.
    Batch,
    /// Up to where the watermark is that.
    Stream { watermark: i64 },
}

/// The answer over rows by split.
pub fn answer(query: &Query, splits: &[Vec<Row>], run: Run) -> Results {
    let mut late = Vec::new();
    let is_batch = run == Run::Batch;
    let delay = if is_batch { None } else { Some(query.delay * 1000) };
    // With conditions on its bounds, those on rows are asked of whole sessions as well.
    let of_sessions = query.of_bounds && matches!(query.window, Window::Session { .. });
    let condition = if of_sessions { None } else { query.inner.condition };
    let rows: Vec<Vec<&Row>> =
        splits.iter().map(|rows| rows.iter().filter(|row| holds(condition, row)).collect()).collect();
    let met: Vec<Vec<i64>> = splits.iter().map(|rows| watermarks(condition, rows, delay)).collect();
    let mut windowed = match query.window {
        Window::Session { gap } => sessions(query, &rows, &met, gap, &mut late),
        _ => fixed(query, &rows, &met, &mut late),
    };
    if query.of_bounds {
        windowed.retain(|window| is_asked_for(window.bounds[1]));
    }
    if of_sessions {
        windowed.iter_mut().for_each(|session| session.rows.retain(|row| holds(query.inner.condition, row)));
    }
    if let Run::Stream { watermark } = run {
        windowed.retain(|group| group.bounds.last().is_none_or(|end| has_result(query, *end, watermark)));
    }
    let has_result = is_batch && query.window == Window::None;
    let mut results = level(&query.inner, &windowed, &table_columns(), has_result);
    if let Some(other) = &query.other {
        let fulfils = |row: &&Row| holds(other.condition, row);
        let rows = splits.iter().flatten().filter(fulfils).collect();
        let rows = [Group { keys: Vec::new(), bounds: Vec::new(), rows }];
        results = together(other, results, level(&query.inner, &rows, &table_columns(), has_result));
    }
    for (outer, columns) in query.outer.iter().zip(query.columns_by_level()) {
        let rows = results.iter().filter(|row| holds(outer.condition, row)).collect();
        results = level(outer, &[Group { keys: Vec::new(), bounds: Vec::new(), rows }], &columns, is_batch);
    }
    if query.window == Window::None {
        late.clear();
    }
    late.sort_unstable();
    Results { rows: results, late }
}

/// UNION, INTERSECT and EXCEPT.
fn together(other: &Other, left: Vec<Row>, right: Vec<Row>) -> Vec<Row> {
    let mut counts = BTreeMap::<Vec<Scalar>, (&Row, [usize; 2])>::new();
    for (side, rows) in [&left, &right].into_iter().enumerate() {
        for row in rows {
            counts.entry(row.iter().map(Value::scalar).collect()).or_insert((row, [0; 2])).1[side] += 1;
        }
    }
    let times = |[left, right]: [usize; 2]| match (other.together, other.all) {
        (Together::Union, true) => left + right,
        (Together::Union, false) => 1,
        (Together::Intersect, true) => left.min(right),
        (Together::Intersect, false) => left.min(right).min(1),
        (Together::Except, true) => left.saturating_sub(right),
        (Together::Except, false) => usize::from(left > 0 && right == 0),
    };
    counts.into_values().flat_map(|(row, counts)| vec![row.clone(); times(counts)]).collect()
}

/// The watermark that each row met which fulfils the condition; all rows move it.
fn watermarks(condition: Option<Condition>, rows: &[Row], delay: Option<i64>) -> Vec<i64> {
    let mut watermark = i64::MIN;
    let mut met = Vec::new();
    for row in rows {
        if holds(condition, row) {
            met.push(watermark);
        }
        if let Some(delay) = delay {
            watermark = watermark.max(time(row) - delay);
        }
    }
    met
}

fn time(row: &Row) -> i64 {
    row[TIME].int() as i64
}

/// What a clock shows at a time, where times are instants.
fn shown(query: &Query, time: i64) -> i64 {
    let Some(change) = query.change else { return time };
    let zone: Tz = change.zone.parse().expect("a zone");
    let at = DateTime::from_timestamp_millis(time).expect("a time");
    time + i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()) * 1000
}

/// Whether a window has given a result when the watermark is that.
fn has_result(query: &Query, end: i64, watermark: i64) -> bool {
    query.emit.is_some_and(|emit| emit.early.is_some()) || is_over(query, end, watermark)
}

/// Whether a window takes no more rows.
fn is_closed(query: &Query, end: i64, watermark: i64) -> bool {
    let lateness = query.emit.and_then(|emit| emit.late).map_or(0, |(_, lateness)| lateness);
    is_over(query, end + lateness, watermark)
}

/// Whether a clock has shown the end of a window for the last time when the watermark is that.
pub fn is_over(query: &Query, end: i64, watermark: i64) -> bool {
    let last = end - 1;
    let Some(change) = query.change else { return last <= watermark };
    let zone: Tz = change.zone.parse().expect("a zone");
    let at = DateTime::from_timestamp_millis(last).expect("a time").naive_utc();
    let due = match zone.from_local_datetime(&at) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(_, at) => at.timestamp_millis(),
        // It is left out: over as soon as a clock is past it. Clocks are changed at whole minutes.
        MappedLocalTime::None => {
            let minutes = (last / 60_000 - 2_000) * 60_000..;
            minutes.step_by(60_000).find(|at| shown(query, *at) > last).expect("clocks go on")
        }
    };
    due <= watermark
}

/// The windows that hold a time.
fn windows_of(window: Window, time: i64) -> Vec<(i64, i64)> {
    let start = |size: i64| time.div_euclid(size) * size;
    match window {
        Window::Tumble { size } => vec![(start(size), start(size) + size)],
        Window::Hop { slide, size } => {
            let starts = (0..=size / slide).map(|back| start(slide) - back * slide);
            starts.map(|start| (start, start + size)).filter(|(_, end)| time < *end).collect()
        }
        Window::Cumulate { step, size } => {
            let ends = (1..=size / step).map(|steps| start(size) + steps * step);
            ends.filter(|end| time < *end).map(|end| (start(size), end)).collect()
        }
        Window::None | Window::Session { .. } => vec![(i64::MIN, i64::MAX)],
    }
}

/// The ends of the windows that hold a row.
pub fn ends(query: &Query, row: &Row) -> impl Iterator<Item = i64> {
    windows_of(query.window, shown(query, time(row))).into_iter().map(|(_, end)| end)
}

fn fixed<'a>(query: &Query, splits: &[Vec<&'a Row>], met: &[Vec<i64>], late: &mut Vec<i128>) -> Vec<Group<'a>> {
    let window = query.window;
    let mut windows = BTreeMap::<(i64, i64), Vec<&Row>>::new();
    for (rows, met) in splits.iter().zip(met) {
        for (row, met) in rows.iter().zip(met) {
            let mut of_row = windows_of(window, shown(query, time(row)));
            // Which window of TUMBLE a row is in is known at once: one that is not asked for has no late rows.
            if query.of_bounds && matches!(window, Window::Tumble { .. }) {
                of_row.retain(|(_, end)| is_asked_for(*end));
                if of_row.is_empty() {
                    continue;
                }
            }
            let of_row = of_row.into_iter();
            let open: Vec<_> =
                of_row.filter(|(_, end)| window == Window::None || !is_closed(query, *end, *met)).collect();
            if open.is_empty() {
                late.push(row[ID].int());
            }
            open.into_iter().for_each(|bounds| windows.entry(bounds).or_default().push(row));
        }
    }
    let bounds = |(start, end)| if window == Window::None { Vec::new() } else { vec![start, end] };
    windows.into_iter().map(|(at, rows)| Group { keys: Vec::new(), bounds: bounds(at), rows }).collect()
}

/// Sessions of one split.
fn sessions<'a>(
    query: &Query,
    splits: &[Vec<&'a Row>],
    met: &[Vec<i64>],
    gap: i64,
    late: &mut Vec<i128>,
) -> Vec<Group<'a>> {
    let mut sessions: Vec<Group> = Vec::new();
    for (row, met) in splits.iter().zip(met).flat_map(|(rows, met)| rows.iter().zip(met)) {
        let of_row: Vec<Value> = query.inner.keys.iter().map(|key| row[*key].clone()).collect();
        let (mut start, mut end) = (shown(query, time(row)), shown(query, time(row)) + gap);
        let touches = |session: &Group| {
            same(&session.keys, &of_row)
                && !is_over(query, session.bounds[1], *met)
                && start <= session.bounds[1]
                && session.bounds[0] <= end
        };
        let (touched, others): (Vec<Group>, Vec<Group>) = sessions.into_iter().partition(touches);
        sessions = others;
        if touched.is_empty() && is_over(query, end, *met) {
            late.push(row[ID].int());
            continue;
        }
        let mut rows: Vec<&Row> = Vec::new();
        for session in touched {
            (start, end) = (start.min(session.bounds[0]), end.max(session.bounds[1]));
            rows.extend(session.rows);
        }
        rows.push(row);
        // Whatever session they were in, they came in this order.
        rows.sort_by_key(|row| row[ID].int());
        sessions.push(Group { keys: of_row, bounds: vec![start, end], rows });
    }
    sessions.iter_mut().for_each(|session| session.keys.clear());
    sessions
}

fn same(left: &[Value], right: &[Value]) -> bool {
    left.iter().map(Value::scalar).eq(right.iter().map(Value::scalar))
}

/// The results of one GROUP BY over rows that windows have parted.
fn level(level: &Level, windows: &[Group], columns: &[(String, Type)], is_batch: bool) -> Vec<Row> {
    let mut results = Vec::new();
    for set in sets(level) {
        let mut groups = BTreeMap::<(&[i64], Vec<Scalar>), Vec<&Row>>::new();
        for window in windows {
            for row in &window.rows {
                let key = level.keys.iter().zip(&set).map(|(key, has)| match has {
                    true => row[*key].scalar(),
                    false => Scalar::Null,
                });
                groups.entry((&window.bounds[..], key.collect())).or_default().push(row);
            }
        }
        // Without a key a batch has one result in any case.
        if is_batch && level.keys.is_empty() && groups.is_empty() {
            groups.insert((&[], Vec::new()), Vec::new());
        }
        for ((bounds, _), rows) in groups {
            if level.having && rows.len() <= 1 {
                continue;
            }
            let keys = level.keys.iter().zip(&set).map(|(key, has)| match (has, rows.first()) {
                (true, Some(row)) => row[*key].clone(),
                _ => Value::Null,
            });
            let bounds = bounds.iter().map(|bound| Value::Int((*bound).into()));
            let calls = level.calls.iter().map(|call| aggregate(call, columns, &rows));
            results.push(keys.chain(bounds).chain(calls).collect());
        }
    }
    results
}

/// Which keys each grouping set has.
fn sets(level: &Level) -> Vec<Vec<bool>> {
    let keys = level.keys.len();
    match level.sets {
        Sets::All => vec![vec![true; keys]],
        Sets::Rollup => (0..=keys).map(|has| (0..keys).map(|key| key < has).collect()).collect(),
        Sets::Cube => (0..1 << keys).map(|set| (0..keys).map(|key| set >> key & 1 == 1).collect()).collect(),
    }
}

fn holds(condition: Option<Condition>, row: &Row) -> bool {
    match condition {
        None => true,
        Some(Condition::Missing(column)) => row[column].is_null(),
        Some(Condition::Above(column, _) | Condition::DoubleAboveZero(column) | Condition::True(column))
            if row[column].is_null() =>
        {
            false
        }
        Some(Condition::Above(column, limit)) => row[column].int() > limit,
        Some(Condition::DoubleAboveZero(column)) => row[column].double() > 0.0,
        Some(Condition::True(column)) => row[column] == Value::Bool(true),
        Some(Condition::TextOther(column, text)) => !row[column].is_null() && row[column].text() != text,
    }
}

fn aggregate(call: &Call, columns: &[(String, Type)], rows: &[&Row]) -> Value {
    let rows = rows.iter().filter(|row| holds(call.filter, row));
    if call.function == Function::CountRows {
        return Value::Int(rows.count() as i128);
    }
    if let Function::Percentile { weighted: true, .. } = call.function {
        let weighted = rows.filter(|row| !row[call.column].is_null() && !row[FREQUENCY].is_null());
        let each = weighted.flat_map(|row| (0..row[FREQUENCY].int().max(0)).map(|_| &row[call.column]));
        return percentiles(call, &columns[call.column].1, &each.collect::<Vec<_>>());
    }
    let (mut seen, distinct) = (BTreeSet::new(), call.distinct || call.function == Function::ApproxCountDistinct);
    let values: Vec<&Value> = rows
        .map(|row| &row[call.column])
        .filter(|value| call.function == Function::ArrayAgg || !value.is_null())
        .filter(|value| !distinct || seen.insert(value.scalar()))
        .collect();
    if matches!(call.function, Function::Count | Function::ApproxCountDistinct) {
        return Value::Int(values.len() as i128);
    }
    if call.function == Function::Collect {
        let mut counts = BTreeMap::<Scalar, (&Value, i128)>::new();
        values.iter().for_each(|value| counts.entry(value.scalar()).or_insert((value, 0)).1 += 1);
        return Value::Array(
            counts.into_values().flat_map(|(value, count)| [value.clone(), Value::Int(count)]).collect(),
        );
    }
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return Value::Null };
    let data_type = &columns[call.column].1;
    let by_value = || values.iter().map(|value| (value.scalar(), *value));
    let found = match call.function {
        Function::Min => by_value().min_by_key(|(scalar, _)| *scalar).map(|(_, value)| value),
        Function::Max => by_value().max_by_key(|(scalar, _)| *scalar).map(|(_, value)| value),
        Function::FirstValue => Some(*first),
        Function::LastValue => Some(*last),
        Function::ListAgg => {
            return Value::Text(values.iter().map(|value| value.text()).collect::<Vec<_>>().join(","));
        }
        Function::ArrayAgg => return Value::Array(values.into_iter().cloned().collect()),
        Function::Percentile { .. } => return percentiles(call, data_type, &values),
        _ => return sums(call.function, data_type, &values),
    };
    found.cloned().unwrap_or(Value::Null)
}

/// SUM, AVG and variances. Values are such that sums of DOUBLEs are exact; there is at least one.
fn sums(function: Function, data_type: &Type, values: &[&Value]) -> Value {
    let count = values.len() as i128;
    let divisor = match function {
        Function::Variance { sample: true } if count == 1 => return Value::Null,
        Function::Variance { sample } => count * (count - i128::from(sample)),
        Function::Avg => count,
        _ => 1,
    };
    let of = |values: &[i128]| -> i128 {
        let sum: i128 = values.iter().sum();
        match function {
            Function::Variance { .. } => count * values.iter().map(|value| value * value).sum::<i128>() - sum * sum,
            _ => sum,
        }
    };
    if *data_type == Type::Double {
        let doubles: Vec<f64> = values.iter().map(|value| value.double()).collect();
        if let Some(wild) = not_finite(function, &doubles) {
            return Value::Double(wild);
        }
        // All are multiples of a quarter.
        let quarters: Vec<i128> = doubles.iter().map(|value| (value * 4.0) as i128).collect();
        let unit = if matches!(function, Function::Variance { .. }) { 16.0 } else { 4.0 };
        return Value::Double(of(&quarters) as f64 / unit / divisor as f64);
    }
    let numbers: Vec<i128> = values.iter().map(|value| value.int()).collect();
    let dividend = of(&numbers);
    Value::Int(match (data_type, function) {
        // An INT wraps.
        (Type::Int, Function::Sum) => i128::from(dividend as i32),
        (_, Function::Sum) => dividend,
        (Type::Decimal(_, scale), function) => {
            // A variance has twice the digits behind the point.
            let has = if function == Function::Avg { *scale } else { 2 * scale };
            let wanted = (*scale).max(6);
            let (more, less) = (10_i128.pow(wanted.saturating_sub(has)), 10_i128.pow(has.saturating_sub(wanted)));
            half_up(dividend * more, divisor * less)
        }
        _ => dividend / divisor,
    })
}

/// The values below which the parts lie.
fn percentiles(call: &Call, data_type: &Type, values: &[&Value]) -> Value {
    let scale = if let Type::Decimal(_, scale) = data_type { 10_f64.powi(*scale as i32) } else { 1.0 };
    let double = |value: &&Value| match *value {
        Value::Double(value) => Value::Double(*value),
        value => Value::Double(value.int() as f64 / scale),
    };
    let mut sorted: Vec<Value> = values.iter().map(double).collect();
    if sorted.is_empty() {
        return Value::Null;
    }
    sorted.sort_by(|one, other| one.scalar().cmp(&other.scalar()));
    let found = PARTS.map(|part| {
        let place = (sorted.len() - 1) as f64 * part + 1.0;
        let at = |place: f64| sorted[place as usize - 1].double();
        let (below, above) = (at(place.floor()), at(place.ceil()));
        let is_one = place == place.floor() || below == above;
        Value::Double(if is_one { below } else { (place.ceil() - place) * below + (place - place.floor()) * above })
    });
    match call.function {
        Function::Percentile { several: true, .. } => Value::Array(found.to_vec()),
        _ => found[0].clone(),
    }
}

/// The sum, or what is computed with it, where a value is not finite.
fn not_finite(function: Function, values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().filter(|value| !value.is_finite()).sum();
    let is_variance = matches!(function, Function::Variance { .. });
    (!values.iter().all(|value| value.is_finite())).then_some(if is_variance { f64::NAN } else { sum })
}

fn half_up(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    quotient + if 2 * rest.abs() >= divisor { dividend.signum() } else { 0 }
}
