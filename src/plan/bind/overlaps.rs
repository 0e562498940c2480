//! `(a, b) OVERLAPS (c, d)`: whether two spans of time have a moment in common, be their ends written in either order. The
//! second value of a span may be an interval.

use arrow::datatypes::DataType;
use sqlparser::ast;

use super::expression::Binder;
use super::typed::Typed;
use crate::error::{Error, Result};
use crate::expressions::type_name;
use crate::sql::interval_length;

/// The two ends of a span, as they are written.
struct Span {
    start: ast::Expr,
    end: ast::Expr,
}

impl Binder<'_> {
    pub(super) fn overlaps(&mut self, left: &ast::Expr, right: &ast::Expr) -> Result<Typed> {
        let (left, right) = (span(left)?, span(right)?);
        for time in [&left.start, &left.end, &right.start, &right.end] {
            let found = self.bind(time)?.data_type;
            if !matches!(
                found,
                DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) | DataType::Null
            ) {
                return Err(Error::query(format!("OVERLAPS compares times, not {}", type_name(&found))));
            }
        }
        let (one, other) = (in_order(left), in_order(right));
        let both = ast::Expr::BinaryOp {
            left: Box::new(at_or_behind(one.end, other.start)),
            op: ast::BinaryOperator::And,
            right: Box::new(at_or_behind(other.end, one.start)),
        };
        self.bind(&both)
    }
}

/// `(start, end)`, `(start, INTERVAL …)` or one of them behind PERIOD.
fn span(written: &ast::Expr) -> Result<Span> {
    let ends = match written {
        ast::Expr::Tuple(ends) => ends.iter().collect(),
        ast::Expr::Function(ast::Function { name, args: ast::FunctionArguments::List(list), .. })
            if name.to_string().eq_ignore_ascii_case("PERIOD") =>
        {
            let plain = list.args.iter().map(|argument| match argument {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(end)) => Some(end),
                _ => None,
            });
            plain.collect::<Option<Vec<_>>>().unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let [start, end] = ends.as_slice() else {
        return Err(
            Error::query("OVERLAPS takes two spans of time").with_help("write (a_from, a_to) OVERLAPS (b_from, b_to)")
        );
    };
    let start = (*start).clone();
    let end = match interval_length(end) {
        None => (*end).clone(),
        Some(_) => ast::Expr::BinaryOp {
            left: Box::new(start.clone()),
            op: ast::BinaryOperator::Plus,
            right: Box::new((*end).clone()),
        },
    };
    Ok(Span { start, end })
}

/// The earlier end first.
fn in_order(span: Span) -> Span {
    let is_ordered = at_or_behind(span.end.clone(), span.start.clone());
    let choice = |then: &ast::Expr, otherwise: &ast::Expr| ast::Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![ast::CaseWhen { condition: is_ordered.clone(), result: then.clone() }],
        else_result: Some(Box::new(otherwise.clone())),
    };
    Span { start: choice(&span.start, &span.end), end: choice(&span.end, &span.start) }
}

fn at_or_behind(one: ast::Expr, other: ast::Expr) -> ast::Expr {
    ast::Expr::BinaryOp { left: Box::new(one), op: ast::BinaryOperator::GtEq, right: Box::new(other) }
}
