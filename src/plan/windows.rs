//! A window function as plain projections: one per window that a row is in.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Column;
use datafusion::logical_expr::Expr;

use super::nodes::{WINDOW_COLUMNS, WindowNode};
use crate::error::{Error, Result};
use crate::expressions::{Call, WINDOW_START};
use crate::operators::WindowKind;

/// Per window of a row: the names and expressions of the node's output columns over its input.
pub fn projections(node: &WindowNode) -> Result<Vec<Vec<(String, Expr)>>> {
    let (slide, size, offset) = match node.window {
        WindowKind::Tumble { size_ms, offset_ms } => (size_ms, size_ms, offset_ms),
        WindowKind::Hop { slide_ms, size_ms, offset_ms } => (slide_ms, size_ms, offset_ms),
    };
    if size % slide != 0 {
        return Err(Error::query("HOP without an aggregation needs a size that is a multiple of the slide, for now"));
    }
    let time = Expr::Column(Column::new_unqualified(&node.time));
    let bound = |before: i64, plus: i64| {
        let output = DataType::Timestamp(TimeUnit::Millisecond, None);
        Call::new(&WINDOW_START, output, false, vec![slide, offset, before, plus]).on(vec![time.clone()])
    };
    let kept: Vec<String> = node
        .input
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .filter(|name| !WINDOW_COLUMNS.contains(&name.as_str()))
        .collect();
    Ok((0..size / slide)
        .map(|before| {
            let own = kept.iter().map(|name| (name.clone(), Expr::Column(Column::new_unqualified(name))));
            let bounds = [bound(before, 0), bound(before, size), bound(before, size - 1)];
            own.chain(WINDOW_COLUMNS.iter().map(|name| (*name).to_owned()).zip(bounds)).collect()
        })
        .collect())
}
