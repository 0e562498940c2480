//! SUM and AVG of DECIMAL(p, s): a sum is DECIMAL(38, s), an average DECIMAL(38, max(6, s)) rounded half up.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Int64Type, i256};

use super::state::{AggregateState, Rows, StateField, array, compute, numbers, pick, primitive, validity};
use crate::error::{Error, Result};

/// The greatest number of 38 digits.
const GREATEST: i128 = 10_i128.pow(DECIMAL128_MAX_PRECISION as u32) - 1;

/// Sum and count of the values.
#[derive(Debug)]
pub(super) struct DecimalSum {
    average: bool,
    scale: i8,
    sums: Vec<i128>,
    counts: Vec<i64>,
}

impl DecimalSum {
    pub(super) fn new(average: bool, scale: i8) -> Self {
        Self { average, scale, sums: Vec::new(), counts: Vec::new() }
    }

    /// The scale of an average of values of `scale`.
    pub(super) fn average_scale(scale: i8) -> i8 {
        scale.max(6)
    }

    /// Sums as a state column. They may have more digits than 38 on the way, as long as the result does not.
    fn column(&self, sums: Vec<i128>) -> ArrayRef {
        let data_type = DataType::Decimal128(DECIMAL128_MAX_PRECISION, self.scale);
        Arc::new(Decimal128Array::from(sums).with_data_type(data_type))
    }

    /// The average of `count` values, if it has at most 38 digits.
    fn average(&self, sum: i128, count: i64) -> Option<i128> {
        let digits = Self::average_scale(self.scale) - self.scale;
        let sum = i256::from_i128(sum).wrapping_mul(i256::from_i128(10_i128.pow(u32::from(digits.unsigned_abs()))));
        let count = i256::from_i128(i128::from(count));
        let (quotient, rest) = (sum.checked_div(count)?, sum.checked_rem(count)?);
        let twice = rest.wrapping_abs().wrapping_mul(i256::from_i128(2));
        let away = i256::from_i128(i128::from(twice >= count.wrapping_abs()));
        let negative = sum.is_negative() != count.is_negative();
        let rounded = if negative { quotient.wrapping_sub(away) } else { quotient.wrapping_add(away) };
        rounded.to_i128().filter(fits)
    }
}

impl AggregateState for DecimalSum {
    fn fields(&self) -> Vec<StateField> {
        let sum = DataType::Decimal128(DECIMAL128_MAX_PRECISION, self.scale);
        vec![("sum", sum, false), ("count", DataType::Int64, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, 0);
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.primitive::<Decimal128Type>()?;
        let (sums, counts) = (&mut self.sums[..], &mut self.counts[..]);
        let mut overflow = false;
        rows.each(|slot, row, sign| {
            let (sum, over) = sums[slot].overflowing_add(values[row] * i128::from(sign));
            sums[slot] = sum;
            overflow |= over;
            counts[slot] += sign;
        });
        if overflow { Err(too_large()) } else { Ok(()) }
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let (sums, counts) = (primitive::<Decimal128Type>(&columns[0])?.values(), numbers(&columns[1])?);
        let mut overflow = false;
        for (slot, (value, count)) in slots.iter().zip(sums.iter().zip(counts)) {
            let slot = *slot as usize;
            let (sum, over) = self.sums[slot].overflowing_add(value * i128::from(sign));
            self.sums[slot] = sum;
            overflow |= over;
            self.counts[slot] += sign * count;
        }
        if overflow { Err(too_large()) } else { Ok(()) }
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(pick(&self.sums, slots)), array::<Int64Type>(pick(&self.counts, slots))])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let sums = std::mem::take(&mut self.sums);
        Ok(vec![self.column(sums), array::<Int64Type>(std::mem::take(&mut self.counts))])
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        let length = self.sums.len();
        let value = |slot: usize| match self.counts[slot] {
            0 => None,
            count if self.average => self.average(self.sums[slot], count),
            _ => Some(self.sums[slot]).filter(fits),
        };
        let values = compute(slots, length, |slot| value(slot).unwrap_or(0));
        let nulls = validity(slots, length, |slot| value(slot).is_some());
        let scale = if self.average { Self::average_scale(self.scale) } else { self.scale };
        let values = Decimal128Array::new(ScalarBuffer::from(values), nulls);
        Ok(Arc::new(values.with_precision_and_scale(DECIMAL128_MAX_PRECISION, scale)?))
    }

    fn clear(&mut self, slots: &[u32]) {
        for slot in slots {
            self.sums[*slot as usize] = 0;
            self.counts[*slot as usize] = 0;
        }
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * 16 + self.counts.capacity() * 8
    }

    fn invertible(&self) -> bool {
        true
    }
}

fn fits(value: &i128) -> bool {
    value.unsigned_abs() <= GREATEST.unsigned_abs()
}

fn too_large() -> Error {
    Error::data("a sum of DECIMAL values has more than 38 digits")
}
