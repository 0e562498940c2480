//! What a scalar function is here: a name, a typing rule and a vectorised body, called through DataFusion.
//!
//! A family of functions is one file with one list; [`lookup`] and SHOW FUNCTIONS read the lists.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use crate::error::Result;

/// One scalar function.
#[derive(Debug)]
pub struct Function {
    /// Flink's name, in upper case.
    pub name: &'static str,
    /// Arguments and meaning in a line.
    pub doc: &'static str,
    /// From the types of the arguments to those that the body wants, and to the result's.
    pub typing: fn(&[Argument]) -> Result<Typing, String>,
    /// Computes all rows.
    pub body: fn(&Call, &[ArrayRef], usize) -> Result<ArrayRef>,
    /// When the result may be NULL.
    pub nulls: Nulls,
    /// Whether some values make it fail; such a call is evaluated only for rows that earlier conditions let through.
    pub fallible: bool,
    /// How it is written.
    pub style: Style,
}

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

/// When a result is NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// When an argument is.
    Strict,
    /// Perhaps always.
    Possible,
}

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `NAME(a, b)`
    Call,
    /// `(a + b)`
    Infix(&'static str),
    /// `CAST(a AS type)`: the call's detail is the type.
    Cast,
    /// `(a + detail)`
    Suffix(&'static str),
    /// `NAME(a TO detail)`
    To,
    /// `name(a, rest)`: the call's detail is the name and the rest.
    Bound,
}

/// A function bound to the types of one place in a query: what DataFusion calls.
#[derive(Debug, Clone)]
pub struct Call {
    pub function: &'static Function,
    pub output: DataType,
    pub nullable: bool,
    pub parameters: Vec<i64>,
    /// A part of its text that is no argument.
    pub detail: String,
    signature: Signature,
}

impl Call {
    /// A call whose arguments have been cast as the typing rule asked.
    pub fn new(function: &'static Function, output: DataType, nullable: bool, parameters: Vec<i64>) -> Self {
        let any = TypeSignature::OneOf(vec![TypeSignature::VariadicAny, TypeSignature::Nullary]);
        let signature = Signature::new(any, Volatility::Immutable);
        Self { function, output, nullable, parameters, detail: String::new(), signature }
    }

    /// The same with a part of its text.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The call as an expression.
    pub fn on(self, arguments: Vec<Expr>) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(self)), arguments))
    }

    /// The call behind a DataFusion function, if it is one of ours.
    pub fn of(function: &ScalarUDF) -> Option<&Self> {
        (function.inner().as_ref() as &dyn std::any::Any).downcast_ref()
    }

    /// Its text in SQL.
    pub fn text(&self, arguments: &[String]) -> String {
        match self.function.style {
            Style::Call => format!("{}({})", self.function.name, arguments.join(", ")),
            Style::Infix(symbol) => format!("({})", arguments.join(&format!(" {symbol} "))),
            Style::Cast => format!("{}({} AS {})", self.function.name, arguments.join(", "), self.detail),
            Style::Bound => {
                let (name, rest) = self.detail.split_once(' ').unwrap_or((self.function.name, ""));
                format!("{name}({}, {rest})", arguments.join(", "))
            }
            Style::To => format!("{}({} TO {})", self.function.name, arguments.join(", "), self.detail),
            Style::Suffix(symbol) => format!("({} {symbol} {})", arguments.join(", "), self.detail),
        }
    }

    fn identity(&self) -> (&'static str, &DataType, bool, &[i64], &str) {
        (self.function.name, &self.output, self.nullable, &self.parameters, &self.detail)
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Call {}

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        self.function.name
    }

    fn schema_name(&self, arguments: &[Expr]) -> DataFusionResult<String> {
        Ok(self.text(&arguments.iter().map(super::text).collect::<Vec<_>>()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.output.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(Field::new(self.function.name, self.output.clone(), self.nullable)))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = call.number_rows;
        let arguments =
            call.args.into_iter().map(|value| value.into_array(rows)).collect::<DataFusionResult<Vec<_>>>()?;
        let values =
            (self.function.body)(self, &arguments, rows).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(ColumnarValue::Array(values))
    }
}

/// Every function that a query may call by name, by family.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    [
        super::numbers::FUNCTIONS,
        super::trigonometry::FUNCTIONS,
        super::choice::FUNCTIONS,
        super::strings::FUNCTIONS,
        super::editing::FUNCTIONS,
        super::patterns::FUNCTIONS,
        super::times::FUNCTIONS,
        super::calendar::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}

/// Names that are no plain functions but read like one; the binder knows them.
pub const SPECIAL_FORMS: &[(&str, &str)] = &[
    ("CASE", "CASE [value] WHEN … THEN … [ELSE …] END: the first branch whose condition holds"),
    ("CAST", "CAST(value AS type): the value in another type; fails where it does not fit"),
    ("COALESCE", "COALESCE(value, …): the first value that is not NULL"),
    ("CURRENT_WATERMARK", "CURRENT_WATERMARK(rowtime): the watermark that the row met, NULL before the first"),
    ("EXTRACT", "EXTRACT(unit FROM time): a field of a date or time"),
    ("IF", "IF(condition, then, else): one of two values"),
    ("IFNULL", "IFNULL(value, other): the other if the value is NULL"),
    ("NULLIF", "NULLIF(value, other): NULL if both are equal"),
    ("TIMESTAMPADD", "TIMESTAMPADD(unit, amount, time): the time moved by so many units"),
    ("TIMESTAMPDIFF", "TIMESTAMPDIFF(unit, from, to): whole units from one time to another"),
    ("TRY_CAST", "TRY_CAST(value AS type): as CAST, but NULL where it does not fit"),
];

/// The aggregate functions.
pub const AGGREGATE_FUNCTIONS: &[(&str, &str)] = &[
    ("AVG", "AVG(number): the mean; of whole numbers a whole number"),
    ("COUNT", "COUNT(*) or COUNT(value): rows, or values that are not NULL"),
    ("MAX", "MAX(value): the greatest"),
    ("MIN", "MIN(value): the least"),
    ("SUM", "SUM(number): the total, in the number's own type"),
];

/// Functions that Flink has and that are not here yet, so that each is refused by its name.
const NOT_BUILT: &[&str] = &[
    "ARRAY",
    "BIN",
    "CARDINALITY",
    "CONVERT_TZ",
    "CURRENT_DATABASE",
    "CURRENT_DATE",
    "CURRENT_ROW_TIMESTAMP",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "DECODE",
    "DENSE_RANK",
    "ELEMENT",
    "ELT",
    "ENCODE",
    "FROM_BASE64",
    "GROUPING",
    "GROUPING_ID",
    "GROUP_ID",
    "HEX",
    "INET_ATON",
    "INET_NTOA",
    "IS_JSON",
    "LAG",
    "LEAD",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "MAP",
    "MD5",
    "NOW",
    "NTILE",
    "OVERLAPS",
    "PARSE_JSON",
    "PARSE_URL",
    "PRINTF",
    "PROCTIME",
    "RAND",
    "RAND_INTEGER",
    "RANK",
    "REGEXP_COUNT",
    "REGEXP_EXTRACT_ALL",
    "REGEXP_INSTR",
    "REGEXP_SUBSTR",
    "ROW",
    "ROW_NUMBER",
    "SHA1",
    "SHA2",
    "SHA224",
    "SHA256",
    "SHA384",
    "SHA512",
    "SOURCE_WATERMARK",
    "SPLIT",
    "STR_TO_MAP",
    "TO_BASE64",
    "TRY_PARSE_JSON",
    "TYPEOF",
    "UNHEX",
    "URL_DECODE",
    "URL_ENCODE",
    "UUID",
];

/// Whether Flink has a function of that (upper-case) name that is not here yet.
pub fn is_flinks(name: &str) -> bool {
    let family = ["ARRAY_", "BITMAP_", "JSON_", "MAP_"].iter().any(|family| name.starts_with(family));
    family || NOT_BUILT.contains(&name)
}

/// Name and doc of every function there is, sorted: SHOW FUNCTIONS.
pub fn function_list() -> Vec<(&'static str, &'static str)> {
    let plain = functions().map(|function| (function.name, function.doc));
    let mut all: Vec<_> =
        plain.chain(SPECIAL_FORMS.iter().copied()).chain(AGGREGATE_FUNCTIONS.iter().copied()).collect();
    all.sort_unstable();
    all
}

/// The function of that name, in any case.
pub fn lookup(name: &str) -> Option<&'static Function> {
    functions().find(|function| function.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_there_once_and_has_a_doc() {
        let list = function_list();
        assert!(list.windows(2).all(|pair| pair[0].0 != pair[1].0), "{list:?}");
        assert!(list.iter().all(|(name, doc)| doc.contains(':') && doc.starts_with(name)), "{list:?}");
        assert!(lookup("upper").is_some() && lookup("md5sum").is_none());
    }
}
