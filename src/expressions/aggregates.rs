//! The aggregate functions: their names, the types that they take and give by Flink's rules, and how a plan calls them.
//! What computes them are the kernels of the operators, in streams and in batch mode.

use std::any::Any;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::function::Example;
use super::types::{is_numeric, type_name};
use crate::error::Error;

/// An aggregate function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    Count,
    /// How many different values there are, nearly.
    ApproxCountDistinct,
    Sum,
    Avg,
    Min,
    Max,
    /// The mean of the squares of the distances from the mean; over n - 1 where it is of a sample.
    Variance {
        sample: bool,
    },
    /// The root of the variance.
    Deviation {
        sample: bool,
    },
    FirstValue,
    LastValue,
    /// The texts in the order of their rows, with a separator between them.
    ListAgg,
    /// The values in the order of their rows, NULLs among them.
    ArrayAgg,
    /// Each value with how often it is there.
    Collect,
    /// The value below which a part of all values lies, or several of them as an array.
    Percentile {
        several: bool,
    },
}

use AggregateFunction::{
    ApproxCountDistinct, ArrayAgg, Avg, Collect, Count, Deviation, FirstValue, LastValue, ListAgg, Max, Min,
    Percentile, Sum, Variance,
};

/// What a call says besides its argument, the same for all rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    None,
    /// What stands between the texts of LISTAGG.
    Separator(Arc<str>),
    /// The parts of PERCENTILE, from 0 to 1.
    Percentages(Arc<[f64]>),
}

/// The aggregate functions by name in capitals, each with its doc and an example over rows of a number x and a text s, in
/// the order of their names.
pub const AGGREGATE_FUNCTIONS: &[(&str, AggregateFunction, &str, Example)] = &[
    (
        "APPROX_COUNT_DISTINCT",
        ApproxCountDistinct,
        "APPROX_COUNT_DISTINCT(value): how many different values there are, within about 1 %, in at most 17 KB a group; \
         up to 1,024 exactly",
        Example { call: "APPROX_COUNT_DISTINCT(x)", result: "3" },
    ),
    (
        "APPROX_PERCENTILE",
        Percentile { several: false },
        "APPROX_PERCENTILE(number, part): as PERCENTILE, of numbers that are rounded by at most 0.8 %, so that a group \
         keeps few. Not of Flink",
        Example { call: "APPROX_PERCENTILE(x * 1000, 0.5)", result: "2000.0" },
    ),
    (
        "ARRAY_AGG",
        ArrayAgg,
        "ARRAY_AGG(value): the values as an array, in the order of their rows, NULLs among them",
        Example { call: "ARRAY_AGG(s)", result: "[a,b,b,NULL]" },
    ),
    ("AVG", Avg, "AVG(number): the mean; of whole numbers a whole number", Example { call: "AVG(x)", result: "2" }),
    (
        "COLLECT",
        Collect,
        "COLLECT(value): each value with how often it is there",
        Example { call: "COLLECT(s)", result: "{a=1, b=2}" },
    ),
    (
        "COUNT",
        Count,
        "COUNT(*), COUNT(value) or COUNT(DISTINCT value): rows, or values that are not NULL",
        Example { call: "COUNT(s)", result: "3" },
    ),
    (
        "FIRST_VALUE",
        FirstValue,
        "FIRST_VALUE(value): that of the first row that has one",
        Example { call: "FIRST_VALUE(s)", result: "a" },
    ),
    (
        "LAST_VALUE",
        LastValue,
        "LAST_VALUE(value): that of the last row that has one",
        Example { call: "LAST_VALUE(s)", result: "b" },
    ),
    (
        "LISTAGG",
        ListAgg,
        "LISTAGG(text [, separator]): the texts in the order of their rows, with a comma between them",
        Example { call: "LISTAGG(s, '; ')", result: "a; b; b" },
    ),
    ("MAX", Max, "MAX(value): the greatest", Example { call: "MAX(x)", result: "4" }),
    ("MIN", Min, "MIN(value): the least", Example { call: "MIN(x)", result: "1" }),
    (
        "PERCENTILE",
        Percentile { several: false },
        "PERCENTILE(number, part [, frequency]): the value below which that part of all lies, from 0 to 1; an array of \
         them for ARRAY[part, …]. A value counts as often as its frequency says",
        Example { call: "PERCENTILE(x, 0.5)", result: "2.0" },
    ),
    (
        "STDDEV",
        Deviation { sample: true },
        "STDDEV(number): the same as STDDEV_SAMP",
        Example { call: "STDDEV(x * 1.0)", result: "1.258306" },
    ),
    (
        "STDDEV_POP",
        Deviation { sample: false },
        "STDDEV_POP(number): the root of VAR_POP",
        Example { call: "STDDEV_POP(x * 1.0)", result: "1.089725" },
    ),
    (
        "STDDEV_SAMP",
        Deviation { sample: true },
        "STDDEV_SAMP(number): the root of VAR_SAMP",
        Example { call: "STDDEV_SAMP(CAST(x AS DOUBLE))", result: "1.2583057392117916" },
    ),
    ("SUM", Sum, "SUM(number): the total, in the number's own type", Example { call: "SUM(x)", result: "9" }),
    (
        "VARIANCE",
        Variance { sample: true },
        "VARIANCE(number): the same as VAR_SAMP",
        Example { call: "VARIANCE(CAST(x AS DOUBLE))", result: "1.5833333333333333" },
    ),
    (
        "VAR_POP",
        Variance { sample: false },
        "VAR_POP(number): how far the values lie from their mean, squared",
        Example { call: "VAR_POP(CAST(x AS DOUBLE))", result: "1.1875" },
    ),
    (
        "VAR_SAMP",
        Variance { sample: true },
        "VAR_SAMP(number): the same of a sample; of a single value NULL",
        Example { call: "VAR_SAMP(CAST(x AS DOUBLE))", result: "1.5833333333333333" },
    ),
];

impl AggregateFunction {
    /// The function of that name in capitals.
    pub fn named(name: &str) -> Option<Self> {
        AGGREGATE_FUNCTIONS.iter().find(|(known, ..)| *known == name).map(|(_, function, ..)| *function)
    }

    /// Flink's result type (T1 to T4) for an argument of that type, or why there is none. `COUNT(*)` has no argument.
    pub fn output_type(self, argument: Option<&DataType>) -> Result<DataType, String> {
        let Some(argument) = argument else {
            return if self == Count { Ok(DataType::Int64) } else { Err("it takes one argument".into()) };
        };
        let takes_numbers = matches!(self, Sum | Avg | Variance { .. } | Deviation { .. } | Percentile { .. });
        if takes_numbers && !is_numeric(argument) {
            return Err(format!("it takes a number, not {}", type_name(argument)));
        }
        match (self, argument) {
            (Count, _) => Ok(DataType::Int64),
            (ApproxCountDistinct, value) if is_key(value) => Ok(DataType::Int64),
            (Sum, DataType::Decimal128(_, scale)) => Ok(DataType::Decimal128(38, *scale)),
            (Avg | Variance { .. } | Deviation { .. }, DataType::Decimal128(_, scale)) => {
                Ok(DataType::Decimal128(38, (*scale).max(6)))
            }
            (Sum | Avg | Variance { .. } | Deviation { .. }, number) => Ok(number.clone()),
            (Min | Max, DataType::Boolean | DataType::Utf8 | DataType::Binary | DataType::Date32) => {
                Ok(argument.clone())
            }
            (Min | Max, DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_)) => Ok(argument.clone()),
            (Min | Max, number) if is_numeric(number) => Ok(number.clone()),
            (FirstValue | LastValue, value) => Ok(value.clone()),
            (ArrayAgg, value) => Ok(DataType::new_list(value.clone(), true)),
            (Percentile { several: false }, _) => Ok(DataType::Float64),
            (Percentile { several: true }, _) => Ok(DataType::new_list(DataType::Float64, true)),
            (Collect, value) if *value != DataType::Null => Ok(counts_type(value)),
            (Collect | ApproxCountDistinct, other) => Err(format!("it does not take {}", type_name(other))),
            (ListAgg, DataType::Utf8) => Ok(DataType::Utf8),
            (ListAgg, other) => Err(format!("it takes a text, not {}", type_name(other))),
            (Min | Max, other) => Err(format!("it does not take {}", type_name(other))),
        }
    }

    /// Whether it is MIN or MAX, whose result under retraction needs every value and not just a sum.
    pub fn is_extreme(self) -> bool {
        matches!(self, Min | Max)
    }

    /// Whether a value that comes again changes nothing, so that DISTINCT means nothing.
    pub fn ignores_duplicates(self) -> bool {
        self.is_extreme() || matches!(self, FirstValue | ApproxCountDistinct)
    }

    /// Whether the result depends on the order of the rows.
    pub fn is_ordered(self) -> bool {
        matches!(self, FirstValue | LastValue | ListAgg | ArrayAgg)
    }

    /// Whether a row without a value counts, too.
    pub fn counts_nulls(self) -> bool {
        self == ArrayAgg
    }

    /// Whether the result over some rows may be NULL.
    pub fn is_nullable(self) -> bool {
        !matches!(self, Count | ApproxCountDistinct | Collect)
    }
}

impl fmt::Display for AggregateFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Count => "COUNT",
            ApproxCountDistinct => "APPROX_COUNT_DISTINCT",
            Sum => "SUM",
            Avg => "AVG",
            Min => "MIN",
            Max => "MAX",
            FirstValue => "FIRST_VALUE",
            LastValue => "LAST_VALUE",
            ListAgg => "LISTAGG",
            ArrayAgg => "ARRAY_AGG",
            Collect => "COLLECT",
            Percentile { .. } => "PERCENTILE",
            Variance { sample: false } => "VAR_POP",
            Variance { sample: true } => "VAR_SAMP",
            Deviation { sample: false } => "STDDEV_POP",
            Deviation { sample: true } => "STDDEV_SAMP",
        })
    }
}

/// The function as a plan names it, with the type of its result.
pub fn aggregate(
    function: AggregateFunction,
    argument: Option<&DataType>,
) -> Result<(Arc<AggregateUDF>, DataType), String> {
    let output = function.output_type(argument)?;
    let any = TypeSignature::OneOf(vec![TypeSignature::VariadicAny, TypeSignature::Nullary]);
    let signature = Signature::new(any, Volatility::Immutable);
    let planned = PlannedAggregate { function, name: function.to_string(), output: output.clone(), signature };
    Ok((Arc::new(AggregateUDF::new_from_impl(planned)), output))
}

/// Which of our functions a plan calls.
pub fn planned_aggregate(function: &AggregateUDF) -> Result<AggregateFunction, Error> {
    let inner: &dyn Any = function.inner().as_ref();
    let planned = inner.downcast_ref::<PlannedAggregate>();
    planned
        .map(|planned| planned.function)
        .ok_or_else(|| Error::bug(format!("{} is no aggregate of ours", function.name())))
}

impl Constant {
    /// What LISTAGG puts between texts: a comma where nothing else is said.
    pub fn separator(&self) -> Arc<str> {
        match self {
            Self::Separator(separator) => Arc::clone(separator),
            _ => ",".into(),
        }
    }

    /// The parts of PERCENTILE.
    pub fn percentages(&self) -> Arc<[f64]> {
        match self {
            Self::Percentages(parts) => Arc::clone(parts),
            _ => Arc::default(),
        }
    }

    /// The constant of a planned call: its second argument, which is a text, a DOUBLE or an array of DOUBLEs.
    pub fn of(arguments: &[Expr]) -> Result<Self, Error> {
        let wrong = |other: &dyn fmt::Display| Error::bug(format!("an aggregate with the constant {other}"));
        match arguments.get(1) {
            None => Ok(Self::None),
            Some(Expr::Literal(ScalarValue::Utf8(Some(separator)), _)) => {
                Ok(Self::Separator(separator.as_str().into()))
            }
            Some(Expr::Literal(ScalarValue::Float64(Some(part)), _)) => Ok(Self::Percentages([*part].into())),
            Some(Expr::Literal(ScalarValue::List(list), _)) => {
                let parts = list.values().as_primitive_opt::<Float64Type>().ok_or_else(|| wrong(&"of a list"))?;
                Ok(Self::Percentages(parts.values().to_vec().into()))
            }
            Some(other) => Err(wrong(other)),
        }
    }
}

impl fmt::Display for Constant {
    /// `, '; '` or `, 0.5`: as it stands behind the argument.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Separator(separator) => write!(out, ", '{separator}'"),
            Self::Percentages(parts) => match parts.as_ref() {
                [part] => write!(out, ", {part}"),
                parts => write!(out, ", {parts:?}"),
            },
        }
    }
}

/// Whether values of that type can be told apart one by one.
fn is_key(data_type: &DataType) -> bool {
    !data_type.is_nested() && *data_type != DataType::Null
}

/// Each value with how often it is there: a MULTISET of SQL, which the name of its counts tells from a MAP.
fn counts_type(value: &DataType) -> DataType {
    let fields = vec![Field::new("key", value.clone(), false), Field::new("count", DataType::Int32, true)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields.into()), false)), false)
}

/// A name and a type. Lowering puts a kernel in its place.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PlannedAggregate {
    function: AggregateFunction,
    name: String,
    output: DataType,
    signature: Signature,
}

impl AggregateUDFImpl for PlannedAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.output.clone())
    }

    fn is_nullable(&self) -> bool {
        self.function.is_nullable()
    }

    fn accumulator(&self, _: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        Err(DataFusionError::Internal(format!("{} is planned and has no kernel", self.name)))
    }
}
