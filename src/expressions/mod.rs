//! DataFusion's expressions as our operators call them, and the functions where Flink differs.

mod aggregates;
mod arithmetic;
mod calendar;
mod cast;
mod charset;
mod choice;
mod classes;
mod codings;
mod compile;
mod editing;
mod floats;
mod function;
mod function_list;
mod hashes;
mod instant;
mod instants;
mod intervals;
mod java_format;
pub mod json;
mod matches;
mod nested;
mod not_built;
mod now;
mod numbers;
mod patterns;
mod printf;
mod random;
mod scalar;
mod show;
mod strings;
mod text;
mod time_pattern;
mod times;
mod trigonometry;
mod types;
mod typing;
mod udf;
mod url;
mod urls;
mod zones;

pub use aggregates::{AGGREGATE_FUNCTIONS, AggregateFunction, Constant, aggregate, planned_aggregate};
pub use arithmetic::{function as arithmetic_function, is_native, operand};
pub use calendar::{CEIL_TO, FLOOR_TO, TIMESTAMPADD, Unit};
pub use cast::{CAST, CastShape, TRY_CAST, WRITE, cast_values, is_castable, parse_decimal};
pub use compile::{compile, compile_condition, condition, evaluate_constant, is_fallible, split};
pub use floats::{FLOAT_BITS, FLOAT_OF_BITS, ROUGHLY, comparison as float_comparison, not, one_nan};
pub use function::{Call, Example, Function, Nulls, Style, Zoned};
pub use function_list::{Form, function_list, functions, lookup, special_form};
pub use instant::{civil_day, parse_date, parse_time, parse_timestamp};
pub use intervals::{MINUS_INTERVAL, PLUS_INTERVAL};
#[cfg(test)]
pub use nested::parts;
pub use nested::{
    ARRAY, CANONICAL, FIELD, ITEM, LOOKUP, MAP, Piece, ROW, Unnest, Unnesting, comparison as nested_comparison,
    has_instant, has_map, is_multiset, is_nested, key_and_value, list_of, map_of, row_of, unnested,
};
pub use not_built::{FIRST_ROWS, NotBuilt, functions_not_built, not_built};
pub use now::{NOW_COLUMN, at_moment, instant_type, moment, moments, now, now_from_column, reads_now, seconds_now};
pub use patterns::SIMILAR;
pub use random::{
    Draw, Drawing, Drawn, RAND, RAND_INTEGER, RAND_INTEGER_OF_SEED, RAND_INTEGER_OF_SEQUENCE, RAND_OF_SEED, UUID,
    begun, draw, drawn_apart, is_alike, is_random, not_drawn,
};
pub use scalar::Scalar;
pub use text::text;
pub use times::{CURRENT_WATERMARK, TIMESTAMPDIFF, WINDOW_BOUND, extracted, unit_length};
pub use types::{
    ArithmeticOperator, arithmetic_type, as_decimal, common_numeric, common_type, common_type_of_rows, digits,
    is_approximate, is_integer, is_numeric, type_name,
};
pub use typing::{Argument, Typing};
pub use zones::{instants, local};

/// The version of the library behind them, for `--version`.
pub const DATAFUSION_VERSION: &str = datafusion::DATAFUSION_VERSION;

use crate::error::Error;

/// An error of ours on its way through DataFusion; [`scalar_error`] brings it back.
pub(crate) fn external(error: Error) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::External(Box::new(error))
}

/// DataFusion's run-time failures are the data's fault, unless it says otherwise.
pub(crate) fn scalar_error(error: datafusion::error::DataFusionError) -> Error {
    use datafusion::error::DataFusionError as D;
    match error.find_root() {
        D::ArrowError(..) | D::Execution(_) => match error {
            D::ArrowError(inner, _) => (*inner).into(),
            other => Error::data(other.find_root().strip_backtrace()),
        },
        // Tasks that share an input share its error: it may be ours at any depth.
        D::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => Error::data(inner.to_string()),
        },
        other => Error::bug(other.strip_backtrace()),
    }
}
