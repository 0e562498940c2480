//! The binder of RAND, RAND_INTEGER and UUID: what is drawn for a call, and what is made of it.

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{self, Spanned};

use super::conversion::cast;
use super::expression::Binder;
use super::typed::Typed;
use crate::error::{Error, Result, Span};
use crate::expressions::{
    Call, Drawn, Function, RAND, RAND_INTEGER, RAND_INTEGER_OF_SEED, RAND_INTEGER_OF_SEQUENCE, RAND_OF_SEED, UUID,
    draw, evaluate_constant, is_random, type_name,
};

impl Binder<'_> {
    /// `RAND([seed])`, `RAND_INTEGER([seed,] bound)` or `UUID()`.
    pub(super) fn random(&mut self, name: &str, function: &ast::Function, arguments: &[&ast::Expr]) -> Result<Typed> {
        let place = crate::sql::script_span(function.name.span());
        let mut numbers =
            arguments.iter().map(|argument| self.whole_number(name, argument)).collect::<Result<Vec<_>>>()?;
        match (name, numbers.as_slice()) {
            ("UUID", []) => Ok(made(&UUID, DataType::Utf8, vec![bits(place)])),
            ("RAND", []) => Ok(made(&RAND, DataType::Float64, vec![bits(place)])),
            ("RAND", [seed]) => Ok(match constant(seed) {
                Some(seed) => drawn(Drawn::Double { seed }, place),
                None => made(&RAND_OF_SEED, DataType::Float64, numbers),
            }),
            ("RAND_INTEGER", [_]) => {
                numbers.insert(0, bits(place));
                Ok(made(&RAND_INTEGER, DataType::Int32, numbers))
            }
            ("RAND_INTEGER", [seed, bound]) => Ok(match (constant(seed), constant(bound).filter(|bound| *bound > 0)) {
                (Some(seed), Some(bound)) => drawn(Drawn::Integer { seed, bound }, place),
                (Some(seed), None) => {
                    numbers[0] = drawn(Drawn::Seeded { seed }, place);
                    made(&RAND_INTEGER_OF_SEQUENCE, DataType::Int32, numbers)
                }
                (None, _) => made(&RAND_INTEGER_OF_SEED, DataType::Int32, numbers),
            }),
            _ => Err(Error::query(format!("{name} does not take {} arguments", arguments.len()))
                .with_help("RAND(), RAND(seed), RAND_INTEGER(bound), RAND_INTEGER(seed, bound), UUID()")),
        }
    }

    /// A seed or a bound, as an INT.
    fn whole_number(&mut self, name: &str, argument: &ast::Expr) -> Result<Typed> {
        let bound = self.bind(argument)?;
        match bound.data_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Null => cast(bound, &DataType::Int32),
            other => Err(Error::query(format!("{name} takes an INT, not {}", type_name(&other)))
                .with_help("write CAST(… AS INT)")),
        }
    }
}

fn bits(place: Option<Span>) -> Typed {
    drawn(Drawn::Bits, place)
}

fn drawn(drawn: Drawn, place: Option<Span>) -> Typed {
    Typed::new(draw(drawn, place), drawn.data_type(), false)
}

fn made(function: &'static Function, output: DataType, arguments: Vec<Typed>) -> Typed {
    let nullable = arguments.iter().any(|argument| argument.nullable);
    let arguments = arguments.into_iter().map(|argument| argument.expression).collect();
    Typed::new(Call::new(function, output.clone(), nullable, Vec::new()).on(arguments), output, nullable)
}

/// The value of what is the same for all rows; none where that is NULL.
fn constant(number: &Typed) -> Option<i32> {
    let expression: &Expr = &number.expression;
    if !expression.column_refs().is_empty() || is_random(expression) {
        return None;
    }
    match evaluate_constant(expression) {
        Ok(Some(ScalarValue::Int32(constant))) => constant,
        _ => None,
    }
}
