//! Binding: from names in a syntax tree to typed expressions and a logical plan, by Flink's rules throughout, so that
//! DataFusion finds every type decided and every cast written out.

mod aggregation;
mod call;
mod conversion;
mod expression;
mod literal;
mod query;
mod scope;
mod select;

pub use conversion::{cast_to_sql, sql_type};
pub use expression::{Binder, Typed};
pub use query::{BoundQuery, QueryBinder, bug};
pub use scope::{Scope, ScopeColumn, WindowColumn};

use crate::error::Error;

/// Adds the place of a node of the syntax tree to an error.
pub fn at(error: Error, node: &impl sqlparser::ast::Spanned) -> Error {
    match crate::sql::script_span(node.span()) {
        Some(span) => error.with_span(span),
        None => error,
    }
}
