//! Functions on texts in JSON: JSON_VALUE, JSON_QUERY, JSON_EXISTS and IS JSON, and those that write it (`build`).
//!
//! Every call reads the text of its row once, whole: a query with three calls on a column reads it three times. A path
//! that is written in the query is compiled once a batch.

mod build;
mod document;
mod group;
mod number;
mod path;
mod quote;

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Float64Builder, Int32Builder, StringBuilder, new_null_array,
};
use arrow::compute::interleave;
use arrow::datatypes::DataType;

use super::function::{Call, Function, Nulls, Style};
use super::types::type_name;
use super::typing::never;
use crate::error::{Error, Result};

pub use build::{JSON_ARRAY, JSON_OBJECT, Part, is_writable};
use document::Node;
pub use group::{JSON_ARRAYS_AS_ONE, JSON_OBJECTS_AS_ONE};
use path::{NotFound, Path};
pub use quote::FUNCTIONS;

/// `JSON_VALUE(text, path [, on empty [, on error]])`: the last two are values in the type of the result. The parameters
/// are the [`Otherwise`] of both.
pub static JSON_VALUE: Function = json_function("JSON_VALUE", value);

/// `JSON_QUERY(text, path)`: the parameters are a [`Wrapper`] and the [`Otherwise`] where nothing is found and of an error.
pub static JSON_QUERY: Function = json_function("JSON_QUERY", query);

/// `JSON_EXISTS(text, path)`: the parameter is the [`Otherwise`] of an error.
pub static JSON_EXISTS: Function = json_function("JSON_EXISTS", exists);

/// `text IS JSON kind`: the parameter is a [`Kind`].
pub static IS_JSON: Function =
    Function { style: Style::Suffix("IS JSON"), fallible: false, ..json_function("IS JSON", is_json) };

const fn json_function(name: &'static str, body: fn(&Call, &[ArrayRef], usize) -> Result<ArrayRef>) -> Function {
    Function {
        nulls: Nulls::Possible,
        fallible: true,
        takes_constants: true,
        style: Style::Clauses,
        ..Function::strict(name, "", never, body)
    }
}

/// Whether the path can be read; what is wrong with it otherwise.
pub fn check_path(path: &str) -> Result<(), String> {
    Path::compile(path).map(|_| ())
}

/// What a call gives where its path finds nothing, or fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    Null,
    /// The whole query fails.
    Error,
    /// The value behind DEFAULT.
    Default,
    EmptyArray,
    EmptyObject,
    True,
    False,
}

/// What JSON_QUERY puts into an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapper {
    Nothing,
    /// What is no array.
    Conditional,
    All,
}

/// What IS JSON asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Value,
    Scalar,
    Array,
    Object,
}

/// The same as a parameter of a call.
macro_rules! parameters {
    ($($name:ident: $($variant:ident)*),*) => {$(
        impl $name {
            /// As a parameter of a call.
            pub fn parameter(self) -> i64 {
                self as i64
            }

            fn of(call: &Call, index: usize) -> Result<Self> {
                let number = call.parameters.get(index).copied();
                [$(Self::$variant),*].into_iter().find(|one| Some(one.parameter()) == number)
                    .ok_or_else(|| Error::bug(format!("{} lacks a parameter", call.function.name)))
            }
        }
    )*};
}

parameters!(
    Otherwise: Null Error Default EmptyArray EmptyObject True False,
    Wrapper: Nothing Conditional All,
    Kind: Value Scalar Array Object
);

/// The place of a row in an array that may hold one value for all rows.
fn place(array: &dyn Array, row: usize) -> usize {
    if array.len() == 1 { 0 } else { row }
}

/// Why a row has no value.
enum Missing {
    /// The text is no JSON.
    Document,
    /// A strict path leads nowhere.
    Path,
    /// The path itself, which comes from a column.
    Unreadable(String),
    /// What is found is of another kind than the call gives.
    Kind(&'static str),
    /// Nothing is found.
    Nothing,
}

impl Missing {
    fn error(&self, name: &str, path: &str) -> Error {
        let text = match self {
            Self::Document => "the text is no JSON".to_owned(),
            Self::Path => format!("the path '{path}' finds nothing"),
            Self::Unreadable(said) => said.clone(),
            Self::Kind(wanted) => format!("a strict path has to find {wanted}: '{path}'"),
            Self::Nothing => format!("the path '{path}' finds nothing, which ERROR ON EMPTY forbids"),
        };
        Error::data(format!("{name}: {text}"))
    }
}

/// Calls `apply` for each row with what the path finds in its document: a node, nothing of a lax path, or why there is
/// none. Rows with a NULL get none at all.
fn each_row(
    arguments: &[ArrayRef],
    rows: usize,
    mut apply: impl FnMut(usize, &str, Option<(bool, Result<Option<Cow<Node>>, Missing>)>) -> Result<()>,
) -> Result<()> {
    let (texts, paths) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let mut known: Option<(&str, Result<Path, String>)> = None;
    for row in 0..rows {
        let (at, of) = (place(texts, row), place(paths, row));
        if texts.is_null(at) || paths.is_null(of) {
            apply(row, "", None)?;
            continue;
        }
        let written = paths.value(of);
        let compiled = match &mut known {
            Some((last, compiled)) if *last == written => compiled,
            other => &mut other.insert((written, Path::compile(written))).1,
        };
        let path = match compiled {
            Ok(path) => path,
            Err(said) => {
                apply(row, written, Some((false, Err(Missing::Unreadable(said.clone())))))?;
                continue;
            }
        };
        let document = Node::read(texts.value(at));
        let found = match &document {
            Some(document) => path.find(document).map_err(|NotFound| Missing::Path),
            None if path.is_lax => Ok(None),
            None => Err(Missing::Document),
        };
        apply(row, written, Some((path.is_lax, found)))?;
    }
    Ok(())
}

fn exists(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let on_error = Otherwise::of(call, 0)?;
    let mut out = BooleanBuilder::with_capacity(rows);
    each_row(arguments, rows, |_, path, found| {
        out.append_option(match found {
            None => None,
            Some((_, Ok(node))) => Some(node.is_some()),
            Some((_, Err(missing))) => match on_error {
                Otherwise::Error => return Err(missing.error("JSON_EXISTS", path)),
                Otherwise::True => Some(true),
                Otherwise::False => Some(false),
                _ => None,
            },
        });
        Ok(())
    })?;
    Ok(Arc::new(out.finish()))
}

fn query(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let wrapper = Wrapper::of(call, 0)?;
    let (on_empty, on_error) = (Otherwise::of(call, 1)?, Otherwise::of(call, 2)?);
    let mut out = StringBuilder::with_capacity(rows, 16 * rows);
    let mut text = String::new();
    each_row(arguments, rows, |_, path, found| {
        let Some((is_lax, found)) = found else {
            out.append_null();
            return Ok(());
        };
        text.clear();
        let missing = match found {
            Err(missing) => missing,
            Ok(None) => Missing::Nothing,
            Ok(Some(node)) => {
                let is_wrapped = match wrapper {
                    Wrapper::Nothing => false,
                    Wrapper::Conditional => !matches!(*node, Node::List(_)),
                    Wrapper::All => true,
                };
                if is_wrapped || !node.is_scalar() {
                    text.push_str(if is_wrapped { "[" } else { "" });
                    node.write(&mut text);
                    text.push_str(if is_wrapped { "]" } else { "" });
                    out.append_value(&text);
                    return Ok(());
                }
                if is_lax { Missing::Nothing } else { Missing::Kind("an array or an object") }
            }
        };
        let otherwise = if matches!(missing, Missing::Nothing) { on_empty } else { on_error };
        out.append_option(match otherwise {
            Otherwise::Error => return Err(missing.error("JSON_QUERY", path)),
            Otherwise::EmptyArray => Some("[]"),
            Otherwise::EmptyObject => Some("{}"),
            _ => None,
        });
        Ok(())
    })?;
    Ok(Arc::new(out.finish()))
}

/// Where a value comes from: what was found, a NULL, or one of the two defaults.
const FOUND: usize = 0;
const NULL: usize = 1;
const DEFAULTS: usize = 2;

fn value(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let otherwise = [Otherwise::of(call, 0)?, Otherwise::of(call, 1)?];
    let mut values = Values::new(&call.output, rows)?;
    let mut sources = Vec::with_capacity(rows);
    let mut text = String::new();
    each_row(arguments, rows, |row, path, found| {
        let missing = match found {
            None => {
                sources.push((NULL, 0));
                return Ok(());
            }
            Some((_, Ok(Some(node)))) if node.is_scalar() => {
                sources.push((FOUND, values.length));
                return values.append(&node, &mut text).map_err(|error| error.context(format!("at {path}")));
            }
            Some((true, Ok(_))) => Missing::Nothing,
            Some((false, Ok(_))) => Missing::Kind("a scalar"),
            Some((_, Err(missing))) => missing,
        };
        let which = usize::from(!matches!(missing, Missing::Nothing));
        sources.push(match otherwise[which] {
            Otherwise::Error => return Err(missing.error("JSON_VALUE", path)),
            Otherwise::Default => (DEFAULTS + which, place(&arguments[2 + which], row)),
            _ => (NULL, 0),
        });
        Ok(())
    })?;
    let (values, null) = (values.finish(), new_null_array(&call.output, 1));
    if values.len() == rows {
        return Ok(values);
    }
    let defaults = arguments[2..].iter().map(|array| array.as_ref());
    let all: Vec<&dyn Array> = [values.as_ref(), null.as_ref()].into_iter().chain(defaults).collect();
    Ok(interleave(&all, &sources)?)
}

/// The values that were found, in the type of the result.
struct Values {
    kind: ValuesOf,
    length: usize,
}

enum ValuesOf {
    Texts(StringBuilder),
    Integers(Int32Builder),
    Doubles(Float64Builder),
    Truths(BooleanBuilder),
}

impl Values {
    fn new(output: &DataType, rows: usize) -> Result<Self> {
        let kind = match output {
            DataType::Utf8 => ValuesOf::Texts(StringBuilder::with_capacity(rows, 8 * rows)),
            DataType::Int32 => ValuesOf::Integers(Int32Builder::with_capacity(rows)),
            DataType::Float64 => ValuesOf::Doubles(Float64Builder::with_capacity(rows)),
            DataType::Boolean => ValuesOf::Truths(BooleanBuilder::with_capacity(rows)),
            other => return Err(Error::bug(format!("JSON_VALUE gives no {other}"))),
        };
        Ok(Self { kind, length: 0 })
    }

    /// Nothing is converted: a text that looks like a number is none.
    fn append(&mut self, node: &Node, text: &mut String) -> Result<()> {
        self.length += 1;
        text.clear();
        node.write_plain(text);
        let refuse = |wanted: &str| Err(Error::data(format!("JSON_VALUE: '{text}' is no {wanted} in the document")));
        match (&mut self.kind, node) {
            (ValuesOf::Texts(out), _) => out.append_value(&text),
            (ValuesOf::Truths(out), Node::Boolean(value)) => out.append_value(*value),
            (ValuesOf::Integers(out), Node::Number(number)) => match number.parse() {
                Ok(number) => out.append_value(number),
                Err(_) => return refuse("INT"),
            },
            (ValuesOf::Doubles(out), Node::Number(number)) => match number.parse() {
                Ok(number) => out.append_value(number),
                Err(_) => return refuse("DOUBLE"),
            },
            (ValuesOf::Truths(_), _) => return refuse("BOOLEAN"),
            (ValuesOf::Integers(_), _) => return refuse("INT"),
            (ValuesOf::Doubles(_), _) => return refuse("DOUBLE"),
        }
        Ok(())
    }

    fn finish(self) -> ArrayRef {
        match self.kind {
            ValuesOf::Texts(mut out) => Arc::new(out.finish()),
            ValuesOf::Integers(mut out) => Arc::new(out.finish()),
            ValuesOf::Doubles(mut out) => Arc::new(out.finish()),
            ValuesOf::Truths(mut out) => Arc::new(out.finish()),
        }
    }
}

/// The types that `RETURNING` may name; what it says of another.
pub fn check_returning(output: &DataType) -> Result<(), String> {
    match output {
        DataType::Utf8 | DataType::Int32 | DataType::Float64 | DataType::Boolean => Ok(()),
        other => Err(format!("JSON_VALUE returns STRING, INT, DOUBLE or BOOLEAN, not {}", type_name(other))),
    }
}

fn is_json(call: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (kind, texts) = (Kind::of(call, 0)?, arguments[0].as_string::<i32>());
    let is_kind = |text: &str| {
        Node::read(text).is_some_and(|node| match kind {
            Kind::Value => true,
            Kind::Scalar => !matches!(node, Node::List(_) | Node::Object(_)),
            Kind::Array => matches!(node, Node::List(_)),
            Kind::Object => matches!(node, Node::Object(_)),
        })
    };
    let found = |row| {
        let at = place(texts, row);
        Some(texts.is_valid(at) && is_kind(texts.value(at)))
    };
    Ok(Arc::new((0..rows).map(found).collect::<BooleanArray>()))
}
