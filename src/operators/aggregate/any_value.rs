//! FIRST_VALUE and LAST_VALUE of BOOLEAN, ROW, ARRAY and MAP where no row is taken back: one value a slot, encoded.

use std::fmt;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};

use super::extreme::Kept;
use super::state::{AggregateState, Rows, StateField};
use crate::error::{Error, Result};

/// The first or the last value of each slot.
pub(super) struct AnyValue {
    kept: Kept,
    data_type: DataType,
    converter: RowConverter,
    /// By slot: the value as the converter writes it.
    values: Vec<Option<Box<[u8]>>>,
    held: usize,
}

impl AnyValue {
    /// Nothing where values of that type cannot be encoded.
    pub(super) fn new(kept: Kept, data_type: DataType) -> Result<Option<Self>> {
        let field = SortField::new(data_type.clone());
        if !RowConverter::supports_fields(std::slice::from_ref(&field)) {
            return Ok(None);
        }
        let converter = RowConverter::new(vec![field])?;
        Ok(Some(Self { kept, data_type, converter, values: Vec::new(), held: 0 }))
    }

    fn column(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        let of_slots: Vec<Option<&[u8]>> = match slots {
            Some(slots) => slots.iter().map(|slot| self.values[*slot as usize].as_deref()).collect(),
            None => self.values.iter().map(Option::as_deref).collect(),
        };
        let parser = self.converter.parser();
        let rows = of_slots.iter().flatten().map(|bytes| parser.parse(bytes));
        let values = self.converter.convert_rows(rows)?.pop();
        let values = values.ok_or_else(|| Error::bug("an encoded value without a column"))?;
        let mut next = 0..;
        let places: UInt32Array = of_slots.iter().map(|value| value.and_then(|_| next.next())).collect();
        Ok(take(&values, &places, None)?)
    }
}

impl fmt::Debug for AnyValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} of {} slots", self.kept, self.values.len())
    }
}

impl AggregateState for AnyValue {
    fn fields(&self) -> Vec<StateField> {
        vec![self.kept.field(&self.data_type)]
    }

    fn resize(&mut self, slots: usize) {
        self.values.resize(slots, None);
    }

    fn update(&mut self, rows: &Rows) -> Result<()> {
        let values = rows.values.ok_or_else(|| Error::bug("one of many values needs an argument"))?;
        // The row that each slot keeps, so that only those are encoded.
        let mut wanted: Vec<(usize, usize)> = Vec::new();
        rows.each(|slot, row, _| {
            if self.kept == Kept::Last || self.values[slot].is_none() {
                wanted.push((slot, row));
            }
        });
        // Of one slot's rows the wanted one is the last of them, or the first.
        if self.kept == Kept::First {
            wanted.reverse();
        }
        wanted.sort_by_key(|(slot, _)| *slot);
        let mut last_of_each: Vec<(usize, usize)> = Vec::new();
        for (slot, row) in wanted {
            match last_of_each.last_mut() {
                Some(last) if last.0 == slot => last.1 = row,
                _ => last_of_each.push((slot, row)),
            }
        }
        let rows: UInt32Array = last_of_each.iter().map(|(_, row)| *row as u32).collect::<Vec<_>>().into();
        let encoded = self.converter.convert_columns(&[take(values, &rows, None)?])?;
        for ((slot, _), row) in last_of_each.into_iter().zip(&encoded) {
            let bytes: Box<[u8]> = row.data().into();
            self.held += bytes.len();
            let before = self.values[slot].replace(bytes);
            self.held -= before.map_or(0, |before| before.len());
        }
        Ok(())
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef], _: i64) -> Result<()> {
        let counted = columns[0].logical_nulls().filter(|nulls| nulls.null_count() > 0);
        self.update(&Rows { slots, values: Some(&columns[0]), weights: None, counted, signs: None })
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(Some(slots))?])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        let column = self.column(None)?;
        self.values.clear();
        self.held = 0;
        Ok(vec![column])
    }

    fn evaluate(&self, slots: Option<&[u32]>) -> Result<ArrayRef> {
        self.column(slots)
    }

    fn clear(&mut self, slots: &[u32]) {
        for slot in slots {
            self.held -= self.values[*slot as usize].take().map_or(0, |value| value.len());
        }
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<Box<[u8]>>>() + self.held
    }

    fn invertible(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{BooleanArray, ListArray};
    use arrow::datatypes::Int32Type;

    #[test]
    fn a_slot_keeps_one_value_and_gives_it_back() {
        let list = |values: &[&[i32]]| -> ArrayRef {
            let rows = values.iter().map(|row| Some(row.iter().copied().map(Some).collect::<Vec<_>>()));
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows))
        };
        for (kept, expected) in [(Kept::First, [[1, 2], [5, 6]]), (Kept::Last, [[3, 4], [9, 9]])] {
            let values = list(&[&[1, 2], &[5, 6], &[3, 4]]);
            let mut state = AnyValue::new(kept, values.data_type().clone()).unwrap().unwrap();
            state.resize(3);
            let rows = |slots, values| Rows { slots, values: Some(values), weights: None, counted: None, signs: None };
            state.update(&rows(&[0, 2, 0], &values)).unwrap();
            let once = state.bytes();
            state.update(&rows(&[2, 2], &list(&[&[7, 7], &[9, 9]]))).unwrap();
            assert_eq!(state.bytes(), once, "{kept:?}");
            let found = state.evaluate(Some(&[0, 2])).unwrap();
            assert_eq!(&found, &list(&[&expected[0], &expected[1]]), "{kept:?}");
            assert!(state.evaluate(None).unwrap().is_null(1));
            // A partial comes behind what is there; one without a value changes nothing.
            let partial = state.take().unwrap();
            state.resize(3);
            state.merge(&[0, 1, 2], &partial, 1).unwrap();
            assert_eq!(&state.evaluate(Some(&[0, 2])).unwrap(), &found, "{kept:?}");
            state.clear(&[0, 1, 2]);
            assert_eq!(state.held, 0);
        }
        let truths: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
        let mut state = AnyValue::new(Kept::Last, DataType::Boolean).unwrap().unwrap();
        state.resize(1);
        state
            .update(&Rows { slots: &[0, 0], values: Some(&truths), weights: None, counted: None, signs: None })
            .unwrap();
        assert_eq!(&state.evaluate(None).unwrap(), &truths.slice(1, 1));
    }
}
