//! A window function as plain projections: one per window that a row is in.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::nodes::{WINDOW_COLUMNS, WindowNode, as_window};
use crate::error::{Error, Result};
use crate::expressions::{Call, WINDOW_BOUND};
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

/// The windows of a row, the last to begin first.
pub fn projections(node: &WindowNode) -> Result<Vec<Copy>> {
    let (slide, size, offset) = (node.window.slide_ms(), node.window.size_ms(), node.window.offset_ms());
    let time = Expr::Column(Column::new_unqualified(&node.time));
    let bound = |name: &str, before: i64, plus: i64| {
        let output = DataType::Timestamp(TimeUnit::Millisecond, None);
        let detail = match before {
            0 => format!("{name} {}", node.window),
            before => format!("{name} {} - {before}", node.window),
        };
        let call = Call::new(&WINDOW_BOUND, output, false, vec![slide, offset, before, plus]);
        call.with_detail(detail).on(vec![time.clone()])
    };
    let kept: Vec<String> = node
        .input
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .filter(|name| !WINDOW_COLUMNS.contains(&name.as_str()))
        .collect();
    let copies = copies(node.window);
    if copies > MOST_COPIES {
        return Err(Error::query(format!("HOP without an aggregation puts each row into {copies} windows"))
            .with_help(format!("choose a slide of at least 1/{MOST_COPIES} of the size, or aggregate")));
    }
    Ok((0..copies)
        .map(|before| {
            let own = kept.iter().map(|name| (name.clone(), Expr::Column(Column::new_unqualified(name))));
            let [start, end, time_column] = WINDOW_COLUMNS;
            let end_of_window = bound(end, before, size);
            let is_partial = before == copies - 1 && size % slide != 0;
            let bounds = [bound(start, before, 0), end_of_window.clone(), bound(time_column, before, size - 1)];
            Copy {
                condition: is_partial.then(|| time.clone().lt(end_of_window)),
                columns: own.chain(WINDOW_COLUMNS.iter().map(|name| (*name).to_owned()).zip(bounds)).collect(),
            }
        })
        .collect())
}

/// In how many windows a row may be. Where the slide does not divide the size, the first of them need not hold it.
pub fn copies(window: WindowKind) -> i64 {
    let (slide, size) = (window.slide_ms(), window.size_ms());
    size.div_euclid(slide) + i64::from(size.rem_euclid(slide) != 0)
}

/// Refuses a plan in which some row lies in more than `most` windows: its results would be as many more than its rows.
pub fn check_windows_per_row(plan: &LogicalPlan, most: usize) -> Result<()> {
    let mut found: Option<&WindowNode> = None;
    plan.apply(|plan| {
        let is_too_much = |window: &&WindowNode| usize::try_from(copies(window.window)).unwrap_or(usize::MAX) > most;
        found = found.or(as_window(plan).filter(is_too_much));
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(super::bind::bug)?;
    let Some(node) = found else { return Ok(()) };
    let (window, count) = (node.window, copies(node.window));
    Err(Error::query(format!("{window} puts each row into {count} windows, more than the limit of {most}"))
        .with_span(node.span)
        .with_id("BL-LIM-WINDOWS-PER-ROW")
        .with_help(format!("choose a slide of at least {} ms", window.size_ms().unsigned_abs().div_ceil(most as u64)))
        .with_help(format!("or allow more: SET 'beadline.limit.windows-per-row' = '{count}'")))
}

/// Refuses windows that nobody can compute with. What panes ask for besides is asked of aggregations only.
pub fn check_lengths(window: WindowKind) -> Result<()> {
    let (slide, size, offset) = (window.slide_ms(), window.size_ms(), window.offset_ms());
    let is_whole = slide > 0 && size > 0 && size % slide == 0;
    let is_long = slide.max(size) > i64::MAX / 16;
    let is_far = offset.unsigned_abs() >= size.unsigned_abs();
    // The aggregation's own words where it would refuse them too.
    if is_whole || slide <= 0 || size <= 0 || is_long || is_far { window.check() } else { Ok(()) }
}
