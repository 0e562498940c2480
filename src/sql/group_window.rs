//! A window as a key of GROUP BY, the older form of Flink's windows: `TUMBLE(ts, size)`, `HOP(ts, slide, size)`,
//! `SESSION(ts, gap)`, and the calls that name its parts in the rest of the query, such as `TUMBLE_START(ts, size)`.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};

use super::tokens::script_span;
use super::window_call::{WindowFunction, length};
use crate::error::{Error, Result, Span};

/// A window with the lengths that its function takes: size for TUMBLE, slide and size for HOP, gap for SESSION.
#[derive(Debug, Clone)]
pub struct GroupWindow {
    pub function: WindowFunction,
    /// What it goes by: a column.
    pub time: Expr,
    pub lengths_ms: Vec<i64>,
    pub span: Span,
}

/// What a call says of the window that a query is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowPart {
    Start,
    End,
    Rowtime,
    Proctime,
}

const FUNCTIONS: [WindowFunction; 3] = [WindowFunction::Tumble, WindowFunction::Hop, WindowFunction::Session];

const PARTS: [(&str, WindowPart); 4] = [
    ("_START", WindowPart::Start),
    ("_END", WindowPart::End),
    ("_ROWTIME", WindowPart::Rowtime),
    ("_PROCTIME", WindowPart::Proctime),
];

/// The window that a key of GROUP BY is; none for any other key.
pub fn group_window(key: &Expr) -> Option<Result<GroupWindow>> {
    let Expr::Function(call) = key else { return None };
    let name = call.name.to_string().to_ascii_uppercase();
    let function = FUNCTIONS.into_iter().find(|function| function.name() == name)?;
    Some(read(function, &name, call))
}

/// The part of a window that a call names; none for any other call.
pub fn window_part(call: &Function) -> Option<Result<(WindowPart, GroupWindow)>> {
    let name = call.name.to_string().to_ascii_uppercase();
    let (function, part) = FUNCTIONS.into_iter().find_map(|function| {
        let rest = name.strip_prefix(function.name())?;
        PARTS.iter().find(|(suffix, _)| *suffix == rest).map(|(_, part)| (function, *part))
    })?;
    Some(read(function, &name, call).map(|window| (part, window)))
}

fn read(function: WindowFunction, name: &str, call: &Function) -> Result<GroupWindow> {
    let usage = match function {
        WindowFunction::Hop => {
            format!("write {name}(ts, INTERVAL '5' MINUTE, INTERVAL '1' HOUR), the slide before the size")
        }
        _ => format!("write {name}(ts, INTERVAL '1' HOUR)"),
    };
    let names: &[&str] = match function {
        WindowFunction::Hop => &["SLIDE", "SIZE"],
        WindowFunction::Session => &["GAP"],
        WindowFunction::Tumble | WindowFunction::Cumulate => &["SIZE"],
    };
    let span = script_span(call.span()).unwrap_or(Span { start: 0, end: 0 });
    let args = match &call.args {
        FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    let expression = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expression)) => Some(expression),
        _ => None,
    };
    let args: Option<Vec<&Expr>> = args.iter().map(expression).collect();
    let [time, lengths @ ..] = args.as_deref().unwrap_or_default() else {
        return Err(Error::query(format!("{name} lacks its arguments")).with_span(span).with_help(usage));
    };
    if lengths.len() != names.len() {
        let error =
            format!("Invalid number of arguments to function '{name}'. Was expecting {} arguments", names.len() + 1);
        return Err(Error::query(error).with_span(span).with_help(usage));
    }
    let lengths_ms = names
        .iter()
        .zip(lengths)
        .map(|(what, value)| length(name, what, value, &usage, span))
        .collect::<Result<_>>()?;
    Ok(GroupWindow { function, time: (*time).clone(), lengths_ms, span })
}
