//! What a function gives: rows beside those that it was given, and timers.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::compute::take_arrays;
use arrow::datatypes::{Field, SchemaRef};

use super::{Key, KeyedRows};
use crate::error::{Error, Result};
use crate::expressions::type_name;
use crate::state::batch_of;

/// Where the columns that leave come from.
#[derive(Debug)]
pub(super) struct Layout {
    /// All that leave: keys, those of the function, the time, the hidden watermark.
    pub(super) schema: SchemaRef,
    /// Of the function.
    pub(super) columns: Vec<Field>,
    pub(super) has_time: bool,
    pub(super) has_watermark: bool,
}

/// The output of one call.
#[derive(Debug)]
pub struct ProcessOutput<'a> {
    layout: &'a Layout,
    /// `[rows]` of each column of the key, and the watermark that each row met.
    keys: Vec<ArrayRef>,
    met: Option<ArrayRef>,
    pub(super) out: Vec<RecordBatch>,
    /// Of event time and of the clock, by key and time: whether a timer is set or deleted.
    pub(super) timers: BTreeMap<(Key, i64), bool>,
    pub(super) clock_timers: BTreeMap<(Key, i64), bool>,
    /// Whether rows beside those of the call have a time.
    has_times: bool,
}

impl<'a> ProcessOutput<'a> {
    pub(super) fn new(layout: &'a Layout, keys: Vec<ArrayRef>, met: Option<ArrayRef>, has_times: bool) -> Self {
        let (timers, clock_timers) = (BTreeMap::new(), BTreeMap::new());
        Self { layout, keys, met, out: Vec::new(), timers, clock_timers, has_times }
    }

    /// One row beside each of `rows`: `columns` are those that the function has said, each `[rows]`.
    pub fn beside(&mut self, rows: &KeyedRows, columns: Vec<ArrayRef>) -> Result<()> {
        self.push(rows, columns, None)
    }

    /// Some rows, each beside the one of `rows` whose number stands in `beside`: a row may have several, or none.
    pub fn rows(&mut self, rows: &KeyedRows, beside: Vec<u32>, columns: Vec<ArrayRef>) -> Result<()> {
        if let Some(row) = beside.iter().find(|row| **row as usize >= rows.len()) {
            return Err(Error::query(format!("a function gives a row beside row {row} of {}", rows.len())));
        }
        self.push(rows, columns, Some(UInt32Array::from(beside)))
    }

    /// Calls [`on_timer`](super::ProcessFunction::on_timer) for this key once the watermark has come to `time`, in
    /// milliseconds; if it has already, with the next watermark. A key has one timer a time.
    pub fn set_timer(&mut self, key: Key, time: i64) {
        self.timers.insert((key, time), true);
    }

    /// Takes a timer back, if there is one.
    pub fn delete_timer(&mut self, key: Key, time: i64) {
        self.timers.insert((key, time), false);
    }

    /// Calls [`on_clock`](super::ProcessFunction::on_clock) for this key once the clock shows `time`, in milliseconds since
    /// 1970; soon, if it is past. A key has one timer a time. At the end of the input none of them is waited for.
    pub fn set_clock_timer(&mut self, key: Key, time: i64) {
        self.clock_timers.insert((key, time), true);
    }

    /// Takes a timer of the clock back, if there is one.
    pub fn delete_clock_timer(&mut self, key: Key, time: i64) {
        self.clock_timers.insert((key, time), false);
    }

    fn push(&mut self, rows: &KeyedRows, own: Vec<ArrayRef>, beside: Option<UInt32Array>) -> Result<()> {
        let length = beside.as_ref().map_or(rows.len(), Array::len);
        let is_told = own.len() == self.layout.columns.len()
            && own.iter().zip(&self.layout.columns).all(|(own, told)| own.data_type() == told.data_type());
        if !is_told || own.iter().any(|column| column.len() != length) {
            let given: Vec<String> = own
                .iter()
                .map(|column| format!("{} of {} rows", type_name(column.data_type()), column.len()))
                .collect();
            let told: Vec<String> = self.layout.columns.iter().map(|field| type_name(field.data_type())).collect();
            return Err(Error::query(format!(
                "a function gives the columns ({}) where it has to give ({}) of {length} rows",
                given.join(", "),
                told.join(", ")
            )));
        }
        let mut behind: Vec<ArrayRef> = Vec::new();
        if self.layout.has_time {
            if !self.has_times {
                return Err(Error::query(
                    "a function gives a row beside a timer of the clock, which has no event time, where on_time gives rows one",
                )
                .with_help("call it without on_time, or let a timer of event time give the row"));
            }
            let place = self.layout.schema.fields().len() - 1 - usize::from(self.layout.has_watermark);
            let data_type = self.layout.schema.field(place).data_type().clone();
            behind.push(Arc::new(TimestampMillisecondArray::from(rows.times().to_vec()).with_data_type(data_type)));
        }
        if self.layout.has_watermark {
            // What a timer gives is late for no window that is open: they have not been told of the watermark yet.
            let of_timers = || Arc::new(Int64Array::from_value(i64::MIN, rows.len())) as ArrayRef;
            behind.push(self.met.clone().unwrap_or_else(of_timers));
        }
        let mut columns = self.keys.clone();
        if let Some(beside) = beside {
            columns = take_arrays(&columns, &beside, None)?;
            behind = take_arrays(&behind, &beside, None)?;
        }
        columns.extend(own);
        columns.extend(behind);
        self.out.push(batch_of(&self.layout.schema, columns, length)?);
        Ok(())
    }
}
