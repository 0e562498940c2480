//! SUM and AVG of DECIMAL(p, s): a sum is DECIMAL(38, s), an average DECIMAL(38, max(6, s)) rounded half up. Both are NULL
//! while the sum has more than 38 digits.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Int64Type, i256};

use super::state::{AggregateState, Rows, StateField, array, compute, numbers, pick, primitive, validity};
use crate::error::Result;

/// The greatest number of 38 digits.
const GREATEST: i128 = 10_i128.pow(DECIMAL128_MAX_PRECISION as u32) - 1;

/// Sum and count of the values. The sum is exact however far it goes on its way, so that neither the order of rows nor how
/// they were put together changes a result: it is 128 bits that wrap, and how often they did.
#[derive(Debug)]
pub(super) struct DecimalSum {
    average: bool,
    scale: i8,
    sums: Vec<i128>,
    wraps: Vec<i64>,
    counts: Vec<i64>,
}

impl DecimalSum {
    pub(super) fn new(average: bool, scale: i8) -> Self {
        Self { average, scale, sums: Vec::new(), wraps: Vec::new(), counts: Vec::new() }
    }

    /// The scale of an average of values of `scale`.
    pub(super) fn average_scale(scale: i8) -> i8 {
        scale.max(6)
    }

    /// Sums as a state column. They may have more digits than 38.
    fn column(&self, sums: Vec<i128>) -> ArrayRef {
        let data_type = DataType::Decimal128(DECIMAL128_MAX_PRECISION, self.scale);
        Arc::new(Decimal128Array::from(sums).with_data_type(data_type))
    }

    /// Adds `value`, or takes it away where `sign` is -1.
    #[inline(always)]
    fn add(&mut self, slot: usize, value: i128, sign: i64) {
        let sum = self.sums[slot];
        let (sum, over) = if sign < 0 { sum.overflowing_sub(value) } else { sum.overflowing_add(value) };
        self.sums[slot] = sum;
        if over {
            self.wraps[slot] += if (value > 0) == (sign > 0) { 1 } else { -1 };
        }
    }

    /// The sum, if it has at most 38 digits.
    fn sum(&self, slot: usize) -> Option<i128> {
        Some(self.sums[slot]).filter(|sum| self.wraps[slot] == 0 && fits(sum))
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
        vec![("sum", sum, false), ("wraps", DataType::Int64, false), ("count", DataType::Int64, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, 0);
        self.wraps.resize(slots, 0);
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.primitive::<Decimal128Type>()?;
        rows.each(|slot, row, sign| {
            self.add(slot, values[row], sign);
            self.counts[slot] += sign;
        });
        Ok(())
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], sign: i64) -> Result<()> {
        let sums = primitive::<Decimal128Type>(&columns[0])?.values();
        let (wraps, counts) = (numbers(&columns[1])?, numbers(&columns[2])?);
        for (slot, (value, (wraps, count))) in slots.iter().zip(sums.iter().zip(wraps.iter().zip(counts))) {
            let slot = *slot as usize;
            self.add(slot, *value, sign);
            self.wraps[slot] += sign * wraps;
            self.counts[slot] += sign * count;
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let (wraps, counts) = (pick(&self.wraps, slots), pick(&self.counts, slots));
        let sums = self.column(pick(&self.sums, slots));
        Ok(vec![sums, array::<Int64Type>(wraps), array::<Int64Type>(counts)])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let sums = std::mem::take(&mut self.sums);
        let (wraps, counts) = (std::mem::take(&mut self.wraps), std::mem::take(&mut self.counts));
        Ok(vec![self.column(sums), array::<Int64Type>(wraps), array::<Int64Type>(counts)])
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        let length = self.sums.len();
        let value = |slot: usize| match self.counts[slot] {
            0 => None,
            count if self.average => self.average(self.sum(slot)?, count),
            _ => self.sum(slot),
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
            self.wraps[*slot as usize] = 0;
            self.counts[*slot as usize] = 0;
        }
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * 16 + (self.wraps.capacity() + self.counts.capacity()) * 8
    }

    fn invertible(&self) -> bool {
        true
    }
}

fn fits(value: &i128) -> bool {
    value.unsigned_abs() <= GREATEST.unsigned_abs()
}
