//! What a scalar function is here: a name, a typing rule and a vectorised body, called through DataFusion.
//!
//! A family of functions is one file with one list; [`super::lookup`] and SHOW FUNCTIONS read the lists.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ScalarUDF, Signature, TypeSignature, Volatility};

use super::nested::has_instant;
use super::typing::{Argument, Typing};
use crate::error::Result;
use crate::stream::Zone;

/// One scalar function.
#[derive(Debug)]
pub struct Function {
    /// Flink's name, in upper case.
    pub name: &'static str,
    /// Arguments and meaning in a line.
    pub doc: &'static str,
    /// A call with its result; of none that a query cannot call by its name.
    pub example: Example,
    /// From the types of the arguments to those that the body wants, and to the result's.
    pub typing: fn(&[Argument]) -> Result<Typing, String>,
    /// Computes all rows.
    pub body: fn(&Call, &[ArrayRef], usize) -> Result<ArrayRef>,
    /// When the result may be NULL.
    pub nulls: Nulls,
    /// Whether some values make it fail; such a call is evaluated only for rows that earlier conditions let through.
    pub fallible: bool,
    /// Whether an argument that is one value for all rows comes as an array of that value alone.
    pub takes_constants: bool,
    /// How it is written.
    pub style: Style,
    /// When the result is another in another time zone.
    pub zoned: Zoned,
}

impl Function {
    /// One that is NULL only when an argument is, and that fails for no value.
    pub(super) const fn strict(
        name: &'static str,
        doc: &'static str,
        typing: fn(&[Argument]) -> Result<Typing, String>,
        body: fn(&Call, &[ArrayRef], usize) -> Result<ArrayRef>,
    ) -> Self {
        Self {
            name,
            doc,
            example: Example::NONE,
            typing,
            body,
            nulls: Nulls::Strict,
            fallible: false,
            takes_constants: false,
            style: Style::Call,
            zoned: Zoned::Never,
        }
    }

    /// The same with a call and its result.
    pub(super) const fn example(self, call: &'static str, result: &'static str) -> Self {
        Self { example: Example { call, result }, ..self }
    }

    /// The same, but in another time zone its result is another.
    pub(super) const fn zoned(self, zoned: Zoned) -> Self {
        Self { zoned, ..self }
    }

    /// The same, but NULL for some arguments that are not.
    pub(super) const fn possibly(
        name: &'static str,
        doc: &'static str,
        typing: fn(&[Argument]) -> Result<Typing, String>,
        body: fn(&Call, &[ArrayRef], usize) -> Result<ArrayRef>,
    ) -> Self {
        Self { nulls: Nulls::Possible, ..Self::strict(name, doc, typing, body) }
    }

    /// The same under another name, written in another way.
    pub(super) const fn renamed(&self, name: &'static str, style: Style) -> Self {
        Self { name, style, ..*self }
    }
}

/// A call and its result, for the documentation, where a test runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// The call, or a query with it.
    pub call: &'static str,
    /// The one row of the result, as Flink writes it.
    pub result: &'static str,
}

impl Example {
    pub(super) const NONE: Self = Self { call: "", result: "" };
}

/// When a result is NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// When an argument is.
    Strict,
    /// Perhaps always.
    Possible,
}

/// When a result is another in another time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zoned {
    Never,
    /// When an argument or the result is an instant, a `TIMESTAMP_LTZ`, or has one in it.
    OfInstants,
    Always,
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
    /// `NAME(a, b detail)`, of which the detail may be empty.
    Clauses,
    /// `NAME(a TO detail)`
    To,
    /// `name(a, rest)`: the call's detail is the name and the rest.
    Bound,
    /// `a.detail`
    Field,
    /// `a[b]`
    Item,
    /// `NAME[a, b]`
    Brackets,
    /// The argument alone.
    Transparent,
    /// `NAME(b, c)`: the first argument is what was drawn for the row.
    Drawn,
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
    /// The session's zone, where the result depends on it.
    pub zone: Zone,
    pub(super) signature: Signature,
}

impl Call {
    /// A call whose arguments have been cast as the typing rule asked.
    pub fn new(function: &'static Function, output: DataType, nullable: bool, parameters: Vec<i64>) -> Self {
        let any = TypeSignature::OneOf(vec![TypeSignature::VariadicAny, TypeSignature::Nullary]);
        let signature = Signature::new(any, Volatility::Immutable);
        Self { function, output, nullable, parameters, detail: String::new(), zone: Zone::UTC, signature }
    }

    /// The same with a part of its text.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The same in a time zone.
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// Whether the result is another in another time zone. The types of the arguments are asked for where they matter.
    pub fn is_zoned<E>(&self, arguments: impl Iterator<Item = Result<DataType, E>>) -> Result<bool, E> {
        match self.function.zoned {
            Zoned::Never => Ok(false),
            Zoned::Always => Ok(true),
            Zoned::OfInstants if has_instant(&self.output) => Ok(true),
            Zoned::OfInstants => {
                for argument in arguments {
                    if has_instant(&argument?) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
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
            Style::Clauses if self.detail.is_empty() => format!("{}({})", self.function.name, arguments.join(", ")),
            Style::Clauses => format!("{}({} {})", self.function.name, arguments.join(", "), self.detail),
            Style::Infix(symbol) => format!("({})", arguments.join(&format!(" {symbol} "))),
            Style::Cast => format!("{}({} AS {})", self.function.name, arguments.join(", "), self.detail),
            Style::Bound => {
                let (name, rest) = self.detail.split_once(' ').unwrap_or((self.function.name, ""));
                format!("{name}({}, {rest})", arguments.join(", "))
            }
            Style::Field => format!("{}.{}", arguments.join(", "), self.detail),
            Style::Item => match arguments {
                [whole, part] => format!("{whole}[{part}]"),
                _ => format!("{}({})", self.function.name, arguments.join(", ")),
            },
            Style::Brackets => format!("{}[{}]", self.function.name, arguments.join(", ")),
            Style::Drawn => format!("{}({})", self.function.name, arguments.get(1..).unwrap_or_default().join(", ")),
            Style::Transparent => arguments.join(", "),
            Style::To => format!("{}({} TO {})", self.function.name, arguments.join(", "), self.detail),
            Style::Suffix(symbol) => format!("({} {symbol} {})", arguments.join(", "), self.detail),
        }
    }

    fn identity(&self) -> (&'static str, &DataType, bool, &[i64], &str, Zone) {
        (self.function.name, &self.output, self.nullable, &self.parameters, &self.detail, self.zone)
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
