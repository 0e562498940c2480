//! Names and types: expressions of the syntax tree become typed DataFusion expressions over the columns in sight.
//!
//! Every conversion that Flink makes by itself stands in the result as a cast, so that DataFusion has no type left to
//! decide, and no function of DataFusion's is reachable by name. Errors know their place in the text.

mod calls;
mod casts;
mod literals;
mod operators;
mod scope;

use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable};
use sqlparser::ast::{self, Spanned};

pub use casts::{implicit_cast, is_implicit, sql_type_of};
pub use scope::{Scope, ScopeColumn};

use crate::error::{Error, Result, Span};
use crate::sql::{SqlType, script_span};

/// A typed expression.
#[derive(Debug, Clone)]
pub struct Bound {
    pub expr: Expr,
    /// Flink's type; `None` for a bare NULL.
    pub data_type: Option<SqlType>,
    pub nullable: bool,
}

impl Bound {
    /// An expression of that type.
    pub fn new(expr: Expr, data_type: SqlType, nullable: bool) -> Self {
        Self { expr, data_type: Some(data_type), nullable }
    }

    /// The Arrow type of its values.
    pub fn arrow(&self) -> DataType {
        self.data_type.as_ref().map_or(DataType::Null, SqlType::arrow)
    }

    /// The type's name for messages.
    pub fn type_name(&self) -> String {
        self.data_type.as_ref().map_or_else(|| "NULL".to_owned(), SqlType::to_string)
    }
}

/// What an expression may hold besides columns and plain functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregates {
    /// SELECT and HAVING.
    Allowed,
    /// Everywhere else; the word names the place.
    Refused(&'static str),
}

/// Binds expressions over one scope.
#[derive(Debug)]
pub struct Binder<'a> {
    scope: &'a Scope,
    aggregates: Aggregates,
}

impl<'a> Binder<'a> {
    /// A binder of expressions over the columns of `scope`.
    pub fn new(scope: &'a Scope, aggregates: Aggregates) -> Self {
        Self { scope, aggregates }
    }

    /// Binds a condition: a BOOLEAN.
    pub fn condition(&self, expression: &ast::Expr, place: &str) -> Result<Bound> {
        let bound = self.bind(expression)?;
        match bound.data_type {
            Some(SqlType::Boolean) => Ok(bound),
            None => Ok(implicit_cast(bound, &SqlType::Boolean)),
            _ => Err(at(
                Error::query(format!("{place} must be a condition of type BOOLEAN, but it is {}", bound.type_name())),
                expression,
            )),
        }
    }

    /// Binds an expression.
    pub fn bind(&self, expression: &ast::Expr) -> Result<Bound> {
        self.bind_inner(expression).map_err(|error| at(error, expression))
    }

    fn bind_inner(&self, expression: &ast::Expr) -> Result<Bound> {
        use ast::Expr as E;
        match expression {
            E::Identifier(name) => self.scope.column(std::slice::from_ref(name)),
            E::CompoundIdentifier(names) => self.scope.column(names),
            E::Nested(inner) => self.bind(inner),
            E::Value(value) => literals::value(&value.value),
            E::TypedString(typed) => literals::typed(&typed.data_type, &typed.value.value),
            E::Interval(_) => Err(Error::query("an INTERVAL stands only next to + or - with a time")
                .with_help("for example ts - INTERVAL '5' SECOND")),
            E::UnaryOp { op, expr } => self.unary(*op, expr),
            E::BinaryOp { left, op, right } => self.binary(left, op, right),
            E::IsNull(inner) => Ok(condition(self.bind(inner)?.expr.is_null())),
            E::IsNotNull(inner) => Ok(condition(self.bind(inner)?.expr.is_not_null())),
            E::IsTrue(inner) => Ok(condition(Expr::IsTrue(Box::new(self.condition(inner, "IS TRUE")?.expr)))),
            E::IsNotTrue(inner) => Ok(condition(Expr::IsNotTrue(Box::new(self.condition(inner, "IS NOT TRUE")?.expr)))),
            E::IsFalse(inner) => Ok(condition(Expr::IsFalse(Box::new(self.condition(inner, "IS FALSE")?.expr)))),
            E::IsNotFalse(inner) => {
                Ok(condition(Expr::IsNotFalse(Box::new(self.condition(inner, "IS NOT FALSE")?.expr))))
            }
            E::IsUnknown(inner) => Ok(condition(Expr::IsUnknown(Box::new(self.condition(inner, "IS UNKNOWN")?.expr)))),
            E::IsNotUnknown(inner) => {
                Ok(condition(Expr::IsNotUnknown(Box::new(self.condition(inner, "IS NOT UNKNOWN")?.expr))))
            }
            E::IsDistinctFrom(left, right) => self.distinct(left, right, true),
            E::IsNotDistinctFrom(left, right) => self.distinct(left, right, false),
            E::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            E::Like { negated, expr, pattern, escape_char, any: false } => {
                self.like(expr, pattern, *negated, escape_char.as_ref().map(|value| &value.value))
            }
            E::Cast { kind, expr, data_type, .. } => self.cast(kind, expr, data_type),
            E::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            E::Function(function) => self.call(function),
            E::Extract { field, expr, .. } => self.extract(field, expr),
            E::Position { expr, r#in } => self.named("POSITION", &[expr, r#in]),
            E::Substring { expr, substring_from, substring_for, .. } => {
                let arguments: Vec<_> =
                    [Some(expr), substring_from.as_ref(), substring_for.as_ref()].into_iter().flatten().collect();
                self.named("SUBSTRING", &arguments.iter().map(|argument| argument.as_ref()).collect::<Vec<_>>())
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                self.trim(trim_where.as_ref(), trim_what.as_deref(), expr, trim_characters.as_deref())
            }
            E::Ceil { expr, field } => self.rounding("CEIL", expr, field),
            E::Floor { expr, field } => self.rounding("FLOOR", expr, field),
            E::Subquery(_) | E::InSubquery { .. } | E::Exists { .. } => {
                Err(Error::query("a subquery within an expression is not built yet")
                    .with_help("put the query into FROM, or into a view"))
            }
            other => Err(Error::query(format!("this kind of expression is not built yet: {other}"))),
        }
    }
}

/// A BOOLEAN that is never NULL.
fn condition(expr: Expr) -> Bound {
    Bound::new(expr, SqlType::Boolean, false)
}

/// Adds the place of a node, if the error has none yet.
pub fn at(error: Error, node: &impl Spanned) -> Error {
    match script_span(node.span()) {
        Some(span) if span.end > span.start => error.with_span(span),
        _ => error,
    }
}

/// The place of a node.
pub fn span_of(node: &impl Spanned) -> Option<Span> {
    script_span(node.span()).filter(|span| span.end > span.start)
}

/// Whether an expression over these columns may be NULL, as DataFusion sees it.
pub fn nullable(expr: &Expr, schema: &DFSchema) -> bool {
    expr.nullable(schema).unwrap_or(true)
}

/// A field for a column of a plan.
pub fn field(name: &str, bound: &Bound) -> Field {
    Field::new(name, bound.arrow(), bound.nullable)
}
