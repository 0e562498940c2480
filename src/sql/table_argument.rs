//! Functions in FROM that take a table: `f(TABLE t PARTITION BY k, DESCRIPTOR(ts))`, whichever way it is written.

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, TableFactor};

use super::cursor::object_name_of_idents;
use super::statement::ObjectName;
use super::tokens::script_span;
use crate::error::{Error, Result, Span};

/// The table that is an argument.
#[derive(Debug, Clone)]
pub enum TableArgument {
    Table(ObjectName),
    Query(Box<ast::Query>),
}

/// A call in FROM.
pub(super) struct TableCall<'a> {
    pub(super) name: &'a ast::Ident,
    pub(super) args: &'a [FunctionArg],
    pub(super) alias: Option<&'a ast::TableAlias>,
    /// From the name to the last argument.
    pub(super) span: Span,
}

const NOWHERE: Span = Span { start: 0, end: 0 };

/// The call that a table of a FROM is: `f(…)` or `TABLE(f(…))`.
pub(super) fn table_call(factor: &TableFactor) -> Option<TableCall<'_>> {
    let (name, args, alias) = match factor {
        TableFactor::Table { name, args: Some(args), alias, .. } => (name, args.args.as_slice(), alias),
        TableFactor::Function { lateral: false, name, args, alias, .. } => (name, args.as_slice(), alias),
        TableFactor::TableFunction { expr: Expr::Function(function), alias } => match &function.args {
            FunctionArguments::List(list) => (&function.name, list.args.as_slice(), alias),
            _ => return None,
        },
        _ => return None,
    };
    let [ast::ObjectNamePart::Identifier(name)] = name.0.as_slice() else { return None };
    let end = args.iter().filter_map(|arg| script_span(arg.span())).map(|span| span.end).max();
    let span =
        script_span(name.span).map_or(NOWHERE, |name| Span { end: end.unwrap_or(name.end).max(name.end), ..name });
    Some(TableCall { name, args, alias: alias.as_ref(), span })
}

/// `TABLE t`, `TABLE (query)` or `(query)`, with the columns of PARTITION BY; none where it is no table.
pub(super) fn table_argument(argument: &Expr) -> Result<Option<(TableArgument, Vec<ast::Ident>)>> {
    let call = match argument {
        Expr::Subquery(query) => return Ok(Some((TableArgument::Query(query.clone()), Vec::new()))),
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("TABLE") => call,
        _ => return Ok(None),
    };
    let input = match &call.args {
        FunctionArguments::Subquery(query) => Some(TableArgument::Query(query.clone())),
        FunctionArguments::List(list) => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(ident)))] => {
                object_name_of_idents(&[ident]).map(TableArgument::Table)
            }
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(idents)))] => {
                object_name_of_idents(&idents.iter().collect::<Vec<_>>()).map(TableArgument::Table)
            }
            _ => None,
        },
        FunctionArguments::None => None,
    };
    let Some(input) = input else { return Ok(None) };
    let columns = match &call.over {
        Some(ast::WindowType::WindowSpec(spec)) => spec.partition_by.as_slice(),
        _ => &[],
    };
    let column = |column: &Expr| match column {
        Expr::Identifier(ident) => Ok(ident.clone()),
        other => {
            let error = Error::query("PARTITION BY of a function in FROM takes columns")
                .with_help("make the key a column, in a view or a query before");
            Err(script_span(other.span()).into_iter().fold(error, Error::with_span))
        }
    };
    Ok(Some((input, columns.iter().map(column).collect::<Result<_>>()?)))
}

/// The column of `DESCRIPTOR(ts)` and its place.
pub(super) fn described_column(argument: &Expr) -> Option<(String, Span)> {
    if let Expr::Function(call) = argument
        && call.name.to_string().eq_ignore_ascii_case("DESCRIPTOR")
        && let FunctionArguments::List(list) = &call.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(column)))] = list.args.as_slice()
    {
        return Some((column.value.clone(), script_span(column.span).unwrap_or(NOWHERE)));
    }
    None
}
