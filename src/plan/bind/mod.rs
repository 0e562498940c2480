//! Binding: from names in a syntax tree to typed expressions and a logical plan, by Flink's rules throughout, so that
//! DataFusion finds every type decided and every cast written out.

mod aggregation;
mod call;
mod conversion;
mod expression;
mod from;
mod json;
mod group_window;
mod literal;
mod nested;
mod not_built;
mod overlaps;
mod percentile;
mod process;
mod query;
mod random;
mod relation;
mod scope;
mod select;
mod set_operation;
mod typed;
mod values;

pub use conversion::{cast_to_sql, sql_type, with_length};
pub use expression::Binder;
pub use not_built::not_built;
pub use query::QueryBinder;
pub use relation::BoundQuery;
pub use scope::{Scope, ScopeColumn, WindowColumn};
pub use typed::Typed;

use crate::error::Error;

/// Adds the place of a node of the syntax tree to an error.
pub fn at(error: Error, node: &impl sqlparser::ast::Spanned) -> Error {
    match crate::sql::script_span(node.span()) {
        Some(span) => error.with_span(span),
        None => error,
    }
}

/// Everything is typed before DataFusion sees it, so what it does not take is our mistake.
pub fn bug(error: datafusion::error::DataFusionError) -> Error {
    Error::bug(error.strip_backtrace())
}
