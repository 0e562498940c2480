//! Clauses and functions of Flink's SQL that are not here yet: each is refused by its name, with what does in its place.

use sqlparser::ast;

use crate::error::Error;
use crate::expressions::{NotBuilt, not_built as function_not_built};
use crate::sql::FOR_FLINK;

/// Something of Flink that is not here yet.
pub fn not_built(what: &str) -> Error {
    Error::query(format!("{what} is not built yet"))
}

/// The same, of which nothing here does the work.
pub fn for_flink(what: &str) -> Error {
    not_built(what).with_help(FOR_FLINK)
}

/// What is joined, named by its form: a table with what is no join to somebody who writes it.
pub fn joined(form: &str, table: &ast::TableFactor) -> Error {
    match table {
        ast::TableFactor::Derived { lateral: true, .. } | ast::TableFactor::Function { lateral: true, .. } => {
            return for_flink("LATERAL");
        }
        ast::TableFactor::Table { version: Some(_), .. } => return for_flink("FOR SYSTEM_TIME AS OF"),
        _ => {}
    }
    not_built(form)
        .with_help(
            "where both sides have one row a key, UNION ALL and GROUP BY bring them together: SELECT k, MAX(a), MAX(b) \
             FROM (SELECT k, a, CAST(NULL AS INT) AS b FROM t UNION ALL SELECT k, CAST(NULL AS INT), b FROM u) GROUP BY k",
        )
        .with_help(FOR_FLINK)
}

/// A query inside an expression.
pub fn subquery() -> Error {
    for_flink("a query inside an expression")
}

/// GROUPING SETS, CUBE and ROLLUP.
pub fn grouping_sets(what: &str) -> Error {
    not_built(what).with_help("write one query a grouping: SELECT a, SUM(n) FROM t GROUP BY a UNION ALL SELECT …")
}

/// `name(…) OVER (…)`.
pub fn over(name: &str) -> Error {
    let error = not_built(&format!("{name} OVER (…)"));
    match function_not_built(name) {
        Some((_, Some(instead))) => error.with_help(instead),
        Some(_) => error.with_help(FOR_FLINK),
        None => error.with_help(
            "over the last hour, each minute: FROM HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR) \
             GROUP BY window_start, window_end",
        ),
    }
}

/// A function that Flink has and that is not here, if that is what the (upper-case) name is.
pub fn function(name: &str) -> Option<Error> {
    let (kind, instead) = function_not_built(name)?;
    let error = |what: &str| not_built(&format!("the {what} {name}"));
    Some(match (kind, instead) {
        (NotBuilt::Scalar, Some(instead)) => error("function").with_help(instead),
        (NotBuilt::Scalar, None) => {
            error("function").with_help("SHOW FUNCTIONS lists those that there are").with_help(FOR_FLINK)
        }
        (NotBuilt::Aggregate, Some(instead)) => error("aggregate function").with_help(instead),
        (NotBuilt::Aggregate, None) => error("aggregate function").with_help(FOR_FLINK),
        (NotBuilt::Table, _) => error("table function").with_help(FOR_FLINK),
        (NotBuilt::Pattern, _) => error("function of MATCH_RECOGNIZE").with_help(FOR_FLINK),
    })
}
