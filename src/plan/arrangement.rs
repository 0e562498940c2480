//! ORDER BY, OFFSET and LIMIT at the top of a SELECT. They are taken off its plan: whoever shows the rows puts them in
//! order and counts them, when all have come or as they come.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, SortExpr};
use datafusion::scalar::ScalarValue;

use super::bind::bug;
use crate::error::{Error, Result};
use crate::expressions::text;

/// In which order the rows of an answer come, and which of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// The most significant first; empty without ORDER BY.
    pub keys: Vec<OrderKey>,
    /// Rows to leave out first.
    pub offset: usize,
    /// Rows to show at most.
    pub limit: Option<usize>,
    /// So many columns are shown. Those behind them are only there to order by.
    pub visible: usize,
}

/// A column that rows are ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderKey {
    /// By index.
    pub column: usize,
    pub is_descending: bool,
    pub nulls_first: bool,
    /// The expression as it is read in EXPLAIN.
    pub text: String,
}

impl Arrangement {
    /// Rows of so many columns as they come, all of them.
    pub fn none(visible: usize) -> Self {
        Self { visible, ..Self::default() }
    }

    /// Whether the query says nothing of order or number.
    pub fn is_none(&self) -> bool {
        self.keys.is_empty() && self.offset == 0 && self.limit.is_none()
    }

    /// Takes ORDER BY, OFFSET and LIMIT off a plan whose shown columns are `names`. What is left has these columns, and
    /// behind them what rows are ordered by and is not shown.
    pub fn take_off(plan: LogicalPlan, names: &[&str]) -> Result<(Self, LogicalPlan)> {
        let mut arrangement = Self::none(names.len());
        let mut plan = plan;
        if let LogicalPlan::Limit(limit) = plan {
            arrangement.offset = number(limit.skip.as_deref())?.unwrap_or(0);
            arrangement.limit = number(limit.fetch.as_deref())?;
            plan = Arc::unwrap_or_clone(limit.input);
        }
        plan = match plan {
            LogicalPlan::Projection(projection) if only_leaves_out(&projection) => {
                Arc::unwrap_or_clone(projection.input)
            }
            plan => plan,
        };
        let mut columns: Vec<Expr> = names.iter().map(|name| Expr::Column(Column::new_unqualified(*name))).collect();
        if let LogicalPlan::Sort(sort) = plan {
            for SortExpr { expr, asc, nulls_first } in sort.expr {
                let shown = columns.iter().position(|column| *column == expr);
                let text = text(&expr);
                let column = shown.unwrap_or_else(|| {
                    columns.push(expr.alias(format!("$by{}", columns.len())));
                    columns.len() - 1
                });
                arrangement.keys.push(OrderKey { column, is_descending: !asc, nulls_first, text });
            }
            plan = Arc::unwrap_or_clone(sort.input);
        }
        let projection = Projection::try_new(columns, Arc::new(plan)).map_err(bug)?;
        Ok((arrangement, LogicalPlan::Projection(projection)))
    }
}

/// `orderBy=[n DESC NULLS LAST, k ASC NULLS FIRST], offset=[1], limit=[3]`
impl fmt::Display for Arrangement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let key = |key: &OrderKey| {
            let (direction, nulls) =
                (if key.is_descending { "DESC" } else { "ASC" }, if key.nulls_first { "FIRST" } else { "LAST" });
            format!("{} {direction} NULLS {nulls}", key.text)
        };
        if !self.keys.is_empty() {
            parts.push(format!("orderBy=[{}]", self.keys.iter().map(key).collect::<Vec<_>>().join(", ")));
        }
        if self.offset > 0 {
            parts.push(format!("offset=[{}]", self.offset));
        }
        parts.extend(self.limit.map(|limit| format!("limit=[{limit}]")));
        out.write_str(&parts.join(", "))
    }
}

/// Whether all that a projection does is to leave out columns that the rows below it are ordered by.
fn only_leaves_out(projection: &Projection) -> bool {
    matches!(*projection.input, LogicalPlan::Sort(_))
        && projection.expr.iter().all(|expression| matches!(expression, Expr::Column(_)))
}

/// The number that binding has put into a plan's LIMIT or OFFSET.
fn number(expression: Option<&Expr>) -> Result<Option<usize>> {
    match expression {
        None => Ok(None),
        Some(Expr::Literal(ScalarValue::Int64(Some(number)), _)) => Ok(Some(usize::try_from(*number).unwrap_or(0))),
        Some(other) => Err(Error::bug(format!("LIMIT {other} is no number"))),
    }
}
