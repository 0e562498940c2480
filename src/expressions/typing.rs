//! What a function's typing rule sees of a call and what it says.

use super::types::{is_numeric, type_name};
use arrow::datatypes::DataType;

/// An argument as the typing rule sees it.
#[derive(Debug, Clone)]
pub struct Argument {
    pub data_type: DataType,
    /// Its value if it is a whole number written in the query.
    pub number: Option<i64>,
    /// Its value if it is a string written in the query.
    pub text: Option<String>,
}

/// What a typing rule says.
#[derive(Debug, Clone)]
pub struct Typing {
    /// The types that the arguments are cast to.
    pub arguments: Vec<DataType>,
    pub output: DataType,
    /// Whatever else the body needs to know.
    pub parameters: Vec<i64>,
}

impl Typing {
    /// Arguments of these types give that type.
    pub fn new(arguments: Vec<DataType>, output: DataType) -> Self {
        Self { arguments, output, parameters: Vec::new() }
    }
}

/// Arguments, or what is wrong with their number.
pub(super) fn count(arguments: &[Argument], least: usize, most: usize) -> Result<(), String> {
    if (least..=most).contains(&arguments.len()) {
        return Ok(());
    }
    let expected = if least == most { least.to_string() } else { format!("{least} to {most}") };
    Err(format!("it takes {expected} argument(s), not {}", arguments.len()))
}

/// The type of an argument that has to be a number; NULL counts as INT.
pub(super) fn number(argument: &Argument) -> Result<DataType, String> {
    match &argument.data_type {
        DataType::Null => Ok(DataType::Int32),
        data_type if is_numeric(data_type) => Ok(data_type.clone()),
        other => Err(format!("it takes a number, not {}", type_name(other))),
    }
}

/// Operators are typed by the binder.
pub(super) fn never(_: &[Argument]) -> Result<Typing, String> {
    Err("it cannot be called by name".into())
}
