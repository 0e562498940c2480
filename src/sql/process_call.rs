//! The call of a process function in a FROM: `f(input => TABLE t PARTITION BY k, on_time => DESCRIPTOR(ts), uid => 'x')`, or the
//! same without the names.

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, Spanned, TableFactor};

use super::table_argument::{TableArgument, TableCall, described_column, table_argument, table_call};
use super::tokens::script_span;
use crate::error::{Error, Result, Span};

/// The arguments, in order; of these the first is required.
const ARGUMENTS: [&str; 3] = ["input", "on_time", "uid"];

/// A call.
#[derive(Debug, Clone)]
pub struct ProcessCall {
    pub input: TableArgument,
    pub partition_by: Vec<ast::Ident>,
    /// The column that DESCRIPTOR names, and its place.
    pub on_time: Option<(String, Span)>,
    /// What tells the call from others of the same function.
    pub uid: Option<String>,
    pub alias: Option<ast::TableAlias>,
    pub span: Span,
}

/// The name of the function that a table of a FROM calls, if it calls one.
pub fn called_in_from(factor: &TableFactor) -> Option<&ast::Ident> {
    table_call(factor).map(|call| call.name)
}

/// The call of a process function that a table of a FROM is.
pub fn process_call(factor: &TableFactor) -> Result<ProcessCall> {
    let Some(TableCall { name, args, alias, span }) = table_call(factor) else {
        return Err(Error::bug("a table that calls no function"));
    };
    let usage = format!("write {name}(input => TABLE t PARTITION BY k)");
    let refuse = |message: String, at: Option<Span>| {
        Error::query(message).with_span(at.unwrap_or(span)).with_help(usage.clone())
    };
    let mut values: [Option<&Expr>; 3] = [None; 3];
    let is_named = |arg: &&FunctionArg| !matches!(arg, FunctionArg::Unnamed(_));
    let named = args.iter().filter(is_named).count();
    if named > 0 && named < args.len() {
        return Err(refuse(format!("the arguments of {name} have names, all of them or none"), None));
    }
    for (index, arg) in args.iter().enumerate() {
        let (place, arg, at) = match arg {
            FunctionArg::Unnamed(arg) => ((index < ARGUMENTS.len()).then_some(index), arg, script_span(arg.span())),
            FunctionArg::Named { name: known, arg, .. } => {
                (ARGUMENTS.iter().position(|own| **own == known.value), arg, script_span(known.span))
            }
            FunctionArg::ExprNamed { arg, .. } => (None, arg, None),
        };
        let (Some(place), FunctionArgExpr::Expr(value)) = (place, arg) else {
            return Err(refuse(format!("{name} has the arguments {}", ARGUMENTS.join(", ")), at));
        };
        if values[place].replace(value).is_some() {
            return Err(refuse(format!("the argument {} is given twice", ARGUMENTS[place]), at));
        }
    }
    let [input, on_time, uid_value] = values;
    let place = |value: &Expr| script_span(value.span());
    let input = input.ok_or_else(|| refuse(format!("{name} lacks its argument input"), None))?;
    let not_a_table =
        || refuse("Invalid argument value. Argument 'input' expects a table to be passed.".to_owned(), place(input));
    let (table, partition_by) = table_argument(input)?.ok_or_else(not_a_table)?;
    if partition_by.is_empty() {
        let message = "Table argument 'input' requires a PARTITION BY clause for parallel processing.";
        return Err(refuse(message.to_owned(), place(input)));
    }
    let time = |value: &Expr| {
        let wrong = || refuse("on_time takes DESCRIPTOR with one column".to_owned(), place(value));
        described_column(value).ok_or_else(wrong)
    };
    let uid = |value: &Expr| match value {
        Expr::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(text), .. }) if is_uid(text) => {
            Ok(text.clone())
        }
        other => Err(refuse(
            format!(
                "Invalid unique identifier for process table function. The `uid` argument must be a string literal that \
                 follows the pattern [a-zA-Z_][a-zA-Z-_0-9]*. But found: {other}"
            ),
            place(other),
        )),
    };
    Ok(ProcessCall {
        input: table,
        partition_by,
        on_time: on_time.map(time).transpose()?,
        uid: uid_value.map(uid).transpose()?,
        alias: alias.cloned(),
        span,
    })
}

fn is_uid(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.bytes().next().is_some_and(is_letter)
        && text.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit() || byte == b'-')
}
