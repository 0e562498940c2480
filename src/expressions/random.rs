//! Random values: RAND, RAND_INTEGER and UUID.
//!
//! No expression draws. Below the expressions of a SELECT list or a condition stands a node that draws once a row for each
//! call, so that a value is the same wherever it is read; an expression makes the value of what was drawn. With a constant
//! as their seed RAND and RAND_INTEGER are the sequences of `java.util.Random`, as in Flink; with a column as their seed they
//! depend on its value alone.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float64Array, Int32Array, PrimitiveArray, StringBuilder,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use super::function::{Call, Function, Style};
use super::typing::never;
use crate::error::{Error, Result, Span};

/// What is drawn for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Drawn {
    /// 128 bits that nobody knows before.
    Bits,
    /// The next DOUBLE of a sequence of Java's.
    Double { seed: i32 },
    /// The next INT of one, below a bound that is positive.
    Integer { seed: i32, bound: i32 },
    /// The next 31 bits of one, as an INT.
    Seeded { seed: i32 },
}

/// A draw: what is drawn, and for which call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Draw {
    /// The column that it leaves in.
    pub column: String,
    pub drawn: Drawn,
    /// Where the call stands in the script, which tells calls apart.
    place: (i64, i64),
}

/// What is drawn, before it is known in which column it stands: the parameters are those of a [`Draw`].
static DRAWN: Function = Function::strict("DRAWN", "", never, |_, _, _| Err(not_drawn()));

/// A DOUBLE from 0 to 1 of bits.
pub static RAND: Function = Function {
    style: Style::Drawn,
    ..Function::strict("RAND", "", never, |_, arguments, rows| {
        let bits = drawn(&arguments[0])?;
        let doubles = (0..rows).map(|row| (word(bits.value(row), 0) >> 11) as f64 / (1_u64 << 53) as f64);
        Ok(Arc::new(Float64Array::from_iter_values(doubles)))
    })
};

/// A DOUBLE of a seed a row.
pub static RAND_OF_SEED: Function = Function::strict("RAND", "", never, |_, arguments, _| {
    let seeds = arguments[0].as_primitive::<Int32Type>();
    let doubles: Float64Array = seeds.iter().map(|seed| Some(JavaRandom::new(seed?).double())).collect();
    Ok(Arc::new(doubles))
});

/// An INT below a bound, of bits.
pub static RAND_INTEGER: Function = Function {
    fallible: true,
    style: Style::Drawn,
    ..Function::strict("RAND_INTEGER", "", never, |_, arguments, _| {
        let bits = drawn(&arguments[0])?;
        below(arguments[1].as_primitive(), |row, bound| {
            Some(((u128::from(word(bits.value(row), 0)) * u128::from(bound.unsigned_abs())) >> 64) as i32)
        })
    })
};

/// An INT below a bound, of 31 bits of a sequence. Where these are among the few that Java would draw again it differs.
pub static RAND_INTEGER_OF_SEQUENCE: Function = Function {
    fallible: true,
    style: Style::Drawn,
    ..Function::strict("RAND_INTEGER", "", never, |_, arguments, _| {
        let drawn = arguments[0].as_primitive::<Int32Type>();
        below(arguments[1].as_primitive(), |row, bound| Some(reduced(drawn.value(row), bound)))
    })
};

/// An INT below a bound, of a seed a row.
pub static RAND_INTEGER_OF_SEED: Function = Function {
    fallible: true,
    ..Function::strict("RAND_INTEGER", "", never, |_, arguments, _| {
        let seeds = arguments[0].as_primitive::<Int32Type>();
        below(arguments[1].as_primitive(), |row, bound| {
            seeds.is_valid(row).then(|| JavaRandom::new(seeds.value(row)).integer(bound))
        })
    })
};

/// A text of bits: a UUID of version 4.
pub static UUID: Function = Function {
    style: Style::Drawn,
    ..Function::strict("UUID", "", never, |_, arguments, rows| {
        let bits = drawn(&arguments[0])?;
        let mut texts = StringBuilder::with_capacity(rows, rows * UUID_LENGTH);
        (0..rows).for_each(|row| texts.append_value(uuid(bits.value(row), &mut [0; UUID_LENGTH])));
        Ok(Arc::new(texts.finish()))
    })
};

/// The error about a random value where no row draws one.
pub fn not_drawn() -> Error {
    Error::query("a random value has no place here")
        .with_help("it has one in a SELECT list and in WHERE: SELECT UUID() AS id, x FROM t")
}

const UUID_LENGTH: usize = 36;

/// What is drawn for the call that stands there, as an expression.
pub fn draw(drawn: Drawn, place: Option<Span>) -> Expr {
    let place = place.map_or((0, 0), |span| (span.start as i64, span.end as i64));
    let (kind, seed, bound) = match drawn {
        Drawn::Bits => (0, 0, 0),
        Drawn::Double { seed } => (1, seed, 0),
        Drawn::Integer { seed, bound } => (2, seed, bound),
        Drawn::Seeded { seed } => (3, seed, 0),
    };
    let parameters = vec![kind, i64::from(seed), i64::from(bound), place.0, place.1];
    Call::new(&DRAWN, drawn.data_type(), false, parameters).on(Vec::new())
}

/// Whether something random is part of an expression.
pub fn is_random(expression: &Expr) -> bool {
    expression.exists(|inner| Ok(of(inner).is_some())).unwrap_or(true)
}

/// Whether two expressions are written alike, wherever their calls stand.
pub fn is_alike(one: &Expr, other: &Expr) -> bool {
    let without_places = |expression: &Expr| {
        let moved = expression.clone().transform_up(|inner| match of(&inner) {
            Some((drawn, _)) => Ok(Transformed::yes(draw(drawn, None))),
            None => Ok(Transformed::no(inner)),
        });
        moved.ok().map(|moved| moved.data)
    };
    one == other || is_random(one) && is_random(other) && without_places(one) == without_places(other)
}

/// An expression of one row: a sequence of a seed is its first value there.
pub fn begun(expression: Expr) -> Result<Expr> {
    let first = expression.transform_up(|inner| {
        let Some((drawn, _)) = of(&inner).filter(|(drawn, _)| *drawn != Drawn::Bits) else {
            return Ok(Transformed::no(inner));
        };
        let value = drawn.begin(0).next(1).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Transformed::yes(Expr::Literal(ScalarValue::try_from_array(&value, 0)?, None)))
    });
    Ok(first.map_err(|error| Error::bug(error.strip_backtrace()))?.data)
}

/// The expressions with columns in the place of what is drawn, and the draws of those columns. `is_taken` says which names
/// the rows have already: those that were drawn for an expression below are there too.
pub fn drawn_apart(expressions: Vec<Expr>, is_taken: impl Fn(&str) -> bool) -> Result<(Vec<Expr>, Vec<Draw>)> {
    let mut draws: Vec<Draw> = Vec::new();
    let mut apart = Vec::with_capacity(expressions.len());
    for expression in expressions {
        let replaced = expression.transform_up(|inner| {
            let Some((drawn, place)) = of(&inner) else { return Ok(Transformed::no(inner)) };
            // A call that is read several times draws once.
            let known = draws.iter().find(|draw| (draw.drawn, draw.place) == (drawn, place));
            let column = known.map(|draw| draw.column.clone()).unwrap_or_else(|| {
                let is_free = |name: &String| !is_taken(name) && draws.iter().all(|draw| draw.column != *name);
                let mut names = (0_usize..).map(|number| format!("$random{number}"));
                let column = names.find(is_free).unwrap_or_default();
                draws.push(Draw { column: column.clone(), drawn, place });
                column
            });
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column))))
        });
        apart.push(replaced.map_err(|error| Error::bug(error.strip_backtrace()))?.data);
    }
    Ok((apart, draws))
}

fn of(expression: &Expr) -> Option<(Drawn, (i64, i64))> {
    let Expr::ScalarFunction(function) = expression else { return None };
    let call = Call::of(&function.func).filter(|call| call.function.name == DRAWN.name)?;
    let [kind, seed, bound, start, end] = *call.parameters else { return None };
    let (seed, bound) = (i32::try_from(seed).ok()?, i32::try_from(bound).ok()?);
    let drawn = match kind {
        0 => Drawn::Bits,
        1 => Drawn::Double { seed },
        2 => Drawn::Integer { seed, bound },
        _ => Drawn::Seeded { seed },
    };
    Some((drawn, (start, end)))
}

impl Drawn {
    /// The type of what is drawn.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Bits => DataType::FixedSizeBinary(16),
            Self::Double { .. } => DataType::Float64,
            Self::Integer { .. } | Self::Seeded { .. } => DataType::Int32,
        }
    }

    /// Begins to draw; `entropy` is for bits alone.
    pub fn begin(self, entropy: u128) -> Drawing {
        match self {
            Self::Bits => Drawing::Bits(Generator::new(entropy)),
            Self::Double { seed } => Drawing::Double(JavaRandom::new(seed)),
            Self::Integer { seed, bound } => Drawing::Integer(JavaRandom::new(seed), bound),
            Self::Seeded { seed } => Drawing::Seeded(JavaRandom::new(seed)),
        }
    }
}

impl Draw {
    /// Where the call stands in the script.
    pub fn span(&self) -> Span {
        let place = |at: i64| usize::try_from(at).unwrap_or_default();
        Span { start: place(self.place.0), end: place(self.place.1) }
    }

    /// The call as EXPLAIN shows it.
    pub fn text(&self) -> String {
        match self.drawn {
            Drawn::Bits => "RANDOM".to_owned(),
            Drawn::Double { seed } => format!("RAND({seed})"),
            Drawn::Integer { seed, bound } => format!("RAND_INTEGER({seed}, {bound})"),
            Drawn::Seeded { seed } => format!("RAND_INTEGER({seed})"),
        }
    }
}

/// A sequence of draws.
#[derive(Debug)]
pub enum Drawing {
    Bits(Generator),
    Double(JavaRandom),
    Integer(JavaRandom, i32),
    Seeded(JavaRandom),
}

impl Drawing {
    /// The next so many.
    pub fn next(&mut self, rows: usize) -> Result<ArrayRef> {
        Ok(match self {
            Self::Bits(generator) => {
                let mut bytes = Vec::with_capacity(rows * 16);
                for _ in 0..2 * rows {
                    bytes.extend_from_slice(&generator.next().to_le_bytes());
                }
                Arc::new(FixedSizeBinaryArray::try_new(16, Buffer::from_vec(bytes), None)?)
            }
            Self::Double(random) => Arc::new(Float64Array::from_iter_values((0..rows).map(|_| random.double()))),
            Self::Integer(random, bound) => {
                Arc::new(Int32Array::from_iter_values((0..rows).map(|_| random.integer(*bound))))
            }
            Self::Seeded(random) => Arc::new(Int32Array::from_iter_values((0..rows).map(|_| random.next(31)))),
        })
    }
}

/// Blackman and Vigna's xoshiro256++: fast, and good for everything but secrets.
#[derive(Debug)]
pub struct Generator {
    state: [u64; 4],
}

impl Generator {
    fn new(seed: u128) -> Self {
        let bytes = seed.to_le_bytes();
        let word = |part: u64| xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, part);
        Self { state: [word(1), word(2), word(3), word(4)] }
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }
}

/// The generator that Java's documentation of `java.util.Random` specifies.
#[derive(Debug)]
pub struct JavaRandom {
    state: u64,
}

impl JavaRandom {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;

    fn new(seed: i32) -> Self {
        Self { state: (i64::from(seed).cast_unsigned() ^ Self::MULTIPLIER) & Self::MASK }
    }

    fn next(&mut self, bits: u32) -> i32 {
        self.state = self.state.wrapping_mul(Self::MULTIPLIER).wrapping_add(0xB) & Self::MASK;
        (self.state >> (48 - bits)) as i32
    }

    fn double(&mut self) -> f64 {
        let (high, low) = (i64::from(self.next(26)), i64::from(self.next(27)));
        ((high << 27) + low) as f64 / (1_u64 << 53) as f64
    }

    /// Below a positive bound. Values of which there would be too many are drawn again.
    fn integer(&mut self, bound: i32) -> i32 {
        loop {
            let drawn = self.next(31);
            let result = reduced(drawn, bound);
            let is_power = bound & (bound - 1) == 0;
            if is_power || drawn.wrapping_sub(result).wrapping_add(bound - 1) >= 0 {
                return result;
            }
        }
    }
}

/// 31 bits as a number below a positive bound, as Java does it.
fn reduced(drawn: i32, bound: i32) -> i32 {
    match bound & (bound - 1) {
        0 => ((i64::from(bound) * i64::from(drawn)) >> 31) as i32,
        _ => drawn % bound,
    }
}

/// A number below the bound of each row, which `number` makes; NULL where there is no bound.
fn below(bounds: &PrimitiveArray<Int32Type>, number: impl Fn(usize, i32) -> Option<i32>) -> Result<ArrayRef> {
    let numbers = bounds.iter().enumerate().map(|(row, bound)| match bound {
        Some(bound) if bound <= 0 => Err(Error::data(format!("the bound of RAND_INTEGER is {bound}, not above 0"))),
        bound => Ok(bound.and_then(|bound| number(row, bound))),
    });
    Ok(Arc::new(numbers.collect::<Result<Int32Array>>()?))
}

fn drawn(column: &ArrayRef) -> Result<&FixedSizeBinaryArray> {
    column.as_any().downcast_ref().ok_or_else(|| Error::bug("random bits of another type"))
}

/// The first or second half of bits.
fn word(bits: &[u8], half: usize) -> u64 {
    bits.as_chunks::<8>().0.get(half).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn uuid<'t>(bits: &[u8], text: &'t mut [u8; UUID_LENGTH]) -> &'t str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut at = 0;
    for (index, byte) in bits.iter().take(16).enumerate() {
        let byte = match index {
            6 => byte & 0x0f | 0x40,
            8 => byte & 0x3f | 0x80,
            _ => *byte,
        };
        if matches!(index, 4 | 6 | 8 | 10) {
            text[at] = b'-';
            at += 1;
        }
        (text[at], text[at + 1]) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
        at += 2;
    }
    std::str::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_sequences_are_those_of_java() {
        let mut random = JavaRandom::new(42);
        let doubles = [random.double(), random.double(), random.double()];
        assert_eq!(doubles, [0.7275636800328681, 0.6832234717598454, 0.30871945533265976]);
        let mut random = JavaRandom::new(42);
        assert_eq!([random.integer(1000), random.integer(1000), random.integer(1000)], [130, 763, 248]);
        assert_eq!([1, 2, 3].map(|seed| JavaRandom::new(seed).integer(10)), [5, 8, 4]);
        // Half of all draws are among those that are drawn again.
        let mut random = JavaRandom::new(-1);
        assert!((0..1000).all(|_| (0..(1 << 30) + 1).contains(&random.integer((1 << 30) + 1))));
    }

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let mut drawing = Drawn::Bits.begin(1);
        let bits = drawing.next(1000).unwrap();
        let call = Call::new(&UUID, DataType::Utf8, false, Vec::new());
        let texts = (UUID.body)(&call, &[bits], 1000).unwrap();
        let texts: Vec<&str> = texts.as_string::<i32>().iter().flatten().collect();
        for text in &texts {
            let parts: Vec<usize> = text.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{text}");
            assert!(text.as_bytes()[14] == b'4' && matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
        }
        let different: std::collections::BTreeSet<_> = texts.iter().collect();
        assert_eq!(different.len(), 1000);
    }

    #[test]
    fn numbers_lie_below_their_bounds_and_are_spread() {
        let bits = Drawn::Bits.begin(3).next(10_000).unwrap();
        let bounds: ArrayRef = Arc::new(Int32Array::from(vec![10; 10_000]));
        let call = Call::new(&RAND_INTEGER, DataType::Int32, false, Vec::new());
        let numbers = (RAND_INTEGER.body)(&call, &[Arc::clone(&bits), bounds], 10_000).unwrap();
        let mut counts = [0_i32; 10];
        numbers.as_primitive::<Int32Type>().values().iter().for_each(|number| counts[*number as usize] += 1);
        assert!(counts.iter().all(|count| (count - 1000).abs() < 200), "{counts:?}");
        let call = Call::new(&RAND, DataType::Float64, false, Vec::new());
        let doubles = (RAND.body)(&call, &[Arc::clone(&bits)], 10_000).unwrap();
        let sum: f64 = doubles.as_primitive::<arrow::datatypes::Float64Type>().values().iter().sum();
        assert!((sum / 10_000.0 - 0.5).abs() < 0.02, "{sum}");
        let none: ArrayRef = Arc::new(Int32Array::from(vec![0; 10_000]));
        let call = Call::new(&RAND_INTEGER, DataType::Int32, false, Vec::new());
        assert!((RAND_INTEGER.body)(&call, &[bits, none], 10_000).is_err());
    }
}
