//! A bound expression and what is known of it.

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;

/// A bound expression and what is known of it.
#[derive(Debug, Clone)]
pub struct Typed {
    pub expression: Expr,
    pub data_type: DataType,
    pub nullable: bool,
    /// Digits of the fraction of a second of a literal, where Arrow's unit says more than was written.
    pub precision: Option<u8>,
    /// The value of a whole number written in the query.
    pub number: Option<i64>,
    /// The value of a text written in the query.
    pub text: Option<String>,
}

impl Typed {
    /// An expression that is not a literal.
    pub fn new(expression: Expr, data_type: DataType, nullable: bool) -> Self {
        Self { expression, data_type, nullable, precision: None, number: None, text: None }
    }
}
