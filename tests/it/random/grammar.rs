//! Random queries: what they are made of, and their text.

use chrono::DateTime;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use super::value::Type;

/// The columns of the table, in order. Sums of `x` are exact; `f` has NaN, infinities and both zeros.
pub const COLUMNS: [(&str, Type); 9] = [
    ("id", Type::BigInt),
    ("ts", Type::Time),
    ("k", Type::Text),
    ("i", Type::Int),
    ("f", Type::Double),
    ("x", Type::Double),
    ("d", Type::Decimal(10, 2)),
    ("s", Type::Text),
    ("b", Type::Bool),
];
pub const ID: usize = 0;
pub const TIME: usize = 1;
const WILD: usize = 4;
pub const FREQUENCY: usize = 3;
pub const PARTS: [f64; 3] = [0.5, 0.0, 0.3];
/// The columns by which rows are grouped.
const KEYS: [usize; 5] = [2, 3, 4, 6, 8];

/// What WHERE asks of the ends of windows: what [`is_asked_for`] says.
const OF_BOUNDS: &str = "MOD(TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', window_end), 3) <> 1";

/// Whether [`OF_BOUNDS`] lets a window go on that ends there, in milliseconds.
pub fn is_asked_for(end: i64) -> bool {
    end / 1000 % 3 != 1
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    None,
    Tumble { size: i64 },
    Hop { slide: i64, size: i64 },
    Cumulate { step: i64, size: i64 },
    Session { gap: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    CountRows,
    Count,
    /// Of fewer values than it begins to estimate at.
    ApproxCountDistinct,
    Sum,
    Avg,
    Min,
    Max,
    Variance {
        sample: bool,
    },
    FirstValue,
    LastValue,
    ListAgg,
    ArrayAgg,
    Collect,
    /// Of [`PARTS`], or of the first of them; with the column [`FREQUENCY`] as frequency or without.
    Percentile {
        several: bool,
        weighted: bool,
    },
}

/// What FILTER or WHERE demand, by column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Above(usize, i128),
    DoubleAboveZero(usize),
    True(usize),
    TextOther(usize, &'static str),
    Missing(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub function: Function,
    /// Of no account for `COUNT(*)`.
    pub column: usize,
    pub distinct: bool,
    pub filter: Option<Condition>,
}

/// Which sets of the keys rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sets {
    All,
    Rollup,
    Cube,
}

/// `SELECT keys, bounds, calls FROM … WHERE … GROUP BY … HAVING COUNT(*) > 1`, or `SELECT DISTINCT keys FROM … WHERE …`
/// where there is no call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Columns of the input.
    pub keys: Vec<usize>,
    pub sets: Sets,
    pub calls: Vec<Call>,
    pub condition: Option<Condition>,
    pub having: bool,
}

/// Rows around a moment when clocks are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The session's zone.
    pub zone: &'static str,
    /// In milliseconds since 1970.
    pub at: i64,
}

impl Change {
    /// Times and lengths are longer by this than those of other queries, so that the rows reach over an hour or two.
    pub const SCALE: i64 = 120;

    /// The instant of a row's time.
    pub fn instant(self, time: i64) -> i64 {
        self.at - 90 * 60_000 + time * Self::SCALE
    }
}

/// `table.exec.emit.*`, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emit {
    /// For how long a result in front of the window's end waits.
    pub early: Option<i64>,
    /// For how long a correction waits, and for how long rows are taken behind the end.
    pub late: Option<(i64, i64)>,
}

/// How the results of two queries come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    Union,
    Intersect,
    Except,
}

/// A second query, which is the inner level over other rows of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    pub together: Together,
    pub all: bool,
    pub condition: Option<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Where the times are instants.
    pub change: Option<Change>,
    pub window: Window,
    /// Whether the window is written as a key, `GROUP BY TUMBLE(…)`.
    pub legacy: bool,
    /// Whether WHERE asks for some of the ends of windows.
    pub of_bounds: bool,
    /// Of windows that are keys.
    pub emit: Option<Emit>,
    /// How far the watermark stays behind, in seconds.
    pub delay: i64,
    pub inner: Level,
    /// Beside the inner level, where there is no window.
    pub other: Option<Other>,
    /// Aggregations of results, each over columns of those before it.
    pub outer: Vec<Level>,
}

impl Call {
    pub fn output(&self, columns: &[(String, Type)]) -> Type {
        let input = columns[self.column].1.clone();
        match (self.function, &input) {
            (Function::CountRows | Function::Count | Function::ApproxCountDistinct, _) => Type::BigInt,
            (Function::Sum, Type::Decimal(_, scale)) => Type::Decimal(38, *scale),
            (Function::Avg | Function::Variance { .. }, Type::Decimal(_, scale)) => Type::Decimal(38, (*scale).max(6)),
            (Function::ArrayAgg, _) => Type::Array(Box::new(input)),
            (Function::Collect, _) => Type::Multiset(Box::new(input)),
            (Function::Percentile { several: false, .. }, _) => Type::Double,
            (Function::Percentile { several: true, .. }, _) => Type::Array(Box::new(Type::Double)),
            _ => input,
        }
    }

    fn text(&self, columns: &[(String, Type)]) -> String {
        let column = &columns[self.column].0;
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let call = match self.function {
            Function::CountRows => "COUNT(*)".to_owned(),
            Function::Percentile { several, weighted } => {
                let parts = PARTS.map(|part| part.to_string());
                let parts = if several { format!("ARRAY[{}]", parts.join(", ")) } else { parts[0].clone() };
                let frequency = if weighted { format!(", {}", columns[FREQUENCY].0) } else { String::new() };
                format!("PERCENTILE({distinct}{column}, {parts}{frequency})")
            }
            function => format!("{}({distinct}{column})", name(function)),
        };
        match self.filter {
            None => call,
            Some(filter) => format!("{call} FILTER (WHERE {})", filter.text(columns)),
        }
    }
}

fn name(function: Function) -> &'static str {
    match function {
        Function::CountRows | Function::Count => "COUNT",
        Function::ApproxCountDistinct => "APPROX_COUNT_DISTINCT",
        Function::Sum => "SUM",
        Function::Avg => "AVG",
        Function::Min => "MIN",
        Function::Max => "MAX",
        Function::Variance { sample: false } => "VAR_POP",
        Function::Variance { sample: true } => "VAR_SAMP",
        Function::FirstValue => "FIRST_VALUE",
        Function::LastValue => "LAST_VALUE",
        Function::ListAgg => "LISTAGG",
        Function::ArrayAgg => "ARRAY_AGG",
        Function::Collect => "COLLECT",
        Function::Percentile { .. } => "PERCENTILE",
    }
}

impl Condition {
    fn text(self, columns: &[(String, Type)]) -> String {
        let of = |column: usize| &columns[column].0;
        match self {
            Self::Above(column, limit) => format!("{} > {limit}", of(column)),
            Self::DoubleAboveZero(column) => format!("{} > CAST(0 AS DOUBLE)", of(column)),
            Self::True(column) => of(column).clone(),
            Self::TextOther(column, text) => format!("{} <> '{text}'", of(column)),
            Self::Missing(column) => format!("{} IS NULL", of(column)),
        }
    }
}

impl Level {
    pub fn is_ordered(&self) -> bool {
        use Function::{ArrayAgg, FirstValue, LastValue, ListAgg};
        self.calls.iter().any(|call| matches!(call.function, FirstValue | LastValue | ListAgg | ArrayAgg))
    }

    /// The text, over a FROM; `bounds` are those of the window as columns of the result, `window` what stands for it in
    /// GROUP BY.
    fn text(
        &self,
        columns: &[(String, Type)],
        from: &str,
        bounds: &[String],
        window: &[String],
        of_bounds: Option<&str>,
    ) -> String {
        let of = |key: &usize| columns[*key].0.clone();
        let mut select: Vec<String> =
            self.keys.iter().enumerate().map(|(at, key)| format!("{} AS g{at}", of(key))).collect();
        select.extend(bounds.iter().enumerate().map(|(at, bound)| format!("{bound} AS w{at}")));
        select.extend(self.calls.iter().enumerate().map(|(at, call)| format!("{} AS c{at}", call.text(columns))));
        let distinct = if self.calls.is_empty() { "DISTINCT " } else { "" };
        let keys = self.keys.iter().map(of).collect::<Vec<_>>().join(", ");
        let mut groups = window.to_vec();
        match self.sets {
            _ if keys.is_empty() || self.calls.is_empty() => {}
            Sets::All => groups.push(keys),
            Sets::Rollup => groups.push(format!("ROLLUP ({keys})")),
            Sets::Cube => groups.push(format!("CUBE ({keys})")),
        }
        let mut text = format!("SELECT {distinct}{} FROM {from}", select.join(", "));
        let conditions = self.condition.map(|condition| condition.text(columns)).into_iter();
        let conditions: Vec<String> = conditions.chain(of_bounds.map(str::to_owned)).collect();
        if !conditions.is_empty() {
            text += &format!(" WHERE {}", conditions.join(" AND "));
        }
        if !groups.is_empty() {
            text += &format!(" GROUP BY {}", groups.join(", "));
        }
        if self.having {
            text += " HAVING COUNT(*) > 1";
        }
        text
    }
}

/// The columns of the table by name.
pub fn table_columns() -> Vec<(String, Type)> {
    COLUMNS.iter().map(|(name, data_type)| ((*name).to_owned(), data_type.clone())).collect()
}

impl Query {
    /// The columns of the inner results.
    pub fn inner_columns(&self) -> Vec<(String, Type)> {
        let table = table_columns();
        let keys = self.inner.keys.iter().enumerate().map(|(at, key)| (format!("g{at}"), table[*key].1.clone()));
        let bounds = (0..self.bounds()).map(|at| (format!("w{at}"), Type::Time));
        let calls = self.inner.calls.iter().enumerate().map(|(at, call)| (format!("c{at}"), call.output(&table)));
        keys.chain(bounds).chain(calls).collect()
    }

    /// The columns of the results of the inner level and of each behind it.
    pub fn columns_by_level(&self) -> Vec<Vec<(String, Type)>> {
        let mut levels = vec![self.inner_columns()];
        for level in &self.outer {
            let input = levels.last().expect("the inner level");
            let keys = level.keys.iter().enumerate().map(|(at, key)| (format!("g{at}"), input[*key].1.clone()));
            let calls = level.calls.iter().enumerate().map(|(at, call)| (format!("c{at}"), call.output(input)));
            let columns = keys.chain(calls).collect();
            levels.push(columns);
        }
        levels
    }

    /// The columns of the results.
    pub fn columns(&self) -> Vec<(String, Type)> {
        self.columns_by_level().pop().expect("the inner level")
    }

    /// How many bounds of the window are results.
    pub fn bounds(&self) -> usize {
        if self.window == Window::None { 0 } else { 2 }
    }

    pub fn text(&self) -> String {
        self.text_until(None)
    }

    /// The text; of windows only those that end by then, where a time is given (in milliseconds, as a clock shows it).
    pub fn text_until(&self, end: Option<i64>) -> String {
        let seconds = |ms: i64| format!("INTERVAL '{}' SECOND(4)", ms / 1000);
        let (name, lengths) = match self.window {
            Window::None => ("", String::new()),
            Window::Tumble { size } => ("TUMBLE", seconds(size)),
            Window::Hop { slide, size } => ("HOP", format!("{}, {}", seconds(slide), seconds(size))),
            Window::Cumulate { step, size } => ("CUMULATE", format!("{}, {}", seconds(step), seconds(size))),
            Window::Session { gap } => ("SESSION", seconds(gap)),
        };
        let table = table_columns();
        let partition = match self.window {
            Window::Session { .. } if !self.inner.keys.is_empty() => {
                let keys = self.inner.keys.iter().map(|key| table[*key].0.as_str()).collect::<Vec<_>>();
                format!(" PARTITION BY ({})", keys.join(", "))
            }
            _ => String::new(),
        };
        let bounds = ["window_start", "window_end"].map(str::to_owned);
        let inner = match self.window {
            Window::None => self.inner.text(&table, "t", &[], &[], None),
            _ if self.legacy => {
                let window = format!("{name}(ts, {lengths})");
                let bounds = ["START", "END"].map(|bound| format!("{name}_{bound}(ts, {lengths})"));
                self.inner.text(&table, "t", &bounds, &[window], None)
            }
            _ => {
                let from = format!("TABLE({name}(TABLE t{partition}, DESCRIPTOR(ts), {lengths}))");
                self.inner.text(&table, &from, &bounds, &bounds, self.of_bounds.then_some(OF_BOUNDS))
            }
        };
        let mut text = match &self.other {
            None => inner,
            Some(other) => {
                let level = Level { condition: other.condition, ..self.inner.clone() };
                let together = match other.together {
                    Together::Union => "UNION",
                    Together::Intersect => "INTERSECT",
                    Together::Except => "EXCEPT",
                };
                let all = if other.all { " ALL" } else { "" };
                format!("{inner} {together}{all} {}", level.text(&table, "t", &[], &[], None))
            }
        };
        if let Some(end) = end {
            let end = DateTime::from_timestamp_millis(end).expect("a time").format("%F %T%.3f");
            text = format!("SELECT * FROM ({text}) WHERE w1 <= TIMESTAMP '{end}'");
        }
        for (level, columns) in self.outer.iter().zip(self.columns_by_level()) {
            text = level.text(&columns, &format!("({text})"), &[], &[], None);
        }
        text
    }

    /// Whether the order of rows matters to the result.
    pub fn is_ordered(&self) -> bool {
        self.inner.is_ordered()
    }
}

// --------------------------------------------------------------------------------------------- how they are chosen

fn condition(columns: &[usize]) -> impl Strategy<Value = Condition> + use<> {
    let [number, double, truth, text] = [columns[0], columns[1], columns[2], columns[3]];
    select(vec![
        Condition::Above(number, 0),
        Condition::DoubleAboveZero(double),
        Condition::True(truth),
        Condition::TextOther(text, "b"),
        Condition::Missing(text),
    ])
}

/// A function, which of the columns that it takes, whether over different values, and whether with a FILTER.
fn call(ordered: bool, weighted: bool) -> impl Strategy<Value = (Function, Index, bool, bool)> {
    use Function::*;
    let mut functions =
        vec![CountRows, Count, Sum, Avg, Min, Max, Variance { sample: false }, Variance { sample: true }];
    functions.push(ApproxCountDistinct);
    if ordered {
        functions.extend([FirstValue, LastValue, ListAgg, ArrayAgg]);
    }
    functions.push(Collect);
    functions.extend([false, true].map(|several| Percentile { several, weighted: false }));
    if weighted {
        functions.push(Percentile { several: true, weighted });
    }
    (select(functions), any::<Index>(), prop::bool::weighted(0.3), prop::bool::weighted(0.3))
}

/// The columns that a function takes, of those that are `offered`.
fn taken(function: Function, columns: &[(String, Type)], offered: &[usize]) -> Vec<usize> {
    let takes = |data_type: &Type| match function {
        Function::CountRows | Function::Count => true,
        Function::Sum | Function::Avg | Function::Variance { .. } | Function::Percentile { .. } => {
            matches!(data_type, Type::Int | Type::BigInt | Type::Double | Type::Decimal(..))
        }
        Function::ListAgg => *data_type == Type::Text,
        // 0.0 and -0.0 are one to a sketch, and two where rows can be taken back.
        Function::ApproxCountDistinct => !matches!(data_type, Type::Double | Type::Array(_) | Type::Multiset(_)),
        _ => !matches!(data_type, Type::Array(_) | Type::Multiset(_)),
    };
    offered.iter().copied().filter(|column| takes(&columns[*column].1)).collect()
}

/// Half an hour here, an hour there, a day that there was not, and a zone that changes nothing.
fn change() -> impl Strategy<Value = Change> {
    let change = |zone, at_s: i64| Change { zone, at: at_s * 1000 };
    select(vec![
        change("Europe/Berlin", 1_711_846_800),
        change("Europe/Berlin", 1_729_990_800),
        change("Australia/Lord_Howe", 1_712_415_600),
        change("Australia/Lord_Howe", 1_728_142_200),
        change("America/New_York", 1_730_613_600),
        change("Asia/Kathmandu", 1_704_067_200),
        change("Pacific/Apia", 1_325_239_200),
    ])
}

fn window(scale: i64) -> impl Strategy<Value = Window> {
    let (unit, times) = ((1_i64..8).prop_map(move |unit| unit * scale), 2_i64..5);
    prop_oneof![
        2 => Just(Window::None),
        2 => unit.clone().prop_map(|unit| Window::Tumble { size: unit * 4000 }),
        1 => (unit.clone(), times.clone())
            .prop_map(|(unit, times)| Window::Hop { slide: unit * 2000, size: unit * 2000 * times }),
        1 => (unit.clone(), times)
            .prop_map(|(unit, times)| Window::Cumulate { step: unit * 2000, size: unit * 2000 * times }),
        1 => unit.prop_map(|unit| Window::Session { gap: unit * 2000 }),
    ]
}

fn sets() -> impl Strategy<Value = Sets> {
    prop_oneof![4 => Just(Sets::All), 1 => Just(Sets::Rollup), 1 => Just(Sets::Cube)]
}

fn inner(window: Window, has_instants: bool, of_bounds: bool) -> impl Strategy<Value = Level> {
    // Flink has no order of rows in windows that overlap. Those of a session leave in that of their times.
    let ordered = match window {
        Window::None | Window::Tumble { .. } => true,
        Window::Hop { .. } | Window::Cumulate { .. } => false,
        Window::Session { .. } => !of_bounds,
    };
    let has_sets = !matches!(window, Window::Session { .. });
    (
        subsequence(KEYS.to_vec(), 0..=2),
        sets(),
        prop::collection::vec((call(ordered, true), condition(&[3, 5, 8, 7])), 1..5),
        prop::option::weighted(0.3, condition(&[3, 4, 8, 2])),
        prop::bool::weighted(0.15),
    )
        .prop_map(move |(keys, sets, calls, condition, having)| {
            // Results have times without a zone.
            let offered = (0..COLUMNS.len()).filter(|column| !(has_instants && *column == TIME)).collect::<Vec<_>>();
            let columns = table_columns();
            let calls = calls.into_iter().map(|(call, filter)| made(call, filter, &columns, &offered));
            let sets = if has_sets { sets } else { Sets::All };
            Level { keys, sets, calls: calls.collect(), condition, having }
        })
}

fn made(
    (function, index, distinct, filtered): (Function, Index, bool, bool),
    filter: Condition,
    columns: &[(String, Type)],
    offered: &[usize],
) -> Call {
    let taken = taken(function, columns, offered);
    if taken.is_empty() {
        return Call { function: Function::CountRows, column: 0, distinct: false, filter: None };
    }
    let column = *index.get(&taken);
    // The model compares no values that are made of others.
    let is_simple = !matches!(columns[column].1, Type::Array(_) | Type::Multiset(_));
    let takes_distinct = !matches!(function, Function::CountRows | Function::Percentile { weighted: true, .. });
    Call { function, column, distinct: distinct && is_simple && takes_distinct, filter: filtered.then_some(filter) }
}

/// Over the results of the levels before it, which are taken back where no window closes them.
fn outer(query: &Query) -> impl Strategy<Value = Level> + use<> {
    let columns = query.columns();
    let is_simple = |column: &usize| !matches!(columns[*column].1, Type::Array(_) | Type::Multiset(_));
    // A window's bounds as keys would make a window of this level too.
    let is_bound = |column: &usize| columns[*column].0.starts_with('w');
    let key_columns: Vec<usize> = (0..columns.len()).filter(is_simple).filter(|column| !is_bound(column)).collect();
    let offered: Vec<usize> = exact(query);
    let (least, most) = (usize::from(offered.is_empty()).min(key_columns.len()), key_columns.len().min(2));
    (
        subsequence(key_columns, least..=most),
        prop::collection::vec(call(false, false), 0..4),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(move |(keys, calls, conditional, having)| {
            let count = offered.iter().copied().find(|column| columns[*column].1 == Type::BigInt);
            let made = calls.into_iter().map(|call| match count {
                Some(count) => made(call, Condition::Above(count, 1), &columns, &offered),
                None => made((call.0, call.1, call.2, false), Condition::Missing(0), &columns, &offered),
            });
            let mut calls: Vec<Call> = made.collect();
            if keys.is_empty() && calls.is_empty() {
                calls.push(Call { function: Function::CountRows, column: 0, distinct: false, filter: None });
            }
            let condition = count.filter(|_| conditional).map(|count| Condition::Above(count, 1));
            let having = having && !calls.is_empty();
            Level { keys, sets: Sets::All, calls, condition, having }
        })
}

/// The calls of the last level that a further one may be over: a DOUBLE that was NaN or infinite for a while, or a rounded
/// one, leaves its trace in a sum.
fn exact(query: &Query) -> Vec<usize> {
    let mut input = table_columns();
    let mut exact: Vec<bool> = (0..input.len()).map(|column| column != WILD).collect();
    let levels = std::iter::once(&query.inner).chain(&query.outer);
    for (level, columns) in levels.zip(query.columns_by_level()) {
        let is_exact = |call: &Call| {
            let rounds =
                matches!(call.function, Function::Avg | Function::Variance { .. } | Function::Percentile { .. });
            call.output(&input) != Type::Double || !rounds && exact[call.column]
        };
        let firsts = columns.len() - level.calls.len();
        exact = (0..columns.len()).map(|at| at >= firsts && is_exact(&level.calls[at - firsts])).collect();
        input = columns;
    }
    (0..input.len()).filter(|column| exact[*column]).collect()
}

fn emit(scale: i64) -> impl Strategy<Value = Emit> {
    let delay = move || select(vec![0, 0, 3000 * scale]);
    let late = (delay(), 1_i64..20).prop_map(move |(delay, more)| (delay, delay + more * 1000 * scale));
    (prop::option::of(delay()), prop::option::of(late)).prop_map(|(early, late)| Emit { early, late })
}

fn other() -> impl Strategy<Value = Other> {
    let together = select(vec![Together::Union, Together::Intersect, Together::Except]);
    let condition = prop::option::weighted(0.8, condition(&[3, 4, 8, 2]));
    (together, any::<bool>(), condition).prop_map(|(together, all, condition)| Other { together, all, condition })
}

/// The query with up to so many levels behind it.
fn nested(query: Query, levels: usize) -> BoxedStrategy<Query> {
    if levels == 0 {
        return Just(query).boxed();
    }
    outer(&query)
        .prop_flat_map(move |level| {
            let mut query = query.clone();
            query.outer.push(level);
            nested(query, levels - 1)
        })
        .boxed()
}

pub fn query() -> impl Strategy<Value = Query> {
    let delays = select(vec![0_i64, 5, 20]);
    let levels = prop_oneof![5 => Just(0_usize), 3 => Just(1), 2 => Just(2)];
    let forms = (any::<bool>(), prop::bool::weighted(0.3), any::<bool>());
    let shape = (prop::option::weighted(0.3, change()), forms, delays, levels);
    shape
        .prop_flat_map(|(change, forms, delay, levels)| {
            let scale = if change.is_some() { Change::SCALE } else { 1 };
            let window = window(scale);
            let emit = prop::option::weighted(0.6, emit(scale));
            let other = prop::option::weighted(0.4, other());
            (window, emit, other).prop_map(move |parts| (change, parts, forms, delay * scale, levels))
        })
        .prop_flat_map(|(change, (window, emit, other), (legacy, of_bounds, is_even), delay, levels)| {
            let legacy = legacy && !matches!(window, Window::None | Window::Cumulate { .. });
            let emit = emit.filter(|_| legacy && !matches!(window, Window::Session { .. }));
            let window = match window {
                // Only as a key it may have a size that the slide does not divide.
                Window::Hop { slide, size } if legacy && !is_even => Window::Hop { slide, size: size - slide / 2 },
                even => even,
            };
            let of_bounds = of_bounds && !legacy && window != Window::None;
            let query = move |inner: Level| {
                let is_simple =
                    |call: &Call| !matches!(call.output(&table_columns()), Type::Array(_) | Type::Multiset(_));
                // The model compares no values that are made of others.
                let has_other = window == Window::None && inner.calls.iter().all(is_simple);
                let other = other.clone().filter(|_| has_other);
                Query { change, window, legacy, of_bounds, emit, delay, inner, other, outer: Vec::new() }
            };
            inner(window, change.is_some(), of_bounds).prop_map(move |inner| (query(inner), levels))
        })
        .prop_flat_map(|(query, levels)| {
            // The order of results is open.
            let levels = if query.is_ordered() { 0 } else { levels };
            nested(query, levels)
        })
}
