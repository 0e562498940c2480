//! Variances and standard deviations: the sum of the values and the sum of their squares, each in twice the precision of
//! a DOUBLE, so that their difference keeps its digits and the result hardly depends on the order of the rows.
//!
//! Sums are exact to about 106 bits after Knuth's and Dekker's error-free transformations. Where the mean is 10^k times
//! the deviation, 2k of some 32 decimal digits are lost, twice as many as remain of a DOUBLE's 16 by Welford's method.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::state::{AggregateState, Rows, StateField, array, compute, numbers, pick, primitive, validity};
use crate::error::{Error, Result};
use crate::expressions::{cast_values, one_nan};

/// A number as the sum of two, of which the second is less than half a last place of the first.
#[derive(Debug, Clone, Copy, Default)]
struct Double {
    high: f64,
    low: f64,
}

/// Sums of values and squares, and the count of the values.
#[derive(Debug)]
pub(super) struct Variance {
    /// Whether the values are a sample of more.
    sample: bool,
    /// Whether the root of the variance is wanted.
    root: bool,
    output: DataType,
    sums: Vec<Double>,
    squares: Vec<Double>,
    counts: Vec<i64>,
}

impl Variance {
    pub(super) fn new(sample: bool, root: bool, output: DataType) -> Self {
        Self { sample, root, output, sums: Vec::new(), squares: Vec::new(), counts: Vec::new() }
    }

    /// NaN where a value is no number or infinite, as the distance from such a mean is.
    fn value(&self, slot: usize) -> f64 {
        let (sum, count) = (self.sums[slot], self.counts[slot] as f64);
        let squares = self.squares[slot].plus(sum.squared().divided_by(count).negated());
        let variance = squares.divided_by(if self.sample { count - 1.0 } else { count }).high;
        // Rounding may leave less than nothing where all values are alike.
        let variance = if variance < 0.0 { 0.0 } else { variance };
        one_nan(if self.root { variance.sqrt() } else { variance })
    }

    /// Values that a result can be computed from.
    fn least_count(&self) -> i64 {
        if self.sample { 2 } else { 1 }
    }
}

impl AggregateState for Variance {
    fn fields(&self) -> Vec<StateField> {
        let parts = ["sum", "sum_low", "squares", "squares_low"].map(|name| (name, DataType::Float64, false));
        parts.into_iter().chain([("count", DataType::Int64, false)]).collect()
    }

    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, Double::default());
        self.squares.resize(slots, Double::default());
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.values.ok_or_else(|| Error::bug("a variance needs an argument"))?;
        let wide = cast_values(values, &DataType::Float64)?;
        let values = primitive::<Float64Type>(&wide)?.values();
        rows.each(|slot, row, sign| {
            let value = values[row];
            let (high, low) = product(value, value);
            let sign = sign as f64;
            self.sums[slot] = self.sums[slot].plus(Double { high: sign * value, low: 0.0 });
            self.squares[slot] = self.squares[slot].plus(Double { high: sign * high, low: sign * low });
            self.counts[slot] += sign as i64;
        });
        Ok(())
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let floats = |at: usize| primitive::<Float64Type>(&columns[at]);
        let (sums, sums_low, squares, squares_low) = (floats(0)?, floats(1)?, floats(2)?, floats(3)?);
        let (counts, factor) = (numbers(&columns[4])?, sign as f64);
        for (row, slot) in slots.iter().enumerate() {
            let slot = *slot as usize;
            let double = |high: &Float64Array, low: &Float64Array| Double {
                high: factor * high.value(row),
                low: factor * low.value(row),
            };
            self.sums[slot] = self.sums[slot].plus(double(sums, sums_low));
            self.squares[slot] = self.squares[slot].plus(double(squares, squares_low));
            self.counts[slot] += sign * counts[row];
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(columns(&pick(&self.sums, slots), &pick(&self.squares, slots), pick(&self.counts, slots)))
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let (sums, squares) = (std::mem::take(&mut self.sums), std::mem::take(&mut self.squares));
        Ok(columns(&sums, &squares, std::mem::take(&mut self.counts)))
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        let length = self.counts.len();
        let values = compute(slots, length, |slot| self.value(slot));
        let nulls = validity(slots, length, |slot| self.counts[slot] >= self.least_count());
        let wide: ArrayRef = Arc::new(Float64Array::new(values.into(), nulls));
        cast_values(&wide, &self.output)
    }

    fn clear(&mut self, slots: &[u32]) {
        for slot in slots {
            self.sums[*slot as usize] = Double::default();
            self.squares[*slot as usize] = Double::default();
            self.counts[*slot as usize] = 0;
        }
    }

    fn bytes(&self) -> usize {
        (self.sums.capacity() + self.squares.capacity()) * size_of::<Double>() + self.counts.capacity() * 8
    }

    fn invertible(&self) -> bool {
        // An infinity that came cannot be taken away again.
        false
    }
}

fn columns(sums: &[Double], squares: &[Double], counts: Vec<i64>) -> Vec<ArrayRef> {
    let high = |of: &[Double]| array::<Float64Type>(of.iter().map(|double| double.high).collect());
    let low = |of: &[Double]| array::<Float64Type>(of.iter().map(|double| double.low).collect());
    vec![high(sums), low(sums), high(squares), low(squares), array::<Int64Type>(counts)]
}

impl Double {
    /// The rounded sum and, where that is finite, what it lost. After an infinity the sum says it all.
    fn of((high, low): (f64, f64)) -> Self {
        Self { high, low: if high.is_finite() { low } else { 0.0 } }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        let (high, low) = sum(self.high, other.high);
        Self::of(sum_of_ordered(high, low + (self.low + other.low)))
    }

    fn squared(self) -> Self {
        let (high, low) = product(self.high, self.high);
        Self::of(sum_of_ordered(high, low + 2.0 * self.high * self.low))
    }

    fn divided_by(self, divisor: f64) -> Self {
        let quotient = self.high / divisor;
        let (high, low) = product(quotient, divisor);
        let rest = (self.high - high) - low + self.low;
        Self::of(sum_of_ordered(quotient, rest / divisor))
    }

    fn negated(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

/// The rounded sum of two numbers, and what it lost (Knuth).
#[inline(always)]
fn sum(one: f64, other: f64) -> (f64, f64) {
    let sum = one + other;
    let part = sum - one;
    (sum, (one - (sum - part)) + (other - part))
}

/// The same where the first is the greater (Dekker).
#[inline(always)]
fn sum_of_ordered(one: f64, other: f64) -> (f64, f64) {
    let sum = one + other;
    (sum, other - (sum - one))
}

/// The rounded product of two numbers, and what it lost (Veltkamp, Dekker): a fused multiplication is a call of a
/// library where the processor is not known to have one.
#[inline(always)]
fn product(one: f64, other: f64) -> (f64, f64) {
    let halves = |value: f64| {
        let scaled = 134_217_729.0 * value;
        let high = scaled - (scaled - value);
        (high, value - high)
    };
    let product = one * other;
    let ((one_high, one_low), (other_high, other_low)) = (halves(one), halves(other));
    let lost = ((one_high * other_high - product) + one_high * other_low + one_low * other_high) + one_low * other_low;
    // Near the ends of the range the halves overflow.
    (product, if lost.is_finite() { lost } else { 0.0 })
}
