//! A window function as plain projections: one per window that a row is in.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::nodes::{WINDOW_COLUMNS, WindowNode, Windows, window_column_type};
use crate::error::{Error, Result};
use crate::expressions::{CAST, Call, CastShape, WINDOW_BOUND};
use crate::operators::WindowKind;

/// Windows that a row may be in where nothing is aggregated.
const MOST_COPIES: i64 = 1_000;

/// One of the windows that a row is in.
pub struct Copy {
    /// Which rows are in it; all without one.
    pub condition: Option<Expr>,
    /// Names and expressions of the node's columns over its input.
    pub columns: Vec<(String, Expr)>,
}

/// The windows of a row, the last to begin first, and of those that begin together the first to end.
pub fn projections(node: &WindowNode) -> Result<Vec<Copy>> {
    let Windows::Fixed(window) = node.window else {
        return Err(Error::bug("the session of a row is not known by itself"));
    };
    let (every, offset) = (window.starts_every_ms(), window.starts_offset_ms());
    let time = Expr::Column(Column::new_unqualified(&node.time));
    let time_type = node.time_type()?;
    let bound = |name: &str, number: i64, before: i64, plus: i64| {
        let output = window_column_type(name, time_type);
        let detail = match (number, window) {
            (0, _) => format!("{name} {}", window),
            (number, WindowKind::Cumulate { .. }) => format!("{name} {} + {number}", window),
            (number, _) => format!("{name} {} - {number}", window),
        };
        let call = Call::new(&WINDOW_BOUND, output, false, vec![every, offset, before, plus]);
        call.with_detail(detail).in_zone(node.zone).on(vec![time.clone()])
    };
    let local = match time_type {
        DataType::Timestamp(unit, Some(_)) => {
            let call = Call::new(&CAST, DataType::Timestamp(*unit, None), false, CastShape::default().parameters());
            call.with_detail("TIMESTAMP").in_zone(node.zone).on(vec![time.clone()])
        }
        _ => time.clone(),
    };
    let kept: Vec<String> = node
        .input
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .filter(|name| !WINDOW_COLUMNS.contains(&name.as_str()))
        .collect();
    let copies = copies(window);
    if copies > MOST_COPIES {
        let (name, step) = match window {
            WindowKind::Cumulate { .. } => ("CUMULATE", "step"),
            _ => ("HOP", "slide"),
        };
        return Err(Error::query(format!("{name} without an aggregation puts each row into {copies} windows"))
            .with_help(format!("choose a {step} of at least 1/{MOST_COPIES} of the size, or aggregate")));
    }
    Ok((0..copies)
        .map(|number| {
            let own = kept.iter().map(|name| (name.clone(), Expr::Column(Column::new_unqualified(name))));
            let Bounds { before, size } = Bounds::of(window, number);
            let bound = |name: &str, plus: i64| bound(name, number, before, plus);
            let [start, end, time_column] = WINDOW_COLUMNS;
            let end_of_window = bound(end, size);
            let is_partial = size < (before + 1) * every;
            let bounds = [bound(start, 0), end_of_window.clone(), bound(time_column, size - 1)];
            Copy {
                condition: is_partial.then(|| local.clone().lt(end_of_window)),
                columns: own.chain(WINDOW_COLUMNS.iter().map(|name| (*name).to_owned()).zip(bounds)).collect(),
            }
        })
        .collect())
}

/// Where one of the windows lies that may hold a row.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many starts of windows lie between its own and the row.
    pub before: i64,
    /// Its length in milliseconds.
    pub size: i64,
}

impl Bounds {
    /// Those of window `number` out of [`copies`].
    pub fn of(window: WindowKind, number: i64) -> Self {
        match window {
            WindowKind::Cumulate { step_ms, .. } => Self { before: 0, size: (number + 1) * step_ms },
            _ => Self { before: number, size: window.size_ms() },
        }
    }
}

/// In how many windows a row may be. Not all of them need hold it: of HOP, where the slide does not divide the size, the
/// first need not; of CUMULATE, those that end before it do not.
pub fn copies(window: WindowKind) -> i64 {
    let (slide, size) = (window.slide_ms(), window.size_ms());
    size.div_euclid(slide) + i64::from(size.rem_euclid(slide) != 0)
}

/// Refuses a plan in which some row lies in more than `most` windows: its results would be as many more than its rows.
pub fn check_windows_per_row(plan: &LogicalPlan, most: usize) -> Result<()> {
    let mut found = None;
    plan.apply(|plan| {
        if let Some(node) = WindowNode::of(plan)
            && let Windows::Fixed(window) = node.window
            && usize::try_from(copies(window)).unwrap_or(usize::MAX) > most
        {
            found = found.or(Some((window, node.span)));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(super::bind::bug)?;
    let Some((window, span)) = found else { return Ok(()) };
    let count = copies(window);
    let step = match window {
        WindowKind::Cumulate { .. } => "step",
        _ => "slide",
    };
    Err(Error::query(format!("{window} puts each row into {count} windows, more than the limit of {most}"))
        .with_span(span)
        .with_id("BL-LIM-WINDOWS-PER-ROW")
        .with_help(format!("choose a {step} of at least {} ms", window.size_ms().unsigned_abs().div_ceil(most as u64)))
        .with_help(format!("or allow more: SET 'beadline.limit.windows-per-row' = '{count}'")))
}

/// Refuses windows that nobody can compute with. What panes ask for besides is asked of aggregations of HOP only, as Flink
/// does.
pub fn check_lengths(window: WindowKind) -> Result<()> {
    match window {
        WindowKind::Hop { .. } => window.check_lengths(),
        _ => window.check(),
    }
}
