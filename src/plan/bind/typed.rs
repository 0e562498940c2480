//! A bound expression and what is known of it.

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;

use super::conversion::sql_type;
use crate::sql::SqlType;

/// A bound expression and what is known of it.
#[derive(Debug, Clone)]
pub struct Typed {
    pub expression: Expr,
    pub data_type: DataType,
    pub nullable: bool,
    /// The type that was declared for it, where one was: Arrow's says nothing of the length of a text, and of the digits of
    /// a second's fraction not all.
    pub declared: Option<SqlType>,
    /// The value of a whole number written in the query.
    pub number: Option<i64>,
    /// The value of a text written in the query.
    pub text: Option<String>,
}

impl Typed {
    /// Its type as TYPEOF writes it.
    pub fn type_text(&self) -> String {
        let data_type = match (sql_type(&self.data_type), self.precision()) {
            _ if self.data_type == DataType::Null => return "NULL".to_owned(),
            (SqlType::Timestamp(_), Some(precision)) => SqlType::Timestamp(precision),
            (SqlType::Time(_), Some(precision)) => SqlType::Time(precision),
            (data_type, _) => data_type,
        };
        if self.nullable { data_type.to_string() } else { format!("{data_type} NOT NULL") }
    }

    /// An expression that is not a literal.
    pub fn new(expression: Expr, data_type: DataType, nullable: bool) -> Self {
        Self { expression, data_type, nullable, declared: None, number: None, text: None }
    }

    /// Digits of the fraction of a second, where more are held than were declared.
    pub fn precision(&self) -> Option<u8> {
        self.declared.as_ref().and_then(SqlType::precision)
    }
}
